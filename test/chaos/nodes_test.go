//go:build linux

package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/testing/pgtest"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// nodes are two servers on one database, without a load: whatever one knows, the other must know at once.
type nodes struct {
	servers      [2]*Server
	http         *http.Client
	pool, client string
	dsn          string // of their database
}

// The passwords of their users.
const (
	formerPassword = "Password-1"
	newPassword    = "Password-2"
)

func startNodes(t *testing.T) *nodes {
	t.Helper()
	dir, dsn := t.TempDir(), pgtest.Database(t)
	key := filepath.Join(dir, "key")
	want.NoError(t, writeKey(key))
	n := &nodes{dsn: dsn, http: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(n.http.CloseIdleConnections)
	for i := range n.servers {
		n.servers[i] = NewServer(t, program.Path(t), dir, "node"+strconv.Itoa(i), "dev", "--data", filepath.Join(dir, "data"), "--key-file", key, "--database", dsn)
		_, err := n.servers[i].Start()
		want.NoError(t, err)
	}
	var made struct{ UserPool struct{ Id string } } //nolint:revive // the name on the wire
	n.must(t, 0, "CreateUserPool", map[string]any{"PoolName": "nodes", "AutoVerifiedAttributes": []string{"email"}, "AliasAttributes": []string{"email"},
		"UserAttributeUpdateSettings": map[string]any{"AttributesRequireVerificationBeforeUpdate": []string{"email"}}}, &made)
	n.pool = made.UserPool.Id
	var client struct{ UserPoolClient struct{ ClientId string } } //nolint:revive // the name on the wire
	n.must(t, 1, "CreateUserPoolClient", map[string]any{"UserPoolId": n.pool, "ClientName": "web",
		"ExplicitAuthFlows": []string{"ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}}, &client)
	n.client = client.UserPoolClient.ClientId
	return n
}

// call makes a call to a node.
func (n *nodes) call(node int, operation string, input map[string]any) reply {
	body, err := json.Marshal(input)
	if err != nil {
		return reply{err: err}
	}
	return send(n.http, n.servers[node].Endpoint, operation, body)
}

// must makes a call that succeeds.
func (n *nodes) must(t *testing.T, node int, operation string, input map[string]any, answer any) {
	t.Helper()
	r := n.call(node, operation, input)
	if r.err != nil || r.status != http.StatusOK {
		t.Fatalf("%s %v: %v %d %s", operation, input, r.err, r.status, r.body)
	}
	if answer != nil {
		want.NoError(t, json.Unmarshal(r.body, answer))
	}
}

// refused makes a call that is refused by exactly this.
func (n *nodes) refused(t *testing.T, node int, operation, fault string, input map[string]any) {
	t.Helper()
	r := n.call(node, operation, input)
	var said struct{ Message string }
	if r.err == nil && r.status != http.StatusOK {
		want.NoError(t, json.Unmarshal(r.body, &said))
	}
	if got := r.code + ": " + said.Message; r.err != nil || got != fault {
		t.Fatalf("node %d, %s: got %v %d %q, wanted %q", node, operation, r.err, r.status, got, fault)
	}
}

// console asks the console of a node.
func (n *nodes) console(t *testing.T, node int, path string, data, answer any) {
	t.Helper()
	method, body := http.MethodGet, []byte(nil)
	if data != nil {
		var err error
		body, err = json.Marshal(data)
		want.NoError(t, err)
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, n.servers[node].Endpoint+"/_poolhouse/"+path, bytes.NewReader(body))
	want.NoError(t, err)
	req.Header.Set("Accept", "application/json")
	resp, err := n.http.Do(req)
	want.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	want.NoError(t, err)
	want.Equal(t, resp.StatusCode, http.StatusOK)
	want.NoError(t, json.Unmarshal(text, answer))
}

// code is the one in the newest message to an address.
func (n *nodes) code(t *testing.T, address string) string {
	t.Helper()
	var inbox struct{ Messages []struct{ Code string } }
	n.console(t, 1, "inbox.json?limit=1&to="+url.QueryEscape(address), nil, &inbox)
	want.Equal(t, len(inbox.Messages), 1)
	return inbox.Messages[0].Code
}

// token makes an access token of a user, with a node's keys.
func (n *nodes) token(t *testing.T, node int, user string) string {
	t.Helper()
	var issued struct {
		AuthenticationResult struct{ AccessToken string }
	}
	n.console(t, node, "tokens", map[string]string{"pool": n.pool, "client": n.client, "username": user}, &issued)
	return issued.AuthenticationResult.AccessToken
}

// user makes a confirmed user with a verified address.
func (n *nodes) user(t *testing.T, name string) {
	t.Helper()
	n.must(t, 0, "AdminCreateUser", map[string]any{"UserPoolId": n.pool, "Username": name, "MessageAction": "SUPPRESS",
		"UserAttributes": attributes(map[string]string{"email": name + "@example.com", "email_verified": "true"})}, nil)
	n.must(t, 0, "AdminSetUserPassword", map[string]any{"UserPoolId": n.pool, "Username": name, "Password": formerPassword, "Permanent": true}, nil)
}

// A proof is a code that a user has to show, and the call that takes it.
type proof struct {
	operation string
	budget    verify.Budget
	used      []string // what may be said of a code that is used up
	// ask makes a user who has a code. The input lacks the code alone.
	ask func(t *testing.T, n *nodes, name string) (code string, input map[string]any)
}

var proofs = []proof{
	{"ConfirmSignUp", verify.ConfirmSignUp, []string{"NotAuthorizedException"}, func(t *testing.T, n *nodes, name string) (string, map[string]any) {
		t.Helper()
		n.must(t, 0, "SignUp", map[string]any{"ClientId": n.client, "Username": name, "Password": formerPassword,
			"UserAttributes": attributes(map[string]string{"email": name + "@example.com"})}, nil)
		return n.code(t, name+"@example.com"), map[string]any{"ClientId": n.client, "Username": name}
	}},
	{"ConfirmForgotPassword", verify.ConfirmRecovery, []string{"ExpiredCodeException"}, func(t *testing.T, n *nodes, name string) (string, map[string]any) {
		t.Helper()
		n.user(t, name)
		n.must(t, 0, "ForgotPassword", map[string]any{"ClientId": n.client, "Username": name}, nil)
		return n.code(t, name+"@example.com"), map[string]any{"ClientId": n.client, "Username": name, "Password": newPassword}
	}},
	{"VerifyUserAttribute", verify.VerifyAttribute, []string{"ExpiredCodeException"}, func(t *testing.T, n *nodes, name string) (string, map[string]any) {
		t.Helper()
		n.user(t, name)
		token := n.token(t, 0, name)
		n.must(t, 0, "UpdateUserAttributes", map[string]any{"AccessToken": token, "UserAttributes": attributes(map[string]string{"email": name + "@next.example.com"})}, nil)
		return n.code(t, name+"@next.example.com"), map[string]any{"AccessToken": token, "AttributeName": "email"}
	}},
}

// with adds the code to the input of the proof.
func (p proof) with(input map[string]any, code string) map[string]any {
	member := "ConfirmationCode"
	if p.operation == "VerifyUserAttribute" {
		member = "Code"
	}
	input = maps.Clone(input)
	input[member] = code
	return input
}

// atOnce makes calls at the same time, at both nodes in turn, and counts what came: "" for success, else the exception.
func (n *nodes) atOnce(t *testing.T, times int, operation string, input map[string]any) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, r := range n.together(t, times, func(int) (string, map[string]any) { return operation, input }) {
		count[r.code]++
	}
	return count
}

// together makes different calls at the same time, at both nodes in turn.
func (n *nodes) together(t *testing.T, times int, call func(i int) (operation string, input map[string]any)) []reply {
	t.Helper()
	replies := make([]reply, times)
	var done sync.WaitGroup
	for i := range replies {
		operation, input := call(i)
		done.Go(func() { replies[i] = n.call(i%len(n.servers), operation, input) })
	}
	done.Wait()
	for _, r := range replies {
		if r.err != nil || r.status >= http.StatusInternalServerError {
			t.Errorf("a call failed: %v %d %s", r.err, r.status, r.body)
		}
	}
	return replies
}

// TestTwoNodesTakeACodeOnce shows a right code to two servers at the same time, again and again.
func TestTwoNodesTakeACodeOnce(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	for _, p := range proofs {
		t.Run(p.operation, func(t *testing.T) {
			t.Parallel()
			for i := range Rounds(t, 8) {
				code, input := p.ask(t, n, fmt.Sprintf("%s-%d", strings.ToLower(p.operation), i))
				got := n.atOnce(t, 12, p.operation, p.with(input, code))
				if got[""] != 1 {
					t.Errorf("round %d: a code was accepted %d times: %v", i, got[""], got)
				}
				for name := range got {
					if name != "" && name != "TooManyRequestsException" && !slices.Contains(p.used, name) {
						t.Errorf("round %d: an answer was %s", i, name)
					}
				}
			}
		})
	}
}

// TestTwoNodesCountTogether guesses 500 times at once, at two servers. No more guesses are looked at than the limit of an hour, the
// servers agree on how many, and one that is killed and comes back knows it too.
func TestTwoNodesCountTogether(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	const guesses = 500
	codes, inputs, left := make([]string, len(proofs)), make([]map[string]any, len(proofs)), make([]int, len(proofs))
	for i, p := range proofs {
		codes[i], inputs[i] = p.ask(t, n, strings.ToLower(p.operation))
		wrong := "000000"
		if codes[i] == wrong {
			wrong = "000001"
		}
		got := n.atOnce(t, guesses, p.operation, p.with(inputs[i], wrong))
		evaluated := got["CodeMismatchException"]
		left[i] = p.budget.Limit() - evaluated
		if left[i] < 0 || evaluated+got["LimitExceededException"]+got["TooManyRequestsException"] != guesses {
			t.Errorf("%s: of %d guesses %d may be evaluated: %v", p.operation, guesses, p.budget.Limit(), got)
		}
		t.Logf("%s: %v", p.operation, got)
	}
	want.NoError(t, n.servers[1].Kill())
	_, err := n.servers[1].Start()
	want.NoError(t, err)
	for i, p := range proofs {
		for try := range left[i] {
			n.refused(t, try%2, p.operation, "CodeMismatchException: Invalid verification code provided, please try again.", p.with(inputs[i], "x"))
		}
		for node := range n.servers {
			n.refused(t, node, p.operation, "LimitExceededException: Attempt limit exceeded, please try after some time.", p.with(inputs[i], codes[i]))
		}
	}
}

// TestTwoNodesRevokeAtOnce ends tokens and users at one server, and uses them at the other right after the answer.
func TestTwoNodesRevokeAtOnce(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	const revoked = "NotAuthorizedException: Access Token has been revoked"
	user := func(name string) map[string]any { return map[string]any{"UserPoolId": n.pool, "Username": name} }
	n.user(t, "jane")
	for round := range Rounds(t, 5) {
		here, there := round%2, 1-round%2
		access := map[string]any{"AccessToken": n.token(t, here, "jane")}
		// The other server has verified this token before, so that whatever it keeps, it keeps now.
		n.must(t, there, "GetUser", access, nil)
		n.must(t, here, "GlobalSignOut", access, nil)
		n.refused(t, there, "GetUser", revoked, access)

		access = map[string]any{"AccessToken": n.token(t, here, "jane")}
		n.must(t, there, "GetUser", access, nil)
		n.must(t, here, "AdminUserGlobalSignOut", user("jane"), nil)
		n.refused(t, there, "GetUser", revoked, access)

		access = map[string]any{"AccessToken": n.token(t, there, "jane")}
		n.must(t, there, "GetUser", access, nil)
		n.must(t, here, "AdminDisableUser", user("jane"), nil)
		n.refused(t, there, "GetUser", revoked, access)
		n.refused(t, there, "UpdateUserAttributes", revoked,
			map[string]any{"AccessToken": access["AccessToken"], "UserAttributes": attributes(map[string]string{"nickname": "x"})})
		n.refused(t, there, "ForgotPassword", "NotAuthorizedException: User is disabled.", map[string]any{"ClientId": n.client, "Username": "jane"})
		n.must(t, here, "AdminEnableUser", user("jane"), nil)
	}
	access := map[string]any{"AccessToken": n.token(t, 1, "jane")}
	n.must(t, 0, "AdminDeleteUser", user("jane"), nil)
	n.refused(t, 1, "GetUser", "UserNotFoundException: User does not exist.", access)
	n.refused(t, 1, "AdminGetUser", "UserNotFoundException: User does not exist.", user("jane"))
}

// TestTwoNodesInventTheSame asks two servers, and one of them after a crash, where the code for somebody who does not exist went: an
// answer that changed would tell that it is invented.
func TestTwoNodesInventTheSame(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	var client struct{ UserPoolClient struct{ ClientId string } } //nolint:revive // the name on the wire
	n.must(t, 0, "CreateUserPoolClient", map[string]any{"UserPoolId": n.pool, "ClientName": "hiding", "PreventUserExistenceErrors": "ENABLED"}, &client)
	ask := func(node int, operation, name string) string {
		r := n.call(node, operation, map[string]any{"ClientId": client.UserPoolClient.ClientId, "Username": name})
		want.NoError(t, r.err)
		want.Contains(t, string(r.body), `"CodeDeliveryDetails":{"Destination":"`)
		return string(r.body)
	}
	first := map[string]string{}
	for i := range 10 {
		name := fmt.Sprintf("nobody%d", i)
		first[name] = ask(0, "ForgotPassword", name)
		want.Equal(t, ask(1, "ForgotPassword", name), first[name])
		want.Equal(t, ask(1, "ResendConfirmationCode", name), first[name])
	}
	want.NoError(t, n.servers[0].Kill())
	_, err := n.servers[0].Start()
	want.NoError(t, err)
	different := map[string]bool{}
	for name, answer := range first {
		want.Equal(t, ask(0, "ForgotPassword", name), answer)
		different[answer] = true
	}
	want.True(t, len(different) > 3, "%d names have %d destinations", len(first), len(different))
}
