package assistant

import (
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// health is how the provider of the model that is asked fares.
type health struct {
	Provider string             `json:"provider"`
	State    chat.ProviderState `json:"state"`
	RetryAt  *string            `json:"retry_at"`
}

// News encodes what a delta tells of the answer messageID besides its text:
// that its provider has failed and who is asked now, and how a provider fares.
// Nothing of it is recorded. The SPA's dialect has no event for it.
func News(d Dialect, room chat.RoomID, messageID chat.MessageID, delta chat.Delta) []engineio.Frame {
	if d == SPA {
		return nil
	}
	var f frames
	if e := delta.Retrying; e != nil {
		f.emit("stream_error", string(room), streamError{
			MessageID: messageID, Error: e.Message, Code: e.Code, Retrying: true, ModelID: delta.Model,
		})
	}
	if h := delta.Health; h != nil {
		told := health{Provider: h.Provider, State: h.State}
		if !h.RetryAt.IsZero() {
			at := chat.Timestamp(h.RetryAt)
			told.RetryAt = &at
		}
		f.emit("assistant", string(room), told)
	}
	return f
}
