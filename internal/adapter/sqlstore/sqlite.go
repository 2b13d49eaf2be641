package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/port/store"
)

// minSQLite is the first version in which a race between a checkpoint and a writer cannot lose a commit.
const minSQLite = "3.51.3"

const (
	busyTimeout = 5 * time.Second // for locks that other programs hold
	cacheKiB    = 8 << 10         // for each connection, when it is used
)

func defaultReaders() int { return max(2, runtime.NumCPU()) }

func (s *Store) openSQLite(ctx context.Context) error {
	path, err := filepath.Abs(s.o.Path)
	if err != nil {
		return err
	}
	if err := s.own(path); err != nil {
		return err
	}
	if err := s.touch(path); err != nil {
		return err
	}
	if s.statistic.fsync, err = s.measureFsync(filepath.Dir(path)); err != nil {
		return err
	}
	synchronous := "FULL"
	if s.o.Ephemeral {
		synchronous = "OFF"
	}
	if s.db, err = openFile(path, "synchronous("+synchronous+")"); err != nil {
		return err
	}
	if err := checkVersion(ctx, s.db); err != nil {
		return err
	}
	if err := s.migrate(ctx, s.db); err != nil {
		return err
	}
	readDB, err := openFile(path, "query_only(1)")
	if err != nil {
		return err
	}
	s.reads = newReaders(readDB, s.d, s.o.Readers)
	s.log.Info("database open", "kind", s.d.name, "fsync", s.statistic.fsync.String(), "durable", !s.o.Ephemeral)
	s.writer, err = startWriter(ctx, s)
	return err
}

// openFile returns connections to the file. The log and its index take over the file's mode.
func openFile(path string, pragmas ...string) (*sql.DB, error) {
	v := url.Values{"_pragma": append([]string{
		"busy_timeout(" + strconv.FormatInt(busyTimeout.Milliseconds(), 10) + ")",
		"journal_mode(WAL)",
		"wal_autocheckpoint(0)",
		"cache_size(-" + strconv.Itoa(cacheKiB) + ")",
		"temp_store(MEMORY)",
		"trusted_schema(0)",
		"cell_size_check(1)",
	}, pragmas...)}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: v.Encode()}
	db, err := sql.Open(sqliteDriver, u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(8)
	return db, nil
}

func checkVersion(ctx context.Context, db *sql.DB) error {
	var version string
	if err := db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version); err != nil {
		return err
	}
	if older(version, minSQLite) {
		return fmt.Errorf("SQLite %s is linked, %s or newer is needed", version, minSQLite)
	}
	return nil
}

// older compares version numbers of three parts.
func older(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, errM := strconv.Atoi(x[i])
		n, errN := strconv.Atoi(y[i])
		if errM != nil || errN != nil || m != n {
			return errM != nil || errN == nil && m < n
		}
	}
	return len(x) < len(y)
}

// touch makes folder and file readable by nobody else.
func (s *Store) touch(path string) error {
	flags := os.O_RDWR | os.O_CREATE
	if s.o.Ephemeral {
		flags |= os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists: a database that keeps nothing needs a new file", path)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// own takes the lock beside the file. It vanishes with the process.
func (s *Store) own(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := lockFile(f); err != nil {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0) // the number only makes the sentence more helpful
		err = errors.Join(err, f.Close())
		if !errors.Is(err, errLocked) {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		return fmt.Errorf("%w: %s belongs to the process %s; stop it, or let it do the work", ErrOwned, path,
			strings.TrimSpace(string(holder[:n])))
	}
	s.owner = f
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// measureFsync tells what an fsync costs here: the rate of single updates follows from it.
func (s *Store) measureFsync(folder string) (took time.Duration, err error) {
	const enough, most = 5 * time.Millisecond, 64
	f, err := os.CreateTemp(folder, ".fsync-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}()
	block := make([]byte, 4096)
	start := s.now()
	for n := 1; ; n++ {
		if _, err := f.WriteAt(block, 0); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		if took := s.now().Sub(start); took >= enough || n == most {
			return took / time.Duration(n), nil
		}
	}
}

// readers are the connections that read. They are opened when they are needed first.
type readers struct {
	db   *sql.DB
	d    *dialect
	free chan *session // nil entries are connections that are not open yet
}

func newReaders(db *sql.DB, d *dialect, n int) *readers {
	r := &readers{db: db, d: d, free: make(chan *session, n)}
	for range n {
		r.free <- nil
	}
	return r
}

func (r *readers) take(ctx context.Context) (*session, error) {
	select {
	case c := <-r.free:
		if c != nil {
			return c, nil
		}
		c, err := newSession(ctx, r.db, r.d)
		if err != nil {
			r.free <- nil
		}
		return c, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close waits for those who read.
func (r *readers) close() error {
	var errs []error
	for range cap(r.free) {
		if c := <-r.free; c != nil {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(append(errs, r.db.Close())...)
}

// errMoved says that something was committed between the first and the second query of a view that had no
// transaction yet.
var errMoved = errors.New("the file changed between two queries")

// snapshot keeps everything that a view sees on one state of the file, without a transaction where one query or copies
// from the cache are all: a single query is consistent by itself. The second query begins a transaction. Whatever comes
// after the first counts only if nothing was committed since before the first.
type snapshot struct {
	commits *atomic.Uint64 // odd while the writer commits
	begin   func() error
	at      uint64 // the count before the first query, or of the first copy
	seen    int    // copies and queries
	queries int
}

// recalls reports whether a copy of the count at belongs to what the view has seen.
func (p *snapshot) recalls(at uint64) bool {
	if p.seen == 0 {
		p.at = at
	}
	if p.at != at {
		return false
	}
	p.seen++
	return true
}

func (p *snapshot) ahead() error {
	if p.seen++; p.seen == 1 {
		p.at = p.commits.Load()
	}
	if p.queries++; p.queries == 2 {
		return p.begin()
	}
	return nil
}

func (p *snapshot) behind() error {
	// The transaction stays on the state that its first query saw.
	if p.seen > 1 && p.queries <= 2 && (p.at%2 == 1 || p.commits.Load() != p.at) {
		return errMoved
	}
	return nil
}

// borrowed is a connection for reading, taken when it is needed.
type borrowed struct {
	r     *readers
	ctx   context.Context // of the caller, who waits
	c     *session
	begun bool
}

func (b *borrowed) take() error {
	if b.c != nil {
		return nil
	}
	c, err := b.r.take(b.ctx)
	b.c = c
	return err
}

func (b *borrowed) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := b.take(); err != nil {
		return nil, err
	}
	return b.c.QueryContext(ctx, query, args...)
}

func (b *borrowed) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := b.take(); err != nil {
		return nil, err
	}
	return b.c.ExecContext(ctx, query, args...)
}

// begin begins a transaction, unless one is open.
func (b *borrowed) begin() error {
	if b.begun {
		return nil
	}
	_, err := b.ExecContext(context.WithoutCancel(b.ctx), `BEGIN`)
	b.begun = err == nil
	return err
}

// giveBack returns the connection, without a transaction or not at all.
func (b *borrowed) giveBack() (err error) {
	if b.c == nil {
		return nil
	}
	if b.begun {
		if err = b.c.run(context.WithoutCancel(b.ctx), `ROLLBACK`); err != nil {
			err = errors.Join(err, b.c.close())
			b.c = nil
		}
	}
	b.r.free <- b.c
	return err
}

func (s *Store) viewSQLite(ctx context.Context, fn func(store.View) error) (err error) {
	b := &borrowed{r: s.reads, ctx: ctx}
	// Even when fn has ended the goroutine.
	defer func() { err = errors.Join(err, b.giveBack()) }()
	if err := s.fault(ctx, StageBegin); err != nil {
		return err
	}
	err = s.look(ctx, b, &snapshot{commits: &s.writer.commits, begin: b.begin}, fn)
	if errors.Is(err, errMoved) {
		if err := b.begin(); err != nil {
			return s.sqliteError(err)
		}
		err = s.look(ctx, b, nil, fn)
	}
	return s.sqliteError(err)
}

// sqliteError turns a locked database into the port's error.
func (s *Store) sqliteError(err error) error {
	if err != nil && sqliteFailure(err) == busy {
		return fmt.Errorf("%w: %w", store.ErrBusy, err)
	}
	return err
}
