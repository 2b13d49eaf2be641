// Package messagetest is the contract of message.Sender as a test, and a sender that records.
package messagetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Behaviour is how the other side takes a message.
type Behaviour struct {
	// Name of the behaviour, for the test's output.
	Name string
	// Refuses is the refusal that the sender must report; 0: an error that may pass.
	Refuses message.Kind
	// Provoke makes the other side behave so from now on.
	Provoke func()
}

// World is a sender and the other side of it.
type World struct {
	Sender message.Sender
	Medium notice.Medium
	To     string
	// Taken returns the id and the text of each message that the other side took, in their order.
	Taken func() []Taken
	// Bad are the ways in which the other side does not take a message.
	Bad []Behaviour
	// Hang makes the other side silent.
	Hang func()
}

// Taken is a message at the other side.
type Taken struct{ ID, To, Text string }

// Run checks a sender against the contract. open makes a fresh world whose other side takes everything.
func Run(t *testing.T, open func(t *testing.T) *World) {
	t.Helper()
	t.Run("takes", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		m := w.message("11111111-aaaa-4aaa-8aaa-111111111111")
		if _, err := w.Sender.Send(t.Context(), m); err != nil {
			t.Fatalf("send: %v", err)
		}
		taken := w.Taken()
		if len(taken) != 1 || !strings.Contains(taken[0].ID, m.ID) || taken[0].To != w.To || !strings.Contains(taken[0].Text, "914382") {
			t.Errorf("the other side took %+v, want one message %s to %s with the code", taken, m.ID, w.To)
		}
	})
	t.Run("keeps the id", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		m := w.message("22222222-aaaa-4aaa-8aaa-222222222222")
		for range 2 {
			if _, err := w.Sender.Send(t.Context(), m); err != nil {
				t.Fatalf("send: %v", err)
			}
		}
		if taken := w.Taken(); len(taken) != 2 || taken[0].ID != taken[1].ID {
			t.Errorf("a message sent twice came as %+v, want the same id twice", taken)
		}
	})
	t.Run("refuses inside a transaction", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		ctx := store.WithGuard(t.Context())
		leave := store.Enter(ctx)
		_, err := w.Sender.Send(ctx, w.message("33333333-aaaa-4aaa-8aaa-333333333333"))
		leave()
		if !errors.Is(err, store.ErrInTransaction) || len(w.Taken()) != 0 {
			t.Errorf("inside a transaction: error %v and %d messages, want %v and none", err, len(w.Taken()), store.ErrInTransaction)
		}
		if _, err := w.Sender.Send(ctx, w.message("44444444-aaaa-4aaa-8aaa-444444444444")); err != nil {
			t.Errorf("after the transaction: %v", err)
		}
	})
	for i, b := range open(t).Bad {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			w.Bad[i].Provoke()
			_, err := w.Sender.Send(t.Context(), w.message("55555555-aaaa-4aaa-8aaa-555555555555"))
			refusal, refused := errors.AsType[*message.Refusal](err)
			switch {
			case err == nil:
				t.Fatal("the message was taken")
			case b.Refuses == 0 && refused:
				t.Errorf("refused for good (%v), want an error that may pass", err)
			case b.Refuses != 0 && !refused:
				t.Errorf("got %v, want a refusal: %v", err, b.Refuses)
			case refused && refusal.Kind != b.Refuses:
				t.Errorf("got refusal %q, want %q", refusal.Kind, b.Refuses)
			}
			if strings.Contains(err.Error(), "914382") {
				t.Errorf("the error repeats the code: %v", err)
			}
		})
	}
	t.Run("obeys the context", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		w.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := w.Sender.Send(ctx, w.message("66666666-aaaa-4aaa-8aaa-666666666666"))
		if _, refused := errors.AsType[*message.Refusal](err); err == nil || refused {
			t.Errorf("got %v, want an error that may pass", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("gave up after %v, want 50 ms", took)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := w.Sender.Send(t.Context(), w.message(strings.Repeat(string(rune('a'+i)), 8))); err != nil {
					t.Errorf("send: %v", err)
				}
			})
		}
		wg.Wait()
		if n := len(w.Taken()); n != 20 {
			t.Errorf("the other side took %d messages, want 20", n)
		}
	})
}

func (w *World) message(id string) *message.Message {
	return &message.Message{ID: id, PoolID: "us-east-1_AbCdEf123", Username: "jane", Source: notice.SourceUpdateAttribute, Medium: w.Medium,
		To: w.To, Subject: "Your verification code", Body: secret.New("Your verification code is 914382. "), Code: secret.New("914382")}
}

// Recorder is a sender that keeps what it is given. The zero value takes everything.
type Recorder struct {
	mu   sync.Mutex
	sent []*message.Message
	fail error
}

// Fail makes the sender answer err from now on; nil: it takes messages again.
func (r *Recorder) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// Send keeps a copy, or fails as told.
func (r *Recorder) Send(ctx context.Context, m *message.Message) (message.Receipt, error) {
	if err := store.Outside(ctx); err != nil {
		return message.Receipt{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return message.Receipt{}, r.fail
	}
	copied := *m
	r.sent = append(r.sent, &copied)
	return message.Receipt{ID: m.ID}, nil
}

// Sent returns what was taken, in order.
func (r *Recorder) Sent() []*message.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*message.Message(nil), r.sent...)
}
