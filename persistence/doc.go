// Package persistence keeps what rooms have recorded, and the sessions of
// clients that may come back, in one bbolt file that one process has open.
//
//	Append, Delete, PutSession, DeleteSessions
//	  → queue → writer ─ one transaction, one fsync → done, done, done …
//	                     │
//	  Read, ReadBack, Last, Lookup, Message, Snapshot, Text, Chat, Chats,
//	  OpenTurns, Session, Sessions, each in short read transactions
//
//	Backup     a copy of one moment, while all this goes on
//	Check, Compact, OpenReader     of a file that nobody writes
//
// # Recorded before shown
//
// An acknowledgement means that the commit is on the disk, not on its way
// there. Reads keep the same promise: they never see a commit whose fsync has
// not returned.
//
// # One writer
//
// Callers never wait for the disk. A single goroutine, the writer, takes all
// requests that are queued into the next transaction: many rooms share one
// fsync, and a lone caller waits for nobody. On one processor the writer first
// yields to callers that are about to queue something. Requests of one flow
// are carried out and answered in the order in which they were queued. Flows take
// turns: see [Commit].
//
// # Several stores
//
// Each change, except of the encryption, is a [Command]: [Writes] makes it, and the writer applies
// it at once. Several stores may have a log of commands in common instead. They apply it by [Store.Apply] and so hold the
// same; [Backup] and [Store.Restore] bring a store that is behind to where the others are.
//
// # When the disk refuses
//
// If a transaction fails, all requests in it are refused with
// [ErrUnavailable], and readers see nothing of it. Reads go on, and the next
// commit tries again.
//
// # Unknown outcomes
//
// A log that is kept on several machines may lose the one that writes while a commit is on its
// way. For a moment nobody knows whether the commit is in the log. Such a log calls done of
// Append and Delete twice: with [ErrUnknown] at once, and with the outcome when it knows that.
// These are the rules:
//
//   - ErrUnknown is no refusal. A caller that says "nothing was recorded" may be wrong, and one
//     that repeats the write conflicts with itself. So callers wait.
//   - ErrUnknown comes at most once for a write, and ahead of its outcome. If the log is closed
//     before it knows, the outcome never comes.
//   - Outcomes of the writes of one room come in the order of the calls. A write behind an
//     unknown one has no outcome before that has one. It may be told ErrUnknown too.
//   - The log finds out by the identity of the commit, never by its content: two commits may
//     say the same.
//   - Only Append and Delete are told ErrUnknown. Nothing builds on other writes, so their done
//     is called once, when the outcome is known.
//
// A [Store] is one file of one process. It always knows, and never answers ErrUnknown.
//
// # When the file is damaged
//
// bbolt trusts its pages, so the store examines them before bbolt reads them
// (scan.go). [Open] refuses a file whose pages contradict each other. A large
// file that was closed well is served before all of its pages are examined; if
// one of them then turns out to be damaged, nothing is written (freelist.go).
// Values carry checksums (seal.go): whoever reads a damaged value gets
// [ErrCorrupt], and nobody else is affected. [Check] finds all damage.
//
// # Large values
//
// bbolt writes a row together with others of its leaf, again and again. A large record,
// a large snapshot and the pieces of files lie apart from their rows, where each is
// written about once (large.go).
//
// # Long reads
//
// Loops over reads hold no transaction open. A [Backup] does, but commits do
// not wait for it: the mapping leaves room for the file to double, and if the
// file has to be mended, the backup ends.
package persistence
