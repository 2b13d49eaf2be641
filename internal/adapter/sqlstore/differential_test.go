package sqlstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/filter"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// step is one call in a random history. It does the same on every store and writes down what it saw.
type step struct {
	name string
	run  func(tx store.Tx, p *pool.Pool) (any, error)
}

// Texts that are likely to clash, and to be ordered differently by careless databases.
var (
	someNames   = []string{"a", "A", "b", "a@x.io", "Ä", "ä", "_", "\U0001F642", "\ue000", "+1555", "a b", "00000001-0000-70ae-0000-000000000000"}
	someFilters = []string{"username", "email", "phone_number", "name", "preferred_username", "cognito:user_status", "status", "sub"}
)

func subNumber(n int) string { return fmt.Sprintf("%08x-0000-70ae-0000-000000000000", n) }

// drawStep chooses a call and its arguments.
func drawStep(t *rapid.T) step {
	name := func(label string) string { return rapid.SampledFrom(someNames).Draw(t, label) }
	n := rapid.IntRange(0, 5).Draw(t, "user")
	sub := subNumber(n)
	attributes := func() map[string]string {
		m := map[string]string{}
		for _, a := range []string{pool.Email, pool.PhoneNumber, pool.PreferredUsername, "name"} {
			if rapid.Bool().Draw(t, a) {
				m[a] = name(a + " value")
			}
		}
		for _, a := range []string{pool.EmailVerified, pool.PhoneNumberVerified} {
			m[a] = fmt.Sprint(rapid.Bool().Draw(t, a))
		}
		return m
	}
	with := func(tx store.Tx, p *pool.Pool, fn func(u *user.Record) error) (any, error) {
		u, err := tx.Users().BySub(p.ID, sub)
		if err != nil {
			return nil, err
		}
		return nil, fn(u)
	}
	switch rapid.IntRange(0, 15).Draw(t, "step") {
	case 0:
		username, attributes := name("username"), attributes()
		return step{fmt.Sprint("create ", n, username, attributes), func(tx store.Tx, p *pool.Pool) (any, error) {
			u := sampleUser(p, sub, username)
			u.Attributes = attributes
			return nil, tx.Users().Create(p, u)
		}}
	case 1, 2:
		attributes, enabled := attributes(), rapid.Bool().Draw(t, "enabled")
		return step{fmt.Sprint("save ", n, attributes, enabled), func(tx store.Tx, p *pool.Pool) (any, error) {
			return with(tx, p, func(u *user.Record) error {
				after := u.Clone()
				after.Attributes, after.Enabled = attributes, enabled
				if !enabled {
					after.Status = user.ResetRequired
				}
				return tx.Users().Save(p, u, after)
			})
		}}
	case 3:
		return step{fmt.Sprint("delete ", n), func(tx store.Tx, p *pool.Pool) (any, error) {
			return with(tx, p, func(u *user.Record) error { return tx.Users().Delete(p, u) })
		}}
	case 4:
		text := name("text")
		return step{"find " + text, func(tx store.Tx, p *pool.Pool) (any, error) { return tx.Users().ByLogin(p, text) }}
	case 5:
		f := filter.Filter{Attribute: rapid.SampledFrom(someFilters).Draw(t, "filter"), Op: rapid.SampledFrom([]filter.Op{filter.Equal, filter.Prefix}).Draw(t, "op")}
		f.Value = rapid.SampledFrom(append([]string{"", "confirmed", "Re", "Enabled", "0"}, someNames...)).Draw(t, "value")
		q := store.Query{Filter: f, Fold: rapid.Bool().Draw(t, "fold"), Limit: rapid.IntRange(1, 4).Draw(t, "limit")}
		if rapid.Bool().Draw(t, "all") {
			q.Filter = filter.Filter{}
		}
		return step{fmt.Sprint("list ", q), func(tx store.Tx, p *pool.Pool) (any, error) {
			q := q
			var lines []string
			for {
				page, next, err := tx.Users().List(p, q)
				for _, u := range page {
					lines = append(lines, fmt.Sprint(u.Sub, u.Version))
				}
				if lines = append(lines, next); next == "" || err != nil {
					return lines, err
				}
				q.After = next
			}
		}}
	case 6:
		code := name("code")
		return step{fmt.Sprint("code ", n, code), func(tx store.Tx, p *pool.Pool) (any, error) {
			return nil, tx.Codes().Put(verify.Code{PoolID: p.ID, Sub: sub, Purpose: verify.Email, Plain: secret.New(code), Created: noon, Expires: noon})
		}}
	case 7:
		group := name("group")
		g := &user.Group{Name: group, Created: noon, Modified: noon}
		if n > 2 {
			g.Precedence = &n
		}
		return step{fmt.Sprint("group ", group, n), func(tx store.Tx, p *pool.Pool) (any, error) {
			g := *g
			g.PoolID = p.ID
			return nil, tx.Groups().Create(&g)
		}}
	case 8:
		group := name("group")
		return step{fmt.Sprint("join ", group, n), func(tx store.Tx, p *pool.Pool) (any, error) {
			if _, err := tx.Users().BySub(p.ID, sub); err != nil {
				return nil, err
			}
			return tx.Groups().Join(p.ID, group, sub, noon)
		}}
	case 9:
		group, whole := name("group"), rapid.Bool().Draw(t, "whole")
		return step{fmt.Sprint("leave ", group, n, whole), func(tx store.Tx, p *pool.Pool) (any, error) {
			if whole {
				return nil, tx.Groups().Delete(p.ID, group)
			}
			return tx.Groups().Leave(p.ID, group, sub)
		}}
	case 10:
		group := name("group")
		return step{fmt.Sprint("groups ", group, n), func(tx store.Tx, p *pool.Pool) (any, error) {
			var lines []string
			of, err := tx.Groups().Of(p.ID, sub)
			for _, g := range of {
				lines = append(lines, g.Place())
			}
			if err != nil {
				return lines, err
			}
			members, err := tx.Groups().Members(p.ID, group, "", 3)
			for _, u := range members {
				lines = append(lines, u.Sub)
			}
			return lines, err
		}}
	case 11:
		provider, value, link := name("provider"), name("value"), rapid.Bool().Draw(t, "link")
		i := user.Identity{Provider: provider, Attribute: user.Subject, Value: value, Type: "OIDC", Created: noon}
		return step{fmt.Sprint("identity ", provider, value, link, n), func(tx store.Tx, p *pool.Pool) (any, error) {
			owner, err := tx.Users().ByIdentity(p.ID, i.Key())
			if err == nil && !link {
				return owner, tx.Users().Save(p, owner, owner.Unlink(i.Key(), noon))
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) || !link {
				return owner, err
			}
			return with(tx, p, func(u *user.Record) error { return tx.Users().Save(p, u, u.Link(i, noon)) })
		}}
	case 12:
		b := rapid.SampledFrom(verify.Budgets[:]).Draw(t, "budget")
		clear := rapid.IntRange(0, 3).Draw(t, "clear") == 0
		return step{fmt.Sprint("tally ", b, clear, n), func(tx store.Tx, p *pool.Pool) (any, error) {
			if clear {
				return nil, tx.Tallies().Clear(p.ID, sub)
			}
			had, err := tx.Tallies().Take(p.ID, sub, b)
			if err != nil {
				return had, err
			}
			spent, _ := had.Spend(b, noon)
			return had, tx.Tallies().Put(p.ID, sub, b, spent.Fail())
		}}
	case 13:
		b := rapid.SampledFrom(verify.Budgets[:]).Draw(t, "budget")
		purge := rapid.IntRange(0, 3).Draw(t, "purge") == 0
		return step{fmt.Sprint("spent ", b, purge, n), func(tx store.Tx, p *pool.Pool) (any, error) {
			if purge {
				return tx.Tallies().Purge(noon.Add(time.Second), 2)
			}
			return tx.Tallies().Get(p.ID, sub, b)
		}}
	case 14:
		salt, put := name("salt"), rapid.Bool().Draw(t, "put")
		return step{fmt.Sprint("password ", salt, put, n), func(tx store.Tx, p *pool.Pool) (any, error) {
			if put {
				return nil, tx.Passwords().Put(&credential.Password{PoolID: p.ID, Sub: sub, Set: noon, Temporary: n > 2,
					Kept: credential.Kept{Salt: []byte(salt), Verifier: []byte("verifier")}})
			}
			kept, err := tx.Passwords().Get(p.ID, sub)
			if err != nil {
				return nil, err
			}
			return *kept, nil
		}}
	default:
		code := name("code")
		return step{fmt.Sprint("matches ", n, code), func(tx store.Tx, p *pool.Pool) (any, error) {
			return tx.Codes().Matches(p.ID, sub, verify.Email, secret.New(code))
		}}
	}
}

// outcome is an error as far as stores have to agree on it.
func outcome(err error) string {
	var c *store.Conflict
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &c):
		return fmt.Sprint("taken: ", c.Login)
	}
	for _, known := range []error{store.ErrNotFound, store.ErrConflict, store.ErrStale, errInjected} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "unexpected: " + err.Error()
}

// TestDifferential runs random histories on both databases and compares all that is seen.
func TestDifferential(t *testing.T) {
	t.Parallel()
	lite := open(t, Options{Path: filepath.Join(t.TempDir(), "x.db"), Ephemeral: true})
	heavy := open(t, Options{DSN: pgtest.Database(t), Connections: 2})
	pools := 0
	rapid.Check(t, func(r *rapid.T) {
		pools++
		settings := samplePool(fmt.Sprintf("eu-west-1_%d", pools))
		settings.CaseSensitive = rapid.Bool().Draw(r, "case sensitive")
		settings.Aliases = append(settings.Aliases, pool.PreferredUsername)
		type transaction struct {
			steps   []step
			refused bool
		}
		var history []transaction
		for range rapid.IntRange(1, 12).Draw(r, "transactions") {
			x := transaction{refused: rapid.IntRange(0, 5).Draw(r, "refused") == 0}
			for range rapid.IntRange(1, 3).Draw(r, "steps") {
				x.steps = append(x.steps, drawStep(r))
			}
			history = append(history, x)
		}
		play := func(s *Store) (lines []string) {
			p := *settings
			want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Pools().Create(&p) }))
			for i, x := range history {
				var seen []string
				err := s.Update(t.Context(), store.Scope{Pool: &p}, func(tx store.Tx) error {
					run := []string(nil)
					defer func() { seen = run }()
					for _, st := range x.steps {
						got, err := st.run(tx, &p)
						if u, ok := got.(*user.Record); ok && u != nil {
							got = fmt.Sprint(u.Sub, u.Version, u.Attributes, u.Enabled, u.Status)
						}
						run = append(run, fmt.Sprintf("%s -> %v %s", st.name, got, outcome(err)))
						if err != nil && !errors.Is(err, store.ErrNotFound) {
							return err
						}
					}
					if x.refused {
						return errInjected
					}
					return nil
				})
				lines = append(append(lines, seen...), fmt.Sprintf("transaction %d: %s", i, outcome(err)))
			}
			return lines
		}
		a, b := play(lite), play(heavy)
		if diff := cmp.Diff(a, b); diff != "" {
			r.Fatalf("histories differ (-sqlite +postgres):\n%s", diff)
		}
		if text := strings.Join(a, "\n"); strings.Contains(text, "unexpected") {
			r.Fatalf("unexpected error in:\n%s", text)
		}
	})
}
