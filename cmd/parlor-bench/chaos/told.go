package chaos

import (
	"encoding/json"
	"fmt"
	"slices"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// event takes what the server tells the visitor, in order.
func (v *visitor) event(name string, args []json.RawMessage) {
	e, err := parse(name, args)
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(args) > 1 {
		_ = json.Unmarshal(args[1], &v.offset)
	}
	if err == nil {
		err = v.take(e)
	}
	if err != nil {
		v.violate(v.name, e.room, max(e.body.Seq, e.body.Message.Seq), fmt.Errorf("%s: %w", e.word, err))
	}
}

// resumed checks that the visitor is in the rooms in which it goes on.
func (v *visitor) resumed(e event) error {
	var told assistant.Resumed
	if err := json.Unmarshal(e.raw, &told); err != nil {
		return err
	}
	for _, r := range told.Rooms {
		if w := v.views[r.Room]; w == nil || !w.joined {
			return fmt.Errorf("in room %s, in which the visitor is not", r.Room)
		}
	}
	return nil
}

func (v *visitor) take(e event) error {
	switch e.word {
	case "room_joined":
		return v.joined(e)
	case "room_left":
		if w := v.views[e.body.Room]; w != nil {
			delete(v.views, e.body.Room)
		}
		return nil
	case "message_sent":
		return v.acknowledged(e)
	case "error":
		if e.body.Code == chat.CodeQuarantined {
			return fmt.Errorf("the room is quarantined")
		}
		return nil
	case "resumed":
		return v.resumed(e)
	}
	w := v.views[e.room]
	if w == nil || !w.joined {
		return fmt.Errorf("told of a room that the visitor is not in")
	}
	if err := v.chronicled(e); err != nil {
		return err
	}
	return v.advance(w, e)
}

// advance moves a view on.
func (v *visitor) advance(w *view, e event) error {
	v.report.told.Add(1)
	b := e.body
	switch e.word {
	case "message":
		m := e.message()
		return w.message(m, v.answers(m), v.faults.Load())
	case "turn":
		return w.turn(b.TurnID, b.State, b.Seq, len(b.Steered) > 0)
	case "stream_start":
		return w.streamStart(b.MessageID, b.Attempt, b.Seq, v.faults.Load())
	case "stream_chunk":
		return w.chunk(b.MessageID, b.Offset, b.Content, b.Done)
	case "stream_end":
		return w.step(b.Seq, 1, 3)
	case "function_call", "function_result", "room_updated", "branch":
		return w.step(b.Seq, 0, 1)
	case "approval":
		if b.Decision == undecided {
			w.lost = append(w.lost, b.CallID)
		}
		return w.step(b.Seq, 0, 2)
	}
	return nil
}

// undecided is the decision about a call that the end of the server has cut.
const undecided = "unknown"

// chronicled tells the chronicle what an event says of a record.
func (v *visitor) chronicled(e event) error {
	b := e.body
	switch e.word {
	case "message":
		return v.chronicle.tell(e.room, b.Message.Seq, factOfMessage(e.message()))
	case "turn":
		f := fact{kind: ended, turn: b.TurnID, state: b.State}
		switch b.State {
		case chat.StateQueued:
			f = fact{kind: queued, turn: b.TurnID}
		case chat.StateRunning, chat.StateWaiting: // the turn has started, or somebody has decided
			f = fact{turn: b.TurnID}
		}
		return v.chronicle.tell(e.room, b.Seq, f)
	case "stream_start":
		return v.chronicle.tell(e.room, b.Seq, fact{kind: started, turn: b.TurnID, message: b.MessageID, attempt: b.Attempt})
	case "function_call":
		return v.chronicle.tell(e.room, b.Seq, fact{kind: tool, message: b.MessageID})
	case "function_result":
		return v.chronicle.tell(e.room, b.Seq, fact{kind: ran})
	case "approval":
		f := fact{kind: decided}
		if b.Decision == undecided {
			f = fact{kind: lost}
		}
		return v.chronicle.tell(e.room, b.Seq, f)
	case "room_updated", "branch":
		return v.chronicle.tell(e.room, b.Seq, fact{kind: set})
	case "stream_end":
		return v.chronicle.tell(e.room, b.Seq, fact{kind: ended, message: b.MessageID, state: b.State})
	}
	return nil
}

// joined takes the confirmation of a join, after which the room is told on.
func (v *visitor) joined(e event) error {
	var j assistant.RoomJoined
	if err := json.Unmarshal(e.raw, &j); err != nil {
		return err
	}
	if err := v.chronicle.epoch(e.room, j.Epoch); err != nil {
		return err
	}
	w, resume := v.views[e.room], v.after[e.room]
	switch {
	case w == nil:
		return fmt.Errorf("told that the visitor has joined a room that it has not asked for")
	case !resume:
		v.report.newcomers.Add(1)
		w.enter(j, v.faults.Load())
		return nil
	case j.Snapshot == nil:
		v.report.resumed.Add(1)
		return w.resume(j)
	}
	v.report.snapshots.Add(1)
	v.told(e.room, j.Snapshot.Messages.Messages)
	before := w.seq
	w.enter(j, v.faults.Load())
	if j.Snapshot.Reason != assistant.SnapshotTooFar || j.Seq-before < farBehind {
		return fmt.Errorf("snapshot (%s) instead of records %d to %d", j.Snapshot.Reason, before+1, j.Seq)
	}
	return nil
}

// farBehind is how many records at least are more than a server with the
// settings of this harness replays.
const farBehind = 10

// acknowledged takes the acknowledgement of one of the visitor's messages.
func (v *visitor) acknowledged(e event) error {
	i := slices.IndexFunc(v.open, func(s *send) bool { return s.client == e.body.ClientID })
	if i < 0 {
		return v.acknowledgedAgain(e)
	}
	s := v.open[i]
	s.acked, s.message, s.seq = true, e.body.MessageID, e.body.Seq
	v.close(s)
	if w := v.views[e.room]; w != nil {
		w.acknowledged(s)
	}
	v.report.acked.Add(1)
	return v.chronicle.tell(e.room, s.seq, fact{kind: said, message: s.message, text: hash(s.content)})
}

// acknowledgedAgain takes the acknowledgement of a message that had one, which
// is the same.
func (v *visitor) acknowledgedAgain(e event) error {
	s := v.ledger.sent(v.name, e.body.ClientID)
	switch {
	case s == nil || !s.acked:
		return fmt.Errorf("an acknowledgement of %q, which is not open", e.body.ClientID)
	case s.seq != e.body.Seq || s.message != e.body.MessageID:
		return fmt.Errorf("%q was acknowledged as record %d, and before as %d", s.content, e.body.Seq, s.seq)
	}
	return nil
}

// answers reports whether m is the visitor's own message, said on this
// connection and no other: then nothing but the acknowledgement tells of it.
func (v *visitor) answers(m chat.Message) bool {
	if m.Author == nil || m.Author.ID != v.user {
		return false
	}
	s := v.ledger.sent(v.name, m.ClientID)
	return s != nil && !s.fromElsewhere(v.sid) && !s.sentBefore(v.sid, v.connection)
}
