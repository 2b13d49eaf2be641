package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/port/store"
)

// writer runs the updates of an SQLite file, one after the other: in a goroutine of its own, or, when nobody else writes, in that of
// the caller.
//
// It takes what is waiting into one SQL transaction and acknowledges all of it after the one commit, so that many
// callers share one fsync. A function that fails is rolled back alone: to a savepoint, which is set ahead of its first
// write when others have written before it. Answers go out after the commit, refusals too, since a refusal may rest on
// what a neighbour wrote.
type writer struct {
	s     *Store
	ctx   context.Context // of statements that belong to no caller; it never ends
	c     *session
	queue chan *job
	wake  chan struct{} // to the goroutine: the queue has changed

	commits atomic.Uint64 // grows when a commit begins and when it ends: odd between

	mu      sync.RWMutex // held for reading while a job is put into the queue
	closed  bool
	stopped chan struct{}

	role sync.Mutex // whoever holds it is the writer
	// The rest belongs to the writer.
	group   []*job // the jobs of the open transaction
	running *job
	wrote   bool // somebody has written in the open transaction
	lost    bool // SQLite has rolled the open transaction back by itself
	ahead   *ahead
	entries entries
	touched map[string][]byte // copies in the cache that the open transaction changes
	// Versions of all pools and clients. The process owns the file, so they need no query. Nil: to be read.
	pools, clients map[string]int64
	log            *checkpointer // nil: somebody else does checkpoints
}

// The states of a job: its function runs only if it was not withdrawn before.
const (
	waiting = iota
	started
	withdrawn
)

// job is a call of Update.
type job struct {
	ctx   context.Context
	scope store.Scope
	fn    func(store.Tx) error
	state atomic.Int32
	done  chan struct{}

	// Read by the caller after done.
	err      error
	panicked any
	goexit   bool

	t     *transaction // of the run that is to be committed
	alone bool         // a run with others failed: it is to have its statements for itself

	answered bool
}

func startWriter(ctx context.Context, s *Store) (*writer, error) {
	run := context.WithoutCancel(ctx)
	c, err := newSession(run, s.db, s.d)
	if err != nil {
		return nil, err
	}
	w := &writer{s: s, ctx: run, c: c, queue: make(chan *job, 2*s.o.MaxGroup), wake: make(chan struct{}, 1), stopped: make(chan struct{}), touched: make(map[string][]byte)}
	if !s.o.ExternalCheckpoint {
		if w.log, err = startCheckpointer(w); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	if s.o.Cache >= 0 {
		size, err := s.cacheSize(run, c)
		if err != nil {
			return nil, errors.Join(err, w.end())
		}
		s.cache = newCache(size, &w.commits)
	}
	go w.loop()
	return w, nil
}

// update is Store.Update.
func (w *writer) update(ctx context.Context, scope store.Scope, fn func(store.Tx) error) error {
	j := &job{ctx: ctx, scope: scope, fn: fn, done: make(chan struct{})}
	if w.alone(j) {
		return j.wait()
	}
	if err := w.enqueue(j); err != nil {
		return err
	}
	return j.wait()
}

// alone runs a job in its caller's goroutine when nobody else writes. To wake the writer's and to be woken by it takes longer than
// most updates do. It reports false when the job is to be put into the queue.
func (w *writer) alone(j *job) bool {
	if len(w.queue) > 0 || w.s.o.Linger() > 0 || !w.role.TryLock() {
		return false
	}
	defer w.role.Unlock()
	w.mu.RLock()
	closed := w.closed
	w.mu.RUnlock()
	if closed {
		return false
	}
	ended := false
	defer func() {
		if !ended { // the function ended its own goroutine
			w.rollback()
			w.abandon(nil)
		}
	}()
	w.run([]*job{j})
	ended = true
	return true
}

// placeWait is how long an update waits for a place in the queue. Past it the server is asked for more than it can do,
// and a quick refusal, which callers repeat later, beats an answer after many seconds.
const placeWait = 25 * time.Millisecond

func (w *writer) enqueue(j *job) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return ErrClosed
	}
	select {
	case w.queue <- j:
		w.rouse()
		return nil
	default:
	}
	wait := time.NewTimer(placeWait)
	defer wait.Stop()
	select {
	case w.queue <- j:
		w.rouse()
		return nil
	case <-wait.C:
		return fmt.Errorf("%w: %d updates wait for the writer", store.ErrBusy, cap(w.queue))
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}

// rouse tells the writer's goroutine that the queue has changed.
func (w *writer) rouse() {
	select {
	case w.wake <- struct{}{}:
	default: // it is told already
	}
}

// close finishes what waits.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.queue)
	w.rouse()
	<-w.stopped
	w.role.Lock() // never to be given back
	return w.end()
}

func (w *writer) end() error {
	var errs []error
	if w.log != nil {
		errs = append(errs, w.log.close())
	}
	return errors.Join(append(errs, w.c.close())...)
}

func (w *writer) loop() {
	ended := false
	defer func() {
		if !ended {
			// A function ended this goroutine, as t.Fatal does. Its caller is told, the others go on.
			go w.resume()
		}
	}()
	var restart <-chan struct{}
	if w.log != nil {
		restart = w.log.restart
	}
	for !ended {
		select {
		case <-w.wake:
			if d := w.s.o.Linger(); d > 0 {
				time.Sleep(d)
			}
			w.role.Lock()
			ended = w.drain(restart)
			w.role.Unlock()
		case <-restart:
			w.role.Lock()
			w.log.finish(w)
			w.role.Unlock()
		}
	}
	close(w.stopped)
}

// drain runs what is in the queue. It reports whether the queue was closed.
func (w *writer) drain(restart <-chan struct{}) (closed bool) {
	for {
		select {
		case j, ok := <-w.queue:
			if !ok {
				return true
			}
			w.run(w.collect(j))
		case <-restart:
			w.log.finish(w)
		default:
			return false
		}
	}
}

func (w *writer) resume() {
	others := slices.DeleteFunc(w.group, func(j *job) bool { return j == w.running })
	w.rollback()
	w.abandon(others)
	w.running.goexit = true
	close(w.running.done)
	w.run(others)
	w.role.Unlock()
	w.rouse()
	w.loop()
}

// collect takes what waits behind the first job. It does not wait for more: while a group is committed, the next one
// gathers.
func (w *writer) collect(first *job) []*job {
	jobs := []*job{first}
	for len(jobs) < w.s.o.MaxGroup {
		select {
		case j, ok := <-w.queue:
			if !ok {
				return jobs
			}
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// run brings jobs to their end. A transaction that SQLite gave up under one of them is run again for the others.
func (w *writer) run(jobs []*job) {
	for len(jobs) > 0 {
		jobs = w.transact(jobs)
	}
}

// answer ends jobs.
func answer(jobs []*job, err error) {
	for _, j := range jobs {
		if err != nil {
			if j.t != nil {
				j.t.undo()
			}
			j.err = err
		}
		j.answered = true
		close(j.done)
	}
}

// transact runs jobs in one transaction and answers them. It returns those that have to run again.
func (w *writer) transact(jobs []*job) []*job {
	jobs = slices.DeleteFunc(jobs, func(j *job) bool {
		return !j.state.CompareAndSwap(waiting, started) && j.state.Load() == withdrawn
	})
	if len(jobs) == 0 {
		return nil
	}
	w.group, w.wrote, w.lost, w.entries.list = jobs, false, false, w.entries.list[:0]
	clear(w.touched)
	if err := w.begin(); err != nil {
		answer(jobs, err)
		return nil
	}
	if err := w.readAhead(); err != nil {
		w.rollback()
		answer(jobs, w.s.sqliteError(err))
		return nil
	}
	for i, j := range jobs {
		w.running = j
		w.one(j)
		if w.lost {
			w.rollback()
			others := slices.Delete(slices.Clone(jobs), i, i+1)
			w.abandon(others)
			close(j.done)
			return others
		}
	}
	w.running = nil
	if !w.flush() {
		w.rollback()
		w.abandon(jobs)
		for _, j := range jobs {
			j.alone = true
		}
		return jobs
	}
	answer(jobs, w.commit())
	return nil
}

// readAhead reads the users that the jobs name, when there are several.
func (w *writer) readAhead() error {
	w.ahead = nil
	gathered := make([]*job, 0, len(w.group))
	for _, j := range w.group {
		if !j.alone && gathers(j.scope) {
			gathered = append(gathered, j)
		}
	}
	if len(gathered) < 2 {
		return nil
	}
	a := newAhead(len(gathered))
	t := &transaction{s: w.s, ctx: gathered[0].ctx, db: w.c, write: true, earlier: w.touched}
	for _, spots := range wanted(gathered) {
		rest, err := a.recall(t, spots)
		if err == nil && len(rest) > 0 {
			err = a.read(t, rest)
		}
		if err != nil {
			return err
		}
	}
	w.ahead = a
	return nil
}

// flush writes the lines of the journal that were left. It reports false when that failed: which job is at fault shows
// when each writes its own.
func (w *writer) flush() bool {
	if len(w.entries.list) == 0 {
		return true
	}
	err := w.entries.flush(&transaction{s: w.s, ctx: w.ctx, db: w.c, write: true})
	if err != nil {
		w.s.log.Debug("journal of a group", "error", err)
	}
	return err == nil
}

func (w *writer) begin() error {
	if err := w.s.Err(); err != nil {
		return err
	}
	if err := w.s.fault(w.group[0].ctx, StageBegin); err != nil {
		return err
	}
	if err := w.c.run(w.ctx, `BEGIN IMMEDIATE`); err != nil {
		return w.s.sqliteError(fmt.Errorf("begin: %w", err))
	}
	if w.pools == nil {
		if err := w.readVersions(); err != nil {
			w.rollback()
			return err
		}
	}
	return nil
}

// rollback ends the transaction. SQLite may have done so already; then there is nothing left to do.
func (w *writer) rollback() {
	if err := w.c.run(w.ctx, `ROLLBACK`); err != nil {
		w.s.log.Debug("rollback", "error", err)
	}
}

// abandon forgets what jobs did in a transaction that will not be committed.
func (w *writer) abandon(jobs []*job) {
	for _, j := range jobs {
		if j.t != nil {
			j.t.undo()
		}
		j.t, j.err, j.panicked = nil, nil, nil
	}
	w.entries.list = w.entries.list[:0]
	w.pools, w.clients = nil, nil
}

// commit makes the group durable. An error means that nothing of it was committed, or that the store has failed.
func (w *writer) commit() error {
	if !w.wrote {
		w.rollback()
		return nil
	}
	w.s.statistic.groups.Add(1)
	err := w.commitFault()
	if err == nil {
		w.commits.Add(1)
		err = w.c.run(w.ctx, `COMMIT`)
		if err == nil && w.s.cache != nil {
			w.s.cache.committed(w.touched)
		}
		w.commits.Add(1)
		if err == nil {
			for _, j := range w.group {
				if j.t != nil {
					j.t.publish()
				}
			}
			if w.log != nil {
				w.log.wrote(w, len(w.group))
			}
			return nil
		}
		// With no space, or against a lock, SQLite refuses before anything counts. After every other error it is not
		// known what is on the disk.
		if kind := sqliteFailure(err); kind != full && kind != busy {
			err = w.s.poison(fmt.Errorf("commit: %w", err))
		}
	} else if errors.Is(err, ErrFailed) {
		err = w.s.poison(err)
	}
	w.rollback()
	w.pools, w.clients = nil, nil
	return w.s.sqliteError(fmt.Errorf("commit: %w", err))
}

func (w *writer) commitFault() error {
	if w.s.o.Fault == nil {
		return nil
	}
	for _, j := range w.group {
		if j.t != nil && j.t.wrote {
			if err := w.s.fault(j.ctx, StageCommit); err != nil {
				return err
			}
		}
	}
	return nil
}

// one runs a job in the open transaction. What it leaves behind is to be committed, or is rolled back.
func (w *writer) one(j *job) {
	runs := 1
	if w.s.o.Twice {
		runs = 2
	}
	for ; runs > 0; runs-- {
		t := &transaction{s: w.s, ctx: context.WithoutCancel(j.ctx), db: w.c, write: true, gathered: !j.alone, earlier: w.touched}
		if !j.alone {
			t.ahead = w.ahead
		}
		saved := false
		t.before = func() error {
			if saved = w.wrote; saved {
				return w.c.run(w.ctx, `SAVEPOINT one`)
			}
			return nil
		}
		err := w.stale(j.scope)
		if err == nil {
			err = t.outcome(w.s.call(j, t))
		}
		if err == nil && j.panicked == nil && runs == 1 && t.late.change != nil {
			err = w.finish(t)
		}
		last := runs == 1 || err != nil || j.panicked != nil
		if !last || err != nil || j.panicked != nil {
			t.undo()
			w.undo(t, saved)
			j.err = w.s.sqliteError(err)
			if last {
				return
			}
			continue
		}
		if saved {
			if err := w.c.run(w.ctx, `RELEASE one`); err != nil {
				t.undo()
				j.err, w.lost = err, true
				return
			}
		}
		w.wrote = w.wrote || t.wrote
		w.merge(t)
		j.t, j.err = t, nil
		return
	}
}

// finish writes what a run left. It needs no savepoint: a single statement that fails leaves nothing behind, and the
// line of the journal waits for those of the others.
func (w *writer) finish(t *transaction) error {
	l := t.late
	t.gathered, t.before = false, nil
	if err := (users{t}).writeRow(l.pool.ID, l.user.row, l.change); err != nil {
		t.wrote = false
		return err
	}
	if l.entry != nil {
		w.entries.list = append(w.entries.list, *l.entry)
	}
	return nil
}

// call runs the function of a job. A panic is kept for the caller; the end of the goroutine is seen by its loop.
func (s *Store) call(j *job, t *transaction) (err error) {
	leave := store.Enter(j.ctx)
	defer func() {
		leave()
		if v := recover(); v != nil {
			s.log.Error("panic in a transaction", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			j.panicked = v
		}
	}()
	return j.fn(update{t})
}

// undo takes back what a run wrote, and finds out whether the transaction still stands.
func (w *writer) undo(t *transaction, saved bool) {
	switch {
	case saved:
		if err := w.c.run(w.ctx, `ROLLBACK TO one`); err != nil {
			w.lost = true
			return
		}
		if err := w.c.run(w.ctx, `RELEASE one`); err != nil {
			w.lost = true
		}
	case t.wrote:
		// Nobody wrote before, so the whole transaction may go.
		w.rollback()
		if err := w.c.run(w.ctx, `BEGIN IMMEDIATE`); err != nil {
			w.lost = true
		}
	case t.err != nil && !repositoryError(t.err):
		// After some errors SQLite rolls everything back. Then, and only then, a transaction can begin.
		w.lost = w.c.run(w.ctx, `BEGIN IMMEDIATE`) == nil
	}
}

// merge takes over the versions that a run has set, and what it has changed of the cache.
func (w *writer) merge(t *transaction) {
	maps.Copy(w.touched, t.touched)
	for _, m := range [...]struct{ from, to map[string]int64 }{{t.pools, w.pools}, {t.clients, w.clients}} {
		for id, version := range m.from {
			if version == 0 {
				delete(m.to, id)
			} else {
				m.to[id] = version
			}
		}
	}
}

func (w *writer) stale(scope store.Scope) error {
	if p := scope.Pool; p != nil && w.pools[p.ID] != p.Version {
		return store.ErrStale
	}
	if c := scope.Client; c != nil && w.clients[c.ID] != c.Version {
		return store.ErrStale
	}
	return nil
}

func (w *writer) readVersions() error {
	read := func(query string) (map[string]int64, error) {
		m := make(map[string]int64)
		t := &transaction{s: w.s, ctx: w.ctx, db: w.c}
		err := t.rows(query, func(r *sql.Rows) error {
			var id string
			var version int64
			err := r.Scan(&id, &version)
			m[id] = version
			return err
		})
		return m, err
	}
	pools, err := read(`SELECT id, version FROM pools`)
	if err != nil {
		return err
	}
	clients, err := read(`SELECT id, version FROM clients`)
	if err != nil {
		return err
	}
	w.pools, w.clients = pools, clients
	return nil
}
