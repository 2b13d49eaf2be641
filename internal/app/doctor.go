package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/bench"
	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

// State is how a check of the doctor ended.
type State string

// The states. Only Broken makes the command fail.
const (
	Fine    State = "ok"
	Warning State = "warning"
	Broken  State = "broken"
)

// Finding is the outcome of one check.
type Finding struct {
	State State  `json:"state"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"` // what to do about it
}

// How long the doctor waits for others, and what it calls slow and soon.
const (
	dialLimit = 5 * time.Second
	slowFsync = 20 * time.Millisecond
	soon      = 21 * 24 * time.Hour
)

// Doctor looks at an installation as serve would use it, and changes nothing that lasts.
func Doctor(ctx context.Context, c config.Config) iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		d := doctor{c: &c, real: clock.System()}
		for _, check := range []func(context.Context) []Finding{d.settings, d.clockAndBinary, d.files, d.database, d.listener, d.certificate, d.mail, d.texts, d.triggers} {
			for _, f := range check(ctx) {
				if !yield(f) {
					return
				}
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
}

type doctor struct {
	c       *config.Config
	real    clock.Clock
	running bool     // a server has the database
	used    []string // the functions that pools name
}

func fine(format string, args ...any) Finding {
	return Finding{State: Fine, Text: fmt.Sprintf(format, args...)}
}

func broken(err error, next string) Finding { return Finding{Broken, err.Error(), next} }

func (d *doctor) settings(context.Context) []Finding {
	if err := d.c.Check(); err != nil {
		return []Finding{broken(err, "Correct the setting; 'poolhouse config check' shows where it comes from.")}
	}
	out := []Finding{fine("the settings make sense")}
	for _, risk := range d.c.Risks() {
		text, next, _ := strings.Cut(risk, ": ")
		out = append(out, Finding{Warning, text, next})
	}
	return out
}

func (d *doctor) clockAndBinary(context.Context) []Finding {
	now := d.real.Now()
	out := []Finding{fine("this is poolhouse %s on %s/%s", Build().Version, runtime.GOOS, runtime.GOARCH)}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	for _, m := range info.Deps {
		if m.Path == "modernc.org/sqlite" {
			out = append(out, fine("the embedded database is modernc.org/sqlite %s", m.Version))
		}
	}
	for _, s := range info.Settings {
		if s.Key != "vcs.time" {
			continue
		}
		if built, err := time.Parse(time.RFC3339, s.Value); err == nil && now.Before(built) {
			return append(out, Finding{Broken, "the machine's clock shows " + now.Format(time.DateOnly) + ", which is before this program was written", "Set the clock; signatures are refused when it is wrong by more than five minutes."})
		}
	}
	return append(out, fine("the clock shows %s", now.Format(time.RFC3339)))
}

// files looks at the modes of what is in the data folder, and at the key file.
func (d *doctor) files(context.Context) []Finding {
	info, err := os.Stat(d.c.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return []Finding{{Warning, "there is no data folder " + d.c.Data + " yet", "The first start makes it; or name the right one with --data."}}
	}
	if err != nil {
		return []Finding{broken(err, "Give this user access to the data folder.")}
	}
	var out []Finding
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		out = append(out, Finding{Warning, fmt.Sprintf("others can look into the data folder (mode %#o)", info.Mode().Perm()), "chmod 700 " + d.c.Data})
	}
	entries, err := os.ReadDir(d.c.Data)
	if err != nil {
		return []Finding{broken(err, "Give this user access to the data folder.")}
	}
	loose := 0
	paths := []string{d.c.KeyFile}
	for _, e := range entries {
		paths = append(paths, filepath.Join(d.c.Data, e.Name()))
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && path != d.c.KeyFile {
			continue // it came and went, as a database's files do
		}
		if err != nil {
			out = append(out, broken(err, "Name the right file in key-file."))
		} else if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
			loose++
			out = append(out, Finding{Broken, fmt.Sprintf("others can read %s (mode %#o)", path, info.Mode().Perm()), "chmod 600 " + path})
		}
	}
	if loose == 0 {
		out = append(out, fine("nobody else can read the files"))
	}
	if took, err := bench.FsyncTime(d.c.Data, 20); err != nil {
		out = append(out, broken(err, "Make the data folder writable and free some space."))
	} else if took > slowFsync {
		out = append(out, Finding{Warning, "the disk needs " + took.String() + " to make a write durable", "Every change waits for that; use a faster disk."})
	} else {
		out = append(out, fine("the disk makes a write durable in %s", took.Round(10*time.Microsecond)))
	}
	return out
}

func (d *doctor) database(ctx context.Context) []Finding {
	path := databasePath(&d.c.Storage)
	if _, err := os.Stat(path); !d.c.Postgres() && errors.Is(err, fs.ErrNotExist) {
		return []Finding{{Warning, "there is no database " + path + " yet", "The first start makes it."}}
	}
	a, err := OpenAdmin(ctx, d.c.Storage)
	if err != nil {
		return []Finding{broken(err, "No server starts on this database until that is repaired.")}
	}
	seen, err := a.Inspect(ctx)
	if err = errors.Join(err, a.Close()); err != nil {
		return []Finding{broken(err, "No server starts on this database until that is repaired.")}
	}
	d.running, d.used = seen.Server != 0, seen.Functions
	out := []Finding{fine("the database answers: %d pools, %d keys", seen.Pools, seen.Keys)}
	if d.running {
		out = append(out, fine("the server with process id %d has it", seen.Server))
	}
	if seen.Keys == 0 {
		out = append(out, Finding{Warning, "there is no access key, so that 'serve' can answer nobody", "poolhouse keys create"})
	}
	for _, risk := range seen.Risks {
		text, next, _ := strings.Cut(risk, ": ")
		out = append(out, Finding{Warning, text, next})
	}
	return out
}

func (d *doctor) listener(ctx context.Context) []Finding {
	if d.running {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", d.c.Listen)
	if err != nil {
		return []Finding{broken(err, "Choose another address with --listen, or end what listens there.")}
	}
	if err := l.Close(); err != nil {
		return []Finding{broken(err, "")}
	}
	return []Finding{fine("%s is free to listen on", d.c.Listen)}
}

func (d *doctor) certificate(context.Context) []Finding {
	if d.c.TLSCert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(d.c.TLSCert, d.c.TLSKey)
	if err != nil {
		return []Finding{broken(fmt.Errorf("load the certificate: %w", err), "Correct tls-cert and tls-key.")}
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return []Finding{broken(fmt.Errorf("read the certificate: %w", err), "Correct tls-cert.")}
	}
	until := leaf.NotAfter.Format(time.DateOnly)
	switch now := d.real.Now(); {
	case now.After(leaf.NotAfter):
		return []Finding{{Broken, "the certificate expired on " + until, "Renew it."}}
	case now.Add(soon).After(leaf.NotAfter):
		return []Finding{{Warning, "the certificate expires on " + until, "Renew it soon."}}
	}
	return []Finding{fine("the certificate is good until %s", until)}
}

func (d *doctor) mail(ctx context.Context) []Finding {
	if d.c.SMTPAddress == "" {
		return nil
	}
	return []Finding{reach(ctx, "the mail server", d.c.SMTPAddress, "Correct smtp-address; until then e-mail waits in the queue.")}
}

func (d *doctor) texts(ctx context.Context) []Finding {
	if d.c.SMSWebhook == "" {
		return nil
	}
	return []Finding{reachURL(ctx, "the SMS webhook", d.c.SMSWebhook, "Correct sms-webhook; until then text messages wait in the queue.")}
}

func (d *doctor) triggers(ctx context.Context) []Finding {
	if _, err := newTriggers(d.c, d.real); err != nil {
		return []Finding{broken(err, "Correct trigger.")}
	}
	var out []Finding
	targets := d.c.Triggers.Triggers
	for _, arn := range d.used {
		if targets[arn] == "" && targets["*"] == "" {
			out = append(out, Finding{Broken, "a pool names the function " + arn + ", which runs nowhere", "Give it a target with trigger; until then the operations that need it fail."})
		}
	}
	for _, arn := range slices.Sorted(maps.Keys(targets)) {
		target := targets[arn]
		if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
			out = append(out, reachURL(ctx, "the trigger "+arn, target, "Correct its target; until then the operations that need it fail."))
		}
	}
	return out
}

func reachURL(ctx context.Context, what, address, next string) Finding {
	u, err := url.Parse(address)
	if err != nil {
		return broken(err, next)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return reach(ctx, what, net.JoinHostPort(u.Hostname(), port), next)
}

func reach(ctx context.Context, what, address, next string) Finding {
	d := net.Dialer{Timeout: dialLimit}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return broken(fmt.Errorf("%s cannot be reached: %w", what, err), next)
	}
	if err := c.Close(); err != nil {
		return broken(err, next)
	}
	return fine("%s takes connections at %s", what, address)
}

// Healthcheck asks a server whether it is ready.
func Healthcheck(ctx context.Context, endpoint string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(endpoint, "/")+"/readyz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answers %s", endpoint, resp.Status)
	}
	return nil
}
