package assistant

import (
	"cmp"
	"strings"
	"time"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// typed is the body of receive_message: WIRE-ASSISTANT §8, the sbaw family.
type typed struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

type spaMessage struct {
	ID       chat.MessageID `json:"id"`
	Content  string         `json:"content"`
	ModelID  chat.ModelID   `json:"model_id"`
	Role     chat.Role      `json:"role"`
	Type     string         `json:"type"`
	Modality string         `json:"modality"`
	Created  string         `json:"created_timestamp"`
	Files    []chat.FileID  `json:"files,omitempty"`
}

type spaAnswer struct {
	spaMessage
	TokenUsage *chat.Usage `json:"token_usage"`
	StopReason string      `json:"stop_reason"`
}

type spaError struct {
	Error    string         `json:"error"`
	Message  chat.MessageID `json:"message_id,omitempty"`
	ClientID string         `json:"client_message_id"` // the page's own id of the bubble
}

// spa encodes a record for the assistant SPA, which shows whole messages only.
func (f *frames) spa(room string, r chat.Record) {
	switch e := r.Event.(type) {
	case chat.MessageAdded:
		if e.Duplex {
			f.liveMessage(room, r)
			return
		}
		f.emit("receive_message", room, typed{"sbaw.text_message.user", spaShow(r)})
	case chat.TurnStarted:
		if e.Attempt > 1 && e.Duplex { // what follows does not go on with what was said
			f.emit("receive_message", room, closing(e.MessageID, "incomplete", chat.Timestamp(r.At)))
		}
	case chat.ToolsCalled, chat.ToolEnded:
		f.spaTools(room, r)
	case chat.TurnEnded:
		if e.MessageID == "" && e.Error == nil {
			return
		}
		isLive := e.MessageID != "" && live(e.Duplex, e.Correlation)
		if isLive {
			f.liveEnd(room, r, e)
		}
		if e.Error != nil {
			f.emit("message_error", "", spaError{e.Error.Message, e.Prompt, e.Correlation})
		}
		if isLive && e.Error == nil {
			return
		}
		switch {
		case isLive: // its text has a bubble already
			e.Content = ""
		case e.MessageID == "": // it failed before it started, and the page wants an id
			e.MessageID = chat.MessageID(e.TurnID)
		}
		r.Event = e
		// The only event that frees the page's spinner, so it follows an error too (§9.4).
		f.emit("receive_message", room, typed{
			"sbaw.text_message.assistant", spaAnswer{spaShow(r), e.Usage, stopReason(e.State, e.Finish)},
		})
	}
}

// RefusedSend encodes for the assistant SPA why something that it has sent is refused. The
// page is told what it is told of a turn that has failed: the last event of that frees its
// spinner. A page that has recorded speech shows a bubble that waits for the words, which
// is filled. Pieces of speech come many times in a second, so of these it is told nothing.
func RefusedSend(r SendMessage, err *chat.Error, at time.Time) []engineio.Frame {
	var f frames
	id, room := "refused-"+r.Envelope, string(r.Room) // the page wants an id
	switch {
	case r.Speech == Clear || r.Speech == Commit:
		f.emit("message_error", "", spaError{Error: err.Message})
		if r.Speech == Commit {
			inaudible := chat.Message{Role: chat.RoleUser, Modality: chat.ModalityAudio}
			f.emit("receive_message", room, liveText{transcribed, chat.MessageID(id), Visible(inaudible)})
		}
	case r.LocalID != "" || r.Respond:
		f.spa(room, chat.Record{At: at, Event: chat.TurnEnded{
			TurnID: chat.TurnID(id), ModelID: r.ModelID, Correlation: r.LocalID, State: chat.StateFailed, Error: err,
		}})
	}
	return f
}

// Unasked frees the spinner of the assistant SPA, which waits for an answer to what it has
// sent: nobody was asked for one.
func Unasked(r SendMessage, at time.Time) []engineio.Frame {
	if r.LocalID == "" || r.Quiet {
		return nil
	}
	var f frames
	f.emit("receive_message", string(r.Room), typed{"sbaw.text_message.assistant", spaAnswer{
		spaShown(chat.Message{
			ID: chat.MessageID("unasked-" + r.Envelope), Role: chat.RoleAssistant, ModelID: r.ModelID, Created: at,
			Content: "(No assistant was asked.)",
		}), nil, string(chat.FinishStop),
	}})
	return f
}

// Recap encodes the newest messages for a page that has missed more than it can be told.
// They are whole messages of the sbaw family, whatever model gave them, behind the end of
// a bubble that may be open.
func Recap(room chat.RoomID, messages []chat.Message) []engineio.Frame {
	var f frames
	f.emit("receive_message", string(room), closing("", "incomplete", ""))
	for _, m := range messages {
		if m.Role == chat.RoleUser {
			f.emit("receive_message", string(room), typed{"sbaw.text_message.user", spaShown(m)})
		} else {
			f.emit("receive_message", string(room), typed{"sbaw.text_message.assistant", spaAnswer{spaShown(m), m.Usage, stopReason(m.State, m.Finish)}})
		}
	}
	return f
}

func spaShow(r chat.Record) spaMessage {
	m, _ := r.Message()
	return spaShown(m)
}

func spaShown(m chat.Message) spaMessage {
	return spaMessage{
		ID: m.ID, Content: Visible(m), ModelID: m.ModelID, Role: m.Role,
		Type: "message", Modality: Modality(m), Created: chat.Timestamp(m.Created), Files: chat.FileIDs(m.Files),
	}
}

// Visible returns what a page that knows no states shows of m: its content,
// or why there is none instead of an empty bubble.
func Visible(m chat.Message) string {
	switch {
	case m.Content == "" && m.Modality == chat.ModalityAudio && m.Role == chat.RoleUser:
		return "(inaudible)"
	case strings.TrimSpace(m.Content) != "" || m.Role != chat.RoleAssistant:
		return m.Content
	case m.Error != nil:
		return m.Error.Message
	case m.State == chat.StateStopped:
		return because("Stopped", m.Reason)
	case m.State == chat.StateInterrupted:
		return because("Interrupted", m.Reason)
	}
	return m.Content
}

// Modality returns whether m was written or spoken, as the SPA calls it.
func Modality(m chat.Message) string {
	if m.Modality == "" {
		return "text"
	}
	return m.Modality
}

func because(what, reason string) string {
	if reason == "" {
		return what + "."
	}
	return what + ": " + reason
}

func stopReason(state chat.State, finish chat.Finish) string {
	switch state {
	case chat.StateCompleted:
		return string(cmp.Or(finish, chat.FinishStop))
	case chat.StateFailed:
		return "error"
	}
	return "cancelled"
}
