// Package trigger is the port to the functions that an operator hangs into the life of users. Its contract is the
// test kit next door, triggertest.
//
// A runner finds the function, calls it within the time and the number of tries that the service documents, and
// hands back the response member of the answer. What an event holds and what a response may say is decided in
// domain/notice; which fault a client reads, in service/messages.
package trigger

import (
	"context"
	"encoding/json"
	"errors"
)

// Call is one call of a function.
type Call struct {
	Trigger string // as in LambdaConfig: "CustomMessage"
	ARN     string // of the function, as the pool configures it
	PoolID  string
	PoolARN string // tells the function for whom it works
	Account string
	Event   []byte // JSON
	// Hand says that nobody waits for an answer: the function is handed the event and that is all. Run then returns no response,
	// whatever the function answers; where the function runs behind a service that queues events, its errors are not seen either.
	Hand bool
}

// Runner calls functions. It is safe for concurrent use, obeys the context, and refuses a context that is inside a
// transaction (store.Outside).
type Runner interface {
	// Run returns the response member of the function's answer, which is a JSON object, or nothing for a call with Hand. Its errors are
	// *FunctionError, *Unreachable, ErrTimeout, ErrNotJSON and ErrUnrecognizable; anything else means that the
	// caller gave up, or a defect of ours.
	Run(ctx context.Context, c *Call) (json.RawMessage, error)
}

// FunctionError says that the function ran and raised an error.
type FunctionError struct{ Message string }

func (e *FunctionError) Error() string { return "the function failed: " + e.Message }

// Unreachable says that the function could not be called.
type Unreachable struct {
	Reason string // for the client: an exception's name, as "AccessDeniedException"
	Cause  error  // for the log
}

func (e *Unreachable) Error() string {
	if e.Cause == nil {
		return "cannot call the function: " + e.Reason
	}
	return "cannot call the function: " + e.Reason + ": " + e.Cause.Error()
}

func (e *Unreachable) Unwrap() error { return e.Cause }

// The other ways to fail.
var (
	ErrTimeout        = errors.New("the function did not answer in time")
	ErrNotJSON        = errors.New("the function's answer is not JSON")
	ErrUnrecognizable = errors.New("the function's answer has no response object")
)
