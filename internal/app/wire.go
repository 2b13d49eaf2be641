package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/adapter/kms"
	"github.com/poolhouse/poolhouse/internal/adapter/lambda"
	"github.com/poolhouse/poolhouse/internal/adapter/mailer"
	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/adapter/texter"
	"github.com/poolhouse/poolhouse/internal/adapter/vault"
	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/edge/httpd"
	"github.com/poolhouse/poolhouse/internal/kit/argon2id"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/srp"
	"github.com/poolhouse/poolhouse/internal/kit/webhook"
	"github.com/poolhouse/poolhouse/internal/port/message"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/console"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/jobs"
	"github.com/poolhouse/poolhouse/internal/service/login"
	"github.com/poolhouse/poolhouse/internal/service/messages"
	"github.com/poolhouse/poolhouse/internal/service/ops"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// parts is everything that a server is put together from.
type parts struct {
	store    *sqlstore.Store
	chance   *chance.Source
	clock    *clock.Movable // the domain's; only a development server moves it
	dev      devKey         // of a development server
	keys     *keyCache
	desk     *desk
	messages *messages.Messages
	tokens   *tokens.Tokens
	pipeline *dispatch.Pipeline
	pages    *page.Sealer
	decoys   *ops.Decoys
	outbox   *jobs.Outbox
	sweep    *jobs.Sweep
	// receivers answers who decrypts codes at this server; nil when a key service elsewhere does.
	receivers httpd.KeyService
	server    *httpd.Server
	free      map[api.Quota]int // quotas that nobody has changed through the API
	limits    *dispatch.Limiter // nil: there are no quotas
	sources   *dispatch.Sources // nil: addresses have no budgets
}

// databaseName is the embedded database's file in the data folder, keyName that of the key-encryption key.
const (
	databaseName = "poolhouse.db"
	keyName      = "poolhouse.key"
)

// databasePath is the SQLite file.
func databasePath(s *config.Storage) string {
	if path := s.Database.Reveal(); path != "" && !s.Postgres() {
		return path
	}
	return filepath.Join(s.Data, databaseName)
}

// ring fetches the key-encryption key.
func ring(s *config.Storage) (*seal.Ring, error) {
	var key seal.KEK
	var err error
	switch {
	case !s.Key.IsZero():
		key, err = vault.Key(s.Key)
	case s.KeyFile != "":
		key, err = vault.FileKey(s.KeyFile, false)
	default:
		key, err = vault.FileKey(filepath.Join(s.Data, keyName), true)
	}
	if err != nil {
		return nil, err
	}
	return seal.NewRing(key), nil
}

// openStore opens the database that the settings name.
func openStore(ctx context.Context, s *config.Storage, o sqlstore.Options) (*sqlstore.Store, error) {
	var err error
	if o.Ring, err = ring(s); err != nil {
		return nil, err
	}
	o.ExternalCheckpoint = s.Checkpoint == "external"
	if s.Postgres() {
		o.DSN = s.Database.Reveal()
		return sqlstore.Open(ctx, o)
	}
	o.Path = databasePath(s)
	n, auto, err := s.CacheSize()
	switch {
	case err != nil:
		return nil, err
	case auto:
		o.MostCache = cacheShare(os.ReadFile)
	case n == 0:
		o.Cache = -1
	default:
		o.Cache = n << 20
	}
	return sqlstore.Open(ctx, o)
}

// cacheShare is the most memory, in bytes, that a cache takes by itself: a quarter of what there is for this process, in its container or
// else in the machine. Where no file of Linux tells how much that is, it is what a cache takes that few users fill.
//
// A library that finds out more (automemlimit) adds a fiftieth to the memory of a server at rest.
func cacheShare(read func(path string) ([]byte, error)) int {
	most := uint64(math.MaxUint64)
	for _, path := range [...]string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} { // cgroups 2 and 1
		text, err := read(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil { // else "max"
			most = min(most, n)
		}
	}
	if text, err := read("/proc/meminfo"); err == nil {
		var kib uint64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kib); err == nil {
			most = min(most, kib<<10)
		}
	}
	if most == math.MaxUint64 {
		return 256 << 20
	}
	return int(min(most/4, math.MaxInt))
}

// keptFor is how long what was read of settings and keys serves before it is read again: for a second on a database that several
// processes share; 0, for as long as this process changes nothing, on one that it has to itself.
func keptFor(s *config.Storage) time.Duration {
	if s.Postgres() {
		return time.Second
	}
	return 0
}

// wire puts the server together.
func (a *App) wire(ctx context.Context) error {
	c := &a.o.Config
	storage := c.Storage
	storage.Data = a.folder
	if a.o.Ephemeral && !storage.Postgres() {
		storage.Database = config.Storage{}.Database
	}
	a.chance = chance.System()
	if a.o.Seed != nil {
		a.chance = chance.Seeded(*a.o.Seed)
	}
	a.chance.FixCodes(a.o.FixedCode)
	var err error
	// Nonces are never drawn from a seed: two contents under one nonce would open each other.
	if a.store, err = openStore(ctx, &storage, sqlstore.Options{Random: chance.System(), Logger: a.log, Ephemeral: a.o.Ephemeral, Now: clock.Machine,
		Linger: linger, Fault: a.o.fault}); err != nil {
		return err
	}
	a.closers = append(a.closers, a.store.Close)
	if err := a.load(ctx); err != nil {
		return err
	}

	maxAge := keptFor(&storage)
	a.keys = &keyCache{store: a.store, clock: a.real, maxAge: maxAge}
	if a.o.AllowRemote {
		a.keys.fixed = &a.dev
	}
	a.desk = newDesk(a.store, a.clock, a.real, a.chance)
	a.desk.changedKeys = a.keys.forget

	hooks, err := newTriggers(c, a.real)
	if err != nil {
		return err
	}
	a.messages = &messages.Messages{Store: a.store, Hooks: hooks, Clock: a.clock, Real: a.real, Chance: a.chance, Random: chance.System(), Log: a.log, TellChanges: c.TellChanges}
	if err := a.keyService(&storage); err != nil {
		return err
	}
	if a.messages.Email, a.messages.SMS, err = senders(&a.o, a.real); err != nil {
		return err
	}

	a.outbox = jobs.NewOutbox(a.store, a.messages, a.clock, a.real, a.log)
	a.messages.Wake = a.outbox.Wake
	a.sweep = &jobs.Sweep{Store: a.store, Clock: a.clock, Log: a.log}

	a.tokens = &tokens.Tokens{Store: a.store, Chance: a.chance, Clock: a.clock, Base: c.Issuer, MaxAge: maxAge, Real: a.real}
	a.desk.tokens, a.desk.maxFailures = a.tokens, c.PasswordFailures
	if c.KeyRotation > 0 {
		a.sweep.Rotate = func(ctx context.Context) error { return a.tokens.RotateOld(ctx, c.KeyRotation) }
	}
	if err := a.quotas(); err != nil {
		return err
	}
	registry := dispatch.NewRegistry()
	for _, family := range a.families() {
		family.Register(registry)
	}
	a.pipeline = &dispatch.Pipeline{Registry: registry, Store: a.store, Clock: a.clock, Limits: a.limits, Sources: a.sources, Account: c.Account,
		CustomIDs: a.o.Dev || c.CustomIDs, Settings: &dispatch.Settings{Store: a.store, MaxAge: maxAge, Clock: a.real}, Tokens: a.tokens,
		Even: dispatch.Even{Step: dispatch.EvenStep, Random: chance.System()}, Log: a.log}
	return a.edge()
}

// families are the operations, group by group.
func (a *App) families() []dispatch.Family {
	hashing := &ops.Hashing{Store: a.store, Gate: argon2id.NewGate(runtime.GOMAXPROCS(0)), Argon: a.o.Config.PasswordHash == "argon2id"}
	signIns := &ops.SignIns{Store: a.store, Messages: a.messages, Tokens: a.tokens, Chance: a.chance, Decoys: a.decoys, Sessions: a.pages,
		MaxFailures: a.o.Config.PasswordFailures, Hashing: hashing}
	return []dispatch.Family{
		&ops.Pools{Store: a.store, Chance: a.chance, Pages: a.pages},
		&ops.Clients{Store: a.store, Chance: a.chance, Pages: a.pages},
		&ops.Tags{Store: a.store},
		&ops.Groups{Store: a.store, Pages: a.pages},
		&ops.ClientTokens{Store: a.store, Messages: a.messages, Tokens: a.tokens, Chance: a.chance},
		&ops.ResourceServers{Store: a.store, Pages: a.pages},
		&ops.Identities{Store: a.store},
		&ops.Limits{Store: a.store, Free: a.free, Ceiling: cmp.Or(a.o.Config.RateCeiling, 10)},
		&ops.Users{Store: a.store, Messages: a.messages, Chance: a.chance, Pages: a.pages, Hashing: hashing},
		&ops.Attributes{Store: a.store, Messages: a.messages, Chance: a.chance},
		&ops.Self{Store: a.store, Messages: a.messages, Chance: a.chance},
		&ops.MFA{Store: a.store, Messages: a.messages, Chance: a.chance, SignIns: signIns},
		&ops.SignOut{Store: a.store},
		&ops.Recovery{Store: a.store, Messages: a.messages, Chance: a.chance, Decoys: a.decoys, Hashing: hashing},
		&ops.Passwords{Store: a.store, Messages: a.messages, Chance: a.chance, Hashing: hashing},
		signIns,
		&ops.SignUps{Store: a.store, Messages: a.messages, Chance: a.chance, Decoys: a.decoys, Sessions: a.pages, Hashing: hashing},
	}
}

// edge makes the door.
func (a *App) edge() error {
	c := &a.o.Config
	a.server = &httpd.Server{
		Pipeline: a.pipeline, Verifier: &authn.Verifier{Keys: a.keys, Now: a.real.Now}, Verify: !a.o.Dev || a.o.AllowRemote,
		Keys: a.receivers, KeyVerifier: &authn.Verifier{Keys: a.keys, Now: a.real.Now, Service: "kms"},
		Region: c.Region, AllowedHosts: c.AllowHosts, AllowedOrigins: c.AllowOrigins,
		Log: a.log, Ready: a.ready, RequestID: func() string { return a.chance.RequestIDAt(clock.Machine()) }, Now: clock.Machine,
		Limits:   httpd.Limits{Drain: c.Drain, Stop: finishLimit, InFlight: cmp.Or(c.MaxInFlight, -1)},
		CertFile: c.TLSCert, KeyFile: c.TLSKey,
		Documents: a.tokens.Documents(a.log), IsDocument: tokens.DocumentPath,
	}
	if u, err := url.Parse(c.Issuer); err == nil && u.Host != "" {
		a.server.AllowedHosts = append(slices.Clone(c.AllowHosts), u.Hostname())
	}
	if a.o.Dev {
		pages, err := (&console.Console{Store: a.store, Clock: a.clock, Tokens: a.tokens, FixedCode: a.o.FixedCode, MaxFailures: c.PasswordFailures, Log: a.log, Forget: a.pipeline.Settings.Forget, Restart: a.applyFile}).Handler()
		if err != nil {
			return err
		}
		a.server.Console = pages
		if a.o.AllowRemote {
			a.server.Console = forHolder(secret.New(a.dev.Token), pages)
		}
	}
	confirm, err := login.NewConfirm(a.pipeline, c.Region)
	if err != nil {
		return err
	}
	a.server.Confirm = confirm.Serve
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil {
			return fmt.Errorf("public-url: %w", err)
		}
		a.server.PublicURL = u
	}
	if c.MetricsListen != "" {
		a.server.Metrics = httpd.NewMetrics(readings(a.store)...)
	}
	for _, network := range c.TrustProxies {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return fmt.Errorf("trust-proxy: %w", err)
		}
		a.server.TrustedProxies = append(a.server.TrustedProxies, prefix)
	}
	return nil
}

// forHolder lets through who knows the token: as a bearer, or in a browser as the password of any name.
func forHolder(token secret.Text, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			_, given, _ = r.BasicAuth()
		}
		if !token.Equal(secret.New(given)) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Poolhouse, password: the bearer token"`)
			http.Error(w, "This server wants its bearer token, which it printed at its start.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readings are the store's numbers for the metrics.
func readings(s *sqlstore.Store) []httpd.Reading {
	counter := func(name, help string, value func(sqlstore.Stats) uint64) httpd.Reading {
		return httpd.Reading{Name: name, Help: help, Counter: true, Value: func() float64 { return float64(value(s.Stats())) }}
	}
	gauge := func(name, help string, value func(sqlstore.Stats) float64) httpd.Reading {
		return httpd.Reading{Name: name, Help: help, Value: func() float64 { return value(s.Stats()) }}
	}
	return []httpd.Reading{
		counter("poolhouse_store_views_total", "Read transactions.", func(st sqlstore.Stats) uint64 { return st.Views }),
		counter("poolhouse_store_updates_total", "Write transactions, committed or refused by their function.", func(st sqlstore.Stats) uint64 { return st.Updates }),
		counter("poolhouse_store_groups_total", "Commits on SQLite; updates by groups is the mean size of a group.", func(st sqlstore.Stats) uint64 { return st.Groups }),
		counter("poolhouse_store_retries_total", "Transactions that were run again on PostgreSQL.", func(st sqlstore.Stats) uint64 { return st.Retries }),
		counter("poolhouse_store_checkpoints_total", "Checkpoints of SQLite's log.", func(st sqlstore.Stats) uint64 { return st.Checkpoints }),
		gauge("poolhouse_store_log_pages", "Pages in SQLite's log that are not in the file yet.", func(st sqlstore.Stats) float64 { return float64(st.LogPages) }),
		gauge("poolhouse_store_waiting", "Updates that wait for SQLite's writer.", func(st sqlstore.Stats) float64 { return float64(st.Waiting) }),
		gauge("poolhouse_store_fsync_seconds", "What one fsync took when the database was opened.", func(st sqlstore.Stats) float64 { return st.Fsync.Seconds() }),
		gauge("poolhouse_store_connections", "Open connections to PostgreSQL.", func(st sqlstore.Stats) float64 { return float64(st.Connections) }),
	}
}

// readyLimit is how long the database may take to answer a probe.
const readyLimit = 2 * time.Second

// ready reports why the server cannot serve.
func (a *App) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyLimit)
	defer cancel()
	return a.store.Ping(ctx)
}

// operator returns the pipeline as the operator uses it, who may choose ids and is not limited. It shares the kept settings.
func (a *App) operator() *dispatch.Pipeline {
	p := *a.pipeline
	p.CustomIDs, p.Limits, p.Sources = true, nil, nil
	return &p
}

// newTriggers makes the way to the functions that triggers run.
func newTriggers(c *config.Config, real clock.Clock) (*lambda.Router, error) {
	return lambda.New(lambda.Options{Targets: c.Triggers.Triggers, Secret: c.TriggerSecret, Endpoint: c.LambdaURL, Region: c.LambdaRegion, Real: real})
}

// keyService finds who makes the data keys for custom senders: the KMS API that is set, or the server's own key, which then opens
// them for receivers too.
func (a *App) keyService(s *config.Storage) error {
	c := &a.o.Config
	switch c.KMSEndpoint {
	case "":
		keys, err := ring(s)
		if err != nil {
			return err
		}
		own := &vault.Keyring{Ring: keys, Random: chance.System()}
		a.messages.Keys, a.receivers = own, own
	case "aws":
		a.messages.Keys = kms.New(kms.Options{Region: c.KMSRegion, Real: a.real})
	default:
		a.messages.Keys = kms.New(kms.Options{Endpoint: c.KMSEndpoint, Region: c.KMSRegion, Real: a.real})
	}
	return nil
}

// senders makes the ways out for e-mail and SMS. A nil sender means the inbox, which is a development server's default.
func senders(o *Options, real clock.Clock) (email, sms message.Sender, err error) {
	c := &o.Config
	if c.SMTPAddress != "" {
		email, err = mailer.New(mailer.Options{Address: c.SMTPAddress, Username: c.SMTPUsername, Password: c.SMTPPassword, From: c.SMTPFrom,
			TLS: mailer.Protection(c.SMTPTLS)})
		if err != nil {
			return nil, nil, fmt.Errorf("set up e-mail: %w", err)
		}
	} else if !o.Dev {
		email = unconfigured("no mail server is configured: set smtp-address")
	}
	if c.SMSWebhook != "" {
		sms = &texter.Webhook{URL: c.SMSWebhook, Secret: c.SMSSecret, Client: webhook.NewClient(), Real: real}
	} else if !o.Dev {
		sms = unconfigured("no way for text messages is configured: set sms-webhook")
	}
	return email, sms, nil
}

// unconfigured is a sender that sends nothing yet: its messages wait, and can still be sent when the operator sets up a real one
// while their codes live.
type unconfigured string

// Send returns an error that may pass.
func (u unconfigured) Send(ctx context.Context, _ *message.Message) (message.Receipt, error) {
	if err := store.Outside(ctx); err != nil {
		return message.Receipt{}, err
	}
	return message.Receipt{}, errors.New(string(u))
}

// quotas makes what limits requests by category, user, pool and address.
func (a *App) quotas() error {
	l := &a.o.Config.Limits
	a.free = api.DefaultLimits()
	rates := map[api.Quota]int{}
	if l.Rates == "aws" {
		maps.Copy(rates, a.free)
	}
	for name, n := range l.Rate {
		if _, ok := a.free[api.Quota(name)]; !ok {
			return fmt.Errorf("rate: there is no quota category %q; docs/reference/operations.md lists them", name)
		}
		rates[api.Quota(name)] = n
	}
	maps.Copy(a.free, rates)
	if len(rates) > 0 {
		a.limits = dispatch.NewLimiter(dispatch.Rates{Categories: rates, User: l.UserRate, Pool: l.PoolRate}, a.real)
		a.limits.Provisioned, a.limits.Log = dispatch.ProvisionedIn(a.store), a.log
	}
	if a.o.Dev || l.SourceRate == 0 {
		return nil
	}
	exempt := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, network := range l.SourceExempt {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return fmt.Errorf("source-exempt: %w", err)
		}
		exempt = append(exempt, prefix)
	}
	a.sources = dispatch.NewSources(l.SourceRate, exempt, a.real)
	return nil
}

// devKey is the key of a development server: made at the first start of its data folder and kept.
type devKey struct {
	ID     string
	Secret string
	Token  string // the bearer token of the plain dialect
}

// The names of the server's own settings in the store.
const (
	settingPages  = "page-key"
	settingDecoys = "decoy-key"
	settingDev    = "dev-key"
)

// load reads the server's own settings, and makes those that are missing.
func (a *App) load(ctx context.Context) error {
	pageKey, decoyKey := chance.System().Bytes(page.KeySize), chance.System().Bytes(ops.DecoyKeySize)
	id, text := a.chance.AccessKey()
	drawn := devKey{ID: id, Secret: text, Token: "phk_" + a.chance.Token(32)}
	err := a.store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		key, err := keep(tx.Settings(), settingPages, pageKey)
		if err != nil {
			return err
		}
		if a.pages, err = page.NewSealer(key); err != nil {
			return err
		}
		if key, err = keep(tx.Settings(), settingDecoys, decoyKey); err != nil {
			return err
		}
		if a.decoys, err = ops.NewDecoys(key); err != nil || !a.o.Dev {
			return err
		}
		a.dev, err = keep(tx.Settings(), settingDev, drawn)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the server's settings: %w", err)
	}
	var offset time.Duration
	if a.o.Dev {
		if offset, err = console.LoadOffset(ctx, a.store); err != nil {
			return err
		}
	}
	a.clock = clock.NewMovable(a.real, offset)
	return nil
}

// keep returns the stored value of a setting, or stores the given one.
func keep[T any](s store.Settings, name string, value T) (T, error) {
	text, err := s.Get(name)
	if errors.Is(err, store.ErrNotFound) {
		if text, err = json.Marshal(value); err != nil {
			return value, err
		}
		return value, s.Put(name, text)
	}
	if err != nil {
		return value, err
	}
	var kept T
	if err := json.Unmarshal(text, &kept); err != nil {
		return value, fmt.Errorf("setting %s: %w", name, err)
	}
	return kept, nil
}

// linger is how long an update may wait for others: a quarter of a millisecond for each that waits for a processor, to sign a token or to
// prove a password, which takes half a millisecond and more. Where few wait, nobody lingers.
func linger() time.Duration {
	const few, most = 8, 10 * time.Millisecond
	waiting := (jose.Waiting() + srp.Waiting()) / runtime.NumCPU()
	if waiting < few {
		return 0
	}
	return min(time.Duration(waiting)*time.Millisecond/4, most)
}
