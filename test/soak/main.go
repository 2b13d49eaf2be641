//go:build linux

// Command soak runs a server under half of the load it can bear for a long time, and fails if its memory, its goroutines or its open
// files grow, or if any request fails. `make soak` runs it, on a machine that does nothing else.
//
// It first measures how much the server can bear. Then it looks at the server every few seconds, between two stretches of load,
// when its connections are closed and nothing is on its way: what is left then was left behind. What happened in the first tenth of the
// time does not count: caches fill, and the Go runtime learns how much memory it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/bench"
)

// options say how long and how hard.
type options struct {
	binary      string
	folder      string // in which the database's folder is made
	length      time.Duration
	every       time.Duration
	capacity    time.Duration // for how long the capacity is measured
	users       int
	connections int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "./poolhouse", "the program")
	flag.StringVar(&o.folder, "folder", "", "folder on the disk to use; the system's for temporary files if empty")
	flag.DurationVar(&o.length, "for", time.Hour, "how long")
	flag.DurationVar(&o.every, "every", 10*time.Second, "time between two looks at the server")
	flag.DurationVar(&o.capacity, "capacity", 30*time.Second, "for how long to measure what the server can bear")
	flag.IntVar(&o.users, "users", 100_000, "how many users")
	flag.IntVar(&o.connections, "connections", 64, "how many connections")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	samples, err := run(ctx, o, os.Stdout)
	if err == nil {
		err = judge(samples, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run makes a server, puts it under load, and returns what it saw.
func run(ctx context.Context, o options, out io.Writer) (samples []sample, err error) {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(o.folder, "poolhouse-soak-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	program, place := &bench.Program{Path: binary, Log: os.Stderr}, bench.Place{Folder: folder}
	pool, err := program.Fill(ctx, place, o.users)
	if err != nil {
		return nil, err
	}
	// The least cache is full before the trend is judged. A greater one fills for most of an hour, which is not a leak.
	server, err := program.Start(ctx, place, "--metrics-listen", "127.0.0.1:0", "--cache", "32")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	load := bench.NewSteady(server, pool, o.users, o.connections)
	most, err := load.Run(ctx, o.capacity, 0)
	if err != nil {
		return nil, err
	}
	if most.Errors > 0 {
		return nil, fmt.Errorf("%d requests failed: %s", most.Errors, most.FirstError)
	}
	fmt.Fprintf(out, "%d users, %d connections; the server bears %.0f requests a second, so it gets %.0f for %s\n", o.users, o.connections, most.Rate, most.Rate/2, o.length)
	fmt.Fprintln(out, "    minute  memory MB  goroutines  files  req/s  p50 ms  p99 ms")
	for start := time.Now(); time.Since(start) < o.length; {
		s, err := stretch(ctx, load, server, most.Rate/2, o.every)
		if err != nil {
			return nil, err
		}
		s.at = time.Since(start)
		samples = append(samples, s)
		fmt.Fprintf(out, "%10.1f %10.1f %11.0f %6.0f %6.0f %7.2f %7.2f\n", s.at.Minutes(), s.memory, s.goroutines, s.files, s.window.Rate,
			s.window.P50.Seconds()*1e3, s.window.P99.Seconds()*1e3)
		if s.window.Errors > 0 {
			return nil, fmt.Errorf("%d requests failed: %s", s.window.Errors, s.window.FirstError)
		}
	}
	return samples, nil
}

// rest is how long the server has, after a stretch, to see that connections are closed and to finish what it does behind answers.
const rest = time.Second

// stretch sends load for a while and looks at the server afterwards.
func stretch(ctx context.Context, load *bench.Steady, server *bench.Server, rate float64, duration time.Duration) (sample, error) {
	window, err := load.Run(ctx, duration, rate)
	if err != nil {
		return sample{}, err
	}
	time.Sleep(rest)
	s, err := look(ctx, server)
	s.window = *window
	return s, err
}
