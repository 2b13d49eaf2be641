package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// keyCache finds access keys for the edge. It is an authn.Keys.
//
// Keys that were found are kept: on SQLite until a key changes, since this process sees every change; on PostgreSQL for a second,
// which is how long a deleted key may still work. Keys that were not found are looked up each time.
type keyCache struct {
	store  store.Store
	clock  clock.Clock   // real time
	maxAge time.Duration // 0: until forget is called
	fixed  *devKey       // of a development server that verifies; nil: none

	mu      sync.RWMutex
	keys    map[string]keptKey // by id
	forgets uint64
}

type keptKey struct {
	key authn.Key
	at  time.Time
}

// maxKeptKeys bounds the cache; it is emptied when it is full.
const maxKeptKeys = 10_000

// AccessKey finds a key that signs.
func (c *keyCache) AccessKey(ctx context.Context, id string) (authn.Key, bool, error) {
	if c.fixed != nil && c.fixed.ID == id {
		return authn.Key{ID: id, Name: "dev", Secret: secret.New(c.fixed.Secret)}, true, nil
	}
	c.mu.RLock()
	k, ok := c.keys[id]
	before := c.forgets
	c.mu.RUnlock()
	if ok && (c.maxAge == 0 || c.clock.Since(k.at) < c.maxAge) {
		return k.key, true, nil
	}
	found, ok, err := c.look(ctx, func(r store.KeyReader) (*store.AccessKey, error) { return r.Get(id) })
	if err != nil || !ok {
		return authn.Key{}, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgets == before {
		if c.keys == nil || len(c.keys) >= maxKeptKeys {
			c.keys = map[string]keptKey{}
		}
		c.keys[id] = keptKey{found, c.clock.Now()}
	}
	return found, true, nil
}

// BearerKey finds a bearer key by its token.
func (c *keyCache) BearerKey(ctx context.Context, token secret.Text) (authn.Key, bool, error) {
	if c.fixed != nil && token.Equal(secret.New(c.fixed.Token)) {
		return authn.Key{ID: "bearer-dev", Name: "dev"}, true, nil
	}
	return c.look(ctx, func(r store.KeyReader) (*store.AccessKey, error) { return r.ByBearer(token) })
}

func (c *keyCache) look(ctx context.Context, find func(store.KeyReader) (*store.AccessKey, error)) (authn.Key, bool, error) {
	var k *store.AccessKey
	err := c.store.View(ctx, func(v store.View) (err error) {
		k, err = find(v.Keys())
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return authn.Key{}, false, nil
	}
	if err != nil {
		return authn.Key{}, false, err
	}
	return authn.Key{ID: k.ID, Secret: k.Secret, Name: k.Name, Actions: k.Actions, Pools: k.Pools, Expires: k.Expires}, true, nil
}

// forget drops all keys, because one changed.
func (c *keyCache) forget() {
	c.mu.Lock()
	c.keys = nil
	c.forgets++
	c.mu.Unlock()
}
