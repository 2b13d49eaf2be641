//go:build linux

package chaos

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/smtpd"
)

// fault is something that the nemesis of a mixed run may do.
type fault struct {
	name string
	do   func() error
}

// messenger is the outside that messages go through, and what can go wrong with it.
type messenger struct {
	sink *smtpd.Server
	gate *Gate
	hook *Hook
}

// function is the ARN of the hook's function.
const function = "arn:aws:lambda:us-east-1:000000000000:function:chaos"

func newMessenger(t *testing.T) *messenger {
	t.Helper()
	m := &messenger{sink: smtpd.Start(t, nil), hook: NewHook(t)}
	m.gate = NewGate(t, m.sink.Address)
	return m
}

func (m *messenger) args() []string {
	return []string{"--smtp-address", m.gate.Address, "--smtp-tls", "none", "--trigger", function + "=" + m.hook.URL}
}

// mend ends all that was wrong.
func (m *messenger) mend() {
	m.gate.Set(Open)
	m.hook.Slow(0)
	m.sink.Refuse("RCPT", 0)
}

// faults are for a world with this messenger. Each is mended at the next one.
func (m *messenger) faults(w *World) []fault {
	return []fault{
		{"mail server silent", func() error { m.gate.Set(Silent); return nil }},
		{"mail server gone", func() error { m.gate.Set(Shut); return nil }},
		{"mail server busy", func() error { m.sink.Refuse("RCPT", 451); return nil }},
		{"hook slow", func() error { m.hook.Slow(between(w.Rand, 50*time.Millisecond, 500*time.Millisecond)); return nil }},
	}
}

// finish ends the world: the last messages go out, and each address must have got its own.
func (m *messenger) finish(t *testing.T, w *World) {
	t.Helper()
	m.mend()
	ctx := context.Background()
	steps := []func() error{
		w.Servers[0].Stop, func() error { return w.DB.elapse(ctx) }, func() error { _, err := w.Servers[0].Start(); return err },
		func() error {
			return await("the last messages to go out", func() (bool, error) {
				n, err := w.DB.waiting(ctx)
				return n == 0, err
			})
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("%v%s", err, w.logs())
		}
	}
	delivered, ids := map[string]int{}, map[string]string{}
	for _, mail := range m.sink.Mails() {
		delivered[mail.To]++
		id := mail.Header("Message-Id")
		if former, ok := ids[mail.To]; ok && former != id {
			t.Errorf("the copies of the message to %s have different ids, %s and %s, so that no mail server can know them", mail.To, former, id)
		}
		ids[mail.To] = id
	}
	w.Finish(delivered)
}

// mixed does faults in random order, often two of them.
func mixed(w *World, m *messenger, rounds int, faults []fault) {
	for range rounds {
		var list []fault
		var names []string
		for range 1 + w.Rand.IntN(2) {
			f := faults[w.Rand.IntN(len(faults))]
			list, names = append(list, f), append(names, f.name)
		}
		w.Round(strings.Join(names, ", then "), func() error {
			defer m.mend()
			for _, f := range list {
				if err := f.do(); err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
				time.Sleep(between(w.Rand, 0, 300*time.Millisecond))
			}
			return nil
		})
	}
	m.mend()
}

// common are the faults of a server.
func common(w *World) []fault {
	return []fault{
		{"kill -9", func() error { return w.KillServer(0) }},
		{"SIGTERM", func() error { return w.StopServer(0) }},
		{"pause", func() error { return w.PauseServer(0, between(w.Rand, 20*time.Millisecond, 400*time.Millisecond)) }},
	}
}

// Everything at once, with messages that leave the house.
func TestMixedSQLite(t *testing.T) {
	t.Parallel()
	m := newMessenger(t)
	w := New(t, Options{Binary: &program, Args: m.args(), Hook: function})
	faults := append(append(common(w), m.faults(w)...), fault{"clock", func() error {
		return w.MoveClock(0, between(w.Rand, -10*time.Minute, 20*time.Minute))
	}})
	mixed(w, m, Rounds(t, 8), faults)
	m.finish(t, w)
}

// The same on PostgreSQL, which goes away too.
func TestMixedPostgres(t *testing.T) {
	t.Parallel()
	m := newMessenger(t)
	db := database(t)
	w := New(t, Options{Binary: &program, DSN: db.DSN("postgres"), Args: m.args(), Hook: function})
	w.Throttling = true
	mixed(w, m, Rounds(t, 6), append(append(common(w), m.faults(w)...), fault{"PostgreSQL restarted", db.Restart}))
	m.finish(t, w)
}
