package openai

import "parlor/protocol/chat"

// A Piece is a piece of a running answer, encoded once for all who follow it.
type Piece struct {
	Turn               chat.Turn
	Before             []byte // the text that it follows; nobody may change it
	Text               string
	From, To           int // in the text of the answer, in UTF-16 code units
	FromBytes, ToBytes int // the same in bytes
	Frame              []byte
}

// Encode encodes notices of one room for [Stream]. It remembers how long the
// running answer is. It is not safe for concurrent use.
type Encode struct {
	message chat.MessageID
	attempt int
	bytes   int
	units   int
}

// Encode returns a [*Piece] of a text, and other notices as they are if they say something
// of a turn. It returns nil for the rest.
func (e *Encode) Encode(_ chat.RoomID, n chat.Notice) any {
	switch n := n.(type) {
	case chat.Text:
		return e.piece(n)
	case chat.Entered, chat.Record, chat.Missed, chat.TextSoFar, chat.Removal, chat.Failure:
		return n
	}
	return nil
}

func (e *Encode) piece(n chat.Text) *Piece {
	t := n.Turn
	if e.message != t.MessageID || e.attempt != t.Attempt || e.bytes != len(n.Before) {
		*e = Encode{t.MessageID, t.Attempt, len(n.Before), units(string(n.Before))}
	}
	p := &Piece{Turn: t, Before: n.Before, Text: n.Piece, From: e.units, FromBytes: e.bytes}
	e.bytes += len(n.Piece)
	e.units += units(n.Piece)
	p.To, p.ToBytes = e.units, e.bytes
	p.Frame = delta(t.MessageID, t.Attempt, 0, p.To, n.Piece)
	return p
}
