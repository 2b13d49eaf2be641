package authn_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

const (
	keyID     = "AKIAPOOLHOUSE0000001"
	keySecret = "a secret/of+an access key"
	otherID   = "AKIAPOOLHOUSE0000002"
	region    = "eu-west-1"
	service   = "cognito-idp"
	mismatch  = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)

// noon is when requests are signed and, unless a test says otherwise, verified.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// keys are what the operator made: access keys by id, bearer keys by token.
type keys struct {
	access map[string]authn.Key
	bearer map[string]authn.Key
	err    error
}

func (k keys) AccessKey(_ context.Context, id string) (authn.Key, bool, error) {
	key, ok := k.access[id]
	return key, ok, k.err
}

func (k keys) BearerKey(_ context.Context, token secret.Text) (authn.Key, bool, error) {
	key, ok := k.bearer[token.Reveal()]
	return key, ok, k.err
}

func newVerifier(now time.Time) *authn.Verifier {
	return &authn.Verifier{
		Keys: keys{access: map[string]authn.Key{
			keyID:   {ID: keyID, Name: "ci", Secret: secret.New(keySecret)},
			otherID: {ID: otherID, Name: "other", Secret: secret.New("another secret")},
		}},
		Now: func() time.Time { return now },
	}
}

func credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: keySecret}
}

func payloadHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// usual is the request that an SDK sends.
func usual(t testing.TB) *http.Request {
	t.Helper()
	body := []byte(`{"UserPoolId":"eu-west-1_abc","Username":"jane"}`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:9229/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.AdminGetUser")
	r.Header.Set("Amz-Sdk-Invocation-Id", "8f3b2c5e-0000-4000-8000-000000000000")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	return r
}

// fatal is the part of testing.TB that rapid shares.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func bodyOf(t fatal, r *http.Request) []byte {
	t.Helper()
	if r.GetBody == nil {
		return nil
	}
	rc, err := r.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// sign signs with the SDK, in headers, and returns what a server sees.
func sign(t fatal, r *http.Request, at time.Time) *authn.Request {
	t.Helper()
	body := bodyOf(t, r)
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials(), r, payloadHash(body), service, region, at); err != nil {
		t.Fatal(err)
	}
	return received(t, r)
}

// presign signs with the SDK, in the query, and returns what a server sees. No X-Amz-Expires when life is zero.
func presign(t fatal, r *http.Request, at time.Time, life string) *authn.Request {
	t.Helper()
	body := bodyOf(t, r)
	if life != "" {
		q := r.URL.Query()
		q.Set("X-Amz-Expires", life)
		r.URL.RawQuery = q.Encode()
	}
	uri, signed, err := v4.NewSigner().PresignHTTP(context.Background(), credentials(), r, payloadHash(body), service, region, at)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatalf("parse presigned %q: %v", uri, err)
	}
	sent := r.Clone(context.Background())
	sent.URL, sent.Header = u, signed
	sent.Host = signed.Get("Host")
	sent.Header.Del("Host")
	sent.Header.Del("Content-Length")
	sent.Body = io.NopCloser(bytes.NewReader(body))
	return received(t, sent)
}

// received writes the request to the wire and reads it as net/http's server does.
func received(t fatal, r *http.Request) *authn.Request {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatalf("write request: %v", err)
	}
	text := wire.String()
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatalf("read request %q: %v", text, err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return authn.FromHTTP(got, body)
}

func clone(r *authn.Request) *authn.Request {
	c := *r
	c.Header = r.Header.Clone()
	c.Body = slices.Clone(r.Body)
	return &c
}

// edit replaces the one occurrence of old in the Authorization header.
func edit(t fatal, r *authn.Request, old, replacement string) *authn.Request {
	t.Helper()
	c := clone(r)
	header := c.Header.Get("Authorization")
	if strings.Count(header, old) != 1 {
		t.Fatalf("%q is not once in %q", old, header)
	}
	c.Header.Set("Authorization", strings.Replace(header, old, replacement, 1))
	return c
}

// wantRefused fails unless err is that refusal; an empty message stands for any.
func wantRefused(t *testing.T, err error, code, message string) {
	t.Helper()
	var e *authn.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if e.Code != code || message != "" && e.Message != message {
		t.Errorf("got  %s: %q\nwant %s: %q", e.Code, e.Message, code, message)
	}
}
