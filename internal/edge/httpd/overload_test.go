package httpd_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/edge/httpd"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestOverload is test R18 without a clock: as many requests as may be are held in their operation, and five times as many more come. Those
// are refused, over connections that go on where the body is short, and without a look at bodies that are long; probes go on; and when the
// first have ended, there is room again.
func TestOverload(t *testing.T) {
	t.Parallel()
	const places = 4
	entered, release := make(chan struct{}), make(chan struct{})
	h := newHouse(func(s *httpd.Server) { s.Limits.InFlight = places })
	h.ops.update = func(context.Context) error {
		entered <- struct{}{}
		<-release
		return nil
	}
	handler := h.Handler()
	var held sync.WaitGroup
	for range places {
		held.Go(func() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, sdk("AdminUpdateUserAttributes", update).request(t.Context()))
			want.Equal(t, w.Code, http.StatusOK)
		})
		<-entered
	}
	send := func(c call) (*http.Response, int) {
		r := c.request(t.Context())
		body := &counted{Reader: strings.NewReader(c.body)}
		r.Body = body
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result(), body.n
	}
	for range 5 * places {
		r, read := send(sdk("AdminUpdateUserAttributes", update))
		want.Equal(t, r.StatusCode, http.StatusBadRequest)
		want.Equal(t, text(t, r), `{"__type":"TooManyRequestsException","message":"Rate exceeded"}`)
		want.Equal(t, r.Header.Get("X-Amzn-Errortype"), "TooManyRequestsException:")
		want.Equal(t, r.Header.Get("Connection"), "")
		want.Equal(t, read, len(update))
	}
	r, read := send(sdk("AdminUpdateUserAttributes", update+strings.Repeat(" ", 1<<14)))
	want.Contains(t, text(t, r), "TooManyRequestsException")
	want.Equal(t, r.Header.Get("Connection"), "close")
	want.Equal(t, read, 0)
	r, _ = send(curl(`{"UserPoolId":"` + poolID + `"}`))
	want.Contains(t, text(t, r), `"type":"TooManyRequestsException"`)
	for _, path := range []string{"/healthz", "/readyz"} {
		r, _ := send(call{method: "GET", url: "http://127.0.0.1:9229" + path})
		want.Equal(t, r.StatusCode, http.StatusOK)
	}
	close(release)
	held.Wait()
	go func() { <-entered }()
	r, _ = send(sdk("AdminUpdateUserAttributes", update))
	want.Equal(t, r.StatusCode, http.StatusOK)
	want.Equal(t, len(h.ops.names()), places+1)
}

// TestOverloadLeavesNoPlaceTaken holds that refusals of every kind, and panics, give their place back.
func TestOverloadLeavesNoPlaceTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(func(s *httpd.Server) { s.Limits.InFlight = 1 })
	h.ops.update = func(context.Context) error { panic("of a test") }
	for range 3 {
		for _, c := range []call{sdk("AdminUpdateUserAttributes", update), sdk("AdminGetUser", "{"), sdk("AdminGetUser", "{}"), sdk("NoSuchOperation", "{}")} {
			r := h.send(t, c)
			want.True(t, r.StatusCode >= 400 && r.Header.Get("X-Amzn-Errortype") != "TooManyRequestsException:", "refused for itself: %s", r.Header.Get("X-Amzn-Errortype"))
		}
	}
	want.Equal(t, h.send(t, sdk("ListUserPools", `{"MaxResults":1}`)).StatusCode, http.StatusOK)
}

// TestSlowBodiesTakeNoPlace has more requests under way than may be worked on, none of which has sent its body yet.
func TestSlowBodiesTakeNoPlace(t *testing.T) {
	t.Parallel()
	h := newHouse(func(s *httpd.Server) { s.Limits.InFlight = 1 })
	handler := h.Handler()
	var slow sync.WaitGroup
	body := make(chan struct{})
	defer slow.Wait()
	defer close(body)
	for range 5 {
		reading := make(chan struct{})
		slow.Go(func() {
			r := sdk("ListUserPools", `{"MaxResults":1}`).request(t.Context())
			r.Body, r.ContentLength = &late{announce: reading, wait: body, text: strings.NewReader(`{"MaxResults":1}`)}, 16
			handler.ServeHTTP(httptest.NewRecorder(), r)
		})
		<-reading
	}
	want.Equal(t, h.send(t, sdk("ListUserPools", `{"MaxResults":1}`)).StatusCode, http.StatusOK)
}

// late is a body that comes when it is told to.
type late struct {
	announce, wait chan struct{}
	once           sync.Once
	text           io.Reader
}

func (l *late) Read(p []byte) (int, error) {
	l.once.Do(func() {
		close(l.announce)
		<-l.wait
	})
	return l.text.Read(p)
}

func (l *late) Close() error { return nil }

// TestNoBound has a server without a bound.
func TestNoBound(t *testing.T) {
	t.Parallel()
	h := newHouse(func(s *httpd.Server) { s.Limits.InFlight = -1 })
	want.Equal(t, h.send(t, sdk("ListUserPools", `{"MaxResults":1}`)).StatusCode, http.StatusOK)
}

// TestHostileBodies holds that bodies which nobody means well are refused for little memory, again and again.
func TestHostileBodies(t *testing.T) {
	h := newHouse()
	handler := h.Handler()
	for _, tt := range []struct{ name, body, code string }{
		{"a million members", "{" + strings.Repeat(`"":0,`, 1_000_000) + `"":0}`, "RequestEntityTooLargeException:"},
		{"as many members as fit", "{" + strings.Repeat(`"":0,`, 209_000) + `"":0}`, "SerializationException:"},
		{"as many elements as fit", `{"UserAttributes":[` + strings.Repeat("0,", 500_000) + "0]}", "SerializationException:"},
		{"depth 10,000", strings.Repeat(`{"UserPoolId":`, 10_000) + "0" + strings.Repeat("}", 10_000), "SerializationException:"},
		{"depth 10,000 of lists", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), "SerializationException:"},
		{"one string", `{"UserPoolId":"` + strings.Repeat("a", 1<<20-17) + `"}`, "InvalidParameterException:"},
	} {
		w := httptest.NewRecorder()
		w.Body = nil // its growth is not the server's
		r := sdk("AdminUpdateUserAttributes", tt.body).request(t.Context())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		handler.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		want.Equal(t, w.Header().Get("X-Amzn-Errortype"), tt.code)
		spent := after.TotalAlloc - before.TotalAlloc
		want.True(t, spent < 8<<20, "%s: %d bytes for a refusal", tt.name, spent)
	}
	want.Equal(t, len(h.ops.names()), 0)
}

// TestLongBodies sends bodies of many lengths, one after the other, so that buffers are used again, and each is read to its end.
func TestLongBodies(t *testing.T) {
	t.Parallel()
	h := newHouse()
	sent := 0
	for _, spaces := range []int{0, 1 << 20, 10, 70_000, 64 << 10, 200_000, 1 << 19, 0, 1 << 20} {
		body := update[:len(update)-1] + strings.Repeat(" ", max(0, spaces-len(update))) + "}"
		for _, chunked := range []bool{false, true} {
			r := sdk("AdminUpdateUserAttributes", body).request(t.Context())
			if chunked {
				r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
			}
			want.Equal(t, h.serve(r).StatusCode, http.StatusOK)
			sent++
		}
		want.Equal(t, h.send(t, sdk("AdminUpdateUserAttributes", body[:len(body)-1])).Header.Get("X-Amzn-Errortype"), "SerializationException:")
	}
	want.Equal(t, len(h.ops.names()), sent)
}
