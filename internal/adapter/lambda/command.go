package lambda

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/port/trigger"
)

const (
	stderrLimit = 64 << 10
	// afterKill is how long the output of a killed program is waited for.
	afterKill = 500 * time.Millisecond
)

// passed are the variables of the server's environment that a program gets. The others may hold the server's secrets.
var passed = [...]string{"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT"}

// command runs a program for each event: the event on standard input, the answer on standard output. Another exit status
// than 0 is the function's error, with the last line of standard error as its message.
type command struct{ words []string }

func (p *command) invoke(ctx context.Context, c *trigger.Call) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.words[0], p.words[1:]...)
	stdout := &bounded{limit: answerLimit, full: cancel}
	stderr := &tail{limit: stderrLimit}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Event), stdout, stderr
	cmd.Env = environment(c)
	cmd.WaitDelay = afterKill
	ownGroup(cmd)

	err := cmd.Run()
	switch exit, exited := errors.AsType[*exec.ExitError](err); {
	case stdout.over:
		return nil, tooLarge()
	case err == nil:
		return stdout.text.Bytes(), nil
	case exited && ctx.Err() == nil:
		message := stderr.lastLine()
		if message == "" {
			message = exit.Error()
		}
		return nil, &trigger.FunctionError{Message: clip(message)}
	case errors.Is(err, fs.ErrPermission):
		return nil, &trigger.Unreachable{Reason: "AccessDeniedException", Cause: err}
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return nil, &trigger.Unreachable{Reason: "ResourceNotFoundException", Cause: err}
	}
	return nil, &trigger.Unreachable{Reason: serviceException, Cause: err}
}

// environment is what the program knows besides the event.
func environment(c *trigger.Call) []string {
	env := []string{"POOLHOUSE_TRIGGER=" + c.Trigger, "POOLHOUSE_FUNCTION_ARN=" + c.ARN, "POOLHOUSE_SOURCE_ARN=" + c.PoolARN,
		"POOLHOUSE_SOURCE_ACCOUNT=" + c.Account}
	for _, name := range passed {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// bounded keeps what is written up to a limit; what goes beyond calls full and is dropped.
type bounded struct {
	text  bytes.Buffer
	limit int
	over  bool
	full  func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.over || b.text.Len()+len(p) > b.limit {
		b.over = true
		b.full()
		return len(p), nil
	}
	return b.text.Write(p)
}

// tail keeps the end of what is written.
type tail struct {
	text  []byte
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - t.limit; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) lastLine() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.text), "�"))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
