package bench

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The plots are drawn here because they are bars and lines: no library, no script, no font but the reader's. Each has a ground of its
// own and follows the reader's choice between light and dark.
const (
	chartWidth = 760
	chartLeft  = 64
	chartRight = 24
	legendLine = 20
)

const chartStyle = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}.small{font-size:12px;fill:#59636e}
.ground{fill:#fff}.grid{stroke:#d1d9e0}.goal{stroke:#59636e;stroke-dasharray:4 3}.line{fill:none;stroke-width:2}
.f0{fill:#0969da}.f1{fill:#bc4c00}.f2{fill:#1a7f37}.f3{fill:#8250df}.f4{fill:#bf3989}.f5{fill:#57606a}
.l0{stroke:#0969da}.l1{stroke:#bc4c00}.l2{stroke:#1a7f37}.l3{stroke:#8250df}.l4{stroke:#bf3989}.l5{stroke:#57606a}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.ground{fill:#0d1117}.grid{stroke:#3d444d}.goal{stroke:#9198a1}
.f0{fill:#4493f8}.f1{fill:#f0883e}.f2{fill:#3fb950}.f3{fill:#ab7df8}.f4{fill:#db61a2}.f5{fill:#8b949e}
.l0{stroke:#4493f8}.l1{stroke:#f0883e}.l2{stroke:#3fb950}.l3{stroke:#ab7df8}.l4{stroke:#db61a2}.l5{stroke:#8b949e}}
</style>
`

// chartColours is how many series can be told apart.
const chartColours = 6

type svg struct{ strings.Builder }

func newSVG(height int, title string) *svg {
	s := &svg{}
	s.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		chartWidth, height, chartWidth, height, html.EscapeString(title))
	s.WriteString(chartStyle)
	s.add(`<rect class="ground" width="%d" height="%d" rx="6"/>`+"\n", chartWidth, height)
	s.text(16, 26, "title", "start", title)
	return s
}

func (s *svg) add(format string, args ...any) { fmt.Fprintf(s, format, args...) }

func (s *svg) text(x, y float64, class, anchor, text string) {
	s.add(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(text))
}

func (s *svg) end() string { return s.String() + "</svg>\n" }

// A bar is a value with its name.
type bar struct {
	name  string
	value float64
	note  string
}

// bars draws horizontal bars from 0 to at least full.
func bars(title string, full float64, list []bar) string {
	const top, step, names, notes = 44, 28, 300, 90
	for _, b := range list {
		full = max(full, b.value)
	}
	s := newSVG(top+len(list)*step+16, title)
	scale := (chartWidth - names - notes) / full
	for i, b := range list {
		y := float64(top + i*step)
		s.text(names-10, y+17, "", "end", b.name)
		s.add(`<rect class="f%d" x="%d" y="%.1f" width="%.1f" height="18" rx="2"/>`+"\n", i%chartColours, names, y+4, b.value*scale)
		s.text(names+b.value*scale+6, y+17, "", "start", b.note)
	}
	return s.end()
}

// A series is a line: a value for each place on the x axis; NaN where there is none.
type series struct {
	name   string
	values []float64
}

// lines draws lines over named places. A logarithmic axis has a line for every power of ten, another one starts at 0.
func lines(title, unit string, places []string, list []series, logarithmic bool) string {
	const plot = 260
	top := float64(72 + legendLine*len(list))
	s := newSVG(int(top)+plot+40, title)
	s.text(chartLeft-8, top-10, "small", "end", unit)
	low, high := span(list)
	position := func(v float64) float64 { return top + plot - v/high*plot }
	var ticks []float64
	if logarithmic {
		low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
		if low == high {
			high *= 10
		}
		position = func(v float64) float64 { return top + plot - math.Log10(max(v, low)/low)/math.Log10(high/low)*plot }
		for v := low; v <= high*1.001; v *= 10 {
			ticks = append(ticks, v)
		}
	} else {
		step := niceStep(high / 5)
		high = math.Ceil(high/step) * step
		for i := 0; float64(i)*step <= high*1.001; i++ {
			ticks = append(ticks, float64(i)*step)
		}
	}
	for _, v := range ticks {
		s.add(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", chartLeft, chartWidth-chartRight, position(v), position(v))
		s.text(chartLeft-8, position(v)+4, "small", "end", strconv.FormatFloat(v, 'g', 4, 64))
	}
	at := func(i int) float64 {
		const inset = 40
		if len(places) == 1 {
			return chartWidth / 2
		}
		return chartLeft + inset + float64(i)*(chartWidth-chartLeft-chartRight-2*inset)/float64(len(places)-1)
	}
	for i, name := range places {
		s.text(at(i), top+plot+22, "small", "middle", name)
	}
	for n, one := range list {
		colour := n % chartColours
		y := float64(46 + n*legendLine)
		s.add(`<rect class="f%d" x="16" y="%.1f" width="12" height="12" rx="2"/>`+"\n", colour, y)
		s.text(36, y+11, "", "start", one.name)
		var points []string
		for i, v := range one.values {
			if math.IsNaN(v) {
				continue
			}
			points = append(points, fmt.Sprintf("%.1f,%.1f", at(i), position(v)))
			s.add(`<circle class="f%d" cx="%.1f" cy="%.1f" r="3.5"/>`+"\n", colour, at(i), position(v))
		}
		s.add(`<polyline class="line l%d" points="%s"/>`+"\n", colour, strings.Join(points, " "))
	}
	return s.end()
}

// span is the range of all values above 0, and never empty.
func span(list []series) (low, high float64) {
	low, high = math.Inf(1), 0
	for _, one := range list {
		for _, v := range one.values {
			if v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if high == 0 {
		return 1, 1
	}
	return low, high
}

// niceStep is the least of 1, 2 and 5 times a power of ten that is not below v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	steps := []float64{1, 2, 5, 10}
	return power * steps[slices.IndexFunc(steps, func(s float64) bool { return s*power >= v*0.999 })]
}
