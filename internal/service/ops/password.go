package ops

import (
	"context"
	"errors"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// This file holds what operations have in common that give a user a password or ask for one.

// password reads what is stored of a password, nil when the user has none.
func password(passwords store.PasswordReader, poolID, sub string) (*credential.Password, error) {
	p, err := passwords.Get(poolID, sub)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return p, err
}

func equal(a, b []byte) bool { return secret.New(string(a)).Equal(secret.New(string(b))) }

// renew makes what is stored of a user's next password, which has to meet the pool's policy and to be none of the last
// ones. It belongs outside of transactions: each verifier is a modular exponentiation, and there is one for each
// password of the history.
func renew(ctx context.Context, c *dispatch.Call, h *Hashing, source *chance.Source, r *user.Record, current *credential.Password, next secret.Text, temporary bool) (credential.Password, error) {
	if reason := credential.Lacking(c.Pool.Password, next.Reveal()); reason != "" {
		return credential.Password{}, fault.PasswordDoesNotConform(reason)
	}
	used, err := current.Used(c.Pool.Password.History, h.verifier(ctx, c.Pool, r.Username, next), equal)
	if err != nil {
		return credential.Password{}, err
	}
	if used {
		return credential.Password{}, fault.PasswordReused()
	}
	return protect(ctx, c, h, source, r, next, temporary)
}

// protect makes what is stored of a user's password.
func protect(ctx context.Context, c *dispatch.Call, h *Hashing, source *chance.Source, r *user.Record, text secret.Text, temporary bool) (credential.Password, error) {
	kept, err := h.keep(ctx, c.Pool, r.Username, text, source.Salt())
	return credential.Password{PoolID: c.Pool.ID, Sub: r.Sub, Kept: kept, Set: c.Now, Temporary: temporary}, err
}

// replace stores a user's next password in place of the one that renew has looked at, with what it does to the user:
// the state changes, a code for a new password is void, earlier failures are forgotten. store.ErrStale says that the
// password is another by now.
//
// changed is the user with what else changes at the same time: r itself when there is nothing else.
func replace(tx store.Tx, c *dispatch.Call, r, changed *user.Record, current *credential.Password, next credential.Password) (after *user.Record, err error) {
	stored, err := password(tx.Passwords(), c.Pool.ID, r.Sub)
	if err != nil {
		return nil, err
	}
	if !stored.Same(current) {
		return nil, store.ErrStale
	}
	after = changed.Clone()
	after.SetPassword(next.Temporary, c.Now)
	if err := tx.Users().Save(c.Pool, r, after); err != nil {
		return nil, err
	}
	if err := tx.Passwords().Put(stored.Follow(next, c.Pool.Password.History)); err != nil {
		return nil, err
	}
	if err := tx.Codes().Void(c.Pool.ID, r.Sub, verify.ForgotPassword); err != nil {
		return nil, err
	}
	return after, rebind(tx, c.Pool.ID, r.Sub)
}

// exchange is replace when nothing changes but the password, with the alerts to the user, which are to leave after the
// commit, and the line of the journal.
func exchange(tx store.Tx, c *dispatch.Call, m *messages.Messages, u *user.Record, current *credential.Password, next credential.Password,
	ids messages.AlertIDs) (after *user.Record, alerts []*notice.Message, err error) {
	if after, err = replace(tx, c, u, u, current, next); err != nil {
		return nil, nil, err
	}
	if alerts, err = m.PostAlerts(tx, c, u, after, notice.SourcePasswordChanged, ids); err != nil {
		return nil, nil, err
	}
	return after, alerts, tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, "password"))
}

// rebind forgets failed attempts at a user's password, at codes for a new one, and at codes that take its place: it was set by
// somebody who may.
// What was spent of an hour's attempts stays spent.
func rebind(tx store.Tx, poolID, sub string) error {
	for _, b := range [...]verify.Budget{verify.SignIn, verify.FirstFactor, verify.ConfirmRecovery} {
		t, err := tx.Tallies().Get(poolID, sub, b)
		if err != nil {
			return err
		}
		if t == t.Succeed() && (b == verify.ConfirmRecovery || t.Spent == 0) {
			continue // mostly there is nothing to forget, and so nothing to lock
		}
		if t, err = tx.Tallies().Take(poolID, sub, b); err != nil {
			return err
		}
		t = t.Succeed()
		if b != verify.ConfirmRecovery {
			t = verify.Tally{}
		}
		if err := tx.Tallies().Put(poolID, sub, b, t); err != nil {
			return err
		}
	}
	return nil
}

// failedPassword counts that a user's password was given wrong. Every operation that asks for a password counts here, so
// that none of them is a way around the others' bound.
func failedPassword(tx store.Tx, c *dispatch.Call, sub string) error {
	t, err := tx.Tallies().Take(c.Pool.ID, sub, verify.SignIn)
	if err != nil {
		return err
	}
	return tx.Tallies().Put(c.Pool.ID, sub, verify.SignIn, t.Miss(c.Now))
}
