package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
)

// prover is the client of all exchanges by SRP: their public value takes time that is no matter of the server.
var prover = sync.OnceValue(func() *srpclient.Client { return srpclient.New([]byte("an exponent that is no secret")) })

// timestampForm is how clients write the time of an answer.
const timestampForm = "Mon Jan 2 15:04:05 UTC 2006"

// answerChallenge answers a challenge of InitiateAuth by SRP.
func answerChallenge(s *subject, reply []byte) ([]byte, error) {
	var asked struct{ ChallengeParameters map[string]string }
	if err := json.Unmarshal(reply, &asked); err != nil {
		return nil, fmt.Errorf("read a challenge: %w", err)
	}
	p, now := asked.ChallengeParameters, time.Now().UTC().Format(timestampForm)
	signature, err := prover().Sign(s.group(), password, now, p)
	if err != nil {
		return nil, fmt.Errorf("answer a challenge: %w", err)
	}
	return json.Marshal(map[string]any{"ClientId": s.client, "ChallengeName": "PASSWORD_VERIFIER", "ChallengeResponses": map[string]string{
		"USERNAME": p["USER_ID_FOR_SRP"], "PASSWORD_CLAIM_SIGNATURE": signature, "PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"], "TIMESTAMP": now}})
}

// pairs measures an operation of two requests: first all of the first requests, as long as part of a round, then what follows from their
// replies. The time in between, in which the second requests are made, does not count.
func (t *target) pairs(ctx context.Context, op *operation, first load) (*outcome, error) {
	const part = 8 // of a round: the first request is the cheaper one
	type begun struct {
		reply []byte
		took  time.Duration
	}
	var mu sync.Mutex
	var all []begun
	first.duration /= part
	first.answered = func(_ uint64, took time.Duration, reply []byte) {
		one := begun{append([]byte(nil), reply...), took}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, one)
	}
	one, err := first.run(ctx)
	if err != nil || one.errors > 0 {
		return one, err
	}
	bodies := make([][]byte, len(all))
	err = parallel(ctx, len(all), func(i int) (err error) {
		bodies[i], err = op.follow(&t.about, all[i].reply)
		return err
	})
	if err != nil {
		return nil, err
	}
	var next atomic.Uint64
	var times histogram
	second := load{address: t.address, connections: first.connections, count: uint64(len(all)), next: &next, cpu: first.cpu,
		request: func(to []byte, n uint64) []byte { return t.maker.Append(to, "RespondToAuthChallenge", bodies[n]) },
		answered: func(n uint64, took time.Duration, _ []byte) {
			mu.Lock()
			defer mu.Unlock()
			times.record(all[n].took + took)
		}}
	two, err := second.run(ctx)
	if err != nil {
		return nil, err
	}
	if two.requests != one.requests {
		return nil, errors.New("a pair of requests was torn apart")
	}
	two.elapsed += one.elapsed
	two.cpu += one.cpu
	two.cpuKnown = two.cpuKnown && one.cpuKnown
	two.times = times
	return two, nil
}
