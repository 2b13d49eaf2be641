package pool

import (
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestOffered(t *testing.T) {
	t.Parallel()
	want.Equal(t, Offered(nil), nil)
	want.Equal(t, Offered([]*ResourceServer{
		{Identifier: "https://api.example/", Scopes: []ServerScope{{Name: "b"}, {Name: "a"}}}, {Identifier: "none"}, {Identifier: "x", Scopes: []ServerScope{{Name: "a"}}},
	}), []string{"https://api.example//b", "https://api.example//a", "x/a"})
}

func TestNamesServerScopes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scopes []string
		want   bool
	}{{nil, false}, {[]string{"openid", "email", "phone", "profile", "aws.cognito.signin.user.admin"}, false}, {[]string{"openid", "x/a"}, true}, {[]string{"OpenID"}, true}} {
		want.Equal(t, (&ClientInput{OAuthScopes: c.scopes}).NamesServerScopes(), c.want)
	}
}
