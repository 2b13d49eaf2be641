package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// newHook is a function behind a URL: it does its work and returns the event as it came.
func newHook(t *testing.T, work func()) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		work()
		if _, err := w.Write(event); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}
