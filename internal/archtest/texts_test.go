package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// TestTextsAreUsed holds that every text of the catalogue is sent from somewhere: one that is not would stand in the
// reference and mislead its readers.
func TestTextsAreUsed(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\bfault\.(\w+)`)
	unused := map[string]bool{}
	for _, text := range fault.Catalogue() {
		unused[text.Name] = true
	}
	if len(unused) < 100 {
		t.Fatalf("the catalogue has only %d texts", len(unused))
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, found := range mention.FindAllSubmatch(source, -1) {
			delete(unused, string(found[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range unused {
		t.Errorf("nothing sends the text %s: remove its line from catalogue.txt", name)
	}
}
