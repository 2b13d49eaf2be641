package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// rawJSON is the model's structure without members that stands for any JSON.
const rawJSON = "Document"

// goName exports a member's name: the model has a few that start with a lower-case letter.
func goName(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// path is a member's name in constraint messages.
func path(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// inputs maps the structures that are an operation's input or output to their Go names.
func (g *generator) renamed() map[string]string {
	names := map[string]string{}
	for op, o := range g.model.Operations {
		names[o.Input] = op + "Input"
		if o.Output != "" {
			names[o.Output] = op + "Output"
		}
	}
	return names
}

func (g *generator) structName(name string) string {
	if n, ok := g.renamed()[name]; ok {
		return n
	}
	return name
}

// goType is the Go type of a shape; required scalars are plain, optional ones pointers.
func (g *generator) goType(shape string, required bool) string {
	ptr := "*"
	if required {
		ptr = ""
	}
	switch m := g.model; {
	case shape == rawJSON:
		return "Document"
	case hasKey(m.Structures, shape):
		return "*" + g.structName(shape)
	case hasKey(m.Lists, shape):
		return "[]" + g.elemType(m.Lists[shape].Member)
	case hasKey(m.Maps, shape):
		return "map[string]" + g.elemType(m.Maps[shape].Value)
	case hasKey(m.Strings, shape):
		if slices.Contains(g.notes.Secret, shape) {
			return ptr + "secret.Text"
		}
		return ptr + "string"
	case hasKey(m.Integers, shape):
		return ptr + "int"
	case hasKey(m.Longs, shape):
		return ptr + "int64"
	case slices.Contains(m.Booleans, shape):
		return ptr + "bool"
	case slices.Contains(m.Timestamps, shape):
		return "Time"
	case hasKey(m.Blobs, shape):
		return "[]byte"
	}
	return ""
}

func (g *generator) elemType(shape string) string {
	if hasKey(g.model.Structures, shape) {
		return g.structName(shape)
	}
	return g.goType(shape, true)
}

func hasKey[T any](m map[string]T, k string) bool { _, ok := m[k]; return ok }

// structures are the structures that are not exceptions.
func (g *generator) structures() []string {
	var names []string
	for _, name := range sorted(g.model.Structures) {
		if g.model.Structures[name].Error == "" && name != rawJSON {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool { return g.structName(names[i]) < g.structName(names[j]) })
	return names
}

func (g *generator) types() string {
	var b strings.Builder
	b.WriteString("package api\n\nimport \"github.com/poolhouse/poolhouse/internal/kit/secret\"\n\n")
	for _, name := range g.structures() {
		s := g.model.Structures[name]
		fmt.Fprintf(&b, "// %s is the structure %s of the model.\ntype %s struct {\n", g.structName(name), name, g.structName(name))
		for _, m := range s.Members.names {
			mem := s.Members.values[m]
			fmt.Fprintf(&b, "%s %s\n", goName(m), g.goType(mem.Type, mem.Required))
		}
		b.WriteString("}\n\n")
	}
	return b.String()
}

func shapeVar(name string) string { return "shape" + name }

// shapes writes the table of shapes.
func (g *generator) shapes() (string, error) {
	var b strings.Builder
	b.WriteString("package api\n\nimport \"unicode\"\n\n")
	checked := map[string]bool{}
	scalar := func(name, kind string, min, max *int, extra string, constrained bool) {
		checked[name] = constrained || min != nil || max != nil
		fmt.Fprintf(&b, "var %s = &Shape{Name: %q, Kind: %s, Min: %s, Max: %s, Checked: %t%s}\n", shapeVar(name), name, kind, bound(min), bound(max), checked[name], extra)
	}
	for _, name := range sorted(g.model.Strings) {
		s := g.model.Strings[name]
		extra, constrained := "", false
		pattern := s.Pattern
		if p, ok := g.notes.Patterns[name]; ok {
			pattern = p.Text
		}
		if pattern != "" {
			expr, err := patternExpr(pattern)
			if err != nil {
				return "", fmt.Errorf("%s: %w", name, err)
			}
			extra += ", Pattern: " + expr
			constrained = true
		}
		enum := s.Enum
		if order, ok := g.notes.EnumOrder[name]; ok {
			enum = order
		}
		enum = slices.Concat(enum, g.notes.EnumMore[name])
		if len(enum) > 0 {
			if _, unchecked := g.notes.Unchecked[name]; !unchecked {
				extra += fmt.Sprintf(", Enum: %#v", enum)
				constrained = true
			}
		}
		if s.Sensitive || slices.Contains(g.notes.Sensitive, name) {
			extra += ", Sensitive: true"
		}
		scalar(name, "String", s.Min, s.Max, extra, constrained)
	}
	for _, name := range sorted(g.model.Integers) {
		scalar(name, "Integer", g.model.Integers[name].Min, g.model.Integers[name].Max, "", false)
	}
	for _, name := range sorted(g.model.Longs) {
		scalar(name, "Long", nil, nil, "", false)
	}
	for _, name := range g.model.Booleans {
		scalar(name, "Boolean", nil, nil, "", false)
	}
	for _, name := range g.model.Timestamps {
		scalar(name, "Timestamp", nil, nil, "", false)
	}
	for _, name := range sorted(g.model.Blobs) {
		scalar(name, "Blob", g.model.Blobs[name].Min, g.model.Blobs[name].Max, "", false)
	}
	scalar(rawJSON, "RawJSON", nil, nil, "", false)
	for _, name := range sorted(g.model.Lists) {
		l := g.model.Lists[name]
		fmt.Fprintf(&b, "var %s = &Shape{Name: %q, Kind: List, Min: %s, Max: %s, Checked: %t, Elem: %s}\n",
			shapeVar(name), name, bound(l.Min), bound(l.Max), g.isChecked(name, nil), shapeVar(l.Member))
	}
	for _, name := range sorted(g.model.Maps) {
		m := g.model.Maps[name]
		fmt.Fprintf(&b, "var %s = &Shape{Name: %q, Kind: Map, Min: %s, Max: %s, Checked: %t, Sensitive: %t, Key: %s, Elem: %s}\n",
			shapeVar(name), name, bound(m.Min), bound(m.Max), g.isChecked(name, nil), m.Sensitive, shapeVar(m.Key), shapeVar(m.Value))
	}
	for _, name := range g.structures() {
		s := g.model.Structures[name]
		fmt.Fprintf(&b, "var %s = &Shape{Name: %q, Kind: Structure, Min: None, Max: None, Checked: %t, Sensitive: %t, Members: []Member{\n",
			shapeVar(name), name, g.isChecked(name, nil), slices.Contains(g.notes.Sensitive, name))
		for _, m := range s.Members.names {
			fmt.Fprintf(&b, "{%q, %q, %s, %t},\n", m, path(m), shapeVar(s.Members.values[m].Type), s.Members.values[m].Required)
		}
		b.WriteString("}}\n")
	}
	return b.String(), nil
}

// isChecked reports whether a constraint stands on the shape or below it.
func (g *generator) isChecked(name string, above []string) bool {
	if slices.Contains(above, name) {
		return false
	}
	above = append(above, name)
	switch m := g.model; {
	case hasKey(m.Structures, name):
		for _, mem := range m.Structures[name].Members.values {
			if mem.Required || g.isChecked(mem.Type, above) {
				return true
			}
		}
		return false
	case hasKey(m.Lists, name):
		l := m.Lists[name]
		return l.Min != nil || l.Max != nil || g.isChecked(l.Member, above)
	case hasKey(m.Maps, name):
		p := m.Maps[name]
		return p.Min != nil || p.Max != nil || g.isChecked(p.Key, above) || g.isChecked(p.Value, above)
	case hasKey(m.Strings, name):
		s := m.Strings[name]
		return s.Min != nil || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0
	case hasKey(m.Integers, name):
		return m.Integers[name].Min != nil || m.Integers[name].Max != nil
	case hasKey(m.Blobs, name):
		return m.Blobs[name].Min != nil || m.Blobs[name].Max != nil
	}
	return false
}

func bound(n *int) string {
	if n == nil {
		return "None"
	}
	return fmt.Sprint(*n)
}

// ops writes the descriptors of the operations.
func (g *generator) ops() (string, error) {
	category := map[string]string{}
	for c, ops := range g.notes.Quota {
		for _, op := range ops {
			category[op] = c
		}
	}
	var b, specs, vars strings.Builder
	b.WriteString("package api\n\nimport \"github.com/poolhouse/poolhouse/internal/kit/fault\"\n\n// The quota categories.\nconst (\n")
	for _, c := range sorted(g.notes.Limits) {
		if _, ok := g.notes.Limits[c].(float64); ok {
			fmt.Fprintf(&b, "%s Quota = %q\n", c, c)
		}
	}
	b.WriteString(")\n\n// DefaultLimits are the documented requests a second of each category, for one account and region.\nfunc DefaultLimits() map[Quota]int {\nreturn map[Quota]int{\n")
	for _, c := range sorted(g.notes.Limits) {
		if n, ok := g.notes.Limits[c].(float64); ok {
			fmt.Fprintf(&b, "%s: %d,\n", c, int(n))
		}
	}
	b.WriteString("}\n}\n\n")
	names := sorted(g.model.Operations)
	for _, name := range names {
		o := g.model.Operations[name]
		c, ok := category[name]
		if !ok {
			return "", fmt.Errorf("%s counts in no quota category", name)
		}
		out, outType := "nil", "struct{}"
		if o.Output != "" {
			out, outType = shapeVar(o.Output), name+"Output"
		}
		auth, ok := map[string]string{"iam": "IAM", "token": "Token", "public": "Public"}[o.Auth]
		if !ok {
			return "", fmt.Errorf("%s: unknown auth %q", name, o.Auth)
		}
		index := func(role string) int {
			for i, m := range g.model.Structures[o.Input].Members.names {
				if m == g.notes.Members[role] {
					return i
				}
			}
			return -1
		}
		writes := true
		for _, prefix := range g.notes.Reads {
			if strings.HasPrefix(name, prefix) && c != "UserAuthentication" && name != "GetUserAttributeVerificationCode" {
				writes = false
			}
		}
		errs := append([]string(nil), o.Errors...)
		sort.Strings(errs)
		for i := range errs {
			errs[i] = "fault." + errs[i]
		}
		fmt.Fprintf(&vars, "// %s describes the operation of that name.\nvar %s = Op[%sInput, %s]{&spec%s}\n", name, name, name, outType, name)
		fmt.Fprintf(&specs, "var spec%s = Spec{Name: %q, Auth: %s, In: %s, Out: %s, Quota: %s, Pool: %d, Client: %d, Resource: %d, User: %d, Writes: %t, Errors: []fault.Code{%s}}\n",
			name, name, auth, shapeVar(o.Input), out, c, index("pool"), index("client"), index("resource"), index("user"), writes, strings.Join(errs, ", "))
	}
	b.WriteString(vars.String() + "\n" + specs.String())
	b.WriteString("\n// All is every operation, in alphabetical order.\nfunc All() []*Spec {\nreturn []*Spec{\n")
	for _, name := range names {
		fmt.Fprintf(&b, "&spec%s,\n", name)
	}
	b.WriteString("}\n}\n\n// ByName finds an operation; the name is case-sensitive.\nfunc ByName(name string) (*Spec, bool) {\nswitch name {\n")
	for _, name := range names {
		fmt.Fprintf(&b, "case %q:\nreturn &spec%s, true\n", name, name)
	}
	b.WriteString("}\nreturn nil, false\n}\n")
	return b.String(), nil
}
