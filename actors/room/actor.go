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
	r.voice = voice.New(self, r.voices, stage{r}, func(e voice.Event) Message { return &voiceEvent{e} })
	switch {
	case r.quarantined:
		r.records.answerUpTo(math.MaxUint64)
		r.isolate()
	case r.inFlight == 0:
		r.load()
	}
}

// load reads the room from the log, tells the members what they missed while
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
	r.cutText = r.savedText()
	r.advance()
	r.entitle()
	for len(r.waiting) > 0 {
		r.receive(r.waiting[0]) // if it panics, Stopping finds it among the others
		r.waiting = r.waiting[1:]
	}
	r.rest()
}

// savedText returns what is left of an answer that was cut: what the members
// were told, unless the server itself was cut and only what was saved is.
func (r *Room) savedText() []byte {
	turn, ok := r.records.shown.Turn()
	switch {
	case !ok || turn.Attempt == 0:
		return nil
	case r.answering.TurnID == turn.ID && r.answering.Attempt == turn.Attempt && len(r.streamed) > 0:
		return r.streamed
	}
	text, err := r.Log.Text(string(r.id))
	if err != nil {
		r.log.Error("the text of a turn cannot be read", "err", err)
	}
	return text
}

// Receive implements system.Actor.
func (r *Room) Receive(m Message) {
	defer r.count(m)
	r.receive(m)
	r.rest()
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
		r.drain()
	case *idleTick:
		r.passivate()
	case *retryTick:
		r.tryAgain()
	case *attemptEvent:
		if r.attempt != nil && r.attempt.Number() == m.number {
			r.attempt.Handle(m.Event)
		}
	case *voiceEvent:
		r.voice.Handle(m.Event)
	case *titleMade:
		r.titleMade(m)
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
	r.entitle()
}

// committed takes the log's answer to a proposal: the senders are answered, and
// then the members told, in the order of the log.
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
		r.entitle()
	}
}

// forgetAuthors forgets who said what was not recorded, and will not be.
func (r *Room) forgetAuthors(records []chat.Record) {
	for _, record := range records {
		if m, ok := record.Event.(chat.MessageAdded); ok && r.voice.Find(m.MessageID) == nil {
			delete(r.authors, m.MessageID)
		}
	}
}

// book replaces the estimates of the turns that have ended by what was
// recorded of them.
func (r *Room) book(p *proposal) {
	for _, record := range p.records {
		if e, ok := record.Event.(chat.TurnEnded); ok && r.runs(e.TurnID) {
			r.attempt.Release()
		}
	}
	r.Ledger.Record(p.charges)
}

// happened does what follows from a record besides the state.
func (r *Room) happened(e chat.Event) {
	switch e := e.(type) {
	case chat.MessageAdded:
		r.voice.Recorded(e.MessageID)
	case chat.TurnStarted:
		r.begin(e)
	case chat.TurnEnded:
		r.finish(e)
	case chat.Configured:
		if e.By == "" {
			r.stopTitling()
		}
	}
}

// publish tells the members a record, unless an instance before this one has.
func (r *Room) publish(record chat.Record) {
	p := Publication{Room: r.id, Seq: record.Seq, Notice: record}
	if m, ok := record.Event.(chat.MessageAdded); ok {
		p.Author = r.authors[m.MessageID]
		delete(r.authors, m.MessageID)
	}
	r.follow(record.Event)
	r.members.publish(p)
	r.published = record.Seq
}

// Salvage implements system.Salvager: whoever sent the command that made the
// room panic is told so, unless the log has it: then the next instance answers.
func (r *Room) Salvage(m Message) {
	if c, ok := m.(Command); ok && c.caller() != r.records.latest {
		r.refuse(c.caller(), chat.Refuse(chat.CodeInternal, "the room failed on this command and was restarted"))
	}
}

// Stopping implements system.Actor. What has waited is refused: the mailbox
// survives a restart, this instance does not.
func (r *Room) Stopping() {
	r.records.stop()
	if r.idle != nil {
		r.idle.Stop()
	}
	if r.attempt != nil {
		r.streamed = r.attempt.Text() // the next instance has to know what members saw
	}
	r.letGo()
	if r.voice != nil {
		r.voice.Silence()
	}
	r.stopTitling()
	for _, m := range r.waiting {
		r.Salvage(m)
	}
}

// moment is the conversation as it is now.
func (r *Room) moment() conversation.Moment {
	return conversation.Moment{Rules: r.rules, State: &r.records.head, Answer: r.answer}
}

// answer returns what an open turn has answered so far.
func (r *Room) answer(t chat.Turn) conversation.Answer {
	cut, _ := r.records.shown.Turn()
	switch {
	case r.runs(t.ID):
		return r.attempt.Answer()
	case t.ID == cut.ID && t.Attempt == cut.Attempt: // else the next attempt, without text, is on its way
		return conversation.Answer{Content: string(r.cutText)}
	}
	return conversation.Answer{}
}
