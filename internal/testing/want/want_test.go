package want_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// recorder stands in for a test and keeps the first message that would have failed it.
type recorder struct {
	testing.TB
	message string
	failed  bool
}

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) {
	r.failed, r.message = true, fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

func TestHelpers(t *testing.T) {
	t.Parallel()
	wrapped := fmt.Errorf("read header: %w", io.EOF)
	cases := []struct {
		name    string
		check   func(tb testing.TB)
		message string // part of the failure; empty if the check holds
	}{
		{"equal", func(tb testing.TB) { want.Equal(tb, []int{1}, []int{1}) }, ""},
		{"not_equal", func(tb testing.TB) { want.Equal(tb, "came", "wanted") }, "+ \t\"came\""},
		{"no_error", func(tb testing.TB) { want.NoError(tb, nil) }, ""},
		{"unexpected_error", func(tb testing.TB) { want.NoError(tb, wrapped) }, "unexpected error: read header: EOF"},
		{"matching_error", func(tb testing.TB) { want.Error(tb, wrapped, io.EOF) }, ""},
		{"any_error", func(tb testing.TB) { want.Error(tb, wrapped, nil) }, ""},
		{"other_error", func(tb testing.TB) { want.Error(tb, wrapped, errors.ErrUnsupported) }, "wanted unsupported operation"},
		{"missing_error", func(tb testing.TB) { want.Error(tb, nil, io.EOF) }, "got no error, wanted EOF"},
		{"missing_any_error", func(tb testing.TB) { want.Error(tb, nil, nil) }, "got no error, wanted one"},
		{"true", func(tb testing.TB) { want.True(tb, true, "never printed") }, ""},
		{"untrue", func(tb testing.TB) { want.True(tb, false, "%d is even", 3) }, "should be true: 3 is even"},
		{"contained", func(tb testing.TB) { want.Contains(tb, "haystack", "stack") }, ""},
		{"not_contained", func(tb testing.TB) { want.Contains(tb, "haystack", "needle") }, `"needle" is missing in`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			done := make(chan struct{})
			go func() { // A failing helper ends its goroutine, as it would end a test.
				defer close(done)
				c.check(r)
			}()
			<-done
			// go-cmp mixes non-breaking spaces into its output on purpose.
			message := strings.ReplaceAll(r.message, "\u00a0", " ")
			if r.failed != (c.message != "") || !strings.Contains(message, c.message) {
				t.Fatalf("failed=%v with %q, wanted a message with %q", r.failed, message, c.message)
			}
		})
	}
}
