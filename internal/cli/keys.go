package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// beside are the settings of a command that works on the database, beside a running server or without one.
type beside struct {
	config.Storage
	configFile
}

// open settles the command's settings and opens the database, or the way to the server that has it.
func (b *beside) open(ctx context.Context, i *invocation) (app.Admin, error) {
	if _, err := i.settle(b, b.ConfigFile); err != nil {
		return nil, err
	}
	return app.OpenAdmin(ctx, b.Storage)
}

type keysCommand struct {
	Create keysCreate `cmd:"" help:"Make an access key; its secret is shown this once."`
	List   keysList   `cmd:"" help:"List the keys, without their secrets."`
	Delete keysDelete `cmd:"" help:"Delete a key; requests signed with it are refused at once."`

	Signing keysSigning `cmd:"" help:"Show the keys that sign the tokens of a pool."`
	Rotate  keysRotate  `cmd:"" help:"Replace the keys that sign the tokens of a pool."`
}

// Help is the manual's text.
func (*keysCommand) Help() string {
	return `Access keys work at once, also on a server that is running. The keys that sign the tokens of pools are another matter: 'signing' shows them, 'rotate' replaces them.

Examples:
  poolhouse keys create --name terraform
  poolhouse keys create --name support --actions 'AdminGet*,ListUsers' --pools us-east-1_aBcDeFgHi --expires 2160h
  poolhouse keys create --name curl --bearer`
}

type keysCreate struct {
	beside
	Name    string        `help:"What the key is for; shown in lists."`
	Actions []string      `placeholder:"ACTION" help:"Operations that the key may call, such as AdminGetUser or 'AdminGet*'; all without it."`
	Pools   []string      `placeholder:"ID" help:"Pools that the key may touch; all without it."`
	Bearer  bool          `help:"Make a bearer key for the plain dialect (Authorization: Bearer ...) in place of one that signs."`
	Expires time.Duration `placeholder:"DURATION" help:"How long the key works, such as 720h; for ever without it."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

// Run makes a key.
func (c *keysCreate) Run(ctx context.Context, i *invocation, s Streams) (err error) {
	if c.Expires < 0 {
		return errors.New("--expires must lie ahead")
	}
	a, err := c.open(ctx, i)
	if err != nil {
		return err
	}
	defer closing(a, &err)
	k, err := a.CreateKey(ctx, app.NewKey{Name: c.Name, Actions: c.Actions, Pools: c.Pools, Bearer: c.Bearer, Lifetime: c.Expires})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.Out, k)
	}
	if c.Bearer {
		return lines(s.Out, "Bearer key "+k.ID+" was made. Its token is shown this once:", "",
			"  Authorization: Bearer "+k.Token)
	}
	return lines(s.Out, "Access key "+k.ID+" was made. Its secret is shown this once:", "",
		"  export AWS_ACCESS_KEY_ID="+k.ID, "  export AWS_SECRET_ACCESS_KEY="+k.Secret)
}

type keysList struct {
	beside
	JSON bool `name:"json" help:"Print JSON, one key a line."`
}

// Run lists the keys.
func (c *keysList) Run(ctx context.Context, i *invocation, s Streams) (err error) {
	a, err := c.open(ctx, i)
	if err != nil {
		return err
	}
	defer closing(a, &err)
	keys, err := a.Keys(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		for _, k := range keys {
			if err := printJSON(s.Out, k); err != nil {
				return err
			}
		}
		return nil
	}
	if len(keys) == 0 {
		return lines(s.Out, "There are no keys. Make one with 'poolhouse keys create'.")
	}
	t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tKIND\tNAME\tACTIONS\tPOOLS\tMADE\tEXPIRES")
	for _, k := range keys {
		expires := "never"
		if !k.Expires.IsZero() {
			expires = k.Expires.Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Kind, k.Name, orAll(k.Actions), orAll(k.Pools), k.Created.Format(time.DateTime), expires)
	}
	return t.Flush()
}

func orAll(list []string) string {
	if len(list) == 0 {
		return "all"
	}
	return strings.Join(list, ",")
}

type keysDelete struct {
	beside
	ID string `arg:"" help:"Id of the key, as 'poolhouse keys list' shows it."`
}

// Run deletes a key.
func (c *keysDelete) Run(ctx context.Context, i *invocation, s Streams) (err error) {
	a, err := c.open(ctx, i)
	if err != nil {
		return err
	}
	defer closing(a, &err)
	err = a.DeleteKey(ctx, c.ID)
	if errors.Is(err, store.ErrNotFound) {
		return &hint{fmt.Errorf("there is no key %s", c.ID), "See 'poolhouse keys list'."}
	}
	if err != nil {
		return err
	}
	return lines(s.Out, "Key "+c.ID+" is deleted.")
}

type keysSigning struct {
	beside
	Pool string `required:"" placeholder:"ID" help:"The pool."`
	JSON bool   `name:"json" help:"Print JSON, one key a line."`
}

// Run lists the signing keys of a pool.
func (c *keysSigning) Run(ctx context.Context, i *invocation, s Streams) (err error) {
	a, err := c.open(ctx, i)
	if err != nil {
		return err
	}
	defer closing(a, &err)
	keys, err := a.SigningKeys(ctx, c.Pool)
	if err != nil {
		return noPool(err, c.Pool)
	}
	return printSigningKeys(s.Out, keys, c.JSON)
}

type keysRotate struct {
	beside
	Pool   string `required:"" placeholder:"ID" help:"The pool."`
	Now    bool   `help:"Sign with the new keys at once, and not only after a day, by when everybody has fetched them."`
	Revoke bool   `help:"Take back the old keys, which somebody else may have: with --now."`
	JSON   bool   `name:"json" help:"Print JSON, one key a line."`
}

// Help is the manual's text.
func (*keysRotate) Help() string {
	return `New keys are published beside the present ones, and sign a day later: whoever verifies tokens may keep the key set for a day. The old ones stay published until the last token that they signed has expired. Nobody is signed out, and nothing has to be restarted. Doing it again meanwhile changes nothing.

With --now the new keys sign at once. Most libraries fetch the key set again when a token names a key that they do not know; those that do not refuse new tokens until they fetch it.

With --now --revoke, for keys that somebody else may have, the old ones are gone at once: ID and access tokens that they signed are refused here, and applications refresh them. Restart what verifies tokens by itself: until it fetches the key set again, it believes the old keys.

Examples:
  poolhouse keys rotate --pool us-east-1_aBcDeFgHi
  poolhouse keys rotate --pool us-east-1_aBcDeFgHi --now --revoke`
}

// Run rotates the signing keys of a pool.
func (c *keysRotate) Run(ctx context.Context, i *invocation, s Streams) (err error) {
	if c.Revoke && !c.Now {
		return &hint{errors.New("--revoke takes the present keys back at once"), "Add --now if that is what you want."}
	}
	a, err := c.open(ctx, i)
	if err != nil {
		return err
	}
	defer closing(a, &err)
	keys, err := a.RotateKeys(ctx, app.Rotation{Pool: c.Pool, Now: c.Now, Revoke: c.Revoke})
	if err != nil {
		return noPool(err, c.Pool)
	}
	return printSigningKeys(s.Out, keys, c.JSON)
}

// noPool says of a pool that is not there what to do next.
func noPool(err error, id string) error {
	if errors.Is(err, store.ErrNotFound) {
		return &hint{fmt.Errorf("there is no pool %s", id), "ListUserPools shows those that there are."}
	}
	return err
}

func printSigningKeys(w io.Writer, keys []app.SigningKey, asJSON bool) error {
	if asJSON {
		for _, k := range keys {
			if err := printJSON(w, k); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTOKENS\tPART\tMADE\tSIGNS FROM")
	for _, k := range keys {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Use, k.Part, k.Created.Format(time.DateTime), k.From.Format(time.DateTime))
	}
	return t.Flush()
}

// closing closes c at the end of a command, and reports its error if there is no earlier one.
func closing(c io.Closer, err *error) {
	if closed := c.Close(); *err == nil {
		*err = closed
	}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
