package authn_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

var signer = v4.NewSigner()

// TestPublishedVectors runs requests of AWS's published signing test suites (2011 and 2015) with the signatures given there.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	const (
		newScope = "20150830/us-east-1/service"
		newDate  = "X-Amz-Date: 20150830T123600Z"
		oldScope = "20110909/us-east-1/host"
		oldDate  = "Date: Mon, 09 Sep 2011 23:36:00 GMT"
		query    = "&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host"
	)
	for _, tt := range []struct {
		name, method, target, host, scope, headers, signed, body, signature string
	}{
		{name: "get-vanilla", target: "/", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "get-relative", target: "/example/..", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{name: "get-slash-pointless-dot-unnormalized", target: "/./example", signature: "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff"},
		{name: "get-utf8", target: "/ሴ", signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{name: "get-vanilla-query-order-key-case", target: "/?Param2=value2&Param1=value1", signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{name: "get-vanilla-query-order-encoded", target: "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", signature: "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
		{name: "get-header-key-duplicate", target: "/", headers: "My-Header1: value2\nMy-Header1: value2\nMy-Header1: value1", signed: "host;my-header1;x-amz-date", signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{name: "get-header-value-trim", target: "/", headers: "My-Header1: value1\nMy-Header2: \"a   b   c\"", signed: "host;my-header1;my-header2;x-amz-date", signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{
			name: "post-x-www-form-urlencoded", method: "POST", target: "/", body: "Param1=value1",
			headers: "Content-Type: application/x-www-form-urlencoded\nContent-Length: 13\nX-Amz-Content-Sha256: 9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
			signed:  "content-length;content-type;host;x-amz-content-sha256;x-amz-date", signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
		},
		{name: "get-vanilla-query, presigned", target: "/?X-Amz-Algorithm=AWS4-HMAC-SHA256" + query + "&X-Amz-Expires=3600&X-Amz-Signature=e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"},
		{name: "post-vanilla-query, presigned", method: "POST", target: "/?Param1=value1&X-Amz-Algorithm=AWS4-HMAC-SHA256" + query + "&X-Amz-Signature=3db81c23f61a113c20a450ddd23cd505339301826c402790ceaa9490520fb718"},

		{name: "get-vanilla, 2011", target: "/", scope: oldScope, signature: "b27ccfbfa7df52a200ff74193ca6e32d4b48b8856fab7ebf1c595d0670a7e470"},
		{name: "get-relative-relative, 2011", target: "/foo/bar/../..", scope: oldScope, signature: "b27ccfbfa7df52a200ff74193ca6e32d4b48b8856fab7ebf1c595d0670a7e470"},
		{name: "get-slash-dot-slash, 2011", target: "/./", scope: oldScope, signature: "b27ccfbfa7df52a200ff74193ca6e32d4b48b8856fab7ebf1c595d0670a7e470"},
		{name: "get-slash-pointless-dot, 2011", target: "/./foo", scope: oldScope, signature: "910e4d6c9abafaf87898e1eb4c929135782ea25bb0279703146455745391e63a"},
		{name: "get-vanilla-query-order-key-case, 2011", target: "/?foo=Zoo&foo=aha", scope: oldScope, signature: "be7148d34ebccdc6423b19085378aa0bee970bdc61d144bd1a8c48c33079ab09"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host, scope, date, signed := "example.amazonaws.com", newScope, newDate, "host;x-amz-date"
			if tt.scope == oldScope {
				host, scope, date, signed = "host.foo.com", oldScope, oldDate, "date;host"
			}
			if tt.signed != "" {
				signed = tt.signed
			}
			r := &authn.Request{Method: "GET", Host: host, Header: http.Header{}, Body: []byte(tt.body)}
			if tt.method != "" {
				r.Method = tt.method
			}
			r.Path, r.RawQuery, _ = strings.Cut(tt.target, "?")
			for line := range strings.Lines(tt.headers + "\n" + date) {
				if name, value, ok := strings.Cut(line, ":"); ok {
					r.Header.Add(name, strings.TrimSpace(value))
				}
			}
			if tt.signature != "" {
				r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/%s/aws4_request, SignedHeaders=%s, Signature=%s", scope, signed, tt.signature))
			}
			v := &authn.Verifier{
				Service: strings.Split(scope, "/")[2],
				Now: func() time.Time {
					if tt.scope == oldScope {
						return time.Date(2011, 9, 9, 23, 36, 0, 0, time.UTC)
					}
					return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
				},
				Keys: keys{access: map[string]authn.Key{"AKIDEXAMPLE": {ID: "AKIDEXAMPLE", Secret: secret.New("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")}}},
			}
			if _, err := v.Verify(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
}
