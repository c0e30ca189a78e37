package room

import (
	"context"
	"math"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/system"
	"parlor/actors/turn"
	"parlor/actors/voice"
	"parlor/protocol/chat"
)

// The events of the attempt with this number, and of the voice. They come through
// the room's mailbox.
type (
	attemptEvent struct {
		number int
		turn.Event
	}
	voiceEvent struct{ voice.Event }
)

func (*attemptEvent) roomMessage() {}
func (*voiceEvent) roomMessage()   {}

// Started implements system.Actor. The first instance loads when a command needs it to.
// If the log has not answered all commits of the instance before, load waits until it
// has: only then the log can be read.
func (r *Room) Started(self *system.Self[Message]) {
	r.self = self
	r.records = newRecorder(r)
	r.title.r, r.passivation.r, r.vigil.room = r, r, r
	r.attendance = attendance{r.Options, r.lasting, r}
	r.budget = budget{r.Options, r.lasting, &r.records}
	r.stage = newStage(r)
	r.attendance.tellPresence(PresenceEvery)
	switch {
	case r.quarantined:
		r.records.replyUpTo(math.MaxUint64)
		r.isolate()
	case !r.asleep && r.inFlight == 0:
		r.load()
		r.passivation.look()
	}
	r.pulse.show(r)
}

// load reads the room from the log, and tells the listeners of the records that no
// instance has told them of. Then it handles the commands that have waited.
func (r *Room) load() {
	r.asleep = false
	if r.quarantined {
		r.records.replyUpTo(math.MaxUint64)
		return
	}
	r.loaded, r.broken = true, nil
	if err := r.records.replay(context.Background()); err != nil {
		r.log().Error("room cannot be read", "err", err)
		r.records.retryLater()
		r.broken = errUnreadable
	}
	if r.broken == nil {
		r.pulse.know(r.records.shown)
	}
	r.records.replyUpTo(math.MaxUint64)
	if r.lastPublished == unknown {
		r.lastPublished = r.records.shown.Seq
	}
	r.stage.restore()
	r.advance()
	r.title.look()
	for len(r.waiting) > 0 {
		r.receive(r.waiting[0]) // if it panics, Stopping finds it among the others
		r.waiting = r.waiting[1:]
	}
}

// Receive implements system.Actor.
func (r *Room) Receive(m Message) {
	defer r.count(m)
	r.receive(m)
	r.passivation.look()
	r.pulse.show(r)
}

// count counts the messages that came from the supervisor. It is deferred, so that a
// message which makes the room panic counts too.
func (r *Room) count(m Message) {
	switch m.(type) {
	case Command, *Wake, *Drain:
		r.pulse.Add(1)
	}
}

func (r *Room) receive(m Message) {
	switch m := m.(type) {
	case *Wake:
		r.awake()
	case *committed:
		r.committed(m)
	case *deleted:
		r.deleted(m)
	case *Drain:
		r.passivation.drain()
	case *idleTick:
		r.passivation.ask()
	case *presenceTick:
		r.attendance.publishPresence()
	case *pageTick:
		r.stage.expire(m)
	case *approvalTick:
		r.stage.deadline = nil
		if r.loaded {
			r.advance()
		}
	case *tailTick:
		r.records.forgetTail()
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

// awake loads a room of which nobody has needed the state yet.
func (r *Room) awake() {
	if r.asleep {
		r.load()
	}
}

func (r *Room) command(c Command) {
	_, leaves := c.(*Leave)
	switch {
	case atOnce(c), leaves && (r.asleep || r.loaded || r.quarantined):
		c.do(r)
		return
	case r.keptOut(c):
		r.refuse(c.caller(), r.noChat(c))
		return
	}
	r.awake()
	switch {
	case r.quarantined:
		r.refuse(c.caller(), errQuarantined)
	case !r.loaded:
		r.waiting = append(r.waiting, c)
	case r.broken != nil && r.keptOut(c): // an Accept, which was let in to be looked at
		r.refuse(c.caller(), r.noChat(c))
	case r.broken != nil:
		r.refuse(c.caller(), r.broken)
	default:
		c.do(r)
	}
}

// atOnce reports whether a command is carried out in whatever state the room is.
func atOnce(c Command) bool {
	switch c.(type) {
	case *Release, *Announce, *Kill:
		return true
	}
	return false
}

func (r *Room) reply(c Caller, body any)       { r.Directory.reply(c, body) }
func (r *Room) refuse(c Caller, e *chat.Error) { r.Directory.refuse(c, e) }

// tryAgain tries again to read or to write what the disk has refused.
func (r *Room) tryAgain() {
	r.records.retry = nil
	if r.broken != nil {
		r.load()
		return
	}
	r.advance()
	r.title.look()
}

// committed takes the log's answer to a proposal. It replies to the senders, and
// then tells the listeners, in the order of the log.
func (r *Room) committed(m *committed) {
	if r.records.unknown(m) {
		return
	}
	r.inFlight--
	if m.err != nil {
		r.records.failed(m, r.loaded)
		r.forgetAuthors(m.records)
		r.attendance.dismissStrangers() // somebody may have joined by a role that was not recorded
	} else {
		r.stage.book(m.proposal)
		r.unreplied = append(r.unreplied, m.proposal)
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
		r.records.settle()
		r.advance()
		r.title.look()
	case overQuota(m.err):
		r.advance()
		r.title.look()
	}
}

// noteAuthor remembers who says a message until it is published, if the caller can
// be told. Most rooms have nobody to remember most of the time.
func (l *lasting) noteAuthor(id chat.MessageID, c Caller) {
	if c.Address.IsZero() {
		return
	}
	l.pages.use(c.Address)
	if l.authors == nil {
		l.authors = make(map[chat.MessageID]Address)
	}
	l.authors[id] = c.Address
}

// forgetAuthors forgets the authors of messages whose commit has failed. A spoken
// message is proposed again, so its author stays.
func (r *Room) forgetAuthors(records []chat.Record) {
	for _, record := range records {
		if m, ok := record.Event.(chat.MessageAdded); ok && r.stage.voice.Find(m.MessageID) == nil {
			delete(r.authors, m.MessageID)
		}
	}
}

// happened does what a record leads to, besides the change of the state.
func (r *Room) happened(e chat.Event) {
	switch e := e.(type) {
	case chat.Created:
		r.pulse.know(r.records.shown)
	case chat.MemberChanged:
		r.pulse.know(r.records.shown)
		if e.Member.ID.IsGuest() && e.Member.Role == "" {
			r.Departed(e.Member.ID)
		}
	case chat.MessageAdded:
		r.stage.voice.Recorded(e.MessageID)
	case chat.TurnStarted:
		r.stage.begin(e)
		r.vigil.begin(e)
	case chat.TurnRun:
		r.stage.ran(e)
	case chat.ToolsCalled, chat.ToolDecided, chat.ToolEnded:
		r.Meter.Tools(e)
		if r.stage.attempt != nil {
			r.stage.attempt.Recorded(e)
		}
		if called, is := e.(chat.ToolsCalled); is {
			r.vigil.ask(called)
		}
	case chat.TurnEnded:
		r.Meter.TurnEnded(e)
		r.stage.finish(e)
		r.vigil.end(e)
	case chat.Configured:
		if e.By == "" {
			r.title.stop()
		}
	}
}

// publish tells the listeners of a record.
func (r *Room) publish(record chat.Record) {
	p := Publication{Room: r.id, Seq: record.Seq, Notice: record}
	if m, ok := record.Event.(chat.MessageAdded); ok {
		p.Author = r.authors[m.MessageID]
		delete(r.authors, m.MessageID)
	}
	r.attendance.observe(record)
	r.follow(record.Event)
	r.audience.publish(p)
	r.lastPublished = record.Seq
	r.tellActivity(record)
	if _, changed := record.Event.(chat.MemberChanged); changed {
		r.attendance.dismissStrangers()
	}
}

// Salvage implements system.Salvager. The sender of the command that made the room
// panic is told so. If the command was handed to the log before that, the next
// instance replies to it.
func (r *Room) Salvage(m Message) {
	if _, killed := m.(*Kill); killed {
		return
	}
	if c, ok := m.(Command); ok && c.caller().command() != r.records.latest {
		r.refuse(c.caller(), chat.Refuse(chat.CodeInternal, "the room failed on this command and was restarted"))
	}
}

// Stopping implements system.Actor. Commands that have waited are refused: the
// mailbox survives a restart, but what an instance has taken out of it does not. Only
// a Leave is carried out, since nobody repeats it.
func (r *Room) Stopping() {
	r.records.stop()
	r.passivation.stop()
	r.presence.stop()
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
	return conversation.Moment{Rules: r.rules, State: r.records.head, Answer: r.stage.answer}
}

// advance records what nobody has to ask for: speech that was understood, and the
// next step of the first open turn. It decides from the state alone, so it may be
// called at any time.
func (r *Room) advance() {
	if r.records.retry != nil || r.deleting || r.broken != nil || !r.records.head.Exists() {
		return
	}
	r.writeDown()
	for {
		if t, _ := r.records.head.Turn(); r.abandons(t) {
			return
		}
		events := r.moment().Next(r.records.shown, r.stage.running())
		if len(events) == 0 {
			events = conversation.Calls{State: r.records.head}.Expire(time.Now(), r.ApprovalExpiry)
		}
		if len(events) == 0 {
			r.stage.watchApprovals()
			return
		}
		r.records.record(events...)
	}
}

// carryOut records the events of an intent, unless they are on their way to the disk.
func (r *Room) carryOut(i *conversation.Intent) {
	if events := i.Propose(r.records.head, r.records.generation); len(events) > 0 {
		r.records.record(events...)
	}
}

// writeDown records speech that was understood.
func (r *Room) writeDown() {
	for _, s := range r.stage.voice.Unheard() {
		if !r.stage.starting(s.ID) {
			r.carryOut(&s.Intent)
		}
	}
}
