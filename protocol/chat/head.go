package chat

import (
	"bytes"
	"strconv"
)

// The functions below look at the first bytes of an encoded record only, since decoding
// costs as much as the message is long.

// maxHead is what a record's type, time and first id fit into.
const maxHead = 256

// maxIDs is what the ids of the end of a turn fit into, which come before its text.
const maxIDs = 1024

var (
	headOfMessage    = []byte(`{"type":"` + MessageAdded{}.kind() + `"`)
	headOfWithdrawal = []byte(`{"type":"` + MessageWithdrawn{}.kind() + `"`)
	headOfSelection  = []byte(`{"type":"` + BranchSelected{}.kind() + `"`)
	headOfQueued     = []byte(`{"type":"` + TurnQueued{}.kind() + `"`)
	headOfEnd        = []byte(`{"type":"` + TurnEnded{}.kind() + `"`)
	fieldOfID        = []byte(`"message_id":"`)
	fieldOfEdit      = []byte(`"replaces":"`)
	fieldOfSteers    = []byte(`"steers":"`)
	fieldOfFirst     = []byte(`"first_seq":`)
	fieldOfVersion   = []byte(`"version":`)
	fieldOfPrompt    = []byte(`"prompt_seq":`)
)

// EndsTurn reports whether the record is a [TurnEnded].
func EndsTurn(b []byte) bool { return bytes.HasPrefix(b, headOfEnd) }

// HoldsMessage reports whether the record holds a [Message]: the end of a turn
// that was never started does not. No text can look like the field, since the
// quotes in it are escaped, and where the field is missing there is little text.
func HoldsMessage(b []byte) bool {
	return bytes.HasPrefix(b, headOfMessage) || EndsTurn(b) && bytes.Contains(b, fieldOfID)
}

// Says reports whether the record is a [MessageAdded], and Steers whether it is
// one that was said to a running turn.
func Says(b []byte) bool   { return bytes.HasPrefix(b, headOfMessage) }
func Steers(b []byte) bool { return Says(b) && bytes.Contains(b, fieldOfSteers) }

// PromptOf returns the record of the message that the answer in the record answers, or 0.
func PromptOf(b []byte) uint64 {
	_, rest, _ := bytes.Cut(b[:min(len(b), maxIDs)], fieldOfPrompt)
	digits := 0
	for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	seq, _ := strconv.ParseUint(string(rest[:digits]), 10, 64)
	return seq
}

// TakesOut returns the records whose messages, and the answers to them, the record takes out
// of the conversation: that of a message that was withdrawn, or from one that was said anew on.
func TakesOut(seq uint64, b []byte) (s Span, ok bool, err error) {
	if !bytes.HasPrefix(b, headOfWithdrawal) && (!Says(b) || !bytes.Contains(b[:min(len(b), maxHead)], fieldOfEdit)) {
		return Span{}, false, nil
	}
	record, err := DecodeRecord(seq, b)
	switch e := record.Event.(type) {
	case MessageWithdrawn:
		return Span{e.Seq, e.Seq + 1}, true, err
	case MessageAdded:
		return Span{e.ReplacesSeq, seq}, e.ReplacesSeq > 0, err
	}
	return Span{}, false, err
}

// AddsMessage reports whether the record is the [MessageAdded] of id.
func AddsMessage(b []byte, id MessageID) bool {
	var space [maxHead]byte
	field := append(append(append(space[:0], fieldOfID...), id...), '"')
	return bytes.HasPrefix(b, headOfMessage) && bytes.Contains(b[:min(len(b), maxHead)], field)
}

// MessageIn returns the id of the message that an encoded record holds.
func MessageIn(seq uint64, b []byte) (MessageID, error) {
	_, rest, found := bytes.Cut(b[:min(len(b), maxHead)], fieldOfID)
	id, _, whole := bytes.Cut(rest, []byte(`"`))
	if found && whole && !bytes.Contains(id, []byte(`\\`)) {
		return MessageID(id), nil
	}
	r, err := DecodeRecord(seq, b)
	m, _ := r.Message()
	return m.ID, err
}

// branches reports whether the record, which is record seq, changes the [Branches] of a
// conversation, but that a message was said.
func branches(seq uint64, b []byte) bool {
	switch {
	case Says(b):
		return bytes.Contains(b[:min(len(b), maxHead)], fieldOfEdit)
	case EndsTurn(b):
		head := b[:min(len(b), maxIDs)]
		if bytes.Contains(head, fieldOfVersion) {
			return true
		}
		_, rest, _ := bytes.Cut(head, fieldOfPrompt)
		n := bytes.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
		prompt, err := strconv.ParseUint(string(rest[:max(0, n)]), 10, 64)
		return err == nil && seq-prompt > nearby
	case bytes.HasPrefix(b, headOfQueued):
		return bytes.Contains(b, fieldOfFirst)
	}
	return bytes.HasPrefix(b, headOfWithdrawal) || bytes.HasPrefix(b, headOfSelection)
}
