package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

const password = "Corr3ct-Horse!Battery"

func TestNothingPrintsIt(t *testing.T) {
	t.Parallel()
	type holder struct {
		Name   string
		Public secret.Text
		hidden secret.Text
		List   []secret.Text
		Map    map[string]secret.Text
		Ptr    *secret.Text
	}
	s := secret.New(password)
	h := holder{"jane", s, s, []secret.Text{s}, map[string]secret.Text{"k": s}, &s}

	shown := map[string]string{"String": s.String(), "GoString": s.GoString(), "error": fmt.Errorf("wrong %w", fmt.Errorf("%v", h)).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "%T %v"} {
		args := []any{s}
		if strings.HasPrefix(verb, "%T") {
			args = []any{s, s}
		}
		shown["text "+verb] = fmt.Sprintf(verb, args...)
		for i := range args {
			args[i] = h
		}
		shown["struct "+verb] = fmt.Sprintf(verb, args...)
		for i := range args {
			args[i] = &h
		}
		shown["pointer "+verb] = fmt.Sprintf(verb, args...)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("in", "secret", s, "struct", h)
	slog.New(slog.NewTextHandler(&log, nil)).Info("in", "secret", s, "struct", h)
	shown["slog"] = log.String()
	encoded, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	shown["json"] = string(encoded)

	hex := fmt.Sprintf("%x", password)
	for how, text := range shown {
		if strings.Contains(text, password) || strings.Contains(strings.ToLower(text), hex) {
			t.Errorf("%s shows the secret: %s", how, text)
		}
	}
	if !strings.Contains(shown["json"], `"Public":"•••"`) {
		t.Errorf("JSON does not mark the hidden value: %s", shown["json"])
	}
	if got := fmt.Sprintf("%v|%d", s, secret.Text{}); got != "•••|•••" {
		t.Errorf("printed %q, want the same mark for a full and an empty text", got)
	}
	if h.hidden.Reveal() != password {
		t.Error("the wrapped value got lost")
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{{"", "", true}, {"", "x", false}, {"abc", "abc", true}, {"abc", "abd", false}, {"abc", "abcd", false}} {
		if got := secret.New(c.a).Equal(secret.New(c.b)); got != c.want {
			t.Errorf("New(%q).Equal(New(%q)) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
	if !secret.New("").IsZero() || secret.New("a").IsZero() || !(secret.Text{}).Equal(secret.New("")) {
		t.Error("the zero Text and New of an empty string should be the same thing")
	}
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	var got struct{ Password secret.Text }
	if err := json.Unmarshal([]byte(`{"Password":"pässwörd"}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.Password.Reveal() != "pässwörd" {
		t.Errorf("decoded %q, want pässwörd", got.Password.Reveal())
	}
}
