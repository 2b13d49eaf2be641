// Package docs_test holds the pages for users against the tree: links lead somewhere, and what is counted is counted right.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const root = "../.."

var (
	link    = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	counted = regexp.MustCompile(`\b(\d+) of the 140`)
)

// pages are the Markdown files that people write and generate, by their path below the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || path != root && strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	want.NoError(t, err)
	want.True(t, len(all) > 20, "there are more than %d pages", len(all))
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for path, text := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			target := found[1]
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); err != nil {
				t.Errorf("%s links to %s: %v", path, target, err)
			}
		}
	}
}

// TestEveryPageIsOnTheMap looks for pages that nobody finds.
func TestEveryPageIsOnTheMap(t *testing.T) {
	t.Parallel()
	linked := map[string]bool{}
	all := pages(t)
	for path, text := range all {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			linked[filepath.Join(filepath.Dir(path), found[1])] = true
		}
	}
	for path := range all {
		if strings.HasPrefix(path, filepath.Join(root, "docs")) && !linked[path] {
			t.Errorf("no page links to %s", path)
		}
	}
}

// TestBuiltOperations compares the number of built operations that pages tell with the generated list.
func TestBuiltOperations(t *testing.T) {
	t.Parallel()
	all := pages(t)
	list := all[filepath.Join(root, "docs/reference/operations.md")]
	total, built := strings.Count(list, "| described |"), strings.Count(list, "| **built** |")
	total += built
	want.Equal(t, total, 140)
	told := 0
	for path, text := range all {
		for _, found := range counted.FindAllStringSubmatch(text, -1) {
			told++
			want.True(t, found[1] == strconv.Itoa(built), "%s says that %s operations are built; they are %d", path, found[1], built)
		}
	}
	want.True(t, told > 0, "the README says how many operations are built")
}
