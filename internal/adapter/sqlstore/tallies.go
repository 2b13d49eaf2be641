package sqlstore

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type tallies struct{ t *transaction }

const selectTally = `SELECT since_at, spent, failures, until_at FROM tallies WHERE pool_id = $1 AND subject = $2 AND budget = $3`

// read returns a tally, and store.ErrNotFound when there is no row.
func (s tallies) read(query, poolID, subject string, b verify.Budget) (t verify.Tally, err error) {
	err = s.t.row(query, func(r *sql.Rows) error {
		var since, until sql.NullInt64
		err := r.Scan(&since, &t.Spent, &t.Failures, &until)
		t.Since, t.Until = optionalInstant(since), optionalInstant(until)
		return err
	}, poolID, subject, string(b))
	return t, err
}

func (s tallies) Get(poolID, subject string, b verify.Budget) (verify.Tally, error) {
	key := keptTally(poolID, subject, b)
	kept, ok, err := s.t.recallRow(key)
	if err != nil {
		return verify.Tally{}, err
	}
	if ok {
		t, err := parseTally(kept)
		if err != nil {
			return verify.Tally{}, s.t.fail(err)
		}
		return t, nil
	}
	t, err := s.read(selectTally, poolID, subject, b)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return verify.Tally{}, err
	}
	if s.t.s.cache != nil {
		s.t.keep(key, appendTally(t))
	}
	return t, nil
}

// touch forgets the cache's copies of all tallies of a subject. That there is none stays true.
func (s tallies) touch(poolID, subject string) error {
	if s.t.s.cache == nil {
		return nil
	}
	return s.t.rows(`SELECT budget FROM tallies WHERE pool_id = $1 AND subject = $2`, func(r *sql.Rows) error {
		var b verify.Budget
		err := r.Scan(&b)
		s.t.touch(keptTally(poolID, subject, b), nil)
		return err
	}, poolID, subject)
}

// appendTally writes a tally for the cache, parseTally reads it.
func appendTally(t verify.Tally) []byte {
	var b []byte
	for _, n := range [...]int64{flag(!t.Since.IsZero()), millis(t.Since), int64(t.Spent), int64(t.Failures), flag(!t.Until.IsZero()), millis(t.Until)} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func parseTally(s string) (t verify.Tally, err error) {
	var n [6]int64
	for i := range n {
		var ok bool
		if n[i], s, ok = cutNumber(s); !ok {
			return t, errKept
		}
	}
	if s != "" {
		return t, errKept
	}
	t.Spent, t.Failures = int(n[2]), int(n[3])
	t.Since, t.Until = optionalInstant(sql.NullInt64{Int64: n[1], Valid: n[0] != 0}), optionalInstant(sql.NullInt64{Int64: n[5], Valid: n[4] != 0})
	return t, nil
}

func (s tallies) Of(poolID, subject string) (list []store.Spent, err error) {
	err = s.t.rows(`SELECT budget, since_at, spent, failures, until_at FROM tallies WHERE pool_id = $1 AND subject = $2 ORDER BY budget`,
		func(r *sql.Rows) error {
			var t store.Spent
			var since, until sql.NullInt64
			err := r.Scan(&t.Budget, &since, &t.Spent, &t.Failures, &until)
			t.Since, t.Until = optionalInstant(since), optionalInstant(until)
			list = append(list, t)
			return err
		}, poolID, subject)
	return list, err
}

func (s tallies) Held(poolID string, now time.Time, failures int, after string, limit int) (subs []string, err error) {
	err = s.t.rows(`SELECT DISTINCT t.subject FROM tallies t JOIN users u ON u.pool_id = t.pool_id AND u.sub = t.subject
		WHERE t.pool_id = $1 AND t.subject > $2 AND (t.until_at > $3 OR t.failures >= $4) ORDER BY t.subject LIMIT $5`, func(r *sql.Rows) error {
		var sub string
		err := r.Scan(&sub)
		subs = append(subs, sub)
		return err
	}, poolID, after, millis(now), failures, limit)
	return subs, err
}

// Take locks the row, and makes it first when there is none to lock. SQLite's writer has everything to itself.
func (s tallies) Take(poolID, subject string, b verify.Budget) (verify.Tally, error) {
	lock := s.t.s.d.lockRow
	if lock == "" {
		return s.Get(poolID, subject, b)
	}
	t, err := s.read(selectTally+lock, poolID, subject, b)
	if !errors.Is(err, store.ErrNotFound) {
		return t, err
	}
	if _, err := s.t.exec(`INSERT INTO tallies (pool_id, subject, budget, since_at, spent, failures, until_at)
		VALUES ($1, $2, $3, NULL, 0, 0, NULL) ON CONFLICT DO NOTHING`, poolID, subject, string(b)); err != nil {
		return verify.Tally{}, err
	}
	return s.read(selectTally+lock, poolID, subject, b)
}

func (s tallies) Put(poolID, subject string, b verify.Budget, t verify.Tally) error {
	_, err := s.t.exec(`INSERT INTO tallies (pool_id, subject, budget, since_at, spent, failures, until_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (pool_id, subject, budget) DO UPDATE
		SET since_at = excluded.since_at, spent = excluded.spent, failures = excluded.failures, until_at = excluded.until_at`,
		poolID, subject, string(b), optional(t.Since), t.Spent, t.Failures, optional(t.Until))
	s.t.touch(keptTally(poolID, subject, b), nil)
	return err
}

func (s tallies) Clear(poolID, subject string) error {
	if err := s.touch(poolID, subject); err != nil {
		return err
	}
	_, err := s.t.exec(`DELETE FROM tallies WHERE pool_id = $1 AND subject = $2`, poolID, subject)
	return err
}

// selectSpent finds tallies that may go. Those of users whose attempts have failed stay: failures in a row never expire.
const selectSpent = `SELECT t.pool_id, t.subject, t.budget FROM tallies t WHERE t.since_at < $1 AND (t.failures = 0 OR NOT EXISTS (
	SELECT 1 FROM users u WHERE u.pool_id = t.pool_id AND u.sub = t.subject)) ORDER BY t.since_at, t.pool_id, t.subject, t.budget LIMIT $2`

func (s tallies) Purge(before time.Time, limit int) (int, error) {
	if s.t.s.cache != nil {
		err := s.t.rows(selectSpent, func(r *sql.Rows) error {
			var poolID, subject string
			var b verify.Budget
			err := r.Scan(&poolID, &subject, &b)
			s.t.touch(keptTally(poolID, subject, b), nil)
			return err
		}, millis(before), limit)
		if err != nil {
			return 0, err
		}
	}
	n, err := s.t.exec(`DELETE FROM tallies WHERE (pool_id, subject, budget) IN (`+selectSpent+s.t.s.d.skipLocked+`)`, millis(before), limit)
	return int(n), err
}
