package user

import (
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
	r := &Record{PoolID: p.ID, Sub: sub, Username: username, Created: now, Modified: now, Status: ForceChangePassword,
		Enabled: true, Attributes: make(map[string]string, len(values)+1), SignInAttribute: attribute}
	if attribute != "" {
		r.Username = sub
		for _, v := range values {
			if v.Name == attribute && v.Text != nil && *v.Text != username {
				return nil, fault.UsernameAddressMismatch(attribute)
			}
		}
		values = append(slices.Clip(values), Value{attribute, &username})
	}
	if err := conform(p, values); err != nil {
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

// conform checks the values of a new user; the texts are joined by commas on this path.
func conform(p *pool.Pool, values []Value) error {
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
