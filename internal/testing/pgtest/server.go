//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// superuser is the database role that initdb makes; it is not a user of the machine.
const superuser = "poolhouse"

// Options says how a server differs from the default, which is fast and forgets everything when the machine loses power.
type Options struct {
	Durable        bool              // write to disk as in production: fsync, full pages, synchronous commit
	MaxConnections int               // 200 if zero
	Settings       map[string]string // further settings of postgresql.conf
}

// Server is a PostgreSQL server in a folder of its own, on a port of 127.0.0.1 that stays the same over restarts.
// Its methods are for one goroutine at a time.
type Server struct {
	dir      string // data, log and the Unix socket
	bin      string // folder of initdb, pg_ctl, postgres
	port     int
	password string
	account  *syscall.Credential // the user PostgreSQL runs as when we are root, which it refuses to be
	options  []string            // command line of postgres, without the port

	watchdog *exec.Cmd
	lifeline io.Closer // the watchdog stops the server when this closes, which the kernel does for a process that dies
}

// Start makes a new database cluster and starts a server on it. Close stops and removes it.
// The error says which package to install if the server's binaries are missing.
func Start(o Options) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	account, err := account()
	if err != nil {
		return nil, err
	}
	// Not the configured temporary folder: the other user may not be allowed to enter it, and a socket's path must stay short.
	dir, err := os.MkdirTemp("/tmp", "poolhouse-pg-")
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	s := &Server{dir: dir, bin: bin, password: random(16), account: account, options: settings(dir, o)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.initialise(); err != nil {
		return nil, err
	}
	if err := s.watch(); err != nil {
		return nil, err
	}
	return s, s.startOnFreePort()
}

// DSN returns the connection string of a database of this server.
func (s *Server) DSN(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     s.address(),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Up starts a server that Stop or Kill has ended, on the same data and port.
func (s *Server) Up() error {
	// After Kill the orphaned workers of the dead server need a moment to notice, and until then the new one refuses to start.
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		err = s.run("pg_ctl", "start", "-w", "-t", "60", "-D", s.data(), "-l", s.log(), "-o", strings.Join(append(s.options, "-p", strconv.Itoa(s.port)), " "))
		if err == nil || !s.logSays("pre-existing shared memory block") {
			break
		}
		if err := os.Truncate(s.log(), 0); err != nil {
			return fmt.Errorf("pgtest: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, s.Log())
	}
	return nil
}

// Stop ends the server in good order: open transactions are rolled back, connections closed, data written.
func (s *Server) Stop() error {
	return s.run("pg_ctl", "stop", "-w", "-m", "fast", "-D", s.data())
}

// StopNow ends the server without rolling back or writing anything: the next Up recovers from the log.
func (s *Server) StopNow() error {
	return s.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", s.data())
}

// Restart is Stop and Up.
func (s *Server) Restart() error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.Up()
}

// Kill ends the server's main process as a crash would, and its workers follow as soon as they notice. Nothing is shut down in order:
// the next Up recovers from the log.
func (s *Server) Kill() error {
	lock := filepath.Join(s.data(), "postmaster.pid")
	text, err := os.ReadFile(lock)
	if err != nil {
		return fmt.Errorf("pgtest: the server does not run: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("pgtest: read postmaster.pid: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("pgtest: kill the server: %w", err)
	}
	// The process is gone when its port is closed. Its entry in the process table may stay longer, if nobody reaps it, and would then
	// keep the next server from starting: so its lock files go too. Orphaned workers are noticed by their shared memory (see Up).
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.address())
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			return fmt.Errorf("pgtest: process %d still listens after it was killed", pid)
		}
	}
	if err := errors.Join(os.Remove(lock), os.Remove(filepath.Join(s.dir, ".s.PGSQL."+strconv.Itoa(s.port)+".lock"))); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	return nil
}

// Close stops the server without ceremony and removes its folder. Closing twice is not an error.
func (s *Server) Close() error {
	if s.watchdog == nil {
		return os.RemoveAll(s.dir)
	}
	if err := s.lifeline.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("pgtest: %w", err)
	}
	if err := s.watchdog.Wait(); err != nil {
		return fmt.Errorf("pgtest: stop the server: %w", err)
	}
	s.watchdog = nil
	return nil
}

// Log returns the last lines of the server's log, for the message of a test that failed.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }

func (s *Server) logSays(part string) bool { return strings.Contains(s.Log(), part) }

// initialise makes the cluster. Its default collation is a linguistic one where the binaries can do that, because a query that forgets
// to ask for byte order must fail here and not on the operator's database.
func (s *Server) initialise() error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if s.account != nil {
		for _, path := range []string{s.dir, secret} {
			if err := os.Chown(path, int(s.account.Uid), int(s.account.Gid)); err != nil {
				return fmt.Errorf("pgtest: %w", err)
			}
		}
	}
	args := []string{"-D", s.data(), "-U", superuser, "--pwfile", secret, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"}
	help, err := s.command("initdb", "--help").Output()
	if err != nil {
		return fmt.Errorf("pgtest: initdb --help: %w", err)
	}
	if strings.Contains(string(help), "--icu-locale") {
		args = append(args, "--locale-provider", "icu", "--icu-locale", "en-US")
	}
	return s.run("initdb", args...)
}

// startOnFreePort tries another port if a neighbour took the one that was free a moment ago.
func (s *Server) startOnFreePort() error {
	var err error
	for range 5 {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.Up(); err == nil || !s.logSays("could not bind") {
			return err
		}
		if err := os.Remove(s.log()); err != nil {
			return fmt.Errorf("pgtest: %w", err)
		}
	}
	return err
}

// watch starts the process that outlives us: a shell that waits for the end of its input, stops the server and removes the folder.
// It has no part in our output, so that `go test` does not wait for it, and a session of its own, so that no Ctrl-C reaches it.
func (s *Server) watch() error {
	const script = `while read -r _; do :; done
"$1" stop -s -w -t 60 -m immediate -D "$2/data" || test ! -e "$2/data/postmaster.pid" || exit 1
rm -rf "$2"`
	cmd := exec.Command("/bin/sh", "-c", script, "pgtest-watchdog", filepath.Join(s.bin, "pg_ctl"), s.dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.account}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("pgtest: start the watchdog: %w", err), lifeline.Close())
	}
	s.watchdog, s.lifeline = cmd, lifeline
	return nil
}

// command prepares one of PostgreSQL's programs, under the account that may run it.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	return cmd
}

func (s *Server) run(program string, args ...string) error {
	if out, err := s.command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: %s: %w\n%s", program, err, out)
	}
	return nil
}

// settings returns the options of the postgres command line.
func settings(dir string, o Options) []string {
	if o.MaxConnections == 0 {
		o.MaxConnections = 200
	}
	out := []string{"-h", "127.0.0.1", "-k", dir, "-c", "max_connections=" + strconv.Itoa(o.MaxConnections), "-c", "timezone=UTC"}
	if !o.Durable {
		out = append(out, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	for name, value := range o.Settings {
		out = append(out, "-c", "'"+name+"="+value+"'")
	}
	return out
}

// account returns whom PostgreSQL is to run as: nil, which is ourselves, or for root the package's own user, else nobody.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("pgtest: PostgreSQL does not run as root, and there is no other user to run it as: %w", err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: user %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("pgtest: user %s: %w", u.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// binaries finds the folder of the newest installed server.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", fmt.Errorf("pgtest: %w", err)
	}
	newest, best := -1, ""
	for _, path := range found {
		dir := filepath.Dir(path)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && version > newest {
			newest, best = version, dir
		}
	}
	if best != "" {
		return best, nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("pgtest: this test needs PostgreSQL's server binaries (initdb, pg_ctl, postgres); on Debian and Ubuntu: apt-get install postgresql")
	}
	return filepath.Dir(path), nil
}

// freePort returns a port of 127.0.0.1 that nobody uses at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("pgtest: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
