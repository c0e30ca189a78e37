package room

import (
	"time"

	"parlor/protocol/chat"
)

// Expire deletes the chat if nothing was recorded in it since Before, in the
// name of nobody. It is answered with a [Deleted], or else with a [Kept].
type Expire struct {
	Caller
	Before time.Time
	Unused bool // keep a chat that has members, or a turn that has not ended
}

func (*Expire) roomMessage() {}

// Kept says that a chat has not expired.
type Kept struct{}

// expire looks at the log: the state does not know when its last record was.
func (r *Room) expire(c *Expire) {
	switch {
	case !r.head.Exists() || r.deleting:
		r.Directory.refuse(c.Caller, errNoRoom)
		return
	case r.inFlight > 0, c.Unused && r.busy():
		r.Directory.reply(c.Caller, Kept{})
		return
	}
	for e, err := range r.Log.ReadBack(string(r.id), 0) {
		var last chat.Record
		if err == nil {
			last, err = chat.DecodeRecord(e.Seq, e.Data)
		}
		switch {
		case err != nil:
			r.log.Error("look up the last record", "err", err)
			r.Directory.refuse(c.Caller, errUnreadable)
			return
		case !last.At.Before(c.Before):
			r.Directory.reply(c.Caller, Kept{})
			return
		}
		break
	}
	r.remove(c.Caller)
}
