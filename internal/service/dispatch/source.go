package dispatch

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

const (
	// networkBits is what of an IPv6 address counts: one customer commonly has that much to choose from.
	networkBits = 64
	// maxSources bounds the memory for budgets. Beyond it the fullest of a few are forgotten, which at worst gives an attacker with
	// so many networks a little more.
	maxSources = 100_000
	// sweepEvery is how often budgets that are full again are forgotten.
	sweepEvery = time.Minute
)

// Sources gives every network address a budget of requests to public operations: those that anybody may call who knows a client's
// id, and by which somebody could try one password on many users. An IPv6 address counts with its whole network of 64 bits. Nil
// Sources allow everything.
type Sources struct {
	perMinute int
	exempt    []netip.Prefix
	clock     clock.Clock // real time

	mu    sync.Mutex
	by    map[netip.Addr]*rate.Limiter
	swept time.Time
}

// NewSources allows each address so many requests at once, and as many a minute. Exempt networks have no budget.
func NewSources(perMinute int, exempt []netip.Prefix, c clock.Clock) *Sources {
	return &Sources{perMinute: perMinute, exempt: exempt, clock: c, by: map[netip.Addr]*rate.Limiter{}}
}

// Allow counts a request and returns TooManyRequestsException when the budget of its address is used up. What is no address, which
// comes from no network, has no budget.
func (s *Sources) Allow(source string) error {
	if s == nil {
		return nil
	}
	addr, err := netip.ParseAddr(source)
	if err != nil {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	if slices.ContainsFunc(s.exempt, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	if addr.Is6() {
		addr = netip.PrefixFrom(addr, networkBits).Masked().Addr()
	}
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.by[addr]
	if b == nil {
		s.room(now)
		b = rate.NewLimiter(rate.Limit(float64(s.perMinute)/60), s.perMinute)
		s.by[addr] = b
	}
	if !b.AllowN(now, 1) {
		return fault.TooManyRequests()
	}
	return nil
}

// room makes room for one more budget.
func (s *Sources) room(now time.Time) {
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for addr, b := range s.by {
			if b.TokensAt(now) >= float64(s.perMinute) {
				delete(s.by, addr)
			}
		}
	}
	if len(s.by) < maxSources {
		return
	}
	// The order of a map is drawn anew each time.
	var fullest netip.Addr
	most, looked := -1.0, 0
	for addr, b := range s.by {
		if t := b.TokensAt(now); t > most {
			fullest, most = addr, t
		}
		if looked++; looked == 8 {
			break
		}
	}
	delete(s.by, fullest)
}
