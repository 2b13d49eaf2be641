package storetest

import (
	"fmt"
	"slices"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// newGroup stores a group; a negative precedence is none.
func (w *world) newGroup(poolID, name string, precedence int) *user.Group {
	w.Helper()
	g := &user.Group{PoolID: poolID, Name: name, Created: noon, Modified: noon}
	if precedence >= 0 {
		g.Precedence = &precedence
	}
	w.update(func(tx store.Tx) error { return tx.Groups().Create(g) })
	return g
}

func getGroup(poolID, name string) func(v store.View) (*user.Group, error) {
	return func(v store.View) (*user.Group, error) { return v.Groups().Get(poolID, name) }
}

// join puts a user into a group, or takes it out, and says whether that changed anything.
func (w *world) join(poolID, name, sub string) (joined bool) {
	w.Helper()
	w.update(func(tx store.Tx) (err error) {
		joined, err = tx.Groups().Join(poolID, name, sub, noon)
		return err
	})
	return joined
}

func (w *world) leave(poolID, name, sub string) (left bool) {
	w.Helper()
	w.update(func(tx store.Tx) (err error) {
		left, err = tx.Groups().Leave(poolID, name, sub)
		return err
	})
	return left
}

// groupsOf are the names of a user's groups.
func (w *world) groupsOf(poolID, sub string) []string {
	w.Helper()
	list, err := read(w, func(v store.View) ([]*user.Group, error) { return v.Groups().Of(poolID, sub) })
	want.NoError(w, err)
	var names []string
	for _, g := range list {
		names = append(names, g.Name)
	}
	return names
}

// members are the user names in a group behind a sub.
func (w *world) members(poolID, name, after string, limit int) []string {
	w.Helper()
	list, err := read(w, func(v store.View) ([]*user.Record, error) { return v.Groups().Members(poolID, name, after, limit) })
	want.NoError(w, err)
	var names []string
	for _, u := range list {
		names = append(names, u.Username)
	}
	return names
}

func testGroups(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	full := &user.Group{PoolID: p.ID, Name: "Full név 🙂", Created: noon, Modified: after(1), GroupSettings: user.GroupSettings{
		Description: new("a \"quoted\"\ndescription"), RoleARN: new("arn:aws:iam::123456789012:role/r"), Precedence: new(2147483647)}}
	w.update(func(tx store.Tx) error { return tx.Groups().Create(full) })
	plain := w.newGroup(p.ID, "plain", -1)
	empty := &user.Group{PoolID: q.ID, Name: "plain", Created: noon, Modified: noon, GroupSettings: user.GroupSettings{Description: new(""), Precedence: new(0)}}
	w.update(func(tx store.Tx) error { return tx.Groups().Create(empty) })
	for _, g := range []*user.Group{full, plain, empty} {
		got, err := read(w, getGroup(g.PoolID, g.Name))
		want.NoError(w, err)
		equal(w, got, g)
		w.update(func(tx store.Tx) (err error) {
			got, err = tx.Groups().Get(g.PoolID, g.Name)
			return err
		})
		equal(w, got, g)
	}
	absent(w, getGroup(p.ID, "Plain"))
	absent(w, getGroup(q.ID, full.Name))
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Groups().Create(plain) })

	list := func(poolID, after string, limit int) (names []string) {
		w.Helper()
		groups, err := read(w, func(v store.View) ([]*user.Group, error) { return v.Groups().List(poolID, after, limit) })
		want.NoError(w, err)
		for _, g := range groups {
			names = append(names, g.Name)
		}
		return names
	}
	w.newGroup(p.ID, "Plain", 1)
	want.Equal(w, list(p.ID, "", 10), []string{full.Name, "Plain", "plain"})
	want.Equal(w, list(p.ID, "", 2), []string{full.Name, "Plain"})
	want.Equal(w, list(p.ID, "Plain", 2), []string{"plain"})
	want.Equal(w, list(p.ID, "plain", 2), nil)
	for poolID, wanted := range map[string]int{p.ID: 3, q.ID: 1, "eu-west-1_None": 0} {
		n, err := read(w, func(v store.View) (int, error) { return v.Groups().Count(poolID) })
		want.NoError(w, err)
		want.Equal(w, n, wanted)
	}

	changed := *full
	changed.GroupSettings, changed.Modified = user.GroupSettings{Precedence: new(3)}, after(9)
	w.update(func(tx store.Tx) error { return tx.Groups().Save(&changed) })
	got, err := read(w, getGroup(p.ID, full.Name))
	want.NoError(w, err)
	equal(w, got, &changed)
	got, err = read(w, getGroup(p.ID, "plain"))
	want.NoError(w, err)
	equal(w, got, plain)

	w.update(func(tx store.Tx) error { return tx.Groups().Delete(p.ID, "plain") })
	absent(w, getGroup(p.ID, "plain"))
	want.Equal(w, list(p.ID, "", 10), []string{full.Name, "Plain"})
	want.Equal(w, list(q.ID, "", 10), []string{"plain"})
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Groups().Delete(p.ID, "plain") })
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Groups().Save(plain) })
	w.update(func(tx store.Tx) error { return tx.Groups().Create(plain) }) // the name is free again
}

func testMembers(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	a, b, c := w.newUser(p, 1, "a"), w.newUser(p, 2, "b", "email", "b@example.com"), w.newUser(p, 3, "c")
	for name, precedence := range map[string]int{"none": -1, "also none": -1, "five": 5, "Five": 5, "zero": 0, "gone": 1} {
		w.newGroup(p.ID, name, precedence)
	}
	w.newGroup(q.ID, "five", 5)
	want.Equal(w, w.groupsOf(p.ID, a.Sub), nil)
	for _, name := range []string{"none", "five", "gone", "zero", "Five", "also none"} {
		want.True(w, w.join(p.ID, name, a.Sub), "a is new in %s", name)
		want.True(w, !w.join(p.ID, name, a.Sub), "a is in %s already", name)
	}
	want.True(w, w.join(p.ID, "five", c.Sub), "c is new")
	want.True(w, w.join(p.ID, "five", b.Sub), "b is new")
	want.Equal(w, w.groupsOf(p.ID, a.Sub), []string{"zero", "gone", "Five", "five", "also none", "none"})
	want.Equal(w, w.groupsOf(p.ID, b.Sub), []string{"five"})
	want.Equal(w, w.groupsOf(q.ID, a.Sub), nil)
	want.Equal(w, w.members(p.ID, "five", "", 10), []string{"a", "b", "c"})
	want.Equal(w, w.members(p.ID, "five", "", 2), []string{"a", "b"})
	want.Equal(w, w.members(p.ID, "five", b.Sub, 2), []string{"c"})
	want.Equal(w, w.members(p.ID, "zero", "", 2), []string{"a"})
	want.Equal(w, w.members(p.ID, "unknown", "", 2), nil)
	want.Equal(w, w.members(q.ID, "five", "", 2), nil)
	list, err := read(w, func(v store.View) ([]*user.Record, error) { return v.Groups().Members(p.ID, "five", a.Sub, 1) })
	want.NoError(w, err)
	equal(w, list, []*user.Record{b})

	w.refused(store.ErrNotFound, func(tx store.Tx) error { _, err := tx.Groups().Join(p.ID, "unknown", a.Sub, noon); return err })
	w.refused(store.ErrNotFound, func(tx store.Tx) error { _, err := tx.Groups().Leave(p.ID, "unknown", a.Sub); return err })
	w.refused(store.ErrNotFound, func(tx store.Tx) error { _, err := tx.Groups().Join(q.ID, "zero", a.Sub, noon); return err })
	want.True(w, w.leave(p.ID, "five", b.Sub), "b was in it")
	want.True(w, !w.leave(p.ID, "five", b.Sub), "b is out already")
	want.Equal(w, w.members(p.ID, "five", "", 10), []string{"a", "c"})

	// A group takes its memberships along, and a new one of the same name has none; so does a user.
	w.update(func(tx store.Tx) error { return tx.Groups().Delete(p.ID, "gone") })
	w.newGroup(p.ID, "gone", 1)
	want.Equal(w, w.members(p.ID, "gone", "", 10), nil)
	want.Equal(w, w.groupsOf(p.ID, a.Sub), []string{"zero", "Five", "five", "also none", "none"})
	w.update(func(tx store.Tx) error { return tx.Users().Delete(p, a) })
	want.Equal(w, w.groupsOf(p.ID, a.Sub), nil)
	want.Equal(w, w.members(p.ID, "five", "", 10), []string{"c"})
	want.Equal(w, w.groupsOf(p.ID, c.Sub), []string{"five"})
}

// testJoinAndDelete lets a crowd join a group while it is deleted: nobody stays in a group that is gone.
func testJoinAndDelete(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	for i := range crowd {
		w.newUser(p, i, fmt.Sprintf("user-%d", i))
	}
	w.newGroup(p.ID, "g", -1)
	joined := make([]bool, crowd)
	for i, err := range together(func(i int) error {
		return w.s.Update(w.Context(), store.Scope{Pool: p}, func(tx store.Tx) error {
			if i == crowd/2 {
				if err := tx.Groups().Delete(p.ID, "g"); err != nil {
					return err
				}
				return tx.Journal().Add(store.Entry{RequestID: "delete", Time: noon})
			}
			if _, err := tx.Users().BySub(p.ID, subOf(i)); err != nil {
				return err
			}
			ok, err := tx.Groups().Join(p.ID, "g", subOf(i), noon)
			joined[i] = ok
			if err != nil {
				return err
			}
			return tx.Journal().Add(store.Entry{RequestID: fmt.Sprint(i), Time: noon})
		})
	}) {
		if err != nil && i != crowd/2 {
			want.Error(w, err, store.ErrNotFound)
			continue
		}
		want.NoError(w, err)
		want.True(w, i == crowd/2 || joined[i], "user %d was told the truth", i)
	}
	w.newGroup(p.ID, "g", -1)
	want.Equal(w, w.members(p.ID, "g", "", crowd), nil)
	want.Equal(w, w.groupsOf(p.ID, subOf(0)), nil)
}

// identity is an account at a provider, linked by its subject.
func identity(provider, value string) user.Identity {
	return user.Identity{Provider: provider, Attribute: user.Subject, Value: value, Type: user.ProviderType(provider), Created: noon}
}

// holder says who an account belongs to: a user name, or "" for nobody.
func (w *world) holder(poolID string, k user.IdentityKey) string {
	w.Helper()
	var inside, outside string
	find := func(users store.UserReader, name *string) error {
		*name = ""
		u, err := users.ByIdentity(poolID, k)
		if err == nil {
			*name = u.Username
		} else {
			want.Error(w, err, store.ErrNotFound)
		}
		return nil
	}
	w.view(func(v store.View) error { return find(v.Users(), &outside) })
	w.update(func(tx store.Tx) error { return find(tx.Users(), &inside) })
	want.Equal(w, inside, outside)
	return outside
}

func testIdentities(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	long := identity("Okta", fmt.Sprintf("%02000d", 1))
	other := long
	other.Value = fmt.Sprintf("%01999d2", 0)
	full := user.Identity{Provider: "A \"provider\" 🙂", Attribute: "email", Value: "jané@example.com", Type: "SAML", Issuer: "urn:x",
		Primary: true, Off: true, Created: after(5)}
	a := record(p, 1, "a")
	a.Identities, a.PasswordOff = []user.Identity{full, identity("Google", "1")}, true
	w.update(func(tx store.Tx) error { return tx.Users().Create(p, a) })
	b, same := w.newUser(p, 2, "b"), w.newUser(q, 1, "same")
	got, err := read(w, bySub(p, a.Sub))
	want.NoError(w, err)
	equal(w, got, a)
	save := func(p *pool.Pool, before *user.Record, change func(r *user.Record)) *user.Record {
		w.Helper()
		next := before.Clone()
		change(next)
		w.update(func(tx store.Tx) error { return tx.Users().Save(p, before, next) })
		got, err := read(w, bySub(p, before.Sub))
		want.NoError(w, err)
		equal(w, got, next)
		return next
	}
	same = save(q, same, func(r *user.Record) { r.Identities = []user.Identity{identity("Google", "1")} })
	b = save(p, b, func(r *user.Record) { r.Identities = []user.Identity{identity("Google", "2"), long, other} })
	for _, x := range []struct {
		poolID string
		key    user.IdentityKey
		want   string
	}{
		{p.ID, full.Key(), "a"}, {p.ID, identity("Google", "1").Key(), "a"}, {q.ID, identity("Google", "1").Key(), "same"},
		{p.ID, identity("Google", "2").Key(), "b"}, {p.ID, long.Key(), "b"}, {p.ID, other.Key(), "b"},
		{p.ID, identity("google", "1").Key(), ""}, {p.ID, identity("Google", "3").Key(), ""}, {q.ID, identity("Google", "2").Key(), ""},
		{p.ID, user.IdentityKey{Provider: "Google", Attribute: "email", Value: "1"}, ""}, {p.ID, user.IdentityKey{}, ""},
		{p.ID, identity("Google", "1\x00").Key(), ""},
	} {
		want.Equal(w, w.holder(x.poolID, x.key), x.want)
	}

	// An account belongs to one user of a pool.
	taken := b.Clone()
	taken.Identities = append(taken.Identities, identity("Google", "1"))
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Users().Save(p, b, taken) })
	w.refused(store.ErrConflict, func(tx store.Tx) error {
		r := record(p, 9, "new")
		r.Identities = []user.Identity{identity("Google", "2")}
		return tx.Users().Create(p, r)
	})
	want.Equal(w, w.found(p, "new"), "")

	// It moves in one transaction, and goes with its user.
	w.update(func(tx store.Tx) error {
		less, more := a.Unlink(identity("Google", "1").Key(), noon), taken.Clone()
		if err := tx.Users().Save(p, a, less); err != nil {
			return err
		}
		return tx.Users().Save(p, b, more)
	})
	want.Equal(w, w.holder(p.ID, identity("Google", "1").Key()), "b")
	b, err = read(w, bySub(p, b.Sub))
	want.NoError(w, err)
	w.update(func(tx store.Tx) error { return tx.Users().Delete(p, b) })
	for _, i := range []user.Identity{long, other, identity("Google", "1"), identity("Google", "2")} {
		want.Equal(w, w.holder(p.ID, i.Key()), "")
	}
	want.Equal(w, w.holder(p.ID, full.Key()), "a")
	want.Equal(w, w.holder(q.ID, identity("Google", "1").Key()), "same")
	save(q, same, func(r *user.Record) { r.Identities, r.PasswordOff = nil, true })
	want.Equal(w, w.holder(q.ID, identity("Google", "1").Key()), "")
}

func testLinkAttributes(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	n := 0
	add := func(p *pool.Pool, provider string, attributes ...string) {
		n++
		u := record(p, n, fmt.Sprint("user-", n))
		for _, a := range attributes {
			u.Identities = append(u.Identities, user.Identity{Provider: provider, Attribute: a, Value: u.Username, Type: "OIDC", Created: noon})
		}
		w.update(func(tx store.Tx) error { return tx.Users().Create(p, u) })
	}
	add(p, "Okta", "email", user.Subject)
	add(p, "Okta", "email", "A", "zip")
	add(p, "Oktb", "other")
	add(q, "Okta", "elsewhere")
	list := func(provider string, limit int) []string {
		w.Helper()
		got, err := read(w, func(v store.View) ([]string, error) { return v.Users().LinkAttributes(p.ID, provider, limit) })
		want.NoError(w, err)
		return got
	}
	want.Equal(w, list("Okta", 10), []string{"A", "email", "zip"})
	want.Equal(w, list("Okta", 2), []string{"A", "email"})
	want.Equal(w, list("Nobody", 2), nil)
}

// testOneHolder lets a crowd claim one account for as many users: one gets it.
func testOneHolder(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	for i := range crowd {
		w.newUser(p, i, fmt.Sprintf("user-%d", i))
	}
	won := 0
	for _, err := range together(func(i int) error {
		return w.s.Update(w.Context(), store.Scope{Pool: p}, func(tx store.Tx) error {
			u, err := tx.Users().BySub(p.ID, subOf(i))
			if err != nil {
				return err
			}
			if err := tx.Users().Save(p, u, u.Link(identity("Google", "1"), noon)); err != nil {
				return err
			}
			return tx.Journal().Add(store.Entry{RequestID: fmt.Sprint(i), Time: noon})
		})
	}) {
		if err == nil {
			won++
			continue
		}
		want.Error(w, err, store.ErrConflict)
	}
	want.Equal(w, won, 1)
	holders, err := read(w, func(v store.View) (n int, err error) {
		for i := range crowd {
			u, err := v.Users().BySub(p.ID, subOf(i))
			if err != nil {
				return 0, err
			}
			if slices.Contains(u.Identities, identity("Google", "1")) {
				n++
			}
		}
		return n, nil
	})
	want.NoError(w, err)
	want.Equal(w, holders, 1)
	want.True(w, w.holder(p.ID, identity("Google", "1").Key()) != "", "the winner is found")
}
