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

// A vigil is who wants to know of the end of the running turn. It is kept in memory only.
type vigil struct {
	turn  chat.TurnID
	begun time.Time
	users []chat.UserID
}

// beginVigil notes who has asked for the turn that begins.
func (r *Room) beginVigil(e chat.TurnStarted) {
	if r.Ended == nil || r.vigil.turn == e.TurnID {
		return
	}
	t, _ := r.records.shown.Turn()
	r.vigil = vigil{turn: e.TurnID, begun: time.Now(), users: []chat.UserID{t.By}}
}

// keepVigil notes that a user has left the room.
func (r *Room) keepVigil(u chat.UserID) {
	if r.vigil.turn != "" && !slices.Contains(r.vigil.users, u) {
		r.vigil.users = append(r.vigil.users, u)
	}
}

// endVigil tells who of those is away.
func (r *Room) endVigil(e chat.TurnEnded) {
	v := r.vigil
	if v.turn != e.TurnID || r.Ended == nil {
		return
	}
	r.vigil = vigil{}
	info := r.records.shown.Chat
	away := slices.DeleteFunc(v.users, func(u chat.UserID) bool {
		return r.presence.users[u] != nil || r.Access.Check(info, chat.User{ID: u}, access.Read) != nil
	})
	if len(away) > 0 {
		r.Ended(Ended{Chat: info, Answer: e, Took: time.Since(v.begun), Away: away})
	}
}
