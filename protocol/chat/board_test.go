package chat

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A board has each message once, as it now is, whatever became of it.
func TestBoard(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	alice := User{ID: "alice"}
	var b Board
	for i, e := range []Event{
		Created{Chat: Info{ID: "c"}},
		MessageAdded{MessageID: "m1", Author: alice, Content: "hello"},
		MessageAdded{MessageID: "m2", Author: alice, Content: "hi", Parent: "m1"},
		MessageWithdrawn{MessageID: "m1"},
		MessageAdded{MessageID: "m3", Author: alice, Content: "hello all", Revises: "m1"},
		Reacted{MessageID: "m3", Name: "smile", By: "bob"},
		Reacted{MessageID: "m1", Name: "smile", By: "carol"},
		Reacted{MessageID: "m1", Name: "frown", By: "bob"},
		Reacted{MessageID: "m1", Name: "frown", By: "bob", Removed: true},
		Reacted{MessageID: "m1", Name: "wave", By: "bob", Removed: true},
		Reacted{MessageID: "nothing", Name: "wave", By: "bob"},
		MessageAdded{MessageID: "m4", Author: alice, Content: "oops", Parent: "m1"},
		MessageWithdrawn{MessageID: "m4"},
		TurnEnded{TurnID: "t1", MessageID: "a1", Prompt: "m1", Content: "an answer", State: StateCompleted},
		TurnEnded{TurnID: "t2", State: StateStopped},
	} {
		b.Apply(Record{Seq: uint64(i + 1), At: at(i + 1), Event: e})
	}
	for _, id := range []MessageID{"m1", "m3"} {
		p, found := b.Find(id)
		got := []any{found, p.ID, p.Current, p.Content, p.Created, p.Updated, p.Replies, p.LastReply, p.Reactions}
		want := []any{true, MessageID("m1"), MessageID("m3"), "hello all", at(2), at(5), 1, at(3), []Reactions{{"smile", []UserID{"bob", "carol"}}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	if _, found := b.Find("m4"); found {
		t.Error("a message that was taken back is found")
	}
	ids := func(posts []Posted) (all []MessageID) {
		for _, p := range posts {
			all = append(all, p.ID)
		}
		return all
	}
	for _, c := range []struct {
		parent      MessageID
		skip, limit int
		want        []MessageID
	}{
		{"", 0, 10, []MessageID{"a1", "m1"}},
		{"", 1, 10, []MessageID{"m1"}},
		{"", 0, 1, []MessageID{"a1"}},
		{"", 0, 0, nil},
		{"m1", 0, 10, []MessageID{"m2"}},
		{"m2", 0, 10, nil},
	} {
		if diff := cmp.Diff(c.want, ids(b.Page(c.parent, c.skip, c.limit))); diff != "" {
			t.Errorf("page %+v (-want +got):\n%s", c, diff)
		}
	}
}
