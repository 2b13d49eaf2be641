package ops

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// Identities are the operations by which an administrator ties accounts at external providers to users of a pool.
type Identities struct{ Store store.Store }

// Register puts the family into the registry.
func (o *Identities) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.AdminLinkProviderForUser, o.Link)
	dispatch.Handle(r, api.AdminDisableProviderForUser, o.Disable)
}

// Link gives a user one more account to sign in with. Nobody is told, and sessions go on.
//
// Evidence: the reference page "AdminLinkProviderForUser"; the order of checks is unconfirmed.
func (o *Identities) Link(ctx context.Context, c *dispatch.Call, in *api.AdminLinkProviderForUserInput) (*api.AdminLinkProviderForUserOutput, error) {
	if c.Pool == nil { // the model allows an empty id here
		return nil, fault.PoolNotFound(in.UserPoolId)
	}
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	source, err := sourceOf(in.SourceUser)
	if err != nil {
		return nil, err
	}
	err = o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		u, err := destination(tx.Users(), c.Pool, in.DestinationUser)
		if err != nil {
			return err
		}
		if err := unlinked(tx.Users(), c.Pool.ID, u, source); err != nil {
			return err
		}
		if u.Links() >= user.MaxLinks {
			return fault.TooManyLinks(strconv.Itoa(user.MaxLinks))
		}
		if err := anotherAttribute(tx.Users(), c.Pool.ID, source); err != nil {
			return err
		}
		after := u.Link(user.Identity{Provider: source.Provider, Attribute: source.Attribute, Value: source.Value,
			Type: user.ProviderType(source.Provider), Created: c.Now}, c.Now)
		if err := tx.Users().Save(c.Pool, u, after); err != nil {
			if errors.Is(err, store.ErrConflict) {
				return fault.SourceIsLinkedElsewhere().Because(err)
			}
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, pool.Identities))
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminLinkProviderForUserOutput{}, nil
}

// Disable takes an account from a user, or switches off for good that one of the pool's own users signs in with a
// password. Doing the latter again is no error and changes nothing.
//
// Evidence: the reference page "AdminDisableProviderForUser"; that it works for users without links is unconfirmed.
func (o *Identities) Disable(ctx context.Context, c *dispatch.Call, in *api.AdminDisableProviderForUserInput) (*api.AdminDisableProviderForUserOutput, error) {
	if c.Pool == nil { // the model allows an empty id here
		return nil, fault.PoolNotFound(in.UserPoolId)
	}
	key, err := identityOf("User", in.User)
	if err != nil {
		return nil, err
	}
	if key.Attribute != user.Subject && (key.Provider == user.Native || user.Social(key.Provider)) {
		return nil, fault.NotTheSubject("User")
	}
	err = o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		u, err := holderOf(tx.Users(), c.Pool, key)
		if err != nil {
			return err
		}
		after, name := u.Unlink(key, c.Now), pool.Identities
		if key.Provider == user.Native {
			if u.PasswordOff {
				return nil
			}
			after, name = u.Clone(), "password"
			after.PasswordOff, after.Modified = true, c.Now
		}
		if err := tx.Users().Save(c.Pool, u, after); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, name))
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminDisableProviderForUserOutput{}, nil
}

// The longest names and values of a provider's attributes that are kept: those of the pool's own (unconfirmed).
const (
	maxClaimName  = 256
	maxClaimValue = 2048
)

// identityOf reads an account from a request; member says where in the request it is.
func identityOf(member string, in *api.ProviderUserIdentifierType) (user.IdentityKey, error) {
	var key user.IdentityKey
	for _, part := range [...]struct {
		name  string
		given *string
		limit int
		into  *string
	}{
		{"ProviderName", in.ProviderName, maxClaimName, &key.Provider},
		{"ProviderAttributeName", in.ProviderAttributeName, maxClaimName, &key.Attribute},
		{"ProviderAttributeValue", in.ProviderAttributeValue, maxClaimValue, &key.Value},
	} {
		if part.given == nil || *part.given == "" {
			return key, fault.IncompleteIdentity(member, part.name)
		}
		if utf8.RuneCountInString(*part.given) > part.limit {
			return key, fault.LongIdentity(member, part.name, strconv.Itoa(part.limit))
		}
		*part.into = *part.given
	}
	return key, nil
}

// sourceOf reads the account that is to be linked. As long as providers cannot be configured, any name but that of
// the pool's own users stands for one, and any attribute of a provider that is not social for a mapped one.
func sourceOf(in *api.ProviderUserIdentifierType) (user.IdentityKey, error) {
	if in.ProviderName != nil && *in.ProviderName == user.Native {
		return user.IdentityKey{}, fault.SourceIsNative()
	}
	key, err := identityOf("SourceUser", in)
	if err == nil && user.Social(key.Provider) && key.Attribute != user.Subject {
		err = fault.NotTheSubject("SourceUser")
	}
	return key, err
}

// destination loads the user that gets the account. The name of the attribute does not matter (documented).
func destination(users store.UserReader, p *pool.Pool, in *api.ProviderUserIdentifierType) (*user.Record, error) {
	subject := user.Subject
	key, err := identityOf("DestinationUser", &api.ProviderUserIdentifierType{ProviderName: in.ProviderName,
		ProviderAttributeName: &subject, ProviderAttributeValue: in.ProviderAttributeValue})
	if err != nil {
		return nil, err
	}
	return holderOf(users, p, key)
}

// holderOf loads the user that an account belongs to; an account of the pool's own users is their name.
func holderOf(users store.UserReader, p *pool.Pool, key user.IdentityKey) (*user.Record, error) {
	if key.Provider == user.Native {
		return find(users, p, key.Value)
	}
	u, err := users.ByIdentity(p.ID, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.UserNotFound().Because(err)
	}
	return u, err
}

// unlinked refuses an account that belongs to somebody: to a user made from it, to this user, or to another.
func unlinked(users store.UserReader, poolID string, u *user.Record, source user.IdentityKey) error {
	owner, err := users.ByIdentity(poolID, source)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	made := slices.ContainsFunc(owner.Identities, func(i user.Identity) bool { return i.Primary && i.Key() == source })
	switch {
	case made:
		return fault.SourceHasProfile()
	case owner.Sub == u.Sub:
		return fault.SourceIsLinked()
	}
	return fault.SourceIsLinkedElsewhere()
}

// anotherAttribute refuses an attribute that no user of the provider is linked by, when there are enough of them.
func anotherAttribute(users store.UserReader, poolID string, source user.IdentityKey) error {
	if source.Attribute == user.Subject {
		return nil
	}
	used, err := users.LinkAttributes(poolID, source.Provider, user.MaxLinkAttributes)
	if err == nil && len(used) == user.MaxLinkAttributes && !slices.Contains(used, source.Attribute) {
		return fault.TooManyLinkAttributes(strconv.Itoa(user.MaxLinkAttributes))
	}
	return err
}
