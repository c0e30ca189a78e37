package aisdk

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"parlor/protocol/chat"
)

// useChat makes the id of a user's message, and keeps it when the message is edited. In a
// room an edit is another message. So what the SDK sends first is recorded under its id as
// the idempotency key, and an edit under that id with a mark, which says what was edited
// to what. [IDOf] leads back.

const (
	editMark    = "#"
	hashLen     = 16
	onceMore    = "."
	onceMoreLen = 13 // digits of a number, to the base 36
	editMarkLen = len(editMark) + hashLen + len(onceMore) + onceMoreLen
)

// EditKey returns the idempotency key of an edit of the message that the SDK knows as id:
// replaced gets the content. A repetition has the same key, and a second edit another.
func EditKey(id string, replaced chat.MessageID, content string) chat.ClientID {
	sum := sha256.Sum256([]byte(string(replaced) + "\x00" + content))
	return chat.ClientID(id + editMark + hex.EncodeToString(sum[:])[:hashLen])
}

// OnceMore returns another key for a command that was carried out before, and of which nothing
// is shown any more. Number is different each time.
func OnceMore(command chat.ClientID, number uint64) chat.ClientID {
	return command + onceMore + chat.ClientID(strconv.FormatUint(number, 36))
}

// IDOf returns the id by which useChat in the hands of the reader knows the message. Of
// messages of others that is the room's.
func IDOf(m chat.Message, reader chat.UserID) string {
	if m.Role != chat.RoleUser || m.ClientID == "" || m.Author == nil || m.Author.ID != reader {
		return string(m.ID)
	}
	if id, edited := Edited(m); edited {
		return id
	}
	return string(m.ClientID)
}

// Edited returns the id that a message had before this wire edited it, and whether it has.
func Edited(m chat.Message) (id string, edited bool) {
	i := strings.LastIndex(string(m.ClientID), editMark)
	if i < 0 || m.Replaces == "" {
		return "", false
	}
	id = string(m.ClientID[:i])
	key, _, _ := strings.Cut(string(m.ClientID[i:]), onceMore)
	return id, EditKey(id, m.Replaces, m.Content) == chat.ClientID(id+key)
}
