package lambda_test

import (
	"errors"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/lambda"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/port/trigger/triggertest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestCircuit is test R16: a function that is down is left alone, for one pool and not for others, until one call finds it back.
func TestCircuit(t *testing.T) {
	t.Parallel()
	f := serve(t, triggertest.Behaviour{Break: true, Answer: `{"response":{}}`}, false)
	now := clock.NewFake(time.Unix(1753900000, 0))
	r, err := lambda.New(lambda.Options{Targets: map[string]string{"*": f.URL}, TryLimit: time.Minute, Real: now})
	want.NoError(t, err)
	calls := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.calls
	}
	// run reports what came of a call, and whether the function saw it.
	run := func(pool, name string) (up, seen bool) {
		before := calls()
		_, err := r.Run(t.Context(), &trigger.Call{ARN: name, PoolID: pool, Event: []byte("{}")})
		if err != nil {
			u, ok := errors.AsType[*trigger.Unreachable](err)
			want.True(t, ok && u.Reason == "ServiceException", "the failure that was last: %v", err)
		}
		return err == nil, calls() > before
	}
	fail := func(n int, pool string) {
		for range n {
			up, seen := run(pool, arn)
			want.True(t, !up && seen, "the function is asked")
		}
	}
	leftAlone := func() {
		up, seen := run("a", arn)
		want.True(t, !up && !seen, "the function is left alone")
	}

	// Failures that are spread over more than ten seconds are no reason.
	for range 4 {
		fail(9, "a")
		now.Advance(5*time.Second + time.Millisecond)
	}
	now.Advance(time.Minute)
	fail(20, "a")
	leftAlone()
	now.Advance(5*time.Second - time.Millisecond)
	leftAlone()
	fail(1, "b")
	_, seen := run("a", arn+":2")
	want.True(t, seen, "another function of the pool is asked")

	// One call looks, finds it down, and the pause begins anew.
	now.Advance(time.Millisecond)
	fail(1, "a")
	leftAlone()
	now.Advance(5 * time.Second)
	f.mu.Lock()
	f.Break = false
	f.mu.Unlock()
	for range 3 {
		up, seen := run("a", arn)
		want.True(t, up && seen, "the function is back")
	}
	// What failed before counts no more.
	f.mu.Lock()
	f.Break = true
	f.mu.Unlock()
	fail(19, "a")
}

// TestCircuitProbe lets many callers come when one may find out: the function sees one, and while that hangs the others are refused.
func TestCircuitProbe(t *testing.T) {
	t.Parallel()
	f := serve(t, triggertest.Behaviour{Break: true}, false)
	now := clock.NewFake(time.Unix(1753900000, 0))
	r, err := lambda.New(lambda.Options{Targets: map[string]string{"*": f.URL}, TryLimit: time.Minute, Real: now})
	want.NoError(t, err)
	run := func() error {
		_, err := r.Run(t.Context(), &trigger.Call{ARN: arn, PoolID: "a", Event: []byte("{}")})
		return err
	}
	for range 20 {
		want.True(t, run() != nil, "the function is down")
	}
	now.Advance(5 * time.Second)
	f.mu.Lock()
	f.Hang = f.calls + 1
	f.mu.Unlock()
	probe := make(chan error)
	go func() { probe <- run() }()
	for called := false; !called; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		called = f.calls == 21
		f.mu.Unlock()
	}
	for range 10 {
		want.True(t, run() != nil, "somebody finds out already")
	}
	f.mu.Lock()
	want.Equal(t, f.calls, 21)
	f.mu.Unlock()
	f.CloseClientConnections()
	want.True(t, <-probe != nil, "the function is still down")
}
