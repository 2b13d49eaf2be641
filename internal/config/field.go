package config

import (
	"encoding"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// A Field describes one setting, as its tags say it.
type Field struct {
	Name    string // of the flag and of the key in the file
	Env     string
	Group   string
	Help    string
	Default string
	Kind    string // what it takes, for people: text, true or false, …
	Secret  bool
}

// Groups are the headings under which settings are listed, in order, with their titles.
func Groups() [][2]string {
	return [][2]string{
		{"listener", "Listener"}, {"storage", "Storage"}, {"place", "Region and account"}, {"secrets", "Keys and passwords"}, {"messages", "E-mail and SMS"},
		{"triggers", "Triggers"}, {"limits", "Quotas"}, {"log", "Log"}, {"start", "Start"},
	}
}

// Fields lists every setting in the order of Config.
func Fields() []Field {
	var out []Field
	walk(reflect.ValueOf(&Config{}).Elem(), func(f reflect.StructField, _ reflect.Value) {
		out = append(out, describe(f))
	})
	return out
}

func describe(f reflect.StructField) Field {
	return Field{Name: f.Tag.Get("name"), Env: f.Tag.Get("env"), Group: f.Tag.Get("group"), Help: f.Tag.Get("help"),
		Default: f.Tag.Get("default"), Kind: kind(f), Secret: f.Type == reflect.TypeFor[secret.Text]()}
}

func kind(f reflect.StructField) string {
	if enum := f.Tag.Get("enum"); enum != "" {
		return strings.ReplaceAll(enum, ",", ", ")
	}
	switch f.Type.String() {
	case "bool":
		return "true or false"
	case "int":
		return "number"
	case "[]string":
		return "list"
	case "map[string]string", "map[string]int":
		return "map"
	case "time.Duration":
		return "duration, such as 5s"
	}
	return "text"
}

// walk calls visit for each setting in v, a struct, and in the structs that it embeds. Other fields are passed over.
func walk(v reflect.Value, visit func(reflect.StructField, reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			walk(v.Field(i), visit)
		case f.Tag.Get("env") != "" && f.Tag.Get("yaml") != "":
			visit(f, v.Field(i))
		}
	}
}

// A Source is where the value of a setting came from.
type Source string

// The sources, in the order in which they count.
const (
	Flag        Source = "flag"
	Environment Source = "environment"
	SecretFile  Source = "file named in the environment"
	ConfigFile  Source = "configuration file"
	Default     Source = "default"
)

// Settle completes the settings of a command: target points to a struct that embeds Config or parts of it, with flags, environment
// and defaults in place. Where neither flag nor environment gave a setting, it takes a secret from the file that NAME_FILE in the
// environment names, else the value of the configuration file. It returns where each setting came from.
func Settle(target any, file *File, onCommandLine func(flag string) bool, env func(string) (string, bool)) (map[string]Source, error) {
	sources := map[string]Source{}
	taken := map[string]bool{} // names in the environment that are settings themselves, as the key file's is
	for _, f := range Fields() {
		taken[f.Env] = true
	}
	var failed error
	walk(reflect.ValueOf(target).Elem(), func(f reflect.StructField, v reflect.Value) {
		d := describe(f)
		if failed != nil {
			return
		}
		path, named := env(d.Env + "_FILE")
		switch _, set := env(d.Env); {
		case onCommandLine(d.Name):
			sources[d.Name] = Flag
		case set:
			sources[d.Name] = Environment
		case d.Secret && named && !taken[d.Env+"_FILE"]:
			text, err := os.ReadFile(path)
			if err != nil {
				failed = fmt.Errorf("read %s_FILE: %w", d.Env, err)
				return
			}
			v.Set(reflect.ValueOf(secret.New(strings.TrimRight(string(text), "\r\n"))))
			sources[d.Name] = SecretFile
		case file.has(d.Name):
			v.Set(file.value(d.Name))
			sources[d.Name] = ConfigFile
		default:
			sources[d.Name] = Default
		}
	})
	return sources, failed
}

// Defaults returns the settings that a server has when nobody sets any.
func Defaults() Config {
	var c Config
	walk(reflect.ValueOf(&c).Elem(), func(f reflect.StructField, v reflect.Value) {
		if text := f.Tag.Get("default"); text != "" {
			if v.Kind() == reflect.Int {
				n, err := strconv.Atoi(text)
				if err != nil {
					panic(fmt.Sprintf("config: the default of %s is no number", f.Name)) // the program is broken
				}
				v.SetInt(int64(n))
				return
			}
			v.SetString(text)
		}
	})
	return c
}

// A Line is one setting as people read it.
type Line struct {
	Field
	Value  string // hidden when the setting is a secret
	Source Source
}

// Lines prints the settings of target, secrets hidden.
func Lines(target any, sources map[string]Source) []Line {
	var out []Line
	walk(reflect.ValueOf(target).Elem(), func(f reflect.StructField, v reflect.Value) {
		d := describe(f)
		out = append(out, Line{Field: d, Value: show(v), Source: sources[d.Name]})
	})
	return out
}

func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case secret.Text:
		if x.IsZero() {
			return ""
		}
		return x.String()
	case []string:
		return strings.Join(x, ", ")
	case encoding.TextMarshaler:
		return fmt.Sprint(x)
	}
	if v.Kind() == reflect.Map {
		parts := make([]string, 0, v.Len())
		for _, k := range v.MapKeys() {
			parts = append(parts, fmt.Sprintf("%s=%v", k, v.MapIndex(k)))
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v.Interface())
}
