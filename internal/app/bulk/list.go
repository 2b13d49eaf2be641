package bulk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// A lister asks for pages of users.
type lister struct {
	line         *caller.Line
	pace         *pacer
	pool, filter string
	limit        int
}

// page asks for a page and reads it into the value. The token is that of the page, "" for the first.
func (l *lister) page(ctx context.Context, token string, into any) error {
	reply, err := callPatiently(ctx, ctx, l.line, l.pace, 0, "ListUsers", listBody(l.pool, l.filter, token, l.limit))
	if err != nil {
		return fmt.Errorf("list users: %w", err)
	}
	if !reply.OK() {
		return fmt.Errorf("list users: %w", reply.Refusal())
	}
	if err := json.Unmarshal(reply.Body, into); err != nil {
		return fmt.Errorf("list users: read the answer: %w", err)
	}
	return nil
}

// listed is a page of users.
type listed struct {
	Users           []User
	PaginationToken string
}

// List calls fn with every user of a pool that a filter selects, as the endpoint describes it, up to the limit; 0 is all.
func List(ctx context.Context, c *caller.Caller, pool, filter string, limit int, fn func(user json.RawMessage) error) error {
	l := lister{line: c.Line(), pace: newPacer(), pool: pool, filter: filter}
	defer l.line.Close()
	if limit > 0 {
		l.limit = min(limit, pageSize) // of every page: a token belongs to the limit that it was given for
	}
	for token, seen := "", 0; ; {
		var page struct {
			Users           []json.RawMessage
			PaginationToken string
		}
		if err := l.page(ctx, token, &page); err != nil {
			return err
		}
		for _, u := range page.Users {
			if limit > 0 && seen == limit {
				return nil
			}
			seen++
			if err := fn(u); err != nil {
				return err
			}
		}
		if token = page.PaginationToken; token == "" || limit > 0 && seen == limit {
			return nil
		}
	}
}

// Show asks for one user.
func Show(ctx context.Context, c *caller.Caller, pool, username string) (json.RawMessage, error) {
	line := c.Line()
	defer line.Close()
	return ask(ctx, line, newPacer(), "AdminGetUser", append(appendText(aboutUser(pool), username), '}'))
}

// Groups asks for the groups of a user: their names, in the endpoint's order.
func Groups(ctx context.Context, c *caller.Caller, pool, username string) (names []string, err error) {
	line, pace := c.Line(), newPacer()
	defer line.Close()
	for token := ""; ; {
		body := appendText(aboutUser(pool), username)
		if token != "" {
			body = appendText(append(body, `,"NextToken":`...), token)
		}
		answer, err := ask(ctx, line, pace, "AdminListGroupsForUser", append(body, '}'))
		if err != nil {
			return nil, err
		}
		var page struct {
			Groups    []struct{ GroupName string }
			NextToken string
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return nil, fmt.Errorf("read the groups: %w", err)
		}
		for _, g := range page.Groups {
			names = append(names, g.GroupName)
		}
		if token = page.NextToken; token == "" {
			return names, nil
		}
	}
}

// ask makes one call; a *caller.Refusal is what the endpoint says no with.
func ask(ctx context.Context, line *caller.Line, pace *pacer, operation string, body []byte) (json.RawMessage, error) {
	reply, err := callPatiently(ctx, ctx, line, pace, 0, operation, body)
	if err != nil {
		return nil, err
	}
	if !reply.OK() {
		return nil, reply.Refusal()
	}
	if !json.Valid(reply.Body) {
		return nil, errors.New("the endpoint's answer is not JSON")
	}
	return json.RawMessage(string(reply.Body)), nil
}

// A Plan is what a change would do.
type Plan struct {
	Listed int      `json:"listed"` // users that the filter selects
	Change int      `json:"change"` // of them, those who would be changed
	Same   int      `json:"same"`   // and those who have the values already
	Sample []Sample `json:"sample"` // the first of those who would be changed
}

// A Sample is one user's change.
type Sample struct {
	User   string            `json:"user"`
	Before map[string]string `json:"before"` // the attributes that would change, as far as the user has them
}

// sampleSize is how many users a plan shows.
const sampleSize = 5

// MakePlan lists the users and tells what the change would do. It calls progress after each page.
func MakePlan(ctx context.Context, c *caller.Caller, change *Change, progress func(*Plan)) (*Plan, error) {
	l := lister{line: c.Line(), pace: newPacer(), pool: change.Pool, filter: change.Filter}
	defer l.line.Close()
	p := &Plan{Sample: []Sample{}}
	for token := ""; ; {
		var page listed
		if err := l.page(ctx, token, &page); err != nil {
			return nil, err
		}
		for i := range page.Users {
			p.add(change, &page.Users[i])
		}
		progress(p)
		if token = page.PaginationToken; token == "" {
			return p, nil
		}
	}
}

func (p *Plan) add(c *Change, u *User) {
	p.Listed++
	if c.needs(u) == (need{}) {
		p.Same++
		return
	}
	p.Change++
	if len(p.Sample) == sampleSize {
		return
	}
	s := Sample{User: u.Username, Before: map[string]string{}}
	for name, value := range c.Set {
		if has, ok := u.attribute(name); ok && has != value {
			s.Before[name] = has
		}
	}
	for _, name := range c.Unset {
		if has, ok := u.attribute(name); ok {
			s.Before[name] = has
		}
	}
	p.Sample = append(p.Sample, s)
}

// WriteRefusal writes a line of a report.
func WriteRefusal(w io.Writer, r *Refusal) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
