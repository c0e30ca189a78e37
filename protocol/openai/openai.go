// Package openai is the wire of OpenAI's HTTP API, as far as rooms fit it: chat completions,
// responses and conversations.
//
//	body → Decode… → what is wanted, or an [Error] that names the field
//	records and text of one turn → [Stream] → the events of a response, numbered
//	pieces of a completion → [Completion] → chunks, or the whole
//
// # Names
//
// A conversation is a chat, a response is a turn of it, and an item is a message. The id of a
// response says where its turn is recorded, so it is found without a search.
//
// # Numbers
//
// Events have numbers by which a client resumes. A number is a place in an answer: the attempt
// at it, and a position in that attempt. The pieces of an answer are not recorded, but its text
// is, so any server process that knows the text numbers it alike:
//
//	(attempt − 1)·2²⁴ + 0  the item of the attempt before is over; in the first one: created
//	                  + 1  in progress
//	                  + 2  the item begins, and + 3 its text
//	                  + 3 + n  a delta that ends behind n UTF-16 code units
//	                  + 4 + n … 7 + n  the ends of the text of n units, its part, its item, and the response
//
// A crash may have cost some of the text of a turn that failed or was interrupted: clients may
// have seen more than was saved. The ends of those have the last four numbers of their attempt.
package openai

import (
	"strconv"
	"strings"

	"parlor/protocol/chat"
)

// Encoder is the name under which rooms know [Encode].
const Encoder = "openai"

// These are the beginnings of ids.
const (
	responsePrefix     = "resp_"
	conversationPrefix = "conv_"
	itemPrefix         = "msg_"
)

// A ResponseID names the turn, or the part of one, that a response is. A part ends where the
// turn waits for its caller, and the next one begins there.
type ResponseID struct {
	Chat chat.ID
	Turn chat.TurnID
	Seq  uint64 // of the record by which the turn was queued
	Part int    // how many parts came before

	// Functions means that the caller runs functions: calls of those end a part too.
	Functions bool
}

// Next returns the response that goes on where this one has ended.
func (id ResponseID) Next() ResponseID {
	id.Part++
	return id
}

// String returns the id as clients are told it.
func (id ResponseID) String() string {
	return responsePrefix + strconv.FormatUint(id.Seq, 10) + "_" + string(id.Turn) + id.part() + "_" + string(id.Chat)
}

func (id ResponseID) part() string {
	switch {
	case id.Functions:
		return "." + strconv.Itoa(id.Part+1) + "f"
	case id.Part > 0:
		return "." + strconv.Itoa(id.Part+1)
	}
	return ""
}

// ParseResponseID reads an id that [ResponseID.String] wrote.
func ParseResponseID(s string) (id ResponseID, ok bool) {
	rest, ok := strings.CutPrefix(s, responsePrefix)
	seq, rest, cut := strings.Cut(rest, "_")
	turn, name, cutAgain := strings.Cut(rest, "_")
	if !ok || !cut || !cutAgain || turn == "" {
		return ResponseID{}, false
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	id = ResponseID{Chat: chat.ID(name), Turn: chat.TurnID(turn), Seq: n}
	if before, part, cut := strings.Cut(turn, "."); cut {
		id.Turn = chat.TurnID(before)
		part, id.Functions = strings.CutSuffix(part, "f")
		number, _ := strconv.Atoi(part)
		id.Part = max(number, 1) - 1
	}
	return id, err == nil && n > 0 && id.Turn != "" && id.Chat.Valid() && id.String() == s
}

// ConversationID returns the id of a chat as clients are told it.
func ConversationID(id chat.ID) string { return conversationPrefix + string(id) }

// ParseConversationID reads an id that [ConversationID] wrote.
func ParseConversationID(s string) (chat.ID, bool) {
	name, ok := strings.CutPrefix(s, conversationPrefix)
	return chat.ID(name), ok && chat.ID(name).Valid()
}

// ItemID returns the id of the item that a message is. Each attempt at an answer, and each
// part of it, has an item of its own, and the message is the same.
func ItemID(id chat.MessageID, attempt, part int) string {
	switch {
	case part > 0:
		return itemPrefix + string(id) + "." + strconv.Itoa(attempt) + "p" + strconv.Itoa(part+1)
	case attempt > 1:
		return itemPrefix + string(id) + "." + strconv.Itoa(attempt)
	}
	return itemPrefix + string(id)
}

// ParseItemID reads an id that [ItemID] wrote.
func ParseItemID(s string) (chat.MessageID, bool) {
	name, ok := strings.CutPrefix(s, itemPrefix)
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[:i]
	}
	return chat.MessageID(name), ok && name != ""
}

// units returns the length of text in UTF-16 code units, as JavaScript counts it.
func units(text string) (n int) {
	for _, r := range text {
		n += unitsOf(r)
	}
	return n
}

func unitsOf(r rune) int {
	if r >= 0x10000 {
		return 2
	}
	return 1
}

// after returns what follows the first n UTF-16 code units of text. A pair of them is not cut
// in two: it is left whole.
func after(text string, n int) string {
	for i, r := range text {
		if n -= unitsOf(r); n < 0 {
			return text[i:]
		}
	}
	return ""
}
