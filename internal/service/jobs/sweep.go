package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// keepTallies is how long a tally is kept after its hour: longer than a clock is set wrong for a while.
const keepTallies = 2 * 24 * time.Hour

// keepSteps is how long a step of a sign-in is kept after its session has expired: while it is, whoever answers it again
// reads that it was passed, whatever the clocks of nodes say.
const keepSteps = 24 * time.Hour

// Sweep is the worker that removes records which time has made meaningless. Several nodes may run one each.
type Sweep struct {
	Store store.Store
	Clock clock.Clock // the domain's
	Log   *slog.Logger
	// Rotate begins what rotations of signing keys are due; nil: none ever is.
	Rotate func(ctx context.Context) error
}

// Run sweeps at once and then every hour, until the context ends.
func (s *Sweep) Run(ctx context.Context) {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		s.once(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once removes all that is due, in transactions that are short.
func (s *Sweep) once(ctx context.Context) {
	now := s.Clock.Now()
	for what, purge := range map[string]func(tx store.Tx) (int, error){
		"families of tokens": func(tx store.Tx) (int, error) { return tx.Families().Purge(now.Add(-token.Keep), purgeBatch) },
		"signing keys":       func(tx store.Tx) (int, error) { return tx.SigningKeys().Purge(now.Add(-token.Outlast), purgeBatch) },
		"steps of sign-ins":  func(tx store.Tx) (int, error) { return tx.Steps().Purge(now.Add(-keepSteps), purgeBatch) },
		"tallies":            func(tx store.Tx) (int, error) { return tx.Tallies().Purge(now.Add(-keepTallies), purgeBatch) },
	} {
		for n := purgeBatch; n == purgeBatch; {
			err := s.Store.Update(ctx, store.Scope{}, func(tx store.Tx) (err error) {
				n, err = purge(tx)
				return err
			})
			if err != nil {
				if ctx.Err() == nil {
					s.Log.ErrorContext(ctx, "expired records cannot be removed; they wait for the next hour", "what", what, "error", err)
				}
				break
			}
		}
	}
	if s.Rotate == nil {
		return
	}
	if err := s.Rotate(ctx); err != nil && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "signing keys cannot be rotated; they wait for the next hour", "error", err)
	}
}
