package provider

import (
	"context"
	"iter"
	"slices"

	"parlor/protocol/chat"
	"parlor/transport/provider/realtime"
)

// sessions are backends whose sessions are guarded answer by answer.
type sessions interface {
	Session(ctx context.Context, p chat.Prompt, g realtime.Gate) iter.Seq2[chat.Delta, error]
}

// Stream asks the model that p names and yields the answer piece by piece. If
// it fails before the first word, its fallbacks are asked instead, which is
// told by a delta with Retrying and Model.
//
// It ends after the last piece or after one error: a [*chat.Error] in the
// chain ([chat.CodeNotFound] for a model that is not here, else
// [chat.CodeProviderError] or [chat.CodeProviderTimeout]), or the cause of
// ctx when that ended. It blocks in the yield for as long as the consumer
// does, and reads no further meanwhile.
func (m *Models) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	e, refusal := m.asked(p.Model)
	switch {
	case refusal != nil:
		return func(yield func(chat.Delta, error) bool) { yield(chat.Delta{}, refusal) }
	case p.Input != nil: // sessions reconnect by themselves
		p.Model, p.MaxTokens = e.upstream, e.model.MaxTokens
		if s, ok := e.backend.(sessions); ok {
			return s.Session(ctx, p, e.guard)
		}
		return e.backend.Stream(ctx, p)
	}
	if p.Run != nil {
		return func(yield func(chat.Delta, error) bool) {
			if err := e.readOn(ctx, p, yield); err != nil {
				yield(chat.Delta{}, err)
			}
		}
	}
	return func(yield func(chat.Delta, error) bool) { m.stream(ctx, e, p, yield) }
}

// runs are backends whose answers go on when nobody reads them.
type runs interface {
	CancelRun(ctx context.Context, r chat.Run) error
}

// readOn yields the rest of a run. Nobody else is asked in its place.
func (e entry) readOn(ctx context.Context, p chat.Prompt, yield func(chat.Delta, error) bool) error {
	if _, ok := e.backend.(runs); !ok {
		return chat.ErrRunGone // the model was configured otherwise when it was asked
	}
	_, _, err := e.pass(ctx, p, false, yield)
	return err
}

// CancelRun ends an answer that its provider gives whether or not it is read.
func (m *Models) CancelRun(ctx context.Context, r chat.Run) error {
	e, refusal := m.asked(r.Model)
	if refusal != nil {
		return refusal
	}
	if backend, ok := e.backend.(runs); ok {
		return backend.CancelRun(ctx, r)
	}
	return nil
}

// stream asks e and then its fallbacks.
func (m *Models) stream(ctx context.Context, e entry, p chat.Prompt, yield func(chat.Delta, error) bool) {
	rest := e.fallbacks
	for {
		next, behind := m.next(rest)
		begun, left, err := e.pass(ctx, p, next != nil, yield)
		if left || err == nil {
			return
		}
		if begun || ctx.Err() != nil || next == nil {
			yield(chat.Delta{}, err)
			return
		}
		if !yield(chat.Delta{Retrying: chat.AsError(err), Model: next.model.ID}, nil) {
			return
		}
		e, rest = *next, behind
	}
}

// next returns the first of the fallbacks that can be asked, and those behind it.
func (m *Models) next(fallbacks []chat.ModelID) (next *entry, behind []chat.ModelID) {
	for i, id := range fallbacks {
		if e, refusal := m.asked(id); refusal == nil {
			return &e, fallbacks[i+1:]
		}
	}
	return nil, nil
}

// pass yields the answer of one model, but for its error. With a substitute it
// does not wait while the model is busy.
func (e entry) pass(ctx context.Context, p chat.Prompt, substitute bool, yield func(chat.Delta, error) bool) (begun, left bool, err error) {
	p = e.visible(p)
	p.Messages = e.ownThought(p.Messages)
	p.Model = e.upstream
	if limit := e.model.MaxTokens; limit > 0 && (p.MaxTokens == 0 || limit < p.MaxTokens) {
		p.MaxTokens = limit
	}
	answer := e.backend.Stream
	if e.guard != nil {
		answer = func(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
			return e.guard.Stream(ctx, e.backend, p, substitute)
		}
	}
	for d, err := range answer(ctx, p) {
		if err != nil {
			return begun, false, err
		}
		begun = begun || d.Answers()
		if !yield(d, nil) {
			return begun, true, nil
		}
	}
	return begun, false, nil
}

// ownThought returns the messages without what other models thought, which e would not
// understand, or refuse.
func (e entry) ownThought(messages []chat.PromptMessage) []chat.PromptMessage {
	foreign := func(m chat.PromptMessage) bool { return len(m.Calls) > 0 && m.Model != e.model.ID }
	if !slices.ContainsFunc(messages, foreign) {
		return messages
	}
	messages = slices.Clone(messages)
	for i, m := range messages {
		if foreign(m) {
			m.Thought, m.Back, m.Calls = "", nil, slices.Clone(m.Calls)
			for j := range m.Calls {
				m.Calls[j].Back = nil
			}
			messages[i] = m
		}
	}
	return messages
}
