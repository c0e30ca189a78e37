package room

import (
	"slices"

	"parlor/actors/conversation"
	"parlor/actors/turn"
	"parlor/actors/voice"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A stage holds the attempt at the running turn, and the voice. Both reach the room
// through it: it implements turn.Room and voice.Room.
type stage struct {
	r       *Room
	attempt *turn.Attempt // at the running turn, or nil
	voice   *voice.Voice
	cutText []byte // of the answer that ended with an earlier instance of the room
	saved   int    // bytes of that are on disk

	pageCalls map[string]*pageCall // by the id of the call
	deadline  *deadline            // of calls that wait for a member; nil: none does
}

func newStage(r *Room) *stage {
	s := &stage{r: r}
	s.voice = voice.New(r.self, r.voices, s, func(e voice.Event) Message { return &voiceEvent{e} })
	return s
}

// Tell implements turn.Room.
func (s *stage) Tell(n chat.Notice) { s.r.attendance.tell(n) }

// Advance implements turn.Room and voice.Room.
func (s *stage) Advance() { s.r.advance() }

// End implements turn.Room.
func (s *stage) End(t chat.Turn) chat.TurnEnded { return s.r.moment().End(t) }

// Attempt implements voice.Room.
func (s *stage) Attempt() *turn.Attempt { return s.attempt }

// Number implements voice.Room. No two children of the room have the same number.
func (s *stage) Number() int {
	s.r.children++
	return s.r.children
}

// Save implements turn.Room.
func (s *stage) Save(text []byte, behind int, done func(error) turn.Event) {
	ref, number := s.r.self.Ref(), s.attempt.Number()
	head := s.r.records.head
	c := persistence.Commit{Room: string(s.r.id), Flow: string(head.Chat.Owner), After: head.Seq, Text: text, TextAt: behind}
	s.r.Log.Append(c, persistence.Settled(func(err error) { ref.Tell(&attemptEvent{number, done(err)}) }))
}

// TakeIn implements turn.Room. It records that the turn takes in the messages that
// were said to it, and gives them to the attempt once the record is on disk.
func (s *stage) TakeIn(answer chan<- []conversation.Steering) {
	said := s.r.records.head.Untaken()
	if s.r.deleting || len(said) == 0 {
		answer <- nil
		return
	}
	s.r.records.record(conversation.TakeIn(s.attempt.Turn().ID, said)).done = func(refusal *chat.Error) {
		if refusal != nil {
			said = nil // the next TakeIn gets them
		}
		answer <- said
	}
}

// Approved implements turn.Room.
func (s *stage) Approved(tool string) bool { return slices.Contains(s.r.records.head.Approved, tool) }

// Waiting implements turn.Room.
func (s *stage) Waiting(call string) bool {
	return slices.ContainsFunc(s.r.records.shown.Calls, func(c conversation.Call) bool { return c.ID == call && c.Waits })
}

// Remember implements turn.Room.
func (s *stage) Remember(p conversation.Composed) { s.r.records.remember(p) }

// runs reports whether there is an attempt at the turn.
func (s *stage) runs(id chat.TurnID) bool { return s.attempt != nil && s.attempt.Turn().ID == id }

// begin starts the attempt at a turn whose start is on disk, unless the turn was
// stopped meanwhile.
func (s *stage) begin(e chat.TurnStarted) {
	s.cutText = nil
	t, _ := s.r.records.head.Turn()
	if t.ID == e.TurnID && t.Attempt == e.Attempt {
		s.start(turn.Request{Turn: t})
	}
}

// ran does what follows from the record of a run.
func (s *stage) ran(e chat.TurnRun) {
	t, _ := s.r.records.head.Turn()
	switch {
	case e.State == chat.RunGone && s.runs(e.TurnID):
		s.letGo()
	case e.State == chat.RunBegun && s.runs(e.TurnID):
		s.attempt.Recorded(e)
	case e.State == chat.RunResumed && t.ID == e.TurnID && t.Run == e.Run:
		s.start(turn.Request{Turn: t, Text: s.cutText, Saved: s.saved})
		s.cutText = nil
	}
}

// start starts an attempt at a turn.
func (s *stage) start(q turn.Request) {
	if s.r.deleting {
		return
	}
	records, number, pages := &s.r.records, s.Number(), &s.r.pages
	q.Room, q.Chat, q.Number, q.Tail = s.r.id, records.shown.Chat, number, records.kept()
	q.Path = records.shown.PathOf(q.Turn)
	q.Instructions, q.ToolsOff = records.shown.Chat.SystemPrompt, records.shown.Chat.ToolsOff
	q.Page = func() []chat.Tool { return pages.of(q.Turn.By) }
	s.attempt = turn.New(s.r.self, s.r.turns, s, q, func(e turn.Event) Message { return &attemptEvent{number, e} })
	s.r.Running.Add(1)
	s.attempt.Start(s.lineTo(q.Turn.ModelID))
}

// lineTo returns a line to the model, or nil if the model is not asked on one.
func (s *stage) lineTo(m chat.ModelID) turn.Line {
	if line := s.voice.LineTo(m); line != nil {
		return line
	}
	return nil // a nil *Line would be a turn.Line that is not nil
}

// Redial implements turn.Room.
func (s *stage) Redial() turn.Line { return s.lineTo(s.attempt.Turn().ModelID) }

// book tells the ledger what the turns that have ended did use, in place of what it
// has estimated of them.
func (s *stage) book(p *proposal) {
	for _, record := range p.records {
		if e, ok := record.Event.(chat.TurnEnded); ok && s.runs(e.TurnID) {
			s.attempt.Release()
		}
	}
	s.r.Ledger.Record(p.charges)
}

// finish ends the attempt at a turn whose end is on disk.
func (s *stage) finish(e chat.TurnEnded) {
	if e.MessageID != "" {
		s.cutText = nil
	}
	if s.runs(e.TurnID) {
		s.letGo()
	}
}

// letGo ends the attempt, if there is one. If its turn is still open, whoever goes
// on with that has to know what listeners were told.
func (s *stage) letGo() {
	if s.attempt != nil {
		if s.r.announcedTurn.TurnID == s.attempt.Turn().ID {
			s.r.announcedText = s.attempt.Text()
		}
		s.attempt.Cancel()
		s.attempt.Release()
		s.attempt = nil
		s.r.Running.Add(-1)
	}
}

// stop stops the attempt, if the end of its turn is among the events.
func (s *stage) stop(events []chat.Event) {
	for _, e := range events {
		if end, ok := e.(chat.TurnEnded); ok && s.runs(end.TurnID) {
			s.attempt.Stop(end)
		}
	}
}

// restore finds the text of an answer that ended with an earlier instance. That is
// the text that the listeners were told. If the server itself has crashed, nobody
// knows that, and it is the text that was saved.
func (s *stage) restore() {
	r, answering := s.r, s.r.announcedTurn
	t, ok := r.records.shown.Turn()
	s.cutText, s.saved = nil, 0
	if !ok || t.Attempt == 0 {
		return
	}
	text, err := r.Log.Text(string(r.id))
	if err != nil {
		r.log().Error("the text of a turn cannot be read", "err", err)
	}
	s.cutText, s.saved = text, len(text)
	if answering.TurnID == t.ID && answering.Attempt == t.Attempt && len(r.announcedText) > 0 {
		s.cutText = r.announcedText
	}
}

// close ends everything on the stage, and keeps for the next instance the text that
// the listeners were told.
func (s *stage) close() {
	s.letGo()
	s.voice.Silence()
	if s.deadline != nil {
		s.deadline.timer.Stop()
	}
}

// answer returns the answer of an open turn so far.
func (s *stage) answer(t chat.Turn) conversation.Answer {
	cut, _ := s.r.records.shown.Turn()
	switch {
	case s.runs(t.ID):
		return s.attempt.Answer()
	case t.ID == cut.ID && t.Attempt == cut.Attempt: // else the next attempt, without text, is on its way
		return conversation.Answer{Content: string(s.cutText)}
	}
	return conversation.Answer{}
}

// show returns the running turn as listeners see it.
func (s *stage) show(t chat.Turn) *Running {
	if s.runs(t.ID) {
		t.ModelID = s.attempt.Turn().ModelID
		return &Running{Turn: t, Content: string(s.attempt.Text()), Thought: string(s.attempt.Thought())}
	}
	return &Running{Turn: t, Content: string(s.cutText), Cut: t.Run.ID == ""}
}

// running returns what the state does not say of the first open turn.
func (s *stage) running() (now conversation.Running) {
	if s.attempt != nil {
		now = s.attempt.State()
	}
	t, _ := s.r.records.head.Turn()
	now.Heard = s.voice.Find(t.Prompt) != nil
	now.Line = s.voice.Model()
	return now
}

// starting reports whether the start of the turn that answers the spoken message is
// on its way to the disk. The message must not be recorded behind that: the turn's
// prompt is made of the records up to its start.
func (s *stage) starting(message chat.MessageID) bool {
	t, _ := s.r.records.head.Turn()
	confirmed, _ := s.r.records.shown.Turn()
	return t.Unheard && t.Prompt == message && t.Attempt > 0 && (confirmed.ID != t.ID || confirmed.Attempt != t.Attempt)
}
