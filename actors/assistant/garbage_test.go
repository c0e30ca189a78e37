package assistant_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/chat"
)

var events = []string{"find_chat", "create_room", "join_room", "leave_room", "send_message", "stop", "regenerate", "event", "history"}

// garbage returns arguments that no event can mean anything with.
func garbage() []string {
	huge := strings.Repeat("x", 100_000)
	args := []string{
		``, `null`, `[]`, `[{}]`, `"text"`, `5`, `true`, `{}`, `null,{}`, `{"":""}`, `{"__proto__":{}}`,
		`{"room_id":null,"chat_id":null,"message":null,"event":null}`,
		fmt.Sprintf(`{"room_id":%q,"chat_id":%q}`, huge, huge),
		`{"room_id":"no such room","chat_id":"no such chat"}`, `{"room_id":"","chat_id":""}`, `{"room_id":"\u0000","chat_id":"\ud800"}`,
		`{"room_id":"a/b","chat_id":"a b","message":"hi","event":{"type":"sbaw.assistant.stop_processing","id":"1"}}`,
		fmt.Sprintf(`{"room_id":%q,"chat_id":"the-chat","message":"hi","event":{"type":"sbaw.assistant.stop_processing","id":"1"}}`, theRoom),
		fmt.Sprintf(`{"room_id":%q,"chat_id":"","message":"hi"}`, chat.ID("no such chat").Room()),
	}
	for _, wrong := range []string{`5`, `null`, `{}`, `[1,"a",{}]`, `-1e999`} {
		args = append(args, fmt.Sprintf(`{"room_id":%s,"chat_id":%[1]s,"message":%[1]s,"event":%[1]s}`, wrong))
		for _, field := range []string{"model_id", "dialect", "turn_id", "reason", "before", "limit", "after", "epoch", "message_id", "message", "event"} {
			args = append(args, fmt.Sprintf(`{"room_id":%q,"chat_id":"","%s":%s}`, theRoom, field, wrong))
		}
	}
	return args
}

// messages returns bodies of send_message that cannot be understood. Those
// that can be are refused all the same, since the room is another's.
func messages() []string {
	huge := strings.Repeat("x", 100_000)
	return []string{
		`null`, `5`, `[]`, `{}`, `""`, `"  \n"`, `{"content":null}`, `{"content":5}`, `{"content":" "}`, `{"type":"nope","id":"7"}`,
		`{"type":5,"id":"7"}`, `{"type":"sbaw.incoming.text_message.user","id":"7"}`, `{"type":"sbaw.incoming.text_message.user","id":7,"data":null}`,
		`{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"content":["a"]}}}`,
		`{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":5}}`, `{"type":"sbaw.incoming.text_message.user","id":"7","data":{"item":{"content":""}}}`,
		`{"type":"conversation.item.create","id":"7"}`, `{"type":"conversation.item.create","id":"7","data":{"item":{"content":"text"}}}`,
		`{"type":"conversation.item.create","id":"7","data":{"item":{"content":[{"type":"input_audio","text":"x"}]}}}`,
		`{"type":"input_audio_buffer.append","id":"7","data":{"audio":"AAAA","event_id":"7"}}`,
		`{"content":"hi","client_message_id":"a b"}`, `{"content":"hi","client_message_id":5}`,
		fmt.Sprintf(`{"content":"hi","client_message_id":%q}`, huge), fmt.Sprintf(`{"content":"hi","id":%q}`, huge),
		fmt.Sprintf(`{"content":%q}`, huge), fmt.Sprintf(`%q`, huge), `"hi"`, `{"content":"hi"}`, `{"type":"response.create","id":"7"}`,
	}
}

// Every event of a client is answered, by an event and by an acknowledgement if the
// client asked for one, with a code that the client can rely on. A senseless event
// costs the client nothing else, and nobody else anything.
func TestGarbageIsAnswered(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		alice := connect(t, sessions, "alice")
		alice.enter()
		before := len(s.Records(theChat))
		mallory := connect(t, sessions, "mallory")
		for _, event := range events {
			for _, args := range garbage() {
				checkRefused(t, mallory, event, args)
				if !strings.HasPrefix(args, `{"room_id"`) {
					checkRefused(t, mallory, event+" "+theRoom, args)
				}
			}
		}
		for _, m := range messages() {
			checkRefused(t, mallory, "send_message", fmt.Sprintf(`{"room_id":%q,"message":%s}`, theRoom, m))
			checkRefused(t, mallory, "event", fmt.Sprintf(`{"room_id":%q,"event":%s}`, theRoom, m))
		}
		for _, event := range []string{"", " ", "nope", "5", "room_joined", strings.Repeat("x", 1000), "find_chat\u0000", "Find_Chat"} {
			checkRefused(t, mallory, event, `{"room_id":"x","chat_id":"x"}`)
		}
		if got, _ := alice.hear(); len(got) > 0 {
			t.Errorf("alice heard %v", got)
		}
		if after := len(s.Records(theChat)); after != before {
			t.Errorf("got %d records, want %d", after, before)
		}
		alice.emit("send_message", fmt.Sprintf(`{"room_id":%q,"message":"still there"}`, theRoom))
	})
}

var codes = []chat.Code{chat.CodeInvalid, chat.CodeNotFound, chat.CodeForbidden, chat.CodeTooLarge}

func checkRefused(t *testing.T, c *client, event, args string) {
	t.Helper()
	what := fmt.Sprintf("%.80s %.120s", event, args)
	heard, ack := c.emit(event, args)
	if len(heard) == 0 {
		t.Errorf("%s: no event", what)
	}
	var refusal struct {
		OK    *bool
		Error chat.Error
	}
	unmarshal(t, string(ack), &refusal)
	harmless := event == "leave_room" || strings.HasPrefix(event, "leave_room ") // of a room that one is not in
	switch {
	case refusal.OK == nil || *refusal.OK && !harmless:
		t.Errorf("%s: acknowledged with %s", what, ack)
	case *refusal.OK:
	case !slices.Contains(codes, refusal.Error.Code) || refusal.Error.Message == "":
		t.Errorf("%s: refused with %s", what, ack)
	}
	for _, h := range heard {
		var body struct{ Code chat.Code }
		if json.Unmarshal(h.arg, &body) != nil || len(h.arg) > 1000 && !strings.Contains(args, "client_message_id") {
			t.Errorf("%s: heard %.200s", what, h)
		}
	}
}

// A refusal comes under the name that the client waits for: the ids in it are
// the ones that the client sent, "undefined" if it sent none.
func TestRefusalsAreNamed(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, _ *actortest.Server, sessions *session.Sessions) {
		connect(t, sessions, "alice").enter()
		mallory := connect(t, sessions, "mallory")
		inRoom := func(fields string) string { return fmt.Sprintf(`{"room_id":%q,%s}`, theRoom, fields) }
		for _, test := range []struct {
			event, args string
			code        chat.Code
			want        []string
		}{
			{"find_chat", `{}`, chat.CodeInvalid, []string{"room_not_found undefined", "error"}},
			{"find_chat", `{"chat_id":"no such chat"}`, chat.CodeInvalid, []string{"room_not_found no such chat", "error"}},
			{"find_chat", `{"chat_id":"missing"}`, chat.CodeNotFound, []string{"room_not_found missing"}},
			{"find_chat", `{"chat_id":"the-chat"}`, chat.CodeNotFound, []string{"room_not_found the-chat"}},
			{"create_room", `{}`, chat.CodeInvalid, []string{"room_error undefined", "error"}},
			{"create_room", `{"chat_id":"a b"}`, chat.CodeInvalid, []string{"room_error a b", "error"}},
			{"create_room", `{"chat_id":"new","model_id":"nope"}`, chat.CodeNotFound, []string{"room_error new"}},
			{"create_room", `{"chat_id":"the-chat","model_id":"model"}`, chat.CodeNotFound, []string{"room_error the-chat"}},
			{"join_room", `{}`, chat.CodeInvalid, []string{"room_join_error undefined", "error"}},
			{"join_room", `{"room_id":"nope"}`, chat.CodeNotFound, []string{"room_join_error nope"}},
			{"join_room", inRoom(`"dialect":"klingon"`), chat.CodeInvalid, []string{"room_join_error " + theRoom, "error"}},
			{"join_room", inRoom(`"dialect":5`), chat.CodeInvalid, []string{"room_join_error " + theRoom, "error"}},
			{"join_room", inRoom(`"dialect":"spa"`), chat.CodeNotFound, []string{"room_join_error " + theRoom}},
			{"leave_room", `{}`, chat.CodeInvalid, []string{"error"}},
			{"send_message", `{}`, chat.CodeInvalid, []string{"error"}},
			{"send_message", inRoom(`"message":"hi"`), chat.CodeNotFound, []string{"error " + theRoom}},
			{"send_message " + theRoom, `{"message":"hi"}`, chat.CodeNotFound, []string{"error " + theRoom}},
			{"send_message", inRoom(`"message":{"type":"nope","id":"7"}`), chat.CodeInvalid, []string{"message_error 7", "error " + theRoom}},
			{"send_message", `{"message":{"type":"sbaw.incoming.text_message.user","id":"7","data":5}}`, chat.CodeInvalid, []string{"message_error 7", "error"}},
			{"stop", `{}`, chat.CodeInvalid, []string{"error"}},
			{"stop " + theRoom, ``, chat.CodeNotFound, []string{"error " + theRoom}},
			{"event", inRoom(`"event":{"type":"nope","id":"7"}`), chat.CodeInvalid, []string{"event_error 7", "error " + theRoom}},
			{"event", inRoom(`"event":{"type":5,"id":"7"}`), chat.CodeInvalid, []string{"event_error 7", "error " + theRoom}},
			{"event", inRoom(`"event":{"type":"sbaw.assistant.stop_processing","id":"7"}`), chat.CodeNotFound, []string{"event_error 7", "error " + theRoom}},
			{"history", `{}`, chat.CodeInvalid, []string{"error"}},
			{"history", inRoom(`"limit":501`), chat.CodeInvalid, []string{"error " + theRoom}},
			{"history", inRoom(`"limit":10`), chat.CodeNotFound, []string{"error " + theRoom}},
			{"nope", `{}`, chat.CodeInvalid, []string{"error"}},
		} {
			heard, ack := mallory.emit(test.event, test.args)
			if got := names(heard); !slices.Equal(got, test.want) {
				t.Errorf("%s %s: heard %q, want %q", test.event, test.args, got, test.want)
			}
			if want := fmt.Sprintf(`{"ok":false,"error":{"code":%q,`, test.code); !strings.HasPrefix(string(ack), want) {
				t.Errorf("%s %s: acknowledged with %s, want %s", test.event, test.args, ack, test.code)
			}
			mallory.Say("2" + prefix + fmt.Sprintf("[%s%s]", quote(test.event), strings.TrimSuffix(","+test.args, ",")))
			if again, ack := mallory.hearAll(); !slices.Equal(names(again), test.want) || ack != nil {
				t.Errorf("%s %s: without asking for an acknowledgement: heard %v, %s", test.event, test.args, again, ack)
			}
			for _, h := range heard {
				if body := string(h.arg); !strings.HasPrefix(h.name, "room_not_found") && !strings.Contains(body, fmt.Sprintf(`"code":%q,"event":%q`, test.code, test.event)) {
					t.Errorf("%s %s: %s tells %s", test.event, test.args, h.name, body)
				}
			}
		}
	})
}
