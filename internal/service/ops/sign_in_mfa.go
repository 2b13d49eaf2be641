package ops

import (
	"github.com/poolhouse/poolhouse/internal/domain/challenge"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// This file is where second factors meet sign-ins: what a user can prove, what a challenge sends out, how its answer is
// evaluated.

// factors are what the choice of a second factor looks at.
func (s *SignIns) factors(_ store.Tx, c *dispatch.Call, u *user.Record) (challenge.Factors, error) {
	return challenge.Factors{Pool: c.Pool.MFA, Phone: u.Attributes[pool.PhoneNumber] != "", Email: u.Attributes[pool.Email] != ""}, nil
}

// offerFactor makes the challenge of a second factor: it fills o's parameters and messages, in the transaction that led to it.
// refused is the fault of one that cannot be made.
func (s *SignIns) offerFactor(_ store.Tx, v *visit, _ *user.Record, _ *offered, _ chances) (refused, err error) {
	return noSecondFactor(v.c), nil
}

// answeringFactor is answering for second factors.
func (s *SignIns) answeringFactor(challenge.Name) (needs []string, evaluate evaluator) {
	return nil, nil
}
