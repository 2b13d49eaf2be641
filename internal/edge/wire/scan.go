package wire

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// What a body may hold. The largest documented request stays far below both.
const (
	maxDepth = 64     // nested structures and lists
	maxItems = 10_000 // members and elements in all
)

// scanner walks over a JSON text, once, and refuses what is not strict JSON. It exists because a general tokeniser
// costs twice as much as everything else the edge does; FuzzDecode holds it to the verdict of one.
//
// All methods leave pos behind what they read. After an error the scanner is of no further use.
type scanner struct {
	src   string
	pos   int
	depth int
	items int
}

// peek skips white space and returns the next byte; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// atEnd reports whether only white space is left.
func (s *scanner) atEnd() bool {
	s.peek()
	return s.pos == len(s.src)
}

// enter reads the bracket that opens a structure or list, which the caller has peeked.
func (s *scanner) enter() error {
	s.pos++
	s.depth++
	if s.depth > maxDepth {
		return fault.BadJSON("The request is nested more than 64 levels deep.")
	}
	return nil
}

// member reads the name of the next member, and the colon; more is false at the end of the structure. n is how
// many members were read before.
func (s *scanner) member(n int) (name string, more bool, err error) {
	if more, err = s.next(n, '}'); !more {
		return "", false, err
	}
	if s.peek() != '"' {
		return "", false, fault.Malformed()
	}
	if name, err = s.text(); err != nil {
		return "", false, err
	}
	if s.peek() != ':' {
		return "", false, fault.Malformed()
	}
	s.pos++
	return name, true, nil
}

// element goes to the next element of a list; more is false at its end. n is how many were read before.
func (s *scanner) element(n int) (more bool, err error) { return s.next(n, ']') }

// next reads what stands between two items, or the closing bracket.
func (s *scanner) next(n int, closing byte) (bool, error) {
	c := s.peek()
	if c == closing {
		s.pos++
		s.depth--
		return false, nil
	}
	if n > 0 {
		if c != ',' {
			return false, fault.Malformed()
		}
		s.pos++
	}
	if s.items++; s.items > maxItems {
		return false, fault.BadJSON("The request has more than 10000 members and elements.")
	}
	return true, nil
}

// text reads a string, whose opening quote has been peeked.
func (s *scanner) text() (string, error) {
	start := s.pos + 1
	ascii := true
	for i := start; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '"':
			s.pos = i + 1
			return valid(s.src[start:i], ascii)
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return "", fault.Malformed()
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", fault.Malformed()
}

func valid(text string, ascii bool) (string, error) {
	if !ascii && !utf8.ValidString(text) {
		return "", fault.BadJSON("A string is not valid UTF-8.")
	}
	return text, nil
}

// escaped reads the string that starts at start and has escapes in it.
func (s *scanner) escaped(start int) (string, error) {
	end := start
	for end < len(s.src) && s.src[end] != '"' {
		if s.src[end] < ' ' {
			return "", fault.Malformed()
		}
		if s.src[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s.src) {
		return "", fault.Malformed()
	}
	var b strings.Builder
	b.Grow(end - start)
	for i := start; i < end; {
		if s.src[i] != '\\' {
			b.WriteByte(s.src[i])
			i++
			continue
		}
		if c := unescaped(s.src[i+1]); c != 0 {
			b.WriteByte(c)
			i += 2
			continue
		}
		r, ok := unit(s.src[i:end])
		if !ok {
			return "", fault.Malformed()
		}
		i += 6
		if utf16.IsSurrogate(r) {
			low, _ := unit(s.src[i:end])
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return "", fault.BadJSON("A string has half of a surrogate pair.")
			}
			i += 6
		}
		b.WriteRune(r)
	}
	s.pos = end + 1
	return valid(b.String(), false)
}

// unescaped is what a backslash and c stand for; 0 when that takes more than c.
func unescaped(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// unit reads the UTF-16 unit that text starts with, such as \u00e9.
func unit(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(text[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number reads a number and returns it as it stands. Its size does not matter here.
func (s *scanner) number() (string, error) {
	start := s.pos
	s.accept("-")
	if !s.accept("0") && s.digits() == 0 {
		return "", fault.Malformed()
	}
	if s.accept(".") && s.digits() == 0 {
		return "", fault.Malformed()
	}
	if s.accept("eE") {
		s.accept("+-")
		if s.digits() == 0 {
			return "", fault.Malformed()
		}
	}
	return s.src[start:s.pos], nil
}

// accept reads one of the given bytes, if it is there.
func (s *scanner) accept(any string) bool {
	if s.pos < len(s.src) && strings.IndexByte(any, s.src[s.pos]) >= 0 {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.src) && '0' <= s.src[s.pos] && s.src[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// word reads a literal such as null.
func (s *scanner) word(literal string) error {
	if !strings.HasPrefix(s.src[s.pos:], literal) {
		return fault.Malformed()
	}
	s.pos += len(literal)
	return nil
}

// null reads null, if that is what comes next.
func (s *scanner) null() (bool, error) {
	if s.peek() != 'n' {
		return false, nil
	}
	return true, s.word("null")
}

// skip reads a value that nobody wants. It must be as strict JSON as any other.
func (s *scanner) skip() error {
	switch s.peek() {
	case '"':
		_, err := s.text()
		return err
	case '{':
		if err := s.enter(); err != nil {
			return err
		}
		var seen names
		for n := 0; ; n++ {
			name, more, err := s.member(n)
			if !more {
				return err
			}
			if !seen.add(name) {
				return twice()
			}
			if err := s.skip(); err != nil {
				return err
			}
		}
	case '[':
		if err := s.enter(); err != nil {
			return err
		}
		for n := 0; ; n++ {
			if more, err := s.element(n); !more {
				return err
			}
			if err := s.skip(); err != nil {
				return err
			}
		}
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		_, err := s.number()
		return err
	}
}

// names remembers the members of one structure, to find one that is given twice.
type names struct {
	few  []string
	many map[string]struct{}
}

// fewNames is how many names are compared one by one.
const fewNames = 16

// add remembers a name, and reports false when it is known already.
func (n *names) add(name string) bool {
	if n.many == nil {
		for _, known := range n.few {
			if known == name {
				return false
			}
		}
		if len(n.few) < fewNames {
			n.few = append(n.few, name)
			return true
		}
		n.many = make(map[string]struct{}, 4*fewNames)
		for _, known := range n.few {
			n.many[known] = struct{}{}
		}
	}
	if _, known := n.many[name]; known {
		return false
	}
	n.many[name] = struct{}{}
	return true
}

// twice does not say which member: its name may be a user's data.
func twice() error { return fault.BadJSON("A member is given twice.") }
