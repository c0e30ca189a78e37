package room

import (
	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// Superseded returns what edits have taken out of a conversation, as far as it
// is on disk. It reads the last snapshot and what follows it.
func Superseded(log Log, id chat.RoomID) (chat.Superseded, error) {
	seq, b, err := log.Snapshot(string(id))
	if err != nil {
		return nil, err
	}
	state, ok := conversation.DecodeState(seq, b)
	if !ok {
		state = conversation.State{}
	}
	var edits []persistence.Entry // newest first
	for entry, err := range log.ReadBack(string(id), 0) {
		if err != nil {
			return nil, err
		}
		if entry.Seq <= state.Seq {
			break
		}
		if chat.EditsMessage(entry.Data) {
			edits = append(edits, entry)
		}
	}
	for i := len(edits) - 1; i >= 0; i-- {
		record, err := chat.DecodeRecord(edits[i].Seq, edits[i].Data)
		if err != nil {
			return nil, err
		}
		e, _ := record.Event.(chat.MessageAdded)
		state.Superseded = state.Superseded.With(e.ReplacesSeq, record.Seq)
	}
	return state.Superseded, nil
}
