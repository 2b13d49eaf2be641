package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger/triggertest"
	"github.com/poolhouse/poolhouse/internal/service/jobs"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// world is a store with a pool and a user, and what workers share.
type world struct {
	*testing.T
	store    store.Store
	domain   *clock.Fake
	real     *clock.Fake
	sender   *flaky
	hooks    *triggertest.Recorder
	pool     *pool.Pool
	mu       sync.Mutex
	outcomes map[string]int // by outcome
	outcome  chan string    // each outcome, for tests that wait
}

// flaky is a sender that fails as it is told, and counts.
type flaky struct {
	mu    sync.Mutex
	fail  func(id string, try int) error
	tries map[string]int
	taken map[string]int
	hold  chan struct{} // when set, each send waits for it
	began chan string
}

func (f *flaky) Send(ctx context.Context, m *message.Message) (message.Receipt, error) {
	if f.hold != nil {
		f.began <- m.ID
		select {
		case <-f.hold:
		case <-ctx.Done():
			return message.Receipt{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries[m.ID]++
	if f.fail != nil {
		if err := f.fail(m.ID, f.tries[m.ID]); err != nil {
			return message.Receipt{}, err
		}
	}
	f.taken[m.ID]++
	return message.Receipt{}, nil
}

func (f *flaky) counts() (tries, taken map[string]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	tries, taken = map[string]int{}, map[string]int{}
	for k, v := range f.tries {
		tries[k] = v
	}
	for k, v := range f.taken {
		taken[k] = v
	}
	return tries, taken
}

func open(t *testing.T, functions map[string]string) *world {
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
	w := &world{T: t, store: s, domain: clock.NewFake(noon), real: clock.NewFake(noon), hooks: &triggertest.Recorder{}, outcomes: map[string]int{},
		outcome: make(chan string, 10_000), sender: &flaky{tries: map[string]int{}, taken: map[string]int{}}}
	w.pool = &pool.Pool{ID: "us-east-1_AbCdEf123", Region: "us-east-1", Account: "123456789012", Created: noon, Modified: noon,
		Settings: pool.Settings{Name: "p", Lambda: pool.LambdaConfig{Functions: functions}}}
	jane := &user.Record{PoolID: w.pool.ID, Sub: "34c84488-e0e1-70ae-d2ee-991ad1a898c8", Username: "jane", Created: noon, Modified: noon,
		Status: user.Confirmed, Enabled: true, Attributes: map[string]string{"email": "jane@example.com"}}
	w.update(func(tx store.Tx) error {
		if err := tx.Pools().Create(w.pool); err != nil {
			return err
		}
		return tx.Users().Create(w.pool, jane)
	})
	return w
}

func (w *world) update(fn func(store.Tx) error) {
	w.Helper()
	if err := w.store.Update(w.Context(), store.Scope{}, fn); err != nil {
		w.Fatal(err)
	}
}

// add puts messages into the outbox.
func (w *world) add(state notice.State, due time.Time, ids ...string) {
	w.Helper()
	w.update(func(tx store.Tx) error {
		for _, id := range ids {
			m := &notice.Message{ID: id, PoolID: w.pool.ID, Sub: "34c84488-e0e1-70ae-d2ee-991ad1a898c8", Username: "jane",
				Source: notice.SourceUpdateAttribute, Medium: notice.Email, To: "jane@example.com", Attribute: "email", Code: secret.New("914382"),
				State: state, Created: w.domain.Now(), Expires: w.domain.Now().Add(48 * time.Hour), NextTry: due}
			if state == notice.Ready {
				m.Subject, m.Body = "Code", secret.New("914382")
			}
			if err := tx.Outbox().Add(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// start runs a worker; the returned function stops it and waits.
func (w *world) start() (o *jobs.Outbox, stop func()) {
	m := &messages.Messages{Store: w.store, Hooks: w.hooks, Email: w.sender, Clock: w.domain, Real: w.real, Chance: chance.System(),
		Log: slog.New(slog.DiscardHandler), Observe: messages.Observer{Message: func(_ notice.Medium, outcome string) {
			w.mu.Lock()
			w.outcomes[outcome]++
			w.mu.Unlock()
			w.outcome <- outcome
		}}}
	o = jobs.NewOutbox(w.store, m, w.domain, w.real, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	w.Cleanup(stop)
	return o, stop
}

// await waits for n outcomes.
func (w *world) await(n int) (out []string) {
	w.Helper()
	for range n {
		select {
		case o := <-w.outcome:
			out = append(out, o)
		case <-time.After(30 * time.Second):
			w.Fatalf("waited for %d outcomes, saw %v", n, out)
		}
	}
	return out
}

func (w *world) row(id string) (m *notice.Message) {
	w.Helper()
	if err := w.store.View(w.Context(), func(v store.View) (err error) {
		m, err = v.Outbox().Get(id)
		return err
	}); err != nil {
		w.Fatalf("message %s: %v", id, err)
	}
	return m
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// After a crash: a message whose function had not run, and one that was ready, are finished by the next worker, but not
// before the request's time for it is over.
func TestAfterACrash(t *testing.T) {
	t.Parallel()
	w := open(t, map[string]string{"CustomMessage": "arn:aws:lambda:us-east-1:123456789012:function:m"})
	w.add(notice.Compose, noon.Add(25*time.Second), "compose")
	w.add(notice.Ready, noon, "ready")
	o, _ := w.start()
	same(t, "first", []string{"sent"}, w.await(1))
	tries, _ := w.sender.counts()
	same(t, "sent so far", map[string]int{"ready": 1}, tries)
	w.real.Advance(25 * time.Second)
	o.Wake()
	same(t, "then", []string{"sent"}, w.await(1))
	same(t, "functions", []string{notice.SourceUpdateAttribute}, w.hooks.Sources())
}

// A message that fails is tried again after 1, 2, 4, ... seconds (half of it at least), up to 15 minutes, for 24 hours.
func TestRetries(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	w.sender.fail = func(string, int) error { return errors.New("451") }
	w.add(notice.Ready, noon, "m")
	o, stop := w.start()
	w.await(1)
	last := noon
	for try := 1; ; try++ {
		stopped := w.settled(try)
		if stopped.State != notice.Ready {
			t.Fatalf("after %d tries: %+v", try, stopped)
		}
		pause := stopped.NextTry.Sub(last)
		full := min(time.Second<<(min(try, 20)-1), 15*time.Minute)
		if pause < full/2 || pause > full {
			t.Fatalf("pause %d is %v, want from %v to %v", try, pause, full/2, full)
		}
		last = stopped.NextTry
		if last.Sub(noon) >= 24*time.Hour {
			break
		}
		w.real.Set(last)
		w.domain.Set(last)
		o.Wake()
		w.await(1)
	}
	w.domain.Set(noon.Add(24 * time.Hour))
	w.real.Set(last)
	o.Wake()
	same(t, "the end", []string{"dead"}, w.await(1))
	stop()
	if row := w.row("m"); row.State != notice.Dead || row.Error != "too late to deliver; last try: 451" || !row.Code.IsZero() {
		t.Errorf("row %+v, want it dead with the last reason and no code", row)
	}
}

// settled waits until the outcome of a try is written down.
func (w *world) settled(tries int) *notice.Message {
	w.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if m := w.row("m"); m.Tries == tries {
			return m
		}
		if time.Now().After(deadline) {
			w.Fatalf("try %d was never written down", tries)
		}
	}
}

// Two workers on one store, a sender that fails at random: every message arrives, and once.
func TestManyMessagesTwoWorkers(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	random := chance.Seeded(42)
	w.sender.fail = func(string, int) error {
		if random.Bytes(1)[0] < 80 {
			return errors.New("451")
		}
		return nil
	}
	var ids []string
	want := map[string]int{}
	for i := range 300 {
		id := fmt.Sprintf("m-%03d", i)
		ids, want[id] = append(ids, id), 1
	}
	w.add(notice.Ready, noon, ids...)
	first, _ := w.start()
	second, stopSecond := w.start()
	for sent := 0; sent < len(ids); {
		select {
		case outcome := <-w.outcome:
			if outcome != "sent" {
				continue
			}
			if sent++; sent == 150 { // one of them is stopped in the middle
				stopSecond()
			}
		case <-time.After(20 * time.Millisecond): // what is left waits for its next try
			w.real.Advance(500 * time.Millisecond)
			first.Wake()
			second.Wake()
		}
	}
	_, taken := w.sender.counts()
	same(t, "taken", want, taken)
}

// A claimed message comes again when the worker that claimed it has died, and not before.
func TestClaimRunsOut(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	w.add(notice.Ready, noon, "m")
	dead := jobs.NewOutbox(w.store, courier(func(context.Context, *notice.Message) error {
		w.outcome <- "died"
		return errors.New("the process dies here")
	}), w.domain, w.real, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		dead.Run(ctx)
	}()
	w.await(1)
	cancel()
	<-done
	same(t, "claimed until", noon.Add(time.Minute), w.row("m").NextTry)
	o, _ := w.start()
	w.real.Advance(time.Minute)
	o.Wake()
	same(t, "the next worker", []string{"sent"}, w.await(1))
}

type courier func(context.Context, *notice.Message) error

func (c courier) Deliver(ctx context.Context, m *notice.Message) error { return c(ctx, m) }

// At most eight messages are under way, and stopping waits for them.
func TestParallelAndStop(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	w.sender.hold, w.sender.began = make(chan struct{}), make(chan string, 100)
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprintf("m-%02d", i))
	}
	w.add(notice.Ready, noon, ids...)
	o, stop := w.start()
	for range 8 {
		<-w.sender.began
	}
	o.Wake()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case id := <-w.sender.began:
		t.Errorf("message %s began although eight are under way", id)
	case <-stopped:
		t.Error("the worker stopped with messages under way")
	case <-time.After(100 * time.Millisecond):
	}
	close(w.sender.hold)
	<-stopped
	_, taken := w.sender.counts()
	same(t, "messages that were under way", 8, len(taken))
}

// What was finished a week ago goes.
func TestPurge(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	w.add(notice.Sent, noon, "old")
	w.add(notice.Dead, noon, "old and dead")
	tally := func(subject string, since time.Time) {
		if err := w.store.Update(t.Context(), store.Scope{}, func(tx store.Tx) error {
			return tx.Tallies().Put("pool", subject, verify.ResendCode, verify.Tally{Since: since, Spent: 1})
		}); err != nil {
			t.Fatal(err)
		}
	}
	tally("old", noon)
	tally("young", noon.Add(time.Hour))
	w.domain.Advance(7*24*time.Hour + time.Second)
	w.add(notice.Sent, noon, "young")
	w.add(notice.Ready, noon, "ready")
	w.start()
	w.await(1)
	var left []string
	if err := w.store.View(t.Context(), func(v store.View) error {
		left = nil
		for _, id := range []string{"old", "old and dead", "young", "ready"} {
			if _, err := v.Outbox().Get(id); err == nil {
				left = append(left, id)
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	same(t, "left", []string{"young", "ready"}, left)
	spent := func(subject string) (n int) {
		if err := w.store.View(t.Context(), func(v store.View) error {
			tally, err := v.Tallies().Get("pool", subject, verify.ResendCode)
			n = tally.Spent
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	same(t, "spent long ago and lately", []int{0, 1}, []int{spent("old"), spent("young")})
}

// A store that fails is logged once, and the worker goes on when it is back.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	w := open(t, nil)
	w.add(notice.Ready, noon, "m")
	var log lines
	away := &awayStore{Store: w.store, looks: make(chan struct{}, 100)}
	away.away.Store(true)
	o := jobs.NewOutbox(away, courier(func(context.Context, *notice.Message) error {
		w.outcome <- "sent"
		return nil
	}), w.domain, w.real, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.Run(ctx)
	}()
	for range 3 {
		<-away.looks
		o.Wake()
	}
	away.away.Store(false)
	o.Wake()
	w.await(1)
	cancel()
	<-done
	if got := log.count("messages wait"); got != 1 {
		t.Errorf("the failure was logged %d times, want once", got)
	}
	if got := log.count("can be read again"); got != 1 {
		t.Errorf("the recovery was logged %d times, want once", got)
	}
}

type awayStore struct {
	store.Store
	away  atomic.Bool
	looks chan struct{}
}

func (s *awayStore) View(ctx context.Context, fn func(store.View) error) error {
	if s.away.Load() {
		s.looks <- struct{}{}
		return errors.New("away")
	}
	return s.Store.View(ctx, fn)
}

type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte(text))
}
