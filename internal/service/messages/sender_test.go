package messages_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/adapter/vault"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/encsdk"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/keyring"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
)

const masterKey = "arn:aws:kms:us-east-1:123456789012:key/11112222-3333-4444-5555-666677778888"

func senderARN(name string) string { return "arn:aws:lambda:us-east-1:123456789012:function:" + name }

// handed gives the pool both custom senders.
func handed(p *pool.Pool, _ *user.Record) {
	key := masterKey
	p.Lambda.KMSKeyID = &key
	p.Lambda.CustomEmailSender = &pool.VersionedFunction{Version: "V1_0", ARN: senderARN("email")}
	p.Lambda.CustomSMSSender = &pool.VersionedFunction{Version: "V1_0", ARN: senderARN("sms")}
}

// work does what the worker does for a message that is due.
func (w *world) work(id string) {
	w.Helper()
	if err := w.Deliver(w.Context(), w.row(id)); err != nil {
		w.Fatal(err)
	}
}

// opened replaces the code of an event by what the receiver decrypts, and checks what the message says of itself.
func (w *world) opened(c *trigger.Call) string {
	w.Helper()
	var e struct{ Request struct{ Code string } }
	if err := json.Unmarshal(c.Event, &e); err != nil {
		w.Fatal(err)
	}
	sealed, err := base64.StdEncoding.DecodeString(e.Request.Code)
	if err != nil {
		w.Fatal(err)
	}
	m, err := encsdk.Parse(sealed)
	if err != nil {
		w.Fatal(err)
	}
	if m.Context["userpool-id"] != w.pool.ID || len(m.Context) != 2 || len(m.Keys) != 1 || m.Keys[0].Provider != "aws-kms" || m.Keys[0].Info != masterKey {
		w.Errorf("context %v, keys %v", m.Context, m.Keys)
	}
	key, _, err := w.Keys.(*vault.Keyring).Decrypt(m.Keys[0].Wrapped, m.Context)
	if err != nil {
		w.Fatal(err)
	}
	text, err := m.Open(key)
	if err != nil {
		w.Fatal(err)
	}
	return strings.ReplaceAll(string(c.Event), e.Request.Code, "<"+string(text)+">")
}

func TestCustomSenders(t *testing.T) {
	t.Parallel()
	const attributes = `"userAttributes":{"cognito:email_alias":"jane@example.com","cognito:user_status":"CONFIRMED","custom:tier":"gold",` +
		`"email":"jane@example.com","email_verified":"true","phone_number":"+15555550100","sub":"` + sub + `"}`
	for _, test := range []struct {
		name      string
		spec      *api.Spec
		source    string
		attribute string
		code      string
		client    string
		trigger   string
		suffix    string
		metadata  string
		plain     string
	}{
		{name: "changed e-mail", spec: updates, source: notice.SourceUpdateAttribute, attribute: "email", code: code,
			trigger: "CustomEmailSender", suffix: "UpdateUserAttribute", metadata: "null", plain: code},
		{name: "changed phone number", spec: updates, source: notice.SourceUpdateAttribute, attribute: "phone_number", code: code,
			trigger: "CustomSMSSender", suffix: "UpdateUserAttribute", metadata: "null", plain: code},
		{name: "invitation", spec: creates, source: notice.SourceAdminCreate, attribute: "email", code: "a<b>&\"'",
			trigger: "CustomEmailSender", suffix: "AdminCreateUser", metadata: "null", plain: `a&lt;b&gt;&"'`},
		{name: "invitation by SMS", spec: creates, source: notice.SourceAdminCreate, attribute: "phone_number", code: "<", trigger: "CustomSMSSender",
			suffix: "AdminCreateUser", metadata: "null", plain: "&lt;"},
		{name: "sign-up", spec: api.SignUp.Spec, source: "CustomMessage_SignUp", attribute: "email", code: code, client: "1example23456789",
			trigger: "CustomEmailSender", suffix: "SignUp", metadata: `{"why":"test"}`, plain: code},
		{name: "sign-up again", spec: api.ResendConfirmationCode.Spec, source: "CustomMessage_ResendCode", attribute: "email", code: code, client: "1example23456789",
			trigger: "CustomEmailSender", suffix: "ResendCode", metadata: "null", plain: code},
		{name: "forgotten password", spec: api.ForgotPassword.Spec, source: "CustomMessage_ForgotPassword", attribute: "phone_number", code: code, client: "1example23456789",
			trigger: "CustomSMSSender", suffix: "ForgotPassword", metadata: `{"why":"test"}`, plain: code},
		{name: "password reset by an administrator", spec: api.AdminResetUserPassword.Spec, source: "CustomMessage_ForgotPassword", attribute: "email", code: code,
			trigger: "CustomEmailSender", suffix: "ForgotPassword", metadata: "null", plain: code},
		{name: "verification", spec: api.GetUserAttributeVerificationCode.Spec, source: "CustomMessage_VerifyUserAttribute", attribute: "email", code: code,
			client: "1example23456789", trigger: "CustomEmailSender", suffix: "VerifyUserAttribute", metadata: "null", plain: code},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := senders(open(t, handed, func(p *pool.Pool, _ *user.Record) { p.Sms = nil })) // a custom sender needs no SMS configuration
			wanted := w.want("m", test.attribute, test.source)
			wanted.Code, wanted.ClientID = secret.New(test.code), test.client
			same(t, "fault", "", said(w.send(test.spec, wanted)))
			same(t, "functions in the request", []string(nil), w.hooks.Sources())
			if row := w.row("m"); row.State != notice.Ready || w.woken != 1 || strings.Contains(fmt.Sprintf("%+v", *row), test.code) && len(test.code) > 1 {
				t.Errorf("row %+v, worker woken %d times; want it ready and once", row, w.woken)
			}
			w.work("m")
			calls := w.hooks.Calls()
			if len(calls) != 1 || !calls[0].Hand || calls[0].Trigger != test.trigger ||
				calls[0].ARN != senderARN(map[string]string{"CustomEmailSender": "email", "CustomSMSSender": "sms"}[test.trigger]) {
				t.Fatalf("calls %+v", calls)
			}
			kind, client := "customEmailSenderRequestV1", "CLIENT_ID_NOT_APPLICABLE"
			if test.trigger == "CustomSMSSender" {
				kind = "customSMSSenderRequestV1"
			}
			if test.client != "" {
				client = test.client
			}
			same(t, "event", `{"version":"1","region":"us-east-1","userPoolId":"us-east-1_AbCdEf123","userName":"jane",`+
				`"callerContext":{"awsSdkVersion":"aws-sdk-go-v2-1.47.7","clientId":"`+client+`"},"triggerSource":"`+test.trigger+`_`+test.suffix+`",`+
				`"request":{"type":"`+kind+`","code":"<`+test.plain+`>","clientMetadata":`+test.metadata+`,`+attributes+`},"response":{}}`, w.opened(calls[0]))
			if row := w.row("m"); row.State != notice.Sent || !row.Code.IsZero() || !row.Body.IsZero() || row.SenderMetadata != nil {
				t.Errorf("row %+v, want it sent and no secret", row)
			}
			same(t, "mails and texts", 0, len(w.email.Sent())+len(w.sms.Sent()))
			same(t, "inbox", []string(nil), w.inbox())
			medium := "EMAIL sent"
			if test.attribute == "phone_number" {
				medium = "SMS sent"
			}
			same(t, "outcomes", []string{medium}, w.outcomes)
		})
	}
}

// TestCustomSenderBesideTheInbox is a development server: the inbox shows what went to the function, also when that fails.
func TestCustomSenderBesideTheInbox(t *testing.T) {
	t.Parallel()
	w := open(t, handed)
	w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) { return nil, trigger.ErrTimeout })
	same(t, "fault", "", said(w.send(updates, w.want("m", "email", notice.SourceUpdateAttribute))))
	same(t, "inbox before the worker", []string(nil), w.inbox())
	w.work("m")
	w.hooks.Answer(nil)
	w.work("m")
	same(t, "inbox", []string{"jane@example.com: Your verification code | Your verification code is 914382. "}, w.inbox())
	if err := w.store.View(t.Context(), func(v store.View) error {
		list, err := v.Inbox().List("", "", 1)
		same(t, "function", senderARN("email"), list[0].Function)
		same(t, "code", code, list[0].Code.Reveal())
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestCustomSenderAfterCustomMessage holds that the function for texts still runs, and may still refuse the call.
func TestCustomSenderAfterCustomMessage(t *testing.T) {
	t.Parallel()
	w := senders(open(t, hooked("CustomMessage"), handed))
	same(t, "fault", "", said(w.send(api.SignUp.Spec, w.want("m", "email", "CustomMessage_SignUp"))))
	w.work("m")
	same(t, "functions", []string{"CustomMessage_SignUp", "CustomEmailSender_SignUp"}, w.hooks.Sources())
	calls := w.hooks.Calls()
	for _, c := range calls {
		if !strings.Contains(string(c.Event), `"clientMetadata":{"why":"test"}`) {
			t.Errorf("event without metadata: %s", c.Event)
		}
	}
	if strings.Contains(string(calls[0].Event), code) || calls[0].Hand {
		t.Errorf("CustomMessage got %s", calls[0].Event)
	}

	w = senders(open(t, hooked("CustomMessage"), handed))
	w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) { return nil, &trigger.FunctionError{Message: "no"} })
	same(t, "fault", "UserLambdaValidationException: CustomMessage failed with error no.", said(w.send(updates, w.want("m", "email", notice.SourceUpdateAttribute))))
	same(t, "functions", []string{"CustomMessage_UpdateUserAttribute"}, w.hooks.Sources())
	same(t, "state", notice.Dead, w.row("m").State)
}

// TestCustomSenderNeedsNoText has a template that would deliver nothing.
func TestCustomSenderNeedsNoText(t *testing.T) {
	t.Parallel()
	bare := func(p *pool.Pool, _ *user.Record) { p.AdminCreate.InviteEmail = text("Welcome") }
	for _, triggers := range [][]string{nil, {"CustomMessage"}} {
		w := senders(open(t, hooked(triggers...), handed, bare))
		same(t, "fault", "", said(w.send(creates, w.want("m", "email", notice.SourceAdminCreate))))
		w.work("m")
		same(t, "state", notice.Sent, w.row("m").State)
		calls := w.hooks.Calls()
		if got := w.opened(calls[len(calls)-1]); !strings.Contains(got, "<"+code+">") {
			t.Errorf("event %s", got)
		}
	}
}

// TestCustomSenderIsRemoved takes the custom senders away from the pool while messages are on their way.
func TestCustomSenderIsRemoved(t *testing.T) {
	t.Parallel()
	bare := func(p *pool.Pool, _ *user.Record) { p.AdminCreate.InviteEmail = text("Welcome") }
	w := senders(open(t, handed, bare))
	same(t, "fault", "", said(w.send(updates, w.want("text", "email", notice.SourceUpdateAttribute), w.want("sms", "phone_number", notice.SourceUpdateAttribute))))
	same(t, "fault", "", said(w.send(creates, w.want("bare", "email", notice.SourceAdminCreate))))
	w.update(func(tx store.Tx) error {
		p, err := tx.Pools().Get(w.pool.ID)
		if err != nil {
			return err
		}
		p.Lambda = pool.LambdaConfig{}
		return tx.Pools().Save(p)
	})
	for _, id := range []string{"text", "sms", "bare"} {
		w.work(id)
	}
	same(t, "states", []notice.State{notice.Sent, notice.Sent, notice.Dead}, []notice.State{w.row("text").State, w.row("sms").State, w.row("bare").State})
	same(t, "mails and texts", []int{1, 1}, []int{len(w.email.Sent()), len(w.sms.Sent())})
	same(t, "functions", []string(nil), w.hooks.Sources())
}

// refusing is a key service that does not want to.
type refusing struct{ err error }

func (r refusing) Generate(context.Context, string, map[string]string) (keyring.DataKey, error) {
	return keyring.DataKey{}, r.err
}

// TestCustomSenderFails holds that no failure reaches the caller or ends the message before its code is dead.
func TestCustomSenderFails(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(w *world){
		"the function raises an error": func(w *world) {
			w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) {
				return nil, &trigger.FunctionError{Message: "cannot send " + code + " to jane@example.com"}
			})
		},
		"the function is away": func(w *world) {
			w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) {
				return nil, &trigger.Unreachable{Reason: "ResourceNotFoundException"}
			})
		},
		"the function is slow": func(w *world) {
			w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) { return nil, trigger.ErrTimeout })
		},
		"the key service refuses":     func(w *world) { w.Keys = refusing{keyring.ErrRefused} },
		"the key service is away":     func(w *world) { w.Keys = refusing{errors.New("no route to host")} },
		"the key service has no name": func(w *world) { w.Keys = nil },
		"the key has the wrong size": func(w *world) {
			w.Keys = refusing{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := senders(open(t, handed))
			breaks(w)
			same(t, "fault", "", said(w.send(creates, w.want("m", "email", notice.SourceAdminCreate))))
			for try := 1; try <= 3; try++ {
				w.work("m")
				row := w.row("m")
				if row.State != notice.Ready || row.Tries != try || row.Error == "" || !row.NextTry.After(w.real.Now()) {
					t.Fatalf("try %d: row %+v, want it delayed", try, row)
				}
				for _, place := range []string{row.Error, w.log.String()} {
					if strings.Contains(place, code) || strings.Contains(place, "jane@") {
						t.Errorf("the code or the address stands in %q", place)
					}
				}
			}
			w.clock.Advance(24 * time.Hour)
			w.work("m")
			if row := w.row("m"); row.State != notice.Dead || !strings.HasPrefix(row.Error, "too late to deliver; last try: ") || !row.Code.IsZero() {
				t.Errorf("row %+v, want it dead", row)
			}
			same(t, "mails and texts", 0, len(w.email.Sent())+len(w.sms.Sent()))
			same(t, "outcomes", []string{"EMAIL retry", "EMAIL retry", "EMAIL retry", "EMAIL dead"}, w.outcomes)
		})
	}
}

// TestOneCustomSender leaves the other medium to the server.
func TestOneCustomSender(t *testing.T) {
	t.Parallel()
	w := senders(open(t, handed, func(p *pool.Pool, _ *user.Record) { p.Lambda.CustomSMSSender = nil }))
	same(t, "fault", "", said(w.send(updates, w.want("e", "email", notice.SourceUpdateAttribute), w.want("s", "phone_number", notice.SourceUpdateAttribute))))
	same(t, "texts", 1, len(w.sms.Sent()))
	same(t, "functions", []string(nil), w.hooks.Sources())
	w.work("e")
	same(t, "functions", []string{"CustomEmailSender_UpdateUserAttribute"}, w.hooks.Sources())
	w = open(t, handed, func(p *pool.Pool, _ *user.Record) { p.Lambda.CustomSMSSender, p.Sms = nil, nil })
	_, err := w.Prepare(w.call(updates), w.pool, w.jane, w.want("s", "phone_number", notice.SourceUpdateAttribute))
	same(t, "fault", "InvalidParameterException: User pool does not have SMS configuration to send messages.", said(err))
}

// TestCustomSenderLater is a message of a client that hides who exists.
func TestCustomSenderLater(t *testing.T) {
	t.Parallel()
	w := open(t, handed)
	c := w.call(api.ForgotPassword.Spec)
	wanted := w.want("m", "email", "CustomMessage_ForgotPassword")
	wanted.Later = true
	var msg *notice.Message
	w.update(func(tx store.Tx) (err error) {
		if msg, err = w.Prepare(c, w.pool, w.jane, wanted); err != nil {
			return err
		}
		return w.Post(tx, msg)
	})
	w.Leave(msg)
	same(t, "worker woken", 1, w.woken)
	w.work("m")
	same(t, "functions", []string{"CustomEmailSender_ForgotPassword"}, w.hooks.Sources())
}
