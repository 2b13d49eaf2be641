package sqlstore

import (
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type groups struct{ t *transaction }

const (
	selectGroup   = `SELECT g.name, g.description, g.role_arn, g.precedence, g.created_at, g.modified_at FROM user_groups g `
	selectMembers = selectUser + `FROM memberships m JOIN users u ON u.pool_id = m.pool_id AND u.sub = m.sub
		WHERE m.pool_id = $1 AND m.group_name = $2 AND m.sub > $3 ORDER BY m.sub LIMIT $4`
	selectGroupsOf = selectGroup + `JOIN memberships m ON m.pool_id = g.pool_id AND m.group_name = g.name WHERE m.pool_id = $1 AND m.sub = $2`
)

func (s groups) some(poolID, query string, args ...any) (list []*user.Group, err error) {
	err = s.t.rows(query, func(r *sql.Rows) error {
		g := &user.Group{PoolID: poolID}
		var created, modified int64
		if err := r.Scan(&g.Name, &g.Description, &g.RoleARN, &g.Precedence, &created, &modified); err != nil {
			return err
		}
		g.Created, g.Modified = instant(created), instant(modified)
		list = append(list, g)
		return nil
	}, append([]any{poolID}, args...)...)
	return list, err
}

// Get locks the row in an update: what is read is about to be changed.
func (s groups) Get(poolID, name string) (*user.Group, error) {
	query := selectGroup + `WHERE g.pool_id = $1 AND g.name = $2`
	if s.t.write {
		query += s.t.s.d.lockRow
	}
	list, err := s.some(poolID, query, name)
	if err == nil && len(list) == 0 {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

func (s groups) List(poolID, after string, limit int) ([]*user.Group, error) {
	return s.some(poolID, selectGroup+`WHERE g.pool_id = $1 AND g.name > $2 ORDER BY g.name LIMIT $3`, after, limit)
}

func (s groups) Count(poolID string) (int, error) {
	return s.t.count(`SELECT count(*) FROM user_groups WHERE pool_id = $1`, poolID)
}

func (s groups) Of(poolID, sub string) ([]*user.Group, error) {
	key := keptUngrouped(poolID, sub)
	if _, ok, err := s.t.recallRow(key); ok || err != nil {
		return nil, err
	}
	list, err := s.some(poolID, selectGroupsOf, sub)
	if err == nil && len(list) == 0 {
		s.t.keep(key, nil)
	}
	slices.SortFunc(list, user.ComparePrecedence)
	return list, err
}

func (s groups) Members(poolID, name, after string, limit int) (list []*user.Record, err error) {
	err = s.t.rows(selectMembers, func(r *sql.Rows) error {
		row, err := scanUserRow(r)
		if err != nil {
			return err
		}
		u, err := row.record(poolID)
		list = append(list, u)
		return err
	}, poolID, name, after, limit)
	return list, err
}

func (s groups) Create(g *user.Group) error {
	n, err := s.t.exec(`INSERT INTO user_groups (pool_id, name, description, role_arn, precedence, created_at, modified_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		g.PoolID, g.Name, g.Description, g.RoleARN, g.Precedence, millis(g.Created), millis(g.Modified))
	if err == nil && n == 0 {
		return s.t.fail(fmt.Errorf("group %s: %w", g.Name, store.ErrConflict))
	}
	return err
}

func (s groups) Save(g *user.Group) error {
	return s.t.must(`UPDATE user_groups SET description = $3, role_arn = $4, precedence = $5, modified_at = $6 WHERE pool_id = $1 AND name = $2`,
		g.PoolID, g.Name, g.Description, g.RoleARN, g.Precedence, millis(g.Modified))
}

// Delete takes the group first: from there on nobody joins it.
func (s groups) Delete(poolID, name string) error {
	if err := s.t.must(`DELETE FROM user_groups WHERE pool_id = $1 AND name = $2`, poolID, name); err != nil {
		return err
	}
	_, err := s.t.exec(`DELETE FROM memberships WHERE pool_id = $1 AND group_name = $2`, poolID, name)
	return err
}

// there keeps a group from being deleted until the end of the transaction; store.ErrNotFound when there is none.
func (s groups) there(poolID, name string) error {
	_, err := s.t.count(`SELECT 1 FROM user_groups WHERE pool_id = $1 AND name = $2`+s.t.s.d.shareRow, poolID, name)
	return err
}

func (s groups) Join(poolID, name, sub string, at time.Time) (bool, error) {
	if err := s.there(poolID, name); err != nil {
		return false, err
	}
	n, err := s.t.exec(`INSERT INTO memberships (pool_id, group_name, sub, joined_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		poolID, name, sub, millis(at))
	s.t.touch(keptUngrouped(poolID, sub), nil)
	return n == 1, err
}

func (s groups) Leave(poolID, name, sub string) (bool, error) {
	if err := s.there(poolID, name); err != nil {
		return false, err
	}
	n, err := s.t.exec(`DELETE FROM memberships WHERE pool_id = $1 AND group_name = $2 AND sub = $3`, poolID, name, sub)
	return n == 1, err
}
