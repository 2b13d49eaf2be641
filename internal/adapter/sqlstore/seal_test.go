package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// marker starts every secret of these tests.
const marker = "MARKER-SECRET-"

// place is a pool with a user that has one secret of each kind. Names of rows are made from the letter.
type place struct {
	p      *pool.Pool
	letter string
	subs   [2]string
}

func (x place) client(n int) string  { return fmt.Sprintf("client-%s%d", x.letter, n) }
func (x place) message(n int) string { return fmt.Sprintf("message-%s%d", x.letter, n) }

func secrets(t *testing.T, s *Store, letter string) place {
	t.Helper()
	x := place{p: samplePool("eu-west-1_AAAAAAAA" + letter), letter: letter}
	m := func(kind string, n int) string { return marker + kind + x.letter + fmt.Sprint(n) }
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
		errs := []error{tx.Pools().Create(x.p)}
		for n := range x.subs {
			x.subs[n] = fmt.Sprintf("%08x-0000-70ae-0000-000000000000", n)
			u := sampleUser(x.p, x.subs[n], fmt.Sprintf("user-%d", n))
			errs = append(errs,
				tx.Users().Create(x.p, u),
				tx.Clients().Create(&pool.Client{ID: x.client(n), PoolID: x.p.ID, Created: noon, Modified: noon,
					Secrets: []pool.ClientSecret{{ID: "1", Value: secret.New(m("client", n)), Created: noon}}}),
				tx.Passwords().Put(&credential.Password{PoolID: x.p.ID, Sub: u.Sub, Kept: credential.Kept{Salt: []byte(m("salt", n)), Verifier: []byte(m("verifier", n))},
					Set: noon, Former: []credential.Kept{{Salt: []byte(m("old", n)), Verifier: []byte(m("older", n))}}}),
				tx.Codes().Put(verify.Code{PoolID: x.p.ID, Sub: u.Sub, Purpose: verify.Email, Target: "a@example.com", Plain: secret.New(m("code", n)),
					Created: noon, Expires: noon}),
				tx.Codes().Put(verify.Code{PoolID: x.p.ID, Sub: u.Sub, Purpose: verify.Phone, Target: "a@example.com", Plain: secret.New(m("phone", n)),
					Created: noon, Expires: noon}),
				tx.SoftwareTokens().Put(&credential.SoftwareToken{PoolID: x.p.ID, Sub: u.Sub, Key: []byte(m("app", n)), Pending: []byte(m("pending", n)),
					Name: m("name", n)}),
				tx.Outbox().Add(&notice.Message{ID: x.message(n), PoolID: x.p.ID, Sub: u.Sub, Medium: notice.Email, State: notice.Ready,
					Code: secret.New(m("code", n)), Subject: m("subject", n), Body: secret.New(m("body", n)),
					Metadata: map[string]string{"k": m("metadata", n)}, Created: noon, Expires: noon, NextTry: noon}),
				tx.Inbox().Add(&store.Delivered{ID: x.message(n), PoolID: x.p.ID, Medium: notice.Email, Subject: m("subject", n),
					Body: secret.New(m("body", n)), Code: secret.New(m("code", n)), At: noon}),
				tx.Keys().Create(&store.AccessKey{ID: fmt.Sprintf("key-%s%d", letter, n), Secret: secret.New(m("key", n)), Bearer: secret.New(m("bearer", n)), Created: noon}),
				tx.Settings().Put(fmt.Sprintf("setting-%s%d", letter, n), []byte(m("setting", n))),
			)
			_, err := tx.SigningKeys().Add(&token.Key{PoolID: x.p.ID, ID: fmt.Sprintf("signing-%s%d", letter, n), Use: token.ForID, Ordinal: n,
				Created: noon, From: noon, Material: []byte(m("signing", n))})
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}))
	return x
}

// TestNoPlainSecrets looks into every file of an SQLite database and every column of every table.
func TestNoPlainSecrets(t *testing.T) {
	t.Parallel()
	each(t, Options{}, func(t *testing.T, s *Store) {
		secrets(t, s, "a")
		found := 0
		for _, table := range tables(t, s) {
			rows, err := s.db.QueryContext(t.Context(), "SELECT * FROM "+table)
			want.NoError(t, err)
			columns, err := rows.Columns()
			want.NoError(t, err)
			for rows.Next() {
				values, targets := make([]any, len(columns)), make([]any, len(columns))
				for i := range values {
					targets[i] = &values[i]
				}
				want.NoError(t, rows.Scan(targets...))
				for i, v := range values {
					found++
					text := fmt.Sprintf("%s %v", v, v)
					want.True(t, !strings.Contains(text, marker), "%s.%s is sealed", table, columns[i])
				}
			}
			want.NoError(t, rows.Err())
			want.NoError(t, rows.Close())
		}
		want.True(t, found > 100, "there is something to look at")
		if s.o.Path == "" {
			return
		}
		files, err := filepath.Glob(s.o.Path + "*")
		want.NoError(t, err)
		size := 0
		for _, name := range files {
			content, err := os.ReadFile(name)
			want.NoError(t, err)
			size += len(content)
			want.True(t, !strings.Contains(string(content), marker), "%s holds no plain secret", name)
			want.True(t, name == s.o.Path+".lock" || len(content) > 0, "%s was read", name)
		}
		want.True(t, strings.Contains(strings.Join(files, " "), "-wal") && size > 100_000, "the log was read too")
	})
}

func tables(t *testing.T, s *Store) (names []string) {
	t.Helper()
	query := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`
	if s.o.DSN != "" {
		query = `SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`
	}
	rows, err := s.db.QueryContext(t.Context(), query)
	want.NoError(t, err)
	defer func() { want.NoError(t, rows.Close()) }()
	for rows.Next() {
		var name string
		want.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	want.NoError(t, rows.Err())
	return names
}

// TestMovedCiphertext copies each sealed column onto another row, as somebody might who can write to the database but
// has no key.
func TestMovedCiphertext(t *testing.T) {
	t.Parallel()
	// Without copies of rows, which do not see what another program writes.
	each(t, Options{Cache: -1}, func(t *testing.T, s *Store) {
		a, b := secrets(t, s, "a"), secrets(t, s, "b")
		for _, c := range []struct {
			name     string
			table    string
			column   string
			where    string // of a row, with two placeholders
			from, to []any
			read     func(v store.View) error
		}{
			{"password, other user", "passwords", "sealed", "pool_id = $1 AND sub = $2", []any{a.p.ID, a.subs[0]}, []any{a.p.ID, a.subs[1]},
				func(v store.View) error { _, err := v.Passwords().Get(a.p.ID, a.subs[1]); return err }},
			{"password, other pool", "passwords", "sealed", "pool_id = $1 AND sub = $2", []any{a.p.ID, a.subs[0]}, []any{b.p.ID, b.subs[0]},
				func(v store.View) error { _, err := v.Passwords().Get(b.p.ID, b.subs[0]); return err }},
			{"authenticator app, other user", "software_tokens", "sealed", "pool_id = $1 AND sub = $2", []any{a.p.ID, a.subs[0]}, []any{a.p.ID, a.subs[1]},
				func(v store.View) error { _, err := v.SoftwareTokens().Get(a.p.ID, a.subs[1]); return err }},
			{"authenticator app, other pool", "software_tokens", "sealed", "pool_id = $1 AND sub = $2", []any{a.p.ID, a.subs[0]}, []any{b.p.ID, b.subs[0]},
				func(v store.View) error { _, err := v.SoftwareTokens().Get(b.p.ID, b.subs[0]); return err }},
			{"client", "clients", "sealed", "pool_id = $1 AND id = $2", []any{a.p.ID, a.client(0)}, []any{a.p.ID, a.client(1)},
				func(v store.View) error { _, err := v.Clients().ByID(a.client(1)); return err }},
			{"outbox", "outbox", "sealed", "pool_id = $1 AND id = $2", []any{a.p.ID, a.message(0)}, []any{a.p.ID, a.message(1)},
				func(v store.View) error { _, err := v.Outbox().Get(a.message(1)); return err }},
			{"inbox", "inbox", "sealed", "pool_id = $1 AND id = $2", []any{a.p.ID, a.message(0)}, []any{a.p.ID, a.message(1)},
				func(v store.View) error { _, err := v.Inbox().List("", a.p.ID, 10); return err }},
			{"access key", "access_keys", "sealed", "id = $1 AND $2 <> ''", []any{"key-a0", "x"}, []any{"key-a1", "x"},
				func(v store.View) error { _, err := v.Keys().Get("key-a1"); return err }},
			{"signing key", "signing_keys", "sealed", "pool_id = $1 AND id = $2", []any{a.p.ID, "signing-a0"}, []any{a.p.ID, "signing-a1"},
				func(v store.View) error { _, err := v.SigningKeys().Get("signing-a1"); return err }},
			{"setting", "settings", "sealed", "name = $1 AND $2 <> ''", []any{"setting-a0", "x"}, []any{"setting-a1", "x"},
				func(v store.View) error { _, err := v.Settings().Get("setting-a1"); return err }},
		} {
			t.Run(c.name, func(t *testing.T) {
				want.NoError(t, s.View(t.Context(), c.read))
				copyColumn(t, s, c.table, c.column, c.where, c.from, c.to)
				err := s.View(t.Context(), c.read)
				want.True(t, errors.Is(err, seal.ErrSealed) || errors.Is(err, seal.ErrUnknownKey), "%v refuses the moved value", err)
			})
		}
		t.Run("code", func(t *testing.T) {
			// A code's hash is good for its user, purpose and target.
			matches := func(sub string, purpose verify.Purpose, code string) bool {
				ok := false
				want.NoError(t, s.View(t.Context(), func(v store.View) (err error) {
					ok, err = v.Codes().Matches(a.p.ID, sub, purpose, secret.New(code))
					return err
				}))
				return ok
			}
			where := "pool_id = $1 AND sub = $2 AND purpose = 'email'"
			code := marker + "codea0"
			want.True(t, matches(a.subs[0], verify.Email, code), "the code is right")
			copyColumn(t, s, "codes", "mac", where, []any{a.p.ID, a.subs[0]}, []any{a.p.ID, a.subs[1]})
			want.True(t, !matches(a.subs[1], verify.Email, code), "another user's code is wrong")
			execute(t, s, `UPDATE codes SET target = 'thief@example.com' WHERE pool_id = $1 AND sub = $2`, a.p.ID, a.subs[0])
			want.True(t, !matches(a.subs[0], verify.Email, code), "the code verifies no other address")
		})
		t.Run("data key of a pool", func(t *testing.T) {
			copyColumn(t, s, "pools", "data_key", "id = $1 AND $2 <> ''", []any{a.p.ID, "x"}, []any{b.p.ID, "x"})
			s.keys.Delete(b.p.ID)
			want.Error(t, s.View(t.Context(), func(v store.View) error {
				_, err := v.Passwords().Get(b.p.ID, b.subs[1])
				return err
			}), seal.ErrSealed)
		})
	})
}

func execute(t *testing.T, s *Store, query string, args ...any) {
	t.Helper()
	result, err := s.db.ExecContext(t.Context(), s.d.rewrite(query), args...)
	want.NoError(t, err)
	n, err := result.RowsAffected()
	want.NoError(t, err)
	want.True(t, n > 0, "%s changes something", query)
}

func copyColumn(t *testing.T, s *Store, table, column, where string, from, to []any) {
	t.Helper()
	var value sql.RawBytes
	rows, err := s.db.QueryContext(t.Context(), s.d.rewrite("SELECT "+column+" FROM "+table+" WHERE "+where), from...)
	want.NoError(t, err)
	want.True(t, rows.Next(), "%s has a row to copy from", table)
	want.NoError(t, rows.Scan(&value))
	stolen := []byte(string(value))
	want.NoError(t, rows.Close())
	where = strings.NewReplacer("$1", "$2", "$2", "$3").Replace(where)
	execute(t, s, "UPDATE "+table+" SET "+column+" = $1 WHERE "+where, append([]any{stolen}, to...)...)
}
