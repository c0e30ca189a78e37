package conversation

import (
	"errors"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// RefusalOf turns an error of the log into one for clients.
func RefusalOf(err error) *chat.Error {
	switch {
	case errors.Is(err, persistence.ErrUnknown): // it was closed before it knew
		return chat.Refuse(chat.CodeStorageUnavailable, "the server does not know whether this was recorded; look, or send it again under the same id")
	case errors.Is(err, persistence.ErrBusy):
		return chat.Refuse(chat.CodeBusy, "too much waits for the server's disk; try again")
	case errors.Is(err, persistence.ErrTooLarge):
		return ErrTooLarge
	case errors.Is(err, persistence.ErrChatQuota):
		return chat.Refuse(chat.CodeQuotaExceeded, "the chat's owner would have more chats than one user may have; some must be deleted first")
	case errors.Is(err, persistence.ErrByteQuota):
		return chat.Refuse(chat.CodeQuotaExceeded, "the chats of this chat's owner take as much space as those of one user may; some must be deleted first")
	}
	return chat.Refuse(chat.CodeStorageUnavailable, "the server cannot write to its disk; nothing was recorded")
}
