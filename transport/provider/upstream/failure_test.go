package upstream

import (
	"testing"
	"time"
)

// A pause doubles up to the longest, and up to half of it is left out at
// random; what the provider asked for is added whole.
func TestPause(t *testing.T) {
	f := &Failure{RetryAfter: time.Minute}
	for retries, longest := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 3: 8 * time.Second, 4: 10 * time.Second, 100: 10 * time.Second} {
		seen := make(map[time.Duration]bool)
		for range 100 {
			got := f.Pause(retries, time.Second, 10*time.Second)
			seen[got] = true
			if got < time.Minute+longest/2 || got > time.Minute+longest {
				t.Errorf("after %d retries: %v, want a minute and %v to %v", retries, got, longest/2, longest)
			}
		}
		if len(seen) < 50 {
			t.Errorf("after %d retries: %d different pauses of 100", retries, len(seen))
		}
	}
}
