package ops

import (
	"context"
	"strconv"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// Clients are the operations on app clients.
type Clients struct {
	Store  store.Store
	Chance *chance.Source
	Pages  *page.Sealer
	Limit  int // clients of a pool; 0: the documented default
}

const (
	defaultClientLimit = 1000
	// defaultClientPage is how many clients a page has when the request does not say.
	defaultClientPage = 60
)

// Register puts the family into the registry.
func (o *Clients) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.CreateUserPoolClient, o.Create)
	dispatch.Handle(r, api.DescribeUserPoolClient, o.Describe)
	dispatch.Handle(r, api.UpdateUserPoolClient, o.Update)
	dispatch.Handle(r, api.DeleteUserPoolClient, o.Delete)
	dispatch.Handle(r, api.ListUserPoolClients, o.List)
}

// Create makes an app client.
//
// Evidence: the reference page "CreateUserPoolClient".
func (o *Clients) Create(ctx context.Context, c *dispatch.Call, in *api.CreateUserPoolClientInput) (*api.CreateUserPoolClientOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	generate, own := in.GenerateSecret != nil && *in.GenerateSecret, in.ClientSecret != nil
	if err := pool.CheckSecret(generate, own); err != nil {
		return nil, err
	}
	wanted := clientInput(in)
	if c.CustomID != "" {
		wanted.Name = new(dispatch.CustomIDPrefix + c.CustomID)
	}
	if err := o.knowScopes(ctx, c, &wanted); err != nil {
		return nil, err
	}
	settings, err := pool.NewClient(c.Pool, wanted, generate || own)
	if err != nil {
		return nil, err
	}
	if c.CustomID != "" && !pool.ValidClientID(c.CustomID) {
		return nil, fault.BadCustomID(c.CustomID)
	}
	client := &pool.Client{PoolID: c.Pool.ID, Created: c.Now, Modified: c.Now, ClientSettings: settings}
	switch {
	case own:
		client.Secrets = []pool.ClientSecret{{Value: *in.ClientSecret, Created: c.Now}}
	case generate:
		client.Secrets = []pool.ClientSecret{{Value: secret.New(o.Chance.ClientSecret()), Created: c.Now}}
	}
	err = create(c.CustomID != "", c.CustomID, o.Chance.ClientID, func(id string) error {
		client.ID = id
		for i := range client.Secrets {
			client.Secrets[i].ID = id + "--" + strconv.FormatInt(c.Now.Unix(), 10)
		}
		return o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
			n, err := tx.Clients().Count(c.Pool.ID)
			if err != nil {
				return err
			}
			if limit := atLeast(o.Limit, defaultClientLimit); n >= limit {
				return fault.TooManyClients(strconv.Itoa(limit))
			}
			if err := tx.Clients().Create(client); err != nil {
				return err
			}
			return tx.Journal().Add(c.Entry(c.Pool.ID, "", clientNames(id, given(c, in))...))
		})
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateUserPoolClientOutput{UserPoolClient: clientType(client)}, nil
}

// knowScopes reads which scopes the resource servers of the pool offer, where the client is to have any. One that goes
// before the client is written leaves the client as it does when it goes afterwards.
func (o *Clients) knowScopes(ctx context.Context, c *dispatch.Call, wanted *pool.ClientInput) error {
	if !wanted.NamesServerScopes() {
		return nil
	}
	return o.Store.View(ctx, func(v store.View) (err error) {
		wanted.Offered, err = scopesOffered(v.ResourceServers(), c.Pool.ID)
		return err
	})
}

// clientNames are the journal's names of a change to a client: which client, and the members.
func clientNames(id string, members []string) []string {
	return append([]string{"client:" + id}, members...)
}

// Describe shows an app client, with the oldest of its secrets (unconfirmed).
//
// Evidence: the reference page "DescribeUserPoolClient".
func (o *Clients) Describe(ctx context.Context, c *dispatch.Call, _ *api.DescribeUserPoolClientInput) (*api.DescribeUserPoolClientOutput, error) {
	var client *pool.Client
	err := o.Store.View(ctx, func(v store.View) (err error) {
		if client, err = v.Clients().Get(c.Pool.ID, c.Client.ID); err != nil {
			return gone(err, fault.ClientNotFound(c.Client.ID))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeUserPoolClientOutput{UserPoolClient: clientType(client)}, nil
}

// Update replaces the configuration of an app client. Name, secret and type stay when the request lacks them.
//
// Evidence: the reference page "UpdateUserPoolClient".
func (o *Clients) Update(ctx context.Context, c *dispatch.Call, in *api.UpdateUserPoolClientInput) (*api.UpdateUserPoolClientOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	wanted := clientUpdate(in)
	if c.CustomID != "" {
		wanted.Name = new(dispatch.CustomIDPrefix + c.CustomID)
	}
	if err := o.knowScopes(ctx, c, &wanted); err != nil {
		return nil, err
	}
	settings, err := pool.UpdateClient(c.Pool, c.Client, wanted)
	if err != nil {
		return nil, err
	}
	next := *c.Client
	next.ClientSettings, next.Modified = settings, c.Now
	err = o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		if err := tx.Clients().Save(&next); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", clientNames(next.ID, given(c, in))...))
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateUserPoolClientOutput{UserPoolClient: clientType(&next)}, nil
}

// Delete removes an app client.
//
// Evidence: the reference page "DeleteUserPoolClient".
func (o *Clients) Delete(ctx context.Context, c *dispatch.Call, _ *api.DeleteUserPoolClientInput) (*struct{}, error) {
	return nil, o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		if err := tx.Clients().Delete(c.Pool.ID, c.Client.ID); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", clientNames(c.Client.ID, nil)...))
	})
}

// List shows a page of a pool's app clients, in the order of their ids. A filtered page may hold fewer than asked for, or
// none, while there are more (documented).
//
// Evidence: the reference page "ListUserPoolClients".
func (o *Clients) List(ctx context.Context, c *dispatch.Call, in *api.ListUserPoolClientsInput) (*api.ListUserPoolClientsOutput, error) {
	limit, only := defaultClientPage, ""
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	if in.ClientType != nil {
		only = *in.ClientType
	}
	token := page.Token{Operation: c.Spec.Name, Scope: c.Pool.ID, Inputs: page.Hash(only, strconv.Itoa(limit)), Issued: c.Now}
	after, err := resume(o.Pages, in.NextToken, token)
	if err != nil {
		return nil, err
	}
	var list []*pool.Client
	err = o.Store.View(ctx, func(v store.View) (err error) {
		list, err = v.Clients().List(c.Pool.ID, after, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUserPoolClientsOutput{UserPoolClients: []api.UserPoolClientDescription{}}
	for _, client := range list[:min(len(list), limit)] {
		if only == "" || client.Type == only {
			out.UserPoolClients = append(out.UserPoolClients,
				api.UserPoolClientDescription{ClientId: &client.ID, UserPoolId: &client.PoolID, ClientName: &client.Name})
		}
		token.After = client.ID
	}
	if len(list) > limit {
		out.NextToken = new(o.Pages.Seal(token))
	}
	return out, nil
}
