//go:build linux

package chaos

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
)

// database starts a PostgreSQL server that writes to the disk as in production, since these tests kill it.
func database(t *testing.T) *pgtest.Server {
	t.Helper()
	s, err := pgtest.Start(pgtest.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A crash of the server loses nothing on PostgreSQL either.
func TestKill9Postgres(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Binary: &program, DSN: database(t).DSN("postgres")})
	w.Fill(2000)
	for range Rounds(t, 50) {
		w.Round("kill -9", func() error { return w.KillServer(0) })
	}
	w.Finish(nil)
}

// Nor does it in the middle of sign-ins.
func TestKill9SignInsPostgres(t *testing.T) {
	t.Parallel()
	killSignIns(New(t, Options{Binary: &program, DSN: database(t).DSN("postgres"), Writers: 16, SignIns: true}), Rounds(t, 20))
}

// A database that goes away and comes back, in order or not, loses nothing, doubles nothing, and makes no answer wrong. Short outages
// are waited for.
func TestPostgresRestartUnderLoad(t *testing.T) {
	t.Parallel()
	db := database(t)
	w := New(t, Options{Binary: &program, DSN: db.DSN("postgres")})
	w.Throttling = true // an outage may be longer than a call waits
	ways := []struct {
		name    string
		restart func() error
	}{
		{"fast", db.Restart},
		{"immediate", func() error { return errors.Join(db.StopNow(), db.Up()) }},
		{"kill -9", func() error { return errors.Join(db.Kill(), db.Up()) }},
	}
	var longest, slowest time.Duration
	for i := range Rounds(t, 6) {
		way := ways[i%len(ways)]
		throttled := w.Codes["TooManyRequestsException"]
		var outage time.Duration
		w.Round("PostgreSQL "+way.name, func() error {
			begin := time.Now()
			if err := way.restart(); err != nil {
				return err
			}
			back := time.Now()
			outage = back.Sub(begin)
			err := w.Answered(back)
			slowest = max(slowest, time.Since(back))
			return err
		})
		longest = max(longest, outage)
		if told := w.Codes["TooManyRequestsException"] - throttled; told > 0 && outage < 2*time.Second {
			t.Errorf("%d calls were refused in an outage of %s (%s), in which they could have waited", told, outage, way.name)
		}
	}
	w.Finish(nil)
	t.Logf("%s: outages up to %s, calls succeed again at most %s after it", t.Name(), longest.Round(time.Millisecond), slowest.Round(time.Millisecond))
	if Timed() && slowest > 2*time.Second {
		t.Errorf("calls succeeded %s after the database was back, which is more than 2 seconds", slowest)
	}
}

// An outage that is too long to be waited for is told to callers, and what they are told is true: a call that was refused was not made.
func TestPostgresAway(t *testing.T) {
	t.Parallel()
	db := database(t)
	w := New(t, Options{Binary: &program, DSN: db.DSN("postgres")})
	w.Throttling, w.ServerErrors = true, true
	for range Rounds(t, 1) {
		w.Round("PostgreSQL away", func() error {
			if err := db.Kill(); err != nil {
				return err
			}
			told := w.Throttled + w.Unknown
			err := await("callers to be told", func() (bool, error) {
				err := w.drain()
				return w.Throttled+w.Unknown > told+32, err
			})
			return errors.Join(err, db.Up())
		})
	}
	w.Finish(nil)
}

// Connections to the database are cut wherever they are, also between a commit and its answer. The server finds out what became of the
// commit: no call is made twice, and no call is refused that was made. Short cuts are not noticed; after long ones callers are told.
func TestPostgresConnectionsCut(t *testing.T) {
	t.Parallel()
	db := database(t)
	direct, err := url.Parse(db.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	gate, through := NewGate(t, direct.Host), *direct
	through.Host = gate.Address
	w := New(t, Options{Binary: &program, DSN: through.String(), Direct: direct.String()})
	cuts := 0
	for i := range Rounds(t, 3) {
		long := i%3 == 2
		w.Throttling, w.ServerErrors = long, long
		w.Round("connections cut", func() error {
			for range 10 {
				cuts++
				gate.Set(Shut)
				gate.Set(Open)
				time.Sleep(between(w.Rand, 5*time.Millisecond, 40*time.Millisecond))
			}
			if !long {
				return nil
			}
			defer gate.Set(Open)
			gate.Set(Shut)
			told := w.Throttled + w.Unknown
			return await("callers to be told", func() (bool, error) {
				err := w.drain()
				return w.Throttled+w.Unknown > told+32, err
			})
		})
	}
	w.Finish(nil)
	t.Logf("%s: %d times all connections were cut", t.Name(), cuts)
}

// Two servers share a database. One is killed again and again, and the other does not notice.
func TestTwoServersOnePostgres(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := writeKey(key); err != nil {
		t.Fatal(err)
	}
	w := New(t, Options{Binary: &program, DSN: database(t).DSN("postgres"), Servers: 2, Args: []string{"--key-file", key}})
	// One pool for both: a change of its settings excludes the users' calls that rest on the old ones, now and then too often.
	w.Throttling = true
	var longest time.Duration
	for range Rounds(t, 5) {
		w.Round("one of two killed", func() error {
			if err := w.Answered(time.Now()); err != nil {
				return err
			}
			w.Gap(1)
			if err := w.KillServer(0); err != nil {
				return fmt.Errorf("restart: %w", err)
			}
			if err := w.Answered(time.Now()); err != nil {
				return err
			}
			longest = max(longest, w.Gap(1))
			return nil
		})
	}
	w.Finish(nil)
	t.Logf("%s: the other server's longest time without an answer was %s", t.Name(), longest.Round(time.Millisecond))
	if Timed() && longest > time.Second {
		t.Errorf("the other server paused for %s", longest)
	}
}
