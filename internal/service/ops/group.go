package ops

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// Groups are the operations on groups and on who is in them. Being in a group or not leaves the user's record and date
// as they are, and tokens keep what they say until they end.
type Groups struct {
	Store store.Store
	Pages *page.Sealer
}

// Register puts the family into the registry.
func (g *Groups) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.CreateGroup, g.Create)
	dispatch.Handle(r, api.GetGroup, g.Get)
	dispatch.Handle(r, api.UpdateGroup, g.Update)
	dispatch.Handle(r, api.DeleteGroup, g.Delete)
	dispatch.Handle(r, api.ListGroups, g.List)
	dispatch.Handle(r, api.AdminAddUserToGroup, g.Add)
	dispatch.Handle(r, api.AdminRemoveUserFromGroup, g.Remove)
	dispatch.Handle(r, api.AdminListGroupsForUser, g.ListOfUser)
	dispatch.Handle(r, api.ListUsersInGroup, g.ListMembers)
}

// Create makes a group without members.
//
// Evidence: the reference page "CreateGroup"; the order of checks is unconfirmed.
func (g *Groups) Create(ctx context.Context, c *dispatch.Call, in *api.CreateGroupInput) (*api.CreateGroupOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	made := &user.Group{PoolID: c.Pool.ID, Name: in.GroupName, Created: c.Now, Modified: c.Now,
		GroupSettings: user.GroupSettings{Description: in.Description, RoleARN: in.RoleArn, Precedence: in.Precedence}}
	if err := checkRole(c.Pool, in.RoleArn); err != nil {
		return nil, err
	}
	err := g.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		switch _, err := tx.Groups().Get(c.Pool.ID, in.GroupName); {
		case err == nil:
			return fault.GroupExists()
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		n, err := tx.Groups().Count(c.Pool.ID)
		if err != nil {
			return err
		}
		if n >= user.MaxGroups {
			return fault.TooManyGroups(strconv.Itoa(user.MaxGroups))
		}
		if err := tx.Groups().Create(made); err != nil {
			if errors.Is(err, store.ErrConflict) {
				return fault.GroupExists().Because(err)
			}
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", groupName(in.GroupName)))
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateGroupOutput{Group: shownGroup(made)}, nil
}

// Get shows one group.
//
// Evidence: the reference page "GetGroup".
func (g *Groups) Get(ctx context.Context, c *dispatch.Call, in *api.GetGroupInput) (*api.GetGroupOutput, error) {
	var found *user.Group
	err := g.Store.View(ctx, func(v store.View) (err error) {
		found, err = findGroup(v.Groups(), c.Pool.ID, in.GroupName)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.GetGroupOutput{Group: shownGroup(found)}, nil
}

// Update replaces the settings that the request has and keeps the others.
//
// Evidence: the reference page "UpdateGroup"; that absent members keep their values is unconfirmed.
func (g *Groups) Update(ctx context.Context, c *dispatch.Call, in *api.UpdateGroupInput) (*api.UpdateGroupOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	var after user.Group
	err := g.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		before, err := findGroup(tx.Groups(), c.Pool.ID, in.GroupName)
		if err != nil {
			return err
		}
		if err := checkRole(c.Pool, in.RoleArn); err != nil {
			return err
		}
		after = *before
		after.GroupSettings = before.Merge(user.GroupSettings{Description: in.Description, RoleARN: in.RoleArn, Precedence: in.Precedence})
		after.Modified = c.Now
		if err := tx.Groups().Save(&after); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", groupName(in.GroupName)))
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateGroupOutput{Group: shownGroup(&after)}, nil
}

// Delete removes a group; its members stay users.
//
// Evidence: the reference page "DeleteGroup".
func (g *Groups) Delete(ctx context.Context, c *dispatch.Call, in *api.DeleteGroupInput) (*struct{}, error) {
	return nil, g.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		if err := tx.Groups().Delete(c.Pool.ID, in.GroupName); err != nil {
			return groupFault(err)
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, "", groupName(in.GroupName)))
	})
}

// Add puts a user into a group. Adding twice is no error and changes nothing.
//
// Evidence: the reference page "AdminAddUserToGroup"; the code for too many groups is unconfirmed, as no listed one
// fits.
func (g *Groups) Add(ctx context.Context, c *dispatch.Call, in *api.AdminAddUserToGroupInput) (*struct{}, error) {
	return nil, g.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		u, err := find(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		joined, err := tx.Groups().Join(c.Pool.ID, in.GroupName, u.Sub, c.Now)
		if err != nil || !joined {
			return groupFault(err)
		}
		all, err := tx.Groups().Of(c.Pool.ID, u.Sub)
		if err != nil {
			return err
		}
		if len(all) > user.MaxGroupsOfUser {
			return fault.TooManyGroupsOfUser(strconv.Itoa(user.MaxGroupsOfUser))
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, groupName(in.GroupName)))
	})
}

// Remove takes a user out of a group. Removing somebody who is not inside is no error and changes nothing.
//
// Evidence: the reference page "AdminRemoveUserFromGroup".
func (g *Groups) Remove(ctx context.Context, c *dispatch.Call, in *api.AdminRemoveUserFromGroupInput) (*struct{}, error) {
	return nil, g.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		u, err := find(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		left, err := tx.Groups().Leave(c.Pool.ID, in.GroupName, u.Sub)
		if err != nil || !left {
			return groupFault(err)
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, groupName(in.GroupName)))
	})
}

// List shows the groups of a pool by name, a page at a time.
//
// Evidence: the reference page "ListGroups"; the order is unconfirmed.
func (g *Groups) List(ctx context.Context, c *dispatch.Call, in *api.ListGroupsInput) (*api.ListGroupsOutput, error) {
	token, limit := g.page(c, in.Limit)
	after, err := resume(g.Pages, in.NextToken, token)
	if err != nil {
		return nil, err
	}
	var list []*user.Group
	err = g.Store.View(ctx, func(v store.View) (err error) {
		list, err = v.Groups().List(c.Pool.ID, after, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListGroupsOutput{}
	out.Groups, out.NextToken = g.shownPage(list, limit, token, func(last *user.Group) string { return last.Name })
	return out, nil
}

// ListOfUser shows the groups that a user is in, by precedence, a page at a time. The token holds the place of the last group in
// that order, so that a group which comes or goes meanwhile moves no other.
//
// Evidence: the reference page "AdminListGroupsForUser"; the order is unconfirmed.
func (g *Groups) ListOfUser(ctx context.Context, c *dispatch.Call, in *api.AdminListGroupsForUserInput) (*api.AdminListGroupsForUserOutput, error) {
	token, limit := g.page(c, in.Limit, in.Username)
	after, err := resume(g.Pages, in.NextToken, token)
	if err != nil {
		return nil, err
	}
	var list []*user.Group
	err = g.Store.View(ctx, func(v store.View) error {
		u, err := find(v.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		list, err = v.Groups().Of(c.Pool.ID, u.Sub)
		return err
	})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(one *user.Group) bool { return after != "" && one.Place() <= after })
	out := &api.AdminListGroupsForUserOutput{}
	out.Groups, out.NextToken = g.shownPage(list, limit, token, (*user.Group).Place)
	return out, nil
}

// ListMembers shows the users in a group, a page at a time.
//
// Evidence: the reference page "ListUsersInGroup".
func (g *Groups) ListMembers(ctx context.Context, c *dispatch.Call, in *api.ListUsersInGroupInput) (*api.ListUsersInGroupOutput, error) {
	token, limit := g.page(c, in.Limit, in.GroupName)
	after, err := resume(g.Pages, in.NextToken, token)
	if err != nil {
		return nil, err
	}
	var list []*user.Record
	err = g.Store.View(ctx, func(v store.View) error {
		if _, err := findGroup(v.Groups(), c.Pool.ID, in.GroupName); err != nil {
			return err
		}
		var err error
		list, err = v.Groups().Members(c.Pool.ID, in.GroupName, after, limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUsersInGroupOutput{Users: []api.UserType{}}
	for _, r := range list[:min(len(list), limit)] {
		out.Users = append(out.Users, *shown(r, nil))
		token.After = r.Sub
	}
	if len(list) > limit {
		out.NextToken = new(g.Pages.Seal(token))
	}
	return out, nil
}

// maxGroupPage is the largest page of groups and of users in a group, and its default.
const maxGroupPage = 60

// page is the size of a page and the token for the one behind it; parts are the other members of the request.
func (g *Groups) page(c *dispatch.Call, limit *int, parts ...string) (page.Token, int) {
	size := maxGroupPage
	if limit != nil && *limit > 0 {
		size = *limit
	}
	return page.Token{Operation: c.Spec.Name, Scope: c.Pool.ID, Issued: c.Now, Inputs: page.Hash(append(parts, strconv.Itoa(size))...)}, size
}

// shownPage is a page of groups with the token for the next one, nil at the end.
func (g *Groups) shownPage(list []*user.Group, limit int, token page.Token, key func(*user.Group) string) ([]api.GroupType, *string) {
	out := make([]api.GroupType, 0, min(len(list), limit))
	for _, one := range list[:min(len(list), limit)] {
		out = append(out, *shownGroup(one))
		token.After = key(one)
	}
	if len(list) <= limit {
		return out, nil
	}
	return out, new(g.Pages.Seal(token))
}

// findGroup loads a group.
func findGroup(groups store.GroupReader, poolID, name string) (*user.Group, error) {
	found, err := groups.Get(poolID, name)
	return found, groupFault(err)
}

// groupFault says what it means that there is no such group.
func groupFault(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.GroupNotFound().Because(err)
	}
	return err
}

// checkRole refuses the role of another account.
func checkRole(p *pool.Pool, arn *string) error {
	if arn != nil && !p.OwnsRole(*arn) {
		return fault.CrossAccountRole()
	}
	return nil
}

// groupName is how the journal names a group.
func groupName(name string) string { return "group:" + name }

func shownGroup(g *user.Group) *api.GroupType {
	return &api.GroupType{
		GroupName:        &g.Name,
		UserPoolId:       &g.PoolID,
		Description:      g.Description,
		RoleArn:          g.RoleARN,
		Precedence:       g.Precedence,
		LastModifiedDate: api.Time(g.Modified.UnixMilli()),
		CreationDate:     api.Time(g.Created.UnixMilli()),
	}
}
