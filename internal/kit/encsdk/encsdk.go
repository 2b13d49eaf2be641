// Package encsdk speaks the message format of the AWS Encryption SDK, version 1, in the one suite that custom senders get:
// 0x0378, which is AES-256-GCM under a key derived with HKDF-SHA384, signed with ECDSA on P-384. It has no key commitment, so
// that receivers need the commitment policy that allows decrypting such messages.
//
// A message carries its data key, encrypted by somebody else: where data keys come from is the business of port/keyring. What
// is in a message, and who gets it, is that of service/messages.
//
// # Format
//
// All numbers are big-endian. The header is 01 80 0378, the message's id (16 bytes), the encryption context, the encrypted data
// keys, 02 00000000 0c and the length of a frame (4096); then IV and tag of an empty GCM text that authenticates it. One final
// frame follows: FFFFFFFF, its number, IV, length, cipher text and tag; and a footer, the length and the DER form of the signature
// over all before it. The public key of the signature stands in the encryption context, to which the data key is bound, so that it
// cannot be replaced.
package encsdk

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

const (
	// KeySize is the number of bytes of a data key.
	KeySize = 32
	// MaxPlaintext is how much fits into the one frame that Seal writes.
	MaxPlaintext = frameLength

	version      = 0x01
	customerData = 0x80
	suite        = 0x0378
	framed       = 0x02
	idSize       = 16
	ivSize       = 12
	tagSize      = 16
	frameLength  = 4096
	finalFrame   = 0xFFFFFFFF
	finalMark    = "AWSKMSEncryptionClient Final Frame"
	// publicKeyName is the member of the encryption context that holds the signature's public key.
	publicKeyName  = reservedPrefix + "public-key"
	reservedPrefix = "aws-crypto-"
)

// ErrTooLong says that something does not fit into the format.
var ErrTooLong = errors.New("encsdk: too long for the format")

// DataKey is the key of one message.
type DataKey struct {
	// Plain are the KeySize secret bytes. A parsed message has none.
	Plain []byte
	// Provider and Info say who encrypted the key and under which key: "aws-kms" and the ARN of a KMS key.
	Provider, Info string
	// Wrapped is the key as it stands in the message.
	Wrapped []byte
}

// Source makes a new data key that is bound to an encryption context: unwrapping it takes the same context. It must not change the
// map.
type Source func(context map[string]string) (DataKey, error)

// Seal encrypts plaintext, of at most MaxPlaintext bytes, under a data key of its own. The context is authenticated and readable
// by everybody; a member of it that starts with "aws-crypto-" is refused. Errors of the source are returned as they are.
func Seal(random io.Reader, context map[string]string, newKey Source, plaintext []byte) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, ErrTooLong
	}
	for name := range context {
		if strings.HasPrefix(name, reservedPrefix) {
			return nil, fmt.Errorf("encsdk: the name %q belongs to the format", name)
		}
	}
	var id [idSize]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return nil, fmt.Errorf("encsdk: draw a message id: %w", err)
	}
	signer, err := drawSigner(random)
	if err != nil {
		return nil, err
	}
	bound := maps.Clone(context)
	if bound == nil {
		bound = map[string]string{}
	}
	if bound[publicKeyName], err = publicKey(&signer.PublicKey); err != nil {
		return nil, err
	}
	key, err := newKey(bound)
	if err != nil {
		return nil, err
	}
	aead, err := messageKey(key.Plain, id)
	if err != nil {
		return nil, err
	}
	out, err := header(id, bound, key)
	if err != nil {
		return nil, err
	}
	out = appendTag(out, aead)
	out = appendFinal(out, aead, id, plaintext)
	return sign(out, signer)
}

// drawSigner makes the key that signs one message. Numbers that are no private key, which come less than once in 2^190 draws, are
// drawn again.
func drawSigner(random io.Reader) (*ecdsa.PrivateKey, error) {
	for range 4 {
		scalar := make([]byte, (elliptic.P384().Params().BitSize+7)/8)
		if _, err := io.ReadFull(random, scalar); err != nil {
			return nil, fmt.Errorf("encsdk: draw a signing key: %w", err)
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), scalar); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("encsdk: the source of randomness draws no private key")
}

// publicKey is the base64 of the compressed point.
func publicKey(k *ecdsa.PublicKey) (string, error) {
	point, err := k.Bytes() // 04, x, y
	if err != nil {
		return "", fmt.Errorf("encsdk: write the public key: %w", err)
	}
	half := (len(point) - 1) / 2
	compressed := append([]byte{2 + point[len(point)-1]&1}, point[1:1+half]...)
	return base64.StdEncoding.EncodeToString(compressed), nil
}

// messageKey derives the key of one message from its data key.
func messageKey(plain []byte, id [idSize]byte) (cipher.AEAD, error) {
	if len(plain) != KeySize {
		return nil, fmt.Errorf("encsdk: a data key of %d bytes instead of %d", len(plain), KeySize)
	}
	key, err := hkdf.Key(sha512.New384, plain, nil, string(binary.BigEndian.AppendUint16(nil, suite))+string(id[:]), KeySize)
	if err != nil {
		return nil, fmt.Errorf("encsdk: derive the key: %w", err)
	}
	return gcm(key)
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("encsdk: %w", err)
	}
	return cipher.NewGCM(block)
}

// header writes everything up to the header's own tag.
func header(id [idSize]byte, context map[string]string, key DataKey) ([]byte, error) {
	out := binary.BigEndian.AppendUint16([]byte{version, customerData}, suite)
	out = append(out, id[:]...)
	members, err := appendContext(nil, context)
	if err != nil {
		return nil, err
	}
	if out, err = appendField(out, members); err != nil {
		return nil, err
	}
	out = binary.BigEndian.AppendUint16(out, 1)
	for _, field := range [][]byte{[]byte(key.Provider), []byte(key.Info), key.Wrapped} {
		if out, err = appendField(out, field); err != nil {
			return nil, err
		}
	}
	out = append(out, framed, 0, 0, 0, 0, ivSize)
	return binary.BigEndian.AppendUint32(out, frameLength), nil
}

// appendContext writes the members in the order of their names.
func appendContext(out []byte, context map[string]string) ([]byte, error) {
	if len(context) > math.MaxUint16 {
		return nil, ErrTooLong
	}
	out = binary.BigEndian.AppendUint16(out, uint16(len(context)))
	var err error
	for _, name := range slices.Sorted(maps.Keys(context)) {
		for _, field := range []string{name, context[name]} {
			if out, err = appendField(out, []byte(field)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func appendField(out, field []byte) ([]byte, error) {
	if len(field) > math.MaxUint16 {
		return nil, ErrTooLong
	}
	return append(binary.BigEndian.AppendUint16(out, uint16(len(field))), field...), nil
}

// appendTag authenticates the header, with an IV of zeros. A message key has one header and one frame, whose IVs differ.
func appendTag(header []byte, aead cipher.AEAD) []byte {
	iv := make([]byte, ivSize)
	tag := aead.Seal(nil, iv, nil, header)
	return append(append(header, iv...), tag...)
}

// appendFinal writes the only frame, which is number 1.
func appendFinal(out []byte, aead cipher.AEAD, id [idSize]byte, plaintext []byte) []byte {
	const number = 1
	iv := binary.BigEndian.AppendUint32(make([]byte, ivSize-4, ivSize), number)
	out = binary.BigEndian.AppendUint32(out, finalFrame)
	out = binary.BigEndian.AppendUint32(out, number)
	out = append(out, iv...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(plaintext)))
	return aead.Seal(out, iv, plaintext, frameData(id, number, len(plaintext)))
}

// frameData is what the tag of the final frame covers besides the text.
func frameData(id [idSize]byte, number uint32, length int) []byte {
	b := append(append([]byte(nil), id[:]...), finalMark...)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, number), uint64(length))
}

// sign appends the footer. The signature is deterministic: it needs no randomness that could fail.
func sign(message []byte, key *ecdsa.PrivateKey) ([]byte, error) {
	digest := sha512.Sum384(message)
	signature, err := key.Sign(nil, digest[:], crypto.SHA384)
	if err != nil {
		return nil, fmt.Errorf("encsdk: sign: %w", err)
	}
	return appendField(message, signature)
}
