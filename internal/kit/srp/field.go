package srp

import (
	"crypto/subtle"
	"encoding/binary"
	"math/big"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// The arithmetic below works on secret numbers, so neither its branches nor its memory accesses depend on their values; only
// lengths, which are public, steer it. math/big gives no such promise and serves for public numbers alone.

const (
	limbs       = 48        // 64-bit words of a group element
	elementSize = limbs * 8 // its bytes
	window      = 4         // bits of an exponent that are handled at once
	windowSize  = 1 << window
	digits      = 32 * 8 / window // windows of a 256-bit exponent
)

// modulusHex is the 3072-bit MODP group, number 15 of RFC 3526. The generator is 2.
const modulusHex = "" +
	"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD" +
	"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED" +
	"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F" +
	"83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B" +
	"E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510" +
	"15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7" +
	"ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C" +
	"BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF"

// element is a number modulo N, least significant word first. Between operations it stands in Montgomery form (times 2^3072)
// unless a comment says otherwise, and is always smaller than N.
type element [limbs]uint64

// constants are the public numbers that everything needs.
type constants struct {
	n    element  // N, plain
	rr   element  // 2^6144 mod N, plain: multiplying by it brings a number into Montgomery form
	one  element  // 1
	g    element  // 2
	k    element  // H(pad(N) ‖ pad(g))
	nBig *big.Int // N
}

var group = sync.OnceValue(func() *constants {
	n, ok := new(big.Int).SetString(modulusHex, 16)
	if !ok {
		panic("srp: the modulus is not hexadecimal")
	}
	c := &constants{nBig: n, n: words(n)}
	r := new(big.Int).Lsh(big.NewInt(1), elementSize*8)
	mod := func(x *big.Int) *big.Int { return new(big.Int).Mod(x, n) }
	c.rr = words(mod(new(big.Int).Mul(r, r)))
	c.one = words(mod(r))
	c.g = words(mod(new(big.Int).Lsh(r, 1)))
	k := new(big.Int).SetBytes(hash(pad(n.Bytes()), pad([]byte{2})))
	c.k = words(mod(new(big.Int).Mul(k, r)))
	return c
})

// words converts a public number smaller than 2^3072, as it is.
func words(x *big.Int) element { return load(x.FillBytes(make([]byte, elementSize))) }

// load reads exactly elementSize big-endian bytes.
func load(b []byte) (z element) {
	for i := range z {
		z[i] = binary.BigEndian.Uint64(b[elementSize-8*(i+1):])
	}
	return z
}

// bytes returns the number, taken out of Montgomery form, as elementSize big-endian bytes.
func (c *constants) bytes(x *element) []byte {
	plain := element{1}
	c.mul(&plain, x, &plain)
	b := make([]byte, elementSize)
	for i, w := range plain {
		binary.BigEndian.PutUint64(b[elementSize-8*(i+1):], w)
	}
	return b
}

// read brings big-endian bytes, which may be a secret, into Montgomery form and reduces them. It reports false when they are
// longer than an element, leading zeros aside.
func (c *constants) read(b []byte) (z element, ok bool) {
	var fixed [elementSize]byte
	if extra := len(b) - elementSize; extra > 0 {
		var high byte
		for _, x := range b[:extra] {
			high |= x
		}
		if high != 0 {
			return z, false
		}
		b = b[extra:]
	}
	copy(fixed[elementSize-len(b):], b)
	z = load(fixed[:])
	c.mul(&z, &z, &c.rr)
	return z, true
}

// reduce brings a public number of any length into Montgomery form.
func (c *constants) reduce(b []byte) element {
	z := words(new(big.Int).Mod(new(big.Int).SetBytes(b), c.nBig))
	c.mul(&z, &z, &c.rr)
	return z
}

// mul sets z = x·y / 2^3072 mod N. z may be x or y. One of the factors must be smaller than N, the other may be any element.
//
// Each round adds x·y[i] and the multiple of N that clears the lowest word, then shifts by a word. That multiple is the lowest
// word itself: N ends in 64 one bits, so −1/N mod 2^64 is 1, and the product with N's lowest word only leaves a carry.
func (c *constants) mul(z, x, y *element) {
	var t element
	var top uint64 // 0 or 1, the word above t
	n := &c.n
	for _, yi := range y {
		hi, lo := bits.Mul64(x[0], yi)
		lo, carry := bits.Add64(lo, t[0], 0)
		m, cx, cn := lo, hi+carry, lo
		for j := 1; j < limbs; j++ {
			hi, lo := bits.Mul64(x[j], yi)
			lo, carry = bits.Add64(lo, t[j], 0)
			hi += carry
			lo, carry = bits.Add64(lo, cx, 0)
			cx = hi + carry
			hi, nlo := bits.Mul64(m, n[j])
			lo, carry = bits.Add64(lo, nlo, 0)
			hi += carry
			lo, carry = bits.Add64(lo, cn, 0)
			cn = hi + carry
			t[j-1] = lo
		}
		sum, carry1 := bits.Add64(cx, cn, 0)
		sum, carry2 := bits.Add64(sum, top, 0)
		t[limbs-1], top = sum, carry1+carry2
	}
	c.subtract(z, &t, top)
}

// add sets z = x + y mod N, for x and y smaller than N.
func (c *constants) add(z, x, y *element) {
	var t element
	var carry uint64
	for i := range t {
		t[i], carry = bits.Add64(x[i], y[i], carry)
	}
	c.subtract(z, &t, carry)
}

// subtract sets z = t − N when t, with top as the word above it, is at least N, else z = t.
func (c *constants) subtract(z, t *element, top uint64) {
	var less element
	var borrow uint64
	for i := range less {
		less[i], borrow = bits.Sub64(t[i], c.n[i], borrow)
	}
	_, borrow = bits.Sub64(top, 0, borrow)
	keep := -borrow // all ones when t was smaller
	for i := range z {
		z[i] = t[i]&keep | less[i]&^keep
	}
}

// isZero reports whether x is 0; the answer is public.
func (x *element) isZero() bool {
	var or uint64
	for _, w := range x {
		or |= w
	}
	return or == 0
}

// powers are x^0 to x^15 for one x.
type powers [windowSize]element

func (c *constants) powers(x *element) (p powers) {
	p[0], p[1] = c.one, *x
	for i := 2; i < windowSize; i++ {
		c.mul(&p[i], &p[i-1], x)
	}
	return p
}

// pick sets z = p[digit] and reads every entry on the way.
func (p *powers) pick(z *element, digit byte) {
	*z = element{}
	for i := range p {
		mask := -uint64(subtle.ConstantTimeByteEq(byte(i), digit))
		for j := range z {
			z[j] |= p[i][j] & mask
		}
	}
}

// turns has a place for each processor. A power takes part of a millisecond, and hundreds of sign-ins may need one at the same time: were
// all of them ready to run, whoever needs a few microseconds, such as the refusal of one request too many, would wait until each had its
// slice. So those that come too late wait here, in the order in which they came. How long says nothing about the numbers.
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

// Waiting is how many powers wait for a processor now.
func Waiting() int { return int(waiting.Load()) }

// pow returns x^e for big-endian e. Its time depends on len(e) alone.
func (c *constants) pow(x *element, e []byte) element {
	take()
	defer func() { <-turns }()
	p := c.powers(x)
	z := c.one
	var factor element
	for _, b := range e {
		for _, digit := range [2]byte{b >> window, b & (windowSize - 1)} {
			for range window {
				c.mul(&z, &z, &z)
			}
			p.pick(&factor, digit)
			c.mul(&z, &z, &factor)
		}
	}
	return z
}

// generatorPowers holds g^(d·16^i) for every digit d at every position i of a 256-bit exponent, 384 KiB. With it a power of g
// needs 64 multiplications and no squaring.
var generatorPowers = sync.OnceValue(func() *[digits]powers {
	c := group()
	table := new([digits]powers)
	base := c.g
	for i := range table {
		table[i] = c.powers(&base)
		c.mul(&base, &table[i][windowSize-1], &base)
	}
	return table
})

// powG returns g^e for big-endian e. Its time depends on len(e) alone, which should be at most 32 to use the table.
func (c *constants) powG(e []byte) element {
	if len(e)*8/window > digits {
		return c.pow(&c.g, e)
	}
	take()
	defer func() { <-turns }()
	table := generatorPowers()
	z := c.one
	var factor element
	for i := range e {
		b, position := e[len(e)-1-i], 2*i
		table[position].pick(&factor, b&(windowSize-1))
		c.mul(&z, &z, &factor)
		table[position+1].pick(&factor, b>>window)
		c.mul(&z, &z, &factor)
	}
	return z
}
