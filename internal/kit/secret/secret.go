// Package secret holds text that must not reach a log, an error message or a page: passwords, codes, tokens, client secrets.
//
// A [Text] prints as "•••" wherever it is printed, marshalled or logged; the one way to the value is [Text.Reveal], so a
// search for Reveal shows every place where a secret leaves its wrapper. Encryption at rest is the room next door, kit/seal.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Hidden is what every Text prints as, the empty one included, so that not even the presence of a value shows.
const Hidden = "•••"

// Text is an immutable string that cannot be printed. The zero Text is empty.
//
// It cannot be compared with == (the compiler refuses); use [Text.Equal].
type Text struct {
	_ [0]func()
	// A pointer, because fmt prints unexported fields of an enclosing struct by reflection, without calling any method:
	// there it shows an address instead of the value.
	value *string
}

// New wraps s.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{value: &s}
}

// Reveal returns the wrapped string.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether the text is empty.
func (t Text) IsZero() bool { return t.value == nil }

// Equal compares in constant time. It compares digests, so that the time does not depend on where, or in how many bytes, the
// two texts differ.
func (t Text) Equal(other Text) bool {
	a, b := sha256.Sum256([]byte(t.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String returns [Hidden].
func (Text) String() string { return Hidden }

// GoString returns [Hidden], for %#v.
func (Text) GoString() string { return Hidden }

// Format writes [Hidden] for every verb and flag.
func (Text) Format(f fmt.State, _ rune) {
	// A formatter has nobody to report a write error to: fmt itself keeps it for its caller.
	_, _ = io.WriteString(f, Hidden)
}

// MarshalJSON returns [Hidden] as a JSON string.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + Hidden + `"`), nil }

// MarshalText returns [Hidden].
func (Text) MarshalText() ([]byte, error) { return []byte(Hidden), nil }

// UnmarshalText sets a Text that is being decoded from configuration or a request. It is not the inverse of MarshalText.
func (t *Text) UnmarshalText(b []byte) error {
	*t = New(string(b))
	return nil
}

// LogValue returns [Hidden].
func (Text) LogValue() slog.Value { return slog.StringValue(Hidden) }
