package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/keyring"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Keyring is a key service without a service: its master keys are derived in effect from the server's key-encryption key, one for
// each ARN, so that every ARN is a key. It is a keyring.Ring, and has the receiver's side as well.
//
// A wrapped key is 01, the length of the ARN (2 bytes), the ARN, and the key as kit/seal wraps it for a place that names the ARN and
// the encryption context.
type Keyring struct {
	Ring   *seal.Ring
	Random io.Reader
}

// ErrCiphertext says that something was not wrapped here, or for another context.
var ErrCiphertext = errors.New("the data key does not open")

const wrappedFormat = 1

// Generate implements keyring.Ring.
func (k *Keyring) Generate(ctx context.Context, keyID string, bound map[string]string) (keyring.DataKey, error) {
	if err := errors.Join(store.Outside(ctx), ctx.Err()); err != nil {
		return keyring.DataKey{}, err
	}
	if !strings.HasPrefix(keyID, "arn:") || len(keyID) > math.MaxUint16 {
		return keyring.DataKey{}, fmt.Errorf("%w: %q is no ARN", keyring.ErrRefused, keyID)
	}
	plain := make([]byte, keyring.KeySize)
	if _, err := io.ReadFull(k.Random, plain); err != nil {
		return keyring.DataKey{}, fmt.Errorf("draw a data key: %w", err)
	}
	wrapped := binary.BigEndian.AppendUint16([]byte{wrappedFormat}, uint16(len(keyID)))
	wrapped = append(append(wrapped, keyID...), k.Ring.Current().Wrap(plain, place(keyID, bound))...)
	return keyring.DataKey{Plain: plain, Wrapped: wrapped, KeyARN: keyID}, nil
}

// Decrypt opens a data key for the receiver of a message; ErrCiphertext when it does not open. The context must be the one that it
// was made with.
func (k *Keyring) Decrypt(wrapped []byte, bound map[string]string) (plain []byte, keyARN string, err error) {
	if len(wrapped) < 3 || wrapped[0] != wrappedFormat {
		return nil, "", ErrCiphertext
	}
	end := 3 + int(binary.BigEndian.Uint16(wrapped[1:]))
	if len(wrapped) < end {
		return nil, "", ErrCiphertext
	}
	keyARN = string(wrapped[3:end])
	if plain, err = k.Ring.Unwrap(wrapped[end:], place(keyARN, bound)); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrCiphertext, err)
	}
	return plain, keyARN, nil
}

// place names what a data key is wrapped for, so that no two contexts, and nothing else that the ring wraps, have the same name.
func place(keyARN string, bound map[string]string) string {
	b := []byte("keyring|")
	add := func(text string) { b = append(binary.AppendUvarint(b, uint64(len(text))), text...) }
	add(keyARN)
	for _, name := range slices.Sorted(maps.Keys(bound)) {
		add(name)
		add(bound[name])
	}
	return string(b)
}
