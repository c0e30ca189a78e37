package persistence

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

func markWait(s *Store, room, user, list string, c MarkChange) (m Mark, err error) {
	done := make(chan struct{})
	s.Mark(room, user, list, c, func(now Mark, e error) { m, err = now, e; close(done) })
	<-done
	return m, err
}

// marked is a world of chats and marks as it should be in the file.
type marked struct {
	path  string
	store *Store
	chats map[string]Chat
	ends  map[string]uint64          // numbers of the last entries
	marks map[string]map[string]Mark // by user and room
}

var (
	markRooms   = []string{"r", "ra", "rb", "s", "t"}
	markUsers   = []string{"alice", "bob", "eve"}
	markFolders = []string{"", "Work", "Z\u00fcrich"}
)

// in reports whether the list names the room.
func (w *marked) in(list, room string) bool {
	c, ok := w.chats[room]
	return ok && slices.Contains(c.lists(), list)
}

// want is what MarkedChats should return, without a limit.
func (w *marked) want(list, user string, v View) (all []Marked) {
	for room, c := range w.chats {
		m := w.marks[user][room]
		if w.in(list, room) && m.Archived == v.Archived && (v.Folder == nil || m.Folder == *v.Folder) {
			c.Members = nil
			all = append(all, Marked{c, m})
		}
	}
	slices.SortFunc(all, func(a, b Marked) int {
		if a.Pinned != b.Pinned {
			return map[bool]int{true: -1, false: 1}[a.Pinned]
		}
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Room, b.Room))
	})
	return all
}

// Marks, and what is listed by them, over changes of chats, deletions and restarts.
func TestMarksModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &marked{path: newPath(t), chats: map[string]Chat{}, ends: map[string]uint64{}, marks: map[string]map[string]Mark{}}
		w.open(t)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			w.step(rt)
			w.check(rt)
		}
		if err := w.store.Close(); err != nil {
			rt.Fatal(err)
		}
		_, err := Check(w.path, Checking{Report: func(f Fault) { rt.Errorf("fault: %+v", f) }})
		if err != nil {
			rt.Error(err)
		}
	})
}

func (w *marked) open(t *testing.T) {
	s, err := Open(w.path, Options{Quota: Quota{Pinned: 2, Folders: 2}})
	if err != nil {
		t.Fatal(err)
	}
	w.store = s
	t.Cleanup(func() { s.Close() })
}

func (w *marked) step(rt *rapid.T) {
	room, user := rapid.SampledFrom(markRooms).Draw(rt, "room"), rapid.SampledFrom(markUsers).Draw(rt, "user")
	switch rapid.SampledFrom([]string{"put", "mark", "mark", "mark", "delete"}).Draw(rt, "what") {
	case "put":
		c := Chat{Room: room, Owner: user, Created: time.Unix(int64(len(room)), int64(room[0])).UTC(), Info: []byte(user)}
		for _, other := range markUsers {
			if other != user && rapid.Bool().Draw(rt, "member") {
				c.Members = append(c.Members, other)
			}
		}
		if err := appendWait(w.store, Commit{Room: room, After: w.ends[room], Entries: entries("x"), Chat: &c}); err != nil {
			rt.Fatal(err)
		}
		for _, lost := range w.chats[room].lists() {
			if w.chats[room].Room != "" && !slices.Contains(c.lists(), lost) {
				delete(w.marks[lost], room)
			}
		}
		w.chats[room] = c
		w.ends[room]++
	case "delete":
		if err := deleteWait(w.store, room); err != nil && !errors.Is(err, ErrNotFound) {
			rt.Fatal(err)
		}
		delete(w.chats, room)
		delete(w.ends, room)
		for _, marks := range w.marks {
			delete(marks, room)
		}
	case "mark":
		w.mark(rt, room, user)
	}
}

func (w *marked) mark(rt *rapid.T, room, user string) {
	list := rapid.SampledFrom([]string{"", user}).Draw(rt, "list")
	var c MarkChange
	now := w.marks[user][room]
	if rapid.Bool().Draw(rt, "pin") {
		now.Pinned = rapid.Bool().Draw(rt, "pinned")
		c.Pinned = &now.Pinned
	}
	if rapid.Bool().Draw(rt, "archive") {
		now.Archived = rapid.Bool().Draw(rt, "archived")
		c.Archived = &now.Archived
	}
	if rapid.Bool().Draw(rt, "file") {
		now.Folder = rapid.SampledFrom(append(slices.Clone(markFolders), "third")).Draw(rt, "folder")
		c.Folder = &now.Folder
	}
	got, err := markWait(w.store, room, user, list, c)
	pins, folders := 0, map[string]bool{now.Folder: true}
	for other, m := range w.marks[user] {
		if m.Pinned && other != room {
			pins++
		}
		folders[m.Folder] = true
	}
	delete(folders, "")
	before := w.marks[user][room]
	switch {
	case !w.in(list, room):
		if !errors.Is(err, ErrNotFound) {
			rt.Fatalf("a chat that is not in the list: %v", err)
		}
	case now.Pinned && !before.Pinned && pins >= 2:
		if !errors.Is(err, ErrPinQuota) {
			rt.Fatalf("a third pin: %v", err)
		}
	case now.Folder != before.Folder && now.Folder != "" && len(folders) > 2:
		if !errors.Is(err, ErrFolderQuota) {
			rt.Fatalf("a third folder: %v", err)
		}
	case err != nil || got != now:
		rt.Fatalf("marked as %+v, %v, want %+v", got, err, now)
	default:
		if w.marks[user] == nil {
			w.marks[user] = make(map[string]Mark)
		}
		w.marks[user][room] = now
	}
}

func (w *marked) check(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
		if err := w.store.Close(); err != nil {
			rt.Fatal(err)
		}
		s, err := Open(w.path, Options{Quota: Quota{Pinned: 2, Folders: 2}})
		if err != nil {
			rt.Fatal(err)
		}
		w.store = s
	}
	user := rapid.SampledFrom(markUsers).Draw(rt, "reader")
	list := rapid.SampledFrom([]string{"", user}).Draw(rt, "read list")
	v := View{Archived: rapid.Bool().Draw(rt, "view archived")}
	if rapid.Bool().Draw(rt, "view folder") {
		folder := rapid.SampledFrom(markFolders).Draw(rt, "folder")
		v.Folder = &folder
	}
	offset, limit := rapid.IntRange(0, 6).Draw(rt, "offset"), rapid.IntRange(0, 6).Draw(rt, "limit")
	want := w.want(list, user, v)
	got, total, err := w.store.MarkedChats(list, user, v, offset, limit)
	page := want[min(offset, len(want)):min(offset+limit, len(want))]
	if len(page) == 0 {
		page = nil
	}
	if diff := gocmp.Diff(page, got); diff != "" || total != len(want) || err != nil {
		rt.Fatalf("%d chats, want %d, %v; view %+v (-want +got):\n%s", total, len(want), err, v, diff)
	}
	counts := make(map[string]int)
	for room, m := range w.marks[user] {
		if m.Folder != "" && w.in(list, room) {
			counts[m.Folder] += map[bool]int{false: 1, true: 0}[m.Archived]
		}
	}
	if got, err := w.store.Folders(list, user); !maps.Equal(got, counts) || err != nil {
		rt.Fatalf("folders %v, %v, want %v", got, err, counts)
	}
}

// Somebody else's marks, and chats without any, cost nothing.
func TestDamagedMarkIsLeftOut(t *testing.T) {
	s := newStore(t)
	for _, room := range []string{"a", "b"} {
		mustAppend(t, s, Commit{Room: room, Entries: entries("x"), Chat: &Chat{Room: room, Owner: "alice"}})
		if _, err := markWait(s, room, "alice", "alice", MarkChange{Archived: new(true)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.disk.update(func(tx *bolt.Tx) (bool, error) {
		return true, tx.Bucket(bucketMarks).Put(nameKey("alice", "a"), []byte("damaged"))
	}); err != nil {
		t.Fatal(err)
	}
	archived, n, err := s.MarkedChats("alice", "alice", View{Archived: true}, 0, 10)
	plain, m, err2 := s.MarkedChats("alice", "alice", View{}, 0, 10)
	if n != 1 || archived[0].Room != "b" || m != 1 || plain[0].Room != "a" || err != nil || err2 != nil {
		t.Errorf("archived %v, %v, others %v, %v", archived, err, plain, err2)
	}
	if got, err := markWait(s, "a", "alice", "alice", MarkChange{Pinned: new(true)}); err != nil || got != (Mark{Pinned: true}) {
		t.Errorf("marked anew as %+v, %v", got, err)
	}
}

// BenchmarkMarkedChats lists a page of 20 for a user with 2,000 chats, of which as many as
// it says are archived, and as many in a folder.
func BenchmarkMarkedChats(b *testing.B) {
	for _, marks := range []int{0, 100, 1000} {
		s := openStore(b, newPath(b), Options{})
		for i := range 2000 {
			room := fmt.Sprint("r", i)
			mustAppend(b, s, Commit{Room: room, Entries: entries("x"), Chat: &Chat{Room: room, Owner: "alice", Created: time.Unix(int64(i), 0)}})
			if i < 2*marks {
				folder := "Work"
				if _, err := markWait(s, room, "alice", "alice", MarkChange{Archived: new(i%2 == 0), Folder: &folder}); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(fmt.Sprint(marks), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.MarkedChats("alice", "alice", View{}, 0, 20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A walk over a list by places sees each chat once, also when others come and go.
func TestChatsFrom(t *testing.T) {
	s := newStore(t)
	put := func(room string, second int64) {
		mustAppend(t, s, Commit{Room: room, Entries: entries("x"), Chat: &Chat{Room: room, Owner: "alice", Created: time.Unix(second, 0)}})
	}
	for i := range 5 {
		put(fmt.Sprint("r", i), int64(i))
	}
	put("foreign", 2)
	mustAppend(t, s, Commit{Room: "foreign", After: 1, Chat: &Chat{Room: "foreign", Owner: "bob", Created: time.Unix(2, 0)}})
	var seen []string
	for place := ""; ; {
		chats, err := s.ChatsFrom("alice", place, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(chats) == 0 {
			break
		}
		for _, c := range chats {
			seen = append(seen, c.Room)
		}
		place = chats[len(chats)-1].Place + "\x00"
		put(fmt.Sprint("newer", len(seen)), 100)
		if err := deleteWait(s, chats[0].Room); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"r4", "r3", "r2", "r1", "r0"}; !slices.Equal(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
}
