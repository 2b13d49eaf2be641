package token_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// parse reads a response that must be good.
func parse(t *testing.T, version, response string) *token.Override {
	t.Helper()
	o, err := token.ParseOverride(version, []byte(response))
	want.NoError(t, err)
	return o
}

func TestOverride(t *testing.T) {
	t.Parallel()
	v1 := func(details string) string { return `{"claimsOverrideDetails":` + details + `}` }
	v2 := func(details string) string { return `{"claimsAndScopeOverrideDetails":` + details + `}` }
	both := func(changes string) string {
		return v2(`{"idTokenGeneration":{` + changes + `},"accessTokenGeneration":{` + changes + `}}`)
	}
	groups := func(f *token.Facts) {
		f.Grants = token.Grants{Groups: []string{"staff"}, Roles: []string{"arn:1"}, Preferred: "arn:1"}
	}
	for _, c := range []struct {
		name, version, response string
		change                  func(f *token.Facts)
		access, id              map[string]any // claims that must be so; nil: absent
	}{
		{"a claim, for the ID token alone", "V1_0", v1(`{"claimsToAddOrOverride":{"tenant":"42","name":"Other"}}`), nil,
			map[string]any{"tenant": nil}, map[string]any{"tenant": `"42"`, "name": `"Other"`}},
		{"a suppressed claim", "V1_0", v1(`{"claimsToSuppress":["name"],"claimsToAddOrOverride":{"name":"Other","gone":null}}`), nil,
			nil, map[string]any{"name": nil, "gone": nil}},
		{"groups, for both", "V1_0", v1(`{"groupOverrideDetails":{"groupsToOverride":["x"],"iamRolesToOverride":["arn:2"],"preferredRole":"arn:2"}}`), groups,
			map[string]any{"cognito:groups": `["x"]`}, map[string]any{"cognito:groups": `["x"]`, "cognito:roles": `["arn:2"]`, "cognito:preferred_role": `"arn:2"`}},
		{"no groups", "V1_0", v1(`{"groupOverrideDetails":{}}`), groups, map[string]any{"cognito:groups": nil}, map[string]any{"cognito:groups": nil, "cognito:roles": nil, "cognito:preferred_role": nil}},
		{"groups stay", "V1_0", v1(`{}`), groups, map[string]any{"cognito:groups": `["staff"]`}, map[string]any{"cognito:groups": `["staff"]`}},
		{"suppressed groups take their roles along", "V1_0", v1(`{"claimsToSuppress":["cognito:groups"]}`), groups,
			map[string]any{"cognito:groups": `["staff"]`}, map[string]any{"cognito:groups": nil, "cognito:roles": nil, "cognito:preferred_role": nil}},
		{"claims of every type, for both", "V2_0", both(`"claimsToAddOrOverride":{"n":1.5,"b":true,"a":[ 1, {"x":2} ],"o":{"a":[true]},"s":"t","z":null}`), nil,
			map[string]any{"n": `1.5`, "b": `true`, "a": `[1,{"x":2}]`, "o": `{"a":[true]}`, "s": `"t"`, "z": nil}, map[string]any{"n": `1.5`, "o": `{"a":[true]}`}},
		{"scopes", "V2_0", v2(`{"accessTokenGeneration":{"scopesToAdd":["a/b","with blank","a/b",""],"scopesToSuppress":["openid"]}}`), nil,
			map[string]any{"scope": `"aws.cognito.signin.user.admin a/b"`}, nil},
		{"a suppressed scope", "V3_0", v2(`{"accessTokenGeneration":{"scopesToAdd":["x"],"scopesToSuppress":["aws.cognito.signin.user.admin","x"]}}`), nil,
			map[string]any{"scope": `""`}, nil},
		{"the audience of the client", "V2_0", both(`"claimsToAddOrOverride":{"aud":"client"}`), nil, map[string]any{"aud": `"client"`}, map[string]any{"aud": `"client"`}},
		{"another audience", "V2_0", both(`"claimsToAddOrOverride":{"aud":"other"}`), nil, map[string]any{"aud": nil}, map[string]any{"aud": `"client"`}},
		{"objects where there are none", "V2_0", both(`"claimsToAddOrOverride":{"email_verified":{},"phone_number_verified":{},"updated_at":{},"address":{}}`), nil,
			map[string]any{"address": nil}, map[string]any{"email_verified": nil, "updated_at": nil, "address": nil}},
		{"attributes for developers", "V2_0", both(`"claimsToAddOrOverride":{"dev:x":"1"},"claimsToSuppress":["dev:y"]`), nil, map[string]any{"dev:x": nil}, map[string]any{"dev:x": nil}},
		{"the other version's member", "V1_0", both(`"claimsToAddOrOverride":{"n":1}`), nil, map[string]any{"n": nil}, map[string]any{"n": nil}},
		{"nothing", "V2_0", v2(`null`), nil, map[string]any{"username": `"jane"`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := facts(c.change)
			f.Family.Scopes = []string{token.AdminScope}
			f.User.Attributes = map[string]string{"name": "Jane"}
			f.Override = parse(t, c.version, c.response)
			for claims, wanted := range map[*token.Claims]map[string]any{new(f.Access()): c.access, new(f.ID()): c.id} {
				for name, value := range wanted {
					got := claims.Get(name)
					if value == nil {
						want.True(t, got == nil, "%s is there: %v", name, got)
						continue
					}
					one := token.Claims{{Name: "x", Value: got}}
					want.True(t, got != nil, "%s is missing", name)
					want.Equal(t, string(one.Append(nil)), `{"x":`+value.(string)+`}`)
				}
			}
		})
	}
}

// TestOverrideCannotForge tries to change every claim that says whose a token is and how good.
func TestOverrideCannotForge(t *testing.T) {
	t.Parallel()
	var names []string
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "nbf", "nonce", "token_use", "auth_time", "event_id", "origin_jti", "client_id", "username",
		"identities", "device_key", "version", "acr", "amr", "at_hash", "azp", "scope", "cognito:username", "cognito:groups", "cognito:roles", "cognito:preferred_role", "cognito:new", ""} {
		names = append(names, fmt.Sprintf("%q", name))
	}
	add := strings.Join(names, `:"forged",`) + `:"forged"`
	suppress := strings.Join(names[:24], ",") // groups can be taken away
	for version, response := range map[string]string{
		"V1_0": `{"claimsOverrideDetails":{"claimsToAddOrOverride":{` + add + `},"claimsToSuppress":[` + strings.ReplaceAll(suppress, `,"cognito:groups"`, "") + `]}}`,
		"V2_0": `{"claimsAndScopeOverrideDetails":{"idTokenGeneration":{"claimsToAddOrOverride":{` + add + `}},"accessTokenGeneration":{"claimsToAddOrOverride":{` + add + `}}}}`,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			plain, forged := facts(nil), facts(nil)
			forged.Override = parse(t, version, response)
			want.Equal(t, string(forged.Access().Append(nil)), string(plain.Access().Append(nil)))
			want.Equal(t, string(forged.ID().Append(nil)), string(plain.ID().Append(nil)))
			_, err := token.ReadAccess(forged.Pool.ID, forged.Access().Append(nil))
			want.NoError(t, err)
		})
	}
}

func TestParseOverrideRefuses(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 5001 {
		many = append(many, fmt.Sprintf("%q", fmt.Sprint("c", i)))
	}
	for name, c := range map[string]struct{ version, response string }{
		"a number in version 1":      {"V1_0", `{"claimsOverrideDetails":{"claimsToAddOrOverride":{"n":1}}}`},
		"a list":                     {"V1_0", `[]`},
		"a text for a list":          {"V1_0", `{"claimsOverrideDetails":{"claimsToSuppress":"x"}}`},
		"a text for an object":       {"V2_0", `{"claimsAndScopeOverrideDetails":"x"}`},
		"too many claims and scopes": {"V2_0", `{"claimsAndScopeOverrideDetails":{"idTokenGeneration":{"claimsToSuppress":[` + strings.Join(many, ",") + `]}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := token.ParseOverride(c.version, []byte(c.response))
			want.Equal(t, fault.CodeOf(err), fault.InvalidLambdaResponseException)
		})
	}
}

// FuzzParseOverride looks for answers of functions that make a token which this server would not read.
func FuzzParseOverride(f *testing.F) {
	f.Add("V1_0", `{"claimsOverrideDetails":{"claimsToAddOrOverride":{"a":"b"},"groupOverrideDetails":{"groupsToOverride":["x"]}}}`)
	f.Add("V2_0", `{"claimsAndScopeOverrideDetails":{"accessTokenGeneration":{"claimsToAddOrOverride":{"a":[1, {"b":"c"}]},"scopesToAdd":["s"]}}}`)
	f.Fuzz(func(t *testing.T, version, response string) {
		o, err := token.ParseOverride(version, []byte(response))
		if err != nil {
			return
		}
		x := facts(nil)
		x.Override = o
		a, err := token.ReadAccess(x.Pool.ID, x.Access().Append(nil))
		want.NoError(t, err)
		want.Equal(t, []string{a.Sub, a.ClientID, a.Username}, []string{"sub", "client", "jane"})
	})
}
