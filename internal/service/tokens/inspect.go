package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Inspection is what this server knows of a token. It tells far more than a refusal does, and is for development.
type Inspection struct {
	Kind    string          // access, id, refresh; "" for what is none of them
	PoolID  string          // "" when no key of a pool made it
	Header  json.RawMessage // as it stands in the token; nil of refresh tokens, which are sealed
	Claims  json.RawMessage
	Expires time.Time
	Family  *token.Family // the sign-in that it comes from; nil: none is known
	// Faults says why the token is not good now, a sentence each; empty when it is.
	Faults []string
}

func (i *Inspection) fault(format string, args ...any) {
	i.Faults = append(i.Faults, fmt.Sprintf(format, args...))
}

// The numbers of parts of tokens.
const (
	signedParts = 3
	sealedParts = 5
)

// Inspect takes a token apart and says whether it is good, and if not, why.
func (t *Tokens) Inspect(ctx context.Context, text secret.Text) (*Inspection, error) {
	i := &Inspection{}
	given := strings.TrimSpace(text.Reveal())
	switch strings.Count(given, ".") + 1 {
	case signedParts:
		return i, t.inspectSigned(ctx, i, given)
	case sealedParts:
		return i, t.inspectSealed(ctx, i, secret.New(given))
	}
	i.fault("It is no token: ID and access tokens have three parts with dots between them, refresh tokens five.")
	return i, nil
}

// named is what an inspection wants to know of a token.
type named struct{ issuer, sub, clientID, family, event string }

func (t *Tokens) inspectSigned(ctx context.Context, i *Inspection, given string) error {
	parts := strings.Split(given, ".")
	var claims map[string]any
	for n, into := range []*json.RawMessage{&i.Header, &i.Claims} {
		part, err := raw.DecodeString(parts[n])
		claims = nil
		if err != nil || json.Unmarshal(part, &claims) != nil {
			i.fault("Part %d is not a JSON object in base64url.", n+1)
			return nil
		}
		*into = part
	}
	text := func(name string) string { value, _ := claims[name].(string); return value }
	i.Kind = text("token_use")
	if seconds, ok := claims["exp"].(float64); ok {
		i.Expires = time.Unix(int64(seconds), 0).UTC()
	}
	form, err := jose.Split(given)
	if err != nil {
		i.fault("The header is not one that this server writes.")
		return nil
	}
	v, err := t.verifier(ctx, form)
	switch {
	case errors.Is(err, jose.ErrForm):
		i.fault("The header is not one that this server writes.")
		return nil
	case errors.Is(err, store.ErrNotFound):
		i.fault("No key of this server has the key id: another server made the token, or the key was taken back or has done its time.")
		return nil
	case err != nil:
		return err
	}
	i.PoolID = v.poolID
	if _, err := v.key.Verify(form); err != nil {
		i.fault("The signature does not verify: the token was changed.")
		return nil
	}
	n := named{text("iss"), text("sub"), text("client_id"), text("origin_jti"), text("event_id")}
	if n.clientID == "" {
		n.clientID = text("aud")
	}
	return t.inspectState(ctx, i, n)
}

// inspectSealed opens a refresh token, which does not say whose it is: some pool can.
func (t *Tokens) inspectSealed(ctx context.Context, i *Inspection, text secret.Text) error {
	const page = 100
	for after := ""; ; {
		var pools []*pool.Pool
		err := t.Store.View(ctx, func(v store.View) (err error) {
			pools, err = v.Pools().List("", after, page)
			return err
		})
		if err != nil {
			return err
		}
		for _, p := range pools {
			after = p.ID
			_, _, r, err := t.look(ctx, p.ID)
			if err != nil {
				return err
			}
			if r == nil { // it has no keys yet
				continue
			}
			opened, err := r.at(t.Clock.Now()).refresh.open(text)
			if err != nil {
				continue
			}
			i.Kind, i.PoolID = "refresh", p.ID
			if err := t.inspectState(ctx, i, named{issuer: t.Issuer(p), sub: opened.Sub, clientID: opened.ClientID, family: opened.Family}); err != nil {
				return err
			}
			if i.Family != nil {
				i.Expires = i.Family.Expires
				if !t.Clock.Now().Before(i.Expires) {
					i.fault("It has expired.")
				}
				if opened.Generation < i.Family.Generation {
					i.fault("It was replaced by a later one, at %s.", i.Family.Rotated.Format(time.RFC3339))
				}
			}
			return nil
		}
		if len(pools) < page {
			i.fault("It is no refresh token of any pool of this server.")
			return nil
		}
	}
}

// inspectState looks at what can have changed since the token was made.
func (t *Tokens) inspectState(ctx context.Context, i *Inspection, n named) error {
	now := t.Clock.Now()
	if i.Kind != "refresh" && !now.Before(i.Expires) {
		i.fault("It has expired.")
	}
	faults := i.Faults
	return t.Store.View(ctx, func(v store.View) error {
		i.Faults, i.Family = faults[:len(faults):len(faults)], nil
		p, err := v.Pools().Get(i.PoolID)
		if errors.Is(err, store.ErrNotFound) {
			i.fault("Its pool does not exist.")
			return nil
		} else if err != nil {
			return err
		}
		if own := t.Issuer(p); n.issuer != own {
			i.fault("Its issuer is %s, and that of the pool is %s.", n.issuer, own)
		}
		c, err := v.Clients().Get(p.ID, n.clientID)
		if errors.Is(err, store.ErrNotFound) {
			i.fault("Its app client does not exist.")
		} else if err != nil {
			return err
		}
		if n.sub == n.clientID { // a program's
			return nil
		}
		u, err := v.Users().BySub(p.ID, n.sub)
		if errors.Is(err, store.ErrNotFound) {
			i.fault("Its user does not exist.")
			return nil
		} else if err != nil {
			return err
		}
		if !u.Enabled {
			i.fault("Its user is disabled.")
		}
		if n.family != "" {
			i.Family, err = v.Families().Get(p.ID, n.sub, n.family)
		} else {
			i.Family, err = v.Families().ByEvent(p.ID, n.sub, n.event)
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			i.Family = nil
			i.fault("The sign-in that it comes from is not known.")
		case err != nil:
			return err
		case !i.Family.Revoked.IsZero():
			i.fault("The sign-in that it comes from was revoked at %s.", i.Family.Revoked.Format(time.RFC3339))
		case c != nil && !i.Family.Lives(c.Created):
			i.fault("Its app client is a later one of the same id.")
		}
		return nil
	})
}
