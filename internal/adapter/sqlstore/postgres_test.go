package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// cutter passes bytes on to a PostgreSQL server, and cuts the connection at the next COMMIT.
type cutter struct {
	listener net.Listener
	target   string
	mode     atomic.Int32
}

// The places of the cut.
const (
	passOn    = iota
	cutBefore // the server never sees the COMMIT
	cutAfter  // the client never sees the answer
)

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	want.NoError(t, err)
	t.Cleanup(func() { want.NoError(t, l.Close()) })
	c := &cutter{listener: l, target: target}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	return c
}

func (c *cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var swallow atomic.Bool
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			if n > 0 && swallow.Load() {
				// The answer to the COMMIT: it has happened.
				_ = client.Close()
				return
			}
			if _, writeErr := client.Write(b[:n]); err != nil || writeErr != nil {
				_ = client.Close()
				return
			}
		}
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := client.Read(b)
		if bytes.Contains(bytes.ToLower(b[:n]), []byte("commit\x00")) {
			switch {
			case c.mode.CompareAndSwap(cutBefore, passOn):
				return
			case c.mode.CompareAndSwap(cutAfter, passOn):
				swallow.Store(true)
			}
		}
		if _, writeErr := server.Write(b[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

func TestLostCommit(t *testing.T) {
	t.Parallel()
	dsn, err := url.Parse(pgtest.Database(t))
	want.NoError(t, err)
	c := newCutter(t, dsn.Host)
	dsn.Host = c.listener.Addr().String()
	s := open(t, Options{DSN: dsn.String(), Connections: 2})
	p := samplePool("eu-west-1_AAAAAAAAA")
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
		if err := tx.Pools().Create(p); err != nil {
			return err
		}
		return tx.Users().Create(p, sampleUser(p, "s", "jane"))
	}))
	for i, mode := range []int32{cutBefore, cutAfter, cutBefore, cutAfter} {
		c.mode.Store(mode)
		runs := 0
		want.NoError(t, s.Update(t.Context(), store.Scope{Pool: p}, func(tx store.Tx) error {
			runs++
			before, err := tx.Users().ByLogin(p, "jane")
			if err != nil {
				return err
			}
			after := before.Clone()
			after.Attributes["custom:sum"] += "+"
			if err := tx.Users().Save(p, before, after); err != nil {
				return err
			}
			return tx.Journal().Add(store.Entry{RequestID: fmt.Sprint(i), Time: noon})
		}))
		want.Equal(t, c.mode.Load(), int32(passOn))
		want.True(t, runs == 2 == (mode == cutBefore), "the function ran %d times", runs)
		want.NoError(t, s.View(t.Context(), func(v store.View) error {
			u, err := v.Users().ByLogin(p, "jane")
			if err != nil {
				return err
			}
			want.Equal(t, len(u.Attributes["custom:sum"]), i+1)
			_, err = v.Journal().Get(fmt.Sprint(i))
			return err
		}))
	}
	// Without a journal entry nobody can know, and nothing is done twice.
	c.mode.Store(cutAfter)
	err = s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Settings().Put("a", nil) })
	want.Error(t, err, errUnsettled)
	want.True(t, !errors.Is(err, store.ErrBusy), "a caller must not try %v again", err)
	// Unless that is said to do no harm.
	c.mode.Store(cutAfter)
	runs := 0
	want.NoError(t, s.Update(t.Context(), store.Scope{Again: true}, func(tx store.Tx) error {
		runs++
		return tx.Settings().Put("b", nil)
	}))
	want.Equal(t, runs, 2)
	want.Equal(t, has(t, s, "b"), "b")
}

// TestSettle decides about a transaction that is still alive on the server.
func TestSettle(t *testing.T) {
	t.Parallel()
	s := open(t, Options{DSN: pgtest.Database(t)})
	p := samplePool("eu-west-1_AAAAAAAAA")
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Pools().Create(p) }))
	ways := []struct {
		name, count string
		write       func(lost *transaction, id string) error
	}{
		{"an entry", `SELECT count(*) FROM journal WHERE request_id = $1`, func(lost *transaction, id string) error {
			return journal{lost}.Add(store.Entry{RequestID: id, Time: noon})
		}},
		{"a step passed", `SELECT count(*) FROM steps WHERE id = $1 AND passed = 1`, func(lost *transaction, id string) error {
			return steps{lost}.Pass(p.ID, id, noon)
		}},
		{"a step kept", `SELECT count(*) FROM steps WHERE id = $1 AND sealed IS NOT NULL`, func(lost *transaction, id string) error {
			return steps{lost}.Keep(p.ID, id, []byte("state"), noon)
		}},
		{"a kept step passed", `SELECT count(*) FROM steps WHERE id = $1 AND passed = 1`, func(lost *transaction, id string) error {
			err := s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Steps().Keep(p.ID, id, []byte("state"), noon) })
			return errors.Join(err, steps{lost}.Pass(p.ID, id, noon))
		}},
	}
	for i := range 2 * len(ways) {
		way, committed := ways[i/2], i%2 == 0
		id := fmt.Sprint(way.name, " ", committed)
		tx, err := s.db.BeginTx(t.Context(), nil)
		want.NoError(t, err)
		lost := &transaction{s: s, ctx: t.Context(), db: tx, write: true}
		want.NoError(t, way.write(lost, id))
		type answer struct {
			committed bool
			err       error
		}
		answers := make(chan answer, 1)
		go func() {
			ok, err := s.settle(t.Context(), s.patience(), lost)
			answers <- answer{ok, err}
		}()
		// The answer waits for the transaction's end.
		waitForLock(t, s)
		if committed {
			want.NoError(t, tx.Commit())
		} else {
			want.NoError(t, tx.Rollback())
		}
		got := <-answers
		want.NoError(t, got.err)
		want.Equal(t, got.committed, committed)
		rows := 0
		want.NoError(t, s.db.QueryRowContext(t.Context(), way.count, id).Scan(&rows))
		want.True(t, rows == 1 == committed, "%s: %d rows", id, rows)
	}
}

// TestMovedMeanwhile looks a user up by an alias that moves away while the user's row is locked by somebody else.
func TestMovedMeanwhile(t *testing.T) {
	t.Parallel()
	s := open(t, Options{DSN: pgtest.Database(t)})
	p := samplePool("eu-west-1_AAAAAAAAA")
	a, b := sampleUser(p, "a", "jane"), sampleUser(p, "b", "joe")
	delete(b.Attributes, "email")
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
		return errors.Join(tx.Pools().Create(p), tx.Users().Create(p, a), tx.Users().Create(p, b))
	}))
	for round, find := range []func(tx store.Tx) (*user.Record, error){
		func(tx store.Tx) (*user.Record, error) { return tx.Users().ByLogin(p, "jane@example.com") },
		func(tx store.Tx) (*user.Record, error) {
			return tx.Users().Owner(p.ID, user.Login{Space: user.Emails, Key: "jane@example.com"})
		},
	} {
		from, to := []string{"a", "b"}[round], []string{"b", "a"}[round]
		found := make(chan string, 1)
		want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
			move := func(sub string, attributes map[string]string) error {
				before, err := tx.Users().BySub(p.ID, sub)
				if err != nil {
					return err
				}
				after := before.Clone()
				after.Attributes = attributes
				return tx.Users().Save(p, before, after)
			}
			if err := move(from, nil); err != nil {
				return err
			}
			go func() {
				err := s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
					u, err := find(tx)
					if err == nil {
						found <- u.Sub
					}
					return err
				})
				if err != nil {
					found <- err.Error()
				}
			}()
			waitForLock(t, s)
			return move(to, map[string]string{"email": "jane@example.com", "email_verified": "true"})
		}))
		want.Equal(t, <-found, to)
	}
}

// TestScopeHolds changes a pool while an update rests on it: the change waits.
func TestScopeHolds(t *testing.T) {
	t.Parallel()
	s := open(t, Options{DSN: pgtest.Database(t)})
	p := samplePool("eu-west-1_AAAAAAAAA")
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Pools().Create(p) }))
	changed := *p
	saved := make(chan error, 1)
	want.NoError(t, s.Update(t.Context(), store.Scope{Pool: p}, func(tx store.Tx) error {
		go func() {
			saved <- s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Pools().Save(&changed) })
		}()
		for n := 0; n == 0; {
			select {
			case err := <-saved:
				return fmt.Errorf("the pool changed under an update that rests on it (%w)", errors.Join(errInjected, err))
			default:
			}
			if err := s.db.QueryRowContext(t.Context(), waitingForLock).Scan(&n); err != nil {
				return err
			}
		}
		return nil
	}))
	want.NoError(t, <-saved)
	want.Error(t, s.Update(t.Context(), store.Scope{Pool: p}, func(store.Tx) error { return nil }), store.ErrStale)
}

// waitingForLock counts those on the server who wait for somebody else.
const waitingForLock = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`

// waitForLock returns when somebody on the server waits for somebody else.
func waitForLock(t *testing.T, s *Store) {
	t.Helper()
	for n := 0; n == 0; {
		want.NoError(t, s.db.QueryRowContext(t.Context(), waitingForLock).Scan(&n))
	}
}

// TestServerAway stops the server under load. Calls wait for it and succeed, and each takes effect once.
func TestServerAway(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(pgtest.Options{Durable: true})
	want.NoError(t, err)
	t.Cleanup(func() { want.NoError(t, server.Close()) })
	s := open(t, Options{DSN: server.DSN("postgres"), Connections: 4, Hold: time.Minute})
	p := samplePool("eu-west-1_AAAAAAAAA")
	want.NoError(t, s.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
		if err := tx.Pools().Create(p); err != nil {
			return err
		}
		return tx.Users().Create(p, sampleUser(p, "s", "jane"))
	}))
	const callers = 4
	var acknowledged atomic.Int64
	ticks := make(chan struct{})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	ids := chance.System()
	for range callers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := ids.RequestID()
				if err := s.Update(t.Context(), store.Scope{Pool: p}, func(tx store.Tx) error {
					before, err := tx.Users().ByLogin(p, "jane")
					if err != nil {
						return err
					}
					after := before.Clone()
					after.Attributes["custom:sum"] = "x" + before.Attributes["custom:sum"]
					if len(after.Attributes["custom:sum"]) > 1000 {
						after.Attributes["custom:sum"] = ""
					}
					if err := tx.Users().Save(p, before, after); err != nil {
						return err
					}
					return tx.Journal().Add(store.Entry{RequestID: id, Time: noon})
				}); err != nil {
					t.Errorf("update: %v", err)
					return
				}
				acknowledged.Add(1)
				if err := s.View(t.Context(), func(v store.View) error {
					_, err := v.Journal().Get(id)
					return err
				}); err != nil {
					t.Errorf("view: %v", err)
					return
				}
				select {
				case ticks <- struct{}{}:
				default:
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	progress := func() {
		for range 20 {
			select {
			case <-ticks:
			case <-ended: // in error
			}
		}
	}
	for _, nemesis := range []func() error{server.Restart, func() error { return errors.Join(server.Kill(), server.Up()) }} {
		progress()
		want.NoError(t, nemesis())
		progress()
	}
	close(stop)
	<-ended
	want.NoError(t, s.View(t.Context(), func(v store.View) error {
		u, err := v.Users().ByLogin(p, "jane")
		if err == nil && u.Version != 1+acknowledged.Load() {
			err = fmt.Errorf("version %d after %d acknowledged updates", u.Version, acknowledged.Load())
		}
		return err
	}))
	want.True(t, s.Stats().Retries > 0, "the server was missed")
}

// TestServerGone gives up after a while, with the port's error.
func TestServerGone(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(pgtest.Options{})
	want.NoError(t, err)
	t.Cleanup(func() { want.NoError(t, server.Close()) })
	now := noon
	s := open(t, Options{DSN: server.DSN("postgres"), Now: func() time.Time { return now },
		Sleep: func(_ context.Context, d time.Duration) { now = now.Add(d) }})
	want.NoError(t, server.Stop())
	want.Error(t, put(s, "a")(t.Context()), store.ErrBusy)
	want.True(t, now.Sub(noon) >= 3*time.Second && now.Sub(noon) < 4*time.Second, "it was waited for %v", now.Sub(noon))
	want.Error(t, s.Ping(t.Context()), store.ErrBusy)
	_, err = Open(t.Context(), Options{DSN: server.DSN("postgres"), Ring: ring(t, 1), Random: chance.System()})
	want.True(t, err != nil, "a database that is away cannot be opened")
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want failure
	}{
		{&pgconn.PgError{Code: "40001"}, again},
		{fmt.Errorf("x: %w", &pgconn.PgError{Code: "40P01"}), again},
		{&pgconn.PgError{Code: "57P01"}, away},
		{&pgconn.PgError{Code: "57P03"}, away},
		{&pgconn.PgError{Code: "08006"}, away},
		{&pgconn.PgError{Code: "53100"}, full},
		{&pgconn.PgError{Code: "57014"}, busy},
		{&pgconn.PgError{Code: "42601"}, broken},
		{io.ErrUnexpectedEOF, away},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, away},
		{context.DeadlineExceeded, busy},
		{errInjected, broken},
	} {
		want.True(t, postgresFailure(c.err) == c.want, "%v means %d, not %d", c.err, c.want, postgresFailure(c.err))
	}
}
