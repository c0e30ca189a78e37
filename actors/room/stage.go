package room

import (
	"parlor/actors/conversation"
	"parlor/actors/turn"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A stage is the room as its attempt at a turn and its voice see it. It
// implements turn.Room and voice.Room.
type stage struct{ r *Room }

func (s stage) Tell(n chat.Notice) { s.r.tell(n) }

func (s stage) Advance() { s.r.advance() }

func (s stage) End(t chat.Turn) chat.TurnEnded { return s.r.moment().End(t) }

func (s stage) Attempt() *turn.Attempt { return s.r.attempt }

func (s stage) Number() int {
	s.r.children++
	return s.r.children
}

func (s stage) Save(text []byte, behind int, done func(error) turn.Event) {
	ref, number := s.r.self.Ref(), s.r.attempt.Number()
	c := persistence.Commit{Room: string(s.r.id), After: s.r.records.head.Seq, Text: text, TextAt: behind}
	s.r.Log.Append(c, func(err error) { ref.Tell(&attemptEvent{number, done(err)}) })
}

// TakeIn implements turn.Room: the attempt gets what was said to its turn, once
// it is on disk that it has taken that in.
func (s stage) TakeIn(answer chan<- []conversation.Steering) {
	said := s.r.records.head.Untaken()
	if s.r.deleting || len(said) == 0 {
		answer <- nil
		return
	}
	s.r.records.record(conversation.TakeIn(s.r.attempt.Turn().ID, said)).done = func(refusal *chat.Error) {
		if refusal != nil {
			said = nil // it stays to be asked for
		}
		answer <- said
	}
}

func (s stage) Remember(p conversation.Composed) { s.r.records.tail.Use(p) }

// runs reports whether there is an attempt at the turn.
func (r *Room) runs(id chat.TurnID) bool { return r.attempt != nil && r.attempt.Turn().ID == id }

// begin runs a turn whose start is on disk, unless it was stopped meanwhile.
func (r *Room) begin(e chat.TurnStarted) {
	r.cutText = nil
	t, _ := r.records.head.Turn()
	if r.deleting || t.ID != e.TurnID || t.Attempt != e.Attempt {
		return
	}
	number := stage{r}.Number()
	shown := &r.records.shown
	r.attempt = turn.New(r.self, r.turns, stage{r}, turn.Request{
		Room: r.id, Turn: t, Number: number, Tail: r.records.tail,
		Superseded: shown.Superseded, Instructions: shown.Chat.SystemPrompt,
	}, func(e turn.Event) Message { return &attemptEvent{number, e} })
	if line := r.voice.LineTo(t.ModelID); line != nil {
		r.attempt.Start(line)
		return
	}
	r.attempt.Start(nil)
}

// finish lets the attempt at an ended turn go.
func (r *Room) finish(e chat.TurnEnded) {
	if e.MessageID != "" {
		r.cutText = nil
	}
	if r.runs(e.TurnID) {
		r.letGo()
	}
}

// letGo ends the attempt, if there is one, whatever its turn is.
func (r *Room) letGo() {
	if r.attempt != nil {
		r.attempt.Cancel()
		r.attempt.Release()
		r.attempt = nil
	}
}

// stopAttempt ends the attempt at a turn that is among those that end.
func (r *Room) stopAttempt(events []chat.Event) {
	for _, e := range events {
		if end, ok := e.(chat.TurnEnded); ok && r.runs(end.TurnID) {
			r.attempt.Stop(end)
		}
	}
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
		events := r.moment().Next(&r.records.shown, r.running())
		if len(events) == 0 {
			return
		}
		r.records.record(events...)
	}
}

// running is what is known of the first open turn besides its records.
func (r *Room) running() (now conversation.Running) {
	if r.attempt != nil {
		now = r.attempt.State()
	}
	t, _ := r.records.head.Turn()
	now.Heard = r.voice.Find(t.Prompt) != nil
	now.Line = r.voice.Model()
	return now
}

// carryOut records what is intended, unless that is on its way to the disk.
func (r *Room) carryOut(i *conversation.Intent) {
	if events := i.Propose(&r.records.head, r.records.generation); len(events) > 0 {
		r.records.record(events...)
	}
}

// writeDown hands to the log what was understood of speech.
func (r *Room) writeDown() {
	for _, s := range r.voice.Unheard() {
		if !r.starting(s.ID) {
			r.carryOut(&s.Record)
		}
	}
}

// starting reports whether the turn that answers the message is on its way to
// the disk as started. What it is asked is read from there, where the message
// must not be missing because it is behind.
func (r *Room) starting(message chat.MessageID) bool {
	t, _ := r.records.head.Turn()
	confirmed, _ := r.records.shown.Turn()
	return t.Unheard && t.Prompt == message && t.Attempt > 0 && (confirmed.ID != t.ID || confirmed.Attempt != t.Attempt)
}
