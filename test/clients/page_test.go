package clients_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

var block = regexp.MustCompile("(?s)```(yaml|js|py)\n(.*?)```\n")

// TestSignInPage runs the lines of the page for people who connect an application. Each of them prints true and the user's name.
func TestSignInPage(t *testing.T) {
	t.Parallel()
	installed(t)
	page, err := os.ReadFile("../../docs/start/sign-in.md")
	want.NoError(t, err)
	blocks := block.FindAllStringSubmatch(string(page), -1)
	want.Equal(t, len(blocks), 6)
	want.Equal(t, blocks[0][1], "yaml")
	pools := filepath.Join(t.TempDir(), "pools.yaml")
	want.NoError(t, os.WriteFile(pools, []byte(blocks[0][2]), 0o600))
	s := dev(t, "--apply", pools)
	_, id := s.tokens(t, "us-east-1_shop00001", "web", "jane")
	for _, b := range blocks[1:] { // one after the other: the last of them changes the client
		lines := strings.ReplaceAll(b[2], "http://127.0.0.1:9229", s.Endpoint)
		want.Contains(t, lines, s.Endpoint)
		c := command(t, python(), "-c", lines)
		if b[1] == "js" {
			c = command(t, "node", "--no-warnings", "--input-type=module", "--eval", "const idToken = '"+id+"';\n"+lines)
		}
		want.Equal(t, strings.TrimSpace(succeed(t, c)), "true jane")
	}
}
