package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// signer signs for one key, day and region. The pool keeps keyed hashes, which are dear to set up.
type signer struct {
	secret secret.Text
	macs   sync.Pool
}

// newSigner derives the signing key.
func newSigner(s secret.Text, day, region, service string) *signer {
	key := []byte("AWS4" + s.Reveal())
	for _, part := range []string{day, region, service, terminator} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	sg := &signer{secret: s}
	sg.macs.New = func() any { return hmac.New(sha256.New, key) }
	return sg
}

// sum stores the signature of text in out.
func (sg *signer) sum(out *[sha256.Size]byte, text []byte) {
	mac, ok := sg.macs.Get().(hash.Hash)
	if !ok {
		panic("authn: the pool of keyed hashes holds something else")
	}
	mac.Reset()
	mac.Write(text)
	mac.Sum(out[:0])
	sg.macs.Put(mac)
}

// maxSigners bounds the cache. Keys are few, and a day's entries are useless on the next.
const maxSigners = 1024

// signers remembers signing keys. Readers take no lock; only signatures that were right add an entry, so that nobody without a key can fill it.
type signers struct {
	writing sync.Mutex
	known   atomic.Pointer[map[slot]*signer]
}

type slot struct{ keyID, day, region string }

// find returns the signer of the key, unless it was derived from another secret.
func (g *signers) find(s secret.Text, keyID, day, region string) (*signer, bool) {
	known := g.known.Load()
	if known == nil {
		return nil, false
	}
	sg, ok := (*known)[slot{keyID, day, region}]
	if !ok || !sg.secret.Equal(s) {
		return nil, false
	}
	return sg, true
}

// keep adds a signer. A full cache starts anew.
func (g *signers) keep(sg *signer, keyID, day, region string) {
	g.writing.Lock()
	defer g.writing.Unlock()
	next := make(map[slot]*signer)
	if known := g.known.Load(); known != nil && len(*known) < maxSigners {
		maps.Copy(next, *known)
	}
	next[slot{strings.Clone(keyID), strings.Clone(day), strings.Clone(region)}] = sg // the strings are slices of a header
	g.known.Store(&next)
}
