// Package filter reads the filter language of ListUsers: one condition, such as
//
//	email ^= "jane@"
//
// It only reads. Whether letter case counts, and how a condition becomes a query, is decided where users are searched.
package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Op is how a value is compared.
type Op uint8

const (
	// Equal asks for the whole value.
	Equal Op = iota + 1
	// Prefix asks for values that start with the given one.
	Prefix
)

// String returns the operator as it is written.
func (o Op) String() string {
	switch o {
	case Equal:
		return "="
	case Prefix:
		return "^="
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// Filter is a condition. The zero Filter lets everything through.
type Filter struct {
	Attribute string // one of the searchable attributes
	Op        Op
	Value     string // unescaped, may be empty
}

// IsZero reports whether there is no condition.
func (f Filter) IsZero() bool { return f == Filter{} }

// String writes the condition so that Parse reads it back.
func (f Filter) String() string {
	if f.IsZero() {
		return ""
	}
	return f.Attribute + " " + f.Op.String() + ` "` + escape.Replace(f.Value) + `"`
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// ErrSyntax says that a text is not a filter.
var ErrSyntax = errors.New("filter: syntax error")

// UnknownAttribute says that a well-formed filter names an attribute that cannot be searched, such as a custom one.
type UnknownAttribute struct{ Name string }

func (e *UnknownAttribute) Error() string {
	return fmt.Sprintf("filter: attribute %q cannot be searched", e.Name)
}

// Attributes returns the names that a filter may use.
func Attributes() []string {
	return []string{
		"username", "email", "phone_number", "name", "given_name", "family_name", "preferred_username", "cognito:user_status", "status", "sub",
	}
}

const spaces = " \t\r\n"

// Parse reads
//
//	attribute ("=" | "^=") '"' value '"'
//
// with optional white space between and around the parts. In the value a quote and a backslash stand behind a backslash;
// no other character may. A blank text is the zero Filter. Errors are ErrSyntax or *UnknownAttribute.
func Parse(s string) (Filter, error) {
	s = strings.Trim(s, spaces)
	if s == "" {
		return Filter{}, nil
	}
	end := strings.IndexAny(s, spaces+`=^"\`)
	if end < 1 {
		return Filter{}, ErrSyntax
	}
	f := Filter{Attribute: s[:end]}
	s = strings.TrimLeft(s[end:], spaces)
	if rest, ok := strings.CutPrefix(s, "^="); ok {
		f.Op, s = Prefix, rest
	} else if rest, ok := strings.CutPrefix(s, "="); ok {
		f.Op, s = Equal, rest
	} else {
		return Filter{}, ErrSyntax
	}
	value, ok := unquote(strings.TrimLeft(s, spaces))
	if !ok {
		return Filter{}, ErrSyntax
	}
	f.Value = value
	if !slices.Contains(Attributes(), f.Attribute) {
		return Filter{}, &UnknownAttribute{f.Attribute}
	}
	return f, nil
}

// unquote reads a quoted value that must end where s ends.
func unquote(s string) (string, bool) {
	if s == "" || s[0] != '"' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}
