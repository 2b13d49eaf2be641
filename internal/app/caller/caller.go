// Package caller calls a cognito-idp endpoint with as little work as a call can take: requests are made of ready bytes, signed with
// Signature Version 4, and sent over connections that stay open. It is for callers of very many requests, the bulk change of users and
// the load generator next door, which share a machine with the server and must leave it the processor.
//
// It speaks the AWS dialect over HTTP/1.1, with or without TLS, and knows nothing of what operations mean.
package caller

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

// An Endpoint is where requests go.
type Endpoint struct {
	Address string // HOST:PORT to connect to
	Host    string // as the Host header names it
	Secure  bool   // by TLS
}

// ParseEndpoint reads an http or https URL without a path.
func ParseEndpoint(text string) (Endpoint, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return Endpoint{}, fmt.Errorf("%q is not an address such as http://127.0.0.1:9229", text)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return Endpoint{}, fmt.Errorf("%q has a path: requests of this API go to the root of an address", text)
	}
	e := Endpoint{Host: u.Host, Secure: u.Scheme == "https"}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[e.Secure]
		e.Host = strings.TrimSuffix(u.Host, ":")
	}
	e.Address = net.JoinHostPort(u.Hostname(), port)
	return e, nil
}

// String is the URL.
func (e Endpoint) String() string {
	if e.Secure {
		return "https://" + e.Host
	}
	return "http://" + e.Host
}

// Local reports whether the endpoint is on this machine, as far as its name tells.
func (e Endpoint) Local() bool {
	host, _, err := net.SplitHostPort(e.Address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback())
}

// connectLimit and replyLimit bound how long a connection may take to be made and a reply to come.
const (
	connectLimit = 15 * time.Second
	replyLimit   = 60 * time.Second
)

// ErrConnect says that there is no way to the endpoint.
var ErrConnect = errors.New("no connection")

// A Caller makes calls to one endpoint.
type Caller struct {
	Endpoint Endpoint
	Maker    *Maker
	Trust    *tls.Config // nil: the system's authorities
}

// New returns a caller.
func New(e Endpoint, c Credentials) *Caller {
	return &Caller{Endpoint: e, Maker: &Maker{Host: e.Host, Credentials: c}}
}

func (c *Caller) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: connectLimit}
	conn, err := d.DialContext(ctx, "tcp", c.Endpoint.Address)
	if err != nil {
		return nil, fmt.Errorf("%w to %s: %w", ErrConnect, c.Endpoint, err)
	}
	if !c.Endpoint.Secure {
		return conn, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Trust != nil {
		config = c.Trust.Clone()
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(c.Endpoint.Address) // New's address always has a port
	}
	secured := tls.Client(conn, config)
	within, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	if err := secured.HandshakeContext(within); err != nil {
		return nil, errors.Join(fmt.Errorf("%w to %s: %w", ErrConnect, c.Endpoint, err), conn.Close())
	}
	return secured, nil
}

// A Line is a connection that is opened when it is needed and opened again when the other side has closed it. It makes one call at a
// time.
type Line struct {
	caller  *Caller
	conn    net.Conn
	reader  Reader
	request []byte
	bounded time.Time // until when the connection waits for a reply
	stop    func() bool
}

// Line returns a line, not connected yet.
func (c *Caller) Line() *Line { return &Line{caller: c} }

// Close closes the connection, if there is one. The next call opens another.
func (l *Line) Close() {
	if l.conn == nil {
		return
	}
	l.stop()
	_ = l.conn.Close() // nothing is expected of it any more
	l.conn = nil
}

// Do makes a call. An error means that no whole reply came: whether the request was carried out is not known. The reply's body is
// valid until the next call.
func (l *Line) Do(ctx context.Context, operation string, body []byte) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, context.Cause(ctx)
	}
	used := l.conn != nil
	reply, begun, err := l.try(ctx, operation, body)
	// A connection that was idle may have been closed by the other side just now. It was not even answered with a byte, and the
	// caller's operations are such that twice is as once.
	if err != nil && used && !begun && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		reply, _, err = l.try(ctx, operation, body)
	}
	if err != nil && ctx.Err() != nil {
		return Reply{}, context.Cause(ctx)
	}
	return reply, err
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

// try makes a call once; begun tells whether some of a reply came.
func (l *Line) try(ctx context.Context, operation string, body []byte) (reply Reply, begun bool, err error) {
	if l.conn == nil {
		if err := l.open(ctx); err != nil {
			return Reply{}, false, err
		}
	}
	defer func() {
		if err != nil || l.reader.Last {
			l.Close()
		}
	}()
	// Setting a deadline costs as much as a small part of a call, so one serves for many calls.
	if now := clock.Machine(); l.bounded.Sub(now) < replyLimit/2 {
		l.bounded = now.Add(replyLimit)
		if err := l.conn.SetDeadline(l.bounded); err != nil {
			return Reply{}, false, fmt.Errorf("bound %s: %w", operation, err)
		}
	}
	l.request = l.caller.Maker.Append(l.request[:0], operation, body)
	if _, err := l.conn.Write(l.request); err != nil {
		return Reply{}, false, fmt.Errorf("send %s: %w", operation, err)
	}
	reply.Status, reply.Body, err = l.reader.Reply()
	if err != nil {
		return Reply{}, l.reader.Begun(), fmt.Errorf("read the reply to %s: %w", operation, err)
	}
	return reply, true, nil
}

func (l *Line) open(ctx context.Context) error {
	conn, err := l.caller.dial(ctx)
	if err != nil {
		return err
	}
	l.conn, l.bounded = conn, time.Time{}
	l.reader.Reset(conn)
	l.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // unblocks a call that waits
	return nil
}

// A Reply is what an endpoint answered.
type Reply struct {
	Status int
	Body   []byte
}

// OK reports whether the operation was carried out.
func (r Reply) OK() bool { return r.Status == 200 }

// A Refusal is an answer that is no success.
type Refusal struct {
	Status  int
	Code    string // such as UserNotFoundException; "HTTP 502" where the answer is none of this API
	Message string
}

func (r *Refusal) Error() string {
	if r.Message == "" {
		return r.Code
	}
	return r.Code + ": " + r.Message
}

// maxForeign bounds how much of an answer that is none of this API is repeated.
const maxForeign = 200

// Refusal reads an answer that is not OK.
func (r Reply) Refusal() *Refusal {
	var told struct {
		Type    string `json:"__type"`
		Message string `json:"message"` // or Message: letter case does not matter
	}
	if err := json.Unmarshal(r.Body, &told); err != nil || told.Type == "" {
		text := strings.ToValidUTF8(strings.TrimSpace(string(r.Body[:min(len(r.Body), maxForeign)])), "")
		return &Refusal{Status: r.Status, Code: fmt.Sprintf("HTTP %d", r.Status), Message: text}
	}
	// Some send the code with a namespace before it and a colon behind it.
	code := told.Type[strings.LastIndexByte(told.Type, '#')+1:]
	code, _, _ = strings.Cut(code, ":")
	return &Refusal{Status: r.Status, Code: code, Message: told.Message}
}

// Throttled reports whether the endpoint says that too much is asked of it. The same call may be made later.
func (r *Refusal) Throttled() bool {
	switch r.Code {
	case "TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded", "SlowDown", "HTTP 429":
		return true
	}
	return r.Status == 429
}

// Passing reports whether the failure is the endpoint's own and may be over at the next try.
func (r *Refusal) Passing() bool { return r.Status >= 500 }
