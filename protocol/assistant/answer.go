package assistant

import (
	"parlor/protocol/chat"
)

// The bodies of answers. Some go out both as an event and as the value of an
// acknowledgement.
type (
	RoomFound struct {
		Room chat.RoomID `json:"room_id"`
		Chat chat.ID     `json:"chat_id"`
	}
	RoomNotFound struct {
		Room *chat.RoomID `json:"room_id"` // always null
		Chat chat.ID      `json:"chat_id"`
	}
	RoomCreated struct {
		Room    chat.RoomID  `json:"room_id"`
		Chat    chat.ID      `json:"chat_id"`
		ModelID chat.ModelID `json:"model_id"`
	}
	RoomJoined struct {
		Room    chat.RoomID `json:"room_id"`
		Seq     uint64      `json:"seq"`
		Epoch   string      `json:"epoch"`
		Members []Member    `json:"members"`
		Turn    *Turn       `json:"turn"`
		Queued  []Queued    `json:"queued"`  // turns that wait, in the order in which they will run
		Pending []Pending   `json:"pending"` // calls of tools that wait for a member to decide

		// BranchSeq is the record that has changed the current branch last.
		BranchSeq uint64 `json:"branch_seq,omitempty"`

		// Snapshot is what a client that asked to resume takes instead.
		Snapshot *Snapshot `json:"snapshot,omitempty"`

		// Restart is why a client that asked to resume is told everything from the beginning.
		Restart chat.Restart `json:"restart,omitempty"`
	}
	RoomLeft struct {
		Room chat.RoomID `json:"room_id"`
	}
	MessageSent struct {
		MessageID chat.MessageID `json:"message_id"`
		ClientID  chat.ClientID  `json:"client_message_id,omitempty"`
		Seq       uint64         `json:"seq"`

		// Replaces is the message whose place it takes, see [chat.MessageAdded].
		Replaces    chat.MessageID `json:"replaces,omitempty"`
		ReplacesSeq uint64         `json:"replaces_seq,omitempty"`
	}
	MessageWithdrawn struct {
		MessageID chat.MessageID `json:"message_id"`
	}
	BranchSelected struct {
		MessageID chat.MessageID `json:"message_id"`
	}
	// SpeechTaken acknowledges speech. MessageID is what was committed becomes.
	SpeechTaken struct {
		MessageID chat.MessageID `json:"message_id,omitempty"`
	}
	TurnStopped struct {
		TurnID   *chat.TurnID `json:"turn_id"`            // null if there was nothing to stop
		Recorded *bool        `json:"recorded,omitempty"` // false if that waits for space on the disk
	}
	TurnQueued struct {
		TurnID chat.TurnID `json:"turn_id"`
	}
	Messages struct {
		Messages []Message `json:"messages"` // oldest first
		HasMore  bool      `json:"has_more"`
	}
)

// ShowEntered says how a room stands, to a client that has just joined it.
func ShowEntered(n chat.Entered) RoomJoined {
	joined := RoomJoined{
		Room: n.Chat.Room, Seq: n.Seq, BranchSeq: n.Branched, Epoch: n.Epoch, Members: []Member{}, Queued: []Queued{}, Pending: showPending(n.Pending), Restart: n.Anew,
	}
	for _, u := range n.Users {
		joined.Members = append(joined.Members, Member{UserID: u.ID, Name: u.Name, Role: n.Chat.RoleOf(u.ID)})
	}
	for _, t := range n.Queued {
		joined.Queued = append(joined.Queued, Queued{TurnID: t.ID, By: t.By, Prompt: t.Prompt, PromptSeq: t.PromptSeq, ModelID: t.ModelID})
	}
	if t := n.Turn; t != nil {
		joined.Turn = &Turn{
			TurnID: t.ID, MessageID: t.MessageID, ModelID: t.ModelID, Attempt: t.Attempt, By: t.By, Prompt: t.Prompt, PromptSeq: t.PromptSeq,
			State: t.State(), Content: n.Text, Thought: n.Thought, Calls: n.Calls,
		}
	}
	return joined
}

// A Snapshot replaces all that a client knows of a room's history: its newest
// messages, oldest first, and why the client cannot just be told what it missed.
type Snapshot struct {
	Reason SnapshotReason `json:"reason"`
	Messages
}

// SnapshotReason is why a client gets a snapshot.
type SnapshotReason string

// The reasons.
const (
	SnapshotEpoch  SnapshotReason = "epoch"   // the client counts the records of another chat or file
	SnapshotAhead  SnapshotReason = "ahead"   // there is no such record yet
	SnapshotTooFar SnapshotReason = "too_far" // more was missed than the server sends at once
)

// Success is the body of the SPA's acknowledgements.
type Success struct {
	Success bool `json:"success"`
}

// A Member is somebody in the room. Role is empty in development mode for those who have
// none.
type Member struct {
	UserID chat.UserID     `json:"user_id"`
	Name   string          `json:"name"`
	Role   chat.MemberRole `json:"role,omitempty"`
}

// Renewed says how long the new token is good; null if it does not expire.
type Renewed struct {
	Expires *string `json:"expires_at"`
}

// Members are those who have a role in the chat, whether they are in the room or not.
type Members struct {
	Members []chat.Member `json:"members"`
}

// A Turn is the running turn with the text so far. Chunks that follow
// continue at its length.
type Turn struct {
	TurnID    chat.TurnID    `json:"turn_id"`
	MessageID chat.MessageID `json:"message_id"`
	ModelID   chat.ModelID   `json:"model_id"`
	Attempt   int            `json:"attempt"`
	By        chat.UserID    `json:"by,omitempty"`     // who asked
	Prompt    chat.MessageID `json:"prompt,omitempty"` // the message that is answered
	PromptSeq uint64         `json:"prompt_seq,omitempty"`
	State     chat.State     `json:"state"`
	Content   string         `json:"content"`
	Thought   string         `json:"thought,omitempty"`
	Calls     []chat.Called  `json:"calls,omitempty"` // so far, as in the message that the answer becomes
}

// Queued is a turn that waits for those before it.
type Queued struct {
	TurnID    chat.TurnID    `json:"turn_id"`
	By        chat.UserID    `json:"by"`
	Prompt    chat.MessageID `json:"prompt,omitempty"` // the message that it answers
	PromptSeq uint64         `json:"prompt_seq,omitempty"`
	ModelID   chat.ModelID   `json:"model_id,omitempty"`
}

// ConnectError is the data of a CONNECT_ERROR.
type ConnectError struct {
	Code       chat.Code `json:"code"`
	RetryAfter int       `json:"retry_after,omitempty"` // seconds
}

// A Refusal is the body of every error event.
type Refusal struct {
	Error    string        `json:"error"`
	Code     chat.Code     `json:"code"`
	ClientID chat.ClientID `json:"client_message_id,omitempty"`
	Event    string        `json:"event,omitempty"` // the client event that was refused

	RetryAfter int    `json:"retry_after,omitempty"` // seconds
	RequestID  string `json:"request_id,omitempty"`  // see [chat.Error]
}
