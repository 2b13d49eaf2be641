package clients_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// users runs a command of `poolhouse users` as anybody would, with the server's key.
func (s *server) users(t *testing.T, pool string, args ...string) *exec.Cmd {
	t.Helper()
	return s.client(t, binary, append([]string{"users", args[0], "--pool", pool, "--endpoint", s.Endpoint}, args[1:]...)...)
}

// The bulk commands against a server that verifies signatures, checked by the AWS CLI.
func TestUsersCommands(t *testing.T) {
	t.Parallel()
	const pool = "us-east-1_Bulk00001"
	file := `{"Pools":[{"PoolName":"bulk","UserPoolTags":{"_custom_id_":"` + pool + `"},"Schema":[{"Name":"plan","AttributeDataType":"String","Mutable":true}],"Users":[`
	for i := range 7 {
		file += fmt.Sprintf(`{"Username":"user-%d","MessageAction":"SUPPRESS","UserAttributes":[{"Name":"email","Value":"%c%d@example.com"},{"Name":"nickname","Value":"nick"}]},`, i, 'a'+i%2, i)
	}
	path := filepath.Join(t.TempDir(), "pools.json")
	want.NoError(t, os.WriteFile(path, []byte(strings.TrimSuffix(file, ",")+"]}]}"), 0o600))
	s := dev(t, "--allow-remote", "--apply", path)
	out := succeed(t, s.users(t, pool, "list", "--filter", `email ^= "a"`))
	want.Equal(t, strings.Count(out, "@example.com"), 4)
	want.Contains(t, succeed(t, s.users(t, pool, "show", "user-1")), "b1@example.com")
	update := []string{"update", "--filter", `email ^= "a"`, "--set", "custom:plan=pro", "--unset", "nickname"}
	want.Contains(t, succeed(t, s.users(t, pool, append(update, "--dry-run")...)), "4 users selected, 4 to change")
	want.Equal(t, s.attributes(t, pool, "user-0")["custom:plan"], "")
	state := filepath.Join(t.TempDir(), "state")
	want.Contains(t, succeed(t, s.users(t, pool, append(update, "--yes", "--resume", state)...)), "4 changed")
	for i := range 2 {
		attributes := s.attributes(t, pool, fmt.Sprintf("user-%d", i))
		_, nick := attributes["nickname"]
		want.True(t, (attributes["custom:plan"] == "pro") == (i%2 == 0) && nick == (i%2 == 1), "user %d was treated right: %v", i, attributes)
	}
	refused := finish(t, s.users(t, pool, "update", "--set", "custom:none=x", "--yes"))
	want.True(t, refused.code == 1, "the exit code is %d", refused.code)
	want.Contains(t, refused.stdout, "7 refused")

	wrong := s.users(t, pool, "list")
	wrong.Env = append(wrong.Env, "AWS_SECRET_ACCESS_KEY=wrong")
	told := finish(t, wrong)
	want.True(t, told.code == 1, "the exit code is %d", told.code)
	want.Contains(t, told.stderr, "InvalidSignatureException")
}
