package sqlstore

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// document encodes settings for a column: JSON that an operator can read.
func document(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func undocument(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

type pools struct{ t *transaction }

const selectPool = `SELECT id, region, account, version, created_at, modified_at, replica, settings FROM pools `

func scanPool(r *sql.Rows) (*pool.Pool, error) {
	var p pool.Pool
	var created, modified, replica int64
	var settings sql.RawBytes
	if err := r.Scan(&p.ID, &p.Region, &p.Account, &p.Version, &created, &modified, &replica, &settings); err != nil {
		return nil, err
	}
	p.Created, p.Modified, p.Replica = instant(created), instant(modified), replica != 0
	if err := undocument(settings, &p.Settings); err != nil {
		return nil, fmt.Errorf("read pool %s: %w", p.ID, err)
	}
	return &p, nil
}

func (s pools) Get(id string) (p *pool.Pool, err error) {
	err = s.t.row(selectPool+`WHERE id = $1`, func(r *sql.Rows) (err error) {
		p, err = scanPool(r)
		return err
	}, id)
	return p, err
}

func (s pools) List(region, after string, limit int) (list []*pool.Pool, err error) {
	add := func(r *sql.Rows) error {
		p, err := scanPool(r)
		list = append(list, p)
		return err
	}
	if region == "" {
		err = s.t.rows(selectPool+`WHERE id > $1 ORDER BY id LIMIT $2`, add, after, limit)
	} else {
		err = s.t.rows(selectPool+`WHERE region = $1 AND id > $2 ORDER BY id LIMIT $3`, add, region, after, limit)
	}
	return list, err
}

func (s pools) Count(region string) (int, error) {
	if region == "" {
		return s.t.count(`SELECT count(*) FROM pools`)
	}
	return s.t.count(`SELECT count(*) FROM pools WHERE region = $1`, region)
}

func (s pools) Create(p *pool.Pool) error {
	gone, err := s.t.exists(`SELECT 1 FROM gone_pools WHERE id = $1`, p.ID)
	if err != nil {
		return err
	}
	if gone {
		return s.t.fail(fmt.Errorf("pool id %s: %w", p.ID, store.ErrConflict))
	}
	return s.create(p, 1)
}

// Recreate counts versions from the time of creation, so that none of the new pool is one that the former had.
func (s pools) Recreate(p *pool.Pool) error {
	if _, err := s.t.exec(`DELETE FROM gone_pools WHERE id = $1`, p.ID); err != nil {
		return err
	}
	return s.create(p, millis(p.Created))
}

func (s pools) create(p *pool.Pool, version int64) error {
	doc, err := document(p.Settings)
	if err != nil {
		return s.t.fail(err)
	}
	n, err := s.t.exec(`INSERT INTO pools (id, region, account, version, created_at, modified_at, replica, settings, data_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
		p.ID, p.Region, p.Account, version, millis(p.Created), millis(p.Modified), flag(p.Replica), doc, s.t.newKey(p.ID))
	if err != nil {
		return err
	}
	if n == 0 {
		return s.t.fail(fmt.Errorf("pool id %s: %w", p.ID, store.ErrConflict))
	}
	s.t.assign(&p.Version, version)
	s.version(p.ID, version)
	return nil
}

func (s pools) version(id string, v int64) {
	if s.t.pools == nil {
		s.t.pools = make(map[string]int64)
	}
	s.t.pools[id] = v
}

func (s pools) Save(p *pool.Pool) error {
	doc, err := document(p.Settings)
	if err != nil {
		return s.t.fail(err)
	}
	next := p.Version + 1
	err = s.t.must(`UPDATE pools SET version = $3, modified_at = $4, replica = $5, settings = $6 WHERE id = $1 AND version = $2`,
		p.ID, p.Version, next, millis(p.Modified), flag(p.Replica), doc)
	if errors.Is(err, store.ErrNotFound) {
		return s.t.stale(`SELECT 1 FROM pools WHERE id = $1`, p.ID)
	}
	if err != nil {
		return err
	}
	s.t.assign(&p.Version, next)
	s.version(p.ID, next)
	return nil
}

// stale tells why an update of one version of a row changed nothing: the row is gone, or it has another version.
func (t *transaction) stale(query string, args ...any) error {
	found, err := t.exists(query, args...)
	if err != nil {
		return err
	}
	if !found {
		return store.ErrNotFound
	}
	return t.fail(store.ErrStale)
}

// deletePool is what goes with a pool. Its journal stays.
var deletePool = [...]string{
	`DELETE FROM memberships WHERE pool_id = $1`,
	`DELETE FROM user_groups WHERE pool_id = $1`,
	`DELETE FROM resource_servers WHERE pool_id = $1`,
	`DELETE FROM identities WHERE pool_id = $1`,
	`DELETE FROM outbox WHERE pool_id = $1`,
	`DELETE FROM inbox WHERE pool_id = $1`,
	`DELETE FROM codes WHERE pool_id = $1`,
	`DELETE FROM tallies WHERE pool_id = $1`,
	`DELETE FROM families WHERE pool_id = $1`,
	`DELETE FROM steps WHERE pool_id = $1`,
	`DELETE FROM signing_keys WHERE pool_id = $1`,
	`DELETE FROM passwords WHERE pool_id = $1`,
	`DELETE FROM software_tokens WHERE pool_id = $1`,
	`DELETE FROM logins WHERE pool_id = $1`,
	`DELETE FROM users WHERE pool_id = $1`,
	`DELETE FROM gone_users WHERE pool_id = $1`,
	`DELETE FROM clients WHERE pool_id = $1`,
}

func (s pools) Delete(id string) error {
	// The pool first: from here on nobody adds to it.
	if err := s.t.must(`DELETE FROM pools WHERE id = $1`, id); err != nil {
		return err
	}
	s.t.touch(keptAll, nil)
	if _, err := s.t.exec(`INSERT INTO gone_pools (id) VALUES ($1)`, id); err != nil {
		return err
	}
	err := s.t.rows(`SELECT id FROM clients WHERE pool_id = $1`, func(r *sql.Rows) error {
		var client string
		err := r.Scan(&client)
		clients(s).version(client, 0)
		return err
	}, id)
	if err != nil {
		return err
	}
	for _, statement := range deletePool {
		if _, err := s.t.exec(statement, id); err != nil {
			return err
		}
	}
	s.version(id, 0)
	return nil
}

type clients struct{ t *transaction }

const selectClient = `SELECT id, pool_id, version, created_at, modified_at, settings, sealed FROM clients `

// clientSecret is the stored form of a pool.ClientSecret, inside the sealed column.
type clientSecret struct {
	ID      string
	Value   string
	Created int64
}

func (s clients) place(poolID, id string) []string { return []string{"clients", poolID, id, "sealed"} }

// one runs a query for clients. Secrets are opened after the rows are read: the data key may need a query too.
func (s clients) some(query string, args ...any) (list []*pool.Client, err error) {
	var sealed [][]byte
	err = s.t.rows(query, func(r *sql.Rows) error {
		var c pool.Client
		var created, modified int64
		var settings sql.RawBytes
		var secrets []byte
		if err := r.Scan(&c.ID, &c.PoolID, &c.Version, &created, &modified, &settings, &secrets); err != nil {
			return err
		}
		c.Created, c.Modified = instant(created), instant(modified)
		if err := undocument(settings, &c.ClientSettings); err != nil {
			return fmt.Errorf("read client %s: %w", c.ID, err)
		}
		list, sealed = append(list, &c), append(sealed, secrets)
		return nil
	}, args...)
	if err != nil {
		return nil, err
	}
	for i, c := range list {
		if sealed[i] == nil {
			continue
		}
		if c.Secrets, err = s.secrets(c, sealed[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s clients) secrets(c *pool.Client, sealed []byte) ([]pool.ClientSecret, error) {
	key, err := s.t.key(c.PoolID)
	if err != nil {
		return nil, err
	}
	plain, err := s.t.open(key, sealed, s.place(c.PoolID, c.ID)...)
	if err != nil {
		return nil, err
	}
	var stored []clientSecret
	if err := undocument(plain, &stored); err != nil {
		return nil, s.t.fail(err)
	}
	secrets := make([]pool.ClientSecret, len(stored))
	for i, x := range stored {
		secrets[i] = pool.ClientSecret{ID: x.ID, Value: secret.New(x.Value), Created: instant(x.Created)}
	}
	return secrets, nil
}

func (s clients) one(query string, args ...any) (*pool.Client, error) {
	list, err := s.some(query, args...)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

func (s clients) Get(poolID, id string) (*pool.Client, error) {
	return s.one(selectClient+`WHERE pool_id = $1 AND id = $2`, poolID, id)
}

func (s clients) ByID(id string) (*pool.Client, error) {
	return s.one(selectClient+`WHERE id = $1`, id)
}

func (s clients) List(poolID, after string, limit int) ([]*pool.Client, error) {
	return s.some(selectClient+`WHERE pool_id = $1 AND id > $2 ORDER BY id LIMIT $3`, poolID, after, limit)
}

func (s clients) Count(poolID string) (int, error) {
	return s.t.count(`SELECT count(*) FROM clients WHERE pool_id = $1`, poolID)
}

// encode returns the two documents of a client; a client without secrets has no sealed one.
func (s clients) encode(c *pool.Client) (settings string, sealed []byte, err error) {
	if settings, err = document(c.ClientSettings); err != nil {
		return "", nil, s.t.fail(err)
	}
	// The key is asked for in any case: without its pool there can be no client.
	key, err := s.t.key(c.PoolID)
	if err != nil || len(c.Secrets) == 0 {
		return settings, nil, err
	}
	stored := make([]clientSecret, len(c.Secrets))
	for i, x := range c.Secrets {
		stored[i] = clientSecret{ID: x.ID, Value: x.Value.Reveal(), Created: millis(x.Created)}
	}
	plain, err := document(stored)
	if err != nil {
		return "", nil, s.t.fail(err)
	}
	return settings, s.t.seal(key, []byte(plain), s.place(c.PoolID, c.ID)...), nil
}

func (s clients) version(id string, v int64) {
	if s.t.clients == nil {
		s.t.clients = make(map[string]int64)
	}
	s.t.clients[id] = v
}

func (s clients) Create(c *pool.Client) error {
	settings, sealed, err := s.encode(c)
	if err != nil {
		return err
	}
	n, err := s.t.exec(`INSERT INTO clients (pool_id, id, version, created_at, modified_at, settings, sealed)
		VALUES ($1, $2, 1, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, c.PoolID, c.ID, millis(c.Created), millis(c.Modified), settings, blob(sealed))
	if err != nil {
		return err
	}
	if n == 0 {
		return s.t.fail(fmt.Errorf("client id %s: %w", c.ID, store.ErrConflict))
	}
	s.t.assign(&c.Version, 1)
	s.version(c.ID, 1)
	return nil
}

func (s clients) Save(c *pool.Client) error {
	settings, sealed, err := s.encode(c)
	if err != nil {
		return err
	}
	next := c.Version + 1
	err = s.t.must(`UPDATE clients SET version = $4, modified_at = $5, settings = $6, sealed = $7
		WHERE pool_id = $1 AND id = $2 AND version = $3`, c.PoolID, c.ID, c.Version, next, millis(c.Modified), settings, blob(sealed))
	if errors.Is(err, store.ErrNotFound) {
		return s.t.stale(`SELECT 1 FROM clients WHERE pool_id = $1 AND id = $2`, c.PoolID, c.ID)
	}
	if err != nil {
		return err
	}
	s.t.assign(&c.Version, next)
	s.version(c.ID, next)
	return nil
}

func (s clients) Delete(poolID, id string) error {
	if err := s.t.must(`DELETE FROM clients WHERE pool_id = $1 AND id = $2`, poolID, id); err != nil {
		return err
	}
	s.version(id, 0)
	return nil
}
