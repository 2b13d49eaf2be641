package dispatch

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// userRate is how many reads and how many writes a second one user may be the object of (documented).
const userRate = 10

// Limiter refuses requests above a rate, by quota category and region, and by user. It looks nothing up: a pool
// that does not exist counts like one that does. A nil Limiter allows everything.
type Limiter struct {
	rates map[api.Quota]int
	clock clock.Clock // real time

	mu         sync.Mutex
	categories map[string]*rate.Limiter
	users      map[string]*rate.Limiter
	swept      time.Time
}

// NewLimiter enforces the rates, in requests a second; a category without a rate has no limit.
func NewLimiter(rates map[api.Quota]int, c clock.Clock) *Limiter {
	return &Limiter{rates: rates, clock: c, categories: map[string]*rate.Limiter{}, users: map[string]*rate.Limiter{}}
}

// Allow counts a request and returns TooManyRequestsException when it is one too many.
func (l *Limiter) Allow(spec *api.Spec, region, poolID, user string) error {
	if l == nil {
		return nil
	}
	now := l.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if user != "" && strings.HasPrefix(string(spec.Quota), "User") && poolID != "" {
		// One user under many spellings: letter case does not count, also where the pool heeds it.
		key := poolID + "\x00" + contact.Fold(user) + "\x00r"
		if spec.Writes {
			key = poolID + "\x00" + contact.Fold(user) + "\x00w"
		}
		if !bucket(l.users, key, userRate).AllowN(now, 1) {
			return fault.TooManyRequests()
		}
		l.sweep(now)
	}
	if n, ok := l.rates[spec.Quota]; ok && !bucket(l.categories, region+"\x00"+string(spec.Quota), n).AllowN(now, 1) {
		return fault.TooManyRequests()
	}
	return nil
}

// bucket finds or makes the bucket of a key: n requests a second, n at once.
func bucket(in map[string]*rate.Limiter, key string, n int) *rate.Limiter {
	b := in[key]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(n), n)
		in[key] = b
	}
	return b
}

// sweep drops the buckets of users that are full again, once a second.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for key, b := range l.users {
		if b.TokensAt(now) >= userRate {
			delete(l.users, key)
		}
	}
}
