package srp

import (
	"bytes"
	"runtime"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// Many powers at the same time come out as one alone does, and give their places back.
//
// It is not parallel: it holds all places.
func TestTurns(t *testing.T) {
	salt := []byte("salt")
	alone := Verifier("pool", "jane", "password", salt)
	var group sync.WaitGroup
	for range cap(turns) {
		turns <- struct{}{}
	}
	many := 4 * cap(turns)
	for range many {
		group.Go(func() {
			if got := Verifier("pool", "jane", "password", salt); !bytes.Equal(got, alone) {
				t.Errorf("among others the verifier is %x, alone %x", got, alone)
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
