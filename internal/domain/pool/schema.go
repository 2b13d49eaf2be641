package pool

import "maps"

// Type is the type of an attribute.
type Type string

// The types of attributes.
const (
	String   Type = "String"
	Number   Type = "Number"
	Boolean  Type = "Boolean"
	DateTime Type = "DateTime"
)

// Attribute is an entry of a pool's schema.
type Attribute struct {
	Name          string // with its prefix: "email", "custom:tier", "dev:custom:note"
	Type          Type
	Mutable       bool
	Required      bool
	DeveloperOnly bool
	// Constraints as they were given; nil where none was. Lengths for String, values (as decimal text) for Number.
	Min, Max *string
	// Given says that the constraint member was present, even if empty, so that it is shown.
	Given bool
}

// Standard attribute names that rules speak of.
const (
	Sub                 = "sub"
	Email               = "email"
	EmailVerified       = "email_verified"
	PhoneNumber         = "phone_number"
	PhoneNumberVerified = "phone_number_verified"
	PreferredUsername   = "preferred_username"
	Identities          = "identities"
	Birthdate           = "birthdate"
)

// order is the order in which the service lists the standard attributes (observed).
var order = [...]string{Sub, "name", "given_name", "family_name", "middle_name", "nickname", PreferredUsername, "profile", "picture",
	"website", Email, EmailVerified, "gender", Birthdate, "zoneinfo", "locale", PhoneNumber, PhoneNumberVerified, "address", "updated_at"}

func text(s string) *string { return &s }

// standards are the default entries of the standard attributes. They do not change.
var standards = func() map[string]Attribute {
	m := make(map[string]Attribute, len(order)+1)
	for _, name := range append(order[:], Identities) {
		if a, ok := makeStandard(name); ok {
			m[name] = a
		}
	}
	return m
}()

// standard is the default entry of a standard attribute.
func standard(name string) (Attribute, bool) {
	a, ok := standards[name]
	return a, ok
}

func makeStandard(name string) (Attribute, bool) {
	a := Attribute{Name: name, Type: String, Mutable: true, Min: text("0"), Max: text("2048"), Given: true}
	switch name {
	case Sub:
		a.Mutable, a.Required, a.Min = false, true, text("1")
	case EmailVerified, PhoneNumberVerified:
		a.Type, a.Min, a.Max, a.Given = Boolean, nil, nil, false
	case Birthdate:
		a.Min, a.Max = text("10"), text("10")
	case "updated_at":
		a.Type, a.Min, a.Max = Number, text("0"), nil
	case Identities:
		a.Min, a.Max = nil, nil
	default:
		for _, n := range order {
			if n == name {
				return a, true
			}
		}
		return Attribute{}, false
	}
	return a, true
}

// Attribute finds an entry of the schema by its full, case-sensitive name.
func (s *Settings) Attribute(name string) (Attribute, bool) {
	if a, ok := s.Standard[name]; ok {
		return a, true
	}
	if name == Identities && !s.HadProvider {
		return Attribute{}, false
	}
	if a, ok := standard(name); ok {
		return a, true
	}
	for i := range s.Custom {
		if s.Custom[i].Name == name {
			return s.Custom[i], true
		}
	}
	return Attribute{}, false
}

// Schema is the whole schema in the order in which the service lists it.
func (s *Settings) Schema() []Attribute {
	list := make([]Attribute, 0, len(order)+1+len(s.Custom))
	for _, name := range order {
		a, _ := s.Attribute(name)
		list = append(list, a)
	}
	if a, ok := s.Attribute(Identities); ok {
		list = append(list, a)
	}
	return append(list, s.Custom...)
}

// Required are the names of the required attributes but sub, in schema order.
func (s *Settings) Required() []string {
	var names []string
	for _, name := range order {
		if a, ok := s.Standard[name]; ok && a.Required && name != Sub {
			names = append(names, name)
		}
	}
	return names
}

// Accepting is the pool as it takes the attributes that an administrator's user gives with the first password of its own:
// immutable ones that the user lacks can be set, and no value waits for a verification.
func (p *Pool) Accepting(missing []string) *Pool {
	q := *p
	q.AutoVerified, q.VerifyBeforeUpdate, q.Standard = nil, nil, maps.Clone(p.Standard)
	for _, name := range missing {
		a := q.Standard[name]
		a.Mutable = true
		q.Standard[name] = a
	}
	return &q
}

// InternalName is the service's internal name of an attribute, which some texts print (observed for the first
// five; the others by analogy).
func InternalName(name string) string {
	switch name {
	case Email:
		return "emails"
	case PhoneNumber:
		return "phoneNumbers"
	case "name":
		return "name.formatted"
	case "given_name":
		return "name.givenName"
	case "family_name":
		return "name.familyName"
	case "middle_name":
		return "name.middleName"
	case "address":
		return "addresses"
	}
	return name
}
