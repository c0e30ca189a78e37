package conversation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/conversation"
	"parlor/persistence"
	"parlor/protocol/chat"
)

func TestChargeOf(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	long := strings.Repeat("x", 1000)
	end := func(change func(*chat.TurnEnded)) chat.TurnEnded {
		e := chat.TurnEnded{TurnID: "t", MessageID: "answer", ModelID: "b", Content: "12345678", Usage: &chat.Usage{PromptTokens: 3, CompletionTokens: 4, TotalTokens: 7}}
		change(&e)
		return e
	}
	charge := func(user, model string, c persistence.Count) *persistence.Charge {
		return &persistence.Charge{User: user, Hour: persistence.HourOf(at), Room: "room", Model: model, Count: c}
	}
	for _, test := range []struct {
		name string
		e    chat.Event
		want *persistence.Charge
	}{
		{"a message", says("alice", "n"), nil},
		{"the end of a turn", end(func(*chat.TurnEnded) {}), charge("alice", "b", persistence.Count{Prompt: 3, Completion: 4, Turns: 1})},
		{"a turn that thought", end(func(e *chat.TurnEnded) { e.Usage.TotalTokens = 20 }), charge("alice", "b", persistence.Count{Prompt: 3, Completion: 17, Turns: 1})},
		{"an estimate", end(func(e *chat.TurnEnded) { e.Usage.Estimated = true }), charge("alice", "b", persistence.Count{Prompt: 3, Completion: 4, Turns: 1, Estimated: 1})},
		{"an old record", end(func(e *chat.TurnEnded) { e.Usage = nil }), charge("alice", "b", persistence.Count{Completion: 2, Turns: 1, Estimated: 1})},
		{"an old record without text", end(func(e *chat.TurnEnded) { e.Usage, e.Content = nil, "" }), charge("alice", "b", persistence.Count{Turns: 1})},
		{"nonsense", end(func(e *chat.TurnEnded) {
			e.Usage = &chat.Usage{PromptTokens: -3, CompletionTokens: -1, TotalTokens: -4}
		}), charge("alice", "b", persistence.Count{Turns: 1})},
		{"a model with a name that cannot be kept", end(func(e *chat.TurnEnded) { e.ModelID = chat.ModelID("\x00" + long) }),
			charge("alice", long[:persistence.MaxModelLen-1], persistence.Count{Prompt: 3, Completion: 4, Turns: 1})},
		{"a turn that never began", end(func(e *chat.TurnEnded) { e.MessageID = "" }), nil},
		{"a turn that is not open", end(func(e *chat.TurnEnded) { e.TurnID = "x" }), nil},
		{"a title", chat.Configured{ModelID: "a", Usage: &chat.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3, Estimated: true}},
			charge("alice", "a", persistence.Count{Prompt: 1, Completion: 2})},
		{"settings", chat.Configured{By: "alice"}, nil},
	} {
		w := scene(t, says("alice", "m"), wants("t", "m", 2), begins("t", 1))
		var got *persistence.Charge
		if c, ok := conversation.ChargeOf(&w.head, chat.Record{Seq: 5, At: at, Event: test.e}); ok {
			got = &c
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
