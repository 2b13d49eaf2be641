// Package want holds the few assertions that the tests of this repository share. Everything else is plain Go.
//
// Each helper stops the test at once and says what came and what was wanted, in that order. Nothing that ships imports this package.
package want

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Equal stops the test unless got equals want, and prints the difference (- is wanted, + is what came).
// Unexported fields need an option of go-cmp, or an Equal method on the type.
func Equal[T any](tb testing.TB, got, want T, opts ...cmp.Option) {
	tb.Helper()
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		tb.Fatalf("not what was wanted (-want +got):\n%s", diff)
	}
}

// NoError stops the test if err is not nil.
func NoError(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("unexpected error: %v", err)
	}
}

// Error stops the test unless err matches target in the sense of errors.Is. A nil target accepts any error but nil.
func Error(tb testing.TB, err, target error) {
	tb.Helper()
	switch {
	case err == nil && target == nil:
		tb.Fatal("got no error, wanted one")
	case err == nil:
		tb.Fatalf("got no error, wanted %v", target)
	case target != nil && !errors.Is(err, target):
		tb.Fatalf("got error %v, wanted %v", err, target)
	}
}

// True stops the test unless ok holds. The format says the statement that should have been true.
func True(tb testing.TB, ok bool, format string, args ...any) {
	tb.Helper()
	if !ok {
		tb.Fatalf("should be true: "+format, args...)
	}
}

// Contains stops the test unless text has part in it.
func Contains(tb testing.TB, text, part string) {
	tb.Helper()
	if !strings.Contains(text, part) {
		tb.Fatalf("%q is missing in:\n%s", part, text)
	}
}
