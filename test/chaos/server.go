//go:build linux

package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Binary is the program under test, built once for a test binary.
type Binary struct {
	once sync.Once
	path string
	err  error
	dir  string
}

// Path builds the program when it is asked the first time.
func (b *Binary) Path(tb testing.TB) string {
	tb.Helper()
	b.once.Do(func() {
		if b.path = os.Getenv(EnvBinary); b.path != "" {
			return
		}
		if b.dir, b.err = os.MkdirTemp("", "poolhouse-chaos-"); b.err != nil {
			return
		}
		b.path = filepath.Join(b.dir, "poolhouse")
		// The same flags as the build of `make test`, so that its results are used again.
		build := exec.Command("go", "build", "-trimpath", "-o", b.path, "../../cmd/poolhouse")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("build the program: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		tb.Fatal(b.err)
	}
	return b.path
}

// Remove removes what was built.
func (b *Binary) Remove() error {
	if b.dir == "" {
		return nil
	}
	return os.RemoveAll(b.dir)
}

// Server is a `poolhouse` process that keeps its port over restarts.
type Server struct {
	Endpoint string

	binary string
	args   []string
	prefix []string // a command that runs the server
	dir    string
	log    *os.File

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	exit error
}

// NewServer prepares a server with a name of its own in the folder; args are those of the command line, without address.
func NewServer(tb testing.TB, binary, dir, name string, args ...string) *Server {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	own := filepath.Join(dir, name)
	if err := os.MkdirAll(own, 0o700); err != nil {
		tb.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(own, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s := &Server{Endpoint: "http://" + address, binary: binary, dir: own, log: log}
	s.args = append(args, "--listen", address, "--ready-file", s.readyFile(), "--log-level", "warn")
	tb.Cleanup(func() {
		if err := errors.Join(s.Kill(), log.Close()); err != nil {
			tb.Errorf("end server %s: %v", name, err)
		}
	})
	return s
}

func (s *Server) readyFile() string { return filepath.Join(s.dir, "ready.json") }

// Start runs the server and returns how long it took until it answered. An error holds the server's last words.
func (s *Server) Start() (time.Duration, error) {
	if err := os.Remove(s.readyFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	begin := time.Now()
	if err := s.launch(); err != nil {
		return 0, err
	}
	err := await("the server to answer", func() (bool, error) {
		select {
		case <-s.done:
			return false, fmt.Errorf("it ended: %w\n%s", s.exit, s.Log())
		default:
		}
		_, err := os.Stat(s.readyFile())
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	})
	return time.Since(begin), err
}

// launch begins the process in a group of its own, which ends with this one.
func (s *Server) launch() error {
	line := append(append([]string(nil), s.prefix...), append([]string{s.binary}, s.args...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, s.log, s.log
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	s.cmd, s.done = cmd, done
	go func() {
		s.exit = cmd.Wait()
		close(done)
	}()
	return nil
}

// environment is that of this process without settings of the server.
func environment() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "POOLHOUSE_") {
			env = append(env, pair)
		}
	}
	return env
}

// PID is the process id of the running server.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Running reports whether the process lives.
func (s *Server) Running() bool {
	if s.done == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal to the process.
func (s *Server) Signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

// Kill ends the process and its children as a crash would. It is no error when they are gone.
func (s *Server) Kill() error {
	if !s.Running() {
		return nil
	}
	if err := syscall.Kill(-s.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill the server: %w", err)
	}
	<-s.done
	return nil
}

// Stop ends the process as a service manager does. The error is the server's, if it did not end well.
func (s *Server) Stop() error {
	if err := s.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.Wait()
}

// Wait waits for the process to end, and returns how it did.
func (s *Server) Wait() error {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-s.done:
		return s.exit
	case <-late.C:
		return fmt.Errorf("the server still runs after %s", patience)
	}
}

// Log returns the end of what the server has written.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// ResidentKiB is the memory that the process holds now.
func (s *Server) ResidentKiB() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("the kernel does not say how much memory the server holds")
	}
	return strconv.Atoi(fields[0])
}

// freePort returns a port of 127.0.0.1 that nobody uses, and that the kernel gives to no outgoing connection: a client of a dead
// server would otherwise connect to itself now and then, or take the port.
func freePort() (int, error) {
	for range 1000 {
		port := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return 0, err
		}
	}
	return 0, errors.New("no port is free")
}
