package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Postgres is AdminUpdateUserAttributes on PostgreSQL beside pgbench, which sends the statements of that operation to the same
// server, in turns with it. Rates are medians of the rounds.
type Postgres struct {
	Version     string        `json:"version"`
	Users       int           `json:"users"`
	Connections int           `json:"connections"`
	Rate        float64       `json:"requests_per_second"`
	P50         time.Duration `json:"p50_ns"`
	P99         time.Duration `json:"p99_ns"`
	CPU         time.Duration `json:"server_cpu_ns_per_request,omitempty"` // without PostgreSQL's
	PgBench     []PgBench     `json:"pgbench"`
	Ratio       float64       `json:"ratio_to_pgbench"` // to the best of them
}

// PgBench is what pgbench reached with a number of clients.
type PgBench struct {
	Clients int     `json:"clients"`
	Rate    float64 `json:"transactions_per_second"`
}

// ownConnections is how many connections to PostgreSQL a server has at most.
const ownConnections = 16

// script is the transaction of AdminUpdateUserAttributes when no name or address changes. Ids of requests begin with the time, as
// those of the server do. POOL and LAST are replaced.
const script = `\set u random(0, LAST)
\set r random(1, 1000000000)
BEGIN;
SELECT version AS pool_version FROM pools WHERE id = 'POOL' FOR SHARE \gset
SELECT u.sub, u.username, u.version, u.created_at, u.modified_at, u.status, u.enabled, u.attributes, u.pending, u.temporary_since, u.sign_in_attribute
  FROM logins l JOIN users u ON u.pool_id = l.pool_id AND u.sub = l.sub
  WHERE l.pool_id = 'POOL' AND l.space = 'name' AND l.login_key = 'bench-' || lpad(:u::bigint::text, 6, '0') FOR UPDATE OF u \gset
UPDATE users SET version = :version::bigint + 1, modified_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint, attributes = :attributes
  WHERE pool_id = 'POOL' AND sub = :sub AND version = :version::bigint;
INSERT INTO journal (request_id, at, caller, source, operation, pool_id, sub, names)
  VALUES (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint), 16, '0') || '-' || :client_id::bigint::text || '-' || :r::bigint::text,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 'bench', '127.0.0.1', 'AdminUpdateUserAttributes', 'POOL', :sub,
    E'name\ngiven_name\nfamily_name\nlocale\nzoneinfo\nwebsite\nnickname') ON CONFLICT DO NOTHING;
COMMIT;
`

// postgres measures a server on PostgreSQL, unless there is none to measure.
func (r *runner) postgres(ctx context.Context) error {
	if r.Postgres == "" {
		return nil
	}
	p, err := r.place("postgres", r.Postgres)
	if err != nil {
		return err
	}
	r.say("making %d users in PostgreSQL", r.PostgresUsers)
	pool, err := r.Program.Fill(ctx, p, r.PostgresUsers)
	if err != nil {
		return err
	}
	file := filepath.Join(p.Folder, "update.sql")
	text := strings.NewReplacer("POOL", pool, "LAST", strconv.Itoa(r.PostgresUsers-1)).Replace(script)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	f := filled{p, pool, r.PostgresUsers}
	return r.with(ctx, f, func(s *Server) error {
		const name = "AdminUpdateUserAttributes"
		out := &Postgres{Users: f.users, Connections: r.most(), PgBench: []PgBench{{Clients: r.most()}, {Clients: ownConnections}}}
		r.say("%s on PostgreSQL with %d connections, and pgbench", name, out.Connections)
		var next atomic.Uint64
		l := f.on(s, unverified).load(name, out.Connections, &next)
		l.warmUp, l.duration = r.WarmUp, r.Duration/time.Duration(r.Rounds)
		var all outcome
		var rates, ratios []float64
		theirs := make([][]float64, len(out.PgBench))
		for range r.Rounds {
			got, err := l.run(ctx)
			if err != nil {
				return err
			}
			if got.errors > 0 {
				return fmt.Errorf("%s on PostgreSQL: %s", name, got.first)
			}
			rates = append(rates, got.rate())
			all.requests += got.requests
			all.cpu += got.cpu
			all.times.add(&got.times)
			best := 0.0
			for i, b := range out.PgBench {
				rate, version, err := pgbench(ctx, r.Postgres, file, b.Clients, l.duration)
				if err != nil {
					return err
				}
				theirs[i], best, out.Version = append(theirs[i], rate), max(best, rate), version
			}
			ratios = append(ratios, got.rate()/best)
		}
		out.Rate, out.Ratio = median(rates), median(ratios)
		out.P50, out.P99 = all.times.quantile(0.5), all.times.quantile(0.99)
		if all.requests > 0 {
			out.CPU = all.cpu / time.Duration(all.requests)
		}
		for i := range out.PgBench {
			out.PgBench[i].Rate = median(theirs[i])
		}
		r.suite.Postgres = out
		return nil
	})
}

var (
	transactions  = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	serverVersion = regexp.MustCompile(`(?m)^pgbench \(([0-9.]+)`)
)

// pgbench runs the script with a number of clients and returns its rate and version.
func pgbench(ctx context.Context, database, file string, clients int, duration time.Duration) (rate float64, version string, err error) {
	u, err := url.Parse(database)
	if err != nil || u.Host == "" {
		return 0, "", errors.New("--postgres must be a URL such as postgres://user:password@127.0.0.1/name")
	}
	env := environment(nil)
	if password, ok := u.User.Password(); ok { // not an argument, which anybody could read
		u.User = url.User(u.User.Username())
		env = append(env, "PGPASSWORD="+password)
	}
	cmd := exec.CommandContext(ctx, "pgbench", "--no-vacuum", "--protocol=prepared", "--jobs=2", "--client="+strconv.Itoa(clients),
		"--time="+strconv.Itoa(int(duration.Seconds())), "--file="+file, u.String())
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return 0, "", fmt.Errorf("pgbench: %w\n%s", err, exit.Stderr)
		}
		return 0, "", fmt.Errorf("pgbench, which comes with PostgreSQL's server, compares what the server reaches: %w", err)
	}
	return parsePgbench(out)
}

func parsePgbench(out []byte) (rate float64, version string, err error) {
	found := transactions.FindSubmatch(out)
	if found == nil {
		return 0, "", fmt.Errorf("pgbench told no rate:\n%s", out)
	}
	if v := serverVersion.FindSubmatch(out); v != nil {
		version = string(v[1])
	}
	rate, err = strconv.ParseFloat(string(found[1]), 64)
	return rate, version, err
}
