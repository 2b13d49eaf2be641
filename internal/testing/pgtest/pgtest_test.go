//go:build unix

package pgtest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// roleEnv turns a copy of this test binary into a process that starts a server and waits to be killed.
const roleEnv = "PGTEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "victim" {
		victim()
	}
	os.Exit(m.Run())
}

// victim starts a server, prints its folder and connection string, and waits to be killed: it would leave only when the test
// closes its input.
func victim() {
	s, err := Start(Options{})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(s.dir + "\n" + s.DSN("postgres") + "\n")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// query returns the one value of a statement as text.
func query(ctx context.Context, dsn, statement string) (string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var value string
	err = conn.QueryRow(ctx, statement).Scan(&value)
	return value, err
}

func TestDatabaseIsFreshAndDropped(t *testing.T) {
	t.Parallel()
	var dropped string
	t.Run("use", func(t *testing.T) {
		one, two := Database(t), Database(t)
		want.True(t, one != two, "two databases differ, both are %s", one)
		want.NoError(t, execute(t.Context(), one, "CREATE TABLE things (name text)"))
		_, err := query(t.Context(), two, "SELECT count(*)::text FROM things")
		want.Error(t, err, nil)
		order, err := query(t.Context(), one, "SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('B'), ('a')) AS t(x)")
		want.NoError(t, err)
		want.Equal(t, order, "aB") // linguistic, so that forgotten COLLATE "C" clauses show
		dropped = one
	})
	_, err := query(t.Context(), dropped, "SELECT 'still here'")
	want.Error(t, err, nil)
	want.Contains(t, err.Error(), "does not exist")
}

func TestServerKeepsItsDataOverRestartAndCrash(t *testing.T) {
	t.Parallel()
	s, err := Start(Options{Durable: true, MaxConnections: 20, Settings: map[string]string{"application_name": "two words"}})
	want.NoError(t, err)
	t.Cleanup(func() { want.NoError(t, s.Close()) })

	ctx, dsn := t.Context(), s.DSN("postgres")
	for name, value := range map[string]string{"fsync": "on", "max_connections": "20", "password_encryption": "scram-sha-256"} {
		got, err := query(ctx, dsn, "SHOW "+name)
		want.NoError(t, err)
		want.Equal(t, got, value)
	}
	want.NoError(t, execute(ctx, dsn, "CREATE TABLE kept AS SELECT 'yes' AS answer"))

	ends := []struct {
		name string
		end  func() error
	}{
		{"restart", s.Restart},
		{"kill", func() error { return errors.Join(s.Kill(), s.Up()) }},
		{"second kill", func() error { return errors.Join(s.Kill(), s.Up()) }},
	}
	for _, e := range ends {
		want.NoError(t, e.end())
		got, err := query(ctx, dsn, "SELECT answer FROM kept")
		want.NoError(t, err)
		want.True(t, got == "yes", "the row survives a %s", e.name)
	}

	want.NoError(t, s.Stop())
	_, err = query(ctx, dsn, "SELECT 'up'")
	want.Error(t, err, nil)
	want.Error(t, s.Kill(), fs.ErrNotExist)
	want.NoError(t, s.Up())

	want.NoError(t, s.Kill()) // a dead server is closed just the same
	want.NoError(t, s.Close())
	_, err = os.Stat(s.dir)
	want.Error(t, err, fs.ErrNotExist)
}

// A server must not outlive the process that started it, even if that process has no chance to clean up.
func TestWatchdogStopsTheServerOfADeadProcess(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=victim")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	want.NoError(t, err)
	in, err := cmd.StdinPipe()
	want.NoError(t, err)
	want.NoError(t, cmd.Start())
	t.Cleanup(func() { in.Close() })
	lines := bufio.NewScanner(out)
	want.True(t, lines.Scan(), "the other process prints the folder")
	dir := lines.Text()
	want.True(t, lines.Scan(), "the other process prints the connection string")
	_, err = query(t.Context(), lines.Text(), "SELECT 'up'")
	want.NoError(t, err)

	// The end of a connection is the one sign of the server's end that can be waited for.
	conn, err := pgx.Connect(t.Context(), lines.Text())
	want.NoError(t, err)
	want.NoError(t, cmd.Process.Kill())
	want.Error(t, cmd.Wait(), nil)
	_, err = conn.WaitForNotification(t.Context())
	want.Error(t, err, nil) // the server ended the connection
	want.True(t, strings.HasPrefix(dir, "/tmp/poolhouse-pg-"), "%s is one of our folders", dir)
}
