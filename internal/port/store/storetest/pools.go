package storetest

import (
	"reflect"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func getPool(id string) func(v store.View) (*pool.Pool, error) {
	return func(v store.View) (*pool.Pool, error) { return v.Pools().Get(id) }
}

func testPools(w *world) {
	absent(w, getPool("eu-west-1_A"))
	a := w.newPool("eu-west-1_A", nil)
	b := w.newPool("eu-west-1_B", func(p *pool.Pool) { p.Replica = true })
	c := w.newPool("eu-west-1_a", nil)
	d := w.newPool("us-east-1_A", func(p *pool.Pool) { p.Region = "us-east-1" })
	want.Equal(w, a.Version, int64(1))

	got, err := read(w, getPool(b.ID))
	want.NoError(w, err)
	equal(w, got, b)
	w.refused(store.ErrConflict, func(tx store.Tx) error {
		return tx.Pools().Create(&pool.Pool{ID: a.ID, Region: "x", Account: "y", Created: noon, Modified: noon})
	})

	list := func(region, after string, limit int) (ids []string) {
		w.Helper()
		pools, err := read(w, func(v store.View) ([]*pool.Pool, error) { return v.Pools().List(region, after, limit) })
		want.NoError(w, err)
		for _, p := range pools {
			ids = append(ids, p.ID)
		}
		return ids
	}
	// Upper case comes before lower case on every database.
	want.Equal(w, list("", "", 10), []string{a.ID, b.ID, c.ID, d.ID})
	want.Equal(w, list("eu-west-1", "", 10), []string{a.ID, b.ID, c.ID})
	want.Equal(w, list("eu-west-1", a.ID, 1), []string{b.ID})
	want.Equal(w, list("eu-west-1", c.ID, 10), nil)
	want.Equal(w, list("", c.ID, 10), []string{d.ID})
	for region, n := range map[string]int{"": 4, "eu-west-1": 3, "us-east-1": 1, "ap-south-1": 0} {
		got, err := read(w, func(v store.View) (int, error) { return v.Pools().Count(region) })
		want.NoError(w, err)
		want.Equal(w, got, n)
	}
}

func testPoolSettings(w *world) {
	var p pool.Pool
	n := 0
	fill(reflect.ValueOf(&p.Settings).Elem(), &n)
	p.ID, p.Region, p.Account, p.Created, p.Modified = "eu-west-1_Full", "eu-west-1", "123456789012", noon, after(1)
	w.update(func(tx store.Tx) error { return tx.Pools().Create(&p) })
	got, err := read(w, getPool(p.ID))
	want.NoError(w, err)
	equal(w, got, &p)

	var c pool.Client
	fill(reflect.ValueOf(&c.ClientSettings).Elem(), &n)
	c.ID, c.PoolID, c.Created, c.Modified = "client", p.ID, noon, after(2)
	w.update(func(tx store.Tx) error { return tx.Clients().Create(&c) })
	client, err := read(w, func(v store.View) (*pool.Client, error) { return v.Clients().Get(p.ID, c.ID) })
	want.NoError(w, err)
	equal(w, client, &c)

	// What was not given stays apart from what was given empty.
	empty := &pool.Pool{ID: "eu-west-1_Empty", Region: "eu-west-1", Created: noon, Modified: noon, Settings: pool.Settings{
		Aliases: []string{}, Tags: map[string]string{}}}
	w.update(func(tx store.Tx) error { return tx.Pools().Create(empty) })
	got, err = read(w, getPool(empty.ID))
	want.NoError(w, err)
	equal(w, got, empty)
	want.True(w, got.Aliases != nil && got.AutoVerified == nil && got.Tags != nil && got.Acr == nil, "empty and absent differ")
}

func testPoolVersions(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	old := *p
	p.Name, p.Modified, p.Replica = "other", after(5), true
	w.update(func(tx store.Tx) error { return tx.Pools().Save(p) })
	want.Equal(w, p.Version, int64(2))
	got, err := read(w, getPool(p.ID))
	want.NoError(w, err)
	equal(w, got, p)

	w.refused(store.ErrStale, func(tx store.Tx) error { return tx.Pools().Save(&old) })
	want.Equal(w, old.Version, int64(1))
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Pools().Save(&pool.Pool{ID: "none", Version: 1}) })
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Pools().Delete("none") })

	// Two saves in one transaction count twice; a refused transaction counts nothing, in the caller's value too.
	w.update(func(tx store.Tx) error {
		if err := tx.Pools().Save(p); err != nil {
			return err
		}
		return tx.Pools().Save(p)
	})
	want.Equal(w, p.Version, int64(4))
	w.refused(errRefused, func(tx store.Tx) error {
		if err := tx.Pools().Save(p); err != nil {
			return err
		}
		return errRefused
	})
	want.Equal(w, p.Version, int64(4))
	w.update(func(tx store.Tx) error { return tx.Pools().Save(p) })
	want.Equal(w, p.Version, int64(5))
}

func testPoolDelete(w *world) {
	type place struct {
		p *pool.Pool
		u *user.Record
	}
	populate := func(id string) place {
		p := w.newPool(id, nil)
		g := &user.Group{PoolID: id, Name: "g", Created: noon, Modified: noon}
		u := record(p, 1, "jane", pool.Email, "jane@example.com", pool.EmailVerified, "true")
		u.Identities = []user.Identity{identity("Google", "1")}
		w.update(func(tx store.Tx) error {
			for _, err := range []error{
				tx.Users().Create(p, u),
				tx.Groups().Create(g),
				second(tx.Groups().Join(id, "g", u.Sub, noon)),
				tx.ResourceServers().Create(&pool.ResourceServer{PoolID: id, Identifier: "s", Created: noon, Modified: noon}),
				tx.Clients().Create(&pool.Client{ID: "client-" + id, PoolID: id, Created: noon, Modified: noon}),
				tx.Passwords().Put(&credential.Password{PoolID: id, Sub: u.Sub, Kept: credential.Kept{Salt: []byte("s"), Verifier: []byte("v")}, Set: noon}),
				tx.Codes().Put(verify.Code{PoolID: id, Sub: u.Sub, Purpose: verify.Email, Plain: secret.New("123456"), Created: noon, Expires: after(60)}),
				tx.SoftwareTokens().Put(&credential.SoftwareToken{PoolID: id, Sub: u.Sub, Key: []byte("k")}),
				tx.Tallies().Put(id, u.Sub, verify.ResendCode, spent),
				tx.Tallies().Put(id, "nobody", verify.ResendCode, spent),
				tx.Families().Create(family(id, u.Sub, "family")),
				second(tx.SigningKeys().Add(signingKey(id, "key-"+id, token.ForAccess))),
				tx.Outbox().Add(message("out-"+id, id, u.Sub, 0)),
				tx.Inbox().Add(&store.Delivered{ID: "in-" + id, PoolID: id, Medium: notice.Email, At: noon}),
				tx.Journal().Add(store.Entry{RequestID: "request-" + id, Time: noon, PoolID: id, Sub: u.Sub, Operation: "AdminCreateUser"}),
			} {
				if err != nil {
					return err
				}
			}
			return nil
		})
		return place{p, u}
	}
	gone, kept := populate("eu-west-1_Gone"), populate("eu-west-1_Kept")
	w.update(func(tx store.Tx) error { return tx.Pools().Delete(gone.p.ID) })

	check := func(x place, target error) {
		w.Helper()
		id, sub := x.p.ID, x.u.Sub
		for what, look := range map[string]func(v store.View) error{
			"pool":     func(v store.View) error { _, err := v.Pools().Get(id); return err },
			"client":   func(v store.View) error { _, err := v.Clients().Get(id, "client-"+id); return err },
			"user":     func(v store.View) error { _, err := v.Users().BySub(id, sub); return err },
			"login":    func(v store.View) error { _, err := v.Users().ByLogin(x.p, "jane"); return err },
			"alias":    func(v store.View) error { _, err := v.Users().ByLogin(x.p, "jane@example.com"); return err },
			"password": func(v store.View) error { _, err := v.Passwords().Get(id, sub); return err },
			"code":     func(v store.View) error { _, err := v.Codes().Get(id, sub, verify.Email); return err },
			"app":      func(v store.View) error { return second(v.SoftwareTokens().Get(id, sub)) },
			"group":    func(v store.View) error { return second(v.Groups().Get(id, "g")) },
			"server":   func(v store.View) error { return second(v.ResourceServers().Get(id, "s")) },
			"member": func(v store.View) error {
				list, err := v.Groups().Members(id, "g", "", 1)
				if err == nil && len(list) == 0 {
					return store.ErrNotFound
				}
				return err
			},
			"identity": func(v store.View) error { return second(v.Users().ByIdentity(id, identity("Google", "1").Key())) },
			"tally":    func(v store.View) error { return spentBy(v, id, sub) },
			"nobody":   func(v store.View) error { return spentBy(v, id, "nobody") },
			"family":   func(v store.View) error { _, err := v.Families().Get(id, sub, "family"); return err },
			"key":      func(v store.View) error { _, err := v.SigningKeys().Get("key-" + id); return err },
			"message":  func(v store.View) error { _, err := v.Outbox().Get("out-" + id); return err },
		} {
			w.Run(id+"/"+what, func(t *testing.T) {
				err := w.s.View(t.Context(), look)
				if target == nil {
					want.NoError(t, err)
				} else {
					want.Error(t, err, target)
				}
			})
		}
	}
	check(gone, store.ErrNotFound)
	check(kept, nil)
	inbox, err := read(w, func(v store.View) ([]*store.Delivered, error) { return v.Inbox().List("", "", 10) })
	want.NoError(w, err)
	want.Equal(w, len(inbox), 1)
	want.Equal(w, inbox[0].ID, "in-"+kept.p.ID)
	// What happened stays written down.
	_, err = read(w, func(v store.View) (*store.Entry, error) { return v.Journal().Get("request-" + gone.p.ID) })
	want.NoError(w, err)
	// The id is never given out again.
	again := *gone.p
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Pools().Create(&again) })
	// Nothing can be put into a pool that is gone.
	w.refused(store.ErrNotFound, func(tx store.Tx) error {
		return tx.Clients().Create(&pool.Client{ID: "late", PoolID: gone.p.ID, Created: noon, Modified: noon})
	})
	// Unless a caller chose it: then it comes again, empty, with a version and a data key of its own.
	again = *gone.p
	w.update(func(tx store.Tx) error { return tx.Pools().Recreate(&again) })
	want.True(w, again.Version != gone.p.Version, "version %d again", again.Version)
	w.refused(store.ErrNotFound, func(tx store.Tx) error { _, err := tx.Users().ByLogin(&again, "jane"); return err })
	w.update(func(tx store.Tx) error {
		return tx.Codes().Put(verify.Code{PoolID: again.ID, Sub: "s", Purpose: verify.Email, Plain: secret.New("123456"), Created: noon, Expires: after(60)})
	})
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Pools().Recreate(&again) })
	w.refused(store.ErrStale, func(tx store.Tx) error { return tx.Pools().Save(gone.p) })
}

func testClients(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	newClient := func(p *pool.Pool, id string, secrets ...string) *pool.Client {
		c := &pool.Client{ID: id, PoolID: p.ID, Created: noon, Modified: after(1), ClientSettings: pool.ClientSettings{Name: "c", OAuth: true}}
		for _, s := range secrets {
			c.Secrets = append(c.Secrets, pool.ClientSecret{ID: id + "--1", Value: secret.New(s), Created: after(2)})
		}
		w.update(func(tx store.Tx) error { return tx.Clients().Create(c) })
		return c
	}
	get := func(poolID, id string) func(v store.View) (*pool.Client, error) {
		return func(v store.View) (*pool.Client, error) { return v.Clients().Get(poolID, id) }
	}
	byID := func(id string) func(v store.View) (*pool.Client, error) {
		return func(v store.View) (*pool.Client, error) { return v.Clients().ByID(id) }
	}
	a := newClient(p, "aaa", "first secret", "second secret")
	b := newClient(p, "bbb")
	newClient(q, "ccc", "third")
	want.Equal(w, a.Version, int64(1))

	for _, c := range []*pool.Client{a, b} {
		got, err := read(w, get(p.ID, c.ID))
		want.NoError(w, err)
		equal(w, got, c)
		got, err = read(w, byID(c.ID))
		want.NoError(w, err)
		equal(w, got, c)
	}
	absent(w, get(q.ID, a.ID))
	absent(w, byID("none"))
	// An id is unique over all pools.
	for _, x := range []*pool.Pool{p, q} {
		w.refused(store.ErrConflict, func(tx store.Tx) error {
			return tx.Clients().Create(&pool.Client{ID: a.ID, PoolID: x.ID, Created: noon, Modified: noon})
		})
	}

	list, err := read(w, func(v store.View) ([]*pool.Client, error) { return v.Clients().List(p.ID, "", 10) })
	want.NoError(w, err)
	equal(w, list, []*pool.Client{a, b})
	list, err = read(w, func(v store.View) ([]*pool.Client, error) { return v.Clients().List(p.ID, "aaa", 10) })
	want.NoError(w, err)
	equal(w, list, []*pool.Client{b})
	n, err := read(w, func(v store.View) (int, error) { return v.Clients().Count(p.ID) })
	want.NoError(w, err)
	want.Equal(w, n, 2)

	old := *a
	a.Name, a.Secrets = "renamed", nil
	w.update(func(tx store.Tx) error { return tx.Clients().Save(a) })
	want.Equal(w, a.Version, int64(2))
	got, err := read(w, byID(a.ID))
	want.NoError(w, err)
	equal(w, got, a)
	w.refused(store.ErrStale, func(tx store.Tx) error { return tx.Clients().Save(&old) })

	w.update(func(tx store.Tx) error { return tx.Clients().Delete(p.ID, a.ID) })
	absent(w, get(p.ID, a.ID))
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Clients().Delete(p.ID, a.ID) })
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Clients().Delete(q.ID, b.ID) })
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Clients().Save(a) })
}
