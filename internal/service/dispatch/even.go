package dispatch

import (
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

// Even makes answers leave late, so that how long the work took can hardly be read from outside: storing a message for
// somebody takes some tens of microseconds more than pretending to. An answer leaves at a whole step after its request
// has come, and a random part of another step after that, since timers are not exact enough for the former alone. A
// zero Step: at once.
type Even struct {
	Step   time.Duration // long beside the work of what is evened
	Random io.Reader     // never fails
}

// EvenStep is the step of servers. It is short beside what a person notices.
const EvenStep = 10 * time.Millisecond

// Wait returns when the answer may leave whose request came at a reading of the machine's clock, or when the caller
// gives up.
func (e Even) Wait(ctx context.Context, since time.Time) {
	if e.Step <= 0 {
		return
	}
	t := time.NewTimer(e.Step - clock.Machine().Sub(since)%e.Step + e.part())
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// part is a random part of a step.
func (e Even) part() time.Duration {
	var drawn [8]byte
	if _, err := io.ReadFull(e.Random, drawn[:]); err != nil {
		panic(err) // the source of all secrets is gone
	}
	return time.Duration(binary.LittleEndian.Uint64(drawn[:]) % uint64(e.Step))
}

// evened reports whether an answer shall tell nothing of who exists: those of clients that hide it, to strangers who
// name a user. SignUp tells of it anyhow.
func evened(c *Call) bool {
	return c.Client != nil && c.Client.HidesUsers() && c.Spec.Auth == api.Public && namesUser(c.Spec) && c.Spec.Name != api.SignUp.Name
}

// namesUser reports whether a request names a user: as a member, or among the parameters of a sign-in.
func namesUser(s *api.Spec) bool {
	return s.User >= 0 || s.Name == api.InitiateAuth.Name || s.Name == api.RespondToAuthChallenge.Name
}
