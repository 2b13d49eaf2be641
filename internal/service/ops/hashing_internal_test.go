package ops

import (
	"context"
	"errors"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/argon2id"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/srp"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestEveryComparisonHashes: where some passwords are hashed, each comparison waits for a hash, whatever is kept of whom; a gate
// that lets nobody through shows it. Where none are, none does.
func TestEveryComparisonHashes(t *testing.T) {
	t.Parallel()
	p := &pool.Pool{ID: "us-east-1_Abc"}
	decoys, err := NewDecoys([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(t, err)
	var nobody credential.Kept
	nobody.Salt, nobody.Verifier = decoys.credential(p, "nobody")
	salt := []byte("0123456789abcdef")
	proof := credential.Kept{Salt: salt, Verifier: srp.Verifier(p.Group(), "jane", "right", salt)}
	hashed := credential.Kept{Salt: salt, Hash: "argon2id m=8,t=1,p=1"}
	open := &Hashing{Gate: argon2id.NewGate(1)}
	hashed.Verifier, err = open.verifier(t.Context(), p, "jane", secret.New("right"))(hashed)
	want.NoError(t, err)

	shut := argon2id.NewGate(0)
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		kept  credential.Kept
		right bool
	}{"nobody": {nobody, false}, "a proof": {proof, true}, "a hash": {hashed, true}} {
		for _, argon := range []bool{false, true} {
			h := &Hashing{Gate: shut, Argon: argon}
			_, err := h.matches(ended, p, "jane", secret.New("right"), c.kept)
			waits := argon || c.kept.Hash != ""
			want.True(t, errors.Is(err, context.Canceled) == waits, "%s, argon %t: %v", name, argon, err)
			h.Gate = open.Gate
			for _, text := range []string{"right", "wrong"} {
				right, err := h.matches(t.Context(), p, "jane", secret.New(text), c.kept)
				want.NoError(t, err)
				want.Equal(t, right, c.right && text == "right")
			}
		}
	}
	var none *Hashing
	right, err := none.matches(t.Context(), p, "jane", secret.New("right"), proof)
	want.NoError(t, err)
	want.True(t, right, "without a choice there are proofs")
	_, err = none.matches(t.Context(), p, "jane", secret.New("right"), hashed)
	want.Error(t, err, errNoGate)
	_, err = open.matches(t.Context(), p, "jane", secret.New("right"), credential.Kept{Salt: salt, Hash: "bcrypt"})
	want.True(t, err != nil, "a form that nobody knows is an error")
}
