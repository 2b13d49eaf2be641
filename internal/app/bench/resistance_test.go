package bench

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// moody answers in turns: well, with a refusal, with a refusal and the end of the connection, and with something else.
func moody(t *testing.T) (address string, answers *[4]atomic.Uint64) {
	t.Helper()
	answers = new([4]atomic.Uint64)
	var n atomic.Uint64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		mood := n.Add(1) % 4
		answers[mood].Add(1)
		switch mood {
		case 0:
			_, _ = io.WriteString(w, `{}`)
		case 1, 2:
			if mood == 2 {
				w.Header().Set("Connection", "close")
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"TooManyRequestsException","message":"Rate exceeded"}`)
		case 3:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"__type":"InternalErrorException"}`)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), answers
}

func TestFloodCounts(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 2000} {
		address, answers := moody(t)
		var mu sync.Mutex
		var seen [other + 1]uint64
		f := Flood{Address: address, Pool: "p", Users: 3, Operation: "AdminUpdateUserAttributes", Connections: 3, Rate: rate, Duration: 100 * time.Millisecond}
		got, err := f.Run(t.Context(), func(what fate, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			seen[what]++
			want.True(t, took > 0, "an answer takes time")
		})
		want.NoError(t, err)
		want.Equal(t, [3]uint64{got.Good, got.Refused, got.Other}, seen)
		want.True(t, got.Good+got.Refused+got.Other >= 3, "each connection counts: %+v", got)
		// What was answered when the time was up does not count.
		for _, pair := range [][2]uint64{{got.Good, answers[0].Load()}, {got.Refused, answers[1].Load() + answers[2].Load()}, {got.Other, answers[3].Load()}} {
			want.True(t, pair[0] <= pair[1] && pair[0]+3 >= pair[1], "%d of %d answers were counted", pair[0], pair[1])
		}
		if got.Other > 0 {
			want.Equal(t, got.FirstOther, `500 {"__type":"InternalErrorException"}`)
		}
		hungUp := answers[2].Load()
		want.True(t, got.Connects >= hungUp && got.Connects <= hungUp+3, "%d connections for %d that were closed", got.Connects, hungUp)
	}
}

func TestFloodWithoutServer(t *testing.T) {
	t.Parallel()
	address, err := freeAddress(t.Context())
	want.NoError(t, err)
	_, err = (&Flood{Address: address, Pool: "p", Users: 1, Operation: "AdminGetUser", Connections: 1, Duration: time.Millisecond}).Run(t.Context(), nil)
	want.Error(t, err, nil)
	_, err = (&Flood{Operation: "InitiateAuth/SRP"}).Run(t.Context(), nil)
	want.Error(t, err, nil)
}

// A connection that breaks is one answer of another kind, and the next request has a new one.
func TestFloodGoesOnWhenConnectionsBreak(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	want.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_ = c.Close()
		}
	}()
	f := Flood{Address: l.Addr().String(), Pool: "p", Users: 1, Operation: "AdminGetUser", Connections: 1, Duration: 30 * time.Millisecond}
	got, err := f.Run(t.Context(), nil)
	want.NoError(t, err)
	want.True(t, got.Other > 0 && got.Good == 0 && got.Refused == 0 && got.FirstOther != "", "%+v", got)
}

func TestFloodStopsWhenAsked(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	t.Cleanup(s.Close)
	_, err := (&Flood{Address: strings.TrimPrefix(s.URL, "http://"), Pool: "p", Users: 1, Operation: "DescribeUserPool", Connections: 2, Duration: time.Hour}).Run(ctx, nil)
	want.Error(t, err, context.Canceled)
}

// A crowd is as large as it should be, is answered where it asks, and leaves.
func TestCrowdGathersAndLeaves(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	states := map[net.Conn]http.ConnState{}
	var healthy atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			healthy.Add(1)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}))
	gone := make(chan struct{}, 100)
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		states[c] = state
		if state == http.StateClosed {
			gone <- struct{}{}
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	const idle, slow = 6, 4
	c, err := gather(t.Context(), strings.TrimPrefix(s.URL, "http://"), idle, slow)
	want.NoError(t, err)
	want.Equal(t, healthy.Load(), int64(idle))
	want.Equal(t, len(c.conns), idle+slow)
	c.leave()
	for range idle + slow {
		<-gone
	}
	mu.Lock()
	defer mu.Unlock()
	want.Equal(t, len(states), idle+slow)
	want.Equal(t, c.lost.Load(), uint64(0))
}

func TestHostileIsMeasured(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, mebibyte))
		if err == nil && n < 10 {
			_, _ = io.WriteString(w, `{}`)
			return
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, `{"__type":"RequestEntityTooLargeException"}`)
	}))
	t.Cleanup(s.Close)
	address := strings.TrimPrefix(s.URL, "http://")
	chunk := []byte("10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n")
	head := strings.Replace(headOf(address, "AdminGetUser", 7), "Content-Length: 7", "Transfer-Encoding: chunked", 1)
	got, err := refuse(t.Context(), address, os.Getpid(), []byte(head), chunk, true, 3)
	want.NoError(t, err)
	want.Equal(t, got.Answer, "413 RequestEntityTooLargeException")
	want.True(t, got.Times == 3 && got.P50 > 0 && got.Longest >= got.P50 && got.Growth >= 0, "%+v", got)
	want.True(t, got.Sent > mebibyte/2 && got.Sent < gigabyte, "%d bytes were sent", got.Sent)
	// Something that is taken is no hostile body.
	_, err = refuse(t.Context(), address, 0, []byte(headOf(address, "AdminGetUser", 2)), []byte("{}"), false, 1)
	want.Error(t, err, nil)
	if got := members(3); !bytes.Equal(got, []byte(`{"":0,"":0,"":0}`)) {
		t.Errorf("three members are %s", got)
	}
	for i := range hostile {
		h := &hostile[i]
		length := len(h.body())
		want.True(t, h.repeat || length > 10_000, "%s has %d bytes", h.what, length)
		want.True(t, !strings.HasPrefix(h.what, "1 MiB") || length <= mebibyte && length > mebibyte-8, "%s has %d bytes", h.what, length)
	}
}
