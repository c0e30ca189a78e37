package engineio

// A Message is the payload of one message packet as it arrived: UTF-8 text,
// or binary data. Whoever receives it owns Data.
type Message struct {
	Data   []byte
	Binary bool
}

// A Frame is one packet, encoded and ready for a Conn; applications send
// message packets. Text frames hold the packet as it goes over a WebSocket,
// with its leading type ('4' for messages); binary frames hold the bare data.
// A Frame is immutable: one is shared by everyone it is sent to.
type Frame struct {
	Data   []byte
	Binary bool

	// Plain means that compressing is not worth it, where it would be done.
	Plain bool
}
