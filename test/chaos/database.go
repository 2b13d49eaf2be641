//go:build linux

package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// Database is the checker's own way into the database, beside the server. It reads tables: what the server's code makes of them is
// what is in question.
type Database struct {
	db     *sql.DB
	sqlite bool
}

// openSQLite opens the file of a server that may be running.
func openSQLite(path string) (*Database, error) {
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(20000)"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	// A connection for each look: one that stays would keep the log from starting again.
	db.SetMaxIdleConns(0)
	return &Database{db: db, sqlite: true}, nil
}

// openPostgres opens a database server.
func openPostgres(dsn string) (*Database, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(0)
	return &Database{db: db}, nil
}

// Close gives up the database.
func (d *Database) Close() error { return d.db.Close() }

// bind writes placeholders as the database reads them.
func (d *Database) bind(query string) string {
	if d.sqlite {
		return strings.ReplaceAll(query, "$", "?")
	}
	return query
}

// quiet waits until the database server does nothing for a server that was killed: such work may still be committed.
func (d *Database) quiet(ctx context.Context) error {
	if d.sqlite {
		return nil
	}
	return await("the database to finish what it was doing", func() (bool, error) {
		var busy int
		err := d.db.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'poolhouse' AND state <> 'idle'`).Scan(&busy)
		return busy == 0, err
	})
}

// sound asks the database whether it is whole.
func (d *Database) sound(ctx context.Context) error {
	if !d.sqlite {
		return nil
	}
	var answer string
	if err := d.db.QueryRowContext(ctx, `PRAGMA integrity_check`).Scan(&answer); err != nil {
		return err
	}
	if answer != "ok" {
		return fmt.Errorf("the database is damaged: %s", answer)
	}
	return nil
}

// multiply copies the only user of a pool.
func (d *Database) multiply(ctx context.Context, pool string, n int) error {
	numbers := fmt.Sprintf(`(WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < %d) SELECT i FROM numbers) AS n`, n)
	for _, query := range []string{
		`INSERT INTO users (pool_id, sub, username, username_fold, version, created_at, modified_at, status, enabled, sms_option, attributes, sign_in_attribute)
			SELECT pool_id, sub || '-' || i, username || i, username_fold || i, version, created_at, modified_at, status, enabled, sms_option, attributes, sign_in_attribute
			FROM users CROSS JOIN ` + numbers + ` WHERE pool_id = $1`,
		`INSERT INTO logins (pool_id, space, login_key, sub) SELECT pool_id, space, login_key || i, sub || '-' || i
			FROM logins CROSS JOIN ` + numbers + ` WHERE pool_id = $1`,
	} {
		if _, err := d.db.ExecContext(ctx, d.bind(query), pool); err != nil {
			return err
		}
	}
	return nil
}

// elapse makes messages due that a dead server had claimed. It stands for waiting until the claim has run out.
func (d *Database) elapse(ctx context.Context) error {
	_, err := d.db.ExecContext(ctx, `UPDATE outbox SET next_try = 0 WHERE state IN ('compose', 'ready')`)
	return err
}

// waiting counts the messages that are to be delivered yet.
func (d *Database) waiting(ctx context.Context) (n int, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT count(*) FROM outbox WHERE state IN ('compose', 'ready')`).Scan(&n)
	return n, err
}

// view is what the database holds.
type view struct {
	users     map[string]record            // by user name
	logins    map[string]string            // "space key" to sub
	codes     map[string]string            // sub to target
	passwords map[string]bool              // by sub
	groups    map[string]string            // descriptions by name
	servers   map[string]string            // scopes of resource servers by identifier
	members   map[string]string            // groups by sub
	accounts  map[string]string            // subs by subject of the account
	inbox     map[string]int               // messages by recipient
	families  map[string]map[string]string // sign-ins by sub and id, as visits of the model
	used      map[string]int64             // the last steps of which codes were accepted, by sub
	journal   []entry
}

type record struct {
	sub    string
	fields Object
}

type entry struct {
	request, operation, pool, sub string
	at                            int64 // milliseconds since the epoch, by the server's clock
	names                         []string
}

// journalSlack is how much earlier than the first call of a round a line of the journal may claim to be: the two clocks differ by
// what is cut off a millisecond, and by no more.
const journalSlack = time.Second

// look reads everything about a pool in one transaction; and the journal of all pools from a time on.
func (d *Database) look(ctx context.Context, pool string, since time.Time) (v *view, err error) {
	options := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	if d.sqlite {
		options = nil // its transactions are snapshots
	}
	tx, err := d.db.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	v = &view{users: map[string]record{}, logins: map[string]string{}, codes: map[string]string{}, passwords: map[string]bool{}, groups: map[string]string{}, servers: map[string]string{}, members: map[string]string{}, accounts: map[string]string{}, inbox: map[string]int{}, families: map[string]map[string]string{}, used: map[string]int64{}}
	var from int64
	if !since.IsZero() {
		from = since.Add(-journalSlack).UnixMilli()
	}
	type scanner = func(...any) error
	for _, q := range []struct {
		query string
		arg   any
		each  func(scanner) error
	}{
		{`SELECT username, sub, status, enabled, sms_option, attributes, coalesce(external, '{}'), coalesce(mfa, '{}') FROM users WHERE pool_id = $1`, pool, func(scan scanner) error {
			var name, status, attributes, external, mfa string
			var enabled, option int
			u := record{fields: Object{}}
			if err := scan(&name, &u.sub, &status, &enabled, &option, &attributes, &external, &mfa); err != nil {
				return err
			}
			var stored struct{ Identities []struct{ Value string } }
			if err := json.Unmarshal([]byte(external), &stored); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(attributes), &u.fields); err != nil {
				return err
			}
			var factors struct{ Preferred string }
			if err := json.Unmarshal([]byte(mfa), &factors); err != nil {
				return err
			}
			u.fields[fieldSub], u.fields[fieldStatus], u.fields[fieldEnabled] = u.sub, status, strconv.FormatBool(enabled != 0)
			if option != 0 {
				u.fields[fieldOption] = "true"
			}
			if factors.Preferred != "" {
				u.fields[fieldFactor] = factors.Preferred
			}
			for _, i := range stored.Identities {
				u.fields[fieldAccount+i.Value] = linked
			}
			v.users[name] = u
			return nil
		}},
		{`SELECT space, login_key, sub FROM logins WHERE pool_id = $1`, pool, func(scan scanner) error {
			var space, key, sub string
			err := scan(&space, &key, &sub)
			v.logins[space+" "+key] = sub
			return err
		}},
		{`SELECT sub, target FROM codes WHERE pool_id = $1`, pool, func(scan scanner) error {
			var sub, target string
			err := scan(&sub, &target)
			v.codes[sub] = target
			return err
		}},
		{`SELECT sub FROM passwords WHERE pool_id = $1`, pool, func(scan scanner) error {
			var sub string
			err := scan(&sub)
			v.passwords[sub] = true
			return err
		}},
		{`SELECT name, coalesce(description, '') FROM user_groups WHERE pool_id = $1`, pool, func(scan scanner) error {
			var name, description string
			err := scan(&name, &description)
			v.groups[name] = description
			return err
		}},
		{`SELECT identifier, scopes FROM resource_servers WHERE pool_id = $1`, pool, func(scan scanner) error {
			var identifier, scopes string
			err := scan(&identifier, &scopes)
			v.servers[identifier] = scopes
			return err
		}},
		{`SELECT sub, group_name FROM memberships WHERE pool_id = $1`, pool, func(scan scanner) error {
			var sub, group string
			err := scan(&sub, &group)
			v.members[sub] = group
			return err
		}},
		{`SELECT identity_key, sub FROM identities WHERE pool_id = $1`, pool, func(scan scanner) error {
			var key, sub string
			err := scan(&key, &sub)
			v.accounts[key] = sub
			return err
		}},
		{`SELECT recipient FROM inbox WHERE pool_id = $1`, pool, func(scan scanner) error {
			var to string
			err := scan(&to)
			v.inbox[to]++
			return err
		}},
		{`SELECT sub, id, revoked_at IS NOT NULL, generation FROM families WHERE pool_id = $1`, pool, func(scan scanner) error {
			var sub, id string
			var revoked bool
			var generation int
			err := scan(&sub, &id, &revoked, &generation)
			if v.families[sub] == nil {
				v.families[sub] = map[string]string{}
			}
			v.families[sub][id] = visit{ended: revoked, generation: generation}.String()
			return err
		}},
		{`SELECT sub, last_step FROM software_tokens WHERE pool_id = $1`, pool, func(scan scanner) error {
			var sub string
			var step int64
			err := scan(&sub, &step)
			v.used[sub] = step
			return err
		}},
		// Tokens that were made for the load are no call of it.
		{`SELECT request_id, operation, pool_id, sub, at, names FROM journal WHERE at >= $1 AND operation <> 'IssueTokens'`, from, func(scan scanner) error {
			var e entry
			var names string
			err := scan(&e.request, &e.operation, &e.pool, &e.sub, &e.at, &names)
			e.names = strings.Split(names, "\n")
			v.journal = append(v.journal, e)
			return err
		}},
	} {
		rows, err := tx.QueryContext(ctx, d.bind(q.query), q.arg)
		if err != nil {
			return nil, err
		}
		for rows.Next() && err == nil {
			err = q.each(rows.Scan)
		}
		if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
	}
	for _, u := range v.users {
		if group := v.members[u.sub]; group != "" {
			u.fields[fieldGroup] = group
		}
	}
	return v, nil
}
