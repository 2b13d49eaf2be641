// Package tokens issues and verifies the tokens that domain/token decided about: it keeps the keys of the pools, signs,
// seals refresh tokens, and serves the two documents by which others verify, the JWK set and the discovery document.
//
// A sign-in writes its family in its own transaction (Begin) and hands out tokens after the commit (Sign), so that no
// token is out whose family is not on the disk. Whether a family is revoked is read by the operation, in the
// transaction of what it does; nothing of that is kept here. Keys are kept for a moment: what an id stands for never
// changes, but an operator may take a key back.
package tokens

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Tokens issues and verifies tokens. Its exported fields must be set before the first request.
type Tokens struct {
	Store  store.Store
	Chance *chance.Source
	Clock  clock.Clock // the domain's
	// Base is the address before the pool's id in issuers, without a slash at its end, or AWS.
	Base string
	// MaxAge is how long keys that were read serve before they are read again; 0: until they are forgotten, which is right
	// when this process is the only one that changes them.
	MaxAge time.Duration
	Real   clock.Clock // tells that age; nil where MaxAge is 0
	// Generate makes a signing key; nil: jose.Generate. Tests put prepared keys here.
	Generate func(id string) (*jose.Key, error)

	making  sync.Mutex // one maker of keys at a time
	mu      sync.RWMutex
	headed  map[string]heldVerifier // by the header of tokens
	rings   map[string]*ring        // by pool id
	forgets uint64                  // how often keys were forgotten: what was read before is not kept after
	proven  proven
}

// AWS as Base gives issuers the addresses of the real service, so that verifiers with fixed issuers accept them.
const AWS = "aws"

// updatedPath stands before the pool's id in issuers of type UPDATED, where the real service has another host.
const updatedPath = "/issuer"

// Issuer is the claim iss of a pool's tokens, and the address below which its documents are.
func (t *Tokens) Issuer(p *pool.Pool) string {
	updated := p.Issuer != nil && *p.Issuer == "UPDATED"
	if t.Base != AWS {
		if updated {
			return t.Base + updatedPath + "/" + p.ID
		}
		return t.Base + "/" + p.ID
	}
	host, domain := "cognito-idp.", ".amazonaws.com"
	if updated {
		host = "issuer-cognito-idp."
	}
	if pool.Partition(p.Region) == "aws-cn" {
		domain += ".cn"
	}
	return "https://" + host + p.Region + domain + "/" + p.ID
}

// Open verifies an access token for an operation that takes one: its form and key, its signature, its age and its scope,
// in this order. Whether its family lives, its client exists and its user is enabled is for the transaction to see.
func (t *Tokens) Open(ctx context.Context, text secret.Text, now time.Time) (*token.Access, error) {
	parts, err := jose.Split(text.Reveal())
	if err != nil {
		return nil, fault.InvalidAccessToken().Because(err)
	}
	v, err := t.verifier(ctx, parts)
	if errors.Is(err, jose.ErrForm) || errors.Is(err, store.ErrNotFound) || err == nil && v.use != token.ForAccess {
		return nil, fault.InvalidAccessToken().Because(err)
	}
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(text.Reveal()))
	a := t.proven.find(digest, v)
	if a == nil {
		payload, err := v.key.Verify(parts)
		if err != nil {
			return nil, fault.AccessTokenSignature().Because(err)
		}
		if a, err = token.ReadAccess(v.poolID, payload); err != nil {
			return nil, fault.InvalidAccessToken().Because(err)
		}
		t.proven.add(digest, v, a)
	}
	if !now.Before(a.Expires) {
		return nil, fault.AccessTokenExpired()
	}
	if !a.Has(token.AdminScope) {
		return nil, fault.AccessTokenScopes()
	}
	return a, nil
}

// Draw is the randomness of a sign-in, drawn before its transaction.
type Draw struct{ family, event, idJti, accessJti string }

// Draw draws.
func (t *Tokens) Draw() Draw {
	return Draw{t.Chance.UUID(), t.Chance.UUID(), t.Chance.UUID(), t.Chance.UUID()}
}

// SignIn is a completed sign-in.
type SignIn struct {
	Pool      *pool.Pool
	Client    *pool.Client
	User      *user.Record // as it was read in the transaction
	Origin    token.Origin
	Scopes    []string
	DeviceKey string
	Now       time.Time
}

// Begin writes the family of a sign-in in the transaction that completes it, and reads what its tokens will say.
func (t *Tokens) Begin(tx store.Tx, s SignIn, d Draw) (*token.Facts, error) {
	// A clock that was put back, or that of another server, must not make the sign-in one of an earlier client of this id.
	created := s.Now
	if created.Before(s.Client.Created) {
		created = s.Client.Created
	}
	f := &token.Family{PoolID: s.Pool.ID, Sub: s.User.Sub, ID: d.family, ClientID: s.Client.ID, EventID: d.event, Origin: s.Origin, Scopes: s.Scopes,
		DeviceKey: s.DeviceKey, AuthTime: s.Now, Created: created, Expires: s.Now.Add(time.Duration(s.Client.RefreshSeconds()) * time.Second)}
	if err := tx.Families().Create(f); err != nil {
		return nil, err
	}
	groups, err := tx.Groups().Of(s.Pool.ID, s.User.Sub)
	if err != nil {
		return nil, err
	}
	return &token.Facts{Issuer: t.Issuer(s.Pool), Pool: s.Pool, Client: s.Client, User: s.User, Family: f, Grants: token.GrantsOf(groups), Now: s.Now,
		IDJti: d.idJti, AccessJti: d.accessJti}, nil
}

// Renew is what the tokens of a family say that are issued anew, to the user with the groups as they are now.
func (t *Tokens) Renew(p *pool.Pool, c *pool.Client, u *user.Record, f *token.Family, groups []*user.Group, now time.Time, d Draw) *token.Facts {
	return &token.Facts{Issuer: t.Issuer(p), Pool: p, Client: c, User: u, Family: f, Grants: token.GrantsOf(groups), Now: now,
		IDJti: d.idJti, AccessJti: d.accessJti}
}

// Set is the tokens of one answer.
type Set struct {
	Access, ID, Refresh secret.Text
	ExpiresIn           int64 // seconds, of the access token
}

// Signer signs the tokens of a pool with the keys that it has now. It touches nothing outside of itself, so that nothing can
// come between a commit and its answer.
type Signer struct {
	keys   *present
	chance *chance.Source
}

// Signer reads the keys of a pool, or makes them. It must not be called in a transaction.
func (t *Tokens) Signer(ctx context.Context, p *pool.Pool) (*Signer, error) {
	r, err := t.ringOf(ctx, p)
	if err != nil {
		return nil, err
	}
	return &Signer{r.at(t.Clock.Now()), t.Chance}, nil
}

// Sign makes the tokens of a family that is committed. Signatures take their time: they do not belong into a transaction.
func (s *Signer) Sign(f *token.Facts) (*Set, error) {
	access, err := s.keys.access.Sign(f.Access().Append(nil))
	if err != nil {
		return nil, err
	}
	id, err := s.keys.id.Sign(f.ID().Append(nil))
	if err != nil {
		return nil, err
	}
	return &Set{Access: secret.New(access), ID: secret.New(id), ExpiresIn: f.Client.AccessSeconds(),
		Refresh: s.keys.refresh.seal(s.chance, Refresh{Sub: f.Family.Sub, Family: f.Family.ID, ClientID: f.Family.ClientID, Generation: f.Family.Generation})}, nil
}

// SignMachine makes the token of a client that calls on its own behalf.
func (s *Signer) SignMachine(m *token.Machine) (secret.Text, error) {
	text, err := s.keys.access.Sign(m.Access().Append(nil))
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(text), nil
}

// OpenRefresh reads a refresh token of a pool. It is an error when it is not one that this server sealed for the pool;
// whether its family still lives is for the transaction to see.
func (t *Tokens) OpenRefresh(ctx context.Context, p *pool.Pool, text secret.Text) (Refresh, error) {
	r, err := t.ringOf(ctx, p)
	if err != nil {
		return Refresh{}, err
	}
	return r.at(t.Clock.Now()).refresh.open(text)
}

// issueTries is how often Issue starts again because pool or client changed meanwhile.
const issueTries = 3

// Issue makes the tokens that a sign-in of the user through the client would end with, with the same records. It is for
// development and tests: nobody has proven anything.
func (t *Tokens) Issue(ctx context.Context, poolID, clientID, username string) (set *Set, family *token.Family, err error) {
	for range issueTries {
		if set, family, err = t.issue(ctx, poolID, clientID, username); !errors.Is(err, store.ErrStale) {
			break
		}
	}
	return set, family, err
}

func (t *Tokens) issue(ctx context.Context, poolID, clientID, username string) (*Set, *token.Family, error) {
	switch {
	case !pool.ValidID(poolID):
		return nil, nil, fault.PoolNotFound(poolID)
	case !pool.ValidClientID(clientID):
		return nil, nil, fault.ClientNotFound(clientID)
	}
	s := SignIn{Origin: token.FromAPI, Scopes: []string{token.AdminScope}, Now: t.Clock.Now()}
	err := t.Store.View(ctx, func(v store.View) (err error) {
		if s.Pool, err = v.Pools().Get(poolID); err != nil {
			return found(err, fault.PoolNotFound(poolID))
		}
		s.Client, err = v.Clients().Get(poolID, clientID)
		return found(err, fault.ClientNotFound(clientID))
	})
	if err != nil {
		return nil, nil, err
	}
	signer, err := t.Signer(ctx, s.Pool) // so that nothing is written when there is no key
	if err != nil {
		return nil, nil, err
	}
	d, request := t.Draw(), t.Chance.RequestIDAt(clock.Machine())
	var facts *token.Facts
	err = t.Store.Update(ctx, store.Scope{Pool: s.Pool, Client: s.Client, Login: username}, func(tx store.Tx) error {
		r, err := tx.Users().ByLogin(s.Pool, username)
		if err != nil {
			return found(err, fault.UserNotFound())
		}
		if err := mayHave(r); err != nil {
			return err
		}
		in := s
		in.User = r
		if facts, err = t.Begin(tx, in, d); err != nil {
			return err
		}
		return tx.Journal().Add(store.Entry{RequestID: request, Time: s.Now, Operation: "IssueTokens", PoolID: poolID, Sub: r.Sub})
	})
	if err != nil {
		return nil, nil, err
	}
	set, err := signer.Sign(facts)
	return set, facts.Family, err
}

// found gives absence its meaning.
func found(err error, missing *fault.Error) error {
	if errors.Is(err, store.ErrNotFound) {
		return missing.Because(err)
	}
	return err
}

// mayHave refuses users whose sign-in would not end with tokens.
func mayHave(r *user.Record) error {
	switch {
	case !r.Enabled:
		return fault.UserDisabled()
	case r.Status == user.Unconfirmed:
		return fault.UserNotConfirmed()
	case r.Status == user.ResetRequired:
		return fault.PasswordResetRequired()
	case r.Status == user.ForceChangePassword:
		return fault.NewPasswordFirst()
	}
	return nil
}
