package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/kit/jose"
)

// keys are two keys for all tests, since making one takes long.
var keys = sync.OnceValue(func() (pair [2]*jose.Key) {
	for i := range pair {
		var err error
		if pair[i], err = jose.Generate(jose.KeyID([32]byte{byte(i + 1)})); err != nil {
			panic(err)
		}
	}
	return pair
})

var raw = base64.RawURLEncoding

const payload = `{"sub":"x","exp":1}`

// verify does what a receiver does who knows one key; the id must be that key's.
func verify(k *jose.Key, token string) (string, error) {
	t, err := jose.Split(token)
	if err != nil {
		return "", err
	}
	id, err := t.KeyID()
	if err != nil {
		return "", err
	}
	if id != k.ID() {
		return "", errors.New("another key")
	}
	p, err := k.Public().Verify(t)
	return string(p), err
}

func sign(t testing.TB, k *jose.Key) string {
	t.Helper()
	token, err := k.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	k := keys()[0]
	token := sign(t, k)
	parts := strings.Split(token, ".")
	header, err := raw.DecodeString(parts[0])
	if err != nil || string(header) != `{"kid":"`+k.ID()+`","alg":"RS256"}` {
		t.Errorf("header %s, %v", header, err)
	}
	if len(k.ID()) != 44 || !strings.HasSuffix(k.ID(), "=") {
		t.Errorf("key id %q is not 44 characters of padded base64", k.ID())
	}
	if got, err := verify(k, token); err != nil || got != payload {
		t.Errorf("verified %q, %v", got, err)
	}
	if _, err := verify(keys()[1], token); err == nil {
		t.Error("another key verifies the token")
	}

	// A key that was stored is the same key.
	again, err := jose.Parse(k.ID(), k.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := verify(again, token); err != nil || got != payload {
		t.Errorf("verified %q, %v", got, err)
	}
	if _, err := jose.Parse(k.ID(), []byte("no key")); err == nil {
		t.Error("a text is taken for a key")
	}
	if _, err := jose.Parse("short", k.Marshal()); err == nil {
		t.Error("an id of another form is taken")
	}
}

// TestSet reads the JWK set with the standard library alone, and verifies a token by what it says.
func TestSet(t *testing.T) {
	t.Parallel()
	set := jose.AppendSet(nil, keys()[0].Public(), keys()[1].Public())
	form := `{"alg":"RS256","e":"AQAB","kid":"[0-9A-Za-z+/]{43}=","kty":"RSA","n":"[0-9A-Za-z_-]{342}","use":"sig"}`
	if !regexp.MustCompile(`^{"keys":\[` + form + `,` + form + `\]}$`).Match(set) {
		t.Errorf("set %s", set)
	}
	var parsed struct{ Keys []struct{ Kid, N, E string } }
	if err := json.Unmarshal(set, &parsed); err != nil {
		t.Fatal(err)
	}
	for i, k := range parsed.Keys {
		n, err1 := raw.DecodeString(k.N)
		e, err2 := raw.DecodeString(k.E)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		token := sign(t, keys()[i])
		at := strings.LastIndexByte(token, '.')
		signature, err := raw.DecodeString(token[at+1:])
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(token[:at]))
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil || k.Kid != keys()[i].ID() {
			t.Errorf("key %d: %v", i, err)
		}
	}
	if got := string(jose.AppendSet(nil)); got != `{"keys":[]}` {
		t.Errorf("an empty set is %s", got)
	}
}

// forge makes a token with a header of the attacker's choice.
func forge(header string, signature func(signed string) []byte) string {
	signed := raw.EncodeToString([]byte(header)) + "." + raw.EncodeToString([]byte(payload))
	return signed + "." + raw.EncodeToString(signature(signed))
}

// TestForged refuses every token whose header was chosen by who sends it, though the rest be right.
func TestForged(t *testing.T) {
	t.Parallel()
	k := keys()[0]
	private, err := x509.ParsePKCS1PrivateKey(k.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	right := func(signed string) []byte {
		digest := sha256.Sum256([]byte(signed))
		s, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	keyed := func(key []byte) func(string) []byte {
		return func(signed string) []byte {
			m := hmac.New(sha256.New, key)
			m.Write([]byte(signed))
			return m.Sum(nil)
		}
	}
	nothing := func(string) []byte { return nil }
	id := k.ID()
	headers := map[string]struct {
		header    string
		signature func(string) []byte
	}{
		"HS256 with the PEM":            {`{"kid":"` + id + `","alg":"HS256"}`, keyed(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))},
		"HS256 with the DER":            {`{"kid":"` + id + `","alg":"HS256"}`, keyed(spki)},
		"HS256 with the PKCS #1":        {`{"kid":"` + id + `","alg":"HS256"}`, keyed(x509.MarshalPKCS1PublicKey(&private.PublicKey))},
		"HS256 with the JWK set":        {`{"kid":"` + id + `","alg":"HS256"}`, keyed(jose.AppendSet(nil, k.Public()))},
		"HS256 under our header":        {`{"kid":"` + id + `","alg":"RS256"}`, keyed(spki)},
		"no signature":                  {`{"kid":"` + id + `","alg":"RS256"}`, nothing},
		"RS384":                         {`{"kid":"` + id + `","alg":"RS384"}`, right},
		"no algorithm":                  {`{"kid":"` + id + `"}`, right},
		"two algorithms":                {`{"kid":"` + id + `","alg":"none","alg":"RS256"}`, right},
		"two key ids":                   {`{"kid":"` + keys()[1].ID() + `","kid":"` + id + `","alg":"RS256"}`, right},
		"another order":                 {`{"alg":"RS256","kid":"` + id + `"}`, right},
		"white space":                   {`{"kid": "` + id + `","alg":"RS256"}`, right},
		"typ":                           {`{"kid":"` + id + `","alg":"RS256","typ":"JWT"}`, right},
		"crit":                          {`{"kid":"` + id + `","alg":"RS256","crit":["exp"]}`, right},
		"jku":                           {`{"kid":"` + id + `","alg":"RS256","jku":"http://127.0.0.1:1/keys"}`, right},
		"x5u":                           {`{"kid":"` + id + `","alg":"RS256","x5u":"http://127.0.0.1:1/cert"}`, right},
		"jwk":                           {`{"kid":"` + id + `","alg":"RS256","jwk":{"kty":"oct","k":"AA"}}`, right},
		"x5c":                           {`{"kid":"` + id + `","alg":"RS256","x5c":["AA=="]}`, right},
		"an escaped key id":             {`{"kid":"\u0041` + id[1:] + `","alg":"RS256"}`, right},
		"no key id":                     {`{"alg":"RS256"}`, right},
		"an empty key id":               {`{"kid":"","alg":"RS256"}`, right},
		"a key id that is a path":       {`{"kid":"../../../../etc/passwd","alg":"RS256"}`, right},
		"a key id of 44 that is a path": {`{"kid":"../../../../../../../../../../../../etc/passwd","alg":"RS256"}`, right},
		"SQL in the key id":             {`{"kid":"' OR 1=1 --","alg":"RS256"}`, right},
		"NUL in the key id":             {`{"kid":"` + id[:43] + "\x00" + `","alg":"RS256"}`, right},
		"a line break in the key id":    {`{"kid":"` + id[:43] + "\n" + `","alg":"RS256"}`, right},
		"a list as key id":              {`{"kid":["` + id + `"],"alg":"RS256"}`, right},
		"a key id of 1 MB":              {`{"kid":"` + strings.Repeat("A", 1<<20) + `","alg":"RS256"}`, right},
		"JWE":                           {`{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}`, right},
		"PBES2":                         {`{"alg":"PBES2-HS256+A128KW","p2c":2147483647}`, right},
		"a list":                        {`[]`, right},
		"nothing":                       {``, right},
	}
	for i := range 16 { // none, in every mixture of letter case
		alg := []byte("none")
		for bit := range alg {
			if i>>bit&1 == 1 {
				alg[bit] -= 'a' - 'A'
			}
		}
		headers["alg "+string(alg)] = struct {
			header    string
			signature func(string) []byte
		}{`{"kid":"` + id + `","alg":"` + string(alg) + `"}`, nothing}
	}
	for name, h := range headers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := verify(k, forge(h.header, h.signature)); err == nil {
				t.Errorf("verified %q", got)
			}
		})
	}
	pss := func(signed string) []byte {
		digest := sha256.Sum256([]byte(signed))
		s, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	long := func(signed string) []byte {
		digest := sha512.Sum512([]byte(signed))
		s, err := rsa.SignPKCS1v15(nil, private, crypto.SHA512, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	elliptical := func(signed string) []byte {
		e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(signed))
		s, err := ecdsa.SignASN1(rand.Reader, e, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, signature := range map[string]func(string) []byte{"PS256": pss, "RS512": long, "ES256": elliptical} {
		for _, alg := range []string{name, "RS256"} {
			if _, err := verify(k, forge(`{"kid":"`+id+`","alg":"`+alg+`"}`, signature)); err == nil {
				t.Errorf("a signature of %s is accepted under %s", name, alg)
			}
		}
	}
	// The forge makes tokens that verify when nothing is wrong with them.
	if got, err := verify(k, forge(`{"kid":"`+id+`","alg":"RS256"}`, right)); err != nil || got != payload {
		t.Errorf("verified %q, %v", got, err)
	}
}

// TestAltered refuses every prefix of a token, every token with one more character and every one with a bit flipped.
func TestAltered(t *testing.T) {
	t.Parallel()
	k := keys()[0]
	token := sign(t, k)
	refused := func(name, altered string) {
		t.Helper()
		if got, err := verify(k, altered); err == nil {
			t.Errorf("%s: verified %q", name, got)
		}
	}
	for i := range token {
		refused(fmt.Sprintf("prefix of %d", i), token[:i])
		for bit := range 8 {
			b := []byte(token)
			b[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d", bit, i), string(b))
		}
	}
	for _, more := range []string{"A", "=", ".", "\n", "\r\n", " ", "\x00"} {
		refused(fmt.Sprintf("%q behind", more), token+more)
		refused(fmt.Sprintf("%q before", more), more+token)
		at := strings.IndexByte(token, '.') + 5
		refused(fmt.Sprintf("%q within", more), token[:at]+more+token[at:])
	}
	refused("dots", strings.Repeat(".", 1<<20))
	parts := strings.Split(token, ".")
	refused("parts swapped", parts[0]+"."+parts[2]+"."+parts[1])
	refused("four parts", token+"."+parts[1])
}

func FuzzSplit(f *testing.F) {
	token := sign(f, keys()[0])
	for _, seed := range []string{"", "..", "a.b.c", token, token[:90], forge(`{"kid":"`+keys()[0].ID()+`","alg":"none"}`, func(string) []byte { return nil }), strings.Repeat("A", 91) + ".A.A"} {
		f.Add(seed)
	}
	k := keys()[0]
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := jose.Split(text)
		if err != nil {
			return
		}
		if id, err := parts.KeyID(); err == nil && len(id) != 44 {
			t.Errorf("key id %q", id)
		}
		if got, err := k.Public().Verify(parts); err == nil && (text != token || string(got) != payload) {
			t.Errorf("verified %q of %q", got, text)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k := keys()[0]
	token := sign(b, k)
	for b.Loop() {
		t, err := jose.Split(token)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := k.Public().Verify(t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	k := keys()[0]
	for b.Loop() {
		sign(b, k)
	}
}
