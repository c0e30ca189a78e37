package assistant

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

func TestDecode(t *testing.T) {
	const room = "rf74rhscgm3uacyrl3izqi7fb"
	for _, test := range []struct {
		event, args string
		want        Request
	}{
		{"find_chat", `{"chat_id":"c"}`, FindChat{"c"}},
		{"create_room", `{"chat_id":"c","model_api_source":"aisuite","model_id":"m"}`, CreateRoom{Chat: "c", ModelID: "m"}},
		{"create_room", `{"chat_id":"c"}`, CreateRoom{Chat: "c"}},
		{"join_room", ``, JoinRoom{}},
		{"join_room", `{}`, JoinRoom{}},
		{"join_room", `{"room_id":null}`, JoinRoom{}},
		{"join_room", `{"room_id":"ROOM","after":5,"epoch":"e"}`, JoinRoom{Room: room, After: new(uint64(5)), Epoch: "e"}},
		{"join_room", `{"room_id":"ROOM","after":0}`, JoinRoom{Room: room, After: new(uint64)}},
		{"join_room", `{"room_id":"ROOM","after":null}`, JoinRoom{Room: room}},
		{"join_room", `{"room_id":"ROOM","dialect":"spa"}`, JoinRoom{Room: room, Dialect: SPA}},
		{"join_room", `{"room_id":"ROOM","dialect":"documented"}`, JoinRoom{Room: room, Dialect: Documented}},
		{"join_room ROOM", `{"dialect":"spa"}`, JoinRoom{Room: room, Dialect: SPA}},
		{"leave_room", `{"room_id":"ROOM"}`, LeaveRoom{room}},
		{"stop", `{"room_id":"ROOM"}`, Stop{Room: room}},
		{"stop ROOM", ``, Stop{Room: room}},
		{"stop ROOM", `{"turn_id":"t","reason":"r"}`, Stop{Room: room, TurnID: "t", Reason: "r"}},
		{"stop ROOM", `{"client_message_id":"once"}`, Stop{Room: room, ClientID: "once"}},
		{"regenerate ROOM", `{"message_id":"m","client_message_id":"once"}`, Regenerate{Room: room, MessageID: "m", ClientID: "once"}},
		{"select ROOM", `{"message_id":"m","client_message_id":"once"}`, Select{Room: room, MessageID: "m", ClientID: "once"}},
		{"history ROOM", `{"branch":"m"}`, History{Room: room, Branch: "m", Limit: DefaultHistory}},
		{"configure ROOM", `{"client_message_id":"once"}`, Configure{Room: room, ClientID: "once"}},
		{"stop other", `{"room_id":"ROOM"}`, Stop{Room: room}}, // the payload says it better
		{"regenerate ROOM", `{"message_id":"m"}`, Regenerate{Room: room, MessageID: "m"}},
		{"regenerate ROOM", `{"message_id":"m","model_id":"other"}`, Regenerate{Room: room, MessageID: "m", ModelID: "other"}},
		{"edit ROOM", `{"message_id":"m","content":"hi","client_message_id":"a1","model_id":"other"}`, Edit{Room: room, MessageID: "m", Content: "hi", ClientID: "a1", ModelID: "other"}},
		{"approve ROOM", `{"call_id":"c","decision":"approve","arguments":{"a":1},"always":true,"client_message_id":"once"}`, Decide{room, chat.Decide{CallID: "c", Approved: true, Arguments: `{"a":1}`, Always: true, ClientID: "once"}}},
		{"approve", `{"room_id":"ROOM","call_id":"c","decision":"deny","reason":"no"}`, Decide{room, chat.Decide{CallID: "c", Reason: "no"}}},
		{"function_result ROOM", `{"call_id":"c","result":"42"}`, AnswerCall{room, chat.AnswerCall{CallID: "c", Result: "42"}}},
		{"function_result", `{"room_id":"ROOM","call_id":"c","result":{"a":[1]}}`, AnswerCall{room, chat.AnswerCall{CallID: "c", Result: `{"a":[1]}`}}},
		{"function_result", `{"room_id":"ROOM","call_id":"c"}`, AnswerCall{room, chat.AnswerCall{CallID: "c"}}},
		{"function_error ROOM", `{"call_id":"c","error":"no"}`, AnswerCall{room, chat.AnswerCall{CallID: "c", Result: "no", Failed: true}}},
		{"function_error ROOM", `{"call_id":"c"}`, AnswerCall{room, chat.AnswerCall{CallID: "c", Result: "the page could not run this", Failed: true}}},
		{"join_room", `{"room_id":"ROOM","tools":[{"name":"a","description":"A.","parameters":{"type":"object"}},{"name":"b"}]}`, JoinRoom{Room: room, Tools: []chat.Tool{
			{Name: "a", Description: "A.", Schema: []byte(`{"type":"object"}`), OnPage: true}, {Name: "b", Schema: []byte(`{"type":"object","properties":{}}`), OnPage: true},
		}}},
		{"join_room", `{"room_id":"ROOM","tools":[]}`, JoinRoom{Room: room, Tools: []chat.Tool{}}},
		{"edit", `{"room_id":"ROOM","message_id":"m","content":"hi"}`, Edit{Room: room, MessageID: "m", Content: "hi"}},
		{"configure", `{"room_id":"ROOM","title":"T","system_prompt":""}`, Configure{Room: room, Changes: chat.Changes{Title: new("T"), SystemPrompt: new(string)}}},
		{"usage", `{}`, Usage{By: chat.UsageByDay}},
		{"usage", `{"room_id":"ROOM","by":"model"}`, Usage{room, chat.UsageByModel}},
		{"history", `{"room_id":"ROOM"}`, History{Room: room, Limit: DefaultHistory}},
		{"history", `{"room_id":"ROOM","before":7,"limit":500}`, History{Room: room, Before: 7, Limit: 500}},
		{"event", `{"room_id":"ROOM","event":{"type":"sbaw.assistant.stop_processing","id":"7"}}`, Stop{Room: room, Control: "7"}},
		{"event", `{"room_id":"ROOM","event":{"type":"sbaw.assistant.update_session","id":"7"}}`, Control{room, "7"}},
		{"send_message", `{"room_id":"ROOM","message":"hi","model_id":"m"}`, SendMessage{Room: room, Content: "hi", ModelID: "m"}},
		{"send_message", `{"room_id":"ROOM","message":"hi","files":["f","g"]}`, SendMessage{Room: room, Content: "hi", Files: []chat.FileID{"f", "g"}}},
		{"send_message", `{"room_id":"ROOM","message":{"files":["f"]}}`, SendMessage{Room: room, Files: []chat.FileID{"f"}}},
		{"send_message", `{"room_id":"ROOM","message":{"content":"","files":["f"]}}`, SendMessage{Room: room, Files: []chat.FileID{"f"}}},
		{"send_message", `{"room_id":"ROOM","message":"hi","policy":"steer"}`, SendMessage{Room: room, Content: "hi", Policy: chat.PolicySteer}},
		{"send_message", `{"room_id":"ROOM","message":"hi","client_message_id":"a1"}`, SendMessage{Room: room, Content: "hi", ClientID: "a1"}},
		{"send_message", `{"room_id":"ROOM","message":{"content":"hi","client_message_id":"a1"},"client_message_id":"b2"}`, SendMessage{Room: room, Content: "hi", ClientID: "a1"}},
		{"send_message ROOM", `{"message":" hi\n"}`, SendMessage{Room: room, Content: " hi\n"}},
		{"send_message", `{"room_id":"ROOM","message":{"content":"hi","client_message_id":"a1"}}`, SendMessage{Room: room, Content: "hi", ClientID: "a1"}},
		{
			"send_message", `{"room_id":"ROOM","model_id":"m","message":{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"id":"6","model_id":"n","content":"hi","files":["f"]}}}}`,
			SendMessage{Room: room, Envelope: "7", LocalID: "6", Content: "hi", ModelID: "m", Files: []chat.FileID{"f"}},
		},
		{
			"send_message", `{"room_id":"ROOM","message":{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"id":"6","model_id":"n","content":"hi"}}}}`,
			SendMessage{Room: room, Envelope: "7", LocalID: "6", Content: "hi", ModelID: "n"},
		},
		{
			"send_message", `{"room_id":"ROOM","message":{"type":"conversation.item.create","id":"7","data":{"item":{"id":"6","content":[{"type":"input_text","text":"a"},{"type":"input_audio","text":"no"},{"type":"input_text","text":"b"}]}}}}`,
			SendMessage{Room: room, Envelope: "7", LocalID: "6", Content: "ab", Quiet: true},
		},
		{
			"send_message", `{"room_id":"ROOM","message":{"type":"response.create","id":"7","data":{"response":{"modalities":["text"]}}}}`,
			SendMessage{Room: room, Envelope: "7", Respond: true},
		},
		{
			"send_message", `{"room_id":"ROOM","message":{"type":"input_audio_buffer.append","id":"7","data":{"audio":"AA+/==","event_id":"e"}}}`,
			SendMessage{Room: room, Envelope: "7", Speech: Append, Audio: "AA+/=="},
		},
		{"send_message", `{"room_id":"ROOM","message":{"type":"input_audio_buffer.clear","id":"7"}}`, SendMessage{Room: room, Envelope: "7", Speech: Clear}},
		{
			"send_message", `{"room_id":"ROOM","message":{"type":"input_audio_buffer.commit","id":"7","event_id":"e"}}`,
			SendMessage{Room: room, Envelope: "7", Speech: Commit},
		},
	} {
		event, args := strings.ReplaceAll(test.event, "ROOM", room), strings.ReplaceAll(test.args, "ROOM", room)
		got, err := decode(event, args)
		if err != nil {
			t.Errorf("%s %s: %v", event, args, err)
			continue
		}
		if c, ok := got.(CreateRoom); ok {
			got = CreateRoom{Chat: c.Chat, ModelID: c.ModelID}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", event, args, diff)
		}
	}
}

func decode(event, args string) (Request, error) {
	if args == "" {
		return Decode(event, nil)
	}
	return Decode(event, []json.RawMessage{json.RawMessage(args)})
}

// A long request is understood as a short one is, and refused in the same words.
func TestDecodeLong(t *testing.T) {
	pad := `"pad":"` + strings.Repeat("x", longObject) + `"`
	for _, args := range []string{
		`{"room_id":"r","message":"hi"}`, `{"room_id":"r","message":" \n\u00e9\ud83d\ude00"}`, `{"message":"one","room_id":"r","message":"two"}`,
		`{"room_id":"r","message":{"content":"h\ti","client_message_id":"a1","files":["f"]}}`, `{"room_id":"r","message":{"content":null}}`,
		`{"room_id":"r","message":{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"id":"6","model_id":"n","content":"hi","files":["f"]}}}}`,
		`{"room_id":"r","message":{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"content":null}}}}`,
		`{"room_id":"r","message":{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{}}}}`,
		`{"room_id":"r","message":{"type":"sbaw.incoming.text_message.user","data":{"item":{"id":"6","content":["hi"]}}}}`,
		`{"room_id":"r","message":{"type":"conversation.item.create","data":{"item":{"content":[{"type":"input_text","text":"a"},{"type":"input_audio","text":"b"},{"type":"input_text","text":"c"}]}}}}`,
		`{"room_id":"r","message":{"type":"conversation.item.create","data":{"item":{"content":[{"type":"input_text","text":"a"},{"type":"input_text","text":5}]}}}}`,
		`{"room_id":"r","message":{"type":"conversation.item.create","data":{"item":{"content":[{"type":"input_text","text":"a"},5]}}}}`,
		`{"room_id":"r","message":{"type":"conversation.item.create","data":{"item":{"content":{"type":"input_text"}}}}}`,
		`{"room_id":"r","message":{"type":"input_audio_buffer.append","data":{"audio":"AAAA"}}}`, `{"room_id":"r","message":{"type":"input_audio_buffer.append","data":{"audio":7}}}`,
		`{"room_id":"r","message":{"content":5}}`, `{"room_id":"r","message":{"id":5,"content":"hi"}}`, `{"room_id":"r","message":{"id":"7","data":{"item":{"id":5,"content":"hi"}}}}`,
		`{"room_id":"r","message":{"id":"7","data":5}}`, `{"room_id":"r","message":5}`, `{"room_id":"r","message":null}`, `{"room_id":"r"}`, `{"room_id":5,"message":"hi"}`,
		`{"room_id":"r","message_id":"m","content":"h\ti"}`, `{"room_id":"r","message_id":"m","content":5}`, `{"room_id":"r","message_id":"m","content":null}`,
	} {
		long := strings.ReplaceAll(strings.ReplaceAll(args, "{", "{"+pad+","), ",}", "}")
		for _, event := range []string{"send_message", "edit"} {
			want, wantErr := decode(event, args)
			got, err := decode(event, long)
			if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("%s %s: error %v, want %v (-want +got):\n%s", event, args, err, wantErr, diff)
			}
		}
	}
}

// longMessages are requests with the longest message, in each form.
func longMessages() map[string][]json.RawMessage {
	text, _ := json.Marshal(strings.Repeat("It is said that \"anyone\" can stop it, from any tab.\n", 60<<10/52))
	all := make(map[string][]json.RawMessage)
	for name, form := range map[string]string{
		"text": `TEXT`, "documented": `{"content":TEXT}`, "spa": `{"type":"sbaw.incoming.text_message.user","data":{"item":{"content":TEXT}}}`,
		"realtime": `{"type":"conversation.item.create","data":{"item":{"content":[{"type":"input_text","text":TEXT}]}}}`,
	} {
		all[name] = []json.RawMessage{json.RawMessage(strings.Replace(`{"room_id":"r","message":`+form+`}`, "TEXT", string(text), 1))}
	}
	return all
}

// A long message is copied once, for its text. At each level at which encoding/json read it,
// it was copied once more, and read twice.
func TestLongMessageIsCopiedOnce(t *testing.T) {
	for name, args := range longMessages() {
		const runs = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if r, err := Decode("send_message", args); err != nil || len(r.(SendMessage).Content) < 50_000 {
				t.Fatalf("%s: %v", name, err)
			}
		}
		runtime.ReadMemStats(&after)
		if n := int(after.TotalAlloc-before.TotalAlloc) / runs; n > len(args[0])*3/2 {
			t.Errorf("%s: %d bytes are allocated for %d", name, n, len(args[0]))
		}
	}
}

// BenchmarkDecodeLong decodes the longest message in each form.
func BenchmarkDecodeLong(b *testing.B) {
	for name, args := range longMessages() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode("send_message", args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzDecode: whatever a client sends is an error, or a request whose fields
// keep to their limits. An error leaves no id that is too long to be sent back.
func FuzzDecode(f *testing.F) {
	for word := range decoders {
		for _, args := range []string{
			`{}`, `null`, `[]`, `{"room_id":"rf74rhscgm3uacyrl3izqi7fb","chat_id":"c","message":"hi","dialect":"spa","before":1,"limit":9}`,
			`{"room_id":"r","message":{"content":"hi","client_message_id":"a"},"event":{"type":"sbaw.assistant.stop_processing","id":"7"}}`,
			`{"room_id":"r","message":{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"id":"6","model_id":"n","content":"hi"}}}}`,
			`{"room_id":"r","message":{"type":"conversation.item.create","id":"7","data":{"item":{"content":[{"type":"input_text","text":"a"}]}}}}`,
			`{"room_id":"r","message":{"type":"response.create","id":"7"},"event":{"type":"x","id":5}}`,
			`{"room_id":"r","message_id":"m","content":"hi","client_message_id":"a","model_id":"n","policy":"steer","message":"hi"}`,
			`{"room_id":5,"chat_id":5,"message":5,"event":5,"limit":"x"}`, `{"limit":1e99,"before":-1}`,
		} {
			f.Add(word, args)
			f.Add(word+" rf74rhscgm3uacyrl3izqi7fb", args)
		}
	}
	f.Add("nope", `{}`)
	f.Add("history", `{"room_id":"r","limit":-1}`)
	f.Add("history", `{"room_id":"r","limit":501}`)
	long := strings.Repeat("x", 2000)
	for word := range decoders {
		for _, args := range []string{
			`{"room_id":"LONG","chat_id":"LONG"}`, `{"room_id":"r","chat_id":"c","model_id":"LONG","message":"hi"}`,
			`{"room_id":"r","message_id":"LONG","content":"hi"}`, `{"room_id":"r","message_id":"m","content":"hi","client_message_id":"LONG"}`,
			`{"room_id":"r","message_id":"m","model_id":"LONG","content":"hi"}`, `{"room_id":"r","message":"hi","policy":"LONG"}`,
			`{"room_id":"r","turn_id":"LONG"}`, `{"room_id":"r","reason":"LONG"}`,
			`{"room_id":"r","event":{"type":"sbaw.assistant.update_session","id":"LONG"}}`,
			`{"room_id":"r","message":{"content":"hi","client_message_id":"LONG"}}`,
			`{"room_id":"r","message":{"type":"input_audio_buffer.append","id":"LONG","data":{"audio":"AAAA"}}}`,
			`{"room_id":"r","message":{"type":"input_audio_buffer.append","id":"7","data":{"audio":"not base64!"}}}`,
			`{"room_id":"r","message":{"type":"session.update","id":"7"}}`,
			`{"room_id":"r","message":{"type":"sbaw.incoming.text_message.user","id":"LONG","data":{"item":{"content":"hi"}}}}`,
			`{"room_id":"r","message":{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"id":"LONG","content":"hi"}}}}`,
			`{"room_id":"r","message":{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"model_id":"LONG","content":"hi"}}}}`,
		} {
			f.Add(word, strings.ReplaceAll(args, "LONG", long))
		}
	}
	f.Fuzz(func(t *testing.T, event, args string) {
		if args != "" && !json.Valid([]byte(args)) {
			t.Skip("the packet was refused before")
		}
		request, err := decode(event, args)
		if err != nil {
			var refusal *chat.Error
			if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Code == chat.CodeInternal || len(refusal.Message) > 200 {
				t.Fatalf("got error %v", err)
			}
		}
		if request == nil {
			if err == nil {
				t.Fatal("got nothing")
			}
			return
		}
		for _, id := range names(request) {
			if len(id) > 128 {
				t.Errorf("an id of %d bytes in %T", len(id), request)
			}
		}
		if err == nil {
			checkLimits(t, request)
		}
	})
}

// names returns the ids that answers to a request are named after.
func names(r Request) []string {
	switch r := r.(type) {
	case FindChat:
		return []string{string(r.Chat)}
	case CreateRoom:
		return []string{string(r.Chat)}
	case JoinRoom:
		return []string{string(r.Room)}
	case LeaveRoom:
		return []string{string(r.Room)}
	case SendMessage:
		return []string{string(r.Room), r.Envelope}
	case Stop:
		return []string{string(r.Room), r.Control}
	case Control:
		return []string{string(r.Room), r.ID}
	case History:
		return []string{string(r.Room)}
	case Configure:
		return []string{string(r.Room)}
	case Usage:
		return []string{string(r.Room)}
	case Renew:
		return nil
	case Withdraw:
		return []string{string(r.Room), string(r.MessageID), string(r.ClientID)}
	case Move:
		return []string{string(r.Room), string(r.TurnID), string(r.Before), string(r.ClientID)}
	case Select:
		return []string{string(r.Room), string(r.MessageID), string(r.ClientID)}
	case Decide:
		return []string{string(r.Room), r.CallID, string(r.ClientID)}
	case AnswerCall:
		return []string{string(r.Room), r.CallID}
	case ListMembers:
		return []string{string(r.Room)}
	case SetTyping:
		return []string{string(r.Room)}
	case AskPresence:
		return []string{string(r.Room)}
	case MarkRead:
		return []string{string(r.Room)}
	case Watch:
		return nil
	case Regenerate:
		return []string{string(r.Room), string(r.MessageID)}
	case Edit:
		return []string{string(r.Room), string(r.MessageID), string(r.ClientID)}
	}
	panic("a request of a new type")
}

func checkLimits(t *testing.T, r Request) {
	t.Helper()
	ok := true
	switch r := r.(type) {
	case FindChat:
		ok = r.Chat.Valid()
	case CreateRoom:
		ok = r.Chat.Valid() && len(r.ModelID) <= maxModelIDLen
	case JoinRoom:
		ok = int(r.Dialect) < len(Dialects)
	case LeaveRoom:
		ok = r.Room != ""
	case SendMessage:
		said := strings.TrimSpace(r.Content) != ""
		if r.Speech != "" {
			ok = r.Room != "" && !said && !r.Respond && (r.Speech == Append) == (r.Audio != "")
			break
		}
		ok = r.Room != "" && said != r.Respond && !(r.Quiet && r.Respond) && len(r.ModelID) <= maxModelIDLen &&
			len(r.LocalID) <= maxEnvelopeLen && (r.ClientID == "" || r.ClientID.Valid()) && (r.Policy == "" || r.Policy.Valid())
	case Edit:
		ok = r.Room != "" && r.MessageID != "" && strings.TrimSpace(r.Content) != "" && len(r.ModelID) <= maxModelIDLen &&
			(r.ClientID == "" || r.ClientID.Valid())
	case Regenerate:
		ok = r.Room != "" && r.MessageID != "" && len(r.ModelID) <= maxModelIDLen
	case Stop:
		ok = r.Room != "" && len(r.TurnID) <= maxEnvelopeLen && len(r.Reason) <= MaxReasonLen
	case Select:
		ok = r.Room != "" && r.MessageID != "" && len(r.MessageID) <= maxEnvelopeLen && (r.ClientID == "" || r.ClientID.Valid())
	case Control:
		ok = r.Room != ""
	case History:
		ok = len(r.Branch) <= maxEnvelopeLen && r.Room != "" && 1 <= r.Limit && r.Limit <= MaxHistory
	}
	if !ok {
		t.Errorf("past a limit: %+v", r)
	}
}

// A refusal names the field as the client does.
func TestWrongTypeIsNamed(t *testing.T) {
	_, err := Decode("configure", []json.RawMessage{json.RawMessage(`{"room_id":"r","title":7}`)})
	var refusal *chat.Error
	if !errors.As(err, &refusal) || refusal.Message != "a field has the wrong type: title" {
		t.Errorf("got %v", err)
	}
}
