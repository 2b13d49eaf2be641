package bench

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// Steady is a mixed load for a long time: of ten requests four change attributes, three read a user, two look one up by e-mail and one
// reads the pool.
type Steady struct {
	t           target
	connections int
	next        atomic.Uint64
}

// mix is the load, request by request.
var mix = [...]string{"AdminUpdateUserAttributes", "AdminGetUser", "ListUsers", "AdminUpdateUserAttributes", "AdminGetUser", "AdminUpdateUserAttributes",
	"ListUsers", "AdminGetUser", "AdminUpdateUserAttributes", "DescribeUserPool"}

// NewSteady makes a load on a server that does not verify signatures, about the users of a pool that Fill made.
func NewSteady(s *Server, pool string, users, connections int) *Steady {
	return &Steady{t: target{address: s.Address, pid: s.PID, maker: &caller.Maker{Host: s.Address, Credentials: unverified}, about: subject{pool: pool}, users: users}, connections: connections}
}

// A Window is what was measured of a steady load for a while.
type Window struct {
	Rate       float64 // requests a second
	P50, P99   time.Duration
	Errors     uint64
	FirstError string
}

// Run sends the load for a while over new connections, at a rate, or as fast as it is answered if the rate is 0.
func (s *Steady) Run(ctx context.Context, duration time.Duration, rate float64) (*Window, error) {
	l := load{address: s.t.address, connections: s.connections, duration: duration, rate: rate, next: &s.next, request: func(to []byte, n uint64) []byte {
		var space [1024]byte
		name := mix[n%uint64(len(mix))]
		return s.t.maker.Append(to, name, operations[name].body(space[:0], &s.t.about, n*2654435761%uint64(s.t.users), n))
	}}
	got, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	return &Window{Rate: got.rate(), P50: got.times.quantile(0.5), P99: got.times.quantile(0.99), Errors: got.errors, FirstError: got.first}, nil
}
