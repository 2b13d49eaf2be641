package ops_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const revoked = "NotAuthorizedException: Access Token has been revoked"

// lives are how many of a user's families are not revoked, of how many.
func (w *world) lives(u *user.Record) (lives, all int) {
	w.Helper()
	w.view(func(v store.View) error {
		list, err := v.Families().List(u.PoolID, u.Sub)
		lives, all = 0, len(list)
		for _, f := range list {
			if f.Revoked.IsZero() {
				lives++
			}
		}
		return err
	})
	return lives, all
}

// quiet holds that nobody was told of anything and no function ran.
func (w *world) quiet() {
	w.Helper()
	want.Equal(w, w.sent(), nil)
	want.Equal(w, w.ran(), nil)
	want.Equal(w, w.due(), 0)
}

// alter saves a user.
func (w *world) alter(u *user.Record, change func(*user.Record)) {
	w.Helper()
	w.update(func(tx store.Tx) error {
		before, err := tx.Users().BySub(u.PoolID, u.Sub)
		if err != nil {
			return err
		}
		after := before.Clone()
		change(after)
		return tx.Users().Save(w.pool, before, after)
	})
}

func TestGetUser(t *testing.T) {
	t.Parallel()
	all := map[string]string{"name": "N", "email": "a@x.io", "email_verified": "true", "custom:tier": "gold", "dev:custom:note": "x"}
	for _, r := range []struct {
		name   string
		client func(*pool.Client)
		user   func(*user.Record)
		want   string // behind the sub
	}{
		{"a client without a list reads all but what is for developers", nil, nil, `,{"Name":"custom:tier","Value":"gold"},{"Name":"email","Value":"a@x.io"},{"Name":"email_verified","Value":"true"},{"Name":"name","Value":"N"}]}`},
		{"a client with a list reads what is in it", func(c *pool.Client) { c.Read = []string{"email", "nickname", "dev:custom:note"} }, nil, `,{"Name":"dev:custom:note","Value":"x"},{"Name":"email","Value":"a@x.io"}]}`},
		{"a client with an empty list reads the sub", func(c *pool.Client) { c.Read = []string{} }, nil, `]}`},
		{"the old MFA setting shows", func(c *pool.Client) { c.Read = []string{} }, func(r *user.Record) { r.SMSOption = true }, `],"MFAOptions":[{"DeliveryMedium":"SMS","AttributeName":"phone_number"}]}`},
		{"a pending address does not show", func(c *pool.Client) { c.Read = []string{"email"} }, func(r *user.Record) {
			r.Pending = map[string]user.Pending{"email": {Value: "b@x.io", Requested: start}}
		}, `,{"Name":"email","Value":"a@x.io"}]}`},
		{"a user of another provider", func(c *pool.Client) { c.Read = []string{} }, func(r *user.Record) { r.Status = user.ExternalProvider }, `]}`},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("Jané", all)
				if r.user != nil {
					w.alter(u, r.user)
				}
				c := w.addClient()
				if r.client != nil {
					c = w.addClient(r.client)
				}
				before := w.stored(u)
				got := w.self("GetUser", w.signIn(u, c).Access.Reveal(), "")
				want.Equal(w, got, `{"Username":"Jané","UserAttributes":[{"Name":"sub","Value":"`+u.Sub+`"}`+r.want)
				want.Equal(w, w.stored(u), before)
				want.Equal(w, w.changes(u.Sub), nil)
				w.quiet()
			})
		})
	}
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]user.Status{"confirmed": user.Confirmed, "the status does not matter: reset required": user.ResetRequired,
		"the status does not matter: unconfirmed": user.Unconfirmed, "of another provider": user.ExternalProvider} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, aliasPool), func(w *world) {
				u, other := w.addUser("u", vectorUser), w.addUser("other", nil)
				access, second, others := w.access(u), w.access(u), w.access(other)
				w.alter(u, func(r *user.Record) { r.Status = status })
				w.update(func(tx store.Tx) error {
					if err := tx.Passwords().Put(&credential.Password{PoolID: u.PoolID, Sub: u.Sub, Kept: credential.Kept{Salt: []byte("s"), Verifier: []byte("v")}, Set: start}); err != nil {
						return err
					}
					return tx.Codes().Put(verify.Code{PoolID: u.PoolID, Sub: u.Sub, Purpose: verify.Email, Target: "a@x.io", Plain: secret.New("123456"), Created: start, Expires: start.Add(time.Hour)})
				})
				want.Equal(w, w.self("DeleteUser", access, ""), "")
				want.Equal(w, w.changes(u.Sub), []string{"DeleteUser"})
				want.Equal(w, []string{w.owner(user.Names, "u"), w.owner(user.Emails, "a@x.io")}, []string{"", ""})
				w.view(func(v store.View) error {
					_, err1 := v.Users().BySub(u.PoolID, u.Sub)
					_, err2 := v.Passwords().Get(u.PoolID, u.Sub)
					_, err3 := v.Codes().Get(u.PoolID, u.Sub, verify.Email)
					families, err := v.Families().List(u.PoolID, u.Sub)
					if err = errors.Join(nothing(err1), nothing(err2), nothing(err3), err); err == nil {
						want.Equal(w, len(families), 0)
					}
					return err
				})
				for _, text := range []string{access, second} {
					want.Equal(w, w.self("DeleteUser", text, ""), "UserNotFoundException: User does not exist.")
				}
				want.Contains(w, w.self("GetUser", others, ""), `"Username":"other"`)

				// Somebody new under the old name is somebody else.
				again := w.addUser("u", vectorUser)
				want.Equal(w, w.self("GetUser", access, ""), "UserNotFoundException: User does not exist.")
				want.True(w, again.Sub != u.Sub, "the sub is new")
				w.quiet()
			})
		})
	}
}

const (
	smsOn  = `[{"DeliveryMedium":"SMS","AttributeName":"phone_number"}]`
	badMFA = "InvalidParameterException: Invalid MFA options: only SMS to phone_number can be set."
)

// TestUserSettings goes through both operations for the old MFA setting.
func TestUserSettings(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name    string
		before  bool
		options string
		want    string
		after   bool
	}{
		{"on", false, smsOn, "{}", true},
		{"on again", true, smsOn, "{}", true},
		{"on, said twice", false, `[{"DeliveryMedium":"SMS","AttributeName":"phone_number"},{"DeliveryMedium":"SMS","AttributeName":"phone_number"}]`, "{}", true},
		{"off", true, `[]`, "{}", false},
		{"off again", false, `[]`, "{}", false},
		{"by e-mail", true, `[{"DeliveryMedium":"EMAIL","AttributeName":"email"}]`, badMFA, true},
		{"SMS to an e-mail address", false, `[{"DeliveryMedium":"SMS","AttributeName":"email"}]`, badMFA, false},
		{"no medium", false, `[{"AttributeName":"phone_number"}]`, badMFA, false},
		{"no attribute", true, `[{"DeliveryMedium":"SMS"}]`, badMFA, true},
		{"one of two is bad", false, `[{"DeliveryMedium":"SMS","AttributeName":"phone_number"},{"DeliveryMedium":"EMAIL","AttributeName":"email"}]`, badMFA, false},
		{"another medium", false, `[{"DeliveryMedium":"FAX","AttributeName":"phone_number"}]`, invalid("1 validation error detected: Value 'FAX' at 'mFAOptions.1.member.deliveryMedium' failed to satisfy constraint: Member must satisfy enum value set: [SMS, EMAIL]"), false},
	} {
		for _, operation := range []string{"SetUserSettings", "AdminSetUserSettings"} {
			t.Run(operation+"/"+r.name, func(t *testing.T) {
				t.Parallel()
				onBoth(t, vectorPool, func(w *world) {
					u := w.addUser("u", vectorUser, func(u *user.Record) { u.SMSOption = r.before })
					who := `"UserPoolId":"$pool","Username":"u"`
					if operation == "SetUserSettings" {
						who = `"AccessToken":"` + w.access(u) + `"`
					}
					w.clock.Advance(time.Minute)
					want.Equal(w, w.call(operation, `{`+who+`,"MFAOptions":`+r.options+`}`), r.want)
					now, modified, lines := w.stored(u), start.Add(time.Minute), []string{operation + " MFAOptions"}
					if r.want != "{}" {
						modified, lines = u.Modified, nil
					}
					want.Equal(w, now.SMSOption, r.after)
					want.Equal(w, now.Modified, modified)
					want.Equal(w, now.Attributes, vectorUser)
					want.Equal(w, w.changes(u.Sub), lines)
					shown := w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":"u"}`)
					if r.after {
						want.Contains(w, shown, `"MFAOptions":`+smsOn)
					} else {
						want.True(w, !strings.Contains(shown, "MFAOptions"), "nothing is shown of it: %s", shown)
					}
					w.quiet()
				})
			})
		}
	}
}

func TestAdminSetUserSettingsUnknown(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		w.addUser("u", vectorUser)
		want.Equal(w, w.call("AdminSetUserSettings", `{"UserPoolId":"us-east-1_Unknown00","Username":"u","MFAOptions":[]}`), "ResourceNotFoundException: User pool us-east-1_Unknown00 does not exist.")
		want.Equal(w, w.call("AdminSetUserSettings", `{"UserPoolId":"$pool","Username":"v","MFAOptions":[{"DeliveryMedium":"EMAIL"}]}`), "UserNotFoundException: User does not exist.")
		want.Equal(w, len(w.journal("")), 0)
	})
}

// TestSignOut goes through everything that ends all sign-ins of a user at once.
func TestSignOut(t *testing.T) {
	t.Parallel()
	admin := `{"UserPoolId":"$pool","Username":"u"}`
	for _, r := range []struct {
		operation string
		lines     []string
		afterward string // what the tokens get then
	}{
		{"GlobalSignOut", []string{"GlobalSignOut"}, revoked},
		{"AdminUserGlobalSignOut", []string{"AdminUserGlobalSignOut"}, revoked},
		{"AdminDisableUser", []string{"AdminDisableUser"}, revoked},
	} {
		t.Run(r.operation, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u, other := w.addUser("u", vectorUser), w.addUser("other", nil)
				unrevocable := w.addClient(func(c *pool.Client) { c.Revocation = false })
				all := []string{w.access(u), w.access(u), w.signIn(u, unrevocable).Access.Reveal()}
				others := w.access(other)
				for _, text := range all {
					want.Contains(w, w.self("GetUser", text, ""), `"Username":"u"`)
				}
				body := admin
				if r.operation == "GlobalSignOut" {
					body = `{"AccessToken":"` + all[0] + `"}`
				}
				want.Equal(w, w.call(r.operation, body), "{}")
				for _, text := range all {
					want.Equal(w, w.self("GetUser", text, ""), r.afterward)
					want.Equal(w, w.self("GlobalSignOut", text, ""), r.afterward)
					want.Equal(w, w.self("DeleteUser", text, ""), r.afterward)
				}
				lives, count := w.lives(u)
				want.Equal(w, []int{lives, count}, []int{0, 3})
				want.Equal(w, w.changes(u.Sub), r.lines)
				want.Contains(w, w.self("GetUser", others, ""), `"Username":"other"`)
				want.Equal(w, w.stored(u).Attributes, vectorUser)
				w.quiet()

				// Enabling does not bring tokens back, and a sign-in in the same instant is not lost.
				want.Equal(w, w.call("AdminEnableUser", admin), "{}")
				want.Equal(w, w.self("GetUser", all[1], ""), revoked)
				fresh := []string{w.access(u), w.signIn(u, unrevocable).Access.Reveal()}
				for _, text := range fresh {
					want.Contains(w, w.self("GetUser", text, ""), `"Username":"u"`)
				}
				want.Equal(w, w.self("GetUser", all[0], ""), revoked)
			})
		})
	}
}

// TestSignOutTwice: signing out who is signed out already is no error for an administrator.
func TestSignOutTwice(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		for range 2 {
			want.Equal(w, w.call("AdminUserGlobalSignOut", `{"UserPoolId":"$pool","Username":"u"}`), "{}")
		}
		want.Equal(w, w.call("AdminUserGlobalSignOut", `{"UserPoolId":"$pool","Username":"v"}`), "UserNotFoundException: User does not exist.")
		want.Equal(w, w.call("AdminUserGlobalSignOut", `{"UserPoolId":"us-east-1_Unknown00","Username":"u"}`), "ResourceNotFoundException: User pool us-east-1_Unknown00 does not exist.")
		want.Equal(w, w.changes(u.Sub), []string{"AdminUserGlobalSignOut", "AdminUserGlobalSignOut"})
		w.quiet()
	})
}

// TestGlobalSignOutHolder: signing out asks for no status, and has an exception of its own for users who are gone.
func TestGlobalSignOutHolder(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name string
		then func(w *world, u *user.Record)
		want string
	}{
		{"reset required", func(w *world, u *user.Record) { w.alter(u, func(r *user.Record) { r.Status = user.ResetRequired }) }, "{}"},
		{"unconfirmed", func(w *world, u *user.Record) { w.alter(u, func(r *user.Record) { r.Status = user.Unconfirmed }) }, "{}"},
		{"disabled before tokens were revoked by that", func(w *world, u *user.Record) { w.alter(u, func(r *user.Record) { r.Enabled = false }) }, "NotAuthorizedException: User is disabled."},
		{"deleted", func(w *world, u *user.Record) {
			want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"u"}`), "")
		}, "NotAuthorizedException: User does not exist."},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				text := w.access(u)
				r.then(w, u)
				want.Equal(w, w.self("GlobalSignOut", text, ""), r.want)
				if lives, all := w.lives(u); all > 0 {
					want.Equal(w, lives == 0, r.want == "{}")
				}
				w.quiet()
			})
		})
	}
}

// selfOperations are those of this file that take a token, with what must stand beside it.
var selfOperations = map[string]string{"GetUser": "", "DeleteUser": "", "GlobalSignOut": "", "SetUserSettings": `,"MFAOptions":` + smsOn}

// TestTokenChecks goes through everything that makes a token useless, for each operation, in the order in which it is looked at.
func TestTokenChecks(t *testing.T) {
	t.Parallel()
	scopes := func(list ...string) func(w *world, u *user.Record, c *pool.Client) string {
		return func(w *world, u *user.Record, c *pool.Client) string {
			d := w.tokens.Draw()
			var facts *token.Facts
			w.update(func(tx store.Tx) (err error) {
				facts, err = w.tokens.Begin(tx, tokens.SignIn{Pool: w.pool, Client: c, User: u, Origin: token.FromOAuth, Scopes: list, Now: w.clock.Now()}, d)
				return err
			})
			signer, err := w.tokens.Signer(w.Context(), w.pool)
			want.NoError(w, err)
			set, err := signer.Sign(facts)
			want.NoError(w, err)
			return set.Access.Reveal()
		}
	}
	for _, r := range []struct {
		name  string
		token func(w *world, u *user.Record, c *pool.Client) string // nil: that of a sign-in
		then  func(w *world, u *user.Record, c *pool.Client)
		want  string
	}{
		{"another form", func(*world, *user.Record, *pool.Client) string { return "not a token" }, nil,
			invalid("1 validation error detected: Value at 'accessToken' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9-_=.]+")},
		{"nothing", func(*world, *user.Record, *pool.Client) string { return "" }, nil,
			invalid("1 validation error detected: Value at 'accessToken' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9-_=.]+")},
		{"no token", func(*world, *user.Record, *pool.Client) string { return "x" }, nil, "NotAuthorizedException: Invalid Access Token"},
		{"ID token", func(w *world, u *user.Record, c *pool.Client) string { return w.signIn(u, c).ID.Reveal() }, nil, "NotAuthorizedException: Invalid Access Token"},
		{"refresh token", func(w *world, u *user.Record, c *pool.Client) string { return w.signIn(u, c).Refresh.Reveal() }, nil, "NotAuthorizedException: Invalid Access Token"},
		{"wrong signature", func(w *world, u *user.Record, c *pool.Client) string {
			return reSigned(w.T, w.signIn(u, c).Access.Reveal())
		}, nil, "NotAuthorizedException: Could not verify signature for Access Token"},
		{"at the last moment", nil, func(w *world, _ *user.Record, _ *pool.Client) {
			w.clock.Set(start.Truncate(time.Second).Add(time.Hour - time.Millisecond))
		}, ""},
		{"expired", nil, func(w *world, _ *user.Record, _ *pool.Client) {
			w.clock.Set(start.Truncate(time.Second).Add(time.Hour))
		}, "NotAuthorizedException: Access Token has expired"},
		{"without the scope", scopes("openid", "email", "aws.cognito.signin.user"), nil, "NotAuthorizedException: Access Token does not have required scopes"},
		{"without any scope", scopes(), nil, "NotAuthorizedException: Access Token does not have required scopes"},
		{"with the scope among others", scopes("openid", token.AdminScope), nil, ""},
		{"expired and without the scope", scopes("openid"), func(w *world, _ *user.Record, _ *pool.Client) { w.clock.Advance(time.Hour) }, "NotAuthorizedException: Access Token has expired"},
		{"one family revoked", nil, func(w *world, u *user.Record, _ *pool.Client) {
			w.update(func(tx store.Tx) error {
				list, err := tx.Families().List(u.PoolID, u.Sub)
				if err != nil {
					return err
				}
				return tx.Families().Revoke(u.PoolID, u.Sub, list[0].ID, start)
			})
		}, revoked},
		{"client deleted", nil, func(w *world, _ *user.Record, c *pool.Client) {
			want.Equal(w, w.call("DeleteUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+c.ID+`"}`), "")
		}, "ResourceNotFoundException: User pool client $client does not exist."},
		{"client made again under its id", nil, func(w *world, _ *user.Record, c *pool.Client) {
			want.Equal(w, w.call("DeleteUserPoolClient", `{"UserPoolId":"$pool","ClientId":"`+c.ID+`"}`), "")
			again := *c
			again.Created, again.Version = start.Add(time.Second), 0
			w.update(func(tx store.Tx) error { return tx.Clients().Create(&again) })
		}, revoked},
		{"pool deleted", nil, func(w *world, _ *user.Record, _ *pool.Client) {
			want.Equal(w, w.call("DeleteUserPool", `{"UserPoolId":"$pool"}`), "")
		}, "NotAuthorizedException: Invalid Access Token"},
	} {
		for operation, members := range selfOperations {
			t.Run(r.name+"/"+operation, func(t *testing.T) {
				t.Parallel()
				onBoth(t, vectorPool, func(w *world) {
					u, c := w.addUser("u", vectorUser), w.addClient()
					var text string
					if r.token == nil {
						text = w.signIn(u, c).Access.Reveal()
					} else {
						text = r.token(w, u, c)
					}
					if r.then != nil {
						r.then(w, u, c)
					}
					got := w.self(operation, text, members)
					if r.want == "" {
						want.True(w, got == "" || got[0] == '{', "answer %s", got)
						return
					}
					want.Equal(w, got, replaceClient(r.want, c))
					want.Equal(w, w.changes(u.Sub), nil)
					w.quiet()
				})
			})
		}
	}
}
