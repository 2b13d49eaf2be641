package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/adapter/vault"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/edge/wire"
	"github.com/poolhouse/poolhouse/internal/kit/argon2id"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/port/trigger"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
	"github.com/poolhouse/poolhouse/internal/service/ops"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// world is a server without its edge: real store, real pipeline, fake clock, recording senders and functions.
type world struct {
	*testing.T
	store    store.Store
	pipeline *dispatch.Pipeline
	clock    *clock.Fake
	email    *recorder
	sms      *recorder
	hooks    *functions
	messages *messages.Messages
	keys     *vault.Keyring
	decoys   *ops.Decoys
	tokens   *tokens.Tokens
	hashing  *ops.Hashing
	pool     *pool.Pool
	mu       sync.Mutex
	calls    int
	clientID string // of the client that public calls use
}

// start is the instant at which every world begins.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// stores are opened once for all tests: one SQLite file and one PostgreSQL database. Every world has a pool of its own.
var stores struct {
	once sync.Once
	list map[string]store.Store
	err  error
}

func openStores(t *testing.T) map[string]store.Store {
	stores.once.Do(func() {
		stores.list = map[string]store.Store{}
		kek, err := seal.NewKEK([]byte("0123456789abcdef0123456789abcdef"))
		if err != nil {
			stores.err = err
			return
		}
		folder, err := os.MkdirTemp("", "ops-test-")
		if err != nil {
			stores.err = err
			return
		}
		for name, o := range map[string]sqlstore.Options{"sqlite": {Path: folder + "/test.db", Ephemeral: true}, "postgres": {DSN: pgtest.Database(outlive{t})}} {
			o.Ring, o.Random, o.Logger, o.Now, o.Twice = seal.NewRing(kek), chance.System(), slog.New(slog.DiscardHandler), clock.System().Now, true
			o.Timeout, o.Hold = time.Minute, time.Minute // on a busy machine, too
			o.Sleep = func(context.Context, time.Duration) {}
			s, err := sqlstore.Open(context.WithoutCancel(t.Context()), o)
			if err != nil {
				stores.err = fmt.Errorf("open %s: %w", name, err)
				return
			}
			stores.list[name] = s
		}
	})
	want.NoError(t, stores.err)
	return stores.list
}

// outlive keeps what it opens until the test binary ends: pgtest stops its server then.
type outlive struct{ testing.TB }

func (outlive) Cleanup(func()) {}

// onBoth runs a test on both databases, each time in a world of its own.
func onBoth(t *testing.T, change func(*pool.Settings), fn func(w *world)) {
	t.Helper()
	for name, s := range openStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s, change)
			t.Cleanup(w.abandon)
			fn(w)
		})
	}
}

// newWorld makes a world with a pool.
func newWorld(t *testing.T, s store.Store, change func(*pool.Settings)) *world {
	w := &world{T: t, store: s, clock: clock.NewFake(start), email: &recorder{}, sms: &recorder{}, hooks: &functions{}}
	source := chance.System()
	m := &messages.Messages{Store: s, Hooks: w.hooks, Email: w.email, SMS: w.sms, Clock: w.clock, Real: w.clock, Chance: source, Log: slog.New(slog.DiscardHandler)}
	kek, err := seal.NewKEK([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(t, err)
	w.keys = &vault.Keyring{Ring: seal.NewRing(kek), Random: source}
	m.Keys, m.Random = w.keys, source
	m.Base = "https://id.example.com"
	w.messages = m
	sealer, err := page.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(t, err)
	decoys, err := ops.NewDecoys([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(t, err)
	w.decoys = decoys
	w.tokens = &tokens.Tokens{Store: s, Chance: source, Clock: w.clock, Base: "https://id.example.com", Generate: preparedKey}
	w.hashing = &ops.Hashing{Store: s, Gate: argon2id.NewGate(2)}
	signIns := &ops.SignIns{Store: s, Messages: m, Tokens: w.tokens, Chance: source, Decoys: decoys, Sessions: sealer, Hashing: w.hashing}
	reg := dispatch.NewRegistry()
	for _, f := range []dispatch.Family{
		&ops.Attributes{Store: s, Messages: m, Chance: source},
		signIns,
		&ops.SignUps{Store: s, Messages: m, Chance: source, Decoys: decoys, Sessions: sealer, Hashing: w.hashing},
		&ops.Users{Store: s, Messages: m, Chance: source, Pages: sealer, Hashing: w.hashing},
		&ops.Pools{Store: s, Chance: source, Pages: sealer},
		&ops.Clients{Store: s, Chance: source, Pages: sealer},
		&ops.Tags{Store: s},
		&ops.Limits{Store: s, Free: api.DefaultLimits(), Ceiling: 10},
		&ops.Self{Store: s, Messages: m, Chance: source},
		&ops.MFA{Store: s, Messages: m, Chance: source, SignIns: signIns},
		&ops.SignOut{Store: s},
		&ops.Groups{Store: s, Pages: sealer},
		&ops.ClientTokens{Store: s, Messages: m, Tokens: w.tokens, Chance: source},
		&ops.ResourceServers{Store: s, Pages: sealer},
		&ops.Identities{Store: s},
		&ops.Recovery{Store: s, Messages: m, Chance: source, Decoys: decoys, Hashing: w.hashing},
		&ops.Passwords{Store: s, Messages: m, Chance: source, Hashing: w.hashing},
	} {
		f.Register(reg)
	}
	w.pipeline = &dispatch.Pipeline{Registry: reg, Store: s, Clock: w.clock, Account: "123456789012", Tokens: w.tokens,
		Settings: &dispatch.Settings{Store: s, Clock: w.clock}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	w.pool = w.newPool(change)
	return w
}

// abandon takes what the world leaves to the worker out of the outbox: other worlds of the same store read all of it.
func (w *world) abandon() {
	ctx := context.WithoutCancel(w.Context())
	var due []*notice.Message
	want.NoError(w, w.store.View(ctx, func(v store.View) (err error) { due, err = v.Outbox().Due(start.AddDate(1, 0, 0), 10_000); return err }))
	due = slices.DeleteFunc(due, func(m *notice.Message) bool { return m.PoolID != w.pool.ID })
	if len(due) == 0 {
		return
	}
	want.NoError(w, w.store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		for _, m := range due {
			m.State = notice.Dead
			if err := tx.Outbox().Save(m); err != nil {
				return err
			}
		}
		return nil
	}))
}

// newPool stores a pool of the smallest settings, changed.
func (w *world) newPool(change func(*pool.Settings)) *pool.Pool {
	w.Helper()
	p := &pool.Pool{ID: chance.System().PoolID("us-east-1"), Region: "us-east-1", Account: "123456789012", Created: start, Modified: start,
		Settings: pool.Settings{Name: "p", CaseSensitive: true, MFA: "OFF", Tier: "ESSENTIALS", FirstFactors: []string{"PASSWORD"},
			Password: pool.PasswordPolicy{MinimumLength: 8, Upper: true, Lower: true, Numbers: true, Symbols: true, TemporaryDays: 7},
			Email:    pool.EmailConfig{Account: "COGNITO_DEFAULT"}}}
	if change != nil {
		change(&p.Settings)
	}
	w.update(func(tx store.Tx) error { return tx.Pools().Create(p) })
	return p
}

func (w *world) update(fn func(store.Tx) error) {
	w.Helper()
	want.NoError(w, w.store.Update(w.Context(), store.Scope{}, fn))
}

func (w *world) view(fn func(store.View) error) {
	w.Helper()
	want.NoError(w, w.store.View(w.Context(), func(v store.View) error {
		// A view that has asked twice is not run again, so that fn may assert what it reads.
		for range 2 {
			if _, err := v.Settings().Get("no such setting"); !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return fn(v)
	}))
}

// nothing is what a view returns that wants to find nothing. Another error is the store's, which may run the view again.
func nothing(err error) error {
	switch {
	case err == nil:
		return errors.New("found what should not be there")
	case errors.Is(err, store.ErrNotFound):
		return nil
	}
	return err
}

// addUser stores a confirmed user as it is given; a nil Attributes map is filled with an empty one.
func (w *world) addUser(name string, attributes map[string]string, change ...func(*user.Record)) *user.Record {
	w.Helper()
	r := &user.Record{PoolID: w.pool.ID, Sub: chance.System().Sub(), Username: name, Created: start.Add(-time.Hour), Modified: start.Add(-time.Hour),
		Status: user.Confirmed, Enabled: true, Attributes: map[string]string{}}
	for k, v := range attributes {
		r.Attributes[k] = v
	}
	for _, c := range change {
		c(r)
	}
	w.update(func(tx store.Tx) error { return tx.Users().Create(w.pool, r) })
	return r
}

// stored reads a user by its sub.
func (w *world) stored(r *user.Record) *user.Record {
	w.Helper()
	var now *user.Record
	w.view(func(v store.View) (err error) { now, err = v.Users().BySub(r.PoolID, r.Sub); return err })
	return now
}

// owner reads who holds a login, "" for nobody.
func (w *world) owner(space user.Space, key string) string {
	w.Helper()
	var name string
	w.view(func(v store.View) error {
		r, err := v.Users().Owner(w.pool.ID, user.Login{Space: space, Key: key})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			name = r.Username
		}
		return err
	})
	return name
}

// inbound decodes the text of a request as the edge does.
type inbound struct{ body string }

func (inbound) Authenticate(context.Context, *api.Spec) (dispatch.Principal, error) {
	return dispatch.Principal{KeyID: "AKIATEST", ARN: "arn:aws:iam::123456789012:user/test"}, nil
}

func (b inbound) Decode(spec *api.Spec, into any) (dispatch.Missing, error) {
	return wire.Decode(spec.In, []byte(b.body), into)
}

// request sends a request; $pool stands for the pool's id.
func (w *world) request(operation, body string) (requestID string, reply dispatch.Reply) {
	id := chance.System().RequestID()
	w.mu.Lock()
	w.calls++
	w.mu.Unlock()
	return id, w.pipeline.Serve(w.Context(), &dispatch.Request{ID: id, Operation: operation, Region: "us-east-1", Source: "127.0.0.1",
		UserAgent: "aws-cli/2.0", Inbound: inbound{strings.ReplaceAll(body, "$pool", w.pool.ID)}})
}

// call sends a request and returns the answer as text: JSON, or "Exception: message".
func (w *world) call(operation, body string) string {
	w.Helper()
	_, reply := w.request(operation, body)
	return w.text(reply)
}

func (w *world) text(reply dispatch.Reply) string {
	w.Helper()
	if reply.Err != nil {
		if reply.Err.Code.Server() {
			w.Errorf("%s answers %v: %v", reply.Spec.Name, reply.Err, reply.Cause)
		}
		if reply.Spec != nil && !reply.Err.Code.Common() && !reply.Spec.Lists(reply.Err.Code) {
			w.Errorf("%s does not list %s", reply.Spec.Name, reply.Err.Code)
		}
		return string(reply.Err.Code) + ": " + reply.Err.Message
	}
	if reply.Out == nil {
		return ""
	}
	return string(wire.AppendJSON(nil, reply.Spec.Out, reply.Out, wire.AWS))
}

// update1 calls AdminUpdateUserAttributes for a user with a JSON list of attributes.
func (w *world) update1(username, attributes string) string {
	w.Helper()
	return w.call("AdminUpdateUserAttributes", fmt.Sprintf(`{"UserPoolId":"$pool","Username":%q,"UserAttributes":%s}`, username, attributes))
}

// list turns `name=value, name=value` into the JSON of an attribute list.
func list(pairs string) string {
	var items []string
	for _, pair := range strings.Split(pairs, ", ") {
		name, value, _ := strings.Cut(pair, "=")
		b, _ := json.Marshal(map[string]string{"Name": name, "Value": value})
		items = append(items, string(b))
	}
	return "[" + strings.Join(items, ",") + "]"
}

// journal is what the journal says about a user: one line for each change.
func (w *world) journal(sub string) []string {
	w.Helper()
	var lines []string
	w.view(func(v store.View) error {
		entries, err := v.Journal().List(time.Time{}, "", w.pool.ID, sub, 100)
		lines = nil
		for _, e := range entries {
			lines = append(lines, strings.Join(append([]string{e.Operation}, e.Names...), " "))
		}
		return err
	})
	return lines
}

// outbox counts the messages of the pool that are on their way.
func (w *world) due() int {
	w.Helper()
	n := 0
	w.view(func(v store.View) error {
		list, err := v.Outbox().Due(start.AddDate(1, 0, 0), 10_000)
		n = 0
		for _, m := range list {
			if m.PoolID == w.pool.ID {
				n++
			}
		}
		return err
	})
	return n
}

// recorder is a sender that keeps what it gets, or refuses it.
type recorder struct {
	mu     sync.Mutex
	got    []*message.Message
	refuse error
}

func (r *recorder) Send(ctx context.Context, m *message.Message) (message.Receipt, error) {
	if err := store.Outside(ctx); err != nil {
		return message.Receipt{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return message.Receipt{}, r.refuse
	}
	r.got = append(r.got, m)
	return message.Receipt{}, nil
}

// senders puts others in the place of the recorders.
func (w *world) senders(email, sms message.Sender) { w.messages.Email, w.messages.SMS = email, sms }

// sent are the messages of both senders as text, and forgets them.
func (w *world) sent() []string {
	var lines []string
	for _, r := range []*recorder{w.sms, w.email} {
		r.mu.Lock()
		for _, m := range r.got {
			lines = append(lines, fmt.Sprintf("%s %s %s", m.Medium, m.To, m.Source))
		}
		r.got = nil
		r.mu.Unlock()
	}
	return lines
}

// code is the code in the last e-mail.
func (w *world) code() string {
	w.email.mu.Lock()
	defer w.email.mu.Unlock()
	if len(w.email.got) == 0 {
		return ""
	}
	return w.email.got[len(w.email.got)-1].Code.Reveal()
}

// functions are the triggers: they record their events and answer what a test wants.
type functions struct {
	mu     sync.Mutex
	events []event
	texts  []string // the same as they came, each behind a line with its trigger
	answer func(c *trigger.Call) (json.RawMessage, error)
}

type event struct {
	TriggerSource string
	UserName      string
	Request       map[string]any
	CallerContext map[string]string
}

func (f *functions) Run(ctx context.Context, c *trigger.Call) (json.RawMessage, error) {
	if err := store.Outside(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var e event
	if err := json.Unmarshal(c.Event, &e); err != nil {
		return nil, err
	}
	f.events = append(f.events, e)
	f.texts = append(f.texts, "-- "+c.Trigger+" --\n"+string(c.Event))
	if f.answer == nil {
		return json.RawMessage(`{}`), nil
	}
	return f.answer(c)
}

// ran are the sources of the functions that ran, and forgets them.
func (w *world) ran() []string {
	w.hooks.mu.Lock()
	defer w.hooks.mu.Unlock()
	var sources []string
	for _, e := range w.hooks.events {
		sources = append(sources, e.TriggerSource)
	}
	w.hooks.events = nil
	return sources
}

// withHook configures a trigger.
func withHook(name string) func(*pool.Settings) {
	return func(s *pool.Settings) {
		if s.Lambda.Functions == nil {
			s.Lambda.Functions = map[string]string{}
		}
		s.Lambda.Functions[name] = "arn:aws:lambda:us-east-1:123456789012:function:" + name
	}
}

// both applies changes one after the other.
func both(changes ...func(*pool.Settings)) func(*pool.Settings) {
	return func(s *pool.Settings) {
		for _, c := range changes {
			if c != nil {
				c(s)
			}
		}
	}
}

// invalid is the text of an InvalidParameterException.
func invalid(text string) string { return string(fault.InvalidParameterException) + ": " + text }

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
