package ops

import (
	"reflect"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

const (
	protected, unprotected          = "ACTIVE", "INACTIVE"
	registrationOn, registrationOff = "Enabled", "Disabled"
)

// poolInput translates the members that a request to create a pool shares with one to update it.
func poolInput(in *api.CreateUserPoolInput) pool.Input {
	w := pool.Input{
		Name:               &in.PoolName,
		DeletionProtection: in.DeletionProtection != nil && *in.DeletionProtection == protected,
		AutoVerified:       in.AutoVerifiedAttributes,
		LegacyTexts:        pool.LegacyTexts{Sms: in.SmsVerificationMessage, EmailMessage: in.EmailVerificationMessage, EmailSubject: in.EmailVerificationSubject},
		SmsAuthentication:  in.SmsAuthenticationMessage,
		MFA:                in.MfaConfiguration,
		Tags:               in.UserPoolTags,
		Tier:               in.UserPoolTier,
	}
	if in.Policies != nil {
		if p := in.Policies.PasswordPolicy; p != nil {
			w.Password = &pool.PasswordInput{MinimumLength: p.MinimumLength, Upper: p.RequireUppercase, Lower: p.RequireLowercase,
				Numbers: p.RequireNumbers, Symbols: p.RequireSymbols, History: p.PasswordHistorySize, TemporaryDays: p.TemporaryPasswordValidityDays}
		}
		if p := in.Policies.SignInPolicy; p != nil {
			w.FirstFactors = append([]string{}, p.AllowedFirstAuthFactors...)
		}
	}
	if l := in.LambdaConfig; l != nil {
		w.Lambda = lambdaInput(l)
	}
	if t := in.VerificationMessageTemplate; t != nil {
		w.Templates = pool.Templates{Sms: t.SmsMessage, EmailMessage: t.EmailMessage, EmailSubject: t.EmailSubject,
			EmailMessageByLink: t.EmailMessageByLink, EmailSubjectByLink: t.EmailSubjectByLink, DefaultEmailOption: text(t.DefaultEmailOption)}
	}
	if u := in.UserAttributeUpdateSettings; u != nil {
		w.VerifyBeforeUpdate = u.AttributesRequireVerificationBeforeUpdate
	}
	if d := in.DeviceConfiguration; d != nil {
		w.Device = &pool.DeviceConfig{ChallengeOnNew: d.ChallengeRequiredOnNewDevice, OnlyOnPrompt: d.DeviceOnlyRememberedOnUserPrompt}
	}
	if e := in.EmailConfiguration; e != nil {
		w.Email = pool.EmailConfig{SourceArn: e.SourceArn, ReplyTo: e.ReplyToEmailAddress, From: e.From, ConfigurationSet: e.ConfigurationSet,
			Account: text(e.EmailSendingAccount)}
	}
	if s := in.SmsConfiguration; s != nil {
		w.Sms = smsInput(s)
	}
	if a := in.AdminCreateUserConfig; a != nil {
		w.AdminCreate.OnlyAdmin, w.UnusedAccountDays = is(a.AllowAdminCreateUserOnly), a.UnusedAccountValidityDays
		if m := a.InviteMessageTemplate; m != nil {
			w.AdminCreate.InviteGiven = true
			w.AdminCreate.InviteSms, w.AdminCreate.InviteEmail, w.AdminCreate.InviteSubject = m.SMSMessage, m.EmailMessage, m.EmailSubject
		}
	}
	if a := in.UserPoolAddOns; a != nil {
		w.AddOns = &pool.AddOns{AdvancedSecurity: a.AdvancedSecurityMode}
		if f := a.AdvancedSecurityAdditionalFlows; f != nil {
			w.AddOns.FlowsGiven, w.AddOns.CustomAuthMode = true, f.CustomAuthMode
		}
	}
	if r := in.AccountRecoverySetting; r != nil {
		for _, m := range r.RecoveryMechanisms {
			w.Recovery = append(w.Recovery, pool.RecoveryMechanism{Priority: m.Priority, Name: m.Name})
		}
	}
	if d := in.DcrConfiguration; d != nil {
		w.Registration = &pool.RegistrationConfig{Enabled: d.EnableStatus == nil || *d.EnableStatus == registrationOn, Open: is(d.OpenDcrEnabled),
			AuthenticatedGrants: d.AuthenticatedGrantTypes, OpenGrants: d.OpenDcrGrantTypes, AllowedScopes: d.AllowedScopes}
	}
	if k := in.KeyConfiguration; k != nil {
		w.Key = &pool.KeyConfig{Type: text(k.KeyType), Arn: k.KmsKeyArn}
	}
	if i := in.IssuerConfiguration; i != nil {
		w.Issuer = i.Type
	}
	if in.AcrConfiguration != nil {
		w.Acr = make(map[string]string, len(in.AcrConfiguration))
		for level, name := range in.AcrConfiguration {
			w.Acr[level] = name.AcrValue
		}
	}
	return w
}

// poolFixed translates the members that only a request to create a pool has.
func poolFixed(in *api.CreateUserPoolInput) pool.Fixed {
	f := pool.Fixed{Aliases: in.AliasAttributes, UsernameAttributes: in.UsernameAttributes, Schema: declarations(in.Schema)}
	if u := in.UsernameConfiguration; u != nil {
		f.CaseSensitive = &u.CaseSensitive
	}
	return f
}

// poolUpdate translates a request to update a pool.
func poolUpdate(in *api.UpdateUserPoolInput) pool.Input {
	w := poolInput(&api.CreateUserPoolInput{
		Policies:                    in.Policies,
		DeletionProtection:          in.DeletionProtection,
		LambdaConfig:                in.LambdaConfig,
		AutoVerifiedAttributes:      in.AutoVerifiedAttributes,
		SmsVerificationMessage:      in.SmsVerificationMessage,
		EmailVerificationMessage:    in.EmailVerificationMessage,
		EmailVerificationSubject:    in.EmailVerificationSubject,
		VerificationMessageTemplate: in.VerificationMessageTemplate,
		SmsAuthenticationMessage:    in.SmsAuthenticationMessage,
		UserAttributeUpdateSettings: in.UserAttributeUpdateSettings,
		MfaConfiguration:            in.MfaConfiguration,
		DeviceConfiguration:         in.DeviceConfiguration,
		EmailConfiguration:          in.EmailConfiguration,
		SmsConfiguration:            in.SmsConfiguration,
		UserPoolTags:                in.UserPoolTags,
		AdminCreateUserConfig:       in.AdminCreateUserConfig,
		UserPoolAddOns:              in.UserPoolAddOns,
		AccountRecoverySetting:      in.AccountRecoverySetting,
		UserPoolTier:                in.UserPoolTier,
		DcrConfiguration:            in.DcrConfiguration,
		KeyConfiguration:            in.KeyConfiguration,
		IssuerConfiguration:         in.IssuerConfiguration,
		AcrConfiguration:            in.AcrConfiguration,
	})
	w.Name = in.PoolName
	return w
}

// triggers are the members of a LambdaConfig that hold nothing but an ARN.
func triggers(l *api.LambdaConfigType) map[string]**string {
	return map[string]**string{
		"PreSignUp": &l.PreSignUp, "CustomMessage": &l.CustomMessage, "PostConfirmation": &l.PostConfirmation,
		"PreAuthentication": &l.PreAuthentication, "PostAuthentication": &l.PostAuthentication,
		"DefineAuthChallenge": &l.DefineAuthChallenge, "CreateAuthChallenge": &l.CreateAuthChallenge,
		"VerifyAuthChallengeResponse": &l.VerifyAuthChallengeResponse, "PreTokenGeneration": &l.PreTokenGeneration,
		"UserMigration": &l.UserMigration,
	}
}

func lambdaInput(l *api.LambdaConfigType) pool.LambdaConfig {
	w := pool.LambdaConfig{KMSKeyID: l.KMSKeyID}
	for name, arn := range triggers(l) {
		if *arn == nil {
			continue
		}
		if w.Functions == nil {
			w.Functions = make(map[string]string)
		}
		w.Functions[name] = **arn
	}
	if f := l.PreTokenGenerationConfig; f != nil {
		w.PreTokenGeneration = &pool.VersionedFunction{Version: f.LambdaVersion, ARN: f.LambdaArn}
	}
	if f := l.CustomSMSSender; f != nil {
		w.CustomSMSSender = &pool.VersionedFunction{Version: f.LambdaVersion, ARN: f.LambdaArn}
	}
	if f := l.CustomEmailSender; f != nil {
		w.CustomEmailSender = &pool.VersionedFunction{Version: f.LambdaVersion, ARN: f.LambdaArn}
	}
	if f := l.InboundFederation; f != nil {
		w.InboundFederation = &pool.VersionedFunction{Version: f.LambdaVersion, ARN: f.LambdaArn}
	}
	return w
}

func lambdaType(l *pool.LambdaConfig) *api.LambdaConfigType {
	out := &api.LambdaConfigType{KMSKeyID: l.KMSKeyID}
	for name, member := range triggers(out) {
		if arn := l.Function(name); arn != "" {
			*member = &arn
		}
	}
	if f := l.PreTokenGeneration; f != nil {
		out.PreTokenGenerationConfig = &api.PreTokenGenerationVersionConfigType{LambdaVersion: f.Version, LambdaArn: f.ARN}
	}
	if f := l.CustomSMSSender; f != nil {
		out.CustomSMSSender = &api.CustomSMSLambdaVersionConfigType{LambdaVersion: f.Version, LambdaArn: f.ARN}
	}
	if f := l.CustomEmailSender; f != nil {
		out.CustomEmailSender = &api.CustomEmailLambdaVersionConfigType{LambdaVersion: f.Version, LambdaArn: f.ARN}
	}
	if f := l.InboundFederation; f != nil {
		out.InboundFederation = &api.InboundFederationLambdaType{LambdaVersion: f.Version, LambdaArn: f.ARN}
	}
	return out
}

func smsInput(s *api.SmsConfigurationType) *pool.SmsConfig {
	w := &pool.SmsConfig{CallerArn: s.SnsCallerArn, ExternalID: s.ExternalId, SnsRegion: s.SnsRegion}
	if e := s.EumsSms; e != nil {
		w.EndUserMessaging = &pool.EndUserMessaging{CallerArn: &e.CallerArn, ExternalID: e.ExternalId, OriginationIdentity: e.OriginationIdentity,
			ConfigurationSet: e.ConfigurationSetName, InEntityID: e.InEntityId, InTemplateID: e.InTemplateId, Region: e.Region}
	}
	return w
}

func smsType(s *pool.SmsConfig) *api.SmsConfigurationType {
	if s == nil {
		return nil
	}
	out := &api.SmsConfigurationType{SnsCallerArn: s.CallerArn, ExternalId: s.ExternalID, SnsRegion: s.SnsRegion}
	if e := s.EndUserMessaging; e != nil {
		out.EumsSms = &api.EumsSmsConfigurationType{CallerArn: text(e.CallerArn), ExternalId: e.ExternalID, OriginationIdentity: e.OriginationIdentity,
			ConfigurationSetName: e.ConfigurationSet, InEntityId: e.InEntityID, InTemplateId: e.InTemplateID, Region: e.Region}
	}
	return out
}

// declarations translates the schema entries of a request.
func declarations(list []api.SchemaAttributeType) []pool.Declaration {
	var ds []pool.Declaration
	for _, a := range list {
		d := pool.Declaration{Name: a.Name, Type: a.AttributeDataType, Mutable: a.Mutable, Required: a.Required, DeveloperOnly: a.DeveloperOnlyAttribute}
		if b := a.StringAttributeConstraints; b != nil {
			d.String = &pool.Bounds{Min: b.MinLength, Max: b.MaxLength}
		}
		if b := a.NumberAttributeConstraints; b != nil {
			d.Number = &pool.Bounds{Min: b.MinValue, Max: b.MaxValue}
		}
		ds = append(ds, d)
	}
	return ds
}

// schemaTypes shows a whole schema.
func schemaTypes(list []pool.Attribute) []api.SchemaAttributeType {
	out := make([]api.SchemaAttributeType, len(list))
	for i, a := range list {
		out[i] = api.SchemaAttributeType{Name: &a.Name, AttributeDataType: new(string(a.Type)), DeveloperOnlyAttribute: &a.DeveloperOnly,
			Mutable: &a.Mutable, Required: &a.Required}
		switch {
		case !a.Given:
		case a.Type == pool.String:
			out[i].StringAttributeConstraints = &api.StringAttributeConstraintsType{MinLength: a.Min, MaxLength: a.Max}
		case a.Type == pool.Number:
			out[i].NumberAttributeConstraints = &api.NumberAttributeConstraintsType{MinValue: a.Min, MaxValue: a.Max}
		}
	}
	return out
}

// poolType shows a pool with its number of users. What was not configured is absent but for the members that always have
// a value (observed for the smallest pool).
func poolType(p *pool.Pool, users int) *api.UserPoolType {
	pw, t := &p.Password, &p.Templates
	out := &api.UserPoolType{
		Id:   &p.ID,
		Name: &p.Name,
		Policies: &api.UserPoolPolicyType{
			PasswordPolicy: &api.PasswordPolicyType{MinimumLength: &pw.MinimumLength, RequireUppercase: &pw.Upper, RequireLowercase: &pw.Lower,
				RequireNumbers: &pw.Numbers, RequireSymbols: &pw.Symbols, TemporaryPasswordValidityDays: &pw.TemporaryDays},
			SignInPolicy: &api.SignInPolicyType{AllowedFirstAuthFactors: p.FirstFactors},
		},
		DeletionProtection:       new(word(p.DeletionProtection, protected, unprotected)),
		LambdaConfig:             lambdaType(&p.Lambda),
		LastModifiedDate:         instant(p.Modified),
		CreationDate:             instant(p.Created),
		SchemaAttributes:         schemaTypes(p.Schema()),
		AutoVerifiedAttributes:   p.AutoVerified,
		AliasAttributes:          p.Aliases,
		UsernameAttributes:       p.UsernameAttributes,
		SmsVerificationMessage:   t.Sms,
		EmailVerificationMessage: t.EmailMessage,
		EmailVerificationSubject: t.EmailSubject,
		VerificationMessageTemplate: &api.VerificationMessageTemplateType{SmsMessage: t.Sms, EmailMessage: t.EmailMessage, EmailSubject: t.EmailSubject,
			EmailMessageByLink: t.EmailMessageByLink, EmailSubjectByLink: t.EmailSubjectByLink, DefaultEmailOption: &t.DefaultEmailOption},
		SmsAuthenticationMessage:    p.SmsAuthentication,
		UserAttributeUpdateSettings: &api.UserAttributeUpdateSettingsType{AttributesRequireVerificationBeforeUpdate: append([]string{}, p.VerifyBeforeUpdate...)},
		MfaConfiguration:            &p.MFA,
		EstimatedNumberOfUsers:      &users,
		EmailConfiguration: &api.EmailConfigurationType{SourceArn: p.Email.SourceArn, ReplyToEmailAddress: p.Email.ReplyTo,
			EmailSendingAccount: &p.Email.Account, From: p.Email.From, ConfigurationSet: p.Email.ConfigurationSet},
		SmsConfiguration:      smsType(p.Sms),
		UserPoolTags:          present(p.Tags),
		AdminCreateUserConfig: &api.AdminCreateUserConfigType{AllowAdminCreateUserOnly: &p.AdminCreate.OnlyAdmin, UnusedAccountValidityDays: &pw.TemporaryDays},
		Arn:                   new(p.ARN()),
		UserPoolTier:          &p.Tier,
	}
	if pw.HistoryGiven {
		out.Policies.PasswordPolicy.PasswordHistorySize = &pw.History
	}
	if d := p.Device; d != nil {
		out.DeviceConfiguration = &api.DeviceConfigurationType{ChallengeRequiredOnNewDevice: d.ChallengeOnNew, DeviceOnlyRememberedOnUserPrompt: d.OnlyOnPrompt}
	}
	if a := &p.AdminCreate; a.InviteGiven {
		out.AdminCreateUserConfig.InviteMessageTemplate = &api.MessageTemplateType{SMSMessage: a.InviteSms, EmailMessage: a.InviteEmail, EmailSubject: a.InviteSubject}
	}
	if a := p.AddOns; a != nil {
		out.UserPoolAddOns = &api.UserPoolAddOnsType{AdvancedSecurityMode: a.AdvancedSecurity}
		if a.FlowsGiven {
			out.UserPoolAddOns.AdvancedSecurityAdditionalFlows = &api.AdvancedSecurityAdditionalFlowsType{CustomAuthMode: a.CustomAuthMode}
		}
	}
	if p.CaseGiven {
		out.UsernameConfiguration = &api.UsernameConfigurationType{CaseSensitive: p.CaseSensitive}
	}
	newerMembers(p, out)
	return out
}

// newerMembers shows the members that pools got last.
func newerMembers(p *pool.Pool, out *api.UserPoolType) {
	if len(p.Recovery) > 0 {
		out.AccountRecoverySetting = &api.AccountRecoverySettingType{}
		for _, m := range p.Recovery {
			out.AccountRecoverySetting.RecoveryMechanisms = append(out.AccountRecoverySetting.RecoveryMechanisms,
				api.RecoveryOptionType{Priority: m.Priority, Name: m.Name})
		}
	}
	if d := p.Registration; d != nil {
		out.DcrConfiguration = &api.DcrConfigurationType{EnableStatus: new(word(d.Enabled, registrationOn, registrationOff)), OpenDcrEnabled: &d.Open,
			AuthenticatedGrantTypes: d.AuthenticatedGrants, OpenDcrGrantTypes: d.OpenGrants, AllowedScopes: d.AllowedScopes}
	}
	if k := p.Key; k != nil {
		out.KeyConfiguration = &api.KeyConfigurationType{KeyType: &k.Type, KmsKeyArn: k.Arn}
	}
	if p.Issuer != nil {
		out.IssuerConfiguration = &api.IssuerConfigurationType{Type: p.Issuer}
	}
	if len(p.Acr) > 0 {
		out.AcrConfiguration = make(map[string]api.AcrLevelConfigType)
		for level, name := range p.AcrNames() {
			out.AcrConfiguration[level] = api.AcrLevelConfigType{AcrValue: name}
		}
	}
}

// poolDescription shows a pool in a list.
func poolDescription(p *pool.Pool) api.UserPoolDescriptionType {
	return api.UserPoolDescriptionType{Id: &p.ID, Name: &p.Name, LambdaConfig: lambdaType(&p.Lambda),
		LastModifiedDate: instant(p.Modified), CreationDate: instant(p.Created)}
}

// given are the names of the optional members that a request has, in the order of the model: what the journal says about
// a change of settings.
func given(c *dispatch.Call, in any) []string {
	v := reflect.ValueOf(in).Elem()
	var names []string
	for i := range c.Spec.In.Members {
		switch f := v.Field(i); f.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			if !f.IsNil() {
				names = append(names, c.Spec.In.Members[i].Name)
			}
		}
	}
	return names
}

// checkNulls refuses U+0000 anywhere in a request: not every database can keep it. The fault names the member.
func checkNulls(c *dispatch.Call, in any) error {
	v := reflect.ValueOf(in).Elem()
	for i, m := range c.Spec.In.Members {
		if hasNull(v.Field(i)) {
			return fault.NullCharacter(m.Name)
		}
	}
	return nil
}

// hasNull reports whether a text in the value, however deep, holds U+0000.
func hasNull(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return strings.ContainsRune(v.String(), 0)
	case reflect.Pointer:
		return !v.IsNil() && hasNull(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if hasNull(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if hasNull(it.Key()) || hasNull(it.Value()) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if hasNull(v.Field(i)) {
				return true
			}
		}
	}
	return false
}

// present is the map, empty where there is none.
func present(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func instant(t time.Time) api.Time { return api.Time(t.UnixMilli()) }

func is(b *bool) bool { return b != nil && *b }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// word is one of two words.
func word(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
