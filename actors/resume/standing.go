// Package resume lets clients come back, in any namespace: after a lost
// connection or a restart of the server a client is told what it missed, each
// event once and in order.
//
//	CONNECT with an offset → Standing.Open → the places that the client had
//	a room has admitted the client → Standing.Join → a seat on disk → the client is told so
//	record → Standing.Advance → offsets → the frames that tell of it
//	records that were missed → Replays.Read → frames, encoded once for all that come back
//
// The seat on disk (package recovery) holds the rooms of a client, and how far
// the client was in each when the seat was saved: that is a mark. An offset says
// how far it has come since. When offsets grow long, the seat is saved anew, and
// offsets count from the new mark once that is on disk. A client may be behind,
// and still have an offset that counts from an older mark; the seat keeps
// by how much each mark differs from the one before.
//
// The package knows no wire: what frames are, and how an offset is put into one,
// its users know.
package resume

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"parlor/actors/recovery"
	"parlor/protocol/chat"
)

// A Socket is the part of a client's socket that a [Standing] needs. See
// [session.Socket].
type Socket interface {
	ID() string
	Identify(id, pid string)
	Do(f func())
	CloseConnection()
}

// A Standing is what lets the client of one socket come back. The zero Standing
// is that of a client who cannot: it gets no offsets. Its methods may only be
// called on the goroutine of the socket's session.
type Standing struct {
	table  *recovery.Table
	socket Socket
	pid    string
	user   chat.UserID
	guest  bool
	seat   *seat // nil until the first Join: many clients never join a room
}

// seat is what a standing knows of the seat on disk.
type seat struct {
	tag    string
	places []*Place // not those that the client has left, in the order of the marks
	stored mark     // the newest that is on disk
	newest mark     // the newest that was handed to the disk
	past   [][]byte // vectors that lead from mark to mark, up to newest
	space  []byte   // for the vector of the next offset

	required uint64 // the mark that has all places of which the client was told
	saving   bool
	tried    time.Time // when the last save began
	waiting  []func()  // to be called after the save that follows this one
}

// A mark is how far the client was in each of its places at one moment.
type mark struct {
	number  uint64
	entries []entry
}

type entry struct {
	place *Place
	seq   uint64
}

// A Place is how far a client is in a room that it has joined. It belongs to
// one [Standing].
type Place struct {
	Room    chat.RoomID
	Encoder string

	tag    string
	seq    uint64 // the client was told of all records up to this one,
	digest string // and of the next one all frames up to the one with this digest
	since  uint64 // the first mark that has the place so
	known  bool   // to the client: it was told that it has joined
	left   bool
}

// saveAgain is how soon a save that has failed is tried again.
const saveAgain = time.Second

// The limits of what a seat keeps of marks that have gone: an offset that counts
// from an older one resumes nothing. A mark lasts for 25 records at least, so
// that about a megabyte of events may be on its way to a client.
const (
	maxPast      = 128
	maxPastBytes = 12 << 10
)

// owner makes a socket the owner of a seat.
type owner struct{ Socket }

// Displace implements [recovery.Owner].
func (o owner) Displace() { o.Do(o.CloseConnection) }

// CanReturn reports whether the client could come back.
func (s *Standing) CanReturn() bool { return s.table != nil }

// Begin gives the client a new seat in place of the one that it had.
func (s *Standing) Begin() {
	if s.table == nil {
		return
	}
	if s.pid != "" {
		s.table.Forget(s.pid, owner{s.socket})
	}
	s.pid, s.seat = recovery.NewID(), nil
	s.socket.Identify(recovery.NewID(), s.pid)
}

// End lets the client come back for a while, unless it has left for good.
func (s *Standing) End(forGood bool) {
	switch {
	case s.table == nil:
	case forGood:
		s.table.Forget(s.pid, owner{s.socket})
	default:
		s.table.Lost(s.pid, owner{s.socket})
	}
}

// Join gives the client a place in a room that has just admitted it: seq is the
// last record that it need not be told. Then is called with the place when the
// client may be told that it has joined. That is when the seat on disk has the
// place, or cannot have it; the latter the offsets say. What the room says
// meanwhile, also that the client has left, has to wait.
func (s *Standing) Join(room chat.RoomID, encoder, epoch string, seq uint64, then func(*Place)) {
	if s.table == nil {
		then(&Place{Room: room, Encoder: encoder, seq: seq})
		return
	}
	if s.seat == nil {
		s.seat = &seat{tag: seatTag(s.table.Epoch(), s.pid)}
	}
	t := s.seat
	p := t.find(room)
	if p != nil && !p.In(epoch) {
		s.Leave(p)
		p = nil
	}
	if p == nil {
		p = &Place{Room: room, tag: placeTag(room, epoch), seq: seq}
		t.places = append(t.places, p)
	}
	if p.since == 0 || p.Encoder != encoder {
		p.Encoder, p.since = encoder, t.newest.number+1
	}
	tell := func() {
		p.MoveTo(seq)
		p.known = true
		t.required = max(t.required, p.since)
		then(p)
	}
	if p.since <= t.stored.number {
		tell()
		return
	}
	s.save(tell)
}

func (t *seat) find(room chat.RoomID) *Place {
	if i := slices.IndexFunc(t.places, func(p *Place) bool { return p.Room == room }); i >= 0 {
		return t.places[i]
	}
	return nil
}

// Leave ends the client's place in a room. A nil place is none.
func (s *Standing) Leave(p *Place) {
	if s.seat == nil || p == nil {
		return
	}
	p.left = true
	s.seat.places = slices.DeleteFunc(s.seat.places, func(other *Place) bool { return other == p })
}

// Seq returns the last record that the client was told of, as a whole.
func (p *Place) Seq() uint64 { return p.seq }

// MoveTo says that the client has, or needs, no record up to seq.
func (p *Place) MoveTo(seq uint64) { p.seq, p.digest = seq, "" }

// In reports whether the place is in the log with this epoch.
func (p *Place) In(epoch string) bool { return p.tag == placeTag(p.Room, epoch) }

// save saves the seat with a new mark, behind a save that is under way, and then
// calls then, if it is not nil.
func (s *Standing) save(then func()) {
	t := s.seat
	if then == nil {
		then = func() {}
	}
	if t.saving {
		t.waiting = append(t.waiting, then)
		return
	}
	t.saving, t.tried = true, time.Now()
	next := t.mark()
	places := make([]recovery.Place, 0, len(next.entries))
	for _, e := range next.entries {
		places = append(places, recovery.Place{Room: e.place.Room, Encoder: e.place.Encoder, Tag: e.place.tag, Seq: e.seq})
	}
	seat := recovery.Seat{SID: s.socket.ID(), User: s.user, Guest: s.guest, Mark: next.number, Past: t.past, Places: places}
	s.table.Save(s.pid, owner{s.socket}, seat, func(err error) {
		s.socket.Do(func() { s.saved(t, next, err, then) })
	})
}

// mark makes a new mark of how far the client is now.
func (t *seat) mark() mark {
	var v vector
	next := mark{number: t.newest.number + 1, entries: make([]entry, 0, len(t.places))}
	for _, e := range t.newest.entries {
		v.add(step{left: e.place.left, from: e.seq, to: e.place.seq})
	}
	for _, p := range t.places {
		next.entries = append(next.entries, entry{p, p.seq})
	}
	t.newest = next
	t.past = append(t.past, v.encoded())
	size := 0
	for i := len(t.past) - 1; i >= 0; i-- {
		if size += len(t.past[i]); size > maxPastBytes || len(t.past)-i > maxPast {
			t.past = slices.Clone(t.past[i+1:])
			break
		}
	}
	return next
}

// saved takes the end of a save of the seat, which the client may have given up
// meanwhile.
func (s *Standing) saved(t *seat, m mark, err error, then func()) {
	if t != s.seat {
		return
	}
	if t.saving = false; err == nil {
		t.stored = m
	}
	then()
	if waiting := t.waiting; len(waiting) > 0 {
		t.waiting = nil
		s.save(func() {
			for _, then := range waiting {
				then()
			}
		})
	}
}

// Advance moves the client on to record seq of a place, of which it is told
// next, and returns the offsets that go with the frames of the record.
func (s *Standing) Advance(p *Place, seq uint64, frames int) (o Offsets) {
	if frames > 1 && s.table != nil && seq > 0 {
		p.MoveTo(seq - 1)
		o.part = s.partOf(p)
	}
	p.MoveTo(seq)
	o.whole = s.Offset()
	return o
}

// Offset returns the offset of a client that has been told all that was sent to
// it, as the argument of an event. It is nil if the client cannot come back.
func (s *Standing) Offset() json.RawMessage {
	if s.seat == nil {
		return nil
	}
	if s.seat.broken() {
		s.renew(0)
		return json.RawMessage(brokenOffset)
	}
	text, _ := s.text(nil)
	return append(text, '"')
}

// partOf returns what the offsets of the frames of p's next record begin with.
func (s *Standing) partOf(p *Place) []byte {
	if s.seat == nil || s.seat.broken() {
		return nil
	}
	text, place := s.text(p)
	text = strconv.AppendInt(append(text, '.'), int64(place), 36)
	return append(text, '.')
}

// text returns an offset, with the quote that begins it, and which of the mark's
// places p is.
func (s *Standing) text(p *Place) (text []byte, place int) {
	t := s.seat
	v := vector{bytes: t.space[:0]}
	for i, e := range t.stored.entries {
		if e.place == p {
			place = i
		}
		v.add(step{left: !e.place.known || e.place.left, from: e.seq, to: e.place.seq})
	}
	b := v.encoded()
	t.space = b
	s.renew(len(b))
	text = make([]byte, 0, 32+encoding.EncodedLen(len(b)))
	return appendOffset(append(text, '"'), t.tag, t.stored.number, b), place
}

// broken reports whether the seat on disk lacks a place that the client was told of.
func (t *seat) broken() bool { return t.required > t.stored.number }

// renew saves the seat if that would make offsets, whose vector has so many
// bytes, shorter or whole.
func (s *Standing) renew(bytes int) {
	t := s.seat
	failed := t.stored.number < t.newest.number
	switch {
	case t.saving, !t.broken() && bytes <= softLimit:
	case failed && time.Since(t.tried) < saveAgain:
	default:
		s.save(nil)
	}
}
