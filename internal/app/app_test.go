package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// options are those of a development server of the test.
func options(t *testing.T) app.Options {
	c := config.Defaults()
	c.Listen, c.Data, c.LogLevel = "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), "warn"
	return app.Options{Config: c, Dev: true, Log: t.Output()}
}

// A running server of a test.
type running struct {
	*app.App
	stop func() error // ends it once, and says how it ended
}

func start(t *testing.T, o app.Options) running {
	t.Helper()
	a, err := app.New(t.Context(), o)
	want.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- a.Run(ctx, func() error {
			close(started)
			return nil
		})
	}()
	stop := sync.OnceValue(func() error {
		cancel()
		err := <-ended
		want.NoError(t, a.Close())
		return err
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		t.Fatalf("the server did not start: %v", err)
	}
	return running{a, stop}
}

// plain calls an operation in the plain dialect and returns the status and the body.
func plain(t *testing.T, endpoint, operation, bearer, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+"/AWSCognitoIdentityProviderService."+operation, strings.NewReader(body))
	want.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	resp, err := client.Do(req)
	want.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	want.NoError(t, err)
	return resp.StatusCode, string(text)
}

// makePool makes a pool and returns its id.
func makePool(t *testing.T, endpoint, bearer string) string {
	t.Helper()
	status, body := plain(t, endpoint, "CreateUserPool", bearer, `{"PoolName":"demo"}`)
	want.Equal(t, status, http.StatusOK)
	var out struct {
		Data struct{ UserPool struct{ Id string } }
	}
	want.NoError(t, json.Unmarshal([]byte(body), &out))
	want.True(t, out.Data.UserPool.Id != "", "the answer names a pool: %s", body)
	return out.Data.UserPool.Id
}

func TestStartAndStop(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Config.ReadyFile = filepath.Join(t.TempDir(), "ready.json")
	o.Config.MetricsListen = "127.0.0.1:0"
	a := start(t, o)

	text, err := os.ReadFile(o.Config.ReadyFile)
	want.NoError(t, err)
	var ready app.Ready
	want.NoError(t, json.Unmarshal(text, &ready))
	want.Equal(t, ready, a.Ready())
	want.Equal(t, ready.PID, os.Getpid())
	want.True(t, strings.HasPrefix(ready.Endpoint, "http://127.0.0.1:") && strings.HasPrefix(ready.AccessKeyID, "AKIA") && len(ready.SecretAccessKey) == 40 && ready.Bearer == "",
		"the ready file says how to call: %s", text)
	want.NoError(t, app.Healthcheck(t.Context(), ready.Endpoint))
	pool := makePool(t, ready.Endpoint, "")

	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(ready.Metrics)
	want.NoError(t, err)
	metrics, err := io.ReadAll(resp.Body)
	want.NoError(t, err)
	want.NoError(t, resp.Body.Close())
	want.Contains(t, string(metrics), `poolhouse_requests_total{code="",dialect="plain",operation="CreateUserPool",status="200"} 1`)
	want.Contains(t, string(metrics), "poolhouse_store_updates_total")

	var intro bytes.Buffer
	want.NoError(t, a.WriteIntroduction(&intro))
	want.Contains(t, intro.String(), ready.SecretAccessKey)

	want.NoError(t, a.stop())
	_, err = os.Stat(o.Config.ReadyFile)
	want.Error(t, err, os.ErrNotExist)
	want.Error(t, app.Healthcheck(t.Context(), ready.Endpoint), nil)

	// What was made is there after a restart, and the key is the same.
	again := start(t, o)
	want.Equal(t, again.Ready().AccessKeyID, ready.AccessKeyID)
	status, body := plain(t, again.Endpoint(), "DescribeUserPool", "", `{"UserPoolId":"`+pool+`"}`)
	want.Equal(t, status, http.StatusOK)
	want.Contains(t, body, pool)
}

func TestModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // modes say nothing there
	}
	o := options(t)
	o.Config.ReadyFile = filepath.Join(t.TempDir(), "ready.json")
	a := start(t, o)
	makePool(t, a.Endpoint(), "")
	paths, err := filepath.Glob(filepath.Join(o.Config.Data, "*"))
	want.NoError(t, err)
	want.True(t, len(paths) >= 4, "the folder has its files: %v", paths)
	for _, path := range append(paths, o.Config.ReadyFile) {
		info, err := os.Stat(path)
		want.NoError(t, err)
		want.True(t, info.Mode().Perm() == 0o600, "%s has mode 0600, not %s", path, info.Mode())
	}
	info, err := os.Stat(o.Config.Data)
	want.NoError(t, err)
	want.Equal(t, info.Mode().Perm(), os.FileMode(0o700))
}

func TestTwoInstallationsShareNoKey(t *testing.T) {
	t.Parallel()
	a, b := start(t, options(t)).Ready(), start(t, options(t)).Ready()
	want.True(t, a.AccessKeyID != b.AccessKeyID && a.SecretAccessKey != b.SecretAccessKey, "each folder has a key of its own")
}

func TestEphemeralLeavesNothing(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Ephemeral = true
	a := start(t, o)
	makePool(t, a.Endpoint(), "")
	folder := a.Ready().Data
	_, err := os.Stat(filepath.Join(folder, "poolhouse.db"))
	want.NoError(t, err)
	want.NoError(t, a.stop())
	for _, path := range []string{folder, o.Config.Data} {
		_, err = os.Stat(path)
		want.Error(t, err, os.ErrNotExist)
	}
}

func TestAllowRemoteVerifies(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Config.Listen, o.AllowRemote = "0.0.0.0:0", true
	a := start(t, o)
	ready := a.Ready()
	want.Contains(t, ready.Endpoint, "http://127.0.0.1:")
	want.True(t, ready.Bearer != "", "there is a token for the plain dialect")
	for bearer, wanted := range map[string]int{"": http.StatusBadRequest, "phk_wrong": http.StatusBadRequest, ready.Bearer: http.StatusOK} {
		status, body := plain(t, ready.Endpoint, "ListUserPools", bearer, `{"MaxResults":1}`)
		want.True(t, status == wanted, "%q is answered with %d, not %d: %s", bearer, wanted, status, body)
	}
	var intro bytes.Buffer
	want.NoError(t, a.WriteIntroduction(&intro))
	want.Contains(t, intro.String(), "Bearer "+ready.Bearer)
}

func TestUnsafeStartsAreRefused(t *testing.T) {
	t.Parallel()
	everywhere := func(o *app.Options) { o.Config.Listen = "0.0.0.0:0" }
	for _, row := range []struct {
		name string
		edit func(*app.Options)
		want string
	}{
		{"dev for everybody", everywhere, "--allow-remote"},
		{"serve without TLS", func(o *app.Options) { everywhere(o); o.Dev = false }, "--behind-proxy"},
		{"serve without a key source", func(o *app.Options) { everywhere(o); o.Dev, o.Config.BehindProxy = false, true }, "--key-file"},
		{"serve without access keys", func(o *app.Options) {
			everywhere(o)
			o.Dev, o.Config.BehindProxy, o.Config.Key = false, true, secret.New(strings.Repeat("0f", 32))
		}, "poolhouse keys create"},
		{"serve with a seed", func(o *app.Options) { o.Dev, o.Seed = false, new(uint64) }, "for dev alone"},
		{"serve with a fixed code", func(o *app.Options) { o.Dev, o.FixedCode = false, "123456" }, "for dev alone"},
		{"a fixed code that is none", func(o *app.Options) { o.FixedCode = "12345" }, "six digits"},
		{"ephemeral on PostgreSQL", func(o *app.Options) { o.Ephemeral, o.Config.Database = true, secret.New("postgres://x/y") }, "PostgreSQL"},
		{"a key that is none", func(o *app.Options) { o.Config.Key = secret.New("short") }, "32 bytes"},
		{"a missing key file", func(o *app.Options) { o.Config.KeyFile = filepath.Join(o.Config.Data, "none") }, "is missing"},
		{"a quota that is none", func(o *app.Options) { o.Config.Rate = map[string]int{"Users": 1} }, "no quota category"},
		{"a trigger that is none", func(o *app.Options) { o.Config.Triggers.Triggers = map[string]string{"*": "run this"} }, "trigger"},
		{"a setting that makes no sense", func(o *app.Options) { o.Config.Account = "1" }, "account"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			row.edit(&o)
			_, err := app.New(t.Context(), o)
			want.Error(t, err, nil)
			want.Contains(t, err.Error(), row.want)
		})
	}
}

func TestServeWithKeys(t *testing.T) {
	t.Parallel()
	o := options(t)
	admin, err := app.OpenAdmin(t.Context(), o.Config.Storage)
	want.NoError(t, err)
	key, err := admin.CreateKey(t.Context(), app.NewKey{Name: "ci", Bearer: true, Actions: []string{"*UserPool*"}})
	want.NoError(t, err)
	want.NoError(t, admin.Close())

	o.Dev = false
	a := start(t, o)
	want.Equal(t, a.Ready().AccessKeyID, "")
	pool := makePool(t, a.Endpoint(), key.Token)
	status, body := plain(t, a.Endpoint(), "AdminGetUser", key.Token, `{"UserPoolId":"`+pool+`","Username":"jane"}`)
	want.Equal(t, status, http.StatusBadRequest)
	want.Contains(t, body, "FORBIDDEN")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(a.Endpoint() + "/_poolhouse/inbox")
	want.NoError(t, err)
	want.NoError(t, resp.Body.Close())
	want.Equal(t, resp.StatusCode, http.StatusNotFound)
}

func TestOneServerForEachFile(t *testing.T) {
	t.Parallel()
	o := options(t)
	start(t, o)
	_, err := app.New(t.Context(), o)
	want.Error(t, err, sqlstore.ErrOwned)
}

func TestGracefulStop(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	hook := newHook(t, func() {
		close(entered)
		<-leave
	})
	o := options(t)
	o.Config.Triggers.Triggers = map[string]string{"*": hook}
	a := start(t, o)
	_, body := plain(t, a.Endpoint(), "CreateUserPool", "", `{"PoolName":"demo","LambdaConfig":{"PreSignUp":"arn:aws:lambda:us-east-1:000000000000:function:f"}}`)
	var out struct {
		Data struct{ UserPool struct{ Id string } }
	}
	want.NoError(t, json.Unmarshal([]byte(body), &out))
	answered := make(chan int, 1)
	go func() {
		status, _ := plain(t, a.Endpoint(), "AdminCreateUser", "", `{"UserPoolId":"`+out.Data.UserPool.Id+`","Username":"jane","MessageAction":"SUPPRESS"}`)
		answered <- status
	}()
	<-entered // the request is inside its function
	stopped := make(chan error, 1)
	go func() { stopped <- a.stop() }()
	for app.Healthcheck(t.Context(), a.Endpoint()) == nil {
		runtime.Gosched() // until the listener is gone
	}
	select {
	case err := <-stopped:
		t.Fatalf("the server stopped under a request: %v", err)
	default:
	}
	close(leave)
	want.Equal(t, <-answered, http.StatusOK)
	want.NoError(t, <-stopped)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Config.Database = secret.New(pgtest.Database(t))
	a := start(t, o)
	pool := makePool(t, a.Endpoint(), "")
	// Commands work on the database itself, beside the server.
	admin, err := app.OpenAdmin(t.Context(), o.Config.Storage)
	want.NoError(t, err)
	entries, err := admin.Journal(t.Context(), app.JournalQuery{Pool: pool})
	want.NoError(t, err)
	want.Equal(t, len(entries), 1)
	want.Equal(t, entries[0].Operation, "CreateUserPool")
	want.NoError(t, admin.Close())
}

func TestReadyFailureEndsTheServer(t *testing.T) {
	t.Parallel()
	a, err := app.New(t.Context(), options(t))
	want.NoError(t, err)
	want.Error(t, a.Run(t.Context(), func() error { return store.ErrBusy }), store.ErrBusy)
	want.NoError(t, a.Close())
}
