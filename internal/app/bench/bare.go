package bench

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/jose"
	"github.com/poolhouse/poolhouse/internal/kit/srp"
)

// bare is the cryptography that an operation cannot do without, to be done on all cores and nothing else.
type bare struct {
	what   string
	wanted float64 // the part of its rate that the operation has to reach over many connections
	parts  []func() error
}

var (
	aVerifier             = &bare{"bare verifiers of passwords", 0.70, []func() error{computeVerifier}}
	twoSignatures         = &bare{"two bare signatures", 0.75, []func() error{signTwice}}
	verifierAndSignatures = &bare{"a bare verifier and two signatures", 0.70, []func() error{computeVerifier, signTwice}}
	exchangeAndSignatures = &bare{"a bare exchange and two signatures", 0.70, []func() error{computeExchange, signTwice}}
)

// rate does it for a time, and returns how often a second.
func (b *bare) rate(ctx context.Context, duration time.Duration) (float64, error) {
	if _, err := signer(); err != nil { // which takes a while to make
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	var done atomic.Uint64
	begin := time.Now()
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for first := true; first || ctx.Err() == nil && time.Since(begin) < duration; first = false {
				for _, part := range b.parts {
					if err := part(); err != nil {
						cancel(err)
						return
					}
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds(), context.Cause(ctx)
}

var salt = make([]byte, 16)

func computeVerifier() error {
	srp.Verifier("bench", "bench", password, salt)
	return nil
}

// payload has the length of the claims of a user's tokens.
var payload = make([]byte, 600)

var signer = sync.OnceValues(func() (*jose.Key, error) { return jose.Generate(jose.KeyID([32]byte{})) })

func signTwice() error {
	key, err := signer()
	for i := 0; i < 2 && err == nil; i++ {
		_, err = key.Sign(payload)
	}
	return err
}

// verifier is that of the password, computed once.
var verifier = sync.OnceValue(func() []byte { return srp.Verifier("bench", "bench", password, salt) })

// computeExchange is the server's part of an exchange: its public value, and the key that it shares with the client.
func computeExchange() error {
	b := make([]byte, srp.ExponentSize)
	b[0] = 1
	public, err := srp.Public(verifier(), b)
	if err != nil {
		return err
	}
	_, err = srp.Session(public, public, verifier(), b)
	return err
}
