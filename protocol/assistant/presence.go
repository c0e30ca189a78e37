package assistant

import "parlor/protocol/chat"

// A Presence is who is in a room, as the documented dialect tells it.
type Presence struct {
	Members   []chat.Present      `json:"members"`
	Count     int                 `json:"count"`   // users, also those that are not listed
	Devices   int                 `json:"devices"` // of all of them
	Assistant chat.AssistantState `json:"assistant"`
}

// presenceDiff is what has changed since the presence before.
type presenceDiff struct {
	Joins     []chat.Present      `json:"joins"` // who came, or is different
	Leaves    []chat.UserID       `json:"leaves"`
	Count     int                 `json:"count"`
	Devices   int                 `json:"devices"`
	Assistant chat.AssistantState `json:"assistant"`
}

// ShowPresence returns a whole presence for the documented dialect.
func ShowPresence(p chat.Presence) Presence {
	return Presence{Members: orEmpty(p.Members), Count: p.Users, Devices: p.Devices, Assistant: p.Assistant}
}

// presence encodes who is in a room. The SPA's dialect has no event for it.
func presence(d Dialect, room chat.RoomID, p chat.Presence) (f frames) {
	switch {
	case d == SPA:
	case p.Whole:
		f.emit("presence", string(room), ShowPresence(p))
	default:
		f.emit("presence", string(room), presenceDiff{orEmpty(p.Members), orEmpty(p.Left), p.Users, p.Devices, p.Assistant})
	}
	return f
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func decodeTyping(p payload) (Request, *chat.Error) {
	room, err := p.room()
	if err == nil && p.Typing == nil {
		err = invalid("typing is missing: true or false")
	}
	return SetTyping{Room: room, Typing: p.Typing != nil && *p.Typing}, err
}

// Devices is how many connections the client's user has.
type Devices struct {
	User    chat.UserID `json:"user_id"`
	Devices int         `json:"devices"`
}

// decodePresence takes what has no room for a question about the client's own user.
func decodePresence(p payload) (Request, *chat.Error) {
	if p.RoomID == nil {
		return AskPresence{}, nil
	}
	room, err := p.room()
	return AskPresence{Room: room}, err
}

// Resumed says how many events came, just before it, of what the client had missed.
type Resumed struct {
	Rooms []ResumedRoom `json:"rooms"`
}

// A ResumedRoom is a room in which the client goes on where it was.
type ResumedRoom struct {
	Room   chat.RoomID `json:"room_id"`
	Events int         `json:"events"`
}
