package ops

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// This file holds the sign-ins whose first factor the user chooses: a password, or a code that is sent to an address.
//
// Where the client hides who exists, a name that nobody has is offered what the pool allows, codes go to addresses that Decoys
// make up, and every answer is wrong. A user who can prove nothing is answered in the same way.

// byChoice begins a sign-in by the factor that the user prefers, or asks for the choice.
//
// Evidence: the reference page "InitiateAuth"; the developer guide on choice-based sign-in. That a preference which is not
// available is no fault is documented.
func (s *SignIns) byChoice(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	if v.session != nil {
		if err := s.signedUp(v); err != nil {
			return nil, err
		}
	}
	if err := v.need("USERNAME"); err != nil {
		return nil, err
	}
	wanted := challenge.Name(v.given["PREFERRED_CHALLENGE"])
	if err := v.needSRP(wanted); err != nil {
		return nil, err
	}
	if err := v.proveClient(); err != nil {
		return nil, err
	}
	g, err := s.find(ctx, v, false)
	if err != nil {
		return nil, err
	}
	if v.stands() {
		if err := s.same(v, g); err != nil {
			return nil, err
		}
	}
	if err := s.enter(ctx, v, g); err != nil {
		return nil, err
	}
	firsts := firstFactors(v, g)
	if len(firsts) == 0 && hidden(v.c) {
		v.state.Counts = v.state.Sub
		g.user, g.password, v.state.Sub, v.state.Username = nil, nil, "", g.name
		firsts = firstFactors(v, g)
	}
	switch {
	case len(firsts) == 0:
		return nil, fault.WrongPassword()
	case v.stands() && len(v.state.Choices) == 1 && slices.Contains(firsts, v.state.Choices[0]):
		return s.advance(ctx, v, func(_ store.Tx, u *user.Record) (proven, error) {
			return proven{refused: entitled(v, u, v.state.Choices[0]), first: v.state.Choices[0]}, nil
		})
	}
	v.state = challenge.State{Flow: v.state.Flow, Sub: v.state.Sub, Username: v.state.Username, Counts: v.state.Counts}
	if !slices.Contains(firsts, wanted) {
		wanted = challenge.SelectChallenge
	}
	return s.chosen(ctx, v, g, wanted, firsts)
}

// signedUp reads the session of ConfirmSignUp, which names the user.
func (s *SignIns) signedUp(v *visit) error {
	state, err := s.unseal(v.c, v.session.Reveal())
	if err != nil {
		return err
	}
	if state.At != challenge.SignedUp {
		return fault.SessionInvalid()
	}
	v.state = state
	if v.given["USERNAME"] == "" {
		v.given = maps.Clone(v.given)
		if v.given == nil {
			v.given = map[string]string{}
		}
		v.given["USERNAME"] = state.Username
	}
	return nil
}

// needSRP refuses a choice of PASSWORD_SRP without a good public value.
func (v *visit) needSRP(wanted challenge.Name) error {
	if wanted != challenge.PasswordSRP {
		return nil
	}
	if err := v.need("SRP_A"); err != nil {
		return err
	}
	_, err := publicValue(v.given["SRP_A"])
	return err
}

// firstFactors are what a guest can begin with. Nobody could begin with everything that the pool allows.
func firstFactors(v *visit, g *guest) []challenge.Name {
	p := v.c.Pool
	f := challenge.Firsts{Allowed: p.FirstFactors, Pool: p.MFA, Status: user.Confirmed, Password: true, Email: true, Phone: true}
	if u := g.user; u != nil {
		f.Status, f.Second, f.Password = u.Status, len(u.SecondFactors()) > 0, g.password != nil && !u.PasswordOff
		f.Email, f.Phone = u.Attributes[pool.Email] != "", u.Attributes[pool.PhoneNumber] != ""
	}
	return f.Available()
}

// entitled refuses a user who may not begin with the factor, or not any more: the pool or the user may have changed since the
// challenge was made.
func entitled(v *visit, u *user.Record, factor challenge.Name) error {
	if !u.Enabled {
		return fault.UserDisabled()
	}
	if !slices.Contains(firstFactors(v, &guest{user: u}), factor) {
		return fault.SessionInvalid()
	}
	return nil
}

// chosen goes on with the first factor that was chosen: it evaluates the factor's answer if that came along, or else asks for it.
func (s *SignIns) chosen(ctx context.Context, v *visit, g *guest, name challenge.Name, firsts []challenge.Name) (*api.InitiateAuthOutput, error) {
	switch {
	case name == challenge.Password && v.given["PASSWORD"] != "":
		v.state.At = challenge.Password
		return s.check(ctx, v, g, secret.New(v.given["PASSWORD"]))
	case name == challenge.PasswordSRP && v.given["SRP_A"] != "":
		return s.chosenSRP(ctx, v, g, firsts)
	}
	d := s.draw()
	o := &offered{state: step(v.c, v.state, name, d.step), parameters: map[string]string{}, firsts: firsts}
	o.state.Choices = firsts
	var send sending
	attribute, byCode := challenge.ByCode(name)
	if byCode {
		send = func(tx store.Tx, u *user.Record) (refused, err error) { return s.sendFirst(tx, v, u, o, attribute, d) }
	}
	if byCode || v.stands() {
		if err := s.offerFirst(ctx, v, o, send); err != nil {
			return nil, err
		}
	}
	switch name {
	case challenge.Password, challenge.PasswordSRP:
		o.parameters["USERNAME"] = s.idOf(v, g.user)
	case challenge.SMSOTP:
		o.parameters["USER_ID_FOR_SRP"] = s.idOf(v, g.user)
	}
	return s.hand(ctx, v.c, g.user, o)
}

// chosenSRP goes on with the first request of an SRP exchange.
func (s *SignIns) chosenSRP(ctx context.Context, v *visit, g *guest, firsts []challenge.Name) (*api.InitiateAuthOutput, error) {
	public, err := publicValue(v.given["SRP_A"])
	if err != nil {
		return nil, err
	}
	o, err := s.exchange(v, g, public)
	if err != nil {
		return nil, err
	}
	o.firsts, o.state.Choices = firsts, nil // the session has no room for more than the exchange
	if v.stands() {
		if err := s.offerFirst(ctx, v, o, nil); err != nil {
			return nil, err
		}
	}
	return s.showExchange(v.c, o)
}

// sending is what a challenge sends out, in the transaction that makes it; u is nil for nobody.
type sending func(tx store.Tx, u *user.Record) (refused, err error)

// offerFirst makes the challenge of a first factor, and passes the step that led to it.
func (s *SignIns) offerFirst(ctx context.Context, v *visit, o *offered, send sending) error {
	c := v.c
	var refusal error
	err := s.Store.Update(ctx, c.Scope(""), func(tx store.Tx) error {
		refusal, o.messages = nil, nil
		u, err := s.again(tx, v)
		if err != nil {
			return err
		}
		if refusal, err = s.unused(tx, v); refusal != nil || err != nil {
			return err
		}
		if send != nil {
			if refusal, err = send(tx, u); refusal != nil || err != nil {
				return err
			}
		}
		if err := s.pass(tx, v); err != nil || len(o.messages) == 0 {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, u.Sub))
	})
	return cmp.Or(err, refusal)
}

// sendFirst sends the code that is a first factor. So many go out in an hour, for a user or a name that nobody has.
func (s *SignIns) sendFirst(tx store.Tx, v *visit, u *user.Record, o *offered, attribute string, d chances) (refused, err error) {
	c := v.c
	subject := s.subject(v, u)
	if _, spent, err := spend(tx, c, subject, verify.AskFirstFactor); spent != nil || err != nil {
		return fault.FactorCodesExceeded(), err
	}
	if u != nil {
		return s.sendFactor(tx, v, u, o, attribute, draw{d.long, d.code.id})
	}
	s.pretendFactor(v, o, attribute, d.long)
	return nil, idle(tx, c, subject, d.long)
}

// pretendFactor is sendFactor for nobody.
func (s *SignIns) pretendFactor(v *visit, o *offered, attribute string, code secret.Text) {
	o.state.Code = challenge.NewCode(o.state.ID, "", code)
	o.parameters = codeParameters(notice.MediumOf(attribute), s.Decoys.destination(v.c, v.state.Username, attribute))
}

// codeParameters tell the client where a code went.
func codeParameters(medium notice.Medium, destination string) map[string]string {
	return map[string]string{"CODE_DELIVERY_DELIVERY_MEDIUM": string(medium), "CODE_DELIVERY_DESTINATION": destination}
}

// answeringFirst is answering for first factors.
func (s *SignIns) answeringFirst(name challenge.Name) (needs []string, evaluate evaluator) {
	switch name {
	case challenge.SelectChallenge:
		return []string{"ANSWER"}, s.choose
	case challenge.Password:
		return []string{"PASSWORD"}, s.password
	case challenge.PasswordSRP:
		return []string{"SRP_A"}, s.password
	case challenge.EmailOTP:
		return []string{"EMAIL_OTP_CODE"}, s.firstCode
	case challenge.SMSOTP:
		return []string{"SMS_OTP_CODE"}, s.firstCode
	}
	return nil, nil
}

// whose finds the user of a session, and refuses an answer in another name.
func (s *SignIns) whose(ctx context.Context, v *visit, byPassword bool) (*guest, error) {
	g, err := s.find(ctx, v, byPassword)
	if err != nil {
		return nil, err
	}
	return g, s.same(v, g)
}

// choose evaluates the answer to SELECT_CHALLENGE.
func (s *SignIns) choose(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	g, err := s.whose(ctx, v, false)
	if err != nil {
		return nil, err
	}
	name, firsts := challenge.Name(v.given["ANSWER"]), firstFactors(v, g)
	if !slices.Contains(v.state.Choices, name) || !slices.Contains(firsts, name) {
		return nil, fault.NotAFirstChoice()
	}
	return s.chosen(ctx, v, g, name, firsts)
}

// password evaluates the answer to PASSWORD, and to PASSWORD_SRP.
func (s *SignIns) password(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	g, err := s.whose(ctx, v, true)
	if err != nil {
		return nil, err
	}
	return s.chosen(ctx, v, g, v.state.At, v.state.Choices)
}

// firstCode evaluates a code that is a first factor.
func (s *SignIns) firstCode(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	if _, err := s.whose(ctx, v, false); err != nil {
		return nil, err
	}
	return s.advance(ctx, v, func(tx store.Tx, u *user.Record) (proven, error) { return s.firstCodeProof(tx, v, u) })
}

// firstCodeProof compares a code, which verifies the address that it was sent to and confirms a user who signed up. Wrong codes
// count over all sign-ins of a user, or of a name that nobody has, apart from those of second factors: whoever guesses here
// needs to know nothing before.
//
// Evidence: documented; the texts, and that the schedule of locks is that of passwords, are unconfirmed.
func (s *SignIns) firstCodeProof(tx store.Tx, v *visit, u *user.Record) (proven, error) {
	c, factor := v.c, v.state.At
	attribute, _ := challenge.ByCode(factor)
	take, subject := tx.Tallies().Take, s.subject(v, u)
	if u != nil {
		take = tx.Tallies().Get // who has locked the user has locked its tallies
	}
	t, err := take(c.Pool.ID, subject, verify.FirstFactor)
	switch {
	case err != nil:
		return proven{}, err
	case t.Locked(c.Now) || t.Failures >= verify.MaxFailures:
		return proven{refused: fault.PasswordAttemptsExceeded()}, nil
	case u == nil || !v.state.Code.Matches(v.state.ID, secret.New(v.given[string(factor)+"_CODE"])):
		return proven{refused: fault.FactorCodeWrong()}, tx.Tallies().Put(c.Pool.ID, subject, verify.FirstFactor, t.Miss(c.Now))
	case v.state.Code.To != u.Attributes[attribute]:
		return proven{refused: fault.CodeExpired()}, nil
	}
	if refused := entitled(v, u, factor); refused != nil {
		return proven{refused: refused}, nil
	}
	if t != (verify.Tally{}) {
		if err := tx.Tallies().Put(c.Pool.ID, subject, verify.FirstFactor, verify.Tally{}); err != nil {
			return proven{}, err
		}
	}
	return confirmedBy(c, tx, u, factor, attribute)
}

// confirmedBy is what a right code does to its user, besides proving the first factor: who signed up is confirmed, unless the
// address is an alias that somebody else has. An imported user who never had a password has none to reset (unconfirmed).
func confirmedBy(c *dispatch.Call, tx store.Tx, u *user.Record, factor challenge.Name, attribute string) (proven, error) {
	confirms := u.Status == user.Unconfirmed
	if u.Status == user.ResetRequired {
		stored, err := password(tx.Passwords(), c.Pool.ID, u.Sub)
		if err != nil {
			return proven{}, err
		}
		confirms = stored == nil
	}
	if !confirms {
		got, err := verifiedBy(c, tx, u, attribute)
		got.first = factor
		return got, err
	}
	after, flag := u.Confirm(u.Attributes[attribute], c.Now)
	_, taken, err := claim(tx.Users(), c, u, after, false)
	if err != nil || taken != nil {
		return proven{refused: taken}, err
	}
	if err := tx.Codes().Void(c.Pool.ID, u.Sub, verify.SignUp); err != nil {
		return proven{}, err
	}
	return proven{user: after, names: []string{flag}, first: factor, confirmed: u.Status == user.Unconfirmed}, nil
}
