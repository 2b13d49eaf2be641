package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A file is a parsed Go file of the repository.
type file struct {
	path      string // from the root, with slashes
	test      bool   // belongs to tests alone: by its name, or by living in internal/testing, test/ or a room called …test
	generated bool   // says so itself
	fset      *token.FileSet
	ast       *ast.File
}

func (f *file) dir() string { return path.Dir(f.path) }

// at says where a node stands.
func (f *file) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(n.Pos()).Line)
}

// imports yields the file's import declarations with their paths.
func (f *file) imports(yield func(*ast.ImportSpec, string) bool) {
	for _, spec := range f.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !yield(spec, imported) {
			return
		}
	}
}

// A rule turns files into findings, each a place and what is wrong there.
type rule struct {
	name  string
	check func(files []*file) []string
}

var rules = []rule{
	{"imports point one way", importDirection},
	{"the domain has an order", domainOrder},
	{"only tests use test helpers", testHelpers},
	{"forbidden imports", forbiddenStandard},
	{"reserved calls", reservedCalls},
	{"libraries have a place", libraryPlaces},
	{"no init", noInit},
	{"generated files are called zz", generatedNames},
	{"packages say what they are", packageComments},
	{"names say something", packageNames},
}

// below reports whether dir is folder or lies in it.
func below(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }

// ours returns the folder of an import of this module.
func ours(imported string) (string, bool) {
	dir, ok := strings.CutPrefix(imported, module+"/")
	return dir, ok
}

// roomOf returns the longest room that holds dir, or nil.
func roomOf(dir string) *room {
	var found *room
	for i := range rooms {
		if below(dir, rooms[i].path) && (found == nil || len(rooms[i].path) > len(found.path)) {
			found = &rooms[i]
		}
	}
	return found
}

// isTest reports whether a Go file is never part of the server.
func isTest(name string) bool {
	dir := path.Dir(name)
	return strings.HasSuffix(name, "_test.go") || below(dir, "internal/testing") || below(dir, "internal/archtest") || below(dir, "test") || isTestKit(dir)
}

// isTestKit reports whether a folder is the contract test of a port, as in port/store/storetest.
func isTestKit(dir string) bool {
	return below(dir, "internal") && strings.HasSuffix(path.Base(dir), "test") && path.Base(dir) == path.Base(path.Dir(dir))+"test"
}

// pure reports whether even the tests of a folder must do without the rest of the house.
func pure(dir string) bool { return below(dir, "internal/kit") || below(dir, "internal/domain") }

func importDirection(files []*file) (out []string) {
	for _, f := range files {
		from := roomOf(f.dir())
		if from == nil {
			out = append(out, f.path+": this folder is no room of the house; give it a row in rooms")
			continue
		}
		if f.test && !pure(f.dir()) {
			continue
		}
		for spec, imported := range f.imports {
			to, ok := ours(imported)
			if !ok || to == f.dir() || below(to, "internal/testing") || (f.test && below(to, "internal/kit")) {
				continue
			}
			allowed := from.within && below(to, from.path) || from.path != "internal/app" && below(to, f.dir())
			for _, may := range from.may {
				allowed = allowed || below(to, may)
			}
			if from.path != "internal/app" && below(to, "internal/adapter") && !below(to, f.dir()) {
				allowed = false
			}
			if !allowed {
				out = append(out, fmt.Sprintf("%s: %s must not import %s: %s", f.at(spec), from.path, to, from.why))
			}
		}
	}
	return out
}

func domainOrder(files []*file) (out []string) {
	name := func(dir string) string {
		first, _, _ := strings.Cut(strings.TrimPrefix(dir, "internal/domain/"), "/")
		return first
	}
	for _, f := range files {
		if !below(f.dir(), "internal/domain") {
			continue
		}
		from := name(f.dir())
		rank, ok := domainRank[from]
		if !ok {
			out = append(out, f.path+": domain package "+from+" has no rank; give it one in domainRank")
			continue
		}
		for spec, imported := range f.imports {
			dir, ok := ours(imported)
			if !ok || !below(dir, "internal/domain") || name(dir) == from {
				continue
			}
			if other, known := domainRank[name(dir)]; !known || other >= rank {
				out = append(out, fmt.Sprintf("%s: %s must not import %s: nouns of the domain build on simpler ones, never the other way or sideways", f.at(spec), from, name(dir)))
			}
		}
	}
	return out
}

func testHelpers(files []*file) (out []string) {
	for _, f := range files {
		if f.test {
			continue
		}
		for spec, imported := range f.imports {
			dir, ok := ours(imported)
			if (ok && (below(dir, "internal/testing") || below(dir, "test") || isTestKit(dir) || dir == "poolhousetest")) || imported == "testing" && f.dir() != "poolhousetest" {
				out = append(out, fmt.Sprintf("%s: %s is for tests: what ships must not carry it", f.at(spec), imported))
			}
		}
	}
	return out
}

func forbiddenStandard(files []*file) (out []string) {
	for _, f := range files {
		if f.test {
			continue
		}
		for _, row := range forbiddenImports {
			if !below(f.dir(), row.room) {
				continue
			}
			for spec, imported := range f.imports {
				if slices.Contains(row.imports, imported) {
					out = append(out, fmt.Sprintf("%s: %s must not import %s: %s", f.at(spec), row.room, imported, row.why))
				}
			}
		}
	}
	return out
}

// uses yields what a file uses of other packages, as "path" for each import and "path.Name" for each mention.
func (f *file) uses(yield func(ast.Node, string) bool) {
	names := map[string]string{}
	for spec, imported := range f.imports {
		if !yield(spec, imported) {
			return
		}
		name := path.Base(imported)
		if _, err := strconv.Atoi(strings.TrimPrefix(name, "v")); err == nil {
			name = path.Base(path.Dir(imported))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
	}
	more := true
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && more {
			if x, ok := s.X.(*ast.Ident); ok && names[x.Name] != "" {
				more = yield(s, names[x.Name]+"."+s.Sel.Name)
			}
		}
		return more
	})
}

func reservedCalls(files []*file) (out []string) {
	for _, f := range files {
		if f.test {
			continue
		}
		for node, use := range f.uses {
			for _, r := range reservedThings {
				if slices.Contains(r.what, use) && !r.allows(f.dir()) {
					out = append(out, fmt.Sprintf("%s: %s is reserved: %s", f.at(node), use, r.why))
				}
			}
		}
	}
	return out
}

// allows reports whether a folder is one of the places of a reserved thing.
func (r reserved) allows(dir string) bool {
	for place := range r.places {
		if below(dir, place) {
			return true
		}
	}
	return false
}

func libraryPlaces(files []*file) (out []string) {
	for _, f := range files {
		for spec, imported := range f.imports {
			first, _, _ := strings.Cut(imported, "/")
			if _, own := ours(imported); own || !strings.Contains(first, ".") {
				continue
			}
			i := slices.IndexFunc(libraries, func(l library) bool { return below(imported, l.path) })
			switch {
			case i < 0:
				out = append(out, fmt.Sprintf("%s: %s has no row in libraries: a library comes in with a reason and a place", f.at(spec), imported))
			case !f.test && !slices.ContainsFunc(libraries[i].places, func(p string) bool { return below(f.dir(), p) }):
				out = append(out, fmt.Sprintf("%s: %s (%s) has its place in %s, so that it can be replaced there", f.at(spec), imported, libraries[i].why, strings.Join(libraries[i].places, ", ")))
			}
		}
	}
	return out
}

func noInit(files []*file) (out []string) {
	for _, f := range files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, f.at(fn)+": an init function does something that nobody asked for and no test can leave out; put it where it is called")
			}
		}
	}
	return out
}

func generatedNames(files []*file) (out []string) {
	for _, f := range files {
		if named := strings.HasPrefix(path.Base(f.path), "zz_"); named != f.generated {
			out = append(out, f.path+": generated files, and no others, are called zz_… and start with the standard marker, so that nobody edits them by hand")
		}
	}
	return out
}

func packageComments(files []*file) (out []string) {
	documented := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.path, "_test.go") {
			documented[f.dir()] = documented[f.dir()] || f.ast.Doc != nil
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(documented)) {
		if !documented[dir] {
			out = append(out, dir+": no package comment: say what this room is for, what must not be in it, and who lives next door")
		}
	}
	return out
}

func packageNames(files []*file) (out []string) {
	for _, f := range files {
		if slices.Contains(emptyNames, f.ast.Name.Name) {
			out = append(out, f.at(f.ast.Name)+": a package called "+f.ast.Name.Name+" attracts whatever fits nowhere; name the noun it is about")
		}
	}
	return out
}

// foreignTexts returns the findings of one committed text file.
func foreignTexts(name, text string) (out []string) {
	for i, line := range strings.Split(text, "\n") {
		for _, part := range foreign {
			if strings.Contains(line, part) {
				out = append(out, fmt.Sprintf("%s:%d: names %q, which exists only on the machine where it was written", name, i+1, part))
			}
		}
	}
	return out
}

// parse reads one Go file.
func parse(name string, source []byte) (*file, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &file{path: name, test: isTest(name), generated: ast.IsGenerated(tree), fset: fset, ast: tree}, nil
}

// ignored are folders with nothing of ours: by name anywhere, by path from the root.
var ignored = []string{".git", "node_modules", "testdata", "dist", ".poolhouse", ".cache", ".ci/tmp", "tools"}

// walk calls visit with each file below root that is ours, with its path from there.
func walk(root string, visit func(name string, content []byte) error) error {
	return filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if slices.Contains(ignored, name) || slices.Contains(ignored, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || name == ".git" { // in a second working tree it is a file
			return nil
		}
		content, err := os.ReadFile(full)
		if err != nil {
			return err
		}
		return visit(name, content)
	})
}
