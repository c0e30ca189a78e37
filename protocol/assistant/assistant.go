// Package assistant is the wire of the namespace /assistant/realtime: what
// clients say there and what they are told, in two dialects.
//
//	client event → [Decode] → request → session → room
//	room → chat.Notice → [Encoder] → frames, encoded once for all members of a dialect
//
// The documented dialect (WIRE-EVENTS) streams; the dialect of the assistant
// SPA (WIRE-ASSISTANT §6–§8) gets whole messages, but from models of the realtime
// family, see [Live]. A member that chose neither
// is sent both: their event names do not meet.
//
// Answers are events whose names carry an id after one space. The bare names
// "room_error" and "room_left {id}" throw inside the SPA's page; bare
// "room_left" only answers leave_room, which the SPA never sends.
package assistant

import (
	"encoding/json"
	"strconv"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// Namespace is the Socket.IO namespace.
const Namespace = "/assistant/realtime"

// A Dialect is the set of events that a member understands.
type Dialect uint8

// The dialects.
const (
	Both Dialect = iota // not chosen: one after the other
	Documented
	SPA
)

// Dialects are all of them.
var Dialects = []Dialect{Both, Documented, SPA}

// String returns the name of the dialect's encoder, by which members ask rooms
// for it.
func (d Dialect) String() string {
	return [...]string{"assistant", "assistant.documented", "assistant.spa"}[d]
}

// frames collects the encoded events of one publication.
type frames []engineio.Frame

// emit adds an event, whose name is the word and, if there is one, the id.
func (f *frames) emit(word, id string, payload any) {
	*f = append(*f, Event(word, id, payload))
}

// Event encodes an event with one argument.
func Event(word, id string, payload any) engineio.Frame {
	return socketio.FrameOf(Namespace, name(word, id), payload)
}

// Encode encodes a body.
func Encode(body any) json.RawMessage { return socketio.Argument(body) }

func name(word, id string) string {
	if id == "" {
		return word
	}
	return word + " " + id
}

// Length counts text as JavaScript does, in UTF-16 code units: the unit of
// the offset of a delta.
func Length(text string) int { return chat.UTF16Len(text) }

// Delta encodes a piece of the answer messageID that follows offset UTF-16
// code units of it. The SPA's dialect has no event for it. It is written by
// hand, since there is one for each token.
func Delta(d Dialect, room chat.RoomID, messageID chat.MessageID, offset int, text string) []engineio.Frame {
	if d == SPA {
		return nil
	}
	return frames{chunk(streamChunk, room, messageID, offset, text, false)}
}

// thought is Delta for what the model thinks. The SPA's dialect has no event for it.
func thought(d Dialect, room chat.RoomID, messageID chat.MessageID, offset int, text string) []engineio.Frame {
	if d == SPA {
		return nil
	}
	return frames{chunk(streamThought, room, messageID, offset, text, false)}
}

// The events that tell an answer and its thought piece by piece.
const (
	streamChunk   = "stream_chunk"
	streamThought = "stream_thought"
)

// chunk is written by hand, since there are many.
func chunk(event string, room chat.RoomID, messageID chat.MessageID, offset int, text string, done bool) engineio.Frame {
	arg := make([]byte, 0, 96+len(text)+len(text)/8)
	arg = append(arg, `{"message_id":`...)
	arg = socketio.AppendString(arg, string(messageID))
	arg = append(arg, `,"content":`...)
	arg = socketio.AppendString(arg, text)
	arg = append(arg, `,"done":`...)
	arg = strconv.AppendBool(arg, done)
	arg = append(arg, `,"offset":`...)
	arg = strconv.AppendInt(arg, int64(offset), 10)
	arg = append(arg, '}')
	return socketio.EventFrame(Namespace, name(event, string(room)), arg)
}

// recorded encodes what members are told of r.
func recorded(d Dialect, room chat.RoomID, r chat.Record) []engineio.Frame {
	var f frames
	if d != SPA {
		f.documented(string(room), r)
	}
	if d != Documented {
		f.spa(string(room), r)
	}
	return f
}

// gone encodes that the chat was deleted under its members, or that one is no member
// any more.
func gone(room chat.RoomID, n chat.Removal) []engineio.Frame {
	refusal := Refusal{Error: "this chat was deleted", Code: chat.CodeNotFound}
	switch {
	case n.Left:
		refusal.Error = "you are no longer a member of this chat"
	case n.Away:
		refusal.Error = "this chat was deleted, or you are no longer a member of it"
	}
	return frames{Event("error", string(room), refusal)}
}

// trouble encodes what has befallen a room, for its members: why and, if a
// turn was running, an end of it that is not recorded (it has number 0), so that
// nobody waits for the rest.
func trouble(d Dialect, room chat.RoomID, n chat.Failure) []engineio.Frame {
	var f frames
	err, turn := n.Error, n.Turn
	running := turn.TurnID != ""
	if d != SPA {
		if running {
			f.emit("stream_error", string(room), streamError{MessageID: turn.MessageID, Error: err.Message, Code: err.Code})
			f.emit("stream_end", string(room), streamEnd{MessageID: turn.MessageID, State: chat.StateInterrupted})
			f.emit("turn", string(room), turnEvent{TurnID: turn.TurnID, State: chat.StateInterrupted, Reason: err.Message})
		}
		f.emit("error", string(room), Refusal{Error: err.Message, Code: err.Code})
	}
	if d != Documented && running {
		f.spa(string(room), chat.Record{At: n.At, Event: chat.TurnEnded{
			TurnID: turn.TurnID, MessageID: turn.MessageID, ModelID: turn.ModelID, State: chat.StateInterrupted, Error: err,
			Duplex: turn.Duplex,
		}})
	}
	return f
}
