package store

import (
	"context"
	"errors"
	"sync/atomic"
)

// ErrInTransaction is what an outbound client answers when it is called from inside a transaction.
var ErrInTransaction = errors.New("called from inside a transaction")

type guardKey struct{}

// WithGuard returns a context in which Enter marks the time that is spent inside a transaction.
func WithGuard(ctx context.Context) context.Context {
	return context.WithValue(ctx, guardKey{}, new(atomic.Int32))
}

// Enter marks that a transaction's function begins to run; the returned function ends that. Implementations of
// Store call it around fn.
func Enter(ctx context.Context) (leave func()) {
	if n, ok := ctx.Value(guardKey{}).(*atomic.Int32); ok {
		n.Add(1)
		return func() { n.Add(-1) }
	}
	return func() {}
}

// Outside returns ErrInTransaction when a transaction's function is running under the context. Every outbound
// client asks first: a hook or a mail inside a transaction would run again when the transaction is repeated.
func Outside(ctx context.Context) error {
	if n, ok := ctx.Value(guardKey{}).(*atomic.Int32); ok && n.Load() > 0 {
		return ErrInTransaction
	}
	return nil
}
