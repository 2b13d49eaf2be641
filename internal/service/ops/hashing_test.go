package ops_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// argonForm is what stands beside a password that is kept as Argon2id.
const argonForm = "argon2id m=19456,t=2,p=1"

// plainFlows lets a client send passwords and no proofs by SRP.
func plainFlows(c *pool.Client) {
	c.RefreshValidity = 30
	c.AuthFlows = []string{"ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
}

func (w *world) kept(sub string) (p *credential.Password) {
	w.Helper()
	w.view(func(v store.View) (err error) {
		p, err = v.Passwords().Get(w.pool.ID, sub)
		return err
	})
	return p
}

// TestArgon2id follows a user through everything that gives or asks for a password, in a pool whose passwords are hashed.
func TestArgon2id(t *testing.T) {
	t.Parallel()
	const first, second, third = "First-Passw0rd", "Second-Passw0rd", "Third-Passw0rd"
	onBoth(t, func(p *pool.Settings) { p.Password.History = 2 }, func(w *world) {
		w.hashing.Argon = true
		plain := w.client(plainFlows)
		w.call("AdminCreateUser", `{"UserPoolId":"$pool","Username":"jane","MessageAction":"SUPPRESS","TemporaryPassword":"`+first+`"}`)
		var jane *user.Record
		w.view(func(v store.View) (err error) {
			jane, err = v.Users().ByLogin(w.pool, "jane")
			return err
		})
		form := func() string { w.Helper(); return w.kept(jane.Sub).Hash }
		want.Equal(w, form(), argonForm)
		want.Equal(w, []int{len(w.kept(jane.Sub).Verifier), len(w.kept(jane.Sub).Salt)}, []int{32, 16})
		want.Equal(w, w.byPassword("jane", second).text, incorrect)
		asked := w.byPassword("jane", first)
		want.Equal(w, asked.ChallengeName, "NEW_PASSWORD_REQUIRED")
		w.gotTokens(w.answer("NEW_PASSWORD_REQUIRED", asked.Session, map[string]string{"USERNAME": "jane", "NEW_PASSWORD": second}))
		set := w.byPassword("jane", second)
		w.gotTokens(set)

		// The history knows the former one, and a wrong previous password is a wrong password.
		change := func(previous, proposed string) string {
			w.Helper()
			return w.call("ChangePassword", `{"AccessToken":"`+set.AuthenticationResult.AccessToken+`","PreviousPassword":"`+previous+`","ProposedPassword":"`+proposed+`"}`)
		}
		want.Equal(w, change(first, third), incorrect)
		want.Contains(w, change(second, second), "Password")
		want.Equal(w, change(second, third), "{}")
		want.Equal(w, form(), argonForm)
		want.Equal(w, w.byPassword("jane", second).text, incorrect)
		w.gotTokens(w.byPassword("jane", third))

		// A client that wants proofs: until the user sends the password once more, the right one is as wrong as any.
		w.client(allFlows)
		want.Equal(w, w.bySRP("jane", third).text, incorrect)
		want.Equal(w, w.missed(jane.Sub).Failures, 1)
		salt := w.kept(jane.Sub).Salt
		w.clientID = plain.ID
		w.gotTokens(w.byPassword("jane", third))
		want.Equal(w, []any{form(), w.kept(jane.Sub).Salt, w.kept(jane.Sub).Former[0].Hash}, []any{"", salt, argonForm})
		w.client(allFlows)
		w.gotTokens(w.bySRP("jane", third))
		want.Contains(w, w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"jane","Password":"`+second+`","Permanent":true}`), "PasswordHistoryPolicyViolationException")
	})
}

// TestArgon2idAtNextSignIn: passwords that there are get the form of the pool when they are proven, also by many at once, and lose it
// when the operator changes his mind.
func TestArgon2idAtNextSignIn(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.client(plainFlows)
		jane := w.withPassword("jane", nil)
		before := w.kept(jane.Sub)
		want.Equal(w, before.Hash, "")
		w.hashing.Argon = true
		want.Equal(w, w.byPassword("jane", "wrong").text, incorrect)
		want.Equal(w, w.kept(jane.Sub), before)
		outcomes := make([]string, 4)
		var group sync.WaitGroup
		for i := range outcomes {
			operation, body := beginBody(w, "USER_PASSWORD_AUTH", map[string]string{"USERNAME": "jane", "PASSWORD": rightPassword})
			group.Go(func() {
				_, reply := w.request(operation, body)
				outcomes[i] = outcomeOf(reply)
			})
		}
		group.Wait()
		want.Equal(w, fmt.Sprint(outcomes), "[ok ok ok ok]")
		after := w.kept(jane.Sub)
		want.Equal(w, []any{after.Hash, after.Set, after.Salt}, []any{argonForm, before.Set, before.Salt})
		w.hashing.Argon = false
		want.Equal(w, w.byPassword("jane", "wrong").text, incorrect)
		w.gotTokens(w.byPassword("jane", rightPassword))
		want.Equal(w, w.kept(jane.Sub), before)
	})
}

// TestFormOfPasswords goes through the clients that decide.
func TestFormOfPasswords(t *testing.T) {
	t.Parallel()
	flows := func(flows ...string) func(*pool.Client) {
		return func(c *pool.Client) { c.AuthFlows = flows }
	}
	for _, c := range []struct {
		name    string
		clients []func(*pool.Client)
		want    string
	}{
		{"no clients", nil, ""},
		{"default flows", []func(*pool.Client){flows()}, ""},
		{"passwords", []func(*pool.Client){flows("ALLOW_USER_PASSWORD_AUTH")}, argonForm},
		{"administrators", []func(*pool.Client){flows("ALLOW_ADMIN_USER_PASSWORD_AUTH"), flows("ALLOW_CLIENT_TOKEN_AUTH")}, argonForm},
		{"programs alone", []func(*pool.Client){flows("ALLOW_CLIENT_TOKEN_AUTH")}, ""},
		{"passwords or proofs", []func(*pool.Client){flows("ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH")}, ""},
		{"proofs by another client", []func(*pool.Client){flows("ALLOW_USER_PASSWORD_AUTH"), flows("ALLOW_USER_SRP_AUTH")}, ""},
		{"proofs before custom challenges", []func(*pool.Client){flows("ALLOW_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH")}, ""},
		{"proofs by choice", []func(*pool.Client){flows("ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_AUTH")}, ""},
		{"an early client", []func(*pool.Client){flows("ADMIN_NO_SRP_AUTH")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, openStores(t)["sqlite"], nil)
			w.hashing.Argon = true
			for _, change := range c.clients {
				w.client(change)
			}
			u := w.addUser("jane", nil)
			want.Equal(t, w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"jane","Password":"`+rightPassword+`","Permanent":true}`), "{}")
			want.Equal(t, w.kept(u.Sub).Hash, c.want)
		})
	}
}
