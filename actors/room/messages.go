package room

import "parlor/protocol/chat"

// A Message is what a room's mailbox accepts. Commands come from sessions and the
// HTTP API, through the supervisor of rooms. A room may refuse a command. It replies
// exactly once to each whose Caller has an address.
type Message interface{ roomMessage() }

// A Command is a Message that somebody waits for.
type Command interface {
	Message
	caller() Caller
	do(r *Room)
}

// A Caller says who has sent a command, and where the reply goes. A command without
// an address gets no reply.
type Caller struct {
	User    chat.User
	Address Address
	Ref     uint64 // the caller's own number of the command, given back in the Reply
}

func (c Caller) caller() Caller { return c }

// A command tells the commands of one room apart.
type command struct {
	from Address
	ref  uint64
}

func (c Caller) command() command { return command{c.Address, c.Ref} }

// Sign says who sends the command that c is part of.
func (c *Caller) Sign(caller Caller) { *c = caller }

// UserOf returns the user who has sent a message, if it counts for a user: the server
// sends some itself, and to leave a room costs nothing.
func UserOf(m Message) (u chat.UserID, ok bool) {
	c, ok := m.(Command)
	if !ok || needsNoPermission(c) {
		return "", false
	}
	return c.caller().User.ID, true
}

// Wake brings the room into memory, and does nothing else. The room then goes on with
// the turns that were open when the server ended.
type Wake struct{}

// Drain is the supervisor's consent to passivate: it forwards no more commands
// until the room has stopped, or has said by [Options.Awake] that it will not.
type Drain struct{}

func (*Wake) roomMessage()         {}
func (*Create) roomMessage()       {}
func (*Join) roomMessage()         {}
func (*Leave) roomMessage()        {}
func (*Send) roomMessage()         {}
func (*SetTyping) roomMessage()    {}
func (*AskPresence) roomMessage()  {}
func (*Respond) roomMessage()      {}
func (*Regenerate) roomMessage()   {}
func (*AppendAudio) roomMessage()  {}
func (*ClearAudio) roomMessage()   {}
func (*CommitAudio) roomMessage()  {}
func (*StopTurn) roomMessage()     {}
func (*ListTurns) roomMessage()    {}
func (*Revise) roomMessage()       {}
func (*Retract) roomMessage()      {}
func (*React) roomMessage()        {}
func (*Edit) roomMessage()         {}
func (*Configure) roomMessage()    {}
func (*Invite) roomMessage()       {}
func (*ListInvites) roomMessage()  {}
func (*RevokeInvite) roomMessage() {}
func (*Accept) roomMessage()       {}
func (*SetMember) roomMessage()    {}
func (*RemoveMember) roomMessage() {}
func (*Reassign) roomMessage()     {}
func (*Withdraw) roomMessage()     {}
func (*MoveTurn) roomMessage()     {}
func (*Select) roomMessage()       {}
func (*Expire) roomMessage()       {}
func (*Delete) roomMessage()       {}
func (*Release) roomMessage()      {}
func (*Halt) roomMessage()         {}
func (*Kill) roomMessage()         {}
func (*Observe) roomMessage()      {}
func (*Drain) roomMessage()        {}

// A Reply answers one command.
type Reply struct {
	Ref      uint64
	Body     any         // one of the bodies below; nil if refused
	Err      *chat.Error // nil unless refused
	Repeated bool        // an earlier command with the same idempotency key had this body
}

func (Reply) delivery()        {}
func (*Publication) delivery() {}

// The bodies of replies.
type (
	// Created tells about the chat, which may have been there before.
	Created struct{ Chat chat.Info }

	// Joined is what a new listener has to know. The records after Seq, and the
	// text after Turn.Content, reach it as publications.
	Joined struct {
		Chat   chat.Info
		Epoch  string // of the chat and of the file: Seq means nothing in another one
		Seq    uint64
		Users  []chat.User // who listen, each once, at most Options.MaxListed
		Turn   *Running    // nil if none is running
		Queued []chat.Turn // those that wait, in order

		// Branched is the record that has changed the current branch last, or 0.
		Branched uint64

		Pending []chat.Pending // the calls of its turn that wait for a member
		Calls   []chat.Called  // those that its turn has made so far
	}

	// Left confirms a Leave, and Noted a SetTyping.
	Left  struct{}
	Noted struct{}

	// Sent is the acknowledgement of a message: it is on disk.
	Sent struct {
		MessageID chat.MessageID
		ClientID  chat.ClientID
		Seq       uint64
		Unasked   bool // see [chat.MessageAdded]

		// Replaces is the message whose place it takes, see [chat.MessageAdded].
		Replaces    chat.MessageID
		ReplacesSeq uint64
	}

	// Withdrawn names a message that is no part of the conversation any more.
	Withdrawn struct{ MessageID chat.MessageID }

	// Selected names a message of the current branch.
	Selected struct{ MessageID chat.MessageID }

	// Taken says that speech is on its way to the model. After a CommitAudio
	// MessageID is the message that the speech becomes, which is recorded once the
	// speech is understood.
	Taken struct{ MessageID chat.MessageID }

	// Turns are those that have not ended, in the order in which they run.
	Turns struct{ Turns []chat.Turn }

	// Queued names a turn that will run.
	Queued struct{ TurnID chat.TurnID }

	// Stopped names the turn that was stopped, if there was one. Unrecorded means that
	// the disk is full: the provider was stopped, and that the turn has ended is
	// recorded when there is space again.
	Stopped struct {
		TurnID     chat.TurnID
		Unrecorded bool
	}

	// Configured tells the chat as it now is.
	Configured struct{ Chat chat.Info }

	// Invited tells the invitation that was made, Invites those that are open, Welcomed
	// what one of them opens, and Listed the chat with its members as they now are.
	Invited  struct{ Invite chat.Invite }
	Invites  struct{ Invites []chat.Invite }
	Welcomed struct{ Welcome chat.Welcome }
	Listed   struct{ Chat chat.Info }

	// Deleted confirms a Delete, and Kept says that a chat has not expired.
	Deleted struct{}
	Kept    struct{}

	// Released says whether the room was quarantined.
	Released struct{ WasQuarantined bool }
)

// Entered returns the notice that tells the same.
func (j Joined) Entered() chat.Entered {
	n := chat.Entered{Chat: j.Chat, Epoch: j.Epoch, Seq: j.Seq, Users: j.Users, Queued: j.Queued, Branched: j.Branched, Pending: j.Pending, Calls: j.Calls}
	if j.Turn != nil {
		n.Turn, n.Text, n.Thought = &j.Turn.Turn, j.Turn.Content, j.Turn.Thought
	}
	return n
}

// Running is the turn that runs, with the text of its answer and the thought so far.
type Running struct {
	chat.Turn
	Content string
	Thought string
	Cut     bool // see [chat.TextSoFar]
}

// SoFar returns the notice that tells the text and the thought.
func (r Running) SoFar() chat.TextSoFar {
	return chat.TextSoFar{Turn: r.Turn, Text: r.Content, Thought: r.Thought, Cut: r.Cut}
}
