package ops_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/user"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// lookalike is a pair of texts that people, fonts or software take for each other. same says whether they are one account
// in a pool that ignores case; in one that minds it no pair is.
type lookalike struct {
	a, b string
	same bool
}

// lookalikes are the pairs by which accounts were taken over elsewhere, and their families.
func lookalikes() (list []lookalike) {
	add := func(same bool, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, lookalike{pairs[i], pairs[i+1], same})
		}
	}
	// One letter in two cases, although some forms have no other.
	add(true, "\u0130", "i", "\u0130", "I", "\u212a", "k", "\u212a", "K", "\u212b", "\u00e5", "\u2126", "\u03c9", "\u1e9e", "\u00df", "\u03a3", "\u03c3", "\u01c4", "\u01c6",
		"\u01c5", "\u01c6", "\u01f1", "\u01f3", "\u0132", "\u0133", "\u2167", "\u2177", "\u24b6", "\u24d0", "\u00c9", "\u00e9", "E\u0301", "e\u0301", "\u1c90", "\u10d0", "\U00010400", "\U00010428")
	// Letters that some rule of folding, normalisation or transliteration makes equal, and ours does not.
	add(false, "\u0131", "i", "\u0131", "I", "\u0130", "\u0131", "i\u0307", "\u0130", "\u00df", "ss", "\u1e9e", "SS", "\u03c2", "\u03c3", "\u03c2", "\u03a3", "\u017f", "s", "\u017f", "S",
		"\u01c6", "d\u017e", "\ufb00", "ff", "\ufb01", "fi", "\ufb02", "fl", "\ufb03", "ffi", "\ufb04", "ffl", "\ufb05", "\u017ft", "\ufb06", "st", "\u0132", "IJ", "\u2167", "VIII", "\u24d0", "a",
		"\u00b5", "\u03bc", "\u00b2", "2", "\u2460", "1", "\u00aa", "a", "\u00ba", "o", "\u2121", "TEL", "\u2116", "No", "\u2026", "...", "\u00bd", "1/2", "\u00e6", "ae", "\u0153", "oe", "\u00f8", "o",
		"\u0142", "l", "\u00f0", "d", "\u00fe", "th", "\u0149", "\u02bcn", "\u1e9a", "a\u02be", "\u2044", "/", "\u2212", "-", "\u2010", "-", "\u2013", "-", "\uff20", "@", "\ufe6b", "@", "\u3002", ".",
		"\u037e", ";", "\u0660", "0", "\u06f0", "0", "\u0966", "0", "\u4e00", "\u30fc", "\u00c5", "A\u030a", "\u2f00", "\u4e00", "\uf900", "\u8c48", "\u3042", "\u30a2", "\uff76", "\u30ab", "\uac00", "\u1100\u1161")
	for r := 'A'; r <= 'Z'; r++ {
		lower := r + 'a' - 'A'
		wide := func(r rune) string { return string(r - '!' + '\uff01') }
		add(true, string(r), string(lower), wide(r), wide(lower))
		add(false, wide(r), string(r), wide(lower), string(lower), string('\U0001d400'+r-'A'), string(r), string('\U0001d41a'+r-'A'), string(lower), string('\u24d0'+r-'A'), string(lower))
	}
	for r := '0'; r <= '9'; r++ {
		add(false, string(r-'0'+'\uff10'), string(r), string(r-'0'+'\U0001d7ce'), string(r))
	}
	for _, block := range [][2]rune{{'\u00c0', '\u00d6'}, {'\u0391', '\u03a9'}, {'\u0410', '\u042f'}, {'\u0531', '\u0556'}} {
		for r := block[0]; r <= block[1]; r++ {
			if lower := unicode.ToLower(r); lower != r {
				add(true, string(r), string(lower))
			}
		}
	}
	// The same letter in one character and in two.
	for base, marks := range map[string]string{"a": "\u00e0\u0300\u00e1\u0301\u00e2\u0302\u00e3\u0303\u00e4\u0308\u00e5\u030a\u0101\u0304\u0103\u0306\u0105\u0328", "c": "\u00e7\u0327\u0107\u0301\u010d\u030c",
		"e": "\u00e8\u0300\u00e9\u0301\u00ea\u0302\u00eb\u0308\u0113\u0304\u0117\u0307\u0119\u0328\u011b\u030c", "i": "\u00ec\u0300\u00ed\u0301\u00ee\u0302\u00ef\u0308", "n": "\u00f1\u0303\u0144\u0301\u0148\u030c",
		"o": "\u00f2\u0300\u00f3\u0301\u00f4\u0302\u00f5\u0303\u00f6\u0308\u0151\u030b", "u": "\u00f9\u0300\u00fa\u0301\u00fb\u0302\u00fc\u0308\u016f\u030a\u0171\u030b", "s": "\u015b\u0301\u0161\u030c\u015f\u0327",
		"y": "\u00fd\u0301\u00ff\u0308", "z": "\u017a\u0301\u017c\u0307\u017e\u030c"} {
		for runes := []rune(marks); len(runes) > 0; runes = runes[2:] {
			add(false, string(runes[0]), base+string(runes[1]), string(unicode.ToUpper(runes[0])), strings.ToUpper(base)+string(runes[1]))
		}
	}
	// What cannot be seen: of no width, for the direction of writing, selectors, fillers.
	for _, r := range "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\u206a\u3164\ufe00\ufe0f\ufeff\uffa0\U000e0001\U000e0061" {
		add(false, "jane"+string(r), "jane", "ja"+string(r)+"ne", "jane")
	}
	// Letters of other scripts.
	other, latin := []rune("\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u0501\u04bb\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u0585"), []rune("aceopxyijsdhABEKMHOPCTXABEZHIKMNOPTYXovo")
	for i, r := range other {
		add(false, string(r), string(latin[i]))
	}
	return list
}

// TestUnicodePairs compares each pair by the canonical form in every space of names: one account or two, but the same
// answer everywhere.
func TestUnicodePairs(t *testing.T) {
	t.Parallel()
	pairs := lookalikes()
	minds, ignores := &pool.Pool{}, &pool.Pool{}
	minds.CaseSensitive = true
	for _, p := range pairs {
		want.True(t, p.a != p.b, "%+q is a pair", p.a)
		for _, form := range []string{"%s", "x%sy", "%s@x.io"} {
			a, b := fmt.Sprintf(form, p.a), fmt.Sprintf(form, p.b)
			for _, space := range []user.Space{user.Names, user.Emails, user.Phones} {
				if user.Key(minds, space, a) == user.Key(minds, space, b) {
					t.Errorf("%+q and %+q are one %s in a pool that minds the case", a, b, space)
				}
				wanted := p.same && space != user.Phones
				if got := user.Key(ignores, space, a) == user.Key(ignores, space, b); got != wanted {
					t.Errorf("%+q and %+q are one %s: %v, want %v", a, b, space, got, wanted)
				}
			}
		}
	}
	want.True(t, len(pairs) >= 500, "only %d pairs", len(pairs))
	t.Logf("%d pairs", len(pairs))
}

// TestUnicodeAccounts asks both databases: who has the name, the address or the preferred name of a pair, who is found by
// the other, in a look-up and in a list, and may the other be taken.
func TestUnicodeAccounts(t *testing.T) {
	t.Parallel()
	for name, caseSensitive := range map[string]bool{"minds the case": true, "ignores the case": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, both(aliasPool, func(s *pool.Settings) { s.CaseSensitive = caseSensitive }), func(w *world) {
				asked := 0
				for i, p := range lookalikes() {
					if i >= 100 && i%7 != 0 {
						continue // the first are each of its own kind, the others are families
					}
					asked++
					w.pair(fmt.Sprintf("%d.", i), p.a, p.b, p.same && !caseSensitive)
				}
				w.Logf("%d pairs", asked)
			})
		})
	}
}

// pair makes an account of a and looks for it by b.
func (w *world) pair(prefix, a, b string, same bool) {
	w.Helper()
	text := func(s string) string { b, err := json.Marshal(s); want.NoError(w, err); return string(b) }
	u := w.addUser(prefix+a, map[string]string{"email": prefix + a + "@x.io", "email_verified": "true", "preferred_username": "p" + prefix + a})
	for _, name := range []string{prefix + b, prefix + b + "@x.io", "p" + prefix + b} {
		got := w.call("AdminGetUser", `{"UserPoolId":"$pool","Username":`+text(name)+`}`)
		switch refused := strings.HasPrefix(got, "InvalidParameterException: "); {
		case same:
			want.Contains(w, got, `"Username":`+text(u.Username))
		case !refused:
			want.Equal(w, got, "UserNotFoundException: User does not exist.")
		}
	}
	listed := w.call("ListUsers", `{"UserPoolId":"$pool","Filter":`+text(`username = "`+prefix+b+`"`)+`}`)
	want.True(w, strings.Contains(listed, u.Sub) == same, "%+q and %+q are one account: %v, and the list shows %s", a, b, same, listed)
	// The other name, address and preferred name, one at a time: taken or free, as above.
	for _, r := range []*user.Record{
		{Username: prefix + b, Attributes: map[string]string{}},
		{Username: "q" + prefix, Attributes: map[string]string{"email": prefix + b + "@x.io", "email_verified": "true"}},
		{Username: "r" + prefix, Attributes: map[string]string{"preferred_username": "p" + prefix + b}},
	} {
		r.PoolID, r.Sub, r.Created, r.Modified, r.Status, r.Enabled = w.pool.ID, chance.System().Sub(), start, start, user.Confirmed, true
		err := w.store.Update(w.Context(), store.Scope{}, func(tx store.Tx) error { return tx.Users().Create(w.pool, r) })
		want.True(w, errors.Is(err, store.ErrConflict) == same && (same || err == nil), "%+q and %+q are one account: %v, and creating %+q says %v", a, b, same, r, err)
	}
}
