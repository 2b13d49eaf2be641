// Package seal encrypts what the database keeps: envelope encryption with a key-encryption key outside the database and data
// keys inside it, wrapped.
//
// A [KEK] wraps data keys, a [Ring] knows the present KEK and earlier ones, a [Key] is an unwrapped data key: it seals values
// and makes keyed hashes by which codes and bearer keys are found. Every sealed value is bound to its place (table, pool, row,
// column); moved elsewhere it does not open. Where the KEK comes from is the business of port/keyring; hiding secrets from logs
// is kit/secret's.
//
// # Formats
//
// A wrapped data key is 01 ‖ KEK id (8) ‖ nonce (12) ‖ AES-256-GCM. The nonce is an HMAC of key and place, so that wrapping
// needs no randomness and never uses a nonce for two contents. A sealed value is 01 ‖ key id (8) ‖ random nonce (12) ‖
// AES-256-GCM. With random nonces a data key should seal at most 2^32 values.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// KeySize is the number of bytes of a key-encryption key and of a data key.
	KeySize = 32
	// Overhead is the number of bytes that sealing adds to a value.
	Overhead = headerSize + nonceSize + tagSize

	format     = 1
	idSize     = 8
	headerSize = 1 + idSize
	nonceSize  = 12
	tagSize    = 16
)

var (
	// ErrSealed says that a value does not open: altered, of another place, or under another key.
	ErrSealed = errors.New("seal: value does not open")
	// ErrUnknownKey is the ErrSealed of a value whose key is not the one at hand, or not in the ring.
	ErrUnknownKey = fmt.Errorf("%w: its key is not known", ErrSealed)
	// ErrKeySize says that a key-encryption key does not have 32 bytes.
	ErrKeySize = errors.New("seal: a key must have 32 bytes")
)

// ID names a key without revealing it. It is public and stable, and an ID says nothing about another.
type ID [idSize]byte

// String returns the id as 16 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

func idOf(label string, key []byte) ID {
	sum := sha256.Sum256(append([]byte("poolhouse "+label+" id\x00"), key...))
	return ID(sum[:idSize])
}

// IDOf returns the id of the key under which a value was sealed or a data key was wrapped, without opening it.
func IDOf(sealed []byte) (ID, error) {
	if len(sealed) < Overhead || sealed[0] != format {
		return ID{}, ErrSealed
	}
	return ID(sealed[1:headerSize]), nil
}

// derive makes a key of its own for one purpose.
func derive(key []byte, purpose string) []byte {
	k, err := hkdf.Key(sha256.New, key, nil, "poolhouse "+purpose, KeySize)
	if err != nil {
		panic(fmt.Sprintf("seal: derive a key: %v", err)) // only for impossible lengths
	}
	return k
}

func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(fmt.Sprintf("seal: %v", err)) // only for impossible lengths
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(fmt.Sprintf("seal: %v", err))
	}
	return aead
}

// place writes a header and the parts of a place so that no two places are written alike.
func place(header []byte, parts ...string) []byte {
	n := len(header) + binary.MaxVarintLen64
	for _, p := range parts {
		n += binary.MaxVarintLen64 + len(p)
	}
	b := append(make([]byte, 0, n), header...)
	b = binary.AppendUvarint(b, uint64(len(parts)))
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

// seal appends nonce and ciphertext to header, which is authenticated with the place.
func seal(aead cipher.AEAD, header, nonce, plaintext []byte, parts ...string) []byte {
	out := make([]byte, 0, Overhead+len(plaintext))
	out = append(append(out, header...), nonce...)
	return aead.Seal(out, nonce, plaintext, place(header, parts...))
}

// open is the inverse of seal, for a value whose header names id.
func open(aead cipher.AEAD, id ID, sealed []byte, parts ...string) ([]byte, error) {
	switch named, err := IDOf(sealed); {
	case err != nil:
		return nil, err
	case named != id:
		return nil, ErrUnknownKey
	}
	header, nonce, body := sealed[:headerSize], sealed[headerSize:headerSize+nonceSize], sealed[headerSize+nonceSize:]
	plaintext, err := aead.Open(nil, nonce, body, place(header, parts...))
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

func header(id ID) []byte { return append([]byte{format}, id[:]...) }

// KEK is a key-encryption key. It is safe for concurrent use and prints as its id.
type KEK struct{ state *kek }

// Secret bytes stand behind pointers here: fmt shows the unexported fields of whatever holds a key, but not what is two pointers
// away.
type kek struct {
	id     ID
	aead   cipher.AEAD
	nonces *[KeySize]byte
}

// NewKEK makes a key-encryption key from 32 secret bytes, which it does not keep. Any other number is ErrKeySize.
func NewKEK(key []byte) (KEK, error) {
	if len(key) != KeySize {
		return KEK{}, ErrKeySize
	}
	return KEK{&kek{id: idOf("key-encryption key", key), aead: newAEAD(derive(key, "wrap")), nonces: (*[KeySize]byte)(derive(key, "wrap nonce"))}}, nil
}

// ID returns the name under which wrapped keys mention this one.
func (k KEK) ID() ID { return k.state.id }

// String returns the id.
func (k KEK) String() string {
	if k.state == nil {
		return "no key"
	}
	return k.state.id.String()
}

// GoString returns the id, for %#v.
func (k KEK) GoString() string { return "seal.KEK(" + k.String() + ")" }

// Wrap encrypts a data key for the place that aad names. The same key and place give the same bytes.
func (k KEK) Wrap(dek []byte, aad string) []byte {
	head := header(k.state.id)
	mac := hmac.New(sha256.New, k.state.nonces[:])
	mac.Write(place(head, aad, string(dek)))
	return seal(k.state.aead, head, mac.Sum(nil)[:nonceSize], dek, aad)
}

// Unwrap decrypts what Wrap made for the same place: ErrUnknownKey under another KEK, ErrSealed otherwise.
func (k KEK) Unwrap(wrapped []byte, aad string) ([]byte, error) {
	return open(k.state.aead, k.state.id, wrapped, aad)
}

// Ring holds the present key-encryption key and the earlier ones that stored data keys may still be wrapped with.
type Ring struct {
	current KEK
	byID    map[ID]KEK
}

// NewRing returns a ring that wraps with current and unwraps with any of the keys.
func NewRing(current KEK, older ...KEK) *Ring {
	r := &Ring{current: current, byID: map[ID]KEK{current.ID(): current}}
	for _, k := range older {
		r.byID[k.ID()] = k
	}
	return r
}

// Current returns the key that wraps new data keys.
func (r *Ring) Current() KEK { return r.current }

// NewKey draws a data key and returns it with its wrapped form for storage at the place aad. It panics when random fails.
func (r *Ring) NewKey(random io.Reader, aad string) (Key, []byte) {
	dek := draw(random, KeySize)
	return newKey(dek), r.current.Wrap(dek, aad)
}

// OpenKey unwraps a stored data key.
func (r *Ring) OpenKey(wrapped []byte, aad string) (Key, error) {
	dek, err := r.Unwrap(wrapped, aad)
	if err != nil {
		return Key{}, err
	}
	return newKey(dek), nil
}

// Rewrap returns the stored data key wrapped with the current key, and whether that changed anything.
func (r *Ring) Rewrap(wrapped []byte, aad string) (rewrapped []byte, changed bool, err error) {
	dek, err := r.Unwrap(wrapped, aad)
	if err != nil {
		return nil, false, err
	}
	if id, err := IDOf(wrapped); err != nil || id == r.current.ID() {
		return wrapped, false, err
	}
	return r.current.Wrap(dek, aad), true, nil
}

// Unwrap decrypts a data key that Wrap of any key in the ring made for the same place.
func (r *Ring) Unwrap(wrapped []byte, aad string) ([]byte, error) {
	id, err := IDOf(wrapped)
	if err != nil {
		return nil, err
	}
	k, ok := r.byID[id]
	if !ok {
		return nil, fmt.Errorf("%w (key-encryption key %s)", ErrUnknownKey, id)
	}
	dek, err := k.Unwrap(wrapped, aad)
	if err != nil {
		return nil, err
	}
	if len(dek) != KeySize {
		return nil, ErrSealed
	}
	return dek, nil
}

func draw(random io.Reader, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		panic(fmt.Sprintf("seal: the entropy source failed: %v", err))
	}
	return b
}

// Key is a data key. It is safe for concurrent use, prints as its id, and is meant to be kept: it caches what it derives.
type Key struct{ state *key }

type key struct {
	id     ID
	secret *[KeySize]byte
	aead   cipher.AEAD
	macs   sync.Map // purpose to derived key
}

// newKey keeps dek, which has KeySize bytes.
func newKey(dek []byte) Key {
	return Key{&key{id: idOf("data key", dek), secret: (*[KeySize]byte)(dek), aead: newAEAD(derive(dek, "seal"))}}
}

// ID returns the name under which sealed values mention this key.
func (k Key) ID() ID { return k.state.id }

// IsZero reports whether there is no key; every other method needs one.
func (k Key) IsZero() bool { return k.state == nil }

// String returns the id.
func (k Key) String() string {
	if k.state == nil {
		return "no key"
	}
	return k.state.id.String()
}

// GoString returns the id, for %#v.
func (k Key) GoString() string { return "seal.Key(" + k.String() + ")" }

// Seal encrypts plaintext for the place that the parts of aad name: by custom table, pool, immutable row key, column. It panics
// when random fails.
func (k Key) Seal(random io.Reader, plaintext []byte, aad ...string) []byte {
	return seal(k.state.aead, header(k.state.id), draw(random, nonceSize), plaintext, aad...)
}

// Open decrypts what Seal made for the same place: ErrUnknownKey under another key, ErrSealed otherwise.
func (k Key) Open(ciphertext []byte, aad ...string) ([]byte, error) {
	return open(k.state.aead, k.state.id, ciphertext, aad...)
}

// MAC returns HMAC-SHA-256 of the parts under a key of its own for the purpose: the stored form of codes and bearer keys, by
// which they are looked up. Purposes are constants of the program, since the derived keys are kept.
func (k Key) MAC(purpose string, parts ...string) []byte {
	derived, ok := k.state.macs.Load(purpose)
	if !ok {
		derived, _ = k.state.macs.LoadOrStore(purpose, derive(k.state.secret[:], "mac "+purpose))
	}
	mac := hmac.New(sha256.New, derived.([]byte))
	mac.Write(place(nil, parts...))
	return mac.Sum(nil)
}

// CheckMAC reports in constant time whether mac is the MAC of the parts.
func (k Key) CheckMAC(mac []byte, purpose string, parts ...string) bool {
	return hmac.Equal(mac, k.MAC(purpose, parts...))
}
