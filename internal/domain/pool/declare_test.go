package pool

import (
	"strconv"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestDeclarationsAreRefused(t *testing.T) {
	t.Parallel()
	str, num := new("String"), new("Number")
	for _, c := range []struct {
		name string
		list []Declaration
		want string
	}{
		{"unknown type", []Declaration{{Name: new("x"), Type: new("Text")}},
			"Validation error detected: Value 'Text' failed to satisfy constraint: Member must satisfy enum value set: [Boolean, Number, String, DateTime]"},
		{"unknown type of a standard attribute", []Declaration{{Name: new("email"), Type: new("string")}},
			"Validation error detected: Value 'string' failed to satisfy constraint: Member must satisfy enum value set: [Boolean, Number, String, DateTime]"},
		{"custom without type", []Declaration{{Name: new("x")}}, "Invalid AttributeDataType input, consider using the provided AttributeDataType enum."},
		{"without name", []Declaration{{Type: str}}, "Every attribute of a schema must have a name."},
		{"required custom", []Declaration{{Name: new("x"), Type: str, Required: new(true)}}, "Required custom attributes are not supported currently."},
		{"standard of another type", []Declaration{{Name: new("email"), Type: num}}, "You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute email"},
		{"standard for developers only", []Declaration{{Name: new("email"), DeveloperOnly: new(true)}},
			"You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute email"},
		{"length that is no number", []Declaration{{Name: new("x"), Type: str, String: &Bounds{Min: new("a")}}}, "Invalid StringAttributeConstraints for schema attribute custom:x"},
		{"negative length", []Declaration{{Name: new("x"), Type: str, String: &Bounds{Max: new("-1")}}}, "Invalid StringAttributeConstraints for schema attribute custom:x"},
		{"negative length of a standard attribute", []Declaration{{Name: new("email"), Type: str, String: &Bounds{Max: new("-1")}}}, "Invalid StringAttributeConstraints for schema attribute email"},
		{"value that is no number", []Declaration{{Name: new("x"), Type: num, Number: &Bounds{Max: new("1.5")}}}, "Invalid NumberAttributeConstraints for schema attribute custom:x"},
		{"long minimum", []Declaration{{Name: new("x"), Type: str, String: &Bounds{Min: new("2049")}}}, "user.custom:x: String attributes cannot have a length of more than 2048"},
		{"long maximum", []Declaration{{Name: new("email"), Type: str, String: &Bounds{Max: new("2049")}}}, "user.email: String attributes cannot have a length of more than 2048"},
		{"reversed lengths", []Declaration{{Name: new("x"), Type: str, String: &Bounds{Min: new("5"), Max: new("4")}}},
			"Attribute custom:x cannot have a max length shorter than it's min length"},
		{"reversed lengths of a standard attribute", []Declaration{{Name: new("email"), Type: str, String: &Bounds{Min: new("5"), Max: new("4")}}},
			"user.email: Max length cannot be less than min length."},
		{"reversed values", []Declaration{{Name: new("x"), Type: num, DeveloperOnly: new(true), Number: &Bounds{Min: new("5"), Max: new("4")}}},
			"Attribute dev:custom:x cannot have a max value smaller than it's min value"},
		{"reversed values of a standard attribute", []Declaration{{Name: new("updated_at"), Type: num, Number: &Bounds{Min: new("5"), Max: new("4")}}},
			"user.updated_at: Max value cannot be less than min value."},
		{"twice", []Declaration{{Name: new("x"), Type: str}, {Name: new("x"), Type: num}}, "Duplicate custom attribute names custom:x are not allowed in a user pool schema."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(region, account, named(Input{}), Fixed{Schema: c.list})
			want.Equal(t, said(t, err), invalid(c.want))
		})
	}
}

func TestDeclarations(t *testing.T) {
	t.Parallel()
	str, num := new("String"), new("Number")
	for _, c := range []struct {
		name     string
		list     []Declaration
		standard map[string]Attribute
		custom   []Attribute
	}{
		{name: "custom", list: []Declaration{{Name: new("x"), Type: str}}, custom: []Attribute{{Name: "custom:x", Type: String, Mutable: true, Given: true}}},
		{name: "custom with a prefix", list: []Declaration{{Name: new("custom:x"), Type: new("DateTime"), Mutable: new(false)}}, custom: []Attribute{{Name: "custom:custom:x", Type: DateTime}}},
		{name: "developer only", list: []Declaration{{Name: new("x"), Type: new("Boolean"), DeveloperOnly: new(true)}},
			custom: []Attribute{{Name: "dev:custom:x", Type: Boolean, Mutable: true, DeveloperOnly: true}}},
		{name: "letter case tells names apart, and so does the prefix",
			list: []Declaration{{Name: new("x"), Type: num}, {Name: new("X"), Type: num}, {Name: new("x"), Type: num, DeveloperOnly: new(true)}},
			custom: []Attribute{{Name: "custom:x", Type: Number, Mutable: true}, {Name: "custom:X", Type: Number, Mutable: true},
				{Name: "dev:custom:x", Type: Number, Mutable: true, DeveloperOnly: true}}},
		{name: "constraints stay text", list: []Declaration{{Name: new("x"), Type: num, Number: &Bounds{Max: new("007")}, String: &Bounds{Min: new("no")}}},
			custom: []Attribute{{Name: "custom:x", Type: Number, Mutable: true, Max: new("007"), Given: true}}},
		{name: "an empty constraint of a number", list: []Declaration{{Name: new("x"), Type: num, Number: &Bounds{}}},
			custom: []Attribute{{Name: "custom:x", Type: Number, Mutable: true, Given: true}}},
		{name: "constraints of an attribute without", list: []Declaration{{Name: new("x"), Type: new("Boolean"), Number: &Bounds{Max: new("1")}}},
			custom: []Attribute{{Name: "custom:x", Type: Boolean, Mutable: true}}},
		{name: "a flag becomes custom", list: []Declaration{{Name: new("email_verified"), Type: new("Boolean")}},
			custom: []Attribute{{Name: "custom:email_verified", Type: Boolean, Mutable: true}}},
		{name: "standard", list: []Declaration{{Name: new("email"), Type: str, Required: new(true), Mutable: new(false), String: &Bounds{Min: new("3")}}},
			standard: map[string]Attribute{"email": {Name: "email", Type: String, Required: true, Min: new("3"), Given: true}}},
		{name: "standard without type keeps its constraints", list: []Declaration{{Name: new("email"), Required: new(true), String: &Bounds{Min: new("3")}}},
			standard: map[string]Attribute{"email": {Name: "email", Type: String, Mutable: true, Required: true, Min: new("0"), Max: new("2048"), Given: true}}},
		{name: "the last entry of a standard attribute counts", list: []Declaration{{Name: new("name"), Required: new(true)}, {Name: new("name")}},
			standard: map[string]Attribute{"name": {Name: "name", Type: String, Mutable: true, Min: new("0"), Max: new("2048"), Given: true}}},
		{name: "the subject stays", list: []Declaration{{Name: new("sub"), Type: str, Mutable: new(true), Required: new(false)}},
			standard: map[string]Attribute{"sub": {Name: "sub", Type: String, Required: true, Min: new("1"), Max: new("2048"), Given: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := New(region, account, named(Input{}), Fixed{Schema: c.list})
			want.NoError(t, err)
			want.Equal(t, s.Standard, c.standard)
			want.Equal(t, s.Custom, c.custom)
		})
	}
}

func TestAddCustom(t *testing.T) {
	t.Parallel()
	s, err := New(region, account, named(Input{}), Fixed{Schema: []Declaration{{Name: new("x"), Type: new("String")}, {Name: new("d"), Type: new("String"), DeveloperOnly: new(true)}}})
	want.NoError(t, err)
	for _, c := range []struct {
		name string
		list []Declaration
		want string
	}{
		{"exists", []Declaration{{Name: new("x"), Type: new("Number")}}, "custom:x: Existing attribute already has name custom:x."},
		{"exists for developers", []Declaration{{Name: new("d"), Type: new("Number"), DeveloperOnly: new(true)}}, "custom:d: Existing attribute already has name dev:custom:d."},
		{"twice", []Declaration{{Name: new("y"), Type: new("String")}, {Name: new("y"), Type: new("String")}},
			"Duplicate custom attribute names custom:y are not allowed in a user pool schema."},
		{"required", []Declaration{{Name: new("y"), Type: new("String"), Required: new(true)}}, "Required custom attributes are not supported currently."},
		{"too many", numbered(49), "The number of custom attributes in the user pool cannot exceed 50."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := s.AddCustom(c.list)
			want.Equal(t, said(t, err), invalid(c.want))
		})
	}
	all, err := s.AddCustom(numbered(48))
	want.NoError(t, err)
	want.Equal(t, len(all), 50)
	want.Equal(t, all[2].Name, "custom:n0")
	want.Equal(t, len(s.Custom), 2)
}

// numbered are n declarations.
func numbered(n int) []Declaration {
	var list []Declaration
	for i := range n {
		list = append(list, Declaration{Name: new("n" + strconv.Itoa(i)), Type: new("String")})
	}
	return list
}

func TestSchemaOrder(t *testing.T) {
	t.Parallel()
	s, err := New(region, account, named(Input{}), Fixed{Schema: []Declaration{{Name: new("b"), Type: new("String")}, {Name: new("a"), Type: new("String")},
		{Name: new("updated_at"), Required: new(true)}, {Name: new("email"), Required: new(true)}}})
	want.NoError(t, err)
	var names []string
	for _, a := range s.Schema() {
		names = append(names, a.Name)
	}
	want.Equal(t, names, []string{"sub", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
		"email", "email_verified", "gender", "birthdate", "zoneinfo", "locale", "phone_number", "phone_number_verified", "address", "updated_at", "custom:b", "custom:a"})
	want.Equal(t, s.Required(), []string{"email", "updated_at"})
	s.HadProvider = true
	want.Equal(t, s.Schema()[20], Attribute{Name: "identities", Type: String, Mutable: true, Given: true})
}
