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
	room  *Room
	turn  chat.TurnID // empty: none runs
	begun time.Time
	users []chat.UserID
}

// begin notes who has asked for the turn that begins.
func (v *vigil) begin(e chat.TurnStarted) {
	if v.room.Ended == nil && v.room.Asked == nil || v.turn == e.TurnID {
		return
	}
	t, _ := v.room.records.shown.Turn()
	v.turn, v.begun, v.users = e.TurnID, time.Now(), []chat.UserID{t.By}
}

// keep notes that a user has left the room.
func (v *vigil) keep(u chat.UserID) {
	if v.turn != "" && !slices.Contains(v.users, u) {
		v.users = append(v.users, u)
	}
}

// end tells who of those is away.
func (v *vigil) end(e chat.TurnEnded) {
	if v.turn != e.TurnID {
		return
	}
	if away := v.away(access.Read); len(away) > 0 && v.room.Ended != nil {
		v.room.Ended(Ended{Chat: v.room.records.shown.Chat, Answer: e, Took: time.Since(v.begun), Away: away})
	}
	v.turn, v.users = "", nil
}

// ask tells who of those is away and may decide, when calls begin to wait and nobody is
// there who may.
func (v *vigil) ask(e chat.ToolsCalled) {
	info := v.room.records.shown.Chat
	i := slices.IndexFunc(e.Calls, func(c chat.ToolCall) bool { return c.NeedsApproval })
	if i < 0 || v.turn != e.TurnID || v.room.Asked == nil {
		return
	}
	may := func(u chat.UserID) bool { return v.room.Access.Check(info, chat.User{ID: u}, access.Approve) == nil }
	for u := range v.room.presence.users.all() {
		if may(u) {
			return
		}
	}
	if away := v.away(access.Approve); len(away) > 0 {
		v.room.Asked(Asked{Chat: info, Tool: e.Calls[i].Name, Away: away})
	}
}

// away returns who of those that want to know does not listen, and may do the action.
func (v *vigil) away(a access.Action) []chat.UserID {
	info := v.room.records.shown.Chat
	return slices.DeleteFunc(slices.Clone(v.users), func(u chat.UserID) bool {
		_, there := v.room.presence.users.get(u)
		return there || v.room.Access.Check(info, chat.User{ID: u}, a) != nil
	})
}
