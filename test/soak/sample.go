//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/bench"
)

// A sample is a look at the server.
type sample struct {
	at         time.Duration // since the beginning
	memory     float64       // resident, in MB
	goroutines float64
	files      float64 // open file descriptors
	window     bench.Window
}

// look reads the server's figures. Its own connection for the metrics is new each time, so that it counts the same each time.
func look(ctx context.Context, s *bench.Server) (out sample, err error) {
	out.memory = float64(bench.Resident(s.PID)) / 1e6
	if out.memory == 0 {
		return out, errors.New("the kernel does not tell the server's memory")
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID))
	if err != nil {
		return out, err
	}
	out.files = float64(len(files))
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Metrics, nil)
	if err != nil {
		return out, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Do(r)
	if err != nil {
		return out, err
	}
	defer reply.Body.Close()
	out.goroutines, err = metric(reply.Body, "go_goroutines")
	return out, err
}

// metric finds a value without labels in Prometheus' text.
func metric(text io.Reader, name string) (float64, error) {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("the metrics do not tell %s", name)
}

// A limit is how much something may grow in an hour.
type limit struct {
	name  string
	value func(*sample) float64
	most  float64
}

var limits = []limit{
	{"memory, MB", func(s *sample) float64 { return s.memory }, 1},
	{"goroutines", func(s *sample) float64 { return s.goroutines }, 1},
	{"open files", func(s *sample) float64 { return s.files }, 1},
}

// judge tells how everything grew after the first tenth, and fails if something grew more than its limit beyond doubt.
func judge(samples []sample, out io.Writer) error {
	samples = samples[len(samples)/10:]
	if len(samples) < stretches {
		return fmt.Errorf("%d looks at the server are too few to tell a trend", len(samples))
	}
	var errs []error
	for _, l := range limits {
		grew, doubt := trend(samples, l.value)
		fmt.Fprintf(out, "%s: %+.2f an hour, give or take %.2f; %.0f is allowed\n", l.name, grew, doubt, l.most)
		if grew-doubt > l.most {
			errs = append(errs, fmt.Errorf("%s grew by %.2f an hour", l.name, grew))
		}
	}
	return errors.Join(errs...)
}

// stretches is how many means a trend is fitted to: neighbouring looks resemble each other, because the garbage collector's rhythm is
// slower than they are, and would make the trend look surer than it is.
const stretches = 20

// trend fits a line to the means of stretches of the samples. It returns its slope for an hour, and twice the slope's standard error.
func trend(samples []sample, value func(*sample) float64) (slope, doubt float64) {
	var x, y [stretches]float64
	for i := range stretches {
		part := samples[i*len(samples)/stretches : (i+1)*len(samples)/stretches]
		for j := range part {
			x[i] += part[j].at.Hours() / float64(len(part))
			y[i] += value(&part[j]) / float64(len(part))
		}
	}
	var mx, my, xx, xy, rest float64
	for i := range x {
		mx += x[i] / stretches
		my += y[i] / stretches
	}
	for i := range x {
		xx += (x[i] - mx) * (x[i] - mx)
		xy += (x[i] - mx) * (y[i] - my)
	}
	slope = xy / xx
	for i := range x {
		d := y[i] - my - slope*(x[i]-mx)
		rest += d * d
	}
	return slope, 2 * math.Sqrt(rest/(stretches-2)/xx)
}
