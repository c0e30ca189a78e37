package assistant_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/actors/actortest"
	"parlor/actors/assistant"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/actors/system"
	wire "parlor/protocol/assistant"
)

// resume joins from behind the record after and returns what came of it.
func (c *client) resume(after uint64, epoch string) (joined wire.RoomJoined, told []heard) {
	c.t.Helper()
	told, ack := c.emit("join_room", fmt.Sprintf(`{"room_id":%q,"dialect":"documented","after":%d,"epoch":%q}`, theRoom, after, epoch))
	if err := json.Unmarshal(ack, &joined); err != nil {
		c.t.Fatalf("acknowledgement %s: %v", ack, err)
	}
	return joined, told
}

// seqs returns the numbers of the messages among events.
func seqs(t *testing.T, events []heard) (seqs []uint64) {
	t.Helper()
	for _, arg := range find(events, "message "+theRoom) {
		var body struct{ Message struct{ Seq uint64 } }
		if err := json.Unmarshal([]byte(arg), &body); err != nil {
			t.Fatalf("%s: %v", arg, err)
		}
		seqs = append(seqs, body.Message.Seq)
	}
	return seqs
}

// all returns what was heard since the last call.
func (c *client) all() []heard {
	c.t.Helper()
	events, _ := c.hearAll()
	return events
}

// A client that says which record it has last is told each later one once and in order,
// whatever is on its way to the disk or to the members at that moment.
func TestResumeHasNoSeam(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		before := rapid.IntRange(0, 5).Draw(rt, "before")
		pending := rapid.IntRange(0, 3).Draw(rt, "pending")
		crossing := rapid.IntRange(0, 3).Draw(rt, "crossing")
		after := rapid.IntRange(1, before+1).Draw(rt, "after")
		held := rapid.Bool().Draw(rt, "held")
		run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
			alice := s.User("alice")
			epoch := alice.Create(theChat).Epoch + "." + s.Log.Epoch()
			tell := func(n int) {
				for range n {
					alice.Tell(theChat, &room.Send{Content: "x", Quiet: true})
				}
			}
			tell(before)
			synctest.Wait()
			c := connect(t, sessions, "alice")
			release := func() {}
			if held {
				release = s.Log.Hold()
			}
			tell(pending)
			c.Say(fmt.Sprintf(`2%s["join_room",{"room_id":%q,"dialect":"documented","after":%d,"epoch":%q}]`, prefix, theRoom, after, epoch))
			tell(crossing)
			release()
			var want []uint64
			for seq := after + 1; seq <= 1+before+pending+crossing; seq++ {
				want = append(want, uint64(seq))
			}
			if diff := cmp.Diff(want, seqs(t, c.all())); diff != "" {
				rt.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	})
}

// From any record on, a client hears what a member who was there has heard.
func TestResumeTellsAsLive(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		alice := s.User("alice")
		alice.Create(theChat)
		witness := connect(t, sessions, "alice")
		joined, _ := witness.resume(1, "")
		s.Assistant.On("fail", actortest.Fail(func(context.Context) error { return errOutOfOrder }, "so far"))
		for _, question := range []string{"hello", "fail", "again"} {
			alice.Send(theChat, question)
		}
		told := slices.DeleteFunc(witness.all(), func(e heard) bool { // deltas are told once
			return strings.Contains(e.String(), `"done":false`)
		})
		records := s.Records(theChat)
		for after := range records {
			c := connect(t, sessions, "alice")
			again, missed := c.resume(uint64(after+1), joined.Epoch)
			if again.Snapshot != nil || again.Seq != uint64(len(records)) {
				t.Errorf("after %d: joined %+v", after+1, again)
			}
			resumedEvent := missed[len(missed)-1]
			missed = missed[:len(missed)-1]
			if got, want := resumed(t, resumedEvent.arg), fmt.Sprint("A ", len(missed)-1); resumedEvent.name != "resumed" || got != want {
				t.Errorf("after %d: %s says %s, want %s", after+1, resumedEvent, got, want)
			}
			got, want := fmt.Sprint(missed[1:]), fmt.Sprint(told[len(told)-len(missed)+1:]) // but for room_joined
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after %d (-live +resumed):\n%s", after+1, diff)
			}
			if after == 0 && len(missed)-1 != len(told) {
				t.Errorf("from the beginning: heard %d of %d events", len(missed)-1, len(told))
			}
		}
	})
}

// A client that resumes during an answer gets the start that it has missed, and behind
// that the text so far as one chunk.
func TestResumeDuringAnAnswer(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		alice := s.User("alice")
		alice.Create(theChat)
		s.Assistant.On("?", actortest.Slowly(time.Second, "one ", "two ", "three"))
		alice.Send(theChat, "?")
		time.Sleep(2500 * time.Millisecond)
		c := connect(t, sessions, "alice")
		joined, heard := c.resume(1, "")
		if joined.Turn == nil || joined.Turn.Content != "one two " {
			t.Errorf("turn %+v", joined.Turn)
		}
		time.Sleep(time.Minute)
		heard = append(heard, c.all()...)
		wantOrder(t, heard, "room_joined "+theRoom, "message "+theRoom, "stream_start "+theRoom, "stream_chunk "+theRoom, "stream_end "+theRoom)
		chunks := find(heard, "stream_chunk "+theRoom)
		if len(chunks) != 3 || !strings.Contains(chunks[0], `"content":"one two ","done":false,"offset":0`) ||
			!strings.Contains(chunks[1], `"content":"three","done":false,"offset":8`) {
			t.Errorf("chunks %q", chunks)
		}
	})
}

// A client that cannot resume is told so, and gets the newest messages. After that it is
// told what is live.
func TestSnapshotInsteadOfResume(t *testing.T) {
	actortest.Run(t, room.Options{}, func(t *testing.T, s *actortest.Server) {
		t.Cleanup(synctest.Wait)
		sessions := session.New(system.New(nil), session.Options{Namespaces: map[string]session.Namespace{
			wire.Namespace: &assistant.Namespace{Auth: believer{}, Rooms: s.Rooms, MaxReplayBytes: 1000},
		}})
		alice := s.User("alice")
		epoch := alice.Create(theChat).Epoch + "." + s.Log.Epoch()
		for i := range 60 {
			alice.Do(theChat, &room.Send{Content: fmt.Sprint(i), Quiet: true})
		}
		for _, test := range []struct {
			after  uint64
			epoch  string
			reason wire.SnapshotReason
		}{
			{61, "another", wire.SnapshotEpoch}, {62, epoch, wire.SnapshotAhead}, {1, epoch, wire.SnapshotTooFar},
			{61, epoch, ""}, {60, epoch, ""},
		} {
			c := connect(t, sessions, "alice")
			joined, heard := c.resume(test.after, test.epoch)
			got := joined.Snapshot
			if (got == nil) != (test.reason == "") {
				t.Errorf("after %d of %q: snapshot %+v", test.after, test.epoch, got)
				continue
			}
			if got != nil && (got.Reason != test.reason || len(got.Messages.Messages) != wire.DefaultHistory ||
				got.Messages.Messages[49].Seq != 61 || !got.HasMore || len(seqs(t, heard)) > 0) {
				t.Errorf("after %d of %q: %s, %d messages, more %v; heard %q", test.after, test.epoch, got.Reason, len(got.Messages.Messages), got.HasMore, heard)
			}
		}
		c := connect(t, sessions, "alice")
		c.resume(1, epoch)
		alice.Do(theChat, &room.Send{Content: "live", Quiet: true})
		if diff := cmp.Diff([]uint64{62}, seqs(t, c.all())); diff != "" {
			t.Errorf("live (-want +got):\n%s", diff)
		}
	})
}
