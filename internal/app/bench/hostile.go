package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// Hostile is a body that nobody sends who means well.
type Hostile struct {
	What     string        `json:"what"`
	Times    int           `json:"times"`
	Answer   string        `json:"answer"`
	P50      time.Duration `json:"p50_ns"`
	Longest  time.Duration `json:"longest_ns"`
	Sent     int64         `json:"bytes_sent"`                      // most of all times, until the refusal was here
	Growth   int64         `json:"resident_growth_bytes,omitempty"` // most of all times, from before one to its refusal
	Measured bool          `json:"resident_measured"`
}

const (
	gigabyte = 1 << 30
	mebibyte = 1 << 20
	// hostileTimes is how often each body is sent.
	hostileTimes = 20
)

// hostile are the bodies: what they are called, and what is sent behind the head. Where repeat is true the body goes on until it has the
// length, or the server has heard enough.
var hostile = []struct {
	what    string
	length  int // announced; 0: in chunks
	body    func() []byte
	repeat  bool
	chunked bool
}{
	{what: "1 GB, announced", length: gigabyte, body: func() []byte { return bytes.Repeat([]byte{' '}, 64<<10) }, repeat: true},
	{what: "1 GB, in chunks", body: func() []byte { return []byte("10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n") }, repeat: true, chunked: true},
	{what: "1,000,000 members", body: func() []byte { return members(1_000_000) }},
	{what: "1 MiB full of members", body: func() []byte { return members((mebibyte - 1) / 5) }},
	{what: "depth 10,000", body: func() []byte { return []byte(strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)) }},
	{what: "1 MiB, a string", body: func() []byte { return []byte(`{"UserPoolId":"` + strings.Repeat("a", mebibyte-17) + `"}`) }},
}

// members is an object of n members.
func members(n int) []byte {
	text := append([]byte("{"), bytes.Repeat([]byte(`"":0,`), n)...)
	text[len(text)-1] = '}'
	return text
}

// hostiles measures how bodies are refused.
func (r *runner) hostiles(ctx context.Context) error {
	f := r.places[r.Users]
	return r.with(ctx, f, func(s *Server) error {
		r.say("hostile bodies")
		for i := range hostile {
			h := &hostile[i]
			body := h.body()
			head := headOf(s.Address, "AdminUpdateUserAttributes", max(h.length, len(body)))
			if h.chunked {
				head = strings.Replace(head, fmt.Sprintf("Content-Length: %d", len(body)), "Transfer-Encoding: chunked", 1)
			}
			got, err := refuse(ctx, s.Address, s.PID, []byte(head), body, h.repeat, hostileTimes)
			if err != nil {
				return fmt.Errorf("%s: %w", h.what, err)
			}
			got.What = h.what
			r.suite.Hostile = append(r.suite.Hostile, *got)
		}
		return nil
	})
}

// refuse sends a body again and again, each time over a connection of its own, and measures how it is refused.
func refuse(ctx context.Context, address string, pid int, head, body []byte, repeat bool, times int) (*Hostile, error) {
	out := &Hostile{Times: times}
	var took histogram
	for range times {
		watch := watchMemory(pid)
		begin := time.Now()
		reply, sent, err := throw(ctx, address, head, body, repeat)
		took.record(time.Since(begin))
		growth, known := watch.end()
		out.Growth, out.Measured = max(out.Growth, growth), known
		if err != nil {
			return nil, err
		}
		answer := fmt.Sprintf("%d %s", reply.Status, reply.Refusal().Code)
		if reply.OK() || out.Answer != "" && out.Answer != answer {
			return nil, fmt.Errorf("it was answered by %s, and before by %s", answer, out.Answer)
		}
		out.Answer, out.Sent = answer, max(out.Sent, sent)
	}
	out.P50, out.Longest = took.quantile(0.5), took.quantile(1)
	return out, nil
}

// throw sends a body over a new connection until the server answers, and says how much of it went out.
func throw(ctx context.Context, address string, head, body []byte, repeat bool) (reply caller.Reply, sent int64, err error) {
	d := net.Dialer{Timeout: 30 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return reply, 0, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // unblocks both sides
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return reply, 0, errors.Join(err, conn.Close())
	}
	written := make(chan int64, 1)
	go func() {
		var total int64
		defer func() { written <- total }()
		if _, err := conn.Write(head); err != nil {
			return // the server has heard enough, and whether it answers is what counts
		}
		for {
			n, err := conn.Write(body)
			total += int64(n)
			if err != nil || !repeat || total >= gigabyte {
				return
			}
		}
	}()
	reply.Status, reply.Body, err = caller.NewReader(conn).Reply()
	err = errors.Join(err, conn.Close())
	return reply, <-written, err
}

// memory watches what a process holds.
type memory struct {
	before uint64
	most   uint64 // to be read when ended
	stop   chan struct{}
	ended  chan struct{}
}

func watchMemory(pid int) *memory {
	m := &memory{before: Resident(pid), stop: make(chan struct{}), ended: make(chan struct{})}
	m.most = m.before
	go func() {
		defer close(m.ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-m.stop:
				m.most = max(m.most, Resident(pid))
				return
			case <-tick.C:
				m.most = max(m.most, Resident(pid))
			}
		}
	}()
	return m
}

// end says how much more the process held than at the beginning, and whether that could be seen.
func (m *memory) end() (growth int64, known bool) {
	close(m.stop)
	<-m.ended
	return int64(m.most - m.before), m.before > 0
}
