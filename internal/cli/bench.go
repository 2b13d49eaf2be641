package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/app/bench"
)

type benchCommand struct {
	Endpoint    string        `placeholder:"URL" help:"Server to measure. Without it, one is started in a temporary folder, with durable commits."`
	Pool        string        `placeholder:"ID" help:"Pool whose users an earlier run made. Without it, one is made, and deleted at the end."`
	Operations  []string      `default:"AdminUpdateUserAttributes,AdminGetUser" help:"What to measure: ${operations}."`
	Connections []int         `default:"64,1" help:"Numbers of connections to measure with."`
	Duration    time.Duration `default:"9s" help:"Time for each operation and number of connections."`
	Rounds      int           `default:"3" help:"Into how many rounds that time is cut; between them the bare handler is measured."`
	Users       int           `default:"10000" help:"How many users to make."`
	Sign        bool          `help:"Sign every request, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY when --endpoint is given, and have the signatures verified."`
	PID         int           `name:"pid" placeholder:"N" help:"Process id of the server of --endpoint, to measure its processor time."`
	Folder      string        `placeholder:"DIR" type:"path" help:"Folder in which the started server makes its folder: choose the disk to measure."`
	JSON        bool          `name:"json" help:"Print JSON."`
}

// Help is the manual's text.
func (*benchCommand) Help() string {
	return `The ceiling is a bare net/http handler, in a process of its own, that reads the very same requests and answers {}. It and the server take turns. Compare the ratio between machines, and the server's processor time between versions; rates mean little on a shared machine. The started server keeps no request log.

Examples:
  poolhouse bench
  poolhouse bench --sign --connections 64 --duration 30s
  poolhouse bench --endpoint http://127.0.0.1:9229 --operations AdminGetUser --users 1000`
}

// Run measures.
func (c *benchCommand) Run(ctx context.Context, s Streams) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.Rounds < 1 || c.Users < 1 || c.Duration <= 0 {
		return errors.New("--rounds, --users and --duration must be greater than 0")
	}
	for _, n := range c.Connections {
		if n < 1 {
			return errors.New("--connections must be greater than 0")
		}
	}
	o := bench.Options{PID: c.PID, Pool: c.Pool, Users: c.Users, Operations: c.Operations, Connections: c.Connections, Duration: c.Duration,
		Rounds: c.Rounds, WarmUp: 300 * time.Millisecond,
		Credentials: bench.Credentials{ID: "bench", Region: "us-east-1"}}
	if c.Endpoint == "" {
		folder, err := os.MkdirTemp(c.Folder, "poolhouse-bench-")
		if err != nil {
			return err
		}
		defer closing(closer(func() error { return os.RemoveAll(folder) }), &err)
		ready, end, err := c.start(ctx, folder, s.Err)
		if err != nil {
			return err
		}
		defer closing(closer(end), &err)
		o.PID, o.Folder = ready.PID, folder
		if c.Sign {
			o.Credentials = bench.Credentials{ID: ready.AccessKeyID, Secret: ready.SecretAccessKey, Region: ready.Region}
		}
		c.Endpoint = ready.Endpoint
	} else if c.Sign {
		o.Credentials = bench.Credentials{ID: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY"), Region: "us-east-1"}
		if o.Credentials.ID == "" || o.Credentials.Secret == "" {
			return errors.New("--sign wants AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment")
		}
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("--endpoint must be an address such as http://127.0.0.1:9229; TLS is not measured")
	}
	if o.Address = u.Host; u.Port() == "" {
		o.Address += ":80"
	}
	ceiling, end, err := startCeiling(ctx, s.Err)
	if err != nil {
		return err
	}
	defer closing(closer(end), &err)
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

// closer is a function that closes something.
type closer func() error

func (c closer) Close() error { return c() }

// start runs this program as a server in the folder, and waits for it.
func (c *benchCommand) start(ctx context.Context, folder string, log io.Writer) (ready app.Ready, end func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return ready, nil, err
	}
	file := filepath.Join(folder, "ready.json")
	args := []string{"dev", "--listen", "127.0.0.1:0", "--data", filepath.Join(folder, "data"), "--ready-file", file, "--log-level", "warn"}
	if c.Sign {
		args = append(args, "--allow-remote")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return ready, nil, fmt.Errorf("start a server: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return <-ended
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return ready, nil, fmt.Errorf("the server ended before it was ready: %w", err)
		case <-tick.C:
		}
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(text, &ready)
		}
		if err != nil {
			return ready, nil, errors.Join(err, end())
		}
		return ready, end, nil
	}
}

// startCeiling runs the bare handler in a process of its own, which ends with this one.
func startCeiling(ctx context.Context, log io.Writer) (address string, end func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, program, "bench-ceiling")
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start the bare handler: %w", err)
	}
	end = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("start the bare handler: %w", err), end())
	}
	return strings.TrimSpace(line), end, nil
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
