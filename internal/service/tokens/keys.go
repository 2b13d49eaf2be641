package tokens

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// verifier is the public half of a key, with what its tokens are of.
type verifier struct {
	poolID string
	use    token.Use
	key    *jose.Public
}

// heldVerifier is a verifier with the instant at which its key was seen in the store.
type heldVerifier struct {
	*verifier
	seen time.Time
}

// maxKept bounds the number of keys in memory, and of pools whose keys are.
const maxKept = 10_000

// recent reports whether what was read at an instant still serves.
func (t *Tokens) recent(read time.Time) bool { return t.MaxAge == 0 || t.Real.Since(read) < t.MaxAge }

// real is the real time, as far as somebody wants to know it.
func (t *Tokens) real() time.Time {
	if t.MaxAge == 0 {
		return time.Time{}
	}
	return t.Real.Now()
}

// verifier finds the key that a token names. Tokens of one key have one header, so that most are found by it.
func (t *Tokens) verifier(ctx context.Context, parts jose.Token) (*verifier, error) {
	t.mu.RLock()
	held, before := t.headed[parts.Header], t.forgets
	t.mu.RUnlock()
	if held.verifier != nil && t.recent(held.seen) {
		return held.verifier, nil
	}
	id, err := parts.KeyID()
	if err != nil {
		return nil, err
	}
	seen := t.real()
	var stored *token.Key
	err = t.Store.View(ctx, func(v store.View) (err error) {
		stored, err = v.SigningKeys().Get(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	if stored.Use == token.ForRefresh {
		return nil, store.ErrNotFound
	}
	v := held.verifier // a key that is still there is the same, and what it has proven stays so
	if v == nil {
		key, err := jose.Parse(stored.ID, stored.Material)
		if err != nil {
			return nil, err
		}
		v = &verifier{stored.PoolID, stored.Use, key.Public()}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.forgets == before {
		if t.headed == nil || len(t.headed) >= maxKept {
			t.headed = make(map[string]heldVerifier)
		}
		t.headed[strings.Clone(parts.Header)] = heldVerifier{v, seen}
	}
	return v, nil
}

// forget drops the keys of a pool, because they changed.
func (t *Tokens) forget(poolID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rings, poolID)
	t.headed = nil
	t.forgets++
}

// ring is all keys of a pool. Which of them signs is a question of the instant: see at.
type ring struct {
	poolCreated time.Time // a pool that was made again has others
	read        time.Time // in real time
	keys        []held    // the oldest first
}

// held is a key that was read: one of the two forms is there.
type held struct {
	*token.Key
	signing *jose.Key
	sealing cipher.AEAD
}

// present is what the keys of a pool are good for at an instant.
type present struct {
	id, access *jose.Key
	refresh    *refreshKey
	public     []*jose.Public // of those that the key set has
	youngest   time.Time      // when the last of these was made
}

// at puts the keys in their places.
func (r *ring) at(now time.Time) *present {
	p := &present{refresh: &refreshKey{}}
	keys := make([]*token.Key, len(r.keys))
	for i, k := range r.keys {
		keys[i] = k.Key
	}
	for i, part := range token.Plan(keys, now) {
		k := r.keys[i]
		if k.Use == token.ForRefresh {
			p.refresh.poolID = k.PoolID
			if part == token.Current {
				p.refresh.current = k.sealing
			} else {
				p.refresh.others = append(p.refresh.others, k.sealing)
			}
			continue
		}
		if part == token.Gone {
			continue
		}
		p.public = append(p.public, k.signing.Public())
		if k.Created.After(p.youngest) {
			p.youngest = k.Created
		}
		switch {
		case part != token.Current:
		case k.Use == token.ForID:
			p.id = k.signing
		default:
			p.access = k.signing
		}
	}
	return p
}

// ring returns the keys of a pool, and makes them when it has none yet. It is store.ErrNotFound for a pool that is not
// there.
func (t *Tokens) ring(ctx context.Context, poolID string) (*ring, error) {
	for range issueTries {
		_, _, r, err := t.look(ctx, poolID)
		if err != nil || r != nil {
			return r, err
		}
		if err := t.make(ctx, poolID); err != nil && !errors.Is(err, store.ErrStale) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("make the keys of pool %s: %w", poolID, store.ErrStale)
}

// ringOf is ring for a pool that was just read: keys that are in memory are found without the store.
func (t *Tokens) ringOf(ctx context.Context, p *pool.Pool) (*ring, error) {
	t.mu.RLock()
	kept := t.rings[p.ID]
	t.mu.RUnlock()
	if kept.of(p) && t.recent(kept.read) {
		return kept, nil
	}
	return t.ring(ctx, p.ID)
}

// of reports whether the ring, which may be nil, holds the keys of the pool, and not of an earlier one of its id.
func (r *ring) of(p *pool.Pool) bool { return r != nil && r.poolCreated.Equal(p.Created) }

// look returns the ring of a pool, or, when it has none, the pool with those keys that it has.
func (t *Tokens) look(ctx context.Context, poolID string) (p *pool.Pool, keys []*token.Key, r *ring, err error) {
	t.mu.RLock()
	kept, before := t.rings[poolID], t.forgets
	t.mu.RUnlock()
	read := t.real()
	err = t.Store.View(ctx, func(v store.View) (err error) {
		keys, r = nil, nil
		if p, err = v.Pools().Get(poolID); err != nil {
			return err
		}
		if kept.of(p) && t.recent(kept.read) {
			r = kept
			return nil
		}
		keys, err = v.SigningKeys().List(poolID)
		return err
	})
	if err != nil || r != nil {
		return p, nil, r, err
	}
	if len(token.Missing(keys)) > 0 {
		return p, keys, nil, nil
	}
	r = &ring{poolCreated: p.Created, read: read}
	for _, k := range keys {
		h, err := kept.hold(k)
		if err != nil {
			return p, nil, nil, err
		}
		r.keys = append(r.keys, h)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.forgets == before {
		if t.rings == nil || len(t.rings) >= maxKept {
			t.rings = make(map[string]*ring)
		}
		t.rings[poolID] = r
	}
	return p, keys, r, nil
}

// hold reads the material of a key, unless the ring, which may be nil, has done so before.
func (r *ring) hold(k *token.Key) (held, error) {
	if r != nil {
		if i := slices.IndexFunc(r.keys, func(h held) bool { return h.ID == k.ID }); i >= 0 {
			return held{k, r.keys[i].signing, r.keys[i].sealing}, nil
		}
	}
	if k.Use == token.ForRefresh {
		return held{Key: k, sealing: sealing(k)}, nil
	}
	key, err := jose.Parse(k.ID, k.Material)
	return held{Key: k, signing: key}, err
}

// make makes the first keys of the uses that a pool lacks. Another node may do the same now: the first ones stay. On this one the first
// caller makes them, which takes long, and the others wait: a crowd that each made its own would take minutes.
func (t *Tokens) make(ctx context.Context, poolID string) error {
	t.making.Lock()
	defer t.making.Unlock()
	p, keys, r, err := t.look(ctx, poolID)
	if err != nil || r != nil {
		return err
	}
	now := t.Clock.Now()
	uses := token.Missing(keys)
	fresh := make([]*token.Key, len(uses))
	for i, use := range uses {
		if fresh[i], err = t.draw(p, use, now); err != nil {
			return err
		}
		fresh[i].Ordinal, fresh[i].From = 1, now
	}
	err = t.Store.Update(ctx, store.Scope{Pool: p}, func(tx store.Tx) error {
		for _, k := range fresh {
			if _, err := tx.SigningKeys().Add(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store the keys of pool %s: %w", p.ID, err)
	}
	return nil
}

// draw makes a key, which has no ordinal yet and no instant from which it signs.
func (t *Tokens) draw(p *pool.Pool, use token.Use, now time.Time) (*token.Key, error) {
	k := &token.Key{PoolID: p.ID, ID: jose.KeyID([32]byte(t.Chance.Bytes(32))), Use: use, Created: now}
	if use == token.ForRefresh {
		k.Material = t.Chance.Bytes(32)
		return k, nil
	}
	generate := t.Generate
	if generate == nil {
		generate = jose.Generate
	}
	key, err := generate(k.ID)
	if err != nil {
		return nil, err
	}
	k.Material = key.Marshal()
	return k, nil
}
