package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Settings keeps pools and clients in memory. What decides on access is never here: users, passwords, codes. A
// write that rests on a kept version is checked by the store (store.ErrStale), so that age can only show in reads.
type Settings struct {
	Store store.Store
	// MaxAge is how long an entry serves before it is read again; 0: until it is forgotten, which is right when this
	// process is the only writer.
	MaxAge time.Duration
	Clock  clock.Clock // real time

	mu      sync.RWMutex
	pools   map[string]*kept
	owners  map[string]string // the pools of clients that were asked for by their id alone; only ever a hint
	forgets uint64            // how often something was forgotten: what was read before is not kept after
}

// kept is a pool with those of its clients that were asked for. Its fields are guarded by Settings.mu.
type kept struct {
	pool    *pool.Pool
	at      time.Time
	clients map[string]*pool.Client
}

// maxKept bounds the number of pools in memory, maxOwners that of clients whose pool is remembered.
const (
	maxKept   = 10_000
	maxOwners = 100_000
)

// Pool finds a pool; store.ErrNotFound when there is none. The result must not be changed.
func (s *Settings) Pool(ctx context.Context, id string) (*pool.Pool, error) {
	if k := s.fresh(id); k != nil {
		return k.pool, nil
	}
	before := s.generation()
	var p *pool.Pool
	err := s.Store.View(ctx, func(v store.View) (err error) {
		p, err = v.Pools().Get(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.keep(p, before)
	return p, nil
}

// Client finds a client of a pool; store.ErrNotFound when there is none. The result must not be changed.
func (s *Settings) Client(ctx context.Context, poolID, id string) (*pool.Client, error) {
	if k := s.fresh(poolID); k != nil {
		s.mu.RLock()
		c := k.clients[id]
		s.mu.RUnlock()
		if c != nil {
			return c, nil
		}
	}
	before := s.generation()
	var c *pool.Client
	err := s.Store.View(ctx, func(v store.View) (err error) {
		c, err = v.Clients().Get(poolID, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if k := s.pools[poolID]; k != nil && s.forgets == before {
		k.clients[id] = c
	}
	s.mu.Unlock()
	return c, nil
}

// PublicClient finds a client by its id alone, as public operations name it, with its pool; store.ErrNotFound when
// there is none. The results must not be changed.
func (s *Settings) PublicClient(ctx context.Context, id string) (*pool.Pool, *pool.Client, error) {
	s.mu.RLock()
	poolID, known := s.owners[id]
	s.mu.RUnlock()
	if known {
		// The client may be gone, and its id may be in another pool by now: then it is looked up again.
		if p, c, err := s.pair(ctx, poolID, id); !errors.Is(err, store.ErrNotFound) {
			return p, c, err
		}
	}
	var found *pool.Client
	err := s.Store.View(ctx, func(v store.View) (err error) {
		found, err = v.Clients().ByID(id)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	if s.owners == nil || len(s.owners) >= maxOwners {
		s.owners = make(map[string]string)
	}
	s.owners[id] = found.PoolID
	s.mu.Unlock()
	return s.pair(ctx, found.PoolID, id)
}

// pair finds a pool and one of its clients.
func (s *Settings) pair(ctx context.Context, poolID, id string) (*pool.Pool, *pool.Client, error) {
	p, err := s.Pool(ctx, poolID)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.Client(ctx, poolID, id)
	return p, c, err
}

// Forget drops a pool and its clients.
func (s *Settings) Forget(poolID string) {
	s.mu.Lock()
	delete(s.pools, poolID)
	s.forgets++
	s.mu.Unlock()
}

func (s *Settings) generation() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.forgets
}

func (s *Settings) fresh(id string) *kept {
	s.mu.RLock()
	k := s.pools[id]
	s.mu.RUnlock()
	if k == nil || s.MaxAge > 0 && s.Clock.Since(k.at) > s.MaxAge {
		return nil
	}
	return k
}

func (s *Settings) keep(p *pool.Pool, before uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forgets != before {
		return
	}
	if s.pools == nil || len(s.pools) >= maxKept {
		s.pools = make(map[string]*kept)
	}
	s.pools[p.ID] = &kept{pool: p, at: s.Clock.Now(), clients: make(map[string]*pool.Client)}
}
