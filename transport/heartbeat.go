package transport

import "time"

// A heartbeat knows when a client is to be pinged, and when it has been silent
// for too long (Engine.IO protocol 4, "Heartbeat"). It is guarded by the
// Conn's mutex and holds no timer: tick says when it wants to be called again.
// Nothing but tick, and the pong that a ping asked for, moves the timer, so a
// storm of packets costs nothing.
//
// Only time in which the server reads counts as the client's silence.
type heartbeat struct {
	interval, timeout time.Duration

	due       time.Time // of the next ping or, while awaiting, of the end
	awaiting  bool      // a ping has not been answered
	prolonged bool      // another packet has come since that ping

	receiving time.Time // since when reading has been held up, zero if it is not
	overdue   bool      // due passed while it was; whoever reads on sets the timer
}

// A beatAction is what is to be done on a tick.
type beatAction int

const (
	beatNothing beatAction = iota
	beatPing
	beatDead
)

func (h *heartbeat) start(now time.Time) { h.due = now.Add(h.interval) }

// tick says what is due now, and after what time to call it again; zero means
// that resume will say so.
func (h *heartbeat) tick(now time.Time) (action beatAction, wait time.Duration) {
	switch {
	case now.Before(h.due): // moved since the timer was set
		return beatNothing, h.due.Sub(now)
	case !h.awaiting:
		h.awaiting, h.prolonged = true, false
		h.due = h.due.Add(h.timeout)
		if !h.receiving.IsZero() {
			h.receiving = now // what was held up before the ping does not matter
		}
		return beatPing, max(h.due.Sub(now), 1)
	case !h.receiving.IsZero():
		h.overdue = true
		return beatNothing, 0
	}
	return beatDead, 0
}

// pong takes a pong. It reports after what time to call tick; zero means that
// the pong answers no ping and changes nothing.
func (h *heartbeat) pong(now time.Time) (wait time.Duration) {
	if !h.awaiting {
		return 0
	}
	h.awaiting = false
	h.due = now.Add(h.interval)
	return h.interval
}

// packet takes any other packet. The first one after a ping shows that the
// client lives, though its pong may be stuck behind what it sends.
func (h *heartbeat) packet(now time.Time) {
	if h.awaiting && !h.prolonged {
		h.prolonged = true
		h.due = now.Add(h.timeout)
	}
}

// suspend notes that nothing is read from now on.
func (h *heartbeat) suspend(now time.Time) { h.receiving = now }

// resume notes that reading goes on. It reports after what time to call tick;
// zero means that the timer is set.
func (h *heartbeat) resume(now time.Time) (wait time.Duration) {
	if h.awaiting {
		h.due = h.due.Add(now.Sub(h.receiving))
	}
	h.receiving = time.Time{}
	if !h.overdue {
		return 0
	}
	h.overdue = false
	return max(h.due.Sub(now), 1)
}
