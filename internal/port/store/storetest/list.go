package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/filter"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func equals(attribute, value string) filter.Filter {
	return filter.Filter{Attribute: attribute, Op: filter.Equal, Value: value}
}

func startsWith(attribute, value string) filter.Filter {
	return filter.Filter{Attribute: attribute, Op: filter.Prefix, Value: value}
}

func (w *world) list(p *pool.Pool, q store.Query) (users []*user.Record, next string) {
	w.Helper()
	w.view(func(v store.View) (err error) {
		users, next, err = v.Users().List(p, q)
		return err
	})
	return users, next
}

// all reads every page.
func (w *world) all(p *pool.Pool, q store.Query) (users []*user.Record) {
	w.Helper()
	for range 1000 {
		page, next := w.list(p, q)
		want.True(w, len(page) <= q.Limit, "a page of %d users holds at most %d", len(page), q.Limit)
		users = append(users, page...)
		if next == "" {
			return users
		}
		q.After = next
	}
	w.Fatal("pages without end")
	return nil
}

func subsOf(users []*user.Record) (subs []string) {
	for _, u := range users {
		subs = append(subs, u.Sub)
	}
	return subs
}

func testFilters(w *world) {
	p := w.newPool("eu-west-1_A", noAliases)
	add := func(n int, name string, status user.Status, enabled bool, attributes ...string) {
		u := record(p, n, name, attributes...)
		u.Status, u.Enabled = status, enabled
		w.update(func(tx store.Tx) error { return tx.Users().Create(p, u) })
	}
	add(1, "anna", user.Confirmed, true, pool.Email, "anna@example.com", "name", "Anna", "given_name", "A", "family_name", "Z", pool.PreferredUsername, "an")
	add(2, "Anton", user.ForceChangePassword, false, pool.Email, "b@example.com", pool.PhoneNumber, "+1555", "name", "Anna")
	add(3, "bert", user.Unconfirmed, true, pool.Email, "b@example.com", pool.PhoneNumber, "+1556", "name", "ann")
	add(4, "a_b%c", user.ResetRequired, true, "name", "\U0010ffff\U0010ffff", "given_name", "\ud7ff", "family_name", "\ue000")
	add(5, "ĀNNA", user.Confirmed, true, "name", "An", "given_name", "", "family_name", `q"u\o`)
	foreign := w.newPool("eu-west-1_B", noAliases)
	w.newUser(foreign, 6, "anna", pool.Email, "anna@example.com", "name", "Anna")

	for _, c := range []struct {
		name string
		q    store.Query
		want []int
	}{
		{"all", store.Query{}, []int{1, 2, 3, 4, 5}},
		{"username", store.Query{Filter: equals("username", "anna")}, []int{1}},
		{"username in other case", store.Query{Filter: equals("username", "Anna")}, nil},
		{"username folded", store.Query{Filter: equals("username", "ANNA"), Fold: true}, []int{1}},
		{"username starts", store.Query{Filter: startsWith("username", "an")}, []int{1}},
		{"username starts, folded", store.Query{Filter: startsWith("username", "AN"), Fold: true}, []int{1, 2}},
		{"username folded, beyond ASCII", store.Query{Filter: startsWith("username", "ān"), Fold: true}, []int{5}},
		{"no wildcards", store.Query{Filter: startsWith("username", "a_")}, []int{4}},
		{"email", store.Query{Filter: equals("email", "b@example.com")}, []int{2, 3}},
		{"email starts", store.Query{Filter: startsWith("email", "a")}, []int{1}},
		{"email in other case", store.Query{Filter: equals("email", "B@example.com")}, nil},
		{"email starts with nothing", store.Query{Filter: startsWith("email", "")}, []int{1, 2, 3}},
		{"email is empty", store.Query{Filter: equals("email", "")}, nil},
		{"empty value", store.Query{Filter: equals("given_name", "")}, []int{5}},
		{"phone", store.Query{Filter: startsWith("phone_number", "+155")}, []int{2, 3}},
		{"in order of the attribute", store.Query{Filter: startsWith("name", "A")}, []int{5, 1, 2}},
		{"name", store.Query{Filter: equals("name", "Anna")}, []int{1, 2}},
		{"greatest character", store.Query{Filter: startsWith("name", "\U0010ffff")}, []int{4}},
		{"before the surrogates", store.Query{Filter: startsWith("given_name", "\ud7ff")}, []int{4}},
		{"family name", store.Query{Filter: equals("family_name", `q"u\o`)}, []int{5}},
		{"family name starts", store.Query{Filter: startsWith("family_name", "\ue000")}, []int{4}},
		{"preferred username", store.Query{Filter: equals("preferred_username", "an")}, []int{1}},
		{"user status", store.Query{Filter: equals("cognito:user_status", "confirmed")}, []int{1, 5}},
		{"user status starts", store.Query{Filter: startsWith("cognito:user_status", "Re")}, []int{4}},
		{"enabled", store.Query{Filter: equals("status", "Enabled")}, []int{1, 3, 4, 5}},
		{"disabled", store.Query{Filter: startsWith("status", "Dis")}, []int{2}},
		{"status in other case", store.Query{Filter: equals("status", "enabled")}, nil},
		{"either status", store.Query{Filter: startsWith("status", "")}, []int{1, 2, 3, 4, 5}},
		{"sub", store.Query{Filter: equals("sub", subOf(3))}, []int{3}},
		{"sub starts", store.Query{Filter: startsWith("sub", "0000000")}, []int{1, 2, 3, 4, 5}},
		{"what cannot be kept", store.Query{Filter: equals("name", "a\x00")}, nil},
	} {
		w.Run(c.name, func(t *testing.T) {
			var subs []string
			for _, n := range c.want {
				subs = append(subs, subOf(n))
			}
			for _, limit := range []int{1, 2, 60} {
				q := c.q
				q.Limit = limit
				got := subsOf((&world{T: t, s: w.s}).all(p, q))
				want.Equal(t, got, subs)
			}
		})
	}
	_, err := read(w, func(v store.View) (any, error) {
		_, _, err := v.Users().List(p, store.Query{Filter: equals("custom:x", "1"), Limit: 1})
		return nil, err
	})
	want.True(w, err != nil, "a filter on another attribute is an error")
}

func testPages(w *world) {
	p := w.newPool("eu-west-1_A", noAliases)
	const n = 25
	w.update(func(tx store.Tx) error {
		for i := range n {
			// Names repeat and run against the order of the subs.
			if err := tx.Users().Create(p, record(p, i, fmt.Sprintf("user-%03d", n-i), "name", fmt.Sprintf("name-%d", (n-i)/3))); err != nil {
				return err
			}
		}
		return nil
	})
	for _, f := range []filter.Filter{{}, startsWith("username", "user-"), startsWith("name", "name"), startsWith("sub", "0"),
		equals("status", "Enabled"), equals("cognito:user_status", "CONFIRMED"), startsWith("cognito:user_status", "C")} {
		whole := subsOf(w.all(p, store.Query{Filter: f, Limit: 60}))
		want.Equal(w, len(whole), n)
		for _, limit := range []int{1, 7, n - 1, n} {
			want.Equal(w, subsOf(w.all(p, store.Query{Filter: f, Limit: limit})), whole)
		}
		_, next := w.list(p, store.Query{Filter: f, Limit: n})
		want.Equal(w, next, "")
	}
	none, next := w.list(p, store.Query{})
	want.True(w, len(none) == 0 && next == "", "a page of nothing is the end")
	for _, key := range []string{"x", "99:a", "-1:a", "3:\x00ab", "1"} {
		_, err := read(w, func(v store.View) (any, error) {
			_, _, err := v.Users().List(p, store.Query{After: key, Limit: 1})
			return nil, err
		})
		want.True(w, err != nil, "%q is no key of a page", key)
	}
}

func testPagesMoving(w *world) {
	p := w.newPool("eu-west-1_A", noAliases)
	for i := range 10 {
		w.newUser(p, 10*i, fmt.Sprintf("user-%d", i), "name", fmt.Sprintf("name-%d", i))
	}
	for round, f := range []filter.Filter{{}, startsWith("name", "name-")} {
		first, next := w.list(p, store.Query{Filter: f, Limit: 4})
		// The last one of the page goes, some come before and behind it.
		w.update(func(tx store.Tx) error {
			u, err := tx.Users().BySub(p.ID, first[3].Sub)
			if err != nil {
				return err
			}
			return tx.Users().Delete(p, u)
		})
		w.newUser(p, 1+round, fmt.Sprintf("before-%d", round), "name", fmt.Sprintf("name-0%d", round))
		late := w.newUser(p, 1000+round, fmt.Sprintf("behind-%d", round), "name", fmt.Sprintf("name-9%d", round))
		rest := subsOf(w.all(p, store.Query{Filter: f, Limit: 4, After: next}))
		for _, u := range first {
			want.True(w, !slices.Contains(rest, u.Sub), "%s comes once", u.Username)
		}
		want.True(w, slices.Contains(rest, late.Sub), "who came behind the page is there")
		want.Equal(w, len(rest), 6+1+round)
	}
}
