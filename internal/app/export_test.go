package app

import (
	"context"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
)

// WithFault lets the database fail.
func WithFault(o Options, fault func(context.Context, sqlstore.Stage) error) Options {
	o.fault = fault
	return o
}
