package chaos

import (
	"fmt"
	"maps"
	"strings"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// A view is what a visitor makes of what it is told of a room. Its errors are
// what no client could make sense of: a record that is missing, out of order or
// told twice, also over the visitor's own returns; a piece of an answer that
// does not continue it; an answer that is not what was streamed.
//
// A record is told in one or more steps, of which those with a number are
// counted, so that a connection that ends between two steps is no excuse.
type view struct {
	room   chat.RoomID
	joined bool // on the present connection
	epoch  string

	seq   uint64 // all records up to here are known
	steps int    // of the one that follows

	repeated uint64 // records up to here are told again since the view has resumed

	own map[uint64]*send // acknowledged, ahead of seq or passed

	lost    []string // calls that the end of the server has cut, of which nobody has decided perhaps
	running chat.TurnID
	answer  stream
	behind  bool // since a return nothing has shown that all is told live
}

// A stream is the answer that is being streamed, or was last.
type stream struct {
	id     chat.MessageID
	text   []byte
	length int   // in UTF-16 code units
	again  bool  // it is not the first attempt
	missed bool  // pieces may have been missed since
	faults int64 // of the run when it began
}

func newView(room chat.RoomID) *view {
	return &view{room: room, own: make(map[uint64]*send)}
}

// enter begins the view anew where the visitor has joined.
func (v *view) enter(j assistant.RoomJoined, faults int64) {
	maps.DeleteFunc(v.own, func(seq uint64, _ *send) bool { return seq <= j.Seq })
	*v = view{room: v.room, joined: true, epoch: j.Epoch, seq: j.Seq, own: v.own}
	v.passOwn()
	for _, p := range j.Pending {
		v.lost = append(v.lost, p.CallID)
	}
	if t := j.Turn; t != nil {
		v.running = t.TurnID
		v.answer = stream{id: t.MessageID, text: []byte(t.Content), length: assistant.Length(t.Content), faults: faults}
	}
}

// resume goes on where the view has got to. What is repeated is told with the
// visitor's own messages, unless the connection is lost meanwhile and recovered:
// then they have been told by their acknowledgements alone.
func (v *view) resume(j assistant.RoomJoined) error {
	switch {
	case j.Epoch != v.epoch:
		return fmt.Errorf("resumed another epoch: %q, not %q", j.Epoch, v.epoch)
	case j.Seq < v.seq:
		return fmt.Errorf("the room has %d records, and %d were told", j.Seq, v.seq)
	}
	v.joined, v.steps, v.behind, v.answer.missed = true, 0, true, true
	v.repeated = j.Seq
	return nil
}

// recover goes on where the connection was lost.
func (v *view) recover() { v.behind, v.answer.missed = true, true }

// step takes a numbered step of how a record is told.
func (v *view) step(seq uint64, step, of int) error {
	var err error
	if seq != v.seq+1 || step != v.steps {
		err = fmt.Errorf("step %d of record %d was told after step %d of record %d", step+1, seq, v.steps, v.seq+1)
	}
	if seq <= v.seq {
		return err
	}
	// After a gap too: what follows from it is not reported.
	if v.seq, v.steps = seq-1, step+1; v.steps == of {
		v.seq, v.steps = seq, 0
		v.passOwn()
	}
	return err
}

// passOwn passes what acknowledgements have told.
func (v *view) passOwn() {
	for v.steps == 0 && v.own[v.seq+1] != nil {
		v.seq++
	}
}

// acknowledged takes the acknowledgement of a message, which may have been sent
// before the room was joined again.
func (v *view) acknowledged(s *send) {
	if s.seq > v.seq {
		v.own[s.seq] = s
		v.passOwn()
	}
}

// message takes a message event. answered means that it is the visitor's own,
// and can have been told by its acknowledgement alone.
func (v *view) message(m chat.Message, answered bool, faults int64) error {
	if m.Role == chat.RoleAssistant {
		if err := v.step(m.Seq, 0, 3); err != nil {
			return err
		}
		return v.whole(m, faults)
	}
	s := v.own[m.Seq]
	switch {
	case answered && m.Seq > v.repeated:
		return fmt.Errorf("the visitor was told of its own message %q", m.Content)
	case s != nil && m.Seq <= v.seq: // told by an acknowledgement first
		delete(v.own, m.Seq)
		return nil
	}
	return v.step(m.Seq, 0, 1)
}

// turn takes a turn event.
func (v *view) turn(id chat.TurnID, state chat.State, seq uint64, steered bool) error {
	switch state {
	case chat.StateQueued:
		return v.step(seq, 0, 1)
	case chat.StateWaiting:
		return v.step(seq, 1, 2)
	case chat.StateRunning:
		v.running = id
		switch {
		case steered:
			return v.step(seq, 0, 1)
		case v.steps == 1: // behind a decision about a call
			return v.step(seq, 1, 2)
		}
		return v.step(seq, 0, 2)
	}
	if id != v.running {
		return v.step(seq, 0, 1)
	}
	v.running = ""
	return v.step(seq, 2, 3)
}

func (v *view) streamStart(id chat.MessageID, attempt int, seq uint64, faults int64) error {
	v.answer = stream{id: id, again: attempt > 1, faults: faults, missed: v.behind}
	return v.step(seq, 1, 2)
}

// chunk takes a piece of the answer. After a return the first may be all the
// text so far.
func (v *view) chunk(id chat.MessageID, offset int, text string, done bool) error {
	a := &v.answer
	switch {
	case done:
		return nil
	case id != a.id:
		return fmt.Errorf("a piece of answer %s came while %s is being streamed", id, a.id)
	case offset == 0 && a.missed:
		a.text, a.length = nil, 0
	case offset != a.length:
		return fmt.Errorf("a piece of the answer has offset %d behind %d code units (pieces missed: %t)", offset, a.length, a.missed)
	}
	v.behind, a.missed = false, false // the text so far is told last of what was missed
	a.text = append(a.text, text...)
	a.length += assistant.Length(text)
	return nil
}

// whole compares a recorded answer with what was streamed of it. Whoever was
// away knows the beginning. When a room has lost the text of its running turn,
// and that is ended before it says anything anew, what was saved of it is
// recorded: a turn that is interrupted was cut by something, and one that is
// stopped may have been.
func (v *view) whole(m chat.Message, faults int64) error {
	a := &v.answer
	if a.id != m.ID {
		return fmt.Errorf("the answer %s ends while %s is being streamed", m.ID, a.id)
	}
	streamed := string(a.text)
	cut := m.State == chat.StateStopped || m.State == chat.StateInterrupted
	switch {
	case m.Content == streamed,
		a.missed && strings.HasPrefix(m.Content, streamed),
		m.State == chat.StateInterrupted && strings.HasPrefix(streamed, m.Content),
		cut && (a.missed || a.faults != faults) && strings.HasPrefix(streamed, m.Content),
		cut && a.again && streamed == "":
		return nil
	}
	return fmt.Errorf("an answer was streamed as %q and recorded, %s, as %q (pieces missed: %t)", streamed, m.State, m.Content, a.missed)
}
