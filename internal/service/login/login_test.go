package login_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/login"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// settings is a store with one client that has a secret.
type settings struct{ store.Store }

func (settings) View(_ context.Context, fn func(store.View) error) error { return fn(view{}) }

type view struct{ store.View }

func (view) Pools() store.PoolReader     { return pools{} }
func (view) Clients() store.ClientReader { return clients{} }

type pools struct{ store.PoolReader }

func (pools) Get(id string) (*pool.Pool, error) { return &pool.Pool{ID: id, Region: "us-east-1"}, nil }

type clients struct{ store.ClientReader }

func (clients) Get(poolID, id string) (*pool.Client, error) {
	return &pool.Client{ID: id, PoolID: poolID, Secrets: []pool.ClientSecret{{Value: secret.New("s")}}}, nil
}

func (c clients) ByID(id string) (*pool.Client, error) {
	if id != "app" {
		return nil, store.ErrNotFound
	}
	return c.Get("us-east-1_Abc", id)
}

// page is the page with what its calls come to.
type page struct {
	*login.Confirm
	calls []string
	err   error
}

func newPage(t *testing.T) *page {
	t.Helper()
	p := &page{}
	reg := dispatch.NewRegistry()
	dispatch.Handle(reg, api.ConfirmSignUp, func(_ context.Context, c *dispatch.Call, in *api.ConfirmSignUpInput) (*api.ConfirmSignUpOutput, error) {
		p.calls = append(p.calls, fmt.Sprintf("%s %s %s hosted=%v secret=%v force=%v %s %s %s", in.ClientId, in.Username, in.ConfirmationCode.Reveal(), c.Hosted, in.SecretHash != nil, in.ForceAliasCreation != nil, c.RequestID, c.Source, c.UserAgent))
		return &api.ConfirmSignUpOutput{}, p.err
	})
	fake := clock.NewFake(time.Unix(1_700_000_000, 0))
	var err error
	p.Confirm, err = login.NewConfirm(&dispatch.Pipeline{Registry: reg, Store: settings{}, Clock: fake, Settings: &dispatch.Settings{Store: settings{}, Clock: fake}, Log: slog.New(slog.DiscardHandler)}, "us-east-1")
	want.NoError(t, err)
	return p
}

// open opens an address and returns the status and the texts of the page.
func (p *page) open(t *testing.T, method, query string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/confirmUser/?"+query, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.Serve(w, r, "r1", "192.0.2.1")
	if w.Code != http.StatusMethodNotAllowed {
		for name, value := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8"} {
			want.Equal(t, w.Header().Get(name), value)
		}
		want.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
	}
	return w.Code, w.Body.String()
}

const whole = "client_id=app&user_name=jane%2B%C3%A9&confirmation_code=012345"

func TestConfirm(t *testing.T) {
	t.Parallel()
	p := newPage(t)
	status, body := p.open(t, http.MethodGet, whole, "User-Agent", "browser/1")
	want.Equal(t, status, http.StatusOK)
	want.Contains(t, body, "<h1>Your registration has been confirmed!</h1>")
	// The page makes the call of a program, needs no secret, and takes no alias from anybody.
	want.Equal(t, p.calls, []string{"app jane+é 012345 hosted=true secret=false force=false r1 192.0.2.1 browser/1"})
}

// Whoever only looks confirms nobody.
func TestLookingConfirmsNothing(t *testing.T) {
	t.Parallel()
	p := newPage(t)
	for name, header := range map[string][]string{"prefetch": {"Sec-Purpose", "prefetch"}, "prerender": {"Sec-Purpose", "prefetch;prerender"}, "old name": {"Purpose", "prefetch"}, "older name": {"X-Moz", "Prefetch"}, "preview": {"X-Purpose", "preview"}} {
		status, body := p.open(t, http.MethodGet, whole+`&x="><script>`, header...)
		want.Equal(t, status, http.StatusOK)
		want.Contains(t, html.UnescapeString(body), `href="?client_id=app&user_name=jane%2B%C3%A9&confirmation_code=012345&x=%22%3e%3cscript%3e"`)
		want.True(t, !strings.Contains(body, "<script>"), "%s: %s", name, body)
	}
	status, _ := p.open(t, http.MethodHead, whole)
	want.Equal(t, status, http.StatusOK)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodOptions} {
		status, _ := p.open(t, method, whole)
		want.Equal(t, status, http.StatusMethodNotAllowed)
	}
	want.Equal(t, p.calls, nil)
}

func TestConfirmRefused(t *testing.T) {
	t.Parallel()
	t.Run("half a link", func(t *testing.T) {
		t.Parallel()
		p := newPage(t)
		for _, query := range []string{"", "client_id=app&user_name=jane", "client_id=app&user_name=&confirmation_code=1", whole + "&client_id=app", "client_id=app;user_name=jane&confirmation_code=1"} {
			status, body := p.open(t, http.MethodGet, query)
			want.Equal(t, status, http.StatusBadRequest)
			want.Contains(t, body, "Part of the link is missing.")
		}
		want.Equal(t, p.calls, nil)
	})
	for name, r := range map[string]struct {
		query  string
		err    error
		status int
		text   string
	}{
		"wrong code":     {whole, fault.CodeMismatch(), http.StatusBadRequest, "Invalid verification code provided, please try again."},
		"too many":       {whole, fault.AttemptsExceeded(), http.StatusTooManyRequests, "Attempt limit exceeded, please try after some time."},
		"unknown client": {strings.Replace(whole, "app", "x", 1), nil, http.StatusBadRequest, "User pool client x does not exist."},
		"bad code":       {"client_id=app&user_name=jane&confirmation_code=%3Cb%3E+", nil, http.StatusBadRequest, "1 validation error detected"},
		"our own fault":  {whole, errors.New("disk on fire"), http.StatusInternalServerError, "The request could not be processed. Request id: r1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPage(t)
			p.err = r.err
			status, body := p.open(t, http.MethodGet, r.query)
			want.Equal(t, status, r.status)
			want.Contains(t, body, r.text)
			want.Contains(t, body, "<h1>Your registration could not be confirmed</h1>")
			want.True(t, !strings.Contains(body, "fire") && !strings.Contains(body, "<b>"), "%s", body)
		})
	}
}
