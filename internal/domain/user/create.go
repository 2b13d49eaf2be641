package user

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// CheckUsername holds the rules about the form of a new user's name and tells which attribute it fills, "" in pools
// whose user names are no addresses.
func CheckUsername(p *pool.Pool, username string) (attribute string, err error) {
	email, phone := contact.LooksLikeEmail(username), contact.LooksLikePhone(username)
	byEmail, byPhone := p.UsernameAttribute(pool.Email), p.UsernameAttribute(pool.PhoneNumber)
	switch {
	case byEmail && email:
		return pool.Email, nil
	case byPhone && phone:
		return pool.PhoneNumber, nil
	case byEmail && byPhone:
		return "", fault.UsernameNotEmailOrPhone()
	case byEmail:
		return "", fault.UsernameNotEmail()
	case byPhone:
		return "", fault.UsernameNotPhone()
	case email && p.Alias(pool.Email):
		return "", fault.UsernameIsEmail()
	case phone && p.Alias(pool.PhoneNumber):
		return "", fault.UsernameIsPhone()
	}
	return "", nil
}

// ByAdmin makes the record of a user that an administrator creates. Required attributes may be missing, immutable
// ones may be set, flags are allowed. username has passed CheckUsername, which told the attribute that it fills.
func ByAdmin(p *pool.Pool, username, attribute, sub string, values []Value, now time.Time) (*Record, error) {
	return create(p, ForceChangePassword, username, attribute, sub, values, nil, now)
}

// BySignUp makes the record of a user that signs up. Required attributes must be among the values, where the one that
// the user name fills does not count (observed); immutable ones may be set. Which attributes the client may write, flags
// never among them, is checked before.
func BySignUp(p *pool.Pool, username, attribute, sub string, values []Value, now time.Time) (*Record, error) {
	return create(p, Unconfirmed, username, attribute, sub, values, p.Required(), now)
}

func create(p *pool.Pool, status Status, username, attribute, sub string, values []Value, required []string, now time.Time) (*Record, error) {
	r := &Record{PoolID: p.ID, Sub: sub, Username: username, Created: now, Modified: now, Status: status,
		Enabled: true, Attributes: make(map[string]string, len(values)+1), SignInAttribute: attribute}
	var missing []string
	for _, name := range required {
		if !slices.ContainsFunc(values, func(v Value) bool { return v.Name == name && v.Text != nil && *v.Text != "" }) {
			missing = append(missing, name)
		}
	}
	if attribute != "" {
		r.Username = sub
		for _, v := range values {
			if v.Name == attribute && v.Text != nil && *v.Text != username {
				return nil, fault.UsernameAddressMismatch(attribute)
			}
		}
		values = append(slices.Clip(values), Value{attribute, &username})
	}
	if err := conform(p, values, missing); err != nil {
		return nil, err
	}
	for name, value := range last(p, values) {
		set(r.Attributes, name, value)
	}
	for _, a := range addresses {
		if _, given := r.Attributes[a.flag]; given && r.Attributes[a.name] == "" {
			return nil, needsAddress(a.name)
		}
	}
	return r, checkPreferred(p, r, r.Attributes[pool.PreferredUsername])
}

// usernameMember is the name under which an answer about a migrated user may give another user name than was typed.
const usernameMember = "username"

// ByMigration makes the record of a user whom another directory knows by the name that was typed, or by the one that
// its answer gives. The values are held to the schema as an administrator's are.
func ByMigration(p *pool.Pool, username, sub string, attributes map[string]string, status Status, smsFactor bool, now time.Time) (*Record, error) {
	var values []Value
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		if name == usernameMember {
			username = cmp.Or(value, username)
			continue
		}
		values = append(values, Value{name, &value})
	}
	attribute, err := CheckUsername(p, username)
	if err != nil {
		return nil, err
	}
	r, err := ByAdmin(p, username, attribute, sub, values, now)
	if err != nil {
		return nil, err
	}
	if smsFactor && r.Attributes[pool.PhoneNumber] == "" {
		return nil, fault.TriggerUnrecognizable()
	}
	r.Status, r.SMSOption = status, smsFactor
	return r, nil
}

// conform checks the values of a new user, and names the required attributes that are missing; the texts are joined by
// commas on this path.
func conform(p *pool.Pool, values []Value, missing []string) error {
	var list []string
	for _, v := range values {
		if v.Name == pool.Sub {
			return fault.SubNotMutable()
		}
		if v.Text == nil {
			return fault.NullAttributeValue(v.Name)
		}
		if strings.IndexByte(*v.Text, 0) >= 0 {
			return fault.NullCharacter(v.Name)
		}
		a, ok := p.Attribute(v.Name)
		switch {
		case !ok:
			list = append(list, v.Name+": "+textUnknown)
		case v.Name == pool.Identities:
			list = append(list, v.Name+": "+textImmutable)
		case *v.Text != "":
			if text := violation(a, *v.Text); text != "" {
				list = append(list, v.Name+": "+text)
			}
		}
	}
	for _, name := range missing {
		internal := pool.InternalName(name)
		list = append(list, internal+": The attribute "+internal+" is required")
	}
	if len(list) > 0 {
		return fault.SchemaNotConformed(strings.Join(list, ", "))
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

// SignedUp is what a sign-up comes to once the pool's function has agreed: addresses have flags from now on, and a
// user whom the function confirms needs no code. An address that the user lacks cannot be verified: ok is false then.
// Without a confirmation the addresses stay unverified, whatever the function says (unconfirmed).
func (r *Record) SignedUp(confirm, verifyEmail, verifyPhone bool) (ok bool) {
	for _, a := range addresses {
		verified := a.name == pool.Email && verifyEmail || a.name == pool.PhoneNumber && verifyPhone
		if r.Attributes[a.name] == "" {
			if verified {
				return false
			}
			continue
		}
		r.Attributes[a.flag] = "false"
		if verified && confirm {
			r.Attributes[a.flag] = "true"
		}
	}
	if confirm {
		r.Status = Confirmed
	}
	return true
}

// Confirm is what the right code does to a user who signed up: it confirms the user, and verifies the address that the
// code was sent to, if that is still the user's. flag is the name of the flag that became true, "" for none.
func (r *Record) Confirm(target string, now time.Time) (after *Record, flag string) {
	after = r.Clone()
	after.Status, after.Modified = Confirmed, now
	for _, a := range addresses {
		if target != "" && r.Attributes[a.name] == target {
			after.Attributes[a.flag] = "true"
			return after, a.flag
		}
	}
	return after, ""
}

// Reachable is the address to which a code for a new user goes: the phone number before the e-mail address, of those
// that the pool verifies. Both are "" when there is none.
func (r *Record) Reachable(p *pool.Pool) (attribute, to string) {
	for _, a := range addresses {
		if to := r.Attributes[a.name]; to != "" && p.AutoVerifies(a.name) {
			return a.name, to
		}
	}
	return "", ""
}

// Claims are the logins of a new user that may be taken from another user when the caller forces it: verified
// aliases. All others must be free.
func (r *Record) Claims(p *pool.Pool) []Login {
	var claims []Login
	for _, l := range r.Logins(p) {
		if l.Space != Names && p.Alias(AttributeOf(l.Space)) {
			claims = append(claims, l)
		}
	}
	return claims
}
