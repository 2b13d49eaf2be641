package totp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

// ascending is the key of the bytes 00 to 1f.
var ascending = func() []byte {
	key := make([]byte, totp.KeySize)
	for i := range key {
		key[i] = byte(i)
	}
	return key
}()

func at(seconds int64) time.Time { return time.Unix(seconds, 0) }

// TestVectors has the vectors of RFC 6238, appendix B, whose last six digits are the codes, those of RFC 4226, appendix D, and
// some that were computed with another implementation.
func TestVectors(t *testing.T) {
	t.Parallel()
	rfc := []byte("12345678901234567890")
	for seconds, code := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924",
		2000000000: "69279037", 20000000000: "65353130"} {
		want.Equal(t, totp.Code(rfc, totp.StepAt(at(seconds))), code[2:])
	}
	for step, code := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		want.Equal(t, totp.Code(rfc, totp.Step(step)), code)
	}
	for seconds, code := range map[int64]string{59: "555770", 1111111109: "678295", 1746515259: "511735", 1746515289: "478466", 1746515319: "532133"} {
		want.Equal(t, totp.Code(ascending, totp.StepAt(at(seconds))), code)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	text := totp.Encode(ascending)
	want.Equal(t, text, "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQTCQKRMFYYDENBWHA5DYPQ")
	key, err := totp.Decode(text)
	want.NoError(t, err)
	want.Equal(t, key, ascending)
	for _, bad := range []string{"", "aaaqeaye", "AAAQEAY=", "A", "AAAQ EAYE", "AAAQ0189"} {
		_, err := totp.Decode(bad)
		want.True(t, err != nil, "%q is no secret", bad)
		want.True(t, bad == "" || !strings.Contains(err.Error(), bad), "the error does not repeat %q", bad)
	}
}

func TestStepAt(t *testing.T) {
	t.Parallel()
	for seconds, step := range map[int64]totp.Step{0: 0, 29: 0, 30: 1, 59: 1, 60: 2, -1: -1, -30: -1, -31: -2} {
		want.Equal(t, totp.StepAt(at(seconds)), step)
	}
	want.Equal(t, totp.Step(1).Ends(), time.Unix(60, 0).UTC())
}

// TestMatch has the edges of the window: the codes of the step before, of this one and of the next are good.
func TestMatch(t *testing.T) {
	t.Parallel()
	now := at(1746515289) // the first second but 9 of a step
	current := totp.StepAt(now)
	for off := totp.Step(-3); off <= 3; off++ {
		step, ok := totp.Match(ascending, totp.Code(ascending, current+off), now)
		want.Equal(t, ok, off >= -1 && off <= 1)
		if ok {
			want.Equal(t, step, current+off)
		}
	}
	for _, edge := range []struct {
		at int64
		ok bool
	}{{1746515280 - 31, false}, {1746515280 - 30, true}, {1746515280 + 59, true}, {1746515280 + 60, false}} {
		_, ok := totp.Match(ascending, totp.Code(ascending, totp.StepAt(at(1746515280))), at(edge.at))
		want.Equal(t, ok, edge.ok)
	}
	for _, bad := range []string{"", "47846", "4784660", " 478466", "478466 ", "000000"} {
		_, ok := totp.Match(ascending, bad, now)
		want.True(t, !ok, "%q is no code", bad)
	}
}

// FuzzDecode: whatever is decoded is a key that is encoded to the same text.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQTCQKRMFYYDENBWHA5DYPQ", "AAAQ=", "a", "MZXW6", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := totp.Decode(text)
		if err != nil {
			return
		}
		again, err := totp.Decode(totp.Encode(key))
		want.NoError(t, err)
		want.Equal(t, again, key)
		code := totp.Code(key, 1)
		want.Equal(t, len(code), totp.Digits)
		_, ok := totp.Match(key, code, at(59))
		want.True(t, ok, "the code matches")
	})
}

func TestNext(t *testing.T) {
	t.Parallel()
	now := time.Unix(3000, 0)
	for _, c := range []struct {
		last, want totp.Step
		ok         bool
	}{{0, 100, true}, {99, 100, true}, {100, 101, true}, {101, 102, false}, {500, 501, false}} {
		step, ok := totp.Next(c.last, now)
		if step != c.want || ok != c.ok {
			t.Errorf("after %d: %d %t, want %d %t", c.last, step, ok, c.want, c.ok)
		}
		if _, good := totp.Match(ascending, totp.Code(ascending, step), now); good != ok {
			t.Errorf("after %d: the code of step %d is good: %t", c.last, step, good)
		}
	}
}
