package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/edge/wire"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const requestID = "0d9f4c2e-6a1b-4b6a-9d2f-1c2b3a4d5e6f"

var (
	whole  = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	millis = time.Date(2019, 1, 21, 19, 51, 35, 428_000_000, time.UTC)
)

func TestOutput(t *testing.T) {
	t.Parallel()
	user := &api.AdminGetUserOutput{
		Username:             "jane \"<é>\"\n\u2028",
		UserAttributes:       []api.AttributeType{{Name: "sub", Value: new("1")}, {Name: "email"}},
		UserCreateDate:       api.Time(whole.UnixMilli()),
		UserLastModifiedDate: api.Time(millis.UnixMilli()),
		Enabled:              new(false),
		UserMFASettingList:   []string{},
	}
	for _, tt := range []struct {
		name    string
		dialect wire.Dialect
		spec    *api.Spec
		out     any
		at      time.Time
		want    string
	}{
		{"aws: members in the order of the model", wire.AWS, api.AdminGetUser.Spec, user, whole,
			`{"Username":"jane \"<é>\"\n` + "\u2028" + `","UserAttributes":[{"Name":"sub","Value":"1"},{"Name":"email"}],"UserCreateDate":1735689600,"UserLastModifiedDate":1548100295.428,"Enabled":false,"UserMFASettingList":[]}`},
		{"aws: an empty output", wire.AWS, api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesOutput{}, whole, `{}`},
		{"aws: no output", wire.AWS, api.AdminDeleteUser.Spec, nil, whole, ``},
		{"plain: the envelope", wire.Plain, api.AdminUpdateUserAttributes.Spec, &api.AdminUpdateUserAttributesOutput{}, whole,
			`{"success":true,"data":{"id":"` + requestID + `","created_at":"2025-01-01T00:00:00Z"}}`},
		{"plain: milliseconds", wire.Plain, api.AdminDeleteUser.Spec, nil, millis,
			`{"success":true,"data":{"id":"` + requestID + `","created_at":"2019-01-21T19:51:35.428Z"}}`},
		{"plain: members beside", wire.Plain, api.AdminGetUser.Spec, user, whole,
			`{"success":true,"data":{"id":"` + requestID + `","created_at":"2025-01-01T00:00:00Z","Username":"jane \"<é>\"\n` + "\u2028" + `","UserAttributes":[{"Name":"sub","Value":"1"},{"Name":"email"}],"UserCreateDate":"2025-01-01T00:00:00Z","UserLastModifiedDate":"2019-01-21T19:51:35.428Z","Enabled":false,"UserMFASettingList":[]}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := string(wire.AppendOutput(nil, tt.dialect, tt.spec, tt.out, requestID, tt.at))
			want.Equal(t, got, tt.want)
			want.True(t, got == "" || jsontext.Value(got).IsValid(), "%s is JSON", got)
		})
	}
}

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	times := func(ms ...int64) string {
		var all []string
		for _, n := range ms {
			b := wire.AppendJSON(nil, api.AdminGetUser.Out, &api.AdminGetUserOutput{UserCreateDate: api.Time(n)}, wire.AWS)
			s := strings.TrimPrefix(string(b), `{"Username":"",`)
			all = append(all, strings.TrimSuffix(strings.TrimPrefix(s, `"UserCreateDate":`), "}"))
		}
		return strings.Join(all, " ")
	}
	want.Equal(t, times(1548099495428, 1548099495420, 1548099495400, 1548099495000, 1, -1500), "1548099495.428 1548099495.42 1548099495.4 1548099495 0.001 -1.5")

	zero := wire.AppendJSON(nil, api.AdminGetUser.Out, &api.AdminGetUserOutput{}, wire.AWS)
	want.Equal(t, string(zero), `{"Username":""}`)

	maps := wire.AppendJSON(nil, api.AdminUpdateUserAttributes.In, &api.AdminUpdateUserAttributesInput{ClientMetadata: map[string]string{"b": "2", "a": "1"}}, wire.AWS)
	want.Equal(t, string(maps), `{"UserPoolId":"","Username":"","ClientMetadata":{"a":"1","b":"2"}}`)

	hidden := wire.AppendJSON(nil, api.AdminSetUserPassword.In, &api.AdminSetUserPasswordInput{Password: secret.New("p\x00\x7f\xff")}, wire.AWS)
	want.Equal(t, string(hidden), `{"UserPoolId":"","Username":"","Password":"p\u0000`+"\x7f\ufffd"+`"}`)
}

func TestFault(t *testing.T) {
	t.Parallel()
	violation := dispatch.Constrain(api.AdminUpdateUserAttributes.In, &api.AdminUpdateUserAttributesInput{}, missing("userPoolId", "username")).(*fault.Error)
	const three = "3 validation errors detected: Value null at 'userPoolId' failed to satisfy constraint: Member must not be null; " +
		"Value null at 'username' failed to satisfy constraint: Member must not be null; " +
		"Value null at 'userAttributes' failed to satisfy constraint: Member must not be null"
	const hint = " Name an operation with the header X-Amz-Target: AWSCognitoIdentityProviderService.<Operation>, or with the query parameter of the same name."
	for _, tt := range []struct {
		name       string
		fault      *fault.Error
		aws, plain string
	}{
		{"a text", fault.UserNotFound(), `{"__type":"UserNotFoundException","message":"User does not exist."}`,
			`{"success":false,"error":{"code":"USER_NOT_FOUND","message":"User does not exist.","type":"UserNotFoundException","request_id":"` + requestID + `"}}`},
		{"no text", fault.Malformed(), `{"__type":"SerializationException"}`,
			`{"success":false,"error":{"code":"VALIDATION_ERROR","message":"The request is not a JSON object.","type":"SerializationException","request_id":"` + requestID + `"}}`},
		{"unknown operation", fault.UnknownOperation(), `{"__type":"UnknownOperationException"}`,
			`{"success":false,"error":{"code":"UNKNOWN_OPERATION","message":"There is no operation of this name.` + hint + `","type":"UnknownOperationException","request_id":"` + requestID + `"}}`},
		{"further members", &fault.Error{Code: fault.InvalidParameterException, Message: "m", Fields: map[string]string{"reasonCode": "r", "a": "\""}},
			`{"__type":"InvalidParameterException","message":"m","a":"\"","reasonCode":"r"}`,
			`{"success":false,"error":{"code":"VALIDATION_ERROR","message":"m","type":"InvalidParameterException","request_id":"` + requestID + `","a":"\"","reasonCode":"r"}}`},
		{"details", violation, `{"__type":"InvalidParameterException","message":"` + three + `"}`,
			`{"success":false,"error":{"code":"VALIDATION_ERROR","message":"` + three + `","type":"InvalidParameterException","request_id":"` + requestID + `","details":[{"field":"userPoolId","reason":"Member must not be null"},{"field":"username","reason":"Member must not be null"},{"field":"userAttributes","reason":"Member must not be null"}]}}`},
		{"a pool", fault.PoolNotFound("p"), `{"__type":"ResourceNotFoundException","message":"User pool p does not exist."}`,
			`{"success":false,"error":{"code":"POOL_NOT_FOUND","message":"User pool p does not exist.","type":"ResourceNotFoundException","request_id":"` + requestID + `"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want.Equal(t, string(wire.AppendFault(nil, wire.AWS, tt.fault, requestID)), tt.aws)
			want.Equal(t, string(wire.AppendFault(nil, wire.Plain, tt.fault, requestID)), tt.plain)
		})
	}
	hinted := wire.Hint(violation)
	want.Equal(t, hinted.Message, three+". The request names no operation, so it is AdminUpdateUserAttributes."+hint)
	want.Equal(t, violation.Message, three)
	want.Equal(t, wire.Hint(fault.UserNotFound()).Message, "User does not exist.")
}

func TestStray(t *testing.T) {
	t.Parallel()
	shape := api.AdminUpdateUserAttributes.In
	for body, member := range map[string]string{
		``:                                   "",
		`{"UserPoolId":"p","Username":"u"}`:  "",
		`{"Colour":1,"username":"u"}`:        "",
		`{"UserPoolId":"p","Limit":5}`:       "Limit",
		`{"Colour":1,"Password":"secret"}`:   "Password",
		`{"UserPoolId":"p","GroupName":null`: "GroupName",
	} {
		err := wire.Stray(shape, []byte(body))
		if member == "" {
			want.NoError(t, err)
			continue
		}
		want.Equal(t, fault.CodeOf(err), fault.InvalidParameterException)
		want.Contains(t, err.Error(), "It has no member "+member+". Name an operation with the header X-Amz-Target")
		want.True(t, !strings.Contains(err.Error(), "secret"), "no value is repeated")
	}
}

// TestWords walks every exception of the contract through the plain dialect's table.
func TestWords(t *testing.T) {
	t.Parallel()
	wanted := map[fault.Code]string{
		fault.AccessDeniedException:                    "FORBIDDEN",
		fault.AliasExistsException:                     "CONFLICT",
		fault.CodeDeliveryFailureException:             "DELIVERY_FAILED",
		fault.CodeMismatchException:                    "CODE_MISMATCH",
		fault.ConcurrentModificationException:          "CONFLICT",
		fault.DeviceKeyExistsException:                 "CONFLICT",
		fault.DuplicateProviderException:               "CONFLICT",
		fault.EnableSoftwareTokenMFAException:          "ENABLE_SOFTWARE_TOKEN_MFA",
		fault.ExpiredCodeException:                     "EXPIRED_CODE",
		fault.ExpiredTokenException:                    "UNAUTHENTICATED",
		fault.FeatureUnavailableInTierException:        "FEATURE_UNAVAILABLE_IN_TIER",
		fault.ForbiddenException:                       "FORBIDDEN",
		fault.GroupExistsException:                     "CONFLICT",
		fault.IncompleteSignatureException:             "UNAUTHENTICATED",
		fault.InternalErrorException:                   "INTERNAL_ERROR",
		fault.InternalServerException:                  "INTERNAL_SERVER",
		fault.InvalidEmailRoleAccessPolicyException:    "DELIVERY_FAILED",
		fault.InvalidLambdaResponseException:           "TRIGGER_FAILED",
		fault.InvalidOAuthFlowException:                "VALIDATION_ERROR",
		fault.InvalidParameterException:                "VALIDATION_ERROR",
		fault.InvalidPasswordException:                 "VALIDATION_ERROR",
		fault.InvalidSignatureException:                "UNAUTHENTICATED",
		fault.InvalidSmsRoleAccessPolicyException:      "DELIVERY_FAILED",
		fault.InvalidSmsRoleTrustRelationshipException: "DELIVERY_FAILED",
		fault.InvalidUserPoolConfigurationException:    "INVALID_USER_POOL_CONFIGURATION",
		fault.LimitExceededException:                   "RATE_LIMITED",
		fault.MFAMethodNotFoundException:               "MFA_METHOD_NOT_FOUND",
		fault.ManagedLoginBrandingExistsException:      "MANAGED_LOGIN_BRANDING_EXISTS",
		fault.MissingAuthenticationTokenException:      "UNAUTHENTICATED",
		fault.NotAuthorizedException:                   "NOT_AUTHORIZED",
		fault.OperationNotEnabledException:             "OPERATION_NOT_ENABLED",
		fault.PasswordHistoryPolicyViolationException:  "PASSWORD_HISTORY_POLICY_VIOLATION",
		fault.PasswordResetRequiredException:           "PASSWORD_RESET_REQUIRED",
		fault.PreconditionNotMetException:              "PRECONDITION_NOT_MET",
		fault.RefreshTokenReuseException:               "REFRESH_TOKEN_REUSE",
		fault.RequestEntityTooLargeException:           "REQUEST_ENTITY_TOO_LARGE",
		fault.ResourceNotFoundException:                "NOT_FOUND",
		fault.ScopeDoesNotExistException:               "SCOPE_DOES_NOT_EXIST",
		fault.SerializationException:                   "VALIDATION_ERROR",
		fault.ServiceQuotaExceededException:            "SERVICE_QUOTA_EXCEEDED",
		fault.ServiceUnavailableException:              "SERVICE_UNAVAILABLE",
		fault.SoftwareTokenMFANotFoundException:        "SOFTWARE_TOKEN_MFA_NOT_FOUND",
		fault.TermsExistsException:                     "TERMS_EXISTS",
		fault.TierChangeNotAllowedException:            "TIER_CHANGE_NOT_ALLOWED",
		fault.TooManyFailedAttemptsException:           "RATE_LIMITED",
		fault.TooManyRequestsException:                 "RATE_LIMITED",
		fault.UnauthorizedException:                    "UNAUTHORIZED",
		fault.UnexpectedLambdaException:                "TRIGGER_FAILED",
		fault.UnknownOperationException:                "UNKNOWN_OPERATION",
		fault.UnrecognizedClientException:              "UNAUTHENTICATED",
		fault.UnsupportedIdentityProviderException:     "UNSUPPORTED_IDENTITY_PROVIDER",
		fault.UnsupportedOperationException:            "UNSUPPORTED_OPERATION",
		fault.UnsupportedTokenTypeException:            "UNSUPPORTED_TOKEN_TYPE",
		fault.UnsupportedUserStateException:            "UNSUPPORTED_USER_STATE",
		fault.UserImportInProgressException:            "USER_IMPORT_IN_PROGRESS",
		fault.UserLambdaValidationException:            "TRIGGER_FAILED",
		fault.UserNotConfirmedException:                "USER_NOT_CONFIRMED",
		fault.UserNotFoundException:                    "USER_NOT_FOUND",
		fault.UserPoolAddOnNotEnabledException:         "USER_POOL_ADD_ON_NOT_ENABLED",
		fault.UserPoolTaggingException:                 "USER_POOL_TAGGING",
		fault.UsernameExistsException:                  "CONFLICT",
		fault.WebAuthnChallengeNotFoundException:       "WEB_AUTHN_CHALLENGE_NOT_FOUND",
		fault.WebAuthnClientMismatchException:          "WEB_AUTHN_CLIENT_MISMATCH",
		fault.WebAuthnConfigurationMissingException:    "WEB_AUTHN_CONFIGURATION_MISSING",
		fault.WebAuthnCredentialNotSupportedException:  "WEB_AUTHN_CREDENTIAL_NOT_SUPPORTED",
		fault.WebAuthnNotEnabledException:              "WEB_AUTHN_NOT_ENABLED",
		fault.WebAuthnOriginNotAllowedException:        "WEB_AUTHN_ORIGIN_NOT_ALLOWED",
		fault.WebAuthnRelyingPartyMismatchException:    "WEB_AUTHN_RELYING_PARTY_MISMATCH",
	}
	got := map[fault.Code]string{}
	for _, code := range fault.Codes() {
		got[code] = wordOf(t, &fault.Error{Code: code, Message: "m"})
	}
	want.Equal(t, got, wanted)
}

// TestPoolWord holds that among all texts about missing resources those about a pool, and only those, are told apart.
func TestPoolWord(t *testing.T) {
	t.Parallel()
	var pools []string
	for _, text := range fault.Catalogue() {
		f := &fault.Error{Code: fault.Code(text.Code), Message: text.Text}
		if wordOf(t, f) == "POOL_NOT_FOUND" {
			pools = append(pools, text.Name)
		}
	}
	want.Equal(t, pools, []string{"PoolNotFound"})
	want.Equal(t, wordOf(t, fault.ClientNotFound("c")), "NOT_FOUND")
}

func wordOf(t *testing.T, f *fault.Error) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(wire.AppendFault(nil, wire.Plain, f, requestID)), `"code":"`)
	want.True(t, ok, "there is a code")
	word, _, _ := strings.Cut(rest, `"`)
	return word
}

func TestErrorHeader(t *testing.T) {
	t.Parallel()
	for message, header := range map[string]string{
		"":                        "",
		"User does not exist.":    "User does not exist.",
		"one\ntwo\r\nthree":       "one two three",
		"a\x00b\x1b[31mc\td\x7fe": "ab[31mcde",
		"é😀":                      "??",
		"\xff":                    "?",
		strings.Repeat("a", 2000): strings.Repeat("a", 1024),
		strings.Repeat("é", 2000): strings.Repeat("?", 1024),
	} {
		want.Equal(t, wire.ErrorHeader(message), header)
	}
}
