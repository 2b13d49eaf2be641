package clients_test

import (
	"os"
	"os/exec"
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

// TestAmplify signs users in with aws-amplify, on a page in a real browser.
func TestAmplify(t *testing.T) {
	t.Parallel()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("the browser is missing; the Debian package that has it is chromium: %v", err)
	}
	javaScript(t, "js/amplify.mjs", browser)
}

// TestJavaScriptSDKSignIn signs users in with the newest SDK, in the ways that older clients do not know.
func TestJavaScriptSDKSignIn(t *testing.T) {
	t.Parallel()
	javaScript(t, "js/sign_in.mjs")
}

// javaScript runs the scenarios of a script against a server of its own, whose functions ask riddles.
func javaScript(t *testing.T, script string, args ...string) {
	t.Helper()
	installed(t)
	s := dev(t, "--trigger", "*="+functions(t))
	scenarios(t, s.client(t, "node", append([]string{"--no-warnings", script}, args...)...))
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
