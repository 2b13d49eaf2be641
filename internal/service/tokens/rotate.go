package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Rotation says how the keys that sign the tokens of a pool are to change. By itself it publishes new ones, which sign
// when everybody has had time to fetch them (token.Overlap).
type Rotation struct {
	PoolID string
	// Now lets the new keys sign as soon as every node knows them; a rotation that is under way ends early. Whoever keeps the
	// key set without them has to fetch it again, which libraries do when a token names a key that they do not know.
	Now bool
	// Revoke is Now, and takes back all keys that there were: at once here, and elsewhere when who keeps the key set fetches
	// it again. Refresh tokens are sealed by another key and stay good.
	Revoke bool
	// Caller is who the journal says it was.
	Caller string
}

// PlannedKey is a key with the part that it plays.
type PlannedKey struct {
	*token.Key
	Part token.Part
}

// Keys returns the keys that sign or will sign the tokens of a pool, or did and are still published, the oldest first.
// It is store.ErrNotFound for a pool that is not there.
func (t *Tokens) Keys(ctx context.Context, poolID string) ([]PlannedKey, error) {
	_, keys, err := t.load(ctx, poolID)
	return Planned(keys, t.Clock.Now()), err
}

// load reads a pool and its keys, which it has afterwards if it had none.
func (t *Tokens) load(ctx context.Context, poolID string) (p *pool.Pool, keys []*token.Key, err error) {
	if !pool.ValidID(poolID) {
		return nil, nil, store.ErrNotFound
	}
	if _, err := t.ring(ctx, poolID); err != nil {
		return nil, nil, err
	}
	err = t.Store.View(ctx, func(v store.View) (err error) {
		if p, err = v.Pools().Get(poolID); err != nil {
			return err
		}
		keys, err = v.SigningKeys().List(poolID)
		return err
	})
	return p, keys, err
}

// Planned are the keys that sign at an instant, or will or did; not those of refresh tokens.
func Planned(keys []*token.Key, now time.Time) []PlannedKey {
	var list []PlannedKey
	for i, part := range token.Plan(keys, now) {
		if keys[i].Use != token.ForRefresh && part != token.Gone {
			list = append(list, PlannedKey{keys[i], part})
		}
	}
	return list
}

// Rotate changes the keys that sign the tokens of a pool, and returns those that it has then, as Keys does. While a
// rotation is under way another one changes nothing, unless it is to take effect now.
func (t *Tokens) Rotate(ctx context.Context, r Rotation) (keys []PlannedKey, err error) {
	for range issueTries {
		if keys, err = t.rotate(ctx, r); !errors.Is(err, store.ErrStale) {
			break
		}
	}
	return keys, err
}

func (t *Tokens) rotate(ctx context.Context, r Rotation) ([]PlannedKey, error) {
	p, before, err := t.load(ctx, r.PoolID)
	if err != nil {
		return nil, err
	}
	now := t.Clock.Now()
	var fresh []*token.Key
	if r.Revoke || len(pending(before, now)) == 0 {
		for _, use := range [...]token.Use{token.ForID, token.ForAccess} {
			k, err := t.draw(p, use, now)
			if err != nil {
				return nil, err
			}
			fresh = append(fresh, k)
		}
	}
	entry := store.Entry{RequestID: t.Chance.RequestIDAt(clock.Machine()), Time: now, Caller: r.Caller, Operation: "RotateKeys", PoolID: p.ID}
	var keys []*token.Key
	err = t.Store.Update(ctx, store.Scope{}, func(tx store.Tx) (err error) {
		if keys, err = tx.SigningKeys().List(p.ID); err != nil {
			return err
		}
		changed, err := t.turn(tx, r, keys, fresh, now)
		if err != nil || !changed {
			return err
		}
		if keys, err = tx.SigningKeys().List(p.ID); err != nil {
			return err
		}
		return tx.Journal().Add(entry)
	})
	if err != nil {
		return nil, err
	}
	t.forget(p.ID)
	return Planned(keys, now), nil
}

// pending are the keys that are published and do not sign yet.
func pending(keys []*token.Key, now time.Time) []*token.Key {
	var next []*token.Key
	for i, part := range token.Plan(keys, now) {
		if part == token.Next {
			next = append(next, keys[i])
		}
	}
	return next
}

// turn makes the changes of a rotation, and reports whether there were any: another node may have been first.
func (t *Tokens) turn(tx store.Tx, r Rotation, keys, fresh []*token.Key, now time.Time) (changed bool, err error) {
	from := now.Add(token.Overlap)
	switch {
	case r.Revoke:
		from = now
	case r.Now:
		from = now.Add(2 * t.MaxAge) // by then every node has read them
	}
	next := pending(keys, now)
	if len(next) > 0 && !r.Revoke {
		for _, k := range next {
			if !r.Now || !k.From.After(from) {
				continue
			}
			if err := tx.SigningKeys().Start(k.PoolID, k.ID, from); err != nil {
				return false, err
			}
			changed = true
		}
		return changed, nil
	}
	for _, k := range fresh {
		added := *k
		added.Ordinal, added.From = ordinal(keys, k.Use)+1, from
		stored, err := tx.SigningKeys().Add(&added)
		if err != nil {
			return false, err
		}
		if r.Revoke && !stored {
			return false, store.ErrStale // another node was first, and its keys are to go too
		}
		changed = changed || stored
	}
	if r.Revoke && changed {
		for _, k := range keys {
			if k.Use == token.ForRefresh {
				continue
			}
			if err := tx.SigningKeys().Remove(k.PoolID, k.ID); err != nil {
				return false, err
			}
		}
	}
	return changed, nil
}

// ordinal is that of the last key of a use.
func ordinal(keys []*token.Key, use token.Use) int {
	last := 0
	for _, k := range keys {
		if k.Use == use {
			last = max(last, k.Ordinal)
		}
	}
	return last
}

// mostRotations bounds the rotations of one call of RotateOld: making the keys of one takes a tenth of a second.
const mostRotations = 100

// RotateOld begins a rotation in pools whose youngest keys were made longer ago than the age. It takes some of them; who
// calls it again finds the others.
func (t *Tokens) RotateOld(ctx context.Context, age time.Duration) error {
	var pools []string
	before := t.Clock.Now().Add(-age)
	err := t.Store.View(ctx, func(v store.View) (err error) {
		pools, err = v.SigningKeys().Older(before, mostRotations)
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range pools {
		if _, err := t.Rotate(ctx, Rotation{PoolID: id, Caller: "schedule"}); !errors.Is(err, store.ErrNotFound) { // else it was deleted meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
