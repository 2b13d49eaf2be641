package httpd_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/edge/httpd"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const expose = "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"

// head makes the headers of an answer comparable.
func head(r *http.Response) map[string]string {
	m := map[string]string{}
	for name, values := range r.Header {
		m[name] = strings.Join(values, " | ")
	}
	return m
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const hint = " Name an operation with the header X-Amz-Target: AWSCognitoIdentityProviderService.<Operation>, or with the query parameter of the same name."
	const missingAll = "3 validation errors detected: Value null at 'userPoolId' failed to satisfy constraint: Member must not be null; " +
		"Value null at 'username' failed to satisfy constraint: Member must not be null; " +
		"Value null at 'userAttributes' failed to satisfy constraint: Member must not be null"
	const envelope = `{"success":true,"data":{"id":"` + requestID + `","created_at":"2026-01-01T12:00:00Z"}}`
	user := `{"UserPoolId":"` + poolID + `","Username":"jane"}`
	for _, tt := range []struct {
		name   string
		call   call
		status int
		header map[string]string
		body   string
	}{
		{"aws: an empty output", sdk("AdminUpdateUserAttributes", update), 200,
			map[string]string{"Content-Type": aws11, "X-Amzn-Requestid": requestID}, `{}`},
		{"aws: version 1.0", sdk("AdminUpdateUserAttributes", update, "Content-Type", "application/x-amz-json-1.0"), 200,
			map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amzn-Requestid": requestID}, `{}`},
		{"aws: no output", sdk("AdminDeleteUser", user), 200,
			map[string]string{"X-Amzn-Requestid": requestID}, ``},
		{"aws: members", sdk("AdminGetUser", user), 200,
			map[string]string{"Content-Type": aws11, "X-Amzn-Requestid": requestID}, `{"Username":"jane","UserCreateDate":1767268800}`},
		{"aws: an operation for browsers", sdk("GetUser", `{"AccessToken":"x"}`), 200,
			map[string]string{"Content-Type": aws11, "X-Amzn-Requestid": requestID, "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": expose},
			`{"Username":"jane"}`},
		{"aws: a fault", sdk("AdminGetUser", `{"UserPoolId":"us-east-1_zzzzzzzzz","Username":"jane"}`), 400,
			map[string]string{"Content-Type": aws11, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "ResourceNotFoundException:", "X-Amzn-Errormessage": "User pool us-east-1_zzzzzzzzz does not exist."},
			`{"__type":"ResourceNotFoundException","message":"User pool us-east-1_zzzzzzzzz does not exist."}`},
		{"aws: a fault without a text", sdk("AdminGetUser", `{`), 400,
			map[string]string{"Content-Type": aws11, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "SerializationException:"},
			`{"__type":"SerializationException"}`},
		{"aws: an unknown operation", sdk("AdminUpdateUser", `{}`), 400,
			map[string]string{"Content-Type": aws11, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "UnknownOperationException:", "Connection": "close", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": expose},
			`{"__type":"UnknownOperationException"}`},
		{"aws: no operation", call{header: map[string]string{"Content-Type": aws11}, body: update}, 400,
			map[string]string{"Content-Type": aws11, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "UnknownOperationException:", "Connection": "close", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": expose},
			`{"__type":"UnknownOperationException"}`},
		{"aws: an operation that is not built", sdk("CreateTerms", `{}`), 400,
			map[string]string{"Content-Type": aws11, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "UnsupportedOperationException:", "X-Amzn-Errormessage": "The operation CreateTerms is described here and not built yet."},
			`{"__type":"UnsupportedOperationException","message":"The operation CreateTerms is described here and not built yet."}`},

		{"plain: the documented request with a body", curl(update), 200,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID}, envelope},
		{"plain: the documented request without a body", curl(""), 400,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "InvalidParameterException:",
				"X-Amzn-Errormessage": missingAll + ". The request names no operation, so it is AdminUpdateUserAttributes." + hint},
			`{"success":false,"error":{"code":"VALIDATION_ERROR","message":"` + missingAll + `. The request names no operation, so it is AdminUpdateUserAttributes.` + hint +
				`","type":"InvalidParameterException","request_id":"` + requestID + `","details":[{"field":"userPoolId","reason":"Member must not be null"},{"field":"username","reason":"Member must not be null"},{"field":"userAttributes","reason":"Member must not be null"}]}}`},
		{"plain: unnamed, with a member of another operation", curl(`{"UserPoolId":"` + poolID + `","Username":"jane","Permanent":true}`), 400,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "InvalidParameterException:",
				"X-Amzn-Errormessage": "The request names no operation, so it is AdminUpdateUserAttributes. It has no member Permanent." + hint},
			`{"success":false,"error":{"code":"VALIDATION_ERROR","message":"The request names no operation, so it is AdminUpdateUserAttributes. It has no member Permanent.` + hint +
				`","type":"InvalidParameterException","request_id":"` + requestID + `"}}`},
		{"plain: named by header", curl(user, "X-Amz-Target", "AWSCognitoIdentityProviderService.AdminDeleteUser"), 200,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID}, envelope},
		{"plain: named by query", call{url: "http://localhost:9229/?X-Amz-Target=AWSCognitoIdentityProviderService.AdminGetUser", header: map[string]string{"Content-Type": plain}, body: user}, 200,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID},
			`{"success":true,"data":{"id":"` + requestID + `","created_at":"2026-01-01T12:00:00Z","Username":"jane","UserCreateDate":"2026-01-01T12:00:00Z"}}`},
		{"plain: named by action", call{url: "http://localhost:9229/?Action=AdminDeleteUser", header: map[string]string{"Content-Type": plain}, body: user}, 200,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID}, envelope},
		{"plain: named by path", call{url: "http://localhost:9229/AWSCognitoIdentityProviderService.AdminDeleteUser", header: map[string]string{"Content-Type": plain}, body: user}, 200,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID}, envelope},
		{"plain: named behind an escaped hash", call{url: "http://localhost:9229/%23X-Amz-Target=AWSCognitoIdentityProviderService.AdminDeleteUser", header: map[string]string{"Content-Type": plain}, body: user}, 200,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID}, envelope},
		{"plain: an unknown operation", curl(`{}`, "X-Amz-Target", "AWSCognitoIdentityProviderService.Nonsense"), 400,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "UnknownOperationException:", "Connection": "close", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": expose},
			`{"success":false,"error":{"code":"UNKNOWN_OPERATION","message":"There is no operation of this name.` + hint + `","type":"UnknownOperationException","request_id":"` + requestID + `"}}`},
		{"plain: a pool that is not there", curl(`{"UserPoolId":"us-east-1_zzzzzzzzz","Username":"jane","UserAttributes":[]}`), 400,
			map[string]string{"Content-Type": plain, "X-Amzn-Requestid": requestID, "X-Amzn-Errortype": "ResourceNotFoundException:", "X-Amzn-Errormessage": "User pool us-east-1_zzzzzzzzz does not exist."},
			`{"success":false,"error":{"code":"POOL_NOT_FOUND","message":"User pool us-east-1_zzzzzzzzz does not exist.","type":"ResourceNotFoundException","request_id":"` + requestID + `"}}`},

		{"no content type", call{body: update}, 415, map[string]string{"Connection": "close", "X-Amzn-Requestid": requestID}, ""},
		{"text", curl(update, "Content-Type", "text/plain"), 415, map[string]string{"Connection": "close", "X-Amzn-Requestid": requestID}, ""},
		{"a form", curl(update, "Content-Type", "application/x-www-form-urlencoded"), 415, map[string]string{"Connection": "close", "X-Amzn-Requestid": requestID}, ""},
		{"gzip", curl(update, "Content-Encoding", "gzip"), 415, map[string]string{"Connection": "close", "X-Amzn-Requestid": requestID}, ""},
		{"GET", call{method: "GET"}, 405, map[string]string{"Allow": "POST, OPTIONS", "X-Amzn-Requestid": requestID}, ""},
		{"PUT", call{method: "PUT", body: update, header: map[string]string{"Content-Type": plain}}, 405, map[string]string{"Connection": "close", "Allow": "POST, OPTIONS", "X-Amzn-Requestid": requestID}, ""},
		{"TRACE", call{method: "TRACE"}, 405, map[string]string{"Allow": "POST, OPTIONS", "X-Amzn-Requestid": requestID}, ""},
		{"an unknown path", call{method: "GET", url: "http://localhost/index.html"}, 404, map[string]string{"X-Amzn-Requestid": requestID}, ""},
		{"no profiler", call{method: "GET", url: "http://localhost/debug/pprof/"}, 404, map[string]string{"X-Amzn-Requestid": requestID}, ""},
		{"no metrics", call{method: "GET", url: "http://localhost/metrics"}, 404, map[string]string{"X-Amzn-Requestid": requestID}, ""},
		{"no console", call{method: "GET", url: "http://localhost/_poolhouse/"}, 404, map[string]string{"X-Amzn-Requestid": requestID}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := newHouse().send(t, tt.call)
			body := text(t, got)
			want.Equal(t, got.StatusCode, tt.status)
			want.Equal(t, body, tt.body)
			header := head(got)
			tt.header["Content-Length"] = strconv.Itoa(len(body))
			want.Equal(t, header, tt.header)
		})
	}
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	const denied = "AccessDeniedException: User: arn:aws:iam::000000000000:user/reader is not authorized to perform: cognito-idp:"
	user := `{"UserPoolId":"` + poolID + `","Username":"jane"}`
	list := `{"MaxResults":1}`
	for _, tt := range []struct {
		name   string
		verify bool
		call   call
		fault  string // what x-amzn-errortype and message say; "" is success
		caller string
		region string
	}{
		{"dev, aws: any signature that parses", false, sdk("ListUserPools", list), "", "test", "eu-west-1"},
		{"dev, aws: no signature", false, sdk("ListUserPools", list).without("Authorization"), "MissingAuthenticationTokenException: Missing Authentication Token", "", ""},
		{"dev, aws: half a signature", false, sdk("ListUserPools", list, "Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/cognito-idp/aws4_request, SignedHeaders=host"),
			"IncompleteSignatureException: Authorization header requires 'Signature' parameter.", "", ""},
		{"dev, plain: nothing is needed", false, curl(list, "X-Amz-Target", "AWSCognitoIdentityProviderService.ListUserPools"), "", "anonymous-dev", "us-east-1"},
		{"dev, plain: a signature names key and region", false, sdk("ListUserPools", list, "Content-Type", plain), "", "test", "eu-west-1"},
		{"dev, plain: the region of the host", false, call{url: "http://cognito-idp.ap-southeast-2.amazonaws.com/?Action=ListUserPools", header: map[string]string{"Content-Type": plain}, body: list}, "", "anonymous-dev", "ap-southeast-2"},

		{"aws: signed", true, sdk("ListUserPools", list).signedBy(keyID), "", keyID, "eu-west-1"},
		{"aws: nobody", true, sdk("ListUserPools", list).without("Authorization"), "MissingAuthenticationTokenException: Missing Authentication Token", "", ""},
		{"aws: an unknown key", true, sdk("ListUserPools", list).signedBy("AKIAUNKNOWN000000000"), "UnrecognizedClientException: The security token included in the request is invalid.", "", ""},
		{"aws: another body than was signed", true, sdk("ListUserPools", list).signedBy(keyID).saying(`{"MaxResults":2}`), "InvalidSignatureException: The request signature we calculated", "", ""},
		{"aws: a bearer key is nothing here", true, sdk("ListUserPools", list, "Authorization", "Bearer bearer-key"), "MissingAuthenticationTokenException: Missing Authentication Token", "", ""},
		{"aws: an action of the key", true, sdk("AdminGetUser", user).signedBy(readerID), "", readerID, "eu-west-1"},
		{"aws: another action", true, sdk("AdminDeleteUser", user).signedBy(readerID), denied + "AdminDeleteUser on resource: *", "", ""},
		{"aws: another pool", true, sdk("AdminGetUser", `{"UserPoolId":"us-east-1_zzzzzzzzz","Username":"jane"}`).signedBy(readerID), denied + "AdminGetUser on resource: arn:aws:cognito-idp:eu-west-1:000000000000:userpool/us-east-1_zzzzzzzzz", "", ""},
		{"aws: the signature is looked at before the body", true, sdk("ListUserPools", `{`).without("Authorization"), "MissingAuthenticationTokenException: Missing Authentication Token", "", ""},
		{"plain: signed", true, sdk("ListUserPools", list, "Content-Type", plain).signedBy(keyID), "", keyID, "eu-west-1"},
		{"plain: a bearer key", true, curl(list, "X-Amz-Target", "AWSCognitoIdentityProviderService.ListUserPools", "Authorization", "bearer bearer-key"), "", "PHBEARER", "us-east-1"},
		{"plain: a wrong bearer key", true, curl(list, "X-Amz-Target", "AWSCognitoIdentityProviderService.ListUserPools", "Authorization", "Bearer "+marker), "UnrecognizedClientException: The security token included in the request is invalid.", "", ""},
		{"plain: nobody", true, curl(list, "X-Amz-Target", "AWSCognitoIdentityProviderService.ListUserPools"), "MissingAuthenticationTokenException: Missing Authentication Token", "", ""},
		{"plain: nobody, unnamed", true, curl(update), "MissingAuthenticationTokenException: Missing Authentication Token", "", ""},
		{"token operations need no signature", true, call{header: map[string]string{"Content-Type": aws11, "X-Amz-Target": "AWSCognitoIdentityProviderService.GetUser"}, body: `{"AccessToken":"x"}`}, "", holder, "us-east-1"},
		{"token operations ignore a signature", true, sdk("GetUser", `{"AccessToken":"x"}`, "Authorization", "AWS4-HMAC-SHA256 nonsense"), "", holder, "us-east-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(func(s *httpd.Server) { s.Verify = tt.verify })
			c := tt.call
			if c.signer != "" {
				c = signed(t, c, c.signer)
			}
			got := h.send(t, c)
			body := text(t, got)
			if tt.fault != "" {
				says := strings.TrimSuffix(got.Header.Get("X-Amzn-Errortype"), ":") + ": " + got.Header.Get("X-Amzn-Errormessage")
				want.True(t, strings.HasPrefix(says, tt.fault), "%q begins with %q", says, tt.fault)
				want.Equal(t, got.StatusCode, 400)
				want.Equal(t, len(h.ops.names()), 0)
				want.True(t, !strings.Contains(body, marker), "no credential is repeated")
				return
			}
			want.Equal(t, got.StatusCode, 200)
			saw := h.ops.last(t)
			want.Equal(t, saw.Caller.KeyID, tt.caller)
			want.Equal(t, saw.Region, tt.region)
			want.Equal(t, saw.Source, "192.0.2.1")
			want.Equal(t, saw.RequestID, requestID)
		})
	}
}

func TestKeyStoreFails(t *testing.T) {
	t.Parallel()
	h := newHouse(verifying, func(s *httpd.Server) { s.Verifier = &authn.Verifier{Keys: keys{err: errSecret}, Now: s.Verifier.Now} })
	got := h.send(t, signed(t, sdk("ListUserPools", `{"MaxResults":1}`), keyID))
	want.Equal(t, got.StatusCode, 500)
	want.Equal(t, text(t, got), `{"__type":"InternalErrorException","message":"The request could not be processed. Request id: `+requestID+`"}`)
	want.Contains(t, h.log.String(), "marker of the cause")
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for host, status := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:9229": 200, "10.1.2.3:80": 200, "[::1]:9229": 200, "[::1]": 200, "[fe80::1]:1": 200,
		"localhost": 200, "LOCALHOST:9229": 200, "auth.localhost:9229": 200, "host.docker.internal:9229": 200,
		"cognito-idp.us-east-1.amazonaws.com": 200, "cognito-idp.us-gov-west-1.amazonaws.com": 200,
		"id.example.com": 200, "ID.example.com:443": 200, "listed.internal:9229": 200,
		"": 421, "evil.example": 421, "localhost.evil.example": 421, "evillocalhost": 421, ".localhost": 421, "localhost.": 421,
		"127.0.0.1.evil.example": 421, "127.0.0.1.nip.io": 421, "cognito-idp.evil.amazonaws.com": 421, "cognito-idp.us-east-1.amazonaws.com.evil.example": 421,
		"cognito-idp.us-east-1.evil.amazonaws.com": 421, "sub.id.example.com": 421, "2130706433": 421, "0x7f.1": 421, "[::1": 421, "[::1]9229": 421, "::1": 200, "localhost:evil": 421, "localhost:": 200, "a:b:c": 421, "user@localhost": 421,
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			h := newHouse(func(s *httpd.Server) {
				s.PublicURL, s.AllowedHosts = mustURL("https://id.example.com/"), []string{"Listed.internal"}
			})
			c := curl(update)
			r := c.request(t.Context())
			r.Host = host
			got := h.serve(r)
			want.Equal(t, got.StatusCode, status)
			if status == 421 {
				want.Equal(t, text(t, got), "")
				want.Equal(t, len(h.ops.names()), 0)
			}
		})
	}
}

// TestForeignPages is what pages of other origins may reach: sign-in operations, and nothing of an administrator's.
func TestForeignPages(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	for _, tt := range []struct {
		name    string
		headers []string
		admin   bool   // an admin operation is carried out
		shared  string // Access-Control-Allow-Origin of its answer
	}{
		{"no page", nil, true, ""},
		{"an address bar", []string{"Sec-Fetch-Site", "none"}, true, ""},
		{"our own page", []string{"Origin", "http://127.0.0.1:9229", "Sec-Fetch-Site", "same-origin"}, true, "http://127.0.0.1:9229"},
		{"our own page by the public address", []string{"Origin", "https://id.example.com"}, true, "https://id.example.com"},
		{"a page on another port", []string{"Origin", "http://127.0.0.1:3000", "Sec-Fetch-Site", "same-site"}, true, "http://127.0.0.1:3000"},
		{"a page of localhost", []string{"Origin", "http://localhost:3000"}, true, "http://localhost:3000"},
		{"a page of a name below localhost", []string{"Origin", "https://app.localhost"}, true, "https://app.localhost"},
		{"a page of ::1", []string{"Origin", "http://[::1]:3000"}, true, "http://[::1]:3000"},
		{"a listed page", []string{"Origin", app, "Sec-Fetch-Site", "cross-site"}, true, app},
		{"a foreign page", []string{"Origin", "https://evil.example"}, false, ""},
		{"a page that hides its origin", []string{"Origin", "null"}, false, ""},
		{"a page with an empty origin", []string{"Origin", ""}, false, ""},
		{"another site", []string{"Sec-Fetch-Site", "cross-site"}, false, ""},
		{"another site on this machine", []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "cross-site"}, false, ""},
		{"a word that browsers do not say", []string{"Sec-Fetch-Site", "elsewhere"}, false, ""},
		{"almost localhost", []string{"Origin", "http://localhost.evil.example"}, false, ""},
		{"almost our own", []string{"Origin", "http://127.0.0.1:9229.evil.example"}, false, ""},
		{"almost listed", []string{"Origin", app + ".evil.example"}, false, ""},
		{"the listed host by another scheme", []string{"Origin", "http://app.example.com"}, false, ""},
		{"a file", []string{"Origin", "file://"}, false, ""},
		{"an extension", []string{"Origin", "chrome-extension://localhost"}, false, ""},
		{"another address of the network", []string{"Origin", "http://10.0.0.1:9229"}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := func(s *httpd.Server) {
				s.PublicURL, s.AllowedOrigins = mustURL("https://id.example.com"), []string{app}
				s.Console = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
			}
			h := newHouse(set)
			for _, c := range []call{sdk("AdminUpdateUserAttributes", update, tt.headers...), curl(update, tt.headers...)} {
				body := &counted{Reader: strings.NewReader(update)}
				r := c.request(t.Context())
				r.Body = body
				got := h.serve(r)
				want.Equal(t, got.Header.Get("Access-Control-Allow-Origin"), tt.shared)
				if tt.admin {
					want.Equal(t, got.StatusCode, 200)
					continue
				}
				want.Equal(t, got.StatusCode, 400)
				want.Equal(t, got.Header.Get("X-Amzn-Errortype"), "AccessDeniedException:")
				want.Equal(t, got.Header.Get("Connection"), "close")
				want.Contains(t, text(t, got), "This operation cannot be called from a web page of another origin.")
				want.Equal(t, body.n, 0)
			}
			calls := 0
			if tt.admin {
				calls = 2
			}
			want.Equal(t, len(h.ops.names()), calls)

			console := h.send(t, call{method: "GET", url: "http://127.0.0.1:9229/_poolhouse/inbox"}.with(tt.headers...))
			want.True(t, console.StatusCode == 204 && tt.admin || console.StatusCode == 400 && !tt.admin, "the console answers %d", console.StatusCode)
			want.Equal(t, console.Header.Get("Access-Control-Allow-Origin"), "")

			public := h.send(t, sdk("GetUser", `{"AccessToken":"x"}`, tt.headers...))
			want.Equal(t, public.StatusCode, 200)
			want.Equal(t, public.Header.Get("Access-Control-Allow-Origin"), "*")
		})
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	const names = "content-type,x-amz-target,x-amz-user-agent"
	for _, tt := range []struct {
		name            string
		origin, headers string
		status          int
		allow           string
	}{
		{"an SDK's, from anywhere", "https://evil.example", names, 200, "*"},
		{"an SDK's, from a page without origin", "null", names, 200, "*"},
		{"an SDK's, in another case", "https://a.example", "X-Amz-Target", 200, "*"},
		{"plain, from this machine", "http://localhost:3000", "content-type", 200, "http://localhost:3000"},
		{"plain, from a listed origin", "https://app.example.com", "content-type", 200, "https://app.example.com"},
		{"plain, from anywhere", "https://evil.example", "content-type", 403, ""},
		{"plain, from a page without origin", "null", "content-type", 403, ""},
		{"plain, without headers", "https://evil.example", "", 403, ""},
		{"a header that is none", "https://evil.example", "x-amz-target, a b", 403, ""},
		{"too many headers", "https://evil.example", "x-amz-target," + strings.Repeat("a,", 4000), 403, ""},
		{"no origin", "", names, 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(func(s *httpd.Server) { s.AllowedOrigins = []string{"https://app.example.com"} })
			c := call{method: "OPTIONS", header: map[string]string{"Access-Control-Request-Method": "POST"}}
			if tt.origin != "" {
				c = c.with("Origin", tt.origin)
			}
			if tt.headers != "" {
				c = c.with("Access-Control-Request-Headers", tt.headers)
			}
			got := h.send(t, c)
			want.Equal(t, got.StatusCode, tt.status)
			want.Equal(t, text(t, got), "")
			want.Equal(t, got.Header.Get("Access-Control-Allow-Origin"), tt.allow)
			if tt.status == 200 {
				want.Equal(t, got.Header.Get("Access-Control-Allow-Methods"), "POST")
				want.Equal(t, got.Header.Get("Access-Control-Allow-Headers"), tt.headers)
				want.Equal(t, got.Header.Get("Access-Control-Max-Age"), "172800")
			}
		})
	}
	want.Equal(t, newHouse().send(t, call{method: "OPTIONS"}).StatusCode, 405)
	want.Equal(t, newHouse().send(t, call{method: "OPTIONS", header: map[string]string{"Origin": "http://localhost", "Access-Control-Request-Method": "PUT"}}).StatusCode, 403)
}

func TestSource(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, peer, forwarded string
		proxies               []string
		want                  string
	}{
		{"the peer", "192.0.2.1:1", "", nil, "192.0.2.1"},
		{"the peer of version 6", "[2001:db8::1]:1", "", nil, "2001:db8::1"},
		{"nobody is trusted", "192.0.2.1:1", "203.0.113.9", nil, "192.0.2.1"},
		{"a stranger is not trusted", "192.0.2.1:1", "203.0.113.9", []string{"10.0.0.0/8"}, "192.0.2.1"},
		{"a proxy", "10.0.0.1:1", "203.0.113.9", []string{"10.0.0.0/8"}, "203.0.113.9"},
		{"what the caller wrote does not count", "10.0.0.1:1", "127.0.0.1, 203.0.113.9", []string{"10.0.0.0/8"}, "203.0.113.9"},
		{"two proxies", "10.0.0.1:1", "127.0.0.1, 203.0.113.9 , 10.0.0.2", []string{"10.0.0.0/8"}, "203.0.113.9"},
		{"only proxies", "10.0.0.1:1", "10.0.0.3,10.0.0.2", []string{"10.0.0.0/8"}, "10.0.0.3"},
		{"nonsense", "10.0.0.1:1", "203.0.113.9, unknown, 10.0.0.2", []string{"10.0.0.0/8"}, "10.0.0.2"},
		{"a proxy that says nothing", "10.0.0.1:1", "", []string{"10.0.0.0/8"}, "10.0.0.1"},
		{"mapped to version 6", "[::ffff:10.0.0.1]:1", "::ffff:203.0.113.9", []string{"10.0.0.0/8"}, "203.0.113.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(func(s *httpd.Server) { s.TrustedProxies = prefixes(tt.proxies...) })
			c := curl(update)
			if tt.forwarded != "" {
				c = c.with("X-Forwarded-For", tt.forwarded)
			}
			r := c.request(t.Context())
			r.RemoteAddr = tt.peer
			want.Equal(t, h.serve(r).StatusCode, 200)
			want.Equal(t, h.ops.last(t).Source, tt.want)
		})
	}
}

// TestSchemeBehindProxy holds that a page served through a TLS proxy is our own only where the proxy is trusted.
func TestSchemeBehindProxy(t *testing.T) {
	t.Parallel()
	for proxy, status := range map[string]int{"192.0.2.0/24": 200, "10.0.0.0/8": 400} {
		h := newHouse(func(s *httpd.Server) { s.TrustedProxies, s.AllowedHosts = prefixes(proxy), []string{"id.example.com"} })
		c := curl(update, "Origin", "https://id.example.com", "X-Forwarded-Proto", "https")
		c.host = "id.example.com"
		want.Equal(t, h.send(t, c).StatusCode, status)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.ops.update = func(context.Context) error { panic("out of cheese") }
	got := h.send(t, sdk("AdminUpdateUserAttributes", update))
	want.Equal(t, got.StatusCode, 500)
	want.Equal(t, got.Header.Get("X-Amzn-Errortype"), "InternalErrorException:")
	body := text(t, got)
	want.Equal(t, body, `{"__type":"InternalErrorException","message":"The request could not be processed. Request id: `+requestID+`"}`)
	log := h.log.String()
	want.Contains(t, log, "out of cheese")
	want.Contains(t, log, "server_test.go")
	want.Contains(t, log, requestID)
	h.ops.update = nil
	want.Equal(t, h.send(t, sdk("AdminUpdateUserAttributes", update)).StatusCode, 200)
}

func TestConsolePanics(t *testing.T) {
	t.Parallel()
	h := newHouse(func(s *httpd.Server) {
		s.Console = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/_poolhouse/late" {
				w.WriteHeader(202)
			}
			panic("no page")
		})
	})
	want.Equal(t, h.send(t, call{method: "GET", url: "http://localhost/_poolhouse/early"}).StatusCode, 500)
	want.Equal(t, h.send(t, call{method: "GET", url: "http://localhost/_poolhouse/late"}).StatusCode, 202)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var broken error
	h := newHouse(func(s *httpd.Server) { s.Ready = func() error { return broken } })
	get := func(path string) (int, string) {
		r := h.send(t, call{method: "GET", url: "http://127.0.0.1" + path})
		return r.StatusCode, text(t, r)
	}
	for range 2 {
		status, body := get("/healthz")
		want.Equal(t, status, 200)
		want.Equal(t, body, "ok\n")
		status, body = get("/readyz")
		if broken == nil {
			want.Equal(t, status, 200)
			want.Equal(t, body, "ok\n")
		} else {
			want.Equal(t, status, 503)
			want.Equal(t, body, "not ready\n")
		}
		broken = errSecret
	}
	want.Equal(t, h.send(t, call{method: "POST", url: "http://127.0.0.1/healthz"}).StatusCode, 405)
	want.Equal(t, strings.Count(h.log.String(), "request"), strings.Count(h.log.String(), `"status":405`)*2)
}

func TestLog(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.send(t, sdk("AdminUpdateUserAttributes", update))
	h.send(t, curl(update, "X-Evil", marker, "User-Agent", marker))
	h.send(t, curl(`{"Username":"`+marker+`"`, "X-Amz-Target", "AWSCognitoIdentityProviderService."+marker))
	h.send(t, curl(`{"Username":"`+marker+`","`+marker+`":1,"`+marker+`":2}`))
	h.send(t, curl(`{"UserPoolId":"`+marker+` ","Username":"`+marker+`"}`))
	h.send(t, call{method: "GET", url: "http://localhost/" + marker})
	h.ops.update = func(context.Context) error { return fault.AliasExists(marker) }
	h.send(t, sdk("AdminUpdateUserAttributes", update))
	h.ops.update = func(context.Context) error { return errSecret }
	h.send(t, sdk("AdminUpdateUserAttributes", update))
	log := h.log.String()
	want.True(t, !strings.Contains(log, "MARKER"), "the log holds nothing of users:\n%s", log)
	want.True(t, !strings.Contains(log, "jane"), "the log holds no user names:\n%s", log)
	lines := strings.Split(strings.TrimSpace(log), "\n")
	want.Equal(t, len(lines), 8)
	for i, part := range []string{
		`"status":200,"remote":"192.0.2.1"`, `"dialect":"plain"`, `"code":"UnknownOperationException"`, `"code":"SerializationException"`,
		`"code":"InvalidParameterException"`, `"status":404`, `"operation":"AdminUpdateUserAttributes","dialect":"aws","pool":"` + poolID + `","key":"test","code":"AliasExistsException"`,
		`"level":"ERROR","msg":"request"`,
	} {
		want.Contains(t, lines[i], part)
	}
	want.Contains(t, lines[7], `"cause":"the disk is gone: marker of the cause"`)
	want.Contains(t, lines[0], `"request_id":"`+requestID+`"`)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	h := newHouse()
	for range 3 {
		h.send(t, sdk("AdminUpdateUserAttributes", update))
	}
	h.send(t, curl(""))
	h.send(t, sdk("Nonsense"+marker, ""))
	h.send(t, call{method: "GET", url: "http://localhost/healthz"})
	page := h.scrape(t)
	for _, line := range []string{
		`poolhouse_requests_total{code="",dialect="aws",operation="AdminUpdateUserAttributes",status="200"} 3`,
		`poolhouse_requests_total{code="InvalidParameterException",dialect="plain",operation="AdminUpdateUserAttributes",status="400"} 1`,
		`poolhouse_requests_total{code="UnknownOperationException",dialect="aws",operation="",status="400"} 1`,
		`poolhouse_request_duration_seconds_count{operation="AdminUpdateUserAttributes"} 4`,
		`poolhouse_requests_in_flight 0`,
		`poolhouse_store_commits_total 42`,
		`poolhouse_store_waiting 7`,
		`go_goroutines `,
		`process_open_fds `,
	} {
		want.Contains(t, page, line)
	}
	want.True(t, !strings.Contains(page, "MARKER") && !strings.Contains(page, `status="0"`), "labels are ours:\n%s", page)
}

// TestDocuments sends what everybody may read to where it is made, whoever asks from wherever.
func TestDocuments(t *testing.T) {
	t.Parallel()
	documents := func(s *httpd.Server) {
		s.IsDocument = func(path string) bool { return strings.HasSuffix(path, "/document") }
		s.Documents = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			_, _ = w.Write([]byte(r.Method + " " + r.URL.Path))
		})
	}
	for _, c := range []struct {
		name string
		call call
		want int
	}{
		{"a program", call{method: http.MethodGet, url: "http://127.0.0.1:9229/pool/document"}, 200},
		{"a page of another origin", call{method: http.MethodGet, url: "http://127.0.0.1:9229/pool/document", header: map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}}, 200},
		{"with a body", call{method: http.MethodPost, url: "http://127.0.0.1:9229/pool/document", body: "{}"}, 200},
		{"the second issuer host", call{method: http.MethodGet, url: "http://127.0.0.1:9229/pool/document", host: "issuer-cognito-idp.us-east-1.amazonaws.com"}, 200},
		{"a host that is not ours", call{method: http.MethodGet, url: "http://127.0.0.1:9229/pool/document", host: "evil.example"}, 421},
		{"another path", call{method: http.MethodGet, url: "http://127.0.0.1:9229/pool/documents"}, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(verifying, documents)
			got := h.send(t, c.call)
			body := text(t, got)
			want.Equal(t, got.StatusCode, c.want)
			if c.want != 200 {
				want.Equal(t, body, "")
				return
			}
			want.Equal(t, body, c.call.method+" /pool/document")
			want.Equal(t, got.Header.Get("Access-Control-Allow-Origin"), "*")
			want.Equal(t, got.Header.Get("X-Amzn-Requestid"), requestID)
			want.Equal(t, got.Header.Get("Connection"), map[bool]string{true: "close"}[c.call.body != ""])
			want.Equal(t, len(h.ops.names()), 0)
		})
	}
	want.Equal(t, newHouse().send(t, call{method: http.MethodGet, url: "http://127.0.0.1:9229/pool/document"}).StatusCode, 404)
}
