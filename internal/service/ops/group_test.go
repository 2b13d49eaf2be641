package ops_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// done is the answer of a request and its line in the journal, "" when it changed nothing.
type done struct{ Answer, Journal string }

// do sends a request that tells nobody and runs no function, whatever its answer.
func (w *world) do(operation, body string) done {
	w.Helper()
	id, reply := w.request(operation, body)
	d := done{Answer: w.text(reply)}
	w.view(func(v store.View) error {
		e, err := v.Journal().Get(id)
		if errors.Is(err, store.ErrNotFound) {
			d.Journal = ""
			return nil
		}
		if err != nil {
			return err
		}
		want.Equal(w, []string{e.Caller, e.Source, e.PoolID}, []string{"AKIATEST", "127.0.0.1", w.pool.ID})
		d.Journal = strings.Join(append([]string{e.Operation}, e.Names...), " ")
		if e.Sub != "" {
			u, err := v.Users().BySub(w.pool.ID, e.Sub)
			if err != nil {
				return err
			}
			d.Journal += " of " + u.Username
		}
		return nil
	})
	want.Equal(w, len(w.sent())+len(w.ran())+w.due(), 0)
	return d
}

// refuses sends a request that has to be refused with the text and to change nothing.
func (w *world) refuses(operation, body, text string) {
	w.Helper()
	want.Equal(w, w.do(operation, body), done{Answer: text})
}

// does sends a request that has to succeed and returns its answer.
func (w *world) does(operation, body string) string {
	w.Helper()
	d := w.do(operation, body)
	want.True(w, d.Answer == "" || d.Answer[0] == '{', "%s succeeds: %s", operation, d.Answer)
	return d.Answer
}

// listening has functions for everything, so that it would be seen when one ran.
var listening = both(vectorPool, aliasPool, withHook("CustomMessage"), withHook("PreSignUp"), withHook("PostConfirmation"), withHook("UserMigration"))

// onReplica makes the world's pool a secondary replica.
func (w *world) onReplica() {
	w.Helper()
	w.update(func(tx store.Tx) error {
		p, err := tx.Pools().Get(w.pool.ID)
		if err != nil {
			return err
		}
		p.Replica = true
		return tx.Pools().Save(p)
	})
	w.pipeline.Settings.Forget(w.pool.ID)
}

// group is the JSON of a group in the world's pool.
func (w *world) group(name, members string, modified time.Time) string {
	date := func(t time.Time) string {
		return strings.TrimSuffix(fmt.Sprintf("%d.%03d", t.Unix(), t.Nanosecond()/1e6), ".000")
	}
	return fmt.Sprintf(`{"GroupName":%q,"UserPoolId":%q%s,"LastModifiedDate":%s,"CreationDate":%s}`, name, w.pool.ID, members, date(modified), date(start))
}

// inGroup is a body that names a group.
func inGroup(name, rest string) string {
	return `{"UserPoolId":"$pool","GroupName":"` + name + `"` + rest + `}`
}

// memberOf is a body that names a user and a group.
func memberOf(username, group string) string { return inGroup(group, `,"Username":"`+username+`"`) }

const (
	roleARN   = "arn:aws:iam::123456789012:role/r"
	noGroup   = "ResourceNotFoundException: Group not found."
	noPool    = "ResourceNotFoundException: User pool us-east-1_none does not exist."
	badToken  = "InvalidParameterException: Invalid nextToken specified"
	noUser    = "UserNotFoundException: User does not exist."
	otherRole = "InvalidParameterException: Cross-account pass role is not allowed."
)

func TestGroups(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		later := start.Add(time.Second)
		full := `,"Description":"for \"all\" <é>\n","RoleArn":"` + roleARN + `","Precedence":2147483647`
		want.Equal(w, w.do("CreateGroup", inGroup("full", full)), done{`{"Group":` + w.group("full", full, start) + `}`, "CreateGroup group:full"})
		want.Equal(w, w.do("CreateGroup", inGroup("plain", "")), done{`{"Group":` + w.group("plain", "", start) + `}`, "CreateGroup group:plain"})
		// Names tell letter case apart, and zero and the empty text are values.
		want.Equal(w, w.does("CreateGroup", inGroup("Full", `,"Description":"","Precedence":0`)), `{"Group":`+w.group("Full", `,"Description":"","Precedence":0`, start)+`}`)
		want.Equal(w, w.do("GetGroup", inGroup("full", "")), done{Answer: `{"Group":` + w.group("full", full, start) + `}`})
		want.Equal(w, w.does("ListGroups", `{"UserPoolId":"$pool"}`),
			`{"Groups":[`+w.group("Full", `,"Description":"","Precedence":0`, start)+`,`+w.group("full", full, start)+`,`+w.group("plain", "", start)+`]}`)

		// What is not sent stays.
		w.clock.Set(later)
		changed := `,"Description":"x","RoleArn":"` + roleARN + `","Precedence":5`
		want.Equal(w, w.do("UpdateGroup", inGroup("full", `,"Description":"x","Precedence":5`)),
			done{`{"Group":` + w.group("full", changed, later) + `}`, "UpdateGroup group:full"})
		want.Equal(w, w.does("GetGroup", inGroup("full", "")), `{"Group":`+w.group("full", changed, later)+`}`)
		want.Equal(w, w.does("UpdateGroup", inGroup("plain", `,"RoleArn":"`+roleARN+`"`)), `{"Group":`+w.group("plain", `,"RoleArn":"`+roleARN+`"`, later)+`}`)
		want.Equal(w, w.does("UpdateGroup", inGroup("Full", "")), `{"Group":`+w.group("Full", `,"Description":"","Precedence":0`, later)+`}`)

		want.Equal(w, w.do("DeleteGroup", inGroup("full", "")), done{Journal: "DeleteGroup group:full"})
		w.refuses("GetGroup", inGroup("full", ""), noGroup)
		want.Contains(w, w.does("GetGroup", inGroup("Full", "")), `"GroupName":"Full"`)
		want.Equal(w, w.do("CreateGroup", inGroup("full", "")).Journal, "CreateGroup group:full") // the name is free again
	})
}

func TestGroupsRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		w.addUser("jane", vectorUser)
		w.does("CreateGroup", inGroup("g", `,"Precedence":1`))
		w.refuses("CreateGroup", inGroup("g", ""), "GroupExistsException: A group with the name already exists.")
		foreign := `,"RoleArn":"arn:aws:iam::210987654321:role/r"`
		// The role is looked at before the name when a group is made, after it when one is changed.
		w.refuses("CreateGroup", inGroup("g", foreign), otherRole)
		w.refuses("UpdateGroup", inGroup("g", foreign), otherRole)
		w.refuses("UpdateGroup", inGroup("none", foreign), noGroup)
		for _, operation := range []string{"CreateGroup", "UpdateGroup"} {
			w.refuses(operation, inGroup("g", `,"Description":"a\u0000"`), invalid("The value of Description contains the null character."))
		}
		for _, operation := range []string{"GetGroup", "UpdateGroup", "DeleteGroup", "ListUsersInGroup"} {
			w.refuses(operation, inGroup("G", ""), noGroup)
			w.refuses(operation, inGroup("none", ""), noGroup)
		}
		for _, operation := range []string{"AdminAddUserToGroup", "AdminRemoveUserFromGroup"} {
			w.refuses(operation, memberOf("jane", "none"), noGroup)
			w.refuses(operation, memberOf("joe", "g"), noUser)
			w.refuses(operation, memberOf("joe", "none"), noUser) // the user first
		}
		w.refuses("AdminListGroupsForUser", `{"UserPoolId":"$pool","Username":"joe"}`, noUser)
		for operation, members := range map[string]string{"CreateGroup": `,"GroupName":"g"`, "GetGroup": `,"GroupName":"g"`, "UpdateGroup": `,"GroupName":"g"`,
			"DeleteGroup": `,"GroupName":"g"`, "ListGroups": "", "ListUsersInGroup": `,"GroupName":"g"`, "AdminListGroupsForUser": `,"Username":"jane"`,
			"AdminAddUserToGroup": `,"GroupName":"g","Username":"jane"`, "AdminRemoveUserFromGroup": `,"GroupName":"g","Username":"jane"`} {
			w.refuses(operation, `{"UserPoolId":"us-east-1_none"`+members+`}`, noPool)
		}
		want.Equal(w, w.does("ListGroups", `{"UserPoolId":"$pool"}`), `{"Groups":[`+w.group("g", `,"Precedence":1`, start)+`]}`)
		want.Equal(w, w.does("ListUsersInGroup", inGroup("g", "")), `{"Users":[]}`)
	})
}

func TestMembersOfGroups(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		jane, joe := w.addUser("jane", vectorUser), w.addUser("joe", map[string]string{"name": "J", "email": "joe@x.io", "email_verified": "true"})
		for name, members := range map[string]string{"none": "", "ten": `,"Precedence":10`, "two": `,"Precedence":2`, "Two": `,"Precedence":2`} {
			w.does("CreateGroup", inGroup(name, members))
		}
		w.clock.Advance(time.Hour)
		for _, name := range []string{"none", "two", "ten", "Two"} {
			want.Equal(w, w.do("AdminAddUserToGroup", memberOf("jane", name)), done{Journal: "AdminAddUserToGroup group:" + name + " of jane"})
			want.Equal(w, w.do("AdminAddUserToGroup", memberOf("jane", name)), done{})
		}
		// A user is found by any name that an administrator may write.
		want.Equal(w, w.do("AdminAddUserToGroup", memberOf("joe@x.io", "two")).Journal, "AdminAddUserToGroup group:two of joe")
		want.Equal(w, w.do("AdminAddUserToGroup", memberOf(joe.Sub, "two")), done{})

		groups := func(username string) (names []string) {
			w.Helper()
			for _, m := range regexp.MustCompile(`"GroupName":"([^"]*)"`).FindAllStringSubmatch(w.does("AdminListGroupsForUser", `{"UserPoolId":"$pool","Username":"`+username+`"}`), -1) {
				names = append(names, m[1])
			}
			return names
		}
		want.Equal(w, groups("jane"), []string{"Two", "two", "ten", "none"})
		want.Equal(w, groups(jane.Sub), groups("jane"))
		want.Equal(w, groups("joe"), []string{"two"})
		want.Equal(w, w.does("AdminListGroupsForUser", `{"UserPoolId":"$pool","Username":"joe"}`), `{"Groups":[`+w.group("two", `,"Precedence":2`, start)+`]}`)
		answer := w.does("ListUsersInGroup", inGroup("ten", ""))
		want.Equal(w, answer, `{"Users":[{"Username":"jane","Attributes":[{"Name":"sub","Value":"`+jane.Sub+`"},{"Name":"email","Value":"a@x.io"},`+
			`{"Name":"email_verified","Value":"true"},{"Name":"name","Value":"N"}],"UserCreateDate":1767319445.678,"UserLastModifiedDate":1767319445.678,`+
			`"Enabled":true,"UserStatus":"CONFIRMED"}]}`)

		// Precedence changes the order, membership no record.
		w.does("UpdateGroup", inGroup("ten", `,"Precedence":0`))
		want.Equal(w, groups("jane"), []string{"ten", "Two", "two", "none"})
		want.Equal(w, w.stored(jane), jane)

		want.Equal(w, w.do("AdminRemoveUserFromGroup", memberOf("jane", "two")), done{Journal: "AdminRemoveUserFromGroup group:two of jane"})
		want.Equal(w, w.do("AdminRemoveUserFromGroup", memberOf("jane", "two")), done{})
		want.Equal(w, groups("jane"), []string{"ten", "Two", "none"})
		want.Equal(w, groups("joe"), []string{"two"})

		// A group with members can be deleted, and a new one of its name is empty.
		w.does("DeleteGroup", inGroup("ten", ""))
		w.does("CreateGroup", inGroup("ten", ""))
		want.Equal(w, groups("jane"), []string{"Two", "none"})
		want.Equal(w, w.does("ListUsersInGroup", inGroup("ten", "")), `{"Users":[]}`)
		want.Equal(w, w.stored(jane), jane)

		// A user takes its memberships along, and a new one of its name has none.
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"jane"}`), "")
		want.Equal(w, w.does("ListUsersInGroup", inGroup("none", "")), `{"Users":[]}`)
		w.addUser("jane", vectorUser)
		want.Equal(w, groups("jane"), nil)
		want.Equal(w, groups("joe"), []string{"two"})
	})
}

// TestGroupsOfDisabledUsers: what keeps a user from signing in does not keep an administrator from sorting users.
func TestGroupsOfDisabledUsers(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		w.does("CreateGroup", inGroup("g", ""))
		for i, status := range []user.Status{user.Unconfirmed, user.Confirmed, user.ResetRequired, user.ForceChangePassword, user.ExternalProvider} {
			name := fmt.Sprint("user-", i)
			w.addUser(name, nil, func(r *user.Record) { r.Status, r.Enabled = status, i%2 == 0 })
			want.Equal(w, w.do("AdminAddUserToGroup", memberOf(name, "g")).Journal, "AdminAddUserToGroup group:g of "+name)
		}
		want.Equal(w, strings.Count(w.does("ListUsersInGroup", inGroup("g", "")), `"Username"`), 5)
	})
}

func TestGroupPages(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		jane := w.addUser("jane", vectorUser)
		var groups []*user.Group
		w.update(func(tx store.Tx) error {
			groups = nil
			for i := range 61 {
				g := &user.Group{PoolID: w.pool.ID, Name: fmt.Sprintf("g%02d", i), Created: start, Modified: start, GroupSettings: user.GroupSettings{Precedence: new(61 - i)}}
				groups = append(groups, g)
				if err := tx.Groups().Create(g); err != nil {
					return err
				}
				if _, err := tx.Groups().Join(w.pool.ID, g.Name, jane.Sub, start); err != nil {
					return err
				}
				member := &user.Record{PoolID: w.pool.ID, Sub: fmt.Sprintf("%08d-0000-70ae-0000-000000000000", i), Username: fmt.Sprintf("user-%02d", i),
					Created: start, Modified: start, Status: user.Confirmed, Enabled: true}
				if err := tx.Users().Create(w.pool, member); err != nil {
					return err
				}
				if _, err := tx.Groups().Join(w.pool.ID, "g00", member.Sub, start); err != nil {
					return err
				}
			}
			_, err := tx.Groups().Leave(w.pool.ID, "g00", jane.Sub)
			return err
		})
		for operation, body := range map[string]string{"ListGroups": `{"UserPoolId":"$pool"`, "ListUsersInGroup": `{"UserPoolId":"$pool","GroupName":"g00"`,
			"AdminListGroupsForUser": `{"UserPoolId":"$pool","Username":"jane"`} {
			w.Run(operation, func(t *testing.T) {
				w := &world{T: t, store: w.store, pipeline: w.pipeline, clock: w.clock, email: w.email, sms: w.sms, hooks: w.hooks, pool: w.pool}
				items := func(answer string) (names []string) {
					for _, m := range regexp.MustCompile(`"(?:GroupName|Username)":"([^"]*)"`).FindAllStringSubmatch(answer, -1) {
						names = append(names, m[1])
					}
					return names
				}
				// By default a page is the largest.
				first := w.does(operation, body+"}")
				total := 61
				if operation == "AdminListGroupsForUser" {
					total = 60
				}
				want.Equal(t, len(items(first)), 60)
				want.Equal(t, tokenOf(first) != "", total > 60)
				want.Equal(t, items(w.does(operation, body+`,"Limit":0}`)), items(first))
				// Small pages are the same list in the same order, and end without a token.
				var all []string
				token := ""
				for {
					answer := w.does(operation, body+`,"Limit":7`+token+"}")
					all = append(all, items(answer)...)
					if tokenOf(answer) == "" {
						break
					}
					want.Equal(t, len(items(answer)), 7)
					token = `,"NextToken":"` + tokenOf(answer) + `"`
				}
				want.Equal(t, len(all), total)
				want.Equal(t, all[:60], items(first))
				switch operation {
				case "AdminListGroupsForUser":
					want.Equal(t, []string{all[0], all[59]}, []string{"g60", "g01"})
				case "ListGroups":
					want.Equal(t, []string{all[0], all[60]}, []string{"g00", "g60"})
				}

				// A token is good for the same request and for no other, and not for ever.
				given := tokenOf(w.does(operation, body+`,"Limit":7}`))
				next := `,"NextToken":"` + given + `"`
				w.refuses(operation, body+`,"Limit":8`+next+"}", badToken)
				w.refuses(operation, body+next+"}", badToken)
				w.refuses(operation, body+`,"Limit":7,"NextToken":"x`+given+`"}`, badToken)
				for other, members := range map[string]string{"ListGroups": "", "ListUsersInGroup": `,"GroupName":"g01"`, "AdminListGroupsForUser": `,"Username":"user-00"`} {
					if other == operation && members == "" {
						continue // the same request
					}
					w.refuses(other, `{"UserPoolId":"$pool","Limit":7`+members+next+"}", badToken)
				}
				w.clock.Advance(25 * time.Hour)
				w.refuses(operation, body+`,"Limit":7`+next+"}", badToken)
				w.clock.Set(start)
			})
		}
	})
}

func TestGroupLimits(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		jane := w.addUser("jane", vectorUser)
		const batch = 500 // a transaction has a time limit
		for from := 0; from < user.MaxGroups-1; from += batch {
			w.update(func(tx store.Tx) error {
				for i := from; i < min(from+batch, user.MaxGroups-1); i++ {
					g := &user.Group{PoolID: w.pool.ID, Name: fmt.Sprintf("g%04d", i), Created: start, Modified: start}
					if err := tx.Groups().Create(g); err != nil {
						return err
					}
					if i < user.MaxGroupsOfUser-1 {
						if _, err := tx.Groups().Join(w.pool.ID, g.Name, jane.Sub, start); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		want.Equal(w, w.do("CreateGroup", inGroup("last", "")).Journal, "CreateGroup group:last")
		w.refuses("CreateGroup", inGroup("more", ""), "LimitExceededException: The number of groups in the user pool cannot exceed 10000.")
		w.refuses("CreateGroup", inGroup("last", ""), "GroupExistsException: A group with the name already exists.")
		w.refuses("GetGroup", inGroup("more", ""), noGroup)

		// Of several groups that want to be the hundredth one wins.
		answers := make([]string, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				_, reply := w.request("AdminAddUserToGroup", memberOf("jane", fmt.Sprintf("g%04d", 5000+i)))
				answers[i] = w.text(reply)
			})
		}
		wg.Wait()
		counts := map[string]int{}
		for _, a := range answers {
			counts[a]++
		}
		tooMany := invalid("The number of groups of a user cannot exceed 100.")
		want.Equal(w, counts, map[string]int{"": 1, tooMany: 7})
		want.Equal(w, len(w.journal(jane.Sub)), 1)
		w.refuses("AdminAddUserToGroup", memberOf("jane", "last"), tooMany)
		want.Equal(w, w.do("AdminAddUserToGroup", memberOf("jane", "g0000")), done{}) // is inside already
		want.Equal(w, w.do("AdminRemoveUserFromGroup", memberOf("jane", "g0000")).Journal, "AdminRemoveUserFromGroup group:g0000 of jane")
		want.Equal(w, w.do("AdminAddUserToGroup", memberOf("jane", "last")).Journal, "AdminAddUserToGroup group:last of jane")
	})
}

// TestGroupsInParallel: one of many makes a group, and what happens at the same time happens one after the other.
func TestGroupsInParallel(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		const crowd = 16
		w.addUser("jane", vectorUser)
		answers := make([]string, crowd)
		var wg sync.WaitGroup
		for i := range crowd {
			wg.Go(func() {
				_, reply := w.request("CreateGroup", inGroup("g", ""))
				answers[i] = w.text(reply)
			})
		}
		wg.Wait()
		made := 0
		for _, a := range answers {
			if strings.HasPrefix(a, `{"Group"`) {
				made++
			} else {
				want.Equal(w, a, "GroupExistsException: A group with the name already exists.")
			}
		}
		want.Equal(w, made, 1)
		for i := range crowd {
			wg.Go(func() {
				operation := "AdminAddUserToGroup"
				if i%2 == 0 {
					operation = "AdminRemoveUserFromGroup"
				}
				_, reply := w.request(operation, memberOf("jane", "g"))
				answers[i] = w.text(reply)
			})
		}
		wg.Wait()
		for _, a := range answers {
			want.Equal(w, a, "")
		}
		w.does("AdminAddUserToGroup", memberOf("jane", "g"))
		want.Equal(w, strings.Count(w.does("ListUsersInGroup", inGroup("g", "")), `"Username"`), 1)
	})
}

func TestGroupsOnReplica(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		w.addUser("jane", vectorUser)
		w.does("CreateGroup", inGroup("g", ""))
		w.onReplica()
		for operation, members := range map[string]string{"CreateGroup": "", "UpdateGroup": "", "DeleteGroup": "", "AdminAddUserToGroup": `,"Username":"jane"`,
			"AdminRemoveUserFromGroup": `,"Username":"jane"`} {
			w.refuses(operation, inGroup("g", members), "OperationNotEnabledException: The operation "+operation+" is not enabled on a secondary replica.")
		}
		want.Equal(w, w.does("GetGroup", inGroup("g", "")), `{"Group":`+w.group("g", "", start)+`}`)
		want.Equal(w, w.does("AdminListGroupsForUser", `{"UserPoolId":"$pool","Username":"jane"}`), `{"Groups":[]}`)
	})
}

// TestGroupsOfOtherPools: a group, a membership and a page belong to one pool.
func TestGroupsOfOtherPools(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		w.addUser("jane", vectorUser)
		w.does("CreateGroup", inGroup("g", ""))
		w.does("CreateGroup", inGroup("h", ""))
		w.does("AdminAddUserToGroup", memberOf("jane", "g"))
		other := w.newPool(listening)
		at := func(body string) string { return strings.ReplaceAll(body, "$pool", other.ID) }
		w.update(func(tx store.Tx) error {
			return tx.Users().Create(other, &user.Record{PoolID: other.ID, Sub: chance.System().Sub(), Username: "jane", Created: start, Modified: start,
				Status: user.Confirmed, Enabled: true, Attributes: map[string]string{pool.Email: "a@x.io"}})
		})
		want.Equal(w, w.call("GetGroup", at(inGroup("g", ""))), noGroup)
		want.Equal(w, w.call("AdminAddUserToGroup", at(memberOf("jane", "g"))), noGroup)
		want.Equal(w, w.call("ListGroups", at(`{"UserPoolId":"$pool"}`)), `{"Groups":[]}`)
		token := tokenOf(w.does("ListGroups", `{"UserPoolId":"$pool","Limit":1}`))
		want.True(w, token != "", "there is a second page")
		want.Equal(w, w.call("ListGroups", at(`{"UserPoolId":"$pool","Limit":1,"NextToken":"`+token+`"}`)), badToken)
		want.Contains(w, w.call("CreateGroup", at(inGroup("g", ""))), `"GroupName":"g"`)
		want.Equal(w, w.call("AdminListGroupsForUser", at(`{"UserPoolId":"$pool","Username":"jane"}`)), `{"Groups":[]}`)
		want.Equal(w, w.call("DeleteGroup", at(inGroup("g", ""))), "")
		want.Equal(w, strings.Count(w.does("ListUsersInGroup", inGroup("g", "")), `"Username"`), 1)
	})
}
