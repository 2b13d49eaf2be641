package ops

import (
	"context"
	"errors"
	"slices"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// This file holds the set-up of an authenticator app within a sign-in, where the session of the challenge MFA_SETUP takes the
// place of an access token. Each session is good for one step, and the app that proves itself must be the one that was
// handed its key in the same sign-in: whoever knows the password and began another one gains nothing by that.

// setup reads where a sign-in stands whose session was sent, and finds its pool and client.
func (m *MFA) setup(ctx context.Context, c *dispatch.Call, text secret.Text) (state challenge.State, err error) {
	poolID, clientID, _, ok := openSetup(m.SignIns.Sessions, text.Reveal(), c.Now)
	if !ok {
		return state, fault.SessionInvalid()
	}
	err = m.Store.View(ctx, func(v store.View) (err error) {
		if c.Pool, err = v.Pools().Get(poolID); err != nil {
			return err
		}
		c.Client, err = v.Clients().Get(poolID, clientID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return state, fault.SessionInvalid().Because(err)
	}
	if err != nil {
		return state, err
	}
	if state, err = m.SignIns.unseal(c, text.Reveal()); err != nil {
		return state, err
	}
	if state.At != challenge.MFASetup || !slices.Contains(state.Choices, challenge.SoftwareTokenMFA) {
		return state, fault.SessionInvalid()
	}
	return state, nil
}

// settingUp loads the user of a set-up in its own transaction, and passes the step: what it becomes has a session of its own.
func settingUp(tx store.Tx, c *dispatch.Call, state *challenge.State) (*user.Record, *credential.SoftwareToken, error) {
	u, err := tx.Users().BySub(c.Pool.ID, state.Sub)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, fault.SessionInvalid().Because(err)
	}
	if err != nil {
		return nil, nil, err
	}
	if !u.Enabled {
		return nil, nil, fault.UserDisabled()
	}
	passed, err := tx.Steps().Passed(c.Pool.ID, state.ID)
	if err != nil {
		return nil, nil, err
	}
	if passed {
		return nil, nil, fault.SessionUsed()
	}
	if err := checkApp(c, u); err != nil {
		return nil, nil, err
	}
	app, err := softwareToken(tx.SoftwareTokens(), u)
	if err != nil {
		return nil, nil, err
	}
	if hasFactor(u, app) {
		return nil, nil, fault.SessionInvalid() // the user has set a factor up since, which nobody replaces by a password alone
	}
	return u, app, stale(tx.Steps().Pass(c.Pool.ID, state.ID, state.Expires))
}

// another is the session for the same challenge, with what has come of the set-up.
func (m *MFA) another(c *dispatch.Call, state challenge.State, setup *challenge.Setup, id string) (*secret.Text, error) {
	next := step(c, state, challenge.MFASetup, id)
	next.Setup = setup
	text, err := m.SignIns.seal(c, &next)
	if err != nil {
		return nil, err
	}
	session := secret.New(text)
	return &session, nil
}

// associateHere is Associate within a sign-in.
func (m *MFA) associateHere(ctx context.Context, c *dispatch.Call, text secret.Text) (*api.AssociateSoftwareTokenOutput, error) {
	state, err := m.setup(ctx, c, text)
	if err != nil {
		return nil, err
	}
	key, id := m.Chance.Bytes(totp.KeySize), m.Chance.UUID()
	err = m.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		u, _, err := settingUp(tx, c, &state)
		if err != nil {
			return err
		}
		return associate(tx, c, u, key)
	})
	if err != nil {
		return nil, err
	}
	session, err := m.another(c, state, challenge.NewSetup(key), id)
	if err != nil {
		return nil, err
	}
	return &api.AssociateSoftwareTokenOutput{SecretCode: new(secret.New(totp.Encode(key))), Session: session}, nil
}

// verifyHere is Verify within a sign-in: the right code turns the factor on (observed), also if the challenge is never answered.
// A wrong one leaves the session as it is.
func (m *MFA) verifyHere(ctx context.Context, c *dispatch.Call, in *api.VerifySoftwareTokenInput) (*api.VerifySoftwareTokenOutput, error) {
	state, err := m.setup(ctx, c, *in.Session)
	if err != nil {
		return nil, err
	}
	id := m.Chance.UUID()
	err = m.telling(ctx, c, "", func(tx store.Tx, tell alerter) error {
		u, app, err := settingUp(tx, c, &state)
		if err != nil {
			return err
		}
		if app != nil && !state.Setup.Of(app.Pending) {
			return fault.SoftwareTokenMissing() // another sign-in was handed another key
		}
		if err := confirmApp(tx, c, u, in); err != nil {
			return err
		}
		after := u.Clone()
		after.MFA.Set(user.FactorTOTP, true)
		after.Modified = c.Now
		if err := tx.Users().Save(c.Pool, u, after); err != nil {
			return err
		}
		if err := tell(u, after, notice.SourceFactorsChanged); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, string(user.FactorTOTP)))
	})
	if err != nil {
		return nil, err
	}
	setup := *state.Setup
	setup.Done = true
	session, err := m.another(c, state, &setup, id)
	if err != nil {
		return nil, err
	}
	return &api.VerifySoftwareTokenOutput{Status: new(verified), Session: session}, nil
}
