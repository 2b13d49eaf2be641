package httpd

import (
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// name is the operation's, for the log and the metrics: never a text that the caller made up.
func (x *exchange) name() string {
	if x.spec != nil {
		return x.spec.Name
	}
	return ""
}

// record writes the one line about a request. Neither bodies nor messages are in it, since both hold what belongs to
// users. The cause of an internal error is.
func (x *exchange) record(took time.Duration) {
	level := slog.LevelInfo
	if x.cause != nil || x.code == fault.InternalErrorException {
		level = slog.LevelError
		if x.r.Context().Err() != nil { // the caller went away, and the error comes from that
			level = slog.LevelInfo
		}
	}
	ctx := x.r.Context()
	if x.quiet || !x.Log.Enabled(ctx, level) {
		return
	}
	attrs := [...]slog.Attr{
		slog.String("request_id", x.id),
		slog.Int("status", x.status),
		slog.String("remote", x.source),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int("in", x.received),
		slog.Int("out", x.sent),
		{}, {}, {}, {}, {}, {},
	}
	n := 6
	add := func(a slog.Attr) {
		attrs[n] = a
		n++
	}
	if x.spec != nil {
		add(slog.String("operation", x.spec.Name))
	}
	if x.answer != "" {
		add(slog.String("dialect", x.dialect.String()))
	}
	if x.pool != "" {
		add(slog.String("pool", x.pool))
	}
	if x.caller != "" {
		add(slog.String("key", x.caller))
	}
	if x.code != "" {
		add(slog.String("code", string(x.code)))
	}
	if x.cause != nil {
		add(slog.String("cause", x.cause.Error()))
	}
	x.Log.LogAttrs(ctx, level, "request", attrs[:n]...)
}

// LineWriter is a writer that gathers lines and writes them in the background, so that a request does not wait for
// the disk or the terminal. Close writes what is left.
type LineWriter struct {
	to      io.Writer
	mu      sync.Mutex
	room    sync.Cond // signalled when lines were taken
	wake    chan struct{}
	done    chan struct{}
	lines   []byte
	closing bool
	err     error
}

// maxLines is how many bytes wait at most. Beyond it writers wait too: no line is lost to a slow disk.
const maxLines = 1 << 20

// NewLineWriter starts writing to w. Lines are written when the last write is finished, many at once under load.
func NewLineWriter(w io.Writer) *LineWriter {
	l := &LineWriter{to: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.room.L = &l.mu
	go l.run()
	return l
}

// Write takes a line. It reports the error of an earlier write, if there was one.
func (l *LineWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.lines) > maxLines && !l.closing {
		l.room.Wait()
	}
	if l.closing {
		l.mu.Unlock()
		<-l.done
		l.mu.Lock()
		return l.to.Write(line)
	}
	l.lines = append(l.lines, line...)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return len(line), l.err
}

func (l *LineWriter) run() {
	defer close(l.done)
	var batch []byte
	for range l.wake {
		l.mu.Lock()
		batch, l.lines = l.lines, batch[:0]
		l.room.Broadcast()
		l.mu.Unlock()
		if len(batch) == 0 {
			continue
		}
		if _, err := l.to.Write(batch); err != nil {
			l.mu.Lock()
			l.err = err
			l.mu.Unlock()
		}
	}
}

// Close writes what is left. Later lines are written at once.
func (l *LineWriter) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return l.err
	}
	l.closing = true
	l.room.Broadcast()
	l.mu.Unlock()
	close(l.wake)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) > 0 {
		if _, err := l.to.Write(l.lines); err != nil {
			l.err = err
		}
		l.lines = nil
	}
	return l.err
}
