//go:build linux

// Package chaos starts real servers from the built program, puts them under load from another process, breaks things, and checks that
// nothing was lost, doubled or left half done.
//
// Four parts, each in its file:
//
//   - server.go starts, stops, pauses and kills servers.
//   - load.go is the load, a process of its own: writers that call the operations of the table in operation.go, and an append-only
//     log (line.go) of what was begun and how it was answered.
//   - nemesis.go is what goes wrong: kill -9, SIGSTOP, a restarted database, a dead mail server, a clock that jumps.
//   - check.go compares the log with the database and with what the API says.
//
// A new operation joins by a row in the table: what it is called with, and which fields of which object its success changes
// (model.go). All else follows.
//
// The environment sets the size: CHAOS_ROUNDS for the rounds of each test, CHAOS_WRITERS for the callers, CHAOS_USERS for users that
// lie about. CHAOS_SEED makes the decisions of a failed run again, whose seed is printed. CHAOS_BINARY names a program that was built
// before. Times are printed, and held to their bars only where CHAOS_TIMES is set, which also lengthens the rounds.
//
// Everything happens on 127.0.0.1 and ends with the test.
package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// The environment variables that set the size of a run.
const (
	EnvRounds  = "CHAOS_ROUNDS"
	EnvWriters = "CHAOS_WRITERS"
	EnvSeed    = "CHAOS_SEED"
	EnvUsers   = "CHAOS_USERS"
	EnvBinary  = "CHAOS_BINARY"
	EnvTimes   = "CHAOS_TIMES"
)

// patience bounds every wait for something that must happen, on a machine that has much else to do.
const patience = 90 * time.Second

// number reads a number from the environment; otherwise is what counts when it is not set.
func number(tb testing.TB, name string, otherwise int) int {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		tb.Fatalf("%s is %q, which is not a number above 0", name, text)
	}
	return n
}

// Rounds is how many rounds a test runs: CHAOS_ROUNDS, or else what `make test` can afford.
func Rounds(tb testing.TB, otherwise int) int { return number(tb, EnvRounds, otherwise) }

// Timed reports whether figures are held to their bars, which only makes sense on a machine that does nothing else.
func Timed() bool { return os.Getenv(EnvTimes) != "" }

// seed draws the seed of a run, or reads it from the environment, and says it.
func seed(tb testing.TB) uint64 {
	tb.Helper()
	s := rand.Uint64()
	if text := os.Getenv(EnvSeed); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			tb.Fatalf("%s is %q, which is not a number", EnvSeed, text)
		}
	}
	tb.Logf("%s=%d makes these decisions again", EnvSeed, s)
	return s
}

// random returns a source of decisions for one part of a run.
func random(seed, part uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, part)) }

// between draws a duration.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// await asks a condition until it holds, or gives up after a time in which it should have held long ago.
func await(what string, holds func() (bool, error)) error {
	late := time.Now().Add(patience)
	for {
		ok, err := holds()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("waited %s in vain for %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
