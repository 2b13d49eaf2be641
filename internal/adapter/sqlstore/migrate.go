package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

//go:embed migrations
var migrations embed.FS

// migrateTries bounds how often a migration is tried that another node may be running at the same time.
const migrateTries = 5

// migrate brings the schema to the newest version this program knows, each step in a transaction. Several nodes may do
// so at once: one of them wins a step, the others try again and find it done.
func (s *Store) migrate(ctx context.Context, db *sql.DB) error {
	folder, err := fs.Sub(migrations, s.d.migrations)
	if err != nil {
		return fmt.Errorf("open migrations: %w", err)
	}
	kind := goose.DialectSQLite3
	if s.writer == nil && s.owner == nil {
		kind = goose.DialectPostgres
	}
	for try := 1; ; try++ {
		err := migrateOnce(ctx, kind, db, folder)
		if err == nil || errors.Is(err, ErrNewerSchema) || try == migrateTries || ctx.Err() != nil {
			return err
		}
		s.o.Sleep(ctx, time.Duration(try)*100*time.Millisecond)
	}
}

func migrateOnce(ctx context.Context, kind goose.Dialect, db *sql.DB, folder fs.FS) error {
	p, err := goose.NewProvider(kind, db, folder, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, know, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if have > know {
		return fmt.Errorf("%w: its schema has version %d, this program knows up to %d", ErrNewerSchema, have, know)
	}
	if have == know {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	return nil
}

const foldRule = "fold" // name in the table meta

// checkFold compares the rule by which login keys were folded with the one that this program uses.
func (t *transaction) checkFold() error {
	const read = `SELECT value FROM meta WHERE name = $1`
	var value string
	scan := func(r *sql.Rows) error { return r.Scan(&value) }
	now := strconv.Itoa(contact.FoldVersion)
	err := t.row(read, scan, foldRule)
	if errors.Is(err, store.ErrNotFound) {
		if _, err := t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, foldRule, now); err != nil {
			return err
		}
		err = t.row(read, scan, foldRule)
	}
	if err != nil {
		return fmt.Errorf("read the rule of login keys: %w", err)
	}
	if value != now {
		return fmt.Errorf("login keys in the database follow rule %s, this program follows rule %s", value, now)
	}
	return nil
}
