package token_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// key is one that was made some hours after noon and signs from some hours after noon on.
func key(use token.Use, ordinal, created, from int) *token.Key {
	return &token.Key{ID: fmt.Sprint(use, ordinal), Use: use, Ordinal: ordinal, Created: noon.Add(hours(created)), From: noon.Add(hours(from))}
}

func hours(n int) time.Duration { return time.Duration(n) * time.Hour }

func TestPlan(t *testing.T) {
	t.Parallel()
	one := key(token.ForID, 1, 0, 0)
	two, three := key(token.ForID, 2, 100, 125), key(token.ForID, 3, 200, 225)
	refresh := []*token.Key{key(token.ForRefresh, 1, 0, 0), key(token.ForRefresh, 2, 100, 100)}
	for _, c := range []struct {
		name string
		keys []*token.Key
		at   time.Duration
		want string
	}{
		{"no keys", nil, 0, ""},
		{"the first", []*token.Key{one}, 0, "current"},
		{"the only one, a clock that was set back", []*token.Key{one}, -hours(9), "current"},
		{"the only one is current for ever", []*token.Key{one}, hours(99999), "current"},
		{"a published one waits", []*token.Key{one, two}, hours(100), "current next"},
		{"to the last instant", []*token.Key{one, two}, hours(125) - 1, "current next"},
		{"and signs", []*token.Key{one, two}, hours(125), "former current"},
		{"the former stays while its tokens may live", []*token.Key{one, two}, hours(150) - 1, "former current"},
		{"and goes", []*token.Key{one, two}, hours(150), "gone current"},
		{"the order of the list is nothing", []*token.Key{two, one}, hours(150), "current gone"},
		{"three", []*token.Key{one, two, three}, hours(200), "gone current next"},
		{"three, later", []*token.Key{one, two, three}, hours(249), "gone former current"},
		{"a clock that was set back behind two", []*token.Key{two, three}, 0, "current next"},
		{"one that signs at once", []*token.Key{one, key(token.ForID, 2, 5, 5)}, hours(5), "former current"},
		{"at the same instant the later one", []*token.Key{key(token.ForID, 2, 0, 0), one}, 0, "current former"},
		{"uses are apart", []*token.Key{one, key(token.ForAccess, 1, 3, 3), two}, hours(150), "gone current current"},
		{"refresh tokens live long", refresh, hours(99999), "former current"},
		{"keys of refresh tokens wait too", []*token.Key{refresh[0], key(token.ForRefresh, 2, 1, 9)}, hours(2), "current next"},
	} {
		var got []string
		for _, part := range token.Plan(c.keys, noon.Add(c.at)) {
			got = append(got, string(part))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	want.Equal(t, token.Missing(nil), []token.Use{token.ForID, token.ForAccess, token.ForRefresh})
	want.Equal(t, token.Missing([]*token.Key{key(token.ForAccess, 3, 0, 9)}), []token.Use{token.ForID, token.ForRefresh})
	want.Equal(t, len(token.Missing([]*token.Key{key(token.ForAccess, 1, 0, 0), key(token.ForID, 1, 0, 0), key(token.ForRefresh, 1, 0, 0)})), 0)
}

// TestRotationWalk rotates the keys of a pool at random instants and looks at what verifiers know. Whoever fetched the set as
// long ago as he may keep it finds the key of every token that has not expired, as long as nobody rotates with haste; and who
// fetches it again finds it always.
func TestRotationWalk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		type fetched struct {
			at   time.Time
			keys []string
		}
		type signed struct {
			key     string
			expires time.Time
		}
		now := noon
		keys := []*token.Key{key(token.ForID, 1, 0, 0)}
		var sets []fetched
		var tokens []signed
		hasty := time.Time{} // the last rotation in haste
		for range 60 {
			now = now.Add(time.Duration(rapid.IntRange(0, 30*60).Draw(r, "minutes")) * time.Minute)
			parts := token.Plan(keys, now)
			switch action := rapid.SampledFrom([]string{"rotate", "rotate now", "purge", "wait", "wait", "wait"}).Draw(r, "action"); action {
			case "rotate", "rotate now":
				from := now.Add(token.Overlap)
				if action == "rotate now" {
					from, hasty = now, now
				}
				if i := slices.Index(parts, token.Next); i >= 0 {
					if from.Before(keys[i].From) {
						keys[i].From = from
					}
				} else {
					keys = append(keys, &token.Key{ID: fmt.Sprint(token.ForID, len(keys)+1, now.Unix()), Use: token.ForID, Ordinal: keys[len(keys)-1].Ordinal + 1, Created: now, From: from})
				}
			case "purge":
				var left []*token.Key
				for i, part := range parts {
					if part != token.Gone {
						left = append(left, keys[i])
					}
				}
				keys = left
			}
			set := fetched{at: now}
			var current []string
			for i, part := range token.Plan(keys, now) {
				if part == token.Current {
					current = append(current, keys[i].ID)
				}
				if part != token.Gone {
					set.keys = append(set.keys, keys[i].ID)
				}
			}
			if len(current) != 1 {
				r.Fatalf("%d keys are current", len(current))
			}
			sets = append(sets, set)
			tokens = append(tokens, signed{current[0], now.Add(24 * time.Hour)})
			for _, tok := range tokens {
				if !now.Before(tok.expires) {
					continue
				}
				if !slices.Contains(set.keys, tok.key) {
					r.Fatalf("at %s the set %v misses the key %s of a token until %s", now, set.keys, tok.key, tok.expires)
				}
				for _, old := range sets {
					if now.Sub(old.at) <= token.KeepSet && hasty.Before(old.at) && !slices.Contains(old.keys, tok.key) {
						r.Fatalf("at %s the set %v of %s misses the key %s", now, old.keys, old.at, tok.key)
					}
				}
			}
		}
	})
}
