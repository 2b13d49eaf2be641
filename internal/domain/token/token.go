// Package token holds the rules about tokens: what a sign-in leaves behind, which claims an ID and an access token have,
// how long they live, and what revokes them.
//
// It is pure. Keys, signatures and the opaque form of refresh tokens are the business of service/tokens; which steps a
// sign-in has is that of package challenge.
package token

import (
	"slices"
	"time"
)

// AdminScope is the scope of tokens from API sign-ins: without it a token is refused by the operations that take one.
const AdminScope = "aws.cognito.signin.user.admin"

// Origin is the way in which a family of tokens began.
type Origin string

// The origins.
const (
	FromAPI       Origin = "api"
	FromOAuth     Origin = "oauth"
	FromFederated Origin = "federated"
)

// Family is what a completed sign-in leaves behind: the record behind its refresh token, and behind every token that is
// issued from it. Revoking the family revokes them all.
type Family struct {
	PoolID   string
	Sub      string
	ID       string // the claim origin_jti
	ClientID string
	EventID  string // of the sign-in; the claim event_id
	Origin   Origin
	Scopes   []string
	// DeviceKey is the key of the device of the sign-in, "" without device tracking.
	DeviceKey string
	AuthTime  time.Time // when the user proved who it is; kept over refreshes
	Created   time.Time
	Expires   time.Time // of the refresh token, whatever its generation
	Revoked   time.Time // zero while the family lives
	// Generation counts the refresh tokens of a family whose client rotates them; Rotated is when the present one came,
	// zero for the first.
	Generation int
	Rotated    time.Time
}

// Lives reports whether the family's access tokens may still be used for a client: nobody has revoked it, and the
// client is not a later one that got the id of the client it was made for.
func (f *Family) Lives(clientCreated time.Time) bool {
	return f.Revoked.IsZero() && !f.Created.Before(clientCreated)
}

// Keep is how long a family is kept after its refresh token has expired: longer than an access token that was issued at
// the last moment, and than a clock that was set wrong for a while.
const Keep = 7 * 24 * time.Hour

// Access is a verified access token.
type Access struct {
	ID        string // the claim jti
	PoolID    string
	ClientID  string
	Sub       string
	Username  string
	Family    string // the claim origin_jti, "" when the client had revocation turned off
	EventID   string
	DeviceKey string
	Scopes    []string
	AuthTime  time.Time
	Issued    time.Time
	Expires   time.Time
}

// Has reports whether the token has the scope.
func (a *Access) Has(scope string) bool { return slices.Contains(a.Scopes, scope) }
