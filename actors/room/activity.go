package room

import (
	"slices"

	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// An Activity is what a room tells of itself to those who need not listen: see
// [Options.Activity].
type Activity struct {
	Chat    chat.Info
	Seq     uint64 // of the last record
	Running bool   // a turn runs or waits
	Waits   bool   // a call of a tool waits for a member
	Deleted bool
	Removed []chat.UserID // have just lost their role
}

// A Watcher is a connection of a user who wants to know what happens in all the chats
// that the user may read. Tell may be called from any goroutine and must not block.
type Watcher interface {
	Tell(chat.Activity)
}

// tellActivity tells what has come of a record.
func (r *Room) tellActivity(record chat.Record) {
	shown := r.records.shown
	a := Activity{Chat: shown.Chat, Seq: shown.Seq, Running: len(shown.Turns) > 0, Waits: slices.ContainsFunc(shown.Calls, func(c conversation.Call) bool { return c.Waits })}
	if changed, ok := record.Event.(chat.MemberChanged); ok && changed.Member.Role == "" {
		a.Removed = []chat.UserID{changed.Member.ID}
	}
	r.Activity(a)
}

// tellStandstill tells that nothing goes on in a room that is out of service. Its state
// cannot be read.
func (r *Room) tellStandstill() {
	if info := r.pulse.chat.Load(); info != nil {
		r.Activity(Activity{Chat: *info, Seq: r.lastPublished})
	}
}
