//go:build linux

package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// What a line of the load's log says of a call. Each call has a Begun and then one of the others, unless the load itself died.
const (
	Begun   = "begin"
	OK      = "ok"      // answered with success
	Refused = "fail"    // answered with a fault of the caller: nothing was changed
	Unknown = "unknown" // no answer, or the server said that it failed: done or not
	Unsent  = "down"    // there was nobody to send it to
	Wrong   = "wrong"   // the answer was not true
)

// Line is a line of the log.
type Line struct {
	Seq      int64   `json:"seq"` // of the call
	Event    string  `json:"event"`
	At       int64   `json:"at"` // nanoseconds since the epoch, by a clock that only goes forward within a process
	Writer   int     `json:"writer"`
	Op       string  `json:"op,omitempty"`
	Effect   *Effect `json:"effect,omitempty"`
	Request  string  `json:"request,omitempty"` // the id by which the server knows the call
	Sub      string  `json:"sub,omitempty"`     // of a user that was made
	Code     string  `json:"code,omitempty"`
	Expected bool    `json:"expected,omitempty"` // a fault is the right answer to this call
	Note     string  `json:"note,omitempty"`
}

// lineWriter appends lines to a file, each with one write, so that a line is whole or missing whatever happens to the process.
type lineWriter struct {
	mu    sync.Mutex
	file  *os.File
	seq   int64
	start time.Time
}

// begin numbers a call and writes its first line.
func (w *lineWriter) begin(l Line) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	l.Seq, l.Event = w.seq, Begun
	return l.Seq, w.write(l)
}

// end writes how a call ended.
func (w *lineWriter) end(l Line) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write(l)
}

func (w *lineWriter) write(l Line) error {
	l.At = w.start.UnixNano() + int64(time.Since(w.start))
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.file.Write(append(text, '\n'))
	return err
}

// lineReader reads a log while it grows.
type lineReader struct {
	file *os.File
	rest []byte
	buf  [64 << 10]byte
}

// next returns the whole lines that came since the last call.
func (r *lineReader) next() ([]Line, error) {
	for {
		n, err := r.file.Read(r.buf[:])
		r.rest = append(r.rest, r.buf[:n]...)
		if errors.Is(err, io.EOF) || n == 0 {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	var lines []Line
	for {
		text, rest, whole := bytes.Cut(r.rest, []byte("\n"))
		if !whole {
			return lines, nil
		}
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("read the load's log: %w: %s", err, text)
		}
		lines, r.rest = append(lines, l), rest
	}
}
