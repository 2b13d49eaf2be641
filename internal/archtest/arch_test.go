package archtest

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the repository, seen from this package.
const root = "../.."

// longFile is the length from which a file is worth splitting. It is a remark and not a failure.
const longFile = 800

// house parses all Go files of the repository.
func house(t *testing.T) []*file {
	t.Helper()
	var files []*file
	err := walk(root, func(name string, content []byte) error {
		if filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := parse(name, content)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d Go files found: this is not the repository", len(files))
	}
	return files
}

func TestHouse(t *testing.T) {
	t.Parallel()
	files := house(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, finding := range r.check(files) {
				t.Error(finding)
			}
		})
	}
}

// A row that nothing uses is a permission that nobody reviewed.
func TestTablesAreInUse(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, f := range house(t) {
		for _, use := range f.uses {
			for _, l := range libraries {
				if below(use, l.path) {
					used[l.path] = true
					for _, place := range l.places {
						used[l.path+" in "+place] = used[l.path+" in "+place] || below(f.dir(), place)
					}
				}
			}
			for _, r := range reservedThings {
				for place := range r.places {
					if slices.Contains(r.what, use) && below(f.dir(), place) {
						used[r.what[0]+" in "+place] = true
					}
				}
			}
		}
	}
	for _, l := range libraries {
		if !used[l.path] {
			t.Errorf("no package imports %s: remove its row from libraries", l.path)
			continue
		}
		for _, place := range l.places {
			if !used[l.path+" in "+place] {
				t.Errorf("%s does not import %s: remove the place from its row in libraries", place, l.path)
			}
		}
	}
	for _, r := range reservedThings {
		for place := range r.places {
			if !used[r.what[0]+" in "+place] {
				t.Errorf("%s does not use %s: remove the place from its row in reservedThings", place, r.what[0])
			}
		}
	}
}

func TestNoReferenceToAnotherMachine(t *testing.T) {
	t.Parallel()
	err := walk(root, func(name string, content []byte) error {
		if bytes.IndexByte(content[:min(len(content), 8000)], 0) >= 0 {
			return nil // not a text
		}
		for _, finding := range foreignTexts(name, string(content)) {
			t.Error(finding)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRemarkOnLongFiles(t *testing.T) {
	t.Parallel()
	for _, f := range house(t) {
		if lines := f.fset.Position(f.ast.FileEnd).Line; lines > longFile && !f.generated && !f.test {
			t.Logf("%s has %d lines: perhaps its story splits", f.path, lines)
		}
	}
}

// Each rule must be able to fail: it refuses one sample and accepts its neighbour.
func TestRulesRefuse(t *testing.T) {
	t.Parallel()
	const ours = module + "/internal/"
	source := func(imports ...string) string {
		text := "// Package x is a sample.\npackage x\n"
		for _, i := range imports {
			text += "import \"" + i + "\"\n"
		}
		return text
	}
	cases := []struct {
		rule, path, source, finding string // no finding: the sample is fine
	}{
		{"imports point one way", "internal/kit/seal/x.go", source(ours + "kit/clock"), "must not import internal/kit/clock"},
		{"imports point one way", "internal/kit/seal/x_test.go", source(ours+"kit/clock", ours+"testing/want"), ""},
		{"imports point one way", "internal/kit/seal/x_test.go", source(ours + "port/store"), "must not import internal/port/store"},
		{"imports point one way", "internal/domain/user/x.go", source(module + "/api"), "must not import api"},
		{"imports point one way", "internal/domain/user/x_test.go", source(ours + "adapter/sqlstore"), "must not import internal/adapter/sqlstore"},
		{"imports point one way", "internal/port/store/x.go", source(ours+"domain/user", ours+"kit/page"), ""},
		{"imports point one way", "internal/port/store/x.go", source(ours + "service/dispatch"), "must not import internal/service/dispatch"},
		{"imports point one way", "internal/service/dispatch/x.go", source(ours + "service/ops"), "must not import internal/service/ops"},
		{"imports point one way", "internal/service/ops/x.go", source(ours+"service/dispatch", ours+"service/tokens", module+"/api"), ""},
		{"imports point one way", "internal/service/ops/x.go", source(ours + "service/oauth"), "must not import internal/service/oauth"},
		{"imports point one way", "internal/service/ops/x.go", source(ours + "adapter/mailer"), "must not import internal/adapter/mailer"},
		{"imports point one way", "internal/service/ops/x_test.go", source(ours + "adapter/sqlstore"), ""},
		{"imports point one way", "internal/edge/wire/x.go", source(ours + "domain/user"), "must not import internal/domain/user"},
		{"imports point one way", "internal/adapter/mailer/x.go", source(ours + "adapter/texter"), "must not import internal/adapter/texter"},
		{"imports point one way", "internal/adapter/sqlstore/x.go", source(ours + "adapter/sqlstore/migrations"), ""},
		{"imports point one way", "internal/app/x.go", source(ours + "adapter/sqlstore"), ""},
		{"imports point one way", "internal/cli/x.go", source(ours + "adapter/sqlstore"), "must not import internal/adapter/sqlstore"},
		{"imports point one way", "cmd/poolhouse/main.go", source(ours + "app"), "must not import internal/app"},
		{"imports point one way", "attic/x.go", source(), "no room"},

		{"the domain has an order", "internal/domain/user/x.go", source(ours + "domain/token"), "user must not import token"},
		{"the domain has an order", "internal/domain/verify/x.go", source(ours + "domain/device"), "verify must not import device"},
		{"the domain has an order", "internal/domain/token/x.go", source(ours+"domain/pool", ours+"domain/user"), ""},
		{"the domain has an order", "internal/domain/stuff/x.go", source(), "has no rank"},

		{"only tests use test helpers", "internal/app/x.go", source(ours + "testing/want"), "is for tests"},
		{"only tests use test helpers", "internal/app/x.go", source("testing"), "is for tests"},
		{"only tests use test helpers", "internal/app/x.go", source(ours + "port/store/storetest"), "is for tests"},
		{"only tests use test helpers", "internal/port/store/storetest/x.go", source("testing", ours+"testing/want"), ""},
		{"only tests use test helpers", "poolhousetest/x.go", source("testing"), ""},

		{"forbidden imports", "internal/domain/pool/x.go", source("os"), "must not import os"},
		{"forbidden imports", "internal/service/ops/x.go", source("encoding/json"), "must not import encoding/json"},
		{"forbidden imports", "internal/service/jobs/x.go", source("database/sql"), "must not import database/sql"},
		{"forbidden imports", "internal/service/jobs/x.go", source("encoding/json"), ""},

		{"reserved calls", "internal/service/ops/x.go", source("time") + "var x = time.Now()", "time.Now is reserved"},
		{"reserved calls", "internal/service/ops/x.go", "package x\nimport t \"time\"\nvar x = t.Now", "time.Now is reserved"},
		{"reserved calls", "internal/service/ops/x.go", source("time") + "var x = time.Second", ""},
		{"reserved calls", "internal/service/ops/x_test.go", source("time") + "var x = time.Now()", ""},
		{"reserved calls", "internal/kit/clock/x.go", source("time") + "var x = time.Now()", ""},
		{"reserved calls", "internal/kit/page/x.go", source("math/rand/v2"), "math/rand/v2 is reserved"},
		{"reserved calls", "internal/kit/seal/x.go", source("crypto/rand"), "crypto/rand is reserved"},
		{"reserved calls", "internal/adapter/lambda/x.go", source("net/http") + "var x = http.DefaultClient", "net/http.DefaultClient is reserved"},
		{"reserved calls", "internal/app/x.go", source("fmt") + "func f() { fmt.Println() }", "fmt.Println is reserved"},
		{"reserved calls", "internal/cli/x.go", source("context") + "var x = context.Background()", ""},
		{"reserved calls", "internal/service/jobs/x.go", source("context") + "var x = context.Background()", "context.Background is reserved"},
		{"reserved calls", "internal/service/jobs/x.go", source("os") + "func f() { os.Exit(1) }", "os.Exit is reserved"},

		{"libraries have a place", "internal/service/ops/x.go", source("github.com/jackc/pgx/v5/pgxpool"), "has its place in"},
		{"libraries have a place", "internal/adapter/sqlstore/x.go", source("github.com/jackc/pgx/v5/pgxpool"), ""},
		{"libraries have a place", "internal/service/ops/x.go", source("pgregory.net/rapid"), "has its place in"},
		{"libraries have a place", "internal/service/ops/x_test.go", source("pgregory.net/rapid"), ""},
		{"libraries have a place", "internal/service/ops/x_test.go", source("example.com/new"), "has no row in libraries"},

		{"no init", "internal/app/x.go", source() + "func init() {}", "an init function"},
		{"no init", "internal/app/x.go", source() + "type t struct{}\nfunc (t) init() {}", ""},

		{"generated files are called zz", "api/types.go", "// Code generated by gen. DO NOT EDIT.\n\n" + source(), "called zz_"},
		{"generated files are called zz", "api/zz_types.go", source(), "called zz_"},
		{"generated files are called zz", "api/zz_types.go", "// Code generated by gen. DO NOT EDIT.\n\n" + source(), ""},

		{"packages say what they are", "internal/app/x.go", "package x\n", "no package comment"},
		{"packages say what they are", "internal/app/x.go", source(), ""},

		{"names say something", "internal/kit/x.go", "package util\n", "called util"},
		{"names say something", "internal/kit/x.go", source(), ""},
	}
	for _, r := range rules {
		if !slices.ContainsFunc(cases, func(c struct{ rule, path, source, finding string }) bool { return c.rule == r.name && c.finding != "" }) {
			t.Errorf("rule %q has no sample that it refuses", r.name)
		}
	}
	for _, c := range cases {
		name := c.rule + "/" + c.path + "/" + c.finding
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := parse(c.path, []byte(c.source))
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })
			if i < 0 {
				t.Fatalf("there is no rule %q", c.rule)
			}
			found := rules[i].check([]*file{f})
			switch {
			case c.finding == "" && len(found) > 0:
				t.Errorf("refused:\n%s\nbecause: %s", c.source, strings.Join(found, "\n"))
			case c.finding != "" && (len(found) != 1 || !strings.Contains(found[0], c.finding)):
				t.Errorf("sample:\n%s\nfound %q, wanted one finding with %q", c.source, found, c.finding)
			}
		})
	}
}

func TestForeignTextsRefuse(t *testing.T) {
	t.Parallel()
	for _, part := range foreign {
		if found := foreignTexts("README.md", "first line\nsee "+part+"x"); len(found) != 1 || !strings.HasPrefix(found[0], "README.md:2:") {
			t.Errorf("a line with %q gives %q, wanted one finding in line 2", part, found)
		}
	}
	if found := foreignTexts("README.md", "a shared framework\n"); len(found) != 0 {
		t.Errorf("a plain text gives %q", found)
	}
}
