package room

import (
	"cmp"
	"context"
	"errors"
	"runtime/debug"
	"strconv"
	"time"

	"parlor/actors/system"
	"parlor/protocol/chat"
)

// A line is the session that a room has with a model that listens. It is
// opened when somebody speaks or a turn begins, serves one turn after the
// other, and ends with the room, with a switch to another model, or when nobody
// has used it for a while.
type line struct {
	number int // tells what it sends from what lines before it have sent
	model  chat.ModelID
	actor  system.Ref[turnMessage]
	inputs chan chat.Input
	window chan struct{} // one element for each delta in the room's mailbox
	used   time.Time
	idle   *time.Timer
}

// How many inputs may wait for the session, which may be connecting; and how
// many places speech leaves free for what must not be lost.
const (
	lineInputs  = 64
	lineReserve = 16
)

// What a line sends: a piece of an answer or what was heard; its end; that it
// is time to look whether it is used. And what a turn on a line is to answer.
type (
	lineDelta struct {
		line int
		chat.Delta
	}
	lineEnded struct {
		line int
		err  error
	}
	lineIdle struct{ line int }
	prompted struct {
		run      int
		messages []chat.PromptMessage
		err      error
	}
)

func (*lineDelta) roomMessage() {}
func (*lineEnded) roomMessage() {}
func (*lineIdle) roomMessage()  {}
func (*prompted) roomMessage()  {}

var errLineLost = chat.Refuse(chat.CodeProviderError, "the session with the model ended")

// lineFor returns a line to the model, or nil if that is not asked in sessions.
func (r *Room) lineFor(id chat.ModelID) *line {
	model, ok := r.Models.Model(id)
	if !ok || !model.Duplex() {
		return nil
	}
	if r.line != nil && r.line.model != id {
		r.hangUp(errLineLost)
	}
	if r.line == nil {
		r.line = r.dial(id)
	}
	r.line.used = time.Now()
	return r.line
}

func (r *Room) dial(model chat.ModelID) *line {
	r.lines++
	l := &line{
		number: r.lines, model: model,
		inputs: make(chan chat.Input, lineInputs), window: make(chan struct{}, deltaWindow),
	}
	ref, err := system.SpawnChild(r.self, system.Spec[turnMessage]{
		Name: "line-" + strconv.Itoa(l.number),
		New:  func() system.Actor[turnMessage] { return &lineActor{room: r.self.Ref(), line: *l, o: r.Options} },
	})
	if err != nil {
		panic("room: spawn a line: " + err.Error())
	}
	l.actor = ref
	l.idle = r.self.After(r.LineIdle, &lineIdle{l.number})
	return l
}

// tell gives the session something to do, without waiting. A session that
// takes in nothing for so long is ended, which the room will be told.
func (l *line) tell(in chat.Input) {
	select {
	case l.inputs <- in:
	default:
		l.actor.Stop()
	}
}

// full reports whether speech has to wait.
func (l *line) full() bool { return len(l.inputs) >= lineInputs-lineReserve }

// cancel stops an answer, if there is a line.
func (l *line) cancel(answer chat.MessageID) {
	if l != nil {
		l.tell(chat.Cancel{Answer: answer})
	}
}

// prompted asks for the answer, now that it is known to what.
func (r *Room) prompted(m *prompted) {
	switch run := r.run; {
	case run == nil || run.number != m.run || run.end != nil:
	case m.err != nil:
		r.endRun(m.err)
	default:
		run.line.tell(chat.Ask{Answer: run.turn.MessageID, Messages: m.messages})
	}
}

// lineDelta takes what the session tells.
func (r *Room) lineDelta(m *lineDelta) {
	if r.line == nil || r.line.number != m.line {
		return
	}
	<-r.line.window
	r.line.used = time.Now()
	run := r.run
	switch {
	case m.Heard != nil:
		r.heard(*m.Heard)
	case run == nil || run.line != r.line || run.turn.MessageID != m.Answer || run.end != nil:
		// Of an answer that is not wanted any more.
	case m.Ended != nil:
		r.answerEnded(run, *m.Ended)
	default:
		r.said(run, m.Delta)
	}
}

// answerEnded ends the turn as its answer ended.
func (r *Room) answerEnded(run *run, e chat.Ended) {
	run.line = nil // there is nothing to cancel
	switch e.State {
	case chat.StateCompleted:
		r.endRun(nil)
	case chat.StateStopped:
		r.stopRun("", "the provider stopped the answer")
	default:
		r.endRun(cmp.Or(e.Error, errLineLost))
	}
}

// stopRun ends the running turn as stopped.
func (r *Room) stopRun(by chat.UserID, reason string) {
	end := r.endOf(r.run.turn)
	end.State, end.By, end.Reason = chat.StateStopped, by, reason
	r.run.stop(end)
	r.advance()
}

// lineEnded lets a line go that has ended by itself.
func (r *Room) lineEnded(m *lineEnded) {
	if r.line == nil || r.line.number != m.line {
		return
	}
	var told *chat.Error
	if !errors.As(m.err, &told) {
		told = errLineLost
	}
	r.hangUp(told)
}

// lineIdle ends a line that nobody uses.
func (r *Room) lineIdle(m *lineIdle) {
	l := r.line
	if l == nil || l.number != m.line {
		return
	}
	rest := r.LineIdle - time.Since(l.used)
	if inUse := r.run != nil && r.run.line == l || len(r.voice.unheard) > 0; inUse {
		rest = r.LineIdle
	}
	if rest > 0 {
		l.idle = r.self.After(rest, &lineIdle{l.number})
		return
	}
	r.hangUp(nil)
}

// hangUp ends the line, and what depends on it as err says.
func (r *Room) hangUp(err *chat.Error) {
	l := r.line
	l.end()
	r.line, r.voice.speaker = nil, ""
	for _, u := range r.voice.waiting() {
		r.heard(chat.Heard{MessageID: u.id, Error: err})
	}
	if run := r.run; run != nil && run.line == l {
		run.line = nil
		if run.end == nil {
			r.endRun(err)
		}
	}
}

// end stops the session, without waiting for it.
func (l *line) end() {
	l.idle.Stop()
	l.actor.Stop()
}

// silence lets the line go, and all that is being said, with the room.
func (r *Room) silence() {
	if r.line != nil {
		r.line.end()
		r.line = nil
	}
	for _, u := range r.voice.unheard {
		u.timer.Stop()
	}
	r.voice = voice{}
}

// A lineActor owns the goroutine that holds the session: whatever ends the room
// ends it too.
type lineActor struct {
	line   line
	room   system.Ref[Message]
	o      *Options
	cancel context.CancelFunc
}

// Started implements system.Actor.
func (l *lineActor) Started(*system.Self[turnMessage]) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.o.Turns.Go(func() {
		defer cancel()
		l.room.Tell(&lineEnded{l.line.number, l.stream(ctx)})
	})
}

// Receive implements system.Actor.
func (l *lineActor) Receive(turnMessage) {}

// Stopping implements system.Actor. It does not wait for the session, which may
// hang.
func (l *lineActor) Stopping() { l.cancel() }

// stream passes on what the session tells.
func (l *lineActor) stream(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.o.Logger.Error("provider panicked", "model", l.line.model, "panic", p, "stack", string(debug.Stack()))
			err = chat.Refuse(chat.CodeInternal, "the assistant failed")
		}
	}()
	for d, err := range l.o.Provider.Stream(ctx, chat.Prompt{Model: l.line.model, Input: l.line.inputs}) {
		if err != nil {
			return err
		}
		select {
		case l.line.window <- struct{}{}:
			l.room.Tell(&lineDelta{l.line.number, d})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
