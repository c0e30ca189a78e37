package actortest

import (
	"context"
	"iter"
	"sync"
	"time"

	"parlor/protocol/chat"
)

// A Background is an answer that goes on whether or not it is read: a piece each time that Every has
// passed.
type Background struct {
	ID     string
	Pieces []string
	Every  time.Duration

	mu        sync.Mutex
	began     time.Time
	reads     int
	gone      bool
	cancelled bool
}

// Begin has a question answered by a run.
func (a *Assistant) Begin(question string, r *Background) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.runs == nil {
		a.runs = make(map[string]*Background)
	}
	a.runs[question] = r
}

// Lose has the provider forget the run.
func (r *Background) Lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
}

// Reads returns how often the run was read, and whether it was cancelled.
func (r *Background) Reads() (n int, cancelled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads, r.cancelled
}

func (r *Background) begin(ctx context.Context) iter.Seq2[chat.Delta, error] {
	r.mu.Lock()
	r.began, r.gone, r.cancelled = time.Now(), false, false
	r.mu.Unlock()
	return func(yield func(chat.Delta, error) bool) {
		if yield(chat.Delta{Run: &chat.Run{ID: r.ID}}, nil) {
			r.read(ctx, yield)
		}
	}
}

// read yields the answer from its beginning on, as far as it is given, and the rest as it comes.
func (r *Background) read(ctx context.Context, yield func(chat.Delta, error) bool) {
	r.mu.Lock()
	r.reads++
	due := r.began
	r.mu.Unlock()
	for _, piece := range r.Pieces {
		due = due.Add(r.Every)
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			yield(chat.Delta{}, ctx.Err())
			return
		}
		if !yield(chat.Delta{Text: piece}, nil) {
			return
		}
	}
	yield(chat.Delta{Finish: chat.FinishStop, Usage: &chat.Usage{PromptTokens: 2, CompletionTokens: 3, TotalTokens: 5}}, nil)
}

func (a *Assistant) find(id string) *Background {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.runs {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func (a *Assistant) readOn(ctx context.Context, of chat.Run) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		r := a.find(of.ID)
		r.mu.Lock()
		gone := r.gone
		r.mu.Unlock()
		if gone {
			yield(chat.Delta{}, chat.ErrRunGone)
			return
		}
		r.read(ctx, yield)
	}
}

// CancelRun implements turn.Runs.
func (a *Assistant) CancelRun(_ context.Context, of chat.Run) error {
	r := a.find(of.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancelled = true
	return nil
}
