// Package srpclient is the client's side of a sign-in by SRP, as the public clients compute it. It is for tests and
// measurements alone: its arithmetic takes times that depend on the password.
package srpclient

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

const modulus = "" +
	"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD" +
	"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED" +
	"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F" +
	"83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B" +
	"E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510" +
	"15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7" +
	"ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C" +
	"BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF"

// Client is one exchange.
type Client struct {
	n, g, k *big.Int
	a       *big.Int
	Public  string // SRP_A
}

// New begins an exchange with a secret exponent.
func New(exponent []byte) *Client {
	c := &Client{g: big.NewInt(2), a: new(big.Int).SetBytes(exponent)}
	c.n, _ = new(big.Int).SetString(modulus, 16)
	c.k = hash(pad(c.n), pad(c.g))
	c.Public = new(big.Int).Exp(c.g, c.a, c.n).Text(16)
	return c
}

func hash(parts ...[]byte) *big.Int {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return new(big.Int).SetBytes(h.Sum(nil))
}

func pad(x *big.Int) []byte {
	b := x.Bytes()
	if len(b) == 0 || b[0] >= 0x80 {
		return append([]byte{0}, b...)
	}
	return b
}

// Sign is PASSWORD_CLAIM_SIGNATURE for a password: the proof for the parameters of a PASSWORD_VERIFIER challenge.
func (c *Client) Sign(group, password, timestamp string, parameters map[string]string) (string, error) {
	salt, ok1 := new(big.Int).SetString(parameters["SALT"], 16)
	b, ok2 := new(big.Int).SetString(parameters["SRP_B"], 16)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("not numbers: SALT %q, SRP_B %q", parameters["SALT"], parameters["SRP_B"])
	}
	block, err := base64.StdEncoding.DecodeString(parameters["SECRET_BLOCK"])
	if err != nil {
		return "", fmt.Errorf("read SECRET_BLOCK: %w", err)
	}
	public, _ := new(big.Int).SetString(c.Public, 16)
	id := parameters["USER_ID_FOR_SRP"]
	u := hash(pad(public), pad(b))
	inner := sha256.Sum256([]byte(group + id + ":" + password))
	x := hash(pad(salt), inner[:])
	base := new(big.Int).Sub(b, new(big.Int).Mul(c.k, new(big.Int).Exp(c.g, x, c.n)))
	s := new(big.Int).Exp(base.Mod(base, c.n), new(big.Int).Add(c.a, new(big.Int).Mul(u, x)), c.n)
	key, err := hkdf.Key(sha256.New, pad(s), pad(u), "Caldera Derived Key", 16)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(group + id))
	mac.Write(block)
	mac.Write([]byte(timestamp))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// Multiple is k times the modulus: a public value that no server may take.
func Multiple(k int64) string {
	n, _ := new(big.Int).SetString(modulus, 16)
	return n.Mul(n, big.NewInt(k)).Text(16)
}
