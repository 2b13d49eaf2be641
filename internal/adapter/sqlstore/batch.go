package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/poolhouse/poolhouse/internal/port/store"
)

// batcher gathers updates for PostgreSQL. A batch is one transaction: it locks and reads the users that its Scopes name
// with one query, runs the functions, and writes what they left with one statement for the users and one for the
// journal. Whatever does not fit, and every batch that fails, is run again update by update (postgres.go), which knows
// how to wait, to repeat and to find out about a lost COMMIT.
type batcher struct {
	s       *Store
	ctx     context.Context // of statements that belong to no caller; it never ends
	queue   chan *job
	running atomic.Int64 // calls of Update that could be gathered and have not returned

	mu     sync.RWMutex // held for reading while a job is put into the queue
	closed bool
	done   sync.WaitGroup
}

const (
	// batches is how many run at a time. With no more updates than that, each has a transaction of its own.
	batches = 3
	// mostInBatch is how many updates share a transaction.
	mostInBatch = 128
)

func startBatcher(ctx context.Context, s *Store) *batcher {
	b := &batcher{s: s, ctx: context.WithoutCancel(ctx), queue: make(chan *job, 4*mostInBatch)}
	for range batches {
		b.done.Add(1)
		go b.loop()
	}
	return b
}

// close ends the batcher; what waits is run.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	close(b.queue)
	b.done.Wait()
}

// update runs fn in a batch. It reports false when fn is still to be run: alone.
func (b *batcher) update(ctx context.Context, scope store.Scope, fn func(store.Tx) error) (done bool, err error) {
	if b.running.Load() <= batches {
		return false, nil
	}
	j := &job{ctx: ctx, scope: scope, fn: fn, done: make(chan struct{})}
	if !b.enqueue(j) {
		return false, nil
	}
	err = j.wait()
	return !errors.Is(err, errAlone), err
}

func (b *batcher) enqueue(j *job) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return false
	}
	select {
	case b.queue <- j:
		return true
	default:
		return false
	}
}

func (b *batcher) loop() {
	var jobs []*job
	ended := false
	defer func() {
		if ended {
			b.done.Done()
			return
		}
		// A function ended this goroutine, as t.Fatal does. It is run again in its caller's, the others too.
		answer(slices.DeleteFunc(jobs, func(j *job) bool { return j.answered }), errAlone)
		go b.loop()
	}()
	for j := range b.queue {
		jobs = b.collect(j)
		b.transact(jobs)
	}
	ended = true
}

// collect takes what waits behind the first job. Two updates of a user do not share a batch.
func (b *batcher) collect(first *job) []*job {
	jobs := make([]*job, 0, 16)
	names := make(map[spot]bool, 16)
	add := func(j *job) {
		if !j.state.CompareAndSwap(waiting, started) {
			return // withdrawn
		}
		at := j.spot()
		if names[at] {
			answer([]*job{j}, errAlone)
			return
		}
		names[at] = true
		jobs = append(jobs, j)
	}
	add(first)
	for len(jobs) < mostInBatch {
		select {
		case j, ok := <-b.queue:
			if !ok {
				return jobs
			}
			add(j)
		default:
			return jobs
		}
	}
	return jobs
}

// transact runs jobs in one transaction and answers them.
func (b *batcher) transact(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.s.o.Timeout)
	defer cancel()
	err := b.attempt(ctx, jobs)
	if err != nil {
		b.s.log.Debug("a batch is run update by update", "updates", len(jobs), "error", err)
		err = errAlone
	}
	for _, j := range jobs {
		if err == nil && j.t != nil {
			j.t.publish()
		}
	}
	answer(jobs, err)
}

// attempt runs jobs. An error means that nothing was committed.
func (b *batcher) attempt(ctx context.Context, jobs []*job) error {
	tx, err := b.s.begin(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { b.s.end(tx) }()
	t := &transaction{s: b.s, ctx: ctx, db: tx, write: true}
	current, err := b.versions(t, jobs)
	if err != nil {
		return err
	}
	a := newAhead(len(jobs))
	for _, spots := range wanted(jobs) {
		if err := a.read(t, spots); err != nil {
			return err
		}
	}
	var writing []*job
	for _, j := range jobs {
		if !current(j.scope) {
			j.err = store.ErrStale
			continue
		}
		j.t = &transaction{s: b.s, ctx: context.WithoutCancel(j.ctx), write: true, ahead: a, gathered: true, together: true}
		j.err = j.t.outcome(b.s.call(j, j.t))
		l := &j.t.late
		switch {
		case j.panicked != nil:
		case j.err == nil && l.change != nil && l.entry != nil:
			writing = append(writing, j)
			continue
		case j.err == nil && l.change != nil: // without a line in the journal nobody could find out about a lost COMMIT
			j.err = errAlone
		}
		j.t.undo()
		j.t = nil
	}
	if len(writing) == 0 {
		return nil
	}
	if err := b.write(t, writing); err != nil {
		return err
	}
	for _, j := range writing {
		if err := b.s.fault(j.ctx, StageCommit); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		kind := b.s.d.kind(err)
		if kind == again || kind == full {
			return err
		}
		committed, unsettled := b.s.settle(ctx, b.s.patience(), &transaction{request: writing[0].t.late.entry.RequestID})
		if unsettled != nil {
			for _, j := range writing {
				j.t.undo()
				j.t, j.err = nil, unsettled
			}
			return nil
		}
		if !committed {
			return err
		}
	}
	b.s.statistic.groups.Add(1)
	return nil
}

// versions locks the pools and clients of the jobs, in the order of their ids, and returns whether a Scope is up to date.
func (b *batcher) versions(t *transaction, jobs []*job) (current func(store.Scope) bool, err error) {
	pools, clients := map[string]int64{}, map[[2]string]int64{}
	for _, j := range jobs {
		pools[j.scope.Pool.ID] = 0
		if c := j.scope.Client; c != nil {
			clients[[2]string{c.PoolID, c.ID}] = 0
		}
	}
	read := func(query string, args ...any) (int64, error) {
		n, err := t.count(query+b.s.d.shareRow, args...)
		if errors.Is(err, store.ErrNotFound) {
			return -1, nil
		}
		return int64(n), err
	}
	for _, id := range slices.Sorted(maps.Keys(pools)) {
		if pools[id], err = read(selectPoolVersion, id); err != nil {
			return nil, err
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(clients), func(x, y [2]string) int { return cmp.Compare(x[0]+x[1], y[0]+y[1]) }) {
		if clients[id], err = read(selectClientVersion, id[0], id[1]); err != nil {
			return nil, err
		}
	}
	return func(s store.Scope) bool {
		return pools[s.Pool.ID] == s.Pool.Version && (s.Client == nil || clients[[2]string{s.Client.PoolID, s.Client.ID}] == s.Client.Version)
	}, nil
}

// write writes what the runs of jobs have left.
func (b *batcher) write(t *transaction, jobs []*job) error {
	type kind struct {
		pool string
		mask uint16
	}
	kinds := make(map[kind][]*late)
	entries := make([]store.Entry, 0, len(jobs))
	for _, j := range jobs {
		l := &j.t.late
		k := kind{l.pool.ID, l.change.mask}
		kinds[k] = append(kinds[k], l)
		entries = append(entries, *l.entry)
	}
	for k, list := range kinds {
		if err := b.writeUsers(t, k.pool, k.mask, list); err != nil {
			return err
		}
	}
	return b.writeEntries(t, entries)
}

// errMissed says that a statement for many rows did not find all of them.
var errMissed = errors.New("not all rows were written")

func all(n int64, err error, wanted int) error {
	if err == nil && n != int64(wanted) {
		return fmt.Errorf("%w: %d of %d", errMissed, n, wanted)
	}
	return err
}

// writeUsers writes the same columns of many users of a pool.
func (b *batcher) writeUsers(t *transaction, poolID string, mask uint16, list []*late) error {
	n := len(list)
	subs, versions, modified, attributes := make([]string, n), make([]int64, n), make([]int64, n), make([]string, n)
	optional := make([]any, len(list[0].change.values))
	for i, column := range columnsOf(mask) {
		if numeric(column) {
			optional[i] = make([]*int64, n)
		} else {
			optional[i] = make([]*string, n)
		}
	}
	for i, l := range list {
		subs[i], versions[i], modified[i], attributes[i] = l.user.row.sub, l.user.row.version, l.change.modified, l.change.attributes
		for k, v := range l.change.values {
			switch column := optional[k].(type) {
			case []*int64:
				if v, ok := v.(int64); ok {
					column[i] = &v
				}
			case []*string:
				if v, ok := v.(string); ok {
					column[i] = &v
				}
			}
		}
	}
	query := b.s.statement("update many", int(mask), func() string { return updateUsers(mask) })
	done, err := t.exec(query, append([]any{poolID, subs, versions, modified, attributes}, optional...)...)
	return all(done, err, n)
}

// numeric reports whether an optional column is a number.
func numeric(column string) bool {
	return column == "enabled" || column == "temporary_since" || column == "sms_option"
}

// updateUsers finds each row by the index, whatever the planner thinks of the table.
func updateUsers(mask uint16) string {
	var set, types, names strings.Builder
	for i, column := range columnsOf(mask) {
		set.WriteString(`, ` + column + ` = v.` + column)
		kind := `text[]`
		if numeric(column) {
			kind = `bigint[]`
		}
		types.WriteString(`, $` + strconv.Itoa(6+i) + `::` + kind)
		names.WriteString(`, ` + column)
	}
	return `UPDATE users u SET version = v.version + 1, modified_at = v.modified_at, attributes = v.attributes` + set.String() + `
		FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[]` + types.String() + `)
			AS v (sub, version, modified_at, attributes` + names.String() + `)
		CROSS JOIN LATERAL (SELECT t.ctid AS row FROM users t WHERE t.pool_id = $1 AND t.sub = v.sub OFFSET 0) t
		WHERE u.ctid = t.row AND u.version = v.version`
}

func (b *batcher) writeEntries(t *transaction, entries []store.Entry) error {
	var texts [7][]string // all columns but the time
	at := make([]int64, len(entries))
	for i, e := range entries {
		values := entryValues(e)
		at[i] = values[1].(int64)
		for k, v := range append(values[:1:1], values[2:]...) {
			texts[k] = append(texts[k], v.(string))
		}
	}
	n, err := t.exec(insertEntry+`SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])`+ifNew,
		texts[0], at, texts[1], texts[2], texts[3], texts[4], texts[5], texts[6])
	return all(n, err, len(entries))
}

// wait is called by the job's caller.
func (j *job) wait() error {
	select {
	case <-j.done:
	case <-j.ctx.Done():
		if j.state.CompareAndSwap(waiting, withdrawn) {
			return j.ctx.Err()
		}
		<-j.done // it has begun, so it has an outcome
	}
	if j.panicked != nil {
		panic(j.panicked)
	}
	if j.goexit {
		runtime.Goexit()
	}
	return j.err
}
