package ops

import (
	"cmp"
	"context"
	"errors"
	"maps"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// This file holds custom sign-ins: after each step the pool's own functions decide what comes next, and in between they ask and
// judge challenges of their own.
//
// A step is passed before a function hears of its answer, so that of many answers at once one is judged. Whatever the functions
// say about a name that nobody has, there are no tokens for it.

// byFunctions begins a custom sign-in. With CHALLENGE_NAME SRP_A the client begins an SRP exchange at the same time; other names
// count as none (unconfirmed).
//
// Evidence: the reference page "InitiateAuth"; the developer guide on custom challenges.
func (s *SignIns) byFunctions(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	if err := v.need("USERNAME"); err != nil {
		return nil, err
	}
	begins := cmp.Or(v.given["CHALLENGE_NAME"], v.given["ChallengeName"]) == string(challenge.SRPA)
	if begins {
		if err := v.needSRP(challenge.PasswordSRP); err != nil {
			return nil, err
		}
	}
	if err := v.proveClient(); err != nil {
		return nil, err
	}
	if v.c.Pool.Lambda.Function(notice.DefineChallenge) == "" {
		return nil, fault.NoCustomFunction()
	}
	g, err := s.find(ctx, v, begins)
	if err != nil {
		return nil, err
	}
	if err := s.enter(ctx, v, g); err != nil {
		return nil, err
	}
	if begins {
		v.state.History = []challenge.Result{{Name: challenge.SRPA, Right: true}}
	} else if g.user != nil && !hidden(v.c) {
		if err := unproven(&v.state, g.user); err != nil {
			return nil, err
		}
	}
	return s.define(ctx, v, g, v.state, s.draw(), false)
}

// unproven is the fault of a user whom the functions alone let in and who may not sign in by that; nil for one who may, and for
// all others, whose first factor has shown it.
//
// That a temporary password does not matter is observed, the rest unconfirmed.
func unproven(state *challenge.State, u *user.Record) error {
	switch {
	case state.Flow != challenge.Custom || state.First != "":
		return nil
	case u.Status == user.Unconfirmed:
		return fault.UserNotConfirmed()
	case u.Status == user.ExternalProvider:
		return fault.WrongPassword()
	}
	return nil
}

// define asks what a custom sign-in goes on to, and does it. The step that led here is passed. changed says that the answer
// changed the user.
func (s *SignIns) define(ctx context.Context, v *visit, g *guest, state challenge.State, d chances, changed bool) (*api.InitiateAuthOutput, error) {
	v.state = state
	said, err := s.Messages.DefineAuthChallenge(ctx, v.c, v.asked(g.user), answered(state.History))
	if err != nil {
		return nil, err
	}
	next, err := challenge.Decide(&state, challenge.Decision{Name: challenge.Name(said.Name), Issue: said.Issue, Fail: said.Fail})
	switch {
	case errors.Is(err, challenge.ErrFailed):
		return nil, fault.WrongPassword()
	case errors.Is(err, challenge.ErrUnknown):
		return nil, fault.NoSuchChallenge().Because(err)
	case err != nil:
		return nil, err
	case next.Done():
		return s.trust(ctx, v, g, &state, d, changed)
	case next.Name == challenge.PasswordVerifier:
		return s.exchangeNow(v, g)
	}
	return s.offerNext(ctx, v, g, next, d, changed)
}

// trust completes a sign-in whose functions want tokens.
func (s *SignIns) trust(ctx context.Context, v *visit, g *guest, state *challenge.State, d chances, changed bool) (*api.InitiateAuthOutput, error) {
	if g.user == nil {
		return nil, fault.WrongPassword()
	}
	if err := unproven(state, g.user); err != nil {
		return nil, err
	}
	signer, err := s.Tokens.Signer(ctx, v.c.Pool)
	if err != nil {
		return nil, err
	}
	return s.end(ctx, v, g.user, state, signer, d, changed)
}

// exchangeNow goes on with the SRP exchange that the client has begun in this very request.
func (s *SignIns) exchangeNow(v *visit, g *guest) (*api.InitiateAuthOutput, error) {
	public, err := publicValue(v.given["SRP_A"])
	if err != nil {
		return nil, err
	}
	o, err := s.exchange(v, g, public)
	if err != nil {
		return nil, err
	}
	return s.showExchange(v.c, o)
}

// offerNext asks the challenge that the functions want: one of their own, or a second factor.
func (s *SignIns) offerNext(ctx context.Context, v *visit, g *guest, next challenge.Step, d chances, changed bool) (*api.InitiateAuthOutput, error) {
	c := v.c
	own := &offered{state: step(c, v.state, next.Name, d.step)}
	if next.Name == challenge.CustomChallenge {
		made, err := s.Messages.CreateAuthChallenge(ctx, c, v.asked(g.user), string(next.Name), answered(v.state.History))
		if err != nil {
			return nil, err
		}
		own.state.Private, own.state.Note, own.parameters = made.Private, made.Note, maps.Clone(made.Public)
		if own.parameters == nil {
			own.parameters = map[string]string{}
		}
		own.parameters["USERNAME"] = s.idOf(v, g.user)
	}
	var o *offered
	var now *user.Record
	var refusal error
	err := s.Store.Update(ctx, c.Scope(""), func(tx store.Tx) (err error) {
		now, refusal = nil, nil
		if now, err = s.again(tx, v); err != nil {
			return err
		}
		switch {
		case next.Name == challenge.CustomChallenge:
			copied := *own
			o = &copied
			refusal, err = keep(tx, c, &o.state)
			return err
		case now == nil:
			o, refusal, err = s.pretend(tx, v, next, d)
			return err
		}
		if o, refusal, err = s.offer(tx, v, now, v.state, next, d); err != nil || refusal != nil || len(o.messages) == 0 {
			return err
		}
		entry := c.Entry(c.Pool.ID, now.Sub)
		if changed {
			entry.RequestID += "/code" // the answer itself has the entry of the request
		}
		return tx.Journal().Add(entry)
	})
	if err = cmp.Or(err, refusal); err != nil {
		return nil, err
	}
	return s.hand(ctx, c, now, o)
}

// pretend offers a second factor to nobody.
func (s *SignIns) pretend(tx store.Tx, v *visit, next challenge.Step, d chances) (o *offered, refused, err error) {
	o = &offered{state: step(v.c, v.state, next.Name, d.step), parameters: map[string]string{}}
	switch next.Name {
	case challenge.SMSMFA:
		s.pretendFactor(v, o, pool.PhoneNumber, d.code.code)
	case challenge.EmailOTP:
		if _, spent, err := spend(tx, v.c, s.subject(v, nil), verify.MailFactor); spent != nil || err != nil {
			return nil, fault.FactorCodesExceeded(), err
		}
		s.pretendFactor(v, o, pool.Email, d.long)
	}
	o.parameters["USER_ID_FOR_SRP"] = s.idOf(v, nil)
	if err := idle(tx, v.c, s.Decoys.Subject(v.c.Pool, v.state.Username), d.long); err != nil {
		return nil, nil, err
	}
	refused, err = keep(tx, v.c, &o.state)
	return o, refused, err
}

// customAnswer has the answer to CUSTOM_CHALLENGE judged. It passes the step whatever comes of it.
func (s *SignIns) customAnswer(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	g, err := s.whose(ctx, v, false)
	if err != nil {
		return nil, err
	}
	var refusal error
	err = s.Store.Update(ctx, v.c.Scope(""), func(tx store.Tx) (err error) {
		refusal = nil
		if g.user, err = s.again(tx, v); err != nil {
			return err
		}
		if refusal, err = s.unused(tx, v); refusal != nil || err != nil {
			return err
		}
		return s.pass(tx, v)
	})
	if err = cmp.Or(err, refusal); err != nil {
		return nil, err
	}
	right, err := s.Messages.VerifyAuthChallenge(ctx, v.c, v.asked(g.user), v.state.Private, v.given["ANSWER"])
	if err != nil {
		return nil, err
	}
	return s.define(ctx, v, g, v.state.Answer(right), s.draw(), false)
}

// asked is what the functions of a custom sign-in learn of a visit.
func (v *visit) asked(u *user.Record) notice.Asked {
	return notice.Asked{User: u, Username: v.state.Username, Metadata: v.told()}
}

// answered is the history of a sign-in as its functions get it.
func answered(history []challenge.Result) []notice.Answered {
	list := make([]notice.Answered, len(history))
	for i, r := range history {
		list[i] = notice.Answered{Name: string(r.Name), Right: r.Right, Note: r.Note}
	}
	return list
}

// wireNames are names of challenges as an answer lists them; nil for none.
func wireNames(names []challenge.Name) (list []string) {
	for _, n := range names {
		list = append(list, string(n))
	}
	return list
}
