//go:build linux

package main

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// hour is an hour of looks, whose values the functions give by the time in hours.
func hour(memory, goroutines, files func(h float64) float64) []sample {
	var list []sample
	for at := time.Duration(0); at < time.Hour; at += 10 * time.Second {
		list = append(list, sample{at: at, memory: memory(at.Hours()), goroutines: goroutines(at.Hours()), files: files(at.Hours())})
	}
	return list
}

func TestJudge(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	flat := func(float64) float64 { return 80 }
	noisy := func(float64) float64 { return 80 + 10*r.Float64() }
	cases := []struct {
		name                      string
		memory, goroutines, files func(float64) float64
		grew                      string // "" if nothing did
	}{
		{"level", flat, flat, flat, ""},
		{"noise without a trend", noisy, flat, flat, ""},
		{"a warm-up that ends", func(h float64) float64 { return 80 + 1000*min(h, 0.08) }, flat, flat, ""},
		{"falling", func(h float64) float64 { return 80 - 5*h }, flat, flat, ""},
		{"just allowed", func(h float64) float64 { return 80 + 0.9*h }, flat, flat, ""},
		{"memory leaks", func(h float64) float64 { return 80 + 3*h }, flat, flat, "memory, MB grew"},
		{"memory leaks in the noise", func(h float64) float64 { return noisy(h) + 12*h }, flat, flat, "memory, MB grew"},
		{"goroutines leak", flat, func(h float64) float64 { return 80 + float64(int(10*h)) }, flat, "goroutines grew"},
		{"files leak", flat, flat, func(h float64) float64 { return 80 + float64(int(10*h)) }, "open files grew"},
	}
	for _, c := range cases {
		var out bytes.Buffer
		err := judge(hour(c.memory, c.goroutines, c.files), &out)
		if c.grew == "" {
			want.NoError(t, err)
			continue
		}
		want.True(t, err != nil && strings.HasPrefix(err.Error(), c.grew), "%s: %v\n%s", c.name, err, out.String())
	}
	want.Error(t, judge(hour(flat, flat, flat)[:10], &bytes.Buffer{}), nil)
}

func TestMetric(t *testing.T) {
	t.Parallel()
	v, err := metric(strings.NewReader("# HELP go_goroutines x\ngo_goroutines_max 9\ngo_goroutines 17\n"), "go_goroutines")
	want.NoError(t, err)
	want.Equal(t, v, 17.0)
	_, err = metric(strings.NewReader("other 1\n"), "go_goroutines")
	want.Error(t, err, nil)
}

// A short run on a real server sees everything it has to.
func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "poolhouse")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, "../../cmd/poolhouse")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	want.True(t, err == nil, "build the program: %v\n%s", err, text)
	var out bytes.Buffer
	samples, err := run(t.Context(), options{binary: binary, folder: dir, length: 500 * time.Millisecond, every: 200 * time.Millisecond,
		capacity: 200 * time.Millisecond, users: 50, connections: 4}, &out)
	want.NoError(t, err)
	want.True(t, len(samples) > 0, "the server was looked at")
	for _, s := range samples {
		want.True(t, s.memory > 1 && s.goroutines > 4 && s.files > 4 && s.window.Rate > 0 && s.window.P99 > 0, "a look saw %+v", s)
	}
	want.Contains(t, out.String(), "requests a second")
}
