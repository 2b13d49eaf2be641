package ops_test

import (
	"encoding/json"
	"fmt"
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

// signIns are the ways to prove a password.
var signIns = map[string]func(w *world, name, password string) signInReply{
	"password": func(w *world, name, password string) signInReply { return w.byPassword(name, password) },
	"admin": func(w *world, name, password string) signInReply {
		return w.begin("ADMIN_USER_PASSWORD_AUTH", map[string]string{"USERNAME": name, "PASSWORD": password})
	},
	"admin, the earlier name": func(w *world, name, password string) signInReply {
		return w.begin("ADMIN_NO_SRP_AUTH", map[string]string{"USERNAME": name, "PASSWORD": password})
	},
	"SRP": func(w *world, name, password string) signInReply { return w.bySRP(name, password) },
}

// onEachWay runs a test for each way to prove a password, on both databases.
func onEachWay(t *testing.T, settings func(*pool.Settings), fn func(w *world, signIn func(name, password string) signInReply)) {
	t.Helper()
	for way, signIn := range signIns {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			onBoth(t, settings, func(w *world) {
				fn(w, func(name, password string) signInReply { w.Helper(); return signIn(w, name, password) })
			})
		})
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	onEachWay(t, aliasPool, func(w *world, signIn func(name, password string) signInReply) {
		c := w.client(allFlows)
		u := w.withPassword("jane", map[string]string{"email": "jane@x.io", "email_verified": "true"})
		for _, name := range []string{"jane", "jane@x.io", u.Sub} {
			s := signIn(name, rightPassword)
			w.gotTokens(s)
			want.Equal(w, s.ChallengeName+s.Session, "")
			want.Equal(w, len(s.ChallengeParameters), 0)
			want.Contains(w, s.text, `"ChallengeParameters":{}`)
			want.Equal(w, s.AuthenticationResult.ExpiresIn, 3600)
			r := s.AuthenticationResult
			want.Equal(w, w.claim(r.AccessToken, "username"), any("jane"))
			want.Equal(w, w.claim(r.AccessToken, "client_id"), any(c.ID))
			want.Equal(w, w.claim(r.AccessToken, "scope"), any("aws.cognito.signin.user.admin"))
			want.Equal(w, w.claim(r.IdToken, "email"), any("jane@x.io"))
			want.Equal(w, w.claim(r.IdToken, "origin_jti"), w.claim(r.AccessToken, "origin_jti"))
			want.Equal(w, w.claim(r.AccessToken, "auth_time"), any(float64(start.Unix())))
			want.Contains(w, w.call("GetUser", `{"AccessToken":"`+r.AccessToken+`"}`), `"Username":"jane"`)
		}
		want.Equal(w, len(w.ran())+len(w.sent())+w.due(), 0)
		want.Equal(w, len(w.journal(u.Sub)), 3)
		want.Equal(w, w.missed(u.Sub), verify.Tally{})
	})
}

func TestSignInRefusals(t *testing.T) {
	t.Parallel()
	const reset = "PasswordResetRequiredException: Password reset required for the user"
	const unconfirmed = "UserNotConfirmedException: User is not confirmed."
	const late = "NotAuthorizedException: Temporary password has expired and must be reset by an administrator."
	onEachWay(t, nil, func(w *world, signIn func(name, password string) signInReply) {
		w.withPassword("jane", nil)
		w.withPassword("disabled", nil, func(r *user.Record) { r.Enabled = false })
		w.withPassword("unconfirmed", nil, func(r *user.Record) { r.Status = user.Unconfirmed })
		w.withPassword("reset", nil, func(r *user.Record) { r.Status = user.ResetRequired })
		w.addUser("imported", nil, func(r *user.Record) { r.Status = user.ResetRequired })
		w.withPassword("late", nil, temporary, func(r *user.Record) { r.TemporarySince = start.AddDate(0, 0, -7) })
		w.withPassword("off", nil, func(r *user.Record) { r.PasswordOff = true })
		w.addUser("without", nil)
		w.addUser("external", nil, func(r *user.Record) { r.Status = user.ExternalProvider })
		for _, c := range []struct{ name, password, legacy, hidden string }{
			{"jane", "wrong", incorrect, incorrect},
			{"jane", rightPassword + " ", incorrect, incorrect},
			{"nobody", rightPassword, nobodyThere, incorrect},
			{"off", rightPassword, nobodyThere, incorrect},
			{"disabled", "wrong", isDisabled, incorrect},
			{"disabled", rightPassword, isDisabled, isDisabled},
			{"unconfirmed", "wrong", incorrect, incorrect},
			{"unconfirmed", rightPassword, unconfirmed, unconfirmed},
			{"reset", "wrong", reset, incorrect},
			{"reset", rightPassword, reset, reset},
			{"imported", rightPassword, reset, incorrect},
			{"late", "wrong", incorrect, incorrect},
			{"late", rightPassword, late, late},
			{"without", rightPassword, incorrect, incorrect},
			{"external", rightPassword, incorrect, incorrect},
		} {
			w.client(allFlows)
			want.Equal(w, [2]string{c.name, signIn(c.name, c.password).text}, [2]string{c.name, c.legacy})
			w.client(clientOf(allFlows, hiding))
			want.Equal(w, [2]string{c.name, signIn(c.name, c.password).text}, [2]string{c.name, c.hidden})
		}
		want.Equal(w, len(w.ran())+len(w.sent())+w.due(), 0)
	})
}

func TestInitiateAuthParameters(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.withPassword("jane", nil)
		w.client(allFlows)
		a := srpclient.New([]byte{1, 2, 3}).Public
		missing := func(name string) string { return invalid("Missing required parameter " + name) }
		for _, c := range []struct {
			flow       string
			parameters map[string]string
			want       string
		}{
			{"USER_PASSWORD_AUTH", nil, missing("USERNAME")},
			{"USER_PASSWORD_AUTH", map[string]string{"USERNAME": "jane"}, missing("PASSWORD")},
			{"USER_PASSWORD_AUTH", map[string]string{"USERNAME": "", "PASSWORD": "x"}, missing("USERNAME")},
			{"USER_PASSWORD_AUTH", map[string]string{"USERNAME": "jane", "PASSWORD": ""}, missing("PASSWORD")},
			{"ADMIN_USER_PASSWORD_AUTH", map[string]string{"USERNAME": "jane"}, missing("PASSWORD")},
			{"USER_SRP_AUTH", map[string]string{"SRP_A": a}, missing("USERNAME")},
			{"USER_SRP_AUTH", map[string]string{"USERNAME": "jane"}, missing("SRP_A")},
			{"USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": "xyz"}, invalid("Invalid SRP_A")},
			{"USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": "0"}, invalid("Invalid SRP_A")},
			{"USER_SRP_AUTH", map[string]string{"USERNAME": "nobody", "SRP_A": "00"}, invalid("Invalid SRP_A")},
			{"USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": "-1"}, invalid("Invalid SRP_A")},
			{"USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": strings.Repeat("0", 100_000)}, invalid("Invalid SRP_A")},
			{"REFRESH_TOKEN_AUTH", nil, missing("REFRESH_TOKEN")},
			{"REFRESH_TOKEN", map[string]string{"REFRESH_TOKEN": ""}, missing("REFRESH_TOKEN")},
		} {
			want.Equal(w, [2]string{c.flow, w.begin(c.flow, c.parameters).text}, [2]string{c.flow, c.want})
		}
		want.Equal(w, w.call("InitiateAuth", `{"ClientId":"`+w.clientID+`","AuthFlow":"ADMIN_NO_SRP_AUTH"}`), invalid("Initiate Auth method not supported."))
		want.Equal(w, w.call("AdminInitiateAuth", `{"UserPoolId":"$pool","ClientId":"`+w.clientID+`","AuthFlow":"USER_PASSWORD_AUTH"}`), invalid("Initiate Auth method not supported."))
		want.Equal(w, w.call("InitiateAuth", `{"ClientId":"nope","AuthFlow":"USER_PASSWORD_AUTH"}`), "ResourceNotFoundException: User pool client nope does not exist.")
		want.Equal(w, w.call("AdminInitiateAuth", `{"UserPoolId":"us-east-1_nope","ClientId":"nope","AuthFlow":"USER_PASSWORD_AUTH"}`), "ResourceNotFoundException: User pool us-east-1_nope does not exist.")
	})
}

// TestFlowsOfClients has a row for every kind of list that a client can have.
func TestFlowsOfClients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		list  []string
		flows map[string]bool
	}{
		"none":          {nil, map[string]bool{"USER_SRP_AUTH": true, "CUSTOM_AUTH": true, "REFRESH_TOKEN": true}},
		"SRP":           {[]string{"ALLOW_USER_SRP_AUTH"}, map[string]bool{"USER_SRP_AUTH": true}},
		"password":      {[]string{"ALLOW_USER_PASSWORD_AUTH"}, map[string]bool{"USER_PASSWORD_AUTH": true}},
		"admin":         {[]string{"ALLOW_ADMIN_USER_PASSWORD_AUTH"}, map[string]bool{"ADMIN_USER_PASSWORD_AUTH": true}},
		"custom":        {[]string{"ALLOW_CUSTOM_AUTH"}, map[string]bool{"CUSTOM_AUTH": true}},
		"choice":        {[]string{"ALLOW_USER_AUTH"}, map[string]bool{"USER_AUTH": true}},
		"refresh":       {[]string{"ALLOW_REFRESH_TOKEN_AUTH"}, map[string]bool{"REFRESH_TOKEN": true}},
		"early":         {[]string{"USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"}, map[string]bool{"USER_PASSWORD_AUTH": true, "ADMIN_USER_PASSWORD_AUTH": true, "USER_SRP_AUTH": true, "CUSTOM_AUTH": true, "REFRESH_TOKEN": true}},
		"early, custom": {[]string{"CUSTOM_AUTH_FLOW_ONLY"}, map[string]bool{"CUSTOM_AUTH": true, "REFRESH_TOKEN": true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, nil, func(w *world) {
				w.client(func(client *pool.Client) { client.AuthFlows = c.list })
				for flow, text := range map[string]string{
					"USER_SRP_AUTH": "USER_SRP_AUTH is not enabled for the client.", "USER_PASSWORD_AUTH": "USER_PASSWORD_AUTH flow not enabled for this client",
					"ADMIN_USER_PASSWORD_AUTH": "Auth flow not enabled for this client", "CUSTOM_AUTH": "CUSTOM_AUTH is not enabled for the client.",
					"USER_AUTH": "USER_AUTH flow not enabled for this client", "REFRESH_TOKEN": "REFRESH_TOKEN_AUTH flow not enabled for this client",
				} {
					got := w.begin(flow, nil).text
					if !c.flows[flow] {
						want.Equal(w, got, invalid(text))
					} else {
						want.True(w, !strings.Contains(got, "enabled"), "%s: %s", flow, got)
					}
				}
			})
		})
	}
}

func TestSignInSecretHash(t *testing.T) {
	t.Parallel()
	onBoth(t, aliasPool, func(w *world) {
		u := w.withPassword("jane", map[string]string{"email": "jane@x.io", "email_verified": "true"})
		c := w.client(clientOf(allFlows, func(c *pool.Client) {
			c.Secrets = []pool.ClientSecret{{ID: "1", Value: secret.New("first")}, {ID: "2", Value: secret.New("second")}}
		}))
		missing := "NotAuthorizedException: Client " + c.ID + " is configured with secret but SECRET_HASH was not received"
		wrongHash := "NotAuthorizedException: Unable to verify secret hash for client " + c.ID
		parameters := func(name, hash string) map[string]string {
			m := map[string]string{"USERNAME": name, "PASSWORD": rightPassword}
			if hash != "" {
				m["SECRET_HASH"] = hash
			}
			return m
		}
		want.Equal(w, w.begin("USER_PASSWORD_AUTH", parameters("jane", "")).text, missing)
		want.Equal(w, w.begin("USER_PASSWORD_AUTH", parameters("jane", hashFor("third", "jane"+c.ID))).text, wrongHash)
		want.Equal(w, w.begin("USER_PASSWORD_AUTH", parameters("jane@x.io", hashFor("first", "jane"+c.ID))).text, wrongHash)
		for _, key := range []string{"first", "second"} {
			w.gotTokens(w.begin("USER_PASSWORD_AUTH", parameters("jane@x.io", hashFor(key, "jane@x.io"+c.ID))))
		}
		// The first request hashes the alias, the second the immutable name.
		client := srpclient.New(chance.System().Bytes(128))
		s := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "jane@x.io", "SRP_A": client.Public, "SECRET_HASH": hashFor("first", "jane@x.io"+c.ID)})
		proof := w.prove(client, s, rightPassword)
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", proof).text, missing)
		proof["SECRET_HASH"] = hashFor("first", "jane@x.io"+c.ID)
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", proof).text, wrongHash)
		proof["SECRET_HASH"] = hashFor("second", "jane"+c.ID)
		signed := w.answer("PASSWORD_VERIFIER", "", proof)
		w.gotTokens(signed)

		// A refresh knows no name: the hash is over the owner's name, or sub.
		renew := func(hash string) signInReply {
			return w.begin("REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": signed.AuthenticationResult.RefreshToken, "SECRET_HASH": hash})
		}
		want.Equal(w, renew("").text, missing)
		want.Equal(w, renew(hashFor("first", "jane@x.io"+c.ID)).text, "NotAuthorizedException: SecretHash does not match for the client: "+c.ID)
		w.gotTokens(renew(hashFor("first", "jane"+c.ID)))
		w.gotTokens(renew(hashFor("first", u.Sub+c.ID)))

		bare := w.client(allFlows)
		want.Equal(w, w.begin("USER_PASSWORD_AUTH", parameters("jane", hashFor("first", "jane"+bare.ID))).text, "NotAuthorizedException: Unable to verify secret hash for client "+bare.ID)
	})
}

// TestLockout holds that all ways to prove a password count together, under every name of the user.
func TestLockout(t *testing.T) {
	t.Parallel()
	onBoth(t, aliasPool, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("jane", map[string]string{"email": "jane@x.io", "email_verified": "true"})
		admin := func(name, password string) signInReply { return signIns["admin"](w, name, password) }
		want.Equal(w, w.byPassword("jane", "1").text, incorrect)
		want.Equal(w, w.byPassword("jane@x.io", "2").text, incorrect)
		want.Equal(w, w.bySRP(u.Sub, "3").text, incorrect)
		want.Equal(w, admin("jane", "4").text, incorrect)
		open := srpclient.New(chance.System().Bytes(128)) // an exchange that was begun before the lock
		begun := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": open.Public})
		want.Equal(w, w.bySRP("jane@x.io", "5").text, incorrect)
		want.Equal(w, w.missed(u.Sub), verify.Tally{Since: start, Spent: 5, Failures: 5, Until: at(1)})

		// During a lock nothing is evaluated, and the lock stays as it is.
		for _, text := range []string{w.byPassword("jane", rightPassword).text, w.bySRP("jane", rightPassword).text, admin("jane", "6").text,
			w.answer("PASSWORD_VERIFIER", "", w.prove(open, begun, rightPassword)).text} {
			want.Equal(w, text, lockedOut)
		}
		want.Equal(w, w.missed(u.Sub), verify.Tally{Since: start, Spent: 5, Failures: 5, Until: at(1)})
		w.clock.Advance(time.Second)
		want.Equal(w, w.byPassword("jane", "6").text, incorrect)
		want.Equal(w, w.missed(u.Sub), verify.Tally{Since: at(1), Spent: 6, Failures: 6, Until: at(3)})
		w.clock.Advance(time.Second)
		want.Equal(w, w.byPassword("jane", rightPassword).text, lockedOut)

		// The right password outside of a lock begins anew.
		w.clock.Advance(time.Second)
		w.gotTokens(w.bySRP("jane", rightPassword))
		want.Equal(w, w.missed(u.Sub), verify.Tally{})
	})
}

// TestLockoutOfNobody holds that names that nobody has are locked as names of users are.
func TestLockoutOfNobody(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(clientOf(allFlows, hiding))
		for range 2 {
			want.Equal(w, w.byPassword("nobody", "x").text, incorrect)
			want.Equal(w, w.bySRP("nobody", "x").text, incorrect)
		}
		want.Equal(w, w.byPassword("nobody", "x").text, incorrect)
		want.Equal(w, w.byPassword("nobody", "x").text, lockedOut)
		want.Equal(w, w.bySRP("nobody", "x").text, lockedOut)
		want.Equal(w, w.byPassword("nobody else", "x").text, incorrect)
	})
}

func TestSRPChallenge(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(clientOf(allFlows, hiding))
		w.withPassword("jane", nil)
		c := srpclient.New(chance.System().Bytes(128))
		first := map[string]signInReply{}
		for _, name := range []string{"jane", "nobody"} {
			s := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": name, "SRP_A": c.Public})
			want.Equal(w, s.ChallengeName, "PASSWORD_VERIFIER")
			want.Equal(w, s.Session, "")
			p := s.ChallengeParameters
			want.Equal(w, len(p), 5)
			want.Equal(w, []string{p["USERNAME"], p["USER_ID_FOR_SRP"]}, []string{name, name})
			want.True(w, len(p["SALT"]) > 28 && len(p["SALT"]) <= 32, "salt %s", p["SALT"])
			want.True(w, len(p["SRP_B"]) > 760 && len(p["SRP_B"]) <= 768, "B %s", p["SRP_B"])
			first[name] = s
			again := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": name, "SRP_A": c.Public})
			want.Equal(w, again.ChallengeParameters["SALT"], p["SALT"])
			want.True(w, again.ChallengeParameters["SRP_B"] != p["SRP_B"] && again.ChallengeParameters["SECRET_BLOCK"] != p["SECRET_BLOCK"], "every exchange is another")
		}
		want.Equal(w, len(first["jane"].ChallengeParameters["SECRET_BLOCK"]), len(first["nobody"].ChallengeParameters["SECRET_BLOCK"]))
		want.True(w, first["jane"].ChallengeParameters["SALT"] != first["nobody"].ChallengeParameters["SALT"], "names have salts of their own")
	})
}

func TestPasswordVerifierAnswers(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("jane", nil)
		w.withPassword("joe", nil)
		client := w.clientID
		c := srpclient.New(chance.System().Bytes(128))
		begin := func() signInReply {
			return w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": c.Public})
		}
		s := begin()
		good := w.prove(c, s, rightPassword)
		with := func(name, value string) map[string]string {
			m := map[string]string{}
			for k, v := range good {
				m[k] = v
			}
			m[name] = value
			return m
		}
		for _, name := range []string{"USERNAME", "PASSWORD_CLAIM_SECRET_BLOCK", "PASSWORD_CLAIM_SIGNATURE", "TIMESTAMP"} {
			want.Equal(w, w.answer("PASSWORD_VERIFIER", "", with(name, "")).text, invalid("Missing required parameter "+name))
		}
		badTime := invalid("TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.")
		for _, text := range []string{"Fri Jan 02 03:04:05 UTC 2026", "2026-01-02T03:04:05Z", "Fri Jan 2 03:04:05 GMT 2026", "Sat Jan 2 03:04:05 UTC 2026", "Fri Jan 2 3:04:05 UTC 2026"} {
			want.Equal(w, w.answer("PASSWORD_VERIFIER", "", with("TIMESTAMP", text)).text, badTime)
		}
		for _, block := range []string{"x", "AAAA", good["PASSWORD_CLAIM_SECRET_BLOCK"][4:]} {
			want.Equal(w, w.answer("PASSWORD_VERIFIER", "", with("PASSWORD_CLAIM_SECRET_BLOCK", block)).text, incorrect)
		}
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", with("USERNAME", "joe")).text, badSession)
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", with("USERNAME", "nobody")).text, badSession)
		want.Equal(w, w.missed(u.Sub), verify.Tally{})
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", with("PASSWORD_CLAIM_SIGNATURE", "no base64")).text, incorrect)
		want.Equal(w, w.missed(u.Sub).Spent, 1)

		// A wrong one leaves the exchange usable; the right one is good once, whatever session comes with it.
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", w.prove(c, s, "wrong")).text, incorrect)
		w.gotTokens(w.answer("PASSWORD_VERIFIER", strings.Repeat("x", 20), good))
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", good).text, usedSession)

		// Another client's, and an old one.
		s = begin()
		good = w.prove(c, s, rightPassword)
		w.client(allFlows)
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", good).text, incorrect)
		w.clientID = client
		w.clock.Advance(3 * time.Minute)
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", good).text, oldSession)

		// A password that was changed meanwhile.
		s = begin()
		good = w.prove(c, s, rightPassword)
		w.storePassword(u, "An0ther-Password!")
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", good).text, incorrect)

		// A user who was deleted, or disabled.
		s = begin()
		good = w.prove(c, s, "An0ther-Password!")
		want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", good).text, isDisabled)
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"jane"}`), "")
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", good).text, badSession)
	})
}

// TestDegenerateSRP holds that an A which is a multiple of the modulus is refused before anything is computed.
func TestDegenerateSRP(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(clientOf(allFlows, hiding))
		w.withPassword("jane", nil)
		for _, name := range []string{"jane", "nobody"} {
			for k := range int64(11) {
				for _, prefix := range []string{"", "000"} {
					got := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": name, "SRP_A": prefix + srpclient.Multiple(k)}).text
					want.Equal(w, got, invalid("Invalid SRP_A"))
				}
			}
		}
	})
}

func TestNewPassword(t *testing.T) {
	t.Parallel()
	settings := both(aliasPool, func(s *pool.Settings) {
		s.Standard = map[string]pool.Attribute{"name": {Name: "name", Type: pool.String, Mutable: true, Required: true}, "family_name": {Name: "family_name", Type: pool.String, Required: true}}
		s.Password.History = 2
	})
	onEachWay(t, settings, func(w *world, signIn func(name, password string) signInReply) {
		w.client(clientOf(allFlows, func(c *pool.Client) {
			c.Write = []string{"name", "family_name", "email", "nickname", "preferred_username"}
		}))
		w.addUser("joe", map[string]string{"name": "Joe", "preferred_username": "taken"})
		u := w.withPassword("jane", map[string]string{"name": "Jane", "email": "jane@x.io", "email_verified": "true", "nickname": "j"}, temporary)
		s := signIn("jane", rightPassword)
		want.Equal(w, s.ChallengeName, "NEW_PASSWORD_REQUIRED")
		want.Equal(w, s.ChallengeParameters["USER_ID_FOR_SRP"], "jane")
		want.Equal(w, s.ChallengeParameters["requiredAttributes"], `["userAttributes.family_name"]`)
		want.Equal(w, s.ChallengeParameters["userAttributes"], `{"email":"jane@x.io","email_verified":"true","name":"Jane","nickname":"j"}`)
		want.Equal(w, len(s.ChallengeParameters), 3)
		want.True(w, s.AuthenticationResult == nil && len(s.Session) > 1000 && len(s.Session) <= 2048, "a session of %d characters", len(s.Session))

		answer := func(password string, more ...string) signInReply {
			m := map[string]string{"USERNAME": "jane", "NEW_PASSWORD": password}
			for i := 0; i < len(more); i += 2 {
				m[more[i]] = more[i+1]
			}
			return w.answer("NEW_PASSWORD_REQUIRED", s.Session, m)
		}
		const family, name = "userAttributes.family_name", "userAttributes.name"
		const next = "N3w-Passw0rd"
		want.Equal(w, answer("").text, invalid("Missing required parameter NEW_PASSWORD"))
		want.Equal(w, answer("short", family, "Doe").text, "InvalidPasswordException: Password does not conform to policy: Password not long enough")
		want.Equal(w, answer(rightPassword, family, "Doe").text, "PasswordHistoryPolicyViolationException: Password has previously been used")
		want.Equal(w, answer(next).text, invalid("Invalid attributes given, family_name is missing"))
		want.Equal(w, answer(next, family, "").text, invalid("Invalid attributes given, family_name is missing"))
		want.Equal(w, answer(next, family, "Doe", name, "Janet").text, invalid("Cannot modify an already provided name"))
		want.Equal(w, answer(next, family, "Doe", "userAttributes.email_verified", "true").text, "NotAuthorizedException: A client attempted to write unauthorized attribute")
		want.Equal(w, answer(next, family, "Doe", "userAttributes.website", "x").text, "NotAuthorizedException: A client attempted to write unauthorized attribute")
		want.Equal(w, answer(next, family, "Doe", "userAttributes.email", "not one").text, invalid("Invalid email address format."))
		want.Equal(w, answer(next, family, "Doe", "userAttributes.preferred_username", "taken").text, "AliasExistsException: An account with the given preferred_username already exists.")
		want.Equal(w, w.stored(u).Status, user.ForceChangePassword)

		done := answer(next, family, "Doe", "userAttributes.email", "j@y.io")
		w.gotTokens(done)
		after := w.stored(u)
		want.Equal(w, after.Status, user.Confirmed)
		want.True(w, after.TemporarySince.IsZero(), "the clock of the temporary password has stopped")
		want.Equal(w, after.Attributes, map[string]string{"name": "Jane", "family_name": "Doe", "nickname": "j", "email": "j@y.io", "email_verified": "false"})
		want.Equal(w, w.claim(done.AuthenticationResult.IdToken, "family_name"), any("Doe"))
		want.Equal(w, w.journal(u.Sub), []string{"RespondToAuthChallenge password email family_name"})
		want.Equal(w, answer(next, family, "Doe").text, usedSession)
		want.Equal(w, len(w.sent())+w.due()+len(w.ran()), 0)
		want.Equal(w, signIn("jane", rightPassword).text, incorrect)
		w.gotTokens(signIn("jane", next))
	})
}

// TestNewPasswordMayEqualTemporary is what clients have seen in pools without a history.
func TestNewPasswordMayEqualTemporary(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		w.withPassword("jane", nil, temporary)
		s := w.byPassword("jane", rightPassword)
		w.gotTokens(w.answer("NEW_PASSWORD_REQUIRED", s.Session, map[string]string{"USERNAME": "jane", "NEW_PASSWORD": rightPassword}))
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		c := w.client(clientOf(allFlows, func(c *pool.Client) { c.SessionMinutes = 5 }))
		u := w.withPassword("jane", nil, temporary)
		w.withPassword("joe", nil, temporary)
		s := w.byPassword("jane", rightPassword)
		good := map[string]string{"USERNAME": "jane", "NEW_PASSWORD": "N3w-Passw0rd"}
		answer := func(name, session string) string { return w.answer(name, session, good).text }
		want.Equal(w, answer("NEW_PASSWORD_REQUIRED", ""), invalid("Missing required parameter Session"))
		want.Equal(w, answer("NEW_PASSWORD_REQUIRED", s.Session[:len(s.Session)-1]), badSession)
		want.Equal(w, answer("NEW_PASSWORD_REQUIRED", strings.Repeat("x", 100)), badSession)
		for _, name := range []string{"SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP", "SMS_OTP", "MFA_SETUP", "SELECT_MFA_TYPE", "SELECT_CHALLENGE", "CUSTOM_CHALLENGE",
			"DEVICE_SRP_AUTH", "DEVICE_PASSWORD_VERIFIER", "PASSWORD", "PASSWORD_SRP", "WEB_AUTHN", "ADMIN_NO_SRP_AUTH"} {
			want.Equal(w, [2]string{name, answer(name, s.Session)}, [2]string{name, badSession}) // nobody was asked for it
		}
		want.Equal(w, w.answer("NEW_PASSWORD_REQUIRED", s.Session, map[string]string{"USERNAME": "joe", "NEW_PASSWORD": "N3w-Passw0rd"}).text, badSession)
		want.Equal(w, w.answer("NEW_PASSWORD_REQUIRED", s.Session, map[string]string{"USERNAME": "nobody", "NEW_PASSWORD": "N3w-Passw0rd"}).text, badSession)
		want.Equal(w, w.answer("NEW_PASSWORD_REQUIRED", s.Session, map[string]string{"NEW_PASSWORD": "N3w-Passw0rd"}).text, invalid("Missing required parameter USERNAME"))
		w.client(allFlows)
		want.Equal(w, answer("NEW_PASSWORD_REQUIRED", s.Session), badSession) // of another client
		w.clientID = c.ID

		w.clock.Advance(5*time.Minute - time.Millisecond)
		last := w.answer("NEW_PASSWORD_REQUIRED", s.Session, map[string]string{"USERNAME": "jane", "NEW_PASSWORD": "x"})
		want.Contains(w, last.text, "InvalidPasswordException")
		w.clock.Advance(time.Millisecond)
		want.Equal(w, answer("NEW_PASSWORD_REQUIRED", s.Session), oldSession)

		// A user who was disabled meanwhile; and one whose administrator has set another password.
		s = w.byPassword("jane", rightPassword)
		want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, answer("NEW_PASSWORD_REQUIRED", s.Session), isDisabled)
		want.Equal(w, w.call("AdminEnableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"jane","Password":"By-Adm1n!x","Permanent":true}`), "{}")
		want.Equal(w, answer("NEW_PASSWORD_REQUIRED", s.Session), badSession)
		want.Equal(w, w.stored(u).Status, user.Confirmed)
	})
}

// TestManyAnswersAtOnce holds that of a hundred answers to one session one is good.
func TestManyAnswersAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		w.withPassword("jane", nil)
		c := srpclient.New(chance.System().Bytes(128))
		s := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": c.Public})
		body := w.answerBody("PASSWORD_VERIFIER", "", w.prove(c, s, rightPassword))
		outcomes := w.parallel(100, func(int) string {
			_, reply := w.request("RespondToAuthChallenge", body)
			return outcomeOf(reply)
		})
		want.Equal(w, outcomes["ok"], 1)
		want.Equal(w, outcomes[usedSession]+outcomes["busy"], 99)
	})
}

// TestGuessesAtOnce holds that five hundred guesses at once are as good as five, and that honest sign-ins at once all
// succeed.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("jane", nil)
		outcomes := w.parallel(50, func(int) string {
			_, reply := w.request(beginBody(w, "USER_PASSWORD_AUTH", map[string]string{"USERNAME": "jane", "PASSWORD": rightPassword}))
			return outcomeOf(reply)
		})
		want.Equal(w, outcomes, map[string]int{"ok": 50})
		outcomes = w.parallel(500, func(i int) string {
			_, reply := w.request(beginBody(w, "USER_PASSWORD_AUTH", map[string]string{"USERNAME": "jane", "PASSWORD": fmt.Sprint("guess", i)}))
			return outcomeOf(reply)
		})
		want.Equal(w, outcomes[incorrect], 5)
		want.Equal(w, outcomes[lockedOut]+outcomes["busy"], 495)
		want.Equal(w, w.missed(u.Sub), verify.Tally{Since: start, Spent: 5, Failures: 5, Until: at(1)})
	})
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		c := w.client(allFlows)
		u := w.withPassword("jane", map[string]string{"name": "Jane"})
		s := w.byPassword("jane", rightPassword)
		before := s.AuthenticationResult
		journal := len(w.journal(u.Sub))
		w.clock.Advance(time.Hour)
		want.Equal(w, w.update1("jane", list("name=Janet")), "{}")
		for _, flow := range []string{"REFRESH_TOKEN_AUTH", "REFRESH_TOKEN", "ADMIN"} {
			var r signInReply
			if flow == "ADMIN" {
				r = w.readSignIn(w.call("AdminInitiateAuth", `{"UserPoolId":"$pool","ClientId":"`+c.ID+`","AuthFlow":"REFRESH_TOKEN_AUTH","AuthParameters":`+object(map[string]string{"REFRESH_TOKEN": before.RefreshToken})+`}`))
			} else {
				r = w.begin(flow, map[string]string{"REFRESH_TOKEN": before.RefreshToken})
			}
			w.gotTokens(r)
			after := r.AuthenticationResult
			want.Equal(w, after.RefreshToken, "")
			for _, claim := range []string{"auth_time", "origin_jti", "event_id", "sub", "scope"} {
				want.Equal(w, w.claim(after.AccessToken, claim), w.claim(before.AccessToken, claim))
			}
			want.Equal(w, w.claim(after.AccessToken, "iat"), any(float64(start.Add(time.Hour).Unix())))
			want.True(w, w.claim(after.AccessToken, "jti") != w.claim(before.AccessToken, "jti"), "a new token has a name of its own")
			want.Equal(w, w.claim(after.IdToken, "name"), any("Janet"))
		}
		want.Equal(w, len(w.journal(u.Sub)), journal+1) // the update
		var got signInReply
		want.NoError(w, json.Unmarshal([]byte(w.call("GetTokensFromRefreshToken", `{"ClientId":"`+c.ID+`","RefreshToken":"`+before.RefreshToken+`"}`)), &got))
		w.gotTokens(got)
		want.Equal(w, got.AuthenticationResult.RefreshToken, "")
	})
}

// TestRefreshAfterClockPutBack holds that a sign-in lives although it is older than its client by the clock: that was put back, or
// is another server's.
func TestRefreshAfterClockPutBack(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		w.withPassword("jane", nil)
		w.clock.Advance(-10 * time.Minute)
		set := w.byPassword("jane", rightPassword).AuthenticationResult
		want.Contains(w, w.begin("REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": set.RefreshToken}).text, `"AccessToken"`)
		want.Contains(w, w.self("GetUser", set.AccessToken, ""), `"Username":"jane"`)
	})
}

func TestRefreshRefusals(t *testing.T) {
	t.Parallel()
	const invalidToken = "NotAuthorizedException: Invalid Refresh Token."
	const revoked = "NotAuthorizedException: Refresh Token has been revoked"
	const expired = "NotAuthorizedException: Refresh Token has expired"
	onBoth(t, nil, func(w *world) {
		c := w.client(allFlows)
		w.withPassword("jane", nil)
		refresh := func(token string) string {
			one := w.begin("REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": token}).text
			other := w.call("GetTokensFromRefreshToken", `{"ClientId":"`+w.clientID+`","RefreshToken":"`+token+`"}`)
			if !strings.HasPrefix(one, "{") && !strings.HasPrefix(one, "PasswordReset") {
				want.Equal(w, other, one)
			}
			return one
		}
		signIn := func(name string) string { return w.byPassword(name, rightPassword).AuthenticationResult.RefreshToken }
		token := signIn("jane")
		want.Equal(w, refresh("x.y.z"), invalidToken)
		want.Equal(w, refresh(token[:len(token)-2]), invalidToken)
		want.Equal(w, refresh(w.access(w.byName("jane"))), invalidToken)
		w.client(allFlows)
		want.Equal(w, refresh(token), invalidToken)
		w.clientID = c.ID
		want.Contains(w, refresh(token), "AccessToken")

		want.Equal(w, w.call("AdminUserGlobalSignOut", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, refresh(token), revoked)
		again := signIn("jane") // within the same instant
		want.Contains(w, refresh(again), "AccessToken")
		want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, refresh(again), revoked)
		want.Equal(w, w.call("AdminEnableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, refresh(again), revoked)

		token = signIn("jane")
		want.Equal(w, w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"jane","Password":"By-Adm1n!x","Permanent":true}`), "{}")
		want.Contains(w, refresh(token), "AccessToken")
		w.update(func(tx store.Tx) error {
			u, err := tx.Users().ByLogin(w.pool, "jane")
			if err != nil {
				return err
			}
			after := u.Clone()
			after.Status = user.ResetRequired
			return tx.Users().Save(w.pool, u, after)
		})
		want.Equal(w, refresh(token), "PasswordResetRequiredException: Password reset required for the user")
		want.Equal(w, w.call("GetTokensFromRefreshToken", `{"ClientId":"`+c.ID+`","RefreshToken":"`+token+`"}`), "NotAuthorizedException: Password reset required for the user")
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"jane"}`), "")
		want.Equal(w, refresh(token), invalidToken)

		w.withPassword("joe", nil)
		token = signIn("joe")
		w.clock.Advance(30*24*time.Hour - time.Millisecond)
		want.Contains(w, refresh(token), "AccessToken")
		w.clock.Advance(time.Millisecond)
		want.Equal(w, refresh(token), expired)
		w.update(func(tx store.Tx) error {
			_, err := tx.Families().Purge(w.clock.Now().Add(time.Second), 100)
			return err
		})
		want.Equal(w, refresh(token), expired)
		want.Equal(w, w.call("GetTokensFromRefreshToken", `{"ClientId":"nope","RefreshToken":"x"}`), "ResourceNotFoundException: User pool client nope does not exist.")
	})
}

// rotating makes a client rotate its refresh tokens.
func rotating(grace int) func(*pool.Client) {
	return func(c *pool.Client) {
		c.AuthFlows, c.Rotation, c.RefreshValidity = []string{"ALLOW_USER_PASSWORD_AUTH"}, &pool.Rotation{Enabled: true, Grace: &grace}, 30
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	const reuse = "RefreshTokenReuseException: Refresh token has been reused."
	const revoked = "NotAuthorizedException: Refresh Token has been revoked"
	refresh := func(w *world, token string) signInReply {
		return w.readSignIn(w.call("GetTokensFromRefreshToken", `{"ClientId":"`+w.clientID+`","RefreshToken":"`+token+`"}`))
	}
	t.Run("without grace", func(t *testing.T) {
		t.Parallel()
		onBoth(t, nil, func(w *world) {
			w.client(rotating(0))
			u := w.withPassword("jane", nil)
			first := w.byPassword("jane", rightPassword).AuthenticationResult
			second := refresh(w, first.RefreshToken)
			w.gotTokens(second)
			want.True(w, second.AuthenticationResult.RefreshToken != "" && second.AuthenticationResult.RefreshToken != first.RefreshToken, "a new refresh token")
			third := refresh(w, second.AuthenticationResult.RefreshToken)
			w.gotTokens(third)
			want.Equal(w, w.claim(third.AuthenticationResult.AccessToken, "origin_jti"), w.claim(first.AccessToken, "origin_jti"))
			want.Equal(w, refresh(w, first.RefreshToken).text, reuse)
			want.Equal(w, refresh(w, third.AuthenticationResult.RefreshToken).text, revoked) // the family has ended
			want.Equal(w, w.call("GetUser", `{"AccessToken":"`+third.AuthenticationResult.AccessToken+`"}`), "NotAuthorizedException: Access Token has been revoked")
			want.Equal(w, sorted(w.journal(u.Sub)), []string{"GetTokensFromRefreshToken", "GetTokensFromRefreshToken", "GetTokensFromRefreshToken reuse", "InitiateAuth"})
			want.Equal(w, w.begin("REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": first.RefreshToken}).text, invalid("REFRESH_TOKEN_AUTH flow not enabled for this client"))
		})
	})
	t.Run("with grace", func(t *testing.T) {
		t.Parallel()
		onBoth(t, nil, func(w *world) {
			w.client(rotating(60))
			w.withPassword("jane", nil)
			first := w.byPassword("jane", rightPassword).AuthenticationResult.RefreshToken
			a := refresh(w, first)
			w.clock.Advance(60*time.Second - time.Millisecond)
			b := refresh(w, first)
			w.gotTokens(a)
			w.gotTokens(b)
			want.True(w, a.AuthenticationResult.RefreshToken != b.AuthenticationResult.RefreshToken, "each use gives a successor")
			w.gotTokens(refresh(w, b.AuthenticationResult.RefreshToken))
			w.gotTokens(refresh(w, a.AuthenticationResult.RefreshToken))
			w.clock.Advance(60 * time.Second)
			want.Equal(w, refresh(w, a.AuthenticationResult.RefreshToken).text, reuse)
		})
	})
	// Of two requests at once the earlier by the clock may be the later to be carried out.
	t.Run("by a request that is older than the rotation", func(t *testing.T) {
		t.Parallel()
		onBoth(t, nil, func(w *world) {
			for _, grace := range []int{0, 60} {
				w.client(rotating(grace))
				w.withPassword(fmt.Sprint("jane", grace), nil)
				for _, early := range []time.Duration{time.Millisecond, 60*time.Second - time.Millisecond, 60 * time.Second} {
					token := w.byPassword(fmt.Sprint("jane", grace), rightPassword).AuthenticationResult.RefreshToken
					w.clock.Advance(early)
					w.gotTokens(refresh(w, token))
					w.clock.Advance(-early)
					got := refresh(w, token)
					w.clock.Advance(early)
					if early < time.Duration(grace)*time.Second {
						w.gotTokens(got)
					} else {
						want.Equal(w, got.text, reuse)
					}
				}
			}
		})
	})
	t.Run("expires with the first", func(t *testing.T) {
		t.Parallel()
		onBoth(t, nil, func(w *world) {
			w.client(rotating(0))
			w.withPassword("jane", nil)
			token := w.byPassword("jane", rightPassword).AuthenticationResult.RefreshToken
			w.clock.Advance(29 * 24 * time.Hour)
			next := refresh(w, token)
			w.gotTokens(next)
			w.clock.Advance(24 * time.Hour)
			want.Equal(w, refresh(w, next.AuthenticationResult.RefreshToken).text, "NotAuthorizedException: Refresh Token has expired")
		})
	})
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		onBoth(t, nil, func(w *world) {
			w.client(rotating(0))
			w.withPassword("jane", nil)
			token := w.byPassword("jane", rightPassword).AuthenticationResult.RefreshToken
			outcomes := w.parallel(20, func(int) string {
				_, reply := w.request("GetTokensFromRefreshToken", `{"ClientId":"`+w.clientID+`","RefreshToken":"`+token+`"}`)
				return outcomeOf(reply)
			})
			want.Equal(w, outcomes["ok"], 1)
			want.Equal(w, outcomes[reuse]+outcomes[revoked]+outcomes["busy"], 19)
		})
	})
}

func TestGetTokensFromRefreshTokenSecret(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		u := w.withPassword("jane", nil)
		c := w.client(clientOf(allFlows, func(c *pool.Client) {
			c.Secrets = []pool.ClientSecret{{ID: "1", Value: secret.New("theSecretOfTheClient1234")}}
		}))
		token := w.signIn(u, c).Refresh.Reveal()
		call := func(more string) string {
			return w.call("GetTokensFromRefreshToken", `{"ClientId":"`+c.ID+`","RefreshToken":"`+token+`"`+more+`}`)
		}
		wrongSecret := "NotAuthorizedException: Unable to verify secret for client " + c.ID
		want.Equal(w, call(""), wrongSecret)
		want.Equal(w, call(`,"ClientSecret":"theSecretOfNobodyAtAll12"`), wrongSecret)
		want.Contains(w, call(`,"ClientSecret":"theSecretOfTheClient1234"`), "AccessToken")
	})
}

func TestRevokeToken(t *testing.T) {
	t.Parallel()
	const notProven = "UnauthorizedException: Invalid client credentials."
	onBoth(t, nil, func(w *world) {
		u := w.withPassword("jane", nil)
		c := w.client(clientOf(allFlows, func(c *pool.Client) {
			c.Secrets = []pool.ClientSecret{{ID: "1", Value: secret.New("theSecretOfTheClient1234")}}
		}))
		one, two := w.signIn(u, c), w.signIn(u, c)
		revoke := func(clientID, token, more string) string {
			return w.call("RevokeToken", `{"ClientId":"`+clientID+`","Token":"`+token+`"`+more+`}`)
		}
		const proven = `,"ClientSecret":"theSecretOfTheClient1234"`
		want.Equal(w, revoke("nope", one.Refresh.Reveal(), ""), notProven)
		want.Equal(w, revoke(c.ID, one.Refresh.Reveal(), ""), notProven)
		want.Equal(w, revoke(c.ID, one.Refresh.Reveal(), `,"ClientSecret":"theSecretOfNobodyAtAll12"`), notProven)
		other := w.addClient()
		want.Equal(w, revoke(other.ID, one.Refresh.Reveal(), ""), notProven)
		want.Equal(w, revoke(c.ID, one.Access.Reveal(), proven), "UnsupportedTokenTypeException: Unsupported token type.")
		want.Equal(w, revoke(c.ID, one.ID.Reveal(), proven), "UnsupportedTokenTypeException: Unsupported token type.")
		want.Equal(w, revoke(c.ID, "garbage", proven), invalid("Invalid Refresh Token."))
		off := w.addClient(func(c *pool.Client) { c.Revocation = false })
		want.Equal(w, revoke(off.ID, w.signIn(u, off).Refresh.Reveal(), ""), "UnsupportedOperationException: Token revocation is not enabled for this client.")

		revocations := func() (n int) { // lines of one instant come in the order of their ids
			for _, operation := range w.journal(u.Sub) {
				if operation == "RevokeToken" {
					n++
				}
			}
			return n
		}
		before := revocations()
		want.Equal(w, revoke(c.ID, one.Refresh.Reveal(), proven), "{}")
		want.Equal(w, revoke(c.ID, one.Refresh.Reveal(), proven), "{}") // again
		want.Equal(w, revocations(), before+1)
		get := func(access string) string { return w.call("GetUser", `{"AccessToken":"`+access+`"}`) }
		want.Equal(w, get(one.Access.Reveal()), "NotAuthorizedException: Access Token has been revoked")
		want.Contains(w, get(two.Access.Reveal()), `"Username":"jane"`)
		want.Equal(w, w.call("GetTokensFromRefreshToken", `{"ClientId":"`+c.ID+`","RefreshToken":"`+one.Refresh.Reveal()+`"`+proven+`}`), "NotAuthorizedException: Refresh Token has been revoked")
		want.Contains(w, w.call("GetTokensFromRefreshToken", `{"ClientId":"`+c.ID+`","RefreshToken":"`+two.Refresh.Reveal()+`"`+proven+`}`), "AccessToken")
		w.clock.Advance(60 * 24 * time.Hour)
		want.Equal(w, revoke(c.ID, two.Refresh.Reveal(), proven), "{}") // expired
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"jane"}`), "")
		want.Equal(w, revoke(c.ID, two.Refresh.Reveal(), proven), "{}")
	})
}
