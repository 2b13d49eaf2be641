package page_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/page"
)

var (
	now  = time.Date(2026, 5, 6, 7, 8, 9, 123_000_000, time.UTC)
	want = page.Token{Operation: "ListUsers", Scope: "us-east-1_AbCdEf123", Inputs: page.Hash("filter", "60"), After: "34c84488-e0e1-70ae-d2ee-991ad1a898c8", Issued: now}
)

func sealer(t testing.TB, fill byte) *page.Sealer {
	t.Helper()
	s, err := page.NewSealer(bytes.Repeat([]byte{fill}, page.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s, node2 := sealer(t, 1), sealer(t, 1)
	legal := regexp.MustCompile(`\A[A-Za-z0-9_-]+\z`)
	for _, after := range []string{"", "x", want.After, "a\x00b\xff", strings.Repeat("k", page.MaxAfter)} {
		token := want
		token.After = after
		text := s.Seal(token)
		if !legal.MatchString(text) || len(text) > page.MaxLength {
			t.Errorf("a token of %d characters: %.40q", len(text), text)
		}
		if len(after) > 10 && strings.Contains(text, base64.RawURLEncoding.EncodeToString([]byte(after))[:10]) {
			t.Error("the token shows its key")
		}
		got, err := node2.Open(text, page.Token{Operation: want.Operation, Scope: want.Scope, Inputs: want.Inputs}, now.Add(time.Hour), time.Hour)
		if err != nil || got != after {
			t.Errorf("%.40q came back as %.40q, %v", after, got, err)
		}
	}
}

func TestForeignTokens(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	text := s.Seal(want)
	for what, asked := range map[string]page.Token{
		"operation": {Operation: "ListGroups", Scope: want.Scope, Inputs: want.Inputs}, "pool": {Operation: want.Operation, Scope: "us-east-1_AbCdEf124", Inputs: want.Inputs},
		"no pool": {Operation: want.Operation, Inputs: want.Inputs}, "inputs": {Operation: want.Operation, Scope: want.Scope, Inputs: page.Hash("filter60")},
		"split": {Operation: want.Operation + want.Scope, Inputs: want.Inputs}, "nothing": {},
	} {
		if after, err := s.Open(text, asked, now, time.Hour); !errors.Is(err, page.ErrInvalid) || after != "" {
			t.Errorf("opened for another %s: %q, %v", what, after, err)
		}
	}
	if _, err := sealer(t, 2).Open(text, want, now, time.Hour); !errors.Is(err, page.ErrInvalid) {
		t.Errorf("opened with another key: %v", err)
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	text := s.Seal(want)
	for age, valid := range map[time.Duration]bool{
		0: true, time.Hour: true, time.Hour + time.Millisecond: false, 24 * time.Hour: false, -time.Minute: true, -time.Minute - time.Millisecond: false,
	} {
		if _, err := s.Open(text, want, now.Add(age), time.Hour); (err == nil) != valid || err != nil && !errors.Is(err, page.ErrInvalid) {
			t.Errorf("at an age of %v: %v", age, err)
		}
	}
}

// Every prefix, every extension by a character and every changed bit or character is refused.
func TestAlteredTokens(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	text := s.Seal(want)
	refused := func(what, token string) {
		t.Helper()
		if after, err := s.Open(token, want, now, time.Hour); !errors.Is(err, page.ErrInvalid) || after != "" {
			t.Errorf("%s: opened as %q, %v", what, after, err)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \n\r\x00"
	for i := range text {
		refused(fmt.Sprintf("the first %d characters", i), text[:i])
		refused(fmt.Sprintf("without the first %d characters", i+1), text[i+1:])
		for bit := range 8 {
			b := []byte(text)
			b[i] ^= 1 << bit
			refused(fmt.Sprintf("character %d, bit %d", i, bit), string(b))
		}
		for _, c := range alphabet {
			refused(fmt.Sprintf("%q put in at %d", c, i), text[:i]+string(c)+text[i:])
			if byte(c) != text[i] {
				refused(fmt.Sprintf("%q at %d", c, i), text[:i]+string(c)+text[i+1:])
			}
		}
	}
	for _, c := range alphabet {
		refused(fmt.Sprintf("%q at the end", c), text+string(c))
	}
	refused("twice", text+text)
	refused("too long", strings.Repeat("A", page.MaxLength+1))
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		b := []byte(text)
		for range 2 + random.IntN(6) {
			b[random.IntN(len(b))] = alphabet[random.IntN(64)]
		}
		if string(b) != text {
			refused("many changes", string(b))
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	seen := map[[32]byte][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab"}, {"a", "b"}, {"a\x00b"}, {"\x01a"}, {"\x01a\x01b"}, {strings.Repeat("a", 200)}} {
		h := page.Hash(parts...)
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q have the same hash", parts, other)
		}
		seen[h] = parts
		if h != page.Hash(parts...) {
			t.Errorf("the hash of %q varies", parts)
		}
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := page.NewSealer(make([]byte, n)); !errors.Is(err, page.ErrKeySize) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("sealed a key that no token can hold")
		}
	}()
	token := want
	token.After = strings.Repeat("k", page.MaxAfter+1)
	sealer(t, 1).Seal(token)
}

func FuzzOpen(f *testing.F) {
	s := sealer(f, 1)
	text := s.Seal(want)
	for _, seed := range []string{"", "A", text, text[1:], text + "A", text + "\n", "AQ", strings.Repeat("A", 60), "====", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		after, err := s.Open(token, want, now, time.Hour)
		switch {
		case err == nil && (token != text || after != want.After):
			t.Errorf("forged: %q opened as %q", token, after)
		case err != nil && !errors.Is(err, page.ErrInvalid):
			t.Errorf("%q: an error of another kind: %v", token, err)
		case token == text && err != nil:
			t.Errorf("the real token was refused: %v", err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := sealer(b, 1)
	text := s.Seal(want)
	for b.Loop() {
		if _, err := s.Open(text, want, now, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
