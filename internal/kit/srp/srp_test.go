package srp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
)

// vector is an exchange that three independent public clients agree on. Numbers are hexadecimal without leading zeros, but x, u,
// PRK and K have their full width.
type vector struct {
	Name            string `json:"name"`
	Group           string `json:"group"`
	Ident           string `json:"ident"`
	Password        string `json:"password"`
	Salt            string `json:"salt"`
	ConfirmSalt     string `json:"confirm_salt"`
	ConfirmVerifier string `json:"confirm_verifier"`
	SecretBlock     string `json:"secret_block"`
	Timestamp       string `json:"timestamp"`
	SecretA         string `json:"a"`
	SecretB         string `json:"b"`
	X               string `json:"x"`
	V               string `json:"v"`
	PublicA         string `json:"A"`
	PublicB         string `json:"B"`
	U               string `json:"u"`
	S               string `json:"S"`
	PRK             string `json:"PRK"`
	K               string `json:"K"`
	Signature       string `json:"signature"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	// Decoded by exact names: encoding/json would take "a" for "A".
	var members []map[string]string
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	var list []vector
	for _, m := range members {
		list = append(list, vector{
			m["name"], m["group"], m["ident"], m["password"], m["salt"], m["confirm_salt"], m["confirm_verifier"], m["secret_block"], m["timestamp"],
			m["a"], m["b"], m["x"], m["v"], m["A"], m["B"], m["u"], m["S"], m["PRK"], m["K"], m["signature"],
		})
	}
	if len(list) != 3 {
		t.Fatalf("read %d vectors, want 3", len(list))
	}
	return list
}

func num(t testing.TB, s string) []byte {
	t.Helper()
	n, err := ParseNumber(s)
	if err != nil {
		t.Fatalf("number %q: %v", s, err)
	}
	return n
}

func b64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectorsServer(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			is := func(what, got, want string) {
				t.Helper()
				if got != want {
					t.Errorf("%s = %s\nwant %s", what, got, want)
				}
			}
			salt, verifier, b := num(t, v.Salt), num(t, v.V), num(t, v.SecretB)

			is("x", hex.EncodeToString(private(v.Group, v.Ident, v.Password, salt)), v.X)
			made := Verifier(v.Group, v.Ident, v.Password, salt)
			is("v", FormatNumber(made), v.V)
			if len(made) != elementSize {
				t.Errorf("the verifier has %d bytes", len(made))
			}
			public, err := Public(verifier, b)
			if err != nil {
				t.Fatal(err)
			}
			is("B", FormatNumber(public), v.PublicB)
			u, err := Scramble(num(t, v.PublicA), public)
			if err != nil {
				t.Fatal(err)
			}
			is("u", hex.EncodeToString(u), v.U)
			shared, err := Shared(num(t, v.PublicA), verifier, u, b)
			if err != nil {
				t.Fatal(err)
			}
			is("S", FormatNumber(shared), v.S)
			prk := hmac.New(sha256.New, pad(u))
			prk.Write(pad(shared))
			is("PRK", hex.EncodeToString(prk.Sum(nil)), v.PRK)
			key, err := SessionKey(u, shared)
			if err != nil {
				t.Fatal(err)
			}
			is("K", hex.EncodeToString(key), v.K)
			whole, err := Session(num(t, v.PublicA), public, verifier, b)
			if err != nil || !bytes.Equal(whole, key) {
				t.Errorf("Session = %x, %v; want %x", whole, err, key)
			}
			block, signature := b64(t, v.SecretBlock), b64(t, v.Signature)
			is("signature", base64.StdEncoding.EncodeToString(Signature(key, v.Group, v.Ident, block, v.Timestamp)), v.Signature)

			if !CheckSignature(signature, key, v.Group, v.Ident, block, v.Timestamp) {
				t.Error("the client's proof was refused")
			}
			for what, ok := range map[string]bool{
				"another time":       CheckSignature(signature, key, v.Group, v.Ident, block, v.Timestamp+" "),
				"another block":      CheckSignature(signature, key, v.Group, v.Ident, block[1:], v.Timestamp),
				"another user":       CheckSignature(signature, key, v.Group, v.Ident+"x", block, v.Timestamp),
				"another pool":       CheckSignature(signature, key, v.Group+"x", v.Ident, block, v.Timestamp),
				"another key":        CheckSignature(signature, u[:16], v.Group, v.Ident, block, v.Timestamp),
				"a shorter proof":    CheckSignature(signature[:31], key, v.Group, v.Ident, block, v.Timestamp),
				"no proof":           CheckSignature(nil, key, v.Group, v.Ident, block, v.Timestamp),
				"an all-zero proof":  CheckSignature(make([]byte, 32), key, v.Group, v.Ident, block, v.Timestamp),
				"a proof with a bit": CheckSignature(append([]byte{signature[0] ^ 1}, signature[1:]...), key, v.Group, v.Ident, block, v.Timestamp),
			} {
				if ok {
					t.Errorf("a proof for %s was accepted", what)
				}
			}
		})
	}
}

// The client's side, written with math/big from the formulas, is the reference for the constant-time code.
func TestVectorsClient(t *testing.T) {
	t.Parallel()
	n, g := group().nBig, big.NewInt(2)
	k := new(big.Int).SetBytes(hash([]byte{0}, n.Bytes(), []byte{2}))
	for _, v := range vectors(t) {
		of := func(s string) *big.Int { return new(big.Int).SetBytes(num(t, s)) }
		a := of(v.SecretA)
		public := new(big.Int).Exp(g, a, n)
		if got := public.Text(16); got != v.PublicA {
			t.Errorf("%s: A = %s, want %s", v.Name, got, v.PublicA)
		}
		x := new(big.Int).SetBytes(private(v.Group, v.Ident, v.Password, num(t, v.Salt)))
		base := new(big.Int).Sub(of(v.PublicB), new(big.Int).Mul(k, new(big.Int).Exp(g, x, n)))
		exponent := new(big.Int).Add(a, new(big.Int).Mul(of(v.U), x))
		s := new(big.Int).Exp(base.Mod(base, n), exponent, n)
		if got := s.Text(16); got != v.S {
			t.Errorf("%s: the client's S = %s, want %s", v.Name, got, v.S)
		}
		key, err := SessionKey(num(t, v.U), s.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got := base64.StdEncoding.EncodeToString(Signature(key, v.Group, v.Ident, b64(t, v.SecretBlock), v.Timestamp)); got != v.Signature {
			t.Errorf("%s: the client's proof = %s, want %s", v.Name, got, v.Signature)
		}
	}
}

// A device confirms itself with salt and verifier in padded form.
func TestConfirmedDevice(t *testing.T) {
	t.Parallel()
	v := vectors(t)[2]
	salt, verifier := b64(t, v.ConfirmSalt), b64(t, v.ConfirmVerifier)
	if FormatNumber(salt) != v.Salt || FormatNumber(verifier) != v.V || !bytes.Equal(pad(num(t, v.V)), verifier) {
		t.Errorf("the confirmed salt and verifier are other numbers: %x, %x", salt, verifier)
	}
	if !Check(verifier, v.Group, v.Ident, v.Password, salt) {
		t.Error("the device's own password does not fit its verifier")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	salt := []byte("0123456789abcdef")
	v := Verifier("AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt)
	if !Check(v, "AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt) || !Check(append([]byte{0}, v...), "AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt) {
		t.Error("the right password was refused")
	}
	for what, ok := range map[string]bool{
		"password":        Check(v, "AbCdEf123", "jane", "corr3ct-Horse!Battery", salt),
		"empty password":  Check(v, "AbCdEf123", "jane", "", salt),
		"user":            Check(v, "AbCdEf123", "Jane", "Corr3ct-Horse!Battery", salt),
		"pool":            Check(v, "AbCdEf124", "jane", "Corr3ct-Horse!Battery", salt),
		"salt":            Check(v, "AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt[1:]),
		"verifier":        Check(v[1:], "AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt),
		"no verifier":     Check(nil, "AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt),
		"verifier beyond": Check(append([]byte{1}, v...), "AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt),
	} {
		if ok {
			t.Errorf("accepted with another %s", what)
		}
	}
}

func TestIllegalValues(t *testing.T) {
	t.Parallel()
	v := vectors(t)[0]
	n := group().nBig
	verifier, b, u := num(t, v.V), num(t, v.SecretB), num(t, v.U)
	for what, a := range map[string][]byte{
		"nothing": nil, "0": {0}, "0 in many bytes": make([]byte, 500), "N": n.Bytes(), "2N": new(big.Int).Lsh(n, 1).Bytes(),
		"N²": new(big.Int).Mul(n, n).Bytes(), "N with leading zeros": append(make([]byte, 9), n.Bytes()...),
	} {
		if err := CheckPublic(a); !errors.Is(err, ErrPublic) {
			t.Errorf("CheckPublic(%s) = %v", what, err)
		}
		if s, err := Shared(a, verifier, u, b); !errors.Is(err, ErrPublic) {
			t.Errorf("Shared for A = %s gave %x, %v", what, s, err)
		}
		if key, err := Session(a, num(t, v.PublicB), verifier, b); !errors.Is(err, ErrPublic) {
			t.Errorf("Session for A = %s gave %x, %v", what, key, err)
		}
	}
	if err := CheckPublic(num(t, v.PublicA)); err != nil {
		t.Errorf("an honest A was refused: %v", err)
	}
	for what, bad := range map[string][]byte{"nothing": nil, "0": {0}, "N": n.Bytes(), "2N": new(big.Int).Lsh(n, 1).Bytes()} {
		if _, err := Public(bad, b); !errors.Is(err, ErrVerifier) {
			t.Errorf("Public for v = %s: %v", what, err)
		}
		if _, err := Shared(num(t, v.PublicA), bad, u, b); !errors.Is(err, ErrVerifier) {
			t.Errorf("Shared for v = %s: %v", what, err)
		}
	}

	// A verifier made for the purpose leads to B = 0: k·v = −g^b.
	inverse := new(big.Int).ModInverse(new(big.Int).SetBytes(hash(pad(n.Bytes()), []byte{2})), n)
	made := new(big.Int).Exp(big.NewInt(2), new(big.Int).SetBytes(b), n)
	made.Mod(made.Mul(made.Neg(made), inverse), n)
	if public, err := Public(made.Bytes(), b); !errors.Is(err, ErrPublic) {
		t.Errorf("B = 0 was not refused: %x, %v", public, err)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"0": "0", "00": "0", "f": "f", "0F": "f", "ABC": "abc", "000abc": "abc", strings.Repeat("a", 2048): strings.Repeat("a", 2048)} {
		n, err := ParseNumber(in)
		if got := FormatNumber(n); err != nil || got != want {
			t.Errorf("%.20s reads as %.20s, %v; want %.20s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "+1", "0x1", " 1", "1 ", "g", "1_0", "١", strings.Repeat("0", 2049)} {
		if n, err := ParseNumber(in); !errors.Is(err, ErrNumber) {
			t.Errorf("ParseNumber(%.20q) = %x, %v; want ErrNumber", in, n, err)
		}
	}
	if got := FormatNumber(nil); got != "0" {
		t.Errorf("FormatNumber(nil) = %q", got)
	}
	for in, want := range map[string]string{"": "00", "00": "00", "7f": "7f", "80": "0080", "00007f": "7f", "000080": "0080", "0100": "0100"} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(pad(b)); got != want {
			t.Errorf("pad(%s) = %s, want %s", in, got, want)
		}
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"", "0", "00ff", "FFF", "-1", "0x1", "g", "10 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNumber(s)
		want, ok := new(big.Int).SetString(s, 16)
		digitsOnly := strings.Trim(s, "0123456789abcdefABCDEF") == ""
		if valid := ok && digitsOnly && len(s) <= maxNumberText; valid != (err == nil) {
			t.Fatalf("ParseNumber(%q): %v", s, err)
		}
		if err == nil && FormatNumber(n) != want.Text(16) {
			t.Errorf("%q reads as %s, want %s", s, FormatNumber(n), want.Text(16))
		}
	})
}

func BenchmarkVerifier(b *testing.B) {
	salt := []byte("0123456789abcdef")
	Verifier("AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt) // makes the table
	for b.Loop() {
		Verifier("AbCdEf123", "jane", "Corr3ct-Horse!Battery", salt)
	}
}

func BenchmarkPublic(b *testing.B) {
	v := num(b, vectors(b)[0].V)
	for b.Loop() {
		if _, err := Public(v, v[:ExponentSize]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSession(b *testing.B) {
	vec := vectors(b)[0]
	publicA, publicB, v := num(b, vec.PublicA), num(b, vec.PublicB), num(b, vec.V)
	for b.Loop() {
		if _, err := Session(publicA, publicB, v, v[:ExponentSize]); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDecoysAreSquares: by the Jacobi symbol, which is all that can be computed of a number in a group of unknown logarithms, a decoy
// cannot be told from a verifier.
func TestDecoysAreSquares(t *testing.T) {
	t.Parallel()
	n, ok := new(big.Int).SetString(modulusHex, 16)
	symbol := func(b []byte) int { return big.Jacobi(new(big.Int).SetBytes(b), n) }
	if !ok || symbol([]byte{2}) != 1 {
		t.Fatal("the generator is no square")
	}
	randoms := 0
	for i := range 64 {
		random := sha256.Sum256([]byte{byte(i)})
		wide := bytes.Repeat(random[:], 12)
		decoy, verifier := Decoy(wide), Verifier("pool", "jane", string(random[:]), random[:16])
		if len(decoy) != len(verifier) || symbol(decoy) != 1 || symbol(verifier) != 1 {
			t.Errorf("%d: a decoy of %d bytes has the symbol %d, a verifier %d", i, len(decoy), symbol(decoy), symbol(verifier))
		}
		randoms += symbol(wide)
	}
	if randoms < -40 || randoms > 40 {
		t.Errorf("random numbers are mostly alike: the sum of 64 symbols is %d", randoms)
	}
	for _, random := range [][]byte{nil, make([]byte, 384), {1}} {
		if _, err := Public(Decoy(random), []byte{1}); err != nil {
			t.Errorf("the decoy of %x is no verifier: %v", random, err)
		}
	}
}
