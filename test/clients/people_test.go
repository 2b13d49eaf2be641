package clients_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// Two passwords, and how the address of the user jane is shown.
const (
	firstPassword  = "Correct-h0rse"
	secondPassword = "Battery-st4ple"
	janeIsTold     = "EMAIL j***@e***"
	wrongCode      = "Invalid verification code provided, please try again."
)

// console asks the console of a development server, with curl as a person would, for JSON.
func (s *server) console(t *testing.T, path string, into any, args ...string) {
	t.Helper()
	status, body := curl(t, append([]string{"--url", s.Endpoint + "/_poolhouse/" + path, "--header", "accept: application/json"}, args...)...)
	want.Equal(t, status, "200")
	want.NoError(t, json.Unmarshal([]byte(body), into))
}

// A mail is a message of the inbox.
type mail struct{ Username, To, Subject, Body, Code string }

// inbox are the messages of a pool to an address, the newest first.
func (s *server) inbox(t *testing.T, pool, to string) []mail {
	t.Helper()
	var got struct{ Messages []mail }
	s.console(t, "inbox?"+url.Values{"pool": {pool}, "to": {to}}.Encode(), &got)
	want.True(t, len(got.Messages) > 0, "there is a message to %s", to)
	return got.Messages
}

func (s *server) code(t *testing.T, pool, to string) string {
	t.Helper()
	return s.inbox(t, pool, to)[0].Code
}

// otherCode is a code that is wrong.
func otherCode(t *testing.T, code string) string {
	t.Helper()
	n, err := strconv.Atoi(code)
	want.NoError(t, err)
	return fmt.Sprintf("%06d", (n+1)%1_000_000)
}

// tokens are those of a user, without a sign-in.
func (s *server) tokens(t *testing.T, pool, client, user string) (access, id string) {
	t.Helper()
	var got struct {
		AuthenticationResult struct{ AccessToken, IdToken string } //nolint:revive // the name on the wire
	}
	s.console(t, "tokens", &got, "--data", fmt.Sprintf(`{"pool":%q,"client":%q,"username":%q}`, pool, client, user))
	return got.AuthenticationResult.AccessToken, got.AuthenticationResult.IdToken
}

// claims are what a token says.
func claims(t *testing.T, token string) (said map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	want.Equal(t, len(parts), 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	want.NoError(t, err)
	want.NoError(t, json.Unmarshal(text, &said))
	return said
}

// people is a pool that verifies e-mail addresses, and a client of it.
func (s *server) people(t *testing.T, args ...string) (pool, client string) {
	t.Helper()
	pool = s.awsText(t, "UserPool.Id", append([]string{"create-user-pool", "--pool-name", "people", "--auto-verified-attributes", "email"}, args...)...)
	return pool, s.awsText(t, "UserPoolClient.ClientId", "create-user-pool-client", "--user-pool-id", pool, "--client-name", "web")
}

// told is the query for where a code went.
const told = "CodeDeliveryDetails.join(' ', [DeliveryMedium, Destination])"

func (s *server) signUp(t *testing.T, client, user, email string) {
	t.Helper()
	destination := s.awsText(t, told, "sign-up", "--client-id", client, "--username", user, "--password", firstPassword,
		"--user-attributes", "Name=email,Value="+email)
	want.Equal(t, destination, "EMAIL "+email[:1]+"***@e***")
}

func confirmSignUp(client, user, code string, more ...string) []string {
	return append([]string{"confirm-sign-up", "--client-id", client, "--username", user, "--confirmation-code", code}, more...)
}

func (s *server) status(t *testing.T, pool, user string) string {
	t.Helper()
	return s.awsText(t, "UserStatus", "admin-get-user", "--user-pool-id", pool, "--username", user)
}

func (s *server) usernameOf(t *testing.T, pool, alias string) string {
	t.Helper()
	return s.awsText(t, "Username", "admin-get-user", "--user-pool-id", pool, "--username", alias)
}

// TestAWSCLIPeople leads users through their lives with the AWS CLI.
func TestAWSCLIPeople(t *testing.T) {
	t.Parallel()
	s := dev(t)

	t.Run("sign-up and forgotten password", func(t *testing.T) {
		t.Parallel()
		pool, client := s.people(t)
		s.signUp(t, client, "jane", "jane@example.com")
		want.Equal(t, s.status(t, pool, "jane"), "UNCONFIRMED")
		first := s.code(t, pool, "jane@example.com")
		s.awsRefused(t, "CodeMismatchException", "ConfirmSignUp", wrongCode, confirmSignUp(client, "jane", otherCode(t, first))...)
		want.Equal(t, s.awsText(t, told, "resend-confirmation-code", "--client-id", client, "--username", "jane"), janeIsTold)
		want.Equal(t, len(s.aws(t, confirmSignUp(client, "jane", s.code(t, pool, "jane@example.com"))...)), 0)
		want.Equal(t, s.status(t, pool, "jane"), "CONFIRMED")
		want.Equal(t, s.attributes(t, pool, "jane")["email_verified"], "true")

		want.Equal(t, s.awsText(t, told, "forgot-password", "--client-id", client, "--username", "jane"), janeIsTold)
		code := s.code(t, pool, "jane@example.com")
		confirm := func(code, password string) []string {
			return []string{"confirm-forgot-password", "--client-id", client, "--username", "jane", "--confirmation-code", code, "--password", password}
		}
		const op = "ConfirmForgotPassword"
		s.awsRefused(t, "CodeMismatchException", op, wrongCode, confirm(otherCode(t, code), secondPassword)...)
		s.awsRefused(t, "InvalidPasswordException", op, "Password does not conform to policy: Password not long enough", confirm(code, "Sh0rt!")...)
		s.aws(t, confirm(code, secondPassword)...)
		s.awsRefused(t, "ExpiredCodeException", op, "Invalid code provided, please request a code again.", confirm(code, secondPassword)...)
		access, _ := s.tokens(t, pool, client, "jane")
		change := []string{"change-password", "--access-token", access, "--proposed-password", "An0ther-one!", "--previous-password"}
		s.awsRefused(t, "NotAuthorizedException", "ChangePassword", "Incorrect username or password.", append(change, firstPassword)...)
		s.aws(t, append(change, secondPassword)...)
	})

	t.Run("changed address", func(t *testing.T) {
		t.Parallel()
		pool, client := s.people(t, "--alias-attributes", "email", "--user-attribute-update-settings", "AttributesRequireVerificationBeforeUpdate=email")
		s.signUp(t, client, "jane", "old@example.com")
		s.aws(t, confirmSignUp(client, "jane", s.code(t, pool, "old@example.com"))...)
		access, _ := s.tokens(t, pool, client, "jane")
		want.Equal(t, s.awsText(t, "CodeDeliveryDetailsList[0].Destination", "update-user-attributes", "--access-token", access,
			"--user-attributes", "Name=email,Value=new@example.com"), "n***@e***")
		inForce := func(email, other string) {
			t.Helper()
			want.Equal(t, s.attributes(t, pool, "jane")["email"], email)
			want.Equal(t, s.attributes(t, pool, "jane")["email_verified"], "true")
			want.Equal(t, s.usernameOf(t, pool, email), "jane")
			s.awsRefused(t, "UserNotFoundException", "AdminGetUser", "User does not exist.", "admin-get-user", "--user-pool-id", pool, "--username", other)
			_, id := s.tokens(t, pool, client, "jane")
			want.Equal(t, claims(t, id)["email"], any(email))
		}
		inForce("old@example.com", "new@example.com")
		code := s.code(t, pool, "new@example.com")
		verify := []string{"verify-user-attribute", "--access-token", access, "--attribute-name", "email", "--code"}
		s.awsRefused(t, "CodeMismatchException", "VerifyUserAttribute", wrongCode, append(verify, otherCode(t, code))...)
		inForce("old@example.com", "new@example.com")
		s.aws(t, append(verify, code)...)
		inForce("new@example.com", "old@example.com")
	})

	t.Run("alias moves", func(t *testing.T) {
		t.Parallel()
		pool, client := s.people(t, "--alias-attributes", "email")
		s.signUp(t, client, "first", "shared@example.com")
		s.aws(t, confirmSignUp(client, "first", s.code(t, pool, "shared@example.com"))...)
		s.signUp(t, client, "second", "shared@example.com")
		code := s.code(t, pool, "shared@example.com")
		want.Equal(t, s.usernameOf(t, pool, "shared@example.com"), "first")
		s.awsRefused(t, "AliasExistsException", "ConfirmSignUp", "An account with the email already exists.", confirmSignUp(client, "second", code)...)
		s.aws(t, confirmSignUp(client, "second", code, "--force-alias-creation")...)
		want.Equal(t, s.usernameOf(t, pool, "shared@example.com"), "second")
		want.Equal(t, s.attributes(t, pool, "first")["email_verified"], "false")
	})

	t.Run("groups", func(t *testing.T) {
		t.Parallel()
		pool, client := s.people(t)
		s.aws(t, "admin-create-user", "--user-pool-id", pool, "--username", "jane", "--message-action", "SUPPRESS")
		s.aws(t, "admin-set-user-password", "--user-pool-id", pool, "--username", "jane", "--password", firstPassword, "--permanent")
		const role = "arn:aws:iam::000000000000:role/"
		for name, precedence := range map[string]string{"staff": "10", "boss": "1"} {
			s.aws(t, "create-group", "--user-pool-id", pool, "--group-name", name, "--precedence", precedence, "--role-arn", role+name)
			s.aws(t, "admin-add-user-to-group", "--user-pool-id", pool, "--username", "jane", "--group-name", name)
		}
		want.Equal(t, s.awsText(t, "join(' ', Groups[].GroupName)", "admin-list-groups-for-user", "--user-pool-id", pool, "--username", "jane"), "boss staff")
		access, id := s.tokens(t, pool, client, "jane")
		want.Equal(t, claims(t, access)["cognito:groups"], any([]any{"boss", "staff"}))
		want.Equal(t, claims(t, id)["cognito:roles"], any([]any{role + "boss", role + "staff"}))
		want.Equal(t, claims(t, id)["cognito:preferred_role"], any(role+"boss"))
		s.aws(t, "admin-remove-user-from-group", "--user-pool-id", pool, "--username", "jane", "--group-name", "boss")
		_, id = s.tokens(t, pool, client, "jane")
		want.Equal(t, claims(t, id)["cognito:preferred_role"], any(role+"staff"))
	})
}

// TestConfirmByLink signs a user up with curl, and opens the link of the e-mail.
func TestConfirmByLink(t *testing.T) {
	t.Parallel()
	s := dev(t)
	call := func(operation, data string) map[string]any {
		t.Helper()
		answer := curlPlain(t, "--url", s.Endpoint+"/?Action="+operation, "--header", "content-type: application/json", "--data", data)
		want.Equal(t, answer.Error.Message, "")
		return answer.Data
	}
	made, ok := call("CreateUserPool", `{"PoolName":"links","AutoVerifiedAttributes":["email"],"VerificationMessageTemplate":{"DefaultEmailOption":"CONFIRM_WITH_LINK",`+
		`"EmailMessageByLink":"<p>{##Yes, that's me##}</p>","EmailSubjectByLink":"Is it you?"}}`)["UserPool"].(map[string]any)
	want.True(t, ok, "the answer has the pool")
	pool := fmt.Sprint(made["Id"])
	web, ok := call("CreateUserPoolClient", `{"UserPoolId":"`+pool+`","ClientName":"web"}`)["UserPoolClient"].(map[string]any)
	want.True(t, ok, "the answer has the client")
	call("SignUp", `{"ClientId":"`+fmt.Sprint(web["ClientId"])+`","Username":"jane&joe+1","Password":"`+firstPassword+`","UserAttributes":[{"Name":"email","Value":"jane@example.com"}]}`)
	status := func() string {
		t.Helper()
		return fmt.Sprint(call("AdminGetUser", `{"UserPoolId":"`+pool+`","Username":"jane&joe+1"}`)["UserStatus"])
	}
	want.Equal(t, status(), "UNCONFIRMED")

	message := s.inbox(t, pool, "jane@example.com")[0]
	want.Equal(t, message.Subject, "Is it you?")
	link := regexp.MustCompile(`^<p><a href="([^"]+)">Yes, that's me</a></p>$`).FindStringSubmatch(message.Body)
	want.True(t, link != nil, "the message is a link: %s", message.Body)
	address := html.UnescapeString(link[1])
	want.True(t, strings.HasPrefix(address, s.Endpoint+"/confirmUser/?"), "%s leads to the server", address)

	// Who only looks, and who has a part of it, confirms nothing.
	code, _ := curl(t, "--head", "--output", "/dev/null", "--url", address)
	want.Equal(t, code, "200")
	code, page := curl(t, "--url", strings.ReplaceAll(address, message.Code, otherCode(t, message.Code)))
	want.Equal(t, code, "400")
	want.Contains(t, page, "Invalid verification code provided, please try again.")
	code, _ = curl(t, "--url", s.Endpoint+"/confirmUser/?client_id="+fmt.Sprint(web["ClientId"]))
	want.Equal(t, code, "400")
	want.Equal(t, status(), "UNCONFIRMED")

	code, page = curl(t, "--url", address)
	want.Equal(t, code, "200")
	want.Contains(t, page, "Your registration has been confirmed!")
	want.Equal(t, status(), "CONFIRMED")
	code, page = curl(t, "--url", address)
	want.Equal(t, code, "400")
	want.Contains(t, page, "Current status is CONFIRMED")
}
