package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Overload is an operation that is asked for far more often than the server can do it.
type Overload struct {
	Operation   string        `json:"operation"`
	Peak        float64       `json:"peak_per_second"` // useful answers, over as many connections as are best
	Connections int           `json:"connections"`
	Asked       float64       `json:"asked_per_second"`
	Useful      float64       `json:"useful_per_second"`
	Refused     float64       `json:"refused_per_second"`
	Other       uint64        `json:"other_answers"`
	FirstOther  string        `json:"first_other,omitempty"`
	UsefulP99   time.Duration `json:"useful_p99_ns"` // as the prober saw it; 0: it saw none
	RefusedP50  time.Duration `json:"refused_p50_ns"`
	RefusedP99  time.Duration `json:"refused_p99_ns"`
	Probes      uint64        `json:"probes"`
	After       float64       `json:"useful_per_second_after"` // as the peak, from one second after the end
	Greatest    uint64        `json:"greatest_resident_bytes,omitempty"`
}

func (o *Overload) share() float64 { return o.Useful / o.Peak }

const (
	// overloadFactor is how much more is asked than can be done.
	overloadFactor = 5
	// probeRate is how many requests a second the prober sends, probeLines over how many connections.
	probeRate, probeLines = 200, 16
)

// overloaded are the operations to overload: one that the server does for little more than what HTTP costs, and one that needs a
// processor for a millisecond.
var overloaded = []string{"AdminUpdateUserAttributes", "AdminCreateUser"}

// overload measures overloads. The generator is a process of its own; this process, which has nothing else to do, probes.
func (r *runner) overload(ctx context.Context) error {
	f := r.places[r.Users]
	for _, name := range overloaded {
		err := r.with(ctx, f, func(s *Server) error {
			if err := r.warm(ctx, f.on(s, unverified), name); err != nil {
				return err
			}
			got, err := r.flooded(ctx, f.on(s, unverified), name)
			if err == nil {
				r.suite.Overload = append(r.suite.Overload, *got)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("overload of %s: %w", name, err)
		}
	}
	return nil
}

// flooded measures the overload of an operation by a server.
func (r *runner) flooded(ctx context.Context, t *target, name string) (*Overload, error) {
	phase := r.Duration / 2
	calm := Flood{Address: t.address, Pool: t.about.pool, Users: t.users, Operation: name, Connections: r.most(), WarmUp: min(time.Second, phase), Duration: phase}
	r.say("%s as often as the server can, with %d connections", name, calm.Connections)
	peak, err := r.Program.flood(ctx, &calm)
	if err != nil {
		return nil, err
	}
	if peak.Good == 0 || peak.Refused+peak.Other > 0 {
		return nil, fmt.Errorf("%d useful answers, %d refusals and %d others without an overload: %s", peak.Good, peak.Refused, peak.Other, peak.FirstOther)
	}
	out := &Overload{Operation: name, Peak: peak.second(peak.Good), Connections: max(1, int(crowdLines*float64(r.Crowd)))}
	out.Asked = overloadFactor * out.Peak
	storm := calm
	storm.Connections, storm.Rate, storm.Duration = out.Connections, out.Asked, r.Duration
	r.say("%s %.0f times a second, with %d connections", name, out.Asked, out.Connections)
	probes := Flood{Address: t.address, Pool: t.about.pool, Users: t.users, Operation: name, Connections: probeLines, Rate: probeRate,
		WarmUp: 2 * storm.WarmUp, Duration: storm.Duration - storm.WarmUp}
	got, seen, err := during(ctx, &probes, func(ctx context.Context) (*Flooded, error) { return r.Program.flood(ctx, &storm) })
	if err != nil {
		return nil, err
	}
	out.Useful, out.Refused = got.second(got.Good), got.second(got.Refused)
	out.Other, out.FirstOther = got.Other+seen.others, got.FirstOther
	out.UsefulP99, out.RefusedP50, out.RefusedP99 = seen.good.quantile(0.99), seen.refused.quantile(0.5), seen.refused.quantile(0.99)
	out.Probes = seen.good.total + seen.refused.total + seen.others
	out.Greatest = greatest(t.pid)
	after, err := r.Program.flood(ctx, &calm)
	if err != nil {
		return nil, err
	}
	out.After = after.second(after.Good)
	return out, nil
}

// probed is what a prober saw.
type probed struct {
	mu            sync.Mutex
	good, refused histogram
	others        uint64
}

func (p *probed) see(what fate, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch what {
	case good:
		p.good.record(took)
	case refused:
		p.refused.record(took)
	case other:
		p.others++
	}
}

// during probes while fn runs.
func during(ctx context.Context, probes *Flood, fn func(context.Context) (*Flooded, error)) (*Flooded, *probed, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := new(probed)
	ended := make(chan error, 1)
	go func() {
		_, err := probes.Run(ctx, seen.see)
		ended <- err
	}()
	got, err := fn(ctx)
	if err != nil {
		cancel()
		return nil, nil, errors.Join(err, ignoreCanceled(<-ended))
	}
	return got, seen, <-ended
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// greatest is the most memory in bytes that a process has held since its start; 0 where there is no /proc or no such process.
func greatest(pid int) uint64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	return kibibytes(field(text, "VmHWM"))
}
