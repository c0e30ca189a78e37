package room

import (
	"slices"
	"time"

	"parlor/protocol/chat"
)

// restartWindow is the time within which MaxRestarts restarts are too many.
const restartWindow = time.Minute

var errQuarantined = chat.Refuse(chat.CodeQuarantined, "this room has failed too often; its history can still be read")

// restarted counts a restart, and quarantines a room that had too many.
func (l *lasting) restarted(limit int) {
	l.forgetListeners()
	if l.killed {
		l.killed = false
		return
	}
	now := time.Now()
	l.restarts = slices.DeleteFunc(l.restarts, func(t time.Time) bool { return now.Sub(t) > restartWindow })
	l.restarts = append(l.restarts, now)
	l.quarantined = l.quarantined || len(l.restarts) > limit
}

// isolate puts a room that has failed too often out of service, until an operator
// releases it or the server restarts. The room stays in memory and reads nothing. It
// refuses commands, and tells its listeners, so that nobody waits for an answer.
// Queries do not need it: they read the log themselves.
func (r *Room) isolate() {
	r.log().Error("room is quarantined", "restarts", len(r.restarts), "within", restartWindow)
	r.attendance.tell(chat.Failure{Error: errQuarantined, Turn: r.announcedTurn, At: now()})
	r.tellStandstill()
	r.pulse.quarantined.Store(true)
}

// Release ends the quarantine of the room. Only an operator sends it. The reply is a
// [Released].
type Release struct{ Caller }

// do lets the room try again, with its listeners.
func (c *Release) do(r *Room) {
	was := r.quarantined
	r.quarantined, r.restarts = false, nil
	r.reply(c.Caller, Released{was})
	if was && r.inFlight == 0 {
		r.log().Info("room is released")
		r.load()
	}
}

// follow remembers the answer whose beginning the listeners have been told of.
func (l *lasting) follow(e chat.Event) {
	switch e := e.(type) {
	case chat.TurnStarted:
		l.announcedTurn, l.announcedText = e, nil
	case chat.TurnEnded:
		if e.TurnID == l.announcedTurn.TurnID {
			l.announcedTurn, l.announcedText = chat.TurnStarted{}, nil
		}
	}
}
