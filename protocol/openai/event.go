package openai

import (
	"strconv"

	"parlor/protocol/chat"
)

// event is what all events of a response have.
type event struct {
	Type   string `json:"type"`
	Number int64  `json:"sequence_number"`
}

type (
	responseEvent struct {
		event
		Response Response `json:"response"`
	}
	itemEvent struct {
		event
		Index int `json:"output_index"`
		Item  any `json:"item"`
	}

	// within is the place of a text.
	within struct {
		ItemID  string `json:"item_id"`
		Index   int    `json:"output_index"`
		Content int    `json:"content_index"`
	}
	partEvent struct {
		event
		within
		Part part `json:"part"`
	}
	deltaEvent struct {
		event
		within
		Delta    string     `json:"delta"`
		Logprobs []struct{} `json:"logprobs"`
	}
	textEvent struct {
		event
		within
		Text     string     `json:"text"`
		Logprobs []struct{} `json:"logprobs"`
	}
	errorEvent struct {
		event
		Code    *string `json:"code"`
		Message string  `json:"message"`
		Param   *string `json:"param"`
	}
)

// frame returns an event as it is streamed.
func frame(name string, data any) []byte {
	return append(append([]byte("event: "+name+"\ndata: "), encode(data)...), "\n\n"...)
}

// Positions in an attempt: see the package comment.
const (
	perAttempt = 1 << 24

	atBegin    = 0
	atProgress = 1
	atItem     = 2
	atText     = 3 // and the units of the text
	atEnds     = 4 // and the units of the text
	ends       = 4 // events
)

// numberOf returns the number of a position in an attempt, which count from 1.
func numberOf(attempt, position int) int64 {
	return int64(max(attempt, 1)-1)*perAttempt + int64(position)
}

// endsAt returns the number of the first of the events that end a turn.
func endsAt(t *Turn) int64 {
	switch t.end.State {
	case chat.StateCompleted, chat.StateStopped:
		return numberOf(t.nth(), atEnds+units(t.Text()))
	}
	return numberOf(max(t.nth(), 1)+1, 0) - ends
}

// Last returns the number of the last event that the turn has led to, with the text so far.
func (t *Turn) Last(text string) int64 {
	switch {
	case t.end != nil:
		return endsAt(t) + ends - 1 + int64(t.outputCount())
	case t.attempt == 0:
		return numberOf(1, atBegin)
	}
	return numberOf(t.nth(), atText+units(text))
}

func textPlace(message chat.MessageID, attempt, part int) within {
	return within{ItemID: ItemID(message, attempt, part), Index: attempt - 1}
}

const nameDelta = "response.output_text.delta"

// delta returns the event of a piece of text that ends behind so many units.
func delta(message chat.MessageID, attempt, part, end int, text string) []byte {
	return frame(nameDelta, deltaEvent{
		event{nameDelta, numberOf(attempt, atText+end)}, textPlace(message, attempt, part), text, []struct{}{},
	})
}

// ErrorFrame returns the event that ends a stream with a failure.
func ErrorFrame(e *Error) []byte {
	return frame("error", errorEvent{event{"error", 0}, orNull(e.Code), e.Message, orNull(e.Param)})
}

func itoa(n int) string { return strconv.Itoa(n) }
