package ops

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// Pools are the operations on user pools and their schema.
type Pools struct {
	Store  store.Store
	Chance *chance.Source
	Pages  *page.Sealer
	Limit  int // pools of an account in a region; 0: the documented default
}

const (
	defaultPoolLimit = 1000
	// customIDTag is the tag by which a new pool asks for an id: LocalStack's convention.
	customIDTag = "_custom_id_"
	// listAge is how long page tokens of pools and clients can be used (unconfirmed).
	listAge = 24 * time.Hour
	// idDraws is how many random ids are tried before giving up.
	idDraws = 3
)

// Register puts the family into the registry.
func (o *Pools) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.CreateUserPool, o.Create)
	dispatch.Handle(r, api.DescribeUserPool, o.Describe)
	dispatch.Handle(r, api.UpdateUserPool, o.Update)
	dispatch.Handle(r, api.DeleteUserPool, o.Delete)
	dispatch.Handle(r, api.ListUserPools, o.List)
	dispatch.Handle(r, api.AddCustomAttributes, o.AddAttributes)
	dispatch.Handle(r, api.SetUserPoolMfaConfig, o.SetMFA)
	dispatch.Handle(r, api.GetUserPoolMfaConfig, o.GetMFA)
}

// Create makes a user pool.
//
// Evidence: the reference page "CreateUserPool"; captured answers for the smallest pool.
func (o *Pools) Create(ctx context.Context, c *dispatch.Call, in *api.CreateUserPoolInput) (*api.CreateUserPoolOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	settings, err := pool.New(c.Region, c.Account, poolInput(in), poolFixed(in))
	if err != nil {
		return nil, err
	}
	p := &pool.Pool{Region: c.Region, Account: c.Account, Created: c.Now, Modified: c.Now, Settings: settings}
	custom, asked := settings.Tags[customIDTag]
	if asked = asked && c.CustomIDs; asked && !pool.ValidID(custom) {
		return nil, fault.BadCustomID(custom)
	}
	err = create(asked, custom, func() string { return o.Chance.PoolID(c.Region) }, func(id string) error {
		p.ID = id
		return o.Store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
			n, err := tx.Pools().Count(c.Region)
			if err != nil {
				return err
			}
			if limit := atLeast(o.Limit, defaultPoolLimit); n >= limit {
				return fault.TooManyPools(strconv.Itoa(limit))
			}
			write := tx.Pools().Create
			if asked {
				write = tx.Pools().Recreate
			}
			if err := write(p); err != nil {
				return err
			}
			return tx.Journal().Add(c.Entry(p.ID, "", given(c, in)...))
		})
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateUserPoolOutput{UserPool: poolType(p, 0)}, nil
}

// create stores something under the id that was asked for, or under a random one that is free.
func create(asked bool, id string, draw func() string, under func(id string) error) error {
	if asked {
		err := under(id)
		if errors.Is(err, store.ErrConflict) {
			return fault.CustomIDTaken(id).Because(err)
		}
		return err
	}
	for try := 1; ; try++ {
		if err := under(draw()); !errors.Is(err, store.ErrConflict) || try == idDraws {
			return err
		}
	}
}

// atLeast is n, or what stands in for it when it is 0.
func atLeast(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// Describe shows a pool.
//
// Evidence: the reference page "DescribeUserPool".
func (o *Pools) Describe(ctx context.Context, c *dispatch.Call, _ *api.DescribeUserPoolInput) (*api.DescribeUserPoolOutput, error) {
	var p *pool.Pool
	var users int
	err := o.Store.View(ctx, func(v store.View) (err error) {
		if p, err = v.Pools().Get(c.Pool.ID); err != nil {
			return gone(err, fault.PoolNotFound(c.Pool.ID))
		}
		users, err = v.Users().Count(c.Pool.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeUserPoolOutput{UserPool: poolType(p, users)}, nil
}

// gone is the fault when the error says that the thing is not there any more, else the error.
func gone(err error, absent *fault.Error) error {
	if errors.Is(err, store.ErrNotFound) {
		return absent.Because(err)
	}
	return err
}

// Update replaces a pool's configuration; what is omitted is kept or reset as pool.Merge says.
//
// Evidence: the reference page "UpdateUserPool"; measured effects of omitted members.
func (o *Pools) Update(ctx context.Context, c *dispatch.Call, in *api.UpdateUserPoolInput) (*api.UpdateUserPoolOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	settings, err := c.Pool.Merge(poolUpdate(in))
	if err != nil {
		return nil, err
	}
	if err := savePool(ctx, o.Store, c, settings, c.Now, given(c, in)); err != nil {
		return nil, err
	}
	return &api.UpdateUserPoolOutput{}, nil
}

// savePool stores the pool of the call with other settings.
func savePool(ctx context.Context, st store.Store, c *dispatch.Call, s pool.Settings, modified time.Time, names []string) error {
	next := *c.Pool
	next.Settings, next.Modified = s, modified
	return st.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		if err := tx.Pools().Save(&next); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", names...))
	})
}

// Delete removes a pool with everything in it.
//
// Evidence: the reference page "DeleteUserPool".
func (o *Pools) Delete(ctx context.Context, c *dispatch.Call, _ *api.DeleteUserPoolInput) (*struct{}, error) {
	if c.Pool.DeletionProtection {
		return nil, fault.DeletionProtected()
	}
	return nil, o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		if err := tx.Pools().Delete(c.Pool.ID); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, ""))
	})
}

// List shows a page of the pools of the request's region, in the order of their ids.
//
// Evidence: the reference page "ListUserPools".
func (o *Pools) List(ctx context.Context, c *dispatch.Call, in *api.ListUserPoolsInput) (*api.ListUserPoolsOutput, error) {
	token := page.Token{Operation: c.Spec.Name, Inputs: page.Hash(c.Region, strconv.Itoa(in.MaxResults)), Issued: c.Now}
	after, err := resume(o.Pages, in.NextToken, token)
	if err != nil {
		return nil, err
	}
	var list []*pool.Pool
	err = o.Store.View(ctx, func(v store.View) (err error) {
		list, err = v.Pools().List(c.Region, after, in.MaxResults+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUserPoolsOutput{UserPools: []api.UserPoolDescriptionType{}}
	for _, p := range list[:min(len(list), in.MaxResults)] {
		out.UserPools = append(out.UserPools, poolDescription(p))
		token.After = p.ID
	}
	if len(list) > in.MaxResults {
		out.NextToken = new(o.Pages.Seal(token))
	}
	return out, nil
}

// resume is the key behind which a page starts: "" for the first one.
func resume(pages *page.Sealer, given *string, token page.Token) (string, error) {
	if given == nil {
		return "", nil
	}
	after, err := pages.Open(*given, token, token.Issued, listAge)
	if err != nil {
		return "", fault.BadToken().Because(err)
	}
	return after, nil
}

// AddAttributes adds custom attributes to a pool's schema.
//
// Evidence: the reference page "AddCustomAttributes".
func (o *Pools) AddAttributes(ctx context.Context, c *dispatch.Call, in *api.AddCustomAttributesInput) (*api.AddCustomAttributesOutput, error) {
	custom, err := c.Pool.AddCustom(declarations(in.CustomAttributes))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range custom[len(c.Pool.Custom):] {
		names = append(names, a.Name)
	}
	settings := c.Pool.Settings
	settings.Custom = custom
	if err := savePool(ctx, o.Store, c, settings, c.Now, names); err != nil {
		return nil, err
	}
	return &api.AddCustomAttributesOutput{}, nil
}
