package room

import "time"

// idleTick comes when a room has had nothing to do for Options.IdleTimeout.
type idleTick struct{}

func (*idleTick) roomMessage() {}

// busy reports whether somebody or something needs this room in memory.
func (r *Room) busy() bool {
	return r.quarantined || len(r.audience) > 0 || len(r.records.head.Turns) > 0 || r.stage.attempt != nil ||
		r.title.making() || r.inFlight > 0 || len(r.stage.voice.Unheard()) > 0
}

// passivation is how a room leaves memory when nobody needs it there.
type passivation struct {
	r     *Room
	timer *time.Timer // runs while there is nothing to do
	asked bool        // the supervisor was asked for a Drain
}

// look starts or stops the timer as there is nothing or something to do. A room
// that does not exist need not wait: garbage ids from clients leave nothing in
// memory.
func (p *passivation) look() {
	switch {
	case p.r.busy():
		p.stop()
	case p.timer != nil || p.asked:
	case !p.r.records.shown.Exists():
		p.ask()
	default:
		p.timer = p.r.self.After(p.r.IdleTimeout, &idleTick{})
	}
}

func (p *passivation) stop() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}

// ask asks the supervisor to hold back commands. Between the asking and its
// consent anything may happen, so the consent is looked at again in drain.
func (p *passivation) ask() {
	p.timer = nil
	if p.r.busy() || p.asked {
		return
	}
	p.asked = true
	p.r.Idle(p.r.id)
}

// drain comes behind every command that the supervisor forwarded before it.
func (p *passivation) drain() {
	p.asked = !p.r.busy()
	if p.asked {
		p.r.self.Ref().Stop()
		return
	}
	p.r.Awake(p.r.id)
}
