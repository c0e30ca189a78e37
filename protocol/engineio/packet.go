// Package engineio encodes and decodes Engine.IO protocol 4: the packets that
// open, watch and close one connection, and that carry an application's
// messages.
//
//	in   a WebSocket message → [Decode], a POST → [Packets] → [Packet] → (TypeMessage) → [Message] → application
//	out  application → [Frame] → a WebSocket message; several → [Payload] → the answer to a GET
//	     transport   → [Packet.Frame], [Handshake.Frame] → the same
//
// The package is pure: it knows what the bytes mean, not when they come.
package engineio

import (
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Protocol is the only protocol revision that the package speaks: the value
// of the EIO query parameter.
const Protocol = "4"

// A PacketType is what a packet is for. On the wire it is a digit.
type PacketType byte

// The packet types of Engine.IO protocol 4.
const (
	TypeOpen    PacketType = iota // the handshake's answer, server to client
	TypeClose                     // the connection is to be closed
	TypePing                      // heartbeat, server to client only
	TypePong                      // heartbeat, client to server only
	TypeMessage                   // the application's data
	TypeUpgrade                   // the client has moved to the probed transport
	TypeNoop                      // ends a poll that has nothing else to end it
)

// A Packet is one Engine.IO packet.
type Packet struct {
	Type   PacketType
	Data   []byte
	Binary bool // Data is binary; only messages can be
}

// The errors of [Decode].
var (
	// ErrUnknownType is returned for a packet that does not begin with a type.
	ErrUnknownType = errors.New("engineio: unknown packet type")

	// ErrEncoding is returned for text that is not UTF-8, and for base64 that
	// is not base64.
	ErrEncoding = errors.New("engineio: invalid encoding")
)

// base64Prefix marks binary data inside text, where only text can be carried.
const base64Prefix = 'b'

// Decode reads one packet as a transport received it: binary data, or text
// with its leading type. Text that begins with a 'b' is base64 and binary as
// well. The packet's data is a part of data unless that was base64.
func Decode(data []byte, binary bool) (Packet, error) {
	switch {
	case binary:
		return Packet{Type: TypeMessage, Data: data, Binary: true}, nil
	case len(data) == 0:
		return Packet{}, fmt.Errorf("%w: empty packet", ErrUnknownType)
	case data[0] == base64Prefix:
		return decodeBase64(data[1:])
	case data[0] < '0' || data[0] > '0'+byte(TypeNoop):
		return Packet{}, ErrUnknownType
	case !utf8.Valid(data):
		return Packet{}, ErrEncoding
	}
	return Packet{Type: PacketType(data[0] - '0'), Data: data[1:]}, nil
}

func decodeBase64(text []byte) (Packet, error) {
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(data, text)
	if err != nil {
		return Packet{}, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return Packet{Type: TypeMessage, Data: data[:n], Binary: true}, nil
}

// Frame encodes the packet for a transport that can carry binary data. The
// frame of a binary message shares the packet's data.
func (p Packet) Frame() Frame {
	if p.Binary {
		return Frame{Data: p.Data, Binary: true}
	}
	data := make([]byte, 0, 1+len(p.Data))
	data = append(data, '0'+byte(p.Type))
	return Frame{Data: append(data, p.Data...)}
}
