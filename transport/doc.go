// Package transport keeps the Engine.IO connections of the process: it accepts
// clients over HTTP, notices when they are gone, and carries their messages.
//
//	http.Request → [Server] → verify ┬ opens  → [Conn], carried by a WebSocket or by polling → [Options].Accept
//	                                 └ has sid → poll, POST, or probe of a WebSocket to upgrade to
//	in   WebSocket → reader ┐
//	     POST → its handler ┴→ engineio.Decode, engineio.Packets → [Receiver].Receive
//	out  [Conn.Send] → queue ┬→ writer → batch of frames → one write → WebSocket
//	                         └→ the GET that waits → one payload
//
// A Conn is one Engine.IO sid. Its carrier moves its packets: a socket, or
// polling until that is upgraded to a socket. Queue, heartbeat, limits and the
// ways to end belong to the Conn: they are the same for both carriers, and an
// upgrade does not change them.
//
// # Upgrade
//
// A polling client opens a WebSocket with its sid, probes it with a ping, waits
// until its requests have ended, and then sends an upgrade packet. Frames that
// are queued by then leave through the WebSocket. Frames that a poll was answered
// with are not sent again. The messages of a POST that is under way are received
// first. So no message is lost, doubled or reordered. If the client does anything
// else on that WebSocket, the server closes the WebSocket and keeps the connection.
//
// # Requests that overtake each other
//
// A client's requests come over several network connections, so the server may read
// them in another order than they were sent in. For a moment it waits for the one that
// may be missing: for the poll before it obeys a close packet, and for the upgrade
// packet before it answers a poll that came during an upgrade. So a client that closes
// has its poll answered, and one that has moved to a WebSocket cannot poll.
//
// # Goroutines
//
// An idle WebSocket has one goroutine, which waits on a small stack. When bytes
// arrive, a reader replaces it; the reader also tells the Receiver when the
// connection has ended. A writer runs only while frames are queued. Reader and
// writer get a stack that is large enough for their work before they begin.
// Timers are [time.AfterFunc]. The HTTP handler returns once the connection is
// open. Polling has only the goroutines of its requests, and one that ends it.
//
// # Slow and hostile clients
//
// While a Receiver blocks, nothing more is read from its client, and the answer
// to a POST is delayed (back-pressure). That time does not count as the client's
// silence. The queue of a client that is behind is made shorter with
// [Options].Coalesce. A client that does not read, or does not poll, is cut off
// when more than [Options].QueueBytes wait for it, or when it has read nothing for
// [Options].WriteTimeout. One message or body takes one buffer, however many
// fragments it comes in. A message that comes too slowly ends its connection by
// the ping timeout, since its sender cannot answer the ping before it is complete.
// There are no more than [Options].MaxConns connections, and of one address no more
// than [Options].MaxConnsPerAddress.
//
// Anybody can open a connection. Until the application has let a client in
// ([Conn.LetIn]), its messages may only be [Options].StrangerPayload long, and all such
// clients share [Options].StrangerBytes for those that have not arrived whole.
package transport
