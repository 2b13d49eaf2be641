package wire

import (
	"reflect"
	"time"
	"unicode"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// AppendOutput appends the body of a successful answer. Out is the operation's output, nil where it has none: the
// AWS dialect then has an empty body. The plain dialect's envelope carries the request's id and instant.
func AppendOutput(dst []byte, d Dialect, spec *api.Spec, out any, requestID string, at time.Time) []byte {
	if d == AWS {
		if spec.Out == nil {
			return dst
		}
		return AppendJSON(dst, spec.Out, out, d)
	}
	dst = appendString(append(dst, `{"success":true,"data":{"id":`...), requestID)
	dst = appendRFC3339(append(dst, `,"created_at":"`...), at)
	dst = append(dst, '"')
	if spec.Out != nil {
		dst = appendMembers(dst, spec.Out, reflect.ValueOf(out).Elem(), d)
	}
	return append(dst, "}}"...)
}

// AppendFault appends the body of a refusal.
func AppendFault(dst []byte, d Dialect, f *fault.Error, requestID string) []byte {
	if d == AWS {
		dst = append(append(append(dst, `{"__type":"`...), f.Code...), '"')
		if f.Message != "" {
			dst = appendString(append(dst, `,"message":`...), f.Message)
		}
		return appendTexts(dst, f.Fields)
	}
	dst = append(append(append(dst, `{"success":false,"error":{"code":"`...), word(f)...), '"')
	dst = appendString(append(dst, `,"message":`...), explain(f))
	dst = append(append(append(dst, `,"type":"`...), f.Code...), '"')
	dst = appendString(append(dst, `,"request_id":`...), requestID)
	for i, detail := range f.Details {
		if i == 0 {
			dst = append(dst, `,"details":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = appendString(append(dst, `{"field":`...), detail.Field)
		dst = append(appendString(append(dst, `,"reason":`...), detail.Reason), '}')
	}
	if len(f.Details) > 0 {
		dst = append(dst, ']')
	}
	return append(appendTexts(dst, f.Fields), '}')
}

// explain is the text of a fault; a sentence of ours for those that the service sends without one.
func explain(f *fault.Error) string {
	switch {
	case f.Message != "":
		return f.Message
	case f.Code == fault.UnknownOperationException:
		return "There is no operation of this name." + hint
	case f.Code == fault.SerializationException:
		return "The request is not a JSON object."
	}
	return string(f.Code)
}

// maxHeader bounds the text in the x-amzn-errormessage header, in bytes.
const maxHeader = 1024

// ErrorHeader is a fault's text in the form of a header: one line of printable ASCII, with spaces for line feeds
// and ? for what ASCII lacks. Other control characters are dropped, and so is what is beyond 1024 bytes.
func ErrorHeader(message string) string {
	plain := len(message) <= maxHeader
	for i := 0; plain && i < len(message); i++ {
		plain = ' ' <= message[i] && message[i] <= '~'
	}
	if plain {
		return message
	}
	line := make([]byte, 0, min(len(message), maxHeader))
	for _, r := range message {
		if len(line) == maxHeader {
			break
		}
		switch {
		case r == '\n':
			line = append(line, ' ')
		case unicode.IsControl(r):
		case r > '~':
			line = append(line, '?')
		default:
			line = append(line, byte(r))
		}
	}
	return string(line)
}

// hint is what a plain request that names no operation, or none that exists, is told.
const hint = " Name an operation with the header X-Amz-Target: " + targetPrefix + "<Operation>, or with the query parameter of the same name."

// Hint adds to a violation of constraints, in a plain request that named no operation, how to name one. Other faults
// stay as they are.
func Hint(f *fault.Error) *fault.Error {
	if f.Code != fault.InvalidParameterException || len(f.Details) == 0 {
		return f
	}
	c := *f
	c.Message = c.Message + ". " + implied + hint
	return &c
}

const implied = "The request names no operation, so it is " + Implied + "."

// Stray refuses the body of a plain request that named no operation when it has a member that only other operations
// know, so that nothing is done by accident. What no operation knows is ignored as anywhere else.
func Stray(shape *api.Shape, body []byte) error {
	for _, name := range Unknown(shape, body) {
		for _, spec := range api.All() {
			if spec.In.Member(name) >= 0 {
				return fault.MissingMembers(implied + " It has no member " + name + "." + hint)
			}
		}
	}
	return nil
}
