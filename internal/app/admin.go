package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/edge/authn"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/console"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// Admin is what an operator does beside the API. It has two forms: one works on the database, the other asks the server that has
// the database open.
type Admin interface {
	// Now is the present instant by the server's clock, which a development server can have moved.
	Now(ctx context.Context) (time.Time, error)
	CreateKey(ctx context.Context, k NewKey) (Key, error)
	Keys(ctx context.Context) ([]Key, error)
	// DeleteKey removes a key; store.ErrNotFound when there is none of that id.
	DeleteKey(ctx context.Context, id string) error
	// SigningKeys returns the keys that sign the tokens of a pool, those that will and those that did and still count;
	// store.ErrNotFound when there is no such pool.
	SigningKeys(ctx context.Context, pool string) ([]SigningKey, error)
	// RotateKeys begins to change them, or changes them now, and returns what SigningKeys does afterwards.
	RotateKeys(ctx context.Context, r Rotation) ([]SigningKey, error)
	// Locks returns the attempts that are held off in a pool, or all that is counted of one user; store.ErrNotFound when there
	// is no such pool or user.
	Locks(ctx context.Context, q LockQuery) (Locks, error)
	// Unlock forgets the attempts of a user, which lifts every lock; store.ErrNotFound when there is no such pool or user.
	Unlock(ctx context.Context, u UserName) error
	// Journal returns at most JournalPage entries in the order in which they were committed.
	Journal(ctx context.Context, q JournalQuery) ([]JournalEntry, error)
	// Inspect looks at what the database holds, for Doctor.
	Inspect(ctx context.Context) (Inspection, error)
	Close() error
}

// NewKey says what key to make.
type NewKey struct {
	Name     string        `json:"name"`
	Actions  []string      `json:"actions,omitempty"` // empty: all
	Pools    []string      `json:"pools,omitempty"`   // empty: all
	Bearer   bool          `json:"bearer,omitempty"`
	Lifetime time.Duration `json:"lifetime,omitempty"` // 0: for ever
}

// Key is an access key as operators see it. The secret or token is there only when the key was just made.
type Key struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // sigv4 or bearer
	Name    string    `json:"name,omitempty"`
	Actions []string  `json:"actions,omitempty"`
	Pools   []string  `json:"pools,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Secret  string    `json:"secret_access_key,omitempty"`
	Token   string    `json:"token,omitempty"`
}

// SigningKey is a key that signs tokens, as operators see it.
type SigningKey struct {
	ID      string    `json:"id"`
	Use     string    `json:"use"`  // id or access
	Part    string    `json:"part"` // next, current or former
	Created time.Time `json:"created"`
	From    time.Time `json:"from"` // from when on it signs
}

// Rotation says how to change the keys that sign the tokens of a pool.
type Rotation struct {
	Pool   string `json:"pool"`
	Now    bool   `json:"now,omitempty"`    // do not wait until everybody has fetched the new keys
	Revoke bool   `json:"revoke,omitempty"` // and take back the old ones
}

// UserName names a user of a pool: by user name, sub or alias.
type UserName struct {
	Pool string `json:"pool"`
	User string `json:"user"`
}

// LockQuery selects what is counted of attempts.
type LockQuery struct {
	UserName        // without a User: every user of the pool that is locked
	After    string `json:"after,omitempty"` // where the last page said that there is more
	// MaxFailures is how many passwords may be wrong in a row, 0 for any number. A server that is asked goes by its own settings.
	MaxFailures int `json:"max_failures,omitempty"`
}

// Locks is a page of what is counted.
type Locks struct {
	Attempts []console.Attempts `json:"attempts"`
	Next     string             `json:"next,omitempty"` // "": there is no more
}

// lockPage is how many locked users a page of Locks has at most.
const lockPage = 500

// JournalPage is how many entries Journal returns at most.
const JournalPage = 500

// JournalQuery selects entries of the journal.
type JournalQuery struct {
	Pool    string
	User    string // with Pool a user name, sub or alias; without a sub
	ID      string // of one request; the rest does not count then
	After   time.Time
	AfterID string
}

// JournalEntry is a committed change.
type JournalEntry struct {
	RequestID string    `json:"request_id"`
	Time      time.Time `json:"time"`
	Caller    string    `json:"caller,omitempty"`
	Source    string    `json:"source,omitempty"`
	Operation string    `json:"operation"`
	Pool      string    `json:"pool,omitempty"`
	Sub       string    `json:"sub,omitempty"`
	Names     []string  `json:"names,omitempty"`
}

// Inspection is what Doctor learns from the database.
type Inspection struct {
	Server int      `json:"server"` // process id of the server that has the database; 0: none has
	Pools  int      `json:"pools"`
	Keys   int      `json:"keys"`
	Risks  []string `json:"risks,omitempty"`
	// Functions are the ARNs that the pools' triggers name, each once.
	Functions []string `json:"functions,omitempty"`
}

// desk is the Admin that works on a store.
type desk struct {
	store       store.Store
	clock       clock.Clock // the domain's
	real        clock.Clock
	chance      *chance.Source
	tokens      *tokens.Tokens
	maxFailures int          // of passwords in a row, 0 for any number, when this is a server
	pid         int          // of the server, when this is one
	changedKeys func()       // called when keys changed; nil: nobody needs to know
	close       func() error // nil: the store is somebody else's
}

func newDesk(s store.Store, c, realClock clock.Clock, source *chance.Source) *desk {
	return &desk{store: s, clock: c, real: realClock, chance: source, pid: os.Getpid()}
}

func (d *desk) Now(context.Context) (time.Time, error) { return d.clock.Now(), nil }

func (d *desk) Close() error {
	if d.close == nil {
		return nil
	}
	return d.close()
}

func (d *desk) CreateKey(ctx context.Context, n NewKey) (Key, error) {
	if err := checkActions(n.Actions); err != nil {
		return Key{}, err
	}
	if err := checkPools(n.Pools); err != nil {
		return Key{}, err
	}
	now := d.real.Now()
	k := &store.AccessKey{Name: n.Name, Actions: n.Actions, Pools: n.Pools, Created: now}
	if n.Lifetime > 0 {
		k.Expires = now.Add(n.Lifetime)
	}
	id, text := d.chance.AccessKey()
	if n.Bearer {
		k.ID, k.Bearer = "bearer-"+strings.ToLower(id[4:]), secret.New("phk_"+d.chance.Token(32))
	} else {
		k.ID, k.Secret = id, secret.New(text)
	}
	entry := d.entry("CreateAccessKey", k.ID)
	err := d.store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		if err := tx.Keys().Create(k); err != nil {
			return err
		}
		return tx.Journal().Add(entry)
	})
	if err != nil {
		return Key{}, fmt.Errorf("store the key: %w", err)
	}
	d.changed()
	shown := keyOf(k)
	shown.Secret, shown.Token = k.Secret.Reveal(), k.Bearer.Reveal()
	return shown, nil
}

// operator is the caller in the journal's lines about what is done beside the API.
const operator = "operator"

// entry is the journal's line for what the operator does with a key.
func (d *desk) entry(operation, key string) store.Entry {
	return store.Entry{RequestID: d.chance.RequestID(), Time: d.clock.Now(), Caller: operator, Operation: operation, Names: []string{key}}
}

// poolID is what a pool's id, or its ARN, looks like.
var poolID = regexp.MustCompile(`^(arn:[a-z-]+:cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/)?[a-z]{2}(-[a-z]+)+-[0-9]_[0-9A-Za-z]+$`)

// checkPools refuses what can be no pool's id: the key could touch nothing. The pools need not exist yet.
func checkPools(ids []string) error {
	for _, id := range ids {
		if !poolID.MatchString(id) {
			return fmt.Errorf("%q is not a pool's id or ARN, such as us-east-1_aBcDeFgHi", id)
		}
	}
	return nil
}

// checkActions refuses patterns that fit no operation: they would make a key that can do nothing, by a slip of the pen.
func checkActions(patterns []string) error {
	for _, p := range patterns {
		k := authn.Key{Actions: []string{p}}
		if !slices.ContainsFunc(api.All(), func(s *api.Spec) bool { return k.AllowsAction(s.Name) }) {
			return fmt.Errorf("no operation is called %q; names are as in AdminGetUser, and * stands for any letters", p)
		}
	}
	return nil
}

func keyOf(k *store.AccessKey) Key {
	kind := "sigv4"
	if k.Secret.IsZero() {
		kind = "bearer"
	}
	return Key{ID: k.ID, Kind: kind, Name: k.Name, Actions: k.Actions, Pools: k.Pools, Created: k.Created, Expires: k.Expires}
}

func (d *desk) Keys(ctx context.Context) ([]Key, error) {
	var list []Key
	err := d.store.View(ctx, func(v store.View) error {
		keys, err := v.Keys().List()
		list = make([]Key, len(keys))
		for i, k := range keys {
			list[i] = keyOf(k)
		}
		return err
	})
	return list, err
}

func (d *desk) DeleteKey(ctx context.Context, id string) error {
	entry := d.entry("DeleteAccessKey", id)
	err := d.store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		if _, err := tx.Keys().Get(id); err != nil {
			return err
		}
		if err := tx.Keys().Delete(id); err != nil {
			return err
		}
		return tx.Journal().Add(entry)
	})
	if err == nil {
		d.changed()
	}
	return err
}

func (d *desk) SigningKeys(ctx context.Context, pool string) ([]SigningKey, error) {
	keys, err := d.tokens.Keys(ctx, pool)
	return asSigningKeys(keys), err
}

func (d *desk) RotateKeys(ctx context.Context, r Rotation) ([]SigningKey, error) {
	keys, err := d.tokens.Rotate(ctx, tokens.Rotation{PoolID: r.Pool, Now: r.Now, Revoke: r.Revoke, Caller: operator})
	return asSigningKeys(keys), err
}

func asSigningKeys(keys []tokens.PlannedKey) []SigningKey {
	list := make([]SigningKey, len(keys))
	for i, k := range keys {
		list[i] = SigningKey{ID: k.ID, Use: string(k.Use), Part: string(k.Part), Created: k.Created, From: k.From}
	}
	return list
}

func (d *desk) Locks(ctx context.Context, q LockQuery) (found Locks, err error) {
	most, now := d.maxFailures, d.clock.Now()
	if d.pid == 0 {
		most = q.MaxFailures
	}
	err = d.store.View(ctx, func(v store.View) error {
		p, err := v.Pools().Get(q.Pool)
		if err != nil {
			return err
		}
		if q.User == "" {
			found.Attempts, found.Next, err = console.LockedUsers(v, p, most, now, q.After, lockPage)
			return err
		}
		u, err := v.Users().ByLogin(p, q.User)
		if err != nil {
			return err
		}
		found.Attempts, err = console.AttemptsOf(v, u, most, now)
		return err
	})
	return found, err
}

func (d *desk) Unlock(ctx context.Context, u UserName) error {
	line := store.Entry{RequestID: d.chance.RequestID(), Time: d.clock.Now(), Caller: operator}
	return d.store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		p, err := tx.Pools().Get(u.Pool)
		if err != nil {
			return err
		}
		return console.Unlock(tx, p, u.User, line)
	})
}

func (d *desk) changed() {
	if d.changedKeys != nil {
		d.changedKeys()
	}
}

func (d *desk) Journal(ctx context.Context, q JournalQuery) ([]JournalEntry, error) {
	var found []*store.Entry
	err := d.store.View(ctx, func(v store.View) error {
		found = nil
		if q.ID != "" {
			e, err := v.Journal().Get(q.ID)
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("no change was made by request %s", q.ID)
			}
			found = []*store.Entry{e}
			return err
		}
		sub := q.User
		if q.Pool != "" && q.User != "" {
			p, err := v.Pools().Get(q.Pool)
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("there is no pool %s", q.Pool)
			} else if err != nil {
				return err
			}
			u, err := v.Users().ByLogin(p, q.User)
			if err == nil {
				sub = u.Sub
			} else if !errors.Is(err, store.ErrNotFound) {
				return err // a user that is gone can still be named by sub
			}
		}
		var err error
		found, err = v.Journal().List(q.After, q.AfterID, q.Pool, sub, JournalPage)
		return err
	})
	if err != nil {
		return nil, err
	}
	list := make([]JournalEntry, len(found))
	for i, e := range found {
		list[i] = JournalEntry{RequestID: e.RequestID, Time: e.Time, Caller: e.Caller, Source: e.Source, Operation: e.Operation, Pool: e.PoolID,
			Sub: e.Sub, Names: e.Names}
	}
	return list, nil
}

func (d *desk) Inspect(ctx context.Context) (Inspection, error) {
	const page = 100
	found := Inspection{Server: d.pid}
	err := d.store.View(ctx, func(v store.View) error {
		keys, err := v.Keys().List()
		if err != nil {
			return err
		}
		seen := Inspection{Server: d.pid, Keys: len(keys)}
		now := d.real.Now()
		for _, k := range keys {
			switch {
			case k.Expires.IsZero() && len(k.Actions) == 0:
				seen.Risks = append(seen.Risks, fmt.Sprintf("Key %s may do everything for ever: give it --actions or --expires.", k.ID))
			case !k.Expires.IsZero() && k.Expires.Before(now):
				seen.Risks = append(seen.Risks, fmt.Sprintf("Key %s has expired: delete it.", k.ID))
			}
		}
		for after := ""; ; {
			pools, err := v.Pools().List("", after, page)
			if err != nil {
				return err
			}
			for _, p := range pools {
				seen.Pools++
				open, err := openClients(v, p)
				if err != nil {
					return err
				}
				seen.Risks = append(append(seen.Risks, poolRisks(p)...), open...)
				for _, arn := range p.Lambda.Functions {
					if !slices.Contains(seen.Functions, arn) {
						seen.Functions = append(seen.Functions, arn)
					}
				}
				after = p.ID
			}
			if len(pools) < page {
				break
			}
		}
		slices.Sort(seen.Functions)
		found = seen
		return nil
	})
	return found, err
}

// openClients says which attributes of an operator's own making the users of a pool can set for themselves, through clients
// without a secret: everybody can call by those, and an application that reads its rights from such an attribute gives
// them away.
func openClients(v store.View, p *pool.Pool) ([]string, error) {
	const page, shown = 100, 5
	var risks []string
	clients := map[string][]string{} // by the attributes
	for after := ""; ; {
		list, err := v.Clients().List(p.ID, after, page)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			after = c.ID
			if names := c.WritesCustom(&p.Settings); len(c.Secrets) == 0 && len(names) > 0 {
				clients[some(names, shown)] = append(clients[some(names, shown)], c.ID)
			}
		}
		if len(list) < page {
			break
		}
	}
	for _, names := range slices.Sorted(maps.Keys(clients)) {
		risks = append(risks, fmt.Sprintf("Pool %s lets its users set %s through public clients (%s): list in WriteAttributes what they may set, and decide nothing by those attributes.",
			p.ID, names, some(clients[names], shown)))
	}
	return risks, nil
}

// some joins a list, of which it shows the first.
func some(list []string, shown int) string {
	if len(list) > shown {
		return strings.Join(list[:shown], ", ") + fmt.Sprintf(" and %d more", len(list)-shown)
	}
	return strings.Join(list, ", ")
}

// shortPassword is the length below which a password policy is called weak.
const shortPassword = 8

// poolRisks says what is unsafe in a pool's settings.
func poolRisks(p *pool.Pool) []string {
	var risks []string
	if p.Password.MinimumLength < shortPassword {
		risks = append(risks, fmt.Sprintf("Pool %s allows passwords of %d characters: raise Policies.PasswordPolicy.MinimumLength.", p.ID, p.Password.MinimumLength))
	}
	if !p.DeletionProtection {
		risks = append(risks, fmt.Sprintf("Pool %s can be deleted by one call: set DeletionProtection to ACTIVE.", p.ID))
	}
	if len(p.Aliases)+len(p.UsernameAttributes) > 0 && len(p.AutoVerified) == 0 {
		risks = append(risks, fmt.Sprintf("Pool %s signs users in by addresses that it does not verify: set AutoVerifiedAttributes.", p.ID))
	}
	return risks
}

// OpenAdmin opens the database, or the control socket of the server that has it.
func OpenAdmin(ctx context.Context, s config.Storage) (Admin, error) {
	if err := privateFolder(s.Data); err != nil {
		return nil, err
	}
	st, err := openStore(ctx, &s, sqlstore.Options{Random: chance.System()})
	if errors.Is(err, sqlstore.ErrOwned) {
		r, opened := openRemote(s.Data)
		if opened != nil {
			return nil, opened
		}
		if _, asked := r.Now(ctx); asked != nil {
			return nil, errors.Join(fmt.Errorf("%w, and does not answer: %w", err, asked), r.Close())
		}
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	offset, err := console.LoadOffset(ctx, st)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	d := newDesk(st, clock.NewMovable(clock.System(), offset), clock.System(), chance.System())
	d.tokens = &tokens.Tokens{Store: st, Chance: d.chance, Clock: d.clock, MaxAge: keptFor(&s), Real: d.real}
	d.pid, d.close = 0, st.Close
	return d, nil
}

// privateFolder makes a folder that nobody else can read. One that exists keeps its mode, which the doctor looks at.
func privateFolder(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("make the data folder: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the data folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("the data folder %s is a file", path)
	}
	return nil
}
