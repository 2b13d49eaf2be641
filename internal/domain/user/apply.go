package user

import (
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// Plan is what an accepted change of attributes comes to.
type Plan struct {
	// After is the record as it has to be stored; nil when nothing changes at all.
	After *Record
	// Names are the attributes that the request named, for the journal.
	Names []string
	// Moves are logins that the user takes over from whoever holds them; the former holder's flag becomes false.
	Moves []Login
	// Reserve are logins that nobody else may hold, although the user does not hold them yet: the value waits for
	// its verification.
	Reserve []Login
	// Verify are the addresses to which a code has to go, phone number first.
	Verify []Verification
	// Void are the addresses whose outstanding code can no longer be used.
	Void []string
}

// Verification is a code to be sent.
type Verification struct{ Attribute, To string }

// Apply decides what an administrator's update of attributes means for a user. The checks come in the order that
// the caller can observe: names and mutability together, values, flags without address, required attributes,
// preferred_username. Uniqueness is decided by the store's index when After is saved. Nothing of u is changed.
//
// Evidence: the reference of AdminUpdateUserAttributes; docs/fidelity.md lists what is decided and not known.
func Apply(p *pool.Pool, u *Record, values []Value, now time.Time) (Plan, error) {
	if len(values) == 0 {
		return Plan{}, nil
	}
	if err := checkNames(p, values); err != nil {
		return Plan{}, err
	}
	if err := checkValues(p, values); err != nil {
		return Plan{}, err
	}
	final := last(p, values)
	if err := checkFlags(u, values, final); err != nil {
		return Plan{}, err
	}
	for _, v := range values {
		if *v.Text == "" && isRequired(p, u, v.Name) {
			return Plan{}, fault.RequiredAttribute(pool.InternalName(v.Name))
		}
	}
	if err := checkPreferred(p, u, final[pool.PreferredUsername]); err != nil {
		return Plan{}, err
	}

	plan := Plan{After: u.Clone()}
	after := plan.After
	after.Modified = now
	if !after.TemporarySince.IsZero() {
		after.TemporarySince = now
	}
	for name, value := range final {
		plan.Names = append(plan.Names, name)
		if _, isFlag := flagOf(name); isFlag || name == pool.Email || name == pool.PhoneNumber {
			continue
		}
		set(after.Attributes, name, value)
	}
	slices.Sort(plan.Names)
	for _, a := range addresses {
		value, given := final[a.name]
		flag, flagGiven := final[a.flag]
		if given {
			plan.address(p, a.name, a.flag, a.space, value, flag == "true", now)
		} else if flagGiven {
			after.Attributes[a.flag] = flagValue(flag)
		}
	}
	plan.moves(p, u)
	return plan, nil
}

// address carries out the table of what a new value of an address does to the value, its flag and its code.
func (plan *Plan) address(p *pool.Pool, name, flag string, space Space, value string, verified bool, now time.Time) {
	after := plan.After
	code := value != "" && !verified && p.AutoVerifies(name)
	if code {
		plan.Verify = append(plan.Verify, Verification{name, value})
	} else {
		plan.Void = append(plan.Void, name)
	}
	if code && p.KeepsOriginal(name) {
		if after.Pending == nil {
			after.Pending = make(map[string]Pending, 1)
		}
		after.Pending[name] = Pending{Value: value, Requested: now}
		if p.UsernameAttribute(name) {
			plan.Reserve = append(plan.Reserve, Login{space, Key(p, space, value)})
		}
		return
	}
	delete(after.Pending, name)
	if value == "" {
		delete(after.Attributes, name)
		delete(after.Attributes, flag)
		return
	}
	after.Attributes[name], after.Attributes[flag] = value, "false"
	if verified {
		after.Attributes[flag] = "true"
	}
}

// moves finds the addresses that become active now and may be taken over: in an alias pool a verified one.
func (plan *Plan) moves(p *pool.Pool, before *Record) {
	if len(p.Aliases) == 0 || SameLogins(before, plan.After) {
		return
	}
	had := before.Logins(p)
	for _, l := range plan.After.Logins(p) {
		if l.Space != Names && !slices.Contains(had, l) {
			plan.Moves = append(plan.Moves, l)
		}
	}
}

// Unverify is what happens to the former holder of a login that moved: the value stays, its flag becomes false.
func Unverify(u *Record, space Space, now time.Time) *Record {
	after := u.Clone()
	after.Modified = now
	for _, a := range addresses {
		if a.space == space {
			after.Attributes[a.flag] = "false"
		}
	}
	return after
}

// AttributeOf is the attribute that texts name for a login that is taken.
func AttributeOf(space Space) string {
	switch space {
	case Emails:
		return pool.Email
	case Phones:
		return pool.PhoneNumber
	case Names:
		return pool.PreferredUsername
	}
	return string(space)
}

// checkNames refuses unknown and immutable attributes, all of them in one message; sub goes first.
func checkNames(p *pool.Pool, values []Value) error {
	var lines strings.Builder
	for _, v := range values {
		if v.Name == pool.Sub {
			return fault.SubNotMutable()
		}
		a, ok := p.Attribute(v.Name)
		switch {
		case !ok:
			lines.WriteString(line(v.Name, textUnknown))
		case !a.Mutable || v.Name == pool.Identities:
			lines.WriteString(line(v.Name, textImmutable))
		}
	}
	if lines.Len() > 0 {
		return fault.AttributeLines(lines.String())
	}
	return nil
}

// checkValues refuses values that do not fit their attribute. Every entry is checked, also one that a later entry
// of the same name overrides; the empty value deletes and is not checked.
func checkValues(p *pool.Pool, values []Value) error {
	var lines strings.Builder
	for _, v := range values {
		if v.Text == nil {
			return fault.NullAttributeValue(v.Name)
		}
		if strings.IndexByte(*v.Text, 0) >= 0 {
			return fault.NullCharacter(v.Name)
		}
		if *v.Text == "" {
			continue
		}
		a, _ := p.Attribute(v.Name)
		if text := violation(a, *v.Text); text != "" {
			lines.WriteString(line(v.Name, text))
		}
	}
	if lines.Len() > 0 {
		return fault.AttributeLines(lines.String())
	}
	for _, v := range values {
		if *v.Text == "" {
			continue
		}
		if err := address(v.Name, *v.Text); err != nil {
			return err
		}
	}
	return nil
}

// last is what the request asks for when the last entry of a name wins, in stored form.
func last(p *pool.Pool, values []Value) map[string]string {
	final := make(map[string]string, len(values))
	for _, v := range values {
		a, _ := p.Attribute(v.Name)
		final[v.Name] = stored(a, *v.Text)
	}
	return final
}

// checkFlags refuses a flag of an address that the user neither has nor gets.
func checkFlags(u *Record, values []Value, final map[string]string) error {
	for _, v := range values {
		name, ok := flagOf(v.Name)
		if !ok {
			continue
		}
		if _, given := final[name]; !given && u.Attributes[name] == "" {
			return needsAddress(name)
		}
	}
	return nil
}

// isRequired reports whether an attribute can not be taken away from the user: it is required, or it is the only
// name by which the user signs in.
func isRequired(p *pool.Pool, u *Record, name string) bool {
	a, ok := p.Attribute(name)
	return ok && a.Required || u.SignInAttribute == name && p.UsernameAttribute(name)
}

// checkPreferred holds the rules of preferred_username where it is an alias.
func checkPreferred(p *pool.Pool, u *Record, value string) error {
	if value == "" || !p.Alias(pool.PreferredUsername) {
		return nil
	}
	if u.Status == Unconfirmed {
		return fault.PreferredUsernameUnconfirmed()
	}
	if Key(p, Names, value) == Key(p, Names, u.Username) {
		return fault.PreferredUsernameIsUsername()
	}
	return nil
}

// set stores a value, or removes the attribute when the value is empty.
func set(attributes map[string]string, name, value string) {
	if value == "" {
		delete(attributes, name)
	} else {
		attributes[name] = value
	}
}

// flagValue is the stored form of a flag: an emptied one counts as false.
func flagValue(s string) string {
	if s == "true" {
		return "true"
	}
	return "false"
}

// Remove decides what deleting attributes means. Deleting what the user does not have is no error; deleting a flag
// sets it to false; an address goes with its flag, its alias and its code.
func Remove(p *pool.Pool, u *Record, names []string, now time.Time) (Plan, error) {
	var unknown, refused strings.Builder
	for _, name := range names {
		a, ok := p.Attribute(name)
		switch {
		case !ok:
			unknown.WriteString(line(name, textUnknown))
		case name == pool.Sub || name == pool.Identities || !a.Mutable:
			refused.WriteString(line(name, textImmutable))
		}
	}
	for _, lines := range []string{unknown.String(), refused.String()} {
		if lines != "" {
			return Plan{}, fault.InvalidAttributes(lines)
		}
	}
	for _, name := range names {
		if isRequired(p, u, name) {
			return Plan{}, fault.RequiredAttribute(pool.InternalName(name))
		}
	}
	if len(names) == 0 {
		return Plan{}, nil
	}
	plan := Plan{After: u.Clone(), Names: slices.Compact(slices.Sorted(slices.Values(names)))}
	after := plan.After
	after.Modified = now
	if !after.TemporarySince.IsZero() {
		after.TemporarySince = now
	}
	for _, name := range plan.Names {
		if name == pool.Email || name == pool.PhoneNumber {
			continue // below, after the flags: the flag goes with its address
		}
		if _, isFlag := flagOf(name); !isFlag {
			delete(after.Attributes, name)
		} else if _, had := after.Attributes[name]; had {
			after.Attributes[name] = "false"
		}
	}
	for _, a := range addresses {
		if slices.Contains(plan.Names, a.name) {
			plan.address(p, a.name, a.flag, a.space, "", false, now)
		}
	}
	return plan, nil
}
