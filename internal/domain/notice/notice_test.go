package notice_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

func text(s string) *string { return &s }

func TestTemplateOf(t *testing.T) {
	t.Parallel()
	full := &pool.Pool{Settings: pool.Settings{
		Templates: pool.Templates{Sms: text("sms {####}"), EmailMessage: text("mail {####}"), EmailSubject: text("subject"),
			EmailMessageByLink: text("{##link##}"), EmailSubjectByLink: text("link subject"), DefaultEmailOption: "CONFIRM_WITH_LINK"},
		AdminCreate: pool.AdminCreateConfig{InviteSms: text("invite sms"), InviteEmail: text("invite mail"), InviteSubject: text("invite subject")},
	}}
	for _, test := range []struct {
		name   string
		pool   *pool.Pool
		source string
		medium notice.Medium
		want   notice.Template
	}{
		{"default e-mail", &pool.Pool{}, notice.SourceUpdateAttribute, notice.Email, notice.Template{Subject: "Your verification code", Body: "Your verification code is {####}. "}},
		{"default SMS", &pool.Pool{}, notice.SourceUpdateAttribute, notice.SMS, notice.Template{Body: "Your verification code is {####}. "}},
		{"default invitation", &pool.Pool{}, notice.SourceAdminCreate, notice.Email,
			notice.Template{Subject: "Your temporary password", Body: "Your username is {username} and temporary password is {####}. "}},
		{"default invitation by SMS", &pool.Pool{}, notice.SourceAdminCreate, notice.SMS,
			notice.Template{Body: "Your username is {username} and temporary password is {####}. "}},
		{"e-mail", full, notice.SourceUpdateAttribute, notice.Email, notice.Template{Subject: "subject", Body: "mail {####}"}},
		{"SMS", full, notice.SourceUpdateAttribute, notice.SMS, notice.Template{Body: "sms {####}"}},
		{"link", full, notice.SourceSignUp, notice.Email, notice.Template{Subject: "link subject", Body: "{##link##}"}},
		{"link again", full, notice.SourceResend, notice.Email, notice.Template{Subject: "link subject", Body: "{##link##}"}},
		{"no link by SMS", full, notice.SourceSignUp, notice.SMS, notice.Template{Body: "sms {####}"}},
		{"default link", &pool.Pool{Settings: pool.Settings{Templates: pool.Templates{DefaultEmailOption: "CONFIRM_WITH_LINK"}}}, notice.SourceSignUp, notice.Email,
			notice.Template{Subject: "Your verification link", Body: "Please click the link below to verify your email address. {##Verify Email##} "}},
		{"invitation", full, notice.SourceAdminCreate, notice.Email, notice.Template{Subject: "invite subject", Body: "invite mail"}},
		{"invitation by SMS", full, notice.SourceAdminCreate, notice.SMS, notice.Template{Body: "invite sms"}},
	} {
		if diff := cmp.Diff(test.want, notice.TemplateOf(test.pool, test.source, test.medium)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		medium                     notice.Medium
		body, code, username, link string
		want                       string
	}{
		{notice.SMS, "{username}: {####}, again {####}", "914382", "jane", "", "jane: 914382, again 914382"},
		{notice.Email, "<b>{####}</b> for {username}", `a<b>"c'&d`, "<i>", "", "<b>a&lt;b&gt;&#34;c&#39;&amp;d</b> for &lt;i&gt;"},
		{notice.SMS, "{####} {username}", `a<b>&c`, "<i>", "", "a<b>&c <i>"},
		{notice.Email, "{username} {####}", "{username}", "{####}", "", "{####} {username}"},
		{notice.Email, "{#### } {Username}", "914382", "jane", "", "{#### } {Username}"},
		{notice.Email, "{##Go <b>there</b>##}, {##now##}: {username}", "914382", "{##x##}", "https://x.io/?a=1&b=%7B", `<a href="https://x.io/?a=1&amp;b=%7B">Go <b>there</b></a>, <a href="https://x.io/?a=1&amp;b=%7B">now</a>: {##x##}`},
		{notice.Email, "{##Click Here##} {####}", "914382", "jane", "", "{##Click Here##} 914382"},
	} {
		if got := notice.Render(test.medium, test.body, test.code, test.username, test.link); got != test.want {
			t.Errorf("%s %q: got %q, want %q", test.medium, test.body, got, test.want)
		}
	}
}

// A link says whose it is so that nothing in a name can end it or be a placeholder.
func TestLink(t *testing.T) {
	t.Parallel()
	m := &notice.Message{ClientID: "c", Username: `a&b="{##x##}"/+é`, Code: secret.New("012345")}
	if got, want := notice.Link("https://id.x.io", m), "https://id.x.io/confirmUser/?client_id=c&confirmation_code=012345&user_name=a%26b%3D%22%7B%23%23x%23%23%7D%22%2F%2B%C3%A9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	linked := &pool.Pool{Settings: pool.Settings{Templates: pool.Templates{DefaultEmailOption: "CONFIRM_WITH_LINK"}}}
	for _, test := range []struct {
		pool   *pool.Pool
		source string
		medium notice.Medium
		body   string
		want   bool
	}{
		{&pool.Pool{}, notice.SourceSignUp, notice.Email, "{####}", true},
		{&pool.Pool{}, notice.SourceSignUp, notice.Email, "{##Here##}", false},
		{linked, notice.SourceSignUp, notice.Email, "{##Here##}", true},
		{linked, notice.SourceResend, notice.Email, "{##Here, please##}", true},
		{linked, notice.SourceSignUp, notice.Email, "{####}", false},
		{linked, notice.SourceSignUp, notice.Email, "{####} ##}", false},
		{linked, notice.SourceSignUp, notice.SMS, "{####}", true},
		{linked, notice.SourceUpdateAttribute, notice.Email, "{####}", true},
		{linked, notice.SourceAdminCreate, notice.Email, "{####}", false},
		{linked, notice.SourceAdminCreate, notice.Email, "{####} {username}", true},
	} {
		if got := notice.Complete(test.pool, test.source, test.medium, test.body); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	const ses = "arn:aws:ses:us-east-1:123456789012:identity/"
	for _, test := range []struct {
		email       pool.EmailConfig
		from, reply string
	}{
		{pool.EmailConfig{}, "", ""},
		{pool.EmailConfig{From: text("Pool <a@x.io>"), SourceArn: text(ses + "b@x.io"), ReplyTo: text("r@x.io")}, "Pool <a@x.io>", "r@x.io"},
		{pool.EmailConfig{SourceArn: text(ses + "b@x.io")}, "b@x.io", ""},
		{pool.EmailConfig{SourceArn: text(ses + "x.io")}, "", ""},
		{pool.EmailConfig{SourceArn: text("b@x.io")}, "", ""},
	} {
		if from, reply := notice.From(&pool.Pool{Settings: pool.Settings{Email: test.email}}); from != test.from || reply != test.reply {
			t.Errorf("%+v: from %q reply %q, want %q and %q", test.email, from, reply, test.from, test.reply)
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	if got := notice.Mask(notice.MediumOf("email"), "jane@example.com"); got != "j***@e***" {
		t.Errorf("e-mail: %s", got)
	}
	if got := notice.Mask(notice.MediumOf("phone_number"), "+15555559934"); got != "+*******9934" {
		t.Errorf("phone: %s", got)
	}
}

// An alias is marked while it is active, and only in pools where the attribute is one.
func TestAttributes(t *testing.T) {
	t.Parallel()
	r := &user.Record{Sub: "s", Status: user.ForceChangePassword, Attributes: map[string]string{"email": "a@x.io", "email_verified": "true",
		"phone_number": "+1555", "phone_number_verified": "false"}}
	p := &pool.Pool{Settings: pool.Settings{Aliases: []string{"email", "phone_number"}}}
	want := map[string]string{"sub": "s", "cognito:user_status": "FORCE_CHANGE_PASSWORD", "email": "a@x.io", "email_verified": "true", "phone_number": "+1555",
		"phone_number_verified": "false", "cognito:email_alias": "a@x.io"}
	if diff := cmp.Diff(want, notice.Attributes(p, r)); diff != "" {
		t.Errorf("alias pool (-want +got):\n%s", diff)
	}
	r.Attributes["phone_number_verified"] = "true"
	if got := notice.Attributes(p, r)["cognito:phone_number_alias"]; got != "+1555" {
		t.Errorf("verified phone alias: %q", got)
	}
	if got, there := notice.Attributes(&pool.Pool{}, r)["cognito:email_alias"]; there {
		t.Errorf("no alias pool: %q", got)
	}
	if len(r.Attributes) != 4 {
		t.Errorf("the record changed: %v", r.Attributes)
	}
}

func TestCallerOf(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"": "aws-sdk-unknown-unknown", "curl/8": "aws-sdk-unknown-unknown", "aws-sdk-js/3.1 os/linux": "aws-sdk-js-3.1",
		"aws-cli/2.1 aws-sdk-x/1": "aws-sdk-unknown-unknown", "aws-sdk-go-v2/1.47.7": "aws-sdk-go-v2-1.47.7",
	} {
		if got := notice.CallerOf(agent, "c"); got.SDK != want || got.ClientID != "c" {
			t.Errorf("%q: %+v, want %s", agent, got, want)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	for failed, full := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 10: 512 * time.Second,
		11: 15 * time.Minute, 12: 15 * time.Minute, 1000: 15 * time.Minute} {
		if got := notice.Pause(failed, 0); got != full {
			t.Errorf("after %d failures: %v, want %v", failed, got, full)
		}
		if got := notice.Pause(failed, 255); got < full/2 || got > full/2+full/100 {
			t.Errorf("after %d failures with full jitter: %v, want about half of %v", failed, got, full)
		}
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		expires, now time.Time
		want         bool
	}{
		{noon.Add(time.Hour), noon, false},
		{noon.Add(time.Hour), noon.Add(time.Hour - 1), false},
		{noon.Add(time.Hour), noon.Add(time.Hour), true},
		{noon.Add(100 * time.Hour), noon.Add(24*time.Hour - 1), false},
		{noon.Add(100 * time.Hour), noon.Add(24 * time.Hour), true},
		{time.Time{}, noon.Add(time.Hour), false},
	} {
		if got := (&notice.Message{Created: noon, Expires: test.expires}).Expired(test.now); got != test.want {
			t.Errorf("expires %v at %v: %v", test.expires, test.now, got)
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	m := &notice.Message{State: notice.Ready, Code: secret.New("1"), Body: secret.New("2"), Metadata: map[string]string{"a": "b"}}
	m.Close(notice.Dead, "why")
	if m.State != notice.Dead || m.Error != "why" || !m.Code.IsZero() || !m.Body.IsZero() || m.Metadata != nil {
		t.Errorf("closed: %+v", m)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"Your verification code is 914382. ":                             "Your verification code is 914382.",
		"<p>Hello</p><p>Your <b>code</b>: 1</p>":                         "Hello\n\nYour code: 1",
		"a<br>b<BR/>c":                                                   "a\nb\nc",
		"<html><head><title>x</title><style>p{}</style></head>hi</html>": "hi",
		"<SCRIPT>alert('</p>')</SCRIPT >after":                           "after",
		"a &lt;b&gt; &amp; c&nbsp;d":                                     "a <b> & c\u00a0d",
		"1 < 2 and 3 > 2":                                                "1 < 2 and 3 > 2",
		"<3 you":                                                         "<3 you",
		"open <b":                                                        "open <b",
		`<a href="https://x.io/?a=1&amp;b=2">Verify</a> now`:             "Verify (https://x.io/?a=1&b=2) now",
		`<a class="b" href="http://x.io">A</a><a href="javascript:x">B</a><a>C</a></a>`: "A (http://x.io)BC",
		"<!-- note -->x":      "x",
		"two\n  lines\t here": "two lines here",
		"<style>never ends":   "",
		"":                    "",
	} {
		if got := notice.Plain(body); got != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"", "<p>a</p>", "<script>x", "a<b>c&lt;", "<\xff>", "&#0;", "</", "<a href='>'>", "İ</STYLE><style>İ</style>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got := notice.Plain(body)
		if utf8.ValidString(body) && !utf8.ValidString(got) {
			t.Errorf("%q became invalid: %q", body, got)
		}
		if strings.TrimSpace(got) != got || strings.Contains(got, "\n\n\n") {
			t.Errorf("%q is not tidy: %q", body, got)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `[]`, `{"smsMessage":"{####}"}`, `{"emailSubject":null}`, `{"emailMessage":1}`, `{"autoConfirmUser":true}`,
		`{"challengeName":"CUSTOM_CHALLENGE","issueTokens":null}`, `{"publicChallengeParameters":{"a":null},"challengeMetadata":7}`, `{"answerCorrect":"true"}`,
		`{"smsMessage":"\ud800"}`, `{"smsMessage":"a","smsMessage":"b"}`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		custom, err := notice.ParseCustom(response)
		if err != nil && fault.CodeOf(err) != fault.InvalidLambdaResponseException {
			t.Errorf("%q: %v", response, err)
		}
		if err == nil && !json.Valid(response) {
			t.Errorf("%q was read", response)
		}
		for _, s := range []*string{custom.SMS, custom.EmailMessage, custom.EmailSubject} {
			if s != nil && *s == "" {
				t.Errorf("%q: an empty text is not absent", response)
			}
		}
		_, signUp := notice.ParseSignUp(response)
		_, defined := notice.ParseDefined(response)
		_, created := notice.ParseCreated(response)
		_, verified := notice.ParseVerified(response)
		for _, err := range []error{signUp, defined, created, verified} {
			if err != nil && fault.CodeOf(err) != fault.InvalidLambdaResponseException {
				t.Errorf("%q: %v", response, err)
			}
		}
	})
}
