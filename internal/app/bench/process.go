package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// A Program starts this program's commands as processes of their own.
type Program struct {
	Path string    // the executable
	Log  io.Writer // receives what the processes have to say
}

// A Server is a process that serves. The tagged fields are what its ready file says.
type Server struct {
	Endpoint        string `json:"endpoint"`
	Region          string `json:"region"`
	PID             int    `json:"pid"`
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	Metrics         string `json:"metrics"`

	Address string `json:"-"` // HOST:PORT

	cmd   *exec.Cmd
	ended chan error
}

// environment is that of this process without settings of the server, and with those given.
func environment(with []string) []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "POOLHOUSE_") {
			env = append(env, pair)
		}
	}
	return append(env, with...)
}

// A Place is where a server keeps its data.
type Place struct {
	Folder   string
	Database string // PostgreSQL's connection string; empty: a SQLite file in the folder
}

func (p *Place) environment() []string {
	if p.Database == "" {
		return environment(nil)
	}
	return environment([]string{"POOLHOUSE_DATABASE=" + p.Database}) // not an argument: it may hold a password
}

// Credentials sign requests to the server, which verifies them if it was started with --allow-remote.
func (s *Server) Credentials() Credentials {
	return Credentials{ID: s.AccessKeyID, Secret: s.SecretAccessKey, Region: s.Region}
}

// launch runs a development server, which has durable commits as any other. It may not answer yet.
func (p *Program) launch(ctx context.Context, at Place, listen string, args ...string) (*Server, error) {
	cmd := exec.CommandContext(ctx, p.Path, append([]string{"dev", "--listen", listen, "--data", filepath.Join(at.Folder, "data"),
		"--ready-file", filepath.Join(at.Folder, "ready.json"), "--log-level", "warn"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env, cmd.Stderr = at.environment(), p.Log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	s := &Server{Address: listen, cmd: cmd, ended: make(chan error, 1)}
	s.PID = cmd.Process.Pid
	go func() { s.ended <- cmd.Wait() }()
	return s, nil
}

// Start runs a server at a place and waits until it is ready.
func (p *Program) Start(ctx context.Context, at Place, args ...string) (*Server, error) {
	file := filepath.Join(at.Folder, "ready.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	s, err := p.launch(ctx, at, "127.0.0.1:0", args...)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-s.ended:
			return nil, fmt.Errorf("the server ended before it was ready: %w", err)
		case <-tick.C:
		}
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(text, s)
		}
		if err == nil {
			s.Address, err = Address(s.Endpoint)
		}
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
		return s, nil
	}
}

// Stop ends the server as a service manager does. The error is the server's, if it did not end well.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return <-s.ended
}

// Address is the HOST:PORT of an http URL.
func Address(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return "", errors.New("it must be an address such as http://127.0.0.1:9229; TLS is not measured")
	}
	if u.Port() == "" {
		return u.Host + ":80", nil
	}
	return u.Host, nil
}

// StartCeiling runs the bare handler in a process of its own, which ends with this one.
func (p *Program) StartCeiling(ctx context.Context) (address string, end func() error, err error) {
	cmd := exec.CommandContext(ctx, p.Path, "bench-ceiling")
	cmd.Env, cmd.Stderr = environment(nil), p.Log
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start the bare handler: %w", err)
	}
	end = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("start the bare handler: %w", err), end())
	}
	return strings.TrimSpace(line), end, nil
}

// Fill makes a pool with n users at a place that no server has open.
func (p *Program) Fill(ctx context.Context, at Place, n int) (pool string, err error) {
	cmd := exec.CommandContext(ctx, p.Path, "bench-load", "--data", filepath.Join(at.Folder, "data"), "--users", strconv.Itoa(n))
	cmd.Env, cmd.Stderr = at.environment(), p.Log
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("make %d users: %w", n, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// freeAddress is an address of this machine on which nobody listens.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// firstAnswer starts a server and returns the time from there to the end of its answer to a first request, asked for again and again.
func (p *Program) firstAnswer(ctx context.Context, at Place, creds Credentials, operation, body string) (*Server, time.Duration, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, 0, err
	}
	m := &caller.Maker{Host: address, Credentials: creds}
	begin := time.Now()
	s, err := p.launch(ctx, at, address)
	if err != nil {
		return nil, 0, err
	}
	for late := begin.Add(time.Minute); ; {
		_, err := call(ctx, m, operation, body)
		took := time.Since(begin)
		if err == nil {
			return s, took, nil
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(late) {
			return nil, 0, errors.Join(err, s.Stop())
		}
		select {
		case err := <-s.ended:
			return nil, 0, fmt.Errorf("the server ended before it answered: %w", err)
		case <-time.After(200 * time.Microsecond):
		}
	}
}
