package assistant

import (
	"time"

	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// undefined stands in the name of an answer for an id that the client has not sent.
const undefined = "undefined"

func orUndefined[S ~string](id S) string {
	if id == "" {
		return undefined
	}
	return string(id)
}

// refuse tells the client why its event is refused, under each name of an answer that
// the client may wait for.
func (c *client) refuse(e *session.Event, request wire.Request, err *chat.Error) {
	e.Note.Outcome = string(err.Code)
	if err.Code.Fault() {
		err = err.Of(e.RequestID())
	}
	refusal := wire.Refusal{Error: err.Message, Code: err.Code, RetryAfter: err.RetryAfter, Event: e.Name, RequestID: err.RequestID}
	if len(refusal.Event) > maxEventName {
		refusal.Event = refusal.Event[:maxEventName]
	}
	var room chat.RoomID
	room, refusal.ClientID = roomOf(request)
	switch r := request.(type) {
	case wire.FindChat:
		c.emit("room_not_found", orUndefined(r.Chat), wire.RoomNotFound{Chat: r.Chat})
	case wire.CreateRoom:
		c.emit("room_error", orUndefined(r.Chat), refusal)
	case wire.JoinRoom:
		c.emit("room_join_error", orUndefined(r.Room), refusal)
	case wire.SendMessage:
		if r.Envelope != "" {
			c.emit("message_error", r.Envelope, refusal)
		}
	case wire.Stop:
		if r.Control != "" {
			c.emit("event_error", r.Control, refusal)
		}
	case wire.Control:
		if r.ID != "" {
			c.emit("event_error", r.ID, refusal)
		}
	}
	c.refusePage(request, err)
	if named := request == nil || err.Code == chat.CodeInvalid; named || room != "" {
		c.emit("error", string(room), refusal)
	}
	e.Ack(wire.Encode(failure{Error: err}))
	e.Done()
}

// roomOf returns the room that a request is about, if its refusal has a name with the room,
// and the id that the client gave the request.
func roomOf(request wire.Request) (chat.RoomID, chat.ClientID) {
	switch r := request.(type) {
	case wire.LeaveRoom:
		return r.Room, ""
	case wire.SendMessage:
		return r.Room, r.ClientID
	case wire.Stop:
		return r.Room, r.ClientID
	case wire.Control:
		return r.Room, ""
	case wire.Configure:
		return r.Room, r.ClientID
	case wire.ListMembers:
		return r.Room, ""
	case wire.SetTyping:
		return r.Room, ""
	case wire.MarkRead:
		return r.Room, ""
	case wire.AskPresence:
		return r.Room, ""
	case wire.Usage:
		return r.Room, ""
	case wire.History:
		return r.Room, ""
	case wire.Regenerate:
		return r.Room, r.ClientID
	case wire.Edit:
		return r.Room, r.ClientID
	case wire.Withdraw:
		return r.Room, r.ClientID
	case wire.Move:
		return r.Room, r.ClientID
	case wire.Select:
		return r.Room, r.ClientID
	case wire.Decide:
		return r.Room, r.ClientID
	case wire.AnswerCall:
		return r.Room, ""
	}
	return "", ""
}

// refusePage tells the SPA what it takes for the end of a turn that has failed. Without it
// the page marks the message, and its spinner stays on without words.
func (c *client) refusePage(request wire.Request, err *chat.Error) {
	r, send := request.(wire.SendMessage)
	m := c.rooms[r.Room]
	if !send || r.Room == "" || m != nil && m.dialect == wire.Documented {
		return
	}
	c.socket.Send(wire.RefusedSend(r, err, time.Now())...)
}

// maxEventName is how many bytes of a refused event's name are sent back.
const maxEventName = 64

// failure is the acknowledgement of an event that was refused.
type failure struct {
	OK    bool        `json:"ok"`
	Error *chat.Error `json:"error"`
}
