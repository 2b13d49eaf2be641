package ops

import (
	"context"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// SignOut are the operations that end everything a user has signed in to.
type SignOut struct{ Store store.Store }

// Register puts the family into the registry.
func (s *SignOut) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.GlobalSignOut, s.Global)
	dispatch.Handle(r, api.AdminUserGlobalSignOut, s.AdminGlobal)
}

// Global revokes all tokens of the user who calls, those of other clients included. The status of the user does not
// matter (unconfirmed).
//
// Evidence: the reference page "GlobalSignOut".
func (s *SignOut) Global(ctx context.Context, c *dispatch.Call, _ *api.GlobalSignOutInput) (*api.GlobalSignOutOutput, error) {
	err := s.Store.Update(ctx, c.Scope(c.Token.Username), func(tx store.Tx) error {
		r, err := bearer(tx.Users(), tx.Families(), c)
		if err != nil {
			return err
		}
		return revokeAll(tx, c, r.Sub)
	})
	if err != nil {
		return nil, err
	}
	return &api.GlobalSignOutOutput{}, nil
}

// AdminGlobal is Global on behalf of an administrator. A user without tokens is no error.
//
// Evidence: the reference page "AdminUserGlobalSignOut".
func (s *SignOut) AdminGlobal(ctx context.Context, c *dispatch.Call, in *api.AdminUserGlobalSignOutInput) (*api.AdminUserGlobalSignOutOutput, error) {
	err := s.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		r, err := find(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		return revokeAll(tx, c, r.Sub)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminUserGlobalSignOutOutput{}, nil
}

func revokeAll(tx store.Tx, c *dispatch.Call, sub string) error {
	if err := tx.Families().RevokeUser(c.Pool.ID, sub, c.Now); err != nil {
		return err
	}
	return tx.Journal().Add(c.Entry(c.Pool.ID, sub))
}
