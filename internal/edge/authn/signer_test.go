package authn

import (
	"strconv"
	"sync"
	"testing"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

func TestSignersAreBounded(t *testing.T) {
	t.Parallel()
	var g signers
	s := secret.New("x")
	sg := newSigner(s, "20260101", "us-east-1", defaultService)
	var wait sync.WaitGroup
	for part := range 2 {
		wait.Go(func() {
			for i := range maxSigners {
				id := strconv.Itoa(part) + "-" + strconv.Itoa(i)
				g.keep(sg, id, "20260101", "us-east-1")
				g.find(s, id, "20260101", "us-east-1")
			}
		})
	}
	wait.Wait()
	if n := len(*g.known.Load()); n == 0 || n > maxSigners {
		t.Errorf("%d signers are kept, want 1 to %d", n, maxSigners)
	}
	g.keep(sg, "last", "20260101", "us-east-1")
	if _, ok := g.find(s, "last", "20260101", "us-east-1"); !ok {
		t.Error("the last one is gone")
	}
	if _, ok := g.find(secret.New("y"), "last", "20260101", "us-east-1"); ok {
		t.Error("found under another secret")
	}
}
