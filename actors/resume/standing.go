// Package resume lets clients come back, in any namespace. After a lost connection,
// or a restart of the server, a client is told what it missed, each event once and
// in order.
//
//	a room admits the client → Standing.Join → seat on disk → the client is told that it has joined
//	a record is told → Standing.Advance → offsets → frames of the record
//	CONNECT with an offset → Standing.Open → the places that the client had
//	missed records → Replays.Read → frames, encoded once for all clients that come back
//
// # Seats, marks, offsets
//
// The seat on disk (package recovery) lists the rooms that a client has joined, and
// how far the client was in each of them when the seat was saved. This state is a
// mark, and has a number. An offset says how far the client has come since a mark.
// When offsets grow long the seat is saved again, and offsets count from the new mark
// as soon as it is on disk. A client that is behind may still hold an offset that
// counts from an older mark, so the seat keeps the differences between its marks.
//
// # Wires
//
// The package knows no wire. Its users know what a frame is, and how to put an offset
// into one.
package resume

import (
	"encoding/binary"
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

// A Standing lets the client of one socket come back. With the zero Standing the
// client cannot come back, and gets no offsets. The methods may only be called on the
// goroutine of the socket's session.
type Standing struct {
	table  *recovery.Table
	socket Socket
	pid    string
	user   chat.UserID
	guest  bool
	seat   *seat   // nil until the first Join: many clients never join a room
	former *former // nil if the client has not been here before
	anew   bool    // the client has begun anew
}

// seat is the client's seat, in memory.
type seat struct {
	tag    string
	places []*Place // that the client has not left, in the order of the marks
	latest []*Place // those that the client has joined last, the last one first
	stored mark     // the newest mark that is on disk
	newest mark     // the newest mark, which may be on its way to the disk
	past   [][]byte // the vectors from each mark to the next, up to newest
	space  []byte   // reused for the vector of the next offset

	required uint64 // the first mark with all places of which the client knows
	saving   bool
	lastTry  time.Time // when the last save began
	waiting  []func()  // joins that wait for the next save
}

// A mark says how far the client was in each of its places at one moment.
type mark struct {
	number  uint64
	entries []entry
}

type entry struct {
	place *Place
	seq   uint64
}

// A Place is a room that a client has joined, and how far the client is there. It
// belongs to one [Standing].
type Place struct {
	Room    chat.RoomID
	Encoder string

	tag    string // of the room's log
	seq    uint64 // the client has all records up to this one
	digest string // if not empty, the client has the next record up to the frame with this digest
	text   int    // see SetText
	ending bool   // the text ends with the next record
	since  uint64 // the first mark with the place and its present encoder
	known  bool   // the client knows that it has joined the room
	left   bool   // the client has left the room
}

// saveAgain is the time after a failed save until the next one is tried.
const saveAgain = time.Second

// A seat keeps this many old marks, and bytes of their vectors. A client cannot resume
// from an offset of an older mark. At least 25 records are told between two marks, so
// about a megabyte of events may be on its way to a client.
const (
	maxPast      = 128
	maxPastBytes = 12 << 10
)

// owner is a socket as the owner of a seat.
type owner struct{ Socket }

// Displace implements [recovery.Owner].
func (o owner) Displace() { o.Do(o.CloseConnection) }

// CanReturn reports whether the client has a seat, or could have one.
func (s *Standing) CanReturn() bool { return s.table != nil }

// Begin gives the client a new seat, and removes the one that it had.
func (s *Standing) Begin() {
	if s.table == nil {
		return
	}
	if s.pid != "" {
		s.table.Forget(s.pid, owner{s.socket})
	}
	s.pid, s.seat, s.anew = recovery.NewID(), nil, true
	s.socket.Identify(recovery.NewID(), s.pid)
}

// End is called when the socket is closed. It lets the client come back for a while,
// unless the client has left for good.
func (s *Standing) End(forGood bool) {
	switch {
	case s.table == nil:
	case forGood:
		s.table.Forget(s.pid, owner{s.socket})
	default:
		s.table.Lost(s.pid, owner{s.socket})
	}
}

// Join gives the client a place in a room that has just admitted it. The client does
// not have to be told the record seq, nor those before it.
//
// Join calls then with the place when the client may be told that it has joined: when
// the place is on disk, or could not be saved. In the second case offsets say that the
// client cannot come back. The caller holds back what the room says meanwhile.
func (s *Standing) Join(room chat.RoomID, encoder, epoch string, seq uint64, then func(*Place)) {
	if s.table == nil {
		then(&Place{Room: room, Encoder: encoder, seq: seq})
		return
	}
	if s.seat == nil {
		s.seat = &seat{tag: s.tag()}
	}
	t := s.seat
	s.forgetFormer(room, epoch)
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
		t.joined(p)
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

// Leave ends the client's place in a room. It does nothing if p is nil.
func (s *Standing) Leave(p *Place) {
	if s.seat == nil || p == nil {
		return
	}
	p.left = true
	s.seat.left(p)
	s.seat.places = slices.DeleteFunc(s.seat.places, func(other *Place) bool { return other == p })
}

// Seq returns the number of the last record that the client has as a whole.
func (p *Place) Seq() uint64 { return p.seq }

// MoveTo says that the client has all records up to seq, or does not need them.
func (p *Place) MoveTo(seq uint64) { p.seq, p.digest = seq, "" }

// SetText says how many bytes the client has of a text that goes on behind the last record
// and is not recorded yet. Other records may follow before it is. Text returns the number.
func (p *Place) SetText(bytes int) { p.text, p.ending = bytes, false }
func (p *Place) Text() int         { return p.text }

// EndText says that the text ends with the next record of [Standing.Advance]: a client
// that gets only a part of that record has the text still.
func (p *Place) EndText() { p.ending = true }

// In reports whether the room's log still has the epoch that it had.
func (p *Place) In(epoch string) bool { return p.tag == placeTag(p.Room, epoch) }

// save saves the seat with a new mark, after the save that is under way, if there is
// one. Then it calls then, if it is not nil.
func (s *Standing) save(then func()) {
	t := s.seat
	if then == nil {
		then = func() {}
	}
	if t.saving {
		t.waiting = append(t.waiting, then)
		return
	}
	t.saving, t.lastTry = true, time.Now()
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

// mark makes a new mark of the places as they are now.
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

// saved handles the end of a save. The client may have another seat by now.
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

// Advance moves the client on to record seq of a place, whose frames are sent next,
// and returns the offsets for these frames.
func (s *Standing) Advance(p *Place, seq uint64, frames int) (o Offsets) {
	if frames > 1 && s.table != nil && seq > 0 {
		p.MoveTo(seq - 1)
		o.part = s.partOf(p)
	}
	p.MoveTo(seq)
	if p.ending {
		p.SetText(0)
	}
	o.whole = s.Offset()
	return o
}

// Offset returns the offset of a client that has got all frames that were sent to it,
// as the argument of an event. It is nil if the client cannot come back.
func (s *Standing) Offset() json.RawMessage {
	if s.seat == nil {
		return nil
	}
	if s.seat.broken() {
		s.renew(0)
		return s.seat.brokenOffset()
	}
	text, _ := s.text(nil)
	return append(text, '"')
}

// partOf returns the beginning of the offsets for frames of p's next record.
func (s *Standing) partOf(p *Place) []byte {
	if s.seat == nil || s.seat.broken() {
		return nil
	}
	text, place := s.text(p)
	text = strconv.AppendInt(append(text, '.'), int64(place), 36)
	return append(text, '.')
}

// text returns an offset with its first quote, and the number that p has among the
// places of the mark.
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
	limit := maxPositions
	if len(b) > longVector {
		limit = fewPositions
	}
	var space [maxPositions * (placeTagLen + binary.MaxVarintLen64)]byte
	positions := t.positions(space[:0], p, limit)
	text = make([]byte, 0, 32+encoding.EncodedLen(len(b))+encoding.EncodedLen(len(positions)))
	text = appendOffset(append(text, '"'), t.tag, t.stored.number, b)
	if len(positions) > 0 {
		text = encoding.AppendEncode(append(text, '.'), positions)
	}
	return text, place
}

// brokenOffset is the offset while the seat is broken.
func (t *seat) brokenOffset() json.RawMessage {
	text := []byte(`"` + broken)
	if positions := t.positions(nil, nil, maxPositions); len(positions) > 0 {
		text = append(append(append(text, '.'), t.tag...), '.')
		text = encoding.AppendEncode(text, positions)
	}
	return append(text, '"')
}

// broken reports whether the seat on disk lacks a place of which the client knows.
func (t *seat) broken() bool { return t.required > t.stored.number }

// renew saves the seat if it is broken, or if the vectors of offsets have grown to so
// many bytes that they count from a new mark better.
func (s *Standing) renew(bytes int) {
	t := s.seat
	failed := t.stored.number < t.newest.number
	switch {
	case t.saving, !t.broken() && bytes <= softLimit:
	case failed && time.Since(t.lastTry) < saveAgain:
	default:
		s.save(nil)
	}
}
