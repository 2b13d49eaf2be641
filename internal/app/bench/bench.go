// Package bench measures a server against the least that any server of this API must do: a bare net/http handler which answers {}
// to the very same bytes, in a process of its own, in the same run. The two take turns, so that what else the machine does meets
// both; the ratio of their rates is the figure that holds on other machines.
//
// The load comes from connections that stay open, over which hand-made bytes are sent and replies are read with as little work as
// possible, because the generator takes its processor time from the server. It speaks HTTP without TLS, and only the AWS dialect.
package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
)

// Options say what to measure.
type Options struct {
	Address     string      // of the server, HOST:PORT
	PID         int         // of the server's process; 0: its processor time is not known
	Ceiling     string      // of the bare handler, HOST:PORT
	Credentials Credentials // see there for the meaning of an empty secret
	Pool        string      // with users made by MakeUsers; empty: a pool is made, and deleted at the end
	Users       int         // how many users the requests are about
	Operations  []string
	Connections []int
	Duration    time.Duration // of each operation and number of connections, all rounds together
	Rounds      int
	WarmUp      time.Duration // of each round, not measured
	Folder      string        // on the disk of the database, to measure it; empty: not measured
}

// A Report is what was measured.
type Report struct {
	Machine  Machine `json:"machine"`
	Users    int     `json:"users"`
	Verified bool    `json:"signatures_verified"`
	Rows     []Row   `json:"rows"`
}

// A Row is one operation with one number of connections. Rates are medians of the rounds, a second.
type Row struct {
	Operation   string        `json:"operation"`
	Connections int           `json:"connections"`
	Rate        float64       `json:"requests_per_second"`
	P50         time.Duration `json:"p50_ns"`
	P90         time.Duration `json:"p90_ns"`
	P99         time.Duration `json:"p99_ns"`
	P999        time.Duration `json:"p999_ns"`
	Longest     time.Duration `json:"longest_ns"`
	Errors      uint64        `json:"errors"`
	FirstError  string        `json:"first_error,omitempty"`
	CPU         time.Duration `json:"server_cpu_ns_per_request,omitempty"`
	Ceiling     float64       `json:"ceiling_requests_per_second"`
	Ratio       float64       `json:"ratio_to_ceiling"`
	Resident    uint64        `json:"server_resident_bytes,omitempty"` // at the end
	// Disk is how often a second the bare disk makes a change durable, in turns with a changing operation over one connection.
	Disk      float64 `json:"disk_per_second,omitempty"`
	DiskRatio float64 `json:"ratio_to_disk,omitempty"`
	// Bare is how often a second all cores do the cryptography that the operation cannot do without, in turns with it.
	Bare      float64 `json:"bare_cryptography_per_second,omitempty"`
	BareRatio float64 `json:"ratio_to_bare_cryptography,omitempty"`
}

func (r *Row) latencies(h *histogram) {
	r.P50, r.P90, r.P99, r.P999, r.Longest = h.quantile(0.5), h.quantile(0.9), h.quantile(0.99), h.quantile(0.999), h.quantile(1)
}

// Run measures. It tells progress, a line each, what it is doing.
func Run(ctx context.Context, o Options, progress io.Writer) (report *Report, err error) {
	for _, name := range o.Operations {
		if operations[name] == nil {
			return nil, unknown(name)
		}
	}
	report = &Report{Machine: machine(), Users: o.Users, Verified: o.Credentials.Secret != ""}
	if o.Folder != "" {
		if report.Machine.Fsync, err = FsyncTime(o.Folder, 200); err != nil {
			return nil, err
		}
	}
	m := &caller.Maker{Host: o.Address, Credentials: o.Credentials}
	if o.Pool == "" {
		fmt.Fprintf(progress, "making a pool with %d users\n", o.Users)
		if o.Pool, err = makePool(ctx, m); err != nil {
			return nil, err
		}
		defer func() {
			_, failed := call(context.WithoutCancel(ctx), m, "DeleteUserPool", fmt.Sprintf(`{"UserPoolId":%q}`, o.Pool))
			err = errors.Join(err, failed)
		}()
		if err := makeUsers(ctx, m, o.Pool, o.Users); err != nil {
			return nil, err
		}
	}
	t := &target{address: o.Address, pid: o.PID, maker: m, about: subject{pool: o.Pool}, users: o.Users}
	defer func() { err = errors.Join(err, t.leave(context.WithoutCancel(ctx))) }()
	for _, name := range o.Operations {
		for _, connections := range o.Connections {
			fmt.Fprintf(progress, "%s with %d connections\n", name, connections)
			row, err := measure(ctx, &o, t, name, connections)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			report.Rows = append(report.Rows, row)
		}
	}
	return report, nil
}

func unknown(operation string) error {
	return fmt.Errorf("%s cannot be measured; these can: %s", operation, strings.Join(Operations(), ", "))
}

// a target is what requests are sent to and about.
type target struct {
	address string
	pid     int
	maker   *caller.Maker
	about   subject
	users   int
}

// load is an operation on the target, without its length.
func (t *target) load(name string, connections int, next *atomic.Uint64) load {
	body, about, call := operations[name].body, t.about, cmp.Or(operations[name].call, name)
	about.run = strconv.FormatInt(time.Now().UnixNano(), 36)
	request := func(to []byte, n uint64) []byte {
		var space [3072]byte
		return t.maker.Append(to, call, body(space[:0], &about, n*2654435761%uint64(t.users), n))
	}
	return load{address: t.address, connections: connections, request: request, next: next, cpu: cpuOf(t.pid)}
}

// measure runs an operation and what it is compared with in turns.
func measure(ctx context.Context, o *Options, t *target, name string, connections int) (row Row, err error) {
	op := operations[name]
	if err := t.ready(ctx, op); err != nil {
		return row, err
	}
	round := o.Duration / time.Duration(o.Rounds)
	var disk *diskLoop
	if connections == 1 && op.durable && o.Folder != "" {
		if disk, err = newDiskLoop(o.Folder); err != nil {
			return row, err
		}
		defer func() { err = errors.Join(err, disk.close()) }()
	}
	row = Row{Operation: name, Connections: connections}
	var next, spent atomic.Uint64
	var operation, ceiling load
	prepare := func() {
		operation, ceiling = t.load(name, connections, &next), t.load(name, connections, &spent)
		operation.warmUp, operation.duration = o.WarmUp, round
		ceiling.warmUp, ceiling.duration = o.WarmUp, round
		ceiling.address, ceiling.cpu = o.Ceiling, nil
	}
	prepare()
	var all outcome
	var rates, ceilings, ratios, disks, diskRatios, bares, bareRatios []float64
	known := true
	for range o.Rounds {
		if op.once {
			if err := t.renew(ctx); err != nil {
				return row, err
			}
			prepare()
			next.Store(0)
			// Each code is good once, and a warm-up would use up what is measured.
			operation.count, operation.warmUp = uint64(len(t.about.codes)), 0
		}
		top, err := ceiling.run(ctx)
		if err != nil {
			return row, fmt.Errorf("the bare handler: %w", err)
		}
		if top.errors > 0 || top.requests == 0 {
			return row, fmt.Errorf("the bare handler answered %d requests, %d with an error: %s", top.requests, top.errors, top.first)
		}
		got, err := t.send(ctx, op, operation)
		if err != nil {
			return row, err
		}
		if got.requests == 0 {
			return row, errors.New("the server answered no request in time")
		}
		rates, ceilings, ratios = append(rates, got.rate()), append(ceilings, top.rate()), append(ratios, got.rate()/top.rate())
		if disk != nil {
			var times histogram
			rate, err := disk.run(round, &times)
			if err != nil {
				return row, err
			}
			disks, diskRatios = append(disks, rate), append(diskRatios, got.rate()/rate)
		}
		if op.bare != nil {
			rate, err := op.bare.rate(ctx, round)
			if err != nil {
				return row, err
			}
			bares, bareRatios = append(bares, rate), append(bareRatios, got.rate()/rate)
		}
		all.requests += got.requests
		all.errors += got.errors
		all.cpu += got.cpu
		all.times.add(&got.times)
		known = known && got.cpuKnown
		if row.FirstError == "" {
			row.FirstError = got.first
		}
	}
	row.Rate, row.Ceiling, row.Ratio, row.Errors = median(rates), median(ceilings), median(ratios), all.errors
	row.latencies(&all.times)
	if disk != nil {
		row.Disk, row.DiskRatio = median(disks), median(diskRatios)
	}
	if op.bare != nil {
		row.Bare, row.BareRatio = median(bares), median(bareRatios)
	}
	if known {
		row.CPU = all.cpu / time.Duration(all.requests)
	}
	if o.PID != 0 {
		row.Resident = Resident(o.PID)
	}
	return row, nil
}

// send sends the load of an operation.
func (t *target) send(ctx context.Context, op *operation, l load) (*outcome, error) {
	if op.follow != nil {
		return t.pairs(ctx, op, l)
	}
	return l.run(ctx)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func makePool(ctx context.Context, m *caller.Maker) (id string, err error) {
	body, err := call(ctx, m, "CreateUserPool", `{"PoolName":"bench","AutoVerifiedAttributes":["email"]}`)
	if err != nil {
		return "", err
	}
	var out struct{ UserPool struct{ Id string } }
	if err := json.Unmarshal(body, &out); err != nil || out.UserPool.Id == "" {
		return "", fmt.Errorf("CreateUserPool answered no pool id: %s", body)
	}
	return out.UserPool.Id, nil
}

func makeUsers(ctx context.Context, m *caller.Maker, pool string, n int) error {
	var next atomic.Uint64
	l := load{address: m.Host, connections: 16, count: uint64(n), next: &next, request: func(to []byte, u uint64) []byte {
		var space [512]byte
		return m.Append(to, "AdminCreateUser", makeUser(space[:0], pool, u))
	}}
	got, err := l.run(ctx)
	if err != nil {
		return fmt.Errorf("make users: %w", err)
	}
	if got.errors > 0 {
		return fmt.Errorf("make users: %d of %d were refused: %s", got.errors, n, got.first)
	}
	return nil
}

// call sends one request over a connection of its own.
func call(ctx context.Context, m *caller.Maker, operation, body string) ([]byte, error) {
	line := (&caller.Caller{Endpoint: caller.Endpoint{Address: m.Host, Host: m.Host}, Maker: m}).Line()
	defer line.Close()
	reply, err := line.Do(ctx, operation, []byte(body))
	if err != nil {
		return nil, err
	}
	if !reply.OK() {
		return nil, fmt.Errorf("%s was refused: %d %s", operation, reply.Status, reply.Body)
	}
	return slices.Clone(reply.Body), nil
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) error {
	signatures := "not verified"
	if r.Verified {
		signatures = "verified"
	}
	disk := "not measured"
	if r.Machine.Fsync > 0 {
		disk = r.Machine.Fsync.Round(10 * time.Microsecond).String()
	}
	fmt.Fprintf(w, "%d cores, shared by server and generator · fsync %s · %d users · signatures %s\n\n", r.Machine.Cores, disk, r.Users, signatures)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "operation\tconnections\treq/s\tp50 ms\tp99 ms\terrors\tserver CPU µs\tserver MiB\tceiling req/s\tratio\tratio to disk\tratio to bare cryptography\t\n")
	for _, row := range r.Rows {
		ofDisk, ofBare := "", ""
		if row.Disk > 0 {
			ofDisk = fmt.Sprintf("%.2f", row.DiskRatio)
		}
		if row.Bare > 0 {
			ofBare = fmt.Sprintf("%.2f", row.BareRatio)
		}
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\t%s\t%d\t%s\t%s\t%.0f\t%.2f\t%s\t%s\t\n", row.Operation, row.Connections, row.Rate,
			millis(row.P50), millis(row.P99), row.Errors, micros(row.CPU), mebibytes(row.Resident), row.Ceiling, row.Ratio, ofDisk, ofBare)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, row := range r.Rows {
		if row.FirstError != "" {
			fmt.Fprintf(w, "\n%s, first error: %s\n", row.Operation, row.FirstError)
		}
	}
	return nil
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

// micros and mebibytes write what is not known as a question mark.
func micros(d time.Duration) string {
	if d == 0 {
		return "?"
	}
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Microsecond))
}

func mebibytes(n uint64) string {
	if n == 0 {
		return "?"
	}
	return fmt.Sprintf("%.0f", float64(n)/(1<<20))
}
