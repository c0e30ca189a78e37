package rooms

import (
	"time"

	"parlor/actors/room"
)

// A room that does not return from what it was told cannot be ended: Go has no
// way to stop a goroutine. But it can be noticed, and who turns to it be
// answered. hungAfter is longer than a room that restarts may be silent; it is
// noticed up to watchEvery later.
const (
	hungAfter  = 30 * time.Second
	watchEvery = 10 * time.Second
)

// watch is what is known of a room's progress.
type watch struct {
	pulse  *room.Pulse
	told   uint64    // how much the room was told
	beat   uint64    // how much of it the room had handled when looked at last
	silent time.Time // when it was first seen to be at that beat with more to do; zero if it was not
	hung   bool
}

// look reports whether the room has begun or ceased to hang.
func (w *watch) look(now time.Time) (changed bool) {
	beat := w.pulse.Load()
	switch {
	case beat == w.told:
		w.silent = time.Time{}
	case beat != w.beat || w.silent.IsZero():
		w.silent = now
	}
	w.beat = beat
	hung := !w.silent.IsZero() && now.Sub(w.silent) >= hungAfter
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
			s.options.Logger.Error("room hangs", "room", id, "waiting", r.told-r.beat)
		default:
			s.options.Logger.Warn("room hangs no more", "room", id)
		}
	}
}
