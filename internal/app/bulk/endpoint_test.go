package bulk_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/app/bulk"
	"github.com/poolhouse/poolhouse/internal/app/caller"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const pool = "us-east-1_AbCdEf123"

// An endpoint is a server of which a test decides how it behaves. Users are listed in order, three a page.
type endpoint struct {
	*httptest.Server
	mu sync.Mutex

	users   []string
	values  map[string]map[string]string
	hidden  bool // changes do not show in lists
	changed map[string]int
	lists   []string // page tokens as they were asked for
	calls   int
	old     string // a page token that has expired

	// refuse, when it is not nil, may answer the n-th changing call of a user in the endpoint's place.
	refuse func(w http.ResponseWriter, user string, n int) bool
}

const perPage = 3

func serve(t *testing.T, users int) *endpoint {
	e := &endpoint{values: map[string]map[string]string{}, changed: map[string]int{}}
	for i := range users {
		name := fmt.Sprintf("user-%03d", i)
		e.users = append(e.users, name)
		e.values[name] = map[string]string{"email": name + "@example.com", "nickname": "nick"}
	}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) caller(t *testing.T) *caller.Caller {
	t.Helper()
	to, err := caller.ParseEndpoint(e.URL)
	want.NoError(t, err)
	return caller.New(to, caller.Credentials{ID: "AKIDEXAMPLE", Secret: "secret", Region: "us-east-1"})
}

func fault(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":%q,"message":%q}`, code, message)
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		UserPoolId, Username, PaginationToken string
		UserAttributes                        []bulk.Attribute
		UserAttributeNames                    []string
		Limit                                 int
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.UserPoolId != pool {
		fault(w, 400, "ResourceNotFoundException", "User pool "+in.UserPoolId+" does not exist.")
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch r.Header.Get("X-Amz-Target") {
	case "AWSCognitoIdentityProviderService.ListUsers":
		e.list(w, in.PaginationToken)
		return
	case "AWSCognitoIdentityProviderService.AdminUpdateUserAttributes", "AWSCognitoIdentityProviderService.AdminDeleteUserAttributes":
	default:
		fault(w, 400, "UnknownOperationException", "")
		return
	}
	e.calls++
	e.changed[in.Username]++
	if e.refuse != nil && e.refuse(w, in.Username, e.changed[in.Username]) {
		e.changed[in.Username]--
		return
	}
	if !e.hidden {
		for _, a := range in.UserAttributes {
			e.values[in.Username][a.Name] = a.Value
		}
		for _, name := range in.UserAttributeNames {
			delete(e.values[in.Username], name)
		}
	}
	_, _ = w.Write([]byte("{}"))
}

func (e *endpoint) list(w http.ResponseWriter, token string) {
	e.lists = append(e.lists, token)
	if token != "" && token == e.old {
		e.old = "" // what is listed anew has new tokens
		fault(w, 400, "InvalidParameterException", "Invalid pagination token.")
		return
	}
	from, err := strconv.Atoi(strings.TrimPrefix(token, "from-"))
	if err != nil {
		from = 0
	}
	to := min(from+perPage, len(e.users))
	out := struct {
		Users           []bulk.User
		PaginationToken string `json:",omitempty"`
	}{Users: []bulk.User{}}
	for _, name := range e.users[from:to] {
		u := bulk.User{Username: name}
		for attribute, value := range e.values[name] {
			u.Attributes = append(u.Attributes, bulk.Attribute{Name: attribute, Value: value})
		}
		out.Users = append(out.Users, u)
	}
	if to < len(e.users) {
		out.PaginationToken = fmt.Sprintf("from-%d", to)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// times is how often each user was changed, and how often that came.
func (e *endpoint) times() map[int]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := map[int]int{}
	for _, user := range e.users {
		n[e.changed[user]]++
	}
	return n
}
