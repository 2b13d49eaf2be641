//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// KillServer ends a server as a crash would and starts it again.
func (w *World) KillServer(i int) error {
	if err := w.Servers[i].Kill(); err != nil {
		return err
	}
	return w.restart(i)
}

// StopServer ends a server as a service manager does and starts it again.
func (w *World) StopServer(i int) error {
	if err := w.Servers[i].Stop(); err != nil {
		return err
	}
	return w.restart(i)
}

func (w *World) restart(i int) error {
	took, err := w.Servers[i].Start()
	w.Ready = append(w.Ready, took)
	return err
}

// PauseServer freezes a server for a while, as a machine does that swaps or moves.
func (w *World) PauseServer(i int, d time.Duration) error {
	if err := w.Servers[i].Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(d)
	return w.Servers[i].Signal(syscall.SIGCONT)
}

// MoveClock moves the clock of a development server.
func (w *World) MoveClock(i int, by time.Duration) error {
	w.AllTime = true
	resp, err := w.client.Post(w.Servers[i].Endpoint+"/_poolhouse/clock", "application/json", strings.NewReader(`{"advance":"`+by.String()+`"}`))
	if err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		return fmt.Errorf("move the clock: %s %s (%v)", resp.Status, text, err)
	}
	return nil
}

// Gate is a way to another server that can be shut.
type Gate struct {
	Address string

	listener net.Listener
	target   string
	mu       sync.Mutex
	state    GateState
	conns    map[net.Conn]bool
	group    sync.WaitGroup
}

// GateState is what a gate does with connections.
type GateState int

// The states of a gate.
const (
	Open   GateState = iota // it passes everything on
	Silent                  // it takes connections and says nothing
	Shut                    // it closes connections at once
)

// NewGate makes an open gate to an address.
func NewGate(tb testing.TB, target string) *Gate {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g := &Gate{Address: l.Addr().String(), listener: l, target: target, conns: map[net.Conn]bool{}}
	g.group.Go(g.accept)
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
		g.Set(Shut)
		g.group.Wait()
	})
	return g
}

// Set puts the gate into a state. Connections that are through are cut unless it opens.
func (g *Gate) Set(s GateState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = s
	if s == Open {
		return
	}
	for c := range g.conns {
		_ = c.Close() // its end is what is wanted
	}
}

// keep remembers a connection, and returns what is to be done with it.
func (g *Gate) keep(c net.Conn) GateState {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != Shut {
		g.conns[c] = true
	}
	return g.state
}

func (g *Gate) drop(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
	_ = c.Close() // it may be closed already
}

func (g *Gate) accept() {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		switch g.keep(c) {
		case Shut:
			_ = c.Close() // as a port with nobody behind it
		case Silent:
			g.group.Go(func() {
				defer g.drop(c)
				_, _ = io.Copy(io.Discard, c) // until the other side gives up
			})
		case Open:
			g.group.Go(func() { g.pass(c) })
		}
	}
}

// pass joins a connection to one of its own.
func (g *Gate) pass(c net.Conn) {
	defer g.drop(c)
	to, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	g.keep(to)
	defer g.drop(to)
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(c, to) // either end may be cut
		_ = c.Close()
	}()
	_, _ = io.Copy(to, c)
	_ = to.Close()
	<-back
}

// riddles is the ARN of the function of custom sign-ins, and riddleAnswer what it wants to hear.
const (
	riddles      = "arn:aws:lambda:us-east-1:000000000000:function:riddles"
	riddleAnswer = "sesame"
)

// NewRiddles starts the function of custom sign-ins, which asks one riddle, and returns its URL.
func NewRiddles(tb testing.TB) string {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var event struct {
			TriggerSource string `json:"triggerSource"`
			Request       struct {
				Session []struct {
					Result bool `json:"challengeResult"`
				} `json:"session"`
				Private map[string]string `json:"privateChallengeParameters"`
				Answer  string            `json:"challengeAnswer"`
			} `json:"request"`
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			return // the server was killed
		}
		response := map[string]any{}
		switch source, _, _ := strings.Cut(event.TriggerSource, "_"); source {
		case "DefineAuthChallenge":
			asked := len(event.Request.Session) > 0
			right := asked && event.Request.Session[0].Result
			response = map[string]any{"issueTokens": right, "failAuthentication": asked && !right, "challengeName": "CUSTOM_CHALLENGE"}
		case "CreateAuthChallenge":
			response["privateChallengeParameters"] = map[string]string{"answer": riddleAnswer}
		case "VerifyAuthChallengeResponse":
			response["answerCorrect"] = event.Request.Answer == event.Request.Private["answer"]
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"response": response}) // whoever was killed misses it
	}))
	tb.Cleanup(server.Close)
	return server.URL
}

// Hook is an HTTP hook that gives the default message, after a pause.
type Hook struct {
	URL   string
	pause atomic.Int64
}

// NewHook starts a hook.
func NewHook(tb testing.TB) *Hook {
	h := &Hook{}
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	h.URL = server.URL
	return h
}

// Slow makes the hook wait before it answers.
func (h *Hook) Slow(d time.Duration) { h.pause.Store(int64(d)) }

// ServeHTTP sends the event back, whose response is empty.
func (h *Hook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	event, err := io.ReadAll(r.Body)
	if err != nil {
		return // the server was killed
	}
	pause := time.NewTimer(time.Duration(h.pause.Load()))
	defer pause.Stop()
	select {
	case <-pause.C:
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(event) // whoever was killed misses it
	case <-r.Context().Done():
	}
}
