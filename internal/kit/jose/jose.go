// Package jose signs and verifies the one kind of token that the server issues: JWS in compact form, RS256, with the
// header {"kid":"...","alg":"RS256"}, and it writes the public keys as a JWK set.
//
// It is narrow on purpose. A token whose header is not, byte for byte, the one that Sign writes is no token of ours,
// so nothing of a header is ever interpreted: no algorithm can be chosen by who sends the token, and no key can be
// brought along. The general libraries write the members of a header in the order of their names, which is not the
// service's (observed), and read far more than this. What claims mean is the business of domain/token.
package jose

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
)

var (
	// ErrForm says that a text has not the form of a token of ours.
	ErrForm = errors.New("jose: not a token of this form")
	// ErrSignature says that the signature is not one of the key.
	ErrSignature = errors.New("jose: the signature does not verify")
)

// keyBits is the size of every key (documented).
const keyBits = 2048

// MaxLength is the number of bytes beyond which a text is not looked at. A user may be in 100 groups whose names have
// 128 characters, of up to four bytes each, or six where they are escaped.
const MaxLength = 128 << 10

// The header around the key id.
const (
	headerStart = `{"kid":"`
	headerEnd   = `","alg":"RS256"}`
	idLength    = 44 // 32 bytes in base64
	// headerLength is that of an encoded header.
	headerLength = ((len(headerStart)+idLength+len(headerEnd))*8 + 5) / 6
)

var raw, padded = base64.RawURLEncoding.Strict(), base64.StdEncoding.Strict()

// KeyID makes a key id of random bytes: 32 of them in standard base64, with its padding.
func KeyID(random [32]byte) string { return padded.EncodeToString(random[:]) }

// Key is a private key with its id. It is safe for concurrent use.
type Key struct {
	id      string
	private *rsa.PrivateKey
	header  string // encoded, with the dot behind it
}

// Generate makes a key for an id. It takes some 60 ms. The randomness is the operating system's in any case, since the
// library takes none from its caller.
func Generate(id string) (*Key, error) {
	private, err := rsa.GenerateKey(nil, keyBits)
	if err != nil {
		return nil, fmt.Errorf("generate a signing key: %w", err)
	}
	return newKey(id, private)
}

// Parse reads a key that Marshal wrote.
func Parse(id string, der []byte) (*Key, error) {
	private, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err) // the library's text quotes nothing of the key
	}
	return newKey(id, private)
}

func newKey(id string, private *rsa.PrivateKey) (*Key, error) {
	if !isKeyID(id) {
		return nil, fmt.Errorf("key id %q: %w", id, ErrForm)
	}
	return &Key{id: id, private: private, header: raw.EncodeToString([]byte(headerStart+id+headerEnd)) + "."}, nil
}

// Marshal is the private key for the store, which has to seal it.
func (k *Key) Marshal() []byte { return x509.MarshalPKCS1PrivateKey(k.private) }

// ID is the key id.
func (k *Key) ID() string { return k.id }

// Public is the half that verifies.
func (k *Key) Public() *Public { return &Public{id: k.id, key: &k.private.PublicKey} }

// turns has a place for each processor. A signature takes a millisecond, and hundreds of requests may need one at the same time: were all of
// them ready to run, whoever needs a few microseconds would wait until each had its slice. So those that come too late wait here.
var (
	turns   = make(chan struct{}, runtime.GOMAXPROCS(0))
	waiting atomic.Int64
)

func take() {
	select {
	case turns <- struct{}{}:
	default:
		waiting.Add(1)
		turns <- struct{}{}
		waiting.Add(-1)
	}
}

// Waiting is how many signatures wait for a processor now.
func Waiting() int { return int(waiting.Load()) }

// Sign makes a token of a payload.
func (k *Key) Sign(payload []byte) (string, error) {
	n := len(k.header) + raw.EncodedLen(len(payload))
	token := make([]byte, 0, n+1+raw.EncodedLen(keyBits/8))
	token = raw.AppendEncode(append(token, k.header...), payload)
	digest := sha256.Sum256(token)
	take()
	defer func() { <-turns }()
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", k.id, err)
	}
	return string(raw.AppendEncode(append(token, '.'), signature)), nil
}

// Token is a token taken apart. Nothing of it is verified.
type Token struct {
	Header    string // encoded; two tokens of one key have the same
	signed    string // header and payload
	signature string
}

// Split takes a token apart; ErrForm when it has not three parts or the header has not the length of one of ours.
func Split(token string) (Token, error) {
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	if len(token) > MaxLength || first != headerLength || last == first || strings.IndexByte(token[first+1:last], '.') >= 0 {
		return Token{}, ErrForm
	}
	// The decoder skips line breaks, which would give one token many spellings.
	if strings.ContainsAny(token, "\r\n") {
		return Token{}, ErrForm
	}
	return Token{Header: token[:first], signed: token[:last], signature: token[last+1:]}, nil
}

// KeyID reads the key id; ErrForm for every header that Sign would not write.
func (t Token) KeyID() (string, error) {
	header, err := raw.DecodeString(t.Header)
	if err != nil {
		return "", ErrForm
	}
	id, ok := strings.CutPrefix(string(header), headerStart)
	if ok {
		id, ok = strings.CutSuffix(id, headerEnd)
	}
	if !ok || !isKeyID(id) {
		return "", ErrForm
	}
	return id, nil
}

func isKeyID(id string) bool {
	if len(id) != idLength || strings.ContainsAny(id, "\r\n") {
		return false
	}
	b, err := padded.DecodeString(id)
	return err == nil && len(b) == 32
}

// Public is a public key with its id.
type Public struct {
	id  string
	key *rsa.PublicKey
}

// ID is the key id.
func (p *Public) ID() string { return p.id }

// Verify returns the payload of a token that the key has signed; ErrSignature of any other. That the token names this
// key is for the caller to know.
func (p *Public) Verify(t Token) ([]byte, error) {
	signature, err := raw.DecodeString(t.signature)
	if err != nil {
		return nil, ErrSignature
	}
	digest := sha256.Sum256([]byte(t.signed))
	if err := rsa.VerifyPKCS1v15(p.key, crypto.SHA256, digest[:], signature); err != nil {
		return nil, ErrSignature
	}
	payload, err := raw.DecodeString(t.signed[len(t.Header)+1:])
	if err != nil {
		return nil, ErrForm
	}
	return payload, nil
}

// AppendSet writes public keys as a JWK set, with the members in the service's order (observed).
func AppendSet(b []byte, keys ...*Public) []byte {
	b = append(b, `{"keys":[`...)
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"alg":"RS256","e":"`...)
		b = raw.AppendEncode(b, exponent(k.key.E))
		b = append(b, `","kid":"`+k.id+`","kty":"RSA","n":"`...)
		b = raw.AppendEncode(b, k.key.N.Bytes())
		b = append(b, `","use":"sig"}`...)
	}
	return append(b, "]}"...)
}

// exponent is a public exponent in as few bytes as it needs.
func exponent(e int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(e))
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
