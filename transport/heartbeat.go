package transport

import "time"

// A heartbeat knows when a client is to be pinged, and when it has been silent
// for too long (Engine.IO protocol 4, "Heartbeat"). It is guarded by the Conn's
// mutex. It holds no timer: tick returns when to call it again. Only tick and the
// pong that answers a ping change the timer, so that a flood of packets does not.
//
// Only time in which the server reads counts as the client's silence.
type heartbeat struct {
	interval, timeout time.Duration

	due       time.Time // time of the next ping or, while awaiting a pong, of the end
	awaiting  bool      // a ping has not been answered
	prolonged bool      // another packet has come since that ping

	blockedSince time.Time // when the Receiver got its message, zero if it has none
	overdue      bool      // due has passed meanwhile, and resume sets the timer
}

// A beatAction is the action that a tick asks for.
type beatAction int

const (
	beatNothing beatAction = iota
	beatPing
	beatDead
)

func (h *heartbeat) start(now time.Time) { h.due = now.Add(h.interval) }

// tick returns the action that is due now, and after what time to call it again.
// Zero means that resume will return that time.
func (h *heartbeat) tick(now time.Time) (action beatAction, wait time.Duration) {
	switch {
	case now.Before(h.due): // moved since the timer was set
		return beatNothing, h.due.Sub(now)
	case !h.awaiting:
		h.awaiting, h.prolonged = true, false
		h.due = h.due.Add(h.timeout)
		if !h.blockedSince.IsZero() {
			h.blockedSince = now // only the time since the ping prolongs its timeout
		}
		return beatPing, max(h.due.Sub(now), 1)
	case !h.blockedSince.IsZero():
		h.overdue = true
		return beatNothing, 0
	}
	return beatDead, 0
}

// pong notes a pong. It returns after what time to call tick. Zero means that the
// pong answers no ping and changes nothing.
func (h *heartbeat) pong(now time.Time) (wait time.Duration) {
	if !h.awaiting {
		return 0
	}
	h.awaiting = false
	h.due = now.Add(h.interval)
	return h.interval
}

// packet notes any other packet. The first one after a ping shows that the client
// is there, and prolongs the timeout once: its pong may be queued behind a large
// message.
func (h *heartbeat) packet(now time.Time) {
	if h.awaiting && !h.prolonged {
		h.prolonged = true
		h.due = now.Add(h.timeout)
	}
}

// suspend notes that a Receiver has a message, and nothing is read until it
// returns.
func (h *heartbeat) suspend(now time.Time) { h.blockedSince = now }

// resume notes that reading goes on. It returns after what time to call tick.
// Zero means that the timer is set already.
func (h *heartbeat) resume(now time.Time) (wait time.Duration) {
	if h.awaiting {
		h.due = h.due.Add(now.Sub(h.blockedSince))
	}
	h.blockedSince = time.Time{}
	if !h.overdue {
		return 0
	}
	h.overdue = false
	return max(h.due.Sub(now), 1)
}
