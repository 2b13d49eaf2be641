package ops_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const wrongPassword = "NotAuthorizedException: Incorrect username or password."

// changing is the world of a change: the client's user u with the password Passw0rd!1 and an access token.
func (w *world) changing(change ...func(*user.Record)) (u *user.Record, token string) {
	w.Helper()
	u = w.addUser("u", vectorUser)
	want.Equal(w, w.setPassword("u", "Passw0rd!1"), "{}")
	token = w.access(u)
	w.update(func(tx store.Tx) error {
		now, err := tx.Users().BySub(u.PoolID, u.Sub)
		if err != nil {
			return err
		}
		after := now.Clone()
		for _, fn := range change {
			fn(after)
		}
		return tx.Users().Save(w.pool, now, after)
	})
	return w.stored(u), token
}

// changePassword calls ChangePassword; previous is left out when empty.
func (w *world) changePassword(token, previous, proposed string) string {
	w.Helper()
	members := fmt.Sprintf(`,"ProposedPassword":%q`, proposed)
	if previous != "" {
		members += fmt.Sprintf(`,"PreviousPassword":%q`, previous)
	}
	return w.self("ChangePassword", token, members)
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	t.Run("changes", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, withHook("CustomMessage"), withHook("PostConfirmation"), withHook("PreSignUp")), func(w *world) {
			u, token := w.changing()
			w.clock.Advance(time.Minute)
			want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!"), "{}")
			now := w.stored(u)
			want.True(w, w.accepts(now, "N3w-Passw0rd!") && !w.accepts(now, "Passw0rd!1"), "the new password is the only one")
			u.Modified, u.Version = start.Add(time.Minute), now.Version
			want.Equal(w, now, u)
			want.Equal(w, w.changes(u.Sub), []string{"AdminSetUserPassword password", "ChangePassword password"})
			want.Equal(w, []any{w.sent(), w.ran(), w.due()}, []any{[]string(nil), []string(nil), 0})
			want.Contains(w, w.self("GetUser", token, ""), `"Username":"u"`) // the token stays good
			want.Equal(w, w.changePassword(token, "N3w-Passw0rd!", "N3w-Passw0rd!"), "{}")
		})
	})
	t.Run("a first password", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, passwordless), func(w *world) {
			u := w.addUser("u", vectorUser)
			token := w.access(u)
			want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!"), wrongPassword) // there is none
			want.Equal(w, w.changePassword(token, "", "N3w-Passw0rd!"), "{}")
			want.True(w, w.accepts(u, "N3w-Passw0rd!"), "the first password is stored")
			want.Equal(w, w.changePassword(token, "", "N3w-Passw0rd!2"), wrongPassword)
			want.Equal(w, w.stored(u).Status, user.Confirmed)
		})
	})
	t.Run("refuses", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(openPool, func(s *pool.Settings) { s.Password.History = 2 }), func(w *world) {
			u, token := w.changing()
			for _, r := range []struct{ previous, proposed, want string }{
				{"Passw0rd!2", "N3w-Passw0rd!", wrongPassword},
				{"Passw0rd!2", "password", wrongPassword}, // the policy shows to who knows the password
				{"", "N3w-Passw0rd!", wrongPassword},
				{"Passw0rd!1", "password", "InvalidPasswordException: Password does not conform to policy: Password must have uppercase characters"},
				{"Passw0rd!1", "Passw0rd!1", usedBefore},
			} {
				want.Equal(w, w.changePassword(token, r.previous, r.proposed), r.want)
			}
			want.Equal(w, w.stored(u), u)
			want.True(w, w.accepts(u, "Passw0rd!1"), "the password stays")
			want.Equal(w, w.changes(u.Sub), []string{"AdminSetUserPassword password"})
			// A6: what was wrong counts as a failed sign-in, whoever asks for passwords; what was missing was no guess.
			want.Equal(w, w.failures(u, verify.SignIn), 2)

			// Five an hour, right or wrong.
			want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!"), tooManyAttempts)
			want.Equal(w, w.failures(u, verify.SignIn), 2)
			w.clock.Advance(time.Hour)
			token = w.access(u)
			want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!"), "{}")
			want.Equal(w, w.changePassword(token, "N3w-Passw0rd!", "Passw0rd!1"), usedBefore)
			want.Equal(w, w.changePassword(token, "N3w-Passw0rd!", "N3w-Passw0rd!2"), "{}")
			want.Equal(w, w.changePassword(token, "N3w-Passw0rd!2", "Passw0rd!1"), "{}") // the history holds two
			want.Equal(w, w.failures(u, verify.SignIn), 0)
		})
	})
	for name, change := range map[string]func(*user.Record){
		"from elsewhere":          func(r *user.Record) { r.Status = user.ExternalProvider },
		"never again by password": func(r *user.Record) { r.PasswordOff = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, openPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				token := w.access(u)
				w.update(func(tx store.Tx) error {
					after := w.byName("u").Clone()
					change(after)
					return tx.Users().Save(w.pool, u, after)
				})
				want.Equal(w, w.changePassword(token, "", "N3w-Passw0rd!"), wrongPassword)
			})
		})
	}
	t.Run("whose token it is", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			const invalidToken = "NotAuthorizedException: Invalid Access Token"
			u, token := w.changing()
			want.Equal(w, w.changePassword("a.b.c", "Passw0rd!1", "N3w-Passw0rd!"), invalidToken)
			for _, r := range []struct {
				change func(*user.Record)
				want   string
			}{
				{func(r *user.Record) { r.Status = user.ResetRequired }, "PasswordResetRequiredException: Password reset required for the user"},
				{func(r *user.Record) { r.Status = user.Unconfirmed }, "UserNotConfirmedException: User is not confirmed."},
				{func(r *user.Record) { r.Enabled, r.Status = false, user.Confirmed }, disabledUser},
			} {
				w.update(func(tx store.Tx) error {
					now, err := tx.Users().BySub(u.PoolID, u.Sub)
					if err != nil {
						return err
					}
					after := now.Clone()
					r.change(after)
					return tx.Users().Save(w.pool, now, after)
				})
				want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!"), r.want)
			}
			want.True(w, w.accepts(u, "Passw0rd!1"), "the password stays")
			want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"u"}`), "")
			want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!"), "UserNotFoundException: User does not exist.")
		})
	})
	t.Run("signed out", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			u, token := w.changing()
			want.Equal(w, w.self("GlobalSignOut", token, ""), "{}")
			want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!"), "NotAuthorizedException: Access Token has been revoked")
			want.True(w, w.accepts(u, "Passw0rd!1"), "the password stays")
		})
	})
	t.Run("a code for a new password is void", func(t *testing.T) {
		t.Parallel()
		onBoth(t, openPool, func(w *world) {
			_, token := w.changing()
			w.client(nil)
			want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
			right := w.code()
			want.Equal(w, w.changePassword(token, "Passw0rd!1", "N3w-Passw0rd!"), "{}")
			want.Equal(w, w.confirm("u", right, "N3w-Passw0rd!2"), expiredCode)
		})
	})
}

// Parallel guesses at the previous password are no more than the limit, and each counts.
func TestChangePasswordInParallel(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		u, token := w.changing()
		answers := w.parallel(30, func(int) string { return w.changePassword(token, "Passw0rd!2", "N3w-Passw0rd!") })
		want.Equal(w, answers, map[string]int{wrongPassword: 5, tooManyAttempts: 25})
		want.Equal(w, w.failures(u, verify.SignIn), 5)
	})
}

// An administrator's new password forgets failures at the old one.
func TestAdminSetUserPasswordForgetsFailures(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		u, token := w.changing()
		w.client(nil)
		want.Equal(w, w.changePassword(token, "Passw0rd!2", "N3w-Passw0rd!"), wrongPassword)
		want.Equal(w, w.public("ForgotPassword", "u", ""), byMail)
		want.Equal(w, w.confirm("u", wrong(w.code()), "N3w-Passw0rd!"), wrongCode)
		want.Equal(w, []int{w.failures(u, verify.SignIn), w.failures(u, verify.ConfirmRecovery)}, []int{1, 1})
		want.Equal(w, w.setPassword("u", "password"), "InvalidPasswordException: Password does not conform to policy: Password must have uppercase characters")
		want.Equal(w, []int{w.failures(u, verify.SignIn), w.failures(u, verify.ConfirmRecovery)}, []int{1, 1})
		want.Equal(w, w.setPassword("u", "Passw0rd!3"), "{}")
		want.Equal(w, []int{w.failures(u, verify.SignIn), w.failures(u, verify.ConfirmRecovery)}, []int{0, 0})
	})
}
