package resume

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// Offsets are short with any number of rooms, and a seat with all its marks finds room on
// disk.
func TestLengths(t *testing.T) {
	for _, rooms := range []int{1, 100, 1000} {
		s := newServer(t)
		v := s.visit()
		seqs := make([]uint64, rooms)
		name := func(i int) chat.RoomID { return chat.ID(fmt.Sprint(i)).Room() }
		for i := range rooms {
			seqs[i] = 1_000_000
			v.join(name(i), []string{"assistant", "assistant.documented"}[i%2], seqs[i])
		}
		longest, sum, records := 0, 0, 4*rooms+4000
		before := s.disk.written
		var behind string // the offset of a client that has 3000 events, a megabyte of them, still to get
		for n := range records {
			if n == records-min(records, 3000) {
				v.hear(v.Offset())
				behind = v.offset
			}
			i := n * 7919 % rooms // in turn, but not one after the other
			seqs[i]++
			o := v.Advance(v.joined[name(i)], seqs[i], 2)
			longest = max(longest, len(o.Of([]byte("frame"))), len(o.Last()))
			sum += len(o.Last())
			v.run()
		}
		saves := s.disk.written - before
		t.Logf("%4d rooms: offsets of %d bytes at most, %d on average; %d saves of %d bytes for %d records", rooms, longest, sum/records, saves, s.disk.bytes, records)
		if longest >= 200 {
			t.Errorf("%d rooms: an offset of %d bytes", rooms, longest)
		}
		if s.disk.bytes > persistence.MaxSessionLen {
			t.Errorf("%d rooms: a seat of %d bytes", rooms, s.disk.bytes)
		}
		if _, back := v.again(behind); !back {
			t.Errorf("%d rooms: not back from %s", rooms, behind)
		}
		if saves*20 > records {
			t.Errorf("%d rooms: %d saves for %d records", rooms, saves, records)
		}
	}
}

// From every offset that it got a client comes back to where it was then, whatever it has
// done since and however slow the disk is, unless it has left one of its rooms.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newServer(t)
		v := s.visit()
		type moment struct {
			offset string
			seqs   map[chat.RoomID]uint64
		}
		var heard []moment
		note := func() {
			if v.offset == "" || len(heard) > 0 && heard[len(heard)-1].offset == v.offset && !isBroken(v.offset) {
				return
			}
			m := moment{v.offset, make(map[chat.RoomID]uint64)}
			for room, p := range v.joined {
				m.seqs[room] = p.Seq()
			}
			heard = append(heard, m)
		}
		room := rapid.SampledFrom([]chat.RoomID{"a", "b", "c", "d", "e", "f", "g", "h"})
		rt.Repeat(map[string]func(*rapid.T){
			"join": func(rt *rapid.T) {
				v.join(room.Draw(rt, "room"), rapid.SampledFrom([]string{"e", "f"}).Draw(rt, "encoder"), rapid.Uint64Range(0, 1000).Draw(rt, "seq"))
				note()
			},
			"leave": func(rt *rapid.T) {
				if r := room.Draw(rt, "room"); v.joined[r] != nil && v.joins[r] == 0 { // what the room says waits
					v.leave(r)
					note()
				}
			},
			"tell": func(rt *rapid.T) {
				if p := v.joined[room.Draw(rt, "room")]; p != nil {
					v.tell(p.Room, p.Seq()+rapid.SampledFrom([]uint64{1, 1, 1, 1000}).Draw(rt, "records"))
					note()
				}
			},
			"renew": func(*rapid.T) {
				if v.seat != nil {
					v.save(nil)
					v.run()
				}
			},
			"slow": func(*rapid.T) { s.disk.slow = true },
			"fast": func(*rapid.T) {
				s.disk.slow = false
				s.disk.write(nil)
				v.run()
			},
			"fail": func(*rapid.T) {
				s.disk.write(errors.New("full"))
				v.run()
			},
			"return": func(rt *rapid.T) {
				if len(heard) == 0 {
					return
				}
				n := rapid.IntRange(0, min(len(heard)-1, 100)).Draw(rt, "offsets ago")
				from := heard[len(heard)-1-n]
				if isBroken(from.offset) {
					return
				}
				rejoined := false // a room in which the client was not all the time since then
				for r := range from.seqs {
					for _, m := range heard[len(heard)-1-n:] {
						_, in := m.seqs[r]
						rejoined = rejoined || !in
					}
				}
				s.disk.write(nil)
				again, back := v.again(from.offset)
				if !back && !rejoined {
					rt.Fatalf("not back from %s, %d offsets ago", from.offset, n)
				}
				got := make(map[chat.RoomID]uint64)
				for r, p := range again.joined {
					got[r] = p.Seq()
					if !p.In("epoch of " + string(r)) {
						rt.Errorf("room %s is another", r)
					}
				}
				if diff := cmp.Diff(from.seqs, got); back && diff != "" {
					rt.Errorf("from %s (-was +is):\n%s", from.offset, diff)
				}
				if v, heard = again, heard[:len(heard)-n]; !back {
					v.offset, heard = "", nil
				}
			},
		})
		s.disk.write(nil)
	})
}

// isBroken reports whether a client with this offset begins anew.
func isBroken(offset string) bool { return strings.HasPrefix(offset, broken+".") || offset == broken }
