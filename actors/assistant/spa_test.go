package assistant_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/chat"
)

// The messages of the SPA (WIRE-ASSISTANT §6).
func sbawText(envelope, local, text string) string {
	return fmt.Sprintf(`{"room_id":%q,"model_id":%q,"message":{"type":"sbaw.incoming.text_message.user","id":%q,"data":{"item":`+
		`{"id":%q,"type":"message","role":"user","model_id":%[2]q,"modality":"text","content":%[5]q}}}}`, theRoom, actortest.Model, envelope, local, text)
}

func realtimeText(envelope, local, text string) string {
	return fmt.Sprintf(`{"room_id":%q,"model_id":%q,"message":{"type":"conversation.item.create","id":%q,"data":{"item":`+
		`{"id":%q,"type":"message","role":"user","content":[{"type":"input_text","text":%q}]}}}}`, theRoom, actortest.OtherModel, envelope, local, text)
}

func realtimeRespond(envelope string) string {
	return fmt.Sprintf(`{"room_id":%q,"message":{"type":"response.create","id":%q,"data":{"response":{"modalities":["text","audio"],"temperature":0.7}}}}`, theRoom, envelope)
}

func stopEvent(id string) string {
	return fmt.Sprintf(`{"room_id":%q,"event":{"type":"sbaw.assistant.stop_processing","id":%q}}`, theRoom, id)
}

// received returns what receive_message told the SPA, by type.
func received(t *testing.T, events []heard, kind string) (data []map[string]any) {
	t.Helper()
	for _, arg := range find(events, "receive_message "+theRoom) {
		var m struct {
			Type string
			Data map[string]any
		}
		unmarshal(t, arg, &m)
		if m.Type == kind {
			data = append(data, m.Data)
		}
	}
	return data
}

// The first message of a chat, as in §9.1, with another tab listening. Every
// event is a frame of its own, so the acknowledgement and the reply are not
// handled in one task of the page.
func TestSPAFirstMessage(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page, tab := connect(t, sessions, "alice"), connect(t, sessions, "alice")
		say := func(event, args string) []heard { return first(page.emit(event, args)) }
		wantOrder(t, say("find_chat", `{"chat_id":"the-chat"}`), "room_not_found the-chat")
		wantOrder(t, say("create_room", `{"chat_id":"the-chat","model_api_source":"aisuite","model_id":"model"}`), "room_created the-chat")
		wantOrder(t, say("join_room", fmt.Sprintf(`{"room_id":%q}`, theRoom)), "room_joined "+theRoom)
		wantOrder(t, first(tab.emit("find_chat", `{"chat_id":"the-chat"}`)), "room_found the-chat")
		tab.enter()

		own := say("send_message", sbawText("1700000000001", "1700000000000", "hello"))
		wantOrder(t, own, "message_sent 1700000000001", "receive_message "+theRoom)
		if got := find(own, "message_sent 1700000000001"); len(got) != 1 || got[0] != `{"success":true}` {
			t.Errorf("message_sent: got %q", got)
		}
		if echo := received(t, own, "sbaw.text_message.user"); len(echo) > 0 {
			t.Errorf("the sender heard %v", echo)
		}
		other, _ := tab.hear()
		wantText(t, received(t, other, "sbaw.text_message.user"), "hello", "role", "user")
		for _, events := range [][]heard{own, other} {
			wantText(t, received(t, events, "sbaw.text_message.assistant"), "You said: hello", "stop_reason", "stop")
		}
	})
}

// first is for emit where the acknowledgement does not matter.
func first[A, B any](a A, _ B) A { return a }

// wantText checks that one message was received, with this content and with
// this value of a field, and a time that the page understands.
func wantText(t *testing.T, messages []map[string]any, content, field, value string) {
	t.Helper()
	if len(messages) != 1 {
		t.Errorf("got %d messages, want 1: %v", len(messages), messages)
		return
	}
	m := messages[0]
	if m["content"] != content || m[field] != value {
		t.Errorf("got %v, want content %q and %s %q", m, content, field, value)
	}
	if at, _ := m["created_timestamp"].(string); !strings.HasPrefix(at, "2000-01-01T00:") || !strings.HasSuffix(at, "Z") {
		t.Errorf("created_timestamp: got %q", at)
	}
}

// After a reconnect the page joins without a room, and waits for an event
// about the room "undefined" (§9.2). It is healed: it hears the room again, on
// the id that it knew. So it is after a restart of the server.
func TestSPAReconnect(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		reconnect := func(sessions *session.Sessions) {
			t.Helper()
			page.Close("transport close")
			page = connect(t, sessions, "alice")
			wantOrder(t, first(page.emit("find_chat", `{"chat_id":"the-chat"}`)), "room_found the-chat")
			created, _ := page.emit("create_room", `{"chat_id":"the-chat","model_api_source":"aisuite","model_id":"model"}`)
			if got := find(created, "room_created the-chat"); len(got) != 1 || !strings.Contains(got[0], theRoom) {
				t.Errorf("room_created: got %q", got)
			}
			wantOrder(t, first(page.emit("join_room", `{}`)), "room_joined undefined", "room_joined "+theRoom)
			heard, _ := page.emit("send_message", sbawText("1", "1", "hello"))
			wantOrder(t, heard, "message_sent 1", "receive_message "+theRoom)
		}
		reconnect(sessions)
		page.Close("transport close")
		synctest.Wait()
		s.Restart()
		reconnect(serve(s))
	})
}

// A join without a room means the one created or found last, and nothing on
// another socket.
func TestJoinWithoutRoom(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, _ *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.emit("create_room", `{"chat_id":"first","model_id":"model"}`)
		page.emit("create_room", `{"chat_id":"second","model_id":"model"}`)
		wantOrder(t, first(page.emit("join_room", `{}`)), "room_joined undefined", "room_joined "+string(chat.ID("second").Room()))
		page.emit("find_chat", `{"chat_id":"first"}`)
		page.emit("find_chat", `{"chat_id":"missing"}`)
		wantOrder(t, first(page.emit("join_room", `null`)), "room_join_error undefined")
		wantOrder(t, first(page.emit("join_room", `{"room_id":null}`)), "room_joined undefined", "room_joined "+string(chat.ID("first").Room()))
		other := connect(t, sessions, "alice")
		wantOrder(t, first(other.emit("join_room", `{}`)), "room_join_error undefined")
	})
}

// The stop button (§9.3): acknowledged at once though the model hangs, and
// followed by the one message that frees the spinner.
func TestSPAStop(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		s.Assistant.On("wait", actortest.Hang("so far"))
		s.Assistant.On("say nothing", actortest.Hang())
		page, tab := connect(t, sessions, "alice"), connect(t, sessions, "alice")
		page.enter()
		tab.enter()
		for question, answer := range map[string]string{"wait": "so far", "say nothing": "Stopped."} {
			page.emit("send_message", sbawText("1", "1", question))
			tab.hear()
			own, _ := page.emit("event", stopEvent("2"))
			wantOrder(t, own, "event_received 2", "receive_message "+theRoom)
			other, _ := tab.hear()
			for _, events := range [][]heard{own, other} {
				wantText(t, received(t, events, "sbaw.text_message.assistant"), answer, "stop_reason", "cancelled")
			}
		}
		update := fmt.Sprintf(`{"room_id":%q,"event":{"type":"sbaw.assistant.update_session","id":"3"}}`, theRoom)
		for _, args := range []string{stopEvent("3"), update} { // nothing to stop, nothing to update
			own, _ := page.emit("event", args)
			if got := names(own); len(got) != 1 || got[0] != "event_received 3" {
				t.Errorf("heard %q", got)
			}
		}
	})
}

// A turn that fails (§9.4) marks the page's own bubble and then frees its
// spinner by a message, which is not empty.
func TestSPAError(t *testing.T) {
	run(t, room.Options{TurnTimeout: time.Minute}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		for question, pieces := range map[string][]string{"silent": nil, "broken off": {"so far"}} {
			s.Assistant.On(question, actortest.Fail(func(context.Context) error { return errOutOfOrder }, pieces...))
			heard, _ := page.emit("send_message", sbawText("17", "the bubble", question))
			wantOrder(t, heard, "message_sent 17", "message_error", "receive_message "+theRoom)
			if got := find(heard, "message_error"); len(got) != 1 || !strings.Contains(got[0], `"client_message_id":"the bubble"`) {
				t.Errorf("message_error: got %q", got)
			}
			want := "out of order"
			if pieces != nil {
				want = pieces[0]
			}
			wantText(t, received(t, heard, "sbaw.text_message.assistant"), want, "stop_reason", "error")
		}
	})
}

// A send that is refused is told under the id of its envelope, so that the page's promise
// does not hang, and then as a turn that has failed: the bubble is marked, and the last
// event frees the spinner and has words. Nobody else hears of it.
func TestSPARefusedSend(t *testing.T) {
	run(t, room.Options{MaxMessageBytes: 10, MaxQueuedTurns: 1}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		s.Assistant.On("wait", actortest.Hang())
		page, tab := connect(t, sessions, "alice"), connect(t, sessions, "alice")
		page.enter()
		tab.enter()
		refused := func(code chat.Code, args string) {
			t.Helper()
			heard, _ := page.emit("send_message", args)
			if got := find(heard, "message_error 17"); len(got) != 1 || !strings.Contains(got[0], fmt.Sprintf(`"code":%q`, code)) {
				t.Errorf("message_error 17: got %q, want %s", got, code)
			}
			wantOrder(t, heard, "message_error 17", "message_error", "receive_message "+theRoom)
			var marked struct {
				Error    string
				ClientID string `json:"client_message_id"`
			}
			if got := find(heard, "message_error"); len(got) == 1 {
				unmarshal(t, got[0], &marked)
			}
			if marked.Error == "" || strings.Contains(args, `"16"`) != (marked.ClientID == "16") {
				t.Errorf("message_error: got %+v", marked)
			}
			wantText(t, received(t, heard, "sbaw.text_message.assistant"), marked.Error, "stop_reason", "error")
		}
		refused(chat.CodeTooLarge, sbawText("17", "16", "much too long"))
		refused(chat.CodeTooLarge, realtimeText("17", "16", "much too long"))
		refused(chat.CodeInvalid, sbawText("17", "16", " "))
		refused(chat.CodeNotFound, strings.ReplaceAll(sbawText("17", "16", "hello"), quote(string(actortest.Model)), `"nobody"`))
		refused(chat.CodeInvalid, realtimeRespond("17")) // nothing was said
		page.emit("send_message", sbawText("1", "1", "wait"))
		refused(chat.CodeBusy, sbawText("17", "16", "hello"))
		refused(chat.CodeBusy, realtimeRespond("17"))
		tab.hear()
		s.User("alice").Do(theChat, &room.Delete{})
		page.hear()
		refused(chat.CodeNotFound, sbawText("17", "16", "hello"))
		if other, _ := tab.hearAll(); len(find(other, "message_error")) > 0 {
			t.Errorf("another tab heard %v", other)
		}
	})
}

// A refused send of the documented dialect is told in that alone.
func TestDocumentedRefusedSend(t *testing.T) {
	run(t, room.Options{MaxMessageBytes: 10}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		send := fmt.Sprintf(`{"room_id":%q,"message":{"content":"much too long"}}`, theRoom)
		heard, _ := page.emit("send_message", send)
		if got := strings.Join(names(heard), ", "); got != "error "+theRoom {
			t.Errorf("heard %s", got)
		}
		page.emit("join_room", fmt.Sprintf(`{"room_id":%q,"dialect":"documented"}`, theRoom))
		heard, _ = page.emit("send_message", sbawText("7", "6", "much too long"))
		if got := strings.Join(names(heard), ", "); got != "message_error 7, error "+theRoom {
			t.Errorf("heard %s", got)
		}
	})
}

// Refused speech marks no bubble and frees no spinner. The bubble that waits for what was
// said is filled, and a piece of it tells the page nothing.
func TestSPARefusedSpeech(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		for kind, want := range map[string]string{
			`"append","id":"1","data":{"audio":"AAAA"}`: "message_error 1, error " + theRoom,
			`"clear","id":"1"`:                          "message_error 1, message_error, error " + theRoom,
			`"commit","id":"1"`:                         "message_error 1, message_error, receive_message " + theRoom + ", error " + theRoom,
		} {
			args := fmt.Sprintf(`{"room_id":%q,"message":{"type":"input_audio_buffer.%s}}`, theRoom, kind[1:])
			heard, _ := page.emit("send_message", args)
			if got := strings.Join(names(heard), ", "); got != want {
				t.Errorf("%s: heard %s", kind, got)
			}
		}
	})
}

// Both formats of §6 are accepted in one room, whatever model it was made with
// (§9.6): the second one in two steps, of which the first asks for no answer.
func TestSPABothFormats(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		page.emit("send_message", sbawText("1", "1", "one"))
		heard, _ := page.emit("send_message", realtimeText("2", "2", "two"))
		wantOrder(t, heard, "message_sent 2")
		if got := received(t, heard, "sbaw.text_message.assistant"); len(got) > 0 {
			t.Errorf("answered before it was asked: %v", got)
		}
		heard, _ = page.emit("send_message", realtimeRespond("3"))
		wantOrder(t, heard, "message_sent 3", "receive_message "+theRoom)
		answers := received(t, heard, "sbaw.text_message.assistant")
		wantText(t, answers, "You said: two", "model_id", string(actortest.OtherModel))
		page.emit("send_message", sbawText("4", "4", "three"))
		var contents []string
		for _, m := range s.Messages(theChat) {
			contents = append(contents, m.Content)
		}
		if got, want := strings.Join(contents, ", "), "one, You said: one, two, You said: two, three, You said: three"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// The page's ids are milliseconds, and not unique: two messages with one id
// are two messages.
func TestSPAEnvelopeIDsAreNotUnique(t *testing.T) {
	run(t, room.Options{}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		page := connect(t, sessions, "alice")
		page.enter()
		for range 2 {
			heard, _ := page.emit("send_message", sbawText("1", "1", "hello"))
			wantOrder(t, heard, "message_sent 1", "receive_message "+theRoom)
		}
		if got := len(s.Messages(theChat)); got != 4 {
			t.Errorf("got %d messages, want 4", got)
		}
	})
}
