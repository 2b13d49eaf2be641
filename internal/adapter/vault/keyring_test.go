package vault_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/poolhouse/poolhouse/internal/adapter/vault"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/keyring/keyringtest"
)

const masterKey = "arn:aws:kms:us-east-1:000000000000:key/11112222-3333-4444-5555-666677778888"

func kek(t *testing.T, fill byte) seal.KEK {
	t.Helper()
	k, err := seal.NewKEK(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyringContract(t *testing.T) {
	t.Parallel()
	keyringtest.Run(t, func(t *testing.T) *keyringtest.World {
		k := &vault.Keyring{Ring: seal.NewRing(kek(t, 1)), Random: chance.System()}
		return &keyringtest.World{Ring: k, KeyID: masterKey, Other: masterKey + "9", Unknown: "alias/mine",
			Decrypt: func(_ context.Context, wrapped []byte, bound map[string]string) ([]byte, string, error) {
				return k.Decrypt(wrapped, bound)
			}}
	})
}

// TestKeyringAfterARotation holds that messages under way can still be read when the server has a new key, and by nobody who has
// another one.
func TestKeyringAfterARotation(t *testing.T) {
	t.Parallel()
	bound := map[string]string{"userpool-id": "p"}
	before := &vault.Keyring{Ring: seal.NewRing(kek(t, 1)), Random: chance.System()}
	made, err := before.Generate(t.Context(), masterKey, bound)
	if err != nil {
		t.Fatal(err)
	}
	after := &vault.Keyring{Ring: seal.NewRing(kek(t, 2), kek(t, 1)), Random: chance.System()}
	if plain, arn, err := after.Decrypt(made.Wrapped, bound); err != nil || !bytes.Equal(plain, made.Plain) || arn != masterKey {
		t.Errorf("under %q: %v", arn, err)
	}
	stranger := &vault.Keyring{Ring: seal.NewRing(kek(t, 2)), Random: chance.System()}
	if _, _, err := stranger.Decrypt(made.Wrapped, bound); !errors.Is(err, vault.ErrCiphertext) {
		t.Errorf("a stranger's server: %v", err)
	}
}

// TestKeyringOpensNothingElse gives it what the same ring has wrapped for the database.
func TestKeyringOpensNothingElse(t *testing.T) {
	t.Parallel()
	ring := seal.NewRing(kek(t, 1))
	_, poolKey := ring.NewKey(chance.System(), "pools|us-east-1_AbCdEf123|data_key")
	k := &vault.Keyring{Ring: ring, Random: chance.System()}
	for _, wrapped := range [][]byte{poolKey, append([]byte{1, 0, 0}, poolKey...), {1, 0xff, 0xff, 'a'}} {
		if _, _, err := k.Decrypt(wrapped, nil); !errors.Is(err, vault.ErrCiphertext) {
			t.Errorf("%x: %v", wrapped, err)
		}
	}
}
