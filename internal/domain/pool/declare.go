package pool

import (
	"slices"
	"strconv"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// Declaration is an entry of a schema as a request gave it. What was absent is nil.
type Declaration struct {
	Name          *string // without prefix
	Type          *string
	Mutable       *bool
	Required      *bool
	DeveloperOnly *bool
	String        *Bounds // StringAttributeConstraints
	Number        *Bounds // NumberAttributeConstraints
}

// Bounds are the constraints of a declaration: lengths or values, as decimal text.
type Bounds struct{ Min, Max *string }

const (
	maxCustom = 50   // custom attributes of a pool (documented)
	maxLength = 2048 // of values of type String
)

// declare puts the schema of a new pool into the settings. A later entry for a standard attribute replaces an earlier one.
func (s *Settings) declare(list []Declaration) error {
	var custom []Declaration
	for _, d := range list {
		if d.Name == nil || !declarable(*d.Name) {
			custom = append(custom, d)
			continue
		}
		a, err := d.standard()
		if err != nil {
			return err
		}
		if s.Standard == nil {
			s.Standard = make(map[string]Attribute)
		}
		s.Standard[a.Name] = a
	}
	var err error
	s.Custom, err = s.AddCustom(custom)
	return err
}

// declarable reports whether a request that declares the name means the standard attribute. The flags and identities
// are none of these: declaring one makes a custom attribute of that name (observed for email_verified).
func declarable(name string) bool {
	switch name {
	case EmailVerified, PhoneNumberVerified, Identities:
		return false
	}
	return slices.Contains(order[:], name)
}

// AddCustom is the pool's list of custom attributes with more behind it, a new list.
func (s *Settings) AddCustom(list []Declaration) ([]Attribute, error) {
	all := slices.Clone(s.Custom)
	for _, d := range list {
		a, err := d.custom()
		if err != nil {
			return nil, err
		}
		for i, other := range all {
			if other.Name != a.Name {
				continue
			}
			if i < len(s.Custom) {
				return nil, fault.AttributeExists("custom:"+*d.Name, a.Name)
			}
			return nil, fault.DuplicateAttribute(a.Name)
		}
		all = append(all, a)
	}
	if len(all) > maxCustom {
		return nil, fault.TooManyAttributes(strconv.Itoa(maxCustom))
	}
	return all, nil
}

// kind is the declared type, "" when none was given.
func (d *Declaration) kind() (Type, error) {
	if d.Type == nil {
		return "", nil
	}
	switch t := Type(*d.Type); t {
	case String, Number, Boolean, DateTime:
		return t, nil
	}
	return "", fault.UnknownAttributeType(*d.Type)
}

// standard is the entry of a standard attribute that is declared otherwise than by default. Its constraints count only
// when the type is given as well (observed). The subject stays as it is, whatever is declared (unconfirmed).
func (d *Declaration) standard() (Attribute, error) {
	a, _ := standard(*d.Name)
	t, err := d.kind()
	if err != nil {
		return a, err
	}
	if t != "" && t != a.Type || or(d.DeveloperOnly, false) {
		return a, fault.StandardAttributeFixed(a.Name)
	}
	if a.Name == Sub {
		return a, nil
	}
	a.Mutable, a.Required = or(d.Mutable, a.Mutable), or(d.Required, a.Required)
	if t == "" {
		return a, nil
	}
	return a, d.constrain(&a)
}

// custom is the entry of a new custom attribute.
func (d *Declaration) custom() (Attribute, error) {
	t, err := d.kind()
	switch {
	case err != nil:
		return Attribute{}, err
	case d.Name == nil:
		return Attribute{}, fault.AttributeWithoutName()
	case t == "":
		return Attribute{}, fault.AttributeWithoutType()
	case or(d.Required, false):
		return Attribute{}, fault.RequiredCustomAttribute()
	}
	a := Attribute{Name: "custom:" + *d.Name, Type: t, Mutable: or(d.Mutable, true), DeveloperOnly: or(d.DeveloperOnly, false)}
	if a.DeveloperOnly {
		a.Name = "dev:" + a.Name
	}
	a.Given = t == String // shown as an empty structure even when absent (observed)
	return a, d.constrain(&a)
}

// constrain takes over the constraints that fit the attribute's type; those of another type do not count. They are
// kept as text. The text of a reversed pair differs between custom and standard attributes (observed).
func (d *Declaration) constrain(a *Attribute) error {
	b, member := d.String, "StringAttributeConstraints"
	if a.Type == Number {
		b, member = d.Number, "NumberAttributeConstraints"
	}
	if b == nil || a.Type != String && a.Type != Number {
		return nil
	}
	low, okLow := bound(b.Min)
	high, okHigh := bound(b.Max)
	custom := !declarable(a.Name)
	switch {
	case !okLow || !okHigh:
		return fault.BadAttributeConstraints(member, a.Name)
	case a.Type == String && (low > maxLength || high > maxLength):
		return fault.AttributeTooLong(a.Name)
	case b.Min == nil || b.Max == nil || low <= high:
	case a.Type == String && custom:
		return fault.CustomLengthsReversed(a.Name)
	case a.Type == String:
		return fault.StandardLengthsReversed(a.Name)
	case custom:
		return fault.CustomValuesReversed(a.Name)
	default:
		return fault.StandardValuesReversed(a.Name)
	}
	a.Min, a.Max, a.Given = b.Min, b.Max, true
	return nil
}

// bound reads a constraint: a non-negative whole number that fits 64 bits; absent is fine.
func bound(text *string) (uint64, bool) {
	if text == nil {
		return 0, true
	}
	n, err := strconv.ParseUint(*text, 10, 63)
	return n, err == nil
}
