//go:build unix

// Command pgrun runs a command with a throw-away PostgreSQL server beside it, as in `pgrun go test ./...`.
//
// The command finds the server in the environment variable of package pgtest. The server ends with the command, and the exit status
// is the command's.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: pgrun COMMAND [ARGUMENT]...")
		os.Exit(2)
	}
	err := run(os.Args[1], os.Args[2:])
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

func run(name string, args []string) error {
	server, err := pgtest.Start(pgtest.Options{})
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
