// Package docs_test holds the pages for users against the tree: links lead somewhere, and what is counted is counted right.
package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

const root = "../.."

var (
	link     = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	test     = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	testName = regexp.MustCompile("`(Test\\w+)`")
	counted  = regexp.MustCompile(`\b\d+ (of the 140|operations are built|so far)\b`)
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

// TestBuiltOperations holds that one page counts the operations that are built: the generated list. A number that people write grows
// old with the next operation.
func TestBuiltOperations(t *testing.T) {
	t.Parallel()
	all := pages(t)
	list := filepath.Join(root, "docs/reference/operations.md")
	described, built := strings.Count(all[list], "| described |"), strings.Count(all[list], "| **built** |")
	want.Contains(t, all[list], fmt.Sprintf("All %d operations of the API are described", described+built))
	want.Contains(t, all[list], fmt.Sprintf(" %d are built.", built))
	for path, text := range all {
		if path == list {
			continue
		}
		for _, found := range counted.FindAllString(text, -1) {
			t.Errorf("%s says %q; let it link to docs/reference/operations.md", path, found)
		}
	}
}

// TestAttacksAreTried holds that the tests exist which the page about security names.
func TestAttacksAreTried(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, found := range test.FindAllStringSubmatch(string(text), -1) {
			declared[found[1]] = true
		}
		return err
	})
	want.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs/security.md"))
	want.NoError(t, err)
	named := testName.FindAllStringSubmatch(string(page), -1)
	want.True(t, len(named) > 20, "the page names %d tests", len(named))
	for _, name := range named {
		want.True(t, declared[name[1]], "docs/security.md names %s, which is no test", name[1])
	}
}
