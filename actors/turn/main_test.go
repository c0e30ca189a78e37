package turn_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"parlor/actors/conversation"
	"parlor/actors/system"
	"parlor/actors/turn"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A message is what the mailbox of a room accepts here: an event of its attempt,
// or something that the test does in its place.
type message any

// A room is one with an attempt, and nothing else. It notes what the attempt has
// it do. Its fields belong to its goroutine.
type room struct {
	self    *system.Self[message]
	attempt *turn.Attempt

	notes []string
	ended *chat.TurnEnded
	saves []func(error) // that have not come to an end
	tail  conversation.Tail
	spare turn.Line // for when one was lost
}

func (r *room) Started(self *system.Self[message]) { r.self = self }
func (r *room) Stopping()                          {}
func (r *room) Receive(m message) {
	switch m := m.(type) {
	case turn.Event:
		r.attempt.Handle(m)
	case func():
		m()
	}
}

func (r *room) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// The methods of turn.Room.
func (r *room) Tell(n chat.Notice) {
	switch n := n.(type) {
	case chat.Text:
		r.note("text %q behind %d bytes", n.Piece, len(n.Before))
	case chat.Thought:
		r.note("thought %q behind %d bytes", n.Piece, len(n.Before))
	case chat.Progress:
		r.note("progress: retrying %v, model %q", n.Retrying, n.Model)
	default:
		r.note("%T", n)
	}
}

func (r *room) RunOnPage(c chat.ToolCall) func() {
	r.note("%s on a page", c.Name)
	return func() {}
}

func (r *room) Advance() {
	state := r.attempt.State()
	r.ended = state.End
	r.note("advance, with %d tools, ended %v", len(state.Tools), state.End != nil)
}

func (r *room) End(t chat.Turn) chat.TurnEnded {
	a := r.attempt.Answer()
	return chat.TurnEnded{TurnID: t.ID, ModelID: a.ModelID, Content: a.Content, Thought: a.Thought, Usage: a.Usage, Modality: a.Modality}
}

func (r *room) Save(text []byte, behind int, done func(error) turn.Event) {
	ref := r.self.Ref()
	r.note("save %q behind %d bytes", text, behind)
	r.saves = append(r.saves, func(err error) { ref.Tell(done(err)) })
}

func (r *room) TakeIn(answer chan<- []conversation.Steering) {
	r.note("take in")
	answer <- nil
}

func (r *room) Approved(string) bool { return false }
func (r *room) Waiting(string) bool  { return false }

func (r *room) Redial() turn.Line { r.note("redial"); return r.spare }

func (r *room) Remember(p conversation.Composed) { r.note("remember %d tokens", p.Tokens) }

// provider answers as a function does.
type provider func(ctx context.Context, p chat.Prompt, say func(chat.Delta) bool) error

func (f provider) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		more := true
		err := f(ctx, p, func(d chat.Delta) bool {
			more = more && yield(d, nil)
			return more
		})
		if more && err != nil {
			yield(chat.Delta{}, err)
		}
	}
}

// pause waits for d, and reports false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// models has every model, and nobody is called by a name.
type models struct{}

func (models) Model(id chat.ModelID) (chat.Model, bool)   { return chat.Model{ID: id}, true }
func (models) Refusal(chat.ModelID) *chat.Error           { return nil }
func (models) Named(string) (id chat.ModelID, named bool) { return "", false }

// log is an event log that holds nothing.
type log struct{}

func (log) Read(string, uint64) iter.Seq2[persistence.Entry, error] {
	return func(func(persistence.Entry, error) bool) {}
}

func (log) File(string, string) (persistence.File, error) {
	return persistence.File{}, persistence.ErrNotFound
}

func (log) Chunks(string, persistence.File, int64) iter.Seq2[[]byte, error] { return nil }

func (log) ReadBack(string, uint64) iter.Seq2[persistence.Entry, error] {
	return func(func(persistence.Entry, error) bool) {}
}

// attempt lets f have a room in a bubble, with an attempt that is not started. p
// answers.
func attempt(t *testing.T, p provider, change func(*turn.Options), f func(r *room)) {
	synctest.Test(t, func(t *testing.T) {
		o := &turn.Options{
			Provider: p, Tools: turn.NoTools{}, Models: models{}, Log: log{}, Logger: slog.New(slog.DiscardHandler), ContextWindow: 1000, MaxAnswerBytes: 100,
			Timeout: time.Minute, CheckpointEvery: time.Second, CheckpointBytes: 50, Goroutines: new(sync.WaitGroup),
		}
		if change != nil {
			change(o)
		}
		r := &room{tail: conversation.NewTail(0)}
		r.tail.Add(chat.Record{Seq: 1, Event: chat.MessageAdded{MessageID: "prompt", Content: "hello"}})
		ref, err := system.Spawn(system.New(nil), system.Spec[message]{New: func() system.Actor[message] { return r }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			ref.Stop()
			o.Goroutines.Wait()
			synctest.Wait()
		}()
		synctest.Wait()
		r.do(func() {
			r.attempt = turn.New(r.self, o, r, turn.Request{
				Room: "room", Turn: chat.Turn{ID: "t", Prompt: "prompt", PromptSeq: 1, ModelID: "m", By: "alice", MessageID: "answer", Attempt: 1},
				Number: 1, Tail: r.tail,
			}, func(e turn.Event) message { return e })
		})
		f(r)
	})
}

// do does something on the room's goroutine, and waits until everything is at rest.
func (r *room) do(f func()) {
	r.self.Ref().Tell(f)
	synctest.Wait()
}

func (r *room) start(line turn.Line) { r.do(func() { r.attempt.Start(line) }) }

// noted returns what was noted since it was asked last.
func (r *room) noted() (notes []string) {
	r.do(func() { notes, r.notes = r.notes, nil })
	return notes
}

// end returns the end of the attempt, or nil.
func (r *room) end() (e *chat.TurnEnded) {
	r.do(func() { e = r.ended })
	return e
}
