// Package aisdk is the wire of the AI SDK's useChat, versions 5 to 7: what its
// transports send, and the UI message stream that they want back.
//
//	body, frame → [Decode], [DecodeFrame] → request → room command
//	chat.Notice → [Answer.Tell] → parts → [Event] or [Chunk] → useChat
//	chat.Message → [Show] → UIMessage, for the history that an app loads
//
// # One stream is one message
//
// A stream carries one answer, and what else a room tells is not part of it. So each
// stream has an [Answer] of its own, and rooms encode nothing for this wire.
//
// # What the versions refuse
//
// A part of a type that a version does not know ends its stream with an error, and
// nothing on the wire names the version. So only parts are used that 5, 6 and 7 all
// know, and those of approvals, unless an app says that it is of version 5. None of them
// takes text back. If the text that was told turns out to be wrong, the connection has to
// be reset: the client then asks for the answer again, and gets it from its beginning with
// the same id.
package aisdk

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// A Part is one part of a UI message stream, a JSON object.
type Part = json.RawMessage

// StreamHeaders are those of a UI message stream besides its Content-Type.
var StreamHeaders = map[string]string{
	"X-Vercel-Ai-Ui-Message-Stream": "v1",
	"Cache-Control":                 "no-cache, no-store",
	"X-Accel-Buffering":             "no",
}

// StreamType is the Content-Type of a UI message stream.
const StreamType = "text/event-stream"

// Done is the last event of a UI message stream over HTTP, and KeepAlive a comment that
// clients ignore.
var (
	Done      = []byte("data: [DONE]\n\n")
	KeepAlive = []byte(": keep-alive\n\n")
)

// AppendEvent appends a part as a server-sent event.
func AppendEvent(b []byte, p Part) []byte {
	b = append(b, "data: "...)
	b = append(b, p...)
	return append(b, "\n\n"...)
}

// AppendChunk appends a part as a frame of the WebSocket transport: the one with the
// number sequence, from 0, that answers the request.
func AppendChunk(b []byte, request string, sequence int, p Part) []byte {
	b = append(b, `{"type":"chunk","requestId":`...)
	b = append(b, encode(request)...)
	b = append(b, `,"sequence":`...)
	b = strconv.AppendInt(b, int64(sequence), 10)
	b = append(b, `,"chunk":`...)
	b = append(b, p...)
	return append(b, '}')
}

// A Signal is a frame of the WebSocket transport that is no part.
type Signal struct {
	Type    string `json:"type"`
	Request string `json:"requestId"`
	Error   string `json:"errorText,omitempty"` // of SignalError
}

// The types of signals.
const (
	SignalStart    = "start"
	SignalEnd      = "end"
	SignalNoActive = "no-active"
	SignalError    = "error"
)

// Encode returns the frame.
func (s Signal) Encode() []byte { return encode(s) }

// encode encodes a body. Unlike json.Marshal it leaves < and > alone.
func encode(body any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		panic("aisdk: encode: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
