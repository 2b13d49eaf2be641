package dispatch

import (
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Principal is who calls, as far as it is proven.
type Principal struct {
	KeyID   string   // the access key or the name of a bearer key; "" for public operations
	ARN     string   // as AccessDenied prints it
	Actions []string // allowed actions, empty: all
	Pools   []string // allowed pools, empty: all
}

// Call is what an operation knows about the request besides its input.
type Call struct {
	RequestID string
	Spec      *api.Spec
	Now       time.Time // the one instant of this request, in milliseconds UTC, by the domain's clock
	Region    string    // that the request was made to; new pools get it as prefix
	Account   string
	Caller    Principal
	Source    string // the caller's network address, without port
	UserAgent string
	Pool      *pool.Pool   // of operations that name a pool, or carry an access token of one
	Client    *pool.Client // of operations that name a client, or carry an access token of one
	// Token is the access token that the request carried: its signature, age and scope are verified. Whether it is
	// revoked and whose it is now, the operation reads in its own transaction.
	Token *token.Access
	// Hosted says that a page of this server makes the call, which needs no secret of the client.
	Hosted bool
	// CustomIDs allows LocalStack's _custom_id_ tag and client name prefix.
	CustomIDs bool
	// CustomID is the id that the name of a client asked for, "" when it asked for none. The name in the input is then
	// the id; CustomIDPrefix and the id together are the name that the caller wrote.
	CustomID string
}

// Scope is what a transaction of this call reads: its pool and client must still be of the version that was
// resolved, and login is the user it is about ("" for none). What an operation writes without a line in the journal are
// steps of sign-ins and counts of attempts.
func (c *Call) Scope(login string) store.Scope {
	return store.Scope{Pool: c.Pool, Client: c.Client, Login: login, Again: true}
}

// PlainScope is Scope for a change of nothing but the one user.
func (c *Call) PlainScope(login string) store.Scope {
	s := c.Scope(login)
	s.Plain = true
	return s
}

// Entry is the journal's line for the change that this call makes: to the user sub, or to the pool when sub is
// empty. Names are of attributes or members, never values.
func (c *Call) Entry(poolID, sub string, names ...string) store.Entry {
	return store.Entry{RequestID: c.RequestID, Time: c.Now, Caller: c.Caller.KeyID, Source: c.Source,
		Operation: c.Spec.Name, PoolID: poolID, Sub: sub, Names: names}
}
