package openwebui

import (
	"bytes"
	"slices"

	"parlor/protocol/engineio"
)

// The bytes around the text of the events that tell an answer piece by piece. No text can
// look like them, since the quotes in it are escaped.
var (
	deltaHead, deltaTail   = []byte(`"delta":{"content":"`), []byte(`"},"finish_reason":null}]}}}]`)
	streamHead, streamTail = []byte(`","content":"`), []byte(`"}]`)
	wholeHead, wholeTail   = []byte(`"type":"chat:completion","data":{"content":"`), []byte(`"}}}]`)
)

var (
	chatEventsStart = []byte(`42["chat-events",`)
	eventsStart     = []byte(`42["events",`)
	streamStart     = []byte(`42["stream",`)
)

// Coalesce returns the frames with the pieces of an answer that follow one another made one,
// in the place of the first: fewer bytes for a client that is behind. Of the whole text of
// an answer, told again and again, the last one is kept. Nothing moves across any other
// frame. The frames and the slice are not changed.
func Coalesce(frames []engineio.Frame) []engineio.Frame {
	var runs []run
	out := make([]engineio.Frame, 0, len(frames))
	last := make(map[string]int) // by head: the run since the last other frame
	for _, f := range frames {
		p, ok := parsePiece(f.Data)
		if !ok {
			clear(last)
			out = append(out, f)
			continue
		}
		i, known := last[string(p.head)]
		switch {
		case !known:
			last[string(p.head)] = len(runs)
			runs = append(runs, run{place: len(out), piece: p, texts: [][]byte{p.text}})
			out = append(out, f)
		case p.whole:
			out[runs[i].place] = f
		default:
			runs[i].texts = append(runs[i].texts, p.text)
		}
	}
	for _, r := range runs {
		if len(r.texts) > 1 {
			out[r.place] = engineio.Frame{Data: slices.Concat(r.head, bytes.Join(r.texts, nil), r.tail)}
		}
	}
	return out
}

// A run is pieces of one answer that are made one.
type run struct {
	place int // in the result
	piece
	texts [][]byte
}

// A piece is a frame around a text, as it is encoded.
type piece struct {
	head, text, tail []byte
	whole            bool // the text is all of the answer so far
}

func parsePiece(frame []byte) (piece, bool) {
	switch {
	case bytes.HasPrefix(frame, streamStart):
		return cut(frame, streamHead, streamTail)
	case !bytes.HasPrefix(frame, chatEventsStart) && !bytes.HasPrefix(frame, eventsStart):
		return piece{}, false
	}
	if p, ok := cut(frame, wholeHead, wholeTail); ok {
		p.whole = true
		return p, true
	}
	return cut(frame, deltaHead, deltaTail)
}

// cut finds the text between the end of head and the beginning of tail, which end the frame.
func cut(frame, head, tail []byte) (piece, bool) {
	i := bytes.Index(frame, head)
	if i < 0 {
		return piece{}, false
	}
	start, end := i+len(head), len(frame)-len(tail)
	if end < start || !bytes.Equal(frame[end:], tail) || bytes.Contains(frame[start:end], quoteComma) {
		return piece{}, false
	}
	return piece{head: frame[:start], text: frame[start:end], tail: tail}, true
}

// quoteComma ends a string that another field follows: then the frame has more to say than
// its text.
var quoteComma = []byte(`","`)
