package actortest

import (
	"context"
	"iter"
	"slices"
	"sync"

	"parlor/protocol/chat"
)

// Models that are asked in sessions, which a test holds by hand.
const (
	ListeningModel      chat.ModelID = "listening-model"
	OtherListeningModel chat.ModelID = "other-listening-model"
)

// A Session is one that a room holds with one of them.
type Session struct {
	out chan told

	mu     sync.Mutex
	inputs []chat.Input
	over   bool
}

type told struct {
	delta chat.Delta
	err   error
	deaf  bool
}

// Sessions returns those that were begun so far.
func (a *Assistant) Sessions() []*Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sessions)
}

// hold serves a session until its context or its input ends.
func (a *Assistant) hold(ctx context.Context, p chat.Prompt) iter.Seq2[chat.Delta, error] {
	s := &Session{out: make(chan told)}
	a.mu.Lock()
	a.sessions = append(a.sessions, s)
	a.mu.Unlock()
	return func(yield func(chat.Delta, error) bool) {
		defer s.end()
		input := p.Input
		for {
			select {
			case in := <-input:
				s.mu.Lock()
				s.inputs = append(s.inputs, in)
				s.mu.Unlock()
			case t := <-s.out:
				if t.deaf {
					input = nil
					continue
				}
				if !yield(t.delta, t.err) || t.err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (s *Session) end() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
}

// Over reports whether the session has ended.
func (s *Session) Over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// Inputs returns what was put in since the last call.
func (s *Session) Inputs() []chat.Input {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.inputs
	s.inputs = nil
	return in
}

// Tell has the model tell something.
func (s *Session) Tell(d chat.Delta) { s.out <- told{delta: d} }

// Deafen has the session take in nothing more.
func (s *Session) Deafen() { s.out <- told{deaf: true} }

// Fail ends the session with an error.
func (s *Session) Fail(err error) { s.out <- told{err: err} }
