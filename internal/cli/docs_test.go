package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestReferenceIsFresh(t *testing.T) {
	t.Parallel()
	pages, err := reference()
	want.NoError(t, err)
	for name, text := range pages {
		have, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", name))
		want.NoError(t, err)
		want.True(t, string(have) == text, "docs/reference/%s is what make generate would write", name)
	}
}

func TestReferenceIsComplete(t *testing.T) {
	t.Parallel()
	pages, err := reference()
	want.NoError(t, err)
	for _, s := range api.All() {
		want.Contains(t, pages["operations.md"], "| "+s.Name+" | ")
	}
	want.Contains(t, pages["operations.md"], "| AdminUpdateUserAttributes | **built** | access key | UserUpdate | ")
	want.Contains(t, pages["operations.md"], "| ConfirmDevice | described | ")
	for _, f := range config.Fields() {
		want.Contains(t, pages["config.md"], "| `"+f.Name+"` | ")
	}
	want.Contains(t, pages["errors.md"], "| AliasExistsException | ")
	for _, command := range []string{"dev", "serve", "keys create", "journal", "doctor", "bench"} {
		want.Contains(t, pages["cli.md"], "\n## poolhouse "+command)
	}
	want.True(t, !strings.Contains(pages["cli.md"], "bench-ceiling"), "hidden commands stay hidden")
}

func TestExampleConfig(t *testing.T) {
	t.Parallel()
	file, err := config.Parse([]byte(exampleConfig))
	want.NoError(t, err)
	c := config.Defaults()
	_, err = config.Settle(&c, file, func(string) bool { return false }, func(string) (string, bool) { return "", false })
	want.NoError(t, err)
	want.NoError(t, c.Check())
	want.Equal(t, len(c.Risks()), 0)
}
