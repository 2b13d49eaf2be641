package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const limitedPool = "us-east-1_Abc"

// allowed is how many of n requests a limiter allows.
func allowed(t *testing.T, l *dispatch.Limiter, spec *api.Spec, region, pool, user string, n int) (ok int) {
	t.Helper()
	for range n {
		switch err := l.Allow(t.Context(), spec, region, pool, user); {
		case err == nil:
			ok++
		default:
			want.Error(t, err, fault.TooManyRequests())
		}
	}
	return ok
}

// TestLimiter is test I13: exactly above the rate, other users unaffected, off without a limiter.
func TestLimiter(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Unix(1_700_000_000, 0))
	l := dispatch.NewLimiter(dispatch.Rates{Categories: map[api.Quota]int{api.UserUpdate: 25}, User: dispatch.UserRate}, fake)
	update, get := api.AdminUpdateUserAttributes.Spec, api.AdminGetUser.Spec
	of := func(spec *api.Spec, region, user string, n int) int {
		return allowed(t, l, spec, region, limitedPool, user, n)
	}
	want.Equal(t, of(update, "us-east-1", "a", 6), 6)
	want.Equal(t, of(update, "us-east-1", "A", 30), 4) // ten writes a second and user, however it is spelt
	want.Equal(t, of(get, "us-east-1", "a", 30), 10)   // reads count apart
	want.Equal(t, of(update, "us-east-1", "b", 30), 10)
	want.Equal(t, of(update, "us-east-1", "c", 30), 5) // the category is full: 25
	want.Equal(t, of(update, "eu-west-1", "d", 30), 10)
	fake.Advance(200 * time.Millisecond)
	want.Equal(t, of(update, "us-east-1", "e", 30), 5)
	want.Error(t, l.Allow(t.Context(), update, "us-east-1", limitedPool, "e"), fault.TooManyRequests())
	fake.Advance(time.Minute)
	want.Equal(t, of(update, "us-east-1", "a", 30), 10)
	var off *dispatch.Limiter
	want.Equal(t, allowed(t, off, update, "us-east-1", limitedPool, "a", 1000), 1000)
	none := dispatch.NewLimiter(dispatch.Rates{}, fake)
	want.Equal(t, allowed(t, none, update, "us-east-1", limitedPool, "a", 1000), 1000)
}

// TestLimiterByPool holds that operations on clients and resources have a limit for each pool, and others none.
func TestLimiterByPool(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Unix(1_700_000_000, 0))
	l := dispatch.NewLimiter(dispatch.Rates{Categories: api.DefaultLimits(), User: dispatch.UserRate, Pool: dispatch.PoolRate}, fake)
	for _, test := range []struct {
		spec      *api.Spec
		pool      string
		wantCount int
	}{
		{api.CreateGroup.Spec, "a", 5},
		{api.CreateGroup.Spec, "b", 5},
		{api.UpdateGroup.Spec, "a", 5},
		{api.DeleteGroup.Spec, "a", 0}, // the category is full: 15
		{api.GetGroup.Spec, "a", 5},
		{api.CreateUserPoolClient.Spec, "a", 5},
		{api.DescribeUserPoolClient.Spec, "a", 5},
		{api.UpdateUserPool.Spec, "a", 15},
		{api.DescribeUserPool.Spec, "a", 15},
		{api.ListUsers.Spec, "a", 30},
		{api.AdminUpdateUserAttributes.Spec, "a", 25},
		{api.GetProvisionedLimit.Spec, "", 1},
	} {
		want.Equal(t, fmt.Sprint(test.spec.Name, test.pool, allowed(t, l, test.spec, "us-east-1", test.pool, "", 40)), fmt.Sprint(test.spec.Name, test.pool, test.wantCount))
	}
	fake.Advance(time.Second)
	want.Equal(t, allowed(t, l, api.CreateGroup.Spec, "us-east-1", "a", "", 40), 5)
}

// TestLimiterOfChallenges holds that answers to challenges have three times the rate before they count with sign-ins.
func TestLimiterOfChallenges(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Unix(1_700_000_000, 0))
	l := dispatch.NewLimiter(dispatch.Rates{Categories: api.DefaultLimits()}, fake)
	of := func(spec *api.Spec, n int) int { return allowed(t, l, spec, "us-east-1", "", "", n) }
	want.Equal(t, of(api.RespondToAuthChallenge.Spec, 360), 360)
	want.Equal(t, of(api.AdminRespondToAuthChallenge.Spec, 360), 360)
	want.Equal(t, of(api.RespondToAuthChallenge.Spec, 100), 100) // the excess counts here
	want.Equal(t, of(api.InitiateAuth.Spec, 100), 20)
	want.Equal(t, of(api.AdminRespondToAuthChallenge.Spec, 100), 0)
}

// TestProvisionedLimitIsLookedUp holds that a provisioned rate is looked up once a second, and that the last one stays while that fails.
func TestProvisionedLimitIsLookedUp(t *testing.T) {
	t.Parallel()
	fake, log := clock.NewFake(time.Unix(1_700_000_000, 0)), &bytes.Buffer{}
	l := dispatch.NewLimiter(dispatch.Rates{Categories: map[api.Quota]int{api.UserUpdate: 25}}, fake)
	rate, set, failure, asked := 50, true, error(nil), 0
	l.Log = slog.New(slog.NewTextHandler(log, nil))
	l.Provisioned = func(_ context.Context, region string, q api.Quota) (int, bool, error) {
		asked++
		want.Equal(t, region+string(q), "us-east-1UserUpdate")
		return rate, set, failure
	}
	of := func() int { return allowed(t, l, api.AdminDisableUser.Spec, "us-east-1", limitedPool, "", 100) }
	of()
	want.Equal(t, allowed(t, l, api.AdminGetUser.Spec, "us-east-1", limitedPool, "", 100), 100) // has no rate: nothing to look up
	want.Equal(t, asked, 1)
	for _, step := range []struct {
		rate    int
		set     bool
		failure error
		want    int
	}{{50, true, nil, 50}, {50, true, errors.New("no disk"), 50}, {70, true, nil, 70}, {0, false, nil, 25}} {
		rate, set, failure = step.rate, step.set, step.failure
		fake.Advance(time.Second)
		of() // looks it up
		fake.Advance(2 * time.Second)
		want.Equal(t, of(), step.want)
	}
	want.Equal(t, asked, 9)
	want.Equal(t, strings.Count(log.String(), "provisioned limit not read"), 2)
}

// TestSources is test A12 at its smallest: one address has a budget, others are unaffected.
func TestSources(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Unix(1_700_000_000, 0))
	s := dispatch.NewSources(600, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, fake)
	of := func(source string, n int) (ok int) {
		for range n {
			if err := s.Allow(source); err == nil {
				ok++
			} else {
				want.Error(t, err, fault.TooManyRequests())
			}
		}
		return ok
	}
	want.Equal(t, of("192.0.2.1", 10_000), 600)
	want.Equal(t, of("192.0.2.2", 300), 300)
	want.Equal(t, of("::ffff:192.0.2.2", 10_000), 300) // the same
	want.Equal(t, of("2001:db8::1", 10_000), 600)
	want.Equal(t, of("2001:db8:0:0:ffff::2%eth0", 10), 0) // its network
	want.Equal(t, of("2001:db8:0:1::1", 10), 10)
	want.Equal(t, of("10.1.2.3", 10_000), 10_000)
	want.Equal(t, of("", 1000), 1000)
	fake.Advance(time.Second)
	want.Equal(t, of("192.0.2.1", 100), 10)
	fake.Advance(time.Hour)
	want.Equal(t, of("192.0.2.1", 10_000), 600)
	var off *dispatch.Sources
	for range 10_000 {
		want.NoError(t, off.Allow("192.0.2.1"))
	}
}

// TestSourcesAreBounded makes more networks than there are budgets for: the one that is used up stays used up, or nearly always so.
func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	s := dispatch.NewSources(5, nil, clock.NewFake(time.Unix(1_700_000_000, 0)))
	for range 6 {
		_ = s.Allow("192.0.2.1")
	}
	for n := range 120_000 {
		want.NoError(t, s.Allow(netip.AddrFrom4([4]byte{172, byte(n >> 16), byte(n >> 8), byte(n)}).String()))
	}
	want.Error(t, s.Allow("192.0.2.1"), fault.TooManyRequests())
}

// TestSpray is test A12: one password for ten thousand users from one address. Before anything of the requests is read, all but the
// budget are refused; others, and operations that need a key, go on.
func TestSpray(t *testing.T) {
	t.Parallel()
	fake := clock.NewFake(time.Unix(1_700_000_000, 0))
	reg := dispatch.NewRegistry()
	dispatch.Handle(reg, api.InitiateAuth, func(context.Context, *dispatch.Call, *api.InitiateAuthInput) (*api.InitiateAuthOutput, error) {
		return nil, errors.New("there is no client to sign in with")
	})
	dispatch.Handle(reg, api.ListUserPools, func(context.Context, *dispatch.Call, *api.ListUserPoolsInput) (*api.ListUserPoolsOutput, error) {
		return &api.ListUserPoolsOutput{}, nil
	})
	p := &dispatch.Pipeline{Registry: reg, Clock: fake, Log: slog.New(slog.DiscardHandler), Sources: dispatch.NewSources(600, nil, fake)}
	body := spray{}
	send := func(operation, source string) fault.Code {
		reply := p.Serve(t.Context(), &dispatch.Request{ID: "r", Operation: operation, Region: "us-east-1", Source: source, Inbound: &body})
		if reply.Err == nil {
			return ""
		}
		return reply.Err.Code
	}
	counts := map[fault.Code]int{}
	for range 10_000 {
		counts[send("InitiateAuth", "192.0.2.1")]++
	}
	// Those that are within the budget are refused for what they lack, which is a client.
	want.Equal(t, counts, map[fault.Code]int{fault.InvalidParameterException: 600, fault.TooManyRequestsException: 9_400})
	want.Equal(t, body.read, 600)
	want.Equal(t, send("InitiateAuth", "192.0.2.2"), fault.InvalidParameterException)
	want.Equal(t, send("ListUserPools", "192.0.2.1"), "")
}

// spray counts how often a body is read.
type spray struct{ read int }

func (*spray) Authenticate(context.Context, *api.Spec) (dispatch.Principal, error) {
	return dispatch.Principal{KeyID: "k"}, nil
}

func (s *spray) Decode(_ *api.Spec, into any) (dispatch.Missing, error) {
	s.read++
	if in, ok := into.(*api.ListUserPoolsInput); ok {
		in.MaxResults = 1
	}
	return nil, nil
}
