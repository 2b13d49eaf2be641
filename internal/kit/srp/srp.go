// Package srp is the server's side of SRP-6a as Cognito's public clients speak it, for passwords and for remembered devices.
//
// It differs from RFC 5054: the group is the 3072-bit one of RFC 3526 with generator 2, the hash is SHA-256, hashed numbers are
// in their shortest two's-complement form, the identity is the pool name directly followed by the user name, the session key is
// 16 bytes from HKDF, and there is no proof by the server. The pool name is the part of the pool id after "_"; a device puts its
// group key there and its device key in place of the user name.
//
// Everything is a function from values to values. Numbers are unsigned big-endian bytes. Random values come from the caller;
// sealing, time-outs and counting of tries are the sign-in's business. Secret exponents are handled in constant time.
package srp

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
)

const (
	// ExponentSize is the number of random bytes for the server's secret b. Longer ones work, slower.
	ExponentSize = 32
	// SaltSize is the number of bytes of a salt. Its first byte must not be zero, since one public client drops leading zeros.
	SaltSize = 16
	// KeySize is the number of bytes of a session key.
	KeySize = 16

	maxNumberText = 2048 // digits that are read at most
)

var (
	// ErrNumber says that a text is not a hexadecimal number of acceptable length.
	ErrNumber = errors.New("srp: not a hexadecimal number")
	// ErrPublic says that a public value must be refused: A or B is a multiple of N, or u is 0.
	ErrPublic = errors.New("srp: illegal public value")
	// ErrVerifier says that a verifier is 0 or longer than N.
	ErrVerifier = errors.New("srp: illegal verifier")
)

// pad returns the shortest two's-complement form of a non-negative number: no leading zeros but for one zero byte when the top
// bit is set, and a single zero byte for 0.
func pad(n []byte) []byte {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	if len(n) == 0 || n[0] >= 0x80 {
		return append([]byte{0}, n...)
	}
	return n
}

func hash(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// ParseNumber reads a number off the wire: hexadecimal digits of either case, odd counts and leading zeros allowed.
func ParseNumber(s string) ([]byte, error) {
	if s == "" || len(s) > maxNumberText {
		return nil, ErrNumber
	}
	if len(s)%2 != 0 {
		s = "0" + s
	}
	n, err := hex.DecodeString(s)
	if err != nil {
		return nil, ErrNumber
	}
	return n, nil
}

// FormatNumber writes a number for the wire: lower-case hexadecimal without leading zeros.
func FormatNumber(n []byte) string {
	if s := strings.TrimLeft(hex.EncodeToString(n), "0"); s != "" {
		return s
	}
	return "0"
}

// Verifier returns v = g^x mod N as 384 bytes, where x = H(pad(salt) ‖ H(poolName ‖ username ‖ ":" ‖ password)). The password's
// bytes are taken as they are.
func Verifier(poolName, username, password string, salt []byte) []byte {
	c := group()
	v := c.powG(private(poolName, username, password, salt))
	return c.bytes(&v)
}

// DecoySize is how many random bytes a decoy is made of.
const DecoySize = 384

// Decoy returns what passes for the verifier of somebody who does not exist: the square of a random number, 384 bytes. Every
// verifier is a square, a power of the generator, which is one itself in this group; half of all numbers are none, and whoever
// finds that out about a verifier knows that no password is behind it.
func Decoy(random []byte) []byte {
	c := group()
	v := c.reduce(random)
	c.mul(&v, &v, &v)
	if v.isZero() { // as unlikely as a guess of the random number
		v = c.one
	}
	return c.bytes(&v)
}

// private returns x.
func private(poolName, username, password string, salt []byte) []byte {
	return hash(pad(salt), hash([]byte(poolName), []byte(username), []byte{':'}, []byte(password)))
}

// Check reports whether the password belongs to the verifier. Its time does not depend on the values.
func Check(verifier []byte, poolName, username, password string, salt []byte) bool {
	c := group()
	want, ok := c.read(verifier)
	got := Verifier(poolName, username, password, salt)
	return subtle.ConstantTimeCompare(got, c.bytes(&want)) == 1 && ok
}

// Public returns the server's public value B = (k·v + g^b) mod N. In the unimaginable case B = 0 it returns ErrPublic, and the
// caller draws another b.
func Public(verifier, b []byte) ([]byte, error) {
	c := group()
	v, err := c.verifier(verifier)
	if err != nil {
		return nil, err
	}
	sum := c.powG(b)
	c.mul(&v, &v, &c.k)
	c.add(&sum, &sum, &v)
	if sum.isZero() {
		return nil, ErrPublic
	}
	return c.bytes(&sum), nil
}

func (c *constants) verifier(b []byte) (element, error) {
	v, ok := c.read(b)
	if !ok || v.isZero() {
		return v, ErrVerifier
	}
	return v, nil
}

// CheckPublic refuses a client's A that is a multiple of N with ErrPublic, before anything is computed for it.
func CheckPublic(a []byte) error {
	if x := group().reduce(a); x.isZero() {
		return ErrPublic
	}
	return nil
}

// Scramble returns u = H(pad(A) ‖ pad(B)), 32 bytes. It refuses u = 0.
func Scramble(a, b []byte) ([]byte, error) {
	u := hash(pad(a), pad(b))
	if subtle.ConstantTimeCompare(u, make([]byte, len(u))) == 1 {
		return nil, ErrPublic
	}
	return u, nil
}

// Shared returns the server's S = (A·v^u)^b mod N as 384 bytes. It refuses A with A mod N = 0.
func Shared(a, verifier, u, b []byte) ([]byte, error) {
	if err := CheckPublic(a); err != nil {
		return nil, err
	}
	c := group()
	v, err := c.verifier(verifier)
	if err != nil {
		return nil, err
	}
	s := c.pow(&v, u)
	x := c.reduce(a)
	c.mul(&s, &s, &x)
	s = c.pow(&s, b)
	return c.bytes(&s), nil
}

// SessionKey returns K: 16 bytes of HKDF-SHA-256 from pad(S) with the salt pad(u) and the info "Caldera Derived Key".
func SessionKey(u, shared []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, pad(shared), pad(u), "Caldera Derived Key", KeySize)
}

// Session goes from the exchanged values to the session key: u, S and K in one step. publicA is the client's, publicB the
// server's value, b the server's secret.
func Session(publicA, publicB, verifier, b []byte) ([]byte, error) {
	u, err := Scramble(publicA, publicB)
	if err != nil {
		return nil, err
	}
	s, err := Shared(publicA, verifier, u, b)
	if err != nil {
		return nil, err
	}
	return SessionKey(u, s)
}

// Signature returns the client's proof: HMAC-SHA-256 under the session key of poolName ‖ username ‖ secretBlock ‖ timestamp.
// secretBlock is what the client decoded from Base64, timestamp the text as sent.
func Signature(key []byte, poolName, username string, secretBlock []byte, timestamp string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(poolName))
	h.Write([]byte(username))
	h.Write(secretBlock)
	h.Write([]byte(timestamp))
	return h.Sum(nil)
}

// CheckSignature compares a client's proof with the expected one in constant time.
func CheckSignature(signature, key []byte, poolName, username string, secretBlock []byte, timestamp string) bool {
	return hmac.Equal(signature, Signature(key, poolName, username, secretBlock, timestamp))
}
