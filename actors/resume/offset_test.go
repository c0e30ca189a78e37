package resume

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/actors/recovery"
	"parlor/protocol/chat"
)

// Steps that are encoded can be read again, as often as there are.
func TestVector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v vector
		var want []step
		for range rapid.IntRange(0, 300).Draw(t, "places") {
			seq := rapid.Uint64Range(0, 1<<40)
			s := step{from: seq.Draw(t, "from"), to: seq.Draw(t, "to")}
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				s = step{left: true}
			case 1, 2, 3, 4:
				s.to = s.from
			case 5, 6:
				s.to = s.from + rapid.Uint64Range(1, 200).Draw(t, "by")
			}
			v.add(s)
			want = append(want, s)
		}
		got, ok := decodeVector(v.encoded(), len(want))
		if !ok || len(got) != len(want) {
			t.Fatalf("%x: read %d of %d steps, %v", v.encoded(), len(got), len(want), ok)
		}
		for i, s := range got {
			if s.left != want[i].left || s.to-s.from != want[i].to-want[i].from {
				t.Errorf("step %d: got %+v, want %+v", i, s, want[i])
			}
			if !s.left {
				if to, ok := s.after(want[i].from); !ok || to != want[i].to {
					t.Errorf("step %d leads from %d to %d, want %d", i, want[i].from, to, want[i].to)
				}
				if from, ok := s.before(want[i].to); !ok || from != want[i].from {
					t.Errorf("step %d leads to %d from %d, want %d", i, want[i].to, from, want[i].from)
				}
			}
		}
		if len(want) > 0 {
			if _, ok := decodeVector(v.encoded(), len(want)-1); ok {
				t.Error("more places than there may be")
			}
		}
	})
}

// The length of a vector.
func TestVectorIsShort(t *testing.T) {
	for _, test := range []struct {
		places, every int // places, of which each so many-th has moved
		by            uint64
		want          int
	}{
		{1, 1, 1, 1}, {100, 1, 124, 100}, {100, 1, 125, 200}, {1000, 1001, 1, 3}, {1000, 2, 1, 1000}, {1000, 100, 1, 30},
	} {
		var v vector
		for i := range test.places {
			s := step{from: 1000, to: 1000}
			if (i+1)%test.every == 0 {
				s.to += test.by
			}
			v.add(s)
		}
		if got := len(v.encoded()); got != test.want {
			t.Errorf("%+v: %d bytes", test, got)
		}
	}
}

// theSeat is one with three places and two marks before its own. The client left
// a room on the way from mark 5 to mark 6.
func theSeat() recovery.Seat {
	vector := func(steps ...step) []byte {
		var v vector
		for _, s := range steps {
			v.add(s)
		}
		return v.encoded()
	}
	s := recovery.Seat{SID: "sid", User: "alice", Mark: 7}
	for i, room := range []chat.RoomID{"a", "b", "c"} {
		s.Places = append(s.Places, recovery.Place{Room: room, Encoder: "e", Tag: placeTag(room, "epoch"), Seq: uint64(100 * (i + 1))})
	}
	s.Past = [][]byte{
		vector(step{to: 10}, step{left: true}, step{}), // a was at 80, the second is gone, and b at 200
		vector(step{to: 10}, step{}),                   // a was at 90, b at 200, and c was not there
	}
	return s
}

func theOffset(mark uint64, place int, frame string, steps ...step) string {
	var v vector
	for _, s := range steps {
		v.add(s)
	}
	text := string(appendOffset(nil, seatTag("file", "pid"), mark, v.encoded()))
	if frame != "" {
		text += fmt.Sprintf(".%d.%s", place, digest([]byte(frame)))
	}
	return text
}

// An offset says where the client is, whatever mark it counts from.
func TestOffset(t *testing.T) {
	still, left := step{}, step{left: true}
	for _, test := range []struct {
		name, offset, want string
	}{
		{"of the newest mark", theOffset(7, 0, "", still, step{to: 5}, step{from: 1}), "a100 b205 c299"},
		{"left", theOffset(7, 0, "", left, still, left), "b200"},
		{"all left", theOffset(7, 0, "", left, left, left), ""},
		{"of the mark before", theOffset(6, 0, "", still, step{to: 1}), "a90 b201"},
		{"of the first mark", theOffset(5, 0, "", still, left, step{to: 1}), "a80 b201"},
		{"of a room that is gone", theOffset(5, 0, "", still, still, still), "no"},
		{"of a mark that is gone", theOffset(4, 0, "", still, still, still), "no"},
		{"of a mark to come", theOffset(8, 0, "", still, still, still), "no"},
		{"of no mark", theOffset(0, 0, ""), "no"},
		{"too few places", theOffset(7, 0, "", still, still), "no"},
		{"too many places", theOffset(7, 0, "", still, still, still, still), "no"},
		{"before the first record", theOffset(7, 0, "", step{from: 101}, still, still), "no"},
		{"part of a record", theOffset(7, 1, "frame", still, still, still), "a100 b200+ c300"},
		{"part of a record in a room that was left", theOffset(7, 1, "frame", still, left, still), "no"},
		{"part of a record nowhere", theOffset(7, 3, "frame", still, still, still), "no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, ok := parseOffset(test.offset)
			if !ok {
				t.Fatalf("%s cannot be read", test.offset)
			}
			if diff := cmp.Diff(test.want, places(theSeat(), o)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.offset, diff)
			}
		})
	}
}

// places lists where a client is by the offset.
func places(s recovery.Seat, o offset) string {
	t, ok := restore(s, o)
	if !ok {
		return "no"
	}
	var all []string
	for _, p := range t.places {
		text := fmt.Sprintf("%s%d", p.Room, p.seq)
		if p.Partly() {
			text += "+"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// Text that is no offset is refused, among it the offsets of the previous version.
func TestNoOffset(t *testing.T) {
	good := theOffset(7, 1, "frame", step{}, step{}, step{})
	if _, ok := parseOffset(good); !ok {
		t.Fatalf("%s cannot be read", good)
	}
	for _, bad := range []string{
		"", broken, "-.", "-.abcdef", "-.abcdef.", "-.abcdef.AAAAAAAA", "-.abcdef.AAAAAAAAAAE.1.abcdef", "-.abc.AAAAAAAAAAE", ".", "..", "....", "abcdefgh.1", "abcdefgh.1.2", "abcdefgh.1,ijklmnop.2.1", good + ".", good + "x", "x" + good,
		"abcdef.1", "abcdef..AAM", "abcdef.-1.AAM", "abcdef.1.A", "abcdef.1.A=", "abcdef.1.AAM.", "abcdef.1.AAM.1", "abcdef.1.AAM.x!.abcdef",
		"abcdef.1.AAM.1.abc", "abcdef.zzzzzzzzzzzzzzz.AAM", strings.Repeat(".", 1000),
	} {
		if o, ok := parseOffset(bad); ok {
			t.Errorf("parsed %q: %+v", bad, o)
		}
	}
}

// A client may send anything. It gets no place in which it has not been.
func FuzzOffset(f *testing.F) {
	for _, s := range []string{
		"", "-", "-.abcdef.AAAAAAAAAAE", "abcdef.7.AAM.AAAAAAAAAAE", "abcdef.7.AAM.AAAAAAAAAAEAAAAAAAAC.1.abcdef", "abcdef.7.AAM", "abcdef.7.AAM.1.abcdef", "abcdef.5.AQEB", "abcdefgh.1", "abcdef.7.AP____8P",
		theOffset(7, 1, "frame", step{to: 1}, step{left: true}, step{from: 3}), theOffset(5, 0, "", step{}, step{left: true}, step{}),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, ok := parseOffset(s)
		if !ok {
			return
		}
		if o.mark == 0 {
			if _, ok := restore(theSeat(), o); ok {
				t.Fatalf("%q leads to places", s)
			}
			return
		}
		again, ok := parseOffset(string(appendOffset(nil, o.seat, o.mark, o.vector)))
		if o.part.digest = ""; !ok || cmp.Diff(o.vector, again.vector) != "" || o.mark != again.mark || o.seat != again.seat {
			t.Fatalf("%q was written as %+v", s, again)
		}
		seat, ok := restore(theSeat(), o)
		if !ok {
			return
		}
		if len(seat.places) > 3 || len(seat.stored.entries) != 3 {
			t.Fatalf("%q leads to %d of %d places", s, len(seat.places), len(seat.stored.entries))
		}
		seat.tag = "abcdef" // any other one is not accepted: see Standing.Open
		standing := Standing{table: new(recovery.Table), seat: seat}
		if text := string(standing.Offset()); places(theSeat(), mustParse(t, text)) != places(theSeat(), o) {
			t.Fatalf("%q was written as %s", s, text)
		}
	})
}

func mustParse(t *testing.T, quoted string) offset {
	t.Helper()
	var text string
	if err := json.Unmarshal([]byte(quoted), &text); err != nil {
		t.Fatal(err)
	}
	o, ok := parseOffset(text)
	if !ok {
		t.Fatalf("%s cannot be read", text)
	}
	return o
}
