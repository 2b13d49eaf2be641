package ops

import (
	"context"
	"slices"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// Self are the operations by which a user reads and deletes its own account and sets its oldest MFA setting, with the
// administrator's form of the latter.
type Self struct {
	Store    store.Store
	Messages *messages.Messages
	Chance   *chance.Source
}

// Register puts the family into the registry.
func (s *Self) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.GetUser, s.Get)
	dispatch.Handle(r, api.DeleteUser, s.Delete)
	dispatch.Handle(r, api.SetUserSettings, s.Set)
	dispatch.Handle(r, api.AdminSetUserSettings, s.AdminSet)
}

// Get shows the user who calls, with the attributes that the client may read.
//
// Evidence: the reference page "GetUser".
func (s *Self) Get(ctx context.Context, c *dispatch.Call, _ *api.GetUserInput) (*api.GetUserOutput, error) {
	var r *user.Record
	err := s.Store.View(ctx, func(v store.View) (err error) {
		r, err = holder(v.Users(), v.Families(), c)
		return err
	})
	if err != nil {
		return nil, err
	}
	list, preferred := mfaSettings(r)
	return &api.GetUserOutput{Username: r.Username, UserAttributes: readable(c, r), MFAOptions: mfaOptions(r),
		PreferredMfaSetting: preferred, UserMFASettingList: list}, nil
}

// readable lists the attributes that the client of a call may read, sub first.
func readable(c *dispatch.Call, r *user.Record) []api.AttributeType {
	return slices.DeleteFunc(attributes(r, nil), func(a api.AttributeType) bool { return !c.Client.Reads(&c.Pool.Settings, a.Name) })
}

// Delete removes the user who calls, with all that belongs to it. Neither the status of the user nor anything else
// holds it up.
//
// Evidence: the reference page "DeleteUser".
func (s *Self) Delete(ctx context.Context, c *dispatch.Call, _ *api.DeleteUserInput) (*struct{}, error) {
	return nil, s.Store.Update(ctx, c.Scope(c.Token.Username), func(tx store.Tx) error {
		r, err := bearer(tx.Users(), tx.Families(), c)
		if err != nil {
			return err
		}
		if err := tx.Users().Delete(c.Pool, r); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub))
	})
}

// Set turns SMS as second factor of the user who calls on or off, in the way that came before the preferences.
//
// Evidence: the reference page "SetUserSettings".
func (s *Self) Set(ctx context.Context, c *dispatch.Call, in *api.SetUserSettingsInput) (*api.SetUserSettingsOutput, error) {
	err := telling(ctx, s.Store, s.Messages, s.Chance, c, c.Token.Username, func(tx store.Tx, tell alerter) error {
		r, err := holder(tx.Users(), tx.Families(), c)
		if err != nil {
			return err
		}
		return setOption(tx, c, r, in.MFAOptions, tell)
	})
	if err != nil {
		return nil, err
	}
	return &api.SetUserSettingsOutput{}, nil
}

// AdminSet is Set on behalf of an administrator.
//
// Evidence: the reference page "AdminSetUserSettings".
func (s *Self) AdminSet(ctx context.Context, c *dispatch.Call, in *api.AdminSetUserSettingsInput) (*api.AdminSetUserSettingsOutput, error) {
	err := telling(ctx, s.Store, s.Messages, s.Chance, c, in.Username, func(tx store.Tx, tell alerter) error {
		r, err := find(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		return setOption(tx, c, r, in.MFAOptions, tell)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminSetUserSettingsOutput{}, nil
}

// setOption stores whether SMS is the second factor. What the preferences say stays as it is.
func setOption(tx store.Tx, c *dispatch.Call, r *user.Record, options []api.MFAOptionType, tell alerter) error {
	on, err := smsOption(options)
	if err != nil {
		return err
	}
	after := r.Clone()
	after.SMSOption, after.Modified = on, c.Now
	if err := tx.Users().Save(c.Pool, r, after); err != nil {
		return err
	}
	if err := tell(r, after, ""); err != nil {
		return err
	}
	return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub, "MFAOptions"))
}

// smsMedium is the delivery medium of the one option that there is.
const smsMedium = "SMS"

// smsOption reads MFAOptions: nothing, or SMS to phone_number (documented), once or several times.
func smsOption(list []api.MFAOptionType) (on bool, err error) {
	for _, o := range list {
		if o.DeliveryMedium == nil || *o.DeliveryMedium != smsMedium || o.AttributeName == nil || *o.AttributeName != pool.PhoneNumber {
			return false, fault.BadMFAOption()
		}
	}
	return len(list) > 0, nil
}

// mfaOptions shows what smsOption read, nothing when it is off.
func mfaOptions(r *user.Record) []api.MFAOptionType {
	if !r.SMSOption {
		return nil
	}
	medium, attribute := smsMedium, pool.PhoneNumber
	return []api.MFAOptionType{{DeliveryMedium: &medium, AttributeName: &attribute}}
}
