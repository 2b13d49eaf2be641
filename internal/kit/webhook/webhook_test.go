package webhook_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/webhook"
)

// The value was computed with: printf '1753900000.a.{}' | openssl dgst -sha256 -hmac key
func TestSign(t *testing.T) {
	t.Parallel()
	got := webhook.Sign([]byte("key"), time.Unix(1753900000, 5), []byte("a"), []byte("{}"))
	if want := "t=1753900000,v1=47b69941feda07667fef9ac4b3cc689968fa21412415560f1c81f66aba25d588"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	visits := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits <- r.URL.Path + " " + r.Method + " " + r.Header.Get("Content-Type") + " " + r.Header.Get("X-Own")
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusTeapot)
		if _, err := w.Write([]byte("0123456789")); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	client := webhook.NewClient()
	own := http.Header{"X-Own": {"yes"}}

	answer, err := webhook.Post(t.Context(), client, server.URL+"/a", own, []byte("{}"), 10)
	if err != nil || answer.Status != http.StatusTeapot || string(answer.Body) != "0123456789" {
		t.Errorf("answer %+v, error %v", answer, err)
	}
	if got := <-visits; got != "/a POST application/json yes" {
		t.Errorf("visit %q", got)
	}
	if len(own) != 1 {
		t.Errorf("the caller's header changed: %v", own)
	}
	if _, err := webhook.Post(t.Context(), client, server.URL+"/b", nil, nil, 9); !errors.Is(err, webhook.ErrTooLarge) {
		t.Errorf("ten bytes where nine are allowed: %v", err)
	}
	<-visits
	if answer, err := webhook.Post(t.Context(), client, server.URL+"/redirect", nil, nil, 1000); err != nil || answer.Status != http.StatusTemporaryRedirect {
		t.Errorf("redirect: %+v, %v; want it as the answer", answer, err)
	}
	<-visits
	if len(visits) != 0 {
		t.Errorf("the redirect was followed to %s", <-visits)
	}
	for _, address := range []string{"http://127.0.0.1:1/?token=hush", "http://hush:hush@127.0.0.1:1/", "://hush", "hush://x/"} {
		if _, err := webhook.Post(t.Context(), client, address, nil, nil, 1); err == nil || strings.Contains(err.Error(), "hush:") || strings.Contains(err.Error(), "=hush") {
			t.Errorf("%s: %v, want an error without the address", address, err)
		}
	}
}
