package cli

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/poolhouse/poolhouse/internal/app/bulk"
	"github.com/poolhouse/poolhouse/internal/app/caller"
)

type usersCommand struct {
	Update usersUpdate `cmd:"" help:"Set or remove attributes of all users that a filter selects."`
	List   usersList   `cmd:"" help:"List the users that a filter selects."`
	Show   usersShow   `cmd:"" help:"Show one user."`
}

// Help is the manual's text.
func (*usersCommand) Help() string {
	return `These commands are clients: they call the API of a server, this one or any other, Amazon's too. Requests are signed with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; for a profile of the AWS CLI, run 'eval "$(aws configure export-credentials --format env)"' before. A development server on this machine wants no key.

Examples:
  poolhouse users list --pool us-east-1_aBcDeFgHi --filter 'email ^= "a"'
  poolhouse users show --pool us-east-1_aBcDeFgHi jane
  poolhouse users update --pool us-east-1_aBcDeFgHi --filter 'status = "Enabled"' --set custom:plan=pro --dry-run
  poolhouse users update --pool eu-west-1_aBcDeFgHi --endpoint aws --set custom:plan=pro --resume plan.state --report refused.jsonl`
}

// endpoint are the flags that say where the users are.
type endpoint struct {
	Pool     string `required:"" placeholder:"ID" help:"The user pool."`
	Endpoint string `default:"http://127.0.0.1:9229" env:"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER,AWS_ENDPOINT_URL" placeholder:"URL" help:"Address of the server; aws is Amazon's in the region."`
	Region   string `env:"AWS_REGION,AWS_DEFAULT_REGION" placeholder:"REGION" help:"Region to sign for. Without it, that in the pool's id."`
	CABundle string `name:"ca-bundle" env:"AWS_CA_BUNDLE" type:"path" placeholder:"FILE" help:"Certificates of authorities to trust in place of the system's, PEM."`
}

// caller makes the way to the endpoint.
func (e *endpoint) caller() (*caller.Caller, error) {
	region, _, found := strings.Cut(e.Pool, "_")
	if e.Region != "" {
		region = e.Region
	} else if !found {
		return nil, errors.New("the pool's id does not name a region: set --region")
	}
	where := e.Endpoint
	if where == "aws" {
		where = "https://cognito-idp." + region + ".amazonaws.com"
		if strings.HasPrefix(region, "cn-") {
			where += ".cn"
		}
	}
	to, err := caller.ParseEndpoint(where)
	if err != nil {
		return nil, fmt.Errorf("--endpoint: %w", err)
	}
	keys := caller.Credentials{ID: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY"), Session: os.Getenv("AWS_SESSION_TOKEN"), Region: region}
	if (keys.ID == "") != (keys.Secret == "") {
		return nil, errors.New("of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set")
	}
	if keys.ID == "" {
		if !to.Local() {
			return nil, &hint{fmt.Errorf("no key for %s", to), "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN for temporary keys."}
		}
		keys.ID, keys.Session = "poolhouse", "" // a development server believes everybody
	}
	for _, text := range []string{keys.ID, keys.Session, keys.Region} {
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, errors.New("the key id, session token or region has characters that no header can carry")
		}
	}
	c := caller.New(to, keys)
	if e.CABundle != "" {
		text, err := os.ReadFile(e.CABundle)
		if err != nil {
			return nil, fmt.Errorf("--ca-bundle: %w", err)
		}
		c.Trust = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !c.Trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca-bundle: there is no certificate in %s", e.CABundle)
		}
	}
	return c, nil
}

// A shownUser is a user as ListUsers and AdminGetUser describe one.
type shownUser struct {
	Username             string
	Enabled              bool
	UserStatus           string
	UserCreateDate       float64
	UserLastModifiedDate float64
	Attributes           []bulk.Attribute
	UserAttributes       []bulk.Attribute // AdminGetUser calls them so
	UserMFASettingList   []string
	PreferredMfaSetting  string
}

func (u *shownUser) attribute(name string) string {
	for _, a := range u.Attributes {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

func instant(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC().Format(time.RFC3339)
}

// printable is a text of somebody else without what could move a terminal's cursor or hide other text.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

type usersList struct {
	endpoint
	Filter     string   `placeholder:"FILTER" help:"Which users, as ListUsers takes it: an attribute, = or ^= (begins with), and a value in double quotes."`
	Limit      int      `default:"0" help:"At most so many users; 0 is all."`
	Attributes []string `default:"email" placeholder:"NAME" help:"Attributes to show."`
	JSON       bool     `name:"json" help:"Print JSON, one user a line, with all attributes."`
}

// Run lists users.
func (c *usersList) Run(ctx context.Context, s Streams) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	to, err := c.caller()
	if err != nil {
		return err
	}
	if c.Limit < 0 {
		return errors.New("--limit must not be less than 0")
	}
	out := bufio.NewWriter(s.Out)
	const columns = "%-38s  %-22s  %-8s  %-20s"
	if !c.JSON {
		fmt.Fprintf(out, columns, "USER", "STATUS", "ENABLED", "CREATED")
		for _, name := range c.Attributes {
			fmt.Fprintf(out, "  %s", strings.ToUpper(printable(name)))
		}
		fmt.Fprintln(out)
	}
	err = bulk.List(ctx, to, c.Pool, c.Filter, c.Limit, func(raw json.RawMessage) error {
		if c.JSON {
			_, err := fmt.Fprintf(out, "%s\n", raw)
			return err
		}
		var u shownUser
		if err := json.Unmarshal(raw, &u); err != nil {
			return fmt.Errorf("read a user: %w", err)
		}
		fmt.Fprintf(out, columns, printable(u.Username), u.UserStatus, yesNo(u.Enabled), instant(u.UserCreateDate))
		for _, name := range c.Attributes {
			fmt.Fprintf(out, "  %s", dash(printable(u.attribute(name))))
		}
		_, err := fmt.Fprintln(out)
		return err
	})
	return errors.Join(err, out.Flush())
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type usersShow struct {
	endpoint
	Username string `arg:"" help:"User name, sub or alias."`
	JSON     bool   `name:"json" help:"Print the API's answer, JSON."`
}

// Run shows a user.
func (c *usersShow) Run(ctx context.Context, s Streams) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	to, err := c.caller()
	if err != nil {
		return err
	}
	raw, err := bulk.Show(ctx, to, c.Pool, c.Username)
	if err != nil {
		return err
	}
	if c.JSON {
		_, err := fmt.Fprintf(s.Out, "%s\n", raw)
		return err
	}
	var u shownUser
	if err := json.Unmarshal(raw, &u); err != nil {
		return fmt.Errorf("read the user: %w", err)
	}
	t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "user\t%s\nstatus\t%s\nenabled\t%s\ncreated\t%s\nmodified\t%s\n", printable(u.Username), u.UserStatus, yesNo(u.Enabled),
		instant(u.UserCreateDate), instant(u.UserLastModifiedDate))
	if len(u.UserMFASettingList) > 0 {
		fmt.Fprintf(t, "second factors\t%s\npreferred\t%s\n", strings.Join(u.UserMFASettingList, ", "), dash(u.PreferredMfaSetting))
	}
	groups, err := bulk.Groups(ctx, to, c.Pool, u.Username)
	if refused, ok := errors.AsType[*caller.Refusal](err); ok { // a key may allow the one and not the other
		groups = []string{"not shown: " + refused.Error()}
	} else if err != nil {
		return err
	}
	fmt.Fprintf(t, "groups\t%s\n", dash(printable(strings.Join(groups, ", "))))
	for _, a := range u.UserAttributes {
		fmt.Fprintf(t, "  %s\t%s\n", printable(a.Name), printable(a.Value))
	}
	return t.Flush()
}

type usersUpdate struct {
	endpoint
	Filter     string   `placeholder:"FILTER" help:"Which users, as ListUsers takes it: an attribute, = or ^= (begins with), and a value in double quotes. Without it, all users of the pool."`
	Set        []string `sep:"none" placeholder:"NAME=VALUE" help:"Attribute to set; may be given again."`
	Unset      []string `sep:"none" placeholder:"NAME" help:"Attribute to remove; may be given again."`
	DryRun     bool     `aliases:"plan" help:"Only tell what would be changed. Also --plan."`
	Yes        bool     `help:"Do not show a plan and do not ask."`
	Workers    int      `default:"64" placeholder:"N" help:"Connections that change users. The pace is lowered when the server says that it is too fast."`
	Resume     string   `placeholder:"FILE" type:"path" help:"Record what is done in this file, and go on where an earlier run with the same file ended."`
	Report     string   `placeholder:"FILE" type:"path" help:"Write the refused users into this file: JSON, one a line, with user, code and message."`
	MaxRefused int      `default:"1000" placeholder:"N" help:"Stop after so many refused users; 0 is never."`
	JSON       bool     `name:"json" help:"Print the plan or the result as JSON."`
}

// Help is the manual's text.
func (*usersUpdate) Help() string {
	return `Without --yes it first lists the users, tells how many would be changed with some of them, and asks. Users who have the values already are left alone, so a run that was cut off can simply be repeated. With --resume the list is not read again either, and no user is changed twice, even where a change does not show at once, such as an address that waits for its verification.

An interrupted run (Ctrl-C) finishes what is on its way. The exit code is 1 if users were refused. The state file of --resume holds user names and the values; it is made for its owner alone.

Examples:
  poolhouse users update --pool us-east-1_aBcDeFgHi --set custom:plan=pro --dry-run
  poolhouse users update --pool us-east-1_aBcDeFgHi --filter 'email ^= "a"' --set custom:plan=pro --unset nickname
  poolhouse users update --pool eu-west-1_aBcDeFgHi --endpoint aws --set locale=en-GB --yes --workers 8 --resume locale.state`
}

func (c *usersUpdate) change() (*bulk.Change, error) {
	change := &bulk.Change{Pool: c.Pool, Filter: c.Filter, Set: map[string]string{}, Unset: c.Unset}
	for _, pair := range c.Set {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("--set %s: it must be NAME=VALUE", pair)
		}
		if _, twice := change.Set[name]; twice {
			return nil, fmt.Errorf("--set gives %s twice", name)
		}
		change.Set[name] = value
	}
	if err := change.Check(); err != nil {
		return nil, &hint{err, "Name attributes by --set NAME=VALUE and --unset NAME."}
	}
	if c.Workers < 1 || c.Workers > 1024 || c.MaxRefused < 0 {
		return nil, errors.New("--workers must be from 1 to 1024, --max-refused not less than 0")
	}
	return change, nil
}

// Run changes users.
func (c *usersUpdate) Run(ctx context.Context, s Streams) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	change, err := c.change()
	if err != nil {
		return err
	}
	to, err := c.caller()
	if err != nil {
		return err
	}
	o := bulk.Options{Caller: to, Change: *change, Workers: c.Workers, MaxRefused: c.MaxRefused, Past: &bulk.Past{}}
	if c.Resume != "" && !c.DryRun {
		if o.State, o.Past, err = bulk.OpenState(c.Resume, to.Endpoint.String(), change); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.State.Close()) }()
	}
	if o.Past.Begun() {
		fmt.Fprintf(s.Err, "Going on with %s: %s changed, %s refused before.\n", c.Resume, count(o.Past.Changed), count(len(o.Past.Refused)))
	} else if c.DryRun || !c.Yes {
		if goOn, err := c.plan(ctx, s, to, change); err != nil || !goOn {
			return err
		}
	}
	return c.carryOut(ctx, s, &o)
}

// plan shows what would be done and asks. It returns whether to go on.
func (c *usersUpdate) plan(ctx context.Context, s Streams, to *caller.Caller, change *bulk.Change) (goOn bool, err error) {
	ask := terminal(s.In) && terminal(s.Err)
	if !c.DryRun && !ask {
		return false, &hint{errors.New("there is no terminal to ask on"), "Look with --dry-run first, then add --yes."}
	}
	show := newShow(s.Err)
	plan, err := bulk.MakePlan(ctx, to, change, func(p *bulk.Plan) { show.say(count(p.Listed) + " users listed") })
	show.clear()
	if err != nil {
		return false, err
	}
	if c.JSON {
		err = printJSON(s.Out, plan)
	} else {
		err = printPlan(s.Out, to, change, plan)
	}
	if err != nil || c.DryRun || plan.Change == 0 {
		return false, err
	}
	fmt.Fprintf(s.Err, "Change %s users of %s at %s? Answer yes or no: ", count(plan.Change), c.Pool, to.Endpoint)
	answer, err := bufio.NewReader(s.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "yes" && a != "y" {
		fmt.Fprintln(s.Err, "Nothing was changed.")
		return false, nil
	}
	return true, nil
}

func printPlan(w io.Writer, to *caller.Caller, change *bulk.Change, p *bulk.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "pool %s at %s\n", change.Pool, to.Endpoint)
	fmt.Fprintf(&b, "%s users selected, %s to change, %s have the values already\n", count(p.Listed), count(p.Change), count(p.Same))
	for _, sample := range p.Sample {
		fmt.Fprintf(&b, "  %s\n", printable(sample.User))
		for _, name := range slices.Sorted(maps.Keys(change.Set)) {
			fmt.Fprintf(&b, "    %s: %s → %s\n", printable(name), before(sample, name), printable(change.Set[name]))
		}
		for _, name := range change.Unset {
			if _, has := sample.Before[name]; has {
				fmt.Fprintf(&b, "    %s: %s → removed\n", printable(name), before(sample, name))
			}
		}
	}
	if more := p.Change - len(p.Sample); more > 0 {
		fmt.Fprintf(&b, "  and %s more\n", count(more))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func before(s bulk.Sample, name string) string {
	if value, has := s.Before[name]; has {
		return printable(value)
	}
	return "-"
}

// A result is what --json prints.
type result struct {
	bulk.Progress
	Rate   float64        `json:"users_per_second"`
	Codes  map[string]int `json:"refused_by_code"`
	Report string         `json:"report,omitempty"`
}

// sampleRefused is how many refused users are printed.
const sampleRefused = 20

func (c *usersUpdate) carryOut(ctx context.Context, s Streams, o *bulk.Options) (err error) {
	codes := map[string]int{}
	var sample []bulk.Refusal
	report := io.Discard
	if c.Report != "" {
		f, err := os.OpenFile(c.Report, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("open the report: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		report = f
	}
	o.OnRefused = func(r *bulk.Refusal) error {
		codes[r.Code]++
		if len(sample) < sampleRefused {
			sample = append(sample, *r)
		}
		return bulk.WriteRefusal(report, r)
	}
	for i := range o.Past.Refused {
		if err := o.OnRefused(&o.Past.Refused[i]); err != nil {
			return err
		}
	}
	show := newShow(s.Err)
	o.OnProgress = func(p bulk.Progress) { show.progress(&p) }
	o.OnRelist = func() {
		show.line("The list's page token has expired: listing from the beginning, users who are done are left out.")
	}
	p, failed := bulk.Run(ctx, *o)
	show.clear()
	if c.JSON {
		err = printJSON(s.Out, result{p, p.Rate(), codes, c.Report})
	} else {
		err = printResult(s.Out, &p, codes, sample, c.Report)
	}
	switch {
	case failed != nil && ctx.Err() != nil:
		return errors.Join(err, c.unfinished(errors.New("interrupted")))
	case failed != nil:
		return errors.Join(err, c.unfinished(failed))
	case err == nil && p.Refused > 0:
		return errSaid
	}
	return err
}

// unfinished says how to go on.
func (c *usersUpdate) unfinished(err error) error {
	if c.Resume != "" {
		return &hint{err, "Not all users were dealt with. Run the same command again: " + c.Resume + " knows where to go on."}
	}
	return &hint{err, "Not all users were dealt with. Run the same command again: users who have the values are left alone."}
}

func printResult(w io.Writer, p *bulk.Progress, codes map[string]int, sample []bulk.Refusal, report string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s changed, %s had the values already, %s refused, in %s", count(p.Changed), count(p.Same), count(p.Refused), p.Elapsed.Round(10*time.Millisecond))
	if p.Calls > 0 {
		fmt.Fprintf(t, " (%s users a second)", count(int(p.Rate())))
	}
	fmt.Fprintln(t)
	if p.Throttled > 0 {
		fmt.Fprintf(t, "%s calls were one too many for the server and were made again\n", count(p.Throttled))
	}
	if len(sample) > 0 {
		fmt.Fprint(t, "\nREFUSED\tCODE\tMESSAGE\n")
	}
	for _, r := range sample {
		fmt.Fprintf(t, "%s\t%s\t%s\n", printable(r.User), printable(r.Code), printable(r.Message))
	}
	if err := t.Flush(); err != nil || p.Refused <= len(sample) {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "and %s more; in all", count(p.Refused-len(sample)))
	for _, code := range slices.SortedFunc(maps.Keys(codes), func(a, b string) int { return cmp.Or(cmp.Compare(codes[b], codes[a]), cmp.Compare(a, b)) }) {
		fmt.Fprintf(&b, " %s %s", count(codes[code]), printable(code))
	}
	b.WriteString("\n")
	if report == "" {
		b.WriteString("All of them with --report FILE.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// count writes 100000 as 100,000.
func count(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
