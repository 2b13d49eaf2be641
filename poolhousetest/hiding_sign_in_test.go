package poolhousetest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/srpclient"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// signInClient makes a client that hides who exists, by which users sign in with passwords as well.
func (h *hiding) signInClient() {
	h.Helper()
	var client struct{ UserPoolClient struct{ ClientId string } } //nolint:revive // the name on the wire
	h.must("CreateUserPoolClient", map[string]any{"UserPoolId": h.pool, "ClientName": "sign-ins", "PreventUserExistenceErrors": "ENABLED",
		"ExplicitAuthFlows": []string{"ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH"}}, &client)
	h.client = client.UserPoolClient.ClientId
}

// guess tries a wrong password.
func (h *hiding) guess(name string) answer {
	h.Helper()
	return h.call("InitiateAuth", map[string]any{"ClientId": h.client, "AuthFlow": "USER_PASSWORD_AUTH",
		"AuthParameters": map[string]string{"USERNAME": name, "PASSWORD": "Wrong-h0rse"}})
}

// prover is the exchange that all strangers begin: nothing is secret in it.
var prover = srpclient.New([]byte("an exponent that is no secret"))

// exchange begins to prove a password.
func (h *hiding) exchange(name string) answer {
	h.Helper()
	return h.call("InitiateAuth", map[string]any{"ClientId": h.client, "AuthFlow": "USER_SRP_AUTH", "AuthParameters": map[string]string{"USERNAME": name, "SRP_A": prover.Public}})
}

// parameters are those of the challenge that an exchange leads to.
func (h *hiding) parameters(a answer) map[string]string {
	h.Helper()
	var asked struct{ ChallengeParameters map[string]string }
	want.NoError(h, json.Unmarshal([]byte(a.Body), &asked))
	return asked.ChallengeParameters
}

// prove answers a challenge by a proof that is wrong.
func (h *hiding) prove(p map[string]string) answer {
	h.Helper()
	return h.call("RespondToAuthChallenge", map[string]any{"ClientId": h.client, "ChallengeName": "PASSWORD_VERIFIER", "ChallengeResponses": map[string]string{
		"USERNAME": p["USER_ID_FOR_SRP"], "PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"], "PASSWORD_CLAIM_SIGNATURE": base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"TIMESTAMP": time.Now().UTC().Format("Mon Jan 2 15:04:05 UTC 2006")}})
}

// TestA1StrangersSignInTheSame is test A1 for sign-ins: by a client that hides who exists, wrong passwords and wrong proofs read the same
// for existing, disabled, unconfirmed, forced and unknown users, byte by byte and header by header, up to the lock.
func TestA1StrangersSignInTheSame(t *testing.T) {
	t.Parallel()
	h := newHiding(t)
	h.signInClient()
	email := func(state string) string { return "j-" + state + "@example.com" }
	states := []string{"unknown", "confirmed", "unconfirmed", "disabled", "forced", "reset"}
	h.newcomer(email("unconfirmed"))
	for _, state := range []string{"confirmed", "disabled", "forced", "reset"} {
		h.user(email(state), state != "forced")
	}
	h.must("AdminDisableUser", map[string]any{"UserPoolId": h.pool, "Username": email("disabled")}, nil)
	h.must("AdminResetUserPassword", map[string]any{"UserPoolId": h.pool, "Username": email("reset")}, nil)

	var wrong, locked answer
	compare := func(what, state string, got answer, first *answer) {
		t.Helper()
		if first.Status == 0 {
			*first = got
		} else if !equalAnswers(got, *first) {
			t.Errorf("%s: who is %s reads\n%+v\nand nobody reads\n%+v", what, state, got, *first)
		}
	}
	for _, state := range states {
		// Five wrong ones in both ways, and then as many as it takes to meet a lock, which last longer and longer.
		for i := range 5 {
			if i%2 == 0 {
				compare("a wrong password", state, h.guess(email(state)), &wrong)
				continue
			}
			compare("a wrong proof", state, h.prove(h.parameters(h.exchange(email(state)))), &wrong)
		}
		met := false
		for try := 0; try < 60 && !met; try++ {
			got := h.guess(email(state))
			if met = strings.Contains(got.Body, "Password attempts exceeded"); met {
				compare("a lock", state, got, &locked)
			} else {
				compare("a wrong password", state, got, &wrong)
			}
		}
		want.True(t, met, "who is %s is never locked", state)
	}
	want.Contains(t, wrong.Body, "Incorrect username or password.")
}

// TestA3ExchangesOfNobody is test A3: what nobody is sent in an exchange has the form of what users are sent, is always the same for a
// name, and another for other names and pools.
func TestA3ExchangesOfNobody(t *testing.T) {
	t.Parallel()
	h := newHiding(t)
	h.signInClient()
	h.user("jane@example.com", true)
	id := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	first := map[string]map[string]string{}
	for _, name := range []string{"jane@example.com", "joe@example.com", "jack@example.com"} {
		for range 20 {
			p := h.parameters(h.exchange(name))
			want.Equal(t, len(p), 5)
			want.True(t, id.MatchString(p["USERNAME"]) && p["USERNAME"] == p["USER_ID_FOR_SRP"], "the id of %s is %s", name, p["USERNAME"])
			if first[name] == nil {
				first[name] = p
			}
			want.Equal(t, []string{p["USERNAME"], p["SALT"]}, []string{first[name]["USERNAME"], first[name]["SALT"]})
			want.Equal(t, len(p["SECRET_BLOCK"]), len(first["jane@example.com"]["SECRET_BLOCK"]))
		}
	}
	different := map[string]bool{}
	for _, p := range first {
		different[p["SALT"]], different[p["USERNAME"]] = true, true
	}
	want.Equal(t, len(different), 6)

	// The lengths of salts are those of users, whose first digit may be zero.
	lengths := map[int]int{}
	for i := range 200 {
		lengths[len(h.parameters(h.exchange(fmt.Sprintf("nobody%d@example.com", i)))["SALT"])]++
	}
	t.Logf("lengths of the salts of nobody: %v", lengths)
	for length := range lengths {
		want.True(t, length > 24 && length <= 32, "a salt has %d digits", length)
	}
	want.True(t, lengths[32]+lengths[31] > 150, "most salts are as long as those of users: %v", lengths)
	other := newHiding(t)
	other.signInClient()
	p := other.parameters(other.exchange("joe@example.com"))
	want.True(t, p["SALT"] != first["joe@example.com"]["SALT"] && p["USERNAME"] != first["joe@example.com"]["USERNAME"], "pools have inventions of their own")
}

// TestA2StrangersSignInAsFast is test A2 for sign-ins: how long a wrong password, the beginning of an exchange and a wrong proof take
// says nothing of who exists.
func TestA2StrangersSignInAsFast(t *testing.T) {
	t.Parallel()
	rounds, strict := timingRounds, false
	if text := os.Getenv("POOLHOUSE_TEST_TIMING_ROUNDS"); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		want.NoError(t, err)
		strict = true
	}
	h := newHiding(t)
	h.signInClient()
	for i := range timedUsers {
		h.user(fmt.Sprintf("confirmed-%d@example.com", i), true)
	}
	for _, c := range []struct {
		what     string
		requests int                                 // of a user in a round; five wrong passwords are free
		prepare  func(name string) map[string]string // not timed; nil: nothing
		ask      func(name string, p map[string]string) answer
		answer   string
	}{
		{"a wrong password", 4, nil, func(name string, _ map[string]string) answer { return h.guess(name) }, "Incorrect username or password."},
		{"the beginning of an exchange", 5, nil, func(name string, _ map[string]string) answer { return h.exchange(name) }, "PASSWORD_VERIFIER"},
		{"a wrong proof", 4, func(name string) map[string]string { return h.parameters(h.exchange(name)) },
			func(_ string, p map[string]string) answer { return h.prove(p) }, "Incorrect username or password."},
	} {
		var known, unknown []float64
		ask := func(kind string, user int) float64 {
			name := fmt.Sprintf("%s-%d@example.com", kind, user)
			var p map[string]string
			if c.prepare != nil {
				p = c.prepare(name)
			}
			begin := time.Now()
			got := c.ask(name, p)
			took := time.Since(begin)
			want.True(t, strings.Contains(got.Body, c.answer), "%s is evaluated: %s", c.what, got.Body)
			return float64(took.Microseconds())
		}
		for round := range rounds {
			h.server.Advance(2 * time.Hour) // so that no lock comes near
			stranger := fmt.Sprintf("stranger%d", round)
			for range c.requests {
				for user := range timedUsers {
					if user%2 == 0 {
						known = append(known, ask("confirmed", user))
						unknown = append(unknown, ask(stranger, user))
					} else {
						unknown = append(unknown, ask(stranger, user))
						known = append(known, ask("confirmed", user))
					}
				}
			}
		}
		a, b := compare(known, unknown), median(unknown)
		apart := math.Abs(median(known) - b)
		t.Logf("%s: %d requests about each; median %.0f µs for users and %.0f µs for nobody, t = %.1f, a request tells with probability %.3f",
			c.what, len(known), median(known), b, a.t, a.auc)
		if strict {
			want.True(t, apart < 500 && math.Abs(a.t) < 4.5 && math.Abs(a.auc-0.5) <= 0.02, "%s takes no other time for users than for nobody", c.what)
		}
		want.True(t, apart < max(5_000, b), "%s: the medians are %.0f µs apart", c.what, apart)
	}
}
