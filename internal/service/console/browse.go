package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/filter"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// frame is what stands around every page.
type frame struct {
	Title  string        `json:"-"`
	Now    string        `json:"-"`
	Offset time.Duration `json:"-"`
}

func (c *Console) frame(title string) frame {
	return frame{Title: title, Now: instant(c.Clock.Now()), Offset: c.Clock.Offset().Round(time.Second)}
}

// browse adds the pages that only show. Each is a value that the template of its name, or JSON, shows.
func (c *Console) browse(mux *http.ServeMux) {
	for _, p := range []struct {
		path, template string
		read           func(*http.Request) (any, error)
	}{
		{"/_poolhouse/pools", "pools", c.readPools},
		{"/_poolhouse/pools/{pool}", "pool", c.readPool},
		{"/_poolhouse/pools/{pool}/users", "users", c.readUsers},
		{"/_poolhouse/pools/{pool}/users/{user}", "user", c.readUser},
		{"/_poolhouse/journal", "journal", c.readJournal},
	} {
		show := func(w http.ResponseWriter, r *http.Request, asJSON bool) {
			value, err := p.read(r)
			switch {
			case err != nil:
				c.fail(w, r, err)
			case asJSON:
				c.json(w, value)
			default:
				c.page(w, r, p.template, value)
			}
		}
		mux.HandleFunc("GET "+p.path, func(w http.ResponseWriter, r *http.Request) { show(w, r, wantsJSON(r)) })
		if !strings.HasSuffix(p.path, "}") { // a name may end in anything
			mux.HandleFunc("GET "+p.path+".json", func(w http.ResponseWriter, r *http.Request) { show(w, r, true) })
		}
	}
}

func (c *Console) page(w http.ResponseWriter, r *http.Request, name string, value any) {
	var out strings.Builder
	if err := c.pages.ExecuteTemplate(&out, name, value); err != nil {
		c.fail(w, r, fmt.Errorf("write page %s: %w", name, err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, out.String()) // the browser may have gone
}

// limitOf reads how many lines are asked for.
func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, badRequest(fmt.Sprintf("limit must be a number from 1 to %d", maxLimit))
	}
	return n, nil
}

type poolJSON struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Created string `json:"created"`
	Users   int    `json:"users"`
}

type poolsPage struct {
	frame
	Pools []poolJSON `json:"pools"`
	Next  string     `json:"next,omitempty"` // the value of after for the next page
}

func (c *Console) readPools(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	out := &poolsPage{frame: c.frame("Pools")}
	err = c.Store.View(r.Context(), func(v store.View) error {
		out.Pools, out.Next = []poolJSON{}, ""
		list, err := v.Pools().List("", r.URL.Query().Get("after"), limit+1)
		if err != nil {
			return err
		}
		if len(list) > limit {
			list = list[:limit]
			out.Next = list[limit-1].ID
		}
		for _, p := range list {
			n, err := v.Users().Count(p.ID)
			if err != nil {
				return err
			}
			out.Pools = append(out.Pools, poolJSON{p.ID, p.Name, instant(p.Created), n})
		}
		return nil
	})
	return out, err
}

// findPool is the pool that the path names.
func findPool(pools store.PoolReader, r *http.Request) (*pool.Pool, error) {
	p, err := pools.Get(r.PathValue("pool"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, notThere("there is no pool " + r.PathValue("pool"))
	}
	return p, err
}

type clientJSON struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Created string `json:"created"`
	Secret  bool   `json:"secret"` // it has one
}

type groupJSON struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Precedence  *int   `json:"precedence,omitempty"`
}

type attributeJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type poolPage struct {
	frame
	poolJSON
	Modified           string            `json:"modified"`
	MFA                string            `json:"mfa"`
	CaseSensitive      bool              `json:"case_sensitive"`
	Aliases            []string          `json:"aliases"`
	UsernameAttributes []string          `json:"username_attributes"`
	AutoVerified       []string          `json:"auto_verified"`
	Custom             []string          `json:"custom_attributes"`
	Tags               map[string]string `json:"tags"`
	Triggers           []attributeJSON   `json:"triggers"`
	Clients            []clientJSON      `json:"clients"`
	Groups             []groupJSON       `json:"groups"`
	Keys               []signingKeyJSON  `json:"signing_keys"`
}

func (c *Console) readPool(r *http.Request) (any, error) {
	var out *poolPage
	now := c.Clock.Now()
	err := c.Store.View(r.Context(), func(v store.View) error {
		p, err := findPool(v.Pools(), r)
		if err != nil {
			return err
		}
		n, err := v.Users().Count(p.ID)
		if err != nil {
			return err
		}
		clients, err := v.Clients().List(p.ID, "", maxLimit)
		if err != nil {
			return err
		}
		groups, err := v.Groups().List(p.ID, "", maxLimit)
		if err != nil {
			return err
		}
		keys, err := v.SigningKeys().List(p.ID)
		if err != nil {
			return err
		}
		out = showPool(p, n, clients, groups)
		out.Keys = asSigningKeys(tokens.Planned(keys, now))
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.frame = c.frame("Pool " + out.Name)
	return out, nil
}

func showPool(p *pool.Pool, users int, clients []*pool.Client, groups []*user.Group) *poolPage {
	out := &poolPage{poolJSON: poolJSON{p.ID, p.Name, instant(p.Created), users}, Modified: instant(p.Modified), MFA: p.MFA, CaseSensitive: p.CaseSensitive,
		Aliases: list(p.Aliases), UsernameAttributes: list(p.UsernameAttributes), AutoVerified: list(p.AutoVerified), Custom: []string{}, Tags: p.Tags,
		Triggers: []attributeJSON{}, Clients: []clientJSON{}, Groups: showGroups(groups)}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	for _, a := range p.Custom {
		out.Custom = append(out.Custom, a.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Lambda.Functions)) {
		out.Triggers = append(out.Triggers, attributeJSON{name, p.Lambda.Functions[name]})
	}
	for _, cl := range clients {
		out.Clients = append(out.Clients, clientJSON{cl.ID, cl.Name, instant(cl.Created), len(cl.Secrets) > 0})
	}
	return out
}

func showGroups(groups []*user.Group) []groupJSON {
	shown := []groupJSON{}
	for _, g := range groups {
		one := groupJSON{Name: g.Name, Precedence: g.Precedence}
		if g.Description != nil {
			one.Description = *g.Description
		}
		shown = append(shown, one)
	}
	return shown
}

// list is never null in JSON.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

type userJSON struct {
	Sub      string `json:"sub"`
	Username string `json:"username"`
	Status   string `json:"status"`
	Enabled  bool   `json:"enabled"`
	Created  string `json:"created"`
	Modified string `json:"modified"`
	Email    string `json:"email,omitempty"`
	Phone    string `json:"phone_number,omitempty"`
}

func showUser(u *user.Record) userJSON {
	return userJSON{u.Sub, u.Username, string(u.Status), u.Enabled, instant(u.Created), instant(u.Modified), u.Attributes[pool.Email], u.Attributes[pool.PhoneNumber]}
}

type usersPage struct {
	frame
	Pool   string     `json:"pool"`
	Filter string     `json:"filter,omitempty"`
	Users  []userJSON `json:"users"`
	Next   string     `json:"next,omitempty"` // the value of after for the next page
}

// More is the address of the next page.
func (p *usersPage) More() string {
	return "/_poolhouse/pools/" + url.PathEscape(p.Pool) + "/users?" + url.Values{"filter": {p.Filter}, "after": {p.Next}}.Encode()
}

func (c *Console) readUsers(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	q := store.Query{After: query.Get("after"), Limit: limit}
	if q.Filter, err = filter.Parse(query.Get("filter")); err != nil {
		return nil, badRequest(`the filter must be as in ListUsers: email ^= "jane"; these can be searched: ` + strings.Join(filter.Attributes(), ", "))
	}
	out := &usersPage{frame: c.frame("Users"), Pool: r.PathValue("pool"), Filter: strings.TrimSpace(query.Get("filter"))}
	err = c.Store.View(r.Context(), func(v store.View) error {
		p, err := findPool(v.Pools(), r)
		if err != nil {
			return err
		}
		q.Fold = !p.CaseSensitive
		users, next, err := v.Users().List(p, q)
		if err != nil {
			return err
		}
		out.Users, out.Next = []userJSON{}, next
		for _, u := range users {
			out.Users = append(out.Users, showUser(u))
		}
		return nil
	})
	return out, err
}

type identityJSON struct {
	Provider  string `json:"provider"`
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
	Primary   bool   `json:"primary"`
	Off       bool   `json:"off"`
}

type signInJSON struct {
	ID      string `json:"id"`
	Client  string `json:"client"`
	Created string `json:"created"`
	Expires string `json:"expires"`
	Revoked string `json:"revoked,omitempty"`
}

func asSignIn(f *token.Family) signInJSON {
	s := signInJSON{ID: f.ID, Client: f.ClientID, Created: instant(f.Created), Expires: instant(f.Expires)}
	if !f.Revoked.IsZero() {
		s.Revoked = instant(f.Revoked)
	}
	return s
}

type userPage struct {
	frame
	userJSON
	Pool       string          `json:"pool"`
	Attributes []attributeJSON `json:"attributes"`
	Pending    []attributeJSON `json:"pending"` // values that wait for their verification
	Groups     []groupJSON     `json:"groups"`
	Identities []identityJSON  `json:"identities"`
	SignIns    []signInJSON    `json:"sign_ins"`
	Attempts   []Attempts      `json:"attempts"`

	SoftwareToken *softwareTokenJSON `json:"software_token,omitempty"`
	Messages      []messageJSON      `json:"messages"`
	Journal       []entryJSON        `json:"journal"`
}

// ofUser is how much of the messages and of the journal a user's page shows.
const ofUser = 50

// noUser says that the user whom the path names is not there.
func noUser(r *http.Request) error {
	return notThere("there is no user " + r.PathValue("user") + " in pool " + r.PathValue("pool"))
}

func (c *Console) readUser(r *http.Request) (any, error) {
	var out *userPage
	now := c.Clock.Now()
	err := c.Store.View(r.Context(), func(v store.View) error {
		p, err := findPool(v.Pools(), r)
		if err != nil {
			return err
		}
		u, err := v.Users().ByLogin(p, r.PathValue("user"))
		if errors.Is(err, store.ErrNotFound) {
			return noUser(r)
		} else if err != nil {
			return err
		}
		if out, err = aboutUser(v, p, u); err != nil {
			return err
		}
		if out.Attempts, err = AttemptsOf(v, u, c.MaxFailures, now); err != nil {
			return err
		}
		out.SoftwareToken, err = softwareToken(v, p.ID, u.Sub, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.frame = c.frame("User " + out.Username)
	return out, nil
}

func aboutUser(v store.View, p *pool.Pool, u *user.Record) (*userPage, error) {
	out := &userPage{userJSON: showUser(u), Pool: p.ID, Attributes: []attributeJSON{{pool.Sub, u.Sub}}, Pending: []attributeJSON{}, Identities: []identityJSON{},
		SignIns: []signInJSON{}, Messages: []messageJSON{}}
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		out.Attributes = append(out.Attributes, attributeJSON{name, u.Attributes[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(u.Pending)) {
		out.Pending = append(out.Pending, attributeJSON{name, u.Pending[name].Value})
	}
	for _, i := range u.Identities {
		out.Identities = append(out.Identities, identityJSON{i.Provider, i.Attribute, i.Value, i.Primary, i.Off})
	}
	groups, err := v.Groups().Of(p.ID, u.Sub)
	if err != nil {
		return nil, err
	}
	out.Groups = showGroups(groups)
	families, err := v.Families().List(p.ID, u.Sub)
	if err != nil {
		return nil, err
	}
	for _, f := range slices.Backward(families) {
		out.SignIns = append(out.SignIns, asSignIn(f))
	}
	messages, err := v.Inbox().List("", p.ID, maxLimit)
	if err != nil {
		return nil, err
	}
	for _, d := range messages {
		if d.Username == u.Username && len(out.Messages) < ofUser {
			out.Messages = append(out.Messages, asMessage(d))
		}
	}
	entries, err := v.Journal().Latest(time.Time{}, "", p.ID, u.Sub, ofUser)
	if err != nil {
		return nil, err
	}
	out.Journal = asEntries(entries)
	return out, nil
}

type entryJSON struct {
	RequestID string   `json:"request_id"`
	Time      string   `json:"time"`
	Caller    string   `json:"caller,omitempty"`
	Operation string   `json:"operation"`
	Pool      string   `json:"pool,omitempty"`
	Sub       string   `json:"sub,omitempty"`
	Names     []string `json:"names,omitempty"`
}

func asEntries(entries []*store.Entry) []entryJSON {
	shown := []entryJSON{}
	for _, e := range entries {
		shown = append(shown, entryJSON{e.RequestID, instant(e.Time), e.Caller, e.Operation, e.PoolID, e.Sub, e.Names})
	}
	return shown
}

type journalPage struct {
	frame
	Pool    string      `json:"-"`
	Sub     string      `json:"-"`
	Journal []entryJSON `json:"journal"`
	Next    string      `json:"next,omitempty"` // the value of before for the next page
}

// More is the address of the next page.
func (p *journalPage) More() string {
	return "/_poolhouse/journal?" + url.Values{"pool": {p.Pool}, "sub": {p.Sub}, "before": {p.Next}}.Encode()
}

// readJournal shows the newest entries first. Where a page ends is told by the instant and the request id of its last entry.
func (c *Console) readJournal(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	out := &journalPage{frame: c.frame("Journal"), Pool: strings.TrimSpace(query.Get("pool")), Sub: strings.TrimSpace(query.Get("sub"))}
	var before time.Time
	at, id, _ := strings.Cut(query.Get("before"), " ")
	if at != "" {
		if before, err = time.Parse(time.RFC3339, at); err != nil || id == "" {
			return nil, badRequest("before must be what an earlier page called next")
		}
	}
	err = c.Store.View(r.Context(), func(v store.View) error {
		entries, err := v.Journal().Latest(before, id, out.Pool, out.Sub, limit+1)
		if err != nil {
			return err
		}
		out.Next = ""
		if len(entries) > limit {
			entries = entries[:limit]
			out.Next = instant(entries[limit-1].Time) + " " + entries[limit-1].RequestID
		}
		out.Journal = asEntries(entries)
		return nil
	})
	return out, err
}

// clock shows the clock: a page to browsers, JSON to everybody else.
func (c *Console) clock(w http.ResponseWriter, r *http.Request) {
	if wantsPage(r) {
		c.page(w, r, "clock", c.frame("Clock"))
		return
	}
	c.showClock(w)
}

// wantsPage reports whether a browser asks.
func wantsPage(r *http.Request) bool {
	return r.URL.Query().Get("format") != "json" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// moveByForm moves the clock as the page's forms ask for.
func (c *Console) moveByForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if err := r.ParseForm(); err != nil {
		c.fail(w, r, badRequest("the form cannot be read"))
		return
	}
	var m movement
	if r.PostForm.Has("advance") {
		m.Advance = new(strings.TrimSpace(r.PostForm.Get("advance")))
	}
	if r.PostForm.Has("set") {
		m.Set = new(strings.TrimSpace(r.PostForm.Get("set")))
	}
	if r.PostForm.Has("reset") {
		m.Reset = new(true)
	}
	if err := c.move(r.Context(), m); err != nil {
		c.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/_poolhouse/clock", http.StatusSeeOther)
}

// reset empties the server: pools with all that is in them, messages, the journal, and the distance of the clock. Access keys and the
// server's own secrets stay. Then it makes what the server had at its start.
func (c *Console) reset(w http.ResponseWriter, r *http.Request) {
	removed, err := c.empty(r.Context())
	if err == nil {
		c.Tokens.Chance.FixCodes(c.FixedCode)
	}
	if err == nil && c.Restart != nil {
		err = c.Restart(r.Context())
	}
	switch {
	case err != nil:
		c.fail(w, r, err)
	case wantsPage(r):
		http.Redirect(w, r, "/_poolhouse/pools", http.StatusSeeOther)
	default:
		c.json(w, struct {
			Pools int `json:"pools_removed"`
		}{len(removed)})
	}
}

// empty is one transaction, so that nobody sees half of it. Kept settings are forgotten after it: an operation that began with them finds
// in its own transaction that their version is gone.
func (c *Console) empty(ctx context.Context) (removed []string, err error) {
	c.moving.Lock()
	defer c.moving.Unlock()
	err = c.Store.Update(ctx, store.Scope{}, func(tx store.Tx) error {
		removed = nil
		for {
			pools, err := tx.Pools().List("", "", maxLimit)
			if err != nil {
				return err
			}
			if len(pools) == 0 {
				break
			}
			for _, p := range pools {
				if err := tx.Pools().Delete(p.ID); err != nil {
					return err
				}
				removed = append(removed, p.ID)
			}
		}
		if err := tx.Inbox().Clear(); err != nil {
			return err
		}
		if err := tx.Journal().Clear(); err != nil {
			return err
		}
		return putOffset(tx, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("reset: %w", err)
	}
	if c.Forget != nil {
		for _, id := range removed {
			c.Forget(id)
		}
	}
	c.Clock.SetOffset(0)
	return removed, nil
}
