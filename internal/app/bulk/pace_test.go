package bulk

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	want.Equal(t, backoff(0, 0), 100*time.Millisecond)
	want.Equal(t, backoff(0, 1), 200*time.Millisecond)
	want.Equal(t, backoff(3, 1), 1600*time.Millisecond)
	want.Equal(t, backoff(6, 0), 5*time.Second)
	want.Equal(t, backoff(1000, 1), 10*time.Second)
}

// bucket lets so many calls through a second, and so many at once.
type bucket struct {
	rate, most, level float64
	last              time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.level = min(b.most, b.level+b.rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// The pace finds the rate that an endpoint allows, whatever it is, and spends little on being refused.
func TestPacerFindsTheRate(t *testing.T) {
	t.Parallel()
	for _, allowed := range []float64{2, 25, 500} {
		synctest.Test(t, func(t *testing.T) {
			p := newPacer()
			b := &bucket{rate: allowed, most: allowed, level: allowed, last: time.Now()}
			begin := time.Now()
			passed, refused := 0, 0
			for time.Since(begin) < time.Minute {
				want.NoError(t, p.wait(t.Context()))
				time.Sleep(100 * time.Microsecond) // the call
				if b.take(time.Now()) {
					passed++
					p.succeeded()
				} else {
					refused++
					want.NoError(t, p.throttled())
				}
			}
			most := allowed * 61
			want.True(t, float64(passed) > most*0.6, "of %.0f calls that were allowed %d were made", most, passed)
			want.True(t, refused < passed/4+20, "%d calls were refused and %d made", refused, passed)
			want.Equal(t, p.tooMany(), refused)
		})
	}
}

func TestPacerLosesPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		begin := time.Now()
		for {
			want.NoError(t, p.wait(t.Context()))
			if err := p.throttled(); err != nil {
				want.Error(t, err, errPatience)
				break
			}
		}
		took := time.Since(begin)
		want.True(t, took > patience && took < patience+10*time.Second, "it took %s", took)
	})
}
