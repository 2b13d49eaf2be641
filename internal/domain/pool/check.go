package pool

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// check holds merged settings against every rule of a pool's configuration; before is nil at creation.
func (s *Settings) check(region, account string, before *Settings) error {
	for _, rule := range []func() error{
		s.checkTexts,
		s.checkVerification,
		func() error { return s.checkMFA(before) },
		s.checkFirstFactors,
		func() error { return s.checkSms(region, account) },
		func() error { return s.checkEmail(region, account) },
		s.checkRecovery,
		s.checkLambda,
		s.checkKey,
		s.checkAcr,
		s.checkTier,
		func() error { return checkTags(s.Tags, fault.UserPoolTaggingException) },
	} {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

// checkTexts looks at what the model cannot say about messages. An invitation by SMS may lack the password where users
// can do without one (documented), else it needs both placeholders.
func (s *Settings) checkTexts() error {
	if s.Templates.EmailMessage != nil && s.Templates.EmailMessageByLink != nil {
		return fault.BothEmailKinds()
	}
	if m := s.AdminCreate.InviteSms; m != nil &&
		(!strings.Contains(*m, "{username}") || !strings.Contains(*m, "{####}") && !s.Passwordless()) {
		return fault.BadSmsInvitation()
	}
	if m := s.AdminCreate.InviteEmail; m != nil && !strings.Contains(*m, "{username}") {
		return fault.BadEmailInvitation()
	}
	return nil
}

func (s *Settings) checkVerification() error {
	for _, name := range s.VerifyBeforeUpdate {
		if !slices.Contains(s.AutoVerified, name) {
			return fault.VerifyBeforeUpdateNotAuto()
		}
	}
	if slices.Contains(s.AutoVerified, PhoneNumber) && s.Sms == nil {
		return fault.SmsNeededToAutoVerify()
	}
	return nil
}

func (s *Settings) checkFirstFactors() error {
	switch {
	case slices.Contains(s.FirstFactors, FactorSoftwareToken):
		return fault.NotAFirstFactor(FactorSoftwareToken)
	case !slices.Contains(s.FirstFactors, FactorPassword):
		return fault.PasswordFactorMissing()
	case slices.Contains(s.FirstFactors, FactorSmsOTP) && s.Sms == nil:
		return fault.SmsNeededForOTP()
	}
	return nil
}

// snsAlternate is the other region from which a region's pools may send text messages (documented).
func snsAlternate(region string) string {
	switch region {
	case "us-east-2", "ca-central-1":
		return "us-east-1"
	case "ap-south-1":
		return "ap-southeast-1"
	case "ap-northeast-2":
		return "ap-northeast-1"
	case "eu-central-1", "eu-west-2":
		return "eu-west-1"
	}
	return region
}

func (s *Settings) checkSms(region, account string) error {
	c := s.Sms
	if c == nil {
		return nil
	}
	if arnField(c.CallerArn, arnAccount) != account {
		return fault.CrossAccountRole()
	}
	if c.SnsRegion != nil && *c.SnsRegion != region && *c.SnsRegion != snsAlternate(region) {
		return fault.BadSnsRegion(region)
	}
	if m := c.EndUserMessaging; m != nil {
		if m.CallerArn != nil && arnField(*m.CallerArn, arnAccount) != account {
			return fault.CrossAccountRole()
		}
		if m.Region != nil && *m.Region != region {
			return fault.BadMessagingRegion(region)
		}
	}
	return nil
}

// checkEmail: an identity may be of the pool's region or of one of the three that served all pools at first.
func (s *Settings) checkEmail(region, account string) error {
	c := &s.Email
	if c.SourceArn == nil {
		if c.Account == DeveloperSender {
			return fault.SourceArnNeeded()
		}
	} else {
		switch r := arnField(*c.SourceArn, arnRegion); r {
		case region, "eu-west-1", "us-east-1", "us-west-2":
		default:
			return fault.BadSesRegion()
		}
		if c.Account == DefaultSender && arnField(*c.SourceArn, arnAccount) != account {
			return fault.EmailRoleAccess()
		}
	}
	if c.From != nil && !contact.ValidEmail(address(*c.From)) {
		return fault.BadFrom()
	}
	return nil
}

// address is the address in "Name <address>", or the whole text when it has no such form.
func address(from string) string {
	if at := strings.LastIndexByte(from, '<'); at >= 0 && strings.HasSuffix(from, ">") {
		return from[at+1 : len(from)-1]
	}
	return from
}

// The mechanisms of account recovery.
const (
	recoveryByAdmin = "admin_only"
	recoveryByEmail = "verified_email"
	recoveryByPhone = "verified_phone_number"
)

func (s *Settings) checkRecovery() error {
	for i, m := range s.Recovery {
		for _, other := range s.Recovery[:i] {
			if m.Priority == other.Priority || m.Name == other.Name {
				return fault.RecoveryTwice()
			}
		}
	}
	if len(s.Recovery) > 1 && slices.ContainsFunc(s.Recovery, func(m RecoveryMechanism) bool { return m.Name == recoveryByAdmin }) {
		return fault.RecoveryAdminOnly()
	}
	if len(s.Recovery) != 1 {
		return nil
	}
	switch only := s.Recovery[0].Name; {
	case only == recoveryByPhone && s.SMSFactor():
		return fault.RecoveryByPhoneOnly()
	case only == recoveryByEmail && s.EmailFactor():
		return fault.RecoveryByEmailOnly()
	}
	return nil
}

// checkLambda wants a key for custom senders, by which codes are encrypted on their way to them.
func (s *Settings) checkLambda() error {
	l := &s.Lambda
	key := ""
	if l.KMSKeyID != nil {
		key = *l.KMSKeyID
	}
	switch {
	case key == "" && l.CustomSMSSender != nil:
		return fault.SenderWithoutKey(CustomSMSSender)
	case key == "" && l.CustomEmailSender != nil:
		return fault.SenderWithoutKey(CustomEmailSender)
	case key != "" && arnField(key, arnService) != "kms":
		return fault.NotAKey(key)
	}
	if one := l.Functions[PreTokenGeneration]; one != "" && l.PreTokenGeneration != nil && l.PreTokenGeneration.ARN != one {
		return fault.TwoTokenTriggers()
	}
	return nil
}

func (s *Settings) checkKey() error {
	if s.Key == nil {
		return nil
	}
	if (s.Key.Type == CustomerManagedKey) != (s.Key.Arn != nil) {
		return fault.KeyArnWithType()
	}
	if s.Key.Arn != nil && arnField(*s.Key.Arn, arnService) != "kms" {
		return fault.NotAKey(*s.Key.Arn)
	}
	return nil
}

// acrCharacters are what a URL or a URN is written in.
const acrCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;=%"

// AcrLevels are the names of the four levels of assurance in AcrConfiguration, lowest first.
func AcrLevels() []string { return []string{"Level1", "Level2", "Level3", "Level4"} }

// AcrNames are the names of all four levels of assurance, with the defaults where the pool has none of its own.
func (s *Settings) AcrNames() map[string]string {
	names := make(map[string]string)
	for i, level := range AcrLevels() {
		names[level] = "urn:cognito:loa:" + strconv.Itoa(i+1)
		if own, ok := s.Acr[level]; ok {
			names[level] = own
		}
	}
	return names
}

func (s *Settings) checkAcr() error {
	for _, level := range slices.Sorted(maps.Keys(s.Acr)) {
		if !slices.Contains(AcrLevels(), level) {
			return fault.UnknownAcrLevel(level)
		}
		if name := s.Acr[level]; name == "" || strings.Trim(name, acrCharacters) != "" {
			return fault.BadAcrName(level)
		}
	}
	seen := make(map[string]bool)
	for _, name := range s.AcrNames() {
		if seen[name] {
			return fault.AcrNameTwice(name)
		}
		seen[name] = true
	}
	return nil
}

// checkTier names every feature that the pool uses and its tier lacks. Only the first two names are observed.
func (s *Settings) checkTier() error {
	var features []string
	if s.AddOns != nil && (s.AddOns.AdvancedSecurity != ThreatProtectionOff || s.AddOns.CustomAuthMode != nil) && s.Tier != Plus {
		features = append(features, "Threat Protection")
	}
	if s.Tier == Lite {
		if len(s.FirstFactors) > 1 { // more than the password
			features = append(features, "Passwordless Sign-In")
		}
		if s.EmailMFA != nil {
			features = append(features, "Email MFA")
		}
		if s.Password.History > 0 {
			features = append(features, "Password Reuse Prevention")
		}
		if v := s.Lambda.PreTokenGeneration; v != nil && v.Version != "V1_0" {
			features = append(features, "Access Token Customization")
		}
		if s.Registration != nil && s.Registration.Enabled {
			features = append(features, "Dynamic Client Registration")
		}
		if len(s.Acr) > 0 {
			features = append(features, "ACR Level Names")
		}
	}
	if len(features) == 0 {
		return nil
	}
	return fault.FeatureUnavailable(s.Tier, strings.Join(features, ", "))
}

// The fields of a resource name.
const (
	arnService = 2
	arnRegion  = 3
	arnAccount = 4
)

// OwnsRole reports whether a role is of the pool's account.
func (p *Pool) OwnsRole(arn string) bool { return arnField(arn, arnAccount) == p.Account }

// arnField is a field of a resource name, "" when the text has too few.
func arnField(arn string, field int) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[field]
}
