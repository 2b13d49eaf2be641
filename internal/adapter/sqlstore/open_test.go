package sqlstore

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// reopened runs a test with options that name the same database each time.
func reopened(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, Options{Path: filepath.Join(t.TempDir(), "poolhouse.db"), Ring: ring(t, 1), Random: chance.System()})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Options{DSN: pgtest.Database(t), Ring: ring(t, 1), Random: chance.System()})
	})
}

func TestReopen(t *testing.T) {
	t.Parallel()
	reopened(t, func(t *testing.T, o Options) {
		s, err := Open(t.Context(), o)
		want.NoError(t, err)
		x := secrets(t, s, "a")
		want.NoError(t, s.Close())
		want.NoError(t, s.Close()) // a second time does nothing
		for _, err := range []error{
			s.Ping(t.Context()),
			s.Update(t.Context(), store.Scope{}, func(store.Tx) error { return nil }),
		} {
			want.Error(t, err, ErrClosed)
		}

		s, err = Open(t.Context(), o)
		want.NoError(t, err)
		defer func() { want.NoError(t, s.Close()) }()
		want.NoError(t, s.Update(t.Context(), store.Scope{Pool: x.p}, func(tx store.Tx) error {
			u, err := tx.Users().ByLogin(x.p, "user-0@example.com")
			if err != nil {
				return err
			}
			p, err := tx.Passwords().Get(x.p.ID, u.Sub)
			if err != nil {
				return err
			}
			if string(p.Verifier) != marker+"verifiera0" {
				return errors.New("another verifier")
			}
			_, err = tx.Settings().Get("setting-a0")
			return err
		}))
	})
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	reopened(t, func(t *testing.T, o Options) {
		s, err := Open(t.Context(), o)
		want.NoError(t, err)
		want.NoError(t, s.Close())
		o.Ring = ring(t, 2)
		_, err = Open(t.Context(), o)
		want.Error(t, err, ErrWrongKey)
		// Nothing was changed by the attempt.
		o.Ring = ring(t, 1)
		s, err = Open(t.Context(), o)
		want.NoError(t, err)
		want.NoError(t, s.Close())
	})
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	reopened(t, func(t *testing.T, o Options) {
		s, err := Open(t.Context(), o)
		want.NoError(t, err)
		execute(t, s, `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 9999, true)
		want.NoError(t, s.Close())
		_, err = Open(t.Context(), o)
		want.Error(t, err, ErrNewerSchema)
		want.Contains(t, err.Error(), "version 9999")
	})
}

func TestOtherFoldRule(t *testing.T) {
	t.Parallel()
	reopened(t, func(t *testing.T, o Options) {
		s, err := Open(t.Context(), o)
		want.NoError(t, err)
		execute(t, s, `UPDATE meta SET value = '999' WHERE name = 'fold'`)
		want.NoError(t, s.Close())
		_, err = Open(t.Context(), o)
		want.True(t, err != nil && strings.Contains(err.Error(), "rule 999"), "%v names the rule", err)
	})
}

// TestTwoNodesAtOnce opens one PostgreSQL database from several places while it is still empty.
func TestTwoNodesAtOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	const nodes = 4
	errs := make(chan error, nodes)
	stores := make(chan *Store, nodes)
	for range nodes {
		go func() {
			s, err := Open(t.Context(), Options{DSN: dsn, Ring: ring(t, 1), Random: chance.System(), Connections: 2})
			if err == nil {
				stores <- s
			}
			errs <- err
		}()
	}
	for range nodes {
		want.NoError(t, <-errs)
	}
	first := <-stores
	for range nodes - 1 {
		s := <-stores
		want.Equal(t, s.server.ID(), first.server.ID())
		want.NoError(t, s.Close())
	}
	want.NoError(t, first.Close())
}

// TestOwner lets another process hold the file: the lock is the process's.
func TestOwner(t *testing.T) {
	const env = "SQLSTORE_TEST_OWN"
	if path := os.Getenv(env); path != "" {
		s, err := Open(t.Context(), Options{Path: path, Ring: ring(t, 1), Random: chance.System()})
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("open")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		_ = s
		os.Exit(0) // without Close: the lock goes with the process
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "poolhouse.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOwner$")
	cmd.Env = append(os.Environ(), env+"="+path)
	in, err := cmd.StdinPipe()
	want.NoError(t, err)
	out, err := cmd.StdoutPipe()
	want.NoError(t, err)
	want.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	want.NoError(t, err)
	want.Equal(t, line, "open\n")

	o := Options{Path: path, Ring: ring(t, 1), Random: chance.System()}
	_, err = Open(t.Context(), o)
	want.Error(t, err, ErrOwned)
	want.Contains(t, err.Error(), fmt.Sprintf("the process %d;", cmd.Process.Pid))

	want.NoError(t, in.Close())
	want.NoError(t, cmd.Wait())
	s, err := Open(t.Context(), o)
	want.NoError(t, err)
	_, err = Open(t.Context(), o) // nor twice in one process
	want.Error(t, err, ErrOwned)
	want.NoError(t, s.Close())
}

func TestFileModes(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(folder, "poolhouse.db")
	want.NoError(t, os.MkdirAll(folder, 0o700))
	want.NoError(t, os.WriteFile(path, nil, 0o600))
	want.NoError(t, os.Chmod(path, 0o666))
	s := open(t, Options{Path: path})
	secrets(t, s, "a")
	seen := 0
	want.NoError(t, filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		want.NoError(t, err)
		seen++
		want.True(t, info.Mode().Perm() == 0o600, "%s has mode %v", name, info.Mode())
		return nil
	}))
	want.Equal(t, seen, 4) // file, log, index of the log, lock

	s = open(t, Options{Path: filepath.Join(t.TempDir(), "new", "poolhouse.db")})
	info, err := os.Stat(filepath.Dir(s.o.Path))
	want.NoError(t, err)
	want.Equal(t, info.Mode().Perm(), fs.FileMode(0o700))
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	existing := filepath.Join(t.TempDir(), "x.db")
	want.NoError(t, os.WriteFile(existing, nil, 0o600))
	garbage := filepath.Join(t.TempDir(), "x.db")
	content := strings.Repeat("garbage ", 2048)
	want.NoError(t, os.WriteFile(garbage, []byte(content), 0o600))
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"neither", Options{}, "either a file or a connection string"},
		{"both", Options{Path: "x", DSN: "y"}, "either a file or a connection string"},
		{"ephemeral on a database that exists", Options{Path: existing, Ephemeral: true}, "needs a new file"},
		{"no database", Options{Path: garbage}, "file is not a database"},
		{"simple protocol", Options{DSN: "postgres://u@127.0.0.1:1/x?default_query_exec_mode=simple_protocol"}, "simple_protocol is refused"},
		{"unreadable connection string", Options{DSN: "postgres://%"}, "connection string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.o.Ring, c.o.Random = ring(t, 1), chance.System()
			_, err := Open(t.Context(), c.o)
			want.True(t, err != nil, "the database is refused")
			want.Contains(t, err.Error(), c.want)
		})
	}
	_, err := Open(t.Context(), Options{Path: existing, Random: chance.System()})
	want.True(t, err != nil, "a key is needed")
	after, err := os.ReadFile(garbage)
	want.NoError(t, err)
	want.True(t, string(after) == content, "a file that is no database stays as it was")
}

// TestPragmas looks at what a durable and an ephemeral database have set.
func TestPragmas(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ephemeral bool
		want      int
	}{"durable": {false, 2}, "ephemeral": {true, 0}} {
		s := open(t, Options{Path: filepath.Join(t.TempDir(), "x.db"), Ephemeral: c.ephemeral})
		for _, p := range []struct {
			pragma string
			want   string
		}{
			{"synchronous", fmt.Sprint(c.want)}, {"journal_mode", "wal"}, {"wal_autocheckpoint", "0"}, {"trusted_schema", "0"},
		} {
			var got string
			want.NoError(t, s.writer.c.conn.QueryRowContext(t.Context(), "PRAGMA "+p.pragma).Scan(&got))
			want.True(t, got == p.want, "%s: %s is %s, wanted %s", name, p.pragma, got, p.want)
		}
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"3.51.2", "3.9.99", "2.99.99", "3.51", "x"} {
		want.True(t, older(v, "3.51.3"), "%s is older", v)
	}
	for _, v := range []string{"3.51.3", "3.51.10", "3.100.0", "4.0.0"} {
		want.True(t, !older(v, "3.51.3"), "%s is not older", v)
	}
}

// TestMigrationsAgree compares the two folders of migrations, and the schemas that they make.
func TestMigrationsAgree(t *testing.T) {
	t.Parallel()
	names := func(folder string) (names []string) {
		entries, err := migrations.ReadDir(folder)
		want.NoError(t, err)
		for i, e := range entries {
			want.True(t, regexp.MustCompile(fmt.Sprintf(`^%05d_[a-z_]+\.sql$`, i+1)).MatchString(e.Name()), "%s has the next number", e.Name())
			names = append(names, e.Name())
		}
		return names
	}
	want.Equal(t, names("migrations/sqlite"), names("migrations/postgres"))

	types := strings.NewReplacer("integer", "bigint", "blob", "bytea")
	describe := func(s *Store, columns, indexes string) []string {
		var lines []string
		for _, query := range []string{columns, indexes} {
			rows, err := s.db.QueryContext(t.Context(), query)
			want.NoError(t, err)
			for rows.Next() {
				var table, name, what string
				want.NoError(t, rows.Scan(&table, &name, &what))
				if table != "goose_db_version" {
					lines = append(lines, types.Replace(strings.ToLower(strings.Join([]string{table, name, what}, " "))))
				}
			}
			want.NoError(t, rows.Err())
		}
		slices.Sort(lines)
		return lines
	}
	lite := describe(open(t, Options{}),
		`SELECT t.name, c.name, c.type || CASE WHEN c."notnull" THEN ' not null' ELSE '' END || CASE WHEN c.pk > 0 THEN ' key ' || c.pk ELSE '' END
			FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'`,
		`SELECT t.name, i.name, CASE WHEN i."unique" THEN 'unique ' ELSE '' END ||
			(SELECT group_concat(x.name, ',') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno) x) ||
			CASE WHEN i.partial THEN ' partial' ELSE '' END
			FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i.origin = 'c'`)
	heavy := describe(open(t, Options{DSN: pgtest.Database(t)}),
		`SELECT c.table_name, c.column_name, c.data_type || CASE WHEN c.is_nullable = 'NO' THEN ' not null' ELSE '' END ||
			coalesce((SELECT ' key ' || k.ordinal_position FROM information_schema.key_column_usage k
				WHERE k.table_schema = 'public' AND k.table_name = c.table_name AND k.column_name = c.column_name), '')
			FROM information_schema.columns c WHERE c.table_schema = 'public'`,
		`SELECT t.relname, i.relname, CASE WHEN x.indisunique THEN 'unique ' ELSE '' END ||
			(SELECT string_agg(pg_get_indexdef(x.indexrelid, n, true), ',' ORDER BY n) FROM generate_series(1, x.indnatts) n) ||
			CASE WHEN x.indpred IS NOT NULL THEN ' partial' ELSE '' END
			FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
			JOIN pg_namespace s ON s.oid = t.relnamespace WHERE s.nspname = 'public' AND NOT x.indisprimary`)
	want.Equal(t, heavy, lite)
	want.True(t, len(lite) > 100, "there is something to compare")
}

// TestIndexesAreUsed asks SQLite how it would look for users and messages: never by reading a whole table.
func TestIndexesAreUsed(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	for _, c := range []struct {
		query string
		args  []any
	}{
		{selectLogin, []any{"p", "name", "k"}},
		{selectSub, []any{"p", "s"}},
		{selectUser + `FROM users u WHERE u.pool_id = $1 AND u.email = $2 AND u.sub > $3 ORDER BY u.sub LIMIT 60`, []any{"p", "e", "s"}},
		{selectUser + `FROM users u WHERE u.pool_id = $1 AND u.email >= $2 AND u.email < $3 AND (u.email, u.sub) > ($4, $5) ORDER BY u.email, u.sub LIMIT 60`,
			[]any{"p", "e", "f", "e", "s"}},
		{selectUser + `FROM users u WHERE u.pool_id = $1 AND u.username_fold >= $2 ORDER BY u.username_fold, u.sub LIMIT 60`, []any{"p", "e"}},
		{selectUser + `FROM users u WHERE u.pool_id = $1 AND u.enabled = $2 ORDER BY u.sub LIMIT 60`, []any{"p", 1}},
		{selectUser + `FROM users u WHERE u.pool_id = $1 AND u.status = $2 ORDER BY u.sub LIMIT 60`, []any{"p", "x"}},
		{selectUser + `FROM users u WHERE u.pool_id = $1 AND u.sub > $2 ORDER BY u.sub LIMIT 60`, []any{"p", "x"}},
		{selectIdentity, []any{"p", "o", "a", "v"}},
		{selectMembers, []any{"p", "g", "s", 60}},
		{selectGroup + `WHERE g.pool_id = $1 AND g.name > $2 ORDER BY g.name LIMIT $3`, []any{"p", "g", 60}},
		{selectGroupsOf, []any{"p", "s"}},
		{selectServers, []any{"p", "s", 51}},
		{`SELECT attribute FROM identities WHERE pool_id = $1 AND provider = $2 AND attribute > $3 ORDER BY attribute LIMIT 1`, []any{"p", "o", "a"}},
		{`DELETE FROM memberships WHERE pool_id = $1 AND sub = $2`, []any{"p", "s"}},
		{`SELECT t.pool_id FROM tallies t WHERE t.since_at < $1 ORDER BY t.since_at LIMIT $2`, []any{1, 1}},
		{selectFamily + ` AND id = $3`, []any{"p", "s", "i"}},
		{selectFamily + ` AND event_id = $3`, []any{"p", "s", "e"}},
		{selectSigningKey + `WHERE id = $1`, []any{"i"}},
		{`SELECT id FROM families WHERE expires_at < $1 ORDER BY expires_at LIMIT $2`, []any{1, 2}},
		{`SELECT id FROM steps WHERE expires_at < $1 ORDER BY expires_at LIMIT $2`, []any{1, 2}},
		{selectMessage + `WHERE state IN ('compose', 'ready') AND next_try <= $1 ORDER BY next_try, id LIMIT $2`, []any{1, 2}},
		{selectEntry + `WHERE (at, request_id) > ($1, $2) ORDER BY at, request_id LIMIT $3`, []any{1, "a", 1}},
		{selectEntry + `WHERE (at, request_id) > ($1, $2) AND pool_id = $4 AND sub = $5 ORDER BY at, request_id LIMIT $3`, []any{1, "a", 1, "p", "s"}},
	} {
		rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+s.d.rewrite(c.query), c.args...)
		want.NoError(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused sql.NullInt64
			var step string
			want.NoError(t, rows.Scan(&id, &parent, &unused, &step))
			plan = append(plan, step)
		}
		want.NoError(t, rows.Err())
		text := strings.Join(plan, "; ")
		want.True(t, strings.Contains(text, "SEARCH") && !strings.Contains(text, "SCAN") && !strings.Contains(text, "TEMP B-TREE"), "%s: %s", c.query, text)
	}
}

// TestCountOfManyUsers looks at how long a count of a large pool is good.
func TestCountOfManyUsers(t *testing.T) {
	t.Parallel()
	now := noon
	s := open(t, Options{})
	s.now = func() time.Time { return now }
	p := samplePool("eu-west-1_AAAAAAAAA")
	add := func(from, to int) {
		want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
			for i := from; i < to; i++ {
				if err := tx.Users().Create(p, sampleUser(p, fmt.Sprintf("sub-%d", i), fmt.Sprintf("user-%d", i))); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	count := func() (n int) {
		want.NoError(t, s.View(t.Context(), func(v store.View) (err error) {
			n, err = v.Users().Count(p.ID)
			return err
		}))
		return n
	}
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Pools().Create(p) }))
	add(0, countedExactly)
	want.Equal(t, count(), countedExactly)
	add(countedExactly, countedExactly+5)
	want.Equal(t, count(), countedExactly+5)
	add(countedExactly+5, countedExactly+7)
	want.Equal(t, count(), countedExactly+5)
	now = now.Add(countLife)
	want.Equal(t, count(), countedExactly+7)
}

func TestAttributesByHand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want map[string]string
	}{
		{`{}`, map[string]string{}},
		{`{"a":"b"}`, map[string]string{"a": "b"}},
		{`{"a":"","b":"c"}`, map[string]string{"a": "", "b": "c"}},
		{" { \"a\" : \"b\\u00e9\\n\\/\" }\n", map[string]string{"a": "b\u00e9\n/"}},
		{`{"a":"b",}`, nil},
		{`{"a":1}`, nil},
		{`{"a":"b" "c":"d"}`, nil},
		{`{"a"}`, nil},
		{`["a"]`, nil},
		{``, nil},
	} {
		got, err := decodeAttributes(c.text)
		want.True(t, (err == nil) == (c.want != nil), "%s: %v", c.text, err)
		want.Equal(t, got, c.want)
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("email", `q"u\o`, "\n\t\u0001", "\u2028\U0001F642")
	f.Add("\xff", "", "", "\x00")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		attributes := map[string]string{n1: v1, n2: v2}
		text, err := encodeAttributes(attributes)
		kept := storable(n1) && storable(v1) && storable(n2) && storable(v2)
		// Of two equal names only the second value is there to be looked at.
		if n1 == n2 {
			kept = storable(n2) && storable(v2)
		}
		want.True(t, (err == nil) == kept, "%q: %v", attributes, err)
		if err != nil {
			return
		}
		got, err := decodeAttributes(text)
		want.NoError(t, err)
		want.Equal(t, got, attributes)
	})
}

// TestStoredDocuments pins what is on disks already: a renamed member of the settings would be forgotten there.
func TestStoredDocuments(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	p := samplePool("eu-west-1_AAAAAAAAA")
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
		if err := tx.Pools().Create(p); err != nil {
			return err
		}
		u := sampleUser(p, "s", "jane")
		u.Pending = map[string]user.Pending{"email": {Value: "x", Requested: noon}}
		return errors.Join(tx.Users().Create(p, u), tx.Passwords().Put(&credential.Password{PoolID: p.ID, Sub: "s", Set: noon}))
	}))
	var attributes, pending string
	want.NoError(t, s.db.QueryRowContext(t.Context(), `SELECT attributes, pending FROM users`).Scan(&attributes, &pending))
	want.Equal(t, attributes, `{"custom:tier":"gold","email":"jane@example.com","email_verified":"true"}`)
	want.Equal(t, pending, `{"email":{"Value":"x","Requested":1793620800000}}`)

	stored, err := os.ReadFile("testdata/members.txt")
	want.NoError(t, err)
	have := append(members("pool", reflect.TypeFor[pool.Settings]()), members("client", reflect.TypeFor[pool.ClientSettings]())...)
	for line := range strings.Lines(string(stored)) {
		line = strings.TrimSuffix(line, "\n")
		want.True(t, slices.Contains(have, line), "databases have %q: a member may be added, and keeps its name and type", line)
	}
	for _, line := range have {
		want.True(t, strings.Contains(string(stored), line+"\n"), "testdata/members.txt lacks the new member %q", line)
	}
}

// members lists the members of a stored document with their types.
func members(path string, t reflect.Type) (lines []string) {
	switch t.Kind() {
	case reflect.Pointer:
		return members(path, t.Elem())
	case reflect.Slice:
		return members(path+"[]", t.Elem())
	case reflect.Map:
		return members(path+"{}", t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			lines = append(lines, members(path+"."+t.Field(i).Name, t.Field(i).Type)...)
		}
		return lines
	}
	return []string{path + " " + t.Kind().String()}
}
