package console

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Attempts is how often a user has tried something that is counted.
type Attempts struct {
	Username string    `json:"username"`
	Sub      string    `json:"sub"`
	What     string    `json:"what"`     // the budget's name: sign_in for passwords, second_factor, resend_code and so on
	Spent    int       `json:"spent"`    // attempts in the present hour; of sign_in, wrong ones that count for the length of the lock
	Failures int       `json:"failures"` // in a row
	Locked   bool      `json:"locked"`   // nothing more is evaluated now
	Until    time.Time `json:"until,omitzero"`
}

// AttemptsOf returns what is counted of a user. most is how many passwords may be wrong in a row, 0 for any number.
func AttemptsOf(v store.View, u *user.Record, most int, now time.Time) ([]Attempts, error) {
	list, err := v.Tallies().Of(u.PoolID, u.Sub)
	attempts := []Attempts{}
	for _, t := range list {
		a := Attempts{Username: u.Username, Sub: u.Sub, What: string(t.Budget), Spent: t.Spent, Failures: t.Failures}
		a.Locked, a.Until = t.Hold(t.Budget, most, now)
		if a != (Attempts{Username: u.Username, Sub: u.Sub, What: a.What}) {
			attempts = append(attempts, a)
		}
	}
	return attempts, err
}

// LockedUsers returns the users of a pool, behind the sub and in the order of theirs, of whom passwords or codes are not
// evaluated now, with all that is counted of them. It looks at limit of them at most, and says behind whom to go on, ""
// at the end.
func LockedUsers(v store.View, p *pool.Pool, most int, now time.Time, after string, limit int) (locked []Attempts, next string, err error) {
	failures := verify.MaxFailures
	if most > 0 {
		failures = min(failures, most)
	}
	subs, err := v.Tallies().Held(p.ID, now, failures, after, limit)
	for _, sub := range subs {
		u, err := v.Users().BySub(p.ID, sub)
		if err != nil {
			return nil, "", err
		}
		of, err := AttemptsOf(v, u, most, now)
		if err != nil {
			return nil, "", err
		}
		for _, a := range of {
			if a.Locked {
				locked = append(locked, a)
			}
		}
		next = sub
	}
	if len(subs) < limit {
		next = ""
	}
	return locked, next, err
}

// Unlock forgets the attempts of a user, whom a user name, sub or alias names, and tells the journal, whose line is begun;
// store.ErrNotFound when there is none. Of whom nothing was counted, nothing is told.
func Unlock(tx store.Tx, p *pool.Pool, username string, line store.Entry) error {
	u, err := tx.Users().ByLogin(p, username)
	if err != nil {
		return err
	}
	list, err := tx.Tallies().Of(p.ID, u.Sub)
	if err != nil || len(list) == 0 {
		return err
	}
	line.Operation, line.PoolID, line.Sub, line.Names = "UnlockUser", p.ID, u.Sub, nil
	for _, t := range list {
		line.Names = append(line.Names, string(t.Budget))
	}
	if err := tx.Tallies().Clear(p.ID, u.Sub); err != nil {
		return err
	}
	return tx.Journal().Add(line)
}

// unlock lifts the locks of the user that the path names.
func (c *Console) unlock(w http.ResponseWriter, r *http.Request) {
	line := store.Entry{RequestID: c.Tokens.Chance.RequestIDAt(clock.Machine()), Time: c.Clock.Now(), Caller: "console"}
	err := c.Store.Update(r.Context(), store.Scope{}, func(tx store.Tx) error {
		p, err := findPool(tx.Pools(), r)
		if err != nil {
			return err
		}
		err = Unlock(tx, p, r.PathValue("user"), line)
		if errors.Is(err, store.ErrNotFound) {
			return noUser(r)
		}
		return err
	})
	switch {
	case err != nil:
		c.fail(w, r, err)
	case wantsPage(r):
		http.Redirect(w, r, "/_poolhouse/pools/"+url.PathEscape(r.PathValue("pool"))+"/users/"+url.PathEscape(r.PathValue("user")), http.StatusSeeOther)
	default:
		c.json(w, struct{}{})
	}
}
