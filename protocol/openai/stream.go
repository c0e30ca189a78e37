package openai

import (
	"errors"

	"parlor/protocol/chat"
)

// A Stream turns what a room tells into the events of one response. It is not safe for
// concurrent use.
type Stream struct {
	turn  Turn
	after int64 // the number of the last event that the client knows of; -1: none
	units int   // of the text of the attempt that is known
	bytes int
	part  bool // the client was told that the text begins
}

// NewStream returns the stream of a turn, whose events with a number up to after the client
// knows.
func NewStream(t Turn, after int64) *Stream { return &Stream{turn: t, after: after} }

// Begin is the place before the first event.
const Begin int64 = -1

// errGap means that text is missing, so that the client has to come back for it.
var errGap = errors.New("openai: a piece of an answer does not follow the one before")

// Ended reports whether the last event was returned.
func (s *Stream) Ended() bool { return s.turn.Ended() }

// Take returns the events that a notice leads to, as they are streamed. It takes records, text
// so far, and what [Encode] returns; others lead to none.
func (s *Stream) Take(n any) (frames []byte, err error) {
	if s.turn.Ended() {
		return nil, nil
	}
	switch n := n.(type) {
	case chat.Record:
		return s.record(n), nil
	case chat.Missed:
		return s.record(n.Record), nil
	case chat.TextSoFar:
		if s.turn.Runs(n.Turn) && !n.Cut && len(n.Text) > s.bytes {
			return s.grow(n.Text[s.bytes:]), nil
		}
	case *Piece:
		return s.piece(n)
	}
	return nil, nil
}

func (s *Stream) record(r chat.Record) (frames []byte) {
	switch s.turn.take(r) {
	case isQueued:
		return s.response(numberOf(1, atBegin), "response.created", s.turn.shell())
	case isStarted:
		return s.start()
	case isOpened:
		frames = s.response(numberOf(1, atBegin), "response.created", s.turn.shell())
		return append(frames, s.start()...)
	case isFinished:
		return s.end()
	}
	return nil
}

// start tells of an attempt, and that the one before is over.
func (s *Stream) start() (frames []byte) {
	t := &s.turn
	s.units, s.bytes, s.part = 0, t.base, false
	now := t.shell()
	if dead := t.deadItems(); len(dead) > 0 {
		now.Output = dead
		frames = s.item(numberOf(t.nth(), atBegin), "response.output_item.done", t.nth()-2, dead[len(dead)-1])
	}
	frames = append(frames, s.response(numberOf(t.nth(), atProgress), "response.in_progress", now)...)
	if t.alone.is { // it may call tools and say nothing
		return frames
	}
	return append(frames, s.added()...)
}

// added tells that there is a message.
func (s *Stream) added() []byte {
	t := &s.turn
	return s.item(numberOf(t.nth(), atItem), "response.output_item.added", t.nth()-1, answerItem(t.itemID(), statusInProgress))
}

// Call notes the calls with which a response ends that belongs to no chat.
func (s *Stream) Call(calls []chat.ToolCall) { s.turn.Call(calls) }

// piece tells a piece of text. One that the client has all of, or nothing, is encoded already.
func (s *Stream) piece(p *Piece) ([]byte, error) {
	switch {
	case !s.turn.Runs(p.Turn) || p.ToBytes <= s.bytes:
		return nil, nil
	case p.FromBytes > s.bytes && len(p.Before) < p.FromBytes:
		return nil, errGap
	case p.FromBytes > s.bytes: // an attempt that goes on behind a recorded step begins with its words
		return s.grow(string(p.Before[s.bytes:]) + p.Text), nil
	case p.FromBytes < s.bytes || s.turn.id.Part > 0 || numberOf(p.Turn.Attempt, atText+p.From) < s.after:
		return s.grow(p.Text[s.bytes-p.FromBytes:]), nil
	}
	frames := s.begin()
	s.units, s.bytes = p.To, p.ToBytes
	s.after = numberOf(p.Turn.Attempt, atText+p.To)
	return append(frames, p.Frame...), nil
}

// grow tells more of the text, without what the client knows.
func (s *Stream) grow(text string) []byte {
	known := int(s.after-numberOf(s.turn.nth(), atText)) - s.units
	end := s.units + units(text)
	s.bytes += len(text)
	frames := s.begin()
	if known > 0 {
		text = after(text, known)
	}
	s.units = end
	number := numberOf(s.turn.nth(), atText+end)
	if text == "" || number <= s.after {
		return frames
	}
	s.after = number
	return append(frames, delta(s.turn.message, s.turn.nth(), s.turn.id.Part, end, text)...)
}

// begin tells that the text begins, once.
func (s *Stream) begin() []byte {
	if s.part {
		return nil
	}
	s.part = true
	var frames []byte
	if s.turn.alone.is {
		frames = s.added()
	}
	return append(frames, s.text(numberOf(s.turn.nth(), atText), "response.content_part.added", "")...)
}

// end tells the rest of the text, and all that ends.
func (s *Stream) end() (frames []byte) {
	t := &s.turn
	text, number := t.Text(), endsAt(t)
	if len(t.messageItems(text)) > 0 {
		if told := s.bytes - t.base; len(text) > told {
			frames = s.grow(text[told:])
		}
		frames = append(frames, s.begin()...)
		frames = append(frames, s.text(number, "response.output_text.done", text)...)
		frames = append(frames, s.text(number+1, "response.content_part.done", text)...)
		frames = append(frames, s.item(number+2, "response.output_item.done", t.nth()-1, t.item(text))...)
	}
	calls, number := s.calls(number + ends - 1)
	frames = append(frames, calls...)
	name := "response." + t.status()
	if t.status() == statusCancelled { // the client knows no such event, and goes by the status
		name = "response.incomplete"
	}
	return append(frames, s.response(number, name, t.Response(text))...)
}

// The methods below return an event, or nothing if the client knows it.

func (s *Stream) response(number int64, name string, r Response) []byte {
	return s.numbered(number, name, func() any { return responseEvent{event{name, number}, r} })
}

func (s *Stream) item(number int64, name string, index int, i any) []byte {
	return s.numbered(number, name, func() any { return itemEvent{event{name, number}, index, i} })
}

func (s *Stream) text(number int64, name, text string) []byte {
	return s.numbered(number, name, func() any {
		at, e := textPlace(s.turn.message, s.turn.nth(), s.turn.id.Part), event{name, number}
		if name == "response.output_text.done" {
			return textEvent{e, at, text, []struct{}{}}
		}
		return partEvent{e, at, outputText(text)}
	})
}

func (s *Stream) numbered(number int64, name string, data func() any) []byte {
	if number <= s.after {
		return nil
	}
	s.after = number
	return frame(name, data())
}
