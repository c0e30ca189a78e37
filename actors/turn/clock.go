package turn

import "time"

// A clock ends an attempt even if the provider ignores its context.
type clock struct {
	expiry   *time.Timer
	deadline time.Time     // when it ends the attempt
	left     time.Duration // that the attempt has when the clock, which stands, goes on; 0 while it goes
}

// start starts the clock. When the time is over it calls late.
func (c *clock) start(d time.Duration, late func()) {
	c.deadline = time.Now().Add(d)
	c.expiry = time.AfterFunc(d, late)
}

// stand stops the clock while the attempt waits for members, or lets it go on.
func (c *clock) stand(waiting bool) {
	switch {
	case waiting && c.left == 0:
		c.left = max(time.Until(c.deadline), time.Nanosecond)
		c.expiry.Stop()
	case !waiting && c.left > 0:
		c.deadline = time.Now().Add(c.left)
		c.expiry.Reset(c.left)
		c.left = 0
	}
}
