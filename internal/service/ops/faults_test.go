package ops_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// model is one request that does all that its operation can do to the store. prepare makes the state that the request
// finds, the same one in every world, and returns the request's body. What may change needs no description: the
// tests compare every row of every table.
type model struct {
	operation string
	variant   string // "" for an operation with one model
	settings  func(*pool.Settings)
	prepare   func(w *world) string
}

// ahead are the models that write to a table by a commit of its own, before all else, and so that is no part of the change. An attempt
// stays counted whatever becomes of the rest. A step of a sign-in is passed before a function hears of it, and a fault after that
// ends the sign-in.
var ahead = map[string]string{
	"ConfirmForgotPassword": "tallies:", "ChangePassword": "tallies:",
	"RespondToAuthChallenge/CUSTOM_CHALLENGE, the last":                        stepsTable,
	"RespondToAuthChallenge/CUSTOM_CHALLENGE, after which a code is sent":      stepsTable,
	"RespondToAuthChallenge/PASSWORD_VERIFIER, after which a function decides": stepsTable,
	"RespondToAuthChallenge/SMS_MFA, of which functions are told":              stepsTable,
}

// silent are the models that only pass a step of a sign-in, or keep what a session has no room for. The journal does not tell of that.
var silent = map[string]bool{
	"InitiateAuth/asks more than a session has room for":          true,
	"RespondToAuthChallenge/PASSWORD_SRP, after which a proof is": true,
}

// stepsTable is what rows of the steps of sign-ins begin with.
const stepsTable = "steps:"

// change is the change of the round's world without what is written ahead.
func (r *round) change(before, after snapshot, request string) []string {
	lines, table := r.world.change(before, after, request), ahead[r.m.String()]
	if table == "" {
		return lines
	}
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line[2:], table) })
}

// over reports whether the request has passed a step of a sign-in ahead, so that it cannot be made again.
func (r *round) over(after snapshot) bool {
	for row := range after.rows {
		if strings.HasPrefix(row, stepsTable) && !r.before.rows[row] {
			return ahead[r.m.String()] == stepsTable
		}
	}
	return false
}

func (m model) String() string { return strings.TrimSuffix(m.operation+"/"+m.variant, "/") }

// models has a row for every operation that is built: TestEveryOperationHasAModel. A new operation that writes gets
// a row whose request changes as much as it can.
var models = []model{
	{"AdminCreateUser", "takes an alias and invites by two media", everySetting, func(w *world) string {
		w.addUser("holder", map[string]string{"name": "N", "email": "new@x.io", "email_verified": "true"})
		return `{"UserPoolId":"$pool","Username":"new","TemporaryPassword":"Passw0rd!","ForceAliasCreation":true,"DesiredDeliveryMediums":["EMAIL","SMS"],` +
			`"UserAttributes":` + list("name=N, email=new@x.io, email_verified=true, phone_number=+1555, custom:tier=gold") + `}`
	}},
	{"AdminCreateUser", "invites again", everySetting, func(w *world) string {
		want.Contains(w, w.call("AdminCreateUser", `{"UserPoolId":"$pool","Username":"new","TemporaryPassword":"Passw0rd!","MessageAction":"SUPPRESS","UserAttributes":`+
			list("name=N, email=new@x.io")+`}`), `"Username":"new"`)
		return `{"UserPoolId":"$pool","Username":"new","MessageAction":"RESEND","DesiredDeliveryMediums":["EMAIL"]}`
	}},
	{"AdminGetUser", "", everySetting, named},
	{"AdminDeleteUser", "", everySetting, func(w *world) string {
		body := named(w)
		want.Equal(w, w.call("AdminSetUserPassword", strings.TrimSuffix(body, "}")+`,"Password":"Passw0rd!","Permanent":true}`), "{}")
		want.Equal(w, w.update1("u", list("phone_number=+1555, email=b@x.io")), "{}")
		w.access(w.byName("u"))
		belonging(w)
		return body
	}},
	{"AdminEnableUser", "", everySetting, func(w *world) string {
		w.addUser("u", vectorUser, func(r *user.Record) { r.Enabled = false })
		return `{"UserPoolId":"$pool","Username":"u"}`
	}},
	{"AdminDisableUser", "", everySetting, func(w *world) string {
		w.access(w.addUser("u", vectorUser))
		return `{"UserPoolId":"$pool","Username":"u"}`
	}},
	{"AdminSetUserPassword", "", both(everySetting, func(s *pool.Settings) { s.Password.History = 3 }), func(w *world) string {
		body := strings.TrimSuffix(named(w), "}") + `,"Permanent":true,"Password":`
		for _, earlier := range []string{"Passw0rd!1", "Passw0rd!2"} {
			want.Equal(w, w.call("AdminSetUserPassword", body+`"`+earlier+`"}`), "{}")
		}
		return body + `"Passw0rd!3"}`
	}},
	{"AdminUserGlobalSignOut", "", everySetting, func(w *world) string {
		u := w.addUser("u", vectorUser)
		w.access(u)
		w.access(u)
		return `{"UserPoolId":"$pool","Username":"u"}`
	}},
	{"AdminSetUserSettings", "", everySetting, func(w *world) string {
		return strings.TrimSuffix(named(w), "}") + `,"MFAOptions":[{"DeliveryMedium":"SMS","AttributeName":"phone_number"}]}`
	}},
	{"GetUser", "", everySetting, carrying("")},
	{"DeleteUser", "", everySetting, func(w *world) string {
		body := carrying("")(w)
		want.Equal(w, w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"u","Password":"Passw0rd!","Permanent":true}`), "{}")
		want.Equal(w, w.update1("u", list("phone_number=+1555, email=b@x.io")), "{}")
		return body
	}},
	{"SetUserSettings", "", everySetting, carrying(`,"MFAOptions":[{"DeliveryMedium":"SMS","AttributeName":"phone_number"}]`)},
	{"AssociateSoftwareToken", "", mfaPool, carrying("")},
	{"VerifySoftwareToken", "", mfaPool, func(w *world) string {
		u := w.addUser("u", vectorUser)
		token := w.access(u)
		w.withApp(u)
		return `{"AccessToken":"` + token + `","FriendlyDeviceName":"phone"` + userCode(w.appCode(w.associate(token), 2)) + `}` // the request comes a minute later
	}},
	{"AssociateSoftwareToken", "within a sign-in", both(mfaPool, mfaRequired), func(w *world) string {
		return `{"Session":"` + settingUp(w).Session + `"}`
	}},
	{"VerifySoftwareToken", "within a sign-in", both(mfaPool, mfaRequired), func(w *world) string {
		answer, session := w.setup("AssociateSoftwareToken", settingUp(w).Session, "")
		return `{"Session":"` + session + `"` + userCode(w.appCode(secretOf(w, answer), 2)) + `}`
	}},
	{"RespondToAuthChallenge", "SMS_MFA, after a wrong code", mfaPool, func(w *world) string {
		w.client(allFlows)
		w.withPassword("u", reachable, factorsOf(user.MFA{SMS: true}))
		s := w.byPassword("u", rightPassword)
		right := w.texted()
		want.Equal(w, w.pass(s, wrong(right)).text, factorWrong)
		return w.answerBody(s.ChallengeName, s.Session, map[string]string{"USERNAME": "u", "SMS_MFA_CODE": right})
	}},
	{"RespondToAuthChallenge", "SOFTWARE_TOKEN_MFA", mfaPool, func(w *world) string {
		w.client(allFlows)
		key := w.withApp(w.withPassword("u", reachable, factorsOf(user.MFA{TOTP: true})))
		s := w.byPassword("u", rightPassword)
		return w.answerBody(s.ChallengeName, s.Session, map[string]string{"USERNAME": "u", "SOFTWARE_TOKEN_MFA_CODE": w.appCode(key, 2)})
	}},
	{"RespondToAuthChallenge", "SELECT_MFA_TYPE, after which a code is sent", both(mfaPool, emailToo), func(w *world) string {
		w.client(allFlows)
		w.withPassword("u", reachable, factorsOf(user.MFA{SMS: true, Email: true}))
		s := w.byPassword("u", rightPassword)
		return w.answerBody(s.ChallengeName, s.Session, map[string]string{"USERNAME": "u", "ANSWER": "EMAIL_OTP"})
	}},
	{"AdminDeleteSoftwareToken", "", mfaPool, preferring},
	{"SetUserMFAPreference", "", mfaPool, func(w *world) string {
		preferring(w)
		return `{"AccessToken":"` + w.access(w.byName("u")) + `",` + appBlock + off + `}`
	}},
	{"AdminSetUserMFAPreference", "", mfaPool, func(w *world) string {
		return strings.TrimSuffix(preferring(w), "}") + `,` + smsBlock + preferred + `}`
	}},
	{"GetUserAuthFactors", "", mfaPool, carrying("")},
	{"AdminGetUserAuthFactors", "", mfaPool, preferring},
	{"SetUserPoolMfaConfig", "", mfaPool, ofPool(`,"MfaConfiguration":"ON","SmsMfaConfiguration":{"SmsAuthenticationMessage":"{####}"},"SoftwareTokenMfaConfiguration":{"Enabled":false}`)},
	{"GetUserPoolMfaConfig", "", mfaPool, ofPool("")},
	{"GlobalSignOut", "", everySetting, carrying("")},
	{"ListUsers", "", everySetting, func(w *world) string {
		w.addUser("u", vectorUser)
		w.addUser("v", map[string]string{"email": "a@y.io"})
		return `{"UserPoolId":"$pool","Limit":1,"Filter":"email ^= \"a@\""}`
	}},
	{"AdminUpdateUserAttributes", "moves an alias and sends a code", everySetting, moving},
	{"AdminUpdateUserAttributes", "runs a function for the code", both(everySetting, withHook("CustomMessage")), moving},
	{"AdminUpdateUserAttributes", "leaves the code to a custom sender", both(everySetting, withSenders), moving},
	{"AdminUpdateUserAttributes", "keeps the old address", both(everySetting, keepOriginal), func(w *world) string {
		named(w)
		want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
		return `{"UserPoolId":"$pool","Username":"u","UserAttributes":` + list("email=c@x.io, preferred_username=p, nickname=") + `}`
	}},
	{"AdminDeleteUserAttributes", "", everySetting, func(w *world) string {
		named(w)
		want.Equal(w, w.update1("u", list("phone_number=+1555, custom:tier=gold")), "{}")
		return `{"UserPoolId":"$pool","Username":"u","UserAttributeNames":["phone_number","email","custom:tier"]}`
	}},
	{"SignUp", "sends a code", everySetting, func(w *world) string {
		w.client(nil)
		return w.body("new", goodPassword+`,"UserAttributes":`+list("name=N, email=new@x.io, phone_number=+1555, custom:tier=gold"))
	}},
	{"SignUp", "runs functions", both(everySetting, withHook("PreSignUp"), withHook("CustomMessage")), func(w *world) string {
		w.client(nil)
		return w.body("new", goodPassword+`,"UserAttributes":`+list("name=N, email=new@x.io"))
	}},
	{"ConfirmSignUp", "moves an alias", both(everySetting, withHook("PostConfirmation")), func(w *world) string {
		w.client(nil)
		w.addUser("holder", map[string]string{"email": "new@x.io", "email_verified": "true"})
		_, right := w.newcomer("new", "name=N, email=new@x.io")
		want.Equal(w, w.public("ConfirmSignUp", "new", code(wrong(right))), wrongCode)
		return w.body("new", code(right)+`,"ForceAliasCreation":true`)
	}},
	{"ResendConfirmationCode", "", everySetting, func(w *world) string {
		w.client(nil)
		w.newcomer("new", "name=N, email=new@x.io")
		return w.body("new", "")
	}},
	{"ResendConfirmationCode", "leaves the message to the worker", both(everySetting, withHook("CustomMessage")), func(w *world) string {
		w.client(hiding)
		w.newcomer("new", "name=N, email=new@x.io")
		return w.body("new", "")
	}},
	{"AdminConfirmSignUp", "", everySetting, func(w *world) string {
		w.client(nil)
		w.newcomer("new", "name=N, email=new@x.io")
		return `{"UserPoolId":"$pool","Username":"new"}`
	}},
	{"ForgotPassword", "", everySetting, func(w *world) string {
		w.client(nil)
		w.addUser("u", vectorUser)
		want.Contains(w, w.public("ForgotPassword", "u", ""), `"Destination":"a***@x***"`)
		return w.body("u", "")
	}},
	{"ForgotPassword", "leaves the message to the worker", both(everySetting, withHook("CustomMessage")), func(w *world) string {
		w.client(hiding)
		w.addUser("u", vectorUser)
		return w.body("u", "")
	}},
	{"ForgotPassword", "takes over a user with an alias and a welcome", both(everySetting, withHook("UserMigration")), func(w *world) string {
		w.client(nil)
		w.addUser("holder", map[string]string{"email": "new@x.io", "email_verified": "true"})
		w.hooks.answer = migrating(`{"userAttributes":{"name":"N","email":"new@x.io","email_verified":"true"},"forceAliasCreation":true,"desiredDeliveryMediums":["EMAIL"]}`)
		return w.body("new", "")
	}},
	{"ConfirmForgotPassword", "", both(everySetting, withHook("PostConfirmation"), func(s *pool.Settings) { s.Password.History = 3 }), func(w *world) string {
		w.client(nil)
		right := w.forgetful("u")
		want.Equal(w, w.public("ConfirmForgotPassword", "u", code(wrong(right))+`,"Password":"Passw0rd!2"`), wrongCode)
		return w.body("u", code(right)+`,"Password":"Passw0rd!2"`)
	}},
	{"AdminResetUserPassword", "", everySetting, named},
	{"ChangePassword", "", both(everySetting, func(s *pool.Settings) { s.Password.History = 3 }), func(w *world) string {
		body := carrying(`,"PreviousPassword":"Passw0rd!1","ProposedPassword":"Passw0rd!2"`)(w)
		want.Equal(w, w.setPassword("u", "Passw0rd!1"), "{}")
		return body
	}},
	{"UpdateUserAttributes", "sends codes", everySetting, carrying(`,"UserAttributes":` + list("email=b@x.io, phone_number=+1556, preferred_username=p, custom:tier=gold"))},
	{"UpdateUserAttributes", "runs a function for the code", both(everySetting, withHook("CustomMessage")), carrying(`,"UserAttributes":` + list("email=b@x.io, nickname="))},
	{"UpdateUserAttributes", "keeps the old address", both(everySetting, keepOriginal), carrying(`,"UserAttributes":` + list("email=b@x.io"))},
	{"DeleteUserAttributes", "", everySetting, carrying(`,"UserAttributeNames":["email","custom:tier"]`)},
	{"GetUserAttributeVerificationCode", "", everySetting, carrying(`,"AttributeName":"email"`)},
	{"VerifyUserAttribute", "", both(everySetting, keepOriginal), func(w *world) string {
		token := w.access(w.addUser("u", vectorUser))
		want.Contains(w, w.setSelf(token, "email=b@x.io"), "CodeDeliveryDetails")
		return `{"AccessToken":"` + token + `","AttributeName":"email","Code":"` + w.code() + `"}`
	}},
	{"InitiateAuth", "signs in", everySetting, func(w *world) string {
		_, body := signingIn(w, "USER_PASSWORD_AUTH", "jane", rightPassword)
		want.Equal(w, w.byPassword("jane", "wrong").text, incorrect)
		return body
	}},
	{"InitiateAuth", "tells functions", both(everySetting, withHook("PreAuthentication"), withHook("PostAuthentication"), withHook("PreTokenGeneration")), func(w *world) string {
		_, body := signingIn(w, "USER_PASSWORD_AUTH", "jane", rightPassword)
		return body
	}},
	{"InitiateAuth", "sends a code that is a first factor", choicePool, func(w *world) string {
		w.client(allFlows)
		w.withPassword("u", reachable)
		_, body := beginBody(w, "USER_AUTH", map[string]string{"USERNAME": "u", "PREFERRED_CHALLENGE": "EMAIL_OTP"})
		return body
	}},
	{"InitiateAuth", "signs in who has just signed up", choicePool, func(w *world) string {
		w.client(allFlows)
		s := w.readSignIn(w.public("SignUp", "new", `"UserAttributes":`+list("email=n@x.io, name=N")))
		s = w.readSignIn(w.public("ConfirmSignUp", "new", code(w.code())+`,"Session":"`+s.Session+`"`))
		w.access(w.byName("new")) // the pool has a key
		return `{"ClientId":"` + w.clientID + `","AuthFlow":"USER_AUTH","Session":"` + s.Session + `"}`
	}},
	{"RespondToAuthChallenge", "EMAIL_OTP as first factor, which confirms, after a wrong code", choicePool, func(w *world) string {
		w.client(allFlows)
		w.withPassword("u", with(pool.Email, "b@x.io", "email_verified", ""), func(r *user.Record) { r.Status = user.Unconfirmed })
		s := w.choice("u", "PREFERRED_CHALLENGE", "EMAIL_OTP")
		right := w.code()
		want.Equal(w, w.reply("EMAIL_OTP", s.Session, "u", "EMAIL_OTP_CODE", wrong(right)).text, factorWrong)
		return w.answerBody("EMAIL_OTP", s.Session, map[string]string{"USERNAME": "u", "EMAIL_OTP_CODE": right})
	}},
	{"InitiateAuth", "asks more than a session has room for", customPool, func(w *world) string {
		w.client(allFlows)
		w.withPassword("u", nil)
		w.play(script{next: riddle.next, more: muchMore})
		_, body := beginBody(w, "CUSTOM_AUTH", map[string]string{"USERNAME": "u"})
		return body
	}},
	{"RespondToAuthChallenge", "CUSTOM_CHALLENGE, the last", customPool, func(w *world) string {
		w.play(script{next: riddle.next, more: muchMore})
		return riddled(w, nil)
	}},
	{"RespondToAuthChallenge", "CUSTOM_CHALLENGE, after which a code is sent", both(customPool, mfaPool), func(w *world) string {
		w.play(script{next: table("", "CUSTOM_CHALLENGE", "CUSTOM_CHALLENGE+[m0]", "SMS_MFA")})
		return riddled(w, reachable)
	}},
	{"RespondToAuthChallenge", "PASSWORD_VERIFIER, after a wrong password", everySetting, func(w *world) string {
		w.client(allFlows)
		w.access(w.withPassword("jane", map[string]string{"name": "N"}))
		c := srpclient.New(chance.System().Bytes(32))
		s := w.begin("USER_SRP_AUTH", map[string]string{"USERNAME": "jane", "SRP_A": c.Public})
		want.Equal(w, w.answer("PASSWORD_VERIFIER", "", w.prove(c, s, "wrong")).text, incorrect)
		return w.answerBody("PASSWORD_VERIFIER", "", w.prove(c, s, rightPassword))
	}},
	{"RespondToAuthChallenge", "PASSWORD_VERIFIER, after which a function decides", customPool, func(w *world) string {
		w.client(allFlows)
		w.access(w.withPassword("u", nil))
		w.play(script{next: table("SRP_A+", "PASSWORD_VERIFIER", "SRP_A+ PASSWORD_VERIFIER+", "tokens")})
		c, s := w.customSRP("u")
		return w.answerBody("PASSWORD_VERIFIER", s.Session, w.prove(c, s, rightPassword))
	}},
	{"RespondToAuthChallenge", "SMS_MFA, of which functions are told", both(mfaPool, withHook("PostAuthentication"), withHook("PreTokenGeneration")), func(w *world) string {
		w.client(allFlows)
		w.withPassword("u", with(pool.PhoneNumber, "+15550001234", pool.PhoneNumberVerified, "true"), factorsOf(user.MFA{SMS: true}))
		s := w.byPassword("u", rightPassword)
		return w.answerBody(s.ChallengeName, s.Session, map[string]string{"USERNAME": "u", "SMS_MFA_CODE": w.texted()})
	}},
	{"RespondToAuthChallenge", "MFA_SETUP of an app", both(mfaPool, mfaRequired), func(w *world) string {
		answer, session := w.setup("AssociateSoftwareToken", settingUp(w).Session, "")
		_, session = w.setup("VerifySoftwareToken", session, userCode(w.appCode(secretOf(w, answer), 0)))
		return w.answerBody("MFA_SETUP", session, map[string]string{"USERNAME": "u"})
	}},
	{"RespondToAuthChallenge", "MFA_SETUP of an e-mail address, after which a code is sent", both(mfaPool, mfaRequired, emailToo), func(w *world) string {
		return w.answerBody("MFA_SETUP", settingUp(w).Session, map[string]string{"USERNAME": "u", "EMAIL": "n@x.io"})
	}},
	{"RespondToAuthChallenge", "SELECT_CHALLENGE, after which a code is sent", choicePool, choosing("SELECT_CHALLENGE", "ANSWER", "SMS_OTP")},
	{"RespondToAuthChallenge", "SELECT_CHALLENGE with a password", choicePool, choosing("SELECT_CHALLENGE", "ANSWER", "PASSWORD", "PASSWORD", rightPassword)},
	{"RespondToAuthChallenge", "PASSWORD", choicePool, choosing("PASSWORD", "PASSWORD", rightPassword)},
	{"RespondToAuthChallenge", "PASSWORD_SRP, after which a proof is", choicePool, choosing("PASSWORD_SRP", "SRP_A", "2")},
	{"RespondToAuthChallenge", "SMS_OTP, which verifies", choicePool, func(w *world) string {
		w.client(allFlows)
		w.access(w.withPassword("u", reachable))
		s := w.choice("u", "PREFERRED_CHALLENGE", "SMS_OTP")
		return w.answerBody("SMS_OTP", s.Session, map[string]string{"USERNAME": "u", "SMS_OTP_CODE": w.texted()})
	}},
	{"AdminInitiateAuth", "", everySetting, func(w *world) string {
		_, body := signingIn(w, "ADMIN_USER_PASSWORD_AUTH", "jane", rightPassword)
		return body
	}},
	{"RespondToAuthChallenge", "NEW_PASSWORD_REQUIRED", everySetting, newPasswordAnswer},
	{"AdminRespondToAuthChallenge", "", everySetting, func(w *world) string {
		return `{"UserPoolId":"$pool",` + strings.TrimPrefix(newPasswordAnswer(w), "{")
	}},
	{"GetTokensFromRefreshToken", "rotates", everySetting, func(w *world) string {
		w.client(rotating(0))
		w.withPassword("jane", nil)
		return `{"ClientId":"` + w.clientID + `","RefreshToken":"` + w.byPassword("jane", rightPassword).AuthenticationResult.RefreshToken + `"}`
	}},
	{"RevokeToken", "", everySetting, func(w *world) string {
		w.client(allFlows)
		w.withPassword("jane", nil)
		return `{"ClientId":"` + w.clientID + `","Token":"` + w.byPassword("jane", rightPassword).AuthenticationResult.RefreshToken + `"}`
	}},
	{"CreateUserPool", "", nil, func(*world) string {
		return `{"PoolName":"new","AliasAttributes":["email"],"AutoVerifiedAttributes":["email"],"UserPoolTags":{"a":"b"},"Schema":[{"Name":"tier","AttributeDataType":"String","Mutable":true}]}`
	}},
	{"DescribeUserPool", "", everySetting, ofPool("")},
	{"UpdateUserPool", "", everySetting, ofPool(`,"AutoVerifiedAttributes":["email"],"DeletionProtection":"ACTIVE","UserPoolTags":{"a":"b"}`)},
	{"DeleteUserPool", "", everySetting, func(w *world) string {
		w.newClient()
		moving(w)
		want.Equal(w, w.call("AdminSetUserPassword", `{"UserPoolId":"$pool","Username":"u","Password":"Passw0rd!","Permanent":true}`), "{}")
		want.Equal(w, w.update1("u", list("phone_number=+1555")), "{}")
		w.access(w.byName("u"))
		belonging(w)
		served("")(w)
		return `{"UserPoolId":"$pool"}`
	}},
	{"ListUserPools", "", nil, func(*world) string { return `{"MaxResults":1}` }},
	{"AddCustomAttributes", "", everySetting, ofPool(`,"CustomAttributes":[{"Name":"more","AttributeDataType":"Number"},{"Name":"much","AttributeDataType":"String"}]`)},
	{"CreateUserPoolClient", "", everySetting, ofPool(`,"ClientName":"web","GenerateSecret":true,"ExplicitAuthFlows":["ALLOW_USER_SRP_AUTH","ALLOW_REFRESH_TOKEN_AUTH"]`)},
	{"DescribeUserPoolClient", "", everySetting, ofClient("")},
	{"UpdateUserPoolClient", "", everySetting, ofClient(`,"RefreshTokenValidity":7,"ReadAttributes":["email"]`)},
	{"DeleteUserPoolClient", "", everySetting, ofClient("")},
	{"ListUserPoolClients", "", everySetting, func(w *world) string { w.newClient(); return ofPool(`,"MaxResults":1`)(w) }},
	{"GetProvisionedLimit", "", nil, provisioned("")},
	{"UpdateProvisionedLimit", "", nil, provisioned(`,"RequestedLimitValue":30`)},
	{"TagResource", "", everySetting, tagged(`,"Tags":{"a":"2","c":"3"}`)},
	{"UntagResource", "", everySetting, tagged(`,"TagKeys":["a"]`)},
	{"ListTagsForResource", "", everySetting, tagged("")},
	{"CreateGroup", "", everySetting, func(*world) string { return inGroup("g", everyGroupMember) }},
	{"GetGroup", "", everySetting, grouped("")},
	{"UpdateGroup", "", everySetting, grouped(`,"Description":"other","Precedence":0`)},
	{"DeleteGroup", "", everySetting, grouped("")},
	{"ListGroups", "", everySetting, func(w *world) string { grouped("")(w); return `{"UserPoolId":"$pool","Limit":1}` }},
	{"ListUsersInGroup", "", everySetting, grouped(`,"Limit":1`)},
	{"AdminAddUserToGroup", "", everySetting, func(w *world) string { grouped("")(w); w.addUser("v", nil); return memberOf("v", "g") }},
	{"AdminRemoveUserFromGroup", "", everySetting, grouped(`,"Username":"u"`)},
	{"AdminListGroupsForUser", "", everySetting, func(w *world) string { grouped("")(w); return `{"UserPoolId":"$pool","Username":"u","Limit":1}` }},
	{"GetClientToken", "", both(everySetting, withTokenHook("V3_0")), func(w *world) string {
		w.access(w.addUser("u", nil)) // the pool's keys are made for the first token
		w.does("CreateResourceServer", ofServer("b", twoScopes))
		return asking(w.addClient(forItself("b/read")), ownSecret, `,"Scopes":["b/read"],"ClientMetadata":{"a":"b"}`)
	}},
	{"CreateResourceServer", "", everySetting, func(*world) string { return ofServer("https://api.example", twoScopes) }},
	{"DescribeResourceServer", "", everySetting, served("")},
	{"UpdateResourceServer", "", everySetting, served(`,"Name":"other","Scopes":[{"ScopeName":"read","ScopeDescription":"r"}]`)},
	{"DeleteResourceServer", "", everySetting, served("")},
	{"ListResourceServers", "", everySetting, func(w *world) string {
		served("")(w)
		w.does("CreateResourceServer", ofServer("b", twoScopes))
		return `{"UserPoolId":"$pool","MaxResults":1}`
	}},
	{"AdminLinkProviderForUser", "", everySetting, func(w *world) string {
		named(w)
		belonging(w)
		return linking(native("u"), account("Okta", "email", "2"))
	}},
	{"AdminDisableProviderForUser", "takes an account", everySetting, func(w *world) string {
		named(w)
		belonging(w)
		return disabling(google("1"))
	}},
	{"AdminDisableProviderForUser", "switches a password off", everySetting, func(w *world) string {
		named(w)
		return disabling(native("u"))
	}},
}

// everySetting is a pool in which an update has most to do.
var everySetting = both(vectorPool, aliasPool, phoneToo)

// settingUp is a sign-in at the set-up of an authenticator app.
func settingUp(w *world) signInReply {
	w.client(allFlows)
	w.withPassword("u", nil)
	s := w.byPassword("u", rightPassword)
	want.Equal(w, s.ChallengeName, "MFA_SETUP")
	return s
}

// preferring is a body about a user with a phone number who prefers an authenticator app.
func preferring(w *world) string {
	u := w.addUser("u", with(pool.PhoneNumber, "+1555"), func(r *user.Record) { r.MFA = user.MFA{TOTP: true, Preferred: user.FactorTOTP} })
	w.withApp(u)
	return `{"UserPoolId":"$pool","Username":"u"}`
}

// signingIn is a request that signs in a user.
func signingIn(w *world, flow, name, password string) (operation, body string) {
	w.client(allFlows)
	w.withPassword(name, map[string]string{"name": "N"})
	w.access(w.byName(name)) // the pool has its keys
	return beginBody(w, flow, map[string]string{"USERNAME": name, "PASSWORD": password})
}

// muchMore are private parameters that do not fit into a session.
var muchMore = `,"more":"` + strings.Repeat("x", 2000) + `"`

// riddled is the right answer to a custom challenge.
func riddled(w *world, attributes map[string]string) string {
	w.client(allFlows)
	w.access(w.withPassword("u", attributes)) // the pool has its keys
	return w.answerBody("CUSTOM_CHALLENGE", w.custom("u").Session, map[string]string{"USERNAME": "u", "ANSWER": "sesame"})
}

// choosing is an answer to a sign-in by choice, which stands at the choice or at what was chosen.
func choosing(challenge string, responses ...string) func(*world) string {
	return func(w *world) string {
		w.client(allFlows)
		w.access(w.withPassword("u", reachable))
		s := w.choice("u")
		if challenge != "SELECT_CHALLENGE" {
			s = w.reply("SELECT_CHALLENGE", s.Session, "u", "ANSWER", challenge)
		}
		given := map[string]string{"USERNAME": "u"}
		for i := 0; i < len(responses); i += 2 {
			given[responses[i]] = responses[i+1]
		}
		return w.answerBody(challenge, s.Session, given)
	}
}

// newPasswordAnswer is a request that gives a user the first password of its own.
func newPasswordAnswer(w *world) string {
	w.client(allFlows)
	w.withPassword("jane", map[string]string{"name": "N"}, temporary)
	w.access(w.addUser("joe", map[string]string{"name": "N"}))
	s := w.byPassword("jane", rightPassword)
	return w.answerBody("NEW_PASSWORD_REQUIRED", s.Session, map[string]string{"USERNAME": "jane", "NEW_PASSWORD": "N3w-Passw0rd", "userAttributes.email": "j@x.io"})
}

func named(w *world) string {
	w.addUser("u", vectorUser)
	return `{"UserPoolId":"$pool","Username":"u"}`
}

// carrying makes a request with the access token of a user who has signed in twice.
func carrying(members string) func(*world) string {
	return func(w *world) string {
		u := w.addUser("u", vectorUser)
		w.access(u)
		return `{"AccessToken":"` + w.access(u) + `"` + members + `}`
	}
}

func moving(w *world) string {
	named(w)
	w.addUser("holder", map[string]string{"email": "b@x.io", "email_verified": "true"})
	return `{"UserPoolId":"$pool","Username":"u","UserAttributes":` + list("email=b@x.io, email_verified=true, phone_number=+1556, custom:tier=gold") + `}`
}

// belonging puts the user u into a group and links an account to it.
func belonging(w *world) {
	want.Contains(w, w.call("CreateGroup", inGroup("g", everyGroupMember)), `"GroupName":"g"`)
	want.Contains(w, w.call("CreateGroup", inGroup("h", "")), `"GroupName":"h"`)
	for _, name := range []string{"g", "h"} {
		want.Equal(w, w.call("AdminAddUserToGroup", memberOf("u", name)), "")
	}
	want.Equal(w, w.call("AdminLinkProviderForUser", linking(native("u"), google("1"))), "{}")
}

const everyGroupMember = `,"Description":"d","RoleArn":"` + roleARN + `","Precedence":7`

// grouped is a body about the group g, in which u is.
func grouped(members string) func(*world) string {
	return func(w *world) string {
		named(w)
		belonging(w)
		return inGroup("g", members)
	}
}

// served is a body about a resource server that is there.
func served(members string) func(*world) string {
	return func(w *world) string {
		want.Contains(w, w.call("CreateResourceServer", ofServer("https://api.example", twoScopes)), `"Scopes"`)
		return ofServer("https://api.example", members)
	}
}

func ofPool(members string) func(*world) string {
	return func(*world) string { return `{"UserPoolId":"$pool"` + members + `}` }
}

func ofClient(members string) func(*world) string {
	return func(w *world) string {
		return `{"UserPoolId":"$pool","ClientId":"` + w.newClient() + `"` + members + `}`
	}
}

func provisioned(members string) func(*world) string {
	return func(w *world) string {
		definition := `{"LimitDefinition":{"LimitClass":"API_CATEGORY","Attributes":{"Category":"UserUpdate"}}`
		want.Contains(w, w.call("UpdateProvisionedLimit", definition+`,"RequestedLimitValue":26}`), `"ProvisionedLimitValue":26`)
		return definition + members + "}"
	}
}

func tagged(members string) func(*world) string {
	return func(w *world) string {
		arn := `{"ResourceArn":"` + w.pool.ARN() + `"`
		want.Equal(w, w.call("TagResource", arn+`,"Tags":{"a":"1","b":"2"}}`), "{}")
		return arn + members + "}"
	}
}

// newClient makes an app client and returns its id.
func (w *world) newClient() string {
	w.Helper()
	return clientID(w.T, w.call("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"web","GenerateSecret":true}`))
}

// TestEveryOperationHasAModel keeps the table complete.
func TestEveryOperationHasAModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openStores(t)["sqlite"], nil)
	for _, spec := range api.All() {
		has := slices.ContainsFunc(models, func(m model) bool { return m.operation == spec.Name })
		want.True(t, has == w.pipeline.Registry.Built(spec.Name), "%s: built %v, a row in models %v", spec.Name, !has, has)
	}
}

// TestEveryChallengeHasAModel keeps the table complete in the answers to challenges: its variants begin with their names.
func TestEveryChallengeHasAModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openStores(t)["sqlite"], nil)
	w.client(allFlows)
	_, all, ok := strings.Cut(w.call("RespondToAuthChallenge", w.answerBody("?", "", nil)), "enum value set: [")
	names := strings.Split(strings.TrimSuffix(all, "]"), ", ")
	want.True(t, ok && len(names) > 10, "the names of challenges: %q", names)
	for _, name := range names {
		answered := strings.HasPrefix(w.answer(name, "", nil).text, invalid("Missing required parameter "))
		has := slices.ContainsFunc(models, func(m model) bool {
			first, _, _ := strings.Cut(strings.ReplaceAll(m.variant, ",", " "), " ")
			return m.operation == "RespondToAuthChallenge" && first == name
		})
		want.True(t, answered == has, "%s: answered %v, a row in models %v", name, answered, has)
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(ahead)), slices.Collect(maps.Keys(silent))) {
		want.True(t, slices.ContainsFunc(models, func(m model) bool { return m.String() == name }), "%s is a model", name)
	}
}

// house is a database of one test, in which every storage call passes a hook. It has eyes of its own: a connection
// that sees what is committed, whatever the store thinks.
type house struct {
	*testing.T
	store *sqlstore.Store
	eyes  *eyes
	hook  atomic.Pointer[func(sqlstore.Stage) error]
}

func newHouse(t *testing.T, o sqlstore.Options) *house {
	t.Helper()
	h := &house{T: t}
	o.Fault = func(_ context.Context, stage sqlstore.Stage) error {
		if fn := h.hook.Load(); fn != nil {
			return (*fn)(stage)
		}
		return nil
	}
	h.store = openOwn(t, o)
	h.eyes = openEyes(t, o)
	return h
}

// each runs fn for every model with a database of its own, and ends when all have ended.
func each(t *testing.T, database string, fn func(t *testing.T, m model, o sqlstore.Options)) {
	t.Helper()
	t.Run(database, func(t *testing.T) {
		for _, m := range models {
			t.Run(m.String(), func(t *testing.T) {
				t.Parallel()
				if database == "sqlite" {
					fn(t, m, sqlstore.Options{Path: t.TempDir() + "/own.db"})
				} else {
					fn(t, m, sqlstore.Options{DSN: pgtest.Database(t)})
				}
			})
		}
	})
}

// eyes see the committed rows of a database.
type eyes struct {
	db  *sql.DB
	all *sql.Stmt // every row of every table as text, and of users the sub and the name
}

func openEyes(t *testing.T, o sqlstore.Options) *eyes {
	t.Helper()
	driver, source := "pgx", o.DSN
	columns := `SELECT table_name, column_name, CASE data_type WHEN 'bytea' THEN 'blob' ELSE '' END FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%' ORDER BY table_name, ordinal_position`
	literals := map[string]string{"": `quote_nullable(%s::text)`, "blob": `'X'||quote_nullable(encode(%s, 'hex'))`}
	if o.Path != "" {
		driver, source = "sqlite", "file:"+o.Path+"?_pragma=query_only(1)&_pragma=busy_timeout(5000)"
		columns = `SELECT t.name, c.name, '' FROM sqlite_master t, pragma_table_info(t.name) c
			WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE 'goose%' ORDER BY t.name, c.cid`
		literals = map[string]string{"": `quote(%s)`}
	}
	db, err := sql.Open(driver, source)
	want.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { want.NoError(t, db.Close()) })
	e := &eyes{db: db}
	cells, tables := map[string]string{}, []string{}
	e.query(t, columns, func(v []sql.NullString) {
		table, column := v[0].String, v[1].String
		if cells[table] == "" {
			tables = append(tables, table)
			cells[table] = `'` + table + `:'`
		}
		cells[table] += `||' ` + column + `='||` + fmt.Sprintf(literals[v[2].String], column)
	})
	// One query for all of them: there are many tables, most of them empty, and they are read before and after every request.
	for i, table := range tables {
		user := `NULL, NULL`
		if table == "users" {
			user = `sub, username`
		}
		tables[i] = `SELECT ` + cells[table] + `, ` + user + ` FROM ` + table
	}
	e.all, err = db.PrepareContext(t.Context(), strings.Join(tables, ` UNION ALL `))
	want.NoError(t, err)
	return e
}

// query runs a query and gives fn the values of each row.
func (e *eyes) query(t *testing.T, text string, fn func(values []sql.NullString)) {
	t.Helper()
	rows, err := e.db.QueryContext(t.Context(), text)
	want.NoError(t, err)
	read(t, rows, fn)
}

func read(t *testing.T, rows *sql.Rows, fn func(values []sql.NullString)) {
	t.Helper()
	defer func() { want.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	want.NoError(t, err)
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		want.NoError(t, rows.Scan(into...))
		fn(values)
	}
	want.NoError(t, rows.Err())
}

// snapshot is every committed row of a database.
type snapshot struct {
	rows  map[string]bool   // as text: `table: column='value' ...`; keys make them different from each other
	names map[string]string // user names by sub
}

// look takes a snapshot.
func (e *eyes) look(t *testing.T) snapshot {
	t.Helper()
	s := snapshot{rows: map[string]bool{}, names: map[string]string{}}
	rows, err := e.all.QueryContext(t.Context())
	want.NoError(t, err)
	read(t, rows, func(values []sql.NullString) {
		want.True(t, values[0].Valid, "every cell of a row has a text")
		s.rows[values[0].String] = true
		if values[1].Valid {
			s.names[values[1].String] = values[2].String
		}
	})
	want.True(t, len(s.rows) > 0, "the database has rows")
	return s
}

var (
	blobText   = regexp.MustCompile(`X'[0-9A-Fa-f]*'`)
	poolText   = regexp.MustCompile(`us-east-1_[0-9A-Za-z]{9}`)
	clientText = regexp.MustCompile(`\b[0-9a-z]{26}\b`)
	keyText    = regexp.MustCompile(`[0-9A-Za-z+/]{43}=`)
	uuidText   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// change is what is different between two snapshots, in an order and with names instead of what is drawn at random,
// so that the same change in two worlds is the same text.
func (w *world) change(before, after snapshot, request string) []string {
	names := []string{w.pool.ID, "<pool>", request, "<request>"}
	for _, s := range []snapshot{before, after} {
		for sub, name := range s.names {
			names = append(names, sub, "<sub of "+name+">")
		}
	}
	known := strings.NewReplacer(names...)
	var lines []string
	add := func(sign string, in, notIn map[string]bool) {
		for row := range in {
			if notIn[row] {
				continue
			}
			row = blobText.ReplaceAllString(known.Replace(row), "X''")
			row = keyText.ReplaceAllString(row, "<key>")
			row = clientText.ReplaceAllString(poolText.ReplaceAllString(row, "<new pool>"), "<client>")
			lines = append(lines, sign+" "+uuidText.ReplaceAllString(row, "<uuid>"))
		}
	}
	add("-", before.rows, after.rows)
	add("+", after.rows, before.rows)
	slices.Sort(lines)
	return lines
}

// withoutMessages are the lines of a change that are not about the delivery of messages.
func withoutMessages(change []string) []string {
	return slices.DeleteFunc(slices.Clone(change), func(line string) bool {
		return strings.HasPrefix(line[2:], "outbox:") || strings.HasPrefix(line[2:], "inbox:")
	})
}

// round is one world in which one request is made.
type round struct {
	*world
	m      model
	body   string
	before snapshot
}

// round makes the world of a model in the house and takes its picture.
func (h *house) round(m model) *round {
	h.Helper()
	w := newWorld(h.T, h.store, m.settings)
	r := &round{world: w, m: m, body: m.prepare(w)}
	w.sent()
	w.ran()
	w.pipeline.Settings.Forget(w.pool.ID) // the request has to read pool and client, and the key of a token
	w.pipeline.Tokens = &tokens.Tokens{Store: w.store, Clock: w.clock}
	w.clock.Set(start.Add(time.Minute))
	r.before = h.eyes.look(h.T)
	return r
}

// send makes the round's request. During it every storage call goes to the hook, which is told its number.
func (h *house) send(r *round, hook func(k int, stage sqlstore.Stage) error) (request string, reply dispatch.Reply) {
	h.Helper()
	calls := -1
	counted := func(stage sqlstore.Stage) error {
		calls++
		return hook(calls, stage)
	}
	h.hook.Store(&counted)
	defer h.hook.Store(nil)
	return r.request(r.m.operation, r.body)
}

// effect is what a request without faults does: the states that are committed one after the other, each as the change
// against the state before, and all else that can be seen.
type effect struct {
	states [][]string // none for an operation that only reads
	sent   []string
	answer string
	calls  []sqlstore.Stage
}

// final is the change that the whole request makes.
func (e *effect) final() []string {
	if len(e.states) == 0 {
		return nil
	}
	return e.states[len(e.states)-1]
}

// effect makes a model's request once without faults, looks at what is committed at every storage call, and holds
// that everything that is not the delivery of a message is committed at once, together with the journal's line.
func (h *house) effect(m model) *effect {
	h.Helper()
	r, e := h.round(m), &effect{}
	var seen []snapshot
	request, reply := h.send(r, func(_ int, stage sqlstore.Stage) error {
		e.calls = append(e.calls, stage)
		seen = append(seen, h.eyes.look(h.T))
		return nil
	})
	want.True(h, reply.Err == nil, "%s answers %v, %v", m, reply.Err, reply.Cause)
	e.answer, e.sent = r.answer(reply), r.sent()
	for _, s := range append(seen, h.eyes.look(h.T)) {
		if c := r.change(r.before, s, request); len(c) > 0 && !slices.Equal(c, e.final()) {
			e.states = append(e.states, c)
		}
	}
	want.True(h, len(e.states) > 0 == reply.Spec.Writes, "%s writes: %v, committed states: %d", m, reply.Spec.Writes, len(e.states))
	for _, state := range e.states {
		want.Equal(h, withoutMessages(state), withoutMessages(e.states[0]))
		entries := slices.DeleteFunc(slices.Clone(state), func(line string) bool { return !strings.Contains(line, "journal:") })
		if silent[m.String()] {
			want.Equal(h, len(entries), 0)
			continue
		}
		want.True(h, len(entries) == 1 && strings.HasPrefix(entries[0], `+ journal: request_id='<request>'`), "journal has one line: %q", entries)
	}
	want.True(h, len(e.calls) > 0, "%s makes storage calls", m)
	return e
}

// answer is the text of a reply without what is drawn at random.
func (r *round) answer(reply dispatch.Reply) string {
	r.Helper()
	text := strings.ReplaceAll(r.text(reply), r.pool.ID, "<pool>")
	text = clientText.ReplaceAllString(poolText.ReplaceAllString(text, "<new pool>"), "<client>")
	for _, random := range []string{"ClientSecret", "NextToken", "PaginationToken", "SecretCode", "AccessToken", "IdToken", "RefreshToken", "Session", "SALT", "SRP_B", "SECRET_BLOCK"} {
		text = regexp.MustCompile(`"`+random+`":"[^"]*"`).ReplaceAllString(text, `"`+random+`":""`)
	}
	return uuidText.ReplaceAllString(text, "<uuid>")
}

// judge compares what became of a request under a fault with its effect: the whole of it with an answer that does
// not ask for a repetition, or nothing with one that does. It returns what was committed.
func (h *house) judge(r *round, e *effect, request string, reply dispatch.Reply, where string) (got []string) {
	h.Helper()
	got = r.change(r.before, h.eyes.look(h.T), request)
	sent := r.sent()
	if len(got) == 0 {
		if !reply.Spec.Writes && reply.Err == nil {
			if got := r.answer(reply); got != e.answer && r.m.operation != "ListUserPools" { // that lists the other worlds too
				h.Errorf("%s: answers %s, want %s", where, got, e.answer)
			}
			return nil
		}
		if reply.Err == nil || !reply.Err.Code.Server() && reply.Err.Code != fault.TooManyRequestsException {
			h.Errorf("%s: answers %v although nothing is committed", where, reply.Err)
		}
		if len(sent) > 0 {
			h.Errorf("%s: sent %q although nothing is committed", where, sent)
		}
		return nil
	}
	i := slices.IndexFunc(e.states, func(state []string) bool { return slices.Equal(state, got) })
	if i < 0 {
		h.Errorf("%s: half of the change is committed (-whole +got):\n%s", where, cmp.Diff(e.final(), got))
	}
	switch {
	case reply.Err == nil:
		if got := r.answer(reply); got != e.answer {
			h.Errorf("%s: answers %s, want %s", where, got, e.answer)
		}
	case reply.Err.Code.Server() || !reply.Spec.Lists(reply.Err.Code):
		h.Errorf("%s: answers %v (%v) although the change is committed", where, reply.Err, reply.Cause)
	}
	if len(sent) > len(e.sent) || i == len(e.states)-1 && !slices.Equal(sent, e.sent) {
		h.Errorf("%s: sent %q, want %q", where, sent, e.sent)
	}
	return got
}

// again repeats a request of which nothing was committed: now it must do everything. Where a step was passed ahead, it must do nothing.
func (h *house) again(r *round, e *effect, where string) {
	h.Helper()
	if before := h.eyes.look(h.T); r.over(before) {
		request, reply := r.request(r.m.operation, r.body)
		if text := r.text(reply); text != usedSession {
			h.Errorf("%s: the repeated request answers %s", where, text)
		}
		if got := r.world.change(before, h.eyes.look(h.T), request); len(got) > 0 {
			h.Errorf("%s: the repeated request changes %q", where, got)
		}
		return
	}
	request, reply := r.request(r.m.operation, r.body)
	got := h.judge(r, e, request, reply, where+", repeated")
	if reply.Err != nil || !slices.Equal(got, e.final()) {
		h.Errorf("%s: the repeated request answers %v (-want +got):\n%s", where, reply.Err, cmp.Diff(e.final(), got))
	}
}

// TestWalkStorageCalls fails every storage call of every operation in turn, by an error. Either all of the change is
// there or nothing, the answer says which, and the next request finds a server that works.
func TestWalkStorageCalls(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"sqlite", "postgres"} {
		var calls, committed atomic.Int64
		each(t, database, func(t *testing.T, m model, o sqlstore.Options) {
			h := newHouse(t, o)
			e := h.effect(m)
			for k, stage := range e.calls {
				where := fmt.Sprintf("call %d, %s", k, stage)
				calls.Add(1)
				if h.attempt(m, e, where, func(i int) error {
					if i == k {
						return errInjected
					}
					return nil
				}) {
					committed.Add(1)
				}
			}
		})
		t.Logf("%s: %d operations × %d storage calls failed by error, %d of them after the commit, %s", database, operations(), calls.Load(), committed.Load(), verdict(t))
	}
}

// attempt makes the request of a model under a fault and judges it. A request that came to nothing is made again.
func (h *house) attempt(m model, e *effect, where string, fail func(call int) error) (committed bool) {
	h.Helper()
	r := h.round(m)
	fired := false
	request, reply := h.send(r, func(i int, _ sqlstore.Stage) error {
		err := fail(i)
		fired = fired || err != nil
		return err
	})
	if len(h.judge(r, e, request, reply, where)) > 0 {
		return true
	}
	if fired && reply.Err == nil {
		h.Errorf("%s: failed, and the answer does not show it", where)
	}
	if reply.Err != nil {
		h.again(r, e, where)
	}
	return false
}

// TestWalkCrashes kills the server, in effect, at every storage call of every operation: it keeps what is in the folder of the
// SQLite file at that moment, and opens it with a new store. What was acknowledged must be there, and of the change all
// or nothing. Then it tears the commits: their part of the log is there in half, short by one byte, or with a sector that
// holds something else.
func TestWalkCrashes(t *testing.T) {
	t.Parallel()
	var calls, opened, torn atomic.Int64
	each(t, "sqlite", func(t *testing.T, m model, o sqlstore.Options) {
		h := newHouse(t, o)
		e := h.effect(m)
		r := h.round(m)
		h.mark(m.String())
		r.before = h.eyes.look(t)
		var crashes []crash
		keep := func(stage sqlstore.Stage) {
			crashes = append(crashes, crash{stage, keepFiles(t, o.Path), h.eyes.look(t)})
		}
		request, reply := h.send(r, func(_ int, stage sqlstore.Stage) error { keep(stage); return nil })
		want.True(t, reply.Err == nil, "%v", reply.Err)
		keep("answered")
		for k, c := range crashes {
			calls.Add(1)
			if state := r.change(r.before, c.committed, request); len(state) > 0 && !slices.ContainsFunc(e.states, func(s []string) bool { return slices.Equal(s, state) }) {
				t.Errorf("crash at call %d: half of the change is committed (-whole +got):\n%s", k, cmp.Diff(e.final(), state))
			}
			if k > 0 && c.files.same(crashes[k-1].files) { // a transaction writes nothing before its commit
				want.True(t, maps.Equal(c.committed.rows, crashes[k-1].committed.rows), "the same files hold the same rows")
				continue
			}
			where := fmt.Sprintf("crash at call %d, %s", k, c.stage)
			c.survives(t, c.files, m.String(), where)
			c.survives(t, files{"": c.files[""], "-wal": c.files["-wal"]}, m.String(), where+", without the log's index")
			opened.Add(2)
		}
		for k, c := range crashes {
			if c.stage != sqlstore.StageCommit {
				continue
			}
			for name, log := range tears(t, c.files["-wal"], crashes[k+1].files["-wal"]) {
				c.survives(t, files{"": c.files[""], "-wal": log}, m.String(), fmt.Sprintf("commit at call %d, %s", k, name))
				torn.Add(1)
			}
		}
		want.Equal(t, r.change(r.before, crashes[len(crashes)-1].committed, request), e.final())
	})
	t.Logf("sqlite: %d operations × %d storage calls failed by crash, %d different states of the disk opened, %d torn commits, %s", operations(), calls.Load(), opened.Load(), torn.Load(), verdict(t))
}

// crash is a moment at which the server might have died: what is on the disk, and what was committed.
type crash struct {
	stage     sqlstore.Stage
	files     files
	committed snapshot
}

// files are the contents of a database's file, log and index of the log, by suffix.
type files map[string][]byte

func keepFiles(t *testing.T, path string) files {
	t.Helper()
	f := files{}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(path + suffix)
		want.NoError(t, err)
		f[suffix] = b
	}
	return f
}

// same leaves the index out: readers write into it.
func (f files) same(g files) bool {
	return bytes.Equal(f[""], g[""]) && bytes.Equal(f["-wal"], g["-wal"])
}

// mark commits something, whose acknowledgement a crash must not break.
func (h *house) mark(value string) {
	h.Helper()
	want.NoError(h, h.store.Update(h.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Settings().Put("marker", []byte(value)) }))
}

// survives opens what a crash has left with a new store, and compares it with what was committed and acknowledged.
func (c *crash) survives(t *testing.T, left files, marker, where string) {
	t.Helper()
	path := t.TempDir() + "/crash.db"
	for suffix, b := range left {
		want.NoError(t, os.WriteFile(path+suffix, b, 0o600))
	}
	kek, err := seal.NewKEK([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(t, err)
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: path, Ring: seal.NewRing(kek), Random: chance.System()})
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	want.NoError(t, s.View(t.Context(), func(v store.View) error {
		got, err := v.Settings().Get("marker")
		want.Equal(t, string(got), marker)
		return err
	}))
	rows := openEyes(t, sqlstore.Options{Path: path}).look(t).rows
	for name, sides := range map[string][2]map[string]bool{"is lost": {c.committed.rows, rows}, "was never committed": {rows, c.committed.rows}} {
		for row := range sides[0] {
			if !sides[1][row] {
				t.Errorf("%s: %s: %.400s", where, name, row)
			}
		}
	}
	want.NoError(t, s.Close())
}

// tears returns logs in which a commit, that made the log longer, did not reach the disk whole.
func tears(t *testing.T, before, after []byte) map[string][]byte {
	t.Helper()
	want.True(t, len(after) > len(before) && bytes.HasPrefix(after, before), "the commit made the log longer")
	const sector = 512
	half := (len(before) + len(after)) / 2
	foreign := slices.Clone(after)
	for i := range sector {
		foreign[half+i] ^= 0xff
	}
	return map[string][]byte{"half": after[:half], "short by a byte": after[:len(after)-1], "with a foreign sector": foreign}
}

// TestWalkLostConnections ends the connections to PostgreSQL at every storage call of every operation. If the server
// comes back at once, the request is carried out, and once; if it stays away, all of the change is there or nothing.
// Every COMMIT is cut off as well, before it arrives and before its answer does: the outcome is found out.
func TestWalkLostConnections(t *testing.T) {
	t.Parallel()
	var calls, gone, commits atomic.Int64
	each(t, "postgres", func(t *testing.T, m model, o sqlstore.Options) {
		direct := o
		c := cutConnections(t, &o)
		h := newHouse(t, o)
		h.eyes = openEyes(t, direct)
		e := h.effect(m)
		kill := func() { // and wait until they are gone
			h.eyes.query(t, `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'poolhouse'`,
				func(ended []sql.NullString) { want.Equal(t, ended[0].String, "true") })
		}
		for k, stage := range e.calls {
			h.held(m, e, fmt.Sprintf("connection lost at call %d, %s", k, stage), func(i int) {
				if i == k {
					kill()
				}
			})
			calls.Add(1)
			away := false
			h.attempt(m, e, fmt.Sprintf("server gone at call %d, %s", k, stage), func(i int) error {
				if i == k {
					kill()
				}
				if away = away || i == k; away {
					return errInjected
				}
				return nil
			})
			gone.Add(1)
			if stage != sqlstore.StageCommit {
				continue
			}
			for mode, name := range map[int32]string{cutBefore: "COMMIT", cutAfter: "answer to the COMMIT"} {
				h.held(m, e, fmt.Sprintf("%s lost at call %d", name, k), func(i int) {
					if i == k {
						c.mode.Store(mode)
					}
				})
				want.Equal(t, c.mode.Load(), int32(passOn))
				commits.Add(1)
			}
		}
	})
	t.Logf("postgres: %d operations × %d storage calls failed by a lost connection and %d by a lost server, %d commits cut off, %s", operations(), calls.Load(), gone.Load(), commits.Load(), verdict(t))
}

// held makes a request while a connection is lost, and wants it to succeed as if nothing had happened.
func (h *house) held(m model, e *effect, where string, at func(call int)) {
	h.Helper()
	r := h.round(m)
	request, reply := h.send(r, func(i int, _ sqlstore.Stage) error { at(i); return nil })
	committed := h.judge(r, e, request, reply, where)
	if reply.Err != nil || len(committed) > 0 != reply.Spec.Writes {
		h.Errorf("%s: answers %v, %v", where, reply.Err, reply.Cause)
	}
}

// cutter passes bytes on to a PostgreSQL server, and cuts a connection at the next COMMIT if it is told to.
type cutter struct {
	target string
	mode   atomic.Int32
}

// The places of the cut.
const (
	passOn    = iota
	cutBefore // the server never sees the COMMIT
	cutAfter  // the client never sees the answer
)

// cutConnections puts a cutter between the store and its server.
func cutConnections(t *testing.T, o *sqlstore.Options) *cutter {
	t.Helper()
	dsn, err := url.Parse(o.DSN)
	want.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	want.NoError(t, err)
	t.Cleanup(func() { want.NoError(t, l.Close()) })
	c := &cutter{target: dsn.Host}
	dsn.Host = l.Addr().String()
	o.DSN = dsn.String()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	return c
}

func (c *cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var swallow atomic.Bool
	go func() {
		defer func() { _ = client.Close() }()
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			if n > 0 && swallow.Load() {
				return // this is the answer, so the COMMIT has happened
			}
			if _, failed := client.Write(b[:n]); err != nil || failed != nil {
				return
			}
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := client.Read(b)
		if bytes.Contains(bytes.ToLower(b[:n]), []byte("commit\x00")) {
			switch {
			case c.mode.CompareAndSwap(cutBefore, passOn):
				return
			case c.mode.CompareAndSwap(cutAfter, passOn):
				swallow.Store(true)
			}
		}
		if _, failed := server.Write(b[:n]); err != nil || failed != nil {
			return
		}
	}
}

// operations counts those that have a model.
func operations() int {
	names := map[string]bool{}
	for _, m := range models {
		names[m.operation] = true
	}
	return len(names)
}

func verdict(t *testing.T) string {
	if t.Failed() {
		return "with violations"
	}
	return "0 violations"
}
