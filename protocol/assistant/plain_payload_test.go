package assistant

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzPlainPayload checks that a payload that is read in one pass is the one that
// encoding/json reads. Text is UTF-8 when it comes here.
func FuzzPlainPayload(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"room_id":"r1","title":"t"}`,
		`{"room_id":"r1","message":{"content":"\u00e9\n"},"content":"a\"b","client_message_id":"c","answer":true}`,
		`{ "chat_id" : "c" , "model_id" : "m", "model_api_source":"s" }`,
		`{"room_id":"a","room_id":"b","message":1,"message":null}`,
		`{"room_id":"a","Room_ID":"b"}`,
		`{"room_id":null,"title":null}`,
		`{"room\u005fid":"a"}`,
		`{"seq":17,"after":0,"typing":false}`,
		`{"seq":-1}`, `{"seq":1e3}`, `{"seq":01}`, `{"seq":18446744073709551616}`,
		`{"answer":"true"}`, `{"policy":7}`,
		`{"title":"\ud800","dialect":"\ud83d\ude00"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || !json.Valid([]byte(text)) || text[0] != '{' {
			return
		}
		got, ok := plainPayload([]byte(text))
		if !ok {
			return
		}
		want, err := anyPayload([]byte(text))
		if err != nil {
			t.Fatalf("%s: got a payload, want error %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: payload (-want +got):\n%s", text, diff)
		}
	})
}

// The usual events are read without reflection.
func TestUsualPayloadsArePlain(t *testing.T) {
	for event, sent := range map[string]string{
		"configure":    `{"room_id":"r1","title":"t"}`,
		"send_message": `{"room_id":"r1","message":{"content":"hello","client_message_id":"c"}}`,
		"read":         `{"room_id":"r1","seq":17}`,
		"typing":       `{"room_id":"r1","typing":true}`,
		"join_room":    `{"room_id":"r1","dialect":"documented","after":3,"epoch":"e"}`,
		"create_room":  `{"chat_id":"c","model_id":"eliza","model_api_source":"aisuite"}`,
	} {
		if _, ok := plainPayload([]byte(sent)); !ok {
			t.Errorf("%s: %s is not read in one pass", event, sent)
		}
	}
	args := []json.RawMessage{json.RawMessage(`{"room_id":"r1","title":"t"}`)}
	if got := testing.AllocsPerRun(100, func() { _, _ = Decode("configure", args) }); got > 5 {
		t.Errorf("got %v allocations for a command, want at most 5: two texts with their pointers, and the request", got)
	}
}
