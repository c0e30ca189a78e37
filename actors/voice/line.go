package voice

import (
	"context"
	"runtime/debug"
	"strconv"
	"time"

	"parlor/actors/system"
	"parlor/protocol/chat"
)

// A Line is the session that a room has with a model that listens. It is opened
// when somebody speaks or a turn begins, serves one turn after the other, and
// ends with the room, with a switch to another model, or when nobody has used it
// for a while. It belongs to its room's goroutine.
type Line struct {
	number int // tells what it sends from what lines before it have sent
	model  chat.ModelID
	actor  system.Ref[message]
	inputs chan chat.Input
	window chan struct{} // one element for each delta in the room's mailbox
	used   time.Time
	idle   *time.Timer
}

// How many inputs may wait for the session, which may be connecting; and how
// many places speech leaves free for what must not be lost.
const (
	inputs  = 64
	reserve = 16
)

// window is how many deltas of a session may wait in the room's mailbox; past it
// the session is not read.
const window = 16

// message is what the mailbox of a line's actor accepts: nothing. It is stopped.
type message interface{ voiceMessage() }

// Ask wants an answer to the conversation as it now is.
func (l *Line) Ask(answer chat.MessageID, messages []chat.PromptMessage) {
	l.tell(chat.Ask{Answer: answer, Messages: messages})
}

// Cancel stops an answer, if it has not ended.
func (l *Line) Cancel(answer chat.MessageID) { l.tell(chat.Cancel{Answer: answer}) }

// tell gives the session something to do, without waiting. A session that
// takes in nothing for so long is ended, which the room will be told.
func (l *Line) tell(in chat.Input) {
	select {
	case l.inputs <- in:
	default:
		l.actor.Stop()
	}
}

// full reports whether speech has to wait.
func (l *Line) full() bool { return len(l.inputs) >= inputs-reserve }

// end stops the session, without waiting for it.
func (l *Line) end() {
	l.idle.Stop()
	l.actor.Stop()
}

// dial opens a line to the model.
func (v *Voice) dial(model chat.ModelID) *Line {
	l := &Line{
		number: v.host.Number(), model: model, inputs: make(chan chat.Input, inputs), window: make(chan struct{}, window),
	}
	actor, err := v.spawn(system.Spec[message]{
		Name: "line-" + strconv.Itoa(l.number),
		New:  func() system.Actor[message] { return &listener{line: *l, tell: v.tell, o: v.o} },
	})
	if err != nil {
		panic("voice: spawn a line: " + err.Error())
	}
	l.actor = actor
	v.watch(l, v.o.LineIdle)
	return l
}

func (v *Voice) watch(l *Line, d time.Duration) {
	l.idle = time.AfterFunc(d, func() { v.tell(idle{l.number}) })
}

// A listener is the actor that owns the goroutine which holds the session:
// whatever ends the room ends it too.
type listener struct {
	line   Line
	tell   func(Event)
	o      *Options
	cancel context.CancelFunc
}

// Started implements system.Actor.
func (l *listener) Started(*system.Self[message]) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.o.Goroutines.Go(func() {
		defer cancel()
		l.tell(lineEnded{l.line.number, l.stream(ctx)})
	})
}

// Receive implements system.Actor.
func (l *listener) Receive(message) {}

// Stopping implements system.Actor. It does not wait for the session, which may hang.
func (l *listener) Stopping() { l.cancel() }

// stream passes on what the session tells.
func (l *listener) stream(ctx context.Context) (err error) {
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
			l.tell(piece{l.line.number, d})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
