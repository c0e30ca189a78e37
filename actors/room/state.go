package room

import (
	"encoding/json"
	"fmt"
	"slices"

	"parlor/protocol/chat"
)

// State is what a room knows: a pure fold of its records. The room that
// lives, the one that restarts and the one that wakes up all come to it by
// the same Apply. It holds no messages: whoever needs them reads the log. It is
// not safe for concurrent use.
type State struct {
	Seq  uint64    // of the last record
	Chat chat.Info // zero until the chat is created

	Last Sent // the last message that somebody said

	// Turns are those that have not ended, in the order in which they run.
	// Only the first can be running.
	Turns []chat.Turn

	// Steering are the messages that the first turn has not taken in.
	Steering []chat.MessageID
}

// Exists reports whether the chat was created.
func (s *State) Exists() bool { return s.Seq > 0 }

// Turn returns the first turn that has not ended.
func (s *State) Turn() (chat.Turn, bool) {
	if len(s.Turns) == 0 {
		return chat.Turn{}, false
	}
	return s.Turns[0], true
}

// Find returns the place of a turn among Turns, or -1.
func (s *State) Find(id chat.TurnID) int {
	return slices.IndexFunc(s.Turns, func(t chat.Turn) bool { return t.ID == id })
}

// Clone returns a copy that shares nothing that Apply changes.
func (s *State) Clone() State {
	c := *s
	c.Turns, c.Steering = slices.Clone(s.Turns), slices.Clone(s.Steering)
	return c
}

// Apply folds the next record into the state. A record that cannot follow is
// a bug or a damaged log: it is reported, and the state stays as it was.
func (s *State) Apply(r chat.Record) error {
	if r.Seq != s.Seq+1 {
		return fmt.Errorf("record %d cannot follow record %d", r.Seq, s.Seq)
	}
	switch e := r.Event.(type) {
	case chat.Created:
		s.Chat = e.Chat
	case chat.MessageAdded:
		s.Last = Sent{e.MessageID, e.ClientID, r.Seq}
		s.Chat.ModelID = e.ModelID
		if e.Steers != "" {
			s.Steering = append(s.Steering, e.MessageID)
		}
	case chat.Configured:
		s.Chat.Settings = e.Settings
	case chat.TurnSteered:
		if s.Find(e.TurnID) != 0 {
			return fmt.Errorf("record %d steers turn %q, which does not run", r.Seq, e.TurnID)
		}
		s.Steering = slices.DeleteFunc(s.Steering, func(id chat.MessageID) bool { return slices.Contains(e.Messages, id) })
	case chat.TurnQueued:
		s.Turns = append(s.Turns, chat.Turn{ID: e.TurnID, Prompt: e.Prompt, ModelID: e.ModelID, By: e.By, LocalID: e.LocalID})
	case chat.TurnStarted:
		if s.Find(e.TurnID) != 0 {
			return fmt.Errorf("record %d starts turn %q out of order", r.Seq, e.TurnID)
		}
		s.Turns[0].MessageID, s.Turns[0].Attempt = e.MessageID, e.Attempt
	case chat.ToolStarted:
		if s.Find(e.TurnID) != 0 {
			return fmt.Errorf("record %d starts a tool for turn %q, which does not run", r.Seq, e.TurnID)
		}
		s.Turns[0].Tools++
	case chat.TurnEnded:
		i := s.Find(e.TurnID)
		if i < 0 {
			return fmt.Errorf("record %d ends turn %q, which is not open", r.Seq, e.TurnID)
		}
		s.Turns = slices.Delete(s.Turns, i, i+1)
		if i == 0 {
			s.Steering = nil
		}
	default:
		return fmt.Errorf("record %d: %w", r.Seq, chat.ErrUnknownEvent)
	}
	s.Seq = r.Seq
	return nil
}

// stateVersion changes with what a State means. A snapshot of another version
// is not read: the log says the same.
const stateVersion = 2

type snapshot struct {
	Version int   `json:"version"`
	State   State `json:"state"`
}

func (s *State) encode() []byte {
	b, err := json.Marshal(snapshot{stateVersion, *s})
	if err != nil {
		panic("room: encode a snapshot: " + err.Error())
	}
	return b
}

// decodeState reads what encode wrote, and reports false if it is not that of
// record seq, or not of this version.
func decodeState(seq uint64, b []byte) (State, bool) {
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		return State{}, false
	}
	return s.State, s.Version == stateVersion && s.State.Seq == seq
}
