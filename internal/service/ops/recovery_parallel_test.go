package ops_test

import (
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// busyServer is the answer of a server whose database has no room for the request: nothing was looked at.
const busyServer = "TooManyRequestsException: Rate exceeded"

// nodes are two servers of one database: of PostgreSQL each with a store of its own, as in two processes. SQLite has one
// process, and so one store.
func nodes(t *testing.T, o sqlstore.Options) [2]*world {
	t.Helper()
	first := openOwn(t, o)
	second := first
	if o.DSN != "" {
		second = openOwn(t, o)
	}
	a := newWorld(t, first, openPool)
	a.client(nil)
	return [2]*world{a, a.twin(second)}
}

// twin is another server of the world's pool and client, over a store of the same database.
func (w *world) twin(s store.Store) *world {
	w.Helper()
	b := newWorld(w.T, s, openPool)
	b.pool, b.clientID, b.tokens, b.pipeline.Tokens = w.pool, w.clientID, w.tokens, w.tokens
	b.clock.Set(w.clock.Now())
	return b
}

// A7, A9: of 500 parallel wrong guesses on two nodes no more are evaluated than the limit allows, and a right one that
// comes behind them is not looked at. It is the same after the servers have started anew.
func TestRecoveryParallelGuesses(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, o sqlstore.Options) {
		const guesses = 500
		allowed := verify.ConfirmRecovery.Limit()
		w := nodes(t, o)
		right := w[0].forgetful("u")
		u := w[0].byName("u")
		answers := w[0].parallel(guesses, func(i int) string { return w[i%2].confirm("u", wrong(right), "N3w-Passw0rd!") })
		busy := answers[busyServer]
		delete(answers, busyServer)
		want.Equal(t, answers, map[string]int{wrongCode: allowed, tooManyAttempts: guesses - allowed - busy})
		check := func(node *world) {
			t.Helper()
			want.Equal(t, node.confirm("u", right, "N3w-Passw0rd!"), tooManyAttempts)
			want.Equal(t, node.stored(u), u)
			want.Equal(t, node.failures(u, verify.ConfirmRecovery), allowed)
			node.view(func(v store.View) error {
				tally, err := v.Tallies().Get(u.PoolID, u.Sub, verify.ConfirmRecovery)
				want.Equal(t, tally.Spent, allowed)
				return err
			})
		}
		for _, node := range w {
			check(node)
		}
		for _, node := range w {
			want.NoError(t, node.store.Close())
		}
		check(w[0].twin(openOwn(t, o)))
	})
}

// Of 50 parallel right guesses on two nodes one sets its password; the code is used then.
func TestRecoveryParallelRightGuesses(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, o sqlstore.Options) {
		const guesses = 50
		w := nodes(t, o)
		right := w[0].forgetful("u")
		u := w[0].byName("u")
		password := func(i int) string { return "N3w-Passw0rd!" + string(rune('A'+i%26)) + string(rune('A'+i/26)) }
		begin := time.Now()
		winner := -1
		answers := w[0].parallel(guesses, func(i int) string {
			got := w[i%2].confirm("u", right, password(i))
			if got == "{}" {
				winner = i // there is one; the race detector sees a second
			}
			return got
		})
		t.Logf("%v in %s", answers, time.Since(begin))
		want.Equal(t, answers["{}"], 1)
		delete(answers, "{}")
		for answer := range answers {
			want.True(t, answer == expiredCode || answer == tooManyAttempts || answer == busyServer, "a loser reads %s", answer)
		}
		want.True(t, winner >= 0 && w[1].accepts(u, password(winner)), "the winner's password is stored")
		want.Equal(t, len(w[0].journal(u.Sub)), 3)
		w[0].clock.Advance(30 * time.Minute)
		want.True(t, w[0].confirm("u", right, "N3w-Passw0rd!") != "{}", "the code is used up")
	})
}
