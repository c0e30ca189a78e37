package assistant

import (
	"encoding/json"
	"time"

	"parlor/actors/room"
	"parlor/actors/session"
	wire "parlor/protocol/assistant"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// answer tells the client what a room has done for it.
func (c *client) answer(e *session.Event, request wire.Request, body any) {
	switch r := request.(type) {
	case wire.CreateRoom:
		info := body.(room.Created).Chat
		c.lastRoom = info.Room
		created := wire.RoomCreated{Room: info.Room, Chat: info.ID, ModelID: info.ModelID}
		c.emit("room_created", string(r.Chat), created)
		c.ok(e, created)
	case wire.JoinRoom:
		c.answerJoin(e, r, body.(room.Joined))
	case wire.LeaveRoom:
		c.forget(r.Room)
		left := wire.RoomLeft(r)
		c.emitWithOffset("room_left", "", left)
		c.ok(e, left)
	case wire.SendMessage:
		c.answerMessage(e, r, body)
	case wire.Edit:
		c.answerSend(e, r.Room, "", body.(room.Sent))
	case wire.Configure:
		c.ok(e, body.(room.Configured).Chat.Settings)
	case wire.SetTyping:
		c.ok(e, struct{}{})
	case wire.AskPresence:
		c.ok(e, wire.ShowPresence(body.(chat.Presence)))
	case wire.Withdraw:
		c.ok(e, wire.MessageWithdrawn(body.(room.Withdrawn)))
	case wire.Select:
		c.ok(e, wire.BranchSelected(body.(room.Selected)))
	case wire.Move:
		c.ok(e, wire.TurnQueued(body.(room.Queued)))
	case wire.Decide:
		c.ok(e, wire.CallDecided{CallID: r.CallID, Decision: wire.DecisionOf(body.(room.Decided).Approved)})
	case wire.AnswerCall:
		c.ok(e, wire.CallAnswered(body.(room.Answered)))
	case wire.Regenerate:
		c.ok(e, wire.TurnQueued(body.(room.Queued)))
	case wire.Stop:
		c.answerStop(e, r, body.(room.Stopped))
	}
}

func (c *client) answerStop(e *session.Event, r wire.Stop, s room.Stopped) {
	if r.Control != "" {
		c.emit("event_received", r.Control, wire.Success{Success: true})
	}
	var stopped wire.TurnStopped
	if s.TurnID != "" {
		stopped.TurnID = &s.TurnID
	}
	if s.Unrecorded {
		stopped.Recorded = new(false)
	}
	c.ok(e, stopped)
}

// isLate reports whether a client that joins lacks the beginning of a live answer,
// and has to be sent it. A client of the documented dialect finds it in room_joined,
// and a client that resumes gets it behind the records that it has missed.
func (m *membership) isLate(r wire.JoinRoom, j room.Joined) bool {
	if m != nil && m.place != nil || r.After != nil || r.Dialect == wire.Documented {
		return false
	}
	return j.Turn != nil && wire.Live(j.Turn.Turn) && j.Turn.Content != ""
}

func page(messages []chat.Message, more bool) wire.Messages {
	page := wire.Messages{Messages: make([]wire.Message, 0, len(messages)), HasMore: more}
	for _, m := range messages {
		page.Messages = append(page.Messages, wire.Show(m))
	}
	return page
}

func (c *client) answerMessage(e *session.Event, r wire.SendMessage, body any) {
	if taken, ok := body.(room.Taken); ok {
		c.answerSpeech(e, r, taken)
		return
	}
	sent := body.(room.Sent)
	c.answerSend(e, r.Room, r.Envelope, sent)
	if m := c.rooms[r.Room]; sent.Unasked && (m == nil || m.dialect != wire.Documented) {
		c.socket.Send(wire.Unasked(r, time.Now())...)
	}
}

// answerSpeech acknowledges speech, which is not recorded.
func (c *client) answerSpeech(e *session.Event, r wire.SendMessage, t room.Taken) {
	if r.Envelope != "" {
		c.emit("message_sent", r.Envelope, wire.Success{Success: true})
	}
	c.ok(e, wire.SpeechTaken(t))
}

// answerSend acknowledges a message. Its sender is told nothing else of the record,
// so the offset moves past it here.
func (c *client) answerSend(e *session.Event, id chat.RoomID, envelope string, s room.Sent) {
	sent := wire.MessageSent{MessageID: s.MessageID, ClientID: s.ClientID, Seq: s.Seq, Replaces: s.Replaces, ReplacesSeq: s.ReplacesSeq}
	m := c.rooms[id]
	if m != nil && m.place != nil && m.place.Seq() < s.Seq {
		m.place.MoveTo(s.Seq)
		m.acknowledged = append(m.acknowledged, s.Seq)
	}
	dialect := wire.Both
	if m != nil {
		dialect = m.dialect
	}
	c.socket.Send(c.standing.allWithOffset(acknowledgement(dialect, id, envelope, sent))...)
	c.ok(e, sent)
}

// acknowledgement is the events that acknowledge a message.
func acknowledgement(d wire.Dialect, id chat.RoomID, envelope string, sent wire.MessageSent) (frames []engineio.Frame) {
	if envelope != "" {
		frames = append(frames, wire.Event("message_sent", envelope, wire.Success{Success: true}))
	}
	if envelope == "" || d != wire.SPA {
		frames = append(frames, wire.Event("message_sent", string(id), sent))
	}
	return frames
}

// ok acknowledges an event with {ok:true} and the fields of body.
func (c *client) ok(e *session.Event, body any) {
	if e.Wanted() {
		e.Ack(withOK(wire.Encode(body)))
	}
	e.Done()
}

// withOK adds ok:true to an encoded object.
func withOK(object json.RawMessage) json.RawMessage {
	if len(object) == len("{}") {
		return json.RawMessage(`{"ok":true}`)
	}
	return append([]byte(`{"ok":true,`), object[1:]...)
}

func (c *client) emit(word, id string, payload any) { c.socket.Send(wire.Event(word, id, payload)) }

// emitWithOffset emits an answer by which the client has joined or left a room, or
// knows another record.
func (c *client) emitWithOffset(word, id string, payload any) {
	c.socket.Send(withOffset(wire.Event(word, id, payload), c.standing.Offset()))
}
