package sqlstore

import (
	"errors"

	"modernc.org/sqlite"
)

// This file is the only one that names the SQLite driver, so that it can be exchanged.

// sqliteDriver is the name under which the driver is registered with database/sql.
const sqliteDriver = "sqlite"

// sqliteCode returns SQLite's extended result code of an error, 0 when it is none of SQLite's.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}
