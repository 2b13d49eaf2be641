package tokens_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// prepared are two signing keys for all tests: making one takes long.
var prepared = sync.OnceValue(func() (keys [2][]byte) {
	for i := range keys {
		k, err := jose.Generate(jose.KeyID([32]byte{}))
		if err != nil {
			panic(err)
		}
		keys[i] = k.Marshal()
	}
	return keys
})

// world is a store with a pool, a client and a user.
type world struct {
	*testing.T
	store  store.Store
	clock  *clock.Fake
	tokens *tokens.Tokens
	pool   *pool.Pool
	client *pool.Client
	user   *user.Record
}

const poolID = "us-east-1_AbCdEf123"

func open(t *testing.T) *world {
	t.Helper()
	return openOn(t, sqlstore.Options{Path: filepath.Join(t.TempDir(), "poolhouse.db"), Ephemeral: true})
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, fn func(w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(open(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(openOn(t, sqlstore.Options{DSN: pgtest.Database(t)}))
	})
}

func openOn(t *testing.T, o sqlstore.Options) *world {
	t.Helper()
	kek, err := seal.NewKEK(bytes.Repeat([]byte{7}, 32))
	want.NoError(t, err)
	o.Twice, o.Ring, o.Random, o.Logger = true, seal.NewRing(kek), chance.System(), slog.New(slog.DiscardHandler)
	s, err := sqlstore.Open(t.Context(), o)
	want.NoError(t, err)
	t.Cleanup(func() { want.NoError(t, s.Close()) })
	w := &world{T: t, store: s, clock: clock.NewFake(noon)}
	w.tokens = w.node()
	w.fill(func(tx store.Tx, p *pool.Pool) error { return tx.Pools().Create(p) })
	return w
}

// fill makes the pool with its client and its user.
func (w *world) fill(create func(tx store.Tx, p *pool.Pool) error) {
	w.Helper()
	w.pool = &pool.Pool{ID: poolID, Region: "us-east-1", Account: "123456789012", Created: w.clock.Now(), Modified: w.clock.Now(), Settings: pool.Settings{Name: "p"}}
	w.client = &pool.Client{ID: "client", PoolID: poolID, Created: w.clock.Now(), Modified: w.clock.Now(),
		ClientSettings: pool.ClientSettings{Revocation: true, RefreshValidity: 30}}
	w.user = &user.Record{PoolID: poolID, Sub: chance.System().Sub(), Username: "Jane", Created: w.clock.Now(), Modified: w.clock.Now(), Status: user.Confirmed,
		Enabled: true, Attributes: map[string]string{"email": "a@x.io"}}
	w.update(func(tx store.Tx) error {
		return errors.Join(create(tx, w.pool), tx.Clients().Create(w.client), tx.Users().Create(w.pool, w.user))
	})
}

// node is one more server on the store.
func (w *world) node() *tokens.Tokens {
	var made atomic.Int64
	return &tokens.Tokens{Store: w.store, Chance: chance.System(), Clock: w.clock, Base: "https://id.example.com", Generate: func(id string) (*jose.Key, error) {
		return jose.Parse(id, prepared()[made.Add(1)%2])
	}}
}

func (w *world) update(fn func(tx store.Tx) error) {
	w.Helper()
	want.NoError(w, w.store.Update(w.Context(), store.Scope{}, fn))
}

func (w *world) issue() (*tokens.Set, *token.Family) {
	w.Helper()
	set, family, err := w.tokens.Issue(w.Context(), poolID, "client", "Jane")
	want.NoError(w, err)
	return set, family
}

func (w *world) keys() (keys []*token.Key) {
	w.Helper()
	want.NoError(w, w.store.View(w.Context(), func(v store.View) (err error) {
		keys, err = v.SigningKeys().List(poolID)
		return err
	}))
	return keys
}

func (w *world) get(path string) *httptest.ResponseRecorder {
	w.Helper()
	return w.ask(http.MethodGet, path)
}

func (w *world) ask(method, path string, header ...string) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, "https://id.example.com"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	w.tokens.Documents(slog.New(slog.NewTextHandler(w.Output(), nil))).ServeHTTP(answer, r)
	return answer
}

func TestIssue(t *testing.T) {
	t.Parallel()
	w := open(t)
	set, family := w.issue()
	want.Equal(t, set.ExpiresIn, int64(3600))
	want.Equal(t, family, &token.Family{PoolID: poolID, Sub: w.user.Sub, ID: family.ID, ClientID: "client", EventID: family.EventID, Origin: token.FromAPI,
		Scopes: []string{token.AdminScope}, AuthTime: noon, Created: noon, Expires: noon.AddDate(0, 0, 30)})
	want.NoError(t, w.store.View(t.Context(), func(v store.View) error {
		stored, err := v.Families().Get(poolID, w.user.Sub, family.ID)
		if err != nil {
			return err
		}
		journal, err := v.Journal().List(time.Time{}, "", poolID, w.user.Sub, 10)
		if err != nil {
			return err
		}
		want.Equal(t, stored, family)
		want.Equal(t, len(journal), 1)
		want.Equal(t, journal[0].Operation, "IssueTokens")
		return err
	}))
	a, err := w.tokens.Open(t.Context(), set.Access, noon)
	want.NoError(t, err)
	want.Equal(t, []string{a.PoolID, a.ClientID, a.Sub, a.Username, a.Family, a.EventID}, []string{poolID, "client", w.user.Sub, "Jane", family.ID, family.EventID})
	r, err := w.tokens.OpenRefresh(t.Context(), &pool.Pool{ID: poolID}, set.Refresh)
	want.NoError(t, err)
	want.Equal(t, r, tokens.Refresh{Sub: w.user.Sub, Family: family.ID, ClientID: "client"})

	// Another node knows the keys, and another sign-in is another family.
	other := w.node()
	if _, err := other.Open(t.Context(), set.Access, noon); err != nil {
		t.Errorf("another node: %v", err)
	}
	again, second := w.issue()
	want.True(t, second.ID != family.ID && second.EventID != family.EventID, "every sign-in is another family")
	want.True(t, !again.Access.Equal(set.Access) && !again.ID.Equal(set.ID) && !again.Refresh.Equal(set.Refresh), "every sign-in has other tokens")
	want.Equal(t, len(w.keys()), 3)
}

// TestIssueRefused goes through what a sign-in would refuse.
func TestIssueRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pool, client, user string
		change             func(r *user.Record)
		want               string
	}{
		"unknown pool":                {"us-east-1_Unknown00", "client", "Jane", nil, "ResourceNotFoundException: User pool us-east-1_Unknown00 does not exist."},
		"no pool id":                  {"\x00", "client", "Jane", nil, "ResourceNotFoundException: User pool \x00 does not exist."},
		"unknown client":              {poolID, "other", "Jane", nil, "ResourceNotFoundException: User pool client other does not exist."},
		"no client id":                {poolID, "\x00", "Jane", nil, "ResourceNotFoundException: User pool client \x00 does not exist."},
		"unknown user":                {poolID, "client", "Joe", nil, "UserNotFoundException: User does not exist."},
		"a user name that nobody has": {poolID, "client", "\x00", nil, "UserNotFoundException: User does not exist."},
		"disabled":                    {poolID, "client", "Jane", func(r *user.Record) { r.Enabled = false }, "NotAuthorizedException: User is disabled."},
		"unconfirmed":                 {poolID, "client", "Jane", func(r *user.Record) { r.Status = user.Unconfirmed }, "UserNotConfirmedException: User is not confirmed."},
		"password to be reset":        {poolID, "client", "Jane", func(r *user.Record) { r.Status = user.ResetRequired }, "PasswordResetRequiredException: Password reset required for the user"},
		"password to be chosen":       {poolID, "client", "Jane", func(r *user.Record) { r.Status = user.ForceChangePassword }, "InvalidParameterException: The user has to choose a new password before a sign-in gives tokens: set a permanent one by AdminSetUserPassword."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			if c.change != nil {
				w.update(func(tx store.Tx) error {
					after := w.user.Clone()
					c.change(after)
					return tx.Users().Save(w.pool, w.user, after)
				})
			}
			_, _, err := w.tokens.Issue(t.Context(), c.pool, c.client, c.user)
			f, ok := errors.AsType[*fault.Error](err)
			want.True(t, ok, "%v is a fault", err)
			want.Equal(t, string(f.Code)+": "+f.Message, c.want)
			want.NoError(t, w.store.View(t.Context(), func(v store.View) error {
				families, err := v.Families().List(poolID, w.user.Sub)
				want.Equal(t, len(families), 0)
				return err
			}))
		})
	}
}

func TestIssuer(t *testing.T) {
	t.Parallel()
	updated, original := "UPDATED", "ORIGINAL"
	for _, c := range []struct {
		base, region string
		kind         *string
		want         string
	}{
		{"https://id.example.com", "us-east-1", nil, "https://id.example.com/p"},
		{"https://id.example.com", "us-east-1", &original, "https://id.example.com/p"},
		{"https://id.example.com", "us-east-1", &updated, "https://id.example.com/issuer/p"},
		{tokens.AWS, "us-east-1", nil, "https://cognito-idp.us-east-1.amazonaws.com/p"},
		{tokens.AWS, "us-east-1", &original, "https://cognito-idp.us-east-1.amazonaws.com/p"},
		{tokens.AWS, "eu-west-1", &updated, "https://issuer-cognito-idp.eu-west-1.amazonaws.com/p"},
		{tokens.AWS, "cn-north-1", nil, "https://cognito-idp.cn-north-1.amazonaws.com.cn/p"},
	} {
		p := &pool.Pool{ID: "p", Region: c.region, Settings: pool.Settings{Issuer: c.kind}}
		want.Equal(t, (&tokens.Tokens{Base: c.base}).Issuer(p), c.want)
	}
}

// TestBaseMoves: the address of the server is no part of what makes a token its own.
func TestBaseMoves(t *testing.T) {
	t.Parallel()
	w := open(t)
	set, _ := w.issue()
	w.tokens.Base = "http://127.0.0.1:4711"
	if _, err := w.tokens.Open(t.Context(), set.Access, noon); err != nil {
		t.Errorf("a token that was issued under another address: %v", err)
	}
}

// TestRefreshAltered refuses every prefix of a refresh token, everything behind or in front of it, and every flipped bit.
func TestRefreshAltered(t *testing.T) {
	t.Parallel()
	w := open(t)
	set, _ := w.issue()
	text := set.Refresh.Reveal()
	parts := strings.Split(text, ".")
	want.Equal(t, parts[0], "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ")
	want.Equal(t, []int{len(parts), len(parts[1]), len(parts[2]), len(parts[4])}, []int{5, 342, 16, 22})
	want.True(t, len(text) > 1600 && len(text) < 2048, "a refresh token has about 1,800 characters, not %d", len(text))
	for _, known := range []string{w.user.Sub, "client"} {
		want.True(t, !strings.Contains(text, known), "nothing can be read in it")
	}
	refused := func(altered string) {
		t.Helper()
		if _, err := w.tokens.OpenRefresh(t.Context(), &pool.Pool{ID: poolID}, secret.New(altered)); !errors.Is(err, tokens.ErrRefresh) {
			t.Errorf("%.40s... (%d characters): %v", altered, len(altered), err)
		}
	}
	for i := range text {
		refused(text[:i])
		b := []byte(text)
		b[i] ^= 1 << (i % 7)
		refused(string(b))
	}
	for _, more := range []string{"A", "=", ".", "\n", " ", "\x00"} {
		refused(text + more)
		refused(more + text)
		refused(text[:100] + more + text[100:])
	}
	refused(set.Access.Reveal())
	refused(set.ID.Reveal())
	refused(strings.Repeat(".", 1<<20))
	refused(strings.Join([]string{parts[0], parts[1], parts[2], parts[4], parts[3]}, "."))

	// It is a token of its pool alone.
	other := *w.pool
	other.ID, other.Version = "us-east-1_Other0000", 0
	w.update(func(tx store.Tx) error { return tx.Pools().Create(&other) })
	if _, err := w.tokens.OpenRefresh(t.Context(), &other, set.Refresh); !errors.Is(err, tokens.ErrRefresh) {
		t.Errorf("another pool: %v", err)
	}
	if _, err := w.tokens.OpenRefresh(t.Context(), &pool.Pool{ID: "us-east-1_Unknown00"}, set.Refresh); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no pool: %v", err)
	}
}

// TestManyFirstUses lets many requests on two nodes want the first keys of a pool at once: each finds the same ones, and those who wait
// make none of their own.
func TestManyFirstUses(t *testing.T) {
	t.Parallel()
	w := open(t)
	nodes := []*tokens.Tokens{w.node(), w.node()}
	var made atomic.Int64
	for _, n := range nodes {
		generate := n.Generate
		n.Generate = func(id string) (*jose.Key, error) {
			made.Add(1)
			time.Sleep(10 * time.Millisecond) // time for the others to come
			return generate(id)
		}
	}
	var group sync.WaitGroup
	sets := make([]*tokens.Set, 16)
	for i := range sets {
		group.Go(func() {
			var err error
			if sets[i], _, err = nodes[i%2].Issue(t.Context(), poolID, "client", "Jane"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want.Equal(t, len(w.keys()), 3)
	want.True(t, made.Load() <= 4, "each node makes two signing keys at most, and %d were made", made.Load())
	for _, set := range sets {
		_, err1 := w.tokens.Open(t.Context(), set.Access, noon)
		_, err2 := w.tokens.OpenRefresh(t.Context(), &pool.Pool{ID: poolID}, set.Refresh)
		want.NoError(t, errors.Join(err1, err2))
	}
}

// TestPoolMadeAgain: a pool that was deleted and made again under its old id has other keys, and old tokens are no more.
func TestPoolMadeAgain(t *testing.T) {
	t.Parallel()
	w := open(t)
	old, _ := w.issue()
	before := w.keys()
	w.update(func(tx store.Tx) error { return tx.Pools().Delete(poolID) })
	if _, err := w.tokens.OpenRefresh(t.Context(), &pool.Pool{ID: poolID}, old.Refresh); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted pool: %v", err)
	}
	w.clock.Advance(time.Second)
	w.fill(func(tx store.Tx, p *pool.Pool) error { return tx.Pools().Recreate(p) })
	w.issue()
	for _, k := range w.keys() {
		for _, b := range before {
			want.True(t, k.ID != b.ID, "keys are new")
		}
	}
	if _, err := w.tokens.OpenRefresh(t.Context(), &pool.Pool{ID: poolID}, old.Refresh); !errors.Is(err, tokens.ErrRefresh) {
		t.Errorf("a refresh token of the former pool: %v", err)
	}
	set, _ := w.issue()
	if _, err := w.node().Open(t.Context(), set.Access, noon); err != nil {
		t.Errorf("tokens are signed with the new keys: %v", err)
	}
}

func TestKeySet(t *testing.T) {
	t.Parallel()
	w := open(t)
	path := "/" + poolID + "/.well-known/jwks.json"
	first := w.get(path) // makes the keys
	want.Equal(t, first.Code, 200)
	want.Equal(t, first.Header(), http.Header{"Content-Type": {"application/json"}, "Access-Control-Allow-Origin": {"*"}, "X-Content-Type-Options": {"nosniff"},
		"Cache-Control": {"public, max-age=300"}, "Content-Length": {fmt.Sprint(first.Body.Len())}})
	var set struct {
		Keys []struct{ Kid, Alg, Kty, Use string }
	}
	want.NoError(t, json.Unmarshal(first.Body.Bytes(), &set))
	want.Equal(t, len(set.Keys), 2)
	want.True(t, set.Keys[0].Kid != set.Keys[1].Kid, "two keys have two ids")
	w.clock.Advance(25 * time.Hour)
	later := w.get(path)
	want.Equal(t, later.Header().Get("Cache-Control"), "public, max-age=86400")
	want.Equal(t, later.Body.String(), first.Body.String())
	want.Equal(t, w.get("/issuer"+path).Body.String(), first.Body.String())

	// The two tokens are signed by the two keys.
	tokenSet, _ := w.issue()
	named := map[string]bool{}
	for _, text := range []secret.Text{tokenSet.Access, tokenSet.ID} {
		parts, err := jose.Split(text.Reveal())
		want.NoError(t, err)
		id, err := parts.KeyID()
		want.NoError(t, err)
		named[id] = true
	}
	want.Equal(t, named, map[string]bool{set.Keys[0].Kid: true, set.Keys[1].Kid: true})
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	w := open(t)
	const iss = "https://id.example.com/" + poolID
	answer := w.get("/" + poolID + "/.well-known/openid-configuration")
	want.Equal(t, answer.Code, 200)
	want.Equal(t, answer.Header().Get("Cache-Control"), "public, max-age=300")
	want.Equal(t, answer.Body.String(), `{"authorization_endpoint":"`+iss+`/authorize","id_token_signing_alg_values_supported":["RS256"],"issuer":"`+iss+`",`+
		`"jwks_uri":"`+iss+`/.well-known/jwks.json","response_types_supported":["code","token"],"scopes_supported":["openid","email","phone","profile"],`+
		`"subject_types_supported":["public"],"token_endpoint":"`+iss+`/token","token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],`+
		`"userinfo_endpoint":"`+iss+`/userInfo"}`)
	kind := "UPDATED"
	w.pool.Settings.Issuer = &kind
	w.update(func(tx store.Tx) error { p := *w.pool; return tx.Pools().Save(&p) })
	for _, path := range []string{"/", "/issuer/"} {
		var got struct {
			Issuer string
			URI    string `json:"jwks_uri"`
		}
		want.NoError(t, json.Unmarshal(w.get(path+poolID+"/.well-known/openid-configuration").Body.Bytes(), &got))
		want.Equal(t, []string{got.Issuer, got.URI}, []string{"https://id.example.com/issuer/" + poolID, "https://id.example.com/issuer/" + poolID + "/.well-known/jwks.json"})
	}
	set, _ := w.issue()
	a, err := w.tokens.Open(t.Context(), set.Access, noon)
	want.NoError(t, err)
	want.Equal(t, a.PoolID, poolID)
}

func TestNoDocument(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, id := range []string{"us-east-1_Unknown00", "x", "", "a/b", poolID + "/x", "us-east-1_%00", strings.Repeat("a", 100) + "_b", "issuer"} {
		for _, document := range []string{"jwks.json", "openid-configuration"} {
			answer := w.get("/" + id + "/.well-known/" + document)
			want.Equal(t, answer.Code, 404)
			want.Equal(t, answer.Header().Get("Cache-Control"), "no-store")
			want.Equal(t, answer.Header().Get("Access-Control-Allow-Origin"), "*")
			var e struct {
				Type    string `json:"__type"`
				Message string
			}
			want.NoError(t, json.Unmarshal(answer.Body.Bytes(), &e))
			want.Equal(t, e.Type, "ResourceNotFoundException")
			want.True(t, strings.HasPrefix(e.Message, "User pool ") && strings.HasSuffix(e.Message, " does not exist."), "text %q", e.Message)
		}
	}
	want.True(t, !tokens.DocumentPath("/"+poolID+"/.well-known/other") && !tokens.DocumentPath("/"), "other paths are others'")
}

func TestDocumentMethods(t *testing.T) {
	t.Parallel()
	w := open(t)
	path := "/" + poolID + "/.well-known/jwks.json"
	head := w.ask(http.MethodHead, path)
	want.Equal(t, []any{head.Code, head.Body.Len(), head.Header().Get("Content-Length") != ""}, []any{200, 0, true})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		refused := w.ask(method, path)
		want.Equal(t, []any{refused.Code, refused.Header().Get("Allow")}, []any{405, "GET, HEAD, OPTIONS"})
	}
	question := w.ask(http.MethodOptions, path, "Origin", "https://app.example", "Access-Control-Request-Headers", "x-a")
	want.Equal(t, []any{question.Code, question.Header().Get("Access-Control-Allow-Origin"), question.Header().Get("Access-Control-Allow-Headers"),
		question.Header().Get("Access-Control-Allow-Methods")}, []any{200, "*", "x-a", "GET, HEAD"})
}

// broken is a store that fails.
type broken struct{ store.Store }

func (broken) View(context.Context, func(store.View) error) error { return store.ErrBusy }

// TestStoreFails: what the database could not answer is no answer about a token.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	w := open(t)
	set, _ := w.issue()
	failing := w.node()
	failing.Store = broken{w.store}
	_, err := failing.Open(t.Context(), set.Access, noon)
	want.Error(t, err, store.ErrBusy)
	w.tokens = failing
	want.Equal(t, w.get("/"+poolID+"/.well-known/jwks.json").Code, 500)
	failing.Store = w.store
	failing.Generate = func(string) (*jose.Key, error) { return nil, errors.New("no entropy") }
	w.update(func(tx store.Tx) error { return tx.Pools().Delete(poolID) })
	w.clock.Advance(time.Second)
	w.fill(func(tx store.Tx, p *pool.Pool) error { return tx.Pools().Recreate(p) })
	_, _, err = failing.Issue(t.Context(), poolID, "client", "Jane")
	want.True(t, err != nil && strings.Contains(err.Error(), "no entropy"), "issuing fails: %v", err)
	want.Equal(t, len(w.keys()), 0)
}
