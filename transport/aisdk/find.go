package aisdk

import (
	"context"
	"slices"

	"parlor/protocol/chat"
)

// A found is a message of a conversation as it now is.
type found struct {
	message  chat.Message
	answer   *chat.Message // the newest to it, or nil
	followed bool          // the user has said more since
}

// pageSize is how many messages are read at once.
const pageSize = 50

var errOutdated = chat.Refuse(chat.CodeConflict, "the message is no longer part of the conversation: load its history again")

// find returns the newest message of the conversation that is wanted. Wanted also gets the
// answers to the message, newest first.
func (s *service) find(ctx context.Context, u chat.User, id chat.ID, wanted func(m chat.Message, answers []chat.Message) bool) (found, error) {
	var f found
	answers := make(map[chat.MessageID][]chat.Message) // by prompt
	for before, more := uint64(0), true; more; {
		var page []chat.Message
		var err error
		if page, more, err = s.rooms.History(ctx, u, id.Room(), before, pageSize); err != nil {
			return found{}, err
		}
		for _, m := range slices.Backward(page) {
			before = m.Seq
			switch {
			case m.Role == chat.RoleAssistant:
				answers[m.Prompt] = append(answers[m.Prompt], m)
			case wanted(m, answers[m.ID]):
				if f.message = m; len(answers[m.ID]) > 0 {
					f.answer = &answers[m.ID][0]
				}
				return f, nil
			case m.Author != nil && m.Author.ID == u.ID:
				f.followed = true
			}
		}
	}
	return found{}, errOutdated
}
