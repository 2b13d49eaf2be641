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
	if _, err := os.Stat("node_modules/@aws-sdk/client-cognito-identity-provider"); err != nil {
		t.Fatalf("the JavaScript SDK is not installed; run test/npm.sh: %v", err)
	}
	s := dev(t)
	scenarios(t, s.client(t, "node", "--no-warnings", script))
}
