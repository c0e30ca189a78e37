package resume

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"parlor/protocol/chat"
)

// afresh connects as a client that begins anew though it has an offset.
func (v *visitor) afresh(offset string) *visitor {
	again := &visitor{server: v.server, socket: new(socket), joined: make(map[chat.RoomID]*Place), joins: make(map[chat.RoomID]int)}
	auth, _ := json.Marshal(map[string]string{"pid": v.pid, "offset": offset})
	v.End(true) // the seat is gone
	if _, back := again.Open(v.Table, again.socket, alice, auth); back {
		panic("the client has come back")
	}
	return again
}

// formerly says where the client was in rooms before it began anew.
func (v *visitor) formerly(rooms ...chat.RoomID) string {
	var all []string
	for _, room := range rooms {
		if p := v.Former(room, "epoch of "+string(room)); p != nil {
			text := fmt.Sprintf("%s@%d", room, p.Seq())
			if p.Partly() {
				text += "+"
			}
			all = append(all, text)
		}
	}
	return strings.Join(all, " ")
}

// Without its seat an offset says where the client was in the rooms that it has joined
// last, and of one of them that it has a part of the next record.
func TestFormer(t *testing.T) {
	s := newServer(t)
	v := s.visit()
	rooms := []chat.RoomID{"a", "b", "c", "d", "e", "f"}
	for i, room := range rooms {
		v.join(room, "e", uint64(i))
	}
	v.join("b", "e", 1000)
	v.leave("e")
	v.tell("f", 300_000)
	part := string(v.Advance(v.joined["c"], 100, 2).Of([]byte("frame")))
	again := v.afresh(strings.Trim(part, `"`))
	if got, want := again.formerly(rooms...), "b@1000 c@99+ d@3 f@300000"; got != want {
		t.Errorf("formerly at %s, want %s", got, want)
	}
	if p := again.Former("c", "another epoch"); p != nil {
		t.Errorf("in another log at %d", p.Seq())
	}
	if id, own := again.Sent(v.Origin("7")); id != "7" || !own {
		t.Errorf("sent %q, %v", id, own)
	}
	again.join("b", "e", 2000)
	if got, want := again.formerly(rooms...), "c@99+ d@3 f@300000"; got != want {
		t.Errorf("formerly at %s, want %s", got, want)
	}
	if got := s.visit().formerly(rooms...); got != "" {
		t.Errorf("a new client was formerly at %s", got)
	}
	if _, own := s.visit().Sent(v.Origin("7")); own {
		t.Error("a new client has sent it")
	}
}

// So does an offset of a seat that the disk did not take, and that of a client which has
// come back and cannot stay. A client that has come back was nowhere else.
func TestFormerOfABrokenSeat(t *testing.T) {
	s := newServer(t)
	s.disk.slow = true
	v := s.visit()
	v.join("a", "e", 5)
	s.disk.write(errors.New("full"))
	v.run()
	v.tell("a", 6)
	if !isBroken(v.offset) {
		t.Fatalf("offset %s", v.offset)
	}
	if got := v.afresh(v.offset).formerly("a"); got != "a@6" {
		t.Errorf("formerly at %s", got)
	}
	s.disk.slow = false
	v = s.visit()
	v.join("a", "e", 5)
	v.tell("a", 8)
	again, back := v.again(v.offset)
	if got := again.formerly("a"); !back || got != "" {
		t.Errorf("back %v, and formerly at %s", back, got)
	}
	again.Begin()
	if got := again.formerly("a"); got != "a@8" {
		t.Errorf("formerly at %s", got)
	}
}

// A client that began anew and was cut off before it joined a room has another private id,
// and the offset of before: an official client keeps it.
func TestFormerOfTheSeatBefore(t *testing.T) {
	s := newServer(t)
	v := s.visit()
	v.join("a", "e", 5)
	if got := v.afresh(v.offset).afresh(v.offset).formerly("a"); got != "a@5" {
		t.Errorf("formerly at %s", got)
	}
}

// An offset of the version before has no positions, and is as good as it was.
func TestOffsetWithoutPositions(t *testing.T) {
	s := newServer(t)
	v := s.visit()
	v.join("a", "e", 5)
	parts := strings.Split(v.offset, ".")
	if len(parts) != 4 {
		t.Fatalf("offset %s", v.offset)
	}
	again, back := v.again(strings.Join(slices.Delete(parts, 3, 4), "."))
	if !back || again.where() != "a/e@5" {
		t.Errorf("back %v, at %s", back, again.where())
	}
}
