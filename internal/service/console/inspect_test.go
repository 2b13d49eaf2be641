package console_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// inspected is what the console says of a token.
type inspected struct {
	Kind, Pool, Expires string
	Header, Claims      map[string]any
	Good                bool
	Faults              []string
	SignIn              *struct{ ID, Client, Created, Expires, Revoked string } `json:"sign_in"`
}

func (w *world) inspect(text string) (found inspected) {
	w.Helper()
	body, err := json.Marshal(map[string]string{"token": text})
	want.NoError(w, err)
	answer := w.do(http.MethodPost, "/_poolhouse/token", string(body), "Content-Type", "application/json")
	want.Equal(w, answer.Code, 200)
	d := json.NewDecoder(answer.Body)
	d.DisallowUnknownFields()
	want.NoError(w, d.Decode(&found))
	return found
}

func TestInspectTokens(t *testing.T) {
	t.Parallel()
	w := withJane(t)
	set, family, err := w.tokens.Issue(t.Context(), shop, "web", "jane")
	want.NoError(t, err)
	texts := map[string]string{"access": set.Access.Reveal(), "id": set.ID.Reveal(), "refresh": set.Refresh.Reveal()}
	for kind, text := range texts {
		got := w.inspect(" " + text + "\n")
		want.Equal(t, []any{got.Kind, got.Pool, got.Good, len(got.Faults), got.SignIn.ID, got.SignIn.Client}, []any{kind, shop, true, 0, family.ID, "web"})
		if kind != "refresh" {
			want.Equal(t, []any{got.Header["alg"], got.Claims["sub"], got.Expires}, []any{"RS256", family.Sub, "2026-11-02T13:00:00.000Z"})
		}
	}
	page := w.do(http.MethodGet, "/_poolhouse/token", "", "Accept", "text/html")
	want.Equal(t, page.Code, 200)
	want.Contains(t, page.Body.String(), `<form class="filter" method="post" action="/_poolhouse/token">`)
	page = w.do(http.MethodPost, "/_poolhouse/token", url.Values{"token": {texts["id"]}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	want.Contains(t, page.Body.String(), "This token is good.")
	want.Contains(t, page.Body.String(), "&#34;token_use&#34;: &#34;id&#34;")

	faults := func(text string) string { t.Helper(); return strings.Join(w.inspect(text).Faults, " ") }
	parts := strings.Split(texts["access"], ".")
	for text, wanted := range map[string]string{
		"hello":                       "It is no token: ID and access tokens have three parts with dots between them, refresh tokens five.",
		"a.b.c":                       "Part 1 is not a JSON object in base64url.",
		"e30.e30.x":                   "The header is not one that this server writes.",
		"e30.WzFd.x":                  "Part 2 is not a JSON object in base64url.",
		parts[0] + ".e30." + parts[2]: "The signature does not verify: the token was changed.",
		"a.b.c.d.e":                   "It is no refresh token of any pool of this server.",
	} {
		want.Equal(t, faults(text), wanted)
	}

	// What changes later is seen.
	const revoked = "The sign-in that it comes from was revoked at 2026-11-02T12:00:00Z."
	w.update(func(tx store.Tx) error {
		p, err := tx.Pools().Get(shop)
		if err != nil {
			return err
		}
		u, err := tx.Users().BySub(shop, family.Sub)
		if err != nil {
			return err
		}
		after := u.Clone()
		after.Enabled = false
		return errors.Join(tx.Users().Save(p, u, after), tx.Families().Revoke(shop, family.Sub, family.ID, noon))
	})
	for _, text := range texts {
		want.Equal(t, faults(text), "Its user is disabled. "+revoked)
	}
	w.update(func(tx store.Tx) error { return tx.Clients().Delete(shop, "web") })
	w.clock.SetOffset(40 * 24 * time.Hour)
	for kind, text := range texts {
		expired := "It has expired. Its app client does not exist. Its user is disabled. " + revoked
		if kind == "refresh" {
			expired = "Its app client does not exist. Its user is disabled. " + revoked + " It has expired."
		}
		want.Equal(t, faults(text), expired)
	}
	_, err = w.tokens.Rotate(t.Context(), tokens.Rotation{PoolID: shop, Revoke: true})
	want.NoError(t, err)
	want.Contains(t, faults(texts["id"]), "No key of this server has the key id")

	for _, body := range []string{"", "{}", `{"token":" "}`, `{"token":"a","pool":"b"}`, `{"token":"` + strings.Repeat("a", 300<<10) + `"}`} {
		want.Equal(t, w.do(http.MethodPost, "/_poolhouse/token", body).Code, 400)
	}
	want.Equal(t, w.log.String(), "")
}

// TestInspectOdd: a token without a family in it, one that was replaced, one of a program, and one of another address.
func TestInspectOdd(t *testing.T) {
	t.Parallel()
	w := withJane(t)
	w.update(func(tx store.Tx) error {
		return tx.Clients().Create(&pool.Client{ID: "plain", PoolID: shop, Created: noon, Modified: noon, ClientSettings: pool.ClientSettings{RefreshValidity: 30}})
	})
	set, family, err := w.tokens.Issue(t.Context(), shop, "plain", "jane")
	want.NoError(t, err)
	got := w.inspect(set.Access.Reveal())
	want.Equal(t, []any{got.Claims["origin_jti"], got.SignIn.ID, got.Good}, []any{nil, family.ID, true})
	w.update(func(tx store.Tx) error { return tx.Families().Rotate(family, noon) })
	want.Equal(t, w.inspect(set.Refresh.Reveal()).Faults, []string{"It was replaced by a later one, at 2026-11-02T12:00:00Z."})
	w.tokens.Base = "https://id.example.com"
	want.Equal(t, w.inspect(set.ID.Reveal()).Faults, []string{"Its issuer is http://127.0.0.1:9229/" + shop + ", and that of the pool is https://id.example.com/" + shop + "."})
}

func TestSoftwareTokenShown(t *testing.T) {
	t.Parallel()
	w := withJane(t)
	const sub = "11111111-2222-70aa-3333-444444444444"
	key, pending := []byte("01234567890123456789012345678901"), []byte("abcdefghijabcdefghijabcdefghijab")
	show := func() (app *struct{ Name, Code, From, Pending string }) {
		t.Helper()
		var out struct {
			App *struct{ Name, Code, From, Pending string } `json:"software_token"`
		}
		want.NoError(t, json.Unmarshal(w.do(http.MethodGet, "/_poolhouse/pools/"+shop+"/users/jane?format=json", "").Body.Bytes(), &out))
		return out.App
	}
	want.True(t, show() == nil, "jane has no app")
	token := credential.SoftwareToken{PoolID: shop, Sub: sub, Pending: pending}
	put := func() { w.update(func(tx store.Tx) error { return tx.SoftwareTokens().Put(&token) }) }
	use := func(code string, verdict func(secret.Text) (credential.SoftwareToken, credential.Verdict)) {
		t.Helper()
		next, got := verdict(secret.New(code))
		want.Equal(t, got, credential.Accepted)
		token = next
		put()
	}
	put()
	use(show().Pending, func(code secret.Text) (credential.SoftwareToken, credential.Verdict) {
		return token.Confirm(code, "phone", noon)
	})
	token.Key, token.Pending = key, pending
	put()
	want.Equal(t, show().Code, totp.Code(key, totp.StepAt(noon)+1)) // the present one was used
	want.Contains(t, w.do(http.MethodGet, "/_poolhouse/pools/"+shop+"/users/jane", "", "Accept", "text/html").Body.String(), "<code>"+show().Code+"</code>")
	use(show().Code, func(code secret.Text) (credential.SoftwareToken, credential.Verdict) { return token.Use(code, noon) })
	waits := show()
	want.Equal(t, []string{waits.Name, waits.Code, waits.From}, []string{"phone", "", "2026-11-02T12:00:30.000Z"})
	want.Contains(t, w.do(http.MethodGet, "/_poolhouse/pools/"+shop+"/users/jane", "", "Accept", "text/html").Body.String(), "the next one is good at 2026-11-02T12:00:30.000Z")
	w.clock.SetOffset(30 * time.Second)
	use(show().Code, func(code secret.Text) (credential.SoftwareToken, credential.Verdict) {
		return token.Use(code, noon.Add(30*time.Second))
	})
}

func TestFixCodes(t *testing.T) {
	t.Parallel()
	w := open(t)
	shown := func() string { t.Helper(); return w.do(http.MethodGet, "/_poolhouse/codes", "").Body.String() }
	want.Equal(t, shown(), `{"fixed":""}`+"\n")
	want.Equal(t, w.do(http.MethodPost, "/_poolhouse/codes", `{"fixed":"123456"}`).Body.String(), `{"fixed":"123456"}`+"\n")
	want.Equal(t, w.tokens.Chance.Code6(), "123456")
	for _, body := range []string{``, `{}`, `{"fixed":"12345"}`, `{"fixed":"1234567"}`, `{"fixed":"12345a"}`, `{"fixed":123456}`, `{"fixed":"123456","x":1}`} {
		want.Equal(t, w.do(http.MethodPost, "/_poolhouse/codes", body).Code, 400)
	}
	want.Equal(t, shown(), `{"fixed":"123456"}`+"\n")
	want.Equal(t, w.do(http.MethodPost, "/_poolhouse/codes", `{"fixed":""}`).Code, 200)
	want.Equal(t, shown(), `{"fixed":""}`+"\n")
	w.tokens.Chance.FixCodes("999999")
	want.Equal(t, w.do(http.MethodPost, "/_poolhouse/reset", "").Code, 200)
	want.Equal(t, shown(), `{"fixed":""}`+"\n") // as at the start
}
