package assistant

import "parlor/protocol/chat"

// Watched answers [Watch].
type Watched struct {
	Chats []chat.Activity `json:"chats"` // that are running
}

func decodeRead(p payload) (Request, *chat.Error) {
	room, err := p.room()
	if err == nil && p.Seq == nil {
		return MarkRead{Room: room}, invalid("seq is missing: the number of the last record that was read")
	}
	r := MarkRead{Room: room}
	if p.Seq != nil {
		r.Seq = *p.Seq
	}
	return r, err
}

func decodeWatch(payload) (Request, *chat.Error) { return Watch{}, nil }
