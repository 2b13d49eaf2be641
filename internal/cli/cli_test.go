package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/poolhouse/poolhouse/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"poolhouse": func() {
			os.Exit(cli.Main(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

// patience is how long a script waits for what should come at once.
const patience = 30 * time.Second

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			// Nothing of the machine's environment that is a setting reaches the scripts: testscript starts with an empty one.
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Condition: func(cond string) (bool, error) { return false, fmt.Errorf("unknown condition %s", cond) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready":  ready,
			"listen": listen,
			"mode":   mode,
			"paste":  paste,
			"await":  await,
		},
	})
}

// poll calls look until it is true.
func poll(ts *testscript.TestScript, what string, look func() bool) {
	late := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !look() {
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("%s did not come within %s", what, patience)
		}
	}
}

// ready waits for a ready file and puts its members into the environment: endpoint becomes $endpoint.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready FILE")
	}
	var text []byte
	poll(ts, "the ready file", func() bool {
		var err error
		text, err = os.ReadFile(ts.MkAbs(args[0]))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			ts.Fatalf("%v", err)
		}
		return err == nil
	})
	var members map[string]any
	ts.Check(json.Unmarshal(text, &members))
	for name, v := range members {
		ts.Setenv(name, fmt.Sprint(v))
	}
}

// listen occupies a port, whose address it puts into $busy.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: listen")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv("busy", l.Addr().String())
}

// mode checks the mode of files.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode 0600 FILE...")
	}
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] && runtime.GOOS != "windows" {
			ts.Fatalf("%s has mode %s, not %s", name, got, args[0])
		}
	}
}

// paste takes the indented lines out of a file, as a person marks and copies them, into another.
func paste(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: paste FROM TO")
	}
	var script strings.Builder
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if strings.HasPrefix(line, "  ") {
			script.WriteString(line)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(script.String()), 0o600))
}

// await waits until a file has a text in it.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	poll(ts, args[1], func() bool {
		text, err := os.ReadFile(filepath.Clean(ts.MkAbs(args[0])))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			ts.Fatalf("%v", err)
		}
		return strings.Contains(string(text), args[1])
	})
}
