package ops_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/srp"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const (
	inviteSource = "CustomMessage_AdminCreateUser"
	preSignUp    = "PreSignUp_AdminCreateUser"
)

// create calls AdminCreateUser with more members.
func (w *world) create(username, more string) string {
	w.Helper()
	if more != "" {
		more = "," + more
	}
	return w.call("AdminCreateUser", fmt.Sprintf(`{"UserPoolId":"$pool","Username":%q%s}`, username, more))
}

// byName finds a user as an administrator does.
func (w *world) byName(name string) *user.Record {
	w.Helper()
	var r *user.Record
	w.view(func(v store.View) (err error) { r, err = v.Users().ByLogin(w.pool, name); return err })
	return r
}

// accepts reports whether the password is the stored one of the user.
func (w *world) accepts(r *user.Record, password string) bool {
	w.Helper()
	ok := false
	w.view(func(v store.View) error {
		p, err := v.Passwords().Get(r.PoolID, r.Sub)
		if err == nil {
			ok = srp.Check(p.Verifier, w.pool.Group(), r.Username, password, p.Salt)
		}
		return err
	})
	return ok
}

func TestAdminCreateUser(t *testing.T) {
	t.Parallel()
	taken := map[string]string{"email": "taken@x.io", "email_verified": "true", "phone_number": "+15550000", "phone_number_verified": "true", "preferred_username": "nick"}
	for _, r := range []struct {
		name  string
		pool  func(*pool.Settings)
		user  string // Username; "new" when empty
		more  string
		want  string            // an exception; "" for success
		after map[string]string // with success
		sent  []string
		hooks []string
	}{
		{name: "the smallest", after: map[string]string{}},
		{name: "with attributes", more: `"UserAttributes":` + list("email=n@x.io, custom:tier=gold, custom:ref=r, dev:custom:note=x, email_verified=True"), after: map[string]string{"email": "n@x.io", "email_verified": "true", "custom:tier": "gold", "custom:ref": "r", "dev:custom:note": "x"}},
		{name: "an empty value counts as absent", more: `"UserAttributes":` + list("nickname=, custom:score=5"), after: map[string]string{"custom:score": "5"}},
		{name: "invitation by e-mail", more: `"UserAttributes":` + list("email=n@x.io") + `,"DesiredDeliveryMediums":["EMAIL"]`, after: map[string]string{"email": "n@x.io"}, sent: []string{"EMAIL n@x.io " + inviteSource}},
		{name: "invitation by both", pool: phoneToo, more: `"UserAttributes":` + list("email=n@x.io, phone_number=+1555") + `,"DesiredDeliveryMediums":["EMAIL","SMS"]`, after: map[string]string{"email": "n@x.io", "phone_number": "+1555"}, sent: []string{"SMS +1555 " + inviteSource, "EMAIL n@x.io " + inviteSource}},
		{name: "invitation by SMS when nothing is said", pool: phoneToo, more: `"UserAttributes":` + list("email=n@x.io, phone_number=+1555"), after: map[string]string{"email": "n@x.io", "phone_number": "+1555"}, sent: []string{"SMS +1555 " + inviteSource}},
		{name: "suppressed", more: `"UserAttributes":` + list("email=n@x.io") + `,"DesiredDeliveryMediums":["EMAIL"],"MessageAction":"SUPPRESS"`, after: map[string]string{"email": "n@x.io"}},
		{name: "functions run", pool: both(withHook("PreSignUp"), withHook("CustomMessage")), more: `"UserAttributes":` + list("email=n@x.io") + `,"DesiredDeliveryMediums":["EMAIL"]`, after: map[string]string{"email": "n@x.io"}, sent: []string{"EMAIL n@x.io " + inviteSource}, hooks: []string{preSignUp, inviteSource}},
		{name: "no e-mail for the invitation", more: `"DesiredDeliveryMediums":["EMAIL"]`, want: invalid("No email provided but desired delivery medium was Email")},
		{name: "no phone number for the invitation", pool: phoneToo, more: `"DesiredDeliveryMediums":["SMS"]`, want: invalid("No phone number provided but desired delivery medium was SMS")},
		{name: "no SMS configuration", more: `"UserAttributes":` + list("phone_number=+1555") + `,"DesiredDeliveryMediums":["SMS"]`, want: invalid("User pool does not have SMS configuration to send messages.")},
		{name: "weak password", more: `"TemporaryPassword":"short"`, want: "InvalidPasswordException: Password did not conform with policy: Password not long enough"},
		{name: "password of one character", more: `"TemporaryPassword":"x"`, want: invalid(`1 validation error detected: Value at 'temporaryPassword' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\S]+.*[\S]+$`)},
		{name: "unknown attribute", more: `"UserAttributes":` + list("nope=1, custom:tier=elevenchars"), want: invalid("Attributes did not conform to the schema: nope: Attribute does not exist in the schema., custom:tier: String must be no longer than 10 characters")},
		{name: "sub", more: `"UserAttributes":` + list("sub=x"), want: invalid("Cannot modify the non-mutable attribute sub")},
		{name: "bad e-mail", more: `"UserAttributes":` + list("email=nope"), want: invalid("Invalid email address format.")},
		{name: "bad phone number", more: `"UserAttributes":` + list("phone_number=1"), want: invalid("Invalid phone number format.")},
		{name: "flag without address", more: `"UserAttributes":` + list("email_verified=true"), want: invalid("Email is required to verify/un-verify an email")},
		{name: "null value", more: `"UserAttributes":[{"Name":"nickname"}]`, want: invalid("Attribute value for nickname must not be null")},
		{name: "taken user name", user: "other", want: "UsernameExistsException: User account already exists"},
		{name: "taken user name in other letter case", pool: caseInsensitive, user: "OTHER", want: "UsernameExistsException: User account already exists"},
		{name: "taken user name in other letter case, case-sensitive", user: "OTHER", after: map[string]string{}},
		{name: "user name like an e-mail address", pool: aliasPool, user: "n@x.io", want: invalid("Username cannot be of email format, since user pool is configured for email alias.")},
		{name: "user name like a phone number", pool: aliasPool, user: "+1555", want: invalid("Username cannot be of phone number format, since user pool is configured for phone number alias.")},
		{name: "alias taken, unverified", pool: aliasPool, more: `"UserAttributes":` + list("email=taken@x.io"), after: map[string]string{"email": "taken@x.io"}},
		{name: "alias taken, verified", pool: aliasPool, more: `"UserAttributes":` + list("email=taken@x.io, email_verified=true"), want: "UsernameExistsException: An account with the given email already exists."},
		{name: "preferred_username taken", pool: aliasPool, more: `"UserAttributes":` + list("preferred_username=nick"), want: "UsernameExistsException: An account with the given preferred_username already exists."},
		{name: "preferred_username taken and forced", pool: aliasPool, more: `"UserAttributes":` + list("preferred_username=nick") + `,"ForceAliasCreation":true`, want: "UsernameExistsException: An account with the given preferred_username already exists."},
		{name: "preferred_username equal to the user name", pool: aliasPool, more: `"UserAttributes":` + list("preferred_username=new"), want: invalid("Preferred username cannot be equal to the username of the account.")},
		{name: "alias taken and forced", pool: aliasPool, more: `"UserAttributes":` + list("email=taken@x.io, email_verified=true") + `,"ForceAliasCreation":true`, after: map[string]string{"email": "taken@x.io", "email_verified": "true"}},
		{name: "username attributes, neither form", pool: usernameAttributes, want: invalid("Username should be either an email or a phone number.")},
		{name: "username attributes, e-mail only", pool: func(s *pool.Settings) { s.UsernameAttributes = []string{"email"} }, user: "+1555", want: invalid("Username should be an email.")},
		{name: "username attributes, phone only", pool: func(s *pool.Settings) { s.UsernameAttributes = []string{"phone_number"} }, user: "n@x.io", want: invalid("Username should be a phone number.")},
		{name: "username attributes, filled", pool: usernameAttributes, user: "n@x.io", after: map[string]string{"email": "n@x.io"}},
		{name: "username attributes, given too", pool: usernameAttributes, user: "n@x.io", more: `"UserAttributes":` + list("email=n@x.io"), after: map[string]string{"email": "n@x.io"}},
		{name: "username attributes, given otherwise", pool: usernameAttributes, user: "n@x.io", more: `"UserAttributes":` + list("email=m@x.io"), want: invalid("The attribute email must be equal to the username.")},
		{name: "username attributes, taken", pool: usernameAttributes, user: "taken@x.io", want: "UsernameExistsException: User account already exists"},
		{name: "required attributes may be missing", pool: func(s *pool.Settings) {}, after: map[string]string{}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, r.pool), func(w *world) {
				other := w.addUser("other", taken, func(u *user.Record) {
					if len(w.pool.UsernameAttributes) > 0 {
						u.SignInAttribute = pool.Email
					}
				})
				name := r.user
				if name == "" {
					name = "new"
				}
				got := w.create(name, r.more)
				want.Equal(w, w.ran(), r.hooks)
				want.Equal(w, w.sent(), r.sent)
				want.Equal(w, w.due(), 0)
				if r.want != "" {
					want.Equal(w, got, r.want)
					want.Equal(w, w.stored(other), other)
					want.Equal(w, len(w.journal("")), 0)
					return
				}
				var out struct{ User map[string]any }
				want.NoError(w, json.Unmarshal([]byte(got), &out))
				u := w.byName(out.User["Username"].(string))
				want.Equal(w, u.Attributes, r.after)
				want.Equal(w, u.Status, user.ForceChangePassword)
				want.Equal(w, u.TemporarySince, start)
				want.True(w, u.Enabled, "a new user is enabled")
				want.Equal(w, out.User["UserStatus"], any("FORCE_CHANGE_PASSWORD"))
				want.Equal(w, out.User["Enabled"], any(true))
				want.Equal(w, out.User["UserCreateDate"], any(float64(start.UnixMilli())/1000))
				first := out.User["Attributes"].([]any)[0].(map[string]any)
				want.Equal(w, first, map[string]any{"Name": "sub", "Value": u.Sub})
				want.Equal(w, len(w.journal(u.Sub)), 1)
				if len(w.pool.UsernameAttributes) > 0 {
					want.Equal(w, u.Username, u.Sub)
				} else {
					want.Equal(w, u.Username, name)
				}
				if strings.Contains(r.name, "forced") {
					want.Equal(w, w.stored(other).Attributes["email_verified"], "false")
				}
			})
		})
	}
}

func TestAdminCreateUserPasswords(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		more := `"UserAttributes":` + list("email=n@x.io") + `,"DesiredDeliveryMediums":["EMAIL"]`
		w.create("a", more+`,"TemporaryPassword":"Given-Pass1"`)
		want.True(w, w.accepts(w.byName("a"), "Given-Pass1"), "the given password is stored")
		want.Equal(w, w.code(), "Given-Pass1")
		w.create("b", more)
		generated := w.code()
		want.True(w, w.accepts(w.byName("b"), generated), "the generated password is stored")
		body := w.email.got[1]
		want.Equal(w, body.Subject, "Your temporary password")
		want.True(w, strings.Contains(body.Body.Reveal(), "Your username is b and temporary password is "), "the invitation reads %q", body.Body.Reveal())
	})
}

func TestAdminCreateUserPasswordless(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *pool.Settings) { s.FirstFactors = []string{"PASSWORD", "EMAIL_OTP"} }, func(w *world) {
		w.create("a", `"UserAttributes":`+list("email=n@x.io")+`,"DesiredDeliveryMediums":["EMAIL"]`)
		u := w.byName("a")
		want.Equal(w, u.Status, user.Confirmed)
		want.Equal(w, w.sent(), nil)
		w.view(func(v store.View) error {
			_, err := v.Passwords().Get(u.PoolID, u.Sub)
			return nothing(err)
		})
		w.create("b", `"TemporaryPassword":"Given-Pass1"`)
		want.Equal(w, w.byName("b").Status, user.ForceChangePassword)
	})
}

func TestAdminCreateUserResend(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		w.create("a", `"UserAttributes":`+list("email=n@x.io")+`,"MessageAction":"SUPPRESS","TemporaryPassword":"Given-Pass1"`)
		w.clock.Advance(time.Hour)
		resend := `"MessageAction":"RESEND","DesiredDeliveryMediums":["EMAIL"]`
		got := w.create("a", resend)
		want.True(w, strings.HasPrefix(got, `{"User":{"Username":"a"`), "answer %s", got)
		u := w.byName("a")
		want.Equal(w, u.TemporarySince, start.Add(time.Hour))
		want.True(w, !w.accepts(u, "Given-Pass1"), "the old password is gone")
		want.True(w, w.accepts(u, w.code()), "the new one was sent")
		want.Equal(w, w.sent(), []string{"EMAIL n@x.io " + inviteSource})
		want.Equal(w, w.create("a", resend+`,"TemporaryPassword":"weak"`), "InvalidPasswordException: Password did not conform with policy: Password not long enough")
		want.Equal(w, w.create("a", `"MessageAction":"RESEND","DesiredDeliveryMediums":["SMS"]`), invalid("No phone number provided but desired delivery medium was SMS"))
		want.Equal(w, w.create("nobody", resend), "UserNotFoundException: User does not exist.")
		w.addUser("done", nil)
		want.Equal(w, w.create("done", resend), "UnsupportedUserStateException: Resend not possible. done status is not FORCE_CHANGE_PASSWORD")
	})
}

func TestAdminCreateUserFunctionRefuses(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, withHook("PreSignUp")), func(w *world) {
		w.hooks.answer = func(c *trigger.Call) (json.RawMessage, error) { return nil, &trigger.FunctionError{Message: "not you"} }
		want.Equal(w, w.create("a", ""), "UserLambdaValidationException: PreSignUp failed with error not you.")
		want.Equal(w, w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"a"}`), "UserNotFoundException: User does not exist.")
		w.ran()
		// A taken name is refused before the function runs; ValidationData and ClientMetadata reach it and are not stored.
		w.addUser("b", nil)
		want.Equal(w, w.create("b", ""), "UsernameExistsException: User account already exists")
		want.Equal(w, w.ran(), nil)
		var request map[string]any
		w.hooks.answer = func(c *trigger.Call) (json.RawMessage, error) {
			var e struct{ Request map[string]any }
			err := json.Unmarshal(c.Event, &e)
			request = e.Request
			return json.RawMessage(`{"autoConfirmUser":true,"autoVerifyEmail":true}`), err
		}
		w.create("c", `"UserAttributes":`+list("email=n@x.io")+`,"ValidationData":`+list("v=1")+`,"ClientMetadata":{"k":"v"}`)
		want.Equal(w, request, map[string]any{"userAttributes": map[string]any{"email": "n@x.io"}, "validationData": map[string]any{"v": "1"}, "clientMetadata": map[string]any{"k": "v"}})
		u := w.byName("c")
		want.Equal(w, u.Status, user.ForceChangePassword)
		want.Equal(w, u.Attributes, map[string]string{"email": "n@x.io"})
	})
}

func TestAdminCreateUserSenderRefuses(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, phoneToo), func(w *world) {
		w.sms.refuse = &message.Refusal{Kind: message.SmsRoleTrust}
		want.Equal(w, w.create("a", `"UserAttributes":`+list("phone_number=+1555")), "InvalidSmsRoleTrustRelationshipException: Role does not have a trust relationship allowing Cognito to assume the role")
		w.byName("a") // the user exists nevertheless
		w.email.refuse = &message.Refusal{Kind: message.EmailIdentity}
		got := w.create("b", `"UserAttributes":`+list("email=n@x.io")+`,"DesiredDeliveryMediums":["EMAIL"]`)
		want.True(w, strings.HasPrefix(got, "CodeDeliveryFailureException: "), "answer %s", got)
	})
}

func TestAdminGetUser(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", with("dev:custom:note", "x"))
		expected := fmt.Sprintf(`{"Username":"u","UserAttributes":[{"Name":"sub","Value":%q},{"Name":"dev:custom:note","Value":"x"},{"Name":"email","Value":"a@x.io"},{"Name":"email_verified","Value":"true"},{"Name":"name","Value":"N"}],"UserCreateDate":1767319445.678,"UserLastModifiedDate":1767319445.678,"Enabled":true,"UserStatus":"CONFIRMED"}`, u.Sub)
		want.Equal(w, w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"u"}`), expected)
		want.Equal(w, w.call("AdminGetUser", fmt.Sprintf(`{"UserPoolId":"$pool","Username":%q}`, u.Sub)), expected)
		want.Equal(w, w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"x"}`), "UserNotFoundException: User does not exist.")
		want.Equal(w, w.journal(""), nil)
	})
}

func TestAdminEnableDisableDelete(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, aliasPool), func(w *world) {
		u := w.addUser("u", vectorUser)
		body := `{"UserPoolId":"$pool","Username":"a@x.io"}`
		for range 2 {
			w.clock.Advance(time.Second)
			want.Equal(w, w.call("AdminDisableUser", body), "{}")
			want.True(w, !w.stored(u).Enabled, "disabled")
		}
		for range 2 {
			w.clock.Advance(time.Second)
			want.Equal(w, w.call("AdminEnableUser", body), "{}")
			want.True(w, w.stored(u).Enabled, "enabled")
		}
		want.Equal(w, w.stored(u).Modified, start.Add(4*time.Second))
		w.clock.Advance(time.Second)
		want.Equal(w, w.call("AdminDeleteUser", body), "")
		for _, operation := range []string{"AdminDisableUser", "AdminEnableUser", "AdminDeleteUser"} {
			want.Equal(w, w.call(operation, body), "UserNotFoundException: User does not exist.")
		}
		want.Equal(w, w.owner(user.Emails, "a@x.io"), "")
		w.create("u", "") // the name is free again, for another user
		want.True(w, w.byName("u").Sub != u.Sub, "a sub is never used again")
		want.Equal(w, w.journal(u.Sub), []string{"AdminDisableUser", "AdminDisableUser", "AdminEnableUser", "AdminEnableUser", "AdminDeleteUser"})
	})
}

func TestAdminSetUserPassword(t *testing.T) {
	t.Parallel()
	set := func(w *world, password string, permanent bool) string {
		return w.call("AdminSetUserPassword", fmt.Sprintf(`{"UserPoolId":"$pool","Username":"u","Password":%q,"Permanent":%t}`, password, permanent))
	}
	for _, from := range []user.Status{user.Unconfirmed, user.Confirmed, user.ResetRequired, user.ForceChangePassword, user.ExternalProvider} {
		t.Run(string(from), func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser, func(r *user.Record) { r.Status, r.Enabled = from, false })
				want.Equal(w, set(w, "Temporary-1", false), "{}")
				now := w.stored(u)
				want.Equal(w, now.Status, user.ForceChangePassword)
				want.Equal(w, now.TemporarySince, start)
				want.True(w, w.accepts(u, "Temporary-1"), "the temporary password is stored")
				want.Equal(w, set(w, "Permanent-1", true), "{}")
				now = w.stored(u)
				want.Equal(w, now.Status, user.Confirmed)
				want.True(w, now.TemporarySince.IsZero(), "no temporary password")
				want.True(w, w.accepts(u, "Permanent-1"), "the permanent password is stored")
				want.Equal(w, now.Attributes, vectorUser)
				want.True(w, !now.Enabled, "still disabled")
				want.Equal(w, w.sent(), nil)
				want.Equal(w, w.journal(u.Sub), []string{"AdminSetUserPassword password", "AdminSetUserPassword password"})
			})
		})
	}
	for password, reason := range map[string]string{
		"Aa1!":        "Password not long enough",
		"lower-case1": "Password must have uppercase characters",
		"UPPER-CASE1": "Password must have lowercase characters",
		"No-Number":   "Password must have numeric characters",
		"NoSymbols1":  "Password must have symbol characters",
		"Éé1!éééééé":  "Password must have uppercase characters",
	} {
		t.Run(reason+" "+password, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				want.Equal(w, set(w, password, true), "InvalidPasswordException: Password does not conform to policy: "+reason)
				want.Equal(w, w.stored(u), u)
			})
		})
	}
	t.Run("a space inside is a symbol", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", vectorUser)
			want.Equal(w, set(w, "With Space1", true), "{}")
			want.True(w, w.accepts(u, "With Space1"), "stored as sent")
		})
	})
	t.Run("history", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, func(s *pool.Settings) { s.Password.History = 2 }), func(w *world) {
			w.addUser("u", vectorUser)
			for _, p := range []string{"Password-1", "Password-2"} {
				want.Equal(w, set(w, p, true), "{}")
				want.Equal(w, set(w, p, true), "PasswordHistoryPolicyViolationException: Password has previously been used")
			}
			want.Equal(w, set(w, "Password-1", true), "PasswordHistoryPolicyViolationException: Password has previously been used")
			want.Equal(w, set(w, "Password-3", true), "{}")
			want.Equal(w, set(w, "Password-1", true), "{}")
		})
	})
	t.Run("unknown user", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			want.Equal(w, set(w, "short", true), "UserNotFoundException: User does not exist.")
		})
	})
}

func TestAdminDeleteUserAttributes(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name, names, want string
		pool              func(*pool.Settings)
		after             map[string]string
	}{
		{name: "custom", names: `["custom:tier"]`, after: with()},
		{name: "what the user does not have", names: `["nickname"]`, after: with("custom:tier", "gold")},
		{name: "an address goes with its flag", names: `["email"]`, after: with("custom:tier", "gold", "email", "", "email_verified", "")},
		{name: "a flag becomes false", names: `["email_verified"]`, after: with("custom:tier", "gold", "email_verified", "false")},
		{name: "an absent flag stays absent", names: `["phone_number_verified"]`, after: with("custom:tier", "gold")},
		{name: "twice the same", names: `["custom:tier","custom:tier"]`, after: with()},
		{name: "unknown", names: `["nope","custom:tier","nope2"]`, want: invalid("Invalid user attributes: user.nope: Attribute does not exist in the schema.\nuser.nope2: Attribute does not exist in the schema.\n")},
		{name: "immutable", names: `["custom:tier","custom:ref"]`, want: invalid("Invalid user attributes: user.custom:ref: Attribute cannot be updated.\n")},
		{name: "sub", names: `["sub"]`, want: invalid("Invalid user attributes: user.sub: Attribute cannot be updated.\n")},
		{name: "required", names: `["custom:tier","name"]`, want: invalid("Invalid user attributes: name.formatted: The attribute name.formatted is required")},
		{name: "the sign-in name", names: `["email"]`, pool: usernameAttributes, want: invalid("Invalid user attributes: emails: The attribute emails is required")},
		{name: "name of 33", names: `["` + strings.Repeat("n", 33) + `"]`, want: invalid("1 validation error detected: Value '[" + strings.Repeat("n", 33) + "]' at 'userAttributeNames' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 32, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}\\t\\n\\r ]+]")},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, r.pool), func(w *world) {
				u := w.addUser("u", with("custom:tier", "gold"), byEmail)
				w.clock.Advance(time.Minute)
				expected := r.want
				if expected == "" {
					expected = "{}"
				}
				want.Equal(w, w.call("AdminDeleteUserAttributes", `{"UserPoolId":"$pool","Username":"u","UserAttributeNames":`+r.names+`}`), expected)
				if r.want != "" {
					want.Equal(w, w.stored(u), u)
					want.Equal(w, w.journal(u.Sub), nil)
					return
				}
				want.Equal(w, w.stored(u).Attributes, r.after)
				want.Equal(w, w.stored(u).Modified, start.Add(time.Minute))
				want.Equal(w, len(w.journal(u.Sub)), 1)
			})
		})
	}
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	names := func(got string) (usernames []string, token string) {
		var out struct {
			Users           []struct{ Username string }
			PaginationToken string
		}
		if err := json.Unmarshal([]byte(got), &out); err != nil {
			return []string{got}, ""
		}
		for _, u := range out.Users {
			usernames = append(usernames, u.Username)
		}
		return usernames, out.PaginationToken
	}
	onBoth(t, both(vectorPool, caseInsensitive), func(w *world) {
		for i := range 7 {
			w.addUser(fmt.Sprintf("User%d", i), map[string]string{"email": fmt.Sprintf("u%d@x.io", i), "name": "Same", "given_name": "G" + strings.Repeat("x", i)},
				func(r *user.Record) {
					r.Enabled = i != 3
					if i == 4 {
						r.Status = user.Unconfirmed
					}
				})
		}
		filters := map[string][]string{
			`email = "u1@x.io"`:                     {"User1"},
			`email="u1@x.io"`:                       {"User1"},
			`email ^= "u"`:                          {"User0", "User1", "User2", "User3", "User4", "User5", "User6"},
			`email = "U1@x.io"`:                     nil,
			`username = "user2"`:                    {"User2"},
			`username ^= "uSER"`:                    {"User0", "User1", "User2", "User3", "User4", "User5", "User6"},
			`given_name = "Gxx"`:                    {"User2"},
			`given_name ^= "Gxxxx"`:                 {"User4", "User5", "User6"},
			`status = "Disabled"`:                   {"User3"},
			`status = "disabled"`:                   nil,
			`cognito:user_status = "unconfirmed"`:   {"User4"},
			`cognito:user_status ^= "UNC"`:          {"User4"},
			`sub = "` + w.byName("user5").Sub + `"`: {"User5"},
			`phone_number ^= "+"`:                   nil,
			`name = "S\"ame"`:                       nil,
		}
		for f, expected := range filters {
			b, _ := json.Marshal(f)
			got, _ := names(w.call("ListUsers", `{"UserPoolId":"$pool","Filter":`+string(b)+`}`))
			want.Equal(w, sorted(got), expected)
		}
		for f, expected := range map[string]string{
			`"email"`:                  "Error while parsing filter",
			`"email > \"x\""`:          "Error while parsing filter",
			`"email = x"`:              "Error while parsing filter",
			`"custom:tier = \"gold\""`: "Invalid search attribute: custom:tier",
			`"nope = \"x\""`:           "Invalid search attribute: nope",
		} {
			want.Equal(w, w.call("ListUsers", `{"UserPoolId":"$pool","Filter":`+f+`}`), invalid(expected))
		}
		long := strings.Repeat("f", 257)
		want.Equal(w, w.call("ListUsers", `{"UserPoolId":"$pool","Filter":"`+long+`"}`), invalid("1 validation error detected: Value '"+long+"' at 'filter' failed to satisfy constraint: Member must have length less than or equal to 256"))
		want.Equal(w, w.call("ListUsers", `{"UserPoolId":"$pool","Limit":61}`), invalid("1 validation error detected: Value '61' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 60"))
		for _, a := range []string{"sub", "nope"} {
			want.Equal(w, w.call("ListUsers", `{"UserPoolId":"$pool","AttributesToGet":["`+a+`"]}`), invalid("Input fails to satisfy the constraints."))
		}
		// Pages: every user once, whatever the order; the token belongs to its request.
		for _, filter := range []string{`""`, `"email ^= \"u\""`, `"name = \"Same\""`} {
			var all []string
			token, pages := "", 0
			for {
				body := fmt.Sprintf(`{"UserPoolId":"$pool","Limit":3,"Filter":%s`, filter)
				if token != "" {
					body += fmt.Sprintf(`,"PaginationToken":%q`, token)
				}
				var got []string
				got, token = names(w.call("ListUsers", body+`}`))
				all, pages = append(all, got...), pages+1
				if token == "" || pages > 5 {
					break
				}
				want.Equal(w, w.call("ListUsers", fmt.Sprintf(`{"UserPoolId":"$pool","Limit":4,"Filter":%s,"PaginationToken":%q}`, filter, token)), invalid("Invalid pagination token given."))
			}
			want.Equal(w, len(all), 7)
			slices.Sort(all)
			want.Equal(w, len(slices.Compact(all)), 7)
		}
		_, token := names(w.call("ListUsers", `{"UserPoolId":"$pool","Limit":3}`))
		w.clock.Advance(time.Hour + time.Second)
		want.Equal(w, w.call("ListUsers", fmt.Sprintf(`{"UserPoolId":"$pool","Limit":3,"PaginationToken":%q}`, token)), invalid("Invalid pagination token given."))
		want.Equal(w, w.call("ListUsers", `{"UserPoolId":"$pool","PaginationToken":"x"}`), invalid("Invalid pagination token given."))
		got := w.call("ListUsers", `{"UserPoolId":"$pool","AttributesToGet":["email","phone_number"],"Filter":"username = \"user0\""}`)
		want.True(w, strings.Contains(got, `"Attributes":[{"Name":"email","Value":"u0@x.io"}]`), "answer %s", got)
	})
}
