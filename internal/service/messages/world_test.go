package messages_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/adapter/vault"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/message/messagetest"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger/triggertest"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

const (
	sub  = "34c84488-e0e1-70ae-d2ee-991ad1a898c8"
	code = "914382"
)

// world is a pool with one user, jane, in a real store.
type world struct {
	*testing.T
	*messages.Messages
	store        store.Store
	pool         *pool.Pool
	jane         *user.Record
	clock, real  *clock.Fake
	hooks        *triggertest.Recorder
	email, sms   *messagetest.Recorder // used after senders
	log          *bytes.Buffer
	mu           sync.Mutex
	woken, count int
	outcomes     []string
}

func text(s string) *string { return &s }

// open makes a world; change may alter the pool and the user before they are stored.
func open(t *testing.T, change ...func(*pool.Pool, *user.Record)) *world {
	t.Helper()
	kek, err := seal.NewKEK(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: filepath.Join(t.TempDir(), "poolhouse.db"), Ephemeral: true, Twice: true,
		Ring: seal.NewRing(kek), Random: chance.System(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{T: t, store: s, clock: clock.NewFake(noon), real: clock.NewFake(noon.AddDate(0, 0, -30)), hooks: &triggertest.Recorder{},
		email: &messagetest.Recorder{}, sms: &messagetest.Recorder{}, log: &bytes.Buffer{}}
	w.pool = &pool.Pool{ID: "us-east-1_AbCdEf123", Region: "us-east-1", Account: "123456789012", Created: noon, Modified: noon,
		Settings: pool.Settings{Name: "p", Aliases: []string{"email"}, Email: pool.EmailConfig{Account: "COGNITO_DEFAULT"},
			Sms: &pool.SmsConfig{CallerArn: "arn:aws:iam::123456789012:role/sms"}}}
	w.jane = &user.Record{PoolID: w.pool.ID, Sub: sub, Username: "jane", Created: noon, Modified: noon, Status: user.Confirmed, Enabled: true,
		Attributes: map[string]string{"email": "jane@example.com", "email_verified": "true", "phone_number": "+15555550100", "custom:tier": "gold"}}
	for _, fn := range change {
		fn(w.pool, w.jane)
	}
	w.update(func(tx store.Tx) error {
		if err := tx.Pools().Create(w.pool); err != nil {
			return err
		}
		return tx.Users().Create(w.pool, w.jane)
	})
	w.Messages = &messages.Messages{Store: s, Hooks: w.hooks, Clock: w.clock, Real: w.real, Chance: chance.Seeded(1),
		Keys: &vault.Keyring{Ring: seal.NewRing(kek), Random: chance.Seeded(2)}, Random: chance.Seeded(3),
		Log:  slog.New(slog.NewTextHandler(w.log, nil)),
		Wake: func() { w.woken++ },
		Observe: messages.Observer{Message: func(m notice.Medium, outcome string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.outcomes = append(w.outcomes, string(m)+" "+outcome)
		}}}
	return w
}

// senders makes messages leave through recorders instead of the inbox.
func senders(w *world) *world {
	w.Email, w.SMS = w.email, w.sms
	return w
}

// hooked gives the pool functions for the triggers.
func hooked(triggers ...string) func(*pool.Pool, *user.Record) {
	return func(p *pool.Pool, _ *user.Record) {
		p.Lambda.Functions = map[string]string{}
		for _, name := range triggers {
			p.Lambda.Functions[name] = "arn:aws:lambda:us-east-1:123456789012:function:" + name
		}
	}
}

func developer(p *pool.Pool, _ *user.Record) {
	p.Email = pool.EmailConfig{Account: "DEVELOPER", SourceArn: text("arn:aws:ses:us-east-1:123456789012:identity/pool@example.org")}
}

func (w *world) update(fn func(store.Tx) error) {
	w.Helper()
	if err := w.store.Update(w.Context(), store.Scope{}, fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) call(spec *api.Spec) *dispatch.Call {
	w.count++
	return &dispatch.Call{RequestID: "request", Spec: spec, Now: w.clock.Now(), Pool: w.pool, UserAgent: "aws-sdk-go-v2/1.47.7 os/linux"}
}

var (
	updates = api.AdminUpdateUserAttributes.Spec
	creates = api.AdminCreateUser.Spec
	reads   = api.AdminGetUser.Spec // lists no delivery exception
)

// want is a message to one of jane's addresses.
func (w *world) want(id, attribute, source string) messages.Want {
	return messages.Want{ID: id, Source: source, Attribute: attribute, To: w.jane.Attributes[attribute], Code: secret.New(code),
		Metadata: map[string]string{"why": "test"}, Expires: w.clock.Now().Add(24 * time.Hour)}
}

// send does what an operation does: prepare and post in a transaction, flush afterwards.
func (w *world) send(spec *api.Spec, wants ...messages.Want) error {
	w.Helper()
	c := w.call(spec)
	var msgs []*notice.Message
	w.update(func(tx store.Tx) error {
		drafts := make([]*notice.Message, len(wants))
		for i, want := range wants {
			draft, err := w.Prepare(c, w.pool, w.jane, want)
			if err != nil {
				return err
			}
			drafts[i] = draft
		}
		msgs = drafts
		return w.Post(tx, drafts...)
	})
	return w.Flush(w.Context(), c, w.pool, w.jane, msgs...)
}

// inbox is what the inbox holds, as "address: body", oldest first.
func (w *world) inbox() (out []string) {
	w.Helper()
	if err := w.store.View(w.Context(), func(v store.View) error {
		list, err := v.Inbox().List("", "", 100)
		out = nil
		for _, d := range list {
			line := d.To + ": " + d.Body.Reveal()
			if d.Subject != "" {
				line = d.To + ": " + d.Subject + " | " + d.Body.Reveal()
			}
			out = append([]string{line}, out...)
		}
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return out
}

// row is a message of the outbox, nil when it is not there.
func (w *world) row(id string) (m *notice.Message) {
	w.Helper()
	if err := w.store.View(w.Context(), func(v store.View) (err error) {
		m, err = v.Outbox().Get(id)
		if errors.Is(err, store.ErrNotFound) {
			m, err = nil, nil
		}
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return m
}
