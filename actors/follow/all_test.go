package follow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"parlor/actors/actortest"
	"parlor/actors/follow"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// A subscriber follows all chats of a user, and again from where it was each time that it is cut.
type subscriber struct {
	user chat.User

	mu      sync.Mutex
	cursor  string
	longest int
	seqs    map[chat.ID]uint64 // of the last records
	gone    []chat.ID
	text    strings.Builder
	faults  []error
	cut     context.CancelFunc
	ended   chan error
}

func subscribe(user chat.UserID, f *follow.Follower) *subscriber {
	s := &subscriber{user: chat.User{ID: user}, seqs: make(map[chat.ID]uint64)}
	s.follow(f)
	return s
}

func (s *subscriber) follow(f *follow.Follower) {
	ctx, cut := context.WithCancel(context.Background())
	s.cut, s.ended = cut, make(chan error, 1)
	cursor, ended := s.cursor, s.ended
	go func() { ended <- f.FollowAll(ctx, s.user, cursor, follow.Plain, s.take) }()
}

func (s *subscriber) stop() error {
	s.cut()
	return <-s.ended
}

func (s *subscriber) take(t chat.Told) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Cursor != "" {
		s.cursor, s.longest = t.Cursor, max(s.longest, len(t.Cursor))
	}
	switch n := t.Notice.(type) {
	case chat.Text:
		s.text.WriteString(n.Piece)
	case chat.Removal:
		s.gone = append(s.gone, t.Chat)
		delete(s.seqs, t.Chat)
	}
	if t.Seq == 0 {
		return nil
	}
	if last, known := s.seqs[t.Chat]; known && t.Seq != last+1 {
		s.faults = append(s.faults, fmt.Errorf("%s: record %d came after record %d", t.Chat, t.Seq, last))
	}
	s.seqs[t.Chat] = t.Seq
	return nil
}

// seen returns how far the subscriber is in a chat, and what else it has noted.
func (s *subscriber) seen(id chat.ID) (seq uint64, gone []chat.ID, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seqs[id], slices.Clone(s.gone), s.text.String()
}

// Somebody who follows all chats is told what happens in each, from the moment on at which
// the user gets a role there and until the role is gone, and is not shown to be there.
func TestFollowAll(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, f := s.User("alice"), newFollower(s, 0)
		s.Assistant.On("go", actortest.Slowly(time.Second, "one ", "two ", "three"))
		alice.Create("first")
		alice.Send("first", "before")
		time.Sleep(time.Second)
		bob, own := subscribe("bob", f), subscribe("alice", f)
		synctest.Wait()
		alice.Send("first", "go")
		time.Sleep(5 * time.Second)
		if seq, _, text := own.seen("first"); seq != uint64(len(s.Records("first"))) || !strings.HasSuffix(text, "two three") {
			t.Errorf("was told up to record %d of %d, and %q", seq, len(s.Records("first")), text)
		}
		if seq, _, _ := bob.seen("first"); seq != 0 {
			t.Errorf("a stranger was told record %d", seq)
		}
		alice.Do("first", &room.SetMember{Member: chat.Member{ID: "bob", Role: chat.RoleViewer}})
		alice.Send("first", "hello bob")
		time.Sleep(time.Second)
		if seq, _, _ := bob.seen("first"); seq != uint64(len(s.Records("first"))) {
			t.Errorf("a new member was told up to record %d of %d", seq, len(s.Records("first")))
		}
		if whole := alice.Do("first", &room.AskPresence{}).Body.(chat.Presence); whole.Users != 0 {
			t.Errorf("somebody is in the room: %+v", whole)
		}
		time.Sleep(time.Minute) // nobody follows the chat any more
		alice.Do("first", &room.RemoveMember{Member: "bob"})
		time.Sleep(time.Second)
		alice.Do("first", &room.Delete{})
		time.Sleep(time.Second)
		for name, sub := range map[string]*subscriber{"a former member": bob, "the owner": own} {
			if _, gone, _ := sub.seen("first"); !slices.Equal(gone, []chat.ID{"first"}) {
				t.Errorf("%s was told that these are gone: %v", name, gone)
			}
			if err := sub.stop(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			for _, fault := range sub.faults {
				t.Error(fault)
			}
		}
	})
}

// TestCutAll lets somebody who follows more chats than are followed at once be cut at
// random. Each record is told once and in order.
func TestCutAll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		chats := rapid.SampledFrom([]int{2, 2, 2, 34}).Draw(rt, "chats")
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) [2]int {
			return [2]int{rapid.IntRange(0, 5).Draw(rt, "do"), rapid.IntRange(0, chats-1).Draw(rt, "chat")}
		}), 5, 40).Draw(rt, "steps")
		cursor := rapid.SampledFrom([]string{"", "0"}).Draw(rt, "from")
		var faults []error
		synctest.Test(t, func(t *testing.T) {
			s := actortest.Start(t, room.Options{Encoders: encoders()})
			faults = cutAllAtRandom(s, chats, cursor, steps)
		})
		if len(faults) > 0 {
			rt.Fatal(errors.Join(faults...))
		}
	})
}

func cutAllAtRandom(s *actortest.Server, chats int, cursor string, steps [][2]int) []error {
	id := func(n int) chat.ID { return chat.ID(fmt.Sprint("chat-", n)) }
	alice, f := s.User("alice"), newFollower(s, 100_000)
	s.Assistant.On("long", actortest.Slowly(100*time.Millisecond, "a", "b", "c", "d", "e"))
	for n := range chats {
		alice.Create(id(n))
	}
	time.Sleep(time.Second)
	sub := &subscriber{user: alice.User, seqs: make(map[chat.ID]uint64), cursor: cursor}
	sub.follow(f) // and be cut at once, perhaps
	if cursor == "" {
		synctest.Wait()
	}
	for i, step := range steps {
		switch step[0] {
		case 0, 1:
			alice.Tell(id(step[1]), &room.Send{Content: fmt.Sprint("message ", i)})
		case 2:
			alice.Tell(id(step[1]), &room.Send{Content: "long"})
		case 3:
			time.Sleep(300 * time.Millisecond)
		case 4:
			time.Sleep(time.Minute)
		case 5:
			sub.stop()
			sub.follow(f)
			if step[1] > 0 {
				synctest.Wait()
			}
		}
	}
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	sub.stop()
	for n := range chats {
		all := s.Records(id(n))
		if seq, _, _ := sub.seen(id(n)); (len(all) > 1 || cursor != "") && seq != uint64(len(all)) {
			sub.faults = append(sub.faults, fmt.Errorf("%s: told up to record %d of %d", id(n), seq, len(all)))
		}
	}
	if limit := 20 + 12*chats; sub.longest > limit {
		sub.faults = append(sub.faults, fmt.Errorf("a cursor is %d bytes long", sub.longest))
	}
	return sub.faults
}

// Zero is the beginning of everything, and what is no cursor is refused.
func TestCursors(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		alice, f := s.User("alice"), newFollower(s, 0)
		for n := range 3 {
			id := chat.ID(fmt.Sprint("chat-", n))
			alice.Create(id)
			alice.Send(id, "hello")
		}
		time.Sleep(time.Hour)
		sub := &subscriber{user: alice.User, seqs: make(map[chat.ID]uint64), cursor: "0"}
		sub.follow(f)
		time.Sleep(time.Second)
		for n := range 3 {
			id := chat.ID(fmt.Sprint("chat-", n))
			if seq, _, _ := sub.seen(id); seq != uint64(len(s.Records(id))) {
				t.Errorf("%s: told up to record %d of %d", id, seq, len(s.Records(id)))
			}
		}
		time.Sleep(2 * time.Minute)
		alice.Send("chat-0", "again")
		time.Sleep(time.Second)
		sub.stop()
		if limit := 30; len(sub.cursor) > limit {
			t.Errorf("the cursor is %d bytes long: %s", len(sub.cursor), sub.cursor)
		}
		for _, cursor := range []string{"x", "1", "AQ", "Ag", sub.cursor + "A", sub.cursor[:len(sub.cursor)-2]} {
			if err := f.FollowAll(t.Context(), alice.User, cursor, follow.Plain, sub.take); chat.AsError(err).Code != chat.CodeInvalid {
				t.Errorf("%q: %v", cursor, err)
			}
		}
	})
}

// FuzzCursor reads anything as a cursor. It neither panics nor takes long.
func FuzzCursor(f *testing.F) {
	f.Add("0")
	f.Add("AYC4qZzDMAECAwQFBgc")
	f.Fuzz(func(t *testing.T, cursor string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = follow.New(follow.Options{Rooms: nobody{}, Encoders: encoders()}).FollowAll(ctx, chat.User{}, cursor, follow.Plain, func(chat.Told) error { return errNobody })
	})
}

var errNobody = errors.New("nobody listens")

// nobody has no rooms.
type nobody struct{ follow.Rooms }

func (nobody) Watch(chat.User, room.Watcher)     {}
func (nobody) Unwatch(chat.UserID, room.Watcher) {}
