package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/filter"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// search is a query for users, in terms of columns. Every search is a range of one index, so that a page costs the
// same wherever it starts.
type search struct {
	column string // "" for all users
	value  any
	prefix bool
	none   bool // nobody can match
	// exact finds out the true answer for a value that is longer than the column keeps.
	exact func(*user.Record) bool
}

// plan translates a filter.
func plan(q store.Query) (search, error) {
	f := q.Filter
	if f.IsZero() {
		return search{}, nil
	}
	if !storable(f.Value) {
		return search{none: true}, nil
	}
	s := search{column: f.Attribute, value: f.Value, prefix: f.Op == filter.Prefix}
	switch f.Attribute {
	case "username":
		if q.Fold {
			s.column, s.value = "username_fold", contact.Fold(f.Value)
		}
	case "sub":
	case "cognito:user_status":
		s.column, s.value = "status", strings.ToUpper(f.Value)
	case "status":
		return planEnabled(f), nil
	case pool.Email, pool.PhoneNumber, "name", "given_name", "family_name", pool.PreferredUsername:
		if len(f.Value) > maxKey {
			s.value = cut(f.Value)
			s.exact = func(u *user.Record) bool {
				v := u.Attributes[f.Attribute]
				return v == f.Value || f.Op == filter.Prefix && strings.HasPrefix(v, f.Value)
			}
		}
	default:
		return search{}, fmt.Errorf("list users by %q: no such filter", f.Attribute)
	}
	return s, nil
}

// planEnabled knows the two values of the attribute status.
func planEnabled(f filter.Filter) search {
	matches := func(word string) bool {
		return word == f.Value || f.Op == filter.Prefix && strings.HasPrefix(word, f.Value)
	}
	on, off := matches("Enabled"), matches("Disabled")
	switch {
	case on && off:
		return search{}
	case on, off:
		return search{column: "enabled", value: flag(on)}
	}
	return search{none: true}
}

// columnOf reads from a record what the column of a search holds.
func columnOf(column string, u *user.Record) string {
	switch column {
	case "username":
		return u.Username
	case "username_fold":
		return contact.Fold(u.Username)
	case "status":
		return string(u.Status)
	case "sub":
		return u.Sub
	}
	return cut(u.Attributes[column])
}

// statement builds the query for a page. Its texts come from the constants above, never from a request.
func (s search) statement(poolID, after string, limit int) (query string, args []any, err error) {
	var b strings.Builder
	args = append(args, poolID)
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	b.WriteString(selectUser + `FROM users u WHERE u.pool_id = $1`)
	column, sub, err := parseCursor(after)
	if err != nil {
		return "", nil, err
	}
	switch {
	case s.column == "":
		if after != "" {
			b.WriteString(` AND u.sub > ` + arg(sub))
		}
		b.WriteString(` ORDER BY u.sub`)
	case !s.prefix:
		b.WriteString(` AND u.` + s.column + ` = ` + arg(s.value))
		if after != "" {
			b.WriteString(` AND u.sub > ` + arg(sub))
		}
		b.WriteString(` ORDER BY u.sub`)
	default:
		from := s.value.(string)
		b.WriteString(` AND u.` + s.column + ` >= ` + arg(from))
		if to, ok := successor(from); ok {
			b.WriteString(` AND u.` + s.column + ` < ` + arg(to))
		}
		if after != "" {
			b.WriteString(` AND (u.` + s.column + `, u.sub) > (` + arg(column) + `, ` + arg(sub) + `)`)
		}
		b.WriteString(` ORDER BY u.` + s.column + `, u.sub`)
	}
	b.WriteString(` LIMIT ` + arg(limit))
	return b.String(), args, nil
}

// successor is the least text that is greater than every text which starts with prefix; false when there is none.
func successor(prefix string) (string, bool) {
	for prefix != "" {
		r, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch {
		case r == utf8.MaxRune:
			continue
		case r == 0xd7ff: // surrogates are no characters
			r = 0xe000
		default:
			r++
		}
		return prefix + string(r), true
	}
	return "", false
}

// A cursor is the last user of a page: the length of the sub, ":", the sub, the value of the searched column.

func cursor(column string, u *user.Record) string {
	value := ""
	if column != "" && column != "enabled" {
		value = columnOf(column, u)
	}
	return strconv.Itoa(len(u.Sub)) + ":" + u.Sub + value
}

var errCursor = errors.New("not the key of a page")

func parseCursor(s string) (column, sub string, err error) {
	if s == "" {
		return "", "", nil
	}
	length, rest, ok := strings.Cut(s, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n > len(rest) || !storable(rest) {
		return "", "", errCursor
	}
	return rest[n:], rest[:n], nil
}

func (s users) List(p *pool.Pool, q store.Query) (list []*user.Record, next string, err error) {
	by, err := plan(q)
	if err != nil || by.none || q.Limit < 1 {
		return nil, "", err
	}
	key := by.keptAs(p.ID, q.After)
	if list, ok, err := s.recallSearch(p.ID, key, q.Limit); ok || err != nil {
		return list, "", err
	}
	query, args, err := by.statement(p.ID, q.After, q.Limit+1)
	if err != nil {
		return nil, "", err
	}
	var rows []*userRow
	err = s.t.rows(query, func(r *sql.Rows) error {
		row, err := scanUserRow(r)
		if err != nil {
			return err
		}
		u, err := row.record(p.ID)
		list, rows = append(list, u), append(rows, row)
		return err
	}, args...)
	if err != nil {
		return nil, "", err
	}
	s.keepSearch(p.ID, key, rows, q.Limit)
	if len(list) > q.Limit {
		list = list[:q.Limit]
		next = cursor(by.column, list[q.Limit-1])
	}
	if by.exact != nil {
		kept := list[:0]
		for _, u := range list {
			if by.exact(u) {
				kept = append(kept, u)
			}
		}
		list = kept
	}
	return list, next, nil
}

// mostFound is how many users an answer that is kept has at most.
const mostFound = 4

// keptAs is the key of the answer to a search for one value, "" when the answer is not kept.
func (s search) keptAs(poolID, after string) string {
	if value, ok := s.value.(string); ok && after == "" && !s.prefix && s.exact == nil && searchKept(s.column) {
		return keptSearch(poolID, s.column, value)
	}
	return ""
}

// recallSearch answers a search by the cache, when that has the answer, whole, and all users in it.
func (s users) recallSearch(poolID, key string, limit int) (list []*user.Record, ok bool, err error) {
	if key == "" {
		return nil, false, nil
	}
	kept, ok, err := s.t.recall(key)
	if err != nil || !ok {
		return nil, false, err
	}
	subs := splitSubs(kept)
	switch {
	case len(subs) > limit:
		return nil, false, nil
	case len(subs) == 0:
		return nil, true, s.t.answered()
	}
	for _, sub := range subs {
		row, err := s.recall(poolID, sub)
		if err != nil || row == nil {
			return nil, false, err
		}
		u, err := row.record(poolID)
		if err != nil {
			return nil, false, s.t.fail(err)
		}
		list = append(list, u)
	}
	return list, true, nil
}

// keepSearch gives the cache an answer that is whole.
func (s users) keepSearch(poolID, key string, rows []*userRow, limit int) {
	if key == "" || len(rows) > min(limit, mostFound) || s.t.s.cache == nil {
		return
	}
	for _, row := range rows {
		s.keep(poolID, row)
	}
	s.t.keep(key, appendSubs(rows))
}

const (
	countedExactly = 1000        // up to so many users are counted each time
	countLife      = time.Minute // how long the count of a larger pool is good
)

// counts remembers how many users large pools have.
type counts struct {
	mu sync.Mutex
	m  map[string]counted
}

type counted struct {
	n  int
	at time.Time
}

func (c *counts) get(id string, now time.Time) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.m[id]
	return x.n, ok && now.Sub(x.at) < countLife && !now.Before(x.at)
}

func (c *counts) put(id string, n int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[string]counted)
	}
	c.m[id] = counted{n, now}
}

func (c *counts) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, id)
}

// Count is exact up to a thousand users. The number for a larger pool is at most a minute old, since counting takes
// time in proportion to it.
func (s users) Count(poolID string) (int, error) {
	now := s.t.s.now()
	if n, ok := s.t.s.counts.get(poolID, now); ok {
		return n, nil
	}
	n, err := s.t.count(`SELECT count(*) FROM (SELECT 1 FROM users WHERE pool_id = $1 LIMIT $2) AS first_ones`, poolID, countedExactly+1)
	if err != nil || n <= countedExactly {
		return n, err
	}
	n, err = s.t.count(`SELECT count(*) FROM users WHERE pool_id = $1`, poolID)
	if err == nil && !s.t.write {
		s.t.s.counts.put(poolID, n, now)
	}
	return n, err
}
