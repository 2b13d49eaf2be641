package ops_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/adapter/sqlstore"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// The words of which requests are made. What is not in them comes from the fuzzer's text.
var (
	fuzzNames = []string{"email", "email_verified", "phone_number", "phone_number_verified", "preferred_username", "name", "nickname", "custom:tier", "custom:ref",
		"custom:score", "custom:flag", "dev:custom:note", "sub", "identities", "nope", "Email", ""}
	fuzzValues = []string{"", "true", "false", "a@x.io", "A@X.io", "b@x.io", "+15551", "+15552", "u0", "u1", "U1", "u2", "7", "gold", "x", "100.5"}
)

// FuzzAdminUpdateUserAttributes sends random requests to random pools through the whole pipeline, the JSON included, and
// holds after each of them what must always be so. The operation never answers with a fault of the server.
func FuzzAdminUpdateUserAttributes(f *testing.F) {
	f.Add(byte(0), []byte{0, 1, 0, 3, 0, 1, 3, 4}, "x", false)
	f.Add(byte(1), []byte{1, 2, 0, 3, 1, 1, 2, 2, 0, 3, 1, 1, 0, 2, 0, 3, 1, 1}, "", false)
	f.Add(byte(3), []byte{0, 2, 0, 5, 2, 6, 1, 2, 0, 5, 2, 6, 1, 1, 4, 8}, "u0", false)
	f.Add(byte(0x25), []byte{0, 3, 0, 3, 1, 1, 4, 9, 1, 1, 4, 9, 2, 1, 4, 10}, "", false)
	f.Add(byte(0x5a), []byte{0, 4, 0, 3, 2, 6, 0, 4, 9, 14, 1, 1, 0, 3, 2, 1, 0, 0}, "\u0130@x.io", false)
	f.Add(byte(0x0c), []byte{0, 1, 0, 16, 0, 1, 6, 16}, "a\x00b", false)
	f.Add(byte(0x0c), []byte{0, 1, 0, 16, 0, 1, 6, 16}, `","Name":"email`, true)
	f.Add(byte(0x9c), []byte{0, 1, 0, 16, 0, 1, 6, 16}, `{"Name":"email","Value":null},`, true)
	kek, err := seal.NewKEK([]byte("0123456789abcdef0123456789abcdef"))
	want.NoError(f, err)
	s, err := sqlstore.Open(f.Context(), sqlstore.Options{Path: f.TempDir() + "/fuzz.db", Ephemeral: true, Twice: true, Ring: seal.NewRing(kek),
		Random: chance.System(), Now: clock.System().Now})
	want.NoError(f, err)
	f.Cleanup(func() { want.NoError(f, s.Close()) })
	f.Fuzz(func(t *testing.T, bits byte, data []byte, text string, raw bool) {
		on := func(bit int) bool { return bits&(1<<bit) != 0 }
		w := newWorld(t, s, both(vectorPool, func(s *pool.Settings) {
			switch {
			case on(0):
				aliasPool(s)
			case on(1):
				usernameAttributes(s)
			}
			if s.AutoVerified = nil; on(2) {
				phoneToo(s)
			}
			if on(3) && on(2) {
				keepOriginal(s)
			}
			s.CaseSensitive = on(4)
			if on(5) {
				withHook("CustomMessage")(s)
			}
		}))
		var users []*user.Record
		for i := range 3 {
			attributes := map[string]string{"name": "N", "email": fmt.Sprintf("first%d@x.io", i)}
			change := func(r *user.Record) {
				if on(1) && !on(0) {
					r.SignInAttribute = pool.Email
				}
				if on(6) && i == 0 {
					r.Status = user.Unconfirmed
				}
			}
			users = append(users, w.addUser(fmt.Sprintf("u%d", i), attributes, change))
		}
		if on(7) {
			w.email.refuse, w.sms.refuse = errors.New("away"), errors.New("away")
		}
		next := func() int {
			if len(data) == 0 {
				return -1
			}
			n := int(data[0])
			data = data[1:]
			return n
		}
		after := w.everybody(users)
		for requests := 0; requests < 12; requests++ {
			before, who := after, next()
			if who < 0 {
				break
			}
			given := []map[string]string{}
			for range next() % 5 {
				value := text
				name, n := fuzzNames[max(next(), 0)%len(fuzzNames)], max(next(), 0)
				if n %= len(fuzzValues) + 1; n < len(fuzzValues) {
					value = fuzzValues[n]
				}
				given = append(given, map[string]string{"Name": name, "Value": value})
			}
			list, err := json.Marshal(given)
			want.NoError(t, err)
			attributes := string(list)
			if raw {
				attributes = strings.Replace(attributes, `{"Name"`, text+`{"Name"`, 1)
			}
			body := fmt.Sprintf(`{"UserPoolId":"$pool","Username":"u%d","UserAttributes":%s}`, who%4, attributes)
			w.clock.Advance(time.Second)
			id, reply := w.request("AdminUpdateUserAttributes", body)
			answer := w.text(reply) // complains about faults of the server and faults that are not listed
			after = w.everybody(users)
			var entry *store.Entry
			w.view(func(v store.View) (err error) {
				if entry, err = v.Journal().Get(id); errors.Is(err, store.ErrNotFound) {
					return nil
				}
				return err
			})
			switch {
			case entry == nil && reply.Err == nil && len(given) > 0 && !raw:
				t.Fatalf("%s succeeds without a line in the journal", body)
			case entry == nil:
				want.Equal(t, after, before)
			case reply.Err != nil && fault.CodeOf(reply.Err) != fault.CodeDeliveryFailureException:
				t.Fatalf("%s answers %s, and the journal has %+v", body, answer, entry)
			}
			w.invariants(after)
		}
		w.loginsAgree(after)
		w.update(func(tx store.Tx) error { return tx.Pools().Delete(w.pool.ID) })
	})
}

// everybody reads the users again.
func (w *world) everybody(users []*user.Record) (now []*user.Record) {
	w.Helper()
	for _, u := range users {
		now = append(now, w.stored(u))
	}
	return now
}

// invariants hold for the users of a pool at every moment.
func (w *world) invariants(users []*user.Record) {
	w.Helper()
	owners := map[user.Login]string{}
	for _, u := range users {
		for _, l := range u.Logins(w.pool) {
			if other, taken := owners[l]; taken && other != u.Sub {
				w.Fatalf("%v belongs to two users", l)
			}
			owners[l] = u.Sub
		}
		for name, value := range u.Attributes {
			a, known := w.pool.Attribute(name)
			want.True(w, known && value != "", "%s=%q may be stored", name, value)
			want.True(w, a.Type != pool.Boolean || value == "true" || value == "false", "%s=%q is a Boolean", name, value)
		}
		for _, address := range []string{pool.Email, pool.PhoneNumber} {
			_, flagged := u.Attributes[address+"_verified"]
			want.True(w, !flagged || u.Attributes[address] != "", "%s has a flag and no address", address)
		}
		want.True(w, u.Attributes[pool.Email] == "" || contact.ValidEmail(u.Attributes[pool.Email]), "%q is an address", u.Attributes[pool.Email])
		want.True(w, u.Attributes[pool.PhoneNumber] == "" || contact.ValidPhone(u.Attributes[pool.PhoneNumber]), "%q is a number", u.Attributes[pool.PhoneNumber])
	}
}

// loginsAgree holds that the store finds by a login whom the records say, and nobody by a login that is in no record.
func (w *world) loginsAgree(users []*user.Record) {
	w.Helper()
	owners := map[user.Login]string{}
	for _, u := range users {
		for _, l := range u.Logins(w.pool) {
			owners[l] = u.Sub
		}
	}
	texts := append(slices.Clone(fuzzValues), "first0@x.io", "first1@x.io", "first2@x.io")
	for l := range owners {
		texts = append(texts, l.Key)
	}
	w.view(func(v store.View) error {
		for _, text := range texts {
			for _, space := range []user.Space{user.Names, user.Emails, user.Phones} {
				l := user.Login{Space: space, Key: user.Key(w.pool, space, text)}
				r, err := v.Users().Owner(w.pool.ID, l)
				found := ""
				if err == nil {
					found = r.Sub
				} else if !errors.Is(err, store.ErrNotFound) {
					return err
				}
				want.True(w, found == owners[l], "%v leads to %q, the records say %q", l, found, owners[l])
			}
		}
		return nil
	})
}
