package messages_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// alert lets jane move to another e-mail address and password, and posts what she is told.
func (w *world) alert(then func(msgs []*notice.Message)) {
	w.Helper()
	c := w.call(updates)
	after := w.jane.Clone()
	after.Attributes["email"] = "new@example.com"
	drawn := 0
	ids := w.DrawAlerts(func() string { drawn++; return fmt.Sprint("alert", drawn) })
	if w.TellChanges != (drawn > 0) {
		w.Errorf("%d ids are drawn while alerts are %v", drawn, w.TellChanges)
	}
	var msgs []*notice.Message
	w.update(func(tx store.Tx) (err error) {
		msgs, err = w.PostAlerts(tx, c, w.jane, after, notice.SourcePasswordChanged, ids)
		return err
	})
	then(msgs)
}

// signsInByEmail makes the address part of what {username} is filled with.
func signsInByEmail(_ *pool.Pool, r *user.Record) { r.SignInAttribute = "email" }

func TestAlerts(t *testing.T) {
	t.Parallel()
	w := open(t, hooked(notice.CustomMessage), signsInByEmail)
	w.TellChanges = true
	w.alert(func(msgs []*notice.Message) {
		if err := w.Flush(w.Context(), w.call(updates), w.pool, w.jane, msgs...); err != nil {
			t.Error(err)
		}
	})
	// Of the new address nothing is said to whoever reads at the old one.
	same(t, "inbox", []string{
		"jane@example.com: Your email address was changed | The email address of your account jane@example.com was changed. If this was not you, contact support.",
		"jane@example.com: Your password was changed | The password of your account jane@example.com was changed. If this was not you, contact support.",
	}, w.inbox())
	same(t, "calls of functions", []string(nil), w.hooks.Sources())
}

func TestAlertsAreOff(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.alert(func(msgs []*notice.Message) { same(t, "messages", []*notice.Message(nil), msgs) })
	same(t, "inbox", []string(nil), w.inbox())
}

// TestAlertsAreTheWorkers holds that no request waits for an alert or fails by it, also where it tries to deliver codes.
func TestAlertsAreTheWorkers(t *testing.T) {
	t.Parallel()
	for _, leave := range []bool{false, true} {
		w := senders(open(t, hooked(notice.CustomMessage)))
		w.TellChanges = true
		w.email.Fail(errors.New("not now"))
		w.alert(func(msgs []*notice.Message) {
			if leave {
				w.Leave(msgs...)
			} else if err := w.Flush(w.Context(), w.call(updates), w.pool, w.jane, msgs...); err != nil {
				t.Error(err)
			}
		})
		if row := w.row("alert1"); row == nil || row.State != notice.Ready || row.Tries != 0 || !row.NextTry.Equal(w.real.Now()) {
			t.Errorf("the message after the request: %+v", row)
		}
		if w.woken == 0 {
			t.Error("the worker is not woken")
		}
		w.email.Fail(nil)
		if err := w.Deliver(w.Context(), w.row("alert1")); err != nil {
			t.Error(err)
		}
		if row := w.row("alert1"); row.State != notice.Sent {
			t.Errorf("the message after the worker: %+v", row)
		}
	}
}

// TestLater holds that a message for later waits for nobody: no lease keeps the worker away, the request runs no function
// and tries no delivery.
func TestLater(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		hooks  []string
		inbox  bool
		state  notice.State
		woken  int
		result []string
	}{
		{"sender", nil, false, notice.Ready, 1, nil},
		{"function and sender", []string{notice.CustomMessage}, false, notice.Compose, 1, nil},
		{"inbox", nil, true, notice.Sent, 0, []string{"jane@example.com: Your verification code | Your verification code is 914382. "}},
		{"function and inbox", []string{notice.CustomMessage}, true, notice.Compose, 1, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, hooked(test.hooks...))
			if !test.inbox {
				senders(w)
			}
			c := w.call(updates)
			want := w.want("m", "email", notice.SourceUpdateAttribute)
			want.Later = true
			var msg *notice.Message
			w.update(func(tx store.Tx) (err error) {
				if msg, err = w.Prepare(c, w.pool, w.jane, want); err != nil {
					return err
				}
				return w.Post(tx, msg, nil)
			})
			w.Leave(msg, nil)
			same(t, "state", test.state, msg.State)
			same(t, "wakes", test.woken, w.woken)
			same(t, "inbox", test.result, w.inbox())
			same(t, "calls of functions", []string(nil), w.hooks.Sources())
			if test.state == notice.Sent {
				same(t, "what is left of the code", secret.Text{}, msg.Code)
				return
			}
			row := w.row("m")
			if !row.NextTry.Equal(w.real.Now()) {
				t.Errorf("the worker has to wait until %s", row.NextTry)
			}
			w.clock.Advance(time.Second)
			if err := w.Deliver(w.Context(), row); err != nil {
				t.Error(err)
			}
			same(t, "state after the worker", notice.Sent, w.row("m").State)
		})
	}
}
