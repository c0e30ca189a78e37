package voice_test

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
	"parlor/actors/voice"
	"parlor/protocol/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A message is what the mailbox of a room accepts here: an event of its voice, or
// something that the test does in its place.
type message any

// A room is one in which people speak, and no turn runs. Its fields belong to its
// goroutine.
type room struct {
	self     *system.Self[message]
	voice    *voice.Voice
	children int
	advanced int
	head     conversation.State
}

func (r *room) Started(self *system.Self[message]) { r.self = self }
func (r *room) Stopping()                          {}
func (r *room) Receive(m message) {
	switch m := m.(type) {
	case voice.Event:
		r.voice.Handle(m)
	case func():
		m()
	}
}

// The methods of voice.Room.
func (r *room) Number() int            { r.children++; return r.children }
func (r *room) Attempt() *turn.Attempt { return nil }
func (r *room) Advance()               { r.advanced++ }

// do does something on the room's goroutine, and waits until everything is at rest.
func (r *room) do(f func()) {
	r.self.Ref().Tell(f)
	synctest.Wait()
}

// ears is a provider of models that listen. It notes what its sessions are given,
// and says what it is told to.
type ears struct {
	mu    sync.Mutex
	notes []string
	deaf  bool            // no session takes in anything
	say   chan chat.Delta // by the session that runs
	fail  chan error      // ends it
}

func (e *ears) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// noted returns what was noted since it was asked last, when everything is at rest.
func (e *ears) noted() []string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	notes := e.notes
	e.notes = nil
	return notes
}

func (e *ears) Stream(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	return func(yield func(chat.Delta, error) bool) {
		e.note("session with %s", p.Model)
		defer e.note("end of a session with %s", p.Model)
		inputs := p.Input
		if e.deaf {
			inputs = nil
		}
		for {
			select {
			case in := <-inputs:
				e.note("%T", in)
			case d := <-e.say:
				if !yield(d, nil) {
					return
				}
			case err := <-e.fail:
				yield(chat.Delta{}, err)
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// models are all there are: those whose names begin with "ear" listen.
type models struct{}

func (models) Model(id chat.ModelID) (chat.Model, bool) {
	m := chat.Model{ID: id}
	if len(id) >= 3 && id[:3] == "ear" {
		m.APISource = chat.SourceRealtime
	}
	return m, true
}
func (models) Refusal(chat.ModelID) *chat.Error           { return nil }
func (models) Named(string) (id chat.ModelID, named bool) { return "", false }

// speaking lets f have a room with a voice in a bubble.
func speaking(t *testing.T, f func(r *room, e *ears)) {
	synctest.Test(t, func(t *testing.T) {
		e := &ears{say: make(chan chat.Delta), fail: make(chan error)}
		o := &voice.Options{
			Provider: e, Models: models{}, Logger: slog.New(slog.DiscardHandler), Goroutines: new(sync.WaitGroup),
			MaxAudioBytes: 10, MaxMessageBytes: 8, MaxUnheard: 2, HearTimeout: 10 * time.Second, LineIdle: time.Minute,
		}
		r := &room{head: conversation.State{Chat: chat.Info{ModelID: "ear"}}}
		ref, err := system.Spawn(system.New(nil), system.Spec[message]{New: func() system.Actor[message] { return r }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			r.do(r.voice.Silence)
			ref.Stop()
			o.Goroutines.Wait()
			synctest.Wait()
		}()
		synctest.Wait()
		r.do(func() { r.voice = voice.New(r.self, o, r, func(e voice.Event) message { return e }) })
		f(r, e)
	})
}
