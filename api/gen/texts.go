package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	textLine    = regexp.MustCompile(`^([A-Z]\w*)\(([^)]*)\)\s+(\w+|\*)\s+(observed|documented|unconfirmed|own)\s+("(?:[^"\\]|\\.)*")$`)
	placeholder = regexp.MustCompile(`\{([a-z]\w*)\}`)
)

// texts writes one constructor for each line of the catalogue, and the catalogue as a table for the reference.
func (g *generator) texts(catalogue string) (string, error) {
	known := map[string]bool{}
	for name, s := range g.model.Structures {
		known[name] = s.Error != ""
	}
	for _, name := range append(append([]string{"UnsupportedOperationException"}, g.notes.CommonErrors.Client...), g.notes.CommonErrors.Server...) {
		known[name] = true
	}
	var b, table strings.Builder
	b.WriteString("package fault\n\n")
	seen := map[string]bool{}
	for i, line := range strings.Split(catalogue, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := textLine.FindStringSubmatch(line)
		if f == nil {
			return "", fmt.Errorf("catalogue.txt:%d: not `Name(placeholders) Code evidence \"text\"`", i+1)
		}
		name, code, evidence := f[1], f[3], f[4]
		text, err := strconv.Unquote(f[5])
		if err != nil {
			return "", fmt.Errorf("catalogue.txt:%d: %w", i+1, err)
		}
		if seen[name] {
			return "", fmt.Errorf("catalogue.txt:%d: %s stands twice", i+1, name)
		}
		seen[name] = true
		if code != "*" && !known[code] {
			return "", fmt.Errorf("catalogue.txt:%d: no exception is called %s", i+1, code)
		}
		var params []string
		for _, p := range strings.Split(f[2], ",") {
			if p = strings.TrimSpace(p); p != "" {
				params = append(params, p)
			}
		}
		expr, err := textExpr(text, params)
		if err != nil {
			return "", fmt.Errorf("catalogue.txt:%d: %w", i+1, err)
		}
		codeExpr := code
		signature := ""
		if len(params) > 0 {
			signature = strings.Join(params, ", ") + " string"
		}
		if code == "*" {
			if len(params) == 0 || params[0] != "code" {
				return "", fmt.Errorf("catalogue.txt:%d: a text of any code takes `code` first", i+1)
			}
			codeExpr, signature = "code", "code Code, "+strings.Join(params[1:], ", ")+" string"
		}
		shown := text
		if shown == "" {
			shown = "(no message)"
		}
		fmt.Fprintf(&b, "// %s answers %s: %s (%s)\nfunc %s(%s) *Error {\nreturn &Error{Code: %s, Message: %s}\n}\n\n",
			name, code, strings.ReplaceAll(shown, "\n", " "), evidence, name, signature, codeExpr, expr)
		fmt.Fprintf(&table, "{%q, %q, %q, %q},\n", name, code, evidence, text)
	}
	b.WriteString("// Text is a line of the catalogue.\ntype Text struct{ Name, Code, Evidence, Text string }\n\n")
	b.WriteString("// Catalogue is every text that a client may read, in the order of catalogue.txt.\nfunc Catalogue() []Text {\nreturn []Text{\n" + table.String() + "}\n}\n")
	return b.String(), nil
}

// textExpr turns `a {x} b` into the Go expression "a " + x + " b". Braces that are no placeholder stay.
func textExpr(text string, params []string) (string, error) {
	isParam, used := map[string]bool{}, map[string]bool{"code": true}
	for _, p := range params {
		isParam[p] = true
	}
	var parts []string
	at := 0
	for _, loc := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		name := text[loc[2]:loc[3]]
		if !isParam[name] {
			continue
		}
		used[name] = true
		if loc[0] > at {
			parts = append(parts, strconv.Quote(text[at:loc[0]]))
		}
		parts = append(parts, name)
		at = loc[1]
	}
	if at < len(text) || len(parts) == 0 {
		parts = append(parts, strconv.Quote(text[at:]))
	}
	for _, p := range params {
		if !used[p] {
			return "", fmt.Errorf("placeholder %s is not in the text", p)
		}
	}
	return strings.Join(parts, " + "), nil
}
