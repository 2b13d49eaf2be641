package notice_test

import (
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestSignInEvents holds the JSON of every event of sign-ins.
func TestSignInEvents(t *testing.T) {
	t.Parallel()
	p := &pool.Pool{ID: "us-east-1_AbCdEf123", Region: "us-east-1", Settings: pool.Settings{CaseSensitive: true}}
	r := &user.Record{Sub: "s", Username: "jane", Status: user.Confirmed, Attributes: map[string]string{"email": "a@x.io"}}
	caller := notice.CallerOf("", "client")
	metadata := map[string]string{"k": "v"}
	head := func(version, name, source string) string {
		return `{"version":"` + version + `","region":"us-east-1","userPoolId":"us-east-1_AbCdEf123","userName":"` + name + `",` +
			`"callerContext":{"awsSdkVersion":"aws-sdk-unknown-unknown","clientId":"client"},"triggerSource":"` + source + `","request":{`
	}
	const attributes = `"userAttributes":{"cognito:user_status":"CONFIRMED","email":"a@x.io","sub":"s"}`
	const groups = `"groupConfiguration":{"groupsToOverride":["staff"],"iamRolesToOverride":["arn:r"],"preferredRole":"arn:r"}`
	withGroups := notice.Tokens{Source: notice.SourceTokens, Groups: []string{"staff"}, Roles: []string{"arn:r"}, Preferred: "arn:r", Scopes: []string{"a"}, Metadata: metadata}
	version := func(v string) notice.Tokens {
		x := withGroups
		x.Version = v
		return x
	}
	for name, c := range map[string]struct {
		event *notice.Event
		want  string
	}{
		"before": {notice.BeforeSignInEvent(p, r, "typed", metadata, caller),
			head("1", "jane", "PreAuthentication_Authentication") + attributes + `,"validationData":{"k":"v"},"userNotFound":false},"response":{}}`},
		"before, nobody": {notice.BeforeSignInEvent(p, nil, "typed", nil, caller),
			head("1", "typed", "PreAuthentication_Authentication") + `"userAttributes":{},"validationData":null,"userNotFound":true},"response":{}}`},
		"after": {notice.SignedInEvent(p, r, metadata, caller),
			head("1", "jane", "PostAuthentication_Authentication") + attributes + `,"newDeviceUsed":false,"clientMetadata":{"k":"v"}},"response":{}}`},
		"after, without metadata": {notice.SignedInEvent(p, r, nil, caller),
			head("1", "jane", "PostAuthentication_Authentication") + attributes + `,"newDeviceUsed":false},"response":{}}`},
		"tokens": {notice.TokensEvent(p, r, version("V1_0"), caller),
			head("1", "jane", "TokenGeneration_Authentication") + attributes + `,` + groups + `,"clientMetadata":{"k":"v"}},"response":{"claimsOverrideDetails":null}}`},
		"tokens, without groups": {notice.TokensEvent(p, r, notice.Tokens{Version: "V1_0", Source: notice.SourceTokensRefresh}, caller),
			head("1", "jane", "TokenGeneration_RefreshTokens") + attributes + `,"groupConfiguration":{"groupsToOverride":[],"iamRolesToOverride":[],"preferredRole":null}},"response":{"claimsOverrideDetails":null}}`},
		"tokens, version 2": {notice.TokensEvent(p, r, version("V2_0"), caller),
			head("2", "jane", "TokenGeneration_Authentication") + attributes + `,` + groups + `,"clientMetadata":{"k":"v"},"scopes":["a"]},"response":{"claimsAndScopeOverrideDetails":null}}`},
		"tokens, version 3": {notice.TokensEvent(p, r, version("V3_0"), caller),
			head("3", "jane", "TokenGeneration_Authentication") + attributes + `,` + groups + `,"clientMetadata":{"k":"v"},"scopes":["a"]},"response":{"claimsAndScopeOverrideDetails":null}}`},
		"migration": {notice.MigrationAtSignInEvent(p, "typed", secret.New("pw"), metadata, caller),
			head("1", "typed", "UserMigration_Authentication") + `"password":"pw","validationData":{"k":"v"},"userAttributes":null},` +
				`"response":{"userAttributes":null,"forceAliasCreation":null,"enableSMSMFA":null,"finalUserStatus":null,"messageAction":null,"desiredDeliveryMediums":null}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.event.JSON()
			want.NoError(t, err)
			want.Equal(t, string(got), c.want)
		})
	}
	p.Device = &pool.DeviceConfig{}
	tracked, err := notice.SignedInEvent(p, r, nil, caller).JSON()
	want.NoError(t, err)
	want.Contains(t, string(tracked), `"newDeviceUsed":true`)
}
