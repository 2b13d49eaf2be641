package verify_test

import (
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/domain/verify"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestLockout is the documented table: how long each failed attempt locks that comes as soon as it may.
func TestLockout(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var tally verify.Tally
	var locks []int
	for range 17 {
		want.True(t, !tally.Locked(now), "locked after %v", locks)
		tally = tally.Miss(now)
		lock := max(0, tally.Until.Sub(now))
		locks = append(locks, int(lock.Seconds()))
		want.True(t, lock == 0 || tally.Locked(now.Add(lock-time.Millisecond)), "the lock lasts")
		now = now.Add(lock)
	}
	want.Equal(t, locks, []int{0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900})
	want.Equal(t, tally.Failures, 17)

	// A quarter of an hour without attempts begins anew, but for the failures in a row.
	tally = tally.Miss(now.Add(15*time.Minute + time.Millisecond))
	want.Equal(t, []int{tally.Spent, tally.Failures}, []int{1, 18})
	want.True(t, !tally.Locked(now.Add(15*time.Minute+time.Millisecond)), "one is free again")

	// An attempt that came before the last one counts, and takes nothing back.
	last := verify.Tally{Since: now, Spent: 4, Failures: 4}.Miss(now.Add(-time.Second))
	want.Equal(t, last, verify.Tally{Since: now, Spent: 5, Failures: 5, Until: now})
	want.Equal(t, verify.Tally{}.Miss(now), verify.Tally{Since: now, Spent: 1, Failures: 1})
}

func TestHold(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	later := now.Add(time.Minute)
	for _, c := range []struct {
		name  string
		tally verify.Tally
		b     verify.Budget
		most  int
		held  bool
		until time.Time
	}{
		{"who never tried", verify.Tally{}, verify.SignIn, 1, false, time.Time{}},
		{"a lock", verify.Tally{Failures: 5, Until: later}, verify.SignIn, 0, true, later},
		{"a lock that is over", verify.Tally{Failures: 5, Until: now}, verify.SignIn, 0, false, time.Time{}},
		{"passwords have no bound", verify.Tally{Failures: 5000, Spent: 5000, Since: now}, verify.SignIn, 0, false, time.Time{}},
		{"unless there is one", verify.Tally{Failures: 100, Until: later}, verify.SignIn, 100, true, time.Time{}},
		{"one below it", verify.Tally{Failures: 99, Until: later}, verify.SignIn, 100, true, later},
		{"second factors have one", verify.Tally{Failures: 100}, verify.SecondFactor, 0, true, time.Time{}},
		{"which is theirs alone", verify.Tally{Failures: 99}, verify.SecondFactor, 5, false, time.Time{}},
		{"a budget that is used up", verify.Tally{Since: now.Add(-59 * time.Minute), Spent: 5}, verify.ResendCode, 0, true, now.Add(time.Minute)},
		{"one that is not", verify.Tally{Since: now.Add(-59 * time.Minute), Spent: 4}, verify.ResendCode, 0, false, time.Time{}},
		{"one that begins anew", verify.Tally{Since: now.Add(-time.Hour), Spent: 5}, verify.ResendCode, 0, false, time.Time{}},
	} {
		held, until := c.tally.Hold(c.b, c.most, now)
		if held != c.held || !until.Equal(c.until) {
			t.Errorf("%s: %t until %s, want %t until %s", c.name, held, until, c.held, c.until)
		}
	}
}
