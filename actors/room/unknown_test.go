package room_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/persistence/doubt"
	"parlor/protocol/chat"
)

// doubts makes the outcome of the next write of a room unknown for a minute.
func doubts(s *actortest.Server, lost bool) {
	fates := []doubt.Fate{{Unknown: time.Minute}}
	if lost {
		fates[0].Err = persistence.ErrUnavailable
	}
	s.Log.Doubt(func(persistence.Commit) (f doubt.Fate) {
		if len(fates) > 0 {
			f, fates = fates[0], nil
		}
		return f
	})
}

// While the log does not know what became of a message, its sender waits, and so does whoever
// sends it again and whoever speaks behind it, also when the room panics. Then all are told
// the truth, and the message is there once at most.
func TestUnknownOutcomeOfAMessage(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, panics := range []bool{false, true} {
			t.Run(fmt.Sprintf("lost %v, panics %v", lost, panics), func(t *testing.T) {
				o := room.Options{IdleTimeout: time.Second, Access: access.Policy{Shared: true}}
				actortest.Run(t, o, func(t *testing.T, s *actortest.Server) { testUnknown(t, s, lost, panics) })
			})
		}
	}
}

func testUnknown(t *testing.T, s *actortest.Server, lost, panics bool) {
	alice, bob := s.User("alice"), s.User("bob")
	hello := func() *room.Send { return &room.Send{Content: "hello", ClientID: "one", Quiet: true} }
	alice.Create(theChat)
	bob.Join(theChat)
	bob.Told()
	doubts(s, lost)
	refs := []uint64{alice.Tell(theChat, hello()), alice.Tell(theChat, hello())}
	synctest.Wait()
	if panics {
		s.Log.Fault(panicOn("boom"))
		bob.Do(theChat, &room.Send{Content: "boom", Quiet: true})
		s.Log.Fault(nil)
		bob.Told()
	}
	refs = append(refs, alice.Tell(theChat, hello()))
	behind := bob.Tell(theChat, &room.Send{Content: "behind", Quiet: true})
	time.Sleep(50 * time.Second) // in which an idle room would have left
	synctest.Wait()
	for _, ref := range refs {
		if reply, ok := alice.Reply(ref); ok {
			t.Errorf("command %d has the answer %+v before the log knows", ref, reply)
		}
	}
	if reply, ok := bob.Reply(behind); ok {
		t.Errorf("what was said behind it has the answer %+v before the log knows", reply)
	}
	wantTold(t, bob)

	time.Sleep(20 * time.Second)
	synctest.Wait()
	recorded := 0
	for i, ref := range refs {
		wantErr := lost && !(panics && i == 2) // that one came to an instance that has read the log since
		reply, ok := alice.Reply(ref)
		switch {
		case !ok || (reply.Err != nil) != wantErr || wantErr && reply.Err.Code != chat.CodeStorageUnavailable:
			t.Errorf("command %d: got the answer %+v, %v", ref, reply, ok)
		case reply.Err == nil:
			recorded = 1
		}
	}
	if n := count(contents(s), "hello"); n != recorded {
		t.Errorf("the message is there %d times, want %d", n, recorded)
	}
	if reply := alice.Do(theChat, hello()); reply.Err != nil {
		t.Errorf("sent once more: %v", reply.Err)
	}
	if n := count(contents(s), "hello"); n != 1 {
		t.Errorf("in the end the message is there %d times", n)
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// While the log does not know whether a chat was deleted, nobody is told that it was, and
// nothing is recorded behind that.
func TestUnknownOutcomeOfADeletion(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost %v", lost), func(t *testing.T) {
			actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
				alice := s.User("alice")
				alice.Create(theChat)
				alice.Join(theChat)
				alice.Told()
				doubts(s, lost)
				ref := alice.Tell(theChat, &room.Delete{})
				synctest.Wait()
				said := alice.Do(theChat, &room.Send{Content: "still there?", Quiet: true})
				if _, ok := alice.Reply(ref); ok || said.Err == nil {
					t.Errorf("before the log knows: deleted %v, said %+v", ok, said)
				}
				alice.Told()
				time.Sleep(time.Minute)
				synctest.Wait()
				if reply, ok := alice.Reply(ref); !ok || (reply.Err != nil) != lost {
					t.Errorf("deleted: %+v, %v", reply, ok)
				}
				if there := len(s.Records(theChat)) > 0; there != lost {
					t.Errorf("the chat is there: %v", there)
				}
			})
		})
	}
}
