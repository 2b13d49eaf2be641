package credential_test

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/poolhouse/poolhouse/internal/domain/credential"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/kit/totp"
	"github.com/poolhouse/poolhouse/internal/testing/want"
)

var (
	noon   = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	first  = bytes.Repeat([]byte{1}, totp.KeySize)
	second = bytes.Repeat([]byte{2}, totp.KeySize)
	now    = totp.StepAt(noon)
)

func code(key []byte, step totp.Step) secret.Text { return secret.New(totp.Code(key, step)) }

func TestSoftwareToken(t *testing.T) {
	t.Parallel()
	var none *credential.SoftwareToken
	want.True(t, !none.Verified() && !(&credential.SoftwareToken{Pending: first}).Verified(), "what waits is no factor")
	_, verdict := credential.SoftwareToken{}.Use(code(nil, now), noon)
	want.Equal(t, verdict, credential.Wrong)
	_, verdict = credential.SoftwareToken{Key: first}.Confirm(code(first, now), "", noon)
	want.Equal(t, verdict, credential.Wrong)

	app := credential.SoftwareToken{Sub: "s", Pending: first}
	same, verdict := app.Confirm(secret.New("000000"), "phone", noon)
	want.Equal(t, verdict, credential.Wrong)
	want.Equal(t, same, app)
	app, verdict = app.Confirm(code(first, now), "phone", noon)
	want.Equal(t, verdict, credential.Accepted)
	want.Equal(t, app, credential.SoftwareToken{Sub: "s", Key: first, Name: "phone", Last: now})

	// The code that set it up does not sign in, nor does an earlier one; the next one does, before its time.
	for _, step := range []totp.Step{now, now - 1} {
		same, verdict = app.Use(code(first, step), noon)
		want.Equal(t, verdict, credential.Replayed)
		want.Equal(t, same, app)
	}
	app, verdict = app.Use(code(first, now+1), noon)
	want.Equal(t, verdict, credential.Accepted)
	want.Equal(t, app.Last, now+1)
	_, verdict = app.Use(code(first, now+1), noon.Add(30*time.Second))
	want.Equal(t, verdict, credential.Replayed)
	// A clock that is put back makes nothing good again.
	_, verdict = app.Use(code(first, totp.StepAt(noon.Add(-time.Hour))), noon.Add(-time.Hour))
	want.Equal(t, verdict, credential.Replayed)

	// Another app takes its place; the old one works until then, and steps stay used.
	app.Pending = second
	app, verdict = app.Use(code(first, now+2), noon.Add(30*time.Second))
	want.Equal(t, verdict, credential.Accepted)
	_, verdict = app.Confirm(code(second, now+2), "", noon.Add(30*time.Second))
	want.Equal(t, verdict, credential.Replayed)
	app, verdict = app.Confirm(code(second, now+3), "", noon.Add(time.Minute))
	want.Equal(t, verdict, credential.Accepted)
	want.Equal(t, app, credential.SoftwareToken{Sub: "s", Key: second, Last: now + 3})
	_, verdict = app.Use(code(first, now+4), noon.Add(2*time.Minute))
	want.Equal(t, verdict, credential.Wrong)
}

// TestNoCodeTwice walks at random: whatever the clock does, no step is accepted twice and none before an accepted one.
func TestNoCodeTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		app := credential.SoftwareToken{Key: first}
		highest := totp.Step(0)
		for range rapid.IntRange(1, 30).Draw(t, "codes") {
			at := noon.Add(time.Duration(rapid.IntRange(-300, 300).Draw(t, "seconds")) * time.Second)
			step := totp.StepAt(at) + totp.Step(rapid.IntRange(-2, 2).Draw(t, "off"))
			next, verdict := app.Use(code(first, step), at)
			off := step - totp.StepAt(at)
			switch {
			case off < -1 || off > 1:
				if verdict == credential.Accepted && next.Last == step {
					t.Fatalf("a code of step %+d was accepted", off)
				}
			case step <= highest:
				if verdict != credential.Replayed {
					t.Fatalf("step %d after %d: %v", step, highest, verdict)
				}
			default:
				if verdict != credential.Accepted {
					t.Fatalf("step %d after %d: %v", step, highest, verdict)
				}
			}
			if next.Last < highest {
				t.Fatalf("the last step fell back")
			}
			app, highest = next, next.Last
		}
	})
}
