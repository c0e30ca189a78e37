package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// The room of a chat is part of what clients remember, and of the key of its
// log: it must be the same in every version.
func TestRoomIDsAreStable(t *testing.T) {
	for id, want := range map[ID]RoomID{
		"":                                     "r4oymiquy7qobjgx36tejs35z",
		"the-chat":                             "rf74rhscgm3uacyrl3izqi7fb",
		"7b1d7b84-5b0e-4a3c-9f2e-0b8f6d5e4c3a": "r7x6mmatkmdxdk2d4lg7w6f4f",
	} {
		if got := id.Room(); got != want {
			t.Errorf("room of %q: got %s, want %s", id, got, want)
		}
		if !id.Room().Valid() {
			t.Errorf("room of %q: not valid", id)
		}
	}
	if ID("a").Room() == ID("b").Room() {
		t.Error("two chats share a room")
	}
}

func TestRoomIDValid(t *testing.T) {
	valid := ID("the-chat").Room()
	for _, id := range []RoomID{
		"", "r", valid[1:], valid + "a", valid[:24], valid[:24] + "1", valid[:24] + "A", valid[:24] + "\n", "x" + valid[1:],
		valid[:12] + "/" + valid[13:], "R" + valid[1:],
	} {
		if id.Valid() {
			t.Errorf("%q is valid", id)
		}
	}
}

func TestNamesValid(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "A-1_b.c": true, "äöü": true, "会話": true, "😀": true, "room/1": true, strings.Repeat("x", 128): true,
		"": false, " ": false, "a b": false, "a\tb": false, "a\n": false, "a\u00a0b": false, "a\u2028b": false, "a\u200bb": false,
		"\x00": false, "\x7f": false, "\xff": false, "a\ufffdb": false, strings.Repeat("x", 129): false, strings.Repeat("é", 65): false,
	} {
		if got := ID(name).Valid(); got != want {
			t.Errorf("chat id %q: got %v, want %v", name, got, want)
		}
		if got := ClientID(name).Valid(); got != want {
			t.Errorf("client id %q: got %v, want %v", name, got, want)
		}
	}
	for _, dots := range []ID{".", ".."} {
		if dots.Valid() {
			t.Errorf("chat id %q is valid", dots)
		}
	}
}

// TestRecordRoundTrip: a record comes back from the log as it went in.
func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := drawRecord(rt)
		b, err := want.Encode()
		if err != nil {
			rt.Fatal(err)
		}
		got, err := DecodeRecord(want.Seq, b)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			rt.Errorf("%s (-want +got):\n%s", b, diff)
		}
	})
}

func drawRecord(rt *rapid.T) Record {
	at := time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(rt, "at")).UTC()
	events := []*rapid.Generator[Event]{
		drawEvent[Created](), drawEvent[MessageAdded](), drawEvent[TurnQueued](), drawEvent[TurnStarted](), drawEvent[TurnEnded](),
		drawEvent[MemberChanged](), drawEvent[InviteRevoked](),
	}
	event := rapid.OneOf(events...).Draw(rt, "event")
	if c, ok := event.(Created); ok {
		c.Chat.Created = at
		event = c
	}
	return Record{Seq: rapid.Uint64().Draw(rt, "seq"), At: at, Event: event}
}

func drawEvent[E Event]() *rapid.Generator[Event] {
	return rapid.Map(rapid.Make[E](), func(e E) Event {
		if added, ok := any(e).(MessageAdded); ok {
			added.Author.Guest, added.Author.Only, added.Author.Admin = false, "", false // not recorded
			for i := range added.Tools {
				added.Tools[i].Parameters = json.RawMessage(`{"type":"object"}`) // wires let nothing else in
			}
			return added
		}
		return e
	})
}

func TestDecodeRecordRefuses(t *testing.T) {
	_, err := DecodeRecord(1, []byte(`{"type":"turned_into_a_frog","at":"2000-01-01T00:00:00Z","data":{}}`))
	if !errors.Is(err, ErrUnknownEvent) {
		t.Errorf("unknown event: got %v, want %v", err, ErrUnknownEvent)
	}
	for _, b := range []string{``, `{`, `null`, `{"type":"created","data":5}`, `{"type":"created"}`, `{"type":"created","at":"yesterday"}`} {
		if _, err := DecodeRecord(7, []byte(b)); err == nil || !strings.Contains(err.Error(), "record 7") {
			t.Errorf("%s: got error %v, want one that names the record", b, err)
		}
	}
}

// A file that is imported need not be written as the log is.
func TestDecodeRecordWrittenByHand(t *testing.T) {
	const byHand = ` { "data" : {"content": "hi"}, "at": "2000-01-01T00:00:00Z", "type" : "message_added" }`
	want := Record{Seq: 7, At: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), Event: MessageAdded{Content: "hi"}}
	got, err := DecodeRecord(7, []byte(byHand))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// FuzzDecodeRecord: a log may be damaged, which is an error and no more; what
// can be read means the same when it is written again.
func FuzzDecodeRecord(f *testing.F) {
	for _, e := range []Event{
		Created{Info{ID: "c", Room: "r", Owner: "u"}}, MessageAdded{MessageID: "m", Content: "hi", Steers: "t"}, TurnQueued{TurnID: "t"},
		Configured{Settings: Settings{Title: "T", Policy: PolicySteer}}, TurnSteered{TurnID: "t", Messages: []MessageID{"m"}}, ToolStarted{TurnID: "t", Tool: ToolCall{ID: "c", Name: "search"}},
		TurnStarted{TurnID: "t", Attempt: 1}, TurnEnded{TurnID: "t", State: StateFailed, Usage: &Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}, Error: Refuse(CodeInternal, "no")},
	} {
		b, err := Record{Seq: 1, Event: e}.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		record, err := DecodeRecord(1, b)
		if err != nil {
			return
		}
		again, err := record.Encode()
		if err != nil {
			t.Skip(err) // a time that JSON cannot write
		}
		got, err := DecodeRecord(1, again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(record, got); diff != "" {
			t.Errorf("written again (-first +second):\n%s", diff)
		}
		checkHeads(t, record, again)
	})
}

// checkHeads compares what is seen of an encoded record with what it is.
func checkHeads(t *testing.T, r Record, encoded []byte) {
	t.Helper()
	_, isMessage := r.Message()
	_, ends := r.Event.(TurnEnded)
	if EndsTurn(encoded) != ends || HoldsMessage(encoded) != isMessage {
		t.Errorf("%s: EndsTurn %v, HoldsMessage %v", encoded, EndsTurn(encoded), HoldsMessage(encoded))
	}
	added, ok := r.Event.(MessageAdded)
	plain := len(added.MessageID) <= 36 && strings.Trim(string(added.MessageID), "0123456789abcdef-") == "" // as UUIDs are
	if ok && plain && !AddsMessage(encoded, added.MessageID) {
		t.Errorf("%s: does not add its message", encoded)
	}
	if !ok && AddsMessage(encoded, "") {
		t.Errorf("%s: adds a message", encoded)
	}
}

// FuzzNames checks what others rely on when they take a name that is valid:
// that it is one word of an event's name, and the same after JSON.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"", "a", ".", "..", "a b", "会話😀", "\xff", "\ufffd", "a\u200bb", "\"\\<&>", "rf74rhscgm3uacyrl3izqi7fb", strings.Repeat("x", 128)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !ID(name).Room().Valid() {
			t.Errorf("the room of %q is not valid", name)
		}
		if ID(name).Valid() && !ClientID(name).Valid() {
			t.Errorf("%q is a chat id and no client id", name)
		}
		if !ClientID(name).Valid() && !RoomID(name).Valid() {
			return
		}
		if words := strings.Fields("word " + name); len(words) != 2 || words[1] != name || len(name) > MaxIDLen {
			t.Errorf("%q is valid and not one short word", name)
		}
		b, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(b, &got); err != nil || got != name {
			t.Errorf("%q comes back as %q, %v", name, got, err)
		}
	})
}

func TestRecordMessage(t *testing.T) {
	at := time.UnixMilli(1).UTC()
	for _, test := range []struct {
		event Event
		want  *Message
	}{
		{Created{}, nil},
		{TurnQueued{TurnID: "t"}, nil},
		{TurnStarted{TurnID: "t", MessageID: "m"}, nil},
		{TurnEnded{TurnID: "t", State: StateStopped}, nil}, // it never started
		{
			MessageAdded{MessageID: "m", Author: User{ID: "u"}, Content: "hi", ModelID: "x", ClientID: "c"},
			&Message{ID: "m", Seq: 3, Role: RoleUser, Content: "hi", Author: &User{ID: "u"}, ModelID: "x", State: StateCompleted, ClientID: "c", Created: at},
		},
		{
			TurnEnded{MessageID: "m", ModelID: "x", State: StateFailed, Content: "so far", Usage: &Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}, Error: Refuse(CodeInternal, "no"), By: "u", Reason: "r"},
			&Message{ID: "m", Seq: 3, Role: RoleAssistant, Content: "so far", ModelID: "x", State: StateFailed, Usage: &Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3},
				Error: Refuse(CodeInternal, "no"), By: "u", Reason: "r", Created: at},
		},
	} {
		got, ok := Record{Seq: 3, At: at, Event: test.event}.Message()
		if ok != (test.want != nil) {
			t.Errorf("%T: got a message: %v", test.event, ok)
		}
		if test.want == nil {
			continue
		}
		if diff := cmp.Diff(*test.want, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", test.event, diff)
		}
	}
}

func TestTurnState(t *testing.T) {
	if got := (Turn{}).State(); got != StateQueued {
		t.Errorf("no attempt: got %s, want %s", got, StateQueued)
	}
	if got := (Turn{Attempt: 2}).State(); got != StateRunning {
		t.Errorf("second attempt: got %s, want %s", got, StateRunning)
	}
}

// An error that is no refusal of ours is told to clients without its text.
func TestAsError(t *testing.T) {
	refusal := Refuse(CodeBusy, "later")
	if got := AsError(fmt.Errorf("append to room: %w", refusal)); got != refusal {
		t.Errorf("wrapped: got %v", got)
	}
	secret := &fs.PathError{Op: "open", Path: "/secret", Err: fs.ErrPermission}
	if got := AsError(secret); got.Code != CodeInternal || strings.Contains(got.Message, "secret") {
		t.Errorf("other: got %v", got)
	}
	if got := AsError(nil); got != nil {
		t.Errorf("nil: got %v", got)
	}
	if got, want := refusal.Error(), "busy: later"; got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
	b, err := json.Marshal(refusal)
	if got, want := string(b), `{"code":"busy","message":"later"}`; got != want || err != nil {
		t.Errorf("JSON: got %s, %v, want %s", got, err, want)
	}
}

// Pages mangle other offsets than Z.
func TestTimestamp(t *testing.T) {
	at := time.Date(2024, 2, 29, 1, 2, 3, 4_500_000, time.FixedZone("", -5*3600))
	if got, want := Timestamp(at), "2024-02-29T06:02:03.004Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The head of an encoded record, read without decoding it, agrees with the record.
func TestHeads(t *testing.T) {
	id := MessageID("0199f5e0-1111-7000-8000-000000000001")
	for _, event := range []Event{
		Created{}, TurnQueued{Prompt: id}, TurnStarted{MessageID: id},
		MessageAdded{MessageID: id, Content: "x"}, MessageAdded{MessageID: "other", Content: strings.Repeat("x", 1000) + string(id)},
		MessageAdded{MessageID: "new", Replaces: id, ReplacesSeq: 1, Content: strings.Repeat("x", 1000)}, MessageAdded{Content: `"replaces":"x"`},
		MessageWithdrawn{MessageID: id, Seq: 1}, TurnMoved{TurnID: "t"}, Reacted{MessageID: id, Seq: 1, Name: "smile", By: "alice"}, BranchSelected{MessageID: id, After: 1},
		TurnQueued{Prompt: id, PromptSeq: 1, Again: "a", First: "a", FirstSeq: 2},
		TurnEnded{TurnID: "t", MessageID: id}, TurnEnded{TurnID: "t", MessageID: id, Prompt: id, PromptSeq: 100, Content: "x"},
		TurnEnded{TurnID: "t", MessageID: id, Prompt: id, PromptSeq: 99, Version: 101, First: id}, TurnEnded{MessageID: id, PromptSeq: 1, Content: "x"}, TurnEnded{TurnID: "t", Reason: `"message_id":"x"`},
	} {
		b, err := Record{Seq: 1, Event: event}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		added, isAdded := event.(MessageAdded)
		end, ends := event.(TurnEnded)
		if got, want := AddsMessage(b, id), isAdded && added.MessageID == id; got != want {
			t.Errorf("%T: AddsMessage %v, want %v", event, got, want)
		}
		before := Branches{said: 1}
		after, err := before.Add(102, b)
		if want := before.After(Record{Seq: 102, Event: event}); err != nil || !after.Equal(want) {
			t.Errorf("%+v: Add makes %+v, %v, want %+v", event, after, err, want)
		}
		if EndsTurn(b) != ends || HoldsMessage(b) != (isAdded || end.MessageID != "") {
			t.Errorf("%T: EndsTurn %v, HoldsMessage %v", event, EndsTurn(b), HoldsMessage(b))
		}
	}
}

// Records that named the API of their model say that it is asked in sessions;
// no text can say so.
func TestOldRecordsAreDuplex(t *testing.T) {
	const api = `"model_api_source":"openai_realtime"`
	for data, want := range map[string]bool{
		`{"message_id":"m",` + api + `}`:                                  true,
		`{"message_id":"m","duplex":true}`:                                true,
		`{"message_id":"m","model_api_source":"aisuite"}`:                 false,
		`{"message_id":"m","content":` + strconv.Quote(`{`+api+`}`) + `}`: false,
	} {
		for _, kind := range []string{"message_added", "turn_started", "turn_ended"} {
			r, err := DecodeRecord(1, []byte(`{"type":"`+kind+`","at":"2026-01-02T03:04:05Z","data":`+data+`}`))
			if err != nil {
				t.Fatal(err)
			}
			var got bool
			switch e := r.Event.(type) {
			case MessageAdded:
				got = e.Duplex
			case TurnStarted:
				got = e.Duplex
			case TurnEnded:
				got = e.Duplex
			}
			if got != want {
				t.Errorf("%s %s: duplex is %v, want %v", kind, data, got, want)
			}
		}
	}
}
