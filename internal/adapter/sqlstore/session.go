package sqlstore

import (
	"context"
	"database/sql"
	"errors"
)

// executor runs statements on one connection.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// session is a connection that keeps its prepared statements. It is used by one goroutine at a time.
type session struct {
	conn       *sql.Conn
	d          *dialect
	statements map[string]*sql.Stmt
}

func newSession(ctx context.Context, db *sql.DB, d *dialect) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, d: d, statements: make(map[string]*sql.Stmt)}, nil
}

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := s.statements[query]; ok {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, s.d.rewrite(query))
	if err != nil {
		return nil, err
	}
	s.statements[query] = st
	return st, nil
}

func (s *session) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	st, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

func (s *session) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// run executes a statement without arguments and rows, such as BEGIN.
func (s *session) run(ctx context.Context, query string) error {
	_, err := s.ExecContext(ctx, query)
	return err
}

func (s *session) close() error {
	var errs []error
	for _, st := range s.statements {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, s.conn.Close())...)
}
