package srp

import (
	"bytes"
	"sync"
	"testing"
)

// Many powers at the same time come out as one alone does, and give their places back.
func TestTurns(t *testing.T) {
	t.Parallel()
	salt := []byte("salt")
	alone := Verifier("pool", "jane", "password", salt)
	var group sync.WaitGroup
	for range 4 * cap(turns) {
		group.Go(func() {
			if got := Verifier("pool", "jane", "password", salt); !bytes.Equal(got, alone) {
				t.Errorf("among others the verifier is %x, alone %x", got, alone)
			}
		})
	}
	group.Wait()
}
