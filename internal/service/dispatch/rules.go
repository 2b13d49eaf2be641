package dispatch

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Missing are the paths of required scalars that a request did not send. A decoder reports them, because their Go
// fields cannot tell absence from emptiness.
type Missing map[string]struct{}

// Constrain checks an input against the constraints of its shape and returns one fault that names every
// violation, in the order of the model, or nil. The grammar of the message is the service's (observed).
func Constrain(shape *api.Shape, in any, missing Missing) error {
	if !shape.Checked {
		return nil
	}
	c := checker{missing: missing}
	c.structure(shape, reflect.ValueOf(in).Elem(), "")
	if len(c.items) == 0 {
		return nil
	}
	plural := ""
	if len(c.items) > 1 {
		plural = "s"
	}
	e := fault.Constraints(strconv.Itoa(len(c.items)) + " validation error" + plural + " detected: " + strings.Join(c.items, "; "))
	e.Details = c.details
	return e
}

type checker struct {
	missing Missing
	items   []string
	details []fault.Detail
}

// maxShown bounds how much of a value a refusal repeats, in bytes. The longest value that could be right has half of that. Each
// violation repeats it. What the service does with more is unconfirmed.
const maxShown = 256 << 10

// add records a violation. value is what follows the word Value: empty for sensitive shapes.
func (c *checker) add(value, path, rule string) {
	if len(value) > maxShown {
		value = strings.ToValidUTF8(value[:maxShown], "") + "'"
	}
	if value != "" {
		value += " "
	}
	c.items = append(c.items, "Value "+value+"at '"+path+"' failed to satisfy constraint: "+rule)
	c.details = append(c.details, fault.Detail{Field: path, Reason: rule})
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

func (c *checker) structure(s *api.Shape, v reflect.Value, prefix string) {
	for i := range s.Members {
		m := &s.Members[i]
		if !m.Required && !m.Shape.Checked {
			continue
		}
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			if f.IsNil() {
				if m.Required {
					c.add("null", join(prefix, m.Path), "Member must not be null")
				}
				continue
			}
			if f.Kind() == reflect.Pointer {
				f = f.Elem()
			}
		default:
			if m.Required && len(c.missing) > 0 {
				if _, absent := c.missing[join(prefix, m.Path)]; absent {
					c.add("null", join(prefix, m.Path), "Member must not be null")
					continue
				}
			}
		}
		if m.Shape.Checked {
			c.value(m.Shape, f, prefix, m.Path)
		}
	}
}

// value checks a present value; its path is prefix and name.
func (c *checker) value(s *api.Shape, v reflect.Value, prefix, name string) {
	switch s.Kind {
	case api.Structure:
		c.structure(s, v, join(prefix, name))
	case api.String:
		text := plain(v)
		if ok, n := fits(s, text); !ok {
			c.text(s, text, n, join(prefix, name))
		}
	case api.Integer, api.Long:
		n := int(v.Int())
		shown := "'" + strconv.Itoa(n) + "'"
		if s.Max != api.None && n > s.Max {
			c.add(shown, join(prefix, name), "Member must have value less than or equal to "+strconv.Itoa(s.Max))
		}
		if s.Min != api.None && n < s.Min {
			c.add(shown, join(prefix, name), "Member must have value greater than or equal to "+strconv.Itoa(s.Min))
		}
	case api.Blob:
		c.length(s, v.Len(), "", join(prefix, name))
	case api.List:
		c.list(s, v, join(prefix, name))
	case api.Map:
		c.mapping(s, v, join(prefix, name))
	}
}

// fits is the check without words: most values fit. It returns the length in UTF-16 units as well.
func fits(s *api.Shape, text string) (bool, int) {
	n := utf16Len(text)
	if s.Max != api.None && n > s.Max || s.Min != api.None && n < s.Min {
		return false, n
	}
	if s.Pattern != nil && !s.Pattern.Match(text) {
		return false, n
	}
	return len(s.Enum) == 0 || slices.Contains(s.Enum, text), n
}

func (c *checker) text(s *api.Shape, text string, n int, path string) {
	shown := ""
	if !s.Sensitive {
		shown = "'" + text + "'"
	}
	if s.Pattern != nil && !s.Pattern.Match(text) {
		c.add(shown, path, patternRule(s))
	}
	c.length(s, n, shown, path)
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
		c.add(shown, path, enumRule(s))
	}
}

func (c *checker) length(s *api.Shape, n int, shown, path string) {
	if s.Max != api.None && n > s.Max {
		c.add(shown, path, maxRule(s))
	}
	if s.Min != api.None && n < s.Min {
		c.add(shown, path, minRule(s))
	}
}

func (c *checker) list(s *api.Shape, v reflect.Value, path string) {
	e := s.Elem
	shown := ""
	if e.Kind == api.String && !e.Sensitive {
		shown = "'" + printList(v) + "'"
	}
	c.length(s, v.Len(), shown, path)
	if !e.Checked {
		return
	}
	if e.Kind == api.Structure {
		for i := range v.Len() {
			c.structure(e, v.Index(i), path+"."+strconv.Itoa(i+1)+".member")
		}
		return
	}
	for i := range v.Len() {
		if ok, _ := fits(e, plain(v.Index(i))); !ok {
			c.add(shown, path, "Member must satisfy constraint: ["+rules(e)+"]")
			return
		}
	}
}

func (c *checker) mapping(s *api.Shape, v reflect.Value, path string) {
	shown := ""
	if !s.Sensitive && !s.Elem.Sensitive && s.Elem.Kind == api.String {
		shown = "'" + printMap(v) + "'"
	}
	c.length(s, v.Len(), shown, path)
	badKey, badValue := false, false
	for it := v.MapRange(); it.Next(); {
		if ok, _ := fits(s.Key, it.Key().String()); !ok {
			badKey = true
		}
		if s.Elem.Kind == api.String {
			if ok, _ := fits(s.Elem, it.Value().String()); !ok {
				badValue = true
			}
		}
	}
	if badKey {
		c.add(shown, path, "Map keys must satisfy constraint: ["+rules(s.Key)+"]")
	}
	if badValue {
		c.add(shown, path, "Map value must satisfy constraint: ["+rules(s.Elem)+"]")
	}
	if s.Elem.Kind == api.Structure && s.Elem.Checked {
		for _, k := range sortedKeys(v) {
			c.structure(s.Elem, addressable(v.MapIndex(k)), path+"."+k.String()+".member")
		}
	}
}

// rules are all rules of an element's shape, as the platform prints them for collections.
func rules(s *api.Shape) string {
	var list []string
	if s.Max != api.None {
		list = append(list, maxRule(s))
	}
	if s.Min != api.None {
		list = append(list, minRule(s))
	}
	if s.Pattern != nil {
		list = append(list, patternRule(s))
	}
	if len(s.Enum) > 0 {
		list = append(list, enumRule(s))
	}
	return strings.Join(list, ", ")
}

func maxRule(s *api.Shape) string {
	return "Member must have length less than or equal to " + strconv.Itoa(s.Max)
}
func minRule(s *api.Shape) string {
	return "Member must have length greater than or equal to " + strconv.Itoa(s.Min)
}
func patternRule(s *api.Shape) string {
	return "Member must satisfy regular expression pattern: " + s.Pattern.Text
}
func enumRule(s *api.Shape) string {
	return "Member must satisfy enum value set: [" + strings.Join(s.Enum, ", ") + "]"
}

// plain is the text of a string member, secret or not.
func plain(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return v.String()
	}
	return v.Interface().(secret.Text).Reveal()
}

// utf16Len counts as Java does: characters outside the basic plane count twice.
func utf16Len(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			for _, r := range s[i:] {
				n++
				if r > 0xffff {
					n++
				}
			}
			return n
		}
		n++
	}
	return n
}

func printList(v reflect.Value) string {
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = plain(v.Index(i))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func printMap(v reflect.Value) string {
	parts := make([]string, 0, v.Len())
	for _, k := range sortedKeys(v) {
		parts = append(parts, k.String()+"="+v.MapIndex(k).String())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func addressable(v reflect.Value) reflect.Value {
	p := reflect.New(v.Type()).Elem()
	p.Set(v)
	return p
}
