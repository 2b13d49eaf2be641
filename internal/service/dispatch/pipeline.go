// Package dispatch is the one pipeline that all operations pass through, in both dialects: authenticate, decode,
// constrain, scope, limit, resolve, run, settle. It owns the registry of operations and what an operation knows
// of its call.
//
// It reads no bytes (that is internal/edge, which implements Inbound) and holds no rule about users or pools (that
// is internal/domain); the operations are next door in package ops.
package dispatch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Inbound is the half of a request that only the edge understands.
type Inbound interface {
	// Authenticate proves the caller of an operation that needs a signature. It must not interpret the body.
	Authenticate(ctx context.Context, spec *api.Spec) (Principal, error)
	// Decode reads the body into the operation's input and tells which required scalars were absent.
	Decode(spec *api.Spec, into any) (Missing, error)
}

// Request is a request with its protocol taken off.
type Request struct {
	ID        string // unique; also the journal's key
	Operation string // as named by the caller
	Region    string
	Source    string // network address of the caller
	UserAgent string
	Hosted    bool // a page of this server asks, see Call.Hosted
	Inbound   Inbound
}

// Reply is what became of a request. Out is a pointer to the operation's output, nil when it has none or failed.
type Reply struct {
	Spec   *api.Spec // nil when the operation is unknown
	Out    any
	Err    *fault.Error // nil on success
	Cause  error        // what the log should say about an internal error
	At     time.Time    // the instant of the call
	PoolID string
	Caller string
	even   bool // when it leaves shall tell nothing
}

// AccessTokens verifies access tokens.
type AccessTokens interface {
	// Open returns what a token says that is one of this server, not expired at the instant, and has the scope for the
	// API; a fault for any other.
	Open(ctx context.Context, text secret.Text, now time.Time) (*token.Access, error)
}

// Pipeline answers requests.
type Pipeline struct {
	Registry *Registry
	Store    store.Store
	Clock    clock.Clock
	Limits   *Limiter // nil: no limits
	Sources  *Sources // nil: no budgets by address
	Account  string
	// CustomIDs lets callers choose ids by LocalStack's _custom_id_ convention.
	CustomIDs bool
	Settings  *Settings
	Tokens    AccessTokens // needed where operations that take a token are registered
	Even      Even         // when answers leave that shall not tell who exists; zero: at once
	Log       *slog.Logger
}

// staleTries is how often an operation is run again because its pool or client changed meanwhile.
const staleTries = 3

// Serve answers one request. It never panics on input, and an error that is not a fault becomes
// InternalErrorException, which says that nothing was committed.
func (p *Pipeline) Serve(ctx context.Context, r *Request) Reply {
	begin, reply := clock.Machine(), Reply{At: p.Clock.Now()}
	out, err := p.serve(store.WithGuard(ctx), r, &reply)
	if reply.even {
		p.Even.Wait(ctx, begin)
	}
	if err != nil {
		reply.Err, reply.Cause = p.settle(r, &reply, err)
		return reply
	}
	if reply.Spec.Out != nil {
		reply.Out = out
	}
	return reply
}

func (p *Pipeline) serve(ctx context.Context, r *Request, reply *Reply) (any, error) {
	spec, ok := api.ByName(r.Operation)
	if !ok {
		return nil, fault.UnknownOperation()
	}
	reply.Spec = spec
	h, built := p.Registry.handlers[spec.Name]
	c := Call{RequestID: r.ID, Spec: spec, Now: reply.At, Region: r.Region, Account: p.Account, Source: r.Source,
		UserAgent: r.UserAgent, Hosted: r.Hosted, CustomIDs: p.CustomIDs}
	var err error
	if spec.Auth == api.IAM {
		if c.Caller, err = r.Inbound.Authenticate(ctx, spec); err != nil {
			return nil, err
		}
		reply.Caller = c.Caller.KeyID
	}
	if spec.Auth == api.Public {
		if err := p.Sources.Allow(r.Source); err != nil {
			return nil, err
		}
	}
	if !built {
		return nil, fault.NotBuilt(spec.Name)
	}
	in := h.new()
	missing, err := r.Inbound.Decode(spec, in)
	if err != nil {
		return nil, err
	}
	if p.CustomIDs {
		c.CustomID = takeCustomID(in)
	}
	if err := Constrain(spec.In, in, missing); err != nil {
		return nil, err
	}
	names := named(spec, in)
	if spec.Auth == api.Token || spec.Auth == api.Public {
		if err := p.open(ctx, &c, in, &names); err != nil {
			return nil, err
		}
		reply.Caller = c.Caller.KeyID
	}
	reply.PoolID = names.pool
	if err := p.scope(&c, names); err != nil {
		return nil, err
	}
	if err := p.Limits.Allow(ctx, spec, r.Region, cmp.Or(names.pool, names.client), names.user); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		if err := p.resolve(ctx, &c, names); err != nil {
			return nil, err
		}
		if c.Pool != nil {
			reply.PoolID = c.Pool.ID
		}
		reply.even = evened(&c)
		out, err := h.run(ctx, &c, in)
		if spec.Writes && names.pool != "" && changesSettings(spec.Quota) || errors.Is(err, store.ErrStale) {
			p.Settings.Forget(reply.PoolID)
		}
		if !errors.Is(err, store.ErrStale) || try == staleTries {
			return out, err
		}
	}
}

// changesSettings reports whether writes of the category change a pool or its clients.
func changesSettings(q api.Quota) bool {
	return q == api.UserPoolUpdate || q == api.UserPoolClientUpdate || q == api.UserPoolResourceUpdate
}

// open verifies the access token in the input, which then says what pool and client the request is about. An operation
// whose token is optional runs without one.
func (p *Pipeline) open(ctx context.Context, c *Call, in any, n *names) error {
	text := accessToken(c.Spec, in)
	if text.IsZero() {
		return nil
	}
	var err error
	if c.Token, err = p.Tokens.Open(ctx, text, c.Now); err != nil {
		return err
	}
	n.pool, n.client, n.user = c.Token.PoolID, c.Token.ClientID, c.Token.Username
	c.Caller.KeyID = c.Token.Sub
	return nil
}

// accessToken is the member AccessToken of an input, empty when it is absent or there is no such member.
func accessToken(spec *api.Spec, in any) secret.Text {
	i := spec.In.Member("AccessToken")
	if i < 0 {
		return secret.Text{}
	}
	switch v := reflect.ValueOf(in).Elem().Field(i).Interface().(type) {
	case secret.Text:
		return v
	case *secret.Text:
		if v != nil {
			return *v
		}
	}
	return secret.Text{}
}

// names is what the input says the request is about.
type names struct{ pool, client, user, resource string }

func named(spec *api.Spec, in any) names {
	v := reflect.ValueOf(in).Elem()
	get := func(i int) string {
		if i < 0 {
			return ""
		}
		f := v.Field(i)
		if f.Kind() == reflect.Pointer {
			if f.IsNil() {
				return ""
			}
			f = f.Elem()
		}
		return f.String()
	}
	n := names{pool: get(spec.Pool), client: get(spec.Client), user: get(spec.User), resource: get(spec.Resource)}
	if spec.Resource >= 0 {
		n.pool = poolOf(n.resource)
	}
	return n
}

// poolOf is the pool id in a user pool's ARN, "" when the ARN is of anything else.
func poolOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "cognito-idp" {
		return ""
	}
	id, ok := strings.CutPrefix(parts[5], "userpool/")
	if !ok {
		return ""
	}
	return id
}

// scope refuses a pool that the caller's key does not cover, without a look at whether it exists.
func (p *Pipeline) scope(c *Call, n names) error {
	if len(c.Caller.Pools) == 0 || c.Spec.Auth != api.IAM {
		return nil
	}
	if n.pool != "" && slices.Contains(c.Caller.Pools, n.pool) {
		return nil
	}
	resource := "*"
	if n.pool != "" {
		resource = (&pool.Pool{ID: n.pool, Region: c.Region, Account: p.Account}).ARN()
	}
	return fault.Denied(c.Caller.ARN, c.Spec.Name, resource)
}

// resolve finds the pool and the client that the input names.
func (p *Pipeline) resolve(ctx context.Context, c *Call, n names) error {
	spec := c.Spec
	if spec.Resource >= 0 && n.pool == "" {
		return fault.InvalidArn(n.resource)
	}
	if n.pool == "" {
		return p.public(ctx, c, n.client)
	}
	found, err := p.Settings.Pool(ctx, n.pool)
	if errors.Is(err, store.ErrNotFound) && c.Token != nil {
		return fault.InvalidAccessToken().Because(err) // its issuer is no more
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && spec.Resource >= 0 && found.ARN() != n.resource {
		return fault.PoolNotFound(n.pool).Because(err)
	}
	if err != nil {
		return err
	}
	c.Pool = found
	if err := primary(spec, found); err != nil || n.client == "" {
		return err
	}
	c.Client, err = p.Settings.Client(ctx, n.pool, n.client)
	if errors.Is(err, store.ErrNotFound) {
		return fault.ClientNotFound(n.client).Because(err)
	}
	return err
}

// public finds the client that an operation names without its pool, and the pool. A request without a client id is
// the operation's to judge.
func (p *Pipeline) public(ctx context.Context, c *Call, id string) (err error) {
	if id == "" {
		return nil
	}
	c.Pool, c.Client, err = p.Settings.PublicClient(ctx, id)
	if errors.Is(err, store.ErrNotFound) && !c.Spec.Lists(fault.ResourceNotFoundException) {
		c.Pool, c.Client = nil, nil
		return nil // the operation has a fault of its own for it
	}
	if errors.Is(err, store.ErrNotFound) {
		return fault.ClientNotFound(id).Because(err)
	}
	if err != nil {
		return err
	}
	return primary(c.Spec, c.Pool)
}

// primary refuses writes to a secondary replica.
func primary(spec *api.Spec, p *pool.Pool) error {
	if p.Replica && spec.Writes && spec.Lists(fault.OperationNotEnabledException) {
		return fault.OnReplica(spec.Name)
	}
	return nil
}

// settle turns whatever an operation returned into the fault that the client reads.
func (p *Pipeline) settle(r *Request, reply *Reply, err error) (*fault.Error, error) {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		if s := reply.Spec; s != nil && !f.Code.Common() && !always(f.Code) && !s.Lists(f.Code) {
			p.Log.Error("fault that the operation does not list", "operation", s.Name, "code", string(f.Code), "request_id", r.ID)
		}
		return f, nil
	}
	if errors.Is(err, store.ErrStale) && reply.Spec.Lists(fault.ConcurrentModificationException) {
		return fault.ConcurrentModification().Because(err), err
	}
	if errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrStale) {
		return fault.TooManyRequests().Because(err), err
	}
	return fault.Internal(r.ID).Because(err), err
}

// always are the modelled exceptions that the pipeline itself may answer for every operation.
func always(code fault.Code) bool {
	switch code {
	case fault.AccessDeniedException, fault.TooManyRequestsException, fault.UnsupportedOperationException,
		fault.InternalErrorException, fault.InvalidParameterException:
		return true
	}
	return false
}
