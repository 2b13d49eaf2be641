// Package keyringtest is the contract of keyring.Ring as a test.
package keyringtest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/poolhouse/poolhouse/internal/port/keyring"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// World is a ring and the receiver's side of its service.
type World struct {
	Ring  keyring.Ring
	KeyID string // of a master key
	Other string // of another one
	// Unknown names a key that the service refuses; "" where every name is a key.
	Unknown string
	// Decrypt is what a receiver does: it returns the data key and the ARN of the master key.
	Decrypt func(ctx context.Context, wrapped []byte, bound map[string]string) (plain []byte, keyARN string, err error)
}

// Run checks a ring against the contract.
func Run(t *testing.T, open func(t *testing.T) *World) {
	t.Helper()
	bound := map[string]string{"userpool-id": "us-east-1_AbCdEf123", "": "größe", "b": ""}
	make := func(t *testing.T, w *World, id string, bound map[string]string) keyring.DataKey {
		t.Helper()
		k, err := w.Ring.Generate(t.Context(), id, bound)
		if err != nil {
			t.Fatal(err)
		}
		if len(k.Plain) != keyring.KeySize || len(k.Wrapped) == 0 || bytes.Contains(k.Wrapped, k.Plain) {
			t.Fatalf("a key of %d bytes, wrapped in %d", len(k.Plain), len(k.Wrapped))
		}
		return k
	}
	t.Run("the receiver gets the key", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		for _, context := range []map[string]string{bound, {}, nil} {
			k := make(t, w, w.KeyID, context)
			plain, arn, err := w.Decrypt(t.Context(), k.Wrapped, context)
			if err != nil || !bytes.Equal(plain, k.Plain) || arn != k.KeyARN || arn != w.KeyID {
				t.Errorf("context %v: got a key of %d bytes under %q, error %v; want that of %q", context, len(plain), arn, err, k.KeyARN)
			}
		}
	})
	t.Run("every key is new", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		one, two, other := make(t, w, w.KeyID, bound), make(t, w, w.KeyID, bound), make(t, w, w.Other, bound)
		if bytes.Equal(one.Plain, two.Plain) || bytes.Equal(one.Plain, other.Plain) || bytes.Equal(one.Wrapped, two.Wrapped) || other.KeyARN != w.Other {
			t.Errorf("two keys are alike, or %q is not %q", other.KeyARN, w.Other)
		}
	})
	t.Run("another context does not open it", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		k := make(t, w, w.KeyID, bound)
		for _, context := range []map[string]string{nil, {}, {"userpool-id": "us-east-1_AbCdEf123"}, {"userpool-id": "us-east-1_AbCdEf123", "": "größ", "b": "e"},
			{"userpool-id": "us-east-1_AbCdEf123", "": "größe", "b": "", "c": ""}} {
			if plain, _, err := w.Decrypt(t.Context(), k.Wrapped, context); err == nil || len(plain) > 0 {
				t.Errorf("context %v opens it", context)
			}
		}
	})
	t.Run("a changed key does not open", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		k := make(t, w, w.KeyID, bound)
		for i := range k.Wrapped {
			changed := bytes.Clone(k.Wrapped)
			changed[i] ^= 1
			if _, _, err := w.Decrypt(t.Context(), changed, bound); err == nil {
				t.Fatalf("byte %d changed, and it opens", i)
			}
		}
		if _, _, err := w.Decrypt(t.Context(), nil, bound); err == nil {
			t.Error("nothing opens")
		}
	})
	t.Run("an unknown key is refused", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		if w.Unknown == "" {
			return
		}
		if _, err := w.Ring.Generate(t.Context(), w.Unknown, bound); !errors.Is(err, keyring.ErrRefused) {
			t.Errorf("got error %v, want %v", err, keyring.ErrRefused)
		}
	})
	t.Run("a caller who has gone", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Ring.Generate(ctx, w.KeyID, bound); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want %v", err, context.Canceled)
		}
	})
	t.Run("refuses inside a transaction", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		ctx := store.WithGuard(t.Context())
		defer store.Enter(ctx)()
		if _, err := w.Ring.Generate(ctx, w.KeyID, bound); !errors.Is(err, store.ErrInTransaction) {
			t.Errorf("got error %v, want %v", err, store.ErrInTransaction)
		}
	})
}
