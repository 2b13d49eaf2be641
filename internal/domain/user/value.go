package user

import (
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// Value is an attribute as a request gives it; Text is nil when the request has no value for it.
type Value struct {
	Name string
	Text *string
}

// The texts of a schema violation. They stand in one table because the service's own are known only in part: the two
// about length are observed, the others are our wording in the same form.
const (
	textUnknown   = "Attribute does not exist in the schema."
	textImmutable = "Attribute cannot be updated."
	textTooLong   = "String must be no longer than %d characters"
	textTooShort  = "String must be no shorter than %d characters"
	textNumber    = "Value must be a number"
	textTooBig    = "Number must be no greater than %s"
	textTooSmall  = "Number must be no less than %s"
	textBoolean   = "Value must be true or false"
	textDate      = "Value must be a date"
)

// line is one line of an answer on the update paths.
func line(name, text string) string { return "user." + name + ": " + text + "\n" }

// violation is the text of the constraint that a non-empty value breaks, "" when it breaks none.
func violation(a pool.Attribute, value string) string {
	switch a.Type {
	case pool.String:
		n := utf8.RuneCountInString(value)
		if max := limit(a.Max, 2048); n > max {
			return strings.Replace(textTooLong, "%d", strconv.Itoa(max), 1)
		}
		if min := limit(a.Min, 0); n < min {
			return strings.Replace(textTooShort, "%d", strconv.Itoa(min), 1)
		}
	case pool.Number:
		n, ok := decimal(value)
		if !ok {
			return textNumber
		}
		if a.Max != nil {
			if max, ok := decimal(*a.Max); ok && n.Cmp(max) > 0 {
				return strings.Replace(textTooBig, "%s", *a.Max, 1)
			}
		}
		if a.Min != nil {
			if min, ok := decimal(*a.Min); ok && n.Cmp(min) < 0 {
				return strings.Replace(textTooSmall, "%s", *a.Min, 1)
			}
		}
	case pool.Boolean:
		if _, ok := boolean(value); !ok {
			return textBoolean
		}
	case pool.DateTime:
		if _, number := decimal(value); !number && !date(value) {
			return textDate
		}
	}
	return ""
}

// limit reads a length that the pool's schema check has found to be a number.
func limit(s *string, otherwise int) int {
	if s == nil {
		return otherwise
	}
	n, err := strconv.Atoi(*s)
	if err != nil {
		return otherwise
	}
	return n
}

// decimal reads an optional sign, digits, and an optional fraction; exponents are refused, since a short text
// could stand for a huge number.
func decimal(s string) (*big.Rat, bool) {
	digits, dots := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && digits > 0 && dots == 0 && i < len(s)-1:
			dots++
		case (c == '-' || c == '+') && i == 0:
		default:
			return nil, false
		}
	}
	if digits == 0 {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// date reports whether s is a date and time as RFC 3339 writes it. time.Parse alone takes more: an hour of one digit, a
// comma before the fraction, and zones of 24 hours and of 60 minutes.
func date(s string) bool {
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return false
	}
	n := len(s)
	return s[len("2006-01-02T15")] == ':' && !strings.Contains(s, ",") && (s[n-1] == 'Z' || s[n-5:n-3] <= "23" && s[n-2:] <= "59")
}

// boolean reads true or false in any letter case and returns the stored form.
func boolean(s string) (string, bool) {
	// Not EqualFold, by which the long s of some scripts is an s.
	switch lower := strings.ToLower(s); lower {
	case "true", "false":
		return lower, true
	}
	return "", false
}

// address reports the fault of an e-mail address or a phone number that is none.
func address(name, value string) error {
	switch {
	case name == pool.Email && !contact.ValidEmail(value):
		return fault.InvalidEmail()
	case name == pool.PhoneNumber && !contact.ValidPhone(value):
		return fault.InvalidPhone()
	}
	return nil
}

// stored is the form in which a checked value is kept: as given, but for Booleans.
func stored(a pool.Attribute, value string) string {
	if a.Type == pool.Boolean {
		if b, ok := boolean(value); ok {
			return b
		}
	}
	return value
}

// addresses are the attributes that can be verified, with their flags, in the order in which codes go out.
var addresses = [...]struct {
	name, flag string
	space      Space
}{
	{pool.PhoneNumber, pool.PhoneNumberVerified, Phones},
	{pool.Email, pool.EmailVerified, Emails},
}

// flagOf is the address whose flag the attribute is.
func flagOf(name string) (address string, ok bool) {
	for _, a := range addresses {
		if a.flag == name {
			return a.name, true
		}
	}
	return "", false
}

// needsAddress is the fault of a flag without an address.
func needsAddress(name string) error {
	if name == pool.Email {
		return fault.EmailNeededToVerify()
	}
	return fault.PhoneNeededToVerify()
}
