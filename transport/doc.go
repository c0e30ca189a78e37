// Package transport keeps the Engine.IO connections of the process: it takes
// clients in over HTTP, watches that they live, and carries their messages.
//
//	http.Request → [Server] → verify ┬ opens  → [Conn], carried by a WebSocket or by polling → [Options].Accept
//	                                 └ has sid → poll, POST, or probe of a WebSocket to upgrade to
//	in   WebSocket → reader ┐
//	     POST → its handler ┴→ engineio.Decode, engineio.Packets → [Receiver].Receive
//	out  [Conn.Send] → queue ┬→ writer → batch of frames → one write → WebSocket
//	                         └→ the GET that waits → one payload
//
// A Conn is one Engine.IO sid. Its carrier moves its packets: a socket, or
// polling until that is upgraded to a socket. Queue, heartbeat, limits and ends
// are the Conn's, so they are the same for both and an upgrade changes none.
//
// # Upgrade
//
// A polling client opens a WebSocket with its sid, has it probed, lets its
// requests end, and says that it moves. What is queued by then leaves through
// the WebSocket, what polls were answered with is not sent again, and messages
// of a POST that goes on are received first: so nothing is lost, doubled or
// reordered. Whatever else happens on that WebSocket ends it alone.
//
// # Goroutines
//
// An idle WebSocket has one goroutine, which waits on a small stack. When there
// is something to be read another one replaces it, which also tells the
// Receiver that it is over. A writer runs only while something is queued.
// Reader and writer get a stack large enough for their work before they begin.
// Timers run only as [time.AfterFunc]. The HTTP handler returns once the
// connection is open. Polling has no goroutines but those of the requests that
// go on, and one that sees to the end.
//
// # Slow and hostile clients
//
// A Receiver that blocks stops the reading and delays the answer to a POST
// (back-pressure), and that does not count as the client's silence. A client
// that is behind has what waits for it made shorter with [Options].Coalesce. One
// that does not read, or does not poll, is cut off when more than
// [Options].QueueBytes wait for it, or when nothing has left for
// [Options].WriteTimeout. The bytes of one message or body are kept in one
// buffer however many fragments they come in, and none, however slowly it
// comes, outlives the ping timeout: its sender cannot answer the ping before.
// There are no more than [Options].MaxConns connections.
package transport
