package challenge_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

type names = []challenge.Name

const (
	sms   = challenge.SMSMFA
	totp  = challenge.SoftwareTokenMFA
	email = challenge.EmailOTP
)

func select_(list ...challenge.Name) challenge.Step {
	return challenge.Step{Name: challenge.SelectMFAType, Choices: list}
}

func setup(list ...challenge.Name) challenge.Step {
	return challenge.Step{Name: challenge.MFASetup, Choices: list}
}

func step(n challenge.Name) challenge.Step { return challenge.Step{Name: n} }

// TestMFA has a row for every row of the documented table, and for what it leaves open.
func TestMFA(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		f    challenge.Factors
		want challenge.Step
	}{
		{"off, whatever the user has", challenge.Factors{Pool: "OFF", Active: names{sms}, Enabled: names{totp}, Preferred: totp, TOTP: true, Phone: true}, step("")},
		{"optional, no enabled factor", challenge.Factors{Pool: "OPTIONAL", Active: names{sms, totp}, Phone: true, TOTP: true}, step("")},
		{"optional, one enabled factor", challenge.Factors{Pool: "OPTIONAL", Active: names{sms, totp}, Enabled: names{sms}, Phone: true}, step(sms)},
		{"optional, two enabled, none preferred", challenge.Factors{Pool: "OPTIONAL", Active: names{sms, totp}, Enabled: names{sms, totp}}, select_(sms, totp)},
		{"optional, two enabled, one preferred", challenge.Factors{Pool: "OPTIONAL", Active: names{sms, totp}, Enabled: names{sms, totp}, Preferred: totp}, step(totp)},
		{"optional, a token although the pool has turned tokens off", challenge.Factors{Pool: "OPTIONAL", Active: names{sms}, Enabled: names{totp}, TOTP: true}, step(totp)},
		{"SMS, phone", challenge.Factors{Pool: "ON", Active: names{sms}, Phone: true}, step(sms)},
		{"SMS, a phone that recovers passwords", challenge.Factors{Pool: "ON", Active: names{sms}, Phone: true, Recovery: "phone_number"}, step(sms)},
		{"SMS, no phone", challenge.Factors{Pool: "ON", Active: names{sms}}, setup(sms)},
		{"SMS that recovers passwords, no phone", challenge.Factors{Pool: "ON", Active: names{sms}, Recovery: "phone_number"}, setup(sms)},
		{"SMS, no phone but e-mail", challenge.Factors{Pool: "ON", Active: names{sms}, Email: true}, setup(sms)},
		{"TOTP, not set up", challenge.Factors{Pool: "ON", Active: names{totp}, Phone: true, Email: true}, setup(totp)},
		{"TOTP, verified", challenge.Factors{Pool: "ON", Active: names{totp}, TOTP: true}, step(totp)},
		{"SMS and TOTP, phone, no token", challenge.Factors{Pool: "ON", Active: names{sms, totp}, Phone: true, Recovery: "email"}, step(sms)},
		{"SMS and TOTP, both", challenge.Factors{Pool: "ON", Active: names{sms, totp}, Phone: true, TOTP: true, Recovery: "email"}, select_(sms, totp)},
		{"SMS and TOTP, a phone that recovers passwords", challenge.Factors{Pool: "ON", Active: names{sms, totp}, Phone: true, Recovery: "phone_number"}, setup(totp)},
		{"SMS and TOTP, neither address", challenge.Factors{Pool: "ON", Active: names{sms, totp}}, setup(sms, totp)},
		{"SMS and e-mail, recovery off, both", challenge.Factors{Pool: "ON", Active: names{sms, email}, Phone: true, Email: true}, select_(sms, email)},
		{"SMS and e-mail, recovery by e-mail, both", challenge.Factors{Pool: "ON", Active: names{sms, email}, Phone: true, Email: true, Recovery: "email"}, step(sms)},
		{"e-mail, recovery by phone", challenge.Factors{Pool: "ON", Active: names{email}, Email: true, Recovery: "phone_number"}, step(email)},
		{"e-mail and TOTP, no addresses", challenge.Factors{Pool: "ON", Active: names{totp, email}}, setup(totp, email)},
		{"e-mail and TOTP, no addresses, recovery by e-mail", challenge.Factors{Pool: "ON", Active: names{totp, email}, Recovery: "email"}, setup(totp)},
		{"e-mail that recovers passwords and nothing else", challenge.Factors{Pool: "ON", Active: names{email}, Email: true, Recovery: "email"}, challenge.Step{Stuck: true}},
		{"on, and no method is active", challenge.Factors{Pool: "ON", Phone: true}, challenge.Step{Stuck: true}},
		{"on, one enabled", challenge.Factors{Pool: "ON", Active: names{sms, totp}, Enabled: names{totp}, TOTP: true, Phone: true}, step(totp)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want.Equal(t, challenge.MFA(c.f), c.want)
		})
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	on := challenge.Factors{Pool: "ON", Active: names{sms}, Phone: true}
	none := challenge.Factors{Pool: "OFF"}
	for _, c := range []struct {
		name   string
		state  challenge.State
		status user.Status
		f      challenge.Factors
		want   challenge.Step
	}{
		{"a password is enough", challenge.State{Flow: challenge.UserPassword, First: challenge.Password}, user.Confirmed, none, step("")},
		{"a temporary password is changed first", challenge.State{First: challenge.PasswordVerifier}, user.ForceChangePassword, on, step(challenge.NewPasswordRequired)},
		{"then the second factor", challenge.State{First: challenge.PasswordVerifier, Passed: names{challenge.NewPasswordRequired}}, user.Confirmed, on, step(sms)},
		{"which is asked for once", challenge.State{First: challenge.Password, Passed: names{challenge.Password, sms}}, user.Confirmed, on, step("")},
		{"a set-up is a second factor", challenge.State{First: challenge.Password, Passed: names{challenge.MFASetup}}, user.Confirmed, on, step("")},
		{"a choice is not", challenge.State{First: challenge.Password, Passed: names{challenge.SelectMFAType}}, user.Confirmed, on, step(sms)},
		{"a code by e-mail needs no second factor", challenge.State{Flow: challenge.Choice, First: email, Passed: names{email}}, user.Confirmed, on, step("")},
		{"nor one by SMS", challenge.State{Flow: challenge.Choice, First: challenge.SMSOTP}, user.Confirmed, on, step("")},
		{"a passkey does where the pool demands one", challenge.State{Flow: challenge.Choice, First: challenge.WebAuthn}, user.Confirmed, on, step(sms)},
		{"and not elsewhere", challenge.State{Flow: challenge.Choice, First: challenge.WebAuthn}, user.Confirmed, challenge.Factors{Pool: "OPTIONAL"}, step("")},
		{"functions decide alone", challenge.State{Flow: challenge.Custom}, user.Confirmed, on, step(challenge.Define)},
		{"functions decide after a password and a second factor", challenge.State{Flow: challenge.Custom, First: challenge.PasswordVerifier, Passed: names{challenge.PasswordVerifier, sms}}, user.Confirmed, on, step(challenge.Define)},
		{"and not before", challenge.State{Flow: challenge.Custom, First: challenge.PasswordVerifier, Passed: names{challenge.PasswordVerifier}}, user.Confirmed, on, step(sms)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want.Equal(t, challenge.Next(&c.state, c.status, c.f), c.want)
		})
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	note := "m"
	s := challenge.State{ID: "id", Flow: challenge.Custom, At: sms, Sub: "sub", Username: "jane <&>",
		Expires: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), First: challenge.PasswordVerifier, Passed: names{challenge.PasswordVerifier},
		Choices: names{sms}, Code: &challenge.Code{Hash: []byte{1}, To: "a"}, Setup: &challenge.Setup{Key: []byte{2}, Done: true}, Exchange: &challenge.Exchange{A: make([]byte, 384), U: []byte{1}, B: []byte{2}},
		History: []challenge.Result{{Name: challenge.SRPA, Right: true}, {Name: challenge.CustomChallenge, Note: &note}}, Private: map[string]string{"a": "b"}, Note: &note}
	text, err := s.Encode()
	want.NoError(t, err)
	got, err := challenge.Decode(text)
	want.NoError(t, err)
	want.Equal(t, *got, s)
	small := challenge.State{ID: "id"}
	other, err := small.Encode()
	want.NoError(t, err)
	want.Equal(t, len(other), 1100)

	passed := s.Pass()
	want.Equal(t, passed, challenge.State{ID: "id", Flow: challenge.Custom, Sub: "sub", Username: "jane <&>", Expires: s.Expires, First: challenge.PasswordVerifier,
		Passed: names{challenge.PasswordVerifier, sms}, History: append(s.History[:2:2], challenge.Result{Name: sms, Right: true})})
	want.True(t, passed.Has(sms) && !s.Has(sms), "passing leaves the former state alone")

	s.Private = map[string]string{"a": strings.Repeat("x", challenge.MaxSize)}
	_, err = s.Encode()
	want.True(t, errors.Is(err, challenge.ErrSize), "too long: %v", err)
	_, err = challenge.Decode("{")
	want.True(t, err != nil, "not a state")
}

func TestCode(t *testing.T) {
	t.Parallel()
	c := challenge.NewCode("step", "+1555", secret.New("123456"))
	want.Equal(t, c.To, "+1555")
	want.True(t, c.Matches("step", secret.New("123456")), "the code")
	want.True(t, !c.Matches("other", secret.New("123456")) && !c.Matches("step", secret.New("123457")) && !c.Matches("step", secret.Text{}), "of another step, or another code")
	var none *challenge.Code
	want.True(t, !none.Matches("step", secret.Text{}), "nothing was sent")
	want.True(t, !strings.Contains(string(c.Hash), "123456"), "the code itself is not kept")

	s := challenge.NewSetup([]byte("key"))
	want.True(t, s.Of([]byte("key")) && !s.Of([]byte("other")) && !s.Of(nil), "a set-up knows its key")
	var begun *challenge.Setup
	want.True(t, !begun.Of(nil), "no key was handed out")
}

func TestFlowOf(t *testing.T) {
	t.Parallel()
	want.Equal(t, challenge.FlowOf("ADMIN_NO_SRP_AUTH"), challenge.AdminPassword)
	want.Equal(t, challenge.FlowOf("REFRESH_TOKEN"), challenge.Refresh)
	want.Equal(t, challenge.FlowOf("USER_AUTH"), challenge.Choice)
}
