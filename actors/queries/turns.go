package queries

import "parlor/protocol/chat"

// TurnsOf returns the turns that answer a message. They follow the message in the log, with
// which they were recorded, unless a turn that was running has taken the message in.
func (q *Queries) TurnsOf(id chat.RoomID, message chat.MessageID, seq uint64) (turns []chat.TurnID, err error) {
	for entry, err := range q.Log.Read(string(id), seq-1) {
		if err != nil {
			return nil, q.Unreadable(err)
		}
		record, err := chat.DecodeRecord(entry.Seq, entry.Data)
		if err != nil {
			return nil, q.Unreadable(err)
		}
		said, isMessage := record.Event.(chat.MessageAdded)
		turn, isTurn := record.Event.(chat.TurnQueued)
		switch {
		case isMessage && said.MessageID == message && said.Steers != "":
			return []chat.TurnID{said.Steers}, nil
		case isMessage && said.MessageID == message:
		case isTurn && turn.Prompt == message && turn.Again == "":
			turns = append(turns, turn.TurnID)
		default:
			return turns, nil
		}
	}
	return turns, nil
}
