package srp

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestConstants(t *testing.T) {
	t.Parallel()
	c := group()
	n := c.nBig.Bytes()
	if got, want := hex.EncodeToString(hash(n)), "48cf8b092fbce4359d9871abf74f98e25b6163379eaa15cd9087e800c6d1c55c"; len(n) != elementSize || got != want {
		t.Errorf("N has %d bytes and hash %s, want %s", len(n), got, want)
	}
	if got, want := FormatNumber(c.bytes(&c.k)), "538282c4354742d7cbbde2359fcf67f9f5b3a6b08791e5011b43b8a5b66d9ee6"; got != want {
		t.Errorf("k = %s, want %s", got, want)
	}
	if c.n[0] != 1<<64-1 {
		t.Errorf("mul relies on N ending in 64 one bits, not %x", c.n[0])
	}
	if half := new(big.Int).Rsh(c.nBig, 1); !c.nBig.ProbablyPrime(4) || !half.ProbablyPrime(4) {
		t.Error("N is not a safe prime")
	}
}

// samples are the numbers at which carries and reductions happen, and random ones of many lengths.
func samples(random *rand.Rand) []*big.Int {
	n := group().nBig
	one := big.NewInt(1)
	r := new(big.Int).Lsh(one, elementSize*8)
	list := []*big.Int{
		big.NewInt(0), big.NewInt(1), big.NewInt(2), big.NewInt(15), big.NewInt(16), new(big.Int).SetUint64(1<<64 - 1), new(big.Int).Lsh(one, 64),
		new(big.Int).Sub(n, one), new(big.Int).Sub(n, big.NewInt(2)), n, new(big.Int).Add(n, one), new(big.Int).Sub(r, one), new(big.Int).Sub(r, n),
		new(big.Int).Lsh(one, elementSize*8-1), new(big.Int).Rsh(n, 1),
	}
	for range 25 {
		list = append(list, number(random, 1+random.IntN(elementSize)))
	}
	return list
}

func number(random *rand.Rand, size int) *big.Int {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return new(big.Int).SetBytes(b)
}

func TestArithmeticAgreesWithBig(t *testing.T) {
	t.Parallel()
	c, random := group(), rand.New(rand.NewPCG(1, 2))
	mod := func(x *big.Int) *big.Int { return x.Mod(x, c.nBig) }
	list := samples(random)
	for _, x := range list {
		ex, ok := c.read(x.Bytes())
		if !ok {
			t.Fatalf("read refused %x", x)
		}
		if got, want := new(big.Int).SetBytes(c.bytes(&ex)), mod(new(big.Int).Set(x)); got.Cmp(want) != 0 {
			t.Fatalf("%x came back as %x", x, got)
		}
		if er := c.reduce(x.Bytes()); er != ex {
			t.Fatalf("read and reduce disagree on %x", x)
		}
		if ex.isZero() != (mod(new(big.Int).Set(x)).Sign() == 0) {
			t.Fatalf("isZero is wrong for %x", x)
		}
		for _, y := range list {
			ey, _ := c.read(y.Bytes())
			var product, sum element
			c.mul(&product, &ex, &ey)
			c.add(&sum, &ex, &ey)
			if got, want := new(big.Int).SetBytes(c.bytes(&product)), mod(new(big.Int).Mul(x, y)); got.Cmp(want) != 0 {
				t.Fatalf("%x · %x = %x, want %x", x, y, got, want)
			}
			if got, want := new(big.Int).SetBytes(c.bytes(&sum)), mod(new(big.Int).Add(x, y)); got.Cmp(want) != 0 {
				t.Fatalf("%x + %x = %x, want %x", x, y, got, want)
			}
			aliased := ex
			c.mul(&aliased, &aliased, &ey)
			if aliased != product {
				t.Fatalf("mul in place differs for %x and %x", x, y)
			}
		}
	}
}

func TestReadLengths(t *testing.T) {
	t.Parallel()
	c := group()
	long := make([]byte, elementSize+3)
	long[len(long)-1] = 7
	if z, ok := c.read(long); !ok || FormatNumber(c.bytes(&z)) != "7" {
		t.Error("leading zeros beyond the size of an element should not count")
	}
	long[2] = 1
	if _, ok := c.read(long); ok {
		t.Error("a number of 385 significant bytes was accepted")
	}
	if z, ok := c.read(nil); !ok || !z.isZero() {
		t.Error("no bytes are the number 0")
	}
}

func TestPowersAgreeWithBig(t *testing.T) {
	t.Parallel()
	c, random := group(), rand.New(rand.NewPCG(3, 4))
	two := big.NewInt(2)
	exponents := [][]byte{nil, {0}, {1}, {15}, {16}, {255}, make([]byte, 32), {0, 0, 0, 5}}
	ones := make([]byte, 32)
	for i := range ones {
		ones[i] = 0xff
	}
	exponents = append(exponents, ones, append([]byte{1}, make([]byte, 31)...), append([]byte{1}, make([]byte, 32)...), append([]byte{0}, ones...))
	for i := range 24 {
		exponents = append(exponents, number(random, 1+i%34).Bytes())
	}
	for i, e := range exponents {
		exponent := new(big.Int).SetBytes(e)
		z := c.powG(e)
		if got, want := new(big.Int).SetBytes(c.bytes(&z)), new(big.Int).Exp(two, exponent, c.nBig); got.Cmp(want) != 0 {
			t.Errorf("2^%x = %x, want %x", e, got, want)
		}
		base := number(random, elementSize)
		if i == 0 {
			base.SetInt64(0)
		}
		x := c.reduce(base.Bytes())
		z = c.pow(&x, e)
		if got, want := new(big.Int).SetBytes(c.bytes(&z)), new(big.Int).Exp(base, exponent, c.nBig); got.Cmp(want) != 0 {
			t.Errorf("%x^%x = %x, want %x", base, e, got, want)
		}
	}
}

func BenchmarkMul(b *testing.B) {
	c := group()
	x := c.reduce([]byte("some number that is not too small for a multiplication"))
	for b.Loop() {
		c.mul(&x, &x, &x)
	}
}

func BenchmarkPow256(b *testing.B) {
	c := group()
	e := sha256.Sum256([]byte("exponent"))
	for b.Loop() {
		c.pow(&c.g, e[:])
	}
}

func BenchmarkTable(b *testing.B) {
	c := group()
	for b.Loop() {
		base := c.g
		for range digits {
			p := c.powers(&base)
			c.mul(&base, &p[windowSize-1], &base)
		}
	}
}
