package persistence

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 7, time.UTC)

func TestChatRoundTrip(t *testing.T) {
	s := newStore(t)
	for i, want := range []Chat{
		{Room: "a", Owner: "alice", Created: noon, Info: []byte("{}")},
		{Room: "a", Owner: "bob\xff", Created: noon, Info: []byte{0, 1}},   // another owner
		{Room: "a", Owner: "bob\xff", Created: time.Time{}},                // and time
		{Room: "a", Created: time.Date(-300, 1, 1, 0, 0, 0, 1, time.UTC)},  // nobody's
		{Room: "a", Created: noon.In(time.FixedZone("", 3600)), Info: nil}, // in UTC when it comes back
	} {
		mustAppend(t, s, Commit{Room: "a", Chat: &want})
		got, err := s.Chat("a")
		if err != nil {
			t.Fatal(err)
		}
		if want.Info == nil {
			want.Info = []byte{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("chat %d (-want +got):\n%s", i, diff)
		}
		for _, owner := range []string{"", want.Owner} {
			page, total, err := s.Chats(owner, 0, 10)
			if len(page) != 1 || total != 1 || err != nil {
				t.Errorf("chat %d is listed %d times of %d for %q (%v)", i, len(page), total, owner, err)
			}
		}
		if page, total, err := s.Chats("alice", 0, 10); i > 0 && (len(page) != 0 || total != 0 || err != nil) {
			t.Errorf("chat %d is still alice's: %v, %d, %v", i, page, total, err)
		}
	}
	if _, err := s.Chat("b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Chat of another room: %v, want ErrNotFound", err)
	}
}

func TestChatsNewestFirst(t *testing.T) {
	s := newStore(t)
	times := []time.Time{ // oldest first
		{}, time.Date(1901, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(-1, 0), time.Unix(0, 0), time.Unix(0, 1),
		noon, noon.Add(1), noon.Add(time.Second), noon.AddDate(500, 0, 0),
	}
	for _, i := range []int{4, 0, 8, 2, 6, 1, 7, 3, 5} {
		owner := "even"
		if i%2 == 1 {
			owner = "even-odd" // sorts beside the other
		}
		room := fmt.Sprintf("room-%d", i)
		mustAppend(t, s, Commit{Room: room, Chat: &Chat{Room: room, Owner: owner, Created: times[i]}})
	}
	for _, tt := range []struct {
		owner         string
		offset, limit int
		rooms         []string
		total         int
	}{
		{"", 0, 100, []string{"room-8", "room-7", "room-6", "room-5", "room-4", "room-3", "room-2", "room-1", "room-0"}, 9},
		{"", 2, 3, []string{"room-6", "room-5", "room-4"}, 9},
		{"even", 0, 2, []string{"room-8", "room-6"}, 5},
		{"even", 4, 2, []string{"room-0"}, 5},
		{"even-odd", 0, 9, []string{"room-7", "room-5", "room-3", "room-1"}, 4},
		{"even", 5, 2, nil, 5},
		{"even", 0, 0, nil, 5},
		{"even", -1, -1, nil, 5},
		{"nobody", 0, 9, nil, 0},
	} {
		page, total, err := s.Chats(tt.owner, tt.offset, tt.limit)
		if err != nil || total != tt.total {
			t.Errorf("Chats(%q) has %d, %v, want %d", tt.owner, total, err, tt.total)
		}
		var rooms []string
		for _, c := range page {
			rooms = append(rooms, c.Room)
		}
		if diff := cmp.Diff(tt.rooms, rooms); diff != "" {
			t.Errorf("Chats(%q, %d, %d) (-want +got):\n%s", tt.owner, tt.offset, tt.limit, diff)
		}
	}
}

func TestChatsPageIsBounded(t *testing.T) {
	s := newStore(t)
	release := stall(s)
	for i := range MaxChatsPage + 1 {
		room := fmt.Sprintf("room-%d", i)
		s.Append(Commit{Room: room, Chat: &Chat{Room: room, Created: noon}}, func(error) {})
	}
	release()
	mustAppend(t, s, Commit{Room: "z", Chat: &Chat{Room: "z", Created: noon}})
	page, total, err := s.Chats("", 0, math.MaxInt)
	if len(page) != MaxChatsPage || total != MaxChatsPage+2 || err != nil {
		t.Errorf("%d of %d chats, %v, want %d of %d", len(page), total, err, MaxChatsPage, MaxChatsPage+2)
	}
}

func FuzzDecodeChat(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeChat(Chat{}))
	f.Add(encodeChat(Chat{Owner: "alice", Created: noon, Info: []byte("{}")}))
	f.Add(append(make([]byte, 12), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)) // a huge owner
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeChat("a", b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			return
		}
		again, err := decodeChat("a", encodeChat(c))
		if diff := cmp.Diff(c, again); diff != "" || err != nil {
			t.Errorf("round trip, %v (-first +second):\n%s", err, diff)
		}
	})
}

// A commit looks for the room's last entry and for the row of its chat once.
func TestCommitLooksUpOnce(t *testing.T) {
	chat := Chat{Room: "room", Owner: "alice", Created: noon}
	for name, want := range map[string]int64{"of an entry": 5, "of an entry and a row": 7} {
		t.Run(name, func(t *testing.T) {
			c := Commit{Room: "room", After: 1, Entries: [][]byte{{2}}}
			if name == "of an entry and a row" {
				c.Chat = &Chat{Room: "room", Owner: "alice", Created: noon, Info: []byte("renamed")}
			}
			err := newStore(t).disk.db.Update(func(tx *bolt.Tx) error {
				first := Commit{Room: "room", Entries: [][]byte{{1}}, Chat: &chat}
				if err := first.write(tx, Quota{}); err != nil {
					return err
				}
				stats := tx.Stats()
				before := stats.GetCursorCount()
				err := c.write(tx, Quota{})
				stats = tx.Stats()
				if got := stats.GetCursorCount() - before; got != want {
					t.Errorf("%d look-ups, want %d", got, want)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
