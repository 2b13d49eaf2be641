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
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// Recovery are the operations by which users come to a new password who have forgotten theirs, and the one by which an
// administrator makes them.
type Recovery struct {
	Store    store.Store
	Messages *messages.Messages
	Chance   *chance.Source
	Decoys   *Decoys
	Hashing  *Hashing // nil: SRP verifiers
}

// Register puts the family into the registry.
func (r *Recovery) Register(reg *dispatch.Registry) {
	dispatch.Handle(reg, api.ForgotPassword, r.Forgot)
	dispatch.Handle(reg, api.ConfirmForgotPassword, r.Confirm)
	dispatch.Handle(reg, api.AdminResetUserPassword, r.AdminReset)
}

// Forgot sends a code for a new password to a verified address of the user; an earlier code is void. The old password
// stays good until the code is used. A name that nobody has may be somebody whom the pool's UserMigration function
// knows, who becomes a user by it.
//
// Evidence: the reference page "ForgotPassword"; the order of the checks is documented in part.
func (r *Recovery) Forgot(ctx context.Context, c *dispatch.Call, in *api.ForgotPasswordInput) (*api.ForgotPasswordOutput, error) {
	setOrigin(c, in.UserContextData)
	if err := checkSecretHash(c, in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	if hidden(c) && user.RecoveryByAdminOnly(c.Pool) {
		return nil, fault.AskAdministrator() // a fact of the pool, for whatever name
	}
	migrant, err := r.migrate(ctx, c, in)
	if err != nil {
		return nil, err
	}
	code := draw{secret.New(r.Chance.Code6()), r.Chance.UUID()}
	var told *user.Record
	var sent []*notice.Message
	var details *api.CodeDeliveryDetailsType
	var refusal error
	err = r.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) (err error) {
		sent, details, refusal = nil, nil, nil
		if told, err = lookUp(tx.Users(), c.Pool, in.Username); err != nil {
			return err
		}
		subject, names, arrives := r.Decoys.subjectOf(c, told, in.Username), []string(nil), false
		if told == nil && migrant != nil {
			told, arrives = migrant.record, true
		}
		attribute, state := recoverable(c.Pool, told)
		if state != nil && !hidden(c) {
			return state
		}
		if arrives && state == nil {
			subject = told.Sub
			if names, sent, err = r.settle(tx, c, migrant); err != nil {
				return err
			}
		}
		if _, over, err := spend(tx, c, subject, verify.RequestRecovery); err != nil || over != nil {
			refusal = over
			return err
		}
		if state != nil {
			details = r.Decoys.Delivery(c, in.Username)
			return idle(tx, c, subject, code.code)
		}
		msg, err := r.ask(tx, c, told, attribute, code, in.ClientMetadata)
		if err != nil {
			return err
		}
		sent = append(sent, msg)
		medium := notice.MediumOf(attribute)
		details = delivery(medium, attribute, notice.Mask(medium, told.Attributes[attribute]))
		return tx.Journal().Add(c.Entry(c.Pool.ID, told.Sub, append(names, "code")...))
	})
	if err = cmp.Or(err, refusal); err != nil {
		return nil, err
	}
	return &api.ForgotPasswordOutput{CodeDeliveryDetails: details}, tell(ctx, r.Messages, c, told, sent...)
}

// recoverable is the address that gets a code for a new password of the user, or the fault of a user who can get none.
// u is nil for a name that nobody has.
func recoverable(p *pool.Pool, u *user.Record) (attribute string, refused error) {
	switch {
	case u == nil || u.PasswordOff:
		return "", fault.UserNotInClient()
	case !u.Enabled:
		return "", fault.UserDisabled()
	case !u.Status.Recoverable():
		return "", fault.NoPasswordReset()
	case user.RecoveryByAdminOnly(p):
		return "", fault.AskAdministrator()
	}
	return addressFor(p, u)
}

// addressFor is the address that gets a code for a new password, or the fault of there being none.
func addressFor(p *pool.Pool, u *user.Record) (attribute string, refused error) {
	attribute = user.RecoveryAttribute(p, u, u.Messaged(p))
	switch {
	case attribute == "":
		return "", fault.NoRecoveryAddress()
	case attribute == pool.PhoneNumber && !p.SendsSMS():
		return "", fault.NoSmsConfiguration()
	}
	return attribute, nil
}

// ask stores a code for a new password, in place of an earlier one, and posts the message that carries it.
func (r *Recovery) ask(tx store.Tx, c *dispatch.Call, u *user.Record, attribute string, d draw, metadata map[string]string) (*notice.Message, error) {
	to, expires := u.Attributes[attribute], c.Now.Add(verify.RecoveryLife)
	want := messages.Want{ID: d.id, Source: notice.SourceForgotPassword, Attribute: attribute, To: to, Code: d.code,
		Metadata: metadata, Expires: expires, Later: hidden(c)}
	if c.Client != nil {
		want.ClientID = c.Client.ID
	}
	msg, err := r.Messages.Prepare(c, c.Pool, u, want)
	if err != nil {
		return nil, err
	}
	err = tx.Codes().Put(verify.Code{PoolID: c.Pool.ID, Sub: u.Sub, Purpose: verify.ForgotPassword, Target: to, Plain: d.code, Created: c.Now, Expires: expires})
	if err != nil {
		return nil, err
	}
	return msg, r.Messages.Post(tx, msg)
}

// migrant is somebody whom a UserMigration function knows, drawn and drafted before the transaction that writes it.
type migrant struct {
	record   *user.Record
	password *credential.Password // nil unless a welcome message tells it
	welcome  []*notice.Message
	force    bool
}

// migrate asks the pool's UserMigration function about a name that nobody has; nil when there is nobody new. Where the
// client hides who exists, the function's faults would show who does not: whoever calls reads nothing of them then, and
// the operator finds them in the metrics.
func (r *Recovery) migrate(ctx context.Context, c *dispatch.Call, in *api.ForgotPasswordInput) (*migrant, error) {
	if c.Pool.Lambda.Function(notice.UserMigration) == "" {
		return nil, nil
	}
	var known *user.Record
	err := r.Store.View(ctx, func(v store.View) (err error) {
		known, err = lookUp(v.Users(), c.Pool, in.Username)
		return err
	})
	if err != nil || known != nil {
		return nil, err
	}
	answer, err := r.Messages.Migrate(ctx, c, in.Username, in.ClientMetadata)
	var m *migrant
	if err == nil {
		m, err = r.invent(ctx, c, in.Username, answer, in.ClientMetadata)
	}
	if _, isFault := errors.AsType[*fault.Error](err); isFault && hidden(c) {
		return nil, nil
	}
	return m, err
}

// invent makes the user of whom the function answers; nil when it knows nobody. The answer has to fit the pool's schema.
func (r *Recovery) invent(ctx context.Context, c *dispatch.Call, username string, answer notice.Migration, metadata map[string]string) (*migrant, error) {
	if len(answer.Attributes) == 0 {
		return nil, nil
	}
	m := &migrant{force: answer.ForceAlias}
	var err error
	if m.record, err = user.ByMigration(c.Pool, username, r.Chance.Sub(), answer.Attributes, answer.Status, answer.SMSFactor, c.Now); err != nil {
		return nil, err
	}
	err = r.Store.View(ctx, func(v store.View) error {
		taken := available(v.Users(), c.Pool, m.record, m.force, fault.UsernameTaken)
		if fault.CodeOf(taken) != fault.UsernameExistsException {
			return taken
		}
		u, err := lookUp(v.Users(), c.Pool, username)
		if u != nil || err != nil {
			return cmp.Or(err, store.ErrStale) // a parallel request was faster
		}
		return fault.TriggerUnrecognizable().Because(taken) // the function gives a name of somebody else
	})
	if err != nil || answer.Suppress {
		return m, err
	}
	text := temporaryPassword(r.Chance, c.Pool)
	if m.welcome, err = invite(r.Messages, r.Chance, c, m.record, text, answer.Media, metadata); err != nil || len(m.welcome) == 0 {
		return m, err
	}
	stored, err := protect(ctx, c, r.Hashing, r.Chance, m.record, text, false)
	m.password = &stored
	return m, err
}

// settle writes a migrant and the welcome message. names are for the journal.
func (r *Recovery) settle(tx store.Tx, c *dispatch.Call, m *migrant) (names []string, welcome []*notice.Message, err error) {
	moved, err := insert(tx, c, m.record, m.password, m.force)
	if fault.CodeOf(err) == fault.UsernameExistsException {
		return nil, nil, store.ErrStale // the name was free a moment ago: whoever has it now is found next time
	}
	if err != nil {
		return nil, nil, err
	}
	return append(m.record.Names(), moved...), append([]*notice.Message(nil), m.welcome...), r.Messages.Post(tx, m.welcome...)
}

// Confirm sets a new password for whoever proves by a code to be the user. The user is confirmed then.
//
// The code is compared in a transaction that counts the attempt, and only a right one leads on: to the policy, the
// history and the verifier, which take their time, and to a second transaction, which compares once more and uses the
// code up. A code that fails on the policy stays good (unconfirmed).
//
// Evidence: the reference page "ConfirmForgotPassword"; observed texts.
func (r *Recovery) Confirm(ctx context.Context, c *dispatch.Call, in *api.ConfirmForgotPasswordInput) (*api.ConfirmForgotPasswordOutput, error) {
	setOrigin(c, in.UserContextData)
	if err := checkSecretHash(c, in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	u, current, err := r.prove(ctx, c, in)
	if err != nil {
		return nil, err
	}
	next, err := renew(ctx, c, r.Hashing, r.Chance, u, current, in.Password, false)
	if err != nil {
		return nil, err
	}
	alerts := r.Messages.DrawAlerts(r.Chance.UUID)
	var after *user.Record
	var warn []*notice.Message
	err = r.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		now, err := lookUp(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		if now == nil || now.Sub != u.Sub || unprovable(now) != nil {
			return store.ErrStale // not the user that it was: what is there now decides
		}
		// Whoever else has this code at this moment waits here, and finds it used.
		if _, err := tx.Tallies().Take(c.Pool.ID, u.Sub, verify.ConfirmRecovery); err != nil {
			return err
		}
		if _, used, err := checkRecovery(tx, c, now, u.Sub, in.ConfirmationCode); err != nil || used != nil {
			return cmp.Or(err, used)
		}
		after, warn, err = exchange(tx, c, r.Messages, now, current, next, alerts)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.Messages.Leave(warn...)
	return &api.ConfirmForgotPasswordOutput{}, r.Messages.PostConfirmation(ctx, c, c.Pool, after, notice.SourceConfirmForgotten, in.ClientMetadata)
}

// prove spends an attempt on the code and returns the user whom it proves, with the password that will be replaced.
func (r *Recovery) prove(ctx context.Context, c *dispatch.Call, in *api.ConfirmForgotPasswordInput) (u *user.Record, current *credential.Password, err error) {
	var refusal error
	err = r.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) (err error) {
		refusal = nil
		who, over, err := r.Decoys.approach(tx, c, in.Username, unprovable, verify.ConfirmRecovery)
		if err != nil || over != nil {
			refusal = over
			return err
		}
		_, wrong, err := checkRecovery(tx, c, who.user, who.subject, in.ConfirmationCode)
		switch {
		case err != nil:
			return err
		case who.unfit != nil: // hidden: even the right code tells nothing of such a user
			refusal = fault.CodeMismatch()
			return who.attempt.fail()
		case wrong != nil:
			refusal = wrong
			return who.attempt.fail()
		}
		u = who.user
		current, err = password(tx.Passwords(), c.Pool.ID, who.subject)
		return err
	})
	return u, current, cmp.Or(err, refusal)
}

// unprovable is the fault of a user whom no code proves, nil for one whom it may.
func unprovable(u *user.Record) error {
	switch {
	case u == nil || u.PasswordOff:
		return fault.UserNotInClient()
	case !u.Enabled:
		return fault.UserDisabled()
	}
	return nil
}

// checkRecovery is checkCode for a new password: the code must have gone to an address that is still a verified one of
// the user, so that a former address opens nothing.
func checkRecovery(tx store.Tx, c *dispatch.Call, u *user.Record, subject string, given secret.Text) (code verify.Code, refused, err error) {
	code, refused, err = checkCode(tx.Codes(), c, subject, verify.ForgotPassword, given, hidden(c))
	if err == nil && refused == nil && u != nil && !u.Reaches(code.Target) {
		refused = fault.CodeExpired()
	}
	return code, refused, err
}

// AdminReset takes a user's password away: it opens nothing any more, and the user gets a code for a new one.
//
// Evidence: the reference page "AdminResetUserPassword"; that requests of users and of administrators share their hourly
// limit is unconfirmed.
func (r *Recovery) AdminReset(ctx context.Context, c *dispatch.Call, in *api.AdminResetUserPasswordInput) (*api.AdminResetUserPasswordOutput, error) {
	code := draw{secret.New(r.Chance.Code6()), r.Chance.UUID()}
	var after *user.Record
	var sent *notice.Message
	var refusal error
	err := r.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		sent, refusal = nil, nil
		u, err := find(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		attribute, state := resettable(c.Pool, u)
		if state != nil {
			return state
		}
		if _, over, err := spend(tx, c, u.Sub, verify.RequestRecovery); err != nil || over != nil {
			refusal = over
			return err
		}
		after = u.Clone()
		after.Status, after.Modified = user.ResetRequired, c.Now
		if err := tx.Users().Save(c.Pool, u, after); err != nil {
			return err
		}
		if sent, err = r.ask(tx, c, after, attribute, code, in.ClientMetadata); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, "code"))
	})
	if err = cmp.Or(err, refusal); err != nil {
		return nil, err
	}
	return &api.AdminResetUserPasswordOutput{}, r.Messages.Flush(ctx, c, c.Pool, after, sent)
}

// resettable is the address that gets the code when an administrator resets a user's password, or the fault of a user
// whose password cannot be reset.
func resettable(p *pool.Pool, u *user.Record) (attribute string, refused error) {
	switch {
	case u.PasswordOff:
		return "", fault.UserNotFound()
	case !u.Enabled:
		return "", fault.UserDisabledAtReset()
	case !u.Status.Resettable():
		return "", fault.NoPasswordReset()
	}
	return addressFor(p, u)
}
