package app

import (
	"context"
	"errors"
	"sync"
)

// Run serves until ctx ends, or until something breaks that ends the server: the database, a listener, or ready. When ctx ends, requests
// that have begun are finished, and messages that are being sent. When the database fails everything ends at once: what was not
// acknowledged must not be. ready is called once the server answers.
func (a *App) Run(ctx context.Context, ready func() error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	failures := make(chan error, 3)
	start := func(run func() error) {
		group.Go(func() {
			if err := run(); err != nil {
				failures <- err
			}
			stop()
		})
	}
	start(func() error { return a.server.Run(ctx, a.listener, a.store.Failed()) })
	if a.metrics != nil {
		start(func() error { return a.server.RunMetrics(ctx, a.metrics) })
	}
	// The worker outlives the door, or messages of the last requests would wait for the next start.
	work, rest := context.WithCancel(context.WithoutCancel(ctx))
	var worker sync.WaitGroup
	worker.Go(func() { a.outbox.Run(work) })
	worker.Go(func() { a.sweep.Run(work) })
	if err := a.announce(ready); err != nil {
		failures <- err
		stop()
	}
	select {
	case <-ctx.Done():
	case <-a.store.Failed():
		stop()
	}
	group.Wait()
	rest()
	worker.Wait()
	close(failures)
	errs := []error{a.store.Err()}
	for err := range failures {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// announce writes the ready file and calls ready. A program that waits for the file finds a server that answers.
func (a *App) announce(ready func() error) error {
	if path := a.o.Config.ReadyFile; path != "" {
		r := a.Ready()
		if err := r.write(path); err != nil {
			return err
		}
		a.closers = append(a.closers, func() error { return removeIfThere(path) })
	}
	return ready()
}
