package notice

import (
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// The sources of alerts: messages of this server alone, which the real service does not send. No function of a pool
// is asked about them, and they carry neither a code nor a new value.
const (
	SourceEmailChanged    = alerts + "EmailChanged"
	SourcePhoneChanged    = alerts + "PhoneNumberChanged"
	SourcePasswordChanged = alerts + "PasswordChanged"
	SourceFactorsChanged  = alerts + "SecondFactorsChanged"
)

const alerts = "Alert_"

// IsAlert reports whether a message only tells that something has changed.
func IsAlert(source string) bool { return strings.HasPrefix(source, alerts) }

// Alert is a message to the address that a user had before a change.
type Alert struct{ Source, Attribute, To string }

// MaxAlerts is how many alerts one change can cause: for the e-mail address, the phone number, the second factors and the
// password.
const MaxAlerts = 4

// AlertsOf are the alerts that a change of a user asks for: of a verified address that changed or went, to that
// address; of a new password and of other second factors, to the verified e-mail address or else the phone number. What
// would go by SMS goes by e-mail where the pool has no SMS configuration. Replaced is the source for a secret of the
// user that changed too, which the record does not show: a password or an authenticator app; "" for none.
func AlertsOf(p *pool.Pool, before, after *user.Record, replaced string) []Alert {
	email, phone := verified(before, pool.Email, pool.EmailVerified), verified(before, pool.PhoneNumber, pool.PhoneNumberVerified)
	var list []Alert
	add := func(source string, attributes ...string) {
		for _, a := range attributes {
			switch {
			case a == pool.Email && email != "":
				list = append(list, Alert{source, a, email})
				return
			case a == pool.PhoneNumber && phone != "" && p.Sms != nil:
				list = append(list, Alert{source, a, phone})
				return
			}
		}
	}
	if email != "" && after.Attributes[pool.Email] != email {
		add(SourceEmailChanged, pool.Email)
	}
	if phone != "" && after.Attributes[pool.PhoneNumber] != phone {
		add(SourcePhoneChanged, pool.PhoneNumber, pool.Email)
	}
	if replaced == SourceFactorsChanged || before.MFA != after.MFA || before.SMSOption != after.SMSOption {
		add(SourceFactorsChanged, pool.Email, pool.PhoneNumber)
	}
	if replaced == SourcePasswordChanged {
		add(SourcePasswordChanged, pool.Email, pool.PhoneNumber)
	}
	return list
}

// verified is an address of the user if it is verified, else "".
func verified(r *user.Record, name, flag string) string {
	if r.Attributes[flag] != "true" {
		return ""
	}
	return r.Attributes[name]
}

// alertTemplate is the text of an alert.
func alertTemplate(source string, m Medium) Template {
	var t Template
	switch source {
	case SourceEmailChanged:
		t = Template{Subject: "Your email address was changed", Body: "The email address of your account {username} was changed."}
	case SourcePhoneChanged:
		t = Template{Subject: "Your phone number was changed", Body: "The phone number of your account {username} was changed."}
	case SourceFactorsChanged:
		t = Template{Subject: "Your sign-in verification was changed", Body: "The second factors with which you sign in to your account {username} were changed."}
	default:
		t = Template{Subject: "Your password was changed", Body: "The password of your account {username} was changed."}
	}
	t.Body += " If this was not you, contact support."
	if m == SMS {
		t.Subject = ""
	}
	return t
}
