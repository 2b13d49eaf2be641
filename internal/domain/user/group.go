package user

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// The most that there may be (documented).
const (
	MaxGroups       = 10_000 // groups of a pool
	MaxGroupsOfUser = 100
)

// Group is a group of users. Groups do not nest, and their names tell letter case apart in every pool.
type Group struct {
	PoolID string
	Name   string // immutable
	GroupSettings
	Created  time.Time
	Modified time.Time
}

// GroupSettings are what an administrator says about a group; nil is unset.
type GroupSettings struct {
	Description *string
	RoleARN     *string // of the role that tokens of the members carry
	Precedence  *int    // the lowest of a user's groups decides on the role; unset ones come last
}

// Merge replaces what is given and keeps the rest (unconfirmed: the service might replace everything).
func (s GroupSettings) Merge(given GroupSettings) GroupSettings {
	if given.Description != nil {
		s.Description = given.Description
	}
	if given.RoleARN != nil {
		s.RoleARN = given.RoleARN
	}
	if given.Precedence != nil {
		s.Precedence = given.Precedence
	}
	return s
}

// ComparePrecedence orders groups by precedence, unset ones last, and groups of one precedence by name.
func ComparePrecedence(a, b *Group) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Name, b.Name))
}

// Place is a text that sorts like ComparePrecedence: where the group stands among a user's groups.
func (g *Group) Place() string { return fmt.Sprintf("%010d:%s", g.rank(), g.Name) }

func (g *Group) rank() int64 {
	if g.Precedence == nil {
		return 1 << 32 // greater than any precedence
	}
	return int64(*g.Precedence)
}

// PreferredRole is the role of the group that comes first by precedence, "" when there is none, or when several
// groups come first and their roles differ. The groups may be in any order.
//
// Evidence: documented for the claim cognito:preferred_role.
func PreferredRole(groups []*Group) string {
	if len(groups) == 0 {
		return ""
	}
	first := slices.MinFunc(groups, ComparePrecedence)
	for _, g := range groups {
		if g.rank() == first.rank() && g.role() != first.role() {
			return ""
		}
	}
	return first.role()
}

func (g *Group) role() string {
	if g.RoleARN == nil {
		return ""
	}
	return *g.RoleARN
}
