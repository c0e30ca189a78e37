package assistant

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"parlor/protocol/chat"
	"parlor/protocol/engineio"
	"parlor/protocol/socketio"
)

// told are the words that members are told of, besides answers.
var told = map[string]bool{
	"message": true, "turn": true, "stream_start": true, "stream_chunk": true, "stream_thought": true, "stream_end": true, "stream_error": true, "assistant": true, "audio": true, // documented
	"receive_message": true, "message_error": true, // the SPA's
	"error": true, // both
}

// FuzzFrames checks that members understand what they are told, whatever
// people and providers say: every frame is an event of a known name with one
// object, and the text in it is what was said.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{"", "hello", "<b>&\u2028\"\\", "😀\x00\x1e", "\xff\xc3(", `{"_placeholder":true,"num":0}`} {
		f.Add(seed, "m", "alice", 7)
		f.Add("text", seed, seed, -1)
	}
	f.Fuzz(func(t *testing.T, text, id, name string, offset int) {
		const room = chat.RoomID("rf74rhscgm3uacyrl3izqi7fb")
		for _, e := range fuzzEvents(text, id, name) {
			for _, frame := range recorded(Both, room, chat.Record{Seq: 1, Event: e}) {
				checkTold(t, room, frame)
			}
		}
		checkTold(t, room, gone(room, chat.Removal{})[0])
		refusal, health := chat.Refuse(chat.CodeProviderError, text), chat.Health{Provider: name, State: chat.ProviderOpen}
		for _, frame := range progress(Both, room, chat.Progress{MessageID: chat.MessageID(id), Retrying: refusal, Model: chat.ModelID(name), Health: &health}) {
			checkTold(t, room, frame)
		}
		checkLive(t, room, chat.MessageID(id), offset, text)
		message := checkTold(t, room, recorded(Documented, room, chat.Record{Event: fuzzEvents(text, id, name)[0]})[0])
		if got := content(t, message["message"]); got != valid(text) {
			t.Errorf("message: got %q, want %q", got, valid(text))
		}
		delta := Delta(Documented, room, chat.MessageID(id), offset, text)
		checkTold(t, room, delta[0])
		checkDelta(t, delta[0], id, offset, text)
	})
}

// checkLive checks what is told of live answers, and that only speech is shed.
func checkLive(t *testing.T, room chat.RoomID, id chat.MessageID, offset int, text string) {
	t.Helper()
	speech := Audio(Both, room, id, text)
	words := append(livePieces(Both, room, id, offset, text, true), soFar(Both, room, chat.TextSoFar{Turn: chat.Turn{MessageID: id, Duplex: true}, Text: text})...)
	for _, e := range fuzzEvents(text, string(id), text) {
		r := chat.Record{Seq: 1, Event: e}
		words = append(append(words, replay(Both, room, chat.Missed{Record: r})...), heard(Both, room, r)...)
	}
	for _, f := range append(words, speech...) {
		checkTold(t, room, f)
	}
	if got := Shed(speech); len(got) > 0 {
		t.Errorf("speech stays: %s", got[0].Data)
	}
	if got := Shed(words); len(got) != len(words) {
		t.Errorf("%d of %d frames are shed", len(words)-len(got), len(words))
	}
}

// fuzzEvents returns what a room may record, a [chat.MessageAdded] first.
func fuzzEvents(text, id, name string) []chat.Event {
	message := chat.MessageID(id)
	return []chat.Event{
		chat.MessageAdded{MessageID: message, Content: text, Author: chat.User{ID: "u", Name: name}, ClientID: chat.ClientID(id)},
		chat.TurnQueued{TurnID: chat.TurnID(id), By: chat.UserID(name), Correlation: text},
		chat.TurnStarted{TurnID: chat.TurnID(id), MessageID: message, ModelID: chat.ModelID(name), Attempt: 1},
		chat.TurnEnded{MessageID: message, State: chat.StateCompleted, Content: text, Correlation: name},
		chat.TurnEnded{MessageID: message, State: chat.StateFailed, Content: text, Error: chat.Refuse(chat.CodeProviderError, text), Correlation: name},
		chat.TurnEnded{State: chat.StateStopped, By: chat.UserID(name), Reason: text},
		chat.MessageAdded{MessageID: message, Content: text, Duplex: true, Modality: chat.ModalityAudio},
		chat.TurnStarted{MessageID: message, Attempt: 2, Duplex: true},
		chat.TurnEnded{MessageID: message, State: chat.StateCompleted, Content: text, Duplex: true, Modality: chat.ModalityAudio},
		chat.TurnEnded{MessageID: message, State: chat.StateStopped, Content: text, Duplex: true},
	}
}

// checkTold returns the object that the frame carries.
func checkTold(t *testing.T, room chat.RoomID, f engineio.Frame) (body map[string]json.RawMessage) {
	t.Helper()
	m, err := engineio.Decode(f.Data, f.Binary)
	if err != nil || m.Type != engineio.TypeMessage {
		t.Fatalf("frame %q: type %d, %v", f.Data, m.Type, err)
	}
	var d socketio.Decoder
	p, complete, err := d.Decode(engineio.Message{Data: m.Data, Binary: m.Binary})
	if err != nil || !complete || p.Type != socketio.Event || p.Namespace != Namespace || p.HasID {
		t.Fatalf("frame %q: %+v, complete %t, %v", f.Data, p, complete, err)
	}
	event, args := p.Event()
	word, id, hasID := strings.Cut(event, " ")
	if !told[word] || hasID == (word == "message_error") || hasID && id != string(room) {
		t.Fatalf("event %q", event)
	}
	if len(args) != 1 || json.Unmarshal(args[0], &body) != nil {
		t.Fatalf("%s carries %s", event, args)
	}
	return body
}

func content(t *testing.T, message json.RawMessage) string {
	t.Helper()
	var m struct{ Content string }
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	return m.Content
}

// checkDelta compares what is written by hand with what encoding/json writes.
func checkDelta(t *testing.T, f engineio.Frame, id string, offset int, text string) {
	t.Helper()
	var got struct {
		MessageID string `json:"message_id"`
		Content   string `json:"content"`
		Done      bool   `json:"done"`
		Offset    int    `json:"offset"`
	}
	arg := f.Data[bytes.IndexByte(f.Data, '{') : len(f.Data)-1]
	if err := json.Unmarshal(arg, &got); err != nil {
		t.Fatalf("%s: %v", arg, err)
	}
	if got.MessageID != valid(id) || got.Content != valid(text) || got.Done || got.Offset != offset {
		t.Errorf("delta: got %+v, want %q, %q at %d", got, id, text, offset)
	}
}

// valid returns s as JSON can say it.
func valid(s string) string { return string([]rune(s)) }
