package token

import (
	"slices"
	"time"
)

// Use is what a key is for.
type Use string

// The uses of keys. Every pool has a key of each.
const (
	ForID      Use = "id"
	ForAccess  Use = "access"
	ForRefresh Use = "refresh" // symmetric: nobody but the server opens a refresh token
)

// Key is a key of a pool. It never changes but for the instant from which it signs, which may come nearer.
type Key struct {
	PoolID   string
	ID       string // the header's kid
	Use      Use
	Ordinal  int       // 1 for the first of its use, one more for each that follows
	Created  time.Time // when it was published
	From     time.Time // from when on it signs, until the next one does
	Material []byte    // PKCS #1 of an RSA key, 32 bytes of a symmetric one; the store seals it
}

// Part is what a key does at an instant.
type Part string

// The parts of keys, in the order of their lives.
const (
	Next    Part = "next"    // published, so that everybody knows it before it signs
	Current Part = "current" // signs
	Former  Part = "former"  // published, since tokens that it signed may still be good
	Gone    Part = "gone"    // of no use any more
)

const (
	// KeepSet is the longest time for which others may keep a set of public keys that they have fetched.
	KeepSet = 24 * time.Hour
	// Overlap is how long a key is published before it signs: longer than anybody keeps a set without it.
	Overlap = KeepSet + time.Hour
	// Outlast is how long a key is published after it has signed for the last time: longer than a token lives, a day at most
	// (documented), and than a clock that is set wrong by a little.
	Outlast = 24*time.Hour + time.Hour
)

// Plan says which part each of a pool's keys plays at an instant. Of every use there is one current key, if there is any
// at all: when a clock is set back behind all of them, the first one signs. Keys of refresh tokens are former for ever,
// since a refresh token may live for ten years.
//
// Nothing is stored of it. Nodes that know the same keys agree without a word, and change from one key to the next
// at the same instant.
func Plan(keys []*Key, now time.Time) []Part {
	parts := make([]Part, len(keys))
	for i, k := range keys {
		var next *Key // the one that takes over from k
		first := true
		for _, other := range keys {
			switch {
			case other == k || other.Use != k.Use:
			case !k.before(other):
				first = false
			case next == nil || other.before(next):
				next = other
			}
		}
		switch {
		case k.From.After(now) && !first:
			parts[i] = Next
		case next == nil || next.From.After(now):
			parts[i] = Current
		case k.Use == ForRefresh || now.Before(next.From.Add(Outlast)):
			parts[i] = Former
		default:
			parts[i] = Gone
		}
	}
	return parts
}

// before reports whether a key signs earlier than another of its use.
func (k *Key) before(other *Key) bool {
	if k.From.Equal(other.From) {
		return k.Ordinal < other.Ordinal
	}
	return k.From.Before(other.From)
}

// Missing are the uses of which there is no key.
func Missing(keys []*Key) []Use {
	var uses []Use
	for _, use := range [...]Use{ForID, ForAccess, ForRefresh} {
		if !slices.ContainsFunc(keys, func(k *Key) bool { return k.Use == use }) {
			uses = append(uses, use)
		}
	}
	return uses
}
