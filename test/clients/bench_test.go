package clients_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/app/bench"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// The report of `make bench`, of a few users and in a hurry: every part of it can be measured, and no request fails.
func TestBenchReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report := filepath.Join(dir, "report.md")
	out := finish(t, command(t, binary, "bench", "--report", report, "--folder", dir, "--operations", strings.Join(bench.Operations(), ","), "--users", "30", "--growth", "20,30",
		"--connections", "4", "--duration", "150ms", "--rounds", "1", "--crowd", "20", "--starts", "1"))
	want.True(t, out.code == 0, "the exit code is %d\n%s", out.code, out.stderr)
	text, err := os.ReadFile(report)
	want.NoError(t, err)
	for _, heading := range []string{"## Goals", "## Throughput and latency", "With every signature made", "## Bulk change", "## Growth", "## Start and memory", "## Method"} {
		want.Contains(t, string(text), heading)
	}
	for _, name := range bench.Operations() {
		want.Contains(t, string(text), "\n| "+name+" | 4 |")
	}
	for _, failure := range []string{"Not measured", "first error"} {
		want.True(t, !strings.Contains(string(text), failure), "%q in the report:\n%s", failure, text)
	}
}
