// Package sqlstore keeps everything in an SQL database: SQLite, embedded and in one file, or PostgreSQL.
//
// There is one implementation over database/sql; what differs is in the dialect, in how a transaction is begun and
// committed, and in the two folders of migrations. On SQLite a writer goroutine commits waiting updates in groups
// (writer.go); on PostgreSQL every update is a transaction of its own that is repeated when it loses against another
// one, or when the server went away (postgres.go).
//
// The contract is port/store with its test kit. What is said there about secrets is kept by sealing: every sealed
// value is bound to its table, pool, row and column. Attributes and look-up keys are not sealed, since indexes need
// them.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

var (
	// ErrOwned says that another process has the database file open for writing.
	ErrOwned = errors.New("the database is in use by another process")
	// ErrNewerSchema says that a newer version of the program has migrated the database.
	ErrNewerSchema = errors.New("the database was made by a newer version of this program")
	// ErrWrongKey says that the database was made with another key-encryption key.
	ErrWrongKey = errors.New("the database was made with another key-encryption key")
	// ErrFailed says that a commit did not reach the disk for certain. The store takes nothing more; the process
	// should end, and what is on the disk counts when it starts again.
	ErrFailed = errors.New("the database failed while it wrote to the disk and takes nothing more until a restart")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("the database is closed")
)

// Options say which database to open and how. The zero value of each but Path, DSN and Ring works.
type Options struct {
	// Path is the SQLite file, DSN the connection string of PostgreSQL. One of them is given.
	Path string
	DSN  string
	// Ring holds the key-encryption key.
	Ring *seal.Ring
	// Random is where nonces and data keys come from. It is safe for concurrent use.
	Random io.Reader
	Logger *slog.Logger

	// Ephemeral makes a new SQLite file whose commits do not wait for the disk. It refuses a file that exists.
	Ephemeral bool
	// ExternalCheckpoint leaves checkpoints of the SQLite log to another program, such as litestream.
	ExternalCheckpoint bool
	// MaxGroup is how many updates SQLite commits together at most; 0 means 512.
	MaxGroup int
	// Cache is how many bytes of memory copies of rows of an SQLite file take at most; 0 means 1 KiB for each user in the file when
	// it is opened, which is room for all of them, but 256 MiB at least and MostCache at most. Less than 32 MiB is rounded up to it.
	// Negative: none are kept.
	Cache int
	// MostCache bounds what Cache chooses by itself; 0: no bound.
	MostCache int
	// Linger is how long an update of an SQLite file waits for others now, to share its commit with them. It is for times when
	// requests wait for a computation, one behind the other: they would get here one by one, and a commit for each would cost
	// the processors a tenth of their time. Nil: never.
	Linger func() time.Duration
	// Readers is how many connections read from SQLite at most; 0 means one for each core, but two at least.
	Readers int

	// Connections is how many connections to PostgreSQL there are at most; 0 means 16.
	Connections int
	// Serializable makes updates on PostgreSQL serializable, which CockroachDB and YugabyteDB want.
	Serializable bool
	// Hold is how long an update or view waits for a PostgreSQL that is away; 0 means 3 seconds.
	Hold time.Duration
	// Timeout bounds one run of a transaction on PostgreSQL; 0 means 10 seconds.
	Timeout time.Duration

	// Now is the machine's clock: it measures, and dates the counts of users. Nothing stored comes from it.
	Now func() time.Time
	// Sleep waits between two tries; it returns early when the context ends.
	Sleep func(ctx context.Context, d time.Duration)

	// Fault, for tests, is called before every statement and commit; its error stands for the database's. An error
	// that is ErrFailed at StageCommit stands for a disk that failed.
	Fault func(ctx context.Context, stage Stage) error
	// Twice, for tests, runs every function of Update and View a first time for nothing.
	Twice bool
}

// Stage is a point at which tests let the database fail.
type Stage string

// The stages.
const (
	StageBegin  Stage = "begin"
	StageQuery  Stage = "query"
	StageExec   Stage = "exec"
	StageCommit Stage = "commit"
)

// Store is an open database. It implements store.Store.
type Store struct {
	o      Options
	d      *dialect
	log    *slog.Logger
	ring   *seal.Ring
	random io.Reader
	now    func() time.Time
	server seal.Key // of what belongs to no pool
	keys   sync.Map // pool id to seal.Key
	counts counts
	// statements are the texts of statements that depend on a number, made once.
	statements sync.Map

	db      *sql.DB  // PostgreSQL's connections, or SQLite's for writing
	reads   *readers // SQLite
	writer  *writer  // SQLite
	cache   *cache   // SQLite; nil: none
	batcher *batcher // PostgreSQL; nil: every update has a transaction of its own
	owner   *os.File // SQLite: the lock

	closing   sync.Once
	closed    atomic.Bool
	failure   atomic.Pointer[error]
	failed    chan struct{}
	statistic statistic
}

type statistic struct {
	views, updates, groups, retries, checkpoints atomic.Uint64
	logPages                                     atomic.Int64
	fsync                                        time.Duration
}

// Stats are numbers for the metrics. Counters start at 0 with the process.
type Stats struct {
	Views       uint64
	Updates     uint64        // committed or refused by their function
	Groups      uint64        // commits on SQLite, of gathered updates on PostgreSQL
	Retries     uint64        // runs on PostgreSQL that were repeated
	Checkpoints uint64        // of SQLite's log
	LogPages    int64         // in SQLite's log and not yet in the file, when it was last looked at
	Waiting     int           // updates that wait for SQLite's writer
	Fsync       time.Duration // what one fsync took when the file was opened; 0 on PostgreSQL
	Connections int           // open ones, of PostgreSQL
}

// Stats returns the numbers of this moment.
func (s *Store) Stats() Stats {
	st := Stats{
		Views:       s.statistic.views.Load(),
		Updates:     s.statistic.updates.Load(),
		Groups:      s.statistic.groups.Load(),
		Retries:     s.statistic.retries.Load(),
		Checkpoints: s.statistic.checkpoints.Load(),
		LogPages:    s.statistic.logPages.Load(),
		Fsync:       s.statistic.fsync,
	}
	if s.writer != nil {
		st.Waiting = len(s.writer.queue)
	} else {
		st.Connections = s.db.Stats().OpenConnections
		if s.batcher != nil {
			st.Waiting = len(s.batcher.queue)
		}
	}
	return st
}

// Kind is "sqlite" or "postgres".
func (s *Store) Kind() string { return s.d.name }

// Failed is closed when the store has failed for good; see ErrFailed.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err says why the store has failed; nil while it works.
func (s *Store) Err() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// poison makes the store refuse everything from now on.
func (s *Store) poison(cause error) error {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	if s.failure.CompareAndSwap(nil, &err) {
		s.log.Error("database failed; nothing more is taken", "error", cause)
		close(s.failed)
	}
	return s.Err()
}

// usable refuses calls to a store that is closed or failed, and calls from inside a transaction, which would wait for
// themselves.
func (s *Store) usable(ctx context.Context) error {
	if err := store.Outside(ctx); err != nil {
		return err
	}
	if err := s.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return ErrClosed
	}
	return ctx.Err()
}

func (s *Store) fault(ctx context.Context, stage Stage) error {
	if s.o.Fault == nil {
		return nil
	}
	return s.o.Fault(ctx, stage)
}

// Open opens or makes the database, migrates it, and checks that the key fits.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	if (o.Path == "") == (o.DSN == "") {
		return nil, errors.New("open database: give either a file or a connection string")
	}
	if o.Ring == nil || o.Random == nil {
		return nil, errors.New("open database: a key-encryption key and a source of randomness are needed")
	}
	s := &Store{o: o, log: o.Logger, ring: o.Ring, random: o.Random, now: o.Now, failed: make(chan struct{})}
	var err error
	if o.Path != "" {
		s.d = sqliteDialect()
		err = s.openSQLite(ctx)
	} else {
		s.d = postgresDialect()
		err = s.openPostgres(ctx)
	}
	if err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), s.Close())
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxGroup <= 0 {
		o.MaxGroup = 512
	}
	if o.Readers <= 0 {
		o.Readers = defaultReaders()
	}
	if o.Linger == nil {
		o.Linger = func() time.Duration { return 0 }
	}
	if o.Connections <= 0 {
		o.Connections = 16
	}
	if o.Hold <= 0 {
		o.Hold = 3 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = clock.System().Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	return o
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// prepare checks what the database says about itself, in its first transaction.
func (s *Store) prepare(ctx context.Context) error {
	var server seal.Key
	err := s.Update(ctx, store.Scope{}, func(tx store.Tx) (err error) {
		t := tx.(update).t
		if err := t.checkFold(); err != nil {
			return err
		}
		server, err = t.openServerKey()
		return err
	})
	s.server = server
	return err
}

// View runs fn on a consistent snapshot. When the database fails under fn, View returns that failure, whatever fn
// made of it.
func (s *Store) View(ctx context.Context, fn func(store.View) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.statistic.views.Add(1)
	if s.reads != nil {
		return s.viewSQLite(ctx, fn)
	}
	return s.viewPostgres(ctx, fn)
}

// Update runs fn and commits its writes. When the database fails under fn, Update returns that failure, whatever fn
// made of it.
func (s *Store) Update(ctx context.Context, scope store.Scope, fn func(store.Tx) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.statistic.updates.Add(1)
	if s.writer != nil {
		return s.writer.update(ctx, scope, fn)
	}
	return s.updatePostgres(ctx, scope, fn)
}

// look runs fn as the function of a view; p is nil inside a transaction.
func (s *Store) look(ctx context.Context, db executor, p *snapshot, fn func(store.View) error) error {
	leave := store.Enter(ctx)
	defer leave()
	run := context.WithoutCancel(ctx)
	t := &transaction{s: s, ctx: run, db: db, snapshot: p}
	err := t.outcome(fn(view{t}))
	if s.o.Twice && err == nil {
		t = &transaction{s: s, ctx: run, db: db, snapshot: p}
		err = t.outcome(fn(view{t}))
	}
	return err
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.View(ctx, func(v store.View) error {
		_, err := v.(view).t.count(`SELECT 1`)
		return err
	})
}

// Close ends the store: updates that wait are finished, later calls get ErrClosed.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		s.closed.Store(true)
		var errs []error
		if s.writer != nil {
			errs = append(errs, s.writer.close())
		}
		if s.batcher != nil {
			s.batcher.close()
		}
		if s.reads != nil {
			errs = append(errs, s.reads.close())
		}
		s.cache.close()
		if s.db != nil {
			errs = append(errs, s.db.Close())
		}
		if s.owner != nil {
			errs = append(errs, unlockFile(s.owner), s.owner.Close())
		}
		err = errors.Join(errs...)
	})
	return err
}
