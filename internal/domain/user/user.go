// Package user holds the rules about user records: attributes and their schema checks, the status machine,
// the names by which a user is found, and what an attribute update means.
//
// It is pure. Uniqueness is decided by the store's index; this package says which names a user claims.
package user

import (
	"maps"
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
)

// Status is the state of a user's account.
type Status string

// The states. Archived, Compromised and Unknown exist in the API and are never written.
const (
	Unconfirmed         Status = "UNCONFIRMED"
	Confirmed           Status = "CONFIRMED"
	ResetRequired       Status = "RESET_REQUIRED"
	ForceChangePassword Status = "FORCE_CHANGE_PASSWORD"
	ExternalProvider    Status = "EXTERNAL_PROVIDER"
)

// Record is a user of a pool.
type Record struct {
	PoolID   string
	Sub      string // immutable
	Username string // immutable, as given at creation
	Version  int64  // grows with every write; the store sets it
	Created  time.Time
	Modified time.Time
	Status   Status
	Enabled  bool
	// Attributes are the current values; sub is not among them, absent ones have no entry.
	Attributes map[string]string
	// Pending are values of email and phone_number that wait for their verification.
	Pending map[string]Pending
	// TemporarySince is when the clock of a temporary password started; zero without one.
	TemporarySince time.Time
	// SignInAttribute is the attribute by which the user was created in a pool with username attributes
	// ("email" or "phone_number"), "" elsewhere.
	SignInAttribute string
	// Identities are the user's accounts at external providers, the oldest first.
	Identities []Identity
	// PasswordOff says that this user can never again sign in with a password: to a sign-in with one the user does
	// not exist (unconfirmed).
	PasswordOff bool
	// SMSOption says that SMS as second factor was turned on by SetUserSettings or AdminSetUserSettings.
	SMSOption bool
	// MFA is which second factors are on by preference.
	MFA MFA
}

// Pending is a value that waits for its verification.
type Pending struct {
	Value     string
	Requested time.Time
}

// Space is a name space of logins. A key stands for at most one user of a pool in each space.
type Space string

// The spaces. Names holds user names and, where it is an alias, preferred_username. The sub needs no rows: it is
// part of the record's key.
const (
	Names  Space = "name"
	Emails Space = "email"
	Phones Space = "phone"
)

// Login is a name by which a user is found.
type Login struct {
	Space Space
	Key   string // canonical, see Key
}

// Key is the canonical form of a login: folded to lower case where the pool ignores case. Phone numbers are
// never folded.
func Key(p *pool.Pool, space Space, text string) string {
	if p.CaseSensitive || space == Phones {
		return text
	}
	return contact.Fold(text)
}

// Logins are the names by which the record can be found now, user name first. In an alias pool an address counts
// when it is verified, in a pool with username attributes always; preferred_username counts as soon as it is stored.
func (r *Record) Logins(p *pool.Pool) []Login {
	logins := make([]Login, 1, 4)
	logins[0] = Login{Names, Key(p, Names, r.Username)}
	if p.Alias(pool.PreferredUsername) {
		if v := r.Attributes[pool.PreferredUsername]; v != "" {
			logins = append(logins, Login{Names, Key(p, Names, v)})
		}
	}
	for _, a := range [...]struct {
		name, flag string
		space      Space
	}{{pool.Email, pool.EmailVerified, Emails}, {pool.PhoneNumber, pool.PhoneNumberVerified, Phones}} {
		v := r.Attributes[a.name]
		if v != "" && (p.UsernameAttribute(a.name) || p.Alias(a.name) && r.Attributes[a.flag] == "true") {
			logins = append(logins, Login{a.space, Key(p, a.space, v)})
		}
	}
	return logins
}

// SameLogins reports, with less work than a comparison of their Logins, that two states of a user surely have the same:
// nothing has changed from which logins follow.
func SameLogins(before, after *Record) bool {
	if before.Username != after.Username {
		return false
	}
	for _, name := range [...]string{pool.Email, pool.EmailVerified, pool.PhoneNumber, pool.PhoneNumberVerified, pool.PreferredUsername} {
		x, had := before.Attributes[name]
		y, has := after.Attributes[name]
		if had != has || x != y {
			return false
		}
	}
	return true
}

// Clone is a deep copy.
func (r *Record) Clone() *Record {
	c := *r
	c.Attributes = make(map[string]string, len(r.Attributes)+2)
	for k, v := range r.Attributes {
		c.Attributes[k] = v
	}
	if r.Pending != nil {
		c.Pending = make(map[string]Pending, len(r.Pending))
		for k, v := range r.Pending {
			c.Pending[k] = v
		}
	}
	c.Identities = slices.Clone(r.Identities)
	return &c
}

// SetPassword is what a new password does to the record: a permanent one confirms the user, a temporary one has to
// be changed at the next sign-in, and its clock starts. Addresses that wait for their verification are dropped: who asked
// for them may be the one from whom the account is taken back by the new password.
func (r *Record) SetPassword(temporary bool, now time.Time) {
	r.Modified, r.Pending = now, nil
	if temporary {
		r.Status, r.TemporarySince = ForceChangePassword, now
	} else {
		r.Status, r.TemporarySince = Confirmed, time.Time{}
	}
}

// Names are the names of the record's attributes, sorted.
func (r *Record) Names() []string { return slices.Sorted(maps.Keys(r.Attributes)) }
