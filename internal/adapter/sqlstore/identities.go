package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// A user's identities are part of its row. The table identities finds the user of one, and its primary key keeps each
// with one user of a pool.

// external is what the column external of a user holds. Most users have none.
type external struct {
	Identities  []identity `json:",omitempty"`
	PasswordOff bool       `json:",omitempty"`
}

// identity is the stored form of a user.Identity.
type identity struct {
	Provider, Attribute, Value, Type string
	Issuer                           string `json:",omitempty"`
	Primary                          bool   `json:",omitempty"`
	Off                              bool   `json:",omitempty"`
	Created                          int64
}

// encodeExternal is NULL for a user with nothing of it.
func encodeExternal(u *user.Record) (any, error) {
	if len(u.Identities) == 0 && !u.PasswordOff {
		return nil, nil
	}
	x := external{PasswordOff: u.PasswordOff}
	for _, i := range u.Identities {
		for _, text := range [...]string{i.Provider, i.Attribute, i.Value, i.Type, i.Issuer} {
			if !storable(text) {
				return nil, errText
			}
		}
		x.Identities = append(x.Identities, identity{i.Provider, i.Attribute, i.Value, i.Type, i.Issuer, i.Primary, i.Off, millis(i.Created)})
	}
	return document(x)
}

func decodeExternal(text string, u *user.Record) error {
	if len(text) == 0 {
		return nil
	}
	var x external
	if err := undocument([]byte(text), &x); err != nil {
		return err
	}
	u.PasswordOff = x.PasswordOff
	for _, i := range x.Identities {
		u.Identities = append(u.Identities, user.Identity{Provider: i.Provider, Attribute: i.Attribute, Value: i.Value, Type: i.Type,
			Issuer: i.Issuer, Primary: i.Primary, Off: i.Off, Created: instant(i.Created)})
	}
	return nil
}

func sameIdentities(a, b []user.Identity) bool {
	return slices.EqualFunc(a, b, func(x, y user.Identity) bool {
		if !sameInstant(x.Created, y.Created) {
			return false
		}
		y.Created = x.Created
		return x == y
	})
}

// hold takes an identity for a user; store.ErrConflict when somebody has it.
func (s users) hold(poolID, sub string, k user.IdentityKey) error {
	n, err := s.t.exec(`INSERT INTO identities (pool_id, provider, attribute, identity_key, sub) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		poolID, k.Provider, loginKey(k.Attribute), loginKey(k.Value), sub)
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("identity at %s: %w", k.Provider, store.ErrConflict))
	}
	return err
}

func (s users) letGo(poolID, sub string, k user.IdentityKey) error {
	_, err := s.t.exec(`DELETE FROM identities WHERE pool_id = $1 AND provider = $2 AND attribute = $3 AND identity_key = $4 AND sub = $5`,
		poolID, k.Provider, loginKey(k.Attribute), loginKey(k.Value), sub)
	return err
}

// moveIdentities brings the table in line with a record that was saved.
func (s users) moveIdentities(poolID string, before, after *user.Record) error {
	for _, i := range before.Identities {
		if !after.Holds(i.Key()) {
			if err := s.letGo(poolID, before.Sub, i.Key()); err != nil {
				return err
			}
		}
	}
	for _, i := range after.Identities {
		if !before.Holds(i.Key()) {
			if err := s.hold(poolID, before.Sub, i.Key()); err != nil {
				return err
			}
		}
	}
	return nil
}

// ByIdentity looks again when the identity has moved away while the user's row was waited for.
func (s users) ByIdentity(poolID string, k user.IdentityKey) (*user.Record, error) {
	if !storable(k.Provider) || !storable(k.Attribute) || !storable(k.Value) {
		return nil, store.ErrNotFound
	}
	for range lookups {
		u, err := s.one(selectIdentity, poolID, k.Provider, loginKey(k.Attribute), loginKey(k.Value))
		if err != nil || !s.t.write || s.t.s.d.lockUser == "" || u.Holds(k) {
			return u, err
		}
	}
	return nil, s.t.fail(store.ErrBusy)
}

// LinkAttributes steps from one attribute to the next, since very many users may have the same.
func (s users) LinkAttributes(poolID, provider string, limit int) (list []string, err error) {
	after := ""
	for len(list) < limit {
		err := s.t.row(`SELECT attribute FROM identities WHERE pool_id = $1 AND provider = $2 AND attribute > $3
			ORDER BY attribute LIMIT 1`, func(r *sql.Rows) error { return r.Scan(&after) }, poolID, provider, after)
		if errors.Is(err, store.ErrNotFound) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if after != user.Subject {
			list = append(list, after)
		}
	}
	return list, nil
}
