package sqlstore

import (
	"database/sql"
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

func (s families) Get(poolID, sub, id string) (*token.Family, error) {
	return s.one(selectFamily+` AND id = $3`, poolID, sub, id)
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
	return err
}

func (s families) Rotate(f *token.Family, at time.Time) error {
	n, err := s.t.exec(`UPDATE families SET generation = $5, rotated_at = $6
		WHERE pool_id = $1 AND sub = $2 AND id = $3 AND generation = $4 AND revoked_at IS NULL`,
		f.PoolID, f.Sub, f.ID, f.Generation, f.Generation+1, millis(at))
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("family %s: %w", f.ID, store.ErrConflict))
	}
	return err
}

func (s families) Revoke(poolID, sub, id string, at time.Time) error {
	_, err := s.t.exec(`UPDATE families SET revoked_at = $4 WHERE pool_id = $1 AND sub = $2 AND id = $3 AND revoked_at IS NULL`,
		poolID, sub, id, millis(at))
	return err
}

func (s families) RevokeUser(poolID, sub string, at time.Time) error {
	_, err := s.t.exec(`UPDATE families SET revoked_at = $3 WHERE pool_id = $1 AND sub = $2 AND revoked_at IS NULL`, poolID, sub, millis(at))
	return err
}

func (s families) Purge(before time.Time, limit int) (int, error) {
	n, err := s.t.exec(`DELETE FROM families WHERE (pool_id, sub, id) IN (
		SELECT pool_id, sub, id FROM families WHERE expires_at < $1 ORDER BY expires_at, pool_id, sub, id LIMIT $2`+s.t.s.d.skipLocked+`)`,
		millis(before), limit)
	return int(n), err
}
