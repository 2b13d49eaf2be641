//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A second server on the file of a running one ends at once and says why. A lock that a dead server left behind is no obstacle.
func TestSecondServerOnSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	first := NewServer(t, program.Path(t), dir, "first", "dev", "--data", data)
	second := NewServer(t, program.Path(t), dir, "second", "dev", "--data", data)
	if _, err := first.Start(); err != nil {
		t.Fatal(err)
	}
	if err := second.launch(); err != nil {
		t.Fatal(err)
	}
	if exit, ok := second.Wait().(*exec.ExitError); !ok {
		t.Fatalf("the second server ended with %v, and should fail\n%s", exit, second.Log())
	}
	said := second.Log()
	for _, part := range []string{"the database is in use by another process", "belongs to the process " + strconv.Itoa(first.PID())} {
		if !strings.Contains(said, part) {
			t.Errorf("the second server does not say %q:\n%s", part, said)
		}
	}
	if n := strings.Count(said, "\n"); n > 1 {
		t.Errorf("the second server says more than two lines:\n%s", said)
	}
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Start(); err != nil {
		t.Errorf("the second server does not start after the first was killed: %v", err)
	}
}

// A server that is asked to end finishes what it has begun: no change is made whose caller gets no answer, and no answer is a failure.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Binary: &program})
	for range Rounds(t, 5) {
		settled := w.Settled
		w.Round("SIGTERM", func() error { return w.StopServer(0) })
		if n := w.Settled - settled; n > 0 {
			t.Fatalf("round %d: %d changes were made whose callers got no answer%s", w.Rounds, n, w.logs())
		}
	}
	w.Finish(nil)
}

// Two servers behind a plain balancer are restarted one after the other, each once the balancer has turned away from it, and no
// caller notices.
func TestRollingRestartOfTwo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := writeKey(key); err != nil {
		t.Fatal(err)
	}
	db := database(t)
	var servers [2]*Server
	for i := range servers {
		servers[i] = NewServer(t, program.Path(t), dir, "server"+strconv.Itoa(i), "dev", "--data", filepath.Join(dir, "data"), "--database", db.DSN("postgres"),
			"--key-file", key, "--drain", "500ms")
		if _, err := servers[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	b := newBalancer(t, servers[:])
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var answered atomic.Int64
	var group sync.WaitGroup
	failures := make(chan string, 1000)
	const callers = 8
	for range callers {
		group.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}} // the balancer deals connections
			for ctx.Err() == nil {
				r := send(client, b.endpoint, "ListUserPools", []byte(`{"MaxResults":1}`))
				if r.err != nil || r.status != http.StatusOK {
					failures <- fmt.Sprintf("%v %d %s", r.err, r.status, r.body)
					return
				}
				answered.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	rounds := Rounds(t, 2)
	for range rounds {
		for i, s := range servers {
			before := answered.Load()
			if err := s.Stop(); err != nil {
				t.Errorf("server %d did not end well: %v", i, err)
			}
			if _, err := s.Start(); err != nil {
				t.Fatal(err)
			}
			if err := await("the balancer to come back", func() (bool, error) { return b.up(i) && answered.Load() > before, nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	group.Wait()
	close(failures)
	failed := 0
	for f := range failures {
		failed++
		t.Errorf("a call failed: %s", f)
	}
	t.Logf("%s: %d restarts, %d calls answered, %d failed", t.Name(), rounds*len(servers), answered.Load(), failed)
}

// balancer deals connections to the servers whose /readyz says yes.
type balancer struct {
	endpoint string
	servers  []*Server
	ready    []atomic.Bool
	next     atomic.Int64
}

func newBalancer(t *testing.T, servers []*Server) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{endpoint: "http://" + l.Addr().String(), servers: servers, ready: make([]atomic.Bool, len(servers))}
	var group sync.WaitGroup
	done := make(chan struct{})
	for i := range servers {
		b.probe(i)
		group.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					b.probe(i)
				case <-done:
					return
				}
			}
		})
	}
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			group.Go(func() { b.pass(c) })
		}
	})
	t.Cleanup(func() {
		close(done)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		group.Wait()
	})
	return b
}

func (b *balancer) up(i int) bool { return b.ready[i].Load() }

// probe asks a server whether it is ready.
func (b *balancer) probe(i int) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(b.servers[i].Endpoint + "/readyz")
	if err == nil {
		_ = resp.Body.Close()
	}
	b.ready[i].Store(err == nil && resp.StatusCode == http.StatusOK)
}

// pass joins a connection to a server that is ready.
func (b *balancer) pass(c net.Conn) {
	defer c.Close()
	first := int(b.next.Add(1))
	for k := range b.servers {
		i := (first + k) % len(b.servers)
		if !b.up(i) {
			continue
		}
		to, err := net.Dial("tcp", strings.TrimPrefix(b.servers[i].Endpoint, "http://"))
		if err != nil {
			continue
		}
		defer to.Close()
		back := make(chan struct{})
		go func() {
			defer close(back)
			_, _ = io.Copy(c, to) // either end closes when it has what it wants
			_ = c.Close()
		}()
		_, _ = io.Copy(to, c)
		_ = to.Close()
		<-back
		return
	}
}

// Callers that send five times what the server can do get answers, or are told to come again; nothing else.
func TestOverload(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Binary: &program})
	w.Call(0, "AdminCreateUser", map[string]string{"UserPoolId": sharedPool, "Username": "overload", "MessageAction": "SUPPRESS"}, nil)
	body, err := json.Marshal(map[string]any{"UserPoolId": sharedPool, "Username": "overload", "UserAttributes": []attribute{{"nickname", "n"}}})
	if err != nil {
		t.Fatal(err)
	}
	phase := time.Duration(Rounds(t, 1)) * 500 * time.Millisecond
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 2000}}
	t.Cleanup(client.CloseIdleConnections)
	call := func() (took time.Duration, r reply) {
		begin := time.Now()
		r = send(client, w.Servers[0].Endpoint, "AdminUpdateUserAttributes", body)
		return time.Since(begin), r
	}
	// What the server can do, with as many callers as are best for it.
	var served atomic.Int64
	var group sync.WaitGroup
	begin := time.Now()
	for range 32 {
		group.Go(func() {
			for time.Since(begin) < phase {
				if _, r := call(); r.status == http.StatusOK {
					served.Add(1)
				}
			}
		})
	}
	group.Wait()
	capacity := float64(served.Load()) / time.Since(begin).Seconds()

	var mu sync.Mutex
	var good, refused []time.Duration
	begin = time.Now()
	sent := 0
	for time.Since(begin) < phase {
		for due := int(time.Since(begin).Seconds() * capacity * 5); sent < due; sent++ {
			group.Go(func() {
				took, r := call()
				mu.Lock()
				defer mu.Unlock()
				switch {
				case r.status == http.StatusOK:
					good = append(good, took)
				case r.code == "TooManyRequestsException":
					refused = append(refused, took)
				default:
					t.Errorf("under load the server answered %d %s %s (%v)", r.status, r.code, r.body, r.err)
				}
			})
		}
		time.Sleep(time.Millisecond)
	}
	group.Wait()
	elapsed := time.Since(begin)
	memory, err := w.Servers[0].ResidentKiB()
	if err != nil {
		t.Fatal(err)
	}
	if len(good) == 0 {
		t.Error("under load nobody was served")
	}
	t.Logf("%s: capacity %.0f/s; of %d calls at %.0f/s %d were served (%.0f/s, p99 %s) and %d told to come again (p99 %s); %d MiB", t.Name(), capacity, sent,
		float64(sent)/phase.Seconds(), len(good), float64(len(good))/elapsed.Seconds(), p99(good), len(refused), p99(refused), memory>>10)
	if memory > 512<<10 {
		t.Errorf("the server holds %d MiB, more than 512", memory>>10)
	}
}

// p99 is the time that 99 of 100 did not exceed.
func p99(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)*99/100].Round(time.Microsecond)
}

// Connections that do nothing, or send a byte now and then, keep nobody from being served.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Binary: &program, Writers: 16})
	address := strings.TrimPrefix(w.Servers[0].Endpoint, "http://")
	idle, slow := 200*Rounds(t, 1), 100*Rounds(t, 1)
	idle, slow = min(idle, 5000), min(slow, 500)
	conns := make([]net.Conn, 0, idle+slow)
	for range idle + slow {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	dripping := conns[:slow]
	request := "POST / HTTP/1.1\r\nHost: " + address + "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
	w.Round("slow clients", func() error {
		for at := range 40 {
			for _, c := range dripping {
				if _, err := c.Write([]byte{request[at]}); err != nil {
					return fmt.Errorf("the server cut off a slow client within the first seconds: %w", err)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	})
	w.Finish(nil)
	t.Logf("%s: %d idle and %d dripping connections", t.Name(), idle, slow)
}
