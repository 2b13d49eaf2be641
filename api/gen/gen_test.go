package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFresh compares what is committed with what the generator writes now.
func TestFresh(t *testing.T) {
	t.Parallel()
	files, err := generate("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		committed, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, text) {
			t.Errorf("%s is stale: run `make generate`", name)
		}
	}
}

// write makes a small repository for the generator.
func write(t *testing.T, model, notes, catalogue string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"api/model.json": model, "api/notes.json": notes, "internal/kit/fault/catalogue.txt": catalogue} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	smallModel = `{"operations":{"GetThing":{"auth":"iam","input":"GetThingRequest","output":"GetThingResponse","errors":["OddException"]},
		"PutThing":{"auth":"public","input":"PutThingRequest","errors":[]}},
	"structures":{"GetThingRequest":{"members":{"UserPoolId":{"type":"IdType","required":true},"Note":{"type":"NoteType"}}},
		"GetThingResponse":{"members":{"Things":{"type":"ThingList"}}},
		"PutThingRequest":{"members":{"headerName":{"type":"NoteType","required":true},"Tags":{"type":"TagMap"},"When":{"type":"DateType"}}},
		"ThingType":{"members":{"Count":{"type":"CountType"},"On":{"type":"BooleanType"}}},
		"OddException":{"members":{"message":{"type":"NoteType"}},"error":"client"},"BrokenException":{"members":{},"error":"server"}},
	"lists":{"ThingList":{"member":"ThingType","max":3}},"maps":{"TagMap":{"key":"NoteType","value":"NoteType"}},
	"strings":{"IdType":{"pattern":"[\\w-]+","min":1,"max":5},"NoteType":{"sensitive":true},"KindType":{"enum":["A","B"]},"SecretType":{}},
	"integers":{"CountType":{"min":0}},"longs":{},"booleans":["BooleanType"],"timestamps":["DateType"],"blobs":{}}`
	smallNotes = `{"quota":{"UserRead":["GetThing","PutThing"]},"limits":{"UserRead":5},"members":{"pool":"UserPoolId"},"reads":["Get"],
		"patterns":{},"enumOrder":{"KindType":["B","A"]},"enumMore":{"KindType":["C"]},"unchecked":{},"sensitive":[],"secret":["SecretType"],"commonErrors":{"client":["SerializationException"],"server":["GoneException"]}}`
	smallTexts = "# comment\nOdd(thing)  OddException  observed  \"{thing} is odd {####}\"\n"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	files, err := generate(write(t, smallModel, smallNotes, smallTexts))
	if err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"api/zz_types.go": {"type GetThingInput struct {\n\tUserPoolId string\n\tNote       *string\n}", "type GetThingOutput struct {\n\tThings []ThingType\n}",
			"HeaderName string", "Tags       map[string]string", "When       Time", "Count *int", "On    *bool"},
		"api/zz_shapes.go": {`{"headerName", "headerName", shapeNoteType, true}`, `Name: "IdType", Kind: String, Min: 1, Max: 5, Checked: true, Pattern: &Pattern{Text: "[\\w-]+", class:`,
			`Name: "NoteType", Kind: String, Min: None, Max: None, Checked: false, Sensitive: true`, `Enum: []string{"B", "A", "C"}`, `Name: "ThingList", Kind: List, Min: None, Max: 3, Checked: true, Elem: shapeThingType`},
		"api/zz_ops.go": {"var GetThing = Op[GetThingInput, GetThingOutput]{&specGetThing}", "var PutThing = Op[PutThingInput, struct{}]{&specPutThing}",
			`Name: "GetThing", Auth: IAM, In: shapeGetThingRequest, Out: shapeGetThingResponse, Quota: UserRead, Pool: 0, Client: -1, Resource: -1, User: -1, Writes: false, Errors: []fault.Code{fault.OddException}`,
			`Name: "PutThing", Auth: Public, In: shapePutThingRequest, Out: nil, Quota: UserRead, Pool: -1, Client: -1, Resource: -1, User: -1, Writes: true`},
		"internal/kit/fault/zz_codes.go": {`OddException           Code = "OddException"`, "case BrokenException, GoneException:", "case GoneException, SerializationException:"},
		"internal/kit/fault/zz_texts.go": {"func Odd(thing string) *Error {\n\treturn &Error{Code: OddException, Message: thing + \" is odd {####}\"}\n}"},
	} {
		for _, w := range wants {
			if !strings.Contains(string(files[name]), w) {
				t.Errorf("%s lacks %q:\n%s", name, w, files[name])
			}
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ model, notes, texts, want string }{
		"quota of an unknown operation": {smallModel, strings.Replace(smallNotes, `"GetThing"`, `"GetNothing"`, 1), smallTexts, "unknown operation GetNothing"},
		"operation without quota":       {smallModel, strings.Replace(smallNotes, `,"PutThing"`, "", 1), smallTexts, "PutThing counts in no quota category"},
		"operation in two categories":   {smallModel, strings.Replace(smallNotes, `{"UserRead":["GetThing","PutThing"]}`, `{"UserRead":["GetThing","PutThing"],"X":["GetThing"]}`, 1), smallTexts, "X has no limit"},
		"more of an enum that has it":   {smallModel, strings.Replace(smallNotes, `["C"]`, `["C","A"]`, 1), smallTexts, "enumMore of KindType"},
		"more of no enum":               {smallModel, strings.Replace(smallNotes, `{"KindType":["C"]}`, `{"NoteType":["C"]}`, 1), smallTexts, "enumMore of NoteType"},
		"enum order of other values":    {smallModel, strings.Replace(smallNotes, `["B","A"]`, `["B","C"]`, 1), smallTexts, "enumOrder of KindType"},
		"secret of no shape":            {smallModel, strings.Replace(smallNotes, `"SecretType"`, `"NoType"`, 1), smallTexts, "unknown shape NoType"},
		"text without code":             {smallModel, smallNotes, "Odd()  observed \"x\"", "catalogue.txt:1"},
		"text of an unknown exception":  {smallModel, smallNotes, "Odd()  NoException  observed  \"x\"", "no exception is called NoException"},
		"text twice":                    {smallModel, smallNotes, smallTexts + smallTexts, "Odd stands twice"},
		"placeholder that is not there": {smallModel, smallNotes, "Odd(a)  OddException  observed  \"x\"", "placeholder a is not in the text"},
		"member twice":                  {strings.Replace(smallModel, `"Note":`, `"UserPoolId":`, 1), smallNotes, smallTexts, "UserPoolId stands twice"},
		"pattern that is no expression": {strings.Replace(smallModel, `[\\w-]+`, `[`, 1), smallNotes, smallTexts, "IdType"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := generate(write(t, c.model, c.notes, c.texts))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}
