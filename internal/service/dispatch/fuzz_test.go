package dispatch_test

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
)

// FuzzConstrain makes random inputs of random operations and compares the check with a slow and plain reading of the
// model: the same violations, in the same order and words. The bytes decide what is sent; the Go types are made
// from the shapes, so that no operation is left out.
func FuzzConstrain(f *testing.F) {
	specs := api.All()
	for i := range specs {
		f.Add(uint(i), []byte{})
		f.Add(uint(i), []byte("every member is sent, and with a value that is in order: \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"))
		f.Add(uint(i), []byte{1, 7, 200, 3, 2, 9, 66, 1, 1, 5, 13, 77, 1, 3, 250, 1, 4, 4, 1, 2, 90, 91, 92, 1, 6, 6, 6, 1, 8, 1, 255, 254, 1, 11, 12, 13, 1, 5, 5, 1, 0, 1, 7, 7})
	}
	f.Fuzz(func(t *testing.T, n uint, data []byte) {
		spec := specs[n%uint(len(specs))]
		b := bytesOf(data)
		tree := b.value(spec.In, 0).(structure)
		in := reflect.New(goType(spec.In, true))
		missing := dispatch.Missing{}
		build(spec.In, tree, in.Elem(), "", missing)
		if len(missing) == 0 {
			missing = nil
		}
		items := violated(spec.In, tree, "")
		err := dispatch.Constrain(spec.In, in.Interface(), missing)
		got, wanted := "", ""
		if err != nil {
			got = err.Error()
			if fault.CodeOf(err) != fault.InvalidParameterException {
				t.Fatalf("%s: %v", spec.Name, err)
			}
		}
		if len(items) > 0 {
			plural := map[bool]string{true: "s"}[len(items) > 1]
			wanted = fmt.Sprintf("InvalidParameterException: %d validation error%s detected: %s", len(items), plural, strings.Join(items, "; "))
		}
		if got != wanted {
			t.Fatalf("%s of %v\ngot  %q\nwant %q", spec.Name, tree, got, wanted)
		}
	})
}

// structure is a value of a structure: members that are absent are not there. Lists are []any, maps are mapping.
type (
	structure map[string]any
	mapping   map[string]any
)

// bytesOf are decisions. When they end, the rest is absent and empty.
type bytesOf []byte

func (b *bytesOf) next() int {
	if len(*b) == 0 {
		return 0
	}
	n := (*b)[0]
	*b = (*b)[1:]
	return int(n)
}

// value makes a value of a shape.
func (b *bytesOf) value(s *api.Shape, depth int) any {
	switch s.Kind {
	case api.Structure:
		v := structure{}
		for _, m := range s.Members {
			if b.next()&1 == 1 && depth < 6 {
				v[m.Name] = b.value(m.Shape, depth+1)
			}
		}
		return v
	case api.List:
		v := make([]any, b.size(s))
		for i := range v {
			v[i] = b.value(s.Elem, depth+1)
		}
		return v
	case api.Map:
		v := mapping{}
		for range b.size(s) {
			v[b.text(s.Key)] = b.value(s.Elem, depth+1)
		}
		return v
	case api.Integer, api.Long, api.Timestamp:
		return []int{0, 1, -1, s.Min, s.Min - 1, s.Max, s.Max + 1, b.next(), -b.next(), b.next() << 16}[b.next()%10]
	case api.Boolean:
		return b.next()&1 == 1
	case api.Blob, api.RawJSON:
		return []byte(strings.Repeat("b", b.size(s)))
	default:
		return b.text(s)
	}
}

// size is the length of a collection: mostly small, and sometimes at a bound.
func (b *bytesOf) size(s *api.Shape) int {
	n := b.next()
	switch {
	case n == 250 && s.Max > 0 && s.Max < 300:
		return s.Max
	case n == 251 && s.Max > 0 && s.Max < 300:
		return s.Max + 1
	}
	return n % 5
}

// alphabet is what texts are made of: the edges of the patterns' classes, characters of one to four bytes, and of
// two UTF-16 units.
var alphabet = []rune("aZ09_-+=,.@/:{}#*! \t\n\v\f\r\x00\x1f\x7f\u0085\u00a0\u00ad\u00e9\u0300\u20ac\u2028\u2029\u3000\ufeff\uffff\u4e2d\U0001f600\U000e0001\U0010ffff")

// words satisfy some pattern of the model, or nearly.
var words = []string{"us-east-1_Abc", "arn:aws:iam::123456789012:role/x", "arn:aws:iam:::x", "{####}", "{##a##}", "x{####}y", "a@b", "import-a", "cognito:default",
	"terms-of-use", "12345678-1234-4234-8234-123456789012", "abc.", "https://a", "a b", "_ab", "a\nb", "0", "xyz"}

// text makes a text: a word of the enumeration, one that may fit, or a random one, repeated to a length at the bounds.
func (b *bytesOf) text(s *api.Shape) string {
	how := b.next()
	switch {
	case how%4 == 1 && len(s.Enum) > 0:
		return s.Enum[b.next()%len(s.Enum)]
	case how%4 == 1:
		return words[b.next()%len(words)]
	}
	var runes []rune
	for range b.next() % 6 {
		runes = append(runes, alphabet[b.next()%len(alphabet)])
	}
	if how%4 == 2 && len(runes) > 0 {
		bound := []int{s.Min - 1, s.Min, s.Max, s.Max + 1}[b.next()%4]
		for len(runes) < bound && bound < 3000 {
			runes = append(runes, runes[len(runes)-1])
		}
	}
	return string(runes)
}

var secretType = reflect.TypeFor[secret.Text]()

// goType is the type of a shape as the generator makes it.
func goType(s *api.Shape, required bool) reflect.Type {
	var t reflect.Type
	switch s.Kind {
	case api.Structure:
		fields := make([]reflect.StructField, len(s.Members))
		for i, m := range s.Members {
			fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: goType(m.Shape, m.Required)}
			if m.Shape.Kind == api.Structure {
				fields[i].Type = reflect.PointerTo(goType(m.Shape, true))
			}
		}
		return reflect.StructOf(fields)
	case api.List:
		return reflect.SliceOf(goType(s.Elem, true))
	case api.Map:
		if s.Elem.Kind == api.String {
			return reflect.TypeFor[map[string]string]()
		}
		return reflect.MapOf(reflect.TypeFor[string](), goType(s.Elem, true))
	case api.Blob:
		return reflect.TypeFor[[]byte]()
	case api.RawJSON:
		return reflect.TypeFor[api.Document]()
	case api.Timestamp:
		return reflect.TypeFor[api.Time]()
	case api.Integer:
		t = reflect.TypeFor[int]()
	case api.Long:
		t = reflect.TypeFor[int64]()
	case api.Boolean:
		t = reflect.TypeFor[bool]()
	default:
		if t = reflect.TypeFor[string](); s.Sensitive {
			t = secretType
		}
	}
	if !required {
		return reflect.PointerTo(t)
	}
	return t
}

// build puts a value into its Go type and notes required scalars that are missing, as a decoder does.
func build(s *api.Shape, value any, v reflect.Value, path string, missing dispatch.Missing) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch value := value.(type) {
	case structure:
		for i, m := range s.Members {
			at := strings.TrimPrefix(path+"."+m.Path, ".")
			if member, ok := value[m.Name]; ok {
				build(m.Shape, member, v.Field(i), at, missing)
			} else if m.Required && m.Shape.Kind <= api.Timestamp {
				missing[at] = struct{}{}
			}
		}
	case []any:
		v.Set(reflect.MakeSlice(v.Type(), len(value), len(value)))
		for i, e := range value {
			build(s.Elem, e, v.Index(i), fmt.Sprintf("%s.%d.member", path, i+1), missing)
		}
	case mapping:
		v.Set(reflect.MakeMap(v.Type()))
		for key, e := range value {
			elem := reflect.New(v.Type().Elem()).Elem()
			build(s.Elem, e, elem, path+"."+key+".member", missing)
			v.SetMapIndex(reflect.ValueOf(key), elem)
		}
	case string:
		if v.Type() == secretType {
			v.Set(reflect.ValueOf(secret.New(value)))
		} else {
			v.SetString(value)
		}
	case int:
		v.SetInt(int64(value))
	case bool:
		v.SetBool(value)
	case []byte:
		v.SetBytes(value)
	}
}

// violated is the reference: what is wrong with a value, in the order of the model.
func violated(s *api.Shape, value any, path string) (items []string) {
	add := func(shown, rule string) {
		items = append(items, strings.ReplaceAll("Value "+shown+" at '"+path+"' failed to satisfy constraint: "+rule, "Value  at", "Value at"))
	}
	switch value := value.(type) {
	case structure:
		for _, m := range s.Members {
			at := strings.TrimPrefix(path+"."+m.Path, ".")
			if member, ok := value[m.Name]; ok {
				items = append(items, violated(m.Shape, member, at)...)
			} else if m.Required {
				items = append(items, "Value null at '"+at+"' failed to satisfy constraint: Member must not be null")
			}
		}
	case string:
		for _, rule := range broken(s, value) {
			add(map[bool]string{false: "'" + value + "'"}[s.Sensitive], rule)
		}
	case int:
		if s.Kind == api.Timestamp {
			break
		}
		if s.Max != api.None && value > s.Max {
			add(fmt.Sprintf("'%d'", value), fmt.Sprintf("Member must have value less than or equal to %d", s.Max))
		}
		if s.Min != api.None && value < s.Min {
			add(fmt.Sprintf("'%d'", value), fmt.Sprintf("Member must have value greater than or equal to %d", s.Min))
		}
	case []byte:
		if s.Kind == api.Blob {
			for _, rule := range lengths(s, len(value)) {
				add("", rule)
			}
		}
	case []any:
		shown, wrong := "", false
		if s.Elem.Kind == api.String {
			var texts []string
			for _, e := range value {
				texts = append(texts, e.(string))
				wrong = wrong || len(broken(s.Elem, e.(string))) > 0
			}
			if !s.Elem.Sensitive {
				shown = "'[" + strings.Join(texts, ", ") + "]'"
			}
		}
		for _, rule := range lengths(s, len(value)) {
			add(shown, rule)
		}
		if wrong {
			add(shown, "Member must satisfy constraint: ["+all(s.Elem)+"]")
		}
		for i, e := range value {
			if s.Elem.Kind != api.String {
				items = append(items, violated(s.Elem, e, fmt.Sprintf("%s.%d.member", path, i+1))...)
			}
		}
	case mapping:
		var texts []string
		wrongKey, wrongValue := false, false
		for _, key := range slices.Sorted(maps.Keys(value)) {
			text, _ := value[key].(string)
			texts = append(texts, key+"="+text)
			wrongKey = wrongKey || len(broken(s.Key, key)) > 0
			wrongValue = wrongValue || s.Elem.Kind == api.String && len(broken(s.Elem, text)) > 0
		}
		shown := ""
		if s.Elem.Kind == api.String && !s.Sensitive && !s.Elem.Sensitive {
			shown = "'{" + strings.Join(texts, ", ") + "}'"
		}
		for _, rule := range lengths(s, len(value)) {
			add(shown, rule)
		}
		if wrongKey {
			add(shown, "Map keys must satisfy constraint: ["+all(s.Key)+"]")
		}
		if wrongValue {
			add(shown, "Map value must satisfy constraint: ["+all(s.Elem)+"]")
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if s.Elem.Kind != api.String {
				items = append(items, violated(s.Elem, value[key], path+"."+key+".member")...)
			}
		}
	}
	return items
}

// lengths are the rules of length that n breaks.
func lengths(s *api.Shape, n int) (rules []string) {
	if s.Max != api.None && n > s.Max {
		rules = append(rules, fmt.Sprintf("Member must have length less than or equal to %d", s.Max))
	}
	if s.Min != api.None && n < s.Min {
		rules = append(rules, fmt.Sprintf("Member must have length greater than or equal to %d", s.Min))
	}
	return rules
}

// broken are the rules that a text breaks, in the order of the service.
func broken(s *api.Shape, text string) (rules []string) {
	if s.Pattern != nil && !matchSlowly(s.Pattern.Text, text) {
		rules = append(rules, "Member must satisfy regular expression pattern: "+s.Pattern.Text)
	}
	rules = append(rules, lengths(s, len(utf16.Encode([]rune(text))))...)
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
		rules = append(rules, "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
	}
	return rules
}

// all are the rules of a shape, broken or not, in the order of collections.
func all(s *api.Shape) string {
	var rules []string
	if s.Max != api.None {
		rules = append(rules, fmt.Sprintf("Member must have length less than or equal to %d", s.Max))
	}
	if s.Min != api.None {
		rules = append(rules, fmt.Sprintf("Member must have length greater than or equal to %d", s.Min))
	}
	if s.Pattern != nil {
		rules = append(rules, "Member must satisfy regular expression pattern: "+s.Pattern.Text)
	}
	if len(s.Enum) > 0 {
		rules = append(rules, "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
	}
	return strings.Join(rules, ", ")
}

// matchSlowly matches the whole of a text against a pattern as it is written in the model.
func matchSlowly(pattern, text string) bool {
	const noDotAtTheEnd = `(?<!\.)`
	if strings.Contains(pattern, noDotAtTheEnd) && strings.HasSuffix(text, ".") {
		return false
	}
	pattern = strings.ReplaceAll(pattern, noDotAtTheEnd, "")
	return regexp.MustCompile(`\A(?:` + strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$") + `)\z`).MatchString(text)
}
