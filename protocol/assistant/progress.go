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

// progress encodes how the provider of an answer fares. The SPA's dialect has no
// event for it.
func progress(d Dialect, room chat.RoomID, p chat.Progress) []engineio.Frame {
	if d == SPA {
		return nil
	}
	var f frames
	if e := p.Retrying; e != nil {
		f.emit("stream_error", string(room), streamError{
			MessageID: p.MessageID, Error: e.Message, Code: e.Code, Retrying: true, ModelID: p.Model,
		})
	}
	if h := p.Health; h != nil {
		told := health{Provider: h.Provider, State: h.State}
		if !h.RetryAt.IsZero() {
			at := chat.Timestamp(h.RetryAt)
			told.RetryAt = &at
		}
		f.emit("assistant", string(room), told)
	}
	return f
}
