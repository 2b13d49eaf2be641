package bulk

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
)

// The state file is lines of JSON. The first names the change; each of the others is one fact: a user who is done, a user who was
// refused, a page of the list whose users all are, or the end. It only grows. What was cut off by a kill or a full disk is the last
// line, which does not count.
type fact struct {
	// The first line.
	Version  int               `json:"poolhouse-users-update,omitempty"`
	Endpoint string            `json:"endpoint,omitempty"`
	Pool     string            `json:"pool,omitempty"`
	Filter   string            `json:"filter,omitempty"`
	Set      map[string]string `json:"set,omitempty"`
	Unset    []string          `json:"unset,omitempty"`
	// The others.
	Done    string  `json:"done,omitempty"`
	Refused string  `json:"refused,omitempty"`
	Code    string  `json:"code,omitempty"`
	Message string  `json:"message,omitempty"`
	Next    *string `json:"next,omitempty"` // the token of the page behind the one whose users are done
	Same    int     `json:"same,omitempty"` // users of that page who had the values already
	End     bool    `json:"end,omitempty"`
}

const stateVersion = 1

// A handle stands for a user name in memory.
type handle [16]byte

func handleOf(name string) handle {
	sum := sha256.Sum256([]byte(name))
	return handle(sum[:16])
}

// Past is what a state file tells of earlier runs.
type Past struct {
	Changed int
	Same    int
	Refused []Refusal
	Ended   bool

	next string // the page to go on with
	seen map[handle]struct{}
}

func (p *Past) knows(name string) bool {
	if len(p.seen) == 0 {
		return false
	}
	_, ok := p.seen[handleOf(name)]
	return ok
}

// Begun reports whether an earlier run did anything.
func (p *Past) Begun() bool { return p.Ended || p.next != "" || len(p.seen) > 0 }

// A State is an open state file. A nil State records nothing.
type State struct {
	file    *os.File
	to      *bufio.Writer
	unsaved int
	saved   time.Time
	line    []byte
}

// OpenState opens the file of a change at an endpoint, or makes it, and reads what it tells.
func OpenState(path, endpoint string, c *Change) (_ *State, _ *Past, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the state file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	first := fact{Version: stateVersion, Endpoint: endpoint, Pool: c.Pool, Filter: c.Filter, Set: c.Set, Unset: slices.Sorted(slices.Values(c.Unset))}
	past, good, err := readState(f, &first)
	if err != nil {
		return nil, nil, fmt.Errorf("state file %s: %w", path, err)
	}
	if err := f.Truncate(good); err != nil {
		return nil, nil, fmt.Errorf("cut the torn end of the state file: %w", err)
	}
	if _, err := f.Seek(good, io.SeekStart); err != nil {
		return nil, nil, fmt.Errorf("go to the end of the state file: %w", err)
	}
	s := &State{file: f, to: bufio.NewWriterSize(f, 64<<10), saved: clock.Machine()}
	if good == 0 {
		head, err := json.Marshal(&first)
		if err != nil {
			return nil, nil, err
		}
		s.line = append(s.line[:0], head...)
		if err := errors.Join(s.put(), s.save()); err != nil {
			return nil, nil, err
		}
	}
	return s, past, nil
}

// errOther says that the file is of another change.
var errOther = errors.New("it belongs to another change: another endpoint, pool, filter or values. Name a new file, or the one of this change")

// readState reads a state file and returns how many of its bytes are whole lines.
func readState(from io.Reader, first *fact) (past *Past, good int64, err error) {
	past = &Past{seen: map[handle]struct{}{}}
	r := bufio.NewReaderSize(from, 256<<10)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if good == 0 && len(line) > 0 && !bytes.HasPrefix(line, []byte(`{"poolhouse-users-update"`)) && !bytes.HasPrefix([]byte(`{"poolhouse-users-update"`), line) {
				return nil, 0, errors.New("it is not a state file of 'users update'")
			}
			return past, good, nil
		}
		if err != nil {
			return nil, 0, err
		}
		var f fact
		if err := json.Unmarshal(line, &f); err != nil {
			if good > 0 && r.Buffered() == 0 && errors.Is(peekEnd(r), io.EOF) {
				return past, good, nil // a last line that reached the disk in parts
			}
			return nil, 0, fmt.Errorf("a line of it cannot be read at byte %d: %w", good, err)
		}
		if good == 0 {
			switch {
			case f.Version == 0:
				return nil, 0, errors.New("it is not a state file of 'users update'")
			case f.Version != stateVersion:
				return nil, 0, fmt.Errorf("it is of version %d, which this program does not know", f.Version)
			case f.Endpoint != first.Endpoint || f.Pool != first.Pool || f.Filter != first.Filter || !maps.Equal(f.Set, first.Set) || !slices.Equal(f.Unset, first.Unset):
				return nil, 0, errOther
			}
		} else {
			past.add(&f)
		}
		good += int64(len(line))
	}
}

func peekEnd(r *bufio.Reader) error {
	_, err := r.Peek(1)
	return err
}

func (p *Past) add(f *fact) {
	switch {
	case f.Done != "":
		p.Changed++
		p.seen[handleOf(f.Done)] = struct{}{}
	case f.Refused != "":
		p.Refused = append(p.Refused, Refusal{User: f.Refused, Code: f.Code, Message: f.Message})
		p.seen[handleOf(f.Refused)] = struct{}{}
	case f.Next != nil:
		p.next = *f.Next
		p.Same += f.Same
	case f.End:
		p.Ended = true
	}
}

func (s *State) put() error {
	if _, err := s.to.Write(append(s.line, '\n')); err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	s.unsaved++
	return nil
}

func (s *State) done(user string) error {
	if s == nil {
		return nil
	}
	s.line = append(appendText(append(s.line[:0], `{"done":`...), user), '}')
	return s.put()
}

func (s *State) refused(r *Refusal) error {
	if s == nil {
		return nil
	}
	s.line = appendText(append(s.line[:0], `{"refused":`...), r.User)
	s.line = appendText(append(s.line, `,"code":`...), r.Code)
	s.line = append(appendText(append(s.line, `,"message":`...), r.Message), '}')
	return s.put()
}

func (s *State) page(next string, same int) error {
	if s == nil {
		return nil
	}
	s.line = fmt.Appendf(appendText(append(s.line[:0], `{"next":`...), next), `,"same":%d}`, same)
	return s.put()
}

func (s *State) end() error {
	if s == nil {
		return nil
	}
	s.line = append(s.line[:0], `{"end":true}`...)
	return s.put()
}

// saveEvery and saveAfter are how much a kill may lose at most: so many facts, or those of so long.
const (
	saveEvery = 2000
	saveAfter = 200 * time.Millisecond
)

// tick saves what is due.
func (s *State) tick(now time.Time) error {
	if s == nil || s.unsaved == 0 || s.unsaved < saveEvery && now.Sub(s.saved) < saveAfter {
		return nil
	}
	return s.save()
}

// save makes the facts durable.
func (s *State) save() error {
	if err := errors.Join(s.to.Flush(), s.file.Sync()); err != nil {
		return fmt.Errorf("save the state file: %w", err)
	}
	s.unsaved, s.saved = 0, clock.Machine()
	return nil
}

// Close saves and closes the file. A nil State is closed.
func (s *State) Close() error {
	if s == nil {
		return nil
	}
	err := errors.Join(s.save(), s.file.Close())
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
