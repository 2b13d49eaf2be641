// Package storetest is the contract of port/store as tests. Every implementation runs it, on every database.
//
// It knows the port and nothing of an implementation: how secrets look on the disk and what a crash leaves behind is
// tested where the implementation lives.
package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// Run checks a store against the contract. open returns an empty store, which lives as long as its test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(w *world)
	}{
		{"pools", testPools},
		{"pools/every setting is kept", testPoolSettings},
		{"pools/versions", testPoolVersions},
		{"pools/delete removes everything", testPoolDelete},
		{"clients", testClients},
		{"users/record is kept", testUserRecord},
		{"users/finding", testFinding},
		{"users/finding by address", testSignInAddress},
		{"users/letter case", testLetterCase},
		{"users/conflicts", testConflicts},
		{"users/saving", testSaving},
		{"users/logins move and swap", testLoginsMove},
		{"users/long values", testLongValues},
		{"users/delete", testUserDelete},
		{"users/count", testUserCount},
		{"list/filters", testFilters},
		{"list/pages", testPages},
		{"list/pages while users come and go", testPagesMoving},
		{"users/identities", testIdentities},
		{"users/link attributes", testLinkAttributes},
		{"groups", testGroups},
		{"groups/members", testMembers},
		{"resource servers", testResourceServers},
		{"passwords", testPasswords},
		{"software tokens", testSoftwareTokens},
		{"codes", testCodes},
		{"tallies", testTallies},
		{"tallies/purge", testTalliesPurge},
		{"tallies/of users", testTalliesOfUsers},
		{"families", testFamilies},
		{"families/purge", testFamiliesPurge},
		{"steps", testSteps},
		{"signing keys", testSigningKeys},
		{"signing keys/age", testSigningKeysAge},
		{"outbox", testOutbox},
		{"inbox", testInbox},
		{"journal", testJournal},
		{"access keys", testKeys},
		{"settings", testSettings},
		{"text that cannot be kept", testText},
		{"transaction/all or nothing", testAtomic},
		{"transaction/spoilt by a conflict", testSpoilt},
		{"transaction/scope", testScope},
		{"transaction/context", testContext},
		{"transaction/guard", testGuard},
		{"transaction/panic", testPanic},
		{"transaction/end of the goroutine", testGoexit},
		{"transaction/snapshot", testSnapshot},
		{"parallel/one winner", testOneWinner},
		{"parallel/join and delete", testJoinAndDelete},
		{"parallel/one holder", testOneHolder},
		{"parallel/one tally", testOneTally},
		{"parallel/one key", testOneKey},
		{"parallel/nothing lost", testNothingLost},
		{"parallel/refusals stay alone", testRefusals},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(&world{T: t, s: open(t)})
		})
	}
}

// noon is when things happen, unless they happen later.
var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// world is a test with its store.
type world struct {
	*testing.T
	s store.Store
}

// update runs fn in a transaction that has to succeed.
func (w *world) update(fn func(tx store.Tx) error) {
	w.Helper()
	want.NoError(w, w.s.Update(w.Context(), store.Scope{}, fn))
}

// refused runs fn in a transaction that has to fail with the error.
func (w *world) refused(target error, fn func(tx store.Tx) error) {
	w.Helper()
	want.Error(w, w.s.Update(w.Context(), store.Scope{}, fn), target)
}

// view runs fn in a view that has to succeed.
func (w *world) view(fn func(v store.View) error) {
	w.Helper()
	want.NoError(w, w.s.View(w.Context(), fn))
}

// read returns what a view reads.
func read[T any](w *world, fn func(v store.View) (T, error)) (got T, err error) {
	err = w.s.View(w.Context(), func(v store.View) (err error) {
		got, err = fn(v)
		return err
	})
	return got, err
}

// absent checks that a view does not find something.
func absent[T any](w *world, fn func(v store.View) (T, error)) {
	w.Helper()
	_, err := read(w, fn)
	want.Error(w, err, store.ErrNotFound)
}

// equal compares values of the domain.
func equal[T any](w *world, got, wanted T) {
	w.Helper()
	want.Equal(w, got, wanted, cmp.Comparer(secret.Text.Equal))
}

// second is the error of two results.
func second[T any](_ T, err error) error { return err }

// newPool stores a pool. Aliases are email, phone_number and preferred_username unless change says otherwise.
func (w *world) newPool(id string, change func(p *pool.Pool)) *pool.Pool {
	w.Helper()
	p := &pool.Pool{ID: id, Region: "eu-west-1", Account: "123456789012", Created: noon, Modified: noon,
		Settings: pool.Settings{Name: id, CaseSensitive: true, Aliases: []string{pool.Email, pool.PhoneNumber, pool.PreferredUsername}}}
	if change != nil {
		change(p)
	}
	w.update(func(tx store.Tx) error { return tx.Pools().Create(p) })
	return p
}

func noAliases(p *pool.Pool) { p.Aliases = nil }

func folded(p *pool.Pool) { p.CaseSensitive = false }

func byAddress(p *pool.Pool) {
	p.Aliases, p.UsernameAttributes = nil, []string{pool.Email, pool.PhoneNumber}
}

// subOf makes subs that look real, in the order of n.
func subOf(n int) string { return fmt.Sprintf("%08x-0000-70ae-0000-000000000000", n) }

// record makes a user; attributes are pairs of name and value.
func record(p *pool.Pool, n int, username string, attributes ...string) *user.Record {
	u := &user.Record{PoolID: p.ID, Sub: subOf(n), Username: username, Created: noon, Modified: noon, Status: user.Confirmed, Enabled: true,
		Attributes: make(map[string]string)}
	for i := 0; i < len(attributes); i += 2 {
		u.Attributes[attributes[i]] = attributes[i+1]
	}
	return u
}

// newUser stores a user.
func (w *world) newUser(p *pool.Pool, n int, username string, attributes ...string) *user.Record {
	w.Helper()
	u := record(p, n, username, attributes...)
	w.update(func(tx store.Tx) error { return tx.Users().Create(p, u) })
	return u
}

// change saves a user with other attributes; an empty value removes one.
func change(tx store.Tx, p *pool.Pool, sub string, attributes ...string) error {
	before, err := tx.Users().BySub(p.ID, sub)
	if err != nil {
		return err
	}
	after := before.Clone()
	for i := 0; i < len(attributes); i += 2 {
		after.Attributes[attributes[i]] = attributes[i+1]
		if attributes[i+1] == "" {
			delete(after.Attributes, attributes[i])
		}
	}
	return tx.Users().Save(p, before, after)
}

// found says who answers to a text: the user's sub, or "" for nobody.
func (w *world) found(p *pool.Pool, text string) string {
	w.Helper()
	u, err := read(w, func(v store.View) (*user.Record, error) { return v.Users().ByLogin(p, text) })
	// In an update the same is found, where rows are locked.
	var locked *user.Record
	lockedErr := w.s.Update(w.Context(), store.Scope{}, func(tx store.Tx) (err error) {
		locked, err = tx.Users().ByLogin(p, text)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		want.Error(w, lockedErr, store.ErrNotFound)
		return ""
	}
	want.NoError(w, err)
	want.NoError(w, lockedErr)
	equal(w, locked, u)
	return u.Sub
}

// fill gives every exported member of a value something that is not its zero value.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d <&> \"é\" 🙂", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n)
			fill(value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("storetest: cannot fill a " + v.Type().String())
	}
}
