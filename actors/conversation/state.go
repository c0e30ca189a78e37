package conversation

import (
	"encoding/json"
	"fmt"
	"slices"

	"parlor/protocol/chat"
)

// A State is what a room knows: a fold of its records. It holds no messages,
// which are read from the log where they are needed. It is not safe for
// concurrent use.
type State struct {
	Seq  uint64    // of the last record
	Chat chat.Info // zero until the chat is created

	Last Said // the last message of a person

	// Turns are those that have not ended, in the order in which they run.
	// Only the first can be running.
	Turns []chat.Turn

	// Steering is what was said to the first turn while it ran, in order.
	Steering []Steering

	// Calls are those of the first turn's last step that have not ended.
	Calls []Call

	// Summary is what the first turn has called so far.
	Summary Summary

	// Approved are the tools that run in this chat without anybody being asked.
	Approved []string

	// Answered says that a turn has completed. Titled says that the chat was given
	// a title, which somebody may have taken away again.
	Answered, Titled bool

	// Heir is the member to whom the owner has offered the chat.
	Heir chat.UserID

	// Invites are those that may still be used. One that has expired, or had its last
	// use, is dropped when the next one is made.
	Invites []chat.Invite

	// Branches are those of the conversation, of which one is the current one.
	Branches chat.Branches
}

// A Steering is a message that was said to the running turn.
type Steering struct {
	MessageID chat.MessageID
	Seq       uint64
	By        chat.UserID
	Taken     bool // in by the turn, in this attempt
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
	c.Turns, c.Steering, c.Invites = slices.Clone(s.Turns), slices.Clone(s.Steering), slices.Clone(s.Invites)
	c.Calls, c.Approved = slices.Clone(s.Calls), slices.Clone(s.Approved)
	c.Summary.Calls = slices.Clone(s.Summary.Calls)
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
		return s.add(r.Seq, e)
	case chat.Configured:
		s.Titled = s.Titled || e.Settings.Title != s.Chat.Title
		s.Chat.Settings = e.Settings
	case chat.MessageWithdrawn:
		if e.Seq == 0 || e.Seq >= r.Seq || s.Branches.Withdrawn(e.Seq) {
			return fmt.Errorf("record %d withdraws record %d, which is not there", r.Seq, e.Seq)
		}
		s.takeOut(r)
	case chat.Reacted: // nothing follows from it
	case chat.BranchSelected:
		if e.After == 0 || e.After >= r.Seq {
			return fmt.Errorf("record %d goes on from record %d, which is not there", r.Seq, e.After)
		}
		s.Branches = s.Branches.After(r)
	case chat.TurnMoved:
		if err := s.move(r.Seq, e); err != nil {
			return err
		}
	case chat.MemberChanged:
		s.Chat = s.Chat.WithMember(e.Member)
		if e.Member.Role == chat.RoleOwner || s.Chat.RoleOf(s.Heir) == "" {
			s.Heir = ""
		}
		s.useInvite(e.Invite)
	case chat.OwnerOffered:
		s.Heir = e.To
	case chat.InviteMade:
		s.dropInvites(func(i chat.Invite) bool { return !i.Open(r.At) })
		s.Invites = append(s.Invites, e.Invite)
	case chat.InviteRevoked:
		s.dropInvites(func(i chat.Invite) bool { return i.ID == e.ID })
	case chat.TurnQueued:
		return s.queue(r.Seq, e)
	default:
		if err := s.follow(r); err != nil {
			return err
		}
	}
	s.Seq = r.Seq
	return nil
}

// follow folds what happens to a turn that is open.
func (s *State) follow(r chat.Record) error {
	switch e := r.Event.(type) {
	case chat.TurnSteered:
		if s.Find(e.TurnID) != 0 {
			return fmt.Errorf("record %d steers turn %q, which does not run", r.Seq, e.TurnID)
		}
		s.take(e.Messages)
	case chat.TurnStarted:
		if s.Find(e.TurnID) != 0 {
			return fmt.Errorf("record %d starts turn %q out of order", r.Seq, e.TurnID)
		}
		s.begin(e)
	case chat.TurnRun:
		if s.Find(e.TurnID) != 0 {
			return fmt.Errorf("record %d is about a run of turn %q, which does not run", r.Seq, e.TurnID)
		}
		s.Turns[0].TakeRun(e)
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
			s.Steering, s.Calls, s.Summary = nil, nil, Summary{}
		}
		s.Answered = s.Answered || e.State == chat.StateCompleted
		s.Branches = s.Branches.After(r)
	default:
		return s.followCalls(r)
	}
	return nil
}

// add folds a message, which is record seq.
func (s *State) add(seq uint64, e chat.MessageAdded) error {
	switch {
	case e.Steers != "" && s.Find(e.Steers) != 0:
		return fmt.Errorf("record %d steers turn %q, which does not run", seq, e.Steers)
	case e.Replaces != "" && (e.ReplacesSeq == 0 || e.ReplacesSeq >= seq || !s.Branches.Shows(e.ReplacesSeq)):
		return fmt.Errorf("record %d replaces record %d, which is not there", seq, e.ReplacesSeq)
	}
	s.takeOut(chat.Record{Seq: seq, Event: e})
	s.Seq, s.Last, s.Chat.ModelID = seq, Said{MessageID: e.MessageID, ClientID: e.ClientID, Seq: seq}, e.ModelID
	s.hear(seq, e.MessageID)
	if e.Steers != "" {
		s.Steering = append(s.Steering, Steering{MessageID: e.MessageID, Seq: seq, By: e.Author.ID})
	}
	return nil
}

// takeOut folds a message, or that one was withdrawn. The running turn does not take in
// any more what that takes out of the current branch.
func (s *State) takeOut(r chat.Record) {
	before := s.Branches
	s.Branches = before.After(r)
	s.Steering = slices.DeleteFunc(s.Steering, func(said Steering) bool {
		return before.Shows(said.Seq) && !s.Branches.Shows(said.Seq)
	})
}

// begin folds the start of the first turn.
func (s *State) begin(e chat.TurnStarted) {
	first := &s.Turns[0]
	first.MessageID, first.Attempt, first.Duplex = e.MessageID, e.Attempt, e.Duplex
	first.Run = chat.Run{}
	for i := range s.Turns[1:] {
		t := &s.Turns[1+i]
		t.Begun = t.Begun || t.Prompt == first.Prompt
	}
	s.Last.Begun = s.Last.Begun || s.Last.MessageID == first.Prompt
	for i := range s.Steering {
		s.Steering[i].Taken = false
	}
}

// move folds a change of the order in which the turns wait.
func (s *State) move(seq uint64, e chat.TurnMoved) error {
	i, to := s.Find(e.TurnID), len(s.Turns)
	if e.Before != "" {
		to = s.Find(e.Before)
	}
	if i < 0 || to < 0 || s.Turns[i].Attempt > 0 || to < len(s.Turns) && s.Turns[to].Attempt > 0 {
		return fmt.Errorf("record %d moves turn %q before %q, of which one does not wait", seq, e.TurnID, e.Before)
	}
	turn := s.Turns[i]
	s.Turns = slices.Delete(s.Turns, i, i+1)
	if i < to {
		to--
	}
	s.Turns = slices.Insert(s.Turns, to, turn)
	return nil
}

// hear notes that what was spoken is written down, as record seq.
func (s *State) hear(seq uint64, prompt chat.MessageID) {
	for i := range s.Turns {
		if t := &s.Turns[i]; t.Unheard && t.Prompt == prompt {
			t.Unheard, t.PromptSeq = false, seq
		}
	}
}

// take notes which of what was said to the running turn it has taken in.
func (s *State) take(in []chat.MessageID) {
	for i := range s.Steering {
		if slices.Contains(in, s.Steering[i].MessageID) {
			s.Steering[i].Taken = true
		}
	}
}

// queue folds a turn that is wanted, by record seq.
func (s *State) queue(seq uint64, e chat.TurnQueued) error {
	i := len(s.Turns)
	if e.FirstSeq > 0 && (e.PromptSeq == 0 || e.PromptSeq >= seq || e.FirstSeq >= seq) {
		return fmt.Errorf("record %d gives record %d anew, which is not there", seq, e.FirstSeq)
	}
	if e.Before != "" {
		if i = s.Find(e.Before); i < 0 || s.Turns[i].Attempt > 0 {
			return fmt.Errorf("record %d puts a turn before %q, which does not wait", seq, e.Before)
		}
	}
	version := uint64(0)
	if e.FirstSeq > 0 {
		version = seq
	}
	s.Seq, s.Branches = seq, s.Branches.After(chat.Record{Seq: seq, Event: e})
	s.Turns = slices.Insert(s.Turns, i, chat.Turn{
		Version: version, First: e.First,
		ID: e.TurnID, Prompt: e.Prompt, PromptSeq: e.PromptSeq, ModelID: e.ModelID, By: e.By, Correlation: e.Correlation, Unheard: e.Spoken,
		Begun: e.Again != "" || s.Last.Begun && s.Last.MessageID == e.Prompt,
	})
	return nil
}

// stateVersion changes with what a State means. A snapshot of another version
// is not read: the log says the same.
const stateVersion = 10

type snapshot struct {
	Version int   `json:"version"`
	State   State `json:"state"`
}

// Encode returns the state as a snapshot.
func (s *State) Encode() []byte {
	b, err := json.Marshal(snapshot{stateVersion, *s})
	if err != nil {
		panic("conversation: encode a snapshot: " + err.Error())
	}
	return b
}

// DecodeState reads what Encode wrote, and reports false if it is not the state
// at record seq, or of another version.
func DecodeState(seq uint64, b []byte) (State, bool) {
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		return State{}, false
	}
	return s.State, s.Version == stateVersion && s.State.Seq == seq
}
