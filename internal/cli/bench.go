package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/app/bench"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

type benchCommand struct {
	Endpoint    string        `placeholder:"URL" help:"Server to measure. Without it, one is started in a temporary folder, with durable commits."`
	Pool        string        `placeholder:"ID" help:"Pool whose users an earlier run made. Without it, one is made, and deleted at the end."`
	Operations  []string      `default:"AdminUpdateUserAttributes,AdminGetUser,ListUsers" help:"What to measure: ${operations}."`
	Connections []int         `default:"64,1" help:"Numbers of connections to measure with."`
	Duration    time.Duration `default:"6s" help:"Time for each operation and number of connections."`
	Rounds      int           `default:"3" help:"Into how many rounds that time is cut; between them the bare handler is measured."`
	Users       int           `default:"10000" help:"How many users to make."`
	Sign        bool          `help:"Sign every request, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY when --endpoint is given, and have the signatures verified."`
	PID         int           `name:"pid" placeholder:"N" help:"Process id of the server of --endpoint, to measure its processor time and memory."`
	Folder      string        `placeholder:"DIR" type:"path" help:"Folder in which the started server makes its folder: choose the disk to measure."`
	JSON        bool          `name:"json" help:"Print JSON."`

	Overload bool   `help:"Measure only what the server does when five times as much is asked of it as it can do, beside thousands of idle and slow connections, and with hostile bodies; in about a minute."`
	Crowd    int    `default:"5000" help:"How many idle connections that is; a tenth as many are slow, and two fifths as many ask for too much."`
	Report   string `placeholder:"FILE" type:"path" help:"Measure everything, and write a report in Markdown with plots beside it: throughput, growth with the number of users, start, memory, signatures."`
	Growth   []int  `default:"1000,10000,100000" help:"Numbers of users between which the report tells the growth."`
	Large    bool   `help:"Add a million users to --growth. Making them takes minutes."`
	Starts   int    `default:"5" help:"How often the report starts a server to time it."`
	Postgres string `placeholder:"URL" env:"POOLHOUSE_BENCH_POSTGRES" help:"An empty database: the report compares PostgreSQL with pgbench, and leaves the users there."`
}

// Help is the manual's text.
func (*benchCommand) Help() string {
	return `The ceiling is a bare net/http handler, in a process of its own, that reads the very same requests and answers {}. It and the server take turns. Compare the ratio between machines, and the server's processor time between versions; rates mean little on a shared machine. The started server keeps no request log.

Examples:
  poolhouse bench
  poolhouse bench --sign --connections 64 --duration 30s
  poolhouse bench --endpoint http://127.0.0.1:9229 --operations AdminGetUser --users 1000
  poolhouse bench --overload
  poolhouse bench --report performance.md --users 100000`
}

// Run measures.
func (c *benchCommand) Run(ctx context.Context, s Streams) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.check(); err != nil {
		return err
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	program := &bench.Program{Path: path, Log: s.Err}
	if c.Endpoint != "" {
		return c.measure(ctx, program, s, nil, "")
	}
	folder, err := os.MkdirTemp(c.Folder, "poolhouse-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if c.Report != "" || c.Overload {
		return c.report(ctx, program, s, folder)
	}
	var args []string
	if c.Sign {
		args = append(args, "--allow-remote")
	}
	server, err := program.Start(ctx, bench.Place{Folder: folder}, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return c.measure(ctx, program, s, server, folder)
}

func (c *benchCommand) check() error {
	if c.Rounds < 1 || c.Users < 1 || c.Duration <= 0 || c.Starts < 1 || c.Crowd < 1 {
		return errors.New("--rounds, --users, --duration, --starts and --crowd must be greater than 0")
	}
	for _, n := range slices.Concat(c.Connections, c.Growth) {
		if n < 1 {
			return errors.New("--connections and --growth must be greater than 0")
		}
	}
	if len(c.Connections) == 0 {
		return errors.New("--connections must be given")
	}
	if (c.Report != "" || c.Overload) && (c.Endpoint != "" || c.Sign) {
		return errors.New("--report and --overload start their own servers: leave out --endpoint and --sign")
	}
	if c.Report != "" && c.Overload {
		return errors.New("--report measures overload too: leave out --overload")
	}
	if c.Report != "" { // not after a quarter of an hour
		if _, err := os.Stat(filepath.Dir(c.Report)); err != nil {
			return fmt.Errorf("the folder of --report: %w", err)
		}
	}
	if c.Postgres != "" && c.Duration < time.Duration(c.Rounds)*time.Second {
		return errors.New("pgbench measures whole seconds: give --duration a second for each of the --rounds")
	}
	return nil
}

// warmUp is the part of each round that is not measured.
const warmUp = 300 * time.Millisecond

// measure prints a table about one server: the given one, or that of --endpoint.
func (c *benchCommand) measure(ctx context.Context, program *bench.Program, s Streams, server *bench.Server, folder string) (err error) {
	o := bench.Options{PID: c.PID, Pool: c.Pool, Users: c.Users, Operations: c.Operations, Connections: c.Connections, Duration: c.Duration,
		Rounds: c.Rounds, WarmUp: warmUp, Folder: folder, Credentials: bench.Credentials{ID: "bench", Region: "us-east-1"}}
	switch {
	case server != nil:
		o.Address, o.PID = server.Address, server.PID
		if c.Sign {
			o.Credentials = server.Credentials()
		}
	case c.Sign:
		o.Credentials.ID, o.Credentials.Secret = os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		if o.Credentials.ID == "" || o.Credentials.Secret == "" {
			return errors.New("--sign wants AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment")
		}
		fallthrough
	default:
		if o.Address, err = bench.Address(c.Endpoint); err != nil {
			return fmt.Errorf("--endpoint: %w", err)
		}
	}
	ceiling, end, err := program.StartCeiling(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	o.Ceiling = ceiling
	report, err := bench.Run(ctx, o, s.Err)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.Out, report)
	}
	return report.Print(s.Out)
}

// postgresUsers is how many users the report makes in PostgreSQL: each takes several round trips.
const postgresUsers = 10_000

// rest is how long a server is left alone before its memory is read.
const rest = 3 * time.Second

// report measures everything and writes the report.
func (c *benchCommand) report(ctx context.Context, program *bench.Program, s Streams, folder string) error {
	if c.Large {
		c.Growth = append(c.Growth, 1_000_000)
	}
	slices.Sort(c.Growth)
	build := app.Build()
	sizes := slices.Compact(c.Growth)
	if c.Overload {
		sizes = nil
	}
	suite, failed := bench.RunSuite(ctx, bench.SuiteOptions{Program: program, Version: build.Version + " (" + build.Revision + ")", Folder: folder, Resistance: c.Overload, Crowd: c.Crowd,
		Operations: c.Operations, Connections: c.Connections, Duration: c.Duration, Rounds: c.Rounds, WarmUp: min(warmUp, c.Duration), Users: c.Users,
		Sizes: sizes, Starts: c.Starts, Rest: min(rest, c.Duration), Postgres: c.Postgres, PostgresUsers: min(c.Users, postgresUsers)}, s.Err)
	if suite == nil {
		return failed
	}
	if c.Report != "" {
		if err := suite.Write(c.Report); err != nil {
			return errors.Join(failed, err)
		}
	}
	show := suite.Print
	switch {
	case c.JSON:
		show = func(w io.Writer) error { return printJSON(w, suite) }
	case c.Overload:
		show = suite.PrintResistance
	}
	return errors.Join(failed, show(s.Out))
}

type benchLoadCommand struct {
	Data     string      `required:"" type:"path" help:"Data folder."`
	Database secret.Text `env:"POOLHOUSE_DATABASE" help:"Database, if not the folder's own."`
	Users    int         `required:"" help:"How many."`
}

// Run makes a pool with users and prints its id.
func (c *benchLoadCommand) Run(ctx context.Context, s Streams) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := app.Options{Dev: true, Log: s.Err}
	o.Config.Listen, o.Config.Account, o.Config.Region, o.Config.LogLevel = "127.0.0.1:0", "000000000000", "us-east-1", "warn"
	o.Config.Data, o.Config.Database = c.Data, c.Database
	pool, err := app.Fill(ctx, o, c.Users, bench.User)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.Out, pool)
	return err
}

type floodCommand struct{}

// Run sends the flood that standard input describes and prints what came of it.
func (*floodCommand) Run(ctx context.Context, s Streams) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var flood bench.Flood
	if err := json.NewDecoder(s.In).Decode(&flood); err != nil {
		return fmt.Errorf("read the flood from standard input: %w", err)
	}
	got, err := flood.Run(ctx, nil)
	if err != nil {
		return err
	}
	return printJSON(s.Out, got)
}

type ceilingCommand struct{}

// Run serves the bare handler until standard input ends.
func (*ceilingCommand) Run(ctx context.Context, s Streams) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		if _, err := io.Copy(io.Discard, s.In); err != nil {
			fmt.Fprintf(s.Err, "poolhouse: standard input: %v\n", err)
		}
	}()
	return bench.Ceiling(ctx, func(address string) error {
		_, err := fmt.Fprintln(s.Out, address)
		return err
	})
}
