package authn_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	v := newVerifier(noon)
	for range 2 { // the second time with a signing key from the cache
		got, err := v.Verify(t.Context(), sign(t, usual(t), noon))
		if err != nil {
			t.Fatal(err)
		}
		if got.Key.ID != keyID || got.Key.Name != "ci" || got.Region != region || got.Presigned {
			t.Errorf("got %+v", got)
		}
		got, err = v.Verify(t.Context(), presign(t, usual(t), noon, "900"))
		if err != nil {
			t.Fatal(err)
		}
		if got.Key.ID != keyID || got.Region != region || !got.Presigned {
			t.Errorf("presigned: got %+v", got)
		}
	}
}

// anyRequest draws a request with an odd path, query, headers and body.
func anyRequest(t *rapid.T) *http.Request {
	path := "/" + rapid.StringOf(rapid.RuneFrom([]rune("ab/./%~-_+ &=:;?#[]!$'()*,@é\u1234"))).Draw(t, "path")
	text := rapid.StringOf(rapid.RuneFrom([]rune("abAB019-._~ +&=%/;:é\u1234\x00")))
	query := url.Values(rapid.MapOfN(text, rapid.SliceOfN(text, 1, 3), 0, 4).Draw(t, "query"))
	u := &url.URL{Scheme: "http", Host: rapid.SampledFrom([]string{"127.0.0.1:9229", "localhost", "[::1]:9229", "pool.example.com:80"}).Draw(t, "host"), Path: path, RawQuery: query.Encode()}
	body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
	method := rapid.SampledFrom([]string{"GET", "POST", "PUT", "DELETE", "PATCH"}).Draw(t, "method")
	r, err := http.NewRequest(method, u.String(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL = u // with a path that NewRequest might have read otherwise
	value := rapid.StringOf(rapid.RuneFrom([]rune("ab \t ,;\"=é\u00a0")))
	for name, values := range rapid.MapOfN(rapid.StringMatching(`X-[A-Za-z0-9]{1,8}(-[a-z0-9]{1,80})?`), rapid.SliceOfN(value, 1, 3), 0, 5).Draw(t, "headers") {
		for _, value := range values {
			r.Header.Add(name, value)
		}
	}
	return r
}

// Every request that the SDK signs is accepted, and none of its alterations is.
func TestVerifyAgreesWithTheSDK(t *testing.T) {
	t.Parallel()
	v := newVerifier(noon)
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		original := r.URL.RawQuery
		signed := sign(t, r, noon)
		if _, err := v.Verify(t.Context(), signed); err != nil {
			t.Fatalf("signed: %v\n%+v", err, signed)
		}
		unsorted := clone(signed)
		unsorted.RawQuery = original // another spelling of the same parameters
		if _, err := v.Verify(t.Context(), unsorted); err != nil {
			t.Fatalf("query %q spelt %q: %v", signed.RawQuery, original, err)
		}
		presigned := presign(t, anyRequest(t), noon, "60")
		if _, err := v.Verify(t.Context(), presigned); err != nil {
			t.Fatalf("presigned: %v\n%+v", err, presigned)
		}
		for _, r := range []*authn.Request{signed, presigned} {
			altered := clone(r)
			what := rapid.SampledFrom([]string{"method", "path", "query", "host", "body", "header"}).Draw(t, "what")
			switch what {
			case "method":
				altered.Method += "S"
			case "path":
				altered.Path += "x"
			case "query":
				altered.RawQuery += "&q=1"
			case "host":
				altered.Host = "x" + altered.Host
			case "body":
				altered.Body = append(altered.Body, ' ')
			case "header":
				if name := rapid.SampledFrom(signedHeaders(t, r)).Draw(t, "name"); name == "host" {
					altered.Host += "x"
				} else {
					altered.Header.Add(name, "x")
				}
			}
			if _, err := v.Verify(t.Context(), altered); err == nil {
				t.Fatalf("accepted another %s: %+v", what, altered)
			}
		}
	})
}

// signedHeaders returns the names that the signature covers.
func signedHeaders(t fatal, r *authn.Request) []string {
	t.Helper()
	_, rest, ok := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	list, _, _ := strings.Cut(rest, ",")
	if !ok {
		q, err := url.ParseQuery(r.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		list = q.Get("X-Amz-SignedHeaders")
	}
	return strings.Split(list, ";")
}

func FuzzCanonical(f *testing.F) {
	f.Add("POST", "/", "", "X-Amz-Target", "AWSCognitoIdentityProviderService.AdminGetUser", []byte(`{}`))
	f.Add("GET", "/a//b/../c/./%2F/~", "b=2&a=1&a=&c", "X-Odd", "  a   b  ", []byte(nil))
	f.Add("PUT", "/é ü", "a%20b=c+d&a-b=1&a=2&%E1%88%B4", "X-Empty", "", []byte("x"))
	f.Fuzz(func(t *testing.T, method, path, query, name, value string, body []byte) {
		u := &url.URL{Scheme: "http", Host: "localhost:9229", Path: "/" + strings.TrimPrefix(path, "/")}
		values, err := url.ParseQuery(query)
		if err != nil || len(query) > 4096 {
			return
		}
		u.RawQuery = values.Encode()
		r, err := http.NewRequest(method, "http://localhost:9229/", bytes.NewReader(body))
		if err != nil {
			return
		}
		r.URL = u
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Authorization", "X-Amz-Date", "Date", "X-Amz-Content-Sha256", "Te":
			return // set by the transport, or part of the signature
		}
		r.Header.Set(name, value)
		var wire bytes.Buffer
		if r.Clone(t.Context()).Write(&wire) != nil {
			return
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil || got.Method != method || !slices.Equal(got.Header.Values(name), []string{strings.Trim(value, " \t")}) {
			return // net/http does not carry it
		}
		r.Body, err = r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		signed := sign(t, r, noon)
		if _, err := newVerifier(noon).Verify(t.Context(), signed); err != nil {
			t.Fatalf("%v\n%+v", err, signed)
		}
	})
}

// FuzzAuthorization looks for input that breaks the parser. Nothing but the right header is accepted.
func FuzzAuthorization(f *testing.F) {
	right := sign(f, usual(f), noon).Header.Get("Authorization")
	f.Add(right, "")
	f.Add("AWS4-HMAC-SHA256", "")
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,,SignedHeaders=host;;a, Signature", "X-Amz-Algorithm=x")
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/b/c/d/e&X-Amz-Date=20260101T120000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Expires=9")
	f.Fuzz(func(t *testing.T, header, query string) {
		r := sign(t, usual(t), noon)
		r.Header.Set("Authorization", header)
		r.RawQuery = query
		v := newVerifier(noon)
		if got, err := v.Inspect(r); err == nil && got.Key.ID == "" {
			t.Errorf("Inspect(%q, %q) names no key", header, query)
		}
		_, err := v.Verify(t.Context(), r)
		if err == nil && !strings.Contains(header, right[strings.LastIndex(right, "=")+1:]) {
			t.Fatalf("accepted %q, %q", header, query)
		}
		var e *authn.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%v is not for the caller", err)
		}
	})
}

func TestVerifyRefusesAlterations(t *testing.T) {
	t.Parallel()
	v := newVerifier(noon)
	signed := sign(t, usual(t), noon)
	credential := keyID + "/20260101/" + region + "/" + service + "/aws4_request"
	type alteration struct {
		name string
		r    *authn.Request
		code string
	}
	with := func(change func(*authn.Request)) *authn.Request {
		c := clone(signed)
		change(c)
		return c
	}
	alterations := []alteration{
		{"method", with(func(r *authn.Request) { r.Method = "PUT" }), authn.CodeInvalidSignature},
		{"path", with(func(r *authn.Request) { r.Path = "/x" }), authn.CodeInvalidSignature},
		{"query", with(func(r *authn.Request) { r.RawQuery = "a" }), authn.CodeInvalidSignature},
		{"query that does not decode", with(func(r *authn.Request) { r.RawQuery = "a=%zz" }), authn.CodeInvalidSignature},
		{"long query", with(func(r *authn.Request) { r.RawQuery = strings.Repeat("a", 20_000) }), authn.CodeInvalidSignature},
		{"host", with(func(r *authn.Request) { r.Host = "127.0.0.1:9230" }), authn.CodeInvalidSignature},
		{"body", with(func(r *authn.Request) { r.Body[0] = '[' }), authn.CodeInvalidSignature},
		{"no body", with(func(r *authn.Request) { r.Body = nil }), authn.CodeInvalidSignature},
		{"date", with(func(r *authn.Request) { r.Header.Set("X-Amz-Date", "20260101T120001Z") }), authn.CodeInvalidSignature},
		{"two dates", with(func(r *authn.Request) { r.Header.Add("X-Amz-Date", "20260101T120000Z") }), authn.CodeIncompleteSignature},
		{"two authorizations", with(func(r *authn.Request) { r.Header.Add("Authorization", signed.Header.Get("Authorization")) }), authn.CodeIncompleteSignature},
		{"unsigned payload", with(func(r *authn.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }), authn.CodeInvalidSignature},
		{"chunked payload", with(func(r *authn.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
		}), authn.CodeInvalidSignature},
		{"key", edit(t, signed, keyID, otherID), authn.CodeInvalidSignature},
		{"unknown key", edit(t, signed, keyID, "AKIANOBODY"), authn.CodeUnrecognizedClient},
		{"day", edit(t, signed, "/20260101/", "/20260102/"), authn.CodeInvalidSignature},
		{"region", edit(t, signed, region, "us-east-1"), authn.CodeInvalidSignature},
		{"service", edit(t, signed, "/"+service+"/", "/sts/"), authn.CodeInvalidSignature},
		{"terminator", edit(t, signed, "aws4_request", "aws5_request"), authn.CodeInvalidSignature},
		{"slash more", edit(t, signed, credential, credential+"/"), authn.CodeIncompleteSignature},
		{"algorithm", edit(t, signed, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), authn.CodeIncompleteSignature},
		{"asymmetric algorithm", edit(t, signed, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), authn.CodeIncompleteSignature},
		{"fewer signed headers", edit(t, signed, "content-type;", ""), authn.CodeInvalidSignature},
		{"unordered signed headers", edit(t, signed, "content-length;content-type", "content-type;content-length"), authn.CodeInvalidSignature},
		{"repeated signed header", edit(t, signed, "content-type;", "content-type;content-type;"), authn.CodeInvalidSignature},
		{"upper-case signed header", edit(t, signed, "host;", "Host;"), authn.CodeInvalidSignature},
		{"no signed host", edit(t, signed, "host;", ""), authn.CodeInvalidSignature},
		{"signed header that is absent", edit(t, signed, "x-amz-date", "x-absent;x-amz-date"), authn.CodeInvalidSignature},
		{"upper-case signature", with(func(r *authn.Request) {
			head, sum, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(sum))
		}), authn.CodeInvalidSignature},
		{"longer signature", with(func(r *authn.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"0") }), authn.CodeInvalidSignature},
	}
	for _, name := range signedHeaders(t, signed) {
		if name == "host" {
			continue
		}
		alterations = append(alterations,
			alteration{"header " + name, with(func(r *authn.Request) { r.Header.Set(name, r.Header.Get(name)+"1") }), ""},
			alteration{"second header " + name, with(func(r *authn.Request) { r.Header.Add(name, "1") }), ""})
	}
	for i := range 64 {
		alterations = append(alterations, alteration{fmt.Sprintf("digit %d", i), with(func(r *authn.Request) { flip(r, i) }), authn.CodeInvalidSignature})
	}
	for _, a := range alterations {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), a.r)
			var e *authn.Error
			if !errors.As(err, &e) || a.code != "" && e.Code != a.code {
				t.Errorf("got %v, want %s", err, a.code)
			}
		})
	}
	if _, err := v.Verify(t.Context(), signed); err != nil {
		t.Errorf("the unaltered request: %v", err)
	}
}

// flip changes the hex digit of the signature.
func flip(r *authn.Request, digit int) {
	header := []byte(r.Header.Get("Authorization"))
	at := len(header) - 64 + digit
	if header[at] == '0' {
		header[at] = '1'
	} else {
		header[at] = '0'
	}
	r.Header.Set("Authorization", string(header))
}

func TestVerifyRefusesAlteredPresigned(t *testing.T) {
	t.Parallel()
	v := newVerifier(noon)
	signed := presign(t, usual(t), noon, "900")
	for _, edit := range []struct{ name, old, new, code string }{
		{"algorithm", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", authn.CodeIncompleteSignature},
		{"date", "20260101T120000Z", "20260101T120001Z", authn.CodeInvalidSignature},
		{"life", "X-Amz-Expires=900", "X-Amz-Expires=901", authn.CodeInvalidSignature},
		{"zero life", "X-Amz-Expires=900", "X-Amz-Expires=0", authn.CodeInvalidSignature},
		{"long life", "X-Amz-Expires=900", "X-Amz-Expires=604801", authn.CodeInvalidSignature},
		{"no number", "X-Amz-Expires=900", "X-Amz-Expires=1h", authn.CodeInvalidSignature},
		{"negative life", "X-Amz-Expires=900", "X-Amz-Expires=-1", authn.CodeInvalidSignature},
		{"two lives", "X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Expires=900", authn.CodeInvalidSignature},
		{"key", keyID, otherID, authn.CodeInvalidSignature},
		{"unknown key", keyID, "AKIANOBODY", authn.CodeUnrecognizedClient},
		{"region", region, "us-east-1", authn.CodeInvalidSignature},
		{"target", "AdminGetUser", "AdminDeleteUser", authn.CodeInvalidSignature},
		{"signed headers", "content-type%3B", "", authn.CodeInvalidSignature},
		{"second signature", "X-Amz-Signature=", "X-Amz-Signature=0&X-Amz-Signature=", authn.CodeIncompleteSignature},
		{"another parameter", "X-Amz-Signature=", "a=b&X-Amz-Signature=", authn.CodeInvalidSignature},
		{"unsigned payload", "X-Amz-Signature=", "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Signature=", authn.CodeInvalidSignature},
	} {
		t.Run(edit.name, func(t *testing.T) {
			t.Parallel()
			altered := clone(signed)
			if strings.Count(altered.RawQuery, edit.old) != 1 {
				t.Fatalf("%q is not once in %q", edit.old, altered.RawQuery)
			}
			altered.RawQuery = strings.Replace(altered.RawQuery, edit.old, edit.new, 1)
			_, err := v.Verify(t.Context(), altered)
			wantRefused(t, err, edit.code, "")
		})
	}
	t.Run("body", func(t *testing.T) {
		t.Parallel()
		altered := clone(signed)
		altered.Body = []byte(`{}`)
		_, err := v.Verify(t.Context(), altered)
		wantRefused(t, err, authn.CodeInvalidSignature, mismatch)
	})
}

// A presigned request names its operation in the signed query; a header may repeat it, and cannot contradict it.
func TestPresignedTarget(t *testing.T) {
	t.Parallel()
	v := newVerifier(noon)
	signed := presign(t, usual(t), noon, "900")
	signed.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.AdminGetUser")
	if _, err := v.Verify(t.Context(), signed); err != nil {
		t.Errorf("the same target: %v", err)
	}
	signed.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.AdminDeleteUser")
	_, err := v.Verify(t.Context(), signed)
	wantRefused(t, err, authn.CodeInvalidSignature, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
}

// The hash of an unsigned payload is refused even where it was signed as such.
func TestUnsignedPayloadIsRefused(t *testing.T) {
	t.Parallel()
	for _, stated := range []string{"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"} {
		r := usual(t)
		r.Header.Set("X-Amz-Content-Sha256", stated)
		if err := signer.SignHTTP(t.Context(), credentials(), r, stated, service, region, noon); err != nil {
			t.Fatal(err)
		}
		_, err := newVerifier(noon).Verify(t.Context(), received(t, r))
		wantRefused(t, err, authn.CodeInvalidSignature, mismatch)
	}
	r := usual(t)
	r.Header.Set("X-Amz-Content-Sha256", payloadHash(bodyOf(t, r)))
	if _, err := newVerifier(noon).Verify(t.Context(), sign(t, r, noon)); err != nil {
		t.Errorf("the right hash: %v", err)
	}
}

// A session token makes no difference: signed, unsigned, or in the query.
func TestSessionTokenIsIgnored(t *testing.T) {
	t.Parallel()
	v := newVerifier(noon)
	withToken := credentials()
	withToken.SessionToken = "session"
	r := usual(t)
	if err := signer.SignHTTP(t.Context(), withToken, r, payloadHash(bodyOf(t, r)), service, region, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), received(t, r)); err != nil {
		t.Errorf("signed token: %v", err)
	}
	unsigned := sign(t, usual(t), noon)
	unsigned.Header.Set("X-Amz-Security-Token", "session")
	if _, err := v.Verify(t.Context(), unsigned); err != nil {
		t.Errorf("unsigned token: %v", err)
	}
}

func TestContentLengthMayBeLeftOutOnTheWay(t *testing.T) {
	t.Parallel()
	r := sign(t, usual(t), noon)
	if !strings.Contains(r.Header.Get("Authorization"), "content-length") {
		t.Fatal("the SDK no longer signs the length")
	}
	r.Header.Del("Content-Length")
	if _, err := newVerifier(noon).Verify(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// Paths and queries have spellings that mean the same, and share a signature.
func TestEquivalentSpellings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ signed, sent string }{
		{"/b", "/a/../b"},
		{"/b", "//b"},
		{"/b/", "/./b//"},
		{"/", "/.."},
		{"/", ""},
		{"/?a=b%20c", "/?a=b+c"},
		{"/?a=&b=1", "/?b=1&a"},
	} {
		r := usual(t)
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(tt.signed, "?")
		signed := sign(t, r, noon)
		signed.Path, signed.RawQuery, _ = strings.Cut(tt.sent, "?")
		if _, err := newVerifier(noon).Verify(t.Context(), signed); err != nil {
			t.Errorf("%q as %q: %v", tt.signed, tt.sent, err)
		}
	}
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	signed := sign(t, usual(t), noon)
	for _, tt := range []struct {
		name, message string
		now           time.Time
	}{
		{"now", "", noon},
		{"five minutes late", "", noon.Add(5 * time.Minute)},
		{"less than a second more", "", noon.Add(5*time.Minute + 999*time.Millisecond)},
		{"five minutes early", "", noon.Add(-5 * time.Minute)},
		{"late", "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T120501Z - 5 min.)", noon.Add(5*time.Minute + time.Second)},
		{"early", "Signature not yet current: 20260101T120000Z is still later than 20260101T115959Z (20260101T115459Z + 5 min.)", noon.Add(-5*time.Minute - time.Second)},
		{"replayed next year", "Signature expired: 20260101T120000Z is now earlier than 20270101T115500Z (20270101T120000Z - 5 min.)", noon.AddDate(1, 0, 0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newVerifier(tt.now).Verify(t.Context(), signed)
			if tt.message != "" {
				wantRefused(t, err, authn.CodeInvalidSignature, tt.message)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPresignedLife(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, life, message string
		now                 time.Time
	}{
		{"within", "900", "", noon.Add(15 * time.Minute)},
		{"after", "900", "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T121501Z - 15 min.)", noon.Add(15*time.Minute + time.Second)},
		{"shorter than the skew", "1", "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T120002Z - 1 sec.)", noon.Add(2 * time.Second)},
		{"a week", "604800", "", noon.AddDate(0, 0, 7)},
		{"before", "604800", "Signature not yet current: 20260101T120000Z is still later than 20260101T115959Z (20260101T115459Z + 5 min.)", noon.Add(-5*time.Minute - time.Second)},
		{"none", "", "", noon.Add(5 * time.Minute)},
		{"none, after", "", "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T120501Z - 5 min.)", noon.Add(5*time.Minute + time.Second)},
		{"too long", "604801", "X-Amz-Expires must be a number of seconds between 1 and 604800.", noon},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newVerifier(tt.now).Verify(t.Context(), presign(t, usual(t), noon, tt.life))
			if tt.message != "" {
				wantRefused(t, err, authn.CodeInvalidSignature, tt.message)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	signed := sign(t, usual(t), noon)
	header := signed.Header.Get("Authorization")
	authorized := func(header string) *authn.Request {
		c := clone(signed)
		c.Header.Set("Authorization", header)
		return c
	}
	bare := func(change func(*authn.Request)) *authn.Request {
		c := clone(signed)
		c.Header.Del("Authorization")
		change(c)
		return c
	}
	undated := clone(signed)
	undated.Header.Del("X-Amz-Date")
	badDate := clone(signed)
	badDate.Header.Set("X-Amz-Date", "20260101T120000.5Z")
	both := clone(signed)
	both.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256"
	for _, tt := range []struct {
		name          string
		r             *authn.Request
		code, message string
	}{
		{"none", bare(func(*authn.Request) {}), authn.CodeMissingToken, "Missing Authentication Token"},
		{"none, bad query", bare(func(r *authn.Request) { r.RawQuery = "a=%zz" }), authn.CodeMissingToken, "Missing Authentication Token"},
		{"basic", authorized("Basic cGFzcw=="), authn.CodeMissingToken, "Missing Authentication Token"},
		{"bearer", authorized("Bearer token"), authn.CodeMissingToken, "Missing Authentication Token"},
		{"version 2", authorized("AWS AKID:sum"), authn.CodeMissingToken, "Missing Authentication Token"},
		{"all parts", authorized("AWS4-HMAC-SHA256"), authn.CodeIncompleteSignature, "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256"},
		{"one part", authorized("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host"), authn.CodeIncompleteSignature, "Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host"},
		{"date", undated, authn.CodeIncompleteSignature, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=" + header},
		{"everything", func() *authn.Request {
			c := authorized("AWS4-HMAC-SHA256")
			c.Header.Del("X-Amz-Date")
			return c
		}(), authn.CodeIncompleteSignature, "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256"},
		{"no equal-sign", authorized("AWS4-HMAC-SHA256 Credential"), authn.CodeIncompleteSignature, "'Credential' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 Credential'."},
		{"part twice", authorized("AWS4-HMAC-SHA256 Signature=a, Signature=b"), authn.CodeIncompleteSignature, "Authorization header has more than one 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 Signature=a, Signature=b"},
		{"unknown part", authorized("AWS4-HMAC-SHA256 X=y"), authn.CodeIncompleteSignature, "Authorization header has an unknown parameter 'X'. Authorization=AWS4-HMAC-SHA256 X=y"},
		{"too long", authorized("AWS4-HMAC-SHA256 Credential=" + strings.Repeat("a", 9000)), authn.CodeIncompleteSignature, "Authorization header is longer than 8192 bytes."},
		{"algorithm", edit(t, signed, "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), authn.CodeIncompleteSignature, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1' (only AWS4-HMAC-SHA256 for now). "},
		{"credential", edit(t, signed, "/aws4_request", ""), authn.CodeIncompleteSignature, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + keyID + "/20260101/eu-west-1/cognito-idp'"},
		{"date form", badDate, authn.CodeIncompleteSignature, "Date must be in ISO-8601 'basic format'. Got '20260101T120000.5Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"both forms", both, authn.CodeInvalidSignature, "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		{"presigned parts", bare(func(r *authn.Request) { r.RawQuery = "X-Amz-Algorithm=" }), authn.CodeIncompleteSignature, "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."},
		{"host", edit(t, signed, "host;", ""), authn.CodeInvalidSignature, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"target", edit(t, signed, ";x-amz-target", ""), authn.CodeInvalidSignature, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
		{"date not signed", edit(t, signed, ";x-amz-date", ""), authn.CodeInvalidSignature, "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."},
		{"region", edit(t, signed, region, "EU_WEST"), authn.CodeInvalidSignature, "Credential should be scoped to a valid region. "},
		{"service", edit(t, signed, "/cognito-idp/", "/sts/"), authn.CodeInvalidSignature, "Credential should be scoped to correct service: 'cognito-idp'. "},
		{"scope", edit(t, signed, "20260101/eu-west-1/cognito-idp/aws4_request", "2//sts/end"), authn.CodeInvalidSignature, "Credential should be scoped to a valid region. Credential should be scoped to correct service: 'cognito-idp'. Credential should be scoped with a valid terminator: 'aws4_request', not 'end'. Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '2' != '20260101', from '20260101T120000Z'."},
		{"unknown key", edit(t, signed, keyID, "AKIANOBODY"), authn.CodeUnrecognizedClient, "The security token included in the request is invalid."},
		{"signature", edit(t, signed, keyID, otherID), authn.CodeInvalidSignature, mismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newVerifier(noon).Verify(t.Context(), tt.r)
			wantRefused(t, err, tt.code, tt.message)
		})
	}
}

func TestTooManySignedHeaders(t *testing.T) {
	t.Parallel()
	for count, want := range map[int]bool{100: true, 101: false} {
		r := usual(t)
		r.Header = http.Header{}
		for i := range count - 3 { // and content-length, host, x-amz-date
			r.Header.Set(fmt.Sprintf("X-H-%03d", i), "1")
		}
		signed := sign(t, r, noon)
		if n := len(signedHeaders(t, signed)); n != count {
			t.Fatalf("signed %d headers, want %d", n, count)
		}
		_, err := newVerifier(noon).Verify(t.Context(), signed)
		if (err == nil) != want {
			t.Errorf("%d signed headers: %v", count, err)
		}
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host    string
		regions []string
		want    bool
	}{
		{"127.0.0.1:9229", nil, true},
		{"127.0.0.1:9229", []string{"us-east-1", "eu-west-1"}, true},
		{"127.0.0.1:9229", []string{"us-east-1"}, false},
		{"cognito-idp.eu-west-1.amazonaws.com", nil, true},
		{"cognito-idp.eu-west-1.amazonaws.com:9229", nil, true},
		{"cognito-idp.us-east-1.amazonaws.com:9229", nil, false},
		{"cognito-idp.example.com", nil, true},
	} {
		r := usual(t)
		r.Host = tt.host
		v := newVerifier(noon)
		v.Regions = tt.regions
		_, err := v.Verify(t.Context(), sign(t, r, noon))
		if tt.want && err != nil {
			t.Errorf("%s %v: %v", tt.host, tt.regions, err)
		} else if !tt.want {
			wantRefused(t, err, authn.CodeInvalidSignature, "Credential should be scoped to a valid region. ")
		}
	}
}

// A key whose secret changed is not served from the cache, and one that expired or lost its secret is refused.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	access := map[string]authn.Key{keyID: {ID: keyID, Secret: secret.New(keySecret)}}
	v := &authn.Verifier{Keys: keys{access: access}, Now: func() time.Time { return noon }}
	signed := sign(t, usual(t), noon)
	verify := func() error {
		_, err := v.Verify(t.Context(), signed)
		return err
	}
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	access[keyID] = authn.Key{ID: keyID, Secret: secret.New("new")}
	wantRefused(t, verify(), authn.CodeInvalidSignature, mismatch)

	access[keyID] = authn.Key{ID: keyID, Secret: secret.New(keySecret), Expires: noon.Add(time.Second)}
	if err := verify(); err != nil {
		t.Errorf("a second before it expires: %v", err)
	}
	access[keyID] = authn.Key{ID: keyID, Secret: secret.New(keySecret), Expires: noon}
	wantRefused(t, verify(), authn.CodeExpiredToken, "The security token included in the request is expired")

	access[keyID] = authn.Key{ID: keyID, Secret: secret.New("new"), Expires: noon}
	wantRefused(t, verify(), authn.CodeInvalidSignature, mismatch)

	access[keyID] = authn.Key{ID: keyID}
	wantRefused(t, verify(), authn.CodeUnrecognizedClient, "")

	delete(access, keyID)
	wantRefused(t, verify(), authn.CodeUnrecognizedClient, "")
}

func TestStoreErrorsAreOurs(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	v := &authn.Verifier{Keys: keys{err: broken}, Now: func() time.Time { return noon }}
	bearer := clone(sign(t, usual(t), noon))
	bearer.Header.Set("Authorization", "Bearer token")
	_, signedErr := v.Verify(t.Context(), sign(t, usual(t), noon))
	_, bearerErr := v.Bearer(t.Context(), bearer)
	for _, err := range []error{signedErr, bearerErr} {
		var e *authn.Error
		if !errors.Is(err, broken) || errors.As(err, &e) {
			t.Errorf("got %v", err)
		}
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	v := newVerifier(noon)
	with := func(authorization, query string) *authn.Request {
		r := &authn.Request{Method: "POST", Path: "/", RawQuery: query, Host: "localhost", Header: http.Header{}}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		return r
	}
	const rest = ", SignedHeaders=host, Signature=0"
	for _, tt := range []struct {
		name       string
		r          *authn.Request
		id, region string
	}{
		{"signed", sign(t, usual(t), noon.AddDate(-1, 0, 0)), keyID, region},
		{"presigned", presign(t, usual(t), noon.AddDate(-1, 0, 0), "1"), keyID, region},
		{"written by hand", with("AWS4-HMAC-SHA256 Credential=me/today/local/cognito-idp/aws4_request"+rest, ""), "me", "local"},
		{"without blanks", with("AWS4-HMAC-SHA256 Credential=me/d/us-east-1/s/t,SignedHeaders=host,Signature=0", ""), "me", "us-east-1"},
		{"presigned by hand", with("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=me/d/us-east-1/s/t&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Expires=x"), "me", "us-east-1"},
		{"impossible region", with("AWS4-HMAC-SHA256 Credential=me/d/..%2F/s/t"+rest, ""), "me", ""},
		{"long region", with("AWS4-HMAC-SHA256 Credential=me/d/"+strings.Repeat("a", 33)+"/s/t"+rest, ""), "me", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := v.Inspect(tt.r)
			if err != nil {
				t.Fatal(err)
			}
			if got.Key.ID != tt.id || got.Region != tt.region || !got.Key.Allows("DeleteUserPool", "x") {
				t.Errorf("got %+v", got)
			}
		})
	}
	for _, tt := range []struct {
		name, authorization, query, code string
	}{
		{"none", "", "", authn.CodeMissingToken},
		{"bearer", "Bearer x", "", authn.CodeMissingToken},
		{"incomplete", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e", "", authn.CodeIncompleteSignature},
		{"short credential", "AWS4-HMAC-SHA256 Credential=a" + rest, "", authn.CodeIncompleteSignature},
		{"no key id", "AWS4-HMAC-SHA256 Credential=/b/c/d/e" + rest, "", authn.CodeIncompleteSignature},
		{"incomplete query", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256", authn.CodeIncompleteSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := with(tt.authorization, tt.query)
			_, err := v.Inspect(r)
			wantRefused(t, err, tt.code, "")
		})
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	v := &authn.Verifier{Now: func() time.Time { return noon }, Keys: keys{bearer: map[string]authn.Key{
		"good": {ID: "k1", Name: "curl"},
		"old":  {ID: "k2", Expires: noon},
	}}}
	for _, tt := range []struct{ header, id, code, message string }{
		{"Bearer good", "k1", "", ""},
		{"bearer  good ", "k1", "", ""},
		{"", "", authn.CodeMissingToken, "Missing Authentication Token"},
		{"Bearer", "", authn.CodeMissingToken, "Missing Authentication Token"},
		{"Bearer ", "", authn.CodeMissingToken, "Missing Authentication Token"},
		{"Basic good", "", authn.CodeMissingToken, "Missing Authentication Token"},
		{"Bearer bad", "", authn.CodeUnrecognizedClient, "The security token included in the request is invalid."},
		{"Bearer old", "", authn.CodeExpiredToken, "The security token included in the request is expired"},
		{"Bearer " + strings.Repeat("a", 9000), "", authn.CodeIncompleteSignature, "Authorization header is longer than 8192 bytes."},
	} {
		r := &authn.Request{Header: http.Header{}}
		if tt.header != "" {
			r.Header.Set("Authorization", tt.header)
		}
		got, err := v.Bearer(t.Context(), r)
		if tt.code != "" {
			wantRefused(t, err, tt.code, tt.message)
		} else if err != nil || got.Key.ID != tt.id {
			t.Errorf("%q: got %+v, %v", tt.header, got, err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, r := range map[string]*authn.Request{"header": sign(b, usual(b), noon), "presigned": presign(b, usual(b), noon, "900")} {
		b.Run(name, func(b *testing.B) {
			v := newVerifier(noon)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
