package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// errText refuses a text that one of the two databases could not keep.
var errText = errors.New("text holds U+0000 or is not UTF-8")

// transaction is one run of a function: a view of the database, or a view that also writes.
//
// The first statement that fails spoils it: every later one returns the same error, and the function's writes are
// undone whatever the function makes of the error. PostgreSQL wants it so; here SQLite does the same.
type transaction struct {
	s     *Store
	ctx   context.Context
	db    executor
	write bool
	wrote bool
	// before runs ahead of the first write: the savepoint of a function in a group.
	before func() error
	// snapshot keeps the queries of a view on one state of an SQLite file; nil where a transaction does that anyway.
	snapshot *snapshot
	err      error

	// In an update: the user that it has read last. In a group: what was read ahead for it, and what it has left to write.
	last  *shelved
	ahead *ahead
	late  late
	// gathered allows writes to be left until the function has returned.
	gathered bool
	// together forbids everything that cannot be left: the run shares its transaction without a savepoint.
	together bool

	// With a cache: the copies that this run changes, and those that others of its group have changed.
	touched, earlier map[string][]byte

	request  string              // of the journal entry
	step     *markedStep         // of a sign-in, that was written last
	keys     map[string]seal.Key // data keys of pools that were opened in an update
	pools    map[string]int64    // new versions of pools, 0 for deleted ones
	clients  map[string]int64
	assigned []assigned
}

// assigned remembers the version of a caller's value that a run increased. The run may be undone.
type assigned struct {
	version *int64
	before  int64
}

func (t *transaction) assign(version *int64, value int64) {
	t.assigned = append(t.assigned, assigned{version, *version})
	*version = value
}

// undo gives the caller's values their versions back.
func (t *transaction) undo() {
	for i := len(t.assigned) - 1; i >= 0; i-- {
		*t.assigned[i].version = t.assigned[i].before
	}
	t.assigned = nil
}

// outcome is what a run came to: the function's own error, unless the database failed under it. Then the function
// may have taken the failure for something else, such as a user that does not exist.
func (t *transaction) outcome(err error) error {
	switch {
	case t.err == nil:
		return err
	case err == nil, !repositoryError(t.err):
		return t.err
	}
	return err
}

func repositoryError(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrReplayed) ||
		errors.Is(err, store.ErrNotFound) || errors.Is(err, errText)
}

// fail spoils the transaction.
func (t *transaction) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return t.err
}

// exec runs a statement that writes and returns how many rows it changed.
func (t *transaction) exec(query string, args ...any) (int64, error) {
	if err := t.ready(args); err != nil {
		return 0, err
	}
	if t.gathered {
		if err := t.catchUp(); err != nil {
			return 0, err
		}
	}
	if !t.wrote {
		if t.before != nil {
			if err := t.before(); err != nil {
				return 0, t.fail(err)
			}
		}
		t.wrote = true
	}
	if err := t.s.fault(t.ctx, StageExec); err != nil {
		return 0, t.fail(err)
	}
	result, err := t.db.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, t.fail(describe(query, err))
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, t.fail(describe(query, err))
	}
	return n, nil
}

// rows runs a query and calls scan for each row.
func (t *transaction) rows(query string, scan func(*sql.Rows) error, args ...any) (err error) {
	if err := t.ready(args); err != nil {
		return err
	}
	if t.gathered {
		if err := t.catchUp(); err != nil {
			return err
		}
	}
	if err := t.s.fault(t.ctx, StageQuery); err != nil {
		return t.fail(err)
	}
	if t.snapshot != nil {
		if err := t.snapshot.ahead(); err != nil {
			return t.fail(err)
		}
	}
	rows, err := t.db.QueryContext(t.ctx, query, args...)
	if err != nil {
		return t.fail(describe(query, err))
	}
	defer func() {
		if closed := rows.Close(); err == nil && closed != nil {
			err = t.fail(describe(query, closed))
		}
	}()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return t.fail(err)
		}
	}
	if err := rows.Err(); err != nil {
		return t.fail(describe(query, err))
	}
	if t.snapshot != nil {
		if err := t.snapshot.behind(); err != nil {
			return t.fail(err)
		}
	}
	return nil
}

// row runs a query for one row; store.ErrNotFound when there is none.
func (t *transaction) row(query string, scan func(*sql.Rows) error, args ...any) error {
	found := false
	err := t.rows(query, func(r *sql.Rows) error {
		found = true
		return scan(r)
	}, args...)
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
}

// count runs a query for one number.
func (t *transaction) count(query string, args ...any) (int, error) {
	var n int
	err := t.row(query, func(r *sql.Rows) error { return r.Scan(&n) }, args...)
	return n, err
}

// exists reports whether the query has a row.
func (t *transaction) exists(query string, args ...any) (bool, error) {
	switch _, err := t.count(query, args...); {
	case err == nil:
		return true, nil
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	default:
		return false, err
	}
}

// must is exec of a statement that has to change one row; store.ErrNotFound when it changed none.
func (t *transaction) must(query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		return store.ErrNotFound
	}
	return err
}

// ready refuses statements of a spoilt transaction and texts that a database could not keep.
func (t *transaction) ready(args []any) error {
	if t.err != nil {
		return t.err
	}
	for _, a := range args {
		switch v := a.(type) {
		case string:
			if !storable(v) {
				return t.fail(errText)
			}
		case *string:
			if v != nil && !storable(*v) {
				return t.fail(errText)
			}
		case []string:
			if !allStorable(v) {
				return t.fail(errText)
			}
		}
	}
	return nil
}

func allStorable(texts []string) bool {
	for _, s := range texts {
		if !storable(s) {
			return false
		}
	}
	return true
}

func storable(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

// describe says which statement failed. Its arguments stay out of it, they may be secrets.
func describe(query string, err error) error {
	const shown = 60
	query = strings.Join(strings.Fields(query), " ")
	if len(query) > shown {
		query = query[:shown] + "..."
	}
	return fmt.Errorf("run %q: %w", query, err)
}

// Instants are stored as milliseconds.

func millis(t time.Time) int64 { return t.UnixMilli() }

func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// optional is NULL for the zero instant.
func optional(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return millis(t)
}

func optionalInstant(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return instant(ms.Int64)
}

// blob is NULL for no bytes.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// view and update are the two faces of a transaction.
type (
	view   struct{ t *transaction }
	update struct{ t *transaction }
)

func (v view) Pools() store.PoolReader                     { return pools(v) }
func (v view) Clients() store.ClientReader                 { return clients(v) }
func (v view) Users() store.UserReader                     { return users(v) }
func (v view) Passwords() store.PasswordReader             { return passwords(v) }
func (v view) SoftwareTokens() store.SoftwareTokenReader   { return softwareTokens(v) }
func (v view) Groups() store.GroupReader                   { return groups(v) }
func (v view) ResourceServers() store.ResourceServerReader { return resourceServers(v) }
func (v view) Codes() store.CodeReader                     { return codes(v) }
func (v view) Tallies() store.TallyReader                  { return tallies(v) }
func (v view) Families() store.FamilyReader                { return families(v) }
func (v view) Steps() store.StepReader                     { return steps(v) }
func (v view) SigningKeys() store.SigningKeyReader         { return signingKeys(v) }
func (v view) Outbox() store.OutboxReader                  { return outbox(v) }
func (v view) Inbox() store.InboxReader                    { return inbox(v) }
func (v view) Journal() store.JournalReader                { return journal(v) }
func (v view) Keys() store.KeyReader                       { return accessKeys(v) }
func (v view) Settings() store.SettingReader               { return settings(v) }

func (u update) Pools() store.Pools                     { return pools(u) }
func (u update) Clients() store.Clients                 { return clients(u) }
func (u update) Users() store.Users                     { return users(u) }
func (u update) Passwords() store.Passwords             { return passwords(u) }
func (u update) SoftwareTokens() store.SoftwareTokens   { return softwareTokens(u) }
func (u update) Groups() store.Groups                   { return groups(u) }
func (u update) ResourceServers() store.ResourceServers { return resourceServers(u) }
func (u update) Codes() store.Codes                     { return codes(u) }
func (u update) Tallies() store.Tallies                 { return tallies(u) }
func (u update) Families() store.Families               { return families(u) }
func (u update) Steps() store.Steps                     { return steps(u) }
func (u update) SigningKeys() store.SigningKeys         { return signingKeys(u) }
func (u update) Outbox() store.Outbox                   { return outbox(u) }
func (u update) Inbox() store.Inbox                     { return inbox(u) }
func (u update) Journal() store.Journal                 { return journal(u) }
func (u update) Keys() store.Keys                       { return accessKeys(u) }
func (u update) Settings() store.Settings               { return settings(u) }
