package ops

import (
	"context"
	"errors"

	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/argon2id"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/srp"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Hashing knows in which form passwords are kept: as SRP verifiers, from which every flow can be served, or, by the operator's
// choice, as Argon2id hashes in pools whose clients take passwords and no proofs by SRP. Hashes are far more work to guess for
// whoever has the database and its key.
//
// A nil Hashing keeps SRP verifiers.
type Hashing struct {
	Store store.Store
	Gate  *argon2id.Gate
	// Argon is the choice. Hashes that there are work without it too, until their users sign in or get another password.
	Argon bool
}

// errNoGate says that there is a hash which nothing here can compute.
var errNoGate = errors.New("the password is kept as a hash, and this server computes none")

// form is that of new passwords of a pool: "" for SRP, else the parameters of Argon2id. A pool without clients may get some
// of any kind.
func (h *Hashing) form(ctx context.Context, p *pool.Pool) (string, error) {
	if h == nil || !h.Argon {
		return "", nil
	}
	const page = 100
	plain, proofs := false, false
	err := h.Store.View(ctx, func(v store.View) error {
		plain, proofs = false, false
		for after := ""; ; {
			clients, err := v.Clients().List(p.ID, after, page)
			if err != nil {
				return err
			}
			for _, c := range clients {
				after = c.ID
				plain, proofs = plain || challenge.TakesPasswords(c), proofs || challenge.TakesProofs(c)
			}
			if proofs || len(clients) < page {
				return nil
			}
		}
	})
	if err != nil || proofs || !plain {
		return "", err
	}
	return argon2id.Default.String(), nil
}

// verifier computes what is kept of a user's password, in the form and under the salt of what is kept of another one. It
// belongs outside of transactions.
func (h *Hashing) verifier(ctx context.Context, p *pool.Pool, username string, text secret.Text) credential.Verifier {
	return func(like credential.Kept) ([]byte, error) {
		if like.Hash == "" {
			return srp.Verifier(p.Group(), username, text.Reveal(), like.Salt), nil
		}
		params, err := argon2id.Parse(like.Hash)
		if err != nil {
			return nil, err
		}
		if h == nil || h.Gate == nil {
			return nil, errNoGate
		}
		return h.Gate.Key(ctx, params, []byte(text.Reveal()), like.Salt)
	}
}

// keep makes what is kept of a new password under a salt.
func (h *Hashing) keep(ctx context.Context, p *pool.Pool, username string, text secret.Text, salt []byte) (credential.Kept, error) {
	form, err := h.form(ctx, p)
	if err != nil {
		return credential.Kept{}, err
	}
	kept := credential.Kept{Salt: salt, Hash: form}
	kept.Verifier, err = h.verifier(ctx, p, username, text)(kept)
	return kept, err
}

// matches compares a password that strangers send. Where some are hashed, each comparison does the work of both forms, so that
// nobody learns from the time it takes who exists, or when the user signed in last.
func (h *Hashing) matches(ctx context.Context, p *pool.Pool, username string, text secret.Text, kept credential.Kept) (bool, error) {
	compute := h.verifier(ctx, p, username, text)
	got, err := compute(kept)
	if err != nil {
		return false, err
	}
	if h != nil && h.Argon {
		other := credential.Kept{Salt: kept.Salt}
		if kept.Hash == "" {
			other.Hash = argon2id.Default.String()
		}
		if _, err := compute(other); err != nil {
			return false, err
		}
	}
	return equal(got, kept.Verifier), nil
}

// reform is a password, which the user has just proven, in the form that the pool has by now; nil when it has it. The salt
// stays: whoever compares the former form meanwhile finds the same password.
func (h *Hashing) reform(ctx context.Context, p *pool.Pool, username string, text secret.Text, present *credential.Password) (*credential.Password, error) {
	form, err := h.form(ctx, p)
	if err != nil || form == present.Hash {
		return nil, err
	}
	if h == nil || h.Gate == nil {
		return nil, errNoGate
	}
	next := *present
	next.Hash = form
	next.Verifier, err = h.verifier(ctx, p, username, text)(next.Kept)
	return &next, err
}
