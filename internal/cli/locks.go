package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

type locksCommand struct {
	List locksList `cmd:"" help:"List the users of a pool whose passwords or codes are not evaluated now, or all attempts of one user."`
	Lift locksLift `cmd:"" help:"Forget the attempts of a user, who may try again at once."`
}

// Help is the manual's text.
func (*locksCommand) Help() string {
	return `After five wrong passwords a user is locked out for a second, and for twice as long after each further one, up to a quarter of an hour. Wrong codes of second factors lock likewise, and after 100 in a row for good. Requests for codes, and confirmations by them, have a number of attempts in an hour.

Examples:
  poolhouse locks list --pool us-east-1_aBcDeFgHi
  poolhouse locks list --pool us-east-1_aBcDeFgHi --user jane
  poolhouse locks lift --pool us-east-1_aBcDeFgHi --user jane`
}

type locksList struct {
	beside
	Pool string `required:"" placeholder:"ID" help:"The pool."`
	User string `placeholder:"NAME" help:"Show all that is counted of this user: a user name, sub or alias."`
	Most int    `name:"password-failures" yaml:"password-failures" env:"POOLHOUSE_PASSWORD_FAILURES" placeholder:"N" help:"The server's setting of this name, where no server runs that could be asked."`
	JSON bool   `name:"json" help:"Print JSON, one line for each kind of attempts."`
}

// Run lists locks.
func (c *locksList) Run(ctx context.Context, i *invocation, s Streams) (err error) {
	a, err := c.open(ctx, i)
	if err != nil {
		return err
	}
	defer closing(a, &err)
	t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	q := app.LockQuery{UserName: app.UserName{Pool: c.Pool, User: c.User}, MaxFailures: c.Most}
	shown := 0
	for more := true; more; more = q.After != "" {
		page, err := a.Locks(ctx, q)
		if err != nil {
			return noUser(err, q.UserName)
		}
		for _, l := range page.Attempts {
			if c.JSON {
				if err := printJSON(s.Out, l); err != nil {
					return err
				}
				continue
			}
			if shown++; shown == 1 {
				fmt.Fprintln(t, "USER\tSUB\tATTEMPTS\tSPENT\tFAILED IN A ROW\tLOCKED UNTIL")
			}
			until := "-"
			if l.Locked && l.Until.IsZero() {
				until = "lifted"
			} else if l.Locked {
				until = l.Until.Format(time.DateTime)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\n", l.Username, l.Sub, l.What, l.Spent, l.Failures, until)
		}
		q.After = page.Next
	}
	switch {
	case c.JSON || shown > 0:
		return t.Flush()
	case c.User != "":
		return lines(s.Out, "No attempts of "+c.User+" are counted.")
	}
	return lines(s.Out, "Nobody is locked out.")
}

type locksLift struct {
	beside
	Pool string `required:"" placeholder:"ID" help:"The pool."`
	User string `required:"" placeholder:"NAME" help:"The user: a user name, sub or alias."`
}

// Run lifts the locks of a user.
func (c *locksLift) Run(ctx context.Context, i *invocation, s Streams) (err error) {
	a, err := c.open(ctx, i)
	if err != nil {
		return err
	}
	defer closing(a, &err)
	name := app.UserName{Pool: c.Pool, User: c.User}
	if err := a.Unlock(ctx, name); err != nil {
		return noUser(err, name)
	}
	return lines(s.Out, "User "+c.User+" may try again.")
}

// noUser says of a user or pool that is not there what to do next.
func noUser(err error, u app.UserName) error {
	switch {
	case !errors.Is(err, store.ErrNotFound):
		return err
	case u.User == "":
		return noPool(err, u.Pool)
	}
	return &hint{fmt.Errorf("there is no user %s in a pool %s", u.User, u.Pool), "ListUsers shows those that there are."}
}
