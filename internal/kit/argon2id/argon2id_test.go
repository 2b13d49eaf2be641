package argon2id

import (
	"context"
	"encoding/hex"
	"errors"
	"testing"
)

func TestKey(t *testing.T) {
	t.Parallel()
	// A vector from the reference implementation: printf password | argon2 somesalt -id -t 2 -m 8 -p 1 -l 32 -r
	got, err := NewGate(1).Key(t.Context(), Params{256, 2, 1}, []byte("password"), []byte("somesalt"))
	if want := "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"; err != nil || hex.EncodeToString(got) != want {
		t.Errorf("%x, %v, want %s", got, err, want)
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	if text := Default.String(); text != "argon2id m=19456,t=2,p=1" {
		t.Error(text)
	}
	if p, err := Parse("argon2id m=47104,t=1,p=4"); err != nil || p != (Params{47104, 1, 4}) {
		t.Errorf("%v %v", p, err)
	}
	for _, text := range []string{"", "argon2id", "argon2id m=19456,t=2,p=1 ", "argon2id m=019456,t=2,p=1", "argon2i m=19456,t=2,p=1", "argon2id m=0,t=2,p=1",
		"argon2id m=1048577,t=2,p=1", "argon2id m=8,t=17,p=1", "argon2id m=8,t=0,p=1", "argon2id m=8,t=1,p=0", "argon2id m=8,t=1,p=17", "argon2id m=-8,t=1,p=1", "argon2id m=99999999999,t=1,p=1"} {
		if p, err := Parse(text); !errors.Is(err, errParams) {
			t.Errorf("%q is read as %v, %v", text, p, err)
		}
	}
}

// TestGate: who finds all slots taken waits, and goes when its context ends.
func TestGate(t *testing.T) {
	t.Parallel()
	g := NewGate(1)
	g.slots <- struct{}{}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	done := make(chan error)
	go func() {
		_, err := g.Key(ctx, Params{8, 1, 1}, []byte("p"), []byte("saltsalt"))
		done <- err
	}()
	cancel(gone)
	if err := <-done; !errors.Is(err, gone) && !errors.Is(err, context.Canceled) {
		t.Errorf("whoever waits gets %v", err)
	}
	<-g.slots
	for range 3 {
		if _, err := g.Key(t.Context(), Params{8, 1, 1}, []byte("p"), []byte("saltsalt")); err != nil {
			t.Error(err)
		}
	}
	if _, err := g.Key(ctx, Params{8, 1, 1}, []byte("p"), []byte("saltsalt")); err == nil {
		t.Error("a context that has ended is heeded with free slots too")
	}
	if len(g.slots) != 0 {
		t.Error("slots are given back")
	}
}
