// Package turn runs attempts at an answer. An attempt runs one turn of the assistant
// until the answer is complete, fails or is stopped.
//
//	Attempt.Start → goroutine: prompt → Provider.Stream → Event → the room's mailbox
//	Attempt.Handle → notices to the listeners; the text so far, to the disk
//	               → the end of the turn, which the room records
//
// # Two sides
//
// An [Attempt] belongs to its room and is used on the room's goroutine only. Another
// goroutine reads the provider's stream. The two share a window, which keeps a fast
// provider back, and the count of tokens. An attempt that is stopped does not wait for
// that goroutine: events that it still sends carry the attempt's number, and the room
// drops them.
//
// Three types do parts of an attempt: calling has the calls of a step, saving the text that is
// saved, and run an answer that its provider gives whether or not it is read.
//
// # Steps
//
// A step is one request to the model. If it ends in calls of tools, the room records
// that; then the tools run, all at once, but for those that wait for a member's approval;
// then the room records what came of them, and the next step brings the results to the
// model. Between steps the model is told too what people said meanwhile. Steps that are
// recorded outlive the attempt: the next one goes on behind them.
package turn

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/ledger"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A Provider asks assistants.
type Provider interface {
	// Stream asks the prompt's model and yields the answer piece by piece. It
	// ends after the last piece, or after one error, of which a *chat.Error
	// is told to the listeners. Cancelling ctx ends it at once.
	Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error]
}

// A Log is what an attempt reads of the event log. See [persistence.Store].
type Log interface {
	Read(room string, after uint64) iter.Seq2[persistence.Entry, error]
	ReadBack(room string, before uint64) iter.Seq2[persistence.Entry, error]
	File(room, id string) (persistence.File, error)
	Chunks(room string, f persistence.File, from int64) iter.Seq2[[]byte, error]
}

// Options are shared by all attempts of a server. None has a default.
type Options struct {
	Provider     Provider
	Tools        Tools
	Models       conversation.Models
	Log          Log
	Ledger       *ledger.Ledger // nil knows no limits
	Logger       *slog.Logger
	SystemPrompt string

	ContextWindow   int           // tokens, of models that do not say
	FileShare       int           // of the window that files may take, in percent
	MaxAnswerBytes  int           // with the thought; past it the turn fails
	Timeout         time.Duration // of an attempt
	CheckpointEvery time.Duration // the text so far is saved
	CheckpointBytes int           // of text are saved sooner

	Tracer     Tracer              // nil: nobody follows
	FirstToken func(time.Duration) // gets the time until the first that is heard of an answer; nil is not called

	Goroutines *sync.WaitGroup // is counted up while an attempt's goroutine runs
}

// A Room is the part of a room that an attempt needs. The attempt calls it on the
// room's goroutine.
type Room interface {
	// Tell tells the listeners something that is not recorded.
	Tell(n chat.Notice)

	// Advance records what is next. The attempt calls it when it has ended, or has
	// begun to run a tool.
	Advance()

	// End returns the end of a turn with what it has answered so far.
	End(t chat.Turn) chat.TurnEnded

	// Save saves more of the text beside the log: behind is how many bytes were
	// saved before. The attempt then gets the event that done makes of the error.
	Save(text []byte, behind int, done func(error) Event)

	// TakeIn records that the running turn takes in the messages that were said to
	// it, and then sends them to answer.
	TakeIn(answer chan<- []conversation.Steering)

	// RunOnPage has a page of the asker run a call. What comes of it is a record, or the
	// room calls [Attempt.FailCall]. The returned function ends that.
	RunOnPage(c chat.ToolCall) (cancel func())

	// Approved reports whether the tool runs in this chat without anybody being asked,
	// and Waiting whether a call waits for a member to decide.
	Approved(tool string) bool
	Waiting(call string) bool

	// Redial returns a line to the turn's model in place of one that was lost, or nil.
	Redial() Line

	// Remember keeps the records of a prompt for the next one.
	Remember(p conversation.Composed)
}

// A Line is what a room holds open to a model that listens. Answers come on it.
// The methods do not block.
type Line interface {
	Ask(answer chat.MessageID, p chat.Prompt)
	Cancel(answer chat.MessageID)
}

// maxTools is how many tools of one turn are recorded.
const maxTools = 128

// window is how many pieces of an answer may wait in the room's mailbox; past it
// the provider's stream is not read.
const window = 16

// message is what the mailbox of an attempt's actor accepts: nothing. It is stopped.
type message interface{ turnMessage() }

// An Attempt is one attempt at a turn.
type Attempt struct {
	o    *Options
	room Room
	tell func(Event) // by the mailbox
	q    Request
	turn chat.Turn // with the model that answers

	spawn    func(system.Spec[message]) (system.Ref[message], error)
	actor    system.Ref[message]
	line     Line          // nil unless the answer comes on it
	lineLost error         // why there is none any more
	wanted   *wanted       // the answer that the line gives, or nil
	window   chan struct{} // one element for each piece in the room's mailbox
	clock    clock

	text    []byte
	thought thought // before the text
	spoken  bool    // some of the answer was
	finish  chat.Finish
	usage   *chat.Usage
	tools   []chat.ToolCall // that the provider has begun to run
	cut     []chat.CutFile  // what the model was not given whole
	before  *chat.Usage     // of the steps before this one
	resumes bool            // the next words are the first of a step that is not the first one
	note    string          // on how the answer came to its end
	end     *chat.TurnEnded // nil while the answer goes on
	calling calling
	saving  saving
	run     run
	spent   *spending

	context context.Context      // of what is asked for the attempt
	traced  func(chat.TurnEnded) // see [Tracer]; nil when it was called
}

// A Request is what an attempt is to answer.
type Request struct {
	Room         chat.RoomID
	Chat         chat.Info
	Turn         chat.Turn
	Number       int // no other child of the room has it
	Tail         conversation.Tail
	Path         chat.Path      // of which the prompt is made
	Instructions string         // of the chat
	ToolsOff     chat.ToolNames // that are not offered in the chat

	Text  []byte // of the answer so far, if its run is read on
	Saved int    // bytes of that are on disk

	// Page returns the tools that pages of the asker offer now. It may be called from any
	// goroutine. Nil is none.
	Page func() []chat.Tool
}

// New returns an attempt below the actor self, whose mailbox tell reaches with an
// event of this attempt. It does nothing before it is started.
func New[M any](self *system.Self[M], o *Options, room Room, q Request, tell func(Event) M) *Attempt {
	ref := self.Ref()
	a := &Attempt{
		o: o, room: room, q: q, turn: q.Turn, tell: func(e Event) { ref.Tell(tell(e)) },
		spawn:  func(s system.Spec[message]) (system.Ref[message], error) { return system.SpawnChild(self, s) },
		window: make(chan struct{}, window), spent: new(spending),
	}
	a.calling.a, a.saving.a, a.run.a = a, a, a
	a.run.resume()
	return a
}

// Start asks the assistant, on the line if there is one. The attempt may have
// ended when Start returns: nothing may be left of a budget.
func (a *Attempt) Start(line Line) {
	late := chat.Refuse(chat.CodeProviderTimeout, fmt.Sprintf("the assistant did not finish within %s", a.o.Timeout))
	a.clock.start(a.o.Timeout, func() { a.tell(ended{err: late}) })
	a.trace()
	if spent := a.meter(); spent != nil {
		a.Finish(spent)
		return
	}
	a.line = line
	actor, err := a.spawn(system.Spec[message]{
		Name: "turn-" + strconv.Itoa(a.q.Number), Kind: "turn",
		New: func() system.Actor[message] {
			return &reader{o: a.o, q: a.q, context: a.context, onLine: line != nil, tell: a.tell, window: a.window, spent: a.spent}
		},
	})
	if err != nil {
		panic("turn: spawn: " + err.Error())
	}
	a.actor = actor
}

// Number returns the number of the attempt.
func (a *Attempt) Number() int { return a.q.Number }

// Turn returns the turn, with the model that answers.
func (a *Attempt) Turn() chat.Turn { return a.turn }

// Text returns the answer so far. It must not be changed.
func (a *Attempt) Text() []byte { return a.text }

// Thought returns what was thought so far. It must not be changed.
func (a *Attempt) Thought() []byte { return a.thought.text }

// Ended reports whether the answer has ended, on disk or not.
func (a *Attempt) Ended() bool { return a.end != nil }

// On reports whether the answer comes on the line.
func (a *Attempt) On(l Line) bool { return a.line != nil && a.line == l }

// OnLine reports whether the answer comes on a line.
func (a *Attempt) OnLine() bool { return a.line != nil }

// State returns what is known of the attempt besides its records.
func (a *Attempt) State() conversation.Running {
	now := conversation.Running{Turn: a.turn.ID, End: a.end, Tools: a.tools, Run: a.run.begun, RunGone: a.run.gone}
	a.calling.step.state(&now)
	return now
}

// Answer returns what was answered so far.
func (a *Attempt) Answer() conversation.Answer {
	answer := conversation.Answer{
		ModelID: a.turn.ModelID, Content: string(a.text), Thought: string(a.thought.text), Usage: a.used(), Cut: a.cut,
	}
	if a.spoken {
		answer.Modality = chat.ModalityAudio
	}
	return answer
}

// Handle takes an event of the attempt from the mailbox.
func (a *Attempt) Handle(e Event) {
	switch e := e.(type) {
	case piece:
		<-a.window
		a.Take(e.Delta)
	case ended:
		if a.run.gone {
			return
		}
		a.note = e.note
		a.finishOnce(e.err)
	case composed:
		a.composed(e)
	case asking:
		a.askLine(e)
	case stepped:
		a.calling.stepped(e.step)
	case began:
		a.run.began(e)
	case runGone:
		a.run.lost()
	case ran:
		a.calling.ran(e)
	case progressed:
		a.calling.progressed(e)
	case pause:
		a.pause(e)
	case overdrawn:
		a.finishOnce(e.why)
	case saveDue:
		a.saving.timer = nil
		a.saving.save()
	case saved:
		a.saving.done(e)
	}
}

// composed takes in what is known of the prompt.
func (a *Attempt) composed(c composed) {
	if c.err != nil {
		a.finishOnce(c.err)
		return
	}
	a.cut = c.Cut
	if a.end == nil {
		a.run.saidBefore(c.said)
	}
	a.room.Remember(c.Composed)
}

func (a *Attempt) pause(p pause) {
	if a.end != nil {
		p.answer <- nil
		return
	}
	a.room.TakeIn(p.answer)
}

// Take takes a piece of the answer.
func (a *Attempt) Take(d chat.Delta) {
	if a.end != nil || a.run.gone {
		return
	}
	if a.wanted != nil {
		a.wanted.add(d)
	}
	if !a.heard() {
		defer a.noteFirst()
	}
	a.progress(d)
	a.finish = cmp.Or(d.Finish, a.finish)
	if d.Usage.Credible() {
		a.usage = d.Usage.Plus(a.before)
	}
	if d.Tool != nil && len(a.tools) < maxTools {
		a.tools = append(a.tools, *d.Tool)
		a.room.Advance()
	}
	if d.Model != "" {
		if spent := a.substitute(); spent != nil {
			a.Finish(spent)
			return
		}
	}
	if d.Audio != "" {
		a.spoken = true
		a.room.Tell(chat.Speech{MessageID: a.turn.MessageID, Audio: d.Audio})
	}
	if text := strings.ToValidUTF8(d.Thought, "\uFFFD"); text != "" {
		a.think(text)
	}
	if text := strings.ToValidUTF8(d.Text, "\uFFFD"); text != "" && a.end == nil {
		if a.resumes {
			a.resumes, text = false, chat.Between(a.run.textBefore())+text
		}
		if text = a.run.unread(text); text != "" {
			a.say(text)
		}
	}
}

// heard reports whether something was heard of the answer.
func (a *Attempt) heard() bool { return a.spoken || len(a.text)+len(a.thought.text) > 0 }

// noteFirst tells how long it took until something was heard.
func (a *Attempt) noteFirst() {
	if a.heard() && a.o.FirstToken != nil {
		a.o.FirstToken(a.o.Timeout - time.Until(a.clock.deadline))
	}
}

// say tells the listeners a piece of the text at once. The text is recorded with the
// end of the turn.
func (a *Attempt) say(text string) {
	if len(a.thought.text)+len(a.text)+len(text) > a.o.MaxAnswerBytes {
		a.Finish(chat.Refuse(chat.CodeProviderError, "the answer is longer than this server allows"))
		return
	}
	a.room.Tell(chat.Text{Turn: a.turn, Before: a.text, Piece: text, Spoken: a.spoken})
	a.text = append(a.text, text...)
	a.saving.keep()
	if spent := a.spent.say(text); spent != nil {
		a.Finish(spent)
	}
}
