package sqlstore

import (
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type resourceServers struct{ t *transaction }

const (
	selectServer  = `SELECT identifier, name, scopes, managed, created_at, modified_at FROM resource_servers WHERE pool_id = $1 `
	selectServers = selectServer + `AND identifier > $2 ORDER BY identifier LIMIT $3`
)

// serverScope is a scope as the column keeps it.
type serverScope struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func (s resourceServers) some(poolID, query string, args ...any) (list []*pool.ResourceServer, err error) {
	err = s.t.rows(query, func(r *sql.Rows) error {
		one := &pool.ResourceServer{PoolID: poolID}
		var scopes string
		var managed, created, modified int64
		if err := r.Scan(&one.Identifier, &one.Name, &scopes, &managed, &created, &modified); err != nil {
			return err
		}
		var kept []serverScope
		if err := json.Unmarshal([]byte(scopes), &kept); err != nil {
			return fmt.Errorf("read the scopes of resource server %s: %w", one.Identifier, err)
		}
		for _, k := range kept {
			one.Scopes = append(one.Scopes, pool.ServerScope(k))
		}
		one.Managed, one.Created, one.Modified = managed != 0, instant(created), instant(modified)
		list = append(list, one)
		return nil
	}, append([]any{poolID}, args...)...)
	return list, err
}

// Get locks the row in an update: what is read is about to be changed.
func (s resourceServers) Get(poolID, identifier string) (*pool.ResourceServer, error) {
	query := selectServer + `AND identifier = $2`
	if s.t.write {
		query += s.t.s.d.lockRow
	}
	list, err := s.some(poolID, query, identifier)
	if err == nil && len(list) == 0 {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func (s resourceServers) List(poolID, after string, limit int) ([]*pool.ResourceServer, error) {
	return s.some(poolID, selectServers, after, limit)
}

func (s resourceServers) Count(poolID string) (int, error) {
	return s.t.count(`SELECT count(*) FROM resource_servers WHERE pool_id = $1`, poolID)
}

// scopes is the column of a resource server's scopes.
func (s resourceServers) scopes(one *pool.ResourceServer) (string, error) {
	kept := make([]serverScope, len(one.Scopes))
	for i, scope := range one.Scopes {
		kept[i] = serverScope(scope)
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return "", s.t.fail(fmt.Errorf("write the scopes of resource server %s: %w", one.Identifier, err))
	}
	return string(b), nil
}

func (s resourceServers) Create(one *pool.ResourceServer) error {
	scopes, err := s.scopes(one)
	if err != nil {
		return err
	}
	n, err := s.t.exec(`INSERT INTO resource_servers (pool_id, identifier, name, scopes, managed, created_at, modified_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		one.PoolID, one.Identifier, one.Name, scopes, flag(one.Managed), millis(one.Created), millis(one.Modified))
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("resource server %s: %w", one.Identifier, store.ErrConflict))
	}
	return err
}

func (s resourceServers) Save(one *pool.ResourceServer) error {
	scopes, err := s.scopes(one)
	if err != nil {
		return err
	}
	return s.t.must(`UPDATE resource_servers SET name = $3, scopes = $4, modified_at = $5 WHERE pool_id = $1 AND identifier = $2`,
		one.PoolID, one.Identifier, one.Name, scopes, millis(one.Modified))
}

func (s resourceServers) Delete(poolID, identifier string) error {
	return s.t.must(`DELETE FROM resource_servers WHERE pool_id = $1 AND identifier = $2`, poolID, identifier)
}
