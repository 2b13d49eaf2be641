package httpd

import (
	"log/slog"
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
