// Package ops holds the operations of the API, one file a family. An operation is a short story: load, decide,
// save, tell. The rules that it applies are in internal/domain, the texts that a client reads in kit/fault, the bytes
// in internal/edge; what happens before an operation runs is the pipeline's, in package dispatch.
package ops

import (
	"errors"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// find loads the user that an administrator names: by user name, sub or active alias.
func find(users store.UserReader, p *pool.Pool, username string) (*user.Record, error) {
	r, err := users.ByLogin(p, username)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.UserNotFound().Because(err)
	}
	return r, err
}

// holder loads the user who calls with an access token, inside the operation's own transaction: the token must not be
// revoked, and the user must be there, enabled, confirmed and without a password to be reset.
//
// The order of these checks is unconfirmed.
func holder(users store.UserReader, families store.FamilyReader, c *dispatch.Call) (*user.Record, error) {
	r, err := bearer(users, families, c)
	if err != nil {
		return nil, err
	}
	switch r.Status {
	case user.ResetRequired:
		if !c.Spec.Lists(fault.PasswordResetRequiredException) {
			return nil, fault.PasswordResetUnlisted()
		}
		return nil, fault.PasswordResetRequired()
	case user.Unconfirmed:
		if !c.Spec.Lists(fault.UserNotConfirmedException) {
			return nil, fault.UserNotConfirmedUnlisted()
		}
		return nil, fault.UserNotConfirmed()
	}
	return r, nil
}

// bearer is holder for operations that do not look at the status: signing out and leaving for good.
func bearer(users store.UserReader, families store.FamilyReader, c *dispatch.Call) (*user.Record, error) {
	t := c.Token
	// The user first: whoever disables a user or signs one out locks it before the families.
	r, err := users.BySub(t.PoolID, t.Sub)
	if errors.Is(err, store.ErrNotFound) {
		if !c.Spec.Lists(fault.UserNotFoundException) {
			return nil, fault.UserGone().Because(err)
		}
		return nil, fault.UserNotFound().Because(err)
	}
	if err != nil {
		return nil, err
	}
	var f *token.Family
	if t.Family != "" {
		f, err = families.Get(t.PoolID, t.Sub, t.Family)
	} else {
		f, err = families.ByEvent(t.PoolID, t.Sub, t.EventID)
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !f.Lives(c.Client.Created) {
		return nil, fault.AccessTokenRevoked().Because(err)
	}
	if err != nil {
		return nil, err
	}
	if !r.Enabled {
		return nil, fault.UserDisabled()
	}
	return r, nil
}

// takeOver frees the logins that a user takes from others: the former owner keeps the value and loses the flag.
func takeOver(users store.Users, c *dispatch.Call, sub string, logins []user.Login) (names []string, err error) {
	for _, l := range logins {
		owner, err := users.Owner(c.Pool.ID, l)
		if errors.Is(err, store.ErrNotFound) || err == nil && owner.Sub == sub {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := users.Save(c.Pool, owner, user.Unverify(owner, l.Space, c.Now)); err != nil {
			return nil, err
		}
		names = append(names, "moved:"+user.AttributeOf(l.Space)+":"+owner.Sub)
	}
	return names, nil
}

// free refuses logins that somebody else holds.
func free(users store.UserReader, p *pool.Pool, sub string, logins []user.Login, taken func(attribute string) *fault.Error) error {
	for _, l := range logins {
		owner, err := users.Owner(p.ID, l)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if owner.Sub != sub {
			return taken(user.AttributeOf(l.Space))
		}
	}
	return nil
}

// values translates the attributes of a request.
func values(list []api.AttributeType) []user.Value {
	vs := make([]user.Value, len(list))
	for i, a := range list {
		vs[i] = user.Value{Name: a.Name, Text: a.Value}
	}
	return vs
}
