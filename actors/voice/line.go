package voice

import (
	"context"
	"runtime/debug"
	"strconv"
	"time"

	"parlor/actors/system"
	"parlor/protocol/chat"
)

// A Line is what a room holds open to a model that listens. It is opened
// when somebody speaks or a turn begins, serves one turn after the other, and
// ends with the room, with a switch to another model, or when nobody has used it
// for a while. It belongs to its room's goroutine.
type Line struct {
	number  int // tells what it sends from what lines before it have sent
	model   chat.ModelID
	actor   system.Ref[message]
	inputs  chan chat.Input
	window  chan struct{} // one element for each delta in the room's mailbox
	lastUse time.Time
	idle    *time.Timer
}

// At most inputs wait for the line, which may still be connecting. Speech leaves
// reserve places free, since other inputs must not be lost.
const (
	inputs  = 64
	reserve = 16
)

// window is how many deltas of a line may wait in the room's mailbox; past it
// the line is not read.
const window = 16

// message is what the mailbox of a line's actor accepts: nothing. It is stopped.
type message interface{ voiceMessage() }

// Ask wants an answer to the conversation as it now is.
func (l *Line) Ask(answer chat.MessageID, p chat.Prompt) {
	l.tell(chat.Ask{Answer: answer, Messages: p.Messages, Tools: p.Tools, NoCalls: p.NoCalls, Choice: p.Choice})
}

// Cancel stops an answer, if it has not ended.
func (l *Line) Cancel(answer chat.MessageID) { l.tell(chat.Cancel{Answer: answer}) }

// tell gives the model something to do, and does not wait. If too many inputs
// wait, the line is ended, and the room will be told so.
func (l *Line) tell(in chat.Input) {
	select {
	case l.inputs <- in:
	default:
		l.actor.Stop()
	}
}

// full reports whether speech has to wait.
func (l *Line) full() bool { return len(l.inputs) >= inputs-reserve }

// end stops the line, and does not wait for its goroutine.
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
		Name: "line-" + strconv.Itoa(l.number), Kind: "line",
		New: func() system.Actor[message] { return &reader{line: *l, tell: v.tell, o: v.o} },
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

// A reader is the actor that owns the goroutine of a line. It is a child of the
// room, so it ends with the room.
type reader struct {
	line   Line
	tell   func(Event)
	o      *Options
	cancel context.CancelFunc
}

// Started implements system.Actor.
func (r *reader) Started(*system.Self[message]) {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.o.Goroutines.Go(func() {
		defer cancel()
		r.tell(lineEnded{r.line.number, r.stream(ctx)})
	})
}

// Receive implements system.Actor.
func (r *reader) Receive(message) {}

// Stopping implements system.Actor. It does not wait for the goroutine, which may hang.
func (r *reader) Stopping() { r.cancel() }

// stream passes on what the model tells.
func (r *reader) stream(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Logger.Error("provider panicked", "model", r.line.model, "panic", p, "stack", string(debug.Stack()))
			err = chat.Refuse(chat.CodeInternal, "the assistant failed")
		}
	}()
	for d, err := range r.o.Provider.Stream(ctx, chat.Prompt{Model: r.line.model, Input: r.line.inputs}) {
		if err != nil {
			return err
		}
		select {
		case r.line.window <- struct{}{}:
			r.tell(piece{r.line.number, d})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
