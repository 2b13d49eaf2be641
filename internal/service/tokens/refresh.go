package tokens

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Refresh is what a refresh token says to the server that made it.
type Refresh struct {
	Sub        string
	Family     string
	ClientID   string
	Generation int
}

// ErrRefresh says that a text is no refresh token of the pool.
var ErrRefresh = errors.New("tokens: not a refresh token of this pool")

// A refresh token has the five parts of the service's own, which are encrypted by RSA-OAEP and A256GCM, with their header
// (observed) and about their length: some clients and log scrubbers look at them. The part that would be the encrypted key
// is random; the contents are sealed with a key of the pool, and all other parts are authenticated with them. Nothing
// of a token is stored but its family and its generation.
const (
	refreshHeader = "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ" // {"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}
	wrappedSize   = 256
	contentSize   = 960
	tagSize       = 16
	maxRefresh    = 4 << 10
)

var raw = base64.RawURLEncoding.Strict()

// refreshKey seals and opens the refresh tokens of a pool.
type refreshKey struct {
	poolID  string
	current cipher.AEAD
	others  []cipher.AEAD // keys that open and do not seal
}

// sealing is a key of refresh tokens in its use.
func sealing(k *token.Key) cipher.AEAD {
	block, err := aes.NewCipher(k.Material)
	if err != nil {
		panic(fmt.Sprintf("tokens: key %s: %v", k.ID, err)) // only for impossible lengths
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(fmt.Sprintf("tokens: key %s: %v", k.ID, err))
	}
	return aead
}

// bound is what is authenticated with the contents.
func (r *refreshKey) bound(signed string) []byte { return []byte(r.poolID + "." + signed) }

func (r *refreshKey) seal(c *chance.Source, t Refresh) secret.Text {
	plain := strings.Join([]string{t.Sub, t.Family, t.ClientID, strconv.Itoa(t.Generation), ""}, "\n")
	content := make([]byte, max(contentSize, len(plain)))
	copy(content, plain)
	signed := refreshHeader + "." + raw.EncodeToString(c.Bytes(wrappedSize))
	nonce := c.Bytes(r.current.NonceSize())
	sealed := r.current.Seal(nil, nonce, content, r.bound(signed))
	end := len(sealed) - tagSize
	return secret.New(strings.Join([]string{signed, raw.EncodeToString(nonce), raw.EncodeToString(sealed[:end]), raw.EncodeToString(sealed[end:])}, "."))
}

func (r *refreshKey) open(text secret.Text) (Refresh, error) {
	given := text.Reveal()
	parts := strings.Split(given, ".")
	if len(given) > maxRefresh || len(parts) != 5 || parts[0] != refreshHeader || strings.ContainsAny(given, "\r\n") {
		return Refresh{}, ErrRefresh
	}
	nonce, err1 := raw.DecodeString(parts[2])
	content, err2 := raw.DecodeString(parts[3])
	tag, err3 := raw.DecodeString(parts[4])
	if errors.Join(err1, err2, err3) != nil || len(nonce) != r.current.NonceSize() || len(tag) != tagSize {
		return Refresh{}, ErrRefresh
	}
	signed := r.bound(parts[0] + "." + parts[1])
	for _, key := range append([]cipher.AEAD{r.current}, r.others...) {
		plain, err := key.Open(nil, nonce, append(content[:len(content):len(content)], tag...), signed)
		if err == nil {
			return readRefresh(string(plain))
		}
	}
	return Refresh{}, ErrRefresh
}

func readRefresh(plain string) (Refresh, error) {
	lines := strings.SplitN(plain, "\n", 5)
	if len(lines) != 5 {
		return Refresh{}, ErrRefresh
	}
	generation, err := strconv.Atoi(lines[3])
	if err != nil {
		return Refresh{}, ErrRefresh
	}
	return Refresh{Sub: lines[0], Family: lines[1], ClientID: lines[2], Generation: generation}, nil
}
