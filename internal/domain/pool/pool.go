// Package pool holds the rules about user pools and app clients: their settings, the attribute schema, policies,
// defaults, and what a merge of an update means.
//
// It is pure: values in, values out. Users are next door in package user; how settings are stored is the
// business of the store, and how they look on the wire that of the operations.
package pool

import (
	"slices"
	"strings"
	"time"
)

// Pool is a user pool with everything that was configured.
type Pool struct {
	ID       string
	Region   string // where the pool lives; the prefix of its id
	Account  string // twelve digits
	Version  int64  // grows with every change of the record; the store sets it
	Created  time.Time
	Modified time.Time
	Replica  bool // a secondary replica: writes of users and settings are not enabled here
	Settings
}

// Settings is what an operator configures. The zero value is not usable: New makes the first settings of a pool.
type Settings struct {
	Name               string
	Password           PasswordPolicy
	FirstFactors       []string // AllowedFirstAuthFactors; never empty
	DeletionProtection bool
	Lambda             LambdaConfig
	AutoVerified       []string // of "phone_number", "email"
	Aliases            []string // AliasAttributes; fixed at creation
	UsernameAttributes []string // fixed at creation
	Templates          Templates
	SmsAuthentication  *string
	MFA                string    // OFF, ON, OPTIONAL
	TOTP               *bool     // SoftwareTokenMfaConfiguration.Enabled; nil while MFA is off
	EmailMFA           *EmailMFA // EmailMfaConfiguration; nil while MFA is off
	WebAuthn           *WebAuthn
	VerifyBeforeUpdate []string // AttributesRequireVerificationBeforeUpdate
	Device             *DeviceConfig
	Email              EmailConfig
	Sms                *SmsConfig
	Tags               map[string]string
	AdminCreate        AdminCreateConfig
	Custom             []Attribute          // custom attributes in order of creation, names with their prefix
	Standard           map[string]Attribute // standard attributes that were declared otherwise than by default
	HadProvider        bool                 // an identity provider was configured once: `identities` is listed
	AddOns             *AddOns
	CaseSensitive      bool // of user names and addresses; fixed at creation
	CaseGiven          bool // UsernameConfiguration was given, so it is shown
	Recovery           []RecoveryMechanism
	Tier               string              // LITE, ESSENTIALS, PLUS
	Registration       *RegistrationConfig // DcrConfiguration
	Key                *KeyConfig
	Issuer             *string           // IssuerConfiguration.Type: ORIGINAL, UPDATED
	Acr                map[string]string // AcrConfiguration: Level1..Level4 to their values
}

// The tiers of features.
const (
	Lite       = "LITE"
	Essentials = "ESSENTIALS"
	Plus       = "PLUS"
)

// The values of Settings.MFA.
const (
	MFAOff      = "OFF"
	MFAOn       = "ON"
	MFAOptional = "OPTIONAL"
)

// The first factors.
const (
	FactorPassword      = "PASSWORD"
	FactorEmailOTP      = "EMAIL_OTP"
	FactorSmsOTP        = "SMS_OTP"
	FactorSoftwareToken = "SOFTWARE_TOKEN"
	FactorWebAuthn      = "WEB_AUTHN"
)

// What senders of e-mail, kinds of verification e-mails and keys are called.
const (
	DefaultSender       = "COGNITO_DEFAULT"
	DeveloperSender     = "DEVELOPER"
	ConfirmWithCode     = "CONFIRM_WITH_CODE"
	ConfirmWithLink     = "CONFIRM_WITH_LINK"
	OwnedKey            = "AWS_OWNED_KEY"
	CustomerManagedKey  = "CUSTOMER_MANAGED_KEY"
	ThreatProtectionOff = "OFF"
)

// PasswordPolicy is Policies.PasswordPolicy.
type PasswordPolicy struct {
	MinimumLength                  int // 6 to 99
	Upper, Lower, Numbers, Symbols bool
	History                        int  // former passwords that may not come again; 0 is off
	TemporaryDays                  int  // life of temporary passwords; never 0
	HistoryGiven                   bool // PasswordHistorySize was given, so it is shown
}

// LambdaConfig maps trigger names (as in LambdaConfig: "PreSignUp", "CustomMessage", ...) to function ARNs.
type LambdaConfig struct {
	Functions          map[string]string
	PreTokenGeneration *VersionedFunction
	CustomSMSSender    *VersionedFunction
	CustomEmailSender  *VersionedFunction
	InboundFederation  *VersionedFunction
	KMSKeyID           *string
}

// VersionedFunction is a function with the version of the event that it takes.
type VersionedFunction struct{ Version, ARN string }

// Names of the functions that have versions, as LambdaConfig has them.
const (
	CustomEmailSender  = "CustomEmailSender"
	CustomSMSSender    = "CustomSMSSender"
	PreTokenGeneration = "PreTokenGeneration"
)

// TokenVersion is the version of the event that the pool's PreTokenGeneration function takes.
func (l LambdaConfig) TokenVersion() string {
	if l.PreTokenGeneration != nil {
		return l.PreTokenGeneration.Version
	}
	return "V1_0"
}

// Function is the ARN configured for a trigger, "" when there is none.
func (l LambdaConfig) Function(trigger string) string {
	switch {
	case trigger == CustomEmailSender && l.CustomEmailSender != nil:
		return l.CustomEmailSender.ARN
	case trigger == CustomSMSSender && l.CustomSMSSender != nil:
		return l.CustomSMSSender.ARN
	case trigger == PreTokenGeneration && l.PreTokenGeneration != nil:
		return l.PreTokenGeneration.ARN
	}
	return l.Functions[trigger]
}

// SendsSMS reports whether the pool has a way for text messages: a configuration, or a function that sends them (that it needs no
// configuration then is unconfirmed).
func (s *Settings) SendsSMS() bool { return s.Sms != nil || s.Lambda.CustomSMSSender != nil }

// Templates are the messages of a pool; nil members have the defaults of package message's renderer.
type Templates struct {
	Sms, EmailMessage, EmailSubject        *string
	EmailMessageByLink, EmailSubjectByLink *string
	DefaultEmailOption                     string // CONFIRM_WITH_CODE, CONFIRM_WITH_LINK
}

// DeviceConfig is DeviceConfiguration.
type DeviceConfig struct{ ChallengeOnNew, OnlyOnPrompt *bool }

// EmailConfig is EmailConfiguration.
type EmailConfig struct {
	SourceArn, ReplyTo, From, ConfigurationSet *string
	Account                                    string // COGNITO_DEFAULT, DEVELOPER
}

// SmsConfig is SmsConfiguration.
type SmsConfig struct {
	CallerArn             string
	ExternalID, SnsRegion *string
	EndUserMessaging      *EndUserMessaging
}

// EndUserMessaging is SmsConfiguration.EumsSms.
type EndUserMessaging struct {
	CallerArn, ExternalID, OriginationIdentity, ConfigurationSet, InEntityID, InTemplateID, Region *string
}

// AdminCreateConfig is AdminCreateUserConfig; the validity of temporary passwords is in PasswordPolicy.
type AdminCreateConfig struct {
	OnlyAdmin                             bool
	InviteSms, InviteEmail, InviteSubject *string
	InviteGiven                           bool // InviteMessageTemplate was given, so it is shown
}

// EmailMFA is EmailMfaConfiguration; nil members have the defaults of package notice.
type EmailMFA struct{ Message, Subject *string }

// WebAuthn is WebAuthnConfiguration.
type WebAuthn struct{ RelyingParty, Verification, Factor *string }

// The values of WebAuthn.Factor.
const (
	SingleFactor = "SINGLE_FACTOR"
	MultiFactor  = "MULTI_FACTOR_WITH_USER_VERIFICATION"
)

// AddOns is UserPoolAddOns.
type AddOns struct {
	AdvancedSecurity string  // OFF, AUDIT, ENFORCED
	CustomAuthMode   *string // AUDIT, ENFORCED
	FlowsGiven       bool    // AdvancedSecurityAdditionalFlows was given, so it is shown
}

// RecoveryMechanism is one entry of AccountRecoverySetting.
type RecoveryMechanism struct {
	Priority int
	Name     string
}

// RegistrationConfig is DcrConfiguration. Of the lists, nil means the default and empty means nothing.
type RegistrationConfig struct {
	Enabled             bool
	Open                bool     // anybody may register
	AuthenticatedGrants []string // nil: code, client_credentials; empty refuses that mode
	OpenGrants          []string // nil: code; empty refuses that mode
	AllowedScopes       []string // beyond the OpenID Connect ones
}

// KeyConfig is KeyConfiguration.
type KeyConfig struct {
	Type string // AWS_OWNED_KEY, CUSTOMER_MANAGED_KEY
	Arn  *string
}

// ARN is the pool's resource name.
func (p *Pool) ARN() string {
	return "arn:" + Partition(p.Region) + ":cognito-idp:" + p.Region + ":" + p.Account + ":userpool/" + p.ID
}

// Partition is the AWS partition of a region.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// Group is the part of the pool id behind the underscore, which SRP hashes.
func (p *Pool) Group() string { return p.ID[strings.LastIndexByte(p.ID, '_')+1:] }

// Alias reports whether the attribute is an alias in this pool.
func (p *Pool) Alias(attribute string) bool { return slices.Contains(p.Aliases, attribute) }

// UsernameAttribute reports whether the attribute serves as user name in this pool.
func (p *Pool) UsernameAttribute(attribute string) bool {
	return slices.Contains(p.UsernameAttributes, attribute)
}

// AutoVerifies reports whether the pool sends codes to new values of the attribute.
func (p *Pool) AutoVerifies(attribute string) bool { return slices.Contains(p.AutoVerified, attribute) }

// KeepsOriginal reports whether a new value of the attribute waits for its verification.
func (p *Pool) KeepsOriginal(attribute string) bool {
	return slices.Contains(p.VerifyBeforeUpdate, attribute)
}

// Passwordless reports whether users may sign in by a one-time code, so that they need no password.
func (s *Settings) Passwordless() bool {
	return s.Allows(FactorEmailOTP) || s.Allows(FactorSmsOTP)
}

// Allows reports whether users may begin a sign-in with the factor.
func (s *Settings) Allows(factor string) bool { return slices.Contains(s.FirstFactors, factor) }
