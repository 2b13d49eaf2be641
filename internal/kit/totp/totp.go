// Package totp computes and checks the six-digit codes of authenticator apps: RFC 6238 with HMAC-SHA-1, steps of 30
// seconds counted from 1970, and a window of one step to either side (documented for the service).
//
// Codes and keys are secrets: whoever calls wraps them. It draws nothing and remembers nothing. What became of a code, and that none works twice, is domain/credential's.
package totp

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 as authenticator apps implement it; a collision is of no use to anybody here
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const (
	// KeySize is the length of the keys that the service makes, in bytes.
	KeySize = 32
	// Digits is the length of a code.
	Digits = 6

	modulus = 1_000_000 // 10 to the power of Digits
	period  = 30 * time.Second
	window  = 1 // steps that a code may be early or late
)

// Step is the number of the interval of 30 seconds in which an instant lies.
type Step int64

// StepAt is the step of an instant.
func StepAt(now time.Time) Step {
	seconds, length := now.Unix(), int64(period/time.Second)
	step := seconds / length
	if seconds%length < 0 { // before 1970
		step--
	}
	return Step(step)
}

// Ends is the instant at which the step is over.
func (s Step) Ends() time.Time { return time.Unix(int64(s+1)*int64(period/time.Second), 0).UTC() }

// Code is the code of a key in a step.
//
// Evidence: RFC 4226 section 5.3, RFC 6238 section 4.
func Code(key []byte, step Step) string {
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	const low = 0x0f
	offset := sum[len(sum)-1] & low
	const positive = 1<<31 - 1
	number := binary.BigEndian.Uint32(sum[offset:]) & positive
	return fmt.Sprintf("%0*d", Digits, number%modulus)
}

// Match finds the step whose code was given, among those that are good at an instant; the latest, should codes repeat. The
// time that it takes says nothing about the key.
func Match(key []byte, code string, now time.Time) (step Step, ok bool) {
	current := StepAt(now)
	for s := current - window; s <= current+window; s++ {
		if subtle.ConstantTimeCompare([]byte(Code(key, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// Next is the step whose code somebody should give at an instant who must not use the last step again, nor an earlier one:
// the present one, or the following one where it is good already. false: none is, and the present step must end first.
func Next(last Step, now time.Time) (step Step, ok bool) {
	step = max(StepAt(now), last+1)
	return step, step <= StepAt(now)+window
}

// encoding is how people and apps are told a key: in capitals without padding.
var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Encode is a key as an app takes it.
func Encode(key []byte) string { return encoding.EncodeToString(key) }

// Decode is the key of an encoded one. Its error holds nothing of the text.
func Decode(text string) ([]byte, error) {
	key, err := encoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return nil, errors.New("not the secret of an authenticator app")
	}
	return key, nil
}
