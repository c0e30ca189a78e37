package room

import (
	"slices"
	"time"

	"parlor/actors/access"
	"parlor/protocol/chat"
)

// An Ended is the end of an answer that somebody did not stay for: see [Options.Ended].
type Ended struct {
	Chat   chat.Info
	Answer chat.TurnEnded
	Took   time.Duration // since the answer began
	Away   []chat.UserID // who asked for it, or have left the room since, and do not listen now
}

// An Asked is a call of a tool that waits for a member to approve it: see [Options.Asked].
type Asked struct {
	Chat chat.Info
	Tool string        // that is called, the first one if there are several
	Away []chat.UserID // who asked for the answer, or have left the room since, and do not listen now
}

// A vigil is who wants to know of the end of the running turn. It is kept in memory only.
type vigil struct {
	turn  chat.TurnID
	begun time.Time
	users []chat.UserID
}

// beginVigil notes who has asked for the turn that begins.
func (r *Room) beginVigil(e chat.TurnStarted) {
	if r.Ended == nil && r.Asked == nil || r.vigil != nil && r.vigil.turn == e.TurnID {
		return
	}
	t, _ := r.records.shown.Turn()
	r.vigil = &vigil{turn: e.TurnID, begun: time.Now(), users: []chat.UserID{t.By}}
}

// keepVigil notes that a user has left the room.
func (r *Room) keepVigil(u chat.UserID) {
	if r.vigil != nil && !slices.Contains(r.vigil.users, u) {
		r.vigil.users = append(r.vigil.users, u)
	}
}

// endVigil tells who of those is away.
func (r *Room) endVigil(e chat.TurnEnded) {
	v := r.vigil
	if v == nil || v.turn != e.TurnID {
		return
	}
	r.vigil = nil
	if away := r.away(v, access.Read); len(away) > 0 && r.Ended != nil {
		r.Ended(Ended{Chat: r.records.shown.Chat, Answer: e, Took: time.Since(v.begun), Away: away})
	}
}

// askAway tells who of those is away and may decide, when calls begin to wait and nobody is
// there who may.
func (r *Room) askAway(e chat.ToolsCalled) {
	info := r.records.shown.Chat
	i := slices.IndexFunc(e.Calls, func(c chat.ToolCall) bool { return c.NeedsApproval })
	if i < 0 || r.vigil == nil || r.vigil.turn != e.TurnID || r.Asked == nil {
		return
	}
	may := func(u chat.UserID) bool { return r.Access.Check(info, chat.User{ID: u}, access.Approve) == nil }
	for u := range r.presence.users.all() {
		if may(u) {
			return
		}
	}
	if away := r.away(r.vigil, access.Approve); len(away) > 0 {
		r.Asked(Asked{Chat: info, Tool: e.Calls[i].Name, Away: away})
	}
}

// away returns who of those that want to know does not listen, and may do the action.
func (r *Room) away(v *vigil, a access.Action) []chat.UserID {
	info := r.records.shown.Chat
	return slices.DeleteFunc(slices.Clone(v.users), func(u chat.UserID) bool {
		_, there := r.presence.users.get(u)
		return there || r.Access.Check(info, chat.User{ID: u}, a) != nil
	})
}
