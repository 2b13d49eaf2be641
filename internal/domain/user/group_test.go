package user

import (
	"slices"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func group(name, role string, precedence int) *Group {
	g := &Group{Name: name}
	if role != "" {
		g.RoleARN = &role
	}
	if precedence >= 0 {
		g.Precedence = &precedence
	}
	return g
}

func TestMerge(t *testing.T) {
	t.Parallel()
	s := GroupSettings{Description: new("d"), RoleARN: new("r"), Precedence: new(1)}
	want.Equal(t, s.Merge(GroupSettings{}), s)
	want.Equal(t, s.Merge(GroupSettings{Description: new("")}), GroupSettings{Description: new(""), RoleARN: new("r"), Precedence: new(1)})
	want.Equal(t, s.Merge(GroupSettings{RoleARN: new("q"), Precedence: new(0)}), GroupSettings{Description: new("d"), RoleARN: new("q"), Precedence: new(0)})
	want.Equal(t, GroupSettings{}.Merge(s), s)
}

func TestComparePrecedence(t *testing.T) {
	t.Parallel()
	list := []*Group{group("z", "", -1), group("b", "", 2147483647), group("B", "", 5), group("a", "", 5), group("y", "", 0), group("A", "", -1)}
	slices.SortFunc(list, ComparePrecedence)
	want.True(t, slices.IsSortedFunc(list, func(a, b *Group) int { return strings.Compare(a.Place(), b.Place()) }), "places sort alike")
	var names []string
	for _, g := range list {
		names = append(names, g.Name)
	}
	want.Equal(t, names, []string{"y", "B", "a", "b", "A", "z"})
}

func TestPreferredRole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		groups []*Group
		want   string
	}{
		"no group":                      {nil, ""},
		"one":                           {[]*Group{group("a", "r", -1)}, "r"},
		"one without role":              {[]*Group{group("a", "", 1)}, ""},
		"the lowest precedence":         {[]*Group{group("a", "r", 7), group("b", "q", 3)}, "q"},
		"unset comes last":              {[]*Group{group("a", "r", -1), group("b", "q", 3)}, "q"},
		"the first has no role":         {[]*Group{group("a", "r", 7), group("b", "", 3)}, ""},
		"equal precedence, equal roles": {[]*Group{group("a", "r", 3), group("b", "r", 3), group("c", "q", 4)}, "r"},
		"equal precedence, other roles": {[]*Group{group("a", "r", 3), group("b", "q", 3)}, ""},
		"all unset, other roles":        {[]*Group{group("a", "r", -1), group("b", "q", -1)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want.Equal(t, PreferredRole(c.groups), c.want)
			slices.Reverse(c.groups)
			want.Equal(t, PreferredRole(c.groups), c.want)
		})
	}
}
