package rooms

import (
	"bytes"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// maxLookBack is how many records [Rooms.Answered] and [Rooms.Said] look through.
const maxLookBack = 10_000

var errNoMessage = chat.Refuse(chat.CodeNotFound, "there is no such message")

// Answered returns the end of the turn that the assistant's message is the
// answer of. It fails with [chat.CodeNotFound] if it is no answer, or one that
// is too long ago. Whether it is still part of the conversation the room knows.
func (r *Rooms) Answered(u chat.User, id chat.RoomID, answer chat.MessageID) (chat.TurnEnded, error) {
	var end chat.TurnEnded
	err := r.lookBack(u, id, func(e persistence.Entry) (found bool, err error) {
		switch {
		case end.TurnID != "": // of old: it does not say where its prompt is
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

// Said returns the number of the record that a person's message is. It fails
// with [chat.CodeNotFound] if it is none, or too long ago; see Answered.
func (r *Rooms) Said(u chat.User, id chat.RoomID, message chat.MessageID) (seq uint64, err error) {
	err = r.lookBack(u, id, func(e persistence.Entry) (bool, error) {
		seq = e.Seq
		return chat.AddsMessage(e.Data, message), nil
	})
	return seq, err
}

// lookBack calls found with the entries of a room, newest first, until one is.
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
