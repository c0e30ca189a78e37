package resume

import (
	"encoding/json"

	"parlor/actors/recovery"
	"parlor/protocol/chat"
)

// Open gives the client of a socket its standing, and the socket its ids. If the
// client asks in auth for a seat that it had, and with an offset that can be
// understood, it has come back: then Open returns the user that it was before,
// and Places what it knows that it has joined. Else the client has a new seat.
// A nil table gives it none.
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

// Places returns the places that the client has.
func (s *Standing) Places() []*Place {
	if s.seat == nil {
		return nil
	}
	return s.seat.places
}

func (s *Standing) resume(user chat.User, auth json.RawMessage) bool {
	var request struct{ PID, Offset any }
	_ = json.Unmarshal(auth, &request) // anything but an object asks for nothing
	pid, _ := request.PID.(string)
	text, _ := request.Offset.(string)
	o, ok := parseOffset(text)
	if !ok || o.seat != seatTag(s.table.Epoch(), pid) {
		return false
	}
	kept, ok := s.table.Claim(pid, user, owner{s.socket})
	if !ok {
		return false
	}
	s.pid = pid
	if s.seat, ok = restore(kept, o); !ok {
		return false // Begin gives up what was claimed
	}
	s.user = kept.User
	s.socket.Identify(kept.SID, pid)
	return true
}

// restore returns the seat as the client knows it. It reports false if the
// offset does not say that.
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
		t.stored.entries = append(t.stored.entries, entry{p, kept.Seq})
	}
	t.newest = t.stored
	return t, true
}

// A spot is a place of some mark: which of the seat's it has become, and where
// the client was. One that the seat has no more is nowhere.
type spot struct {
	place int
	seq   uint64
}

const nowhere = -1

// maxPlaces bounds the places of one mark.
const maxPlaces = 1 << 16

// placesAt returns how far the client is in each place of the seat, nil in those
// that it does not know, if the offset counts from a mark that the seat knows.
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

// before returns the places of the mark from which the vector leads to the one
// with the given places.
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

// Partly reports whether the client was told a part of the record that is next
// at the place.
func (p *Place) Partly() bool { return p.digest != "" }

// Within reports whether a log that ends with record last can hold what the
// client was told.
func (p *Place) Within(last uint64) bool {
	return p.seq < last || p.seq == last && !p.Partly()
}

// Got returns how many of the frames of the next record the client has got. It
// reports false if that is none: the record is encoded otherwise than it was then.
func (p *Place) Got(frames int, frame func(int) []byte) (n int, ok bool) {
	for i := range frames {
		if digest(frame(i)) == p.digest {
			return i + 1, true
		}
	}
	return 0, false
}
