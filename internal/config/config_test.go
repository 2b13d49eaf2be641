package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func none(string) (string, bool) { return "", false }
func never(string) bool          { return false }

func TestOneNameEverywhere(t *testing.T) {
	t.Parallel()
	groups := map[string]bool{}
	for _, g := range config.Groups() {
		groups[g[0]] = true
	}
	for _, f := range config.Fields() {
		want.Equal(t, f.Env, "POOLHOUSE_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")))
		want.True(t, f.Help != "", "%s has a help text", f.Name)
		want.True(t, groups[f.Group], "%s belongs to a listed group", f.Name)
	}
	// The name in the file is the name of the flag.
	var check func(reflect.Type)
	check = func(s reflect.Type) {
		for i := range s.NumField() {
			f := s.Field(i)
			if f.Anonymous {
				want.Equal(t, f.Tag.Get("yaml"), ",inline")
				check(f.Type)
				continue
			}
			want.Equal(t, f.Tag.Get("yaml"), f.Tag.Get("name"))
		}
	}
	check(reflect.TypeFor[config.Config]())
}

func TestParse(t *testing.T) {
	t.Parallel()
	file, err := config.Parse([]byte(`
listen: 0.0.0.0:9229
allow-host: [id.example.com, id]
smtp-password: hunter2
drain: 5s
behind-proxy: true
rate: {UserUpdate: 100}
trigger:
  arn:aws:lambda:us-east-1:000000000000:function:custom: http://127.0.0.1:9000/
`))
	want.NoError(t, err)
	c := config.Defaults()
	sources, err := config.Settle(&c, file, never, none)
	want.NoError(t, err)
	want.Equal(t, c.Listen, "0.0.0.0:9229")
	want.Equal(t, c.AllowHosts, []string{"id.example.com", "id"})
	want.Equal(t, c.SMTPPassword.Reveal(), "hunter2")
	want.Equal(t, c.Drain.String(), "5s")
	want.Equal(t, c.Rate, map[string]int{"UserUpdate": 100})
	want.Equal(t, c.Triggers.Triggers["arn:aws:lambda:us-east-1:000000000000:function:custom"], "http://127.0.0.1:9000/")
	want.Equal(t, c.Region, "us-east-1")
	want.Equal(t, sources["listen"], config.ConfigFile)
	want.Equal(t, sources["region"], config.Default)
	want.NoError(t, c.Check())
	for _, l := range config.Lines(&c, sources) {
		want.True(t, !strings.Contains(l.Value, "hunter2"), "%s hides the password", l.Name)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"unknown key", "listen: 127.0.0.1:1\nlisten-on: 2\n", `>  2 | listen-on: 2`},
		{"wrong letter case", "Listen: 127.0.0.1:1\n", `unknown field "Listen"`},
		{"twice", "region: a\nregion: b\n", `already defined`},
		{"wrong type", "behind-proxy: perhaps\n", `behind-proxy: perhaps`},
		{"not a word", "rates: gcp\n", `rates: "gcp" is none of off, aws`},
		{"not YAML", "listen: [\n", `listen: [`},
		{"a list", "- listen\n", `not a configuration`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse([]byte(row.text))
			want.Error(t, err, nil)
			want.Contains(t, err.Error(), row.want)
		})
	}
}

func TestCacheSize(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text string
		size int
		auto bool
	}{{"", 0, true}, {"cache: auto", 0, true}, {"cache: 0", 0, false}, {"cache: 512", 512, false}, {`cache: "64"`, 64, false}} {
		file, err := config.Parse([]byte(row.text))
		want.NoError(t, err)
		c := config.Defaults()
		_, err = config.Settle(&c, file, never, none)
		want.NoError(t, err)
		want.NoError(t, c.Check())
		size, auto, err := c.CacheSize()
		want.NoError(t, err)
		if size != row.size || auto != row.auto {
			t.Errorf("%s: %d, %v", row.text, size, auto)
		}
	}
}

func TestEmptyFileIsFine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n"} {
		file, err := config.Parse([]byte(text))
		want.NoError(t, err)
		c := config.Defaults()
		_, err = config.Settle(&c, file, never, none)
		want.NoError(t, err)
		want.Equal(t, c.Listen, "127.0.0.1:9229")
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	want.NoError(t, os.WriteFile(path, []byte("from the file\n"), 0o600))
	file, err := config.Parse([]byte("region: eu-central-1\naccount: '111111111111'\nsmtp-password: x\nlisten: 127.0.0.1:1\n"))
	want.NoError(t, err)
	c := config.Defaults()
	c.Region, c.Account = "flag", "environment"
	env := func(name string) (string, bool) {
		switch name {
		case "POOLHOUSE_ACCOUNT", "POOLHOUSE_REGION":
			return "x", true
		case "POOLHOUSE_SMTP_PASSWORD_FILE":
			return path, true
		}
		return "", false
	}
	sources, err := config.Settle(&c, file, func(flag string) bool { return flag == "region" }, env)
	want.NoError(t, err)
	want.Equal(t, []string{c.Region, c.Account, c.SMTPPassword.Reveal(), c.Listen}, []string{"flag", "environment", "from the file", "127.0.0.1:1"})
	want.Equal(t, []config.Source{sources["region"], sources["account"], sources["smtp-password"], sources["listen"]},
		[]config.Source{config.Flag, config.Environment, config.SecretFile, config.ConfigFile})
}

func TestKeyFileIsNotReadTwice(t *testing.T) {
	t.Parallel()
	c := config.Defaults()
	c.KeyFile = "/nowhere" // as the command line takes it from the environment
	_, err := config.Settle(&c, nil, never, func(name string) (string, bool) { return "/nowhere", name == "POOLHOUSE_KEY_FILE" })
	want.NoError(t, err)
	want.True(t, c.Key.IsZero(), "the key comes from the key file alone")
}

func TestMissingSecretFile(t *testing.T) {
	t.Parallel()
	c := config.Defaults()
	_, err := config.Settle(&c, nil, never, func(name string) (string, bool) { return "/nowhere", name == "POOLHOUSE_SMS_SECRET_FILE" })
	want.Error(t, err, os.ErrNotExist)
	want.Contains(t, err.Error(), "POOLHOUSE_SMS_SECRET_FILE")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		edit func(*config.Config)
		want string
	}{
		{"listen without port", func(c *config.Config) { c.Listen = "127.0.0.1" }, "listen:"},
		{"half a certificate", func(c *config.Config) { c.TLSCert = "a.pem" }, "tls-cert and tls-key"},
		{"two keys", func(c *config.Config) { c.KeyFile, c.Key = "k", secret.New("x") }, "key-file and key"},
		{"public URL", func(c *config.Config) { c.PublicURL = "id.example.com" }, "public-url:"},
		{"proxy", func(c *config.Config) { c.TrustProxies = []string{"10.0.0.1"} }, "trust-proxy:"},
		{"account", func(c *config.Config) { c.Account = "12" }, "account:"},
		{"rate", func(c *config.Config) { c.Rate = map[string]int{"UserUpdate": 0} }, "rate:"},
		{"mail server", func(c *config.Config) { c.SMTPAddress = "mail" }, "smtp-address:"},
		{"metrics", func(c *config.Config) { c.MetricsListen = "9230" }, "metrics-listen:"},
		{"drain", func(c *config.Config) { c.Drain = -1 }, "drain:"},
		{"cache", func(c *config.Config) { c.Cache = "-1" }, `cache: "-1" is neither a number of MiB nor auto`},
		{"cache", func(c *config.Config) { c.Cache = "much" }, "cache:"},
		{"cache", func(c *config.Config) { c.Cache = "4294967296" }, "cache:"},
		{"key-rotation", func(c *config.Config) { c.KeyRotation = 47 * time.Hour }, "key-rotation: 47h0m0s is less than 48h0m0s"},
		{"key-rotation", func(c *config.Config) { c.KeyRotation = -time.Hour }, "key-rotation:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config.Defaults()
			want.NoError(t, c.Check())
			row.edit(&c)
			err := c.Check()
			want.Error(t, err, nil)
			want.Contains(t, err.Error(), row.want)
		})
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for listen, loopback := range map[string]bool{
		"127.0.0.1:9229": true, "[::1]:0": true, "localhost:80": true, "0.0.0.0:1": false, ":9229": false, "10.1.2.3:1": false, "example.com:1": false,
	} {
		c := config.Config{Listener: config.Listener{Listen: listen}}
		want.Equal(t, c.Loopback(), loopback)
	}
}

func TestRisks(t *testing.T) {
	t.Parallel()
	c := config.Defaults()
	c.Listen = "0.0.0.0:9229"
	want.Contains(t, strings.Join(c.Risks(), "\n"), "unencrypted")
	c.TLSCert, c.TLSKey = "a", "b"
	c.PublicURL, c.KeyFile, c.SMTPAddress, c.SMSWebhook, c.Rates = "https://id.example.com", "k", "mail:587", "https://sms.example.com", "aws"
	want.Equal(t, len(c.Risks()), 0)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:1\n"))
	f.Add([]byte("rate: {UserUpdate: 1}\n"))
	f.Add([]byte("trigger: [a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := config.Parse(text)
		if err != nil {
			return
		}
		c := config.Defaults()
		if _, err := config.Settle(&c, file, never, none); err != nil {
			t.Fatalf("a file that was read cannot be used: %v", err)
		}
	})
}
