//go:build linux

package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// A disk that fails to make a commit durable must not be believed any more: nothing that begins later is acknowledged, the server ends,
// and what it had acknowledged is there when it starts again.
func TestFailingFsync(t *testing.T) {
	t.Parallel()
	if !traceable(t) {
		return
	}
	w := New(t, Options{Binary: &program})
	w.ServerErrors = true // that is what callers get whose commit fails
	var slowest time.Duration
	for range Rounds(t, 2) {
		took := failSync(t, w)
		slowest = max(slowest, took)
	}
	w.Finish(nil)
	t.Logf("%s: by strace; the server ended at most %s after the first failure", t.Name(), slowest.Round(time.Millisecond))
	if Timed() && slowest > time.Second {
		t.Errorf("the server ended %s after the first failure, which is more than a second", slowest)
	}
}

// tracer is a strace that makes system calls of a server fail.
type tracer struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	done chan struct{}
}

// trace attaches strace to a server.
func trace(t *testing.T, s *Server, args ...string) *tracer {
	t.Helper()
	tr := &tracer{cmd: exec.Command("strace", append([]string{"-f", "-p", strconv.Itoa(s.PID())}, args...)...), done: make(chan struct{})}
	tr.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	tr.cmd.Stderr = &tr.said
	if err := tr.cmd.Start(); err != nil {
		t.Fatalf("this test needs strace (on Debian and Ubuntu: apt-get install strace): %v", err)
	}
	go func() {
		defer close(tr.done)
		_ = tr.cmd.Wait() // it ends as the server does, or by our signal
	}()
	return tr
}

// detach lets the server go on without the tracer.
func (tr *tracer) detach() error {
	if err := tr.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-tr.done
	return nil
}

// traceable reports whether this machine lets us trace our own processes, and says so when it does not.
func traceable(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command("strace", "-f", "-o", os.DevNull, "true").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("this test needs strace (on Debian and Ubuntu: apt-get install strace)")
	}
	if err != nil {
		t.Logf("processes cannot be traced here (%v: %s): the store's own layer stands in", err, bytes.TrimSpace(out))
	}
	return err == nil
}

// failSync runs a round in which all syncs fail from the k-th on, and returns how long the server lived after that.
func failSync(t *testing.T, w *World) time.Duration {
	t.Helper()
	w.Rounds++
	server, since := w.Servers[0], time.Now()
	k := 1 + w.Rand.IntN(30)
	file := filepath.Join(t.TempDir(), "trace")
	const syncs = "fsync,fdatasync,msync,sync_file_range"
	tr := trace(t, server, "-ttt", "-o", file, "-e", "trace="+syncs, "-e", fmt.Sprintf("inject=%s:error=EIO:when=%d+", syncs, k))
	err := errors.Join(w.Run(), server.Wait())
	ended := time.Now()
	<-tr.done
	text, read := os.ReadFile(file)
	if read != nil {
		t.Fatalf("%v\n%s", read, tr.said.String())
	}
	failed, found := firstInjected(string(text))
	if !found {
		t.Fatalf("no sync failed: %s%s", tr.said.String(), w.logs())
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Errorf("after sync %d failed the server ended well, and should not: %v", k, err)
	}
	if line := lastLine(server.Log()); !strings.Contains(line, "the database failed while it wrote to the disk") {
		t.Errorf("the server's last words do not say what happened: %s", line)
	}
	if err := w.load.pause(); err != nil {
		t.Fatal(err)
	}
	w.onEnd = func(begun, l Line) {
		if at := time.Unix(0, begun.At); l.Event == OK && begun.Effect.Kind != None && at.After(failed) {
			t.Errorf("call %d, %s, was begun %s after a sync had failed, and was acknowledged", l.Seq, l.Op, at.Sub(failed))
		}
	}
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.onEnd = nil
	if err := w.restart(0); err != nil {
		t.Fatal(err)
	}
	if err := w.Settle(since); err != nil {
		t.Fatal(err)
	}
	w.judge("failing fsync")
	return ended.Sub(failed)
}

// firstInjected finds the time of the first failure in a trace.
func firstInjected(trace string) (time.Time, bool) {
	for line := range strings.Lines(trace) {
		fields := strings.Fields(line)
		if !strings.Contains(line, "(INJECTED)") || len(fields) < 2 {
			continue
		}
		seconds, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return time.Time{}, false
		}
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)), true
	}
	return time.Time{}, false
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// A full disk stops the writers and nobody else, and they go on when there is space again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("writes fail", func(t *testing.T) {
		if !traceable(t) {
			return
		}
		data := filepath.Join(t.TempDir(), "data")
		var tr *tracer
		w := New(t, Options{Binary: &program, Data: data, Writers: 16})
		full(t, w, func(s *Server) error {
			const writes = "write,pwrite64,pwritev,ftruncate,fallocate"
			args := []string{"-o", os.DevNull, "-e", "trace=" + writes, "-e", "inject=" + writes + ":error=ENOSPC"}
			for _, suffix := range []string{"", "-wal", "-shm"} {
				args = append(args, "-P", filepath.Join(data, "poolhouse.db"+suffix))
			}
			tr = trace(t, s, args...)
			return nil
		}, func(*Server) error {
			// A write from which the tracer is taken away fails in a way of its own, so that there must be none.
			if err := w.Settle(time.Time{}); err != nil {
				return err
			}
			return errors.Join(tr.detach(), w.Run())
		})
	})
	t.Run("small file system", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Log("mounting a small file system needs root: failing writes stand in for it")
			return
		}
		dir := t.TempDir()
		if err := syscall.Mount("poolhouse-chaos", dir, "tmpfs", 0, "size=256m"); err != nil {
			t.Logf("no file system can be mounted here (%v): failing writes stand in for it", err)
			return
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Errorf("unmount: %v", err)
			}
		})
		filler := filepath.Join(dir, "filler")
		full(t, New(t, Options{Binary: &program, Data: filepath.Join(dir, "data"), Writers: 16}), func(*Server) error { return fill(filler) },
			func(*Server) error { return os.Remove(filler) })
	})
}

// fill writes until there is no space left.
func fill(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// full runs rounds in which there is no space for a while.
func full(t *testing.T, w *World, take, free func(*Server) error) {
	t.Helper()
	w.ServerErrors, w.Throttling = true, true
	var longest, slowest time.Duration
	server, resident := w.Servers[0], map[string]string{"UserPoolId": SettingsPool(sharedPool, 0), "Username": "resident"}
	w.known[w.Call(0, "AdminCreateUser", resident, nil)] = true
	// Each round leaves something behind in the small file system.
	for range min(Rounds(t, 2), 50) {
		w.Round("disk full", func() error {
			if err := take(server); err != nil {
				return fmt.Errorf("fill the disk: %w", err)
			}
			begin := time.Now()
			// Writers are told, and readers do not notice.
			told := w.Codes["InternalErrorException"]
			err := await("writes to fail", func() (bool, error) {
				err := w.drain()
				return w.Codes["InternalErrorException"] > told+32, err
			})
			if err != nil {
				return err
			}
			w.Call(0, "AdminGetUser", resident, nil)
			if err := w.ready(); err != nil {
				return err
			}
			longest = max(longest, time.Since(begin))
			if err := free(server); err != nil {
				return fmt.Errorf("free the disk: %w", err)
			}
			freed := time.Now()
			if err := w.wrote(freed); err != nil {
				return err
			}
			slowest = max(slowest, time.Since(freed))
			if !server.Running() {
				return errors.New("the server has ended")
			}
			return nil
		})
	}
	w.Finish(nil)
	t.Logf("%s: no space for up to %s; writes succeeded at most %s after there was some again", t.Name(), longest.Round(time.Millisecond), slowest.Round(time.Millisecond))
	if Timed() && slowest > 5*time.Second {
		t.Errorf("writes succeeded %s after there was space again, which is more than 5 seconds", slowest)
	}
}

// The same inside the process, where no tool is needed: commits of the store fail from the k-th on, for every k.
func TestFailingCommitInProcess(t *testing.T) {
	t.Parallel()
	kek := sha256.Sum256([]byte("the key of this test"))
	key, err := seal.NewKEK(kek[:])
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	rounds := Rounds(t, 6)
	for k := range rounds {
		acknowledged += failCommits(t, sqlstore.Options{Path: filepath.Join(t.TempDir(), "poolhouse.db"), Ring: seal.NewRing(key), Random: chance.System()}, k)
	}
	t.Logf("%s: %d rounds in process, %d acknowledged, 0 violations", t.Name(), rounds, acknowledged)
}

// failCommits runs a store whose commits fail after k groups, opens it again, and returns how many updates were acknowledged.
func failCommits(t *testing.T, o sqlstore.Options, k int) int {
	t.Helper()
	const callers = 16
	var groups atomic.Int64
	var failed atomic.Bool
	broken := o
	broken.Fault = func(_ context.Context, stage sqlstore.Stage) error {
		if stage == sqlstore.StageBegin {
			groups.Add(1)
		}
		if stage == sqlstore.StageCommit && groups.Load() > int64(k)+8 { // the first few open the database
			failed.Store(true)
			return sqlstore.ErrFailed
		}
		return nil
	}
	st, err := sqlstore.Open(t.Context(), broken)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	kept := make([][]string, callers)
	for i := range callers {
		group.Go(func() {
			for n := 0; ; n++ {
				name, late := fmt.Sprintf("caller-%d-%d", i, n), failed.Load()
				err := st.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Settings().Put(name, []byte(name)) })
				if err != nil {
					if !errors.Is(err, sqlstore.ErrFailed) {
						t.Errorf("an update failed with %v, and not because the store has", err)
					}
					return
				}
				if late {
					t.Errorf("an update was acknowledged that began after a commit had failed")
				}
				kept[i] = append(kept[i], name)
			}
		})
	}
	group.Wait()
	<-st.Failed()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err = sqlstore.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	err = st.View(t.Context(), func(v store.View) error {
		acknowledged = 0
		for _, names := range kept {
			for _, name := range names {
				if _, err := v.Settings().Get(name); err != nil {
					return fmt.Errorf("%s was acknowledged: %w", name, err)
				}
				acknowledged++
			}
		}
		return nil
	})
	if err := errors.Join(err, st.Close()); err != nil {
		t.Error(err)
	}
	return acknowledged
}
