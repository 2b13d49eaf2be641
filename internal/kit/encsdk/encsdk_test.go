package encsdk

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/kit/chance"
)

type vector struct{ DataKey, MessageID, GCMKey, Pool, Key, Wrapped, PublicKey, Plaintext, Message string }

func read(t testing.TB) (v vector, message, dataKey []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/vector.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if message, err = base64.StdEncoding.DecodeString(v.Message); err != nil {
		t.Fatal(err)
	}
	if dataKey, err = hex.DecodeString(v.DataKey); err != nil {
		t.Fatal(err)
	}
	return v, message, dataKey
}

func TestVectorOpens(t *testing.T) {
	t.Parallel()
	v, message, dataKey := read(t)
	m, err := Parse(message)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(m.id[:]) != v.MessageID || len(m.Context) != 2 || m.Context["userpool-id"] != v.Pool || m.Context[publicKeyName] != v.PublicKey {
		t.Errorf("id %x, context %v", m.id, m.Context)
	}
	if len(m.Keys) != 1 || m.Keys[0].Provider != "aws-kms" || m.Keys[0].Info != v.Key || string(m.Keys[0].Wrapped) != v.Wrapped {
		t.Errorf("data keys %v", m.Keys)
	}
	text, err := m.Open(dataKey)
	if err != nil || string(text) != v.Plaintext {
		t.Errorf("text %q, %v", text, err)
	}
}

// TestVectorIsMadeAgain makes everything of the vector but the signature, whose private key nobody has, byte for byte.
func TestVectorIsMadeAgain(t *testing.T) {
	t.Parallel()
	v, message, dataKey := read(t)
	m, err := Parse(message)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := messageKey(dataKey, m.id)
	if err != nil {
		t.Fatal(err)
	}
	made, err := header(m.id, map[string]string{"userpool-id": v.Pool, publicKeyName: v.PublicKey},
		DataKey{Provider: "aws-kms", Info: v.Key, Wrapped: []byte(v.Wrapped)})
	if err != nil {
		t.Fatal(err)
	}
	made = appendFinal(appendTag(made, aead), aead, m.id, []byte(v.Plaintext))
	if !bytes.Equal(made, message[:m.footer]) {
		t.Errorf("made\n%x\nwant\n%x", made, message[:m.footer])
	}
}

// TestGCMKey looks at the derived key through what it encrypts: the cipher itself does not show it.
func TestGCMKey(t *testing.T) {
	t.Parallel()
	v, message, dataKey := read(t)
	m, err := Parse(message)
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := hex.DecodeString(v.GCMKey)
	if err != nil {
		t.Fatal(err)
	}
	derived, err := messageKey(dataKey, m.id)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := gcm(wanted)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, ivSize)
	if !bytes.Equal(derived.Seal(nil, iv, []byte("x"), nil), direct.Seal(nil, iv, []byte("x"), nil)) {
		t.Error("another key is derived")
	}
}

func fixed(key []byte) Source {
	return func(map[string]string) (DataKey, error) {
		return DataKey{Plain: key, Provider: "aws-kms", Info: "arn", Wrapped: []byte("wrapped")}, nil
	}
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, KeySize)
	for _, text := range []string{"", "123456", "größe 😀", strings.Repeat("x", MaxPlaintext)} {
		var bound map[string]string
		given := map[string]string{"userpool-id": "p", "": "", "z": "größe"}
		sealed, err := Seal(chance.Seeded(1), given, func(context map[string]string) (DataKey, error) {
			bound = context
			return fixed(key)(context)
		}, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(given) != 3 || len(bound) != 4 || bound["userpool-id"] != "p" || bound[publicKeyName] == "" {
			t.Errorf("given %v, bound %v", given, bound)
		}
		m, err := Parse(sealed)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range bound {
			if m.Context[name] != value {
				t.Errorf("%s is %q in the message, want %q", name, m.Context[name], value)
			}
		}
		if opened, err := m.Open(key); err != nil || string(opened) != text {
			t.Errorf("opened %q, %v; want %q", opened, err, text)
		}
		if len(text) > 5 && bytes.Contains(sealed, []byte(text)) {
			t.Error("the text stands in the message")
		}
	}
}

func TestNoMessageIsLikeAnother(t *testing.T) {
	t.Parallel()
	key, random := bytes.Repeat([]byte{7}, KeySize), chance.Seeded(1)
	one, err := Seal(random, nil, fixed(key), []byte("123456"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := Seal(random, nil, fixed(key), []byte("123456"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := must(t, one), must(t, two)
	if a.id == b.id || bytes.Equal(a.ciphertext, b.ciphertext) || a.Context[publicKeyName] == b.Context[publicKeyName] {
		t.Error("id, text or signing key came twice")
	}
}

func must(t *testing.T, message []byte) *Message {
	t.Helper()
	m, err := Parse(message)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	key, mine := bytes.Repeat([]byte{7}, KeySize), errors.New("mine")
	long := strings.Repeat("x", 1<<16)
	for name, test := range map[string]struct {
		context map[string]string
		source  Source
		text    string
		is      error
	}{
		"text too long":    {source: fixed(key), text: strings.Repeat("x", MaxPlaintext+1), is: ErrTooLong},
		"name too long":    {context: map[string]string{long: ""}, source: fixed(key), is: ErrTooLong},
		"context too long": {context: map[string]string{"a": long[1:]}, source: fixed(key), is: ErrTooLong},
		"key too long": {source: func(map[string]string) (DataKey, error) {
			return DataKey{Plain: key, Wrapped: []byte(long)}, nil
		}, is: ErrTooLong},
		"reserved name": {context: map[string]string{"aws-crypto-x": ""}, source: fixed(key)},
		"short key":     {source: fixed(key[1:])},
		"source failed": {source: func(map[string]string) (DataKey, error) { return DataKey{}, mine }, is: mine},
	} {
		if sealed, err := Seal(chance.Seeded(1), test.context, test.source, []byte(test.text)); err == nil || sealed != nil || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %d bytes, %v; want %v", name, len(sealed), err, test.is)
		}
	}
}

// TestEveryBitCounts changes each bit of a message.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	_, message, dataKey := read(t)
	for i := range len(message) * 8 {
		changed := bytes.Clone(message)
		changed[i/8] ^= 1 << (i % 8)
		m, err := Parse(changed)
		if err == nil {
			_, err = m.Open(dataKey)
		}
		if !errors.Is(err, ErrForged) && !errors.Is(err, ErrMalformed) {
			t.Fatalf("bit %d changed: %v", i, err)
		}
	}
	for n := range message {
		if _, err := Parse(message[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := Parse(append(bytes.Clone(message), 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte more: %v", err)
	}
	m, other := must(t, message), bytes.Clone(dataKey)
	other[0]++
	if _, err := m.Open(other); !errors.Is(err, ErrForged) {
		t.Errorf("another data key: %v", err)
	}
	if _, err := m.Open(nil); err == nil {
		t.Error("no data key opens it")
	}
}

// FuzzParse holds that nothing panics, and that what is read is what was written: its parts make the same bytes again.
func FuzzParse(f *testing.F) {
	_, message, dataKey := read(f)
	f.Add(message)
	f.Add(message[:60])
	f.Add([]byte{version, customerData, 3, 0x78})
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		if opened, err := m.Open(dataKey); err == nil && string(opened) != "123456" {
			t.Errorf("%x opens as %q", text, opened)
		}
		if len(m.Keys) != 1 {
			return
		}
		made, err := header(m.id, m.Context, m.Keys[0])
		if err != nil || !bytes.Equal(made, text[:m.headerEnd]) {
			t.Errorf("the header\n%x\nmade again, %v\n%x", text[:m.headerEnd], err, made)
		}
	})
}
