package dispatch_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/clock"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestEven(t *testing.T) {
	t.Parallel()
	const step = 10 * time.Millisecond
	for name, c := range map[string]struct{ took, leaves time.Duration }{
		"no work":         {0, step},
		"little":          {time.Microsecond, step},
		"nearly a step":   {step - time.Microsecond, step},
		"more":            {step + time.Microsecond, 2 * step},
		"a step and half": {15 * time.Millisecond, 2 * step},
		"much":            {95 * time.Millisecond, 10 * step},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := clock.Machine()
				time.Sleep(c.took)
				dispatch.Even{Step: step, Random: bytes.NewReader(make([]byte, 8))}.Wait(t.Context(), begin)
				want.Equal(t, clock.Machine().Sub(begin), c.leaves)
			})
		})
	}
	t.Run("a random part more", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			seen := map[time.Duration]bool{}
			for range 100 {
				begin := clock.Machine()
				dispatch.Even{Step: step, Random: rand.Reader}.Wait(t.Context(), begin)
				took := clock.Machine().Sub(begin)
				want.True(t, took >= step && took < 2*step, "an answer leaves after %s", took)
				seen[took/(step/4)] = true
			}
			want.Equal(t, len(seen), 4) // in each quarter
		})
	})
	t.Run("caller gives up", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			begin := clock.Machine()
			dispatch.Even{Step: step, Random: rand.Reader}.Wait(ctx, begin)
			dispatch.Even{}.Wait(t.Context(), begin)
			want.Equal(t, clock.Machine().Sub(begin), time.Duration(0))
		})
	})
}
