package bench

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucketsHoldTheirValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Range(0, 1<<50).Draw(t, "value")
		low := valueOf(bucketOf(v))
		if low > v || float64(v-low) > 0.016*float64(v) {
			t.Fatalf("%d fell into the bucket of %d", v, low)
		}
		if w := v + 1 + v/16; bucketOf(w) < bucketOf(v) {
			t.Fatalf("%d is in an earlier bucket than %d", w, v)
		}
	})
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var h, other histogram
	if got := h.quantile(0.5); got != 0 {
		t.Fatalf("the median of nothing is %s", got)
	}
	for i := range 500 {
		h.record(time.Duration(i+1) * time.Microsecond)
		other.record(time.Duration(i+501) * time.Microsecond)
	}
	h.add(&other)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := h.quantile(q); got > want || float64(want-got) > 0.02*float64(want) {
			t.Errorf("quantile %v of 1 to 1000 µs is %s, wanted about %s", q, got, want)
		}
	}
}
