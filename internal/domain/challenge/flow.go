package challenge

import (
	"slices"
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
)

// Allowed reports whether a client lets its users sign in by a flow. A list without a value of the form ALLOW_... is
// one of an early client, which may more than it names; no list is the default.
//
// Evidence: documented.
func Allowed(c *pool.Client, f Flow) bool {
	lists := func(value string) bool { return slices.Contains(c.AuthFlows, value) }
	none := len(c.AuthFlows) == 0
	early := !none && !slices.ContainsFunc(c.AuthFlows, func(v string) bool { return strings.HasPrefix(v, "ALLOW_") })
	switch f {
	case UserSRP:
		return none || lists("ALLOW_USER_SRP_AUTH") || early && !lists("CUSTOM_AUTH_FLOW_ONLY")
	case UserPassword:
		return lists("ALLOW_USER_PASSWORD_AUTH") || lists("USER_PASSWORD_AUTH")
	case AdminPassword:
		return lists("ALLOW_ADMIN_USER_PASSWORD_AUTH") || lists("ADMIN_NO_SRP_AUTH")
	case Custom:
		return none || lists("ALLOW_CUSTOM_AUTH") || early
	case Choice:
		return lists("ALLOW_USER_AUTH")
	case Refresh:
		rotates := c.Rotation != nil && c.Rotation.Enabled
		return !rotates && (none || lists("ALLOW_REFRESH_TOKEN_AUTH") || early)
	}
	return false
}

// TakesPasswords reports whether users may send their passwords to a client, as they are.
func TakesPasswords(c *pool.Client) bool {
	return Allowed(c, UserPassword) || Allowed(c, AdminPassword)
}

// TakesProofs reports whether users of a client may prove their passwords by SRP: in its own flow, before custom challenges, or by
// choice.
func TakesProofs(c *pool.Client) bool {
	return Allowed(c, UserSRP) || Allowed(c, Custom) || Allowed(c, Choice)
}
