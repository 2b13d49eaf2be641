package credential

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
)

// symbols are the characters that count as symbols; a space counts when it is neither first nor last.
const symbols = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+-"

// The reasons why a password does not meet the policy (observed). The service names the first only.
const (
	NotLongEnough = "Password not long enough"
	NoUppercase   = "Password must have uppercase characters"
	NoLowercase   = "Password must have lowercase characters"
	NoNumber      = "Password must have numeric characters"
	NoSymbol      = "Password must have symbol characters"
)

// Lacking is the first rule of the policy that the password breaks, as the service words it, "" when it breaks
// none. Letters and digits are those of basic Latin; the length counts characters.
func Lacking(p pool.PasswordPolicy, password string) string {
	has := func(from, to byte) bool {
		return strings.IndexFunc(password, func(r rune) bool { return r >= rune(from) && r <= rune(to) }) >= 0
	}
	switch {
	case utf8.RuneCountInString(password) < p.MinimumLength:
		return NotLongEnough
	case p.Upper && !has('A', 'Z'):
		return NoUppercase
	case p.Lower && !has('a', 'z'):
		return NoLowercase
	case p.Numbers && !has('0', '9'):
		return NoNumber
	case p.Symbols && !strings.ContainsAny(password, symbols) && !strings.Contains(strings.Trim(password, " "), " "):
		return NoSymbol
	}
	return ""
}

// Verifier computes what is kept of a password in the form, and under the salt, of what is kept of another one.
type Verifier func(like Kept) ([]byte, error)

// Equal compares two verifiers in constant time.
type Equal func(a, b []byte) bool

// Used reports whether the new password is one of the last n, the current one included. It computes one verifier
// for each former password.
func (p *Password) Used(n int, verifier Verifier, equal Equal) (used bool, err error) {
	if p == nil || n <= 0 {
		return false, nil
	}
	past := append([]Kept{p.Kept}, p.Former...)
	for _, f := range past[:min(n, len(past))] {
		again, err := verifier(f)
		if err != nil {
			return false, err
		}
		used = equal(again, f.Verifier) || used
	}
	return used, nil
}

// Follow is the next password after p, with as much of the past as a history of n needs; p is nil for the first.
func (p *Password) Follow(next Password, n int) *Password {
	if p != nil && n > 0 {
		past := append([]Kept{p.Kept}, p.Former...)
		next.Former = slices.Clone(past[:min(n-1, len(past))])
	}
	return &next
}

// Same reports whether two reads of a user's password found the same one.
func (p *Password) Same(other *Password) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.Set.Equal(other.Set) && bytes.Equal(p.Salt, other.Salt)
}
