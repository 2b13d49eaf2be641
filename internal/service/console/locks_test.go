package console_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/console"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestUnlock shows what is counted of a user, and forgets it.
func TestUnlock(t *testing.T) {
	t.Parallel()
	w := withJane(t)
	const sub, at = "11111111-2222-70aa-3333-444444444444", "/_poolhouse/pools/" + shop + "/users/jane"
	w.update(func(tx store.Tx) error {
		return errors.Join(
			tx.Tallies().Put(shop, sub, verify.SignIn, verify.Tally{Since: noon, Spent: 6, Failures: 6, Until: noon.Add(2 * time.Second)}),
			tx.Tallies().Put(shop, sub, verify.SecondFactor, verify.Tally{Since: noon, Spent: 1, Failures: 100}),
			tx.Tallies().Put(shop, sub, verify.ChangePassword, verify.Tally{}),
			tx.Tallies().Put(shop, sub, verify.ResendCode, verify.Tally{Since: noon, Spent: 1}))
	})
	attempts := func() []console.Attempts {
		t.Helper()
		var out struct{ Attempts []console.Attempts }
		want.NoError(t, json.Unmarshal(w.do(http.MethodGet, at+"?format=json", "").Body.Bytes(), &out))
		return out.Attempts
	}
	about := func(what string, spent, failures int, locked bool, until time.Time) console.Attempts {
		return console.Attempts{Username: "jane", Sub: sub, What: what, Spent: spent, Failures: failures, Locked: locked, Until: until}
	}
	want.Equal(t, attempts(), []console.Attempts{about("resend_code", 1, 0, false, time.Time{}), about("second_factor", 1, 100, true, time.Time{}),
		about("sign_in", 6, 6, true, noon.Add(2*time.Second))})
	page := w.do(http.MethodGet, at, "", "Accept", "text/html").Body.String()
	want.Contains(t, page, "until 2026-11-02T12:00:02.000Z")
	want.Contains(t, page, "until somebody lifts it")
	want.Contains(t, page, `action="/_poolhouse/pools/`+shop+`/users/`+sub+`/unlock"`)

	moved := w.do(http.MethodPost, at+"/unlock", "", "Accept", "text/html")
	want.Equal(t, []any{moved.Code, moved.Header().Get("Location")}, []any{http.StatusSeeOther, at})
	want.Equal(t, len(attempts()), 0)
	again := w.do(http.MethodPost, at+"/unlock", "") // nothing is counted any more
	want.Equal(t, []any{again.Code, again.Body.String()}, []any{200, "{}\n"})
	var lines []*store.Entry
	want.NoError(t, w.store.View(t.Context(), func(v store.View) (err error) {
		lines, err = v.Journal().List(time.Time{}, "", shop, sub, 9)
		return err
	}))
	want.Equal(t, len(lines), 1)
	want.Equal(t, []any{lines[0].Operation, lines[0].Caller, lines[0].Names},
		[]any{"UnlockUser", "console", []string{"change_password", "resend_code", "second_factor", "sign_in"}})

	for _, path := range []string{"/_poolhouse/pools/" + shop + "/users/joe/unlock", "/_poolhouse/pools/us-east-1_Unknown00/users/jane/unlock"} {
		want.Equal(t, w.do(http.MethodPost, path, "").Code, 404)
	}
	want.Equal(t, w.log.String(), "")
}

// TestLockedUsers lists them page by page.
func TestLockedUsers(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.evil()
	var subs []string
	w.update(func(tx store.Tx) error {
		p, err := tx.Pools().Get(evilPool)
		if err != nil {
			return err
		}
		users, _, err := tx.Users().List(p, store.Query{Limit: 9})
		subs = nil
		for i, u := range users {
			subs = append(subs, u.Sub)
			err = errors.Join(err, tx.Tallies().Put(evilPool, u.Sub, verify.SignIn, verify.Tally{Since: noon, Spent: 1, Failures: 5 * i}))
		}
		return err
	})
	list := func(most int, after string) (locked []string, next string) {
		t.Helper()
		want.NoError(t, w.store.View(t.Context(), func(v store.View) error {
			p, err := v.Pools().Get(evilPool)
			if err != nil {
				return err
			}
			found, behind, err := console.LockedUsers(v, p, most, noon, after, 2)
			locked, next = nil, behind
			for _, a := range found {
				locked = append(locked, a.Sub)
			}
			return err
		}))
		return locked, next
	}
	want.Equal(t, len(subs), 4)
	locked, next := list(5, "")
	want.Equal(t, locked, subs[1:3])
	locked, next = list(5, next)
	want.Equal(t, []any{locked, next}, []any{subs[3:], ""})
	locked, next = list(0, "")
	want.Equal(t, []any{len(locked), next}, []any{0, ""})
}
