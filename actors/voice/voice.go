// Package voice lets people speak with models that listen.
//
//	Append … Commit → Line → Heard → MessageAdded, on disk
//	         Respond → TurnQueued (Spoken) → … → TurnEnded, behind that
//
// Speech reaches the model at once and is recorded later, when it was written down. An answer may begin before its question is recorded, but it does
// not end before. Speech that is not understood in time is recorded without words.
package voice

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/system"
	"parlor/actors/turn"
	"parlor/protocol/chat"
)

// speakerPause is how long nobody else may speak after somebody who has not finished.
const speakerPause = 3 * time.Second

var (
	errNotListening = chat.Refuse(chat.CodeInvalid, "the model does not listen")
	errSpeaking     = chat.Refuse(chat.CodeBusy, "somebody else is speaking")
	errMumbled      = chat.Refuse(chat.CodeBusy, "too much speech waits to be understood")
	errInaudible    = chat.Refuse(chat.CodeProviderTimeout, "what was said was not understood in time")
	errLineLost     = chat.Refuse(chat.CodeProviderError, "the session with the model ended") // of an answer whose line has ended
)

// Options are shared by all rooms of a server. None has a default.
type Options struct {
	Provider turn.Provider
	Models   conversation.Models
	Logger   *slog.Logger

	MaxAudioBytes   int           // of a piece of speech, in base64
	MaxMessageBytes int           // of what was understood; the rest is dropped
	MaxUnheard      int           // messages that are being written down
	HearTimeout     time.Duration // until what was said must have been understood
	LineIdle        time.Duration // without use, until a line ends

	Goroutines *sync.WaitGroup // is counted up while a line's goroutine runs
}

// A Room is the part of a room that a voice needs. The voice calls it on the room's
// goroutine.
type Room interface {
	// Number returns a number that no child of the room has had.
	Number() int

	// Attempt returns the attempt that runs, or nil.
	Attempt() *turn.Attempt

	// Advance records what is next.
	Advance()
}

// An Event is what a line tells its room through the room's mailbox.
type Event interface{ event() }

// The events: a piece of an answer or what was heard; the end of a line; that it
// is time to look whether it is used; that a message must have been understood.
type (
	piece struct {
		line int
		chat.Delta
	}
	lineEnded struct {
		line int
		err  error
	}
	idle    struct{ line int }
	timeout struct{ message chat.MessageID }
)

func (piece) event()     {}
func (lineEnded) event() {}
func (idle) event()      {}
func (timeout) event()   {}

// A Voice is what is being said in a room. It belongs to the room's goroutine.
type Voice struct {
	o     *Options
	host  Room
	tell  func(Event) // by the mailbox
	spawn func(system.Spec[message]) (system.Ref[message], error)

	line    *Line       // nil if there is none
	speaker chat.UserID // of whom speech waits to be committed
	since   time.Time   // when there was some last
	unheard []*Speech   // in the order in which they were said
}

// A Speech is a message on its way from the ear to the log.
type Speech struct {
	ID     chat.MessageID
	Author chat.User
	Model  chat.ModelID        // that it was said to
	Origin string              // see [chat.MessageAdded]
	Intent conversation.Intent // of the message; has no events until it is understood

	after      uint64 // the last record when it was said
	timer      *time.Timer
	understood bool
	text       string
}

// New returns the voice of a room, whose mailbox tell reaches with an event.
func New[M any](self *system.Self[M], o *Options, host Room, tell func(Event) M) *Voice {
	ref := self.Ref()
	return &Voice{
		o: o, host: host, tell: func(e Event) { ref.Tell(tell(e)) },
		spawn: func(s system.Spec[message]) (system.Ref[message], error) { return system.SpawnChild(self, s) },
	}
}

// Handle takes an event of the voice from the mailbox.
func (v *Voice) Handle(e Event) {
	switch e := e.(type) {
	case piece:
		v.piece(e)
	case lineEnded:
		v.lineEnded(e)
	case idle:
		v.lookWhetherUsed(e)
	case timeout:
		v.hear(chat.Heard{MessageID: e.message, Error: errInaudible})
	}
}

// Model returns the one that a line is open to; empty: there is none.
func (v *Voice) Model() chat.ModelID {
	if v.line == nil {
		return ""
	}
	return v.line.model
}

// LineTo returns a line to the model, or nil if the model is not asked on one.
func (v *Voice) LineTo(id chat.ModelID) *Line {
	model, ok := v.o.Models.Model(id)
	if !ok || !model.Duplex() {
		return nil
	}
	if v.line != nil && v.line.model != id {
		v.hangUp(errLineLost)
	}
	if v.line == nil {
		v.line = v.dial(id)
	}
	v.line.lastUse = time.Now()
	return v.line
}

// listen returns the line on which the user may speak to the model.
func (v *Voice) listen(by chat.UserID, model chat.ModelID) (*Line, *chat.Error) {
	if v.speaker != "" && v.speaker != by && time.Since(v.since) < speakerPause {
		return nil, errSpeaking
	}
	if a := v.host.Attempt(); a != nil && a.OnLine() && v.Model() != model {
		v.BargeIn(by) // on the model that the chat had before
	}
	l := v.LineTo(model)
	switch {
	case l == nil:
		return nil, errNotListening
	case l.full():
		return nil, errMumbled
	}
	if v.speaker != "" && v.speaker != by { // who has left a sentence unfinished
		l.tell(chat.AudioClear{})
		v.speaker = ""
	}
	return l, nil
}

// Append passes on what somebody is saying, over any answer: clients send no
// silence.
func (v *Voice) Append(by chat.UserID, model chat.ModelID, audio string) *chat.Error {
	l, refusal := v.listen(by, model)
	switch {
	case refusal != nil:
		return refusal
	case len(audio) > v.o.MaxAudioBytes:
		return conversation.ErrTooLarge
	}
	v.speaker, v.since = by, time.Now()
	v.BargeIn(by)
	l.tell(chat.AudioAppend{Audio: audio})
	return nil
}

// Clear forgets what was appended.
func (v *Voice) Clear(by chat.UserID, model chat.ModelID) *chat.Error {
	l, refusal := v.listen(by, model)
	if refusal != nil {
		return refusal
	}
	v.speaker = ""
	l.tell(chat.AudioClear{})
	return nil
}

// Commit makes what the user said the message id, behind record after.
func (v *Voice) Commit(by chat.User, model chat.ModelID, id chat.MessageID, after uint64) *chat.Error {
	l, refusal := v.listen(by.ID, model)
	switch {
	case refusal != nil:
		return refusal
	case len(v.unheard) >= v.o.MaxUnheard:
		return errMumbled
	}
	v.speaker = ""
	v.BargeIn(by.ID)
	l.tell(chat.AudioCommit{MessageID: id})
	s := &Speech{
		ID: id, Author: chat.User{ID: by.ID, Name: by.Name}, Model: model, after: after,
		timer: time.AfterFunc(v.o.HearTimeout, func() { v.tell(timeout{id}) }),
	}
	s.Intent.Events = func(*conversation.State) []chat.Event { return v.record(s) }
	v.unheard = append(v.unheard, s)
	return nil
}

// record returns the message that the speech becomes, once it is understood.
func (v *Voice) record(s *Speech) []chat.Event {
	if !s.understood {
		return nil
	}
	model, _ := v.o.Models.Model(s.Model)
	return []chat.Event{chat.MessageAdded{
		MessageID: s.ID, Author: s.Author, Content: s.text, Origin: s.Origin,
		ModelID: s.Model, Duplex: model.Duplex(), Modality: chat.ModalityAudio,
	}}
}

// BargeIn stops the running answer of a model that listens, and reports whether
// there was one. Its turn may still wait for its prompt to be written down.
func (v *Voice) BargeIn(by chat.UserID) bool {
	a := v.host.Attempt()
	if a == nil || !a.OnLine() || a.Ended() {
		return false
	}
	a.FinishStopped(by, "barge-in")
	return true
}

// Unheard returns what was said and is not on disk, in order.
func (v *Voice) Unheard() []*Speech { return v.unheard }

// Find returns the speech that becomes the message, or nil.
func (v *Voice) Find(id chat.MessageID) *Speech {
	if i := slices.IndexFunc(v.unheard, func(s *Speech) bool { return s.ID == id }); i >= 0 {
		return v.unheard[i]
	}
	return nil
}

// Last returns the last speech that was said behind record seq and is not in a
// head of the generation, or nil.
func (v *Voice) Last(seq uint64, generation int) (last *Speech) {
	for _, s := range v.unheard {
		if s.after >= seq && !s.Intent.In(generation) {
			last = s
		}
	}
	return last
}

// Recorded forgets speech that is on disk.
func (v *Voice) Recorded(id chat.MessageID) {
	v.unheard = slices.DeleteFunc(v.unheard, func(s *Speech) bool { return s.ID == id })
}

// hear notes what was understood of a message: nothing, if that failed.
func (v *Voice) hear(h chat.Heard) {
	s := v.Find(h.MessageID)
	if s == nil || s.understood {
		return
	}
	s.timer.Stop()
	s.understood = true
	if h.Error != nil {
		v.o.Logger.Warn("speech was not understood", "message", s.ID, "err", h.Error)
	}
	s.text = strings.ToValidUTF8(h.Text[:min(len(h.Text), v.o.MaxMessageBytes)], "")
	v.host.Advance()
}

// piece takes a delta of the line.
func (v *Voice) piece(p piece) {
	l := v.line
	if l == nil || l.number != p.line {
		return
	}
	<-l.window
	l.lastUse = time.Now()
	a := v.host.Attempt()
	switch {
	case p.Heard != nil:
		v.hear(*p.Heard)
	case a == nil || !a.On(l) || a.Turn().MessageID != p.Answer || a.Ended():
		// Of an answer that is not wanted any more.
	case p.Ended != nil:
		a.FinishAnswer(*p.Ended, errLineLost)
	default:
		a.Take(p.Delta)
	}
}

// lineEnded lets a line go that has ended by itself.
func (v *Voice) lineEnded(e lineEnded) {
	if v.line == nil || v.line.number != e.line {
		return
	}
	var why *chat.Error
	if !errors.As(e.err, &why) {
		why = errLineLost
	}
	v.hangUp(why)
}

// lookWhetherUsed ends a line that nobody uses.
func (v *Voice) lookWhetherUsed(i idle) {
	l := v.line
	if l == nil || l.number != i.line {
		return
	}
	rest := v.o.LineIdle - time.Since(l.lastUse)
	if a := v.host.Attempt(); a != nil && a.On(l) || len(v.unheard) > 0 {
		rest = v.o.LineIdle
	}
	if rest > 0 {
		v.watch(l, rest)
		return
	}
	v.hangUp(nil)
}

// hangUp ends the line, and what depends on it as err says.
func (v *Voice) hangUp(err *chat.Error) {
	l := v.line
	l.end()
	v.line, v.speaker = nil, ""
	for _, s := range slices.Clone(v.unheard) {
		v.hear(chat.Heard{MessageID: s.ID, Error: err})
	}
	if a := v.host.Attempt(); a != nil && a.On(l) {
		a.FinishLine(err)
	}
}

// Silence lets the line go, and all that is being said, with the room.
func (v *Voice) Silence() {
	if v.line != nil {
		v.line.end()
		v.line = nil
	}
	for _, s := range v.unheard {
		s.timer.Stop()
	}
	v.speaker, v.unheard = "", nil
}
