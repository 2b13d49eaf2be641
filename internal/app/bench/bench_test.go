package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// oneKey is a key store with one key.
type oneKey struct{ id, secret string }

func (k oneKey) AccessKey(_ context.Context, id string) (authn.Key, bool, error) {
	return authn.Key{ID: k.id, Secret: secret.New(k.secret)}, id == k.id, nil
}

func (k oneKey) BearerKey(context.Context, secret.Text) (authn.Key, bool, error) {
	return authn.Key{}, false, nil
}

// fakeServer verifies signatures and answers enough of the API for a measurement.
func fakeServer(t *testing.T, key oneKey, calls func(operation string, body []byte)) string {
	v := &authn.Verifier{Keys: key, Now: time.Now}
	var changed sync.Map // addresses to which a code went, as in an inbox
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch r.URL.Path {
		case "/_poolhouse/tokens":
			calls("tokens", body)
			_, _ = io.WriteString(w, `{"AuthenticationResult":{"AccessToken":"a.b.c","RefreshToken":"r"}}`)
			return
		case "/_poolhouse/inbox.json":
			var messages []map[string]string
			changed.Range(func(to, _ any) bool {
				messages = append(messages, map[string]string{"to": to.(string), "code": "123456"})
				return true
			})
			if err := json.NewEncoder(w).Encode(map[string]any{"messages": messages}); err != nil {
				t.Error(err)
			}
			return
		}
		if _, err := v.Verify(r.Context(), authn.FromHTTP(r, body)); err != nil {
			t.Errorf("a request with a bad signature: %v", err)
		}
		if !json.Valid(body) {
			t.Errorf("not JSON: %s", body)
		}
		operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSCognitoIdentityProviderService.")
		calls(operation, body)
		switch operation {
		case "CreateUserPool":
			_, _ = io.WriteString(w, `{"UserPool":{"Id":"us-east-1_abc"}}`)
		case "CreateUserPoolClient":
			_, _ = io.WriteString(w, `{"UserPoolClient":{"ClientId":"abc"}}`)
		case "AdminUpdateUserAttributes":
			var in struct {
				UserAttributes []struct{ Name, Value string }
			}
			if err := json.Unmarshal(body, &in); err != nil {
				t.Error(err)
			}
			if a := in.UserAttributes[0]; a.Name == "email" {
				changed.Store(a.Value, nil)
			}
			_, _ = io.WriteString(w, `{}`)
		case "VerifyUserAttribute":
			if text := string(body); !strings.Contains(text, `"AccessToken":"a.b.c"`) || !strings.Contains(text, `"Code":"123456"`) {
				t.Errorf("VerifyUserAttribute without token or code: %s", body)
			}
			_, _ = io.WriteString(w, `{}`)
		case "InitiateAuth":
			_, _ = io.WriteString(w, `{"ChallengeParameters":{"SALT":"1a","SRP_B":"2b","SECRET_BLOCK":"AAAA","USER_ID_FOR_SRP":"bench-000000"}}`)
		case "RespondToAuthChallenge":
			if text := string(body); !strings.Contains(text, `"USERNAME":"bench-000000"`) || !strings.Contains(text, `"PASSWORD_CLAIM_SIGNATURE":"`) {
				t.Errorf("RespondToAuthChallenge without a proof: %s", body)
			}
			_, _ = io.WriteString(w, `{}`)
		case "AdminGetUser":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"UserNotFoundException"}`)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestRun(t *testing.T) {
	t.Parallel()
	key := oneKey{"AKIDEXAMPLE", "secret"}
	counts, signedUp := make(chan string, 1<<20), make(chan string, 1<<20)
	address := fakeServer(t, key, func(operation string, body []byte) {
		counts <- operation
		if operation == "SignUp" || operation == "AdminCreateUser" {
			signedUp <- string(body)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	announced := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- Ceiling(ctx, func(a string) error { announced <- a; return nil })
	}()
	const users = 20
	report, err := Run(ctx, Options{Address: address, PID: os.Getpid(), Ceiling: <-announced, Credentials: Credentials{ID: key.id, Secret: key.secret, Region: "us-east-1"}, Users: users,
		Operations: Operations(), Connections: []int{2, 1}, Duration: 60 * time.Millisecond, Rounds: 2, WarmUp: 10 * time.Millisecond, Folder: t.TempDir()}, io.Discard)
	want.NoError(t, err)
	cancel()
	want.NoError(t, <-ended)
	close(counts)
	calls := map[string]int{}
	for operation := range counts {
		calls[operation]++
	}
	want.Equal(t, calls["CreateUserPool"], 1)
	want.Equal(t, []int{calls["DeleteUserPool"], calls["CreateUserPoolClient"], calls["DeleteUserPoolClient"], calls["tokens"]}, []int{1, 1, 1, users})
	// Each code is used once: in two rounds, with each number of connections.
	n := calls["VerifyUserAttribute"]
	want.True(t, n > 0 && n <= 2*2*users, "%d codes of %d were used", n, 2*2*users)
	close(signedUp)
	seen := map[string]bool{}
	for body := range signedUp {
		want.True(t, !seen[body], "made twice: %s", body)
		seen[body] = true
	}
	want.True(t, report.Machine.Fsync > 0, "the disk was measured")
	want.Equal(t, len(report.Rows), 2*len(Operations()))
	for _, row := range report.Rows {
		want.True(t, row.Rate > 0 && row.Ceiling > 0 && row.Ratio > 0 && row.P50 > 0 && row.P99 >= row.P50, "%s has its figures: %+v", row.Operation, row)
		want.Equal(t, row.Errors > 0, row.Operation == "AdminGetUser")
		want.Equal(t, row.Bare > 0 && row.BareRatio > 0, slices.Contains([]string{"AdminCreateUser", "SignUp", "InitiateAuth/refresh", "InitiateAuth/password", "InitiateAuth/SRP"}, row.Operation))
	}
	var table bytes.Buffer
	want.NoError(t, report.Print(&table))
	want.Contains(t, table.String(), "AdminUpdateUserAttributes")
	want.Contains(t, table.String(), "first error: 400 {\"__type\":\"UserNotFoundException\"}")
}

func TestRunRefusesUnknownOperation(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), Options{Operations: []string{"ConfirmSignUp"}}, io.Discard)
	want.Error(t, err, nil)
	want.Contains(t, err.Error(), "AdminGetUser")
}

func TestRunStopsWhenAsked(t *testing.T) {
	t.Parallel()
	key := oneKey{"AKIDEXAMPLE", "secret"}
	ctx, cancel := context.WithCancel(t.Context())
	address := fakeServer(t, key, func(operation string, _ []byte) {
		if operation == "DescribeUserPool" {
			cancel()
		}
	})
	_, err := Run(ctx, Options{Address: address, Ceiling: address, Credentials: Credentials{ID: key.id, Secret: key.secret, Region: "us-east-1"}, Users: 1,
		Operations: []string{"DescribeUserPool"}, Connections: []int{1}, Duration: time.Hour, Rounds: 1}, io.Discard)
	want.Error(t, err, context.Canceled)
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	used, ok := parseStat([]byte("42 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 100 0 0\n"))
	want.True(t, ok, "a line of the kernel can be read")
	want.Equal(t, used, 2*time.Second)
	for _, bad := range []string{"", "42 (x)", "42 (x) S 1 2 3"} {
		_, ok := parseStat([]byte(bad))
		want.True(t, !ok, "%q cannot be read", bad)
	}
}
