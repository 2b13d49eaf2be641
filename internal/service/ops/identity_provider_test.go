package ops_test

import (
	"encoding/json"
	"fmt"
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

// account is the JSON of a ProviderUserIdentifierType; "-" leaves a member out.
func account(provider, attribute, value string) string {
	m := map[string]string{}
	for name, text := range map[string]string{"ProviderName": provider, "ProviderAttributeName": attribute, "ProviderAttributeValue": value} {
		if text != "-" {
			m[name] = text
		}
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func linking(destination, source string) string {
	return `{"UserPoolId":"$pool","DestinationUser":` + destination + `,"SourceUser":` + source + `}`
}

func disabling(account string) string { return `{"UserPoolId":"$pool","User":` + account + `}` }

// native is one of the pool's own users.
func native(username string) string { return account("Cognito", "Cognito_Subject", username) }

func google(subject string) string { return account("Google", "Cognito_Subject", subject) }

const (
	elsewhere  = "AliasExistsException: SourceUser is already linked to another user"
	noMerging  = "InvalidParameterException: Merging is not currently supported, provide a SourceUser that has not been signed up in order to link"
	notANative = "InvalidParameterException: Invalid SourceUser: Cognito users with a username/password may not be passed in as a SourceUser, only as a DestinationUser"
	tooMany    = "LimitExceededException: The number of identities linked to a user cannot exceed 5."
)

// identities is the attribute identities as AdminGetUser shows it, "" when it is not there.
func (w *world) identities(username string) string {
	w.Helper()
	var out struct {
		UserAttributes []struct{ Name, Value string }
	}
	want.NoError(w, json.Unmarshal([]byte(w.does("AdminGetUser", `{"UserPoolId":"$pool","Username":"`+username+`"}`)), &out))
	for _, a := range out.UserAttributes {
		if a.Name == "identities" {
			return a.Value
		}
	}
	return ""
}

// federated changes a new user into one that an account at a provider made.
func federated(provider, subject string) func(*user.Record) {
	return func(r *user.Record) {
		r.Status = user.ExternalProvider
		r.Identities = []user.Identity{{Provider: provider, Attribute: user.Subject, Value: subject, Type: user.ProviderType(provider), Primary: true, Created: start}}
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		jane := w.addUser("jane", vectorUser, func(r *user.Record) { r.Status, r.Enabled = user.ForceChangePassword, false })
		w.clock.Advance(time.Minute)
		want.Equal(w, w.do("AdminLinkProviderForUser", linking(native("jane"), google("1"))), done{"{}", "AdminLinkProviderForUser identities of jane"})
		now := w.stored(jane)
		linked := jane.Clone()
		linked.Version, linked.Modified = now.Version, start.Add(time.Minute)
		linked.Identities = []user.Identity{{Provider: "Google", Attribute: "Cognito_Subject", Value: "1", Type: "Google", Created: start.Add(time.Minute)}}
		want.Equal(w, now, linked) // status, attributes and all else stay
		const first = `{"userId":"1","providerName":"Google","providerType":"Google","issuer":null,"primary":false,"dateCreated":1767323105678}`
		want.Equal(w, w.identities("jane"), "["+first+"]")
		listed := `{"Name":"email_verified","Value":"true"},{"Name":"identities","Value":"[{\"userId\":\"1\",\"providerName\":\"Google\",`
		want.Contains(w, w.does("ListUsers", `{"UserPoolId":"$pool"}`), listed)
		w.does("CreateGroup", inGroup("g", ""))
		w.does("AdminAddUserToGroup", memberOf("jane", "g"))
		want.Contains(w, w.does("ListUsersInGroup", inGroup("g", "")), listed)

		// By another attribute, of another provider; the attribute of the destination does not matter.
		want.Equal(w, w.do("AdminLinkProviderForUser", linking(account("Cognito", "-", "a@x.io"), account("Okta", "email", "jane <é>"))),
			done{"{}", "AdminLinkProviderForUser identities of jane"})
		want.Equal(w, w.do("AdminLinkProviderForUser", linking(account("Cognito", "whatever", jane.Sub), account("Okta", "Cognito_Subject", "jane <é>"))),
			done{"{}", "AdminLinkProviderForUser identities of jane"})
		okta := `{"userId":"jane <é>","providerName":"Okta","providerType":"OIDC","issuer":null,"primary":false,"dateCreated":1767323105678}`
		want.Equal(w, w.identities("jane"), "["+first+","+okta+","+okta+"]")

		// A user that an account made is named by the account, and so is one by an account that was linked.
		w.addUser("Facebook_7", nil, federated("Facebook", "7"))
		want.Equal(w, w.do("AdminLinkProviderForUser", linking(account("Facebook", "ignored", "7"), google("2"))), done{"{}", "AdminLinkProviderForUser identities of Facebook_7"})
		want.Equal(w, w.do("AdminLinkProviderForUser", linking(google("2"), google("3"))), done{"{}", "AdminLinkProviderForUser identities of Facebook_7"})
		want.Equal(w, w.identities("Facebook_7"), `[{"userId":"7","providerName":"Facebook","providerType":"Facebook","issuer":null,"primary":true,"dateCreated":1767323045678},`+
			strings.Replace(first, `"1"`, `"2"`, 1)+","+strings.Replace(first, `"1"`, `"3"`, 1)+"]")
	})
}

func TestLinkRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		jane := w.addUser("jane", vectorUser)
		w.addUser("joe", nil)
		w.addUser("Facebook_7", nil, federated("Facebook", "7"))
		w.does("AdminLinkProviderForUser", linking(native("joe"), google("1")))
		long := strings.Repeat("é", 2049)
		for _, c := range []struct{ name, destination, source, want string }{
			{"the source is a user of the pool", native("jane"), native("joe"), notANative},
			{"the source is unknown, and a user of the pool", native("jane"), account("Cognito", "-", "-"), notANative},
			{"the source has a profile", native("jane"), account("Facebook", "Cognito_Subject", "7"), noMerging},
			{"the source is the destination", account("Facebook", "-", "7"), account("Facebook", "Cognito_Subject", "7"), noMerging},
			{"the source is linked already", native("joe"), google("1"), invalid("SourceUser is already linked to DestinationUser")},
			{"the source is linked to somebody else", native("jane"), google("1"), elsewhere},
			{"a social provider by another attribute", native("jane"), account("Google", "email", "a@x.io"), invalid("Invalid SourceUser: ProviderAttributeName must be Cognito_Subject")},
			{"no such user", native("nobody"), google("2"), noUser},
			{"no such external user", account("Google", "-", "nobody"), google("2"), noUser},
			{"a destination by a linked attribute", account("Okta", "email", "1"), google("2"), noUser},
			{"a source without provider", native("jane"), account("-", "Cognito_Subject", "2"), invalid("Invalid SourceUser: ProviderName must not be empty")},
			{"a source without attribute", native("jane"), account("Okta", "-", "2"), invalid("Invalid SourceUser: ProviderAttributeName must not be empty")},
			{"a source with an empty attribute", native("jane"), account("Okta", "", "2"), invalid("Invalid SourceUser: ProviderAttributeName must not be empty")},
			{"a source without value", native("jane"), account("Okta", "email", "-"), invalid("Invalid SourceUser: ProviderAttributeValue must not be empty")},
			{"an empty source", native("jane"), "{}", invalid("Invalid SourceUser: ProviderName must not be empty")},
			{"a source with a long attribute", native("jane"), account("Okta", strings.Repeat("x", 257), "2"), invalid("Invalid SourceUser: ProviderAttributeName cannot be longer than 256 characters")},
			{"a source with a long value", native("jane"), account("Okta", "email", long), invalid("Invalid SourceUser: ProviderAttributeValue cannot be longer than 2048 characters")},
			{"a destination without provider", account("-", "-", "jane"), google("2"), invalid("Invalid DestinationUser: ProviderName must not be empty")},
			{"a destination without value", account("Cognito", "-", ""), google("2"), invalid("Invalid DestinationUser: ProviderAttributeValue must not be empty")},
			{"a destination with a long value", native(long), google("2"), invalid("Invalid DestinationUser: ProviderAttributeValue cannot be longer than 2048 characters")},
			{"U+0000 in the source", native("jane"), google("a\x00"), invalid("The value of SourceUser contains the null character.")},
			{"U+0000 in the destination", native("a\x00"), google("2"), invalid("The value of DestinationUser contains the null character.")},
		} {
			w.Run(c.name, func(t *testing.T) {
				v := &world{T: t, store: w.store, pipeline: w.pipeline, clock: w.clock, email: w.email, sms: w.sms, hooks: w.hooks, pool: w.pool}
				v.refuses("AdminLinkProviderForUser", linking(c.destination, c.source), c.want)
			})
		}
		for _, operation := range []string{"AdminLinkProviderForUser", "AdminDisableProviderForUser"} {
			for poolID, text := range map[string]string{"us-east-1_none": noPool, "": "ResourceNotFoundException: User pool  does not exist."} {
				w.refuses(operation, `{"UserPoolId":"`+poolID+`","DestinationUser":`+native("jane")+`,"SourceUser":`+google("2")+`,"User":`+google("2")+`}`, text)
			}
		}
		want.Equal(w, w.stored(jane), jane)
	})
}

func TestLinkLimits(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		// The account that made a user does not count among the five.
		w.addUser("Facebook_7", nil, federated("Facebook", "7"))
		for i := range 4 {
			w.does("AdminLinkProviderForUser", linking(account("Facebook", "-", "7"), google(fmt.Sprint(i))))
		}
		answers := make([]string, 6)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				_, reply := w.request("AdminLinkProviderForUser", linking(account("Facebook", "-", "7"), google(fmt.Sprint(100+i))))
				answers[i] = w.text(reply)
			})
		}
		wg.Wait()
		counts := map[string]int{}
		for _, a := range answers {
			counts[a]++
		}
		want.Equal(w, counts, map[string]int{"{}": 1, tooMany: 5})
		w.refuses("AdminLinkProviderForUser", linking(google("0"), google("200")), tooMany)
		// One that is taken away makes room.
		w.does("AdminDisableProviderForUser", disabling(google("0")))
		w.does("AdminLinkProviderForUser", linking(google("1"), google("200")))

		// Five attributes of a provider serve all its users.
		for i, name := range []string{"email", "phone_number", "department", "given_name", "location"} {
			user := fmt.Sprint("user-", i)
			w.addUser(user, nil)
			w.does("AdminLinkProviderForUser", linking(native(user), account("Okta", name, "1")))
		}
		w.addUser("jane", vectorUser)
		w.refuses("AdminLinkProviderForUser", linking(native("jane"), account("Okta", "sixth", "1")),
			"LimitExceededException: The number of attributes by which users of a provider are linked cannot exceed 5.")
		w.does("AdminLinkProviderForUser", linking(native("jane"), account("Okta", "department", "2")))
		w.does("AdminLinkProviderForUser", linking(native("jane"), account("Okta", "Cognito_Subject", "2")))
		w.does("AdminLinkProviderForUser", linking(native("jane"), account("Corp", "sixth", "1")))
	})
}

// TestLinkInParallel: of many users who want one account one gets it, and the record says so.
func TestLinkInParallel(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		const crowd = 12
		answers := make([]string, crowd)
		for i := range crowd {
			w.addUser(fmt.Sprint("user-", i), nil)
		}
		var wg sync.WaitGroup
		for i := range crowd {
			wg.Go(func() {
				_, reply := w.request("AdminLinkProviderForUser", linking(native(fmt.Sprint("user-", i)), google("1")))
				answers[i] = w.text(reply)
			})
		}
		wg.Wait()
		linked := 0
		for i, a := range answers {
			if a == "{}" {
				linked++
			} else {
				want.Equal(w, a, elsewhere)
			}
			want.True(w, (w.identities(fmt.Sprint("user-", i)) != "") == (a == "{}"), "user %d was told the truth", i)
		}
		want.Equal(w, linked, 1)
	})
}

func TestDisableProvider(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		jane := w.addUser("jane", vectorUser)
		w.does("AdminLinkProviderForUser", linking(native("jane"), google("1")))
		w.does("AdminLinkProviderForUser", linking(native("jane"), account("Okta", "email", "a@x.io")))
		w.clock.Advance(time.Minute)
		want.Equal(w, w.do("AdminDisableProviderForUser", disabling(google("1"))), done{"{}", "AdminDisableProviderForUser identities of jane"})
		want.Equal(w, w.stored(jane).Modified, start.Add(time.Minute))
		want.Equal(w, w.identities("jane"), `[{"userId":"a@x.io","providerName":"Okta","providerType":"OIDC","issuer":null,"primary":false,"dateCreated":1767323045678}]`)
		w.refuses("AdminDisableProviderForUser", disabling(google("1")), noUser)
		w.refuses("AdminDisableProviderForUser", disabling(account("Okta", "Cognito_Subject", "a@x.io")), noUser)
		want.Equal(w, w.do("AdminDisableProviderForUser", disabling(account("Okta", "email", "a@x.io"))).Journal, "AdminDisableProviderForUser identities of jane")
		want.Equal(w, w.identities("jane"), "")

		// An account that was taken away can be given to somebody else.
		w.addUser("joe", nil)
		want.Equal(w, w.do("AdminLinkProviderForUser", linking(native("joe"), google("1"))).Answer, "{}")

		// The account that made a user stays, so that it makes no second one, but signs in no more.
		made := w.addUser("Facebook_7", nil, federated("Facebook", "7"))
		want.Equal(w, w.do("AdminDisableProviderForUser", disabling(account("Facebook", "Cognito_Subject", "7"))), done{"{}", "AdminDisableProviderForUser identities of Facebook_7"})
		want.True(w, w.stored(made).Identities[0].Off, "the account is off")
		w.refuses("AdminLinkProviderForUser", linking(native("jane"), account("Facebook", "Cognito_Subject", "7")), noMerging)

		// A password is off for good, and nothing else of the user changes.
		before := w.stored(jane)
		want.Equal(w, w.do("AdminDisableProviderForUser", disabling(native("jane"))), done{"{}", "AdminDisableProviderForUser password of jane"})
		off := before.Clone()
		off.PasswordOff, off.Modified, off.Version = true, w.clock.Now(), before.Version+1
		want.Equal(w, w.stored(jane), off)
		want.Equal(w, w.do("AdminDisableProviderForUser", disabling(native("a@x.io"))), done{Answer: "{}"})
		want.Equal(w, w.stored(jane), off)
	})
}

func TestDisableProviderRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		jane := w.addUser("jane", vectorUser)
		subject := invalid("Invalid User: ProviderAttributeName must be Cognito_Subject")
		for _, c := range []struct{ name, account, want string }{
			{"nobody", native("nobody"), noUser},
			{"nobody at a provider", google("1"), noUser},
			{"the pool's own by another attribute", account("Cognito", "username", "jane"), subject},
			{"a social provider by another attribute", account("Google", "email", "a@x.io"), subject},
			{"no provider", account("-", "Cognito_Subject", "jane"), invalid("Invalid User: ProviderName must not be empty")},
			{"no attribute", account("Cognito", "-", "jane"), invalid("Invalid User: ProviderAttributeName must not be empty")},
			{"no value", account("Cognito", "Cognito_Subject", "-"), invalid("Invalid User: ProviderAttributeValue must not be empty")},
			{"nothing", "{}", invalid("Invalid User: ProviderName must not be empty")},
			{"U+0000", google("a\x00"), noUser},
			{"U+0000 in a name", native("a\x00"), noUser},
		} {
			w.Run(c.name, func(t *testing.T) {
				v := &world{T: t, store: w.store, pipeline: w.pipeline, clock: w.clock, email: w.email, sms: w.sms, hooks: w.hooks, pool: w.pool}
				v.refuses("AdminDisableProviderForUser", disabling(c.account), c.want)
			})
		}
		want.Equal(w, w.stored(jane), jane)
	})
}

func TestIdentitiesOnReplica(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		jane := w.addUser("jane", vectorUser)
		w.onReplica()
		w.refuses("AdminLinkProviderForUser", linking(native("jane"), google("1")), "OperationNotEnabledException: The operation AdminLinkProviderForUser is not enabled on a secondary replica.")
		w.refuses("AdminDisableProviderForUser", disabling(native("jane")), "OperationNotEnabledException: The operation AdminDisableProviderForUser is not enabled on a secondary replica.")
		want.Equal(w, w.stored(jane), jane)
	})
}

// TestIdentitiesGoWithTheUser: a deleted user's accounts can be linked again, and accounts belong to one pool.
func TestIdentitiesGoWithTheUser(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		w.addUser("jane", vectorUser)
		w.addUser("joe", nil)
		w.does("AdminLinkProviderForUser", linking(native("jane"), google("1")))
		other := w.newPool(listening)
		w.update(func(tx store.Tx) error {
			return tx.Users().Create(other, &user.Record{PoolID: other.ID, Sub: chance.System().Sub(), Username: "jane", Created: start, Modified: start, Status: user.Confirmed, Enabled: true})
		})
		want.Equal(w, w.call("AdminLinkProviderForUser", strings.ReplaceAll(linking(native("jane"), google("1")), "$pool", other.ID)), "{}")
		w.refuses("AdminLinkProviderForUser", linking(native("joe"), google("1")), elsewhere)
		want.Equal(w, w.call("AdminDeleteUser", `{"UserPoolId":"$pool","Username":"jane"}`), "")
		want.Equal(w, w.do("AdminLinkProviderForUser", linking(native("joe"), google("1"))).Answer, "{}")
	})
}

// TestFunctionsSeeIdentities: the events of triggers carry the attribute as the API shows it.
func TestFunctionsSeeIdentities(t *testing.T) {
	t.Parallel()
	onBoth(t, both(vectorPool, withHook("CustomMessage")), func(w *world) {
		w.addUser("jane", vectorUser)
		w.does("AdminLinkProviderForUser", linking(native("jane"), google("1")))
		want.Equal(w, w.update1("jane", list("email=b@x.io")), "{}")
		w.hooks.mu.Lock()
		defer w.hooks.mu.Unlock()
		want.Equal(w, len(w.hooks.events), 1)
		attributes, ok := w.hooks.events[0].Request["userAttributes"].(map[string]any)
		want.True(w, ok, "the event has attributes")
		want.Equal(w, attributes["identities"], any(`[{"userId":"1","providerName":"Google","providerType":"Google","issuer":null,"primary":false,"dateCreated":1767323045678}]`))
	})
}

// TestGetUserShowsIdentities: to clients that may read them.
func TestGetUserShowsIdentities(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		jane := w.addUser("jane", vectorUser)
		w.does("AdminLinkProviderForUser", linking(native("jane"), google("1")))
		all := w.signIn(jane, w.addClient()).Access.Reveal()
		some := w.signIn(jane, w.addClient(func(c *pool.Client) { c.Read = []string{pool.Email} })).Access.Reveal()
		one := w.signIn(jane, w.addClient(func(c *pool.Client) { c.Read = []string{pool.Identities} })).Access.Reveal()
		const shown = `{"Name":"identities","Value":"[{\"userId\":\"1\",\"providerName\":\"Google\",\"providerType\":\"Google\",\"issuer\":null,\"primary\":false,\"dateCreated\":1767323045678}]"}`
		sub := `"UserAttributes":[{"Name":"sub","Value":"` + jane.Sub + `"},`
		want.Contains(w, w.call("GetUser", `{"AccessToken":"`+all+`"}`), `{"Name":"email_verified","Value":"true"},`+shown+`,{"Name":"name"`)
		want.Contains(w, w.call("GetUser", `{"AccessToken":"`+some+`"}`), sub+`{"Name":"email","Value":"a@x.io"}]`)
		want.Contains(w, w.call("GetUser", `{"AccessToken":"`+one+`"}`), sub+shown+`]`)
	})
}
