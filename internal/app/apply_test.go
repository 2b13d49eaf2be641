package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// shop is a file with everything that can be applied.
const shop = `
Pools:
  - PoolName: shop
    UserPoolTags: {_custom_id_: eu-west-1_shop00001}
    AutoVerifiedAttributes: [email]
    AliasAttributes: [email]
    Schema:
      - {Name: tier, AttributeDataType: String, Mutable: true}
    Clients:
      - ClientName: _custom_id_:shopweb
        RefreshTokenValidity: 7
      - ClientName: worker
        GenerateSecret: true
    Users:
      - Username: jane
        Password: Correct-h0rse
        UserAttributes:
          - {Name: email, Value: jane@example.com}
          - {Name: email_verified, Value: "true"}
          - {Name: custom:tier, Value: gold}
      - Username: temp
        Password: Correct-h0rse
        Permanent: false
      - Username: invited
        MessageAction: SUPPRESS
  - PoolName: plain
`

func applied(t *testing.T, o app.Options, text string) (running, error) {
	t.Helper()
	o.Config.Apply = filepath.Join(t.TempDir(), "pools.yaml")
	want.NoError(t, os.WriteFile(o.Config.Apply, []byte(text), 0o600))
	a, err := app.New(t.Context(), o)
	if err != nil {
		return running{}, err
	}
	want.NoError(t, a.Close())
	return start(t, o), nil // applies it a second time
}

func get(t *testing.T, a running, operation, body string) string {
	t.Helper()
	status, text := plain(t, a.Endpoint(), operation, "", body)
	if status != http.StatusOK {
		t.Fatalf("%s answers %d: %s", operation, status, text)
	}
	return text
}

func TestApply(t *testing.T) {
	t.Parallel()
	o := options(t)
	a, err := applied(t, o, shop)
	want.NoError(t, err)
	pool := get(t, a, "DescribeUserPool", `{"UserPoolId":"eu-west-1_shop00001"}`)
	want.Contains(t, pool, `"arn:aws:cognito-idp:eu-west-1:000000000000:userpool/eu-west-1_shop00001"`)
	want.Contains(t, pool, `custom:tier`)
	client := get(t, a, "DescribeUserPoolClient", `{"UserPoolId":"eu-west-1_shop00001","ClientId":"shopweb"}`)
	want.Contains(t, client, `"RefreshTokenValidity":7`)
	for user, wanted := range map[string]string{"jane@example.com": "CONFIRMED", "temp": "FORCE_CHANGE_PASSWORD", "invited": "FORCE_CHANGE_PASSWORD"} {
		want.Contains(t, get(t, a, "AdminGetUser", `{"UserPoolId":"eu-west-1_shop00001","Username":"`+user+`"}`), wanted)
	}
	admin, err := app.OpenAdmin(t.Context(), o.Config.Storage)
	want.NoError(t, err)
	entries, err := admin.Journal(t.Context(), app.JournalQuery{})
	want.NoError(t, err)
	calls := map[string]int{}
	for _, e := range entries {
		want.Equal(t, e.Caller, "apply")
		calls[e.Operation]++
	}
	// The second time pools and clients were updated, and users left alone.
	want.Equal(t, calls, map[string]int{"CreateUserPool": 2, "UpdateUserPool": 2, "CreateUserPoolClient": 2, "UpdateUserPoolClient": 2,
		"AdminCreateUser": 3, "AdminSetUserPassword": 1})
	want.NoError(t, admin.Close())
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"not YAML", "Pools: [", "Pools"},
		{"twice", "Pools: []\nPools: []\n", "already defined"},
		{"a list", "- PoolName: x\n", "the member Pools"},
		{"another member", "pools: []\n", "only Pools is known"},
		{"pools that are none", "Pools: {}\n", "Pools must be a list of maps"},
		{"a slip of the pen", "Pools:\n  - PoolName: x\n    AutoVerifiedAttribute: [email]\n", "Pools[0] x: CreateUserPool has no member AutoVerifiedAttribute"},
		{"refused by the operation", "Pools:\n  - PoolName: x\n    AliasAttributes: [address]\n", "Pools[0] x: CreateUserPool: InvalidParameterException"},
		{"a wrong user", "Pools:\n  - PoolName: x\n    Users:\n      - {Username: jane, Password: short}\n", "Users[0] jane: AdminCreateUser"},
		{"permanent nothing", "Pools:\n  - PoolName: x\n    Users:\n      - {Username: jane, Permanent: true}\n", "Users[0] jane: there is a Permanent without a Password"},
		{"a number for a text", "Pools:\n  - PoolName: x\n    Users:\n      - {Username: 7}\n", "SerializationException"},
		{"a wrong client", "Pools:\n  - PoolName: x\n    Clients:\n      - {ClientName: web, Secret: x}\n", "Clients[0] web: CreateUserPoolClient has no member Secret"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := applied(t, options(t), row.text)
			want.Error(t, err, nil)
			want.Contains(t, err.Error(), row.want)
		})
	}
	o := options(t)
	o.Config.Apply = "/nowhere.yaml"
	_, err := app.New(t.Context(), o)
	want.Error(t, err, os.ErrNotExist)
}

func TestApplyTellsPoolsOfOneNameApart(t *testing.T) {
	t.Parallel()
	o := options(t)
	a := start(t, o)
	makePool(t, a.Endpoint(), "")
	makePool(t, a.Endpoint(), "")
	want.NoError(t, a.stop())
	_, err := applied(t, o, "Pools:\n  - PoolName: demo\n")
	want.Error(t, err, nil)
	want.Contains(t, err.Error(), "2 pools have this name")
}
