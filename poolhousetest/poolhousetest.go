// Package poolhousetest starts a Cognito user-pool server inside a Go test:
//
//	func TestSignUp(t *testing.T) {
//		server := poolhousetest.Start(t)
//		client := cognitoidentityprovider.New(cognitoidentityprovider.Options{
//			BaseEndpoint: aws.String(server.Endpoint),
//			Region:       server.Region,
//			Credentials:  credentials.NewStaticCredentialsProvider(server.AccessKeyID, server.SecretAccessKey, ""),
//		})
//		// ... let the code under test send a code to jane@example.com ...
//		code := server.LastCode("jane@example.com")
//		server.Advance(25 * time.Hour) // and now it has expired
//	}
//
// Each server is alone: it has a database of its own, which keeps nothing, a port of its own on 127.0.0.1, and a clock of its own.
// Tests with servers may run in parallel. What the server can do is that of `poolhouse dev`.
package poolhousetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/config"
)

// Server is a running server. Its fields say how to reach it.
type Server struct {
	Endpoint        string // http://127.0.0.1:PORT
	AccessKeyID     string
	SecretAccessKey string
	Bearer          string // token for the plain dialect; empty without VerifySignatures
	Region          string

	t      testing.TB
	client *http.Client
}

// Option changes a server that is about to start.
type Option func(*app.Options)

// Region is that of requests which name none, and the prefix of pool ids; us-east-1 without it.
func Region(region string) Option {
	return func(o *app.Options) { o.Config.Region = region }
}

// Apply makes the pools, clients and users of a file, as --apply does.
func Apply(path string) Option {
	return func(o *app.Options) { o.Config.Apply = path }
}

// Trigger runs a target for a function's ARN, or for all others with the ARN "*": a URL, lambda, or cmd: and a command line.
func Trigger(arn, target string) Option {
	return func(o *app.Options) {
		if o.Config.Triggers.Triggers == nil {
			o.Config.Triggers.Triggers = map[string]string{}
		}
		o.Config.Triggers.Triggers[arn] = target
	}
}

// Seed makes ids, keys and codes the same for the same n in the same order of calls.
func Seed(n uint64) Option {
	return func(o *app.Options) { o.Seed = &n }
}

// VerifySignatures makes the server check every signature against the server's key, as production does. Without it any key will do.
func VerifySignatures() Option {
	return func(o *app.Options) { o.AllowRemote = true }
}

// patience is how long things may take that take no time.
const patience = 10 * time.Second

// Start starts a server that stops at the end of the test and its subtests. It fails the test when it cannot. What the server warns
// about is in the test's output.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	o := app.Options{Config: config.Defaults(), Dev: true, Ephemeral: true, Log: t.Output()}
	o.Config.Listen = "127.0.0.1:0"
	o.Config.LogLevel = "warn"
	for _, option := range options {
		option(&o)
	}
	ctx, stop := context.WithCancel(context.Background())
	a, err := app.New(ctx, o)
	if err != nil {
		stop()
		t.Fatalf("start a poolhouse server: %v", err)
	}
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- a.Run(ctx, func() error {
			close(started)
			return nil
		})
	}()
	s := &Server{t: t, client: &http.Client{Timeout: patience, Transport: &http.Transport{}}}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("stop the poolhouse server: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("close the poolhouse server: %v", err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		t.Fatalf("start a poolhouse server: %v", err)
	}
	ready := a.Ready()
	s.Endpoint, s.Region, s.Bearer = ready.Endpoint, ready.Region, ready.Bearer
	s.AccessKeyID, s.SecretAccessKey = ready.AccessKeyID, ready.SecretAccessKey
	return s
}

// Message is an e-mail or SMS that the server would have sent.
type Message struct {
	ID       string `json:"id"`
	Pool     string `json:"pool"`
	Username string `json:"username"`
	Source   string `json:"source"` // why it was sent: CustomMessage_UpdateUserAttribute, ...
	Medium   string `json:"medium"` // EMAIL or SMS
	To       string `json:"to"`
	Subject  string `json:"subject"`
	Body     string `json:"body"`
	Code     string `json:"code"` // the code or temporary password in Body
	// Function is the ARN of the custom sender to which the message was handed, encrypted; empty without one.
	Function string    `json:"function"`
	At       time.Time `json:"at"` // by the server's clock
}

// Messages returns what was sent to an e-mail address or phone number, or to anybody when to is empty, the newest first. Messages
// come a moment after the call that causes them: see LastCode.
func (s *Server) Messages(to string) []Message {
	s.t.Helper()
	var inbox struct{ Messages []Message }
	s.ask(http.MethodGet, "/_poolhouse/inbox.json?"+url.Values{"to": {to}}.Encode(), "", &inbox)
	return inbox.Messages
}

// LastCode returns the newest code that was sent to an e-mail address or phone number. It waits for one, and fails the test when none
// comes.
func (s *Server) LastCode(to string) string {
	s.t.Helper()
	return s.LastMessage(to).Code
}

// LastMessage returns the newest message to an e-mail address or phone number. It waits for one, and fails the test when none comes.
func (s *Server) LastMessage(to string) Message {
	s.t.Helper()
	late := time.After(patience)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if list := s.Messages(to); len(list) > 0 {
			return list[0]
		}
		select {
		case <-look.C:
		case <-late:
			s.t.Fatalf("no message to %s came within %s", to, patience)
		}
	}
}

// Now is the present instant by the server's clock.
func (s *Server) Now() time.Time {
	s.t.Helper()
	var clock struct{ Now time.Time }
	s.ask(http.MethodGet, "/_poolhouse/clock", "", &clock)
	return clock.Now
}

// Advance moves the server's clock forward and returns the instant that it shows then: codes expire, while signatures and time-outs,
// which go by real time, do not notice.
func (s *Server) Advance(d time.Duration) time.Time {
	s.t.Helper()
	var clock struct{ Now time.Time }
	s.ask(http.MethodPost, "/_poolhouse/clock", fmt.Sprintf(`{"advance":%q}`, d), &clock)
	return clock.Now
}

// Tokens are what a sign-in of a user ends with.
type Tokens struct {
	AccessToken  string
	IDToken      string
	RefreshToken string
	ExpiresIn    int // seconds, of the access token
}

// Tokens signs a user in through an app client, without any proof of who the user is: the tokens, and what the server keeps of them,
// are those of a sign-in. It fails the test for a user whom a sign-in would refuse or ask for a new password.
func (s *Server) Tokens(pool, client, username string) Tokens {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"pool": pool, "client": client, "username": username})
	if err != nil {
		s.t.Fatalf("ask for tokens of %q: %v", username, err)
	}
	var out struct {
		AuthenticationResult struct {
			AccessToken, IdToken, RefreshToken string
			ExpiresIn                          int
		}
	}
	s.ask(http.MethodPost, "/_poolhouse/tokens", string(body), &out)
	r := out.AuthenticationResult
	return Tokens{AccessToken: r.AccessToken, IDToken: r.IdToken, RefreshToken: r.RefreshToken, ExpiresIn: r.ExpiresIn}
}

// TOTPCode returns the code that a user's authenticator app shows: one that was not used yet, since each works once. It fails the test
// when the user has no app, or when the next code is not good yet: advance the clock by half a minute then.
func (s *Server) TOTPCode(pool, username string) string {
	s.t.Helper()
	var user struct {
		App *struct{ Code, Pending, From string } `json:"software_token"`
	}
	s.ask(http.MethodGet, "/_poolhouse/pools/"+url.PathEscape(pool)+"/users/"+url.PathEscape(username)+"?format=json", "", &user)
	switch {
	case user.App == nil:
		s.t.Fatalf("user %s has no authenticator app", username)
	case user.App.Code != "":
		return user.App.Code
	case user.App.Pending != "":
		return user.App.Pending
	}
	s.t.Fatalf("the app's last code was used; the next one is good at %s", user.App.From)
	return ""
}

// FixCodes makes every code by e-mail and SMS the same, six digits, with 00 behind them where codes have eight; "" has them drawn again.
func (s *Server) FixCodes(code string) {
	s.t.Helper()
	s.ask(http.MethodPost, "/_poolhouse/codes", fmt.Sprintf(`{"fixed":%q}`, code), &struct{}{})
}

// TokenState is what the server knows of a token.
type TokenState struct {
	Kind   string         // access, id or refresh
	Pool   string         // "" when no key of a pool made it
	Claims map[string]any // nil of a refresh token
	Good   bool
	Faults []string // why it is not good, a sentence each
}

// Inspect takes a token apart and says whether it is good: its signature, its age, and whether its sign-in was revoked.
func (s *Server) Inspect(token string) TokenState {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		s.t.Fatalf("inspect a token: %v", err)
	}
	var state TokenState
	s.ask(http.MethodPost, "/_poolhouse/token", string(body), &state)
	return state
}

// RotateKeys replaces the keys that sign the tokens of a pool. The new ones are published and sign 25 hours later by the server's
// clock, or at once if now is set.
func (s *Server) RotateKeys(pool string, now bool) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"pool": pool, "now": now})
	if err != nil {
		s.t.Fatalf("rotate the keys of %q: %v", pool, err)
	}
	s.ask(http.MethodPost, "/_poolhouse/keys/rotate", string(body), &struct{}{})
}

// SetClock moves the server's clock to an instant, backwards too. See Advance.
func (s *Server) SetClock(to time.Time) {
	s.t.Helper()
	s.ask(http.MethodPost, "/_poolhouse/clock", fmt.Sprintf(`{"set":%q}`, to.UTC().Format(time.RFC3339Nano)), &struct{}{})
}

// Reset makes the server as it was at its start: all pools with what is in them, messages and the journal go, the clock shows the real
// time, and the file of Apply is applied again. Keys stay.
func (s *Server) Reset() {
	s.t.Helper()
	s.ask(http.MethodPost, "/_poolhouse/reset", "", &struct{}{})
}

func (s *Server) ask(method, path, body string, into any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.Endpoint+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatalf("ask the poolhouse server: %v", err)
	}
	if s.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+s.Bearer)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("ask the poolhouse server: %v", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("ask the poolhouse server: %v", err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}
