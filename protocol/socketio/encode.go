package socketio

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"parlor/protocol/engineio"
)

// The functions that return a Frame encode a whole packet, which any number
// of connections can be sent. Arguments and other JSON must be valid and are
// copied as they are; one that is empty becomes null.

// messageType begins the text of every Engine.IO message packet.
const messageType = '0' + byte(engineio.TypeMessage)

// ConnectFrame encodes the answer to a CONNECT: the client has joined the
// namespace, where it is known as sid. The private id pid, by which its
// connection state can be recovered, is left out if empty.
func ConnectFrame(namespace, sid, pid string) engineio.Frame {
	b := header(Packet{Type: Connect, Namespace: namespace}, 32+len(sid)+len(pid))
	b = append(b, `{"sid":`...)
	b = AppendString(b, sid)
	if pid != "" {
		b = append(b, `,"pid":`...)
		b = AppendString(b, pid)
	}
	return engineio.Frame{Data: append(b, '}')}
}

// ConnectErrorFrame encodes the refusal of a CONNECT. Empty data is left out.
func ConnectErrorFrame(namespace, message string, data json.RawMessage) engineio.Frame {
	b := header(Packet{Type: ConnectError, Namespace: namespace}, 32+len(message)+len(data))
	b = append(b, `{"message":`...)
	b = AppendString(b, message)
	if len(data) > 0 {
		b = append(b, `,"data":`...)
		b = append(b, data...)
	}
	return engineio.Frame{Data: append(b, '}')}
}

// DisconnectFrame encodes that the client has been put out of the namespace.
func DisconnectFrame(namespace string) engineio.Frame {
	return engineio.Frame{Data: header(Packet{Type: Disconnect, Namespace: namespace}, 0)}
}

// EventFrame encodes an event that asks for no acknowledgement. The name must
// not be [Reserved].
func EventFrame(namespace, name string, args ...json.RawMessage) engineio.Frame {
	b := header(Packet{Type: Event, Namespace: namespace}, eventSize(name, args))
	return engineio.Frame{Data: appendEvent(b, name, args)}
}

// FrameOf is EventFrame with one [Argument].
func FrameOf(namespace, name string, v any) engineio.Frame {
	b := header(Packet{Type: Event, Namespace: namespace}, usualEvent+len(name))
	b = append(AppendString(append(b, '['), name), ',')
	return engineio.Frame{Data: append(appendArgument(b, v), ']')}
}

// usualEvent is how many bytes most events that are encoded here need besides their name.
const usualEvent = 384

// ForeignFrame is EventFrame for arguments that the application has not made. An official
// client takes a last argument that is a string, even the name, for the offset that it asks
// with for what it has missed. So null follows.
func ForeignFrame(namespace, name string, args []json.RawMessage) engineio.Frame {
	if len(args) == 0 || bytes.HasPrefix(args[len(args)-1], []byte(`"`)) {
		args = append(slices.Clip(args), json.RawMessage("null"))
	}
	return EventFrame(namespace, name, args...)
}

// Argument encodes an argument of an event. One that cannot be encoded is a bug of ours.
// Unlike json.Marshal it leaves < and > alone: answers are full of code, and six bytes
// for each of its brackets help nobody here.
func Argument(v any) json.RawMessage { return appendArgument(nil, v) }

func appendArgument(b []byte, v any) []byte {
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("socketio: encode an argument: " + err.Error())
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// WithArg returns the event with one more argument. The frame is that of an
// event without attachments, and is not changed.
func WithArg(event engineio.Frame, arg json.RawMessage) engineio.Frame {
	b := make([]byte, 0, len(event.Data)+len(arg)+1)
	b = append(b, event.Data[:len(event.Data)-1]...) // all but the bracket
	b = append(b, ',')
	b = append(b, arg...)
	return engineio.Frame{Data: append(b, ']')}
}

// AckFrame encodes the acknowledgement of the event that came with id.
func AckFrame(namespace string, id uint64, args ...json.RawMessage) engineio.Frame {
	b := header(Packet{Type: Ack, Namespace: namespace, ID: id, HasID: true}, eventSize("", args))
	return engineio.Frame{Data: appendArgs(append(b, '['), args)}
}

// EventData returns the data of a packet that is an event. The name must not
// be [Reserved].
func EventData(name string, args ...json.RawMessage) json.RawMessage {
	return appendEvent(make([]byte, 0, eventSize(name, args)), name, args)
}

// AckData returns the data of a packet that acknowledges an event.
func AckData(args ...json.RawMessage) json.RawMessage {
	return appendArgs(append(make([]byte, 0, eventSize("", args)), '['), args)
}

// Frames encodes any packet: its text and then, in frames that share their
// bytes, its attachments. Whether the text says BINARY_EVENT or EVENT, or
// BINARY_ACK or ACK, follows from there being attachments, not from p.Type.
// The frames have to be sent together.
func (p Packet) Frames() []engineio.Frame {
	b := header(p, len(p.Data))
	frames := make([]engineio.Frame, 1, 1+len(p.Attachments))
	frames[0].Data = append(b, p.Data...)
	for _, data := range p.Attachments {
		frames = append(frames, engineio.Frame{Data: data, Binary: true})
	}
	return frames
}

// wireType returns p's type as it has to be written.
func (p Packet) wireType() PacketType {
	binary := len(p.Attachments) > 0
	switch p.Type {
	case Event, BinaryEvent:
		if binary {
			return BinaryEvent
		}
		return Event
	case Ack, BinaryAck:
		if binary {
			return BinaryAck
		}
		return Ack
	}
	return p.Type
}

// header returns all of p but its data, with room for n bytes more.
func header(p Packet, n int) []byte {
	t := p.wireType()
	b := make([]byte, 0, 32+len(p.Namespace)+n)
	b = append(b, messageType, '0'+byte(t))
	if t.binary() {
		b = strconv.AppendInt(b, int64(len(p.Attachments)), 10)
		b = append(b, '-')
	}
	if p.Namespace != "/" && p.Namespace != "" {
		b = append(b, p.Namespace...)
		b = append(b, ',')
	}
	if p.HasID {
		b = strconv.AppendUint(b, p.ID, 10)
	}
	return b
}

// eventSize returns how many bytes an event usually needs.
func eventSize(name string, args []json.RawMessage) int {
	n := len(name) + 8
	for _, arg := range args {
		n += len(arg) + 5
	}
	return n
}

func appendEvent(b []byte, name string, args []json.RawMessage) []byte {
	b = AppendString(append(b, '['), name)
	if len(args) > 0 {
		b = append(b, ',')
	}
	return appendArgs(b, args)
}

// appendArgs appends the arguments and the end of the array that they stand in.
func appendArgs(b []byte, args []json.RawMessage) []byte {
	for i, arg := range args {
		if i > 0 {
			b = append(b, ',')
		}
		if len(arg) == 0 {
			arg = json.RawMessage("null")
		}
		b = append(b, arg...)
	}
	return append(b, ']')
}

// AppendString appends s as a JSON string, as JSON.stringify would write it.
// Bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		size, escape := 1, ""
		switch c := s[i]; {
		case c == '"':
			escape = `\"`
		case c == '\\':
			escape = `\\`
		case c < ' ':
			escape = controls[c]
		case c >= utf8.RuneSelf:
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
				escape = "\uFFFD"
			}
		}
		if escape != "" {
			b = append(b, s[start:i]...)
			b = append(b, escape...)
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// controls are the escapes of the control characters.
var controls = func() (escapes [' ']string) {
	for c := range escapes {
		escapes[c] = `\u00` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15])
	}
	escapes['\b'], escapes['\f'], escapes['\n'], escapes['\r'], escapes['\t'] = `\b`, `\f`, `\n`, `\r`, `\t`
	return escapes
}()
