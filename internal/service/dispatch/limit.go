package dispatch

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// The documented limits besides those of categories, in requests a second.
const (
	// UserRate is how many reads and how many writes one user may be the object of.
	UserRate = 10
	// PoolRate is how often one operation of the categories for clients and resources may be called for one pool.
	PoolRate = 5
	// challengeShare is how many times the category's rate the answers to challenges have of their own; only what exceeds that counts
	// in the category.
	challengeShare = 3
)

// freshFor is how long a provisioned rate serves before it is looked up again.
const freshFor = time.Second

// Rates are what a Limiter enforces, in requests a second.
type Rates struct {
	// Categories are the rates for one region; a category without a rate has no limit.
	Categories map[api.Quota]int
	// User is for the reads, and likewise the writes, that one user is the object of; 0: no limit.
	User int
	// Pool is for one operation and pool in the categories of clients and resources; 0: no limit.
	Pool int
}

// Limiter refuses requests above a rate: by quota category and region, by operation and pool, and by user. It looks up neither
// pool nor user: one that does not exist counts like one that does. A nil Limiter allows everything.
type Limiter struct {
	rates Rates
	clock clock.Clock // real time
	// Provisioned finds the rate that was set for a region and category through the API; false when none was. Nil: none can be.
	Provisioned func(ctx context.Context, region string, q api.Quota) (int, bool, error)
	Log         *slog.Logger // needed with Provisioned

	mu         sync.Mutex
	categories map[string]*category
	own        map[string]*rate.Limiter // of the answers to challenges, by region and operation
	users      buckets
	pools      buckets
}

// category is what a Limiter knows of a category in a region.
type category struct {
	bucket *rate.Limiter
	n      int       // the rate in force
	looked time.Time // when it was last looked up
}

// NewLimiter enforces rates.
func NewLimiter(rates Rates, c clock.Clock) *Limiter {
	return &Limiter{rates: rates, clock: c, categories: map[string]*category{}, own: map[string]*rate.Limiter{},
		users: buckets{n: rates.User}, pools: buckets{n: rates.Pool}}
}

// Allow counts a request and returns TooManyRequestsException when it is one too many. The pool is the text in the request, or that of
// the client where it names no pool; user may be "".
//
// What a narrow limit refuses does not count in a wider one, so that one user or pool cannot use up the category of all.
func (l *Limiter) Allow(ctx context.Context, spec *api.Spec, region, poolID, user string) error {
	if l == nil {
		return nil
	}
	l.refresh(ctx, region, spec.Quota)
	now := l.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if user != "" && poolID != "" && ofUsers(spec.Quota) {
		// One user under many spellings: letter case does not count, also where the pool heeds it.
		key := poolID + "\x00" + contact.Fold(user) + "\x00r"
		if spec.Writes {
			key = poolID + "\x00" + contact.Fold(user) + "\x00w"
		}
		if !l.users.allow(key, now) {
			return fault.TooManyRequests()
		}
	}
	if poolID != "" && byPool(spec.Quota) && !l.pools.allow(poolID+"\x00"+spec.Name, now) {
		return fault.TooManyRequests()
	}
	c := l.category(region, spec.Quota)
	if c == nil {
		return nil
	}
	if answersChallenge(spec) && bucket(l.own, region+"\x00"+spec.Name, challengeShare*c.n, now).AllowN(now, 1) {
		return nil
	}
	if !c.bucket.AllowN(now, 1) {
		return fault.TooManyRequests()
	}
	return nil
}

// category finds or makes what is known of a category that has a rate.
func (l *Limiter) category(region string, q api.Quota) *category {
	key := region + "\x00" + string(q)
	if c := l.categories[key]; c != nil {
		return c
	}
	n, limited := l.rates.Categories[q]
	if !limited {
		return nil
	}
	c := &category{bucket: rate.NewLimiter(rate.Limit(n), n), n: n}
	l.categories[key] = c
	return c
}

// refresh looks up the provisioned rate of a category, once a second at most and by one request alone. While that fails, the last
// known rate stays.
func (l *Limiter) refresh(ctx context.Context, region string, q api.Quota) {
	if l.Provisioned == nil {
		return
	}
	now := l.clock.Now()
	l.mu.Lock()
	c := l.category(region, q)
	due := c != nil && (c.looked.IsZero() || now.Sub(c.looked) >= freshFor)
	if due {
		c.looked = now
	}
	l.mu.Unlock()
	if !due {
		return
	}
	n, set, err := l.Provisioned(ctx, region, q)
	if err != nil {
		if ctx.Err() == nil {
			l.Log.WarnContext(ctx, "provisioned limit not read; the last known one stays", "category", string(q), "region", region, "error", err)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !set {
		n = l.rates.Categories[q]
	}
	if c.n != n {
		c.n = n
		c.bucket.SetLimitAt(now, rate.Limit(n))
		c.bucket.SetBurstAt(now, n)
	}
}

// ofUsers reports whether the operations of a category are about one user.
func ofUsers(q api.Quota) bool {
	return strings.HasPrefix(string(q), "User") && !strings.HasPrefix(string(q), "UserPool")
}

// byPool reports whether a category also has a limit for each operation and pool.
func byPool(q api.Quota) bool {
	return q == api.UserPoolResourceRead || q == api.UserPoolResourceUpdate || q == api.UserPoolClientRead || q == api.UserPoolClientUpdate
}

// answersChallenge reports whether an operation has a rate of its own before it counts in its category.
func answersChallenge(spec *api.Spec) bool {
	return spec.Name == "RespondToAuthChallenge" || spec.Name == "AdminRespondToAuthChallenge"
}

// bucket finds or makes the bucket of a key: n requests a second, n at once.
func bucket(in map[string]*rate.Limiter, key string, n int, now time.Time) *rate.Limiter {
	b := in[key]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(n), n)
		in[key] = b
	}
	if b.Burst() != n {
		b.SetLimitAt(now, rate.Limit(n))
		b.SetBurstAt(now, n)
	}
	return b
}

// buckets are many of one rate, of which those that are full again are forgotten.
type buckets struct {
	n     int // a second; 0: no limit
	by    map[string]*rate.Limiter
	swept time.Time
}

func (b *buckets) allow(key string, now time.Time) bool {
	if b.n <= 0 {
		return true
	}
	if b.by == nil {
		b.by = map[string]*rate.Limiter{}
	}
	ok := bucket(b.by, key, b.n, now).AllowN(now, 1)
	if now.Sub(b.swept) >= time.Second {
		b.swept = now
		for key, one := range b.by {
			if one.TokensAt(now) >= float64(b.n) {
				delete(b.by, key)
			}
		}
	}
	return ok
}
