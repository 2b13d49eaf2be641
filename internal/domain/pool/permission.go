package pool

import "slices"

// Reads reports whether a client may see an attribute of its users, in GetUser and in ID tokens. Without a list it sees
// all of them but those for developers only, which goes beyond the reference for custom attributes and agrees with what is
// observed; sub it always sees.
//
// Evidence: the reference of ReadAttributes; docs/fidelity.md for custom attributes.
func (c *Client) Reads(s *Settings, name string) bool {
	if name == Sub {
		return true
	}
	if c.Read != nil {
		return slices.Contains(c.Read, name)
	}
	a, ok := s.Attribute(name)
	return !ok || !a.DeveloperOnly
}

// Writes reports whether a client may set or delete an attribute of its users. The flags of verified addresses, sub,
// identities and what is for developers only are never for a client, whatever its list says. Without a list it writes
// all the others; a name that the schema does not have is then for the schema's check to refuse.
//
// Evidence: the reference of WriteAttributes; observed for custom attributes without a list.
func (c *Client) Writes(s *Settings, name string) bool {
	switch name {
	case Sub, Identities, EmailVerified, PhoneNumberVerified:
		return false
	}
	if a, ok := s.Attribute(name); ok && a.DeveloperOnly {
		return false
	}
	return c.Write == nil || slices.Contains(c.Write, name)
}

// WritesCustom are the custom attributes that a client can change: whoever signs in through a public client sets them at
// will, so that nothing that grants rights may be among them.
func (c *Client) WritesCustom(s *Settings) []string {
	var names []string
	for _, a := range s.Custom {
		if a.Mutable && c.Writes(s, a.Name) {
			names = append(names, a.Name)
		}
	}
	return names
}
