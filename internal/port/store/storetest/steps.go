package storetest

import (
	"fmt"

	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func testSteps(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	passed := func(poolID, id string) bool {
		w.Helper()
		got, err := read(w, func(v store.View) (bool, error) { return v.Steps().Passed(poolID, id) })
		want.NoError(w, err)
		return got
	}
	kept := func(poolID, id string) func(v store.View) ([]byte, error) {
		return func(v store.View) ([]byte, error) { return v.Steps().Kept(poolID, id) }
	}
	pass := func(poolID, id string) func(tx store.Tx) error {
		return func(tx store.Tx) error { return tx.Steps().Pass(poolID, id, after(3)) }
	}
	keep := func(id string) func(tx store.Tx) error {
		return func(tx store.Tx) error { return tx.Steps().Keep(p.ID, id, []byte("state of "+id), after(4)) }
	}

	// A step is passed once, in its pool.
	want.True(w, !passed(p.ID, "1"), "nobody has passed it")
	w.update(pass(p.ID, "1"))
	want.True(w, passed(p.ID, "1") && !passed(q.ID, "1") && !passed(p.ID, "2"), "one step of one pool is passed")
	w.refused(store.ErrConflict, pass(p.ID, "1"))
	w.update(pass(q.ID, "1"))

	// What is kept can be read until the step is passed.
	absent(w, kept(p.ID, "1"))
	absent(w, kept(p.ID, "2"))
	w.update(keep("2"))
	got, err := read(w, kept(p.ID, "2"))
	want.NoError(w, err)
	want.Equal(w, string(got), "state of 2")
	want.True(w, !passed(p.ID, "2"), "keeping is not passing")
	absent(w, kept(q.ID, "2"))
	w.refused(store.ErrConflict, keep("2"))
	w.refused(store.ErrConflict, keep("1"))
	w.update(pass(p.ID, "2"))
	absent(w, kept(p.ID, "2"))
	w.refused(store.ErrConflict, pass(p.ID, "2"))

	// Old ones go.
	w.update(func(tx store.Tx) error {
		for i := range 5 {
			if err := tx.Steps().Pass(p.ID, fmt.Sprint("old", i), after(-10+i)); err != nil {
				return err
			}
		}
		return nil
	})
	purge := func(seconds, limit int) (n int) {
		w.Helper()
		w.update(func(tx store.Tx) (err error) {
			n, err = tx.Steps().Purge(after(seconds), limit)
			return err
		})
		return n
	}
	want.Equal(w, []int{purge(-10, 9), purge(-7, 2), purge(-7, 9), purge(-7, 9)}, []int{0, 2, 1, 0})
	want.True(w, !passed(p.ID, "old2") && passed(p.ID, "old3") && passed(p.ID, "1"), "younger ones stay")

	w.update(func(tx store.Tx) error { return tx.Pools().Delete(p.ID) })
	want.True(w, !passed(p.ID, "1") && passed(q.ID, "1"), "steps go with their pool")
}
