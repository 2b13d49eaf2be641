// Command count reads the output of `go test -json`, prints one line for each package and everything that a failing test said, and
// closes with a line such as "1234 passed, 0 failed".
//
// It counts every test and subtest that ended. It exits with status 1 if one failed or was skipped, if a package failed to build or
// died, or if a package with tests ran none: a test that cannot run where it should is a failure here, not a footnote.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	ok, err := count(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// unit is a test, or with an empty test name a package.
type unit struct{ pkg, test string }

// tally is what is known so far.
type tally struct {
	passed, failed int
	skipped        []string
	said           map[unit][]string // output of what has not ended yet
	started        map[string][]unit // by package: tests that run
	tests          map[string]int    // by package: tests that passed
	ran            map[string]bool   // by package: a test began
	broken         []string          // names of what failed, in order
}

// count copies what matters from in to out and reports whether all went well. The error is one of reading or writing.
func count(in io.Reader, out io.Writer) (bool, error) {
	t := &tally{said: map[unit][]string{}, started: map[string][]unit{}, tests: map[string]int{}, ran: map[string]bool{}}
	w := bufio.NewWriter(out)
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(w, line) // the go command's own words
			} else {
				t.see(e, w)
			}
			if err := w.Flush(); err != nil {
				return false, err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	return t.close(w), w.Flush()
}

// see takes in one event.
func (t *tally) see(e event, w io.Writer) {
	u := unit{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(w, e.Output)
	case "output":
		t.said[u] = append(t.said[u], e.Output)
	case "run":
		t.ran[u.pkg] = true
		t.started[u.pkg] = append(t.started[u.pkg], u)
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.packageEnds(e, w)
		} else {
			t.testEnds(e, u, w)
		}
	}
}

func (t *tally) testEnds(e event, u unit, w io.Writer) {
	switch e.Action {
	case "pass":
		t.passed++
		t.tests[u.pkg]++
	case "skip":
		t.skipped = append(t.skipped, u.pkg+" "+u.test)
	case "fail":
		t.fail(u.pkg + " " + u.test)
		t.print(u, w)
	}
	delete(t.said, u)
	t.started[u.pkg] = slices.DeleteFunc(t.started[u.pkg], func(s unit) bool { return s == u })
}

// packageEnds prints the package's line. A package that fails with tests still running died: by a panic, a time-out or os.Exit.
// One that fails although all its tests passed, or before any, counts as a failure itself.
func (t *tally) packageEnds(e event, w io.Writer) {
	u := unit{pkg: e.Package}
	switch e.Action {
	case "pass":
		fmt.Fprintf(w, "ok    %s  %.1fs  %d tests\n", e.Package, e.Elapsed, t.tests[e.Package])
		if !t.ran[e.Package] {
			t.fail(e.Package + " (no test ran)")
		}
	case "fail":
		for _, s := range t.started[e.Package] {
			t.fail(s.pkg + " " + s.test + " (did not end)")
			t.print(s, w)
		}
		t.print(u, w)
		if !slices.ContainsFunc(t.broken, func(name string) bool { return strings.HasPrefix(name, e.Package+" ") }) {
			t.fail(e.Package + " (package)")
		}
		fmt.Fprintf(w, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
	}
	delete(t.said, u)
	delete(t.started, e.Package)
	delete(t.tests, e.Package) // it may come again, with other tests
	delete(t.ran, e.Package)
}

func (t *tally) fail(name string) {
	t.failed++
	t.broken = append(t.broken, name)
}

func (t *tally) print(u unit, w io.Writer) {
	for _, text := range t.said[u] {
		fmt.Fprint(w, text)
	}
}

// close prints what is wrong and the closing line. A package that started and never ended means that the input was cut short.
func (t *tally) close(w io.Writer) bool {
	for pkg := range t.started {
		t.fail(pkg + " (the output ends before the package does)")
	}
	list(w, "Failed:", t.broken)
	list(w, "Skipped, which counts as a failure here:", t.skipped)
	none := t.passed+t.failed+len(t.skipped) == 0
	if none {
		fmt.Fprintln(w, "No test ran.")
	}
	fmt.Fprintf(w, "%d passed, %d failed", t.passed, t.failed)
	if n := len(t.skipped); n > 0 {
		fmt.Fprintf(w, ", %d skipped", n)
	}
	fmt.Fprintln(w)
	return t.failed == 0 && len(t.skipped) == 0 && !none
}

func list(w io.Writer, title string, names []string) {
	if len(names) > 0 {
		fmt.Fprintf(w, "%s\n  %s\n", title, strings.Join(names, "\n  "))
	}
}
