package rooms

import (
	"bytes"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// maxLookBack is how many records [Rooms.Answered] and [Rooms.Said] read at most.
const maxLookBack = 10_000

var errNoMessage = chat.Refuse(chat.CodeNotFound, "there is no such message")

// Answered returns the end of the turn whose answer is the given message. It fails
// with [chat.CodeNotFound] if the message is no answer, or is too old. It does not
// check whether an edit has taken the message out of the conversation.
func (r *Rooms) Answered(u chat.User, id chat.RoomID, answer chat.MessageID) (chat.TurnEnded, error) {
	var end chat.TurnEnded
	err := r.lookBack(u, id, func(e persistence.Entry) (found bool, err error) {
		switch {
		case end.TurnID != "": // an old record, which does not say where its prompt is
			end.PromptSeq = e.Seq
			return chat.AddsMessage(e.Data, end.Prompt), nil
		case !chat.EndsTurn(e.Data) || !bytes.Contains(e.Data, []byte(answer)):
			return false, nil
		}
		record, err := chat.DecodeRecord(e.Seq, e.Data)
		if ended, ok := record.Event.(chat.TurnEnded); ok && ended.MessageID == answer {
			end = ended
		}
		return end.PromptSeq > 0, err
	})
	return end, err
}

// Said returns the number of the record of a user's message. It fails with
// [chat.CodeNotFound] if there is no such message, or it is too old. Like Answered
// it does not check for edits.
func (r *Rooms) Said(u chat.User, id chat.RoomID, message chat.MessageID) (seq uint64, err error) {
	err = r.lookBack(u, id, func(e persistence.Entry) (bool, error) {
		seq = e.Seq
		return chat.AddsMessage(e.Data, message), nil
	})
	return seq, err
}

// lookBack calls found with the entries of a room, newest first, until it reports
// true.
func (r *Rooms) lookBack(u chat.User, id chat.RoomID, found func(persistence.Entry) (bool, error)) error {
	if _, err := r.info(u, id); err != nil {
		return err
	}
	looked := 0
	for entry, err := range r.log.ReadBack(string(id), 0) {
		if looked++; looked > maxLookBack {
			break
		}
		var ok bool
		if err == nil {
			ok, err = found(entry)
		}
		switch {
		case err != nil:
			return r.unreadable(err)
		case ok:
			return nil
		}
	}
	return errNoMessage
}
