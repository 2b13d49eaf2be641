package clock_test

import (
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

var start = time.Date(2026, 5, 6, 7, 8, 9, 123_456_789, time.FixedZone("", 3600))

func TestEveryClockCutsToMillisecondsInUTC(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(start)
	set := clock.NewFake(time.Time{})
	set.Set(start)
	for name, c := range map[string]clock.Clock{
		"system": clock.System(), "fake": fake, "set": set,
		"movable": clock.NewMovable(fake, 1500*time.Microsecond), "moved system": clock.NewMovable(clock.System(), time.Nanosecond),
	} {
		now := c.Now()
		if now.Location() != time.UTC || now.Nanosecond()%int(time.Millisecond) != 0 {
			t.Errorf("%s: %v is not in UTC and whole milliseconds", name, now)
		}
		// What the store keeps comes back as the same value, also for == and go-cmp.
		if back := time.UnixMilli(now.UnixMilli()).UTC(); back != now {
			t.Errorf("%s: %v came back from milliseconds as %v", name, now, back)
		}
	}
	if want := time.Date(2026, 5, 6, 6, 8, 9, 123_000_000, time.UTC); fake.Now() != want || set.Now() != want {
		t.Errorf("fakes show %v and %v, want %v", fake.Now(), set.Now(), want)
	}
}

func TestSystemIsTheMachinesTime(t *testing.T) {
	t.Parallel()
	before := time.Now().Add(-time.Millisecond)
	now := clock.System().Now()
	if now.Before(before) || now.After(time.Now()) {
		t.Errorf("the system clock shows %v, the machine %v", now, before)
	}
	if d := clock.System().Since(now.Add(-time.Hour)); d < time.Hour || d > time.Hour+time.Minute {
		t.Errorf("Since an hour ago = %v", d)
	}
}

func TestFake(t *testing.T) {
	t.Parallel()
	f := clock.NewFake(start)
	first := f.Now()
	if got := f.Advance(time.Hour); got.Sub(first) != time.Hour || f.Since(first) != time.Hour {
		t.Errorf("after an hour: %v, Since %v", got, f.Since(first))
	}
	f.Set(first.Add(-time.Second))
	if f.Since(first) != -time.Second {
		t.Errorf("set back a second: Since = %v", f.Since(first))
	}
}

func TestMovable(t *testing.T) {
	t.Parallel()
	base := clock.NewFake(start)
	m := clock.NewMovable(base, time.Hour)
	if d := m.Since(base.Now()); d != time.Hour {
		t.Errorf("an hour ahead shows %v", d)
	}
	if got := m.Advance(24 * time.Hour); got != 25*time.Hour || m.Offset() != got {
		t.Errorf("offset after a day = %v, %v", got, m.Offset())
	}
	base.Advance(time.Minute)
	if d := m.Now().Sub(base.Now()); d != 25*time.Hour {
		t.Errorf("the distance changed with the base: %v", d)
	}
	m.SetOffset(0)
	if m.Now() != base.Now() {
		t.Errorf("without offset: %v, base %v", m.Now(), base.Now())
	}
}

func TestConcurrentMoves(t *testing.T) {
	t.Parallel()
	base := clock.NewFake(start)
	m := clock.NewMovable(base, 0)
	first := base.Now()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { base.Advance(time.Second); m.Advance(time.Minute); m.Now() })
	}
	wg.Wait()
	if got, want := m.Now().Sub(first), 50*(time.Minute+time.Second); got != want {
		t.Errorf("moved by %v, want %v", got, want)
	}
}

func TestMachineMeasures(t *testing.T) {
	t.Parallel()
	if now := clock.Machine(); now.Round(0) == now {
		t.Errorf("%v has no monotonic reading", now)
	}
}
