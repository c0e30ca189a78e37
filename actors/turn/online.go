package turn

import (
	"context"

	"parlor/protocol/chat"
)

// A wanted answer is one that the line gives. The room takes it in piece by piece, and the
// reader gets it as a whole.
type wanted struct {
	said
	answer chan<- *said
}

// askLine asks the model on the line.
func (a *Attempt) askLine(e asking) {
	if a.end != nil {
		return
	}
	if a.line == nil {
		a.line = a.room.Redial()
	}
	if a.line == nil {
		a.Finish(a.lineLost)
		return
	}
	a.wanted = &wanted{said{model: e.Model}, e.answer}
	a.line.Ask(a.turn.MessageID, e.Prompt)
}

// onTheLine has the room ask the model on its line, and waits for the answer.
func (r *reader) onTheLine(ctx context.Context, prompt chat.Prompt) (*said, error) {
	answer := make(chan *said, 1)
	r.tell(asking{prompt, answer})
	select {
	case whole := <-answer:
		return whole, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
