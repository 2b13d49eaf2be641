package ops_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/mailer"
	"github.com/poolhouse/poolhouse/internal/adapter/texter"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/smtpd"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func str(s string) *string { return &s }

// vectorPool is the pool of the test vectors.
func vectorPool(s *pool.Settings) {
	s.AutoVerified = []string{pool.Email}
	s.Custom = []pool.Attribute{
		{Name: "custom:tier", Type: pool.String, Mutable: true, Min: str("1"), Max: str("10"), Given: true},
		{Name: "custom:ref", Type: pool.String},
		{Name: "custom:score", Type: pool.Number, Mutable: true, Min: str("0"), Max: str("100"), Given: true},
		{Name: "custom:flag", Type: pool.Boolean, Mutable: true},
		{Name: "dev:custom:note", Type: pool.String, Mutable: true, DeveloperOnly: true},
	}
	s.Standard = map[string]pool.Attribute{"name": {Name: "name", Type: pool.String, Mutable: true, Required: true, Min: str("0"), Max: str("2048"), Given: true}}
}

func keepOriginal(s *pool.Settings) { s.VerifyBeforeUpdate = []string{pool.Email} }
func aliasPool(s *pool.Settings) {
	s.Aliases = []string{pool.Email, pool.PhoneNumber, pool.PreferredUsername}
}
func usernameAttributes(s *pool.Settings) {
	s.UsernameAttributes = []string{pool.Email, pool.PhoneNumber}
}
func caseInsensitive(s *pool.Settings) { s.CaseSensitive = false }
func phoneToo(s *pool.Settings) {
	s.AutoVerified = []string{pool.Email, pool.PhoneNumber}
	s.Sms = &pool.SmsConfig{CallerArn: "arn:aws:iam::123456789012:role/sms"}
}

const updateSource = "CustomMessage_UpdateUserAttribute"

// vectorUser is user u of the test vectors.
var vectorUser = map[string]string{"name": "N", "email": "a@x.io", "email_verified": "true"}

// with is vectorUser with changes; an empty value removes.
func with(pairs ...string) map[string]string {
	m := maps.Clone(vectorUser)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(m, pairs[i])
		} else {
			m[pairs[i]] = pairs[i+1]
		}
	}
	return m
}

// vector is an update of one user in one pool. want is the answer; after is the complete set of attributes then, nil when
// nothing may have changed; sent is the complete list of messages.
type vector struct {
	name   string
	pool   func(*pool.Settings)
	user   map[string]string // nil: vectorUser
	change func(*user.Record)
	attrs  string // `name=value, ...`
	raw    string // instead of attrs: the JSON of UserAttributes
	want   string // "" means {}
	after  map[string]string
	sent   []string
}

func (v vector) attributes() map[string]string {
	if v.user == nil {
		return vectorUser
	}
	return v.user
}

// body is the JSON of UserAttributes.
func (v vector) body() string {
	if v.raw == "" {
		return list(v.attrs)
	}
	return v.raw
}

var vectors = []vector{
	{name: "V01 custom attribute", attrs: "custom:tier=gold", after: with("custom:tier", "gold")},
	{name: "V02 email without flag", attrs: "email=b@x.io", after: with("email", "b@x.io", "email_verified", "false"), sent: []string{"EMAIL b@x.io " + updateSource}},
	{name: "V03 email with flag", attrs: "email=b@x.io, email_verified=true", after: with("email", "b@x.io")},
	{name: "V04 flag before email", attrs: "email_verified=true, email=b@x.io", after: with("email", "b@x.io")},
	{name: "V05 flag false alone", attrs: "email_verified=false", after: with("email_verified", "false")},
	{name: "V06 the same email again", attrs: "email=a@x.io", after: with("email_verified", "false"), sent: []string{"EMAIL a@x.io " + updateSource}},
	{name: "V07 phone number, not auto-verified", attrs: "phone_number=+15551234567", after: with("phone_number", "+15551234567", "phone_number_verified", "false")},
	{name: "V08 phone flag without number", attrs: "phone_number_verified=true", want: invalid("Phone Number is required to verify/un-verify a phone number")},
	{name: "V09 phone number without plus", attrs: "phone_number=5551234567", want: invalid("Invalid phone number format.")},
	{name: "V09 phone number with a space", attrs: "phone_number=+1 555", want: invalid("Invalid phone number format.")},
	{name: "V09 phone number with a letter", attrs: "phone_number=+1555x", want: invalid("Invalid phone number format.")},
	{name: "V10 no email address", attrs: "email=nope", want: invalid("Invalid email address format.")},
	{name: "V11 immutable", attrs: "custom:ref=1", want: invalid("user.custom:ref: Attribute cannot be updated.\n")},
	{name: "V12 sub", attrs: "sub=x", want: invalid("Cannot modify the non-mutable attribute sub")},
	{name: "V12 sub empty", attrs: "sub=", want: invalid("Cannot modify the non-mutable attribute sub")},
	{name: "V12 sub before all others", attrs: "nope=1, sub=x", want: invalid("Cannot modify the non-mutable attribute sub")},
	{name: "V13 unknown custom attribute", attrs: "custom:nope=1", want: invalid("user.custom:nope: Attribute does not exist in the schema.\n")},
	{name: "V14 custom attribute without prefix", attrs: "tier=gold", want: invalid("user.tier: Attribute does not exist in the schema.\n")},
	{name: "V14 custom attribute in other letter case", attrs: "custom:Tier=gold", want: invalid("user.custom:Tier: Attribute does not exist in the schema.\n")},
	{name: "V15 two unknown", attrs: "nope1=1, nope2=2", want: invalid("user.nope1: Attribute does not exist in the schema.\nuser.nope2: Attribute does not exist in the schema.\n")},
	{name: "V15 unknown and immutable together", attrs: "custom:ref=1, nope=2", want: invalid("user.custom:ref: Attribute cannot be updated.\nuser.nope: Attribute does not exist in the schema.\n")},
	{name: "V16 empty deletes", user: with("custom:tier", "gold"), attrs: "custom:tier=", after: with()},
	{name: "V17 required blanked", attrs: "name=", want: invalid("Invalid user attributes: name.formatted: The attribute name.formatted is required")},
	{name: "V18 too long", attrs: "custom:tier=elevenchars", want: invalid("user.custom:tier: String must be no longer than 10 characters\n")},
	{name: "V18 ten characters of four bytes", attrs: "custom:tier=" + strings.Repeat("\U0001F600", 10), after: with("custom:tier", strings.Repeat("\U0001F600", 10))},
	{name: "V19 number too big", attrs: "custom:score=101", want: invalid("user.custom:score: Number must be no greater than 100\n")},
	{name: "V19 number too small", attrs: "custom:score=-1", want: invalid("user.custom:score: Number must be no less than 0\n")},
	{name: "V19 not a number", attrs: "custom:score=abc", want: invalid("user.custom:score: Value must be a number\n")},
	{name: "V19 a fraction", attrs: "custom:score=99.50", after: with("custom:score", "99.50")},
	{name: "V20 boolean in any case", attrs: "custom:flag=TRUE", after: with("custom:flag", "true")},
	{name: "V20 no boolean", attrs: "custom:flag=yes", want: invalid("user.custom:flag: Value must be true or false\n")},
	{name: "V21 developer attribute", attrs: "dev:custom:note=x", after: with("dev:custom:note", "x")},
	{name: "V21 developer attribute by a shorter prefix", attrs: "dev:note=x", want: invalid("user.dev:note: Attribute does not exist in the schema.\n")},
	{name: "V22 birthdate of nine", attrs: "birthdate=2000-01-1", want: invalid("user.birthdate: String must be no shorter than 10 characters\n")},
	{name: "V22 birthdate of ten", attrs: "birthdate=not-a-date", after: with("birthdate", "not-a-date")},
	{name: "V23 one bad of two", attrs: "custom:tier=a, custom:ref=b", want: invalid("user.custom:ref: Attribute cannot be updated.\n")},
	{name: "V24 the same name twice", attrs: "custom:tier=a, custom:tier=b", after: with("custom:tier", "b")},
	{name: "V24 the overridden entry is checked", attrs: "custom:tier=elevenchars, custom:tier=b", want: invalid("user.custom:tier: String must be no longer than 10 characters\n")},
	{name: "V27 entry without name", raw: `[{"Value":"x"}]`, want: invalid("1 validation error detected: Value null at 'userAttributes.1.member.name' failed to satisfy constraint: Member must not be null")},
	{name: "V28 name of 33", attrs: strings.Repeat("n", 33) + "=x", want: invalid("1 validation error detected: Value '" + strings.Repeat("n", 33) + "' at 'userAttributes.1.member.name' failed to satisfy constraint: Member must have length less than or equal to 32")},
	{name: "V29 value of 2049", attrs: "nickname=" + strings.Repeat("v", 2049), want: invalid("1 validation error detected: Value at 'userAttributes.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 2048")},
	{name: "V29 value of 2048", attrs: "nickname=" + strings.Repeat("v", 2048), after: with("nickname", strings.Repeat("v", 2048))},
	{name: "V30 a number as value", raw: `[{"Name":"custom:score","Value":5}]`, want: "SerializationException: class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
	{name: "V31 null as value", raw: `[{"Name":"custom:tier","Value":null}]`, want: invalid("Attribute value for custom:tier must not be null")},
	{name: "V31 no value", raw: `[{"Name":"custom:tier"}]`, want: invalid("Attribute value for custom:tier must not be null")},
	{name: "V42 kept until verified", pool: keepOriginal, attrs: "email=b@x.io", after: with(), sent: []string{"EMAIL b@x.io " + updateSource}},
	{name: "V42 kept, flag false sent", pool: keepOriginal, attrs: "email=b@x.io, email_verified=false", after: with(), sent: []string{"EMAIL b@x.io " + updateSource}},
	{name: "V42 pending without a current value", pool: keepOriginal, user: map[string]string{"name": "N"}, attrs: "email=b@x.io", after: map[string]string{"name": "N"}, sent: []string{"EMAIL b@x.io " + updateSource}},
	{name: "V43 kept, flag true sent", pool: keepOriginal, attrs: "email=b@x.io, email_verified=true", after: with("email", "b@x.io")},
	{name: "V45 disabled", change: func(r *user.Record) { r.Enabled = false }, attrs: "email=b@x.io", after: with("email", "b@x.io", "email_verified", "false"), sent: []string{"EMAIL b@x.io " + updateSource}},
	{name: "V45 external", change: func(r *user.Record) { r.Status = user.ExternalProvider }, attrs: "custom:tier=gold", after: with("custom:tier", "gold")},
	{name: "V45 reset required", change: func(r *user.Record) { r.Status = user.ResetRequired }, attrs: "custom:tier=gold", after: with("custom:tier", "gold")},
	{name: "V46 unconfirmed", change: func(r *user.Record) { r.Status = user.Unconfirmed }, user: with("email_verified", "false"), attrs: "email_verified=true", after: with()},
	{name: "flag false and email, auto-verified", attrs: "email=b@x.io, email_verified=false", after: with("email", "b@x.io", "email_verified", "false"), sent: []string{"EMAIL b@x.io " + updateSource}},
	{name: "flag in any letter case", attrs: "email_verified=TRUE", after: with()},
	{name: "flag of another text", attrs: "email_verified=yes", want: invalid("user.email_verified: Value must be true or false\n")},
	{name: "email emptied", attrs: "email=", after: with("email", "", "email_verified", "")},
	{name: "email emptied with a flag", attrs: "email=, email_verified=true", after: with("email", "", "email_verified", "")},
	{name: "email flag without email", user: map[string]string{"name": "N"}, attrs: "email_verified=false", want: invalid("Email is required to verify/un-verify an email")},
	{name: "both addresses, phone first", pool: phoneToo, attrs: "email=b@x.io, phone_number=+15551234567", after: with("email", "b@x.io", "email_verified", "false", "phone_number", "+15551234567", "phone_number_verified", "false"),
		sent: []string{"SMS +15551234567 " + updateSource, "EMAIL b@x.io " + updateSource}},
	{name: "identities before any provider", attrs: "identities=x", want: invalid("user.identities: Attribute does not exist in the schema.\n")},
	{name: "identities", pool: func(s *pool.Settings) { s.HadProvider = true }, attrs: "identities=[]", want: invalid("user.identities: Attribute cannot be updated.\n")},
	{name: "username is no attribute", attrs: "username=x", want: invalid("user.username: Attribute does not exist in the schema.\n")},
	{name: "cognito:username is no attribute", attrs: "cognito:username=x", want: invalid("user.cognito:username: Attribute does not exist in the schema.\n")},
	{name: "an immutable attribute with a bad value", attrs: "custom:ref=" + strings.Repeat("r", 2048), want: invalid("user.custom:ref: Attribute cannot be updated.\n")},
	{name: "immutable email with its flag", pool: func(s *pool.Settings) {
		s.Standard["email"] = pool.Attribute{Name: "email", Type: pool.String, Min: str("0"), Max: str("2048")}
	}, attrs: "email=b@x.io, email_verified=true", want: invalid("user.email: Attribute cannot be updated.\n")},
	{name: "updated_at negative", attrs: "updated_at=-5", want: invalid("user.updated_at: Number must be no less than 0\n")},
	{name: "updated_at", attrs: "updated_at=1700000000", after: with("updated_at", "1700000000")},
	{name: "address is a plain string", attrs: `address={"formatted":"x"}`, after: with("address", `{"formatted":"x"}`)},
	{name: "values are kept as given", attrs: "nickname=  N\u0308 \t", after: with("nickname", "  N\u0308 \t")},
	{name: "the null character", raw: `[{"Name":"nickname","Value":"a\u0000b"}]`, want: invalid("The value of nickname contains the null character.")},
	{name: "preferred_username is an ordinary string", attrs: "preferred_username=u", after: with("preferred_username", "u")},
	{name: "empty value of a flag", attrs: "email_verified=", after: with("email_verified", "false")},
}

func TestAdminUpdateUserAttributes(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, v.pool), func(w *world) {
				u := w.addUser("u", v.attributes(), func(r *user.Record) {
					if v.change != nil {
						v.change(r)
					}
				})
				w.clock.Advance(time.Minute)
				expected := v.want
				if expected == "" {
					expected = "{}"
				}
				want.Equal(w, w.update1("u", v.body()), expected)
				now := w.stored(u)
				after, modified, entries := v.after, start.Add(time.Minute), 1
				if v.want != "" {
					after, modified, entries = v.attributes(), u.Modified, 0
				}
				want.Equal(w, now.Attributes, after)
				want.Equal(w, now.Modified, modified)
				want.Equal(w, now.Status, u.Status)
				want.Equal(w, now.Enabled, u.Enabled)
				want.Equal(w, w.sent(), v.sent)
				want.Equal(w, w.ran(), nil)
				want.Equal(w, len(w.journal(u.Sub)), entries)
				want.Equal(w, w.due(), 0)
			})
		})
	}
}

func TestAdminUpdateUserAttributesOrderAndAbsence(t *testing.T) {
	t.Parallel()
	type row struct{ name, body, want string }
	for _, r := range []row{
		{"V25 empty list", `{"UserPoolId":"$pool","Username":"u","UserAttributes":[]}`, "{}"},
		{"V26 no list", `{"UserPoolId":"$pool","Username":"u"}`, invalid("1 validation error detected: Value null at 'userAttributes' failed to satisfy constraint: Member must not be null")},
		{"V26 nothing at all", `{}`, invalid("3 validation errors detected: Value null at 'userPoolId' failed to satisfy constraint: Member must not be null; Value null at 'username' failed to satisfy constraint: Member must not be null; Value null at 'userAttributes' failed to satisfy constraint: Member must not be null")},
		{"V32 unknown pool", `{"UserPoolId":"us-east-1_Unknown00","Username":"u","UserAttributes":[]}`, "ResourceNotFoundException: User pool us-east-1_Unknown00 does not exist."},
		{"V33 malformed pool id", `{"UserPoolId":"abc","Username":"u","UserAttributes":[]}`, invalid(`1 validation error detected: Value 'abc' at 'userPoolId' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w-]+_[0-9a-zA-Z]+`)},
		{"V34 unknown user", `{"UserPoolId":"$pool","Username":"nobody","UserAttributes":[]}`, "UserNotFoundException: User does not exist."},
		{"V34 unknown user before bad names", `{"UserPoolId":"$pool","Username":"nobody","UserAttributes":[{"Name":"sub","Value":"x"}]}`, "UserNotFoundException: User does not exist."},
		{"constraints before the pool", `{"UserPoolId":"us-east-1_Unknown00","Username":"a b","UserAttributes":[]}`, invalid(`1 validation error detected: Value at 'username' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}]+`)},
		{"user name of another letter case", `{"UserPoolId":"$pool","Username":"U","UserAttributes":[]}`, "UserNotFoundException: User does not exist."},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, vectorPool, func(w *world) {
				u := w.addUser("u", vectorUser)
				w.clock.Advance(time.Minute)
				want.Equal(w, w.call("AdminUpdateUserAttributes", r.body), r.want)
				want.Equal(w, w.stored(u), u)
				want.Equal(w, w.journal(u.Sub), nil)
				want.Equal(w, w.sent(), nil)
			})
		})
	}
}

func TestAdminUpdateUserAttributesV35ToV41(t *testing.T) {
	t.Parallel()
	t.Run("V35 by sub", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			u := w.addUser("u", vectorUser)
			want.Equal(w, w.update1(u.Sub, list("custom:tier=gold")), "{}")
			want.Equal(w, w.stored(u).Attributes, with("custom:tier", "gold"))
		})
	})
	t.Run("V36 alias pool, by verified email", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			u := w.addUser("u", vectorUser)
			want.Equal(w, w.update1("a@x.io", list("custom:tier=gold")), "{}")
			want.Equal(w, w.stored(u).Attributes, with("custom:tier", "gold"))
		})
	})
	t.Run("V37 alias pool, by unverified email", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			w.addUser("u", with("email_verified", "false"))
			want.Equal(w, w.update1("a@x.io", list("custom:tier=gold")), "UserNotFoundException: User does not exist.")
		})
	})
	t.Run("V38 alias pool, alias moves with the flag", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			u, v := w.addUser("u", vectorUser), w.addUser("v", map[string]string{"name": "V"})
			w.clock.Advance(time.Minute)
			want.Equal(w, w.update1("v", list("email=a@x.io, email_verified=true")), "{}")
			want.Equal(w, w.stored(u).Attributes, with("email_verified", "false"))
			want.Equal(w, w.stored(u).Modified, start.Add(time.Minute))
			want.Equal(w, w.stored(v).Attributes, map[string]string{"name": "V", "email": "a@x.io", "email_verified": "true"})
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "v")
			want.Equal(w, w.journal(v.Sub), []string{"AdminUpdateUserAttributes email email_verified moved:email:" + u.Sub})
			want.Equal(w, w.sent(), nil)
		})
	})
	t.Run("V38 alias pool, alias moves by the flag alone", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			u, v := w.addUser("u", vectorUser), w.addUser("v", with("email_verified", "false"))
			want.Equal(w, w.update1("v", list("email_verified=true")), "{}")
			want.Equal(w, w.stored(u).Attributes, with("email_verified", "false"))
			want.Equal(w, w.stored(v).Attributes, vectorUser)
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "v")
		})
	})
	t.Run("V39 alias pool, claim without flag", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			u, v := w.addUser("u", vectorUser), w.addUser("v", map[string]string{"name": "V"})
			want.Equal(w, w.update1("v", list("email=a@x.io")), "{}")
			want.Equal(w, w.stored(u), u)
			want.Equal(w, w.stored(v).Attributes["email_verified"], "false")
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "u")
		})
	})
	t.Run("alias pool, own alias ends with an unverified change", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool), func(w *world) {
			w.addUser("u", vectorUser)
			want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "")
			want.Equal(w, w.owner(user.Emails, "b@x.io"), "")
		})
	})
	t.Run("alias pool, own alias holds until verified", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, aliasPool, keepOriginal), func(w *world) {
			w.addUser("u", vectorUser)
			want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "u")
		})
	})
	t.Run("V40 username attributes, taken email", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes), func(w *world) {
			w.addUser("s1", with("email_verified", "false"), byEmail)
			v := w.addUser("s2", map[string]string{"name": "V", "email": "v@x.io"}, byEmail)
			want.Equal(w, w.update1("s2", list("email=a@x.io")), "AliasExistsException: An account with the given email already exists.")
			want.Equal(w, w.update1("s2", list("email=a@x.io, email_verified=true")), "AliasExistsException: An account with the given email already exists.")
			want.Equal(w, w.stored(v), v)
			want.Equal(w, w.sent(), nil)
		})
	})
	t.Run("V40 username attributes, taken phone number", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes), func(w *world) {
			w.addUser("s1", with("phone_number", "+15550001"), byEmail)
			w.addUser("s2", map[string]string{"name": "V", "email": "v@x.io"}, byEmail)
			want.Equal(w, w.update1("s2", list("phone_number=+15550001")), "AliasExistsException: An account with the given phone_number already exists.")
			want.Equal(w, w.update1("+15550001", list("name=X")), "UserNotFoundException: User does not exist.")
		})
	})
	t.Run("V40 username attributes, taken email while the old one is kept", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes, keepOriginal), func(w *world) {
			w.addUser("s1", vectorUser, byEmail)
			v := w.addUser("s2", map[string]string{"name": "V", "email": "v@x.io"}, byEmail)
			want.Equal(w, w.update1("s2", list("email=a@x.io")), "AliasExistsException: An account with the given email already exists.")
			want.Equal(w, w.stored(v), v)
			want.Equal(w, w.sent(), nil)
		})
	})
	t.Run("V41 username attributes, own email changes", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes), func(w *world) {
			u := w.addUser("s1", vectorUser, byEmail)
			want.Equal(w, w.update1("a@x.io", list("email=b@x.io")), "{}")
			want.Equal(w, w.update1("a@x.io", list("name=X")), "UserNotFoundException: User does not exist.")
			want.Equal(w, w.update1("b@x.io", list("name=X")), "{}")
			now := w.stored(u)
			want.Equal(w, []string{now.Username, now.Sub}, []string{u.Username, u.Sub})
		})
	})
	t.Run("username attributes, own email in other letter case", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes, caseInsensitive), func(w *world) {
			u := w.addUser("s1", vectorUser, byEmail)
			want.Equal(w, w.update1("A@X.io", list("email=A@x.io, email_verified=true")), "{}")
			want.Equal(w, w.stored(u).Attributes["email"], "A@x.io")
			want.Equal(w, w.owner(user.Emails, "a@x.io"), "s1")
		})
	})
	t.Run("username attributes, the only sign-in name cannot be emptied", func(t *testing.T) {
		t.Parallel()
		onBoth(t, both(vectorPool, usernameAttributes), func(w *world) {
			w.addUser("s1", vectorUser, byEmail)
			want.Equal(w, w.update1("s1", list("email=")), invalid("Invalid user attributes: emails: The attribute emails is required"))
		})
	})
}

func byEmail(r *user.Record) { r.SignInAttribute = pool.Email }

func TestAdminUpdateUserAttributesV44PendingIsReplaced(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, keepOriginal), func(w *world) {
		u := w.addUser("u", vectorUser)
		want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
		first := w.code()
		w.clock.Advance(time.Second)
		want.Equal(w, w.update1("u", list("email=c@x.io")), "{}")
		second := w.code()
		want.Equal(w, w.stored(u).Pending, map[string]user.Pending{"email": {Value: "c@x.io", Requested: start.Add(time.Second)}})
		w.view(func(v store.View) error {
			code, err := v.Codes().Get(w.pool.ID, u.Sub, verify.Email)
			if err != nil {
				return err
			}
			want.Equal(w, code.Target, "c@x.io")
			want.Equal(w, code.Expires, start.Add(time.Second+24*time.Hour))
			for plain, right := range map[string]bool{first: first == second, second: true} {
				ok, err := v.Codes().Matches(w.pool.ID, u.Sub, verify.Email, secret.New(plain))
				if err != nil {
					return err
				}
				want.Equal(w, ok, right)
			}
			return nil
		})
		// A value with its flag commits at once and drops what was pending, and its code.
		want.Equal(w, w.update1("u", list("email=d@x.io, email_verified=true")), "{}")
		now := w.stored(u)
		want.Equal(w, len(now.Pending), 0)
		want.Equal(w, now.Attributes, with("email", "d@x.io"))
		w.view(func(v store.View) error {
			_, err := v.Codes().Get(w.pool.ID, u.Sub, verify.Email)
			return nothing(err)
		})
	})
}

func TestAdminUpdateUserAttributesV47ClientMetadata(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, withHook("CustomMessage")), func(w *world) {
		u := w.addUser("u", vectorUser)
		body := `{"UserPoolId":"$pool","Username":"u","UserAttributes":%s,"ClientMetadata":{"k":"v"}}`
		want.Equal(w, w.call("AdminUpdateUserAttributes", fmt.Sprintf(body, list("custom:tier=gold"))), "{}")
		want.Equal(w, w.ran(), nil)
		want.Equal(w, w.call("AdminUpdateUserAttributes", fmt.Sprintf(body, list("email=b@x.io"))), "{}")
		w.hooks.mu.Lock()
		e := w.hooks.events[0]
		w.hooks.mu.Unlock()
		want.Equal(w, e.TriggerSource, updateSource)
		want.Equal(w, e.UserName, "u")
		want.Equal(w, e.CallerContext["clientId"], "CLIENT_ID_NOT_APPLICABLE")
		want.Equal(w, e.Request["clientMetadata"], any(map[string]any{"k": "v"}))
		want.Equal(w, e.Request["codeParameter"], any("{####}"))
		want.Equal(w, e.Request["usernameParameter"], any(nil))
		attributes := e.Request["userAttributes"].(map[string]any)
		want.Equal(w, []any{attributes["email"], attributes["email_verified"], attributes["sub"], attributes["cognito:user_status"]}, []any{"b@x.io", "false", u.Sub, "CONFIRMED"})
		want.Equal(w, w.ran(), []string{updateSource})
		want.Equal(w, w.sent(), []string{"EMAIL b@x.io " + updateSource})
	})
}

func TestAdminUpdateUserAttributesTriggerFaults(t *testing.T) {
	t.Parallel()
	developer := func(s *pool.Settings) {
		s.Email = pool.EmailConfig{Account: "DEVELOPER", SourceArn: str("arn:aws:ses:us-east-1:123456789012:identity/x.io")}
	}
	answer := func(v any) json.RawMessage { b, _ := json.Marshal(v); return b }
	for _, r := range []struct {
		name   string
		pool   func(*pool.Settings)
		answer json.RawMessage
		err    error
		want   string
	}{
		{name: "V48 function throws", err: &trigger.FunctionError{Message: "boom"}, want: "UserLambdaValidationException: CustomMessage failed with error boom."},
		{name: "cannot be invoked", err: &trigger.Unreachable{Reason: "AccessDeniedException"}, want: "UnexpectedLambdaException: CustomMessage invocation failed due to error AccessDeniedException."},
		{name: "times out", err: trigger.ErrTimeout, want: "UnexpectedLambdaException: Socket timeout while invoking Lambda function"},
		{name: "answer is no JSON", err: trigger.ErrNotJSON, want: "InvalidLambdaResponseException: Invalid lambda function output : Invalid JSON"},
		{name: "answer is null", err: trigger.ErrUnrecognizable, want: "InvalidLambdaResponseException: Unrecognizable lambda output"},
		{name: "text of another type", answer: answer(map[string]any{"emailMessage": 5}), want: "InvalidLambdaResponseException: Unrecognizable lambda output"},
		{name: "own text with the default sender", answer: answer(map[string]any{"emailMessage": "code {####}"}), want: "InvalidLambdaResponseException: "},
		{name: "text without the placeholder", pool: developer, answer: answer(map[string]any{"emailMessage": "no code"}), want: "InvalidLambdaResponseException: "},
		{name: "text too long", pool: developer, answer: answer(map[string]any{"emailMessage": "{####}" + strings.Repeat("x", 20_000)}), want: "InvalidLambdaResponseException: "},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, withHook("CustomMessage"), r.pool), func(w *world) {
				u := w.addUser("u", vectorUser)
				w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) { return r.answer, r.err }
				got := w.update1("u", list("email=b@x.io"))
				want.True(w, strings.HasPrefix(got, r.want), "answer %q, want %q", got, r.want)
				// The write stands, and the message is dead: nobody sends it later.
				want.Equal(w, w.stored(u).Attributes, with("email", "b@x.io", "email_verified", "false"))
				want.Equal(w, w.sent(), nil)
				want.Equal(w, w.due(), 0)
			})
		})
	}
}

func TestAdminUpdateUserAttributesOwnText(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, withHook("CustomMessage"), func(s *pool.Settings) {
		s.Email = pool.EmailConfig{Account: "DEVELOPER", SourceArn: str("arn:aws:ses:us-east-1:123456789012:identity/x.io")}
	}), func(w *world) {
		w.addUser("u", vectorUser)
		w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) {
			return json.RawMessage(`{"emailSubject":"S","emailMessage":"Your code: {####}!"}`), nil
		}
		want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
		m := w.email.got[0]
		want.Equal(w, m.Subject, "S")
		want.Equal(w, m.Body.Reveal(), "Your code: "+m.Code.Reveal()+"!")
	})
}

func TestAdminUpdateUserAttributesSenderRefuses(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name, attrs string
		kind        message.Kind
		want        string
	}{
		{"SMS role trust", "phone_number=+15551234567", message.SmsRoleTrust, "InvalidSmsRoleTrustRelationshipException: Role does not have a trust relationship allowing Cognito to assume the role"},
		{"SMS role access", "phone_number=+15551234567", message.SmsRoleAccess, "InvalidSmsRoleAccessPolicyException: Role does not have permission to publish with SNS"},
		{"email identity", "email=b@x.io", message.EmailIdentity, "InvalidEmailRoleAccessPolicyException: Cognito is not allowed to use your email identity"},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, phoneToo), func(w *world) {
				u := w.addUser("u", vectorUser)
				w.email.refuse = &message.Refusal{Kind: r.kind}
				w.sms.refuse = &message.Refusal{Kind: r.kind}
				want.Equal(w, w.update1("u", list(r.attrs)), r.want)
				name, value, _ := strings.Cut(r.attrs, "=")
				want.Equal(w, w.stored(u).Attributes[name], value)
				want.Equal(w, w.due(), 0)
			})
		})
	}
	t.Run("a passing failure stays in the outbox", func(t *testing.T) {
		t.Parallel()
		onBoth(t, vectorPool, func(w *world) {
			w.addUser("u", vectorUser)
			w.email.refuse = fmt.Errorf("greylisted")
			want.Equal(w, w.update1("u", list("email=b@x.io")), "{}")
			want.Equal(w, w.due(), 1)
		})
	})
}

func TestAdminUpdateUserAttributesV50TemporaryPasswordClock(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser, func(r *user.Record) {
			r.Status, r.TemporarySince = user.ForceChangePassword, start.AddDate(0, 0, -30)
		})
		want.Equal(w, w.update1("u", list("custom:tier=gold")), "{}")
		want.Equal(w, w.stored(u).TemporarySince, start)
	})
}

func TestAdminUpdateUserAttributesPreferredUsername(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		name   string
		user   string
		change func(*user.Record)
		value  string
		want   string
	}{
		{"free", "u", nil, "nick", "{}"},
		{"of another user", "u", nil, "taken", "AliasExistsException: An account with the given preferred_username already exists."},
		{"the user name of another user", "u", nil, "v", "AliasExistsException: An account with the given preferred_username already exists."},
		{"the own user name", "u", nil, "u", invalid("Preferred username cannot be equal to the username of the account.")},
		{"of an unconfirmed user", "u", func(r *user.Record) { r.Status = user.Unconfirmed }, "nick", invalid("Preferred username cannot be provided for unconfirmed account, since user pool is configured for preferred username alias.")},
		{"emptied", "u", func(r *user.Record) { r.Attributes["preferred_username"] = "old" }, "", "{}"},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, aliasPool), func(w *world) {
				w.addUser("v", map[string]string{"name": "V", "preferred_username": "taken"})
				u := w.addUser("u", vectorUser, func(rec *user.Record) {
					if r.change != nil {
						r.change(rec)
					}
				})
				want.Equal(w, w.update1("u", list("preferred_username="+r.value)), r.want)
				if r.want != "{}" {
					want.Equal(w, w.stored(u), u)
					return
				}
				if r.value != "" {
					want.Equal(w, w.owner(user.Names, r.value), "u")
				}
				want.Equal(w, w.owner(user.Names, "old"), "")
			})
		})
	}
}

func TestAdminUpdateUserAttributesOnReplica(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		w.update(func(tx store.Tx) error {
			p, err := tx.Pools().Get(w.pool.ID)
			if err != nil {
				return err
			}
			p.Replica = true
			return tx.Pools().Save(p)
		})
		want.Equal(w, w.update1("u", list("custom:tier=gold")), "OperationNotEnabledException: The operation AdminUpdateUserAttributes is not enabled on a secondary replica.")
		want.Equal(w, w.stored(u), u)
	})
}

// TestAdminUpdateUserAttributesCallerGivesUp cancels the request while its function runs: the change is committed, so the
// answer is no server fault, and the message waits for the worker.
func TestAdminUpdateUserAttributesCallerGivesUp(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, withHook("CustomMessage")), func(w *world) {
		u := w.addUser("u", vectorUser)
		ctx, cancel := context.WithCancel(w.Context())
		w.hooks.answer = func(*trigger.Call) (json.RawMessage, error) {
			cancel()
			return nil, ctx.Err()
		}
		reply := w.pipeline.Serve(ctx, &dispatch.Request{ID: chance.System().RequestID(), Operation: "AdminUpdateUserAttributes", Region: "us-east-1",
			Inbound: inbound{`{"UserPoolId":"` + w.pool.ID + `","Username":"u","UserAttributes":` + list("email=b@x.io") + `}`}})
		want.True(w, reply.Err == nil, "%v", reply.Err)
		want.Equal(w, w.stored(u).Attributes["email"], "b@x.io")
		want.Equal(w, w.due(), 1)
	})
}

// TestAdminUpdateUserAttributesRealSenders provokes the role exceptions by what a real mail server and a real SMS
// gateway answer; what they take arrives.
func TestAdminUpdateUserAttributesRealSenders(t *testing.T) {
	t.Parallel()
	const roleTrust = "InvalidSmsRoleTrustRelationshipException: Role does not have a trust relationship allowing Cognito to assume the role"
	const roleAccess = "InvalidSmsRoleAccessPolicyException: Role does not have permission to publish with SNS"
	const identity = "InvalidEmailRoleAccessPolicyException: Cognito is not allowed to use your email identity"
	for _, r := range []struct {
		name, attrs, want string
		command           string // of SMTP, that is answered with code
		code              int    // or the status of the webhook
		due               int    // messages that stay queued
	}{
		{"SMTP 250", "email=b@x.io", "{}", "", 0, 0},
		{"SMTP 530 at MAIL FROM", "email=b@x.io", identity, "MAIL", 530, 0},
		{"SMTP 535 at AUTH", "email=b@x.io", identity, "AUTH", 535, 0},
		{"SMTP 550 at MAIL FROM", "email=b@x.io", identity, "MAIL", 550, 0},
		{"SMTP 451 at MAIL FROM", "email=b@x.io", "{}", "MAIL", 451, 1},
		{"webhook 200", "phone_number=+15551234567", "{}", "", 200, 0},
		{"webhook 401", "phone_number=+15551234567", roleTrust, "", 401, 0},
		{"webhook 403", "phone_number=+15551234567", roleAccess, "", 403, 0},
		{"webhook 500", "phone_number=+15551234567", "{}", "", 500, 1},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(vectorPool, phoneToo), func(w *world) {
				mail := smtpd.Start(w.T, nil)
				if r.command != "" {
					mail.Refuse(r.command, r.code)
				}
				var texts atomic.Int32
				gateway := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					texts.Add(1)
					rw.WriteHeader(r.code)
				}))
				w.Cleanup(gateway.Close)
				email, err := mailer.New(mailer.Options{Address: mail.Address, From: "no-reply@x.io", Username: smtpd.Username, Password: secret.New(smtpd.Password), TLS: mailer.None})
				want.NoError(w, err)
				w.senders(email, &texter.Webhook{URL: gateway.URL, Client: webhook.NewClient(), Real: clock.System()})
				u := w.addUser("u", vectorUser)
				want.Equal(w, w.update1("u", list(r.attrs)), r.want)
				name, value, _ := strings.Cut(r.attrs, "=")
				want.Equal(w, w.stored(u).Attributes[name], value)
				want.Equal(w, w.due(), r.due)
				if r.code == 0 {
					want.Equal(w, len(mail.Mails()), 1)
				}
				if name == "phone_number" {
					want.Equal(w, texts.Load(), int32(1))
				}
			})
		})
	}
}
