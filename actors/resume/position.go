package resume

import (
	"encoding/binary"
	"slices"

	"parlor/protocol/chat"
)

// A position says how far a client was in one room. It means the same whatever became of
// the client's seat: the window may be over, the seat may have been given up for others,
// or the disk may be full. An offset has the positions of the rooms that the client has
// joined last. If it has a part of a record, that is the next one in the first of them.
//
// A position is the bytes of the room's tag, the number of the record, and the bytes of
// text that the client has behind that (see [Place.SetText]), the numbers in the form of
// [binary.AppendUvarint].
type position struct {
	tag       string
	seq, text uint64
}

// An offset has at most maxPositions positions, and fewPositions if its vector is longer
// than longVector bytes, so that it stays shorter than 200 bytes.
const (
	maxPositions = 4
	fewPositions = 1
	longVector   = 60
)

// positionTagLen is the length of a tag in bytes.
var positionTagLen = encoding.DecodedLen(placeTagLen)

// appendPosition appends the position of the client in p.
func appendPosition(b []byte, p *Place) []byte {
	tag, err := encoding.AppendDecode(b, []byte(p.tag))
	if err != nil || len(tag) != len(b)+positionTagLen {
		return b
	}
	return binary.AppendUvarint(binary.AppendUvarint(tag, p.seq), uint64(p.text))
}

func parsePositions(text string) (all []position, ok bool) {
	b, err := encoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	for len(b) > 0 && len(all) < maxPositions {
		if len(b) < positionTagLen {
			return nil, false
		}
		p := position{tag: encoding.EncodeToString(b[:positionTagLen])}
		if p.seq, b, ok = number(b[positionTagLen:]); ok {
			p.text, b, ok = number(b)
		}
		if !ok {
			return nil, false
		}
		all = append(all, p)
	}
	return all, len(all) > 0 && len(b) == 0
}

// positions appends those of the places that the client has joined last, and of first
// before all others if that is not nil.
func (t *seat) positions(b []byte, first *Place, limit int) []byte {
	if first != nil {
		b = appendPosition(b, first)
		limit--
	}
	for _, p := range t.latest {
		if p != first && p.known && limit > 0 {
			b = appendPosition(b, p)
			limit--
		}
	}
	return b
}

// joined notes that the client has joined p last.
func (t *seat) joined(p *Place) {
	t.left(p)
	t.latest = slices.Insert(t.latest, 0, p)
	t.latest = t.latest[:min(len(t.latest), maxPositions)]
}

// left notes that the client has left p.
func (t *seat) left(p *Place) {
	t.latest = slices.DeleteFunc(t.latest, func(other *Place) bool { return other == p })
}

// former is where a client was when it had another seat, or this one with more in it.
type former struct {
	seat      string // its tag
	positions []position
	digest    string // of the last frame that the client got of a record, in the first position
}

// Former returns where the client was in a room before it began anew: a place of no seat.
// It returns nil if the client does not say, or has joined the room since.
func (s *Standing) Former(room chat.RoomID, epoch string) *Place {
	if s.former == nil || !s.anew {
		return nil
	}
	tag := placeTag(room, epoch)
	i := slices.IndexFunc(s.former.positions, func(p position) bool { return p.tag == tag })
	if i < 0 {
		return nil
	}
	at := s.former.positions[i]
	p := &Place{Room: room, tag: tag, seq: at.seq, text: int(at.text)}
	if i == 0 {
		p.digest = s.former.digest
	}
	return p
}

// forgetFormer is called when the client joins a room: from now on its place counts.
func (s *Standing) forgetFormer(room chat.RoomID, epoch string) {
	if s.former == nil {
		return
	}
	for i, p := range s.former.positions {
		if p.tag == placeTag(room, epoch) {
			s.former.positions[i] = position{}
		}
	}
}
