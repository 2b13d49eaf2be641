package clients_test

import (
	"os"
	"testing"
)

// TestJavaScriptSDK drives the newest SDK, which knows the members that older clients lack.
func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	javaScript(t, "js/operations.mjs")
}

// TestJavaScriptSDKPeople leads users through their lives.
func TestJavaScriptSDKPeople(t *testing.T) {
	t.Parallel()
	javaScript(t, "js/people.mjs")
}

// javaScript runs the scenarios of a script against a server of its own.
func javaScript(t *testing.T, script string) {
	t.Helper()
	installed(t)
	s := dev(t)
	scenarios(t, s.client(t, "node", "--no-warnings", script))
}

// installed stops the test where the JavaScript libraries are not there.
func installed(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("node_modules/.lock-hash"); err != nil {
		t.Fatalf("the JavaScript libraries are not installed; run test/npm.sh: %v", err)
	}
}

// TestIdentityJS signs users in with amazon-cognito-identity-js.
func TestIdentityJS(t *testing.T) {
	t.Parallel()
	javaScript(t, "js/identity.mjs")
}
