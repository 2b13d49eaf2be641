package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Every pool has a data key, which its row keeps wrapped, and the server has one for what belongs to no pool. A
// sealed value is bound to the table, pool, row and column where it stands, so a value copied elsewhere does not open.

const serverKey = "data" // name of the server's data key

func poolKeyPlace(poolID string) string { return "pools|" + poolID + "|data_key" }

func serverKeyPlace(name string) string { return "server_keys|" + name + "|wrapped" }

// newKey makes the data key of a new pool.
func (t *transaction) newKey(poolID string) []byte {
	key, wrapped := t.s.ring.NewKey(t.s.random, poolKeyPlace(poolID))
	t.remember(poolID, key)
	return wrapped
}

func (t *transaction) remember(poolID string, key seal.Key) {
	if t.keys == nil {
		t.keys = make(map[string]seal.Key)
	}
	t.keys[poolID] = key
}

// key returns the data key of a pool; store.ErrNotFound when there is no such pool.
func (t *transaction) key(poolID string) (seal.Key, error) {
	if key, ok := t.keys[poolID]; ok {
		return key, nil
	}
	if key, ok := t.s.keys.Load(poolID); ok {
		return key.(seal.Key), nil
	}
	var wrapped []byte
	err := t.row(`SELECT data_key FROM pools WHERE id = $1`, func(r *sql.Rows) error { return r.Scan(&wrapped) }, poolID)
	if err != nil {
		return seal.Key{}, err
	}
	key, err := t.s.ring.OpenKey(wrapped, poolKeyPlace(poolID))
	if err != nil {
		return seal.Key{}, t.fail(fmt.Errorf("open data key of pool %s: %w", poolID, err))
	}
	// In an update the pool may have been made by a neighbour in the group that is not committed yet.
	if t.write {
		t.remember(poolID, key)
	} else {
		t.s.keys.Store(poolID, key)
	}
	return key, nil
}

// publish shares what a committed run knows.
func (t *transaction) publish() {
	for id, key := range t.keys {
		t.s.keys.Store(id, key)
	}
	for id, version := range t.pools {
		if version == 0 {
			t.s.keys.Delete(id)
			t.s.counts.forget(id)
		}
	}
}

// seal encrypts a value for its place.
func (t *transaction) seal(key seal.Key, plain []byte, place ...string) []byte {
	return key.Seal(t.s.random, plain, place...)
}

// open decrypts a value that stands at the place.
func (t *transaction) open(key seal.Key, sealed []byte, place ...string) ([]byte, error) {
	plain, err := key.Open(sealed, place...)
	if err != nil {
		return nil, t.fail(fmt.Errorf("open %s of %v: %w", place[len(place)-1], place[:len(place)-1], err))
	}
	return plain, nil
}

// openServerKey reads the server's data key, and makes it when the database is new.
func (t *transaction) openServerKey() (seal.Key, error) {
	read := func() (wrapped []byte, err error) {
		err = t.row(`SELECT wrapped FROM server_keys WHERE name = $1`, func(r *sql.Rows) error { return r.Scan(&wrapped) }, serverKey)
		return wrapped, err
	}
	wrapped, err := read()
	if errors.Is(err, store.ErrNotFound) {
		_, fresh := t.s.ring.NewKey(t.s.random, serverKeyPlace(serverKey))
		// Another node may do the same now; the first one wins.
		if _, err := t.exec(`INSERT INTO server_keys (name, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING`, serverKey, fresh); err != nil {
			return seal.Key{}, err
		}
		wrapped, err = read()
	}
	if err != nil {
		return seal.Key{}, fmt.Errorf("read the server's data key: %w", err)
	}
	key, err := t.s.ring.OpenKey(wrapped, serverKeyPlace(serverKey))
	if err != nil {
		return seal.Key{}, fmt.Errorf("%w: %w", ErrWrongKey, err)
	}
	return key, nil
}
