package sqlstore

import (
	"database/sql"
	"math"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/port/store"
)

type journal struct{ t *transaction }

const (
	selectEntry = `SELECT request_id, at, caller, source, operation, pool_id, sub, names FROM journal `
	insertEntry = `INSERT INTO journal (request_id, at, caller, source, operation, pool_id, sub, names) `
	ifNew       = ` ON CONFLICT DO NOTHING`
)

// insertEntries writes a number of lines.
func insertEntries(n int) string {
	var b strings.Builder
	b.WriteString(insertEntry + `VALUES `)
	for i := range n {
		if i > 0 {
			b.WriteString(`, `)
		}
		b.WriteString(`(` + placeholders(8*i+1, 8) + `)`)
	}
	b.WriteString(ifNew)
	return b.String()
}

// entryValues are the columns of a line. Names stand one to a line: attribute names hold no line breaks.
func entryValues(e store.Entry) []any {
	return []any{e.RequestID, millis(e.Time), e.Caller, e.Source, e.Operation, e.PoolID, e.Sub, strings.Join(e.Names, "\n")}
}

func scanEntry(r *sql.Rows) (*store.Entry, error) {
	var e store.Entry
	var at int64
	var names string
	if err := r.Scan(&e.RequestID, &at, &e.Caller, &e.Source, &e.Operation, &e.PoolID, &e.Sub, &names); err != nil {
		return nil, err
	}
	e.Time = instant(at)
	if names != "" {
		e.Names = strings.Split(names, "\n")
	}
	return &e, nil
}

func (s journal) Get(requestID string) (e *store.Entry, err error) {
	err = s.t.row(selectEntry+`WHERE request_id = $1`, func(r *sql.Rows) (err error) {
		e, err = scanEntry(r)
		return err
	}, requestID)
	return e, err
}

// List reads along the index by time, whatever is asked for. An index by user would make an operator's rare question
// faster and every change slower: its entries lie scattered, so each change would write one more page to the disk.
func (s journal) List(after time.Time, afterID, poolID, sub string, limit int) ([]*store.Entry, error) {
	return s.along(`(at, request_id) > ($1, $2)`, ` ORDER BY at, request_id LIMIT $3`, millis(after), afterID, poolID, sub, limit)
}

// Latest reads along the same index from its other end.
func (s journal) Latest(before time.Time, beforeID, poolID, sub string, limit int) ([]*store.Entry, error) {
	at := int64(math.MaxInt64)
	if !before.IsZero() {
		at = millis(before)
	}
	return s.along(`(at, request_id) < ($1, $2)`, ` ORDER BY at DESC, request_id DESC LIMIT $3`, at, beforeID, poolID, sub, limit)
}

func (s journal) along(beyond, order string, at int64, id, poolID, sub string, limit int) (list []*store.Entry, err error) {
	add := func(r *sql.Rows) error {
		e, err := scanEntry(r)
		list = append(list, e)
		return err
	}
	args := []any{at, id, limit}
	switch {
	case poolID != "" && sub != "":
		err = s.t.rows(selectEntry+`WHERE `+beyond+` AND pool_id = $4 AND sub = $5`+order, add, append(args, poolID, sub)...)
	case poolID != "":
		err = s.t.rows(selectEntry+`WHERE `+beyond+` AND pool_id = $4`+order, add, append(args, poolID)...)
	case sub != "":
		err = s.t.rows(selectEntry+`WHERE `+beyond+` AND sub = $4`+order, add, append(args, sub)...)
	default:
		err = s.t.rows(selectEntry+`WHERE `+beyond+order, add, args...)
	}
	return list, err
}

func (s journal) Clear() error {
	_, err := s.t.exec(`DELETE FROM journal`)
	return err
}

// Add writes the line, or leaves it to be written with those of others.
func (s journal) Add(e store.Entry) error {
	s.t.request = e.RequestID
	if s.t.postponeEntry(e) {
		return nil
	}
	return s.write(e)
}

func (s journal) write(e store.Entry) error {
	n, err := s.t.exec(s.t.s.statement("journal", 1, func() string { return insertEntries(1) }), entryValues(e)...)
	if err == nil && n == 0 {
		return s.t.fail(store.ErrReplayed)
	}
	return err
}
