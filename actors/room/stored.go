package room

import (
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

// SavedBranches returns the branches of a conversation, up to the last snapshot, which was
// made at record seq. Without a snapshot seq is zero.
func SavedBranches(log Log, id chat.RoomID) (seq uint64, branches chat.Branches, err error) {
	seq, b, err := log.Snapshot(string(id))
	if err != nil {
		return 0, branches, err
	}
	state, ok := conversation.DecodeState(seq, b)
	if !ok {
		return 0, branches, nil
	}
	return seq, state.Branches, nil
}
