package storetest

import (
	"errors"
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func bySub(p *pool.Pool, sub string) func(v store.View) (*user.Record, error) {
	return func(v store.View) (*user.Record, error) { return v.Users().BySub(p.ID, sub) }
}

func testUserRecord(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	plain := w.newUser(p, 1, "plain")
	want.Equal(w, plain.Version, int64(1))
	full := record(p, 2, "Full Név \U0001F642", pool.Email, "jane@example.com", "custom:quote", `a "quoted" \ value`,
		"custom:lines", "one\ntwo\ttab\u0001\u007f", "name", "\u00e9\u4e2d\U0001F642<&>", "custom:empty", "")
	full.Status, full.Enabled = user.ForceChangePassword, false
	full.Created, full.Modified, full.TemporarySince = after(1), after(2), after(3)
	full.SignInAttribute, full.SMSOption = pool.Email, true
	full.MFA = user.MFA{SMS: true, TOTP: true, Email: true, Passkey: true, Preferred: user.FactorTOTP}
	full.Pending = map[string]user.Pending{pool.Email: {Value: `new"@example.com`, Requested: after(4)}}
	w.update(func(tx store.Tx) error { return tx.Users().Create(p, full) })
	for _, u := range []*user.Record{plain, full} {
		got, err := read(w, bySub(p, u.Sub))
		want.NoError(w, err)
		equal(w, got, u)
	}

	// Everything that can change, and back.
	changed := full.Clone()
	changed.Status, changed.Enabled, changed.Modified = user.Confirmed, true, after(9)
	changed.TemporarySince, changed.Pending, changed.SMSOption = plain.TemporarySince, nil, false
	changed.MFA = user.MFA{Email: true}
	for i, name := range []string{pool.Email, pool.PhoneNumber, "name", "given_name", "family_name", pool.PreferredUsername, "custom:x"} {
		changed.Attributes[name] = strings.Repeat("x", i+1)
	}
	w.update(func(tx store.Tx) error { return tx.Users().Save(p, full, changed) })
	want.Equal(w, changed.Version, int64(2))
	got, err := read(w, bySub(p, full.Sub))
	want.NoError(w, err)
	equal(w, got, changed)

	back := full.Clone()
	w.update(func(tx store.Tx) error { return tx.Users().Save(p, changed, back) })
	got, err = read(w, bySub(p, full.Sub))
	want.NoError(w, err)
	equal(w, got, back)
	want.Equal(w, got.Version, int64(3))
}

func testFinding(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	other := w.newPool("eu-west-1_B", nil)
	jane := w.newUser(p, 1, "jane", pool.Email, "jane@example.com", pool.EmailVerified, "true",
		pool.PhoneNumber, "+15550001", pool.PhoneNumberVerified, "false", pool.PreferredUsername, "jj")
	// A user name that looks like somebody's address or sub comes first.
	trap := w.newUser(p, 2, "eve@example.com")
	eve := w.newUser(p, 3, "eve", pool.Email, "eve@example.com", pool.EmailVerified, "true")
	mimic := w.newUser(p, 4, jane.Sub)
	w.newUser(other, 5, "somebody", pool.Email, "else@example.com", pool.EmailVerified, "true")

	for text, sub := range map[string]string{
		"jane":             jane.Sub,
		"jane@example.com": jane.Sub,
		"jj":               jane.Sub,
		"+15550001":        "", // not verified
		"eve@example.com":  trap.Sub,
		"eve":              eve.Sub,
		eve.Sub:            eve.Sub,
		jane.Sub:           mimic.Sub,
		subOf(99):          "",
		"Jane":             "",
		"else@example.com": "",
		"":                 "",
		"\x00":             "",
		"\xff":             "",
	} {
		want.Equal(w, w.found(p, text), sub)
	}
	owner := func(space user.Space, key string) func(v store.View) (*user.Record, error) {
		return func(v store.View) (*user.Record, error) {
			return v.Users().Owner(p.ID, user.Login{Space: space, Key: key})
		}
	}
	got, err := read(w, owner(user.Emails, "eve@example.com"))
	want.NoError(w, err)
	equal(w, got, eve)
	absent(w, owner(user.Names, "jane@example.com"))
	absent(w, owner(user.Phones, "+15550001"))
	absent(w, bySub(p, subOf(5)))
	w.update(func(tx store.Tx) error {
		got, err := tx.Users().Owner(p.ID, user.Login{Space: user.Names, Key: "jj"})
		if err == nil && got.Sub != jane.Sub {
			err = errors.New("another owner in an update")
		}
		return err
	})
}

func testSignInAddress(w *world) {
	p := w.newPool("eu-west-1_A", byAddress)
	newUser := func(n int, signIn, email, phone string) *user.Record {
		u := record(p, n, subOf(n), pool.Email, email, pool.PhoneNumber, phone)
		u.SignInAttribute = signIn
		w.update(func(tx store.Tx) error { return tx.Users().Create(p, u) })
		return u
	}
	a := newUser(1, pool.Email, "a@example.com", "+15550001")
	b := newUser(2, pool.PhoneNumber, "b@example.com", "+15550002")
	want.Equal(w, w.found(p, "a@example.com"), a.Sub) // without being verified
	want.Equal(w, w.found(p, "+15550001"), "")
	want.Equal(w, w.found(p, "b@example.com"), "")
	want.Equal(w, w.found(p, "+15550002"), b.Sub)
	want.Equal(w, w.found(p, b.Sub), b.Sub)

	// Yet each address is taken.
	c := record(p, 3, subOf(3), pool.Email, "b@example.com")
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Users().Create(p, c) })

	// A pool without either finds nobody by address.
	none := w.newPool("eu-west-1_C", noAliases)
	w.newUser(none, 4, "d", pool.Email, "d@example.com", pool.EmailVerified, "true", pool.PreferredUsername, "dd")
	want.Equal(w, w.found(none, "d@example.com"), "")
	want.Equal(w, w.found(none, "dd"), "")
}

func testLetterCase(w *world) {
	p := w.newPool("eu-west-1_A", folded)
	u := w.newUser(p, 1, "JaneÉ", pool.Email, "Jane@Example.com", pool.EmailVerified, "true")
	for _, text := range []string{"JaneÉ", "janeé", "JANEÉ", "jane@example.com", "JANE@EXAMPLE.COM"} {
		want.Equal(w, w.found(p, text), u.Sub)
	}
	want.Equal(w, w.found(p, "jane\u0065\u0301"), "") // nothing is normalised
	got, err := read(w, bySub(p, u.Sub))
	want.NoError(w, err)
	want.Equal(w, got.Username, "JaneÉ")
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Users().Create(p, record(p, 2, "jANEé")) })

	strict := w.newPool("eu-west-1_B", nil)
	a, b := w.newUser(strict, 3, "bob"), w.newUser(strict, 4, "Bob")
	want.Equal(w, w.found(strict, "bob"), a.Sub)
	want.Equal(w, w.found(strict, "Bob"), b.Sub)
}

// taken says which login a create or save failed by.
func (w *world) taken(fn func(tx store.Tx) error) user.Login {
	w.Helper()
	err := w.s.Update(w.Context(), store.Scope{}, fn)
	want.Error(w, err, store.ErrConflict)
	var c *store.Conflict
	want.True(w, errors.As(err, &c), "%v is a *store.Conflict", err)
	return c.Login
}

func testConflicts(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	w.newUser(p, 1, "jane", pool.Email, "jane@example.com", pool.EmailVerified, "true",
		pool.PhoneNumber, "+15550001", pool.PhoneNumberVerified, "true", pool.PreferredUsername, "jj")
	create := func(u *user.Record) func(tx store.Tx) error {
		return func(tx store.Tx) error { return tx.Users().Create(p, u) }
	}
	email := []string{pool.Email, "jane@example.com", pool.EmailVerified, "true"}
	for _, c := range []struct {
		u    *user.Record
		want user.Login
	}{
		{record(p, 2, "jane"), user.Login{Space: user.Names, Key: "jane"}},
		{record(p, 2, "jj"), user.Login{Space: user.Names, Key: "jj"}},
		{record(p, 2, "x", pool.PreferredUsername, "jane"), user.Login{Space: user.Names, Key: "jane"}},
		{record(p, 2, "x", email...), user.Login{Space: user.Emails, Key: "jane@example.com"}},
		{record(p, 2, "x", pool.PhoneNumber, "+15550001", pool.PhoneNumberVerified, "true"), user.Login{Space: user.Phones, Key: "+15550001"}},
	} {
		want.Equal(w, w.taken(create(c.u)), c.want)
		want.Equal(w, c.u.Version, int64(0))
		absent(w, bySub(p, c.u.Sub))
	}
	// An address that is not verified can belong to many, and a text can be a name and an address.
	w.newUser(p, 3, "x", pool.Email, "jane@example.com", pool.EmailVerified, "false")
	w.newUser(p, 4, "jane@example.com")
	want.Equal(w, w.taken(func(tx store.Tx) error { return change(tx, p, subOf(3), pool.EmailVerified, "true") }),
		user.Login{Space: user.Emails, Key: "jane@example.com"})
	// A sub is taken too, and that is no login.
	err := w.s.Update(w.Context(), store.Scope{}, create(record(p, 1, "other")))
	want.Error(w, err, store.ErrConflict)
	want.Equal(w, w.found(p, "other"), "")
	// A record may claim a login twice.
	w.newUser(p, 5, "twice", pool.PreferredUsername, "twice")
	w.update(func(tx store.Tx) error { return change(tx, p, subOf(5), pool.PreferredUsername, "") })
	want.Equal(w, w.found(p, "twice"), subOf(5))
	// In another pool everything is free.
	w.newUser(w.newPool("eu-west-1_B", nil), 1, "jane", email...)
}

func testSaving(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	u := w.newUser(p, 1, "jane", "custom:a", "1")
	old := u.Clone()
	w.update(func(tx store.Tx) error { return change(tx, p, u.Sub, "custom:a", "2") })
	w.refused(store.ErrStale, func(tx store.Tx) error { return tx.Users().Save(p, old, old.Clone()) })
	w.refused(store.ErrNotFound, func(tx store.Tx) error {
		none := record(p, 9, "none")
		return tx.Users().Save(p, none, none.Clone())
	})
	// Two saves in one transaction.
	w.update(func(tx store.Tx) error {
		if err := change(tx, p, u.Sub, "custom:a", "3", pool.PreferredUsername, "x"); err != nil {
			return err
		}
		return change(tx, p, u.Sub, "custom:b", "4", pool.PreferredUsername, "y")
	})
	got, err := read(w, bySub(p, u.Sub))
	want.NoError(w, err)
	want.Equal(w, got.Attributes, map[string]string{"custom:a": "3", "custom:b": "4", pool.PreferredUsername: "y"})
	want.Equal(w, got.Version, int64(4))
	want.Equal(w, w.found(p, "x"), "")
	want.Equal(w, w.found(p, "y"), u.Sub)
}

func testLoginsMove(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	verified := func(address string) []string { return []string{pool.Email, address, pool.EmailVerified, "true"} }
	a := w.newUser(p, 1, "a", verified("a@example.com")...)
	b := w.newUser(p, 2, "b", verified("b@example.com")...)

	// From one user to the other, who lets its own go.
	w.update(func(tx store.Tx) error {
		if err := change(tx, p, a.Sub, pool.EmailVerified, "false"); err != nil {
			return err
		}
		return change(tx, p, b.Sub, verified("a@example.com")...)
	})
	want.Equal(w, w.found(p, "a@example.com"), b.Sub)
	want.Equal(w, w.found(p, "b@example.com"), "")
	got, err := read(w, bySub(p, a.Sub))
	want.NoError(w, err)
	want.Equal(w, got.Attributes[pool.Email], "a@example.com")

	// A swap.
	w.update(func(tx store.Tx) error { return change(tx, p, a.Sub, verified("c@example.com")...) })
	w.update(func(tx store.Tx) error {
		if err := change(tx, p, a.Sub, pool.Email, ""); err != nil {
			return err
		}
		if err := change(tx, p, b.Sub, verified("c@example.com")...); err != nil {
			return err
		}
		return change(tx, p, a.Sub, verified("a@example.com")...)
	})
	want.Equal(w, w.found(p, "a@example.com"), a.Sub)
	want.Equal(w, w.found(p, "c@example.com"), b.Sub)

	// A move that is refused moves nothing.
	w.refused(errRefused, func(tx store.Tx) error {
		if err := change(tx, p, a.Sub, pool.Email, ""); err != nil {
			return err
		}
		if err := change(tx, p, b.Sub, verified("a@example.com")...); err != nil {
			return err
		}
		return errRefused
	})
	want.Equal(w, w.found(p, "a@example.com"), a.Sub)
	want.Equal(w, w.found(p, "c@example.com"), b.Sub)
	// Onto one that is held, nothing either.
	want.Equal(w, w.taken(func(tx store.Tx) error { return change(tx, p, b.Sub, verified("a@example.com")...) }),
		user.Login{Space: user.Emails, Key: "a@example.com"})
	want.Equal(w, w.found(p, "c@example.com"), b.Sub)
}

func testLongValues(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	// Four bytes a character, and nothing that could be compressed.
	var b strings.Builder
	for i, x := 0, uint32(1); i < 2047; i++ {
		x = x*1664525 + 1013904223
		b.WriteRune(rune(0x10000 + x>>12))
	}
	long := b.String()
	one, two := long+"1", long+"2"
	a := w.newUser(p, 1, "a", pool.PreferredUsername, one, "name", one, "custom:x", one)
	other := w.newUser(p, 2, "b", pool.PreferredUsername, two, "name", one)
	want.Equal(w, w.found(p, one), a.Sub)
	want.Equal(w, w.found(p, two), other.Sub)
	want.Equal(w, w.found(p, long), "")
	w.update(func(tx store.Tx) error {
		return change(tx, p, other.Sub, "given_name", long, "family_name", long, pool.Email, long, pool.PhoneNumber, long)
	})
	w.refused(store.ErrConflict, func(tx store.Tx) error {
		return tx.Users().Create(p, record(p, 3, "c", pool.PreferredUsername, one))
	})
	got, err := read(w, bySub(p, a.Sub))
	want.NoError(w, err)
	equal(w, got, a)
	for value, subs := range map[string][]string{one: {a.Sub, other.Sub}, two: nil} {
		users, _ := w.list(p, store.Query{Filter: equals("name", value), Limit: 10})
		want.Equal(w, subsOf(users), subs)
	}
}

func testUserDelete(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	u := w.newUser(p, 1, "jane", pool.Email, "jane@example.com", pool.EmailVerified, "true", pool.PreferredUsername, "jj")
	other := w.newUser(p, 2, "joe")
	w.update(func(tx store.Tx) error {
		for _, sub := range []string{u.Sub, other.Sub} {
			for _, err := range []error{
				tx.Passwords().Put(&credential.Password{PoolID: p.ID, Sub: sub, Kept: credential.Kept{Salt: []byte("s"), Verifier: []byte("v")}, Set: noon}),
				tx.Codes().Put(verify.Code{PoolID: p.ID, Sub: sub, Purpose: verify.Email, Plain: secret.New("1"), Created: noon, Expires: noon}),
				tx.SoftwareTokens().Put(&credential.SoftwareToken{PoolID: p.ID, Sub: sub, Key: []byte("k")}),
				tx.Tallies().Put(p.ID, sub, verify.ResendCode, spent),
				tx.Families().Create(family(p.ID, sub, "family")),
				tx.Outbox().Add(message("out-"+sub, p.ID, sub, 0)),
			} {
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	stale := u.Clone()
	w.update(func(tx store.Tx) error { return change(tx, p, u.Sub, "custom:a", "1") })
	w.refused(store.ErrStale, func(tx store.Tx) error { return tx.Users().Delete(p, stale) })
	w.update(func(tx store.Tx) error {
		r, err := tx.Users().BySub(p.ID, u.Sub)
		if err != nil {
			return err
		}
		return tx.Users().Delete(p, r)
	})
	absent(w, bySub(p, u.Sub))
	absent(w, func(v store.View) (*credential.Password, error) { return v.Passwords().Get(p.ID, u.Sub) })
	absent(w, func(v store.View) (verify.Code, error) { return v.Codes().Get(p.ID, u.Sub, verify.Email) })
	absent(w, func(v store.View) (any, error) { return v.Families().Get(p.ID, u.Sub, "family") })
	absent(w, func(v store.View) (any, error) { return v.SoftwareTokens().Get(p.ID, u.Sub) })
	absent(w, func(v store.View) (any, error) { return v.Outbox().Get("out-" + u.Sub) })
	want.Equal(w, w.tally(p.ID, u.Sub, verify.ResendCode), verify.Tally{})
	want.Equal(w, w.tally(p.ID, other.Sub, verify.ResendCode), spent)
	w.view(func(v store.View) error {
		_, err1 := v.Passwords().Get(p.ID, other.Sub)
		_, err2 := v.Codes().Get(p.ID, other.Sub, verify.Email)
		_, err3 := v.Outbox().Get("out-" + other.Sub)
		_, err4 := v.Families().Get(p.ID, other.Sub, "family")
		_, err5 := v.SoftwareTokens().Get(p.ID, other.Sub)
		return errors.Join(err1, err2, err3, err4, err5)
	})
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Users().Delete(p, u) })

	// The names are free at once, the sub is not.
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Users().Create(p, record(p, 1, "new")) })
	again := w.newUser(p, 3, "jane", pool.Email, "jane@example.com", pool.EmailVerified, "true", pool.PreferredUsername, "jj")
	want.Equal(w, w.found(p, "jj"), again.Sub)
	want.Equal(w, w.found(p, u.Sub), "")

	// Gone and new in one transaction.
	w.update(func(tx store.Tx) error {
		r, err := tx.Users().BySub(p.ID, again.Sub)
		if err != nil {
			return err
		}
		if err := tx.Users().Delete(p, r); err != nil {
			return err
		}
		return tx.Users().Create(p, record(p, 4, "jane"))
	})
	want.Equal(w, w.found(p, "jane"), subOf(4))
}

func testUserCount(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	count := func(p *pool.Pool) int {
		n, err := read(w, func(v store.View) (int, error) { return v.Users().Count(p.ID) })
		want.NoError(w, err)
		return n
	}
	want.Equal(w, count(p), 0)
	a := w.newUser(p, 1, "a")
	w.newUser(p, 2, "b")
	w.newUser(q, 3, "c")
	want.Equal(w, count(p), 2)
	w.update(func(tx store.Tx) error { return tx.Users().Delete(p, a) })
	want.Equal(w, count(p), 1)
	want.Equal(w, count(q), 1)
}
