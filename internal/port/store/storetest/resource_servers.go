package storetest

import (
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func testResourceServers(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	full := &pool.ResourceServer{PoolID: p.ID, Identifier: "https://api.example/é?", Name: "the \"API\" 🙂", Managed: true, Created: noon, Modified: after(1),
		Scopes: []pool.ServerScope{{Name: "write", Description: "a \"quoted\"\ndescription <é>"}, {Name: "read", Description: "r"}}}
	plain := &pool.ResourceServer{PoolID: p.ID, Identifier: "plain", Name: "n", Created: noon, Modified: noon}
	other := &pool.ResourceServer{PoolID: q.ID, Identifier: "plain", Name: "of q", Created: noon, Modified: noon}
	for _, s := range []*pool.ResourceServer{full, plain, other} {
		w.update(func(tx store.Tx) error { return tx.ResourceServers().Create(s) })
		got, err := read(w, getServer(s.PoolID, s.Identifier))
		want.NoError(w, err)
		equal(w, got, s)
		w.update(func(tx store.Tx) (err error) {
			got, err = tx.ResourceServers().Get(s.PoolID, s.Identifier)
			return err
		})
		equal(w, got, s)
	}
	absent(w, getServer(p.ID, "Plain"))
	absent(w, getServer(q.ID, full.Identifier))
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.ResourceServers().Create(plain) })

	list := func(poolID, after string, limit int) (names []string) {
		w.Helper()
		servers, err := read(w, func(v store.View) ([]*pool.ResourceServer, error) {
			return v.ResourceServers().List(poolID, after, limit)
		})
		want.NoError(w, err)
		for _, s := range servers {
			names = append(names, s.Identifier)
		}
		return names
	}
	w.update(func(tx store.Tx) error {
		return tx.ResourceServers().Create(&pool.ResourceServer{PoolID: p.ID, Identifier: "Plain", Created: noon, Modified: noon})
	})
	want.Equal(w, list(p.ID, "", 10), []string{"Plain", full.Identifier, "plain"})
	want.Equal(w, list(p.ID, "", 1), []string{"Plain"})
	want.Equal(w, list(p.ID, "Plain", 1), []string{full.Identifier})
	want.Equal(w, list(p.ID, "plain", 1), nil)
	for poolID, wanted := range map[string]int{p.ID: 3, q.ID: 1, "eu-west-1_None": 0} {
		n, err := read(w, func(v store.View) (int, error) { return v.ResourceServers().Count(poolID) })
		want.NoError(w, err)
		want.Equal(w, n, wanted)
	}

	changed := *full
	changed.Name, changed.Scopes, changed.Modified = "other", []pool.ServerScope{{Name: "only", Description: "o"}}, after(9)
	w.update(func(tx store.Tx) error { return tx.ResourceServers().Save(&changed) })
	got, err := read(w, getServer(p.ID, full.Identifier))
	want.NoError(w, err)
	equal(w, got, &changed)
	for _, s := range []*pool.ResourceServer{plain, other} {
		got, err = read(w, getServer(s.PoolID, s.Identifier))
		want.NoError(w, err)
		equal(w, got, s)
	}

	w.update(func(tx store.Tx) error { return tx.ResourceServers().Delete(p.ID, "plain") })
	absent(w, getServer(p.ID, "plain"))
	want.Equal(w, list(p.ID, "", 10), []string{"Plain", full.Identifier})
	want.Equal(w, list(q.ID, "", 10), []string{"plain"})
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.ResourceServers().Delete(p.ID, "plain") })
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.ResourceServers().Save(plain) })
	w.update(func(tx store.Tx) error { return tx.ResourceServers().Create(plain) }) // the identifier is free again
}

func getServer(poolID, identifier string) func(v store.View) (*pool.ResourceServer, error) {
	return func(v store.View) (*pool.ResourceServer, error) { return v.ResourceServers().Get(poolID, identifier) }
}
