package token

import (
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
)

// Machine is what the token of a client that calls on its own behalf is made from. There is no user behind it and no
// family: nothing renews it, and it is good until it expires.
type Machine struct {
	Issuer   string
	Client   *pool.Client
	Scopes   []string
	Now      time.Time
	Override *Override // of the pool's function; nil: nothing
	Jti      string
}

// Granted are the scopes that a client's own token gets: those wanted, or all when none are, as far as the client is
// allowed them and a resource server offers them. Others are left out, as the token endpoint does it (documented there).
func Granted(c *pool.Client, offered, wanted []string) []string {
	var list []string
	for _, scope := range c.OAuthScopes {
		if slices.Contains(offered, scope) && (len(wanted) == 0 || slices.Contains(wanted, scope)) {
			list = append(list, scope)
		}
	}
	return list
}

// Access are the claims of the token, in the order that is documented for access tokens (for those of programs unconfirmed).
func (m *Machine) Access() Claims {
	c := make(Claims, 0, 10)
	c.add("sub", m.Client.ID)
	c.add("token_use", "access")
	c.add("scope", strings.Join(m.Override.scopes(m.Scopes), " "))
	c.add("auth_time", m.Now.Unix())
	c.add("iss", m.Issuer)
	c.add("exp", m.Now.Unix()+m.Client.AccessSeconds())
	c.add("iat", m.Now.Unix())
	c.add("version", int64(2))
	c.add("jti", m.Jti)
	c.add("client_id", m.Client.ID)
	if m.Override == nil {
		return c
	}
	return c.change(m.Override.Access, m.Client.ID, true)
}
