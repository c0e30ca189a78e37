package room

import (
	"errors"
	"time"

	"parlor/actors/access"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Delete deletes the chat with all its history, and answers with a [Deleted].
type Delete struct{ Caller }

// do deletes the chat behind all commits that the log has got so far. Until the log
// has answered, the room admits no command and advances no turn, so that nothing is
// recorded behind the deletion.
func (c *Delete) do(r *Room) {
	if refusal := r.admit(c.Caller, access.Delete); refusal != nil {
		r.refuse(c.Caller, refusal)
		return
	}
	r.remove(c.Caller)
}

// Expire deletes the chat if nothing was recorded in it since Before. No user asks
// for it. The reply is a [Deleted] or a [Kept].
type Expire struct {
	Caller
	Before time.Time
	Unused bool // keep a chat that has listeners, or a turn that has not ended
}

// do reads the last record, since the state does not hold its time.
func (c *Expire) do(r *Room) {
	switch {
	case !r.records.head.Exists() || r.deleting:
		r.refuse(c.Caller, access.ErrNoChat)
		return
	case r.inFlight > 0, c.Unused && r.busy():
		r.reply(c.Caller, Kept{})
		return
	}
	last, err := r.records.lastAt()
	switch {
	case err != nil:
		r.log().Error("look up the last record", "err", err)
		r.refuse(c.Caller, errUnreadable)
	case !last.Before(c.Before):
		r.reply(c.Caller, Kept{})
	default:
		r.remove(c.Caller)
	}
}

func (r *Room) remove(c Caller) {
	if ends := r.moment().StopAll(c.User.ID); len(ends) > 0 { // no listener is left with a turn
		r.stage.stop(ends)
		r.records.record(ends...)
	}
	r.stage.voice.Silence()
	r.title.stop()
	ref := r.self.Ref()
	r.Log.Delete(string(r.id), func(err error) { ref.Tell(&deleted{c, err}) })
	r.deleting, r.records.latest = true, c.command()
	r.inFlight++
}

// deleted is an answer of the log to a deletion: the outcome, or that it is not known yet.
type deleted struct {
	by  Caller
	err error
}

func (*deleted) roomMessage() {}

// deleted takes the log's answer. While the outcome is not known, the room still admits no
// command. After the deletion it is as if it had never existed. If the log has refused
// the deletion, the room goes on as before.
func (r *Room) deleted(m *deleted) {
	if errors.Is(m.err, persistence.ErrUnknown) {
		r.log().Warn("the log does not know yet whether the chat was deleted")
		return
	}
	r.inFlight--
	r.deleting = false
	if m.err != nil {
		r.log().Error("delete failed", "err", m.err)
		r.refuse(m.by, chat.Refuse(chat.CodeStorageUnavailable, "the server cannot write to its disk; nothing was deleted"))
	} else {
		r.reply(m.by, Deleted{})
		r.attendance.tell(chat.Removal{})
		r.guestsDepart()
		r.Activity(Activity{Chat: r.records.shown.Chat, Seq: r.records.shown.Seq, Deleted: true})
		r.audience, r.lastPublished = nil, unknown
		r.presence.stop()
		r.presence = presence{}
		clear(r.authors)
	}
	r.stage.letGo()
	r.load()
}
