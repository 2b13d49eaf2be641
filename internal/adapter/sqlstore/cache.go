package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// cache holds copies of rows of an SQLite file: users, the names that lead to them, what a sign-in asks about them,
// sign-ins, and answers to searches that find few users. Only this process writes the file, and all writes pass through
// its one writer, so a copy is never older than the last commit:
//
//   - The writer's count of commits is odd while it commits. What a commit changes is changed here in that time, and
//     only then; whoever meets an odd count asks the file.
//   - What was read from the file comes in only under the count under which it was read.
//   - A view takes a copy only if it belongs to the same count as everything else that the view has seen.
//   - An update sees what its group has written: it asks the file for that.
//
// On PostgreSQL other servers write too, so there is no cache.
type cache struct {
	commits *atomic.Uint64
	mu      sync.Mutex // between the check of the count and the change that rests on it
	kept    *fastcache.Cache
}

// mostKept is the size of the greatest entry. The library ignores greater ones.
const mostKept = 60 << 10

// What a cache takes that nobody has set, in bytes. A copy of a user with nine attributes and of the name that leads there are 700.
const (
	forUser    = 1 << 10
	leastCache = 32 << 20
	usualCache = 256 << 20
)

// cacheSize is the size of the cache. The number of the last row is that of the users, or a little more where some have gone.
func (s *Store) cacheSize(ctx context.Context, c *session) (int, error) {
	if s.o.Cache > 0 {
		return s.o.Cache, nil
	}
	users, err := (&transaction{s: s, ctx: ctx, db: c}).count(`SELECT rowid FROM users ORDER BY rowid DESC LIMIT 1`)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, fmt.Errorf("count users: %w", err)
	}
	size := max(usualCache, users*forUser)
	if s.o.MostCache > 0 {
		size = min(size, max(leastCache, s.o.MostCache))
	}
	return size, nil
}

func newCache(size int, commits *atomic.Uint64) *cache {
	return &cache{commits: commits, kept: fastcache.New(size)}
}

// get returns a copy with the count of commits to which it belongs.
func (c *cache) get(key string) (value string, at uint64, ok bool) {
	at = c.commits.Load()
	if at%2 == 1 {
		return "", 0, false
	}
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	*b, ok = c.kept.HasGet((*b)[:0], []byte(key))
	if !ok || c.commits.Load() != at {
		return "", 0, false
	}
	return string(*b), at, true
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// put keeps what was read under a count of commits, if that is still the count.
func (c *cache) put(at uint64, key string, value []byte) {
	if at%2 == 1 || len(key)+len(value) > mostKept {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.commits.Load() == at {
		c.kept.Set([]byte(key), value)
	}
}

// committed brings the copies up to date. It is called while the count is odd.
func (c *cache) committed(touched map[string][]byte) {
	if len(touched) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, all := touched[keptAll]; all {
		c.kept.Reset()
	}
	for key, value := range touched {
		if value == nil || len(key)+len(value) > mostKept {
			c.kept.Del([]byte(key))
		} else {
			c.kept.Set([]byte(key), value)
		}
	}
}

// close gives the memory back.
func (c *cache) close() {
	if c != nil {
		c.kept.Reset()
	}
}

// keptAll stands for all copies.
const keptAll = ""

// Keys begin with the kind of what they stand for. Their parts hold no U+0000.

func keptUser(poolID, sub string) string { return "user\x00" + poolID + "\x00" + sub }

func keptLogin(poolID string, space user.Space, key string) string {
	return "login\x00" + poolID + "\x00" + string(space) + "\x00" + key
}

func keptFamily(poolID, sub, id string) string {
	return "family\x00" + poolID + "\x00" + sub + "\x00" + id
}

func keptPassword(poolID, sub string) string { return "password\x00" + poolID + "\x00" + sub }

func keptTally(poolID, subject string, b verify.Budget) string {
	return "tally\x00" + poolID + "\x00" + subject + "\x00" + string(b)
}

// keptUngrouped is there for a user who is in no group.
func keptUngrouped(poolID, sub string) string { return "ungrouped\x00" + poolID + "\x00" + sub }

func keptSearch(poolID, column, value string) string {
	return "search\x00" + poolID + "\x00" + column + "\x00" + value
}

// searchKept reports whether answers to a search by a column are kept.
func searchKept(column string) bool {
	switch column {
	case pool.Email, pool.PhoneNumber, pool.PreferredUsername, "username", "username_fold":
		return true
	}
	return false
}

// recall returns the copy of a row, if there is one that belongs to the state that the transaction sees.
func (t *transaction) recall(key string) (value string, ok bool, err error) {
	c := t.s.cache
	if c == nil {
		return "", false, nil
	}
	if t.err != nil {
		return "", false, t.err
	}
	switch {
	case t.write:
		if t.late.change != nil {
			if err := t.catchUp(); err != nil {
				return "", false, err
			}
		}
		if t.isTouched(key) {
			return "", false, nil
		}
	case t.snapshot == nil:
		return "", false, nil
	}
	value, at, ok := c.get(key)
	if !ok || t.snapshot != nil && !t.snapshot.recalls(at) {
		return "", false, nil
	}
	return value, true, nil
}

// recallRow is recall for a copy that is a whole answer.
func (t *transaction) recallRow(key string) (value string, ok bool, err error) {
	value, ok, err = t.recall(key)
	if err == nil && ok {
		err = t.answered()
	}
	return value, ok && err == nil, err
}

// answered counts an answer from the cache as the query that it saves, so that tests can let it fail. It is one for a
// user, by whatever way, and for nobody: who exists must not show in what the store does.
func (t *transaction) answered() error {
	if err := t.s.fault(t.ctx, StageQuery); err != nil {
		return t.fail(err)
	}
	return nil
}

// keep gives the cache a copy of what the transaction has just read.
func (t *transaction) keep(key string, value []byte) {
	c := t.s.cache
	switch {
	case c == nil:
	case t.write:
		if !t.isTouched(key) {
			c.put(c.commits.Load(), key, value)
		}
	case t.snapshot != nil:
		c.put(t.snapshot.at, key, value)
	}
}

func (t *transaction) isTouched(key string) bool {
	for _, touched := range [...]map[string][]byte{t.touched, t.earlier} {
		if len(touched) == 0 {
			continue
		}
		if _, ok := touched[key]; ok {
			return true
		}
		if _, ok := touched[keptAll]; ok {
			return true
		}
	}
	return false
}

// touch notes that the run changes a row: with its commit the copy becomes value, or is forgotten.
func (t *transaction) touch(key string, value []byte) {
	if t.s.cache == nil {
		return
	}
	if t.touched == nil {
		t.touched = make(map[string][]byte, 2)
	}
	t.touched[key] = value
}

// touchSearch forgets the answers to searches for values of a column.
func (t *transaction) touchSearch(poolID, column string, values ...any) {
	if t.s.cache == nil || !searchKept(column) {
		return
	}
	for _, v := range values {
		if text, ok := v.(string); ok {
			t.touch(keptSearch(poolID, column, text), nil)
		}
	}
}

// touchSearches forgets all answers in which a user is, or could have been.
func (t *transaction) touchSearches(u *user.Record) {
	if t.s.cache == nil {
		return
	}
	t.touchSearch(u.PoolID, "username", u.Username)
	t.touchSearch(u.PoolID, "username_fold", contact.Fold(u.Username))
	for i, column := range searched {
		t.touchSearch(u.PoolID, column, searchValue(u, i))
	}
}

// appendSubs and splitSubs are the form of a kept answer.
func appendSubs(users []*userRow) []byte {
	subs := make([]string, len(users))
	for i, u := range users {
		subs[i] = u.sub
	}
	return []byte(strings.Join(subs, "\x00"))
}

func splitSubs(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\x00")
}
