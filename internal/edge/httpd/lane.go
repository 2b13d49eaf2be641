package httpd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lane serves what programs send over and over: short POSTs to / that come in one piece. For each request http.Server starts a goroutine
// that watches the connection, and prepares for answers of any kind; here a watch begins only when a request takes long, and an answer is
// written at once. What that gives is in docs/decisions/0008-lane.md.
//
// The lane reads no request by rules of its own: it knows by a strict look which ones are as plain as that, and leaves these to the parser
// of net/http. With whatever else comes, a connection goes to http.Server, with all bytes that nobody has served, and stays there. Clients
// can tell by nothing who has served them, but that a first head which comes in pieces may take up to twice Limits.HeaderIn.
//
// A lane is the net.Listener of the connections for http.Server.
type lane struct {
	gate    *gate
	handler http.Handler
	limits  Limits
	base    context.Context // of requests
	log     *slog.Logger

	others chan accepted // for http.Server
	closed chan struct{}
	close  sync.Once

	served  atomic.Int64 // connections in the lane
	ending  atomic.Bool  // a connection ends with the request that it is at
	replies sync.Pool
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// newLane takes the connections of a gate from now on.
func newLane(base context.Context, g *gate, h http.Handler, limits Limits, log *slog.Logger) *lane {
	l := &lane{gate: g, handler: h, limits: limits, base: base, log: log, others: make(chan accepted), closed: make(chan struct{})}
	go l.accept()
	return l
}

// accept takes connections until the gate is closed. What goes wrong is for http.Server to judge.
func (l *lane) accept() {
	for {
		nc, err := l.gate.Accept()
		if c, ok := nc.(*conn); ok {
			l.served.Add(1)
			go l.serve(c)
			continue
		}
		if l.ending.Load() || !l.pass(accepted{nc, err}) || errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// pass gives http.Server something, and reports false when that takes nothing any more.
func (l *lane) pass(a accepted) bool {
	select {
	case l.others <- a:
		return true
	case <-l.closed:
		return false
	}
}

// Accept implements net.Listener.
func (l *lane) Accept() (net.Conn, error) {
	select {
	case a := <-l.others:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (l *lane) Addr() net.Addr { return l.gate.Addr() }

// Close implements net.Listener. Connections in the lane go on.
func (l *lane) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.gate.Close()
}

// drain takes no more connections and ends those in the lane: idle ones at once, the others with their answers. Meanwhile http.Server
// still takes what is not for the lane.
func (l *lane) drain(ctx context.Context) error {
	l.ending.Store(true)
	if err := l.gate.Close(); err != nil {
		return err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		l.gate.dropIdle()
		if l.served.Load() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// piece is how many bytes of a connection the lane looks at, as many as http.Server reads at once.
const piece = 4 << 10

// serve serves a connection to its end, or until something comes that is not for the lane.
func (l *lane) serve(c *conn) {
	passed := false
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // this very value is the signal
			l.log.Error("panic", "panic", v, "stack", string(debug.Stack()))
		}
		if !passed {
			_ = c.Close() // it is gone in either case
		}
		l.served.Add(-1)
	}()
	source := c.RemoteAddr().String()
	w := watch{conn: c, ended: make(chan struct{}, 1)}
	buf := make([]byte, 0, piece)
	// http.Server waits for one byte of the first request, and for four behind an answer, so that it can overlook the ends of lines that some
	// clients send behind a POST. Meanwhile the connection is idle.
	for least, due := 1, l.gate.now().Add(l.limits.HeaderIn); ; least, due = overlooked, l.gate.now().Add(l.limits.Idle) {
		for len(buf) < least {
			if least > 1 {
				l.gate.rests(c)
			}
			_ = c.SetReadDeadline(due) // of a closed connection, which the read finds
			n, _ := c.Read(buf[len(buf):cap(buf)])
			if !c.wakes() || n == 0 {
				return
			}
			buf = buf[:len(buf)+n]
		}
		if least > 1 {
			buf = buf[:copy(buf, buf[lineEnds(buf):])]
		}
		size := ordinary(buf)
		if size == 0 {
			c.unread = buf
			passed = l.pass(accepted{conn: c})
			return
		}
		c.spoke.Store(true)
		_ = c.SetReadDeadline(time.Time{})
		y, err := l.reply(buf[:size])
		if err != nil { // ordinary would be wrong
			l.log.Error("read an ordinary request", "cause", err)
			return
		}
		more, ok := l.answer(c, y, source, &w)
		if !ok {
			return
		}
		buf = append(buf[:copy(buf, buf[size:])], more...)
	}
}

// answer answers a request. It returns what has come of the next one meanwhile, and whether there may be one.
func (l *lane) answer(c *conn, y *reply, source string, w *watch) (more []byte, ok bool) {
	ctx, cancel := context.WithCancel(l.base)
	defer cancel()
	r := y.request.WithContext(ctx)
	r.RemoteAddr = source
	w.begin(cancel)
	stopped := false
	defer func() {
		if !stopped { // a panic
			w.end()
		}
	}()
	l.handler.ServeHTTP(y, r)
	more, stopped = w.end(), true
	ok = y.send(c, l.gate.now(), l.limits.Write, l.ending.Load())
	if y.request = nil; y.out.Cap() <= keep {
		l.replies.Put(y)
	}
	return more, ok
}

// ordinary returns the length of the request with which b begins, head and body, if it is one for the lane and all of it is here; else 0. It
// takes only what can be read in one way: a line of exactly one form, a Host, one length in digits, names and values without any character
// that is unusual there, and no field that changes what the body or the connection is.
func ordinary(b []byte) int {
	const line = "POST / HTTP/1.1\r\n"
	if !bytes.HasPrefix(b, []byte(line)) {
		return 0
	}
	length, hosts := -1, 0
	for at := len(line); ; {
		end := bytes.IndexByte(b[at:], '\n')
		if end < 1 || b[at+end-1] != '\r' {
			return 0
		}
		field := b[at : at+end-1]
		at += end + 1
		if len(field) == 0 {
			if length < 0 || hosts != 1 || length > len(b)-at {
				return 0
			}
			return at + length
		}
		colon := bytes.IndexByte(field, ':')
		if colon < 1 {
			return 0
		}
		name, value := field[:colon], bytes.Trim(field[colon+1:], " ")
		if !consists(name, inName) || !consists(value, inValue) {
			return 0
		}
		is := func(other string) bool { return bytes.EqualFold(name, []byte(other)) }
		switch len(name) {
		case len("Host"):
			if is("Host") {
				if hosts++; len(value) == 0 || !consists(value, inHost) {
					return 0
				}
			}
		case len("Content-Length"):
			if is("Content-Length") {
				if length >= 0 {
					return 0
				}
				if length = digits(value); length < 0 {
					return 0
				}
			}
		case len("Connection"):
			if is("Connection") && !bytes.EqualFold(value, []byte("keep-alive")) {
				return 0
			}
		case len("Expect"):
			if is("Expect") {
				return 0
			}
		case len("Upgrade"): // and Trailer
			if is("Upgrade") || is("Trailer") {
				return 0
			}
		case len("Transfer-Encoding"):
			if is("Transfer-Encoding") {
				return 0
			}
		}
	}
}

// overlooked is how many bytes of ends of lines are overlooked behind a POST.
const overlooked = 4

// lineEnds is how many bytes are to be overlooked.
func lineEnds(b []byte) (n int) {
	for n < min(overlooked, len(b)) && (b[n] == '\r' || b[n] == '\n') {
		n++
	}
	return n
}

// Where a character may stand in an ordinary request, as bits.
const (
	inName = 1 << iota
	inHost
	inValue
)

var places = func() (table [256]byte) {
	for c := ' '; c <= '~'; c++ {
		table[c] |= inValue
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
		if letter {
			table[c] |= inName
		}
		if letter || strings.ContainsRune(".:[]", c) {
			table[c] |= inHost
		}
	}
	return table
}()

func consists(text []byte, place byte) bool {
	for _, c := range text {
		if places[c]&place == 0 {
			return false
		}
	}
	return true
}

// digits reads a length; -1 where it is none, or more than the lane looks at.
func digits(text []byte) int {
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil || n > piece {
		return -1
	}
	return int(n)
}

// reply is a request with the answer to it, which is kept until it is whole. It is used again.
type reply struct {
	bytes   bytes.Reader
	reader  *bufio.Reader
	request *http.Request

	header http.Header
	status int
	body   []byte
	out    bytes.Buffer
}

// reply parses a request.
func (l *lane) reply(b []byte) (y *reply, err error) {
	y, ok := l.replies.Get().(*reply)
	if !ok {
		y = &reply{reader: bufio.NewReaderSize(nil, piece), header: make(http.Header)}
	}
	clear(y.header)
	y.status, y.body = 0, y.body[:0]
	y.out.Reset()
	y.bytes.Reset(b)
	y.reader.Reset(&y.bytes)
	y.request, err = http.ReadRequest(y.reader)
	return y, err
}

// Header implements http.ResponseWriter.
func (y *reply) Header() http.Header { return y.header }

// WriteHeader implements http.ResponseWriter. There are no answers in between.
func (y *reply) WriteHeader(status int) {
	if y.status == 0 && status >= http.StatusOK {
		y.status = status
	}
}

// Write implements http.ResponseWriter.
func (y *reply) Write(p []byte) (int, error) {
	y.WriteHeader(http.StatusOK)
	y.body = append(y.body, p...)
	return len(p), nil
}

// SetReadDeadline is for http.ResponseController: the request is all here.
func (y *reply) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is for http.ResponseController: the time for the answer begins when it is whole.
func (y *reply) SetWriteDeadline(time.Time) error { return nil }

// send sends the answer, and reports whether the connection takes another request; after the last one it does not.
func (y *reply) send(c *conn, now time.Time, limit time.Duration, last bool) bool {
	y.WriteHeader(http.StatusOK)
	last = last || strings.EqualFold(y.header.Get("Connection"), "close")
	if last {
		y.header["Connection"] = []string{"close"}
	}
	if _, ok := y.header["Content-Length"]; !ok {
		y.header["Content-Length"] = []string{strconv.Itoa(len(y.body))}
	}
	y.out.WriteString("HTTP/1.1 ")
	y.out.WriteString(strconv.Itoa(y.status))
	y.out.WriteByte(' ')
	y.out.WriteString(http.StatusText(y.status))
	y.out.WriteString("\r\nDate: ")
	y.out.Write(now.UTC().AppendFormat(y.out.AvailableBuffer(), http.TimeFormat))
	y.out.WriteString("\r\n")
	_ = y.header.Write(&y.out) // a buffer takes everything
	y.out.WriteString("\r\n")
	y.out.Write(y.body)
	_ = c.SetWriteDeadline(now.Add(limit)) // of a closed connection, which the write finds
	_, err := c.Write(y.out.Bytes())
	return err == nil && !last
}

// watch ends a request that takes long when its client goes away.
type watch struct {
	conn  *conn
	gone  context.CancelFunc
	timer *time.Timer
	ended chan struct{}
	byte  [1]byte
	n     int // how many bytes have come instead
}

// watchAfter is when a request takes long.
const watchAfter = 50 * time.Millisecond

func (w *watch) begin(gone context.CancelFunc) {
	w.gone, w.n = gone, 0
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.look)
		return
	}
	w.timer.Reset(watchAfter)
}

// look waits for the end of the connection.
func (w *watch) look() {
	n, err := w.conn.Read(w.byte[:])
	if w.n = n; n == 0 && !isTimeout(err) {
		w.gone()
	}
	w.ended <- struct{}{}
}

// end returns what has come of another request.
func (w *watch) end() []byte {
	if w.timer.Stop() {
		return nil
	}
	_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // of a closed connection, which look has found
	<-w.ended
	_ = w.conn.SetReadDeadline(time.Time{})
	return w.byte[:w.n]
}
