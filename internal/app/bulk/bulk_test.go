package bulk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/bulk"
	"github.com/poolhouse/poolhouse/internal/app/caller"
	"github.com/poolhouse/poolhouse/internal/testing/want"
	"github.com/poolhouse/poolhouse/poolhousetest"
)

func plan() bulk.Change { return bulk.Change{Pool: pool, Set: map[string]string{"custom:plan": "pro"}} }

func TestCheck(t *testing.T) {
	t.Parallel()
	set := func(name, value string) bulk.Change {
		return bulk.Change{Pool: pool, Set: map[string]string{name: value}}
	}
	for why, c := range map[string]bulk.Change{
		"no pool":            {Set: map[string]string{"a": "b"}},
		"nothing is to be":   {Pool: pool},
		"no name":            set("", "x"),
		"set to nothing":     set("name", ""),
		"sub never changes":  set("sub", "x"),
		"at most 2048":       set("name", strings.Repeat("é", 2049)),
		"1 to 32 characters": set(strings.Repeat("é", 33), "x"),
		"must be text":       set("name", "\xff"),
		"both set and":       {Pool: pool, Set: map[string]string{"a": "b"}, Unset: []string{"a"}},
		"removed twice":      {Pool: pool, Unset: []string{"a", "a"}},
	} {
		err := c.Check()
		want.Error(t, err, nil)
		want.Contains(t, err.Error(), why)
	}
	for _, c := range []bulk.Change{plan(), set("name", strings.Repeat("é", 2048)), {Pool: pool, Unset: []string{"a", "b"}}} {
		want.NoError(t, c.Check())
	}
}

// A whole life against this program's own server: plan, change, nothing left to change.
func TestOwnServer(t *testing.T) {
	t.Parallel()
	s := poolhousetest.Start(t, poolhousetest.VerifySignatures())
	to, err := caller.ParseEndpoint(s.Endpoint)
	want.NoError(t, err)
	c := caller.New(to, caller.Credentials{ID: s.AccessKeyID, Secret: s.SecretAccessKey, Region: s.Region})
	line := c.Line()
	t.Cleanup(line.Close)
	call := func(operation, body string) []byte {
		reply, err := line.Do(t.Context(), operation, []byte(body))
		want.NoError(t, err)
		want.True(t, reply.OK(), "%s answered %s", operation, reply.Body)
		return bytes.Clone(reply.Body)
	}
	var made struct{ UserPool struct{ Id string } }
	want.NoError(t, json.Unmarshal(call("CreateUserPool", `{"PoolName":"p","Schema":[{"Name":"plan","AttributeDataType":"String","Mutable":true}]}`), &made))
	const users = 130 // three pages
	for i := range users {
		call("AdminCreateUser", fmt.Sprintf(`{"UserPoolId":%q,"Username":"u\"ß\\%d","MessageAction":"SUPPRESS","TemporaryPassword":"Correct-h0rse","UserAttributes":[{"Name":"nickname","Value":"n"},{"Name":"email","Value":"%c%d@example.com"}]}`,
			made.UserPool.Id, i, 'a'+i%2, i))
	}
	change := bulk.Change{Pool: made.UserPool.Id, Filter: `email ^= "a"`, Set: map[string]string{"custom:plan": "<\"prö\">", "locale": "en"}, Unset: []string{"nickname"}}
	p, err := bulk.MakePlan(t.Context(), c, &change, func(*bulk.Plan) {})
	want.NoError(t, err)
	want.Equal(t, []int{p.Listed, p.Change, p.Same, len(p.Sample)}, []int{65, 65, 0, 5})
	want.Equal(t, p.Sample[0].Before, map[string]string{"nickname": "n"})

	got, err := bulk.Run(t.Context(), bulk.Options{Caller: c, Change: change, Workers: 7})
	want.NoError(t, err)
	want.Equal(t, []int{got.Listed, got.Changed, got.Same, got.Refused, got.Calls}, []int{65, 65, 0, 0, 65})
	want.True(t, got.Whole && got.Rate() > 0, "the list was read to its end: %+v", got)

	again, err := bulk.Run(t.Context(), bulk.Options{Caller: c, Change: change, Workers: 7})
	want.NoError(t, err)
	want.Equal(t, []int{again.Changed, again.Same}, []int{0, 65})

	seen := 0
	want.NoError(t, bulk.List(t.Context(), c, made.UserPool.Id, "", 0, func(raw json.RawMessage) error {
		var u bulk.User
		if err := json.Unmarshal(raw, &u); err != nil {
			return err
		}
		has := map[string]string{}
		for _, a := range u.Attributes {
			has[a.Name] = a.Value
		}
		chosen := strings.HasPrefix(has["email"], "a")
		_, nick := has["nickname"]
		want.True(t, (has["custom:plan"] == "<\"prö\">") == chosen && (has["locale"] == "en") == chosen && nick != chosen, "%s was treated right: %v", u.Username, has)
		seen++
		return nil
	}))
	want.Equal(t, seen, users)
	limited := 0
	want.NoError(t, bulk.List(t.Context(), c, made.UserPool.Id, "", 61, func(json.RawMessage) error { limited++; return nil }))
	want.Equal(t, limited, 61)
	shown, err := bulk.Show(t.Context(), c, made.UserPool.Id, `u"ß\0`)
	want.NoError(t, err)
	want.Contains(t, string(shown), `"UserStatus":"FORCE_CHANGE_PASSWORD"`)
	groups, err := bulk.Groups(t.Context(), c, made.UserPool.Id, `u"ß\0`)
	want.NoError(t, err)
	want.Equal(t, len(groups), 0)
	const many = 61 // two pages
	for i := range many {
		call("CreateGroup", fmt.Sprintf(`{"UserPoolId":%q,"GroupName":"g%02d"}`, made.UserPool.Id, i))
		call("AdminAddUserToGroup", fmt.Sprintf(`{"UserPoolId":%q,"Username":"u\"ß\\0","GroupName":"g%02d"}`, made.UserPool.Id, i))
	}
	groups, err = bulk.Groups(t.Context(), c, made.UserPool.Id, `u"ß\0`)
	want.NoError(t, err)
	slices.Sort(groups)
	want.Equal(t, len(slices.Compact(groups)), many)
	_, err = bulk.Groups(t.Context(), c, made.UserPool.Id, "nobody")
	want.Contains(t, fmt.Sprint(err), "UserNotFoundException: User does not exist.")
	_, err = bulk.Show(t.Context(), c, made.UserPool.Id, "nobody")
	want.Contains(t, fmt.Sprint(err), "UserNotFoundException: User does not exist.")

	// An attribute that the pool does not have is refused for every user, with the server's word.
	var refused []bulk.Refusal
	change = bulk.Change{Pool: made.UserPool.Id, Set: map[string]string{"custom:other": "x"}}
	got, err = bulk.Run(t.Context(), bulk.Options{Caller: c, Change: change, Workers: 3, OnRefused: func(r *bulk.Refusal) error {
		refused = append(refused, *r)
		return nil
	}})
	want.NoError(t, err)
	want.Equal(t, []int{got.Changed, got.Refused, len(refused)}, []int{0, users, users})
	want.Equal(t, refused[0].Code, "InvalidParameterException")
	want.True(t, refused[0].Message != "" && refused[0].User != "", "the refusal says who and why: %v", refused[0])
	got, err = bulk.Run(t.Context(), bulk.Options{Caller: c, Change: change, Workers: 1, MaxRefused: 10})
	want.Error(t, err, bulk.ErrTooManyRefused)
	want.Equal(t, got.Refused, 10)
}

// What a user has already is not sent, and of the two calls only the one that is needed; an address is sent with its flag.
func TestOnlyWhatIsNeeded(t *testing.T) {
	t.Parallel()
	e := serve(t, 4)
	e.values["user-001"] = map[string]string{"email": "x@example.com", "email_verified": "true"}
	e.values["user-002"] = map[string]string{"email": "x@example.com", "email_verified": "true", "nickname": "n"}
	e.values["user-003"] = map[string]string{"email": "y@example.com", "email_verified": "true"}
	change := bulk.Change{Pool: pool, Set: map[string]string{"email": "x@example.com", "email_verified": "true"}, Unset: []string{"nickname"}}
	got, err := bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: change, Workers: 2})
	want.NoError(t, err)
	want.Equal(t, []int{got.Changed, got.Same}, []int{3, 1})
	want.Equal(t, e.changed, map[string]int{"user-000": 2, "user-002": 1, "user-003": 1})
	for _, user := range e.users {
		want.Equal(t, e.values[user], map[string]string{"email": "x@example.com", "email_verified": "true"})
	}
}

func TestRefusedUsersAndPassingFailures(t *testing.T) {
	t.Parallel()
	e := serve(t, 7)
	e.refuse = func(w http.ResponseWriter, user string, _ int) bool {
		switch {
		case user == "user-002":
			fault(w, 400, "UserNotFoundException", "User does not exist.")
		case user == "user-004" && e.calls%2 == 1:
			fault(w, 500, "InternalErrorException", "")
		case user == "user-005" && e.calls%2 == 1:
			panic(http.ErrAbortHandler) // the connection breaks off
		default:
			return false
		}
		return true
	}
	var refused []bulk.Refusal
	got, err := bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: plan(), Workers: 1, OnRefused: func(r *bulk.Refusal) error {
		refused = append(refused, *r)
		return nil
	}})
	want.NoError(t, err)
	want.Equal(t, refused, []bulk.Refusal{{User: "user-002", Code: "UserNotFoundException", Message: "User does not exist."}})
	want.Equal(t, []int{got.Changed, got.Refused}, []int{6, 1})
}

// An endpoint that is asked too much is asked less, and every user is changed in the end.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	e := serve(t, 60)
	var tokens, last atomic.Int64
	tokens.Store(10)
	last.Store(time.Now().UnixMilli())
	e.refuse = func(w http.ResponseWriter, _ string, _ int) bool { // 200 a second, 10 at once
		now := time.Now().UnixMilli()
		if fresh := (now - last.Load()) / 5; fresh > 0 {
			tokens.Store(min(10, tokens.Load()+fresh))
			last.Add(fresh * 5)
		}
		if tokens.Load() == 0 {
			fault(w, 400, "TooManyRequestsException", "Rate exceeded")
			return true
		}
		tokens.Add(-1)
		return false
	}
	var told atomic.Int64
	got, err := bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: plan(), Workers: 16, OnProgress: func(bulk.Progress) { told.Add(1) }})
	want.NoError(t, err)
	want.Equal(t, []int{got.Changed, got.Refused}, []int{60, 0})
	want.True(t, got.Throttled > 0 && told.Load() > 0, "%d calls were one too many, progress was told %d times", got.Throttled, told.Load())
	want.True(t, got.Throttled < 60, "the pace was lowered: %d calls were one too many", got.Throttled)
	want.Equal(t, e.times(), map[int]int{1: 60})
}

// What no other user would escape ends the run at once.
func TestFatal(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"AccessDeniedException", "ExpiredTokenException", "InvalidSignatureException", "ResourceNotFoundException"} {
		e := serve(t, 300)
		e.refuse = func(w http.ResponseWriter, _ string, _ int) bool { fault(w, 400, code, "no"); return true }
		got, err := bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: plan(), Workers: 4})
		refusal, ok := errors.AsType[*caller.Refusal](err)
		want.True(t, ok && refusal.Code == code, "the error is %v", err)
		want.Equal(t, []int{got.Changed, got.Refused}, []int{0, 0})
		want.True(t, e.calls <= 8, "%d calls were made", e.calls)
	}
	other := plan()
	other.Pool = "us-east-1_none"
	_, err := bulk.Run(t.Context(), bulk.Options{Caller: serve(t, 1).caller(t), Change: other, Workers: 1})
	want.Contains(t, fmt.Sprint(err), "list users: ResourceNotFoundException")
	_, err = bulk.Run(t.Context(), bulk.Options{Caller: serve(t, 1).caller(t), Change: bulk.Change{}, Workers: 1})
	want.Error(t, err, nil)
}

// open opens the state file of the change at the endpoint.
func open(t *testing.T, path string, c *caller.Caller, change *bulk.Change) (*bulk.State, *bulk.Past) {
	t.Helper()
	s, past, err := bulk.OpenState(path, c.Endpoint.String(), change)
	want.NoError(t, err)
	t.Cleanup(func() { want.NoError(t, s.Close()) })
	return s, past
}

// A run that was killed at any moment goes on where its file ends: nobody is left out, and nobody whom the file knows is changed again.
// Changes do not show in the list here, so that nothing but the file can tell.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	const users = 11
	e := serve(t, users)
	e.hidden = true
	e.refuse = func(w http.ResponseWriter, user string, _ int) bool {
		if user != "user-004" {
			return false
		}
		fault(w, 400, "InvalidParameterException", "no")
		return true
	}
	change, path := plan(), filepath.Join(t.TempDir(), "state")
	state, past := open(t, path, e.caller(t), &change)
	want.True(t, !past.Begun(), "a new file knows nothing")
	_, err := bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: change, Workers: 3, State: state, Past: past})
	want.NoError(t, err)
	whole, err := os.ReadFile(path)
	want.NoError(t, err)
	info, err := os.Stat(path)
	want.NoError(t, err)
	want.Equal(t, info.Mode().Perm(), os.FileMode(0o600))
	want.Contains(t, string(whole), `{"done":"user-000"}`)
	want.Contains(t, string(whole), `{"refused":"user-004","code":"InvalidParameterException","message":"no"}`)
	want.Contains(t, string(whole), `{"next":"from-9","same":0}`)
	want.Contains(t, string(whole), `{"end":true}`)

	begin := bytes.IndexByte(whole, '\n') + 1
	for at := begin; at <= len(whole); at += 7 {
		e := serve(t, users)
		e.hidden, e.refuse = true, func(http.ResponseWriter, string, int) bool { return false }
		kept := whole[:at]
		head := fmt.Sprintf(`{"poolhouse-users-update":1,"endpoint":%q,"pool":%q,"set":{"custom:plan":"pro"}}`+"\n", e.URL, pool)
		path := filepath.Join(t.TempDir(), "state")
		want.NoError(t, os.WriteFile(path, append([]byte(head), kept[begin:]...), 0o600))
		state, past := open(t, path, e.caller(t), &change)
		got, err := bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: change, Workers: 2, State: state, Past: past})
		want.NoError(t, err)
		want.NoError(t, state.Close())
		known := map[string]bool{}
		for line := range strings.Lines(string(kept[begin:])) {
			var f struct{ Done, Refused string }
			if strings.HasSuffix(line, "\n") {
				want.NoError(t, json.Unmarshal([]byte(line), &f))
				known[f.Done], known[f.Refused] = true, true
			}
		}
		for _, user := range e.users {
			times := 1
			if known[user] {
				times = 0
			}
			want.True(t, e.changed[user] == times, "after a kill at byte %d %s was changed %d times, not %d", at, user, e.changed[user], times)
		}
		want.Equal(t, got.Changed+got.Refused, users)
		if i := bytes.LastIndex(kept, []byte(`{"next":"`)); i > 0 && bytes.IndexByte(kept[i:], '\n') > 0 && !past.Ended {
			token, _, _ := strings.Cut(string(kept[i+len(`{"next":"`):]), `"`)
			want.Equal(t, e.lists[0], token)
		}
		again, past := open(t, path, e.caller(t), &change)
		want.True(t, past.Ended && past.Changed+len(past.Refused) == users, "the file knows that all is done: %+v", past)
		calls := e.calls
		got, err = bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: change, Workers: 2, State: again, Past: past})
		want.NoError(t, err)
		want.Equal(t, []int{got.Changed + got.Refused, e.calls - calls}, []int{users, 0})
	}
}

// A page token that has grown too old makes the list begin anew, without those who are done.
func TestResumeWithExpiredToken(t *testing.T) {
	t.Parallel()
	e := serve(t, 9)
	e.hidden, e.old = true, "from-6"
	path, change := filepath.Join(t.TempDir(), "state"), plan()
	text := fmt.Sprintf(`{"poolhouse-users-update":1,"endpoint":%q,"pool":%q,"set":{"custom:plan":"pro"}}`+"\n", e.URL, pool)
	for i := range 5 {
		text += fmt.Sprintf("{\"done\":\"user-%03d\"}\n", i)
	}
	want.NoError(t, os.WriteFile(path, []byte(text+`{"next":"from-6","same":1}`+"\n"), 0o600))
	state, past := open(t, path, e.caller(t), &change)
	relisted := 0
	got, err := bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: change, Workers: 2, State: state, Past: past, OnRelist: func() { relisted++ }})
	want.NoError(t, err)
	want.Equal(t, e.lists, []string{"from-6", "", "from-3", "from-6"}[:len(e.lists)])
	want.Equal(t, relisted, 1)
	want.Equal(t, e.times(), map[int]int{0: 5, 1: 4})
	want.Equal(t, got.Changed, 9)
}

func TestStateOfSomethingElse(t *testing.T) {
	t.Parallel()
	c, change := serve(t, 1).caller(t), plan()
	dir := t.TempDir()
	first, _ := open(t, filepath.Join(dir, "state"), c, &change)
	want.NoError(t, first.Close())
	other := plan()
	other.Set = map[string]string{"custom:plan": "free"}
	_, _, err := bulk.OpenState(filepath.Join(dir, "state"), c.Endpoint.String(), &other)
	want.Contains(t, fmt.Sprint(err), "belongs to another change")
	_, _, err = bulk.OpenState(filepath.Join(dir, "state"), "http://other", &change)
	want.Contains(t, fmt.Sprint(err), "belongs to another change")
	for name, text := range map[string]string{"notes": "These are notes.\n", "one": "notes", "json": "{}\n", "version": `{"poolhouse-users-update":2}` + "\n",
		"torn": `{"poolhouse-users-update":1,"endpoint":"` + c.Endpoint.String() + `","pool":"` + pool + `","set":{"custom:plan":"pro"}}` + "\n{\"done\":\n{\"done\":\"x\"}\n"} {
		path := filepath.Join(dir, name)
		want.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, _, err := bulk.OpenState(path, c.Endpoint.String(), &change)
		want.True(t, err != nil, "%s is refused", name)
		kept, err := os.ReadFile(path)
		want.NoError(t, err)
		want.Equal(t, string(kept), text)
	}
	_, _, err = bulk.OpenState(filepath.Join(dir, "none", "state"), c.Endpoint.String(), &change)
	want.Error(t, err, os.ErrNotExist)
}

// Who interrupts a run gets the outcome of the calls that are on their way.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	e := serve(t, 50)
	e.hidden = true
	ctx, cancel := context.WithCancel(t.Context())
	e.refuse = func(http.ResponseWriter, string, int) bool {
		if e.calls == 10 {
			cancel()
		}
		return false
	}
	change, path := plan(), filepath.Join(t.TempDir(), "state")
	state, past := open(t, path, e.caller(t), &change)
	got, err := bulk.Run(ctx, bulk.Options{Caller: e.caller(t), Change: change, Workers: 4, State: state, Past: past})
	want.Error(t, err, context.Canceled)
	want.NoError(t, state.Close())
	want.True(t, got.Changed >= 10 && got.Changed < 50, "%d users were changed", got.Changed)
	want.Equal(t, e.calls, got.Changed)
	state, past = open(t, path, e.caller(t), &change)
	_, err = bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: change, Workers: 4, State: state, Past: past})
	want.NoError(t, err)
	want.Equal(t, e.times(), map[int]int{1: 50})
}

// A state file that cannot be written, or a report, ends the run.
func TestBookkeepingFails(t *testing.T) {
	t.Parallel()
	e := serve(t, 300)
	e.refuse = func(w http.ResponseWriter, _ string, _ int) bool {
		fault(w, 400, "InvalidParameterException", "")
		return true
	}
	full := errors.New("disk full")
	got, err := bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: plan(), Workers: 2, OnRefused: func(*bulk.Refusal) error { return full }})
	want.Error(t, err, full)
	want.Equal(t, got.Refused, 1)
	change := plan()
	state, past := open(t, filepath.Join(t.TempDir(), "state"), e.caller(t), &change)
	want.NoError(t, state.Close())
	e.refuse = nil
	_, err = bulk.Run(t.Context(), bulk.Options{Caller: e.caller(t), Change: change, Workers: 2, State: state, Past: past})
	want.Error(t, err, os.ErrClosed)
}
