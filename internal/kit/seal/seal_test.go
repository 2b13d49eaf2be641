package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/poolhouse/poolhouse/internal/kit/seal"
)

func kek(t testing.TB, fill byte) seal.KEK {
	t.Helper()
	k, err := seal.NewKEK(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open must refuse every change of a single bit, every shorter and every longer form.
func refusesChanges(t *testing.T, sealed []byte, open func([]byte) error) {
	t.Helper()
	if err := open(sealed); err != nil {
		t.Fatalf("the untouched value does not open: %v", err)
	}
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if err := open(changed); !errors.Is(err, seal.ErrSealed) {
				t.Fatalf("byte %d, bit %d changed: %v", i, bit, err)
			}
		}
		if err := open(sealed[:i]); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	for _, extra := range []byte{0, 1, 0xff} {
		if err := open(append(bytes.Clone(sealed), extra)); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("a byte %#x more: %v", extra, err)
		}
	}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	ring := seal.NewRing(kek(t, 1))
	key, _ := ring.NewKey(rand.Reader, "pool p1")
	for _, plaintext := range []string{"", "x", "JBSWY3DPEHPK3PXP", strings.Repeat("long ", 5000)} {
		sealed := key.Seal(rand.Reader, []byte(plaintext), "totp", "p1", "sub", "secret")
		got, err := key.Open(sealed, "totp", "p1", "sub", "secret")
		if err != nil || string(got) != plaintext {
			t.Errorf("%.20q came back as %.20q, %v", plaintext, got, err)
		}
		if len(sealed) != len(plaintext)+seal.Overhead {
			t.Errorf("sealing added %d bytes, want %d", len(sealed)-len(plaintext), seal.Overhead)
		}
		if again := key.Seal(rand.Reader, []byte(plaintext), "totp", "p1", "sub", "secret"); bytes.Equal(sealed, again) {
			t.Error("sealing twice gave the same bytes")
		}
	}
	sealed := key.Seal(rand.Reader, []byte("JBSWY3DPEHPK3PXP"), "totp", "p1", "sub", "secret")
	refusesChanges(t, sealed, func(b []byte) error { _, err := key.Open(b, "totp", "p1", "sub", "secret"); return err })

	for _, aad := range [][]string{
		{"totp", "p1", "other", "secret"}, {"totp", "p2", "sub", "secret"}, {"totp", "p1", "sub"}, {"totp", "p1", "sub", "secret", ""},
		{"totp", "p1", "subsecret"}, {"totpp1", "", "sub", "secret"}, {"totp", "p1", "su", "bsecret"}, {},
	} {
		if _, err := key.Open(sealed, aad...); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("moved to %q: %v", aad, err)
		}
	}
	other, _ := ring.NewKey(rand.Reader, "pool p1")
	if _, err := other.Open(sealed, "totp", "p1", "sub", "secret"); !errors.Is(err, seal.ErrUnknownKey) || !errors.Is(err, seal.ErrSealed) {
		t.Errorf("with another key: %v", err)
	}
	// With the id forged to name the other key, the content gives it away.
	id := other.ID()
	forged := append(append([]byte{sealed[0]}, id[:]...), sealed[9:]...)
	if _, err := other.Open(forged, "totp", "p1", "sub", "secret"); !errors.Is(err, seal.ErrSealed) || errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("with a forged key id: %v", err)
	}
	if id, err := seal.IDOf(sealed); err != nil || id != key.ID() || id == other.ID() {
		t.Errorf("the sealed value names key %v, %v; want %v", id, err, key.ID())
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	old, current := kek(t, 1), kek(t, 2)
	before := seal.NewRing(old)
	key, wrapped := before.NewKey(rand.Reader, "pool p1")
	sealed := key.Seal(rand.Reader, []byte("secret"), "row")
	refusesChanges(t, wrapped, func(b []byte) error { _, err := before.OpenKey(b, "pool p1"); return err })
	if _, err := before.OpenKey(wrapped, "pool p2"); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("a wrapped key moved to another pool: %v", err)
	}

	// After a change of the KEK the old one is still in the ring, and the key is the same.
	after := seal.NewRing(current, old)
	opens := func(r *seal.Ring, wrapped []byte) {
		t.Helper()
		k, err := r.OpenKey(wrapped, "pool p1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(sealed, "row")
		if err != nil || string(got) != "secret" || k.ID() != key.ID() {
			t.Errorf("opened %q, %v with key %v; want the same as before with %v", got, err, k.ID(), key.ID())
		}
		if !bytes.Equal(k.MAC("code", "123456"), key.MAC("code", "123456")) {
			t.Error("the unwrapped key makes other MACs")
		}
	}
	opens(after, wrapped)
	moved, changed, err := after.Rewrap(wrapped, "pool p1")
	if err != nil || !changed {
		t.Fatalf("Rewrap: changed %v, %v", changed, err)
	}
	opens(seal.NewRing(current), moved)
	if again, changed, err := after.Rewrap(moved, "pool p1"); err != nil || changed || !bytes.Equal(again, moved) {
		t.Errorf("a second Rewrap changed something: %v, %v", changed, err)
	}
	if _, _, err := after.Rewrap(wrapped, "pool p2"); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("Rewrap at another place: %v", err)
	}
	if _, err := seal.NewRing(current).OpenKey(wrapped, "pool p1"); !errors.Is(err, seal.ErrUnknownKey) || !strings.Contains(err.Error(), old.ID().String()) {
		t.Errorf("without the old KEK: %v; want one that names %s", err, old.ID())
	}
	if _, err := current.Unwrap(wrapped, "pool p1"); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("unwrapped with another KEK: %v", err)
	}
	if _, _, err := after.Rewrap(nil, "pool p1"); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("Rewrap of nothing: %v", err)
	}
	if after.Current().ID() != current.ID() {
		t.Error("the ring wraps with another key than the current one")
	}
	if short := current.Wrap([]byte("not a data key"), "pool p1"); !refused(after, short) {
		t.Error("a wrapped value that is no key was taken for one")
	}
}

func refused(r *seal.Ring, wrapped []byte) bool {
	_, err := r.OpenKey(wrapped, "pool p1")
	return errors.Is(err, seal.ErrSealed)
}

// The stored format must stay readable for ever: this is a data key and a value written by the first version.
func TestStoredFormat(t *testing.T) {
	t.Parallel()
	const wrappedHex = "0128c79e032ff24a2de96fd209cd077d37464198a1311a2c52c48b0bcdeae37240d7706d8c0f2d3d66cc9f9d54714463ad6a2755a15f0ab6d0bf6350a3e766a421292efc71"
	const sealedHex = "01757face2ed0f7028202122232425262728292a2b4e8cdf8ed5ad3cd951d75ca8558a61ce6ce2141b2c9a15355a866dd005ad1fbc"
	const macHex = "db4020a7880850bcad6c0c18c3abce7e0a8d096866789e4ebdc97a88b1e28d89"
	counting := make([]byte, seal.KeySize+12)
	for i := range counting {
		counting[i] = byte(i)
	}
	random := bytes.NewReader(counting)
	ring := seal.NewRing(kek(t, 7))
	key, wrapped := ring.NewKey(random, "pool p1")
	sealed := key.Seal(random, []byte("JBSWY3DPEHPK3PXP"), "totp", "p1", "sub", "secret")
	mac := key.MAC("code", "p1", "123456")
	for _, c := range []struct {
		what string
		got  []byte
		want string
	}{{"wrapped key", wrapped, wrappedHex}, {"sealed value", sealed, sealedHex}, {"MAC", mac, macHex}} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s = %s\nwant %s", c.what, got, c.want)
		}
	}
}

func TestMAC(t *testing.T) {
	t.Parallel()
	ring := seal.NewRing(kek(t, 1))
	key, _ := ring.NewKey(rand.Reader, "p")
	other, _ := ring.NewKey(rand.Reader, "p")
	mac := key.MAC("code", "p1", "123456")
	if len(mac) != 32 || !key.CheckMAC(mac, "code", "p1", "123456") {
		t.Errorf("the MAC %x does not fit its own parts", mac)
	}
	for what, ok := range map[string]bool{
		"purpose": key.CheckMAC(mac, "token", "p1", "123456"), "part": key.CheckMAC(mac, "code", "p1", "123457"), "split": key.CheckMAC(mac, "code", "p112", "3456"),
		"joined": key.CheckMAC(mac, "code", "p1123456"), "more": key.CheckMAC(mac, "code", "p1", "123456", ""), "key": other.CheckMAC(mac, "code", "p1", "123456"),
		"length": key.CheckMAC(mac[:16], "code", "p1", "123456"), "nothing": key.CheckMAC(nil, "code", "p1", "123456"),
	} {
		if ok {
			t.Errorf("the MAC fits with another %s", what)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	key, _ := seal.NewRing(kek(t, 1)).NewKey(rand.Reader, "p")
	want := key.MAC("purpose 0", "x")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			sealed := key.Seal(rand.Reader, []byte("v"), "row")
			if _, err := key.Open(sealed, "row"); err != nil {
				t.Error(err)
			}
			key.MAC(fmt.Sprintf("purpose %d", i%4), "x")
			if !key.CheckMAC(want, "purpose 0", "x") {
				t.Error("the MAC changed")
			}
		})
	}
	wg.Wait()
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xAB}, seal.KeySize)
	k, err := seal.NewKEK(raw)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := seal.NewRing(k).NewKey(bytes.NewReader(raw), "p")
	holder := struct {
		kek seal.KEK
		key seal.Key
	}{k, key}
	key.MAC("code", "x")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{k, key, holder, &holder} {
			text := strings.ToLower(fmt.Sprintf(verb, v))
			for _, leak := range []string{"abab", "171 171", "0xab, 0xab"} {
				if strings.Contains(text, leak) {
					t.Errorf("printing with %q shows key bytes: %s", verb, text)
				}
			}
		}
	}
	if k.String() != k.ID().String() || len(k.String()) != 16 || (seal.Key{}).String() != "no key" || (seal.KEK{}).String() != "no key" || !(seal.Key{}).IsZero() {
		t.Error("keys should print as their ids")
	}
}

func TestKeySizes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := seal.NewKEK(make([]byte, n)); !errors.Is(err, seal.ErrKeySize) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
}

func TestBrokenEntropyPanics(t *testing.T) {
	t.Parallel()
	key, _ := seal.NewRing(kek(t, 1)).NewKey(rand.Reader, "p")
	for what, use := range map[string]func(io.Reader){
		"NewKey": func(r io.Reader) { seal.NewRing(kek(t, 1)).NewKey(r, "p") }, "Seal": func(r io.Reader) { key.Seal(r, nil, "row") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s went on without entropy", what)
				}
			}()
			use(iotest.ErrReader(io.ErrUnexpectedEOF))
		}()
	}
}

func BenchmarkSeal(b *testing.B) {
	key, _ := seal.NewRing(kek(b, 1)).NewKey(rand.Reader, "p")
	value := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		key.Seal(rand.Reader, value, "totp", "us-east-1_AbCdEf123", "34c84488-e0e1-70ae-d2ee-991ad1a898c8", "secret")
	}
}

func BenchmarkOpen(b *testing.B) {
	key, _ := seal.NewRing(kek(b, 1)).NewKey(rand.Reader, "p")
	sealed := key.Seal(rand.Reader, make([]byte, 64), "totp", "us-east-1_AbCdEf123", "34c84488-e0e1-70ae-d2ee-991ad1a898c8", "secret")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Open(sealed, "totp", "us-east-1_AbCdEf123", "34c84488-e0e1-70ae-d2ee-991ad1a898c8", "secret"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMAC(b *testing.B) {
	key, _ := seal.NewRing(kek(b, 1)).NewKey(rand.Reader, "p")
	b.ReportAllocs()
	for b.Loop() {
		key.MAC("code", "us-east-1_AbCdEf123", "123456")
	}
}

func BenchmarkOpenKey(b *testing.B) {
	ring := seal.NewRing(kek(b, 1))
	_, wrapped := ring.NewKey(rand.Reader, "p")
	for b.Loop() {
		if _, err := ring.OpenKey(wrapped, "p"); err != nil {
			b.Fatal(err)
		}
	}
}
