package ops_test

import (
	"encoding/json"
	"slices"
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
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// tablePool has everything that a sign-in can go through; a row of a table changes it.
var tablePool = both(choicePool, customPool, func(s *pool.Settings) { s.MFA, s.TOTP = pool.MFAOptional, new(true) })

// outcome is what an answer came to, in one line: the challenge with its choices, "tokens", or the fault.
func outcome(s signInReply) string {
	switch {
	case s.AuthenticationResult != nil:
		return "tokens"
	case s.ChallengeName == "":
		return s.text
	}
	return strings.TrimSpace(s.ChallengeName + " " + s.ChallengeParameters["MFAS_CAN_CHOOSE"] + s.ChallengeParameters["MFAS_CAN_SETUP"])
}

// TestTransitions is the table of what follows a good answer and a bad one, for every state of a sign-in.
func TestTransitions(t *testing.T) {
	t.Parallel()
	setup := both(mfaRequired, func(s *pool.Settings) { s.Sms, s.FirstFactors = nil, []string{"PASSWORD"} })
	srp := func(w *world, flow string) func(password string) signInReply {
		c := srpclient.New(chance.System().Bytes(32))
		s := w.begin(flow, map[string]string{"USERNAME": "u", "SRP_A": c.Public, "CHALLENGE_NAME": "SRP_A", "PREFERRED_CHALLENGE": "PASSWORD_SRP"})
		want.Equal(w, s.ChallengeName, "PASSWORD_VERIFIER")
		return func(password string) signInReply {
			return w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, password))
		}
	}
	begun := func(w *world) signInReply { return w.byPassword("u", rightPassword) }
	for _, r := range []struct {
		at   string
		pool func(*pool.Settings)
		user func(*user.Record)
		// walk goes to the state and returns how it is answered, right and wrong.
		walk      func(w *world) (answer func(good bool) signInReply)
		good, bad string // bad "": there is no wrong answer
	}{
		{at: "start of USER_SRP_AUTH", good: "PASSWORD_VERIFIER", bad: invalid("Invalid SRP_A"), walk: func(w *world) func(bool) signInReply {
			return func(good bool) signInReply {
				return w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "u", "SRP_A": map[bool]string{true: "2", false: "0"}[good]})
			}
		}},
		{at: "start of a password flow", good: "tokens", bad: incorrect, walk: passwordOr(func(w *world, password string) signInReply { return w.byPassword("u", password) })},
		{at: "start of a password flow, a factor is on", user: factorsOf(user.MFA{SMS: true}), good: "SMS_MFA", bad: incorrect, walk: passwordOr(func(w *world, password string) signInReply { return w.byPassword("u", password) })},
		{at: "PASSWORD_VERIFIER", good: "tokens", bad: incorrect, walk: verifierOr(srp, "USER_SRP_AUTH")},
		{at: "PASSWORD_VERIFIER, temporary", user: temporary, good: "NEW_PASSWORD_REQUIRED", bad: incorrect, walk: verifierOr(srp, "USER_SRP_AUTH")},
		{at: "PASSWORD_VERIFIER, a factor is on", user: factorsOf(user.MFA{SMS: true}), good: "SMS_MFA", bad: incorrect, walk: verifierOr(srp, "USER_SRP_AUTH")},
		{at: "PASSWORD_VERIFIER of a choice", good: "tokens", bad: incorrect, walk: verifierOr(srp, "USER_AUTH")},
		{at: "PASSWORD_VERIFIER of a custom sign-in", good: "CUSTOM_CHALLENGE", bad: incorrect, walk: func(w *world) func(bool) signInReply {
			w.play(script{next: table("SRP_A+", "PASSWORD_VERIFIER", "SRP_A+ PASSWORD_VERIFIER+", "CUSTOM_CHALLENGE")})
			return verifierOr(srp, "CUSTOM_AUTH")(w)
		}},
		{at: "NEW_PASSWORD_REQUIRED", user: temporary, good: "tokens", bad: "InvalidPasswordException: Password does not conform to policy: Password not long enough", walk: newPasswordOr(begun)},
		{at: "NEW_PASSWORD_REQUIRED, a factor is on", user: func(r *user.Record) { temporary(r); r.MFA.SMS = true }, good: "SMS_MFA", bad: "InvalidPasswordException: Password does not conform to policy: Password not long enough", walk: newPasswordOr(begun)},
		{at: "MFA_SETUP of an app", pool: setup, good: "tokens", bad: badSession, walk: func(w *world) func(bool) signInReply {
			s := begun(w)
			answer, session := w.setup("AssociateSoftwareToken", s.Session, "")
			key := secretOf(w, answer)
			proven := false
			return func(good bool) signInReply {
				if good && !proven {
					proven = true
					_, session = w.setup("VerifySoftwareToken", session, userCode(w.appCode(key, 0)))
				}
				return w.answer("MFA_SETUP", session, map[string]string{"USERNAME": "u"})
			}
		}},
		{at: "MFA_SETUP of an e-mail address", pool: both(setup, emailToo), user: func(r *user.Record) { r.Attributes = map[string]string{"name": "N"} }, good: "EMAIL_OTP", bad: invalid("Invalid email address format."),
			walk: func(w *world) func(bool) signInReply {
				s := begun(w)
				return func(good bool) signInReply {
					return w.answer("MFA_SETUP", s.Session, map[string]string{"USERNAME": "u", "EMAIL": map[bool]string{true: "n@x.io", false: "x"}[good]})
				}
			}},
		{at: "SELECT_MFA_TYPE", pool: emailToo, user: factorsOf(user.MFA{SMS: true, Email: true}), good: "EMAIL_OTP", bad: invalid("Invalid MFA type selected."), walk: codeOr(begun, func(*world) (string, string) { return "EMAIL_OTP", "PIGEON" })},
		{at: "SMS_MFA", user: factorsOf(user.MFA{SMS: true}), good: "tokens", bad: factorWrong, walk: codeOr(begun, func(w *world) (string, string) { return w.texted(), wrong(w.texted()) })},
		{at: "EMAIL_OTP as second factor", pool: emailToo, user: factorsOf(user.MFA{Email: true}), good: "tokens", bad: factorWrong, walk: codeOr(begun, func(w *world) (string, string) { return w.code(), wrong(w.code()) })},
		{at: "SOFTWARE_TOKEN_MFA", user: factorsOf(user.MFA{TOTP: true}), good: "tokens", bad: appWrong, walk: func(w *world) func(bool) signInReply {
			key := w.withApp(w.byName("u"))
			return codeOr(begun, func(w *world) (string, string) { return w.appCode(key, 0), wrong(w.appCode(key, 0)) })(w)
		}},
		{at: "SMS_MFA of a custom sign-in", good: "CUSTOM_CHALLENGE", bad: factorWrong, walk: func(w *world) func(bool) signInReply {
			w.play(script{next: table("", "SMS_MFA", "SMS_MFA+", "CUSTOM_CHALLENGE")})
			return codeOr(func(w *world) signInReply { return w.custom("u") }, func(w *world) (string, string) { return w.texted(), wrong(w.texted()) })(w)
		}},
		{at: "SELECT_CHALLENGE, the factor asks", good: "PASSWORD", bad: notAvailable, walk: chooseOr("PASSWORD", "PIGEON")},
		{at: "SELECT_CHALLENGE, with the factor's answer", good: "tokens", bad: incorrect, walk: func(w *world) func(bool) signInReply {
			s := w.choice("u")
			return func(good bool) signInReply {
				return w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD", "PASSWORD", map[bool]string{true: rightPassword, false: "wrong"}[good])
			}
		}},
		{at: "PASSWORD", good: "tokens", bad: incorrect, walk: func(w *world) func(bool) signInReply {
			s := w.choice("u", "PREFERRED_CHALLENGE", "PASSWORD")
			return func(good bool) signInReply {
				return w.reply("PASSWORD", s.Session, "u", "PASSWORD", map[bool]string{true: rightPassword, false: "wrong"}[good])
			}
		}},
		{at: "PASSWORD_SRP", good: "PASSWORD_VERIFIER", bad: invalid("Invalid SRP_A"), walk: func(w *world) func(bool) signInReply {
			s := w.reply("SELECT_CHALLENGE", w.choice("u").Session, "u", "ANSWER", "PASSWORD_SRP")
			return func(good bool) signInReply {
				return w.reply("PASSWORD_SRP", s.Session, "u", "SRP_A", map[bool]string{true: "2", false: "0"}[good])
			}
		}},
		{at: "EMAIL_OTP as first factor", good: "tokens", bad: factorWrong, walk: codeOr(func(w *world) signInReply { return w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP") }, func(w *world) (string, string) { return w.code(), wrong(w.code()) })},
		{at: "SMS_OTP as first factor", good: "tokens", bad: factorWrong, walk: codeOr(func(w *world) signInReply { return w.choice("u", "PREFERRED_CHALLENGE", "SMS_OTP") }, func(w *world) (string, string) { return w.texted(), wrong(w.texted()) })},
		{at: "CUSTOM_CHALLENGE, then another", good: "CUSTOM_CHALLENGE", walk: func(w *world) func(bool) signInReply {
			w.play(script{next: table("", "CUSTOM_CHALLENGE", "CUSTOM_CHALLENGE+[m0]", "CUSTOM_CHALLENGE")})
			s := w.custom("u")
			return func(bool) signInReply { return w.solve(s, "sesame") }
		}},
		{at: "CUSTOM_CHALLENGE, then tokens", good: "tokens", walk: func(w *world) func(bool) signInReply {
			w.play(riddle)
			s := w.custom("u")
			return func(bool) signInReply { return w.solve(s, "sesame") }
		}},
		{at: "CUSTOM_CHALLENGE, then the end", good: incorrect, walk: func(w *world) func(bool) signInReply {
			w.play(script{next: table("", "CUSTOM_CHALLENGE")})
			s := w.custom("u")
			return func(bool) signInReply { return w.solve(s, "sesame") }
		}},
	} {
		t.Run(r.at, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(tablePool, r.pool), func(w *world) {
				w.client(allFlows)
				u := w.withPassword("u", reachable)
				if r.user != nil {
					w.alter(u, r.user)
				}
				answer := r.walk(w)
				if r.bad != "" {
					want.Equal(w, outcome(answer(false)), r.bad) // and the state is the same as before
				}
				want.Equal(w, outcome(answer(true)), r.good)
				if !strings.HasPrefix(r.at, "start") {
					want.Equal(w, outcome(answer(true)), usedSession) // every step is passed once
				}
			})
		})
	}
}

// passwordOr answers by the right password or by a wrong one.
func passwordOr(fn func(w *world, password string) signInReply) func(*world) func(bool) signInReply {
	return func(w *world) func(bool) signInReply {
		return func(good bool) signInReply {
			return fn(w, map[bool]string{true: rightPassword, false: "wrong"}[good])
		}
	}
}

func verifierOr(begin func(*world, string) func(string) signInReply, flow string) func(*world) func(bool) signInReply {
	return func(w *world) func(bool) signInReply {
		answer := begin(w, flow)
		return func(good bool) signInReply {
			return answer(map[bool]string{true: rightPassword, false: "wrong"}[good])
		}
	}
}

func newPasswordOr(begin func(*world) signInReply) func(*world) func(bool) signInReply {
	return func(w *world) func(bool) signInReply {
		s := begin(w)
		return func(good bool) signInReply {
			return w.reply("NEW_PASSWORD_REQUIRED", s.Session, "u", "NEW_PASSWORD", map[bool]string{true: "N3w-Passw0rd", false: "short"}[good])
		}
	}
}

// codeOr answers a challenge by one of two codes, the right one first.
func codeOr(begin func(*world) signInReply, codes func(*world) (right, wrong string)) func(*world) func(bool) signInReply {
	return func(w *world) func(bool) signInReply {
		s := begin(w)
		right, bad := codes(w)
		parameter := map[string]string{"SELECT_MFA_TYPE": "ANSWER"}[s.ChallengeName]
		if parameter == "" {
			parameter = s.ChallengeName + "_CODE"
		}
		return func(good bool) signInReply {
			return w.reply(s.ChallengeName, s.Session, "u", parameter, map[bool]string{true: right, false: bad}[good])
		}
	}
}

func chooseOr(right, bad string) func(*world) func(bool) signInReply {
	return func(w *world) func(bool) signInReply {
		s := w.choice("u")
		return func(good bool) signInReply {
			return w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", map[bool]string{true: right, false: bad}[good])
		}
	}
}

// TestPasswordless is the table of what sign-ins without a password are good for where there are second factors.
func TestPasswordless(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name     string
		mode     string
		on       bool // the user has a second factor
		code     bool // a code can be the first factor
		password string
	}{
		{"ON, a factor", pool.MFAOn, true, false, "SMS_MFA"},
		{"ON, none", pool.MFAOn, false, false, "SMS_MFA"},
		{"OPTIONAL, a factor", pool.MFAOptional, true, false, "SMS_MFA"},
		{"OPTIONAL, none", pool.MFAOptional, false, true, "tokens"},
		{"OFF, a factor", pool.MFAOff, true, true, "tokens"},
		{"OFF, none", pool.MFAOff, false, true, "tokens"},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(choicePool, func(s *pool.Settings) { s.MFA = r.mode }), func(w *world) {
				w.client(allFlows)
				w.withPassword("u", reachable, factorsOf(user.MFA{SMS: r.on}))
				s := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
				want.Equal(w, s.ChallengeName == "EMAIL_OTP", r.code)
				if r.code {
					want.Equal(w, outcome(w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", w.code())), "tokens")
				}
				want.Equal(w, outcome(w.choice("u", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", rightPassword)), r.password)
			})
		})
	}
}

// TestSignInTexts provokes every text of sign-ins, refreshes and second factors, each under its own name.
func TestSignInTexts(t *testing.T) {
	t.Parallel()
	const (
		no      = "NotAuthorizedException: "
		initial = "InitiateAuth"
	)
	signedIn := func(w *world) signInReply { return w.byPassword("u", rightPassword) }
	refresh := func(w *world, token string) string {
		return w.begin("REFRESH_TOKEN", map[string]string{"REFRESH_TOKEN": token}).text
	}
	flowsBut := func(flow string) func(*pool.Client) {
		return clientOf(allFlows, func(c *pool.Client) {
			c.AuthFlows = slices.DeleteFunc(c.AuthFlows, func(v string) bool { return v == "ALLOW_"+flow })
		})
	}
	secretly := clientOf(allFlows, func(c *pool.Client) {
		c.Secrets = []pool.ClientSecret{{ID: "1", Value: secret.New("theSecretOfTheClient1234")}}
	})
	fails := func(err error) func(w *world) string {
		return func(w *world) string {
			w.hooks.mu.Lock()
			w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) { return nil, err }
			w.hooks.mu.Unlock()
			return w.custom("u").text
		}
	}
	state := func(change func(*user.Record)) func(w *world) string {
		return func(w *world) string { w.alter(w.byName("u"), change); return signedIn(w).text }
	}
	flow := func(name string) func(w *world) string {
		return func(w *world) string { return w.begin(name, map[string]string{"USERNAME": "u"}).text }
	}
	preference := func(blocks string) func(w *world) string {
		return func(w *world) string {
			return w.call("AdminSetUserMFAPreference", `{"UserPoolId":"$pool","Username":"u",`+blocks+`}`)
		}
	}
	newPassword := func(more ...string) func(w *world) string {
		return func(w *world) string {
			w.alter(w.byName("u"), temporary)
			return w.reply("NEW_PASSWORD_REQUIRED", signedIn(w).Session, "u", append([]string{"NEW_PASSWORD", "N3w-Passw0rd"}, more...)...).text
		}
	}
	required := func(s *pool.Settings) {
		s.Standard = map[string]pool.Attribute{"name": {Name: "name", Type: pool.String, Mutable: true, Required: true}, "family_name": {Name: "family_name", Type: pool.String, Mutable: true, Required: true}}
	}
	for _, r := range []struct {
		text   string
		pool   func(*pool.Settings)
		client func(*pool.Client)
		do     func(w *world) string
	}{
		{text: incorrect, do: func(w *world) string { return w.byPassword("u", "wrong").text }},
		{text: isDisabled, do: state(func(r *user.Record) { r.Enabled = false })},
		{text: lockedOut, do: func(w *world) string {
			for range 5 {
				w.byPassword("u", "wrong")
			}
			return signedIn(w).text
		}},
		{text: no + "Temporary password has expired and must be reset by an administrator.", do: state(func(r *user.Record) { temporary(r); r.TemporarySince = start.AddDate(0, 0, -7) })},
		{text: badSession, do: func(w *world) string {
			return w.reply("SELECT_CHALLENGE", strings.Repeat("x", 40), "u", "ANSWER", "PASSWORD").text
		}},
		{text: oldSession, do: func(w *world) string {
			s := w.choice("u")
			w.clock.Advance(3 * time.Minute)
			return w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD").text
		}},
		{text: usedSession, do: func(w *world) string {
			s := w.choice("u")
			w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD")
			return w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", "PASSWORD").text
		}},
		{text: no + "Client <client> is configured with secret but SECRET_HASH was not received", client: secretly, do: func(w *world) string { return signedIn(w).text }},
		{text: no + "Unable to verify secret hash for client <client>", client: secretly, do: func(w *world) string {
			return w.begin("USER_PASSWORD_AUTH", map[string]string{"USERNAME": "u", "PASSWORD": rightPassword, "SECRET_HASH": "x"}).text
		}},
		{text: no + "SecretHash does not match for the client: <client>", client: secretly, do: func(w *world) string {
			token := w.begin("USER_PASSWORD_AUTH", map[string]string{"USERNAME": "u", "PASSWORD": rightPassword, "SECRET_HASH": hashFor("theSecretOfTheClient1234", "u"+w.clientID)}).AuthenticationResult.RefreshToken
			return w.begin("REFRESH_TOKEN", map[string]string{"REFRESH_TOKEN": token, "SECRET_HASH": "x"}).text
		}},
		{text: no + "Unable to verify secret for client <client>", client: secretly, do: func(w *world) string {
			return w.call("GetTokensFromRefreshToken", `{"ClientId":"`+w.clientID+`","RefreshToken":"x"}`)
		}},
		{text: no + "Invalid Refresh Token.", do: func(w *world) string { return refresh(w, "x") }},
		{text: no + "Refresh Token has expired", do: func(w *world) string {
			token := signedIn(w).AuthenticationResult.RefreshToken
			w.clock.Advance(30 * 24 * time.Hour)
			return refresh(w, token)
		}},
		{text: no + "Refresh Token has been revoked", do: func(w *world) string {
			token := signedIn(w).AuthenticationResult.RefreshToken
			want.Equal(w, w.call("AdminUserGlobalSignOut", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
			return refresh(w, token)
		}},
		{text: no + "Invalid Access Token", do: func(w *world) string { return w.call("GetUser", `{"AccessToken":"x"}`) }},
		{text: no + "Could not verify signature for Access Token", do: func(w *world) string {
			token := signedIn(w).AuthenticationResult.AccessToken
			cut := strings.LastIndexByte(token, '.')
			other := w.claimsOf(token)
			want.True(w, other != "", "a token with claims")
			flipped := "A"
			if token[cut+1] == 'A' {
				flipped = "B"
			}
			return w.call("GetUser", `{"AccessToken":"`+token[:cut+1]+flipped+token[cut+2:]+`"}`)
		}},
		{text: no + "Access Token has expired", do: func(w *world) string {
			token := signedIn(w).AuthenticationResult.AccessToken
			w.clock.Advance(time.Hour)
			return w.call("GetUser", `{"AccessToken":"`+token+`"}`)
		}},
		{text: no + "Access Token has been revoked", do: func(w *world) string {
			token := signedIn(w).AuthenticationResult.AccessToken
			want.Equal(w, w.call("GlobalSignOut", `{"AccessToken":"`+token+`"}`), "{}")
			return w.call("GetUser", `{"AccessToken":"`+token+`"}`)
		}},
		{text: no + "Access Token does not have required scopes", pool: withTokenHook("V2_0"), do: func(w *world) string {
			w.answers(map[string]string{"PreTokenGeneration": `{"claimsAndScopeOverrideDetails":{"accessTokenGeneration":{"scopesToSuppress":["aws.cognito.signin.user.admin"]}}}`})
			return w.call("GetUser", `{"AccessToken":"`+signedIn(w).AuthenticationResult.AccessToken+`"}`)
		}},
		{text: nobodyThere, do: func(w *world) string { return w.byPassword("nobody", "x").text }},
		{text: "UserNotFoundException: Exception migrating user in app client <client>", pool: withHook("UserMigration"), do: func(w *world) string {
			w.answers(map[string]string{"UserMigration": "no"})
			return w.byPassword("nobody", "x").text
		}},
		{text: "UserNotConfirmedException: User is not confirmed.", do: state(func(r *user.Record) { r.Status = user.Unconfirmed })},
		{text: "PasswordResetRequiredException: Password reset required for the user", do: state(func(r *user.Record) { r.Status = user.ResetRequired })},
		{text: "ResourceNotFoundException: User pool us-east-1_nope does not exist.", do: func(w *world) string {
			return w.call("AdminInitiateAuth", `{"UserPoolId":"us-east-1_nope","ClientId":"nope","AuthFlow":"USER_AUTH"}`)
		}},
		{text: "ResourceNotFoundException: User pool client nope does not exist.", do: func(w *world) string { return w.call(initial, `{"ClientId":"nope","AuthFlow":"USER_AUTH"}`) }},
		{text: invalid("Missing required parameter USERNAME"), do: func(w *world) string { return w.begin("USER_AUTH", nil).text }},
		{text: invalid("Initiate Auth method not supported."), do: func(w *world) string {
			return w.call(initial, `{"ClientId":"`+w.clientID+`","AuthFlow":"ADMIN_NO_SRP_AUTH"}`)
		}},
		{text: invalid("USER_PASSWORD_AUTH flow not enabled for this client"), client: flowsBut("USER_PASSWORD_AUTH"), do: flow("USER_PASSWORD_AUTH")},
		{text: invalid("Auth flow not enabled for this client"), client: flowsBut("ADMIN_USER_PASSWORD_AUTH"), do: flow("ADMIN_USER_PASSWORD_AUTH")},
		{text: invalid("USER_SRP_AUTH is not enabled for the client."), client: flowsBut("USER_SRP_AUTH"), do: flow("USER_SRP_AUTH")},
		{text: invalid("CUSTOM_AUTH is not enabled for the client."), client: flowsBut("CUSTOM_AUTH"), do: flow("CUSTOM_AUTH")},
		{text: invalid("USER_AUTH flow not enabled for this client"), client: flowsBut("USER_AUTH"), do: flow("USER_AUTH")},
		{text: invalid("REFRESH_TOKEN_AUTH flow not enabled for this client"), client: flowsBut("REFRESH_TOKEN_AUTH"), do: flow("REFRESH_TOKEN_AUTH")},
		{text: invalid("Invalid SRP_A"), do: func(w *world) string {
			return w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "u", "SRP_A": "0"}).text
		}},
		{text: invalid("TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english."), do: func(w *world) string {
			c := srpclient.New(chance.System().Bytes(32))
			proof := w.prove(c, w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "u", "SRP_A": c.Public}), rightPassword)
			proof["TIMESTAMP"] = "now"
			return w.answer("PASSWORD_VERIFIER", "", proof).text
		}},
		{text: invalid("Invalid MFA type selected."), pool: emailToo, do: func(w *world) string {
			w.alter(w.byName("u"), factorsOf(user.MFA{SMS: true, Email: true}))
			return w.reply("SELECT_MFA_TYPE", signedIn(w).Session, "u", "ANSWER", "PIGEON").text
		}},
		{text: notAvailable, do: func(w *world) string {
			return w.reply("SELECT_CHALLENGE", w.choice("u").Session, "u", "ANSWER", "PIGEON").text
		}},
		{text: invalid("Invalid attributes given, family_name is missing"), pool: required, do: newPassword()},
		{text: invalid("Cannot modify an already provided name"), pool: required, do: newPassword("userAttributes.family_name", "F", "userAttributes.name", "M")},
		{text: invalid("User does not have delivery config set to turn on SMS_MFA"), do: func(w *world) string {
			w.alter(w.byName("u"), func(r *user.Record) { delete(r.Attributes, pool.PhoneNumber) })
			return preference(`"SMSMfaSettings":{"Enabled":true}`)(w)
		}},
		{text: invalid("User does not have delivery config set to turn on SOFTWARE_TOKEN_MFA"), do: preference(`"SoftwareTokenMfaSettings":{"Enabled":true}`)},
		{text: invalid("User has not verified software token mfa"), do: func(w *world) string {
			return w.call("SetUserMFAPreference", `{"AccessToken":"`+signedIn(w).AuthenticationResult.AccessToken+`","SoftwareTokenMfaSettings":{"Enabled":true}}`)
		}},
		{text: factorWrong, do: func(w *world) string {
			s := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
			return w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", wrong(w.code())).text
		}},
		{text: appWrong, do: func(w *world) string {
			u := w.byName("u")
			key := w.withApp(u)
			w.alter(u, factorsOf(user.MFA{TOTP: true}))
			return w.pass(signedIn(w), wrong(w.appCode(key, 0))).text
		}},
		{text: appUsed, do: func(w *world) string {
			u := w.byName("u")
			key := w.withApp(u)
			w.alter(u, factorsOf(user.MFA{TOTP: true}))
			w.signedIn(w.pass(signedIn(w), w.appCode(key, 0)))
			return w.pass(signedIn(w), w.appCode(key, 0)).text
		}},
		{text: "ExpiredCodeException: Invalid code provided, please request a code again.", do: func(w *world) string {
			s := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
			right := w.code()
			w.alter(w.byName("u"), func(r *user.Record) { r.Attributes[pool.Email] = "b@x.io" })
			return w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", right).text
		}},
		{text: "SoftwareTokenMFANotFoundException: Software Token MFA has not been enabled by the userPool", pool: func(s *pool.Settings) { s.TOTP = nil }, do: func(w *world) string {
			return w.call("AssociateSoftwareToken", `{"AccessToken":"`+signedIn(w).AuthenticationResult.AccessToken+`"}`)
		}},
		{text: "EnableSoftwareTokenMFAException: Code mismatch", do: func(w *world) string {
			token := signedIn(w).AuthenticationResult.AccessToken
			key := w.associate(token)
			return w.call("VerifySoftwareToken", `{"AccessToken":"`+token+`"`+userCode(wrong(w.appCode(key, 0)))+`}`)
		}},
		{text: invalid(noMethod), do: state(func(r *user.Record) { r.MFA.TOTP = true })},
		{text: "MFAMethodNotFoundException: " + noMethod, do: func(w *world) string {
			c := srpclient.New(chance.System().Bytes(32))
			s := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "u", "SRP_A": c.Public})
			w.alter(w.byName("u"), factorsOf(user.MFA{TOTP: true}))
			return w.answer("PASSWORD_VERIFIER", "", w.prove(c, s, rightPassword)).text
		}},
		{text: noFunction, pool: func(s *pool.Settings) { s.Lambda.Functions = nil }, do: func(w *world) string { return w.custom("u").text }},
		{text: noChallenge, do: func(w *world) string {
			w.play(script{next: table("", "PIGEON")})
			return w.custom("u").text
		}},
		{text: "UserLambdaValidationException: DefineAuthChallenge failed with error no.", do: fails(&trigger.FunctionError{Message: "no"})},
		{text: "UnexpectedLambdaException: DefineAuthChallenge invocation failed due to error AccessDeniedException.", do: fails(&trigger.Unreachable{Reason: "AccessDeniedException"})},
		{text: "UnexpectedLambdaException: Socket timeout while invoking Lambda function", do: fails(trigger.ErrTimeout)},
		{text: garbled, do: fails(trigger.ErrUnrecognizable)},
		{text: "InvalidLambdaResponseException: Invalid lambda function output : Invalid JSON", do: fails(trigger.ErrNotJSON)},
		{text: "RefreshTokenReuseException: Refresh token has been reused.", client: rotating(0), do: func(w *world) string {
			body := `{"ClientId":"` + w.clientID + `","RefreshToken":"` + signedIn(w).AuthenticationResult.RefreshToken + `"}`
			want.Contains(w, w.call("GetTokensFromRefreshToken", body), "AccessToken")
			return w.call("GetTokensFromRefreshToken", body)
		}},
		{text: "UnsupportedOperationException: Token revocation is not enabled for this client.", client: clientOf(allFlows, func(c *pool.Client) { c.Revocation = false }), do: func(w *world) string {
			return w.call("RevokeToken", `{"ClientId":"`+w.clientID+`","Token":"`+signedIn(w).AuthenticationResult.RefreshToken+`"}`)
		}},
		{text: "UnsupportedTokenTypeException: Unsupported token type.", do: func(w *world) string {
			return w.call("RevokeToken", `{"ClientId":"`+w.clientID+`","Token":"`+signedIn(w).AuthenticationResult.AccessToken+`"}`)
		}},
		{text: "UnauthorizedException: Invalid client credentials.", do: func(w *world) string { return w.call("RevokeToken", `{"ClientId":"nope","Token":"x"}`) }},
		{text: tooManyCodes, do: func(w *world) string {
			w.update(func(tx store.Tx) error {
				return tx.Tallies().Put(w.pool.ID, w.byName("u").Sub, verify.AskFirstFactor, verify.Tally{Since: start, Spent: verify.AskFirstFactor.Limit()})
			})
			return w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP").text
		}},
	} {
		t.Run(r.text, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(tablePool, r.pool), func(w *world) {
				client := r.client
				if client == nil {
					client = allFlows
				}
				c := w.client(client)
				w.withPassword("u", reachable)
				want.Equal(w, strings.ReplaceAll(r.do(w), c.ID, "<client>"), r.text)
			})
		})
	}
}
