package room_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/conversation"
	"parlor/actors/room"
	"parlor/persistence"
	"parlor/protocol/chat"
)

// The store finds messages and answers by their ids, and a fold of the log says
// the same as each entry does.
func TestMessagesAreFoundByID(t *testing.T) {
	actortest.Run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server) {
		alice := s.User("alice")
		alice.Create(theChat)
		alice.Join(theChat)
		s.Assistant.On("hang", actortest.Hang("so far"))
		alice.Send(theChat, "one")
		hanging := alice.Send(theChat, "hang")
		alice.Send(theChat, "its turn waits, and ends without an answer")
		alice.Do(theChat, edit(hanging, "two"))
		s.Restart()

		want := make(map[string]uint64)
		unanswered := 0
		for _, r := range s.Records(theChat) {
			if m, ok := r.Message(); ok {
				want[string(m.ID)] = r.Seq
			} else if _, ended := r.Event.(chat.TurnEnded); ended {
				unanswered++
			}
		}
		if len(want) != 7 || unanswered != 1 {
			t.Fatalf("%d messages and %d turns without an answer, want 7 and 1", len(want), unanswered)
		}
		for id, seq := range want {
			if got, ok, err := s.Log.Message(string(theChat.Room()), id); got != seq || !ok || err != nil {
				t.Errorf("the message of record %d is found at %d, %v, %v", seq, got, ok, err)
			}
		}
		folded, named := make(map[string]uint64), make(map[string]uint64)
		var f conversation.Fold
		for e, err := range s.Log.Read(string(theChat.Room()), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Add(e); err != nil {
				t.Fatal(err)
			}
			if id, ok := conversation.MessageID(e); ok {
				named[id] = e.Seq
			}
		}
		for _, k := range f.Messages() {
			folded[k.Name] = k.Seq
		}
		if diff := cmp.Diff(want, folded); diff != "" {
			t.Errorf("fold (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, named); diff != "" {
			t.Errorf("MessageID (-want +got):\n%s", diff)
		}
	})
}

// A record that cannot be decoded, or has no id that the store takes, has no name.
func TestMessageIDLeavesOut(t *testing.T) {
	for name, event := range map[string]chat.Event{
		"no id":        chat.MessageAdded{Content: "hi"},
		"long id":      chat.MessageAdded{MessageID: chat.MessageID(make([]byte, persistence.MaxKeyLen+1))},
		"no message":   chat.TurnQueued{TurnID: "t", Prompt: "m"},
		"never begun":  chat.TurnEnded{TurnID: "t", Prompt: "m"},
		"turn started": chat.TurnStarted{TurnID: "t", MessageID: "m"},
	} {
		data, err := chat.Record{Seq: 1, Event: event}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := conversation.MessageID(persistence.Entry{Seq: 1, Data: data}); ok {
			t.Errorf("%s: %.20q", name, id)
		}
	}
	if id, ok := conversation.MessageID(persistence.Entry{Seq: 1, Data: []byte("text")}); ok {
		t.Errorf("text: %q", id)
	}
}
