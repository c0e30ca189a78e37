package assistant_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/room"
	"parlor/protocol/chat"
)

// A client whose offset is of another history of the same file, or of another
// copy of it, is told nothing wrong.
func TestRecoveryFromAnotherCopy(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		var older []byte
		s.restartWith(func(path string) (err error) {
			older, err = os.ReadFile(path)
			return err
		})
		say(bob, theChat, "1")
		v.connect()
		v.want("connect", "room_joined A", "connect", "message A 1")
		v.cut()
		s.restartWith(func(path string) error { return os.WriteFile(path, older, 0o600) })
		v.connect()
		v.want("connect")
		if v.recovered {
			t.Error("recovered from a record that is not in the log")
		}
		v.join(theChat)
		say(bob, theChat, "another 1")
		v.want("room_joined A", "message A another 1")
	})
}

// restartWith restarts everything, with the file changed in between.
func (s *recoverable) restartWith(change func(path string) error) {
	s.t.Helper()
	s.table.Close()
	s.RestartWith(change)
	s.open()
}

// editedRooms are rooms of a later version, which knows records otherwise.
type editedRooms struct {
	assistant.Rooms
	edit func(*chat.Record)
}

func (e *editedRooms) Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error] {
	return func(yield func(chat.Record, error) bool) {
		for record, err := range e.Rooms.Records(ctx, u, id, after) {
			e.edit(&record)
			if !yield(record, err) {
				return
			}
		}
	}
}

// An upgrade that encodes records otherwise breaks no offset: a record of which
// the client has a part is told as a whole.
func TestRecoveryAfterAnUpgrade(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		bob.Do(theChat, &room.Send{Content: "hello"})
		v.hearUpTo("message A You said: hello") // between two frames of the last record
		v.cut()
		v.heard = nil
		s.namespace.Rooms = &editedRooms{s.Rooms, func(r *chat.Record) {
			if e, ok := r.Event.(chat.TurnEnded); ok {
				e.Content = "edited"
				r.Event = e
			}
		}}
		v.connect()
		v.want("connect", "stream_chunk A @6", "message A edited", "stream_end A completed", "turn A completed")
		if !v.recovered {
			t.Error("not recovered")
		}
	})
}

// A client that has a part of a record in one room and missed others, and is cut
// off at any frame while it is told that, is told everything once.
func TestRecoveryInPiecesOfPieces(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		bob.Create(otherChat)
		v := s.visit("alice")
		v.join(otherChat)
		v.join(theChat)
		bob.Do(theChat, &room.Send{Content: "hello"})
		v.hearUpTo("message A You said: hello")
		v.cut()
		say(bob, otherChat, "1")
		bob.Do(otherChat, &room.Send{Content: "2"})
		say(bob, theChat, "3")
		v.connect()
		whole := v.heard[slices.Index(v.heard, "message A You said: hello")+1:]
		if !v.recovered || whole[0] != "connect" {
			t.Fatalf("recovered %v, heard %q", v.recovered, v.heard)
		}
		whole = slices.Clone(whole[1:])
		slices.Sort(whole)
		all := s.visit("alice")
		all.join(otherChat)
		all.join(theChat)
		bob.Do(theChat, &room.Send{Content: "hello"})
		all.hearUpTo("message A You said: hello")
		all.cut()
		say(bob, otherChat, "1")
		bob.Do(otherChat, &room.Send{Content: "2"})
		say(bob, theChat, "3")
		all.heard = nil
		for range whole { // one event at a time
			all.dial()
			all.hearUpToNext()
			all.cut()
			if !all.recovered {
				t.Fatalf("not recovered from %s", all.offset)
			}
		}
		got := slices.DeleteFunc(all.heard, func(e string) bool { return e == "connect" })
		slices.Sort(got)
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Errorf("in pieces (-at once +in pieces):\n%s", diff)
		}
	})
}

// hearUpToNext takes in the confirmation and one event, and loses the rest.
func (v *visitor) hearUpToNext() {
	v.t.Helper()
	synctest.Wait()
	for _, frame := range v.Got() {
		if v.take(frame); strings.HasPrefix(frame, "42"+prefix) {
			return
		}
	}
}

// countingRooms counts the reads of records.
type countingRooms struct {
	assistant.Rooms
	reads, records atomic.Int64
}

func (c *countingRooms) Records(ctx context.Context, u chat.User, id chat.RoomID, after uint64) iter.Seq2[chat.Record, error] {
	return func(yield func(chat.Record, error) bool) {
		c.reads.Add(1)
		for record, err := range c.Rooms.Records(ctx, u, id, after) {
			c.records.Add(1)
			if !yield(record, err) {
				return
			}
		}
	}
}

// After a restart a record is read once for each room and encoder, not once for
// each client.
func TestManyComeBack(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		const clients, missed = 100, 20
		bob := s.User("bob")
		bob.Create(theChat)
		var all []*visitor
		for range clients {
			v := s.visit("alice")
			v.join(theChat)
			all = append(all, v)
		}
		s.crash()
		var want []string
		for i := range missed {
			say(bob, theChat, fmt.Sprint(i))
			want = append(want, fmt.Sprintf("message A %d", i))
		}
		rooms := &countingRooms{Rooms: s.Rooms}
		s.namespace.Rooms = rooms
		for _, v := range all {
			v.dial() // and do not wait
		}
		for _, v := range all {
			v.heard = nil
			v.want(append([]string{"connect"}, want...)...)
			if !v.recovered {
				t.Fatal("not recovered")
			}
		}
		if reads, records := rooms.reads.Load(), rooms.records.Load(); reads != 1 || records != missed {
			t.Errorf("%d records were read in %d reads", records, reads)
		}
	})
}

// With a thousand rooms an event takes no more bytes than with a hundred, and a client's
// queue has room for many.
func TestManyRooms(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		const rooms, sends, queue = 1000, 60, 1 << 20
		s.namespace.MaxRooms = rooms
		bob := s.User("bob")
		v := s.visit("alice")
		chats := make([]chat.ID, rooms)
		for i := range chats {
			chats[i] = chat.ID(fmt.Sprint("chat ", i))
			bob.Tell(chats[i], &room.Create{Chat: chats[i], ModelID: actortest.Model})
		}
		synctest.Wait()
		for _, id := range chats {
			v.Say(fmt.Sprintf(`2%s["join_room",{"room_id":%q,"dialect":"documented"}]`, prefix, id.Room()))
		}
		v.listen()
		if got := strings.Count(strings.Join(v.heard, "\n"), "room_joined"); got != rooms {
			t.Fatalf("joined %d rooms", got)
		}
		for i := range sends {
			bob.Tell(chats[i*17%rooms], &room.Send{Content: "hello"})
		}
		synctest.Wait()
		bytes, longest, events := 0, 0, 0
		for _, frame := range v.Got() {
			bytes += len(frame)
			events++
			v.take(frame)
			longest = max(longest, len(v.offset))
		}
		t.Logf("%d events of %d bytes, offsets of %d bytes at most", events, bytes, longest)
		if bytes > queue || longest >= 300 || events < 6*sends { // the mark is renewed while all this is on its way
			t.Errorf("%d events have %d bytes, with offsets of %d", events, bytes, longest)
		}
		v.cut()
		say(bob, chats[7], "missed")
		v.heard = nil
		v.connect()
		if !v.recovered || len(v.heard) != 2 || !strings.HasSuffix(v.heard[1], "missed") {
			t.Errorf("recovered %v, heard %q", v.recovered, v.heard)
		}
	})
}

// Reading for a client that comes back holds up nobody, and ends with its connection.
func TestReturnEndsWithTheSocket(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		v.cut()
		say(bob, theChat, "1")
		slow := newSlowQueries(s.Rooms)
		s.namespace.Rooms = slow
		v.heard = nil
		v.connect()
		say(bob, theChat, "2")
		v.want()
		v.cut()
		if slow.asked != 1 || slow.ended != 1 {
			t.Errorf("%d reads, of which %d have ended", slow.asked, slow.ended)
		}
		v.connect()
		slow.letGo()
		v.want("connect", "message A 1", "message A 2")
	})
}

// A client that would have to keep too much while it comes back begins anew.
func TestRoomTellsTooMuchDuringAReturn(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.namespace.MaxReplayBytes = 10_000
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		v.cut()
		say(bob, theChat, "1")
		slow := newSlowQueries(s.Rooms)
		s.namespace.Rooms = slow
		v.heard = nil
		v.connect()
		for range 20 {
			say(bob, theChat, strings.Repeat("x", 1000))
		}
		v.want("connect")
		if v.recovered {
			t.Error("recovered")
		}
		slow.letGo()
		v.join(theChat)
		say(bob, theChat, "2")
		v.want("room_joined A", "message A 2")
	})
}

// A panic while records are read for a client that comes back costs its session.
func TestReturnPanics(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		v := s.visit("alice")
		v.join(theChat)
		v.cut()
		say(bob, theChat, "1")
		slow := newSlowQueries(s.Rooms)
		slow.panics = true
		s.namespace.Rooms = slow
		v.heard = nil
		v.dial()
		synctest.Wait()
		if got := v.Got(); len(got) != 1 || got[0] != "closed: forced close" {
			t.Errorf("got %q", got)
		}
		slow.panics = false
		slow.letGo()
		v.connect()
		v.want("connect", "message A 1")
	})
}

// Clients of the version before send offsets that this one does not know, for
// sessions that it cannot read: they begin anew, also in the same file.
func TestOffsetOfTheVersionBefore(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		stored := fmt.Sprintf(`{"sid":"SID","user":"alice","rooms":[{"id":%q,"dialect":1}]}`, theRoom)
		const pid = "a private id of the version before"
		key := sha256.Sum256([]byte(pid))
		done := make(chan error, 1)
		s.Log.PutSession(string(key[:16]), []byte(stored), func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.crash()
		for _, offset := range []string{"abcdefgh.1", "abcdefgh.1.2", "-", "abcdef.1.AAM"} {
			v := &visitor{t: t, s: s, user: "alice", pid: pid, offset: offset}
			v.connect()
			v.want("connect")
			if v.recovered || v.sid == "SID" {
				t.Errorf("recovered from %s", offset)
			}
		}
	})
}

// For a client that comes back no more is read than it may be sent, in all of its rooms
// together.
func TestReturnReadsWhatFits(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		s.namespace.MaxReplayBytes, s.namespace.MaxRooms = 10_000, 50
		bob := s.User("bob")
		v := s.visit("alice")
		for i := range 50 {
			id := chat.ID(fmt.Sprint(i))
			bob.Create(id)
			v.join(id)
		}
		v.cut()
		for i := range 50 {
			for range 8 {
				say(bob, chat.ID(fmt.Sprint(i)), strings.Repeat("x", 800))
			}
		}
		rooms := &countingRooms{Rooms: s.Rooms}
		s.namespace.Rooms = rooms
		v.connect()
		if got := rooms.records.Load(); v.recovered || got > 16 {
			t.Errorf("recovered %v, %d records were read", v.recovered, got)
		}
	})
}

// If a client has missed almost too much, it is still told all of it, or takes a
// snapshot.
func TestResumeNearTheLimit(t *testing.T) {
	runRecoverable(t, func(t *testing.T, s *recoverable) {
		bob := s.User("bob")
		bob.Create(theChat)
		const n = 60
		for i := range n {
			say(bob, theChat, fmt.Sprint(i))
		}
		told, snapshots := 0, 0
		for limit := 10_000; limit < 30_000; limit += 250 {
			s.namespace.MaxReplayBytes = limit
			v := s.visit("alice")
			v.heard = nil
			v.Say(fmt.Sprintf(`2%s1["join_room",{"room_id":%q,"dialect":"documented","after":1}]`, prefix, theRoom))
			synctest.Wait()
			snapshot := false
			for _, frame := range v.Got() {
				snapshot = snapshot || strings.HasPrefix(frame, "43") && strings.Contains(frame, `"snapshot"`)
				v.take(frame)
			}
			switch got := len(v.heard) - 1; { // but for room_joined
			case snapshot && got == 0:
				snapshots++
			case !snapshot && got == n:
				told++
			default:
				t.Errorf("with a limit of %d: snapshot %v, told %d messages of %d", limit, snapshot, got, n)
			}
			v.cut()
		}
		if told == 0 || snapshots == 0 {
			t.Errorf("told all %d times, and %d snapshots", told, snapshots)
		}
	})
}
