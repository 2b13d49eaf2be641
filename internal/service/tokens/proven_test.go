package tokens

import (
	"encoding/binary"
	"testing"

	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

func TestProven(t *testing.T) {
	t.Parallel()
	var p proven
	one, other := &verifier{}, &verifier{}
	digest := func(n int) (d [32]byte) {
		binary.BigEndian.PutUint64(d[:], uint64(n))
		return d
	}
	want.True(t, p.find(digest(0), one) == nil, "an empty memory knows a token")
	p.add(digest(0), one, &token.Access{Sub: "s"})
	want.Equal(t, p.find(digest(0), one).Sub, "s")
	p.find(digest(0), one).Sub = "changed"
	want.Equal(t, p.find(digest(0), one).Sub, "s")
	want.True(t, p.find(digest(0), other) == nil, "another key's proof counts")
	// What is asked for stays, the rest goes, and the memory is bounded.
	for n := 1; n <= 3*mostProven; n++ {
		p.add(digest(n), one, &token.Access{})
		want.True(t, p.find(digest(0), one) != nil, "forgotten after %d", n)
	}
	want.True(t, p.find(digest(1), one) == nil, "the oldest is kept")
	want.True(t, len(p.younger)+len(p.older) <= 2*mostProven+1, "%d are kept", len(p.younger)+len(p.older))
}
