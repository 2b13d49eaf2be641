package pool

import "strings"

const (
	maxPoolID   = 55
	maxClientID = 128
)

// ValidID reports whether a text has the form of a pool id: letters, digits, '_' and '-', an underscore, and letters
// or digits.
func ValidID(id string) bool {
	at := strings.LastIndexByte(id, '_')
	return at > 0 && at+1 < len(id) && len(id) <= maxPoolID && made(id[:at], "_-") && made(id[at+1:], "")
}

// ValidClientID reports whether a text has the form of a client id: letters, digits, '_' and '+'.
func ValidClientID(id string) bool { return id != "" && len(id) <= maxClientID && made(id, "_+") }

// made reports whether a text consists of ASCII letters, digits and the others.
func made(text, others string) bool {
	for _, r := range text {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return true
}
