package wire

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// Decode reads a body into the structure that into points to, whose fields must be those of the shape, and tells
// which required scalars were absent or null. An empty body stands for {}.
//
// Members that the shape does not know are ignored, and so are known ones in another letter case; null is absence
// (in a map the entry is dropped, in a list it is refused). The error is a SerializationException: with the
// service's text for a value of the wrong kind, without a text for what is not JSON at all, and with a sentence of
// ours, which repeats nothing of the body, for JSON that is refused although others would take it.
func Decode(shape *api.Shape, body []byte, into any) (dispatch.Missing, error) {
	// One copy, which the decoded strings share: the caller may use its buffer again.
	d := decoder{scanner: scanner{src: string(body)}}
	d.path = d.room[:0]
	v := reflect.ValueOf(into).Elem()
	if d.atEnd() {
		d.absent(shape, 0)
		return d.missing, nil
	}
	if d.peek() != '{' {
		return nil, fault.Malformed()
	}
	if err := d.structure(shape, v); err != nil {
		return nil, err
	}
	if !d.atEnd() {
		return nil, trailing()
	}
	return d.missing, nil
}

// Unknown lists the members of the body that the shape does not have. It stops at the first fault, which Decode
// will report.
func Unknown(shape *api.Shape, body []byte) []string {
	s := scanner{src: string(body)}
	if s.peek() != '{' || s.enter() != nil {
		return nil
	}
	var unknown []string
	for n := 0; ; n++ {
		name, more, err := s.member(n)
		if err != nil || !more {
			return unknown
		}
		if shape.Member(name) < 0 {
			unknown = append(unknown, name)
		}
		if s.skip() != nil {
			return unknown
		}
	}
}

func trailing() error { return fault.BadJSON("The request goes on after its JSON object.") }

// step is one part of the path to where the decoder is: a name, or the number of a list's element.
type step struct {
	name  string
	index int
}

type decoder struct {
	scanner
	missing dispatch.Missing
	path    []step
	room    [8]step
}

// structure reads an object into v; its bracket has been peeked.
func (d *decoder) structure(s *api.Shape, v reflect.Value) error {
	if err := d.enter(); err != nil {
		return err
	}
	var seen, given uint64 // by index of the member; no structure has more than 64
	var others names
	for n := 0; ; n++ {
		name, more, err := d.member(n)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		i := s.Member(name)
		if i < 0 {
			if !others.add(name) {
				return twice()
			}
			if err := d.skip(); err != nil {
				return err
			}
			continue
		}
		if seen&(1<<i) != 0 {
			return twice()
		}
		seen |= 1 << i
		if null, err := d.null(); err != nil {
			return err
		} else if null {
			continue
		}
		given |= 1 << i
		m := &s.Members[i]
		d.path = append(d.path, step{name: m.Path})
		if err := d.value(m.Shape, v.Field(i)); err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
	}
	d.absent(s, given)
	return nil
}

// absent records the required scalars of a structure that were not given. Other kinds show their absence as nil.
func (d *decoder) absent(s *api.Shape, given uint64) {
	for i := range s.Members {
		m := &s.Members[i]
		if !m.Required || given&(1<<i) != 0 || m.Shape.Kind > api.Timestamp {
			continue
		}
		if d.missing == nil {
			d.missing = dispatch.Missing{}
		}
		var path []byte
		for _, p := range d.path {
			if p.name == "" {
				path = append(strconv.AppendInt(path, int64(p.index), 10), ".member."...)
			} else {
				path = append(append(path, p.name...), '.')
			}
		}
		d.missing[string(append(path, m.Path...))] = struct{}{}
	}
}

// value reads a value that is not null into the field v.
func (d *decoder) value(s *api.Shape, v reflect.Value) error {
	switch s.Kind {
	case api.Structure:
		if d.peek() != '{' {
			return d.not(fault.ExpectedMap)
		}
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		return d.structure(s, v)
	case api.List:
		return d.list(s, v)
	case api.Map:
		return d.mapping(s, v)
	case api.RawJSON:
		d.peek()
		start := d.pos
		if err := d.skip(); err != nil {
			return err
		}
		v.SetBytes([]byte(d.src[start:d.pos]))
		return nil
	case api.String:
		text, err := d.str()
		if err != nil {
			return err
		}
		switch p := v.Addr().Interface().(type) {
		case *string:
			*p = text
		case **string:
			*p = new(text)
		case *secret.Text:
			*p = secret.New(text)
		case **secret.Text:
			*p = new(secret.New(text))
		default:
			panic(unfit(s, v))
		}
		return nil
	case api.Blob:
		if d.peek() != '"' {
			return d.wrong("a Blob")
		}
		text, err := d.text()
		if err != nil {
			return err
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fault.BadJSON("A blob is not valid Base64.")
		}
		v.SetBytes(b)
		return nil
	case api.Boolean:
		b, err := d.boolean()
		if err != nil {
			return err
		}
		switch p := v.Addr().Interface().(type) {
		case *bool:
			*p = b
		case **bool:
			*p = new(b)
		default:
			panic(unfit(s, v))
		}
		return nil
	case api.Integer, api.Long:
		n, err := d.integer(s.Kind)
		if err != nil {
			return err
		}
		switch p := v.Addr().Interface().(type) {
		case *int:
			*p = int(n)
		case **int:
			*p = new(int(n))
		case *int64:
			*p = n
		case **int64:
			*p = new(n)
		default:
			panic(unfit(s, v))
		}
		return nil
	case api.Timestamp:
		t, err := d.time()
		v.SetInt(int64(t))
		return err
	}
	panic(unfit(s, v))
}

// unfit tells of a Go type that does not belong to its shape: the generated code is broken.
func unfit(s *api.Shape, v reflect.Value) string {
	return fmt.Sprintf("wire: no way between the shape %s and the Go type %s", s.Name, v.Type())
}

func (d *decoder) list(s *api.Shape, v reflect.Value) error {
	if d.peek() != '[' {
		return d.not(fault.ExpectedList)
	}
	if err := d.enter(); err != nil {
		return err
	}
	v.Grow(4) // not nil from here on, although empty: the member was sent
	for n := 0; ; n++ {
		more, err := d.element(n)
		if !more {
			return err
		}
		if null, err := d.null(); err != nil {
			return err
		} else if null {
			return fault.BadJSON("A list has null as an element.")
		}
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		d.path = append(d.path, step{index: n + 1})
		if err := d.value(s.Elem, v.Index(n)); err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
	}
}

func (d *decoder) mapping(s *api.Shape, v reflect.Value) error {
	if d.peek() != '{' {
		return d.not(fault.ExpectedMap)
	}
	if err := d.enter(); err != nil {
		return err
	}
	v.Set(reflect.MakeMap(v.Type()))
	texts, _ := v.Interface().(map[string]string)
	var seen names
	for n := 0; ; n++ {
		key, more, err := d.member(n)
		if !more {
			return err
		}
		if !seen.add(key) {
			return twice()
		}
		if null, err := d.null(); err != nil {
			return err
		} else if null {
			continue
		}
		if texts != nil {
			if texts[key], err = d.str(); err != nil {
				return err
			}
			continue
		}
		d.path = append(d.path, step{name: key}, step{name: "member"})
		elem := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(s.Elem, elem); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key), elem)
		d.path = d.path[:len(d.path)-2]
	}
}

func (d *decoder) str() (string, error) {
	switch d.peek() {
	case '"':
		return d.text()
	case 't', 'f':
		return "", d.not(fault.BooleanAsString)
	case '{':
		return "", d.not(fault.UnexpectedStructure)
	case '[':
		return "", d.not(fault.UnexpectedList)
	default:
		return "", d.not(fault.NumberAsString)
	}
}

func (d *decoder) boolean() (bool, error) {
	switch d.peek() {
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	}
	return false, d.wrong("a Boolean")
}

func (d *decoder) integer(k api.Kind) (int64, error) {
	bits, want := 32, "an Integer"
	if k == api.Long {
		bits, want = 64, "a Long"
	}
	text, err := d.numeral(want)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return 0, fault.BadJSON("A number is not a whole number of " + strconv.Itoa(bits) + " bits.")
	}
	return n, nil
}

// time reads seconds since 1970, with a fraction.
func (d *decoder) time() (api.Time, error) {
	text, err := d.numeral("a Timestamp")
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(seconds) >= 1<<38 { // past the year 9999
		return 0, fault.BadJSON("A timestamp is out of range.")
	}
	return api.Time(math.Round(seconds * 1000)), nil
}

func (d *decoder) numeral(want string) (string, error) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return "", d.wrong(want)
	}
	return d.number()
}

// wrong refuses the next value because it is not what the service calls want.
func (d *decoder) wrong(want string) error {
	switch d.peek() {
	case '"':
		return d.not(func() *fault.Error { return fault.WrongKind("java.lang.String", want) })
	case 't', 'f':
		return d.not(func() *fault.Error { return fault.WrongKind("java.lang.Boolean", want) })
	case '{':
		return d.not(fault.UnexpectedStructure)
	case '[':
		return d.not(fault.UnexpectedList)
	default:
		return d.not(func() *fault.Error {
			return fault.WrongKind("com.amazon.coral.value.json.numbers.TruncatingBigNumber", want)
		})
	}
}

// not refuses the next value for its kind, unless it is no value at all.
func (d *decoder) not(kind func() *fault.Error) error {
	if err := d.skip(); err != nil {
		return err
	}
	return kind()
}
