package bench

import (
	"math/bits"
	"time"
)

// subBuckets is how many buckets each power of two is cut into: values are kept to within 1.6 %.
const subBuckets = 64

// A histogram counts durations in buckets whose width grows with the value.
type histogram struct {
	counts [64 * subBuckets]uint64
	total  uint64
}

func (h *histogram) record(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)))]++
	h.total++
}

func (h *histogram) add(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// quantile is the smallest recorded duration, to the bucket, that a share q of all durations does not exceed; 0 without any.
func (h *histogram) quantile(q float64) time.Duration {
	need := uint64(q*float64(h.total) + 0.5)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= need {
			return time.Duration(valueOf(i))
		}
	}
	return 0
}

// bucketOf maps v to its bucket: exact below subBuckets, then subBuckets/2 steps for each power of two.
func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-7, 0)
	return shift*subBuckets + int(v>>shift)
}

// valueOf is the least value of a bucket.
func valueOf(i int) uint64 {
	shift := max(i/subBuckets-1, 0)
	return uint64(i-shift*subBuckets) << shift
}
