package assistant

import (
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// An Encoder gives the notices of one room their form in one dialect. It
// remembers how long the running answer is in UTF-16 code units, so that it
// need not count the whole text for each piece. It is not safe for concurrent use.
type Encoder struct {
	dialect Dialect

	answer  chat.MessageID
	attempt int
	bytes   int // of answer
	units   int // the same in UTF-16 code units
}

// NewEncoder returns an encoder of the dialect.
func NewEncoder(d Dialect) *Encoder { return &Encoder{dialect: d} }

// Encode returns the notice as frames, a []engineio.Frame that the caller must
// not change, or nil if the dialect has no event for it.
func (e *Encoder) Encode(room chat.RoomID, n chat.Notice) any {
	if frames := e.Frames(room, n); len(frames) > 0 {
		return frames
	}
	return nil
}

// Frames is Encode with the type of its result.
func (e *Encoder) Frames(room chat.RoomID, n chat.Notice) []engineio.Frame {
	switch n := n.(type) {
	case chat.Record:
		return recorded(e.dialect, room, n)
	case chat.Missed:
		return replay(e.dialect, room, n.Record)
	case chat.Transcribed:
		return heard(e.dialect, room, n.Record)
	case chat.Text:
		return e.text(room, n)
	case chat.TextSoFar:
		return soFar(e.dialect, room, n.Turn.MessageID, n.Text, Live(n.Turn))
	case chat.Speech:
		return Audio(e.dialect, room, n.MessageID, n.Audio)
	case chat.Progress:
		return progress(e.dialect, room, n)
	case chat.Removal:
		return gone(room)
	case chat.Failure:
		return trouble(e.dialect, room, n)
	}
	return nil
}

func (e *Encoder) text(room chat.RoomID, n chat.Text) []engineio.Frame {
	if e.answer != n.Turn.MessageID || e.attempt != n.Turn.Attempt || e.bytes != len(n.Before) {
		e.answer, e.attempt, e.bytes, e.units = n.Turn.MessageID, n.Turn.Attempt, len(n.Before), Length(string(n.Before))
	}
	offset := e.units
	e.bytes += len(n.Piece)
	e.units += Length(n.Piece)
	if Live(n.Turn) {
		return livePieces(e.dialect, room, n.Turn.MessageID, offset, n.Piece, n.Spoken)
	}
	return Delta(e.dialect, room, n.Turn.MessageID, offset, n.Piece)
}
