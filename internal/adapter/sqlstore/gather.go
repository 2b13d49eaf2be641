package sqlstore

import (
	"cmp"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Updates that wait together are gathered: the users that their Scopes name are read ahead with one query, and what the
// most frequent kind of function writes, one user whose logins stay and one line of the journal, is written when the
// function has returned, on PostgreSQL for all of them at once. A function that does anything else is run as if it
// were alone. What is here knows no database; writer.go uses it on SQLite, batch.go on PostgreSQL.

// ahead holds users that were read ahead for a group. Each is handed out once, to the function that asks first, and
// only as long as nobody in the group has written it.
type ahead struct {
	users map[spot]*shelved
	subs  map[spot]spot // of the sub of each user: where it was put
}

// spot is where a user is looked up: a user name's key in a pool.
type spot struct{ pool, key string }

// shelved is a user with the row from which it was read.
type shelved struct {
	record *user.Record
	row    *userRow
}

// late is what a run has left to write until its function has returned.
type late struct {
	pool   *pool.Pool
	user   *shelved
	change *change // nil: no user
	entry  *store.Entry
}

// take hands out what was read ahead for a login, nil when there is nothing.
func (a *ahead) take(poolID, key string) *shelved {
	if a == nil {
		return nil
	}
	at := spot{poolID, key}
	u := a.users[at]
	delete(a.users, at)
	return u
}

// touch forgets a user that somebody is about to write.
func (a *ahead) touch(poolID, sub string) {
	if a == nil {
		return
	}
	if at, ok := a.subs[spot{poolID, sub}]; ok {
		delete(a.users, at)
	}
}

// mostAhead is how many users are read with one query.
const mostAhead = 64

// gathers reports whether updates of a Scope are gathered.
func gathers(s store.Scope) bool {
	return s.Plain && s.Pool != nil && s.Login != "" && storable(s.Login)
}

// spot is where the user that the Scope names is looked up.
func (j *job) spot() spot {
	return spot{j.scope.Pool.ID, loginKey(user.Key(j.scope.Pool, user.Names, j.scope.Login))}
}

// wanted are the spots of jobs that name users: in the order of the pools, one pool and at most mostAhead a query.
func wanted(jobs []*job) (queries [][]spot) {
	all := make([]spot, len(jobs))
	for i, j := range jobs {
		all[i] = j.spot()
	}
	slices.SortFunc(all, func(a, b spot) int { return cmp.Or(strings.Compare(a.pool, b.pool), strings.Compare(a.key, b.key)) })
	all = slices.Compact(all)
	for len(all) > 0 {
		n := 1
		for n < len(all) && n < mostAhead && all[n].pool == all[0].pool {
			n++
		}
		queries = append(queries, all[:n])
		all = all[n:]
	}
	return queries
}

// read reads the users of one query.
func (a *ahead) read(t *transaction, spots []spot) error {
	query, args := t.s.d.ahead(t.s, spots)
	poolID := spots[0].pool
	return t.rows(query, func(r *sql.Rows) error {
		at := spot{pool: poolID}
		row, err := scanUserRow(r, &at.key)
		if err != nil {
			return err
		}
		(users{t}).keep(poolID, row)
		t.keep(keptLogin(poolID, user.Names, at.key), []byte(row.sub))
		return a.shelve(at, row)
	}, args...)
}

// shelve puts a user where a spot finds it. A user to whom two names lead is left out: it would be handed out twice.
func (a *ahead) shelve(at spot, row *userRow) error {
	sub := spot{at.pool, row.sub}
	other, twice := a.subs[sub]
	a.subs[sub] = at
	if twice {
		delete(a.users, other)
		return nil
	}
	u, err := row.record(at.pool)
	a.users[at] = &shelved{u, row}
	return err
}

// recall shelves the users of whom the cache has copies, and returns the spots of the others.
func (a *ahead) recall(t *transaction, spots []spot) (rest []spot, err error) {
	rest = spots[:0:0]
	for _, at := range spots {
		sub, ok, err := t.recall(keptLogin(at.pool, user.Names, at.key))
		var row *userRow
		if ok && err == nil && sub != nobody {
			row, err = (users{t}).recall(at.pool, sub)
		}
		if err == nil && row != nil {
			err = a.shelve(at, row)
		} else {
			rest = append(rest, at)
		}
		if err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func newAhead(n int) *ahead {
	return &ahead{users: make(map[spot]*shelved, n), subs: make(map[spot]spot, n)}
}

// aheadSQLite asks for a number of users that is a power of two, repeating the last one, so that there are few
// statements to prepare.
func aheadSQLite(s *Store, spots []spot) (string, []any) {
	n := 1
	for n < len(spots) {
		n *= 2
	}
	args := make([]any, 0, n+2)
	args = append(args, spots[0].pool, string(user.Names))
	for i := range n {
		args = append(args, spots[min(i, len(spots)-1)].key)
	}
	return s.statement("ahead", n, func() string {
		return selectAhead + `FROM logins l JOIN users u ON u.pool_id = l.pool_id AND u.sub = l.sub
			WHERE l.pool_id = $1 AND l.space = $2 AND l.login_key IN (` + placeholders(3, n) + `)`
	}), args
}

// aheadPostgres locks the users in the order of their subs, as everybody does who locks several. Its form leaves the
// planner no choice but one look into the index for each user: without statistics it would read a whole pool.
func aheadPostgres(_ *Store, spots []spot) (string, []any) {
	keys := make([]string, len(spots))
	for i, at := range spots {
		keys[i] = at.key
	}
	return selectAhead + `FROM
		(SELECT k.login_key, n.sub FROM unnest($3::text[]) AS k (login_key) CROSS JOIN LATERAL
			(SELECT n.sub FROM logins n WHERE n.pool_id = $1 AND n.space = $2 AND n.login_key = k.login_key OFFSET 0) n
			ORDER BY n.sub OFFSET 0) l
		CROSS JOIN LATERAL (SELECT * FROM users u WHERE u.pool_id = $1 AND u.sub = l.sub OFFSET 0 FOR UPDATE) u`, []any{spots[0].pool, string(user.Names), keys}
}

// statement makes a statement that depends on a number, once.
func (s *Store) statement(name string, n int, make func() string) string {
	type key struct {
		name string
		n    int
	}
	if query, ok := s.statements.Load(key{name, n}); ok {
		return query.(string)
	}
	query := make()
	s.statements.Store(key{name, n}, query)
	return query
}

// placeholders are n of them, separated by commas, from $first on.
func placeholders(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(first+i))
	}
	return b.String()
}

// postpone leaves the change of a user until the function has returned. It reports false when that cannot be: the user
// was not read ahead for this run, or something was written already.
func (t *transaction) postpone(p *pool.Pool, before *user.Record, c *change) bool {
	if !t.gathered || t.last == nil || t.last.record != before || t.wrote || t.late.change != nil || t.late.entry != nil {
		return false
	}
	t.late.pool, t.late.user, t.late.change = p, t.last, c
	return true
}

// postponeEntry leaves the journal's line until the function has returned, if that is all but what is left already.
func (t *transaction) postponeEntry(e store.Entry) bool {
	if !t.gathered || t.wrote || t.late.entry != nil || t.late.change == nil {
		return false
	}
	t.late.entry = &e
	return true
}

// errAlone says that a gathered function does something for which it has to be alone.
var errAlone = errors.New("to be run alone")

// catchUp writes what was left, ahead of a statement of a function that does more than expected.
func (t *transaction) catchUp() error {
	if t.together {
		return t.fail(errAlone)
	}
	l := t.late
	if l.change == nil {
		return nil
	}
	t.late = late{}
	t.last = l.user
	if err := (users{t}).write(l.pool, l.user.record, l.change); err != nil {
		return err
	}
	if l.entry != nil {
		return journal{t}.write(*l.entry)
	}
	return nil
}

// entries are lines of the journal that are written together.
type entries struct{ list []store.Entry }

// entryRows is how many lines one statement writes on SQLite at most.
const entryRows = 16

var errEntries = errors.New("not all lines of the journal are new")

// flush writes the lines; errEntries when one of them exists.
func (e *entries) flush(t *transaction) error {
	list := e.list
	e.list = e.list[:0]
	for len(list) > 0 {
		n := entryRows
		for n > len(list) {
			n /= 2
		}
		args := make([]any, 0, 8*n)
		for _, entry := range list[:n] {
			args = append(args, entryValues(entry)...)
		}
		done, err := t.exec(t.s.statement("journal", n, func() string { return insertEntries(n) }), args...)
		if err != nil {
			return err
		}
		if done != int64(n) {
			return t.fail(errEntries)
		}
		list = list[n:]
	}
	return nil
}
