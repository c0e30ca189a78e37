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
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"stream":true,"features":{}}`, Question{Chat: "c", Answer: "a", Model: "m", Content: "hi"}, true, false},
		{`{` + ids + `"messages":[{"role":"system","content":"be kind"},{"role":"assistant","content":"x"},{"role":"user","content":[{"type":"text","text":"h"},{"type":"text","text":"i"}]}]}`,
			Question{Chat: "c", Answer: "a", Model: "m", Content: "hi", System: &system}, true, false},
		{`{` + ids + `"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/cat.png"}}]}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,YWI="}}]}]}`,
			Question{Chat: "c", Answer: "a", Model: "m", Images: [][]byte{[]byte("ab")}}, true, false},
		{`{` + ids + `"messages":[{"role":"user","content":[{"type":"input_audio"}]}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"files":[{"type":"file","id":"f1","name":"x"},{"type":"file","file":{"id":"f2"}}],"tool_ids":["pay","notion"],"features":{"web_search":false,"memory":true}}`,
			Question{Chat: "c", Answer: "a", Model: "m", Content: "hi", Files: []chat.FileID{"f1", "f2"}, OnlyTools: []string{"pay", "notion"}}, true, false},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"files":null,"tool_ids":[],"features":null}`,
			Question{Chat: "c", Answer: "a", Model: "m", Content: "hi", OnlyTools: []string{}}, true, false},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"files":[{"type":"collection","id":"f1"}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"files":[{"type":"file","id":"../x"}]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"tool_ids":["` + strings.Repeat("x", 257) + `"]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"tool_ids":[` + strings.Repeat(`"x",`, 100) + `"x"]}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"features":{"web_search":true}}`, Question{}, true, true},
		{`{` + ids + `"messages":[{"role":"user","content":"hi"}],"features":{"code_interpreter":true}}`, Question{}, true, true},
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
