package encsdk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// ErrMalformed says that something is no message as Seal writes them. ErrForged says that it is one, but its signature or one of
// its tags is wrong, or it was made under another data key.
var (
	ErrMalformed = errors.New("encsdk: not a message of this format")
	ErrForged    = errors.New("encsdk: the message is not authentic")
)

// Message is a message that was read and not opened yet: what it says of itself is not proven.
type Message struct {
	Context map[string]string // with the signature's public key
	Keys    []DataKey         // the encrypted data keys, any of which opens the message

	id         [idSize]byte
	raw        []byte // all of it
	headerEnd  int    // where the header's IV starts
	ciphertext []byte // with its tag
	footer     int    // where the signature covers the message up to
	signature  []byte
}

// Parse reads a message. Its error is ErrMalformed. The result refers to message, which must not be changed after.
func Parse(message []byte) (*Message, error) {
	m := &Message{raw: message}
	r := reader{left: message}
	if r.byte() != version || r.byte() != customerData || r.uint16() != suite {
		return nil, ErrMalformed
	}
	copy(m.id[:], r.take(idSize))
	var ok bool
	if m.Context, ok = readContext(r.field()); !ok {
		return nil, ErrMalformed
	}
	for range r.uint16() {
		if r.short {
			return nil, ErrMalformed
		}
		m.Keys = append(m.Keys, DataKey{Provider: string(r.field()), Info: string(r.field()), Wrapped: r.field()})
	}
	if len(m.Keys) == 0 || r.byte() != framed || r.uint32() != 0 || r.byte() != ivSize || r.uint32() != frameLength {
		return nil, ErrMalformed
	}
	m.headerEnd = len(message) - len(r.left)
	zeros := [ivSize]byte{}
	if string(r.take(ivSize)) != string(zeros[:]) {
		return nil, ErrMalformed
	}
	r.take(tagSize)
	if r.uint32() != finalFrame || r.uint32() != 1 {
		return nil, ErrMalformed
	}
	zeros[ivSize-1] = 1
	if string(r.take(ivSize)) != string(zeros[:]) {
		return nil, ErrMalformed
	}
	length := r.uint32()
	if length > frameLength {
		return nil, ErrMalformed
	}
	m.ciphertext = r.take(int(length) + tagSize)
	m.footer = len(message) - len(r.left)
	m.signature = r.field()
	if r.short || len(r.left) > 0 {
		return nil, ErrMalformed
	}
	return m, nil
}

// readContext reads the members, which must be in the order of their names.
func readContext(text []byte) (map[string]string, bool) {
	r := reader{left: text}
	context, last := map[string]string{}, ""
	for n := range r.uint16() {
		name, value := string(r.field()), string(r.field())
		if r.short || n > 0 && name <= last {
			return nil, false
		}
		context[name], last = value, name
	}
	return context, !r.short && len(r.left) == 0
}

// Open verifies a message and decrypts it with its data key, of KeySize bytes.
func (m *Message) Open(plain []byte) ([]byte, error) {
	signer, err := m.signer()
	if err != nil {
		return nil, err
	}
	digest := sha512.Sum384(m.raw[:m.footer])
	if !ecdsa.VerifyASN1(signer, digest[:], m.signature) {
		return nil, fmt.Errorf("%w: signature", ErrForged)
	}
	aead, err := messageKey(plain, m.id)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, ivSize)
	if _, err := aead.Open(nil, iv, m.raw[m.headerEnd+ivSize:m.headerEnd+ivSize+tagSize], m.raw[:m.headerEnd]); err != nil {
		return nil, fmt.Errorf("%w: header", ErrForged)
	}
	iv[ivSize-1] = 1
	text, err := aead.Open(nil, iv, m.ciphertext, frameData(m.id, 1, len(m.ciphertext)-tagSize))
	if err != nil {
		return nil, fmt.Errorf("%w: text", ErrForged)
	}
	return text, nil
}

// signer reads the public key in the context.
func (m *Message) signer() (*ecdsa.PublicKey, error) {
	compressed, err := base64.StdEncoding.DecodeString(m.Context[publicKeyName])
	if err != nil {
		return nil, fmt.Errorf("%w: public key", ErrMalformed)
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P384(), compressed)
	if x == nil {
		return nil, fmt.Errorf("%w: public key", ErrMalformed)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P384(), uncompressed(x, y))
	if err != nil {
		return nil, fmt.Errorf("%w: public key", ErrMalformed)
	}
	return key, nil
}

func uncompressed(x, y *big.Int) []byte {
	size := (elliptic.P384().Params().BitSize + 7) / 8
	point := make([]byte, 1+2*size)
	point[0] = 4
	x.FillBytes(point[1 : 1+size])
	y.FillBytes(point[1+size:])
	return point
}

// reader takes parts off the front of left. Behind the end it gives zeros and sets short.
type reader struct {
	left  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.left) {
		r.left, r.short = nil, true
		return nil
	}
	part := r.left[:n:n]
	r.left = r.left[n:]
	return part
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// field is a length of two bytes and so many bytes.
func (r *reader) field() []byte { return r.take(int(r.uint16())) }
