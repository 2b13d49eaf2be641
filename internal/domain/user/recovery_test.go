package user_test

import (
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

func TestRecoveryAttribute(t *testing.T) {
	t.Parallel()
	email := pool.RecoveryMechanism{Priority: 1, Name: "verified_email"}
	phone := pool.RecoveryMechanism{Priority: 2, Name: "verified_phone_number"}
	phoneFirst := pool.RecoveryMechanism{Priority: 0, Name: "verified_phone_number"}
	admin := pool.RecoveryMechanism{Priority: 1, Name: "admin_only"}
	both := map[string]string{"email": "a@x.io", "email_verified": "true", "phone_number": "+1555", "phone_number_verified": "true"}
	change := func(name, value string) map[string]string {
		m := map[string]string{}
		for k, v := range both {
			m[k] = v
		}
		m[name] = value
		return m
	}
	for _, c := range []struct {
		name       string
		mechanisms []pool.RecoveryMechanism
		attributes map[string]string
		factors    user.MessageFactors
		want       string
	}{
		{"no setting: the phone number first", nil, both, user.MessageFactors{}, "phone_number"},
		{"no setting: the e-mail when the phone number is not verified", nil, change("phone_number_verified", "false"), user.MessageFactors{}, "email"},
		{"no setting: the e-mail when there is no phone number", nil, change("phone_number", ""), user.MessageFactors{}, "email"},
		{"no setting: the e-mail when SMS is a second factor", nil, both, user.MessageFactors{SMS: true}, "email"},
		{"no setting: nothing when both are second factors", nil, both, user.MessageFactors{SMS: true, Email: true}, ""},
		{"no setting: nothing is verified", nil, map[string]string{"email": "a@x.io", "phone_number": "+1555"}, user.MessageFactors{}, ""},
		{"no setting: no address", nil, nil, user.MessageFactors{}, ""},
		{"no setting: a flag without its address", nil, map[string]string{"email_verified": "true"}, user.MessageFactors{}, ""},
		{"by priority", []pool.RecoveryMechanism{phone, email}, both, user.MessageFactors{}, "email"},
		{"by priority, the other way", []pool.RecoveryMechanism{email, phoneFirst}, both, user.MessageFactors{}, "phone_number"},
		{"the second when the first is not verified", []pool.RecoveryMechanism{email, phone}, change("email_verified", "false"), user.MessageFactors{}, "phone_number"},
		{"the second when the first is a second factor", []pool.RecoveryMechanism{email, phone}, both, user.MessageFactors{Email: true}, "phone_number"},
		{"only the e-mail, which is not verified", []pool.RecoveryMechanism{email}, change("email_verified", "false"), user.MessageFactors{}, ""},
		{"only the phone number, which is a second factor", []pool.RecoveryMechanism{phone}, both, user.MessageFactors{SMS: true}, ""},
		{"administrators only: as without setting", []pool.RecoveryMechanism{admin}, both, user.MessageFactors{}, "phone_number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &pool.Pool{Settings: pool.Settings{Recovery: c.mechanisms}}
			if got := user.RecoveryAttribute(p, &user.Record{Attributes: c.attributes}, c.factors); got != c.want {
				t.Errorf("RecoveryAttribute = %q, want %q", got, c.want)
			}
			if got, want := user.RecoveryByAdminOnly(p), len(c.mechanisms) == 1 && c.mechanisms[0] == admin; got != want {
				t.Errorf("RecoveryByAdminOnly = %v, want %v", got, want)
			}
		})
	}
}

func TestStatesOfRecovery(t *testing.T) {
	t.Parallel()
	for status, want := range map[user.Status][2]bool{
		user.Unconfirmed: {true, false}, user.Confirmed: {true, true}, user.ResetRequired: {true, true},
		user.ForceChangePassword: {false, false}, user.ExternalProvider: {false, false},
	} {
		if got := [2]bool{status.Recoverable(), status.Resettable()}; got != want {
			t.Errorf("%s: recoverable, resettable = %v, want %v", status, got, want)
		}
	}
}

func TestReaches(t *testing.T) {
	t.Parallel()
	r := &user.Record{Attributes: map[string]string{"email": "a@x.io", "email_verified": "true", "phone_number": "+1555", "phone_number_verified": "false", "name": "n"}}
	for target, want := range map[string]bool{"a@x.io": true, "A@x.io": false, "+1555": false, "n": false, "": false} {
		if got := r.Reaches(target); got != want {
			t.Errorf("Reaches(%q) = %v", target, got)
		}
	}
}
