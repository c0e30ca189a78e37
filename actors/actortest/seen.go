package actortest

import (
	"fmt"
	"slices"
	"strings"

	"parlor/actors/room"
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// Seen is what a client makes of what it was told of who is in a room.
type Seen struct {
	chat.Presence     // always whole
	Told          int // times
}

// sees takes in who is in the room. A client is told all of it first, and then what
// changes.
func (u *User) sees(publication *room.Publication, p chat.Presence) error {
	id := publication.Room
	s := u.seen[id]
	frames, _ := publication.Encoded.([]engineio.Frame)
	for _, f := range frames {
		u.bytes += len(f.Data)
	}
	switch {
	case u.views[id] == nil:
		return fmt.Errorf("told who is in the room before the answer to Join")
	case p.Whole != (s == nil):
		return fmt.Errorf("told %+v, knowing %+v", p, s)
	case s == nil:
		s = &Seen{}
		u.seen[id] = s
	}
	s.Told++
	members := slices.DeleteFunc(slices.Clone(s.Members), func(m chat.Present) bool {
		return slices.Contains(p.Left, m.ID) || slices.ContainsFunc(p.Members, func(now chat.Present) bool { return now.ID == m.ID })
	})
	members = append(members, p.Members...)
	slices.SortFunc(members, func(a, b chat.Present) int { return strings.Compare(string(a.ID), string(b.ID)) })
	s.Presence = p
	s.Whole, s.Members, s.Left = true, members, nil
	return nil
}

// Sees returns who is in the room, as the user was told, with how often it was told.
func (u *User) Sees(id chat.ID) Seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := u.seen[id.Room()]; s != nil {
		return *s
	}
	return Seen{}
}

// PresenceBytes returns how many bytes the user was sent about who is in rooms.
func (u *User) PresenceBytes() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bytes
}

// String says who is there in a line: "alice bob*2 carol… | thinking". Of somebody with
// several devices their number is said, and "…" that somebody types.
func (s Seen) String() string {
	var b strings.Builder
	for _, m := range s.Members {
		b.WriteString(string(m.ID))
		if m.Devices != 1 {
			fmt.Fprintf(&b, "*%d", m.Devices)
		}
		if m.Typing {
			b.WriteString("…")
		}
		b.WriteString(" ")
	}
	if more := s.Users - len(s.Members); more > 0 {
		fmt.Fprintf(&b, "+%d ", more)
	}
	b.WriteString("| " + string(s.Assistant.Doing))
	for _, what := range []string{s.Assistant.Tool, s.Assistant.For} {
		if what != "" {
			b.WriteString(" " + what)
		}
	}
	return b.String()
}
