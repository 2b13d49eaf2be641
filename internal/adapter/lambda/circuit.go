package lambda

import (
	"errors"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/port/trigger"
)

// A function that is down costs each caller three tries of five seconds. So after many failures in a short time it is not called
// for a while: callers get the last failure at once. Then one call finds out whether it is back.
const (
	circuitFailures = 20               // tries that failed
	circuitWindow   = 10 * time.Second // within which they count
	circuitPause    = 5 * time.Second  // without calls, and again after each call that finds the function still down
)

// circuits are the functions that failed lately. A function counts apart for each pool: what one pool sends must not close it to
// another.
type circuits struct {
	mu   sync.Mutex
	down map[endpoint]*circuit
}

// serviceException is the reason of a function that cannot be reached, or whose service fails.
const serviceException = "ServiceException"

type endpoint struct{ pool, arn string }

// circuit is what is known of a function since it last answered.
type circuit struct {
	failed  [circuitFailures]time.Time // a ring of the last tries that failed
	next    int
	last    error
	closed  time.Time // until when it is not called; zero: it is called
	probing bool      // one call is finding out
}

// refusal is the failure that a call gets without being made, nil when it may be made. probe says that the call is the one that
// finds out.
func (c *circuits) refusal(e endpoint, now time.Time) (probe bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.down[e]
	switch {
	case f == nil || f.closed.IsZero():
		return false, nil
	case f.probing || now.Before(f.closed):
		return false, f.last
	}
	f.probing = true
	return true, nil
}

// tried takes in what came of a try.
func (c *circuits) tried(e endpoint, now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.down[e]
	if !down(err) {
		delete(c.down, e)
		return
	}
	if f == nil {
		c.forget(now)
		f = &circuit{}
		c.down[e] = f
	}
	f.last = err
	f.failed[f.next] = now
	f.next = (f.next + 1) % circuitFailures
	if oldest := f.failed[f.next]; f.probing || !oldest.IsZero() && now.Sub(oldest) <= circuitWindow {
		f.closed = now.Add(circuitPause)
	}
}

// probed ends a call that was to find out, also one that its caller gave up.
func (c *circuits) probed(e endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.down[e]; f != nil {
		f.probing = false
	}
}

// forget drops functions whose failures are all too old to count, so that deleted pools leave nothing behind.
func (c *circuits) forget(now time.Time) {
	for e, f := range c.down {
		last := f.failed[(f.next+circuitFailures-1)%circuitFailures]
		if !f.probing && now.Sub(last) > circuitWindow+circuitPause {
			delete(c.down, e)
		}
	}
}

// down reports whether a try failed for want of the function. One that says no, or is asked too much, is there, and one that the
// operator has to set right answers quickly.
func down(err error) bool {
	u, unreachable := errors.AsType[*trigger.Unreachable](err)
	return unreachable && u.Reason == serviceException || errors.Is(err, trigger.ErrTimeout)
}
