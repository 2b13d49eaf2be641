package ops

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// This file holds what refresh tokens are good for: renewing the tokens of a sign-in, and ending it.

// renew is a sign-in by a refresh token.
//
// Evidence: the reference page "InitiateAuth"; observed texts.
func (s *SignIns) renew(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	if err := v.need("REFRESH_TOKEN"); err != nil {
		return nil, err
	}
	c := v.c
	if len(c.Client.Secrets) > 0 && v.given["SECRET_HASH"] == "" {
		return nil, fault.SecretHashMissing(c.Client.ID)
	}
	set, _, err := s.refresh(ctx, c, secret.New(v.given["REFRESH_TOKEN"]), notice.SourceTokensRefresh, nil, func(u *user.Record) error {
		return proveOwner(c, u, v.given["SECRET_HASH"])
	})
	if err != nil {
		return nil, err
	}
	return &api.InitiateAuthOutput{AuthenticationResult: result(set, false), ChallengeParameters: map[string]string{}}, nil
}

// proveOwner checks a secret hash that is made over the name of the token's owner, or its sub (unconfirmed).
func proveOwner(c *dispatch.Call, u *user.Record, hash string) error {
	if len(c.Client.Secrets) == 0 {
		if hash != "" {
			return fault.RefreshHashWrong(c.Client.ID)
		}
		return nil
	}
	given := secret.New(hash)
	if checkSecretHash(c, u.Username, &given) != nil && checkSecretHash(c, u.Sub, &given) != nil {
		return fault.RefreshHashWrong(c.Client.ID)
	}
	return nil
}

// Refresh renews the tokens of a sign-in; where the client rotates refresh tokens, there is a new one of these, too.
//
// Evidence: the reference page "GetTokensFromRefreshToken".
func (s *SignIns) Refresh(ctx context.Context, c *dispatch.Call, in *api.GetTokensFromRefreshTokenInput) (*api.GetTokensFromRefreshTokenOutput, error) {
	if !holdsSecret(c, in.ClientSecret) {
		return nil, fault.ClientSecretWrong(c.Client.ID)
	}
	set, rotated, err := s.refresh(ctx, c, in.RefreshToken, notice.SourceTokens, in.ClientMetadata, func(*user.Record) error { return nil })
	if err != nil {
		return nil, err
	}
	return &api.GetTokensFromRefreshTokenOutput{AuthenticationResult: result(set, rotated)}, nil
}

// holdsSecret reports whether a caller knows a secret of the client, where it has any. One that has none is not asked.
func holdsSecret(c *dispatch.Call, given *secret.Text) bool {
	proven := len(c.Client.Secrets) == 0
	for _, s := range c.Client.Secrets {
		proven = given != nil && given.Equal(s.Value) || proven
	}
	return proven
}

// refresh makes new tokens for the family of a refresh token. proves checks what else the caller has to prove of the owner.
func (s *SignIns) refresh(ctx context.Context, c *dispatch.Call, text secret.Text, source string, metadata map[string]string, proves func(*user.Record) error) (set *tokens.Set, rotated bool, err error) {
	t, err := s.Tokens.OpenRefresh(ctx, c.Pool, text)
	if errors.Is(err, tokens.ErrRefresh) || err == nil && t.ClientID != c.Client.ID {
		return nil, false, fault.RefreshTokenInvalid().Because(err)
	}
	if err != nil {
		return nil, false, err
	}
	// What is refused is refused before the function runs. Without rotation a refresh writes nothing.
	signer, err := s.Tokens.Signer(ctx, c.Pool)
	if err != nil {
		return nil, false, err
	}
	d := s.Tokens.Draw()
	rotates := c.Client.Rotation != nil && c.Client.Rotation.Enabled
	var facts *token.Facts
	err = s.Store.View(ctx, func(v store.View) (err error) {
		if facts, err = s.renewal(v.Users(), v.Families(), v.Groups(), c, t, d); err != nil {
			return err
		}
		return proves(facts.User)
	})
	if err != nil {
		return nil, false, err
	}
	override, err := s.Messages.PreTokenGeneration(ctx, c, facts.User, notice.Tokens{Source: source, Groups: facts.Grants.Groups,
		Roles: facts.Grants.Roles, Preferred: facts.Grants.Preferred, Scopes: facts.Family.Scopes, Metadata: metadata})
	if err != nil {
		return nil, false, err
	}
	if rotates || t.Generation != facts.Family.Generation {
		if facts, err = s.rotate(ctx, c, t, d); err != nil {
			return nil, false, err
		}
	}
	facts.Override = override
	set, err = signer.Sign(facts)
	return set, rotates, err
}

// renewal reads what the renewed tokens of a refresh token say.
func (s *SignIns) renewal(users store.UserReader, families store.FamilyReader, groups store.GroupReader, c *dispatch.Call, t tokens.Refresh, d tokens.Draw) (*token.Facts, error) {
	// The user first: whoever disables a user or signs one out locks it before the families.
	u, err := users.BySub(c.Pool.ID, t.Sub)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.RefreshTokenInvalid().Because(err)
	}
	if err != nil {
		return nil, err
	}
	f, err := families.Get(c.Pool.ID, t.Sub, t.Family)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, fault.RefreshTokenExpired().Because(err) // expired families are removed in the end
	case err != nil:
		return nil, err
	case !c.Now.Before(f.Expires):
		return nil, fault.RefreshTokenExpired()
	case !f.Lives(c.Client.Created):
		return nil, fault.RefreshTokenRevoked()
	case !u.Enabled:
		return nil, fault.UserDisabled()
	case u.Status == user.ResetRequired:
		if c.Spec.Lists(fault.PasswordResetRequiredException) {
			return nil, fault.PasswordResetRequired()
		}
		return nil, fault.ResetBeforeRefresh()
	}
	member, err := groups.Of(c.Pool.ID, t.Sub)
	if err != nil {
		return nil, err
	}
	return s.Tokens.Renew(c.Pool, c.Client, u, f, member, c.Now, d), nil
}

// rotate makes the next generation of a family the present one, or gives out another token of it to who repeats a request within
// the time of grace. A token that comes again later is in wrong hands, or was: the family ends with it.
//
// Evidence: documented, but for the end of the family, which is a hardening of this server.
func (s *SignIns) rotate(ctx context.Context, c *dispatch.Call, t tokens.Refresh, d tokens.Draw) (facts *token.Facts, err error) {
	var refusal error
	err = s.Store.Update(ctx, c.Scope(""), func(tx store.Tx) (err error) {
		refusal = nil
		if facts, err = s.renewal(tx.Users(), tx.Families(), tx.Groups(), c, t, d); err != nil {
			return err
		}
		f := *facts.Family
		switch {
		case t.Generation == f.Generation:
			if err := tx.Families().Rotate(&f, c.Now); err != nil {
				return stale(err)
			}
			f.Generation, f.Rotated = f.Generation+1, c.Now
			facts.Family = &f
			return tx.Journal().Add(c.Entry(c.Pool.ID, f.Sub))
		case t.Generation == f.Generation-1 && c.Now.Sub(f.Rotated).Abs() < grace(c): // of two at once the earlier may come second
			return nil
		}
		refusal = reused(c)
		if err := tx.Families().Revoke(c.Pool.ID, f.Sub, f.ID, c.Now); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, f.Sub, "reuse"))
	})
	return facts, cmp.Or(err, refusal)
}

// reused is the fault of a token that was rotated away.
func reused(c *dispatch.Call) error {
	if c.Spec.Lists(fault.RefreshTokenReuseException) {
		return fault.RefreshTokenReused()
	}
	return fault.RefreshTokenRevoked()
}

// grace is how long a rotated token is still good.
func grace(c *dispatch.Call) time.Duration {
	if r := c.Client.Rotation; r != nil && r.Grace != nil {
		return time.Duration(*r.Grace) * time.Second
	}
	return 0
}

// Revoke ends the sign-in of a refresh token: the token, and all others of its family. One that is revoked already, or expired,
// is no fault (unconfirmed).
//
// Evidence: the reference page "RevokeToken"; texts and the types of its faults are unconfirmed.
func (s *SignIns) Revoke(ctx context.Context, c *dispatch.Call, in *api.RevokeTokenInput) (*api.RevokeTokenOutput, error) {
	if c.Client == nil || !holdsSecret(c, in.ClientSecret) {
		return nil, fault.ClientNotProven()
	}
	if !c.Client.Revocation {
		return nil, fault.RevocationOff()
	}
	t, err := s.Tokens.OpenRefresh(ctx, c.Pool, in.Token)
	if errors.Is(err, tokens.ErrRefresh) {
		if _, err := jose.Split(in.Token.Reveal()); err == nil {
			return nil, fault.NotARefreshToken()
		}
		return nil, fault.GarbledToken().Because(err)
	}
	if err != nil {
		return nil, err
	}
	if t.ClientID != c.Client.ID {
		return nil, fault.ClientNotProven()
	}
	err = s.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		// Whoever signs a user out or renews tokens locks the user first.
		_, err := tx.Users().BySub(c.Pool.ID, t.Sub)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		f, err := tx.Families().Get(c.Pool.ID, t.Sub, t.Family)
		if errors.Is(err, store.ErrNotFound) || err == nil && !f.Revoked.IsZero() {
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.Families().Revoke(c.Pool.ID, t.Sub, t.Family, c.Now); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, t.Sub))
	})
	if err != nil {
		return nil, err
	}
	return &api.RevokeTokenOutput{}, nil
}
