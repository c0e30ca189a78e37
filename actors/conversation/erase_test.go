package conversation

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

// TestEraserSilences checks that an event of the user keeps neither words nor idempotency keys,
// and that the same event of somebody else keeps both.
func TestEraserSilences(t *testing.T) {
	events := func(by chat.UserID, word string) []chat.Event {
		key := chat.ClientID(word)
		return []chat.Event{
			chat.TurnEnded{By: by, Reason: word, ClientID: key},
			chat.ToolDecided{By: by, Reason: word, ClientID: key},
			chat.ToolEnded{By: by, ClientID: key, Result: "of the tool"},
			chat.TurnQueued{By: by, ClientID: key, Origin: word},
			chat.TurnMoved{By: by, ClientID: key},
			chat.Configured{By: by, ClientID: key},
			chat.MessageWithdrawn{By: by, ClientID: key},
			chat.BranchSelected{By: by, ClientID: key},
			chat.OwnerOffered{By: by, To: "carol"},
		}
	}
	for by, want := range map[chat.UserID][]chat.Event{
		"mallory": events("guest:deleted-1", ""),
		"bob":     events("bob", "said"),
	} {
		for i, event := range events(by, "said") {
			e := Eraser{User: "mallory", As: "guest:deleted-1"}
			got := e.Erase(chat.Record{Event: event}).Event
			if diff := cmp.Diff(want[i], got); diff != "" || e.Found != (by == "mallory") {
				t.Errorf("by %s, found %t (-want +got):\n%s", by, e.Found, diff)
			}
		}
	}
}
