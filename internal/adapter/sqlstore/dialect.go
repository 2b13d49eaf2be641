package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dialect is where the two databases differ. Statements are written once, with $1, $2, ... as placeholders.
type dialect struct {
	name       string
	migrations string
	// lockUser ends a SELECT of a user that is about to be changed; the user's row is called u.
	lockUser string
	// lockRow ends a SELECT from one table of a row that is about to be changed.
	lockRow string
	// shareRow ends a SELECT of a version that must not change before the commit.
	shareRow string
	// skipLocked ends a SELECT of rows of which each transaction should take others.
	skipLocked string
	// ahead is the query that reads users of a pool by their names, with the name and the row of each; where rows are
	// locked it locks them.
	ahead func(s *Store, spots []spot) (query string, args []any)
	// rewrite brings placeholders into the form that the database reads.
	rewrite func(query string) string
	kind    func(error) failure
}

// failure says what an error of the database means for a transaction.
type failure int

const (
	// broken: the statement or the server is at fault, and trying again would not help.
	broken failure = iota
	// again: the transaction lost against another one and is free to run again.
	again
	// away: the server cannot be reached, or is stopping or starting. What was not committed is lost.
	away
	// busy: somebody else holds the database.
	busy
	// full: there is no space. Nothing was written, and later there may be space again.
	full
)

func sqliteDialect() *dialect {
	return &dialect{
		name:       "sqlite",
		migrations: "migrations/sqlite",
		ahead:      aheadSQLite,
		rewrite:    rewriteSQLite,
		kind:       sqliteFailure,
	}
}

// rewriteSQLite turns $1 into ?, or into ?1 where arguments are used twice or out of their order. Placeholders without
// a number are bound much faster: the driver asks for the name of each, and a number counts as one, found by a walk
// along all of them.
func rewriteSQLite(query string) string {
	query = strings.ReplaceAll(query, rowMark, "u.rowid")
	parts := strings.Split(query, "$")
	var b strings.Builder
	b.WriteString(parts[0])
	for i, part := range parts[1:] {
		rest := strings.TrimLeft(part, "0123456789")
		if part[:len(part)-len(rest)] != strconv.Itoa(i+1) {
			return strings.ReplaceAll(query, "$", "?")
		}
		b.WriteString("?" + rest)
	}
	return b.String()
}

func postgresDialect() *dialect {
	return &dialect{
		name:       "postgres",
		migrations: "migrations/postgres",
		ahead:      aheadPostgres,
		lockUser:   " FOR UPDATE OF u",
		lockRow:    " FOR UPDATE",
		shareRow:   " FOR SHARE",
		skipLocked: " FOR UPDATE SKIP LOCKED",
		rewrite:    func(query string) string { return query },
		kind:       postgresFailure,
	}
}

// The primary result codes of SQLite that mean something to a transaction.
const (
	sqliteBusy   = 5
	sqliteLocked = 6
	sqliteFull   = 13
)

func sqliteFailure(err error) failure {
	switch sqliteCode(err) & 0xff {
	case sqliteBusy, sqliteLocked:
		return busy
	case sqliteFull:
		return full
	}
	return broken
}

func postgresFailure(err error) failure {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch {
		case e.Code == "40001", e.Code == "40P01": // serialization failure, deadlock
			return again
		case strings.HasPrefix(e.Code, "57P"), strings.HasPrefix(e.Code, "08"), e.Code == "53300": // stopping or starting, connection, too many
			return away
		case e.Code == "55P03", e.Code == "57014": // lock not available, time-out
			return busy
		case e.Code == "53100":
			return full
		}
		return broken
	}
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return again
	}
	if errors.Is(err, context.DeadlineExceeded) { // the run took too long
		return busy
	}
	var network net.Error
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "conn closed") {
		return away
	}
	return broken
}
