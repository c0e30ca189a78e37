// Package persistence keeps what rooms have recorded, and the sessions of
// clients that may come back, in one bbolt file that one process has open.
//
//	Append, Delete, PutSession, DeleteSessions
//	  → queue → writer ─ one transaction, one fsync → done, done, done …
//	                     │
//	  Read, ReadBack, Last, Lookup, Message, Snapshot, Text, Chat, Chats, OpenTurns,
//	  Session, Sessions, each in short read transactions
//
//	Backup     a copy of one moment, while all this goes on
//	Check, Compact, OpenReader     of a file that nobody writes
//
// # Recorded before shown
//
// An acknowledgement means that the commit is on the disk, not on its way
// there. The reading side keeps the same promise: no snapshot holds a
// commit whose fsync has not returned.
//
// # One writer
//
// Callers never wait for the disk. A single goroutine takes all that waits
// into the next transaction, so that many rooms share one fsync and a lone
// caller waits for nobody. Before it does, it yields to callers that can run
// and are about to queue something. What callers ask is done in the order they asked,
// and answered in that order.
//
// # When the disk refuses
//
// A transaction that fails refuses everything in it with [ErrUnavailable],
// leaves no trace that a reader could find, and is not the end: reads go on,
// and the next commit tries again.
//
// # When the file is damaged
//
// bbolt believes its pages, so they are looked at before it may read them
// (scan.go): [Open] refuses a file whose pages do not hang together. A large
// one that was closed well is served before all of them have been looked at,
// and not written if one is damaged (freelist.go). Values carry checksums
// (seal.go): one that is damaged is [ErrCorrupt] to whoever reads it, and
// nobody else's concern. [Check] finds all of it.
//
// # Long reads
//
// No loop runs in a transaction. A [Backup] does, but commits do not wait for
// it: the mapping has room for the file to double, and a file that has to be
// mended ends the backup.
package persistence
