package room

import (
	"parlor/actors/conversation"
	"parlor/actors/turn"
	"parlor/actors/voice"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A stage is where the room answers: the attempt at a turn, and what is being
// said aloud. It is the room as those two see it, and implements turn.Room and
// voice.Room.
type stage struct {
	r       *Room
	attempt *turn.Attempt // at the turn that runs, nil if there is none
	voice   *voice.Voice
	cut     []byte // what was saved of an answer that an end of the room has cut
}

func newStage(r *Room) *stage {
	s := &stage{r: r}
	s.voice = voice.New(r.self, r.voices, s, func(e voice.Event) Message { return &voiceEvent{e} })
	return s
}

// Tell implements turn.Room.
func (s *stage) Tell(n chat.Notice) { s.r.tell(n) }

// Advance implements turn.Room and voice.Room.
func (s *stage) Advance() { s.r.advance() }

// End implements turn.Room.
func (s *stage) End(t chat.Turn) chat.TurnEnded { return s.r.moment().End(t) }

// Attempt implements voice.Room.
func (s *stage) Attempt() *turn.Attempt { return s.attempt }

// Number implements voice.Room: whatever the room starts has a number of its own.
func (s *stage) Number() int {
	s.r.children++
	return s.r.children
}

// Save implements turn.Room.
func (s *stage) Save(text []byte, behind int, done func(error) turn.Event) {
	ref, number := s.r.self.Ref(), s.attempt.Number()
	c := persistence.Commit{Room: string(s.r.id), After: s.r.records.head.Seq, Text: text, TextAt: behind}
	s.r.Log.Append(c, func(err error) { ref.Tell(&attemptEvent{number, done(err)}) })
}

// TakeIn implements turn.Room: the attempt gets what was said to its turn, once
// it is on disk that it has taken that in.
func (s *stage) TakeIn(answer chan<- []conversation.Steering) {
	said := s.r.records.head.Untaken()
	if s.r.deleting || len(said) == 0 {
		answer <- nil
		return
	}
	s.r.records.record(conversation.TakeIn(s.attempt.Turn().ID, said)).done = func(refusal *chat.Error) {
		if refusal != nil {
			said = nil // it stays to be asked for
		}
		answer <- said
	}
}

// Remember implements turn.Room.
func (s *stage) Remember(p conversation.Composed) { s.r.records.tail.Use(p) }

// runs reports whether there is an attempt at the turn.
func (s *stage) runs(id chat.TurnID) bool { return s.attempt != nil && s.attempt.Turn().ID == id }

// begin runs a turn whose start is on disk, unless it was stopped meanwhile.
func (s *stage) begin(e chat.TurnStarted) {
	s.cut = nil
	records := &s.r.records
	t, _ := records.head.Turn()
	if s.r.deleting || t.ID != e.TurnID || t.Attempt != e.Attempt {
		return
	}
	number := s.Number()
	s.attempt = turn.New(s.r.self, s.r.turns, s, turn.Request{
		Room: s.r.id, Turn: t, Number: number, Tail: records.tail,
		Superseded: records.shown.Superseded, Instructions: records.shown.Chat.SystemPrompt,
	}, func(e turn.Event) Message { return &attemptEvent{number, e} })
	if line := s.voice.LineTo(t.ModelID); line != nil {
		s.attempt.Start(line)
		return
	}
	s.attempt.Start(nil)
}

// finish lets the attempt at an ended turn go.
func (s *stage) finish(e chat.TurnEnded) {
	if e.MessageID != "" {
		s.cut = nil
	}
	if s.runs(e.TurnID) {
		s.letGo()
	}
}

// letGo ends the attempt, if there is one, whatever its turn is.
func (s *stage) letGo() {
	if s.attempt != nil {
		s.attempt.Cancel()
		s.attempt.Release()
		s.attempt = nil
	}
}

// stop ends the attempt at a turn that is among those that end.
func (s *stage) stop(events []chat.Event) {
	for _, e := range events {
		if end, ok := e.(chat.TurnEnded); ok && s.runs(end.TurnID) {
			s.attempt.Stop(end)
		}
	}
}

// restore takes what is left of an answer that was cut: what the listeners were
// told, unless the server itself was cut and only what was saved is.
func (s *stage) restore() {
	r, answering := s.r, s.r.answering
	t, ok := r.records.shown.Turn()
	s.cut = nil
	switch {
	case !ok || t.Attempt == 0:
		return
	case answering.TurnID == t.ID && answering.Attempt == t.Attempt && len(r.streamed) > 0:
		s.cut = r.streamed
		return
	}
	text, err := r.Log.Text(string(r.id))
	if err != nil {
		r.log.Error("the text of a turn cannot be read", "err", err)
	}
	s.cut = text
}

// close ends everything on the stage. The next instance has to know what listeners
// saw of an answer.
func (s *stage) close() {
	if s.attempt != nil {
		s.r.streamed = s.attempt.Text()
	}
	s.letGo()
	s.voice.Silence()
}

// answer returns what an open turn has answered so far.
func (s *stage) answer(t chat.Turn) conversation.Answer {
	cut, _ := s.r.records.shown.Turn()
	switch {
	case s.runs(t.ID):
		return s.attempt.Answer()
	case t.ID == cut.ID && t.Attempt == cut.Attempt: // else the next attempt, without text, is on its way
		return conversation.Answer{Content: string(s.cut)}
	}
	return conversation.Answer{}
}

// show returns a turn that is recorded as started and not as ended, as listeners
// see it.
func (s *stage) show(t chat.Turn) *Running {
	if s.runs(t.ID) {
		return &Running{s.attempt.Turn(), string(s.attempt.Text())}
	}
	return &Running{t, string(s.cut)}
}

// running is what is known of the first open turn besides its records.
func (s *stage) running() (now conversation.Running) {
	if s.attempt != nil {
		now = s.attempt.State()
	}
	t, _ := s.r.records.head.Turn()
	now.Heard = s.voice.Find(t.Prompt) != nil
	now.Line = s.voice.Model()
	return now
}

// starting reports whether the turn that answers the message is on its way to
// the disk as started. What it is asked is read from there, where the message
// must not be missing because it is behind.
func (s *stage) starting(message chat.MessageID) bool {
	t, _ := s.r.records.head.Turn()
	confirmed, _ := s.r.records.shown.Turn()
	return t.Unheard && t.Prompt == message && t.Attempt > 0 && (confirmed.ID != t.ID || confirmed.Attempt != t.Attempt)
}
