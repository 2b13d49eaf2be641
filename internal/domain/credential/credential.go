// Package credential holds the rules about passwords: what the policy demands, what is stored of a password,
// and whether one was used before.
//
// It is pure: salts are drawn by package chance and passed in; storing and sealing is the store's business.
package credential

import (
	"time"
)

// Password is what is stored of a user's password: an SRP salt and verifier, never the password.
type Password struct {
	PoolID    string
	Sub       string
	Salt      []byte
	Verifier  []byte
	Set       time.Time
	Temporary bool
	Former    []Former // newest first; kept only while the pool has a history
}

// Former is a password of the past.
type Former struct{ Salt, Verifier []byte }
