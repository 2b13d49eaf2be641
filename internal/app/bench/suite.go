package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// SuiteOptions say what RunSuite measures and for how long.
type SuiteOptions struct {
	Program     *Program
	Version     string // of the program, for the report
	Folder      string // an empty one, on the disk to measure
	Operations  []string
	Connections []int         // the largest number is the load of growth, signatures and PostgreSQL
	Duration    time.Duration // of each operation and number of connections, all rounds together
	Rounds      int
	WarmUp      time.Duration
	Users       int   // of most measurements
	Sizes       []int // numbers of users between which growth is measured
	Crowd       int   // idle connections to measure beside; there are fewer of other kinds, as parts of this number
	Starts      int   // how often a server is started to measure that
	Rest        time.Duration
	// Postgres is the URL of an empty database, which is filled and left behind; empty: PostgreSQL is not measured.
	Postgres      string
	PostgresUsers int
	// Resistance says that only overload, crowds and hostile bodies are measured, with Users.
	Resistance bool
}

// A Suite is everything that a report tells.
type Suite struct {
	Report
	Taken      time.Time     `json:"taken"`
	Version    string        `json:"version"`
	Duration   time.Duration `json:"duration_ns"` // of a row, all rounds together
	Rounds     int           `json:"rounds"`
	Half       []Paced       `json:"half_rate"`
	Signed     []Row         `json:"signed"`
	StartCount int           `json:"start_count"`
	Starts     []Start       `json:"starts"`
	AfterLoad  uint64        `json:"resident_after_load_bytes,omitempty"` // at rest, when all rows had been measured
	Growth     []Growth      `json:"growth"`
	Postgres   *Postgres     `json:"postgres,omitempty"`
	Bulk       *Bulk         `json:"bulk,omitempty"`
	Overload   []Overload    `json:"overload"`
	Crowded    []Crowded     `json:"crowded"`
	Hostile    []Hostile     `json:"hostile"`
	ProgramMiB float64       `json:"program_mib"`
	Failed     []string      `json:"failed,omitempty"` // errors for which parts of it are missing
}

// A Start is how long a server takes to its first answer, and its memory at rest afterwards.
type Start struct {
	Users       int           `json:"users"`
	FirstAnswer time.Duration `json:"first_answer_ns"` // median
	Longest     time.Duration `json:"longest_ns"`
	Resident    uint64        `json:"resident_bytes,omitempty"`
}

// Paced is an operation at a rate that the server can keep up with. Latencies count from when a request was due.
type Paced struct {
	Operation   string        `json:"operation"`
	Connections int           `json:"connections"`
	Rate        float64       `json:"requests_per_second"`
	P50         time.Duration `json:"p50_ns"`
	P99         time.Duration `json:"p99_ns"`
	Errors      uint64        `json:"errors"`
}

// Growth is an operation with a number of users: its median over one connection, its cost over the largest number of connections.
type Growth struct {
	Operation string        `json:"operation"`
	Users     int           `json:"users"`
	Median    time.Duration `json:"median_ns"`
	CPU       time.Duration `json:"server_cpu_ns_per_request,omitempty"`
	Rate      float64       `json:"requests_per_second"`
}

// RunSuite measures everything that a report tells. It tells progress, a line each, what it is doing. What cannot be measured is an
// error, beside a suite with the rest.
func RunSuite(ctx context.Context, o SuiteOptions, progress io.Writer) (s *Suite, err error) {
	for _, name := range o.Operations {
		if operations[name] == nil {
			return nil, unknown(name)
		}
	}
	r := &runner{SuiteOptions: o, progress: progress, places: map[int]filled{},
		suite: &Suite{Report: Report{Machine: machine(), Users: o.Users}, Taken: time.Now().UTC(), Version: o.Version, Duration: o.Duration, Rounds: o.Rounds, StartCount: o.Starts}}
	if info, err := os.Stat(o.Program.Path); err == nil {
		r.suite.ProgramMiB = float64(info.Size()) / (1 << 20)
	}
	if r.suite.Machine.Fsync, err = FsyncTime(o.Folder, 200); err != nil {
		return nil, err
	}
	var end func() error
	if r.ceiling, end, err = o.Program.StartCeiling(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	steps := []func(context.Context) error{r.empty, r.fill, r.full, r.growth, r.rows, r.bulk, r.signed, r.crowds, r.hostiles, r.overload, r.postgres}
	if o.Resistance {
		steps = []func(context.Context) error{r.fill, r.crowds, r.hostiles, r.overload}
	}
	return r.all(ctx, steps)
}

// all takes the steps of a suite. One that fails takes only its own part along, unless there are no users yet: without them nothing can
// be measured.
func (r *runner) all(ctx context.Context, steps []func(context.Context) error) (*Suite, error) {
	var failed []error
	for _, step := range steps {
		err := step(ctx)
		if ctx.Err() != nil || err != nil && len(r.places) == 0 {
			return nil, cmp.Or(err, context.Cause(ctx))
		}
		if err != nil {
			r.say("not measured: %v", err)
			r.suite.Failed, failed = append(r.suite.Failed, err.Error()), append(failed, err)
		}
	}
	return r.suite, errors.Join(failed...)
}

// A runner is a suite being measured.
type runner struct {
	SuiteOptions
	progress io.Writer
	suite    *Suite
	ceiling  string
	places   map[int]filled // by the number of users
}

// filled is a database with users.
type filled struct {
	place Place
	pool  string
	users int
}

// unverified are the credentials of requests to a development server that believes everybody.
var unverified = Credentials{ID: "bench", Region: "us-east-1"}

func (r *runner) say(format string, args ...any) { fmt.Fprintf(r.progress, format+"\n", args...) }

func (r *runner) most() int { return slices.Max(r.Connections) }

// place makes a folder for a server.
func (r *runner) place(name, database string) (Place, error) {
	p := Place{Folder: filepath.Join(r.Folder, name), Database: database}
	return p, os.Mkdir(p.Folder, 0o700)
}

func (r *runner) empty(ctx context.Context) error {
	p, err := r.place("empty", "")
	if err != nil {
		return err
	}
	first, err := r.Program.Start(ctx, p) // makes the database
	if err != nil {
		return err
	}
	if err := first.Stop(); err != nil {
		return err
	}
	return r.starts(ctx, p, 0, "ListUserPools", `{"MaxResults":1}`)
}

func (r *runner) full(ctx context.Context) error {
	f := r.places[r.Users]
	return r.starts(ctx, f.place, f.users, "AdminGetUser", string(operations["AdminGetUser"].body(nil, &subject{pool: f.pool}, 0, 0)))
}

// starts measures starts on a database, and the memory of the last server at rest.
func (r *runner) starts(ctx context.Context, at Place, users int, operation, body string) error {
	r.say("%d starts with %d users", r.Starts, users)
	times := make([]time.Duration, r.Starts)
	var resident uint64
	for i := range times {
		s, took, err := r.Program.firstAnswer(ctx, at, unverified, operation, body)
		if err != nil {
			return fmt.Errorf("measure a start: %w", err)
		}
		if times[i] = took; i == len(times)-1 {
			if err := pause(ctx, r.Rest); err != nil {
				return errors.Join(err, s.Stop())
			}
			resident = Resident(s.PID)
		}
		if err := s.Stop(); err != nil {
			return err
		}
	}
	slices.Sort(times)
	r.suite.Starts = append(r.suite.Starts, Start{Users: users, FirstAnswer: times[len(times)/2], Longest: times[len(times)-1], Resident: resident})
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fill makes a database for each number of users.
func (r *runner) fill(ctx context.Context) error {
	for _, n := range append([]int{r.Users}, r.Sizes...) {
		if _, ok := r.places[n]; ok {
			continue
		}
		r.say("making %d users", n)
		p, err := r.place("users-"+strconv.Itoa(n), "")
		if err != nil {
			return err
		}
		pool, err := r.Program.Fill(ctx, p, n)
		if err != nil {
			return err
		}
		r.places[n] = filled{p, pool, n}
	}
	return nil
}

// with runs fn while a server has the database.
func (r *runner) with(ctx context.Context, f filled, fn func(s *Server) error, args ...string) error {
	s, err := r.Program.Start(ctx, f.place, args...)
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Stop())
}

// on is what requests to a server on the database are about.
func (f *filled) on(s *Server, creds Credentials) *target {
	return &target{address: s.Address, pid: s.PID, maker: &caller.Maker{Host: s.Address, Credentials: creds}, about: subject{pool: f.pool}, users: f.users}
}

// warmth is how many requests warm fills a server's caches with at most.
const warmth = 1_000_000

// warm asks for every user once, or for as many as warmth: a server that has just started reads what it has not seen yet from its file.
func (r *runner) warm(ctx context.Context, t *target, name string) error {
	if !operations[name].grows() {
		return nil
	}
	if err := t.ready(ctx, operations[name]); err != nil {
		return err
	}
	var next atomic.Uint64
	l := t.load(name, r.most(), &next)
	l.count = uint64(min(t.users, warmth))
	got, err := l.run(ctx)
	if err == nil && got.errors > 0 {
		err = errors.New(got.first)
	}
	if err != nil {
		return fmt.Errorf("warm up %s with %d users: %w", name, t.users, err)
	}
	return nil
}

// rows measures every operation with every number of connections, and those over many connections at half of what they reached.
func (r *runner) rows(ctx context.Context) error {
	f := r.places[r.Users]
	return r.with(ctx, f, func(s *Server) (err error) {
		about := f.on(s, unverified)
		for _, name := range r.Operations {
			if err := r.warm(ctx, about, name); err != nil {
				return err
			}
		}
		if r.suite.Rows, err = r.table(ctx, about, f, r.Operations, r.Connections, r.Duration); err != nil {
			return err
		}
		for _, row := range r.suite.Rows {
			if row.Connections == 1 || !operations[row.Operation].repeats() {
				continue
			}
			r.say("%s with %d connections at half of that rate", row.Operation, row.Connections)
			var next atomic.Uint64
			l := about.load(row.Operation, row.Connections, &next)
			l.warmUp, l.duration, l.rate = r.WarmUp, r.Duration/time.Duration(r.Rounds), row.Rate/2
			got, err := l.run(ctx)
			if err != nil {
				return err
			}
			r.suite.Half = append(r.suite.Half, Paced{Operation: row.Operation, Connections: row.Connections, Rate: got.rate(),
				P50: got.times.quantile(0.5), P99: got.times.quantile(0.99), Errors: got.errors})
		}
		if err := pause(ctx, r.Rest); err != nil {
			return err
		}
		r.suite.AfterLoad = Resident(s.PID)
		return nil
	})
}

func (r *runner) table(ctx context.Context, t *target, f filled, names []string, connections []int, duration time.Duration) (rows []Row, err error) {
	o := Options{Address: t.address, PID: t.pid, Ceiling: r.ceiling, Pool: f.pool, Users: f.users, Duration: duration, Rounds: r.Rounds,
		WarmUp: r.WarmUp, Folder: f.place.Folder}
	for _, name := range names {
		for _, n := range connections {
			r.say("%s with %d connections", name, n)
			row, err := measure(ctx, &o, t, name, n)
			if err != nil {
				return rows, fmt.Errorf("%s: %w", name, err)
			}
			r.say("  %.0f a second, %.2f of the bare handler, p99 %v", row.Rate, row.Ratio, row.P99.Round(time.Microsecond))
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// signed measures those operations again that carry signatures, which are verified.
func (r *runner) signed(ctx context.Context) error {
	f := r.places[r.Users]
	names := slices.DeleteFunc(slices.Clone(r.Operations), func(name string) bool { return operations[name].client || operations[name].token })
	return r.with(ctx, f, func(s *Server) (err error) {
		r.say("with signatures")
		r.suite.Signed, err = r.table(ctx, f.on(s, s.Credentials()), f, names, []int{r.most()}, r.Duration/2)
		return err
	}, "--allow-remote")
}

// growth measures the same operations with every number of users. All servers run; they take turns, so that whatever else the machine
// does meets all of them.
func (r *runner) growth(ctx context.Context) (err error) {
	if len(r.Sizes) < 2 {
		return nil
	}
	targets := make([]*target, len(r.Sizes))
	for i, n := range r.Sizes {
		f := r.places[n]
		s, err := r.Program.Start(ctx, f.place)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Stop()) }()
		targets[i] = f.on(s, unverified)
	}
	each := r.Duration / time.Duration(r.Rounds) / 2
	for _, name := range r.Operations {
		if !operations[name].grows() {
			continue
		}
		r.say("%s with %v users", name, r.Sizes)
		rows := make([]Growth, len(targets))
		medians, costs, rates := make([]histogram, len(targets)), make([]outcome, len(targets)), make([][]float64, len(targets))
		for _, t := range targets {
			if err := r.warm(ctx, t, name); err != nil {
				return err
			}
		}
		var next atomic.Uint64
		for range r.Rounds {
			for i, t := range targets {
				for _, n := range []int{1, r.most()} {
					l := t.load(name, n, &next)
					l.warmUp, l.duration = r.WarmUp, each
					got, err := l.run(ctx)
					if err != nil {
						return fmt.Errorf("%s with %d users: %w", name, t.users, err)
					}
					if got.errors > 0 {
						return fmt.Errorf("%s with %d users: %s", name, t.users, got.first)
					}
					if n == 1 {
						medians[i].add(&got.times)
					} else {
						costs[i].requests += got.requests
						costs[i].cpu += got.cpu
						rates[i] = append(rates[i], got.rate())
					}
				}
			}
		}
		for i, t := range targets {
			rows[i] = Growth{Operation: name, Users: t.users, Median: medians[i].quantile(0.5)}
			if costs[i].requests > 0 {
				rows[i].CPU, rows[i].Rate = costs[i].cpu/time.Duration(costs[i].requests), median(rates[i])
			}
		}
		r.suite.Growth = append(r.suite.Growth, rows...)
	}
	return nil
}
