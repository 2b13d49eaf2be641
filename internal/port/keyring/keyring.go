// Package keyring is the port to a key service: master keys that never leave it, and data keys that it makes and encrypts under
// them. Its contract is the test kit next door, keyringtest.
//
// Custom senders get their codes under such data keys, and decrypt them at the same service. What the database is sealed with is
// another matter: kit/seal.
package keyring

import (
	"context"
	"errors"
)

// KeySize is the number of bytes of a data key.
const KeySize = 32

// ErrRefused says that the service knows no such key, or does not let us use it. Trying again helps only after somebody has
// changed that.
var ErrRefused = errors.New("the key service refused")

// DataKey is a new data key.
type DataKey struct {
	Plain   []byte // KeySize secret bytes
	Wrapped []byte // the same, encrypted under the master key and bound to the context
	KeyARN  string // of the master key, as the service names it
}

// Ring makes data keys. It is safe for concurrent use, obeys the context, and refuses a context that is inside a transaction
// (store.Outside).
type Ring interface {
	// Generate makes a data key under the master key that keyID names, an ARN. Whoever decrypts it has to give the same encryption
	// context, which is no secret. Its error wraps ErrRefused, or may pass.
	Generate(ctx context.Context, keyID string, bound map[string]string) (DataKey, error)
}
