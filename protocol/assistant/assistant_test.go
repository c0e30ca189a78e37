package assistant

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestRecords compares how the records of a chat are told, in each dialect,
// with testdata/records.txt.
func TestRecords(t *testing.T) {
	const file = "testdata/records.txt"
	var got strings.Builder
	for _, test := range records() {
		fmt.Fprintf(&got, "-- %s --\n", test.name)
		for _, d := range []Dialect{Documented, SPA} {
			for _, f := range recorded(d, "ROOM", test.record()) {
				fmt.Fprintf(&got, "%s\n", f.Data)
			}
		}
	}
	fmt.Fprintf(&got, "-- delta --\n%s\n-- gone --\n", Delta(Documented, "ROOM", "answer", 7, "\"😀\"\n")[0].Data)
	for _, n := range []chat.Removal{{}, {Left: true}, {Away: true}} {
		fmt.Fprintf(&got, "%s\n", gone("ROOM", n)[0].Data)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("%s (-file +got):\n%s", file, diff)
	}
}

type recordTest struct {
	name  string
	event chat.Event
}

func (r recordTest) record() chat.Record {
	return chat.Record{Seq: 5, At: time.UnixMilli(1_700_000_000_123), Event: r.event}
}

var twoCalls = []chat.ToolCall{{ID: "c1", Name: "look", Arguments: `{"a":1}`}, {ID: "c2", Name: "pay", Arguments: `{"sum":`, NeedsApproval: true}}

func records() []recordTest {
	ended := func(change func(*chat.TurnEnded)) chat.TurnEnded {
		e := chat.TurnEnded{TurnID: "turn", MessageID: "answer", Prompt: "question", Correlation: "bubble", ModelID: "model"}
		change(&e)
		return e
	}
	live := func(change func(*chat.TurnEnded)) chat.TurnEnded {
		return ended(func(e *chat.TurnEnded) {
			e.Correlation, e.Duplex = "", true
			change(e)
		})
	}
	refusal := chat.Refuse(chat.CodeProviderError, "out of order")
	return []recordTest{
		{"created", chat.Created{Chat: chat.Info{ID: "chat"}}},
		{"message", chat.MessageAdded{
			MessageID: "question", Author: chat.User{ID: "alice", Name: "Alice"}, Content: "<hello> \u2028", ModelID: "model", ClientID: "a1",
		}},
		{"message that steers", chat.MessageAdded{MessageID: "question", Author: chat.User{ID: "alice"}, Content: "hello", ModelID: "model", Steers: "turn"}},
		{"message that replaces another", chat.MessageAdded{
			MessageID: "question", Replaces: "old question", ReplacesSeq: 3, Author: chat.User{ID: "alice"}, Content: "hello", ModelID: "model",
		}},
		{"turn steered", chat.TurnSteered{TurnID: "turn", Messages: []chat.MessageID{"question"}}},
		{"turn queued before another", chat.TurnQueued{TurnID: "turn", Prompt: "question", PromptSeq: 4, ModelID: "model", By: "alice", Before: "other"}},
		{"turn queued", chat.TurnQueued{TurnID: "turn", Prompt: "question", ModelID: "model", By: "alice", Correlation: "bubble"}},
		{"turn started", chat.TurnStarted{TurnID: "turn", MessageID: "answer", ModelID: "model", Attempt: 2}},
		{"turn of a model with a name started", chat.TurnStarted{TurnID: "turn", MessageID: "answer", ModelID: "model", Name: "ada", Attempt: 1}},
		{"turn of a model with a name completed", ended(func(e *chat.TurnEnded) { e.State, e.Content, e.Name, e.PromptSeq = chat.StateCompleted, "a", "ada", 4 })},
		{"turn completed", ended(func(e *chat.TurnEnded) {
			e.State, e.Content, e.Usage = chat.StateCompleted, "a😀", &chat.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}
		})},
		{"turn completed without a word", ended(func(e *chat.TurnEnded) { e.State = chat.StateCompleted })},
		{"turn stopped", ended(func(e *chat.TurnEnded) {
			e.State, e.Content, e.By, e.Reason = chat.StateStopped, "so far", "bob", "enough"
		})},
		{"turn stopped at once", ended(func(e *chat.TurnEnded) { e.State, e.By = chat.StateStopped, "bob" })},
		{"turn stopped at once, with a reason", ended(func(e *chat.TurnEnded) {
			e.State, e.By, e.Reason = chat.StateStopped, "bob", "interrupted by a new message"
		})},
		{"queued turn stopped", ended(func(e *chat.TurnEnded) { e.State, e.MessageID, e.By = chat.StateStopped, "", "bob" })},
		{"queued turn failed", ended(func(e *chat.TurnEnded) { e.State, e.MessageID, e.Error = chat.StateFailed, "", refusal })},
		{"queued live turn failed", live(func(e *chat.TurnEnded) { e.State, e.MessageID, e.Error = chat.StateFailed, "", refusal })},
		{"turn failed", ended(func(e *chat.TurnEnded) { e.State, e.Content, e.Error = chat.StateFailed, "so far", refusal })},
		{"turn failed at once", ended(func(e *chat.TurnEnded) { e.State, e.Error = chat.StateFailed, refusal })},
		{"live message", chat.MessageAdded{
			MessageID: "question", Author: chat.User{ID: "alice"}, Content: "hello", ModelID: "model", Duplex: true,
		}},
		{"live message that nobody understood", chat.MessageAdded{
			MessageID: "question", Author: chat.User{ID: "alice"}, Duplex: true, Modality: chat.ModalityAudio,
		}},
		{"live turn started again", chat.TurnStarted{TurnID: "turn", MessageID: "answer", Attempt: 2, Duplex: true}},
		{"live turn completed", live(func(e *chat.TurnEnded) { e.State, e.Content = chat.StateCompleted, "written" })},
		{"live turn spoken", live(func(e *chat.TurnEnded) {
			e.State, e.Content, e.Modality = chat.StateCompleted, "spoken", chat.ModalityAudio
			e.Usage = &chat.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}
		})},
		{"live turn stopped", live(func(e *chat.TurnEnded) {
			e.State, e.Content, e.By, e.Reason = chat.StateStopped, "so far", "bob", "barge-in"
		})},
		{"live turn failed", live(func(e *chat.TurnEnded) { e.State, e.Content, e.Error = chat.StateFailed, "so far", refusal })},
		{"live turn asked for in the other format", live(func(e *chat.TurnEnded) { e.State, e.Content, e.Correlation = chat.StateCompleted, "whole", "bubble" })},
		{"calls", chat.ToolsCalled{TurnID: "turn", MessageID: "answer", Content: "I look.", Calls: twoCalls, Correlation: "bubble"}},
		{"result", chat.ToolEnded{TurnID: "turn", CallID: "c1", Name: "look", State: chat.ToolCompleted, Result: "seen", Correlation: "bubble"}},
		{"live calls", chat.ToolsCalled{TurnID: "turn", MessageID: "answer", Content: "I look.", Calls: twoCalls, Duplex: true}},
		{"live calls without a word", chat.ToolsCalled{TurnID: "turn", MessageID: "answer", Calls: twoCalls[:1], Duplex: true}},
		{"live result", chat.ToolEnded{TurnID: "turn", CallID: "c1", Name: "look", State: chat.ToolCompleted, Result: "seen", Duplex: true}},
		{"turn interrupted", ended(func(e *chat.TurnEnded) { e.State, e.Reason = chat.StateInterrupted, "restarted too often" })},
	}
}

// A client that chose no dialect is told both, one after the other.
func TestBothIsDocumentedAndSPA(t *testing.T) {
	for _, test := range records() {
		want := append(recorded(Documented, "ROOM", test.record()), recorded(SPA, "ROOM", test.record())...)
		if diff := cmp.Diff(want, recorded(Both, "ROOM", test.record())); diff != "" {
			t.Errorf("%s (-one after the other +both):\n%s", test.name, diff)
		}
	}
	if got := Delta(SPA, "ROOM", "answer", 0, "x"); got != nil {
		t.Errorf("the SPA is told a delta: %s", got[0].Data)
	}
}

// No record is told under a name that throws inside the SPA's page, or with
// what is nobody's business.
func TestNothingPoisoned(t *testing.T) {
	for _, test := range records() {
		for _, f := range recorded(Both, "ROOM", test.record()) {
			for _, bad := range []string{`["room_error",`, `["room_left`, "SECRET"} {
				if strings.Contains(string(f.Data), bad) {
					t.Errorf("%s: %s", test.name, f.Data)
				}
			}
		}
	}
}

// Deltas are encoded by hand: they must say the same as everything else.
func TestDelta(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String().Draw(rt, "text")
		id := chat.MessageID(rapid.String().Draw(rt, "id"))
		offset := rapid.IntRange(0, 1<<40).Draw(rt, "offset")
		var want, got any
		event := map[string]any{"message_id": id, "content": text, "done": false, "offset": offset}
		decodeFrame(rt, Event("stream_chunk", "ROOM", event), &want)
		decodeFrame(rt, Delta(Documented, "ROOM", id, offset, text)[0], &got)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("(-encoding/json +by hand):\n%s", diff)
		}
	})
}

func decodeFrame(t *rapid.T, f engineio.Frame, v any) {
	data, ok := strings.CutPrefix(string(f.Data), "42"+Namespace+",")
	if !ok {
		t.Fatalf("frame %s", f.Data)
	}
	if err := json.Unmarshal([]byte(data), v); err != nil {
		t.Fatalf("frame %s: %v", f.Data, err)
	}
}

// Text is measured as JavaScript does it.
func TestLength(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 2, "€": 1, "😀": 2, "👩‍👧": 5, "\uFFFD": 1, "\uFFFF": 1, "\U00010000": 2} {
		if got := Length(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String().Draw(rt, "text")
		if got, want := Length(text), len(utf16.Encode([]rune(text))); got != want {
			rt.Errorf("got %d, want %d", got, want)
		}
	})
}
