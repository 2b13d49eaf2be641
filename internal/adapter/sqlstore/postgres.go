package sqlstore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/poolhouse/poolhouse/internal/port/store"
)

// maxRuns bounds how often an update runs that loses against others.
const maxRuns = 16

func (s *Store) openPostgres(ctx context.Context) error {
	config, err := pgx.ParseConfig(s.o.DSN)
	if err != nil {
		return fmt.Errorf("read the connection string: %w", err)
	}
	if config.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		return errors.New("default_query_exec_mode=simple_protocol is refused: use cache_describe or exec behind a pooler")
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "poolhouse"
	}
	s.db = stdlib.OpenDB(*config)
	s.db.SetMaxOpenConns(s.o.Connections)
	s.db.SetMaxIdleConns(s.o.Connections)
	if err := s.db.PingContext(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx, s.db); err != nil {
		return err
	}
	if !s.o.Twice && !s.o.Serializable {
		s.batcher = startBatcher(ctx, s)
	}
	s.log.Info("database open", "kind", s.d.name)
	return nil
}

// patience is what is left of the time that a call waits for a server that is away, and of the runs it may take.
type patience struct {
	s     *Store
	until time.Time
	runs  int
}

func (s *Store) patience() *patience { return &patience{s: s, until: s.now().Add(s.o.Hold)} }

// wait is called after a run that came to nothing. It returns nil when there should be another one, else the error for
// the caller.
func (p *patience) wait(ctx context.Context, err error) error {
	p.runs++
	var pause time.Duration
	switch p.s.d.kind(err) {
	case again:
		if p.runs >= maxRuns {
			return fmt.Errorf("%w: %w", store.ErrBusy, err)
		}
		pause = time.Millisecond << min(p.runs, 6)
	case away:
		if !p.s.now().Before(p.until) {
			return fmt.Errorf("%w: %w", store.ErrBusy, err)
		}
		pause = min(20*time.Millisecond<<min(p.runs, 4), 200*time.Millisecond)
	case busy, full:
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	default:
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.s.statistic.retries.Add(1)
	p.s.o.Sleep(ctx, p.s.jitter(pause))
	return ctx.Err()
}

// jitter is between half of d and d.
func (s *Store) jitter(d time.Duration) time.Duration {
	var b [4]byte
	if _, err := s.random.Read(b[:]); err != nil {
		return d
	}
	return d/2 + time.Duration(uint64(d/2)*uint64(binary.BigEndian.Uint32(b[:]))>>32)
}

func (s *Store) begin(ctx context.Context, o *sql.TxOptions) (*sql.Tx, error) {
	if err := s.fault(ctx, StageBegin); err != nil {
		return nil, err
	}
	return s.db.BeginTx(ctx, o)
}

func (s *Store) viewPostgres(ctx context.Context, fn func(store.View) error) error {
	for p := s.patience(); ; {
		err, failed := s.viewOnce(ctx, fn)
		if failed == nil {
			return err
		}
		if err := p.wait(ctx, failed); err != nil {
			return err
		}
	}
}

// viewOnce returns fn's error, or what failed in the database.
func (s *Store) viewOnce(ctx context.Context, fn func(store.View) error) (err, failed error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	tx, err := s.begin(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() { s.end(tx) }()
	leave := store.Enter(ctx)
	defer leave()
	for range s.runs() {
		t := &transaction{s: s, ctx: ctx, db: tx}
		err = t.outcome(fn(view{t}))
		if t.err != nil && !repositoryError(t.err) {
			return nil, t.err
		}
		if err != nil {
			return err, nil
		}
	}
	return nil, nil
}

// runs is how often a function runs.
func (s *Store) runs() int {
	if s.o.Twice {
		return 2
	}
	return 1
}

// end gives a connection back. A transaction that was committed is over; of another one nothing stays, whatever the
// server says to the ROLLBACK.
func (s *Store) end(tx *sql.Tx) {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		s.log.Debug("rollback", "error", err)
	}
}

func (s *Store) updatePostgres(ctx context.Context, scope store.Scope, fn func(store.Tx) error) error {
	if s.batcher != nil && gathers(scope) {
		s.batcher.running.Add(1)
		defer s.batcher.running.Add(-1)
		if done, err := s.batcher.update(ctx, scope, fn); done {
			return err
		}
	}
	if s.o.Twice {
		if o := s.updateOnce(ctx, scope, fn, false); o.failed == nil && o.err != nil {
			return o.err
		}
	}
	p := s.patience()
	for {
		o := s.updateOnce(ctx, scope, fn, true)
		if o.failed == nil {
			return o.err
		}
		if o.unknown && (o.t.traced() || !scope.Again) {
			committed, err := s.settle(ctx, p, o.t)
			if err != nil {
				o.t.undo()
				return err
			}
			if committed {
				o.t.publish()
				return nil
			}
		}
		o.t.undo()
		if err := p.wait(ctx, o.failed); err != nil {
			return err
		}
	}
}

// run is what came of one run of an update.
type run struct {
	t       *transaction
	err     error // the answer, when failed is nil
	failed  error // what failed in the database
	unknown bool  // the commit was sent and its answer is not known
}

func (s *Store) updateOnce(ctx context.Context, scope store.Scope, fn func(store.Tx) error, commit bool) run {
	// Once begun, a run has an outcome: a caller that goes away must not leave a commit of unknown fate behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
	defer cancel()
	t := &transaction{s: s, ctx: ctx, write: true}
	isolation := sql.LevelReadCommitted
	if s.o.Serializable {
		isolation = sql.LevelSerializable
	}
	tx, err := s.begin(ctx, &sql.TxOptions{Isolation: isolation})
	if err != nil {
		return run{t: t, failed: fmt.Errorf("begin: %w", err)}
	}
	defer func() { s.end(tx) }()
	t.db = tx
	done := false
	defer func() {
		if !done { // fn panicked
			t.undo()
		}
	}()
	err = t.outcome(s.scoped(t, scope, fn))
	done = true
	if t.err != nil && !repositoryError(t.err) {
		return run{t: t, failed: t.err}
	}
	if err != nil || !commit {
		t.undo()
		return run{t: t, err: err}
	}
	if err := s.fault(ctx, StageCommit); err != nil {
		return run{t: t, failed: fmt.Errorf("commit: %w", err)}
	}
	if err := tx.Commit(); err != nil {
		if !t.wrote {
			return run{t: t}
		}
		kind := s.d.kind(err)
		return run{t: t, failed: fmt.Errorf("commit: %w", err), unknown: kind != again && kind != full}
	}
	t.publish()
	return run{t: t}
}

const (
	selectPoolVersion   = `SELECT version FROM pools WHERE id = $1`
	selectClientVersion = `SELECT version FROM clients WHERE pool_id = $1 AND id = $2`
)

// scoped checks the versions that the caller decided by, and keeps them from changing, before it runs fn.
func (s *Store) scoped(t *transaction, scope store.Scope, fn func(store.Tx) error) error {
	leave := store.Enter(t.ctx)
	defer leave()
	if p := scope.Pool; p != nil {
		if err := s.unchanged(t, selectPoolVersion, p.Version, p.ID); err != nil {
			return err
		}
	}
	if c := scope.Client; c != nil {
		if err := s.unchanged(t, selectClientVersion, c.Version, c.PoolID, c.ID); err != nil {
			return err
		}
	}
	return fn(update{t})
}

func (s *Store) unchanged(t *transaction, query string, version int64, args ...any) error {
	n, err := t.count(query+s.d.shareRow, args...)
	if errors.Is(err, store.ErrNotFound) || err == nil && int64(n) != version {
		return store.ErrStale
	}
	return err
}

// errUnsettled says that nobody can know whether an update was committed: it left nothing by which it can be found.
var errUnsettled = errors.New("the connection broke during the commit of an update that left neither a journal entry nor a step of a sign-in")

// traced reports whether the run has left something in the database by which it can be found.
func (t *transaction) traced() bool { return t.request != "" || t.step != nil }

// settle finds out whether a commit that was sent took place. It tries to write the same journal entry: the server
// lets that wait for the lost transaction if it is still alive, refuses it when it was committed, and allows it when
// it was not. Without an entry the same is done with a step of a sign-in. What is written so is taken back.
func (s *Store) settle(ctx context.Context, p *patience, lost *transaction) (committed bool, err error) {
	if !lost.traced() {
		return false, errUnsettled
	}
	for {
		committed, err := s.probe(ctx, lost)
		if err == nil {
			return committed, nil
		}
		if err := p.wait(context.WithoutCancel(ctx), err); err != nil {
			// Not wrapped: ErrBusy would tell the caller that nothing was done, which nobody knows.
			return false, fmt.Errorf("find out about a lost commit: %v", err)
		}
	}
}

func (s *Store) probe(ctx context.Context, lost *transaction) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
	defer cancel()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { s.end(tx) }()
	t := &transaction{s: s, ctx: ctx, db: tx, write: true}
	if lost.request == "" {
		return steps{t}.written(lost.step)
	}
	err = journal{t}.Add(store.Entry{RequestID: lost.request})
	if errors.Is(err, store.ErrReplayed) {
		return true, nil
	}
	return false, err
}
