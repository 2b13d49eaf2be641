package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// A load is requests of one kind, sent over connections that stay open, each as soon as the last was answered.
type load struct {
	address     string
	connections int
	warmUp      time.Duration
	duration    time.Duration                        // of the measured part; 0: until count requests were sent, all measured
	count       uint64                               // 0: no bound
	request     func(to []byte, n uint64) []byte     // appends the bytes of the n-th request
	rate        float64                              // requests a second of all connections together; 0: as many as are answered
	next        *atomic.Uint64                       // the number of the next request, shared by the rounds of an operation
	cpu         func() (used time.Duration, ok bool) // processor time of the server so far; nil: not known
	// answered is told of each success that is measured, by several connections at once; reply is good until it returns. Nil: nobody is.
	answered func(n uint64, took time.Duration, reply []byte)
}

// An outcome is what a load measured.
type outcome struct {
	requests uint64
	errors   uint64
	first    string // the first error, for people
	elapsed  time.Duration
	cpu      time.Duration
	cpuKnown bool
	times    histogram
}

func (o *outcome) rate() float64 { return float64(o.requests) / o.elapsed.Seconds() }

// run sends the load.
func (l *load) run(ctx context.Context) (*outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conns := make([]net.Conn, l.connections)
	var d net.Dialer
	for i := range conns {
		c, err := d.DialContext(ctx, "tcp", l.address)
		if err != nil {
			return nil, fmt.Errorf("connect to the server: %w", err)
		}
		defer c.Close()
		conns[i] = c
	}
	start := time.Now()
	from, until := start, start.Add(24*time.Hour)
	if l.duration > 0 {
		from, until = start.Add(l.warmUp), start.Add(l.warmUp+l.duration)
	}
	for _, c := range conns {
		if err := c.SetDeadline(until.Add(30 * time.Second)); err != nil {
			return nil, err
		}
	}
	stopped := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.Close() // unblocks the workers
		}
	})
	defer stopped()
	used := l.watchCPU(ctx, from)
	parts := make([]outcome, len(conns))
	failures := make([]error, len(conns))
	var group sync.WaitGroup
	for i, c := range conns {
		// Paced connections take turns.
		var pace pacer
		if l.rate > 0 {
			pace.each = time.Duration(float64(l.connections) / l.rate * float64(time.Second))
			pace.due = start.Add(pace.each * time.Duration(i) / time.Duration(l.connections))
		}
		group.Go(func() { failures[i] = l.work(c, &parts[i], pace, from, until) })
	}
	group.Wait()
	total := &outcome{elapsed: time.Since(from)}
	total.cpu, total.cpuKnown = used()
	for i := range parts {
		if err := failures[i]; err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
		total.requests += parts[i].requests
		total.errors += parts[i].errors
		total.times.add(&parts[i].times)
		if total.first == "" {
			total.first = parts[i].first
		}
	}
	return total, nil
}

// watchCPU reads the server's processor time when the measured part begins; the returned function says how much was used since.
func (l *load) watchCPU(ctx context.Context, from time.Time) func() (time.Duration, bool) {
	if l.cpu == nil {
		return func() (time.Duration, bool) { return 0, false }
	}
	type reading struct {
		used time.Duration
		ok   bool
	}
	begun := make(chan reading, 1)
	go func() {
		t := time.NewTimer(time.Until(from))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		used, ok := l.cpu()
		begun <- reading{used, ok}
	}()
	return func() (time.Duration, bool) {
		before := <-begun
		used, ok := l.cpu()
		return used - before.used, ok && before.ok
	}
}

// A pacer says when the next request of a connection is due; without a distance between them, as soon as the last was answered.
type pacer struct {
	each time.Duration
	due  time.Time
}

// wait waits for the next request and returns from when on its latency counts, and the time. A request that is late because the one before it was
// slow counts from when it was due: a stall must not hide the requests that it held up.
func (p *pacer) wait() (begin, now time.Time) {
	now = time.Now()
	if p.each == 0 {
		return now, now
	}
	due := p.due
	p.due = due.Add(p.each)
	if now.After(due) {
		return due, now
	}
	time.Sleep(due.Sub(now))
	now = time.Now()
	return now, now
}

// work sends requests over one connection until the time is up or all is sent. One request is measured at least, however
// short the time or slow the machine.
func (l *load) work(c net.Conn, out *outcome, pace pacer, from, until time.Time) error {
	var request []byte
	r := caller.NewReader(c)
	for {
		n := l.next.Add(1) - 1
		if l.count > 0 && n >= l.count {
			return nil
		}
		request = l.request(request[:0], n)
		begin, now := pace.wait()
		if !now.Before(until) && out.requests > 0 {
			return nil
		}
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("send a request: %w", err)
		}
		status, body, err := r.Reply()
		if err != nil {
			return fmt.Errorf("read a reply: %w", err)
		}
		end := time.Now()
		if begin.Before(from) || end.After(until) && out.requests > 0 {
			continue
		}
		out.requests++
		out.times.record(end.Sub(begin))
		if status != 200 {
			out.errors++
			if out.first == "" {
				out.first = fmt.Sprintf("%d %s", status, bytes.TrimSpace(body))
			}
		} else if l.answered != nil {
			l.answered(n, end.Sub(begin), body)
		}
	}
}
