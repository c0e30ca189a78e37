package openwebui

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
)

// Every event that a client may emit is understood, and is refused when it is malformed.
func TestDecode(t *testing.T) {
	for _, c := range []struct {
		event, arg string
		want       Request
	}{
		{"user-join", `{"auth":{"token":"x"}}`, UserJoin{"x"}},
		{"user-join", ``, UserJoin{}},
		{"join-channels", `{"auth":{"token":"x"}}`, JoinChannels{Token: "x"}},
		{"join-channels", `{"chat_ids":["a"],"chat_id":"b"}`, JoinChannels{Chats: []chat.ID{"a", "b"}}},
		{"join-channels", `{"chat_id":"a b"}`, nil},
		{"usage", `{"model":"eliza"}`, Usage{"eliza"}},
		{"usage", `{}`, nil},
		{"usage", `"eliza"`, nil},
		{"user-list", `{"whatever":1}`, ListUsers{}},
		{"heartbeat", `{}`, Heartbeat{}},
		{"channel-events", `{"channel_id":"c","data":{"type":"typing","typing":false}}`, Typing{Chat: "c", Body: json.RawMessage(`{"type":"typing","typing":false}`), Ended: true}},
		{"events:channel", `{"channel_id":"c","message_id":"m","data":{"type":"typing","data":{"typing":true}}}`,
			Typing{Chat: "c", MessageID: json.RawMessage(`"m"`), Body: json.RawMessage(`{"type":"typing","data":{"typing":true}}`)}},
		{"channel-events", `{"channel_id":"c","data":{"type":"typing","data":{"typing":false}}}`, Typing{Chat: "c", Body: json.RawMessage(`{"type":"typing","data":{"typing":false}}`), Ended: true}},
		{"channel-events", `{"channel_id":"c","data":{"type":"message"}}`, Ignored{}},
		{"channel-events", `{"channel_id":"c"}`, nil},
		{"channel-events", `{"data":{"type":"typing"}}`, nil},
		{"channel-events", `{"channel_id":"c","data":{"type":"typing","x":"` + strings.Repeat("x", maxTypingBytes) + `"}}`, nil},
		{"channel-events", "{\"channel_id\":\"c\",\"data\":{\"type\":\"typing\",\"x\":\"\xff\"}}", nil},
		{"channel-events", "{\"channel_id\":\"c\",\"message_id\":\"\xff\",\"data\":{\"type\":\"typing\"}}", nil},
		{"events:channel", `{"channel_id":"c","data":{"type":"last_read_at"}}`, MarkRead{"c"}},
		{"events:chat", `{"chat_id":"c","data":{"type":"last_read_at"}}`, MarkRead{"c"}},
		{"events:chat", `{"chat_id":"","data":{"type":"last_read_at"}}`, nil},
		{"nonsense", `{}`, nil},
	} {
		var args []json.RawMessage
		if c.arg != "" {
			args = append(args, json.RawMessage(c.arg))
		}
		got, refusal := Decode(c.event, args)
		if diff := cmp.Diff(c.want, got); diff != "" && refusal == nil {
			t.Errorf("%s %s (-want +got):\n%s", c.event, c.arg, diff)
		}
		if refused := refusal != nil; refused != (c.want == nil) {
			t.Errorf("%s %s: refused with %v", c.event, c.arg, refusal)
		}
	}
}

func TestFormOf(t *testing.T) {
	for auth, want := range map[string]Form{
		``:                                      Old | New | Room,
		`{"token":"x"}`:                         Old | New | Room,
		`{"events":["chat-events"]}`:            Old,
		`{"events":["events","final"]}`:         New | Room,
		`{"content":"cumulative"}`:              Old | New | Room | Cumulative,
		`{"events":["chat-events","nonsense"]}`: 0,
		`{"content":"whole"}`:                   0,
		`{"events":"chat-events"}`:              0,
	} {
		got, refusal := FormOf(json.RawMessage(auth))
		if refused := refusal != nil; refused != (want == 0) || !refused && got != want {
			t.Errorf("%s: got %v, %v, want %v", auth, got, refusal, want)
		}
	}
	if n := len(Forms); n != 20 {
		t.Errorf("there are %d forms", n)
	}
}

// All of an answer, told again as it grows, takes bytes that are linear in its length.
func TestCumulativeIsLinear(t *testing.T) {
	told := func(pieces int) (bytes int) {
		e := NewEncoder(Old|Cumulative, theChat)
		var text []byte
		for range pieces {
			for _, f := range e.Frames(chat.Text{Turn: theTurn, Before: text, Piece: "word "}) {
				bytes += len(f.Data)
			}
			text = append(text, "word "...)
		}
		return bytes
	}
	if once, tenfold := told(1000), told(10_000); tenfold > 12*once {
		t.Errorf("an answer that is ten times as long took %d bytes, and the other %d", tenfold, once)
	}
}

// A client that is behind has the same text, in fewer frames, and what is no piece of an
// answer stays in its place.
func TestCoalesce(t *testing.T) {
	for _, form := range []Form{Old | New | Room | Messages, Old | Cumulative} {
		e := NewEncoder(form, theChat)
		var frames []engineio.Frame
		var text []byte
		tell := func(n chat.Notice) { frames = append(frames, e.Frames(n)...) }
		say := func(piece string) {
			tell(chat.Text{Turn: theTurn, Before: slices.Clone(text), Piece: piece})
			text = append(text, piece...)
		}
		for range 100 {
			say(`"quoted", `)
		}
		tell(chat.Progress{MessageID: theTurn.MessageID, Model: "other"})
		for range 100 {
			say("}}}] ")
		}
		before := len(frames)
		after := Coalesce(frames)
		if len(after) >= before/10 {
			t.Errorf("%s: %d frames became %d", form, before, len(after))
		}
		for _, event := range []string{"chat-events", "events", "stream"} {
			if got, want := textIn(t, after, event), textIn(t, frames, event); got != want {
				t.Errorf("%s %s: got %q, want %q", form, event, got, want)
			}
		}
	}
}

// textIn returns the text that a client of the event has in the end.
func textIn(t *testing.T, frames []engineio.Frame, event string) (text string) {
	for _, f := range frames {
		name, arg := parse(t, f)
		if name != event {
			continue
		}
		var body struct {
			Content string
			Data    struct {
				Type string
				Data struct {
					Content string
					Choices []struct{ Delta struct{ Content string } }
				}
			}
		}
		if err := json.Unmarshal(arg, &body); err != nil {
			t.Fatal(err)
		}
		switch whole := body.Data.Data.Content; {
		case whole != "":
			text = whole
		case len(body.Data.Data.Choices) > 0:
			text += body.Data.Data.Choices[0].Delta.Content
		default:
			text += body.Content
		}
	}
	return text
}

func parse(t *testing.T, f engineio.Frame) (name string, arg json.RawMessage) {
	t.Helper()
	var event []json.RawMessage
	text, ok := strings.CutPrefix(string(f.Data), "42")
	if !ok || json.Unmarshal([]byte(text), &event) != nil || len(event) != 2 || json.Unmarshal(event[0], &name) != nil {
		t.Fatalf("not an event with one argument: %s", f.Data)
	}
	return name, event[1]
}

// For any words, each frame is an event with one object, and nothing of the text is lost.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{"", "hello", "<b>&\u2028\"\\", "😀\x00\x1e", "\xff\xc3(", `"},"finish_reason":null}]}}}]`, `","content":"`} {
		f.Add(seed, "id")
	}
	f.Fuzz(func(t *testing.T, text, id string) {
		turn := chat.Turn{ID: "t", MessageID: "m", Correlation: Correlation(id)}
		for _, form := range Forms {
			e := NewEncoder(form, theChat)
			var frames []engineio.Frame
			for i, piece := range []string{text, "+", text} {
				before := []byte(strings.Join([]string{text, "+"}[:i], ""))
				frames = append(frames, e.Frames(chat.Text{Turn: turn, Before: before, Piece: piece})...)
			}
			for _, n := range conversation() {
				for _, frame := range e.Frames(n) {
					parse(t, frame)
				}
			}
			for _, frame := range frames {
				parse(t, frame)
			}
			if form&Cumulative != 0 || !utf8.ValidString(text) {
				continue
			}
			for _, frames := range [][]engineio.Frame{frames, Coalesce(frames)} {
				if form&Old != 0 {
					if got := textIn(t, frames, "chat-events"); got != text+"+"+text {
						t.Errorf("%s: got %q of %q", form, got, text)
					}
				}
			}
		}
	})
}

// All that a client emits is understood or refused.
func FuzzDecode(f *testing.F) {
	for _, event := range Events() {
		f.Add(event, `{"auth":{"token":"x"},"chat_id":"c","channel_id":"c","model":"m","data":{"type":"typing","data":{"typing":true}}}`)
	}
	f.Fuzz(func(t *testing.T, event, arg string) {
		r, refusal := Decode(event, []json.RawMessage{json.RawMessage(arg)})
		if refusal == nil && r == nil {
			t.Errorf("%s %s: neither understood nor refused", event, arg)
		}
	})
}
