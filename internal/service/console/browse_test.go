package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/console"
)

const (
	evilPool = "us-east-1_Evil00001"
	evilSub  = "0b7c1d1e-0000-4000-8000-000000000001"
	markup   = `"><script>alert(1)</script>&`
)

// evil fills the world with a pool, a client, a group, users, a message and journal lines whose every text is markup.
func (w *world) evil() {
	w.Helper()
	mark := markup
	w.update(func(tx store.Tx) error {
		p := &pool.Pool{ID: evilPool, Region: "us-east-1", Account: "123456789012", Created: noon, Modified: noon}
		p.Name, p.MFA, p.Tags, p.Aliases = markup, pool.MFAOff, map[string]string{markup: markup}, []string{"email"}
		p.Custom = []pool.Attribute{{Name: "custom:" + markup}}
		p.Lambda.Functions = map[string]string{"PreSignUp": markup}
		if err := tx.Pools().Create(p); err != nil {
			return err
		}
		cl := &pool.Client{ID: "evilclient0001", PoolID: evilPool, Created: noon, Modified: noon, Secrets: []pool.ClientSecret{{ID: "s", Value: secret.New("hidden-secret"), Created: noon}}}
		cl.Name = markup
		if err := tx.Clients().Create(cl); err != nil {
			return err
		}
		u := &user.Record{PoolID: evilPool, Sub: evilSub, Username: markup, Created: noon, Modified: noon, Status: user.Confirmed,
			Attributes: map[string]string{"email": markup + "@example.com", "nickname": markup}, Pending: map[string]user.Pending{"phone_number": {Value: markup, Requested: noon}},
			Identities: []user.Identity{{Provider: markup, Attribute: user.Subject, Value: markup, Type: "OIDC", Off: true, Created: noon}}}
		if err := tx.Users().Create(p, u); err != nil {
			return err
		}
		for i := range 3 {
			other := &user.Record{PoolID: evilPool, Sub: fmt.Sprintf("0b7c1d1e-0000-4000-8000-00000000010%d", i), Username: fmt.Sprintf("joe-%d", i), Created: noon, Modified: noon,
				Status: user.Unconfirmed, Enabled: true, Attributes: map[string]string{"email": fmt.Sprintf("joe%d@example.com", i)}}
			if err := tx.Users().Create(p, other); err != nil {
				return err
			}
		}
		if err := tx.Groups().Create(&user.Group{PoolID: evilPool, Name: markup, GroupSettings: user.GroupSettings{Description: &mark}, Created: noon, Modified: noon}); err != nil {
			return err
		}
		if _, err := tx.Groups().Join(evilPool, markup, evilSub, noon); err != nil {
			return err
		}
		d := *mail
		d.ID, d.PoolID, d.Username, d.To = "m-evil", evilPool, markup, markup
		if err := tx.Inbox().Add(&d); err != nil {
			return err
		}
		return tx.Journal().Add(store.Entry{RequestID: "r-0", Time: noon, Caller: markup, Operation: "AdminCreateUser", PoolID: evilPool, Sub: evilSub, Names: []string{markup}})
	})
	for i := range 2 {
		w.update(func(tx store.Tx) error {
			return tx.Journal().Add(store.Entry{RequestID: fmt.Sprintf("r-%d", i+1), Time: noon.Add(time.Duration(i) * time.Second), Operation: "Op", PoolID: otherPool})
		})
	}
}

// Whatever stands in a name or a value is text on every page, and never markup; secrets are on none.
func TestPagesEscape(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.evil()
	base := "/_poolhouse/pools/" + evilPool
	for path, texts := range map[string][]string{
		"/_poolhouse/pools": {`href="/_poolhouse/pools/` + evilPool + `"`, `<a href="` + base + `/users">4</a>`},
		base:                {"evilclient0001", "<td>yes</td>", "PreSignUp", "<h2>Groups</h2>", "custom:"},
		base + "/users":     {"joe-0", "CONFIRMED, disabled", "@example.com"},
		base + "/users?filter=" + url.QueryEscape(`username = "\"><script>alert(1)</script>&"`): {evilSub, "Show all"},
		base + "/users/" + evilSub:                            {"nickname", "not verified yet", "<h2>Identities</h2>", "914382", "AdminCreateUser", "<h2>Groups</h2>", " off</td>"},
		base + "/users/" + url.PathEscape(markup):             {evilSub},
		"/_poolhouse/journal":                                 {"AdminCreateUser", "Op", otherPool},
		"/_poolhouse/journal?pool=" + url.QueryEscape(markup): {"No entries"},
		"/_poolhouse/inbox":                                   {"914382"},
		"/_poolhouse/clock":                                   {"Back to the real time", `value="2026-11-02T12:00:00.000Z"`},
	} {
		rec := w.do("GET", path, "", "Accept", "text/html")
		page := rec.Body.String()
		if rec.Code != http.StatusOK || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") || !strings.HasPrefix(rec.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v\n%s", path, rec.Code, rec.Header(), page)
		}
		for _, bad := range []string{"<script", "style=", "hidden-secret", "ZgotmplZ", "onclick"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s has %s in it:\n%s", path, bad, page)
			}
		}
		for _, text := range append(texts, `<a href="/_poolhouse/journal">Journal</a>`) {
			if !strings.Contains(page, text) {
				t.Errorf("%s lacks %s:\n%s", path, text, page)
			}
		}
	}
}

// asJSON reads a page as JSON.
func (w *world) asJSON(path string, header ...string) map[string]any {
	w.Helper()
	rec := w.do("GET", path, "", header...)
	var out map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/json" {
		w.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
	}
	return out
}

func TestPagesAsJSON(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.evil()
	base := "/_poolhouse/pools/" + evilPool
	accept := []string{"Accept", "application/json"}
	pools := w.asJSON("/_poolhouse/pools", accept...)
	for _, same := range []map[string]any{w.asJSON("/_poolhouse/pools.json"), w.asJSON("/_poolhouse/pools?format=json", "Accept", "text/html")} {
		if diff := cmp.Diff(pools, same); diff != "" {
			t.Error(diff)
		}
	}
	first := w.asJSON("/_poolhouse/pools.json?limit=2")
	rest := w.asJSON("/_poolhouse/pools.json?limit=2&after=" + fmt.Sprint(first["next"]))
	paged := append(w.members(first, "pools", "id"), w.members(rest, "pools", "id")...)
	if diff := cmp.Diff(w.members(pools, "pools", "id"), paged); diff != "" || rest["next"] != nil {
		t.Errorf("pools by pages (-want +got):\n%s", diff)
	}
	if n := len(w.members(pools, "pools", "id")); n != 3 {
		t.Errorf("%d pools, want 3", n)
	}
	one := w.asJSON(base, accept...)
	want := map[string]any{"id": evilPool, "name": markup, "created": "2026-11-02T12:00:00.000Z", "modified": "2026-11-02T12:00:00.000Z", "users": 4.0, "mfa": "OFF",
		"case_sensitive": false, "aliases": []any{"email"}, "username_attributes": []any{}, "auto_verified": []any{}, "custom_attributes": []any{"custom:" + markup},
		"tags": map[string]any{markup: markup}, "triggers": []any{map[string]any{"name": "PreSignUp", "value": markup}},
		"clients": []any{map[string]any{"id": "evilclient0001", "name": markup, "created": "2026-11-02T12:00:00.000Z", "secret": true}},
		"groups":  []any{map[string]any{"name": markup, "description": markup}}, "signing_keys": []any{}}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("a pool (-want +got):\n%s", diff)
	}

	var names []any
	for path := base + "/users.json?limit=3"; path != ""; {
		page := w.asJSON(path)
		names = append(names, w.members(page, "users", "username")...)
		path = ""
		if next, more := page["next"]; more {
			path = base + "/users.json?limit=3&after=" + url.QueryEscape(fmt.Sprint(next))
		}
	}
	if diff := cmp.Diff([]any{markup, "joe-0", "joe-1", "joe-2"}, names); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	found := w.asJSON(base + "/users.json?filter=" + url.QueryEscape(`email ^= "joe1"`))
	if diff := cmp.Diff([]any{"joe-1"}, w.members(found, "users", "username")); diff != "" {
		t.Error(diff)
	}
	u := w.asJSON(base+"/users/"+evilSub, accept...)
	if diff := cmp.Diff([]any{map[string]any{"name": "sub", "value": evilSub}, map[string]any{"name": "email", "value": markup + "@example.com"}, map[string]any{"name": "nickname", "value": markup}}, u["attributes"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"m-evil"}, w.members(u, "messages", "id")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"r-0"}, w.members(u, "journal", "request_id")); diff != "" {
		t.Error(diff)
	}
	if len(w.members(u, "groups", "name")) != 1 || len(w.members(u, "identities", "provider")) != 1 || len(w.members(u, "pending", "name")) != 1 || u["enabled"] != false {
		t.Errorf("the user lacks something: %v", u)
	}

	var ids []any
	for path, n := "/_poolhouse/journal.json?limit=1", 0; path != ""; n++ {
		page := w.asJSON(path)
		ids = append(ids, w.members(page, "journal", "request_id")...)
		path = ""
		if next, more := page["next"]; more {
			path = "/_poolhouse/journal.json?limit=1&before=" + url.QueryEscape(fmt.Sprint(next))
		}
	}
	if diff := cmp.Diff([]any{"r-2", "r-1", "r-0"}, ids); diff != "" {
		t.Errorf("the journal, newest first (-want +got):\n%s", diff)
	}
	for query, want := range map[string][]any{"pool=" + otherPool: {"r-2", "r-1"}, "sub=" + evilSub: {"r-0"}, "pool=none": nil} {
		if diff := cmp.Diff(want, w.members(w.asJSON("/_poolhouse/journal.json?"+query), "journal", "request_id")); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

// members is a member of all objects in a list.
func (w *world) members(page map[string]any, list, member string) (ids []any) {
	w.Helper()
	objects, ok := page[list].([]any)
	if !ok {
		w.Fatalf("%s is no list in %v", list, page)
	}
	for _, o := range objects {
		object, ok := o.(map[string]any)
		if !ok {
			w.Fatalf("%v is no object", o)
		}
		ids = append(ids, object[member])
	}
	return ids
}

func TestPagesRefuse(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.evil()
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/_poolhouse/pools/none":                                     {404, "there is no pool none"},
		"/_poolhouse/pools/none/users":                               {404, "there is no pool none"},
		"/_poolhouse/pools/none/users/x":                             {404, "there is no pool none"},
		"/_poolhouse/pools/" + evilPool + "/users/nobody":            {404, "there is no user nobody in pool " + evilPool},
		"/_poolhouse/pools/" + evilPool + "/users?filter=nickname":   {400, "the filter must be as in ListUsers"},
		"/_poolhouse/pools/" + evilPool + "/users?limit=0":           {400, "limit must be a number"},
		"/_poolhouse/pools?limit=x":                                  {400, "limit must be a number"},
		"/_poolhouse/journal?limit=1001":                             {400, "limit must be a number"},
		"/_poolhouse/journal?before=yesterday":                       {400, "before must be"},
		"/_poolhouse/journal?before=2026-11-02T12:00:00Z":            {400, "before must be"},
		"/_poolhouse/pools/" + evilPool + "/users.json?filter=x%3Dy": {400, "can be searched: username, email"},
	} {
		rec := w.do("GET", path, "")
		if rec.Code != want.status || !strings.Contains(rec.Body.String(), want.text) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

func TestClockByForm(t *testing.T) {
	t.Parallel()
	w := open(t)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, step := range []struct {
		send string
		want time.Duration
	}{{"advance=+90m+", 90 * time.Minute}, {"set=2026-11-02T13%3A00%3A00.000Z", time.Hour}, {"reset=true", 0}} {
		rec := w.do("POST", "/_poolhouse/clock/move", step.send, form...)
		if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/_poolhouse/clock" || w.clock.Offset() != step.want {
			t.Errorf("%s: %d, offset %v", step.send, rec.Code, w.clock.Offset())
		}
	}
	for _, wrong := range []string{"", "advance=soon", "advance=1h&reset=true", "%zz"} {
		if rec := w.do("POST", "/_poolhouse/clock/move", wrong, form...); rec.Code != http.StatusBadRequest || w.clock.Offset() != 0 {
			t.Errorf("%s: %d, offset %v", wrong, rec.Code, w.clock.Offset())
		}
	}
	if rec := w.do("GET", "/_poolhouse/clock?format=json", "", "Accept", "text/html"); rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("asked for JSON and got %s", rec.Body)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	w := open(t)
	var forgotten []string
	restarts := 0
	failing := false
	c := &console.Console{Store: w.store, Clock: w.clock, Tokens: w.tokens, Log: slog.New(slog.NewTextHandler(w.log, nil)), Forget: func(id string) { forgotten = append(forgotten, id) },
		Restart: func(context.Context) error {
			restarts++
			if failing {
				return errors.New("the file is gone")
			}
			return nil
		}}
	handler, err := c.Handler()
	if err != nil {
		t.Fatal(err)
	}
	w.handler = handler
	w.evil()
	w.deliver(mail, text)
	w.do("POST", "/_poolhouse/clock", `{"advance":"1h"}`)
	rec := w.do("POST", "/_poolhouse/reset", "")
	if rec.Code != http.StatusOK || rec.Body.String() != "{\"pools_removed\":3}\n" {
		t.Fatalf("reset: %d %s", rec.Code, rec.Body)
	}
	if diff := cmp.Diff([]string{"us-east-1_AbCdEf123", evilPool, otherPool}, forgotten); diff != "" || restarts != 1 || w.clock.Offset() != 0 {
		t.Errorf("%d restarts, offset %v, forgotten (-want +got):\n%s", restarts, w.clock.Offset(), diff)
	}
	for path, body := range map[string]string{"/_poolhouse/pools.json": `{"pools":[]}`, "/_poolhouse/inbox.json": `{"messages":[]}`, "/_poolhouse/journal.json": `{"journal":[]}`} {
		if got := w.do("GET", path, "").Body.String(); got != body+"\n" {
			t.Errorf("%s after a reset: %s", path, got)
		}
	}
	if stored, err := console.LoadOffset(t.Context(), w.store); err != nil || stored != 0 {
		t.Errorf("the stored offset is %v (error %v)", stored, err)
	}
	if rec := w.do("POST", "/_poolhouse/reset", "", "Accept", "text/html"); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/_poolhouse/pools" {
		t.Errorf("reset by a page: %d %s", rec.Code, rec.Header().Get("Location"))
	}
	failing = true
	if rec := w.do("POST", "/_poolhouse/reset", ""); rec.Code != http.StatusInternalServerError || !bytes.Contains(w.log.Bytes(), []byte("the file is gone")) {
		t.Errorf("reset with a file that is gone: %d %s", rec.Code, rec.Body)
	}
	if rec := w.do("GET", "/_poolhouse/reset", ""); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET reset: %d", rec.Code)
	}
}

// A reset that fails leaves everything.
func TestResetFails(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.do("POST", "/_poolhouse/clock", `{"advance":"1h"}`)
	c := &console.Console{Store: away{w.store}, Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Forget: func(id string) { t.Errorf("%s is forgotten and still there", id) }, Restart: func(context.Context) error { t.Error("restarted"); return nil }}
	handler, err := c.Handler()
	if err != nil {
		t.Fatal(err)
	}
	w.handler = handler
	if rec := w.do("POST", "/_poolhouse/reset", ""); rec.Code != http.StatusInternalServerError || w.clock.Offset() != time.Hour {
		t.Errorf("%d, offset %v", rec.Code, w.clock.Offset())
	}
}
