package bulk

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

const (
	// tries is how often a call is made before a failure of the endpoint or the network counts: for about 25 s.
	tries = 8
	// firstPause and longestPause bound the pause before a call is made again.
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
)

// backoff is the pause after a failed try. Callers that failed together differ in spread, from 0 to 1, and so do not come back together.
func backoff(try int, spread float64) time.Duration {
	d := longestPause
	if try < 6 {
		d = min(d, firstPause<<try)
	}
	return d/2 + time.Duration(spread*float64(d)/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	// window is how long successes are counted for the measured rate, and how often the pace is raised.
	window = 500 * time.Millisecond
	// pause is how long everybody holds still after the endpoint said that it is asked too much. What it says meanwhile concerns calls
	// that were on their way.
	pause = 250 * time.Millisecond
	// cut is what is left of the rate then. In a window without such word the rate grows by a factor: by much at first, when little is
	// known of what the endpoint allows, and by less after every cut, down to the least.
	cut       = 0.7
	raise     = 1.5
	leastMore = 1.05
	least     = 0.5 // calls a second
	firstRate = 10  // where not one call was let through yet
	// patience is how long an endpoint may refuse every call before the run ends.
	patience = 5 * time.Minute
)

// errPatience ends a run.
var errPatience = errors.New("the endpoint has been refusing every call as one too many for 5 minutes")

// A pacer sets the pace of all callers together. It is free until the endpoint says TooManyRequestsException; from then on calls
// are evenly spaced, at a rate that falls with each such word and grows slowly without.
type pacer struct {
	now  func() time.Time
	held atomic.Bool // whether there is a rate

	mu       sync.Mutex
	rate     float64   // calls a second
	raise    float64   // what the rate grows by
	next     time.Time // when the next call may go
	begun    time.Time // of the window
	count    int       // successes in it
	measured float64   // successes a second
	cutAt    time.Time
	lastOK   time.Time
	any      bool // whether a call was ever let through
	refused  int  // how many calls were one too many
}

func newPacer() *pacer {
	p := &pacer{now: clock.Machine, raise: 2*raise - 1}
	p.begun = p.now()
	p.lastOK = p.begun
	return p
}

// far is how far ahead a call gets its place. Places beyond are not given away, because the rate may be another one by then.
const far = 200 * time.Millisecond

// wait returns when the next call may go.
func (p *pacer) wait(ctx context.Context) error {
	for p.held.Load() {
		d, mine := p.place()
		if d > 0 {
			if err := sleep(ctx, d); err != nil {
				return err
			}
		}
		if mine {
			return nil
		}
	}
	return nil
}

// place is how long to wait for the next place, which is the asker's if it is near.
func (p *pacer) place() (wait time.Duration, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.next.Before(now) {
		p.next = now
	}
	wait = p.next.Sub(now)
	if wait > far {
		return far, false
	}
	p.next = p.next.Add(time.Duration(float64(time.Second) / p.rate))
	return wait, true
}

// succeeded counts a call that was let through.
func (p *pacer) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.lastOK, p.any = now, true
	p.count++
	took := now.Sub(p.begun)
	if took < window {
		return
	}
	rate := float64(p.count) / took.Seconds()
	if p.measured > 0 {
		rate = 0.8*rate + 0.2*p.measured
	}
	p.measured, p.begun, p.count = rate, now, 0
	if p.rate > 0 && now.Sub(p.cutAt) >= window {
		p.rate *= p.raise
	}
}

// throttled slows down. The error says that it has been of no use for too long.
func (p *pacer) throttled() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.refused++
	if now.Sub(p.lastOK) > patience {
		return errPatience
	}
	if now.Sub(p.cutAt) < pause {
		return nil
	}
	rate := float64(p.count) / max(now.Sub(p.begun), window).Seconds()
	rate = max(rate, p.measured)
	switch {
	case p.rate > 0:
		rate = min(rate, p.rate)
	case rate == 0:
		rate = firstRate
	}
	p.rate, p.cutAt = max(rate*cut, least), now
	p.raise = max(1+(p.raise-1)/2, leastMore)
	p.next = now.Add(pause)
	p.held.Store(true)
	return nil
}

// reached reports whether the endpoint ever let a call through.
func (p *pacer) reached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.any
}

// tooMany is how many calls were one too many.
func (p *pacer) tooMany() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}
