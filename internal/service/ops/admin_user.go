package ops

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/filter"
	"github.com/poolhouse/poolhouse/internal/kit/page"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
)

// Users are the operations by which an administrator creates, reads, lists, enables, disables and deletes users.
type Users struct {
	Store    store.Store
	Messages *messages.Messages
	Chance   *chance.Source
	Pages    *page.Sealer
	Hashing  *Hashing // nil: SRP verifiers
}

// Register puts the family into the registry.
func (u *Users) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.AdminCreateUser, u.Create)
	dispatch.Handle(r, api.AdminGetUser, u.Get)
	dispatch.Handle(r, api.AdminDeleteUser, u.Delete)
	dispatch.Handle(r, api.AdminEnableUser, u.Enable)
	dispatch.Handle(r, api.AdminDisableUser, u.Disable)
	dispatch.Handle(r, api.AdminSetUserPassword, u.SetPassword)
	dispatch.Handle(r, api.ListUsers, u.List)
}

// Get shows one user.
//
// Evidence: the reference page "AdminGetUser".
func (u *Users) Get(ctx context.Context, c *dispatch.Call, in *api.AdminGetUserInput) (*api.AdminGetUserOutput, error) {
	var r *user.Record
	err := u.Store.View(ctx, func(v store.View) (err error) {
		r, err = find(v.Users(), c.Pool, in.Username)
		return err
	})
	if err != nil {
		return nil, err
	}
	status := string(r.Status)
	list, preferred := mfaSettings(r)
	return &api.AdminGetUserOutput{
		Username:             r.Username,
		UserAttributes:       attributes(r, nil),
		UserCreateDate:       api.Time(r.Created.UnixMilli()),
		UserLastModifiedDate: api.Time(r.Modified.UnixMilli()),
		Enabled:              &r.Enabled,
		UserStatus:           &status,
		MFAOptions:           mfaOptions(r),
		PreferredMfaSetting:  preferred,
		UserMFASettingList:   list,
	}, nil
}

// Delete removes a user with all that belongs to it, tokens included.
//
// Evidence: the reference page "AdminDeleteUser".
func (u *Users) Delete(ctx context.Context, c *dispatch.Call, in *api.AdminDeleteUserInput) (*struct{}, error) {
	return nil, u.change(ctx, c, in.Username, func(tx store.Tx, r *user.Record) error {
		return tx.Users().Delete(c.Pool, r)
	})
}

// Enable lets a user sign in again. Enabling twice is no error.
//
// Evidence: the reference page "AdminEnableUser".
func (u *Users) Enable(ctx context.Context, c *dispatch.Call, in *api.AdminEnableUserInput) (*api.AdminEnableUserOutput, error) {
	return &api.AdminEnableUserOutput{}, u.enable(ctx, c, in.Username, true)
}

// Disable keeps a user from signing in and revokes all tokens, for good: enabling does not bring them back. Disabling
// twice is no error.
//
// Evidence: the reference page "AdminDisableUser".
func (u *Users) Disable(ctx context.Context, c *dispatch.Call, in *api.AdminDisableUserInput) (*api.AdminDisableUserOutput, error) {
	return &api.AdminDisableUserOutput{}, u.enable(ctx, c, in.Username, false)
}

func (u *Users) enable(ctx context.Context, c *dispatch.Call, username string, enabled bool) error {
	return u.change(ctx, c, username, func(tx store.Tx, r *user.Record) error {
		after := r.Clone()
		after.Enabled, after.Modified = enabled, c.Now
		if err := tx.Users().Save(c.Pool, r, after); err != nil || enabled {
			return err
		}
		return tx.Families().RevokeUser(c.Pool.ID, r.Sub, c.Now)
	})
}

// change runs one change of one user in a transaction, with its line in the journal.
func (u *Users) change(ctx context.Context, c *dispatch.Call, username string, fn func(store.Tx, *user.Record) error) error {
	return u.Store.Update(ctx, c.Scope(username), func(tx store.Tx) error {
		r, err := find(tx.Users(), c.Pool, username)
		if err != nil {
			return err
		}
		if err := fn(tx, r); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub))
	})
}

// SetPassword gives a user a password, permanent or to be changed at the next sign-in. It works from every status
// and for disabled users; nobody is told but by an alert.
//
// Evidence: the reference page "AdminSetUserPassword".
func (u *Users) SetPassword(ctx context.Context, c *dispatch.Call, in *api.AdminSetUserPasswordInput) (*api.AdminSetUserPasswordOutput, error) {
	var r *user.Record
	var current *credential.Password
	err := u.Store.View(ctx, func(v store.View) (err error) {
		if r, err = find(v.Users(), c.Pool, in.Username); err != nil {
			return err
		}
		current, err = password(v.Passwords(), c.Pool.ID, r.Sub)
		return err
	})
	if err != nil {
		return nil, err
	}
	next, err := renew(ctx, c, u.Hashing, u.Chance, r, current, in.Password, in.Permanent == nil || !*in.Permanent)
	if err != nil {
		return nil, err
	}
	alerts := u.Messages.DrawAlerts(u.Chance.UUID)
	var warn []*notice.Message
	err = u.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		now, err := find(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		if now.Sub != r.Sub {
			return store.ErrStale // another user by now: start again
		}
		_, warn, err = exchange(tx, c, u.Messages, now, current, next, alerts)
		return err
	})
	if err != nil {
		return nil, err
	}
	u.Messages.Leave(warn...)
	return &api.AdminSetUserPasswordOutput{}, nil
}

// Create makes a user with a temporary password and invites it, or invites it again.
//
// Evidence: the reference page "AdminCreateUser"; the order of checks is unconfirmed, see docs/fidelity.md.
func (u *Users) Create(ctx context.Context, c *dispatch.Call, in *api.AdminCreateUserInput) (*api.AdminCreateUserOutput, error) {
	if in.MessageAction != nil && *in.MessageAction == "RESEND" {
		return u.resend(ctx, c, in)
	}
	attribute, err := user.CheckUsername(c.Pool, in.Username)
	if err != nil {
		return nil, err
	}
	r, password, err := u.draft(c, in, attribute)
	if err != nil {
		return nil, err
	}
	// Taken names are refused before the trigger runs; the index decides once more afterwards.
	err = u.Store.View(ctx, func(v store.View) error { return available(v.Users(), c.Pool, r, forced(in), fault.UsernameTaken) })
	if err != nil {
		return nil, err
	}
	// Of the function's answer nothing is used here: an administrator's user is neither confirmed nor verified by it.
	_, err = u.Messages.PreSignUp(ctx, c, c.Pool, notice.SignUp{Source: notice.SourcePreSignUpByAdmin, Username: r.Username,
		Attributes: r.Attributes, Validation: validation(in.ValidationData), Metadata: in.ClientMetadata})
	if err != nil {
		return nil, err
	}
	stored, err := u.protect(ctx, c, r, password)
	if err != nil {
		return nil, err
	}
	sent, err := u.invitations(c, in, r, password)
	if err != nil {
		return nil, err
	}
	err = u.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		moved, err := insert(tx, c, r, stored, forced(in))
		if err != nil {
			return err
		}
		if err := u.Messages.Post(tx, sent...); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, r.Sub, append(r.Names(), moved...)...))
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminCreateUserOutput{User: shown(r, nil)}, u.Messages.Flush(ctx, c, c.Pool, r, sent...)
}

// insert writes a new user, with a password unless it is nil. Aliases of others move when the caller forces it; moved
// names them.
func insert(tx store.Tx, c *dispatch.Call, r *user.Record, password *credential.Password, force bool) (moved []string, err error) {
	if err := available(tx.Users(), c.Pool, r, force, fault.UsernameTaken); err != nil {
		return nil, err
	}
	if force {
		if moved, err = takeOver(tx.Users(), c, r.Sub, r.Claims(c.Pool)); err != nil {
			return nil, err
		}
	}
	if err := tx.Users().Create(c.Pool, r); err != nil {
		if taken, ok := errors.AsType[*store.Conflict](err); ok {
			if force && slices.Contains(r.Claims(c.Pool), taken.Login) {
				return nil, store.ErrStale // somebody claimed it since takeOver looked: it moves from there next time
			}
			return nil, takenAtCreation(c.Pool, r, taken.Login, fault.UsernameTaken).Because(err)
		}
		return nil, err
	}
	if password == nil {
		return moved, nil
	}
	return moved, tx.Passwords().Put(password)
}

// draft checks the request and makes the new record and its password; the password is empty in pools that let the
// user sign in by a one-time code.
func (u *Users) draft(c *dispatch.Call, in *api.AdminCreateUserInput, attribute string) (*user.Record, secret.Text, error) {
	none := secret.Text{}
	if err := checkMedia(c.Pool, in, attribute); err != nil {
		return nil, none, err
	}
	password := none
	switch {
	case in.TemporaryPassword != nil:
		password = *in.TemporaryPassword
		if reason := credential.Lacking(c.Pool.Password, password.Reveal()); reason != "" {
			return nil, none, fault.PasswordDidNotConform(reason)
		}
	case !c.Pool.Passwordless():
		password = temporaryPassword(u.Chance, c.Pool)
	}
	r, err := user.ByAdmin(c.Pool, in.Username, attribute, u.Chance.Sub(), values(in.UserAttributes), c.Now)
	if err != nil {
		return nil, none, err
	}
	if password.IsZero() {
		r.Status = user.Confirmed
	} else {
		r.TemporarySince = c.Now
	}
	return r, password, nil
}

// temporaryPassword draws a password that meets the pool's policy.
func temporaryPassword(source *chance.Source, p *pool.Pool) secret.Text {
	policy := p.Password
	return secret.New(source.TemporaryPassword(chance.PasswordShape{Length: policy.MinimumLength, Upper: policy.Upper,
		Lower: policy.Lower, Digit: policy.Numbers, Symbol: policy.Symbols}))
}

// protect makes what is stored of a temporary password, nil when there is none.
func (u *Users) protect(ctx context.Context, c *dispatch.Call, r *user.Record, password secret.Text) (*credential.Password, error) {
	if password.IsZero() {
		return nil, nil
	}
	stored, err := protect(ctx, c, u.Hashing, u.Chance, r, password, true)
	return &stored, err
}

// resend gives a user who never signed in a new temporary password and sends the invitation again. Attributes in
// the request are ignored (unconfirmed).
func (u *Users) resend(ctx context.Context, c *dispatch.Call, in *api.AdminCreateUserInput) (*api.AdminCreateUserOutput, error) {
	var r *user.Record
	err := u.Store.View(ctx, func(v store.View) (err error) {
		r, err = find(v.Users(), c.Pool, in.Username)
		return err
	})
	if err != nil {
		return nil, err
	}
	if r.Status != user.ForceChangePassword {
		return nil, fault.ResendNotPossible(in.Username)
	}
	given := *in
	given.UserAttributes = nil
	for name, value := range r.Attributes {
		given.UserAttributes = append(given.UserAttributes, api.AttributeType{Name: name, Value: &value})
	}
	if err := checkMedia(c.Pool, &given, ""); err != nil {
		return nil, err
	}
	password := temporaryPassword(u.Chance, c.Pool)
	if in.TemporaryPassword != nil {
		password = *in.TemporaryPassword
		if reason := credential.Lacking(c.Pool.Password, password.Reveal()); reason != "" {
			return nil, fault.PasswordDidNotConform(reason)
		}
	}
	next, err := u.protect(ctx, c, r, password)
	if err != nil {
		return nil, err
	}
	sent, err := u.invitations(c, &given, r, password)
	if err != nil {
		return nil, err
	}
	var after *user.Record
	err = u.Store.Update(ctx, c.Scope(in.Username), func(tx store.Tx) error {
		now, err := find(tx.Users(), c.Pool, in.Username)
		if err != nil {
			return err
		}
		if now.Sub != r.Sub || now.Status != user.ForceChangePassword {
			return fault.ResendNotPossible(in.Username)
		}
		after = now.Clone()
		after.Modified, after.TemporarySince = c.Now, c.Now
		if err := tx.Users().Save(c.Pool, now, after); err != nil {
			return err
		}
		if err := tx.Passwords().Put(next); err != nil {
			return err
		}
		if err := u.Messages.Post(tx, sent...); err != nil {
			return err
		}
		return tx.Journal().Add(c.Entry(c.Pool.ID, now.Sub, "password"))
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminCreateUserOutput{User: shown(after, nil)}, u.Messages.Flush(ctx, c, c.Pool, after, sent...)
}

// forced reports whether aliases may be taken from other users.
func forced(in *api.AdminCreateUserInput) bool {
	return in.ForceAliasCreation != nil && *in.ForceAliasCreation
}

// available refuses a new user whose names are taken; verified aliases may move when the caller forces it. exists is
// the fault of a user name that is taken.
func available(users store.UserReader, p *pool.Pool, r *user.Record, force bool, exists func() *fault.Error) error {
	movable := r.Claims(p)
	for _, l := range r.Logins(p) {
		if force && slices.Contains(movable, l) {
			continue
		}
		if _, err := users.Owner(p.ID, l); err == nil {
			return takenAtCreation(p, r, l, exists)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// takenAtCreation is the fault of a new user whose login is taken: the user name, or the address that serves as one,
// is an account that exists; anything else is an alias of another account.
func takenAtCreation(p *pool.Pool, r *user.Record, l user.Login, exists func() *fault.Error) *fault.Error {
	name := user.Login{Space: user.Names, Key: user.Key(p, user.Names, r.Username)}
	if l == name || l.Space != user.Names && p.UsernameAttribute(user.AttributeOf(l.Space)) {
		return exists()
	}
	return fault.AliasTakenAtCreation(user.AttributeOf(l.Space))
}

// media are the ways by which the invitation is to go; SMS when the caller does not say.
func media(in *api.AdminCreateUserInput) []notice.Medium {
	var list []notice.Medium
	for _, m := range in.DesiredDeliveryMediums {
		if !slices.Contains(list, notice.Medium(m)) {
			list = append(list, notice.Medium(m))
		}
	}
	if len(list) == 0 {
		list = append(list, notice.SMS)
	}
	return list
}

// suppressed reports whether nobody is to be told.
func suppressed(in *api.AdminCreateUserInput) bool {
	return in.MessageAction != nil && *in.MessageAction == "SUPPRESS"
}

// checkMedia refuses a desired medium for which the new user has no address, or the pool no sender.
func checkMedia(p *pool.Pool, in *api.AdminCreateUserInput, attribute string) error {
	if suppressed(in) || len(in.DesiredDeliveryMediums) == 0 {
		return nil
	}
	has := func(name string) bool {
		return attribute == name || slices.ContainsFunc(in.UserAttributes, func(a api.AttributeType) bool {
			return a.Name == name && a.Value != nil && *a.Value != ""
		})
	}
	for _, m := range media(in) {
		switch {
		case m == notice.Email && !has(pool.Email):
			return fault.NoEmailForDelivery()
		case m == notice.SMS && !has(pool.PhoneNumber):
			return fault.NoPhoneForDelivery()
		case m == notice.SMS && !p.SendsSMS():
			return fault.NoSmsConfiguration()
		}
	}
	return nil
}

// invitations are the messages that tell a new user the temporary password.
func (u *Users) invitations(c *dispatch.Call, in *api.AdminCreateUserInput, r *user.Record, password secret.Text) ([]*notice.Message, error) {
	if suppressed(in) || password.IsZero() {
		return nil, nil
	}
	return invite(u.Messages, u.Chance, c, r, password, media(in), in.ClientMetadata)
}

// invite drafts the messages that tell a new user the password, one for each medium by which the user can be reached.
func invite(m *messages.Messages, source *chance.Source, c *dispatch.Call, r *user.Record, password secret.Text, media []notice.Medium, metadata map[string]string) ([]*notice.Message, error) {
	want := messages.Want{Source: notice.SourceAdminCreate, Code: password, Metadata: metadata, Later: hidden(c),
		Expires: c.Now.AddDate(0, 0, c.Pool.Password.TemporaryDays)}
	if c.Client != nil {
		want.ClientID = c.Client.ID
	}
	var list []*notice.Message
	for _, medium := range media {
		want.ID, want.Attribute = source.UUID(), pool.Email
		if medium == notice.SMS {
			want.Attribute = pool.PhoneNumber
		}
		want.To = r.Attributes[want.Attribute]
		if want.To == "" || medium == notice.SMS && !c.Pool.SendsSMS() {
			continue
		}
		msg, err := m.Prepare(c, c.Pool, r, want)
		if err != nil {
			return nil, err
		}
		list = append(list, msg)
	}
	return list, nil
}

// validation turns ValidationData into the map that the trigger gets, nil without.
func validation(list []api.AttributeType) map[string]string {
	if list == nil {
		return nil
	}
	m := make(map[string]string, len(list))
	for _, a := range list {
		if a.Value != nil {
			m[a.Name] = *a.Value
		}
	}
	return m
}

// listUsersAge is how long a page token of ListUsers can be used (documented).
const listUsersAge = time.Hour

// List shows the users of a pool, all of them or those that a filter selects, a page at a time.
//
// Evidence: the reference page "ListUsers".
func (u *Users) List(ctx context.Context, c *dispatch.Call, in *api.ListUsersInput) (*api.ListUsersOutput, error) {
	q, err := selection(in)
	if err != nil {
		return nil, err
	}
	for _, name := range in.AttributesToGet {
		if _, ok := c.Pool.Attribute(name); !ok || name == pool.Sub {
			return nil, fault.BadAttributesToGet()
		}
	}
	q.Fold = !c.Pool.CaseSensitive
	token := page.Token{Operation: c.Spec.Name, Scope: c.Pool.ID, Issued: c.Now,
		Inputs: page.Hash(append([]string{q.Filter.String(), strconv.Itoa(q.Limit)}, in.AttributesToGet...)...)}
	if in.PaginationToken != nil {
		if q.After, err = u.Pages.Open(*in.PaginationToken, token, c.Now, listUsersAge); err != nil {
			return nil, fault.BadListUsersToken().Because(err)
		}
	}
	var found []*user.Record
	var next string
	err = u.Store.View(ctx, func(v store.View) (err error) {
		found, next, err = v.Users().List(c.Pool, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUsersOutput{Users: make([]api.UserType, 0, len(found))}
	for _, r := range found {
		out.Users = append(out.Users, *shown(r, in.AttributesToGet))
	}
	if next != "" {
		token.After = next
		sealed := u.Pages.Seal(token)
		out.PaginationToken = &sealed
	}
	return out, nil
}

// maxUsersPage is the largest page of ListUsers and its default.
const maxUsersPage = 60

// selection reads the filter and the size of the page.
func selection(in *api.ListUsersInput) (store.Query, error) {
	q := store.Query{Limit: maxUsersPage}
	if in.Limit != nil && *in.Limit > 0 {
		q.Limit = *in.Limit
	}
	if in.Filter == nil {
		return q, nil
	}
	var err error
	if q.Filter, err = filter.Parse(*in.Filter); err != nil {
		if unknown, ok := errors.AsType[*filter.UnknownAttribute](err); ok {
			return q, fault.UnknownFilterAttribute(unknown.Name)
		}
		return q, fault.BadFilter().Because(err)
	}
	return q, nil
}

// shown is a user as lists and AdminCreateUser show it; only limits its attributes when it is not nil.
func shown(r *user.Record, only []string) *api.UserType {
	status := string(r.Status)
	return &api.UserType{
		Username:             &r.Username,
		Attributes:           attributes(r, only),
		UserCreateDate:       api.Time(r.Created.UnixMilli()),
		UserLastModifiedDate: api.Time(r.Modified.UnixMilli()),
		Enabled:              &r.Enabled,
		UserStatus:           &status,
		MFAOptions:           mfaOptions(r),
	}
}

// attributes lists a user's attributes, sub first and the others by name; only limits them when it is not nil.
func attributes(r *user.Record, only []string) []api.AttributeType {
	list := make([]api.AttributeType, 0, len(r.Attributes)+2)
	if only == nil {
		list = append(list, api.AttributeType{Name: pool.Sub, Value: &r.Sub})
	}
	for name, value := range r.Attributes {
		if only == nil || slices.Contains(only, name) {
			list = append(list, api.AttributeType{Name: name, Value: &value})
		}
	}
	if text := r.IdentitiesText(); text != "" && (only == nil || slices.Contains(only, pool.Identities)) {
		list = append(list, api.AttributeType{Name: pool.Identities, Value: &text})
	}
	rest := list
	if only == nil {
		rest = list[1:]
	}
	slices.SortFunc(rest, func(a, b api.AttributeType) int { return strings.Compare(a.Name, b.Name) })
	return list
}
