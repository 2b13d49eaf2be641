package user_test

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/contact"
)

// FuzzValues checks values of every type against a slow reading of the rules, with bounds that the fuzzer chooses.
func FuzzValues(f *testing.F) {
	for _, v := range []string{"", "a", "abc", "éé", "😀", "e\u0301", "0", "-0", "+1", "1.", ".5", "1.50", "00010", "1e3", "1_0", "0x10", "99999999999999999999.0000000001",
		"-1.0", "true", "TRUE", "False", "fal\u017fe", "yes", "2026-01-01", "2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z",
		"2026-01-01T00:00:00.123456789+14:00", "2026-01-01T00:00:00,5Z", "2026-01-01T0:00:00Z", "2026-01-01T00:00:00+24:00", "2026-01-01t00:00:00z", "1767225600", "\u0661", "1 ", " 1", "--1", "+-1", "+", "-"} {
		f.Add(v, int8(2), int8(5), byte(0xff))
		f.Add(v, int8(-1), int8(10), byte(0))
	}
	f.Fuzz(func(t *testing.T, value string, low, high int8, bounds byte) {
		p := &pool.Pool{ID: "us-east-1_Test", Region: "us-east-1"}
		number := func(n int8, bit int) *string {
			if bounds&(1<<bit) == 0 {
				return nil
			}
			text := strconv.Itoa(int(n))
			if bounds&(1<<(bit+2)) != 0 {
				text += ".25"
			}
			return &text
		}
		length := func(n int8, bit int) *string {
			if bounds&(1<<bit) == 0 {
				return nil
			}
			return str(strconv.Itoa(max(int(n), 0)))
		}
		p.Custom = []pool.Attribute{
			{Name: "custom:s", Type: pool.String, Mutable: true, Min: length(low, 0), Max: length(high, 1)},
			{Name: "custom:n", Type: pool.Number, Mutable: true, Min: number(low, 0), Max: number(high, 1)},
			{Name: "custom:b", Type: pool.Boolean, Mutable: true},
			{Name: "custom:d", Type: pool.DateTime, Mutable: true},
		}
		for _, a := range p.Custom {
			u := &user.Record{PoolID: p.ID, Sub: "s", Username: "u", Status: user.Confirmed, Attributes: map[string]string{}}
			plan, err := user.Apply(p, u, []user.Value{{Name: a.Name, Text: &value}}, now)
			got, wanted := "", reference(a, value)
			if err != nil {
				got = err.Error()
			}
			if got != wanted {
				t.Fatalf("%s %+v of %q\ngot  %q\nwant %q", a.Name, a, value, got, wanted)
			}
			if err != nil {
				continue
			}
			kept := plan.After.Attributes[a.Name]
			if a.Type == pool.Boolean {
				kept, value := kept, strings.ToLower(value)
				if kept != value {
					t.Fatalf("the Boolean %q is kept as %q", value, kept)
				}
			} else if kept != value {
				t.Fatalf("%q is kept as %q", value, kept)
			}
		}
	})
}

var (
	plainNumber  = regexp.MustCompile(`\A([+-]?)([0-9]+)(?:\.([0-9]+))?\z`)
	plainBoolean = regexp.MustCompile(`\A([tT][rR][uU][eE]|[fF][aA][lL][sS][eE])\z`)
	plainDate    = regexp.MustCompile(`\A([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:Z|[+-]([0-9]{2}):([0-9]{2}))\z`)
)

// reference is the answer to a value of an attribute, "" when it is accepted.
func reference(a pool.Attribute, value string) string {
	refuse := func(text string) string { return "InvalidParameterException: user." + a.Name + ": " + text + "\n" }
	if strings.Contains(value, "\x00") {
		return "InvalidParameterException: The value of " + a.Name + " contains the null character."
	}
	if value == "" {
		return ""
	}
	switch a.Type {
	case pool.String:
		n, longest, shortest := 0, 2048, 0
		for range value {
			n++
		}
		if a.Max != nil {
			longest, _ = strconv.Atoi(*a.Max)
		}
		if a.Min != nil {
			shortest, _ = strconv.Atoi(*a.Min)
		}
		if n > longest {
			return refuse("String must be no longer than " + strconv.Itoa(longest) + " characters")
		}
		if n < shortest {
			return refuse("String must be no shorter than " + strconv.Itoa(shortest) + " characters")
		}
	case pool.Number:
		if !plainNumber.MatchString(value) {
			return refuse("Value must be a number")
		}
		if a.Max != nil && less(*a.Max, value) {
			return refuse("Number must be no greater than " + *a.Max)
		}
		if a.Min != nil && less(value, *a.Min) {
			return refuse("Number must be no less than " + *a.Min)
		}
	case pool.Boolean:
		if !plainBoolean.MatchString(value) {
			return refuse("Value must be true or false")
		}
	case pool.DateTime:
		if !plainNumber.MatchString(value) && !isDate(value) {
			return refuse("Value must be a date")
		}
	}
	return ""
}

// less compares numbers by their digits: both are brought to the same number of decimals.
func less(a, b string) bool {
	scaled := func(s string, decimals int) *big.Int {
		m := plainNumber.FindStringSubmatch(s)
		n, _ := new(big.Int).SetString(m[2]+m[3]+strings.Repeat("0", decimals-len(m[3])), 10)
		if m[1] == "-" {
			n.Neg(n)
		}
		return n
	}
	decimals := max(len(plainNumber.FindStringSubmatch(a)[3]), len(plainNumber.FindStringSubmatch(b)[3]))
	return scaled(a, decimals).Cmp(scaled(b, decimals)) < 0
}

func isDate(s string) bool {
	m := plainDate.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	within := func(text string, most int) bool { n, _ := strconv.Atoi(text); return n <= most }
	_, err := time.Parse("2006-01-02", m[1])
	return err == nil && within(m[2], 23) && within(m[3], 59) && within(m[4], 59) && within(m[5], 23) && within(m[6], 59)
}

// FuzzKey holds what a canonical form has to be: making it twice changes nothing, no two spaces have rules of their own,
// phone numbers and pools that mind the case keep what was given, and two texts with one key are the same but for case.
func FuzzKey(f *testing.F) {
	for _, pair := range [][2]string{{"", ""}, {"Jane", "jAne"}, {"I", "\u0131"}, {"i", "\u0130"}, {"K", "\u212a"}, {"\u00df", "\u1e9e"}, {"ss", "\u00df"}, {"\ufb01", "fi"},
		{"\u00e9", "e\u0301"}, {"\uff41", "a"}, {"a\u200b", "a"}, {"\u202ea", "a"}, {"\u03c2", "\u03a3"}, {"\xff", "\ufffd"}, {"+1555", "+1555"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		minds, ignores := &pool.Pool{}, &pool.Pool{}
		minds.CaseSensitive = true
		for _, space := range []user.Space{user.Names, user.Emails, user.Phones} {
			for _, s := range []string{a, b} {
				if user.Key(minds, space, s) != s {
					t.Errorf("%q of %s changes in a pool that minds the case", s, space)
				}
				key := user.Key(ignores, space, s)
				if again := user.Key(ignores, space, key); again != key {
					t.Errorf("%q of %s: %q and then %q", s, space, key, again)
				}
				if space == user.Phones && key != s || space != user.Phones && key != contact.Fold(s) {
					t.Errorf("%q of %s has the key %q", s, space, key)
				}
			}
		}
		if same := user.Key(ignores, user.Names, a) == user.Key(ignores, user.Names, b); same && !strings.EqualFold(a, b) && !dotted(a, b) {
			t.Errorf("%q and %q have one key and differ in more than case", a, b)
		}
	})
}

// dotted reports whether the texts are equal but for case if the capital I with a dot is one of i. It is the one letter
// with a lower case but without a simple folding.
func dotted(a, b string) bool {
	plain := strings.NewReplacer("\u0130", "i")
	return strings.EqualFold(plain.Replace(a), plain.Replace(b))
}
