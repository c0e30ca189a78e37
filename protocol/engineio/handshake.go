package engineio

import (
	"encoding/json"
	"time"
)

// A Handshake is what the open packet tells a client (protocol 4, "Handshake").
type Handshake struct {
	SID          string        // the connection's id; whoever knows it can act for the client
	Upgrades     []string      // the transports that the client may move to
	PingInterval time.Duration // between a pong and the next ping
	PingTimeout  time.Duration // between a ping and its pong
	MaxPayload   int           // bytes in one WebSocket message or polling body
}

// openPayload is the open packet's JSON: exactly these keys, times in
// milliseconds, and a list of upgrades even if there are none.
type openPayload struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int64    `json:"pingInterval"`
	PingTimeout  int64    `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

// Frame encodes the open packet.
func (h Handshake) Frame() Frame {
	p := openPayload{
		SID:          h.SID,
		Upgrades:     h.Upgrades,
		PingInterval: h.PingInterval.Milliseconds(),
		PingTimeout:  h.PingTimeout.Milliseconds(),
		MaxPayload:   h.MaxPayload,
	}
	if p.Upgrades == nil {
		p.Upgrades = []string{}
	}
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return Packet{Type: TypeOpen, Data: data}.Frame()
}
