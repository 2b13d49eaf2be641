package tokens_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// shared is one more server on a store that several have: what it read a second ago it reads again.
func (w *world) shared() *tokens.Tokens {
	t := w.node()
	t.MaxAge, t.Real = time.Second, w.clock
	return t
}

func (w *world) rotate(t *tokens.Tokens, r tokens.Rotation) string {
	w.Helper()
	r.PoolID, r.Caller = poolID, "test"
	keys, err := t.Rotate(w.Context(), r)
	want.NoError(w, err)
	return parts(keys)
}

// parts are the parts of ID and access keys, in the order of their ages.
func parts(keys []tokens.PlannedKey) string {
	var of []string
	for _, k := range keys {
		if k.Use == token.ForAccess {
			of = append(of, string(k.Part))
		}
	}
	want := len(of)
	for _, k := range keys {
		if k.Use == token.ForID {
			want--
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%s (%d)", strings.Join(of, " "), want), " (0)")
}

// published are the ids in the key set that a server serves.
func (w *world) published(t *tokens.Tokens) []string {
	w.Helper()
	served := *w
	served.tokens = t
	var set struct{ Keys []struct{ Kid string } }
	want.NoError(w, json.Unmarshal(served.get("/"+poolID+"/.well-known/jwks.json").Body.Bytes(), &set))
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

// signer is the id of the key that a token names.
func (w *world) signer(text secret.Text) string {
	w.Helper()
	t, err := jose.Split(text.Reveal())
	want.NoError(w, err)
	id, err := t.KeyID()
	want.NoError(w, err)
	return id
}

// TestRotate follows a rotation from its beginning to its end, on two servers.
func TestRotate(t *testing.T) {
	onBoth(t, func(w *world) {
		one, two := w.shared(), w.shared()
		issue := func(n *tokens.Tokens) *tokens.Set {
			w.Helper()
			set, _, err := n.Issue(w.Context(), poolID, "client", "Jane")
			want.NoError(w, err)
			return set
		}
		opens := func(n *tokens.Tokens, set *tokens.Set) {
			w.Helper()
			_, err1 := n.Open(w.Context(), set.Access, w.clock.Now())
			_, err2 := n.OpenRefresh(w.Context(), &pool.Pool{ID: poolID}, set.Refresh)
			want.NoError(w, errors.Join(err1, err2))
		}
		old := issue(one)
		opens(two, old)
		want.Equal(w, len(w.published(two)), 2)

		want.Equal(w, w.rotate(one, tokens.Rotation{}), "current next")
		want.Equal(w, w.rotate(two, tokens.Rotation{}), "current next") // it is under way
		want.Equal(w, len(w.published(one)), 4)
		w.clock.Advance(time.Second)
		want.Equal(w, len(w.published(two)), 4)
		want.Equal(w, w.signer(issue(one).Access), w.signer(old.Access))

		// A verifier's set of now is good for a day, and before it is over nobody signs with a key that it misses.
		w.clock.Advance(token.Overlap - 2*time.Second)
		late := issue(two)
		want.Equal(w, w.signer(late.Access), w.signer(old.Access))
		w.clock.Advance(time.Second)
		for _, n := range []*tokens.Tokens{one, two} {
			fresh := issue(n)
			for _, pair := range [][2]secret.Text{{old.Access, fresh.Access}, {old.ID, fresh.ID}} {
				want.True(w, w.signer(pair[0]) != w.signer(pair[1]), "both kinds of tokens have new keys")
				want.True(w, slices.Contains(w.published(n), w.signer(pair[1])), "the new key is published")
			}
			opens(one, late)
			opens(two, fresh)
		}

		// The old ones are published until the last of their tokens has expired, and then they go.
		w.clock.Advance(token.Outlast - time.Second)
		want.Equal(w, len(w.published(one)), 4)
		purge := func() (n int) {
			w.update(func(tx store.Tx) (err error) {
				n, err = tx.SigningKeys().Purge(w.clock.Now().Add(-token.Outlast), 10)
				return err
			})
			return n
		}
		want.Equal(w, purge(), 0)
		w.clock.Advance(time.Second)
		want.Equal(w, len(w.published(one)), 2)
		want.Equal(w, purge(), 2)
		w.clock.Advance(time.Second)
		want.Equal(w, len(w.published(two)), 2)
		want.Equal(w, len(w.keys()), 3)
		if _, err := two.OpenRefresh(w.Context(), &pool.Pool{ID: poolID}, old.Refresh); err != nil {
			w.Errorf("a refresh token from before the rotation: %v", err)
		}
		planned, err := one.Keys(w.Context(), poolID)
		want.NoError(w, err)
		want.Equal(w, parts(planned), "current")
		want.NoError(w, w.store.View(w.Context(), func(v store.View) error {
			lines, err := v.Journal().List(time.Time{}, "", poolID, "", 100)
			lines = slices.DeleteFunc(lines, func(e *store.Entry) bool { return e.Operation != "RotateKeys" })
			want.Equal(w, len(lines), 1) // the second call changed nothing
			want.Equal(w, lines[0].Caller, "test")
			return err
		}))
	})
}

// TestRotateNow: the new keys sign when every server shows them, and a rotation under way is brought forward.
func TestRotateNow(t *testing.T) {
	onBoth(t, func(w *world) {
		one, two := w.shared(), w.shared()
		old, _, err := one.Issue(w.Context(), poolID, "client", "Jane")
		want.NoError(w, err)
		want.Equal(w, len(w.published(two)), 2)
		for _, r := range []tokens.Rotation{{}, {Now: true}} {
			want.Equal(w, w.rotate(one, r), "current next")
		}
		want.Equal(w, len(w.keys()), 5)
		for range 3 {
			for _, n := range []*tokens.Tokens{one, two} {
				set, _, err := n.Issue(w.Context(), poolID, "client", "Jane")
				want.NoError(w, err)
				for _, verifier := range []*tokens.Tokens{one, two} {
					want.True(w, slices.Contains(w.published(verifier), w.signer(set.Access)), "every server shows the key")
					_, err1 := verifier.Open(w.Context(), set.Access, w.clock.Now())
					_, err2 := verifier.Open(w.Context(), old.Access, w.clock.Now())
					want.NoError(w, errors.Join(err1, err2))
				}
			}
			w.clock.Advance(time.Second)
		}
		set, _, err := two.Issue(w.Context(), poolID, "client", "Jane")
		want.NoError(w, err)
		want.True(w, w.signer(set.Access) != w.signer(old.Access), "the new key signs")
		want.Equal(w, w.rotate(two, tokens.Rotation{Now: true}), "former current next")

		// A server that has the store to itself need not wait for others.
		alone := w.node()
		w.clock.Advance(2 * time.Second)
		want.Equal(w, w.rotate(alone, tokens.Rotation{Now: true}), "former former former current")
	})
}

// TestRevokeKeys: tokens of keys that were taken back are refused everywhere within a second, and refresh tokens are not.
func TestRevokeKeys(t *testing.T) {
	onBoth(t, func(w *world) {
		one, two := w.shared(), w.shared()
		old, _, err := one.Issue(w.Context(), poolID, "client", "Jane")
		want.NoError(w, err)
		_, err = two.Open(w.Context(), old.Access, w.clock.Now())
		want.NoError(w, err)
		want.Equal(w, w.rotate(one, tokens.Rotation{}), "current next")
		before := w.published(one)
		want.Equal(w, w.rotate(one, tokens.Rotation{Revoke: true}), "current")
		w.clock.Advance(time.Second)
		for _, n := range []*tokens.Tokens{one, two} {
			_, err := n.Open(w.Context(), old.Access, w.clock.Now())
			f, ok := errors.AsType[*fault.Error](err)
			want.True(w, ok && f.Message == fault.InvalidAccessToken().Message, "the old token is refused: %v", err)
			_, err = n.OpenRefresh(w.Context(), &pool.Pool{ID: poolID}, old.Refresh)
			want.NoError(w, err)
			for _, id := range w.published(n) {
				want.True(w, !slices.Contains(before, id), "old keys are gone, those that were to come too")
			}
			fresh, _, err := n.Issue(w.Context(), poolID, "client", "Jane")
			want.NoError(w, err)
			_, err = one.Open(w.Context(), fresh.Access, w.clock.Now())
			want.NoError(w, err)
		}
	})
}

// TestRotateAtOnce lets two servers rotate together, in every way: one set of keys comes of it.
func TestRotateAtOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		for _, r := range []struct {
			tokens.Rotation
			want string
		}{{tokens.Rotation{}, "current next"}, {tokens.Rotation{Revoke: true}, "current"}} {
			var group sync.WaitGroup
			for _, n := range []*tokens.Tokens{w.shared(), w.shared(), w.shared()} {
				group.Go(func() {
					if _, err := n.Rotate(w.Context(), tokens.Rotation{PoolID: poolID, Revoke: r.Revoke}); err != nil {
						w.Error(err)
					}
				})
			}
			group.Wait()
			keys, err := w.shared().Keys(w.Context(), poolID)
			want.NoError(w, err)
			want.Equal(w, parts(keys), r.want)
		}
	})
}

func TestRotateOld(t *testing.T) {
	t.Parallel()
	w := open(t)
	want.NoError(t, w.tokens.RotateOld(t.Context(), 72*time.Hour))
	want.Equal(t, len(w.keys()), 0) // a pool that nobody uses has no keys
	w.issue()
	w.clock.Advance(72 * time.Hour)
	want.NoError(t, w.tokens.RotateOld(t.Context(), 72*time.Hour))
	want.Equal(t, len(w.keys()), 3)
	w.clock.Advance(time.Millisecond)
	for range 2 {
		want.NoError(t, w.tokens.RotateOld(t.Context(), 72*time.Hour))
		want.Equal(t, len(w.keys()), 5)
	}
	w.clock.Advance(72*time.Hour + time.Millisecond)
	want.NoError(t, w.tokens.RotateOld(t.Context(), 72*time.Hour))
	keys, err := w.tokens.Keys(t.Context(), poolID)
	want.NoError(t, err)
	want.Equal(t, parts(keys), "current next")
	w.tokens.Store = broken{w.store}
	want.Error(t, w.tokens.RotateOld(t.Context(), 72*time.Hour), store.ErrBusy)
}

func TestRotateNoPool(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, id := range []string{"us-east-1_Unknown00", "", "x", "us-east-1_\x00"} {
		_, err := w.tokens.Rotate(t.Context(), tokens.Rotation{PoolID: id})
		want.Error(t, err, store.ErrNotFound)
		_, err = w.tokens.Keys(t.Context(), id)
		want.Error(t, err, store.ErrNotFound)
	}
}

// TestRotateWhileRead: what was read before a rotation and comes back after it is not kept.
func TestRotateWhileRead(t *testing.T) {
	t.Parallel()
	w := open(t)
	old, _ := w.issue()
	slow := &pausing{Store: w.store, reached: make(chan struct{}), onward: make(chan struct{})}
	w.tokens = w.node()
	w.tokens.Store = slow
	done := make(chan error)
	go func() {
		_, err := w.tokens.Open(context.WithValue(t.Context(), pauses{}, true), old.Access, noon)
		done <- err
	}()
	<-slow.reached
	want.Equal(t, w.rotate(w.tokens, tokens.Rotation{Revoke: true}), "current")
	close(slow.onward)
	want.NoError(t, <-done) // it had read the key before
	_, err := w.tokens.Open(t.Context(), old.Access, noon)
	want.True(t, err != nil, "afterwards the key is gone")
}

// pausing is a store whose reads stop behind their end when their context says so.
type pausing struct {
	store.Store
	reached, onward chan struct{}
}

type pauses struct{}

func (p *pausing) View(ctx context.Context, fn func(store.View) error) error {
	err := p.Store.View(ctx, fn)
	if ctx.Value(pauses{}) != nil {
		close(p.reached)
		<-p.onward
	}
	return err
}
