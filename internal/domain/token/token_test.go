package token_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 678e6, time.UTC)

func num(n int) *int       { return &n }
func str(s string) *string { return &s }

// facts are those of the smallest sign-in, changed.
func facts(change func(f *token.Facts)) *token.Facts {
	f := &token.Facts{
		Issuer: "https://id.example.com/us-east-1_AbCdEf123",
		Pool:   &pool.Pool{ID: "us-east-1_AbCdEf123", Region: "us-east-1"},
		Client: &pool.Client{ID: "client", ClientSettings: pool.ClientSettings{Revocation: true, RefreshValidity: 30}},
		User:   &user.Record{Sub: "sub", Username: "jane", Attributes: map[string]string{}},
		Family: &token.Family{ID: "family", EventID: "event", Origin: token.FromAPI, Scopes: []string{token.AdminScope}, AuthTime: noon.Add(-time.Hour)},
		Now:    noon, IDJti: "jti-i", AccessJti: "jti-a",
	}
	if change != nil {
		change(f)
	}
	return f
}

const (
	unix     = "1793620800"
	hourOn   = "1793624400"
	hourBack = "1793617200"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	iss := `"iss":"https://id.example.com/us-east-1_AbCdEf123"`
	times := `"auth_time":` + hourBack + `,"exp":` + hourOn + `,"iat":` + unix
	for _, c := range []struct {
		name       string
		change     func(f *token.Facts)
		access, id string
	}{
		{"the smallest", nil,
			`{"sub":"sub",` + iss + `,"client_id":"client","origin_jti":"family","event_id":"event","token_use":"access","scope":"aws.cognito.signin.user.admin",` + times + `,"jti":"jti-a","username":"jane"}`,
			`{"sub":"sub",` + iss + `,"cognito:username":"jane","origin_jti":"family","aud":"client","event_id":"event","token_use":"id",` + times + `,"jti":"jti-i"}`},
		{"everything", func(f *token.Facts) {
			f.User.Attributes = map[string]string{"email": "a@x.io", "email_verified": "true", "phone_number": "+1555", "phone_number_verified": "false",
				"name": "Jän <&> \"q\"\n", "custom:n": "42", "address": "Main \"St\" 1", "updated_at": "1700000000"}
			f.User.Identities = []user.Identity{{Provider: "Google", Type: "Google", Value: "g1", Primary: true, Created: noon}, {Provider: "corp", Type: "SAML", Value: "s", Issuer: "urn:x", Created: noon}}
			f.Family.DeviceKey = "us-east-1_d"
			f.Grants = token.Grants{Groups: []string{"staff", "a b"}, Roles: []string{"arn:1", "arn:2"}, Preferred: "arn:1"}
		},
			`{"sub":"sub","device_key":"us-east-1_d","cognito:groups":["staff","a b"],` + iss + `,"client_id":"client","origin_jti":"family","event_id":"event","token_use":"access","scope":"aws.cognito.signin.user.admin",` + times + `,"jti":"jti-a","username":"jane"}`,
			`{"sub":"sub","cognito:groups":["staff","a b"],"email_verified":true,"cognito:preferred_role":"arn:1",` + iss + `,"phone_number_verified":false,"cognito:username":"jane",` +
				`"address":{"formatted":"Main \"St\" 1"},"custom:n":"42","name":"Jän <&> \"q\"\n","phone_number":"+1555","updated_at":1700000000,"origin_jti":"family","cognito:roles":["arn:1","arn:2"],"aud":"client",` +
				`"identities":[{"userId":"g1","providerName":"Google","providerType":"Google","issuer":null,"primary":"true","dateCreated":"1793620800678"},{"userId":"s","providerName":"corp","providerType":"SAML","issuer":"urn:x","primary":"false","dateCreated":"1793620800678"}],` +
				`"event_id":"event","token_use":"id",` + times + `,"jti":"jti-i","email":"a@x.io"}`},
		{"what the client may not read is not there", func(f *token.Facts) {
			f.Client.Read = []string{"name"}
			f.User.Attributes = map[string]string{"email": "a@x.io", "email_verified": "true", "name": "N", "custom:n": "42"}
			f.User.Identities = []user.Identity{{Provider: "Google", Value: "g1"}}
		}, "",
			`{"sub":"sub",` + iss + `,"cognito:username":"jane","name":"N","origin_jti":"family","aud":"client","event_id":"event","token_use":"id",` + times + `,"jti":"jti-i"}`},
		{"without revocation no family", func(f *token.Facts) { f.Client.Revocation = false },
			`{"sub":"sub",` + iss + `,"client_id":"client","event_id":"event","token_use":"access","scope":"aws.cognito.signin.user.admin",` + times + `,"jti":"jti-a","username":"jane"}`,
			`{"sub":"sub",` + iss + `,"cognito:username":"jane","aud":"client","event_id":"event","token_use":"id",` + times + `,"jti":"jti-i"}`},
		{"rotation names the family too", func(f *token.Facts) { f.Client.Revocation, f.Client.Rotation = false, &pool.Rotation{Enabled: true} },
			`{"sub":"sub",` + iss + `,"client_id":"client","origin_jti":"family","event_id":"event","token_use":"access","scope":"aws.cognito.signin.user.admin",` + times + `,"jti":"jti-a","username":"jane"}`, ""},
		{"rotation that is off does not", func(f *token.Facts) { f.Client.Revocation, f.Client.Rotation = false, &pool.Rotation{} },
			`{"sub":"sub",` + iss + `,"client_id":"client","event_id":"event","token_use":"access","scope":"aws.cognito.signin.user.admin",` + times + `,"jti":"jti-a","username":"jane"}`, ""},
		{"OAuth", func(f *token.Facts) { f.Family.Origin, f.Family.Scopes = token.FromOAuth, []string{"openid", "a/b"} },
			`{"sub":"sub",` + iss + `,"version":2,"client_id":"client","origin_jti":"family","event_id":"event","token_use":"access","scope":"openid a/b",` + times + `,"jti":"jti-a","username":"jane"}`, ""},
		{"lives of the client", func(f *token.Facts) {
			f.Client.AccessValidity, f.Client.IDValidity, f.Client.Units = num(300), num(2), &pool.ValidityUnits{Access: str("seconds"), ID: str("minutes")}
		},
			`{"sub":"sub",` + iss + `,"client_id":"client","origin_jti":"family","event_id":"event","token_use":"access","scope":"aws.cognito.signin.user.admin","auth_time":` + hourBack + `,"exp":1793621100,"iat":` + unix + `,"jti":"jti-a","username":"jane"}`,
			`{"sub":"sub",` + iss + `,"cognito:username":"jane","origin_jti":"family","aud":"client","event_id":"event","token_use":"id","auth_time":` + hourBack + `,"exp":1793620920,"iat":` + unix + `,"jti":"jti-i"}`},
		{"a time of update that is no number stays a text", func(f *token.Facts) { f.User.Attributes["updated_at"] = "1.5" }, "",
			`{"sub":"sub",` + iss + `,"cognito:username":"jane","updated_at":"1.5","origin_jti":"family","aud":"client","event_id":"event","token_use":"id",` + times + `,"jti":"jti-i"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := facts(c.change)
			access, id := string(f.Access().Append(nil)), string(f.ID().Append(nil))
			if c.access != "" {
				want.Equal(t, access, c.access)
			}
			if c.id != "" {
				want.Equal(t, id, c.id)
			}
			want.True(t, json.Valid([]byte(access)) && json.Valid([]byte(id)), "the claims are JSON")
			_, err := token.ReadAccess(f.Pool.ID, []byte(id))
			want.True(t, err != nil, "an ID token is no access token")
			got, err := token.ReadAccess(f.Pool.ID, []byte(access))
			want.NoError(t, err)
			family := ""
			if token.Revocable(f.Client) {
				family = "family"
			}
			want.Equal(t, got, &token.Access{ID: "jti-a", PoolID: f.Pool.ID, ClientID: "client", Sub: "sub", Username: "jane", Family: family, EventID: "event",
				DeviceKey: f.Family.DeviceKey, Scopes: f.Family.Scopes, AuthTime: noon.Add(-time.Hour).Truncate(time.Second), Issued: noon.Truncate(time.Second),
				Expires: noon.Truncate(time.Second).Add(time.Duration(f.Client.AccessSeconds()) * time.Second)})
		})
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	c := facts(nil).Access()
	want.Equal(t, c.Get("token_use"), any("access"))
	want.Equal(t, c.Get("nope"), any(nil))
}

func TestGrants(t *testing.T) {
	t.Parallel()
	role := func(arn string) user.GroupSettings { return user.GroupSettings{RoleARN: &arn, Precedence: num(1)} }
	want.Equal(t, token.GrantsOf(nil), token.Grants{})
	want.Equal(t, token.GrantsOf([]*user.Group{{Name: "a", GroupSettings: role("r1")}, {Name: "b"}, {Name: "c", GroupSettings: role("r1")}}),
		token.Grants{Groups: []string{"a", "b", "c"}, Roles: []string{"r1"}, Preferred: "r1"})
	want.Equal(t, token.GrantsOf([]*user.Group{{Name: "a", GroupSettings: role("r1")}, {Name: "c", GroupSettings: role("r2")}}),
		token.Grants{Groups: []string{"a", "c"}, Roles: []string{"r1", "r2"}})
}

func TestLives(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		f     token.Family
		lives bool
	}{
		"as it was made":                      {token.Family{Created: noon}, true},
		"revoked":                             {token.Family{Created: noon, Revoked: noon}, false},
		"of a former client with the same id": {token.Family{Created: noon.Add(-time.Millisecond)}, false},
	} {
		want.True(t, c.f.Lives(noon) == c.lives, "%s: lives is not %v", name, c.lives)
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	a := token.Access{Scopes: []string{"openid", token.AdminScope}}
	want.True(t, a.Has(token.AdminScope) && a.Has("openid") && !a.Has("profile"), "scopes are compared as a whole")
}

// TestReadAccess reads payloads that somebody's function has added to, and refuses what no access token says.
func TestReadAccess(t *testing.T) {
	t.Parallel()
	const id = "us-east-1_AbCdEf123"
	good := string(facts(nil).Access().Append(nil))
	for name, c := range map[string]struct {
		payload string
		ok      bool
	}{
		"as issued":                    {good, true},
		"with claims of a function":    {strings.TrimSuffix(good, "}") + `,"x":{"a":[1,{"sub":"}"}],"b":"\"}"},"y":[],"z":null,"n":-1.5e3}`, true},
		"names in another letter case": {strings.TrimSuffix(good, "}") + `,"SUB":"other","Token_Use":"id","Exp":1}`, true},
		"escaped values":               {strings.Replace(good, `"jane"`, `"\u006aane"`, 1), true},
		"another pool":                 {strings.Replace(good, id, "us-east-1_AbCdEf124", 1), false},
		"a pool that ends alike":       {strings.Replace(good, "/"+id, "/x"+id, 1), false},
		"no issuer":                    {strings.Replace(good, `"iss"`, `"isx"`, 1), false},
		"another use":                  {strings.Replace(good, `"access"`, `"id"`, 1), false},
		"no use":                       {strings.Replace(good, `"token_use"`, `"x"`, 1), false},
		"no subject":                   {strings.Replace(good, `"sub":"sub"`, `"sub":""`, 1), false},
		"no client":                    {strings.Replace(good, `"client_id"`, `"x"`, 1), false},
		"no expiry":                    {strings.Replace(good, `"exp"`, `"x"`, 1), false},
		"an expiry that is a text":     {strings.Replace(good, `"exp":`+hourOn, `"exp":"9999999999"`, 1), false},
		"an expiry that is null":       {strings.Replace(good, `"exp":`+hourOn, `"exp":null`, 1), false},
		"a subject that is a number":   {strings.Replace(good, `"sub":"sub"`, `"sub":1`, 1), false},
		"a list":                       {`[]`, false},
		"an empty object":              {`{}`, false},
		"nothing":                      {``, false},
		"cut off":                      {good[:len(good)-1], false},
		"more behind":                  {good + "}", false},
		"a comma at the end":           {strings.TrimSuffix(good, "}") + ",}", false},
		"no value":                     {strings.TrimSuffix(good, "}") + `,"x":}`, false},
		"no name":                      {strings.TrimSuffix(good, "}") + `,5:6}`, false},
	} {
		a, err := token.ReadAccess(id, []byte(c.payload))
		want.True(t, (err == nil) == c.ok, "%s: %v", name, err)
		if c.ok {
			want.Equal(t, []string{a.Sub, a.Username, a.ClientID}, []string{"sub", "jane", "client"})
		}
	}
}

// FuzzReadAccess holds that whatever is read from a valid object is what the standard library reads of it.
func FuzzReadAccess(f *testing.F) {
	const id = "us-east-1_AbCdEf123"
	good := string(facts(nil).Access().Append(nil))
	for _, seed := range []string{good, `{`, `{}`, `{"a":1}`, strings.TrimSuffix(good, "}") + `,"x":{"a":[1,{"sub":"}"}]}}`, `{"sub":"a\"b","iss":"/` + id + `"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		a, err := token.ReadAccess(id, []byte(payload))
		if err != nil || strings.ContainsAny(payload, " \t\r\n") {
			return
		}
		var all map[string]json.RawMessage
		if json.Unmarshal([]byte(payload), &all) != nil {
			return // what is not JSON was never signed
		}
		for name, got := range map[string]string{"sub": a.Sub, "client_id": a.ClientID, "username": a.Username, "jti": a.ID} {
			var wanted string
			if text, ok := all[name]; ok {
				if err := json.Unmarshal(text, &wanted); err != nil {
					t.Fatalf("%s is read as %q of %s", name, got, text)
				}
			}
			if got != wanted && strings.ToValidUTF8(got, "\uFFFD") != wanted {
				t.Errorf("%s is %q, want %q", name, got, wanted)
			}
		}
	})
}
