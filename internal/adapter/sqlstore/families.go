package sqlstore

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type families struct{ t *transaction }

const selectFamily = `SELECT id, client_id, event_id, origin, scopes, device_key, auth_at, created_at, expires_at, revoked_at, generation, rotated_at
	FROM families WHERE pool_id = $1 AND sub = $2`

func (s families) some(query, poolID, sub string, args ...any) (list []*token.Family, err error) {
	err = s.t.rows(query, func(r *sql.Rows) error {
		f := &token.Family{PoolID: poolID, Sub: sub}
		var scopes string
		var auth, created, expires int64
		var revoked, rotated sql.NullInt64
		err := r.Scan(&f.ID, &f.ClientID, &f.EventID, &f.Origin, &scopes, &f.DeviceKey, &auth, &created, &expires, &revoked, &f.Generation, &rotated)
		f.Scopes, f.AuthTime, f.Created, f.Expires = strings.Fields(scopes), instant(auth), instant(created), instant(expires)
		f.Revoked, f.Rotated = optionalInstant(revoked), optionalInstant(rotated)
		list = append(list, f)
		return err
	}, append([]any{poolID, sub}, args...)...)
	return list, err
}

func (s families) one(query, poolID, sub, key string) (*token.Family, error) {
	list, err := s.some(query, poolID, sub, key)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

// Get asks the cache first: every call with an access token asks for its family.
func (s families) Get(poolID, sub, id string) (*token.Family, error) {
	key := keptFamily(poolID, sub, id)
	kept, ok, err := s.t.recallRow(key)
	if err != nil {
		return nil, err
	}
	if ok {
		f, err := parseFamily(poolID, sub, kept)
		if err != nil {
			return nil, s.t.fail(err)
		}
		return f, nil
	}
	f, err := s.one(selectFamily+` AND id = $3`, poolID, sub, id)
	if err == nil && s.t.s.cache != nil {
		s.t.keep(key, appendFamily(f))
	}
	return f, err
}

// touch forgets the cache's copies of all families of a user.
func (s families) touch(poolID, sub string) error {
	if s.t.s.cache == nil {
		return nil
	}
	return s.t.rows(`SELECT id FROM families WHERE pool_id = $1 AND sub = $2`, func(r *sql.Rows) error {
		var id string
		err := r.Scan(&id)
		s.t.touch(keptFamily(poolID, sub, id), nil)
		return err
	}, poolID, sub)
}

// ByEvent looks through the user's families: few tokens name only their event.
func (s families) ByEvent(poolID, sub, eventID string) (*token.Family, error) {
	return s.one(selectFamily+` AND event_id = $3`, poolID, sub, eventID)
}

func (s families) List(poolID, sub string) ([]*token.Family, error) {
	return s.some(selectFamily+` ORDER BY created_at, id`, poolID, sub)
}

func (s families) Create(f *token.Family) error {
	n, err := s.t.exec(`INSERT INTO families (pool_id, sub, id, client_id, event_id, origin, scopes, device_key, auth_at, created_at, expires_at,
		revoked_at, generation, rotated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`,
		f.PoolID, f.Sub, f.ID, f.ClientID, f.EventID, string(f.Origin), strings.Join(f.Scopes, " "), f.DeviceKey, millis(f.AuthTime), millis(f.Created),
		millis(f.Expires), optional(f.Revoked), f.Generation, optional(f.Rotated))
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("family %s: %w", f.ID, store.ErrConflict))
	}
	if err == nil && s.t.s.cache != nil {
		s.t.touch(keptFamily(f.PoolID, f.Sub, f.ID), appendFamily(f))
	}
	return err
}

func (s families) Rotate(f *token.Family, at time.Time) error {
	n, err := s.t.exec(`UPDATE families SET generation = $5, rotated_at = $6
		WHERE pool_id = $1 AND sub = $2 AND id = $3 AND generation = $4 AND revoked_at IS NULL`,
		f.PoolID, f.Sub, f.ID, f.Generation, f.Generation+1, millis(at))
	s.t.touch(keptFamily(f.PoolID, f.Sub, f.ID), nil)
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("family %s: %w", f.ID, store.ErrConflict))
	}
	return err
}

func (s families) Revoke(poolID, sub, id string, at time.Time) error {
	_, err := s.t.exec(`UPDATE families SET revoked_at = $4 WHERE pool_id = $1 AND sub = $2 AND id = $3 AND revoked_at IS NULL`,
		poolID, sub, id, millis(at))
	s.t.touch(keptFamily(poolID, sub, id), nil)
	return err
}

func (s families) RevokeUser(poolID, sub string, at time.Time) error {
	if err := s.touch(poolID, sub); err != nil {
		return err
	}
	_, err := s.t.exec(`UPDATE families SET revoked_at = $3 WHERE pool_id = $1 AND sub = $2 AND revoked_at IS NULL`, poolID, sub, millis(at))
	return err
}

func (s families) Purge(before time.Time, limit int) (int, error) {
	if s.t.s.cache != nil {
		err := s.t.rows(`SELECT pool_id, sub, id FROM families WHERE expires_at < $1 ORDER BY expires_at, pool_id, sub, id LIMIT $2`, func(r *sql.Rows) error {
			var poolID, sub, id string
			err := r.Scan(&poolID, &sub, &id)
			s.t.touch(keptFamily(poolID, sub, id), nil)
			return err
		}, millis(before), limit)
		if err != nil {
			return 0, err
		}
	}
	n, err := s.t.exec(`DELETE FROM families WHERE (pool_id, sub, id) IN (
		SELECT pool_id, sub, id FROM families WHERE expires_at < $1 ORDER BY expires_at, pool_id, sub, id LIMIT $2`+s.t.s.d.skipLocked+`)`,
		millis(before), limit)
	return int(n), err
}

// appendFamily writes a family for the cache, parseFamily reads it.
func appendFamily(f *token.Family) []byte {
	b := appendTexts(nil, f.ID, f.ClientID, f.EventID, string(f.Origin), strings.Join(f.Scopes, " "), f.DeviceKey)
	for _, n := range [...]int64{millis(f.AuthTime), millis(f.Created), millis(f.Expires), flag(!f.Revoked.IsZero()), millis(f.Revoked),
		int64(f.Generation), flag(!f.Rotated.IsZero()), millis(f.Rotated)} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func parseFamily(poolID, sub, s string) (*token.Family, error) {
	f := &token.Family{PoolID: poolID, Sub: sub}
	var origin, scopes string
	s, ok := cutTexts(s, &f.ID, &f.ClientID, &f.EventID, &origin, &scopes, &f.DeviceKey)
	var n [8]int64
	for i := range n {
		if ok {
			n[i], s, ok = cutNumber(s)
		}
	}
	if !ok || s != "" {
		return nil, errKept
	}
	f.Origin, f.Scopes, f.Generation = token.Origin(origin), strings.Fields(scopes), int(n[5])
	f.AuthTime, f.Created, f.Expires = instant(n[0]), instant(n[1]), instant(n[2])
	f.Revoked, f.Rotated = optionalInstant(sql.NullInt64{Int64: n[4], Valid: n[3] != 0}), optionalInstant(sql.NullInt64{Int64: n[7], Valid: n[6] != 0})
	return f, nil
}
