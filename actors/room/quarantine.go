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
	l.forgetMembers()
	now := time.Now()
	l.restarts = slices.DeleteFunc(l.restarts, func(t time.Time) bool { return now.Sub(t) > restartWindow })
	l.restarts = append(l.restarts, now)
	l.quarantined = l.quarantined || len(l.restarts) > limit
}

// isolate keeps a room that fails again and again from doing so. It stays in
// memory and reads nothing: its listeners are told, so that nobody waits for an
// answer, commands are refused, and history is read past it, until an operator
// releases it or the server starts anew.
func (r *Room) isolate() {
	r.log.Error("room is quarantined", "restarts", len(r.restarts), "within", restartWindow)
	r.tell(chat.Failure{Error: errQuarantined, Turn: r.answering, At: now()})
}

// Release ends the quarantine of the room. It is an operator's, and answered
// with a [Released].
type Release struct{ Caller }

// do lets the room try again, with its listeners.
func (c *Release) do(r *Room) {
	was := r.quarantined
	r.quarantined, r.restarts = false, nil
	r.reply(c.Caller, Released{was})
	if was && r.inFlight == 0 {
		r.log.Info("room is released")
		r.load()
	}
}

// follow remembers which answer listeners are told of.
func (l *lasting) follow(e chat.Event) {
	switch e := e.(type) {
	case chat.TurnStarted:
		l.answering, l.streamed = e, nil
	case chat.TurnEnded:
		if e.TurnID == l.answering.TurnID {
			l.answering, l.streamed = chat.TurnStarted{}, nil
		}
	}
}
