// Package contact knows what an e-mail address, a phone number and a login name look like, how they are compared and how they
// are masked.
//
// Nothing here changes a value that is kept: users get back what they gave. Which pool asks for which rule is domain/pool's
// business; parsing of mail headers belongs to the mailer.
package contact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxLocal  = 64  // bytes before the '@', RFC 5321 section 4.5.3.1.1
	maxDomain = 255 // bytes after it, RFC 5321 section 4.5.3.1.2
)

// ValidEmail reports whether s may be stored as an e-mail address.
//
// The documented rule of the API is lenient: letters, marks, symbols, numbers and punctuation of any script around an '@'. On
// top of it, this refuses what mail software parses in more than one way: a second '@' (also a wide one that normalisation
// would turn into one), quotes, comments, display names, address literals, source routes, empty domain labels, and more than 64
// bytes before or 255 after the '@'. Domains without a dot and non-ASCII letters are fine.
func ValidEmail(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || len(local) > maxLocal || domain == "" || len(domain) > maxDomain || !utf8.ValidString(s) {
		return false
	}
	for _, r := range local {
		if !addressRune(r) {
			return false
		}
	}
	for _, r := range domain {
		if !addressRune(r) {
			return false
		}
	}
	return domain[0] != '.' && domain[len(domain)-1] != '.' && !strings.Contains(domain, "..")
}

// addressRune reports whether r may stand on either side of the '@'.
func addressRune(r rune) bool {
	switch r {
	case '@', '\uff20', '\ufe6b', // at signs
		'"', '(', ')', '<', '>', '[', ']', ',', ';', ':', '\\': // the grammar of headers
		return false
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.S, unicode.N, unicode.P)
}

const maxPhoneDigits = 15 // E.164

// ValidPhone reports whether s is a phone number: '+' and 1 to 15 ASCII digits.
func ValidPhone(s string) bool { return LooksLikePhone(s) && len(s) <= 1+maxPhoneDigits }

// LooksLikeEmail reports whether s has exactly one '@' with something on both sides. It tells an address from a name; it does
// not make the address valid.
func LooksLikeEmail(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && local != "" && domain != "" && !strings.Contains(domain, "@")
}

// LooksLikePhone reports whether s is '+' followed by ASCII digits, of any number.
func LooksLikePhone(s string) bool {
	if len(s) < 2 || s[0] != '+' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// FoldVersion names the rule of [Fold]. It is stored beside folded keys; when it changes, they must be made again.
const FoldVersion = 1

// Fold returns the canonical key of a login in a case-insensitive pool: each character in lower case by itself, nothing
// normalised, so that "STRASSE" and "straße" stay two logins. Folding twice changes nothing. Bytes that are not UTF-8 stay.
func Fold(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && !('A' <= s[i] && s[i] <= 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b.WriteByte(s[i])
		} else {
			b.WriteRune(unicode.ToLower(r))
		}
		i += size
	}
	return b.String()
}

// MaskEmail shows the first character on each side of the '@': jane@example.com becomes j***@e***. A text that is no address is
// hidden whole.
func MaskEmail(s string) string {
	if !LooksLikeEmail(s) {
		return "***"
	}
	local, domain, _ := strings.Cut(s, "@")
	return first(local) + "***@" + first(domain) + "***"
}

func first(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return s[:size]
}

// MaskPhone shows the last four digits: +15555559934 becomes +*******9934. A number of four digits or fewer is hidden whole, as
// is a text that is no number.
func MaskPhone(s string) string {
	if !LooksLikePhone(s) {
		return "***"
	}
	shown := 4
	if len(s)-1 <= shown {
		shown = 0
	}
	hidden := len(s) - 1 - shown
	return "+" + strings.Repeat("*", hidden) + s[1+hidden:]
}
