package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/config"
)

type doctorCommand struct {
	config.Config
	configFile
	JSON bool `name:"json" help:"Print JSON, one finding a line."`
}

// Help is the manual's text.
func (*doctorCommand) Help() string {
	return `It reads the settings as 'serve' would, looks at files, keys, the database, mail server, triggers and pools, and changes nothing. The exit code is 1 if something is broken, 0 if there are only warnings.

Examples:
  poolhouse doctor --config /etc/poolhouse.yaml
  poolhouse doctor --data /var/lib/poolhouse`
}

// Run looks.
func (c *doctorCommand) Run(ctx context.Context, i *invocation, s Streams) error {
	if _, err := i.settle(c, c.ConfigFile); err != nil {
		return err
	}
	broken := 0
	for f := range app.Doctor(ctx, c.Config) {
		if f.State == app.Broken {
			broken++
		}
		if c.JSON {
			if err := printJSON(s.Out, f); err != nil {
				return err
			}
			continue
		}
		text := f.Text
		if f.Next != "" {
			text += "\n         " + f.Next
		}
		if _, err := fmt.Fprintf(s.Out, "%-7s  %s\n", f.State, text); err != nil {
			return err
		}
	}
	if broken > 0 {
		return fmt.Errorf("%d of the checks failed", broken)
	}
	return nil
}

type configCommand struct {
	Check configCheck `cmd:"" help:"Print the settings that count, secrets hidden, and warn about risks."`
}

type configCheck struct {
	config.Config
	configFile
}

// Help is the manual's text.
func (*configCheck) Help() string {
	return `A flag counts before the environment, that before the configuration file, and that before the default. A secret may also come from a file that POOLHOUSE_<NAME>_FILE names.

Example:
  poolhouse config check --config /etc/poolhouse.yaml`
}

// Run prints the settings.
func (c *configCheck) Run(i *invocation, s Streams) error {
	sources, err := i.settle(c, c.ConfigFile)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for _, l := range config.Lines(c, sources) {
		source := string(l.Source)
		if l.Source == config.ConfigFile {
			source = c.ConfigFile
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", l.Name, dash(l.Value), source)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := c.Config.Check(); err != nil {
		return err
	}
	if risks := c.Config.Risks(); len(risks) > 0 {
		fmt.Fprintln(s.Out, "\nNot for production:")
		return lines(s.Out, "  "+strings.Join(risks, "\n  "))
	}
	return nil
}

type healthcheckCommand struct {
	Endpoint string        `default:"http://127.0.0.1:9229" env:"POOLHOUSE_ENDPOINT" placeholder:"URL" help:"Address of the server."`
	Timeout  time.Duration `default:"3s" help:"How long to wait for the answer."`
}

// Run asks the server whether it is ready.
func (c *healthcheckCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return app.Healthcheck(ctx, c.Endpoint)
}

type versionCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the version.
func (c *versionCommand) Run(s Streams) error {
	v := app.Build()
	if c.JSON {
		return printJSON(s.Out, v)
	}
	return lines(s.Out, "poolhouse "+v.Version+" ("+v.Revision+", "+v.Go+")")
}
