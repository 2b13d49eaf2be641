// Package jobs is the work that no request waits for. Its timers are the only ones that decide when something happens.
//
// The outbox's worker decides when a message is tried; what a try is, and what becomes of the message, is the business of
// service/messages.
package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

const (
	parallel = 8 // messages on their way at the same time
	// lease is how long a claimed message is left alone by other nodes, and how soon it comes again when this one dies:
	// longer than three calls of a function and a delivery take.
	lease     = time.Minute
	workLimit = 50 * time.Second
	// grace is what a delivery under way gets when the server stops.
	grace      = 5 * time.Second
	pollEvery  = time.Second
	purgeEvery = time.Hour
	purgeBatch = 500
	keep       = 7 * 24 * time.Hour
)

// Courier takes a message as far as it gets now and writes down the outcome. Its error means that nothing is written, so
// that the message comes again.
type Courier interface {
	Deliver(ctx context.Context, m *notice.Message) error
}

// Outbox is the worker that delivers what requests have left in the outbox. Several nodes may run one each: a message is
// claimed before it is tried, so that usually only one of them sends it.
type Outbox struct {
	Store   store.Store
	Courier Courier
	Clock   clock.Clock // the domain's: the age of finished messages goes by it
	Real    clock.Clock // claims and tries go by it
	Log     *slog.Logger

	wake    chan struct{}
	failing bool // the last look at the outbox failed; used by Run alone
}

// NewOutbox returns a worker that Run starts.
func NewOutbox(s store.Store, c Courier, domain, real clock.Clock, log *slog.Logger) *Outbox {
	return &Outbox{Store: s, Courier: c, Clock: domain, Real: real, Log: log, wake: make(chan struct{}, 1)}
}

// Wake tells the worker that there may be something to deliver. It never blocks.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default: // it has been told already
	}
}

// Run delivers until the context ends, and returns when the last delivery has.
func (o *Outbox) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	poll, sweep := time.NewTicker(pollEvery), time.NewTicker(purgeEvery)
	defer poll.Stop()
	defer sweep.Stop()
	busy, done := 0, make(chan struct{}, parallel)
	o.purge(ctx)
	for {
		for _, m := range o.claim(ctx, parallel-busy) {
			busy++
			running.Go(func() {
				o.deliver(ctx, m)
				done <- struct{}{}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-done:
			busy--
		case <-o.wake:
		case <-poll.C:
		case <-sweep.C:
			o.purge(ctx)
		}
	}
}

// claim takes due messages for this node by moving their next try ahead. Nothing is written when nothing is due.
func (o *Outbox) claim(ctx context.Context, limit int) []*notice.Message {
	if limit == 0 || ctx.Err() != nil {
		return nil
	}
	now := o.Real.Now()
	var due []*notice.Message
	err := o.Store.View(ctx, func(v store.View) (err error) {
		due, err = v.Outbox().Due(now, 1)
		return err
	})
	if err == nil && len(due) > 0 {
		err = o.Store.Update(ctx, store.Scope{}, func(tx store.Tx) (err error) {
			if due, err = tx.Outbox().Due(now, limit); err != nil {
				return err
			}
			for _, m := range due {
				m.NextTry = now.Add(lease)
				if err := tx.Outbox().Save(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	o.report(ctx, err)
	if err != nil {
		return nil
	}
	return due
}

// report logs the first of several failures in a row, and that they are over.
func (o *Outbox) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !o.failing:
		o.failing = true
		o.Log.ErrorContext(ctx, "outbox cannot be read; messages wait", "error", err)
	case err == nil && o.failing:
		o.failing = false
		o.Log.InfoContext(ctx, "outbox can be read again")
	}
}

// deliver gives one message its try. When the server stops, it has a little time to end.
func (o *Outbox) deliver(ctx context.Context, m *notice.Message) {
	try, cancel := context.WithTimeout(context.WithoutCancel(ctx), workLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(try, func() { timer.Stop() })
	})
	defer stop()
	if err := o.Courier.Deliver(try, m); err != nil {
		o.Log.ErrorContext(ctx, "message left for later", "message", m.ID, "pool", m.PoolID, "error", err)
	}
}

// purge removes what was finished long ago: messages, and counts of attempts that nothing depends on any more.
func (o *Outbox) purge(ctx context.Context) {
	before := o.Clock.Now().Add(-keep)
	for _, some := range [...]func(tx store.Tx) (int, error){
		func(tx store.Tx) (int, error) { return tx.Outbox().Purge(before, purgeBatch) },
		func(tx store.Tx) (int, error) { return tx.Tallies().Purge(before, purgeBatch) },
	} {
		for n := purgeBatch; n == purgeBatch; {
			err := o.Store.Update(ctx, store.Scope{}, func(tx store.Tx) (err error) {
				n, err = some(tx)
				return err
			})
			if err != nil {
				o.report(ctx, err)
				return
			}
		}
	}
}
