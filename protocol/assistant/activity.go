package assistant

import (
	"bytes"
	"slices"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// Activity encodes what happens in a chat, for a client that watches.
func Activity(a chat.Activity) engineio.Frame { return Event("activity", "", a) }

// activityHead begins each of these events. The id of the chat follows, and then
// activityRoom.
var (
	activityHead = []byte(`42` + Namespace + `,["activity",{"chat_id":"`)
	activityRoom = []byte(`","room_id":"`)
)

// withoutOldActivity returns the frames without the activities of chats of which a later
// one is among the frames.
func withoutOldActivity(frames []engineio.Frame) []engineio.Frame {
	if !slices.ContainsFunc(frames, isActivity) {
		return frames
	}
	var kept []engineio.Frame
	told := make(map[string]bool)
	for _, f := range slices.Backward(frames) {
		if isActivity(f) {
			id, _, _ := bytes.Cut(f.Data[len(activityHead):], activityRoom)
			if told[string(id)] {
				continue
			}
			told[string(id)] = true
		}
		kept = append(kept, f)
	}
	slices.Reverse(kept)
	return kept
}

func isActivity(f engineio.Frame) bool { return !f.Binary && bytes.HasPrefix(f.Data, activityHead) }

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
