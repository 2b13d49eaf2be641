package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/edge/wire"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestEverything(t *testing.T) {
	t.Parallel()
	var got, all []string
	for _, d := range everything() {
		got = append(got, d.spec.Name)
		if n := len(d.spec.In.Members); n > 64 {
			t.Errorf("%s has %d input members, the decoder counts on at most 64", d.spec.Name, n)
		}
	}
	for _, spec := range api.All() {
		all = append(all, spec.Name)
	}
	want.Equal(t, got, all)
}

// revealed lets go-cmp see into secrets; nobody else may.
var revealed = cmp.Comparer(func(a, b secret.Text) bool { return a.Equal(b) })

func missing(paths ...string) dispatch.Missing {
	m := dispatch.Missing{}
	for _, p := range paths {
		m[p] = struct{}{}
	}
	return m
}

func TestDecode(t *testing.T) {
	t.Parallel()
	value := "v"
	for _, tt := range []struct {
		name, body string
		want       api.AdminUpdateUserAttributesInput
		missing    dispatch.Missing
	}{
		{
			name: "everything",
			body: ` {"UserPoolId" : "p","Username":"u", "UserAttributes":[{"Name":"n","Value":"v"},{"Name":"m"}],"ClientMetadata":{"k":"v"}} ` + "\r\n\t",
			want: api.AdminUpdateUserAttributesInput{UserPoolId: "p", Username: "u",
				UserAttributes: []api.AttributeType{{Name: "n", Value: &value}, {Name: "m"}}, ClientMetadata: map[string]string{"k": "v"}},
		},
		{name: "an empty body is an empty structure", body: "", missing: missing("userPoolId", "username")},
		{name: "white space is an empty body", body: " \n", missing: missing("userPoolId", "username")},
		{name: "an empty structure", body: "{}", missing: missing("userPoolId", "username")},
		{
			name: "unknown members are ignored", body: `{"UserPoolId":"p","Colour":{"a":[1,-2.5e+3,true,false,null,{"b":"\u00e9"}]},"Username":"u"}`,
			want: api.AdminUpdateUserAttributesInput{UserPoolId: "p", Username: "u"},
		},
		{
			name: "wrong-case members are ignored", body: `{"userPoolId":"x","UserPoolId":"p","USERNAME":"u"}`,
			want: api.AdminUpdateUserAttributesInput{UserPoolId: "p"}, missing: missing("username"),
		},
		{
			name: "null members are absent", body: `{"UserPoolId":null,"Username":"u","UserAttributes":null,"ClientMetadata":null}`,
			want: api.AdminUpdateUserAttributesInput{Username: "u"}, missing: missing("userPoolId"),
		},
		{
			name: "an empty string is there", body: `{"UserPoolId":"","Username":""}`,
		},
		{
			name: "empty collections are there", body: `{"UserPoolId":"p","Username":"u","UserAttributes":[ ],"ClientMetadata":{ }}`,
			want: api.AdminUpdateUserAttributesInput{UserPoolId: "p", Username: "u",
				UserAttributes: []api.AttributeType{}, ClientMetadata: map[string]string{}},
		},
		{
			name: "null entries of a map are dropped", body: `{"UserPoolId":"p","Username":"u","ClientMetadata":{"a":null,"b":"v"}}`,
			want: api.AdminUpdateUserAttributesInput{UserPoolId: "p", Username: "u", ClientMetadata: map[string]string{"b": "v"}},
		},
		{
			name: "a required scalar is missing in a list", body: `{"UserPoolId":"p","Username":"u","UserAttributes":[{"Name":"n"},{"Value":"v"},{"Name":null}]}`,
			want: api.AdminUpdateUserAttributesInput{UserPoolId: "p", Username: "u",
				UserAttributes: []api.AttributeType{{Name: "n"}, {Value: &value}, {}}},
			missing: missing("userAttributes.2.member.name", "userAttributes.3.member.name"),
		},
		{
			name: "escapes", body: `{"UserPoolId":"\"\\\/\b\f\n\r\t\u0041\u00e9\uD83D\uDE00","User\u006eame":"é😀"}`,
			want: api.AdminUpdateUserAttributesInput{UserPoolId: "\"\\/\b\f\n\r\tAé😀", Username: "é😀"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got api.AdminUpdateUserAttributesInput
			absent, err := wire.Decode(api.AdminUpdateUserAttributes.In, []byte(tt.body), &got)
			want.NoError(t, err)
			want.Equal(t, got, tt.want)
			want.Equal(t, absent, tt.missing)
		})
	}
}

func TestDecodeAllKinds(t *testing.T) {
	t.Parallel()
	decode := func(shape *api.Shape, body string, into any) {
		t.Helper()
		_, err := wire.Decode(shape, []byte(body), into)
		want.NoError(t, err)
	}
	var create api.CreateUserPoolClientInput
	decode(api.CreateUserPoolClient.In, `{"GenerateSecret":true,"RefreshTokenValidity":30,"ExplicitAuthFlows":["A","B"],"TokenValidityUnits":{"IdToken":"days"}}`, &create)
	want.True(t, *create.GenerateSecret, "GenerateSecret")
	want.Equal(t, *create.RefreshTokenValidity, 30)
	want.Equal(t, create.ExplicitAuthFlows, []string{"A", "B"})
	want.Equal(t, *create.TokenValidityUnits.IdToken, "days")

	var set api.AdminSetUserPasswordInput
	decode(api.AdminSetUserPassword.In, `{"Password":"geheim","Permanent":false}`, &set)
	want.Equal(t, set.Password.Reveal(), "geheim")

	var branding api.CreateManagedLoginBrandingInput
	decode(api.CreateManagedLoginBranding.In, `{"Settings": {"a" : [1, 2]} ,"Assets":[{"Bytes":"AAEC"}]}`, &branding)
	want.Equal(t, string(branding.Settings), `{"a" : [1, 2]}`)
	want.Equal(t, branding.Assets[0].Bytes, []byte{0, 1, 2})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	attributes := api.AdminUpdateUserAttributes
	for _, tt := range []struct {
		name, body, message string
	}{
		{"a number for a string", `{"Username":5}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		{"a number for an attribute's value", `{"UserAttributes":[{"Name":"custom:n","Value":5}]}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		{"a boolean for a string", `{"Username":true}`, "class java.lang.Boolean can not be converted to an String"},
		{"a structure for a string", `{"Username":{"a":1}}`, "Start of structure or map found where not expected."},
		{"a list for a string", `{"Username":["u"]}`, "Start of list found where not expected"},
		{"a number in a map", `{"ClientMetadata":{"k":1}}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		{"a string for a list", `{"UserAttributes":"a"}`, "Expected list or null"},
		{"a structure for a list", `{"UserAttributes":{}}`, "Expected list or null"},
		{"a string for a structure", `{"UserAttributes":["a"]}`, "Expected map or null"},
		{"a list for a map", `{"ClientMetadata":[]}`, "Expected map or null"},
		{"null in a list", `{"UserAttributes":[null]}`, "A list has null as an element."},

		{"no JSON", `username=jane`, ""},
		{"a string", `"x"`, ""},
		{"a list", `[]`, ""},
		{"null", `null`, ""},
		{"cut off", `{"Username":"u"`, ""},
		{"cut off after a colon", `{"Username":`, ""},
		{"cut off in an escape", `{"Username":"\`, ""},
		{"a comma too many", `{"Username":"u",}`, ""},
		{"a comma too many in a list", `{"UserAttributes":[{"Name":"n"},]}`, ""},
		{"no comma", `{"Username":"u" "UserPoolId":"p"}`, ""},
		{"single quotes", `{'Username':'u'}`, ""},
		{"a name without quotes", `{Username:"u"}`, ""},
		{"a comment", `{/* */}`, ""},
		{"a line feed in a string", "{\"Username\":\"a\nb\"}", ""},
		{"an unknown escape", `{"Username":"\x41"}`, ""},
		{"an unknown word", `{"Username":nil}`, ""},
		{"a leading zero", `{"X":01}`, ""},
		{"a leading plus", `{"X":+1}`, ""},
		{"a bare point", `{"X":1.}`, ""},
		{"a bare exponent", `{"X":1e}`, ""},
		{"NaN", `{"X":NaN}`, ""},
		{"a byte order mark", "\ufeff{}", ""},
		{"UTF-16", "{\x00}\x00", ""},

		{"duplicates are refused", `{"Username":"a","Username":"b"}`, "A member is given twice."},
		{"duplicates of null are refused", `{"Username":null,"Username":"b"}`, "A member is given twice."},
		{"duplicates by escape are refused", `{"Username":"a","\u0055sername":"b"}`, "A member is given twice."},
		{"duplicates below are refused", `{"UserAttributes":[{"Name":"a","Name":"b"}]}`, "A member is given twice."},
		{"duplicates of unknown members are refused", `{"X":1,"X":1}`, "A member is given twice."},
		{"duplicates in unknown members are refused", `{"X":[{"a":{"b":1,"b":2}}]}`, "A member is given twice."},
		{"duplicates in maps are refused", `{"ClientMetadata":{"secret":"a","secret":"b"}}`, "A member is given twice."},
		{"duplicates of dropped entries are refused", `{"ClientMetadata":{"a":null,"a":"b"}}`, "A member is given twice."},
		{"duplicates among many", `{` + members(100) + `,"m50":1}`, "A member is given twice."},

		{"data behind", `{}{}`, "The request goes on after its JSON object."},
		{"a bracket behind", `{}]`, "The request goes on after its JSON object."},
		{"bad UTF-8", "{\"Username\":\"\xff\"}", "A string is not valid UTF-8."},
		{"bad UTF-8 beside an escape", "{\"Username\":\"\\n\xff\"}", "A string is not valid UTF-8."},
		{"a surrogate as UTF-8", "{\"Username\":\"\xed\xa0\x80\"}", "A string is not valid UTF-8."},
		{"half a pair", `{"Username":"\ud83d"}`, "A string has half of a surrogate pair."},
		{"half a pair and text", `{"Username":"\ud83dabcdef"}`, "A string has half of a surrogate pair."},
		{"the second half", `{"Username":"\ude00"}`, "A string has half of a surrogate pair."},
		{"halves in the wrong order", `{"Username":"\ude00\ud83d"}`, "A string has half of a surrogate pair."},
		{"half a pair in an unknown member", `{"X":"\ud83d"}`, "A string has half of a surrogate pair."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			refused(t, attributes.In, tt.body, new(api.AdminUpdateUserAttributesInput), tt.message)
		})
	}
}

func refused(t *testing.T, shape *api.Shape, body string, into any, message string) {
	t.Helper()
	_, err := wire.Decode(shape, []byte(body), into)
	f, ok := errors.AsType[*fault.Error](err)
	want.True(t, ok, "the error is a fault, not %v", err)
	want.Equal(t, f.Code, fault.SerializationException)
	want.Equal(t, f.Message, message)
}

func TestRefusedKinds(t *testing.T) {
	t.Parallel()
	client, branding := api.CreateUserPoolClient.In, api.CreateManagedLoginBranding.In
	for _, tt := range []struct {
		name    string
		shape   *api.Shape
		body    string
		message string
	}{
		{"a string for a number", client, `{"RefreshTokenValidity":"30"}`, "class java.lang.String can not be converted to an Integer"},
		{"a boolean for a number", client, `{"RefreshTokenValidity":true}`, "class java.lang.Boolean can not be converted to an Integer"},
		{"a list for a number", client, `{"RefreshTokenValidity":[1]}`, "Start of list found where not expected"},
		{"a string for a boolean", client, `{"GenerateSecret":"true"}`, "class java.lang.String can not be converted to a Boolean"},
		{"a number for a boolean", client, `{"GenerateSecret":1}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to a Boolean"},
		{"a structure for a boolean", client, `{"GenerateSecret":{}}`, "Start of structure or map found where not expected."},
		{"a string for a structure", client, `{"TokenValidityUnits":"days"}`, "Expected map or null"},
		{"a number in a list of strings", client, `{"ExplicitAuthFlows":["A",1]}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		{"a fraction", client, `{"RefreshTokenValidity":1.5}`, "A number is not a whole number of 32 bits."},
		{"an exponent", client, `{"RefreshTokenValidity":1e999999}`, "A number is not a whole number of 32 bits."},
		{"a large number", client, `{"RefreshTokenValidity":2147483648}`, "A number is not a whole number of 32 bits."},
		{"bad Base64", branding, `{"Assets":[{"Bytes":"?"}]}`, "A blob is not valid Base64."},
		{"a number for a blob", branding, `{"Assets":[{"Bytes":1}]}`, "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to a Blob"},
		{"a duplicate in a document", branding, `{"Settings":{"a":1,"a":2}}`, "A member is given twice."},
		{"no value for a number", client, `{"RefreshTokenValidity":}`, ""},
		{"no value for a string", client, `{"ClientName":}`, ""},
		{"no value for a list", client, `{"ExplicitAuthFlows":}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var into any = new(api.CreateUserPoolClientInput)
			if tt.shape == branding {
				into = new(api.CreateManagedLoginBrandingInput)
			}
			refused(t, tt.shape, tt.body, into, tt.message)
		})
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":0`, i)
	}
	return b.String()[1:]
}

// TestHeavy holds the price of a hostile body of 1 MiB below 20 ms and 8 MiB. The time is the best of several runs,
// because other tests run meanwhile.
func TestHeavy(t *testing.T) {
	const size = 1 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for _, tt := range []struct {
		name, body string
		message    string // "-": the body is taken
	}{
		{"deep lists", `{"X":` + fill("["), "The request is nested more than 64 levels deep."},
		{"deep structures", fill(`{"a":`), "The request is nested more than 64 levels deep."},
		{"depth 10000, closed", `{"X":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, "The request is nested more than 64 levels deep."},
		{"a million elements", `{"X":[` + fill("1,") + `1]}`, "The request has more than 10000 members and elements."},
		{"a million empty strings", `{"UserAttributes":[` + fill(`"",`) + `""]}`, "Expected map or null"},
		{"many members", `{` + members(80_000) + `}`, "The request has more than 10000 members and elements."},
		{"many entries", `{"ClientMetadata":{` + strings.ReplaceAll(members(80_000), ":0", `:""`) + `}}`, "The request has more than 10000 members and elements."},
		{"many lists", `{"X":[` + fill(`[],`) + `[]]}`, "The request has more than 10000 members and elements."},
		{"as many as are allowed", `{` + members(10_000) + `}`, "-"},
		{"one long string", `{"Username":"` + fill("a") + `"}`, "-"},
		{"one long string of escapes", `{"Username":"` + fill(`\u0041`) + `"}`, "-"},
		{"one long number", `{"X":1` + fill("0") + `}`, "-"},
		{"a huge exponent", `{"X":1e999999}`, "-"},
		{"white space", fill(" "), "-"},
		{"white space before the end", "{" + fill(" ") + "}", "-"},
		{"quotes", fill(`"`), ""},
		{"backslashes", `{"X":"` + fill(`\`), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := []byte(tt.body)
			best := time.Hour
			var grown uint64
			for range 5 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				_, err := wire.Decode(api.AdminUpdateUserAttributes.In, body, new(api.AdminUpdateUserAttributesInput))
				best = min(best, time.Since(start))
				runtime.ReadMemStats(&after)
				grown = after.TotalAlloc - before.TotalAlloc
				f, ok := errors.AsType[*fault.Error](err)
				if ok != (tt.message != "-") || ok && f.Message != tt.message {
					t.Fatalf("got %v, wanted %q", err, tt.message)
				}
			}
			want.True(t, best < slow*20*time.Millisecond, "%v is less than %d times 20 ms", best, slow)
			want.True(t, grown < 8<<20, "%d bytes are less than 8 MiB", grown)
		})
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	for body, unknown := range map[string][]string{
		``:                        nil,
		`[]`:                      nil,
		`{"Username":"u","X":1}`:  {"X"},
		`{"A":{"B":1},"C":[],"D"`: {"A", "C"},
		`{"A":}`:                  {"A"},
	} {
		want.Equal(t, wire.Unknown(api.AdminUpdateUserAttributes.In, []byte(body)), unknown)
	}
}

// strict is the verdict of a general tokeniser on the same text, with our bounds counted on top.
func strict(body []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	if dec.PeekKind() != '{' {
		return false
	}
	open := []jsontext.Kind{}
	items := 0
	tokens := []int{}
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return items <= 10_000
		}
		if err != nil {
			return false
		}
		if dec.StackDepth() == 0 && token.Kind() != '}' {
			return false // a second value
		}
		switch token.Kind() {
		case '}', ']':
			open, tokens = open[:len(open)-1], tokens[:len(tokens)-1]
			continue
		}
		if n := len(open); n > 0 {
			if open[n-1] == '[' || tokens[n-1]%2 == 0 {
				items++
			}
			tokens[n-1]++
		}
		switch kind := token.Kind(); kind {
		case '{', '[':
			if len(open) == 64 {
				return false
			}
			open, tokens = append(open, kind), append(tokens, 0)
		}
	}
}

// opaque is a structure that knows no member, so that only JSON itself can be wrong.
var opaque = &api.Shape{Name: "Opaque", Kind: api.Structure}

func FuzzDecode(f *testing.F) {
	ops := everything()
	for i, d := range ops {
		f.Add(i, sample(d))
	}
	for _, s := range []string{"", "{}", `{"a":[1,{"b":null}],"c":"\u00e9\ud83d\ude00"}`, `{"a":1,"\u0061":2}`, "{\"a\":\"\xff\"}", `{}x`, `{"a":-0.0E+1}`,
		strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64), strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65)} {
		f.Add(0, []byte(s))
	}
	f.Fuzz(func(t *testing.T, n int, body []byte) {
		if len(bytes.TrimSpace(body)) > 0 && !bytes.ContainsAny(body, "\v\f\u0085\u00a0") {
			_, err := wire.Decode(opaque, body, new(struct{}))
			if ok := strict(body); ok != (err == nil) {
				t.Fatalf("the tokeniser says %v, the decoder %v", ok, err)
			}
		}
		d := ops[uint(n)%uint(len(ops))]
		first := d.in()
		absent, err := wire.Decode(d.spec.In, body, first)
		if err != nil {
			if fault.CodeOf(err) != fault.SerializationException {
				t.Fatalf("%s: %v is no SerializationException", d.spec.Name, err)
			}
			return
		}
		if err := dispatch.Constrain(d.spec.In, first, absent); err != nil && fault.CodeOf(err) != fault.InvalidParameterException {
			t.Fatalf("%s: %v", d.spec.Name, err)
		}
		text := wire.AppendJSON(nil, d.spec.In, first, wire.AWS)
		if !jsontext.Value(text).IsValid() {
			t.Fatalf("%s: the encoder wrote bad JSON: %s", d.spec.Name, text)
		}
		second := d.in()
		if _, err := wire.Decode(d.spec.In, text, second); err != nil {
			t.Fatalf("%s: what the encoder wrote is refused: %v\n%s", d.spec.Name, err, text)
		}
		if diff := cmp.Diff(first, second, revealed); diff != "" {
			t.Fatalf("%s: a value changed on its way:\n%s", d.spec.Name, diff)
		}
	})
}

// sample is a body with every member of an operation's input.
func sample(d described) []byte {
	in := d.in()
	fillValue(d.spec.In, reflect.ValueOf(in).Elem())
	return wire.AppendJSON(nil, d.spec.In, in, wire.AWS)
}

// fillValue sets a value of the shape, and everything below it.
func fillValue(s *api.Shape, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch s.Kind {
	case api.Structure:
		for i := range s.Members {
			fillValue(s.Members[i].Shape, v.Field(i))
		}
	case api.List:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fillValue(s.Elem, v.Index(i))
		}
	case api.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{"b", "a"} {
			elem := reflect.New(v.Type().Elem()).Elem()
			fillValue(s.Elem, elem)
			v.SetMapIndex(reflect.ValueOf(key), elem)
		}
	case api.RawJSON:
		v.SetBytes([]byte(`{"k":[1,"x"]}`))
	case api.Blob:
		v.SetBytes([]byte{1, 2, 3})
	case api.Boolean:
		v.SetBool(true)
	case api.Integer, api.Long:
		v.SetInt(7)
	case api.Timestamp:
		v.SetInt(1548099495428)
	case api.String:
		if v.Kind() == reflect.String {
			v.SetString("te\"xt é")
		} else {
			v.Set(reflect.ValueOf(secret.New("hidden")))
		}
	}
}

// TestRoundTrip sends every member of every operation, in both directions, through the codec.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, d := range everything() {
		shapes := map[*api.Shape]func() any{d.spec.In: d.in}
		if d.spec.Out != nil {
			shapes[d.spec.Out] = d.out
		}
		for shape, fresh := range shapes {
			first, second := fresh(), fresh()
			fillValue(shape, reflect.ValueOf(first).Elem())
			text := wire.AppendJSON(nil, shape, first, wire.AWS)
			absent, err := wire.Decode(shape, text, second)
			if err != nil || len(absent) > 0 {
				t.Fatalf("%s: %v, missing %v\n%s", d.spec.Name, err, absent, text)
			}
			want.Equal(t, second, first, revealed)
		}
	}
}

var flagship = []byte(`{"UserPoolId":"us-east-1_abcdefghi","Username":"jane.doe@example.com","UserAttributes":[` +
	`{"Name":"email","Value":"jane.doe@example.com"},{"Name":"email_verified","Value":"true"},{"Name":"phone_number","Value":"+15555550100"},` +
	`{"Name":"given_name","Value":"Jane"},{"Name":"family_name","Value":"Doe"},{"Name":"locale","Value":"en-GB"},` +
	`{"Name":"custom:department","Value":"research and development"},{"Name":"custom:cost_center","Value":"1234567890"},` +
	`{"Name":"address","Value":"221b Baker Street, London"}],"ClientMetadata":{"source":"crm","batch":"2026-01-01"}}`)

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(flagship)))
	for b.Loop() {
		if _, err := wire.Decode(api.AdminUpdateUserAttributes.In, flagship, new(api.AdminUpdateUserAttributesInput)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	var in api.AdminUpdateUserAttributesInput
	if _, err := wire.Decode(api.AdminUpdateUserAttributes.In, flagship, &in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = wire.AppendJSON(dst[:0], api.AdminUpdateUserAttributes.In, &in, wire.AWS)
	}
}
