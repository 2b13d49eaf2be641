package bench

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// Crowded is an operation beside connections that do nothing or very little, and without them, in turns.
type Crowded struct {
	Operation   string        `json:"operation"`
	Connections int           `json:"connections"`
	Idle        int           `json:"idle_connections"`
	Slow        int           `json:"slow_connections"` // a byte a second each
	Alone       float64       `json:"requests_per_second_alone"`
	Beside      float64       `json:"requests_per_second_beside"`
	Ratio       float64       `json:"ratio"` // median of the rounds
	AloneP99    time.Duration `json:"p99_alone_ns"`
	BesideP99   time.Duration `json:"p99_beside_ns"`
	Errors      uint64        `json:"errors"`
	Lost        uint64        `json:"lost_slow_bytes"` // bytes that the server did not take, because it had closed a slow connection
	// PerConnection is by how much the server's memory grew for each of the crowd, in bytes.
	PerConnection float64 `json:"resident_bytes_per_connection,omitempty"`
}

// crowdSlow and crowdLines are how many connections send slowly, or ask for too much, as parts of those that are idle.
const (
	crowdSlow  = 0.1
	crowdLines = 0.4
)

// crowd is many connections that hardly do anything.
type crowd struct {
	conns []net.Conn // the idle ones first
	stop  context.CancelFunc
	ended chan struct{}
	lost  atomic.Uint64 // slow connections that the server closed
}

// headOf is the head of a request with a body of some length.
func headOf(host, operation string, length int) string {
	request := string((&caller.Maker{Host: host, Credentials: unverified}).Append(nil, operation, nil))
	return strings.Replace(request, "\r\nContent-Length: 0\r\n", fmt.Sprintf("\r\nContent-Length: %d\r\n", length), 1)
}

// gather makes a crowd: idle connections on which a request was answered, and slow ones, half of which send their heads byte by byte
// and half their bodies.
func gather(ctx context.Context, address string, idle, slow int) (c *crowd, err error) {
	ctx, cancel := context.WithCancel(ctx)
	c = &crowd{conns: make([]net.Conn, 0, idle+slow), stop: cancel, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			close(c.ended)
			c.leave()
		}
	}()
	var d net.Dialer
	health := []byte("GET /healthz HTTP/1.1\r\nHost: " + address + "\r\n\r\n")
	begun := []byte(headOf(address, "AdminGetUser", 1000))
	for i := range idle + slow {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("make %d connections: %w", idle+slow, err)
		}
		c.conns = append(c.conns, conn)
		if i < idle {
			if _, err = conn.Write(health); err == nil {
				_, _, err = caller.NewReader(conn).Reply()
			}
		} else if i%2 == 0 {
			_, err = conn.Write(begun)
		}
		if err != nil {
			return nil, fmt.Errorf("make %d connections: %w", idle+slow, err)
		}
	}
	go c.drip(ctx, c.conns[idle:])
	return c, nil
}

// drip sends a byte a second over each connection, one after the other. A letter goes on with a head as well as with a body.
func (c *crowd) drip(ctx context.Context, slow []net.Conn) {
	defer close(c.ended)
	if len(slow) == 0 {
		return
	}
	tick := time.NewTicker(time.Second / time.Duration(len(slow)))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := slow[i%len(slow)].Write([]byte("G")); err != nil {
				c.lost.Add(1)
			}
		}
	}
}

// leave closes all connections.
func (c *crowd) leave() {
	c.stop()
	<-c.ended
	for _, conn := range c.conns {
		_ = conn.Close() // nothing is expected of it
	}
}

// crowds measures what a crowd costs the others.
func (r *runner) crowds(ctx context.Context) error {
	f := r.places[r.Users]
	return r.with(ctx, f, func(s *Server) error {
		t := f.on(s, unverified)
		for _, name := range []string{"AdminGetUser", "AdminUpdateUserAttributes"} {
			if err := r.warm(ctx, t, name); err != nil {
				return err
			}
			got, err := r.crowded(ctx, t, name)
			if err != nil {
				return fmt.Errorf("%s beside a crowd: %w", name, err)
			}
			r.suite.Crowded = append(r.suite.Crowded, *got)
		}
		return nil
	})
}

// crowded measures an operation in turns with a crowd and without.
func (r *runner) crowded(ctx context.Context, t *target, name string) (*Crowded, error) {
	idle, slow := r.Crowd, int(crowdSlow*float64(r.Crowd))
	r.say("%s beside %d idle connections and %d that send a byte a second", name, idle, slow)
	out := &Crowded{Operation: name, Connections: r.most(), Idle: idle, Slow: slow}
	var next atomic.Uint64
	l := t.load(name, out.Connections, &next)
	l.warmUp, l.duration = r.WarmUp, r.Duration/time.Duration(2*r.Rounds)
	var alone, beside histogram
	var alones, besides, ratios []float64
	one := func(times *histogram) (float64, error) {
		got, err := l.run(ctx)
		if err != nil {
			return 0, err
		}
		times.add(&got.times)
		out.Errors += got.errors
		return got.rate(), nil
	}
	for range r.Rounds {
		without, err := one(&alone)
		if err != nil {
			return nil, err
		}
		before := Resident(t.pid)
		c, err := gather(ctx, t.address, idle, slow)
		if err != nil {
			return nil, err
		}
		if out.PerConnection == 0 {
			out.PerConnection = float64(max(Resident(t.pid), before)-before) / float64(idle+slow)
		}
		with, err := one(&beside)
		c.leave()
		if err != nil {
			return nil, err
		}
		out.Lost += c.lost.Load()
		alones, besides, ratios = append(alones, without), append(besides, with), append(ratios, with/without)
	}
	out.Alone, out.Beside, out.Ratio = median(alones), median(besides), median(ratios)
	out.AloneP99, out.BesideP99 = alone.quantile(0.99), beside.quantile(0.99)
	return out, nil
}
