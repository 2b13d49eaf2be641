package ops_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// mfaPool has SMS and authenticator apps as second factors that users may turn on.
func mfaPool(s *pool.Settings) {
	vectorPool(s)
	phoneToo(s)
	s.MFA, s.TOTP = pool.MFAOptional, new(true)
}

// emailToo makes e-mail a second factor.
func emailToo(s *pool.Settings) {
	s.Email = pool.EmailConfig{Account: pool.DeveloperSender, SourceArn: new("arn:aws:ses:us-east-1:123456789012:identity/a@x.io")}
	s.EmailMFA = &pool.EmailMFA{}
}

func mfaRequired(s *pool.Settings) { s.MFA = pool.MFAOn }

// app is the stored authenticator app of a user, nil when there is none.
func (w *world) app(u *user.Record) *credential.SoftwareToken {
	w.Helper()
	var t *credential.SoftwareToken
	w.view(func(v store.View) (err error) {
		t, err = v.SoftwareTokens().Get(u.PoolID, u.Sub)
		if err != nil && err == store.ErrNotFound {
			t, err = nil, nil
		}
		return err
	})
	return t
}

// withApp gives a user a verified authenticator app, and returns its key.
func (w *world) withApp(u *user.Record) []byte {
	w.Helper()
	key := []byte("0123456789abcdef0123456789abcdef")
	w.update(func(tx store.Tx) error {
		return tx.SoftwareTokens().Put(&credential.SoftwareToken{PoolID: u.PoolID, Sub: u.Sub, Key: key})
	})
	return key
}

// appCode is the code of a key so many steps from now.
func (w *world) appCode(key []byte, steps totp.Step) string {
	return totp.Code(key, totp.StepAt(w.clock.Now())+steps)
}

// associate hands a secret out and returns its key.
func (w *world) associate(token string) []byte {
	w.Helper()
	got := w.self("AssociateSoftwareToken", token, "")
	var out struct{ SecretCode, Session string }
	want.NoError(w, json.Unmarshal([]byte(got), &out))
	want.Equal(w, got, `{"SecretCode":"`+out.SecretCode+`"}`)
	want.Equal(w, len(out.SecretCode), 52)
	key, err := totp.Decode(out.SecretCode)
	want.NoError(w, err)
	want.Equal(w, len(key), totp.KeySize)
	return key
}

func userCode(code string) string { return `,"UserCode":"` + code + `"` }

const (
	appOff      = "SoftwareTokenMFANotFoundException: Software Token MFA has not been enabled by the userPool"
	noApp       = "SoftwareTokenMFANotFoundException: Software Token MFA has not been associated."
	wrongAtOnce = "EnableSoftwareTokenMFAException: Code mismatch"
	usedAtOnce  = "EnableSoftwareTokenMFAException: Your software token has already been used once."
	success     = `{"Status":"SUCCESS"}`
)

func TestSoftwareToken(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		token := w.access(u)
		verify := func(key []byte, steps totp.Step, more string) string {
			return w.self("VerifySoftwareToken", token, userCode(w.appCode(key, steps))+more)
		}
		want.Equal(w, w.self("VerifySoftwareToken", token, userCode("123456")), noApp)

		// Calling again replaces what waits.
		lost := w.associate(token)
		key := w.associate(token)
		want.Equal(w, verify(lost, 0, ""), wrongAtOnce)
		want.Equal(w, verify(key, 2, ""), wrongAtOnce)
		want.True(w, !w.app(u).Verified(), "nothing is verified")
		want.Equal(w, verify(key, -1, `,"FriendlyDeviceName":"my phone"`), success)
		step := totp.StepAt(w.clock.Now())
		want.Equal(w, w.app(u), &credential.SoftwareToken{PoolID: u.PoolID, Sub: u.Sub, Key: key, Name: "my phone", Last: step - 1})
		want.Equal(w, verify(key, 0, ""), noApp)
		// The factor is not on by that alone.
		want.Equal(w, w.stored(u), u)

		// The old app works until the new one has proven itself, and a step is used up for both.
		other := w.associate(token)
		want.Equal(w, w.app(u).Key, key)
		want.Equal(w, verify(other, -1, ""), usedAtOnce)
		want.Equal(w, verify(other, 1, ""), success)
		want.Equal(w, w.app(u), &credential.SoftwareToken{PoolID: u.PoolID, Sub: u.Sub, Key: other, Last: step + 1})

		want.Equal(w, sorted(w.changes(u.Sub)), []string{"AssociateSoftwareToken", "AssociateSoftwareToken", "AssociateSoftwareToken", "VerifySoftwareToken", "VerifySoftwareToken"})
		w.quiet()
	})
}

// TestSoftwareTokenRefused goes through what both operations on apps refuse.
func TestSoftwareTokenRefused(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name string
		pool func(*pool.Settings)
		user func(*user.Record)
		body string // $token stands for the access token
		want [2]string
	}{
		{name: "apps are off", pool: func(s *pool.Settings) { s.TOTP = nil }, want: [2]string{appOff, appOff}},
		{name: "apps are off, said expressly", pool: func(s *pool.Settings) { s.TOTP = new(false) }, want: [2]string{appOff, appOff}},
		{name: "MFA is off", pool: func(s *pool.Settings) { s.MFA = pool.MFAOff }, want: [2]string{appOff, appOff}},
		{name: "user of another provider", user: func(r *user.Record) { r.Status = user.ExternalProvider }, want: [2]string{
			invalid("Software Token MFA is not for users of external providers."), invalid("Software Token MFA is not for users of external providers.")}},
		{name: "reset required", user: func(r *user.Record) { r.Status = user.ResetRequired }, want: [2]string{
			"NotAuthorizedException: Password reset required for the user", "PasswordResetRequiredException: Password reset required for the user"}},
		{name: "unconfirmed", user: func(r *user.Record) { r.Status = user.Unconfirmed }, want: [2]string{
			"NotAuthorizedException: User is not confirmed.", "UserNotConfirmedException: User is not confirmed."}},
		{name: "disabled before tokens were revoked by that", user: func(r *user.Record) { r.Enabled = false }, want: [2]string{
			"NotAuthorizedException: User is disabled.", "NotAuthorizedException: User is disabled."}},
		{name: "neither token nor session", body: `"UserCode":"123456"`, want: [2]string{
			invalid("Missing required parameter AccessToken or Session"), invalid("Missing required parameter AccessToken or Session")}},
		{name: "token and session", body: `"AccessToken":"$token","Session":"` + strings.Repeat("s", 20) + `","UserCode":"123456"`, want: [2]string{
			invalid("Only one of the parameters AccessToken and Session can be given."), invalid("Only one of the parameters AccessToken and Session can be given.")}},
		{name: "a session that is none", body: `"Session":"` + strings.Repeat("s", 20) + `","UserCode":"123456"`, want: [2]string{
			"NotAuthorizedException: Invalid session for the user.", "NotAuthorizedException: Invalid session for the user."}},
		{name: "a token that is none", body: `"AccessToken":"x","UserCode":"123456"`, want: [2]string{
			"NotAuthorizedException: Invalid Access Token", "NotAuthorizedException: Invalid Access Token"}},
	} {
		for i, operation := range []string{"AssociateSoftwareToken", "VerifySoftwareToken"} {
			t.Run(operation+"/"+r.name, func(t *testing.T) {
				t.Parallel()
				onBoth(t, both(mfaPool, r.pool), func(w *world) {
					u := w.addUser("u", vectorUser)
					token := w.access(u)
					if r.user != nil {
						w.alter(u, r.user)
					}
					body := r.body
					if body == "" {
						body = `"AccessToken":"$token","UserCode":"123456"`
					}
					if i == 0 {
						body = strings.ReplaceAll(strings.ReplaceAll(body, `,"UserCode":"123456"`, ""), `"UserCode":"123456"`, "")
					}
					want.Equal(w, w.call(operation, `{`+strings.ReplaceAll(body, "$token", token)+`}`), r.want[i])
					want.Equal(w, w.app(u), nil)
					want.Equal(w, w.changes(u.Sub), nil)
					w.quiet()
				})
			})
		}
	}
}

// TestSoftwareTokenHolder: a user who is gone has an exception of its own where the operation does not list the usual one.
func TestSoftwareTokenHolder(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		token, other := w.access(u), w.access(u)
		want.Equal(w, w.call("AdminUserGlobalSignOut", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
		for operation, members := range map[string]string{"AssociateSoftwareToken": "", "VerifySoftwareToken": userCode("123456"), "SetUserMFAPreference": "", "GetUserAuthFactors": ""} {
			want.Equal(w, w.self(operation, token, members), revoked)
		}
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"u"}`), "")
		want.Equal(w, w.self("AssociateSoftwareToken", other, ""), "NotAuthorizedException: User does not exist.")
		for operation, members := range map[string]string{"VerifySoftwareToken": userCode("123456"), "SetUserMFAPreference": "", "GetUserAuthFactors": ""} {
			want.Equal(w, w.self(operation, other, members), "UserNotFoundException: User does not exist.")
		}
	})
}

// TestSoftwareTokenGoesWithItsUser: nothing of an app is left for somebody new.
func TestSoftwareTokenGoesWithItsUser(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		w.withApp(u)
		want.Equal(w, w.self("DeleteUser", w.access(u), ""), "")
		want.Equal(w, w.app(u), nil)
	})
}

// TestVerifySoftwareTokenAtOnce: of many calls with the same code one succeeds.
func TestVerifySoftwareTokenAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		token := w.access(u)
		key := w.associate(token)
		code := userCode(w.appCode(key, 0))
		answers := make([]string, 20)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = w.self("VerifySoftwareToken", token, code) })
		}
		wg.Wait()
		count := map[string]int{}
		for _, a := range answers {
			count[a]++
		}
		want.Equal(w, count[success], 1)
		want.Equal(w, sorted(w.changes(u.Sub)), []string{"AssociateSoftwareToken", "VerifySoftwareToken"})
	})
}

func TestAdminDeleteSoftwareToken(t *testing.T) {
	t.Parallel()
	admin := `{"UserPoolId":"$pool","Username":"u"}`
	for _, r := range []struct {
		name          string
		app           bool
		before, after user.MFA
	}{
		{"preferred", true, user.MFA{SMS: true, TOTP: true, Preferred: user.FactorTOTP}, user.MFA{SMS: true}},
		{"another is preferred", true, user.MFA{SMS: true, TOTP: true, Preferred: user.FactorSMS}, user.MFA{SMS: true, Preferred: user.FactorSMS}},
		{"not turned on", true, user.MFA{}, user.MFA{}},
		{"no app", false, user.MFA{}, user.MFA{}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(mfaPool, mfaRequired), func(w *world) {
				u, other := w.addUser("u", vectorUser, func(u *user.Record) { u.MFA = r.before }), w.addUser("other", nil)
				w.withApp(other)
				if r.app {
					w.withApp(u)
				}
				w.clock.Advance(time.Minute)
				want.Equal(w, w.call("AdminDeleteSoftwareToken", admin), "{}")
				want.Equal(w, w.app(u), nil)
				want.True(w, w.app(other).Verified(), "the app of somebody else stays")
				want.Equal(w, w.stored(u).MFA, r.after)
				want.Equal(w, w.stored(u).Modified, start.Add(time.Minute))
				want.Equal(w, w.changes(u.Sub), []string{"AdminDeleteSoftwareToken"})
				w.quiet()

				// The user can set an app up anew.
				token := w.access(u)
				key := w.associate(token)
				want.Equal(w, w.self("VerifySoftwareToken", token, userCode(w.appCode(key, 0))), success)
			})
		})
	}
}

const (
	smsBlock   = `"SMSMfaSettings":`
	appBlock   = `"SoftwareTokenMfaSettings":`
	emailBlock = `"EmailMfaSettings":`
	keyBlock   = `"WebAuthnMfaSettings":`
	on         = `{"Enabled":true}`
	off        = `{"Enabled":false}`
	preferred  = `{"Enabled":true,"PreferredMfa":true}`
)

func TestMFAPreference(t *testing.T) {
	t.Parallel()
	const (
		noSMS, noEmail = "User does not have delivery config set to turn on SMS_MFA", "User does not have delivery config set to turn on EMAIL_OTP"
		noApp          = "User has not verified software token mfa"
	)
	all := user.MFA{SMS: true, TOTP: true, Email: true}
	preferring := func(m user.MFA, f user.Factor) user.MFA { m.Preferred = f; return m }
	passkeys := func(s *pool.Settings) { s.WebAuthn = &pool.WebAuthn{Factor: new(pool.MultiFactor)} }
	for _, r := range []struct {
		name          string
		pool          func(*pool.Settings)
		without       string // the attribute that the user lacks, or "app"
		option        bool   // SMS was turned on in the older way
		before, after user.MFA
		blocks        string
		refused       string
		names         string // of the factors in the journal
	}{
		{name: "no block", before: preferring(all, user.FactorSMS), after: preferring(all, user.FactorSMS)},
		{name: "SMS on", blocks: smsBlock + on, after: user.MFA{SMS: true}, names: " SMS_MFA"},
		{name: "SMS preferred", blocks: smsBlock + preferred, after: preferring(user.MFA{SMS: true}, user.FactorSMS), names: " SMS_MFA"},
		{name: "an app preferred beside SMS", before: user.MFA{SMS: true}, blocks: appBlock + preferred, after: preferring(user.MFA{SMS: true, TOTP: true}, user.FactorTOTP), names: " SOFTWARE_TOKEN_MFA"},
		{name: "e-mail on", blocks: emailBlock + on, after: user.MFA{Email: true}, names: " EMAIL_OTP"},
		{name: "all on, one preferred", blocks: smsBlock + on + "," + appBlock + preferred + "," + emailBlock + on, after: preferring(all, user.FactorTOTP), names: " SMS_MFA SOFTWARE_TOKEN_MFA EMAIL_OTP"},
		{name: "the preference moves", before: preferring(all, user.FactorTOTP), blocks: emailBlock + preferred, after: preferring(all, user.FactorEmail), names: " EMAIL_OTP"},
		{name: "the preference goes", before: preferring(all, user.FactorTOTP), blocks: appBlock + on, after: all, names: " SOFTWARE_TOKEN_MFA"},
		{name: "off takes the preference along", before: preferring(all, user.FactorTOTP), blocks: appBlock + off, after: user.MFA{SMS: true, Email: true}, names: " SOFTWARE_TOKEN_MFA"},
		{name: "off leaves another preference", before: preferring(all, user.FactorSMS), blocks: appBlock + off, after: preferring(user.MFA{SMS: true, Email: true}, user.FactorSMS), names: " SOFTWARE_TOKEN_MFA"},
		{name: "an empty block is off", before: all, blocks: smsBlock + `{}`, after: user.MFA{TOTP: true, Email: true}, names: " SMS_MFA"},
		{name: "a block of nothing is none", before: all, blocks: smsBlock + `null`, after: all},
		{name: "everything off where MFA is optional", before: preferring(all, user.FactorTOTP), blocks: smsBlock + off + "," + appBlock + off + "," + emailBlock + off, names: " SMS_MFA SOFTWARE_TOKEN_MFA EMAIL_OTP"},
		{name: "off what was never set up", without: "app", blocks: appBlock + off, names: " SOFTWARE_TOKEN_MFA"},
		{name: "SMS off where it was on in the older way", option: true, blocks: smsBlock + off, names: " SMS_MFA"},
		{name: "passkey beside an app", pool: passkeys, before: user.MFA{TOTP: true}, blocks: keyBlock + on, after: user.MFA{TOTP: true, Passkey: true}, names: " WEB_AUTHN"},

		{name: "SMS without a number", without: pool.PhoneNumber, blocks: smsBlock + on, refused: noSMS},
		{name: "SMS in a pool without it", pool: func(s *pool.Settings) { s.Sms = nil }, blocks: smsBlock + on, refused: noSMS},
		{name: "e-mail without an address", without: pool.Email, blocks: emailBlock + on, refused: noEmail},
		{name: "e-mail in a pool without it", pool: func(s *pool.Settings) { s.EmailMFA = nil }, blocks: emailBlock + on, refused: noEmail},
		{name: "an app that is none", without: "app", blocks: appBlock + on, refused: noApp},
		{name: "nothing is written when one block is bad", without: "app", before: user.MFA{Email: true}, blocks: smsBlock + preferred + "," + appBlock + on, after: user.MFA{Email: true}, refused: noApp},
		{name: "two preferred", before: all, blocks: smsBlock + preferred + "," + appBlock + preferred, after: all, refused: "Cannot set multiple MFA methods as preferred"},
		{name: "preferred and not on", before: all, blocks: smsBlock + `{"PreferredMfa":true}`, after: all, refused: "Cannot set preferred MFA without enabling it"},
		{name: "passkey in a pool without it", before: user.MFA{TOTP: true}, blocks: keyBlock + on, after: user.MFA{TOTP: true}, refused: "WebAuthn is not configured as a multi-factor authenticator in the user pool."},
		{name: "passkey alone", pool: passkeys, blocks: keyBlock + on, refused: "WebAuthn cannot be the only MFA method of a user."},
		{name: "the last one where MFA is required", pool: mfaRequired, before: user.MFA{TOTP: true}, blocks: appBlock + off, after: user.MFA{TOTP: true}, refused: "MFA is required by the user pool, and cannot be turned off."},
		{name: "one of two where MFA is required", pool: mfaRequired, before: all, blocks: appBlock + off, after: user.MFA{SMS: true, Email: true}, names: " SOFTWARE_TOKEN_MFA"},
		{name: "nothing to turn off where MFA is required", pool: mfaRequired, blocks: appBlock + off, names: " SOFTWARE_TOKEN_MFA"},
		{name: "kept where MFA is off", pool: func(s *pool.Settings) { s.MFA = pool.MFAOff }, blocks: smsBlock + on, after: user.MFA{SMS: true}, names: " SMS_MFA"},
	} {
		for _, operation := range []string{"SetUserMFAPreference", "AdminSetUserMFAPreference"} {
			t.Run(operation+"/"+r.name, func(t *testing.T) {
				t.Parallel()
				onBoth(t, both(mfaPool, emailToo, r.pool), func(w *world) {
					attributes := with(pool.PhoneNumber, "+1555")
					delete(attributes, r.without)
					u := w.addUser("u", attributes, func(u *user.Record) { u.MFA, u.SMSOption = r.before, r.option })
					if r.without != "app" {
						w.withApp(u)
					}
					who := `"UserPoolId":"$pool","Username":"u"`
					refused := r.refused
					if operation == "SetUserMFAPreference" {
						who = `"AccessToken":"` + w.access(u) + `"`
					} else if refused == noApp {
						refused = "User does not have delivery config set to turn on SOFTWARE_TOKEN_MFA"
					}
					w.clock.Advance(time.Minute)
					wanted, modified, lines := "{}", start.Add(time.Minute), []string{operation + r.names}
					if refused != "" {
						wanted, modified, lines = invalid(refused), u.Modified, nil
					}
					want.Equal(w, w.call(operation, strings.TrimSuffix(`{`+who+`,`+r.blocks, ",")+`}`), wanted)
					now := w.stored(u)
					want.Equal(w, now.MFA, r.after)
					want.Equal(w, now.SMSOption, false)
					want.Equal(w, now.Modified, modified)
					want.Equal(w, w.changes(u.Sub), lines)
					w.quiet()
				})
			})
		}
	}
}

// TestAdminMFARefused goes through whom the administrator's operations refuse.
func TestAdminMFARefused(t *testing.T) {
	t.Parallel()
	const reset, unconfirmed = "PasswordResetRequiredException: Password reset required for the user", "UserNotConfirmedException: User is not confirmed."
	for _, r := range []struct {
		operation           string
		reset, unconfirmed_ string
	}{
		{"AdminSetUserMFAPreference", reset, unconfirmed},
		{"AdminDeleteSoftwareToken", "{}", unconfirmed},
		{"AdminGetUserAuthFactors", `{"Username":"u"}`, `{"Username":"u"}`},
	} {
		t.Run(r.operation, func(t *testing.T) {
			t.Parallel()
			onBoth(t, mfaPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				w.alter(u, func(u *user.Record) { u.Status = user.ResetRequired })
				want.Equal(w, w.call(r.operation, `{"UserPoolId":"$pool","Username":"u"}`), r.reset)
				w.alter(u, func(u *user.Record) { u.Status = user.Unconfirmed })
				want.Equal(w, w.call(r.operation, `{"UserPoolId":"$pool","Username":"u"}`), r.unconfirmed_)
				want.Equal(w, w.call(r.operation, `{"UserPoolId":"$pool","Username":"v"}`), "UserNotFoundException: User does not exist.")
				want.Equal(w, w.call(r.operation, `{"UserPoolId":"us-east-1_Unknown00","Username":"u"}`), "ResourceNotFoundException: User pool us-east-1_Unknown00 does not exist.")
				w.quiet()
			})
		})
	}
}

// TestShownFactors: everything that shows the factors of a user.
func TestShownFactors(t *testing.T) {
	t.Parallel()
	everyFactor := func(s *pool.Settings) {
		s.FirstFactors = []string{pool.FactorPassword, pool.FactorEmailOTP, pool.FactorSmsOTP}
	}
	for _, r := range []struct {
		name     string
		pool     func(*pool.Settings)
		without  string
		password bool
		app      bool
		change   func(*user.Record)
		mfa      string // of every answer
		factors  string // of GetUserAuthFactors
	}{
		{"nothing", nil, pool.Email, false, false, nil, "", ""},
		{"a password", nil, "", true, false, nil, "", `,"ConfiguredUserAuthFactors":["PASSWORD"]`},
		{"a password that is off", nil, "", true, false, func(r *user.Record) { r.PasswordOff = true }, "", ""},
		{"everything", everyFactor, "", true, true, func(r *user.Record) {
			r.MFA = user.MFA{SMS: true, TOTP: true, Email: true, Passkey: true, Preferred: user.FactorTOTP}
		}, `,"PreferredMfaSetting":"SOFTWARE_TOKEN_MFA","UserMFASettingList":["SMS_MFA","SOFTWARE_TOKEN_MFA","EMAIL_OTP","WEB_AUTHN"]`,
			`,"ConfiguredUserAuthFactors":["PASSWORD","EMAIL_OTP","SMS_OTP","SOFTWARE_TOKEN"]`},
		{"an address that is not there", everyFactor, pool.PhoneNumber, false, false, nil, "", `,"ConfiguredUserAuthFactors":["EMAIL_OTP"]`},
		{"no preference", nil, "", false, false, func(r *user.Record) { r.MFA = user.MFA{Email: true} }, `,"UserMFASettingList":["EMAIL_OTP"]`, ""},
		{"the older way is no preference", nil, "", false, false, func(r *user.Record) { r.SMSOption = true }, "", ""},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(mfaPool, r.pool), func(w *world) {
				attributes := with(pool.PhoneNumber, "+1555")
				delete(attributes, r.without)
				u := w.addUser("u", attributes)
				if r.change != nil {
					w.alter(u, r.change)
				}
				if r.app {
					w.withApp(u)
				}
				w.update(func(tx store.Tx) error {
					if !r.password {
						return tx.SoftwareTokens().Delete(u.PoolID, "nobody")
					}
					return tx.Passwords().Put(&credential.Password{PoolID: u.PoolID, Sub: u.Sub, Kept: credential.Kept{Salt: []byte("s"), Verifier: []byte("v")}, Set: start})
				})
				before := w.stored(u)
				token := w.access(u)
				want.Equal(w, w.self("GetUserAuthFactors", token, ""), `{"Username":"u"`+r.mfa+r.factors+`}`)
				want.Equal(w, w.call("AdminGetUserAuthFactors", `{"UserPoolId":"$pool","Username":"u"}`), `{"Username":"u"`+r.mfa+r.factors+`}`)
				for _, shown := range []string{w.self("GetUser", token, ""), w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"u"}`)} {
					want.Contains(w, shown, r.mfa+"}")
					want.Equal(w, strings.Contains(shown, "Setting"), r.mfa != "")
				}
				want.Equal(w, w.stored(u), before)
				want.Equal(w, w.changes(u.Sub), nil)
				w.quiet()
			})
		})
	}
}

// TestUserPoolMfaConfig: what is set is shown, by both operations and where the pool is described, and replaces what was set.
func TestUserPoolMfaConfig(t *testing.T) {
	t.Parallel()
	const (
		sms   = `"SmsMfaConfiguration":{"SmsAuthenticationMessage":"Code {####}","SmsConfiguration":{"SnsCallerArn":"arn:aws:iam::123456789012:role/r","ExternalId":"x"}}`
		app   = `"SoftwareTokenMfaConfiguration":{"Enabled":true}`
		email = `"EmailMfaConfiguration":{"Message":"Code {####}","Subject":"S"}`
		key   = `"WebAuthnConfiguration":{"RelyingPartyId":"example.com","UserVerification":"required","FactorConfiguration":"MULTI_FACTOR_WITH_USER_VERIFICATION"}`
	)
	mode := func(m string) string { return `"MfaConfiguration":"` + m + `"` }
	onBoth(t, both(emailToo, func(s *pool.Settings) { s.EmailMFA = nil }), func(w *world) {
		get := func() string { return w.call("GetUserPoolMfaConfig", `{"UserPoolId":"$pool"}`) }
		want.Equal(w, get(), `{`+mode("OFF")+`}`)
		w.clock.Advance(time.Minute)
		lines := []string{}
		for _, r := range []struct{ set, want, names string }{
			{app + "," + mode("OPTIONAL"), app + "," + mode("OPTIONAL"), "SoftwareTokenMfaConfiguration MfaConfiguration"},
			{sms + "," + app + "," + email + "," + mode("ON") + "," + key, sms + "," + app + "," + email + "," + mode("ON") + "," + key,
				"SmsMfaConfiguration SoftwareTokenMfaConfiguration EmailMfaConfiguration MfaConfiguration WebAuthnConfiguration"},
			// The pool keeps its way to send text messages, which makes SMS a factor as long as there are any.
			{`"SmsMfaConfiguration":{},"SoftwareTokenMfaConfiguration":{},` + mode("ON"), `"SmsMfaConfiguration":{"SmsConfiguration":{"SnsCallerArn":"arn:aws:iam::123456789012:role/r","ExternalId":"x"}},` +
				`"SoftwareTokenMfaConfiguration":{"Enabled":false},` + mode("ON"), "SmsMfaConfiguration SoftwareTokenMfaConfiguration MfaConfiguration"},
			{key, mode("OFF") + "," + key, "WebAuthnConfiguration"},
			{"", mode("OFF"), ""},
		} {
			got := w.call("SetUserPoolMfaConfig", strings.TrimSuffix(`{"UserPoolId":"$pool",`+r.set, ",")+`}`)
			want.Equal(w, got, `{`+r.want+`}`)
			want.Equal(w, get(), got)
			described := w.call("DescribeUserPool", `{"UserPoolId":"$pool"}`)
			want.Contains(w, described, `"LastModifiedDate":1767323105.678`)
			want.Equal(w, strings.Contains(described, `"SmsAuthenticationMessage":"Code {####}"`), strings.Contains(r.set, "Code {####}\",\"SmsConf"))
			lines = append(lines, strings.TrimSpace("SetUserPoolMfaConfig "+r.names))
		}
		want.Equal(w, sorted(w.journal("")), sorted(lines))
		w.quiet()
	})
}

func TestUserPoolMfaConfigRefused(t *testing.T) {
	t.Parallel()
	const app, email = `"SoftwareTokenMfaConfiguration":{"Enabled":true}`, `"EmailMfaConfiguration":{}`
	foreign := `"SmsMfaConfiguration":{"SmsConfiguration":{"SnsCallerArn":"arn:aws:iam::210987654321:role/r"}}`
	const offAndOn = "Invalid MFA configuration given, can't turn off MFA and configure an MFA together."
	const nothing = "Invalid MFA configuration given, can't disable all MFAs with a required or optional configuration."
	for _, r := range []struct {
		name string
		pool func(*pool.Settings)
		set  string
		want string
	}{
		{"off with an app", nil, app, invalid(offAndOn)},
		{"off with an app that is off", nil, `"MfaConfiguration":"OFF","SoftwareTokenMfaConfiguration":{"Enabled":false}`, invalid(offAndOn)},
		{"off with SMS", nil, `"SmsMfaConfiguration":{}`, invalid(offAndOn)},
		{"off with e-mail", emailToo, email, invalid(offAndOn)},
		{"on without a factor", nil, `"MfaConfiguration":"ON"`, invalid(nothing)},
		{"optional with an app that is off", nil, `"MfaConfiguration":"OPTIONAL","SoftwareTokenMfaConfiguration":{}`, invalid(nothing)},
		{"SMS without a way to send", nil, `"MfaConfiguration":"ON","SmsMfaConfiguration":{}`, invalid("SMS configuration and Auto verification for phone_number are required when MFA is required/optional")},
		{"an app alone in a pool that sends SMS", phoneToo, `"MfaConfiguration":"ON",` + app, invalid("Can't turn off SMS_MFA when SMS configuration is set for the user pool")},
		{"a role of another account", nil, `"MfaConfiguration":"ON",` + foreign, invalid("Cross-account pass role is not allowed.")},
		{"required with codes as first factor", func(s *pool.Settings) { s.FirstFactors = []string{"PASSWORD", "EMAIL_OTP"} }, `"MfaConfiguration":"ON",` + app,
			invalid("Only PASSWORD and WEB_AUTHN (if configured) can be enabled as an auth factor if MFA is enabled")},
		{"required with passkeys as one factor", func(s *pool.Settings) { s.FirstFactors = []string{"PASSWORD", "WEB_AUTHN"} }, `"MfaConfiguration":"ON",` + app + `,"WebAuthnConfiguration":{"FactorConfiguration":"SINGLE_FACTOR"}`,
			invalid("Cannot set WebAuthn factor configuration to SINGLE_FACTOR if MFA is required and WebAuthn is an allowed first auth factor")},
		{"e-mail by the default sender", nil, `"MfaConfiguration":"ON",` + email, invalid("Cannot set EmailMfaConfiguration when user pool EmailConfiguration contains an EmailSendingAccount of COGNITO_DEFAULT.")},
		{"e-mail, by which alone accounts are recovered", func(s *pool.Settings) {
			emailToo(s)
			s.Recovery = []pool.RecoveryMechanism{{Priority: 1, Name: "verified_email"}}
		}, `"MfaConfiguration":"ON",` + email, invalid("Invalid account recovery setting parameter. Account Recovery Setting cannot use verified_email as a recovery mechanism when Email MFA is configured.")},
		{"e-mail in the smallest tier", func(s *pool.Settings) { emailToo(s); s.Tier = pool.Lite }, `"MfaConfiguration":"ON",` + email,
			"FeatureUnavailableInTierException: The following features need to be disabled for the LITE pricing tier configured: Email MFA"},
		{"a null character", nil, `"MfaConfiguration":"ON",` + app + `,"WebAuthnConfiguration":{"RelyingPartyId":"a\u0000b"}`, invalid("The value of WebAuthnConfiguration contains the null character.")},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(s *pool.Settings) {
				if r.pool != nil {
					r.pool(s)
				}
				s.EmailMFA = nil
			}, func(w *world) {
				want.Equal(w, w.call("SetUserPoolMfaConfig", `{"UserPoolId":"$pool",`+r.set+`}`), r.want)
				want.Equal(w, w.journal(""), nil)
				w.view(func(v store.View) error {
					now, err := v.Pools().Get(w.pool.ID)
					want.Equal(w, now, w.pool)
					return err
				})
				unknown := "ResourceNotFoundException: User pool us-east-1_Unknown00 does not exist."
				want.Equal(w, w.call("SetUserPoolMfaConfig", `{"UserPoolId":"us-east-1_Unknown00"}`), unknown)
				want.Equal(w, w.call("GetUserPoolMfaConfig", `{"UserPoolId":"us-east-1_Unknown00"}`), unknown)
			})
		})
	}
}

// TestMfaConfigBesideUpdate: UpdateUserPool keeps the factors, unless it turns MFA off or takes away what they need.
func TestMfaConfigBesideUpdate(t *testing.T) {
	t.Parallel()
	const sms = `,"SmsConfiguration":{"SnsCallerArn":"arn:aws:iam::123456789012:role/sms"}`
	const sender = `,"EmailConfiguration":{"EmailSendingAccount":"DEVELOPER","SourceArn":"arn:aws:ses:us-east-1:123456789012:identity/a@x.io"}`
	for _, r := range []struct {
		name, update, want string
		totp, email        bool
		mode               string
	}{
		{"kept", sms + sender, "{}", true, true, "OPTIONAL"},
		{"required now", sms + sender + `,"MfaConfiguration":"ON"`, "{}", true, true, "ON"},
		{"off", sms + sender + `,"MfaConfiguration":"OFF"`, "{}", false, false, "OFF"},
		{"no way to send SMS", sender, invalid("Can't turn off SMS_MFA when SMS configuration is set for the user pool"), true, true, "OPTIONAL"},
		{"no sender of their own", sms, invalid("Cannot set EmailMfaConfiguration when user pool EmailConfiguration contains an EmailSendingAccount of COGNITO_DEFAULT."), true, true, "OPTIONAL"},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(mfaPool, emailToo), func(w *world) {
				want.Equal(w, w.call("UpdateUserPool", `{"UserPoolId":"$pool"`+r.update+`}`), r.want)
				w.view(func(v store.View) error {
					now, err := v.Pools().Get(w.pool.ID)
					want.Equal(w, []any{now.TOTP != nil, now.EmailMFA != nil, now.MFA}, []any{r.totp, r.email, r.mode})
					return err
				})
			})
		})
	}
}
