package room

import (
	"context"
	"slices"

	"parlor/actors/access"
	"parlor/actors/conversation"
	"parlor/protocol/chat"
)

var errConflict = chat.Refuse(chat.CodeConflict, "this client_message_id came before with another command or other content")

// maxIdle is how many commands that had nothing to change a room remembers.
const maxIdle = 64

// A recall says whether a record is of the same command as one that comes now with the
// same idempotency key, and returns the reply that the first one got. The zero record is
// that of a command that had nothing to change. If it is another command the body may be the
// refusal, as a *chat.Error.
type recall func(chat.Record) (body any, same bool)

// idempotencyKey returns the key by which the log finds a repeated command, or "".
func idempotencyKey(c Caller, id chat.ClientID) string {
	if skipsDedup() {
		return ""
	}
	return conversation.Key(c.User.ID, id)
}

// begin begins a command. It reports whether the command may be carried out, and returns
// its idempotency key. If the caller may not give it, or has given it before, begin replies.
func (r *Room) begin(c Caller, a access.Action, id chat.ClientID, recall recall) (key string, fresh bool) {
	if refusal := r.admit(c, a); refusal != nil {
		r.refuse(c, refusal)
		return "", false
	}
	key = idempotencyKey(c, id)
	return key, !r.records.repeated(c, key, recall)
}

// repeated replies to a command whose idempotency key was used before: with the reply to
// the first one, or with a refusal if that was another command. If the first one still
// waits for the disk, both get their replies together. It reports whether the key was
// used, or could not be looked up.
func (r *recorder) repeated(c Caller, key string, recall recall) bool {
	if key == "" {
		return false
	}
	if p, waits := r.pending[key]; waits {
		if body, same := recall(p.records[p.at]); same {
			p.callers = append(p.callers, c)
		} else {
			r.Directory.refuse(c, other(body))
		}
		return true
	}
	var first chat.Record
	known := slices.Contains(r.idle, key)
	if !known {
		var err error
		if first, known, err = r.lookup(key); err != nil {
			r.room.log().Error("look up an idempotency key", "err", err)
			r.Directory.refuse(c, errUnreadable)
			return true
		}
	}
	if !known {
		return false
	}
	if body, same := recall(first); same {
		r.Directory.repeat(c, body)
	} else {
		r.Directory.refuse(c, other(body))
	}
	return true
}

// other returns the refusal of a command whose key was used by another one.
func other(body any) *chat.Error {
	if refusal, is := body.(*chat.Error); is {
		return refusal
	}
	return errConflict
}

// lookup returns the record that an idempotency key leads to.
func (r *recorder) lookup(key string) (record chat.Record, ok bool, err error) {
	seq, ok, err := r.Log.Lookup(string(r.id), key)
	if err != nil || !ok {
		return record, false, err
	}
	for record, err := range conversation.Records(context.Background(), r.Log.Read(string(r.id), seq-1)) {
		return record, true, err
	}
	return record, false, nil
}

// changesNothing remembers a stop that found nothing to stop, or a selection of what was
// selected, of which nothing is recorded. Its repetition must not stop a turn that began
// since, nor undo another selection.
func (r *recorder) changesNothing(key string) {
	if key == "" {
		return
	}
	r.idle = append(r.idle, key)
	if n := len(r.idle) - maxIdle; n > 0 {
		r.idle = slices.Delete(r.idle, 0, n)
	}
}

// names reports whether the model that somebody asks for is the recorded one. Nobody
// has to name a model.
func (o *Options) names(asked, recorded chat.ModelID) bool {
	if asked == "" || asked == recorded {
		return true
	}
	model, known := o.Models.Model(asked)
	return known && model.ID == recorded
}

// recallMessage recalls a message with this content and these files that is an edit of
// another one, if that is not empty.
func (o *Options) recallMessage(content string, model chat.ModelID, edited chat.MessageID, files ...chat.FileID) recall {
	return func(record chat.Record) (any, bool) {
		m, said := record.Event.(chat.MessageAdded)
		edits := m.Replaces
		if m.RolledBack {
			edits = ""
		}
		return sent(m, record.Seq), said && m.Content == content && edits == edited && o.names(model, m.ModelID) &&
			(edited != "" || slices.Equal(chat.FileIDs(m.Files), files))
	}
}
