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

// signingKey makes a current key.
func signingKey(poolID, id string, use token.Use) *token.Key {
	return &token.Key{PoolID: poolID, ID: id, Use: use, State: token.Current, Created: noon, Changed: noon, Material: []byte("key " + id)}
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
	add := func(k *token.Key) {
		w.Helper()
		w.update(func(tx store.Tx) error { return tx.SigningKeys().Add(k) })
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
	access, id, former := signingKey(p.ID, "k1", token.ForAccess), signingKey(p.ID, "k2", token.ForID), signingKey(p.ID, "k0", token.ForAccess)
	former.State, former.Changed, former.Created = token.Former, after(1), after(-1)
	foreign := signingKey(q.ID, "k4", token.ForAccess)
	for _, k := range []*token.Key{access, id, former, foreign} {
		add(k)
		got, err := read(w, get(k.ID))
		want.NoError(w, err)
		equal(w, got, k)
	}
	// There is one current key of a use, and an id is one key's.
	add(signingKey(p.ID, "k5", token.ForAccess))
	absent(w, get("k5"))
	add(signingKey(q.ID, "k2", token.ForID))
	equal(w, list(p.ID), []*token.Key{former, access, id})
	equal(w, list(q.ID), []*token.Key{foreign})
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.SigningKeys().Add(signingKey("eu-west-1_None", "k9", token.ForID)) })
}

// testOneKey lets several transactions make the first key of a pool: one key is current, and all see it.
func testOneKey(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			w.update(func(tx store.Tx) error {
				return tx.SigningKeys().Add(signingKey(p.ID, fmt.Sprint("k", i), token.ForAccess))
			})
		})
	}
	group.Wait()
	keys, err := read(w, func(v store.View) ([]*token.Key, error) { return v.SigningKeys().List(p.ID) })
	want.NoError(w, err)
	want.Equal(w, len(keys), 1)
}
