package poolhousetest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/testing/want"
	"github.com/poolhouse/poolhouse/poolhousetest"
)

// hiding is a server with a pool whose user names are e-mail addresses, and a client that does not tell who exists. It is asked as
// an attacker asks: over the network, with an eye on all that comes back.
type hiding struct {
	*testing.T
	server             *poolhousetest.Server
	http               *http.Client
	pool, open, client string
}

func newHiding(t *testing.T) *hiding {
	t.Helper()
	h := &hiding{T: t, server: poolhousetest.Start(t), http: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(h.http.CloseIdleConnections)
	var pool struct{ UserPool struct{ Id string } } //nolint:revive // the name on the wire
	h.must("CreateUserPool", map[string]any{"PoolName": "p", "UsernameAttributes": []string{"email"}, "AutoVerifiedAttributes": []string{"email"}}, &pool)
	h.pool = pool.UserPool.Id
	for setting, id := range map[string]*string{"LEGACY": &h.open, "ENABLED": &h.client} {
		var client struct{ UserPoolClient struct{ ClientId string } } //nolint:revive // the name on the wire
		h.must("CreateUserPoolClient", map[string]any{"UserPoolId": h.pool, "ClientName": setting, "PreventUserExistenceErrors": setting}, &client)
		*id = client.UserPoolClient.ClientId
	}
	return h
}

// An answer is all that comes back, but for what differs between any two answers.
type answer struct {
	Status  int
	Headers http.Header
	Body    string
}

// send makes a request and reads the answer.
func (h *hiding) send(method, target string, headers map[string]string, body []byte) answer {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), method, h.server.Endpoint+target, bytes.NewReader(body))
	want.NoError(h, err)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := h.http.Do(req)
	want.NoError(h, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	want.NoError(h, err)
	for _, name := range []string{"Date", "X-Amzn-Requestid"} {
		if resp.Header.Get(name) != "" {
			resp.Header.Set(name, "<"+name+">")
		}
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// call makes a call in the dialect of the AWS clients.
func (h *hiding) call(operation string, input map[string]any) answer {
	h.Helper()
	body, err := json.Marshal(input)
	want.NoError(h, err)
	return h.send(http.MethodPost, "/", map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSCognitoIdentityProviderService." + operation,
		"X-Amz-Date":    "20260101T000000Z",
		"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/cognito-idp/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)}, body)
}

// must makes a call that succeeds.
func (h *hiding) must(operation string, input map[string]any, into any) {
	h.Helper()
	got := h.call(operation, input)
	want.True(h, got.Status == http.StatusOK, "%s is answered %d %s", operation, got.Status, got.Body)
	if into != nil {
		want.NoError(h, json.Unmarshal([]byte(got.Body), into))
	}
}

// user makes a user by an administrator, with a verified address and a password that is permanent, or not.
func (h *hiding) user(email string, permanent bool) {
	h.Helper()
	user := map[string]any{"UserPoolId": h.pool, "Username": email}
	made := maps.Clone(user)
	made["MessageAction"], made["TemporaryPassword"] = "SUPPRESS", "Correct-h0rse"
	made["UserAttributes"] = []map[string]string{{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}}
	h.must("AdminCreateUser", made, nil)
	if permanent {
		user["Password"], user["Permanent"] = "Correct-h0rse", true
		h.must("AdminSetUserPassword", user, nil)
	}
}

// newcomer signs a user up who is not confirmed yet.
func (h *hiding) newcomer(email string) {
	h.Helper()
	h.must("SignUp", map[string]any{"ClientId": h.open, "Username": email, "Password": "Correct-h0rse",
		"UserAttributes": []map[string]string{{"Name": "email", "Value": email}}}, nil)
}

// guessed are the public operations that name a user, with the input of a stranger besides the name and the client, and how often the
// same answer comes before that of a used-up budget. The code has a form that no code has.
var guessed = map[string]struct {
	input  map[string]any
	budget int
}{
	"ConfirmSignUp":          {map[string]any{"ConfirmationCode": "12345"}, 15},
	"ResendConfirmationCode": {nil, 5},
	"ForgotPassword":         {nil, 5},
	"ConfirmForgotPassword":  {map[string]any{"ConfirmationCode": "12345", "Password": "Battery-st4ple"}, 20},
}

// telling are the public operations that name a user and are not hidden.
var telling = map[string]string{
	"SignUp":                  "says that a name is taken, by design of the service: the name could not be had otherwise",
	"UpdateAuthEventFeedback": "takes a token that only the user has",
}

// TestA1StrangersReadTheSame is test A1: by a client that hides who exists, existing, disabled, unconfirmed, forced and unknown users
// read the same at every public operation, byte by byte and header by header, from the first attempt to the one too many. The pages
// behind links too (A4).
func TestA1StrangersReadTheSame(t *testing.T) {
	t.Parallel()
	h := newHiding(t)
	email := func(state string) string { return "j-" + state + "@example.com" }
	states := []string{"unknown", "confirmed", "unconfirmed", "disabled", "forced", "reset"}
	h.newcomer(email("unconfirmed"))
	for _, state := range []string{"confirmed", "disabled", "forced", "reset"} {
		h.user(email(state), state != "forced")
	}
	h.must("AdminDisableUser", map[string]any{"UserPoolId": h.pool, "Username": email("disabled")}, nil)
	h.must("AdminResetUserPassword", map[string]any{"UserPoolId": h.pool, "Username": email("reset")}, nil)
	h.server.Advance(2 * time.Hour) // the administrator's request counts too

	// same asks about each user, and compares.
	same := func(what string, ask func(name string) answer) answer {
		t.Helper()
		first := ask(email(states[0]))
		for _, state := range states[1:] {
			if got := ask(email(state)); !equalAnswers(got, first) {
				t.Errorf("%s: who is %s reads\n%+v\nand nobody reads\n%+v", what, state, got, first)
			}
		}
		return first
	}
	for _, spec := range api.All() {
		if spec.Auth != api.Public || spec.User < 0 {
			continue
		}
		how, ok := guessed[spec.Name]
		if !ok {
			want.True(t, telling[spec.Name] != "", "%s names a user and is neither hidden nor known to tell", spec.Name)
			continue
		}
		ask := func(name string) answer {
			input := map[string]any{"ClientId": h.client, "Username": name}
			maps.Copy(input, how.input)
			return h.call(spec.Name, input)
		}
		for i := range how.budget {
			same(fmt.Sprintf("%s, attempt %d", spec.Name, i+1), ask)
		}
		over := same(spec.Name+", an attempt too many", ask)
		want.Contains(t, over.Body, "LimitExceededException")
	}
	h.server.Advance(2 * time.Hour)
	page := same("the page behind a link", func(name string) answer {
		return h.send(http.MethodGet, "/confirmUser/?"+url.Values{"client_id": {h.client}, "user_name": {name}, "confirmation_code": {"12345"}}.Encode(), nil, nil)
	})
	want.Contains(t, page.Body, "Invalid verification code provided, please try again.")
}

// TestA6PagesAndOperationsShareAttempts is the part of test A6 that codes have: guesses by the page behind a link, by a client that tells
// who exists, and by one that does not, are the guesses of one budget.
func TestA6PagesAndOperationsShareAttempts(t *testing.T) {
	t.Parallel()
	h := newHiding(t)
	const email = "jane@example.com"
	h.newcomer(email)
	page := func(client string) answer {
		return h.send(http.MethodGet, "/confirmUser/?"+url.Values{"client_id": {client}, "user_name": {email}, "confirmation_code": {"12345"}}.Encode(), nil, nil)
	}
	call := func(client string) answer {
		return h.call("ConfirmSignUp", map[string]any{"ClientId": client, "Username": email, "ConfirmationCode": "12345"})
	}
	ways := []func() answer{
		func() answer { return page(h.open) }, func() answer { return page(h.client) },
		func() answer { return call(h.open) }, func() answer { return call(h.client) },
	}
	for i := range guessed["ConfirmSignUp"].budget {
		want.Contains(t, ways[i%len(ways)]().Body, "Invalid verification code provided, please try again.")
	}
	for _, way := range ways {
		want.Contains(t, way().Body, "Attempt limit exceeded, please try after some time.")
	}
	code := h.server.LastCode(email)
	got := h.call("ConfirmSignUp", map[string]any{"ClientId": h.open, "Username": email, "ConfirmationCode": code})
	want.Contains(t, got.Body, "LimitExceededException")
}

func equalAnswers(a, b answer) bool {
	return a.Status == b.Status && a.Body == b.Body && maps.EqualFunc(a.Headers, b.Headers, slices.Equal)
}

// timingRounds is how many rounds of requests are timed when POOLHOUSE_TEST_TIMING_ROUNDS does not say. What can be told from a round
// is coarse, so that a busy machine does not fail the test; with the variable set the bars are those of the attack.
const timingRounds = 1

// The size of a round: users of each kind, and requests for each, which all budgets allow.
const (
	timedUsers    = 20
	timedRequests = 5
)

// TestA2StrangersWaitTheSame is test A2: how long an answer takes says nothing of who exists. Requests about users and about nobody
// take turns; medians, Welch's t after the slowest twentieth is cut off, and how often one request would tell are printed.
func TestA2StrangersWaitTheSame(t *testing.T) {
	t.Parallel()
	rounds, strict := timingRounds, false
	if text := os.Getenv("POOLHOUSE_TEST_TIMING_ROUNDS"); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		want.NoError(t, err)
		strict = true
	}
	h := newHiding(t)
	kinds := map[string]func(email string){"confirmed": func(email string) { h.user(email, true) }, "unconfirmed": h.newcomer}
	for kind, create := range kinds {
		for i := range timedUsers {
			create(fmt.Sprintf("%s-%d@example.com", kind, i))
		}
	}
	for _, c := range []struct{ operation, kind string }{
		{"ForgotPassword", "confirmed"}, {"ConfirmForgotPassword", "confirmed"}, {"ResendConfirmationCode", "unconfirmed"}, {"ConfirmSignUp", "unconfirmed"},
	} {
		var known, unknown []float64
		ask := func(kind string, user int) float64 {
			input := map[string]any{"ClientId": h.client, "Username": fmt.Sprintf("%s-%d@example.com", kind, user)}
			maps.Copy(input, guessed[c.operation].input)
			begin := time.Now()
			got := h.call(c.operation, input)
			took := time.Since(begin)
			want.True(t, !strings.Contains(got.Body, "LimitExceeded"), "%s is evaluated: %s", c.operation, got.Body)
			return float64(took.Microseconds())
		}
		for round := range rounds {
			// Budgets are for an hour, and a hundred failures in a row are the end of guessing: each round is about other strangers, and
			// users are helped by the clock and by an administrator.
			h.server.Advance(2 * time.Hour)
			stranger := fmt.Sprintf("stranger%d", round)
			for range timedRequests {
				for user := range timedUsers {
					if user%2 == 0 {
						known = append(known, ask(c.kind, user))
						unknown = append(unknown, ask(stranger, user))
					} else {
						unknown = append(unknown, ask(stranger, user))
						known = append(known, ask(c.kind, user))
					}
				}
			}
		}
		a, b := compare(known, unknown), median(unknown)
		t.Logf("%s: %d requests about each; median %.0f µs for users and %.0f µs for nobody, t = %.1f, a request tells with probability %.3f",
			c.operation, len(known), median(known), b, a.t, a.auc)
		apart := math.Abs(median(known) - b)
		if strict {
			want.True(t, apart < 500 && math.Abs(a.t) < 4.5 && math.Abs(a.auc-0.5) <= 0.02, "%s takes no other time for users than for nobody", c.operation)
		}
		want.True(t, apart < max(3_000, b), "%s: the medians are %.0f µs apart", c.operation, apart)
	}
}

func median(sample []float64) float64 {
	sorted := slices.Sorted(slices.Values(sample))
	return sorted[len(sorted)/2]
}

// comparison says how far two samples can be told from each other.
type comparison struct {
	t   float64 // Welch's
	auc float64 // probability that a value of the first is greater than one of the second; 0.5: nothing can be told
}

func compare(a, b []float64) comparison {
	greater := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				greater++
			case x == y:
				greater += 0.5
			}
		}
	}
	c := comparison{auc: greater / float64(len(a)*len(b))}
	meanA, varA := moments(a)
	meanB, varB := moments(b)
	c.t = (meanA - meanB) / math.Sqrt(varA+varB)
	return c
}

// moments are the mean of a sample without its slowest twentieth, and the variance of that mean.
func moments(sample []float64) (mean, variance float64) {
	kept := slices.Sorted(slices.Values(sample))[:len(sample)*19/20]
	n := float64(len(kept))
	for _, x := range kept {
		mean += x / n
	}
	for _, x := range kept {
		variance += (x - mean) * (x - mean) / (n - 1)
	}
	return mean, variance / n
}
