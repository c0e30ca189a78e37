package turn

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A reader is the actor that owns the goroutine which reads the provider's
// stream: whatever ends the room ends it too.
type reader struct {
	o       *Options
	q       Request
	context context.Context
	onLine  bool // the room asks the model, and gets the answer
	tell    func(Event)
	window  chan struct{}
	spent   *spending

	names  conversation.Names // of who speaks in the prompt
	sees   bool               // the model does
	left   int                // tokens, for the files of what is said meanwhile
	only   []string           // tools that may be called; nil: all that are offered
	tokens int                // of the prompt
	page   []chat.Tool        // that pages of the asker offer, or have offered
	cancel context.CancelCauseFunc
}

// Started implements system.Actor.
func (r *reader) Started(*system.Self[message]) {
	ctx, cancel := context.WithCancelCause(r.context)
	r.cancel = cancel
	r.o.Goroutines.Go(func() {
		defer cancel(nil)
		note, err := r.stream(ctx)
		r.tell(ended{err, note})
	})
}

// Receive implements system.Actor.
func (r *reader) Receive(message) {}

// Stopping implements system.Actor. It does not wait for the stream, which may hang.
func (r *reader) Stopping() { r.cancel(nil) }

// stream passes the answer on to the room. A provider that panics fails this
// turn and nothing else.
func (r *reader) stream(ctx context.Context) (note string, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Logger.Error("provider panicked", "model", r.q.Turn.ModelID, "panic", p, "stack", string(debug.Stack()))
			err = chat.Refuse(chat.CodeInternal, "the assistant failed")
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	return r.converse(ctx)
}

// converse asks the model step by step, until it calls no tool any more. The note says why it
// was told to call no more, if it was.
func (r *reader) converse(ctx context.Context) (note string, err error) {
	prompt, taken, err := r.compose(ctx)
	if err != nil {
		return "", err
	}
	prompt.Steer = func() []chat.PromptMessage { return r.steer(ctx) }
	links := chain{steps: taken.Len()}
	r.resume(ctx, &taken)
	prompt.Messages = append(prompt.Messages, taken.Messages()...)
	if taken.Len() > 0 {
		prompt.Choice = taken.Choice()
	}
	prompt.Resumable = true
	if run := r.q.Turn.Run; run.ID != "" {
		prompt.Model, prompt.Run = run.Model, &run
	}
	for {
		prompt.Tools = r.tools()
		prompt.NoCalls = links.ended()
		if refusal := prompt.Choice.Within(prompt.Tools); refusal != nil && !prompt.NoCalls {
			return "", refusal
		}
		answer, err := r.ask(ctx, prompt)
		if errors.Is(err, chat.ErrRunGone) {
			r.tell(runGone{})
			<-ctx.Done()
		}
		if err != nil {
			return "", err
		}
		prompt.Model, prompt.Run = r.q.Turn.ModelID, nil
		next := r.called(answer, &links)
		if next == nil {
			return links.note(), nil
		}
		outcomes := r.outcomesOf(ctx, next)
		more := append(messagesOf(next.ToolsCalled, outcomes), prompt.Steer()...)
		if err := r.pay(ctx, more); err != nil {
			return "", err
		}
		prompt.Messages, prompt.Choice = append(prompt.Messages, more...), conversation.ChoiceOf(outcomes)
	}
}

// mayCall reports whether the asker may have a tool called, and whether the chat and the message
// leave it to the answer.
func (r *reader) mayCall(tool string) bool {
	if !r.o.Tools.Allows(r.q.Turn.By, tool) || r.q.ToolsOff.Has(tool) {
		return false
	}
	return r.only == nil || slices.ContainsFunc(r.only, func(name string) bool { return chat.MeansTool(name, tool) })
}

// tools returns what the model may call in the next step. The tools of a page stay when it
// has gone: the steps before have called them, and another page may come.
func (r *reader) tools() []chat.Tool {
	if r.q.Page != nil {
		now := r.q.Page()
		gone := slices.DeleteFunc(r.page, func(t chat.Tool) bool {
			return slices.ContainsFunc(now, func(other chat.Tool) bool { return other.Name == t.Name })
		})
		r.page = append(gone, now...)
	}
	return slices.DeleteFunc(r.o.Tools.Offered(r.q.Turn.ModelID, r.page), func(t chat.Tool) bool { return !r.mayCall(t.Name) })
}

// ask asks the model, and passes on what it answers.
func (r *reader) ask(ctx context.Context, prompt chat.Prompt) (*said, error) {
	if r.onLine {
		return r.onTheLine(ctx, prompt)
	}
	answer := &said{model: prompt.Model}
	for d, err := range r.o.Provider.Stream(ctx, prompt) {
		if err != nil {
			return nil, err
		}
		answer.add(d)
		if d.Run != nil && !r.record(ctx, *d.Run) {
			return nil, context.Cause(ctx)
		}
		select {
		case r.window <- struct{}{}:
			r.tell(piece{d})
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return answer, nil
}

// record has the room record a run, and waits until that is on disk.
func (r *reader) record(ctx context.Context, run chat.Run) bool {
	recorded := make(chan struct{})
	r.tell(began{run, recorded})
	select {
	case <-recorded:
		return true
	case <-ctx.Done():
		return false
	}
}

// resume goes on with the steps of earlier attempts. If calls of the last one have not ended,
// it waits for them.
func (r *reader) resume(ctx context.Context, taken *conversation.Steps) {
	if last, outcomes, open := taken.Last(); open {
		s := &step{ToolsCalled: last, number: taken.Len(), recorded: true, outcomes: outcomes}
		for _, o := range outcomes {
			s.keep(o.CallID)
		}
		for _, o := range r.outcomesOf(ctx, s) {
			taken.Add(o)
		}
		taken.Replace(s.ToolsCalled)
	}
}

// pay counts what is added to the prompt of the next step, with all that it repeats.
func (r *reader) pay(ctx context.Context, more []chat.PromptMessage) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.tokens += chat.Prompt{Messages: more}.Tokens()
	if spent := r.spent.ask(r.tokens); spent != nil {
		return spent
	}
	return nil
}

// compose makes the prompt, counts it, and tells the room of it.
func (r *reader) compose(ctx context.Context) (chat.Prompt, conversation.Steps, error) {
	model, _ := r.o.Models.Model(r.q.Turn.ModelID)
	p, err := conversation.Compose(ctx, conversation.Question{
		Turn: r.q.Turn, Models: r.o.Models, Window: r.o.ContextWindow, Path: r.q.Path, FileShare: r.o.FileShare,
		System: conversation.SystemPrompt(time.Now(), r.o.SystemPrompt, model.SystemPrompt, guides(r.tools()), r.q.Instructions),
	}, r.q.Tail, func(before uint64) iter.Seq2[persistence.Entry, error] {
		return r.o.Log.ReadBack(string(r.q.Room), before)
	})
	r.names, r.sees, r.left, r.only = p.Names, model.Vision, p.Left, p.OnlyTools
	r.page = append(chat.RequestedTools(p.Brought), r.page...)
	var taken conversation.Steps
	if err == nil {
		err = r.load(p.Messages)
	}
	if err == nil {
		taken, err = conversation.StepsOf(ctx, r.q.Turn, func(after uint64) iter.Seq2[persistence.Entry, error] {
			return r.o.Log.Read(string(r.q.Room), after)
		})
	}
	if err == nil {
		r.tokens = p.Tokens + chat.Prompt{Messages: taken.Messages()}.Tokens()
		if spent := r.spent.ask(r.tokens); spent != nil {
			err = spent
		}
	}
	r.tell(composed{p, taken.Text(), err})
	return p.Prompt, taken, err
}

// steer is [chat.Prompt]'s: it returns what people said meanwhile. If a message
// cannot be read the turn fails: the room already counts it as taken in.
func (r *reader) steer(ctx context.Context) (said []chat.PromptMessage) {
	answer := make(chan []conversation.Steering, 1)
	r.tell(pause{answer})
	select {
	case list := <-answer:
		for _, s := range list {
			m, err := conversation.MessageOf(ctx, r.o.Log.Read(string(r.q.Room), s.Seq-1))
			if err != nil || m.Author == nil { // with the chat it is gone
				r.cancel(cmp.Or[error](err, conversation.ErrNoMessage))
				return nil
			}
			r.names.Add(*m.Author)
			one := chat.PromptMessage{ID: m.ID, Role: m.Role, Content: r.names.Say(m.Author.ID, m.Content), Sources: conversation.Sources(m.Files, r.sees, &r.left)}
			if err := r.loadOne(&one); err != nil {
				r.cancel(err)
				return nil
			}
			said = append(said, one)
		}
	case <-ctx.Done():
	}
	return said
}
