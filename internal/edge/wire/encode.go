package wire

import (
	"encoding/base64"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// AppendJSON appends the structure that v points to, whose fields must be those of the shape. Absent members are
// left out; the rest stands in the order of the model, the keys of maps in that of the alphabet. Instants are
// written as the dialect writes them. Secrets are revealed: what comes out goes to the client and nowhere else.
func AppendJSON(dst []byte, shape *api.Shape, v any, d Dialect) []byte {
	return appendStructure(dst, shape, reflect.ValueOf(v).Elem(), d)
}

func appendStructure(dst []byte, s *api.Shape, v reflect.Value, d Dialect) []byte {
	return append(appendMembers(append(dst, '{'), s, v, d), '}')
}

// appendMembers appends the members without the brackets around them, behind a comma where dst has members already.
func appendMembers(dst []byte, s *api.Shape, v reflect.Value, d Dialect) []byte {
	for i := range s.Members {
		m := &s.Members[i]
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Pointer:
			if f.IsNil() {
				continue
			}
			f = f.Elem()
		case reflect.Slice, reflect.Map:
			if f.IsNil() || m.Shape.Kind == api.RawJSON && f.Len() == 0 {
				continue
			}
		case reflect.Int64:
			if m.Shape.Kind == api.Timestamp && f.Int() == 0 {
				continue
			}
		default: // required scalars are always there
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, m.Name...)
		dst = append(dst, '"', ':')
		dst = appendValue(dst, m.Shape, f, d)
	}
	return dst
}

func appendValue(dst []byte, s *api.Shape, v reflect.Value, d Dialect) []byte {
	switch s.Kind {
	case api.Structure:
		return appendStructure(dst, s, v, d)
	case api.List:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, s.Elem, v.Index(i), d)
		}
		return append(dst, ']')
	case api.Map:
		return appendMap(dst, s, v, d)
	case api.RawJSON:
		return append(dst, v.Bytes()...)
	case api.Blob:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
		return append(dst, '"')
	case api.String:
		if v.Kind() == reflect.String {
			return appendString(dst, v.String())
		}
		if t, ok := v.Interface().(secret.Text); ok {
			return appendString(dst, t.Reveal())
		}
	case api.Boolean:
		return strconv.AppendBool(dst, v.Bool())
	case api.Integer, api.Long:
		return strconv.AppendInt(dst, v.Int(), 10)
	case api.Timestamp:
		return appendTime(dst, api.Time(v.Int()), d)
	}
	panic(unfit(s, v))
}

func appendMap(dst []byte, s *api.Shape, v reflect.Value, d Dialect) []byte {
	if texts, ok := v.Interface().(map[string]string); ok {
		return appendTexts(append(dst, '{'), texts)
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k.String()), ':')
		dst = appendValue(dst, s.Elem, v.MapIndex(k), d)
	}
	return append(dst, '}')
}

// appendTexts appends a map of strings and the closing bracket, behind a comma where dst has members already.
func appendTexts(dst []byte, texts map[string]string) []byte {
	for _, k := range slices.Sorted(maps.Keys(texts)) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k), ':')
		dst = appendString(dst, texts[k])
	}
	return append(dst, '}')
}

// appendTime writes epoch seconds with as many of three decimals as are needed in the AWS dialect, RFC 3339 in UTC
// with milliseconds where there are any in the plain one.
func appendTime(dst []byte, t api.Time, d Dialect) []byte {
	if d == Plain {
		return append(appendRFC3339(append(dst, '"'), time.UnixMilli(int64(t))), '"')
	}
	ms := int64(t)
	if ms < 0 {
		dst = append(dst, '-')
		ms = -ms
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	rest := ms % 1000
	if rest == 0 {
		return dst
	}
	digits := [3]byte{byte('0' + rest/100), byte('0' + rest/10%10), byte('0' + rest%10)}
	n := 3
	for digits[n-1] == '0' {
		n--
	}
	return append(append(dst, '.'), digits[:n]...)
}

func appendRFC3339(dst []byte, t time.Time) []byte {
	layout := "2006-01-02T15:04:05Z"
	if t.Nanosecond() >= int(time.Millisecond) {
		layout = "2006-01-02T15:04:05.000Z"
	}
	return t.UTC().AppendFormat(dst, layout)
}

// appendString quotes a text. Bytes that are not UTF-8 become U+FFFD, which is all that the error would tell.
func appendString(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}
