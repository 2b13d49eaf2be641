package contact_test

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/poolhouse/poolhouse/internal/kit/contact"
)

var long = strings.Repeat

func TestValidEmail(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"jane@example.com", "a@x", "a@x.io", "Jane.Doe+tag@Example.COM", "o'hara@example.com", ".jane.@example.com", "jürgen@bücher.example",
		"用户@例子.广告", "a_b-c!#$%&*/=?^`{|}~@example.com", "😀@example.com", "1@1", "a@127.0.0.1", "a@-x-", "e\u0301@x",
		long("a", 64) + "@" + long("d", 255),
	} {
		if !contact.ValidEmail(s) {
			t.Errorf("%q was refused", s)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "no at": "jane", "only at": "@", "no local part": "@example.com", "no domain": "jane@", "two ats": "a@b@c", "at end": "a@b@",
		"quoted local part": `"jane doe"@example.com`, "quote inside": `ja"ne@example.com`, "comment": "jane(work)@example.com",
		"comment in domain": "jane@example.com(work)", "address literal": "jane@[127.0.0.1]", "IPv6 literal": "jane@[IPv6:::1]",
		"display name": "Jane <jane@example.com>", "bare brackets": "<jane@example.com>", "route": "@relay:jane@example.com", "colon": "a:b@x",
		"two addresses": "a,b@x", "semicolon": "a@x;b", "backslash": `a\b@x`, "space": "a b@x", "space around": " a@x", "trailing space": "a@x ",
		"no-break space": "a\u00a0b@x", "tab": "a\tb@x", "line break": "a@x\r\nBcc: b", "NUL": "a\x00@x", "right-to-left mark": "a\u202e@x",
		"zero-width joiner": "a\u200db@x", "dot first in domain": "a@.x", "dot last in domain": "a@x.", "empty label": "a@x..y", "only a dot": "a@.",
		"wide at": "a\uff20b@x", "small at": "a@b\ufe6bc", "not UTF-8": "a\xff@x", "not UTF-8 in domain": "a@\xc3x",
		"local part of 65 bytes": long("a", 65) + "@x", "domain of 256 bytes": "a@" + long("d", 256), "321 bytes": long("a", 65) + "@" + long("d", 255),
		"64 characters of 2 bytes": long("ä", 64) + "@x",
	} {
		if contact.ValidEmail(s) {
			t.Errorf("%s: %q was accepted", name, s)
		}
	}
}

var lenient = regexp.MustCompile(`\A[\p{L}\p{M}\p{S}\p{N}\p{P}]+@[\p{L}\p{M}\p{S}\p{N}\p{P}]+\z`)

// slowEmail says the rule of ValidEmail in another way.
func slowEmail(s string) bool {
	parts := strings.Split(s, "@")
	if !utf8.ValidString(s) || !lenient.MatchString(s) || len(parts) != 2 || len(parts[0]) > 64 || len(parts[1]) > 255 {
		return false
	}
	for _, label := range strings.Split(parts[1], ".") {
		if label == "" {
			return false
		}
	}
	return !strings.ContainsAny(s, "\"()<>[],;:\\\uff20\ufe6b")
}

func FuzzValidEmail(f *testing.F) {
	for _, s := range []string{
		"jane@example.com", "a@x", "a@b@c", `"a b"@c`, "a@[::1]", "a@.x", "a@x.", "a@x..y", "用户@例子.广告", "a\xff@x", "a\ufffd@x", "a\uff20b@x", "",
		"@", long("a", 64) + "@x", long("a", 65) + "@x", "a@" + long("d", 255), "a@" + long("d", 256), "a\n@x", "a@x\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := contact.ValidEmail(s)
		if want := slowEmail(s); got != want {
			t.Errorf("ValidEmail(%q) = %v, the reference says %v", s, got, want)
		}
		if got && !contact.LooksLikeEmail(s) {
			t.Errorf("%q is valid but does not look like an address", s)
		}
		contact.MaskEmail(s)
	})
}

func TestPhone(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]struct{ valid, looks bool }{
		"+1": {true, true}, "+15555559934": {true, true}, "+123456789012345": {true, true}, "+0": {true, true},
		"+1234567890123456": {false, true}, "": {}, "+": {}, "1": {}, "15555559934": {}, "+1 555": {}, "+1-555": {}, "++1": {}, "+1a": {},
		"+\u0661\u0662": {}, " +1": {}, "+1\n": {},
	} {
		if valid, looks := contact.ValidPhone(s), contact.LooksLikePhone(s); valid != want.valid || looks != want.looks {
			t.Errorf("%q: valid %v, looks like a phone number %v; want %v", s, valid, looks, want)
		}
	}
}

func TestLooksLikeEmail(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"a@b": true, "a b@c": true, "a@b@c": false, "@b": false, "a@": false, "a": false, "": false, "a@@b": false} {
		if got := contact.LooksLikeEmail(s); got != want {
			t.Errorf("LooksLikeEmail(%q) = %v, want %v", s, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"": "", "jane": "jane", "Jane@Example.COM": "jane@example.com", "ÄÖÜ": "äöü", "STRASSE": "strasse", "STRAẞE": "straße", "ΣΊΣΥΦΟΣ": "σίσυφοσ",
		"ς": "ς", "İstanbul": "istanbul", "I": "i", "ı": "ı", "\u212aelvin": "kelvin", "\u212bngström": "ångström", "ǅ": "ǆ", "e\u0301E\u0301": "e\u0301e\u0301",
		"É": "é", "a\xffB": "a\xffb", "\xc3A": "\xc3a", "ＡＢＣ": "ａｂｃ", "abcÄ": "abcä",
	} {
		if got := contact.Fold(s); got != want {
			t.Errorf("Fold(%q) = %q, want %q", s, got, want)
		}
	}
}

// The folded keys are stored, so the rule may not change unnoticed, for example with the Unicode tables of a newer toolchain.
func TestFoldVersion(t *testing.T) {
	t.Parallel()
	h := sha256.New()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		once := contact.Fold(string(r))
		if twice := contact.Fold(once); once != twice {
			t.Errorf("%U folds to %q and then to %q", r, once, twice)
		}
		if once != string(r) {
			h.Write([]byte(string(r) + once))
		}
	}
	got := hex.EncodeToString(h.Sum(nil))
	const want = "189dcc4ea3717b06b9292507d65e0a30e1e362663a591d1769d84ecc3436153c"
	if contact.FoldVersion != 1 || got != want {
		t.Errorf("Fold maps characters differently (%s, Unicode %s, version %d): raise FoldVersion, re-key stored logins, then change this test",
			got, unicode.Version, contact.FoldVersion)
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"", "Jane", "İ", "\u212a", "ẞ", "Σς", "ǅ", "a\xffB", "\xe2\x84", "\u1e9e\u0130"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := contact.Fold(s)
		if twice := contact.Fold(once); once != twice {
			t.Errorf("%q folds to %q and then to %q", s, once, twice)
		}
		if utf8.ValidString(s) {
			if want := strings.Map(unicode.ToLower, s); once != want {
				t.Errorf("Fold(%q) = %q, want %q", s, once, want)
			}
			if utf8.RuneCountInString(once) != utf8.RuneCountInString(s) {
				t.Errorf("%q folds to another number of characters: %q", s, once)
			}
		} else if utf8.ValidString(once) {
			t.Errorf("%q is not UTF-8 but folds to %q, which is", s, once)
		}
	})
}

func TestMasks(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"jane@example.com": "j***@e***", "a@x": "a***@x***", "用户@例子.广告": "用***@例***", "": "***", "jane": "***", "a@b@c": "***", "@x": "***",
	} {
		if got := contact.MaskEmail(s); got != want {
			t.Errorf("MaskEmail(%q) = %q, want %q", s, got, want)
		}
	}
	for s, want := range map[string]string{
		"+15555559934": "+*******9934", "+12345": "+*2345", "+1234": "+****", "+1": "+*", "": "***", "+": "***", "jane": "***",
	} {
		if got := contact.MaskPhone(s); got != want {
			t.Errorf("MaskPhone(%q) = %q, want %q", s, got, want)
		}
	}
}
