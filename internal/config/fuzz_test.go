package config_test

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/poolhouse/poolhouse/internal/config"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// FuzzConfig reads any text, and a text with any value for a known setting and any key: nothing breaks the loader, what it
// takes names settings and nothing else, and can be used and shown, secrets hidden.
func FuzzConfig(f *testing.F) {
	known := map[string]bool{}
	var names []string
	for _, field := range config.Fields() {
		known[field.Name] = true
		names = append(names, field.Name)
	}
	for i := range names {
		f.Add("", uint(i), "1", "")
		f.Add("", uint(i), "text", "unknown")
		f.Add("", uint(i), "!", "")
		f.Add("", uint(i), "{a: b}", names[0])
		f.Add("", uint(i), "[a, 1]", "Listen")
	}
	for _, text := range []string{"listen: 127.0.0.1:1", "a: &a [1]\nb: *a", "? [x]\n: y", "<<: {listen: x}", "listen: !!binary aGk=", "--- \n---\n", "listen: |\n  a\n", "\xff", "{",
		"key: hushhush", "drain: 5s\nrate: {UserUpdate: 1}", "log-level: loud", "tls-cert: null", "LISTEN: x", "1: 2", "listen: a\nlisten: b", "null", "[]", "a"} {
		f.Add(text, uint(0), "", "")
	}
	f.Fuzz(func(t *testing.T, text string, n uint, value, key string) {
		name := names[n%uint(len(names))]
		one, oneErr := config.Parse([]byte(name + ": " + value + "\n"))
		if oneErr == nil {
			used(t, one)
		}
		// A key that is no setting is refused, whatever stands beside it.
		if quoted, err := yaml.Marshal(map[string]int{key: 1}); err == nil && !known[key] {
			_, err := config.Parse(append([]byte(name+": x\n"), quoted...))
			want.True(t, err != nil, "the unknown key %q is refused", key)
		}
		file, err := config.Parse([]byte(text))
		if err != nil {
			return
		}
		used(t, file)
		var keys map[string]any
		want.NoError(t, yaml.Unmarshal([]byte(text), &keys))
		for k := range keys {
			want.True(t, known[k], "%q is a setting", k)
		}
	})
}

// used settles and prints what a file says.
func used(t *testing.T, file *config.File) {
	t.Helper()
	c := config.Defaults()
	sources, err := config.Settle(&c, file, never, none)
	want.NoError(t, err)
	if c.Check() == nil {
		c.Risks()
	}
	for _, line := range config.Lines(&c, sources) {
		for _, secret := range []string{c.Key.Reveal(), c.SMTPPassword.Reveal(), c.SMSSecret.Reveal(), c.TriggerSecret.Reveal()} {
			// A short secret may stand in a line by chance.
			want.True(t, len(secret) < 8 || !strings.Contains(line.Value, secret) || !hidden(line.Name), "%s hides its value", line.Name)
		}
	}
}

func hidden(name string) bool {
	for _, field := range config.Fields() {
		if field.Name == name {
			return field.Secret
		}
	}
	return false
}
