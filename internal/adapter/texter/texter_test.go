package texter_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/adapter/texter"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/message/messagetest"
)

// gateway is an SMS gateway.
type gateway struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	answer string
	posts  []post
	header http.Header
	closed chan struct{}
	hang   bool
}

type post struct {
	ID, To, Body, Pool, Source string
	raw                        []byte
}

func open(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{status: http.StatusAccepted, closed: make(chan struct{})}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	t.Cleanup(func() { close(g.closed) })
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	p := post{raw: raw}
	if err := json.Unmarshal(raw, &p); err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	g.mu.Lock()
	status, answer, hang := g.status, g.answer, g.hang
	if status < 300 && !hang {
		g.posts = append(g.posts, p)
	}
	g.header = r.Header
	g.mu.Unlock()
	if hang {
		select {
		case <-g.closed:
		case <-r.Context().Done():
		}
		return
	}
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer) // the client may have gone
}

func (g *gateway) set(fn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fn()
}

func sender(url string) *texter.Webhook {
	return &texter.Webhook{URL: url, Client: webhook.NewClient(), Real: clock.NewFake(time.Unix(1753900000, 0))}
}

func TestContract(t *testing.T) {
	t.Parallel()
	messagetest.Run(t, func(t *testing.T) *messagetest.World {
		g := open(t)
		answers := func(name string, status int, kind message.Kind) messagetest.Behaviour {
			return messagetest.Behaviour{Name: name, Refuses: kind, Provoke: func() { g.set(func() { g.status = status }) }}
		}
		return &messagetest.World{
			Sender: sender(g.URL), Medium: notice.SMS, To: "+15555550100",
			Taken: func() (out []messagetest.Taken) {
				g.set(func() {
					for _, p := range g.posts {
						out = append(out, messagetest.Taken{ID: p.ID, To: p.To, Text: p.Body})
					}
				})
				return out
			},
			Bad: []messagetest.Behaviour{
				answers("401", 401, message.SmsRoleTrust),
				answers("403", 403, message.SmsRoleAccess),
				answers("422", 422, message.Recipient),
				answers("302 is not followed", 302, 0),
				answers("307 is not followed", 307, 0),
				answers("400", 400, 0),
				answers("404", 404, 0),
				answers("429", 429, 0),
				answers("500", 500, 0),
				answers("503", 503, 0),
				{Name: "huge answer", Provoke: func() { g.set(func() { g.answer = strings.Repeat("x", 1<<20) }) }},
				{Name: "gone", Provoke: g.shut},
			},
			Hang: func() { g.set(func() { g.hang = true }) },
		}
	})
}

// shut makes the gateway refuse connections.
func (g *gateway) shut() {
	g.CloseClientConnections()
	_ = g.Listener.Close() // httptest closes it again
}

func TestPost(t *testing.T) {
	t.Parallel()
	g := open(t)
	g.answer = `{"id":"SM42"}`
	s := sender(g.URL)
	s.Secret = secret.New("shared")
	m := &message.Message{ID: "m-1", PoolID: "us-east-1_AbCdEf123", Source: notice.SourceUpdateAttribute, Medium: notice.SMS, To: "+15555550100",
		Body: secret.New("Your code is <914382>. "), Code: secret.New("914382"), Username: "jane"}
	receipt, err := s.Send(t.Context(), m)
	if err != nil || receipt.ID != "SM42" {
		t.Fatalf("receipt %q, error %v; want the gateway's id SM42", receipt.ID, err)
	}
	var members map[string]any
	if err := json.Unmarshal(g.posts[0].raw, &members); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"id": "m-1", "to": "+15555550100", "body": "Your code is <914382>. ", "pool": "us-east-1_AbCdEf123",
		"source": "CustomMessage_UpdateUserAttribute"}, members); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	mac := hmac.New(sha256.New, []byte("shared"))
	mac.Write([]byte("1753900000." + string(g.posts[0].raw)))
	if got, want := g.header.Get("Poolhouse-Signature"), "t=1753900000,v1="+hex.EncodeToString(mac.Sum(nil)); got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
	if g.header.Get("Idempotency-Key") != "m-1" || g.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", g.header)
	}

	s.Secret = secret.Text{}
	if _, err := s.Send(t.Context(), m); err != nil || g.header.Get("Poolhouse-Signature") != "" {
		t.Errorf("without secret: error %v, signature %q; want neither", err, g.header.Get("Poolhouse-Signature"))
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	g := open(t)
	g.set(func() { g.hang = true })
	s := sender(g.URL + "?token=hush")
	s.Limit = 50 * time.Millisecond
	_, err := s.Send(t.Context(), &message.Message{ID: "m-1"})
	if err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want an error that does not repeat the address", err)
	}
}
