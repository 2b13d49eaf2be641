package user_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func str(s string) *string { return &s }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// settings is a pool with an attribute of each type; bits switch its properties on.
func settings(bits byte) *pool.Pool {
	p := &pool.Pool{ID: "us-east-1_Test", Region: "us-east-1"}
	p.Custom = []pool.Attribute{
		{Name: "custom:s", Type: pool.String, Mutable: true, Min: str("2"), Max: str("5")},
		{Name: "custom:n", Type: pool.Number, Mutable: true, Min: str("-1"), Max: str("10")},
		{Name: "custom:b", Type: pool.Boolean, Mutable: true},
		{Name: "custom:d", Type: pool.DateTime, Mutable: true},
		{Name: "custom:i", Type: pool.String},
	}
	on := func(bit byte) bool { return bits&(1<<bit) != 0 }
	if on(0) {
		p.Aliases = []string{pool.Email, pool.PhoneNumber, pool.PreferredUsername}
	} else if on(1) {
		p.UsernameAttributes = []string{pool.Email, pool.PhoneNumber}
	}
	if on(2) {
		p.AutoVerified = []string{pool.Email, pool.PhoneNumber}
		if on(3) {
			p.VerifyBeforeUpdate = []string{pool.Email}
		}
	}
	p.CaseSensitive = on(4)
	if on(5) {
		p.Standard = map[string]pool.Attribute{"name": {Name: "name", Type: pool.String, Mutable: true, Required: true}}
	}
	return p
}

// vocabulary are the names that the fuzzer picks from.
var vocabulary = []string{"email", "email_verified", "phone_number", "phone_number_verified", "name", "nickname", "preferred_username", "birthdate",
	"updated_at", "custom:s", "custom:n", "custom:b", "custom:d", "custom:i", "sub", "identities", "nope", "Email"}

// FuzzApply decides random requests in random pools and holds the invariants of an update: a refusal is a fault that
// says what is wrong; an accepted request changes what it names and nothing else; nothing of the old record is
// touched; what is stored conforms to the schema.
func FuzzApply(f *testing.F) {
	f.Add(byte(4), byte(0), "email=b@x.io", "email_verified=true")
	f.Add(byte(12), byte(1), "email=b@x.io", "phone_number=+1555")
	f.Add(byte(1), byte(2), "preferred_username=u", "custom:b=TRUE")
	f.Add(byte(34), byte(0), "name=", "custom:n=1.5")
	f.Add(byte(0), byte(7), "custom:d=2026-01-01T00:00:00Z", "email=")
	f.Fuzz(func(t *testing.T, bits, state byte, first, second string) {
		p := settings(bits)
		u := &user.Record{PoolID: p.ID, Sub: "s", Username: "u", Status: user.Confirmed, Enabled: true,
			Attributes: map[string]string{"name": "N", "email": "a@x.io", "email_verified": "true"}}
		if state&1 != 0 {
			u.Attributes = map[string]string{}
		}
		if state&2 != 0 {
			u.Status = user.Unconfirmed
		}
		if state&4 != 0 {
			u.TemporarySince = now.Add(-time.Hour)
		}
		var values []user.Value
		for i, s := range []string{first, second} {
			name, value, ok := strings.Cut(s, "=")
			if len(s) > 0 && !slices.Contains(vocabulary, name) {
				name = vocabulary[(int(s[0])+i)%len(vocabulary)]
			}
			v := user.Value{Name: name, Text: &value}
			if !ok {
				v.Text = nil
			}
			values = append(values, v)
		}
		before := u.Clone()
		plan, err := user.Apply(p, u, values, now)
		want.Equal(t, u, before)
		if err != nil {
			if code := fault.CodeOf(err); code != fault.InvalidParameterException {
				t.Fatalf("%v gives %s: %v", values, code, err)
			}
			return
		}
		after := plan.After
		named := map[string]bool{}
		for _, v := range values {
			named[v.Name] = true
		}
		for name, value := range after.Attributes {
			a, ok := p.Attribute(name)
			if !ok || value == "" || name == pool.Sub {
				t.Fatalf("stored %q=%q", name, value)
			}
			if value != before.Attributes[name] && !named[name] && !named[strings.TrimSuffix(name, "_verified")] {
				t.Fatalf("%q changed to %q without being named", name, value)
			}
			if !a.Mutable && value != before.Attributes[name] {
				t.Fatalf("immutable %q changed", name)
			}
		}
		for name := range before.Attributes {
			if _, ok := after.Attributes[name]; !ok && !named[name] && !named[strings.TrimSuffix(name, "_verified")] {
				t.Fatalf("%q is gone without being named", name)
			}
		}
		for _, address := range []string{pool.Email, pool.PhoneNumber} {
			flag, ok := after.Attributes[address+"_verified"]
			if ok && (after.Attributes[address] == "" || flag != "true" && flag != "false") {
				t.Fatalf("flag %q of %s %q", flag, address, after.Attributes[address])
			}
			if pending, ok := after.Pending[address]; ok && !p.KeepsOriginal(address) {
				t.Fatalf("pending %v in a pool that does not wait", pending)
			}
		}
		for _, v := range plan.Verify {
			if !p.AutoVerifies(v.Attribute) || slices.Contains(plan.Void, v.Attribute) {
				t.Fatalf("code for %v, void %v", v, plan.Void)
			}
		}
		if !after.Modified.Equal(now) || after.Username != before.Username || after.Sub != before.Sub || after.Status != before.Status || after.Enabled != before.Enabled {
			t.Fatalf("record became %+v", after)
		}
		// The same request again changes nothing more.
		again, err := user.Apply(p, after, values, now)
		if err != nil {
			t.Fatalf("the same request again: %v", err)
		}
		if !maps.Equal(again.After.Attributes, after.Attributes) {
			t.Fatalf("the same request again gives %v after %v", again.After.Attributes, after.Attributes)
		}
	})
}

func TestLogins(t *testing.T) {
	t.Parallel()
	u := func(attributes map[string]string) *user.Record {
		return &user.Record{Username: "User", Attributes: attributes}
	}
	all := map[string]string{"email": "A@x.io", "email_verified": "true", "phone_number": "+1555", "phone_number_verified": "false", "preferred_username": "Nick"}
	for name, c := range map[string]struct {
		bits byte
		want []user.Login
	}{
		"plain":                               {0, []user.Login{{Space: user.Names, Key: "user"}}},
		"plain, case-sensitive":               {16, []user.Login{{Space: user.Names, Key: "User"}}},
		"aliases":                             {1, []user.Login{{Space: user.Names, Key: "user"}, {Space: user.Names, Key: "nick"}, {Space: user.Emails, Key: "a@x.io"}}},
		"aliases, case-sensitive":             {17, []user.Login{{Space: user.Names, Key: "User"}, {Space: user.Names, Key: "Nick"}, {Space: user.Emails, Key: "A@x.io"}}},
		"username attributes, unverified too": {2, []user.Login{{Space: user.Names, Key: "user"}, {Space: user.Emails, Key: "a@x.io"}, {Space: user.Phones, Key: "+1555"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want.Equal(t, u(all).Logins(settings(c.bits)), c.want)
		})
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for value, wants := range map[string]string{
		"custom:n=5": "", "custom:n=-1": "", "custom:n=+5": "", "custom:n=10.0": "", "custom:n=9.99": "", "custom:n=10.01": "Number must be no greater than 10",
		"custom:n=-1.5": "Number must be no less than -1", "custom:n=1e3": "Value must be a number", "custom:n=.5": "Value must be a number", "custom:n=5.": "Value must be a number",
		"custom:n=1.2.3": "Value must be a number", "custom:n=0x1": "Value must be a number", "custom:n= 1": "Value must be a number", "custom:n=-": "Value must be a number", "custom:n=٣": "Value must be a number",
		"custom:s=ab": "", "custom:s=äöüßé": "", "custom:s=a": "String must be no shorter than 2 characters", "custom:s=abcdef": "String must be no longer than 5 characters",
		"custom:b=true": "", "custom:b=FALSE": "", "custom:b=1": "Value must be true or false", "custom:b=t": "Value must be true or false",
		"custom:d=2026-01-02T03:04:05Z": "", "custom:d=2026-01-02T03:04:05.678+01:00": "", "custom:d=1700000000": "", "custom:d=1700000000.5": "", "custom:d=2026-01-02": "Value must be a date", "custom:d=yesterday": "Value must be a date",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			name, text, _ := strings.Cut(value, "=")
			_, err := user.Apply(settings(0), &user.Record{Username: "u", Attributes: map[string]string{}}, []user.Value{{Name: name, Text: &text}}, now)
			if wants == "" {
				want.NoError(t, err)
				return
			}
			want.Error(t, err, fault.AttributeLines(""))
			want.Equal(t, err.(*fault.Error).Message, "user."+name+": "+wants+"\n")
		})
	}
}
