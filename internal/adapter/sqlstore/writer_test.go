package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

var errInjected = errors.New("injected")

// hold keeps the writer busy with an update until release is called, so that others wait together.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.Update(context.WithoutCancel(t.Context()), store.Scope{}, func(store.Tx) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		close(end)
		want.NoError(t, <-done)
	}
}

// group runs updates so that they share a transaction, in the order of the list, and returns their errors.
func group(t *testing.T, s *Store, updates ...func(ctx context.Context) error) []error {
	t.Helper()
	release := hold(t, s)
	errs := make([]error, len(updates))
	var wg sync.WaitGroup
	for i, u := range updates {
		wg.Go(func() { errs[i] = u(context.WithValue(t.Context(), jobKey{}, i)) })
		for s.Stats().Waiting != i+1 {
			runtime.Gosched()
		}
	}
	release()
	wg.Wait()
	return errs
}

// jobKey is under which group gives each update its number.
type jobKey struct{}

func put(s *Store, name string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		return s.Update(ctx, store.Scope{}, func(tx store.Tx) error { return tx.Settings().Put(name, []byte("x")) })
	}
}

// has tells which of the settings exist.
func has(t *testing.T, s *Store, names ...string) (found string) {
	t.Helper()
	want.NoError(t, s.View(t.Context(), func(v store.View) error {
		found = ""
		for _, name := range names {
			switch _, err := v.Settings().Get(name); {
			case err == nil:
				found += name
			case !errors.Is(err, store.ErrNotFound):
				return err
			}
		}
		return nil
	}))
	return found
}

func TestGroup(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	refuse := func(ctx context.Context) error {
		return s.Update(ctx, store.Scope{}, func(tx store.Tx) error {
			if err := tx.Settings().Put("r", []byte("x")); err != nil {
				return err
			}
			return errInjected
		})
	}
	before := s.Stats()
	errs := group(t, s, refuse, put(s, "a"), refuse, put(s, "b"), refuse)
	want.Equal(t, fmt.Sprint(errs), "[injected <nil> injected <nil> injected]")
	want.Equal(t, s.Stats().Groups-before.Groups, uint64(1))
	want.Equal(t, s.Stats().Updates-before.Updates, uint64(6))
	want.Equal(t, has(t, s, "a", "b", "r"), "ab")

	// A group is as large as it may be.
	s = open(t, Options{MaxGroup: 2})
	before = s.Stats()
	group(t, s, put(s, "a"), put(s, "b"), put(s, "c"))
	want.Equal(t, s.Stats().Groups-before.Groups, uint64(2))
	want.Equal(t, has(t, s, "a", "b", "c"), "abc")
}

// TestWhoWrites looks in whose goroutine updates run: in their caller's, unless somebody else writes or many requests are under way.
func TestWhoWrites(t *testing.T) {
	t.Parallel()
	var linger atomic.Int64
	s := open(t, Options{Linger: func() time.Duration { return time.Duration(linger.Load()) }})
	alone := func(ctx context.Context) bool {
		var stack string
		want.NoError(t, s.Update(ctx, store.Scope{}, func(tx store.Tx) error {
			stack = string(debug.Stack())
			return tx.Settings().Put("a", []byte(stack))
		}))
		want.True(t, strings.Contains(stack, "(*writer).alone") != strings.Contains(stack, "(*writer).loop"), "one of the two: %s", stack)
		return strings.Contains(stack, "(*writer).alone")
	}
	want.True(t, alone(t.Context()), "nobody else is there")
	group(t, s, func(ctx context.Context) error {
		want.True(t, !alone(ctx), "it has waited")
		return nil
	})
	for !alone(t.Context()) { // until the writer's goroutine has gone to rest
		runtime.Gosched()
	}
	linger.Store(1)
	want.True(t, !alone(t.Context()), "it waits for others")
}

func TestWithdrawn(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Update(ctx, store.Scope{}, func(store.Tx) error { panic("this should not run") })
	}()
	for s.Stats().Waiting != 1 {
		runtime.Gosched()
	}
	cancel()
	want.Error(t, <-done, context.Canceled) // while the writer is still busy
	release()
	want.NoError(t, put(s, "a")(t.Context()))
}

// TestCloseFinishes closes the store while updates wait.
func TestCloseFinishes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, Options{Path: path})
	begun, end := make(chan struct{}), make(chan struct{})
	errs := make(chan error, 2)
	go func() {
		errs <- s.Update(t.Context(), store.Scope{}, func(store.Tx) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	go func() { errs <- put(s, "a")(t.Context()) }()
	for s.Stats().Waiting != 1 {
		runtime.Gosched()
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for !s.closed.Load() {
		runtime.Gosched()
	}
	want.Error(t, put(s, "b")(t.Context()), ErrClosed)
	close(end)
	want.NoError(t, <-errs)
	want.NoError(t, <-errs)
	want.NoError(t, <-closed)
	want.Equal(t, has(t, open(t, Options{Path: path}), "a", "b"), "a")
}

func TestCommitRefused(t *testing.T) {
	t.Parallel()
	fail := true
	s := open(t, Options{Fault: func(ctx context.Context, stage Stage) error {
		if stage == StageCommit && ctx.Value(jobKey{}) == 1 && fail {
			return errInjected
		}
		return nil
	}})
	p := samplePool("eu-west-1_AAAAAAAAA")
	create := func(ctx context.Context) error {
		return s.Update(ctx, store.Scope{}, func(tx store.Tx) error { return tx.Pools().Create(p) })
	}
	refuse := func(ctx context.Context) error {
		return s.Update(ctx, store.Scope{}, func(store.Tx) error { return store.ErrNotFound })
	}
	// A refusal may rest on what a neighbour wrote, so it goes down with the group.
	for _, err := range group(t, s, create, put(s, "a"), refuse) {
		want.Error(t, err, errInjected)
	}
	want.Equal(t, p.Version, int64(0))
	want.Equal(t, has(t, s, "a"), "")
	want.NoError(t, s.Err())
	// The store goes on, and has forgotten the pool: its key and version are made anew.
	fail = false
	errs := group(t, s, create, put(s, "a"), refuse)
	want.NoError(t, errs[0])
	want.NoError(t, errs[1])
	want.Error(t, errs[2], store.ErrNotFound)
	want.NoError(t, s.Update(t.Context(), store.Scope{Pool: p}, func(tx store.Tx) error { return nil }))
}

func TestFailedDisk(t *testing.T) {
	t.Parallel()
	fail := false
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, Options{Path: path, Fault: func(_ context.Context, stage Stage) error {
		if stage == StageCommit && fail {
			return fmt.Errorf("fsync: %w", ErrFailed)
		}
		return nil
	}})
	want.NoError(t, put(s, "a")(t.Context()))
	select {
	case <-s.Failed():
		t.Fatal("the store has not failed yet")
	default:
	}
	fail = true
	for _, err := range group(t, s, put(s, "b"), put(s, "c")) {
		want.Error(t, err, ErrFailed)
	}
	<-s.Failed()
	fail = false // even if the disk seems to work again
	want.Error(t, put(s, "d")(t.Context()), ErrFailed)
	want.Error(t, s.Ping(t.Context()), ErrFailed)
	want.Error(t, s.Err(), ErrFailed)
	want.NoError(t, s.Close())
	want.Equal(t, has(t, open(t, Options{Path: path}), "a", "b", "c", "d"), "a")
}

// TestGivenUp lets SQLite roll the whole transaction back under one of the group, as it does after some errors.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	for _, stage := range []Stage{StageExec, StageQuery} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			var s *Store
			s = open(t, Options{Fault: func(ctx context.Context, at Stage) error {
				if at == stage && ctx.Value(jobKey{}) == 1 {
					want.NoError(t, s.writer.c.run(ctx, `ROLLBACK`))
					return errInjected
				}
				return nil
			}})
			runs := 0
			first := func(ctx context.Context) error {
				return s.Update(ctx, store.Scope{}, func(tx store.Tx) error {
					runs++
					return tx.Settings().Put("a", []byte("x"))
				})
			}
			second := func(ctx context.Context) error {
				return s.Update(ctx, store.Scope{}, func(tx store.Tx) error {
					if _, err := tx.Settings().Get("none"); !errors.Is(err, store.ErrNotFound) {
						return fmt.Errorf("taken for something else: %w", store.ErrNotFound)
					}
					return tx.Settings().Put("b", []byte("x"))
				})
			}
			errs := group(t, s, first, second, put(s, "c"))
			want.NoError(t, errs[0])
			want.Error(t, errs[1], errInjected)
			want.NoError(t, errs[2])
			want.Equal(t, runs, 2)
			want.Equal(t, has(t, s, "a", "b", "c"), "ac")
		})
	}
}

// TestEveryCall fails each call of an update that writes to many tables, one after the other.
func TestEveryCall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	left := map[*Store]int{}
	each(t, Options{}, func(t *testing.T, s *Store) {
		type countKey struct{}
		s.o.Fault = func(ctx context.Context, stage Stage) error {
			if ctx.Value(countKey{}) == nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if left[s]--; left[s] == 0 {
				return fmt.Errorf("%s: %w", stage, errInjected)
			}
			return nil
		}
		p := samplePool("eu-west-1_AAAAAAAAA")
		u := sampleUser(p, "34c84488-e0e1-70ae-d2ee-991ad1a898c8", "jane")
		want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
			if err := tx.Pools().Create(p); err != nil {
				return err
			}
			return tx.Users().Create(p, u)
		}))
		ctx := context.WithValue(t.Context(), countKey{}, true)
		update := func(n int) error {
			mu.Lock()
			left[s] = n
			mu.Unlock()
			return s.Update(ctx, store.Scope{Pool: p}, func(tx store.Tx) error {
				before, err := tx.Users().ByLogin(p, "jane")
				if err != nil {
					return fmt.Errorf("taken for absence: %w", store.ErrNotFound)
				}
				after := before.Clone()
				after.Attributes["email"] = "new@example.com"
				if err := tx.Users().Save(p, before, after); err != nil {
					return err
				}
				if err := tx.Settings().Put("a", nil); err != nil {
					return err
				}
				return tx.Journal().Add(store.Entry{RequestID: "r", Time: noon})
			})
		}
		calls := 0
		for {
			calls++
			err := update(calls)
			if err == nil {
				break
			}
			want.Error(t, err, errInjected)
			want.Equal(t, has(t, s, "a"), "")
			want.NoError(t, s.View(t.Context(), func(v store.View) error {
				for _, login := range []string{"jane", "jane@example.com"} {
					got, err := v.Users().ByLogin(p, login)
					if err != nil {
						return err
					}
					want.Equal(t, got, u)
				}
				return nil
			}))
		}
		want.True(t, calls > 8, "%d calls were failed", calls-1)
		want.Equal(t, has(t, s, "a"), "a")
		want.NoError(t, s.View(t.Context(), func(v store.View) error {
			got, err := v.Users().ByLogin(p, "new@example.com")
			if err == nil && (got.Version != 2 || got.Status != user.Confirmed) {
				err = errors.New("another user")
			}
			return err
		}))
		// A view fails as a whole, too.
		mu.Lock()
		left[s] = 2
		mu.Unlock()
		want.Error(t, s.View(ctx, func(v store.View) error {
			_, _ = v.Users().ByLogin(p, "jane")
			return store.ErrNotFound
		}), errInjected)
	})
}

// TestFull has no more space for a while.
func TestFull(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	limit := func(pages int) {
		release := hold(t, s) // the connection is ours meanwhile
		_, err := s.writer.c.conn.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
		want.NoError(t, err)
		release()
	}
	large := func(ctx context.Context) error {
		return s.Update(ctx, store.Scope{}, func(tx store.Tx) error { return tx.Settings().Put("l", make([]byte, 1<<20)) })
	}
	limit(1)
	errs := group(t, s, put(s, "a"), large, put(s, "b"))
	want.True(t, errs[1] != nil && strings.Contains(errs[1].Error(), "full"), "%v says what is wrong", errs[1])
	want.NoError(t, s.Err())
	want.Equal(t, has(t, s, "l"), "")
	limit(1 << 30)
	want.NoError(t, large(t.Context()))
	want.Equal(t, has(t, s, "l"), "l")
}

// TestCheckpoint writes more than the log should hold, while somebody reads.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, Options{Path: path, Ephemeral: true})
	value := make([]byte, 400<<10) // a hundred pages
	write := func(i int) {
		want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Settings().Put(fmt.Sprint(i%7), value) }))
	}
	for i := 0; s.Stats().Checkpoints < 3; i++ {
		want.True(t, i < 5000, "checkpoints happen")
		write(i)
		if i%50 == 0 {
			want.NoError(t, s.Ping(t.Context()))
		}
	}
	info, err := os.Stat(path + "-wal")
	want.NoError(t, err)
	want.True(t, info.Size() < 400<<20, "the log has %d bytes and does not grow without end", info.Size())

	// A reader in the way does not stop the writer.
	want.NoError(t, s.View(t.Context(), func(v store.View) error {
		if _, err := v.Settings().Get("1"); err != nil {
			return err
		}
		for i := range 200 {
			write(i)
		}
		return nil
	}))
	want.Equal(t, has(t, s, "1"), "1")

	external := open(t, Options{Ephemeral: true, Path: filepath.Join(t.TempDir(), "x.db"), ExternalCheckpoint: true})
	for i := range 150 {
		want.NoError(t, external.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Settings().Put(fmt.Sprint(i%7), value) }))
	}
	want.Equal(t, external.Stats().Checkpoints, uint64(0))
	info, err = os.Stat(external.o.Path + "-wal")
	want.NoError(t, err)
	want.True(t, info.Size() > 50<<20, "the log is left alone at %d bytes", info.Size())
}

// TestQueueIsBounded asks for more updates than may wait: those that find no place are refused and the others are made.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	const places, asked = 8, 20
	s := open(t, Options{MaxGroup: places / 2})
	release := hold(t, s)
	results := make(chan error, asked)
	for i := range asked {
		go func() { results <- put(s, fmt.Sprint("key", i))(t.Context()) }()
	}
	for range asked - places {
		want.Error(t, <-results, store.ErrBusy)
	}
	release()
	for range places {
		want.NoError(t, <-results)
	}
}
