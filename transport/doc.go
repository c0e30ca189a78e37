// Package transport keeps the Engine.IO connections of the process: it takes
// clients in over HTTP, watches that they live, and carries their messages.
//
//	http.Request → [Server] → handshake → WebSocket → [Conn] → [Options].Accept
//	in   socket → reader → engineio.Decode → [Receiver].Receive
//	out  [Conn.Send] → queue → writer → batch of frames → one write → socket
//
// A Conn is one Engine.IO sid; a WebSocket carries it.
//
// # Goroutines
//
// An idle connection has one goroutine, its reader, which also tells the
// Receiver that it is over. A writer runs only while something is queued, and
// timers only as [time.AfterFunc]. The HTTP handler returns once the
// connection is open.
//
// # Slow and hostile clients
//
// A Receiver that blocks stops the reading (back-pressure), and that does not
// count as the client's silence. A client that does not read is cut off
// when more than [Options].QueueBytes wait for it, or when nothing has left
// for [Options].WriteTimeout. The bytes of one message are kept in one buffer
// however many fragments they come in, and no message, however slowly it
// comes, outlives the ping timeout: its sender cannot answer the ping before.
package transport
