package assistant

import (
	"bytes"
	"slices"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// Activity encodes what happens in a chat, for a client that watches.
func Activity(a chat.Activity) engineio.Frame { return Event("activity", "", a) }

// These begin the events of which each takes the place of those before that are about the
// same: a chat, or a call in a room. The id comes first in the payload.
var (
	activityHead = []byte(`42` + Namespace + `,["activity",{"chat_id":"`)
	progressHead = []byte(`42` + Namespace + `,["function_progress `)
	progressID   = []byte(`",{"call_id":"`)
)

// keyOf returns what such an event is about, or nil for any other event.
func keyOf(f engineio.Frame) []byte {
	id := 0
	switch {
	case f.Binary:
		return nil
	case bytes.HasPrefix(f.Data, activityHead):
		id = len(activityHead)
	case bytes.HasPrefix(f.Data, progressHead):
		if id = bytes.Index(f.Data, progressID); id < 0 {
			return nil
		}
		id += len(progressID)
	default:
		return nil
	}
	_, rest, ok := cutText(f.Data[id:])
	if !ok {
		return nil
	}
	return f.Data[:len(f.Data)-len(rest)]
}

// withoutOld returns the frames without such events about something of which a later one
// is among the frames.
func withoutOld(frames []engineio.Frame) []engineio.Frame {
	if !slices.ContainsFunc(frames, func(f engineio.Frame) bool { return keyOf(f) != nil }) {
		return frames
	}
	var kept []engineio.Frame
	told := make(map[string]bool)
	for _, f := range slices.Backward(frames) {
		if key := keyOf(f); key != nil {
			if told[string(key)] {
				continue
			}
			told[string(key)] = true
		}
		kept = append(kept, f)
	}
	slices.Reverse(kept)
	return kept
}

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
