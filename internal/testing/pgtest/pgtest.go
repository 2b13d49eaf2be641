//go:build unix

// Package pgtest gives tests a throw-away PostgreSQL server, made from the binaries that the operating system's package installs.
//
// Most tests want one line, dsn := pgtest.Database(t): a fresh, empty database that is dropped when the test ends. All tests of one
// binary share a server. `make test` starts a single server for the whole run and names it in the environment variable EnvDSN.
// Tests that stop, restart or kill the server start their own with Start.
//
// No test is skipped for want of PostgreSQL: it fails and says which package is missing. Whatever happens to the process that started
// a server, a small watchdog process stops that server and removes its folder. Nothing that ships imports this package.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnvDSN names the environment variable that holds the connection string of a running server, to be used instead of starting one.
// Its user must be allowed to create databases.
const EnvDSN = "POOLHOUSE_TEST_PG_DSN"

// adminTimeout bounds one CREATE DATABASE or DROP DATABASE on a busy machine.
const adminTimeout = time.Minute

// host is where the tests of this binary make their databases.
type host struct {
	dsn    string  // connects to the database that always exists
	server *Server // kept here because a Server that nobody holds is collected, which stops it; nil if EnvDSN names the server
}

// shared is started by the first test that needs it, and stopped by its watchdog when the binary ends.
var shared = sync.OnceValues(func() (host, error) {
	if dsn := os.Getenv(EnvDSN); dsn != "" {
		return host{dsn: dsn}, nil
	}
	s, err := Start(Options{})
	if err != nil {
		return host{}, err
	}
	return host{dsn: s.DSN("postgres"), server: s}, nil
})

// Database makes an empty database for one test and returns its connection string. The database is dropped, and its connections are
// ended, when the test and its subtests are over.
func Database(tb testing.TB) string {
	tb.Helper()
	admin, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	dsn, drop, err := create(tb.Context(), admin.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := drop(context.WithoutCancel(tb.Context())); err != nil {
			tb.Errorf("drop the test's database: %v", err)
		}
	})
	return dsn
}

// create makes a database with a random name on the server of the admin connection string. It returns the new database's connection
// string and the function that drops it.
func create(ctx context.Context, admin string) (dsn string, drop func(context.Context) error, err error) {
	u, err := url.Parse(admin)
	if err != nil {
		return "", nil, fmt.Errorf("read %s, which must be a URL: %w", EnvDSN, err)
	}
	name := "test_" + random(8)
	if err := execute(ctx, admin, "CREATE DATABASE "+name); err != nil {
		return "", nil, fmt.Errorf("create database %s: %w", name, err)
	}
	u.Path = "/" + name
	return u.String(), func(ctx context.Context) error {
		return execute(ctx, admin, "DROP DATABASE "+name+" WITH (FORCE)")
	}, nil
}

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, dsn, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	if closed := conn.Close(ctx); err == nil {
		err = closed
	}
	return err
}

// random returns n random bytes in hexadecimal.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}
