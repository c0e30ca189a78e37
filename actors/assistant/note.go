package assistant

import (
	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
)

// note says in the event's line of the log what the event is about.
func (c *client) note(e *session.Event, request wire.Request) {
	e.Note.Event, e.Note.User = wire.Word(e.Name), string(c.user.ID)
	id, _ := roomOf(request)
	switch r := request.(type) {
	case wire.FindChat:
		id = r.Chat.Room()
	case wire.CreateRoom:
		id = r.Chat.Room()
	case wire.JoinRoom:
		id = r.Room
	}
	if id.Valid() { // else it is what the client has made up
		e.Note.Room = string(id)
	}
}

// noteAnswer says in the event's line of the log what has come of it.
func noteAnswer(e *session.Event, body any) {
	switch b := body.(type) {
	case room.Created:
		e.Note.Room = string(b.Chat.Room)
	case room.Sent:
		e.Note.Message = string(b.MessageID)
	case room.Queued:
		e.Note.Turn = string(b.TurnID)
	case room.Stopped:
		e.Note.Turn = string(b.TurnID)
	}
}
