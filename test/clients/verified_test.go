package clients_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// key is what `poolhouse keys create --json` prints.
type key struct {
	ID     string
	Kind   string
	Secret string `json:"secret_access_key"`
	Token  string
}

// createKey makes a key beside the running server, as an operator does.
func (s *server) createKey(t *testing.T, args ...string) key {
	t.Helper()
	out := succeed(t, command(t, binary, append([]string{"keys", "create", "--json", "--data", s.Data}, args...)...))
	var k key
	want.NoError(t, json.Unmarshal([]byte(out), &k))
	return k
}

// verified starts `poolhouse serve` with a key that may do everything and a bearer key.
func verified(t *testing.T) *server {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, "serve", "--data", data)
	if s.Data == "" {
		s.Data = data
	}
	k := s.createKey(t, "--name", "tests")
	want.True(t, strings.HasPrefix(k.ID, "AKIA") && k.Secret != "", "the key %q has a secret and looks like an AWS key", k.ID)
	s.AccessKeyID, s.SecretAccessKey = k.ID, k.Secret
	s.Bearer = s.createKey(t, "--name", "curl", "--bearer").Token
	want.True(t, s.Bearer != "", "the bearer key has a token")
	return s
}
