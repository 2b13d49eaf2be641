//go:build unix

// Command pgrun runs a command with a throw-away PostgreSQL server beside it, as in `pgrun go test ./...`.
//
// The command finds the server in the environment variable of package pgtest. The server ends with the command, and the exit status
// is the command's. With -durable the server writes to the disk as in production, which tests can do without and measurements cannot.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
)

func main() {
	durable := flag.Bool("durable", false, "write to the disk as in production")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: pgrun [-durable] COMMAND [ARGUMENT]...") }
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	err := run(pgtest.Options{Durable: *durable}, flag.Arg(0), flag.Args()[1:])
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "pgrun:", err)
		os.Exit(1)
	}
}

func run(o pgtest.Options, name string, args []string) error {
	server, err := pgtest.Start(o)
	if err != nil {
		return err
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), pgtest.EnvDSN+"="+server.DSN("postgres"))

	// A signal is the command's business first: pass it on, wait for the command, then stop the server.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		return errors.Join(err, server.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
				fmt.Fprintln(os.Stderr, "pgrun:", err)
			}
		case err := <-ended:
			if closed := server.Close(); err == nil {
				err = closed
			}
			return err
		}
	}
}
