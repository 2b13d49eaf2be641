package ops

import (
	"context"
	"errors"
	"strconv"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// ResourceServers are the operations on the APIs that tokens are made for. What they change about a scope counts at the
// next token: clients keep the names of scopes that are gone, and nobody is granted them.
type ResourceServers struct {
	Store store.Store
	Pages *page.Sealer
	Limit int // resource servers of a pool; 0: the documented default
}

// maxServerPage is the largest page of resource servers, and its default.
const maxServerPage = 50

// Register puts the family into the registry.
func (o *ResourceServers) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.CreateResourceServer, o.Create)
	dispatch.Handle(r, api.DescribeResourceServer, o.Describe)
	dispatch.Handle(r, api.UpdateResourceServer, o.Update)
	dispatch.Handle(r, api.DeleteResourceServer, o.Delete)
	dispatch.Handle(r, api.ListResourceServers, o.List)
}

// Create makes a resource server.
//
// Evidence: the reference page "CreateResourceServer"; the order of checks is unconfirmed.
func (o *ResourceServers) Create(ctx context.Context, c *dispatch.Call, in *api.CreateResourceServerInput) (*api.CreateResourceServerOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	scopes, err := serverScopes(in.Scopes)
	if err != nil {
		return nil, err
	}
	made := &pool.ResourceServer{PoolID: c.Pool.ID, Identifier: in.Identifier, Name: in.Name, Scopes: scopes, Created: c.Now, Modified: c.Now}
	err = o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		switch _, err := tx.ResourceServers().Get(c.Pool.ID, in.Identifier); {
		case err == nil:
			return fault.ResourceServerExists(in.Identifier, c.Pool.ID)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		n, err := tx.ResourceServers().Count(c.Pool.ID)
		if err != nil {
			return err
		}
		if limit := atLeast(o.Limit, pool.MaxResourceServers); n >= limit {
			return fault.TooManyResourceServers(strconv.Itoa(limit))
		}
		if err := tx.ResourceServers().Create(made); err != nil {
			if errors.Is(err, store.ErrConflict) {
				return fault.ResourceServerExists(in.Identifier, c.Pool.ID).Because(err)
			}
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", serverName(in.Identifier)))
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateResourceServerOutput{ResourceServer: shownServer(made)}, nil
}

// Describe shows one resource server.
//
// Evidence: the reference page "DescribeResourceServer".
func (o *ResourceServers) Describe(ctx context.Context, c *dispatch.Call, in *api.DescribeResourceServerInput) (*api.DescribeResourceServerOutput, error) {
	var found *pool.ResourceServer
	err := o.Store.View(ctx, func(v store.View) (err error) {
		found, err = v.ResourceServers().Get(c.Pool.ID, in.Identifier)
		return gone(err, fault.ResourceServerNotFound(in.Identifier))
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeResourceServerOutput{ResourceServer: shownServer(found)}, nil
}

// Update replaces name and scopes. Scopes that the request lacks are gone.
//
// Evidence: the reference page "UpdateResourceServer".
func (o *ResourceServers) Update(ctx context.Context, c *dispatch.Call, in *api.UpdateResourceServerInput) (*api.UpdateResourceServerOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	scopes, err := serverScopes(in.Scopes)
	if err != nil {
		return nil, err
	}
	var after pool.ResourceServer
	err = o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		before, err := tx.ResourceServers().Get(c.Pool.ID, in.Identifier)
		if err != nil {
			return gone(err, fault.ResourceServerNotFound(in.Identifier))
		}
		after = *before
		after.Name, after.Scopes, after.Modified = in.Name, scopes, c.Now
		if err := tx.ResourceServers().Save(&after); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", serverName(in.Identifier)))
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateResourceServerOutput{ResourceServer: shownServer(&after)}, nil
}

// Delete removes a resource server and with it its scopes.
//
// Evidence: the reference page "DeleteResourceServer".
func (o *ResourceServers) Delete(ctx context.Context, c *dispatch.Call, in *api.DeleteResourceServerInput) (*struct{}, error) {
	return nil, o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		if err := tx.ResourceServers().Delete(c.Pool.ID, in.Identifier); err != nil {
			return gone(err, fault.ResourceServerNotFound(in.Identifier))
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", serverName(in.Identifier)))
	})
}

// List shows the resource servers of a pool by identifier, a page at a time.
//
// Evidence: the reference page "ListResourceServers"; the order is unconfirmed.
func (o *ResourceServers) List(ctx context.Context, c *dispatch.Call, in *api.ListResourceServersInput) (*api.ListResourceServersOutput, error) {
	limit := maxServerPage
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	token := page.Token{Operation: c.Spec.Name, Scope: c.Pool.ID, Inputs: page.Hash(strconv.Itoa(limit)), Issued: c.Now}
	after, err := resume(o.Pages, in.NextToken, token)
	if err != nil {
		return nil, err
	}
	var list []*pool.ResourceServer
	err = o.Store.View(ctx, func(v store.View) (err error) {
		list, err = v.ResourceServers().List(c.Pool.ID, after, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListResourceServersOutput{ResourceServers: []api.ResourceServerType{}}
	for _, s := range list[:min(len(list), limit)] {
		out.ResourceServers = append(out.ResourceServers, *shownServer(s))
		token.After = s.Identifier
	}
	if len(list) > limit {
		out.NextToken = new(o.Pages.Seal(token))
	}
	return out, nil
}

// scopesOffered reads the scopes of a pool's resource servers, all of them: there are few.
func scopesOffered(servers store.ResourceServerReader, poolID string) ([]string, error) {
	var all []*pool.ResourceServer
	for after := ""; ; {
		list, err := servers.List(poolID, after, maxServerPage)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		if len(list) < maxServerPage {
			return pool.Offered(all), nil
		}
		after = list[len(list)-1].Identifier
	}
}

// serverScopes translates the scopes of a request, none of which may come twice (unconfirmed).
func serverScopes(list []api.ResourceServerScopeType) ([]pool.ServerScope, error) {
	var scopes []pool.ServerScope
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if seen[s.ScopeName] {
			return nil, fault.ScopeTwice(s.ScopeName)
		}
		seen[s.ScopeName] = true
		scopes = append(scopes, pool.ServerScope{Name: s.ScopeName, Description: s.ScopeDescription})
	}
	return scopes, nil
}

// serverName is how the journal names a resource server.
func serverName(identifier string) string { return "server:" + identifier }

// shownServer shows a resource server; Scopes is absent when it has none (unconfirmed).
func shownServer(s *pool.ResourceServer) *api.ResourceServerType {
	out := &api.ResourceServerType{UserPoolId: &s.PoolID, Identifier: &s.Identifier, Name: &s.Name}
	for _, scope := range s.Scopes {
		out.Scopes = append(out.Scopes, api.ResourceServerScopeType{ScopeName: scope.Name, ScopeDescription: scope.Description})
	}
	if s.Managed {
		out.ManagedBy = new("COGNITO")
	}
	return out
}
