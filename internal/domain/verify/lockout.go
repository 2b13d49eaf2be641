package verify

import "time"

// The lockout of sign-ins: after some wrong passwords nothing is evaluated for a while, which doubles with each further
// one. A tally of the budget SignIn counts them in Spent, and keeps in Since when the last one came. Failures counts on
// where the service's own count begins anew.
const (
	freeMisses  = 5
	longestLock = 900 * time.Second
	// forgetMisses is how long nobody may try for the count to begin anew.
	forgetMisses = 15 * time.Minute
)

// Locked reports whether nothing must be evaluated at the instant: whoever tries then is refused, right or wrong, and the
// lock stays as it is.
func (t Tally) Locked(now time.Time) bool { return now.Before(t.Until) }

// Miss counts a wrong password and locks what is due.
//
// Evidence: observed schedule.
func (t Tally) Miss(now time.Time) Tally {
	if now.Sub(t.Since) > forgetMisses {
		t.Spent = 0
	}
	if now.After(t.Since) { // requests that came at once are counted in any order
		t.Since = now
	}
	t.Spent++
	t.Failures++
	if over := t.Spent - freeMisses; over >= 0 {
		if until := now.Add(min(time.Second<<min(over, 10), longestLock)); until.After(t.Until) {
			t.Until = until
		}
	}
	return t
}
