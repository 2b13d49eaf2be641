// Package console is the operator's corner of the server, below /_poolhouse/. So far it belongs to development: the inbox,
// where messages end that have no other sender, the clock that can be moved, and tokens without a sign-in.
//
// It shows codes in the clear and must not be mounted where users can reach it. Whether a request may come here at all
// (host, origin) is decided at the edge.
package console

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	bodyLimit    = 4 << 10
	// maxOffset keeps the clock within years that every format can write.
	maxOffset     = 100 * 365 * 24 * time.Hour
	offsetSetting = "console.clock-offset"
)

//go:embed inbox.html pages.html style.css
var files embed.FS

// Console serves the pages.
type Console struct {
	Store store.Store
	Clock *clock.Movable // the domain's clock
	Log   *slog.Logger
	// Tokens makes tokens without a sign-in.
	Tokens *tokens.Tokens
	// FixedCode is what all codes are at the start and after a reset; "": they are drawn.
	FixedCode string
	// MaxFailures is how many passwords may be wrong in a row, 0 for any number.
	MaxFailures int

	// Forget is told the id of every pool that a reset removed; nil: nobody keeps pools.
	Forget func(poolID string)
	// Restart makes what the server had at its start, after a reset; nil: nothing.
	Restart func(ctx context.Context) error

	pages  *template.Template
	moving sync.Mutex // one mover at a time, so that the stored offset is the one in force
}

// Handler routes the requests below /_poolhouse/.
func (c *Console) Handler() (http.Handler, error) {
	page, err := template.New("inbox.html").Funcs(template.FuncMap{"plain": notice.Plain}).ParseFS(files, "inbox.html", "pages.html")
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	c.pages = page
	mux := http.NewServeMux()
	mux.Handle("GET /_poolhouse/{$}", http.RedirectHandler("/_poolhouse/pools", http.StatusFound))
	c.browse(mux)
	mux.HandleFunc("GET /_poolhouse/inbox", func(w http.ResponseWriter, r *http.Request) {
		if wantsJSON(r) {
			c.inboxJSON(w, r)
			return
		}
		c.inboxPage(w, r, page)
	})
	mux.HandleFunc("GET /_poolhouse/inbox.json", c.inboxJSON)
	mux.HandleFunc("DELETE /_poolhouse/inbox", c.clear)
	mux.HandleFunc("POST /_poolhouse/inbox/clear", c.clear) // a page's form cannot DELETE
	mux.HandleFunc("GET /_poolhouse/clock", c.clock)
	mux.HandleFunc("POST /_poolhouse/clock", c.moveClock)
	mux.HandleFunc("POST /_poolhouse/clock/move", c.moveByForm)
	mux.HandleFunc("POST /_poolhouse/reset", c.reset)
	mux.HandleFunc("POST /_poolhouse/tokens", c.issueTokens)
	mux.HandleFunc("GET /_poolhouse/token", func(w http.ResponseWriter, r *http.Request) {
		c.page(w, r, "token", tokenPage{frame: c.frame("Token")})
	})
	mux.HandleFunc("POST /_poolhouse/token", c.inspectToken)
	mux.HandleFunc("GET /_poolhouse/codes", c.showCodes)
	mux.HandleFunc("POST /_poolhouse/codes", c.fixCodes)
	mux.HandleFunc("POST /_poolhouse/keys/rotate", c.rotateKeys)
	mux.HandleFunc("POST /_poolhouse/pools/{pool}/users/{user}/unlock", c.unlock)
	mux.HandleFunc("GET /_poolhouse/style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "style.css") })
	return guarded(mux), nil
}

// guarded sets the headers that every answer has. The pages run no script and load nothing but their style.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func wantsJSON(r *http.Request) bool {
	if format := r.URL.Query().Get("format"); format != "" {
		return format == "json"
	}
	for accept := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		switch kind, _, err := mime.ParseMediaType(accept); {
		case err != nil:
		case kind == "text/html":
			return false
		case kind == "application/json":
			return true
		}
	}
	return false
}

// selection is what of the inbox is asked for.
type selection struct {
	To, Pool string
	limit    int
}

func (c *Console) read(r *http.Request) (selection, []*store.Delivered, error) {
	q := r.URL.Query()
	s := selection{To: strings.TrimSpace(q.Get("to")), Pool: strings.TrimSpace(q.Get("pool")), limit: defaultLimit}
	// A plus sign that was not escaped arrives as a space, and every phone number starts with one.
	if strings.HasPrefix(q.Get("to"), " ") {
		s.To = "+" + s.To
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return s, nil, badRequest(fmt.Sprintf("limit must be a number from 1 to %d", maxLimit))
		}
		s.limit = n
	}
	var list []*store.Delivered
	err := c.Store.View(r.Context(), func(v store.View) (err error) {
		list, err = v.Inbox().List(s.To, s.Pool, s.limit)
		return err
	})
	return s, list, err
}

// badRequest is an error that whoever asked can mend.
type badRequest string

func (b badRequest) Error() string { return string(b) }

// notThere is an error about something that does not exist.
type notThere string

func (n notThere) Error() string { return string(n) }

type messageJSON struct {
	ID       string        `json:"id"`
	Pool     string        `json:"pool"`
	Username string        `json:"username"`
	Source   string        `json:"source"`
	Medium   notice.Medium `json:"medium"`
	To       string        `json:"to"`
	Subject  string        `json:"subject"`
	Body     string        `json:"body"`
	Code     string        `json:"code"`
	// Function is the ARN of the custom sender that got the message; absent when the message was meant for the inbox.
	Function string `json:"function,omitempty"`
	At       string `json:"at"`
}

func asMessage(d *store.Delivered) messageJSON {
	return messageJSON{ID: d.ID, Pool: d.PoolID, Username: d.Username, Source: d.Source, Medium: d.Medium, To: d.To, Subject: d.Subject,
		Body: d.Body.Reveal(), Code: d.Code.Reveal(), Function: d.Function, At: instant(d.At)}
}

func (c *Console) inboxJSON(w http.ResponseWriter, r *http.Request) {
	_, list, err := c.read(r)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	out := struct {
		Messages []messageJSON `json:"messages"`
	}{make([]messageJSON, 0, len(list))}
	for _, d := range list {
		out.Messages = append(out.Messages, asMessage(d))
	}
	c.json(w, out)
}

type messagePage struct {
	messageJSON
	IsHTML bool
	Ago    string
}

func (c *Console) inboxPage(w http.ResponseWriter, r *http.Request, page *template.Template) {
	s, list, err := c.read(r)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	now := c.Clock.Now()
	data := struct {
		selection
		Messages []messagePage
		frame
		Still bool // the page does not load itself again
	}{selection: s, frame: c.frame("Inbox"), Still: r.URL.Query().Has("still")}
	for _, d := range list {
		data.Messages = append(data.Messages, messagePage{IsHTML: d.Medium == notice.Email, Ago: ago(now.Sub(d.At)), messageJSON: asMessage(d)})
	}
	var out strings.Builder
	if err := page.Execute(&out, data); err != nil {
		c.fail(w, r, fmt.Errorf("write inbox page: %w", err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, out.String()) // the browser may have gone
}

// ago is an age in the largest unit that fits.
func ago(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= unit.size {
			return fmt.Sprintf("%d %s ago", d/unit.size, unit.name)
		}
	}
	return "just now"
}

func (c *Console) clear(w http.ResponseWriter, r *http.Request) {
	err := c.Store.Update(r.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Inbox().Clear() })
	switch {
	case err != nil:
		c.fail(w, r, err)
	case r.Method == http.MethodPost:
		http.Redirect(w, r, "/_poolhouse/inbox", http.StatusSeeOther)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (c *Console) showClock(w http.ResponseWriter) {
	c.json(w, struct {
		Now    string `json:"now"`
		Offset string `json:"offset"`
	}{instant(c.Clock.Now()), c.Clock.Offset().String()})
}

// moveClock takes one of {"advance":"720h"}, {"set":"2026-12-24T18:00:00Z"} and {"reset":true}.
func (c *Console) moveClock(w http.ResponseWriter, r *http.Request) {
	var move movement
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit))
	d.DisallowUnknownFields()
	if err := d.Decode(&move); err != nil {
		c.fail(w, r, badRequest(`send one of {"advance":"720h"}, {"set":"2026-12-24T18:00:00Z"}, {"reset":true}`))
		return
	}
	if err := c.move(r.Context(), move); err != nil {
		c.fail(w, r, err)
		return
	}
	c.showClock(w)
}

// movement is where to move the clock; one of its members is there.
type movement struct {
	Advance *string `json:"advance"`
	Set     *string `json:"set"`
	Reset   *bool   `json:"reset"`
}

// offset is that of a clock that was moved.
func (m *movement) offset(c clock.Clock, present time.Duration) (time.Duration, error) {
	var offset time.Duration
	switch {
	case m.Advance != nil && m.Set == nil && m.Reset == nil:
		by, err := time.ParseDuration(*m.Advance)
		if err != nil {
			return 0, badRequest("advance must be a duration such as 720h or 90m")
		}
		if by > maxOffset || by < -maxOffset {
			return 0, badRequest("the clock cannot be moved by more than 100 years")
		}
		offset = present + by
	case m.Set != nil && m.Advance == nil && m.Reset == nil:
		to, err := time.Parse(time.RFC3339, *m.Set)
		if err != nil {
			return 0, badRequest("set must be an instant such as 2026-12-24T18:00:00Z")
		}
		offset = present + to.Sub(c.Now())
	case m.Reset != nil && *m.Reset && m.Advance == nil && m.Set == nil:
	default:
		return 0, badRequest("send exactly one of advance, set and reset")
	}
	if offset > maxOffset || offset < -maxOffset {
		return 0, badRequest("the clock cannot be moved by more than 100 years")
	}
	return offset, nil
}

// move moves the clock, and stores how far it is off.
func (c *Console) move(ctx context.Context, m movement) error {
	c.moving.Lock()
	defer c.moving.Unlock()
	offset, err := m.offset(c.Clock, c.Clock.Offset())
	if err != nil {
		return err
	}
	if err := c.Store.Update(ctx, store.Scope{}, func(tx store.Tx) error { return putOffset(tx, offset) }); err != nil {
		return err
	}
	c.Clock.SetOffset(offset.Truncate(time.Millisecond))
	return nil
}

func putOffset(tx store.Tx, offset time.Duration) error {
	return tx.Settings().Put(offsetSetting, strconv.AppendInt(nil, offset.Milliseconds(), 10))
}

// LoadOffset is how far the clock was moved when the server ran last; 0 when it never was.
func LoadOffset(ctx context.Context, s store.Store) (time.Duration, error) {
	var text []byte
	err := s.View(ctx, func(v store.View) (err error) {
		text, err = v.Settings().Get(offsetSetting)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the clock's offset: %w", err)
	}
	ms, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the clock's offset: %w", err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (c *Console) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client may have gone
}

// fail answers an error: the asker's as it is, ours without its text.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusInternalServerError, "the request could not be processed"
	if mistake, ok := errors.AsType[badRequest](err); ok {
		status, text = http.StatusBadRequest, mistake.Error()
	} else if missing, ok := errors.AsType[notThere](err); ok {
		status, text = http.StatusNotFound, missing.Error()
	} else if r.Context().Err() == nil {
		c.Log.ErrorContext(r.Context(), "console request failed", "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	c.json(w, map[string]string{"error": text})
}
