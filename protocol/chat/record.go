package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Record is an event in its place in a room's log.
type Record struct {
	Seq   uint64 // 1, 2, 3 … within the room
	At    time.Time
	Event Event
}

// Spoken reports whether the record is a message that was spoken.
func (r Record) Spoken() bool {
	m, said := r.Event.(MessageAdded)
	return said && m.Modality == ModalityAudio
}

// Origin returns where the command came from that led to the record, or "" if nobody
// waits for its acknowledgement: see [MessageAdded].
func (r Record) Origin() string {
	switch e := r.Event.(type) {
	case MessageAdded:
		return e.Origin
	case TurnQueued:
		return e.Origin
	}
	return ""
}

// Message returns the utterance that the record holds, if it holds one.
func (r Record) Message() (Message, bool) {
	switch e := r.Event.(type) {
	case MessageAdded:
		return Message{
			ID: e.MessageID, Seq: r.Seq, Role: RoleUser, Content: e.Content, Author: &e.Author,
			ModelID: e.ModelID, State: StateCompleted, ClientID: e.ClientID, Created: r.At,
			Modality: e.Modality, Steers: e.Steers, Mentions: e.Mentions, Unasked: e.Unasked, Parent: e.Parent, Replaces: e.Replaces, ReplacesSeq: e.ReplacesSeq,
			Files: e.Files, OnlyTools: e.OnlyTools,
		}, true
	case TurnEnded:
		return Message{
			ID: e.MessageID, Seq: r.Seq, Role: RoleAssistant, Content: e.Content,
			ModelID: e.ModelID, Name: e.Name, Prompt: e.Prompt, PromptSeq: e.PromptSeq, Version: e.Version, First: e.First, State: e.State, Finish: e.Finish,
			Thought: e.Thought, Usage: e.Usage, Error: e.Error, By: e.By, Reason: e.Reason, Created: r.At,
			Modality: e.Modality, Cut: e.Cut, Calls: e.Calls,
		}, e.MessageID != ""
	}
	return Message{}, false
}

// stored is how a record lies in the log; the sequence number is its key there.
type stored struct {
	Type string    `json:"type"`
	At   time.Time `json:"at"`
	Data Event     `json:"data"`
}

// ErrUnknownEvent is returned by [DecodeRecord] for an event that a newer
// version wrote.
var ErrUnknownEvent = errors.New("chat: unknown event type")

// Encode returns the bytes that the log keeps of the record.
func (r Record) Encode() ([]byte, error) {
	b, err := json.Marshal(stored{r.Event.kind(), r.At, r.Event})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", r.Event.kind(), err)
	}
	return b, nil
}

// DecodeRecord reads what [Record.Encode] wrote.
func DecodeRecord(seq uint64, b []byte) (Record, error) {
	record, err := decodeRecord(kindOf(b), b)
	if err != nil {
		return Record{}, fmt.Errorf("decode record %d: %w", seq, err)
	}
	record.Seq = seq
	if bytes.Contains(b, oldDuplex) {
		record.Event = asDuplex(record.Event)
	}
	return record, nil
}

// oldDuplex is how old records say Duplex: by the API of the model. No text can
// look like it, since the quotes in it are escaped.
var oldDuplex = []byte(`"model_api_source":"` + SourceRealtime + `"`)

func asDuplex(e Event) Event {
	switch e := e.(type) {
	case MessageAdded:
		e.Duplex = true
		return e
	case TurnStarted:
		e.Duplex = true
		return e
	case TurnEnded:
		e.Duplex = true
		return e
	}
	return e
}

// kindOf returns the type of an encoded record. It is the first field, unless
// the record was imported from a file that somebody has written by hand.
func kindOf(b []byte) string {
	if rest, ok := bytes.CutPrefix(b, []byte(`{"type":"`)); ok {
		kind, _, _ := bytes.Cut(rest, []byte(`"`))
		return string(kind)
	}
	var s struct{ Type string }
	_ = json.Unmarshal(b, &s) // decodeRecord tells what is wrong with it
	return s.Type
}

func decodeRecord(kind string, b []byte) (Record, error) {
	switch kind {
	case Created{}.kind():
		return decodeAs[Created](b)
	case MessageAdded{}.kind():
		return decodeAs[MessageAdded](b)
	case Configured{}.kind():
		return decodeAs[Configured](b)
	case MessageWithdrawn{}.kind():
		return decodeAs[MessageWithdrawn](b)
	case Reacted{}.kind():
		return decodeAs[Reacted](b)
	case BranchSelected{}.kind():
		return decodeAs[BranchSelected](b)
	case TurnMoved{}.kind():
		return decodeAs[TurnMoved](b)
	case MemberChanged{}.kind():
		return decodeAs[MemberChanged](b)
	case OwnerOffered{}.kind():
		return decodeAs[OwnerOffered](b)
	case InviteMade{}.kind():
		return decodeAs[InviteMade](b)
	case InviteRevoked{}.kind():
		return decodeAs[InviteRevoked](b)
	case TurnSteered{}.kind():
		return decodeAs[TurnSteered](b)
	case TurnQueued{}.kind():
		return decodeAs[TurnQueued](b)
	case TurnStarted{}.kind():
		return decodeAs[TurnStarted](b)
	case TurnRun{}.kind():
		return decodeAs[TurnRun](b)
	case ToolStarted{}.kind():
		return decodeAs[ToolStarted](b)
	case ToolsCalled{}.kind():
		return decodeAs[ToolsCalled](b)
	case ToolDecided{}.kind():
		return decodeAs[ToolDecided](b)
	case ToolsLost{}.kind():
		return decodeAs[ToolsLost](b)
	case ToolEnded{}.kind():
		return decodeAs[ToolEnded](b)
	case TurnEnded{}.kind():
		return decodeAs[TurnEnded](b)
	}
	if err := json.Unmarshal(b, new(struct{})); err != nil {
		return Record{}, err
	}
	return Record{}, fmt.Errorf("%w %q", ErrUnknownEvent, kind)
}

// decodeAs decodes a record in one go, since its type is known.
func decodeAs[E Event](b []byte) (Record, error) {
	var s struct {
		At   time.Time `json:"at"`
		Data *E        `json:"data"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return Record{}, err
	}
	if s.Data == nil {
		return Record{}, errors.New("it holds no event")
	}
	return Record{At: s.At, Event: *s.Data}, nil
}
