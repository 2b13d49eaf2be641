package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/jobs"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// signal is a store that tells when an update has ended that removed nothing more.
type signal struct {
	store.Store
	done chan error
	fail error
}

func (s *signal) Update(ctx context.Context, scope store.Scope, fn func(store.Tx) error) error {
	err := s.fail
	if err == nil {
		err = s.Store.Update(ctx, scope, fn)
	}
	s.done <- err
	return err
}

// sweep runs a sweep until it has made n updates.
func (w *world) sweep(s *signal, n int, log *slog.Logger) {
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	ended := make(chan struct{})
	go func() {
		(&jobs.Sweep{Store: s, Clock: w.domain, Log: log}).Run(ctx)
		close(ended)
	}()
	for range n {
		<-s.done
	}
	stop()
	<-ended
}

func TestSweep(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	const many = 501 // one more than a transaction takes
	family := func(id string, expires time.Time) *token.Family {
		return &token.Family{PoolID: w.pool.ID, Sub: "sub", ID: id, ClientID: "c", EventID: "e-" + id, Origin: token.FromAPI,
			Scopes: []string{token.AdminScope}, AuthTime: noon, Created: noon, Expires: expires}
	}
	want.NoError(t, w.store.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
		errs := []error{tx.Steps().Pass(w.pool.ID, "old", noon.Add(-25*time.Hour)), tx.Steps().Pass(w.pool.ID, "young", noon.Add(-23*time.Hour)),
			tx.Families().Create(family("young", noon.Add(-token.Keep))),
			tx.Tallies().Put(w.pool.ID, "nobody", verify.ResendCode, verify.Tally{Since: noon.Add(-3 * 24 * time.Hour), Spent: 1}),
			tx.Tallies().Put(w.pool.ID, "somebody", verify.ResendCode, verify.Tally{Since: noon.Add(-time.Hour), Spent: 1})}
		for i := range many {
			errs = append(errs, tx.Families().Create(family(fmt.Sprint(i), noon.Add(-token.Keep-time.Second))))
		}
		return errors.Join(errs...)
	}))
	w.sweep(&signal{Store: w.store, done: make(chan error, 10)}, 5, slog.New(slog.DiscardHandler))
	want.NoError(t, w.store.View(t.Context(), func(v store.View) error {
		left, err := v.Families().List(w.pool.ID, "sub")
		want.Equal(t, len(left), 1)
		want.Equal(t, left[0].ID, "young")
		old, err1 := v.Tallies().Get(w.pool.ID, "nobody", verify.ResendCode)
		young, err2 := v.Tallies().Get(w.pool.ID, "somebody", verify.ResendCode)
		want.Equal(t, []int{old.Spent, young.Spent}, []int{0, 1})
		oldStep, err3 := v.Steps().Passed(w.pool.ID, "old")
		youngStep, err4 := v.Steps().Passed(w.pool.ID, "young")
		want.True(t, !oldStep && youngStep, "one step is kept")
		return errors.Join(err, err1, err2, err3, err4)
	}))
}

func TestSweepThatFails(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	var log bytes.Buffer
	w.sweep(&signal{Store: w.store, done: make(chan error, 10), fail: store.ErrBusy}, 4, slog.New(slog.NewTextHandler(&log, nil)))
	want.Equal(t, strings.Count(log.String(), "expired records cannot be removed"), 4)
}
