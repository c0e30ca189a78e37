package conversation_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"parlor/protocol/chat"
)

// However much a turn calls, its summary is no more than half of a page of history, and
// says what it has left out. It says where in the answer each call stands.
func TestSummaryIsBounded(t *testing.T) {
	for _, text := range []string{strings.Repeat("é😀", 30_000), strings.Repeat("\x01", 60<<10), strings.Repeat("a", 1<<10)} {
		w := newWorld()
		const turn = "t"
		w.record(says("alice", "m"), wants(turn, "m", 2), begins(turn, 1))
		for step := range 30 {
			called := chat.ToolsCalled{TurnID: turn, Content: "😀 so"}
			for i := range 8 {
				called.Calls = append(called.Calls, chat.ToolCall{ID: fmt.Sprint(step, "-", i), Name: "tool", Arguments: text})
			}
			w.record(called)
			for _, call := range called.Calls {
				w.record(chat.ToolEnded{TurnID: turn, CallID: call.ID, Name: "tool", State: chat.ToolCompleted, Result: text})
			}
		}
		calls := w.head.Summary.Calls
		m := chat.Message{Calls: calls}
		if size := m.EncodedLen(); size > 64<<10 || len(calls) != 128 {
			t.Errorf("%d calls take %d bytes", len(calls), size)
		}
		whole := calls[0].Arguments == text
		for _, call := range calls {
			if !utf8.ValidString(call.Arguments) || call.Cut != (call.Arguments != text || call.Result != text) || call.State != chat.ToolCompleted {
				t.Fatalf("got %.300q", fmt.Sprint(call))
			}
		}
		if whole != (len(text) <= 1<<10) || calls[0].At != 5 || calls[8].At != 12 {
			t.Errorf("whole: %v, at %d and %d", whole, calls[0].At, calls[8].At)
		}
		w.record(chat.TurnEnded{TurnID: turn, State: chat.StateCompleted})
		if w.head.Summary.Calls != nil {
			t.Error("the next turn begins with the calls of this one")
		}
	}
}
