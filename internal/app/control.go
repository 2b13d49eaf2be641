package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/poolhouse/poolhouse/internal/port/store"
)

// The control socket lets commands of this binary work while a server has the database. It is a Unix socket in the data folder that
// only the folder's owner can open, which is all the proof of identity there is; it speaks JSON over HTTP.

// socketName is the socket's name in the data folder.
const socketName = "control.sock"

// longestSocket is the longest path of a Unix socket on every system.
const longestSocket = 103

// socketPath returns a path of the control socket that is short enough for the system, and a function to call when it is no longer
// needed.
func socketPath(folder string) (path string, done func() error, err error) {
	path = filepath.Join(folder, socketName)
	if len(path) <= longestSocket {
		return path, func() error { return nil }, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path of the data folder is too long for a socket in it: %s", folder)
	}
	f, err := os.Open(folder)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd())), socketName), f.Close, nil
}

// A control serves an Admin on the socket.
type control struct {
	server   *http.Server
	listener net.Listener
	done     func() error
	ended    chan error
}

// startControl listens in the folder, whose database this process owns: a socket that lies there was left behind.
func startControl(ctx context.Context, folder string, a Admin, log *slog.Logger) (*control, error) {
	path, done, err := socketPath(folder)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("remove the old control socket: %w", err), done())
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the control socket: %w", err), done())
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect the control socket: %w", err), l.Close(), done())
	}
	c := &control{listener: l, done: done, ended: make(chan error, 1),
		server: &http.Server{Handler: controlHandler(a, log), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}}
	go func() { c.ended <- c.server.Serve(l) }()
	return c, nil
}

func (c *control) close() error {
	err := c.server.Close()
	if served := <-c.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, c.done())
}

// A refusal is how an error crosses the socket.
type refusal struct {
	Error    string `json:"error"`
	NotFound bool   `json:"not_found,omitempty"`
}

func controlHandler(a Admin, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	handle(mux, log, "/now", func(ctx context.Context, _ struct{}) (time.Time, error) { return a.Now(ctx) })
	handle(mux, log, "/keys/create", a.CreateKey)
	handle(mux, log, "/keys/list", func(ctx context.Context, _ struct{}) ([]Key, error) { return a.Keys(ctx) })
	handle(mux, log, "/keys/delete", func(ctx context.Context, id string) (struct{}, error) { return struct{}{}, a.DeleteKey(ctx, id) })
	handle(mux, log, "/keys/signing", a.SigningKeys)
	handle(mux, log, "/keys/rotate", a.RotateKeys)
	handle(mux, log, "/locks", a.Locks)
	handle(mux, log, "/unlock", func(ctx context.Context, u UserName) (struct{}, error) { return struct{}{}, a.Unlock(ctx, u) })
	handle(mux, log, "/journal", a.Journal)
	handle(mux, log, "/inspect", func(ctx context.Context, _ struct{}) (Inspection, error) { return a.Inspect(ctx) })
	return mux
}

// handle answers a request whose body is an In with an Out.
func handle[In, Out any](mux *http.ServeMux, log *slog.Logger, path string, fn func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, err := func() (any, error) {
			var in In
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
				return nil, fmt.Errorf("read the command: %w", err)
			}
			return fn(r.Context(), in)
		}()
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			answer = refusal{Error: err.Error(), NotFound: errors.Is(err, store.ErrNotFound)}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			log.Warn("control socket: the answer was not taken", "path", path, "error", err)
		}
	})
}

// remote is the Admin that asks a running server.
type remote struct {
	client *http.Client
	done   func() error
}

// errNoServer says that nobody answers at the control socket.
var errNoServer = errors.New("no server answers at the control socket")

func openRemote(folder string) (*remote, error) {
	path, done, err := socketPath(folder)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return &remote{done: done, client: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	}}}}, nil
}

// ask sends a command to the server.
func ask[In, Out any](ctx context.Context, r *remote, path string, in In) (out Out, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control"+path, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		return out, fmt.Errorf("%w: %w", errNoServer, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			return out, fmt.Errorf("ask the server: %w", err)
		}
		var no refusal
		if err := json.Unmarshal(text, &no); err != nil || no.Error == "" {
			return out, fmt.Errorf("the server does not know this command: it answers %s", resp.Status)
		}
		if no.NotFound {
			return out, store.ErrNotFound
		}
		return out, errors.New(no.Error)
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("read the server's answer: %w", err)
	}
	return out, nil
}

func (r *remote) Now(ctx context.Context) (time.Time, error) {
	return ask[struct{}, time.Time](ctx, r, "/now", struct{}{})
}

func (r *remote) CreateKey(ctx context.Context, k NewKey) (Key, error) {
	return ask[NewKey, Key](ctx, r, "/keys/create", k)
}

func (r *remote) Keys(ctx context.Context) ([]Key, error) {
	return ask[struct{}, []Key](ctx, r, "/keys/list", struct{}{})
}

func (r *remote) DeleteKey(ctx context.Context, id string) error {
	_, err := ask[string, struct{}](ctx, r, "/keys/delete", id)
	return err
}

func (r *remote) SigningKeys(ctx context.Context, pool string) ([]SigningKey, error) {
	return ask[string, []SigningKey](ctx, r, "/keys/signing", pool)
}

func (r *remote) RotateKeys(ctx context.Context, rotation Rotation) ([]SigningKey, error) {
	return ask[Rotation, []SigningKey](ctx, r, "/keys/rotate", rotation)
}

func (r *remote) Locks(ctx context.Context, q LockQuery) (Locks, error) {
	return ask[LockQuery, Locks](ctx, r, "/locks", q)
}

func (r *remote) Unlock(ctx context.Context, u UserName) error {
	_, err := ask[UserName, struct{}](ctx, r, "/unlock", u)
	return err
}

func (r *remote) Journal(ctx context.Context, q JournalQuery) ([]JournalEntry, error) {
	return ask[JournalQuery, []JournalEntry](ctx, r, "/journal", q)
}

func (r *remote) Inspect(ctx context.Context) (Inspection, error) {
	return ask[struct{}, Inspection](ctx, r, "/inspect", struct{}{})
}

func (r *remote) Close() error {
	r.client.CloseIdleConnections()
	return r.done()
}
