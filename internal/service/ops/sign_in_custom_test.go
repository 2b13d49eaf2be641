package ops_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// customPool has the three functions of custom sign-ins.
var customPool = both(withHook("DefineAuthChallenge"), withHook("CreateAuthChallenge"), withHook("VerifyAuthChallengeResponse"))

const (
	defined  = "DefineAuthChallenge_Authentication"
	created  = "CreateAuthChallenge_Authentication"
	verified = "VerifyAuthChallengeResponse_Authentication"

	noFunction  = "InvalidUserPoolConfigurationException: Custom auth lambda trigger is not configured for the user pool."
	noChallenge = "InvalidLambdaResponseException: Invalid challenge name"
	garbled     = "InvalidLambdaResponseException: Unrecognizable lambda output"
)

// script are functions of a custom sign-in: next decides by the history, written as "SRP_A+ CUSTOM_CHALLENGE-[note]".
type script struct {
	next   func(history string) string // the name of a challenge, "tokens", "fail", or a whole response
	create string                      // the response of CreateAuthChallenge; "" is one with public and private parameters and a note
	more   string                      // more private parameters of that one, each behind a comma
	right  string                      // the answer that is right; "" is "sesame"
}

// play lets the functions of a script run.
func (w *world) play(s script) {
	w.hooks.mu.Lock()
	defer w.hooks.mu.Unlock()
	w.hooks.answer = func(c *trigger.Call) (json.RawMessage, error) {
		var e struct {
			Request struct {
				Session []struct {
					ChallengeName     string
					ChallengeResult   bool
					ChallengeMetadata *string
				}
				ChallengeAnswer            string
				PrivateChallengeParameters map[string]string
			}
		}
		if err := json.Unmarshal(c.Event, &e); err != nil {
			return nil, err
		}
		switch c.Trigger {
		case "DefineAuthChallenge":
			var history []string
			for _, x := range e.Request.Session {
				text := x.ChallengeName + map[bool]string{true: "+", false: "-"}[x.ChallengeResult]
				if x.ChallengeMetadata != nil {
					text += "[" + *x.ChallengeMetadata + "]"
				}
				history = append(history, text)
			}
			switch next := s.next(strings.Join(history, " ")); {
			case strings.HasPrefix(next, "{"):
				return json.RawMessage(next), nil
			case next == "tokens":
				return json.RawMessage(`{"issueTokens":true,"failAuthentication":false}`), nil
			case next == "fail":
				return json.RawMessage(`{"issueTokens":true,"failAuthentication":true}`), nil
			default:
				return json.RawMessage(`{"challengeName":"` + next + `","issueTokens":false,"failAuthentication":false}`), nil
			}
		case "CreateAuthChallenge":
			if s.create != "" {
				return json.RawMessage(s.create), nil
			}
			return json.RawMessage(`{"publicChallengeParameters":{"hint":"open"},"privateChallengeParameters":{"answer":"sesame"` + s.more + `},"challengeMetadata":"m` + fmt.Sprint(len(e.Request.Session)) + `"}`), nil
		case "VerifyAuthChallengeResponse":
			right := s.right
			if right == "" {
				right = e.Request.PrivateChallengeParameters["answer"]
			}
			return json.RawMessage(fmt.Sprintf(`{"answerCorrect":%v}`, e.Request.ChallengeAnswer == right)), nil
		}
		return json.RawMessage(`{}`), nil
	}
}

// table decides by a list of histories and what follows each.
func table(pairs ...string) func(string) string {
	return func(history string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == history {
				return pairs[i+1]
			}
		}
		return "fail"
	}
}

// riddle asks one challenge, up to three times.
var riddle = script{next: table("", "CUSTOM_CHALLENGE", "CUSTOM_CHALLENGE+[m0]", "tokens", "CUSTOM_CHALLENGE-[m0]", "CUSTOM_CHALLENGE",
	"CUSTOM_CHALLENGE-[m0] CUSTOM_CHALLENGE+[m1]", "tokens", "CUSTOM_CHALLENGE-[m0] CUSTOM_CHALLENGE-[m1]", "CUSTOM_CHALLENGE",
	"CUSTOM_CHALLENGE-[m0] CUSTOM_CHALLENGE-[m1] CUSTOM_CHALLENGE+[m2]", "tokens")}

// custom begins a CUSTOM_AUTH.
func (w *world) custom(name string, more ...string) signInReply {
	w.Helper()
	parameters := map[string]string{"USERNAME": name}
	for i := 0; i < len(more); i += 2 {
		parameters[more[i]] = more[i+1]
	}
	return w.begin("CUSTOM_AUTH", parameters)
}

// solve answers a CUSTOM_CHALLENGE in the name that the challenge gave.
func (w *world) solve(s signInReply, answer string) signInReply {
	w.Helper()
	return w.answer("CUSTOM_CHALLENGE", s.Session, map[string]string{"USERNAME": s.ChallengeParameters["USERNAME"], "ANSWER": answer})
}

// customSRP begins a CUSTOM_AUTH with SRP; the reply is what the functions want first.
func (w *world) customSRP(name string) (*srpclient.Client, signInReply) {
	w.Helper()
	c := srpclient.New(chance.System().Bytes(32))
	return c, w.custom(name, "CHALLENGE_NAME", "SRP_A", "SRP_A", c.Public)
}

// TestCustomSignIn: a challenge of the pool's own, answered by the public operations and by those of administrators.
func TestCustomSignIn(t *testing.T) {
	t.Parallel()
	onBoth(t, both(customPool, aliasPool, signInHooks), func(w *world) {
		c := w.client(allFlows)
		u := w.withPassword("jane", map[string]string{"email": "jane@x.io", "email_verified": "true"})
		w.play(riddle)
		for _, name := range []string{"jane", "jane@x.io"} {
			s := w.custom(name)
			want.Equal(w, s.ChallengeName, "CUSTOM_CHALLENGE")
			want.Equal(w, s.ChallengeParameters, map[string]string{"hint": "open", "USERNAME": "jane"})
			want.True(w, len(s.Session) > 1000 && len(s.Session) <= 2048 && !strings.Contains(s.text, "sesame"), "a session that shows nothing: %s", s.text)
			want.Equal(w, w.ran(), []string{"PreAuthentication_Authentication", defined, created})
			done := w.solve(s, "sesame")
			w.gotTokens(done)
			want.Equal(w, w.ran(), []string{verified, defined, "PostAuthentication_Authentication", "TokenGeneration_Authentication"})
			want.Equal(w, w.claim(done.AuthenticationResult.AccessToken, "username"), any("jane"))
			want.Equal(w, w.solve(s, "sesame").text, usedSession)
			want.Equal(w, w.ran(), nil)
		}
		body := `{"UserPoolId":"$pool","ClientId":"` + c.ID + `",`
		s := w.readSignIn(w.call("AdminInitiateAuth", body+`"AuthFlow":"CUSTOM_AUTH","AuthParameters":{"USERNAME":"jane","CHALLENGE_NAME":"CUSTOM_CHALLENGE"},"ClientMetadata":{"a":"b"}}`))
		want.Equal(w, s.ChallengeName, "CUSTOM_CHALLENGE")
		for _, e := range w.happened()[1:] {
			want.True(w, e.Request["clientMetadata"] == nil, "what a sign-in begins with is not for %s", e.TriggerSource)
		}
		done := w.readSignIn(w.call("AdminRespondToAuthChallenge", body+`"ChallengeName":"CUSTOM_CHALLENGE","Session":"`+s.Session+`","ChallengeResponses":{"USERNAME":"jane","ANSWER":"sesame"},"ClientMetadata":{"x":"y"}}`))
		w.gotTokens(done)
		for _, e := range w.happened() {
			want.Equal(w, e.Request["clientMetadata"], any(map[string]any{"x": "y"}))
		}
		want.Equal(w, sorted(w.journal(u.Sub)), []string{"AdminRespondToAuthChallenge", "RespondToAuthChallenge", "RespondToAuthChallenge"})
		want.Equal(w, w.missed(u.Sub), verify.Tally{})
		want.Equal(w, len(w.sent())+w.due(), 0)
	})
}

// TestCustomHistory: three riddles; wrong answers go on, since the functions decide what they mean, and each has a session of its own.
func TestCustomHistory(t *testing.T) {
	t.Parallel()
	onBoth(t, customPool, func(w *world) {
		w.client(allFlows)
		w.withPassword("jane", nil)
		w.play(riddle)
		one := w.custom("jane")
		two := w.solve(one, "wrong")
		want.Equal(w, two.ChallengeName, "CUSTOM_CHALLENGE")
		want.Equal(w, w.solve(one, "sesame").text, usedSession)
		three := w.solve(two, "")
		want.Equal(w, three.ChallengeName, "CUSTOM_CHALLENGE")
		w.happened()
		w.gotTokens(w.solve(three, "sesame"))
		events := w.happened()
		want.Equal(w, sourcesOf(events), []string{verified, defined})
		want.Equal(w, events[0].Request["privateChallengeParameters"], any(map[string]any{"answer": "sesame"}))
		history, err := json.Marshal(events[1].Request["session"])
		want.NoError(w, err)
		want.Equal(w, string(history), `[{"challengeMetadata":"m0","challengeName":"CUSTOM_CHALLENGE","challengeResult":false},`+
			`{"challengeMetadata":"m1","challengeName":"CUSTOM_CHALLENGE","challengeResult":false},{"challengeMetadata":"m2","challengeName":"CUSTOM_CHALLENGE","challengeResult":true}]`)

		// The fourth wrong one ends it, in words that say nothing.
		s := w.custom("jane")
		for range 2 {
			s = w.solve(s, "wrong")
		}
		want.Equal(w, w.solve(s, "wrong").text, incorrect)
		want.Equal(w, w.missed(w.byName("jane").Sub), verify.Tally{})
	})
}

// TestCustomWithSRP: the functions let a password be proven first, and the second factor of the user follows before they hear of it.
func TestCustomWithSRP(t *testing.T) {
	t.Parallel()
	const srp = "SRP_A+"
	onBoth(t, both(customPool, mfaPool), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable)
		all := script{next: table(srp, "PASSWORD_VERIFIER", srp+" PASSWORD_VERIFIER+", "CUSTOM_CHALLENGE", srp+" PASSWORD_VERIFIER+ SMS_MFA+", "CUSTOM_CHALLENGE",
			srp+" PASSWORD_VERIFIER+ CUSTOM_CHALLENGE+[m2]", "tokens", srp+" PASSWORD_VERIFIER+ SMS_MFA+ CUSTOM_CHALLENGE+[m3]", "tokens")}
		w.play(all)
		_, s := w.customSRP("a@x.io")
		want.Equal(w, s.text, nobodyThere) // no alias in this pool
		c, s := w.customSRP("u")
		want.Equal(w, s.ChallengeName, "PASSWORD_VERIFIER")
		want.Equal(w, len(s.ChallengeParameters), 5)
		proof := w.prove(c, s, rightPassword)
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", proof).text, invalid("Missing required parameter Session"))
		_, other := w.customSRP("u")
		want.Equal(w, w.answer("PASSWORD_VERIFIER", other.Session, proof).text, badSession)
		w.happened()
		want.Equal(w, w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, "wrong")).text, incorrect)
		want.Equal(w, w.ran(), nil) // nobody is asked about a wrong password
		want.Equal(w, w.missed(u.Sub).Spent, 1)
		next := w.answer("PASSWORD_VERIFIER", s.Session, proof)
		want.Equal(w, next.ChallengeName, "CUSTOM_CHALLENGE")
		want.Equal(w, w.missed(u.Sub), verify.Tally{})
		want.Equal(w, w.answer("PASSWORD_VERIFIER", s.Session, proof).text, usedSession)
		w.gotTokens(w.solve(next, "sesame"))

		// With a second factor.
		w.alter(u, factorsOf(user.MFA{SMS: true}))
		c, s = w.customSRP("u")
		w.happened()
		asked := w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, rightPassword))
		want.Equal(w, asked.ChallengeName, "SMS_MFA")
		code := w.texted()
		w.sent()
		want.Equal(w, w.ran(), nil)
		want.Equal(w, w.pass(asked, wrong(code)).text, factorWrong)
		next = w.pass(asked, code)
		want.Equal(w, next.ChallengeName, "CUSTOM_CHALLENGE")
		want.Equal(w, w.ran(), []string{defined, created})
		w.gotTokens(w.solve(next, "sesame"))
		want.Equal(w, w.stored(u).Attributes[pool.PhoneNumberVerified], "true")

		// A lock and the states of users are told as in any other exchange.
		for range 5 {
			c, s = w.customSRP("u")
			want.Equal(w, w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, "wrong")).text, incorrect)
		}
		want.Equal(w, w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, rightPassword)).text, lockedOut)
		w.clock.Advance(time.Minute)
		w.alter(u, func(r *user.Record) { r.Status = user.Unconfirmed })
		c, s = w.customSRP("u")
		want.Equal(w, w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, rightPassword)).text, "UserNotConfirmedException: User is not confirmed.")
	})
}

// TestCustomNewPassword: a temporary password is changed on the way, and the functions hear of that too.
func TestCustomNewPassword(t *testing.T) {
	t.Parallel()
	onBoth(t, both(customPool, signInHooks), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("jane", nil, temporary)
		w.play(script{next: table("SRP_A+", "PASSWORD_VERIFIER", "SRP_A+ PASSWORD_VERIFIER+ NEW_PASSWORD_REQUIRED+", "tokens", "", "tokens")})
		c, s := w.customSRP("jane")
		next := w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, rightPassword))
		want.Equal(w, next.ChallengeName, "NEW_PASSWORD_REQUIRED")
		w.happened()
		w.gotTokens(w.answer("NEW_PASSWORD_REQUIRED", next.Session, map[string]string{"USERNAME": "jane", "NEW_PASSWORD": "N3w-Passw0rd"}))
		want.Equal(w, w.ran(), []string{defined, "PostAuthentication_Authentication", "TokenGeneration_NewPasswordChallenge"})
		want.Equal(w, sorted(w.journal(u.Sub)), []string{"RespondToAuthChallenge", "RespondToAuthChallenge password"})

		// Without SRP a temporary password is of no account (observed).
		w.alter(u, temporary)
		w.gotTokens(w.custom("jane"))
	})
}

// TestCustomFactors: the functions may ask for second factors by name, in any order.
func TestCustomFactors(t *testing.T) {
	t.Parallel()
	onBoth(t, both(customPool, mfaPool, emailToo), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable)
		key := w.withApp(u)
		w.play(script{next: table("", "SMS_MFA", "SMS_MFA+", "EMAIL_OTP", "SMS_MFA+ EMAIL_OTP+", "SOFTWARE_TOKEN_MFA", "SMS_MFA+ EMAIL_OTP+ SOFTWARE_TOKEN_MFA+", "tokens")})
		s := w.custom("u")
		want.Equal(w, s.ChallengeName, "SMS_MFA")
		want.Equal(w, s.ChallengeParameters, map[string]string{"CODE_DELIVERY_DELIVERY_MEDIUM": "SMS", "CODE_DELIVERY_DESTINATION": "+*******1234", "USER_ID_FOR_SRP": "u"})
		want.Equal(w, len(w.texted()), 6)
		s = w.pass(s, w.texted())
		want.Equal(w, s.ChallengeName, "EMAIL_OTP")
		want.Equal(w, w.pass(s, wrong(w.code())).text, factorWrong)
		s = w.pass(s, w.code())
		want.Equal(w, s.ChallengeName, "SOFTWARE_TOKEN_MFA")
		want.Equal(w, w.sent(), []string{smsSent, emailSent})
		w.gotTokens(w.pass(s, w.appCode(key, 0)))
		want.Equal(w, sorted(w.changes(u.Sub)), []string{"InitiateAuth", "RespondToAuthChallenge", "RespondToAuthChallenge", "RespondToAuthChallenge phone_number_verified"})

		// What the user lacks cannot be asked for.
		w.alter(u, func(r *user.Record) { delete(r.Attributes, pool.PhoneNumber) })
		want.Equal(w, w.custom("u").text, invalid(noMethod))
	})
}

// TestCustomDecisions has a row for every kind of answer of the functions.
func TestCustomDecisions(t *testing.T) {
	t.Parallel()
	settings := both(customPool, mfaPool)
	onBoth(t, settings, func(w *world) {
		w.client(allFlows)
		w.withPassword("u", nil)
		public := `{"publicChallengeParameters":`
		for _, r := range []struct{ name, next, create, want string }{
			{"fail goes before tokens", "fail", "", incorrect},
			{"fail alone", `{"failAuthentication":true}`, "", incorrect},
			{"tokens without a challenge", "tokens", "", `{"ChallengeParameters":{},"AuthenticationResult"`},
			{"tokens beside a name", `{"issueTokens":true,"challengeName":"CUSTOM_CHALLENGE"}`, "", `{"ChallengeParameters":{},"AuthenticationResult"`},
			{"nothing", `{}`, "", noChallenge},
			{"nulls", `{"challengeName":null,"issueTokens":null,"failAuthentication":null}`, "", noChallenge},
			{"no such challenge", "RIDDLE", "", noChallenge},
			{"a challenge that functions cannot ask for", "NEW_PASSWORD_REQUIRED", "", noChallenge},
			{"a choice", "SELECT_MFA_TYPE", "", noChallenge},
			{"a password without an exchange", "PASSWORD_VERIFIER", "", noChallenge},
			{"SRP_A", "SRP_A", "", noChallenge},
			{"a name in another case", "custom_challenge", "", noChallenge},
			{"a name that is a number", `{"challengeName":7}`, "", garbled},
			{"tokens that are a text", `{"issueTokens":"true"}`, "", garbled},
			{"no parameters", "CUSTOM_CHALLENGE", `{}`, `{"ChallengeName":"CUSTOM_CHALLENGE"`},
			{"null parameters", "CUSTOM_CHALLENGE", public + `null,"privateChallengeParameters":null,"challengeMetadata":null}`, `{"ChallengeName":"CUSTOM_CHALLENGE"`},
			{"a parameter that is a number", "CUSTOM_CHALLENGE", public + `{"a":1}}`, garbled},
			{"a parameter that is null", "CUSTOM_CHALLENGE", `{"privateChallengeParameters":{"a":null}}`, garbled},
			{"parameters that are a list", "CUSTOM_CHALLENGE", public + `["a"]}`, garbled},
			{"metadata that are no text", "CUSTOM_CHALLENGE", `{"challengeMetadata":{}}`, garbled},
			{"more than a sign-in can remember", "CUSTOM_CHALLENGE", `{"privateChallengeParameters":{"a":"` + strings.Repeat("x", challenge.MaxKept) + `"}}`, garbled},
		} {
			w.play(script{next: func(string) string { return r.next }, create: r.create})
			got := w.custom("u").text
			want.True(w, strings.HasPrefix(got, r.want), "%s: %s", r.name, got)
			want.True(w, !strings.Contains(got, "private"), "nothing private is shown: %s", got)
		}
		for _, right := range []string{`{}`, `{"answerCorrect":null}`, `{"answerCorrect":"true"}`, `{"answerCorrect":1}`} {
			w.play(riddle)
			s := w.custom("u")
			w.answers(map[string]string{"VerifyAuthChallengeResponse": right})
			want.Equal(w, w.solve(s, "sesame").text, garbled)
			want.Equal(w, w.solve(s, "sesame").text, usedSession) // an answer is judged once
		}
		for _, name := range []string{"DefineAuthChallenge", "CreateAuthChallenge"} {
			w.answers(map[string]string{"DefineAuthChallenge": `{"challengeName":"CUSTOM_CHALLENGE"}`, name: "no"})
			want.Equal(w, w.custom("u").text, "UserLambdaValidationException: "+name+" failed with error no.")
		}
		w.play(riddle)
		s := w.custom("u")
		w.answers(map[string]string{"VerifyAuthChallengeResponse": "no"})
		want.Equal(w, w.solve(s, "sesame").text, "UserLambdaValidationException: VerifyAuthChallengeResponse failed with error no.")
	})
}

// TestCustomFunctionsMissing: a pool without one of the functions.
func TestCustomFunctionsMissing(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]func(*pool.Settings){"none": nil, "no CreateAuthChallenge": withHook("DefineAuthChallenge"),
		"no VerifyAuthChallengeResponse": both(withHook("DefineAuthChallenge"), withHook("CreateAuthChallenge"))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, settings, func(w *world) {
				w.client(allFlows)
				w.withPassword("u", nil)
				w.play(riddle)
				s := w.custom("u")
				if name == "no VerifyAuthChallengeResponse" {
					s = w.solve(s, "sesame")
				}
				want.Equal(w, s.text, noFunction)
				want.Equal(w, w.ran() == nil, name == "none")
			})
		})
	}
}

// TestCustomParameters: what a custom sign-in needs, and what it does not.
func TestCustomParameters(t *testing.T) {
	t.Parallel()
	onBoth(t, customPool, func(w *world) {
		c := w.client(allFlows)
		w.withPassword("jane", nil)
		w.withPassword("joe", nil)
		w.play(riddle)
		missing := func(name string) string { return invalid("Missing required parameter " + name) }
		want.Equal(w, w.begin("CUSTOM_AUTH", nil).text, missing("USERNAME"))
		for _, name := range []string{"CHALLENGE_NAME", "ChallengeName"} {
			want.Equal(w, w.custom("jane", name, "SRP_A").text, missing("SRP_A"))
			want.Equal(w, w.custom("jane", name, "SRP_A", "SRP_A", "0").text, invalid("Invalid SRP_A"))
			want.Equal(w, w.custom("jane", name, "CUSTOM_CHALLENGE").ChallengeName, "CUSTOM_CHALLENGE")
		}
		s := w.custom("jane")
		answer := func(session string, responses map[string]string) string {
			return w.answer("CUSTOM_CHALLENGE", session, responses).text
		}
		want.Equal(w, answer(s.Session, map[string]string{"ANSWER": "sesame"}), missing("USERNAME"))
		want.Equal(w, answer(s.Session, map[string]string{"USERNAME": "jane"}), missing("ANSWER"))
		want.Equal(w, answer("", map[string]string{"USERNAME": "jane", "ANSWER": "sesame"}), missing("Session"))
		want.Equal(w, answer(s.Session, map[string]string{"USERNAME": "joe", "ANSWER": "sesame"}), badSession)
		want.Equal(w, answer(s.Session[:len(s.Session)-2], map[string]string{"USERNAME": "jane", "ANSWER": "sesame"}), badSession)
		w.client(allFlows)
		want.Equal(w, answer(s.Session, map[string]string{"USERNAME": "jane", "ANSWER": "sesame"}), badSession)
		w.clientID = c.ID
		w.clock.Advance(3 * time.Minute)
		want.Equal(w, answer(s.Session, map[string]string{"USERNAME": "jane", "ANSWER": "sesame"}), oldSession)
	})
}

// TestCustomStates: whom the functions alone cannot let in.
func TestCustomStates(t *testing.T) {
	t.Parallel()
	const unconfirmed = "UserNotConfirmedException: User is not confirmed."
	onBoth(t, customPool, func(w *world) {
		for name, change := range map[string]func(*user.Record){
			"unconfirmed": func(r *user.Record) { r.Status = user.Unconfirmed },
			"reset":       func(r *user.Record) { r.Status = user.ResetRequired },
			"external":    func(r *user.Record) { r.Status = user.ExternalProvider },
			"disabled":    func(r *user.Record) { r.Enabled = false },
			"bare":        func(*user.Record) {},
		} {
			w.addUser(name, nil, change)
		}
		w.play(riddle)
		for _, r := range []struct{ name, legacy, hidden string }{
			{"unconfirmed", unconfirmed, unconfirmed}, {"external", incorrect, incorrect}, {"disabled", isDisabled, isDisabled},
			{"nobody", nobodyThere, incorrect}, {"reset", "", ""}, {"bare", "", ""},
		} {
			walk := func() string {
				s := w.custom(r.name)
				if s.ChallengeName != "" {
					s = w.solve(s, "sesame")
				}
				if s.AuthenticationResult != nil {
					return ""
				}
				return s.text
			}
			w.client(allFlows)
			want.Equal(w, [2]string{r.name, walk()}, [2]string{r.name, r.legacy})
			w.client(clientOf(allFlows, hiding))
			want.Equal(w, w.custom(r.name).ChallengeName, "CUSTOM_CHALLENGE") // nobody can tell who exists
			want.Equal(w, [2]string{r.name, walk()}, [2]string{r.name, r.hidden})
		}
	})
}

// TestCustomOfNobody: where the client hides who exists, the functions are asked about names that nobody has, and whatever they
// say, the answers are like those to a user, and in the end there are no tokens.
func TestCustomOfNobody(t *testing.T) {
	t.Parallel()
	onBoth(t, both(customPool, mfaPool, emailToo), func(w *world) {
		w.client(clientOf(allFlows, hiding))
		u := w.withPassword("u", reachable)
		w.withApp(u)
		told := func(nobody bool) {
			w.Helper()
			for _, e := range w.happened() {
				want.Equal(w, e.Request["userNotFound"], any(nobody))
				want.Equal(w, len(e.Request["userAttributes"].(map[string]any)) == 0, nobody)
				want.Equal(w, e.UserName, map[bool]string{true: "nobody", false: "u"}[nobody])
			}
		}
		lengths := map[string][]int{}
		for _, name := range []string{"u", "nobody"} {
			for _, factor := range []string{"CUSTOM_CHALLENGE", "SMS_MFA", "EMAIL_OTP", "SOFTWARE_TOKEN_MFA"} {
				w.play(script{next: table("", factor, factor+"+[m0]", "tokens", factor+"+", "tokens")})
				s := w.custom(name)
				want.Equal(w, s.ChallengeName, factor)
				lengths[name] = append(lengths[name], len(s.Session), len(s.ChallengeParameters))
				if factor == "CUSTOM_CHALLENGE" {
					want.Equal(w, s.ChallengeParameters["USERNAME"], name)
					done := w.solve(s, "sesame")
					want.Equal(w, done.AuthenticationResult != nil, name == "u")
					continue
				}
				want.Equal(w, s.ChallengeParameters["USER_ID_FOR_SRP"], name)
				parameter := factor + "_CODE"
				want.True(w, strings.Contains(w.answer(factor, s.Session, map[string]string{"USERNAME": name, parameter: "000000"}).text, "CodeMismatchException: "), "a wrong code")
			}
			told(name == "nobody")
			w.play(script{next: table("SRP_A+", "PASSWORD_VERIFIER")})
			c, s := w.customSRP(name)
			want.Equal(w, s.ChallengeName, "PASSWORD_VERIFIER")
			want.Equal(w, w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, "wrong")).text, incorrect)
			told(name == "nobody")
		}
		want.Equal(w, lengths["u"], lengths["nobody"])
		w.sent()
		// Five wrong codes lock nobody as they lock anybody.
		w.play(script{next: table("", "SMS_MFA")})
		for range 2 {
			s := w.custom("nobody")
			want.Equal(w, w.answer("SMS_MFA", s.Session, map[string]string{"USERNAME": "nobody", "SMS_MFA_CODE": "000000"}).text, factorWrong)
		}
		s := w.custom("nobody")
		want.Equal(w, w.answer("SMS_MFA", s.Session, map[string]string{"USERNAME": "nobody", "SMS_MFA_CODE": "000000"}).text, lockedOut)
		want.Equal(w, w.sent(), nil)
	})
}

// TestCustomCodeBudget: so many codes go out by e-mail in an hour, for a user as for nobody.
func TestCustomCodeBudget(t *testing.T) {
	t.Parallel()
	onBoth(t, both(customPool, mfaPool, emailToo), func(w *world) {
		w.client(clientOf(allFlows, hiding))
		w.withPassword("u", reachable)
		w.play(script{next: table("", "EMAIL_OTP")})
		for _, name := range []string{"u", "nobody"} {
			for range verify.MailFactor.Limit() {
				want.Equal(w, w.custom(name).ChallengeName, "EMAIL_OTP")
			}
			want.Equal(w, w.custom(name).text, tooManyCodes)
		}
	})
}

// TestCustomMemory: what the functions want to remember does not have to fit into a session, and is forgotten with its step.
func TestCustomMemory(t *testing.T) {
	t.Parallel()
	onBoth(t, both(customPool, mfaPool), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable)
		long := strings.Repeat("x", 5000)
		w.play(script{right: "sesame", create: `{"publicChallengeParameters":{"a":"b"},"privateChallengeParameters":{"k":"` + long + `"},"challengeMetadata":"` + long + `"}`,
			next: func(history string) string {
				switch strings.Count(history, "CUSTOM_CHALLENGE") {
				case 5:
					if strings.Contains(history, "SMS_MFA+") {
						return "tokens"
					}
					return "SMS_MFA"
				}
				return "CUSTOM_CHALLENGE"
			}})
		s := w.custom("u")
		for i := range 5 {
			want.Equal(w, s.ChallengeName, "CUSTOM_CHALLENGE")
			want.True(w, len(s.Session) <= 2048 && !strings.Contains(s.text, long), "a session of %d characters", len(s.Session))
			w.happened()
			s = w.solve(s, "sesame")
			events := w.happened()
			want.Equal(w, events[0].Request["privateChallengeParameters"], any(map[string]any{"k": long}))
			want.Equal(w, len(events[1].Request["session"].([]any)), i+1)
		}
		want.Equal(w, s.ChallengeName, "SMS_MFA")
		want.Equal(w, w.pass(s, wrong(w.texted())).text, factorWrong)
		w.gotTokens(w.pass(s, w.texted()))
		w.sent()
		want.Equal(w, w.stored(u).Status, user.Confirmed)
	})
}

// TestCustomAnswersAtOnce: of many answers to one session at once, one is judged.
func TestCustomAnswersAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, customPool, func(w *world) {
		w.client(allFlows)
		w.withPassword("u", nil)
		w.play(riddle)
		s := w.custom("u")
		w.happened()
		body := w.answerBody("CUSTOM_CHALLENGE", s.Session, map[string]string{"USERNAME": "u", "ANSWER": "sesame"})
		outcomes := w.parallel(50, func(int) string {
			_, reply := w.request("RespondToAuthChallenge", body)
			return outcomeOf(reply)
		})
		want.Equal(w, outcomes["ok"], 1)
		want.Equal(w, outcomes[usedSession]+outcomes["busy"], 49)
		want.Equal(w, w.ran(), []string{verified, defined})
	})
}

// TestCustomUserGone: a user who is deleted or disabled on the way.
func TestCustomUserGone(t *testing.T) {
	t.Parallel()
	onBoth(t, customPool, func(w *world) {
		u := w.withPassword("u", nil)
		for _, r := range []struct {
			client func(*pool.Client)
			want   string
			runs   []string
		}{{allFlows, isDisabled, nil}, {clientOf(allFlows, hiding), isDisabled, []string{verified, defined}}} {
			w.client(r.client)
			w.play(riddle)
			s := w.custom("u")
			w.happened()
			w.alter(u, func(x *user.Record) { x.Enabled = false })
			want.Equal(w, w.solve(s, "sesame").text, r.want)
			want.Equal(w, w.ran(), r.runs)
			w.alter(u, func(x *user.Record) { x.Enabled = true })
		}
		s := w.custom("u")
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"u"}`), "")
		want.Equal(w, w.solve(s, "sesame").text, badSession)
	})
}
