package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/console"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

type world struct {
	*testing.T
	store   store.Store
	handler http.Handler
	clock   *clock.Movable
	tokens  *tokens.Tokens
	log     *bytes.Buffer
}

const otherPool = "us-east-1_OtherPool"

func open(t *testing.T) *world {
	t.Helper()
	kek, err := seal.NewKEK(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: filepath.Join(t.TempDir(), "poolhouse.db"), Ephemeral: true,
		Ring: seal.NewRing(kek), Random: chance.System(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{T: t, store: s, clock: clock.NewMovable(clock.NewFake(noon), 0), log: &bytes.Buffer{}}
	w.tokens = &tokens.Tokens{Store: s, Chance: chance.System(), Clock: w.clock, Base: "http://127.0.0.1:9229",
		Generate: func(id string) (*jose.Key, error) { return jose.Parse(id, prepared()) }}
	c := &console.Console{Store: s, Clock: w.clock, Tokens: w.tokens, Log: slog.New(slog.NewTextHandler(w.log, nil))}
	if w.handler, err = c.Handler(); err != nil {
		t.Fatal(err)
	}
	w.update(func(tx store.Tx) error {
		for _, id := range []string{"us-east-1_AbCdEf123", otherPool} {
			if err := tx.Pools().Create(&pool.Pool{ID: id, Region: "us-east-1", Account: "123456789012", Created: noon, Modified: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	return w
}

// prepared is the signing key of all tests: making one takes long, and what tells keys apart is their ids.
var prepared = sync.OnceValue(func() []byte {
	k, err := jose.Generate(jose.KeyID([32]byte{}))
	if err != nil {
		panic(err)
	}
	return k.Marshal()
})

func (w *world) update(fn func(store.Tx) error) {
	w.Helper()
	if err := w.store.Update(w.Context(), store.Scope{}, fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) deliver(list ...*store.Delivered) {
	w.update(func(tx store.Tx) error {
		for _, d := range list {
			if err := tx.Inbox().Add(d); err != nil {
				return err
			}
		}
		return nil
	})
}

var (
	mail = &store.Delivered{ID: "m-1", PoolID: "us-east-1_AbCdEf123", Username: "<jane>", Source: notice.SourceUpdateAttribute, Medium: notice.Email,
		To: "jane@example.com", Subject: "Your <code>", Body: secret.New("<p>Hello &amp; welcome</p><script>alert(1)</script><b>914382</b>"),
		Code: secret.New("914382"), At: noon.Add(-2 * time.Hour)}
	text = &store.Delivered{ID: "m-2", PoolID: otherPool, Username: "joe", Source: notice.SourceAdminCreate, Medium: notice.SMS,
		To: "+15555550100", Body: secret.New("Use <b>x<y&z</b>. "), Code: secret.New("x<y&z"), At: noon}
)

func (w *world) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// ids are those of the messages in a JSON answer.
func (w *world) ids(rec *httptest.ResponseRecorder) []string {
	w.Helper()
	var answer struct {
		Messages []struct{ ID string } `json:"messages"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code != http.StatusOK || answer.Messages == nil {
		w.Fatalf("status %d, error %v, body %s", rec.Code, err, rec.Body)
	}
	ids := []string{}
	for _, m := range answer.Messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestInboxJSON(t *testing.T) {
	t.Parallel()
	w := open(t)
	if got := w.do("GET", "/_poolhouse/inbox.json", "").Body.String(); got != "{\"messages\":[]}\n" {
		t.Errorf("empty inbox: %s", got)
	}
	w.deliver(mail, text)
	const want = `{"messages":[` +
		`{"id":"m-2","pool":"us-east-1_OtherPool","username":"joe","source":"CustomMessage_AdminCreateUser","medium":"SMS","to":"+15555550100",` +
		`"subject":"","body":"Use <b>x<y&z</b>. ","code":"x<y&z","at":"2026-11-02T12:00:00.000Z"},` +
		`{"id":"m-1","pool":"us-east-1_AbCdEf123","username":"<jane>","source":"CustomMessage_UpdateUserAttribute","medium":"EMAIL","to":"jane@example.com",` +
		`"subject":"Your <code>","body":"<p>Hello &amp; welcome</p><script>alert(1)</script><b>914382</b>","code":"914382","at":"2026-11-02T10:00:00.000Z"}]}` + "\n"
	for _, rec := range []*httptest.ResponseRecorder{
		w.do("GET", "/_poolhouse/inbox.json", ""), w.do("GET", "/_poolhouse/inbox?format=json", ""),
		w.do("GET", "/_poolhouse/inbox", "", "Accept", "application/json"), w.do("GET", "/_poolhouse/inbox", "", "Accept", "text/plain, application/json;q=0.9"),
	} {
		if diff := cmp.Diff(want, rec.Body.String()); diff != "" || rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("content type %q (-want +got):\n%s", rec.Header().Get("Content-Type"), diff)
		}
	}
	for query, want := range map[string][]string{
		"?to=jane@example.com": {"m-1"}, "?to=%2B15555550100": {"m-2"}, "?to=+15555550100": {"m-2"}, "?pool=" + otherPool: {"m-2"},
		"?to=jane@example.com&pool=" + otherPool: {}, "?limit=1": {"m-2"}, "?limit=1000": {"m-2", "m-1"}, "?to=nobody": {},
	} {
		if diff := cmp.Diff(want, w.ids(w.do("GET", "/_poolhouse/inbox.json"+query, ""))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	for _, limit := range []string{"0", "-1", "1001", "x", "1.5"} {
		rec := w.do("GET", "/_poolhouse/inbox.json?limit="+limit, "")
		if rec.Code != http.StatusBadRequest || rec.Body.String() != "{\"error\":\"limit must be a number from 1 to 1000\"}\n" {
			t.Errorf("limit %s: %d %s", limit, rec.Code, rec.Body)
		}
	}
}

func TestInboxPage(t *testing.T) {
	t.Parallel()
	w := open(t)
	empty := w.do("GET", "/_poolhouse/inbox", "", "Accept", "text/html,application/json").Body.String()
	if !strings.Contains(empty, "No messages yet") || strings.Contains(empty, "Remove all") {
		t.Errorf("empty page:\n%s", empty)
	}
	w.deliver(mail, text)
	rec := w.do("GET", "/_poolhouse/inbox", "")
	page := rec.Body.String()
	for _, want := range []string{
		`<code>914382</code>`, `<code>x&lt;y&amp;z</code>`, `<h2>Your &lt;code&gt;</h2>`, "<p class=\"body\">Hello &amp; welcome\n914382</p>",
		`<p class="body">Use &lt;b&gt;x&lt;y&amp;z&lt;/b&gt;. </p>`, `<dd>&lt;jane&gt;</dd>`, `2 h ago`, `just now`, `http-equiv="refresh"`,
		`href="/_poolhouse/inbox?still&amp;to=%2b15555550100"`, `Remove all`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "alert(1)") || strings.Contains(page, "style=") {
		t.Errorf("the page holds a script or a style of its own:\n%s", page)
	}
	if first, second := strings.Index(page, "m-2"), strings.Index(page, "m-1"); first > second {
		t.Error("the newest message is not first")
	}
	for name, want := range map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Cache-Control":           "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	filtered := w.do("GET", "/_poolhouse/inbox?still&to="+`"><b>`, "").Body.String()
	if !strings.Contains(filtered, "No message fits") || strings.Contains(filtered, `"><b>`) || strings.Contains(filtered, "http-equiv") {
		t.Errorf("filtered page:\n%s", filtered)
	}
	if style := w.do("GET", "/_poolhouse/style.css", ""); style.Code != http.StatusOK || !strings.HasPrefix(style.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %s", style.Code, style.Header().Get("Content-Type"))
	}
	if home := w.do("GET", "/_poolhouse/", ""); home.Header().Get("Location") != "/_poolhouse/pools" {
		t.Errorf("home leads to %q", home.Header().Get("Location"))
	}
	if nowhere := w.do("GET", "/_poolhouse/nowhere", ""); nowhere.Code != http.StatusNotFound {
		t.Errorf("nowhere: %d", nowhere.Code)
	}
}

func TestClear(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, test := range []struct {
		method, target string
		status         int
	}{{"DELETE", "/_poolhouse/inbox", http.StatusNoContent}, {"POST", "/_poolhouse/inbox/clear", http.StatusSeeOther}} {
		w.deliver(mail, text)
		if rec := w.do(test.method, test.target, ""); rec.Code != test.status {
			t.Errorf("%s: %d, want %d", test.method, rec.Code, test.status)
		}
		if left := w.ids(w.do("GET", "/_poolhouse/inbox.json", "")); len(left) != 0 {
			t.Errorf("%s left %v", test.method, left)
		}
	}
	if rec := w.do("PUT", "/_poolhouse/inbox", ""); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d", rec.Code)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, step := range []struct{ send, want string }{
		{"", `{"now":"2026-11-02T12:00:00.000Z","offset":"0s"}`},
		{`{"advance":"720h"}`, `{"now":"2026-12-02T12:00:00.000Z","offset":"720h0m0s"}`},
		{`{"advance":"-1h30m"}`, `{"now":"2026-12-02T10:30:00.000Z","offset":"718h30m0s"}`},
		{`{"set":"2026-11-02T13:00:00+02:00"}`, `{"now":"2026-11-02T11:00:00.000Z","offset":"-1h0m0s"}`},
		{`{"reset":true}`, `{"now":"2026-11-02T12:00:00.000Z","offset":"0s"}`},
		{`{"advance":"1500ms"}`, `{"now":"2026-11-02T12:00:01.500Z","offset":"1.5s"}`},
	} {
		method := "POST"
		if step.send == "" {
			method = "GET"
		}
		if got := w.do(method, "/_poolhouse/clock", step.send).Body.String(); got != step.want+"\n" {
			t.Errorf("%s: %swant %s", step.send, got, step.want)
		}
		stored, err := console.LoadOffset(t.Context(), w.store)
		if err != nil || stored != w.clock.Offset() {
			t.Errorf("%s: stored offset %v (error %v), in force %v", step.send, stored, err, w.clock.Offset())
		}
	}
	if page := w.do("GET", "/_poolhouse/inbox", "").Body.String(); !strings.Contains(page, "clock moved by 2s") {
		t.Errorf("the page does not tell the moved clock:\n%s", page)
	}
	for _, wrong := range []string{"", "{}", "null", "[]", `{"advance":"1h","reset":true}`, `{"reset":false}`, `{"advance":"soon"}`, `{"advance":5}`, `{"set":"tomorrow"}`,
		`{"set":"9999-01-01T00:00:00Z"}`, `{"set":"0001-01-01T00:00:00Z"}`, `{"advance":"1000000h"}`, `{"advance":"2562047h47m16.8s"}`, `{"forward":"1h"}`,
		`{"advance":"` + strings.Repeat("1h", 4000) + `"}`} {
		rec := w.do("POST", "/_poolhouse/clock", wrong)
		if rec.Code != http.StatusBadRequest || w.clock.Offset() != 1500*time.Millisecond {
			t.Errorf("%.60s: %d %s; offset %v", wrong, rec.Code, rec.Body, w.clock.Offset())
		}
	}
}

// What goes wrong in the store is told to the log and not to the client, and never with a code.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.deliver(mail)
	log := &bytes.Buffer{}
	c := &console.Console{Store: away{w.store}, Clock: w.clock, Log: slog.New(slog.NewTextHandler(log, nil))}
	handler, err := c.Handler()
	if err != nil {
		t.Fatal(err)
	}
	w.handler = handler
	for _, request := range [][3]string{{"GET", "/_poolhouse/inbox", ""}, {"GET", "/_poolhouse/inbox.json", ""}, {"DELETE", "/_poolhouse/inbox", ""},
		{"POST", "/_poolhouse/clock", `{"advance":"1h"}`}} {
		rec := w.do(request[0], request[1], request[2])
		body, err := io.ReadAll(rec.Body)
		if err != nil || rec.Code != http.StatusInternalServerError || strings.Contains(string(body), "disk") {
			t.Errorf("%v: %d %s", request, rec.Code, body)
		}
	}
	if n := strings.Count(log.String(), "disk on fire"); n != 4 {
		t.Errorf("logged %d times, want 4:\n%s", n, log)
	}
	if w.clock.Offset() != 0 {
		t.Errorf("the clock moved by %v although that could not be stored", w.clock.Offset())
	}
}

type away struct{ store.Store }

func (away) View(context.Context, func(store.View) error) error { return errors.New("disk on fire") }

func (away) Update(context.Context, store.Scope, func(store.Tx) error) error {
	return errors.New("disk on fire")
}
