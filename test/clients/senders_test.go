package clients_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// TestCustomSendersWithJavaScript decrypts what custom senders receive with the public JavaScript library for it.
func TestCustomSendersWithJavaScript(t *testing.T) {
	t.Parallel()
	installed(t)
	hook := httptest.NewServer(&eventLog{})
	t.Cleanup(hook.Close)
	s := dev(t, "--trigger", "*="+hook.URL)
	c := s.client(t, "node", "--no-warnings", "js/senders.mjs")
	c.Env = append(c.Env, "HOOK_URL="+hook.URL)
	scenarios(t, c)
}

// eventLog is a function that keeps the events it gets; GET answers them as a JSON list.
type eventLog struct {
	mu     sync.Mutex
	events [][]byte
}

func (l *eventLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Method == http.MethodGet {
		_, _ = w.Write(append(append([]byte("["), bytes.Join(l.events, []byte(","))...), ']')) // a client that went away asks again
		return
	}
	event, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	l.events = append(l.events, event)
}
