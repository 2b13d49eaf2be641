package caller

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	for text, e := range map[string]Endpoint{
		"http://127.0.0.1:9229":                           {"127.0.0.1:9229", "127.0.0.1:9229", false},
		"http://localhost/":                               {"localhost:80", "localhost", false},
		"https://cognito-idp.eu-west-1.amazonaws.com":     {"cognito-idp.eu-west-1.amazonaws.com:443", "cognito-idp.eu-west-1.amazonaws.com", true},
		"http://[::1]:8080":                               {"[::1]:8080", "[::1]:8080", false},
		"https://cognito-idp.eu-west-1.amazonaws.com:443": {"cognito-idp.eu-west-1.amazonaws.com:443", "cognito-idp.eu-west-1.amazonaws.com:443", true},
	} {
		got, err := ParseEndpoint(text)
		want.NoError(t, err)
		want.Equal(t, got, e)
	}
	for _, bad := range []string{"", "127.0.0.1:9229", "ftp://x", "http://", "http://x/path", "http://x?y", "http://u:p@x", "http://%zz"} {
		_, err := ParseEndpoint(bad)
		want.Error(t, err, nil)
	}
	for text, local := range map[string]bool{"http://127.0.0.1:1": true, "http://localhost": true, "http://a.localhost": true, "http://[::1]:2": true,
		"http://10.0.0.1": false, "https://example.com": false} {
		e, err := ParseEndpoint(text)
		want.NoError(t, err)
		want.True(t, e.Local() == local, "%s is on this machine: %v", text, local)
	}
}

// keys is a store with one key.
type keys struct{ id, secret string }

func (k keys) AccessKey(_ context.Context, id string) (authn.Key, bool, error) {
	return authn.Key{ID: k.id, Secret: secret.New(k.secret)}, id == k.id, nil
}

func (keys) BearerKey(context.Context, secret.Text) (authn.Key, bool, error) {
	return authn.Key{}, false, nil
}

// Requests carry signatures that hold, with and without a session, over TLS too.
func TestSignatures(t *testing.T) {
	t.Parallel()
	v := &authn.Verifier{Keys: keys{"AKIDEXAMPLE", "secret"}, Now: time.Now}
	var sessions atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if _, err := v.Verify(r.Context(), authn.FromHTTP(r, body)); err != nil {
			t.Errorf("a signature does not hold: %v", err)
		}
		if session := r.Header.Get("X-Amz-Security-Token"); session != "" {
			sessions.Add(1)
			if !strings.Contains(r.Header.Get("Authorization"), "x-amz-security-token") {
				t.Error("the session is not signed")
			}
		}
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Amz-Target"), body)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	for _, url := range []string{plain.URL, secure.URL} {
		for _, session := range []string{"", "token/of+session=="} {
			e, err := ParseEndpoint(url)
			want.NoError(t, err)
			c := New(e, Credentials{ID: "AKIDEXAMPLE", Secret: "secret", Session: session, Region: "us-east-1"})
			if e.Secure {
				transport, ok := secure.Client().Transport.(*http.Transport)
				want.True(t, ok, "the client has a transport")
				c.Trust = transport.TLSClientConfig
			}
			line := c.Line()
			for range 2 {
				reply, err := line.Do(t.Context(), "ListUsers", []byte(`{"a":1}`))
				want.NoError(t, err)
				want.Equal(t, string(reply.Body), `AWSCognitoIdentityProviderService.ListUsers {"a":1}`)
			}
			line.Close()
		}
	}
	want.Equal(t, sessions.Load(), int64(4))

	e, err := ParseEndpoint(secure.URL)
	want.NoError(t, err)
	_, err = New(e, Credentials{}).Line().Do(t.Context(), "ListUsers", nil)
	want.True(t, err != nil && strings.Contains(err.Error(), "certificate"), "an authority that nobody trusts is refused: %v", err)
	c := New(e, Credentials{})
	c.Trust = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "other.example"}
	_, err = c.Line().Do(t.Context(), "ListUsers", nil)
	want.Error(t, err, nil)
}

// script is a server that reads a request and writes the next of its replies; an empty one closes the connection.
func script(t *testing.T, replies ...string) (*Caller, *atomic.Int64) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	want.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	var conns atomic.Int64
	next := make(chan string, len(replies))
	for _, r := range replies {
		next <- r
	}
	close(next)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer c.Close()
				from := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(from)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					reply, more := <-next
					if !more || reply == "" {
						return
					}
					_, _ = io.WriteString(c, reply)
					if strings.HasPrefix(reply, "HTTP/1.0") || strings.Contains(reply, "nection: close") {
						return
					}
				}
			}()
		}
	}()
	return New(Endpoint{Address: l.Addr().String(), Host: "x"}, Credentials{}), &conns
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

func TestReplies(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*firstBuffer)
	for name, row := range map[string]struct {
		reply, body string
		conns       int64 // for this call and another one
	}{
		"usual":          {fine, "{}", 1},
		"other spelling": {"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{}", "{}", 1},
		"long":           {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), long, 1},
		"empty":          {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 1},
		"closing":        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "{}", 2},
		"old":            {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", 2},
		"chunked":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", "{}", 2},
		"to the end":     {"HTTP/1.0 200 OK\r\n\r\n{}", "{}", 2},
		"continue":       {"HTTP/1.1 100 Continue\r\n\r\n" + fine, "{}", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, conns := script(t, row.reply, fine)
			line := c.Line()
			defer line.Close()
			reply, err := line.Do(t.Context(), "X", nil)
			want.NoError(t, err)
			want.True(t, reply.OK(), "status %d", reply.Status)
			want.Equal(t, string(reply.Body), row.body)
			reply, err = line.Do(t.Context(), "X", nil)
			want.NoError(t, err)
			want.Equal(t, string(reply.Body), "{}")
			want.Equal(t, conns.Load(), row.conns)
		})
	}
}

// What is no reply is an error, and the line can be used again.
func TestBrokenReplies(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		"", "SMTP ready\r\n\r\n", "HTTP/1.1 what\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{}", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHead+1), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}",
	} {
		c, _ := script(t, reply, fine)
		line := c.Line()
		_, err := line.Do(t.Context(), "X", nil)
		want.True(t, err != nil, "%.40q is an error", reply)
		got, err := line.Do(t.Context(), "X", nil)
		want.NoError(t, err)
		want.True(t, got.OK(), "the line works again")
		line.Close()
	}
}

// A connection that the other side closed while it was idle costs the caller nothing but a new one.
func TestConnectionGoneWhileIdle(t *testing.T) {
	t.Parallel()
	c, conns := script(t, fine, "", fine)
	line := c.Line()
	defer line.Close()
	for range 2 {
		_, err := line.Do(t.Context(), "X", nil)
		want.NoError(t, err)
	}
	want.Equal(t, conns.Load(), int64(2))
}

func TestDoEndsWithItsContext(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0") // takes connections and never answers
	want.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := New(Endpoint{Address: l.Addr().String(), Host: "x"}, Credentials{}).Line().Do(ctx, "X", nil)
		ended <- err
	}()
	_, err = l.Accept()
	want.NoError(t, err)
	cancel()
	want.Error(t, <-ended, context.Canceled)
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		status    int
		body      string
		want      Refusal
		throttled bool
		passing   bool
	}{
		{400, `{"__type":"UserNotFoundException","message":"User does not exist."}`, Refusal{400, "UserNotFoundException", "User does not exist."}, false, false},
		{400, `{"__type":"com.amazonaws#TooManyRequestsException:http://x","Message":"Rate exceeded"}`, Refusal{400, "TooManyRequestsException", "Rate exceeded"}, true, false},
		{429, ``, Refusal{429, "HTTP 429", ""}, true, false},
		{502, "<html>\xff bad gateway</html>\n", Refusal{502, "HTTP 502", "<html> bad gateway</html>"}, false, true},
		{500, `{"__type":"InternalErrorException"}`, Refusal{500, "InternalErrorException", ""}, false, true},
		{404, `[]`, Refusal{404, "HTTP 404", "[]"}, false, false},
	} {
		got := Reply{row.status, []byte(row.body)}.Refusal()
		want.Equal(t, *got, row.want)
		want.Equal(t, got.Throttled(), row.throttled)
		want.Equal(t, got.Passing(), row.passing)
	}
	want.Equal(t, (&Refusal{Code: "A", Message: "b"}).Error(), "A: b")
	want.Equal(t, (&Refusal{Code: "A"}).Error(), "A")
}
