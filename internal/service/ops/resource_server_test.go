package ops_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/ops"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// ofServer is a body that names a resource server.
func ofServer(identifier, rest string) string {
	return `{"UserPoolId":"$pool","Identifier":"` + identifier + `"` + rest + `}`
}

// server is the JSON of a resource server in the world's pool.
func (w *world) server(identifier, rest string) string {
	return `{"UserPoolId":"` + w.pool.ID + `","Identifier":"` + identifier + `"` + rest + `}`
}

const (
	twoScopes = `,"Name":"The API","Scopes":[{"ScopeName":"write","ScopeDescription":"may \"write\" <é>"},{"ScopeName":"read","ScopeDescription":"may read"}]`
	named1    = `,"Name":"n"`
)

func noServer(identifier string) string {
	return "ResourceNotFoundException: Resource server " + identifier + " does not exist."
}

func TestResourceServers(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		const api = "https://api.example/v1"
		want.Equal(w, w.do("CreateResourceServer", ofServer(api, twoScopes)), done{`{"ResourceServer":` + w.server(api, twoScopes) + `}`, "CreateResourceServer server:" + api})
		// Identifiers tell letter case apart; without scopes there is no member for them.
		want.Equal(w, w.do("CreateResourceServer", ofServer("b", named1)), done{`{"ResourceServer":` + w.server("b", named1) + `}`, "CreateResourceServer server:b"})
		want.Equal(w, w.does("CreateResourceServer", ofServer("B", named1+`,"Scopes":[]`)), `{"ResourceServer":`+w.server("B", named1)+`}`)
		want.Equal(w, w.do("DescribeResourceServer", ofServer(api, "")), done{Answer: `{"ResourceServer":` + w.server(api, twoScopes) + `}`})
		want.Equal(w, w.does("ListResourceServers", `{"UserPoolId":"$pool"}`),
			`{"ResourceServers":[`+w.server("B", named1)+`,`+w.server("b", named1)+`,`+w.server(api, twoScopes)+`]}`)

		// Everything is replaced.
		w.clock.Advance(time.Second)
		const one = `,"Name":"Other","Scopes":[{"ScopeName":"delete","ScopeDescription":"may delete"}]`
		want.Equal(w, w.do("UpdateResourceServer", ofServer(api, one)), done{`{"ResourceServer":` + w.server(api, one) + `}`, "UpdateResourceServer server:" + api})
		want.Equal(w, w.does("DescribeResourceServer", ofServer(api, "")), `{"ResourceServer":`+w.server(api, one)+`}`)
		want.Equal(w, w.does("UpdateResourceServer", ofServer(api, named1)), `{"ResourceServer":`+w.server(api, named1)+`}`)
		want.Equal(w, w.does("UpdateResourceServer", ofServer("b", twoScopes)), `{"ResourceServer":`+w.server("b", twoScopes)+`}`)
		w.view(func(v store.View) error {
			s, err := v.ResourceServers().Get(w.pool.ID, api)
			want.Equal(w, []time.Time{s.Created, s.Modified}, []time.Time{start, start.Add(time.Second)})
			return err
		})

		want.Equal(w, w.do("DeleteResourceServer", ofServer(api, "")), done{Journal: "DeleteResourceServer server:" + api})
		w.refuses("DescribeResourceServer", ofServer(api, ""), noServer(api))
		want.Equal(w, w.do("CreateResourceServer", ofServer(api, named1)).Journal, "CreateResourceServer server:"+api) // the identifier is free again

		// What the service made itself says so.
		w.update(func(tx store.Tx) error {
			return tx.ResourceServers().Create(&pool.ResourceServer{PoolID: w.pool.ID, Identifier: "own", Name: "n", Managed: true, Created: start, Modified: start})
		})
		want.Equal(w, w.does("DescribeResourceServer", ofServer("own", "")), `{"ResourceServer":`+w.server("own", named1+`,"ManagedBy":"COGNITO"`)+`}`)
	})
}

func TestResourceServersRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, listening, func(w *world) {
		w.does("CreateResourceServer", ofServer("a", twoScopes))
		w.refuses("CreateResourceServer", ofServer("a", named1), invalid("a already exists in user pool "+w.pool.ID+"."))
		const twice = named1 + `,"Scopes":[{"ScopeName":"x","ScopeDescription":"1"},{"ScopeName":"x","ScopeDescription":"2"}]`
		for _, operation := range []string{"CreateResourceServer", "UpdateResourceServer"} {
			w.refuses(operation, ofServer("a", twice), invalid("The scope x is given more than once."))
			w.refuses(operation, ofServer("a", named1+`,"Scopes":[{"ScopeName":"x","ScopeDescription":"\u0000"}]`), invalid("The value of Scopes contains the null character."))
			w.refuses(operation, ofServer("a", named1+`,"Scopes":[{"ScopeName":"x/y","ScopeDescription":"1"}]`),
				invalid(`1 validation error detected: Value 'x/y' at 'scopes.1.member.scopeName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\x21\x23-\x2E\x30-\x5B\x5D-\x7E]+`))
		}
		for _, operation := range []string{"DescribeResourceServer", "UpdateResourceServer", "DeleteResourceServer"} {
			rest := ""
			if operation == "UpdateResourceServer" {
				rest = named1
			}
			for _, identifier := range []string{"A", "none"} {
				w.refuses(operation, ofServer(identifier, rest), noServer(identifier))
			}
			w.refuses(operation, `{"UserPoolId":"us-east-1_none","Identifier":"a"`+rest+`}`, noPool)
		}
		w.refuses("CreateResourceServer", `{"UserPoolId":"us-east-1_none","Identifier":"a","Name":"n"}`, noPool)
		w.refuses("ListResourceServers", `{"UserPoolId":"us-east-1_none"}`, noPool)
		want.Equal(w, w.does("ListResourceServers", `{"UserPoolId":"$pool"}`), `{"ResourceServers":[`+w.server("a", twoScopes)+`]}`)
		w.onReplica()
		for _, operation := range []string{"CreateResourceServer", "UpdateResourceServer", "DeleteResourceServer"} {
			rest := named1
			if operation == "DeleteResourceServer" {
				rest = ""
			}
			w.refuses(operation, ofServer("a", rest), "OperationNotEnabledException: The operation "+operation+" is not enabled on a secondary replica.")
		}
		want.Contains(w, w.does("DescribeResourceServer", ofServer("a", "")), `"Identifier":"a"`)
	})
}

func TestResourceServerLimit(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		for i := range pool.MaxResourceServers {
			w.does("CreateResourceServer", ofServer(fmt.Sprint("s", i), named1))
		}
		w.refuses("CreateResourceServer", ofServer("more", named1), "LimitExceededException: The number of resource servers in the user pool cannot exceed 25.")
		w.refuses("CreateResourceServer", ofServer("s1", named1), invalid("s1 already exists in user pool "+w.pool.ID+".")) // the name first
		o := &ops.ResourceServers{Store: w.store, Limit: 26}
		_, err := o.Create(w.Context(), w.ownRegion().call("CreateResourceServer"), &api.CreateResourceServerInput{UserPoolId: w.pool.ID, Identifier: "more", Name: "n"})
		want.NoError(w, err)
	})
}

func TestResourceServerPages(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		w.update(func(tx store.Tx) error {
			for i := range 51 {
				s := &pool.ResourceServer{PoolID: w.pool.ID, Identifier: fmt.Sprintf("s%02d", i), Name: "n", Created: start, Modified: start,
					Scopes: []pool.ServerScope{{Name: "read", Description: "r"}}}
				if err := tx.ResourceServers().Create(s); err != nil {
					return err
				}
			}
			return nil
		})
		first := w.does("ListResourceServers", `{"UserPoolId":"$pool"}`)
		want.Equal(w, strings.Count(first, `"Identifier"`), 50)
		second := w.does("ListResourceServers", `{"UserPoolId":"$pool","NextToken":"`+tokenOf(first)+`"}`)
		want.Equal(w, second, `{"ResourceServers":[`+w.server("s50", `,"Name":"n","Scopes":[{"ScopeName":"read","ScopeDescription":"r"}]`)+`]}`)
		small := tokenOf(w.does("ListResourceServers", `{"UserPoolId":"$pool","MaxResults":1}`))
		want.Contains(w, w.does("ListResourceServers", `{"UserPoolId":"$pool","MaxResults":1,"NextToken":"`+small+`"}`), `"Identifier":"s01"`)
		for _, body := range []string{`"MaxResults":2,"NextToken":"` + small + `"`, `"NextToken":"x"`} {
			w.refuses("ListResourceServers", `{"UserPoolId":"$pool",`+body+`}`, badToken)
		}
		for n, text := range map[string]string{"0": "greater than or equal to 1", "51": "less than or equal to 50"} {
			w.refuses("ListResourceServers", `{"UserPoolId":"$pool","MaxResults":`+n+`}`,
				invalid("1 validation error detected: Value '"+n+"' at 'maxResults' failed to satisfy constraint: Member must have value "+text))
		}
		// The 51st server's scopes are known to clients too.
		l := w.ownRegion()
		_, answer := l.client(`,"AllowedOAuthScopes":["s50/read"]`)
		want.Contains(w, answer, `"AllowedOAuthScopes":["s50/read"]`)
	})
}

// TestScopesOfClients follows the scopes of a client while its resource server changes.
func TestScopesOfClients(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		l := w.ownRegion()
		w.does("CreateResourceServer", ofServer("a", twoScopes))
		const scopes = `,"AllowedOAuthScopes":["openid","a/read"]`
		id, answer := l.client(scopes)
		want.Contains(w, answer, `"AllowedOAuthScopes":["openid","a/read"]`)
		const unknown = "ScopeDoesNotExistException: Invalid scope requested: "
		named := `{"UserPoolId":"$pool","ClientId":"` + id + `"`
		for _, scope := range []string{"a/delete", "A/read", "a/", "/read", "a", "read"} {
			l.refused("CreateUserPoolClient", `{"UserPoolId":"$pool","ClientName":"web","AllowedOAuthScopes":["`+scope+`"]}`, unknown+scope)
			l.refused("UpdateUserPoolClient", named+`,"AllowedOAuthScopes":["`+scope+`"]}`, unknown+scope)
		}
		// A scope that goes stays with the client, which cannot be updated with it.
		w.does("UpdateResourceServer", ofServer("a", named1))
		want.Equal(w, l.describe(id), answer)
		l.refused("UpdateUserPoolClient", named+scopes+`}`, unknown+"a/read")
		w.does("DeleteResourceServer", ofServer("a", ""))
		want.Equal(w, l.describe(id), answer)
		w.does("CreateResourceServer", ofServer("a", twoScopes))
		want.Contains(w, l.ok("UpdateUserPoolClient", named+scopes+`}`), `"AllowedOAuthScopes":["openid","a/read"]`)
		// The resource servers of another pool are nothing to a client.
		other := w.newPool(nil)
		l.refused("CreateUserPoolClient", `{"UserPoolId":"`+other.ID+`","ClientName":"web","AllowedOAuthScopes":["a/read"]}`, unknown+"a/read")
	})
}

// TestOneResourceServer lets many make the same resource server at once: one does.
func TestOneResourceServer(t *testing.T) {
	t.Parallel()
	onBoth(t, nil, func(w *world) {
		var group sync.WaitGroup
		answers := make([]string, 12)
		for i := range answers {
			group.Go(func() { answers[i] = w.call("CreateResourceServer", ofServer("a", named1)) })
		}
		group.Wait()
		won := 0
		for _, a := range answers {
			if strings.HasPrefix(a, "{") {
				won++
				continue
			}
			want.Equal(w, a, invalid("a already exists in user pool "+w.pool.ID+"."))
		}
		want.Equal(w, won, 1)
	})
}
