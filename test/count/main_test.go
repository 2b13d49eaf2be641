package main

import (
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestCount(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		in     []string
		output string
		ok     bool
	}{
		{
			name: "passes",
			in: []string{
				`{"Action":"start","Package":"a"}`,
				`{"Action":"run","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Test":"TestX","Output":"not worth printing\n"}`,
				`{"Action":"run","Package":"a","Test":"TestX/one"}`,
				`{"Action":"pass","Package":"a","Test":"TestX/one"}`,
				`{"Action":"pass","Package":"a","Test":"TestX"}`,
				`{"Action":"pass","Package":"a","Elapsed":1.25}`,
				`{"Action":"skip","Package":"b"}`, // a package without test files
			},
			output: "ok    a  1.2s  2 tests\n2 passed, 0 failed\n",
			ok:     true,
		},
		{
			name: "fails",
			in: []string{
				`{"Action":"run","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Test":"TestX","Output":"x_test.go:3: wrong\n"}`,
				`{"Action":"fail","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Output":"FAIL\n"}`,
				`{"Action":"fail","Package":"a","Elapsed":0.5}`,
			},
			output: "x_test.go:3: wrong\nFAIL\nFAIL  a  0.5s\nFailed:\n  a TestX\n0 passed, 1 failed\n",
		},
		{
			name: "skips",
			in: []string{
				`{"Action":"run","Package":"a","Test":"TestX"}`,
				`{"Action":"skip","Package":"a","Test":"TestX"}`,
				`{"Action":"pass","Package":"a","Elapsed":0}`,
			},
			output: "ok    a  0.0s  0 tests\nSkipped, which counts as a failure here:\n  a TestX\n0 passed, 0 failed, 1 skipped\n",
		},
		{
			name: "twice",
			in: []string{
				`{"Action":"run","Package":"a","Test":"TestX"}`,
				`{"Action":"pass","Package":"a","Test":"TestX"}`,
				`{"Action":"pass","Package":"a","Elapsed":1}`,
				`{"Action":"run","Package":"a","Test":"TestY"}`,
				`{"Action":"pass","Package":"a","Test":"TestY"}`,
				`{"Action":"pass","Package":"a","Elapsed":2}`,
			},
			output: "ok    a  1.0s  1 tests\nok    a  2.0s  1 tests\n2 passed, 0 failed\n",
			ok:     true,
		},
		{
			name:   "none_of_its_tests",
			in:     []string{`{"Action":"pass","Package":"a","Elapsed":0}`},
			output: "ok    a  0.0s  0 tests\nFailed:\n  a (no test ran)\n0 passed, 1 failed\n",
		},
		{
			name:   "no_test",
			in:     []string{`{"Action":"skip","Package":"a"}`},
			output: "No test ran.\n0 passed, 0 failed\n",
		},
		{
			name: "build_failure",
			in: []string{
				`{"Action":"build-output","ImportPath":"a","Output":"a.go:1: undefined\n"}`,
				`{"Action":"build-fail","ImportPath":"a"}`,
				`{"Action":"output","Package":"a","Output":"FAIL\ta [build failed]\n"}`,
				`{"Action":"fail","Package":"a","Elapsed":0,"FailedBuild":"a"}`,
			},
			output: "a.go:1: undefined\nFAIL\ta [build failed]\nFAIL  a  0.0s\nFailed:\n  a (package)\n0 passed, 1 failed\n",
		},
		{
			name: "panic_or_timeout",
			in: []string{
				`{"Action":"run","Package":"a","Test":"TestX"}`,
				`{"Action":"output","Package":"a","Test":"TestX","Output":"panic: oh\n"}`,
				`{"Action":"fail","Package":"a","Elapsed":2}`,
			},
			output: "panic: oh\nFAIL  a  2.0s\nFailed:\n  a TestX (did not end)\n0 passed, 1 failed\n",
		},
		{
			name: "cut_short",
			in: []string{
				"go: some words\n",
				`{"Action":"run","Package":"a","Test":"TestX"}`,
				`{"Action":"pass","Package":"a","Test":"TestX"}`,
			},
			output: "go: some words\n\nFailed:\n  a (the output ends before the package does)\n1 passed, 1 failed\n",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			ok, err := count(strings.NewReader(strings.Join(c.in, "\n")), &out)
			want.NoError(t, err)
			want.Equal(t, out.String(), c.output)
			want.Equal(t, ok, c.ok)
		})
	}
}
