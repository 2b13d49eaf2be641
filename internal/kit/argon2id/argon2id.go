// Package argon2id computes password hashes of the form Argon2id, a bounded number of them at a time: each takes megabytes of
// memory and tens of milliseconds, so that a crowd of sign-ins would otherwise take both from everybody.
//
// Which passwords are kept in this form is the business of service/ops.
package argon2id

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// Params are what a hash costs.
type Params struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// Default is the least that OWASP's password storage cheat sheet names: 19 MiB, two passes, one thread.
var Default = Params{19 << 10, 2, 1}

// KeySize is the length of a hash, in bytes.
const KeySize = 32

// The most that is read: a record that was tampered with must not take all memory.
const (
	mostMemory  = 1 << 20
	mostPasses  = 16
	mostThreads = 16
)

// String is the form in which parameters are kept beside a hash.
func (p Params) String() string {
	return fmt.Sprintf("argon2id m=%d,t=%d,p=%d", p.Memory, p.Passes, p.Threads)
}

// errParams says that a text is not what String writes, or asks for too much.
var errParams = errors.New("argon2id: not parameters of a hash")

// Parse reads what String wrote.
func Parse(text string) (Params, error) {
	var p Params
	if _, err := fmt.Sscanf(text, "argon2id m=%d,t=%d,p=%d", &p.Memory, &p.Passes, &p.Threads); err != nil || p.String() != text {
		return Params{}, errParams
	}
	if p.Memory == 0 || p.Memory > mostMemory || p.Passes == 0 || p.Passes > mostPasses || p.Threads == 0 || p.Threads > mostThreads {
		return Params{}, errParams
	}
	return p, nil
}

// Gate lets a number of hashes be computed at a time.
type Gate struct{ slots chan struct{} }

// NewGate makes a gate for n hashes at a time.
func NewGate(n int) *Gate { return &Gate{make(chan struct{}, n)} }

// Key computes a hash. Whoever comes while all slots are taken waits, until the context ends.
func (g *Gate) Key(ctx context.Context, p Params, password, salt []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-g.slots }()
	return argon2.IDKey(password, salt, p.Passes, p.Memory, p.Threads, KeySize), nil
}
