package resume

import (
	"encoding/json"

	"parlor/actors/recovery"
	"parlor/protocol/chat"
)

// Open gives the client of a socket a seat, and the socket its ids. If auth asks for a
// seat that the client had, with an offset that fits it, the client has come back:
// Open returns the user that the client was before, and Places returns its rooms.
// Otherwise the seat is new. With a nil table the client has none.
func (s *Standing) Open(table *recovery.Table, socket Socket, user chat.User, auth json.RawMessage) (_ chat.User, back bool) {
	if table == nil {
		return user, false
	}
	*s = Standing{table: table, socket: socket, user: user.ID, guest: user.Guest}
	if back = s.resume(user, auth); !back {
		s.Begin()
	}
	user.ID = s.user
	return user, back
}

// AsksToReturn reports whether the client has said that it was here before.
func (s *Standing) AsksToReturn() bool { return s.former != nil }

// Places returns the places that the client has.
func (s *Standing) Places() []*Place {
	if s.seat == nil {
		return nil
	}
	return s.seat.places
}

func (s *Standing) resume(user chat.User, auth json.RawMessage) bool {
	var request struct{ PID, Offset any }
	_ = json.Unmarshal(auth, &request) // if auth is no object it asks for nothing
	pid, _ := request.PID.(string)
	text, _ := request.Offset.(string)
	o, ok := parseOffset(text)
	if !ok {
		return false
	}
	// A client that has begun anew, and was cut off before it joined a room, has the offset
	// of the seat before. Its positions say no more than a client may ask for in a join.
	s.former = &former{o.seat, o.positions, o.part.digest}
	if o.seat != seatTag(s.table.Epoch(), pid) {
		return false
	}
	kept, ok := s.table.Claim(pid, user, owner{s.socket})
	if !ok {
		return false
	}
	s.pid = pid
	if s.seat, ok = restore(kept, o); !ok {
		return false // Begin then gives up this seat
	}
	s.user = kept.User
	s.socket.Identify(kept.SID, pid)
	return true
}

// restore returns the seat with its places as the offset says that the client knows
// them. It reports false if the offset does not fit the seat.
func restore(s recovery.Seat, o offset) (*seat, bool) {
	told, ok := placesAt(s, o)
	if !ok {
		return nil, false
	}
	t := &seat{tag: o.seat, past: s.Past, required: s.Mark}
	t.stored = mark{number: s.Mark}
	for i, kept := range s.Places {
		p := told[i]
		if p == nil {
			p = &Place{left: true}
		} else {
			t.places = append(t.places, p)
		}
		p.Room, p.Encoder, p.tag, p.since = kept.Room, kept.Encoder, kept.Tag, s.Mark
		for _, at := range o.positions {
			if at.tag == p.tag && at.seq == p.seq {
				p.text = int(at.text)
			}
		}
		t.stored.entries = append(t.stored.entries, entry{p, kept.Seq})
	}
	t.newest = t.stored
	for _, p := range t.places[max(0, len(t.places)-maxPositions):] {
		t.joined(p)
	}
	return t, true
}

// A spot is a place of an older mark: the number that it has in the seat now, and how
// far the client was. A place that the seat does not have any more is nowhere.
type spot struct {
	place int
	seq   uint64
}

const nowhere = -1

// maxPlaces is more places than any mark has.
const maxPlaces = 1 << 16

// placesAt returns, by their numbers in the seat, the places of which the client knows,
// and how far it is in each. It reports false if the offset does not fit the seat.
func placesAt(s recovery.Seat, o offset) (told map[int]*Place, ok bool) {
	if o.mark == 0 || o.mark > s.Mark || s.Mark-o.mark > uint64(len(s.Past)) {
		return nil, false
	}
	spots := make([]spot, len(s.Places))
	for i, p := range s.Places {
		spots[i] = spot{i, p.Seq}
	}
	for i := range int(s.Mark - o.mark) {
		if spots, ok = before(spots, s.Past[len(s.Past)-1-i]); !ok {
			return nil, false
		}
	}
	steps, ok := decodeVector(o.vector, len(spots))
	if !ok || len(steps) != len(spots) {
		return nil, false
	}
	told = make(map[int]*Place)
	for i, step := range steps {
		if step.left {
			continue
		}
		seq, ok := step.after(spots[i].seq)
		if !ok || spots[i].place == nowhere {
			return nil, false
		}
		p := &Place{seq: seq, known: true}
		if o.part.digest != "" && o.part.place == i {
			p.digest = o.part.digest
			o.part.digest = ""
		}
		told[spots[i].place] = p
	}
	return told, o.part.digest == ""
}

// before goes back by one mark: it returns the places from which the vector leads to
// the given ones.
func before(spots []spot, vector []byte) (older []spot, ok bool) {
	steps, ok := decodeVector(vector, maxPlaces)
	if !ok {
		return nil, false
	}
	for _, step := range steps {
		switch {
		case step.left:
			older = append(older, spot{place: nowhere})
			continue
		case len(spots) == 0:
			return nil, false
		}
		at := spots[0]
		spots = spots[1:]
		if at.place != nowhere {
			if at.seq, ok = step.before(at.seq); !ok {
				return nil, false
			}
		}
		older = append(older, at)
	}
	return older, true
}

// Partly reports whether the client has some frames of the next record, but not all.
func (p *Place) Partly() bool { return p.digest != "" }

// Within reports whether the client can have got what it has from a log that ends with
// record last.
func (p *Place) Within(last uint64) bool {
	return p.seq < last || p.seq == last && !p.Partly()
}

// Got returns how many of the frames of the next record the client has. It reports
// false if none of the frames is the one that the client got last: then the record was
// encoded in another way, and the client has to be told all of it.
func (p *Place) Got(frames int, frame func(int) []byte) (n int, ok bool) {
	for i := range frames {
		if digest(frame(i)) == p.digest {
			return i + 1, true
		}
	}
	return 0, false
}
