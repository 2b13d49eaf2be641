package ops

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// SignUps are the operations by which users make their own accounts and prove an address of theirs, and the one by
// which an administrator believes them without proof.
type SignUps struct {
	Store    store.Store
	Messages *messages.Messages
	Chance   *chance.Source
	Decoys   *Decoys
	Sessions *page.Sealer // seals sessions: what it seals is bound to its use, so it may be that of the page tokens
	Hashing  *Hashing     // nil: SRP verifiers
}

// Register puts the family into the registry.
func (s *SignUps) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.SignUp, s.SignUp)
	dispatch.Handle(r, api.ConfirmSignUp, s.Confirm)
	dispatch.Handle(r, api.ResendConfirmationCode, s.Resend)
	dispatch.Handle(r, api.AdminConfirmSignUp, s.AdminConfirm)
}

// SignUp makes an account for whoever asks. The user has to prove an address by a code, unless the pool's function
// says otherwise. It always tells which names are taken; whose an address is shows only to who proves to own it.
//
// Evidence: the reference page "SignUp"; the order of the checks is unconfirmed, see docs/fidelity.md.
func (s *SignUps) SignUp(ctx context.Context, c *dispatch.Call, in *api.SignUpInput) (*api.SignUpOutput, error) {
	setOrigin(c, in.UserContextData)
	r, err := s.draft(c, in)
	if err != nil {
		return nil, err
	}
	// Taken names are refused before the trigger runs; the index decides once more afterwards.
	err = s.Store.View(ctx, func(v store.View) error { return available(v.Users(), c.Pool, r, false, fault.UserExists) })
	if err != nil {
		return nil, err
	}
	password, err := s.protect(ctx, c, r, in.Password)
	if err != nil {
		return nil, err
	}
	answer, err := s.Messages.PreSignUp(ctx, c, c.Pool, notice.SignUp{Source: notice.SourcePreSignUp, Username: r.Username,
		Attributes: r.Attributes, Validation: validation(in.ValidationData), Metadata: in.ClientMetadata})
	if err != nil {
		return nil, err
	}
	if !r.SignedUp(answer.Confirm, answer.VerifyEmail, answer.VerifyPhone) {
		return nil, fault.TriggerUnrecognizable().Because(errors.New("it verifies an address that the user does not have"))
	}
	code := draw{secret.New(s.Chance.Code6()), s.Chance.UUID()}
	var sent *notice.Message
	err = s.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		if err := available(tx.Users(), c.Pool, r, false, fault.UserExists); err != nil {
			return err
		}
		if err := tx.Users().Create(c.Pool, r); err != nil {
			if taken, ok := errors.AsType[*store.Conflict](err); ok {
				return takenAtCreation(c.Pool, r, taken.Login, fault.UserExists).Because(err)
			}
			return err
		}
		if password != nil {
			if err := tx.Passwords().Put(password); err != nil {
				return err
			}
		}
		sent = nil
		if r.Status == user.Unconfirmed {
			var err error
			if sent, err = s.ask(tx, c, r, notice.SourceSignUp, code, in.ClientMetadata, false); err != nil {
				return err
			}
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub, r.Names()...))
	})
	if err != nil {
		return nil, err
	}
	if r.Status == user.Confirmed {
		err = s.Messages.PostConfirmation(ctx, c, c.Pool, r, notice.SourceConfirmedSignUp, in.ClientMetadata)
		return &api.SignUpOutput{UserConfirmed: true, UserSub: r.Sub}, err
	}
	return &api.SignUpOutput{UserSub: r.Sub, CodeDeliveryDetails: codeDelivery(sent), Session: s.session(c, in.Username)},
		s.Messages.Flush(ctx, c, c.Pool, r, sent)
}

// draft checks the request and makes the new record.
func (s *SignUps) draft(c *dispatch.Call, in *api.SignUpInput) (*user.Record, error) {
	if err := checkSecretHash(c, in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	if c.Pool.AdminCreate.OnlyAdmin {
		return nil, fault.SignUpClosed()
	}
	given := values(in.UserAttributes)
	for _, v := range given {
		if err := checkWrites(c, v.Name); err != nil {
			return nil, err
		}
	}
	attribute, err := user.CheckUsername(c.Pool, in.Username)
	if err != nil {
		return nil, err
	}
	has := func(name string) bool {
		return attribute == name || slices.ContainsFunc(given, func(v user.Value) bool { return v.Name == name && v.Text != nil && *v.Text != "" })
	}
	if in.Password != nil {
		if reason := credential.Lacking(c.Pool.Password, in.Password.Reveal()); reason != "" {
			return nil, fault.PasswordDidNotConform(reason)
		}
	} else if !(c.Pool.Allows(pool.FactorEmailOTP) && has(pool.Email)) && !(c.Pool.Allows(pool.FactorSmsOTP) && has(pool.PhoneNumber)) {
		return nil, fault.PasswordNeeded()
	}
	return user.BySignUp(c.Pool, in.Username, attribute, s.Chance.Sub(), given, c.Now)
}

// protect makes what is stored of a password, nil when there is none.
func (s *SignUps) protect(ctx context.Context, c *dispatch.Call, r *user.Record, password *secret.Text) (*credential.Password, error) {
	if password == nil {
		return nil, nil
	}
	stored, err := protect(ctx, c, s.Hashing, s.Chance, r, *password, false)
	return &stored, err
}

// ask stores the code of a new user, in place of an earlier one, and the message that carries it; nil when the pool
// verifies none of the user's addresses.
func (s *SignUps) ask(tx store.Tx, c *dispatch.Call, r *user.Record, source string, d draw, metadata map[string]string, later bool) (*notice.Message, error) {
	attribute, to := r.Reachable(c.Pool)
	if attribute == "" {
		return nil, nil
	}
	expires := c.Now.Add(verify.AttributeLife)
	m, err := s.Messages.Prepare(c, c.Pool, r, messages.Want{ID: d.id, Source: source, Attribute: attribute, To: to, Code: d.code,
		Metadata: metadata, ClientID: c.Client.ID, Expires: expires, Later: later})
	if err != nil {
		return nil, err
	}
	err = tx.Codes().Put(verify.Code{PoolID: c.Pool.ID, Sub: r.Sub, Purpose: verify.SignUp, Target: to, Plain: d.code, Created: c.Now, Expires: expires})
	if err != nil {
		return nil, err
	}
	return m, s.Messages.Post(tx, m)
}

// Confirm confirms the user who proves by a code that an address is theirs, and makes the address an alias where it is
// one. Where it is another user's alias, it moves if the caller forces it.
//
// The used code stays until it expires: where a client hides who exists, only who knows it reads that the user is
// confirmed already.
//
// Evidence: the reference page "ConfirmSignUp"; observed texts.
func (s *SignUps) Confirm(ctx context.Context, c *dispatch.Call, in *api.ConfirmSignUpInput) (*api.ConfirmSignUpOutput, error) {
	setOrigin(c, in.UserContextData)
	if err := checkSecretHash(c, in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	opens, err := s.checkSession(c, in.Session, in.Username)
	if err != nil {
		return nil, err
	}
	force, id := in.ForceAliasCreation != nil && *in.ForceAliasCreation, s.Chance.UUID()
	var after *user.Record
	var proven string // the flag of the address
	var refusal error
	err = s.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		after, refusal = nil, nil
		who, over, err := s.Decoys.approach(tx, c, in.Username, unconfirmable, verify.ConfirmSignUp)
		if err != nil || over != nil {
			refusal = over
			return err
		}
		u := who.user
		code, wrong, err := checkCode(tx.Codes(), c, who.subject, verify.SignUp, in.ConfirmationCode, hidden(c))
		switch {
		case err != nil:
			return err
		case wrong != nil:
			refusal = wrong
			return who.attempt.fail()
		case who.unfit != nil:
			refusal = who.unfit
			return nil
		}
		next, flag := u.Confirm(code.Target, c.Now)
		names, taken, err := claim(tx.Users(), c, u, next, force)
		if err != nil || taken != nil {
			refusal = taken
			return err
		}
		if proven = flag; flag != "" {
			names = append(names, flag)
		}
		if err := who.attempt.forget(); err != nil {
			return err
		}
		after = next
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, names...))
	})
	if err = cmp.Or(err, refusal); err != nil {
		return nil, err
	}
	out := &api.ConfirmSignUpOutput{}
	if opens && proven != "" {
		if out.Session, err = s.confirmed(c, after, proven, id); err != nil {
			return nil, err
		}
	}
	return out, s.Messages.PostConfirmation(ctx, c, c.Pool, after, notice.SourceConfirmedSignUp, in.ClientMetadata)
}

// unconfirmable is the fault of a user who cannot be confirmed by a code, nil for one who can.
func unconfirmable(u *user.Record) error {
	switch {
	case u == nil:
		return fault.UserNotInClient()
	case u.Status != user.Unconfirmed:
		return fault.CannotConfirm(string(u.Status))
	case !u.Enabled:
		return fault.UserDisabled()
	}
	return nil
}

// claim saves a user whose address has become an alias. taken is the fault of an alias that is another user's and does
// not move.
func claim(users store.Users, c *dispatch.Call, before, after *user.Record, force bool) (moved []string, taken, err error) {
	had := before.Logins(c.Pool)
	claims := slices.DeleteFunc(after.Claims(c.Pool), func(l user.Login) bool { return slices.Contains(had, l) })
	if force {
		if moved, err = takeOver(users, c, after.Sub, claims); err != nil {
			return nil, nil, err
		}
	} else if err := free(users, c.Pool, after.Sub, claims, fault.AliasHeld); err != nil {
		if f, ok := errors.AsType[*fault.Error](err); ok {
			return nil, f, nil
		}
		return nil, nil, err
	}
	if err = users.Save(c.Pool, before, after); errors.Is(err, store.ErrConflict) {
		return nil, nil, store.ErrStale // somebody claimed it since we looked: it moves, or is refused, next time
	}
	return moved, nil, err
}

// Resend sends a new code to a user who is not confirmed; the earlier one is void.
//
// Evidence: the reference page "ResendConfirmationCode"; observed texts.
func (s *SignUps) Resend(ctx context.Context, c *dispatch.Call, in *api.ResendConfirmationCodeInput) (*api.ResendConfirmationCodeOutput, error) {
	setOrigin(c, in.UserContextData)
	if err := checkSecretHash(c, in.Username, in.SecretHash); err != nil {
		return nil, err
	}
	if len(c.Pool.AutoVerified) == 0 && hidden(c) {
		return nil, fault.CannotResend()
	}
	code := draw{secret.New(s.Chance.Code6()), s.Chance.UUID()}
	var u *user.Record
	var sent *notice.Message
	var details *api.CodeDeliveryDetailsType
	var refusal error
	err := s.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) (err error) {
		sent, details, refusal = nil, nil, nil
		unfit := func(u *user.Record) error { return unreachable(c.Pool, u) }
		who, over, err := s.Decoys.approach(tx, c, in.Username, unfit, verify.ResendCode)
		if err != nil || over != nil {
			refusal = over
			return err
		}
		u = who.user
		if who.unfit != nil {
			details = s.Decoys.Delivery(c, in.Username)
			return idle(tx, c, who.subject, code.code)
		}
		if sent, err = s.ask(tx, c, u, notice.SourceResend, code, in.ClientMetadata, hidden(c)); err != nil {
			return err
		}
		details = codeDelivery(sent)
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub, "code"))
	})
	if err = cmp.Or(err, refusal); err != nil {
		return nil, err
	}
	return &api.ResendConfirmationCodeOutput{CodeDeliveryDetails: details}, tell(ctx, s.Messages, c, u, sent)
}

// unreachable is the fault of a user to whom no new code can go, nil for one to whom it can.
func unreachable(p *pool.Pool, u *user.Record) error {
	if u == nil || !u.Enabled {
		return fault.UserNotInClient()
	}
	if u.Status != user.Unconfirmed {
		return fault.AlreadyConfirmed()
	}
	if attribute, _ := u.Reachable(p); attribute == "" {
		return fault.CannotResend()
	}
	return nil
}

// AdminConfirm confirms a user without a code. No address becomes verified by it.
//
// Evidence: the reference page "AdminConfirmSignUp"; that the outstanding code is void is unconfirmed.
func (s *SignUps) AdminConfirm(ctx context.Context, c *dispatch.Call, in *api.AdminConfirmSignUpInput) (*api.AdminConfirmSignUpOutput, error) {
	var after *user.Record
	err := s.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		u, err := find(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		if u.Status != user.Unconfirmed {
			return fault.CannotConfirm(string(u.Status))
		}
		after, _ = u.Confirm("", c.Now)
		if err := tx.Users().Save(c.Pool, u, after); err != nil {
			return err
		}
		if err := tx.Codes().Void(c.Pool.ID, u.Sub, verify.SignUp); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub))
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminConfirmSignUpOutput{}, s.Messages.PostConfirmation(ctx, c, c.Pool, after, notice.SourceConfirmedSignUp, in.ClientMetadata)
}

// sessionSignUp is what the sessions of SignUp are sealed for. They let the user who signs up go on to a sign-in without a new
// proof: ConfirmSignUp takes one or none, and gives the session of a sign-in that has begun.
const sessionSignUp = "session after SignUp"

// session makes a session for the user, nil where the client does not sign users in by a choice of factors.
//
// Evidence: the condition is unconfirmed.
func (s *SignUps) session(c *dispatch.Call, username string) *secret.Text {
	if c.Pool.Tier == pool.Lite || !challenge.Allowed(c.Client, challenge.Choice) {
		return nil
	}
	t := s.sessionToken(c, username)
	t.Issued = c.Now
	sealed := secret.New(s.Sessions.Seal(t))
	return &sealed
}

// confirmed makes the session by which a user signs in who has just proven an address: the code of the sign-up is as good as
// one that is a first factor.
func (s *SignUps) confirmed(c *dispatch.Call, u *user.Record, flag, id string) (*secret.Text, error) {
	if c.Pool.Tier == pool.Lite || !challenge.Allowed(c.Client, challenge.Choice) {
		return nil, nil
	}
	factor := challenge.EmailOTP
	if flag == pool.PhoneNumberVerified {
		factor = challenge.SMSOTP
	}
	state := step(c, challenge.State{Flow: challenge.Choice, Sub: u.Sub, Username: u.Username, Choices: []challenge.Name{factor}}, challenge.SignedUp, id)
	text, err := sealStep(s.Sessions, c, &state)
	if err != nil {
		return nil, err
	}
	session := secret.New(text)
	return &session, nil
}

func (s *SignUps) sessionToken(c *dispatch.Call, username string) page.Token {
	return page.Token{Operation: sessionSignUp, Scope: c.Pool.ID, Inputs: page.Hash(c.Client.ID, user.Key(c.Pool, user.Names, username))}
}

// sessionAges is longer than any session is shown: past it, a session counts as none of ours.
const sessionAges = 366 * 24 * time.Hour

// checkSession refuses a session that was not made for this user and client by SignUp, and reports whether a new one may
// follow. One that is too old is no fault and opens no new one (unconfirmed): people read their mail slowly. Who sends none gets
// one, as the web library needs for its sign-in after a sign-up: it sends none.
func (s *SignUps) checkSession(c *dispatch.Call, given *secret.Text, username string) (opens bool, err error) {
	if given == nil {
		return true, nil
	}
	t := s.sessionToken(c, username)
	if _, err := s.Sessions.Open(given.Reveal(), t, c.Now, sessionAges); err != nil {
		return false, fault.SessionInvalid().Because(err)
	}
	_, err = s.Sessions.Open(given.Reveal(), t, c.Now, time.Duration(c.Client.SessionMinutes)*time.Minute)
	return err == nil, nil
}
