// Package lambda runs the functions behind triggers: through the Lambda Invoke API (AWS, LocalStack, SAM), by posting the
// event to a URL, or as a local command.
//
// Which function runs where is the operator's map alone. A pool only names functions; a name that the map does not have
// cannot be called, so that who configures a pool cannot make the server call an address.
//
// What an event means is none of its business. It knows the rules of calling: five seconds a try, three tries for
// time-outs and throttling, none for a service that answers 5xx, six megabytes of answer, of which only the member
// "response" counts, and at most 64 calls at a time for one pool, so that a function that hangs, or calls the API that
// calls it, holds up nobody else. One that is down is left alone for seconds at a time (circuit.go).
package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/awssign"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
)

const (
	tryLimit     = 5 * time.Second
	maxTries     = 3
	firstPause   = 100 * time.Millisecond
	maxInFlight  = 64
	answerLimit  = 6291556 // bytes, as Lambda has it
	messageLimit = 4096    // bytes of a function's error message that are passed on
	anyFunction  = "*"
)

// Options say what runs for which function.
type Options struct {
	// Targets maps function ARNs, or "*" for all others, to what runs: "lambda", an http or https URL, or "cmd:" and
	// a program with its arguments, which are split at spaces.
	Targets map[string]string
	Secret  secret.Text // signs the posts to URLs; empty: they carry no signature
	// Endpoint of the Lambda API, "" for AWS; Region, "" for that of the function's ARN.
	Endpoint, Region string
	Real             clock.Clock   // dates the signatures, and failures
	TryLimit         time.Duration // for one try; 0: five seconds
}

// Router runs functions. It is a trigger.Runner.
type Router struct {
	targets  map[string]target
	tryLimit time.Duration
	real     clock.Clock
	circuits circuits

	mu       sync.Mutex
	inFlight map[string]int // calls under way, by pool
}

// A target calls one kind of function, once. Its error is a *trigger.FunctionError, a *trigger.Unreachable, or a
// *throttled, which may be tried again; running out of time is noticed by the router.
type target interface {
	invoke(ctx context.Context, c *trigger.Call) (answer []byte, err error)
}

// throttled says that the function takes no calls now.
type throttled struct{ cause error }

func (t *throttled) Error() string { return "throttled: " + t.cause.Error() }
func (t *throttled) Unwrap() error { return t.cause }

// New checks the map; it calls nothing.
func New(o Options) (*Router, error) {
	r := &Router{targets: make(map[string]target, len(o.Targets)), tryLimit: o.TryLimit, real: o.Real, inFlight: make(map[string]int)}
	r.circuits.down = make(map[endpoint]*circuit)
	if r.tryLimit == 0 {
		r.tryLimit = tryLimit
	}
	client := webhook.NewClient()
	api := &invokeAPI{signer: awssign.New("lambda", o.Endpoint, o.Region), client: client, real: o.Real}
	for arn, text := range o.Targets {
		if arn != anyFunction && !strings.HasPrefix(arn, "arn:") {
			return nil, fmt.Errorf("trigger %q: a function is named by its ARN, or * for all others", arn)
		}
		program, isCommand := strings.CutPrefix(text, "cmd:")
		switch words := strings.Fields(program); {
		case text == "lambda":
			r.targets[arn] = api
		case strings.HasPrefix(text, "http://"), strings.HasPrefix(text, "https://"):
			r.targets[arn] = &hook{url: text, secret: o.Secret, client: client, real: o.Real}
		case isCommand && len(words) > 0:
			r.targets[arn] = &command{words: words}
		default:
			return nil, fmt.Errorf("trigger %s: the target is none of lambda, a URL, cmd: and a program", arn)
		}
	}
	return r, nil
}

// Run calls the function, up to three times.
func (r *Router) Run(ctx context.Context, c *trigger.Call) (json.RawMessage, error) {
	if err := store.Outside(ctx); err != nil {
		return nil, err
	}
	t, known := r.targets[c.ARN]
	if !known {
		t, known = r.targets[anyFunction]
	}
	if !known {
		return nil, &trigger.Unreachable{Reason: "ResourceNotFoundException",
			Cause: fmt.Errorf("the operator has set no target for %s", c.ARN)}
	}
	if !r.enter(c.PoolID) {
		return nil, &trigger.Unreachable{Reason: "TooManyRequestsException",
			Cause: fmt.Errorf("%d calls are under way for the pool", maxInFlight)}
	}
	defer r.leave(c.PoolID)
	at := endpoint{c.PoolID, c.ARN}
	probe, err := r.circuits.refusal(at, r.real.Now())
	if err != nil {
		return nil, err
	}
	if probe {
		defer r.circuits.probed(at)
	}

	pause := firstPause
	for try := 1; ; try++ {
		answer, err := r.try(ctx, t, c)
		if ctx.Err() == nil {
			r.circuits.tried(at, r.real.Now(), err)
		}
		switch {
		case err == nil && c.Hand:
			return nil, nil
		case err == nil:
			return response(answer)
		case ctx.Err() != nil:
			return nil, fmt.Errorf("call function for %s: %w", c.Trigger, context.Cause(ctx))
		case errors.Is(err, trigger.ErrTimeout):
		default:
			busy, retry := errors.AsType[*throttled](err)
			if !retry {
				return nil, err
			}
			err = &trigger.Unreachable{Reason: "TooManyRequestsException", Cause: busy.cause}
			if try < maxTries && !wait(ctx, pause) {
				return nil, fmt.Errorf("call function for %s: %w", c.Trigger, context.Cause(ctx))
			}
			pause *= 2
		}
		if try == maxTries {
			return nil, err
		}
	}
}

// try calls the function once, within the limit.
func (r *Router) try(ctx context.Context, t target, c *trigger.Call) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, r.tryLimit)
	defer cancel()
	answer, err := t.invoke(limited, c)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, trigger.ErrTimeout
	}
	return answer, err
}

// wait pauses; false when the caller gave up meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Router) enter(pool string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight[pool] >= maxInFlight {
		return false
	}
	r.inFlight[pool]++
	return true
}

func (r *Router) leave(pool string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight[pool]--; r.inFlight[pool] == 0 {
		delete(r.inFlight, pool)
	}
}

// response takes the response member out of an answer. Nothing else of the answer is looked at: a function cannot change
// the pool, the user or the version.
func response(answer []byte) (json.RawMessage, error) {
	if !json.Valid(answer) {
		return nil, trigger.ErrNotJSON
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) != nil {
		return nil, trigger.ErrUnrecognizable
	}
	if r := members["response"]; len(r) > 0 && r[0] == '{' {
		return r, nil
	}
	return nil, trigger.ErrUnrecognizable
}

// tooLarge is what Lambda makes of an answer over the limit.
func tooLarge() error {
	return &trigger.FunctionError{Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes)", answerLimit)}
}

// functionError reads what a failed function says of itself.
func functionError(payload []byte) (*trigger.FunctionError, bool) {
	var e struct {
		Message *string `json:"errorMessage"`
	}
	if json.Unmarshal(payload, &e) != nil || e.Message == nil {
		return nil, false
	}
	return &trigger.FunctionError{Message: clip(*e.Message)}, true
}

func clip(s string) string {
	if len(s) > messageLimit {
		s = s[:messageLimit]
	}
	return strings.ToValidUTF8(s, "")
}
