package storetest

import (
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/domain/notice"
	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func testPasswords(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	sub := w.newUser(p, 1, "jane").Sub
	get := func(v store.View) (*credential.Password, error) { return v.Passwords().Get(p.ID, sub) }
	absent(w, get)
	for _, x := range []*credential.Password{
		{PoolID: p.ID, Sub: sub, Kept: credential.Kept{Salt: []byte{1, 0, 2}, Verifier: []byte{3, 4}}, Set: noon, Temporary: true},
		{PoolID: p.ID, Sub: sub, Kept: credential.Kept{Salt: []byte{5}, Verifier: []byte{6}, Hash: "argon2id m=8,t=1,p=1"}, Set: after(1), Former: []credential.Kept{
			{Salt: []byte{1}, Verifier: []byte{2}}, {Salt: []byte{3}, Verifier: []byte{4}}}},
	} {
		w.update(func(tx store.Tx) error { return tx.Passwords().Put(x) })
		got, err := read(w, get)
		want.NoError(w, err)
		equal(w, got, x)
	}
}

func testSoftwareTokens(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	sub, other := w.newUser(p, 1, "jane").Sub, w.newUser(p, 2, "joe").Sub
	get := func(v store.View) (*credential.SoftwareToken, error) { return v.SoftwareTokens().Get(p.ID, sub) }
	put := func(x credential.SoftwareToken) {
		w.update(func(tx store.Tx) error { return tx.SoftwareTokens().Put(&x) })
	}
	absent(w, get)
	for _, x := range []credential.SoftwareToken{
		{PoolID: p.ID, Sub: sub, Pending: []byte{1, 0, 2}},
		{PoolID: p.ID, Sub: sub, Key: []byte{1, 0, 2}, Name: "my phone \U0001F642\u0000", Last: 5},
		{PoolID: p.ID, Sub: sub, Key: []byte{3}, Pending: []byte{4}, Last: 6},
	} {
		put(x)
		got, err := read(w, get)
		want.NoError(w, err)
		equal(w, *got, x)
	}

	// A code that was used stays used, whatever a slow caller writes.
	put(credential.SoftwareToken{PoolID: p.ID, Sub: sub, Key: []byte{3}, Last: 2})
	got, err := read(w, get)
	want.NoError(w, err)
	equal(w, *got, credential.SoftwareToken{PoolID: p.ID, Sub: sub, Key: []byte{3}, Last: 6})

	put(credential.SoftwareToken{PoolID: p.ID, Sub: other, Key: []byte{7}})
	for range 2 {
		w.update(func(tx store.Tx) error { return tx.SoftwareTokens().Delete(p.ID, sub) })
	}
	absent(w, get)
	kept, err := read(w, func(v store.View) (*credential.SoftwareToken, error) { return v.SoftwareTokens().Get(p.ID, other) })
	want.NoError(w, err)
	equal(w, *kept, credential.SoftwareToken{PoolID: p.ID, Sub: other, Key: []byte{7}})
}

func testCodes(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	sub, other := w.newUser(p, 1, "jane").Sub, w.newUser(p, 2, "joe").Sub
	matches := func(sub string, purpose verify.Purpose, code string) func(v store.View) (bool, error) {
		return func(v store.View) (bool, error) { return v.Codes().Matches(p.ID, sub, purpose, secret.New(code)) }
	}
	absent(w, matches(sub, verify.Email, "123456"))
	put := func(sub string, purpose verify.Purpose, target, code string) {
		w.update(func(tx store.Tx) error {
			return tx.Codes().Put(verify.Code{PoolID: p.ID, Sub: sub, Purpose: purpose, Target: target, Plain: secret.New(code), Created: noon, Expires: after(60)})
		})
	}
	put(sub, verify.Email, "a@example.com", "123456")
	put(sub, verify.Phone, "+1555", "000000")
	put(other, verify.Email, "b@example.com", "654321")
	for _, c := range []struct {
		sub     string
		purpose verify.Purpose
		code    string
		want    bool
	}{
		{sub, verify.Email, "123456", true},
		{sub, verify.Email, "123457", false},
		{sub, verify.Email, "", false},
		{sub, verify.Email, "000000", false},
		{sub, verify.Phone, "000000", true},
		{other, verify.Email, "123456", false},
		{other, verify.Email, "654321", true},
	} {
		got, err := read(w, matches(c.sub, c.purpose, c.code))
		want.NoError(w, err)
		want.Equal(w, got, c.want)
	}
	absent(w, matches(sub, verify.SignUp, "123456"))
	got, err := read(w, func(v store.View) (verify.Code, error) { return v.Codes().Get(p.ID, sub, verify.Email) })
	want.NoError(w, err)
	equal(w, got, verify.Code{PoolID: p.ID, Sub: sub, Purpose: verify.Email, Target: "a@example.com", Created: noon, Expires: after(60)})

	// A new code takes the place of the old one.
	put(sub, verify.Email, "c@example.com", "222222")
	for code, ok := range map[string]bool{"123456": false, "222222": true} {
		got, err := read(w, matches(sub, verify.Email, code))
		want.NoError(w, err)
		want.Equal(w, got, ok)
	}
	w.update(func(tx store.Tx) error { return tx.Codes().Void(p.ID, sub, verify.Email) })
	w.update(func(tx store.Tx) error { return tx.Codes().Void(p.ID, sub, verify.Email) })
	absent(w, matches(sub, verify.Email, "222222"))
	ok, err := read(w, matches(sub, verify.Phone, "000000"))
	want.NoError(w, err)
	want.True(w, ok, "a code for another purpose stays")
}

// message makes a message that is due some seconds after noon.
func message(id, poolID, sub string, due int) *notice.Message {
	return &notice.Message{ID: id, RequestID: "r-" + id, PoolID: poolID, Sub: sub, Username: "jane", Source: notice.SourceUpdateAttribute,
		Medium: notice.Email, To: "a@example.com", Attribute: "email", Code: secret.New("123456"), Metadata: map[string]string{"a": "b"}, SenderMetadata: map[string]string{"c": "d"}, SDK: "aws-sdk-x", Sender: "CustomEmailSender",
		ClientID: "client", State: notice.Compose, Created: noon, Expires: after(3600), NextTry: after(due)}
}

func testOutbox(w *world) {
	p := w.newPool("eu-west-1_A", nil)
	sub := subOf(1)
	get := func(id string) func(v store.View) (*notice.Message, error) {
		return func(v store.View) (*notice.Message, error) { return v.Outbox().Get(id) }
	}
	due := func(seconds, limit int) (ids []string) {
		w.Helper()
		list, err := read(w, func(v store.View) ([]*notice.Message, error) { return v.Outbox().Due(after(seconds), limit) })
		want.NoError(w, err)
		var inside []*notice.Message
		w.update(func(tx store.Tx) (err error) {
			inside, err = tx.Outbox().Due(after(seconds), limit)
			return err
		})
		equal(w, inside, list)
		for _, m := range list {
			ids = append(ids, m.ID)
		}
		return ids
	}
	absent(w, get("a"))
	a, b, c := message("a", p.ID, sub, 30), message("b", p.ID, sub, 10), message("c", p.ID, sub, 20)
	b.Metadata, b.SenderMetadata, b.SDK, b.Sender, b.Code, b.ClientID = nil, nil, "", "", secret.Text{}, ""
	w.update(func(tx store.Tx) error { return tx.Outbox().Add(a, b, c) })
	w.update(func(tx store.Tx) error { return tx.Outbox().Add() })
	for _, m := range []*notice.Message{a, b, c} {
		got, err := read(w, get(m.ID))
		want.NoError(w, err)
		equal(w, got, m)
	}
	w.refused(store.ErrConflict, func(tx store.Tx) error {
		return tx.Outbox().Add(message("d", p.ID, sub, 0), message("a", p.ID, sub, 0))
	})
	absent(w, get("d"))

	want.Equal(w, due(9, 10), nil)
	want.Equal(w, due(20, 10), []string{"b", "c"})
	want.Equal(w, due(99, 10), []string{"b", "c", "a"})
	want.Equal(w, due(99, 2), []string{"b", "c"})

	b.State, b.Subject, b.Body, b.Code, b.Metadata = notice.Ready, "subject", secret.New("your code is 1"), secret.New("1"), nil
	b.NextTry, b.Tries, b.Error = after(50), 3, "refused"
	w.update(func(tx store.Tx) error { return tx.Outbox().Save(b) })
	got, err := read(w, get("b"))
	want.NoError(w, err)
	equal(w, got, b)
	want.Equal(w, due(99, 10), []string{"c", "a", "b"})

	a.State, c.State = notice.Sent, notice.Dead
	w.update(func(tx store.Tx) error {
		if err := tx.Outbox().Save(a); err != nil {
			return err
		}
		return tx.Outbox().Save(c)
	})
	want.Equal(w, due(99, 10), []string{"b"})
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Outbox().Save(message("none", p.ID, sub, 0)) })

	purge := func(before time.Time, limit int) (n int) {
		w.Helper()
		w.update(func(tx store.Tx) (err error) {
			n, err = tx.Outbox().Purge(before, limit)
			return err
		})
		return n
	}
	want.Equal(w, purge(noon, 10), 0)
	want.Equal(w, purge(after(1), 1), 1)
	want.Equal(w, purge(after(1), 10), 1)
	want.Equal(w, purge(after(1), 10), 0)
	want.Equal(w, due(99, 10), []string{"b"})
}

func testInbox(w *world) {
	p, q := w.newPool("eu-west-1_A", nil), w.newPool("eu-west-1_B", nil)
	add := func(id, poolID, to string, seconds int) *store.Delivered {
		d := &store.Delivered{ID: id, PoolID: poolID, Username: "jane", Source: "s", Medium: notice.SMS, To: to, Subject: "subject " + id,
			Body: secret.New("body " + id), Code: secret.New("code " + id), Function: "function " + id, At: after(seconds)}
		w.update(func(tx store.Tx) error { return tx.Inbox().Add(d) })
		return d
	}
	a, b, c := add("a", p.ID, "+1", 1), add("b", p.ID, "+2", 3), add("c", q.ID, "+1", 2)
	again := *a
	again.To, again.Body = "+9", secret.New("other")
	w.update(func(tx store.Tx) error { return tx.Inbox().Add(&again) })

	for _, x := range []struct {
		to, poolID string
		limit      int
		want       []*store.Delivered
	}{
		{"", "", 10, []*store.Delivered{b, c, a}},
		{"", "", 2, []*store.Delivered{b, c}},
		{"+1", "", 10, []*store.Delivered{c, a}},
		{"", p.ID, 10, []*store.Delivered{b, a}},
		{"+1", p.ID, 10, []*store.Delivered{a}},
		{"+9", "", 10, nil},
	} {
		got, err := read(w, func(v store.View) ([]*store.Delivered, error) { return v.Inbox().List(x.to, x.poolID, x.limit) })
		want.NoError(w, err)
		equal(w, got, x.want)
	}
	w.update(func(tx store.Tx) error { return tx.Inbox().Clear() })
	got, err := read(w, func(v store.View) ([]*store.Delivered, error) { return v.Inbox().List("", "", 10) })
	want.NoError(w, err)
	want.Equal(w, len(got), 0)
}

func testJournal(w *world) {
	entry := func(id string, seconds int, poolID, sub string, names ...string) store.Entry {
		return store.Entry{RequestID: id, Time: after(seconds), Caller: "AKIA", Source: "127.0.0.1", Operation: "Op", PoolID: poolID, Sub: sub, Names: names}
	}
	a := entry("a", 1, "p", "u", "email", "custom:tier")
	b := entry("b", 1, "p", "v")
	c := entry("c", 0, "q", "u", "name")
	d := entry("d", 2, "", "")
	for _, e := range []store.Entry{b, a, d, c} {
		w.update(func(tx store.Tx) error { return tx.Journal().Add(e) })
	}
	w.refused(store.ErrReplayed, func(tx store.Tx) error { return tx.Journal().Add(entry("a", 9, "", "")) })
	got, err := read(w, func(v store.View) (*store.Entry, error) { return v.Journal().Get("a") })
	want.NoError(w, err)
	want.Equal(w, got, &a)
	absent(w, func(v store.View) (*store.Entry, error) { return v.Journal().Get("none") })

	for _, x := range []struct {
		name        string
		after       time.Time
		id          string
		poolID, sub string
		limit       int
		want        []*store.Entry
	}{
		{"all", time.Time{}, "", "", "", 10, []*store.Entry{&c, &a, &b, &d}},
		{"limit", time.Time{}, "", "", "", 2, []*store.Entry{&c, &a}},
		{"behind an entry", a.Time, "a", "", "", 10, []*store.Entry{&b, &d}},
		{"behind a time", a.Time, "~", "", "", 10, []*store.Entry{&d}},
		{"of a pool", time.Time{}, "", "p", "", 10, []*store.Entry{&a, &b}},
		{"of a user", time.Time{}, "", "p", "u", 10, []*store.Entry{&a}},
		{"of a sub in any pool", time.Time{}, "", "", "u", 10, []*store.Entry{&c, &a}},
		{"of a user, behind", a.Time, "a", "p", "u", 10, nil},
	} {
		w.Run(x.name, func(t *testing.T) {
			got, err := read(&world{T: t, s: w.s}, func(v store.View) ([]*store.Entry, error) {
				return v.Journal().List(x.after, x.id, x.poolID, x.sub, x.limit)
			})
			want.NoError(t, err)
			want.Equal(t, got, x.want)
		})
	}
	for _, x := range []struct {
		name        string
		before      time.Time
		id          string
		poolID, sub string
		limit       int
		want        []*store.Entry
	}{
		{"latest", time.Time{}, "", "", "", 10, []*store.Entry{&d, &b, &a, &c}},
		{"latest, limit", time.Time{}, "", "", "", 2, []*store.Entry{&d, &b}},
		{"latest before an entry", b.Time, "b", "", "", 10, []*store.Entry{&a, &c}},
		{"latest of a pool", time.Time{}, "", "p", "", 1, []*store.Entry{&b}},
		{"latest of a user", time.Time{}, "", "p", "u", 10, []*store.Entry{&a}},
		{"latest of a sub in any pool", time.Time{}, "", "", "u", 10, []*store.Entry{&a, &c}},
	} {
		w.Run(x.name, func(t *testing.T) {
			got, err := read(&world{T: t, s: w.s}, func(v store.View) ([]*store.Entry, error) {
				return v.Journal().Latest(x.before, x.id, x.poolID, x.sub, x.limit)
			})
			want.NoError(t, err)
			want.Equal(t, got, x.want)
		})
	}
	w.update(func(tx store.Tx) error { return tx.Journal().Clear() })
	left, err := read(w, func(v store.View) ([]*store.Entry, error) { return v.Journal().Latest(time.Time{}, "", "", "", 10) })
	want.NoError(w, err)
	want.Equal(w, len(left), 0)
}

func testKeys(w *world) {
	signed := &store.AccessKey{ID: "AKIA1", Name: "ci", Secret: secret.New("a secret"), Actions: []string{"cognito-idp:*"}, Pools: []string{"p"},
		Created: noon, Expires: after(60)}
	bearer := &store.AccessKey{ID: "key2", Name: "tool", Bearer: secret.New("a token"), Created: noon}
	for _, k := range []*store.AccessKey{bearer, signed} {
		w.update(func(tx store.Tx) error { return tx.Keys().Create(k) })
	}
	w.refused(store.ErrConflict, func(tx store.Tx) error { return tx.Keys().Create(&store.AccessKey{ID: "key2", Created: noon}) })
	w.refused(store.ErrConflict, func(tx store.Tx) error {
		return tx.Keys().Create(&store.AccessKey{ID: "key3", Bearer: bearer.Bearer, Created: noon})
	})
	stored := *bearer
	stored.Bearer = secret.Text{} // it is never read back
	get := func(id string) func(v store.View) (*store.AccessKey, error) {
		return func(v store.View) (*store.AccessKey, error) { return v.Keys().Get(id) }
	}
	byBearer := func(token string) func(v store.View) (*store.AccessKey, error) {
		return func(v store.View) (*store.AccessKey, error) { return v.Keys().ByBearer(secret.New(token)) }
	}
	got, err := read(w, get("AKIA1"))
	want.NoError(w, err)
	equal(w, got, signed)
	got, err = read(w, byBearer("a token"))
	want.NoError(w, err)
	equal(w, got, &stored)
	for _, token := range []string{"", "a secret", "a toke"} {
		absent(w, byBearer(token))
	}
	absent(w, get("none"))
	absent(w, get("\x00"))
	list, err := read(w, func(v store.View) ([]*store.AccessKey, error) { return v.Keys().List() })
	want.NoError(w, err)
	equal(w, list, []*store.AccessKey{signed, &stored})
	w.update(func(tx store.Tx) error { return tx.Keys().Delete("key2") })
	absent(w, byBearer("a token"))
	w.refused(store.ErrNotFound, func(tx store.Tx) error { return tx.Keys().Delete("key2") })
}

func testSettings(w *world) {
	get := func(v store.View) ([]byte, error) { return v.Settings().Get("a") }
	absent(w, get)
	for _, value := range []string{"one", "", "\x00\xff"} {
		w.update(func(tx store.Tx) error { return tx.Settings().Put("a", []byte(value)) })
		got, err := read(w, get)
		want.NoError(w, err)
		want.Equal(w, string(got), value)
	}
	absent(w, func(v store.View) ([]byte, error) { return v.Settings().Get("b") })
}
