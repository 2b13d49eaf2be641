package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// errRefused is an operation's own error.
var errRefused = errors.New("refused by the operation")

func testText(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	u := w.newUser(p, 1, "jane")
	for _, bad := range []string{"a\x00b", "a\xffb", "\xed\xa0\x80"} {
		for name, fn := range map[string]func(tx store.Tx) error{
			"attribute": func(tx store.Tx) error { return change(tx, p, u.Sub, "custom:a", bad) },
			"searched":  func(tx store.Tx) error { return change(tx, p, u.Sub, "name", bad) },
			"name":      func(tx store.Tx) error { return tx.Users().Create(p, record(p, 2, bad)) },
			"pending": func(tx store.Tx) error {
				next := u.Clone()
				next.Pending = map[string]user.Pending{pool.Email: {Value: bad, Requested: noon}}
				return tx.Users().Save(p, u, next)
			},
			"journal": func(tx store.Tx) error {
				return tx.Journal().Add(store.Entry{RequestID: "r", Time: noon, Names: []string{bad}})
			},
			"target": func(tx store.Tx) error {
				return tx.Codes().Put(verify.Code{PoolID: p.ID, Sub: u.Sub, Purpose: verify.Email, Target: bad, Plain: secret.New("1"), Created: noon, Expires: noon})
			},
			"recipient": func(tx store.Tx) error {
				m := message("m", p.ID, u.Sub, 0)
				m.To = bad
				return tx.Outbox().Add(m)
			},
		} {
			w.Run(fmt.Sprintf("%q/%s", bad, name), func(t *testing.T) {
				err := w.s.Update(t.Context(), store.Scope{}, fn)
				want.True(t, err != nil, "%q is refused", bad)
				want.True(t, !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrBusy), "%v says what is wrong", err)
			})
		}
	}
	got, err := read(w, bySub(p, u.Sub))
	want.NoError(w, err)
	equal(w, got, u)
}

func testAtomic(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	u := w.newUser(p, 1, "jane")
	write := func(tx store.Tx) error {
		for _, err := range []error{
			change(tx, p, u.Sub, pool.PreferredUsername, "jj"),
			tx.Users().Create(p, record(p, 2, "joe")),
			tx.Outbox().Add(message("m", p.ID, u.Sub, 0)),
			tx.Journal().Add(store.Entry{RequestID: "r", Time: noon}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	}
	check := func(written bool) {
		w.Helper()
		want.Equal(w, w.found(p, "jj") != "", written)
		want.Equal(w, w.found(p, "joe") != "", written)
		_, err := read(w, func(v store.View) (any, error) { return v.Outbox().Get("m") })
		want.Equal(w, err == nil, written)
		_, err = read(w, func(v store.View) (any, error) { return v.Journal().Get("r") })
		want.Equal(w, err == nil, written)
	}
	err := w.s.Update(w.Context(), store.Scope{}, func(tx store.Tx) error {
		if err := write(tx); err != nil {
			return err
		}
		// What was written is seen inside.
		if _, err := tx.Users().ByLogin(p, "jj"); err != nil {
			return err
		}
		return errRefused
	})
	want.True(w, err == errRefused, "the operation's error %v comes back as it is", err) //nolint:errorlint // the same value is wanted
	check(false)
	w.update(write)
	check(true)
	// The whole is refused for its last part.
	w.refused(store.ErrReplayed, func(tx store.Tx) error {
		if err := change(tx, p, u.Sub, pool.PreferredUsername, "kk"); err != nil {
			return err
		}
		return tx.Journal().Add(store.Entry{RequestID: "r", Time: noon})
	})
	want.Equal(w, w.found(p, "kk"), "")
	check(true)
}

func testSpoilt(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	w.newUser(p, 1, "jane")
	// After a conflict the transaction can only fail, whatever the function makes of it.
	w.refused(store.ErrConflict, func(tx store.Tx) error {
		if err := tx.Users().Create(p, record(p, 2, "joe")); err != nil {
			return err
		}
		_ = tx.Users().Create(p, record(p, 3, "jane"))
		return nil
	})
	want.Equal(w, w.found(p, "joe"), "")
	w.refused(errRefused, func(tx store.Tx) error {
		_ = tx.Users().Create(p, record(p, 3, "jane"))
		if err := tx.Users().Create(p, record(p, 4, "jim")); err == nil {
			return errors.New("a spoilt transaction went on")
		}
		return errRefused
	})
	// What is not found spoils nothing.
	w.update(func(tx store.Tx) error {
		if _, err := tx.Users().ByLogin(p, "jim"); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("got %w", err)
		}
		return tx.Users().Create(p, record(p, 4, "jim"))
	})
	want.Equal(w, w.found(p, "jim"), subOf(4))
}

func testScope(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	c := &pool.Client{ID: "client", PoolID: p.ID, Created: noon, Modified: noon}
	w.update(func(tx store.Tx) error { return tx.Clients().Create(c) })
	run := func(p *pool.Pool, c *pool.Client) error {
		return w.s.Update(w.Context(), store.Scope{Pool: p, Client: c, Login: "jane"}, func(tx store.Tx) error { return nil })
	}
	oldPool, oldClient := *p, *c
	want.NoError(w, run(p, c))
	w.update(func(tx store.Tx) error { return tx.Pools().Save(p) })
	want.Error(w, run(&oldPool, c), store.ErrStale)
	want.NoError(w, run(p, c))
	w.update(func(tx store.Tx) error { return tx.Clients().Save(c) })
	want.Error(w, run(p, &oldClient), store.ErrStale)
	want.NoError(w, run(p, c))
	// A save that is refused changes nothing.
	w.refused(errRefused, func(tx store.Tx) error {
		if err := tx.Pools().Save(p); err != nil {
			return err
		}
		return errRefused
	})
	want.NoError(w, run(p, c))
	w.update(func(tx store.Tx) error { return tx.Clients().Delete(p.ID, c.ID) })
	want.Error(w, run(p, c), store.ErrStale)
	want.NoError(w, run(p, nil))
	w.update(func(tx store.Tx) error { return tx.Pools().Delete(p.ID) })
	want.Error(w, run(p, nil), store.ErrStale)
}

func testContext(w *world) {
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	ran := false
	want.Error(w, w.s.Update(ctx, store.Scope{}, func(store.Tx) error { ran = true; return nil }), context.Canceled)
	want.Error(w, w.s.View(ctx, func(store.View) error { ran = true; return nil }), context.Canceled)
	want.True(w, !ran, "a call that was given up does not run")
	want.Error(w, w.s.Ping(ctx), context.Canceled)
	want.NoError(w, w.s.Ping(w.Context()))

	// Once it runs, it has an outcome, and that is reported.
	ctx, cancel = context.WithCancel(w.Context())
	defer cancel()
	want.NoError(w, w.s.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		cancel()
		return tx.Settings().Put("a", []byte("b"))
	}))
	got, err := read(w, func(v store.View) ([]byte, error) { return v.Settings().Get("a") })
	want.NoError(w, err)
	want.Equal(w, string(got), "b")
}

func testGuard(w *world) {
	ctx := store.WithGuard(w.Context())
	want.NoError(w, store.Outside(ctx))
	want.NoError(w, w.s.Update(ctx, store.Scope{}, func(store.Tx) error {
		if err := store.Outside(ctx); !errors.Is(err, store.ErrInTransaction) {
			return fmt.Errorf("inside an update got %w", err)
		}
		// A transaction inside a transaction would wait for itself.
		if err := w.s.Update(ctx, store.Scope{}, func(store.Tx) error { return nil }); !errors.Is(err, store.ErrInTransaction) {
			return fmt.Errorf("an update in an update got %w", err)
		}
		return nil
	}))
	want.NoError(w, w.s.View(ctx, func(store.View) error {
		if err := store.Outside(ctx); !errors.Is(err, store.ErrInTransaction) {
			return fmt.Errorf("inside a view got %w", err)
		}
		return nil
	}))
	want.Error(w, w.s.Update(ctx, store.Scope{}, func(store.Tx) error { return errRefused }), errRefused)
	want.NoError(w, store.Outside(ctx))
}

func testPanic(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	ctx := store.WithGuard(w.Context())
	panics := func(fn func() error) (v any) {
		defer func() { v = recover() }()
		_ = fn()
		return nil
	}
	want.Equal(w, panics(func() error {
		return w.s.Update(ctx, store.Scope{}, func(tx store.Tx) error {
			if err := tx.Users().Create(p, record(p, 1, "jane")); err != nil {
				return err
			}
			panic("broken")
		})
	}), any("broken"))
	want.Equal(w, panics(func() error { return w.s.View(ctx, func(store.View) error { panic("broken too") }) }), any("broken too"))
	want.NoError(w, store.Outside(ctx))
	want.Equal(w, w.found(p, "jane"), "")
	w.newUser(p, 1, "jane")
}

func testGoexit(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	for _, call := range []func(){
		func() {
			_ = w.s.Update(w.Context(), store.Scope{}, func(tx store.Tx) error {
				if err := tx.Users().Create(p, record(p, 1, "jane")); err != nil {
					return err
				}
				runtime.Goexit() // as t.Fatal does
				return nil
			})
		},
		func() { _ = w.s.View(w.Context(), func(store.View) error { runtime.Goexit(); return nil }) },
	} {
		for range 10 {
			var returned atomic.Bool
			var wg sync.WaitGroup
			wg.Go(func() {
				call()
				returned.Store(true)
			})
			wg.Wait()
			want.True(w, !returned.Load(), "the end of the goroutine reaches the caller")
		}
	}
	want.Equal(w, w.found(p, "jane"), "")
	w.newUser(p, 1, "jane")
}

func testSnapshot(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	u := w.newUser(p, 1, "jane", "custom:a", "old")
	w.view(func(v store.View) error {
		for range 2 {
			got, err := v.Users().BySub(p.ID, u.Sub)
			if err != nil {
				return err
			}
			seen := got.Attributes["custom:a"]
			if err := w.s.Update(w.Context(), store.Scope{}, func(tx store.Tx) error { return change(tx, p, u.Sub, "custom:a", "new") }); err != nil {
				return err
			}
			again, err := v.Users().BySub(p.ID, u.Sub)
			if err != nil {
				return err
			}
			if again.Attributes["custom:a"] != seen {
				return fmt.Errorf("the view saw %q and then %q", seen, again.Attributes["custom:a"])
			}
			// Another value, for the next round or run.
			if err := w.s.Update(w.Context(), store.Scope{}, func(tx store.Tx) error { return change(tx, p, u.Sub, "custom:a", "older") }); err != nil {
				return err
			}
		}
		return nil
	})
}

const crowd = 64

// together runs fn for each of a crowd at the same time and returns their errors.
func together(fn func(i int) error) []error {
	errs := make([]error, crowd)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func testOneWinner(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	for i := range crowd {
		w.newUser(p, i, fmt.Sprintf("user-%d", i))
	}
	for round, attempt := range []func(tx store.Tx, i int) error{
		func(tx store.Tx, i int) error { return tx.Users().Create(p, record(p, 1000+i, "wanted-0")) },
		func(tx store.Tx, i int) error { return change(tx, p, subOf(i), pool.PreferredUsername, "wanted-1") },
	} {
		won := 0
		for _, err := range together(func(i int) error {
			return w.s.Update(w.Context(), store.Scope{Pool: p}, func(tx store.Tx) error {
				if err := attempt(tx, i); err != nil {
					return err
				}
				return tx.Journal().Add(store.Entry{RequestID: fmt.Sprintf("%d-%d", round, i), Time: noon})
			})
		}) {
			if err == nil {
				won++
				continue
			}
			want.Error(w, err, store.ErrConflict)
		}
		want.Equal(w, won, 1)
		want.True(w, w.found(p, fmt.Sprintf("wanted-%d", round)) != "", "the winner is found")
		entries, err := read(w, func(v store.View) ([]*store.Entry, error) { return v.Journal().List(after(-1), "", "", "", 2*crowd) })
		want.NoError(w, err)
		want.Equal(w, len(entries), round+1)
	}
}

func testNothingLost(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	u := w.newUser(p, 1, "jane")
	for _, err := range together(func(i int) error {
		return w.s.Update(w.Context(), store.Scope{Pool: p, Login: "jane"}, func(tx store.Tx) error {
			before, err := tx.Users().ByLogin(p, "jane")
			if err != nil {
				return err
			}
			next := before.Clone()
			next.Attributes[fmt.Sprintf("custom:%d", i)] = "set"
			next.Attributes["custom:sum"] += "+"
			if err := tx.Users().Save(p, before, next); err != nil {
				return err
			}
			return tx.Journal().Add(store.Entry{RequestID: fmt.Sprint(i), Time: noon, PoolID: p.ID, Sub: u.Sub})
		})
	}) {
		want.NoError(w, err)
	}
	got, err := read(w, bySub(p, u.Sub))
	want.NoError(w, err)
	want.Equal(w, len(got.Attributes), crowd+1)
	want.Equal(w, len(got.Attributes["custom:sum"]), crowd)
	want.Equal(w, got.Version, int64(1+crowd))
	entries, err := read(w, func(v store.View) ([]*store.Entry, error) {
		return v.Journal().List(after(-1), "", p.ID, u.Sub, 2*crowd)
	})
	want.NoError(w, err)
	want.Equal(w, len(entries), crowd)
}

// testRefusals mixes updates that are refused, late and early, with others.
func testRefusals(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	errs := together(func(i int) error {
		return w.s.Update(w.Context(), store.Scope{}, func(tx store.Tx) error {
			if i%4 == 3 {
				return errRefused
			}
			if err := tx.Users().Create(p, record(p, i, fmt.Sprintf("user-%d", i))); err != nil {
				return err
			}
			switch i % 4 {
			case 1:
				return errRefused
			case 2:
				return tx.Users().Create(p, record(p, i, "twice the same sub"))
			}
			return nil
		})
	})
	for i, err := range errs {
		name := fmt.Sprintf("user-%d", i)
		switch i % 4 {
		case 0:
			want.NoError(w, err)
			want.Equal(w, w.found(p, name), subOf(i))
			continue
		case 2:
			want.Error(w, err, store.ErrConflict)
		default:
			want.Error(w, err, errRefused)
		}
		want.Equal(w, w.found(p, name), "")
	}
	want.Equal(w, w.found(p, "twice the same sub"), "")
}
