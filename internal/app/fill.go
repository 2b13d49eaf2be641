package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// fillGroup is how many users Fill writes in a transaction.
const fillGroup = 1000

// Fill makes a pool with n confirmed users without passwords and returns its id. It writes the users straight into the store, for
// measurements: making them through the API computes a verifier for each. The i-th has the name and the attributes that who says.
func Fill(ctx context.Context, o Options, n int, who func(i int) (name string, attributes map[string]string)) (poolID string, err error) {
	a, err := New(ctx, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	operator := applier{pipeline: a.operator(), chance: a.chance, region: o.Config.Region}
	made, err := call(ctx, &operator, api.CreateUserPool, part{"PoolName": quoted("filled"), "AutoVerifiedAttributes": json.RawMessage(`["email"]`)})
	if err != nil {
		return "", err
	}
	poolID = deref(made.UserPool.Id)
	users := make([]*user.Record, 0, fillGroup)
	for first := 0; first < n; first += fillGroup {
		users = users[:0]
		for i := first; i < min(first+fillGroup, n); i++ {
			users = append(users, a.filler(poolID, i, who))
		}
		if err := a.fill(ctx, poolID, users); err != nil {
			return "", fmt.Errorf("write users: %w", err)
		}
	}
	return poolID, nil
}

func (a *App) filler(poolID string, i int, who func(i int) (string, map[string]string)) *user.Record {
	now := a.clock.Now()
	name, attributes := who(i)
	return &user.Record{PoolID: poolID, Sub: a.chance.Sub(), Username: name, Created: now, Modified: now, Status: user.Confirmed, Enabled: true,
		Attributes: attributes}
}

func (a *App) fill(ctx context.Context, poolID string, users []*user.Record) error {
	return a.store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		p, err := tx.Pools().Get(poolID)
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := tx.Users().Create(p, u); err != nil {
				return err
			}
		}
		return nil
	})
}
