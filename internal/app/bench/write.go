package bench

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Files is the report: Markdown as name.md, and its plots as name-*.svg, by file name.
func (s *Suite) Files(name string) map[string]string {
	files := map[string]string{}
	plot := func(which, alt, svg string) string {
		file := name + "-" + which + ".svg"
		files[file] = svg
		return fmt.Sprintf("![%s](%s)\n\n", alt, file)
	}
	var b strings.Builder
	s.head(&b)
	writeGoals(&b, s.reached())
	s.throughput(&b, plot)
	s.bulk(&b)
	s.growth(&b, plot)
	s.resistance(&b)
	s.rest(&b)
	s.postgres(&b)
	s.method(&b)
	files[name+".md"] = b.String()
	return files
}

// Write writes the report and its plots; path names the Markdown.
func (s *Suite) Write(path string) error {
	dir, base := filepath.Split(path)
	for name, text := range s.Files(strings.TrimSuffix(base, filepath.Ext(base))) {
		target := filepath.Join(dir, name)
		if filepath.Ext(name) == ".md" {
			target = path
		}
		if err := os.WriteFile(target, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

func (s *Suite) head(b *strings.Builder) {
	m := &s.Machine
	b.WriteString("# Performance\n\n<!-- Written by make bench. Do not edit. -->\n\n")
	fmt.Fprintf(b, "Measured on %s with version %s. [How](#method), so that anybody can do it again.\n\n", s.Taken.Format("2 January 2006"), s.Version)
	fmt.Fprintf(b, "| machine | |\n|---|---|\n| processor | %d cores, %s, shared by server, load generator and bare handler |\n", m.Cores, cmp.Or(m.Processor, "unknown"))
	if m.Memory > 0 {
		fmt.Fprintf(b, "| memory | %.1f GiB |\n", float64(m.Memory)/(1<<30))
	}
	fmt.Fprintf(b, "| system | %s |\n| Go | %s |\n| fsync of 4 KiB | %s ms, median |\n\n", m.System, m.Go, fmt.Sprintf("%.3f", float64(m.Fsync)/1e6))
	b.WriteString("Rates hold for this machine only. What can be compared elsewhere are the ratios, because both sides were measured in turns in the same run, and " +
		"from version to version the server's processor time.\n\n")
	for _, failed := range s.Failed {
		fmt.Fprintf(b, "**Not measured:** `%s`\n\n", failed)
	}
}

// A goal is a bar and what was reached.
type goal struct {
	what, wanted, got string
	reached           bool
}

func atLeast(what string, wanted, got float64) goal {
	return goal{what, fmt.Sprintf("at least %.2f", wanted), fmt.Sprintf("%.2f", got), got >= wanted}
}

func below[T int | float64](what string, wanted, got T, format string) goal {
	return goal{what, fmt.Sprintf("below "+format, wanted), fmt.Sprintf(format, got), got < wanted}
}

// wantedRatio is what an operation over many connections has to reach of the bare handler's rate.
var wantedRatio = map[string]float64{"AdminUpdateUserAttributes": 0.30, "AdminGetUser": 0.40, "ListUsers": 0.40, "UpdateUserAttributes": 0.35,
	"VerifyUserAttribute": 0.35, "GetUser": 0.40}

// reached compares with the goals of the project.
func (s *Suite) reached() []goal {
	var goals []goal
	for _, row := range s.Rows {
		if wanted := wantedRatio[row.Operation]; wanted > 0 && row.Connections > 1 {
			goals = append(goals, atLeast(fmt.Sprintf("%s, %d connections: ratio to the bare handler", row.Operation, row.Connections), wanted, row.Ratio))
		}
		if row.Connections > 1 && row.Bare > 0 {
			bare := operations[row.Operation].bare
			goals = append(goals, atLeast(fmt.Sprintf("%s, %d connections: ratio to %s", row.Operation, row.Connections, bare.what), bare.wanted, row.BareRatio))
		}
		if row.Connections > 1 && row.Operation == "AdminUpdateUserAttributes" {
			goals = append(goals, below(fmt.Sprintf("%s, %d connections: p99 (for a disk whose fdatasync takes 0.15 ms)", row.Operation, row.Connections), 12, inMillis(row.P99), "%.1f ms"))
		}
		if row.Disk > 0 && row.Operation == "AdminUpdateUserAttributes" {
			goals = append(goals, atLeast(row.Operation+", 1 connection: ratio to the bare disk", 0.45, row.DiskRatio))
		}
	}
	if s.Bulk != nil {
		goals = append(goals, below("bulk change of 100,000 users", bulkGoal, s.Bulk.seconds(), "%.1f s"))
	}
	if len(s.Growth) > 0 {
		g := s.steepest()
		goals = append(goals, goal{"growth of any cost from the least to the greatest number of users", "at most × 1.50",
			fmt.Sprintf("× %.2f (%s)", g.factor, g.what), g.factor <= 1.5})
	}
	if p := s.Postgres; p != nil {
		goals = append(goals, atLeast("AdminUpdateUserAttributes on PostgreSQL: ratio to pgbench", 0.80, p.Ratio))
	}
	goals = append(goals, s.resisted()...)
	for _, start := range s.Starts {
		with, memory := "with an empty database", 32.0
		if start.Users > 0 {
			with, memory = fmt.Sprintf("with %s users", thousands(start.Users)), 64
		}
		goals = append(goals, below("start to first answer "+with, 50, inMillis(start.FirstAnswer), "%.0f ms"))
		if start.Resident > 0 {
			goals = append(goals, below("memory at rest "+with, memory, float64(start.Resident)/1e6, "%.0f MB"))
		}
	}
	return goals
}

func writeGoals(b *strings.Builder, goals []goal) {
	b.WriteString("## Goals\n\n| | wanted | reached | |\n|---|---|---|---|\n")
	for _, g := range goals {
		mark := "**no**"
		if g.reached {
			mark = "yes"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", g.what, g.wanted, g.got, mark)
	}
	b.WriteString("\n")
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

func writeRows(b *strings.Builder, rows []Row) {
	b.WriteString("| operation | connections | req/s | p50 ms | p99 ms | errors | server CPU µs/op | server MiB | bare handler req/s | ratio | bare disk /s | ratio | bare cryptography /s | ratio |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rows {
		disk, bare := " | ", " | "
		if r.Disk > 0 {
			disk = fmt.Sprintf("%.0f | **%.2f**", r.Disk, r.DiskRatio)
		}
		if r.Bare > 0 {
			bare = fmt.Sprintf("%.0f | **%.2f**", r.Bare, r.BareRatio)
		}
		fmt.Fprintf(b, "| %s | %d | %.0f | %s | %s | %d | %s | %s | %.0f | **%.2f** | %s | %s |\n", r.Operation, r.Connections, r.Rate, millis(r.P50), millis(r.P99),
			r.Errors, micros(r.CPU), mebibytes(r.Resident), r.Ceiling, r.Ratio, disk, bare)
	}
	b.WriteString("\n")
	for _, r := range rows {
		if r.FirstError != "" {
			fmt.Fprintf(b, "%s, first error: `%s`\n\n", r.Operation, r.FirstError)
		}
	}
}

func (s *Suite) throughput(b *strings.Builder, plot func(which, alt, svg string) string) {
	fmt.Fprintf(b, "## Throughput and latency\n\nSQLite, %s users, every change on the disk before it is answered, signatures not verified.\n\n", thousands(s.Users))
	writeRows(b, s.Rows)
	var ratios []bar
	var latencies []series
	for _, r := range s.Rows {
		name := r.Operation + ", " + connections(r.Connections)
		ratios = append(ratios, bar{name, r.Ratio, fmt.Sprintf("%.2f", r.Ratio)})
		values := []float64{inMillis(r.P50), inMillis(r.P90), inMillis(r.P99), inMillis(r.P999), inMillis(r.Longest)}
		latencies = append(latencies, series{name, values})
	}
	b.WriteString(plot("ratio", "Rates as parts of the bare handler's rate", bars("Rate as a part of the bare handler's", 1, ratios)))
	b.WriteString(plot("latency", "Latencies by percentile", lines("Latency as fast as the server answers", "ms", []string{"p50", "p90", "p99", "p99.9", "longest"}, latencies, true)))
	if len(s.Half) > 0 {
		b.WriteString("At half of that rate, counted from when a request was due:\n\n| operation | connections | req/s | p50 ms | p99 ms | errors |\n|---|--:|--:|--:|--:|--:|\n")
		for _, p := range s.Half {
			fmt.Fprintf(b, "| %s | %d | %.0f | %s | %s | %d |\n", p.Operation, p.Connections, p.Rate, millis(p.P50), millis(p.P99), p.Errors)
		}
		b.WriteString("\n")
	}
	if len(s.Signed) > 0 {
		b.WriteString("With every signature made by the generator and verified by the server; the bare handler gets the same requests and verifies nothing:\n\n")
		writeRows(b, s.Signed)
	}
}

func (s *Suite) bulk(b *strings.Builder) {
	if s.Bulk == nil {
		return
	}
	fmt.Fprintf(b, "## Bulk change\n\n| users | connections | s | users/s | single requests/s | ratio |\n|--:|--:|--:|--:|--:|--:|\n")
	single, ratio := "", ""
	if s.Bulk.Single > 0 {
		single, ratio = fmt.Sprintf("%.0f", s.Bulk.Single), fmt.Sprintf("**%.2f**", s.Bulk.Ratio)
	}
	fmt.Fprintf(b, "| %s | %d | %.1f | %.0f | %s | %s |\n\n", thousands(s.Bulk.Users), s.Bulk.Connections, s.Bulk.Elapsed.Seconds(), s.Bulk.Rate, single, ratio)
}

// base is the row with the fewest users of an operation.
func (s *Suite) base(operation string) *Growth {
	i := slices.IndexFunc(s.Growth, func(g Growth) bool { return g.Operation == operation })
	return &s.Growth[i]
}

func times(v, base time.Duration) float64 {
	if base == 0 {
		return math.NaN()
	}
	return float64(v) / float64(base)
}

type steepness struct {
	what   string
	factor float64
}

// steepest is what grew most.
func (s *Suite) steepest() (most steepness) {
	for _, g := range s.Growth {
		base := s.base(g.Operation)
		for _, grown := range []steepness{{"median", times(g.Median, base.Median)}, {"processor time", times(g.CPU, base.CPU)}} {
			if grown.factor > most.factor {
				most = steepness{g.Operation + ", " + grown.what, grown.factor}
			}
		}
	}
	return most
}

func (s *Suite) growth(b *strings.Builder, plot func(which, alt, svg string) string) {
	if len(s.Growth) == 0 {
		return
	}
	most := 0
	for _, r := range s.Rows {
		most = max(most, r.Connections)
	}
	fmt.Fprintf(b, "## Growth with the number of users\n\nThe median over 1 connection, and the server's processor time over %s; × is the ratio to the first line.\n\n", connections(most))
	b.WriteString("| operation | users | median ms | × | CPU µs/op | × | req/s |\n|---|--:|--:|--:|--:|--:|--:|\n")
	var sizes []string
	medians, costs := map[string][]float64{}, map[string][]float64{}
	var order []string
	for _, g := range s.Growth {
		base := s.base(g.Operation)
		fmt.Fprintf(b, "| %s | %s | %.3f | %.2f | %s | %.2f | %.0f |\n", g.Operation, thousands(g.Users), inMillis(g.Median), times(g.Median, base.Median),
			micros(g.CPU), times(g.CPU, base.CPU), g.Rate)
		if !slices.Contains(order, g.Operation) {
			order = append(order, g.Operation)
		}
		if g.Operation == order[0] {
			sizes = append(sizes, thousands(g.Users)+" users")
		}
		medians[g.Operation] = append(medians[g.Operation], inMillis(g.Median))
		costs[g.Operation] = append(costs[g.Operation], float64(g.CPU)/1e3)
	}
	b.WriteString("\n")
	var median, cost []series
	for _, name := range order {
		median, cost = append(median, series{name, medians[name]}), append(cost, series{name, costs[name]})
	}
	b.WriteString(plot("growth-latency", "Median latency over one connection by the number of users", lines("Median latency over 1 connection", "ms", sizes, median, false)))
	b.WriteString(plot("growth-cpu", "Processor time of a request by the number of users", lines("Server processor time a request, "+connections(most), "µs", sizes, cost, false)))
}

func (s *Suite) rest(b *strings.Builder) {
	b.WriteString("## Start and memory\n\n| | first answer, ms (longest) | memory at rest, MiB |\n|---|--:|--:|\n")
	for _, start := range s.Starts {
		name := "empty database"
		if start.Users > 0 {
			name = thousands(start.Users) + " users"
		}
		fmt.Fprintf(b, "| %s | %.1f (%.1f) | %s |\n", name, inMillis(start.FirstAnswer), inMillis(start.Longest), mebibytes(start.Resident))
	}
	fmt.Fprintf(b, "| %s users, after the measurements above | | %s |\n\nThe program is one file of %.0f MiB.\n\n", thousands(s.Users), mebibytes(s.AfterLoad), s.ProgramMiB)
}

func (s *Suite) postgres(b *strings.Builder) {
	p := s.Postgres
	if p == nil {
		return
	}
	fmt.Fprintf(b, "## PostgreSQL\n\nPostgreSQL %s on the same machine, with durable commits; AdminUpdateUserAttributes with %s users, and pgbench with the statements of that operation on "+
		"the same server and data.\n\n| | a second | p50 ms | p99 ms | server CPU µs/op, PostgreSQL apart |\n|---|--:|--:|--:|--:|\n", p.Version, thousands(p.Users))
	fmt.Fprintf(b, "| Poolhouse, %s | %.0f | %s | %s | %s |\n", connections(p.Connections), p.Rate, millis(p.P50), millis(p.P99), micros(p.CPU))
	for _, c := range p.PgBench {
		fmt.Fprintf(b, "| pgbench, %d clients | %.0f | | | |\n", c.Clients, c.Rate)
	}
	fmt.Fprintf(b, "| **ratio to the better of the two** | **%.2f** | | | |\n\n", p.Ratio)
}

func (s *Suite) method(b *strings.Builder) {
	fmt.Fprintf(b, "## Method\n\n`make bench` builds the static binary, starts a private PostgreSQL and runs `poolhouse bench --report`. To repeat it, do the same on a machine that does nothing "+
		"else; `BENCH='--large'` adds a million users. `poolhouse bench --help` tells what can be chosen, and measures other endpoints.\n\n")
	fmt.Fprintf(b, `- **Turns.** A row is %s of load in %d rounds, after a warm-up in each that is not counted. Before each round of the server the bare handler has one: a net/http handler in a process
  of its own that reads the very same bytes and answers `+"`{}`"+`. Rates and ratios are medians of the rounds; percentiles and processor time are of all rounds.
- **Load.** Connections stay open; each sends its next request as soon as the last was answered. The generator writes ready-made bytes and reads replies with as little work as it can,
  because it takes its time from the same cores. Users are drawn evenly.
- **Requests.** AdminUpdateUserAttributes gives seven attributes of which one changes. ListUsers has the filter `+"`email = \"…\"`"+`, which finds one user. A user has nine attributes.
- **Server.** `+"`poolhouse dev`"+` in a process of its own, with its defaults but without a request log. Commits are durable: an answer follows an fsync. Only the rows that say so verify signatures.
- **Processor time** is user and system time of the server's process from the kernel's accounts, by requests. **Memory** is the resident set.
- **Bare disk.** A loop that writes 1 KiB into space the file has had before and calls fdatasync, on the same disk, in turns with the server.
- **Bare cryptography.** A loop on all cores that does nothing but what the operation cannot do without, in turns with it: the verifier of a password; two RS256 signatures, of an
  id token and an access token; the server's part of an exchange by SRP, three exponentiations whose time does not depend on the secrets.
- **InitiateAuth/SRP** is a pair of requests, and a rate of pairs. The answers to some hundred challenges are computed between the first requests and the second, in time that is not
  counted: what clients compute is no part of the server's rate. All clients send the same public value, which is computed once.
- **Tokens and codes.** Some thousand users are given passwords and tokens before; for VerifyUserAttribute each of them is sent a code before each round, which is at most as long as the codes last.
- **Bulk change.** What `+"`poolhouse users update`"+` does, in the process of the load generator: one attribute of every user, listed in the same time, recorded in a state file with fsyncs.
  The goal is for 100,000 users; other numbers are converted. The ratio is to AdminUpdateUserAttributes over as many connections, in the table above.
- **Overload.** The server and the generator, a process of its own, share all cores, as in every row. The peak is what the server does for %s for callers who wait. Then %d times as many requests a
  second fall due over very many connections for %s. One is sent when it is due and the one before it on its connection is answered: where the cores cannot even take and refuse so many, fewer
  are sent. Times are those of a third process, which sends %d requests a second over %d connections of its own and counts from when each was sent. Refused means TooManyRequestsException.
- **Crowd.** The load of a row, in turns beside idle connections, on which one request was answered, and slow ones, half of which send their heads and half their bodies, a byte a second; and without them.
- **Hostile bodies.** Each %d times over new connections, one after the other, from before connecting to the end of the answer. The server's resident set is read before,
  every millisecond, and after; the growth is the most that one body caused.
- **Growth.** A database and a server for each number of users; all run, and take turns of %s. Before that, and before the rows, a request for each user (%s at most) fills the
  caches of a server that has just started.
- **Start.** The median of %d starts on a database that exists, from before the process is made to the end of the answer to a first request (ListUserPools, or AdminGetUser where there are users), which is
  tried every 0.2 ms. Memory at rest is read some seconds after the last of them.
- **Users** are written straight into the database, without passwords.
- **pgbench** runs one transaction a time for each client with prepared statements: the version of the pool `+"`FOR SHARE`"+`, the user by name `+"`FOR UPDATE`"+`, the update, the journal's line, commit. It
  has the same rounds as the server, with as many clients as the server has connections from callers and with as many as it opens to PostgreSQL itself.
`, s.Duration, s.Rounds, s.Duration/2, overloadFactor, s.Duration, probeRate, probeLines, hostileTimes, s.Duration/time.Duration(s.Rounds)/2, thousands(warmth), s.StartCount)
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// thousands writes 100000 as 100,000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
