package bench

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/caller"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// measured is a suite with easy figures: the update misses its goals over 64 connections and reaches the one of the disk.
func measured() *Suite {
	ms := time.Millisecond
	update := Row{Operation: "AdminUpdateUserAttributes", Connections: 64, Rate: 2000, P50: 5 * ms, P90: 8 * ms, P99: 20 * ms, P999: 30 * ms, Longest: 40 * ms,
		CPU: 50 * time.Microsecond, Ceiling: 10000, Ratio: 0.2, Resident: 50 << 20}
	one := Row{Operation: "AdminUpdateUserAttributes", Connections: 1, Rate: 600, P50: ms, P90: ms, P99: 2 * ms, P999: 2 * ms, Longest: 3 * ms, Ceiling: 6000, Ratio: 0.1,
		Disk: 1000, DiskRatio: 0.6}
	get := Row{Operation: "AdminGetUser", Connections: 64, Rate: 8000, P50: ms, P90: ms, P99: ms, P999: ms, Longest: ms, Ceiling: 10000, Ratio: 0.8, FirstError: "503 <busy>"}
	verify := Row{Operation: "VerifyUserAttribute", Connections: 64, Rate: 4000, P50: ms, P90: ms, P99: ms, P999: ms, Longest: ms, Ceiling: 10000, Ratio: 0.4}
	signUp := Row{Operation: "SignUp", Connections: 64, Rate: 600, P50: ms, P90: ms, P99: ms, P999: ms, Longest: ms, Ceiling: 10000, Ratio: 0.06, Bare: 1000,
		BareRatio: 0.6}
	return &Suite{Report: Report{Machine: Machine{Cores: 2, Processor: "P & Q", System: "linux/amd64", Go: "go1.26", Fsync: 150 * time.Microsecond}, Users: 100000,
		Rows: []Row{update, one, get, verify, signUp}}, Taken: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "1.0", Duration: 6 * time.Second, Rounds: 3, StartCount: 5,
		Half:   []Paced{{Operation: "AdminGetUser", Connections: 64, Rate: 4000, P50: ms, P99: 2 * ms}},
		Signed: []Row{update},
		Bulk:   &Bulk{Users: 50000, Connections: 64, Elapsed: 8 * time.Second, Rate: 6250, Single: 10000, Ratio: 0.625},
		Starts: []Start{{FirstAnswer: 20 * ms, Longest: 25 * ms, Resident: 30e6}, {Users: 100000, FirstAnswer: 60 * ms, Longest: 61 * ms, Resident: 65e6}},
		Overload: []Overload{{Operation: "AdminUpdateUserAttributes", Peak: 1000, Connections: 2000, Asked: 5000, Useful: 600, Refused: 4000, Other: 1, FirstOther: "500 x",
			UsefulP99: 90 * ms, RefusedP50: 9 * ms, RefusedP99: 70 * ms, After: 990, Greatest: 256 << 20},
			{Operation: "AdminCreateUser", Peak: 100, Connections: 2000, Asked: 500, Useful: 90, Refused: 10, UsefulP99: ms, After: 99}},
		Crowded: []Crowded{{Operation: "AdminGetUser", Connections: 64, Idle: 5000, Slow: 500, Alone: 1000, Beside: 950, Ratio: 0.95, AloneP99: ms, BesideP99: 2 * ms, PerConnection: 15 << 10, Lost: 3}},
		Hostile: []Hostile{{What: "1 GB", Times: 20, Answer: "413 X", P50: ms, Longest: 3 * ms, Sent: 3 << 20, Growth: 1 << 20, Measured: true},
			{What: "depth", Times: 20, Answer: "400 Y", P50: 2 * ms, Longest: 30 * ms, Growth: 0, Measured: true}},
		Growth: []Growth{{"AdminGetUser", 1000, ms, 40 * time.Microsecond, 9000}, {"AdminGetUser", 100000, 2 * ms, 44 * time.Microsecond, 8500}},
		Postgres: &Postgres{Version: "15.4", Users: 10000, Connections: 64, Rate: 900, P50: ms, P99: ms, PgBench: []PgBench{{64, 1000}, {16, 900}},
			Ratio: 0.9},
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := measured()
	m.Failed = []string{"SignUp: it broke"}
	want.NoError(t, m.Write(filepath.Join(dir, "speed.md")))
	text, err := os.ReadFile(filepath.Join(dir, "speed.md"))
	want.NoError(t, err)
	for _, line := range []string{
		"| processor | 2 cores, P & Q,",
		"**Not measured:** `SignUp: it broke`",
		"| fsync of 4 KiB | 0.150 ms, median |",
		"| AdminUpdateUserAttributes, 64 connections: ratio to the bare handler | at least 0.30 | 0.20 | **no** |",
		"| AdminUpdateUserAttributes, 64 connections: p99 (for a disk whose fdatasync takes 0.15 ms) | below 12.0 ms | 20.0 ms | **no** |",
		"| AdminUpdateUserAttributes, 1 connection: ratio to the bare disk | at least 0.45 | 0.60 | yes |",
		"| AdminGetUser, 64 connections: ratio to the bare handler | at least 0.40 | 0.80 | yes |",
		"| VerifyUserAttribute, 64 connections: ratio to the bare handler | at least 0.35 | 0.40 | yes |",
		"| SignUp, 64 connections: ratio to bare verifiers of passwords | at least 0.70 | 0.60 | **no** |",
		"| 10000 | **0.06** |  |  | 1000 | **0.60** |",
		"| bulk change of 100,000 users | below 15.0 s | 16.0 s | **no** |",
		"| 50,000 | 64 | 8.0 | 6250 | 10000 | **0.62** |",
		"| growth of any cost from the least to the greatest number of users | at most × 1.50 | × 2.00 (AdminGetUser, median) | **no** |",
		"| AdminUpdateUserAttributes on PostgreSQL: ratio to pgbench | at least 0.80 | 0.90 | yes |",
		"| start to first answer with an empty database | below 50 ms | 20 ms | yes |",
		"| memory at rest with 100,000 users | below 64 MB | 65 MB | **no** |",
		"| AdminUpdateUserAttributes | 64 | 2000 | 5.00 | 20.00 | 0 | 50.0 | 50 | 10000 | **0.20** |  |  |  |  |",
		"AdminGetUser, first error: `503 <busy>`",
		"| AdminGetUser | 64 | 4000 | 1.00 | 2.00 | 0 |",
		"| AdminGetUser | 100,000 | 2.000 | 2.00 | 44.0 | 1.10 | 8500 |",
		"| pgbench, 64 clients | 1000 |",
		"The median of 5 starts",
		"AdminUpdateUserAttributes asked for 5 times as often as it can be done: useful answers, part of the peak | at least 0.80 | 0.60 | **no** |",
		"it can be done: p99 of refusals | below 50.0 ms | 70.0 ms | **no** |",
		"it can be done: answers that are neither | 0 | 1 | **no** |",
		"it can be done: greatest memory | below 512 MiB | 256 MiB | yes |",
		"AdminGetUser beside 5,000 idle and 500 slow connections: part of the rate without | at least 0.90 | 0.95 | yes |",
		"AdminGetUser beside 5,000 idle and 500 slow connections: p99, ratio to that without | at most × 1.50 | × 2.00 | **no** |",
		"hostile bodies (depth): longest time to the refusal | below 20.0 ms | 30.0 ms | **no** |",
		"hostile bodies (1 GB): growth of memory | below 8.0 MiB | 1.0 MiB | yes |",
		"asked for 5 times as much as it can do, over 2000 connections.",
		"| AdminUpdateUserAttributes | 1000 | 5000 | 600 | **0.60** | 4000 | 1 | 90.00 | 9.00 | 70.00 | 990 | 256 |",
		"AdminUpdateUserAttributes, first other answer: `500 x`",
		"AdminCreateUser asked for 5 times as often as it can be done: p99 of refusals | below 50.0 ms | no probe was refused | **no** |",
		"| AdminCreateUser | 100 | 500 | 90 | **0.90** | 10 | 0 | 1.00 | ? | ? | 99 | ? |",
		"| AdminGetUser | 64 | 5,000 | 500 | 1000 | 950 | **0.95** | 1.00 | 2.00 | 0 | 15.0 |",
		"Beside AdminGetUser the server had closed slow connections: 3 bytes were not taken.",
		"| 1 GB | 413 X | 1.00 | 3.00 | 3.00 | 1.0 |",
		"Each 20 times over new connections",
	} {
		want.Contains(t, string(text), line)
	}
	plots, err := filepath.Glob(filepath.Join(dir, "speed-*.svg"))
	want.NoError(t, err)
	want.Equal(t, len(plots), 4)
	for _, path := range plots {
		want.Contains(t, string(text), "("+filepath.Base(path)+")")
		svg, err := os.ReadFile(path)
		want.NoError(t, err)
		wellFormed(t, path, string(svg))
	}
}

// A part that cannot be measured is told, and takes nothing else along.
func TestSuiteGoesOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("it broke")
	ctx, cancel := context.WithCancel(t.Context())
	var taken string
	step := func(name string, err error) func(context.Context) error {
		return func(context.Context) error {
			taken += name
			return err
		}
	}
	r := &runner{progress: io.Discard, suite: &Suite{}, places: map[int]filled{}}
	fill := func(context.Context) error { r.places[1] = filled{}; return nil }
	suite, err := r.all(ctx, []func(context.Context) error{step("a", nil), fill, step("b", broken), step("c", nil)})
	want.Error(t, err, broken)
	want.Equal(t, taken, "abc")
	want.Equal(t, suite.Failed, []string{"it broke"})

	stopped := func(context.Context) error { cancel(); return nil }
	suite, err = r.all(ctx, []func(context.Context) error{stopped, step("d", nil)})
	want.Error(t, err, context.Canceled)
	want.True(t, suite == nil && taken == "abc", "who is asked to stop measures nothing more")

	r.places = map[int]filled{}
	suite, err = r.all(t.Context(), []func(context.Context) error{step("e", broken), step("f", nil)})
	want.Error(t, err, broken)
	want.True(t, suite == nil && taken == "abce", "without users nothing can be measured")
}

func TestPrintResistance(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	want.NoError(t, measured().PrintResistance(&out))
	for _, line := range []string{"## Overload", "## Beside a crowd", "## Hostile bodies", "## Goals", "part of the peak | at least 0.80 | 0.60 | **no** |"} {
		want.Contains(t, out.String(), line)
	}
	want.True(t, !strings.Contains(out.String(), "bare handler"), "only what was measured")
}

func wellFormed(t *testing.T, name, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s is no XML: %v\n%s", name, err, text)
		}
	}
}

func TestBulkSentence(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	want.NoError(t, measured().Print(&out))
	want.Contains(t, out.String(), "Bulk change of 50,000 users over 64 connections: 8.0 s, 6250 users a second, 0.62 of the 10000 single AdminUpdateUserAttributes a second.")
	want.Equal(t, (&Bulk{Users: 5, Connections: 1, Elapsed: time.Second, Rate: 5}).String(), "Bulk change of 5 users over 1 connection: 1.0 s, 5 users a second.")
}

func TestLines(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]series{
		"nothing measured": {{"a", []float64{0, 0}}},
		"a gap":            {{"a", []float64{1, math.NaN()}}, {"b", []float64{900, 2}}},
		"one value":        {{"a < b", []float64{10, 10}}},
	} {
		for _, logarithmic := range []bool{true, false} {
			svg := lines("T & U", "ms", []string{"x", "y"}, list, logarithmic)
			wellFormed(t, name, svg)
			for _, bad := range []string{"NaN", "Inf"} {
				want.True(t, !strings.Contains(svg, bad), "%s: a place is %s:\n%s", name, bad, svg)
			}
		}
	}
}

func TestNiceStep(t *testing.T) {
	t.Parallel()
	for v, step := range map[float64]float64{1: 1, 1.1: 2, 3: 5, 7: 10, 0.03: 0.05, 200: 200, 900: 1000} {
		want.True(t, math.Abs(niceStep(v)-step) < 1e-9, "the step above %v is %v, not %v", v, niceStep(v), step)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, text := range map[int]string{7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		want.Equal(t, thousands(n), text)
	}
}

func TestParsePgbench(t *testing.T) {
	t.Parallel()
	rate, version, err := parsePgbench([]byte("pgbench (15.4)\nnumber of clients: 64\ntps = 6576.25 (without initial connection time)\n"))
	want.NoError(t, err)
	want.Equal(t, rate, 6576.25)
	want.Equal(t, version, "15.4")
	_, _, err = parsePgbench([]byte("tps = ?"))
	want.Error(t, err, nil)
}

// A paced load sends no more than its rate, however fast the server is.
func TestPacedLoad(t *testing.T) {
	t.Parallel()
	key := oneKey{"AKIDEXAMPLE", "secret"}
	var calls atomic.Int64
	address := fakeServer(t, key, func(string, []byte) { calls.Add(1) })
	creds := Credentials{ID: key.id, Secret: key.secret, Region: "us-east-1"}
	to := target{address: address, maker: &caller.Maker{Host: address, Credentials: creds}, about: subject{pool: "p"}, users: 1}
	var next atomic.Uint64
	l := to.load("DescribeUserPool", 4, &next)
	l.duration, l.rate = 200*time.Millisecond, 100
	got, err := l.run(t.Context())
	want.NoError(t, err)
	want.Equal(t, got.errors, uint64(0))
	// 20 in that time, and what each connection begins or is owed at the end.
	want.True(t, got.requests >= 4 && calls.Load() <= 20+4+4, "%d requests were measured and %d sent at 100 a second in 0.2 s", got.requests, calls.Load())
}

// A request that another one held up counts from when it was due.
func TestPacerKeepsTheSchedule(t *testing.T) {
	t.Parallel()
	start := time.Now()
	p := pacer{each: time.Millisecond, due: start.Add(-time.Hour)}
	for i := range 3 {
		begin, now := p.wait()
		want.True(t, begin.Equal(start.Add(-time.Hour+time.Duration(i)*time.Millisecond)), "request %d was due at %s", i, begin)
		want.True(t, !now.Before(start), "the time is the present one")
	}
}

func TestDiskLoop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := newDiskLoop(dir)
	want.NoError(t, err)
	var times histogram
	rate, err := d.run(20*time.Millisecond, &times)
	want.NoError(t, err)
	want.True(t, rate > 0 && times.total > 0 && times.quantile(0.5) > 0, "%v changes a second", rate)
	want.NoError(t, d.close())
	left, err := os.ReadDir(dir)
	want.NoError(t, err)
	want.Equal(t, len(left), 0)
}

func TestField(t *testing.T) {
	t.Parallel()
	text := []byte("Name:\tx\nVmHWM:\t 99 kB\nVmRSS:\t   2048 kB\nmodel name\t: A: B\n")
	want.Equal(t, kibibytes(field(text, "VmRSS")), uint64(2<<20))
	want.Equal(t, field(text, "model name"), "A: B")
	want.Equal(t, kibibytes(field(text, "missing")), uint64(0))
}
