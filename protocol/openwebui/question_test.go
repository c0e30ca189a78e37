package openwebui

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parlor/protocol/chat"
)

func TestDecodeQuestion(t *testing.T) {
	system := "be kind"
	const ids = `"chat_id":"c","id":"a","session_id":"s","model":"m",`
	for _, c := range []struct {
		body    string
		want    Question
		inChat  bool
		refused bool
	}{
		{`{"model":"m","messages":[{"role":"user","content":"hi"}]}`, Question{}, false, false},
		{`{"chat_id":"c","id":"a","model":"m","messages":[]}`, Question{}, false, false},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"stream":true,"features":{}}`, Question{"c", "a", "m", "hi", nil}, true, false},
		{`{` + ids + `"messages":[{"role":"system","content":"be kind"},{"role":"assistant","content":"x"},{"role":"user","content":[{"type":"text","text":"h"},{"type":"text","text":"i"}]}]}`,
			Question{"c", "a", "m", "hi", &system}, true, false},
		{`{` + ids + `"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"assistant","content":"hi"}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":" "}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":[]}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[]}`, Question{}, true, true},
		{`{"chat_id":"local","id":"a","session_id":"s","model":"m","messages":[{"role":"user","content":"hi"}]}`, Question{}, true, true},
		{`{"chat_id":"a b","id":"a","session_id":"s","model":"m","messages":[{"role":"user","content":"hi"}]}`, Question{}, true, true},
		{`{"chat_id":"c","id":"` + strings.Repeat("x", 123) + `","session_id":"s","model":"m","messages":[{"role":"user","content":"hi"}]}`, Question{}, true, true},
		{`{"chat_id":"c","id":"a","session_id":"s","messages":[{"role":"user","content":"hi"}]}`, Question{}, true, true},
		{`[]`, Question{}, true, true},
	} {
		got, inChat, refusal := DecodeQuestion([]byte(c.body))
		if inChat != c.inChat || (refusal != nil) != c.refused {
			t.Errorf("%s: got %v, refused with %v", c.body, inChat, refusal)
		}
		if diff := cmp.Diff(c.want, got); diff != "" && c.inChat && !c.refused {
			t.Errorf("%s (-want +got):\n%s", c.body, diff)
		}
	}
}

func TestTaskID(t *testing.T) {
	room := chat.ID("a.b/c").Room()
	if gotRoom, turn, ok := CutTaskID(TaskID(room, "t-1")); gotRoom != room || turn != "t-1" || !ok {
		t.Errorf("got %s, %s, %v", gotRoom, turn, ok)
	}
	for _, id := range []string{"", ".", string(room), string(room) + ".", "x.t-1"} {
		if _, _, ok := CutTaskID(id); ok {
			t.Errorf("%q is taken for the name of a task", id)
		}
	}
}
