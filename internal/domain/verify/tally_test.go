package verify

import (
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func TestLimits(t *testing.T) {
	t.Parallel()
	got := map[Budget]int{}
	for _, b := range Budgets {
		got[b] = b.Limit()
	}
	want.Equal(t, got, map[Budget]int{ConfirmSignUp: 15, ResendCode: 5, RequestRecovery: 5, ConfirmRecovery: 20, ChangePassword: 5, AskAttribute: 5, VerifyAttribute: 15, MailFactor: 20, AskFirstFactor: 20})
	_, ok := Tally{}.Spend("nonsense", noon)
	want.True(t, !ok, "a budget that does not exist allows nothing")
}

func TestSpend(t *testing.T) {
	t.Parallel()
	for _, b := range Budgets {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			var tally Tally
			ok := false
			for i := range b.Limit() {
				tally, ok = tally.Spend(b, noon.Add(time.Duration(i)*time.Second))
				want.True(t, ok, "attempt %d is evaluated", i+1)
			}
			want.Equal(t, tally, Tally{Since: noon, Spent: b.Limit()})
			// The window is fixed: refused attempts do not lengthen it.
			for _, later := range []time.Duration{time.Minute, Window - time.Millisecond} {
				refused, ok := tally.Spend(b, noon.Add(later))
				want.True(t, !ok, "refused after %v", later)
				want.Equal(t, refused, tally)
			}
			tally, ok = tally.Spend(b, noon.Add(Window))
			want.True(t, ok, "a new window")
			want.Equal(t, tally, Tally{Since: noon.Add(Window), Spent: 1})
		})
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	full := Tally{Since: noon, Spent: 5}
	_, ok := full.Spend(ResendCode, noon.Add(-time.Second))
	want.True(t, !ok, "a node whose clock is behind sees the same window")
	got, ok := full.Spend(ResendCode, noon.Add(-2*Window))
	want.True(t, ok, "a clock that was put back does not lock for longer than a window")
	want.Equal(t, got, Tally{Since: noon.Add(-2 * Window), Spent: 1})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	var tally Tally
	now, evaluated, ok := noon, 0, false
	for range 40 { // hours
		for range 20 {
			if tally, ok = tally.Spend(VerifyAttribute, now); ok {
				evaluated++
				tally = tally.Fail()
			}
		}
		now = now.Add(Window)
	}
	want.Equal(t, evaluated, MaxFailures)
	want.Equal(t, tally.Failures, MaxFailures)
	_, ok = tally.Spend(VerifyAttribute, now.AddDate(10, 0, 0))
	want.True(t, !ok, "time does not reset failures")

	tally = Tally{Since: noon, Spent: 3, Failures: MaxFailures - 1, Until: noon.Add(-time.Second)}
	tally, ok = tally.Spend(VerifyAttribute, noon)
	want.True(t, ok, "the last attempt in the row is evaluated")
	want.Equal(t, tally.Succeed(), Tally{Since: noon, Spent: 4})
}

func TestUntil(t *testing.T) {
	t.Parallel()
	tally := Tally{Until: noon}
	_, ok := tally.Spend(ConfirmSignUp, noon.Add(-time.Millisecond))
	want.True(t, !ok, "before the instant")
	_, ok = tally.Spend(ConfirmSignUp, noon)
	want.True(t, ok, "at the instant")
}
