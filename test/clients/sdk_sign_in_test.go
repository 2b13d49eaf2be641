package clients_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// appCode is what an authenticator app shows. No code works twice, so the next one is waited for, by moving the clock on.
func (s *server) appCode(t *testing.T, key string) string {
	t.Helper()
	bytes, err := totp.Decode(key)
	want.NoError(t, err)
	var clock struct{ Now time.Time }
	s.console(t, "clock", &clock, "--data", `{"advance":"30s"}`)
	return totp.Code(bytes, totp.StepAt(clock.Now))
}

// sdkApp is a pool with the user jane, who has a temporary password, and an app client of it that makes sign-ins.
type sdkApp struct {
	*idp.Client
	pool, client string
}

func newSDKApp(t *testing.T, c *idp.Client, settings *idp.CreateUserPoolClientInput) *sdkApp {
	t.Helper()
	a := &sdkApp{Client: c, pool: sdkPool(t, c, &idp.CreateUserPoolInput{})}
	settings.UserPoolId, settings.ClientName = &a.pool, aws.String("server")
	settings.AuthSessionValidity = aws.Int32(15) // minutes; codes of apps move the clock on
	made, err := c.CreateUserPoolClient(t.Context(), settings)
	want.NoError(t, err)
	a.client = *made.UserPoolClient.ClientId
	_, err = c.AdminCreateUser(t.Context(), &idp.AdminCreateUserInput{UserPoolId: &a.pool, Username: aws.String("jane"), TemporaryPassword: aws.String(firstPassword),
		MessageAction: types.MessageActionTypeSuppress})
	want.NoError(t, err)
	return a
}

// adminFlows are those of a client that signs users in with the administrator's operations.
var adminFlows = []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowAdminUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowRefreshTokenAuth}

func (a *sdkApp) permanent(t *testing.T) {
	t.Helper()
	_, err := a.AdminSetUserPassword(t.Context(), &idp.AdminSetUserPasswordInput{UserPoolId: &a.pool, Username: aws.String("jane"), Password: aws.String(firstPassword), Permanent: true})
	want.NoError(t, err)
}

func (a *sdkApp) begin(t *testing.T, flow types.AuthFlowType, parameters map[string]string) (*idp.AdminInitiateAuthOutput, error) {
	return a.AdminInitiateAuth(t.Context(), &idp.AdminInitiateAuthInput{UserPoolId: &a.pool, ClientId: &a.client, AuthFlow: flow, AuthParameters: parameters})
}

func (a *sdkApp) byPassword(t *testing.T, password string) (*idp.AdminInitiateAuthOutput, error) {
	return a.begin(t, types.AuthFlowTypeAdminUserPasswordAuth, map[string]string{"USERNAME": "jane", "PASSWORD": password})
}

// signedIn is what a right password gives.
func (a *sdkApp) signedIn(t *testing.T, password string) *idp.AdminInitiateAuthOutput {
	t.Helper()
	got, err := a.byPassword(t, password)
	want.NoError(t, err)
	return got
}

func (a *sdkApp) respond(t *testing.T, asked types.ChallengeNameType, session *string, answers map[string]string) (*idp.AdminRespondToAuthChallengeOutput, error) {
	answers["USERNAME"] = "jane"
	return a.AdminRespondToAuthChallenge(t.Context(), &idp.AdminRespondToAuthChallengeInput{UserPoolId: &a.pool, ClientId: &a.client, ChallengeName: asked, Session: session, ChallengeResponses: answers})
}

// TestGoSDKSignIn signs users in with the administrator's operations.
func TestGoSDKSignIn(t *testing.T) {
	t.Parallel()
	s := dev(t)
	c := s.sdk()

	t.Run("new password", func(t *testing.T) {
		t.Parallel()
		a := newSDKApp(t, c, &idp.CreateUserPoolClientInput{ExplicitAuthFlows: adminFlows})
		_, err := a.byPassword(t, secondPassword)
		typed[*types.NotAuthorizedException](t, err, "Incorrect username or password.")
		asked := a.signedIn(t, firstPassword)
		want.Equal(t, asked.ChallengeName, types.ChallengeNameTypeNewPasswordRequired)
		want.True(t, asked.AuthenticationResult == nil, "there are no tokens yet")
		_, err = a.respond(t, asked.ChallengeName, asked.Session, map[string]string{"NEW_PASSWORD": "short"})
		typed[*types.InvalidPasswordException](t, err, "Password does not conform to policy: Password not long enough")
		got, err := a.respond(t, asked.ChallengeName, asked.Session, map[string]string{"NEW_PASSWORD": secondPassword, "userAttributes.nickname": "J"})
		want.NoError(t, err)
		want.Equal(t, claims(t, *got.AuthenticationResult.IdToken)["nickname"], any("J"))
		want.Equal(t, got.AuthenticationResult.ExpiresIn, int32(3600))
		_, err = a.byPassword(t, firstPassword)
		typed[*types.NotAuthorizedException](t, err, "Incorrect username or password.")
	})

	t.Run("SRP", func(t *testing.T) {
		t.Parallel()
		a := newSDKApp(t, c, &idp.CreateUserPoolClientInput{ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowUserSrpAuth}})
		a.permanent(t)
		exchange := srpclient.New([]byte("a secret exponent of this test"))
		asked, err := a.begin(t, types.AuthFlowTypeUserSrpAuth, map[string]string{"USERNAME": "jane", "SRP_A": exchange.Public})
		want.NoError(t, err)
		want.Equal(t, asked.ChallengeName, types.ChallengeNameTypePasswordVerifier)
		const at = "Mon Nov 23 07:08:09 UTC 2026"
		proof, err := exchange.Sign(a.pool[len("us-east-1_"):], firstPassword, at, asked.ChallengeParameters)
		want.NoError(t, err)
		got, err := a.respond(t, asked.ChallengeName, asked.Session, map[string]string{"TIMESTAMP": at,
			"PASSWORD_CLAIM_SECRET_BLOCK": asked.ChallengeParameters["SECRET_BLOCK"], "PASSWORD_CLAIM_SIGNATURE": proof})
		want.NoError(t, err)
		want.Equal(t, claims(t, *got.AuthenticationResult.AccessToken)["username"], any("jane"))
	})

	t.Run("authenticator app", func(t *testing.T) {
		t.Parallel()
		a := newSDKApp(t, c, &idp.CreateUserPoolClientInput{ExplicitAuthFlows: adminFlows})
		a.permanent(t)
		_, err := c.SetUserPoolMfaConfig(t.Context(), &idp.SetUserPoolMfaConfigInput{UserPoolId: &a.pool, MfaConfiguration: types.UserPoolMfaTypeOn,
			SoftwareTokenMfaConfiguration: &types.SoftwareTokenMfaConfigType{Enabled: true}})
		want.NoError(t, err)
		asked := a.signedIn(t, firstPassword)
		want.Equal(t, asked.ChallengeName, types.ChallengeNameTypeMfaSetup)
		var factors []string
		want.NoError(t, json.Unmarshal([]byte(asked.ChallengeParameters["MFAS_CAN_SETUP"]), &factors))
		want.Equal(t, factors, []string{"SOFTWARE_TOKEN_MFA"})
		app, err := c.AssociateSoftwareToken(t.Context(), &idp.AssociateSoftwareTokenInput{Session: asked.Session})
		want.NoError(t, err)
		proved, err := c.VerifySoftwareToken(t.Context(), &idp.VerifySoftwareTokenInput{Session: app.Session, UserCode: aws.String(s.appCode(t, *app.SecretCode))})
		want.NoError(t, err)
		want.Equal(t, proved.Status, types.VerifySoftwareTokenResponseTypeSuccess)
		got, err := a.respond(t, asked.ChallengeName, proved.Session, map[string]string{})
		want.NoError(t, err)
		want.True(t, got.AuthenticationResult != nil, "the user is signed in")

		asked = a.signedIn(t, firstPassword)
		want.Equal(t, asked.ChallengeName, types.ChallengeNameTypeSoftwareTokenMfa)
		code := s.appCode(t, *app.SecretCode)
		_, err = a.respond(t, asked.ChallengeName, asked.Session, map[string]string{"SOFTWARE_TOKEN_MFA_CODE": otherCode(t, code)})
		typed[*types.CodeMismatchException](t, err, "Invalid code received for user")
		got, err = a.respond(t, asked.ChallengeName, asked.Session, map[string]string{"SOFTWARE_TOKEN_MFA_CODE": code})
		want.NoError(t, err)
		want.True(t, got.AuthenticationResult != nil, "the user is signed in")
		asked = a.signedIn(t, firstPassword)
		_, err = a.respond(t, asked.ChallengeName, asked.Session, map[string]string{"SOFTWARE_TOKEN_MFA_CODE": code})
		typed[*types.ExpiredCodeException](t, err, "Your software token has already been used once.")
	})

	t.Run("refresh and revocation", func(t *testing.T) {
		t.Parallel()
		a := newSDKApp(t, c, &idp.CreateUserPoolClientInput{ExplicitAuthFlows: adminFlows})
		a.permanent(t)
		first := a.signedIn(t, firstPassword).AuthenticationResult
		renew := func() (*idp.AdminInitiateAuthOutput, error) {
			return a.begin(t, types.AuthFlowTypeRefreshTokenAuth, map[string]string{"REFRESH_TOKEN": *first.RefreshToken})
		}
		second, err := renew()
		want.NoError(t, err)
		want.True(t, second.AuthenticationResult.RefreshToken == nil, "the refresh token stays")
		want.Equal(t, claims(t, *second.AuthenticationResult.AccessToken)["origin_jti"], claims(t, *first.AccessToken)["origin_jti"])
		_, err = c.RevokeToken(t.Context(), &idp.RevokeTokenInput{ClientId: &a.client, Token: first.RefreshToken})
		want.NoError(t, err)
		_, err = renew()
		typed[*types.NotAuthorizedException](t, err, "Refresh Token has been revoked")
		_, err = c.GetUser(t.Context(), &idp.GetUserInput{AccessToken: second.AuthenticationResult.AccessToken})
		typed[*types.NotAuthorizedException](t, err, "Access Token has been revoked")
	})

	t.Run("rotation of refresh tokens", func(t *testing.T) {
		t.Parallel()
		a := newSDKApp(t, c, &idp.CreateUserPoolClientInput{ExplicitAuthFlows: adminFlows[:1],
			RefreshTokenRotation: &types.RefreshTokenRotationType{Feature: types.FeatureTypeEnabled, RetryGracePeriodSeconds: aws.Int32(0)}})
		a.permanent(t)
		first := a.signedIn(t, firstPassword).AuthenticationResult.RefreshToken
		renew := func(token *string) (*idp.GetTokensFromRefreshTokenOutput, error) {
			return c.GetTokensFromRefreshToken(t.Context(), &idp.GetTokensFromRefreshTokenInput{ClientId: &a.client, RefreshToken: token})
		}
		got, err := renew(first)
		want.NoError(t, err)
		second := got.AuthenticationResult.RefreshToken
		want.True(t, second != nil && *second != *first, "there is another refresh token")
		_, err = renew(first)
		typed[*types.RefreshTokenReuseException](t, err, "Refresh token has been reused.")
		_, err = renew(second)
		typed[*types.NotAuthorizedException](t, err, "Refresh Token has been revoked")
	})
}
