//go:build unix

package lambda_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/lambda"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/port/trigger/triggertest"
)

func TestCommandContract(t *testing.T) {
	t.Parallel()
	triggertest.Run(t, func(t *testing.T, b triggertest.Behaviour) *triggertest.World {
		dir := t.TempDir()
		write := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		script := write("function.sh", `
dir=$1 hang=$2
cat > "$dir/event"
echo call >> "$dir/calls"
[ "$(wc -l < "$dir/calls")" -gt "$hang" ] || sleep 60
if [ -s "$dir/error" ]; then
	echo "something before" >&2
	cat "$dir/error" >&2
	exit 3
fi
cat "$dir/answer"
`)
		write("answer", strings.Repeat(b.Answer, max(b.Repeat, 1)))
		write("error", b.Error)
		count := func() int {
			calls, err := os.ReadFile(filepath.Join(dir, "calls"))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
			return strings.Count(string(calls), "\n")
		}
		return &triggertest.World{ARN: arn, Calls: count,
			Runner: router(t, lambda.Options{Targets: map[string]string{arn: fmt.Sprintf("cmd: sh %s %s %d", script, dir, b.Hang)},
				TryLimit: b.TryLimit()}),
			Event: func() []byte {
				event, err := os.ReadFile(filepath.Join(dir, "event"))
				if err != nil {
					t.Error(err)
				}
				return event
			}}
	})
}

func TestCommand(t *testing.T) {
	t.Setenv("POOLHOUSE_SECRET_OF_THE_SERVER", "hush")
	dir := t.TempDir()
	script := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return "cmd:" + path
	}
	run := func(target string, limit time.Duration) (json.RawMessage, error) {
		return router(t, lambda.Options{Targets: map[string]string{"*": target}, TryLimit: limit}).Run(t.Context(),
			&trigger.Call{Trigger: "PreSignUp", ARN: arn, PoolARN: "arn:pool", Event: []byte("{}")})
	}

	got, err := run(script("env", "#!/bin/sh\nprintf '{\"response\":{\"env\":\"%s\"}}' \"$(env | sort | tr '\\n' ' ')\"", 0o700), 0)
	if err != nil || strings.Contains(string(got), "hush") || !strings.Contains(string(got), "POOLHOUSE_TRIGGER=PreSignUp") {
		t.Errorf("environment %s (error %v), want the trigger's name and nothing of the server", got, err)
	}
	if _, err := run(script("silent", "#!/bin/sh\nexit 3", 0o700), 0); err == nil || err.Error() != "the function failed: exit status 3" {
		t.Errorf("silent failure: %v", err)
	}
	if _, err := run(script("deaf", "#!/bin/sh\nexec 0<&-\necho '{\"response\":{}}'", 0o700), 0); err != nil {
		t.Errorf("a program that does not read its event: %v", err)
	}
	for name, test := range map[string]struct{ target, reason string }{
		"not there":      {"cmd:" + filepath.Join(dir, "nowhere"), "ResourceNotFoundException"},
		"not in PATH":    {"cmd:no-such-program-anywhere", "ResourceNotFoundException"},
		"not executable": {script("data", "#!/bin/sh", 0o600), "AccessDeniedException"},
	} {
		_, err := run(test.target, 0)
		if u, ok := errors.AsType[*trigger.Unreachable](err); !ok || u.Reason != test.reason {
			t.Errorf("%s: %v, want %s", name, err, test.reason)
		}
	}

	// The children of a program that takes too long die with it. While one lives, it holds the pipe open.
	fifo := filepath.Join(dir, "alive")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	_, err = run(script("parent", "#!/bin/sh\n(echo started; sleep 60) > "+fifo+" &\nwait", 0o700), time.Second)
	if !errors.Is(err, trigger.ErrTimeout) {
		t.Errorf("slow program: %v, want a time-out", err)
	}
	if err := pipe.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(pipe); err != nil || string(text) != strings.Repeat("started\n", 3) {
		t.Errorf("read %q, error %v; want three starts and then the end, because all children are dead", text, err)
	}
}
