package sqlstore

import (
	"bytes"
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
	mark, err := s.mark(poolID, id)
	if err != nil {
		return err
	}
	n, err := s.t.exec(`INSERT INTO steps (pool_id, id, passed, expires_at, mark) VALUES ($1, $2, 1, $3, $4)
		ON CONFLICT (pool_id, id) DO UPDATE SET passed = 1, sealed = NULL, mark = excluded.mark WHERE steps.passed = 0`, poolID, id, millis(expires), mark)
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
	mark, err := s.mark(poolID, id)
	if err != nil {
		return err
	}
	n, err := s.t.exec(`INSERT INTO steps (pool_id, id, passed, expires_at, sealed, mark) VALUES ($1, $2, 0, $3, $4, $5) ON CONFLICT DO NOTHING`,
		poolID, id, millis(expires), s.t.seal(key, state, stepPlace(poolID, id)...), mark)
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("step of a sign-in: %w", store.ErrConflict))
	}
	return err
}

// markedStep is a step that a transaction has written, and the mark that it has left there.
type markedStep struct {
	poolID, id string
	mark       []byte
}

// mark draws a mark for a step: after a lost COMMIT the row tells by it whether this transaction wrote it. On SQLite none is lost.
func (s steps) mark(poolID, id string) ([]byte, error) {
	if s.t.s.writer != nil {
		return nil, nil
	}
	mark := make([]byte, 16)
	if _, err := s.t.s.random.Read(mark); err != nil {
		return nil, s.t.fail(err)
	}
	s.t.step = &markedStep{poolID, id, mark}
	return mark, nil
}

// written reports whether the step bears the mark. Writing the same row waits for a transaction that is still at it.
func (s steps) written(m *markedStep) (bool, error) {
	var mark []byte
	err := s.t.row(`INSERT INTO steps (pool_id, id, passed, expires_at) VALUES ($1, $2, 0, 0)
		ON CONFLICT (pool_id, id) DO UPDATE SET passed = steps.passed RETURNING mark`, func(r *sql.Rows) error { return r.Scan(&mark) }, m.poolID, m.id)
	return bytes.Equal(mark, m.mark), err
}

func (s steps) Purge(before time.Time, limit int) (int, error) {
	n, err := s.t.exec(`DELETE FROM steps WHERE (pool_id, id) IN (
		SELECT pool_id, id FROM steps WHERE expires_at < $1 ORDER BY expires_at, pool_id, id LIMIT $2`+s.t.s.d.skipLocked+`)`, millis(before), limit)
	return int(n), err
}
