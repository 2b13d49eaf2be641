package pool

import "time"

// MaxResourceServers is the most that a pool may have (documented).
const MaxResourceServers = 25

// ResourceServer is an API that tokens of a pool are made for, with the scopes that it knows.
type ResourceServer struct {
	PoolID     string
	Identifier string // immutable
	Name       string
	Scopes     []ServerScope // in the order in which they were given
	// Managed says that the service itself made the server. No operation makes such servers yet.
	Managed  bool
	Created  time.Time
	Modified time.Time
}

// ServerScope is a scope of a resource server.
type ServerScope struct {
	Name        string
	Description string
}

// Offered are the scopes of resource servers as clients and tokens name them: the identifier, a slash, the scope's name.
func Offered(servers []*ResourceServer) []string {
	var list []string
	for _, s := range servers {
		for _, scope := range s.Scopes {
			list = append(list, s.Identifier+"/"+scope.Name)
		}
	}
	return list
}

// serviceScope reports whether a scope is one of the service's own, which are about users.
func serviceScope(scope string) bool {
	switch scope {
	case "openid", "email", "phone", "profile", "aws.cognito.signin.user.admin":
		return true
	}
	return false
}

// NamesServerScopes reports whether the scopes of a client's configuration name any resource server, so that one has to
// know which there are.
func (in *ClientInput) NamesServerScopes() bool {
	for _, scope := range in.OAuthScopes {
		if !serviceScope(scope) {
			return true
		}
	}
	return false
}
