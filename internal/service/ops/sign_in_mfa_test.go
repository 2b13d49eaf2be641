package ops_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const (
	noMethod    = "No MFA method is available for the user."
	factorWrong = "CodeMismatchException: Invalid code or auth state for the user."
	appWrong    = "CodeMismatchException: Invalid code received for user"
	appUsed     = "ExpiredCodeException: Your software token has already been used once."
	smsSent     = "SMS +15550001234 CustomMessage_Authentication"
	emailSent   = "EMAIL a@x.io CustomMessage_Authentication"
)

// both addresses, the number verified or not.
var reachable = with(pool.PhoneNumber, "+15550001234")

// texted is the code in the last SMS.
func (w *world) texted() string {
	w.sms.mu.Lock()
	defer w.sms.mu.Unlock()
	if len(w.sms.got) == 0 {
		return ""
	}
	return w.sms.got[len(w.sms.got)-1].Code.Reveal()
}

func factorsOf(m user.MFA) func(*user.Record) { return func(r *user.Record) { r.MFA = m } }

// pass answers a challenge by one code.
func (w *world) pass(s signInReply, code string) signInReply {
	w.Helper()
	parameter := map[string]string{"SMS_MFA": "SMS_MFA_CODE", "EMAIL_OTP": "EMAIL_OTP_CODE", "SOFTWARE_TOKEN_MFA": "SOFTWARE_TOKEN_MFA_CODE", "SELECT_MFA_TYPE": "ANSWER"}[s.ChallengeName]
	return w.answer(s.ChallengeName, s.Session, map[string]string{"USERNAME": "u", parameter: code})
}

// signedIn holds that an answer has tokens.
func (w *world) signedIn(s signInReply) {
	w.Helper()
	want.True(w, s.AuthenticationResult != nil && s.ChallengeName == "", "signed in: %s", s.text)
}

// TestSecondFactor goes through what follows a right password, for pools and users of all kinds, up to the tokens.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	noSMS := func(s *pool.Settings) { s.Sms = nil }
	recovery := func(names ...string) func(*pool.Settings) {
		return func(s *pool.Settings) {
			for i, name := range names {
				s.Recovery = append(s.Recovery, pool.RecoveryMechanism{Priority: i + 1, Name: name})
			}
		}
	}
	byMail := recovery("verified_email", "verified_phone_number")
	byPhone := recovery("verified_phone_number", "verified_email")
	noApps := func(s *pool.Settings) { s.TOTP = nil }
	for _, r := range []struct {
		name    string
		pool    func(*pool.Settings)
		without string // the attributes that the user lacks
		app     bool
		user    func(*user.Record)
		want    string // the challenge with its choices, "" for tokens
		sent    []string
	}{
		{name: "OFF, whatever the user has", pool: func(s *pool.Settings) { s.MFA = "OFF" }, app: true, user: factorsOf(user.MFA{SMS: true, TOTP: true})},
		{name: "OPTIONAL, no enabled factor", app: true},
		{name: "OPTIONAL, one enabled factor", user: factorsOf(user.MFA{SMS: true}), want: "SMS_MFA", sent: []string{smsSent}},
		{name: "OPTIONAL, SMS in the older way", user: func(r *user.Record) { r.SMSOption = true }, want: "SMS_MFA", sent: []string{smsSent}},
		{name: "OPTIONAL, e-mail", pool: emailToo, user: factorsOf(user.MFA{Email: true}), want: "EMAIL_OTP", sent: []string{emailSent}},
		{name: "OPTIONAL, two enabled, none preferred", app: true, user: factorsOf(user.MFA{SMS: true, TOTP: true}), want: `SELECT_MFA_TYPE ["SMS_MFA","SOFTWARE_TOKEN_MFA"]`},
		{name: "OPTIONAL, two enabled, TOTP preferred", app: true, user: factorsOf(user.MFA{SMS: true, TOTP: true, Preferred: user.FactorTOTP}), want: "SOFTWARE_TOKEN_MFA"},
		{name: "OPTIONAL, the preferred cannot be asked for", app: true, without: "phone_number", user: factorsOf(user.MFA{SMS: true, TOTP: true, Preferred: user.FactorSMS}), want: "SOFTWARE_TOKEN_MFA"},
		{name: "OPTIONAL, no enabled one can be asked for", without: "phone_number", user: factorsOf(user.MFA{SMS: true}), want: invalid(noMethod)},
		{name: "OPTIONAL, an app that is gone", user: factorsOf(user.MFA{TOTP: true}), want: invalid(noMethod)},
		{name: "OPTIONAL, an app although the pool has turned them off", pool: noApps, app: true, user: factorsOf(user.MFA{TOTP: true}), want: "SOFTWARE_TOKEN_MFA"},
		{name: "ON {SMS}, phone", pool: both(mfaRequired, noApps), want: "SMS_MFA", sent: []string{smsSent}},
		{name: "ON {SMS}, no phone", pool: both(mfaRequired, noApps), without: "phone_number", want: `MFA_SETUP ["SMS_MFA"]`},
		{name: "ON {TOTP}, not set up", pool: both(mfaRequired, noSMS), want: `MFA_SETUP ["SOFTWARE_TOKEN_MFA"]`},
		{name: "ON {TOTP}, verified", pool: both(mfaRequired, noSMS), app: true, want: "SOFTWARE_TOKEN_MFA"},
		{name: "ON {SMS,TOTP} R=email, phone, no TOTP", pool: both(mfaRequired, byMail), want: "SMS_MFA", sent: []string{smsSent}},
		{name: "ON {SMS,TOTP} R=email, phone and TOTP verified, no preference", pool: both(mfaRequired, byMail), app: true, want: `SELECT_MFA_TYPE ["SMS_MFA","SOFTWARE_TOKEN_MFA"]`},
		{name: "ON {SMS,TOTP}, neither", pool: mfaRequired, without: "phone_number email", want: `MFA_SETUP ["SMS_MFA","SOFTWARE_TOKEN_MFA"]`},
		{name: "ON {SMS,EMAIL} recovery off, both attributes", pool: both(mfaRequired, noApps, emailToo, recovery("admin_only")), want: `SELECT_MFA_TYPE ["SMS_MFA","EMAIL_OTP"]`},
		{name: "ON {SMS,EMAIL} R=email, both attributes", pool: both(mfaRequired, noApps, emailToo, byMail), want: "SMS_MFA", sent: []string{smsSent}},
		{name: "ON {EMAIL} R=phone, email", pool: both(mfaRequired, noApps, noSMS, emailToo, byPhone), want: "EMAIL_OTP", sent: []string{emailSent}},
		{name: "ON {EMAIL,TOTP}, no attributes", pool: both(mfaRequired, noSMS, emailToo), without: "phone_number email", want: `MFA_SETUP ["SOFTWARE_TOKEN_MFA","EMAIL_OTP"]`},
		{name: "ON {EMAIL} R=email, nothing usable", pool: both(mfaRequired, noApps, noSMS, emailToo, byMail), want: invalid(noMethod)},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(mfaPool, r.pool), func(w *world) {
				w.client(allFlows)
				attributes := with(pool.PhoneNumber, "+15550001234")
				for _, name := range strings.Fields(r.without) {
					delete(attributes, name)
					delete(attributes, name+"_verified")
				}
				u := w.withPassword("u", attributes)
				if r.user != nil {
					w.alter(u, r.user)
				}
				var key []byte
				if r.app {
					key = w.withApp(u)
				}
				s := w.byPassword("u", rightPassword)
				text, mail := w.texted(), w.code()
				want.Equal(w, w.sent(), r.sent)
				name, list, _ := strings.Cut(r.want, " ")
				if strings.HasPrefix(r.want, "Invalid") {
					want.Equal(w, s.text, r.want)
					return
				}
				want.Equal(w, s.ChallengeName, name)
				parameters := map[string]string{"USER_ID_FOR_SRP": "u"}
				switch name {
				case "":
					w.signedIn(s)
					return
				case "SMS_MFA":
					parameters["CODE_DELIVERY_DELIVERY_MEDIUM"], parameters["CODE_DELIVERY_DESTINATION"] = "SMS", "+*******1234"
					want.Equal(w, len(text), 6)
				case "EMAIL_OTP":
					parameters["CODE_DELIVERY_DELIVERY_MEDIUM"], parameters["CODE_DELIVERY_DESTINATION"] = "EMAIL", "a***@x***"
					want.Equal(w, len(mail), 8)
				case "SELECT_MFA_TYPE":
					parameters["MFAS_CAN_CHOOSE"] = list
				case "MFA_SETUP":
					parameters["MFAS_CAN_SETUP"] = list
				}
				want.Equal(w, s.ChallengeParameters, parameters)
				switch name {
				case "SMS_MFA":
					w.signedIn(w.pass(s, text))
					want.Equal(w, w.stored(u).Attributes[pool.PhoneNumberVerified], "true")
				case "EMAIL_OTP":
					w.signedIn(w.pass(s, mail))
				case "SOFTWARE_TOKEN_MFA":
					w.signedIn(w.pass(s, w.appCode(key, 0)))
				case "SELECT_MFA_TYPE":
					var choices []string
					want.NoError(w, json.Unmarshal([]byte(list), &choices))
					want.Equal(w, w.pass(s, "WEB_AUTHN").text, invalid("Invalid MFA type selected."))
					chosen := w.pass(s, choices[len(choices)-1])
					want.Equal(w, chosen.ChallengeName, choices[len(choices)-1])
					want.Equal(w, w.pass(s, choices[0]).text, usedSession)
				case "MFA_SETUP":
					want.Equal(w, w.answer("MFA_SETUP", s.Session, map[string]string{"USERNAME": "u"}).text, badSession)
				}
			})
		})
	}
}

// TestFactorCodes: six wrong codes leave the session and its code usable; a right one is good once.
func TestFactorCodes(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name, wrong string
		mfa         user.MFA
	}{
		{"SMS_MFA", factorWrong, user.MFA{SMS: true}},
		{"EMAIL_OTP", factorWrong, user.MFA{Email: true}},
		{"SOFTWARE_TOKEN_MFA", appWrong, user.MFA{TOTP: true}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(mfaPool, emailToo), func(w *world) {
				w.client(allFlows)
				u := w.withPassword("u", reachable, factorsOf(r.mfa))
				key := w.withApp(u)
				code := func() string {
					switch r.name {
					case "SMS_MFA":
						return w.texted()
					case "EMAIL_OTP":
						return w.code()
					}
					return w.appCode(key, 0)
				}
				first := w.byPassword("u", rightPassword)
				other := code()
				s := w.byPassword("u", rightPassword)
				right := code()
				w.sent()
				for range 4 {
					want.Equal(w, w.pass(s, wrong(right)).text, r.wrong)
				}
				for _, bad := range []string{" " + right, right + " ", right[1:], right + "0"} {
					w.clock.Advance(8 * time.Second) // longer than the locks so far
					want.Equal(w, w.pass(s, bad).text, r.wrong)
				}
				want.Equal(w, w.answer(r.name, s.Session, map[string]string{"USERNAME": "u"}).text, invalid("Missing required parameter "+map[string]string{"SMS_MFA": "SMS_MFA_CODE", "EMAIL_OTP": "EMAIL_OTP_CODE", "SOFTWARE_TOKEN_MFA": "SOFTWARE_TOKEN_MFA_CODE"}[r.name]))
				// The right code during a lock says nothing, and does not lengthen it.
				if r.name == "SOFTWARE_TOKEN_MFA" {
					right, other = w.appCode(key, 0), w.appCode(key, 0)
				}
				want.Equal(w, w.pass(s, right).text, lockedOut)
				w.clock.Advance(9 * time.Second)
				if r.name != "SOFTWARE_TOKEN_MFA" {
					want.Equal(w, w.pass(first, right).text, factorWrong) // it is good for its own sign-in alone
					w.clock.Advance(17 * time.Second)
				}
				w.signedIn(w.pass(s, right))
				want.Equal(w, w.pass(s, right).text, usedSession)
				if r.name == "SOFTWARE_TOKEN_MFA" {
					want.Equal(w, w.pass(first, other).text, appUsed)
					want.Equal(w, w.pass(first, w.appCode(key, -1)).text, appUsed)
					w.signedIn(w.pass(first, w.appCode(key, 1)))
				} else {
					w.signedIn(w.pass(first, other))
				}
				want.Equal(w, w.sent(), nil)
			})
		})
	}
}

// TestFactorSessions: a session is good for its challenge, its user and its time.
func TestFactorSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		c := w.client(allFlows)
		u := w.withPassword("u", reachable, factorsOf(user.MFA{SMS: true}))
		w.withPassword("v", nil)
		s := w.byPassword("u", rightPassword)
		right := w.texted()
		answer := func(name, session, who, parameter string) string {
			return w.answer(name, session, map[string]string{"USERNAME": who, parameter: right, "NEW_PASSWORD": "N3w-Passw0rd", "ANSWER": "SMS_MFA"}).text
		}
		// Challenges that were never asked.
		for name, parameter := range map[string]string{"EMAIL_OTP": "EMAIL_OTP_CODE", "SOFTWARE_TOKEN_MFA": "SOFTWARE_TOKEN_MFA_CODE", "MFA_SETUP": "EMAIL", "SELECT_MFA_TYPE": "ANSWER", "NEW_PASSWORD_REQUIRED": "X"} {
			want.Equal(w, answer(name, s.Session, "u", parameter), badSession)
		}
		want.Equal(w, answer("SMS_MFA", s.Session, "v", "SMS_MFA_CODE"), badSession)
		want.Equal(w, answer("SMS_MFA", s.Session+"A", "u", "SMS_MFA_CODE"), badSession)
		want.Equal(w, answer("SMS_MFA", "", "u", "SMS_MFA_CODE"), invalid("Missing required parameter Session"))

		// A code that went to an address that has changed since.
		w.alter(u, func(r *user.Record) { r.Attributes[pool.PhoneNumber] = "+15559999" })
		want.Equal(w, w.pass(s, right).text, "ExpiredCodeException: Invalid code provided, please request a code again.")
		w.alter(u, func(r *user.Record) { r.Attributes[pool.PhoneNumber] = "+15550001234" })

		w.clock.Advance(time.Duration(c.SessionMinutes)*time.Minute - time.Millisecond)
		late := w.byPassword("u", rightPassword)
		w.signedIn(w.pass(s, right))
		w.clock.Advance(time.Duration(c.SessionMinutes) * time.Minute)
		want.Equal(w, w.pass(late, w.texted()).text, oldSession)
	})
}

// TestAuthQuake: wrong codes count over all sign-ins of a user, and in the end nothing is evaluated until an administrator takes
// the user's factors in hand.
func TestAuthQuake(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable, factorsOf(user.MFA{TOTP: true}))
		key := w.withApp(u)
		evaluated := 0
		for evaluated < verify.MaxFailures {
			s := w.byPassword("u", rightPassword)
			for range 3 {
				switch text := w.pass(s, wrong(w.appCode(key, 0))).text; text {
				case appWrong:
					evaluated++
				default:
					want.Equal(w, text, lockedOut)
				}
			}
			w.clock.Advance(2 * time.Minute)
		}
		for range 3 {
			w.clock.Advance(24 * time.Hour)
			want.Equal(w, w.pass(w.byPassword("u", rightPassword), w.appCode(key, 0)).text, lockedOut)
		}
		want.Equal(w, w.call("AdminSetUserMFAPreference", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
		w.signedIn(w.pass(w.byPassword("u", rightPassword), w.appCode(key, 0)))
	})
}

// TestCodesAtOnce: of a code that comes many times at once one is good, and of many guesses at most five are looked at.
func TestCodesAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable, factorsOf(user.MFA{TOTP: true}))
		key := w.withApp(u)
		at := func(n int, code string) []string {
			var sessions []signInReply
			for range n {
				sessions = append(sessions, w.byPassword("u", rightPassword))
			}
			answers := make([]string, n)
			var wg sync.WaitGroup
			for i, s := range sessions {
				wg.Go(func() { answers[i] = w.pass(s, code).text })
			}
			wg.Wait()
			return answers
		}
		count := func(answers []string, text string) (n int) {
			for _, a := range answers {
				if strings.HasPrefix(a, text) {
					n++
				}
			}
			return n
		}
		answers := at(10, w.appCode(key, 0))
		want.Equal(w, []int{count(answers, `{"ChallengeParameters":{},"AuthenticationResult"`), count(answers, appUsed)}, []int{1, 9})
		answers = at(12, wrong(w.appCode(key, 1)))
		want.Equal(w, []int{count(answers, appWrong), count(answers, lockedOut)}, []int{5, 7})
	})
}

// TestMailFactorBudget: so many codes go out by e-mail in an hour, and no more.
func TestMailFactorBudget(t *testing.T) {
	t.Parallel()
	onBoth(t, both(mfaPool, emailToo), func(w *world) {
		w.client(allFlows)
		w.withPassword("u", reachable, factorsOf(user.MFA{Email: true}))
		for range verify.MailFactor.Limit() {
			want.Equal(w, w.byPassword("u", rightPassword).ChallengeName, "EMAIL_OTP")
		}
		want.Equal(w, len(w.sent()), verify.MailFactor.Limit())
		want.Equal(w, w.byPassword("u", rightPassword).text, "TooManyRequestsException: Attempt limit exceeded, please try after some time.")
		want.Equal(w, w.sent(), nil)
		w.clock.Advance(time.Hour)
		want.Equal(w, w.byPassword("u", rightPassword).ChallengeName, "EMAIL_OTP")
	})
}

// setup calls AssociateSoftwareToken and VerifySoftwareToken with a session.
func (w *world) setup(operation, session, more string) (answer string, next string) {
	w.Helper()
	answer = w.call(operation, `{"Session":"`+session+`"`+more+`}`)
	var out struct{ Session string }
	if strings.HasPrefix(answer, "{") {
		want.NoError(w, json.Unmarshal([]byte(answer), &out))
	}
	return answer, out.Session
}

func secretOf(w *world, answer string) []byte {
	w.Helper()
	var out struct{ SecretCode string }
	want.NoError(w, json.Unmarshal([]byte(answer), &out))
	key, err := totp.Decode(out.SecretCode)
	want.NoError(w, err)
	return key
}

func TestSetupOfAnApp(t *testing.T) {
	t.Parallel()
	onBoth(t, both(mfaPool, mfaRequired, func(s *pool.Settings) { s.Sms = nil }), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", vectorUser)
		s := w.byPassword("u", rightPassword)
		want.Equal(w, s.ChallengeName, "MFA_SETUP")
		rival := w.byPassword("u", rightPassword)

		want.Equal(w, first(w.setup("VerifySoftwareToken", s.Session, userCode("123456"))), noApp)
		answer, session := w.setup("AssociateSoftwareToken", s.Session, "")
		key := secretOf(w, answer)
		want.Equal(w, first(w.setup("AssociateSoftwareToken", s.Session, "")), usedSession)
		want.Equal(w, w.answer("MFA_SETUP", session, map[string]string{"USERNAME": "u"}).text, badSession)
		want.Equal(w, first(w.setup("VerifySoftwareToken", session, userCode(wrong(w.appCode(key, 0))))), wrongAtOnce)

		// Somebody else who knows the password replaces what waits, and cannot use the code of another key.
		answer, theirs := w.setup("AssociateSoftwareToken", rival.Session, "")
		other := secretOf(w, answer)
		want.Equal(w, first(w.setup("VerifySoftwareToken", session, userCode(w.appCode(other, 0)))), noApp)
		answer, session = w.setup("AssociateSoftwareToken", session, "")
		key = secretOf(w, answer)
		want.Equal(w, first(w.setup("VerifySoftwareToken", theirs, userCode(w.appCode(key, 0)))), noApp)

		answer, done := w.setup("VerifySoftwareToken", session, userCode(w.appCode(key, 0))+`,"FriendlyDeviceName":"phone"`)
		want.Contains(w, answer, `{"Status":"SUCCESS","Session":"`)
		want.Equal(w, w.stored(u).MFA, user.MFA{TOTP: true})
		want.Equal(w, w.app(u).Key, key)
		// Nobody replaces it by a password alone.
		want.Equal(w, first(w.setup("AssociateSoftwareToken", theirs, "")), badSession)
		want.Equal(w, first(w.setup("VerifySoftwareToken", session, userCode("123456"))), usedSession)

		// The next sign-in asks for it even if this one is not completed, by another code.
		asked := w.byPassword("u", rightPassword)
		want.Equal(w, asked.ChallengeName, "SOFTWARE_TOKEN_MFA")
		want.Equal(w, asked.ChallengeParameters, map[string]string{"USER_ID_FOR_SRP": "u", "FRIENDLY_DEVICE_NAME": "phone"})
		want.Equal(w, w.pass(asked, w.appCode(key, 0)).text, appUsed)
		w.signedIn(w.answer("MFA_SETUP", done, map[string]string{"USERNAME": "u"}))
		want.Equal(w, w.answer("MFA_SETUP", done, map[string]string{"USERNAME": "u"}).text, usedSession)
		w.signedIn(w.pass(asked, w.appCode(key, 1)))
		w.quiet()
	})
}

// TestSetupSessions: sessions of other challenges, users and times set nothing up.
func TestSetupSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, both(mfaPool, mfaRequired, func(s *pool.Settings) { s.Sms = nil }), func(w *world) {
		c := w.client(allFlows)
		u := w.withPassword("u", vectorUser)
		set := w.withPassword("v", vectorUser)
		w.withApp(set)
		asked := w.byPassword("v", rightPassword)
		want.Equal(w, asked.ChallengeName, "SOFTWARE_TOKEN_MFA")
		want.Equal(w, first(w.setup("AssociateSoftwareToken", asked.Session, "")), badSession)
		s := w.byPassword("u", rightPassword)
		w.clock.Advance(time.Duration(c.SessionMinutes) * time.Minute)
		want.Equal(w, first(w.setup("AssociateSoftwareToken", s.Session, "")), oldSession)
		s = w.byPassword("u", rightPassword)
		w.alter(u, func(r *user.Record) { r.Enabled = false })
		want.Equal(w, first(w.setup("AssociateSoftwareToken", s.Session, "")), isDisabled)
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"u"}`), "")
		want.Equal(w, first(w.setup("AssociateSoftwareToken", s.Session, "")), badSession)
		want.Equal(w, w.call("DeleteUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+c.ID+`"}`), "")
		want.Equal(w, first(w.setup("AssociateSoftwareToken", s.Session, "")), badSession)
	})
}

// TestSetupOfEmail: the address that is given gets a code, which verifies it and signs in.
func TestSetupOfEmail(t *testing.T) {
	t.Parallel()
	onBoth(t, both(mfaPool, mfaRequired, emailToo, func(s *pool.Settings) { s.Sms = nil }), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", map[string]string{"name": "N"})
		s := w.byPassword("u", rightPassword)
		want.Equal(w, s.ChallengeParameters["MFAS_CAN_SETUP"], `["SOFTWARE_TOKEN_MFA","EMAIL_OTP"]`)
		want.Equal(w, w.answer("MFA_SETUP", s.Session, map[string]string{"USERNAME": "u", "EMAIL": "nonsense"}).text, invalid("Invalid email address format."))
		asked := w.answer("MFA_SETUP", s.Session, map[string]string{"USERNAME": "u", "EMAIL": "n@x.io"})
		want.Equal(w, asked.ChallengeName, "EMAIL_OTP")
		want.Equal(w, asked.ChallengeParameters, map[string]string{"USER_ID_FOR_SRP": "u", "CODE_DELIVERY_DELIVERY_MEDIUM": "EMAIL", "CODE_DELIVERY_DESTINATION": "n***@x***"})
		code := w.code()
		want.Equal(w, w.sent(), []string{"EMAIL n@x.io CustomMessage_Authentication"})
		want.Equal(w, w.stored(u).Attributes, map[string]string{"name": "N", "email": "n@x.io", "email_verified": "false"})
		w.signedIn(w.pass(asked, code))
		want.Equal(w, w.stored(u).Attributes, map[string]string{"name": "N", "email": "n@x.io", "email_verified": "true"})
		want.True(w, slices.Contains(w.changes(u.Sub), "RespondToAuthChallenge email"), "the journal has it: %v", w.changes(u.Sub))
	})
}

// TestFactorMessages: the texts, the function that may change them, and what it is told.
func TestFactorMessages(t *testing.T) {
	t.Parallel()
	texts := func(s *pool.Settings) {
		s.SmsAuthentication = new("Your code {####}")
		s.EmailMFA = &pool.EmailMFA{Message: new("Mail {####}"), Subject: new("Subject")}
	}
	for name, r := range map[string]struct {
		pool func(*pool.Settings)
		mfa  user.MFA
		body func(code string) string
	}{
		"SMS":              {nil, user.MFA{SMS: true}, func(c string) string { return "Your authentication code is " + c + ". " }},
		"SMS, own text":    {texts, user.MFA{SMS: true}, func(c string) string { return "Your code " + c }},
		"e-mail":           {nil, user.MFA{Email: true}, func(c string) string { return "Your authentication code is " + c + ". " }},
		"e-mail, own text": {texts, user.MFA{Email: true}, func(c string) string { return "Mail " + c }},
		"by a function":    {withHook("CustomMessage"), user.MFA{SMS: true}, func(c string) string { return "Your authentication code is " + c + ". " }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(mfaPool, emailToo, r.pool), func(w *world) {
				w.client(allFlows)
				w.withPassword("u", reachable, factorsOf(r.mfa))
				s := w.byPassword("u", rightPassword)
				got := append(w.sms.got, w.email.got...)
				want.Equal(w, len(got), 1)
				want.Equal(w, got[0].Body.Reveal(), r.body(got[0].Code.Reveal()))
				hooks := w.ran()
				if name == "by a function" {
					want.Equal(w, hooks, []string{"CustomMessage_Authentication"})
				} else {
					want.Equal(w, hooks, nil)
				}
				w.signedIn(w.pass(s, got[0].Code.Reveal()))
			})
		})
	}
}

// TestFactorAlias: a right code verifies its address, unless somebody else has it as an alias.
func TestFactorAlias(t *testing.T) {
	t.Parallel()
	onBoth(t, both(mfaPool, aliasPool, emailToo), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", map[string]string{"name": "N", "email": "b@x.io", "phone_number": "+15550001234"}, factorsOf(user.MFA{Email: true}))
		holder := w.addUser("holder", map[string]string{"email": "b@x.io", "email_verified": "true"})
		w.signedIn(w.pass(w.byPassword("u", rightPassword), w.code()))
		want.Equal(w, w.stored(u).Attributes["email_verified"], "")
		want.Equal(w, w.owner(user.Emails, "b@x.io"), "holder")
		w.alter(holder, func(r *user.Record) { delete(r.Attributes, "email_verified") })
		w.signedIn(w.pass(w.byPassword("u", rightPassword), w.code()))
		want.Equal(w, w.stored(u).Attributes["email_verified"], "true")
		want.Equal(w, w.owner(user.Emails, "b@x.io"), "u")
	})
}

// TestResetAsksForFactors: a new password by recovery, or by an administrator, does not get around the second factor.
func TestResetAsksForFactors(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable, factorsOf(user.MFA{TOTP: true}))
		w.withApp(u)
		want.Equal(w, w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"u","Password":"N3w-Passw0rd","Permanent":true}`), "{}")
		want.Equal(w, w.byPassword("u", "N3w-Passw0rd").ChallengeName, "SOFTWARE_TOKEN_MFA")
		want.Contains(w, w.public("ForgotPassword", "u", ""), "CodeDeliveryDetails")
		want.Equal(w, w.public("ConfirmForgotPassword", "u", code(w.code())+`,"Password":"An0ther-Passw0rd"`), "{}")
		want.Equal(w, w.byPassword("u", "An0ther-Passw0rd").ChallengeName, "SOFTWARE_TOKEN_MFA")
	})
}

// TestLastStepSurvives: the step of a code that was used is stored with the user's app, for every node and after every restart.
func TestLastStepSurvives(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable, factorsOf(user.MFA{TOTP: true}))
		key := w.withApp(u)
		w.signedIn(w.pass(w.byPassword("u", rightPassword), w.appCode(key, 0)))
		var last totp.Step
		w.view(func(v store.View) error {
			app, err := v.SoftwareTokens().Get(u.PoolID, u.Sub)
			if err == nil {
				last = app.Last
			}
			return err
		})
		want.Equal(w, last, totp.StepAt(w.clock.Now()))
		w.clock.Advance(-time.Hour) // a clock that is put back makes nothing good again
		want.Equal(w, w.pass(w.byPassword("u", rightPassword), w.appCode(key, 0)).text, appUsed)
	})
}

func first(a, _ string) string { return a }
