// Package fault is the one error type for everything a client may learn, and the catalogue of every text the
// server sends. Constructors are generated from catalogue.txt; operations never type a message.
//
// Rendering a fault as bytes belongs to internal/edge/wire; deciding which fault an absence means belongs to the
// operation. Anything that is not a *Error is internal: the client gets InternalErrorException and the request
// id, the log gets the chain.
package fault

import (
	"errors"
	"time"
)

// Code is the exception's name as the service writes it, such as "UserNotFoundException".
type Code string

// Error is a fault that a client may read.
type Error struct {
	Code    Code
	Message string            // exactly what the client reads
	Fields  map[string]string // members that some exceptions carry besides the message
	Details []Detail          // one for each violated constraint
	Retry   time.Duration     // how long a throttled caller should wait; 0 says nothing
	cause   error             // for the log only
}

// Detail names one violated constraint.
type Detail struct {
	Field  string // the member's path, such as "userAttributes.1.member.value"
	Reason string // the rule, such as "Member must not be null"
}

// Error is the code and the message, for logs and tests.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.cause != nil {
		s += " (" + e.cause.Error() + ")"
	}
	return s
}

// Because returns a copy that carries the cause. The client never sees it.
func (e *Error) Because(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a fault of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf is the code that the client will read: InternalErrorException for anything that is not a fault.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return InternalErrorException
}
