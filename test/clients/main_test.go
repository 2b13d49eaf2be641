// Package clients_test drives the built program with the clients that people use: the AWS CLI, boto3, the Go and JavaScript SDKs and
// curl. Nothing here reaches into the server; what a client cannot see, these tests do not see either.
//
// The Python clients of a distribution are often years older than the API. They learn the contract from package botomodel, through
// AWS_DATA_PATH, as a user of an old client would teach them.
package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
	"github.com/poolhouse/poolhouse/test/clients/botomodel"
)

// patience is how long a server may take to start or stop, and a client to do its work, on a machine that has much else to do.
const patience = 4 * time.Minute

// What TestMain made: the program, and the folder that teaches botocore the contract.
var binary, dataPath string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "poolhouse-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, dataPath = filepath.Join(dir, "poolhouse"), filepath.Join(dir, "botocore")
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func prepare() error {
	// The same flags as the build of `make test`, so that its results are used again.
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "../../cmd/poolhouse")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	contract, err := os.ReadFile("../../api/model.json")
	if err != nil {
		return err
	}
	return botomodel.Write(dataPath, contract)
}

// A server is a poolhouse that runs.
type server struct {
	Endpoint        string
	Region          string
	PID             int
	Data            string
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	Bearer          string
	Inbox           string
	Metrics         string

	stdout, stderr buffer
	cmd            *exec.Cmd
	done           chan struct{}
	exit           error
}

// dev starts `poolhouse dev` on a free port, with nothing kept.
func dev(t *testing.T, args ...string) *server {
	t.Helper()
	return start(t, append([]string{"dev", "--ephemeral"}, args...)...)
}

// start starts a server, waits until it answers, and stops it at the end of the test, which fails if it does not stop well.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	dir := t.TempDir()
	readyFile := filepath.Join(dir, "ready.json")
	s := &server{done: make(chan struct{})}
	s.cmd = command(t, binary, append(args, "--listen", "127.0.0.1:0", "--ready-file", readyFile)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, &s.stdout, &s.stderr
	want.NoError(t, s.cmd.Start())
	go func() {
		s.exit = s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("the log of the server:\n%s", s.stderr.String())
		}
	})

	late := time.After(patience)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		text, err := os.ReadFile(readyFile)
		if err == nil {
			want.NoError(t, json.Unmarshal(text, s))
			return s
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		select {
		case <-look.C:
		case <-s.done:
			t.Fatalf("the server did not start: %v\n%s", s.exit, s.stderr.String())
		case <-late:
			t.Fatalf("the server did not start within %s\n%s", patience, s.stderr.String())
		}
	}
}

// stop ends the server as a service manager does.
func (s *server) stop(t *testing.T) {
	t.Helper()
	select {
	case <-s.done:
		if s.exit != nil {
			t.Errorf("the server had ended before: %v", s.exit)
		}
		return
	default:
	}
	want.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-s.done:
		if s.exit != nil {
			t.Errorf("the server did not stop well: %v", s.exit)
		}
	case <-time.After(patience):
		t.Errorf("the server did not stop within %s", patience)
		want.NoError(t, s.cmd.Process.Kill())
		<-s.done
	}
}

// A buffer takes what a process writes while the test reads it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// command prepares a program with an environment in which nothing of this machine's AWS or Poolhouse settings counts. It is killed at
// the end of the test, or when it hangs.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // t.Context ends before the cleanups, which need the server
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, name, args...)
	for _, pair := range os.Environ() {
		key, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(key, "AWS_") || strings.HasPrefix(key, "POOLHOUSE_") || strings.HasSuffix(strings.ToLower(key), "_proxy") {
			continue
		}
		c.Env = append(c.Env, pair)
	}
	c.Env = append(c.Env, "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_PAGER=", "AWS_DATA_PATH="+dataPath, "NO_COLOR=1", "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1")
	return c
}

// client prepares a program that calls the server, in the environment that every AWS client reads.
func (s *server) client(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := command(t, name, args...)
	c.Env = append(c.Env, "AWS_ACCESS_KEY_ID="+s.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+s.SecretAccessKey,
		"AWS_DEFAULT_REGION="+s.Region, "AWS_REGION="+s.Region, "AWS_ENDPOINT_URL="+s.Endpoint)
	return c
}

// A result is what a program left behind.
type result struct {
	stdout, stderr string
	code           int
}

// finish runs a prepared program to its end.
func finish(t *testing.T, c *exec.Cmd) result {
	t.Helper()
	var out, err bytes.Buffer
	c.Stdout, c.Stderr = &out, &err
	fail := c.Start()
	if fail == nil {
		guard := time.AfterFunc(patience, func() { _ = c.Cancel() }) // one that has ended needs none
		fail = c.Wait()
		guard.Stop()
	}
	if exit := (*exec.ExitError)(nil); fail != nil && !errors.As(fail, &exit) {
		t.Fatalf("%s: %v; the Debian package that has it is one of awscli, curl, nodejs, python3-boto3", c.Path, fail)
	}
	return result{out.String(), err.String(), c.ProcessState.ExitCode()}
}

// succeed runs a prepared program and returns its output; the test stops if it fails.
func succeed(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	r := finish(t, c)
	if r.code != 0 {
		t.Fatalf("%s\nended with code %d and said:\n%s%s", strings.Join(c.Args, " "), r.code, r.stderr, r.stdout)
	}
	return r.stdout
}

// A report is a line that the scripts in other languages print for each of their scenarios.
type report struct {
	Scenarios []string // in the first line: what is going to run
	Name      string
	Error     string // empty: it passed
}

// scenarios runs a script that reports its scenarios, and makes each of them a subtest.
func scenarios(t *testing.T, c *exec.Cmd) {
	t.Helper()
	r := finish(t, c)
	lines := json.NewDecoder(strings.NewReader(r.stdout))
	var first report
	if err := lines.Decode(&first); err != nil || len(first.Scenarios) == 0 {
		t.Fatalf("%s ran no scenario (%v) and said:\n%s%s", strings.Join(c.Args, " "), err, r.stderr, r.stdout)
	}
	reports := map[string]report{}
	for {
		var one report
		err := lines.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("a report cannot be read: %v\n%s", err, r.stdout)
		}
		reports[one.Name] = one
	}
	for _, name := range first.Scenarios {
		t.Run(name, func(t *testing.T) {
			one, ok := reports[name]
			if !ok {
				t.Fatalf("the script ended before this scenario:\n%s", r.stderr)
			}
			if one.Error != "" {
				t.Fatal(one.Error)
			}
		})
	}
	if r.code != 0 && !t.Failed() {
		t.Fatalf("the script ended with code %d:\n%s", r.code, r.stderr)
	}
}

// python is the interpreter that has boto3.
func python() string {
	if p := os.Getenv("POOLHOUSE_TEST_PYTHON"); p != "" {
		return p
	}
	return "python3"
}
