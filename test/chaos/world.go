//go:build linux

package chaos

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sharedPool is the pool in which all writers work.
const sharedPool = "us-east-1_chaos"

// Options say what a world is made of. The zero value of each but Binary works.
type Options struct {
	Binary  *Binary
	DSN     string   // of PostgreSQL; "": an SQLite file
	Direct  string   // the checker's own way to PostgreSQL; "": DSN
	Data    string   // data folder of the first server; "": one of the test's
	Servers int      // 0: one
	Args    []string // more of the servers' command line
	Hook    string   // ARN of the function that writes messages; "": none
	// Writers is how many callers there are at a time when CHAOS_WRITERS does not say; 0: 64.
	Writers int
	Think   time.Duration // pause of a writer between two calls, on average
	SignIns bool          // the load does nothing but sign users in
}

// World is servers under load, and what watches them.
type World struct {
	*Checker
	Servers []*Server
	Rand    *rand.Rand // of the nemesis
	DB      *Database
	Ready   []time.Duration // times from start to first answer, of restarts

	// AllTime makes the checker read the whole journal, because the server's clock was moved.
	AllTime bool

	tb      testing.TB
	client  *http.Client
	load    *loadProcess
	settled map[int64]string
	longest time.Duration // of the load before a fault
	last    []int64       // time of the last success of each server's writers
	gap     []time.Duration
}

// New makes a world: servers, pools, and a load that waits.
func New(tb testing.TB, o Options) *World {
	tb.Helper()
	s := seed(tb)
	dir := tb.TempDir()
	w := &World{tb: tb, longest: 200 * time.Millisecond, Rand: random(s, 1<<32), client: &http.Client{Timeout: patience, Transport: &http.Transport{}}}
	if Timed() {
		w.longest = 2 * time.Second
	}
	tb.Cleanup(w.client.CloseIdleConnections)
	data := o.Data
	if data == "" {
		data = filepath.Join(dir, "data")
	}
	args := append([]string{"dev", "--data", data, "--trigger", riddles + "=" + NewRiddles(tb)}, o.Args...)
	var err error
	if o.DSN != "" {
		args = append(args, "--database", o.DSN)
		w.DB, err = openPostgres(cmp.Or(o.Direct, o.DSN))
	} else {
		w.DB, err = openSQLite(filepath.Join(data, "poolhouse.db"))
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.DB.Close(); err != nil {
			tb.Errorf("close the database: %v", err)
		}
	})
	endpoints := make([]string, max(1, o.Servers))
	for i := range endpoints {
		server := NewServer(tb, o.Binary.Path(tb), dir, "server"+strconv.Itoa(i), args...)
		w.Servers, endpoints[i] = append(w.Servers, server), server.Endpoint
		if _, err := server.Start(); err != nil {
			tb.Fatal(err)
		}
	}
	w.last, w.gap = make([]int64, len(endpoints)), make([]time.Duration, len(endpoints))
	w.Checker = newChecker(w.DB, sharedPool, w.makePools(o.Hook)...)
	writers := o.Writers
	if writers == 0 {
		writers = 64
	}
	w.load = startLoad(tb, LoadConfig{
		Endpoints: endpoints, Pool: sharedPool, Writers: number(tb, EnvWriters, writers), Seed: s,
		Log: filepath.Join(dir, "load.log"), Timeout: patience, Think: o.Think, SignIns: o.SignIns,
	})
	return w
}

// Call makes one call beside the load, to a server. The answer must be a success.
func (w *World) Call(server int, operation string, input, answer any) (request string) {
	w.tb.Helper()
	body, err := json.Marshal(input)
	if err != nil {
		w.tb.Fatal(err)
	}
	r := send(w.client, w.Servers[server].Endpoint, operation, body)
	if r.err != nil || r.status != http.StatusOK {
		w.tb.Fatalf("%s %s: %v %d %s", operation, body, r.err, r.status, r.body)
	}
	if answer != nil {
		if err := json.Unmarshal(r.body, answer); err != nil {
			w.tb.Fatalf("%s: %v: %s", operation, err, r.body)
		}
	}
	return r.request
}

// makePools makes the shared pool and those of the first writers, and returns the ids of its requests.
func (w *World) makePools(hook string) (requests []string) {
	w.tb.Helper()
	names := []string{sharedPool}
	for i := range settlers {
		names = append(names, SettingsPool(sharedPool, i))
	}
	for _, id := range names {
		input := map[string]any{
			"PoolName": "chaos", "UserPoolTags": map[string]string{"_custom_id_": id}, "AutoVerifiedAttributes": []string{"email"},
			"AliasAttributes":    []string{"email", "phone_number", "preferred_username"},
			"EmailConfiguration": map[string]string{"EmailSendingAccount": "DEVELOPER", "SourceArn": "arn:aws:ses:us-east-1:000000000000:identity/chaos@example.com"},
			"Schema":             []map[string]any{{"Name": "mark", "AttributeDataType": "String", "Mutable": true}},
		}
		functions := map[string]string{"DefineAuthChallenge": riddles, "CreateAuthChallenge": riddles, "VerifyAuthChallengeResponse": riddles}
		if hook != "" {
			functions["CustomMessage"] = hook
		}
		input["LambdaConfig"] = functions
		requests = append(requests, w.Call(0, "CreateUserPool", input, nil))
	}
	return append(requests,
		w.Call(0, "CreateUserPoolClient", map[string]any{"UserPoolId": sharedPool, "ClientName": customID + sharedClient,
			"ExplicitAuthFlows": []string{"ALLOW_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH", "ALLOW_USER_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}}, nil),
		w.Call(0, "CreateUserPoolClient", map[string]any{"UserPoolId": sharedPool, "ClientName": customID + rotatingClient,
			"ExplicitAuthFlows": []string{"ALLOW_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH", "ALLOW_USER_AUTH"}, "RefreshTokenRotation": map[string]any{"Feature": "ENABLED", "RetryGracePeriodSeconds": 0}}, nil),
		w.Call(0, "SetUserPoolMfaConfig", map[string]any{"UserPoolId": sharedPool, "MfaConfiguration": "OPTIONAL",
			"SoftwareTokenMfaConfiguration": map[string]bool{"Enabled": true}, "EmailMfaConfiguration": map[string]string{}}, nil))
}

// Fill puts users into a pool of their own, CHAOS_USERS or else as many as given, so that a server that starts has something to open.
// They are copies in the database of one that the API made.
func (w *World) Fill(otherwise int) {
	w.tb.Helper()
	n := number(w.tb, EnvUsers, otherwise)
	pool := sharedPool + "filled"
	known := []string{
		w.Call(0, "CreateUserPool", map[string]any{"PoolName": "filled", "UserPoolTags": map[string]string{"_custom_id_": pool}}, nil),
		w.Call(0, "AdminCreateUser", map[string]any{"UserPoolId": pool, "Username": "filled", "MessageAction": "SUPPRESS"}, nil),
	}
	for _, id := range known {
		w.known[id] = true
	}
	err := w.Servers[0].Stop()
	if err == nil {
		err = w.DB.multiply(context.Background(), pool, n)
	}
	if err == nil {
		err = w.restart(0)
	}
	if err != nil {
		w.tb.Fatalf("fill the database: %v%s", err, w.logs())
	}
}

// Round lets the load run, does something to the world in the middle of it, waits until every server that runs has answered calls
// again, and checks everything.
func (w *World) Round(name string, fault func() error) {
	w.tb.Helper()
	w.Rounds++
	since := time.Now()
	err := func() error {
		if err := w.load.run(w.settled); err != nil {
			return err
		}
		w.settled = nil
		time.Sleep(between(w.Rand, 40*time.Millisecond, w.longest))
		if err := fault(); err != nil {
			return err
		}
		if err := w.Answered(time.Now()); err != nil {
			return err
		}
		if w.AllTime { // perhaps since this fault
			since = time.Time{}
		}
		return w.Settle(since)
	}()
	if err != nil {
		w.tb.Fatalf("round %d (%s): %v%s", w.Rounds, name, err, w.logs())
	}
	w.judge(name)
}

// Run lets the load run until Settle.
func (w *World) Run() error {
	settled := w.settled
	w.settled = nil
	return w.load.run(settled)
}

// Settle pauses the load and checks everything that happened since.
func (w *World) Settle(since time.Time) error {
	if err := w.load.pause(); err != nil {
		return err
	}
	if err := w.drain(); err != nil {
		return err
	}
	if err := w.DB.quiet(context.Background()); err != nil {
		return err
	}
	var err error
	if w.settled, err = w.Check(context.Background(), since); err != nil {
		return err
	}
	if slices.ContainsFunc(w.Servers, (*Server).Running) {
		w.askAPI()
	}
	return nil
}

// judge stops the test when something was violated.
func (w *World) judge(name string) {
	w.tb.Helper()
	if len(w.violations) == 0 {
		return
	}
	shown := w.violations[:min(len(w.violations), 20)]
	w.tb.Fatalf("round %d (%s): %d violations\n%s%s", w.Rounds, name, len(w.violations), strings.Join(shown, "\n"), w.logs())
}

// logs is what the servers have said, for the message of a failure.
func (w *World) logs() string {
	var b strings.Builder
	for i, s := range w.Servers {
		fmt.Fprintf(&b, "\nserver %d says:\n%s", i, s.Log())
	}
	return b.String()
}

// drain reads the load's log as far as it is written.
func (w *World) drain() error {
	lines, err := w.load.log.next()
	if err != nil {
		return err
	}
	for _, l := range lines {
		if l.Event == OK {
			i := l.Writer % len(w.Servers)
			if w.last[i] != 0 {
				w.gap[i] = max(w.gap[i], time.Duration(l.At-w.last[i]))
			}
			w.last[i] = l.At
		}
	}
	w.Take(lines)
	return nil
}

// Answered waits until every server that runs has answered calls since a time.
func (w *World) Answered(since time.Time) error {
	return await("calls to succeed", func() (bool, error) {
		if err := w.load.failed(); err != nil {
			return false, err
		}
		if err := w.drain(); err != nil {
			return false, err
		}
		for i, s := range w.Servers {
			if s.Running() && w.last[i] < since.UnixNano() {
				return false, nil
			}
		}
		return true, nil
	})
}

// Gap returns the longest time without a success of the writers of a server, and starts anew.
func (w *World) Gap(server int) time.Duration {
	gap := w.gap[server]
	w.gap[server], w.last[server] = 0, 0
	return gap
}

// askAPI holds pools and clients against what was acknowledged, as the API shows them. Their form in the database is the server's own.
func (w *World) askAPI() {
	w.tb.Helper()
	server := slices.IndexFunc(w.Servers, (*Server).Running)
	for i, id := range w.pools {
		var answer struct {
			UserPool struct {
				Name         string
				UserPoolTags map[string]string
			}
		}
		w.Call(server, "DescribeUserPool", map[string]string{"UserPoolId": id}, &answer)
		if i == 0 {
			w.checkTags(id, answer.UserPool.UserPoolTags)
			continue
		}
		if o := w.model["pool:"+id]; o != nil && (answer.UserPool.Name != o["name"] || answer.UserPool.UserPoolTags["mark"] != o["mark"]) {
			w.violate("pool %s is called %q with mark %q, and was acknowledged as %q with %q", id, answer.UserPool.Name, answer.UserPool.UserPoolTags["mark"], o["name"], o["mark"])
		}
		w.checkClients(server, id)
	}
}

func (w *World) checkTags(id string, tags map[string]string) {
	prefix := "tag:" + id + ":"
	for object, o := range w.model {
		if key, ok := strings.CutPrefix(object, prefix); ok && tags[key] != o["value"] {
			w.violate("tag %s of the pool is %q and was acknowledged as %q", key, tags[key], o["value"])
		}
	}
	for key := range tags {
		if strings.HasPrefix(key, "writer") && w.model[prefix+key] == nil {
			w.violate("tag %s was removed and is there", key)
		}
	}
}

func (w *World) checkClients(server int, id string) {
	w.tb.Helper()
	var list struct {
		UserPoolClients []struct{ ClientId string }
	}
	w.Call(server, "ListUserPoolClients", map[string]any{"UserPoolId": id, "MaxResults": 60}, &list)
	prefix, found := "client:"+id+":", map[string]bool{}
	for _, client := range list.UserPoolClients {
		object := prefix + client.ClientId
		found[object] = true
		o := w.model[object]
		if o == nil {
			w.violate("client %s exists and was deleted, or never acknowledged", client.ClientId)
			continue
		}
		var answer struct {
			UserPoolClient struct{ RefreshTokenValidity int }
		}
		w.Call(server, "DescribeUserPoolClient", map[string]string{"UserPoolId": id, "ClientId": client.ClientId}, &answer)
		if got := strconv.Itoa(answer.UserPoolClient.RefreshTokenValidity); got != o["validity"] {
			w.violate("client %s has validity %s and was acknowledged with %s", client.ClientId, got, o["validity"])
		}
	}
	for object := range w.model {
		if strings.HasPrefix(object, prefix) && !found[object] {
			w.violate("%s was acknowledged and is gone", object)
		}
	}
}

// Finish ends a run: it reads the whole journal once more, has the database look at itself, holds the messages against the changes,
// and says what came of it. delivered is how often each address got its message; nil: as the inbox has it.
func (w *World) Finish(delivered map[string]int) {
	w.tb.Helper()
	ctx := context.Background()
	err := w.Settle(time.Time{})
	if err == nil {
		err = w.DB.sound(ctx)
	}
	if err == nil && delivered == nil {
		var v *view
		if v, err = w.DB.look(ctx, w.pools[0], time.Now()); err == nil {
			delivered = v.inbox
		}
	}
	if err != nil {
		w.tb.Fatalf("the end: %v%s", err, w.logs())
	}
	w.delivered(delivered)
	w.judge("the end")
	c := w.Counts
	text := fmt.Sprintf("%s: %d rounds, %d calls, %d acknowledged, %d refused (%d told to come again), %d unknown (%d of them took place), %d unsent, %d messages, %d doubled, 0 violations",
		w.tb.Name(), c.Rounds, c.Calls, c.Acknowledged, c.Refused, c.Throttled, c.Unknown, c.Settled, c.Unsent, c.Messages, c.Doubled)
	text += fmt.Sprintf("; %d sign-ins by a password alone, %d by a code as well, %d by a riddle, %d by choice", c.Visits[byPassword], c.Visits[byCode], c.Visits[byRiddle], c.Visits[byChoice])
	for _, code := range slices.Sorted(maps.Keys(c.Codes)) {
		text += fmt.Sprintf("; %d %s", c.Codes[code], code)
	}
	if n := len(w.Ready); n > 0 {
		slices.Sort(w.Ready)
		text += fmt.Sprintf("; ready again after %s (median), %s (most)", w.Ready[n/2].Round(time.Millisecond), w.Ready[n-1].Round(time.Millisecond))
		if Timed() && w.Ready[n-1] > 2*time.Second {
			w.tb.Errorf("a server needed %s to be ready again, more than 2 seconds", w.Ready[n-1])
		}
	}
	w.tb.Log(text)
	if c.Acknowledged == 0 {
		w.tb.Error("nothing was acknowledged, so nothing was tested")
	}
}

// loadProcess is the load, seen from outside.
type loadProcess struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
	said   chan string
	stderr bytes.Buffer
	ended  chan struct{}
	log    lineReader
}

// startLoad runs this test binary once more as a load.
func startLoad(tb testing.TB, c LoadConfig) *loadProcess {
	tb.Helper()
	fail := func(err error) {
		if err != nil {
			tb.Fatalf("start the load: %v", err)
		}
	}
	text, err := json.Marshal(c)
	fail(err)
	file, err := os.OpenFile(c.Log, os.O_CREATE|os.O_RDONLY, 0o600)
	fail(err)
	l := &loadProcess{cmd: exec.Command(os.Args[0]), said: make(chan string, 1), ended: make(chan struct{}), log: lineReader{file: file}}
	l.cmd.Env = append(os.Environ(), envLoad+"="+string(text))
	l.cmd.Stderr = &l.stderr
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	l.orders, err = l.cmd.StdinPipe()
	fail(err)
	out, err := l.cmd.StdoutPipe()
	fail(err)
	fail(l.cmd.Start())
	go func() {
		defer close(l.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			l.said <- lines.Text()
		}
	}()
	tb.Cleanup(func() {
		err := l.orders.Close() // which ends it, when its calls have
		timer := time.AfterFunc(patience, func() { _ = l.cmd.Process.Kill() })
		defer timer.Stop()
		<-l.ended
		if err = errors.Join(err, l.cmd.Wait(), file.Close()); err != nil {
			tb.Errorf("end the load: %v\n%s", err, l.stderr.String())
		}
	})
	return l
}

func (l *loadProcess) order(o order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = l.orders.Write(append(text, '\n'))
	return err
}

func (l *loadProcess) run(settled map[int64]string) error {
	return l.order(order{Run: true, Committed: settled})
}

// failed says why the load has ended; nil while it has not.
func (l *loadProcess) failed() error {
	select {
	case <-l.ended:
		return errors.New("the load has ended")
	default:
		return nil
	}
}

// pause returns when no call is open.
func (l *loadProcess) pause() error {
	if err := l.order(order{}); err != nil {
		return err
	}
	late := time.NewTimer(2 * patience)
	defer late.Stop()
	select {
	case <-l.said:
		return nil
	case <-l.ended:
		return errors.New("the load has ended")
	case <-late.C:
		return errors.New("the load does not pause")
	}
}

// ready asks the first server whether it is ready.
func (w *World) ready() error {
	resp, err := w.client.Get(w.Servers[0].Endpoint + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz says %s", resp.Status)
	}
	return nil
}

// wrote waits until a change that began after a time was acknowledged.
func (w *World) wrote(since time.Time) error {
	return await("a change to succeed", func() (bool, error) {
		if err := w.drain(); err != nil {
			return false, err
		}
		for _, l := range w.changes {
			if l.At > since.UnixNano() {
				return true, nil
			}
		}
		return false, w.load.failed()
	})
}
