package sqlstore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// Attributes are one JSON object with sorted names, so that an operator can read and compare them. It is written and
// read here by hand, because every update of a user passes through it.

// encodeAttributes returns errText for what the databases could not keep.
func encodeAttributes(attributes map[string]string) (string, error) {
	names := make([]string, 0, 32)
	size := 2
	for name, value := range attributes {
		if !storable(name) || !storable(value) {
			return "", errText
		}
		names = append(names, name)
		size += len(name) + len(value) + 6
	}
	slices.Sort(names)
	b := make([]byte, 0, size)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, name)
		b = append(b, ':')
		b = appendQuoted(b, attributes[name])
	}
	return string(append(b, '}')), nil
}

// appendQuoted writes valid UTF-8 as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// decodeAttributes reads what encodeAttributes wrote, and any other JSON object of strings, with the slower standard
// decoder: somebody may have repaired a row by hand.
func decodeAttributes(text string) (map[string]string, error) {
	if attributes, ok := decodeQuick(text); ok {
		return attributes, nil
	}
	attributes := make(map[string]string)
	if err := json.Unmarshal([]byte(text), &attributes); err != nil {
		return nil, fmt.Errorf("decode attributes: %w", err)
	}
	return attributes, nil
}

// decodeQuick reads an object without white space and escapes; it gives up on everything else.
func decodeQuick(doc string) (map[string]string, bool) {
	if len(doc) < 2 || doc[0] != '{' || doc[len(doc)-1] != '}' || strings.IndexByte(doc, '\\') >= 0 {
		return nil, false
	}
	attributes := make(map[string]string, 16)
	rest := doc[1 : len(doc)-1]
	for rest != "" {
		name, after, ok := quoted(rest)
		if !ok || after == "" || after[0] != ':' {
			return nil, false
		}
		value, after, ok := quoted(after[1:])
		if !ok {
			return nil, false
		}
		attributes[name] = value
		if after == "" {
			break
		}
		if after[0] != ',' || len(after) == 1 {
			return nil, false
		}
		rest = after[1:]
	}
	return attributes, true
}

func quoted(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return "", "", false
	}
	return s[1 : 1+end], s[2+end:], true
}

// pendingValue is the stored form of a user.Pending.
type pendingValue struct {
	Value     string
	Requested int64
}

// encodePending is NULL for none.
func encodePending(pending map[string]user.Pending) (any, error) {
	if len(pending) == 0 {
		return nil, nil
	}
	stored := make(map[string]pendingValue, len(pending))
	for name, p := range pending {
		if !storable(name) || !storable(p.Value) {
			return nil, errText
		}
		stored[name] = pendingValue{p.Value, millis(p.Requested)}
	}
	return document(stored)
}

func decodePending(text string) (map[string]user.Pending, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var stored map[string]pendingValue
	if err := undocument([]byte(text), &stored); err != nil {
		return nil, err
	}
	pending := make(map[string]user.Pending, len(stored))
	for name, p := range stored {
		pending[name] = user.Pending{Value: p.Value, Requested: instant(p.Requested)}
	}
	return pending, nil
}

func samePending(a, b map[string]user.Pending) bool {
	if len(a) != len(b) {
		return false
	}
	for name, x := range a {
		y, ok := b[name]
		if !ok || x.Value != y.Value || !sameInstant(x.Requested, y.Requested) {
			return false
		}
	}
	return true
}

func sameInstant(a, b time.Time) bool {
	return a.IsZero() == b.IsZero() && (a.IsZero() || millis(a) == millis(b))
}
