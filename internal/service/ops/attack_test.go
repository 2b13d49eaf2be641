package ops_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// The attacks of this file are on attributes, aliases and accounts. Each was carried out against a real system of this kind;
// those on sign-up stand in signup_test.go (TestSignUpE1E4, TestConfirmSignUpE5), the pairs of lookalike names in unicode_test.go.

// claims are the claims of an ID token for the user who signs in now.
func (w *world) claims(u *user.Record, c *pool.Client) map[string]any {
	w.Helper()
	parts := strings.Split(w.signIn(u, c).ID.Reveal(), ".")
	want.Equal(w, len(parts), 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	want.NoError(w, err)
	var claims map[string]any
	want.NoError(w, json.Unmarshal(text, &claims))
	return claims
}

// TestE1SelfEscalation: a user gives himself rights that an application reads from an attribute.
func TestE1SelfEscalation(t *testing.T) {
	t.Parallel()
	roles := func(s *pool.Settings) {
		s.Custom = []pool.Attribute{{Name: "custom:isAdmin", Type: pool.Boolean, Mutable: true}, {Name: "custom:tenant", Type: pool.String, Mutable: true}, {Name: "custom:colour", Type: pool.String, Mutable: true}}
	}
	onBoth(t, roles, func(w *world) {
		attributes := map[string]string{"custom:isAdmin": "false", "custom:tenant": "one"}
		u := w.addUser("u", attributes)
		c := w.addClient(func(c *pool.Client) { c.Write = []string{"custom:colour", "email"} })
		token := w.signIn(u, c).Access.Reveal()
		for _, attack := range []string{"custom:isAdmin=true", "custom:tenant=two", "custom:isAdmin=", "custom:colour=red, custom:tenant=two", "custom:tenant=two, custom:tenant=one"} {
			want.Equal(w, w.setSelf(token, attack), unauthorized)
		}
		want.Equal(w, w.self("DeleteUserAttributes", token, `,"UserAttributeNames":["custom:colour","custom:tenant"]`), unauthorized)
		want.Equal(w, w.stored(u), u)
		want.Equal(w, w.changes(u.Sub), nil)
		claims := w.claims(u, c)
		want.Equal(w, []any{claims["custom:isAdmin"], claims["custom:tenant"]}, []any{"false", "one"})
	})
}

// TestE2EmailInOtherCase: an attacker writes the victim's address in other letters into an account of his own, and an application
// takes the two for one.
func TestE2EmailInOtherCase(t *testing.T) {
	t.Parallel()
	const victim, attack = "Victim@x.io", "vICTIM@X.io"
	t.Run("aliases, case ignored", func(t *testing.T) {
		t.Parallel()
		for name, keep := range map[string]func(*pool.Settings){"at once": nil, "kept": keepOriginal} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				onBoth(t, both(vectorPool, aliasPool, caseInsensitive, keep), func(w *world) {
					v, m := w.addUser("victim", with("email", victim)), w.addUser("mallory", with("email", "m@x.io"))
					token := w.access(m)
					want.Contains(w, w.setSelf(token, "email="+attack), "CodeDeliveryDetails")
					want.Equal(w, w.verifySelf(token, "email", w.code()), "AliasExistsException: An account with the email already exists.")
					want.Equal(w, w.owner(user.Emails, "victim@x.io"), "victim")
					for _, name := range []string{victim, attack, "victim@x.io"} {
						want.Contains(w, w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"`+name+`"}`), `"Username":"victim"`)
					}
					want.Equal(w, w.stored(v), v)
					claims := w.claims(m, w.addClient())
					want.True(w, claims["email"] == "m@x.io" || claims["email_verified"] == false, "the token says %v", claims)
				})
			})
		}
	})
	t.Run("sign-in names, case ignored", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes, caseInsensitive), func(w *world) {
			w.addUser("s1", with("email", victim), byEmail)
			m := w.addUser("s2", with("email", "m@x.io"), byEmail)
			want.Equal(w, w.setSelf(w.access(m), "email="+attack), "AliasExistsException: An account with the given email already exists.")
			want.Equal(w, w.stored(m), m)
		})
	})
	t.Run("case counts", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			w.addUser("victim", with("email", victim))
			m := w.addUser("mallory", with("email", "m@x.io"))
			want.Contains(w, w.setSelf(w.access(m), "email="+attack), "CodeDeliveryDetails")
			claims := w.claims(m, w.addClient())
			want.Equal(w, []any{claims["email"], claims["email_verified"]}, []any{attack, false})
			want.Equal(w, w.owner(user.Emails, attack), "")
		})
	})
}

// TestE3UnverifiedEmailIsNotActive: a new address counts before its owner has shown that it is his. Where the pool keeps the
// old one until then, it stays in tokens, look-ups and messages; a code is for the value that it was sent to.
func TestE3UnverifiedEmailIsNotActive(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, aliasPool, keepOriginal), func(w *world) {
		u := w.addUser("u", vectorUser)
		c := w.addClient()
		token := w.signIn(u, c).Access.Reveal()
		active := func(address string, others ...string) {
			w.Helper()
			claims := w.claims(u, c)
			want.Equal(w, []any{claims["email"], claims["email_verified"]}, []any{address, true})
			want.Contains(w, w.self("GetUser", token, ""), `{"Name":"email","Value":"`+address+`"}`)
			want.Contains(w, w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"`+address+`"}`), `"Username":"u"`)
			for _, other := range others {
				want.Equal(w, w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"`+other+`"}`), "UserNotFoundException: User does not exist.")
				want.Contains(w, w.call("ListUsers", `{"UserPoolId":"$pool","Filter":"email = \"`+other+`\""}`), `"Users":[]`)
			}
		}
		want.Contains(w, w.setSelf(token, "email=b@x.io"), `"b***@x***"`)
		active("a@x.io", "b@x.io")
		first := w.code()
		want.Contains(w, w.setSelf(token, "email=c@x.io"), `"c***@x***"`)
		active("a@x.io", "b@x.io", "c@x.io")
		second := w.code()
		if first != second {
			want.Equal(w, w.verifySelf(token, "email", first), wrongCode)
			active("a@x.io", "b@x.io", "c@x.io")
		}
		want.Equal(w, w.verifySelf(token, "email", second), "{}")
		active("c@x.io", "a@x.io", "b@x.io")

		// A code that outlives its value, should one ever, is for nothing.
		want.Contains(w, w.setSelf(token, "email=d@x.io"), `"d***@x***"`)
		third := w.code()
		w.update(func(tx store.Tx) error {
			before, err := tx.Users().BySub(u.PoolID, u.Sub)
			want.NoError(w, err)
			after := before.Clone()
			after.Pending = map[string]user.Pending{"email": {Value: "e@x.io", Requested: start}}
			return tx.Users().Save(w.pool, before, after)
		})
		want.Equal(w, w.verifySelf(token, "email", third), expiredCode)
		active("c@x.io", "d@x.io", "e@x.io")
	})
}

// TestE4NobodyVerifiesHimself: a user says that his address is verified, or writes what is the service's.
func TestE4NobodyVerifiesHimself(t *testing.T) {
	t.Parallel()
	unverified := with("email_verified", "false", "phone_number", "+1555", "phone_number_verified", "false")
	attacks := []string{"email_verified=true", "phone_number_verified=true", "email=b@x.io, email_verified=true", "email_verified=TRUE", "email_verified=", "sub=x", "sub=",
		"identities=[]", "dev:custom:note=x", "cognito:user_status=CONFIRMED", "cognito:username=x", "cognito:groups=admin", "cognito:mfa_enabled=false", "username=x", "status=CONFIRMED",
		"enabled=true", "custom:ref=x", "custom:ref="}
	for name, write := range map[string][]string{"every attribute": nil, "all of these in the list": {"sub", "identities", "email", "email_verified", "phone_number_verified", "dev:custom:note", "custom:ref",
		"cognito:user_status", "cognito:username", "cognito:groups", "cognito:mfa_enabled", "username", "status", "enabled"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, aliasPool, func(s *pool.Settings) { s.HadProvider = true }), func(w *world) {
				u := w.addUser("u", unverified)
				token := w.signIn(u, w.addClient(func(c *pool.Client) { c.Write = write })).Access.Reveal()
				refused := func(what, got string) {
					want.True(w, got == unauthorized || strings.HasPrefix(got, "InvalidParameterException: "), "%s is answered by %s", what, got)
				}
				for _, attack := range attacks {
					refused(attack, w.setSelf(token, attack))
					attribute, _, _ := strings.Cut(attack, "=")
					if attribute != "email" { // which is his own to delete
						refused("deleting "+attribute, w.self("DeleteUserAttributes", token, `,"UserAttributeNames":["`+attribute+`"]`))
					}
					refused("verifying "+attribute, w.verifySelf(token, attribute+"_verified", "123456"))
				}
				want.Equal(w, w.stored(u), u)
				want.Equal(w, w.changes(u.Sub), nil)
				want.Equal(w, w.sent(), nil)
			})
		})
	}
}

// TestE5OneWinnerOfAnAlias: many users claim one address at the same time, each with a right code. One gets it.
func TestE5OneWinnerOfAnAlias(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, aliasPool), func(w *world) {
		const claimants = 50
		type claimant struct{ name, token, code string }
		list := make([]claimant, claimants)
		c := w.addClient()
		for i := range list {
			u := w.addUser(fmt.Sprintf("u%d", i), map[string]string{"name": "N"})
			list[i] = claimant{name: u.Username, token: w.signIn(u, c).Access.Reveal()}
			want.Contains(w, w.setSelf(list[i].token, "email=prize@x.io"), `"p***@x***"`)
			list[i].code = w.code()
		}
		var group sync.WaitGroup
		var mu sync.Mutex
		answers, winner := map[string]int{}, ""
		for _, l := range list {
			group.Go(func() {
				got := w.verifySelf(l.token, "email", l.code)
				mu.Lock()
				defer mu.Unlock()
				answers[got]++
				if got == "{}" {
					winner = l.name
				}
			})
		}
		group.Wait()
		// A database that others load as well may turn some away; who comes again finds the alias taken.
		const busy, taken = "TooManyRequestsException: Rate exceeded", "AliasExistsException: An account with the email already exists."
		want.Equal(w, []int{answers["{}"], answers[taken] + answers[busy]}, []int{1, claimants - 1})
		for _, l := range list {
			if l.name != winner {
				want.Equal(w, w.verifySelf(l.token, "email", l.code), taken)
			}
		}
		want.Equal(w, w.owner(user.Emails, "prize@x.io"), winner)
		listed := w.call("ListUsers", `{"UserPoolId":"$pool","Filter":"email = \"prize@x.io\""}`)
		want.Equal(w, strings.Count(listed, `{"Name":"email_verified","Value":"true"}`), 1)
	})
}

// TestE6UnexpiredChange: whoever has had an account in his hands leaves a change of its address behind, and completes it when the owner
// has it back.
func TestE6UnexpiredChange(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, aliasPool, keepOriginal), func(w *world) {
		u := w.addUser("u", vectorUser)
		token := w.access(u)
		want.Contains(w, w.setSelf(token, "email=mallory@x.io"), `"m***@x***"`)
		right := w.code()
		want.Equal(w, w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"u","Password":"Passw0rd!","Permanent":true}`), "{}")
		want.Equal(w, w.verifySelf(token, "email", right), expiredCode)
		want.Equal(w, w.stored(u).Attributes, vectorUser)
		want.Equal(w, w.owner(user.Emails, "a@x.io"), "u")
		// A new code goes to the owner.
		w.sent()
		want.Contains(w, w.askSelf(token, "email"), `"a***@x***"`)
		want.Equal(w, w.sent(), []string{"EMAIL a@x.io " + verifySource})
		want.Equal(w, w.call("AdminUserGlobalSignOut", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
		want.Equal(w, w.setSelf(token, "email=mallory@x.io"), "NotAuthorizedException: Access Token has been revoked")
	})
}

// TestE6RecoveryLeavesNothing: whoever has had an account in his hands left a change of its address and a password behind. When its owner
// recovers it by a code, and signs everybody out, nothing of that opens anything.
func TestE6RecoveryLeavesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, aliasPool, keepOriginal), func(w *world) {
		w.client(nil)
		u := w.addUser("u", vectorUser)
		want.Equal(w, w.setPassword("u", "Mallory-0ne"), "{}")
		token := w.access(u)
		want.Contains(w, w.setSelf(token, "email=mallory@x.io"), `"m***@x***"`)
		left := w.code()

		want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
		want.Equal(w, w.confirm("u", w.code(), "0wner's-Own"), "{}")
		now := w.stored(u)
		want.Equal(w, []any{now.Attributes, len(now.Pending), w.owner(user.Emails, "mallory@x.io")}, []any{vectorUser, 0, ""})
		want.True(w, w.accepts(u, "0wner's-Own") && !w.accepts(u, "Mallory-0ne"), "the owner's password is the only one")
		want.Equal(w, w.verifySelf(token, "email", left), expiredCode)
		want.Equal(w, w.call("AdminUserGlobalSignOut", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
		const revoked = "NotAuthorizedException: Access Token has been revoked"
		for _, got := range []string{w.setSelf(token, "email=mallory@x.io"), w.askSelf(token, "email"), w.verifySelf(token, "email", left), w.self("GetUser", token, ""), w.self("DeleteUser", token, "")} {
			want.Equal(w, got, revoked)
		}
		want.Equal(w, w.stored(u).Attributes, vectorUser)
	})
}

// TestE10SignUpByLookalikes: whoever signs up by a name that looks like somebody's gets an account of his own, or none; and no code for
// one goes to the other. The pairs that are compared by look-ups and lists are in unicode_test.go.
func TestE10SignUpByLookalikes(t *testing.T) {
	t.Parallel()
	for name, caseSensitive := range map[string]bool{"minds the case": true, "ignores the case": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(openPool, aliasPool, func(s *pool.Settings) { s.CaseSensitive = caseSensitive }), func(w *world) {
				w.client(nil)
				text := func(s string) string { b, err := json.Marshal(s); want.NoError(w, err); return string(b) }
				ask := func(operation, name, more string) string {
					return w.call(operation, `{"ClientId":"`+w.clientID+`","Username":`+text(name)+more+`}`)
				}
				asked := 0
				for i, p := range lookalikes() {
					if i%9 != 0 {
						continue // the store's tests have them all; each of these computes verifiers
					}
					a, b := fmt.Sprintf("%d.%s", i, p.a), fmt.Sprintf("%d.%s", i, p.b)
					address := fmt.Sprintf("%d@x.io", i)
					got := ask("SignUp", a, `,`+goodPassword+`,"UserAttributes":`+list("email="+address))
					if strings.HasPrefix(got, "InvalidParameterException: ") {
						continue // no name at all
					}
					asked++
					w.sent()
					again := ask("ResendConfirmationCode", b, "")
					sent := w.sent()
					second := ask("SignUp", b, `,`+goodPassword+`,"UserAttributes":`+list("email=other-"+address))
					switch {
					case p.same && !caseSensitive:
						want.Contains(w, again, "CodeDeliveryDetails")
						want.Equal(w, sent, []string{"EMAIL " + address + " " + resendSource}) // the address that is stored
						want.Equal(w, second, "UsernameExistsException: User already exists")
					case strings.HasPrefix(again, "InvalidParameterException: "):
					default:
						want.Equal(w, again, notInClient)
						want.Equal(w, sent, nil)
						want.Contains(w, second, `"UserConfirmed":false`)
						want.Equal(w, w.sent(), []string{"EMAIL other-" + address + " " + signUpSource})
					}
				}
				want.True(w, asked > 50, "%d pairs", asked)
			})
		})
	}
}

// TestA7ParallelGuessesOfAnAddress: five hundred guesses at once, at two servers, of the code for an address. No more of them are evaluated than
// the hour allows, and the right one among those that come too late does nothing.
func TestA7ParallelGuessesOfAnAddress(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		const guesses, allowed = 500, 15
		second := newWorld(w.T, w.store, nil)
		second.pool, second.tokens, second.pipeline.Tokens = w.pool, w.tokens, w.tokens
		u := w.addUser("u", with("email_verified", "false"))
		token := w.access(u)
		w.askSelf(token, "email")
		right := w.code()
		var group sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		for i := range guesses {
			server := []*world{w, second}[i%2]
			group.Go(func() {
				got := server.verifySelf(token, "email", wrong(right))
				mu.Lock()
				defer mu.Unlock()
				answers[got]++
			})
		}
		group.Wait()
		// A database that others load as well may turn some away before they are looked at.
		busy := answers["TooManyRequestsException: Rate exceeded"]
		delete(answers, "TooManyRequestsException: Rate exceeded")
		want.Equal(w, answers, map[string]int{wrongCode: allowed, tooManyAttempts: guesses - allowed - busy})
		want.Equal(w, second.verifySelf(token, "email", right), tooManyAttempts)
		want.Equal(w, w.stored(u), u)
		w.view(func(v store.View) error {
			tally, err := v.Tallies().Get(w.pool.ID, u.Sub, verify.VerifyAttribute)
			want.Equal(w, []int{tally.Spent, tally.Failures}, []int{allowed, allowed})
			return err
		})
	})
}

// TestE11OddAddresses: what mail software reads in more than one way is no address.
func TestE11OddAddresses(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		token := w.access(u)
		w.client(nil)
		for _, odd := range []string{"a@b@c", `"a b"@x.io`, "a(comment)@x.io", "a@[127.0.0.1]", "Jane <a@x.io>", "a@x.io,b@x.io", "a@x.io;b@x.io", "a@x.io\nbcc:b@x.io", "a b@x.io", "@x.io", "a@", "a\uff20b@x.io", "a@x..io", "a@.x.io",
			strings.Repeat("a", 65) + "@x.io", "a@" + strings.Repeat("b.", 160) + "io"} {
			for _, got := range []string{w.setSelf(token, "email="+odd), w.update1("u", list("email="+odd)), w.public("SignUp", "new", goodPassword+`,"UserAttributes":`+list("name=N, email="+odd))} {
				want.True(w, strings.HasPrefix(got, "InvalidParameterException: ") && strings.HasSuffix(got, "Invalid email address format."), "%q is answered by %s", odd, got)
			}
		}
		want.Equal(w, w.stored(u), u)
		want.Equal(w, w.sent(), nil)
	})
}

// TestE12MassAssignment: members that the operation does not have, or that are written in other letters or twice, do nothing.
func TestE12MassAssignment(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u, v := w.addUser("u", vectorUser), w.addUser("v", vectorUser)
		token := w.access(u)
		nothing := `"UserAttributes":[]`
		for _, extra := range []string{`"Username":"v"`, `"UserPoolId":"` + w.pool.ID + `"`, `"Enabled":false`, `"UserStatus":"UNCONFIRMED"`, `"Sub":"` + v.Sub + `"`, `"userattributes":` + list("name=X"), `"accessToken":"x"`, `"__proto__":{"x":1}`} {
			want.Equal(w, w.self("UpdateUserAttributes", token, `,`+extra+`,`+nothing), `{"CodeDeliveryDetailsList":[]}`)
		}
		want.Contains(w, w.call("UpdateUserAttributes", `{"accesstoken":"`+token+`",`+nothing+`}`), "at 'accessToken' failed to satisfy constraint: Member must not be null")
		for _, twice := range []string{`"AccessToken":"` + token + `",` + nothing, nothing + `,"UserAttributes":` + list("name=X")} {
			want.True(w, strings.HasPrefix(w.self("UpdateUserAttributes", token, ","+twice), "SerializationException"), "a member twice: %s", twice)
		}
		want.True(w, strings.HasPrefix(w.self("UpdateUserAttributes", token, `,"UserAttributes":[{"Name":"name","name":"nickname","Value":"X","Value":"Y"}]`), "SerializationException"), "an entry with a member twice")
		want.Equal(w, []*user.Record{w.stored(u), w.stored(v)}, []*user.Record{u, v})
	})
}

// TestE13RecycledNames: what was somebody's before does not come to whoever has the name now.
func TestE13RecycledNames(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, aliasPool), func(w *world) {
		create := `{"UserPoolId":"$pool","Username":"u","TemporaryPassword":"Passw0rd!","MessageAction":"SUPPRESS","UserAttributes":` + list("name=N, email=a@x.io, email_verified=true") + `}`
		password := `{"UserPoolId":"$pool","Username":"u","Password":"Passw0rd!","Permanent":true}`
		want.Contains(w, w.call("AdminCreateUser", create), `"Username":"u"`)
		want.Equal(w, w.call("AdminSetUserPassword", password), "{}")
		first := w.byName("u")
		c := w.addClient()
		old := w.signIn(first, c).Access.Reveal()
		w.update(func(tx store.Tx) error {
			want.NoError(w, tx.Groups().Create(&user.Group{PoolID: w.pool.ID, Name: "admins", Created: start, Modified: start}))
			_, err := tx.Groups().Join(w.pool.ID, "admins", first.Sub, start)
			return err
		})
		want.Contains(w, w.setSelf(old, "email=b@x.io"), `"b***@x***"`)
		right := w.code()
		want.Equal(w, w.verifySelf(old, "email", wrong(right)), wrongCode)
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"u"}`), "")

		want.Contains(w, w.call("AdminCreateUser", create), `"Username":"u"`)
		want.Equal(w, w.call("AdminSetUserPassword", password), "{}")
		second := w.byName("u")
		want.True(w, second.Sub != first.Sub, "the new user has a sub of its own")
		want.Equal(w, w.self("GetUser", old, ""), "UserNotFoundException: User does not exist.")
		want.Equal(w, w.setSelf(old, "name=X"), "UserNotFoundException: User does not exist.")
		want.Equal(w, w.verifySelf(old, "email", right), "UserNotFoundException: User does not exist.")
		now := w.signIn(second, c).Access.Reveal()
		want.Equal(w, w.verifySelf(now, "email", right), expiredCode)
		want.Equal(w, w.claims(second, c)["cognito:groups"], nil)
		w.view(func(v store.View) error {
			tally, err := v.Tallies().Get(w.pool.ID, second.Sub, verify.VerifyAttribute)
			want.NoError(w, err)
			want.Equal(w, []int{tally.Spent, tally.Failures}, []int{1, 0})
			groups, err := v.Groups().Of(w.pool.ID, second.Sub)
			want.NoError(w, err)
			members, err := v.Groups().Members(w.pool.ID, "admins", "", 10)
			want.Equal(w, len(groups)+len(members), 0)
			return err
		})
		want.Equal(w, w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"`+first.Sub+`"}`), "UserNotFoundException: User does not exist.")

		// A client of the same name is another client.
		one := clientID(t, w.call("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"web"}`))
		found := &pool.Client{ID: one}
		old = w.signIn(second, found).Access.Reveal()
		want.Equal(w, w.call("DeleteUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+one+`"}`), "")
		two := clientID(t, w.call("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"web"}`))
		want.True(w, one != two, "the new client has an id of its own")
		want.Equal(w, w.self("GetUser", old, ""), "ResourceNotFoundException: User pool client "+one+" does not exist.")
	})
}

// keyOf is a caller whose key is for some pools.
type keyOf struct {
	inbound
	pools []string
}

func (k keyOf) Authenticate(context.Context, *api.Spec) (dispatch.Principal, error) {
	return dispatch.Principal{KeyID: "AKIATEST", ARN: "arn:aws:iam::123456789012:user/tenant", Pools: k.pools}, nil
}

// TestE14CrossPool makes, for every operation that is built, the requests of the table of models about two pools, and mixes them: what is
// the other pool's, under the credentials, the token or the client of one's own.
func TestE14CrossPool(t *testing.T) {
	t.Parallel()
	for name, s := range openStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked sync.Map
			t.Run("operations", func(t *testing.T) {
				for _, m := range models {
					t.Run(m.String(), func(t *testing.T) {
						t.Parallel()
						asked.Store(m.operation, newCrossing(t, s, m).run())
					})
				}
			})
			for _, spec := range api.All() {
				if slices.ContainsFunc(models, func(m model) bool { return m.operation == spec.Name }) {
					_, ok := asked.Load(spec.Name)
					want.True(t, ok, "%s was asked", spec.Name)
				}
			}
		})
	}
}

// crossing is one request about two pools.
type crossing struct {
	*testing.T
	m            model
	spec         *api.Spec
	ours, theirs *world
	ourBody      string
	theirBody    string
}

func newCrossing(t *testing.T, s store.Store, m model) *crossing {
	spec, ok := api.ByName(m.operation)
	want.True(t, ok, "%s is an operation", m.operation)
	x := &crossing{T: t, m: m, spec: spec, ours: newWorld(t, s, m.settings), theirs: newWorld(t, s, m.settings)}
	x.ourBody, x.theirBody = m.prepare(x.ours), m.prepare(x.theirs)
	x.ourBody = strings.ReplaceAll(x.ourBody, "$pool", x.ours.pool.ID)
	x.theirBody = strings.ReplaceAll(x.theirBody, "$pool", x.theirs.pool.ID)
	return x
}

// run makes the requests and returns how many.
func (x *crossing) run() (asked int) {
	x.Helper()
	before := x.state()
	refused := func(what, body string) {
		x.Helper()
		asked++
		reply := x.ours.pipeline.Serve(x.Context(), &dispatch.Request{ID: chance.System().RequestID(), Operation: x.m.operation, Region: "us-east-1", Source: "127.0.0.1",
			Inbound: keyOf{inbound{body}, []string{x.ours.pool.ID}}})
		code := fault.Code("no error")
		if reply.Err != nil {
			code = reply.Err.Code
		}
		switch code {
		case fault.AccessDeniedException, fault.ResourceNotFoundException, fault.NotAuthorizedException, fault.UserNotFoundException:
		default:
			x.Errorf("%s: %s is answered by %s %v", x.m, what, code, reply.Cause)
		}
	}
	if x.spec.Auth == api.IAM {
		refused("the other pool's request", x.theirBody)
	}
	var ours map[string]any
	want.NoError(x, json.Unmarshal([]byte(x.ourBody), &ours))
	if id, ok := ours["ClientId"].(string); ok && x.spec.Auth == api.IAM {
		refused("the other pool's client", strings.ReplaceAll(x.ourBody, id, x.client()))
	}
	// The other pool's user, by sub, which is nobody's name here; of public operations by one's own client.
	if name, ok := ours["Username"].(string); ok {
		if their := x.sub(name); their != "" {
			swapped := maps.Clone(ours)
			swapped["Username"] = their
			text, err := json.Marshal(swapped)
			want.NoError(x, err)
			if x.spec.Auth == api.IAM || !x.hides(ours) {
				refused("the other pool's user", string(text))
			}
		}
	}
	if x.spec.Auth == api.Token {
		// A token says itself which pool it is for: what is left is to write another one into it.
		token, _ := ours["AccessToken"].(string)
		refused("a token that names the other pool", strings.ReplaceAll(x.ourBody, token, x.forged(token)))
	}
	want.Equal(x, x.state(), before)
	return asked
}

// hides reports whether the client of a request hides who exists: an answer then tells nothing, and cannot tell of a refusal.
func (x *crossing) hides(body map[string]any) bool {
	id, _ := body["ClientId"].(string)
	hidden := false
	x.ours.view(func(v store.View) error {
		c, err := v.Clients().ByID(id)
		hidden = err == nil && c.HidesUsers()
		return err
	})
	return hidden
}

// client is a client of the other pool.
func (x *crossing) client() string { return x.theirs.addClient().ID }

// sub is the sub of the other pool's user of a name, "" when there is none.
func (x *crossing) sub(name string) (sub string) {
	x.theirs.view(func(v store.View) error {
		u, err := v.Users().ByLogin(x.theirs.pool, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			sub = u.Sub
		}
		return err
	})
	return sub
}

// forged is a token in which the pool of the issuer is the other one, with the signature as it was.
func (x *crossing) forged(token string) string {
	x.Helper()
	parts := strings.Split(token, ".")
	want.Equal(x, len(parts), 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	want.NoError(x, err)
	want.Contains(x, string(text), x.ours.pool.ID)
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(string(text), x.ours.pool.ID, x.theirs.pool.ID)))
	return strings.Join(parts, ".")
}

// state is what the journal and the users of both pools are.
func (x *crossing) state() (state []string) {
	x.ours.view(func(v store.View) error {
		state = nil
		for _, p := range []*pool.Pool{x.ours.pool, x.theirs.pool} {
			entries, err := v.Journal().List(time.Time{}, "", p.ID, "", 1000)
			if err != nil {
				return err
			}
			users, _, err := v.Users().List(p, store.Query{Limit: 1000})
			if err != nil {
				return err
			}
			state = append(state, fmt.Sprint(p.ID, " has ", len(entries), " entries"))
			for _, u := range users {
				state = append(state, fmt.Sprint(u.Sub, u.Version, u.Status, u.Enabled, u.Attributes))
			}
		}
		return nil
	})
	return state
}
