package messages_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// said is an error as a client reads it.
func said(err error) string {
	if err == nil {
		return ""
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return "no fault: " + err.Error()
	}
	return string(f.Code) + ": " + f.Message
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		change    func(*pool.Pool, *user.Record)
		attribute string
		source    string
		want      []string
	}{
		{name: "code by e-mail", attribute: "email", source: notice.SourceUpdateAttribute,
			want: []string{"jane@example.com: Your verification code | Your verification code is 914382. "}},
		{name: "code by SMS", attribute: "phone_number", source: notice.SourceUpdateAttribute, want: []string{"+15555550100: Your verification code is 914382. "}},
		{name: "invitation by e-mail", attribute: "email", source: notice.SourceAdminCreate,
			want: []string{"jane@example.com: Your temporary password | Your username is jane and temporary password is 914382. "}},
		{name: "invitation by SMS", attribute: "phone_number", source: notice.SourceAdminCreate,
			want: []string{"+15555550100: Your username is jane and temporary password is 914382. "}},
		{name: "the pool's template", attribute: "email", source: notice.SourceUpdateAttribute,
			change: func(p *pool.Pool, _ *user.Record) {
				p.Templates = pool.Templates{EmailMessage: text("<b>{####}</b>"), EmailSubject: text("Code"), DefaultEmailOption: "CONFIRM_WITH_LINK",
					EmailMessageByLink: text("{##here##}")}
			},
			want: []string{"jane@example.com: Code | <b>914382</b>"}},
		{name: "an invitation without the code goes nowhere", attribute: "email", source: notice.SourceAdminCreate,
			change: func(p *pool.Pool, _ *user.Record) { p.AdminCreate.InviteEmail = text("Welcome, {username}") }},
		{name: "an invitation without the user goes nowhere", attribute: "email", source: notice.SourceAdminCreate,
			change: func(p *pool.Pool, _ *user.Record) { p.AdminCreate.InviteEmail = text("Welcome: {####}") }},
		{name: "a user name is no HTML", attribute: "email", source: notice.SourceAdminCreate,
			change: func(_ *pool.Pool, r *user.Record) { r.Username = "<script>{####}" },
			want:   []string{"jane@example.com: Your temporary password | Your username is &lt;script&gt;{####} and temporary password is 914382. "}},
		{name: "the user name is the sign-in address", attribute: "phone_number", source: notice.SourceAdminCreate,
			change: func(_ *pool.Pool, r *user.Record) { r.Username, r.SignInAttribute = sub, "email" },
			want:   []string{"+15555550100: Your username is jane@example.com and temporary password is 914382. "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			change := test.change
			if change == nil {
				change = func(*pool.Pool, *user.Record) {}
			}
			w := open(t, change)
			if err := w.send(updates, w.want("m", test.attribute, test.source)); err != nil {
				t.Fatal(err)
			}
			same(t, "inbox", test.want, w.inbox())
			same(t, "calls of functions", []string(nil), w.hooks.Sources())
			if w.row("m") != nil {
				t.Error("what is in the inbox at once needs no row in the outbox")
			}
		})
	}
}

func TestNoSmsConfiguration(t *testing.T) {
	t.Parallel()
	w := open(t, func(p *pool.Pool, _ *user.Record) { p.Sms = nil })
	_, err := w.Prepare(w.call(updates), w.pool, w.jane, w.want("m", "phone_number", notice.SourceUpdateAttribute))
	same(t, "fault", "InvalidParameterException: User pool does not have SMS configuration to send messages.", said(err))
}

// answers makes the CustomMessage function answer a response.
func answers(response string) func(*trigger.Call) (json.RawMessage, error) {
	return func(*trigger.Call) (json.RawMessage, error) { return json.RawMessage(response), nil }
}

func TestCustomMessage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 141)
	const unrecognizable = "InvalidLambdaResponseException: Unrecognizable lambda output"
	for _, test := range []struct {
		name      string
		source    string
		attribute string
		developer bool
		response  string
		failure   error
		want      string // the fault
		inbox     []string
	}{
		{name: "an empty answer leaves the template", response: `{}`, inbox: []string{"jane@example.com: Your verification code | Your verification code is 914382. "}},
		{name: "null members too", developer: true, response: `{"smsMessage":null,"emailMessage":null,"emailSubject":null}`,
			inbox: []string{"jane@example.com: Your verification code | Your verification code is 914382. "}},
		{name: "empty members too", response: `{"emailMessage":"","emailSubject":""}`, inbox: []string{"jane@example.com: Your verification code | Your verification code is 914382. "}},
		{name: "e-mail", developer: true, response: `{"emailMessage":"Hi: {####}","emailSubject":"Hello","smsMessage":"Hey: {####}","other":1}`,
			inbox: []string{"jane@example.com: Hello | Hi: 914382"}},
		{name: "subject alone", developer: true, response: `{"emailSubject":"Hello"}`, inbox: []string{"jane@example.com: Hello | Your verification code is 914382. "}},
		{name: "SMS", attribute: "phone_number", response: `{"smsMessage":"Hey: {####}"}`, inbox: []string{"+15555550100: Hey: 914382"}},
		{name: "invitation", source: notice.SourceAdminCreate, attribute: "phone_number", response: `{"smsMessage":"{username}, {####}"}`,
			inbox: []string{"+15555550100: jane, 914382"}},
		{name: "SMS of 140", attribute: "phone_number", response: `{"smsMessage":"` + long[:134] + `{####}"}`, inbox: []string{"+15555550100: " + long[:134] + "914382"}},
		{name: "members in other letters are others", attribute: "phone_number", response: `{"smsmessage":7,"SMSMESSAGE":"{####}"}`,
			inbox: []string{"+15555550100: Your verification code is 914382. "}},

		{name: "invitation without user", source: notice.SourceAdminCreate, attribute: "phone_number", response: `{"smsMessage":"{####}"}`, want: unrecognizable},
		{name: "invitation without code", source: notice.SourceAdminCreate, attribute: "phone_number", response: `{"smsMessage":"{username}"}`, want: unrecognizable},
		{name: "no code", attribute: "phone_number", response: `{"smsMessage":"Hey"}`, want: unrecognizable},
		{name: "SMS too long", attribute: "phone_number", response: `{"smsMessage":"` + long[:135] + `{####}"}`, want: unrecognizable},
		{name: "subject too long", developer: true, response: `{"emailSubject":"` + long + `"}`, want: unrecognizable},
		{name: "e-mail too long", developer: true, response: `{"emailMessage":"{####}` + strings.Repeat("x", 20_000) + `"}`, want: unrecognizable},
		{name: "e-mail text while COGNITO_DEFAULT", response: `{"emailMessage":"{####}"}`, want: unrecognizable},
		{name: "subject while COGNITO_DEFAULT", attribute: "phone_number", response: `{"emailSubject":"x"}`, want: unrecognizable},
		{name: "number for text", response: `{"smsMessage":7}`, want: unrecognizable},
		{name: "the other medium is checked too", response: `{"smsMessage":"Hey"}`, want: unrecognizable},

		{name: "function error", failure: &trigger.FunctionError{Message: "no such luck"}, want: "UserLambdaValidationException: CustomMessage failed with error no such luck."},
		{name: "unreachable", failure: &trigger.Unreachable{Reason: "AccessDeniedException"},
			want: "UnexpectedLambdaException: CustomMessage invocation failed due to error AccessDeniedException."},
		{name: "time-out", failure: trigger.ErrTimeout, want: "UnexpectedLambdaException: Socket timeout while invoking Lambda function"},
		{name: "no JSON", failure: trigger.ErrNotJSON, want: "InvalidLambdaResponseException: Invalid lambda function output : Invalid JSON"},
		{name: "no response", failure: trigger.ErrUnrecognizable, want: unrecognizable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, hooked("CustomMessage"))
			if test.developer {
				developer(w.pool, w.jane)
			}
			w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) { return json.RawMessage(test.response), test.failure })
			source, attribute := test.source, test.attribute
			if source == "" {
				source = notice.SourceUpdateAttribute
			}
			if attribute == "" {
				attribute = "email"
			}
			same(t, "fault", test.want, said(w.send(updates, w.want("m", attribute, source))))
			same(t, "inbox", test.inbox, w.inbox())
			same(t, "functions", []string{source}, w.hooks.Sources())
			row, state := w.row("m"), notice.Sent
			if test.want != "" {
				state = notice.Dead
			}
			if row.State != state || !row.Code.IsZero() || !row.Body.IsZero() || row.Metadata != nil || (row.Error == "") != (test.want == "") {
				t.Errorf("row %+v, want %s and no secret", row, state)
			}
			if strings.Contains(w.log.String(), code) {
				t.Errorf("the log holds the code:\n%s", w.log)
			}
		})
	}
}

func TestTemplateWithoutPlaceholderAfterTheFunction(t *testing.T) {
	t.Parallel()
	w := open(t, hooked("CustomMessage"), func(p *pool.Pool, _ *user.Record) { p.AdminCreate.InviteEmail = text("Welcome") })
	same(t, "fault", "", said(w.send(creates, w.want("m", "email", notice.SourceAdminCreate))))
	same(t, "inbox", []string(nil), w.inbox())
	if row := w.row("m"); row.State != notice.Dead || row.Error != "the template lacks a placeholder" {
		t.Errorf("row %+v, want it dead", row)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := open(t, hooked("CustomMessage", "PreSignUp"))
	invitation := w.want("m-2", "email", notice.SourceAdminCreate)
	invitation.Metadata, invitation.ClientID = nil, "1example23456789"
	for _, want := range []messages.Want{w.want("m-1", "email", notice.SourceUpdateAttribute), invitation} {
		if err := w.send(updates, want); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.PreSignUp(t.Context(), w.call(creates), w.pool, notice.SignUp{Source: notice.SourcePreSignUpByAdmin, Username: "joe",
		Attributes: map[string]string{"email": "joe@example.com"}, Metadata: map[string]string{"k": "<v>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.PreSignUp(t.Context(), w.call(creates), w.pool, notice.SignUp{Source: notice.SourcePreSignUpByAdmin, Username: "joe",
		Validation: map[string]string{"captcha": "ok"}}); err != nil {
		t.Fatal(err)
	}
	const attributes = `{"cognito:email_alias":"jane@example.com","cognito:user_status":"CONFIRMED","custom:tier":"gold","email":"jane@example.com",` +
		`"email_verified":"true","phone_number":"+15555550100","sub":"` + sub + `"}`
	const head = `{"version":"1","region":"us-east-1","userPoolId":"us-east-1_AbCdEf123","userName":`
	const noClient = `,"callerContext":{"awsSdkVersion":"aws-sdk-go-v2-1.47.7","clientId":"CLIENT_ID_NOT_APPLICABLE"},"triggerSource":`
	var got []string
	for _, c := range w.hooks.Calls() {
		got = append(got, string(c.Event))
	}
	same(t, "events", []string{
		head + `"jane"` + noClient + `"CustomMessage_UpdateUserAttribute","request":{"userAttributes":` + attributes +
			`,"codeParameter":"{####}","linkParameter":"{##Click Here##}","usernameParameter":null,"clientMetadata":{"why":"test"}},` +
			`"response":{"smsMessage":null,"emailMessage":null,"emailSubject":null}}`,
		head + `"jane","callerContext":{"awsSdkVersion":"aws-sdk-go-v2-1.47.7","clientId":"1example23456789"},"triggerSource":` +
			`"CustomMessage_AdminCreateUser","request":{"userAttributes":` + attributes +
			`,"codeParameter":"{####}","linkParameter":"{##Click Here##}","usernameParameter":"{username}"},` +
			`"response":{"smsMessage":null,"emailMessage":null,"emailSubject":null}}`,
		head + `"joe"` + noClient + `"PreSignUp_AdminCreateUser","request":{"userAttributes":{"email":"joe@example.com"},"validationData":null,` +
			`"clientMetadata":{"k":"<v>"}},"response":{"autoConfirmUser":false,"autoVerifyEmail":false,"autoVerifyPhone":false}}`,
		head + `"joe"` + noClient + `"PreSignUp_AdminCreateUser","request":{"userAttributes":{},"validationData":{"captcha":"ok"}},` +
			`"response":{"autoConfirmUser":false,"autoVerifyEmail":false,"autoVerifyPhone":false}}`,
	}, got)
	call := w.hooks.Calls()[0]
	call.Event = nil
	same(t, "call", &trigger.Call{Trigger: "CustomMessage", ARN: "arn:aws:lambda:us-east-1:123456789012:function:CustomMessage", PoolID: w.pool.ID,
		PoolARN: "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_AbCdEf123", Account: "123456789012"}, call)
}

func TestPreSignUp(t *testing.T) {
	t.Parallel()
	w := open(t, hooked("PreSignUp"))
	ask := func(response string, failure error) string {
		w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) { return json.RawMessage(response), failure })
		_, err := w.PreSignUp(t.Context(), w.call(creates), w.pool, notice.SignUp{Source: notice.SourcePreSignUpByAdmin, Username: "joe"})
		return said(err)
	}
	same(t, "empty", "", ask(`{}`, nil))
	same(t, "null flag", "", ask(`{"autoConfirmUser":null}`, nil))
	same(t, "text for a flag", "InvalidLambdaResponseException: Unrecognizable lambda output", ask(`{"autoConfirmUser":"true"}`, nil))
	same(t, "refusal", "UserLambdaValidationException: PreSignUp failed with error not you.", ask("", &trigger.FunctionError{Message: "not you"}))
	same(t, "gave up", "no fault: context canceled", ask("", context.Canceled))
	w.hooks.Answer(answers(`{"autoConfirmUser":true,"autoVerifyPhone":true}`))
	answer, err := w.PreSignUp(t.Context(), w.call(creates), w.pool, notice.SignUp{Username: "joe"})
	same(t, "answer", notice.SignUpAnswer{Confirm: true, VerifyPhone: true}, answer)
	same(t, "error", "", said(err))

	none := open(t)
	if _, err := none.PreSignUp(t.Context(), none.call(creates), none.pool, notice.SignUp{}); err != nil || len(none.hooks.Calls()) != 0 {
		t.Errorf("without a function: error %v, %d calls", err, len(none.hooks.Calls()))
	}
}

// Phone goes first; what happens to one message does not stop the other, and the first fault is the answer.
func TestTwoMessages(t *testing.T) {
	t.Parallel()
	w := senders(open(t, hooked("CustomMessage")))
	var order []string
	w.hooks.Answer(func(c *trigger.Call) (json.RawMessage, error) {
		order = append(order, "function")
		if len(order) == 1 {
			return nil, &trigger.FunctionError{Message: "one"}
		}
		return json.RawMessage(`{}`), nil
	})
	err := w.send(updates, w.want("e", "email", notice.SourceUpdateAttribute), w.want("p", "phone_number", notice.SourceUpdateAttribute))
	same(t, "fault", "UserLambdaValidationException: CustomMessage failed with error one.", said(err))
	same(t, "states", []notice.State{notice.Dead, notice.Sent}, []notice.State{w.row("p").State, w.row("e").State})
	same(t, "mails", 1, len(w.email.Sent()))
	same(t, "texts", 0, len(w.sms.Sent()))
	same(t, "outcomes", []string{"SMS dead", "EMAIL sent"}, w.outcomes)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const (
		trust    = "InvalidSmsRoleTrustRelationshipException: Role does not have a trust relationship allowing Cognito to assume the role"
		access   = "InvalidSmsRoleAccessPolicyException: Role does not have permission to publish with SNS"
		identity = "InvalidEmailRoleAccessPolicyException: Cognito is not allowed to use your email identity"
		failed   = "CodeDeliveryFailureException: Unable to deliver message"
	)
	for _, test := range []struct {
		name      string
		spec      *api.Spec
		attribute string
		kind      message.Kind
		want      string
	}{
		{"update, SMS 401", updates, "phone_number", message.SmsRoleTrust, trust},
		{"update, SMS 403", updates, "phone_number", message.SmsRoleAccess, access},
		{"update, SMS recipient", updates, "phone_number", message.Recipient, ""},
		{"update, e-mail identity", updates, "email", message.EmailIdentity, identity},
		{"update, e-mail recipient", updates, "email", message.Recipient, ""},
		{"create, SMS 401", creates, "phone_number", message.SmsRoleTrust, trust},
		{"create, SMS 403", creates, "phone_number", message.SmsRoleAccess, access},
		{"create, e-mail identity", creates, "email", message.EmailIdentity, failed},
		{"create, e-mail recipient", creates, "email", message.Recipient, failed},
		{"create, unknown refusal", creates, "email", 99, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := senders(open(t))
			refusal := &message.Refusal{Kind: test.kind, Cause: errors.New("no " + code + " for jane@example.com or +15555550100")}
			w.email.Fail(refusal)
			w.sms.Fail(refusal)
			same(t, "fault", test.want, said(w.send(test.spec, w.want("m", test.attribute, notice.SourceUpdateAttribute))))
			row := w.row("m")
			if row.State != notice.Dead || row.Tries != 1 || !row.Code.IsZero() || !row.Body.IsZero() {
				t.Errorf("row %+v, want it dead after one try, without secrets", row)
			}
			address := w.jane.Attributes[test.attribute]
			if kept := row.Error + w.log.String(); strings.Contains(kept, code) || strings.Contains(kept, address) {
				t.Errorf("the code or the address is kept or logged:\n%s", kept)
			}
		})
	}
}

func TestTemporaryFailure(t *testing.T) {
	t.Parallel()
	w := senders(open(t, developer))
	w.email.Fail(errors.New("451 come back"))
	same(t, "fault", "", said(w.send(updates, w.want("m", "email", notice.SourceUpdateAttribute))))
	row := w.row("m")
	pause := row.NextTry.Sub(w.real.Now())
	if row.State != notice.Ready || row.Tries != 1 || row.Error != "451 come back" || pause < 500*time.Millisecond || pause > time.Second {
		t.Errorf("row %+v, next try in %v; want it ready for a second try within a second", row, pause)
	}
	same(t, "wake-ups", 1, w.woken)

	w.email.Fail(nil)
	if err := w.Deliver(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	same(t, "state", notice.Sent, w.row("m").State)
	sent := w.email.Sent()[0]
	same(t, "mail", []string{"m", "jane@example.com", "pool@example.org", "Your verification code is 914382. ", code},
		[]string{sent.ID, sent.To, sent.From, sent.Body.Reveal(), sent.Code.Reveal()})
	same(t, "outcomes", []string{"EMAIL retry", "EMAIL sent"}, w.outcomes)
}

// slow is a sender that waits for the end of its context.
type slow struct{ calls int }

func (s *slow) Send(ctx context.Context, _ *message.Message) (message.Receipt, error) {
	s.calls++
	<-ctx.Done()
	return message.Receipt{}, ctx.Err()
}

// A silent mail server costs one request its time; the next ones leave delivery to the worker.
func TestSlowSender(t *testing.T) {
	t.Parallel()
	w := open(t)
	sender := &slow{}
	w.Email, w.AttemptLimit = sender, 20*time.Millisecond
	for i, id := range []string{"a", "b", "c"} {
		same(t, "fault", "", said(w.send(updates, w.want(id, "email", notice.SourceUpdateAttribute))))
		if row := w.row(id); row.State != notice.Ready {
			t.Errorf("row %+v, want it waiting", row)
		}
		if i == 1 {
			w.real.Advance(11 * time.Second)
		}
	}
	same(t, "attempts", 2, sender.calls)
}

// An operation that can report nothing makes no attempt.
func TestNoAttempt(t *testing.T) {
	t.Parallel()
	w := senders(open(t))
	same(t, "fault", "", said(w.send(reads, w.want("m", "email", notice.SourceUpdateAttribute))))
	same(t, "mails", 0, len(w.email.Sent()))
	row := w.row("m")
	if row.State != notice.Ready || row.NextTry.After(w.real.Now()) {
		t.Errorf("row %+v, want it due", row)
	}
	same(t, "wake-ups", 1, w.woken)
}

// What an operation leaves for later, the request neither composes nor delivers, and the worker may have it at once.
func TestLeave(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string][]string{"ready": nil, "composed by a function": {"CustomMessage"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := senders(open(t, hooked(hook...)))
			var m *notice.Message
			asked := w.want("m", "email", notice.SourceUpdateAttribute)
			asked.Later = true
			w.update(func(tx store.Tx) (err error) {
				if m, err = w.Prepare(w.call(updates), w.pool, w.jane, asked); err != nil {
					return err
				}
				return w.Post(tx, m)
			})
			w.Leave(m, nil)
			same(t, "mails", 0, len(w.email.Sent()))
			same(t, "functions", 0, len(w.hooks.Sources()))
			same(t, "wake-ups", 1, w.woken)
			row := w.row("m")
			if row.NextTry.After(w.real.Now()) {
				t.Errorf("row %+v, want it due", row)
			}
			if err := w.Deliver(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			same(t, "mails", 1, len(w.email.Sent()))
		})
	}
	t.Run("inbox", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		var m *notice.Message
		asked := w.want("m", "email", notice.SourceUpdateAttribute)
		asked.Later = true
		w.update(func(tx store.Tx) (err error) {
			if m, err = w.Prepare(w.call(updates), w.pool, w.jane, asked); err != nil {
				return err
			}
			return w.Post(tx, m)
		})
		w.Leave(m)
		same(t, "messages in the inbox", 1, len(w.inbox()))
		same(t, "wake-ups", 0, w.woken)
		same(t, "state", notice.Sent, m.State)
	})
}

// A client that goes away while the function runs leaves the message to the worker.
func TestClientGone(t *testing.T) {
	t.Parallel()
	w := open(t, hooked("CustomMessage"))
	w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) { return nil, context.Canceled })
	same(t, "fault", "", said(w.send(updates, w.want("m", "email", notice.SourceUpdateAttribute))))
	same(t, "wake-ups", 1, w.woken)
	row := w.row("m")
	if row.State != notice.Compose || row.Code.Reveal() != code || !row.NextTry.After(w.real.Now().Add(15*time.Second)) {
		t.Errorf("row %+v, want it as it was, and later than three calls of a function", row)
	}
	w.hooks.Answer(nil)
	if err := w.Deliver(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	same(t, "inbox", []string{"jane@example.com: Your verification code | Your verification code is 914382. "}, w.inbox())
	same(t, "functions", []string{notice.SourceUpdateAttribute, notice.SourceUpdateAttribute}, w.hooks.Sources())
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	gone := &trigger.Unreachable{Reason: "ServiceException"}
	for _, test := range []struct {
		name    string
		hooked  bool
		failure error // of the function
		prepare func(*world, *notice.Message)
		state   notice.State
		tries   int
		reason  string
		sent    int
	}{
		{name: "ready", state: notice.Sent, sent: 1},
		{name: "composed late", hooked: true, state: notice.Sent, sent: 1},
		{name: "function away", hooked: true, failure: gone, state: notice.Compose, tries: 1},
		{name: "function slow", hooked: true, failure: trigger.ErrTimeout, state: notice.Compose, tries: 1},
		{name: "function refuses", hooked: true, failure: &trigger.FunctionError{Message: "no"}, state: notice.Dead, reason: "UserLambdaValidationException"},
		{name: "function answers nonsense", hooked: true, failure: trigger.ErrNotJSON, state: notice.Dead, reason: "InvalidLambdaResponseException"},
		{name: "function removed meanwhile", hooked: true, failure: gone, state: notice.Sent, sent: 1, prepare: func(w *world, _ *notice.Message) {
			w.update(func(tx store.Tx) error {
				p, err := tx.Pools().Get(w.pool.ID)
				if err != nil {
					return err
				}
				p.Lambda.Functions = nil
				return tx.Pools().Save(p)
			})
		}},
		{name: "code dead", state: notice.Dead, reason: "too late to deliver", prepare: func(w *world, m *notice.Message) { w.clock.Set(m.Expires) }},
		{name: "a day old", state: notice.Dead, reason: "too late to deliver; last try: 451", prepare: func(w *world, m *notice.Message) {
			m.Expires, m.Error = m.Expires.AddDate(0, 0, 7), "451"
			w.clock.Advance(24 * time.Hour)
		}},
		{name: "nearly a day old", state: notice.Sent, sent: 1, prepare: func(w *world, _ *notice.Message) { w.clock.Advance(24*time.Hour - time.Second) }},
		{name: "user gone", state: notice.Dead, reason: "the user is gone", prepare: func(_ *world, m *notice.Message) { m.Sub = "34c84488-e0e1-70ae-d2ee-000000000000" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			functions := []string{}
			if test.hooked {
				functions = append(functions, "CustomMessage")
			}
			w := senders(open(t, hooked(functions...)))
			if test.failure != nil {
				w.hooks.Answer(func(*trigger.Call) (json.RawMessage, error) { return nil, test.failure })
			}
			var m *notice.Message
			w.update(func(tx store.Tx) (err error) {
				if m, err = w.Prepare(w.call(updates), w.pool, w.jane, w.want("m", "email", notice.SourceUpdateAttribute)); err != nil {
					return err
				}
				return w.Post(tx, m)
			})
			if test.prepare != nil {
				test.prepare(w, m)
			}
			if err := w.Deliver(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			row := w.row("m")
			if row.State != test.state || row.Tries != test.tries || !strings.HasPrefix(row.Error, test.reason) {
				t.Errorf("row %+v, want %s after %d tries, because %q", row, test.state, test.tries, test.reason)
			}
			same(t, "mails", test.sent, len(w.email.Sent()))
		})
	}
}

// Two nodes may try the same message: what one has finished, the other's failure does not undo.
func TestFinishedStaysFinished(t *testing.T) {
	t.Parallel()
	w := senders(open(t))
	if err := w.send(reads, w.want("m", "email", notice.SourceUpdateAttribute)); err != nil {
		t.Fatal(err)
	}
	late := w.row("m")
	if err := w.Deliver(t.Context(), w.row("m")); err != nil {
		t.Fatal(err)
	}
	w.email.Fail(errors.New("451"))
	if err := w.Deliver(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if row := w.row("m"); row.State != notice.Sent || row.Error != "" {
		t.Errorf("row %+v, want it sent", row)
	}
}

// A user that was deleted took the message along: nothing is left to write, and nothing fails.
func TestRowGone(t *testing.T) {
	t.Parallel()
	w := senders(open(t))
	m := &notice.Message{ID: "m", PoolID: w.pool.ID, Sub: sub, Medium: notice.Email, To: "jane@example.com", State: notice.Ready, Created: noon,
		Expires: noon.Add(time.Hour), Body: secret.New("x")}
	if err := w.Deliver(t.Context(), m); err != nil {
		t.Error(err)
	}
	same(t, "mails", 1, len(w.email.Sent()))
	if w.row("m") != nil {
		t.Error("the row came back")
	}
}

func TestReasonIsBounded(t *testing.T) {
	t.Parallel()
	w := senders(open(t))
	w.email.Fail(errors.New(strings.Repeat("é", 1000) + "\xff"))
	same(t, "fault", "", said(w.send(updates, w.want("m", "email", notice.SourceUpdateAttribute))))
	if got := w.row("m").Error; len(got) > 510 || !strings.HasSuffix(got, "é…") {
		t.Errorf("reason of %d bytes ends in %q", len(got), got[len(got)-8:])
	}
	if !slices.Contains(w.outcomes, "EMAIL retry") {
		t.Errorf("outcomes %v", w.outcomes)
	}
}
