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
	if _, err := regexp.Compile(expr); err != nil {
		return "", err
	}
	parsed, err := syntax.Parse(strings.TrimSuffix(strings.TrimPrefix(text, "^"), "$"), syntax.Perl)
	if err != nil {
		return "", err
	}
	parsed = parsed.Simplify()
	if parsed.Op == syntax.OpConcat && len(parsed.Sub) == 3 {
		x := parsed.Sub[1]
		first, ok := classExpr(parsed.Sub[0], text)
		rest, ok2 := classExpr(parsed.Sub[2], text)
		if ok && ok2 && x.Op == syntax.OpLiteral && len(x.Rune) == 1 && x.Rune[0] < 128 && x.Flags&syntax.FoldCase == 0 && !inClass(parsed.Sub[2], x.Rune[0]) {
			return fmt.Sprintf("&Pattern{Text: %q, class: %s, last: %q, rest: %s}", text, first, x.Rune[0], rest), nil
		}
	}
	class, ok := classExpr(parsed, text)
	if !ok {
		return fmt.Sprintf("&Pattern{Text: %q, expr: %q}", text, expr), nil
	}
	return fmt.Sprintf("&Pattern{Text: %q, class: %s}", text, class), nil
}

// classExpr is the Go literal of one repeated character class.
func classExpr(re *syntax.Regexp, text string) (string, bool) {
	if re.Op != syntax.OpPlus && re.Op != syntax.OpStar || re.Sub[0].Op != syntax.OpCharClass {
		return "", false
	}
	var ascii []string
	for c := range rune(128) {
		if inClass(re, c) {
			ascii = append(ascii, fmt.Sprintf("%d: true", c))
		}
	}
	all := true
	for _, r := range []rune{0x80, 0xa0, 0x2028, 0x3000, 0xe000, 0x378, 0x10ffff} { // controls, separators, private use, unassigned
		all = all && inClass(re, r)
	}
	var others []string
	if !all {
		for _, table := range []string{"L", "M", "S", "N", "P", "Z"} {
			if strings.Contains(text, `\p{`+table+`}`) {
				others = append(others, "unicode."+table)
			}
		}
		if _, ok := differ(re.Sub[0].Rune, others); ok {
			return "", false
		}
	}
	return fmt.Sprintf("&class{ascii: [128]bool{%s}, others: []*unicode.RangeTable{%s}, all: %t, empty: %t}",
		strings.Join(ascii, ", "), strings.Join(others, ", "), all, re.Op == syntax.OpStar), true
}

// inClass reports whether a repeated character class has the character.
func inClass(re *syntax.Regexp, c rune) bool {
	ranges := re.Sub[0].Rune
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i] <= c && c <= ranges[i+1] {
			return true
		}
	}
	return false
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
