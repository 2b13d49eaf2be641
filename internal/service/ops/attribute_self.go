package ops

import (
	"cmp"
	"context"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// This file holds what users do to their own attributes, with an access token. The rules are those of the administrator's
// operations, with two differences: the token's client must be allowed to write what is named, and the flags of verified
// addresses are for no client. So an address is verified by a code alone, and no alias is ever taken from its holder.

// Update sets attributes of the user who holds the access token. The answer tells where codes went.
//
// Evidence: the reference page "UpdateUserAttributes".
func (a *Attributes) Update(ctx context.Context, c *dispatch.Call, in *api.UpdateUserAttributesInput) (*api.UpdateUserAttributesOutput, error) {
	given := values(in.UserAttributes)
	done, err := a.update(ctx, c, c.Token.Username, given, in.ClientMetadata, func(tx store.Tx) (*user.Record, error) {
		u, err := holder(tx.Users(), tx.Families(), c)
		if err != nil {
			return nil, err
		}
		names := make([]string, len(given))
		for i, v := range given {
			names[i] = v.Name
		}
		return u, checkWrites(c, names...)
	})
	if err != nil {
		return nil, err
	}
	out := &api.UpdateUserAttributesOutput{CodeDeliveryDetailsList: []api.CodeDeliveryDetailsType{}}
	for _, m := range done.codes {
		if d := codeDelivery(m); d != nil {
			out.CodeDeliveryDetailsList = append(out.CodeDeliveryDetailsList, *d)
		}
	}
	return out, done.flush(ctx)
}

// Delete removes attributes of the user who holds the access token.
//
// Evidence: the reference page "DeleteUserAttributes".
func (a *Attributes) Delete(ctx context.Context, c *dispatch.Call, in *api.DeleteUserAttributesInput) (*api.DeleteUserAttributesOutput, error) {
	err := a.remove(ctx, c, c.Token.Username, in.UserAttributeNames, func(tx store.Tx) (*user.Record, error) {
		u, err := holder(tx.Users(), tx.Families(), c)
		if err != nil {
			return nil, err
		}
		return u, checkWrites(c, in.UserAttributeNames...)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteUserAttributesOutput{}, nil
}

// AskCode sends the user who holds the access token a code that verifies an address: the value that waits for its
// verification, else the current one, verified already or not. An earlier code is void.
//
// Evidence: the reference page "GetUserAttributeVerificationCode".
func (a *Attributes) AskCode(ctx context.Context, c *dispatch.Call, in *api.GetUserAttributeVerificationCodeInput) (*api.GetUserAttributeVerificationCodeOutput, error) {
	d := draw{secret.New(a.Chance.Code6()), a.Chance.UUID()}
	var told *user.Record
	var sent *notice.Message
	var refused error
	err := a.Store.Update(ctx, c.Scope(c.Token.Username), func(tx store.Tx) (err error) {
		sent = nil
		if told, err = holder(tx.Users(), tx.Families(), c); err != nil {
			return err
		}
		to, err := toVerify(told, in.AttributeName)
		if err != nil {
			return err
		}
		if _, refused, err = spend(tx, c, told.Sub, verify.AskAttribute); refused != nil || err != nil {
			return err
		}
		sent, err = a.code(tx, c, told, user.Verification{Attribute: in.AttributeName, To: to}, d, notice.SourceVerifyAttribute, in.ClientMetadata)
		if err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, told.Sub, in.AttributeName))
	})
	if err = cmp.Or(err, refused); err != nil {
		return nil, err
	}
	return &api.GetUserAttributeVerificationCodeOutput{CodeDeliveryDetails: codeDelivery(sent)}, a.Messages.Flush(ctx, c, c.Pool, told, sent)
}

// toVerify is the value of an address that a code would verify.
func toVerify(u *user.Record, attribute string) (string, error) {
	if err := checkVerifiable(attribute); err != nil {
		return "", err
	}
	to := u.Unproven(attribute)
	switch {
	case to != "":
		return to, nil
	case attribute == pool.Email:
		return "", fault.NoEmailToVerify()
	}
	return "", fault.NoPhoneToVerify()
}

func checkVerifiable(attribute string) error {
	if attribute != pool.Email && attribute != pool.PhoneNumber {
		return fault.NotVerifiable()
	}
	return nil
}

// Verify takes the code that was sent to an address of the user who holds the access token: a value that waited becomes the
// current one, its flag becomes true, and where it is an alias it is active. An alias of somebody else is not taken over; the
// right code remains then, since it was right.
//
// The attempt and what came of it are counted whatever the answer is.
//
// Evidence: the reference page "VerifyUserAttribute"; docs/fidelity.md on taken aliases.
func (a *Attributes) Verify(ctx context.Context, c *dispatch.Call, in *api.VerifyUserAttributeInput) (*api.VerifyUserAttributeOutput, error) {
	alerts := a.Messages.DrawAlerts(a.Chance.UUID)
	var warn []*notice.Message
	var refused error
	err := a.Store.Update(ctx, c.Scope(c.Token.Username), func(tx store.Tx) error {
		warn = nil
		u, err := holder(tx.Users(), tx.Families(), c)
		if err != nil {
			return err
		}
		if err := checkVerifiable(in.AttributeName); err != nil {
			return err
		}
		warn, refused, err = a.verify(tx, c, u, in, alerts)
		return err
	})
	if err = cmp.Or(err, refused); err != nil {
		return nil, err
	}
	a.Messages.Leave(warn...)
	return &api.VerifyUserAttributeOutput{}, nil
}

// verify evaluates an attempt to verify an address and carries it out. refused is what its caller reads after the commit.
func (a *Attributes) verify(tx store.Tx, c *dispatch.Call, u *user.Record, in *api.VerifyUserAttributeInput, alerts messages.AlertIDs) (warn []*notice.Message, refused, err error) {
	try, refused, err := spend(tx, c, u.Sub, verify.VerifyAttribute)
	if refused != nil || err != nil {
		return nil, refused, err
	}
	code, refused, err := checkCode(tx.Codes(), c, u.Sub, verify.ForAttribute(in.AttributeName), in.Code, false)
	switch {
	case err != nil:
		return nil, nil, err
	case fault.CodeOf(refused) == fault.CodeMismatchException:
		return nil, refused, try.fail()
	case refused != nil:
		return nil, refused, nil // there was nothing to guess
	}
	if err := try.succeed(); err != nil {
		return nil, nil, err
	}
	plan, ok := user.Verify(c.Pool, u, in.AttributeName, code.Target, c.Now)
	if !ok {
		return nil, fault.CodeExpired(), nil // it was sent to an address that the user no longer has
	}
	taken := fault.AliasExists
	if c.Pool.Alias(in.AttributeName) {
		taken = fault.AliasHeld
	}
	err = free(tx.Users(), c.Pool, u.Sub, plan.Reserve, taken)
	if fault.CodeOf(err) == fault.AliasExistsException {
		return nil, err, nil
	}
	if err != nil {
		return nil, nil, err
	}
	plan.Reserve = nil // they are free
	warn, err = a.save(tx, c, u, plan, alerts)
	if fault.CodeOf(err) == fault.AliasExistsException {
		err = store.ErrStale // somebody took one since: the next run counts the attempt and refuses it
	}
	return warn, nil, err
}
