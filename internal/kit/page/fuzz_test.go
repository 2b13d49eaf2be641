package page_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/page"
)

// FuzzSeal makes tokens of any content: each opens for what it was made for, in its time, under its key, and in no other
// case, neither as a whole nor with one bit changed.
func FuzzSeal(f *testing.F) {
	f.Add("ListUsers", "us-east-1_AbCdEf123", "filter", "60", "34c84488", uint16(0), int64(0))
	f.Add("", "", "", "", "", uint16(99), int64(3_600_000))
	f.Add("a", "bc", "d", "e", "\x00\xff", uint16(13*8), int64(-60_000))
	f.Add("ab", "c", "d", "e", "\n", uint16(1<<15), int64(3_600_001))
	f.Fuzz(func(t *testing.T, operation, scope, one, two, after string, bit uint16, age int64) {
		if len(after) > page.MaxAfter {
			return
		}
		age %= 10_000_000
		token := page.Token{Operation: operation, Scope: scope, Inputs: page.Hash(one, two), After: after, Issued: now}
		s := sealer(t, 1)
		text := s.Seal(token)
		later := now.Add(time.Duration(age) * time.Millisecond)
		got, err := s.Open(text, token, later, time.Hour)
		if young := age <= 3_600_000 && age >= -60_000; young != (err == nil) || err == nil && got != after || err != nil && !errors.Is(err, page.ErrInvalid) {
			t.Fatalf("a token of %d ms opens as %q, %v", age, got, err)
		}
		refused := func(what string, s *page.Sealer, text string, want page.Token) {
			t.Helper()
			if got, err := s.Open(text, want, now, time.Hour); !errors.Is(err, page.ErrInvalid) {
				t.Fatalf("%s: opens as %q, %v", what, got, err)
			}
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		raw[int(bit)/8%len(raw)] ^= 1 << (bit % 8)
		refused("a bit is changed", s, base64.RawURLEncoding.EncodeToString(raw), token)
		refused("another key", sealer(t, 2), text, token)
		other := token
		other.Operation, other.Scope = operation+"x", scope
		refused("another operation", s, text, other)
		other.Operation, other.Scope = operation, scope+"x"
		refused("another scope", s, text, other)
		if scope != "" {
			other.Operation, other.Scope = operation+scope[:1], scope[1:]
			refused("a letter has moved", s, text, other)
		}
		other = token
		other.Inputs = page.Hash(one+two, "")
		if two != "" {
			refused("other inputs", s, text, other)
		}
	})
}
