package httpd

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// deadline is a connection's deadline for reading or for writing. For each request net/http and pump set eight, most of them later
// than the one before, and the runtime moves a timer for each. Here a later one is only noted: a call that fails when the timer
// rings is repeated if the deadline noted last is still to come.
type deadline struct {
	mu     sync.Mutex
	wanted time.Time // zero: none
	set    time.Time // in the runtime
	aside  time.Time // what was set before it: net/http ends a waiting call with an instant long ago, and then goes on
	// arm sets it there.
	arm func(time.Time) error
}

// want is SetReadDeadline or SetWriteDeadline. A sooner deadline holds for calls that wait already.
func (d *deadline) want(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if t.IsZero() || !d.set.IsZero() && !t.Before(d.set) {
		return nil
	}
	d.aside, d.set = d.set, t
	return d.arm(t)
}

// early reports whether a call failed with err for a deadline that holds no more. Then the call is to be repeated.
func (d *deadline) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !d.wanted.After(d.set) {
		return false
	}
	next := d.wanted
	if d.aside.After(d.set) && (next.IsZero() || d.aside.Before(next)) {
		next = d.aside
	}
	d.aside, d.set = time.Time{}, next
	return d.arm(next) == nil
}

// newConn takes an accepted connection into a gate.
func newConn(accepted net.Conn, g *gate) *conn {
	return &conn{Conn: accepted, gate: g, reading: deadline{arm: accepted.SetReadDeadline}, writing: deadline{arm: accepted.SetWriteDeadline}}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		if c.unread = c.unread[n:]; len(c.unread) == 0 {
			c.unread = nil // it is no more needed
		}
		return n, nil
	}
	for {
		n, err := c.Conn.Read(p)
		if err == nil || n > 0 || !c.reading.early(err) {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := c.Conn.Write(p[written:])
		if written += n; err == nil || !c.writing.early(err) {
			return written, err
		}
	}
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.reading.want(t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.writing.want(t) }
