package notice_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

func TestAlertsOf(t *testing.T) {
	t.Parallel()
	type attributes = map[string]string
	both := attributes{"email": "a@x.io", "email_verified": "true", "phone_number": "+1555", "phone_number_verified": "true"}
	onlyEmail := attributes{"email": "a@x.io", "email_verified": "true"}
	onlyPhone := attributes{"phone_number": "+1555", "phone_number_verified": "true"}
	sms := &pool.SmsConfig{}
	mail := func(source string) notice.Alert {
		return notice.Alert{Source: source, Attribute: "email", To: "a@x.io"}
	}
	text := func(source string) notice.Alert {
		return notice.Alert{Source: source, Attribute: "phone_number", To: "+1555"}
	}
	for _, c := range []struct {
		name          string
		sms           *pool.SmsConfig
		before, after attributes
		replaced      string
		want          []notice.Alert
	}{
		{"nothing changed", sms, both, both, "", nil},
		{"only a flag changed", sms, both, attributes{"email": "a@x.io", "email_verified": "false", "phone_number": "+1555", "phone_number_verified": "true"}, "", nil},
		{"another e-mail address", sms, onlyEmail, attributes{"email": "b@x.io"}, "", []notice.Alert{mail(notice.SourceEmailChanged)}},
		{"the e-mail address is gone", sms, both, onlyPhone, "", []notice.Alert{mail(notice.SourceEmailChanged)}},
		{"an address that was not verified", sms, attributes{"email": "a@x.io"}, attributes{"email": "b@x.io"}, "", nil},
		{"a first address", sms, nil, both, "", nil},
		{"another phone number", sms, both, onlyEmail, "", []notice.Alert{text(notice.SourcePhoneChanged)}},
		{"another phone number where no SMS is sent", nil, both, onlyEmail, "", []notice.Alert{mail(notice.SourcePhoneChanged)}},
		{"another phone number, and no way to tell", nil, onlyPhone, nil, "", nil},
		{"all", sms, both, nil, notice.SourcePasswordChanged, []notice.Alert{mail(notice.SourceEmailChanged), text(notice.SourcePhoneChanged), mail(notice.SourcePasswordChanged)}},
		{"a password", sms, both, both, notice.SourcePasswordChanged, []notice.Alert{mail(notice.SourcePasswordChanged)}},
		{"a password, without e-mail address", sms, onlyPhone, onlyPhone, notice.SourcePasswordChanged, []notice.Alert{text(notice.SourcePasswordChanged)}},
		{"an authenticator app", sms, both, both, notice.SourceFactorsChanged, []notice.Alert{mail(notice.SourceFactorsChanged)}},
		{"an authenticator app, without e-mail address", sms, onlyPhone, onlyPhone, notice.SourceFactorsChanged, []notice.Alert{text(notice.SourceFactorsChanged)}},
		{"a password, and no way to tell", nil, onlyPhone, onlyPhone, notice.SourcePasswordChanged, nil},
	} {
		p := &pool.Pool{Settings: pool.Settings{Sms: c.sms}}
		got := notice.AlertsOf(p, &user.Record{Attributes: c.before}, &user.Record{Attributes: c.after}, c.replaced)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if len(got) > notice.MaxAlerts {
			t.Errorf("%s: %d alerts", c.name, len(got))
		}
	}
}

// TestAlertsOfFactors holds that every change of the second factors in the record is told, once.
func TestAlertsOfFactors(t *testing.T) {
	t.Parallel()
	before := &user.Record{Attributes: map[string]string{"email": "a@x.io", "email_verified": "true"}}
	want := []notice.Alert{{Source: notice.SourceFactorsChanged, Attribute: "email", To: "a@x.io"}}
	for name, change := range map[string]func(*user.Record){
		"turned on":  func(r *user.Record) { r.MFA.Set(user.FactorSMS, true) },
		"preferred":  func(r *user.Record) { r.MFA.Preferred = user.FactorEmail },
		"the option": func(r *user.Record) { r.SMSOption = true },
	} {
		after := before.Clone()
		change(after)
		for _, replaced := range []string{"", notice.SourceFactorsChanged} {
			if diff := cmp.Diff(want, notice.AlertsOf(&pool.Pool{}, before, after, replaced)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestAlertTexts(t *testing.T) {
	t.Parallel()
	for _, source := range []string{notice.SourceEmailChanged, notice.SourcePhoneChanged, notice.SourceFactorsChanged, notice.SourcePasswordChanged} {
		// A pool's own templates are for codes: they change nothing here.
		p := &pool.Pool{Settings: pool.Settings{Templates: pool.Templates{EmailMessage: text("mail {####}"), Sms: text("sms {####}")}}}
		mail, sms := notice.TemplateOf(p, source, notice.Email), notice.TemplateOf(p, source, notice.SMS)
		if mail.Subject == "" || sms.Subject != "" || mail.Body != sms.Body || len(sms.Body) > notice.MaxSMS || strings.Contains(mail.Body, notice.CodePlaceholder) {
			t.Errorf("%s: %+v, %+v", source, mail, sms)
		}
		if !notice.IsAlert(source) || !notice.Complete(p, source, notice.Email, mail.Body) {
			t.Errorf("%s is no complete alert", source)
		}
	}
	if notice.IsAlert(notice.SourceForgotPassword) {
		t.Error("a code is no alert")
	}
}
