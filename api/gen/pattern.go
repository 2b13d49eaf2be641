package main

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
)

// patternExpr is the Go literal of a pattern. One repeated character class becomes a table, everything else a
// regular expression that is compiled when first used.
func patternExpr(text string) (string, error) {
	if body, tail, ok := lookBehind(text); ok {
		p, err := patternExpr(body)
		if err != nil {
			return "", err
		}
		p = strings.Replace(p, fmt.Sprintf("Text: %q", body), fmt.Sprintf("Text: %q", text), 1)
		return strings.TrimSuffix(p, "}") + fmt.Sprintf(", tail: %q}", tail), nil
	}
	expr := `^(?:` + strings.TrimSuffix(strings.TrimPrefix(text, "^"), "$") + `)$`
	re, err := regexp.Compile(expr)
	if err != nil {
		return "", err
	}
	parsed, err := syntax.Parse(strings.TrimSuffix(strings.TrimPrefix(text, "^"), "$"), syntax.Perl)
	if err != nil {
		return "", err
	}
	parsed = parsed.Simplify()
	repeated := (parsed.Op == syntax.OpPlus || parsed.Op == syntax.OpStar) && parsed.Sub[0].Op == syntax.OpCharClass
	if !repeated {
		return fmt.Sprintf("&Pattern{Text: %q, expr: %q}", text, expr), nil
	}
	var ascii []string
	for c := range rune(128) {
		if re.MatchString(string(c)) {
			ascii = append(ascii, fmt.Sprintf("%d: true", c))
		}
	}
	var others []string
	all := true
	for _, r := range []rune{0x80, 0xa0, 0x2028, 0x3000, 0xe000, 0x378, 0x10ffff} { // controls, separators, private use, unassigned
		all = all && re.MatchString(string(r))
	}
	if !all {
		for _, table := range []string{"L", "M", "S", "N", "P", "Z"} {
			if strings.Contains(text, `\p{`+table+`}`) {
				others = append(others, "unicode."+table)
			}
		}
		if r, ok := differ(parsed.Sub[0].Rune, others); ok {
			return "", fmt.Errorf("pattern %s: the expression and the tables differ at %U", text, r)
		}
	}
	return fmt.Sprintf("&Pattern{Text: %q, class: &class{ascii: [128]bool{%s}, others: []*unicode.RangeTable{%s}, all: %t, empty: %t}}",
		text, strings.Join(ascii, ", "), strings.Join(others, ", "), all, re.MatchString("")), nil
}

// differ finds a character beyond ASCII on which the ranges of an expression's class and the tables disagree.
func differ(ranges []rune, tables []string) (rune, bool) {
	var set []*unicode.RangeTable
	for _, t := range tables {
		set = append(set, unicode.Categories[strings.TrimPrefix(t, "unicode.")])
	}
	in := make([]bool, unicode.MaxRune+1)
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			in[r] = true
		}
	}
	for r := rune(128); r <= unicode.MaxRune; r++ {
		surrogate := r >= 0xd800 && r < 0xe000
		if !surrogate && in[r] != unicode.In(r, set...) {
			return r, true
		}
	}
	return 0, false
}

// lookBehind splits `^body(?<!tail)$`, the one form of look-behind in the model, which Go's expressions lack.
func lookBehind(text string) (body, tail string, ok bool) {
	i := strings.Index(text, `(?<!`)
	if i < 0 || !strings.HasSuffix(text, `)$`) {
		return "", "", false
	}
	return text[:i] + "$", strings.ReplaceAll(text[i+len(`(?<!`):len(text)-2], `\`, ""), true
}
