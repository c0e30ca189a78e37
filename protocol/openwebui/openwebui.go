// Package openwebui is the wire of the namespace /: what clients of Open WebUI's
// real-time layer say there and what they are told.
//
//	client event → [Decode] → request → socket → rooms
//	room → chat.Notice → [Encoder] → frames, encoded once for all listeners of a form
//
// Answers are told piece by piece (chat-events), to the devices of the user who asked and
// to the room channel:{chat_id}, which is told "stream" and "final" too. Events have two
// names: those of version 0.5, and those that came after. A client is told both unless it
// says which it knows, see [Form].
package openwebui

import (
	"encoding/json"
	"slices"
	"strings"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// Namespace is the Socket.IO namespace.
const Namespace = "/"

// A Form is which events a client is told, and how.
type Form uint8

// The parts of a form.
const (
	Old        Form = 1 << iota // chat-events and channel-events
	New                         // events and events:channel
	Room                        // stream and final
	Cumulative                  // all of an answer so far in place of its next piece
	Messages                    // what people say: the client has joined the room
)

const names = Old | New | Room

// Forms are all that there are.
var Forms = func() (all []Form) {
	for f := range Messages << 1 {
		if f&names != 0 && (f&Room == 0 || f&Messages != 0) {
			all = append(all, f)
		}
	}
	return all
}()

// String returns the name of the form's encoder.
func (f Form) String() string {
	parts := []string{"openwebui"}
	for i, name := range []string{"old", "new", "room", "cumulative", "messages"} {
		if f&(1<<i) != 0 {
			parts = append(parts, name)
		}
	}
	return strings.Join(parts, ".")
}

// FormOf returns the form that the auth of a CONNECT asks for: events are the names that the
// client wants to be told, and content is "cumulative" for the form of version 0.5.
func FormOf(auth json.RawMessage) (Form, *chat.Error) {
	var wants struct {
		Events  []string `json:"events"`
		Content string   `json:"content"`
	}
	if isObject(auth) {
		if err := json.Unmarshal(auth, &wants); err != nil {
			return 0, invalid("auth: events must be a list of names, and content \"cumulative\" or \"deltas\"")
		}
	}
	var f Form
	for _, name := range wants.Events {
		part := formOfName(name)
		if part == 0 {
			return 0, invalid("auth: events knows chat-events, channel-events, events, events:channel, stream and final")
		}
		f |= part
	}
	if f == 0 {
		f = names
	}
	switch wants.Content {
	case "", "deltas":
	case "cumulative":
		f |= Cumulative
	default:
		return 0, invalid("auth: content must be cumulative or deltas")
	}
	return f, nil
}

func formOfName(name string) Form {
	switch name {
	case "chat-events", "channel-events":
		return Old
	case "events", "events:channel":
		return New
	case "stream", "final":
		return Room
	}
	return 0
}

// clientIDs begins the correlation of a turn whose answer has an id that its client chose.
const clientIDs = "webui:"

// Correlation returns what the turn of an answer has to carry so that the answer is known by
// the id that its client chose.
func Correlation(id string) string { return clientIDs + id }

// answerID returns the id by which clients know an answer.
func answerID(correlation string, id chat.MessageID) string {
	if chosen, ok := strings.CutPrefix(correlation, clientIDs); ok {
		return chosen
	}
	return string(id)
}

// newTypes are the types that have another name under [New].
var newTypes = map[string]string{
	"message":        "chat:message:delta",
	"replace":        "chat:message",
	"task-cancelled": "chat:tasks:cancel",
}

type (
	envelope struct {
		Chat    chat.ID `json:"chat_id"`
		Message string  `json:"message_id"`
		Data    typed   `json:"data"`
	}
	typed struct {
		Type string `json:"type"`
		Data any    `json:"data,omitempty"`
	}
)

// ChatEvents encodes an event of an answer under the names of the form.
func ChatEvents(f Form, id chat.ID, message, kind string, data any) (frames []engineio.Frame) {
	if f&Old != 0 {
		frames = append(frames, Event("chat-events", envelope{id, message, typed{kind, data}}))
	}
	if f&New != 0 {
		if newer, ok := newTypes[kind]; ok {
			kind = newer
		}
		frames = append(frames, Event("events", envelope{id, message, typed{kind, data}}))
	}
	return frames
}

// A ChannelEvent is what the room of a channel is told.
type ChannelEvent struct {
	Channel chat.ID         `json:"channel_id"`
	Message json.RawMessage `json:"message_id"` // as the client gave it
	Data    any             `json:"data"`
	User    User            `json:"user"`
}

// NewChannelEvent makes the event of that type, of a message of a channel, by a user.
func NewChannelEvent(id chat.ID, message, kind string, data any, by User) ChannelEvent {
	return ChannelEvent{Channel: id, Message: argument(message), Data: typed{kind, data}, User: by}
}

// A User is the author of something, as members see each other.
type User struct {
	ID      chat.UserID `json:"id"`
	Name    string      `json:"name"`
	Role    string      `json:"role"`
	Picture string      `json:"profile_image_url"`
}

// UserOf returns how others see a user.
func UserOf(u chat.User) User {
	name := u.Name
	if name == "" {
		name = string(u.ID)
	}
	return User{ID: u.ID, Name: name, Role: "user"}
}

// ChannelEvents encodes an event of a channel under the names of the form.
func ChannelEvents(f Form, e ChannelEvent) (frames []engineio.Frame) {
	if f&Old != 0 {
		frames = append(frames, Event("channel-events", e))
	}
	if f&New != 0 {
		frames = append(frames, Event("events:channel", e))
	}
	return frames
}

// UserList says who is there, and ModelList which models are in use. Of more users than are
// listed only the number is told.
type (
	UserList struct {
		IDs   []chat.UserID `json:"user_ids"`
		Users int           `json:"users"`
	}
	ModelList struct {
		Models []chat.ModelID `json:"models"`
	}
)

// Event encodes an event with one argument.
func Event(name string, payload any) engineio.Frame {
	return socketio.FrameOf(Namespace, name, payload)
}

// told are the events that only the server tells. chat-events and events are not among them:
// they are the envelope in which plug-ins tell clients of what they do, and ask them.
var told = []string{"channel-events", "events:channel", "stream", "final", "user-list", "usage"}

// Reserved reports whether nobody else may send clients an event of that name.
func Reserved(event string) bool { return slices.Contains(told, event) || decoders[event] != nil }

// Events are the names of what clients may emit.
func Events() []string {
	all := make([]string, 0, len(decoders))
	for name := range decoders {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
