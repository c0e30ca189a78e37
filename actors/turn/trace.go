package turn

import (
	"context"

	"parlor/protocol/chat"
)

// A Tracer follows attempts at turns, for the operator. Its methods, and what they return,
// are called on the goroutines of rooms, many at once, and must not block.
type Tracer interface {
	// Begin is called when an attempt begins. What is asked of models and tools for it has
	// the context, which never ends. The function end is called once, with the end of the
	// turn, or with no state if the attempt ends before its turn.
	Begin(in chat.Info, t chat.Turn) (ctx context.Context, end func(chat.TurnEnded))

	// Called is called when a page begins to run a call, and end when that is over.
	Called(ctx context.Context, c chat.ToolCall) (end func())
}

// trace begins to follow the attempt.
func (a *Attempt) trace() {
	a.context, a.traced = context.Background(), func(chat.TurnEnded) {}
	if a.o.Tracer != nil {
		a.context, a.traced = a.o.Tracer.Begin(a.q.Chat, a.turn)
	}
}

// runOnPage has a page run a call. The returned function ends that, and may be called again.
func (a *Attempt) runOnPage(c chat.ToolCall) func() {
	cancel := a.room.RunOnPage(c)
	if a.o.Tracer == nil {
		return cancel
	}
	end := a.o.Tracer.Called(a.context, c)
	return func() {
		cancel()
		end()
	}
}

// endTrace ends that. Only the first call does anything.
func (a *Attempt) endTrace(end chat.TurnEnded) {
	if a.traced != nil {
		a.traced(end)
		a.traced = nil
	}
}
