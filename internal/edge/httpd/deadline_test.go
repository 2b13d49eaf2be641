package httpd

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// outcome is what became of a call that waited.
type outcome struct {
	N       int
	Timeout bool
	Took    time.Duration
}

// waits makes calls on a connection under deadlines that a seed chooses, set before and while the calls wait. call makes a call, met
// what it waits for.
func waits(t *testing.T, seed uint64, near net.Conn, set func(time.Time) error, call, met func() (int, error)) (list []outcome) {
	r := rand.New(rand.NewPCG(seed, 0))
	// Deadlines fall on even milliseconds, what is waited for comes at odd ones, and deadlines are set a little later: no two
	// things happen at once.
	instant := func() time.Time {
		switch r.IntN(4) {
		case 0:
			return time.Time{}
		case 1:
			return time.Unix(1, 0) // as net/http ends a call
		}
		return time.Now().Truncate(2 * time.Millisecond).Add(time.Duration(2+2*r.IntN(40)) * time.Millisecond)
	}
	for range 300 {
		for range r.IntN(4) {
			want.NoError(t, set(instant()))
		}
		begun := time.Now()
		var done atomic.Bool
		for i := range r.IntN(3) {
			at := time.Duration(2*r.IntN(50))*time.Millisecond + time.Duration(1+i)*time.Microsecond
			t := instant()
			time.AfterFunc(at, func() {
				if !done.Load() {
					_ = set(t) // the connection is open
				}
			})
		}
		time.AfterFunc(time.Duration(1+2*r.IntN(60))*time.Millisecond, func() {
			if !done.Load() {
				_, _ = met() // what the call got is compared
			}
		})
		n, err := call()
		done.Store(true)
		timeout := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !timeout {
			t.Fatal(err)
		}
		list = append(list, outcome{n, timeout, time.Since(begun)})
		time.Sleep(200*time.Millisecond - time.Since(begun))
	}
	want.NoError(t, near.Close())
	return list
}

// TestDeadlines compares a connection with one whose deadlines are all set at once.
func TestDeadlines(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			var read, written [2][]outcome
			for i := range 2 {
				near, far := net.Pipe()
				if i == 1 {
					near = newConn(near, newGate(nil, 1, time.Now))
				}
				one := make([]byte, 1)
				read[i] = waits(t, seed, near, near.SetReadDeadline, func() (int, error) { return near.Read(one) }, func() (int, error) { return far.Write(one) })
				near, far = net.Pipe()
				if i == 1 {
					near = newConn(near, newGate(nil, 1, time.Now))
				}
				// The other end takes three bytes of five, and two where a call is not ended before.
				five := make([]byte, 5)
				written[i] = waits(t, seed, near, near.SetWriteDeadline, func() (int, error) { return near.Write(five) }, func() (int, error) {
					n, err := io.ReadFull(far, make([]byte, 3))
					time.Sleep(4 * time.Millisecond)
					want.NoError(t, far.SetReadDeadline(time.Now().Add(time.Millisecond)))
					m, _ := io.ReadFull(far, make([]byte, 2))
					want.NoError(t, far.SetReadDeadline(time.Time{}))
					return n + m, err
				})
			}
			for _, o := range []outcome{{N: 1}, {Timeout: true}} {
				want.True(t, slices.ContainsFunc(read[0], func(r outcome) bool { return r.N == o.N && r.Timeout == o.Timeout && r.Took > 0 }), "a read with this end: %+v", o)
			}
			for _, o := range []outcome{{N: 5}, {N: 3, Timeout: true}, {Timeout: true}} {
				want.True(t, slices.ContainsFunc(written[0], func(w outcome) bool { return w.N == o.N && w.Timeout == o.Timeout && w.Took > 0 }), "a write with this end: %+v", o)
			}
			want.Equal(t, read[1], read[0])
			want.Equal(t, written[1], written[0])
		})
	}
}

// TestDeadlineIsSetSeldom counts what reaches the runtime over requests as net/http makes them.
func TestDeadlineIsSetSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		counted := &counting{Conn: near}
		c := newConn(counted, newGate(nil, 1, time.Now))
		one := make([]byte, 1)
		read := func() error {
			_, err := c.Read(one)
			return err
		}
		const requests = 1000
		for range requests {
			want.NoError(t, c.SetReadDeadline(time.Now().Add(120*time.Second)))
			time.AfterFunc(time.Millisecond, func() { _, _ = far.Write(one) })
			want.NoError(t, read())
			for _, d := range []time.Duration{10 * time.Second, 5 * time.Second} {
				want.NoError(t, c.SetReadDeadline(time.Time{}))
				want.NoError(t, c.SetReadDeadline(time.Now().Add(d)))
			}
			want.NoError(t, c.SetReadDeadline(time.Time{}))
			want.NoError(t, c.SetWriteDeadline(time.Now().Add(60*time.Second)))
			// While the request is served, net/http waits for the client to go away, and ends that wait.
			time.AfterFunc(time.Millisecond, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
			want.Error(t, read(), os.ErrDeadlineExceeded)
		}
		if counted.set > requests*21/10 {
			t.Errorf("%d deadlines were set for %d requests: the end of the wait is one, and what holds after it another", counted.set, requests)
		}
		want.NoError(t, c.Close())
	})
}

type counting struct {
	net.Conn
	set int
}

func (c *counting) SetReadDeadline(t time.Time) error {
	c.set++
	return c.Conn.SetReadDeadline(t)
}

func (c *counting) SetWriteDeadline(t time.Time) error {
	c.set++
	return c.Conn.SetWriteDeadline(t)
}
