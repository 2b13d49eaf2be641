package ops_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestA6EveryWayIsLocked is test A6: what was counted by one way locks all of them, and codes of a sign-in that was begun before.
func TestA6EveryWayIsLocked(t *testing.T) {
	t.Parallel()
	onBoth(t, mfaPool, func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", reachable, factorsOf(user.MFA{TOTP: true}))
		key := w.withApp(u)
		access := w.access(u)
		begun := w.byPassword("u", rightPassword)
		change := func(former string) string {
			return w.call("ChangePassword", `{"AccessToken":"`+access+`","PreviousPassword":"`+former+`","ProposedPassword":"An0ther-Horse!"}`)
		}
		want.Equal(w, w.byPassword("u", "1").text, incorrect)
		want.Equal(w, w.bySRP("u", "2").text, incorrect)
		want.Equal(w, signIns["admin"](w, "u", "3").text, incorrect)
		want.Equal(w, change("Wr0ng-Horse!"), incorrect)
		want.Equal(w, w.byPassword("u", "5").text, incorrect)
		for _, text := range []string{w.byPassword("u", rightPassword).text, w.bySRP("u", rightPassword).text, signIns["admin"](w, "u", rightPassword).text,
			w.pass(begun, w.appCode(key, 0)).text, change(rightPassword)} {
			want.Equal(w, text, lockedOut)
		}
		w.clock.Advance(time.Second)
		w.signedIn(w.pass(begun, w.appCode(key, 0)))
	})
}

// TestA11LockedUsersStayIn is test A11: who is locked by the guesses of others keeps the sign-ins there are, and waits a quarter of an
// hour at most.
func TestA11LockedUsersStayIn(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		w.withPassword("jane", nil)
		in := w.byPassword("jane", rightPassword).AuthenticationResult
		for guesses := 0; guesses < 20; {
			if w.byPassword("jane", "guess").text == incorrect {
				guesses++
				continue
			}
			w.gotTokens(w.begin("REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": in.RefreshToken}))
			want.Contains(w, w.call("GetUser", `{"AccessToken":"`+in.AccessToken+`"}`), `"Username":"jane"`)
			w.clock.Advance(2 * time.Minute)
		}
		want.Equal(w, w.byPassword("jane", rightPassword).text, lockedOut)
		w.clock.Advance(15 * time.Minute)
		w.gotTokens(w.byPassword("jane", rightPassword))
	})
}

// TestB2SmallExponents is test B2, with B3: public values that are 1, N-1 or mostly zeros open nothing without the password, and any
// client's exponent does with it.
func TestB2SmallExponents(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		w.withPassword("jane", nil)
		n, _ := new(big.Int).SetString(srpclient.Multiple(1), 16)
		for _, public := range []string{"1", new(big.Int).Sub(n, big.NewInt(1)).Text(16), new(big.Int).Add(n, big.NewInt(1)).Text(16)} {
			c := srpclient.New([]byte{0})
			c.Public = public
			s := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": public})
			want.Equal(w, s.ChallengeName, "PASSWORD_VERIFIER")
			want.Equal(w, w.answer("PASSWORD_VERIFIER", "", w.prove(c, s, "guess")).text, incorrect)
		}
		for _, exponent := range [][]byte{{1}, {9}, {255, 255}} { // A has up to 383 zero bytes in front
			c := srpclient.New(exponent)
			s := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": c.Public})
			w.gotTokens(w.answer("PASSWORD_VERIFIER", "", w.prove(c, s, rightPassword)))
		}
	})
}

// TestB7WholePasswords is test B7: every byte of a password counts, of long ones too, and none is another form of itself.
func TestB7WholePasswords(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		long := strings.Repeat("Ab1!", 50)
		for name, c := range map[string]struct{ right, wrong string }{
			"long":     {long, long[:199] + "?"},
			"shorter":  {long, long[:199]},
			"longest":  {strings.Repeat("Ab1!", 64), strings.Repeat("Ab1!", 63) + "Ab1?"},
			"NUL":      {"Ab1!\u0001x\u0002yz", "Ab1!\u0001x\u0002yy"},
			"composed": {"Ab1!caf\u00e9", "Ab1!cafe\u0301"},
			"letters":  {"Ab1!horse", "AB1!horse"},
		} {
			w.storePassword(w.addUser(name, nil), c.right)
			want.Equal(w, w.byPassword(name, c.wrong).text, incorrect)
			w.gotTokens(w.byPassword(name, c.right))
		}
	})
}

// TestB8NoPassword is test B8: who has no password signs in by none, neither typed nor proven.
func TestB8NoPassword(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(clientOf(allFlows, hiding))
		w.addUser("without", nil)
		w.addUser("external", nil, func(r *user.Record) { r.Status = user.ExternalProvider })
		w.withPassword("off", nil, func(r *user.Record) { r.PasswordOff = true })
		for _, name := range []string{"without", "external", "off"} {
			for _, password := range []string{"null", "undefined", " ", "0"} {
				want.Equal(w, w.byPassword(name, password).text, incorrect)
			}
			want.Equal(w, w.bySRP(name, "").text, incorrect)
			want.Equal(w, w.byPassword(name, "").text, invalid("Missing required parameter PASSWORD"))
			w.clock.Advance(16 * time.Minute)
		}
	})
}

// TestC6AlteredSessions is test C6 for the sessions of sign-ins: no part of one, and none with a character changed, is a session.
func TestC6AlteredSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(allFlows)
		w.withPassword("jane", nil, temporary)
		s := w.byPassword("jane", rightPassword)
		answer := func(session string) string {
			return w.answer("NEW_PASSWORD_REQUIRED", session, map[string]string{"USERNAME": "jane", "NEW_PASSWORD": "N3w-Passw0rd"}).text
		}
		for i := 20; i < len(s.Session); i += 37 {
			other := "A"
			if s.Session[i] == 'A' {
				other = "B"
			}
			want.Equal(w, answer(s.Session[:i]), badSession)
			want.Equal(w, answer(s.Session[:i]+other+s.Session[i+1:]), badSession)
		}
		want.Equal(w, answer(s.Session+"A"), badSession)
		w.gotTokens(w.answer("NEW_PASSWORD_REQUIRED", s.Session, map[string]string{"USERNAME": "jane", "NEW_PASSWORD": "N3w-Passw0rd"}))
	})
}

// TestC8RefreshSeesChanges is test C8: what has changed since a sign-in is in the next tokens, or ends it.
func TestC8RefreshSeesChanges(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		w.client(allFlows)
		w.withPassword("u", vectorUser)
		want.Contains(w, w.call("CreateGroup", `{"UserPoolId":"$pool","GroupName":"g"}`), `"GroupName":"g"`)
		member := `{"UserPoolId":"$pool","GroupName":"g","Username":"u"}`
		want.Equal(w, w.call("AdminAddUserToGroup", member), "")
		in := w.byPassword("u", rightPassword).AuthenticationResult
		want.Equal(w, w.claim(in.AccessToken, "cognito:groups"), any([]any{"g"}))
		renew := func() signInReply {
			return w.begin("REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": in.RefreshToken})
		}
		want.Equal(w, w.call("AdminRemoveUserFromGroup", member), "")
		want.Equal(w, w.claim(renew().AuthenticationResult.AccessToken, "cognito:groups"), nil)
		want.Equal(w, w.call("AdminUpdateUserAttributes", `{"UserPoolId":"$pool","Username":"u","UserAttributes":[{"Name":"name","Value":"New"}]}`), "{}")
		want.Equal(w, w.claim(renew().AuthenticationResult.IdToken, "name"), any("New"))
		want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
		want.Equal(w, renew().text, refreshRevoked)
		want.Equal(w, w.call("AdminEnableUser", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
		want.Equal(w, renew().text, refreshRevoked)
		in = w.byPassword("u", rightPassword).AuthenticationResult
		want.Equal(w, w.call("DeleteUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+w.clientID+`"}`), "")
		want.Contains(w, renew().text, "ResourceNotFoundException")
	})
}

// TestF7RecoveryKeepsFactors is test F7: a new password by recovery does not do without the second factor.
func TestF7RecoveryKeepsFactors(t *testing.T) {
	t.Parallel()
	onBoth(t, both(mfaPool, func(s *pool.Settings) {
		s.Recovery = []pool.RecoveryMechanism{{Priority: 1, Name: "verified_email"}}
	}), func(w *world) {
		w.client(allFlows)
		u := w.withPassword("u", with(pool.PhoneNumber, "+15550001234", "email_verified", "true"), factorsOf(user.MFA{TOTP: true}))
		key := w.withApp(u)
		want.Contains(w, w.public("ForgotPassword", "u", ""), "CodeDeliveryDetails")
		want.Equal(w, w.public("ConfirmForgotPassword", "u", code(w.code())+`,"Password":"N3w-Passw0rd"`), "{}")
		s := w.byPassword("u", "N3w-Passw0rd")
		want.Equal(w, s.ChallengeName, "SOFTWARE_TOKEN_MFA")
		w.signedIn(w.pass(s, w.appCode(key, 0)))
	})
}
