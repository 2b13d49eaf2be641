// Package clock is the only room that reads the machine's clock.
//
// Every instant it gives is in UTC and whole milliseconds, which is what the store keeps: a time survives a round trip through
// the database unchanged. Domain code takes instants as arguments; timers and time-outs are not made here.
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock tells the time.
type Clock interface {
	// Now returns the present instant in UTC, cut to whole milliseconds.
	Now() time.Time
	// Since returns Now minus t.
	Since(t time.Time) time.Duration
}

// cut brings an instant into the form that all clocks here give.
func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Machine returns the machine's time as it is, with its monotonic reading: for measuring durations and for deadlines of
// connections. What is stored, or compared with what is stored, comes from a [Clock].
func Machine() time.Time { return time.Now() }

type system struct{}

// System returns the machine's clock.
func System() Clock { return system{} }

func (system) Now() time.Time                    { return cut(time.Now()) }
func (s system) Since(t time.Time) time.Duration { return s.Now().Sub(t) }

// Fake is a clock that stands still until a test moves it. It is safe for concurrent use.
type Fake struct {
	mu  sync.Mutex
	now time.Time
}

// NewFake returns a clock that shows t.
func NewFake(t time.Time) *Fake { return &Fake{now: cut(t)} }

// Now returns the instant last set.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Since returns Now minus t.
func (f *Fake) Since(t time.Time) time.Duration { return f.Now().Sub(t) }

// Set moves the clock to t, backwards too.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = cut(t)
}

// Advance moves the clock by d and returns the new instant. Parts of a millisecond are lost.
func (f *Fake) Advance(d time.Duration) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = cut(f.now.Add(d))
	return f.now
}

// Movable runs with another clock at a distance that can be changed: the dev server's way to skip 30 days. It is safe for
// concurrent use.
type Movable struct {
	base   Clock
	offset atomic.Int64
}

// NewMovable returns a clock that shows base plus offset.
func NewMovable(base Clock, offset time.Duration) *Movable {
	m := &Movable{base: base}
	m.offset.Store(int64(offset))
	return m
}

// Now returns the base's instant plus the offset.
func (m *Movable) Now() time.Time { return cut(m.base.Now().Add(m.Offset())) }

// Since returns Now minus t.
func (m *Movable) Since(t time.Time) time.Duration { return m.Now().Sub(t) }

// Offset returns the present distance from the base clock.
func (m *Movable) Offset() time.Duration { return time.Duration(m.offset.Load()) }

// SetOffset replaces the distance from the base clock.
func (m *Movable) SetOffset(d time.Duration) { m.offset.Store(int64(d)) }

// Advance adds d to the offset and returns the new offset.
func (m *Movable) Advance(d time.Duration) time.Duration {
	return time.Duration(m.offset.Add(int64(d)))
}
