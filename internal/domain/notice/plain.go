package notice

import (
	"html"
	"strings"
)

// breaks are the elements whose start or end ends a line of text.
const breaks = " br p div tr li h1 h2 h3 h4 h5 h6 table ul ol blockquote hr "

// hidden are the elements whose content is no text.
const hidden = " style script head title "

// Plain is the text of an HTML body for readers without HTML: tags are dropped, entities decoded, white space
// joined, blank lines kept to one. The address of a link follows its text. It is made for reading and is no sanitiser.
func Plain(body string) string {
	var out strings.Builder
	target := ""
	for rest := body; rest != ""; {
		text, tag, closed := cutTag(rest)
		out.WriteString(joinSpace(text))
		name := tagName(tag)
		if name == "a" {
			if tag[0] == '/' && target != "" {
				out.WriteString(" (" + target + ")")
			}
			target = address(tag)
		}
		if strings.Contains(breaks, " "+name+" ") && name != "" {
			out.WriteByte('\n')
		}
		rest = closed
		if name != "" && tag[0] != '/' && strings.Contains(hidden, " "+name+" ") {
			rest = behind(rest, name)
		}
	}
	return tidy(html.UnescapeString(out.String()))
}

// cutTag splits s into the text before the next tag, the tag without its brackets and the rest. A "<" that starts
// no tag is text.
func cutTag(s string) (text, tag, rest string) {
	for i := 0; i < len(s); i++ {
		if s[i] != '<' || i+1 == len(s) || !startsTag(s[i+1]) {
			continue
		}
		if end := strings.IndexByte(s[i:], '>'); end > 0 {
			return s[:i], s[i+1 : i+end], s[i+end+1:]
		}
		break
	}
	return s, "", ""
}

func startsTag(c byte) bool {
	return c == '/' || c == '!' || c == '?' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func tagName(tag string) string {
	name := strings.TrimPrefix(tag, "/")
	if i := strings.IndexAny(name, " \t\r\n/"); i >= 0 {
		name = name[:i]
	}
	return strings.ToLower(name)
}

// address is the quoted web address in a link's tag, "" without one.
func address(tag string) string {
	_, rest, found := strings.Cut(tag, ` href="`)
	target, _, closed := strings.Cut(rest, `"`)
	if !found || !closed || !strings.HasPrefix(target, "https://") && !strings.HasPrefix(target, "http://") {
		return ""
	}
	return joinSpace(target)
}

// behind returns what follows the end tag of the element, "" when it never ends. Names are ASCII, so that the
// search may fold letters byte by byte.
func behind(s, name string) string {
	end := "</" + name
	for i := 0; i+len(end) <= len(s); i++ {
		if s[i] == '<' && strings.EqualFold(s[i:i+len(end)], end) {
			_, rest, _ := strings.Cut(s[i:], ">")
			return rest
		}
	}
	return ""
}

// joinSpace turns each run of white space into one space, as a browser does.
func joinSpace(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		if r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' {
			space = true
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	if space {
		b.WriteByte(' ')
	}
	return b.String()
}

func tidy(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimSpace(line)
		if line == "" && (len(lines) == 0 || lines[len(lines)-1] == "") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
