package room

import "parlor/protocol/chat"

var errGuestModel = chat.Refuse(chat.CodeForbidden, "guests ask the assistant of the chat; sign in to ask another one")

// guestAsks returns why a guest may not ask the models, or nil. Those that are not named are
// the chat's.
func (r *Room) guestAsks(c Caller, models ...chat.ModelID) *chat.Error {
	for _, m := range models {
		if c.User.Only != "" && !r.names(m, r.records.head.Chat.ModelID) {
			return errGuestModel
		}
	}
	return nil
}

// guestsDepart ends what guests have when the chat was deleted.
func (r *Room) guestsDepart() {
	for _, m := range r.records.shown.Chat.Members {
		if m.ID.IsGuest() {
			r.Departed(m.ID)
		}
	}
}
