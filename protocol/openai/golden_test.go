package openai

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// TestGolden compares all that clients are told with testdata/wire.txt.
func TestGolden(t *testing.T) {
	const file = "testdata/wire.txt"
	var got strings.Builder
	section := func(name string, frames ...[]byte) {
		fmt.Fprintf(&got, "-- %s --\n", name)
		for _, f := range frames {
			fmt.Fprintf(&got, "%s\n", strings.TrimRight(string(f), "\n"))
		}
	}
	object := func(name string, v any) { section(name, encode(v)) }
	usage := &chat.Usage{PromptTokens: 11, CompletionTokens: 4, TotalTokens: 15}

	whole := script{[]string{"dead", "I 😀"}, chat.TurnEnded{State: chat.StateCompleted, Content: "I 😀", Usage: usage, Finish: chat.FinishStop}}
	section("a crash, and a second attempt", streamed(t, whole.tell(codePoints), Begin)...)
	section("the same, from event 16777218 on", streamed(t, standing(whole.tell(codePoints)), 16777218)...)
	for _, end := range []chat.TurnEnded{
		{State: chat.StateStopped, Content: "so far", By: "bob"},
		{State: chat.StateFailed, Content: "so far", Error: chat.Refuse(chat.CodeProviderError, "no answer")},
		{State: chat.StateInterrupted, Content: "so", Reason: "the server was restarted too often"},
		{State: chat.StateCompleted, Content: "so far", Finish: chat.FinishLength},
	} {
		section("ended "+string(end.State)+" "+string(end.Finish), streamed(t, script{[]string{"so far"}, end}.tell(codePoints), 9)...)
	}
	section("never started", streamed(t, script{nil, chat.TurnEnded{State: chat.StateStopped}}.tell(codePoints), Begin)...)

	turn := NewTurn(responseID, chat.Info{ID: "room-1", ModelID: "eliza", Settings: chat.Settings{SystemPrompt: "be brief"}})
	turn.Take(queued())
	object("a response that waits", turn.Response(""))
	turn.Take(started(2))
	object("a response in progress", turn.Response("so far"))
	alone := Alone("resp_x", turnID, "be kind", nil)
	alone.Take(queued())
	object("a response that is not stored", alone.Response(""))

	calls := []chat.ToolCall{{ID: "abcdefghi", Given: "call_1", Name: "add", Arguments: `{"a":1}`}, {ID: "bcdefghij", Name: "now", Arguments: "{}"}}
	for _, text := range []string{"I add.", ""} {
		section("calls of the caller's tools behind the text "+text, endedWith(t, text, calls)...)
	}

	object("item of a user", ItemOf(chat.Message{ID: "m1", Role: chat.RoleUser, Content: "hi", State: chat.StateCompleted}))
	object("item of an assistant", ItemOf(chat.Message{ID: "m2", Role: chat.RoleAssistant, Content: "hello", State: chat.StateStopped}))
	object("list", NewList([]Item{ItemOf(chat.Message{ID: "m1", Role: chat.RoleUser, Content: "hi"})}, true))
	object("empty list", NewList[Item](nil, false))
	object("conversation", ConversationOf(chat.Info{ID: "c", ModelID: "eliza", Created: start, Settings: chat.Settings{Title: "t"}}))
	object("deleted conversation", DeletedConversation("c"))
	object("deleted response", DeletedResponse("resp_x"))
	object("models", ModelsOf([]chat.Model{{ID: "eliza", Provider: "eliza"}}))

	c := Completion{"chatcmpl-1", start.Unix(), "eliza"}
	section("completion", c.Whole("hi", chat.FinishStop, usage))
	section("chunks", c.First(), c.Next("hi"), c.Last(chat.FinishLength), c.Usage(usage), ChunkOf(ErrorOf(chat.Refuse(chat.CodeProviderError, "no answer"))), []byte(Done))
	section("completion with calls", c.Whole("", chat.FinishStop, usage, calls...))
	section("chunks with calls", c.Calls(calls), c.Last(chat.FinishStop, calls...))
	section("error event", ErrorFrame(ErrorOf(chat.Refuse(chat.CodeNotFound, "gone"))))
	for _, code := range []chat.Code{
		chat.CodeUnauthenticated, chat.CodeForbidden, chat.CodeNotFound, chat.CodeInvalid, chat.CodeTooLarge, chat.CodeRateLimited, chat.CodeBusy,
		chat.CodeBudgetExceeded, chat.CodeQuotaExceeded, chat.CodeExpired, chat.CodeConflict, chat.CodeProviderError, chat.CodeProviderTimeout,
		chat.CodeStorageUnavailable, chat.CodeQuarantined, chat.CodeInternal,
	} {
		e := ErrorOf(chat.Refuse(code, "why"))
		section(fmt.Sprintf("%s: %d, final %v", code, e.Status, e.Final), e.Body())
	}
	section("no model", NoModel(chat.Refuse(chat.CodeNotFound, "there is no model x")).Body())
	section("no previous", NoPrevious("why").Body())

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
		t.Errorf("%s (-file +got), rewrite it with -update:\n%s", file, diff)
	}
}

func streamed(t *testing.T, all []told, after int64) (frames [][]byte) {
	t.Helper()
	s, encoder := NewStream(NewTurn(responseID, info), after), new(Encode)
	for _, n := range all {
		f, err := s.Take(encoder.Encode("", n.notice))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	return frames
}

// endedWith returns the events of a response that belongs to no chat and ends with calls.
func endedWith(t *testing.T, text string, calls []chat.ToolCall) (frames [][]byte) {
	t.Helper()
	s, encoder := NewStream(Alone("resp_x", turnID, "", json.RawMessage(`[{"type":"function","name":"add"}]`)), Begin), new(Encode)
	s.Call(calls)
	for _, n := range (script{[]string{text}, chat.TurnEnded{State: chat.StateCompleted, Content: text}}).tell(codePoints) {
		f, err := s.Take(encoder.Encode("", n.notice))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	return frames
}

func TestIDs(t *testing.T) {
	for _, id := range []ResponseID{responseID, {Chat: "a_b_c/ü%", Turn: turnID, Seq: 1 << 40}, {Chat: "a.2_b", Turn: turnID, Seq: 1, Part: 2}, {Chat: "c", Turn: turnID, Seq: 1, Functions: true}, {Chat: "c", Turn: turnID, Seq: 9, Part: 11, Functions: true}} {
		if got, ok := ParseResponseID(id.String()); !ok || got != id {
			t.Errorf("%s: %v, %v", id, got, ok)
		}
	}
	for _, s := range []string{"", "resp_", "resp_1", "resp_1_t", "resp_1_t_", "resp_0_t_c", "resp_01_t_c", "resp_-1_t_c", "resp_1__c", "resp_x_t_c", "resp_1_t_a b", "1_t_c", "resp_1_t.1_c", "resp_1_t.0_c", "resp_1_t.-2_c", "resp_1_t.02_c", "resp_1_t._c", "resp_1_t.2ff_c", "resp_1_t.x_c", "resp_1_.2_c", "resp_1_t.2.2_c"} {
		if got, ok := ParseResponseID(s); ok {
			t.Errorf("%q is taken for %v", s, got)
		}
	}
	if id, ok := ParseConversationID(ConversationID("a_b")); id != "a_b" || !ok {
		t.Errorf("conversation %q, %v", id, ok)
	}
	for attempt := range 3 {
		if id, ok := ParseItemID(ItemID(messageID, attempt, 0)); id != messageID || !ok {
			t.Errorf("item %q, %v", id, ok)
		}
	}
}

func FuzzParseResponseID(f *testing.F) {
	f.Add(responseID.String())
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := ParseResponseID(s); ok && id.String() != s {
			t.Errorf("%q is %q", s, id)
		}
	})
}
