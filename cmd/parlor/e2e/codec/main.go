// Command codec answers what the packages of protocol/ make of bytes, for
// differential.test.mjs, which asks the official parsers the same.
//
//	stdin, a request a line → engineio, socketio → stdout, an answer a line
//
// Requests and answers are JSON, bytes in them base64. A request that it does
// not understand ends the program.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A request is one question. Which fields count depends on Op.
type request struct {
	Op       string         `json:"op"`
	Messages []message      `json:"messages"`
	Engine   []enginePacket `json:"engine"`
	Packet   packet         `json:"packet"`
	Literal  string         `json:"literal"`
}

// An answer holds what came before an error, and the error.
type answer struct {
	Engine  []enginePacket `json:"engine,omitempty"`
	Packets []packet       `json:"packets,omitempty"`
	Frames  [][]message    `json:"frames,omitempty"` // several encodings of one packet
	Bytes   []byte         `json:"bytes,omitempty"`
	Error   string         `json:"error,omitempty"`
}

type message struct {
	Data   []byte `json:"data"`
	Binary bool   `json:"binary"`
}

type enginePacket struct {
	Type   engineio.PacketType `json:"type"`
	Data   []byte              `json:"data"`
	Binary bool                `json:"binary"`
}

type packet struct {
	Type        socketio.PacketType `json:"type"`
	Namespace   string              `json:"namespace"`
	ID          *uint64             `json:"id,omitempty"`
	Data        []byte              `json:"data,omitempty"`
	Attachments [][]byte            `json:"attachments,omitempty"`
	Name        string              `json:"name,omitempty"` // of an event
	Args        [][]byte            `json:"args,omitempty"`
}

func serve(in io.Reader, out io.Writer) error {
	w := bufio.NewWriter(out)
	requests, answers := json.NewDecoder(in), json.NewEncoder(w)
	for {
		var r request
		if err := requests.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		a, err := r.answer()
		if err != nil {
			return err
		}
		if err := errors.Join(answers.Encode(a), w.Flush()); err != nil {
			return err
		}
	}
}

func (r *request) answer() (answer, error) {
	switch r.Op {
	case "engine decode":
		return decodeEngine(r.Messages[0]), nil
	case "payload decode":
		return decodePayload(r.Messages[0].Data), nil
	case "payload encode":
		return encodePayload(r.Engine), nil
	case "decode":
		return decode(r.Messages), nil
	case "encode":
		return encode(r.Packet), nil
	case "unquote":
		s, err := strconv.Unquote(r.Literal)
		return answer{Bytes: []byte(s)}, err
	}
	return answer{}, fmt.Errorf("codec: no operation %q", r.Op)
}

func decodeEngine(m message) answer {
	p, err := engineio.Decode(m.Data, m.Binary)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Engine: []enginePacket{{p.Type, p.Data, p.Binary}}}
}

func decodePayload(payload []byte) (a answer) {
	for p, err := range engineio.Packets(payload, len(payload)+1) {
		if err != nil {
			a.Error = err.Error()
			break
		}
		a.Engine = append(a.Engine, enginePacket{p.Type, p.Data, p.Binary})
	}
	return a
}

func encodePayload(packets []enginePacket) (a answer) {
	var frames []engineio.Frame
	for _, p := range packets {
		frames = append(frames, engineio.Packet(p).Frame())
	}
	for part := range engineio.Payload(frames) {
		a.Bytes = append(a.Bytes, part...)
	}
	return a
}

// decode reads Socket.IO packets off the messages of one connection, which
// come through engineio as they do in the server.
func decode(messages []message) (a answer) {
	var d socketio.Decoder
	for _, m := range messages {
		data := m.Data
		if !m.Binary {
			data = append([]byte{'4'}, data...)
		}
		received, err := engineio.Decode(data, m.Binary)
		if err != nil {
			a.Error = err.Error()
			break
		}
		p, complete, err := d.Decode(engineio.Message{Data: received.Data, Binary: received.Binary})
		if err != nil {
			a.Error = err.Error()
			break
		}
		if complete {
			a.Packets = append(a.Packets, describe(p))
		}
	}
	return a
}

func describe(p socketio.Packet) packet {
	out := packet{Type: p.Type, Namespace: p.Namespace, Data: p.Data, Attachments: p.Attachments}
	if p.HasID {
		out.ID = &p.ID
	}
	var args []json.RawMessage
	switch p.Type {
	case socketio.Event, socketio.BinaryEvent:
		out.Name, args = p.Event()
	case socketio.Ack, socketio.BinaryAck:
		args = p.Args()
	}
	for _, arg := range args {
		out.Args = append(out.Args, arg)
	}
	return out
}

// encode writes the packet in each way that there is for its type.
func encode(in packet) answer {
	p := socketio.Packet{Type: in.Type, Namespace: in.Namespace, Data: in.Data, Attachments: in.Attachments}
	if in.ID != nil {
		p.ID, p.HasID = *in.ID, true
	}
	a := answer{Frames: [][]message{messages(p.Frames()...)}}
	if f, ok := encodeDirectly(p); ok {
		a.Frames = append(a.Frames, messages(f))
	}
	return a
}

// encodeDirectly uses the function that is made for packets of that type.
func encodeDirectly(p socketio.Packet) (f engineio.Frame, ok bool) {
	var object struct {
		SID, PID, Message string
		Data              json.RawMessage
	}
	if bytes.HasPrefix(p.Data, []byte("{")) && json.Unmarshal(p.Data, &object) != nil {
		return f, false
	}
	switch {
	case len(p.Attachments) > 0:
		return f, false
	case p.Type == socketio.Connect && object.SID != "":
		return socketio.ConnectFrame(p.Namespace, object.SID, object.PID), true
	case p.Type == socketio.ConnectError && object.Message != "":
		return socketio.ConnectErrorFrame(p.Namespace, object.Message, object.Data), true
	case p.Type == socketio.Disconnect:
		return socketio.DisconnectFrame(p.Namespace), true
	case p.Type == socketio.Event && !p.HasID && bytes.HasPrefix(p.Data, []byte(`["`)):
		name, args := p.Event()
		return socketio.EventFrame(p.Namespace, name, args...), true
	case p.Type == socketio.Ack && p.HasID:
		return socketio.AckFrame(p.Namespace, p.ID, p.Args()...), true
	}
	return f, false
}

func messages(frames ...engineio.Frame) (out []message) {
	for _, f := range frames {
		out = append(out, message{f.Data, f.Binary})
	}
	return out
}
