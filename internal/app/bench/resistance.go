package bench

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// PrintResistance writes what was measured under overload, beside crowds and with hostile bodies, and the goals of that.
func (s *Suite) PrintResistance(w io.Writer) error {
	var b strings.Builder
	s.resistance(&b)
	writeGoals(&b, s.resisted())
	_, err := io.WriteString(w, b.String())
	return err
}

// resisted compares what was measured under overload, beside crowds and with hostile bodies with the goals of the project.
func (s *Suite) resisted() []goal {
	var goals []goal
	for i := range s.Overload {
		o := &s.Overload[i]
		what := fmt.Sprintf("%s asked for %d times as often as it can be done: ", o.Operation, overloadFactor)
		late := below(what+"p99 of refusals", 50, inMillis(o.RefusedP99), "%.1f ms")
		if o.RefusedP99 == 0 {
			late.got, late.reached = "no probe was refused", false
		}
		goals = append(goals, atLeast(what+"useful answers, part of the peak", 0.80, o.share()), late,
			goal{what + "answers that are neither", "0", fmt.Sprint(o.Other), o.Other == 0})
		if o.Greatest > 0 {
			goals = append(goals, below(what+"greatest memory", 512, float64(o.Greatest)/mebibyte, "%.0f MiB"))
		}
	}
	for i := range s.Crowded {
		c := &s.Crowded[i]
		what := fmt.Sprintf("%s beside %s idle and %s slow connections: ", c.Operation, thousands(c.Idle), thousands(c.Slow))
		slower := times(c.BesideP99, c.AloneP99)
		goals = append(goals, atLeast(what+"part of the rate without", 0.90, c.Ratio),
			goal{what + "p99, ratio to that without", "at most × 1.50", fmt.Sprintf("× %.2f", slower), slower <= 1.5})
	}
	var late time.Duration
	var growth int64
	var latest, grown string
	measured := false
	for _, h := range s.Hostile {
		if h.Longest > late {
			late, latest = h.Longest, h.What
		}
		if h.Measured && h.Growth >= growth {
			growth, grown, measured = h.Growth, h.What, true
		}
	}
	if len(s.Hostile) > 0 {
		goals = append(goals, below("hostile bodies ("+latest+"): longest time to the refusal", 20, inMillis(late), "%.1f ms"))
	}
	if measured {
		goals = append(goals, below("hostile bodies ("+grown+"): growth of memory", 8, float64(growth)/mebibyte, "%.1f MiB"))
	}
	return goals
}

// resistance writes the sections about overload, crowds and hostile bodies.
func (s *Suite) resistance(b *strings.Builder) {
	if len(s.Overload) > 0 {
		fmt.Fprintf(b, "## Overload\n\nThe server is asked for %d times as much as it can do, over %s.\n\n", overloadFactor, connections(s.Overload[0].Connections))
		b.WriteString("| operation | peak /s | asked /s | useful /s | part of the peak | refused /s | others | p99 of useful ms | p50 of refusals ms | p99 | useful /s afterwards | greatest MiB |\n" +
			"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
		for i := range s.Overload {
			o := &s.Overload[i]
			fmt.Fprintf(b, "| %s | %.0f | %.0f | %.0f | **%.2f** | %.0f | %d | %s | %s | %s | %.0f | %s |\n", o.Operation, o.Peak, o.Asked, o.Useful, o.share(), o.Refused, o.Other,
				seenMillis(o.UsefulP99), seenMillis(o.RefusedP50), seenMillis(o.RefusedP99), o.After, mebibytes(o.Greatest))
		}
		b.WriteString("\n")
		for _, o := range s.Overload {
			if o.FirstOther != "" {
				fmt.Fprintf(b, "%s, first other answer: `%s`\n\n", o.Operation, o.FirstOther)
			}
		}
	}
	if len(s.Crowded) > 0 {
		b.WriteString("## Beside a crowd\n\n| operation | connections | idle | slow | req/s without | with | ratio | p99 ms without | with | errors | KiB for each of the crowd |\n" +
			"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
		for _, c := range s.Crowded {
			fmt.Fprintf(b, "| %s | %d | %s | %s | %.0f | %.0f | **%.2f** | %s | %s | %d | %.1f |\n", c.Operation, c.Connections, thousands(c.Idle), thousands(c.Slow), c.Alone, c.Beside,
				c.Ratio, millis(c.AloneP99), millis(c.BesideP99), c.Errors, c.PerConnection/1024)
		}
		b.WriteString("\n")
		for _, c := range s.Crowded {
			if c.Lost > 0 {
				fmt.Fprintf(b, "Beside %s the server had closed slow connections: %d bytes were not taken.\n\n", c.Operation, c.Lost)
			}
		}
	}
	if len(s.Hostile) > 0 {
		b.WriteString("## Hostile bodies\n\n| body | answer | ms, median | longest | MiB sent until then | growth of memory MiB |\n|---|---|--:|--:|--:|--:|\n")
		for _, h := range s.Hostile {
			growth := "?"
			if h.Measured {
				growth = fmt.Sprintf("%.1f", float64(h.Growth)/mebibyte)
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %.2f | %s |\n", h.What, h.Answer, millis(h.P50), millis(h.Longest), float64(h.Sent)/mebibyte, growth)
		}
		b.WriteString("\n")
	}
}

// seenMillis writes a time that nobody saw as a question mark.
func seenMillis(d time.Duration) string {
	if d == 0 {
		return "?"
	}
	return millis(d)
}
