package filter_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/kit/filter"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]filter.Filter{
		"": {}, " \t\r\n": {},
		`email = "jane@example.com"`:          {"email", filter.Equal, "jane@example.com"},
		`email="a"`:                           {"email", filter.Equal, "a"},
		`  email  ^=  "a"  `:                  {"email", filter.Prefix, "a"},
		"email\n^=\t\"a\"":                    {"email", filter.Prefix, "a"},
		`cognito:user_status = "CONFIRMED"`:   {"cognito:user_status", filter.Equal, "CONFIRMED"},
		`status="Enabled"`:                    {"status", filter.Equal, "Enabled"},
		`name = ""`:                           {"name", filter.Equal, ""},
		`name = " a "`:                        {"name", filter.Equal, " a "},
		`name = "Jane \"JD\" Doe"`:            {"name", filter.Equal, `Jane "JD" Doe`},
		`name = "a\\"`:                        {"name", filter.Equal, `a\`},
		`name = "\\\""`:                       {"name", filter.Equal, `\"`},
		`name = "a = b ^= c"`:                 {"name", filter.Equal, "a = b ^= c"},
		`name = "'; DROP TABLE users; --%_*"`: {"name", filter.Equal, "'; DROP TABLE users; --%_*"},
		`phone_number ^= "+1"`:                {"phone_number", filter.Prefix, "+1"},
		`given_name = "Zoë"`:                  {"given_name", filter.Equal, "Zoë"},
	} {
		got, err := filter.Parse(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
		if got.IsZero() != (want == filter.Filter{}) {
			t.Errorf("%q: IsZero = %v", in, got.IsZero())
		}
	}
}

func TestEveryAttributeIsAllowed(t *testing.T) {
	t.Parallel()
	for _, a := range filter.Attributes() {
		if f, err := filter.Parse(a + ` = "x"`); err != nil || f.Attribute != a {
			t.Errorf("%s: %+v, %v", a, f, err)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`email`, `email =`, `email = a`, `email = 'a'`, `email = "a`, `email = a"`, `email = "a" x`, `email = "a""b"`, `= "a"`, `^= "a"`, `"email" = "a"`, `email == "a"`,
		`email ^ "a"`, `email ^ = "a"`, `email != "a"`, `email "a"`, `email name = "a"`, `email = "a" and name = "b"`, `email = "a\"`, `email = "a\n"`, `email = "\`,
		`email = "`, `email = \"a\"`, `email ~ "a"`, `(email = "a")`, `custom:x = a`, `em\ail = "a"`, "email\u00a0= \"a\" x",
	} {
		if f, err := filter.Parse(in); !errors.Is(err, filter.ErrSyntax) {
			t.Errorf("%q: got %+v, %v; want ErrSyntax", in, f, err)
		}
	}
}

func TestUnknownAttributes(t *testing.T) {
	t.Parallel()
	for in, name := range map[string]string{
		`custom:team = "a"`: "custom:team", `Email = "a"`: "Email", `address="a"`: "address", `dev:custom:x ^= ""`: "dev:custom:x", `email' = "a"`: "email'",
	} {
		_, err := filter.Parse(in)
		var unknown *filter.UnknownAttribute
		if !errors.As(err, &unknown) || unknown.Name != name {
			t.Errorf("%q: %v; want the unknown attribute %q", in, err, name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", " ", `email = "a"`, `email^="a\"b\\"`, `custom:x="1"`, `email = "a`, `sub = ""`, `name="\x"`, "name=\"\xff\"", `cognito:user_status ^= "CONF"`, `= ""`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := filter.Parse(s)
		var unknown *filter.UnknownAttribute
		if err != nil {
			if !errors.Is(err, filter.ErrSyntax) && !errors.As(err, &unknown) {
				t.Errorf("%q: an error of another kind: %v", s, err)
			}
			return
		}
		again, err := filter.Parse(parsed.String())
		if err != nil || again != parsed {
			t.Errorf("%q reads as %+v, its text %q as %+v, %v", s, parsed, parsed.String(), again, err)
		}
	})
}

// Whatever the value, it survives being written and read.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, `\"`, "a b", "\xff", "\x00", "=", `^= "`} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, value string, prefix bool) {
		want := filter.Filter{Attribute: "name", Op: filter.Equal, Value: value}
		if prefix {
			want.Op = filter.Prefix
		}
		if got, err := filter.Parse(want.String()); err != nil || got != want {
			t.Errorf("%q came back as %+v, %v", want, got, err)
		}
	})
}
