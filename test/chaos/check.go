//go:build linux

package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
)

// Counts are what a run has seen, for its summary.
type Counts struct {
	Rounds, Calls, Acknowledged, Refused, Throttled, Unknown, Settled, Unsent, Messages, Doubled int
	Codes                                                                                        map[string]int // of answers that the nemesis caused
	Visits                                                                                       map[string]int // completed sign-ins, by their way
}

// Checker holds the load's log against the database. It knows everything that was acknowledged from the beginning.
type Checker struct {
	Counts
	// ServerErrors says that answers of the server's failure are no violation, because the nemesis makes it fail; Throttling likewise
	// for requests to come again.
	ServerErrors, Throttling bool

	db         *Database
	pools      []string // the shared pool, and those of the writers who have one
	model      Model
	begun      map[int64]Line
	pending    map[int64]Line  // calls of unknown outcome, since the last check
	refused    map[string]Line // by request
	changes    map[string]Line // acknowledged ones since the last check, by request
	known      map[string]bool // requests whose line in the journal is accounted for
	subs       map[string]string
	mails      map[string]string // address to the user that was written to, of committed calls
	violations []string
	families   map[string]string     // ids of sign-ins, by object and visit
	onEnd      func(begun, end Line) // sees each call that has ended; nil: nobody looks
}

// newChecker looks at a database; known are the requests that were made before the load.
func newChecker(db *Database, shared string, known ...string) *Checker {
	c := &Checker{
		Counts: Counts{Codes: map[string]int{}, Visits: map[string]int{}}, db: db, pools: []string{shared}, model: Model{}, begun: map[int64]Line{}, pending: map[int64]Line{}, refused: map[string]Line{},
		changes: map[string]Line{}, known: map[string]bool{}, subs: map[string]string{}, mails: map[string]string{}, families: map[string]string{},
	}
	for i := range settlers {
		c.pools = append(c.pools, SettingsPool(shared, i))
	}
	for _, id := range known {
		c.known[id] = true
	}
	return c
}

func (c *Checker) violate(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// Take reads lines of the log, in their order.
func (c *Checker) Take(lines []Line) {
	for _, l := range lines {
		if l.Event == Begun {
			c.begun[l.Seq] = l
			c.Calls++
			continue
		}
		begun, ok := c.begun[l.Seq]
		if !ok {
			c.violate("the log ends call %d, which it did not begin", l.Seq)
			continue
		}
		delete(c.begun, l.Seq)
		l.Effect = begun.Effect
		if c.onEnd != nil {
			c.onEnd(begun, l)
		}
		c.end(l)
	}
}

func (c *Checker) end(l Line) {
	changes := l.Effect.Kind != None
	switch l.Event {
	case OK:
		c.Acknowledged++
		if changes {
			c.changes[l.Request] = l
			c.commit(l, l.Sub)
		}
	case Refused:
		c.Refused++
		c.refused[l.Request] = l
		throttled := l.Code == "TooManyRequestsException"
		if throttled {
			c.Throttled++
		}
		if !l.Expected {
			c.Codes[l.Code]++
		}
		if !l.Expected && !(throttled && c.Throttling) {
			c.violate("call %d, %s of %s, was refused: %s", l.Seq, l.Op, l.Effect.Object, l.Note)
		}
	case Unknown:
		c.Unknown++
		if l.Code != "" {
			c.Codes[l.Code]++
		}
		if l.Code != "" && !c.ServerErrors {
			c.violate("call %d, %s of %s, was answered with %s", l.Seq, l.Op, l.Effect.Object, l.Note)
		}
		if changes {
			c.pending[l.Seq] = l
		}
	case Unsent:
		c.Unsent++
	case Wrong:
		c.violate("call %d, %s of %s: %s", l.Seq, l.Op, l.Effect.Object, l.Note)
	}
}

// commit takes in a call that took place.
func (c *Checker) commit(l Line, sub string) {
	e := *l.Effect
	c.model.Apply(e)
	if e.Kind == Create && userName(e.Object) != "" {
		if former := c.subs[sub]; former != "" {
			c.violate("the sub %s of %s was that of %s", sub, e.Object, former)
		}
		c.subs[sub] = e.Object
		c.model[e.Object][fieldSub] = sub
	}
	if e.Visit != "" {
		c.began(l, sub)
	}
	if e.Mail != "" {
		c.mails[e.Mail] = e.Object
	}
}

// Check compares everything at a moment at which no call is open. It returns which calls of unknown outcome took place, with the subs
// of users that were made, for the load to go on.
func (c *Checker) Check(ctx context.Context, since time.Time) (map[int64]string, error) {
	if len(c.begun) > 0 {
		return nil, fmt.Errorf("%d calls of the log have no end", len(c.begun))
	}
	v, err := c.db.look(ctx, c.pools[0], since)
	if err != nil {
		return nil, fmt.Errorf("look at the database: %w", err)
	}
	committed := c.journal(v)
	c.users(v)
	c.names(v)
	c.groups(v)
	c.orphans(v)
	c.inbox(v)
	c.visits(v)
	clear(c.changes)
	clear(c.pending)
	clear(c.refused)
	return committed, nil
}

// journal holds the journal against the answers: a line for each acknowledged change, none for a refused call. The other lines settle
// the calls whose answer was lost.
func (c *Checker) journal(v *view) map[int64]string {
	committed := map[int64]string{}
	found := map[string]bool{}
	var others []entry
	for _, e := range v.journal {
		l, acknowledged := c.changes[e.request]
		switch {
		case acknowledged:
			found[e.request] = true
			c.known[e.request] = true
			if e.operation != l.Op || e.pool != l.Effect.Pool {
				c.violate("the journal calls request %s of call %d %s of pool %s", e.request, l.Seq, e.operation, e.pool)
			}
		case c.known[e.request]:
		case c.refused[e.request].Seq != 0:
			c.violate("call %d was refused with %s and is in the journal", c.refused[e.request].Seq, c.refused[e.request].Code)
		default:
			others = append(others, e)
		}
	}
	for request, l := range c.changes {
		if !found[request] {
			c.violate("call %d, %s of %s, was acknowledged and is not in the journal (request %s)", l.Seq, l.Op, l.Effect.Object, request)
		}
	}
	for _, e := range others {
		c.known[e.request] = true
		l, ok := c.lost(e, v)
		if !ok {
			c.violate("the journal has %s of %s %s at %d %v (request %s), which no call of unknown outcome can be", e.operation, e.pool, e.sub, e.at, e.names, e.request)
			continue
		}
		c.Settled++
		delete(c.pending, l.Seq)
		sub := ""
		if l.Effect.Kind == Create && userName(l.Effect.Object) != "" {
			sub = e.sub
		}
		committed[l.Seq] = sub
		c.commit(l, sub)
	}
	return committed
}

// lost finds the call of unknown outcome of a line in the journal. Such a call freezes its object, so that there is at most one.
func (c *Checker) lost(e entry, v *view) (Line, bool) {
	for _, l := range c.pending {
		if l.Op != e.operation || l.Effect.Pool != e.pool {
			continue
		}
		name := userName(l.Effect.Object)
		switch {
		case name != "" && l.Effect.Kind == Create:
			if u, ok := v.users[name]; ok && u.sub == e.sub {
				return l, true
			}
		case l.Effect.Sub != "":
			if l.Effect.Sub == e.sub {
				return l, true
			}
		case l.Effect.Name == "" || slices.Contains(e.names, l.Effect.Name):
			return l, true
		}
	}
	return Line{}, false
}

// users holds every user against what was acknowledged about it.
func (c *Checker) users(v *view) {
	for _, object := range slices.Sorted(maps.Keys(c.model)) {
		name := userName(object)
		if name == "" {
			continue
		}
		got, ok := v.users[name]
		if !ok {
			c.violate("user %s was acknowledged and is gone", name)
			continue
		}
		if err := differ(name, c.model[object], got.fields); err != nil {
			c.violate("%v", err)
		}
		if a, b := got.fields["nickname"], got.fields["custom:mark"]; a != b {
			c.violate("user %s is half updated: nickname %q, custom:mark %q", name, a, b)
		}
		if got, want := v.codes[got.sub], c.model[object][fieldCode]; got != want {
			c.violate("user %s has a code for %q and should have one for %q", name, got, want)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.users)) {
		if c.model["user:"+name] == nil {
			c.violate("user %s exists and was deleted, or never acknowledged", name)
		}
	}
}

// names holds the look-up table against one made anew from the records.
func (c *Checker) names(v *view) {
	p := &pool.Pool{ID: c.pools[0], Settings: pool.Settings{Aliases: []string{pool.Email, pool.PhoneNumber, pool.PreferredUsername}}}
	rebuilt := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(v.users)) {
		u := v.users[name]
		for _, l := range (&user.Record{Sub: u.sub, Username: name, Attributes: u.fields}).Logins(p) {
			key := string(l.Space) + " " + l.Key
			if other, taken := rebuilt[key]; taken {
				c.violate("the users %s and %s both own the %s", other, u.sub, key)
			}
			rebuilt[key] = u.sub
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.logins)) {
		if v.logins[key] != rebuilt[key] {
			c.violate("the %s leads to user %q, and its owner by the records is %q", key, v.logins[key], rebuilt[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(rebuilt)) {
		if _, ok := v.logins[key]; !ok {
			c.violate("the %s of user %s leads nowhere", key, rebuilt[key])
		}
	}
}

// groups holds every group and resource server against what was acknowledged about it, and the table of accounts against the users' records.
func (c *Checker) groups(v *view) {
	for _, object := range slices.Sorted(maps.Keys(c.model)) {
		name, ok := strings.CutPrefix(object, "group:")
		if !ok {
			continue
		}
		switch got, exists := v.groups[name]; {
		case !exists:
			c.violate("group %s was acknowledged and is gone", name)
		case got != c.model[object]["description"]:
			c.violate("group %s is described as %q and was acknowledged as %q", name, got, c.model[object]["description"])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.groups)) {
		if c.model["group:"+name] == nil {
			c.violate("group %s exists and was deleted, or never acknowledged", name)
		}
	}
	for _, object := range slices.Sorted(maps.Keys(c.model)) {
		identifier, ok := strings.CutPrefix(object, "server:")
		if !ok {
			continue
		}
		switch got, exists := v.servers[identifier]; {
		case !exists:
			c.violate("resource server %s was acknowledged and is gone", identifier)
		case !strings.Contains(got, strconv.Quote(c.model[object]["scope"])):
			c.violate("resource server %s has the scopes %s and was acknowledged with %q", identifier, got, c.model[object]["scope"])
		}
	}
	for _, identifier := range slices.Sorted(maps.Keys(v.servers)) {
		if c.model["server:"+identifier] == nil {
			c.violate("resource server %s exists and was deleted, or never acknowledged", identifier)
		}
	}
	rebuilt := map[string]string{}
	for _, u := range v.users {
		for _, value := range accounts(u.fields) {
			rebuilt[value] = u.sub
		}
	}
	if !maps.Equal(rebuilt, v.accounts) {
		c.violate("the accounts by the records are %v, and by their table %v", rebuilt, v.accounts)
	}
}

// orphans looks for what belongs to nobody.
func (c *Checker) orphans(v *view) {
	subs := map[string]bool{}
	for _, u := range v.users {
		subs[u.sub] = true
		if !v.passwords[u.sub] {
			c.violate("user %s has lost its password", u.sub)
		}
	}
	for sub := range v.passwords {
		if !subs[sub] {
			c.violate("a password belongs to %s, who does not exist", sub)
		}
	}
	for sub, group := range v.members {
		if _, exists := v.groups[group]; !exists || !subs[sub] {
			c.violate("%s is in the group %s, and one of them does not exist", sub, group)
		}
	}
	for sub := range v.codes {
		if !subs[sub] {
			c.violate("a code belongs to %s, who does not exist", sub)
		}
	}
}

// inbox holds the messages of the inbox against the committed calls.
func (c *Checker) inbox(v *view) {
	for to := range v.inbox {
		if c.mails[to] == "" {
			c.violate("a message went to %s, of a change that was not committed", to)
		}
	}
}

// delivered is called at the end with how often each address got its message.
func (c *Checker) delivered(times map[string]int) {
	for _, to := range slices.Sorted(maps.Keys(c.mails)) {
		switch n := times[to]; {
		case n > 0:
			c.Messages++
			c.Doubled += n - 1
		case c.model[c.mails[to]] == nil: // what had to be sent to a user who is gone is not sent any more
		default:
			c.violate("the message to %s was never delivered", to)
		}
	}
	for _, to := range slices.Sorted(maps.Keys(times)) {
		if c.mails[to] == "" {
			c.violate("a message went to %s, of a change that was not committed", to)
		}
	}
}
