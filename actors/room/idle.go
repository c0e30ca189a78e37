package room

// idleTick comes when a room has had nothing to do for Options.IdleTimeout.
type idleTick struct{}

func (*idleTick) roomMessage() {}

// busy reports whether somebody or something needs this room in memory.
func (r *Room) busy() bool {
	return r.quarantined || len(r.members) > 0 || len(r.records.head.Turns) > 0 || r.attempt != nil ||
		r.title != nil || r.inFlight > 0 || len(r.voice.Unheard()) > 0
}

// rest starts or stops the timer to passivation as there is nothing or
// something to do. A room that does not exist need not wait: garbage ids from
// clients leave nothing in memory.
func (r *Room) rest() {
	switch {
	case r.busy():
		if r.idle != nil {
			r.idle.Stop()
			r.idle = nil
		}
	case r.idle != nil || r.draining:
	case !r.records.shown.Exists():
		r.passivate()
	default:
		r.idle = r.self.After(r.IdleTimeout, &idleTick{})
	}
}

// passivate asks the supervisor to hold back commands. Between the asking and
// its consent anything may happen, so the consent is looked at again in drain.
func (r *Room) passivate() {
	r.idle = nil
	if r.busy() || r.draining {
		return
	}
	r.draining = true
	r.Idle(r.id)
}

// drain comes behind every command that the supervisor forwarded before it.
func (r *Room) drain() {
	r.draining = !r.busy()
	if r.draining {
		r.self.Ref().Stop()
		return
	}
	r.Awake(r.id)
}
