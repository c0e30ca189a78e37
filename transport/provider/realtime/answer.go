package realtime

import (
	"slices"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// maxAsks is how many answers may be wanted at once.
const maxAsks = 16

// An ask is an answer that is wanted.
type ask struct {
	chat.Ask
	told  bool                                // some of it was
	busy  int                                 // tries at which the provider was giving another one
	tries int                                 // that were in vain
	ended func(chat.State, *upstream.Failure) // nil until it was admitted
}

// A flight is the answer that the provider is giving. There is at most one on
// a connection, until the provider has ended it.
type flight struct {
	ask   *ask   // nil once nobody wants it any more
	key   string // of the message that it becomes
	event string // that asked for it
	id    string // of the response; empty until it was created
	pairs upstream.Joiner
	split upstream.Splitter
	calls []*call
	back  func(name string) string // leads from the name of a tool on the wire to that of people
}

// want takes in what is to be answered.
func (s *session) want(in chat.Ask) {
	a := &ask{Ask: in}
	if len(s.asks) >= maxAsks {
		s.out.put(chat.Delta{Answer: in.Answer, Ended: &chat.Ended{State: chat.StateFailed, Error: errBusy.Err}})
		return
	}
	if len(s.asks) == 0 { // somebody waits now
		s.hurry()
	}
	s.asks = append(s.asks, a)
}

// ask sends what the provider lacks of the conversation, and asks for the answer.
func (s *session) ask(a *ask) {
	prompt, back := s.told(a)
	instructions, messages := conversation(prompt.Messages)
	s.items.change(messages, s.send)
	if n := len(messages); n > 0 && s.items.find(messages[n-1].key) < 0 {
		s.end(a, chat.StateFailed, errUnheard)
		return
	}
	s.flight = &flight{ask: a, key: string(a.Answer), back: back}
	config := &responseConfig{Instructions: instructions, MaxTokens: s.prompt.MaxTokens}
	config.offer(prompt)
	s.flight.event = s.send(clientEvent{Type: "response.create", Response: config})
	s.patience.Reset(s.opts.FirstToken)
}

// admitted reports whether the answer may be asked for. One that may not has
// ended.
func (s *session) admitted(a *ask) bool {
	if s.gate == nil || a.ended != nil {
		return true
	}
	var err error
	if a.ended, err = s.gate.Admit(); err != nil {
		s.end(a, chat.StateFailed, &upstream.Failure{Err: chat.AsError(err)})
		return false
	}
	return true
}

// tellHealth tells how the provider fares, if that is news.
func (s *session) tellHealth(a *ask) {
	if s.gate == nil {
		return
	}
	if h := s.gate.Health(); h.State != s.health {
		s.health = h.State
		s.out.put(chat.Delta{Answer: a.Answer, Health: &h})
	}
}

// end tells the end of an answer that was wanted: if it failed, as f says.
func (s *session) end(a *ask, state chat.State, f *upstream.Failure) {
	s.asks = slices.DeleteFunc(s.asks, func(other *ask) bool { return other == a })
	if s.flight != nil && s.flight.ask == a {
		s.flight.ask = nil
		s.patience.Stop()
	}
	if a.ended != nil {
		a.ended(state, f)
	}
	s.tellHealth(a)
	e := chat.Ended{State: state}
	if f != nil {
		e.Error = f.Err
	}
	s.out.put(chat.Delta{Answer: a.Answer, Ended: &e})
}

// cancel ends an answer at once. The provider is told, and has to end it too
// before it is asked for the next one.
func (s *session) cancel(answer chat.MessageID) {
	i := slices.IndexFunc(s.asks, func(a *ask) bool { return a.Answer == answer })
	if i < 0 {
		return
	}
	a := s.asks[i]
	flying := s.flight != nil && s.flight.ask == a
	s.end(a, chat.StateStopped, nil)
	if flying {
		s.recall()
	}
}

// fail ends the answer that the provider is giving, which is not wanted then.
func (s *session) fail(f *upstream.Failure) {
	if s.flight == nil || s.flight.ask == nil {
		return
	}
	s.end(s.flight.ask, chat.StateFailed, f)
	s.recall()
}

// recall cancels the response. One that has not been created cannot be: the
// provider would ignore that and give it nevertheless.
func (s *session) recall() {
	if s.flight.id != "" {
		s.send(clientEvent{Type: "response.cancel", ResponseID: s.flight.id})
	}
	s.overdue.Reset(s.opts.Cancel)
}

// late ends an answer that does not go on. A provider that is silent in one is
// not asked on the same connection for another.
func (s *session) late() {
	f := s.flight
	switch {
	case f == nil || f.ask == nil:
		return
	case f.called(): // Azure never says that such an answer has ended
		s.done(&response{ID: f.id, Status: "completed"})
		return
	}
	s.end(f.ask, chat.StateFailed, errTimeout)
	s.drop(errTimeout)
}

// created names the response that was asked for.
func (s *session) created(r *response) {
	f := s.flight
	if f == nil || f.id != "" {
		return
	}
	f.id = r.ID
	if f.ask == nil {
		s.recall()
	}
}

// speaks returns the ask that the response answers, if it is wanted.
func (s *session) speaks(id string) *ask {
	if f := s.flight; f != nil && f.id == id {
		return f.ask
	}
	return nil
}

// text passes on a piece of the answer that may have been cut in an emoji, and
// may be thought.
func (s *session) text(response string, t upstream.Text) {
	if f := s.flight; f != nil && f.id == response {
		thought, text := f.split.Split(f.pairs.Join(t))
		s.piece(response, chat.Delta{Thought: thought, Text: text})
	}
}

// rest passes on what was held back of the answer.
func (s *session) rest(f *flight) {
	before, begun := f.split.Split(f.pairs.Rest())
	thought, text := f.split.Rest()
	s.piece(f.id, chat.Delta{Thought: before + thought, Text: begun + text})
}

// piece passes on a piece of the answer.
func (s *session) piece(response string, d chat.Delta) {
	a := s.speaks(response)
	if a == nil || size(d) == 0 {
		return
	}
	a.told = a.told || d.Answers()
	s.patience.Reset(s.opts.Silence)
	d.Answer = a.Answer
	if !s.out.put(d) {
		s.fail(errSlow)
	}
}

// produced notes the item that the answer becomes.
func (s *session) produced(e *serverEvent) {
	if f := s.flight; f != nil && f.id == e.ResponseID && e.Item.Type == "message" && s.items.find(f.key) < 0 {
		s.items = append(s.items, item{key: f.key, id: e.Item.ID})
	}
}

// done ends the flight, and the answer if it is still wanted.
func (s *session) done(r *response) {
	f := s.flight
	if f == nil || f.id != r.ID {
		return
	}
	s.overdue.Stop()
	s.rest(f)
	for _, i := range r.output() {
		s.callItem(r.ID, i, true)
	}
	if a := f.ask; a != nil {
		state, failure := s.ended(r)
		if state == chat.StateCompleted {
			s.tellCalls(f)
		}
		d := chat.Delta{Answer: a.Answer, Usage: r.usage()}
		if state == chat.StateCompleted {
			d.Finish = r.finish()
		}
		if d.Usage != nil || d.Finish != "" {
			s.out.put(d)
		}
		s.end(a, state, failure)
	}
	s.flight = nil
}

// ended says what the end of a response means. One that was cut by a limit or by
// a filter is an answer, as in other protocols.
func (s *session) ended(r *response) (chat.State, *upstream.Failure) {
	switch {
	case r.Status == "completed", r.Status == "incomplete" && r.Details.Error == nil && r.finish() != chat.FinishStop:
		return chat.StateCompleted, nil
	case r.Status == "cancelled":
		return chat.StateStopped, nil
	}
	return chat.StateFailed, s.unfinished(r)
}
