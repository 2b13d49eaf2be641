package dispatch

import (
	"context"
	"fmt"

	"github.com/poolhouse/poolhouse/api"
)

// handler is a registered operation with its types erased: new makes an input, run calls the function.
type handler struct {
	new func() any
	run func(ctx context.Context, c *Call, in any) (any, error)
}

// Registry maps operations to the functions that carry them out. It is filled once, by hand, in package app.
type Registry struct{ handlers map[string]handler }

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{handlers: make(map[string]handler)} }

// Family is a group of operations that registers itself.
type Family interface{ Register(*Registry) }

// Handle registers an operation. It panics when the operation is registered already: the program is broken.
func Handle[In, Out any](r *Registry, op api.Op[In, Out], fn func(context.Context, *Call, *In) (*Out, error)) {
	if _, twice := r.handlers[op.Name]; twice {
		panic(fmt.Sprintf("operation %s is registered twice", op.Name))
	}
	r.handlers[op.Name] = handler{
		new: func() any { return new(In) },
		run: func(ctx context.Context, c *Call, in any) (any, error) {
			out, err := fn(ctx, c, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// Built reports whether the operation is carried out here.
func (r *Registry) Built(name string) bool { _, ok := r.handlers[name]; return ok }
