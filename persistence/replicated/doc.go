// Package replicated keeps the stores of several nodes the same, by raft.
//
//	room → Log.Append → proposer ─ commands that wait, as one entry → leader → raft's log
//	                                                                             │ on most nodes
//	room ← done ←──────── proposer ← machine ← persistence.Store.Apply ←──────────┘ on each node
//
// # Outcomes
//
// A node learns what became of its commands from its own store, when that applies them, whoever
// was the leader then. So once done is called, reads on the node see the change.
//
// Each command has a number: see [persistence.Fence]. If the leader is lost, the node does not
// know what became of the commands that are on their way. It tells their callers so
// ([persistence.ErrUnknown]) and proposes them again with the numbers that they have. The stores
// ignore those that were recorded after all. So every command is recorded once or refused, and
// callers need not repeat anything.
//
// # Slots
//
// Rooms are spread over slots, and each slot belongs to a node. A node learns from the log that
// it has a slot, so its store then holds all that went before. The leader gives the slots of a
// node that it has not heard for a while to others. What the node proposes after that is refused
// with [persistence.ErrFenced].
//
// # Failures
//
// A node whose store cannot apply an entry stops and answers nothing more: the others have
// applied it. A node that was so far behind that it gets a copy of another's store learns from
// that, too, what became of its commands.
package replicated
