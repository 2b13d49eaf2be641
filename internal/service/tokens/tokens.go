// Package tokens issues and verifies the tokens that domain/token decided about: it keeps the keys of the pools, signs,
// seals refresh tokens, and serves the two documents by which others verify, the JWK set and the discovery document.
//
// A sign-in writes its family in its own transaction (Begin) and hands out tokens after the commit (Sign), so that no
// token is out whose family is not on the disk. Whether a family is revoked is read by the operation, in the
// transaction of what it does; nothing of that is kept here. Keys are kept: what an id stands for never changes.
package tokens

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
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
	// Generate makes a signing key; nil: jose.Generate. Tests put prepared keys here.
	Generate func(id string) (*jose.Key, error)

	making sync.Mutex // one maker of keys at a time
	mu     sync.RWMutex
	headed map[string]*verifier // by the header of tokens
	rings  map[string]*ring     // by pool id
	proven proven
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
	f := &token.Family{PoolID: s.Pool.ID, Sub: s.User.Sub, ID: d.family, ClientID: s.Client.ID, EventID: d.event, Origin: s.Origin, Scopes: s.Scopes,
		DeviceKey: s.DeviceKey, AuthTime: s.Now, Created: s.Now, Expires: s.Now.Add(time.Duration(s.Client.RefreshSeconds()) * time.Second)}
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
	ring   *ring
	chance *chance.Source
}

// Signer reads the keys of a pool, or makes them. It must not be called in a transaction.
func (t *Tokens) Signer(ctx context.Context, poolID string) (*Signer, error) {
	r, err := t.ring(ctx, poolID)
	if err != nil {
		return nil, err
	}
	return &Signer{r, t.Chance}, nil
}

// Sign makes the tokens of a family that is committed. Signatures take their time: they do not belong into a transaction.
func (s *Signer) Sign(f *token.Facts) (*Set, error) {
	access, err := s.ring.access.Sign(f.Access().Append(nil))
	if err != nil {
		return nil, err
	}
	id, err := s.ring.id.Sign(f.ID().Append(nil))
	if err != nil {
		return nil, err
	}
	return &Set{Access: secret.New(access), ID: secret.New(id), ExpiresIn: f.Client.AccessSeconds(),
		Refresh: s.ring.refresh.seal(s.chance, Refresh{Sub: f.Family.Sub, Family: f.Family.ID, ClientID: f.Family.ClientID, Generation: f.Family.Generation})}, nil
}

// SignMachine makes the token of a client that calls on its own behalf.
func (s *Signer) SignMachine(m *token.Machine) (secret.Text, error) {
	text, err := s.ring.access.Sign(m.Access().Append(nil))
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(text), nil
}

// OpenRefresh reads a refresh token of a pool. It is an error when it is not one that this server sealed for the pool;
// whether its family still lives is for the transaction to see.
func (t *Tokens) OpenRefresh(ctx context.Context, poolID string, text secret.Text) (Refresh, error) {
	r, err := t.ring(ctx, poolID)
	if err != nil {
		return Refresh{}, err
	}
	return r.refresh.open(text)
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
	signer, err := t.Signer(ctx, poolID) // so that nothing is written when there is no key
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

// verifier is the public half of a key, with what its tokens are of.
type verifier struct {
	poolID string
	use    token.Use
	key    *jose.Public
}

// maxKept bounds the number of keys in memory, and of pools whose keys are.
const maxKept = 10_000

// verifier finds the key that a token names. Tokens of one key have one header, so that most are found by it.
func (t *Tokens) verifier(ctx context.Context, parts jose.Token) (*verifier, error) {
	t.mu.RLock()
	v := t.headed[parts.Header]
	t.mu.RUnlock()
	if v != nil {
		return v, nil
	}
	id, err := parts.KeyID()
	if err != nil {
		return nil, err
	}
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
	key, err := jose.Parse(stored.ID, stored.Material)
	if err != nil {
		return nil, err
	}
	v = &verifier{stored.PoolID, stored.Use, key.Public()}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.headed == nil || len(t.headed) >= maxKept {
		t.headed = make(map[string]*verifier)
	}
	t.headed[strings.Clone(parts.Header)] = v
	return v, nil
}

// ring is the present keys of a pool.
type ring struct {
	poolCreated time.Time // a pool that was made again has others
	since       time.Time // when the youngest of the keys was made
	id, access  *jose.Key
	refresh     *refreshKey
	public      []byte // the JWK set of all keys of the pool
}

// ring returns the keys of a pool, and makes them when it has none yet. It is store.ErrNotFound for a pool that is not
// there.
func (t *Tokens) ring(ctx context.Context, poolID string) (*ring, error) {
	for range issueTries {
		p, keys, r, err := t.look(ctx, poolID)
		if err != nil || r != nil {
			return r, err
		}
		if err := t.make(ctx, p, keys); err != nil && !errors.Is(err, store.ErrStale) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("make the keys of pool %s: %w", poolID, store.ErrStale)
}

// look returns the ring of a pool, or, when it has none, the pool with those keys that it has.
func (t *Tokens) look(ctx context.Context, poolID string) (p *pool.Pool, keys []*token.Key, r *ring, err error) {
	err = t.Store.View(ctx, func(v store.View) (err error) {
		keys = nil
		if p, err = v.Pools().Get(poolID); err != nil {
			return err
		}
		t.mu.RLock()
		r = t.rings[poolID]
		t.mu.RUnlock()
		if r != nil && r.poolCreated.Equal(p.Created) {
			return nil
		}
		r = nil
		keys, err = v.SigningKeys().List(poolID)
		return err
	})
	if err != nil || r != nil {
		return p, nil, r, err
	}
	if r, err = newRing(p, keys); err != nil || r == nil {
		return p, keys, nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rings == nil || len(t.rings) >= maxKept {
		t.rings = make(map[string]*ring)
	}
	t.rings[poolID] = r
	return p, keys, r, nil
}

// newRing puts the keys of a pool in their places; nil when one is missing.
func newRing(p *pool.Pool, keys []*token.Key) (*ring, error) {
	r := &ring{poolCreated: p.Created}
	var public []*jose.Public
	for _, k := range keys {
		if k.Created.After(r.since) {
			r.since = k.Created
		}
		if k.Use == token.ForRefresh {
			r.refresh = r.refresh.with(p.ID, k)
			continue
		}
		key, err := jose.Parse(k.ID, k.Material)
		if err != nil {
			return nil, err
		}
		public = append(public, key.Public())
		switch {
		case k.State == token.Current && k.Use == token.ForID:
			r.id = key
		case k.State == token.Current && k.Use == token.ForAccess:
			r.access = key
		}
	}
	if r.id == nil || r.access == nil || r.refresh == nil || r.refresh.current == nil {
		return nil, nil
	}
	r.public = jose.AppendSet(nil, public...)
	return r, nil
}

// make makes the keys that a pool lacks. Another node may do the same now: the first ones stay.
func (t *Tokens) make(ctx context.Context, p *pool.Pool, have []*token.Key) error {
	t.making.Lock()
	defer t.making.Unlock()
	now := t.Clock.Now()
	var fresh []*token.Key
	for _, use := range []token.Use{token.ForID, token.ForAccess, token.ForRefresh} {
		missing := true
		for _, k := range have {
			missing = missing && (k.Use != use || k.State != token.Current)
		}
		if !missing {
			continue
		}
		k := &token.Key{PoolID: p.ID, ID: jose.KeyID([32]byte(t.Chance.Bytes(32))), Use: use, State: token.Current, Created: now, Changed: now}
		if use == token.ForRefresh {
			k.Material = t.Chance.Bytes(32)
		} else {
			generate := t.Generate
			if generate == nil {
				generate = jose.Generate
			}
			key, err := generate(k.ID)
			if err != nil {
				return err
			}
			k.Material = key.Marshal()
		}
		fresh = append(fresh, k)
	}
	err := t.Store.Update(ctx, store.Scope{Pool: p}, func(tx store.Tx) error {
		for _, k := range fresh {
			if err := tx.SigningKeys().Add(k); err != nil {
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
