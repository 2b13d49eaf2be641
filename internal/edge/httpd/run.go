package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Run serves connections of ln until ctx ends, and returns nil after an orderly stop: /readyz says no, the listener
// stays for Limits.Drain, then takes no more, and requests in flight are finished for up to Limits.Stop. What is not
// finished by then is cut off, which is an error. Closing kill, which may be nil, cuts everything off at once.
//
// With CertFile and KeyFile it speaks TLS, and HTTP/2 where the client can. Without, what programs mostly send goes through the lane.
func (s *Server) Run(ctx context.Context, ln net.Listener, kill <-chan struct{}) error {
	limits := s.Limits.orDefaults()
	gate := newGate(ln, limits.Connections, s.Now)
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: limits.HeaderIn,
		IdleTimeout:       limits.Idle,
		WriteTimeout:      limits.Write,
		MaxHeaderBytes:    limits.Header,
		ConnState:         gate.watch,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug), // what broken clients do is no error of ours
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	var l *lane
	serve := func() error { return srv.Serve(l) }
	if s.CertFile == "" {
		l = newLane(context.WithoutCancel(ctx), gate, srv.Handler, limits, s.Log)
	} else {
		pair, err := loadPair(s.CertFile, s.KeyFile, s.Now)
		if err != nil {
			return errors.Join(err, ln.Close())
		}
		pair.log = s.Log
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.certificate}
		serve = func() error { return srv.ServeTLS(gate, "", "") }
	}
	failed := make(chan error, 1)
	go func() { failed <- serve() }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-kill:
		return cut(srv, gate)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	return s.stop(context.WithoutCancel(ctx), srv, gate, l, limits, kill)
}

// cut ends all connections at once.
func cut(srv *http.Server, g *gate) error {
	err := srv.Close()
	g.dropAll()
	return err
}

// silence is how long a stopping server waits for the first byte of a connection.
const silence = 200 * time.Millisecond

// stop ends a server in order; l is nil without a lane.
func (s *Server) stop(ctx context.Context, srv *http.Server, gate *gate, l *lane, limits Limits, kill <-chan struct{}) error {
	if limits.Drain > 0 {
		linger := time.NewTimer(limits.Drain)
		defer linger.Stop()
		select {
		case <-linger.C:
		case <-kill:
			return cut(srv, gate)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limits.Stop)
	defer cancel()
	finished := make(chan error, 1)
	go func() {
		var err error
		if l != nil {
			err = l.drain(ctx)
		}
		if err == nil {
			err = srv.Shutdown(ctx)
		}
		finished <- err
	}()
	defer time.AfterFunc(silence, gate.dropSilent).Stop()
	select {
	case err := <-finished:
		if err != nil {
			return errors.Join(fmt.Errorf("requests were cut off after %v: %w", limits.Stop, err), cut(srv, gate))
		}
		return nil
	case <-kill:
		return cut(srv, gate)
	}
}

// RunMetrics serves the metrics on a listener of their own until ctx ends.
func (s *Server) RunMetrics(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s.Metrics.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	stop := context.AfterFunc(ctx, func() {
		if err := srv.Close(); err != nil {
			s.Log.Warn("close metrics listener", "cause", err)
		}
	})
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics on %s: %w", ln.Addr(), err)
	}
	return nil
}
