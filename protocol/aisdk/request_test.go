package aisdk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

const (
	userX     = `{"id":"x","role":"user","parts":[{"type":"text","text":"hi"}]}`
	earlyX    = `{"id":"w","role":"user","parts":[{"type":"file","url":"data:"}]},{"id":"a","role":"assistant","parts":[{"type":"dynamic-tool"}]}`
	withFile  = `{"id":"x","role":"user","parts":[{"type":"file","mediaType":"text/plain","filename":"a.txt","url":"data:text/plain;base64,aGVsbG8="},{"type":"text","text":"look"}]}`
	fileAlone = `{"id":"x","role":"user","parts":[{"type":"file","mediaType":"text/plain","url":"data:text/plain;base64,aGVsbG8="}]}`
	decides   = `{"id":"a","role":"assistant","parts":[{"type":"step-start"},{"type":"dynamic-tool","toolCallId":"c1","state":"output-available","output":"x"},` +
		`{"type":"dynamic-tool","toolCallId":"c2","state":"approval-responded","approval":{"id":"c2","approved":false,"reason":"no"}},{"type":"tool-pay","toolCallId":"c3","state":"approval-requested","approval":{"id":"c3"}}]}`
	answer = `{"id":"a","role":"assistant","parts":[{"type":"text","text":"hello"}]}`
)

func TestDecode(t *testing.T) {
	yes := true
	for body, want := range map[string]Request{
		`{"id":"c","messages":[` + userX + `],"trigger":"submit-message"}`:                                                                         Send{Chat: "c", Message: "x", Content: "hi"},
		`{"id":"c","messages":[` + earlyX + `,` + userX + `],"trigger":"submit-message","model_id":"m","policy":"steer","answer":true,"mine":[1]}`: Send{"c", "x", "hi", nil, Options{ModelID: "m", Policy: chat.PolicySteer, Answer: &yes}},
		`{"id":"c","message":` + userX + `}`: Send{Chat: "c", Message: "x", Content: "hi"},
		`{"id":"c","messages":[{"id":"x","role":"user","metadata":{},"parts":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}`: Send{Chat: "c", Message: "x", Content: "a\nb"},
		`{"id":"c","message":` + withFile + `}`:                                                               Send{Chat: "c", Message: "x", Content: "look", Files: []File{{"a.txt", []byte("hello")}}},
		`{"id":"c","message":` + fileAlone + `}`:                                                              Send{Chat: "c", Message: "x", Files: []File{{"", []byte("hello")}}},
		`{"id":"c","messageId":"x","message":` + withFile + `}`:                                               Edit{Chat: "c", Message: "x", Content: "look"},
		`{"id":"c","messages":[` + userX + `],"trigger":"submit-message","messageId":"x"}`:                    Edit{Chat: "c", Message: "x", Content: "hi"},
		`{"id":"c","messages":[` + userX + `],"trigger":"regenerate-message"}`:                                Regenerate{Chat: "c", Message: "x"},
		`{"id":"c","messages":[` + userX + `],"trigger":"regenerate-message","messageId":"a","model_id":"m"}`: Regenerate{"c", "x", "a", Options{ModelID: "m"}},
		`{"id":"c","trigger":"regenerate-message"}`:                                                           Regenerate{Chat: "c"},
		`{"id":"c","messages":[` + userX + `,` + answer + `],"trigger":"submit-message","messageId":"a"}`:     Continue{Chat: "c", Answer: "a", Calls: map[string]Known{}},
		`{"id":"c","messages":[` + decides + `],"trigger":"submit-message","messageId":"a","sdk_version":6}`: Continue{Chat: "c", Answer: "a", Calls: map[string]Known{
			"c1": {State: "output-available", Answer: &chat.AnswerCall{CallID: "c1", Result: "x"}}, "c2": {State: "approval-responded", Decision: &chat.Decide{CallID: "c2", Reason: "no"}}, "c3": {State: "approval-requested"},
		}},
		`{"id":"c","message":` + userX + `,"tools":[{"name":"look","description":"Looks."}]}`: Send{Chat: "c", Message: "x", Content: "hi", Options: Options{
			Tools: []chat.Tool{{Name: "look", Description: "Looks.", Schema: []byte(`{"type":"object","properties":{}}`), OnPage: true}},
		}},
		`{"id":"c","message":{"id":"a","role":"assistant","parts":[{"type":"dynamic-tool","toolCallId":"1","state":"output-available","output":{"n":1}},` +
			`{"type":"tool-look","toolCallId":"2","state":"output-available","output":"text"},{"type":"tool-look","toolCallId":"3","state":"output-error","errorText":"no"},` +
			`{"type":"tool-look","toolCallId":"4","state":"input-available"}]},"messageId":"a"}`: Continue{Chat: "c", Answer: "a", Calls: map[string]Known{
			"1": {State: "output-available", Answer: &chat.AnswerCall{CallID: "1", Result: `{"n":1}`}}, "2": {State: "output-available", Answer: &chat.AnswerCall{CallID: "2", Result: "text"}},
			"3": {State: "output-error", Answer: &chat.AnswerCall{CallID: "3", Result: "no", Failed: true}}, "4": {State: "input-available"},
		}},
		`{"id":"c","message":` + userX + `,"sdk_version":5}`: Send{Chat: "c", Message: "x", Content: "hi", Options: Options{Old: true}},
	} {
		got, refusal := Decode([]byte(body))
		if diff := cmp.Diff(want, got); refusal != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", body, refusal, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	send := func(message string) string {
		return `{"id":"c","messages":[` + message + `],"trigger":"submit-message"}`
	}
	parts := func(parts string) string { return send(`{"id":"x","role":"user","parts":` + parts + `}`) }
	for body, want := range map[string]string{
		``:                                    "must be a JSON object",
		`[]`:                                  "must be a JSON object",
		`{`:                                   "is not JSON",
		`{"id":7}`:                            "wrong type: id",
		`{"messages":[` + userX + `]}`:        "id is missing",
		`{"id":"a b"}`:                        "without spaces",
		`{"id":"c"}`:                          "messages is empty",
		`{"id":"c","messages":[]}`:            "messages is empty",
		`{"id":"c","messages":[null]}`:        "messages is empty",
		`{"id":"c","messages":["hi"]}`:        "the last message must be a JSON object",
		`{"id":"c","messages":"hi"}`:          "wrong type: messages",
		send(answer):                          "must be the user's",
		send(`{"id":"s","role":"system"}`):    "must be the user's",
		send(`{"id":"x","role":"user"}`):      "has no parts",
		parts(`[]`):                           "is empty",
		parts(`[{"type":"text","text":" "}]`): "is empty",
		parts(`[{"type":"text","text":"hi"},{"type":"file","url":"data:"}]`):                                                       "must be in a data URL",
		parts(`[{"type":"file","url":"https://example.com/a.png"}]`):                                                               "must be in a data URL",
		parts(`[{"type":"file","url":"data:text/plain,hello"}]`):                                                                   "must be in a data URL",
		parts(`[{"type":"file","url":"data:;base64,a*"}]`):                                                                         "not in base64",
		parts("[" + strings.Repeat(`{"type":"file","url":"data:;base64,"},`, MaxFiles) + `{"type":"file","url":"data:;base64,"}]`): "may bring 16 files",
		parts(`[{"type":"data-place","data":{}}]`):                                                                                 `"data-place" cannot be sent`,
		parts(`[{"type":"text","text":7}]`):                                                                                        "wrong type: parts.text",
		send(strings.Replace(userX, `"x"`, `"a b"`, 1)):                                                                            "the id of the last message",
		send(strings.Replace(userX, `"x"`, `""`, 1)):                                                                               "the id of the last message",
		send(strings.Replace(userX, `"x"`, `"`+strings.Repeat("x", MaxMessageIDLen+1)+`"`, 1)):                                     "the id of the last message",
		`{"id":"c","messages":[` + userX + `],"messageId":"y"}`:                                                                    "must end with the message that messageId names",
		`{"id":"c","messages":[` + userX + `],"trigger":"shout"}`:                                                                  "trigger must be",
		`{"id":"c","messages":[` + userX + `],"policy":"shout"}`:                                                                   "policy must be",
		`{"id":"c","messages":[` + userX + `],"model_id":"` + strings.Repeat("m", 300) + `"}`:                                      "model_id is too long",
		`{"id":"c","messages":[` + userX + `],"messageId":"` + strings.Repeat("m", 300) + `"}`:                                     "messageId is too long",
		`{"id":"c","messages":[` + answer + `],"trigger":"regenerate-message"}`:                                                    "end with the message to answer",
	} {
		got, refusal := Decode([]byte(body))
		if refusal == nil || refusal.Code != chat.CodeInvalid || !strings.Contains(refusal.Message, want) {
			t.Errorf("%.200s: %+v, refused with %v, want %q", body, got, refusal, want)
		}
	}
}

func TestDecodeFrame(t *testing.T) {
	for _, test := range []struct {
		frame   string
		want    Frame
		refusal string
	}{
		{`{"type":"send","requestId":"r","id":"c","trigger":"submit-message","messages":[` + userX + `],"headers":{},"body":{"model_id":"m"},"metadata":1}`,
			Frame{"send", "r", "c", Send{"c", "x", "hi", nil, Options{ModelID: "m"}}}, ""},
		{`{"type":"resume","requestId":"r","id":"c","headers":{},"body":{}}`, Frame{"resume", "r", "c", nil}, ""},
		{`{"type":"abort","requestId":"r"}`, Frame{"abort", "r", "", nil}, ""},
		{`{"type":"send","requestId":"r","id":"c","messages":[]}`, Frame{"send", "r", "c", nil}, "messages is empty"},
		{`{"type":"resume","requestId":"r","id":" "}`, Frame{"resume", "r", "", nil}, "without spaces"},
		{`{"type":"shout","requestId":"r"}`, Frame{"shout", "r", "", nil}, "type must be"},
		{`{"type":"abort"}`, Frame{"abort", "", "", nil}, "requestId is missing"},
		{`{"type":"abort","requestId":"` + strings.Repeat("r", 200) + `"}`, Frame{"abort", "", "", nil}, "requestId is too long"},
		{`"abort"`, Frame{}, "must be a JSON object"},
	} {
		got, refusal := DecodeFrame([]byte(test.frame))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%.100s (-want +got):\n%s", test.frame, diff)
		}
		if (refusal != nil) != (test.refusal != "") || refusal != nil && !strings.Contains(refusal.Message, test.refusal) {
			t.Errorf("%.100s: refused with %v, want %q", test.frame, refusal, test.refusal)
		}
	}
}

func TestDecodeStop(t *testing.T) {
	for body, want := range map[string]string{"": "", " \n": "", `{}`: "", `{"turn_id":"t"}`: "t"} {
		if got, refusal := DecodeStop([]byte(body)); string(got) != want || refusal != nil {
			t.Errorf("%q: %q, %v", body, got, refusal)
		}
	}
	for _, body := range []string{`[]`, `{"turn_id":7}`, `{"turn_id":"` + strings.Repeat("t", 200) + `"}`} {
		if _, refusal := DecodeStop([]byte(body)); refusal == nil {
			t.Errorf("%.50q is taken", body)
		}
	}
}

// A message keeps the id that useChat gave it, however often it is edited.
func TestIDs(t *testing.T) {
	alice := &chat.User{ID: "alice"}
	first := chat.Message{ID: "m1", Role: chat.RoleUser, Author: alice, Content: "hi", ClientID: "x"}
	second := chat.Message{ID: "m2", Role: chat.RoleUser, Author: alice, Content: "ho", ClientID: EditKey("x", "m1", "ho"), Replaces: "m1"}
	third := chat.Message{ID: "m3", Role: chat.RoleUser, Author: alice, Content: "hi", ClientID: EditKey("x", "m2", "hi"), Replaces: "m2"}
	fourth := chat.Message{ID: "m4", Role: chat.RoleUser, Author: alice, Content: "ho", ClientID: OnceMore(second.ClientID, 1<<64-1), Replaces: "m1"}
	for want, m := range map[string]chat.Message{
		"m4": {ID: "m4", Role: chat.RoleUser, Author: alice},
		"a":  {ID: "a", Role: chat.RoleAssistant, ClientID: "y"},
		"x#0123456789abcdef": { // of another client, which may name its commands as it likes
			ID: "m5", Role: chat.RoleUser, Author: alice, Content: "hi", ClientID: "x#0123456789abcdef", Replaces: "m1"},
	} {
		if got := IDOf(m, "alice"); got != want {
			t.Errorf("%+v: got %q, want %q", m, got, want)
		}
	}
	for _, m := range []chat.Message{first, second, third, fourth} {
		if got := IDOf(m, "alice"); got != "x" {
			t.Errorf("%+v: got %q", m, got)
		}
		if got := IDOf(m, "bob"); got != string(m.ID) {
			t.Errorf("%+v, to somebody else: got %q", m, got)
		}
	}
	keys := map[chat.ClientID]bool{"x": true}
	for _, m := range []chat.Message{second, third, fourth} {
		keys[m.ClientID] = true
		if !m.ClientID.Valid() {
			t.Errorf("%q is no key", m.ClientID)
		}
	}
	if len(keys) != 4 || EditKey("x", "m1", "ho") != second.ClientID {
		t.Errorf("keys %v", keys)
	}
	if longest := OnceMore(EditKey(strings.Repeat("x", MaxMessageIDLen), "m1", "hi"), 1<<64-1); !longest.Valid() {
		t.Errorf("%q is no key", longest)
	}
}

func TestGoldenHistory(t *testing.T) {
	var got strings.Builder
	alice := &chat.User{ID: "alice", Name: "Alice"}
	refusal := chat.Refuse(chat.CodeProviderError, "out of order")
	for _, m := range []chat.Message{
		{ID: "m1", Seq: 4, Role: chat.RoleUser, Author: alice, Content: "<hi>", ClientID: "x", Created: at},
		{ID: "m5", Seq: 8, Role: chat.RoleUser, Author: alice, Content: "look", Files: []chat.File{{ID: "f1", Name: "a.png", Type: "image/png", Size: 7}}, Created: at},
		{ID: "m2", Seq: 5, Role: chat.RoleAssistant, Content: "Yes", Thought: "Hm", State: chat.StateCompleted, ModelID: "model", Name: "ada", Prompt: "m1", Usage: chat.EstimateUsage(1, 2), Created: at},
		{ID: "m3", Seq: 6, Role: chat.RoleAssistant, State: chat.StateFailed, ModelID: "model", Prompt: "m1", Error: refusal, Created: at},
		{ID: "m4", Seq: 7, Role: chat.RoleAssistant, Content: "Ye", State: chat.StateStopped, By: "bob", Reason: "enough", ModelID: "model", Prompt: "m1", Siblings: &chat.Siblings{IDs: []chat.MessageID{"m2", "m4"}, Place: 2, Count: 2}, Created: at},
	} {
		fmt.Fprintf(&got, "%s\n", encode(Show(m, "alice", "/files/", false)))
	}
	golden(t, "testdata/history.txt", got.String())
}

func TestGoldenFrames(t *testing.T) {
	part := encode(bare{"start-step"})
	frames := [][]byte{
		AppendEvent(nil, part), Done, KeepAlive, AppendChunk(nil, `r"1`, 7, part),
		Signal{SignalStart, "r", ""}.Encode(), Signal{SignalError, "r", "no <b>"}.Encode(),
	}
	var got strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&got, "%s\n", f)
	}
	golden(t, "testdata/frames.txt", got.String())
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"id":"c","messages":[` + earlyX + `,` + userX + `],"trigger":"submit-message","model_id":"m"}`,
		`{"id":"c","message":` + withFile + `}`, `{"id":"c","messages":[` + userX + `],"messageId":"x"}`, `{"id":"c","trigger":"regenerate-message","messageId":"a"}`,
		`{"type":"send","requestId":"r","id":"c","messages":[` + userX + `],"body":{"policy":"queue"}}`, `{"type":"abort","requestId":"r"}`, `{"turn_id":"t"}`, "\xff{",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		request, refusal := Decode(b)
		if (request == nil) != (refusal != nil) {
			t.Fatalf("%+v and %v", request, refusal)
		}
		checkRequest(t, request)
		if frame, refusal := DecodeFrame(b); refusal == nil {
			if frame.Request == "" || (frame.Type == FrameSend) != (frame.Send != nil) || frame.Type != FrameAbort && !frame.Chat.Valid() {
				t.Fatalf("%+v", frame)
			}
			checkRequest(t, frame.Send)
		}
		_, _ = DecodeStop(b)
	})
}

// checkRequest checks what a room is not asked to check.
func checkRequest(t *testing.T, r Request) {
	t.Helper()
	id, key, content := chat.ID(""), "x", "x"
	switch r := r.(type) {
	case nil:
		return
	case Send:
		if id, key, content = r.Chat, r.Message, r.Content; len(r.Files) > 0 {
			content += "x"
		}
	case Edit:
		id, key, content = r.Chat, r.Message, r.Content
	case Regenerate:
		id = r.Chat
	case Continue:
		id = r.Chat
	}
	if !id.Valid() || !chat.ClientID(key).Valid() || !EditKey(key, "m", content).Valid() || strings.TrimSpace(content) == "" {
		t.Fatalf("%+v", r)
	}
}
