package ops

import (
	"context"
	"errors"
	"slices"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// Attributes are the operations that change the attributes of a user.
type Attributes struct {
	Store    store.Store
	Messages *messages.Messages
	Chance   *chance.Source
}

// Register puts the family into the registry.
func (a *Attributes) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.AdminUpdateUserAttributes, a.AdminUpdate)
	dispatch.Handle(r, api.AdminDeleteUserAttributes, a.AdminDelete)
	dispatch.Handle(r, api.UpdateUserAttributes, a.Update)
	dispatch.Handle(r, api.DeleteUserAttributes, a.Delete)
	dispatch.Handle(r, api.GetUserAttributeVerificationCode, a.AskCode)
	dispatch.Handle(r, api.VerifyUserAttribute, a.Verify)
}

// AdminUpdate sets attributes of one user on behalf of an administrator. Either the whole request is carried out or
// nothing is; a code that has to go out is decided in the same transaction, and its message cannot be lost. When
// the message then fails, the change stands.
//
// Evidence: the reference page "AdminUpdateUserAttributes"; test vectors in attribute_test.go.
func (a *Attributes) AdminUpdate(ctx context.Context, c *dispatch.Call, in *api.AdminUpdateUserAttributesInput) (*api.AdminUpdateUserAttributesOutput, error) {
	done, err := a.update(ctx, c, in.Username, values(in.UserAttributes), in.ClientMetadata, func(tx store.Tx) (*user.Record, error) {
		return find(tx.Users(), c.Pool, in.Username)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminUpdateUserAttributesOutput{}, done.flush(ctx)
}

// change is a committed change, of which the user has still to be told.
type change struct {
	a     *Attributes
	c     *dispatch.Call
	after *user.Record
	codes []*notice.Message
	warn  []*notice.Message // at former addresses
}

// flush does what the request owes the messages of the change.
func (d *change) flush(ctx context.Context) error {
	d.a.Messages.Leave(d.warn...)
	return d.a.Messages.Flush(ctx, d.c, d.c.Pool, d.after, d.codes...)
}

// update sets attributes of the user that load finds and allows to be changed, and posts the codes that have to go out.
func (a *Attributes) update(ctx context.Context, c *dispatch.Call, login string, given []user.Value, metadata map[string]string,
	load func(store.Tx) (*user.Record, error),
) (*change, error) {
	draws, alerts := a.draw(c.Pool, given), a.Messages.DrawAlerts(a.Chance.UUID)
	done := &change{a: a, c: c}
	rebinds := c.Token == nil && slices.ContainsFunc(given, func(v user.Value) bool { return v.Name == pool.EmailVerified || v.Name == pool.PhoneNumberVerified })
	err := a.Store.Update(ctx, c.PlainScope(login), func(tx store.Tx) error {
		u, err := load(tx)
		if err != nil {
			return err
		}
		plan, err := user.Apply(c.Pool, u, given, c.Now)
		if err != nil {
			return err
		}
		done.after = plan.After
		if done.codes, err = a.ask(tx, c, plan, draws, metadata); err != nil {
			return err
		}
		if rebinds {
			if err := pardon(tx.Tallies(), c.Pool.ID, u.Sub); err != nil {
				return err
			}
		}
		done.warn, err = a.save(tx, c, u, plan, alerts)
		return err
	})
	return done, err
}

// pardon forgets failed attempts at the codes of a user's addresses, of which an administrator has said himself whether they
// are verified. What was spent of the hour's attempts stays spent.
func pardon(tallies store.Tallies, poolID, sub string) error {
	t, err := tallies.Get(poolID, sub, verify.VerifyAttribute)
	if err != nil || t.Failures == 0 {
		return err
	}
	if t, err = tallies.Take(poolID, sub, verify.VerifyAttribute); err != nil {
		return err
	}
	return tallies.Put(poolID, sub, verify.VerifyAttribute, t.Succeed())
}

// AdminDelete removes attributes of one user on behalf of an administrator.
//
// Evidence: the reference page "AdminDeleteUserAttributes".
func (a *Attributes) AdminDelete(ctx context.Context, c *dispatch.Call, in *api.AdminDeleteUserAttributesInput) (*api.AdminDeleteUserAttributesOutput, error) {
	err := a.remove(ctx, c, in.Username, in.UserAttributeNames, func(tx store.Tx) (*user.Record, error) {
		return find(tx.Users(), c.Pool, in.Username)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminDeleteUserAttributesOutput{}, nil
}

// remove deletes attributes of the user that load finds and allows to be changed.
func (a *Attributes) remove(ctx context.Context, c *dispatch.Call, login string, names []string, load func(store.Tx) (*user.Record, error)) error {
	alerts := a.Messages.DrawAlerts(a.Chance.UUID)
	var warn []*notice.Message
	err := a.Store.Update(ctx, c.PlainScope(login), func(tx store.Tx) error {
		u, err := load(tx)
		if err != nil {
			return err
		}
		plan, err := user.Remove(c.Pool, u, names, c.Now)
		if err != nil {
			return err
		}
		warn, err = a.save(tx, c, u, plan, alerts)
		return err
	})
	if err == nil {
		a.Messages.Leave(warn...)
	}
	return err
}

// save writes an accepted plan: former owners of moved aliases, the record with its logins, void codes, the alerts to
// former addresses, and the journal's line. The alerts it returns are posted; they go to Flush or Leave.
func (a *Attributes) save(tx store.Tx, c *dispatch.Call, before *user.Record, plan user.Plan, alerts messages.AlertIDs) ([]*notice.Message, error) {
	if plan.After == nil {
		return nil, nil
	}
	moved, err := takeOver(tx.Users(), c, before.Sub, plan.Moves)
	if err != nil {
		return nil, err
	}
	if err := free(tx.Users(), c.Pool, before.Sub, plan.Reserve, fault.AliasExists); err != nil {
		return nil, err
	}
	if err := tx.Users().Save(c.Pool, before, plan.After); err != nil {
		if taken, ok := errors.AsType[*store.Conflict](err); ok {
			if slices.Contains(plan.Moves, taken.Login) {
				return nil, store.ErrStale // somebody claimed it since takeOver looked: it moves from there next time
			}
			return nil, fault.AliasExists(user.AttributeOf(taken.Login.Space)).Because(err)
		}
		return nil, err
	}
	for _, attribute := range plan.Void {
		if err := tx.Codes().Void(c.Pool.ID, before.Sub, verify.ForAttribute(attribute)); err != nil {
			return nil, err
		}
	}
	warn, err := a.Messages.PostAlerts(tx, c, before, plan.After, "", alerts)
	if err != nil {
		return nil, err
	}
	return warn, tx.Journal().Add(c.Entry(c.Pool.ID, before.Sub, append(plan.Names, moved...)...))
}

// draws is the randomness of one update, drawn before the transaction because that may run twice: a code and an id
// for each address.
type draws map[string]draw

type draw struct {
	code secret.Text
	id   string
}

// draw draws for the addresses that the request may send a code to; mostly there are none.
func (a *Attributes) draw(p *pool.Pool, given []user.Value) draws {
	var d draws
	for _, v := range given {
		if (v.Name == pool.Email || v.Name == pool.PhoneNumber) && p.AutoVerifies(v.Name) {
			if d == nil {
				d = make(draws, 2)
			}
			d[v.Name] = draw{secret.New(a.Chance.Code6()), a.Chance.UUID()}
		}
	}
	return d
}

// ask stores the codes of a plan and the messages that carry them.
func (a *Attributes) ask(tx store.Tx, c *dispatch.Call, plan user.Plan, d draws, metadata map[string]string) ([]*notice.Message, error) {
	var sent []*notice.Message
	for _, v := range plan.Verify {
		m, err := a.code(tx, c, plan.After, v, d[v.Attribute], notice.SourceUpdateAttribute, metadata)
		if err != nil {
			return nil, err
		}
		sent = append(sent, m)
	}
	return sent, nil
}

// code stores the code that verifies an address of r, in place of an earlier one, and posts the message that carries it. The
// message is nil when the pool's template lacks its placeholder.
func (a *Attributes) code(tx store.Tx, c *dispatch.Call, r *user.Record, v user.Verification, d draw, source string, metadata map[string]string) (*notice.Message, error) {
	want := messages.Want{ID: d.id, Source: source, Attribute: v.Attribute, To: v.To, Code: d.code, Metadata: metadata, Expires: c.Now.Add(verify.AttributeLife)}
	if c.Client != nil {
		want.ClientID = c.Client.ID
	}
	m, err := a.Messages.Prepare(c, c.Pool, r, want)
	if err != nil {
		return nil, err
	}
	err = tx.Codes().Put(verify.Code{PoolID: c.Pool.ID, Sub: r.Sub, Purpose: verify.ForAttribute(v.Attribute), Target: v.To, Plain: d.code,
		Created: c.Now, Expires: want.Expires})
	if err != nil {
		return nil, err
	}
	return m, a.Messages.Post(tx, m)
}
