package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// spent is the tally of somebody who tried.
var spent = verify.Tally{Since: noon, Spent: 2, Failures: 1, Until: after(7)}

// tally reads a tally in a view.
func (w *world) tally(poolID, subject string, b verify.Budget) verify.Tally {
	w.Helper()
	got, err := read(w, func(v store.View) (verify.Tally, error) { return v.Tallies().Get(poolID, subject, b) })
	want.NoError(w, err)
	return got
}

// spentBy turns the absence of a tally into an error.
func spentBy(v store.View, poolID, subject string) error {
	t, err := v.Tallies().Get(poolID, subject, verify.ResendCode)
	if err == nil && t == (verify.Tally{}) {
		return store.ErrNotFound
	}
	return err
}

func testTallies(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	sub := w.newUser(p, 1, "jane").Sub
	put := func(poolID, subject string, b verify.Budget, t verify.Tally) {
		w.Helper()
		w.update(func(tx store.Tx) error { return tx.Tallies().Put(poolID, subject, b, t) })
	}
	want.Equal(w, w.tally(p.ID, sub, verify.ConfirmSignUp), verify.Tally{})
	for _, x := range []verify.Tally{spent, {Since: after(1), Spent: 3}, {Failures: 100}, {}} {
		put(p.ID, sub, verify.ConfirmSignUp, x)
		want.Equal(w, w.tally(p.ID, sub, verify.ConfirmSignUp), x)
	}

	// Each budget of each subject in each pool is counted alone.
	want.Equal(w, w.tally(p.ID, sub, verify.ResendCode), verify.Tally{})
	put(p.ID, sub, verify.ConfirmSignUp, verify.Tally{Since: noon, Spent: 1})
	put(p.ID, sub, verify.ResendCode, verify.Tally{Since: noon, Spent: 2})
	put(p.ID, "nobody", verify.ResendCode, verify.Tally{Since: noon, Spent: 3})
	put(q.ID, sub, verify.ResendCode, verify.Tally{Since: noon, Spent: 4})
	for _, x := range []struct {
		poolID, subject string
		budget          verify.Budget
		spent           int
	}{{p.ID, sub, verify.ConfirmSignUp, 1}, {p.ID, sub, verify.ResendCode, 2}, {p.ID, "nobody", verify.ResendCode, 3}, {q.ID, sub, verify.ResendCode, 4}} {
		want.Equal(w, w.tally(x.poolID, x.subject, x.budget).Spent, x.spent)
	}

	// Taking is reading, and leaves nothing behind.
	var first, second, none verify.Tally
	w.update(func(tx store.Tx) (err error) {
		if first, err = tx.Tallies().Take(p.ID, sub, verify.ResendCode); err != nil {
			return err
		}
		if err := tx.Tallies().Put(p.ID, sub, verify.ResendCode, spent); err != nil {
			return err
		}
		if second, err = tx.Tallies().Take(p.ID, sub, verify.ResendCode); err != nil {
			return err
		}
		none, err = tx.Tallies().Take(p.ID, sub, verify.ChangePassword)
		return err
	})
	want.Equal(w, []verify.Tally{first, second, none}, []verify.Tally{{Since: noon, Spent: 2}, spent, {}})
	want.Equal(w, w.tally(p.ID, sub, verify.ChangePassword), verify.Tally{})

	// A refused transaction has spent nothing.
	w.refused(errRefused, func(tx store.Tx) error {
		if err := tx.Tallies().Put(p.ID, sub, verify.ResendCode, verify.Tally{Since: noon, Spent: 9}); err != nil {
			return err
		}
		return errRefused
	})
	want.Equal(w, w.tally(p.ID, sub, verify.ResendCode), spent)

	w.update(func(tx store.Tx) error { return tx.Tallies().Clear(p.ID, sub) })
	w.update(func(tx store.Tx) error { return tx.Tallies().Clear(p.ID, sub) })
	for _, b := range verify.Budgets {
		want.Equal(w, w.tally(p.ID, sub, b), verify.Tally{})
	}
	want.Equal(w, w.tally(p.ID, "nobody", verify.ResendCode).Spent, 3)
	want.Equal(w, w.tally(q.ID, sub, verify.ResendCode).Spent, 4)
}

func testTalliesPurge(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	sub := w.newUser(p, 1, "jane").Sub
	put := func(subject string, b verify.Budget, t verify.Tally) {
		w.update(func(tx store.Tx) error { return tx.Tallies().Put(p.ID, subject, b, t) })
	}
	put(sub, verify.ResendCode, verify.Tally{Since: noon, Spent: 1})                   // goes
	put(sub, verify.ConfirmSignUp, verify.Tally{Since: noon, Spent: 1, Failures: 1})   // a user's failures stay
	put("nobody", verify.ConfirmSignUp, verify.Tally{Since: noon, Spent: 1})           // goes
	put("nobody", verify.ResendCode, verify.Tally{Since: noon, Spent: 1, Failures: 1}) // goes
	put("nobody", verify.VerifyAttribute, verify.Tally{Since: after(10), Spent: 1})    // is too young
	purge := func(before time.Time, limit int) (n int) {
		w.Helper()
		w.update(func(tx store.Tx) (err error) {
			n, err = tx.Tallies().Purge(before, limit)
			return err
		})
		return n
	}
	want.Equal(w, purge(noon, 10), 0)
	want.Equal(w, purge(after(10), 2), 2)
	want.Equal(w, purge(after(10), 2), 1)
	want.Equal(w, purge(after(10), 2), 0)
	want.Equal(w, w.tally(p.ID, sub, verify.ConfirmSignUp).Failures, 1)
	want.Equal(w, w.tally(p.ID, "nobody", verify.VerifyAttribute).Spent, 1)
	want.Equal(w, w.tally(p.ID, "nobody", verify.ResendCode), verify.Tally{})
}

// testOneTally lets a crowd guess at the same time: no more are evaluated than the budget allows, and all are counted.
func testOneTally(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	const b = verify.VerifyAttribute
	for round := range 2 { // the first round makes the row, the second finds an old one
		now := noon.Add(time.Duration(round) * verify.Window)
		evaluated := make([]bool, crowd)
		for _, err := range together(func(i int) error {
			return w.s.Update(w.Context(), store.Scope{Pool: p}, func(tx store.Tx) error {
				t, err := tx.Tallies().Take(p.ID, "somebody", b)
				if err != nil {
					return err
				}
				t, ok := t.Spend(b, now)
				evaluated[i] = ok
				if !ok {
					return nil
				}
				if err := tx.Tallies().Put(p.ID, "somebody", b, t.Fail()); err != nil {
					return err
				}
				return tx.Journal().Add(store.Entry{RequestID: fmt.Sprint(round, "-", i), Time: now})
			})
		}) {
			want.NoError(w, err)
		}
		n := 0
		for _, ok := range evaluated {
			if ok {
				n++
			}
		}
		want.Equal(w, n, b.Limit())
		want.Equal(w, w.tally(p.ID, "somebody", b), verify.Tally{Since: now, Spent: b.Limit(), Failures: (round + 1) * b.Limit()})
	}
}

func testTalliesOfUsers(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	jane, joe, jim := w.newUser(p, 1, "jane").Sub, w.newUser(p, 2, "joe").Sub, w.newUser(p, 3, "jim").Sub
	foreign := w.newUser(q, 4, "jack").Sub
	w.update(func(tx store.Tx) error {
		return errors.Join(
			tx.Tallies().Put(p.ID, jane, verify.SignIn, verify.Tally{Since: noon, Spent: 5, Failures: 5, Until: after(8)}),
			tx.Tallies().Put(p.ID, jane, verify.ResendCode, verify.Tally{Since: noon, Spent: 1}),
			tx.Tallies().Put(p.ID, joe, verify.SecondFactor, verify.Tally{Since: noon, Failures: 100}),
			tx.Tallies().Put(p.ID, jim, verify.SignIn, verify.Tally{Since: noon, Spent: 2, Failures: 99, Until: noon}),
			tx.Tallies().Put(p.ID, "nobody", verify.SignIn, verify.Tally{Since: noon, Failures: 500, Until: after(900)}),
			tx.Tallies().Put(q.ID, foreign, verify.SignIn, verify.Tally{Since: noon, Failures: 500, Until: after(900)}))
	})
	of, err := read(w, func(v store.View) ([]store.Spent, error) { return v.Tallies().Of(p.ID, jane) })
	want.NoError(w, err)
	equal(w, of, []store.Spent{{Budget: verify.ResendCode, Tally: verify.Tally{Since: noon, Spent: 1}},
		{Budget: verify.SignIn, Tally: verify.Tally{Since: noon, Spent: 5, Failures: 5, Until: after(8)}}})
	none, err := read(w, func(v store.View) ([]store.Spent, error) { return v.Tallies().Of(p.ID, foreign) })
	want.NoError(w, err)
	want.Equal(w, len(none), 0)

	held := func(seconds, failures int, behind string, limit int) []string {
		w.Helper()
		subs, err := read(w, func(v store.View) ([]string, error) {
			return v.Tallies().Held(p.ID, after(seconds), failures, behind, limit)
		})
		want.NoError(w, err)
		return subs
	}
	sorted := func(subs ...string) []string { slices.Sort(subs); return subs }
	equal(w, held(7, 100, "", 9), sorted(jane, joe))
	equal(w, held(8, 100, "", 9), []string{joe})
	all := sorted(jane, joe, jim)
	equal(w, held(7, 99, "", 9), all)
	equal(w, held(7, 99, "", 2), all[:2])
	equal(w, held(7, 99, all[1], 2), all[2:])
}
