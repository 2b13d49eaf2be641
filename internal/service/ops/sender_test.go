package ops_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/encsdk"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// withSenders configures functions that carry the pool's messages.
func withSenders(s *pool.Settings) {
	s.Lambda.CustomEmailSender = &pool.VersionedFunction{Version: "V1_0", ARN: "arn:aws:lambda:us-east-1:123456789012:function:email"}
	s.Lambda.CustomSMSSender = &pool.VersionedFunction{Version: "V1_0", ARN: "arn:aws:lambda:us-east-1:123456789012:function:sms"}
	s.Lambda.KMSKeyID = new("arn:aws:kms:us-east-1:123456789012:key/k")
}

// work delivers what waits in the outbox, as the worker does, and returns how many messages that were.
func (w *world) work() int {
	w.Helper()
	var mine []*notice.Message
	w.view(func(v store.View) error {
		due, err := v.Outbox().Due(start.AddDate(1, 0, 0), 10_000)
		mine = slices.DeleteFunc(due, func(m *notice.Message) bool { return m.PoolID != w.pool.ID })
		return err
	})
	for _, m := range mine {
		want.NoError(w, w.messages.Deliver(w.Context(), m))
	}
	return len(mine)
}

// handed are the messages that custom senders got, as "source: plain text".
func (w *world) handed() (list []string) {
	w.Helper()
	w.hooks.mu.Lock()
	defer w.hooks.mu.Unlock()
	for _, e := range w.hooks.events {
		text, ok := e.Request["code"].(string)
		if !ok {
			list = append(list, e.TriggerSource)
			continue
		}
		sealed, err := base64.StdEncoding.DecodeString(text)
		want.NoError(w, err)
		m, err := encsdk.Parse(sealed)
		want.NoError(w, err)
		key, _, err := w.keys.Decrypt(m.Keys[0].Wrapped, m.Context)
		want.NoError(w, err)
		plain, err := m.Open(key)
		want.NoError(w, err)
		list = append(list, e.TriggerSource+": "+string(plain))
	}
	w.hooks.events = nil
	slices.Sort(list)
	return list
}

func TestAdminCreateUserCustomSenders(t *testing.T) {
	t.Parallel()
	onBoth(t, withSenders, func(w *world) {
		want.Contains(w, w.call("AdminCreateUser", `{"UserPoolId":"$pool","Username":"u","TemporaryPassword":"Aa1<b>&9!","DesiredDeliveryMediums":["EMAIL","SMS"],`+
			`"ClientMetadata":{"k":"v"},"UserAttributes":`+list("email=a@x.io, phone_number=+15555550100")+`}`), `"UserStatus":"FORCE_CHANGE_PASSWORD"`)
		want.Equal(w, w.ran(), nil)
		want.Equal(w, w.work(), 2)
		want.Equal(w, w.handed(), []string{"CustomEmailSender_AdminCreateUser: Aa1&lt;b&gt;&9!", "CustomSMSSender_AdminCreateUser: Aa1&lt;b&gt;&9!"})
		want.Equal(w, w.sent(), nil)
		want.Equal(w, w.due(), 0)
	})
}

func TestAdminUpdateUserAttributesCustomSenders(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, withSenders, withHook("CustomMessage")), func(w *world) {
		u := w.addUser("u", vectorUser)
		want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
		want.Equal(w, w.handed(), []string{"CustomMessage_UpdateUserAttribute"})
		// Neither a function that fails nor a key service reaches the caller, and the code lives on.
		w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) { return nil, &trigger.FunctionError{Message: "not now"} }
		want.Equal(w, w.work(), 1)
		want.Equal(w, w.due(), 1)
		w.hooks.answer = nil
		w.handed()
		want.Equal(w, w.work(), 1)
		got := w.handed()
		want.True(w, len(got) == 1, "one function ran: %q", got)
		code, isCode := strings.CutPrefix(got[0], "CustomEmailSender_UpdateUserAttribute: ")
		want.True(w, isCode && len(code) == 6, "it got the code: %q", got)
		want.Equal(w, w.sent(), nil)
		want.Equal(w, w.due(), 0)
		want.Equal(w, w.journal(u.Sub), []string{"AdminUpdateUserAttributes email"})
	})
}

// TestCustomSenderAfterTheCode gives a message up when its code is dead.
func TestCustomSenderAfterTheCode(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, withSenders), func(w *world) {
		w.addUser("u", vectorUser)
		want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
		w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) { return nil, errors.New("defect") }
		want.Equal(w, w.work(), 1)
		w.clock.Advance(24 * time.Hour)
		w.hooks.answer = nil
		w.handed()
		want.Equal(w, w.work(), 1)
		want.Equal(w, w.handed(), nil)
		want.Equal(w, w.due(), 0)
	})
}
