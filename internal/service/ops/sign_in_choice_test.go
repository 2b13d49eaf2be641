package ops_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// choicePool lets sign-ins begin with a password, or a code by e-mail or SMS.
var choicePool = both(vectorPool, phoneToo, passwordless)

const (
	notAvailable = "InvalidParameterException: Selected challenge is not available"
	tooManyCodes = "TooManyRequestsException: Attempt limit exceeded, please try after some time."
)

// choice begins a USER_AUTH.
func (w *world) choice(name string, more ...string) signInReply {
	w.Helper()
	parameters := map[string]string{"USERNAME": name}
	for i := 0; i < len(more); i += 2 {
		parameters[more[i]] = more[i+1]
	}
	return w.begin("USER_AUTH", parameters)
}

// reply answers a challenge of a USER_AUTH in a name.
func (w *world) reply(challenge, session, name string, more ...string) signInReply {
	w.Helper()
	responses := map[string]string{"USERNAME": name}
	for i := 0; i < len(more); i += 2 {
		responses[more[i]] = more[i+1]
	}
	return w.answer(challenge, session, responses)
}

// TestFirstFactors has a row for what each pool and user can begin with.
func TestFirstFactors(t *testing.T) {
	t.Parallel()
	everything := "PASSWORD_SRP PASSWORD EMAIL_OTP SMS_OTP"
	const words = "PASSWORD_SRP PASSWORD"
	for _, r := range []struct {
		name    string
		pool    func(*pool.Settings)
		without string // "phone_number", "email", "password"
		user    func(*user.Record)
		want    string // "" is a refusal
	}{
		{name: "everything", want: everything},
		{name: "no phone number", without: "phone_number", want: "PASSWORD_SRP PASSWORD EMAIL_OTP"},
		{name: "no e-mail address", without: "email", want: "PASSWORD_SRP PASSWORD SMS_OTP"},
		{name: "no password", without: "password", want: "EMAIL_OTP SMS_OTP"},
		{name: "no password, and codes are off", without: "password", pool: func(s *pool.Settings) { s.FirstFactors = []string{"PASSWORD"} }},
		{name: "only passwords in the policy", pool: func(s *pool.Settings) { s.FirstFactors = []string{"PASSWORD"} }, want: words},
		{name: "passkeys that nobody can have yet", pool: func(s *pool.Settings) { s.FirstFactors = []string{"PASSWORD", "WEB_AUTHN", "EMAIL_OTP"} }, want: "PASSWORD_SRP PASSWORD EMAIL_OTP"},
		{name: "unconfirmed", user: func(r *user.Record) { r.Status = user.Unconfirmed }, want: everything},
		{name: "a reset is due", user: func(r *user.Record) { r.Status = user.ResetRequired }, want: everything},
		{name: "a temporary password", user: temporary, want: words},
		{name: "a password that is switched off", user: func(r *user.Record) { r.PasswordOff = true }, want: "EMAIL_OTP SMS_OTP"},
		{name: "from elsewhere", user: func(r *user.Record) { r.Status = user.ExternalProvider }},
		{name: "MFA ON", pool: both(mfaRequired, func(s *pool.Settings) { s.TOTP = new(true) }), want: words},
		{name: "MFA OPTIONAL, a factor is on", pool: func(s *pool.Settings) { s.MFA = pool.MFAOptional }, user: factorsOf(user.MFA{SMS: true}), want: words},
		{name: "MFA OPTIONAL, SMS in the older way", pool: func(s *pool.Settings) { s.MFA = pool.MFAOptional }, user: func(r *user.Record) { r.SMSOption = true }, want: words},
		{name: "MFA OPTIONAL, none is on", pool: func(s *pool.Settings) { s.MFA = pool.MFAOptional }, want: everything},
		{name: "MFA OFF, whatever is on", user: factorsOf(user.MFA{SMS: true, TOTP: true}), want: everything},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(choicePool, r.pool), func(w *world) {
				w.client(allFlows)
				attributes := with(pool.PhoneNumber, "+15550001234")
				delete(attributes, r.without)
				u := w.addUser("u", attributes)
				if r.without != "password" {
					w.storePassword(u, rightPassword)
				}
				if r.user != nil {
					w.alter(u, r.user)
				}
				s := w.choice("u")
				if r.want == "" {
					want.Equal(w, s.text, incorrect)
					// Where the client hides who exists, this user is nobody.
					w.client(clientOf(allFlows, hiding))
					s = w.choice("u")
					want.Equal(w, s.AvailableChallenges, w.choice("nobody").AvailableChallenges)
					want.Equal(w, w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD", "PASSWORD", rightPassword).text, incorrect)
					return
				}
				want.Equal(w, s.ChallengeName, "SELECT_CHALLENGE")
				want.Equal(w, strings.Join(s.AvailableChallenges, " "), r.want)
				want.Contains(w, s.text, `"ChallengeParameters":{}`)
				// What cannot be chosen is no fault as preference, and one as choice.
				for _, name := range []string{"PASSWORD_SRP", "PASSWORD", "EMAIL_OTP", "SMS_OTP", "WEB_AUTHN", "RIDDLE"} {
					has := strings.Contains(" "+r.want+" ", " "+name+" ")
					if !has {
						preferred := w.choice("u", "PREFERRED_CHALLENGE", name, "SRP_A", "2")
						want.Equal(w, preferred.ChallengeName, "SELECT_CHALLENGE")
						want.Equal(w, preferred.AvailableChallenges, s.AvailableChallenges)
						want.Equal(w, w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", name).text, notAvailable)
					}
				}
				want.Equal(w, w.sent(), nil)
			})
		})
	}
}

// TestChosenFactors walks every way to every first factor: preferred, chosen, chosen by its own name, and with its answer at once.
func TestChosenFactors(t *testing.T) {
	t.Parallel()
	onBoth(t, both(choicePool, signInHooks), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable)
		ends := []string{"PostAuthentication_Authentication", "TokenGeneration_Authentication"}
		const all = "PASSWORD_SRP PASSWORD EMAIL_OTP SMS_OTP"
		offered := func(s signInReply, name string) signInReply {
			w.Helper()
			want.Equal(w, s.ChallengeName, name)
			want.Equal(w, strings.Join(s.AvailableChallenges, " "), all)
			want.True(w, len(s.Session) > 1000, "a session")
			return s
		}
		done := func(s signInReply) {
			w.Helper()
			w.gotTokens(s)
			want.Equal(w, s.AvailableChallenges, nil)
			want.Equal(w, w.ran(), ends)
		}
		sent := func(list ...string) {
			w.Helper()
			want.Equal(w, w.sent(), list)
			w.ran()
		}
		c := srpclient.New(chance.System().Bytes(32))
		for _, begin := range []func(answer ...string) signInReply{
			func(answer ...string) signInReply { // preferred
				return w.choice("u", append([]string{"PREFERRED_CHALLENGE"}, answer...)...)
			},
			func(answer ...string) signInReply { // chosen
				return w.reply("SELECT_CHALLENGE", offered(w.choice("u"), "SELECT_CHALLENGE").Session, "u", append([]string{"ANSWER"}, answer...)...)
			},
			func(answer ...string) signInReply { // by its own name
				return w.reply(answer[0], offered(w.choice("u"), "SELECT_CHALLENGE").Session, "u", answer[1:]...)
			},
		} {
			// The answer comes along.
			s := begin("PASSWORD", "PASSWORD", rightPassword)
			want.Equal(w, w.ran(), append([]string{"PreAuthentication_Authentication"}, ends...))
			w.gotTokens(s)
			s = offered(begin("PASSWORD_SRP", "SRP_A", c.Public), "PASSWORD_VERIFIER")
			want.Equal(w, len(s.ChallengeParameters), 5)
			w.ran()
			done(w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, rightPassword)))

			// The factor asks for it.
			s = offered(begin("PASSWORD"), "PASSWORD")
			want.Equal(w, s.ChallengeParameters, map[string]string{"USERNAME": "u"})
			w.ran()
			want.Equal(w, w.reply("PASSWORD", s.Session, "u").text, invalid("Missing required parameter PASSWORD"))
			want.Equal(w, w.reply("PASSWORD", s.Session, "u", "PASSWORD", "wrong").text, incorrect)
			want.Equal(w, w.missed(u.Sub).Spent, 1)
			done(w.reply("PASSWORD", s.Session, "u", "PASSWORD", rightPassword))
			want.Equal(w, w.reply("PASSWORD", s.Session, "u", "PASSWORD", rightPassword).text, usedSession)

			s = offered(begin("EMAIL_OTP"), "EMAIL_OTP")
			want.Equal(w, s.ChallengeParameters, map[string]string{"CODE_DELIVERY_DELIVERY_MEDIUM": "EMAIL", "CODE_DELIVERY_DESTINATION": "a***@x***"})
			code := w.code()
			want.Equal(w, len(code), 8)
			sent(emailSent)
			want.Equal(w, w.reply("EMAIL_OTP", s.Session, "u").text, invalid("Missing required parameter EMAIL_OTP_CODE"))
			want.Equal(w, w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", wrong(code)).text, factorWrong)
			done(w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", code))
			want.Equal(w, w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", code).text, usedSession)

			s = offered(begin("SMS_OTP"), "SMS_OTP")
			want.Equal(w, s.ChallengeParameters, map[string]string{"CODE_DELIVERY_DELIVERY_MEDIUM": "SMS", "CODE_DELIVERY_DESTINATION": "+*******1234", "USER_ID_FOR_SRP": "u"})
			code = w.texted()
			want.Equal(w, len(code), 8)
			sent(smsSent)
			done(w.reply("SMS_OTP", s.Session, "u", "SMS_OTP_CODE", code))
			want.Equal(w, w.stored(u).Attributes[pool.PhoneNumberVerified], "true")
			w.alter(u, func(r *user.Record) { delete(r.Attributes, pool.PhoneNumberVerified) })
		}
		// A choice of SRP needs no public value yet, a preference does.
		s := w.choice("u")
		asked := offered(w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD_SRP"), "PASSWORD_SRP")
		want.Equal(w, asked.ChallengeParameters, map[string]string{"USERNAME": "u"})
		want.Equal(w, w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD_SRP").text, usedSession)
		want.Equal(w, w.reply("PASSWORD_SRP", asked.Session, "u").text, invalid("Missing required parameter SRP_A"))
		want.Equal(w, w.reply("PASSWORD_SRP", asked.Session, "u", "SRP_A", "0").text, invalid("Invalid SRP_A"))
		s = offered(w.reply("PASSWORD_SRP", asked.Session, "u", "SRP_A", c.Public), "PASSWORD_VERIFIER")
		want.Equal(w, w.reply("PASSWORD_SRP", asked.Session, "u", "SRP_A", c.Public).text, usedSession)
		w.ran()
		want.Equal(w, w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, "wrong")).text, incorrect)
		done(w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, rightPassword)))
		want.Equal(w, w.choice("u", "PREFERRED_CHALLENGE", "PASSWORD_SRP").text, invalid("Missing required parameter SRP_A"))
		want.Equal(w, w.choice("u", "PREFERRED_CHALLENGE", "PASSWORD_SRP", "SRP_A", "0").text, invalid("Invalid SRP_A"))
		want.Equal(w, w.begin("USER_AUTH", nil).text, invalid("Missing required parameter USERNAME"))

		// For administrators it is the same.
		body := `{"UserPoolId":"$pool","ClientId":"` + w.clientID + `",`
		s = offered(w.readSignIn(w.call("AdminInitiateAuth", body+`"AuthFlow":"USER_AUTH","AuthParameters":{"USERNAME":"u"}}`)), "SELECT_CHALLENGE")
		s = w.readSignIn(w.call("AdminRespondToAuthChallenge", body+`"ChallengeName":"SELECT_CHALLENGE","Session":"`+s.Session+`","ChallengeResponses":{"USERNAME":"u","ANSWER":"EMAIL_OTP"}}`))
		w.gotTokens(w.readSignIn(w.call("AdminRespondToAuthChallenge", body+`"ChallengeName":"EMAIL_OTP","Session":"`+s.Session+`","ChallengeResponses":{"USERNAME":"u","EMAIL_OTP_CODE":"`+w.code()+`"}}`)))
	})
}

// TestChoiceThenSecondFactor: a password is followed by a second factor, a code is not, and a session of the one is none of the other.
func TestChoiceThenSecondFactor(t *testing.T) {
	t.Parallel()
	onBoth(t, both(choicePool, func(s *pool.Settings) { s.MFA, s.TOTP = pool.MFAOptional, new(true) }), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable)
		code := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		choice := w.choice("u")
		right := w.code()
		w.sent()
		key := w.withApp(u)
		w.alter(u, factorsOf(user.MFA{TOTP: true}))
		// A code that was sent before the second factor was turned on does not get around it.
		want.Equal(w, w.reply("EMAIL_OTP", code.Session, "u", "EMAIL_OTP_CODE", right).text, badSession)
		want.Equal(w, w.reply("SELECT_CHALLENGE", choice.Session, "u", "ANSWER", "EMAIL_OTP").text, notAvailable)
		s := w.choice("u", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", rightPassword)
		want.Equal(w, s.ChallengeName, "SOFTWARE_TOKEN_MFA")
		want.Equal(w, s.AvailableChallenges, nil)
		want.Equal(w, w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", right).text, badSession)
		w.gotTokens(w.pass(s, w.appCode(key, 0)))

		// A second factor by e-mail is another challenge of the same name.
		w.alter(u, func(r *user.Record) { r.MFA = user.MFA{} })
		w.alter(u, temporary)
		s = w.choice("u", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", rightPassword)
		want.Equal(w, s.ChallengeName, "NEW_PASSWORD_REQUIRED")
		w.gotTokens(w.reply("NEW_PASSWORD_REQUIRED", s.Session, "u", "NEW_PASSWORD", "N3w-Passw0rd"))
		want.Equal(w, w.sent(), nil)
	})
}

// TestFirstCodeGuesses: wrong codes lock, over all sign-ins of a user, apart from passwords and second factors, until the user's
// password is set anew or an administrator forgives.
func TestFirstCodeGuesses(t *testing.T) {
	t.Parallel()
	onBoth(t, choicePool, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable)
		var s signInReply
		guess := func(code string) string { return w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", code).text }
		for range 5 {
			s = w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
			want.Equal(w, guess(wrong(w.code())), factorWrong)
		}
		right := w.code()
		want.Equal(w, guess(right), lockedOut)
		sms := w.choice("u", "PREFERRED_CHALLENGE", "SMS_OTP")
		want.Equal(w, w.reply("SMS_OTP", sms.Session, "u", "SMS_OTP_CODE", w.texted()).text, lockedOut)
		w.gotTokens(w.byPassword("u", rightPassword)) // the password is another way in
		w.clock.Advance(time.Second)
		first := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		want.Equal(w, w.reply("EMAIL_OTP", first.Session, "u", "EMAIL_OTP_CODE", right).text, factorWrong) // it is good for its own sign-in alone
		want.Equal(w, guess(right), lockedOut)
		w.clock.Advance(2 * time.Second)
		w.gotTokens(w.readSignIn(guess(right)))

		// After a hundred nothing is looked at any more.
		exhaust := func() {
			w.Helper()
			w.update(func(tx store.Tx) error {
				return tx.Tallies().Put(u.PoolID, u.Sub, verify.FirstFactor, verify.Tally{Since: w.clock.Now().Add(-time.Hour), Failures: verify.MaxFailures})
			})
			w.clock.Advance(time.Hour)
			s = w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
			want.Equal(w, guess(w.code()), lockedOut)
		}
		for name, lift := range map[string]string{
			"AdminSetUserMFAPreference": `{"UserPoolId":"$pool","Username":"u"}`,
			"AdminSetUserPassword":      `{"UserPoolId":"$pool","Username":"u","Password":"N3w-Passw0rd","Permanent":true}`,
		} {
			exhaust()
			want.Equal(w, w.call(name, lift), "{}")
			w.gotTokens(w.readSignIn(guess(w.code())))
		}
	})
}

// TestFirstCodeBudget: so many codes go out in an hour, for a user as for nobody.
func TestFirstCodeBudget(t *testing.T) {
	t.Parallel()
	onBoth(t, choicePool, func(w *world) {
		w.client(clientOf(allFlows, hiding))
		w.withPassword("u", reachable)
		for _, name := range []string{"u", "nobody"} {
			for i := range verify.AskFirstFactor.Limit() {
				factor := []string{"EMAIL_OTP", "SMS_OTP"}[i%2]
				want.Equal(w, w.choice(name, "PREFERRED_CHALLENGE", factor).ChallengeName, factor)
			}
			want.Equal(w, w.choice(name, "PREFERRED_CHALLENGE", "EMAIL_OTP").text, tooManyCodes)
			want.Equal(w, w.choice(name, "PREFERRED_CHALLENGE", "SMS_OTP").text, tooManyCodes)
		}
		want.Equal(w, w.due(), verify.AskFirstFactor.Limit())
		w.clock.Advance(time.Hour)
		want.Equal(w, w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP").ChallengeName, "EMAIL_OTP")
	})
}

// TestFirstCodeSessions: a code is good for its session, its address and its time.
func TestFirstCodeSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, choicePool, func(w *world) {
		c := w.client(allFlows)
		u := w.withPassword("u", reachable)
		w.withPassword("v", nil)
		s := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		right := w.code()
		answer := func(challenge, session, who string) string {
			return w.reply(challenge, session, who, "EMAIL_OTP_CODE", right, "SMS_OTP_CODE", right, "PASSWORD", rightPassword, "SRP_A", "2", "ANSWER", "PASSWORD").text
		}
		for _, name := range []string{"SMS_OTP", "PASSWORD", "PASSWORD_SRP", "SELECT_CHALLENGE", "WEB_AUTHN", "SMS_MFA", "CUSTOM_CHALLENGE"} {
			want.Equal(w, answer(name, s.Session, "u"), badSession)
		}
		want.Equal(w, answer("EMAIL_OTP", s.Session, "v"), badSession)
		want.Equal(w, answer("EMAIL_OTP", s.Session[1:], "u"), badSession)
		w.client(allFlows)
		want.Equal(w, answer("EMAIL_OTP", s.Session, "u"), badSession)
		w.clientID = c.ID
		w.alter(u, func(r *user.Record) { r.Attributes[pool.Email] = "b@x.io" })
		want.Equal(w, answer("EMAIL_OTP", s.Session, "u"), "ExpiredCodeException: Invalid code provided, please request a code again.")
		w.alter(u, func(r *user.Record) { r.Attributes[pool.Email] = "a@x.io"; r.Enabled = false })
		want.Equal(w, answer("EMAIL_OTP", s.Session, "u"), isDisabled)
		w.alter(u, func(r *user.Record) { r.Enabled = true })
		w.clock.Advance(3*time.Minute - time.Millisecond)
		late := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		w.gotTokens(w.readSignIn(answer("EMAIL_OTP", s.Session, "u")))
		right = w.code()
		w.clock.Advance(3 * time.Minute)
		want.Equal(w, answer("EMAIL_OTP", late.Session, "u"), oldSession)
		select_ := w.choice("u")
		w.clock.Advance(3 * time.Minute)
		want.Equal(w, answer("SELECT_CHALLENGE", select_.Session, "u"), oldSession)
	})
}

// TestFirstCodeConfirms: a code confirms who signed up, and verifies the address.
func TestFirstCodeConfirms(t *testing.T) {
	t.Parallel()
	onBoth(t, both(choicePool, aliasPool, withHook("PostConfirmation")), func(w *world) {
		w.client(allFlows)
		unconfirmed := func(r *user.Record) { r.Status = user.Unconfirmed }
		u := w.withPassword("u", map[string]string{"name": "N", "email": "n@x.io"}, unconfirmed)
		s := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		w.gotTokens(w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", w.code()))
		want.Equal(w, w.ran(), []string{"PostConfirmation_ConfirmSignUp"})
		want.Equal(w, w.stored(u).Status, user.Confirmed)
		want.Equal(w, w.stored(u).Attributes["email_verified"], "true")
		want.Equal(w, w.owner(user.Emails, "n@x.io"), "u")
		want.Equal(w, sorted(w.changes(u.Sub)), []string{"InitiateAuth", "RespondToAuthChallenge", "RespondToAuthChallenge email_verified"})

		// An address that is somebody else's alias confirms nobody.
		other := w.withPassword("other", map[string]string{"name": "N", "email": "n@x.io"}, unconfirmed)
		s = w.choice("other", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		want.Equal(w, w.reply("EMAIL_OTP", s.Session, "other", "EMAIL_OTP_CODE", w.code()).text, "AliasExistsException: An account with the email already exists.")
		want.Equal(w, w.stored(other).Status, user.Unconfirmed)

		// A fault of the function comes after the fact.
		third := w.withPassword("third", map[string]string{"name": "N", "email": "t@x.io"}, unconfirmed)
		w.answers(map[string]string{"PostConfirmation": "no"})
		s = w.choice("third", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		want.Equal(w, w.reply("EMAIL_OTP", s.Session, "third", "EMAIL_OTP_CODE", w.code()).text, "UserLambdaValidationException: PostConfirmation failed with error no.")
		want.Equal(w, w.stored(third).Status, user.Confirmed)
		want.True(w, !strings.Contains(strings.Join(w.changes(third.Sub), " "), "tokens"), "no tokens")

		// An imported user without a password has none to reset; one who has to set another keeps to that.
		w.answers(nil)
		for name, status := range map[string]user.Status{"imported": user.Confirmed, "reset": user.ResetRequired} {
			r := w.addUser(name, map[string]string{"name": "N", "email": name + "@x.io", "email_verified": "true"}, func(r *user.Record) { r.Status = user.ResetRequired })
			if name == "reset" {
				w.storePassword(r, rightPassword)
			}
			s = w.choice(name, "PREFERRED_CHALLENGE", "EMAIL_OTP")
			w.gotTokens(w.reply("EMAIL_OTP", s.Session, name, "EMAIL_OTP_CODE", w.code()))
			want.Equal(w, w.stored(r).Status, status)
		}
	})
}

// TestChoiceAfterSignUp: who has just confirmed a sign-up is signed in by its session, once, without another proof.
func TestChoiceAfterSignUp(t *testing.T) {
	t.Parallel()
	onBoth(t, both(choicePool, withHook("PreAuthentication")), func(w *world) {
		c := w.client(clientOf(allFlows, func(c *pool.Client) { c.AuthFlows = append(c.AuthFlows, "ALLOW_USER_AUTH") }))
		n := 0
		confirmed := func(password string) (name, session string) {
			w.Helper()
			n++
			name = fmt.Sprint("new", n)
			s := w.readSignIn(w.public("SignUp", name, password+`"UserAttributes":`+list("email="+name+"@x.io, name=N")))
			sent := `,"Session":"` + s.Session + `"`
			if n%2 == 0 {
				sent = "" // as aws-amplify does it
			}
			s = w.readSignIn(w.public("ConfirmSignUp", name, code(w.code())+sent))
			want.True(w, s.Session != "", "a session: %s", s.text)
			w.sent()
			return name, s.Session
		}
		with := func(session, parameters string) signInReply {
			return w.readSignIn(w.call("InitiateAuth", `{"ClientId":"`+w.clientID+`","AuthFlow":"USER_AUTH","Session":"`+session+`"`+parameters+`}`))
		}
		named := func(name string) string { return `,"AuthParameters":{"USERNAME":"` + name + `"}` }
		for _, parameters := range []func(name string) string{func(string) string { return "" }, named,
			func(name string) string {
				return `,"AuthParameters":{"USERNAME":"` + name + `","PREFERRED_CHALLENGE":"PASSWORD","PASSWORD":"x"}`
			}} {
			name, session := confirmed("")
			s := with(session, parameters(name))
			w.gotTokens(s)
			want.Equal(w, w.ran(), []string{"PreAuthentication_Authentication"})
			want.Equal(w, w.claim(s.AuthenticationResult.AccessToken, "username"), any(name))
			want.Equal(w, with(session, parameters(name)).text, usedSession)
			w.ran()
		}
		name, session := confirmed(goodPassword + ",")
		want.Equal(w, with(session, named("new1")).text, badSession)
		want.Equal(w, with(session[1:], named(name)).text, badSession)
		want.Equal(w, with(w.choice("new1").Session, named("new1")).text, badSession) // of another challenge
		w.client(allFlows)
		want.Equal(w, with(session, named(name)).text, badSession)
		w.clientID = c.ID
		w.gotTokens(with(session, ""))
		_, session = confirmed("")
		w.clock.Advance(3 * time.Minute)
		want.Equal(w, with(session, "").text, oldSession)

		// What the pool does not take as a first factor any more is chosen anew.
		name, session = confirmed(goodPassword + ",")
		w.pool.FirstFactors = []string{"PASSWORD"}
		w.update(func(tx store.Tx) error { return tx.Pools().Save(w.pool) })
		w.clock.Advance(time.Minute)
		s := with(session, "")
		want.Equal(w, s.ChallengeName, "SELECT_CHALLENGE")
		want.Equal(w, s.AvailableChallenges, []string{"PASSWORD_SRP", "PASSWORD"})
		want.Equal(w, w.reply("SELECT_CHALLENGE", s.Session, name, "ANSWER", "EMAIL_OTP").text, notAvailable)
	})
}

// TestChoiceOfNobody: where the client hides who exists, a name that nobody has is offered what the pool allows, is sent codes to
// invented addresses, and is always wrong.
func TestChoiceOfNobody(t *testing.T) {
	t.Parallel()
	onBoth(t, choicePool, func(w *world) {
		w.client(allFlows)
		w.withPassword("u", reachable)
		w.withPassword("off", reachable, func(r *user.Record) { r.Enabled = false })
		want.Equal(w, w.choice("nobody").text, nobodyThere)
		want.Equal(w, w.choice("off").text, isDisabled)
		w.client(clientOf(allFlows, hiding))
		c := srpclient.New(chance.System().Bytes(32))
		shapes := map[string][]string{}
		digits, letters := regexp.MustCompile(`[0-9]+`), regexp.MustCompile(`[a-z]\*\*\*@[a-z]\*\*\*`)
		shape := func(s signInReply) string {
			text := s.text
			if s.Session != "" {
				text = strings.ReplaceAll(text, s.Session, fmt.Sprint(len(s.Session)))
			}
			for _, name := range []string{"SALT", "SRP_B", "SECRET_BLOCK"} {
				if v := s.ChallengeParameters[name]; v != "" {
					text = strings.ReplaceAll(text, v, fmt.Sprint(len(v)/8))
				}
			}
			return letters.ReplaceAllString(digits.ReplaceAllString(text, "9"), "<e-mail>")
		}
		for _, name := range []string{"u", "nobody", "off"} {
			add := func(s signInReply) {
				shapes[name] = append(shapes[name], strings.ReplaceAll(shape(s), `"`+name+`"`, "<name>"))
			}
			s := w.choice(name)
			add(s)
			chosen := w.reply("SELECT_CHALLENGE", s.Session, name, "ANSWER", "SMS_OTP")
			add(chosen)
			add(w.reply("SELECT_CHALLENGE", s.Session, name, "ANSWER", "SMS_OTP"))
			add(w.reply("SMS_OTP", chosen.Session, name, "SMS_OTP_CODE", "00000000"))
			s = w.choice(name, "PREFERRED_CHALLENGE", "EMAIL_OTP")
			add(s)
			for range 5 {
				add(w.reply("EMAIL_OTP", s.Session, name, "EMAIL_OTP_CODE", "00000000"))
			}
			s = w.choice(name, "PREFERRED_CHALLENGE", "PASSWORD")
			add(s)
			add(w.reply("PASSWORD", s.Session, name, "PASSWORD", "wrong"))
			add(w.choice(name, "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", "wrong"))
			s = w.choice(name, "PREFERRED_CHALLENGE", "PASSWORD_SRP", "SRP_A", c.Public)
			add(s)
			add(w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, "wrong")))
			add(w.choice(name, "PREFERRED_CHALLENGE", "RIDDLE"))
		}
		want.Equal(w, shapes["nobody"], shapes["u"])
		want.Equal(w, shapes["off"], shapes["u"])
		want.True(w, strings.Contains(strings.Join(shapes["u"], ""), "Password attempts exceeded"), "the lock was reached")
		again := w.choice("nobody", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		want.Equal(w, again.ChallengeParameters, w.choice("nobody", "PREFERRED_CHALLENGE", "EMAIL_OTP").ChallengeParameters)
		want.Equal(w, w.choice("x@y.io", "PREFERRED_CHALLENGE", "EMAIL_OTP").ChallengeParameters["CODE_DELIVERY_DESTINATION"], "x***@y***")
		// A name that somebody takes meanwhile is nobody to the sign-ins that have begun.
		w.withPassword("nobody", reachable)
		want.Equal(w, w.reply("EMAIL_OTP", again.Session, "nobody", "EMAIL_OTP_CODE", "00000000").text, lockedOut)
		// Who is disabled reads it after the right answer alone.
		want.Equal(w, w.choice("off", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", rightPassword).text, isDisabled)
	})
}

// TestChoiceCountsOnce: where the client hides who exists, wrong answers of all flows count together, also for a user who can prove
// nothing: whoever could count on in another flow would know that there is somebody.
func TestChoiceCountsOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		w.client(clientOf(allFlows, hiding))
		w.addUser("bare", nil)
		w.withPassword("federated", nil, func(r *user.Record) { r.Status = user.ExternalProvider })
		w.withPassword("u", nil)
		for _, name := range []string{"u", "nobody", "bare", "federated"} {
			guess := func() string { return w.choice(name, "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", "wrong").text }
			outcomes := []string{name}
			for range 3 {
				outcomes = append(outcomes, w.byPassword(name, "wrong").text)
			}
			outcomes = append(outcomes, guess(), guess(), guess(), w.byPassword(name, "wrong").text)
			want.Equal(w, outcomes, []string{name, incorrect, incorrect, incorrect, incorrect, incorrect, lockedOut, lockedOut})
		}
	})
}

// TestChoiceSecretHash: the hash is over the name that was sent, or that of the session of a sign-up.
func TestChoiceSecretHash(t *testing.T) {
	t.Parallel()
	onBoth(t, choicePool, func(w *world) {
		c := w.client(clientOf(allFlows, func(c *pool.Client) {
			c.Secrets = []pool.ClientSecret{{ID: "1", Value: secret.New("first")}}
		}))
		w.withPassword("u", reachable)
		want.Equal(w, w.choice("u").text, "NotAuthorizedException: Client "+c.ID+" is configured with secret but SECRET_HASH was not received")
		s := w.choice("u", "SECRET_HASH", hashFor("first", "u"+c.ID))
		want.Equal(w, s.ChallengeName, "SELECT_CHALLENGE")
		want.Equal(w, w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD", "PASSWORD", rightPassword).text, "NotAuthorizedException: Client "+c.ID+" is configured with secret but SECRET_HASH was not received")
		w.gotTokens(w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD", "PASSWORD", rightPassword, "SECRET_HASH", hashFor("first", "u"+c.ID)))
	})
}

// TestFirstCodesAtOnce: of many right answers at once one is good, and of many guesses five are looked at.
func TestFirstCodesAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, choicePool, func(w *world) {
		w.client(allFlows)
		w.withPassword("u", reachable)
		s := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		at := func(n int, code string) map[string]int {
			body := w.answerBody("EMAIL_OTP", s.Session, map[string]string{"USERNAME": "u", "EMAIL_OTP_CODE": code})
			return w.parallel(n, func(int) string {
				_, reply := w.request("RespondToAuthChallenge", body)
				return outcomeOf(reply)
			})
		}
		outcomes := at(50, w.code())
		want.Equal(w, outcomes["ok"], 1)
		want.Equal(w, outcomes[usedSession]+outcomes["busy"], 49)
		s = w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		outcomes = at(50, wrong(w.code()))
		want.Equal(w, outcomes[factorWrong], 5)
		want.Equal(w, outcomes[lockedOut]+outcomes["busy"], 45)
	})
}
