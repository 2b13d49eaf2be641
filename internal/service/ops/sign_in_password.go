package ops

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/srp"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// This file holds the proofs of passwords: sent as they are, or by SRP, in two requests.
//
// A name that nobody has takes the same way, with a salt and a verifier that Decoys make up, and is always wrong.

// byPassword signs a user in whose password is sent.
func (s *SignIns) byPassword(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	c := v.c
	if err := v.need("USERNAME", "PASSWORD"); err != nil {
		return nil, err
	}
	if err := v.proveClient(); err != nil {
		return nil, err
	}
	g, err := s.find(ctx, v, true)
	if err != nil {
		return nil, err
	}
	if !g.known && c.Pool.Lambda.Function(notice.UserMigration) != "" {
		if g, err = s.migrate(ctx, v, g); err != nil {
			return nil, err
		}
	}
	if err := s.enter(ctx, v, g); err != nil {
		return nil, err
	}
	v.state.At = challenge.Password
	return s.check(ctx, v, g, secret.New(v.given["PASSWORD"]))
}

// migrate makes a user of a name that nobody has, if the pool's UserMigration function knows it with this password. The typed password
// becomes the user's where the function confirms the user, who is sent no welcome message then (unconfirmed).
//
// Evidence: the reference of the trigger; the texts are unconfirmed.
func (s *SignIns) migrate(ctx context.Context, v *visit, g *guest) (*guest, error) {
	c, given := v.c, secret.New(v.given["PASSWORD"])
	answer, err := s.Messages.MigrateAtSignIn(ctx, c, g.name, given, v.metadata)
	if _, isFault := errors.AsType[*fault.Error](err); isFault {
		if hidden(c) {
			return g, nil // wrong, as for any name that nobody has
		}
		return nil, fault.MigrationFailed(c.Client.ID).Because(err)
	}
	if err != nil {
		return nil, err
	}
	arrivals := &Recovery{Store: s.Store, Messages: s.Messages, Chance: s.Chance, Decoys: s.Decoys, Hashing: s.Hashing}
	answer.Suppress = answer.Suppress || answer.Status == user.Confirmed
	m, err := arrivals.invent(ctx, c, g.name, answer, nil)
	if _, isFault := errors.AsType[*fault.Error](err); isFault && hidden(c) || err == nil && m == nil {
		return g, nil
	}
	if err != nil {
		return nil, err
	}
	if m.record.Status == user.Confirmed {
		stored, err := protect(ctx, c, s.Hashing, s.Chance, m.record, given, false)
		if err != nil {
			return nil, err
		}
		m.password = &stored
	}
	var welcome []*notice.Message
	err = s.Store.Update(ctx, c.Scope(""), func(tx store.Tx) (err error) {
		var names []string
		if names, welcome, err = arrivals.settle(tx, c, m); err != nil {
			return err
		}
		entry := c.Entry(c.Pool.ID, m.record.Sub, names...)
		entry.RequestID += "/user" // the sign-in has the entry of the request
		return tx.Journal().Add(entry)
	})
	if err != nil {
		return nil, err
	}
	if err := tell(ctx, s.Messages, c, m.record, welcome...); err != nil {
		return nil, err
	}
	return s.find(ctx, v, true)
}

// check compares a password that was sent, and goes on.
func (s *SignIns) check(ctx context.Context, v *visit, g *guest, given secret.Text) (*api.InitiateAuthOutput, error) {
	if g.locked {
		return nil, fault.PasswordAttemptsExceeded()
	}
	if err := resetFirst(v.c, g.user); err != nil {
		return nil, err
	}
	var kept credential.Kept
	kept.Salt, kept.Verifier = s.Decoys.credential(v.c.Pool, g.name)
	if g.password != nil {
		kept = g.password.Kept
	}
	right, err := s.Hashing.matches(ctx, v.c.Pool, v.state.Username, given, kept)
	if err != nil {
		return nil, err
	}
	right = right && g.password != nil && g.user != nil
	var reformed *credential.Password
	if right {
		if reformed, err = s.Hashing.reform(ctx, v.c.Pool, v.state.Username, given, g.password); err != nil {
			return nil, err
		}
	}
	proof := s.passwordProof(v, g, right, challenge.Password)
	return s.advance(ctx, v, func(tx store.Tx, u *user.Record) (proven, error) {
		p, err := proof(tx, u)
		if err == nil && p.first != "" && reformed != nil {
			err = tx.Passwords().Put(reformed)
		}
		return p, err
	})
}

// resetFirst refuses a user whose password has to be set anew. Where the client hides who exists, only who knows the present
// password reads that.
func resetFirst(c *dispatch.Call, u *user.Record) error {
	if u != nil && u.Status == user.ResetRequired && !hidden(c) {
		return fault.PasswordResetRequired()
	}
	return nil
}

// passwordProof is the part of a password's check that belongs into the transaction: the comparison counts only when the
// user is not locked, and the password is still the one that was compared.
func (s *SignIns) passwordProof(v *visit, g *guest, right bool, factor challenge.Name) proof {
	return func(tx store.Tx, u *user.Record) (proven, error) {
		refused, err := s.count(tx, v, u, right)
		if err != nil || refused != nil {
			return proven{refused: refused}, err
		}
		stored, err := password(tx.Passwords(), v.c.Pool.ID, u.Sub)
		if err != nil {
			return proven{}, err
		}
		if !stored.Same(g.password) || u.PasswordOff {
			return proven{}, store.ErrStale
		}
		return proven{refused: unfit(v.c, u), first: factor}, nil
	}
}

// count counts the outcome of a password's check. refused is the fault of a wrong one, and of any during a lock.
func (s *SignIns) count(tx store.Tx, v *visit, u *user.Record, right bool) (refused, err error) {
	c := v.c
	// Whoever counts for a user has locked the user; for a name that nobody has there is only the tally.
	take, subject := tx.Tallies().Take, s.subject(v, u)
	if u != nil {
		take = tx.Tallies().Get
	}
	t, err := take(c.Pool.ID, subject, verify.SignIn)
	switch {
	case err != nil:
		return nil, err
	case s.locked(t, c.Now):
		return fault.PasswordAttemptsExceeded(), nil
	case !right || u == nil:
		return fault.WrongPassword(), tx.Tallies().Put(c.Pool.ID, subject, verify.SignIn, t.Miss(c.Now))
	case t != verify.Tally{}:
		return nil, tx.Tallies().Put(c.Pool.ID, subject, verify.SignIn, verify.Tally{})
	}
	return nil, nil
}

// unfit is the fault of a user who has proven the password and may not sign in, nil for one who may.
//
// Evidence: the order is unconfirmed.
func unfit(c *dispatch.Call, u *user.Record) error {
	switch {
	case !u.Enabled:
		return fault.UserDisabled()
	case u.Status == user.ResetRequired:
		return fault.PasswordResetRequired()
	case u.Status == user.Unconfirmed:
		return fault.UserNotConfirmed()
	case u.Status == user.ForceChangePassword && !u.TemporarySince.IsZero() && !c.Now.Before(u.TemporarySince.AddDate(0, 0, c.Pool.Password.TemporaryDays)):
		return fault.TemporaryPasswordExpired()
	}
	return nil
}

// bySRP answers the first request of an SRP exchange.
func (s *SignIns) bySRP(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	if err := v.need("USERNAME", "SRP_A"); err != nil {
		return nil, err
	}
	public, err := publicValue(v.given["SRP_A"])
	if err != nil {
		return nil, err
	}
	if err := v.proveClient(); err != nil {
		return nil, err
	}
	g, err := s.find(ctx, v, true)
	if err != nil {
		return nil, err
	}
	if err := s.enter(ctx, v, g); err != nil {
		return nil, err
	}
	o, err := s.exchange(v, g, public)
	if err != nil {
		return nil, err
	}
	return s.showExchange(v.c, o)
}

// publicValue reads a client's public value.
func publicValue(text string) ([]byte, error) {
	a, err := srp.ParseNumber(text)
	if err == nil {
		err = srp.CheckPublic(a)
	}
	if err != nil {
		return nil, fault.InvalidSRPA().Because(err)
	}
	return a, nil
}

// provesBySRP reports whether there is a password that can be proven by SRP. To who tries, one that is kept as a hash is as wrong as
// that of nobody.
func (g *guest) provesBySRP() bool {
	return g.password != nil && g.user != nil && g.password.Hash == ""
}

// exchange draws the server's half of an SRP exchange.
func (s *SignIns) exchange(v *visit, g *guest, a []byte) (*offered, error) {
	c := v.c
	salt, verifier := s.Decoys.credential(c.Pool, v.state.Username)
	if g.provesBySRP() {
		salt, verifier = g.password.Salt, g.password.Verifier
	}
	id := s.idOf(v, g.user)
	o := &offered{state: step(c, v.state, challenge.PasswordVerifier, s.Chance.UUID())}
	public, err := s.offerPublic(&o.state, a, verifier)
	if err != nil {
		return nil, err
	}
	o.parameters = map[string]string{"SALT": srp.FormatNumber(salt), "SRP_B": srp.FormatNumber(public), "USERNAME": id, "USER_ID_FOR_SRP": id}
	return o, nil
}

// idOf is the immutable user name of whom a visit is about, made up for nobody.
func (s *SignIns) idOf(v *visit, u *user.Record) string {
	if u == nil {
		return s.Decoys.userID(v.c.Pool, v.state.Username)
	}
	return u.Username
}

// showExchange is a begun SRP exchange on the wire. What the server remembers travels in the secret block, which is the session of
// the step too where the flow has one.
func (s *SignIns) showExchange(c *dispatch.Call, o *offered) (*api.InitiateAuthOutput, error) {
	out, err := s.show(c, o)
	if err != nil {
		return nil, err
	}
	block, err := base64.RawURLEncoding.DecodeString(out.Session.Reveal())
	if err != nil {
		return nil, err
	}
	o.parameters["SECRET_BLOCK"] = base64.StdEncoding.EncodeToString(block)
	if o.state.Flow == challenge.UserSRP {
		out.Session = nil
	}
	return out, nil
}

// offerPublic draws the server's exponent until it makes an exchange that is not degenerate, which it is at once but for a
// chance that nobody lives to see.
func (s *SignIns) offerPublic(state *challenge.State, a, verifier []byte) (public []byte, err error) {
	for {
		b := s.Chance.Bytes(srp.ExponentSize)
		if public, err = srp.Public(verifier, b); errors.Is(err, srp.ErrPublic) {
			continue
		}
		if err != nil {
			return nil, err
		}
		u, err := srp.Scramble(a, public)
		if err == nil {
			state.Exchange = &challenge.Exchange{A: a, U: u, B: b}
			return public, nil
		}
	}
}

// openBlock reads the secret block of an answer, which names its step as a session does.
func (s *SignIns) openBlock(c *dispatch.Call, text string) (state challenge.State, block []byte, err error) {
	block, err = base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return state, nil, fault.WrongPassword().Because(err)
	}
	state, err = s.unseal(c, base64.RawURLEncoding.EncodeToString(block))
	if errors.Is(err, fault.SessionExpired()) && state.ID == "" || err == nil && state.Exchange == nil {
		return state, nil, fault.WrongPassword().Because(err)
	}
	return state, block, err
}

// timestampForm is how clients write the time of an answer.
const timestampForm = "Mon Jan 2 15:04:05 UTC 2006"

// verifyPassword evaluates the answer to PASSWORD_VERIFIER. The time that the client gives is signed and not compared
// (unconfirmed): the age of the secret block bounds a replay.
func (s *SignIns) verifyPassword(ctx context.Context, v *visit, block []byte) (*api.InitiateAuthOutput, error) {
	c, at := v.c, v.given["TIMESTAMP"]
	if t, err := time.Parse(timestampForm, at); err != nil || t.Format(timestampForm) != at {
		return nil, fault.BadTimestamp().Because(err)
	}
	g, err := s.find(ctx, v, true)
	if err != nil {
		return nil, err
	}
	if err := s.same(v, g); err != nil {
		return nil, err
	}
	if g.locked {
		return nil, fault.PasswordAttemptsExceeded()
	}
	if err := resetFirst(c, g.user); err != nil {
		return nil, err
	}
	_, verifier := s.Decoys.credential(c.Pool, v.state.Username)
	if g.provesBySRP() {
		verifier = g.password.Verifier
	}
	right, err := s.signed(v, verifier, block)
	if err != nil {
		return nil, err
	}
	return s.advance(ctx, v, s.passwordProof(v, g, right && g.provesBySRP(), challenge.PasswordVerifier))
}

// signed reports whether the client's signature proves the password of a verifier.
func (s *SignIns) signed(v *visit, verifier, block []byte) (bool, error) {
	x := v.state.Exchange
	shared, err := srp.Shared(x.A, verifier, x.U, x.B)
	if err != nil {
		return false, err
	}
	key, err := srp.SessionKey(x.U, shared)
	if err != nil {
		return false, err
	}
	signature, err := base64.StdEncoding.DecodeString(v.given["PASSWORD_CLAIM_SIGNATURE"])
	return srp.CheckSignature(signature, key, v.c.Pool.Group(), v.state.Username, block, v.given["TIMESTAMP"]) && err == nil, nil
}

// same refuses an answer in the name of another user than the one that the session is of.
func (s *SignIns) same(v *visit, g *guest) error {
	p, state := v.c.Pool, &v.state
	if state.Sub == "" {
		if g.name != s.Decoys.userID(p, state.Username) && user.Key(p, user.Names, g.name) != user.Key(p, user.Names, state.Username) {
			return fault.SessionInvalid()
		}
		g.user, g.password = nil, nil // whoever has the name is nobody to this sign-in
		return nil
	}
	if g.user == nil || g.user.Sub != state.Sub {
		return fault.SessionInvalid()
	}
	return nil
}

// newPassword evaluates the answer to NEW_PASSWORD_REQUIRED: the user chooses a password and gives the required attributes
// that are missing. Nobody is sent a code for them (unconfirmed).
//
// Evidence: observed texts and order.
func (s *SignIns) newPassword(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	c := v.c
	g, err := s.find(ctx, v, false)
	if err != nil {
		return nil, err
	}
	if err := s.same(v, g); err != nil {
		return nil, err
	}
	next, err := renew(ctx, c, s.Hashing, s.Chance, g.user, g.password, secret.New(v.given["NEW_PASSWORD"]), false)
	if err != nil {
		return nil, err
	}
	given := challenge.GivenAttributes(v.given)
	return s.advance(ctx, v, func(tx store.Tx, u *user.Record) (proven, error) {
		if u.Status != user.ForceChangePassword {
			return proven{refused: fault.SessionInvalid()}, nil // an administrator has set another one meanwhile
		}
		completed, err := complete(c, u, given)
		if err != nil {
			return proven{}, err
		}
		after, err := replace(tx, c, u, completed, g.password, next)
		if taken, ok := errors.AsType[*store.Conflict](err); ok {
			return proven{}, fault.AliasExists(user.AttributeOf(taken.Login.Space)).Because(err)
		}
		if err != nil {
			return proven{}, err
		}
		names := []string{"password"}
		for _, value := range given {
			names = append(names, value.Name)
		}
		return proven{user: after, names: names}, nil
	})
}

// complete is a user with the attributes that come with a first password of its own.
func complete(c *dispatch.Call, u *user.Record, given []user.Value) (*user.Record, error) {
	required := challenge.MissingAttributes(c.Pool, u)
	has := func(name string) bool {
		return slices.ContainsFunc(given, func(v user.Value) bool { return v.Name == name && *v.Text != "" })
	}
	for _, name := range required {
		if !has(name) {
			return nil, fault.NewAttributeMissing(name)
		}
	}
	for _, v := range given {
		if a, ok := c.Pool.Attribute(v.Name); ok && a.Required && !slices.Contains(required, v.Name) {
			return nil, fault.NewAttributeGiven(v.Name)
		}
		if err := checkWrites(c, v.Name); err != nil {
			return nil, err
		}
	}
	if len(given) == 0 {
		return u, nil
	}
	plan, err := user.Apply(c.Pool.Accepting(required), u, given, c.Now)
	return plan.After, err
}
