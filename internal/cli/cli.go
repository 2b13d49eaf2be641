// Package cli is the command line: what the commands are called, what their help says, and what they print. What they do is put
// together in internal/app; the settings that several of them take are in internal/config.
//
// A message says what happened and what to do next, one line each. Results go to standard output, the log and errors to standard
// error. The exit code is 0 for success, 1 for a failure and 2 for a command line that makes no sense.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/poolhouse/poolhouse/internal/app/bench"
	"github.com/poolhouse/poolhouse/internal/config"
)

// Streams are the files that a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

const description = `Amazon Cognito user pools on your own machine: the cognito-idp API, for the AWS CLI and SDKs and for plain JSON.

Try it: 'poolhouse dev' starts a server with a database in .poolhouse and prints lines to paste. For a server that stays, see 'poolhouse serve --help'. Every setting can be a flag, an environment variable or a line of a YAML file; 'poolhouse config check' shows which value counts and why.`

// grammar is every command.
type grammar struct {
	Dev     devCommand     `cmd:"" group:"servers" help:"Start a server for development, with nothing to set up."`
	Serve   serveCommand   `cmd:"" group:"servers" help:"Start a server for production."`
	Keys    keysCommand    `cmd:"" group:"operate" help:"Make, list and delete the access keys that tools sign with, and rotate the keys that sign tokens."`
	Locks   locksCommand   `cmd:"" group:"operate" help:"Show users who are locked out, and let them try again."`
	Journal journalCommand `cmd:"" group:"operate" help:"Show who changed what, and when."`
	Users   usersCommand   `cmd:"" group:"operate" help:"List and show users, and change very many of them, at any cognito-idp endpoint."`
	Doctor  doctorCommand  `cmd:"" group:"operate" help:"Look for what is wrong or unsafe in this installation."`
	Config  configCommand  `cmd:"" group:"operate" help:"Show the settings that count, and where each comes from."`

	Healthcheck healthcheckCommand `cmd:"" group:"operate" help:"Exit with 0 if a server is ready; for container health checks."`
	Bench       benchCommand       `cmd:"" group:"other" help:"Measure a server against a bare HTTP handler."`
	Version     versionCommand     `cmd:"" group:"other" help:"Print the version."`

	BenchCeiling ceilingCommand   `cmd:"" hidden:"" help:"Serve the bare handler of 'bench' until standard input ends."`
	BenchFlood   floodCommand     `cmd:"" hidden:"" help:"Send the flood of 'bench' that standard input describes."`
	BenchLoad    benchLoadCommand `cmd:"" hidden:"" help:"Make a pool with users for 'bench'."`
	Docs         docsCommand      `cmd:"" hidden:"" help:"Write the generated pages of the documentation."`
}

func parser(g *grammar, s Streams, exit func(int)) (*kong.Kong, error) {
	groups := []kong.Group{{Key: "servers", Title: "Servers"}, {Key: "operate", Title: "Operation"}, {Key: "other", Title: "More"}, {Key: "dev", Title: "Development"}}
	for _, group := range config.Groups() {
		groups = append(groups, kong.Group{Key: group[0], Title: group[1]})
	}
	return kong.New(g, kong.Name("poolhouse"), kong.Description(description), kong.Writers(s.Out, s.Err), kong.Exit(exit),
		kong.ValueFormatter(formatHelp), kong.ExplicitGroups(groups), kong.Vars{"operations": strings.Join(bench.Operations(), ", ")}, kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}))
}

// formatHelp adds the default to a flag's help where the placeholder hides it.
func formatHelp(v *kong.Value) string {
	if v.HasDefault && v.Default != "" && v.Tag.PlaceHolder != "" {
		shown := *v
		shown.Help = strings.TrimSuffix(v.Help, ".") + " (default " + v.Default + ")."
		v = &shown
	}
	return kong.DefaultHelpValueFormatter(v)
}

// exited carries the exit code out of the parser when it has shown help.
type exited int

// Main runs a command line, without the program's name, and returns the exit code.
func Main(args []string, s Streams) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exited:
			code = int(r)
		default:
			panic(r)
		}
	}()
	var g grammar
	p, err := parser(&g, s, func(code int) { panic(exited(code)) })
	if err != nil {
		fmt.Fprintf(s.Err, "poolhouse: %v\n", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := p.Parse(args)
	if err != nil {
		fmt.Fprintf(s.Err, "poolhouse: %v\n", err)
		if pe, ok := errors.AsType[*kong.ParseError](err); ok && pe.Context != nil && pe.Context.Selected() != nil {
			fmt.Fprintf(s.Err, "Run 'poolhouse %s --help' for what it takes.\n", strings.TrimSuffix(pe.Context.Selected().FullPath()[len("poolhouse "):], " "))
		} else {
			fmt.Fprintln(s.Err, "Run 'poolhouse --help' for the commands.")
		}
		return exitUsage
	}
	k.Bind(s)
	k.BindTo(context.Background(), (*context.Context)(nil))
	if err := k.Run(&invocation{kong: k}); err != nil {
		if !errors.Is(err, errSaid) {
			fmt.Fprintf(s.Err, "poolhouse: %v\n", err)
		}
		return exitFailed
	}
	return exitOK
}

// errSaid is returned by a command that failed and has said so.
var errSaid = errors.New("said already")

// A hint is an error with a second line: what to do next.
type hint struct {
	err  error
	next string
}

func (h *hint) Error() string { return h.err.Error() + "\n" + h.next }
func (h *hint) Unwrap() error { return h.err }

// An invocation knows which flags stood on the command line.
type invocation struct{ kong *kong.Context }

// settle completes the settings in target, a command, by the configuration file.
func (i *invocation) settle(target any, path string) (map[string]config.Source, error) {
	var file *config.File
	if path != "" {
		f, err := config.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file = f
	}
	given := map[string]bool{}
	for _, p := range i.kong.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
		}
	}
	return config.Settle(target, file, func(flag string) bool { return given[flag] }, os.LookupEnv)
}

// configFile is the flag that names the configuration file.
type configFile struct {
	ConfigFile string `name:"config" env:"POOLHOUSE_CONFIG" placeholder:"FILE" type:"path" help:"Configuration file, YAML. Its keys are the names of the flags."`
}
