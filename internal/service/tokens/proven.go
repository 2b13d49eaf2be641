package tokens

import (
	"sync"

	"github.com/poolhouse/poolhouse/internal/domain/token"
)

// mostProven bounds each half of what is remembered; with its digest and its claims a token takes some 500 bytes.
const mostProven = 10_000

// proven remembers access tokens whose signature was right, by their digest, so that the same token costs one check of a
// signature and not one for each call. What else decides about a token, its age and whether it was revoked, is looked at
// every time. Of what was remembered the older half is dropped when the younger is full.
type proven struct {
	mu             sync.RWMutex
	younger, older map[[32]byte]proof
}

type proof struct {
	by     *verifier
	access *token.Access // nobody changes it
}

// find returns the claims of a token that the key has proven, nil when it is not remembered.
func (p *proven) find(digest [32]byte, by *verifier) *token.Access {
	p.mu.RLock()
	known, ok := p.younger[digest]
	if !ok {
		known = p.older[digest]
	}
	p.mu.RUnlock()
	if known.by != by || known.access == nil {
		return nil
	}
	if !ok {
		p.add(digest, by, known.access)
	}
	a := *known.access
	return &a
}

func (p *proven) add(digest [32]byte, by *verifier, a *token.Access) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.younger == nil || len(p.younger) >= mostProven {
		p.younger, p.older = make(map[[32]byte]proof), p.younger
	}
	kept := *a
	p.younger[digest] = proof{by, &kept}
}
