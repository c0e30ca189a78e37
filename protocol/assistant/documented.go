package assistant

import "parlor/protocol/chat"

// Message is a message as the documented dialect shows it.
type Message struct {
	chat.Message
	Timestamp string `json:"timestamp"` // shadows the one inside
}

// Show returns m for the documented dialect.
func Show(m chat.Message) Message { return Message{m, chat.Timestamp(m.Created)} }

type turnEvent struct {
	TurnID chat.TurnID `json:"turn_id"`
	State  chat.State  `json:"state"`
	Seq    uint64      `json:"seq"`
	By     chat.UserID `json:"by,omitempty"`
	Reason string      `json:"reason,omitempty"`
	Code   chat.Code   `json:"code,omitempty"`   // of a failed one
	Finish chat.Finish `json:"finish,omitempty"` // why the model ended the answer
	Before chat.TurnID `json:"before,omitempty"` // the waiting turn that a queued one runs before

	// Of a queued one: the message that it answers, and the model that is asked.
	Prompt    chat.MessageID `json:"prompt,omitempty"`
	PromptSeq uint64         `json:"prompt_seq,omitempty"`
	ModelID   chat.ModelID   `json:"model_id,omitempty"`

	// First is the first version of an answer that is given anew. The branch then ends with
	// the prompt so far.
	First chat.MessageID `json:"first,omitempty"`
}

// steeredEvent says that the running turn took in messages.
type steeredEvent struct {
	turnEvent
	Steered []chat.MessageID `json:"steered"`
}

// memberChanged says that somebody has a role, or none any more if that is empty.
type memberChanged struct {
	chat.Member
	Seq uint64      `json:"seq"`
	By  chat.UserID `json:"by,omitempty"`
}

// ownerOffered says that the owner offers the chat to a member.
type ownerOffered struct {
	UserID chat.UserID `json:"user_id"`
	By     chat.UserID `json:"by"`
	Seq    uint64      `json:"seq"`
}

// inviteChanged says that an invitation was made or revoked. It does not say how to use it.
type inviteChanged struct {
	ID      chat.InviteID   `json:"invite_id"`
	Role    chat.MemberRole `json:"role,omitempty"`
	Revoked bool            `json:"revoked"`
	By      chat.UserID     `json:"by"`
	Seq     uint64          `json:"seq"`
}

// branchSelected says that the conversation goes on with the branch that leads through a
// message. Branches differ in the record From, or behind it.
type branchSelected struct {
	MessageID chat.MessageID `json:"message_id"`
	From      uint64         `json:"from"`
	By        chat.UserID    `json:"by,omitempty"`
	Seq       uint64         `json:"seq"`
}

// withdrawn says that the message with the number MessageSeq is no part of the
// conversation any more.
type withdrawn struct {
	MessageID  chat.MessageID `json:"message_id"`
	MessageSeq uint64         `json:"message_seq"`
	By         chat.UserID    `json:"by"`
	Seq        uint64         `json:"seq"`
}

type roomUpdated struct {
	chat.Settings
	Seq uint64      `json:"seq"`
	By  chat.UserID `json:"by,omitempty"`
}

type streamStart struct {
	MessageID chat.MessageID `json:"message_id"`
	TurnID    chat.TurnID    `json:"turn_id"`
	Attempt   int            `json:"attempt"`
	ModelID   chat.ModelID   `json:"model_id"`
	Name      string         `json:"name,omitempty"`
	Seq       uint64         `json:"seq"`

	Recovering bool `json:"recovering,omitempty"` // the attempt before was cut by the end of the server
}

type streamEnd struct {
	MessageID chat.MessageID `json:"message_id"`
	Seq       uint64         `json:"seq"`
	State     chat.State     `json:"state"`
	Finish    chat.Finish    `json:"finish,omitempty"`
	Usage     *chat.Usage    `json:"usage"`
}

type streamError struct {
	MessageID chat.MessageID `json:"message_id"`
	Error     string         `json:"error"`
	Code      chat.Code      `json:"code"`
	Retrying  bool           `json:"retrying"`
	ModelID   chat.ModelID   `json:"model_id,omitempty"` // who is asked next, if that is another
}

// documented encodes a record in the dialect of WIRE-EVENTS. What was recorded
// carries its sequence number in every event that tells of it.
func (f *frames) documented(room string, r chat.Record) {
	switch e := r.Event.(type) {
	case chat.MessageAdded:
		f.message(room, r)
	case chat.Configured:
		f.emit("room_updated", room, roomUpdated{e.Settings, r.Seq, e.By})
	case chat.MemberChanged:
		f.emit("members", room, memberChanged{e.Member.Told(), r.Seq, e.By})
	case chat.OwnerOffered:
		f.emit("offer", room, ownerOffered{e.To, e.By, r.Seq})
	case chat.InviteMade:
		f.emit("invite", room, inviteChanged{ID: e.Invite.ID, Role: e.Invite.Role, By: e.Invite.By, Seq: r.Seq})
	case chat.InviteRevoked:
		f.emit("invite", room, inviteChanged{ID: e.ID, Revoked: true, By: e.By, Seq: r.Seq})
	case chat.TurnSteered:
		f.emit("turn", room, steeredEvent{turnEvent{TurnID: e.TurnID, State: chat.StateRunning, Seq: r.Seq}, e.Messages})
	case chat.TurnQueued:
		queued := turnEvent{
			TurnID: e.TurnID, State: chat.StateQueued, Seq: r.Seq, By: e.By, Before: e.Before, Prompt: e.Prompt, PromptSeq: e.PromptSeq, ModelID: e.ModelID,
		}
		if e.FirstSeq > 0 {
			queued.First = e.First
		}
		f.emit("turn", room, queued)
	case chat.BranchSelected:
		f.emit("branch", room, branchSelected{e.MessageID, e.From, e.By, r.Seq})
	case chat.TurnMoved:
		f.emit("turn", room, turnEvent{TurnID: e.TurnID, State: chat.StateQueued, Seq: r.Seq, By: e.By, Before: e.Before})
	case chat.MessageWithdrawn:
		f.emit("withdrawn", room, withdrawn{e.MessageID, e.Seq, e.By, r.Seq})
	case chat.TurnStarted:
		f.emit("turn", room, turnEvent{TurnID: e.TurnID, State: chat.StateRunning, Seq: r.Seq})
		f.emit("stream_start", room, streamStart{e.MessageID, e.TurnID, e.Attempt, e.ModelID, e.Name, r.Seq, e.Attempt > 1})
	case chat.TurnRun:
		f.emit("turn", room, turnEvent{TurnID: e.TurnID, State: chat.StateRunning, Seq: r.Seq})
	case chat.ToolStarted, chat.ToolsCalled, chat.ToolsLost, chat.ToolDecided, chat.ToolEnded:
		f.documentedTools(room, r)
	case chat.TurnEnded:
		f.documentedEnd(room, r, e)
	}
}

func (f *frames) documentedEnd(room string, r chat.Record, e chat.TurnEnded) {
	if e.MessageID != "" {
		*f = append(*f, chunk(streamChunk, chat.RoomID(room), e.MessageID, Length(e.Content), "", true))
		if e.Error != nil {
			f.emit("stream_error", room, streamError{MessageID: e.MessageID, Error: e.Error.Message, Code: e.Error.Code})
		}
		f.message(room, r)
		f.emit("stream_end", room, streamEnd{e.MessageID, r.Seq, e.State, e.Finish, e.Usage})
	}
	reason := e.Reason
	if e.Error != nil {
		reason = e.Error.Message
	}
	end := turnEvent{TurnID: e.TurnID, State: e.State, Seq: r.Seq, By: e.By, Reason: reason, Finish: e.Finish}
	if e.Error != nil {
		end.Code = e.Error.Code
	}
	f.emit("turn", room, end)
}

func (f *frames) message(room string, r chat.Record) {
	m, _ := r.Message()
	f.emit("message", room, map[string]Message{"message": Show(m)})
}
