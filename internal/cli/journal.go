package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/poolhouse/poolhouse/internal/app"
)

type journalCommand struct {
	beside
	Pool   string        `placeholder:"ID" help:"Only changes in this pool."`
	User   string        `placeholder:"NAME" help:"Only changes of this user: a user name, sub or alias, with --pool; or a sub alone."`
	ID     string        `name:"id" placeholder:"REQUEST-ID" help:"Only the change that this request made."`
	Since  time.Duration `placeholder:"DURATION" help:"Only changes of this last while, such as 1h."`
	Follow bool          `short:"f" help:"Stay, and show changes as they are made, from now on or from --since."`
	JSON   bool          `name:"json" help:"Print JSON, one change a line."`
}

// Help is the manual's text.
func (*journalCommand) Help() string {
	return `Each line is one committed change: when, by which key, the operation, the pool, the user's sub, and the names of what changed. Values are never recorded. The last column is the request id, which the caller got as x-amzn-requestid, and in the plain dialect as data.id.

Examples:
  poolhouse journal --follow
  poolhouse journal --pool us-east-1_aBcDeFgHi --user jane
  poolhouse journal --since 24h --json`
}

// pollEvery is how long --follow waits before it looks again.
const pollEvery = 500 * time.Millisecond

// Run prints the journal.
func (c *journalCommand) Run(ctx context.Context, i *invocation, s Streams) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	a, err := c.open(ctx, i)
	if err != nil {
		return err
	}
	defer closing(a, &err)
	q := app.JournalQuery{Pool: c.Pool, User: c.User, ID: c.ID}
	if c.Since > 0 || c.Follow {
		now, err := a.Now(ctx)
		if err != nil {
			return err
		}
		q.After = now.Add(-c.Since)
	}
	for {
		entries, err := a.Journal(ctx, q)
		if err != nil {
			if c.Follow && ctx.Err() != nil {
				return nil
			}
			return err
		}
		for _, e := range entries {
			if err := c.print(s, &e); err != nil {
				return err
			}
			q.After, q.AfterID = e.Time, e.RequestID
		}
		if len(entries) == app.JournalPage {
			continue
		}
		if !c.Follow || c.ID != "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollEvery):
		}
	}
}

func (c *journalCommand) print(s Streams, e *app.JournalEntry) error {
	if c.JSON {
		return printJSON(s.Out, e)
	}
	_, err := fmt.Fprintf(s.Out, "%s  %-20s  %-28s  %s  %s  %s  %s\n", e.Time.Format(time.RFC3339), dash(e.Caller), e.Operation, dash(e.Pool), dash(e.Sub),
		dash(strings.Join(e.Names, ",")), e.RequestID)
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
