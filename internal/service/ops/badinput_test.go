package ops_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestWalkBadInput walks every built operation with every member, at every depth, missing, null, too long, too short, of a
// wrong type, and against its pattern or enumeration. Each answer is compared with what a slow and plain
// reading of the contract says; nothing may change, and nothing may be the server's fault.
func TestWalkBadInput(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		cases, operations := 0, 0
		for _, spec := range api.All() {
			if !w.pipeline.Registry.Built(spec.Name) {
				continue
			}
			operations++
			for _, c := range badInputs(w, spec) {
				cases++
				got := w.call(spec.Name, c.body)
				if got != c.want {
					w.Errorf("%s %s\nsent %.300s\ngot  %.600s\nwant %.600s", spec.Name, c.name, c.body, got, c.want)
				}
			}
		}
		want.Equal(w, w.stored(u), u)
		w.view(func(v store.View) error {
			now, err := v.Pools().Get(w.pool.ID)
			if err != nil {
				return err
			}
			entries, err := v.Journal().List(time.Time{}, "", w.pool.ID, "", 10)
			if err != nil {
				return err
			}
			want.Equal(w, now, w.pool)
			want.Equal(w, len(entries), 0)
			return nil
		})
		want.Equal(w, w.sent(), nil)
		want.True(w, operations >= 22 && cases > 1500, "only %d cases for %d operations", cases, operations)
		w.Logf("%d bad inputs for %d operations", cases, operations)
	})
}

type badInput struct{ name, body, want string }

// badInputs makes the cases of an operation.
func badInputs(w *world, spec *api.Spec) []badInput {
	base := map[string]any{}
	for _, m := range spec.In.Members {
		if m.Required {
			base[m.Name] = sample(w, m.Shape)
		}
	}
	list := []badInput{{"no JSON", `{"UserPoolId":`, "SerializationException: "}}
	var walk func(s *api.Shape, names []any, path string)
	walk = func(s *api.Shape, names []any, path string) {
		for _, m := range s.Members {
			at := append(slices.Clone(names), m.Name)
			here := strings.TrimPrefix(path+"."+m.Path, ".")
			add := func(name string, value any, wants string) {
				body, err := json.Marshal(put(w, spec.In, base, at, value))
				want.NoError(w, err)
				list = append(list, badInput{here + " " + name, string(body), wants})
			}
			if m.Required {
				add("missing", absent{}, violations(null(here)))
				add("null", nil, violations(null(here)))
			}
			for name, value := range wrongTypes(m.Shape) {
				add(name, value.value, "SerializationException: "+value.want)
			}
			for name, c := range badValues(w, m.Shape, here) {
				add(name, c.value, violations(c.items...))
			}
			switch inner := m.Shape; {
			case inner.Kind == api.Structure:
				walk(inner, at, here)
			case inner.Kind == api.List && inner.Elem.Kind == api.Structure:
				walk(inner.Elem, append(at, 0), here+".1.member")
			}
		}
	}
	walk(spec.In, nil, "")
	return list
}

// absent stands for a member that is not sent.
type absent struct{}

// put is the base input with a value at a path; structures and lists on the way are filled with samples.
func put(w *world, s *api.Shape, base map[string]any, path []any, value any) map[string]any {
	out := map[string]any{}
	for k, v := range base {
		out[k] = v
	}
	name := path[0].(string)
	m := s.Members[s.Member(name)]
	if len(path) == 1 {
		if _, gone := value.(absent); gone {
			delete(out, name)
		} else {
			out[name] = value
		}
		return out
	}
	inner, rest, list := m.Shape, path[1:], false
	if _, index := rest[0].(int); index {
		inner, rest, list = inner.Elem, rest[1:], true
	}
	nested := put(w, inner, sample(w, inner).(map[string]any), rest, value)
	out[name] = nested
	if list {
		out[name] = []any{nested}
	}
	return out
}

// sample is a value that satisfies the constraints of a shape.
func sample(w *world, s *api.Shape) any {
	switch s.Kind {
	case api.String:
		switch s.Name {
		case "UserPoolIdType":
			return w.pool.ID
		case "UsernameType":
			return "u"
		}
		if len(s.Enum) > 0 {
			return s.Enum[0]
		}
		for _, text := range []string{"a", "aaaaaaaaaaaaaaaaaaaaaaaa", "arn:aws:iam::123456789012:role/x", "{####}aaaaaa", "{##a##}aaa", "a@b.c", "https://a.example", "aaaaaa", "123456", "12345678-1234-4234-8234-123456789012"} {
			if fits(s, text) {
				return text
			}
		}
		w.Fatalf("no sample for %s", s.Name)
	case api.Integer, api.Long:
		return max(s.Min, 0)
	case api.Boolean:
		return true
	case api.Timestamp:
		return 1
	case api.Blob:
		return "YQ=="
	case api.RawJSON:
		return map[string]any{}
	case api.List:
		return []any{sample(w, s.Elem)}
	case api.Map:
		return map[string]any{sample(w, s.Key).(string): sample(w, s.Elem)}
	case api.Structure:
		out := map[string]any{}
		for _, m := range s.Members {
			if m.Required {
				out[m.Name] = sample(w, m.Shape)
			}
		}
		return out
	}
	return nil
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

func matches(s *api.Shape, text string) bool {
	if s.Pattern == nil || strings.Contains(s.Pattern.Text, "?<!") {
		return true
	}
	return regexp.MustCompile(`^(?:` + strings.TrimSuffix(strings.TrimPrefix(s.Pattern.Text, "^"), "$") + `)$`).MatchString(text)
}

func fits(s *api.Shape, text string) bool {
	return matches(s, text) && (s.Min == api.None || units(text) >= s.Min) && (s.Max == api.None || units(text) <= s.Max)
}

// violations is the exception for some violations.
func violations(items ...string) string {
	plural := ""
	if len(items) != 1 {
		plural = "s"
	}
	return invalid(fmt.Sprintf("%d validation error%s detected: %s", len(items), plural, strings.Join(items, "; ")))
}

func null(path string) string {
	return "Value null at '" + path + "' failed to satisfy constraint: Member must not be null"
}

// text are the violations of a string, in the order pattern, maximum, minimum, enumeration.
func text(s *api.Shape, value, path string) (items []string) {
	shown := "Value '" + value + "'"
	if s.Sensitive {
		shown = "Value"
	}
	add := func(rule string) { items = append(items, shown+" at '"+path+"' failed to satisfy constraint: "+rule) }
	if !matches(s, value) {
		add("Member must satisfy regular expression pattern: " + s.Pattern.Text)
	}
	if s.Max != api.None && units(value) > s.Max {
		add(fmt.Sprintf("Member must have length less than or equal to %d", s.Max))
	}
	if s.Min != api.None && units(value) < s.Min {
		add(fmt.Sprintf("Member must have length greater than or equal to %d", s.Min))
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		add("Member must satisfy enum value set: [" + strings.Join(s.Enum, ", ") + "]")
	}
	return items
}

type badValue struct {
	value any
	items []string
}

// badValues are values of the right type that break a constraint.
func badValues(w *world, s *api.Shape, path string) map[string]badValue {
	out := map[string]badValue{}
	add := func(name string, value any, items []string) {
		if len(items) > 0 {
			out[name] = badValue{value, items}
		}
	}
	switch s.Kind {
	case api.String:
		add("empty", "", text(s, "", path))
		add("against the pattern", "a b\u0001", text(s, "a b\u0001", path))
		add("no such word", "NO_SUCH_WORD", text(s, "NO_SUCH_WORD", path))
		if s.Max != api.None && s.Max < 200_000 {
			long := strings.Repeat("x", s.Max+1)
			add("too long", long, text(s, long, path))
		}
	case api.Integer:
		if s.Max != api.None {
			add("too big", s.Max+1, []string{fmt.Sprintf("Value '%d' at '%s' failed to satisfy constraint: Member must have value less than or equal to %d", s.Max+1, path, s.Max)})
		}
		if s.Min != api.None {
			add("too small", s.Min-1, []string{fmt.Sprintf("Value '%d' at '%s' failed to satisfy constraint: Member must have value greater than or equal to %d", s.Min-1, path, s.Min)})
		}
	case api.List:
		if e := s.Elem; e.Kind == api.String && len(e.Enum) > 0 {
			add("no such word in it", []any{"NO"}, []string{"Value '[NO]' at '" + path + "' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [" + strings.Join(e.Enum, ", ") + "]]"})
		}
		if s.Max != api.None && s.Max <= 200 {
			var values []any
			for range s.Max + 1 {
				values = append(values, sample(w, s.Elem))
			}
			shown := "Value"
			if s.Elem.Kind == api.String && !s.Elem.Sensitive {
				shown = strings.ReplaceAll(fmt.Sprintf("Value '%v'", values), " ", ", ")
				shown = strings.Replace(shown, "Value, ", "Value ", 1)
			}
			add("too many", values, []string{fmt.Sprintf("%s at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", shown, path, s.Max)})
		}
	}
	return out
}

type wrongType struct {
	value any
	want  string
}

// wrongTypes are JSON values of another kind, with the text that the service has for them.
func wrongTypes(s *api.Shape) map[string]wrongType {
	const (
		number    = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"
		boolean   = "class java.lang.Boolean can not be converted to an String"
		structure = "Start of structure or map found where not expected."
		array     = "Start of list found where not expected"
	)
	object, list := map[string]any{"a": 1}, []any{1}
	switch s.Kind {
	case api.String:
		return map[string]wrongType{"a number": {5, number}, "a boolean": {true, boolean}, "an object": {object, structure}, "a list": {list, array}}
	case api.Integer:
		return map[string]wrongType{"a string": {"5", "class java.lang.String can not be converted to an Integer"}, "an object": {object, structure}, "a list": {list, array}}
	case api.Boolean:
		return map[string]wrongType{"a string": {"true", "class java.lang.String can not be converted to a Boolean"}, "an object": {object, structure}, "a list": {list, array}}
	case api.List:
		return map[string]wrongType{"a string": {"x", "Expected list or null"}, "an object": {object, "Expected list or null"}, "a number": {5, "Expected list or null"}}
	case api.Map, api.Structure:
		return map[string]wrongType{"a string": {"x", "Expected map or null"}, "a list": {list, "Expected map or null"}, "a number": {5, "Expected map or null"}}
	}
	return nil
}

// TestMembersThatAreIgnored sends unknown members, members in another letter case and members twice.
func TestMembersThatAreIgnored(t *testing.T) {
	t.Parallel()
	onBoth(t, vectorPool, func(w *world) {
		u := w.addUser("u", vectorUser)
		want.Equal(w, w.call("AdminUpdateUserAttributes", `{"UserPoolId":"$pool","Username":"u","UserAttributes":`+list("nickname=n")+`,"Unknown":{"a":[1]},"username":"x","userAttributes":5}`), "{}")
		want.Equal(w, w.stored(u).Attributes, with("nickname", "n"))
		for _, twice := range []string{`{"UserPoolId":"$pool","Username":"v","Username":"u","UserAttributes":[]}`, `{"UserPoolId":"$pool","Username":"u","UserAttributes":[{"Name":"nickname","Name":"name","Value":"x"}]}`,
			`{"UserPoolId":"$pool","Username":"u","UserAttributes":[],"Unknown":{"a":1,"a":2}}`} {
			got := w.call("AdminUpdateUserAttributes", twice)
			want.True(w, strings.HasPrefix(got, "SerializationException: "), "answer %s", got)
		}
		want.Equal(w, w.call("AdminUpdateUserAttributes", `{"userPoolId":"$pool","username":"u","userAttributes":[]}`), violations(null("userPoolId"), null("username"), null("userAttributes")))
		want.Equal(w, w.stored(u).Attributes, with("nickname", "n"))
	})
}
