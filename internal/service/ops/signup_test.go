package ops_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const (
	signUpSource    = "CustomMessage_SignUp"
	resendSource    = "CustomMessage_ResendCode"
	preSignUpSource = "PreSignUp_SignUp"
	confirmedSource = "PostConfirmation_ConfirmSignUp"
	goodPassword    = `"Password":"Passw0rd!"`
	wrongCode       = "CodeMismatchException: Invalid verification code provided, please try again."
	expiredCode     = "ExpiredCodeException: Invalid code provided, please request a code again."
	notInClient     = "UserNotFoundException: Username/client id combination not found."
	tooManyAttempts = "LimitExceededException: Attempt limit exceeded, please try after some time."
)

// client stores an app client without a secret, changed, and makes it the one that public calls use.
func (w *world) client(change func(*pool.Client)) *pool.Client {
	w.Helper()
	c := &pool.Client{ID: chance.System().ClientID(), PoolID: w.pool.ID, Created: start, Modified: start,
		ClientSettings: pool.ClientSettings{Name: "app", Revocation: true, SessionMinutes: 3}}
	if change != nil {
		change(c)
	}
	w.update(func(tx store.Tx) error { return tx.Clients().Create(c) })
	w.clientID = c.ID
	return c
}

// hiding makes a client hide who exists.
func hiding(c *pool.Client) { c.HideUsers = str("ENABLED") }

// public calls a public operation about a user through the client, with more members.
func (w *world) public(operation, username, more string) string {
	w.Helper()
	return w.call(operation, w.body(username, more))
}

func (w *world) body(username, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"ClientId":%q,"Username":%q%s}`, w.clientID, username, more)
}

func code(text string) string { return fmt.Sprintf(`"ConfirmationCode":%q`, text) }

// wrong is a code that is not the given one.
func wrong(right string) string {
	if right == "000000" {
		return "000001"
	}
	return "000000"
}

// newcomer signs a user up by the smallest request and returns the record and the code.
func (w *world) newcomer(name, attributes string) (*user.Record, string) {
	w.Helper()
	want.Contains(w, w.public("SignUp", name, goodPassword+`,"UserAttributes":`+list(attributes)), `"UserConfirmed":false`)
	right := w.code()
	w.sent()
	w.ran()
	return w.byName(name), right
}

// openPool lets users sign up by e-mail.
func openPool(s *pool.Settings) {
	vectorPool(s)
	s.Standard = nil
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	taken := map[string]string{"email": "taken@x.io", "email_verified": "true", "preferred_username": "nick"}
	answering := func(answer string) func(*trigger.Call) (json.RawMessage, error) {
		return func(c *trigger.Call) (json.RawMessage, error) {
			if c.Trigger == "PreSignUp" {
				return json.RawMessage(answer), nil
			}
			return json.RawMessage(`{}`), nil
		}
	}
	everyHook := both(withHook("PreSignUp"), withHook("CustomMessage"), withHook("PostConfirmation"))
	mail := `"UserAttributes":` + list("email=n@x.io")
	for _, r := range []struct {
		name      string
		pool      func(*pool.Settings)
		client    func(*pool.Client)
		user      string // Username; "new" when empty
		more      string // goodPassword when empty
		answer    string // of the PreSignUp function
		want      string // the answer, <sub> for the sub, <session> for a session
		after     map[string]string
		confirmed bool
		sent      []string
		hooks     []string
	}{
		{name: "the smallest", want: `{"UserConfirmed":false,"UserSub":"<sub>"}`, after: map[string]string{}},
		{name: "code by e-mail", more: goodPassword + "," + mail, want: `{"UserConfirmed":false,"CodeDeliveryDetails":{"Destination":"n***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"},"UserSub":"<sub>"}`,
			after: map[string]string{"email": "n@x.io", "email_verified": "false"}, sent: []string{"EMAIL n@x.io " + signUpSource}},
		{name: "one code, by SMS where both could be", pool: phoneToo, more: goodPassword + `,"UserAttributes":` + list("email=n@x.io, phone_number=+15559934"), want: `{"UserConfirmed":false,"CodeDeliveryDetails":{"Destination":"+****9934","DeliveryMedium":"SMS","AttributeName":"phone_number"},"UserSub":"<sub>"}`,
			after: map[string]string{"email": "n@x.io", "email_verified": "false", "phone_number": "+15559934", "phone_number_verified": "false"}, sent: []string{"SMS +15559934 " + signUpSource}},
		{name: "an address that the pool does not verify", more: goodPassword + `,"UserAttributes":` + list("phone_number=+15559934"), want: `{"UserConfirmed":false,"UserSub":"<sub>"}`,
			after: map[string]string{"phone_number": "+15559934", "phone_number_verified": "false"}},
		{name: "immutable attributes can be set", more: goodPassword + `,"UserAttributes":` + list("custom:ref=r, custom:flag=TRUE, nickname="), want: `{"UserConfirmed":false,"UserSub":"<sub>"}`, after: map[string]string{"custom:ref": "r", "custom:flag": "true"}},
		{name: "functions run in order", pool: everyHook, more: goodPassword + "," + mail, want: `{"UserConfirmed":false,"CodeDeliveryDetails":{"Destination":"n***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"},"UserSub":"<sub>"}`,
			after: map[string]string{"email": "n@x.io", "email_verified": "false"}, sent: []string{"EMAIL n@x.io " + signUpSource}, hooks: []string{preSignUpSource, signUpSource}},
		{name: "confirmed by the function", pool: everyHook, answer: `{"autoConfirmUser":true}`, more: goodPassword + "," + mail, want: `{"UserConfirmed":true,"UserSub":"<sub>"}`, confirmed: true,
			after: map[string]string{"email": "n@x.io", "email_verified": "false"}, hooks: []string{preSignUpSource, confirmedSource}},
		{name: "confirmed and verified by the function", pool: both(everyHook, phoneToo), answer: `{"autoConfirmUser":true,"autoVerifyEmail":true,"autoVerifyPhone":true}`, more: goodPassword + `,"UserAttributes":` + list("email=n@x.io, phone_number=+1555"), want: `{"UserConfirmed":true,"UserSub":"<sub>"}`, confirmed: true,
			after: map[string]string{"email": "n@x.io", "email_verified": "true", "phone_number": "+1555", "phone_number_verified": "true"}, hooks: []string{preSignUpSource, confirmedSource}},
		{name: "verified without being confirmed is ignored", pool: everyHook, answer: `{"autoVerifyEmail":true}`, more: goodPassword + "," + mail, want: `{"UserConfirmed":false,"CodeDeliveryDetails":{"Destination":"n***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"},"UserSub":"<sub>"}`,
			after: map[string]string{"email": "n@x.io", "email_verified": "false"}, sent: []string{"EMAIL n@x.io " + signUpSource}, hooks: []string{preSignUpSource, signUpSource}},
		{name: "a session where the client lets users choose factors", client: func(c *pool.Client) { c.AuthFlows = []string{"ALLOW_USER_AUTH"} }, want: `{"UserConfirmed":false,"UserSub":"<sub>","Session":"<session>"}`, after: map[string]string{}},
		{name: "no session in a pool of the smallest tier", pool: func(s *pool.Settings) { s.Tier = pool.Lite }, client: func(c *pool.Client) { c.AuthFlows = []string{"ALLOW_USER_AUTH"} }, want: `{"UserConfirmed":false,"UserSub":"<sub>"}`, after: map[string]string{}},
		{name: "without a password", pool: passwordless, more: mail, want: `{"UserConfirmed":false,"CodeDeliveryDetails":{"Destination":"n***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"},"UserSub":"<sub>"}`,
			after: map[string]string{"email": "n@x.io", "email_verified": "false"}, sent: []string{"EMAIL n@x.io " + signUpSource}},
		{name: "without a password, by phone", pool: both(phoneToo, passwordless), more: `"UserAttributes":` + list("phone_number=+15559934"), want: `{"UserConfirmed":false,"CodeDeliveryDetails":{"Destination":"+****9934","DeliveryMedium":"SMS","AttributeName":"phone_number"},"UserSub":"<sub>"}`,
			after: map[string]string{"phone_number": "+15559934", "phone_number_verified": "false"}, sent: []string{"SMS +15559934 " + signUpSource}},
		{name: "without a password and a fitting address", pool: passwordless, more: `"UserAttributes":` + list("nickname=x"), want: invalid("1 validation error detected: Value at 'password' failed to satisfy constraint: Member must not be null")},
		{name: "without a password where one is needed", more: mail, want: invalid("1 validation error detected: Value at 'password' failed to satisfy constraint: Member must not be null")},
		{name: "weak password", more: `"Password":"password"`, want: "InvalidPasswordException: Password did not conform with policy: Password must have uppercase characters"},
		{name: "closed", pool: func(s *pool.Settings) { s.AdminCreate.OnlyAdmin = true }, more: `"Password":"x!"`, want: "NotAuthorizedException: SignUp is not permitted for this user pool"},
		{name: "unknown attribute", more: goodPassword + `,"UserAttributes":` + list("nope=1, custom:tier=elevenchars"), want: invalid("Attributes did not conform to the schema: nope: Attribute does not exist in the schema., custom:tier: String must be no longer than 10 characters")},
		{name: "required attributes", pool: required, more: goodPassword + `,"UserAttributes":` + list("name=, custom:score=x"), want: invalid("Attributes did not conform to the schema: custom:score: Value must be a number, name.formatted: The attribute name.formatted is required, emails: The attribute emails is required")},
		{name: "the user name does not stand for a required attribute", pool: both(required, usernameAttributes), user: "n@x.io", more: goodPassword + `,"UserAttributes":` + list("name=N"), want: invalid("Attributes did not conform to the schema: emails: The attribute emails is required")},
		{name: "null value", more: goodPassword + `,"UserAttributes":[{"Name":"nickname"}]`, want: invalid("Attribute value for nickname must not be null")},
		{name: "bad e-mail", more: goodPassword + `,"UserAttributes":` + list("email=nope"), want: invalid("Invalid email address format.")},
		{name: "taken user name", user: "other", want: "UsernameExistsException: User already exists", pool: everyHook},
		{name: "taken user name in other letter case", pool: caseInsensitive, user: "OTHER", want: "UsernameExistsException: User already exists"},
		{name: "a user name that is another's preferred one", pool: aliasPool, user: "nick", want: "UsernameExistsException: User already exists"},
		{name: "preferred_username where it is an alias", pool: aliasPool, more: goodPassword + `,"UserAttributes":` + list("preferred_username=p"), want: invalid("Preferred username cannot be provided for unconfirmed account, since user pool is configured for preferred username alias.")},
		{name: "user name like an e-mail address", pool: aliasPool, user: "n@x.io", want: invalid("Username cannot be of email format, since user pool is configured for email alias.")},
		{name: "user name like a phone number", pool: aliasPool, user: "+1555", want: invalid("Username cannot be of phone number format, since user pool is configured for phone number alias.")},
		{name: "alias taken shows nothing yet", pool: aliasPool, more: goodPassword + `,"UserAttributes":` + list("email=taken@x.io"), want: `{"UserConfirmed":false,"CodeDeliveryDetails":{"Destination":"t***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"},"UserSub":"<sub>"}`,
			after: map[string]string{"email": "taken@x.io", "email_verified": "false"}, sent: []string{"EMAIL taken@x.io " + signUpSource}},
		{name: "alias taken and verified by the function", pool: both(aliasPool, everyHook), answer: `{"autoConfirmUser":true,"autoVerifyEmail":true}`, more: goodPassword + `,"UserAttributes":` + list("email=taken@x.io"), want: "UsernameExistsException: An account with the given email already exists.", hooks: []string{preSignUpSource}},
		{name: "verified by the function without the address", pool: everyHook, answer: `{"autoConfirmUser":true,"autoVerifyPhone":true}`, more: goodPassword + "," + mail, want: "InvalidLambdaResponseException: Unrecognizable lambda output", hooks: []string{preSignUpSource}},
		{name: "username attributes", pool: usernameAttributes, user: "n@x.io", want: `{"UserConfirmed":false,"CodeDeliveryDetails":{"Destination":"n***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"},"UserSub":"<sub>"}`,
			after: map[string]string{"email": "n@x.io", "email_verified": "false"}, sent: []string{"EMAIL n@x.io " + signUpSource}},
		{name: "username attributes, neither form", pool: usernameAttributes, want: invalid("Username should be either an email or a phone number.")},
		{name: "username attributes, given otherwise", pool: usernameAttributes, user: "n@x.io", more: goodPassword + `,"UserAttributes":` + list("email=m@x.io"), want: invalid("The attribute email must be equal to the username.")},
		{name: "username attributes, taken", pool: usernameAttributes, user: "taken@x.io", want: "UsernameExistsException: User already exists"},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(openPool, r.pool), func(w *world) {
				w.client(r.client)
				if r.answer != "" {
					w.hooks.answer = answering(r.answer)
				}
				other := w.addUser("other", taken, func(u *user.Record) {
					if len(w.pool.UsernameAttributes) > 0 {
						u.SignInAttribute = pool.Email
					}
				})
				name, more := r.user, r.more
				if name == "" {
					name = "new"
				}
				if more == "" {
					more = goodPassword
				}
				got := w.public("SignUp", name, more)
				want.Equal(w, w.ran(), r.hooks)
				want.Equal(w, w.sent(), r.sent)
				want.Equal(w, w.due(), 0)
				want.Equal(w, w.stored(other), other)
				if r.after == nil {
					want.Equal(w, got, r.want)
					want.Equal(w, w.journal(""), nil)
					return
				}
				var out struct{ UserSub, Session string }
				want.NoError(w, json.Unmarshal([]byte(got), &out))
				u := w.byName(out.UserSub)
				got = strings.ReplaceAll(got, u.Sub, "<sub>")
				if out.Session != "" {
					got = strings.ReplaceAll(got, out.Session, "<session>")
					want.True(w, len(out.Session) >= 20, "a session of %d characters", len(out.Session))
				}
				want.Equal(w, got, r.want)
				status := user.Unconfirmed
				if r.confirmed {
					status = user.Confirmed
				}
				want.Equal(w, u.Attributes, r.after)
				want.Equal(w, []any{u.Status, u.Enabled, u.Created, u.Modified, u.TemporarySince}, []any{status, true, start, start, time.Time{}})
				want.Equal(w, w.journal(u.Sub), []string{strings.TrimSpace("SignUp " + strings.Join(u.Names(), " "))})
				if strings.Contains(more, "Password") {
					want.True(w, w.accepts(u, "Passw0rd!"), "the password is accepted")
				}
				if len(w.pool.UsernameAttributes) > 0 {
					want.Equal(w, []string{u.Username, u.SignInAttribute}, []string{u.Sub, pool.Email})
				}
			})
		})
	}
}

func passwordless(s *pool.Settings) {
	s.FirstFactors = []string{pool.FactorPassword, pool.FactorEmailOTP, pool.FactorSmsOTP}
}

// required makes name and email required.
func required(s *pool.Settings) {
	s.Standard = map[string]pool.Attribute{"name": {Name: "name", Type: pool.String, Mutable: true, Required: true}, "email": {Name: "email", Type: pool.String, Mutable: true, Required: true}}
}

// What a client may not write is refused before anything else is looked at, with every list that a client may have: test E1
// for sign-up, and E4.
func TestSignUpE1E4(t *testing.T) {
	t.Parallel()
	const refused = "NotAuthorizedException: A client attempted to write unauthorized attribute"
	onBoth(t, both(openPool, withHook("PreSignUp")), func(w *world) {
		for _, r := range []struct {
			write   []string
			refused []string
		}{
			{nil, []string{"email_verified=true", "email_verified=false", "phone_number_verified=true", "sub=x", "identities=[]", "dev:custom:note=x"}},
			{[]string{"email", "custom:flag"}, []string{"custom:tier=gold", "name=x", "nickname=", "email_verified=true", "sub=x", "identities=[]", "custom:isAdmin=1", "cognito:user_status=CONFIRMED", "dev:custom:note=x"}},
		} {
			w.client(func(c *pool.Client) { c.Write = r.write })
			for _, a := range r.refused {
				want.Equal(w, w.public("SignUp", "mallory", `"Password":"weak","UserAttributes":`+list("email=n@x.io, "+a)), refused)
			}
		}
		want.Equal(w, []any{w.ran(), w.sent(), w.journal("")}, []any{[]string(nil), []string(nil), []string(nil)})
		want.Contains(w, w.public("SignUp", "jane", goodPassword+`,"UserAttributes":`+list("email=n@x.io, custom:flag=true")), `"UserConfirmed":false`)
		want.Equal(w, w.byName("jane").Attributes, map[string]string{"email": "n@x.io", "email_verified": "false", "custom:flag": "true"})
	})
}

// Events of sign-up hold what the reference says, and data of one trigger reaches no other.
func TestSignUpEvents(t *testing.T) {
	t.Parallel()
	onBoth(t, both(openPool, aliasPool, withHook("PreSignUp"), withHook("CustomMessage"), withHook("PostConfirmation")), func(w *world) {
		c := w.client(nil)
		want.Contains(w, w.public("SignUp", "jane", goodPassword+`,"UserAttributes":`+list("email=n@x.io")+`,"ValidationData":`+list("v=1")+`,"ClientMetadata":{"m":"2"},"AnalyticsMetadata":{"AnalyticsEndpointId":"e"}`), `"UserConfirmed":false`)
		sub := w.byName("jane").Sub
		right := w.code()
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)+`,"ClientMetadata":{"m":"3"},"AnalyticsMetadata":{"AnalyticsEndpointId":"e"}`), "{}")
		caller := map[string]string{"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": c.ID}
		unverified := map[string]any{"sub": sub, "email": "n@x.io", "email_verified": "false", "cognito:user_status": "UNCONFIRMED"}
		want.Equal(w, w.hooks.events, []event{
			{preSignUpSource, "jane", map[string]any{"userAttributes": map[string]any{"email": "n@x.io"}, "validationData": map[string]any{"v": "1"}, "clientMetadata": map[string]any{"m": "2"}}, caller},
			{signUpSource, "jane", map[string]any{"userAttributes": unverified, "codeParameter": "{####}", "linkParameter": "{##Click Here##}", "usernameParameter": nil, "clientMetadata": map[string]any{"m": "2"}}, caller},
			{confirmedSource, "jane", map[string]any{"userAttributes": map[string]any{"sub": sub, "email": "n@x.io", "email_verified": "true", "cognito:user_status": "CONFIRMED", "cognito:email_alias": "n@x.io"}, "clientMetadata": map[string]any{"m": "3"}}, caller},
		})
		w.ran()
		w.newcomer("john", "email=j@x.io")
		want.Equal(w, w.call("AdminConfirmSignUp", `{"UserPoolId":"$pool","Username":"john","ClientMetadata":{"m":"4"}}`), "{}")
		want.Equal(w, len(w.hooks.events), 1)
		e := w.hooks.events[0]
		want.Equal(w, []any{e.TriggerSource, e.CallerContext["clientId"], e.Request["clientMetadata"]}, []any{confirmedSource, "CLIENT_ID_NOT_APPLICABLE", map[string]any{"m": "4"}})
	})
}

// Functions that fail: before the user is stored, after it, and after the confirmation.
func TestSignUpFunctionsFail(t *testing.T) {
	t.Parallel()
	failures := map[string]struct {
		err  error
		text string
	}{
		"fails":     {&trigger.FunctionError{Message: "no"}, "UserLambdaValidationException: %s failed with error no."},
		"away":      {&trigger.Unreachable{Reason: "AccessDeniedException"}, "UnexpectedLambdaException: %s invocation failed due to error AccessDeniedException."},
		"not JSON":  {trigger.ErrNotJSON, "InvalidLambdaResponseException: Invalid lambda function output : Invalid JSON"},
		"too slow":  {trigger.ErrTimeout, "UnexpectedLambdaException: Socket timeout while invoking Lambda function"},
		"no object": {trigger.ErrUnrecognizable, "InvalidLambdaResponseException: Unrecognizable lambda output"},
	}
	said := func(format, name string) string {
		if strings.Contains(format, "%s") {
			return fmt.Sprintf(format, name)
		}
		return format
	}
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(openPool, withHook("PreSignUp"), withHook("CustomMessage"), withHook("PostConfirmation")), func(w *world) {
				w.client(nil)
				failing := ""
				w.hooks.answer = func(c *trigger.Call) (json.RawMessage, error) {
					switch {
					case c.Trigger == failing:
						return nil, f.err
					case failing == "PostConfirmation" && c.Trigger == "PreSignUp" && strings.Contains(string(c.Event), "auto@x.io"):
						return json.RawMessage(`{"autoConfirmUser":true}`), nil
					}
					return json.RawMessage(`{}`), nil
				}
				mail := func(address string) string { return goodPassword + `,"UserAttributes":` + list("email="+address) }
				failing = "PreSignUp"
				want.Equal(w, w.public("SignUp", "jane", mail("n@x.io")), said(f.text, failing))
				want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), notInClient)
				want.Equal(w, w.journal(""), nil)

				// The user stays when the message cannot be composed, and a repeated sign-up says so.
				failing = "CustomMessage"
				want.Equal(w, w.public("SignUp", "jane", mail("n@x.io")), said(f.text, failing))
				want.Equal(w, w.public("SignUp", "jane", mail("n@x.io")), "UsernameExistsException: User already exists")
				want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), said(f.text, failing))
				want.Equal(w, w.sent(), nil)

				// The confirmation stands when the function behind it fails.
				failing = ""
				want.Contains(w, w.public("ResendConfirmationCode", "jane", ""), `"EMAIL"`)
				failing = "PostConfirmation"
				want.Equal(w, w.public("ConfirmSignUp", "jane", code(w.code())), said(f.text, failing))
				want.Equal(w, w.byName("jane").Status, user.Confirmed)
				want.Equal(w, w.public("SignUp", "auto", mail("auto@x.io")), said(f.text, failing))
				want.Equal(w, w.byName("auto").Status, user.Confirmed)
				w.newcomer("john", "email=j@x.io")
				want.Equal(w, w.call("AdminConfirmSignUp", `{"UserPoolId":"$pool","Username":"john"}`), said(f.text, failing))
				want.Equal(w, w.byName("john").Status, user.Confirmed)
			})
		})
	}
}

// A message that is refused is told, and the user stays.
func TestSignUpDeliveryFails(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		kind message.Kind
		attr string
		want string
	}{
		{message.Recipient, "email=n@x.io", "CodeDeliveryFailureException: Unable to deliver message"},
		{message.EmailIdentity, "email=n@x.io", "InvalidEmailRoleAccessPolicyException: Cognito is not allowed to use your email identity"},
		{message.SmsRoleTrust, "phone_number=+1555", "InvalidSmsRoleTrustRelationshipException: Role does not have a trust relationship allowing Cognito to assume the role"},
		{message.SmsRoleAccess, "phone_number=+1555", "InvalidSmsRoleAccessPolicyException: Role does not have permission to publish with SNS"},
	} {
		t.Run(r.want, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(openPool, phoneToo), func(w *world) {
				w.client(nil)
				w.email.refuse, w.sms.refuse = &message.Refusal{Kind: r.kind}, &message.Refusal{Kind: r.kind}
				more := goodPassword + `,"UserAttributes":` + list(r.attr)
				want.Equal(w, w.public("SignUp", "jane", more), r.want)
				u := w.byName("jane")
				want.Equal(w, u.Status, user.Unconfirmed)
				want.Equal(w, w.public("SignUp", "jane", more), "UsernameExistsException: User already exists")
				want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), r.want)
				want.Equal(w, len(w.journal(u.Sub)), 2)
				w.email.refuse, w.sms.refuse = nil, nil
				want.Contains(w, w.public("ResendConfirmationCode", "jane", ""), `"CodeDeliveryDetails"`)
				want.Equal(w, len(w.sent()), 1)
			})
		})
	}
	t.Run("later", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			w.email.refuse = fmt.Errorf("greylisted")
			want.Contains(w, w.public("SignUp", "jane", goodPassword+`,"UserAttributes":`+list("email=n@x.io")), `"n***@x***"`)
			want.Equal(w, w.due(), 1)
		})
	})
}

// secretHash is SecretHash as a member.
func secretHash(key, username, client string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(username + client))
	return fmt.Sprintf(`"SecretHash":%q`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// proving makes a client with two secrets, "old" and "new", and holds what public operations check before they look for a
// user. The operations come with what their requests have besides the name.
func (w *world) proving(name string, operations map[string]string) *pool.Client {
	w.Helper()
	w.clientID = "00000000000000000000000000"
	for operation, m := range operations {
		want.Equal(w, w.public(operation, name, m), "ResourceNotFoundException: User pool client 00000000000000000000000000 does not exist.")
	}
	c := w.client(func(c *pool.Client) {
		c.Secrets = []pool.ClientSecret{{ID: "1", Value: secret.New("old")}, {ID: "2", Value: secret.New("new")}}
	})
	for operation, m := range operations {
		want.Equal(w, w.public(operation, name, m), "NotAuthorizedException: Client "+c.ID+" is configured with secret but SECRET_HASH was not received")
		want.Equal(w, w.public(operation, name, m+","+secretHash("new", strings.ToUpper(name), c.ID)), "NotAuthorizedException: Unable to verify secret hash for client "+c.ID)
	}
	want.Equal(w, w.journal(""), nil)
	return c
}

func TestSignUpClients(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		c := w.proving("jane", map[string]string{"SignUp": goodPassword, "ConfirmSignUp": code("123456"), "ResendConfirmationCode": `"ClientMetadata":{}`})
		want.Contains(w, w.public("SignUp", "jane", goodPassword+`,"UserAttributes":`+list("email=n@x.io")+","+secretHash("old", "jane", c.ID)), `"UserConfirmed":false`)
		want.Contains(w, w.public("ResendConfirmationCode", "jane", secretHash("new", "jane", c.ID)), `"EMAIL"`)
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(w.code())+","+secretHash("new", "jane", c.ID)), "{}")

		// The client goes, and is not remembered.
		want.Equal(w, w.call("DeleteUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+c.ID+`"}`), "")
		want.Equal(w, w.public("ResendConfirmationCode", "jane", secretHash("new", "jane", c.ID)), "ResourceNotFoundException: User pool client "+c.ID+" does not exist.")
	})
}

// A server that signs users up may say where they are, if its client has a secret and is allowed to.
func TestSignUpOrigin(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		for i, r := range []struct {
			change  func(*pool.Client)
			address string
			want    string
		}{
			{func(c *pool.Client) { c.PropagateContext = true }, "203.0.113.9", "127.0.0.1"},
			{func(c *pool.Client) { c.Secrets = []pool.ClientSecret{{Value: secret.New("s")}} }, "203.0.113.9", "127.0.0.1"},
			{func(c *pool.Client) {
				c.Secrets, c.PropagateContext = []pool.ClientSecret{{Value: secret.New("s")}}, true
			}, "203.0.113.9", "203.0.113.9"},
			{func(c *pool.Client) {
				c.Secrets, c.PropagateContext = []pool.ClientSecret{{Value: secret.New("s")}}, true
			}, "nowhere", "127.0.0.1"},
		} {
			c := w.client(r.change)
			name := fmt.Sprintf("user%d", i)
			id, reply := w.request("SignUp", w.body(name, goodPassword+`,"UserContextData":{"IpAddress":"`+r.address+`","EncodedData":"opaque"},`+secretHash("s", name, c.ID)))
			want.Contains(w, w.text(reply), `"UserConfirmed":false`)
			w.view(func(v store.View) error {
				e, err := v.Journal().Get(id)
				want.Equal(w, []string{e.Source, e.Caller}, []string{r.want, ""})
				return err
			})
		}
	})
}

func TestSignUpOnReplica(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		w.client(nil)
		w.newcomer("jane", "email=n@x.io")
		w.onReplica()
		for operation, m := range map[string]string{"SignUp": goodPassword, "ConfirmSignUp": code("123456"), "ResendConfirmationCode": `"ClientMetadata":{}`} {
			want.Equal(w, w.public(operation, "jane", m), "OperationNotEnabledException: The operation "+operation+" is not enabled on a secondary replica.")
		}
		want.Equal(w, w.call("AdminConfirmSignUp", `{"UserPoolId":"$pool","Username":"jane"}`), "OperationNotEnabledException: The operation AdminConfirmSignUp is not enabled on a secondary replica.")
	})
}

func TestConfirmSignUp(t *testing.T) {
	t.Parallel()
	t.Run("confirms the user and verifies the address", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, aliasPool, phoneToo), func(w *world) {
			w.client(nil)
			want.Contains(w, w.public("SignUp", "jane", goodPassword+`,"UserAttributes":`+list("email=n@x.io, phone_number=+1555")), `"SMS"`)
			right := w.sms.got[0].Code.Reveal()
			w.sent()
			w.clock.Advance(24*time.Hour - time.Millisecond)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(wrong(right))), wrongCode)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "{}")
			u := w.byName("jane")
			// The confirmed code verifies the address that it went to and no other.
			want.Equal(w, u.Attributes, map[string]string{"email": "n@x.io", "email_verified": "false", "phone_number": "+1555", "phone_number_verified": "true"})
			want.Equal(w, []any{u.Status, u.Modified}, []any{user.Confirmed, w.clock.Now()})
			want.Equal(w, []string{w.owner(user.Phones, "+1555"), w.owner(user.Emails, "n@x.io")}, []string{"jane", ""})
			want.Equal(w, w.sent(), nil)
			want.Equal(w, w.journal(u.Sub)[1:], []string{"ConfirmSignUp phone_number_verified"})
			// A code is good once.
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "NotAuthorizedException: User cannot be confirmed. Current status is CONFIRMED")
			want.Equal(w, w.stored(u), u)
		})
	})
	t.Run("refuses", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, aliasPool), func(w *world) {
			w.client(nil)
			u, right := w.newcomer("jane", "email=n@x.io")
			want.Equal(w, w.public("ConfirmSignUp", "nobody", code(right)), notInClient)
			want.Equal(w, w.public("ConfirmSignUp", "n@x.io", code(right)), notInClient) // not an alias yet
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right+"0")), wrongCode)
			forced := w.addUser("forced", nil, func(r *user.Record) { r.Status = user.ForceChangePassword })
			want.Equal(w, w.public("ConfirmSignUp", "forced", code(right)), "NotAuthorizedException: User cannot be confirmed. Current status is FORCE_CHANGE_PASSWORD")
			want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "NotAuthorizedException: User is disabled.")
			want.Equal(w, w.call("AdminEnableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
			w.clock.Advance(24 * time.Hour)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), expiredCode)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(wrong(right))), expiredCode)
			bare := w.addUser("bare", nil, func(r *user.Record) { r.Status = user.Unconfirmed })
			want.Equal(w, w.public("ConfirmSignUp", "bare", code(right)), expiredCode) // there never was one
			want.Equal(w, []any{w.stored(bare), w.stored(forced), w.stored(u).Status}, []any{bare, forced, user.Unconfirmed})
			want.Equal(w, w.ran(), nil)
			want.Equal(w, w.sent(), nil)
			want.Equal(w, sorted(w.journal(u.Sub)), []string{"AdminDisableUser", "AdminEnableUser", "SignUp email email_verified"})
		})
	})
	t.Run("an address that changed meanwhile is not verified", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, aliasPool), func(w *world) {
			w.client(nil)
			u, right := w.newcomer("jane", "email=old@x.io")
			want.Equal(w, w.update1("jane", list("email=new@x.io")), "{}")
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "{}")
			want.Equal(w, w.stored(u).Attributes, map[string]string{"email": "new@x.io", "email_verified": "false"})
			want.Equal(w, []string{w.owner(user.Emails, "new@x.io"), w.owner(user.Emails, "old@x.io")}, []string{"", ""})
			want.Equal(w, sorted(w.journal(u.Sub)), []string{"AdminUpdateUserAttributes email", "ConfirmSignUp", "SignUp email email_verified"})
		})
	})
	t.Run("codes of other purposes are no use", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			u, right := w.newcomer("jane", "email=n@x.io")
			w.update(func(tx store.Tx) error {
				return tx.Codes().Put(verify.Code{PoolID: u.PoolID, Sub: u.Sub, Purpose: verify.Email, Target: "n@x.io", Plain: secret.New(wrong(right)), Created: start, Expires: start.Add(time.Hour)})
			})
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(wrong(right))), wrongCode)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "{}")
		})
	})
	t.Run("another client of the pool may confirm", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			_, right := w.newcomer("jane", "email=n@x.io")
			w.client(nil)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "{}")
		})
	})
	t.Run("sessions", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			c := w.client(func(c *pool.Client) { c.AuthFlows = []string{"ALLOW_USER_AUTH"} })
			open := func(name string) (session, right string) {
				var out struct{ Session string }
				want.NoError(w, json.Unmarshal([]byte(w.public("SignUp", name, goodPassword+`,"UserAttributes":`+list("email=n@x.io"))), &out))
				return fmt.Sprintf(`,"Session":%q`, out.Session), w.code()
			}
			const bad = "NotAuthorizedException: Invalid session for the user."
			of, right := open("jane")
			late, rightLate := open("john")
			_, rightAlone := open("june")
			other, _ := open("mary")
			for _, session := range []string{other, `,"Session":"` + strings.Repeat("x", 40) + `"`, of[:len(of)-2] + `_"`} {
				want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)+session), bad)
			}
			w.client(func(c *pool.Client) { c.AuthFlows = []string{"ALLOW_USER_AUTH"} })
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)+of), bad) // of another client
			w.clientID = c.ID
			var out struct{ Session string }
			want.NoError(w, json.Unmarshal([]byte(w.public("ConfirmSignUp", "jane", code(right)+of)), &out))
			want.True(w, out.Session != "" && !strings.Contains(of, out.Session), "a session of its own: %q", out.Session)
			want.NoError(w, json.Unmarshal([]byte(w.public("ConfirmSignUp", "june", code(rightAlone))), &out))
			want.True(w, out.Session != "", "a session also for who sent none")
			// A session that is too old does not keep anybody from confirming.
			w.clock.Advance(3*time.Minute + time.Second)
			want.Equal(w, w.public("ConfirmSignUp", "john", code(rightLate)+late), "{}")
		})
	})
}

// TestConfirmSignUpE5 is test E5: an alias that is another's shows only to who proves to own the address, moves only when
// that is forced, and exactly once.
func TestConfirmSignUpE5(t *testing.T) {
	t.Parallel()
	onBoth(t, both(openPool, aliasPool, withHook("PostConfirmation")), func(w *world) {
		w.client(nil)
		holder := w.addUser("holder", map[string]string{"email": "a@x.io", "email_verified": "true"})
		u, right := w.newcomer("jane", "email=a@x.io")
		w.clock.Advance(time.Minute)
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(wrong(right))), wrongCode)
		for range 2 { // the code is still good
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)+`,"ForceAliasCreation":false`), "AliasExistsException: An account with the email already exists.")
		}
		want.Equal(w, []any{w.stored(u), w.stored(holder), w.owner(user.Emails, "a@x.io"), w.ran()}, []any{u, holder, "holder", []string(nil)})
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)+`,"ForceAliasCreation":true`), "{}")
		want.Equal(w, w.stored(u).Attributes, map[string]string{"email": "a@x.io", "email_verified": "true"})
		after := w.stored(holder)
		want.Equal(w, []any{after.Attributes, after.Modified, after.Status}, []any{map[string]string{"email": "a@x.io", "email_verified": "false"}, w.clock.Now(), user.Confirmed})
		want.Equal(w, w.owner(user.Emails, "a@x.io"), "jane")
		want.Equal(w, w.journal(u.Sub)[1:], []string{"ConfirmSignUp moved:email:" + holder.Sub + " email_verified"})
		want.Equal(w, w.ran(), []string{confirmedSource})
		want.Equal(w, w.stored(holder).Version, holder.Version+1)
	})
	t.Run("phone", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, aliasPool, phoneToo), func(w *world) {
			w.client(nil)
			w.addUser("holder", map[string]string{"phone_number": "+1555", "phone_number_verified": "true"})
			want.Contains(w, w.public("SignUp", "jane", goodPassword+`,"UserAttributes":`+list("phone_number=+1555")), `"SMS"`)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(w.sms.got[0].Code.Reveal())), "AliasExistsException: An account with the phone_number already exists.")
		})
	})
}

func TestResendConfirmationCode(t *testing.T) {
	t.Parallel()
	const sentTo = `{"CodeDeliveryDetails":{"Destination":"n***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"}}`
	t.Run("sends a new code", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, withHook("CustomMessage")), func(w *world) {
			w.client(nil)
			u, first := w.newcomer("jane", "email=n@x.io")
			w.clock.Advance(23 * time.Hour)
			want.Equal(w, w.public("ResendConfirmationCode", "jane", `"ClientMetadata":{"m":"1"},"AnalyticsMetadata":{}`), sentTo)
			want.Equal(w, w.hooks.events[0].Request["clientMetadata"], any(map[string]any{"m": "1"}))
			second := w.code()
			want.Equal(w, w.ran(), []string{resendSource})
			want.Equal(w, w.sent(), []string{"EMAIL n@x.io " + resendSource})
			want.Equal(w, w.journal(u.Sub)[1:], []string{"ResendConfirmationCode code"})
			want.Equal(w, w.stored(u), u)
			w.clock.Advance(23 * time.Hour) // a life of its own
			if first != second {
				want.Equal(w, w.public("ConfirmSignUp", "jane", code(first)), wrongCode)
			}
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(second)), "{}")
		})
	})
	t.Run("goes to the address of now", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			u, _ := w.newcomer("jane", "email=typo@x.io")
			want.Equal(w, w.update1("jane", list("email=n@x.io")), "{}")
			w.sent()
			want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), sentTo)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(w.code())), "{}")
			want.Equal(w, w.stored(u).Attributes["email_verified"], "true")
		})
	})
	t.Run("refuses", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			u, right := w.newcomer("jane", "email=n@x.io")
			want.Equal(w, w.public("ResendConfirmationCode", "nobody", ""), notInClient)
			w.newcomer("noaddress", "nickname=x")
			want.Equal(w, w.public("ResendConfirmationCode", "noaddress", ""), "NotAuthorizedException: Cannot resend codes. Auto verification not turned on.")
			want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
			want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), notInClient)
			want.Equal(w, w.call("AdminEnableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "{}")
			want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), invalid("User is already confirmed."))
			want.Equal(w, w.sent(), nil)
			want.Equal(w, slices.ContainsFunc(w.journal(u.Sub), func(line string) bool { return strings.HasPrefix(line, "Resend") }), false)
		})
	})
	t.Run("five an hour", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			w.newcomer("jane", "email=n@x.io")
			for range 5 { // the code of the sign-up itself does not count
				want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), sentTo)
				w.clock.Advance(time.Minute)
			}
			right := w.code()
			want.Equal(w, len(w.sent()), 5)
			for range 3 {
				want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), tooManyAttempts)
			}
			want.Equal(w, []any{w.sent(), w.due()}, []any{[]string(nil), 0})
			want.Equal(w, w.public("ResendConfirmationCode", "nobody", ""), notInClient)
			w.clock.Advance(56 * time.Minute)
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "{}") // the last code is still good
		})
	})
	t.Run("SMS where the pool cannot send any", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, phoneToo, func(s *pool.Settings) { s.Sms = nil }), func(w *world) {
			w.client(nil)
			want.Equal(w, w.public("SignUp", "jane", goodPassword+`,"UserAttributes":`+list("phone_number=+1555")), invalid("User pool does not have SMS configuration to send messages."))
			want.Equal(w, w.journal(""), nil)
		})
	})
}

func TestAdminConfirmSignUp(t *testing.T) {
	t.Parallel()
	onBoth(t, both(openPool, aliasPool, withHook("PostConfirmation")), func(w *world) {
		w.client(nil)
		u, right := w.newcomer("jane", "email=n@x.io")
		w.clock.Advance(time.Minute)
		confirm := func(name string) string {
			return w.call("AdminConfirmSignUp", fmt.Sprintf(`{"UserPoolId":"$pool","Username":%q}`, name))
		}
		want.Equal(w, confirm("nobody"), "UserNotFoundException: User does not exist.")
		want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, confirm(u.Sub), "{}")
		after := w.stored(u)
		want.Equal(w, []any{after.Status, after.Enabled, after.Modified}, []any{user.Confirmed, false, w.clock.Now()})
		want.Equal(w, after.Attributes, map[string]string{"email": "n@x.io", "email_verified": "false"})
		want.Equal(w, w.owner(user.Emails, "n@x.io"), "")
		want.Equal(w, w.ran(), []string{confirmedSource})
		want.Equal(w, w.sent(), nil)
		want.Equal(w, confirm("jane"), "NotAuthorizedException: User cannot be confirmed. Current status is CONFIRMED")
		want.Equal(w, w.ran(), nil)
		want.Equal(w, sorted(w.journal(u.Sub)), []string{"AdminConfirmSignUp", "AdminDisableUser", "SignUp email email_verified"})
		w.view(func(v store.View) error { // the code is void
			_, err := v.Codes().Matches(u.PoolID, u.Sub, verify.SignUp, secret.New(right))
			want.Error(w, err, store.ErrNotFound)
			return nil
		})
	})
}

// A pool that prefers links sends one in the e-mail of a sign-up, and codes by SMS and for everything else.
func TestSignUpByLink(t *testing.T) {
	t.Parallel()
	linked := func(s *pool.Settings) { s.Templates.DefaultEmailOption = pool.ConfirmWithLink }
	t.Run("default template", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, phoneToo, linked), func(w *world) {
			c := w.client(func(c *pool.Client) { c.Secrets = []pool.ClientSecret{{Value: secret.New("s")}} })
			want.Contains(w, w.public("SignUp", "jane+é", goodPassword+`,"UserAttributes":`+list("email=n@x.io")+","+secretHash("s", "jane+é", c.ID)), `"n***@x***"`)
			m := w.email.got[0]
			want.Equal(w, m.Subject, "Your verification link")
			want.Equal(w, m.Body.Reveal(), `Please click the link below to verify your email address. <a href="https://id.example.com/confirmUser/?client_id=`+c.ID+
				`&amp;confirmation_code=`+m.Code.Reveal()+`&amp;user_name=jane%2B%C3%A9">Verify Email</a> `)
			want.Contains(w, w.public("ResendConfirmationCode", "jane+é", secretHash("s", "jane+é", c.ID)), `"n***@x***"`)
			again := w.email.got[1]
			want.Contains(w, again.Body.Reveal(), `confirmation_code=`+again.Code.Reveal()+`&amp;`)

			// The page behind the link needs no secret of the client; nobody else gets by without.
			body := w.body("jane+é", code(again.Code.Reveal()))
			_, reply := w.request("ConfirmSignUp", body)
			want.Contains(w, w.text(reply), "SECRET_HASH was not received")
			reply = w.pipeline.Serve(w.Context(), &dispatch.Request{ID: chance.System().RequestID(), Operation: "ConfirmSignUp", Region: "us-east-1", Hosted: true, Inbound: inbound{body}})
			want.Equal(w, w.text(reply), "{}")
			want.Equal(w, w.byName("jane+é").Status, user.Confirmed)

			w.email.got = nil
			want.Equal(w, w.update1("jane+é", list("email=m@x.io")), "{}")
			want.Equal(w, w.email.got[0].Body.Reveal(), "Your verification code is "+w.code()+". ")
			want.Contains(w, w.public("SignUp", "john", goodPassword+`,"UserAttributes":`+list("phone_number=+1555")+","+secretHash("s", "john", c.ID)), `"SMS"`)
			want.Equal(w, w.sms.got[0].Body.Reveal(), "Your verification code is "+w.sms.got[0].Code.Reveal()+". ")
		})
	})
	t.Run("texts of the pool and of a function", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, linked, withHook("CustomMessage"), func(s *pool.Settings) {
			s.Email.Account = pool.DeveloperSender
			s.Templates.EmailMessageByLink, s.Templates.EmailSubjectByLink = str("<p>{##Here##}</p>"), str("Welcome")
		}), func(w *world) {
			w.client(nil)
			answer := `{}`
			w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) { return json.RawMessage(answer), nil }
			mail := goodPassword + `,"UserAttributes":` + list("email=n@x.io")
			want.Contains(w, w.public("SignUp", "jane", mail), `"n***@x***"`)
			want.Equal(w, w.email.got[0].Subject, "Welcome")
			want.Contains(w, w.email.got[0].Body.Reveal(), `&amp;user_name=jane">Here</a></p>`)
			answer = `{"emailMessage":"{##Click Here##}, please","emailSubject":"Hello"}`
			want.Contains(w, w.public("ResendConfirmationCode", "jane", ""), `"n***@x***"`)
			want.Equal(w, w.email.got[1].Subject, "Hello")
			want.Contains(w, w.email.got[1].Body.Reveal(), `&amp;user_name=jane">Click Here</a>, please`)
			answer = `{"emailMessage":"{####}"}`
			want.Equal(w, w.public("ResendConfirmationCode", "jane", ""), "InvalidLambdaResponseException: Unrecognizable lambda output")
			want.Equal(w, len(w.sent()), 2)
		})
	})
}
