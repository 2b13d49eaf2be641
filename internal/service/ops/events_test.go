package ops_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

var update = flag.Bool("update", false, "write the golden files of events anew")

// everyFunction configures all functions but custom senders.
var everyFunction = both(signInHooks, customPool, withHook("PreSignUp"), withHook("PostConfirmation"))

// silent drops all that has happened so far: the rest of a scenario is what its golden file is about.
func (w *world) silent() { w.told() }

// told are the events of the functions that ran, as they came, and forgets them.
func (w *world) told() []string {
	w.happened()
	w.hooks.mu.Lock()
	defer w.hooks.mu.Unlock()
	defer func() { w.hooks.texts = nil }()
	return slices.Clone(w.hooks.texts)
}

var cipherText = regexp.MustCompile(`"code":"[A-Za-z0-9+/=]{100,}"`)

// eventText is every event since the last call of silent as text, with names for what is drawn at random.
func (w *world) eventText() string {
	w.Helper()
	events := w.told()
	if slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, "-- CustomEmailSender") }) {
		slices.Sort(events) // the worker's order is that of random ids
	}
	var out strings.Builder
	for _, e := range events {
		head, event, _ := strings.Cut(cipherText.ReplaceAllString(e, `"code":"<encrypted>"`), "\n")
		var b bytes.Buffer
		want.NoError(w, json.Indent(&b, []byte(event), "", "  "))
		out.WriteString(head + "\n" + strings.ReplaceAll(b.String(), w.pool.ID, "<pool>") + "\n")
	}
	return clientText.ReplaceAllString(uuidText.ReplaceAllString(out.String(), "<sub>"), "<client>")
}

// TestEvents holds what functions get, member by member and in order, for every source of the operations that are built. The files
// in testdata/events are written by -update and reviewed like code; both databases must give the same.
func TestEvents(t *testing.T) {
	t.Parallel()
	const metadata = `,"ClientMetadata":{"k":"v"}`
	person := with(pool.PhoneNumber, "+15550001234", "custom:tier", "gold")
	member := func(w *world) *user.Record {
		w.client(allFlows)
		u := w.withPassword("u", person)
		for _, name := range []string{"staff", "boss"} {
			want.Contains(w, w.call("CreateGroup", `{"UserPoolId":"$pool","GroupName":"`+name+`","Precedence":1,"RoleArn":"arn:aws:iam::123456789012:role/`+name+`"}`), name)
			want.Equal(w, w.call("AdminAddUserToGroup", `{"UserPoolId":"$pool","Username":"u","GroupName":"`+name+`"}`), "")
		}
		w.silent()
		return u
	}
	withMetadata := func(w *world, challenge string, s signInReply, more ...string) signInReply {
		responses := map[string]string{"USERNAME": "u"}
		for i := 0; i < len(more); i += 2 {
			responses[more[i]] = more[i+1]
		}
		body := w.answerBody(challenge, s.Session, responses)
		return w.readSignIn(w.call("RespondToAuthChallenge", strings.TrimSuffix(body, "}")+metadata+"}"))
	}
	for _, r := range []struct {
		name string
		pool func(*pool.Settings)
		run  func(w *world)
	}{
		{"sign_in_by_password", aliasPool, func(w *world) {
			member(w)
			w.gotTokens(w.beginWith("USER_PASSWORD_AUTH", `{"k":"v"}`, map[string]string{"USERNAME": "a@x.io", "PASSWORD": rightPassword}))
		}},
		{"sign_in_of_nobody", nil, func(w *world) {
			w.client(clientOf(allFlows, hiding))
			want.Equal(w, w.bySRP("Nobody <&>", "x").text, incorrect)
		}},
		{"new_password", nil, func(w *world) {
			u := member(w)
			w.alter(u, temporary)
			s := w.byPassword("u", rightPassword)
			w.silent()
			w.gotTokens(withMetadata(w, "NEW_PASSWORD_REQUIRED", s, "NEW_PASSWORD", "N3w-Passw0rd"))
		}},
		{"tokens_v2", withTokenHook("V2_0"), func(w *world) {
			member(w)
			w.gotTokens(w.byPassword("u", rightPassword))
		}},
		{"tokens_v3", withTokenHook("V3_0"), func(w *world) {
			member(w)
			w.gotTokens(w.byPassword("u", rightPassword))
		}},
		{"tokens_of_a_program", withTokenHook("V3_0"), func(w *world) {
			want.Contains(w, w.call("CreateResourceServer", `{"UserPoolId":"$pool","Identifier":"api","Name":"api","Scopes":[{"ScopeName":"read","ScopeDescription":"d"}]}`), "api")
			c := w.client(forItself("api/read"))
			w.silent()
			want.Contains(w, w.call("GetClientToken", asking(c, ownSecret, metadata)), "AccessToken")
		}},
		{"refresh", nil, func(w *world) {
			member(w)
			token := w.byPassword("u", rightPassword).AuthenticationResult.RefreshToken
			w.silent()
			w.gotTokens(w.beginWith("REFRESH_TOKEN_AUTH", `{"k":"v"}`, map[string]string{"REFRESH_TOKEN": token}))
			want.Contains(w, w.call("GetTokensFromRefreshToken", `{"ClientId":"`+w.clientID+`","RefreshToken":"`+token+`"`+metadata+`}`), "AccessToken")
		}},
		{"migration_at_sign_in", nil, func(w *world) {
			w.client(allFlows)
			w.answers(map[string]string{"UserMigration": `{"userAttributes":{"email":"jane@x.io","email_verified":"true"},"finalUserStatus":"CONFIRMED"}`})
			w.gotTokens(w.beginWith("USER_PASSWORD_AUTH", `{"k":"v"}`, map[string]string{"USERNAME": "jane", "PASSWORD": "old \"password\""}))
		}},
		{"migration_for_a_forgotten_password", nil, func(w *world) {
			w.client(allFlows)
			w.answers(map[string]string{"UserMigration": `{"userAttributes":{"email":"jane@x.io","email_verified":"true"},"messageAction":"SUPPRESS"}`})
			want.Contains(w, w.public("ForgotPassword", "jane", `"ClientMetadata":{"k":"v"}`), "CodeDeliveryDetails")
		}},
		{"custom_sign_in", nil, func(w *world) {
			member(w)
			w.play(riddle)
			s := w.beginWith("CUSTOM_AUTH", `{"k":"v"}`, map[string]string{"USERNAME": "u"})
			s = withMetadata(w, "CUSTOM_CHALLENGE", s, "ANSWER", "wrong")
			w.gotTokens(withMetadata(w, "CUSTOM_CHALLENGE", s, "ANSWER", "sesame"))
		}},
		{"custom_sign_in_with_srp", mfaPool, func(w *world) {
			u := member(w)
			w.alter(u, factorsOf(user.MFA{SMS: true}))
			w.play(script{next: table("SRP_A+", "PASSWORD_VERIFIER", "SRP_A+ PASSWORD_VERIFIER+ SMS_MFA+", "CUSTOM_CHALLENGE",
				"SRP_A+ PASSWORD_VERIFIER+ SMS_MFA+ CUSTOM_CHALLENGE+", "tokens"), create: `{}`, right: "sesame"})
			c, s := w.customSRP("u")
			s = w.answer("PASSWORD_VERIFIER", s.Session, w.prove(c, s, rightPassword))
			s = w.pass(s, w.texted())
			w.gotTokens(w.solve(s, "sesame"))
		}},
		{"custom_sign_in_of_nobody", nil, func(w *world) {
			w.client(clientOf(allFlows, hiding))
			w.play(riddle)
			want.Equal(w, w.solve(w.custom("nobody"), "sesame").text, incorrect)
		}},
		{"codes_of_sign_ins", both(mfaPool, emailToo), func(w *world) {
			u := member(w)
			w.alter(u, factorsOf(user.MFA{SMS: true, Email: true}))
			s := w.byPassword("u", rightPassword)
			w.silent()
			s = withMetadata(w, "SELECT_MFA_TYPE", s, "ANSWER", "SMS_MFA")
			w.silent()
			w.gotTokens(withMetadata(w, "SMS_MFA", s, "SMS_MFA_CODE", w.texted()))
			w.alter(u, factorsOf(user.MFA{Email: true}))
			want.Equal(w, w.byPassword("u", rightPassword).ChallengeName, "EMAIL_OTP")
		}},
		{"codes_of_sign_ins_by_senders", both(mfaPool, withSenders), func(w *world) {
			member(w)
			s := w.beginWith("USER_AUTH", `{"k":"v"}`, map[string]string{"USERNAME": "u"})
			w.silent()
			withMetadata(w, "SELECT_CHALLENGE", s, "ANSWER", "EMAIL_OTP")
			want.Equal(w, w.choice("u", "PREFERRED_CHALLENGE", "SMS_OTP").ChallengeName, "SMS_OTP")
			want.Equal(w, w.work(), 2)
		}},
		{"first_code_confirms", nil, func(w *world) {
			u := member(w)
			w.alter(u, func(r *user.Record) { r.Status = user.Unconfirmed })
			s := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
			w.silent()
			w.gotTokens(withMetadata(w, "EMAIL_OTP", s, "EMAIL_OTP_CODE", w.code()))
		}},
		{"sign_up", nil, func(w *world) {
			w.client(allFlows)
			body := goodPassword + `,"ValidationData":[{"Name":"a","Value":"b"}],"ClientMetadata":{"k":"v"},"UserAttributes":` + list("name=N, email=n@x.io")
			want.Contains(w, w.public("SignUp", "new", body), `"UserConfirmed":false`)
			want.Contains(w, w.public("ResendConfirmationCode", "new", `"ClientMetadata":{"k":"v"}`), "CodeDeliveryDetails")
			want.Contains(w, w.public("ConfirmSignUp", "new", code(w.code())+metadata), `{"Session":"`) // the client has USER_AUTH
		}},
		{"sign_up_by_an_administrator", phoneToo, func(w *world) {
			want.Contains(w, w.call("AdminCreateUser", `{"UserPoolId":"$pool","Username":"new","TemporaryPassword":"Aa1<b>&9!","DesiredDeliveryMediums":["EMAIL","SMS"],"ValidationData":[{"Name":"a","Value":"b"}]`+metadata+
				`,"UserAttributes":`+list("name=N, email=n@x.io, phone_number=+15550001234")+`}`), "FORCE_CHANGE_PASSWORD")
		}},
		{"confirmation_by_an_administrator", nil, func(w *world) {
			w.addUser("u", person, func(r *user.Record) { r.Status = user.Unconfirmed })
			want.Equal(w, w.call("AdminConfirmSignUp", `{"UserPoolId":"$pool","Username":"u"`+metadata+`}`), "{}")
		}},
		{"recovery", nil, func(w *world) {
			member(w)
			want.Contains(w, w.public("ForgotPassword", "u", `"ClientMetadata":{"k":"v"}`), "CodeDeliveryDetails")
			want.Equal(w, w.public("ConfirmForgotPassword", "u", code(w.code())+`,"Password":"N3w-Passw0rd"`+metadata), "{}")
			want.Equal(w, w.call("AdminResetUserPassword", `{"UserPoolId":"$pool","Username":"u"`+metadata+`}`), "{}")
		}},
		{"attributes", nil, func(w *world) {
			u := member(w)
			want.Equal(w, w.call("AdminUpdateUserAttributes", `{"UserPoolId":"$pool","Username":"u","UserAttributes":`+list("email=b@x.io")+metadata+`}`), "{}")
			want.Contains(w, w.self("GetUserAttributeVerificationCode", w.access(u), `,"AttributeName":"email"`+metadata), "CodeDeliveryDetails")
			want.Contains(w, w.self("UpdateUserAttributes", w.access(u), `,"UserAttributes":`+list("email=c@x.io")+metadata), "CodeDeliveryDetails")
		}},
		{"sign_up_by_senders", both(phoneToo, withSenders), func(w *world) {
			w.client(allFlows)
			want.Contains(w, w.public("SignUp", "new", goodPassword+metadata+`,"UserAttributes":`+list("name=N, email=n@x.io")), `"UserConfirmed":false`)
			want.Contains(w, w.call("AdminCreateUser", `{"UserPoolId":"$pool","Username":"other","TemporaryPassword":"Aa1<b>&9!","DesiredDeliveryMediums":["SMS"],"UserAttributes":`+list("name=N, phone_number=+15550001234")+`}`), "FORCE")
			w.silent()
			want.Equal(w, w.work(), 2)
		}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, phoneToo, everyFunction, passwordless, r.pool), func(w *world) {
				r.run(w)
				got, file := w.eventText(), filepath.Join("testdata", "events", r.name+".txtar")
				if *update {
					want.NoError(w, os.MkdirAll(filepath.Dir(file), 0o755))
					want.NoError(w, os.WriteFile(file, []byte(got), 0o644))
				}
				golden, err := os.ReadFile(file)
				want.NoError(w, err)
				want.Equal(w, got, string(golden))
			})
		})
	}
}
