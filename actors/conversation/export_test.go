package conversation

import "parlor/protocol/chat"

// ErrCrowd refuses a message that addresses too many.
var ErrCrowd = errCrowd

// Addressed returns the models that a text addresses.
func (r *Rules) Addressed(text string, model chat.ModelID) ([]chat.ModelID, *chat.Error) {
	return r.addressed(text, model)
}
