package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/poolhouse/poolhouse/internal/app/bulk"
	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

// terminal reports whether a stream is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// plainEvery is how often progress is told where it cannot be overwritten.
const plainEvery = 5 * time.Second

// A show tells how things stand: on a terminal in one line that is written over and over, elsewhere in a line now and then.
type show struct {
	to    io.Writer
	bar   bool
	now   func() time.Time
	told  time.Time
	width int // of what stands on the terminal
}

func newShow(to io.Writer) *show {
	return &show{to: to, bar: terminal(to), now: clock.Machine, told: clock.Machine()}
}

// say tells a state. What cannot be told to the terminal is lost; the result is told elsewhere.
func (s *show) say(text string) {
	now := s.now()
	if s.bar {
		if now.Sub(s.told) < 50*time.Millisecond && s.width > 0 {
			return
		}
		s.told = now
		width := len([]rune(text))
		fmt.Fprintf(s.to, "\r%s%s", text, strings.Repeat(" ", max(s.width-width, 0)))
		s.width = width
		return
	}
	if now.Sub(s.told) < plainEvery {
		return
	}
	s.told = now
	fmt.Fprintln(s.to, text)
}

// line tells something that stays.
func (s *show) line(text string) {
	s.clear()
	fmt.Fprintln(s.to, text)
}

// clear takes the line off the terminal.
func (s *show) clear() {
	if s.width > 0 {
		fmt.Fprintf(s.to, "\r%s\r", strings.Repeat(" ", s.width))
		s.width = 0
	}
}

// barWidth is the number of characters of a bar.
const barWidth = 30

func (s *show) progress(p *bulk.Progress) {
	done := p.Changed + p.Same + p.Refused
	var b strings.Builder
	if s.bar {
		full := 0
		if p.Listed > 0 {
			full = min(barWidth, barWidth*done/max(p.Listed, done))
		}
		fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("█", full), strings.Repeat("░", barWidth-full))
	}
	fmt.Fprintf(&b, "%s of %s", count(done), count(max(p.Listed, done)))
	if !p.Whole {
		b.WriteString(" listed so far")
	}
	fmt.Fprintf(&b, ", %s changed, %s refused, %s a second", count(p.Changed), count(p.Refused), count(int(p.Rate())))
	if p.Throttled > 0 {
		fmt.Fprintf(&b, ", slowed down %s times", count(p.Throttled))
	}
	s.say(b.String())
}
