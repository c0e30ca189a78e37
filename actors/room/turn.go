package room

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"parlor/actors/system"
	"parlor/protocol/chat"
)

// A Provider is the part of the assistants that a room needs.
type Provider interface {
	// Stream asks the prompt's model and yields the answer piece by piece. It
	// ends after the last piece, or after one error, of which a *chat.Error
	// is told to the members. Cancelling ctx ends it at once.
	Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error]
}

// run is one attempt at a turn, as the room sees it.
type run struct {
	turn   chat.Turn
	number int // tells what it sends from what runs before it have sent
	actor  system.Ref[turnMessage]
	line   *line // while the answer comes on it; other runs share it
	spoken bool  // some of the answer was
	text   []byte
	usage  *chat.Usage
	tools  []chat.ToolCall // that the provider has begun to run
	window chan struct{}   // one element for each delta in the room's mailbox
	expiry *time.Timer     // the room's own: a provider may be deaf to its context
	end    *chat.TurnEnded // nil while the answer goes on
	saved  saving
	spent  *spending
}

// of reports whether r is a run of the turn.
func (r *run) of(id chat.TurnID) bool { return r != nil && r.turn.ID == id }

// stop ends the run as end says, and its stream without waiting for it.
func (r *run) stop(end chat.TurnEnded) {
	r.end = &end
	r.cancel()
}

// cancel ends the stream, if there is a run.
func (r *run) cancel() {
	if r != nil {
		r.expiry.Stop()
		r.saved.stop()
		r.actor.Stop()
		r.line.cancel(r.turn.MessageID)
		r.line = nil
	}
}

// deltaWindow is how many deltas of one turn may wait in the room's mailbox;
// past it the provider's stream is not read.
const deltaWindow = 16

// maxTools is how many tools of one turn are recorded.
const maxTools = 128

// delta is a piece of the answer.
type delta struct {
	run int
	chat.Delta
}

// answered is the end of the provider's stream, or of the time that it has.
type answered struct {
	run int
	err error
}

func (*delta) roomMessage()    {}
func (*answered) roomMessage() {}

// advance brings the first open turn one step further, if it is the room that
// has to act. It decides from the state alone, so it may be called at any time.
func (r *Room) advance() {
	r.writeDown()
	turn, open := r.head.Turn()
	if !open || r.retry != nil || r.deleting || r.broken != nil || r.abandons(turn) || r.awaitsPrompt(turn) {
		return
	}
	confirmed, _ := r.shown.Turn()
	switch {
	case turn.Unheard && !r.hears(turn.Prompt):
		r.interrupt(turn, "what was said was lost when the server was restarted")
	case turn.Attempt == 0:
		r.start(turn, chat.MessageID(newID()))
	case r.run.of(turn.ID) && r.run.end != nil: // now, or the disk has refused it
		end := *r.run.end
		end.PromptSeq = turn.PromptSeq // of a prompt that was written down meanwhile
		r.propose(Caller{}, "", nil, r.ending(end)...)
	case r.run.of(turn.ID) && turn.Tools < len(r.run.tools):
		r.propose(Caller{}, "", nil, chat.ToolStarted{TurnID: turn.ID, MessageID: turn.MessageID, Tool: r.run.tools[turn.Tools]})
		r.advance()
	case r.run.of(turn.ID), confirmed.ID != turn.ID, confirmed.Attempt != turn.Attempt:
		// It runs, or its start is on its way to the disk.
	case turn.Tools > 0 && !repeatsTools():
		r.interrupt(turn, "the server was restarted while a tool ran")
	case turn.Attempt >= r.MaxAttempts:
		r.interrupt(turn, "the server was restarted too often")
	default: // cut by a crash
		r.start(turn, turn.MessageID)
	}
}

// interrupt ends a turn that was cut and does not start again.
func (r *Room) interrupt(turn chat.Turn, reason string) {
	end := r.endOf(turn)
	end.State, end.Reason = chat.StateInterrupted, reason
	r.propose(Caller{}, "", nil, r.ending(end)...)
	r.advance()
}

// start has the turn begin, unless nothing is left of a budget that it is under.
func (r *Room) start(turn chat.Turn, answer chat.MessageID) {
	if spent := r.Ledger.Check(r.account(turn.By, turn.ModelID)); spent != nil {
		end := r.endOf(turn)
		end.State, end.Error = chat.StateFailed, spent
		r.propose(Caller{}, "", nil, r.ending(end)...)
		r.advance()
		return
	}
	r.propose(Caller{}, "", nil, chat.TurnStarted{
		TurnID: turn.ID, MessageID: answer, ModelID: turn.ModelID, Name: r.nameOf(turn.ModelID), Attempt: turn.Attempt + 1,
		Duplex: r.duplex(turn.ModelID),
	})
}

// endOf returns the end of a turn with what was said so far.
func (r *Room) endOf(turn chat.Turn) chat.TurnEnded {
	end := chat.TurnEnded{
		TurnID: turn.ID, MessageID: turn.MessageID, Prompt: turn.Prompt, PromptSeq: turn.PromptSeq, Correlation: turn.Correlation,
		ModelID: turn.ModelID, Name: r.nameOf(turn.ModelID), Duplex: r.duplex(turn.ModelID),
	}
	switch cut, _ := r.shown.Turn(); {
	case r.run.of(turn.ID):
		end.ModelID, end.Content, end.Usage, end.Modality = r.run.turn.ModelID, string(r.run.text), r.run.used(), r.run.modality()
		end.Name = r.nameOf(end.ModelID)
	case turn.ID == cut.ID && turn.Attempt == cut.Attempt: // else the next attempt, without text, is on its way
		end.Content = string(r.cut)
	}
	return end
}

// begin runs a turn whose start is on disk, unless it was stopped meanwhile.
func (r *Room) begin(e chat.TurnStarted) {
	r.cut = nil
	turn, _ := r.head.Turn()
	if r.deleting || turn.ID != e.TurnID || turn.Attempt != e.Attempt {
		return
	}
	r.runs++
	run := &run{
		turn: turn, number: r.runs,
		window: make(chan struct{}, deltaWindow), spent: new(spending),
		expiry: r.self.After(r.TurnTimeout, &answered{r.runs, chat.Refuse(chat.CodeProviderTimeout,
			fmt.Sprintf("the assistant did not finish within %s", r.TurnTimeout))}),
	}
	spent := r.meter(run)
	r.run = run // first: a line to another model may have to be hung up
	run.line = r.lineFor(turn.ModelID)
	ref, err := system.SpawnChild(r.self, system.Spec[turnMessage]{
		Name: "turn-" + strconv.Itoa(run.number),
		New: func() system.Actor[turnMessage] {
			return &turnActor{
				room: r.self.Ref(), id: r.id, turn: turn, superseded: r.shown.Superseded, instructions: r.shown.Chat.SystemPrompt,
				number: run.number, asks: run.line != nil, window: run.window, spent: run.spent, o: r.Options,
			}
		},
	})
	if err != nil {
		panic("room: spawn a turn: " + err.Error())
	}
	run.actor = ref
	if spent != nil {
		r.endRun(spent)
	}
}

// finish lets the run of an ended turn go.
func (r *Room) finish(e chat.TurnEnded) {
	if e.MessageID != "" {
		r.cut = nil
	}
	if r.run.of(e.TurnID) {
		r.run.cancel()
		r.run.release()
		r.run = nil
	}
}

// news tells the members what d says besides its text. Who answers in place of
// the model that was asked is recorded with the end of the turn.
func (r *Room) news(run *run, d chat.Delta) {
	if d.Model != "" {
		run.turn.ModelID = d.Model
	}
	if d.Retrying == nil && d.Health == nil {
		return
	}
	if d.Retrying != nil {
		r.log.Info("provider failed, asking again", "turn", run.turn.ID, "model", run.turn.ModelID, "err", d.Retrying)
	}
	r.tell(chat.Progress{MessageID: run.turn.MessageID, Retrying: d.Retrying, Model: d.Model, Health: d.Health})
}

// delta tells the members a piece of the answer at once; it is recorded with
// the end of the turn.
func (r *Room) delta(m *delta) {
	run := r.run
	if run == nil || run.number != m.run {
		return
	}
	<-run.window
	r.said(run, m.Delta)
}

// said takes a piece of the answer that run is.
func (r *Room) said(run *run, m chat.Delta) {
	if run.end != nil {
		return
	}
	r.news(run, m)
	if m.Usage.Credible() {
		run.usage = m.Usage
	}
	if m.Tool != nil && len(run.tools) < maxTools {
		run.tools = append(run.tools, *m.Tool)
		r.advance()
	}
	if m.Model != "" {
		if spent := r.substitute(run); spent != nil {
			r.endRun(spent)
			return
		}
	}
	r.speak(run, m.Audio)
	text := strings.ToValidUTF8(m.Text, "\uFFFD")
	if text == "" {
		return
	}
	if len(run.text)+len(text) > r.MaxAnswerBytes {
		r.endRun(chat.Refuse(chat.CodeProviderError, "the answer is longer than this server allows"))
		return
	}
	r.tell(chat.Text{Turn: run.turn, Before: run.text, Piece: text, Spoken: run.spoken})
	run.text = append(run.text, text...)
	r.streamed = run.text
	r.keep(run)
	if spent := run.spent.say(text); spent != nil {
		r.endRun(spent)
	}
}

// answered ends the turn as its provider's stream ended, if it is still open.
func (r *Room) answered(m *answered) {
	if r.run == nil || r.run.number != m.run || r.run.end != nil {
		return
	}
	r.endRun(m.err)
}

// endRun ends the running turn, as failed if err is not nil.
func (r *Room) endRun(err error) {
	end := r.endOf(r.run.turn)
	end.State = chat.StateCompleted
	if err != nil {
		end.State, end.Error = chat.StateFailed, chat.AsError(err)
		if r.run.unanswered(end.Error) {
			end.Usage = r.run.usage
		}
		r.log.Warn("turn failed", "turn", end.TurnID, "model", end.ModelID, "err", err)
	}
	r.run.stop(end)
	r.advance()
}

// turnMessage is what a turn's mailbox accepts: nothing. A turn is stopped.
type turnMessage interface{ turnMessage() }

// A turnActor owns the goroutine that reads the provider's stream: whatever
// ends the room ends it too.
type turnActor struct {
	room         system.Ref[Message]
	id           chat.RoomID
	turn         chat.Turn
	superseded   chat.Superseded // is no part of the prompt
	instructions string          // of the chat
	number       int
	asks         bool // on a line: the actor only collects what the answer is to
	window       chan struct{}
	spent        *spending
	names        names // of who speaks in the prompt
	o            *Options
	cancel       context.CancelCauseFunc
}

// Started implements system.Actor.
func (t *turnActor) Started(*system.Self[turnMessage]) {
	ctx, cancel := context.WithCancelCause(context.Background())
	t.cancel = cancel
	t.o.Turns.Go(func() {
		defer cancel(nil)
		if t.asks {
			prompt, err := t.question(ctx)
			t.room.Tell(&prompted{t.number, prompt.Messages, err})
			return
		}
		t.room.Tell(&answered{t.number, t.stream(ctx)})
	})
}

// Receive implements system.Actor.
func (t *turnActor) Receive(turnMessage) {}

// Stopping implements system.Actor. It does not wait for the stream, which may
// hang: what it still sends carries the number of a run that is gone.
func (t *turnActor) Stopping() { t.cancel(nil) }

// stream passes the answer on to the room. A provider that panics fails this
// turn and nothing else.
func (t *turnActor) stream(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.o.Logger.Error("provider panicked", "model", t.turn.ModelID, "panic", p, "stack", string(debug.Stack()))
			err = chat.Refuse(chat.CodeInternal, "the assistant failed")
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	prompt, err := t.question(ctx)
	if err != nil {
		return err
	}
	prompt.Steer = func() []chat.PromptMessage { return t.steer(ctx) }
	for d, err := range t.o.Provider.Stream(ctx, prompt) {
		if err != nil {
			return err
		}
		select {
		case t.window <- struct{}{}:
			t.room.Tell(&delta{t.number, d})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
