package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// gathered is an update for together.
type gathered struct {
	pool  *pool.Pool
	login string
	fn    func(store.Tx) error
}

// together runs updates in one group, in their order, and returns their errors.
func together(t *testing.T, s *Store, updates ...gathered) []error {
	t.Helper()
	if s.writer != nil {
		var list []func(ctx context.Context) error
		for _, u := range updates {
			list = append(list, func(ctx context.Context) error {
				return s.Update(ctx, store.Scope{Pool: u.pool, Login: u.login, Plain: true}, u.fn)
			})
		}
		return group(t, s, list...)
	}
	jobs := make([]*job, len(updates))
	for i, u := range updates {
		jobs[i] = &job{ctx: context.WithValue(t.Context(), jobKey{}, i), scope: store.Scope{Pool: u.pool, Login: u.login, Plain: true}, fn: u.fn, done: make(chan struct{})}
		jobs[i].state.Store(started)
	}
	s.batcher.transact(jobs)
	errs := make([]error, len(jobs))
	for i, j := range jobs {
		if errs[i] = j.wait(); errors.Is(errs[i], errAlone) {
			errs[i] = s.Update(j.ctx, j.scope, j.fn)
		}
	}
	return errs
}

// change is an update of the kind that is gathered: one attribute of one user, and a line of the journal.
func changeOf(p *pool.Pool, login, attribute, value, request string) gathered {
	return gathered{p, login, func(tx store.Tx) error {
		before, err := tx.Users().ByLogin(p, login)
		if err != nil {
			return err
		}
		after := before.Clone()
		after.Attributes[attribute] = value
		if err := tx.Users().Save(p, before, after); err != nil {
			return err
		}
		return tx.Journal().Add(store.Entry{RequestID: request, Time: noon, PoolID: p.ID, Sub: before.Sub, Names: []string{attribute}})
	}}
}

// populate makes a pool with users called u0, u1, ...
func populate(t *testing.T, s *Store, n int) *pool.Pool {
	t.Helper()
	p := samplePool("eu-west-1_AAAAAAAAA")
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
		if err := tx.Pools().Create(p); err != nil {
			return err
		}
		for i := range n {
			if err := tx.Users().Create(p, sampleUser(p, fmt.Sprintf("%08d-e0e1-70ae-d2ee-991ad1a898c8", i), fmt.Sprintf("u%d", i))); err != nil {
				return err
			}
		}
		return nil
	}))
	return p
}

// reads is what is stored of an attribute of a user, with the version of the record, and who wrote the journal.
func reads(t *testing.T, s *Store, p *pool.Pool, login, attribute string) (value string) {
	t.Helper()
	want.NoError(t, s.View(t.Context(), func(v store.View) error {
		u, err := v.Users().ByLogin(p, login)
		if errors.Is(err, store.ErrNotFound) {
			value = "none"
			return nil
		}
		if err == nil {
			value = fmt.Sprintf("%s/%d", u.Attributes[attribute], u.Version)
		}
		return err
	}))
	return value
}

func lines(t *testing.T, s *Store) (requests []string) {
	t.Helper()
	want.NoError(t, s.View(t.Context(), func(v store.View) error {
		list, err := v.Journal().List(noon.Add(-1), "", "", "", 1000)
		requests = nil
		for _, e := range list {
			requests = append(requests, e.RequestID)
		}
		return err
	}))
	return requests
}

func TestGathered(t *testing.T) {
	t.Parallel()
	each(t, Options{}, func(t *testing.T, s *Store) {
		p := populate(t, s, 100)
		before := s.Stats()
		var updates []gathered
		var requests []string
		for i := range 90 {
			updates = append(updates, changeOf(p, fmt.Sprintf("u%d", i), []string{"custom:tier", "name"}[i%2], fmt.Sprint("v", i), fmt.Sprintf("r%02d", i)))
			requests = append(requests, fmt.Sprintf("r%02d", i))
		}
		for i, err := range together(t, s, updates...) {
			want.NoError(t, err)
			want.Equal(t, reads(t, s, p, fmt.Sprintf("u%d", i), []string{"custom:tier", "name"}[i%2]), fmt.Sprintf("v%d/2", i))
		}
		want.Equal(t, reads(t, s, p, "u95", "custom:tier"), "gold/1")
		want.Equal(t, lines(t, s), requests)
		want.Equal(t, s.Stats().Groups-before.Groups, uint64(1))
	})
}

// TestGatheredWithOthers mixes updates that are gathered with such as cannot be, and with such that get in their way.
func TestGatheredWithOthers(t *testing.T) {
	t.Parallel()
	each(t, Options{}, func(t *testing.T, s *Store) {
		p := populate(t, s, 10)
		refused := errors.New("refused")
		refuse := changeOf(p, "u2", "name", "x", "refused")
		write := refuse.fn
		refuse.fn = func(tx store.Tx) error { return errors.Join(write(tx), refused) }
		rename := gathered{p, "u3", func(tx store.Tx) error { // an alias moves, and more is written
			u, err := tx.Users().ByLogin(p, "u3")
			if err != nil {
				return err
			}
			after := u.Clone()
			after.Attributes["email"] = "three@example.com"
			if err := tx.Users().Save(p, u, after); err != nil {
				return err
			}
			if err := tx.Settings().Put("three", []byte("x")); err != nil {
				return err
			}
			return tx.Journal().Add(store.Entry{RequestID: "r3", Time: noon})
		}}
		remove := gathered{p, "u0", func(tx store.Tx) error { // another user than the one that is named
			u, err := tx.Users().ByLogin(p, "u5")
			if err != nil {
				return err
			}
			return tx.Users().Delete(p, u)
		}}
		more := changeOf(p, "u6", "name", "six", "r6")
		save := more.fn
		more.fn = func(tx store.Tx) error { // something follows what could have been left for later
			if err := save(tx); err != nil {
				return err
			}
			if e, err := tx.Journal().Get("r6"); err != nil || e.RequestID != "r6" {
				return fmt.Errorf("the own line is not there: %w", err)
			}
			u, err := tx.Users().ByLogin(p, "u6")
			if err != nil || u.Attributes["name"] != "six" || u.Version != 2 {
				return fmt.Errorf("the own change is not there: %v %w", u, err)
			}
			return tx.Settings().Put("six", []byte("x"))
		}
		alias := changeOf(p, "u7@example.com", "name", "seven", "r7")
		stale := changeOf(&pool.Pool{ID: p.ID, Version: p.Version + 1, Settings: p.Settings}, "u8", "name", "x", "r8")
		same := changeOf(p, "u9", "name", "first", "r9")
		again := changeOf(p, "u9", "custom:tier", "second", "r99")
		errs := together(t, s, changeOf(p, "u1", "name", "one", "r1"), refuse, rename, remove, changeOf(p, "u5", "name", "x", "r5"), more, alias,
			changeOf(p, "nobody", "name", "x", "r0"), stale, same, again)
		for i, err := range map[int]error{1: refused, 7: store.ErrNotFound, 8: store.ErrStale} {
			want.Error(t, errs[i], err)
			errs[i] = nil
		}
		if s.writer != nil { // alone, they come in their order; on PostgreSQL u5 may have been changed before it was removed
			want.Error(t, errs[4], store.ErrNotFound)
		}
		errs[4] = nil
		want.NoError(t, errors.Join(errs...))
		for login, value := range map[string]string{"u1": "one/2", "u2": "/1", "u3": "/2", "u5": "none", "u6": "six/2", "u7": "seven/2", "u8": "/1", "u9": "first/3"} {
			want.Equal(t, reads(t, s, p, login, "name"), value)
		}
		want.Equal(t, reads(t, s, p, "three@example.com", "email"), "three@example.com/2")
		want.Equal(t, reads(t, s, p, "u9", "custom:tier"), "second/3")
		want.Equal(t, has(t, s, "three", "six"), "threesix")
		got := slices.DeleteFunc(lines(t, s), func(r string) bool { return r == "r5" })
		want.Equal(t, strings.Join(got, " "), "r1 r3 r6 r7 r9 r99")
	})
}

// TestGatheredFailures fails the statements that a group shares: then each update has its own outcome.
func TestGatheredFailures(t *testing.T) {
	t.Parallel()
	t.Run("journal", func(t *testing.T) {
		t.Parallel()
		each(t, Options{}, func(t *testing.T, s *Store) {
			p := populate(t, s, 3)
			errs := together(t, s, changeOf(p, "u0", "name", "a", "r"), changeOf(p, "u1", "name", "b", "r"), changeOf(p, "u2", "name", "c", "other"))
			want.NoError(t, errs[0])
			want.Error(t, errs[1], store.ErrReplayed)
			want.NoError(t, errs[2])
			want.Equal(t, reads(t, s, p, "u0", "name")+reads(t, s, p, "u1", "name")+reads(t, s, p, "u2", "name"), "a/2/1c/2")
			want.Equal(t, strings.Join(lines(t, s), " "), "other r")
		})
	})
	for call := 1; call <= 8; call++ {
		t.Run(fmt.Sprint("call ", call), func(t *testing.T) {
			t.Parallel()
			each(t, Options{}, func(t *testing.T, s *Store) {
				p := populate(t, s, 3)
				n := 0
				if s.writer != nil {
					n-- // the update that lets the others wait begins a transaction too
				}
				s.o.Fault = func(ctx context.Context, stage Stage) error {
					if n++; n == call {
						return fmt.Errorf("%s: %w", stage, errInjected)
					}
					return nil
				}
				list := []gathered{changeOf(p, "u0", "name", "v", "r0"), changeOf(p, "u1", "name", "v", "r1"), changeOf(p, "u2", "name", "v", "r2")}
				errs := together(t, s, list...)
				s.o.Fault = nil
				done := 0
				for i, err := range errs {
					name := fmt.Sprintf("u%d", i)
					if err == nil {
						done++
						want.Equal(t, reads(t, s, p, name, "name"), "v/2")
					} else {
						want.Error(t, err, errInjected)
						want.Equal(t, reads(t, s, p, name, "name"), "/1")
					}
				}
				want.Equal(t, len(lines(t, s)), done)
				want.NoError(t, s.Err())
			})
		})
	}
}

// TestGatheredPanic lets a function panic in a group: its caller is told, the others go on.
func TestGatheredPanic(t *testing.T) {
	t.Parallel()
	each(t, Options{}, func(t *testing.T, s *Store) {
		p := populate(t, s, 2)
		good, bad := changeOf(p, "u1", "name", "y", "r1"), changeOf(p, "u0", "name", "x", "r0")
		write := bad.fn
		bad.fn = func(tx store.Tx) error { panic(fmt.Sprint("oops ", write(tx))) }
		var caught any
		update := func(u gathered) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				defer func() {
					if v := recover(); v != nil {
						caught = v
					}
				}()
				return s.Update(ctx, store.Scope{Pool: p, Login: u.login, Plain: true}, u.fn)
			}
		}
		if s.writer != nil {
			want.NoError(t, errors.Join(group(t, s, update(good), update(bad))...))
		} else {
			func() {
				defer func() { caught = recover() }()
				together(t, s, good, bad)
			}()
		}
		want.Equal(t, caught, any("oops <nil>"))
		want.Equal(t, reads(t, s, p, "u0", "name"), "/1")
		want.Equal(t, reads(t, s, p, "u1", "name"), "y/2")
	})
}

// TestSameLogins holds that the quick comparison never misses a change of logins.
func TestSameLogins(t *testing.T) {
	t.Parallel()
	p := samplePool("eu-west-1_AAAAAAAAA")
	p.Aliases = append(p.Aliases, "preferred_username")
	before := sampleUser(p, "s", "jane")
	for _, name := range []string{"email", "email_verified", "phone_number", "phone_number_verified", "preferred_username", "name", "custom:tier"} {
		for _, value := range []string{"", "x", "true"} {
			after := before.Clone()
			if after.Attributes[name] = value; value == "" {
				delete(after.Attributes, name)
			}
			if user.SameLogins(before, after) && !slices.Equal(before.Logins(p), after.Logins(p)) {
				t.Errorf("%s = %q changes the logins unseen", name, value)
			}
		}
	}
}
