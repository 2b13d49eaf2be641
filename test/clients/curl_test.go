package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const target = "AWSCognitoIdentityProviderService."

// A plain answer is the envelope of the plain dialect.
type plain struct {
	Success bool
	Data    map[string]any
	Error   struct {
		Code, Message, Type string
		RequestID           string `json:"request_id"`
		Details             []struct{ Field, Reason string }
	}
	status string
}

// curl runs curl and returns what came, with the status that curl saw.
func curl(t *testing.T, args ...string) (status, body string) {
	t.Helper()
	out := succeed(t, command(t, "curl", append([]string{"--silent", "--show-error", "--write-out", "\n%{http_code}"}, args...)...))
	cut := strings.LastIndexByte(out, '\n')
	return out[cut+1:], out[:cut]
}

// plain runs curl and reads the envelope.
func curlPlain(t *testing.T, args ...string) plain {
	t.Helper()
	status, body := curl(t, args...)
	answer := plain{status: status}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("curl %s\nanswered %s:\n%s\nwhich is no envelope: %v", strings.Join(args, " "), status, body, err)
	}
	want.Equal(t, answer.Success, status == "200")
	return answer
}

// pageRequest is the request that the reference page of AdminUpdateUserAttributes prints, to another address and nothing else changed.
func (s *server) pageRequest() []string {
	return []string{"--request", "POST", "--url", s.Endpoint + "/#X-Amz-Target=AWSCognitoIdentityProviderService.AdminUpdateUserAttributes",
		"--header", "accept: application/json", "--header", "content-type: application/json"}
}

// plainPool makes a pool and a user with the plain dialect, and returns the pool's id.
func (s *server) plainPool(t *testing.T, more ...string) string {
	t.Helper()
	call := func(operation, data string) plain {
		args := append([]string{"--url", s.Endpoint + "/?X-Amz-Target=" + target + operation, "--header", "content-type: application/json", "--data", data}, more...)
		answer := curlPlain(t, args...)
		want.Equal(t, answer.Error.Message, "")
		return answer
	}
	pool, ok := call("CreateUserPool", `{"PoolName":"plain","AutoVerifiedAttributes":["email"]}`).Data["UserPool"].(map[string]any)
	want.True(t, ok, "the answer has the pool beside the id of the event")
	id := fmt.Sprint(pool["Id"])
	call("AdminCreateUser", `{"UserPoolId":"`+id+`","Username":"jane","MessageAction":"SUPPRESS"}`)
	return id
}

// change is what a journal line says.
type change struct {
	RequestID string `json:"request_id"`
	Time      time.Time
	Operation string
	Pool      string
	Sub       string
	Names     []string
}

// journal asks the command line for the change of one request.
func (s *server) journal(t *testing.T, id string) change {
	t.Helper()
	out := succeed(t, command(t, binary, "journal", "--data", s.Data, "--id", id, "--json"))
	var c change
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatalf("the journal has no single change of request %s: %v\n%s", id, err, out)
	}
	return c
}

func (s *server) updateBody(pool, value string) string {
	return `{"UserPoolId":"` + pool + `","Username":"jane","UserAttributes":[{"Name":"nickname","Value":"` + value + `"}]}`
}

// TestReferencePageRequest is the request of the reference page, as printed, and with data.
func TestReferencePageRequest(t *testing.T) {
	t.Parallel()
	s := dev(t)
	pool := s.plainPool(t)

	t.Run("as printed", func(t *testing.T) {
		t.Parallel()
		answer := curlPlain(t, s.pageRequest()...)
		want.Equal(t, answer.status, "400")
		want.Equal(t, answer.Error.Code, "VALIDATION_ERROR")
		for _, missing := range []string{"userPoolId", "username", "userAttributes", "X-Amz-Target"} {
			want.Contains(t, answer.Error.Message, missing)
		}
		var fields []string
		for _, d := range answer.Error.Details {
			fields = append(fields, d.Field)
		}
		want.Equal(t, fields, []string{"userPoolId", "username", "userAttributes"})
		want.Equal(t, len(answer.Error.RequestID), 36)
	})

	t.Run("with data", func(t *testing.T) {
		t.Parallel()
		answer := curlPlain(t, append(s.pageRequest(), "--data", s.updateBody(pool, "page"))...)
		want.Equal(t, answer.status, "200")
		id := fmt.Sprint(answer.Data["id"])
		want.Equal(t, len(answer.Data), 2)
		at, err := time.Parse(time.RFC3339, fmt.Sprint(answer.Data["created_at"]))
		want.NoError(t, err)
		want.True(t, strings.HasSuffix(fmt.Sprint(answer.Data["created_at"]), "Z"), "the time is UTC")

		c := s.journal(t, id)
		want.Equal(t, c.Operation, "AdminUpdateUserAttributes")
		want.Equal(t, c.Pool, pool)
		want.Equal(t, c.Names, []string{"nickname"})
		want.True(t, c.Time.Truncate(time.Millisecond).Equal(at.Truncate(time.Millisecond)), "the journal's time %s is the answer's %s", c.Time, at)
	})

	t.Run("a member of another operation", func(t *testing.T) {
		t.Parallel()
		answer := curlPlain(t, append(s.pageRequest(), "--data", `{"PoolName":"by accident"}`)...)
		want.Equal(t, answer.Error.Code, "VALIDATION_ERROR")
		want.Contains(t, answer.Error.Message, "X-Amz-Target")
	})
}

// TestPlainDialectNamesOperation changes a user with the operation named in each way there is.
func TestPlainDialectNamesOperation(t *testing.T) {
	t.Parallel()
	s := dev(t)
	const operation = target + "AdminUpdateUserAttributes"
	for name, args := range map[string][]string{
		"header":          {"--url", s.Endpoint + "/", "--header", "X-Amz-Target: " + operation},
		"query":           {"--url", s.Endpoint + "/?X-Amz-Target=" + operation},
		"action":          {"--url", s.Endpoint + "/?Action=AdminUpdateUserAttributes"},
		"path":            {"--url", s.Endpoint + "/" + operation},
		"escaped address": {"--url", s.Endpoint + "/%23X-Amz-Target=" + operation},
		"header wins":     {"--url", s.Endpoint + "/?X-Amz-Target=" + target + "AdminDeleteUser", "--header", "X-Amz-Target: " + operation},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := s.plainPool(t)
			answer := curlPlain(t, append(args, "--header", "content-type: application/json", "--data", s.updateBody(pool, name))...)
			want.Equal(t, answer.Error.Message, "")
			want.Equal(t, s.journal(t, fmt.Sprint(answer.Data["id"])).Operation, "AdminUpdateUserAttributes")
			user := curlPlain(t, "--url", s.Endpoint+"/?Action=AdminGetUser", "--header", "content-type: application/json",
				"--data", `{"UserPoolId":"`+pool+`","Username":"jane"}`)
			want.Contains(t, fmt.Sprint(user.Data["UserAttributes"]), name)
			_, err := time.Parse(time.RFC3339, fmt.Sprint(user.Data["UserCreateDate"]))
			want.NoError(t, err)
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		answer := curlPlain(t, "--url", s.Endpoint+"/?X-Amz-Target="+target+"Nonsense", "--header", "content-type: application/json", "--data", "{}")
		want.Equal(t, answer.Error.Code, "UNKNOWN_OPERATION")
	})
	t.Run("by path in the other dialect", func(t *testing.T) {
		t.Parallel()
		status, body := curl(t, "--url", s.Endpoint+"/"+operation, "--header", "content-type: application/x-amz-json-1.1", "--header",
			"authorization: AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20261123/us-east-1/cognito-idp/aws4_request, SignedHeaders=host, Signature=00",
			"--header", "x-amz-date: 20261123T000000Z", "--data", "{}")
		want.True(t, status == "400" || status == "404", "the AWS dialect does not take the operation from the path: %s %s", status, body)
	})
}

// TestPlainDialectErrors shows the words of the plain dialect.
func TestPlainDialectErrors(t *testing.T) {
	t.Parallel()
	s := dev(t)
	pool := s.plainPool(t)
	for _, c := range []struct{ name, operation, data, code, kind, message string }{
		{"no pool", "DescribeUserPool", `{"UserPoolId":"us-east-1_000000000"}`, "POOL_NOT_FOUND", "ResourceNotFoundException", "User pool us-east-1_000000000 does not exist."},
		{"no user", "AdminGetUser", `{"UserPoolId":"` + pool + `","Username":"nobody"}`, "USER_NOT_FOUND", "UserNotFoundException", "User does not exist."},
		{"taken", "AdminCreateUser", `{"UserPoolId":"` + pool + `","Username":"jane"}`, "CONFLICT", "UsernameExistsException", "User account already exists"},
		{"not built", "GetSigningCertificate", `{"UserPoolId":"` + pool + `"}`, "UNSUPPORTED_OPERATION", "UnsupportedOperationException", "The operation GetSigningCertificate is described here and not built yet."},
		{"wrong type", "AdminGetUser", `{"UserPoolId":5,"Username":"jane"}`, "VALIDATION_ERROR", "SerializationException", "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		{"password", "AdminSetUserPassword", `{"UserPoolId":"` + pool + `","Username":"jane","Password":"short"}`, "VALIDATION_ERROR", "InvalidPasswordException", "Password does not conform to policy: Password not long enough"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := curlPlain(t, "--url", s.Endpoint+"/?Action="+c.operation, "--header", "content-type: application/json", "--data", c.data)
			want.Equal(t, []string{answer.status, answer.Error.Code, answer.Error.Type, answer.Error.Message}, []string{"400", c.code, c.kind, c.message})
		})
	}
}

// TestPlainDialectVerified shows who may use the plain dialect of a server that verifies.
func TestPlainDialectVerified(t *testing.T) {
	t.Parallel()
	s := verified(t)
	bearer := "authorization: Bearer " + s.Bearer
	pool := s.plainPool(t, "--header", bearer)

	t.Run("bearer", func(t *testing.T) {
		t.Parallel()
		answer := curlPlain(t, append(s.pageRequest(), "--header", bearer, "--data", s.updateBody(pool, "bearer"))...)
		want.Equal(t, answer.Error.Message, "")
		want.Equal(t, s.journal(t, fmt.Sprint(answer.Data["id"])).Names, []string{"nickname"})
	})
	t.Run("signed by curl itself", func(t *testing.T) {
		t.Parallel()
		answer := curlPlain(t, append(s.pageRequest(), "--aws-sigv4", "aws:amz:us-east-1:cognito-idp", "--user", s.AccessKeyID+":"+s.SecretAccessKey,
			"--data", s.updateBody(pool, "signed"))...)
		want.Equal(t, answer.Error.Message, "")
	})
	for name, args := range map[string][]string{
		"nothing":      nil,
		"wrong bearer": {"--header", bearer + "x"},
		"wrong secret": {"--aws-sigv4", "aws:amz:us-east-1:cognito-idp", "--user", s.AccessKeyID + ":wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := curlPlain(t, append(append(s.pageRequest(), args...), "--data", s.updateBody(pool, "refused"))...)
			want.Equal(t, []string{answer.status, answer.Error.Code}, []string{"400", "UNAUTHENTICATED"})
		})
	}
	t.Run("bearer in the other dialect", func(t *testing.T) {
		t.Parallel()
		status, body := curl(t, "--url", s.Endpoint+"/", "--header", bearer, "--header", "content-type: application/x-amz-json-1.1",
			"--header", "x-amz-target: "+target+"ListUserPools", "--data", `{"MaxResults":1}`)
		want.Equal(t, status, "400")
		want.Contains(t, body, `"__type":"MissingAuthenticationTokenException"`)
	})
}

// TestIntroduction pastes the lines that `poolhouse dev` prints into a shell, as they are.
func TestIntroduction(t *testing.T) {
	t.Parallel()
	s := dev(t)
	text := s.introduction(t)
	var lines []string
	for line := range strings.Lines(text) {
		if pasted, ok := strings.CutPrefix(line, "  "); ok {
			lines = append(lines, pasted)
		}
	}
	want.True(t, len(lines) > 5, "there are lines to paste in:\n%s", text)
	// No setting of the environment but that of the lines themselves.
	c := command(t, "bash", "-c", "set -eu\n"+strings.Join(lines, "")+"\n"+
		`aws cognito-idp admin-get-user --endpoint-url "$AWS_ENDPOINT_URL" --user-pool-id "$pool" --username jane --output json`)
	out := succeed(t, c)
	want.Contains(t, out, "jane@example.com")
	want.Contains(t, out, "Your verification code is ")
	want.Contains(t, out, `"success":true`)
	want.Contains(t, out, `"JJ"`)
}

// introduction waits for all that the server prints when it is ready.
func (s *server) introduction(t *testing.T) string {
	t.Helper()
	late := time.After(patience)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if text := s.stdout.String(); strings.HasSuffix(text, "\n\n") && strings.Contains(text, "curl") {
			return text
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("the introduction did not come:\n%s", s.stdout.String())
		}
	}
}

// TestBrowsers sends what browsers send, header by header, since no browser is here to do it.
func TestBrowsers(t *testing.T) {
	t.Parallel()
	s := dev(t)
	pool := s.plainPool(t)
	const aws = "application/x-amz-json-1.1"
	signature := "AWS4-HMAC-SHA256 Credential=" + s.AccessKeyID + "/20261123/us-east-1/cognito-idp/aws4_request, SignedHeaders=host, Signature=00"
	update := func(more ...string) map[string]string {
		h := map[string]string{"X-Amz-Target": target + "AdminUpdateUserAttributes", "Authorization": signature, "X-Amz-Date": "20261123T000000Z", "Content-Type": aws}
		for i := 0; i < len(more); i += 2 {
			if h[more[i]] = more[i+1]; more[i+1] == "" {
				delete(h, more[i])
			}
		}
		return h
	}
	send := func(t *testing.T, method, path, body string, headers map[string]string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.Endpoint+path, strings.NewReader(body))
		want.NoError(t, err)
		for name, value := range headers {
			r.Header.Set(name, value)
		}
		if host := headers["Host"]; host != "" {
			r.Host = host
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		want.NoError(t, err)
		t.Cleanup(func() { want.NoError(t, answer.Body.Close()) })
		return answer
	}
	body := s.updateBody(pool, "browser")

	for _, c := range []struct {
		name    string
		headers map[string]string
		status  int
		fault   string
	}{
		{"no origin", update(), 200, ""},
		{"page of this machine", update("Origin", "http://localhost:3000"), 200, ""},
		{"own page", update("Origin", s.Endpoint), 200, ""},
		{"foreign page", update("Origin", "https://evil.example"), 400, "AccessDeniedException"},
		{"page without origin", update("Origin", "null"), 400, "AccessDeniedException"},
		{"cross-site", update("Sec-Fetch-Site", "cross-site"), 400, "AccessDeniedException"},
		{"foreign page, plain", update("Origin", "https://evil.example", "Content-Type", "application/json"), 400, "AccessDeniedException"},
		{"no content type", update("Content-Type", ""), 415, ""},
		{"text", update("Content-Type", "text/plain"), 415, ""},
		{"form", update("Content-Type", "application/x-www-form-urlencoded"), 415, ""},
		{"host of somebody", update("Host", "evil.example"), 421, ""},
		{"host of the service", update("Host", "cognito-idp.us-east-1.amazonaws.com"), 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := send(t, http.MethodPost, "/", body, c.headers)
			want.Equal(t, answer.StatusCode, c.status)
			kind, _, _ := strings.Cut(answer.Header.Get("X-Amzn-Errortype"), ":")
			want.Equal(t, kind, c.fault)
			if c.fault != "" {
				want.Equal(t, answer.Header.Get("Access-Control-Allow-Origin"), "")
			}
			if c.status == 415 || c.status == 421 {
				want.Equal(t, answer.ContentLength, int64(0))
			}
		})
	}

	preflight := func(origin, headers string) map[string]string {
		return map[string]string{"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
	}
	t.Run("pre-flight of an SDK", func(t *testing.T) {
		t.Parallel()
		answer := send(t, http.MethodOptions, "/", "", preflight("https://app.example", "content-type,x-amz-target,x-amz-user-agent"))
		want.Equal(t, answer.StatusCode, 200)
		want.Equal(t, answer.Header.Get("Access-Control-Allow-Origin"), "*")
		want.Equal(t, answer.Header.Get("Access-Control-Allow-Methods"), "POST")
		want.Contains(t, answer.Header.Get("Access-Control-Allow-Headers"), "x-amz-target")
		want.Equal(t, answer.Header.Get("Access-Control-Allow-Credentials"), "")
	})
	t.Run("pre-flight of a foreign page", func(t *testing.T) {
		t.Parallel()
		answer := send(t, http.MethodOptions, "/", "", preflight("https://app.example", "content-type"))
		want.Equal(t, answer.Header.Get("Access-Control-Allow-Origin"), "")
	})
	t.Run("pre-flight of a page of this machine", func(t *testing.T) {
		t.Parallel()
		answer := send(t, http.MethodOptions, "/", "", preflight("http://localhost:3000", "content-type"))
		want.Equal(t, answer.StatusCode, 200)
		allowed := answer.Header.Get("Access-Control-Allow-Origin")
		want.True(t, allowed == "http://localhost:3000" || allowed == "*", "the page is allowed: %q", allowed)
	})
	t.Run("inbox for a foreign page", func(t *testing.T) {
		t.Parallel()
		answer := send(t, http.MethodGet, "/_poolhouse/inbox", "", map[string]string{"Origin": "https://evil.example"})
		want.Equal(t, answer.StatusCode, 400)
		want.Equal(t, answer.Header.Get("Access-Control-Allow-Origin"), "")
	})
	t.Run("headers of an answer", func(t *testing.T) {
		t.Parallel()
		answer := send(t, http.MethodPost, "/", body, update("Origin", "http://localhost:3000"))
		want.Equal(t, answer.Header.Get("Content-Type"), aws)
		want.Equal(t, len(answer.Header.Get("X-Amzn-Requestid")), 36)
		want.Contains(t, answer.Header.Get("Access-Control-Expose-Headers"), "x-amzn-RequestId")
	})
}
