// Package config is every setting of the server in one struct, [Config], whose tags say the flag, the environment variable, the
// key in a configuration file, the default and the help text of each.
//
// A setting has one name: --smtp-address as a flag, POOLHOUSE_SMTP_ADDRESS in the environment, smtp-address in the file. The first
// of these that names it counts, in that order, and then the default. The command line is parsed in internal/cli, which knows the
// library for it; this package reads the file, settles the order and prints what came of it. Pools, clients and users are not
// settings: they are applied, see internal/app.
package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Config is every setting. The zero value of each field works.
type Config struct {
	Listener `yaml:",inline"`
	Storage  `yaml:",inline"`
	Place    `yaml:",inline"`
	Secrets  `yaml:",inline"`
	Messages `yaml:",inline"`
	Triggers `yaml:",inline"`
	Limits   `yaml:",inline"`
	Logging  `yaml:",inline"`
	Start    `yaml:",inline"`
}

// Listener is where the server listens and whom it answers.
type Listener struct {
	Listen        string        `name:"listen" yaml:"listen" env:"POOLHOUSE_LISTEN" group:"listener" placeholder:"ADDR" default:"127.0.0.1:9229" help:"Address and port to listen on; port 0 takes a free one."`
	PublicURL     string        `name:"public-url" yaml:"public-url" env:"POOLHOUSE_PUBLIC_URL" group:"listener" placeholder:"URL" help:"Address by which clients reach the server, such as https://id.example.com. It is the base of issuers and links."`
	AllowHosts    []string      `name:"allow-host" yaml:"allow-host" env:"POOLHOUSE_ALLOW_HOST" group:"listener" placeholder:"NAME" help:"Another host name to answer for. IP addresses, localhost, host.docker.internal and cognito-idp.*.amazonaws.com are always accepted."`
	AllowOrigins  []string      `name:"allow-origin" yaml:"allow-origin" env:"POOLHOUSE_ALLOW_ORIGIN" group:"listener" placeholder:"ORIGIN" help:"A web origin whose pages may use the plain dialect, such as https://app.example.com."`
	TrustProxies  []string      `name:"trust-proxy" yaml:"trust-proxy" env:"POOLHOUSE_TRUST_PROXY" group:"listener" placeholder:"CIDR" help:"A network whose X-Forwarded-For is believed."`
	BehindProxy   bool          `name:"behind-proxy" yaml:"behind-proxy" env:"POOLHOUSE_BEHIND_PROXY" group:"listener" help:"A proxy in front ends TLS, so that this server may speak plain HTTP beyond this machine."`
	TLSCert       string        `name:"tls-cert" yaml:"tls-cert" env:"POOLHOUSE_TLS_CERT" group:"listener" placeholder:"FILE" help:"Certificate chain, PEM."`
	TLSKey        string        `name:"tls-key" yaml:"tls-key" env:"POOLHOUSE_TLS_KEY" group:"listener" placeholder:"FILE" help:"Private key of the certificate, PEM."`
	MetricsListen string        `name:"metrics-listen" yaml:"metrics-listen" env:"POOLHOUSE_METRICS_LISTEN" group:"listener" placeholder:"ADDR" help:"Address for Prometheus metrics at /metrics; none without it."`
	Drain         time.Duration `name:"drain" yaml:"drain" env:"POOLHOUSE_DRAIN" group:"listener" placeholder:"DURATION" help:"How long a stopping server still takes requests after /readyz says no, for load balancers to notice."`
}

// Storage is where data is kept and by what it is sealed.
type Storage struct {
	Data       string      `name:"data" yaml:"data" env:"POOLHOUSE_DATA" group:"storage" placeholder:"DIR" default:".poolhouse" help:"Folder for the embedded database, the key file and the control socket."`
	Database   secret.Text `name:"database" yaml:"database" env:"POOLHOUSE_DATABASE" group:"storage" placeholder:"PATH|URL" help:"SQLite file, or postgres://user:password@host/name. Without it, poolhouse.db in the data folder."`
	KeyFile    string      `name:"key-file" yaml:"key-file" env:"POOLHOUSE_KEY_FILE" group:"storage" placeholder:"FILE" help:"Key-encryption key: 32 bytes, base64 or hexadecimal, readable by you alone. Without it, poolhouse.key in the data folder, made at the first start."`
	Key        secret.Text `name:"key" yaml:"key" env:"POOLHOUSE_KEY" group:"storage" placeholder:"KEY" help:"The key-encryption key itself; prefer the environment or a file to the command line."`
	Checkpoint string      `name:"checkpoint" yaml:"checkpoint" env:"POOLHOUSE_CHECKPOINT" group:"storage" enum:"own,external" default:"own" help:"Who checkpoints SQLite's log: own, or external when a replication tool such as litestream does."`
	Cache      string      `name:"cache" yaml:"cache" env:"POOLHOUSE_CACHE" group:"storage" placeholder:"MIB" default:"auto" help:"Memory for copies of what was read from the SQLite file, in MiB; 32 at least, or 0 for none. auto is 1 KiB for each user that there is when the server starts, but 256 MiB at least, and at most a quarter of the memory that there is. It fills with use. PostgreSQL is always asked."`
}

// Place is what the server pretends to be a part of.
type Place struct {
	Region  string `name:"region" yaml:"region" env:"POOLHOUSE_REGION" group:"place" placeholder:"REGION" default:"us-east-1" help:"Region of requests that name none; the prefix of new pool ids."`
	Issuer  string `name:"issuer" yaml:"issuer" env:"POOLHOUSE_ISSUER" group:"place" placeholder:"URL|aws" help:"Address before the pool id in the issuers of tokens, or aws for the addresses of the real service. Without it, public-url, and without that the listener's address."`
	Account string `name:"account" yaml:"account" env:"POOLHOUSE_ACCOUNT" group:"place" placeholder:"ID" default:"000000000000" help:"Account id in ARNs: twelve digits."`
}

// Secrets is how signing keys and passwords are kept.
type Secrets struct {
	PasswordHash string        `name:"password-hash" yaml:"password-hash" env:"POOLHOUSE_PASSWORD_HASH" group:"secrets" enum:"srp,argon2id" default:"srp" help:"How passwords are kept, sealed in either way: srp, as verifiers that serve every sign-in flow, or argon2id, as hashes that are far more work to guess, in pools whose app clients allow passwords and neither USER_SRP_AUTH nor CUSTOM_AUTH nor USER_AUTH."`
	KeyRotation  time.Duration `name:"key-rotation" yaml:"key-rotation" env:"POOLHOUSE_KEY_ROTATION" group:"secrets" placeholder:"DURATION" help:"Replace the signing keys of a pool when they are this old, such as 2160h. New keys are published for a day before they sign. Without it, keys change by 'poolhouse keys rotate' alone."`
}

// LeastRotation is the shortest interval of KeyRotation: the keys of one rotation are published and have signed before the next.
const LeastRotation = 48 * time.Hour

// Messages is how e-mail and SMS leave.
type Messages struct {
	SMTPAddress  string      `name:"smtp-address" yaml:"smtp-address" env:"POOLHOUSE_SMTP_ADDRESS" group:"messages" placeholder:"HOST:PORT" help:"Mail server. Without it, 'dev' keeps e-mail in the inbox and 'serve' keeps it queued."`
	SMTPUsername string      `name:"smtp-username" yaml:"smtp-username" env:"POOLHOUSE_SMTP_USERNAME" group:"messages" placeholder:"NAME" help:"User name at the mail server."`
	SMTPPassword secret.Text `name:"smtp-password" yaml:"smtp-password" env:"POOLHOUSE_SMTP_PASSWORD" group:"messages" placeholder:"PASSWORD" help:"Password at the mail server."`
	SMTPFrom     string      `name:"smtp-from" yaml:"smtp-from" env:"POOLHOUSE_SMTP_FROM" group:"messages" placeholder:"ADDRESS" default:"no-reply@poolhouse.invalid" help:"Sender of pools that name none."`
	SMTPTLS      string      `name:"smtp-tls" yaml:"smtp-tls" env:"POOLHOUSE_SMTP_TLS" group:"messages" enum:"starttls,implicit,none" default:"starttls" help:"How the connection to the mail server is protected: starttls, implicit or none."`
	SMSWebhook   string      `name:"sms-webhook" yaml:"sms-webhook" env:"POOLHOUSE_SMS_WEBHOOK" group:"messages" placeholder:"URL" help:"Where text messages are posted. Without it, 'dev' keeps them in the inbox and 'serve' keeps them queued."`
	SMSSecret    secret.Text `name:"sms-secret" yaml:"sms-secret" env:"POOLHOUSE_SMS_SECRET" group:"messages" placeholder:"SECRET" help:"Secret by which those posts are signed."`
	TellChanges  bool        `name:"tell-changes" yaml:"tell-changes" env:"POOLHOUSE_TELL_CHANGES" group:"messages" help:"Tell users at their former verified address when their e-mail address, phone number, second factors or password change. Cognito has no such messages."`
}

// Triggers is where Lambda triggers run.
type Triggers struct {
	Triggers      map[string]string `name:"trigger" yaml:"trigger" env:"POOLHOUSE_TRIGGER" group:"triggers" placeholder:"ARN=TARGET" mapsep:";" help:"What runs for a function's ARN (or * for all others): an http or https URL, cmd: and a command line, or lambda."`
	TriggerSecret secret.Text       `name:"trigger-secret" yaml:"trigger-secret" env:"POOLHOUSE_TRIGGER_SECRET" group:"triggers" placeholder:"SECRET" help:"Secret by which events to HTTP triggers are signed."`
	LambdaURL     string            `name:"lambda-endpoint" yaml:"lambda-endpoint" env:"POOLHOUSE_LAMBDA_ENDPOINT" group:"triggers" placeholder:"URL" help:"Endpoint of the Lambda API, such as LocalStack's; AWS itself without it."`
	KMSEndpoint   string            `name:"kms-endpoint" yaml:"kms-endpoint" env:"POOLHOUSE_KMS_ENDPOINT" group:"triggers" placeholder:"URL|aws" help:"Endpoint of the KMS API that encrypts codes for custom senders, or aws for AWS itself. Without it the server's own key stands for every key that a pool names, and receivers decrypt at this server."`
	KMSRegion     string            `name:"kms-region" yaml:"kms-region" env:"POOLHOUSE_KMS_REGION" group:"triggers" placeholder:"REGION" help:"Region of the KMS API; that of the key's ARN without it."`
	LambdaRegion  string            `name:"lambda-region" yaml:"lambda-region" env:"POOLHOUSE_LAMBDA_REGION" group:"triggers" placeholder:"REGION" help:"Region of the Lambda API; that of the function's ARN without it."`
}

// Limits is how many requests are taken.
type Limits struct {
	MaxInFlight  int      `name:"max-in-flight" yaml:"max-in-flight" env:"POOLHOUSE_MAX_IN_FLIGHT" group:"limits" placeholder:"N" default:"512" help:"Requests that are worked on at the same time; more are refused at once. 0: no bound."`
	SourceRate   int      `name:"source-rate" yaml:"source-rate" env:"POOLHOUSE_SOURCE_RATE" group:"limits" placeholder:"N" default:"600" help:"Requests a minute that one network address may make to operations for which a client id is enough, such as SignUp. 0: no bound. Not in 'dev'."`
	SourceExempt []string `name:"source-exempt" yaml:"source-exempt" env:"POOLHOUSE_SOURCE_EXEMPT" group:"limits" placeholder:"CIDR" help:"A network without that bound, such as that of servers of yours which sign users in. This machine never has it."`

	Rates string         `name:"rates" yaml:"rates" env:"POOLHOUSE_RATES" group:"limits" enum:"off,aws" default:"off" help:"Request quotas: off, or aws for the default quotas of the real service."`
	Rate  map[string]int `name:"rate" yaml:"rate" env:"POOLHOUSE_RATE" group:"limits" placeholder:"CATEGORY=N" mapsep:";" help:"Requests a second of a quota category, such as UserUpdate=100."`

	UserRate         int `name:"user-rate" yaml:"user-rate" env:"POOLHOUSE_USER_RATE" group:"limits" placeholder:"N" default:"10" help:"Reads, and likewise writes, a second that one user may be the object of, where there are request quotas. 0: no bound."`
	PoolRate         int `name:"pool-rate" yaml:"pool-rate" env:"POOLHOUSE_POOL_RATE" group:"limits" placeholder:"N" default:"5" help:"Calls a second of one operation for one pool in the quota categories of clients and resources, where there are request quotas. 0: no bound."`
	PasswordFailures int `name:"password-failures" yaml:"password-failures" env:"POOLHOUSE_PASSWORD_FAILURES" group:"limits" placeholder:"N" help:"How many passwords of a user may be wrong in a row, however slowly, before none is evaluated until one is set anew or 'poolhouse locks lift' is called. 0, as in Cognito: any number, slowed down. Codes have this bound always, at 100."`

	RateCeiling int `name:"rate-ceiling" yaml:"rate-ceiling" env:"POOLHOUSE_RATE_CEILING" group:"limits" placeholder:"N" default:"10" help:"How many times its default UpdateProvisionedLimit may raise the quota of a category; 0 is the default."`
}

// Logging is what the server says about itself.
type Logging struct {
	LogLevel  string `name:"log-level" yaml:"log-level" env:"POOLHOUSE_LOG_LEVEL" group:"log" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: debug, info, warn, error."`
	LogFormat string `name:"log-format" yaml:"log-format" env:"POOLHOUSE_LOG_FORMAT" group:"log" enum:"text,json" default:"text" help:"Form of the log: text or json."`
}

// Start is what happens when the server starts.
type Start struct {
	Apply     string `name:"apply" yaml:"apply" env:"POOLHOUSE_APPLY" group:"start" placeholder:"FILE" help:"Pools, clients and users to make at start: YAML or JSON with the members of the API's inputs."`
	ReadyFile string `name:"ready-file" yaml:"ready-file" env:"POOLHOUSE_READY_FILE" group:"start" placeholder:"FILE" help:"File to write once the server answers: endpoint and pid, and with 'dev' the keys, as JSON."`
	CustomIDs bool   `name:"custom-ids" yaml:"custom-ids" env:"POOLHOUSE_CUSTOM_IDS" group:"start" help:"Let callers choose ids: the pool tag _custom_id_, and the client name _custom_id_:ID. Always on in 'dev'."`
}

var account = regexp.MustCompile(`^[0-9]{12}$`)

// Check says what is wrong with the settings, each taken alone or with its neighbours; nil when nothing is. Whether they are safe
// for production is for Risks.
func (c *Config) Check() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen: %q is not ADDRESS:PORT, such as 127.0.0.1:9229", c.Listen)
	}
	if c.MetricsListen != "" {
		if _, _, err := net.SplitHostPort(c.MetricsListen); err != nil {
			return fmt.Errorf("metrics-listen: %q is not ADDRESS:PORT, such as 127.0.0.1:9230", c.MetricsListen)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("tls-cert and tls-key: give both or neither")
	}
	if c.KeyFile != "" && !c.Key.IsZero() {
		return fmt.Errorf("key-file and key: give one of them, not both")
	}
	for _, u := range []struct{ name, value string }{{"public-url", c.PublicURL}, {"sms-webhook", c.SMSWebhook}, {"lambda-endpoint", c.LambdaURL}, {"kms-endpoint", c.kmsURL()}, {"issuer", c.Issuer}} {
		if u.name == "issuer" && u.value == "aws" {
			continue
		}
		if err := checkURL(u.value); err != nil {
			return fmt.Errorf("%s: %w", u.name, err)
		}
	}
	for _, cidr := range c.TrustProxies {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			return fmt.Errorf("trust-proxy: %q is not a network such as 10.0.0.0/8", cidr)
		}
	}
	if !account.MatchString(c.Account) {
		return fmt.Errorf("account: %q is not twelve digits", c.Account)
	}
	if c.SMTPAddress != "" {
		if _, _, err := net.SplitHostPort(c.SMTPAddress); err != nil {
			return fmt.Errorf("smtp-address: %q is not HOST:PORT, such as mail.example.com:587", c.SMTPAddress)
		}
	}
	for category, n := range c.Rate {
		if n <= 0 {
			return fmt.Errorf("rate: %s must allow at least 1 request a second, not %d", category, n)
		}
	}
	for _, n := range []struct {
		name         string
		value, least int
	}{{"max-in-flight", c.MaxInFlight, 0}, {"source-rate", c.SourceRate, 0}, {"user-rate", c.UserRate, 0}, {"pool-rate", c.PoolRate, 0}, {"password-failures", c.PasswordFailures, 0}, {"rate-ceiling", c.RateCeiling, 0}} {
		if n.value < n.least {
			return fmt.Errorf("%s: %d is less than %d", n.name, n.value, n.least)
		}
	}
	if _, _, err := c.CacheSize(); err != nil {
		return err
	}
	for _, cidr := range c.SourceExempt {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			return fmt.Errorf("source-exempt: %q is not a network such as 10.0.0.0/8", cidr)
		}
	}
	if c.KeyRotation != 0 && c.KeyRotation < LeastRotation {
		return fmt.Errorf("key-rotation: %s is less than %s, which one rotation takes", c.KeyRotation, LeastRotation)
	}
	if c.Drain < 0 {
		return fmt.Errorf("drain: %s is less than nothing", c.Drain)
	}
	return nil
}

// CacheSize is Storage.Cache in MiB; auto says that the number of users decides.
func (s *Storage) CacheSize() (size int, auto bool, err error) {
	if s.Cache == "auto" || s.Cache == "" {
		return 0, true, nil
	}
	n, err := strconv.ParseUint(s.Cache, 10, 31)
	if err != nil {
		return 0, false, fmt.Errorf("cache: %q is neither a number of MiB nor auto", s.Cache)
	}
	return int(n), false, nil
}

// kmsURL is the address in kms-endpoint, "" for AWS and for the server's own key.
func (t *Triggers) kmsURL() string {
	if t.KMSEndpoint == "aws" {
		return ""
	}
	return t.KMSEndpoint
}

func checkURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not a URL that begins with http:// or https://", text)
	}
	return nil
}

// Loopback reports whether the listener can be reached from this machine only.
func (c *Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Postgres reports whether the data is in a PostgreSQL server and not in a file.
func (s *Storage) Postgres() bool {
	d := s.Database.Reveal()
	return strings.HasPrefix(d, "postgres://") || strings.HasPrefix(d, "postgresql://")
}

// Risks lists what production should not have, a sentence each.
func (c *Config) Risks() []string {
	var risks []string
	add := func(when bool, text string) {
		if when {
			risks = append(risks, text)
		}
	}
	add(!c.Loopback() && c.TLSCert == "" && !c.BehindProxy, "Passwords and codes would cross the network unencrypted: set tls-cert and tls-key, or behind-proxy.")
	add(c.BehindProxy && len(c.TrustProxies) == 0, "Every caller will look like the proxy: name the proxy's network in trust-proxy.")
	add(c.PublicURL == "", "Tokens and links will name the listener's address: set public-url.")
	add(strings.HasPrefix(c.PublicURL, "http://"), "public-url is not https.")
	add(c.KeyFile == "" && c.Key.IsZero(), "The key-encryption key lies beside the database, so that one copy of the folder holds both: set key-file.")
	add(c.SMTPAddress == "", "No e-mail will leave: set smtp-address.")
	add(c.SMTPAddress != "" && c.SMTPTLS == "none", "E-mail with codes leaves unencrypted: set smtp-tls to starttls or implicit.")
	add(c.SMSWebhook == "", "No text message will leave: set sms-webhook.")
	add(strings.HasPrefix(c.SMSWebhook, "http://"), "Text messages with codes leave unencrypted: use https in sms-webhook.")
	add(c.Rates == "off" && len(c.Rate) == 0, "Nothing limits how often a password or code may be guessed but the per-user rules: set rates.")
	add(c.CustomIDs, "Callers may choose pool and client ids: unset custom-ids.")
	add(c.LogLevel == "debug", "The debug log may hold user names and addresses.")
	return risks
}
