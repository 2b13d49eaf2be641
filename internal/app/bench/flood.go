package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// A Flood is a load that may ask for more than the server can do. Unlike other loads it expects refusals, counts them, and connects again
// when the server hangs up.
type Flood struct {
	Address     string
	Pool        string // with users made by Fill; the server verifies no signatures
	Users       int
	Operation   string
	Connections int
	// Rate is how many requests a second are due, whatever the server does; a connection sends one as soon as it is due and the one
	// before it is answered. 0: as soon as the one before it is answered.
	Rate     float64
	WarmUp   time.Duration
	Duration time.Duration // of what is counted
}

// Flooded is what came of a flood.
type Flooded struct {
	Good       uint64        `json:"good"`
	Refused    uint64        `json:"refused"` // by TooManyRequestsException
	Other      uint64        `json:"other"`   // answers, and connections that broke
	FirstOther string        `json:"first_other,omitempty"`
	Connects   uint64        `json:"connects"` // connections that were made, from the beginning
	Elapsed    time.Duration `json:"elapsed_ns"`
}

// a second turns a count into a rate.
func (f *Flooded) second(n uint64) float64 { return float64(n) / f.Elapsed.Seconds() }

// fate is what became of a request.
type fate uint8

const (
	good fate = iota
	refused
	other
)

var tooMany = []byte(`"TooManyRequestsException"`)

// fateOf reads a reply.
func fateOf(status int, body []byte) fate {
	switch {
	case status == 200:
		return good
	case status == 400 && bytes.Contains(body, tooMany):
		return refused
	}
	return other
}

// Run sends the flood. seen, which may be nil, is told of each request that counts, by several connections at once, with the time from
// when it was sent to its answer: one that is late because the one before it was slow says nothing about itself.
func (f *Flood) Run(ctx context.Context, seen func(fate, time.Duration)) (*Flooded, error) {
	op := operations[f.Operation]
	if op == nil || op.token || op.client || op.follow != nil {
		return nil, fmt.Errorf("a flood of %s is not possible", f.Operation)
	}
	t := target{address: f.Address, maker: &caller.Maker{Host: f.Address, Credentials: unverified}, about: subject{pool: f.Pool}, users: f.Users}
	var next atomic.Uint64
	r := flooding{Flood: f, load: t.load(f.Operation, f.Connections, &next), seen: seen}
	lines := make([]floodLine, f.Connections)
	for i := range lines {
		if err := r.open(ctx, &lines[i]); err != nil {
			return nil, err
		}
		defer lines[i].close()
	}
	start := time.Now()
	r.from = start.Add(f.WarmUp)
	r.until = r.from.Add(f.Duration)
	var group sync.WaitGroup
	for i := range lines {
		var pace pacer
		if f.Rate > 0 { // connections take turns
			pace.each = time.Duration(float64(f.Connections) / f.Rate * float64(time.Second))
			pace.due = start.Add(pace.each * time.Duration(i) / time.Duration(f.Connections))
		}
		group.Go(func() { r.work(ctx, &lines[i], pace) })
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	out := &Flooded{Good: r.counts[good].Load(), Refused: r.counts[refused].Load(), Other: r.counts[other].Load(), Connects: r.connects.Load(), Elapsed: f.Duration}
	if first := r.first.Load(); first != nil {
		out.FirstOther = *first
	}
	return out, nil
}

// flooding is a flood under way.
type flooding struct {
	*Flood
	load
	seen        func(fate, time.Duration)
	from, until time.Time
	counts      [other + 1]atomic.Uint64
	connects    atomic.Uint64
	first       atomic.Pointer[string]
}

// floodLine is a connection.
type floodLine struct {
	conn   net.Conn // nil: to be made
	reader caller.Reader
	stop   func() bool
}

func (l *floodLine) close() {
	if l.conn == nil {
		return
	}
	l.stop()
	_ = l.conn.Close() // nothing is expected of it any more
	l.conn = nil
}

func (r *flooding) open(ctx context.Context, l *floodLine) error {
	d := net.Dialer{Timeout: 30 * time.Second}
	c, err := d.DialContext(ctx, "tcp", r.Flood.Address)
	if err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	r.connects.Add(1)
	l.conn = c
	l.reader.Reset(c)
	l.stop = context.AfterFunc(ctx, func() { _ = c.Close() }) // unblocks whoever waits for an answer
	return c.SetDeadline(time.Now().Add(r.WarmUp + r.Flood.Duration + 30*time.Second))
}

// work sends requests over one connection until the time is up. One request counts at least, however short the time or slow the machine.
func (r *flooding) work(ctx context.Context, l *floodLine, pace pacer) {
	var request []byte
	for counted := false; ctx.Err() == nil; {
		if counted && pace.each > 0 && pace.due.After(r.until) {
			return
		}
		_, sent := pace.wait()
		if counted && sent.After(r.until) {
			return
		}
		request = r.request(request[:0], r.next.Add(1)-1)
		what, err := r.exchange(ctx, l, request)
		if err != nil {
			l.close()
			r.note(err.Error())
		}
		now := time.Now()
		// What is answered in the time counts, however long ago it was due.
		if now.Before(r.from) || counted && now.After(r.until) {
			continue
		}
		counted = true
		r.counts[what].Add(1)
		if r.seen != nil {
			r.seen(what, now.Sub(sent))
		}
	}
}

func (r *flooding) note(text string) { r.first.CompareAndSwap(nil, &text) }

// exchange sends a request and reads its answer. With an error there was none.
func (r *flooding) exchange(ctx context.Context, l *floodLine, request []byte) (fate, error) {
	if l.conn == nil {
		if err := r.open(ctx, l); err != nil {
			return other, err
		}
	}
	if _, err := l.conn.Write(request); err != nil {
		return other, fmt.Errorf("send a request: %w", err)
	}
	status, body, err := l.reader.Reply()
	if err != nil {
		return other, fmt.Errorf("read a reply: %w", err)
	}
	what := fateOf(status, body)
	if what == other {
		r.note(fmt.Sprintf("%d %s", status, bytes.TrimSpace(body)))
	}
	if l.reader.Last {
		l.close()
	}
	return what, nil
}

// flood runs a flood in a process of its own.
func (p *Program) flood(ctx context.Context, f *Flood) (*Flooded, error) {
	order, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, p.Path, "bench-flood")
	cmd.Env, cmd.Stdin, cmd.Stderr = environment(nil), bytes.NewReader(order), p.Log
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("flood: %w", errors.Join(context.Cause(ctx), err))
	}
	out := new(Flooded)
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("read what the flood counted: %w", err)
	}
	return out, nil
}
