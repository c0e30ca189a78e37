package assistant_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/assistant"
	"parlor/protocol/chat"
)

// Each record is told by the same names and bodies as over Socket.IO.
func TestNamedEvents(t *testing.T) {
	room := chat.ID("c").Room()
	for _, test := range []struct {
		event chat.Event
		want  []string
	}{
		{chat.MessageAdded{MessageID: "m", Content: `a "quoted", text`}, []string{"message"}},
		{chat.TurnStarted{TurnID: "t", MessageID: "m"}, []string{"turn", "stream_start"}},
		{chat.TurnEnded{TurnID: "t", MessageID: "m", Content: "x", State: chat.StateFailed, Error: chat.Refuse(chat.CodeBusy, "so")}, []string{"stream_error", "message", "stream_end", "turn"}},
		{chat.Configured{}, []string{"room_updated"}}, {chat.MemberChanged{}, []string{"members"}}, {chat.OwnerOffered{}, []string{"offer"}},
		{chat.InviteMade{}, []string{"invite"}}, {chat.MessageWithdrawn{}, []string{"withdrawn"}}, {chat.ToolStarted{}, []string{"function_call"}},
		{chat.ToolsCalled{Calls: []chat.ToolCall{{ID: "a"}, {ID: "b", NeedsApproval: true}}}, []string{"function_call", "function_call", "turn"}},
		{chat.ToolsLost{Calls: []string{"a"}}, []string{"approval", "turn"}}, {chat.ToolDecided{CallID: "b"}, []string{"approval", "turn"}},
		{chat.ToolDecided{CallID: "b", Waiting: 1}, []string{"approval"}}, {chat.ToolEnded{CallID: "b"}, []string{"function_result"}},
		{chat.Created{}, nil},
	} {
		var got []string
		for _, e := range assistant.NamedEvents(room, chat.Record{Seq: 7, Event: test.event}) {
			var body map[string]any
			if err := json.Unmarshal(e.Body, &body); err != nil || len(body) == 0 || !slices.Contains(assistant.HookEvents, e.Event) {
				t.Errorf("%T: %s %s: %v", test.event, e.Event, e.Body, err)
			}
			got = append(got, e.Event)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", test.event, diff)
		}
	}
}
