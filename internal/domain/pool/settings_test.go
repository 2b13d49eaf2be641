package pool

import (
	"errors"
	"maps"
	"strconv"
	"testing"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const (
	region  = "us-west-2"
	account = "123456789012"
	role    = "arn:aws:iam::123456789012:role/sms"
)

// said is what a client reads of an error, "" of none.
func said(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	f, ok := errors.AsType[*fault.Error](err)
	want.True(t, ok, "%v is a fault", err)
	return string(f.Code) + ": " + f.Message
}

func invalid(text string) string { return "InvalidParameterException: " + text }

func named(in Input) Input {
	in.Name = new("p")
	return in
}

func sms() *SmsConfig { return &SmsConfig{CallerArn: role} }

func TestNewFillsDefaults(t *testing.T) {
	t.Parallel()
	s, err := New(region, account, named(Input{}), Fixed{})
	want.NoError(t, err)
	want.Equal(t, s, Settings{
		Name:          "p",
		Password:      PasswordPolicy{MinimumLength: 8, Upper: true, Lower: true, Numbers: true, Symbols: true, TemporaryDays: 7},
		FirstFactors:  []string{"PASSWORD"},
		Templates:     Templates{DefaultEmailOption: "CONFIRM_WITH_CODE"},
		MFA:           "OFF",
		Email:         EmailConfig{Account: "COGNITO_DEFAULT"},
		CaseSensitive: true,
		Tier:          "ESSENTIALS",
	})
}

func TestNewMembers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		in    Input
		fixed Fixed
		want  func(*Settings)
	}{
		{"absent booleans of a given policy are false", Input{Password: &PasswordInput{Upper: new(true)}}, Fixed{},
			func(s *Settings) { s.Password = PasswordPolicy{MinimumLength: 8, Upper: true, TemporaryDays: 7} }},
		{"history is remembered as given", Input{Password: &PasswordInput{History: new(0)}}, Fixed{},
			func(s *Settings) {
				s.Password = PasswordPolicy{MinimumLength: 8, TemporaryDays: 7, HistoryGiven: true}
			}},
		{"days of the policy", Input{Password: &PasswordInput{TemporaryDays: new(3)}}, Fixed{},
			func(s *Settings) { s.Password = PasswordPolicy{MinimumLength: 8, TemporaryDays: 3} }},
		{"zero days of the policy are the default", Input{Password: &PasswordInput{TemporaryDays: new(0)}}, Fixed{},
			func(s *Settings) { s.Password = PasswordPolicy{MinimumLength: 8, TemporaryDays: 7} }},
		{"legacy days", Input{UnusedAccountDays: new(30)}, Fixed{}, func(s *Settings) { s.Password.TemporaryDays = 30 }},
		{"legacy days beside a policy without days", Input{UnusedAccountDays: new(30), Password: &PasswordInput{MinimumLength: new(6)}}, Fixed{},
			func(s *Settings) { s.Password = PasswordPolicy{MinimumLength: 6, TemporaryDays: 30} }},
		{"zero legacy days are the default", Input{UnusedAccountDays: new(0)}, Fixed{}, func(*Settings) {}},
		{"an empty list of first factors is the default", Input{FirstFactors: []string{}}, Fixed{}, func(*Settings) {}},
		{"lists are sets", Input{AutoVerified: []string{"email", "email"}}, Fixed{Aliases: []string{"email", "preferred_username", "email"}},
			func(s *Settings) {
				s.AutoVerified, s.Aliases = []string{"email"}, []string{"email", "preferred_username"}
			}},
		{"empty lists are none", Input{AutoVerified: []string{}, VerifyBeforeUpdate: []string{}}, Fixed{Aliases: []string{}, UsernameAttributes: []string{}}, func(*Settings) {}},
		{"letter case", Input{}, Fixed{CaseSensitive: new(false)}, func(s *Settings) { s.CaseSensitive, s.CaseGiven = false, true }},
		{"letter case as by default", Input{}, Fixed{CaseSensitive: new(true)}, func(s *Settings) { s.CaseGiven = true }},
		{"legacy texts fill the template", Input{LegacyTexts: LegacyTexts{new("s {####}"), new("m {####}"), new("j")}}, Fixed{},
			func(s *Settings) {
				s.Templates.Sms, s.Templates.EmailMessage, s.Templates.EmailSubject = new("s {####}"), new("m {####}"), new("j")
			}},
		{"equal texts under both names", Input{LegacyTexts: LegacyTexts{Sms: new("s {####}")}, Templates: Templates{Sms: new("s {####}"), DefaultEmailOption: "CONFIRM_WITH_LINK"}}, Fixed{},
			func(s *Settings) {
				s.Templates.Sms, s.Templates.DefaultEmailOption = new("s {####}"), "CONFIRM_WITH_LINK"
			}},
		{"an empty key configuration is the owned key", Input{Key: &KeyConfig{}}, Fixed{}, func(s *Settings) { s.Key = &KeyConfig{Type: "AWS_OWNED_KEY"} }},
		{"a key", Input{Key: &KeyConfig{Type: CustomerManagedKey, Arn: new("arn:aws:kms:us-west-2:123456789012:key/k")}}, Fixed{},
			func(s *Settings) {
				s.Key = &KeyConfig{Type: CustomerManagedKey, Arn: new("arn:aws:kms:us-west-2:123456789012:key/k")}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wanted, err := New(region, account, named(Input{}), Fixed{})
			want.NoError(t, err)
			c.want(&wanted)
			got, err := New(region, account, named(c.in), c.fixed)
			want.NoError(t, err)
			want.Equal(t, got, wanted)
		})
	}
}

// fullTags are n tags.
func fullTags(n int) map[string]string {
	tags := make(map[string]string)
	for i := range n {
		tags["k"+strconv.Itoa(i)] = ""
	}
	return tags
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	ses := func(region, account string) *string {
		return new("arn:aws:ses:" + region + ":" + account + ":identity/a@example.com")
	}
	otp := []string{"PASSWORD", "EMAIL_OTP"}
	tier := func(tier, features string) string {
		return "FeatureUnavailableInTierException: The following features need to be disabled for the " + tier + " pricing tier configured: " + features
	}
	recovery := func(list ...RecoveryMechanism) []RecoveryMechanism { return list }
	const (
		mfaNeedsSms = "SMS configuration and Auto verification for phone_number are required when MFA is required/optional"
		tagging     = "UserPoolTaggingException: "
	)
	for _, c := range []struct {
		name  string
		in    Input
		fixed Fixed
		want  string // "" when it is accepted
	}{
		{"alias and username attributes", Input{}, Fixed{Aliases: []string{"email"}, UsernameAttributes: []string{"email"}},
			invalid("Only one of the aliasAttributes or usernameAttributes can be set in a User pool.")},
		{"the schema comes before the aliases", Input{}, Fixed{Aliases: []string{"email"}, UsernameAttributes: []string{"email"}, Schema: []Declaration{{Name: new("x")}}},
			invalid("Invalid AttributeDataType input, consider using the provided AttributeDataType enum.")},
		{"both validity settings", Input{Password: &PasswordInput{TemporaryDays: new(7)}, UnusedAccountDays: new(7)}, Fixed{},
			invalid("Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays")},
		{"two SMS texts", Input{LegacyTexts: LegacyTexts{Sms: new("a {####}")}, Templates: Templates{Sms: new("b {####}")}}, Fixed{},
			invalid("SmsVerificationMessage and VerificationMessageTemplate.SmsMessage cannot have different values.")},
		{"two e-mail texts", Input{LegacyTexts: LegacyTexts{EmailMessage: new("a {####}")}, Templates: Templates{EmailMessage: new("b {####}")}}, Fixed{},
			invalid("EmailVerificationMessage and VerificationMessageTemplate.EmailMessage cannot have different values.")},
		{"two subjects", Input{LegacyTexts: LegacyTexts{EmailSubject: new("a")}, Templates: Templates{EmailSubject: new("b")}}, Fixed{},
			invalid("EmailVerificationSubject and VerificationMessageTemplate.EmailSubject cannot have different values.")},
		{"code and link", Input{Templates: Templates{EmailMessage: new("{####}"), EmailMessageByLink: new("{##x##}")}}, Fixed{},
			invalid("EmailMessage and EmailMessageByLink cannot be set together in the verification message template.")},
		{"SMS invitation without name", Input{AdminCreate: AdminCreateConfig{InviteSms: new("code {####}")}}, Fixed{}, invalid("Invalid SMS message for Admin create user flow parameter")},
		{"SMS invitation without password", Input{AdminCreate: AdminCreateConfig{InviteSms: new("hello {username}")}}, Fixed{}, invalid("Invalid SMS message for Admin create user flow parameter")},
		{"SMS invitation without password, passwordless", Input{FirstFactors: otp, AdminCreate: AdminCreateConfig{InviteSms: new("hello {username}")}}, Fixed{}, ""},
		{"e-mail invitation without name", Input{AdminCreate: AdminCreateConfig{InviteEmail: new("hello {####}")}}, Fixed{},
			invalid("Invalid Email message body for Admin create user flow parameter. Email message body should have {username} which will be replaced by code")},
		{"invitations", Input{AdminCreate: AdminCreateConfig{InviteEmail: new("{username} {####}"), InviteSms: new("{username} {####}")}}, Fixed{}, ""},
		{"pending verification without auto-verify", Input{VerifyBeforeUpdate: []string{"email"}}, Fixed{},
			invalid("All attributes in AttributesRequireVerificationBeforeUpdate must exist in AutoVerifiedAttributes")},
		{"phone auto-verify without SMS", Input{AutoVerified: []string{"phone_number"}}, Fixed{}, invalid("SMS configuration is required when phone_number is selected for auto verification")},
		{"phone auto-verify", Input{AutoVerified: []string{"phone_number"}, VerifyBeforeUpdate: []string{"phone_number"}, Sms: sms()}, Fixed{}, ""},
		{"MFA ON without SMS", Input{MFA: new("ON")}, Fixed{}, invalid(mfaNeedsSms)},
		{"MFA OPTIONAL without SMS", Input{MFA: new("OPTIONAL")}, Fixed{}, invalid(mfaNeedsSms)},
		{"MFA", Input{MFA: new("ON"), Sms: sms()}, Fixed{}, ""},
		{"MFA ON with one-time passwords", Input{MFA: new("ON"), Sms: sms(), FirstFactors: otp}, Fixed{},
			invalid("Only PASSWORD and WEB_AUTHN (if configured) can be enabled as an auth factor if MFA is enabled")},
		{"MFA OPTIONAL with one-time passwords", Input{MFA: new("OPTIONAL"), Sms: sms(), FirstFactors: otp}, Fixed{}, ""},
		{"first factors without password", Input{FirstFactors: []string{"WEB_AUTHN"}}, Fixed{}, invalid("Password should be configured as one of the allowed first auth factors.")},
		{"SMS_OTP without SMS", Input{FirstFactors: []string{"PASSWORD", "SMS_OTP"}}, Fixed{},
			invalid("SMS_OTP can not be configured as AuthFactor as user pool is missing valid SMS configuration")},
		{"a second factor as the first", Input{FirstFactors: []string{"PASSWORD", "SOFTWARE_TOKEN"}}, Fixed{},
			invalid("SOFTWARE_TOKEN can not be configured as one of the allowed first auth factors.")},
		{"role of another account", Input{Sms: &SmsConfig{CallerArn: "arn:aws:iam::210987654321:role/sms"}}, Fixed{}, invalid("Cross-account pass role is not allowed.")},
		{"messaging role of another account", Input{Sms: &SmsConfig{CallerArn: role, EndUserMessaging: &EndUserMessaging{CallerArn: new("arn:aws:iam::210987654321:role/sms")}}}, Fixed{},
			invalid("Cross-account pass role is not allowed.")},
		{"SNS region", Input{Sms: &SmsConfig{CallerArn: role, SnsRegion: new("eu-west-1")}}, Fixed{}, invalid("Invalid snsRegion. Allowed SNS region for us-west-2 is us-west-2")},
		{"own SNS region", Input{Sms: &SmsConfig{CallerArn: role, SnsRegion: new(region)}}, Fixed{}, ""},
		{"messaging region", Input{Sms: &SmsConfig{CallerArn: role, EndUserMessaging: &EndUserMessaging{CallerArn: new(role), Region: new("eu-west-1")}}}, Fixed{},
			invalid("Invalid region for AWS End User Messaging SMS. The allowed region is us-west-2")},
		{"own messaging region", Input{Sms: &SmsConfig{CallerArn: role, EndUserMessaging: &EndUserMessaging{CallerArn: new(role), Region: new(region)}}}, Fixed{}, ""},
		{"developer's e-mail without identity", Input{Email: EmailConfig{Account: "DEVELOPER"}}, Fixed{}, invalid("Source ARN is required to use DEVELOPER email sending owner")},
		{"foreign identity with the default sender", Input{Email: EmailConfig{SourceArn: ses("us-east-1", "210987654321")}}, Fixed{},
			"InvalidEmailRoleAccessPolicyException: Cognito is not allowed to use your email identity"},
		{"foreign identity of a developer", Input{Email: EmailConfig{Account: "DEVELOPER", SourceArn: ses("us-east-1", "210987654321")}}, Fixed{}, ""},
		{"SES region", Input{Email: EmailConfig{SourceArn: ses("eu-north-1", account)}}, Fixed{},
			invalid("Provided SourceArn must be in one of the following SES regions: eu-west-1, us-east-1, us-west-2.")},
		{"no address in From", Input{Email: EmailConfig{From: new("Nobody")}}, Fixed{}, invalid("Provided From email address is invalid")},
		{"From with a name", Input{Email: EmailConfig{From: new("Some Body <a@example.com>")}}, Fixed{}, ""},
		{"From", Input{Email: EmailConfig{From: new("a@example.com")}}, Fixed{}, ""},
		{"recovery with equal priorities", Input{Recovery: recovery(RecoveryMechanism{1, "verified_email"}, RecoveryMechanism{1, "verified_phone_number"})}, Fixed{},
			invalid("Account Recovery Setting cannot have duplicate priorities or recovery mechanisms.")},
		{"recovery with equal names", Input{Recovery: recovery(RecoveryMechanism{1, "verified_email"}, RecoveryMechanism{2, "verified_email"})}, Fixed{},
			invalid("Account Recovery Setting cannot have duplicate priorities or recovery mechanisms.")},
		{"recovery by administrators and others", Input{Recovery: recovery(RecoveryMechanism{1, "admin_only"}, RecoveryMechanism{2, "verified_email"})}, Fixed{},
			invalid("Account Recovery Setting cannot use admin_only setting with any other recovery mechanisms.")},
		{"recovery by administrators", Input{Recovery: recovery(RecoveryMechanism{1, "admin_only"})}, Fixed{}, ""},
		{"recovery by phone with SMS MFA", Input{Recovery: recovery(RecoveryMechanism{1, "verified_phone_number"}), MFA: new("OPTIONAL"), Sms: sms()}, Fixed{},
			invalid("Invalid account recovery setting parameter. Account Recovery Setting cannot use verified_phone_number as a recovery mechanism when SMS MFA is configured.")},
		{"recovery by phone without MFA", Input{Recovery: recovery(RecoveryMechanism{1, "verified_phone_number"}), Sms: sms()}, Fixed{}, ""},
		{"custom SMS sender without key", Input{Lambda: LambdaConfig{CustomSMSSender: &VersionedFunction{"V1_0", "arn"}}}, Fixed{},
			invalid("KMSKeyID is required when CustomSMSSender is set.")},
		{"custom e-mail sender without key", Input{Lambda: LambdaConfig{CustomEmailSender: &VersionedFunction{"V1_0", "arn"}, KMSKeyID: new("")}}, Fixed{},
			invalid("KMSKeyID is required when CustomEmailSender is set.")},
		{"custom sender with another key", Input{Lambda: LambdaConfig{CustomEmailSender: &VersionedFunction{"V1_0", "arn"}, KMSKeyID: new("arn:aws:s3:::key")}}, Fixed{},
			invalid("arn:aws:s3:::key is not the ARN of a KMS key.")},
		{"custom sender with key", Input{Lambda: LambdaConfig{CustomEmailSender: &VersionedFunction{"V1_0", "arn"}, KMSKeyID: new("arn:aws:kms:eu-west-1:123456789012:key/k")}}, Fixed{}, ""},
		{"two token triggers", Input{Lambda: LambdaConfig{Functions: map[string]string{"PreTokenGeneration": "a"}, PreTokenGeneration: &VersionedFunction{"V2_0", "b"}}}, Fixed{},
			invalid("PreTokenGeneration and the LambdaArn of PreTokenGenerationConfig must be identical when both are set.")},
		{"one token trigger under both names", Input{Lambda: LambdaConfig{Functions: map[string]string{"PreTokenGeneration": "a"}, PreTokenGeneration: &VersionedFunction{"V2_0", "a"}}}, Fixed{}, ""},
		{"key type without key", Input{Key: &KeyConfig{Type: CustomerManagedKey}}, Fixed{}, invalid("KmsKeyArn is required with, and only with, the key type CUSTOMER_MANAGED_KEY.")},
		{"key without its type", Input{Key: &KeyConfig{Arn: new("arn:aws:kms:us-west-2:123456789012:key/k")}}, Fixed{},
			invalid("KmsKeyArn is required with, and only with, the key type CUSTOMER_MANAGED_KEY.")},
		{"no key", Input{Key: &KeyConfig{Type: CustomerManagedKey, Arn: new("key")}}, Fixed{}, invalid("key is not the ARN of a KMS key.")},
		{"unknown ACR level", Input{Acr: map[string]string{"Level5": "x"}}, Fixed{}, invalid("Level5 is not an ACR level. The levels are Level1, Level2, Level3 and Level4.")},
		{"empty ACR name", Input{Acr: map[string]string{"Level1": ""}}, Fixed{}, invalid("The ACR value of Level1 may hold only characters that are valid in a URL or URN.")},
		{"ACR name with a space", Input{Acr: map[string]string{"Level1": "a b"}}, Fixed{}, invalid("The ACR value of Level1 may hold only characters that are valid in a URL or URN.")},
		{"ACR name twice", Input{Acr: map[string]string{"Level1": "a", "Level2": "a"}}, Fixed{}, invalid("The ACR value a is not unique among the levels of the user pool.")},
		{"ACR name of another level's default", Input{Acr: map[string]string{"Level1": "urn:cognito:loa:2"}}, Fixed{},
			invalid("The ACR value urn:cognito:loa:2 is not unique among the levels of the user pool.")},
		{"swapped ACR names", Input{Acr: map[string]string{"Level1": "urn:cognito:loa:2", "Level2": "urn:cognito:loa:1"}}, Fixed{}, ""},
		{"threat protection below Plus", Input{AddOns: &AddOns{AdvancedSecurity: "AUDIT"}}, Fixed{}, tier("ESSENTIALS", "Threat Protection")},
		{"threat protection of custom sign-in below Plus", Input{AddOns: &AddOns{AdvancedSecurity: "OFF", CustomAuthMode: new("AUDIT")}}, Fixed{}, tier("ESSENTIALS", "Threat Protection")},
		{"threat protection in Plus", Input{AddOns: &AddOns{AdvancedSecurity: "ENFORCED"}, Tier: new("PLUS")}, Fixed{}, ""},
		{"threat protection off", Input{AddOns: &AddOns{AdvancedSecurity: "OFF"}}, Fixed{}, ""},
		{"passwordless in Lite", Input{FirstFactors: otp, Tier: new("LITE")}, Fixed{}, tier("LITE", "Passwordless Sign-In")},
		{"everything in Lite", Input{Tier: new("LITE"), FirstFactors: otp, AddOns: &AddOns{AdvancedSecurity: "ENFORCED"}, Password: &PasswordInput{History: new(1)},
			Lambda: LambdaConfig{PreTokenGeneration: &VersionedFunction{"V3_0", "a"}}, Registration: &RegistrationConfig{Enabled: true}, Acr: map[string]string{"Level1": "a"}}, Fixed{},
			tier("LITE", "Threat Protection, Passwordless Sign-In, Password Reuse Prevention, Access Token Customization, Dynamic Client Registration, ACR Level Names")},
		{"what Lite allows", Input{Tier: new("LITE"), Lambda: LambdaConfig{PreTokenGeneration: &VersionedFunction{"V1_0", "a"}}, Password: &PasswordInput{History: new(0)},
			Registration: &RegistrationConfig{}}, Fixed{}, ""},
		{"reserved tag", Input{Tags: map[string]string{"AWS:x": ""}}, Fixed{}, tagging + "The tag key AWS:x is not valid: keys that start with aws: are reserved."},
		{"51 tags", Input{Tags: fullTags(51)}, Fixed{}, tagging + "A user pool cannot have more than 50 tags."},
		{"50 tags", Input{Tags: fullTags(50)}, Fixed{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(region, account, named(c.in), c.fixed)
			want.Equal(t, said(t, err), c.want)
		})
	}
}

func TestSnsAlternates(t *testing.T) {
	t.Parallel()
	for region, other := range map[string]string{"us-east-2": "us-east-1", "ca-central-1": "us-east-1", "ap-south-1": "ap-southeast-1",
		"ap-northeast-2": "ap-northeast-1", "eu-central-1": "eu-west-1", "eu-west-2": "eu-west-1"} {
		_, err := New(region, account, named(Input{Sms: &SmsConfig{CallerArn: role, SnsRegion: &other}}), Fixed{})
		want.NoError(t, err)
	}
}

// full is a pool in which everything is set that an update can change.
func full(t *testing.T) *Pool {
	t.Helper()
	s, err := New(region, account, Input{
		Name:               new("p"),
		Password:           &PasswordInput{MinimumLength: new(12), History: new(4), TemporaryDays: new(3)},
		FirstFactors:       []string{"PASSWORD", "WEB_AUTHN"},
		DeletionProtection: true,
		Lambda:             LambdaConfig{Functions: map[string]string{"PreSignUp": "arn"}, KMSKeyID: new("arn:aws:kms:us-west-2:123456789012:key/k")},
		AutoVerified:       []string{"email", "phone_number"},
		Templates:          Templates{Sms: new("s {####}"), DefaultEmailOption: "CONFIRM_WITH_LINK"},
		SmsAuthentication:  new("a {####}"),
		MFA:                new("OPTIONAL"),
		VerifyBeforeUpdate: []string{"email"},
		Device:             &DeviceConfig{},
		Email:              EmailConfig{From: new("a@example.com")},
		Sms:                sms(),
		Tags:               map[string]string{"a": "b"},
		AdminCreate:        AdminCreateConfig{OnlyAdmin: true},
		AddOns:             &AddOns{AdvancedSecurity: "AUDIT"},
		Recovery:           []RecoveryMechanism{{1, "verified_email"}},
		Tier:               new("PLUS"),
		Registration:       &RegistrationConfig{Enabled: true},
		Key:                &KeyConfig{Type: OwnedKey},
		Issuer:             new("UPDATED"),
		Acr:                map[string]string{"Level1": "one"},
	}, Fixed{Aliases: []string{"email"}, CaseSensitive: new(false), Schema: []Declaration{{Name: new("x"), Type: new("String")}}})
	want.NoError(t, err)
	return &Pool{ID: "us-west-2_abcdefghi", Region: region, Account: account, Settings: s}
}

func TestMergeOfNothingKeepsAndResets(t *testing.T) {
	t.Parallel()
	p := full(t)
	before := p.Settings
	got, err := p.Merge(Input{MFA: new("OFF")})
	want.NoError(t, err)
	wanted := Settings{
		// kept
		Name: "p", Password: before.Password, FirstFactors: before.FirstFactors, Tier: "PLUS", Registration: before.Registration, Key: before.Key,
		Issuer: before.Issuer, Acr: before.Acr,
		// fixed
		Aliases: before.Aliases, CaseGiven: true, Custom: before.Custom,
		// reset
		MFA: "OFF", Templates: Templates{DefaultEmailOption: "CONFIRM_WITH_CODE"}, Email: EmailConfig{Account: "COGNITO_DEFAULT"},
	}
	want.Equal(t, got, wanted)
	want.Equal(t, p.Settings, before)
}

func TestMergeKeepsMFA(t *testing.T) {
	t.Parallel()
	got, err := full(t).Merge(Input{Sms: sms()})
	want.NoError(t, err)
	want.Equal(t, got.MFA, "OPTIONAL")
}

func TestMergeReplaces(t *testing.T) {
	t.Parallel()
	p := full(t)
	got, err := p.Merge(Input{Name: new("q"), MFA: new("OFF"), Tier: new("ESSENTIALS"), Password: &PasswordInput{MinimumLength: new(9)}, FirstFactors: []string{},
		Registration: &RegistrationConfig{Open: true}, Key: &KeyConfig{}, Issuer: new("ORIGINAL"), Acr: map[string]string{}, UnusedAccountDays: new(5)})
	want.NoError(t, err)
	want.Equal(t, got.Name+" "+got.Tier+" "+*got.Issuer, "q ESSENTIALS ORIGINAL")
	want.Equal(t, got.Password, PasswordPolicy{MinimumLength: 9, TemporaryDays: 5})
	want.Equal(t, got.FirstFactors, []string{"PASSWORD"})
	want.Equal(t, got.Registration, &RegistrationConfig{Open: true})
	want.Equal(t, got.AcrNames(), map[string]string{"Level1": "urn:cognito:loa:1", "Level2": "urn:cognito:loa:2", "Level3": "urn:cognito:loa:3", "Level4": "urn:cognito:loa:4"})
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	plain := func(p *Pool) { p.MFA, p.Sms, p.AutoVerified, p.VerifyBeforeUpdate = "OFF", nil, nil, nil }
	for _, c := range []struct {
		name   string
		change func(*Pool)
		in     Input
		want   string
	}{
		{"MFA ON with no factor", plain, Input{MFA: new("ON")}, invalid("Cannot turn MFA functionality ON, once the user pool has been created.")},
		{"MFA OPTIONAL with no factor", plain, Input{MFA: new("OPTIONAL")},
			invalid("SMS configuration and Auto verification for phone_number are required when MFA is required/optional")},
		{"SMS removed while MFA uses it", nil, Input{}, invalid("Can't turn off SMS_MFA when SMS configuration is set for the user pool")},
		{"SMS removed with MFA", nil, Input{MFA: new("OFF")}, ""},
		{"Lite with registration", plain, Input{Tier: new("LITE"), Password: &PasswordInput{}, FirstFactors: []string{}, Acr: map[string]string{}},
			"FeatureUnavailableInTierException: The following features need to be disabled for the LITE pricing tier configured: Dynamic Client Registration"},
		{"Lite without registration", plain, Input{Tier: new("LITE"), Password: &PasswordInput{}, FirstFactors: []string{}, Acr: map[string]string{}, Registration: &RegistrationConfig{}}, ""},
		{"pending verification without auto-verify", nil, Input{Sms: sms(), VerifyBeforeUpdate: []string{"email"}},
			invalid("All attributes in AttributesRequireVerificationBeforeUpdate must exist in AutoVerifiedAttributes")},
		{"both validity settings", nil, Input{Password: &PasswordInput{TemporaryDays: new(7)}, UnusedAccountDays: new(7)},
			invalid("Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays")},
		{"reserved tag", nil, Input{Sms: sms(), Tags: map[string]string{"aws:x": ""}}, "UserPoolTaggingException: The tag key aws:x is not valid: keys that start with aws: are reserved."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := full(t)
			if c.change != nil {
				c.change(p)
			}
			_, err := p.Merge(c.in)
			want.Equal(t, said(t, err), c.want)
		})
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	s := Settings{Tags: map[string]string{"a": "1", "b": "2"}}
	before := maps.Clone(s.Tags)
	tags, err := s.AddTags(map[string]string{"b": "3", "c": "4"})
	want.NoError(t, err)
	want.Equal(t, tags, map[string]string{"a": "1", "b": "3", "c": "4"})
	want.Equal(t, s.RemoveTags([]string{"a", "z"}), map[string]string{"b": "2"})
	want.Equal(t, s.Tags, before)

	_, err = s.AddTags(map[string]string{"aws:x": ""})
	want.Equal(t, said(t, err), invalid("The tag key aws:x is not valid: keys that start with aws: are reserved."))
	_, err = s.AddTags(fullTags(49))
	want.Equal(t, said(t, err), invalid("A user pool cannot have more than 50 tags."))
	tags, err = (&Settings{}).AddTags(fullTags(50))
	want.NoError(t, err)
	want.Equal(t, len(tags), 50)
}

func TestIDs(t *testing.T) {
	t.Parallel()
	for id, ok := range map[string]bool{"us-east-1_abc123XYZ": true, "my_id": true, "a_b_c": true, "noprefix": false, "_x": false, "x_": false, "": false, "a b_c": false,
		"us-east-1_ä": false, "us-east-1_a-b": false, "a_23456789012345678901234567890123456789012345678901234567": false} {
		if got := ValidID(id); got != ok {
			t.Errorf("ValidID(%q) is %v, wanted %v", id, got, ok)
		}
	}
	for id, ok := range map[string]bool{"abc_1+2": true, "": false, "a-b": false, "a b": false, string(make([]byte, 129)): false} {
		if got := ValidClientID(id); got != ok {
			t.Errorf("ValidClientID(%q) is %v, wanted %v", id, got, ok)
		}
	}
}
