//go:build linux

package chaos

import (
	"syscall"
	"time"
)

// KillServer ends a server as a crash would and starts it again.
func (w *World) KillServer(i int) error {
	if err := w.Servers[i].Kill(); err != nil {
		return err
	}
	return w.restart(i)
}

// StopServer ends a server as a service manager does and starts it again.
func (w *World) StopServer(i int) error {
	if err := w.Servers[i].Stop(); err != nil {
		return err
	}
	return w.restart(i)
}

func (w *World) restart(i int) error {
	took, err := w.Servers[i].Start()
	w.Ready = append(w.Ready, took)
	return err
}

// PauseServer freezes a server for a while, as a machine does that swaps or moves.
func (w *World) PauseServer(i int, d time.Duration) error {
	if err := w.Servers[i].Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(d)
	return w.Servers[i].Signal(syscall.SIGCONT)
}
