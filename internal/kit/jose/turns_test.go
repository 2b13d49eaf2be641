package jose

import (
	"runtime"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// TestTurns lets many sign at the same time, and looks at those who wait. It is not parallel: it holds all places.
func TestTurns(t *testing.T) {
	key, err := Generate(KeyID([32]byte{}))
	want.NoError(t, err)
	for range cap(turns) {
		turns <- struct{}{}
	}
	many := 4 * cap(turns)
	var group sync.WaitGroup
	for range many {
		group.Go(func() {
			token, err := key.Sign([]byte("{}"))
			if err != nil {
				t.Error(err)
				return
			}
			parts, err := Split(token)
			if err == nil {
				_, err = key.Public().Verify(parts)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for Waiting() < many {
		runtime.Gosched()
	}
	for range cap(turns) {
		<-turns
	}
	group.Wait()
	want.Equal(t, Waiting(), 0)
}
