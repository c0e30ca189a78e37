// Package socketio encodes and decodes Socket.IO protocol 5: the packets that
// namespaces of one connection exchange inside Engine.IO messages.
//
//	in   engineio.Message → [Decoder.Decode] → [Packet] → [Packet.Event], [Packet.Args] → raw arguments
//	out  encoded arguments → [EventFrame], [AckFrame], … → engineio.Frame, shared by all receivers
//	     [Packet.Frames] for packets with attachments or that ask for an acknowledgement
//
// Arguments stay the JSON that they were: who handles an event parses what it
// needs, and nobody else pays for it.
//
// # Hostile input
//
// The decoder is strict. What it costs is linear in the bytes received, and
// what it keeps of them is at most one packet and its attachments.
package socketio

import "encoding/json"

// A PacketType is the first character of an encoded packet.
type PacketType byte

// The packet types of Socket.IO protocol 5.
const (
	Connect PacketType = iota
	Disconnect
	Event
	Ack
	ConnectError
	BinaryEvent
	BinaryAck
)

// binary reports whether the packet's attachments are counted on the wire.
func (t PacketType) binary() bool { return t == BinaryEvent || t == BinaryAck }

// A Packet is one Socket.IO packet.
type Packet struct {
	Type      PacketType
	Namespace string // "/" or "/name"
	ID        uint64 // acknowledgement id, if HasID
	HasID     bool
	Data      json.RawMessage // JSON as it arrived, nil if the packet has none

	// Attachments are the binary parts that Data's placeholders number.
	Attachments [][]byte
}

// The limits of one packet.
const (
	// DefaultMaxAttachments is how many attachments a packet may have unless
	// a [Decoder] says otherwise.
	DefaultMaxAttachments = 10

	// DefaultMaxBytes is how long a packet with attachments may be unless
	// [Decoder.MaxBytes] says otherwise: a client that sends all but the last
	// of them holds that much of the server's memory.
	DefaultMaxBytes = 4 << 20

	// MaxArgs is how many arguments an event or acknowledgement may have, the
	// event's name included: splitting them off costs more memory than
	// receiving them.
	MaxArgs = 1024

	// MaxID is the largest acknowledgement id: the largest integer that every
	// client can count to.
	MaxID = 1<<53 - 1
)

// Reserved reports whether name must not be used for events, since client and
// server libraries use it for their own.
func Reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
