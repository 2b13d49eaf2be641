package console_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const shop = "us-east-1_AbCdEf123"

// withJane is a world with a client and a user.
func withJane(t *testing.T) *world {
	w := open(t)
	w.update(func(tx store.Tx) error {
		p, err := tx.Pools().Get(shop)
		if err != nil {
			return err
		}
		return errors.Join(
			tx.Clients().Create(&pool.Client{ID: "web", PoolID: shop, Created: noon, Modified: noon, ClientSettings: pool.ClientSettings{RefreshValidity: 30, Revocation: true}}),
			tx.Users().Create(p, &user.Record{PoolID: shop, Sub: "11111111-2222-70aa-3333-444444444444", Username: "jane", Created: noon, Modified: noon,
				Status: user.Confirmed, Enabled: true, Attributes: map[string]string{}}))
	})
	return w
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := withJane(t)
	answer := w.do(http.MethodPost, "/_poolhouse/tokens", `{"pool":"`+shop+`","client":"web","username":"jane"}`)
	want.Equal(t, answer.Code, 200)
	want.Equal(t, answer.Header().Get("Cache-Control"), "no-store")
	var out struct {
		AuthenticationResult struct {
			AccessToken, IdToken, RefreshToken, TokenType string
			ExpiresIn                                     int
		}
		Family struct{ ID, Event, Sub, Created, Expires string }
	}
	d := json.NewDecoder(answer.Body)
	d.DisallowUnknownFields()
	want.NoError(t, d.Decode(&out))
	r := out.AuthenticationResult
	want.Equal(t, []any{r.TokenType, r.ExpiresIn}, []any{"Bearer", 3600})
	a, err := w.tokens.Open(t.Context(), secret.New(r.AccessToken), noon)
	want.NoError(t, err)
	want.Equal(t, []string{a.Username, a.ClientID, a.Family, a.EventID, a.Sub}, []string{"jane", "web", out.Family.ID, out.Family.Event, out.Family.Sub})
	refresh, err := w.tokens.OpenRefresh(t.Context(), &pool.Pool{ID: shop}, secret.New(r.RefreshToken))
	want.NoError(t, err)
	want.Equal(t, refresh.Family, out.Family.ID)
	want.Equal(t, []string{out.Family.Created, out.Family.Expires}, []string{"2026-11-02T12:00:00.000Z", "2026-12-02T12:00:00.000Z"})
	want.Equal(t, len(strings.Split(r.IdToken, ".")), 3)
}

func TestTokensRefused(t *testing.T) {
	t.Parallel()
	w := withJane(t)
	const usage = `send {"pool":"POOL","client":"CLIENT","username":"NAME"}`
	for _, c := range []struct{ body, want string }{
		{``, usage},
		{`{}`, usage},
		{`[]`, usage},
		{`{"pool":"` + shop + `","client":"web"}`, usage},
		{`{"pool":"` + shop + `","client":"web","username":"jane","password":"x"}`, usage},
		{`{"pool":"us-east-1_Unknown00","client":"web","username":"jane"}`, "ResourceNotFoundException: User pool us-east-1_Unknown00 does not exist."},
		{`{"pool":"` + shop + `","client":"app","username":"jane"}`, "ResourceNotFoundException: User pool client app does not exist."},
		{`{"pool":"` + shop + `","client":"web","username":"joe"}`, "UserNotFoundException: User does not exist."},
		{`{"pool":"` + shop + `","client":"web","username":"` + strings.Repeat("x", 8<<10) + `"}`, usage},
	} {
		answer := w.do(http.MethodPost, "/_poolhouse/tokens", c.body)
		want.Equal(t, answer.Code, 400)
		var e struct{ Error string }
		want.NoError(t, json.Unmarshal(answer.Body.Bytes(), &e))
		want.Equal(t, e.Error, c.want)
	}
	want.Equal(t, w.do(http.MethodGet, "/_poolhouse/tokens", "").Code, 405)
	want.Equal(t, w.log.String(), "")
}

func TestRotateKeys(t *testing.T) {
	t.Parallel()
	w := withJane(t)
	type key struct{ ID, Use, Part, Created, From string }
	var out struct{ Keys []key }
	ask := func(body string) {
		t.Helper()
		answer := w.do(http.MethodPost, "/_poolhouse/keys/rotate", body)
		want.Equal(t, answer.Code, 200)
		d := json.NewDecoder(answer.Body)
		d.DisallowUnknownFields()
		out.Keys = nil
		want.NoError(t, d.Decode(&out))
	}
	parts := func() (all []string) {
		for _, k := range out.Keys {
			all = append(all, k.Use+" "+k.Part+" "+k.From)
		}
		slices.Sort(all)
		return all
	}
	ask(`{"pool":"` + shop + `"}`)
	want.Equal(t, parts(), []string{"access current 2026-11-02T12:00:00.000Z", "access next 2026-11-03T13:00:00.000Z",
		"id current 2026-11-02T12:00:00.000Z", "id next 2026-11-03T13:00:00.000Z"})
	ask(`{"pool":"` + shop + `","now":true}`)
	want.Equal(t, parts(), []string{"access current 2026-11-02T12:00:00.000Z", "access former 2026-11-02T12:00:00.000Z",
		"id current 2026-11-02T12:00:00.000Z", "id former 2026-11-02T12:00:00.000Z"})
	var shown struct {
		Keys []key `json:"signing_keys"`
	}
	want.NoError(t, json.Unmarshal(w.do(http.MethodGet, "/_poolhouse/pools/"+shop+"?format=json", "").Body.Bytes(), &shown))
	want.Equal(t, shown.Keys, out.Keys)
	page := w.do(http.MethodGet, "/_poolhouse/pools/"+shop, "", "Accept", "text/html").Body.String()
	want.Contains(t, page, "<td>former</td>")
	ask(`{"pool":"` + shop + `","now":true,"revoke":true}`)
	want.Equal(t, len(out.Keys), 2)

	for _, body := range []string{``, `{}`, `{"pool":"` + shop + `","revoke":true}`, `{"pool":"` + shop + `","when":"now"}`} {
		want.Equal(t, w.do(http.MethodPost, "/_poolhouse/keys/rotate", body).Code, 400)
	}
	answer := w.do(http.MethodPost, "/_poolhouse/keys/rotate", `{"pool":"us-east-1_Unknown00"}`)
	want.Equal(t, answer.Code, 404)
	want.Contains(t, answer.Body.String(), "there is no pool us-east-1_Unknown00")
	want.Equal(t, w.log.String(), "")
}
