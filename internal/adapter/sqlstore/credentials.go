package sqlstore

import (
	"crypto/hmac"
	"database/sql"
	"encoding/binary"
	"errors"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type passwords struct{ t *transaction }

// sealedPassword is what the sealed column of a password holds.
type sealedPassword struct {
	credential.Kept
	Former []credential.Kept
}

func passwordPlace(poolID, sub string) []string { return []string{"passwords", poolID, sub, "sealed"} }

func (s passwords) Get(poolID, sub string) (*credential.Password, error) {
	row, err := s.read(poolID, sub)
	if err != nil {
		return nil, err
	}
	var x sealedPassword
	if err := s.t.unseal(poolID, row.sealed, &x, passwordPlace(poolID, sub)...); err != nil {
		return nil, err
	}
	return &credential.Password{PoolID: poolID, Sub: sub, Set: instant(row.set), Temporary: row.temporary != 0, Kept: x.Kept, Former: x.Former}, nil
}

// passwordRow is what is kept of a password, sealed.
type passwordRow struct {
	set, temporary int64
	sealed         []byte
}

// noPassword is the copy for a user who has none, or for nobody. It is kept so that both are answered alike.
const noPassword = ""

// append writes the row for the cache.
func (w *passwordRow) append() []byte {
	return appendTexts(binary.AppendVarint(binary.AppendVarint(nil, w.set), w.temporary), string(w.sealed))
}

// parsePasswordRow reads what append wrote.
func parsePasswordRow(s string) (*passwordRow, error) {
	var w passwordRow
	var sealed string
	set, s, ok1 := cutNumber(s)
	temporary, s, ok2 := cutNumber(s)
	s, ok3 := cutTexts(s, &sealed)
	if !ok1 || !ok2 || !ok3 || s != "" {
		return nil, errKept
	}
	w.set, w.temporary, w.sealed = set, temporary, []byte(sealed)
	return &w, nil
}

func (s passwords) read(poolID, sub string) (*passwordRow, error) {
	key := keptPassword(poolID, sub)
	kept, ok, err := s.t.recallRow(key)
	switch {
	case err != nil:
		return nil, err
	case ok && kept == noPassword:
		return nil, store.ErrNotFound
	case ok:
		row, err := parsePasswordRow(kept)
		if err != nil {
			return nil, s.t.fail(err)
		}
		return row, nil
	}
	row := new(passwordRow)
	err = s.t.row(`SELECT set_at, is_temporary, sealed FROM passwords WHERE pool_id = $1 AND sub = $2`, func(r *sql.Rows) error {
		return r.Scan(&row.set, &row.temporary, &row.sealed)
	}, poolID, sub)
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.t.keep(key, []byte(noPassword))
	case err == nil && s.t.s.cache != nil:
		s.t.keep(key, row.append())
	}
	return row, err
}

func (s passwords) Put(p *credential.Password) error {
	sealed, err := s.t.sealed(p.PoolID, sealedPassword{p.Kept, p.Former}, passwordPlace(p.PoolID, p.Sub)...)
	if err != nil {
		return err
	}
	_, err = s.t.exec(`INSERT INTO passwords (pool_id, sub, set_at, is_temporary, sealed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (pool_id, sub) DO UPDATE SET set_at = excluded.set_at, is_temporary = excluded.is_temporary, sealed = excluded.sealed`,
		p.PoolID, p.Sub, millis(p.Set), flag(p.Temporary), sealed)
	if err == nil && s.t.s.cache != nil {
		s.t.touch(keptPassword(p.PoolID, p.Sub), (&passwordRow{millis(p.Set), flag(p.Temporary), sealed}).append())
	}
	return err
}

type codes struct{ t *transaction }

// mac is the keyed hash of a code. It covers the target, so that a code is good for the address it was sent to.
func (s codes) mac(poolID, sub string, purpose verify.Purpose, target string, code secret.Text) ([]byte, error) {
	key, err := s.t.key(poolID)
	if err != nil {
		return nil, err
	}
	return key.MAC("code", poolID, sub, string(purpose), target, code.Reveal()), nil
}

func (s codes) read(poolID, sub string, purpose verify.Purpose) (c verify.Code, mac []byte, err error) {
	var created, expires int64
	err = s.t.row(`SELECT target, mac, created_at, expires_at FROM codes WHERE pool_id = $1 AND sub = $2 AND purpose = $3`,
		func(r *sql.Rows) error { return r.Scan(&c.Target, &mac, &created, &expires) }, poolID, sub, string(purpose))
	if err != nil {
		return verify.Code{}, nil, err
	}
	c.PoolID, c.Sub, c.Purpose, c.Created, c.Expires = poolID, sub, purpose, instant(created), instant(expires)
	return c, mac, nil
}

func (s codes) Get(poolID, sub string, purpose verify.Purpose) (verify.Code, error) {
	c, _, err := s.read(poolID, sub, purpose)
	return c, err
}

func (s codes) Matches(poolID, sub string, purpose verify.Purpose, code secret.Text) (bool, error) {
	c, stored, missing := s.read(poolID, sub, purpose)
	if missing != nil && !errors.Is(missing, store.ErrNotFound) {
		return false, missing
	}
	// Also without a code: who guesses must not learn by the time whether there is one.
	mac, err := s.mac(poolID, sub, purpose, c.Target, code)
	if err == nil {
		err = missing
	}
	return err == nil && hmac.Equal(mac, stored), err
}

func (s codes) Put(c verify.Code) error {
	mac, err := s.mac(c.PoolID, c.Sub, c.Purpose, c.Target, c.Plain)
	if err != nil {
		return err
	}
	_, err = s.t.exec(`INSERT INTO codes (pool_id, sub, purpose, target, mac, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (pool_id, sub, purpose) DO UPDATE
		SET target = excluded.target, mac = excluded.mac, created_at = excluded.created_at, expires_at = excluded.expires_at`,
		c.PoolID, c.Sub, string(c.Purpose), c.Target, mac, millis(c.Created), millis(c.Expires))
	return err
}

func (s codes) Void(poolID, sub string, purpose verify.Purpose) error {
	_, err := s.t.exec(`DELETE FROM codes WHERE pool_id = $1 AND sub = $2 AND purpose = $3`, poolID, sub, string(purpose))
	return err
}

type accessKeys struct{ t *transaction }

const selectKey = `SELECT id, name, sealed, actions, pools, created_at, expires_at FROM access_keys `

func keyPlace(id string) []string { return []string{"access_keys", "", id, "sealed"} }

func (s accessKeys) scan(r *sql.Rows) (*store.AccessKey, error) {
	var k store.AccessKey
	var sealed, actions, pools []byte
	var created int64
	var expires sql.NullInt64
	if err := r.Scan(&k.ID, &k.Name, &sealed, &actions, &pools, &created, &expires); err != nil {
		return nil, err
	}
	k.Created, k.Expires = instant(created), optionalInstant(expires)
	if err := undocument(actions, &k.Actions); err != nil {
		return nil, err
	}
	if err := undocument(pools, &k.Pools); err != nil {
		return nil, err
	}
	if sealed != nil {
		plain, err := s.t.open(s.t.s.server, sealed, keyPlace(k.ID)...)
		if err != nil {
			return nil, err
		}
		k.Secret = secret.New(string(plain))
	}
	return &k, nil
}

func (s accessKeys) one(query string, args ...any) (k *store.AccessKey, err error) {
	err = s.t.row(query, func(r *sql.Rows) (err error) {
		k, err = s.scan(r)
		return err
	}, args...)
	return k, err
}

func (s accessKeys) Get(id string) (*store.AccessKey, error) {
	if !storable(id) { // it is part of a request that is not proven yet
		return nil, store.ErrNotFound
	}
	return s.one(selectKey+`WHERE id = $1`, id)
}

func (s accessKeys) bearer(token secret.Text) []byte {
	return s.t.s.server.MAC("bearer", token.Reveal())
}

func (s accessKeys) ByBearer(token secret.Text) (*store.AccessKey, error) {
	return s.one(selectKey+`WHERE mac = $1`, s.bearer(token))
}

func (s accessKeys) List() (list []*store.AccessKey, err error) {
	err = s.t.rows(selectKey+`ORDER BY id`, func(r *sql.Rows) error {
		k, err := s.scan(r)
		list = append(list, k)
		return err
	})
	return list, err
}

func (s accessKeys) Create(k *store.AccessKey) error {
	actions, err := document(k.Actions)
	if err != nil {
		return s.t.fail(err)
	}
	pools, err := document(k.Pools)
	if err != nil {
		return s.t.fail(err)
	}
	var sealed, mac []byte
	if !k.Secret.IsZero() {
		sealed = s.t.seal(s.t.s.server, []byte(k.Secret.Reveal()), keyPlace(k.ID)...)
	}
	if !k.Bearer.IsZero() {
		mac = s.bearer(k.Bearer)
	}
	n, err := s.t.exec(`INSERT INTO access_keys (id, name, sealed, mac, actions, pools, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		k.ID, k.Name, blob(sealed), blob(mac), actions, pools, millis(k.Created), optional(k.Expires))
	if err == nil && n == 0 {
		return s.t.fail(store.ErrConflict)
	}
	return err
}

func (s accessKeys) Delete(id string) error {
	return s.t.must(`DELETE FROM access_keys WHERE id = $1`, id)
}

type settings struct{ t *transaction }

func settingPlace(name string) []string { return []string{"settings", "", name, "sealed"} }

func (s settings) Get(name string) (value []byte, err error) {
	err = s.t.row(`SELECT sealed FROM settings WHERE name = $1`, func(r *sql.Rows) error {
		var sealed []byte
		if err := r.Scan(&sealed); err != nil {
			return err
		}
		value, err = s.t.open(s.t.s.server, sealed, settingPlace(name)...)
		return err
	}, name)
	return value, err
}

func (s settings) Put(name string, value []byte) error {
	_, err := s.t.exec(`INSERT INTO settings (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed`,
		name, s.t.seal(s.t.s.server, value, settingPlace(name)...))
	return err
}
