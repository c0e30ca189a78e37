package admin

import (
	"time"

	"parlor/protocol/chat"
)

// Encoder is the name of the encoder for those who observe a room.
const Encoder = "admin"

// An Event is something that happens in a room, without anybody's words.
type Event struct {
	Event     string         `json:"event"` // the type of the record, or one of those below
	Seq       uint64         `json:"seq,omitempty"`
	At        *time.Time     `json:"at,omitempty"` // when it was recorded
	TurnID    chat.TurnID    `json:"turn_id,omitempty"`
	MessageID chat.MessageID `json:"message_id,omitempty"`
	By        chat.UserID    `json:"by,omitempty"`
	ModelID   chat.ModelID   `json:"model_id,omitempty"`
	State     string         `json:"state,omitempty"`
	Code      chat.Code      `json:"code,omitempty"` // of an error
	Attempt   int            `json:"attempt,omitempty"`
	Bytes     int            `json:"bytes,omitempty"` // of the words
	Tool      string         `json:"tool,omitempty"`
	Missed    int            `json:"missed,omitempty"` // events that were dropped, since they were not read in time
}

// The events that are no records.
const (
	EventFollowed = "followed" // the first one: what follows is live, behind Seq
	EventText     = "text"     // a piece of an answer
	EventThought  = "thought"
	EventProgress = "progress" // of a provider
	EventSpeech   = "speech"
	EventTool     = "tool"    // news of a call
	EventFailed   = "failed"  // the room is out of service
	EventDeleted  = "deleted" // the last one: the chat is gone
	EventMissed   = "missed"
)

// EventOf returns what administrators see of a notice. It reports false if that is nothing.
func EventOf(n chat.Notice) (e Event, ok bool) {
	switch n := n.(type) {
	case chat.Record:
		return recorded(n), true
	case chat.Text:
		return Event{Event: EventText, TurnID: n.Turn.ID, Bytes: len(n.Piece)}, true
	case chat.Thought:
		return Event{Event: EventThought, TurnID: n.Turn.ID, Bytes: len(n.Piece)}, true
	case chat.Speech:
		return Event{Event: EventSpeech, MessageID: n.MessageID, Bytes: len(n.Audio)}, true
	case chat.ToolNews:
		return Event{Event: EventTool, MessageID: n.MessageID, Tool: n.Name}, true
	case chat.Progress:
		e := Event{Event: EventProgress, MessageID: n.MessageID, ModelID: n.Model}
		if n.Retrying != nil {
			e.Code = n.Retrying.Code
		}
		return e, true
	case chat.Failure:
		e := Event{Event: EventFailed, TurnID: n.Turn.TurnID}
		if n.Error != nil {
			e.Code = n.Error.Code
		}
		return e, true
	case chat.Removal:
		return Event{Event: EventDeleted}, !n.Left
	}
	return Event{}, false
}

func recorded(r chat.Record) Event {
	e := Event{Event: chat.KindOf(r.Event), Seq: r.Seq, At: &r.At}
	switch of := r.Event.(type) {
	case chat.Created:
		e.By, e.ModelID = of.Chat.Owner, of.Chat.ModelID
	case chat.MessageAdded:
		e.MessageID, e.By, e.ModelID, e.Bytes = of.MessageID, of.Author.ID, of.ModelID, len(of.Content)
	case chat.MessageWithdrawn:
		e.MessageID, e.By = of.MessageID, of.By
	case chat.BranchSelected:
		e.MessageID, e.By = of.MessageID, of.By
	case chat.Configured:
		e.By = of.By
	case chat.MemberChanged:
		e.By, e.State = of.By, string(of.Member.Role)
	case chat.TurnQueued:
		e.TurnID, e.By, e.ModelID = of.TurnID, of.By, of.ModelID
	case chat.TurnMoved:
		e.TurnID, e.By = of.TurnID, of.By
	case chat.TurnStarted:
		e.TurnID, e.MessageID, e.ModelID, e.Attempt = of.TurnID, of.MessageID, of.ModelID, of.Attempt
	case chat.TurnEnded:
		e.TurnID, e.MessageID, e.ModelID, e.By, e.State, e.Bytes = of.TurnID, of.MessageID, of.ModelID, of.By, string(of.State), len(of.Content)
		if of.Error != nil {
			e.Code = of.Error.Code
		}
	case chat.ToolDecided:
		e.TurnID, e.By = of.TurnID, of.By
	case chat.ToolEnded:
		e.TurnID, e.State = of.TurnID, string(of.State)
	case chat.ToolsCalled:
		e.TurnID = of.TurnID
	}
	return e
}
