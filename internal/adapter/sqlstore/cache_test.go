package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/filter"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestCacheSize: a cache of which nobody says how large it is has room for all users, within bounds.
func TestCacheSize(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	s := open(t, Options{})
	populate(t, s, 1)
	for _, c := range []struct{ set, most, users, size int }{
		{0, 0, 1, 256 * mib},
		{0, 0, 1_000_000, 1_024_000_000},
		{0, 600 * mib, 1_000_000, 600 * mib},
		{0, 128 * mib, 1, 128 * mib},
		{0, mib, 1, 32 * mib},
		{40 * mib, 32 * mib, 1_000_000, 40 * mib},
	} {
		_, err := s.db.ExecContext(t.Context(), `UPDATE users SET rowid = $1`, c.users)
		want.NoError(t, err)
		s.o.Cache, s.o.MostCache = c.set, c.most
		got, err := s.cacheSize(t.Context(), s.writer.c)
		want.NoError(t, err)
		if got != c.size {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestCacheAnswers asks twice for everything of which copies are kept, and looks into the cache whether the second answer
// can come from there. What is answered is the same.
func TestCacheAnswers(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	p := populate(t, s, 5)
	f := &token.Family{PoolID: p.ID, Sub: subOf(3), ID: "f", ClientID: "c", EventID: "e", Origin: "password", Scopes: []string{"a", "b"},
		AuthTime: noon, Created: noon, Expires: noon.Add(time.Hour)}
	secured := &credential.Password{PoolID: p.ID, Sub: subOf(3), Set: noon, Temporary: true,
		Kept:   credential.Kept{Salt: []byte("salt"), Verifier: []byte("verifier")},
		Former: []credential.Kept{{Salt: []byte("former"), Hash: "argon2id"}}}
	wrong := verify.Tally{Since: noon, Spent: 2, Failures: 3, Until: noon.Add(time.Second)}
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
		return cmp.Or(tx.Families().Create(f), tx.Passwords().Put(secured), tx.Tallies().Put(p.ID, subOf(3), verify.SignIn, wrong))
	}))
	type answers struct {
		bySub, byLogin *user.Record
		list           []*user.Record
		family         *token.Family
		password       *credential.Password
		wrong, never   verify.Tally
		groups         []*user.Group
	}
	ask := func() (a answers) {
		want.NoError(t, s.View(t.Context(), func(v store.View) (err error) {
			if a.bySub, err = v.Users().BySub(p.ID, subOf(3)); err != nil {
				return err
			}
			if a.family, err = v.Families().Get(p.ID, subOf(3), "f"); err != nil {
				return err
			}
			if a.byLogin, err = v.Users().ByLogin(p, "u3"); err != nil {
				return err
			}
			if a.password, err = v.Passwords().Get(p.ID, subOf(3)); err != nil {
				return err
			}
			if a.wrong, err = v.Tallies().Get(p.ID, subOf(3), verify.SignIn); err != nil {
				return err
			}
			if a.never, err = v.Tallies().Get(p.ID, subOf(3), verify.FirstFactor); err != nil {
				return err
			}
			if a.groups, err = v.Groups().Of(p.ID, subOf(3)); err != nil {
				return err
			}
			a.list, _, err = v.Users().List(p, store.Query{Filter: filter.Filter{Attribute: "username", Op: filter.Equal, Value: "u3"}, Limit: 10})
			return err
		}))
		return a
	}
	// Of what was just written, and is asked for soon, there is a copy at once.
	written := []string{keptFamily(p.ID, subOf(3), "f"), keptPassword(p.ID, subOf(3))}
	read := []string{keptUser(p.ID, subOf(3)), keptLogin(p.ID, user.Names, "u3"), keptSearch(p.ID, "username", "u3"),
		keptTally(p.ID, subOf(3), verify.SignIn), keptTally(p.ID, subOf(3), verify.FirstFactor), keptUngrouped(p.ID, subOf(3))}
	for _, key := range written {
		_, _, ok := s.cache.get(key)
		want.True(t, ok, "there is a copy: %q", key)
	}
	for _, key := range read {
		_, _, ok := s.cache.get(key)
		want.True(t, !ok, "there is no copy yet: %q", key)
	}
	first := ask()
	// The first view began a transaction for its second query; each question alone leaves a copy as well.
	for _, key := range append(written, read...) {
		_, _, ok := s.cache.get(key)
		want.True(t, ok, "there is a copy: %q", key)
	}
	second := ask()
	if d := diff.Diff(first, second, diff.AllowUnexported(answers{})); d != "" {
		t.Fatal(d)
	}
	want.Equal(t, len(first.list), 1)
	want.Equal(t, first.family, f)
	want.Equal(t, first.password, secured)
	want.Equal(t, first.wrong, wrong)
	want.Equal(t, first.never, verify.Tally{})
	want.Equal(t, first.groups, nil)
	sealed, _, _ := s.cache.get(keptPassword(p.ID, subOf(3)))
	want.True(t, !strings.Contains(sealed, "verifier"), "the copy of a password is sealed as its row is")
	// That nobody has a name is kept too, so that guesses at names take the same time.
	for range 2 {
		want.Error(t, s.View(t.Context(), func(v store.View) error {
			_, err := v.Users().ByLogin(p, "nobody")
			return err
		}), store.ErrNotFound)
		sub, _, ok := s.cache.get(keptLogin(p.ID, user.Names, "nobody"))
		want.True(t, ok && sub == nobody, "there is a copy")
	}
}

func subOf(i int) string { return fmt.Sprintf("%08d-e0e1-70ae-d2ee-991ad1a898c8", i) }

// TestCacheForgets changes what copies were made of, in every way, and asks again each time.
func TestCacheForgets(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	p := populate(t, s, 3)
	search := func(attribute, value string) (subs []string) {
		want.NoError(t, s.View(t.Context(), func(v store.View) error {
			list, _, err := v.Users().List(p, store.Query{Filter: filter.Filter{Attribute: attribute, Op: filter.Equal, Value: value}, Limit: 10})
			subs = nil
			for _, u := range list {
				subs = append(subs, u.Sub[:8])
			}
			return err
		}))
		return subs
	}
	find := func(login string) (sub string) {
		want.NoError(t, s.View(t.Context(), func(v store.View) error {
			u, err := v.Users().ByLogin(p, login)
			if errors.Is(err, store.ErrNotFound) {
				sub = "none"
				return nil
			}
			if err == nil {
				sub = u.Sub[:8]
			}
			return err
		}))
		return sub
	}
	change := func(fn func(tx store.Tx) error) { want.NoError(t, s.Update(t.Context(), store.Scope{}, fn)) }
	save := func(i int, set func(*user.Record)) {
		change(func(tx store.Tx) error {
			u, err := tx.Users().BySub(p.ID, subOf(i))
			if err != nil {
				return err
			}
			after := u.Clone()
			set(after)
			return tx.Users().Save(p, u, after)
		})
	}

	want.Equal(t, search("email", "x@example.com"), nil)
	save(1, func(u *user.Record) {
		u.Attributes[pool.Email], u.Attributes[pool.EmailVerified] = "x@example.com", "false"
	})
	want.Equal(t, search("email", "x@example.com"), []string{"00000001"})
	save(2, func(u *user.Record) {
		u.Attributes[pool.Email], u.Attributes[pool.EmailVerified] = "x@example.com", "false"
	})
	want.Equal(t, search("email", "x@example.com"), []string{"00000001", "00000002"})
	save(1, func(u *user.Record) { delete(u.Attributes, pool.Email) })
	want.Equal(t, search("email", "x@example.com"), []string{"00000002"})

	want.Equal(t, search("username", "u9"), nil)
	want.Equal(t, find("u9"), "none")
	change(func(tx store.Tx) error { return tx.Users().Create(p, sampleUser(p, subOf(9), "u9")) })
	want.Equal(t, search("username", "u9"), []string{"00000009"})
	want.Equal(t, find("u9"), "00000009")
	change(func(tx store.Tx) error {
		u, err := tx.Users().BySub(p.ID, subOf(9))
		if err != nil {
			return err
		}
		return tx.Users().Delete(p, u)
	})
	want.Equal(t, search("username", "u9"), nil)
	want.Equal(t, find("u9"), "none")

	// A refused update leaves the copies as they were, one that was rolled back to its savepoint too.
	want.Equal(t, reads(t, s, p, "u1", "name"), reads(t, s, p, "u1", "name"))
	before := reads(t, s, p, "u1", "name")
	refusal := errors.New("refused")
	errs := group(t, s,
		func(ctx context.Context) error {
			return s.Update(ctx, store.Scope{}, changeOf(p, "u2", "name", "kept", "r1").fn)
		},
		func(ctx context.Context) error {
			return s.Update(ctx, store.Scope{}, func(tx store.Tx) error {
				if err := changeOf(p, "u1", "name", "lost", "r2").fn(tx); err != nil {
					return err
				}
				return refusal
			})
		})
	want.NoError(t, errs[0])
	want.Error(t, errs[1], refusal)
	want.Equal(t, reads(t, s, p, "u1", "name"), before)
	want.Equal(t, reads(t, s, p, "u2", "name")[:5], "kept/")

	// A pool that comes again has nothing of the old one.
	change(func(tx store.Tx) error { return tx.Pools().Delete(p.ID) })
	for _, login := range []string{"u1", "u2"} {
		want.Equal(t, find(login), "none")
	}
}

// TestCacheFamilies revokes sign-ins in each way there is, behind a copy of them.
func TestCacheFamilies(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	p := populate(t, s, 1)
	for name, revoke := range map[string]func(store.Tx) error{
		"one":  func(tx store.Tx) error { return tx.Families().Revoke(p.ID, subOf(0), "one", noon) },
		"user": func(tx store.Tx) error { return tx.Families().RevokeUser(p.ID, subOf(0), noon) },
		"purged": func(tx store.Tx) error {
			_, err := tx.Families().Purge(noon.Add(24*time.Hour), 10)
			return err
		},
	} {
		f := &token.Family{PoolID: p.ID, Sub: subOf(0), ID: name, ClientID: "c", EventID: "e" + name, AuthTime: noon, Created: noon, Expires: noon.Add(time.Hour)}
		want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Families().Create(f) }))
		lives := func() (lives bool) {
			want.NoError(t, s.View(t.Context(), func(v store.View) error {
				g, err := v.Families().Get(p.ID, subOf(0), name)
				lives = err == nil && g.Revoked.IsZero()
				if errors.Is(err, store.ErrNotFound) {
					err = nil
				}
				return err
			}))
			return lives
		}
		for range 2 {
			want.True(t, lives(), "%s: lives", name)
		}
		want.NoError(t, s.Update(t.Context(), store.Scope{}, revoke))
		want.True(t, !lives(), "%s: is revoked at once", name)
	}
}

// TestCacheSignIns changes what a sign-in asks about a user, in each way there is, behind copies of it.
func TestCacheSignIns(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	p := populate(t, s, 2)
	sub := subOf(0)
	see := func() (seen string) {
		want.NoError(t, s.View(t.Context(), func(v store.View) error {
			seen = "none"
			kept, err := v.Passwords().Get(p.ID, sub)
			if err == nil {
				seen = string(kept.Salt)
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			tally, err := v.Tallies().Get(p.ID, sub, verify.SignIn)
			if err != nil {
				return err
			}
			groups, err := v.Groups().Of(p.ID, sub)
			seen = fmt.Sprint(seen, " ", tally.Failures, " ", len(groups))
			return err
		}))
		return seen
	}
	put := func(salt string) func(store.Tx) error {
		return func(tx store.Tx) error {
			return tx.Passwords().Put(&credential.Password{PoolID: p.ID, Sub: sub, Set: noon, Kept: credential.Kept{Salt: []byte(salt)}})
		}
	}
	miss := func(tx store.Tx) error {
		return tx.Tallies().Put(p.ID, sub, verify.SignIn, verify.Tally{Since: noon}.Miss(noon))
	}
	for _, c := range []struct {
		change func(store.Tx) error
		want   string
	}{
		{nil, "none 0 0"},
		{put("first"), "first 0 0"},
		{put("second"), "second 0 0"},
		{miss, "second 1 0"},
		{func(tx store.Tx) error { return tx.Tallies().Clear(p.ID, sub) }, "second 0 0"},
		{miss, "second 1 0"},
		{func(tx store.Tx) error {
			if err := tx.Groups().Create(&user.Group{PoolID: p.ID, Name: "g", Created: noon, Modified: noon}); err != nil {
				return err
			}
			_, err := tx.Groups().Join(p.ID, "g", sub, noon)
			return err
		}, "second 1 1"},
		{func(tx store.Tx) error {
			_, err := tx.Groups().Leave(p.ID, "g", sub)
			return err
		}, "second 1 0"},
		{func(tx store.Tx) error {
			_, err := tx.Groups().Join(p.ID, "g", sub, noon)
			return err
		}, "second 1 1"},
		{func(tx store.Tx) error { return tx.Groups().Delete(p.ID, "g") }, "second 1 0"},
		{func(tx store.Tx) error {
			u, err := tx.Users().BySub(p.ID, sub)
			if err != nil {
				return err
			}
			return tx.Users().Delete(p, u)
		}, "none 0 0"},
		{miss, "none 1 0"}, // as guesses at a name that nobody has are counted
		{func(tx store.Tx) error {
			_, err := tx.Tallies().Purge(noon.Add(time.Second), 10)
			return err
		}, "none 0 0"},
	} {
		if c.change != nil {
			want.NoError(t, s.Update(t.Context(), store.Scope{}, c.change))
		}
		for range 2 {
			want.Equal(t, see(), c.want)
		}
		// One that is refused changes nothing of the copies.
		want.Error(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
			return cmp.Or(put("refused")(tx), miss(tx), errInjected)
		}), errInjected)
		want.Equal(t, see(), c.want)
	}
}

// TestCacheUnderLoad lets readers watch users that others change. Nobody sees an older state after a newer one, and after an
// update has returned everybody sees it.
func TestCacheUnderLoad(t *testing.T) {
	t.Parallel()
	const users, writers, rounds = 4, 4, 60
	s := open(t, Options{})
	p := populate(t, s, users)
	var acknowledged [users]atomic.Int64 // versions
	var writing, reading sync.WaitGroup
	var over atomic.Bool
	for range 3 {
		reading.Go(func() {
			var seen [users]int64
			for i := 0; !over.Load(); i = (i + 1) % users {
				least := max(acknowledged[i].Load(), seen[i])
				err := s.View(t.Context(), func(v store.View) error {
					u, err := v.Users().ByLogin(p, fmt.Sprint("u", i))
					if err != nil {
						return err
					}
					again, err := v.Users().BySub(p.ID, u.Sub)
					if err != nil {
						return err
					}
					if again.Version != u.Version {
						t.Errorf("one view sees versions %d and %d", u.Version, again.Version)
					}
					seen[i] = u.Version
					return nil
				})
				if err != nil || seen[i] < least {
					t.Errorf("user %d: version %d after %d, %v", i, seen[i], least, err)
					return
				}
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for r := range rounds {
				i := (w + r) % users
				var version int64
				u := changeOf(p, fmt.Sprint("u", i), "name", fmt.Sprint(w, r), fmt.Sprintf("r%d-%d", w, r))
				err := s.Update(t.Context(), store.Scope{Pool: p, Login: u.login, Plain: r%3 > 0}, func(tx store.Tx) error {
					if err := u.fn(tx); err != nil {
						return err
					}
					after, err := tx.Users().ByLogin(p, u.login)
					if err == nil {
						version = after.Version
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				for old := acknowledged[i].Load(); old < version && !acknowledged[i].CompareAndSwap(old, version); old = acknowledged[i].Load() {
				}
			}
		})
	}
	writing.Wait()
	over.Store(true)
	reading.Wait()
	total := int64(0)
	for i := range users {
		total += acknowledged[i].Load() - 1
	}
	want.Equal(t, total, int64(writers*rounds))
}

// FuzzUserRow holds that the cache gives back what it was given, and that nothing else makes it panic.
func FuzzUserRow(f *testing.F) {
	f.Add("s", "u", "CONFIRMED", `{"a":"b"}`, "", int64(1), int64(-5), true)
	f.Add("", "", "", "", "\xff", int64(1<<62), int64(0), false)
	f.Fuzz(func(t *testing.T, sub, username, status, attributes, pending string, version, created int64, temporary bool) {
		row := &userRow{number: version ^ created, version: version, created: created, sub: sub, username: username, status: status,
			attributes: attributes, pending: pending}
		row.temporarySince.Valid, row.temporarySince.Int64 = temporary, created
		got, err := parseUserRow(string(row.append(nil)))
		want.NoError(t, err)
		if *got != *row {
			t.Fatalf("%+v became %+v", *row, *got)
		}
		for _, text := range []string{sub, attributes, string(row.append(nil))[1:]} {
			if _, err := parseUserRow(text); err != nil {
				want.Error(t, err, errKept)
			}
			if _, err := parseFamily("p", "s", text); err != nil {
				want.Error(t, err, errKept)
			}
			if _, err := parsePasswordRow(text); err != nil {
				want.Error(t, err, errKept)
			}
			if _, err := parseTally(text); err != nil {
				want.Error(t, err, errKept)
			}
		}
	})
}
