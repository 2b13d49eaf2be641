package httpd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// pipes is a listener of connections in memory, which keep to the time of a synctest bubble.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.dialled <- far
	return near
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// seen is what a handler sees of a request.
type seen struct {
	Method, URI, Path, Proto, Host, Body, BodyError string
	Length                                          int64
	Header, Trailer                                 http.Header
	Encoding                                        []string
	Close                                           bool
}

func see(r *http.Request) seen {
	body, err := io.ReadAll(r.Body)
	s := seen{r.Method, r.RequestURI, r.URL.String(), r.Proto, r.Host, string(body), "", r.ContentLength, r.Header, r.Trailer, r.TransferEncoding, r.Close}
	if err != nil {
		s.BodyError = err.Error()
	}
	return s
}

// echo answers with what it sees, in the way that the request's X-Do says. It tells on took whether the lane has served each request.
func echo(took func(lane bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, lane := w.(*reply)
		took(lane)
		h := w.Header()
		h.Set("Content-Type", "application/json")
		do := r.Header.Get("X-Do")
		var body []byte
		if do != "ignore" {
			body, _ = json.Marshal(see(r))
		}
		switch do {
		case "close":
			h.Set("Connection", "close")
		case "wait":
			time.Sleep(time.Second)
		case "wait long":
			time.Sleep(50 * time.Second)
		case "long":
			body = append(body, strings.Repeat("x", 100_000)...)
		case "abort":
			panic(http.ErrAbortHandler)
		case "refuse":
			h.Set("Content-Length", "0")
			w.WriteHeader(http.StatusTeapot)
			return
		}
		h.Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	})
}

// serving is a server in memory: with a lane, or http.Server alone.
type serving struct {
	*pipes
	srv  *http.Server
	gate *gate
	lane *lane // nil: none
}

func serve(withLane bool, h http.Handler) *serving {
	limits := Limits{}.orDefaults()
	s := &serving{pipes: newPipes()}
	s.gate = newGate(s.pipes, 100, time.Now)
	s.srv = &http.Server{Handler: h, ReadHeaderTimeout: limits.HeaderIn, IdleTimeout: limits.Idle, WriteTimeout: limits.Write, ConnState: s.gate.watch,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var ln net.Listener = s.gate
	if withLane {
		s.lane = newLane(context.Background(), s.gate, h, limits, slog.New(slog.DiscardHandler))
		ln = s.lane
	}
	go func() { _ = s.srv.Serve(ln) }()
	return s
}

func (s *serving) stop() { _ = cut(s.srv, s.gate) }

// answered is an answer, with the time at which it came.
type answered struct {
	Status string
	Header http.Header
	Body   string
	Err    string
	At     time.Duration
}

// talk sends pieces with pauses between them, and returns the answers until the server hangs up, or nothing has come for ten minutes.
func (s *serving) talk(pieces []string, pauses []time.Duration) (list []answered) {
	c := s.dial()
	start := time.Now()
	over, ended := make(chan struct{}), make(chan struct{})
	defer func() {
		close(over)
		_ = c.Close()
		<-ended
	}()
	go func() {
		defer close(ended)
		next := start // whether or not what came before has been read
		for i, p := range pieces {
			next = next.Add(pauses[i])
			select {
			case <-time.After(time.Until(next)):
			case <-over:
				return
			}
			if _, err := io.WriteString(c, p); err != nil {
				return // the server hung up, which the answers show
			}
		}
	}()
	_ = c.SetReadDeadline(start.Add(10 * time.Minute))
	r := bufio.NewReader(c)
	for {
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return append(list, answered{Err: err.Error(), At: time.Since(start)})
		}
		body, err := io.ReadAll(answer.Body)
		a := answered{Status: answer.Status, Header: answer.Header, Body: string(body), At: time.Since(start)}
		if err != nil {
			a.Err = err.Error()
		}
		list = append(list, a)
	}
}

// words are what random requests are made of. Where a request has two of a kind, the plain one comes first.
var words = struct{ line, host, field, end []string }{
	line: []string{"POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "POST / HTTP/1.0\r\n", "GET / HTTP/1.1\r\n",
		"POST /x HTTP/1.1\r\n", "POST /?a=b HTTP/1.1\r\n", "POST  / HTTP/1.1\r\n", "POST / HTTP/1.1\n", "POST http://a/ HTTP/1.1\r\n", "\r\nPOST / HTTP/1.1\r\n"},
	host: []string{"Host: localhost\r\n", "Host: localhost\r\n", "host:localhost\r\n", "Host:  [::1]:9229 \r\n", "Host: localhost\r\n", "Host: a\r\nHost: b\r\n", "", "Host: a b\r\n", "Host:\r\n"},
	field: []string{"X-Amz-Target: A.B\r\n", "content-type: application/json\r\n", "X-A: b\r\nX-A: c\r\n", "X-Empty:\r\n", "Connection: keep-alive\r\n", "X-Do: wait\r\n", "X-Do: long\r\n",
		"X-Do: ignore\r\n", "X-Do: refuse\r\n", "X-Do: close\r\n", "X-Do: wait long\r\n", "X-Do: abort\r\n", "Connection: close\r\n", "Expect: 100-continue\r\n", "Upgrade: h2c\r\n",
		"X-A: b\r\n c\r\n", "X-A : b\r\n", "X_A: b\r\n", "X-A: \xc3\xbc\r\n", "X-A: a\tb\r\n", "Trailer: X\r\n", "Pragma: no-cache\r\n", "X-A: b\n", "X-Long: " + strings.Repeat("y", 3000) + "\r\n"},
}

// randomRequest makes a request, mostly an ordinary one.
func randomRequest(r *rand.Rand) string {
	some := func(list []string, plain int) string { // one of the first, or of all
		if r.IntN(8) > 0 {
			list = list[:plain]
		}
		return list[r.IntN(len(list))]
	}
	var b strings.Builder
	b.WriteString(some(words.line, 5))
	b.WriteString(some(words.host, 4))
	for range r.IntN(4) {
		b.WriteString(some(words.field, 9))
	}
	body := strings.Repeat("z", []int{0, 2, 2, 100, 1000, 5000}[r.IntN(6)])
	switch r.IntN(16) {
	case 0:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", max(1, len(body)), body+strings.Repeat("z", max(0, 1-len(body))))
	case 1:
		fmt.Fprintf(&b, "Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s", len(body), len(body), body)
	case 2:
		fmt.Fprintf(&b, "Content-Length: +%d\r\n\r\n%s", len(body), body)
	case 3:
		b.WriteString("\r\n")
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	return b.String()
}

// TestLaneWalk sends random requests, in random pieces with random pauses, to a server with a lane and to http.Server alone: the answers are
// the same, and come at the same time. (Only for a first head that comes in pieces a lane gives up to twice the time, so none takes long.)
func TestLaneWalk(t *testing.T) {
	t.Parallel()
	var lanes, others atomic.Int64
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var pieces []string
			var pauses []time.Duration
			draw := func() time.Duration {
				if r.IntN(2) == 0 {
					return 0
				}
				return []time.Duration{10 * time.Millisecond, 500 * time.Millisecond, 4 * time.Second, 30 * time.Second, 150 * time.Second}[max(0, r.IntN(24)-19)]
			}
			for range 1 + r.IntN(5) {
				rest := randomRequest(r)
				pause := draw()
				for cuts := max(0, r.IntN(8)-5); cuts > 0 && len(rest) > 1; cuts-- {
					n := 1 + r.IntN(len(rest)-1)
					if r.IntN(4) == 0 {
						n = min(n, 4)
					}
					pieces, pauses = append(pieces, rest[:n]), append(pauses, pause)
					rest, pause = rest[n:], time.Duration(r.IntN(3))*time.Second
				}
				pieces, pauses = append(pieces, rest), append(pauses, pause)
				if r.IntN(6) == 0 && len(pieces) > 1 { // in one piece with the request before
					n := len(pieces) - 1
					pieces[n-1] += pieces[n]
					pieces, pauses = pieces[:n], pauses[:n]
				}
				if r.IntN(8) == 0 {
					pieces, pauses = append(pieces, []string{"\r\n", "\n", "\r\n\r\n", "\r\n\r\n\r\n"}[r.IntN(4)]), append(pauses, draw())
				}
			}
			var got [2][]answered
			for i, with := range []bool{true, false} {
				s := serve(with, echo(func(lane bool) {
					switch {
					case lane:
						lanes.Add(1)
					case with:
						others.Add(1)
					}
				}))
				got[i] = s.talk(pieces, pauses)
				s.stop()
				synctest.Wait()
			}
			for i := range got {
				for j := range got[i] {
					got[i][j].Header.Del("Date") // the bubbles' clocks go on
				}
			}
			if a, b := fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", got[1]); a != b {
				t.Errorf("seed %d: %q after %v\nwith a lane:    %.2000s\nwithout a lane: %.2000s", seed, pieces, pauses, a, b)
			}
		})
	}
	want.True(t, lanes.Load() > 400 && others.Load() > 400, "requests of both kinds: %d in the lane, %d passed on", lanes.Load(), others.Load())
}

func TestOrdinary(t *testing.T) {
	t.Parallel()
	const head = "POST / HTTP/1.1\r\nHost: localhost:9229\r\nX-Amz-Target: A.B\r\n"
	for request, size := range map[string]int{
		head + "Content-Length: 2\r\n\r\n{}":                               -1,
		head + "Content-Length: 2\r\n\r\n{}POST":                           -5,
		head + "content-length:2 \r\nConnection: Keep-Alive\r\n\r\n{}":     -1,
		head + "Content-Length: 0\r\nAuthorization: AWS4 a=b/c, d\r\n\r\n": -1,
		head + "Content-Length: 2\r\n\r\n{":                                0,
		head + "Content-Length: 2\r\n\r":                                   0,
		head + "\r\n":                                                      0,
		head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}":          0,
		head + "Content-Length: +2\r\n\r\n{}":                              0,
		head + "Content-Length: \r\n\r\n{}":                                0,
		head + "Content-Length: 99999999999999999999\r\n\r\n{}":            0,
		head + "Content-Length: 2\r\nHost: b\r\n\r\n{}":                    0,
		head + "Content-Length: 2\r\nConnection: close\r\n\r\n{}":          0,
		head + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}":       0,
		head + "Content-Length: 2\r\nUpgrade: h2c\r\n\r\n{}":               0,
		head + "Content-Length: 2\r\nTrailer: a\r\n\r\n{}":                 0,
		head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}": 0,
		head + "Content-Length: 2\r\nX-A : b\r\n\r\n{}":                    0,
		head + "Content-Length: 2\r\nX-A: b\r\n c\r\n\r\n{}":               0,
		head + "Content-Length: 2\r\nX-A: b\n\r\n{}":                       0,
		head + "Content-Length: 2\r\nX-A: b\x00\r\n\r\n{}":                 0,
		head + "Content-Length: 2\r\nX-A\r\n\r\n{}":                        0,
		"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}":                   0,
		"POST / HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\n{}":          0,
		"POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: 2\r\n\r\n{}":      0,
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}":         0,
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}":       0,
		"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}":        0,
		"": 0,
	} {
		if size < 0 {
			size += len(request) + 1
		}
		if got := ordinary([]byte(request)); got != size {
			t.Errorf("%q: %d bytes, want %d", request, got, size)
		}
	}
}

// FuzzOrdinary holds that net/http reads what is ordinary as one whole request, the parser as well as the server, and that both see the same.
func FuzzOrdinary(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 100 {
		f.Add([]byte(randomRequest(r)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := ordinary(b)
		if n == 0 {
			return
		}
		in := strings.NewReader(string(b[:n]))
		buffered := bufio.NewReader(in)
		req, err := http.ReadRequest(buffered)
		want.NoError(t, err)
		parsed := see(req)
		want.Equal(t, in.Len()+buffered.Buffered(), 0)
		want.Equal(t, parsed.BodyError, "")
		want.Equal(t, int64(len(parsed.Body)), parsed.Length)

		got := make(chan seen, 2)
		p := newPipes()
		srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- see(r) })}
		go func() { _ = srv.Serve(p) }()
		defer srv.Close()
		c := p.dial()
		defer c.Close()
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, err = io.WriteString(c, string(b[:n])+"GET /end HTTP/1.1\r\nHost: a\r\n\r\n")
		want.NoError(t, err)
		served := <-got
		want.Equal(t, served, parsed)
		want.Equal(t, (<-got).URI, "/end")
	})
}

// TestLaneSeesClientsLeave is about requests that take long.
func TestLaneSeesClientsLeave(t *testing.T) {
	t.Parallel()
	const ask = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s := serve(true, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Hour):
			}
			ended <- r.Context().Err()
		}))
		defer s.stop()
		for _, after := range []time.Duration{time.Second, time.Minute, 30 * time.Minute} {
			c := s.dial()
			_, err := io.WriteString(c, ask)
			want.NoError(t, err)
			time.Sleep(after)
			synctest.Wait()
			want.Equal(t, len(ended), 0)
			want.NoError(t, c.Close())
			synctest.Wait()
			want.Equal(t, len(ended), 1)
			want.Error(t, <-ended, context.Canceled)
		}
		// The context of a request that was answered ends with it, not with the connection.
		var earlier context.Context
		quick := serve(true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, lane := w.(*reply)
			want.True(t, lane, "an ordinary request is served in the lane")
			want.True(t, r.Context().Err() == nil, "a request begins")
			if earlier != nil {
				want.Error(t, earlier.Err(), context.Canceled)
			}
			earlier = r.Context()
		}))
		defer quick.stop()
		c := quick.dial()
		defer c.Close()
		answers := bufio.NewReader(c)
		for range 3 {
			_, err := io.WriteString(c, ask)
			want.NoError(t, err)
			answer, err := http.ReadResponse(answers, nil)
			want.NoError(t, err)
			want.NoError(t, answer.Body.Close())
			want.Equal(t, answer.StatusCode, 200)
		}
	})
}

// TestLaneDrains: idle connections end at once, busy ones with their answers, and what was begun outside of the lane is still served.
func TestLaneDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(true, echo(func(bool) {}))
		ask := func(do string) (net.Conn, *bufio.Reader) {
			c := s.dial()
			go func() {
				_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nX-Do: %s\r\nContent-Length: 0\r\n\r\n", do)
			}()
			return c, bufio.NewReader(c)
		}
		idle, answers := ask("")
		answer, err := http.ReadResponse(answers, nil)
		want.NoError(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		want.NoError(t, err)
		_, err = io.WriteString(idle, "\r\n") // which begins no request
		want.NoError(t, err)
		busy, late := ask("wait long")
		silent, hesitant := s.dial(), s.dial()
		synctest.Wait()
		want.Equal(t, s.lane.served.Load(), int64(4))

		start := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- s.lane.drain(t.Context()) }()
		_, err = answers.ReadByte()
		want.Error(t, err, io.EOF)
		want.True(t, time.Since(start) < time.Second, "an idle connection ends at once: %v", time.Since(start))
		_, err = io.WriteString(hesitant, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		want.NoError(t, err)
		answer, err = http.ReadResponse(bufio.NewReader(hesitant), nil)
		want.NoError(t, err)
		want.NoError(t, answer.Body.Close())
		want.Equal(t, answer.StatusCode, 200)
		s.gate.dropSilent()
		_, err = silent.Read(make([]byte, 1))
		want.Error(t, err, io.EOF)
		answer, err = http.ReadResponse(late, nil)
		want.NoError(t, err)
		want.True(t, answer.Close, "no further request is taken")
		_, err = io.Copy(io.Discard, answer.Body)
		want.NoError(t, err)
		want.NoError(t, <-drained)
		want.Equal(t, s.lane.served.Load(), int64(0))
		s.stop()
		for _, c := range []net.Conn{idle, busy, silent, hesitant} {
			_ = c.Close()
		}

		// A time limit ends the waiting.
		s = serve(true, echo(func(bool) {}))
		busy, _ = ask("wait long")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want.True(t, errors.Is(s.lane.drain(ctx), context.DeadlineExceeded), "drain waits no longer than it may")
		s.stop()
		_ = busy.Close()
		time.Sleep(time.Hour) // the handler waits for nobody
	})
}
