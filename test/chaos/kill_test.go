//go:build linux

package chaos

import (
	"testing"
	"time"
)

// A crash loses nothing that was acknowledged and leaves nothing half done.
func TestKill9SQLite(t *testing.T) {
	t.Parallel()
	w := New(t, Options{Binary: &program})
	w.Fill(2000)
	for range Rounds(t, 50) {
		w.Round("kill -9", func() error { return w.KillServer(0) })
	}
	w.Finish(nil)
}

// A crash in the middle of sign-ins takes no refresh token from anybody, revives none that was revoked, and makes no code good twice.
func TestKill9SignInsSQLite(t *testing.T) {
	t.Parallel()
	killSignIns(New(t, Options{Binary: &program, Writers: 16, SignIns: true}), Rounds(t, 20))
}

// killSignIns moves the clock on in each round, so that there are codes of authenticator apps that nobody has used.
func killSignIns(w *World, rounds int) {
	for range rounds {
		w.Round("kill -9", func() error {
			if err := w.KillServer(0); err != nil {
				return err
			}
			return w.MoveClock(0, 30*time.Second)
		})
	}
	w.Finish(nil)
	for _, way := range []string{byPassword, byCode, byRiddle, byChoice} {
		if w.Acknowledged > 600 && w.Visits[way] == 0 {
			w.tb.Errorf("nobody signed in by a %s", way)
		}
	}
}
