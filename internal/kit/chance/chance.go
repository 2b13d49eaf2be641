// Package chance draws everything that must not be guessed or must not repeat: ids, codes, secrets, salts.
//
// A [Source] comes from the operating system ([System]) or, for the dev server and golden tests, from a seed ([Seeded]).
// An entropy source that fails means a broken machine on which no secret is safe: every method panics then instead of
// returning an error.
package chance

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Source draws random values. It is safe for concurrent use and an [io.Reader] whose Read never fails.
type Source struct {
	mu       sync.Mutex // serialises reads of a seeded generator
	values   io.Reader
	requests block
	fixed    atomic.Pointer[string] // the codes; nil: they are drawn
}

// System returns a source that reads from the operating system.
func System() *Source {
	return &Source{values: rand.Reader, requests: block{from: rand.Reader}}
}

// Seeded returns a source that draws the same values in the same order for the same seed: never for a server with real users.
// Request ids have a stream of their own, so that the number of requests does not change what is drawn for users.
func Seeded(seed uint64) *Source {
	return &Source{values: generator("values", seed), requests: block{from: generator("requests", seed)}}
}

func generator(stream string, seed uint64) io.Reader {
	return mathrand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "poolhouse %s %d", stream, seed)))
}

// Read fills p with random bytes. It returns len(p) and no error, always.
func (s *Source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fill(s.values, p)
	return len(p), nil
}

func fill(from io.Reader, p []byte) {
	if _, err := io.ReadFull(from, p); err != nil {
		panic(fmt.Sprintf("chance: the entropy source failed: %v", err))
	}
}

// block reads ahead, because asking the operating system costs far more than the 16 bytes of an id. Only ids that are
// public anyway come from here.
type block struct {
	mu    sync.Mutex
	from  io.Reader
	bytes [4096]byte
	left  int // unread bytes, at the end of the block
}

func (b *block) id() (id [16]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < len(id) {
		fill(b.from, b.bytes[:])
		b.left = len(b.bytes)
	}
	copy(id[:], b.bytes[len(b.bytes)-b.left:])
	b.left -= len(id)
	return id
}

const (
	digits   = "0123456789"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower    = "abcdefghijklmnopqrstuvwxyz"
	base62   = digits + upper + lower
	base32   = digits + "abcdefghijklmnopqrstuv"
	keyID    = upper + "234567"
	keyChars = upper + lower + digits + "/+"
)

// text draws n characters of the alphabet, each with the same chance.
func (s *Source) text(alphabet string, n int) string {
	out := make([]byte, 0, n)
	limit := 256 - 256%len(alphabet) // bytes from here on would favour the first characters
	for len(out) < n {
		for _, b := range s.Bytes(n - len(out)) {
			if int(b) < limit {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// Bytes returns n random bytes.
func (s *Source) Bytes(n int) []byte {
	p := make([]byte, n)
	_, _ = s.Read(p) // cannot fail, see Read
	return p
}

// PoolID returns a user pool id: the region, "_", and nine letters or digits.
func (s *Source) PoolID(region string) string { return region + "_" + s.text(base62, 9) }

// ClientID returns an app client id: 26 characters of 0-9 and a-v (130 bits).
func (s *Source) ClientID() string { return s.text(base32, 26) }

// ClientSecret returns an app client secret: 52 characters of 0-9 and a-v (260 bits).
func (s *Source) ClientSecret() string { return s.text(base32, 52) }

// Sub returns a user's subject id. It looks like a UUID but is none: the third group starts with 70 and the fourth carries no
// variant bits, as in the subs that the real service gives (observed: 34c84488-e0e1-70ae-d2ee-991ad1a898c8), so that clients
// that insist on a variant of RFC 9562 fail here too. 120 bits are random.
func (s *Source) Sub() string {
	id := [16]byte(s.Bytes(16))
	id[6] = 0x70
	return grouped(id)
}

// UUID returns a version 4 UUID.
func (s *Source) UUID() string { return version4([16]byte(s.Bytes(16))) }

// RequestID returns a version 4 UUID for a request. It is cheaper than [Source.UUID] because it is read ahead; never use it
// as a secret.
func (s *Source) RequestID() string { return version4(s.requests.id()) }

// RequestIDAt is RequestID for a request that came at t, to the millisecond: ids of later requests sort behind
// those of earlier ones, so that a database appends them to its index and does not spread them over all of it. 74
// bits are random.
func (s *Source) RequestIDAt(t time.Time) string {
	id := s.requests.id()
	ms := t.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return version4(id)
}

func version4(id [16]byte) string {
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return grouped(id)
}

func grouped(id [16]byte) string {
	var out [36]byte
	hex.Encode(out[0:8], id[0:4])
	hex.Encode(out[9:13], id[4:6])
	hex.Encode(out[14:18], id[6:8])
	hex.Encode(out[19:23], id[8:10])
	hex.Encode(out[24:36], id[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// FixCodes makes every code the same from now on: six digits, with 00 behind them in codes of eight. "" has them drawn
// again. It is for the dev server; no other may call it.
func (s *Source) FixCodes(code string) {
	if code == "" {
		s.fixed.Store(nil)
		return
	}
	s.fixed.Store(&code)
}

// FixedCode is the code that all are, "" when they are drawn.
func (s *Source) FixedCode() string {
	if code := s.fixed.Load(); code != nil {
		return *code
	}
	return ""
}

// Code6 returns six decimal digits, 000000 to 999999, each code with the same chance.
func (s *Source) Code6() string {
	if fixed := s.FixedCode(); fixed != "" {
		return fixed
	}
	const codes = 1_000_000
	const limit = 1 << 32 / codes * codes
	for {
		if n := binary.BigEndian.Uint32(s.Bytes(4)); n < limit {
			return fmt.Sprintf("%06d", n%codes)
		}
	}
}

// Code8 returns eight decimal digits, each code with the same chance.
func (s *Source) Code8() string {
	if fixed := s.FixedCode(); fixed != "" {
		return fixed + "00"
	}
	const codes = 100_000_000
	const limit = 1 << 32 / codes * codes
	for {
		if n := binary.BigEndian.Uint32(s.Bytes(4)); n < limit {
			return fmt.Sprintf("%08d", n%codes)
		}
	}
}

// Salt returns 16 random bytes, the first of them not zero: salts travel as hexadecimal numbers, and one public client loses
// leading zero bytes.
func (s *Source) Salt() []byte {
	for {
		if salt := s.Bytes(16); salt[0] != 0 {
			return salt
		}
	}
}

// Token returns n random bytes as unpadded base64url.
func (s *Source) Token(n int) string { return base64.RawURLEncoding.EncodeToString(s.Bytes(n)) }

// AccessKey returns an AWS-style key pair: "AKIA" and 16 characters of A-Z and 2-7; a secret of 40 base64 characters.
func (s *Source) AccessKey() (id, secret string) {
	return "AKIA" + s.text(keyID, 16), s.text(keyChars, 40)
}

// PasswordShape says what a generated password must contain.
type PasswordShape struct {
	Length                      int // the smallest allowed length, in characters
	Upper, Lower, Digit, Symbol bool
}

// MinTemporaryPassword is the least length of a temporary password, whatever the policy allows.
const MinTemporaryPassword = 8

// Characters of temporary passwords: none that people confuse (0 O o, 1 l I), and of the symbols that count for a password
// policy only those that neither HTML, URLs' query parts nor shells treat specially.
const (
	tempUpper  = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	tempLower  = "abcdefghijkmnpqrstuvwxyz"
	tempDigit  = "23456789"
	tempSymbol = "-_=:@"
)

// TemporaryPassword returns a password of max(p.Length, 8) characters with at least one of each demanded class. Letters and
// digits may always occur, symbols only on demand and never first or last, where a mail's punctuation or an option's dash could
// swallow them. All passwords that fit have the same chance.
func (s *Source) TemporaryPassword(p PasswordShape) string {
	alphabet := tempUpper + tempLower + tempDigit
	if p.Symbol {
		alphabet += tempSymbol
	}
	n := max(p.Length, MinTemporaryPassword)
	for {
		if password := s.text(alphabet, n); p.fits(password) {
			return password
		}
	}
}

func (p PasswordShape) fits(password string) bool {
	has := func(demanded bool, class string) bool { return !demanded || strings.ContainsAny(password, class) }
	edges := password[:1] + password[len(password)-1:]
	return has(p.Upper, tempUpper) && has(p.Lower, tempLower) && has(p.Digit, tempDigit) && has(p.Symbol, tempSymbol) &&
		!strings.ContainsAny(edges, tempSymbol)
}
