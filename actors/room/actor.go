package room

import (
	"context"
	"math"

	"parlor/actors/conversation"
	"parlor/actors/system"
	"parlor/actors/turn"
	"parlor/actors/voice"
	"parlor/protocol/chat"
)

// What others tell the room through its mailbox: the attempt with this number,
// and its voice.
type (
	attemptEvent struct {
		number int
		turn.Event
	}
	voiceEvent struct{ voice.Event }
)

func (*attemptEvent) roomMessage() {}
func (*voiceEvent) roomMessage()   {}

// Started implements system.Actor. What an instance before this one has handed
// to the log is waited for: only then is it known what the log says.
func (r *Room) Started(self *system.Self[Message]) {
	r.self = self
	r.records = newRecorder(r)
	r.title.r, r.passivation.r = r, r
	r.stage = newStage(r)
	switch {
	case r.quarantined:
		r.records.answerUpTo(math.MaxUint64)
		r.isolate()
	case r.inFlight == 0:
		r.load()
	}
}

// load reads the room from the log, tells the listeners what they missed while
// no instance was there to tell them, and turns to what has waited.
func (r *Room) load() {
	if r.quarantined {
		r.records.answerUpTo(math.MaxUint64)
		return
	}
	r.loaded, r.broken = true, nil
	if err := r.records.replay(context.Background()); err != nil {
		r.log.Error("room cannot be read", "err", err)
		r.records.retryLater()
		r.broken = errUnreadable
	}
	r.records.answerUpTo(math.MaxUint64)
	if r.published == unknown {
		r.published = r.records.shown.Seq
	}
	r.stage.restore()
	r.advance()
	r.title.look()
	for len(r.waiting) > 0 {
		r.receive(r.waiting[0]) // if it panics, Stopping finds it among the others
		r.waiting = r.waiting[1:]
	}
	r.passivation.look()
}

// Receive implements system.Actor.
func (r *Room) Receive(m Message) {
	defer r.count(m)
	r.receive(m)
	r.passivation.look()
}

// count counts what came from the supervisor, also if it made the room panic.
func (r *Room) count(m Message) {
	switch m.(type) {
	case Command, *Wake, *Drain:
		r.pulse.Add(1)
	}
}

func (r *Room) receive(m Message) {
	switch m := m.(type) {
	case *Wake:
	case *committed:
		r.committed(m)
	case *deleted:
		r.deleted(m)
	case *Drain:
		r.passivation.drain()
	case *idleTick:
		r.passivation.ask()
	case *retryTick:
		r.tryAgain()
	case *attemptEvent:
		if a := r.stage.attempt; a != nil && a.Number() == m.number {
			a.Handle(m.Event)
		}
	case *voiceEvent:
		r.stage.voice.Handle(m.Event)
	case *titleMade:
		r.title.take(m)
	case Command:
		r.command(m)
	default:
		panic("room: unknown message")
	}
}

func (r *Room) command(c Command) {
	_, releases := c.(*Release)
	_, leaves := c.(*Leave)
	switch {
	case releases, leaves && (r.loaded || r.quarantined):
		c.do(r)
	case r.quarantined:
		r.refuse(c.caller(), errQuarantined)
	case !r.loaded:
		r.waiting = append(r.waiting, c)
	case r.broken != nil:
		r.refuse(c.caller(), r.broken)
	default:
		c.do(r)
	}
}

func (r *Room) reply(c Caller, body any)       { r.Directory.reply(c, body) }
func (r *Room) refuse(c Caller, e *chat.Error) { r.Directory.refuse(c, e) }

// tryAgain turns to the disk once more, which has refused something.
func (r *Room) tryAgain() {
	r.records.retry = nil
	if r.broken != nil {
		r.load()
		return
	}
	r.advance()
	r.title.look()
}

// committed takes the log's answer to a proposal: the senders are answered, and
// then the listeners told, in the order of the log.
func (r *Room) committed(m *committed) {
	r.inFlight--
	if m.err != nil {
		r.records.failed(m, r.loaded)
		r.forgetAuthors(m.records)
	} else {
		r.book(m.proposal)
		r.answerable = append(r.answerable, m.proposal)
	}
	switch {
	case !r.loaded:
		if r.inFlight == 0 {
			r.load()
		}
	case m.err == nil:
		for _, record := range m.records {
			if err := r.records.confirm(record); err != nil {
				panic("room: the log confirmed what cannot follow: " + err.Error())
			}
			r.happened(record.Event)
		}
		r.advance()
		r.title.look()
	}
}

// forgetAuthors forgets who said what was not recorded, and will not be.
func (r *Room) forgetAuthors(records []chat.Record) {
	for _, record := range records {
		if m, ok := record.Event.(chat.MessageAdded); ok && r.stage.voice.Find(m.MessageID) == nil {
			delete(r.authors, m.MessageID)
		}
	}
}

// book replaces the estimates of the turns that have ended by what was
// recorded of them.
func (r *Room) book(p *proposal) {
	for _, record := range p.records {
		if e, ok := record.Event.(chat.TurnEnded); ok && r.stage.runs(e.TurnID) {
			r.stage.attempt.Release()
		}
	}
	r.Ledger.Record(p.charges)
}

// happened does what follows from a record besides the state.
func (r *Room) happened(e chat.Event) {
	switch e := e.(type) {
	case chat.MessageAdded:
		r.stage.voice.Recorded(e.MessageID)
	case chat.TurnStarted:
		r.stage.begin(e)
	case chat.TurnEnded:
		r.stage.finish(e)
	case chat.Configured:
		if e.By == "" {
			r.title.stop()
		}
	}
}

// publish tells the listeners a record, unless an instance before this one has.
func (r *Room) publish(record chat.Record) {
	p := Publication{Room: r.id, Seq: record.Seq, Notice: record}
	if m, ok := record.Event.(chat.MessageAdded); ok {
		p.Author = r.authors[m.MessageID]
		delete(r.authors, m.MessageID)
	}
	r.follow(record.Event)
	r.audience.publish(p)
	r.published = record.Seq
}

// Salvage implements system.Salvager: whoever sent the command that made the
// room panic is told so, unless the log has it: then the next instance answers.
func (r *Room) Salvage(m Message) {
	if c, ok := m.(Command); ok && c.caller() != r.records.latest {
		r.refuse(c.caller(), chat.Refuse(chat.CodeInternal, "the room failed on this command and was restarted"))
	}
}

// Stopping implements system.Actor. What has waited is refused, but for a Leave,
// which nobody repeats: the mailbox survives a restart, this instance does not.
func (r *Room) Stopping() {
	r.records.stop()
	r.passivation.stop()
	if r.stage != nil {
		r.stage.close()
	}
	r.title.stop()
	for _, m := range r.waiting {
		if l, leaves := m.(*Leave); leaves {
			l.do(r)
			continue
		}
		r.Salvage(m)
	}
}

// moment is the conversation as it is now.
func (r *Room) moment() conversation.Moment {
	return conversation.Moment{Rules: r.rules, State: &r.records.head, Answer: r.stage.answer}
}

// advance records what is to be recorded without anybody asking for it: what was
// spoken and is written down, and the next step of the first open turn. It
// decides from the state alone, so it may be called at any time.
func (r *Room) advance() {
	if r.records.retry != nil || r.deleting || r.broken != nil || !r.records.head.Exists() {
		return
	}
	r.writeDown()
	for {
		if t, _ := r.records.head.Turn(); r.abandons(t) {
			return
		}
		events := r.moment().Next(&r.records.shown, r.stage.running())
		if len(events) == 0 {
			return
		}
		r.records.record(events...)
	}
}

// carryOut records what is intended, unless that is on its way to the disk.
func (r *Room) carryOut(i *conversation.Intent) {
	if events := i.Propose(&r.records.head, r.records.generation); len(events) > 0 {
		r.records.record(events...)
	}
}

// writeDown hands to the log what was understood of speech.
func (r *Room) writeDown() {
	for _, s := range r.stage.voice.Unheard() {
		if !r.stage.starting(s.ID) {
			r.carryOut(&s.Record)
		}
	}
}
