package pool

import (
	"slices"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// Input is a pool's configuration as a request gave it. What was absent is nil.
type Input struct {
	Name               *string
	Password           *PasswordInput
	FirstFactors       []string // empty but not nil: SignInPolicy was there without a list
	DeletionProtection bool
	Lambda             LambdaConfig
	AutoVerified       []string
	Templates          Templates
	LegacyTexts        LegacyTexts
	SmsAuthentication  *string
	MFA                *string
	VerifyBeforeUpdate []string
	Device             *DeviceConfig
	Email              EmailConfig
	Sms                *SmsConfig
	Tags               map[string]string
	AdminCreate        AdminCreateConfig
	UnusedAccountDays  *int // AdminCreateUserConfig.UnusedAccountValidityDays
	AddOns             *AddOns
	Recovery           []RecoveryMechanism
	Tier               *string
	Registration       *RegistrationConfig
	Key                *KeyConfig
	Issuer             *string
	Acr                map[string]string
}

// PasswordInput is Policies.PasswordPolicy of a request.
type PasswordInput struct {
	MinimumLength                  *int
	Upper, Lower, Numbers, Symbols *bool
	History                        *int
	TemporaryDays                  *int
}

// LegacyTexts are SmsVerificationMessage, EmailVerificationMessage and EmailVerificationSubject. They are other
// names for members of VerificationMessageTemplate.
type LegacyTexts struct{ Sms, EmailMessage, EmailSubject *string }

// Fixed is the part of a pool's configuration that stays as it was at creation.
type Fixed struct {
	Aliases            []string
	UsernameAttributes []string
	CaseSensitive      *bool // nil: not given, which means true
	Schema             []Declaration
}

const (
	defaultPasswordLength = 8
	defaultTemporaryDays  = 7
)

// New decides the settings of a pool that is about to be created in a region by an account. The order of the checks
// is documented in part only.
func New(region, account string, in Input, fixed Fixed) (Settings, error) {
	s := Settings{
		Password: PasswordPolicy{MinimumLength: defaultPasswordLength, Upper: true, Lower: true, Numbers: true, Symbols: true,
			TemporaryDays: defaultTemporaryDays},
		FirstFactors:       []string{FactorPassword},
		MFA:                MFAOff,
		Tier:               Essentials,
		Aliases:            set(fixed.Aliases),
		UsernameAttributes: set(fixed.UsernameAttributes),
		CaseSensitive:      fixed.CaseSensitive == nil || *fixed.CaseSensitive,
		CaseGiven:          fixed.CaseSensitive != nil,
	}
	if err := s.declare(fixed.Schema); err != nil {
		return Settings{}, err
	}
	if len(s.Aliases) > 0 && len(s.UsernameAttributes) > 0 {
		return Settings{}, fault.AliasAndUsernameAttributes()
	}
	if err := s.take(in); err != nil {
		return Settings{}, err
	}
	if err := s.check(region, account, nil); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// Merge decides the settings of the pool after an update. It changes nothing: maps and lists of the result that
// differ from those of the pool are new.
func (p *Pool) Merge(in Input) (Settings, error) {
	s := p.Settings
	if err := s.take(in); err != nil {
		return Settings{}, err
	}
	if err := s.check(p.Region, p.Account, &p.Settings); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// take puts a request's members into the settings. What the request lacks is kept for the name, the two policies, MFA
// and the tier (observed or documented), for the registration of clients (documented), and for key, issuer and ACR
// names (unconfirmed); everything else falls back to its default (observed or documented).
func (s *Settings) take(in Input) error {
	if in.Name != nil {
		s.Name = *in.Name
	}
	if err := s.takePasswords(in); err != nil {
		return err
	}
	if in.FirstFactors != nil {
		if s.FirstFactors = set(in.FirstFactors); s.FirstFactors == nil {
			s.FirstFactors = []string{FactorPassword}
		}
	}
	if err := s.takeTexts(in); err != nil {
		return err
	}
	s.DeletionProtection = in.DeletionProtection
	s.Lambda = in.Lambda
	s.AutoVerified = set(in.AutoVerified)
	s.SmsAuthentication = in.SmsAuthentication
	s.VerifyBeforeUpdate = set(in.VerifyBeforeUpdate)
	s.Device = in.Device
	s.Email = in.Email
	if s.Email.Account == "" {
		s.Email.Account = DefaultSender
	}
	s.Sms = in.Sms
	s.Tags = in.Tags
	s.AdminCreate = in.AdminCreate
	s.AddOns = in.AddOns
	s.Recovery = in.Recovery
	if s.MFA = or(in.MFA, s.MFA); s.MFA == MFAOff {
		s.TOTP, s.EmailMFA = nil, nil
	}
	s.Tier = or(in.Tier, s.Tier)
	if in.Registration != nil {
		s.Registration = in.Registration
	}
	if in.Key != nil {
		s.Key = in.Key
		if s.Key.Type == "" && s.Key.Arn == nil {
			s.Key = &KeyConfig{Type: OwnedKey}
		}
	}
	if in.Issuer != nil {
		s.Issuer = in.Issuer
	}
	if in.Acr != nil {
		s.Acr = in.Acr
	}
	return nil
}

// takePasswords puts the policy into the settings. In a policy that is given, absent booleans are false (unconfirmed).
// The days of temporary passwords have two names, of which a request may use one (observed); 0 is the default.
func (s *Settings) takePasswords(in Input) error {
	days := in.UnusedAccountDays
	if p := in.Password; p != nil {
		if days != nil && p.TemporaryDays != nil {
			return fault.BothValidityDays()
		}
		s.Password = PasswordPolicy{MinimumLength: or(p.MinimumLength, defaultPasswordLength),
			Upper: or(p.Upper, false), Lower: or(p.Lower, false), Numbers: or(p.Numbers, false), Symbols: or(p.Symbols, false),
			History: or(p.History, 0), HistoryGiven: p.History != nil, TemporaryDays: defaultTemporaryDays}
		if p.TemporaryDays != nil {
			days = p.TemporaryDays
		}
	}
	if days == nil {
		return nil
	}
	if s.Password.TemporaryDays = *days; *days == 0 {
		s.Password.TemporaryDays = defaultTemporaryDays
	}
	return nil
}

// takeTexts unites the template with its legacy names. Two different values for one text are refused (unconfirmed).
func (s *Settings) takeTexts(in Input) error {
	s.Templates = in.Templates
	if s.Templates.DefaultEmailOption == "" {
		s.Templates.DefaultEmailOption = ConfirmWithCode
	}
	for _, pair := range []struct {
		template     **string
		legacy       *string
		name, member string
	}{
		{&s.Templates.Sms, in.LegacyTexts.Sms, "SmsVerificationMessage", "SmsMessage"},
		{&s.Templates.EmailMessage, in.LegacyTexts.EmailMessage, "EmailVerificationMessage", "EmailMessage"},
		{&s.Templates.EmailSubject, in.LegacyTexts.EmailSubject, "EmailVerificationSubject", "EmailSubject"},
	} {
		switch {
		case pair.legacy == nil:
		case *pair.template == nil:
			*pair.template = pair.legacy
		case **pair.template != *pair.legacy:
			return fault.TemplateTwice(pair.name, pair.member)
		}
	}
	return nil
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// set is a list without repetitions, nil when it is empty: the service keeps such members as sets, and has no empty
// ones (unconfirmed).
func set(list []string) []string {
	var out []string
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
