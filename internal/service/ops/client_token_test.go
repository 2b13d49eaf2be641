package ops_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// forItself makes a client that may get a token for itself, with the scopes.
func forItself(scopes ...string) func(*pool.Client) {
	return func(c *pool.Client) {
		c.AuthFlows, c.OAuthScopes = []string{"ALLOW_CLIENT_TOKEN_AUTH"}, scopes
		c.Secrets = []pool.ClientSecret{{ID: "1", Value: secret.New(ownSecret), Created: start}, {ID: "2", Value: secret.New(ownSecret + "2"), Created: start}}
	}
}

// asking is the body of a GetClientToken.
func asking(c *pool.Client, proof, rest string) string {
	return `{"ClientId":"` + c.ID + `","Secret":"` + proof + `"` + rest + `}`
}

// withTokenHook configures a PreTokenGeneration function of a version.
func withTokenHook(version string) func(*pool.Settings) {
	return func(s *pool.Settings) {
		s.Lambda.PreTokenGeneration = &pool.VersionedFunction{Version: version, ARN: "arn:aws:lambda:us-east-1:123456789012:function:tokens"}
	}
}

// machineToken gets a token and returns its claims with <jti> for what is drawn.
func (w *world) machineToken(body string) (text, claims string) {
	w.Helper()
	id, reply := w.request("GetClientToken", body)
	answer := w.text(reply)
	text = regexp.MustCompile(`"AccessToken":"([^"]+)"`).FindStringSubmatch(answer + `"AccessToken":"none"`)[1]
	want.Equal(w, strings.Replace(answer, text, "<jwt>", 1), `{"ClientAuthenticationResult":{"AccessToken":"<jwt>","ExpiresIn":3600,"TokenType":"Bearer"}}`)
	w.view(func(v store.View) error {
		_, err := v.Journal().Get(id)
		return nothing(err)
	})
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	want.NoError(w, err)
	return text, uuidText.ReplaceAllString(string(payload), "<jti>")
}

// machineClaims are the claims of a client's own token that was made at the start.
func (w *world) machineClaims(c *pool.Client, scope, more string) string {
	return fmt.Sprintf(`{"sub":%q,"token_use":"access","scope":%q,"auth_time":%d,"iss":"https://id.example.com/%s","exp":%d,"iat":%d,"version":2,"jti":"<jti>","client_id":%q%s}`,
		c.ID, scope, start.Unix(), w.pool.ID, start.Unix()+3600, start.Unix(), c.ID, more)
}

func TestGetClientToken(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		w.does("CreateResourceServer", ofServer("https://api", twoScopes))
		w.does("CreateResourceServer", ofServer("b", twoScopes))
		c := w.addClient(forItself("b/read", "https://api/write", "https://api/read", "b/gone"))
		for _, x := range []struct{ rest, scope string }{
			{"", "b/read https://api/write https://api/read"}, // all that there are
			{`,"Scopes":[]`, "b/read https://api/write https://api/read"},
			{`,"Scopes":["https://api/read","b/read"]`, "b/read https://api/read"},
			{`,"Scopes":["b/write","b/gone","openid","https://api/write","https://api/write"]`, "https://api/write"}, // what it may not is left out
		} {
			for _, proof := range []string{ownSecret, ownSecret + "2"} {
				_, claims := w.machineToken(asking(c, proof, x.rest+`,"ClientMetadata":{"a":"b"}`))
				want.Equal(w, claims, w.machineClaims(c, x.scope, ""))
			}
		}
		want.Equal(w, len(w.sent())+len(w.ran())+w.due(), 0) // no function of version 3

		// The token is signed by the pool's key, and opens nothing here.
		text, _ := w.machineToken(asking(c, ownSecret, ""))
		want.Equal(w, w.call("GetUser", `{"AccessToken":"`+text+`"}`), "NotAuthorizedException: Access Token does not have required scopes")

		// A scope counts as long as a resource server offers it.
		w.does("UpdateResourceServer", ofServer("b", twoScopes[:len(twoScopes)-1]+`,{"ScopeName":"gone","ScopeDescription":"back"}]`))
		w.does("DeleteResourceServer", ofServer("https://api", ""))
		_, claims := w.machineToken(asking(c, ownSecret, ""))
		want.Equal(w, claims, w.machineClaims(c, "b/read b/gone", ""))
	})
}

func TestGetClientTokenRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, both(listening, withTokenHook("V3_0")), func(w *world) {
		w.does("CreateResourceServer", ofServer("b", twoScopes))
		refused := func(c *pool.Client, proof, rest, text string) {
			w.Helper()
			want.Equal(w, w.call("GetClientToken", asking(c, proof, rest)), text)
			want.Equal(w, len(w.sent())+len(w.ran())+w.due(), 0)
		}
		wrong := func(c *pool.Client) string {
			return "NotAuthorizedException: Unable to verify secret for client " + c.ID
		}
		c := w.addClient(forItself("b/read", "b/gone"))
		for _, proof := range []string{ownSecret + "3", ownSecret[1:] + "x", strings.ToUpper(ownSecret)} {
			refused(c, proof, "", wrong(c))
		}
		refused(c, "short", "", invalid("1 validation error detected: Value at 'secret' failed to satisfy constraint: Member must have length greater than or equal to 24"))
		const none = "InvalidParameterException: None of the requested scopes can be granted to the client."
		for _, scopes := range []string{`"b/write"`, `"b/gone"`, `"openid"`, `""`, `"b/READ","read"`} {
			refused(c, ownSecret, `,"Scopes":[`+scopes+`]`, none)
		}
		refused(w.addClient(forItself("b/gone")), ownSecret, "", none)
		refused(w.addClient(forItself("openid", "aws.cognito.signin.user.admin")), ownSecret, "", none)
		public := w.addClient(forItself("b/read"), func(c *pool.Client) { c.Secrets = nil })
		refused(public, ownSecret, "", wrong(public))
		const off = "InvalidParameterException: CLIENT_TOKEN_AUTH is not enabled for the client."
		for _, flows := range [][]string{nil, {"ALLOW_USER_PASSWORD_AUTH"}} {
			other := w.addClient(forItself("b/read"), func(c *pool.Client) { c.AuthFlows = flows })
			refused(other, ownSecret, "", off)
			refused(other, ownSecret+"3", "", wrong(other)) // the secret first
		}
		refused(&pool.Client{ID: "nobody"}, ownSecret, "", "ResourceNotFoundException: User pool client nobody does not exist.")

		// What was taken back a moment ago is gone, whatever is remembered of the client.
		w.machineToken(asking(c, ownSecret, ""))
		w.ran()
		w.update(func(tx store.Tx) error {
			now, err := tx.Clients().Get(w.pool.ID, c.ID)
			if err != nil {
				return err
			}
			now.Secrets = now.Secrets[1:]
			return tx.Clients().Save(now)
		})
		refused(c, ownSecret, "", wrong(c))
		w.machineToken(asking(c, ownSecret+"2", ""))
		w.ran()
		w.update(func(tx store.Tx) error { return tx.Clients().Delete(w.pool.ID, c.ID) })
		refused(c, ownSecret+"2", "", "ResourceNotFoundException: User pool client "+c.ID+" does not exist.")
	})
}

func TestGetClientTokenTrigger(t *testing.T) {
	t.Parallel()
	for version, asked := range map[string]bool{"V1_0": false, "V2_0": false, "V3_0": true} {
		t.Run(version, func(t *testing.T) {
			onBoth(t, withTokenHook(version), func(w *world) {
				w.does("CreateResourceServer", ofServer("b", twoScopes))
				c := w.addClient(forItself("b/read", "b/write"))
				var seen string
				w.hooks.answer = func(call *trigger.Call) (json.RawMessage, error) {
					seen = string(call.Event)
					return json.RawMessage(`{"claimsAndScopeOverrideDetails":{"accessTokenGeneration":{"claimsToAddOrOverride":{"tenant":{"n":1},"sub":"other"},` +
						`"claimsToSuppress":["iss"],"scopesToAdd":["x/y"],"scopesToSuppress":["b/read"]}}}`), nil
				}
				_, claims := w.machineToken(asking(c, ownSecret, `,"ClientMetadata":{"a":"b"}`))
				if !asked {
					want.Equal(w, claims, w.machineClaims(c, "b/read b/write", ""))
					want.Equal(w, len(w.ran()), 0)
					return
				}
				want.Equal(w, claims, w.machineClaims(c, "b/write x/y", `,"tenant":{"n":1}`))
				want.Equal(w, w.ran(), []string{"TokenGeneration_ClientCredentials"})
				want.Equal(w, seen, `{"version":"3","region":"us-east-1","userPoolId":"`+w.pool.ID+`","userName":"ClientCredentials",`+
					`"callerContext":{"awsSdkVersion":"aws-sdk-unknown-unknown","clientId":"`+c.ID+`"},"triggerSource":"TokenGeneration_ClientCredentials",`+
					`"request":{"userAttributes":{},"groupConfiguration":null,"clientMetadata":{"a":"b"},"scopes":["b/read","b/write"]},`+
					`"response":{"claimsAndScopeOverrideDetails":null}}`)
			})
		})
	}
}

func TestClientTokenFlow(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		const flow = `,"ExplicitAuthFlows":["ALLOW_CLIENT_TOKEN_AUTH"]`
		id, answer := l.client(`,"GenerateSecret":true` + flow)
		want.Contains(w, answer, flow[1:])
		l.ok("UpdateUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+id+`"`+flow+`}`)
		open, _ := l.client("")
		create, update := `{"UserPoolId":"$pool","ClientName":"web"`, `{"UserPoolId":"$pool","ClientId":"`+open+`"`
		for operation, body := range map[string]string{"CreateUserPoolClient": create, "UpdateUserPoolClient": update} {
			l.refused(operation, body+flow+`}`, invalid("ALLOW_CLIENT_TOKEN_AUTH needs a client with a secret."))
			for _, other := range []string{"ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_AUTH"} {
				l.refused(operation, body+`,"ExplicitAuthFlows":["ALLOW_CLIENT_TOKEN_AUTH","`+other+`"]}`,
					invalid("ALLOW_CLIENT_TOKEN_AUTH cannot be combined with other values of ExplicitAuthFlows."))
			}
		}
	})
}
