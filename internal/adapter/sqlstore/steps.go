package sqlstore

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/poolhouse/poolhouse/internal/port/store"
)

type steps struct{ t *transaction }

func stepPlace(poolID, id string) []string { return []string{"steps", poolID, id, "sealed"} }

func (s steps) Passed(poolID, id string) (bool, error) {
	passed := false
	err := s.t.rows(`SELECT passed FROM steps WHERE pool_id = $1 AND id = $2`, func(r *sql.Rows) error { return r.Scan(&passed) }, poolID, id)
	return passed, err
}

func (s steps) Kept(poolID, id string) ([]byte, error) {
	var sealed []byte
	err := s.t.rows(`SELECT sealed FROM steps WHERE pool_id = $1 AND id = $2`, func(r *sql.Rows) error { return r.Scan(&sealed) }, poolID, id)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return nil, store.ErrNotFound
	}
	key, err := s.t.key(poolID)
	if err != nil {
		return nil, err
	}
	return s.t.open(key, sealed, stepPlace(poolID, id)...)
}

// Pass relies on the primary key alone: of two at the same time the second finds the row of the first.
func (s steps) Pass(poolID, id string, expires time.Time) error {
	n, err := s.t.exec(`INSERT INTO steps (pool_id, id, passed, expires_at) VALUES ($1, $2, 1, $3)
		ON CONFLICT (pool_id, id) DO UPDATE SET passed = 1, sealed = NULL WHERE steps.passed = 0`, poolID, id, millis(expires))
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("step of a sign-in: %w", store.ErrConflict))
	}
	return err
}

func (s steps) Keep(poolID, id string, state []byte, expires time.Time) error {
	key, err := s.t.key(poolID)
	if err != nil {
		return err
	}
	n, err := s.t.exec(`INSERT INTO steps (pool_id, id, passed, expires_at, sealed) VALUES ($1, $2, 0, $3, $4) ON CONFLICT DO NOTHING`,
		poolID, id, millis(expires), s.t.seal(key, state, stepPlace(poolID, id)...))
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("step of a sign-in: %w", store.ErrConflict))
	}
	return err
}

func (s steps) Purge(before time.Time, limit int) (int, error) {
	n, err := s.t.exec(`DELETE FROM steps WHERE (pool_id, id) IN (
		SELECT pool_id, id FROM steps WHERE expires_at < $1 ORDER BY expires_at, pool_id, id LIMIT $2`+s.t.s.d.skipLocked+`)`, millis(before), limit)
	return int(n), err
}
