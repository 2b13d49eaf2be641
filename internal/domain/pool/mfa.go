package pool

import (
	"cmp"
	"slices"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// MFAInput is a pool's MFA configuration as a request gave it; what was absent is nil.
type MFAInput struct {
	Mode     *string
	SMS      *SMSMFAInput
	TOTP     *bool // not nil when there was a block, whatever it said
	Email    *EmailMFA
	WebAuthn *WebAuthn
}

// SMSMFAInput is SmsMfaConfiguration of a request.
type SMSMFAInput struct {
	Message *string
	Sms     *SmsConfig
}

// SMSFactor reports whether SMS is a second factor of the pool's users: it cannot be turned off while there is a way to send
// text messages (observed).
func (s *Settings) SMSFactor() bool { return s.MFA != MFAOff && s.Sms != nil }

// EmailFactor reports whether e-mail is a second factor of the pool's users.
func (s *Settings) EmailFactor() bool { return s.MFA != MFAOff && s.EmailMFA != nil }

// TOTPFactor reports whether users may set authenticator apps up.
func (s *Settings) TOTPFactor() bool { return s.MFA != MFAOff && s.TOTP != nil && *s.TOTP }

// PasskeyFactor reports whether a passkey counts as both factors.
func (s *Settings) PasskeyFactor() bool {
	return s.WebAuthn != nil && s.WebAuthn.Factor != nil && *s.WebAuthn.Factor == MultiFactor
}

// OnlySMS reports whether SMS is the one second factor that there is.
func (s *Settings) OnlySMS() bool { return s.SMSFactor() && !s.EmailFactor() && !s.TOTPFactor() }

// FirstRecovery is the address attribute by which accounts are recovered first, "" where the pool says nothing about
// recovery (that it excludes no second factor then is unconfirmed) or leaves it to administrators.
func (s *Settings) FirstRecovery() string {
	if len(s.Recovery) == 0 {
		return ""
	}
	first := slices.MinFunc(s.Recovery, func(a, b RecoveryMechanism) int { return cmp.Compare(a.Priority, b.Priority) })
	switch first.Name {
	case recoveryByEmail:
		return Email
	case recoveryByPhone:
		return PhoneNumber
	}
	return ""
}

// SetMFA decides the settings of the pool after a request that replaces its whole MFA configuration. A mode that is absent is
// OFF, and only the SMS configuration stays when its block is absent.
//
// Evidence: measured combinations and their texts.
func (p *Pool) SetMFA(in MFAInput) (Settings, error) {
	s := p.Settings
	s.MFA = or(in.Mode, MFAOff)
	if s.MFA == MFAOff && (in.SMS != nil || in.TOTP != nil || in.Email != nil) {
		return Settings{}, fault.MFAOffWithFactor()
	}
	s.TOTP, s.EmailMFA, s.WebAuthn = in.TOTP, in.Email, in.WebAuthn
	switch {
	case in.SMS != nil:
		s.SmsAuthentication = in.SMS.Message
		if in.SMS.Sms != nil {
			s.Sms = in.SMS.Sms
		}
		if s.Sms == nil {
			return Settings{}, fault.SmsNeededForMFA()
		}
	case s.MFA != MFAOff && s.Sms != nil:
		return Settings{}, fault.SmsNotRemovable()
	}
	if s.MFA != MFAOff && !s.TOTPFactor() && s.EmailMFA == nil && s.Sms == nil {
		return Settings{}, fault.MFAWithoutFactor()
	}
	if err := s.check(p.Region, p.Account, &p.Settings); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// checkMFA: a pool is given SMS as its factor with its other settings, other factors have an operation of their own.
func (s *Settings) checkMFA(before *Settings) error {
	if s.MFA == MFAOff {
		return nil
	}
	if s.Sms == nil {
		switch {
		case before != nil && before.SMSFactor():
			return fault.SmsNotRemovable()
		case s.TOTPFactor() || s.EmailMFA != nil:
		case before != nil && before.MFA != MFAOn && s.MFA == MFAOn:
			return fault.MFANotTurnedOn()
		default:
			return fault.SmsNeededForMFA()
		}
	}
	if s.EmailMFA != nil && s.Email.Account == DefaultSender {
		return fault.EmailMFASender()
	}
	if s.MFA != MFAOn {
		return nil
	}
	if s.Passwordless() {
		return fault.OTPWithMFA()
	}
	if s.Allows(FactorWebAuthn) && s.WebAuthn != nil && s.WebAuthn.Factor != nil && *s.WebAuthn.Factor == SingleFactor {
		return fault.PasskeySingleFactor()
	}
	return nil
}
