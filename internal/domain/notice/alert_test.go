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
		password      bool
		want          []notice.Alert
	}{
		{"nothing changed", sms, both, both, false, nil},
		{"only a flag changed", sms, both, attributes{"email": "a@x.io", "email_verified": "false", "phone_number": "+1555", "phone_number_verified": "true"}, false, nil},
		{"another e-mail address", sms, onlyEmail, attributes{"email": "b@x.io"}, false, []notice.Alert{mail(notice.SourceEmailChanged)}},
		{"the e-mail address is gone", sms, both, onlyPhone, false, []notice.Alert{mail(notice.SourceEmailChanged)}},
		{"an address that was not verified", sms, attributes{"email": "a@x.io"}, attributes{"email": "b@x.io"}, false, nil},
		{"a first address", sms, nil, both, false, nil},
		{"another phone number", sms, both, onlyEmail, false, []notice.Alert{text(notice.SourcePhoneChanged)}},
		{"another phone number where no SMS is sent", nil, both, onlyEmail, false, []notice.Alert{mail(notice.SourcePhoneChanged)}},
		{"another phone number, and no way to tell", nil, onlyPhone, nil, false, nil},
		{"all", sms, both, nil, true, []notice.Alert{mail(notice.SourceEmailChanged), text(notice.SourcePhoneChanged), mail(notice.SourcePasswordChanged)}},
		{"a password", sms, both, both, true, []notice.Alert{mail(notice.SourcePasswordChanged)}},
		{"a password, without e-mail address", sms, onlyPhone, onlyPhone, true, []notice.Alert{text(notice.SourcePasswordChanged)}},
		{"a password, and no way to tell", nil, onlyPhone, onlyPhone, true, nil},
	} {
		p := &pool.Pool{Settings: pool.Settings{Sms: c.sms}}
		got := notice.AlertsOf(p, &user.Record{Attributes: c.before}, &user.Record{Attributes: c.after}, c.password)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if len(got) > notice.MaxAlerts {
			t.Errorf("%s: %d alerts", c.name, len(got))
		}
	}
}

func TestAlertTexts(t *testing.T) {
	t.Parallel()
	for _, source := range []string{notice.SourceEmailChanged, notice.SourcePhoneChanged, notice.SourcePasswordChanged} {
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
