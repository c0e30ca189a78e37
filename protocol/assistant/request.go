package assistant

import "parlor/protocol/chat"

// A Request is a client event, understood. Its fields are as the client sent
// them: rooms decide whether ids exist and may be used.
type Request interface{ request() }

// The requests. An empty Room in JoinRoom means the one that the socket found
// or created last (WIRE-ASSISTANT §9.2).
type (
	FindChat   struct{ Chat chat.ID }
	CreateRoom struct {
		Chat      chat.ID
		ModelID   chat.ModelID
		APISource string
	}
	JoinRoom struct {
		Room    chat.RoomID
		Dialect Dialect
		After   *uint64     // the last record that the client has; nil if it has none
		Epoch   string      // in which After was counted; empty if the client does not say
		Tools   []chat.Tool // that the page offers; nil: as before
	}
	LeaveRoom   struct{ Room chat.RoomID }
	SendMessage struct {
		Room     chat.RoomID
		Envelope string // the SPA's id of the sending, which its acknowledgement is named after
		Content  string
		ModelID  chat.ModelID
		ClientID chat.ClientID
		LocalID  string
		Policy   chat.Policy
		Answer   *bool // whether one is wanted; nil: as the chat says
		Quiet    bool  // no answer wanted yet
		Respond  bool  // no message, only: answer now
		Speech   Speech
		Audio    string // to append
		Files    []chat.FileID
	}
	Stop struct {
		Room     chat.RoomID
		TurnID   chat.TurnID
		Reason   string
		ClientID chat.ClientID
		Control  string // the SPA's id of the control event, if it is one
	}
	Regenerate struct {
		Room      chat.RoomID
		MessageID chat.MessageID // of the answer that is not good enough
		ModelID   chat.ModelID   // empty: the one that gave it
		ClientID  chat.ClientID
	}
	Edit struct {
		Room      chat.RoomID
		MessageID chat.MessageID // of the message that this is a new version of
		Content   string
		ModelID   chat.ModelID
		ClientID  chat.ClientID
		Answer    *bool // whether one is wanted; nil: as the chat says
	}
	// Withdraw takes back a message that waits, and Move has a turn wait elsewhere:
	// before another one, or last.
	Withdraw struct {
		Room      chat.RoomID
		MessageID chat.MessageID
		ClientID  chat.ClientID
	}
	Move struct {
		Room           chat.RoomID
		TurnID, Before chat.TurnID
		ClientID       chat.ClientID
	}
	// Select has the conversation go on with the branch of a message.
	Select struct {
		Room      chat.RoomID
		MessageID chat.MessageID
		ClientID  chat.ClientID
	}
	// Decide decides about a call of a tool that waits.
	Decide struct {
		Room chat.RoomID
		chat.Decide
	}
	// AnswerCall brings what has come of a call that the page has run.
	AnswerCall struct {
		Room chat.RoomID
		chat.AnswerCall
	}
	// Control is a control event of the SPA that asks for nothing.
	Control struct {
		Room chat.RoomID
		ID   string
	}
	// Configure changes a chat's settings.
	Configure struct {
		Room     chat.RoomID
		Changes  chat.Changes
		ClientID chat.ClientID
	}
	// Usage asks what the client's user has used, in one chat if there is a Room.
	Usage struct {
		Room chat.RoomID
		By   chat.UsageBy
	}
	// Renew brings a new token for a connection that is open.
	Renew struct{ Token string }
	// ListMembers asks who has a role in the chat.
	ListMembers struct{ Room chat.RoomID }
	// SetTyping says whether the client's user types, and AskPresence asks who is in the room.
	SetTyping struct {
		Room   chat.RoomID
		Typing bool
	}
	AskPresence struct{ Room chat.RoomID }
	// MarkRead says how far the client's user has read.
	MarkRead struct {
		Room chat.RoomID
		Seq  uint64
	}
	// Watch asks to be told what happens in all chats.
	Watch   struct{}
	History struct {
		Room   chat.RoomID
		Before uint64
		Limit  int
		Branch chat.MessageID // through which the branch leads; empty: the current one
	}
)

func (FindChat) request()    {}
func (CreateRoom) request()  {}
func (JoinRoom) request()    {}
func (LeaveRoom) request()   {}
func (SendMessage) request() {}
func (Stop) request()        {}
func (Regenerate) request()  {}
func (Edit) request()        {}
func (Control) request()     {}
func (Configure) request()   {}
func (Usage) request()       {}
func (Renew) request()       {}
func (ListMembers) request() {}
func (SetTyping) request()   {}
func (AskPresence) request() {}
func (MarkRead) request()    {}
func (Watch) request()       {}
func (History) request()     {}
func (Withdraw) request()    {}
func (Decide) request()      {}
func (AnswerCall) request()  {}
func (Move) request()        {}
func (Select) request()      {}

// Speech is what a send does with what its sender is saying; empty for one
// that has nothing to do with it.
type Speech string

// The kinds of speech.
const (
	Append Speech = "append"
	Clear  Speech = "clear"
	Commit Speech = "commit"
)

// Limits of what a request may hold, besides the size of a message, which is
// the room's.
const (
	maxEnvelopeLen = 128
	MaxReasonLen   = 1024
	DefaultHistory = 50
	MaxHistory     = 500
	maxModelIDLen  = 256
	maxFiles       = 100
)
