package room

import "time"

// idleTick comes when a room has had nothing to do for Options.IdleTimeout.
type idleTick struct{}

func (*idleTick) roomMessage() {}

// busy reports whether somebody or something needs this room in memory.
func (r *Room) busy() bool {
	return r.quarantined || len(r.audience) > 0 || len(r.records.head.Turns) > 0 || r.stage.attempt != nil ||
		r.pages.stands() || r.title.making() || r.inFlight > 0 || len(r.stage.voice.Unheard()) > 0
}

// passivation is how a room leaves memory when nobody needs it there.
type passivation struct {
	r              *Room
	timer          *time.Timer // runs while there is nothing to do
	used           bool        // this instance has done more than to create the chat
	drainRequested bool        // the supervisor was asked for a Drain
}

// look starts the timer when the room has nothing to do, and stops it when it has. A
// room without a chat does not wait for the timer, so that made-up ids from clients
// leave nothing in memory; nor does one whose chat nobody has used, since a client can
// create chats faster than anybody uses them.
func (p *passivation) look() {
	busy := p.r.busy()
	p.r.pulse.idle.Store(!busy)
	switch {
	case busy:
		p.stop()
	case p.timer != nil || p.drainRequested:
	case !p.r.records.shown.Exists(), !p.used:
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

// ask asks the supervisor to hold back commands. Until its Drain comes the room may
// get new work, so drain looks again.
func (p *passivation) ask() {
	p.timer = nil
	if p.r.busy() || p.drainRequested {
		return
	}
	p.drainRequested = true
	p.r.Idle(p.r.id)
}

// drain stops the room, unless it has work again. Every command that the supervisor
// has forwarded was handled before.
func (p *passivation) drain() {
	p.drainRequested = !p.r.busy()
	if p.drainRequested {
		p.r.self.Ref().Stop()
		return
	}
	p.r.Awake(p.r.id)
}
