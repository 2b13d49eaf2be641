package challenge_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	begun := []challenge.Result{{Name: challenge.SRPA, Right: true}}
	for _, c := range []struct {
		name    string
		history []challenge.Result
		d       challenge.Decision
		want    challenge.Step
		err     error
	}{
		{"failing goes before tokens", nil, challenge.Decision{Fail: true, Issue: true}, step(""), challenge.ErrFailed},
		{"tokens go before a challenge", nil, challenge.Decision{Issue: true, Name: sms}, step(""), nil},
		{"a challenge of the function's own", nil, challenge.Decision{Name: challenge.CustomChallenge}, step(challenge.CustomChallenge), nil},
		{"a second factor", nil, challenge.Decision{Name: totp}, step(totp), nil},
		{"a password after SRP_A", begun, challenge.Decision{Name: challenge.PasswordVerifier}, step(challenge.PasswordVerifier), nil},
		{"a password without SRP_A", nil, challenge.Decision{Name: challenge.PasswordVerifier}, step(""), challenge.ErrUnknown},
		{"a password later", append(begun[:1:1], challenge.Result{Name: sms, Right: true}), challenge.Decision{Name: challenge.PasswordVerifier}, step(""), challenge.ErrUnknown},
		{"nothing", nil, challenge.Decision{}, step(""), challenge.ErrUnknown},
		{"what only the server asks", nil, challenge.Decision{Name: challenge.NewPasswordRequired}, step(""), challenge.ErrUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := challenge.Decide(&challenge.State{History: c.history}, c.d)
			want.True(t, errors.Is(err, c.err) && (err == nil) == (c.err == nil), "the error is %v", err)
			want.Equal(t, got, c.want)
		})
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	note := "m"
	s := challenge.State{Flow: challenge.Custom, At: challenge.CustomChallenge, Private: map[string]string{"a": "b"}, Note: &note}
	next := s.Answer(false)
	want.Equal(t, next, challenge.State{Flow: challenge.Custom, History: []challenge.Result{{Name: challenge.CustomChallenge, Note: &note}}})
	next.At = challenge.SelectMFAType
	passed := next.Pass()
	want.Equal(t, len(passed.History), 1) // a choice is no proof
	next.At = sms
	passed = next.Pass()
	want.Equal(t, passed.History[1], challenge.Result{Name: sms, Right: true})
	want.Equal(t, len(next.History), 1) // the former state stays as it was
}

func TestShed(t *testing.T) {
	t.Parallel()
	s := challenge.State{ID: "i", History: []challenge.Result{{Name: sms, Right: true}}}
	kept, err := s.Shed()
	want.NoError(t, err)
	want.True(t, kept == nil && !s.Kept, "what fits stays")
	s.Private = map[string]string{"k": strings.Repeat("x", challenge.MaxSize)}
	before := s
	kept, err = s.Shed()
	want.NoError(t, err)
	want.Equal(t, s, challenge.State{ID: "i", Kept: true})
	want.NoError(t, s.Recall(kept))
	want.Equal(t, s, before)
	want.True(t, s.Recall([]byte("{")) != nil, "not a memory")
	s.Private["k"] = strings.Repeat("x", challenge.MaxKept)
	_, err = s.Shed()
	want.True(t, errors.Is(err, challenge.ErrSize), "too much: %v", err)
	s = challenge.State{ID: strings.Repeat("x", challenge.MaxSize)}
	_, err = s.Shed()
	want.NoError(t, err)
	_, err = s.Encode()
	want.True(t, errors.Is(err, challenge.ErrSize), "what is not memory is not shed")
}

func TestAvailable(t *testing.T) {
	t.Parallel()
	all := challenge.Firsts{Allowed: []string{"PASSWORD", "EMAIL_OTP", "SMS_OTP", "WEB_AUTHN"}, Pool: "OFF", Status: user.Confirmed, Password: true, Email: true, Phone: true}
	words := names{challenge.PasswordSRP, challenge.Password}
	codes := names{email, challenge.SMSOTP}
	for name, c := range map[string]struct {
		change func(*challenge.Firsts)
		want   names
	}{
		"everything":                 {func(*challenge.Firsts) {}, append(words[:2:2], codes...)},
		"no password":                {func(f *challenge.Firsts) { f.Password = false }, codes},
		"no addresses":               {func(f *challenge.Firsts) { f.Email, f.Phone = false, false }, words},
		"only passwords are allowed": {func(f *challenge.Firsts) { f.Allowed = f.Allowed[:1] }, words},
		"MFA ON":                     {func(f *challenge.Firsts) { f.Pool = "ON" }, words},
		"OPTIONAL with a factor":     {func(f *challenge.Firsts) { f.Pool, f.Second = "OPTIONAL", true }, words},
		"OPTIONAL without":           {func(f *challenge.Firsts) { f.Pool = "OPTIONAL" }, append(words[:2:2], codes...)},
		"OFF with a factor":          {func(f *challenge.Firsts) { f.Second = true }, append(words[:2:2], codes...)},
		"a temporary password":       {func(f *challenge.Firsts) { f.Status = user.ForceChangePassword }, words},
		"from elsewhere":             {func(f *challenge.Firsts) { f.Status = user.ExternalProvider }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := all
			c.change(&f)
			want.Equal(t, f.Available(), c.want)
		})
	}
}
