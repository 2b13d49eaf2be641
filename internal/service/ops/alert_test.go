package ops_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// waiting are the messages of the pool that the worker has to deliver, as text, sorted.
func (w *world) waiting() []string {
	w.Helper()
	var lines []string
	w.view(func(v store.View) error {
		list, err := v.Outbox().Due(start.AddDate(1, 0, 0), 10_000)
		lines = nil
		for _, m := range list {
			if m.PoolID == w.pool.ID {
				lines = append(lines, fmt.Sprintf("%s %s %s", m.Medium, m.To, m.Source))
				want.True(w, m.Code.IsZero() || !notice.IsAlert(m.Source), "an alert carries no code")
			}
		}
		return err
	})
	slices.Sort(lines)
	return lines
}

// Users who set a new password by themselves are told, too, where the operator wants that.
func TestAlertsOfOwnPasswords(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			t.Parallel()
			onBoth(t, openPool, func(w *world) {
				w.client(nil)
				right := w.forgetful("u")
				w.messages.TellChanges = on
				told := func(n int) []string {
					if !on {
						return nil
					}
					return slices.Repeat([]string{"EMAIL a@x.io " + notice.SourcePasswordChanged}, n)
				}
				want.Equal(w, w.confirm("u", right, "password"), "InvalidPasswordException: Password does not conform to policy: Password must have uppercase characters")
				want.Equal(w, w.waiting(), nil)
				want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!"), "{}")
				want.Equal(w, w.waiting(), told(1))
				token := w.access(w.byName("u"))
				want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!2"), wrongPassword)
				want.Equal(w, w.waiting(), told(1))
				want.Equal(w, w.changePassword(token, "N3w-Passw0rd!", "N3w-Passw0rd!2"), "{}")
				want.Equal(w, w.waiting(), told(2))
				want.Equal(w, w.sent(), nil)
			})
		})
	}
}

// TestAlerts holds which changes are told to the former address where the operator wants that, and that nothing is told
// otherwise.
func TestAlerts(t *testing.T) {
	t.Parallel()
	const (
		email    = "EMAIL a@x.io " + notice.SourceEmailChanged
		phone    = "SMS +1555 " + notice.SourcePhoneChanged
		password = "EMAIL a@x.io " + notice.SourcePasswordChanged
	)
	for _, test := range []struct {
		name, operation, members string
		sent, told               []string
	}{
		{"another address", "AdminUpdateUserAttributes", `"UserAttributes":` + list("email=b@x.io, phone_number=+1556"),
			[]string{"SMS +1556 " + updateSource, "EMAIL b@x.io " + updateSource}, []string{email, phone}},
		{"the same address", "AdminUpdateUserAttributes", `"UserAttributes":` + list("email=a@x.io, email_verified=true"), nil, nil},
		{"another attribute", "AdminUpdateUserAttributes", `"UserAttributes":` + list("custom:tier=gold"), nil, nil},
		{"a refused change", "AdminUpdateUserAttributes", `"UserAttributes":` + list("email=b@x.io, name="), nil, nil},
		{"no address", "AdminDeleteUserAttributes", `"UserAttributeNames":["email","phone_number"]`, nil, []string{email, phone}},
		{"another address by the user", "UpdateUserAttributes", `"UserAttributes":` + list("email=b@x.io, phone_number=+1556"),
			[]string{"SMS +1556 " + updateSource, "EMAIL b@x.io " + updateSource}, []string{email, phone}},
		{"no address by the user", "DeleteUserAttributes", `"UserAttributeNames":["email"]`, nil, []string{email}},
		{"a code for an address", "GetUserAttributeVerificationCode", `"AttributeName":"email"`, []string{"EMAIL a@x.io " + verifySource}, nil},
		{"a password", "AdminSetUserPassword", `"Password":"Passw0rd!"`, nil, []string{password}},
		{"a refused password", "AdminSetUserPassword", `"Password":"password"`, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, on := range []bool{true, false} {
				t.Run(fmt.Sprint(on), func(t *testing.T) {
					t.Parallel()
					onBoth(t, both(vectorPool, phoneToo, withHook(notice.CustomMessage)), func(w *world) {
						u := w.addUser("u", with("phone_number", "+1555", "phone_number_verified", "true"))
						caller := `"UserPoolId":"$pool","Username":"u"`
						if spec, ok := api.ByName(test.operation); ok && spec.Auth == api.Token {
							caller = `"AccessToken":"` + w.access(u) + `"`
						}
						w.messages.TellChanges = on
						w.call(test.operation, `{`+caller+`,`+test.members+`}`)
						want.Equal(w, w.sent(), test.sent)
						want.Equal(w, len(w.ran()), len(test.sent)) // the function is asked about codes alone
						told := test.told
						if !on {
							told = nil
						}
						want.Equal(w, w.waiting(), told)
					})
				})
			}
		})
	}
}

// TestAlertsOfFactors holds that who loses or gets a second factor is told, in each way in which that happens, and nobody of
// a refusal.
func TestAlertsOfFactors(t *testing.T) {
	t.Parallel()
	const told = "EMAIL a@x.io " + notice.SourceFactorsChanged
	for _, test := range []struct {
		name string
		do   func(w *world, u *user.Record, token string, key []byte) string
		want []string
	}{
		{"an app is replaced", func(w *world, _ *user.Record, token string, _ []byte) string {
			return w.self("VerifySoftwareToken", token, userCode(w.appCode(w.associate(token), 0)))
		}, []string{told}},
		{"a wrong code of an app", func(w *world, _ *user.Record, token string, key []byte) string {
			w.associate(token)
			return w.self("VerifySoftwareToken", token, userCode(w.appCode(key, 0)))
		}, nil},
		{"an app is removed", func(w *world, _ *user.Record, _ string, _ []byte) string {
			return w.call("AdminDeleteSoftwareToken", `{"UserPoolId":"$pool","Username":"u"}`)
		}, []string{told}},
		{"a factor is turned on", func(w *world, _ *user.Record, token string, _ []byte) string {
			return w.self("SetUserMFAPreference", token, `,"SoftwareTokenMfaSettings":{"Enabled":true}`)
		}, []string{told}},
		{"the same as before", func(w *world, _ *user.Record, token string, _ []byte) string {
			return w.self("SetUserMFAPreference", token, `,"SMSMfaSettings":{"Enabled":false}`)
		}, nil},
		{"an administrator prefers", func(w *world, _ *user.Record, _ string, _ []byte) string {
			return w.call("AdminSetUserMFAPreference", `{"UserPoolId":"$pool","Username":"u","SMSMfaSettings":{"Enabled":true,"PreferredMfa":true}}`)
		}, []string{told}},
		{"the oldest option", func(w *world, _ *user.Record, token string, _ []byte) string {
			return w.self("SetUserSettings", token, `,"MFAOptions":[{"DeliveryMedium":"SMS","AttributeName":"phone_number"}]`)
		}, []string{told}},
		{"the oldest option by an administrator", func(w *world, _ *user.Record, _ string, _ []byte) string {
			return w.call("AdminSetUserSettings", `{"UserPoolId":"$pool","Username":"u","MFAOptions":[{"DeliveryMedium":"SMS","AttributeName":"phone_number"}]}`)
		}, []string{told}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, mfaPool, func(w *world) {
				u := w.addUser("u", with("phone_number", "+1555", "phone_number_verified", "true"))
				key, token := w.withApp(u), w.access(u)
				want.Equal(w, w.waiting(), nil)
				w.messages.TellChanges = true
				test.do(w, u, token, key)
				want.Equal(w, w.waiting(), test.want)
				want.Equal(w, w.sent(), nil)
			})
		})
	}
	// Off, as by default.
	onBoth(t, mfaPool, func(w *world) {
		token := w.access(w.addUser("u", with("phone_number", "+1555")))
		want.Equal(w, w.self("VerifySoftwareToken", token, userCode(w.appCode(w.associate(token), 0))), success)
		want.Equal(w, w.waiting(), nil)
	})
}
