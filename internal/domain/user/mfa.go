package user

import (
	"slices"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// Factor is a second factor, as the API names it.
type Factor string

// The second factors.
const (
	FactorSMS     Factor = "SMS_MFA"
	FactorTOTP    Factor = "SOFTWARE_TOKEN_MFA"
	FactorEmail   Factor = "EMAIL_OTP"
	FactorPasskey Factor = "WEB_AUTHN"
)

// factors are all of them in the order of lists (unconfirmed).
var factors = [...]Factor{FactorSMS, FactorTOTP, FactorEmail, FactorPasskey}

// MFA is which second factors a user has turned on. The zero value is none.
type MFA struct {
	SMS, TOTP, Email, Passkey bool
	Preferred                 Factor // one of those that are on; "" for none
}

func (m *MFA) of(f Factor) *bool {
	switch f {
	case FactorSMS:
		return &m.SMS
	case FactorTOTP:
		return &m.TOTP
	case FactorEmail:
		return &m.Email
	case FactorPasskey:
		return &m.Passkey
	}
	return new(bool)
}

// Has reports whether a factor is on.
func (m MFA) Has(f Factor) bool { return *m.of(f) }

// Set turns a factor on or off. What is off is not preferred.
func (m *MFA) Set(f Factor, on bool) {
	*m.of(f) = on
	if !on && m.Preferred == f {
		m.Preferred = ""
	}
}

// Enabled are the factors that are on, in the order of lists; nil for none.
func (m MFA) Enabled() (list []Factor) {
	for _, f := range factors {
		if m.Has(f) {
			list = append(list, f)
		}
	}
	return list
}

// SecondFactors are the second factors that a sign-in of the user asks for: those that are on, and SMS where it was turned on
// in the older way. A passkey is no factor that follows a password.
func (r *Record) SecondFactors() (list []Factor) {
	m := r.MFA
	m.SMS, m.Passkey = m.SMS || r.SMSOption, false
	return m.Enabled()
}

// Implied are the second factors of a user who has turned none on, where the pool requires one: messages to the addresses
// that the user has, but for the one by which an account is recovered first. A pool whose only factor is SMS asks for it
// all the same.
//
// Evidence: the developer guide on the decision; the exception is long-standing behaviour, reported by many.
func (r *Record) Implied(p *pool.Pool) (list []Factor) {
	first := p.FirstRecovery()
	if p.SMSFactor() && r.Attributes[pool.PhoneNumber] != "" && (first != pool.PhoneNumber || p.OnlySMS()) {
		list = append(list, FactorSMS)
	}
	if p.EmailFactor() && r.Attributes[pool.Email] != "" && first != pool.Email {
		list = append(list, FactorEmail)
	}
	return list
}

// Messaged are the second factors of a user that come by message, so that an account is not recovered in the same way: the
// preferred one, or else all that are on, or those that the pool implies.
//
// Evidence: the developer guide on account recovery; what holds without a preference is unconfirmed.
func (r *Record) Messaged(p *pool.Pool) MessageFactors {
	if p.MFA == pool.MFAOff {
		return MessageFactors{}
	}
	list := r.SecondFactors()
	switch {
	case r.MFA.Preferred == FactorSMS || r.MFA.Preferred == FactorEmail:
		list = []Factor{r.MFA.Preferred}
	case len(list) == 0 && p.MFA == pool.MFAOn:
		list = r.Implied(p)
	}
	return MessageFactors{Email: slices.Contains(list, FactorEmail), SMS: slices.Contains(list, FactorSMS) && p.SMSFactor()}
}

// Choice is what a request wants of one factor.
type Choice struct {
	Factor             Factor
	Enabled, Preferred bool
}

// Choose decides which second factors are on after a request: factors that it does not name stay as they are. All
// choices are checked before any is made. verified says that the user has an authenticator app that proved itself, and
// unverified makes the fault of a user who has none.
//
// Evidence: the reference page "SetUserMFAPreference"; most texts, and that a required factor cannot be turned off, are
// unconfirmed.
func (r *Record) Choose(p *pool.Pool, choices []Choice, verified bool, unverified func() *fault.Error) (*Record, error) {
	after := r.Clone()
	preferred := 0
	for _, c := range choices {
		if err := r.choosable(p, c, verified, unverified); err != nil {
			return nil, err
		}
		if c.Preferred {
			preferred++
		}
	}
	if preferred > 1 {
		return nil, fault.TwoPreferredMFA()
	}
	for _, c := range choices {
		after.MFA.Set(c.Factor, c.Enabled)
		switch {
		case c.Preferred:
			after.MFA.Preferred = c.Factor
		case after.MFA.Preferred == c.Factor:
			after.MFA.Preferred = ""
		}
		if c.Factor == FactorSMS && !c.Enabled {
			after.SMSOption = false // or turning it off would leave it on
		}
	}
	if m := after.MFA; m.Passkey && !m.SMS && !m.TOTP && !m.Email {
		return nil, fault.PasskeyAlone()
	}
	if p.MFA == pool.MFAOn && len(r.SecondFactors()) > 0 && len(after.SecondFactors()) == 0 {
		return nil, fault.MFANotOptional()
	}
	return after, nil
}

// choosable refuses to turn on what the user lacks or the pool does not offer.
func (r *Record) choosable(p *pool.Pool, c Choice, verified bool, unverified func() *fault.Error) error {
	if !c.Enabled {
		if c.Preferred {
			return fault.PreferredMFADisabled()
		}
		return nil
	}
	switch c.Factor {
	case FactorSMS:
		if r.Attributes[pool.PhoneNumber] == "" || p.MFA != pool.MFAOff && !p.SMSFactor() {
			return fault.NoDeliveryForMFA(string(c.Factor))
		}
	case FactorEmail:
		if r.Attributes[pool.Email] == "" || p.MFA != pool.MFAOff && !p.EmailFactor() {
			return fault.NoDeliveryForMFA(string(c.Factor))
		}
	case FactorTOTP:
		if !verified {
			return unverified()
		}
	case FactorPasskey:
		if !p.PasskeyFactor() {
			return fault.PasskeyNotFactor()
		}
	}
	return nil
}
