// Package app is the composition root: it opens the store, puts the services, the adapters and the edge together by hand (wire.go),
// and runs the server from its start to a graceful end. What operators do beside the API is here too: keys and the journal, on the
// database itself or through the control socket of the server that has it, the file of --apply, and the doctor.
//
// Rules about users and pools are in internal/domain, operations in internal/service/ops; how commands are spelled is next door in
// internal/cli.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/service/console"
)

// Options say what server to make.
type Options struct {
	Config config.Config
	// Dev makes a server for development: signatures are not checked, there is an inbox, and the clock can be moved.
	Dev bool
	// Ephemeral keeps nothing. Dev only.
	Ephemeral bool
	// AllowRemote verifies signatures against the development key. Dev only.
	AllowRemote bool
	// Seed makes ids, keys and codes the same at every start; nil: they come from the system. Dev only.
	Seed *uint64
	// FixedCode is what all codes by e-mail and SMS are; "": they are drawn. Dev only.
	FixedCode string
	// Log receives the log.
	Log io.Writer

	fault func(context.Context, sqlstore.Stage) error // of tests: see sqlstore.Options
}

// finishLimit is how long a stopping server waits for requests that have begun.
const finishLimit = 30 * time.Second

// App is a server. New opens everything, Run serves, Close releases.
type App struct {
	o    Options
	log  *slog.Logger
	real clock.Clock
	parts

	folder   string // the data folder
	listener net.Listener
	metrics  net.Listener // nil: none
	control  *control     // nil: the database takes several processes
	closers  []func() error
}

// New opens the database and everything around it, applies the file of --apply, and listens. Nothing is served before Run.
func New(ctx context.Context, o Options) (*App, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	a := &App{o: o, real: clock.System(), log: newLogger(&o)}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// check refuses options that would make an unsafe or senseless server.
func (o *Options) check() error {
	c := &o.Config
	if err := c.Check(); err != nil {
		return err
	}
	if o.Ephemeral && c.Postgres() {
		return errors.New("a server on PostgreSQL keeps what it stores: leave out --ephemeral or the database")
	}
	if o.FixedCode != "" && !console.ValidCode(o.FixedCode) {
		return errors.New("fixed-code: give six digits, such as 123456")
	}
	if !o.Dev {
		if o.Ephemeral || o.AllowRemote || o.Seed != nil || o.FixedCode != "" {
			return errors.New("ephemeral, allow-remote, seed and fixed-code are for dev alone")
		}
		if !c.Loopback() && c.TLSCert == "" && !c.BehindProxy {
			return fmt.Errorf("listening on %s without TLS would send passwords in the clear: set --tls-cert and --tls-key, or --behind-proxy when a proxy in front ends TLS", c.Listen)
		}
		if !c.Loopback() && c.KeyFile == "" && c.Key.IsZero() {
			return errors.New("a server for other machines wants a key-encryption key of yours: set --key-file or POOLHOUSE_KEY, for instance to the output of 'openssl rand -hex 32'")
		}
		return nil
	}
	if !c.Loopback() && !o.AllowRemote {
		return fmt.Errorf("a development server believes everybody, so it does not listen on %s, which other machines reach: add --allow-remote to have signatures verified, or listen on 127.0.0.1", c.Listen)
	}
	return nil
}

func newLogger(o *Options) *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	h := &slog.HandlerOptions{Level: levels[o.Config.LogLevel]}
	if o.Config.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(o.Log, h))
	}
	return slog.New(slog.NewTextHandler(o.Log, h))
}

func (a *App) open(ctx context.Context) error {
	c := &a.o.Config
	a.folder = c.Data
	// A file that a killed server left behind would tell whoever waits for it of a server that is not there.
	if err := removeIfThere(c.ReadyFile); err != nil {
		return fmt.Errorf("remove the old ready file: %w", err)
	}
	if a.o.Ephemeral {
		folder, err := os.MkdirTemp("", "poolhouse-") // mode 0700
		if err != nil {
			return fmt.Errorf("make a temporary data folder: %w", err)
		}
		a.folder = folder
		a.closers = append(a.closers, func() error { return os.RemoveAll(folder) })
	} else if err := privateFolder(a.folder); err != nil {
		return err
	}
	if err := a.wire(ctx); err != nil {
		return err
	}
	if !a.o.Dev {
		keys, err := a.desk.Keys(ctx)
		if err != nil {
			return err
		}
		if len(keys) == 0 && !c.Loopback() {
			return errors.New("there is no access key, so nobody could call this server: make one with 'poolhouse keys create'")
		}
		if len(keys) == 0 {
			a.log.Warn("there is no access key, so nobody can call: make one with 'poolhouse keys create'")
		}
	}
	if err := a.applyFile(ctx); err != nil {
		return err
	}
	if !c.Postgres() {
		var err error
		if a.control, err = startControl(ctx, a.folder, a.desk, a.log); err != nil {
			return err
		}
		a.closers = append(a.closers, a.control.close)
	}
	var lc net.ListenConfig
	var err error
	if a.listener, err = lc.Listen(ctx, "tcp", c.Listen); err != nil {
		return err
	}
	a.closers = append(a.closers, ignoreClosed(a.listener))
	a.messages.Base = strings.TrimRight(cmp.Or(c.PublicURL, a.Endpoint()), "/")
	if a.tokens.Base == "" {
		a.tokens.Base = a.messages.Base
	}
	a.tokens.Base = strings.TrimRight(a.tokens.Base, "/")
	if c.MetricsListen != "" {
		if a.metrics, err = lc.Listen(ctx, "tcp", c.MetricsListen); err != nil {
			return fmt.Errorf("listen for metrics: %w", err)
		}
		a.closers = append(a.closers, ignoreClosed(a.metrics))
	}
	return nil
}

// applyFile applies the file of --apply, if there is one.
func (a *App) applyFile(ctx context.Context) error {
	if a.o.Config.Apply == "" {
		return nil
	}
	apply := applier{pipeline: a.operator(), chance: a.chance, region: a.o.Config.Region}
	return apply.applyFile(ctx, a.o.Config.Apply)
}

// removeIfThere removes a file; no file, or no name of one, is fine.
func removeIfThere(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ignoreClosed closes a listener that its server may have closed before.
func ignoreClosed(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// Close releases everything, in the reverse order of opening.
func (a *App) Close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// Endpoint is the URL of the server for clients on this machine.
func (a *App) Endpoint() string {
	scheme := "http://"
	if a.o.Config.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + reachable(a.listener.Addr())
}

// reachable turns the address of a listener on all interfaces into one that a client on this machine can use.
func reachable(addr net.Addr) string {
	t, ok := addr.(*net.TCPAddr)
	if !ok || !t.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(t.Port))
}

// Ready describes the server to programs.
func (a *App) Ready() Ready {
	r := Ready{Endpoint: a.Endpoint(), Region: a.o.Config.Region, PID: os.Getpid(), Data: a.folder}
	if a.metrics != nil {
		r.Metrics = "http://" + reachable(a.metrics.Addr()) + "/metrics"
	}
	if a.o.Dev {
		r.AccessKeyID, r.SecretAccessKey, r.Inbox = a.dev.ID, a.dev.Secret, r.Endpoint+"/_poolhouse/inbox"
		if a.o.AllowRemote {
			r.Bearer = a.dev.Token
		}
	}
	return r
}
