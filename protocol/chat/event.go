package chat

// An Event is a fact that a room has recorded. The set is sealed: whoever
// folds, stores or shows events can name them all.
type Event interface{ kind() string }

// Created is the first event of every chat.
type Created struct {
	Chat Info `json:"chat"`
}

// MessageAdded records what somebody said.
type MessageAdded struct {
	MessageID MessageID `json:"message_id"`

	// Replaces is the message that this one is a new version of. The conversation goes on
	// from what was before that: see [Branches].
	Replaces    MessageID `json:"replaces,omitempty"`
	ReplacesSeq uint64    `json:"replaces_seq,omitempty"`
	RolledBack  bool      `json:"rolled_back,omitempty"` // it replaces the message by its policy, and is no edit

	Author   User     `json:"author"`
	Content  string   `json:"content"`
	ModelID  ModelID  `json:"model_id,omitempty"` // the chat's from here on, whoever else the message addresses
	Duplex   bool     `json:"duplex,omitempty"`   // of that model, see [Model]
	ClientID ClientID `json:"client_message_id,omitempty"`
	Modality string   `json:"modality,omitempty"` // empty is text; see [ModalityAudio]

	// Parent is the message of a channel that it replies to, and Revises the one whose place
	// it takes, with another content. That was taken back by the record before.
	Parent  MessageID `json:"parent,omitempty"`
	Revises MessageID `json:"revises,omitempty"`

	Unasked bool `json:"unasked,omitempty"` // no answer was wanted when it was said

	// Mentions are the members whom it names, as @user_id.
	Mentions []UserID `json:"mentions,omitempty"`

	// Files are those of the chat that it brings.
	Files []File `json:"files,omitempty"`

	// OnlyTools are the tools, or servers of tools, that the model may call to answer it, of
	// those that it may call anyway. Nil is all of them.
	OnlyTools []string `json:"only_tools,omitzero"`

	// Tools are those that a program runs which has asked, and ToolChoice what the model is to
	// call in the first step of its answer. Neither holds when that is given anew.
	Tools      []OfferedTool `json:"tools,omitzero"`
	ToolChoice ToolChoice    `json:"tool_choice,omitzero"`

	// Steers is the running turn that it was said to. If that ends without
	// having taken it in, a turn that answers it follows.
	Steers TurnID `json:"steers,omitempty"`

	// Origin belongs to the wire on which the message came, and says to whom an
	// acknowledgement is owed that was lost. Nobody else is told.
	Origin string `json:"origin,omitempty"`
}

// MessageWithdrawn records that the author took back a message that nobody had begun to
// answer. It alone is no longer part of the conversation.
type MessageWithdrawn struct {
	MessageID MessageID `json:"message_id"`
	Seq       uint64    `json:"message_seq"`
	By        UserID    `json:"by"`
	ClientID  ClientID  `json:"client_message_id,omitempty"` // of the command
}

// BranchSelected records that the conversation goes on with another branch.
type BranchSelected struct {
	MessageID MessageID `json:"message_id"` // through which that leads
	After     uint64    `json:"after"`      // the record with which it ends so far
	From      uint64    `json:"from"`       // the first record in which the two branches differ
	By        UserID    `json:"by"`
	ClientID  ClientID  `json:"client_message_id,omitempty"` // of the command
}

// TurnMoved records that a waiting turn now runs before another one, or last.
type TurnMoved struct {
	TurnID   TurnID   `json:"turn_id"`
	Before   TurnID   `json:"before,omitempty"`
	By       UserID   `json:"by"`
	ClientID ClientID `json:"client_message_id,omitempty"` // of the command
}

// Configured records that somebody, or parlor itself if By is empty, changed
// the chat's settings. It holds all of them.
type Configured struct {
	Settings Settings `json:"settings"`
	By       UserID   `json:"by,omitempty"`
	ClientID ClientID `json:"client_message_id,omitempty"`

	// ModelID is who was asked for the title, if parlor did that, and Usage
	// what it cost.
	ModelID ModelID `json:"model_id,omitempty"`
	Usage   *Usage  `json:"usage,omitempty"`
}

// MemberChanged records that somebody got a role in the chat or, if Role is empty, has
// none any more. A new owner takes the place of the old one, who becomes a member.
type MemberChanged struct {
	Member Member   `json:"member"`
	By     UserID   `json:"by,omitempty"`
	Invite InviteID `json:"invite_id,omitempty"` // by which the member came
}

// OwnerOffered records that the owner offers the chat to a member, who becomes the owner
// by accepting that.
type OwnerOffered struct {
	To UserID `json:"to"`
	By UserID `json:"by"`
}

// InviteMade and InviteRevoked record what becomes of an invitation.
type (
	InviteMade struct {
		Invite Invite `json:"invite"`
	}
	InviteRevoked struct {
		ID InviteID `json:"invite_id"`
		By UserID   `json:"by"`
	}
)

// TurnSteered records that the running turn took in what was said to it.
type TurnSteered struct {
	TurnID   TurnID      `json:"turn_id"`
	Messages []MessageID `json:"messages"`
}

// TurnQueued records that an answer is wanted. Turns run one at a time, in
// the order in which they were queued, unless one is put before another.
type TurnQueued struct {
	TurnID    TurnID    `json:"turn_id"`
	Prompt    MessageID `json:"prompt"`               // the message to answer
	PromptSeq uint64    `json:"prompt_seq,omitempty"` // 0 if it is Spoken
	ModelID   ModelID   `json:"model_id"`
	By        UserID    `json:"by"`
	Before    TurnID    `json:"before,omitempty"` // the waiting turn that it runs before; empty: it runs last
	Again     MessageID `json:"again,omitempty"`  // the answer that somebody wanted another one for

	// First is the first version of that answer, of which this one becomes another, in a
	// branch of its own: see [Branches]. Old records do not have it. To them each answer is
	// the first.
	First    MessageID `json:"first,omitempty"`
	FirstSeq uint64    `json:"first_seq,omitempty"`

	// ClientID is the idempotency key of the command that wanted only this turn. A turn
	// that a message wanted has none: the message has it.
	ClientID ClientID `json:"client_message_id,omitempty"`
	Origin   string   `json:"origin,omitempty"` // of that command, see [MessageAdded]

	// Correlation belongs to the wire on which the prompt came: parlor keeps it,
	// and gives it back with the end of the turn.
	Correlation string `json:"local_id,omitempty"`

	// Spoken means that the prompt is not recorded yet: it is being written
	// down. The turn ends as interrupted if the server ends before it is.
	Spoken bool `json:"spoken,omitempty"`
}

// TurnStarted records that the assistant was asked. Attempt counts from 1; a
// later one replaces the text of the one before.
type TurnStarted struct {
	TurnID    TurnID    `json:"turn_id"`
	MessageID MessageID `json:"message_id"` // of the answer, the same in every attempt
	ModelID   ModelID   `json:"model_id"`
	Name      string    `json:"name,omitempty"` // of the model, see [Model]
	Attempt   int       `json:"attempt"`
	Duplex    bool      `json:"duplex,omitempty"` // of the model, see [Model]
}

// ToolStarted records that a tool began to run for the running turn, which
// has an effect that a second attempt would repeat: a turn with one is not
// restarted. So far only providers run tools, on their side.
type ToolStarted struct {
	TurnID    TurnID    `json:"turn_id"`
	MessageID MessageID `json:"message_id"`
	Tool      ToolCall  `json:"tool"`
}

// TurnEnded records the end of a turn and, if it had started, its answer:
// one event, so that there is no ended turn without its text.
type TurnEnded struct {
	TurnID      TurnID    `json:"turn_id"`
	MessageID   MessageID `json:"message_id,omitempty"` // empty if the turn never started
	Prompt      MessageID `json:"prompt"`
	PromptSeq   uint64    `json:"prompt_seq,omitempty"` // 0 in old records
	Version     uint64    `json:"version,omitempty"`    // the TurnQueued, if that gives an answer anew
	First       MessageID `json:"first,omitempty"`      // see TurnQueued
	Correlation string    `json:"local_id,omitempty"`   // see TurnQueued
	ModelID     ModelID   `json:"model_id"`
	Name        string    `json:"name,omitempty"` // of the model, see [Model]
	State       State     `json:"state"`
	Finish      Finish    `json:"finish,omitempty"` // why the model ended the answer, if it did
	Content     string    `json:"content"`
	Thought     string    `json:"thought,omitempty"` // what the model thought before; no part of the answer
	Steps       int       `json:"steps,omitempty"`   // that ended in calls of tools; their words are part of Content
	Usage       *Usage    `json:"usage,omitempty"`
	Error       *Error    `json:"error,omitempty"`
	By          UserID    `json:"by,omitempty"`                // who stopped it
	ClientID    ClientID  `json:"client_message_id,omitempty"` // idempotency key of the command that stopped it
	Reason      string    `json:"reason,omitempty"`            // why, in their words
	Duplex      bool      `json:"duplex,omitempty"`            // of the model, see [Model]
	Modality    string    `json:"modality,omitempty"`
	Cut         []CutFile `json:"cut_files,omitempty"` // what the model was not given whole
	Calls       []Called  `json:"calls,omitempty"`     // in its steps; not in records of old
}

func (Created) kind() string          { return "created" }
func (MessageAdded) kind() string     { return "message_added" }
func (Configured) kind() string       { return "configured" }
func (MessageWithdrawn) kind() string { return "message_withdrawn" }
func (BranchSelected) kind() string   { return "branch_selected" }
func (TurnMoved) kind() string        { return "turn_moved" }
func (MemberChanged) kind() string    { return "member_changed" }
func (OwnerOffered) kind() string     { return "owner_offered" }
func (InviteMade) kind() string       { return "invite_made" }
func (InviteRevoked) kind() string    { return "invite_revoked" }
func (TurnQueued) kind() string       { return "turn_queued" }
func (TurnSteered) kind() string      { return "turn_steered" }
func (TurnStarted) kind() string      { return "turn_started" }
func (ToolStarted) kind() string      { return "tool_started" }
func (TurnEnded) kind() string        { return "turn_ended" }
