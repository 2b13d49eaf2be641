package pool

import (
	"slices"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestClientPermissions(t *testing.T) {
	t.Parallel()
	s := &clientPool(t).Settings
	all := []string{"sub", "name", "email", "email_verified", "phone_number_verified", "identities", "custom:x", "dev:custom:d", "custom:nope", "custom:X"}
	for _, r := range []struct {
		name        string
		client      ClientSettings
		reads, sets []string
	}{
		{"no lists", ClientSettings{},
			[]string{"sub", "name", "email", "email_verified", "phone_number_verified", "identities", "custom:x", "custom:nope", "custom:X"}, []string{"name", "email", "custom:nope", "custom:x", "custom:X"}},
		{"empty lists", ClientSettings{Read: []string{}, Write: []string{}}, []string{"sub"}, nil},
		{"lists", ClientSettings{Read: []string{"email", "email_verified"}, Write: []string{"name", "custom:x"}}, []string{"sub", "email", "email_verified"}, []string{"name", "custom:x"}},
		{"lists that hold what no list may hold", ClientSettings{Read: []string{"dev:custom:d"}, Write: all}, []string{"sub", "dev:custom:d"}, []string{"name", "email", "custom:nope", "custom:x", "custom:X"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			c := &Client{ClientSettings: r.client}
			for _, name := range all {
				want.True(t, c.Reads(s, name) == slices.Contains(r.reads, name), "reads %s: %v", name, c.Reads(s, name))
				want.True(t, c.Writes(s, name) == slices.Contains(r.sets, name), "writes %s: %v", name, c.Writes(s, name))
			}
		})
	}
}

func TestWritesCustom(t *testing.T) {
	t.Parallel()
	s := &Settings{Custom: []Attribute{{Name: "custom:role", Mutable: true}, {Name: "custom:ref"}, {Name: "custom:tier", Mutable: true}, {Name: "dev:custom:note", Mutable: true, DeveloperOnly: true}}}
	want.Equal(t, (&Client{}).WritesCustom(s), []string{"custom:role", "custom:tier"})
	want.Equal(t, (&Client{ClientSettings: ClientSettings{Write: []string{"email", "custom:tier", "custom:ref"}}}).WritesCustom(s), []string{"custom:tier"})
	want.Equal(t, (&Client{ClientSettings: ClientSettings{Write: []string{"email"}}}).WritesCustom(s), nil)
}
