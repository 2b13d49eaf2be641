package sqlstore

import (
	"database/sql"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type signingKeys struct{ t *transaction }

const selectSigningKey = `SELECT pool_id, id, purpose, ordinal, created_at, signs_from, sealed FROM signing_keys `

func signingKeyPlace(poolID, id string) []string {
	return []string{"signing_keys", poolID, id, "sealed"}
}

// some runs a query for keys. They are opened after the rows are read: the data key may need a query too.
func (s signingKeys) some(query, key string) (list []*token.Key, err error) {
	err = s.t.rows(query, func(r *sql.Rows) error {
		var k token.Key
		var created, from int64
		err := r.Scan(&k.PoolID, &k.ID, &k.Use, &k.Ordinal, &created, &from, &k.Material)
		k.Created, k.From = instant(created), instant(from)
		list = append(list, &k)
		return err
	}, key)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		data, err := s.t.key(k.PoolID)
		if err != nil {
			return nil, err
		}
		if k.Material, err = s.t.open(data, k.Material, signingKeyPlace(k.PoolID, k.ID)...); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s signingKeys) Get(id string) (*token.Key, error) {
	if !storable(id) { // it is part of a token that is not proven yet
		return nil, store.ErrNotFound
	}
	list, err := s.some(selectSigningKey+`WHERE id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

func (s signingKeys) List(poolID string) ([]*token.Key, error) {
	return s.some(selectSigningKey+`WHERE pool_id = $1 ORDER BY created_at, ordinal, id`, poolID)
}

func (s signingKeys) Older(before time.Time, limit int) (pools []string, err error) {
	err = s.t.rows(`SELECT pool_id FROM signing_keys WHERE purpose <> $1 GROUP BY pool_id HAVING max(created_at) < $2
		ORDER BY pool_id LIMIT $3`, func(r *sql.Rows) error {
		var id string
		err := r.Scan(&id)
		pools = append(pools, id)
		return err
	}, string(token.ForRefresh), millis(before), limit)
	return pools, err
}

func (s signingKeys) Add(k *token.Key) (added bool, err error) {
	data, err := s.t.key(k.PoolID)
	if err != nil {
		return false, err
	}
	n, err := s.t.exec(`INSERT INTO signing_keys (pool_id, id, purpose, ordinal, created_at, signs_from, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`, k.PoolID, k.ID, string(k.Use), k.Ordinal, millis(k.Created),
		millis(k.From), s.t.seal(data, k.Material, signingKeyPlace(k.PoolID, k.ID)...))
	return n > 0, err
}

func (s signingKeys) Start(poolID, id string, from time.Time) error {
	_, err := s.t.exec(`UPDATE signing_keys SET signs_from = $3 WHERE pool_id = $1 AND id = $2 AND signs_from > $3`, poolID, id, millis(from))
	return err
}

func (s signingKeys) Remove(poolID, id string) error {
	_, err := s.t.exec(`DELETE FROM signing_keys WHERE pool_id = $1 AND id = $2`, poolID, id)
	return err
}

// Purge says of keys in SQL what token.Plan says: it finds those whose successor has signed for long.
func (s signingKeys) Purge(before time.Time, limit int) (int, error) {
	n, err := s.t.exec(`DELETE FROM signing_keys WHERE (pool_id, id) IN (
		SELECT k.pool_id, k.id FROM signing_keys k WHERE k.purpose <> $1 AND EXISTS (
			SELECT 1 FROM signing_keys n WHERE n.pool_id = k.pool_id AND n.purpose = k.purpose AND n.signs_from <= $2
				AND (n.signs_from > k.signs_from OR n.signs_from = k.signs_from AND n.ordinal > k.ordinal))
		ORDER BY k.pool_id, k.id LIMIT $3)`, string(token.ForRefresh), millis(before), limit)
	return int(n), err
}
