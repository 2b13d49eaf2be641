package sqlstore

import (
	"context"
	"fmt"
)

// SQLite appends commits to a log, which has to be copied into the file now and then. Left to itself it does so inside
// a commit, and everybody waits. Here a second connection copies while the writer goes on, and then the writer, between
// two groups, copies the few pages that came since and starts the log again from its beginning.

const (
	// checkpointPages is how long the log grows before it is copied: 64 MB. The disk writes many pages at a time several
	// times faster than few, and each fsync of the file holds up those of the log.
	checkpointPages = 16000
	lookEvery       = 64 // updates between two looks at the length of the log
	// restartWait is how long the writer waits, in milliseconds, for readers that still use the log. It tries again
	// after as many pages more.
	restartWait = 20
)

type checkpointer struct {
	c       *session
	wake    chan struct{}
	restart chan struct{} // to the writer: the copying is done but for the rest
	stopped chan struct{}

	// The rest belongs to the writer's goroutine.
	updates int // since the last look
	base    int // pages that were in the log when it could not be started again
	busy    bool
}

func startCheckpointer(w *writer) (*checkpointer, error) {
	c, err := newSession(w.ctx, w.s.db, w.s.d)
	if err != nil {
		return nil, err
	}
	l := &checkpointer{c: c, wake: make(chan struct{}, 1), restart: make(chan struct{}, 1), stopped: make(chan struct{})}
	go l.copy(w)
	return l, nil
}

// close is called when the writer has stopped.
func (l *checkpointer) close() error {
	close(l.wake)
	<-l.stopped
	return l.c.close()
}

// wrote counts updates and wakes the second connection when the log is long.
func (l *checkpointer) wrote(w *writer, updates int) {
	if l.updates += updates; l.updates < lookEvery || l.busy {
		return
	}
	l.updates = 0
	_, log, copied, err := checkpoint(w.ctx, w.c, `PRAGMA wal_checkpoint(NOOP)`)
	if err != nil {
		w.s.log.Warn("look at the log's length", "error", err)
		return
	}
	w.s.statistic.logPages.Store(int64(log - copied))
	if log < l.base { // it has started again
		l.base = 0
	}
	if log-l.base >= checkpointPages {
		l.busy = true
		l.wake <- struct{}{}
	}
}

// copy is the goroutine of the second connection. The second round copies what came during the first.
func (l *checkpointer) copy(w *writer) {
	defer close(l.stopped)
	for range l.wake {
		for range 2 {
			if _, _, _, err := checkpoint(w.ctx, l.c, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
				l.failed(w, err)
			}
		}
		l.restart <- struct{}{}
	}
}

// finish is the writer's part.
func (l *checkpointer) finish(w *writer) {
	l.busy = false
	if w.s.Err() != nil {
		return
	}
	// A reader must not hold up the writer for long.
	if err := w.c.run(w.ctx, fmt.Sprintf(`PRAGMA busy_timeout = %d`, restartWait)); err != nil {
		l.failed(w, err)
		return
	}
	busy, log, copied, err := checkpoint(w.ctx, w.c, `PRAGMA wal_checkpoint(RESTART)`)
	if err != nil {
		l.failed(w, err)
	}
	if err := w.c.run(w.ctx, fmt.Sprintf(`PRAGMA busy_timeout = %d`, busyTimeout.Milliseconds())); err != nil {
		l.failed(w, err)
	}
	if err != nil || busy {
		l.base = log
		return
	}
	l.base = 0
	w.s.statistic.logPages.Store(int64(log - copied))
	w.s.statistic.checkpoints.Add(1)
}

// failed decides about an error of a checkpoint. A checkpoint syncs log and file; when that fails, what was committed
// may not be on the disk.
func (l *checkpointer) failed(w *writer, err error) {
	if kind := sqliteFailure(err); kind == full || kind == busy {
		w.s.log.Warn("checkpoint put off", "error", err)
		return
	}
	_ = w.s.poison(fmt.Errorf("checkpoint: %w", err)) // the error is logged there
}

// checkpoint runs a statement that reports whether it was in the way of somebody, the pages in the log, and how many
// of them are copied.
func checkpoint(ctx context.Context, c *session, statement string) (busy bool, log, copied int, err error) {
	rows, err := c.QueryContext(ctx, statement)
	if err != nil {
		return false, 0, 0, err
	}
	defer func() {
		if closed := rows.Close(); err == nil {
			err = closed
		}
	}()
	for rows.Next() {
		if err := rows.Scan(&busy, &log, &copied); err != nil {
			return false, 0, 0, err
		}
	}
	return busy, log, copied, rows.Err()
}
