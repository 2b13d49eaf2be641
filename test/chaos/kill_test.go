//go:build linux

package chaos

import (
	"testing"
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
