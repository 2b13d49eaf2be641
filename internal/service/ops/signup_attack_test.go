package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// twoNodes are a server and another one beside it: on PostgreSQL with a store of its own on the same database; an SQLite file
// has one owner.
func twoNodes(t *testing.T, o sqlstore.Options, change func(*pool.Settings)) (*world, *world) {
	w := newWorld(t, openOwn(t, o), change)
	if o.DSN == "" {
		return w, w
	}
	second := newWorld(t, openOwn(t, o), change)
	second.pool = w.pool
	return w, second
}

// inEveryState makes a user of every kind in a pool whose user names are e-mail addresses that look alike when they are masked,
// by a client that hides who exists. Nobody has the first.
func (w *world) inEveryState() []string {
	w.Helper()
	w.client(nil)
	names := []string{"j-nobody@example.com"}
	for _, state := range []string{"fresh", "stale", "uncoded", "disabled", "confirmed", "forced", "reset"} {
		name := "j-" + state + "@example.com"
		names = append(names, name)
		if state == "stale" {
			w.clock.Advance(-25 * time.Hour)
		}
		want.Contains(w, w.public("SignUp", name, goodPassword), `"j***@e***"`)
		if state == "stale" {
			w.clock.Advance(25 * time.Hour)
		}
		u := w.byName(name)
		switch state {
		case "uncoded":
			w.update(func(tx store.Tx) error { return tx.Codes().Void(u.PoolID, u.Sub, verify.SignUp) })
		case "disabled":
			want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"`+name+`"}`), "{}")
		case "confirmed":
			want.Equal(w, w.public("ConfirmSignUp", name, code(w.code())), "{}")
		case "forced", "reset":
			w.update(func(tx store.Tx) error {
				now, err := tx.Users().BySub(u.PoolID, u.Sub)
				if err != nil {
					return err
				}
				after := now.Clone()
				after.Status = map[string]user.Status{"forced": user.ForceChangePassword, "reset": user.ResetRequired}[state]
				return tx.Users().Save(w.pool, now, after)
			})
		}
	}
	w.sent()
	w.client(hiding)
	return names
}

// TestSignUpA1 is test A1, and the half of A4 that these operations reach: by a client that hides who exists, users in every
// state and nobody read the same, byte by byte, from the first attempt to the one too many.
func TestSignUpA1(t *testing.T) {
	t.Parallel()
	onBoth(t, both(openPool, usernameAttributes), func(w *world) {
		names := w.inEveryState()
		var first []string
		for _, name := range names {
			var answers []string
			guess := "000000"
			for w.holds(name, guess) {
				guess += "0"
			}
			for range 17 {
				answers = append(answers, w.public("ConfirmSignUp", name, code(guess)))
			}
			for range 7 {
				answers = append(answers, w.public("ResendConfirmationCode", name, ""))
			}
			if first == nil {
				first = answers
				const simulated = `{"CodeDeliveryDetails":{"Destination":"j***@e***","DeliveryMedium":"EMAIL","AttributeName":"email"}}`
				want.Equal(w, answers, slices.Concat(slices.Repeat([]string{wrongCode}, 15), slices.Repeat([]string{tooManyAttempts}, 2),
					slices.Repeat([]string{simulated}, 5), slices.Repeat([]string{tooManyAttempts}, 2)))
			}
			if !slices.Equal(answers, first) {
				w.Errorf("%s reads\n%s\nand nobody reads\n%s", name, strings.Join(answers, "\n"), strings.Join(first, "\n"))
			}
		}
		// Messages wait for the worker, so that no request takes longer for them, and only users whom they concern get any.
		want.Equal(w, w.sent(), nil)
		want.Equal(w, w.due(), 5*3) // fresh, stale and uncoded
		w.view(func(v store.View) error {
			due, err := v.Outbox().Due(start.AddDate(1, 0, 0), 1000)
			for _, m := range due {
				if m.PoolID == w.pool.ID && m.NextTry.After(w.clock.Now()) {
					w.Errorf("a message waits until %v", m.NextTry)
				}
			}
			return err
		})
	})
}

// holds reports whether a code is the outstanding one of somebody.
func (w *world) holds(name, guess string) (right bool) {
	w.Helper()
	w.view(func(v store.View) error {
		r, err := v.Users().ByLogin(w.pool, name)
		if err == nil {
			right, err = v.Codes().Matches(r.PoolID, r.Sub, verify.SignUp, secret.New(guess))
		}
		if errors.Is(err, store.ErrNotFound) {
			right, err = false, nil
		}
		return err
	})
	return right
}

// Only who holds the code reads more: that the user is disabled, confirmed already, or late.
func TestSignUpHoldersOfTheCode(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		w.client(hiding)
		u, right := w.newcomer("jane", "email=n@x.io")
		want.Equal(w, w.call("AdminDisableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "NotAuthorizedException: User is disabled.")
		want.Equal(w, w.call("AdminEnableUser", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "{}")
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "NotAuthorizedException: User cannot be confirmed. Current status is CONFIRMED")
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(wrong(right))), wrongCode)
		want.Equal(w, w.stored(u).Status, user.Confirmed)
		_, late := w.newcomer("john", "email=j@x.io")
		w.clock.Advance(24 * time.Hour)
		want.Equal(w, w.public("ConfirmSignUp", "john", code(late)), expiredCode)
		want.Equal(w, w.public("ConfirmSignUp", "john", code(wrong(late))), wrongCode)
	})
	t.Run("nothing to verify", func(t *testing.T) {
		t.Parallel()
		onBoth(t, func(s *pool.Settings) {}, func(w *world) {
			w.client(hiding)
			w.newcomer("jane", "nickname=x")
			for _, name := range []string{"jane", "nobody"} {
				want.Equal(w, w.public("ResendConfirmationCode", name, ""), "NotAuthorizedException: Cannot resend codes. Auto verification not turned on.")
			}
		})
	})
}

// TestSignUpA4 holds that invented destinations stay the same, on every node and for every spelling that is one account, and
// that nothing is stored for them but their attempts.
func TestSignUpA4(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, o sqlstore.Options) {
		w, second := twoNodes(t, o, both(openPool, caseInsensitive))
		second.clientID = w.client(hiding).ID
		seen := map[string]bool{}
		for i := range 20 {
			name := fmt.Sprintf("nobody%d", i)
			answer := w.public("ResendConfirmationCode", name, "")
			want.Contains(w, answer, `"DeliveryMedium":"EMAIL"`)
			want.Equal(w, second.public("ResendConfirmationCode", strings.ToUpper(name), ""), answer)
			seen[answer] = true
			subject := w.decoys.Subject(w.pool, name)
			w.view(func(v store.View) error {
				tally, err := v.Tallies().Get(w.pool.ID, subject, verify.ResendCode)
				want.Equal(w, tally.Spent, 2)
				return err
			})
		}
		want.True(t, len(seen) > 5, "%d destinations for 20 names", len(seen))
		want.Equal(t, []any{w.due(), w.journal(""), w.sent()}, []any{0, []string(nil), []string(nil)})
	})
}

// TestSignUpA5 spells a name in every way: the attempts are those of one user.
func TestSignUpA5(t *testing.T) {
	t.Parallel()
	onBoth(t, both(openPool, caseInsensitive, func(s *pool.Settings) { s.UsernameAttributes = []string{pool.Email} }), func(w *world) {
		w.client(nil)
		want.Contains(w, w.public("SignUp", "jane@x.io", goodPassword), `"EMAIL"`)
		right := w.code()
		spellings := []string{"jane@x.io", "JANE@x.io", "Jane@X.IO", w.byName("jane@x.io").Sub}
		for i := range 15 {
			want.Equal(w, w.public("ConfirmSignUp", spellings[i%len(spellings)], code(wrong(right))), wrongCode)
		}
		for _, name := range spellings {
			want.Equal(w, w.public("ConfirmSignUp", name, code(right)), tooManyAttempts)
		}
		for i := range 5 {
			want.Contains(w, w.public("ResendConfirmationCode", spellings[i%len(spellings)], ""), `"EMAIL"`)
		}
		for _, name := range spellings {
			want.Equal(w, w.public("ResendConfirmationCode", name, ""), tooManyAttempts)
		}
	})
}

// TestConfirmSignUpA7 guesses 500 times at once over two nodes: no more than 15 guesses are evaluated, the count is exact, and
// it outlives the server.
func TestConfirmSignUpA7(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, o sqlstore.Options) {
		w, second := twoNodes(t, o, openPool)
		second.clientID = w.client(nil).ID
		u, right := w.newcomer("jane", "email=n@x.io")
		var evaluated, refused atomic.Int32
		var done sync.WaitGroup
		for i := range 500 {
			node := []*world{w, second}[i%2]
			done.Go(func() {
				switch got := node.public("ConfirmSignUp", "jane", code(wrong(right))); {
				case got == wrongCode:
					evaluated.Add(1)
				case got == tooManyAttempts, strings.HasPrefix(got, "TooManyRequestsException: "):
					refused.Add(1)
				default:
					w.Errorf("answer %s", got)
				}
			})
		}
		done.Wait()
		want.True(t, evaluated.Load() <= 15 && evaluated.Load()+refused.Load() == 500, "%d evaluated, %d refused", evaluated.Load(), refused.Load())
		tally := func(v store.View) verify.Tally {
			got, err := v.Tallies().Get(w.pool.ID, u.Sub, verify.ConfirmSignUp)
			want.NoError(t, err)
			return got
		}
		counted := verify.Tally{Since: start, Spent: int(evaluated.Load()), Failures: int(evaluated.Load())}
		w.view(func(v store.View) error { want.Equal(t, tally(v), counted); return nil })
		// A server that starts anew, with a new code and a new client, gives no attempt back.
		want.NoError(t, w.store.Close())
		w.store = openOwn(t, o)
		again := newWorld(t, w.store, openPool)
		again.pool = w.pool
		again.client(nil)
		want.Contains(t, again.public("ResendConfirmationCode", "jane", ""), `"EMAIL"`)
		for range 15 - evaluated.Load() {
			want.Equal(t, again.public("ConfirmSignUp", "jane", code(wrong(again.code()))), wrongCode)
		}
		want.Equal(t, again.public("ConfirmSignUp", "jane", code(again.code())), tooManyAttempts)
		again.clock.Advance(time.Hour)
		want.Equal(t, again.public("ConfirmSignUp", "jane", code(again.code())), "{}")
	})
}

// TestConfirmSignUpA9 guesses hour after hour with new codes: after a hundred failures in a row nothing is evaluated any more,
// and an administrator can still help.
func TestConfirmSignUpA9(t *testing.T) {
	t.Parallel()
	const locked = "TooManyFailedAttemptsException: Attempt limit exceeded, please try after some time."
	for name, change := range map[string]func(*pool.Client){"legacy": nil, "hiding": hiding} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, openPool, func(w *world) {
				w.client(nil)
				_, right := w.newcomer("jane", "email=n@x.io")
				w.client(change)
				evaluated := 0
				for range 12 {
					for range 5 {
						want.Contains(w, w.public("ResendConfirmationCode", "jane", ""), `"EMAIL"`)
						if change == nil { // who hides users, leaves the message to the worker
							right = w.code()
						}
					}
					for range 20 {
						if got := w.public("ConfirmSignUp", "jane", code(wrong(right))); got == wrongCode {
							evaluated++
						}
					}
					w.clock.Advance(time.Hour)
				}
				want.Equal(w, evaluated, verify.MaxFailures)
				want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), locked)
				want.Equal(w, w.call("AdminConfirmSignUp", `{"UserPoolId":"$pool","Username":"jane"}`), "{}")
			})
		})
	}
}

// TestConfirmSignUpE5Race lets 50 users who hold the code confirm one address at once, over two nodes: one gets it. When all of
// them force it, one has it in the end, and every other one has lost its flag.
func TestConfirmSignUpE5Race(t *testing.T) {
	t.Parallel()
	const users = 50
	for name, force := range map[string]bool{"free": false, "forced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onOwn(t, func(t *testing.T, o sqlstore.Options) {
				w, second := twoNodes(t, o, both(openPool, aliasPool, passwordless))
				second.clientID = w.client(nil).ID
				codes := make([]string, users)
				for i := range codes {
					want.Contains(t, w.public("SignUp", fmt.Sprintf("u%d", i), `"UserAttributes":`+list("email=a@x.io")), `"EMAIL"`)
					codes[i] = w.code()
				}
				var won, lost, busy atomic.Int32
				var done sync.WaitGroup
				for i, right := range codes {
					node := []*world{w, second}[i%2]
					done.Go(func() {
						for {
							switch got := node.public("ConfirmSignUp", fmt.Sprintf("u%d", i), code(right)+fmt.Sprintf(`,"ForceAliasCreation":%v`, force)); {
							case got == "{}":
								won.Add(1)
							case strings.HasPrefix(got, "AliasExistsException: "):
								lost.Add(1)
							case strings.HasPrefix(got, "TooManyRequestsException: "): // lost to others too often: to be made again
								if busy.Add(1) < 20*users {
									continue
								}
								w.Errorf("no end of %s", got)
							default:
								w.Errorf("answer %s", got)
							}
							return
						}
					})
				}
				done.Wait()
				holder := w.owner(user.Emails, "a@x.io")
				verified, confirmed := 0, 0
				for i := range users {
					u := w.byName(fmt.Sprintf("u%d", i))
					if u.Attributes["email_verified"] == "true" {
						verified++
						want.Equal(t, u.Username, holder)
					}
					if u.Status == user.Confirmed {
						confirmed++
					}
				}
				want.Equal(t, verified, 1)
				if force {
					want.Equal(t, []int32{won.Load(), lost.Load(), int32(confirmed)}, []int32{users, 0, users})
				} else {
					want.Equal(t, []int32{won.Load(), lost.Load(), int32(confirmed)}, []int32{1, users - 1, 1})
				}
			})
		})
	}
}

// TestSignUpE10 signs up the two names of pairs that look alike: they are one account everywhere, or two everywhere, and
// messages go to the address that is stored.
func TestSignUpE10(t *testing.T) {
	t.Parallel()
	for name, caseSensitive := range map[string]bool{"minds the case": true, "ignores the case": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(openPool, passwordless, func(s *pool.Settings) { s.CaseSensitive = caseSensitive }), func(w *world) {
				w.client(hiding)
				quoted := func(s string) string { b, err := json.Marshal(s); want.NoError(w, err); return string(b) }
				ask := func(operation, name, more string) string {
					return w.call(operation, `{"ClientId":"`+w.clientID+`","Username":`+quoted(name)+more+`}`)
				}
				asked := 0
				for i, p := range lookalikes() {
					if i >= 60 && i%9 != 0 {
						continue // the first are each of its own kind, the others are families
					}
					same := p.same && !caseSensitive
					a, b := fmt.Sprintf("%d.", i)+p.a, fmt.Sprintf("%d.", i)+p.b
					address := func(name string) string { return fmt.Sprintf("%s@%d.io", name, i) }
					signUp := func(name, mail string) string {
						return ask("SignUp", name, `,"UserAttributes":[{"Name":"email","Value":`+quoted(mail)+`}]`)
					}
					if got := signUp(a, address("first")); strings.HasPrefix(got, "InvalidParameterException: ") {
						continue // what cannot be seen is no part of a name
					}
					right := w.code()
					asked++
					// Before the other exists: its name finds the first account, or nothing.
					w.sent()
					want.Contains(w, ask("ResendConfirmationCode", b, ""), `"CodeDeliveryDetails"`)
					want.True(w, w.dueTo(address("first")) == same, "%+q and %+q are one account: %v", a, b, same)
					got := signUp(b, address("second"))
					switch {
					case same:
						want.Equal(w, got, "UsernameExistsException: User already exists")
					case strings.HasPrefix(got, "InvalidParameterException: "):
					default:
						want.Contains(w, got, `"UserConfirmed":false`)
						want.Equal(w, w.sent(), []string{"EMAIL " + address("second") + " " + signUpSource})
						want.Equal(w, ask("ConfirmSignUp", b, `,`+code(right)), wrongCode)
						want.Equal(w, ask("ConfirmSignUp", a, `,`+code(right)), "{}")
					}
				}
				want.True(w, asked > 60, "only %d pairs", asked)
			})
		})
	}
}

// dueTo reports whether a message to the address waits in the outbox.
func (w *world) dueTo(address string) (found bool) {
	w.Helper()
	w.view(func(v store.View) error {
		due, err := v.Outbox().Due(start.AddDate(1, 0, 0), 10_000)
		found = slices.ContainsFunc(due, func(m *notice.Message) bool { return m.PoolID == w.pool.ID && m.To == address })
		return err
	})
	return found
}

// TestSignUpE13 deletes a user and signs the name up again: nothing of the first is good for the second.
func TestSignUpE13(t *testing.T) {
	t.Parallel()
	onBoth(t, openPool, func(w *world) {
		w.client(nil)
		u, old := w.newcomer("jane", "email=n@x.io")
		for range 15 {
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(wrong(old))), wrongCode)
		}
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"jane"}`), "")
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(old)), notInClient)
		again, right := w.newcomer("jane", "email=n@x.io")
		want.True(w, again.Sub != u.Sub, "the sub comes again: %s", u.Sub)
		if old != right {
			want.Equal(w, w.public("ConfirmSignUp", "jane", code(old)), wrongCode)
		}
		want.Equal(w, w.public("ConfirmSignUp", "jane", code(right)), "{}")
		want.Equal(w, sorted(w.journal(again.Sub)), []string{"ConfirmSignUp email_verified", "SignUp email email_verified"})
	})
}

// TestSignUpE16 keeps a closed pool closed, whoever asks and however.
func TestSignUpE16(t *testing.T) {
	t.Parallel()
	onBoth(t, both(openPool, withHook("PreSignUp")), func(w *world) {
		w.client(nil)
		u, right := w.newcomer("before", "email=n@x.io")
		w.update(func(tx store.Tx) error {
			p, err := tx.Pools().Get(w.pool.ID)
			if err != nil {
				return err
			}
			p.AdminCreate.OnlyAdmin = true
			return tx.Pools().Save(p)
		})
		// The settings that this server keeps are of before: the write finds out.
		const closed = "NotAuthorizedException: SignUp is not permitted for this user pool"
		for _, hosted := range []bool{false, true} {
			reply := w.pipeline.Serve(w.Context(), &dispatch.Request{ID: chance.System().RequestID(), Operation: "SignUp", Region: "us-east-1", Hosted: hosted, Inbound: inbound{w.body("mallory", goodPassword)}})
			want.Equal(w, w.text(reply), closed)
		}
		want.Equal(w, w.journal(""), []string{"SignUp email email_verified"})
		// Who had signed up before may finish.
		want.Equal(w, w.public("ConfirmSignUp", "before", code(right)), "{}")
		want.Equal(w, w.stored(u).Status, user.Confirmed)
	})
}

// TestSignUpA2 counts what the store is asked when somebody guesses at a user and at nobody, by a client that hides who
// exists: it is as much, so that time does not tell.
func TestSignUpA2(t *testing.T) {
	t.Parallel()
	onOwn(t, func(t *testing.T, o sqlstore.Options) {
		var calls atomic.Int64
		o.Fault = func(context.Context, sqlstore.Stage) error {
			calls.Add(1)
			return nil
		}
		w := newWorld(t, openOwn(t, o), openPool)
		w.client(nil)
		_, right := w.newcomer("jane", "email=n@x.io")
		w.client(hiding)
		ask := func(operation, name, more, answer string) int64 {
			before := calls.Load()
			want.Contains(t, w.public(operation, name, more), answer)
			return calls.Load() - before
		}
		for _, name := range []string{"jane", "nobody"} { // the first attempts read the settings and begin the tallies
			ask("ConfirmSignUp", name, code(wrong(right)), wrongCode)
			ask("ResendConfirmationCode", name, "", "EMAIL")
		}
		want.Equal(t, ask("ConfirmSignUp", "jane", code(wrong(right)), wrongCode), ask("ConfirmSignUp", "nobody", code(wrong(right)), wrongCode))
		want.Equal(t, ask("ResendConfirmationCode", "jane", "", "EMAIL"), ask("ResendConfirmationCode", "nobody", "", "EMAIL"))
		want.Equal(t, w.sent(), nil)
	})
}
