package httpd_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/edge/httpd"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	want.NoError(t, err)
	return ln
}

// running is a house on a real listener.
type running struct {
	*house
	addr string
	stop context.CancelFunc // asks it to stop in order
	kill chan struct{}
	done chan error
}

func run(t *testing.T, set ...func(*httpd.Server)) *running {
	t.Helper()
	h := newHouse(set...)
	ctx, stop := context.WithCancel(context.Background())
	r := &running{house: h, stop: stop, kill: make(chan struct{}), done: make(chan error, 1)}
	ln := listen(t)
	r.addr = ln.Addr().String()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- h.Run(ctx, ln, r.kill)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return r
}

func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", r.addr)
	want.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	want.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

// raw sends bytes and returns everything that comes back until the server hangs up.
func (r *running) raw(t *testing.T, request string) string {
	t.Helper()
	c := r.dial(t)
	_, err := io.WriteString(c, request)
	want.NoError(t, err)
	var answer bytes.Buffer
	if _, err := io.Copy(&answer, c); err != nil && answer.Len() == 0 {
		t.Fatal(err)
	}
	return answer.String()
}

func request(header, body string) string {
	return "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + header + "\r\n" + body
}

// TestSmuggling sends requests whose end is in doubt. Whatever becomes of the first, the one that is hidden behind it
// must not be carried out, and the connection must end.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	hidden := request("X-Amz-Target: AWSCognitoIdentityProviderService.AdminDeleteUser\r\nContent-Length: 53\r\n", `{"UserPoolId":"us-east-1_abcdefghi","Username":"jane"}`)
	for _, tt := range []struct{ name, request, status string }{
		{"content length and chunks", request("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), "400"},
		{"chunks and content length", request("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\n"+hidden), "400"},
		{"two content lengths", request("Content-Length: 0\r\nContent-Length: 5\r\n", hidden), "400"},
		{"a list of content lengths", request("Content-Length: 0, 5\r\n", hidden), "400"},
		{"a signed content length", request("Content-Length: +0\r\n", hidden), "400"},
		{"a negative content length", request("Content-Length: -1\r\n", hidden), "400"},
		{"a hexadecimal content length", request("Content-Length: 0x0\r\n", hidden), "400"},
		{"two transfer encodings", request("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+hidden), "501"},
		{"an unknown transfer encoding", request("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+hidden), "501"},
		{"a list of transfer encodings", request("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+hidden), "501"},
		{"a space before the colon", request("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+hidden), "400"},
		{"a bare line feed behind a chunk's size", request("Transfer-Encoding: chunked\r\n", "0\n\r\n"+hidden), "400"},
		{"a bare line feed in a chunk's extension", request("Transfer-Encoding: chunked\r\n", "2;a\nxx\r\n0\r\n\r\n"+hidden), "400"},
		{"a chunk that is too long", request("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"), "400"},
		{"a folded header", request("X-A: b\r\n c\r\nTransfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+hidden), "400"},
		{"two hosts", "POST / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "400"},
		{"no host", "POST / HTTP/1.1\r\n\r\n", "400"},
		{"a header without a name", request(": x\r\n", ""), "400"},
		{"a null character", request("X-A: \x00\r\n", ""), "400"},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "421"},
		{"version 9", "POST / HTTP/9.9\r\nHost: localhost\r\n\r\n", "505"},
		{"no HTTP", "hello\r\n\r\n", "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := run(t)
			answer := r.raw(t, tt.request)
			want.Equal(t, strings.Count(answer, "HTTP/1.1 "), 1)
			want.Contains(t, answer, "HTTP/1.1 "+tt.status+" ")
			want.Contains(t, answer, "Connection: close\r\n")
			want.True(t, !strings.Contains(answer, "Server:"), "the server does not say what it is")
			want.Equal(t, len(r.ops.names()), 0)
		})
	}
}

// TestUpgradeIsIgnored holds that HTTP/2 is not spoken without TLS: the request is answered as what it is.
func TestUpgradeIsIgnored(t *testing.T) {
	t.Parallel()
	answer := run(t).raw(t, request("Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 2\r\n", "{}"))
	want.True(t, strings.HasPrefix(answer, "HTTP/1.1 400 Bad Request\r\n"), "no switch of protocols:\n%s", answer)
	want.Contains(t, answer, "VALIDATION_ERROR")
}

func TestChunks(t *testing.T) {
	t.Parallel()
	r := run(t)
	half := len(update) / 2
	answer := r.raw(t, request("Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, update[:half], len(update)-half, update[half:])))
	want.Contains(t, answer, `{"success":true`)
	want.Contains(t, answer, "Connection: close\r\n")
	want.Equal(t, r.ops.names(), []string{"AdminUpdateUserAttributes"})
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	r := run(t)
	c := r.dial(t)
	in := bufio.NewReader(c)
	for range 3 {
		_, err := io.WriteString(c, request(fmt.Sprintf("Content-Length: %d\r\n", len(update)), update))
		want.NoError(t, err)
		answer, err := http.ReadResponse(in, nil)
		want.NoError(t, err)
		want.Equal(t, answer.StatusCode, 200)
		want.True(t, !answer.Close, "the connection stays")
		want.True(t, answer.Header.Get("Date") != "", "there is a date")
		_ = text(t, answer)
	}
}

// TestRunUsesTheLane: what is plain passes by http.Server, what is not goes to it, over the same connection.
func TestRunUsesTheLane(t *testing.T) {
	t.Parallel()
	r := run(t)
	var stack []byte
	r.ops.update = func(context.Context) error {
		stack = debug.Stack()
		return nil
	}
	c := r.dial(t)
	in := bufio.NewReader(c)
	for _, send := range []struct {
		request string
		lane    bool
	}{
		{request(fmt.Sprintf("Content-Length: %d\r\n", len(update)), update), true},
		{request("Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(update), update)), false},
	} {
		_, err := io.WriteString(c, send.request)
		want.NoError(t, err)
		answer, err := http.ReadResponse(in, nil)
		want.NoError(t, err)
		want.Equal(t, answer.StatusCode, 200)
		_ = text(t, answer)
		want.Equal(t, bytes.Contains(stack, []byte("httpd.(*lane)")), send.lane)
		want.Equal(t, bytes.Contains(stack, []byte("http.serverHandler")), !send.lane)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	r := run(t)
	for _, tt := range []struct {
		name, header string
		body         func(io.Writer)
		status       string
		operations   int
	}{
		{"a gigabyte is declared", "Content-Length: 1073741824\r\n", func(io.Writer) {}, "413", 0},
		{"one byte too many is declared", "Content-Length: 1048577\r\n", func(io.Writer) {}, "413", 0},
		{"two megabytes for an image", "X-Amz-Target: AWSCognitoIdentityProviderService.CreateManagedLoginBranding\r\nContent-Length: 2097153\r\n", func(io.Writer) {}, "413", 0},
		{"a gigabyte in chunks", "Transfer-Encoding: chunked\r\n", func(w io.Writer) {
			chunk := []byte("10000\r\n" + strings.Repeat("a", 1<<16) + "\r\n")
			for range 1 << 14 {
				if _, err := w.Write(chunk); err != nil {
					return // the server hung up, as it should
				}
			}
		}, "413", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := r.dial(t)
			_, err := io.WriteString(c, request(tt.header, ""))
			want.NoError(t, err)
			go tt.body(c)
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			want.NoError(t, err)
			want.Equal(t, answer.Status[:3], tt.status)
			want.Equal(t, answer.Header.Get("X-Amzn-Errortype"), "RequestEntityTooLargeException:")
			want.True(t, answer.Close, "the connection ends")
			want.Contains(t, text(t, answer), `"code":"REQUEST_ENTITY_TOO_LARGE"`)
			want.Equal(t, len(r.ops.names()), 0)
		})
	}
	image := request(fmt.Sprintf("Connection: close\r\nX-Amz-Target: AWSCognitoIdentityProviderService.CreateManagedLoginBranding\r\nContent-Length: %d\r\n", 2<<20), "{"+strings.Repeat(" ", 2<<20-2)+"}")
	want.Contains(t, r.raw(t, image), "HTTP/1.1 400 Bad Request") // it is read, and lacks the pool
}

// TestLargeBodyIsCheap holds that a body which is refused is not kept in memory.
func TestLargeBodyIsCheap(t *testing.T) {
	h := newHouse()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		c := curl("")
		r := c.request(t.Context())
		r.ContentLength = 1 << 30
		body := &counted{Reader: strings.NewReader(update)}
		r.Body = body
		want.Equal(t, h.serve(r).StatusCode, 413)
		want.Equal(t, body.n, 0)
	}
	runtime.ReadMemStats(&after)
	want.True(t, after.TotalAlloc-before.TotalAlloc < 8<<20, "%d bytes for 100 requests", after.TotalAlloc-before.TotalAlloc)
}

func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	r := run(t)
	for name, request := range map[string]string{
		"query":   "POST /?" + strings.Repeat("a&", 100_000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"cookies": request("Cookie: "+strings.Repeat("a=b;", 30_000)+"\r\n", ""),
		"headers": request(strings.Repeat("X-A: b\r\n", 15_000), ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want.Contains(t, r.raw(t, request), "HTTP/1.1 431 ")
		})
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	quick := func(s *httpd.Server) {
		s.Limits = httpd.Limits{BodyGrace: 50 * time.Millisecond, HeaderIn: 50 * time.Millisecond}
	}
	t.Run("nothing comes", func(t *testing.T) {
		t.Parallel()
		r := run(t, quick)
		answer := r.raw(t, request("Content-Length: 10\r\n", ""))
		want.True(t, strings.HasPrefix(answer, "HTTP/1.1 408 "), "%s", answer)
		want.Contains(t, answer, "Connection: close\r\n")
		want.Equal(t, len(r.ops.names()), 0)
	})
	t.Run("a byte now and then", func(t *testing.T) {
		t.Parallel()
		r := run(t, quick)
		c := r.dial(t)
		_, err := io.WriteString(c, request("Content-Length: 100000\r\n", ""))
		want.NoError(t, err)
		ended := make(chan struct{})
		go func() { // the rate is some 200 bytes a second, which is too little
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					_, _ = c.Write([]byte(" "))
				case <-ended:
					return
				}
			}
		}()
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		close(ended)
		want.NoError(t, err)
		want.Equal(t, answer.StatusCode, 408)
	})
	t.Run("headers that do not end", func(t *testing.T) {
		t.Parallel()
		r := run(t, quick)
		answer := r.raw(t, "POST / HTTP/1.1\r\nHost: localhost\r\n")
		want.True(t, answer == "" || strings.HasPrefix(answer, "HTTP/1.1 408"), "%s", answer)
	})
	t.Run("a body that ends early", func(t *testing.T) {
		t.Parallel()
		r := run(t)
		c := r.dial(t)
		_, err := io.WriteString(c, request("Content-Length: 1000\r\n", "{"))
		want.NoError(t, err)
		want.NoError(t, c.(*net.TCPConn).CloseWrite())
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		want.NoError(t, err)
		want.Equal(t, answer.StatusCode, 400)
		want.Equal(t, len(r.ops.names()), 0)
	})
	t.Run("an operation may take longer than a body", func(t *testing.T) {
		t.Parallel()
		h := run(t, quick)
		h.ops.update = func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(200 * time.Millisecond):
				return nil
			}
		}
		want.Contains(t, h.raw(t, request(fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n", len(update)), update)), `{"success":true`)
	})
}

func TestConsoleBodies(t *testing.T) {
	t.Parallel()
	r := run(t, func(s *httpd.Server) {
		s.Limits = httpd.Limits{Body: 100, Write: 2 * time.Second}
		s.Console = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%d bytes, refused: %v", len(b), err != nil)
		})
	})
	post := func(length int, body string) string {
		return r.raw(t, fmt.Sprintf("POST /_poolhouse/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", length, body))
	}
	want.Contains(t, post(5, "hello"), "5 bytes, refused: false")
	want.Contains(t, post(1000, strings.Repeat("a", 1000)), "100 bytes, refused: true")
	want.True(t, !strings.Contains(post(50, "hello"), "refused: false"), "a body that does not come ends the connection")
}

// hold makes updates wait. It returns what tells of each that began, and what lets them end.
func (r *running) hold() (began <-chan struct{}, release func()) {
	b, held := make(chan struct{}, 10), make(chan struct{})
	r.ops.update = func(ctx context.Context) error {
		b <- struct{}{}
		select {
		case <-held:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b, func() { close(held) }
}

func TestStopFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	r := run(t)
	began, release := r.hold()
	c := r.dial(t)
	_, err := io.WriteString(c, request(fmt.Sprintf("Content-Length: %d\r\n", len(update)), update))
	want.NoError(t, err)
	<-began
	r.stop()
	for { // until the listener is closed, which the server does before it waits
		var d net.Dialer
		probe, err := d.DialContext(t.Context(), "tcp", r.addr)
		if err != nil {
			break
		}
		probe.Close()
	}
	release()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	want.NoError(t, err)
	want.Equal(t, answer.StatusCode, 200)
	want.NoError(t, <-r.done)
}

// TestStopDoesNotWaitForSilence keeps a connection open that never says anything. The time-out is shorter than what
// http.Server alone gives to such connections.
func TestStopDoesNotWaitForSilence(t *testing.T) {
	t.Parallel()
	r := run(t, func(s *httpd.Server) { s.Limits.Stop = 4 * time.Second })
	silent := r.dial(t)
	want.Contains(t, r.raw(t, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), "HTTP/1.1 200 OK") // so the other is accepted
	r.stop()
	want.NoError(t, <-r.done)
	_, err := silent.Read(make([]byte, 1))
	want.Error(t, err, nil)
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	r := run(t, func(s *httpd.Server) { s.Limits.Drain = time.Hour })
	probe := func() string {
		return r.raw(t, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	}
	want.Contains(t, probe(), "HTTP/1.1 200 OK")
	r.stop()
	for !strings.Contains(probe(), "HTTP/1.1 503 ") { // until the server has noticed
		runtime.Gosched()
	}
	want.Contains(t, r.raw(t, request(fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n", len(update)), update)), `{"success":true`)
	close(r.kill)
	want.NoError(t, <-r.done)
}

func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	r := run(t, func(s *httpd.Server) { s.Limits.Stop = 20 * time.Millisecond })
	began, _ := r.hold()
	_, err := io.WriteString(r.dial(t), request(fmt.Sprintf("Content-Length: %d\r\n", len(update)), update))
	want.NoError(t, err)
	<-began
	r.stop()
	err = <-r.done
	want.Error(t, err, context.DeadlineExceeded)
}

func TestKill(t *testing.T) {
	t.Parallel()
	for _, stopping := range []bool{false, true} {
		r := run(t)
		began, _ := r.hold()
		_, err := io.WriteString(r.dial(t), request(fmt.Sprintf("Content-Length: %d\r\n", len(update)), update))
		want.NoError(t, err)
		<-began
		if stopping {
			r.stop()
		}
		close(r.kill)
		want.NoError(t, <-r.done)
	}
}

func TestListenerFails(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	want.NoError(t, ln.Close())
	want.Error(t, newHouse().Run(t.Context(), ln, nil), net.ErrClosed)
}

// TestCrowd holds that at the bound of connections the one that is idle longest makes room.
func TestCrowd(t *testing.T) {
	t.Parallel()
	r := run(t, func(s *httpd.Server) { s.Limits.Connections = 2 })
	ask := func(c net.Conn) error {
		if _, err := io.WriteString(c, request(fmt.Sprintf("Content-Length: %d\r\n", len(update)), update)); err != nil {
			return err
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	var conns []net.Conn
	for range 6 {
		c := r.dial(t)
		want.NoError(t, ask(c))
		conns = append(conns, c)
	}
	var open []net.Conn
	for _, c := range conns {
		if ask(c) == nil {
			open = append(open, c)
		}
	}
	want.Equal(t, len(open), 2)
	want.True(t, open[1] == conns[5], "the newest is open")
	// When all are busy the next one waits.
	began, release := r.hold()
	for _, c := range open {
		_, err := io.WriteString(c, request(fmt.Sprintf("Content-Length: %d\r\n", len(update)), update))
		want.NoError(t, err)
		<-began
	}
	answered := make(chan error, 1)
	late := r.dial(t)
	go func() { answered <- ask(late) }()
	release()
	want.NoError(t, <-answered)
}

// certificate writes a new self-signed pair and returns its serial number.
func certificate(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	want.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	want.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	want.NoError(t, err)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	want.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	want.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	at := time.Unix(1_700_000_000+serial, 0)
	want.NoError(t, os.Chtimes(certFile, at, at))
	return certFile, keyFile
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := certificate(t, dir, 1)
	var ahead atomic.Int64
	r := run(t, func(s *httpd.Server) {
		s.CertFile, s.KeyFile = certFile, keyFile
		s.Now = func() time.Time { return clock.Machine().Add(time.Duration(ahead.Load())) }
	})
	shake := func(config *tls.Config) (*tls.ConnectionState, error) {
		config.InsecureSkipVerify, config.ServerName = true, "localhost"
		d := tls.Dialer{Config: config}
		c, err := d.DialContext(t.Context(), "tcp", r.addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		state := c.(*tls.Conn).ConnectionState()
		return &state, nil
	}
	serial := func() int64 {
		state, err := shake(&tls.Config{})
		want.NoError(t, err)
		return state.PeerCertificates[0].SerialNumber.Int64()
	}
	want.Equal(t, serial(), int64(1))
	certificate(t, dir, 2)
	want.Equal(t, serial(), int64(1)) // not looked at yet
	ahead.Store(int64(time.Minute))
	want.Equal(t, serial(), int64(2))
	want.NoError(t, os.WriteFile(certFile, []byte("half a file"), 0o600))
	ahead.Store(int64(2 * time.Minute))
	want.Equal(t, serial(), int64(2))
	want.Contains(t, r.log.String(), "certificate stays as it was")

	_, err := shake(&tls.Config{MaxVersion: tls.VersionTLS11}) //nolint:gosec // this is what must be refused
	want.Error(t, err, nil)
	state, err := shake(&tls.Config{NextProtos: []string{"h2"}})
	want.NoError(t, err)
	want.Equal(t, state.NegotiatedProtocol, "h2")

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	post := curl(update).request(t.Context())
	post.URL.Scheme, post.URL.Host, post.RequestURI = "https", r.addr, ""
	answer, err := client.Do(post)
	want.NoError(t, err)
	defer answer.Body.Close()
	want.Equal(t, answer.Proto, "HTTP/2.0")
	want.Contains(t, text(t, answer), `{"success":true`)
}

func TestTLSWithoutFiles(t *testing.T) {
	t.Parallel()
	h := newHouse(func(s *httpd.Server) { s.CertFile, s.KeyFile = filepath.Join(t.TempDir(), "cert.pem"), "key.pem" })
	ln := listen(t)
	want.Error(t, h.Run(t.Context(), ln, nil), os.ErrNotExist)
	_, err := ln.Accept()
	want.Error(t, err, net.ErrClosed)
}

func TestMetricsListener(t *testing.T) {
	t.Parallel()
	h := newHouse()
	ctx, stop := context.WithCancel(t.Context())
	ln := listen(t)
	done := make(chan error, 1)
	go func() { done <- h.RunMetrics(ctx, ln) }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+"/metrics", nil)
	want.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	want.NoError(t, err)
	defer answer.Body.Close()
	want.Contains(t, text(t, answer), "poolhouse_requests_in_flight 0")
	stop()
	want.NoError(t, <-done)
}

func BenchmarkRequest(b *testing.B) {
	h := newHouse(func(s *httpd.Server) { s.Log = slogOff() })
	handler := h.Handler()
	c := curl(update)
	r := c.request(b.Context())
	body := bytes.NewReader(nil)
	r.Body = io.NopCloser(body)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset([]byte(update))
		h.ops.calls = h.ops.calls[:0]
		clear(w.header)
		handler.ServeHTTP(w, r)
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
