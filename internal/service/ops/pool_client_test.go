package ops_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/ops"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// unexported lets settled be compared.
var unexported = cmp.AllowUnexported(settled{})

func clientID(t *testing.T, answer string) string {
	t.Helper()
	m := regexp.MustCompile(`"ClientId":"([^"]+)"`).FindStringSubmatch(answer)
	want.True(t, m != nil, "a client id is in %s", answer)
	return m[1]
}

// client makes an app client of the world's pool and returns its id and the answer.
func (l place) client(members string) (id, answer string) {
	l.Helper()
	answer = l.ok("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"web"`+members+`}`)
	return clientID(l.T, answer), answer
}

// describe is the answer about a client.
func (l place) describe(id string) string {
	l.Helper()
	return l.ok("DescribeUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+id+`"}`)
}

func TestSmallestClient(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		s := l.do("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"web"}`)
		id := clientID(w.T, s.answer)
		want.True(w.T, regexp.MustCompile(`^[0-9a-v]{26}$`).MatchString(id), "%s is a client id", id)
		want.Equal(w.T, s, settled{`{"UserPoolClient":{"UserPoolId":"` + w.pool.ID + `","ClientName":"web","ClientId":"` + id + `","LastModifiedDate":1767323045.678,` +
			`"CreationDate":1767323045.678,"RefreshTokenValidity":30,"AllowedOAuthFlowsUserPoolClient":false,"EnableTokenRevocation":true,` +
			`"EnablePropagateAdditionalUserContextData":false,"AuthSessionValidity":3,"ClientType":"REGULAR"}}`, "CreateUserPoolClient client:" + id}, unexported)
		want.Equal(w.T, l.describe(id), s.answer)
	})
}

// everyMember are the members that creation and update of a client share.
const everyMember = `"RefreshTokenValidity":90,"AccessTokenValidity":10,"IdTokenValidity":600,"TokenValidityUnits":{"AccessToken":"minutes","IdToken":"seconds","RefreshToken":"hours"},` +
	`"ReadAttributes":["email","sub"],"WriteAttributes":["email"],"ExplicitAuthFlows":["ALLOW_USER_SRP_AUTH","ALLOW_USER_AUTH"],"SupportedIdentityProviders":["COGNITO"],` +
	`"CallbackURLs":["https://a.example/cb","myapp://cb"],"LogoutURLs":["http://localhost/out"],"DefaultRedirectURI":"myapp://cb","AllowedOAuthFlows":["code","implicit"],` +
	`"AllowedOAuthScopes":["openid","email"],"AllowedOAuthFlowsUserPoolClient":true,` +
	`"AnalyticsConfiguration":{"ApplicationId":"0a","RoleArn":"arn:aws:iam::123456789012:role/r","ExternalId":"x","UserDataShared":true},` +
	`"PreventUserExistenceErrors":"ENABLED","EnableTokenRevocation":false,"EnablePropagateAdditionalUserContextData":true,"AuthSessionValidity":15,` +
	`"RefreshTokenRotation":{"Feature":"ENABLED","RetryGracePeriodSeconds":60}`

const everyMemberName = "RefreshTokenValidity AccessTokenValidity IdTokenValidity TokenValidityUnits ReadAttributes WriteAttributes ExplicitAuthFlows SupportedIdentityProviders " +
	"CallbackURLs LogoutURLs DefaultRedirectURI AllowedOAuthFlows AllowedOAuthScopes AllowedOAuthFlowsUserPoolClient AnalyticsConfiguration PreventUserExistenceErrors " +
	"EnableTokenRevocation EnablePropagateAdditionalUserContextData AuthSessionValidity RefreshTokenRotation"

const ownSecret = "0123456789abcdefghijklmnop"

func TestEveryMemberOfAClient(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		s := l.do("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"web","ClientSecret":"`+ownSecret+`",`+everyMember+`}`)
		id := clientID(w.T, s.answer)
		shown := func(name, modified string) string {
			return `{"UserPoolClient":{"UserPoolId":"` + w.pool.ID + `","ClientName":"` + name + `","ClientId":"` + id + `","ClientSecret":"` + ownSecret + `","LastModifiedDate":` + modified +
				`,"CreationDate":1767323045.678,`
		}
		want.Equal(w.T, s, settled{shown("web", "1767323045.678") + everyMember + `,"ClientType":"REGULAR"}}`, "CreateUserPoolClient client:" + id + " ClientSecret " + everyMemberName}, unexported)
		want.Equal(w.T, l.describe(id), s.answer)

		// An update replaces everything but name and secret.
		w.clock.Advance(time.Second)
		named := `{"UserPoolId":"$pool","ClientId":"` + id + `"`
		reset := shown("web", "1767323046.678") + `"RefreshTokenValidity":30,"AllowedOAuthFlowsUserPoolClient":false,"EnableTokenRevocation":true,` +
			`"EnablePropagateAdditionalUserContextData":false,"AuthSessionValidity":3,"ClientType":"REGULAR"}}`
		want.Equal(w.T, l.do("UpdateUserPoolClient", named+"}"), settled{reset, "UpdateUserPoolClient client:" + id}, unexported)
		want.Equal(w.T, l.describe(id), reset)
		again := shown("app", "1767323046.678") + everyMember + `,"ClientType":"REGULAR"}}`
		want.Equal(w.T, l.do("UpdateUserPoolClient", named+`,"ClientName":"app",`+everyMember+"}"), settled{again, "UpdateUserPoolClient client:" + id + " ClientName " + everyMemberName}, unexported)
		want.Equal(w.T, l.describe(id), again)
		l.refused("UpdateUserPoolClient", named+`,"AccessTokenValidity":25}`, invalid("Invalid range for token validity."))
		l.refused("UpdateUserPoolClient", named+`,"WriteAttributes":["sub"]}`, invalid("Invalid write attributes specified while updating a client"))
		want.Equal(w.T, l.describe(id), again)
	})
}

func TestClientSecret(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		id, answer := l.client(`,"GenerateSecret":true`)
		want.True(w.T, regexp.MustCompile(`"ClientSecret":"[0-9a-v]{52}"`).MatchString(answer), "a secret is in %s", answer)
		want.Equal(w.T, l.describe(id), answer)
		_, other := l.client(`,"GenerateSecret":true`)
		want.True(w.T, secretPart.FindString(answer) != secretPart.FindString(other), "secrets differ")
		id, _ = l.client(`,"GenerateSecret":false,"ClientSecret":"` + ownSecret + `"`)
		var stored *pool.Client
		w.view(func(v store.View) (err error) { stored, err = v.Clients().Get(w.pool.ID, id); return err })
		want.Equal(w.T, stored.Secrets[0].ID, id+"--1767323045")
		want.Equal(w.T, stored.Secrets[0].Value.Reveal(), ownSecret)

		create := `{"UserPoolId":"$pool","ClientName":"web"`
		l.refused("CreateUserPoolClient", create+`,"GenerateSecret":true,"ClientSecret":"`+ownSecret+`"}`, invalid("ClientSecret cannot be given when GenerateSecret is true."))
		l.refused("CreateUserPoolClient", create+`,"ClientSecret":"short"}`,
			invalid("1 validation error detected: Value at 'clientSecret' failed to satisfy constraint: Member must have length greater than or equal to 24"))
	})
}

var secretPart = regexp.MustCompile(`"ClientSecret":"[^"]+"`)

func TestCreateUserPoolClientIsRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		for members, text := range map[string]string{
			`"RefreshTokenValidity":3651`:                       invalid("Invalid range for token validity."),
			`"ReadAttributes":["email","\u0000"]`:               invalid("The value of ReadAttributes contains the null character."),
			`"ReadAttributes":["nope"]`:                         invalid("Invalid read attributes specified while creating a client"),
			`"AllowedOAuthScopes":["server/read"]`:              "ScopeDoesNotExistException: Invalid scope requested: server/read",
			`"AllowedOAuthFlows":["client_credentials"]`:        "InvalidOAuthFlowException: client_credentials flow can not be selected if client does not have a client secret.",
			`"SupportedIdentityProviders":["COGNITO","Google"]`: invalid("The provider Google does not exist for User Pool " + w.pool.ID),
			`"ExplicitAuthFlows":["ALLOW_REFRESH_TOKEN_AUTH"],"RefreshTokenRotation":{"Feature":"ENABLED"}`: invalid(
				"ALLOW_REFRESH_TOKEN_AUTH is not a permitted ExplicitAuthFlow when refresh token rotation is enabled"),
			`"AllowedOAuthFlows":["code","token"]`: invalid("1 validation error detected: Value '[code, token]' at 'allowedOAuthFlows' failed to satisfy constraint: " +
				"Member must satisfy constraint: [Member must satisfy enum value set: [implicit, client_credentials, code]]"),
		} {
			l.refused("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"web",`+members+`}`, text)
		}
		want.Equal(w.T, l.ok("ListUserPoolClients", `{"UserPoolId":"$pool"}`), `{"UserPoolClients":[]}`)
	})
}

func TestClientLimit(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		o := &ops.Clients{Store: w.store, Chance: chance.System(), Limit: 1}
		_, err := o.Create(w.Context(), l.call("CreateUserPoolClient"), &api.CreateUserPoolClientInput{UserPoolId: w.pool.ID, ClientName: "a"})
		want.NoError(w.T, err)
		_, err = o.Create(w.Context(), l.call("CreateUserPoolClient"), &api.CreateUserPoolClientInput{UserPoolId: w.pool.ID, ClientName: "b"})
		want.Equal(w.T, errorText(w.T, err), "LimitExceededException: The number of app clients in the user pool cannot exceed 1.")
	})
}

func TestDeleteUserPoolClient(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		id, _ := l.client("")
		named := `{"UserPoolId":"$pool","ClientId":"` + id + `"}`
		want.Equal(w.T, l.do("DeleteUserPoolClient", named), settled{"", "DeleteUserPoolClient client:" + id}, unexported)
		for _, operation := range []string{"DescribeUserPoolClient", "UpdateUserPoolClient", "DeleteUserPoolClient"} {
			l.refused(operation, named, "ResourceNotFoundException: User pool client "+id+" does not exist.")
		}
	})
}

func TestClientThatWentAway(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		for _, operation := range []string{"DescribeUserPoolClient", "UpdateUserPoolClient", "DeleteUserPoolClient"} {
			id, _ := l.client("")
			l.describe(id)
			w.update(func(tx store.Tx) error { return tx.Clients().Delete(w.pool.ID, id) })
			l.refused(operation, `{"UserPoolId":"$pool","ClientId":"`+id+`"}`, "ResourceNotFoundException: User pool client "+id+" does not exist.")
		}
	})
}

func TestClientOfAnotherPool(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		id, _ := l.client("")
		other := l.create("")
		l.refused("DescribeUserPoolClient", `{"UserPoolId":"`+other+`","ClientId":"`+id+`"}`, "ResourceNotFoundException: User pool client "+id+" does not exist.")
	})
}

func TestListUserPoolClients(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		var ids []string
		for range 3 {
			id, _ := l.client("")
			ids = append(ids, id)
		}
		last := "~" + chance.System().ClientID() // behind all others
		registered := &pool.Client{ID: last, PoolID: w.pool.ID, Created: start, Modified: start, ClientSettings: pool.ClientSettings{Name: "dcr", Type: pool.RegisteredClient}}
		w.update(func(tx store.Tx) error { return tx.Clients().Create(registered) })
		item := func(id, name string) string {
			return `{"ClientId":"` + id + `","UserPoolId":"` + w.pool.ID + `","ClientName":"` + name + `"}`
		}
		ids = sorted(ids)
		regular := item(ids[0], "web") + "," + item(ids[1], "web") + "," + item(ids[2], "web")
		page := func(rest string) string { return l.ok("ListUserPoolClients", `{"UserPoolId":"$pool"`+rest+`}`) }
		want.Equal(w.T, page(""), `{"UserPoolClients":[`+regular+`,`+item(last, "dcr")+`]}`)
		want.Equal(w.T, page(`,"ClientType":"REGULAR"`), `{"UserPoolClients":[`+regular+`]}`)
		want.Equal(w.T, page(`,"ClientType":"DCR"`), `{"UserPoolClients":[`+item(last, "dcr")+`]}`)

		first := page(`,"MaxResults":3`)
		want.Equal(w.T, withoutToken(first), `{"UserPoolClients":[`+regular+`]}`)
		next := `,"NextToken":"` + tokenOf(first) + `"`
		want.Equal(w.T, page(`,"MaxResults":3`+next), `{"UserPoolClients":[`+item(last, "dcr")+`]}`)

		// A filtered page may be empty while there are more.
		first = page(`,"MaxResults":3,"ClientType":"DCR"`)
		want.Equal(w.T, withoutToken(first), `{"UserPoolClients":[]}`)
		want.Equal(w.T, page(`,"MaxResults":3,"ClientType":"DCR","NextToken":"`+tokenOf(first)+`"`), `{"UserPoolClients":[`+item(last, "dcr")+`]}`)

		bad := invalid("Invalid nextToken specified")
		l.refused("ListUserPoolClients", `{"UserPoolId":"$pool","MaxResults":3,"ClientType":"DCR"`+next+`}`, bad)
		l.refused("ListUserPoolClients", `{"UserPoolId":"`+l.create("")+`","MaxResults":3`+next+`}`, bad)
	})
}

func TestClientPageDefault(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		w.update(func(tx store.Tx) error {
			for _, id := range clientIDs {
				if err := tx.Clients().Create(&pool.Client{ID: w.pool.ID[10:] + id, PoolID: w.pool.ID, Created: start, Modified: start, ClientSettings: pool.ClientSettings{Name: "n"}}); err != nil {
					return err
				}
			}
			return nil
		})
		answer := l.ok("ListUserPoolClients", `{"UserPoolId":"$pool"}`)
		want.Equal(w.T, strings.Count(answer, `"ClientId"`), 60)
		answer = l.ok("ListUserPoolClients", `{"UserPoolId":"$pool","NextToken":"`+tokenOf(answer)+`"}`)
		want.Equal(w.T, strings.Count(answer, `"ClientId"`), 1)
		want.Equal(w.T, tokenOf(answer), "")
	})
}

// clientIDs are 61 ids.
var clientIDs = func() (ids []string) {
	for i := range 61 {
		ids = append(ids, string(rune('A'+i/10))+string(rune('a'+i%10)))
	}
	return ids
}()

func TestCustomClientID(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		mine := "mine_" + chance.System().ClientID()[:8]
		create := func(name string) string { return `{"UserPoolId":"$pool","ClientName":"` + name + `"}` }
		l.refused("CreateUserPoolClient", create("_custom_id_:"+mine), invalid("1 validation error detected: Value '_custom_id_:"+mine+
			"' at 'clientName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w\\s+=,.@-]+"))

		w.pipeline.CustomIDs = true
		answer := l.ok("CreateUserPoolClient", create("_custom_id_:"+mine))
		want.Contains(w.T, answer, `"ClientName":"_custom_id_:`+mine+`","ClientId":"`+mine+`"`)
		want.Equal(w.T, l.describe(mine), answer)
		l.refused("CreateUserPoolClient", create("_custom_id_:"+mine), invalid("The custom id "+mine+" is taken."))
		l.refused("CreateUserPoolClient", create("_custom_id_:a-b"), invalid("The custom id a-b does not have the form of an id."))
		l.refused("CreateUserPoolClient", create("_custom_id_:"), invalid("2 validation errors detected: Value '' at 'clientName' failed to satisfy constraint: Member must satisfy regular "+
			"expression pattern: [\\w\\s+=,.@-]+; Value '' at 'clientName' failed to satisfy constraint: Member must have length greater than or equal to 1"))

		// An update may repeat the name.
		named := `{"UserPoolId":"$pool","ClientId":"` + mine + `"`
		want.Equal(w.T, l.ok("UpdateUserPoolClient", named+`,"ClientName":"_custom_id_:`+mine+`"}`), answer)
		want.Contains(w.T, l.ok("UpdateUserPoolClient", named+`,"ClientName":"web"}`), `"ClientName":"web","ClientId":"`+mine+`"`)
	})
}
