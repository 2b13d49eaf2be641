package ops

import (
	"context"
	"maps"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// Respond answers a challenge.
//
// Evidence: the reference page "RespondToAuthChallenge"; observed texts. The order of the checks is documented in part.
func (s *SignIns) Respond(ctx context.Context, c *dispatch.Call, in *api.RespondToAuthChallengeInput) (*api.RespondToAuthChallengeOutput, error) {
	setOrigin(c, in.UserContextData)
	v := &visit{c: c, given: in.ChallengeResponses, metadata: in.ClientMetadata, session: in.Session}
	out, err := s.answer(ctx, v, challenge.Name(in.ChallengeName))
	return (*api.RespondToAuthChallengeOutput)(out), err
}

// AdminRespond is Respond on behalf of an administrator.
//
// Evidence: the reference page "AdminRespondToAuthChallenge".
func (s *SignIns) AdminRespond(ctx context.Context, c *dispatch.Call, in *api.AdminRespondToAuthChallengeInput) (*api.AdminRespondToAuthChallengeOutput, error) {
	v := &visit{c: c, admin: true, given: in.ChallengeResponses, metadata: in.ClientMetadata, session: in.Session}
	out, err := s.answer(ctx, v, challenge.Name(in.ChallengeName))
	return (*api.AdminRespondToAuthChallengeOutput)(out), err
}

// answer finds out where the sign-in stands and has the answer evaluated.
func (s *SignIns) answer(ctx context.Context, v *visit, name challenge.Name) (*api.InitiateAuthOutput, error) {
	if name == challenge.PasswordVerifier {
		return s.answerPassword(ctx, v)
	}
	var bad error
	if v.session != nil {
		if v.state, bad = s.unseal(v.c, v.session.Reveal()); bad == nil && v.state.At != name {
			if !v.state.Chooses(name) {
				return nil, fault.SessionInvalid()
			}
			v.given = maps.Clone(v.given)
			v.given["ANSWER"], name = string(name), challenge.SelectChallenge
		}
	}
	needs, evaluate := s.answering(&v.state, name)
	if evaluate == nil {
		return nil, fault.SessionInvalid() // nobody was ever asked for it
	}
	if err := v.need("USERNAME"); err != nil {
		return nil, err
	}
	if v.session == nil {
		return nil, fault.MissingParameter("Session")
	}
	if err := v.need(needs...); err != nil {
		return nil, err
	}
	if _, sent := v.given["ANSWER"]; !sent && name == challenge.CustomChallenge { // an empty one is for the function to judge
		return nil, fault.MissingParameter("ANSWER")
	}
	if err := v.proveClient(); err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, bad
	}
	return evaluate(ctx, v)
}

// evaluator evaluates the answer to a challenge.
type evaluator func(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error)

// answering is how the answer to a challenge is evaluated, and what it needs besides USERNAME; nil for challenges that this
// server does not ask. EMAIL_OTP is a first factor or a second one.
func (s *SignIns) answering(state *challenge.State, name challenge.Name) (needs []string, evaluate evaluator) {
	switch name {
	case challenge.NewPasswordRequired:
		return []string{"NEW_PASSWORD"}, s.newPassword
	case challenge.CustomChallenge:
		return nil, s.customAnswer
	case challenge.SelectChallenge, challenge.Password, challenge.PasswordSRP, challenge.SMSOTP:
		return s.answeringFirst(name)
	case challenge.EmailOTP:
		if state.Choosing() {
			return s.answeringFirst(name)
		}
	}
	return s.answeringFactor(name)
}

// answerPassword answers PASSWORD_VERIFIER. Its secret block tells where the sign-in stands; a session belongs to it only where
// the challenge had one.
func (s *SignIns) answerPassword(ctx context.Context, v *visit) (*api.InitiateAuthOutput, error) {
	if err := v.need("USERNAME", "PASSWORD_CLAIM_SECRET_BLOCK"); err != nil {
		return nil, err
	}
	state, block, bad := s.openBlock(v.c, v.given["PASSWORD_CLAIM_SECRET_BLOCK"])
	if bad == nil && state.Flow != challenge.UserSRP {
		if v.session == nil {
			return nil, fault.MissingParameter("Session")
		}
		var other challenge.State
		if other, bad = s.unseal(v.c, v.session.Reveal()); bad == nil && other.ID != state.ID {
			bad = fault.SessionInvalid()
		}
	}
	if err := v.need("PASSWORD_CLAIM_SIGNATURE", "TIMESTAMP"); err != nil {
		return nil, err
	}
	if err := v.proveClient(); err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, bad
	}
	v.state = state
	return s.verifyPassword(ctx, v, block)
}
