// Package credential holds the rules about passwords: what the policy demands, what is stored of a password,
// and whether one was used before.
//
// It is pure: salts are drawn by package chance and passed in; storing and sealing is the store's business.
package credential

import (
	"time"
)

// Password is what is stored of a user's password, never the password.
type Password struct {
	PoolID string
	Sub    string
	Kept
	Set       time.Time
	Temporary bool
	Former    []Kept // newest first; stored only while the pool has a history
}

// Kept is what is kept of one password under a salt: an SRP verifier, or the hash that Hash names.
type Kept struct {
	Salt, Verifier []byte
	Hash           string `json:",omitempty"` // "": an SRP verifier; else what package argon2id reads its parameters from
}
