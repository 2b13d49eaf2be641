package app_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/app"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// admins calls test with both forms of an Admin: on the database itself, and through the socket of a server. makePool makes a pool in
// the database.
func admins(t *testing.T, test func(t *testing.T, a app.Admin, makePool func() string)) {
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		o := options(t)
		open := func() app.Admin {
			a, err := app.OpenAdmin(t.Context(), o.Config.Storage)
			want.NoError(t, err)
			return a
		}
		test(t, &reopened{t: t, open: open}, func() string {
			server := start(t, o)
			pool := makePool(t, server.Endpoint(), "")
			want.NoError(t, server.stop())
			return pool
		})
	})
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		o := options(t)
		server := start(t, o)
		a, err := app.OpenAdmin(t.Context(), o.Config.Storage)
		want.NoError(t, err)
		test(t, a, func() string { return makePool(t, server.Endpoint(), "") })
		seen, err := a.Inspect(t.Context())
		want.NoError(t, err)
		want.Equal(t, seen.Server, os.Getpid())
		want.NoError(t, a.Close())
	})
}

// reopened is an Admin that opens the database for each call, so that a server can have it between two.
type reopened struct {
	app.Admin
	t    *testing.T
	open func() app.Admin
}

func once[T any](r *reopened, fn func(app.Admin) (T, error)) (T, error) {
	a := r.open()
	defer func() { want.NoError(r.t, a.Close()) }()
	return fn(a)
}

func (r *reopened) CreateKey(ctx context.Context, k app.NewKey) (app.Key, error) {
	return once(r, func(a app.Admin) (app.Key, error) { return a.CreateKey(ctx, k) })
}

func (r *reopened) Keys(ctx context.Context) ([]app.Key, error) {
	return once(r, func(a app.Admin) ([]app.Key, error) { return a.Keys(ctx) })
}

func (r *reopened) DeleteKey(ctx context.Context, id string) error {
	_, err := once(r, func(a app.Admin) (struct{}, error) { return struct{}{}, a.DeleteKey(ctx, id) })
	return err
}

func (r *reopened) SigningKeys(ctx context.Context, pool string) ([]app.SigningKey, error) {
	return once(r, func(a app.Admin) ([]app.SigningKey, error) { return a.SigningKeys(ctx, pool) })
}

func (r *reopened) RotateKeys(ctx context.Context, rotation app.Rotation) ([]app.SigningKey, error) {
	return once(r, func(a app.Admin) ([]app.SigningKey, error) { return a.RotateKeys(ctx, rotation) })
}

func (r *reopened) Locks(ctx context.Context, q app.LockQuery) (app.Locks, error) {
	return once(r, func(a app.Admin) (app.Locks, error) { return a.Locks(ctx, q) })
}

func (r *reopened) Unlock(ctx context.Context, u app.UserName) error {
	_, err := once(r, func(a app.Admin) (struct{}, error) { return struct{}{}, a.Unlock(ctx, u) })
	return err
}

func (r *reopened) Journal(ctx context.Context, q app.JournalQuery) ([]app.JournalEntry, error) {
	return once(r, func(a app.Admin) ([]app.JournalEntry, error) { return a.Journal(ctx, q) })
}

func (r *reopened) Now(ctx context.Context) (time.Time, error) {
	return once(r, func(a app.Admin) (time.Time, error) { return a.Now(ctx) })
}

func (r *reopened) Inspect(ctx context.Context) (app.Inspection, error) {
	return once(r, func(a app.Admin) (app.Inspection, error) { return a.Inspect(ctx) })
}

func TestKeys(t *testing.T) {
	t.Parallel()
	admins(t, func(t *testing.T, a app.Admin, _ func() string) {
		ctx := t.Context()
		made, err := a.CreateKey(ctx, app.NewKey{Name: "ci", Actions: []string{"AdminGet*"}, Pools: []string{"us-east-1_aBcDeFgHi", "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_b"}, Lifetime: time.Hour})
		want.NoError(t, err)
		want.True(t, strings.HasPrefix(made.ID, "AKIA") && len(made.Secret) == 40 && made.Token == "", "a key that signs: %+v", made)
		want.Equal(t, made.Expires.Sub(made.Created), time.Hour)
		bearer, err := a.CreateKey(ctx, app.NewKey{Bearer: true})
		want.NoError(t, err)
		want.True(t, strings.HasPrefix(bearer.ID, "bearer-") && len(bearer.Token) > 40 && bearer.Secret == "", "a bearer key: %+v", bearer)

		list, err := a.Keys(ctx)
		want.NoError(t, err)
		made.Secret, bearer.Token = "", ""
		want.Equal(t, list, []app.Key{made, bearer}, cmpopts.SortSlices(func(x, y app.Key) bool { return x.ID < y.ID }))

		want.NoError(t, a.DeleteKey(ctx, made.ID))
		want.Error(t, a.DeleteKey(ctx, made.ID), store.ErrNotFound)
		list, err = a.Keys(ctx)
		want.NoError(t, err)
		want.Equal(t, len(list), 1)

		entries, err := a.Journal(ctx, app.JournalQuery{})
		want.NoError(t, err)
		var told []string
		for _, e := range entries {
			told = append(told, e.Caller+" "+e.Operation+" "+strings.Join(e.Names, ","))
		}
		want.Equal(t, told, []string{"operator CreateAccessKey " + made.ID, "operator CreateAccessKey " + bearer.ID, "operator DeleteAccessKey " + made.ID},
			cmpopts.SortSlices(func(x, y string) bool { return x < y }))

		for _, id := range []string{"demo", "us-east-1_*", "*"} {
			_, err = a.CreateKey(ctx, app.NewKey{Pools: []string{id}})
			want.Error(t, err, nil)
			want.Contains(t, err.Error(), "is not a pool's id")
		}
		_, err = a.CreateKey(ctx, app.NewKey{Actions: []string{"AdminGetUsr"}})
		want.Error(t, err, nil)
		want.Contains(t, err.Error(), `no operation is called "AdminGetUsr"`)
	})
}

func TestSigningKeys(t *testing.T) {
	t.Parallel()
	admins(t, func(t *testing.T, a app.Admin, makePool func() string) {
		pool := makePool()
		shape := func(keys []app.SigningKey, err error) string {
			t.Helper()
			want.NoError(t, err)
			var shapes []string
			for _, k := range keys {
				shapes = append(shapes, k.Use+" "+k.Part)
			}
			slices.Sort(shapes)
			return strings.Join(shapes, ", ")
		}
		want.Equal(t, shape(a.SigningKeys(t.Context(), pool)), "access current, id current")
		want.Equal(t, shape(a.RotateKeys(t.Context(), app.Rotation{Pool: pool})), "access current, access next, id current, id next")
		want.Equal(t, shape(a.RotateKeys(t.Context(), app.Rotation{Pool: pool, Now: true})), "access current, access former, id current, id former")
		before, err := a.SigningKeys(t.Context(), pool)
		want.NoError(t, err)
		want.Equal(t, shape(a.RotateKeys(t.Context(), app.Rotation{Pool: pool, Now: true, Revoke: true})), "access current, id current")
		after, err := a.SigningKeys(t.Context(), pool)
		want.NoError(t, err)
		for _, k := range after {
			want.True(t, !slices.ContainsFunc(before, func(b app.SigningKey) bool { return b.ID == k.ID }), "%s is new", k.ID)
		}
		entries, err := a.Journal(t.Context(), app.JournalQuery{Pool: pool})
		want.NoError(t, err)
		told := 0
		for _, e := range entries {
			if e.Operation == "RotateKeys" && e.Caller == "operator" {
				told++
			}
		}
		want.Equal(t, told, 3)
		_, err = a.SigningKeys(t.Context(), "us-east-1_none")
		want.Error(t, err, store.ErrNotFound)
		_, err = a.RotateKeys(t.Context(), app.Rotation{Pool: "us-east-1_none"})
		want.Error(t, err, store.ErrNotFound)
	})
}

func TestJournal(t *testing.T) {
	t.Parallel()
	admins(t, func(t *testing.T, a app.Admin, makePool func() string) {
		ctx := t.Context()
		before, err := a.Now(ctx)
		want.NoError(t, err)
		one, two := makePool(), makePool()
		all, err := a.Journal(ctx, app.JournalQuery{After: before.Add(-time.Millisecond)})
		want.NoError(t, err)
		want.Equal(t, len(all), 2)
		want.Equal(t, []string{all[0].Pool, all[1].Pool}, []string{one, two})
		only, err := a.Journal(ctx, app.JournalQuery{Pool: two})
		want.NoError(t, err)
		want.Equal(t, only, all[1:])
		byID, err := a.Journal(ctx, app.JournalQuery{ID: all[0].RequestID})
		want.NoError(t, err)
		want.Equal(t, byID, all[:1])
		rest, err := a.Journal(ctx, app.JournalQuery{After: all[0].Time, AfterID: all[0].RequestID})
		want.NoError(t, err)
		want.Equal(t, rest, all[1:])
		_, err = a.Journal(ctx, app.JournalQuery{ID: "nothing"})
		want.Error(t, err, nil)
		_, err = a.Journal(ctx, app.JournalQuery{Pool: "us-east-1_none", User: "jane"})
		want.Error(t, err, nil)
		want.Contains(t, err.Error(), "no pool us-east-1_none")
	})
}

func TestInspect(t *testing.T) {
	t.Parallel()
	admins(t, func(t *testing.T, a app.Admin, makePool func() string) {
		pool := makePool()
		key, err := a.CreateKey(t.Context(), app.NewKey{})
		want.NoError(t, err)
		seen, err := a.Inspect(t.Context())
		want.NoError(t, err)
		want.Equal(t, []int{seen.Pools, seen.Keys}, []int{1, 1})
		risks := strings.Join(seen.Risks, "\n")
		want.Contains(t, risks, "Key "+key.ID+" may do everything for ever")
		want.Contains(t, risks, "Pool "+pool+" can be deleted by one call")
	})
}

// A key that an operator deletes beside a running server is refused at once, although the server keeps keys in memory.
func TestDeletedKeyIsRefused(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Dev = false
	server := start(t, o)
	a, err := app.OpenAdmin(t.Context(), o.Config.Storage)
	want.NoError(t, err)
	key, err := a.CreateKey(t.Context(), app.NewKey{Bearer: true})
	want.NoError(t, err)
	status, _ := plain(t, server.Endpoint(), "ListUserPools", key.Token, `{"MaxResults":1}`)
	want.Equal(t, status, http.StatusOK)
	want.NoError(t, a.DeleteKey(t.Context(), key.ID))
	status, body := plain(t, server.Endpoint(), "ListUserPools", key.Token, `{"MaxResults":1}`)
	want.Equal(t, status, http.StatusBadRequest)
	want.Contains(t, body, "UNAUTHENTICATED")
	want.NoError(t, a.Close())
}

// The socket works below folders whose path is longer than a socket's may be, and one that was left behind does not disturb.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Config.Data = filepath.Join(t.TempDir(), strings.Repeat("a-long-name-", 10), "data")
	want.NoError(t, os.MkdirAll(o.Config.Data, 0o700))
	want.NoError(t, os.WriteFile(filepath.Join(o.Config.Data, "control.sock"), nil, 0o600))
	server := start(t, o)
	a, err := app.OpenAdmin(t.Context(), o.Config.Storage)
	want.NoError(t, err)
	_, err = a.Now(t.Context())
	want.NoError(t, err)
	want.NoError(t, a.Close())
	want.NoError(t, server.stop())
	_, err = os.Stat(filepath.Join(o.Config.Data, "control.sock"))
	want.Error(t, err, os.ErrNotExist)
}

// A database that is in use by something without a socket cannot be worked on.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	o := options(t)
	start(t, o)
	want.NoError(t, os.Remove(filepath.Join(o.Config.Data, "control.sock")))
	_, err := app.OpenAdmin(t.Context(), o.Config.Storage)
	want.Error(t, err, sqlstore.ErrOwned)
	want.Contains(t, err.Error(), "does not answer")
}

// When a commit cannot be made durable, nothing may be acknowledged any more, and the process ends.
func TestFailedDiskEndsTheServer(t *testing.T) {
	t.Parallel()
	var fails atomic.Bool
	o := app.WithFault(options(t), func(_ context.Context, stage sqlstore.Stage) error {
		if fails.Load() && stage == sqlstore.StageCommit {
			return errors.Join(sqlstore.ErrFailed, errors.New("the disk is gone"))
		}
		return nil
	})
	a, err := app.New(t.Context(), o)
	want.NoError(t, err)
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- a.Run(t.Context(), func() error { close(started); return nil })
	}()
	<-started
	pool := makePool(t, a.Endpoint(), "")
	fails.Store(true)
	begin := time.Now()
	go func() {
		// The connection may be cut before the answer; that the server ends is what counts.
		req, err := http.NewRequest(http.MethodPost, a.Endpoint()+"/AWSCognitoIdentityProviderService.DeleteUserPool", strings.NewReader(`{"UserPoolId":"`+pool+`"}`))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		if resp, err := (&http.Client{}).Do(req); err == nil {
			if resp.StatusCode == http.StatusOK {
				t.Error("a change was acknowledged that is not durable")
			}
			_ = resp.Body.Close()
		}
	}()
	err = <-ended
	want.Error(t, err, sqlstore.ErrFailed)
	want.True(t, time.Since(begin) < 5*time.Second, "it ends soon: %s", time.Since(begin))
	if err := a.Close(); err != nil {
		t.Logf("closing a failed store: %v", err)
	}
}
