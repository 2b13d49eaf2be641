package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/ops"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// settled is what a request did: its answer and the line of the journal, "" when it changed nothing.
type settled struct{ answer, journal string }

// place is a region of its own in a world, so that lists and counts of pools are complete.
type place struct {
	*world
	region string
}

func (w *world) ownRegion() place { return place{w, "test-" + chance.System().ClientID()[:8]} }

// do sends a request to the region and checks that no message left and no function ran.
func (l place) do(operation, body string) settled {
	l.Helper()
	id := chance.System().RequestID()
	reply := l.pipeline.Serve(l.Context(), &dispatch.Request{ID: id, Operation: operation, Region: l.region, Source: "127.0.0.1",
		Inbound: inbound{strings.ReplaceAll(body, "$pool", l.pool.ID)}})
	s := settled{answer: l.text(reply)}
	l.view(func(v store.View) error {
		e, err := v.Journal().Get(id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		want.Equal(l.T, []string{e.Caller, e.Source, e.Sub, e.Time.Format(time.RFC3339Nano)}, []string{"AKIATEST", "127.0.0.1", "", l.clock.Now().Format(time.RFC3339Nano)})
		s.journal = strings.Join(append([]string{e.Operation}, e.Names...), " ")
		return nil
	})
	want.Equal(l.T, len(l.sent())+len(l.ran())+l.due(), 0)
	return s
}

// ok sends a request that must succeed and returns its answer.
func (l place) ok(operation, body string) string {
	l.Helper()
	s := l.do(operation, body)
	want.True(l.T, s.answer == "" || s.answer[0] == '{', "%s succeeds: %s", operation, s.answer)
	return s.answer
}

// refused sends a request that must be refused with the text and change nothing.
func (l place) refused(operation, body, text string) {
	l.Helper()
	want.Equal(l.T, l.do(operation, body), settled{answer: text}, unexported)
}

// create makes a pool and returns its id.
func (l place) create(members string) string {
	l.Helper()
	if members != "" {
		members = "," + members
	}
	return idOf(l.T, l.ok("CreateUserPool", `{"PoolName":"p"`+members+`}`))
}

func idOf(t *testing.T, answer string) string {
	t.Helper()
	m := regexp.MustCompile(`"Id":"([^"]+)"`).FindStringSubmatch(answer)
	want.True(t, m != nil, "an id is in %s", answer)
	return m[1]
}

// schemaPart is the schema in a description of a pool.
var schemaPart = regexp.MustCompile(`"SchemaAttributes":\[.*?\],"`)

// shape is an answer with placeholders for what varies and for the schema.
func shape(answer, id string) string {
	return schemaPart.ReplaceAllString(strings.ReplaceAll(answer, id, "<pool>"), `"SchemaAttributes":<schema>,"`)
}

const smallest = `{"UserPool":{"Id":"<pool>","Name":"p","Policies":{"PasswordPolicy":{"MinimumLength":8,"RequireUppercase":true,"RequireLowercase":true,` +
	`"RequireNumbers":true,"RequireSymbols":true,"TemporaryPasswordValidityDays":7},"SignInPolicy":{"AllowedFirstAuthFactors":["PASSWORD"]}},` +
	`"DeletionProtection":"INACTIVE","LambdaConfig":{},"LastModifiedDate":1767323045.678,"CreationDate":1767323045.678,"SchemaAttributes":<schema>,` +
	`"VerificationMessageTemplate":{"DefaultEmailOption":"CONFIRM_WITH_CODE"},"UserAttributeUpdateSettings":{"AttributesRequireVerificationBeforeUpdate":[]},` +
	`"MfaConfiguration":"OFF","EstimatedNumberOfUsers":0,"EmailConfiguration":{"EmailSendingAccount":"COGNITO_DEFAULT"},"UserPoolTags":{},` +
	`"AdminCreateUserConfig":{"AllowAdminCreateUserOnly":false,"UnusedAccountValidityDays":7},"Arn":"arn:aws:cognito-idp:<region>:123456789012:userpool/<pool>",` +
	`"UserPoolTier":"ESSENTIALS"}}`

func TestSmallestPool(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		s := l.do("CreateUserPool", `{"PoolName":"p"}`)
		id := idOf(w.T, s.answer)
		want.True(w.T, regexp.MustCompile(`^`+l.region+`_[0-9A-Za-z]{9}$`).MatchString(id), "%s is a pool id", id)
		wanted := strings.ReplaceAll(smallest, "<region>", l.region)
		want.Equal(w.T, settled{shape(s.answer, id), s.journal}, settled{wanted, "CreateUserPool"}, unexported)
		want.Equal(w.T, l.ok("DescribeUserPool", `{"UserPoolId":"`+id+`"}`), s.answer)
	})
}

// schema are the entries of a pool's schema in short.
func schema(t *testing.T, answer string) []string {
	t.Helper()
	var out struct {
		UserPool struct {
			SchemaAttributes []struct {
				Name, AttributeDataType                   string
				DeveloperOnlyAttribute, Mutable, Required *bool
				NumberAttributeConstraints                *struct{ MinValue, MaxValue *string }
				StringAttributeConstraints                *struct{ MinLength, MaxLength *string }
			}
		}
	}
	want.NoError(t, json.Unmarshal([]byte(answer), &out))
	show := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	var lines []string
	for _, a := range out.UserPool.SchemaAttributes {
		line := fmt.Sprintf("%s %s dev=%v mutable=%v required=%v", a.Name, a.AttributeDataType, *a.DeveloperOnlyAttribute, *a.Mutable, *a.Required)
		if c := a.NumberAttributeConstraints; c != nil {
			line += " number " + show(c.MinValue) + ".." + show(c.MaxValue)
		}
		if c := a.StringAttributeConstraints; c != nil {
			line += " string " + show(c.MinLength) + ".." + show(c.MaxLength)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestSchemaOfANewPool(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		answer := l.ok("CreateUserPool", `{"PoolName":"p","Schema":[
			{"Name":"email","AttributeDataType":"String","Required":true,"Mutable":false,"StringAttributeConstraints":{"MaxLength":"99"}},
			{"Name":"plain","AttributeDataType":"String"},
			{"Name":"short","AttributeDataType":"String","StringAttributeConstraints":{"MinLength":"1","MaxLength":"007"}},
			{"Name":"n","AttributeDataType":"Number"},
			{"Name":"m","AttributeDataType":"Number","NumberAttributeConstraints":{"MinValue":"0"}},
			{"Name":"b","AttributeDataType":"Boolean","Mutable":false},
			{"Name":"d","AttributeDataType":"DateTime","DeveloperOnlyAttribute":true},
			{"Name":"email_verified","AttributeDataType":"Boolean"}]}`)
		text := func(name string) string { return name + " String dev=false mutable=true required=false string 0..2048" }
		want.Equal(w.T, schema(w.T, answer), []string{
			"sub String dev=false mutable=false required=true string 1..2048",
			text("name"), text("given_name"), text("family_name"), text("middle_name"), text("nickname"), text("preferred_username"), text("profile"), text("picture"), text("website"),
			"email String dev=false mutable=false required=true string -..99",
			"email_verified Boolean dev=false mutable=true required=false",
			text("gender"),
			"birthdate String dev=false mutable=true required=false string 10..10",
			text("zoneinfo"), text("locale"), text("phone_number"),
			"phone_number_verified Boolean dev=false mutable=true required=false",
			text("address"),
			"updated_at Number dev=false mutable=true required=false number 0..-",
			"custom:plain String dev=false mutable=true required=false string -..-",
			"custom:short String dev=false mutable=true required=false string 1..007",
			"custom:n Number dev=false mutable=true required=false",
			"custom:m Number dev=false mutable=true required=false number 0..-",
			"custom:b Boolean dev=false mutable=false required=false",
			"dev:custom:d DateTime dev=true mutable=true required=false",
			"custom:email_verified Boolean dev=false mutable=true required=false",
		})
		want.Contains(w.T, answer, `{"Name":"custom:plain","AttributeDataType":"String","DeveloperOnlyAttribute":false,"Mutable":true,"Required":false,"StringAttributeConstraints":{}}`)
		want.Equal(w.T, l.ok("DescribeUserPool", `{"UserPoolId":"`+idOf(w.T, answer)+`"}`), answer)
	})
}

// changeable are members that creation and update share, each with a value that is not the default; the answer repeats them.
const changeable = `"Policies":{"PasswordPolicy":{"MinimumLength":12,"RequireUppercase":false,"RequireLowercase":true,"RequireNumbers":false,"RequireSymbols":false,` +
	`"PasswordHistorySize":3,"TemporaryPasswordValidityDays":9},"SignInPolicy":{"AllowedFirstAuthFactors":["PASSWORD","WEB_AUTHN"]}},` +
	`"DeletionProtection":"ACTIVE",` +
	`"LambdaConfig":{"PreSignUp":"arn:aws:lambda:us-east-1:123456789012:function:a","CustomMessage":"arn:aws:lambda:us-east-1:123456789012:function:b",` +
	`"PostConfirmation":"arn:aws:lambda:us-east-1:123456789012:function:c","PreAuthentication":"arn:aws:lambda:us-east-1:123456789012:function:d",` +
	`"PostAuthentication":"arn:aws:lambda:us-east-1:123456789012:function:e","DefineAuthChallenge":"arn:aws:lambda:us-east-1:123456789012:function:f",` +
	`"CreateAuthChallenge":"arn:aws:lambda:us-east-1:123456789012:function:g","VerifyAuthChallengeResponse":"arn:aws:lambda:us-east-1:123456789012:function:h",` +
	`"PreTokenGeneration":"arn:aws:lambda:us-east-1:123456789012:function:i","UserMigration":"arn:aws:lambda:us-east-1:123456789012:function:j",` +
	`"PreTokenGenerationConfig":{"LambdaVersion":"V2_0","LambdaArn":"arn:aws:lambda:us-east-1:123456789012:function:i"},` +
	`"CustomSMSSender":{"LambdaVersion":"V1_0","LambdaArn":"arn:aws:lambda:us-east-1:123456789012:function:l"},` +
	`"CustomEmailSender":{"LambdaVersion":"V1_0","LambdaArn":"arn:aws:lambda:us-east-1:123456789012:function:m"},` +
	`"KMSKeyID":"arn:aws:kms:us-east-1:123456789012:key/k","InboundFederation":{"LambdaVersion":"V1_0","LambdaArn":"arn:aws:lambda:us-east-1:123456789012:function:k"}},` +
	`<dates>"AutoVerifiedAttributes":["email","phone_number"],<fixed>` +
	`<legacy>"VerificationMessageTemplate":{"SmsMessage":"sms {####}","EmailMessage":"mail {####}","EmailSubject":"subject","EmailSubjectByLink":"link","DefaultEmailOption":"CONFIRM_WITH_LINK"},` +
	`"SmsAuthenticationMessage":"auth {####}",` +
	`"UserAttributeUpdateSettings":{"AttributesRequireVerificationBeforeUpdate":["email"]},` +
	`"MfaConfiguration":"OPTIONAL",` +
	`"DeviceConfiguration":{"ChallengeRequiredOnNewDevice":true,"DeviceOnlyRememberedOnUserPrompt":false},<count>` +
	`"EmailConfiguration":{"SourceArn":"arn:aws:ses:us-east-1:123456789012:identity/a@example.com","ReplyToEmailAddress":"r@example.com","EmailSendingAccount":"DEVELOPER",` +
	`"From":"A <a@example.com>","ConfigurationSet":"set"},` +
	`"SmsConfiguration":{"SnsCallerArn":"arn:aws:iam::123456789012:role/sms","ExternalId":"x","SnsRegion":"<region>","EumsSms":{"CallerArn":"arn:aws:iam::123456789012:role/eums",` +
	`"ExternalId":"y","OriginationIdentity":"+15550100","ConfigurationSetName":"c","InEntityId":"e","InTemplateId":"t","Region":"<region>"}},` +
	`"UserPoolTags":{"a":"1","b":""},` +
	`"AdminCreateUserConfig":{"AllowAdminCreateUserOnly":true<days>,"InviteMessageTemplate":{"SMSMessage":"{username} {####}","EmailMessage":"{username} {####}","EmailSubject":"hi"}},` +
	`"UserPoolAddOns":{"AdvancedSecurityMode":"AUDIT","AdvancedSecurityAdditionalFlows":{"CustomAuthMode":"ENFORCED"}},<case><arn>` +
	`"AccountRecoverySetting":{"RecoveryMechanisms":[{"Priority":2,"Name":"verified_phone_number"},{"Priority":1,"Name":"verified_email"}]},` +
	`"UserPoolTier":"PLUS",` +
	`"DcrConfiguration":{"EnableStatus":"Enabled","OpenDcrEnabled":true,"AuthenticatedGrantTypes":["code"],"OpenDcrGrantTypes":[],"AllowedScopes":["s/x"]},` +
	`"KeyConfiguration":{"KeyType":"CUSTOMER_MANAGED_KEY","KmsKeyArn":"arn:aws:kms:us-east-1:123456789012:key/k"},` +
	`"IssuerConfiguration":{"Type":"UPDATED"},` +
	`"AcrConfiguration":{<acr>}`

// changeableIn is the request's form of changeable, changeableOut the answer's.
func changeableIn(region, fixed string) string {
	return strings.NewReplacer("<dates>", "", "<fixed>", fixed, "<legacy>", "", "<count>", "", "<days>", "", "<case>", "", "<arn>", "", "<region>", region,
		"<acr>", `"Level1":{"AcrValue":"urn:x:1"}`).Replace(changeable)
}

func changeableOut(region, dates, fixed, caseSensitive string) string {
	return strings.NewReplacer("<dates>", dates, "<fixed>", fixed,
		"<legacy>", `"SmsVerificationMessage":"sms {####}","EmailVerificationMessage":"mail {####}","EmailVerificationSubject":"subject",`,
		"<count>", `"EstimatedNumberOfUsers":0,`, "<days>", `,"UnusedAccountValidityDays":9`, "<case>", caseSensitive, "<region>", region,
		"<acr>", `"Level1":{"AcrValue":"urn:x:1"},"Level2":{"AcrValue":"urn:cognito:loa:2"},"Level3":{"AcrValue":"urn:cognito:loa:3"},"Level4":{"AcrValue":"urn:cognito:loa:4"}`).Replace(changeable)
}

// The names of most of these, as the journal has them.
const (
	members     = "Policies DeletionProtection LambdaConfig AutoVerifiedAttributes"
	moreMembers = "DeviceConfiguration EmailConfiguration SmsConfiguration UserPoolTags AdminCreateUserConfig"
)

// sameMembers compares two answers as JSON: the order of the members is that of the model, held elsewhere.
func sameMembers(t *testing.T, got, wanted string) {
	t.Helper()
	var a, b any
	want.NoError(t, json.Unmarshal([]byte(got), &a))
	want.NoError(t, json.Unmarshal([]byte(wanted), &b))
	want.Equal(t, a, b)
}

func TestEveryMemberOfAPool(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		in := changeableIn(l.region, `"AliasAttributes":["preferred_username","email"],`)
		s := l.do("CreateUserPool", `{"PoolName":"p",`+in+`,"UsernameConfiguration":{"CaseSensitive":false}}`)
		want.Equal(w.T, s.journal, "CreateUserPool "+members+" AliasAttributes VerificationMessageTemplate SmsAuthenticationMessage MfaConfiguration UserAttributeUpdateSettings "+
			moreMembers+" UserPoolAddOns UsernameConfiguration AccountRecoverySetting UserPoolTier DcrConfiguration "+
			"KeyConfiguration IssuerConfiguration AcrConfiguration")
		id := idOf(w.T, s.answer)
		arn := `"Arn":"arn:aws:cognito-idp:` + l.region + `:123456789012:userpool/` + id + `",`
		wanted := strings.Replace(`{"UserPool":{"Id":"`+id+`","Name":"p",`+changeableOut(l.region, `"LastModifiedDate":1767323045.678,"CreationDate":1767323045.678,"SchemaAttributes":[],`,
			`"AliasAttributes":["preferred_username","email"],`, `"UsernameConfiguration":{"CaseSensitive":false},`)+`}}`, "<arn>", arn, 1)
		sameMembers(w.T, schemaPart.ReplaceAllString(s.answer, `"SchemaAttributes":[],"`), wanted)
		want.Equal(w.T, l.ok("DescribeUserPool", `{"UserPoolId":"`+id+`"}`), s.answer)
	})
}

func TestEveryMemberOfAnUpdate(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		id := l.create(`"UsernameAttributes":["email"]`)
		w.clock.Advance(90 * time.Second)
		s := l.do("UpdateUserPool", `{"UserPoolId":"`+id+`","PoolName":"q",`+changeableIn(l.region, "")+`}`)
		want.Equal(w.T, s, settled{"{}", "UpdateUserPool " + members + " VerificationMessageTemplate SmsAuthenticationMessage UserAttributeUpdateSettings MfaConfiguration " + moreMembers + " UserPoolAddOns AccountRecoverySetting PoolName UserPoolTier DcrConfiguration KeyConfiguration " +
			"IssuerConfiguration AcrConfiguration"}, unexported)
		arn := `"Arn":"arn:aws:cognito-idp:` + l.region + `:123456789012:userpool/` + id + `",`
		wanted := strings.Replace(`{"UserPool":{"Id":"`+id+`","Name":"q",`+changeableOut(l.region, `"LastModifiedDate":1767323135.678,"CreationDate":1767323045.678,"SchemaAttributes":[],`,
			`"UsernameAttributes":["email"],`, "")+`}}`, "<arn>", arn, 1)
		describe := func() string {
			return schemaPart.ReplaceAllString(l.ok("DescribeUserPool", `{"UserPoolId":"`+id+`"}`), `"SchemaAttributes":[],"`)
		}
		sameMembers(w.T, describe(), wanted)

		// What an update leaves out is kept or reset.
		l.refused("UpdateUserPool", `{"UserPoolId":"`+id+`"}`, invalid("Can't turn off SMS_MFA when SMS configuration is set for the user pool"))
		want.Equal(w.T, l.do("UpdateUserPool", `{"UserPoolId":"`+id+`","MfaConfiguration":"OFF"}`), settled{"{}", "UpdateUserPool MfaConfiguration"}, unexported)
		sameMembers(w.T, describe(), `{"UserPool":{"Id":"`+id+`","Name":"q",
			"Policies":{"PasswordPolicy":{"MinimumLength":12,"RequireUppercase":false,"RequireLowercase":true,"RequireNumbers":false,"RequireSymbols":false,"PasswordHistorySize":3,
				"TemporaryPasswordValidityDays":9},"SignInPolicy":{"AllowedFirstAuthFactors":["PASSWORD","WEB_AUTHN"]}},
			"DeletionProtection":"INACTIVE","LambdaConfig":{},"LastModifiedDate":1767323135.678,"CreationDate":1767323045.678,"SchemaAttributes":[],"UsernameAttributes":["email"],
			"VerificationMessageTemplate":{"DefaultEmailOption":"CONFIRM_WITH_CODE"},"UserAttributeUpdateSettings":{"AttributesRequireVerificationBeforeUpdate":[]},
			"MfaConfiguration":"OFF","EstimatedNumberOfUsers":0,"EmailConfiguration":{"EmailSendingAccount":"COGNITO_DEFAULT"},"UserPoolTags":{},
			"AdminCreateUserConfig":{"AllowAdminCreateUserOnly":false,"UnusedAccountValidityDays":9},`+arn+`"UserPoolTier":"PLUS",
			"DcrConfiguration":{"EnableStatus":"Enabled","OpenDcrEnabled":true,"AuthenticatedGrantTypes":["code"],"OpenDcrGrantTypes":[],"AllowedScopes":["s/x"]},
			"KeyConfiguration":{"KeyType":"CUSTOMER_MANAGED_KEY","KmsKeyArn":"arn:aws:kms:us-east-1:123456789012:key/k"},"IssuerConfiguration":{"Type":"UPDATED"},
			"AcrConfiguration":{"Level1":{"AcrValue":"urn:x:1"},"Level2":{"AcrValue":"urn:cognito:loa:2"},"Level3":{"AcrValue":"urn:cognito:loa:3"},"Level4":{"AcrValue":"urn:cognito:loa:4"}}}}`)
	})
}

func TestRarePoolMembers(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		for _, c := range []struct{ in, want string }{
			{`"EmailVerificationMessage":"m {####}"`, `"EmailVerificationMessage":"m {####}","VerificationMessageTemplate":{"EmailMessage":"m {####}","DefaultEmailOption":"CONFIRM_WITH_CODE"}`},
			{`"SmsVerificationMessage":"s {####}"`, `"SmsVerificationMessage":"s {####}","VerificationMessageTemplate":{"SmsMessage":"s {####}","DefaultEmailOption":"CONFIRM_WITH_CODE"}`},
			{`"EmailVerificationSubject":"s"`, `"EmailVerificationSubject":"s","VerificationMessageTemplate":{"EmailSubject":"s","DefaultEmailOption":"CONFIRM_WITH_CODE"}`},
			{`"VerificationMessageTemplate":{"EmailMessageByLink":"l {##x##}"}`, `"VerificationMessageTemplate":{"EmailMessageByLink":"l {##x##}","DefaultEmailOption":"CONFIRM_WITH_CODE"}`},
			{`"AdminCreateUserConfig":{"UnusedAccountValidityDays":30}`, `"TemporaryPasswordValidityDays":30`},
			{`"AdminCreateUserConfig":{"UnusedAccountValidityDays":30}`, `"AdminCreateUserConfig":{"AllowAdminCreateUserOnly":false,"UnusedAccountValidityDays":30}`},
			{`"AdminCreateUserConfig":{"InviteMessageTemplate":{}}`, `"InviteMessageTemplate":{}`},
			{`"DeviceConfiguration":{}`, `"DeviceConfiguration":{}`},
			{`"UsernameConfiguration":{"CaseSensitive":true}`, `"UsernameConfiguration":{"CaseSensitive":true}`},
			{`"UserPoolAddOns":{"AdvancedSecurityMode":"OFF"}`, `"UserPoolAddOns":{"AdvancedSecurityMode":"OFF"}`},
			{`"UserPoolAddOns":{"AdvancedSecurityMode":"OFF","AdvancedSecurityAdditionalFlows":{}}`, `"UserPoolAddOns":{"AdvancedSecurityMode":"OFF","AdvancedSecurityAdditionalFlows":{}}`},
			{`"DcrConfiguration":{}`, `"DcrConfiguration":{"EnableStatus":"Enabled","OpenDcrEnabled":false}`},
			{`"DcrConfiguration":{"EnableStatus":"Disabled"}`, `"DcrConfiguration":{"EnableStatus":"Disabled","OpenDcrEnabled":false}`},
			{`"KeyConfiguration":{}`, `"KeyConfiguration":{"KeyType":"AWS_OWNED_KEY"}`},
			{`"IssuerConfiguration":{"Type":"ORIGINAL"}`, `"IssuerConfiguration":{"Type":"ORIGINAL"}`},
		} {
			answer := l.ok("CreateUserPool", `{"PoolName":"p",`+c.in+`}`)
			want.Contains(w.T, answer, c.want)
			want.Equal(w.T, l.ok("DescribeUserPool", `{"UserPoolId":"`+idOf(w.T, answer)+`"}`), answer)
		}
		// What says nothing leaves no trace.
		for _, in := range []string{`"Policies":{}`, `"Policies":{"SignInPolicy":{}}`, `"AutoVerifiedAttributes":[]`, `"AliasAttributes":[]`, `"UsernameAttributes":[]`, `"LambdaConfig":{}`,
			`"VerificationMessageTemplate":{}`, `"UserAttributeUpdateSettings":{}`, `"EmailConfiguration":{}`, `"UserPoolTags":{}`, `"AdminCreateUserConfig":{}`,
			`"AccountRecoverySetting":{}`, `"IssuerConfiguration":{}`, `"AcrConfiguration":{}`, `"DeletionProtection":"INACTIVE"`, `"MfaConfiguration":"OFF"`} {
			answer := l.ok("CreateUserPool", `{"PoolName":"p",`+in+`}`)
			want.Equal(w.T, shape(answer, idOf(w.T, answer)), strings.ReplaceAll(smallest, "<region>", l.region))
		}
	})
}

func TestCreateUserPoolIsRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		for _, c := range []struct{ members, want string }{
			{`"PoolName":null`, invalid("1 validation error detected: Value null at 'poolName' failed to satisfy constraint: Member must not be null")},
			{`"PoolName":"p","Schema":[{"Name":"abcdefghijabcdefghijk","AttributeDataType":"String"}]`, invalid("1 validation error detected: Value 'abcdefghijabcdefghijk' at 'schema.1.member.name' " +
				"failed to satisfy constraint: Member must have length less than or equal to 20")},
			{`"PoolName":"p","Schema":[{"Name":"x","AttributeDataType":"Text"}]`,
				invalid("Validation error detected: Value 'Text' failed to satisfy constraint: Member must satisfy enum value set: [Boolean, Number, String, DateTime]")},
			{`"PoolName":"p","AliasAttributes":["email"],"UsernameAttributes":["email"]`, invalid("Only one of the aliasAttributes or usernameAttributes can be set in a User pool.")},
			{`"PoolName":"p","UserPoolAddOns":{"AdvancedSecurityMode":"ENFORCED"}`,
				"FeatureUnavailableInTierException: The following features need to be disabled for the ESSENTIALS pricing tier configured: Threat Protection"},
			{`"PoolName":"p","EmailConfiguration":{"SourceArn":"arn:aws:ses:us-east-1:210987654321:identity/a@example.com"}`,
				"InvalidEmailRoleAccessPolicyException: Cognito is not allowed to use your email identity"},
			{`"PoolName":"p","SmsConfiguration":{"SnsCallerArn":"arn:aws:iam::123456789012:role/sms","ExternalId":"a\u0000"}`,
				invalid("The value of SmsConfiguration contains the null character.")},
			{`"PoolName":"p","UserPoolTags":{"aws:x":"1"}`, "UserPoolTaggingException: The tag key aws:x is not valid: keys that start with aws: are reserved."},
			{`"PoolName":"p","LambdaConfig":{"CustomSMSSender":{"LambdaVersion":"V1_0","LambdaArn":"arn:aws:lambda:us-east-1:123456789012:function:a"}}`,
				invalid("KMSKeyID is required when CustomSMSSender is set.")},
			{`"PoolName":"p","LambdaConfig":{"KMSKeyID":"arn:aws:lambda:us-east-1:123456789012:function:a"}`,
				invalid("arn:aws:lambda:us-east-1:123456789012:function:a is not the ARN of a KMS key.")},
		} {
			l.refused("CreateUserPool", "{"+c.members+"}", c.want)
		}
		want.Equal(w.T, l.ok("ListUserPools", `{"MaxResults":60}`), `{"UserPools":[]}`)
	})
}

func TestPoolLimit(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		o := l.pools(chance.System())
		for range 2 {
			_, err := o.Create(w.Context(), l.call("CreateUserPool"), &api.CreateUserPoolInput{PoolName: "p"})
			want.NoError(w.T, err)
		}
		_, err := o.Create(w.Context(), l.call("CreateUserPool"), &api.CreateUserPoolInput{PoolName: "p"})
		want.Equal(w.T, errorText(w.T, err), "LimitExceededException: The number of user pools in this account cannot exceed 2.")
	})
}

// pools is a family of its own, with a limit of two pools.
func (l place) pools(c *chance.Source) *ops.Pools {
	l.Helper()
	sealer, err := page.NewSealer(make([]byte, page.KeySize))
	want.NoError(l.T, err)
	return &ops.Pools{Store: l.store, Chance: c, Pages: sealer, Limit: 2}
}

// call is what the pipeline would tell an operation.
func (l place) call(operation string) *dispatch.Call {
	l.Helper()
	spec, ok := api.ByName(operation)
	want.True(l.T, ok, "%s is an operation", operation)
	return &dispatch.Call{RequestID: chance.System().RequestID(), Spec: spec, Now: l.clock.Now(), Region: l.region, Account: "123456789012", Pool: l.world.pool}
}

func errorText(t *testing.T, err error) string {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	want.True(t, ok, "%v is a fault", err)
	return string(f.Code) + ": " + f.Message
}

func TestPoolIDIsDrawnAgainWhenTaken(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		create := func(c *chance.Source) string {
			out, err := l.pools(c).Create(w.Context(), l.call("CreateUserPool"), &api.CreateUserPoolInput{PoolName: "p"})
			want.NoError(w.T, err)
			return *out.UserPool.Id
		}
		first, second := create(chance.Seeded(7)), create(chance.Seeded(7))
		want.True(w.T, first != second, "%s and %s differ", first, second)
	})
}

func TestCustomPoolID(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		tagged := func(id string) string { return `{"PoolName":"p","UserPoolTags":{"_custom_id_":"` + id + `"}}` }
		id := l.region + "_mine"

		// Where it is not allowed it is a tag like any other.
		answer := l.ok("CreateUserPool", tagged(id))
		want.True(w.T, idOf(w.T, answer) != id, "the id is random")

		w.pipeline.CustomIDs = true
		answer = l.ok("CreateUserPool", tagged(id))
		want.Equal(w.T, idOf(w.T, answer), id)
		want.Contains(w.T, answer, `"UserPoolTags":{"_custom_id_":"`+id+`"}`)
		want.Contains(w.T, answer, `"Arn":"arn:aws:cognito-idp:`+l.region+`:123456789012:userpool/`+id+`"`)
		l.refused("CreateUserPool", tagged(id), invalid("The custom id "+id+" is taken."))
		l.refused("CreateUserPool", tagged("mine"), invalid("The custom id mine does not have the form of an id."))
		l.refused("CreateUserPool", tagged(""), invalid("The custom id  does not have the form of an id."))
		// A test that makes its pool, uses it and deletes it can run again, and finds nothing of the pool before.
		for range 2 {
			want.Contains(w.T, w.call("AdminCreateUser", `{"UserPoolId":"`+id+`","Username":"u","MessageAction":"SUPPRESS"}`), `"Username":"u"`)
			l.ok("DeleteUserPool", `{"UserPoolId":"`+id+`"}`)
			l.refused("AdminGetUser", `{"UserPoolId":"`+id+`","Username":"u"}`, "ResourceNotFoundException: User pool "+id+" does not exist.")
			w.clock.Advance(time.Second)
			l.ok("CreateUserPool", tagged(id))
			l.refused("AdminGetUser", `{"UserPoolId":"`+id+`","Username":"u"}`, "UserNotFoundException: User does not exist.")
		}
	})
}

func TestDescribeUserPoolCountsUsers(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		w.addUser("a", nil)
		w.addUser("b", nil)
		want.Contains(w.T, l.ok("DescribeUserPool", `{"UserPoolId":"$pool"}`), `"EstimatedNumberOfUsers":2`)
	})
}

func TestUnknownPool(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		for operation, rest := range map[string]string{"DescribeUserPool": "", "UpdateUserPool": "", "DeleteUserPool": "", "AddCustomAttributes": `,"CustomAttributes":[{"Name":"x"}]`,
			"CreateUserPoolClient": `,"ClientName":"c"`, "UpdateUserPoolClient": `,"ClientId":"c"`, "DescribeUserPoolClient": `,"ClientId":"c"`, "DeleteUserPoolClient": `,"ClientId":"c"`,
			"ListUserPoolClients": ""} {
			l.refused(operation, `{"UserPoolId":"us-east-1_none"`+rest+`}`, "ResourceNotFoundException: User pool us-east-1_none does not exist.")
		}
	})
}

func TestDeleteUserPool(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		id := l.create(`"DeletionProtection":"ACTIVE"`)
		named := `{"UserPoolId":"` + id + `"}`
		l.refused("DeleteUserPool", named, invalid("The user pool cannot be deleted because deletion protection is activated. Deletion protection must be inactivated first."))
		l.ok("CreateUserPoolClient", `{"UserPoolId":"`+id+`","ClientName":"c"}`)
		l.ok("UpdateUserPool", named)
		want.Equal(w.T, l.do("DeleteUserPool", named), settled{"", "DeleteUserPool"}, unexported)
		l.refused("DescribeUserPool", named, "ResourceNotFoundException: User pool "+id+" does not exist.")
		want.Equal(w.T, l.ok("ListUserPools", `{"MaxResults":60}`), `{"UserPools":[]}`)
	})
}

func TestListUserPools(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		other := place{w, l.region + "x"}
		other.create("")
		var ids []string
		for range 5 {
			ids = append(ids, l.create(`"LambdaConfig":{"PreSignUp":"arn:aws:lambda:us-east-1:123456789012:function:a"}`))
		}
		ids = sorted(ids)
		item := func(id string) string {
			return `{"Id":"` + id + `","Name":"p","LambdaConfig":{"PreSignUp":"arn:aws:lambda:us-east-1:123456789012:function:a"},"LastModifiedDate":1767323045.678,"CreationDate":1767323045.678}`
		}
		var token string
		for _, page := range [][]string{ids[:2], ids[2:4], ids[4:]} {
			var items []string
			for _, id := range page {
				items = append(items, item(id))
			}
			body := `{"MaxResults":2}`
			if token != "" {
				body = `{"MaxResults":2,"NextToken":"` + token + `"}`
			}
			answer := l.ok("ListUserPools", body)
			want.Equal(w.T, withoutToken(answer), `{"UserPools":[`+strings.Join(items, ",")+`]}`)
			if next := tokenOf(answer); next != "" {
				token = next
			}
		}
		// A full last page has no token.
		want.Equal(w.T, tokenOf(l.ok("ListUserPools", `{"MaxResults":5}`)), "")

		bad := invalid("Invalid nextToken specified")
		l.refused("ListUserPools", `{"MaxResults":3,"NextToken":"`+token+`"}`, bad)
		other.refused("ListUserPools", `{"MaxResults":2,"NextToken":"`+token+`"}`, bad)
		l.refused("ListUserPools", `{"MaxResults":2,"NextToken":"x`+token[1:]+`"}`, bad)
		l.refused("ListUserPoolClients", `{"UserPoolId":"$pool","MaxResults":2,"NextToken":"`+token+`"}`, bad)
		w.clock.Advance(25 * time.Hour)
		l.refused("ListUserPools", `{"MaxResults":2,"NextToken":"`+token+`"}`, bad)
		l.refused("ListUserPools", `{}`, invalid("1 validation error detected: Value null at 'maxResults' failed to satisfy constraint: Member must not be null"))
		l.refused("ListUserPools", `{"MaxResults":61}`, invalid("1 validation error detected: Value '61' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 60"))
	})
}

var tokenPart = regexp.MustCompile(`,"NextToken":"([^"]+)"`)

func tokenOf(answer string) string {
	if m := tokenPart.FindStringSubmatch(answer); m != nil {
		return m[1]
	}
	return ""
}

func withoutToken(answer string) string { return tokenPart.ReplaceAllString(answer, "") }

func TestAddCustomAttributes(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		id := l.create(`"Schema":[{"Name":"a","AttributeDataType":"String"}]`)
		body := func(list string) string { return `{"UserPoolId":"` + id + `","CustomAttributes":[` + list + `]}` }
		w.clock.Advance(time.Second)
		want.Equal(w.T, l.do("AddCustomAttributes", body(`{"Name":"b","AttributeDataType":"Number","Mutable":false},{"Name":"email","AttributeDataType":"String","DeveloperOnlyAttribute":true}`)),
			settled{"{}", "AddCustomAttributes custom:b dev:custom:email"}, unexported)
		answer := l.ok("DescribeUserPool", `{"UserPoolId":"`+id+`"}`)
		want.Equal(w.T, schema(w.T, answer)[20:], []string{"custom:a String dev=false mutable=true required=false string -..-", "custom:b Number dev=false mutable=false required=false",
			"dev:custom:email String dev=true mutable=true required=false string -..-"})
		want.Contains(w.T, answer, `"LastModifiedDate":1767323046.678,"CreationDate":1767323045.678`)
		l.refused("AddCustomAttributes", body(`{"Name":"c","AttributeDataType":"String"},{"Name":"a","AttributeDataType":"String"}`),
			invalid("custom:a: Existing attribute already has name custom:a."))
		l.refused("AddCustomAttributes", body(``),
			invalid("1 validation error detected: Value at 'customAttributes' failed to satisfy constraint: Member must have length greater than or equal to 1"))
		want.Equal(w.T, l.ok("DescribeUserPool", `{"UserPoolId":"`+id+`"}`), answer)
	})
}

func TestReplicaTakesNoConfiguration(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		client := clientID(w.T, l.ok("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"c"}`))
		w.onReplica()
		for operation, rest := range map[string]string{"UpdateUserPool": "", "DeleteUserPool": "", "AddCustomAttributes": `,"CustomAttributes":[{"Name":"x","AttributeDataType":"String"}]`,
			"CreateUserPoolClient": `,"ClientName":"c"`, "UpdateUserPoolClient": `,"ClientId":"` + client + `"`, "DeleteUserPoolClient": `,"ClientId":"` + client + `"`} {
			l.refused(operation, `{"UserPoolId":"$pool"`+rest+`}`, "OperationNotEnabledException: The operation "+operation+" is not enabled on a secondary replica.")
		}
		l.ok("DescribeUserPool", `{"UserPoolId":"$pool"}`)
	})
}

// A pool that changed behind the cache's back is read again: the change is not lost.
func TestStaleSettingsAreMergedAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		l.ok("DescribeUserPool", `{"UserPoolId":"$pool"}`)
		w.update(func(tx store.Tx) error {
			p, err := tx.Pools().Get(w.pool.ID)
			if err != nil {
				return err
			}
			p.Settings.Name, p.Settings.Custom = "renamed", []pool.Attribute{{Name: "custom:a", Type: pool.String, Given: true}}
			return tx.Pools().Save(p)
		})
		want.Equal(w.T, l.ok("UpdateUserPool", `{"UserPoolId":"$pool","UserPoolTags":{"a":"b"}}`), "{}")
		answer := l.ok("DescribeUserPool", `{"UserPoolId":"$pool"}`)
		want.Contains(w.T, answer, `"Name":"renamed"`)
		want.Contains(w.T, answer, `"Name":"custom:a"`)
		want.Contains(w.T, answer, `"UserPoolTags":{"a":"b"}`)
	})
}

func TestPoolThatWentAway(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		for operation, rest := range map[string]string{"DescribeUserPool": "", "UpdateUserPool": "", "DeleteUserPool": "", "AddCustomAttributes": `,"CustomAttributes":[{"Name":"x","AttributeDataType":"String"}]`,
			"CreateUserPoolClient": `,"ClientName":"c"`} {
			id := l.create("")
			l.ok("DescribeUserPool", `{"UserPoolId":"`+id+`"}`)
			w.update(func(tx store.Tx) error { return tx.Pools().Delete(id) })
			l.refused(operation, `{"UserPoolId":"`+id+`"`+rest+`}`, "ResourceNotFoundException: User pool "+id+" does not exist.")
		}
	})
}

// A change that loses every race is reported as such where the operation lists the exception.
func TestLosingEveryRace(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		reg, tries := dispatch.NewRegistry(), 0
		dispatch.Handle(reg, api.UpdateUserPool, func(context.Context, *dispatch.Call, *api.UpdateUserPoolInput) (*api.UpdateUserPoolOutput, error) {
			tries++
			return nil, store.ErrStale
		})
		dispatch.Handle(reg, api.DeleteUserPool, func(context.Context, *dispatch.Call, *api.DeleteUserPoolInput) (*struct{}, error) {
			return nil, store.ErrStale
		})
		w.pipeline.Registry = reg
		l := w.ownRegion()
		l.refused("UpdateUserPool", `{"UserPoolId":"$pool"}`, "ConcurrentModificationException: The resource was changed by another request at the same time. Try again.")
		want.Equal(w.T, tries, 4)
		l.refused("DeleteUserPool", `{"UserPoolId":"$pool"}`, "TooManyRequestsException: Rate exceeded")
	})
}
