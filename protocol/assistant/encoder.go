package assistant

import (
	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// An Encoder gives the notices of one room their form in one dialect. It
// remembers how long the running answer and its thought are in UTF-16 code units, so
// that it need not count all of it for each piece. It is not safe for concurrent use.
type Encoder struct {
	dialect Dialect
	answer  ruler
	thought ruler
}

// A ruler measures a text that grows.
type ruler struct {
	answer  chat.MessageID
	attempt int
	bytes   int
	units   int // the same in UTF-16 code units
}

// offset returns the length of before, in UTF-16 code units, and goes on to what
// follows piece.
func (r *ruler) offset(t chat.Turn, before []byte, piece string) int {
	if r.answer != t.MessageID || r.attempt != t.Attempt || r.bytes != len(before) {
		*r = ruler{t.MessageID, t.Attempt, len(before), Length(string(before))}
	}
	offset := r.units
	r.bytes += len(piece)
	r.units += Length(piece)
	return offset
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
		return replay(e.dialect, room, n)
	case chat.Transcribed:
		return heard(e.dialect, room, n.Record)
	case chat.Text:
		return e.text(room, n)
	case chat.Thought:
		return thought(e.dialect, room, n.Turn.MessageID, e.thought.offset(n.Turn, n.Before, n.Piece), n.Piece)
	case chat.TextSoFar:
		return soFar(e.dialect, room, n)
	case chat.Speech:
		return Audio(e.dialect, room, n.MessageID, n.Audio)
	case chat.Progress:
		return progress(e.dialect, room, n)
	case chat.ToolNews:
		return toolNews(e.dialect, room, n)
	case chat.RunTool:
		return runTool(e.dialect, room, n)
	case chat.Presence:
		return presence(e.dialect, room, n)
	case chat.Announcement:
		return frames{socketio.ForeignFrame(Namespace, n.Event, n.Args)}
	case chat.Entered:
		return entered(e.dialect, room, n)
	case chat.Removal:
		return gone(room, n)
	case chat.Failure:
		return trouble(e.dialect, room, n)
	}
	return nil
}

func (e *Encoder) text(room chat.RoomID, n chat.Text) []engineio.Frame {
	offset := e.answer.offset(n.Turn, n.Before, n.Piece)
	if Live(n.Turn) {
		return livePieces(e.dialect, room, n.Turn.MessageID, offset, n.Piece, n.Spoken)
	}
	return Delta(e.dialect, room, n.Turn.MessageID, offset, n.Piece)
}
