package ops

import (
	"context"
	"maps"
	"slices"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// Tags are the operations on the tags of user pools, which the pipeline finds by their ARN.
type Tags struct{ Store store.Store }

// Register puts the family into the registry.
func (o *Tags) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.TagResource, o.Tag)
	dispatch.Handle(r, api.UntagResource, o.Untag)
	dispatch.Handle(r, api.ListTagsForResource, o.List)
}

// Tag adds tags to those of a pool, or changes their values.
//
// Evidence: the reference page "TagResource".
func (o *Tags) Tag(ctx context.Context, c *dispatch.Call, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	tags, err := c.Pool.AddTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if err := o.save(ctx, c, tags, slices.Sorted(maps.Keys(in.Tags))); err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, nil
}

// Untag removes tags of a pool. Keys that it does not have are no error.
//
// Evidence: the reference page "UntagResource".
func (o *Tags) Untag(ctx context.Context, c *dispatch.Call, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	if err := o.save(ctx, c, c.Pool.RemoveTags(in.TagKeys), slices.Sorted(slices.Values(in.TagKeys))); err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, nil
}

// save stores the pool of the call with other tags. Its date of modification stays (unconfirmed).
func (o *Tags) save(ctx context.Context, c *dispatch.Call, tags map[string]string, names []string) error {
	settings := c.Pool.Settings
	settings.Tags = tags
	return savePool(ctx, o.Store, c, settings, c.Pool.Modified, names)
}

// List shows the tags of a pool.
//
// Evidence: the reference page "ListTagsForResource".
func (o *Tags) List(_ context.Context, c *dispatch.Call, _ *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	return &api.ListTagsForResourceOutput{Tags: present(c.Pool.Tags)}, nil
}
