package poolhousetest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"

	"github.com/poolhouse/poolhouse/internal/testing/want"
	"github.com/poolhouse/poolhouse/poolhousetest"
)

func connect(s *poolhousetest.Server) *cognito.Client {
	return cognito.New(cognito.Options{
		BaseEndpoint: aws.String(s.Endpoint),
		Region:       s.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretAccessKey, ""),
	})
}

// TestExample is what a user of the package writes.
func TestExample(t *testing.T) {
	t.Parallel()
	server := poolhousetest.Start(t)
	client := connect(server)
	pool, err := client.CreateUserPool(t.Context(), &cognito.CreateUserPoolInput{
		PoolName:               aws.String("example"),
		AutoVerifiedAttributes: []types.VerifiedAttributeType{types.VerifiedAttributeTypeEmail},
	})
	want.NoError(t, err)
	_, err = client.AdminCreateUser(t.Context(), &cognito.AdminCreateUserInput{
		UserPoolId: pool.UserPool.Id, Username: aws.String("jane"), MessageAction: types.MessageActionTypeSuppress})
	want.NoError(t, err)
	_, err = client.AdminUpdateUserAttributes(t.Context(), &cognito.AdminUpdateUserAttributesInput{
		UserPoolId: pool.UserPool.Id, Username: aws.String("jane"),
		UserAttributes: []types.AttributeType{{Name: aws.String("email"), Value: aws.String("jane@example.com")}}})
	want.NoError(t, err)
	want.Equal(t, len(server.LastCode("jane@example.com")), 6)
	m := server.LastMessage("jane@example.com")
	want.Equal(t, []string{m.Pool, m.Username, m.Medium, m.Source}, []string{*pool.UserPool.Id, "jane", "EMAIL", "CustomMessage_UpdateUserAttribute"})
	want.Equal(t, len(server.Messages("nobody@example.com")), 0)
}

func TestClock(t *testing.T) {
	t.Parallel()
	server := poolhousetest.Start(t)
	before := server.Now()
	after := server.Advance(720 * time.Hour)
	moved := after.Sub(before)
	want.True(t, moved >= 720*time.Hour && moved < 721*time.Hour, "30 days went by: %s", moved)
	client := connect(server)
	pool, err := client.CreateUserPool(t.Context(), &cognito.CreateUserPoolInput{PoolName: aws.String("later")})
	want.NoError(t, err) // the signature is dated by real time
	want.True(t, !pool.UserPool.CreationDate.Before(after.Truncate(time.Second)), "the pool is made in the server's time: %s", pool.UserPool.CreationDate)
}

func TestServersAreAlone(t *testing.T) {
	t.Parallel()
	one, two := poolhousetest.Start(t), poolhousetest.Start(t, poolhousetest.Region("eu-central-1"))
	want.True(t, one.Endpoint != two.Endpoint && one.AccessKeyID != two.AccessKeyID, "nothing is shared")
	pool, err := connect(two).CreateUserPool(t.Context(), &cognito.CreateUserPoolInput{PoolName: aws.String("two")})
	want.NoError(t, err)
	want.Contains(t, *pool.UserPool.Id, "eu-central-1_")
	list, err := connect(one).ListUserPools(t.Context(), &cognito.ListUserPoolsInput{MaxResults: aws.Int32(60)})
	want.NoError(t, err)
	want.Equal(t, len(list.UserPools), 0)
}

func TestVerifySignatures(t *testing.T) {
	t.Parallel()
	server := poolhousetest.Start(t, poolhousetest.VerifySignatures())
	_, err := connect(server).ListUserPools(t.Context(), &cognito.ListUserPoolsInput{MaxResults: aws.Int32(1)})
	want.NoError(t, err)
	server.Advance(time.Hour) // asks with the token
	stranger := *server
	stranger.SecretAccessKey = "another"
	_, err = connect(&stranger).ListUserPools(t.Context(), &cognito.ListUserPoolsInput{MaxResults: aws.Int32(1)})
	e, ok := errors.AsType[smithy.APIError](err)
	want.True(t, ok && e.ErrorCode() == "InvalidSignatureException", "another secret is refused: %v", err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.Endpoint+"/_poolhouse/inbox", nil)
	want.NoError(t, err)
	resp, err := (&http.Client{}).Do(req)
	want.NoError(t, err)
	want.NoError(t, resp.Body.Close())
	want.Equal(t, resp.StatusCode, http.StatusUnauthorized)
}

func TestApplyAndSeed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pools.yaml")
	want.NoError(t, os.WriteFile(file, []byte("Pools:\n  - PoolName: shop\n    Users:\n      - {Username: jane, Password: Correct-h0rse}\n"), 0o600))
	var ids []string
	for range 2 {
		server := poolhousetest.Start(t, poolhousetest.Apply(file), poolhousetest.Seed(7))
		list, err := connect(server).ListUserPools(t.Context(), &cognito.ListUserPoolsInput{MaxResults: aws.Int32(60)})
		want.NoError(t, err)
		want.Equal(t, len(list.UserPools), 1)
		user, err := connect(server).AdminGetUser(t.Context(), &cognito.AdminGetUserInput{UserPoolId: list.UserPools[0].Id, Username: aws.String("jane")})
		want.NoError(t, err)
		want.Equal(t, user.UserStatus, types.UserStatusTypeConfirmed)
		ids = append(ids, *list.UserPools[0].Id+server.AccessKeyID)
	}
	want.Equal(t, ids[0], ids[1])
}

// After a reset the server is as it was at its start, whatever it kept in memory: a pool of the same id is another pool.
func TestReset(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pools.yaml")
	want.NoError(t, os.WriteFile(file, []byte("Pools:\n  - PoolName: shop\n    UserPoolTags: {_custom_id_: us-east-1_Shop00001}\n    Users:\n      - {Username: jane, Password: Correct-h0rse}\n"), 0o600))
	server := poolhousetest.Start(t, poolhousetest.Apply(file))
	client := connect(server)
	shop := aws.String("us-east-1_Shop00001")
	for range 3 {
		_, err := client.AddCustomAttributes(t.Context(), &cognito.AddCustomAttributesInput{UserPoolId: shop,
			CustomAttributes: []types.SchemaAttributeType{{Name: aws.String("plan"), AttributeDataType: types.AttributeDataTypeString, Mutable: aws.Bool(true)}}})
		want.NoError(t, err) // the attribute of the round before is gone
		_, err = client.AdminUpdateUserAttributes(t.Context(), &cognito.AdminUpdateUserAttributesInput{UserPoolId: shop, Username: aws.String("jane"),
			UserAttributes: []types.AttributeType{{Name: aws.String("custom:plan"), Value: aws.String("pro")}}})
		want.NoError(t, err)
		other, err := client.CreateUserPool(t.Context(), &cognito.CreateUserPoolInput{PoolName: aws.String("other")})
		want.NoError(t, err)
		server.SetClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
		want.Equal(t, server.Now().Year(), 2030)

		server.Reset()
		want.True(t, server.Now().Year() < 2030, "the clock shows the real time")
		_, err = client.DescribeUserPool(t.Context(), &cognito.DescribeUserPoolInput{UserPoolId: other.UserPool.Id})
		e, ok := errors.AsType[smithy.APIError](err)
		want.True(t, ok && e.ErrorCode() == "ResourceNotFoundException", "the other pool is gone: %v", err)
		jane, err := client.AdminGetUser(t.Context(), &cognito.AdminGetUserInput{UserPoolId: shop, Username: aws.String("jane")})
		want.NoError(t, err)
		want.Equal(t, len(jane.UserAttributes), 1) // sub
		want.Equal(t, len(server.Messages("")), 0)
	}
}

// A page of another origin cannot reset the server, though the browser would send it.
func TestResetFromForeignPage(t *testing.T) {
	t.Parallel()
	server := poolhousetest.Start(t)
	pool, err := connect(server).CreateUserPool(t.Context(), &cognito.CreateUserPoolInput{PoolName: aws.String("stays")})
	want.NoError(t, err)
	for _, path := range []string{"/_poolhouse/reset", "/_poolhouse/clock/move"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.Endpoint+path, nil)
		want.NoError(t, err)
		req.Header.Set("Origin", "https://evil.example")
		resp, err := (&http.Client{}).Do(req)
		want.NoError(t, err)
		want.NoError(t, resp.Body.Close())
		want.Equal(t, resp.StatusCode, http.StatusBadRequest)
	}
	_, err = connect(server).DescribeUserPool(t.Context(), &cognito.DescribeUserPoolInput{UserPoolId: pool.UserPool.Id})
	want.NoError(t, err)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pools.yaml")
	want.NoError(t, os.WriteFile(file, []byte("Pools:\n  - PoolName: shop\n    Clients:\n      - {ClientName: web}\n    Users:\n      - {Username: jane, Password: Correct-h0rse}\n"), 0o600))
	server := poolhousetest.Start(t, poolhousetest.Apply(file))
	client := connect(server)
	pools, err := client.ListUserPools(t.Context(), &cognito.ListUserPoolsInput{MaxResults: aws.Int32(1)})
	want.NoError(t, err)
	pool := pools.UserPools[0].Id
	apps, err := client.ListUserPoolClients(t.Context(), &cognito.ListUserPoolClientsInput{UserPoolId: pool})
	want.NoError(t, err)
	tokens := server.Tokens(*pool, *apps.UserPoolClients[0].ClientId, "jane")
	want.Equal(t, tokens.ExpiresIn, 3600)
	want.Equal(t, []int{strings.Count(tokens.IDToken, "."), strings.Count(tokens.RefreshToken, ".")}, []int{2, 4})
	user, err := client.GetUser(t.Context(), &cognito.GetUserInput{AccessToken: &tokens.AccessToken})
	want.NoError(t, err)
	want.Equal(t, *user.Username, "jane")

	// The issuer leads to the key that verifies.
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.AccessToken, ".")[1])
	want.NoError(t, err)
	var named struct{ Iss string }
	want.NoError(t, json.Unmarshal(claims, &named))
	want.Equal(t, named.Iss, server.Endpoint+"/"+*pool)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, named.Iss+"/.well-known/jwks.json", nil)
	want.NoError(t, err)
	resp, err := (&http.Client{}).Do(req)
	want.NoError(t, err)
	var set struct{ Keys []struct{ Kid string } }
	want.NoError(t, errors.Join(json.NewDecoder(resp.Body).Decode(&set), resp.Body.Close()))
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.AccessToken, ".")[0])
	want.NoError(t, err)
	want.True(t, strings.Contains(string(header), set.Keys[0].Kid) || strings.Contains(string(header), set.Keys[1].Kid), "the key is published")

	server.RotateKeys(*pool, true)
	fresh := server.Tokens(*pool, *apps.UserPoolClients[0].ClientId, "jane")
	want.True(t, strings.Split(fresh.AccessToken, ".")[0] != strings.Split(tokens.AccessToken, ".")[0], "another key signs")
	_, err = client.GetUser(t.Context(), &cognito.GetUserInput{AccessToken: &tokens.AccessToken})
	want.NoError(t, err)

	server.Advance(time.Hour)
	_, err = client.GetUser(t.Context(), &cognito.GetUserInput{AccessToken: &tokens.AccessToken})
	e, ok := errors.AsType[smithy.APIError](err)
	want.True(t, ok && e.ErrorMessage() == "Access Token has expired", "an hour later: %v", err)
}

// TestCodesAndApps confirms a user by a fixed code, and lets an authenticator app prove itself.
func TestCodesAndApps(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pools.yaml")
	want.NoError(t, os.WriteFile(file, []byte("Pools:\n  - PoolName: shop\n    AutoVerifiedAttributes: [email]\n    Clients:\n      - {ClientName: web}\n"), 0o600))
	server := poolhousetest.Start(t, poolhousetest.Apply(file))
	client := connect(server)
	pools, err := client.ListUserPools(t.Context(), &cognito.ListUserPoolsInput{MaxResults: aws.Int32(1)})
	want.NoError(t, err)
	pool := pools.UserPools[0].Id
	apps, err := client.ListUserPoolClients(t.Context(), &cognito.ListUserPoolClientsInput{UserPoolId: pool})
	want.NoError(t, err)
	app := apps.UserPoolClients[0].ClientId
	_, err = client.SetUserPoolMfaConfig(t.Context(), &cognito.SetUserPoolMfaConfigInput{UserPoolId: pool, MfaConfiguration: types.UserPoolMfaTypeOptional,
		SoftwareTokenMfaConfiguration: &types.SoftwareTokenMfaConfigType{Enabled: true}})
	want.NoError(t, err)

	server.FixCodes("123456")
	_, err = client.SignUp(t.Context(), &cognito.SignUpInput{ClientId: app, Username: aws.String("jane"), Password: aws.String("Correct-h0rse"),
		UserAttributes: []types.AttributeType{{Name: aws.String("email"), Value: aws.String("jane@example.com")}}})
	want.NoError(t, err)
	_, err = client.ConfirmSignUp(t.Context(), &cognito.ConfirmSignUpInput{ClientId: app, Username: aws.String("jane"), ConfirmationCode: aws.String("123456")})
	want.NoError(t, err)
	want.Equal(t, server.LastCode("jane@example.com"), "123456")
	server.FixCodes("")

	tokens := server.Tokens(*pool, *app, "jane")
	_, err = client.AssociateSoftwareToken(t.Context(), &cognito.AssociateSoftwareTokenInput{AccessToken: &tokens.AccessToken})
	want.NoError(t, err)
	code := server.TOTPCode(*pool, "jane")
	_, err = client.VerifySoftwareToken(t.Context(), &cognito.VerifySoftwareTokenInput{AccessToken: &tokens.AccessToken, UserCode: &code})
	want.NoError(t, err)
	want.True(t, server.TOTPCode(*pool, "jane") != code, "a code works once")

	state := server.Inspect(tokens.AccessToken)
	want.Equal(t, []any{state.Kind, state.Pool, state.Claims["username"], state.Good}, []any{"access", *pool, "jane", true})
	_, err = client.GlobalSignOut(t.Context(), &cognito.GlobalSignOutInput{AccessToken: &tokens.AccessToken})
	want.NoError(t, err)
	state = server.Inspect(tokens.RefreshToken)
	want.True(t, !state.Good && len(state.Faults) == 1 && strings.Contains(state.Faults[0], "was revoked"), "after the sign-out: %v", state.Faults)
}
