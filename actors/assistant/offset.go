package assistant

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"parlor/protocol/chat"
)

// An offset says how far a client is in every room that it has joined. It is
// the last argument of each event that tells of a record or of having joined or
// left, and comes back with a client that wants its connection state recovered.
//
//	offset = mark *( "," mark )
//	mark   = tag "." seq [ "." frames ]     numbers in base 36
//
// So the client has all records up to seq, and that many frames of the one that
// follows: a connection may end between two of them.
type offset []*mark

// mark is how far the client is in one room.
type mark struct {
	tag    string
	seq    uint64
	frames int
}

// within reports whether a log that ends with record last can hold what the
// client was told.
func (m *mark) within(last uint64) bool {
	return m.seq < last || m.seq == last && m.frames == 0
}

// brokenOffset is what clients get while it is not on disk what they have
// joined: who sends it back starts a new session.
const brokenOffset = "-"

// A tag is 5 bytes as 8 letters and digits.
const (
	tagAlphabet = "abcdefghijklmnopqrstuvwxyz234567"
	tagLen      = 8
)

var tagEncoding = base32.NewEncoding(tagAlphabet).WithPadding(base32.NoPadding)

// tagOf names a room in offsets. A chat that was deleted and made again under
// the same id has another epoch, and its records another meaning.
func tagOf(id chat.RoomID, epoch string) string {
	sum := sha256.Sum256([]byte(string(id) + "\x00" + epoch))
	return tagEncoding.EncodeToString(sum[:tagLen*5/8])
}

// json returns the offset as an argument of an event.
func (o offset) json() json.RawMessage {
	b := append(make([]byte, 0, 16*len(o)+2), '"')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, m.tag...), '.')
		b = strconv.AppendUint(b, m.seq, 36)
		if m.frames > 0 {
			b = strconv.AppendInt(append(b, '.'), int64(m.frames), 36)
		}
	}
	return append(b, '"')
}

// parseOffset reads what json wrote, of at most limit rooms.
func parseOffset(s string, limit int) (o offset, ok bool) {
	for text := range strings.SplitSeq(s, ",") {
		m, ok := parseMark(text)
		if !ok || len(o) == limit || o.find(m.tag) != nil {
			return nil, false
		}
		o = append(o, m)
	}
	return o, true
}

func parseMark(s string) (*mark, bool) {
	tag, numbers, _ := strings.Cut(s, ".")
	seq, frames, partly := strings.Cut(numbers, ".")
	m := &mark{tag: tag}
	var err error
	if m.seq, err = strconv.ParseUint(seq, 36, 63); err != nil || len(tag) != tagLen || strings.Trim(tag, tagAlphabet) != "" {
		return nil, false
	}
	if partly {
		var n uint64
		n, err = strconv.ParseUint(frames, 36, 15)
		m.frames = int(n)
	}
	return m, err == nil
}

func (o offset) find(tag string) *mark {
	if i := slices.IndexFunc(o, func(m *mark) bool { return m.tag == tag }); i >= 0 {
		return o[i]
	}
	return nil
}

func (o offset) without(gone *mark) offset {
	return slices.DeleteFunc(o, func(m *mark) bool { return m == gone })
}
