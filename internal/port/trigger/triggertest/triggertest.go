// Package triggertest is the contract of trigger.Runner as a test, and a runner that records.
package triggertest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
)

// Behaviour is what the function does with each event. The zero Behaviour answers nothing at all.
type Behaviour struct {
	Answer   string // what it answers, as it stands
	Repeat   int    // how often Answer is repeated; 0: once
	Error    string // it raises an error with this message
	Hang     int    // so many first calls get no answer in time
	Throttle int    // so many first calls are turned away; only asked of worlds that can
	Break    bool   // the service that runs functions answers 500; only asked of worlds that can
}

// World is a runner and its one function.
type World struct {
	Runner trigger.Runner
	ARN    string
	Calls  func() int    // how often the function, or who runs it, was called
	Event  func() []byte // the last event that the function got
	// Service says that a service stands between: it can throttle and break.
	Service bool
}

// TryLimit is the time for one try that the world's runner should have: short where the function hangs, else so long that a
// busy machine does not matter.
func (b Behaviour) TryLimit() time.Duration {
	switch {
	case b.Hang > maxTries:
		return time.Second
	case b.Hang > 0:
		return 2 * time.Second
	}
	return time.Minute
}

// maxTries is how often a function is called at most.
const maxTries = 3

const event = `{"version":"1","triggerSource":"CustomMessage_UpdateUserAttribute","userName":"<jané>","request":{},"response":{}}`

// Run checks a runner against the contract. open makes a world whose function behaves as told.
func Run(t *testing.T, open func(t *testing.T, b Behaviour) *World) {
	t.Helper()
	good := `{"version":"9","userPoolId":"another","response":{"smsMessage":"ü {####}"}}`
	service := open(t, Behaviour{}).Service
	for _, test := range []struct {
		name     string
		does     Behaviour
		service  bool // needs a service between
		want     string
		failure  func(error) bool
		calls    int
		complain string
	}{
		{name: "only the response is read", does: Behaviour{Answer: good}, want: `{"smsMessage":"ü {####}"}`, calls: 1},
		{name: "an empty response is a response", does: Behaviour{Answer: `{"response":{}}`}, want: `{}`, calls: 1},
		{name: "function error", does: Behaviour{Error: "no such luck"}, failure: functionError("no such luck"), calls: 1},
		{name: "no answer", failure: is(trigger.ErrNotJSON), calls: 1},
		{name: "no JSON", does: Behaviour{Answer: "<html>"}, failure: is(trigger.ErrNotJSON), calls: 1},
		{name: "two values", does: Behaviour{Answer: good + good}, failure: is(trigger.ErrNotJSON), calls: 1},
		{name: "null", does: Behaviour{Answer: "null"}, failure: is(trigger.ErrUnrecognizable), calls: 1},
		{name: "a list", does: Behaviour{Answer: "[]"}, failure: is(trigger.ErrUnrecognizable), calls: 1},
		{name: "no response", does: Behaviour{Answer: `{"Response":{}}`}, failure: is(trigger.ErrUnrecognizable), calls: 1},
		{name: "null response", does: Behaviour{Answer: `{"response":null}`}, failure: is(trigger.ErrUnrecognizable), calls: 1},
		{name: "text response", does: Behaviour{Answer: `{"response":"{}"}`}, failure: is(trigger.ErrUnrecognizable), calls: 1},
		{name: "ten megabytes", does: Behaviour{Answer: `          `, Repeat: 1 << 20},
			failure: functionError("Response payload size exceeded maximum allowed payload size (6291556 bytes)"), calls: 1},
		{name: "slow once", does: Behaviour{Answer: good, Hang: 1}, want: `{"smsMessage":"ü {####}"}`, calls: 2},
		{name: "slow always", does: Behaviour{Answer: good, Hang: 9}, failure: is(trigger.ErrTimeout), calls: maxTries},
		{name: "throttled twice", service: true, does: Behaviour{Answer: good, Throttle: 2}, want: `{"smsMessage":"ü {####}"}`, calls: 3},
		{name: "throttled always", service: true, does: Behaviour{Answer: good, Throttle: 9}, failure: unreachable("TooManyRequestsException"), calls: maxTries},
		{name: "service broken", service: true, does: Behaviour{Break: true}, failure: unreachable("ServiceException"), calls: 1},
	} {
		if test.service && !service {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, test.does)
			got, err := w.Runner.Run(t.Context(), w.call())
			switch {
			case test.failure != nil && (err == nil || !test.failure(err)):
				t.Errorf("got answer %s, error %v (%T)", got, err, err)
			case test.failure == nil && err != nil:
				t.Errorf("failed: %v", err)
			case test.failure == nil && string(got) != test.want:
				t.Errorf("got %s, want %s", got, test.want)
			}
			if n := w.Calls(); n != test.calls {
				t.Errorf("the function was called %d times, want %d", n, test.calls)
			}
			if diff := cmp.Diff(event, string(w.Event())); diff != "" && !test.service {
				t.Errorf("the event changed on its way (-sent +got):\n%s", diff)
			}
		})
	}
	t.Run("refuses inside a transaction", func(t *testing.T) {
		t.Parallel()
		w := open(t, Behaviour{Answer: good})
		ctx := store.WithGuard(t.Context())
		defer store.Enter(ctx)()
		if _, err := w.Runner.Run(ctx, w.call()); !errors.Is(err, store.ErrInTransaction) || w.Calls() != 0 {
			t.Errorf("got error %v after %d calls, want %v and none", err, w.Calls(), store.ErrInTransaction)
		}
	})
	t.Run("hands an event over", func(t *testing.T) {
		t.Parallel()
		for _, answer := range []string{"", "null", "<html>", good} {
			w := open(t, Behaviour{Answer: answer})
			c := w.call()
			c.Hand = true
			got, err := w.Runner.Run(t.Context(), c)
			if err != nil || got != nil || w.Calls() != 1 {
				t.Errorf("%q: got answer %s, error %v after %d calls; want neither after one", answer, got, err, w.Calls())
			}
			if diff := cmp.Diff(event, string(w.Event())); diff != "" {
				t.Errorf("the event changed on its way (-sent +got):\n%s", diff)
			}
		}
	})
	t.Run("cannot hand an event over", func(t *testing.T) {
		t.Parallel()
		for _, test := range []struct {
			does    Behaviour
			service bool
		}{{does: Behaviour{Error: "no such luck"}}, {does: Behaviour{Hang: 9}}, {does: Behaviour{Break: true}, service: true}} {
			if test.service && !service {
				continue
			}
			w := open(t, test.does)
			c := w.call()
			c.Hand = true
			if _, err := w.Runner.Run(t.Context(), c); err == nil {
				t.Errorf("%+v: no error", test.does)
			}
		}
	})
	t.Run("obeys the context", func(t *testing.T) {
		t.Parallel()
		w := open(t, Behaviour{Answer: good, Hang: 9})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := w.Runner.Run(ctx, w.call())
		if !errors.Is(err, context.DeadlineExceeded) || w.Calls() > 1 {
			t.Errorf("got error %v after %d calls, want the context's error after one", err, w.Calls())
		}
	})
	t.Run("unknown function", func(t *testing.T) {
		t.Parallel()
		w := open(t, Behaviour{Answer: good})
		c := w.call()
		c.ARN = "arn:aws:lambda:us-east-1:123456789012:function:unheard-of"
		if _, err := w.Runner.Run(t.Context(), c); !unreachable("ResourceNotFoundException")(err) || w.Calls() != 0 {
			t.Errorf("got error %v after %d calls, want unreachable and none", err, w.Calls())
		}
	})
}

func (w *World) call() *trigger.Call {
	return &trigger.Call{Trigger: "CustomMessage", ARN: w.ARN, PoolID: "us-east-1_AbCdEf123", Account: "123456789012",
		PoolARN: "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_AbCdEf123", Event: []byte(event)}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func functionError(message string) func(error) bool {
	return func(err error) bool {
		failed, ok := errors.AsType[*trigger.FunctionError](err)
		return ok && failed.Message == message
	}
}

func unreachable(reason string) func(error) bool {
	return func(err error) bool {
		failed, ok := errors.AsType[*trigger.Unreachable](err)
		return ok && failed.Reason == reason
	}
}

// Recorder is a runner that keeps the events it is given. The zero value answers every call with an empty response.
type Recorder struct {
	mu     sync.Mutex
	calls  []*trigger.Call
	answer func(*trigger.Call) (json.RawMessage, error)
}

// Answer makes fn answer from now on.
func (r *Recorder) Answer(fn func(*trigger.Call) (json.RawMessage, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = fn
}

// Run keeps the call and answers.
func (r *Recorder) Run(ctx context.Context, c *trigger.Call) (json.RawMessage, error) {
	if err := store.Outside(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.calls = append(r.calls, c)
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		return json.RawMessage(`{}`), nil
	}
	return answer(c)
}

// Calls returns the calls so far, in order.
func (r *Recorder) Calls() []*trigger.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*trigger.Call(nil), r.calls...)
}

// Sources are the trigger sources of the calls so far, as "CustomMessage_UpdateUserAttribute".
func (r *Recorder) Sources() []string {
	var out []string
	for _, c := range r.Calls() {
		var e struct {
			Source string `json:"triggerSource"`
		}
		if err := json.Unmarshal(c.Event, &e); err != nil {
			e.Source = "unreadable event: " + strings.TrimSpace(err.Error())
		}
		out = append(out, e.Source)
	}
	return out
}
