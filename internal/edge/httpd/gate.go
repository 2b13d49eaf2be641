package httpd

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// gate is a listener that bounds the number of connections. When the bound is reached it closes those that are idle
// longest to make room for new ones; when none is idle, those wait. Accepting therefore never fails for want of file
// descriptors, and idle connections cannot keep others out.
type gate struct {
	net.Listener
	max int
	now func() time.Time

	mu     sync.Mutex
	freed  sync.Cond // a connection was closed or became idle, or the listener was closed
	conns  map[*conn]struct{}
	closed bool
	// crowded is true while Accept waits, so that connections tell when they become idle. Otherwise they need no lock.
	crowded atomic.Bool
}

// conn is an accepted connection.
type conn struct {
	net.Conn
	gate *gate
	idle atomic.Int64 // since when, in nanoseconds of the machine's time; 0 while busy, ended when it takes no more requests
	// spoke is true from the first byte on.
	spoke atomic.Bool
	once  sync.Once

	reading, writing deadline
	unread           []byte // what the lane has read for http.Server
}

// ended is the idle of a connection that is closed before another request came.
const ended = -1

// unbounded is more connections than a machine has memory for.
const unbounded = 1 << 20

// newGate bounds the connections of ln: to n, or to what file descriptors allow when n is 0.
func newGate(ln net.Listener, n int, now func() time.Time) *gate {
	if n <= 0 {
		n = descriptors()
	}
	g := &gate{Listener: ln, max: n, now: now, conns: make(map[*conn]struct{})}
	g.freed.L = &g.mu
	return g
}

// Accept waits for a connection, and then for a place for it.
func (g *gate) Accept() (net.Conn, error) {
	accepted, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := newConn(accepted, g)
	if !g.admit(c) {
		return nil, errors.Join(net.ErrClosed, accepted.Close())
	}
	return c, nil
}

// admit returns true when the connection has a place, false when the listener was closed meanwhile.
func (g *gate) admit(c *conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.closed && len(g.conns) >= g.max {
		g.crowded.Store(true)
		oldest, since := g.oldest()
		if oldest == nil {
			g.freed.Wait()
			continue
		}
		if !oldest.idle.CompareAndSwap(since, ended) {
			continue
		}
		g.mu.Unlock()
		_ = oldest.Close() // it is gone in either case
		g.mu.Lock()
	}
	g.crowded.Store(false)
	if g.closed {
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

// oldest is the connection that is idle longest, and since when; nil when all are busy.
func (g *gate) oldest() (found *conn, since int64) {
	for c := range g.conns {
		if t := c.idle.Load(); t > 0 && (found == nil || t < since) {
			found, since = c, t
		}
	}
	return found, since
}

// watch follows the states of connections, as the server reports them.
func (g *gate) watch(nc net.Conn, state http.ConnState) {
	if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = wrapped.NetConn()
	}
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	if state == http.StateActive {
		c.spoke.Store(true)
	}
	if state != http.StateIdle {
		c.idle.Store(0)
		return
	}
	g.rests(c)
}

// rests notes that a connection is idle from now on.
func (g *gate) rests(c *conn) {
	c.idle.Store(g.now().UnixNano())
	if g.crowded.Load() {
		g.mu.Lock()
		g.freed.Broadcast()
		g.mu.Unlock()
	}
}

// wakes notes that a connection is idle no more. It reports false when that comes too late: it is being closed.
func (c *conn) wakes() bool { return c.idle.Swap(0) != ended }

// dropIdle closes the connections that are idle.
func (g *gate) dropIdle() {
	g.drop(func(c *conn) bool {
		since := c.idle.Load()
		return since > 0 && c.idle.CompareAndSwap(since, ended)
	})
}

// dropSilent closes the connections that never sent a byte. A stopping http.Server waits five seconds for each of
// them, as some clients open connections that they may need later.
func (g *gate) dropSilent() {
	g.drop(func(c *conn) bool { return !c.spoke.Load() })
}

// dropAll closes all connections.
func (g *gate) dropAll() {
	g.drop(func(*conn) bool { return true })
}

// drop closes the connections for which which says so.
func (g *gate) drop(which func(*conn) bool) {
	g.mu.Lock()
	var found []*conn
	for c := range g.conns {
		if which(c) {
			found = append(found, c)
		}
	}
	g.mu.Unlock()
	for _, c := range found {
		_ = c.Close() // it is gone in either case
	}
}

// Close closes the listener and wakes Accept. The second time it does nothing.
func (g *gate) Close() error {
	g.mu.Lock()
	closed := g.closed
	g.closed = true
	g.freed.Broadcast()
	g.mu.Unlock()
	if closed {
		return nil
	}
	return g.Listener.Close()
}

// Close gives the connection's place to another.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.gate.mu.Lock()
		delete(c.gate.conns, c)
		c.gate.freed.Broadcast()
		c.gate.mu.Unlock()
	})
	return c.Conn.Close()
}
