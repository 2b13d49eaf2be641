package ops_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const (
	forgotSource   = "CustomMessage_ForgotPassword"
	resetSource    = "PostConfirmation_ConfirmForgotPassword"
	migrateSource  = "UserMigration_ForgotPassword"
	byMail         = `{"CodeDeliveryDetails":{"Destination":"a***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"}}`
	bySMS          = `{"CodeDeliveryDetails":{"Destination":"+****9934","DeliveryMedium":"SMS","AttributeName":"phone_number"}}`
	disabledUser   = "NotAuthorizedException: User is disabled."
	noReset        = "NotAuthorizedException: User password cannot be reset in the current state."
	askAdmin       = "NotAuthorizedException: Contact administrator to reset password."
	noAddress      = "InvalidParameterException: Cannot reset password for the user as there is no registered/verified email or phone_number"
	usedBefore     = "PasswordHistoryPolicyViolationException: Password has previously been used"
	unrecognizable = "InvalidLambdaResponseException: Unrecognizable lambda output"
	newPassword    = `,"Password":"N3w-Passw0rd!"`
)

// setPassword gives a user a permanent password.
func (w *world) setPassword(name, password string) string {
	w.Helper()
	return w.call("AdminSetUserPassword", fmt.Sprintf(`{"UserPoolId":"$pool","Username":%q,"Password":%q,"Permanent":true}`, name, password))
}

// forgetful adds the user of the vectors with the password Passw0rd!1 and a code for a new one, which it returns.
func (w *world) forgetful(name string) (code string) {
	w.Helper()
	w.addUser(name, vectorUser)
	want.Equal(w, w.setPassword(name, "Passw0rd!1"), "{}")
	want.Equal(w, w.public("ForgotPassword", name, ""), byMail)
	code = w.code()
	w.sent()
	w.ran()
	return code
}

func (w *world) confirm(name, right, password string) string {
	w.Helper()
	return w.public("ConfirmForgotPassword", name, code(right)+fmt.Sprintf(`,"Password":%q`, password))
}

// migrating makes the UserMigration function answer, and every other one change nothing.
func migrating(answer string) func(*trigger.Call) (json.RawMessage, error) {
	return func(c *trigger.Call) (json.RawMessage, error) {
		if c.Trigger == "UserMigration" {
			return json.RawMessage(answer), nil
		}
		return json.RawMessage(`{}`), nil
	}
}

func recovery(names ...string) func(*pool.Settings) {
	return func(s *pool.Settings) {
		for i, name := range names {
			s.Recovery = append(s.Recovery, pool.RecoveryMechanism{Priority: i + 1, Name: name})
		}
	}
}

// bothAddresses are the attributes of a user with two verified addresses.
var bothAddresses = map[string]string{"email": "a@x.io", "email_verified": "true", "phone_number": "+15559934", "phone_number_verified": "true"}

func TestForgotPassword(t *testing.T) {
	t.Parallel()
	status := func(s user.Status) func(*user.Record) { return func(r *user.Record) { r.Status = s } }
	sms := &pool.SmsConfig{CallerArn: "arn:aws:iam::123456789012:role/sms"}
	for _, r := range []struct {
		name   string
		pool   func(*pool.Settings)
		user   map[string]string
		change func(*user.Record)
		login  string // "u" when empty
		want   string
		sent   []string
	}{
		{name: "by e-mail", want: byMail, sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "by the sub", login: "sub", want: byMail, sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "by an alias", pool: aliasPool, login: "a@x.io", want: byMail, sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "by SMS where both could be", pool: phoneToo, user: bothAddresses, want: bySMS, sent: []string{"SMS +15559934 " + forgotSource}},
		{name: "by the pool's choice", pool: both(phoneToo, recovery("verified_email", "verified_phone_number")), user: bothAddresses, want: byMail, sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "by the pool's second choice", pool: both(phoneToo, recovery("verified_email", "verified_phone_number")), user: map[string]string{"email": "a@x.io", "phone_number": "+15559934", "phone_number_verified": "true"}, want: bySMS, sent: []string{"SMS +15559934 " + forgotSource}},
		{name: "F7 not by the second factor", pool: both(phoneToo, func(s *pool.Settings) { s.MFA = pool.MFAOptional }), user: bothAddresses, change: func(r *user.Record) { r.SMSOption = true }, want: byMail, sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "F7 not by the second factor, although nothing else is left", pool: both(phoneToo, func(s *pool.Settings) { s.MFA = pool.MFAOn }), user: map[string]string{"phone_number": "+15559934", "phone_number_verified": "true"}, want: noAddress},
		{name: "the text of the pool", pool: func(s *pool.Settings) { s.Templates.EmailMessage = str("Mine: {####}") }, want: byMail, sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "to be reset", change: status(user.ResetRequired), want: byMail, sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "unconfirmed with a verified address", change: status(user.Unconfirmed), want: byMail, sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "unconfirmed without", user: map[string]string{"email": "a@x.io"}, change: status(user.Unconfirmed), want: noAddress},
		{name: "nobody", login: "nobody", want: notInClient},
		{name: "disabled", change: func(r *user.Record) { r.Enabled = false }, want: disabledUser},
		{name: "temporary password", change: status(user.ForceChangePassword), want: noReset},
		{name: "from elsewhere", change: status(user.ExternalProvider), want: noReset},
		{name: "never again by password", change: func(r *user.Record) { r.PasswordOff = true }, want: notInClient},
		{name: "administrators only", pool: recovery("admin_only"), want: askAdmin},
		{name: "no verified address", user: map[string]string{"email": "a@x.io", "email_verified": "false"}, want: noAddress},
		{name: "an address that the pool does not use", pool: both(phoneToo, recovery("verified_phone_number")), want: noAddress},
		{name: "SMS where the pool sends none", user: bothAddresses, want: invalid("User pool does not have SMS configuration to send messages.")},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(r.pool, withHook("CustomMessage"), withHook("PostConfirmation"), withHook("PreSignUp")), func(w *world) {
				if w.pool.MFA != pool.MFAOff {
					want.Equal(w, w.pool.Sms, sms)
				}
				c := w.client(nil)
				attributes := r.user
				if attributes == nil {
					attributes = vectorUser
				}
				u := w.addUser("u", attributes, func(u *user.Record) {
					if r.change != nil {
						r.change(u)
					}
				})
				login := map[string]string{"": "u", "sub": u.Sub}[r.login]
				if login == "" {
					login = r.login
				}
				want.Equal(w, w.public("ForgotPassword", login, `"ClientMetadata":{"m":"1"},"AnalyticsMetadata":{},"UserContextData":{}`), r.want)
				want.Equal(w, w.stored(u), u) // the old password stays good
				hooks, entries := []string(nil), []string(nil)
				if r.sent != nil {
					hooks, entries = []string{forgotSource}, []string{"ForgotPassword code"}
					e := w.hooks.events[0]
					want.Equal(w, []any{e.Request["clientMetadata"], e.Request["codeParameter"], e.CallerContext["clientId"]}, []any{map[string]any{"m": "1"}, "{####}", c.ID})
				}
				want.Equal(w, w.ran(), hooks)
				want.Equal(w, w.sent(), r.sent)
				want.Equal(w, w.due(), 0)
				want.Equal(w, w.journal(""), entries)
			})
		})
	}
}

// A new code voids the former, lives for an hour, and five can be asked for in an hour, by users and administrators
// together.
func TestForgotPasswordAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		w.client(nil)
		first := w.forgetful("u")
		for range 3 {
			want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
		}
		w.clock.Advance(30 * time.Minute)
		want.Equal(w, w.call("AdminResetUserPassword", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
		last := w.code()
		want.Equal(w, len(w.sent()), 4)
		for range 2 {
			want.Equal(w, w.public("ForgotPassword", "u", ""), tooManyAttempts)
			want.Equal(w, w.call("AdminResetUserPassword", `{"UserPoolId":"$pool","Username":"u"}`), tooManyAttempts)
		}
		want.Equal(w, []any{w.sent(), w.due(), w.byName("u").Status}, []any{[]string(nil), 0, user.ResetRequired})
		w.clock.Advance(30*time.Minute - time.Millisecond)
		if first != last {
			want.Equal(w, w.confirm("u", first, "N3w-Passw0rd!"), wrongCode)
		}
		w.clock.Advance(time.Millisecond)
		want.Equal(w, w.public("ForgotPassword", "u", ""), byMail) // another hour
		right := w.code()
		w.clock.Advance(time.Hour - time.Millisecond)
		want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), "{}")
		want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!2"), expiredCode)

		want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
		right = w.code()
		w.clock.Advance(time.Hour)
		want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!2"), expiredCode)
		want.True(w, w.accepts(w.byName("u"), "N3w-Passw0rd!"), "an expired code changes nothing")
	})
}

func TestConfirmForgotPassword(t *testing.T) {
	t.Parallel()
	history := func(s *pool.Settings) { s.Password.History = 2 }
	t.Run("sets the password", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, withHook("CustomMessage"), withHook("PostConfirmation"), withHook("PreSignUp")), func(w *world) {
			c := w.client(nil)
			right := w.forgetful("u")
			u := w.byName("u")
			w.clock.Advance(time.Minute)
			want.Equal(w, w.public("ConfirmForgotPassword", "u", code(right)+newPassword+`,"ClientMetadata":{"m":"1"},"AnalyticsMetadata":{},"UserContextData":{}`), "{}")
			e := w.hooks.events[0]
			want.Equal(w, []any{e.UserName, e.Request["clientMetadata"], e.CallerContext["clientId"]}, []any{"u", map[string]any{"m": "1"}, c.ID})
			want.Equal(w, e.Request["userAttributes"], any(map[string]any{"sub": u.Sub, "cognito:user_status": "CONFIRMED", "email": "a@x.io", "email_verified": "true", "name": "N"}))
			want.Equal(w, w.ran(), []string{resetSource})
			want.Equal(w, w.sent(), nil)
			want.Equal(w, w.due(), 0)
			want.Equal(w, sorted(w.journal(u.Sub)), []string{"AdminSetUserPassword password", "ConfirmForgotPassword password", "ForgotPassword code"})
			now := w.stored(u)
			want.True(w, w.accepts(now, "N3w-Passw0rd!") && !w.accepts(now, "Passw0rd!1"), "the new password is the only one")
			u.Modified, u.Version = start.Add(time.Minute), now.Version
			want.Equal(w, now, u)
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!2"), expiredCode) // used up
		})
	})
	for name, before := range map[string]user.Status{"confirms the unconfirmed": user.Unconfirmed, "ends a reset": user.ResetRequired} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, openPool, func(w *world) {
				w.client(nil)
				u := w.addUser("u", vectorUser, func(r *user.Record) { r.Status = before })
				want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
				want.Equal(w, w.confirm("u", w.code(), "N3w-Passw0rd!"), "{}") // a first password
				want.Equal(w, w.stored(u).Status, user.Confirmed)
				want.Equal(w, w.stored(u).Attributes, u.Attributes)
			})
		})
	}
	t.Run("takes the code of an administrator", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			w.addUser("u", vectorUser)
			want.Equal(w, w.call("AdminResetUserPassword", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
			right := w.code()
			w.client(nil) // and of whatever client
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), "{}")
		})
	})
	t.Run("refuses", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, history), func(w *world) {
			w.client(nil)
			want.Equal(w, w.confirm("nobody", "123456", "N3w-Passw0rd!"), notInClient)
			fresh := w.addUser("fresh", vectorUser)
			want.Equal(w, w.confirm("fresh", "123456", "N3w-Passw0rd!"), expiredCode) // none was asked for
			w.addUser("off", vectorUser, func(r *user.Record) { r.PasswordOff = true })
			want.Equal(w, w.confirm("off", "123456", "N3w-Passw0rd!"), notInClient)
			right := w.forgetful("u")
			want.Equal(w, w.confirm("u", wrong(right), "N3w-Passw0rd!"), wrongCode)
			want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), disabledUser)
			want.Equal(w, w.call("AdminEnableUser", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
			u := w.byName("u")
			// What is wrong with the password shows to the holder of the code alone, and the code stays good.
			want.Equal(w, w.confirm("u", wrong(right), "password"), wrongCode)
			want.Equal(w, w.confirm("u", right, "password"), "InvalidPasswordException: Password does not conform to policy: Password must have uppercase characters")
			want.Equal(w, w.confirm("u", right, "Passw0rd!1"), usedBefore)
			want.Equal(w, w.stored(u), u)
			want.True(w, w.accepts(u, "Passw0rd!1"), "the old password stays")
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), "{}")
			want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
			right = w.code()
			want.Equal(w, w.confirm("u", right, "Passw0rd!1"), usedBefore)
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), usedBefore)
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!2"), "{}")
			want.Equal(w, w.stored(fresh), fresh)
		})
	})
	t.Run("the same password again where there is no history", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			want.Equal(w, w.confirm("u", w.forgetful("u"), "Passw0rd!1"), "{}")
		})
	})
	t.Run("codes for other purposes", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			_, signUp := w.newcomer("new", "email=n@x.io")
			want.Equal(w, w.confirm("new", signUp, "N3w-Passw0rd!"), expiredCode)
			right := w.forgetful("u")
			want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
			given, answer := w.code(), wrongCode
			if given == right { // they are drawn at random
				answer = expiredCode // it went to another address
			}
			want.Equal(w, w.confirm("u", given, "N3w-Passw0rd!"), answer)
		})
	})
	// Whoever reads at a former address, or knows a former password, has nothing of a code any more.
	for name, change := range map[string]func(w *world) string{
		"another address since":     func(w *world) string { return w.update1("u", list("email=b@x.io, email_verified=true")) },
		"the address is not proven": func(w *world) string { return w.update1("u", list("email_verified=false")) },
		"another password since":    func(w *world) string { return w.setPassword("u", "Passw0rd!2") },
		"a temporary password instead": func(w *world) string {
			return w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"u","Password":"Passw0rd!2"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, openPool, func(w *world) {
				w.client(nil)
				right := w.forgetful("u")
				want.Equal(w, change(w), "{}")
				u := w.byName("u")
				want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), expiredCode)
				want.Equal(w, w.stored(u), u)
			})
		})
	}
	t.Run("E13 a user of the same name", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			right := w.forgetful("u")
			for range 15 {
				want.Equal(w, w.confirm("u", wrong(right), "N3w-Passw0rd!"), wrongCode)
			}
			want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"u"}`), "")
			next := w.addUser("u", vectorUser)
			for range 10 { // the attempts at the former user are not theirs either
				want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), expiredCode)
			}
			want.Equal(w, w.stored(next), next)
		})
	})
}

func TestAdminResetUserPassword(t *testing.T) {
	t.Parallel()
	status := func(s user.Status) func(*user.Record) { return func(r *user.Record) { r.Status = s } }
	for _, r := range []struct {
		name   string
		pool   func(*pool.Settings)
		user   map[string]string
		change func(*user.Record)
		login  string
		want   string
		sent   []string
	}{
		{name: "confirmed", want: "{}", sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "again", change: status(user.ResetRequired), want: "{}", sent: []string{"EMAIL a@x.io " + forgotSource}},
		{name: "by SMS", pool: phoneToo, user: bothAddresses, want: "{}", sent: []string{"SMS +15559934 " + forgotSource}},
		{name: "although recovery is for administrators", pool: both(phoneToo, recovery("admin_only")), user: bothAddresses, want: "{}", sent: []string{"SMS +15559934 " + forgotSource}},
		{name: "nobody", login: "nobody", want: "UserNotFoundException: User does not exist."},
		{name: "never again by password", change: func(r *user.Record) { r.PasswordOff = true }, want: "UserNotFoundException: User does not exist."},
		{name: "disabled", change: func(r *user.Record) { r.Enabled = false }, want: "NotAuthorizedException: User is disabled"},
		{name: "unconfirmed", change: status(user.Unconfirmed), want: noReset},
		{name: "temporary password", change: status(user.ForceChangePassword), want: noReset},
		{name: "from elsewhere", change: status(user.ExternalProvider), want: noReset},
		{name: "no verified address", user: map[string]string{"email": "a@x.io"}, want: noAddress},
		{name: "SMS where the pool sends none", user: bothAddresses, want: invalid("User pool does not have SMS configuration to send messages.")},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(r.pool, withHook("CustomMessage"), withHook("PostConfirmation"), withHook("UserMigration")), func(w *world) {
				attributes, login := r.user, r.login
				if attributes == nil {
					attributes = vectorUser
				}
				if login == "" {
					login = "u"
				}
				u := w.addUser("u", attributes, func(u *user.Record) {
					if r.change != nil {
						r.change(u)
					}
				})
				w.clock.Advance(time.Minute)
				want.Equal(w, w.call("AdminResetUserPassword", fmt.Sprintf(`{"UserPoolId":"$pool","Username":%q,"ClientMetadata":{"m":"1"}}`, login)), r.want)
				hooks, entries := []string(nil), []string(nil)
				now := w.stored(u)
				if r.sent != nil {
					hooks, entries = []string{forgotSource}, []string{"AdminResetUserPassword code"}
					u.Status, u.Modified, u.Version = user.ResetRequired, start.Add(time.Minute), now.Version
					e := w.hooks.events[0]
					want.Equal(w, []any{e.Request["clientMetadata"], e.CallerContext["clientId"]}, []any{map[string]any{"m": "1"}, notice.ClientNotApplicable})
				}
				want.Equal(w, now, u)
				want.Equal(w, w.ran(), hooks)
				want.Equal(w, w.sent(), r.sent)
				want.Equal(w, w.due(), 0)
				want.Equal(w, w.journal(""), entries)
			})
		})
	}
}

// Functions that fail and senders that refuse are told by every operation that lists it; what was written stays.
func TestRecoveryFunctionsFail(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct {
		err  error
		text string // %s is the trigger
	}{
		"fails":     {&trigger.FunctionError{Message: "no"}, "UserLambdaValidationException: %s failed with error no."},
		"away":      {&trigger.Unreachable{Reason: "AccessDeniedException"}, "UnexpectedLambdaException: %s invocation failed due to error AccessDeniedException."},
		"not JSON":  {trigger.ErrNotJSON, "InvalidLambdaResponseException: Invalid lambda function output : Invalid JSON"},
		"too slow":  {trigger.ErrTimeout, "UnexpectedLambdaException: Socket timeout while invoking Lambda function"},
		"no object": {trigger.ErrUnrecognizable, unrecognizable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := func(trigger string) string { return strings.ReplaceAll(f.text, "%s", trigger) }
			onBoth(t, both(openPool, withHook("UserMigration"), withHook("CustomMessage"), withHook("PostConfirmation")), func(w *world) {
				w.client(nil)
				u := w.addUser("u", vectorUser)
				failing := ""
				w.hooks.answer = func(c *trigger.Call) (json.RawMessage, error) {
					if c.Trigger == failing {
						return nil, f.err
					}
					return json.RawMessage(`{}`), nil
				}
				failing = "UserMigration"
				want.Equal(w, w.public("ForgotPassword", "nobody", ""), said(failing))
				want.Equal(w, w.journal(""), nil)
				failing = "CustomMessage"
				want.Equal(w, w.public("ForgotPassword", "u", ""), said(failing))
				want.Equal(w, w.call("AdminResetUserPassword", `{"UserPoolId":"$pool","Username":"u"}`), said(failing))
				want.Equal(w, w.stored(u).Status, user.ResetRequired)
				want.Equal(w, []any{w.sent(), w.due()}, []any{[]string(nil), 0})
				failing = ""
				want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
				failing = "PostConfirmation"
				want.Equal(w, w.confirm("u", w.code(), "N3w-Passw0rd!"), said(failing))
				want.Equal(w, w.stored(u).Status, user.Confirmed)
				want.True(w, w.accepts(u, "N3w-Passw0rd!"), "the password is changed whatever the function says")
			})
		})
	}
}

func TestRecoveryDeliveryFails(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		kind       message.Kind
		attributes map[string]string
		want       string
		reset      string // what AdminResetUserPassword answers, which lists fewer exceptions; "" for the same
	}{
		{message.Recipient, vectorUser, "CodeDeliveryFailureException: Unable to deliver message", "{}"},
		{message.EmailIdentity, vectorUser, "InvalidEmailRoleAccessPolicyException: Cognito is not allowed to use your email identity", ""},
		{message.SmsRoleTrust, bothAddresses, "InvalidSmsRoleTrustRelationshipException: Role does not have a trust relationship allowing Cognito to assume the role", ""},
		{message.SmsRoleAccess, bothAddresses, "InvalidSmsRoleAccessPolicyException: Role does not have permission to publish with SNS", ""},
	} {
		t.Run(r.want, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(openPool, phoneToo), func(w *world) {
				w.client(nil)
				u := w.addUser("u", r.attributes)
				w.email.refuse, w.sms.refuse = &message.Refusal{Kind: r.kind}, &message.Refusal{Kind: r.kind}
				want.Equal(w, w.public("ForgotPassword", "u", ""), r.want)
				reset := r.reset
				if reset == "" {
					reset = r.want
				}
				want.Equal(w, w.call("AdminResetUserPassword", `{"UserPoolId":"$pool","Username":"u"}`), reset)
				want.Equal(w, sorted(w.journal(u.Sub)), []string{"AdminResetUserPassword code", "ForgotPassword code"})
				// Where the client hides who exists, a refusal would show it.
				w.client(hiding)
				want.Contains(w, w.public("ForgotPassword", "u", ""), `"CodeDeliveryDetails"`)
				want.Equal(w, len(w.waiting()), 1)
			})
		})
	}
}

func TestRecoveryClients(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		w.addUser("u", vectorUser)
		c := w.proving("u", map[string]string{"ForgotPassword": `"ClientMetadata":{}`, "ConfirmForgotPassword": code("123456") + newPassword})
		want.Equal(w, w.public("ForgotPassword", "u", secretHash("old", "u", c.ID)), byMail)
		want.Equal(w, w.public("ConfirmForgotPassword", "u", code(w.code())+newPassword+","+secretHash("new", "u", c.ID)), "{}")
	})
}

func TestRecoveryOnReplica(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		w.client(nil)
		u := w.addUser("u", vectorUser)
		token := w.access(u)
		w.onReplica()
		no := func(operation string) string {
			return "OperationNotEnabledException: The operation " + operation + " is not enabled on a secondary replica."
		}
		want.Equal(w, w.public("ForgotPassword", "u", ""), no("ForgotPassword"))
		want.Equal(w, w.confirm("u", "123456", "N3w-Passw0rd!"), no("ConfirmForgotPassword"))
		want.Equal(w, w.call("AdminResetUserPassword", `{"UserPoolId":"$pool","Username":"u"}`), no("AdminResetUserPassword"))
		want.Equal(w, w.self("ChangePassword", token, `,"ProposedPassword":"N3w-Passw0rd!"`), no("ChangePassword"))
		want.Equal(w, w.call("AdminResetUserPassword", `{"UserPoolId":"us-east-1_000000000","Username":"u"}`), "ResourceNotFoundException: User pool us-east-1_000000000 does not exist.")
	})
}

// A name that nobody has may be somebody of another directory.
func TestUserMigration(t *testing.T) {
	t.Parallel()
	const welcomed = "EMAIL m@x.io " + inviteSource
	const asked = "EMAIL m@x.io " + forgotSource
	const details = `{"CodeDeliveryDetails":{"Destination":"m***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"}}`
	proven := map[string]string{"email": "m@x.io", "email_verified": "true"}
	const mail = `"userAttributes":{"email":"m@x.io","email_verified":"true"}`
	for _, r := range []struct {
		name   string
		pool   func(*pool.Settings)
		login  string // "new" when empty
		answer string
		want   string
		user   string // user name of the new user; login when empty, nobody when the answer is a fault
		after  map[string]string
		status user.Status
		sent   []string
	}{
		{name: "to be reset", answer: `{` + mail + `,"messageAction":"SUPPRESS"}`, want: details, after: proven, status: user.ResetRequired, sent: []string{asked}},
		{name: "confirmed", answer: `{` + mail + `,"messageAction":"SUPPRESS","finalUserStatus":"CONFIRMED"}`, want: details, after: proven, status: user.Confirmed, sent: []string{asked}},
		{name: "a welcome by e-mail", answer: `{` + mail + `,"desiredDeliveryMediums":["EMAIL"]}`, want: details, after: proven, status: user.ResetRequired, sent: []string{welcomed, asked}},
		{name: "a welcome by SMS goes nowhere without a number", answer: `{` + mail + `}`, want: details, after: proven, status: user.ResetRequired, sent: []string{asked}},
		{name: "another user name", answer: `{"userAttributes":{"username":"jane","email":"m@x.io","email_verified":"true"},"messageAction":"SUPPRESS"}`, want: details, user: "jane", after: proven, status: user.ResetRequired, sent: []string{asked}},
		{name: "by an address", pool: usernameAttributes, login: "m@x.io", answer: `{` + mail + `,"messageAction":"SUPPRESS"}`, want: details, after: proven, status: user.ResetRequired, sent: []string{asked}},
		{name: "an alias is taken over", pool: aliasPool, answer: `{"userAttributes":{"email":"taken@x.io","email_verified":"true"},"messageAction":"SUPPRESS","forceAliasCreation":true}`,
			want: `{"CodeDeliveryDetails":{"Destination":"t***@x***","DeliveryMedium":"EMAIL","AttributeName":"email"}}`, after: map[string]string{"email": "taken@x.io", "email_verified": "true"}, status: user.ResetRequired, sent: []string{"EMAIL taken@x.io " + forgotSource}},
		{name: "SMS as second factor", pool: both(phoneToo, func(s *pool.Settings) { s.MFA = pool.MFAOptional }), answer: `{"userAttributes":{"email":"m@x.io","email_verified":"true","phone_number":"+1555","phone_number_verified":"true"},"messageAction":"SUPPRESS","enableSMSMFA":true}`,
			want: details, after: map[string]string{"email": "m@x.io", "email_verified": "true", "phone_number": "+1555", "phone_number_verified": "true"}, status: user.ResetRequired, sent: []string{asked}},

		{name: "nobody", answer: `{}`, want: notInClient},
		{name: "nobody, said otherwise", answer: `{"userAttributes":null,"finalUserStatus":null}`, want: notInClient},
		{name: "no address", answer: `{"userAttributes":{"name":"N"}}`, want: noAddress},
		{name: "address not proven", answer: `{"userAttributes":{"email":"m@x.io"}}`, want: noAddress},
		{name: "an attribute that the pool has not", answer: `{"userAttributes":{"nope":"1"}}`, want: invalid("Attributes did not conform to the schema: nope: Attribute does not exist in the schema.")},
		{name: "a value that does not fit", answer: `{"userAttributes":{"custom:tier":"elevenchars"}}`, want: invalid("Attributes did not conform to the schema: custom:tier: String must be no longer than 10 characters")},
		{name: "a sub of its own", answer: `{"userAttributes":{"sub":"x"}}`, want: invalid("Cannot modify the non-mutable attribute sub")},
		{name: "a user name that does not fit", pool: usernameAttributes, login: "m@x.io", answer: `{"userAttributes":{"username":"jane"}}`, want: invalid("Username should be either an email or a phone number.")},
		{name: "a user name that is taken", answer: `{"userAttributes":{"username":"other","email":"m@x.io","email_verified":"true"}}`, want: unrecognizable},
		{name: "an alias that is taken", pool: aliasPool, answer: `{"userAttributes":{"email":"taken@x.io","email_verified":"true"}}`, want: unrecognizable},
		{name: "SMS as second factor without a number", answer: `{` + mail + `,"enableSMSMFA":true}`, want: unrecognizable},
		{name: "another state", answer: `{` + mail + `,"finalUserStatus":"UNCONFIRMED"}`, want: unrecognizable},
		{name: "no text", answer: `{"userAttributes":{"email_verified":true}}`, want: unrecognizable},
		{name: "administrators only", pool: recovery("admin_only"), answer: `{` + mail + `}`, want: askAdmin},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(openPool, withHook("UserMigration"), withHook("PreSignUp"), withHook("PostConfirmation"), r.pool), func(w *world) {
				c := w.client(nil)
				w.hooks.answer = migrating(r.answer)
				other := w.addUser("other", map[string]string{"email": "taken@x.io", "email_verified": "true"}, func(u *user.Record) {
					if len(w.pool.UsernameAttributes) > 0 {
						u.SignInAttribute = pool.Email
					}
				})
				login := r.login
				if login == "" {
					login = "new"
				}
				want.Equal(w, w.public("ForgotPassword", login, `"ClientMetadata":{"m":"1"}`), r.want)
				e := w.hooks.events[0]
				want.Equal(w, []any{e.UserName, e.CallerContext["clientId"], e.Request}, []any{login, c.ID, map[string]any{"validationData": nil, "clientMetadata": map[string]any{"m": "1"}, "userAttributes": nil}})
				want.Equal(w, w.ran(), []string{migrateSource})
				texts := w.email.got
				want.Equal(w, w.sent(), r.sent)
				want.Equal(w, w.due(), 0)
				if r.after == nil {
					want.Equal(w, w.journal(""), nil)
					want.Equal(w, w.stored(other), other)
					return
				}
				name := r.user
				if name == "" {
					name = login
				}
				u := w.byName(name)
				want.Equal(w, u.Attributes, r.after)
				want.Equal(w, []any{u.Status, u.Enabled, u.SMSOption, u.TemporarySince}, []any{r.status, true, strings.Contains(r.answer, "enableSMSMFA"), time.Time{}})
				names := append([]string{"ForgotPassword"}, u.Names()...)
				if strings.Contains(r.answer, "force") {
					names = append(names, "moved:email:"+other.Sub)
					want.Equal(w, w.stored(other).Attributes["email_verified"], "false")
				}
				want.Equal(w, w.journal(u.Sub), []string{strings.Join(append(names, "code"), " ")})
				if slices.Contains(r.sent, welcomed) {
					want.True(w, w.accepts(u, texts[0].Code.Reveal()), "the password of the welcome is the user's")
				}
				// From now on the user is one like all others, and nobody asks the function.
				right := texts[len(texts)-1].Code.Reveal()
				want.Equal(w, w.confirm(name, right, "N3w-Passw0rd!"), "{}")
				want.Equal(w, w.public("ForgotPassword", name, ""), r.want)
				want.Equal(w, w.ran(), []string{resetSource})
				want.Equal(w, w.stored(u).Status, user.Confirmed)
			})
		})
	}
}

// Parallel requests for a name that nobody has make one user.
func TestUserMigrationInParallel(t *testing.T) {
	t.Parallel()
	onBoth(t, both(openPool, withHook("UserMigration")), func(w *world) {
		w.client(nil)
		w.hooks.answer = migrating(`{"userAttributes":{"email":"a@x.io","email_verified":"true"},"messageAction":"SUPPRESS"}`)
		answers := w.parallel(4, func(int) string { return w.public("ForgotPassword", "new", "") })
		want.Equal(w, answers, map[string]int{byMail: 4})
		want.Equal(w, len(w.journal(w.byName("new").Sub)), 4)
		n := 0
		w.view(func(v store.View) (err error) { n, err = v.Users().Count(w.pool.ID); return err })
		want.Equal(w, n, 1)
	})
}

// A1, A4: where the client hides who exists, nobody who lacks the right code can tell users from names that nobody has,
// whatever state the users are in. Nothing leaves for the others, and nothing of theirs is changed.
func TestRecoveryHidesUsers(t *testing.T) {
	t.Parallel()
	states := map[string]func(*user.Record){
		"confirmed":   func(*user.Record) {},
		"disabled":    func(r *user.Record) { r.Enabled = false },
		"unconfirmed": func(r *user.Record) { r.Status, r.Attributes["email_verified"] = user.Unconfirmed, "false" },
		"unproven":    func(r *user.Record) { r.Attributes["email_verified"] = "false" },
		"reset":       func(r *user.Record) { r.Status = user.ResetRequired },
		"temporary":   func(r *user.Record) { r.Status = user.ForceChangePassword },
		"external":    func(r *user.Record) { r.Status = user.ExternalProvider },
		"off":         func(r *user.Record) { r.PasswordOff = true },
		"phoneless": func(r *user.Record) {
			r.Attributes["phone_number"], r.Attributes["phone_number_verified"] = "+1555", "true"
		}, // the pool sends no SMS
		"second":       func(r *user.Record) { r.SMSOption = true },
		"nobody":       nil,
		"nobody else":  nil,
		"failing hook": nil,
	}
	onBoth(t, both(func(s *pool.Settings) {
		s.UsernameAttributes = []string{pool.Email}
		s.AutoVerified = []string{pool.Email}
	}, withHook("UserMigration"), withHook("CustomMessage")), func(w *world) {
		w.client(hiding)
		w.hooks.answer = func(c *trigger.Call) (json.RawMessage, error) {
			if c.Trigger == "UserMigration" && strings.Contains(string(c.Event), "failing") {
				return nil, &trigger.FunctionError{Message: "who?"}
			}
			return json.RawMessage(`{}`), nil
		}
		email := func(state string) string { return "a" + strings.ReplaceAll(state, " ", "-") + "@x.io" }
		users := map[string]*user.Record{}
		for state, change := range states {
			if change != nil {
				users[state] = w.addUser(state, map[string]string{"email": email(state), "email_verified": "true"}, change, func(r *user.Record) { r.SignInAttribute = pool.Email })
			}
		}
		answers := func(step string, call func(state string) string) string {
			said := map[string][]string{}
			for state := range states {
				answer := call(state)
				said[answer] = append(said[answer], state)
			}
			if len(said) != 1 {
				w.Errorf("%s: users can be told from nobody: %q", step, said)
			}
			for answer := range said {
				return answer
			}
			return ""
		}
		guess := func(state string) string { return w.confirm(email(state), "12345", "N3w-Passw0rd!") } // no code has five digits
		want.Equal(w, answers("a guess before any request", guess), wrongCode)
		for i := range 5 {
			want.Equal(w, answers(fmt.Sprint("request ", i), func(state string) string { return w.public("ForgotPassword", email(state), "") }), byMail)
		}
		want.Equal(w, answers("one request too many", func(state string) string { return w.public("ForgotPassword", email(state), "") }), tooManyAttempts)
		for i := range 19 {
			want.Equal(w, answers(fmt.Sprint("guess ", i), guess), wrongCode)
		}
		want.Equal(w, answers("one guess too many", guess), tooManyAttempts)
		w.clock.Advance(2 * time.Hour)
		want.Equal(w, answers("a guess when all codes have expired", guess), wrongCode)

		// Messages are for those alone who can get one, and wait for the worker.
		want.Equal(w, w.sent(), nil)
		var told []string
		for _, state := range []string{"confirmed", "reset", "second"} {
			told = append(told, slices.Repeat([]string{"EMAIL " + email(state) + " " + forgotSource}, 5)...)
		}
		want.Equal(w, w.waiting(), sorted(told))
		for state, u := range users {
			want.Equal(w, w.stored(u), u)
			want.Equal(w, len(w.journal(u.Sub)) > 0, slices.Contains([]string{"confirmed", "reset", "second"}, state))
		}
		want.Equal(w, slices.Compact(sorted(w.ran())), []string{migrateSource})
	})
	t.Run("invented addresses", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(hiding)
			first := w.public("ForgotPassword", "nobody", "")
			want.True(w, regexp.MustCompile(`^\{"CodeDeliveryDetails":\{"Destination":"[a-z]\*\*\*@[a-z]\*\*\*","DeliveryMedium":"EMAIL","AttributeName":"email"\}\}$`).MatchString(first), "an address like any other: %s", first)
			want.Equal(w, w.public("ForgotPassword", "nobody", ""), first)
		})
	})
	t.Run("administrators only", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, recovery("admin_only")), func(w *world) {
			w.client(hiding)
			w.addUser("u", vectorUser)
			want.Equal(w, w.public("ForgotPassword", "u", ""), askAdmin)
			want.Equal(w, w.public("ForgotPassword", "nobody", ""), askAdmin)
		})
	})
	t.Run("the right code", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			w.client(nil)
			right := w.forgetful("u")
			w.client(hiding)
			want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), wrongCode)
			want.Equal(w, w.call("AdminEnableUser", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), "{}")
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), wrongCode)
		})
	})
}

// A5: every spelling of a user draws on one budget.
func TestRecoveryA5(t *testing.T) {
	t.Parallel()
	onBoth(t, both(openPool, aliasPool, caseInsensitive), func(w *world) {
		w.client(nil)
		u := w.addUser("User", with("preferred_username", "Nick", "phone_number", "+1555", "phone_number_verified", "true"))
		names := []string{"User", "USER", "user", "a@x.io", "A@X.IO", "+1555", "nick", "NICK", u.Sub}
		for i := range 20 {
			want.Equal(w, w.confirm(names[i%len(names)], "000000", "N3w-Passw0rd!"), expiredCode)
		}
		for _, name := range names {
			want.Equal(w, w.confirm(name, "000000", "N3w-Passw0rd!"), tooManyAttempts)
		}
	})
	onBoth(t, both(openPool, caseInsensitive), func(w *world) {
		w.client(hiding)
		for i := range 20 {
			want.Equal(w, w.confirm([]string{"nobody", "NOBODY", "Nobody"}[i%3], "000000", "N3w-Passw0rd!"), wrongCode)
		}
		want.Equal(w, w.confirm("nobODY", "000000", "N3w-Passw0rd!"), tooManyAttempts)
	})
}

// A9: neither new codes nor time gives the guesser more: of wrong codes in a row a hundred are evaluated, until an
// administrator sets a password.
func TestRecoveryA9(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		w.client(nil)
		right := w.forgetful("u")
		evaluated := 0
		for range 8 {
			for range 30 {
				switch got := w.confirm("u", wrong(right), "N3w-Passw0rd!"); got {
				case wrongCode:
					evaluated++
				case tooManyAttempts:
				default:
					want.Equal(w, got, "TooManyFailedAttemptsException: Attempt limit exceeded, please try after some time.")
					want.Equal(w, evaluated, verify.MaxFailures)
				}
			}
			w.clock.Advance(time.Hour)
			want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
			right = w.code()
		}
		want.Equal(w, evaluated, verify.MaxFailures)
		want.Contains(w, w.confirm("u", right, "N3w-Passw0rd!"), "TooManyFailedAttemptsException: ")
		want.Equal(w, w.setPassword("u", "Passw0rd!1"), "{}")
		want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
		right = w.code()
		want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), "{}")
	})
}

// A right code, too, ends a row of failures.
func TestRecoveryForgetsFailures(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		w.client(nil)
		right := w.forgetful("u")
		u := w.byName("u")
		for range 3 {
			want.Equal(w, w.confirm("u", wrong(right), "N3w-Passw0rd!"), wrongCode)
		}
		want.Equal(w, w.failures(u, verify.ConfirmRecovery), 3)
		want.Equal(w, w.confirm("u", right, "password"), "InvalidPasswordException: Password does not conform to policy: Password must have uppercase characters")
		want.Equal(w, w.failures(u, verify.ConfirmRecovery), 3)
		want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), "{}")
		want.Equal(w, w.failures(u, verify.ConfirmRecovery), 0)
		w.view(func(v store.View) error {
			tally, err := v.Tallies().Get(w.pool.ID, u.Sub, verify.ConfirmRecovery)
			want.Equal(w, tally.Spent, 5) // what is spent stays spent
			return err
		})
	})
}

// failures reads how many attempts of a user failed in a row.
func (w *world) failures(u *user.Record, b verify.Budget) int {
	w.Helper()
	n := 0
	w.view(func(v store.View) error {
		tally, err := v.Tallies().Get(w.pool.ID, u.Sub, b)
		n = tally.Failures
		return err
	})
	return n
}

// parallel makes calls at once and counts the answers.
func (w *world) parallel(n int, call func(i int) string) map[string]int {
	w.Helper()
	begin, answers := make(chan struct{}), make(chan string, n)
	for i := range n {
		go func() {
			<-begin
			answers <- call(i)
		}()
	}
	close(begin)
	counts := map[string]int{}
	for range n {
		counts[<-answers]++
	}
	return counts
}
