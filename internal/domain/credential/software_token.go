package credential

import (
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
)

// SoftwareToken is a user's authenticator app; there is one at most (documented).
type SoftwareToken struct {
	PoolID string
	Sub    string
	Key    []byte // of the app that proved itself by a code; nil while none has
	Name   string // of that app, as the user calls it
	// Pending is a key that was handed out and waits for its first code. The verified one works until then.
	Pending []byte
	// Last is the highest step of which a code was accepted. No code of it or of an earlier one is accepted again, of
	// whichever key: nodes whose clocks differ, and a clock that is put back, change nothing about that.
	Last totp.Step
}

// Verdict is what became of a code.
type Verdict int

// The verdicts on codes of authenticator apps.
const (
	Wrong    Verdict = iota // not a code of the app at this time
	Accepted                // right, and good for this one time
	Replayed                // right, but its step or a later one was used before
)

// Verified reports whether there is an app by which the user can sign in.
func (t *SoftwareToken) Verified() bool { return t != nil && t.Key != nil }

// Use decides about a code of the verified app. The token to store is the returned one.
func (t SoftwareToken) Use(code secret.Text, now time.Time) (SoftwareToken, Verdict) {
	return t.accept(t.Key, code, now)
}

// Confirm decides about the first code of a pending app, which takes the place of the verified one if it is right. The token
// to store is the returned one.
func (t SoftwareToken) Confirm(code secret.Text, name string, now time.Time) (SoftwareToken, Verdict) {
	next, verdict := t.accept(t.Pending, code, now)
	if verdict == Accepted {
		next.Key, next.Name, next.Pending = t.Pending, name, nil
	}
	return next, verdict
}

func (t SoftwareToken) accept(key []byte, code secret.Text, now time.Time) (SoftwareToken, Verdict) {
	step, ok := totp.Match(key, code.Reveal(), now)
	switch {
	case key == nil || !ok:
		return t, Wrong
	case step <= t.Last:
		return t, Replayed
	}
	t.Last = step
	return t, Accepted
}
