package room

import "parlor/protocol/chat"

// A Message is what a room's mailbox accepts. Commands come from sessions and
// the HTTP API through the rooms supervisor; a room may refuse them, and
// answers each that has a Caller exactly once.
type Message interface{ roomMessage() }

// A Command is a Message that somebody waits for.
type Command interface {
	Message
	caller() Caller
}

// A Caller is who sent a command and where the answer goes. A command without
// an address is not answered.
type Caller struct {
	User    chat.User
	Address Address
	Ref     uint64 // the caller's own number of the command, given back in the Reply
}

func (c Caller) caller() Caller { return c }

// Create makes the chat if there is none, and answers with a [Created] either way.
type Create struct {
	Caller
	Chat    chat.ID
	ModelID chat.ModelID
}

// Join makes the caller's address a member: from the answer, a [Joined], on
// it gets every publication, as [Options.Encoders] encodes it under that name.
// Joining again only changes the encoder.
type Join struct {
	Caller
	Encoder string
}

// Leave ends the membership of the caller's address; nothing happens if there is none.
type Leave struct{ Caller }

// Send adds what the caller says and, unless Quiet, asks for an answer to it.
// It is answered with a [Sent] once it is on disk.
type Send struct {
	Caller
	Content     string
	ModelID     chat.ModelID  // empty: the chat's current model
	ClientID    chat.ClientID // empty: not idempotent
	Correlation string        // see [chat.TurnQueued]
	Policy      chat.Policy   // empty: the chat's
	Quiet       bool
}

// Respond asks for an answer to the last message, which was sent Quiet or
// spoken. It is answered with a [Sent] of that message; the Seq of one that is
// not recorded yet is 0.
type Respond struct{ Caller }

// AppendAudio is a piece of what the caller says to a model that listens:
// [chat.AudioAppend]. It is not recorded. ClearAudio forgets what was appended,
// CommitAudio makes it a message. They are answered with a [Taken].
type (
	AppendAudio struct {
		Caller
		Audio string
	}
	ClearAudio  struct{ Caller }
	CommitAudio struct{ Caller }
)

// Regenerate asks for another answer to a message that is in the log, from the
// model. It is answered with a [Queued].
type Regenerate struct {
	Caller
	Prompt    chat.MessageID
	PromptSeq uint64
	ModelID   chat.ModelID
}

// StopTurn stops a turn, running or queued; without a TurnID the one that
// runs or runs next. It is answered with a [Stopped].
type StopTurn struct {
	Caller
	TurnID chat.TurnID
	Reason string
}

// Delete deletes the chat with all its history, and answers with a [Deleted].
type Delete struct{ Caller }

// Release ends the quarantine of the room. It is an operator's, and answered
// with a [Released].
type Release struct{ Caller }

// Wake does nothing but bring the room into memory, where it finishes what was
// open when the server ended.
type Wake struct{}

// Drain is the supervisor's consent to passivate: it forwards no more commands
// until the room has stopped, or has said by [Options.Awake] that it will not.
type Drain struct{}

func (*Wake) roomMessage()        {}
func (*Create) roomMessage()      {}
func (*Join) roomMessage()        {}
func (*Leave) roomMessage()       {}
func (*Send) roomMessage()        {}
func (*Respond) roomMessage()     {}
func (*Regenerate) roomMessage()  {}
func (*AppendAudio) roomMessage() {}
func (*ClearAudio) roomMessage()  {}
func (*CommitAudio) roomMessage() {}
func (*StopTurn) roomMessage()    {}
func (*Delete) roomMessage()      {}
func (*Release) roomMessage()     {}
func (*Drain) roomMessage()       {}

// A Reply answers one command.
type Reply struct {
	Ref  uint64
	Body any         // one of the bodies below, or a [Configured] or [Kept]; nil if refused
	Err  *chat.Error // nil unless refused
}

func (Reply) delivery()        {}
func (*Publication) delivery() {}

// The bodies of replies.
type (
	// Created tells about the chat, which may have been there before.
	Created struct{ Chat chat.Info }

	// Joined is what a new member has to know: what follows Seq, and what
	// follows the text so far, reaches it as publications.
	Joined struct {
		Chat    chat.Info
		Epoch   string // of the chat and of the file: Seq means nothing in another one
		Seq     uint64
		Members []chat.User // each once, however many addresses it has
		Turn    *Running    // nil if none is running
		Queued  []chat.Turn // those that wait, in order
	}

	// Left confirms a Leave.
	Left struct{}

	// Sent is the acknowledgement of a message: it is on disk.
	Sent struct {
		MessageID chat.MessageID
		ClientID  chat.ClientID
		Seq       uint64
	}

	// Taken says that speech is on its way to the model. MessageID is that of a
	// commit; it is recorded when it was written down.
	Taken struct{ MessageID chat.MessageID }

	// Queued names a turn that will run.
	Queued struct{ TurnID chat.TurnID }

	// Stopped names the turn that was stopped, if there was one.
	Stopped struct{ TurnID chat.TurnID }

	// Deleted confirms a Delete.
	Deleted struct{}

	// Released says whether the room was quarantined.
	Released struct{ Was bool }
)

// Running is a turn that is being answered, with the text so far.
type Running struct {
	chat.Turn
	Content string
}
