package ops

import (
	"cmp"
	"context"
	"errors"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// MFA are the operations on the second factors of users. What a sign-in does with them is next door, in sign_in_mfa.go; how a
// sign-in sets an app up, in mfa_setup.go.
type MFA struct {
	Store    store.Store
	Messages *messages.Messages
	Chance   *chance.Source
	SignIns  *SignIns // whose sessions take the place of access tokens
}

// Register puts the family into the registry.
func (m *MFA) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.AssociateSoftwareToken, m.Associate)
	dispatch.Handle(r, api.VerifySoftwareToken, m.Verify)
	dispatch.Handle(r, api.AdminDeleteSoftwareToken, m.AdminDelete)
	dispatch.Handle(r, api.SetUserMFAPreference, m.Prefer)
	dispatch.Handle(r, api.AdminSetUserMFAPreference, m.AdminPrefer)
	dispatch.Handle(r, api.GetUserAuthFactors, m.Factors)
	dispatch.Handle(r, api.AdminGetUserAuthFactors, m.AdminFactors)
}

// alerter writes what a user is told of changed second factors, see messages.PostAlerts.
type alerter func(before, after *user.Record, replaced string) error

// telling runs an update of the user that login names, and leaves its alerts to the worker.
func telling(ctx context.Context, s store.Store, m *messages.Messages, draw *chance.Source, c *dispatch.Call, login string,
	fn func(tx store.Tx, tell alerter) error,
) error {
	ids := m.DrawAlerts(draw.UUID)
	var told []*notice.Message
	err := s.Update(ctx, c.Scope(login), func(tx store.Tx) error {
		told = nil
		return fn(tx, func(before, after *user.Record, replaced string) (err error) {
			told, err = m.PostAlerts(tx, c, before, after, replaced, ids)
			return err
		})
	})
	if err == nil {
		m.Leave(told...)
	}
	return err
}

func (m *MFA) telling(ctx context.Context, c *dispatch.Call, login string, fn func(store.Tx, alerter) error) error {
	return telling(ctx, m.Store, m.Messages, m.Chance, c, login, fn)
}

// softwareToken is the authenticator app of a user; nil when there is none.
func softwareToken(tokens store.SoftwareTokenReader, r *user.Record) (*credential.SoftwareToken, error) {
	t, err := tokens.Get(r.PoolID, r.Sub)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return t, err
}

// Associate hands a new secret out to the authenticator app of the user who calls. It waits for its first code, and an app that
// was verified before works until then; calling again replaces what waits.
//
// Evidence: the reference page "AssociateSoftwareToken"; observed secrets.
func (m *MFA) Associate(ctx context.Context, c *dispatch.Call, in *api.AssociateSoftwareTokenInput) (*api.AssociateSoftwareTokenOutput, error) {
	if err := tokenOrSession(c, in.Session != nil); err != nil {
		return nil, err
	}
	if c.Token == nil {
		return m.associateHere(ctx, c, *in.Session)
	}
	key := m.Chance.Bytes(totp.KeySize)
	err := m.Store.Update(ctx, c.Scope(c.Token.Username), func(tx store.Tx) error {
		r, err := appHolder(tx, c)
		if err != nil {
			return err
		}
		return associate(tx, c, r, key)
	})
	if err != nil {
		return nil, err
	}
	return &api.AssociateSoftwareTokenOutput{SecretCode: new(secret.New(totp.Encode(key)))}, nil
}

// tokenOrSession wants one proof of the caller, and not two.
func tokenOrSession(c *dispatch.Call, session bool) error {
	switch {
	case c.Token == nil && !session:
		return fault.TokenOrSession()
	case c.Token != nil && session:
		return fault.TokenAndSession()
	}
	return nil
}

// appHolder loads the user who calls with an access token and may set an authenticator app up.
func appHolder(tx store.Tx, c *dispatch.Call) (*user.Record, error) {
	r, err := holder(tx.Users(), tx.Families(), c)
	if err != nil {
		return nil, err
	}
	return r, checkApp(c, r)
}

// checkApp refuses authenticator apps where the pool or the user has no use for them.
func checkApp(c *dispatch.Call, r *user.Record) error {
	switch {
	case !c.Pool.TOTPFactor():
		return fault.SoftwareTokenOff()
	case r.Status == user.ExternalProvider:
		return fault.ExternalUserMFA()
	}
	return nil
}

// associate stores a key that waits for its first code.
func associate(tx store.Tx, c *dispatch.Call, r *user.Record, key []byte) error {
	t, err := softwareToken(tx.SoftwareTokens(), r)
	if err != nil {
		return err
	}
	if t == nil {
		t = &credential.SoftwareToken{PoolID: r.PoolID, Sub: r.Sub}
	}
	t.Pending = key
	if err := tx.SoftwareTokens().Put(t); err != nil {
		return err
	}
	return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub))
}

// verified is the status of an app whose code was right; the service has another word that nobody has seen.
const verified = "SUCCESS"

// Verify takes the first code of an authenticator app, which takes the place of the one that was verified before. It does not
// turn the factor on (unconfirmed).
//
// Evidence: the reference page "VerifySoftwareToken"; observed texts.
func (m *MFA) Verify(ctx context.Context, c *dispatch.Call, in *api.VerifySoftwareTokenInput) (*api.VerifySoftwareTokenOutput, error) {
	if err := tokenOrSession(c, in.Session != nil); err != nil {
		return nil, err
	}
	if c.Token == nil {
		return m.verifyHere(ctx, c, in)
	}
	err := m.telling(ctx, c, c.Token.Username, func(tx store.Tx, tell alerter) error {
		r, err := appHolder(tx, c)
		if err != nil {
			return err
		}
		if err := confirmApp(tx, c, r, in); err != nil {
			return err
		}
		if err := tell(r, r, notice.SourceFactorsChanged); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub))
	})
	if err != nil {
		return nil, err
	}
	return &api.VerifySoftwareTokenOutput{Status: new(verified)}, nil
}

// confirmApp evaluates the first code of an app. Who asks knows the secret, so wrong codes are not counted.
func confirmApp(tx store.Tx, c *dispatch.Call, r *user.Record, in *api.VerifySoftwareTokenInput) error {
	t, err := softwareToken(tx.SoftwareTokens(), r)
	if err != nil {
		return err
	}
	if t == nil || t.Pending == nil {
		return fault.SoftwareTokenMissing()
	}
	next, verdict := t.Confirm(in.UserCode, text(in.FriendlyDeviceName), c.Now)
	switch verdict {
	case credential.Wrong:
		return fault.SoftwareTokenMismatch()
	case credential.Replayed:
		return fault.SoftwareTokenUsedAtSetup()
	}
	return tx.SoftwareTokens().Put(&next)
}

// AdminDelete removes the authenticator app of a user, pending or verified, and turns the factor off. Without an app nothing
// is removed, which is no error (unconfirmed).
//
// Evidence: the reference page "AdminDeleteSoftwareToken".
func (m *MFA) AdminDelete(ctx context.Context, c *dispatch.Call, in *api.AdminDeleteSoftwareTokenInput) (*api.AdminDeleteSoftwareTokenOutput, error) {
	err := m.telling(ctx, c, in.Username, func(tx store.Tx, tell alerter) error {
		r, err := findConfirmed(tx.Users(), c, in.Username)
		if err != nil {
			return err
		}
		app, err := softwareToken(tx.SoftwareTokens(), r)
		if err != nil {
			return err
		}
		if err := tx.SoftwareTokens().Delete(r.PoolID, r.Sub); err != nil {
			return err
		}
		if err := forgive(tx, r); err != nil {
			return err
		}
		after := r.Clone()
		after.Modified = c.Now
		after.MFA.Set(user.FactorTOTP, false)
		if err := tx.Users().Save(c.Pool, r, after); err != nil {
			return err
		}
		replaced := ""
		if app.Verified() {
			replaced = notice.SourceFactorsChanged
		}
		if err := tell(r, after, replaced); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub))
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminDeleteSoftwareTokenOutput{}, nil
}

// forgive lets a user's codes be tried again after too many were wrong: an administrator, who has taken the factors of the user in
// hand, is not who guesses.
func forgive(tx store.Tx, r *user.Record) error {
	for _, b := range [...]verify.Budget{verify.FirstFactor, verify.SecondFactor} {
		t, err := tx.Tallies().Get(r.PoolID, r.Sub, b)
		if err == nil && t != (verify.Tally{}) {
			err = tx.Tallies().Put(r.PoolID, r.Sub, b, verify.Tally{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// findConfirmed is find for operations that list the exceptions for users who are not confirmed or have to reset their
// password; that they look at the status for that is unconfirmed.
func findConfirmed(users store.UserReader, c *dispatch.Call, username string) (*user.Record, error) {
	r, err := find(users, c.Pool, username)
	switch {
	case err != nil:
		return nil, err
	case r.Status == user.Unconfirmed:
		return nil, fault.UserNotConfirmed()
	case r.Status == user.ResetRequired && c.Spec.Lists(fault.PasswordResetRequiredException):
		return nil, fault.PasswordResetRequired()
	}
	return r, nil
}

// Prefer sets which second factors the user who calls has turned on, and which one is preferred.
//
// Evidence: the reference page "SetUserMFAPreference".
func (m *MFA) Prefer(ctx context.Context, c *dispatch.Call, in *api.SetUserMFAPreferenceInput) (*api.SetUserMFAPreferenceOutput, error) {
	list := choices(in.SMSMfaSettings, in.SoftwareTokenMfaSettings, in.EmailMfaSettings, in.WebAuthnMfaSettings)
	err := m.telling(ctx, c, c.Token.Username, func(tx store.Tx, tell alerter) error {
		r, err := holder(tx.Users(), tx.Families(), c)
		if err != nil {
			return err
		}
		return prefer(tx, c, r, list, fault.SoftwareTokenUnverified, tell)
	})
	if err != nil {
		return nil, err
	}
	return &api.SetUserMFAPreferenceOutput{}, nil
}

// AdminPrefer is Prefer on behalf of an administrator.
//
// Evidence: the reference page "AdminSetUserMFAPreference".
func (m *MFA) AdminPrefer(ctx context.Context, c *dispatch.Call, in *api.AdminSetUserMFAPreferenceInput) (*api.AdminSetUserMFAPreferenceOutput, error) {
	list := choices(in.SMSMfaSettings, in.SoftwareTokenMfaSettings, in.EmailMfaSettings, in.WebAuthnMfaSettings)
	unverified := func() *fault.Error { return fault.NoDeliveryForMFA(string(user.FactorTOTP)) }
	err := m.telling(ctx, c, in.Username, func(tx store.Tx, tell alerter) error {
		r, err := findConfirmed(tx.Users(), c, in.Username)
		if err != nil {
			return err
		}
		if err := forgive(tx, r); err != nil {
			return err
		}
		return prefer(tx, c, r, list, unverified, tell)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminSetUserMFAPreferenceOutput{}, nil
}

// choices translates the blocks of a request. In a block that is there, an absent member is false.
func choices(sms *api.SMSMfaSettingsType, app *api.SoftwareTokenMfaSettingsType, email *api.EmailMfaSettingsType, passkey *api.WebAuthnMfaSettingsType) (list []user.Choice) {
	if sms != nil {
		list = append(list, user.Choice{Factor: user.FactorSMS, Enabled: is(sms.Enabled), Preferred: is(sms.PreferredMfa)})
	}
	if app != nil {
		list = append(list, user.Choice{Factor: user.FactorTOTP, Enabled: is(app.Enabled), Preferred: is(app.PreferredMfa)})
	}
	if email != nil {
		list = append(list, user.Choice{Factor: user.FactorEmail, Enabled: is(email.Enabled), Preferred: is(email.PreferredMfa)})
	}
	if passkey != nil {
		list = append(list, user.Choice{Factor: user.FactorPasskey, Enabled: is(passkey.Enabled)})
	}
	return list
}

// prefer decides and stores the second factors of a user.
func prefer(tx store.Tx, c *dispatch.Call, r *user.Record, list []user.Choice, unverified func() *fault.Error, tell alerter) error {
	app, err := softwareToken(tx.SoftwareTokens(), r)
	if err != nil {
		return err
	}
	after, err := r.Choose(c.Pool, list, app.Verified(), unverified)
	if err != nil {
		return err
	}
	after.Modified = c.Now
	if err := tx.Users().Save(c.Pool, r, after); err != nil {
		return err
	}
	if err := tell(r, after, ""); err != nil {
		return err
	}
	names := make([]string, len(list))
	for i, choice := range list {
		names[i] = string(choice.Factor)
	}
	return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub, names...))
}

// mfaSettings shows which second factors a user has turned on by preference.
func mfaSettings(r *user.Record) (list []string, preferred *string) {
	for _, f := range r.MFA.Enabled() {
		list = append(list, string(f))
	}
	if f := string(r.MFA.Preferred); f != "" {
		preferred = &f
	}
	return list, preferred
}

// factors are all factors of a user, as both operations show them.
type factors struct {
	username   string
	list       []string
	preferred  *string
	configured []string
}

// Factors shows with what the user who calls can sign in.
//
// Evidence: the reference page "GetUserAuthFactors".
func (m *MFA) Factors(ctx context.Context, c *dispatch.Call, _ *api.GetUserAuthFactorsInput) (*api.GetUserAuthFactorsOutput, error) {
	f, err := m.factors(ctx, c, func(v store.View) (*user.Record, error) { return holder(v.Users(), v.Families(), c) })
	if err != nil {
		return nil, err
	}
	return &api.GetUserAuthFactorsOutput{Username: f.username, UserMFASettingList: f.list, PreferredMfaSetting: f.preferred,
		ConfiguredUserAuthFactors: f.configured}, nil
}

// AdminFactors is Factors on behalf of an administrator.
//
// Evidence: the reference page "AdminGetUserAuthFactors".
func (m *MFA) AdminFactors(ctx context.Context, c *dispatch.Call, in *api.AdminGetUserAuthFactorsInput) (*api.AdminGetUserAuthFactorsOutput, error) {
	f, err := m.factors(ctx, c, func(v store.View) (*user.Record, error) { return find(v.Users(), c.Pool, in.Username) })
	if err != nil {
		return nil, err
	}
	return &api.AdminGetUserAuthFactorsOutput{Username: f.username, UserMFASettingList: f.list, PreferredMfaSetting: f.preferred,
		ConfiguredUserAuthFactors: f.configured}, nil
}

// factors reads what a user can sign in with: in the order of the list in the model, an address counts where it exists and
// the pool lets sign-ins begin with it (the order and this reading are unconfirmed).
func (m *MFA) factors(ctx context.Context, c *dispatch.Call, load func(store.View) (*user.Record, error)) (f factors, err error) {
	err = m.Store.View(ctx, func(v store.View) error {
		r, err := load(v)
		if err != nil {
			return err
		}
		app, err := softwareToken(v.SoftwareTokens(), r)
		if err != nil {
			return err
		}
		_, missing := v.Passwords().Get(r.PoolID, r.Sub)
		if missing != nil && !errors.Is(missing, store.ErrNotFound) {
			return missing
		}
		f = factors{username: r.Username}
		f.list, f.preferred = mfaSettings(r)
		for _, x := range [...]struct {
			name string
			has  bool
		}{
			{pool.FactorPassword, missing == nil && !r.PasswordOff},
			{pool.FactorEmailOTP, c.Pool.Allows(pool.FactorEmailOTP) && r.Attributes[pool.Email] != ""},
			{pool.FactorSmsOTP, c.Pool.Allows(pool.FactorSmsOTP) && r.Attributes[pool.PhoneNumber] != ""},
			{pool.FactorSoftwareToken, app.Verified()},
		} {
			if x.has {
				f.configured = append(f.configured, x.name)
			}
		}
		return nil
	})
	return f, err
}

// SetMFA replaces the MFA configuration of a pool.
//
// Evidence: the reference page "SetUserPoolMfaConfig"; measured combinations.
func (o *Pools) SetMFA(ctx context.Context, c *dispatch.Call, in *api.SetUserPoolMfaConfigInput) (*api.SetUserPoolMfaConfigOutput, error) {
	if err := checkNulls(c, in); err != nil {
		return nil, err
	}
	settings, err := c.Pool.SetMFA(mfaInput(in))
	if err != nil {
		return nil, err
	}
	if err := savePool(ctx, o.Store, c, settings, c.Now, given(c, in)); err != nil {
		return nil, err
	}
	return (*api.SetUserPoolMfaConfigOutput)(mfaConfig(&settings)), nil
}

// GetMFA shows the MFA configuration of a pool.
//
// Evidence: the reference page "GetUserPoolMfaConfig".
func (o *Pools) GetMFA(_ context.Context, c *dispatch.Call, _ *api.GetUserPoolMfaConfigInput) (*api.GetUserPoolMfaConfigOutput, error) {
	return mfaConfig(&c.Pool.Settings), nil
}

func mfaInput(in *api.SetUserPoolMfaConfigInput) pool.MFAInput {
	w := pool.MFAInput{Mode: in.MfaConfiguration}
	if s := in.SmsMfaConfiguration; s != nil {
		w.SMS = &pool.SMSMFAInput{Message: s.SmsAuthenticationMessage}
		if s.SmsConfiguration != nil {
			w.SMS.Sms = smsInput(s.SmsConfiguration)
		}
	}
	if s := in.SoftwareTokenMfaConfiguration; s != nil {
		w.TOTP = cmp.Or(s.Enabled, new(bool))
	}
	if e := in.EmailMfaConfiguration; e != nil {
		w.Email = &pool.EmailMFA{Message: e.Message, Subject: e.Subject}
	}
	if a := in.WebAuthnConfiguration; a != nil {
		w.WebAuthn = &pool.WebAuthn{RelyingParty: a.RelyingPartyId, Verification: a.UserVerification, Factor: a.FactorConfiguration}
	}
	return w
}

// mfaConfig shows the blocks that were set, and that of SMS where it is a factor (unconfirmed).
func mfaConfig(s *pool.Settings) *api.GetUserPoolMfaConfigOutput {
	out := &api.GetUserPoolMfaConfigOutput{MfaConfiguration: &s.MFA}
	if s.SMSFactor() {
		out.SmsMfaConfiguration = &api.SmsMfaConfigType{SmsAuthenticationMessage: s.SmsAuthentication, SmsConfiguration: smsType(s.Sms)}
	}
	if s.TOTP != nil {
		out.SoftwareTokenMfaConfiguration = &api.SoftwareTokenMfaConfigType{Enabled: s.TOTP}
	}
	if e := s.EmailMFA; e != nil {
		out.EmailMfaConfiguration = &api.EmailMfaConfigType{Message: e.Message, Subject: e.Subject}
	}
	if a := s.WebAuthn; a != nil {
		out.WebAuthnConfiguration = &api.WebAuthnConfigurationType{RelyingPartyId: a.RelyingParty, UserVerification: a.Verification, FactorConfiguration: a.Factor}
	}
	return out
}
