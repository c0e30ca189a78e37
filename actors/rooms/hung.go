package rooms

import (
	"time"

	"parlor/actors/room"
)

// A room that does not return from a message cannot be stopped, since Go cannot
// stop a goroutine. But the supervisor notices it, and refuses commands in its
// place. hungAfter is longer than a restart of a room takes. A room that hangs is
// noticed up to watchEvery later.
const (
	hungAfter  = 30 * time.Second
	watchEvery = 10 * time.Second
)

// A watch measures the progress of a room.
type watch struct {
	pulse       *room.Pulse
	messages    uint64    // how many messages the room was sent
	beat        uint64    // how many of them it had handled at the last look
	silentSince time.Time // the first look at which it had handled no more; zero if it is not behind
	hung        bool
}

// look reports whether the room hangs now and did not before, or the reverse.
func (w *watch) look(now time.Time) (changed bool) {
	beat := w.pulse.Load()
	switch {
	case beat == w.messages:
		w.silentSince = time.Time{}
	case beat != w.beat || w.silentSince.IsZero():
		w.silentSince = now
	}
	w.beat = beat
	hung := !w.silentSince.IsZero() && now.Sub(w.silentSince) >= hungAfter
	changed, w.hung = hung != w.hung, hung
	return changed
}

func (s *supervisor) watchSoon() { s.timer = s.self.After(watchEvery, &watchTick{}) }

func (s *supervisor) lookForHung() {
	now := time.Now()
	for id, r := range s.rooms {
		switch {
		case !r.look(now):
		case r.hung:
			r.pulse.SetHung(true)
			s.options.Logger.Error("room hangs", "room", id, "waiting", r.messages-r.beat)
		default:
			r.pulse.SetHung(false)
			s.options.Logger.Warn("room hangs no more", "room", id)
		}
	}
}
