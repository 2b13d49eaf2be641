package lambda_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/lambda"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/port/trigger/triggertest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const arn = "arn:aws:lambda:eu-west-1:123456789012:function:message"

func router(t *testing.T, o lambda.Options) *lambda.Router {
	t.Helper()
	if o.TryLimit == 0 {
		o.TryLimit = time.Minute
	}
	o.Real = clock.NewFake(time.Unix(1753900000, 0))
	r, err := lambda.New(o)
	if err != nil {
		t.Fatalf("options: %v", err)
	}
	return r
}

// function is an HTTP server that behaves like a function, bare or behind the Invoke API.
type function struct {
	*httptest.Server
	triggertest.Behaviour
	invokeAPI bool
	mu        sync.Mutex
	calls     int
	event     []byte
	path      string
	header    http.Header
	closed    chan struct{}
}

func serve(t *testing.T, b triggertest.Behaviour, invokeAPI bool) *function {
	t.Helper()
	f := &function{Behaviour: b, invokeAPI: invokeAPI, closed: make(chan struct{})}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	t.Cleanup(func() { close(f.closed) })
	return f
}

func (f *function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event, err := io.ReadAll(r.Body)
	f.mu.Lock()
	f.calls++
	call := f.calls
	f.event, f.path, f.header = event, r.RequestURI, r.Header
	f.mu.Unlock()
	// A client that gave up does not read what is written here.
	switch {
	case err != nil:
		w.WriteHeader(http.StatusTeapot)
	case call <= f.Hang:
		select {
		case <-f.closed:
		case <-r.Context().Done():
		}
	case call <= f.Throttle:
		w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}`)
	case f.Break:
		w.Header().Set("X-Amzn-Errortype", "ServiceException")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"message":"broken"}`)
	case f.Error != "":
		if f.invokeAPI {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
		} else {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = fmt.Fprintf(w, `{"errorMessage":%q,"errorType":"Error","trace":[]}`, f.Error)
	default:
		_, _ = io.WriteString(w, strings.Repeat(f.Answer, max(f.Repeat, 1)))
	}
}

func (f *function) world(r *lambda.Router) *triggertest.World {
	return &triggertest.World{Runner: r, ARN: arn, Service: true,
		Calls: func() int {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.calls
		},
		Event: func() []byte {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.event
		}}
}

func TestHookContract(t *testing.T) {
	t.Parallel()
	triggertest.Run(t, func(t *testing.T, b triggertest.Behaviour) *triggertest.World {
		f := serve(t, b, false)
		return f.world(router(t, lambda.Options{Targets: map[string]string{arn: f.URL}, TryLimit: b.TryLimit()}))
	})
}

// awsSettings keeps the machine's own AWS settings away.
func awsSettings(t *testing.T) {
	for _, name := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
}

func TestInvokeContract(t *testing.T) {
	awsSettings(t)
	triggertest.Run(t, func(t *testing.T, b triggertest.Behaviour) *triggertest.World {
		f := serve(t, b, true)
		return f.world(router(t, lambda.Options{Targets: map[string]string{arn: "lambda"}, Endpoint: f.URL, TryLimit: b.TryLimit()}))
	})
	t.Run("request", func(t *testing.T) {
		f := serve(t, triggertest.Behaviour{Answer: `{"response":{}}`}, true)
		w := f.world(router(t, lambda.Options{Targets: map[string]string{"*": "lambda"}, Endpoint: f.URL}))
		if _, err := w.Runner.Run(t.Context(), &trigger.Call{ARN: arn, Event: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		if want := "/2015-03-31/functions/" + strings.ReplaceAll(arn, ":", "%3A") + "/invocations"; f.path != want {
			t.Errorf("path %q, want %q, as SDKs escape it", f.path, want)
		}
		if auth := f.header.Get("Authorization"); !strings.Contains(auth, "/eu-west-1/lambda/aws4_request") {
			t.Errorf("authorization %q, want the region of the ARN", auth)
		}
		if kind := f.header.Get("X-Amz-Invocation-Type"); kind != "RequestResponse" {
			t.Errorf("invocation type %q", kind)
		}
		if _, err := w.Runner.Run(t.Context(), &trigger.Call{ARN: arn, Hand: true, Event: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		if kind := f.header.Get("X-Amz-Invocation-Type"); kind != "Event" {
			t.Errorf("invocation type %q for a call that nobody waits for", kind)
		}
	})
	for name, test := range map[string]struct {
		header, body, reason string
		status               int
	}{
		"header":        {"ResourceNotFoundException:http://internal.amazon.com/coral/", `{"Type":"User","Message":"Function not found"}`, "ResourceNotFoundException", 404},
		"type":          {"", `{"__type":"com.amazonaws.lambda#AccessDeniedException","message":"no"}`, "AccessDeniedException", 403},
		"code":          {"", `{"code":"KMSDisabledException","message":"no"}`, "KMSDisabledException", 502},
		"nothing":       {"", `{}`, "ServiceException", 500},
		"page":          {"", `<html>`, "ServiceException", 502},
		"redirect":      {"", ``, "ServiceException", 302},
		"empty":         {"#:", `[]`, "ServiceException", 400},
		"type not text": {"", `{"__type":5}`, "ServiceException", 400},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.header != "" {
					w.Header().Set("X-Amzn-Errortype", test.header)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			t.Cleanup(server.Close)
			_, err := router(t, lambda.Options{Targets: map[string]string{"*": "lambda"}, Endpoint: server.URL + "/"}).Run(t.Context(), &trigger.Call{ARN: arn, Event: []byte("{}")})
			u, ok := errors.AsType[*trigger.Unreachable](err)
			want.True(t, ok, "the function was not run: %v", err)
			want.Equal(t, u.Reason, test.reason)
		})
	}
}

// TestInvokeCredentials is about AWS without credentials: settings that make no sense are the operator's to set right, credentials
// that are not to be had may be there later.
func TestInvokeCredentials(t *testing.T) {
	awsSettings(t)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	run := func() string {
		_, err := router(t, lambda.Options{Targets: map[string]string{"*": "lambda"}}).Run(t.Context(), &trigger.Call{ARN: arn, Event: []byte("{}")})
		u, ok := errors.AsType[*trigger.Unreachable](err)
		want.True(t, ok, "the function was not run: %v", err)
		return u.Reason
	}
	want.Equal(t, run(), "ServiceException")
	t.Setenv("AWS_PROFILE", "nobody-has-it")
	want.Equal(t, run(), "AccessDeniedException")
}

func TestHook(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		status  int
		header  string
		answer  string
		failure string
		calls   int32
	}{
		{"status 201", 201, "", `{"response":{}}`, "", 1},
		{"error by header", 200, "Unhandled", `{"errorMessage":"bang"}`, "the function failed: bang", 1},
		{"error by header alone", 200, "Unhandled", `{"response":{}}`, "the function failed: Unknown error", 1},
		{"error without message", 400, "", `{"response":{}}`, "cannot call the function: InvalidRequestContentException: the hook answered 400", 1},
		{"error with status 500", 500, "", `{"errorMessage":"bang"}`, "the function failed: bang", 1},
		{"message of another type", 400, "", `{"errorMessage":7}`, "cannot call the function: InvalidRequestContentException: the hook answered 400", 1},
		{"errorMessage with status 200", 200, "", `{"errorMessage":"bang"}`, trigger.ErrUnrecognizable.Error(), 1},
		{"unauthorized", 401, "", "", "cannot call the function: AccessDeniedException: the hook answered 401", 1},
		{"forbidden", 403, "", "", "cannot call the function: AccessDeniedException: the hook answered 403", 1},
		{"not found", 404, "", "", "cannot call the function: ResourceNotFoundException: the hook answered 404", 1},
		{"redirect", 302, "", "", "cannot call the function: InvalidRequestContentException: the hook answered 302", 1},
		{"bad gateway", 502, "", "<html>", "cannot call the function: ServiceException: the hook answered 502", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				w.Header().Set("Location", r.URL.String())
				if test.header != "" {
					w.Header().Set("X-Amz-Function-Error", test.header)
				}
				w.WriteHeader(test.status)
				if _, err := io.WriteString(w, test.answer); err != nil {
					t.Error(err)
				}
			}))
			defer server.Close()
			_, err := router(t, lambda.Options{Targets: map[string]string{"*": server.URL}}).Run(t.Context(), &trigger.Call{ARN: arn, Event: []byte("{}")})
			if (err == nil) != (test.failure == "") || err != nil && err.Error() != test.failure || calls.Load() != test.calls {
				t.Errorf("got error %v after %d calls, want %q after %d", err, calls.Load(), test.failure, test.calls)
			}
		})
	}
}

// A hook can tell who calls for whom, and that it is us.
func TestHookKnowsItsCaller(t *testing.T) {
	t.Parallel()
	f := serve(t, triggertest.Behaviour{Answer: `{"response":{}}`}, false)
	r := router(t, lambda.Options{Targets: map[string]string{"*": f.URL}, Secret: secret.New("shared")})
	c := &trigger.Call{Trigger: "CustomMessage", ARN: arn, Account: "123456789012", PoolARN: "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_a",
		Event: []byte(`{"version":"1"}`)}
	if _, err := r.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("shared"))
	mac.Write([]byte("1753900000." + arn + "." + c.PoolARN + `.{"version":"1"}`))
	for name, want := range map[string]string{
		"Poolhouse-Signature": "t=1753900000,v1=" + hex.EncodeToString(mac.Sum(nil)), "Poolhouse-Function-Arn": arn,
		"Poolhouse-Source-Arn": c.PoolARN, "Poolhouse-Source-Account": "123456789012", "Content-Type": "application/json",
	} {
		if got := f.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Who configures a pool names functions; a name that looks like an address or a command is still only a name.
func TestOnlyTheMapCounts(t *testing.T) {
	t.Parallel()
	f := serve(t, triggertest.Behaviour{Answer: `{"response":{}}`}, false)
	r := router(t, lambda.Options{Targets: map[string]string{arn: f.URL}})
	for _, name := range []string{f.URL, "cmd:true", "lambda", "*", "", strings.ToUpper(arn), arn + ":1", arn + "\n"} {
		_, err := r.Run(t.Context(), &trigger.Call{ARN: name, Event: []byte("{}")})
		if u, ok := errors.AsType[*trigger.Unreachable](err); !ok || u.Reason != "ResourceNotFoundException" {
			t.Errorf("function %q: got %v, want that it cannot be found", name, err)
		}
	}
	if f.calls != 0 {
		t.Errorf("%d calls, want none", f.calls)
	}
}

// 64 calls of one pool are the most; other pools are not held up by them.
func TestBulkhead(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 128), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		if _, err := io.WriteString(w, `{"response":{}}`); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	r := router(t, lambda.Options{Targets: map[string]string{"*": server.URL}, TryLimit: time.Minute})
	run := func(pool string) error {
		_, err := r.Run(t.Context(), &trigger.Call{ARN: arn, PoolID: pool, Event: []byte("{}")})
		return err
	}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if err := run("a"); err != nil {
				t.Error(err)
			}
		})
	}
	for range 64 {
		<-entered
	}
	if u, ok := errors.AsType[*trigger.Unreachable](run("a")); !ok || u.Reason != "TooManyRequestsException" {
		t.Errorf("the 65th call of the pool: %v, want that it is turned away", u)
	}
	wg.Go(func() {
		if err := run("b"); err != nil {
			t.Errorf("another pool: %v", err)
		}
	})
	<-entered
	close(release)
	wg.Wait()
	if err := run("a"); err != nil {
		t.Errorf("after the others ended: %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, targets := range map[string]map[string]string{
		"no ARN":        {"message": "lambda"},
		"no target":     {arn: ""},
		"no program":    {arn: "cmd: "},
		"another thing": {arn: "ftp://127.0.0.1/"},
		"lambda plus":   {arn: "lambda+http://127.0.0.1"},
	} {
		if _, err := lambda.New(lambda.Options{Targets: targets}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"", "null", "{}", `{"response":{}}`, `{"response":{"a":[1,{"b":null}]}}`, `{"response":{}}{}`, `{"response":"x"}`,
		`{"response":{},"response":null}`, "\xff", `[{"response":{}}]`, `{"response": {}}`, `{"RESPONSE":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		got, err := lambda.Response(answer)
		switch {
		case err != nil && !errors.Is(err, trigger.ErrNotJSON) && !errors.Is(err, trigger.ErrUnrecognizable):
			t.Errorf("error %v is none of the port's", err)
		case err == nil && (!json.Valid(got) || got[0] != '{'):
			t.Errorf("response %q is no object", got)
		case errors.Is(err, trigger.ErrNotJSON) == json.Valid(answer):
			t.Errorf("answer %q: %v", answer, err)
		}
	})
}
