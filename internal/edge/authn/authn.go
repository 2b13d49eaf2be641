// Package authn proves who sends a request: it verifies AWS Signature Version 4, in the header and in the presigned form, and looks up bearer
// admin keys.
//
// It reads a request and a key and answers with the key or with an Error whose text is the one the service sends. It knows nothing of operations,
// pools or dialects: which operation needs a signature, and whether a bearer key will do, is decided by the pipeline, which also asks Key.Allows.
// Access tokens and sessions of users are not checked here.
//
// What the verifier demands beyond a right signature:
//
//   - The signed headers are lower case, in order, without repetition, at most 100, and include host. X-Amz-Date (header form) and X-Amz-Target are
//     among them when the request has them: the target names the operation, so a signature that leaves it open would sign any operation. In the
//     presigned form the target may instead stand in the signed query, where signers move it; both must then agree.
//   - The body is signed. UNSIGNED-PAYLOAD and the STREAMING- forms are refused, in the presigned form too: a presigned request is bound to the hash
//     of its body. X-Amz-Content-Sha256, when present, is that hash.
//   - X-Amz-Security-Token proves nothing, since our keys have no session: it is covered by the signature if it was signed and ignored otherwise.
//   - A request may be repeated within its window, as AWS lets it.
//   - A presigned request without X-Amz-Expires lives as long as a signed one, five minutes.
//
// The path is signed as it stands on the request line, escaped once more; signers that first remove dot segments and empty segments are understood
// as well, so those spellings of one path share a signature. Whoever routes by path must therefore treat them alike or refuse them.
package authn

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// defaultService is the signing name of the API, and the prefix of its actions.
const defaultService = "cognito-idp"

// Keys finds the keys that the operator made. An unknown key is false without an error; an error means that the answer is not known.
type Keys interface {
	AccessKey(ctx context.Context, id string) (Key, bool, error)
	BearerKey(ctx context.Context, token secret.Text) (Key, bool, error)
}

// Request is what a signature covers.
type Request struct {
	Method   string
	Path     string // as on the request line, percent-encoded
	RawQuery string
	Host     string
	Header   http.Header // canonical names, as net/http makes them
	Body     []byte      // complete and as received
}

// FromHTTP describes a request that net/http received, whose body has been read.
func FromHTTP(r *http.Request, body []byte) *Request {
	path := r.URL.EscapedPath()
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ = strings.Cut(r.RequestURI, "?") // the very bytes that were signed
	}
	return &Request{Method: r.Method, Path: path, RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header, Body: body}
}

// Result says who called.
type Result struct {
	Key       Key
	Region    string // of the credential scope; empty for a bearer key
	Presigned bool
}

// Verifier checks signatures and bearer keys. Keys and Now must be set. It may be used by many goroutines and must not be copied.
type Verifier struct {
	Keys    Keys
	Now     func() time.Time // the real time, not the movable one
	Service string           // signing name; cognito-idp when empty
	Regions []string         // regions that may be signed for; any when empty

	signers   signers
	scratches sync.Pool
}

// Verify checks the request's signature completely, body included. It returns an *Error when the caller is to blame; any other error is ours.
func (v *Verifier) Verify(ctx context.Context, r *Request) (Result, error) {
	q, decodes := parseQuery(r.RawQuery)
	c, err := readClaims(r, q, true)
	if err != nil {
		return Result{}, err
	}
	if !decodes {
		return Result{}, mismatch() // there is no canonical form that could have been signed
	}
	now := v.Now().UTC().Truncate(time.Second)
	if err := c.checkTime(now); err != nil {
		return Result{}, err
	}
	if err := c.checkSignedHeaders(r, q); err != nil {
		return Result{}, err
	}
	if err := c.splitCredential(); err != nil {
		return Result{}, err
	}
	if err := v.checkScope(&c, r.Host); err != nil {
		return Result{}, err
	}
	key, known, err := v.Keys.AccessKey(ctx, c.keyID)
	if err != nil {
		return Result{}, fmt.Errorf("find access key: %w", err)
	}
	// An unknown key takes the same way as a known one, so that the time tells no more than the answer.
	if !known || key.Secret.IsZero() {
		known, key = false, Key{Secret: decoy}
	}
	matches := v.matches(r, q, &c, key)
	switch {
	case !known:
		return Result{}, unrecognizedClient()
	case !matches:
		return Result{}, mismatch()
	case key.expired(now):
		return Result{}, expiredToken()
	}
	return Result{Key: key, Region: c.region, Presigned: c.presigned}, nil
}

// decoy stands in for the secret of a key that does not exist. Nothing that it signs is accepted.
var decoy = secret.New("no key has this secret")

// Inspect reads a signature without checking key, signature, headers or date, for a server that trusts its callers. The Authorization must parse.
// The result's key has only the identifier that the caller claims, and may do everything; the region is empty when it is not a possible one.
func (v *Verifier) Inspect(r *Request) (Result, error) {
	c, err := inspect(r)
	if err != nil {
		return Result{}, err
	}
	if !possibleRegion(c.region) {
		c.region = ""
	}
	return Result{Key: Key{ID: c.keyID}, Region: c.region, Presigned: c.presigned}, nil
}

func inspect(r *Request) (claims, error) {
	q, _ := parseQuery(r.RawQuery)
	c, err := readClaims(r, q, false)
	if err != nil {
		return claims{}, err
	}
	return c, c.splitCredential()
}

// Bearer checks an "Authorization: Bearer" admin key.
func (v *Verifier) Bearer(ctx context.Context, r *Request) (Result, error) {
	header, err := authorization(r)
	if err != nil {
		return Result{}, err
	}
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Result{}, missingToken()
	}
	key, known, err := v.Keys.BearerKey(ctx, secret.New(token))
	if err != nil {
		return Result{}, fmt.Errorf("find bearer key: %w", err)
	}
	if !known {
		return Result{}, unrecognizedClient()
	}
	if key.expired(v.Now()) {
		return Result{}, expiredToken()
	}
	return Result{Key: key}, nil
}

func (v *Verifier) service() string {
	if v.Service == "" {
		return defaultService
	}
	return v.Service
}

// parseQuery decodes the query as far as it can, and reports whether that was the whole.
func parseQuery(raw string) (url.Values, bool) {
	if raw == "" {
		return nil, true
	}
	if len(raw) > maxQuery {
		return nil, false
	}
	q, err := url.ParseQuery(raw)
	return q, err == nil
}
