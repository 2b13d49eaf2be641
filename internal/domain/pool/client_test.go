package pool

import (
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// clientPool is a pool with a required attribute and custom ones.
func clientPool(t *testing.T) *Pool {
	t.Helper()
	s, err := New(region, account, named(Input{}), Fixed{Schema: []Declaration{{Name: new("name"), Required: new(true)}, {Name: new("x"), Type: new("String")},
		{Name: new("d"), Type: new("String"), DeveloperOnly: new(true)}}})
	want.NoError(t, err)
	return &Pool{ID: "us-west-2_abcdefghi", Region: region, Account: account, Settings: s}
}

func TestNewClientFillsDefaults(t *testing.T) {
	t.Parallel()
	c, err := NewClient(clientPool(t), ClientInput{Name: new("web")}, false)
	want.NoError(t, err)
	want.Equal(t, c, ClientSettings{Name: "web", RefreshValidity: 30, Revocation: true, SessionMinutes: 3, Type: "REGULAR"})
	want.Equal(t, []int64{c.AccessSeconds(), c.IDSeconds(), c.RefreshSeconds()}, []int64{3600, 3600, 30 * 86400})
}

func TestRefreshDefaultIsThirtyDaysInEveryUnit(t *testing.T) {
	t.Parallel()
	for unit, validity := range map[string]int{"seconds": 2592000, "minutes": 43200, "hours": 720, "days": 30} {
		c, err := NewClient(clientPool(t), ClientInput{Name: new("web"), Refresh: new(0), Units: &ValidityUnits{Refresh: &unit}}, false)
		want.NoError(t, err)
		want.Equal(t, c.RefreshValidity, validity)
		want.Equal(t, c.RefreshSeconds(), 30*86400)
	}
}

func TestClientLists(t *testing.T) {
	t.Parallel()
	c, err := NewClient(clientPool(t), ClientInput{Name: new("web"), Read: []string{}, Write: []string{"name", "name", "custom:x"}, AuthFlows: []string{},
		CallbackURLs: []string{"https://a", "https://a"}, LogoutURLs: []string{}, Providers: []string{"COGNITO"}}, false)
	want.NoError(t, err)
	want.Equal(t, c, ClientSettings{Name: "web", RefreshValidity: 30, Revocation: true, SessionMinutes: 3, Type: "REGULAR", Read: []string{}, Write: []string{"name", "custom:x"},
		CallbackURLs: []string{"https://a"}, Providers: []string{"COGNITO"}})
}

func TestUpdateClientResetsAllButNameAndType(t *testing.T) {
	t.Parallel()
	p := clientPool(t)
	was := &Client{ClientSettings: ClientSettings{Name: "web", RefreshValidity: 5, Read: []string{"email"}, SessionMinutes: 9, Type: "DCR", OAuth: true, PropagateContext: true,
		HideUsers: new("ENABLED"), Rotation: &Rotation{Enabled: true}}, Secrets: []ClientSecret{{}}}
	c, err := UpdateClient(p, was, ClientInput{Revocation: new(false)})
	want.NoError(t, err)
	want.Equal(t, c, ClientSettings{Name: "web", RefreshValidity: 30, SessionMinutes: 3, Type: "DCR"})

	_, err = UpdateClient(p, was, ClientInput{PropagateContext: true, OAuthFlows: []string{"client_credentials"}})
	want.NoError(t, err)
	_, err = UpdateClient(p, was, ClientInput{Read: []string{"nope"}})
	want.Equal(t, said(t, err), invalid("Invalid read attributes specified while updating a client"))
	_, err = UpdateClient(p, was, ClientInput{Write: []string{"sub"}})
	want.Equal(t, said(t, err), invalid("Invalid write attributes specified while updating a client"))
}

func TestNewClientRefuses(t *testing.T) {
	t.Parallel()
	const (
		badRead     = "InvalidParameterException: Invalid read attributes specified while creating a client"
		badWrite    = "InvalidParameterException: Invalid write attributes specified while creating a client"
		badValidity = "InvalidParameterException: Invalid range for token validity."
		needed      = "InvalidParameterException: AllowedOAuthFlows and AllowedOAuthScopes are required if user pool client is allowed to use OAuth flows."
		analytics   = "InvalidParameterException: Invalid analytics configuration given, either <application arn> or <application id, role arn, external id> are valid"
	)
	cb := []string{"https://a.example"}
	code, machine := []string{"code"}, []string{"client_credentials"}
	for _, c := range []struct {
		name   string
		in     ClientInput
		secret bool
		want   string
	}{
		{"access too short", ClientInput{Access: new(299), Units: &ValidityUnits{Access: new("seconds")}}, false, badValidity},
		{"access shortest", ClientInput{Access: new(5), Units: &ValidityUnits{Access: new("minutes")}}, false, ""},
		{"access too long", ClientInput{Access: new(25)}, false, badValidity},
		{"access longest", ClientInput{Access: new(1), Units: &ValidityUnits{Access: new("days")}}, false, ""},
		{"ID too short", ClientInput{ID: new(299), Units: &ValidityUnits{ID: new("seconds")}}, false, badValidity},
		{"ID too long", ClientInput{ID: new(86401), Units: &ValidityUnits{ID: new("seconds")}}, false, badValidity},
		{"refresh too short", ClientInput{Refresh: new(59), Units: &ValidityUnits{Refresh: new("minutes")}}, false, badValidity},
		{"refresh shortest", ClientInput{Refresh: new(60), Units: &ValidityUnits{Refresh: new("minutes")}}, false, ""},
		{"refresh too long", ClientInput{Refresh: new(3651)}, false, badValidity},
		{"refresh far too long", ClientInput{Refresh: new(315360000)}, false, badValidity},
		{"refresh longest", ClientInput{Refresh: new(315360000), Units: &ValidityUnits{Refresh: new("seconds")}}, false, ""},
		{"access longer than refresh", ClientInput{Access: new(2), Refresh: new(1), Units: &ValidityUnits{Refresh: new("hours")}}, false, badValidity},
		{"ID longer than refresh", ClientInput{ID: new(2), Refresh: new(1), Units: &ValidityUnits{Refresh: new("hours")}}, false, badValidity},
		{"validity before attributes", ClientInput{Access: new(25), Read: []string{"nope"}}, false, badValidity},

		{"read an unknown attribute", ClientInput{Read: []string{"nope"}}, false, badRead},
		{"read a custom attribute without prefix", ClientInput{Read: []string{"x"}}, false, badRead},
		{"read what is allowed", ClientInput{Read: []string{"sub", "email_verified", "custom:x", "dev:custom:d"}}, false, ""},
		{"read identities of a pool without providers", ClientInput{Read: []string{"identities"}}, false, badRead},
		{"write an unknown attribute", ClientInput{Write: []string{"name", "nope"}}, false, badWrite},
		{"write the subject", ClientInput{Write: []string{"name", "sub"}}, false, badWrite},
		{"write a flag", ClientInput{Write: []string{"name", "email_verified"}}, false, badWrite},
		{"write the other flag", ClientInput{Write: []string{"name", "phone_number_verified"}}, false, badWrite},
		{"write a developer attribute", ClientInput{Write: []string{"name", "dev:custom:d"}}, false, badWrite},
		{"write without a required attribute", ClientInput{Write: []string{"email"}}, false, badWrite},
		{"write nothing", ClientInput{Write: []string{}}, false, badWrite},
		{"write what is allowed", ClientInput{Write: []string{"name", "custom:x"}}, false, ""},

		{"legacy and new flows", ClientInput{AuthFlows: []string{"ADMIN_NO_SRP_AUTH", "ALLOW_USER_SRP_AUTH"}}, false,
			invalid("ExplicitAuthFlows cannot hold both values that start with ALLOW_ and values that do not.")},
		{"legacy flows", ClientInput{AuthFlows: []string{"ADMIN_NO_SRP_AUTH", "USER_PASSWORD_AUTH"}}, false, ""},
		{"refresh flow with rotation", ClientInput{AuthFlows: []string{"ALLOW_REFRESH_TOKEN_AUTH"}, Rotation: &Rotation{Enabled: true}}, false,
			invalid("ALLOW_REFRESH_TOKEN_AUTH is not a permitted ExplicitAuthFlow when refresh token rotation is enabled")},
		{"refresh flow with rotation off", ClientInput{AuthFlows: []string{"ALLOW_REFRESH_TOKEN_AUTH"}, Rotation: &Rotation{}}, false, ""},
		{"default flows with rotation", ClientInput{Rotation: &Rotation{Enabled: true, Grace: new(10)}}, false, ""},

		{"OAuth without flows", ClientInput{OAuth: true, OAuthScopes: []string{"openid"}, CallbackURLs: cb}, false, needed},
		{"OAuth without scopes", ClientInput{OAuth: true, OAuthFlows: code, CallbackURLs: cb}, false, needed},
		{"code without callback", ClientInput{OAuthFlows: code}, false, "InvalidOAuthFlowException: CallbackUrls can not be empty when code flow or implicit flow is selected"},
		{"implicit without callback", ClientInput{OAuthFlows: []string{"implicit"}}, false,
			"InvalidOAuthFlowException: CallbackUrls can not be empty when code flow or implicit flow is selected"},
		{"code", ClientInput{OAuth: true, OAuthFlows: code, OAuthScopes: []string{"openid", "email", "phone", "profile", "aws.cognito.signin.user.admin"}, CallbackURLs: cb}, false, ""},
		{"machine with others", ClientInput{OAuthFlows: []string{"code", "client_credentials"}, CallbackURLs: cb}, true,
			"InvalidOAuthFlowException: client_credentials flow can not be selected along with code flow or implicit flow."},
		{"machine without secret", ClientInput{OAuthFlows: machine}, false,
			"InvalidOAuthFlowException: client_credentials flow can not be selected if client does not have a client secret."},
		{"machine with a user's scope", ClientInput{OAuthFlows: machine, OAuthScopes: []string{"openid"}}, true,
			"InvalidOAuthFlowException: openid is not supported with client_credentials flow"},
		{"unknown scope", ClientInput{OAuthScopes: []string{"openid", "server/read"}}, false, "ScopeDoesNotExistException: Invalid scope requested: server/read"},

		{"scope of a resource server", ClientInput{OAuthScopes: []string{"openid", "server/read"}, Offered: []string{"server/read"}}, false, ""},
		{"scope that the server lacks", ClientInput{OAuthScopes: []string{"server/write"}, Offered: []string{"server/read"}}, false,
			"ScopeDoesNotExistException: Invalid scope requested: server/write"},
		{"machine with the scope of a resource server", ClientInput{OAuthFlows: machine, OAuthScopes: []string{"server/read"}, Offered: []string{"server/read"}}, true, ""},

		{"http", ClientInput{CallbackURLs: []string{"http://a.example"}}, false, invalid("http://a.example cannot use the HTTP protocol.")},
		{"http in other letters", ClientInput{CallbackURLs: []string{"HTTP://a.example"}}, false, invalid("HTTP://a.example cannot use the HTTP protocol.")},
		{"http behind a local user name", ClientInput{CallbackURLs: []string{"http://localhost@a.example"}}, false, invalid("http://localhost@a.example cannot use the HTTP protocol.")},
		{"http for logout", ClientInput{LogoutURLs: []string{"http://a.example"}}, false, invalid("http://a.example cannot use the HTTP protocol.")},
		{"http on this machine", ClientInput{CallbackURLs: []string{"http://localhost:3000/cb", "http://127.0.0.1", "http://[::1]:8080/x"}}, false, ""},
		{"app", ClientInput{CallbackURLs: []string{"myapp://cb", "com.example.app:/cb"}, LogoutURLs: []string{"myapp://out"}}, false, ""},
		{"relative", ClientInput{CallbackURLs: []string{"/cb"}}, false, invalid("/cb is not an absolute URL.")},
		{"unreadable", ClientInput{CallbackURLs: []string{"https://a%zz"}}, false, invalid("https://a%zz is not an absolute URL.")},
		{"https without host", ClientInput{CallbackURLs: []string{"https:///cb"}}, false, invalid("https:///cb is not an absolute URL.")},
		{"fragment", ClientInput{CallbackURLs: []string{"https://a/#x"}}, false, invalid("https://a/#x must not contain a fragment.")},
		{"script", ClientInput{LogoutURLs: []string{"JavaScript:alert(1)"}}, false, invalid("JavaScript:alert(1) uses a scheme to which a browser must not be sent.")},
		{"data", ClientInput{CallbackURLs: []string{"data:text/html,x"}}, false, invalid("data:text/html,x uses a scheme to which a browser must not be sent.")},
		{"default redirect not listed", ClientInput{CallbackURLs: cb, DefaultRedirect: new("https://b")}, false, invalid("The default redirect URI https://b is not in the callback URIs list.")},
		{"default redirect", ClientInput{CallbackURLs: cb, DefaultRedirect: new("https://a.example")}, false, ""},

		{"unknown provider", ClientInput{Providers: []string{"COGNITO", "Google"}}, false, invalid("The provider Google does not exist for User Pool us-west-2_abcdefghi")},
		{"analytics of nothing", ClientInput{Analytics: &Analytics{UserDataShared: new(true)}}, false, analytics},
		{"analytics of both", ClientInput{Analytics: &Analytics{ApplicationArn: new("a"), ApplicationID: new("b"), RoleArn: new("c"), ExternalID: new("d")}}, false, analytics},
		{"analytics of a part", ClientInput{Analytics: &Analytics{ApplicationID: new("b"), RoleArn: new("c")}}, false, analytics},
		{"analytics by ARN", ClientInput{Analytics: &Analytics{ApplicationArn: new("a")}}, false, ""},
		{"analytics by id", ClientInput{Analytics: &Analytics{ApplicationID: new("b"), RoleArn: new("c"), ExternalID: new("d")}}, false, ""},
		{"context without secret", ClientInput{PropagateContext: true}, false, invalid("EnablePropagateAdditionalUserContextData needs a client with a secret.")},
		{"context", ClientInput{PropagateContext: true}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.in.Name = new("web")
			_, err := NewClient(clientPool(t), c.in, c.secret)
			want.Equal(t, said(t, err), c.want)
		})
	}
}

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	want.Equal(t, said(t, CheckSecret(true, true)), invalid("ClientSecret cannot be given when GenerateSecret is true."))
	for _, c := range [][2]bool{{false, false}, {true, false}, {false, true}} {
		want.NoError(t, CheckSecret(c[0], c[1]))
	}
}
