package httpd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/edge/httpd"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const (
	poolID    = "us-east-1_abcdefghi"
	requestID = "0d9f4c2e-6a1b-4b6a-9d2f-1c2b3a4d5e6f"
	marker    = "MARKER-hunter2"

	aws11 = "application/x-amz-json-1.1"
	plain = "application/json"

	update = `{"UserPoolId":"` + poolID + `","Username":"jane","UserAttributes":[{"Name":"email","Value":"` + marker + `@example.com"}]}`
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// onePool is a store with one pool and nothing else.
type onePool struct{ store.Store }

func (onePool) View(_ context.Context, fn func(store.View) error) error { return fn(onePoolView{}) }

type onePoolView struct{ store.View }

func (onePoolView) Pools() store.PoolReader     { return onePoolReader{} }
func (onePoolView) Clients() store.ClientReader { return oneClientReader{} }

type oneClientReader struct{ store.ClientReader }

func (oneClientReader) Get(poolID, id string) (*pool.Client, error) {
	return &pool.Client{ID: id, PoolID: poolID}, nil
}

// holder is the subject of every access token here.
const holder = "11111111-2222-70aa-3333-444444444444"

// anyToken takes every text for an access token of the pool.
type anyToken struct{}

func (anyToken) Open(context.Context, secret.Text, time.Time) (*token.Access, error) {
	return &token.Access{PoolID: poolID, ClientID: "client", Sub: holder}, nil
}

type onePoolReader struct{ store.PoolReader }

func (onePoolReader) Get(id string) (*pool.Pool, error) {
	if id != poolID {
		return nil, store.ErrNotFound
	}
	return &pool.Pool{ID: poolID, Region: "us-east-1", Account: "000000000000"}, nil
}

// family is a handful of operations, one of each kind, which remember their calls.
type family struct {
	mu     sync.Mutex
	calls  []dispatch.Call
	update func(context.Context) error // what AdminUpdateUserAttributes does
}

func (f *family) saw(c *dispatch.Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, *c)
}

func (f *family) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, c := range f.calls {
		names = append(names, c.Spec.Name)
	}
	return names
}

func (f *family) last(t *testing.T) dispatch.Call {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	want.True(t, len(f.calls) > 0, "an operation was called")
	return f.calls[len(f.calls)-1]
}

func (f *family) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.AdminUpdateUserAttributes, func(ctx context.Context, c *dispatch.Call, _ *api.AdminUpdateUserAttributesInput) (*api.AdminUpdateUserAttributesOutput, error) {
		f.saw(c)
		if f.update != nil {
			if err := f.update(ctx); err != nil {
				return nil, err
			}
		}
		return &api.AdminUpdateUserAttributesOutput{}, nil
	})
	dispatch.Handle(r, api.AdminGetUser, func(_ context.Context, c *dispatch.Call, in *api.AdminGetUserInput) (*api.AdminGetUserOutput, error) {
		f.saw(c)
		return &api.AdminGetUserOutput{Username: in.Username, UserCreateDate: api.Time(noon.UnixMilli())}, nil
	})
	dispatch.Handle(r, api.AdminDeleteUser, func(_ context.Context, c *dispatch.Call, _ *api.AdminDeleteUserInput) (*struct{}, error) {
		f.saw(c)
		return &struct{}{}, nil
	})
	dispatch.Handle(r, api.ListUserPools, func(_ context.Context, c *dispatch.Call, _ *api.ListUserPoolsInput) (*api.ListUserPoolsOutput, error) {
		f.saw(c)
		return &api.ListUserPoolsOutput{UserPools: []api.UserPoolDescriptionType{}}, nil
	})
	dispatch.Handle(r, api.GetUser, func(_ context.Context, c *dispatch.Call, _ *api.GetUserInput) (*api.GetUserOutput, error) {
		f.saw(c)
		return &api.GetUserOutput{Username: "jane"}, nil
	})
	dispatch.Handle(r, api.CreateManagedLoginBranding, func(_ context.Context, c *dispatch.Call, _ *api.CreateManagedLoginBrandingInput) (*api.CreateManagedLoginBrandingOutput, error) {
		f.saw(c)
		return &api.CreateManagedLoginBrandingOutput{}, nil
	})
}

// keys are the operator's keys.
type keys struct{ err error }

const (
	keyID     = "AKIAPOOLHOUSE0000001"
	readerID  = "AKIAPOOLHOUSE0000002"
	keySecret = "geheim"
)

func (k keys) AccessKey(_ context.Context, id string) (authn.Key, bool, error) {
	switch id {
	case keyID:
		return authn.Key{ID: keyID, Name: "ci", Secret: secret.New(keySecret)}, true, k.err
	case readerID:
		return authn.Key{ID: readerID, Name: "reader", Secret: secret.New(keySecret), Actions: []string{"AdminGet*"},
			Pools: []string{"arn:aws:cognito-idp:us-east-1:000000000000:userpool/" + poolID}}, true, k.err
	}
	return authn.Key{}, false, k.err
}

func (k keys) BearerKey(_ context.Context, token secret.Text) (authn.Key, bool, error) {
	if token.Reveal() != "bearer-key" {
		return authn.Key{}, false, k.err
	}
	return authn.Key{ID: "PHBEARER", Name: "curl"}, true, k.err
}

// lines is where the log goes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// house is a server with everything that the tests look at.
type house struct {
	*httpd.Server
	ops *family
	log *lines
}

func newHouse(set ...func(*httpd.Server)) *house {
	h := &house{ops: &family{}, log: &lines{}}
	log := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	registry := dispatch.NewRegistry()
	h.ops.Register(registry)
	fixed := clock.NewFake(noon)
	h.Server = &httpd.Server{
		Pipeline: &dispatch.Pipeline{Registry: registry, Store: onePool{}, Clock: fixed, Account: "000000000000",
			Settings: &dispatch.Settings{Store: onePool{}, Clock: fixed}, Tokens: anyToken{}, Log: log},
		Verifier:  &authn.Verifier{Keys: keys{}, Now: func() time.Time { return noon }},
		Region:    "us-east-1",
		Log:       log,
		Metrics:   httpd.NewMetrics(httpd.Reading{Name: "poolhouse_store_commits_total", Help: "Commits.", Counter: true, Value: func() float64 { return 42 }}, httpd.Reading{Name: "poolhouse_store_waiting", Help: "Waiting.", Value: func() float64 { return 7 }}),
		RequestID: func() string { return requestID },
		Now:       clock.Machine,
	}
	for _, f := range set {
		f(h.Server)
	}
	return h
}

func verifying(s *httpd.Server) { s.Verify = true }

// call is a request of a test.
type call struct {
	method, url, host string // POST http://127.0.0.1:9229/ by default
	header            map[string]string
	body              string
	signer            string // the key that signs it
	later             string // the body that is sent after another was signed
}

func (c call) request(ctx context.Context) *http.Request {
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	r, err := http.NewRequestWithContext(ctx, or(c.method, "POST"), or(c.url, "http://127.0.0.1:9229/"), strings.NewReader(c.body))
	if err != nil {
		panic(err)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	if c.host != "" {
		r.Host = c.host
	}
	r.RemoteAddr = "192.0.2.1:4711"
	r.RequestURI = r.URL.RequestURI()
	return r
}

// send lets the server answer a request, without a network.
func (h *house) send(t *testing.T, c call) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, c.request(t.Context()))
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	want.NoError(t, err)
	return string(b)
}

// sdk is how the vendor's tools call an operation, with a signature that only looks like one.
func sdk(operation, body string, more ...string) call {
	c := call{body: body, header: map[string]string{
		"Content-Type": aws11, "X-Amz-Target": "AWSCognitoIdentityProviderService." + operation,
		"X-Amz-Date":    "20260101T120000Z",
		"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/cognito-idp/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=00",
	}}
	return c.with(more...)
}

// curl is how people call an operation.
func curl(body string, more ...string) call {
	return call{body: body, header: map[string]string{"Content-Type": plain}}.with(more...)
}

// with adds headers, given as name, value, name, value.
func (c call) with(headers ...string) call {
	all := map[string]string{}
	for k, v := range c.header {
		all[k] = v
	}
	for i := 0; i < len(headers); i += 2 {
		all[headers[i]] = headers[i+1]
	}
	c.header = all
	return c
}

// signed signs a call as the SDK does.
func signed(t *testing.T, c call, key string) call {
	t.Helper()
	c = c.without("Authorization")
	r := c.request(t.Context())
	sum := sha256.Sum256([]byte(c.body))
	err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: key, SecretAccessKey: keySecret}, r, hex.EncodeToString(sum[:]), "cognito-idp", "eu-west-1", noon)
	want.NoError(t, err)
	for name := range r.Header {
		c.header[name] = r.Header.Get(name)
	}
	if c.later != "" {
		c.body = c.later
	}
	return c
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

var errSecret = fmt.Errorf("the disk is gone: %w", errors.New("marker of the cause"))

// counted counts the bytes that were read.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func (c *counted) Close() error { return nil }

func (c call) without(name string) call {
	c = c.with()
	delete(c.header, name)
	return c
}

// signedBy marks a call for signing, when the test runs.
func (c call) signedBy(key string) call {
	c.signer = key
	return c.without("Authorization")
}

// saying replaces the body after the call was signed.
func (c call) saying(body string) call {
	c.later = body
	return c
}

func (h *house) serve(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	return w.Result()
}

func (h *house) scrape(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.Metrics.Handler().ServeHTTP(w, call{method: "GET", url: "http://127.0.0.1/metrics"}.request(t.Context()))
	want.Equal(t, w.Code, 200)
	return w.Body.String()
}

func slogOff() *slog.Logger { return slog.New(slog.DiscardHandler) }
