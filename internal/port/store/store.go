// Package store is the port to the database: transactions as functions, repositories by aggregate, and the few
// errors that a repository knows. Its contract is the test kit next door, storetest; the one implementation is
// internal/adapter/sqlstore.
//
// A transaction is a function. It may run more than once, and either all of its writes are durable when Update
// returns or none is. Inside it nothing but the store may be touched: no hook, no mail, no clock, no randomness.
// It assigns to variables outside and never appends to them.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/filter"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// The errors of repositories. They never reach a client: the operation decides what absence means.
var (
	ErrNotFound = errors.New("not found")
	// ErrConflict says that an index refused a write: the name, the alias or the id is taken. After it the
	// transaction can only fail. errors.As with *Conflict tells which login it was.
	ErrConflict = errors.New("taken")
	// ErrStale says that the pool or the client of the Scope changed since it was read.
	ErrStale = errors.New("settings changed meanwhile")
	// ErrBusy says that the database could not take the transaction in time. Nothing was written.
	ErrBusy = errors.New("the database is busy")
	// ErrReplayed says that a journal entry of the same request id is committed already.
	ErrReplayed = errors.New("request id was used before")
)

// Conflict is an ErrConflict that knows which login is taken.
type Conflict struct{ Login user.Login }

func (c *Conflict) Error() string        { return "login " + string(c.Login.Space) + " is taken" }
func (c *Conflict) Is(target error) bool { return target == ErrConflict }

// Scope names what an update reads, so that the store can check versions and lock in order.
type Scope struct {
	Pool   *pool.Pool // nil: none; else its Version must still be current
	Client *pool.Client
	Login  string // the user name in the request, "" for none
	// Plain says that the function mostly reads the user of Login by its name, saves it and adds one line to the
	// journal, and nothing else. The store may gather such updates; a function that does more is still right, but slower.
	Plain bool
	// Again says that the function, where it writes no line to the journal and no step of a sign-in, may run again although
	// an earlier run of it was perhaps committed: it only counts attempts, and one too many does no harm. Of other updates
	// without a line or step nobody can find out whether a COMMIT took place whose answer was lost.
	Again bool
}

// Store is a database.
type Store interface {
	// View runs fn, perhaps more than once, on a consistent snapshot.
	View(ctx context.Context, fn func(View) error) error
	// Update runs fn, perhaps more than once, and commits its writes durably, or nothing. A fault or error that
	// fn returns is returned as it is and nothing is written.
	Update(ctx context.Context, s Scope, fn func(Tx) error) error
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	Close() error
}

// View is what can be read.
type View interface {
	Pools() PoolReader
	Clients() ClientReader
	Users() UserReader
	Passwords() PasswordReader
	SoftwareTokens() SoftwareTokenReader
	Groups() GroupReader
	ResourceServers() ResourceServerReader
	Codes() CodeReader
	Tallies() TallyReader
	Families() FamilyReader
	Steps() StepReader
	SigningKeys() SigningKeyReader
	Outbox() OutboxReader
	Inbox() InboxReader
	Journal() JournalReader
	Keys() KeyReader
	Settings() SettingReader
}

// Tx is what can be read and written.
type Tx interface {
	Pools() Pools
	Clients() Clients
	Users() Users
	Passwords() Passwords
	SoftwareTokens() SoftwareTokens
	Groups() Groups
	ResourceServers() ResourceServers
	Codes() Codes
	Tallies() Tallies
	Families() Families
	Steps() Steps
	SigningKeys() SigningKeys
	Outbox() Outbox
	Inbox() Inbox
	Journal() Journal
	Keys() Keys
	Settings() Settings
}

// PoolReader reads user pools.
type PoolReader interface {
	Get(id string) (*pool.Pool, error)
	// List returns pools of a region ("" for all) whose id is greater than after, in order of id.
	List(region, after string, limit int) ([]*pool.Pool, error)
	Count(region string) (int, error)
}

// Pools writes user pools.
type Pools interface {
	PoolReader
	// Create stores a new pool and makes its data key; ErrConflict when the id exists or has ever existed.
	Create(p *pool.Pool) error
	// Recreate is Create for an id that the caller chose: a deleted pool's may come again. It is for development
	// servers, where one process has the database to itself; others may have kept the former pool's data key.
	Recreate(p *pool.Pool) error
	// Save replaces the record; p.Version must be the stored one and is increased.
	Save(p *pool.Pool) error
	// Delete removes the pool with everything in it. The id is never given out again.
	Delete(id string) error
}

// ClientReader reads app clients.
type ClientReader interface {
	Get(poolID, id string) (*pool.Client, error)
	// ByID finds a client without its pool: public operations name only the client.
	ByID(id string) (*pool.Client, error)
	List(poolID, after string, limit int) ([]*pool.Client, error)
	Count(poolID string) (int, error)
}

// Clients writes app clients.
type Clients interface {
	ClientReader
	Create(c *pool.Client) error
	Save(c *pool.Client) error
	Delete(poolID, id string) error
}

// Query selects users.
type Query struct {
	Filter filter.Filter
	// Fold makes the comparison of user names ignore case.
	Fold  bool
	After string // the key behind which the page starts, as the last page gave it; "" for the first
	Limit int
}

// UserReader reads users.
type UserReader interface {
	// ByLogin finds a user by what an administrator may write in Username: user name, then sub, then active alias.
	ByLogin(p *pool.Pool, text string) (*user.Record, error)
	BySub(poolID, sub string) (*user.Record, error)
	// Owner finds the user that holds a login.
	Owner(poolID string, l user.Login) (*user.Record, error)
	// ByIdentity finds the user that an account at an external provider belongs to.
	ByIdentity(poolID string, key user.IdentityKey) (*user.Record, error)
	// LinkAttributes are the attributes by which accounts at a provider belong to users of the pool, the subject
	// left out; in the order of their names, limit of them at most.
	LinkAttributes(poolID, provider string, limit int) ([]string, error)
	// List returns a page of users and the key for the next page, "" at the end. With a filter they come in the
	// order of the filtered attribute, else in the order of their subs.
	List(p *pool.Pool, q Query) (users []*user.Record, next string, err error)
	// Count is the number of users of a pool, exact or a recent estimate.
	Count(poolID string) (int, error)
}

// Users writes users. Logins follow from the record: see user.Record.Logins. Identities are unique in a pool.
type Users interface {
	UserReader
	// Create stores a new user with its logins; *Conflict when one of them, or ErrConflict when the sub or an
	// identity is taken.
	Create(p *pool.Pool, r *user.Record) error
	// Save replaces before, as it was read in this transaction, by after and moves its logins; *Conflict when one
	// is taken, ErrConflict when an identity is. It increases after.Version.
	Save(p *pool.Pool, before, after *user.Record) error
	// Delete removes a user with all that belongs to it; its logins and identities are free at once, its sub never
	// again.
	Delete(p *pool.Pool, r *user.Record) error
}

// GroupReader reads the groups of pools and who is in them.
type GroupReader interface {
	Get(poolID, name string) (*user.Group, error)
	// List returns groups whose name is greater than after, in order of name.
	List(poolID, after string, limit int) ([]*user.Group, error)
	Count(poolID string) (int, error)
	// Of returns all groups that a user is in, by precedence and name; there are at most user.MaxGroupsOfUser.
	Of(poolID, sub string) ([]*user.Group, error)
	// Members returns users of a group whose sub is greater than after, in order of sub.
	Members(poolID, name, after string, limit int) ([]*user.Record, error)
}

// Groups writes groups and who is in them.
type Groups interface {
	GroupReader
	// Create stores a new group; ErrConflict when the name is taken.
	Create(g *user.Group) error
	// Save replaces the settings and the date of a group; ErrNotFound when there is none of that name.
	Save(g *user.Group) error
	// Delete removes a group; its members stay users. ErrNotFound when there is none of that name.
	Delete(poolID, name string) error
	// Join puts a user into a group and reports whether it was outside before; ErrNotFound without such a group.
	// The user was read in this transaction.
	Join(poolID, name, sub string, at time.Time) (joined bool, err error)
	// Leave takes a user out of a group and reports whether it was inside; ErrNotFound without such a group.
	Leave(poolID, name, sub string) (left bool, err error)
}

// ResourceServerReader reads the resource servers of pools.
type ResourceServerReader interface {
	Get(poolID, identifier string) (*pool.ResourceServer, error)
	// List returns resource servers whose identifier is greater than after, in order of identifier.
	List(poolID, after string, limit int) ([]*pool.ResourceServer, error)
	Count(poolID string) (int, error)
}

// ResourceServers writes the resource servers of pools.
type ResourceServers interface {
	ResourceServerReader
	// Create stores a new resource server; ErrConflict when the identifier is taken.
	Create(s *pool.ResourceServer) error
	// Save replaces name, scopes and date of a resource server; ErrNotFound when there is none of that identifier.
	Save(s *pool.ResourceServer) error
	// Delete removes a resource server; ErrNotFound when there is none of that identifier.
	Delete(poolID, identifier string) error
}

// PasswordReader reads what is stored of passwords.
type PasswordReader interface {
	Get(poolID, sub string) (*credential.Password, error)
}

// Passwords writes what is stored of passwords. Salt and verifier are sealed.
type Passwords interface {
	PasswordReader
	Put(p *credential.Password) error
}

// SoftwareTokenReader reads users' authenticator apps.
type SoftwareTokenReader interface {
	Get(poolID, sub string) (*credential.SoftwareToken, error)
}

// SoftwareTokens writes users' authenticator apps. Keys and names are sealed. The user was read in this transaction.
type SoftwareTokens interface {
	SoftwareTokenReader
	// Put stores an app in place of the one that there was. The last step never falls back: the higher one stays.
	Put(t *credential.SoftwareToken) error
	// Delete removes the app, if there is one.
	Delete(poolID, sub string) error
}

// CodeReader reads outstanding codes. The plain code is never read back.
type CodeReader interface {
	Get(poolID, sub string, purpose verify.Purpose) (verify.Code, error)
	// Matches reports whether the code is the outstanding one of that purpose; ErrNotFound when there is none.
	// It looks neither at the expiry nor at the number of tries.
	Matches(poolID, sub string, purpose verify.Purpose, code secret.Text) (bool, error)
}

// Codes writes codes, as keyed hashes.
type Codes interface {
	CodeReader
	// Put stores a code in place of the outstanding one of the same purpose.
	Put(c verify.Code) error
	// Void removes the outstanding code of the purpose, if there is one.
	Void(poolID, sub string, purpose verify.Purpose) error
}

// Spent is a tally of a subject.
type Spent struct {
	Budget verify.Budget
	verify.Tally
}

// TallyReader reads how much users have spent of their budgets.
type TallyReader interface {
	// Get returns the tally, the zero one for somebody who never tried. subject is the user's sub, or what stands for
	// the name of somebody who is no user.
	Get(poolID, subject string, b verify.Budget) (verify.Tally, error)
	// Of returns all tallies of a subject, in the order of the names of their budgets.
	Of(poolID, subject string) ([]Spent, error)
	// Held returns the subs of users, greater than after and in order, of whom nothing is evaluated in some way at the
	// instant, or who have failed that often in a row.
	Held(poolID string, now time.Time, failures int, after string, limit int) (subs []string, err error)
}

// Tallies writes how much users have spent of their budgets.
//
// An attempt is spent, evaluated and counted in one transaction, whose function returns nil when the attempt fails,
// so that the count is committed: the refusal comes after the commit.
type Tallies interface {
	TallyReader
	// Take is Get, and nobody else takes or puts this tally before the transaction ends.
	Take(poolID, subject string, b verify.Budget) (verify.Tally, error)
	Put(poolID, subject string, b verify.Budget, t verify.Tally) error
	// Clear forgets all tallies of the subject.
	Clear(poolID, subject string) error
	// Purge removes tallies whose window began before the instant and that hold no failures of a user who exists; it
	// returns how many.
	Purge(before time.Time, limit int) (int, error)
}

// FamilyReader reads what sign-ins have left behind.
type FamilyReader interface {
	Get(poolID, sub, id string) (*token.Family, error)
	// ByEvent finds a family by its sign-in's event.
	ByEvent(poolID, sub, eventID string) (*token.Family, error)
	// List returns all families of a user, the oldest first.
	List(poolID, sub string) ([]*token.Family, error)
}

// Families writes what sign-ins have left behind. They go with their user.
type Families interface {
	FamilyReader
	// Create stores a new family; ErrConflict when the user has one of that id.
	Create(f *token.Family) error
	// Rotate makes the generation behind f's the present one; ErrConflict when f is not as it was read, or revoked.
	Rotate(f *token.Family, at time.Time) error
	// Revoke ends a family. One that is revoked already, or is not there, stays as it is.
	Revoke(poolID, sub, id string, at time.Time) error
	// RevokeUser ends all families of a user.
	RevokeUser(poolID, sub string, at time.Time) error
	// Purge removes families that expired before the instant; it returns how many.
	Purge(before time.Time, limit int) (int, error)
}

// StepReader reads what is stored of steps of sign-ins.
type StepReader interface {
	// Passed reports whether somebody has passed the step.
	Passed(poolID, id string) (bool, error)
	// Kept returns what was kept for a step that nobody has passed.
	Kept(poolID, id string) ([]byte, error)
}

// Steps writes which steps of sign-ins were passed, and keeps what does not fit into their sessions. Neither matters
// longer than the sessions live.
type Steps interface {
	StepReader
	// Pass marks a step as passed and forgets what was kept for it; ErrConflict when it was passed before.
	Pass(poolID, id string, expires time.Time) error
	// Keep stores what a step will need, sealed; ErrConflict when the id is taken.
	Keep(poolID, id string, state []byte, expires time.Time) error
	// Purge removes steps that expired before the instant; it returns how many.
	Purge(before time.Time, limit int) (int, error)
}

// SigningKeyReader reads the keys of tokens.
type SigningKeyReader interface {
	// Get finds a key by its id, which no two pools share.
	Get(id string) (*token.Key, error)
	// List returns the keys of a pool, the oldest first.
	List(poolID string) ([]*token.Key, error)
	// Older returns pools, in the order of their ids, whose youngest signing key was made before the instant.
	Older(before time.Time, limit int) ([]string, error)
}

// SigningKeys writes the keys of tokens. Their material is sealed.
type SigningKeys interface {
	SigningKeyReader
	// Add stores a key, unless its id is taken or there is one of its use and ordinal: then nothing changes, and whoever
	// needs a key reads the one that is there. It reports which.
	Add(k *token.Key) (added bool, err error)
	// Start lets a key sign from an earlier instant on; a later one changes nothing, nor does a key that is not there.
	Start(poolID, id string, from time.Time) error
	// Remove removes a key, if it is there.
	Remove(poolID, id string) error
	// Purge removes keys that ceased to sign before the instant or at it, those of refresh tokens excepted; it returns how
	// many.
	Purge(before time.Time, limit int) (int, error)
}

// OutboxReader reads messages on their way out.
type OutboxReader interface {
	Get(id string) (*notice.Message, error)
	// Due returns messages in state compose or ready whose NextTry has come, oldest first.
	Due(now time.Time, limit int) ([]*notice.Message, error)
}

// Outbox writes messages. Code, body and metadata are sealed.
type Outbox interface {
	OutboxReader
	Add(m ...*notice.Message) error
	Save(m *notice.Message) error
	// Purge removes messages that are sent or dead and older than the instant; it returns how many.
	Purge(before time.Time, limit int) (int, error)
}

// Delivered is a message in the inbox.
type Delivered struct {
	ID       string
	PoolID   string
	Username string
	Source   string
	Medium   notice.Medium
	To       string
	Subject  string
	Body     secret.Text
	Code     secret.Text
	// Function is the ARN of the custom sender that got the message, "" when it was meant for the inbox.
	Function string
	At       time.Time
}

// InboxReader reads the inbox of development, where messages end that have no other sender.
type InboxReader interface {
	// List returns the newest messages first; to and poolID select when they are not empty.
	List(to, poolID string, limit int) ([]*Delivered, error)
}

// Inbox writes the inbox. Adding the same id again changes nothing.
type Inbox interface {
	InboxReader
	Add(d *Delivered) error
	Clear() error
}

// Entry is a line of the journal: one committed change.
type Entry struct {
	RequestID string // primary key
	Time      time.Time
	Caller    string // access key id, or what else proved the caller
	Source    string // the caller's network address
	Operation string
	PoolID    string
	Sub       string   // of the user that changed, "" for none
	Names     []string // of the changed attributes or members; never values
}

// JournalReader reads the journal.
type JournalReader interface {
	Get(requestID string) (*Entry, error)
	// List returns entries behind (after, afterID) in the order (time, id); poolID and sub select when not empty.
	List(after time.Time, afterID, poolID, sub string, limit int) ([]*Entry, error)
	// Latest returns entries before (before, beforeID), the newest first; a zero before is the end. poolID and sub select when not empty.
	Latest(before time.Time, beforeID, poolID, sub string, limit int) ([]*Entry, error)
}

// Journal writes the journal.
type Journal interface {
	JournalReader
	// Add writes the entry of this transaction; ErrReplayed when its request id is taken.
	Add(e Entry) error
	// Clear removes all entries. It is for development servers.
	Clear() error
}

// AccessKey is a key by which an operator's tools call.
type AccessKey struct {
	ID      string
	Name    string
	Secret  secret.Text // of a SigV4 key; sealed
	Bearer  secret.Text // only when created: stored as a keyed hash
	Actions []string    // empty: all
	Pools   []string    // empty: all
	Created time.Time
	Expires time.Time // zero: never
}

// KeyReader reads access keys.
type KeyReader interface {
	Get(id string) (*AccessKey, error)
	ByBearer(token secret.Text) (*AccessKey, error)
	List() ([]*AccessKey, error)
}

// Keys writes access keys.
type Keys interface {
	KeyReader
	Create(k *AccessKey) error
	Delete(id string) error
}

// SettingReader reads the server's own small settings.
type SettingReader interface {
	// Get returns the value; ErrNotFound when it was never put.
	Get(name string) ([]byte, error)
}

// Settings writes the server's own small settings; values are sealed.
type Settings interface {
	SettingReader
	Put(name string, value []byte) error
}
