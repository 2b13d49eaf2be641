package notice

import "time"

// RetryFor is how long the delivery of a message is tried, if its code lives that long.
const RetryFor = 24 * time.Hour

const (
	firstPause   = time.Second
	longestPause = 15 * time.Minute
)

// Pause is the time before the next try after a number of failed ones: a second, then twice as long each time, up to
// fifteen minutes. Jitter, an evenly drawn byte, takes up to half of it away, so that messages which failed together
// do not come back together.
func Pause(failed int, jitter byte) time.Duration {
	pause := longestPause
	if shift := max(failed-1, 0); shift < 10 {
		pause = min(firstPause<<shift, longestPause)
	}
	return pause - pause/2*time.Duration(jitter)/256
}

// Expired reports whether it is too late to deliver the message: its code is dead, or it was tried for long enough.
func (m *Message) Expired(now time.Time) bool {
	return !m.Expires.IsZero() && !now.Before(m.Expires) || now.Sub(m.Created) >= RetryFor
}
