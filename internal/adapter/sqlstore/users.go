package sqlstore

import (
	"cmp"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type users struct{ t *transaction }

const (
	selectUser  = `SELECT ` + userColumns
	selectAhead = selectUser + `, l.login_key `
	selectLogin = selectUser + `FROM logins l JOIN users u ON u.pool_id = l.pool_id AND u.sub = l.sub
		WHERE l.pool_id = $1 AND l.space = $2 AND l.login_key = $3`
	selectIdentity = selectUser + `FROM identities i JOIN users u ON u.pool_id = i.pool_id AND u.sub = i.sub
		WHERE i.pool_id = $1 AND i.provider = $2 AND i.attribute = $3 AND i.identity_key = $4`
	selectSub = selectUser + `FROM users u WHERE u.pool_id = $1 AND u.sub = $2`
)

// one reads a user, and locks the row in an update.
func (s users) one(query, poolID string, args ...any) (u *user.Record, err error) {
	if s.t.write && s.t.s.d.lockUser != "" {
		query += s.t.s.d.lockUser
	}
	var row *userRow
	err = s.t.row(query, func(r *sql.Rows) (err error) {
		row, err = scanUserRow(r)
		return err
	}, append([]any{poolID}, args...)...)
	if err != nil {
		return nil, err
	}
	s.keep(poolID, row)
	return s.read(poolID, row)
}

// read is the user of a row. The last row that an update has read is remembered: mostly that is what it changes.
func (s users) read(poolID string, row *userRow) (*user.Record, error) {
	u, err := row.record(poolID)
	if err != nil {
		return nil, s.t.fail(err)
	}
	if s.t.write {
		s.t.last = &shelved{u, row}
	}
	return u, nil
}

// keep gives the cache a copy of a user.
func (s users) keep(poolID string, row *userRow) {
	if s.t.s.cache != nil {
		s.t.keep(keptUser(poolID, row.sub), row.append(nil))
	}
}

// recall returns the row of which the cache has a copy; nil without one.
func (s users) recall(poolID, sub string) (*userRow, error) {
	value, ok, err := s.t.recallRow(keptUser(poolID, sub))
	if err != nil || !ok {
		return nil, err
	}
	row, err := parseUserRow(value)
	if err != nil {
		return nil, s.t.fail(err)
	}
	return row, nil
}

func (s users) BySub(poolID, sub string) (*user.Record, error) {
	if !storable(sub) {
		return nil, store.ErrNotFound
	}
	if row, err := s.recall(poolID, sub); row != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return s.read(poolID, row)
	}
	return s.one(selectSub, poolID, sub)
}

// nobody is the copy of a login that no user holds. It is kept so that a guess at a name is answered as fast where there is
// a user as where there is none.
const nobody = ""

// holder finds the user that holds a login, by way of the cache or in the database.
func (s users) holder(poolID string, space user.Space, key string) (*user.Record, error) {
	login := keptLogin(poolID, space, key)
	sub, ok, err := s.t.recall(login)
	if err != nil {
		return nil, err
	}
	switch {
	case ok && sub == nobody:
		return nil, cmp.Or(s.t.answered(), store.ErrNotFound)
	case ok:
		return s.BySub(poolID, sub)
	}
	u, err := s.one(selectLogin, poolID, string(space), key)
	switch {
	case err == nil:
		s.t.keep(login, []byte(u.Sub))
	case errors.Is(err, store.ErrNotFound):
		s.t.keep(login, []byte(nobody))
	}
	return u, err
}

// lookups bounds how often a login is looked up that moves away while its row is waited for.
const lookups = 5

// Owner finds the user that holds a login. Where rows are locked, the login may have moved to another user before the
// lock was granted; then it is looked up again.
func (s users) Owner(poolID string, l user.Login) (*user.Record, error) {
	if !storable(l.Key) {
		return nil, store.ErrNotFound
	}
	key := loginKey(l.Key)
	for range lookups {
		u, err := s.holder(poolID, l.Space, key)
		if err != nil || !s.t.write || s.t.s.d.lockUser == "" {
			return u, err
		}
		held, err := s.t.exists(`SELECT 1 FROM logins WHERE pool_id = $1 AND space = $2 AND login_key = $3 AND sub = $4`,
			poolID, string(l.Space), key, u.Sub)
		if err != nil || held {
			return u, err
		}
	}
	return nil, s.t.fail(store.ErrBusy)
}

// byLogin is Owner for a pool at hand: the record itself says whether it still holds the login.
func (s users) byLogin(p *pool.Pool, space user.Space, text string) (*user.Record, error) {
	l := user.Login{Space: space, Key: user.Key(p, space, text)}
	if space == user.Names && s.t.last == nil {
		if u := s.t.ahead.take(p.ID, loginKey(l.Key)); u != nil && (s.t.s.d.lockUser == "" || slices.Contains(u.record.Logins(p), l)) {
			s.t.last = u
			return u.record, nil
		}
	}
	for range lookups {
		u, err := s.holder(p.ID, space, loginKey(l.Key))
		if err != nil || !s.t.write || s.t.s.d.lockUser == "" || slices.Contains(u.Logins(p), l) {
			return u, err
		}
	}
	return nil, s.t.fail(store.ErrBusy)
}

func (s users) ByLogin(p *pool.Pool, text string) (*user.Record, error) {
	if !storable(text) {
		return nil, store.ErrNotFound
	}
	u, err := s.byLogin(p, user.Names, text)
	if !errors.Is(err, store.ErrNotFound) {
		return u, err
	}
	if uuidShaped(text) {
		if u, err := s.BySub(p.ID, text); !errors.Is(err, store.ErrNotFound) {
			return u, err
		}
	}
	for _, a := range [...]struct {
		attribute string
		space     user.Space
	}{{pool.Email, user.Emails}, {pool.PhoneNumber, user.Phones}} {
		signIn := p.UsernameAttribute(a.attribute)
		if !signIn && !p.Alias(a.attribute) {
			continue
		}
		u, err := s.byLogin(p, a.space, text)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		// Of the two addresses of a user only the one that was the name at creation signs in.
		if err == nil && signIn && u.SignInAttribute != a.attribute {
			continue
		}
		return u, err
	}
	return nil, store.ErrNotFound
}

// uuidShaped reports whether text is grouped like a UUID, as every sub is.
func uuidShaped(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'):
			return false
		}
	}
	return true
}

// maxKey is how many bytes of a text go into an index. PostgreSQL refuses index entries of 2.7 kB and more.
const maxKey = 1024

// loginKey is what stands for a login's key in the index: the key, or for a long one its beginning with a digest.
func loginKey(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return cut(key) + "#" + hex.EncodeToString(sum[:])
}

// cut is the beginning of a text, of at most maxKey bytes and whole characters.
func cut(s string) string {
	if len(s) <= maxKey {
		return s
	}
	n := maxKey
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// searched are the attributes with a column of their own.
var searched = [...]string{pool.Email, pool.PhoneNumber, "name", "given_name", "family_name", pool.PreferredUsername}

func searchValue(u *user.Record, i int) any {
	if v, ok := u.Attributes[searched[i]]; ok {
		return cut(v)
	}
	return nil
}

func (s users) Create(p *pool.Pool, u *user.Record) error {
	attributes, err := encodeAttributes(u.Attributes)
	if err != nil {
		return s.t.fail(err)
	}
	pending, err := encodePending(u.Pending)
	if err != nil {
		return s.t.fail(err)
	}
	external, err := encodeExternal(u)
	if err != nil {
		return s.t.fail(err)
	}
	mfa, err := encodeMFA(u.MFA)
	if err != nil {
		return s.t.fail(err)
	}
	args := []any{p.ID, u.Sub, u.Username, contact.Fold(u.Username), 1, millis(u.Created), millis(u.Modified), string(u.Status), flag(u.Enabled),
		attributes, pending, optional(u.TemporarySince), u.SignInAttribute, external, flag(u.SMSOption), mfa}
	for i := range searched {
		args = append(args, searchValue(u, i))
	}
	// The names first: a taken name is the conflict that callers ask about.
	for _, l := range distinct(u.Logins(p)) {
		if err := s.claim(p.ID, u.Sub, l); err != nil {
			return err
		}
	}
	for _, i := range u.Identities {
		if err := s.hold(p.ID, u.Sub, i.Key()); err != nil {
			return err
		}
	}
	n, err := s.t.exec(`INSERT INTO users (pool_id, sub, username, username_fold, version, created_at, modified_at, status, enabled,
		attributes, pending, temporary_since, sign_in_attribute, external, sms_option, mfa, email, phone_number, name, given_name, family_name, preferred_username)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) ON CONFLICT DO NOTHING`, args...)
	if err != nil {
		return err
	}
	taken := n == 0
	if !taken {
		if taken, err = s.t.exists(`SELECT 1 FROM gone_users WHERE pool_id = $1 AND sub = $2`, p.ID, u.Sub); err != nil {
			return err
		}
	}
	if taken {
		return s.t.fail(fmt.Errorf("sub %s: %w", u.Sub, store.ErrConflict))
	}
	s.t.touch(keptUser(p.ID, u.Sub), nil)
	s.t.touchSearches(u)
	s.t.assign(&u.Version, 1)
	return nil
}

// distinct drops a login that a record claims twice, such as a preferred_username equal to the user name.
func distinct(logins []user.Login) []user.Login {
	kept := logins[:0]
	for _, l := range logins {
		if !slices.Contains(kept, l) {
			kept = append(kept, l)
		}
	}
	return kept
}

// claim takes a login; *store.Conflict when somebody has it.
func (s users) claim(poolID, sub string, l user.Login) error {
	n, err := s.t.exec(`INSERT INTO logins (pool_id, space, login_key, sub) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		poolID, string(l.Space), loginKey(l.Key), sub)
	if err == nil && n == 0 {
		return s.t.fail(&store.Conflict{Login: l})
	}
	s.t.touch(keptLogin(poolID, l.Space, loginKey(l.Key)), nil)
	return err
}

func (s users) release(poolID, sub string, l user.Login) error {
	_, err := s.t.exec(`DELETE FROM logins WHERE pool_id = $1 AND space = $2 AND login_key = $3 AND sub = $4`,
		poolID, string(l.Space), loginKey(l.Key), sub)
	s.t.touch(keptLogin(poolID, l.Space, loginKey(l.Key)), nil)
	return err
}

// optionalColumns are written only when they change, since most of them are indexed. Their order is that of the bits
// in changes.
var optionalColumns = [...]string{"email", "phone_number", "name", "given_name", "family_name", "preferred_username",
	"status", "enabled", "pending", "temporary_since", "sign_in_attribute", "external", "sms_option", "mfa"}

// changes returns the optional columns in which after differs, as bits, and their values.
func changes(before, after *user.Record) (mask uint16, values []any, err error) {
	set := func(bit int, v any) {
		mask |= 1 << bit
		values = append(values, v)
	}
	for i, name := range searched {
		x, had := before.Attributes[name]
		y, has := after.Attributes[name]
		if had != has || x != y {
			set(i, searchValue(after, i))
		}
	}
	bit := len(searched)
	if before.Status != after.Status {
		set(bit, string(after.Status))
	}
	if before.Enabled != after.Enabled {
		set(bit+1, flag(after.Enabled))
	}
	if !samePending(before.Pending, after.Pending) {
		pending, err := encodePending(after.Pending)
		if err != nil {
			return 0, nil, err
		}
		set(bit+2, pending)
	}
	if !sameInstant(before.TemporarySince, after.TemporarySince) {
		set(bit+3, optional(after.TemporarySince))
	}
	if before.SignInAttribute != after.SignInAttribute {
		set(bit+4, after.SignInAttribute)
	}
	if before.PasswordOff != after.PasswordOff || !sameIdentities(before.Identities, after.Identities) {
		external, err := encodeExternal(after)
		if err != nil {
			return 0, nil, err
		}
		set(bit+5, external)
	}
	if before.SMSOption != after.SMSOption {
		set(bit+6, flag(after.SMSOption))
	}
	if before.MFA != after.MFA {
		mfa, err := encodeMFA(after.MFA)
		if err != nil {
			return 0, nil, err
		}
		set(bit+7, mfa)
	}
	return mask, values, nil
}

// change is what an update of a user writes.
type change struct {
	mask       uint16 // of optionalColumns
	values     []any  // of those columns
	modified   int64
	attributes string
}

// updateUser is the statement that writes the columns of a mask, of the user with a sub or in a row.
func (s *Store) updateUser(mask uint16, byRow bool) string {
	name, where := "update", ` WHERE pool_id = $1 AND sub = $2 AND version = $3`
	if byRow {
		name, where = "update row", ` WHERE rowid = $1 AND version = $2 AND sub = $3`
	}
	return s.statement(name, int(mask), func() string {
		n := strings.Count(where, "$") + 1
		var b strings.Builder
		b.WriteString(`UPDATE users SET `)
		for i, column := range append([]string{"version", "modified_at", "attributes"}, columnsOf(mask)...) {
			if i > 0 {
				b.WriteString(`, `)
			}
			b.WriteString(column + ` = $` + strconv.Itoa(n+i))
		}
		b.WriteString(where)
		return b.String()
	})
}

// columnsOf are the optional columns of a mask.
func columnsOf(mask uint16) []string {
	var columns []string
	for i, column := range optionalColumns {
		if mask&(1<<i) != 0 {
			columns = append(columns, column)
		}
	}
	return columns
}

func (s users) Save(p *pool.Pool, before, after *user.Record) error {
	c := &change{modified: millis(after.Modified)}
	var err error
	if c.attributes, err = encodeAttributes(after.Attributes); err != nil {
		return s.t.fail(err)
	}
	if c.mask, c.values, err = changes(before, after); err != nil {
		return s.t.fail(err)
	}
	for i, column := range searched {
		if c.mask&(1<<i) != 0 {
			s.t.touchSearch(p.ID, column, searchValue(before, i), searchValue(after, i))
		}
	}
	same := user.SameLogins(before, after) && sameIdentities(before.Identities, after.Identities)
	if !same || !s.t.postpone(p, before, c) {
		if err := s.write(p, before, c); err != nil {
			return err
		}
	}
	if !same {
		if err := s.move(p.ID, before.Sub, distinct(before.Logins(p)), distinct(after.Logins(p))); err != nil {
			return err
		}
		if err := s.moveIdentities(p.ID, before, after); err != nil {
			return err
		}
	}
	s.t.assign(&after.Version, before.Version+1)
	return nil
}

// write changes the row of a user.
func (s users) write(p *pool.Pool, before *user.Record, c *change) error {
	s.t.ahead.touch(p.ID, before.Sub)
	var row *userRow
	if s.t.last != nil && s.t.last.record == before {
		row = s.t.last.row
	}
	s.t.last = nil
	if row != nil && row.number != 0 {
		return s.writeRow(p.ID, row, c)
	}
	s.t.touch(keptUser(p.ID, before.Sub), nil)
	args := append(make([]any, 0, 6+len(c.values)), p.ID, before.Sub, before.Version, before.Version+1, c.modified, c.attributes)
	n, err := s.t.exec(s.t.s.updateUser(c.mask, false), append(args, c.values...)...)
	if err != nil {
		return err
	}
	if n == 0 {
		return s.t.stale(`SELECT 1 FROM users WHERE pool_id = $1 AND sub = $2`, p.ID, before.Sub)
	}
	return nil
}

// writeRow is write for a row whose number is known.
func (s users) writeRow(poolID string, row *userRow, c *change) error {
	s.t.ahead.touch(poolID, row.sub)
	after := row.changed(c)
	args := append(make([]any, 0, 6+len(c.values)), row.number, row.version, row.sub, after.version, c.modified, c.attributes)
	n, err := s.t.exec(s.t.s.updateUser(c.mask, true), append(args, c.values...)...)
	if err != nil {
		return err
	}
	if n == 0 {
		return s.t.stale(`SELECT 1 FROM users WHERE pool_id = $1 AND sub = $2`, poolID, row.sub)
	}
	if s.t.s.cache != nil {
		s.t.touch(keptUser(poolID, row.sub), after.append(nil))
	}
	return nil
}

// move gives up the logins that a user has no more and claims those that it has now.
func (s users) move(poolID, sub string, old, now []user.Login) error {
	for _, l := range old {
		if !slices.Contains(now, l) {
			if err := s.release(poolID, sub, l); err != nil {
				return err
			}
		}
	}
	for _, l := range now {
		if !slices.Contains(old, l) {
			if err := s.claim(poolID, sub, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteUser is what goes with a user. The journal stays, and so do messages that have arrived.
var deleteUser = [...]string{
	`DELETE FROM memberships WHERE pool_id = $1 AND sub = $2`,
	`DELETE FROM outbox WHERE pool_id = $1 AND sub = $2`,
	`DELETE FROM codes WHERE pool_id = $1 AND sub = $2`,
	`DELETE FROM tallies WHERE pool_id = $1 AND subject = $2`,
	`DELETE FROM families WHERE pool_id = $1 AND sub = $2`,
	`DELETE FROM passwords WHERE pool_id = $1 AND sub = $2`,
	`DELETE FROM software_tokens WHERE pool_id = $1 AND sub = $2`,
	`INSERT INTO gone_users (pool_id, sub) VALUES ($1, $2)`,
}

func (s users) Delete(p *pool.Pool, u *user.Record) error {
	s.t.ahead.touch(p.ID, u.Sub)
	err := s.t.must(`DELETE FROM users WHERE pool_id = $1 AND sub = $2 AND version = $3`, p.ID, u.Sub, u.Version)
	if errors.Is(err, store.ErrNotFound) {
		return s.t.stale(`SELECT 1 FROM users WHERE pool_id = $1 AND sub = $2`, p.ID, u.Sub)
	}
	if err != nil {
		return err
	}
	s.t.touch(keptUser(p.ID, u.Sub), nil)
	s.t.touchSearches(u)
	s.t.touch(keptPassword(p.ID, u.Sub), nil)
	s.t.touch(keptUngrouped(p.ID, u.Sub), nil)
	if err := tallies(s).touch(p.ID, u.Sub); err != nil {
		return err
	}
	if err := families(s).touch(p.ID, u.Sub); err != nil {
		return err
	}
	for _, l := range u.Logins(p) {
		if err := s.release(p.ID, u.Sub, l); err != nil {
			return err
		}
	}
	for _, i := range u.Identities {
		if err := s.letGo(p.ID, u.Sub, i.Key()); err != nil {
			return err
		}
	}
	for _, statement := range deleteUser {
		if _, err := s.t.exec(statement, p.ID, u.Sub); err != nil {
			return err
		}
	}
	return nil
}
