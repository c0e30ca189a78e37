package turn

import (
	"cmp"
	"context"
	"iter"
	"runtime/debug"
	"time"

	"parlor/actors/conversation"
	"parlor/actors/system"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// A reader is the actor that owns the goroutine which reads the provider's
// stream: whatever ends the room ends it too.
type reader struct {
	o      *Options
	q      Request
	onLine bool // the reader only composes the prompt
	tell   func(Event)
	window chan struct{}
	spent  *spending

	names  conversation.Names // of who speaks in the prompt
	sees   bool               // the model does
	left   int                // tokens, for the files of what is said meanwhile
	cancel context.CancelCauseFunc
}

// Started implements system.Actor.
func (r *reader) Started(*system.Self[message]) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel = cancel
	r.o.Goroutines.Go(func() {
		defer cancel(nil)
		if r.onLine {
			r.compose(ctx)
			return
		}
		r.tell(ended{r.stream(ctx)})
	})
}

// Receive implements system.Actor.
func (r *reader) Receive(message) {}

// Stopping implements system.Actor. It does not wait for the stream, which may hang.
func (r *reader) Stopping() { r.cancel(nil) }

// stream passes the answer on to the room. A provider that panics fails this
// turn and nothing else.
func (r *reader) stream(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Logger.Error("provider panicked", "model", r.q.Turn.ModelID, "panic", p, "stack", string(debug.Stack()))
			err = chat.Refuse(chat.CodeInternal, "the assistant failed")
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	prompt, err := r.compose(ctx)
	if err != nil {
		return err
	}
	prompt.Steer = func() []chat.PromptMessage { return r.steer(ctx) }
	for d, err := range r.o.Provider.Stream(ctx, prompt) {
		if err != nil {
			return err
		}
		select {
		case r.window <- struct{}{}:
			r.tell(piece{d})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// compose makes the prompt, counts it, and tells the room of it.
func (r *reader) compose(ctx context.Context) (chat.Prompt, error) {
	model, _ := r.o.Models.Model(r.q.Turn.ModelID)
	p, err := conversation.Compose(ctx, conversation.Question{
		Turn: r.q.Turn, Models: r.o.Models, Window: r.o.ContextWindow, Path: r.q.Path, FileShare: r.o.FileShare,
		System: conversation.SystemPrompt(time.Now(), r.o.SystemPrompt, model.SystemPrompt, r.q.Instructions),
	}, r.q.Tail, func(before uint64) iter.Seq2[persistence.Entry, error] {
		return r.o.Log.ReadBack(string(r.q.Room), before)
	})
	r.names, r.sees, r.left = p.Names, model.Vision, p.Left
	if err == nil {
		err = r.load(p.Messages)
	}
	if err == nil {
		if spent := r.spent.ask(p.Tokens); spent != nil {
			err = spent
		}
	}
	r.tell(composed{p, err})
	return p.Prompt, err
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
