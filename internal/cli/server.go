package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/config"
)

// devCommand is `poolhouse dev`.
type devCommand struct {
	config.Config
	configFile
	Ephemeral   bool    `group:"dev" help:"Keep nothing: the database lives in a temporary folder that is removed at the end."`
	AllowRemote bool    `group:"dev" help:"Verify every signature against the printed key, so that --listen may be an address that other machines and containers reach."`
	FixedCode   string  `group:"dev" placeholder:"DIGITS" help:"Send the same code every time by e-mail and SMS: six digits, with 00 behind them where codes have eight."`
	Seed        *uint64 `group:"dev" placeholder:"N" help:"Draw the same ids, keys and codes at every start with the same N. Never for real users."`
}

// Help is the manual's text.
func (*devCommand) Help() string {
	return `The server keeps its database in .poolhouse, listens on 127.0.0.1:9229, and does not check signatures: any access key will do, and the plain dialect needs none. E-mail and SMS go to an inbox, which is a page at /_poolhouse/inbox and JSON for tests.

Examples:
  poolhouse dev
  poolhouse dev --apply pools.yaml --ephemeral
  poolhouse dev --listen 127.0.0.1:0 --ready-file ready.json     for tests: a free port, and a file that says which
  poolhouse dev --listen 0.0.0.0:9229 --allow-remote             for containers: signatures are verified`
}

// Run starts the server.
func (c *devCommand) Run(ctx context.Context, i *invocation, s Streams) error {
	if _, err := i.settle(c, c.ConfigFile); err != nil {
		return err
	}
	o := app.Options{Config: c.Config, Dev: true, Ephemeral: c.Ephemeral, AllowRemote: c.AllowRemote, Seed: c.Seed, FixedCode: c.FixedCode, Log: s.Err}
	return serve(ctx, o, s, func(a *app.App) error { return a.WriteIntroduction(s.Out) })
}

// serveCommand is `poolhouse serve`.
type serveCommand struct {
	config.Config
	configFile
}

// Help is the manual's text.
func (*serveCommand) Help() string {
	return `Every request must prove who sends it, by a SigV4 signature or a bearer key that 'poolhouse keys create' made. On an address that other machines reach, the server starts only with such a key, with TLS or --behind-proxy, and with a key-encryption key that you provide (--key-file or POOLHOUSE_KEY).

Examples:
  poolhouse keys create --data /var/lib/poolhouse --name terraform
  poolhouse serve --config /etc/poolhouse.yaml
  POOLHOUSE_DATABASE_FILE=/run/secrets/database poolhouse serve --listen 0.0.0.0:9229 --behind-proxy --key-file /run/secrets/key

SIGTERM ends it: requests that have begun are finished, no new ones are taken. A second SIGTERM ends it at once.`
}

// Run starts the server.
func (c *serveCommand) Run(ctx context.Context, i *invocation, s Streams) error {
	if _, err := i.settle(c, c.ConfigFile); err != nil {
		return err
	}
	return serve(ctx, app.Options{Config: c.Config, Log: s.Err}, s, func(a *app.App) error {
		_, err := fmt.Fprintf(s.Out, "Poolhouse answers on %s\n", a.Endpoint())
		return err
	})
}

// collectAt is the growth of the heap, in percent, after which garbage is collected. The heap is small, a few megabytes,
// so that Go's own 100 collects hundreds of times a second under load; this is a tenth less processor time for ten
// megabytes more. GOGC in the environment overrides it.
const collectAt = 300

// waiting is how many goroutines wait for the disk most of the time: the writer of the SQLite file. It holds a processor of Go's scheduler
// meanwhile, which is taken away only after some time, so there is one more of those than cores. With one core that is the difference
// between 2,000 and 10,000 updates a second. GOMAXPROCS in the environment overrides it.
const waiting = 1

// settled is when the start is over, so that the memory that only it has needed can go back: a megabyte of thirty.
const settled = time.Second

// serve runs a server until a signal ends it or its database fails.
func serve(ctx context.Context, o app.Options, s Streams, greet func(*app.App) error) (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	a, err := app.New(ctx, o)
	if err != nil {
		return explain(err, o.Config.Listen)
	}
	defer func() {
		if closed := a.Close(); err == nil {
			err = closed
		}
	}()
	if os.Getenv("GOMAXPROCS") == "" { // not before New: what computes takes turns by the number of cores
		cores := runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(cores + waiting)
		defer runtime.GOMAXPROCS(cores)
	}
	// From the first signal on, the next one has the system's meaning: it ends the process at once.
	context.AfterFunc(ctx, stop)
	defer time.AfterFunc(settled, debug.FreeOSMemory).Stop()
	return a.Run(ctx, func() error { return greet(a) })
}

// explain adds what to do next to the errors of a start that have a usual cause.
func explain(err error, listen string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		next := "Choose another with --listen, such as --listen 127.0.0.1:9230, or --listen 127.0.0.1:0 for any free port."
		if strings.HasSuffix(listen, ":9229") {
			next += " (9229 is also the port of Node's debugger.)"
		}
		return &hint{fmt.Errorf("another program listens on %s already", listen), next}
	case errors.Is(err, syscall.EACCES) && strings.Contains(err.Error(), "listen"):
		return &hint{fmt.Errorf("this user may not listen on %s", listen), "Choose a port from 1024 on with --listen."}
	}
	return err
}

// lines writes each text on a line of its own.
func lines(w io.Writer, texts ...string) error {
	_, err := io.WriteString(w, strings.Join(texts, "\n")+"\n")
	return err
}
