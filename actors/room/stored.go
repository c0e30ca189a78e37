package room

import (
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// SavedSuperseded returns what edits have taken out of a conversation up to
// record seq, which is that of the last snapshot, or zero.
func SavedSuperseded(log Log, id chat.RoomID) (seq uint64, s chat.Superseded, err error) {
	seq, b, err := log.Snapshot(string(id))
	if err != nil {
		return 0, nil, err
	}
	state, ok := conversation.DecodeState(seq, b)
	if !ok {
		return 0, nil, nil
	}
	return seq, state.Superseded, nil
}
