// Package page makes pagination tokens that clients can carry but neither read nor change.
//
// A token holds the key after which the next page starts and the time of its making. It opens only for the operation, the pool
// and the other inputs that it was made for; every node with the same key can open it, also after a restart. What a key means
// is known to the operation alone.
package page

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// KeySize is the number of bytes of a sealing key.
	KeySize = 32
	// MaxLength is the number of characters of the longest token that is looked at.
	MaxLength = 16 << 10
	// MaxAfter is the number of bytes of the longest key that a token can hold: an attribute value of 2,048 characters and more.
	MaxAfter = 12_000

	format    = 1
	nonceSize = 12
	tagSize   = 16
	timeSize  = 8
	// maxAhead is how far the clock of the node that made a token may be before that of the node that reads it.
	maxAhead = time.Minute
)

var (
	// ErrInvalid says that a token is altered, expired, or made for something else. There is no finer answer.
	ErrInvalid = errors.New("page: invalid token")
	// ErrKeySize says that a sealing key does not have 32 bytes.
	ErrKeySize = errors.New("page: a key must have 32 bytes")
)

// Token is what a pagination token says.
type Token struct {
	Operation string    // the operation that it continues
	Scope     string    // the pool id, or "" for operations outside a pool
	Inputs    [32]byte  // Hash of the other inputs that must stay the same
	After     string    // key of the last item of the page before, at most MaxAfter bytes
	Issued    time.Time // kept in milliseconds
}

// Hash returns a digest of the parts that differs for every other list of parts.
func Hash(parts ...string) [32]byte { return sha256.Sum256(join(parts...)) }

// join writes the parts so that no two lists are written alike.
func join(parts ...string) []byte {
	b := binary.AppendUvarint(nil, uint64(len(parts)))
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

// Sealer makes and opens tokens. It is safe for concurrent use.
type Sealer struct {
	aead   cipher.AEAD
	nonces *[KeySize]byte // behind a pointer, so that printing a Sealer does not show it
}

// NewSealer returns a sealer for a key of 32 secret bytes. Any other number is ErrKeySize.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, ErrKeySize
	}
	sealing, err := hkdf.Key(sha256.New, key, nil, "poolhouse page seal", KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	nonces, err := hkdf.Key(sha256.New, key, nil, "poolhouse page nonce", KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the nonce key: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, fmt.Errorf("set up the cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("set up the cipher: %w", err)
	}
	return &Sealer{aead: aead, nonces: (*[KeySize]byte)(nonces)}, nil
}

// purpose is what a token is bound to without holding it.
func (t Token) purpose() []byte {
	return append([]byte{format}, join(t.Operation, t.Scope, string(t.Inputs[:]))...)
}

// Seal returns the token as base64url without padding. Equal tokens give equal texts: the nonce is an HMAC of the content, so
// that no randomness is needed. It panics when After is longer than MaxAfter.
func (s *Sealer) Seal(t Token) string {
	if len(t.After) > MaxAfter {
		panic(fmt.Sprintf("page: a key of %d bytes for %s", len(t.After), t.Operation))
	}
	content := binary.BigEndian.AppendUint64(nil, uint64(t.Issued.UnixMilli()))
	content = append(content, t.After...)
	purpose := t.purpose()
	mac := hmac.New(sha256.New, s.nonces[:])
	mac.Write(join(string(purpose), string(content)))
	nonce := mac.Sum(nil)[:nonceSize]
	out := append([]byte{format}, nonce...)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(out, nonce, content, purpose))
}

// Open returns the key that the token holds when it was made for want's Operation, Scope and Inputs, not longer than maxAge before
// now, and not after now but for a minute. Otherwise it returns ErrInvalid. want's other members do not matter.
func (s *Sealer) Open(token string, want Token, now time.Time, maxAge time.Duration) (after string, err error) {
	// The decoder would skip line breaks.
	if len(token) > MaxLength || strings.ContainsAny(token, "\r\n") {
		return "", ErrInvalid
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 1+nonceSize+timeSize+tagSize || raw[0] != format {
		return "", ErrInvalid
	}
	content, err := s.aead.Open(nil, raw[1:1+nonceSize], raw[1+nonceSize:], want.purpose())
	if err != nil || len(content) < timeSize {
		return "", ErrInvalid
	}
	age := now.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(content))))
	if age > maxAge || age < -maxAhead {
		return "", ErrInvalid
	}
	return string(content[timeSize:]), nil
}
