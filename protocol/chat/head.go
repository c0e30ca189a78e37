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
