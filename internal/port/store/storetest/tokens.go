package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// family makes a family of a sign-in at noon.
func family(poolID, sub, id string) *token.Family {
	return &token.Family{PoolID: poolID, Sub: sub, ID: id, ClientID: "client", EventID: "event-" + id, Origin: token.FromAPI,
		Scopes: []string{token.AdminScope}, AuthTime: noon, Created: noon, Expires: after(3600)}
}

// signingKey makes the first key of a use, which signs since noon.
func signingKey(poolID, id string, use token.Use) *token.Key {
	return &token.Key{PoolID: poolID, ID: id, Use: use, Ordinal: 1, Created: noon, From: noon, Material: []byte("key " + id)}
}

func testFamilies(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	jane, joe := w.newUser(p, 1, "jane").Sub, w.newUser(p, 2, "joe").Sub
	twin := w.newUser(q, 1, "jane").Sub
	get := func(poolID, sub, id string) func(v store.View) (*token.Family, error) {
		return func(v store.View) (*token.Family, error) { return v.Families().Get(poolID, sub, id) }
	}
	create := func(f *token.Family) {
		w.Helper()
		w.update(func(tx store.Tx) error { return tx.Families().Create(f) })
	}
	full := &token.Family{PoolID: p.ID, Sub: jane, ID: "f1", ClientID: "c", EventID: "e", Origin: token.FromOAuth, Scopes: []string{"openid", "a/b"},
		DeviceKey: "eu-west-1_device", AuthTime: after(-5), Created: after(-1), Expires: after(9), Revoked: after(2), Generation: 3, Rotated: after(1)}
	second, other, foreign := family(p.ID, jane, "f2"), family(p.ID, joe, "f1"), family(q.ID, twin, "f1")
	for _, f := range []*token.Family{second, full, other, foreign} {
		create(f)
		got, err := read(w, get(f.PoolID, f.Sub, f.ID))
		want.NoError(w, err)
		equal(w, got, f)
	}
	absent(w, get(p.ID, jane, "f3"))
	absent(w, get(p.ID, joe, "f2"))
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Families().Create(family(p.ID, jane, "f1")) })
	list, err := read(w, func(v store.View) ([]*token.Family, error) { return v.Families().List(p.ID, jane) })
	want.NoError(w, err)
	equal(w, list, []*token.Family{full, second})
	byEvent := func(sub, event string) func(v store.View) (*token.Family, error) {
		return func(v store.View) (*token.Family, error) { return v.Families().ByEvent(p.ID, sub, event) }
	}
	got, err := read(w, byEvent(jane, "event-f2"))
	want.NoError(w, err)
	equal(w, got, second)
	absent(w, byEvent(joe, "event-f2"))

	// The first revocation counts, and one user's is not another's.
	revoked := func(poolID, sub, id string) bool {
		w.Helper()
		f, err := read(w, get(poolID, sub, id))
		want.NoError(w, err)
		return !f.Revoked.IsZero()
	}
	third := family(p.ID, jane, "f3")
	create(third)
	w.update(func(tx store.Tx) error {
		return errors.Join(tx.Families().Revoke(p.ID, jane, "f2", after(4)), tx.Families().Revoke(p.ID, jane, "nothing", after(4)))
	})
	want.True(w, revoked(p.ID, jane, "f2") && !revoked(p.ID, jane, "f3"), "one family is revoked")
	w.update(func(tx store.Tx) error {
		return errors.Join(tx.Families().Revoke(p.ID, jane, "f2", after(5)), tx.Families().RevokeUser(p.ID, jane, after(6)), tx.Families().RevokeUser(p.ID, "nobody", after(6)))
	})
	second.Revoked, third.Revoked = after(4), after(6)
	for _, f := range []*token.Family{full, second, third} {
		got, err := read(w, get(p.ID, jane, f.ID))
		want.NoError(w, err)
		equal(w, got, f)
	}
	want.True(w, !revoked(p.ID, joe, "f1") && !revoked(q.ID, twin, "f1"), "the families of others live")

	// A generation is followed once, and only while the family lives.
	rotate := func(f *token.Family) func(tx store.Tx) error {
		return func(tx store.Tx) error { return tx.Families().Rotate(f, after(7)) }
	}
	w.update(rotate(other))
	w.refused(store.ErrConflict, rotate(other))
	other.Generation, other.Rotated = 1, after(7)
	got, err = read(w, get(p.ID, joe, "f1"))
	want.NoError(w, err)
	equal(w, got, other)
	w.refused(store.ErrConflict, rotate(third))
}

func testFamiliesPurge(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	sub := w.newUser(p, 1, "jane").Sub
	w.update(func(tx store.Tx) error {
		for i := range 5 {
			f := family(p.ID, sub, fmt.Sprint(i))
			f.Expires = after(i)
			if err := tx.Families().Create(f); err != nil {
				return err
			}
		}
		return nil
	})
	purge := func(seconds, limit int) (n int) {
		w.Helper()
		w.update(func(tx store.Tx) (err error) {
			n, err = tx.Families().Purge(after(seconds), limit)
			return err
		})
		return n
	}
	want.Equal(w, []int{purge(0, 10), purge(3, 2), purge(3, 10), purge(3, 10)}, []int{0, 2, 1, 0})
	list, err := read(w, func(v store.View) ([]*token.Family, error) { return v.Families().List(p.ID, sub) })
	want.NoError(w, err)
	want.Equal(w, len(list), 2)
	want.Equal(w, list[0].ID, "3")
}

func testSigningKeys(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	get := func(id string) func(v store.View) (*token.Key, error) {
		return func(v store.View) (*token.Key, error) { return v.SigningKeys().Get(id) }
	}
	add := func(k *token.Key, fits bool) {
		w.Helper()
		w.update(func(tx store.Tx) error {
			added, err := tx.SigningKeys().Add(k)
			want.Equal(w, added, fits)
			return err
		})
	}
	list := func(poolID string) (keys []*token.Key) {
		w.Helper()
		keys, err := read(w, func(v store.View) ([]*token.Key, error) { return v.SigningKeys().List(poolID) })
		want.NoError(w, err)
		return keys
	}
	absent(w, get("k1"))
	absent(w, get("no \x00 text"))
	want.Equal(w, len(list(p.ID)), 0)
	access, id, next := signingKey(p.ID, "k1", token.ForAccess), signingKey(p.ID, "k2", token.ForID), signingKey(p.ID, "k0", token.ForAccess)
	next.Ordinal, next.Created, next.From = 2, after(1), after(5)
	foreign := signingKey(q.ID, "k4", token.ForAccess)
	for _, k := range []*token.Key{next, access, id, foreign} {
		add(k, true)
		got, err := read(w, get(k.ID))
		want.NoError(w, err)
		equal(w, got, k)
	}
	// There is one key of a use and an ordinal, and an id is one key's.
	add(signingKey(p.ID, "k5", token.ForAccess), false)
	absent(w, get("k5"))
	add(signingKey(q.ID, "k2", token.ForID), false)
	equal(w, list(p.ID), []*token.Key{access, id, next})
	equal(w, list(q.ID), []*token.Key{foreign})
	w.refused(store.ErrNotFound, func(tx store.Tx) error {
		_, err := tx.SigningKeys().Add(signingKey("eu-west-1_None", "k9", token.ForID))
		return err
	})

	// A key may begin earlier, not later, and in its own pool alone.
	start := func(poolID string, seconds int) {
		w.Helper()
		w.update(func(tx store.Tx) error { return tx.SigningKeys().Start(poolID, "k0", after(seconds)) })
	}
	start(p.ID, 9)
	start(q.ID, 0)
	equal(w, list(p.ID), []*token.Key{access, id, next})
	start(p.ID, 3)
	next.From = after(3)
	equal(w, list(p.ID), []*token.Key{access, id, next})

	remove := func(poolID, id string) {
		w.Helper()
		w.update(func(tx store.Tx) error { return tx.SigningKeys().Remove(poolID, id) })
	}
	remove(q.ID, "k2")
	remove(p.ID, "k9")
	equal(w, list(p.ID), []*token.Key{access, id, next})
	remove(p.ID, "k2")
	equal(w, list(p.ID), []*token.Key{access, next})
}

func testSigningKeysAge(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	at := func(poolID, id string, use token.Use, ordinal, created, from int) *token.Key {
		k := signingKey(poolID, id, use)
		k.Ordinal, k.Created, k.From = ordinal, after(created), after(from)
		return k
	}
	w.update(func(tx store.Tx) error {
		for _, k := range []*token.Key{
			at(p.ID, "a1", token.ForAccess, 1, 0, 0), at(p.ID, "a2", token.ForAccess, 2, 5, 10), at(p.ID, "a3", token.ForAccess, 3, 15, 20),
			at(p.ID, "i1", token.ForID, 1, 0, 0), at(p.ID, "i2", token.ForID, 2, 0, 0),
			at(p.ID, "r1", token.ForRefresh, 1, 0, 0), at(p.ID, "r2", token.ForRefresh, 2, 1, 1),
			at(q.ID, "q1", token.ForAccess, 1, 7, 7), at(q.ID, "qr", token.ForRefresh, 1, 50, 50),
		} {
			if _, err := tx.SigningKeys().Add(k); err != nil {
				return err
			}
		}
		return nil
	})
	older := func(seconds, limit int) []string {
		w.Helper()
		pools, err := read(w, func(v store.View) ([]string, error) { return v.SigningKeys().Older(after(seconds), limit) })
		want.NoError(w, err)
		return pools
	}
	equal(w, older(7, 9), nil)
	equal(w, older(8, 9), []string{q.ID})
	equal(w, older(16, 9), []string{p.ID, q.ID})
	equal(w, older(16, 1), []string{p.ID})

	purge := func(seconds, limit int) (n int, left string) {
		w.Helper()
		w.update(func(tx store.Tx) (err error) {
			n, err = tx.SigningKeys().Purge(after(seconds), limit)
			return err
		})
		for _, poolID := range []string{p.ID, q.ID} {
			keys, err := read(w, func(v store.View) ([]*token.Key, error) { return v.SigningKeys().List(poolID) })
			want.NoError(w, err)
			for _, k := range keys {
				left += k.ID + " "
			}
		}
		return n, left
	}
	for _, c := range []struct {
		seconds, limit, n int
		left              string
	}{
		{-1, 9, 0, "a1 i1 r1 i2 r2 a2 a3 q1 qr "},
		{9, 9, 1, "a1 r1 i2 r2 a2 a3 q1 qr "},
		{30, 1, 1, "r1 i2 r2 a2 a3 q1 qr "},
		{30, 9, 1, "r1 i2 r2 a3 q1 qr "},
		{99, 9, 0, "r1 i2 r2 a3 q1 qr "},
	} {
		n, left := purge(c.seconds, c.limit)
		want.Equal(w, []any{n, left}, []any{c.n, c.left})
	}
}

// testOneKey lets several transactions make the first key of a pool: one is stored, and all see it.
func testOneKey(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			w.update(func(tx store.Tx) error {
				_, err := tx.SigningKeys().Add(signingKey(p.ID, fmt.Sprint("k", i), token.ForAccess))
				return err
			})
		})
	}
	group.Wait()
	keys, err := read(w, func(v store.View) ([]*token.Key, error) { return v.SigningKeys().List(p.ID) })
	want.NoError(w, err)
	want.Equal(w, len(keys), 1)
}
