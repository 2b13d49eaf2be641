package ops_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// openOwn opens a store for one test. It waits for a busy machine: what it does with a database that is slow or away is a test of
// the store.
func openOwn(t *testing.T, o sqlstore.Options) *sqlstore.Store {
	t.Helper()
	kek, err := seal.NewKEK([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(t, err)
	o.Ring, o.Random, o.Logger, o.Now = seal.NewRing(kek), chance.System(), slog.New(slog.DiscardHandler), clock.System().Now
	o.Timeout, o.Hold = time.Minute, time.Minute
	o.Sleep = func(ctx context.Context, d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(min(d, time.Millisecond)):
		}
	}
	s, err := sqlstore.Open(t.Context(), o)
	want.NoError(t, err)
	t.Cleanup(func() { want.NoError(t, s.Close()) })
	return s
}

// onOwn runs a test on two stores of its own.
func onOwn(t *testing.T, fn func(t *testing.T, o sqlstore.Options)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, sqlstore.Options{Path: t.TempDir() + "/own.db"})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, sqlstore.Options{DSN: pgtest.Database(t)})
	})
}

// TestAdminUpdateUserAttributesI1 puts one invalid entry at each position of a longer request: nothing changes.
func TestAdminUpdateUserAttributesI1(t *testing.T) {
	t.Parallel()
	good := []string{"custom:tier=a", "nickname=n", "email=b@x.io", "phone_number=+1555"}
	for _, bad := range []string{"nope=1", "custom:tier=elevenchars", "custom:score=x", "custom:score=101", "custom:ref=1", "sub=x", "name=", "phone_number=1", "email=x"} {
		t.Run(bad, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, withHook("CustomMessage")), func(w *world) {
				u := w.addUser("u", vectorUser)
				w.clock.Advance(time.Minute)
				for i := range len(good) + 1 {
					got := w.update1("u", list(strings.Join(slices.Insert(slices.Clone(good), i, bad), ", ")))
					want.True(w, strings.HasPrefix(got, "InvalidParameterException: "), "at %d: %s", i, got)
				}
				want.Equal(w, w.stored(u), u)
				want.Equal(w, w.sent(), nil)
				want.Equal(w, w.ran(), nil)
				want.Equal(w, w.journal(""), nil)
			})
		})
	}
}

// TestAdminUpdateUserAttributesI5 lets two nodes on one database claim the same address for two users again and
// again: at every moment one owner at most, and where addresses are user names exactly one success each time.
func TestAdminUpdateUserAttributesI5(t *testing.T) {
	t.Parallel()
	const rounds = 40
	race := func(w *world, second *world, u, v *user.Record, attrs string) (ok int) {
		var done sync.WaitGroup
		var succeeded atomic.Int32
		for _, claim := range []struct {
			node *world
			user *user.Record
		}{{w, u}, {second, v}} {
			done.Go(func() {
				got := claim.node.update1(claim.user.Username, list(attrs))
				switch {
				case got == "{}":
					succeeded.Add(1)
				case !strings.HasPrefix(got, "AliasExistsException: "):
					w.Errorf("answer %s", got)
				}
			})
		}
		done.Wait()
		return int(succeeded.Load())
	}
	nodes := func(t *testing.T, o sqlstore.Options, change func(*pool.Settings)) (*world, *world) {
		w := newWorld(t, openOwn(t, o), change)
		second := w
		if o.DSN != "" {
			second = newWorld(t, openOwn(t, o), change)
			second.pool = w.pool
		}
		return w, second
	}
	t.Run("alias pool", func(t *testing.T) {
		t.Parallel()
		onOwn(t, func(t *testing.T, o sqlstore.Options) {
			w, second := nodes(t, o, both(vectorPool, aliasPool))
			u, v := w.addUser("u", nil), w.addUser("v", nil)
			for i := range rounds {
				address := fmt.Sprintf("a%d@x.io", i)
				want.Equal(w, race(w, second, u, v, "email="+address+", email_verified=true"), 2)
				flags := []string{w.stored(u).Attributes["email_verified"], w.stored(v).Attributes["email_verified"]}
				slices.Sort(flags)
				want.Equal(w, flags, []string{"false", "true"})
				owner := u
				if w.stored(v).Attributes["email_verified"] == "true" {
					owner = v
				}
				want.Equal(w, w.owner(user.Emails, address), owner.Username)
			}
		})
	})
	t.Run("username attributes", func(t *testing.T) {
		t.Parallel()
		onOwn(t, func(t *testing.T, o sqlstore.Options) {
			w, second := nodes(t, o, both(vectorPool, usernameAttributes))
			u := w.addUser("u", map[string]string{"email": "u@x.io"}, byEmail)
			v := w.addUser("v", map[string]string{"email": "v@x.io"}, byEmail)
			for i := range rounds {
				want.Equal(w, race(w, second, u, v, fmt.Sprintf("email=a%d@x.io", i)), 1)
			}
		})
	})
}

// TestAdminUpdateUserAttributesI6 lets 64 writers change one user at once, each its own attribute and one that all
// share: nothing is lost and nobody gets a server fault.
func TestAdminUpdateUserAttributesI6(t *testing.T) {
	t.Parallel()
	const writers, rounds = 64, 5
	onOwn(t, func(t *testing.T, o sqlstore.Options) {
		w := newWorld(t, openOwn(t, o), func(s *pool.Settings) {
			for i := range writers {
				s.Custom = append(s.Custom, pool.Attribute{Name: fmt.Sprintf("custom:w%d", i), Type: pool.String, Mutable: true})
			}
		})
		u := w.addUser("u", nil)
		var done sync.WaitGroup
		for i := range writers {
			done.Go(func() {
				for n := range rounds {
					got := w.update1("u", list(fmt.Sprintf("custom:w%d=%d, nickname=%d", i, n, i)))
					want.Equal(w, got, "{}")
				}
			})
		}
		done.Wait()
		now := w.stored(u)
		for i := range writers {
			want.Equal(w, now.Attributes[fmt.Sprintf("custom:w%d", i)], fmt.Sprint(rounds-1))
		}
		want.Equal(w, now.Version-u.Version, int64(writers*rounds))
		entries := 0
		w.view(func(v store.View) error {
			all, err := v.Journal().List(time.Time{}, "", w.pool.ID, u.Sub, 10_000)
			entries = len(all)
			return err
		})
		want.Equal(w, entries, writers*rounds)
	})
}

var errInjected = errors.New("injected")

// TestAdminUpdateUserAttributesEveryStorageCall fails each storage call of one update in turn, of an update that does
// everything there is: it moves an alias, replaces a code, queues a message. Either all of it is there or nothing.
func TestAdminUpdateUserAttributesEveryStorageCall(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, o sqlstore.Options) {
		var left atomic.Int64 // storage calls until the failure; negative: no failure
		left.Store(-1)
		o.Fault = func(context.Context, sqlstore.Stage) error {
			if n := left.Load(); n >= 0 && left.Add(-1) == -1 {
				return errInjected
			}
			return nil
		}
		w := newWorld(t, openOwn(t, o), both(vectorPool, aliasPool, phoneToo))
		tried := 0
		for k := int64(0); ; k++ {
			holder := w.addUser(fmt.Sprintf("holder%d", k), map[string]string{"email": fmt.Sprintf("a%d@x.io", k), "email_verified": "true"})
			u := w.addUser(fmt.Sprintf("u%d", k), nil)
			w.sms.got = nil
			left.Store(k)
			id, reply := w.request("AdminUpdateUserAttributes", fmt.Sprintf(`{"UserPoolId":"$pool","Username":%q,"UserAttributes":%s}`, u.Username,
				list(fmt.Sprintf("email=a%d@x.io, email_verified=true, phone_number=+1555%d", k, k))))
			failed := left.Swap(-1) == -1
			if !failed && reply.Err == nil {
				break // the update made fewer than k calls: all of them have failed once
			}
			tried++
			var entry *store.Entry
			var code verify.Code
			w.view(func(v store.View) (err error) {
				if entry, err = v.Journal().Get(id); err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
				code, err = v.Codes().Get(w.pool.ID, u.Sub, verify.Phone)
				if errors.Is(err, store.ErrNotFound) {
					return nil
				}
				return err
			})
			now, other := w.stored(u), w.stored(holder)
			if committed := entry != nil; committed {
				want.True(w, reply.Err == nil || !reply.Err.Code.Server(), "call %d: %v after a commit", k, reply.Err)
				want.Equal(w, now.Attributes, map[string]string{"email": holder.Attributes["email"], "email_verified": "true", "phone_number": fmt.Sprintf("+1555%d", k), "phone_number_verified": "false"})
				want.Equal(w, other.Attributes["email_verified"], "false")
				want.Equal(w, w.owner(user.Emails, holder.Attributes["email"]), u.Username)
				want.Equal(w, code.Target, fmt.Sprintf("+1555%d", k))
			} else {
				want.True(w, reply.Err != nil && (reply.Err.Code == fault.InternalErrorException || reply.Err.Code == fault.TooManyRequestsException), "call %d: %v without a commit", k, reply.Err)
				want.Equal(w, now, u)
				want.Equal(w, other, holder)
				want.Equal(w, w.owner(user.Emails, holder.Attributes["email"]), holder.Username)
				want.Equal(w, code, verify.Code{})
				want.Equal(w, w.sent(), nil)
			}
			want.True(w, k < 200, "the update never succeeds")
		}
		want.True(w, tried > 5, "only %d storage calls were failed", tried)
		t.Logf("%d storage calls failed in turn, all or nothing each time", tried)
	})
}

// TestAdminUpdateUserAttributesI8 sends values at the limit in one to four bytes a character, and what the databases
// disagree about.
func TestAdminUpdateUserAttributesI8(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r     string
		units int // UTF-16 code units, in which the limit is counted
	}{"1 byte": {"a", 1}, "2 bytes": {"é", 1}, "3 bytes": {"€", 1}, "4 bytes": {"😀", 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				longest := strings.Repeat(c.r, 2048/c.units)
				want.Equal(w, w.update1("u", list("nickname="+longest)), "{}")
				want.Equal(w, w.stored(u).Attributes["nickname"], longest)
				want.Equal(w, w.update1("u", list("nickname="+longest+c.r)), invalid("1 validation error detected: Value at 'userAttributes.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 2048"))
			})
		})
	}
	for name, raw := range map[string]string{"lone high surrogate": `"\ud800"`, "lone low surrogate": `"a\udc00b"`, "invalid UTF-8": "\"\xff\""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				got := w.update1("u", `[{"Name":"nickname","Value":`+raw+`}]`)
				want.True(w, strings.HasPrefix(got, "SerializationException: "), "answer %s", got)
				want.Equal(w, w.stored(u), u)
			})
		})
	}
}

// TestAdminUpdateUserAttributesI11 looks at the journal's entry: who, when, where, what by name and never a value.
func TestAdminUpdateUserAttributesI11(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		id, reply := w.request("AdminUpdateUserAttributes", `{"UserPoolId":"$pool","Username":"u","UserAttributes":`+list("nickname=marker, custom:tier=gold, nickname=marker2")+`}`)
		want.True(w, reply.Err == nil, "%v", reply.Err)
		var e *store.Entry
		w.view(func(v store.View) (err error) { e, err = v.Journal().Get(id); return err })
		want.Equal(w, *e, store.Entry{RequestID: id, Time: start, Caller: "AKIATEST", Source: "127.0.0.1", Operation: "AdminUpdateUserAttributes",
			PoolID: w.pool.ID, Sub: u.Sub, Names: []string{"custom:tier", "nickname"}})
	})
}
