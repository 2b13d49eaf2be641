package ops

import (
	"context"
	"strconv"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// categoryAttribute is the one attribute that defines a limit.
const categoryAttribute = "Category"

// Limits are the operations on request quotas. What they store is enforced by the pipeline within a second, on every node, where
// quotas are on.
type Limits struct {
	Store store.Store
	// Free is the rate of each category that nobody has changed, in requests a second; categories that are absent do not exist.
	Free map[api.Quota]int
	// Ceiling is how many times its free value a rate may be set to.
	Ceiling int
}

// Register puts the family into the registry.
func (o *Limits) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.GetProvisionedLimit, o.Get)
	dispatch.Handle(r, api.UpdateProvisionedLimit, o.Update)
}

// Get tells what rate a category has in the region of the request.
//
// Evidence: the model and its documentation; the texts of refusals are unconfirmed.
func (o *Limits) Get(ctx context.Context, c *dispatch.Call, in *api.GetProvisionedLimitInput) (*api.GetProvisionedLimitOutput, error) {
	category, free, err := o.defined(in.LimitDefinition)
	if err != nil {
		return nil, err
	}
	value := free
	err = o.Store.View(ctx, func(v store.View) error {
		n, set, err := dispatch.Provisioned(v.Settings(), c.Region, category)
		if value = free; set {
			value = n
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.GetProvisionedLimitOutput{Limit: limit(category, value, free)}, nil
}

// Update sets the rate of a category in the region of the request, between its free value and the ceiling.
//
// Evidence: the model and its documentation; the texts of refusals are unconfirmed.
func (o *Limits) Update(ctx context.Context, c *dispatch.Call, in *api.UpdateProvisionedLimitInput) (*api.UpdateProvisionedLimitOutput, error) {
	category, free, err := o.defined(in.LimitDefinition)
	if err != nil {
		return nil, err
	}
	if in.RequestedLimitValue < free {
		return nil, fault.LimitTooLow(string(category), strconv.Itoa(free))
	}
	if most := free * o.Ceiling; in.RequestedLimitValue > most {
		return nil, fault.LimitTooHigh(string(category), strconv.Itoa(most))
	}
	err = o.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		if err := dispatch.Provision(tx.Settings(), c.Region, category, in.RequestedLimitValue); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry("", "", string(category)))
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateProvisionedLimitOutput{Limit: limit(category, in.RequestedLimitValue, free)}, nil
}

// defined is the category that a definition means, with its free value.
func (o *Limits) defined(d *api.LimitDefinitionType) (category api.Quota, free int, err error) {
	name, given := d.Attributes[categoryAttribute]
	if !given || len(d.Attributes) != 1 {
		return "", 0, fault.LimitAttributes()
	}
	free, known := o.Free[api.Quota(name)]
	if !known {
		return "", 0, fault.LimitUnknown(name)
	}
	return api.Quota(name), free, nil
}

func limit(category api.Quota, value, free int) *api.LimitType {
	return &api.LimitType{LimitDefinition: &api.LimitDefinitionType{LimitClass: "API_CATEGORY",
		Attributes: map[string]string{categoryAttribute: string(category)}}, ProvisionedLimitValue: value, FreeLimitValue: free}
}
