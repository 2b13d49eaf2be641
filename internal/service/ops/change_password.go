package ops

import (
	"cmp"
	"context"

	"github.com/poolhouse/poolhouse/api"
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

// Passwords is the operation by which users change the password that they know.
type Passwords struct {
	Store    store.Store
	Messages *messages.Messages
	Chance   *chance.Source
	Hashing  *Hashing // nil: SRP verifiers
}

// Register puts the family into the registry.
func (p *Passwords) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.ChangePassword, p.Change)
}

// Change gives the user who holds the access token another password. Users without a password get their first one by
// it. Tokens stay good.
//
// The attempt is counted before the previous password is compared, which takes its time, so that parallel guesses are
// no more than the limit. A wrong one counts as a failed sign-in, too, and a lock of sign-ins is one of this
// operation (unconfirmed).
//
// Evidence: the reference page "ChangePassword".
func (p *Passwords) Change(ctx context.Context, c *dispatch.Call, in *api.ChangePasswordInput) (*api.ChangePasswordOutput, error) {
	u, current, err := p.attempt(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := p.compare(ctx, c, u, current, in.PreviousPassword); err != nil {
		return nil, err
	}
	next, err := renew(ctx, c, p.Hashing, p.Chance, u, current, in.ProposedPassword, false)
	if err != nil {
		return nil, err
	}
	alerts := p.Messages.DrawAlerts(p.Chance.UUID)
	var warn []*notice.Message
	err = p.Store.Update(ctx, c.Scope(c.Token.Username), func(tx store.Tx) error {
		now, err := holder(tx.Users(), tx.Families(), c)
		if err != nil {
			return err
		}
		_, warn, err = exchange(tx, c, p.Messages, now, current, next, alerts)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Messages.Leave(warn...)
	return &api.ChangePasswordOutput{}, nil
}

// attempt spends one of the user's attempts, and reads the password that will be replaced.
func (p *Passwords) attempt(ctx context.Context, c *dispatch.Call) (u *user.Record, current *credential.Password, err error) {
	var refusal error
	err = p.Store.Update(ctx, c.Scope(c.Token.Username), func(tx store.Tx) (err error) {
		if u, err = holder(tx.Users(), tx.Families(), c); err != nil {
			return err
		}
		if _, refusal, err = spend(tx, c, u.Sub, verify.ChangePassword); refusal != nil || err != nil {
			return err
		}
		t, err := tx.Tallies().Get(c.Pool.ID, u.Sub, verify.SignIn)
		if err != nil {
			return err
		}
		if t.Locked(c.Now) {
			refusal = fault.PasswordAttemptsExceeded()
			return nil
		}
		current, err = password(tx.Passwords(), c.Pool.ID, u.Sub)
		return err
	})
	return u, current, cmp.Or(err, refusal)
}

// compare refuses a previous password that is not the user's, or that is missing although the user has one. Who signs in
// elsewhere, or may never again by a password, has none to change.
func (p *Passwords) compare(ctx context.Context, c *dispatch.Call, u *user.Record, current *credential.Password, given *secret.Text) error {
	switch {
	case u.PasswordOff, u.Status == user.ExternalProvider && current == nil, given == nil && current != nil:
		return fault.WrongPassword()
	case given == nil:
		return nil
	case current != nil:
		computed, err := p.Hashing.verifier(ctx, c.Pool, u.Username, *given)(current.Kept)
		if err != nil || equal(computed, current.Verifier) {
			return err
		}
	}
	err := p.Store.Update(ctx, c.Scope(c.Token.Username), func(tx store.Tx) error { return failedPassword(tx, c, u.Sub) })
	return cmp.Or(err, error(fault.WrongPassword()))
}
