package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// pump reads the body into the buffer, to its end or to one byte beyond limit. The body has some seconds to begin and
// must then keep a least rate, so that slow senders cannot hold connections; the connection's deadline is what ends
// them, and it is taken off again for the operation, which has its own time.
func (x *exchange) pump(limit int64) error {
	control := http.NewResponseController(x.w)
	deadline := func(t time.Time) error {
		if err := control.SetReadDeadline(t); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return fmt.Errorf("set read deadline: %w", err)
		}
		return nil
	}
	begun := x.start
	if err := deadline(x.Now().Add(x.limits.BodyGrace)); err != nil {
		return err
	}
	if n := x.r.ContentLength; n > 0 { // a promise of many bytes is not believed before some of them are here
		x.buf.in = slices.Grow(x.buf.in, int(min(n, keep)))
	}
	body := x.buf.in
	defer func() { x.buf.in = body }()
	for int64(len(body)) != x.r.ContentLength {
		if len(body) == cap(body) {
			body = x.grow(body, limit)
		}
		room := body[len(body):min(int64(cap(body)), limit+1)]
		n, err := x.r.Body.Read(room)
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) || int64(len(body)) > limit {
			break
		}
		if err != nil {
			return err
		}
		due := begun.Add(x.limits.BodyGrace + time.Duration(len(body))*time.Second/time.Duration(x.limits.BodyRate))
		if now := x.Now(); now.After(due) {
			return context.DeadlineExceeded
		} else if now.Sub(begun) > x.limits.BodyGrace/2 {
			if err := deadline(due); err != nil {
				return err
			}
		}
	}
	return deadline(time.Time{})
}

// grow makes room in a full buffer. Bodies that are longer than keep get a buffer which holds any of them: they are rare, and growing
// step by step would leave several times their length behind.
func (x *exchange) grow(body []byte, limit int64) []byte {
	if len(body) < keep {
		return slices.Grow(body, max(512, len(body)))
	}
	large, ok := x.largeBuffers.Get().(*[]byte)
	if !ok || int64(cap(*large)) <= limit {
		made := make([]byte, 0, limit+1)
		large = &made
	}
	x.buf.small = body
	return append((*large)[:0], body...)
}
