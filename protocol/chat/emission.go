package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxEventLen limits, in bytes, the name of an event that another backend sends.
const MaxEventLen = 128

// An Emission is an event that another backend has clients told. It is not recorded.
type Emission struct {
	To    Target            `json:"to"`
	Event string            `json:"event"`
	Args  []json.RawMessage `json:"args"`
}

// A Call is an emission to one client, which is to acknowledge it in time.
type Call struct {
	Emission
	Timeout time.Duration
}

// An Acknowledgement is what a client has answered a [Call] with.
type Acknowledgement struct {
	Args        []json.RawMessage `json:"args"`
	Attachments [][]byte          `json:"attachments,omitempty"` // that placeholders in Args number
}

// A Target says which clients an emission is for. One kind of them is named.
type Target struct {
	Rooms    Names `json:"room"` // by the id of the room, or that of its chat
	Users    Names `json:"user"`
	Sessions Names `json:"session"` // by the ids of sockets
	All      bool  `json:"all"`
}

// Names are what JSON has as one name or a list of them.
type Names []string

// UnmarshalJSON implements json.Unmarshaler.
func (n *Names) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		return json.Unmarshal(text, (*[]string)(n))
	}
	var one string
	if err := json.Unmarshal(text, &one); err != nil {
		return err
	}
	*n = Names{one}
	return nil
}

// Names returns all that the target names.
func (t Target) Names() Names {
	switch {
	case t.Rooms != nil:
		return t.Rooms
	case t.Users != nil:
		return t.Users
	}
	return t.Sessions
}

// An Announcement is an [Emission] to a room, as its listeners are told it.
type Announcement struct {
	Event string
	Args  []json.RawMessage
}

func (Announcement) notice() {}

// Valid refuses an emission that names no clients, or cannot be encoded. Args must be
// JSON already.
func (e Emission) Valid() *Error {
	kinds := 0
	for _, named := range []bool{e.To.Rooms != nil, e.To.Users != nil, e.To.Sessions != nil, e.To.All} {
		if named {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return Refuse(CodeInvalid, "to must name one of room, user, session and all")
	case !e.To.All && len(e.To.Names()) == 0:
		return Refuse(CodeInvalid, "to names nobody")
	case e.Event == "" || len(e.Event) > MaxEventLen || !Printable(e.Event):
		return Refuse(CodeInvalid, fmt.Sprintf("event must be 1 to %d bytes of printable text", MaxEventLen))
	}
	for _, arg := range e.Args {
		if !utf8.Valid(arg) { // it would end the connection of a browser
			return Refuse(CodeInvalid, "args must be UTF-8")
		}
	}
	return nil
}

// Size returns how long the arguments are together, in bytes.
func (e Emission) Size() (n int) {
	for _, arg := range e.Args {
		n += len(arg)
	}
	return n
}
